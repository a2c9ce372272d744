/* SPDX-License-Identifier: MIT */
#include "arena/recover.h"
#include "sync/neighbours.h"
#include "sync/wait.h"

static bool
is_live(const struct mpr_participant *p)
{
	/* Relaxed: what is not true any more delays at most. */
	uint64_t ident = atomic_load_explicit(&p->ident, memory_order_relaxed);

	return mpr_participant_state(ident) == MPR_PARTICIPANT_LIVE;
}

static void
add(struct mpr_neighbours *n, unsigned slot, struct mpr_life *life)
{
	n->slot[n->count] = slot;
	n->life[n->count++] = life;
}

bool
mpr_neighbours_owners(const struct mpr_self *self, struct mpr_neighbours *n)
{
	unsigned high = mpr_participants_high(self->arena);
	unsigned owners[MPR_WAIT_OWNERS];
	unsigned count = mpr_wait_owners(self, owners);
	struct mpr_participant *p;
	bool some_died = false;

	n->count = 0;
	for (unsigned i = 0; i < count; i++) {
		if (mpr_recover_slot(self->arena, owners[i])) {
			some_died = true;
			continue;
		}
		/* Any process can write there. And who waits for readers has the
		 * door itself. */
		if (owners[i] >= high || owners[i] == self->slot)
			continue;
		p = mpr_participant_at(self->arena, owners[i]);
		if (is_live(p))
			add(n, owners[i], &p->life_of_owner);
	}
	return some_died;
}

bool
mpr_neighbours_find(const struct mpr_self *self, struct mpr_neighbours *n)
{
	unsigned high = mpr_participants_high(self->arena);
	bool lives = false, sleeps = false, some_died;

	some_died = mpr_neighbours_owners(self, n);
	for (unsigned i = 1; i < high && !sleeps; i++) {
		unsigned slot = (self->slot + i) % high;
		struct mpr_participant *p =
			mpr_participant_at(self->arena, slot);

		if (!is_live(p))
			continue;
		if (mpr_recover_slot(self->arena, slot)) {
			some_died = true;
			continue;
		}
		sleeps = atomic_load_explicit(&p->wait_object,
					      memory_order_relaxed) != 0;
		if (sleeps || !lives)
			add(n, slot, &p->life);
		lives = true;
	}
	return some_died;
}

bool
mpr_neighbours_recover(const struct mpr_self *self,
		       const struct mpr_neighbours *n)
{
	bool some_died = false;

	for (unsigned i = 0; i < n->count; i++)
		if (mpr_recover_slot(self->arena, n->slot[i]))
			some_died = true;
	return some_died;
}
