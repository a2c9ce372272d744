/* SPDX-License-Identifier: MIT */
#include "arena/recover.h"
#include "sync/neighbours.h"

static void
add(struct mpr_neighbours *n, struct mpr_participant *p)
{
	n->life[n->count++] = &p->life;
}

bool
mpr_neighbours_find(const struct mpr_self *self, struct mpr_neighbours *n)
{
	unsigned high = mpr_participants_high(self->arena);
	bool sleeps = false, some_died = false;

	n->count = 0;
	for (unsigned i = 1; i < high && !sleeps; i++) {
		unsigned slot = (self->slot + i) % high;
		struct mpr_participant *p =
			mpr_participant_at(self->arena, slot);
		/* Relaxed: what is not true any more delays at most. */
		uint64_t ident = atomic_load_explicit(&p->ident,
						      memory_order_relaxed);

		if (mpr_participant_state(ident) != MPR_PARTICIPANT_LIVE)
			continue;
		if (mpr_recover_slot(self->arena, slot)) {
			some_died = true;
			continue;
		}
		sleeps = atomic_load_explicit(&p->wait_object,
					      memory_order_relaxed) != 0;
		if (sleeps || n->count == 0)
			add(n, p);
	}
	return some_died;
}
