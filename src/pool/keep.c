/* SPDX-License-Identifier: MIT */
#include "arena/recover.h"
#include "base/macros.h"
#include "pool/entries.h"
#include "pool/keep.h"
#include "pool/map.h"
#include "pool/task.h"
#include "sync/wait.h"

bool
mpr_keep_is_gone(mproc_arena *a, uint64_t word)
{
	unsigned slot = mpr_holder_slot(word), state;
	uint64_t ident;

	if (slot >= mpr_participants_high(a))
		return true;
	(void)mpr_recover_slot(a, slot);
	ident = atomic_load(&mpr_participant_at(a, slot)->ident);
	state = mpr_participant_state(ident);
	return mpr_holder_of(slot, ident) != mpr_holder_name(word) ||
	       (state != MPR_PARTICIPANT_LIVE && state != MPR_PARTICIPANT_DEAD);
}

MPR_CHILD_PATH uint64_t
mpr_keep_holder_of(struct mpr_pool_worker *record)
{
	uint64_t word = atomic_load(&record->word);

	/* A ticket, or RESTS. */
	while (word && !(word & MPR_HELD))
		if (atomic_compare_exchange_strong(&record->word, &word, 0))
			return 0;
	return word;
}

bool
mpr_keep_bury(const struct mpr_pool_use *u, struct mpr_self *self, unsigned w,
	      const struct mproc_exit *end)
{
	struct mpr_pool_worker *record = mpr_pool_worker_at(u, w);
	struct mpr_entries_walk walk = mpr_entries_walk(u);
	struct mproc_future *f;
	bool announced = true;
	uint64_t word;

	while ((f = mpr_entries_next(&walk))) {
		if (!mpr_task_bury(u, self, f, w, end))
			continue;
		/* A new hint: its worker's may have come back too soon. */
		word = atomic_load(&f->cell.word);
		if (!mpr_pool_is_inline(u) && mpr_task_waits(u, f, word) &&
		    mpr_task_announce(u, f, word) < 0)
			announced = false;
	}
	if (!record)
		return announced;
	atomic_store(&record->lease, 0);
	atomic_store(&record->doomed, 0);
	/* Last: from here on the number can be another worker's. */
	atomic_store(&record->word, 0);
	return announced;
}

void
mpr_keep_revoke_all(const struct mpr_pool_use *u, struct mpr_self *self)
{
	struct mpr_entries_walk walk = mpr_entries_walk(u);
	struct mproc_future *f;
	struct mpr_map_use m;

	while ((f = mpr_entries_next(&walk))) {
		uint64_t word = atomic_load(&f->cell.word);

		mpr_task_drop(u, self, f, word, MPR_FUTURE_SHUT);
		mpr_task_give_up(u, self, f, word, MPR_FUTURE_SHUT);
		if (mpr_map_look_at(u, f, &m))
			mpr_map_settle(&m, self, word);
	}
}

void
mpr_keep_end(const struct mpr_pool_use *u, struct mpr_self *self)
{
	struct mpr_wake wake;

	mpr_wake_begin(&wake, u->arena, self, u->pool);
	mpr_pool_advance(u, MPR_POOL_ENDED);
	mpr_wake_all(&wake);
	mpr_wake_end(&wake);
}
