/* SPDX-License-Identifier: MIT */
#include "sync/many.h"
#include "sync/park.h"
#include "sync/scope.h"
#include "sync/told.h"
#include "sync/wait.h"

static uint64_t
bit_of(uint64_t name)
{
	/* The highest bits of a product depend on all of the name. */
	return UINT64_C(1) << ((name & ~MPR_DOORS) *
			       UINT64_C(0x9e3779b97f4a7c15) >> 58);
}

uint64_t
mpr_many_bit(const mproc_arena *a, const void *object)
{
	return bit_of(mpr_arena_name(a, object));
}

void
mpr_many_announce(struct mpr_self *self, uint64_t bits)
{
	/* seq_cst, before the look at the objects: see many.h. */
	atomic_store(&self->shared->many, bits);
}

void
mpr_many_wake(const mproc_arena *a, uint64_t name,
	      const struct mpr_participant *of)
{
	struct mpr_scope scope = mpr_scope(name, of);
	unsigned high = mpr_participants_high(a);
	uint64_t bit = bit_of(name);

	for (unsigned slot = 0; slot < high; slot++) {
		struct mpr_participant *p = mpr_participant_at(a, slot);

		/* seq_cst, after the change of the object: see many.h. */
		if (atomic_load(&p->many) & bit &&
		    mpr_scope_has(a, &scope, slot)) {
			mpr_tell(a, slot, name & ~MPR_DOORS);
			mpr_unpark(a, slot);
		}
	}
}
