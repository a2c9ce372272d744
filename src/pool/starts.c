/* SPDX-License-Identifier: MIT */
#include "base/macros.h"
#include "os/clock.h"
#include "pool/starts.h"
#include "process/restarts.h"

#define MS INT64_C(1000000)
#define SHORT_LIFE (100 * MS)
#define PAUSE_FIRST (10 * MS)
#define PAUSE_MAX (1000 * MS)
#define TRIES 3 /* for each worker */

MPR_CHILD_PATH void
mpr_worker_start_note(struct mpr_worker_start *s,
		      const struct mpr_pool_worker *record, int64_t now)
{
	s->at = now;
	s->done = atomic_load(&record->done);
}

/* Whether somebody is or was a worker with it, and has not come through the initializer. */
static bool
is_in_initializer(const struct mpr_pool_worker *record, uint64_t word)
{
	return word & MPR_HELD && atomic_load(&record->begun) != word;
}

void
mpr_starts_note_end(struct mpr_starts *starts,
		    const struct mpr_worker_start *s,
		    const struct mpr_pool_worker *record)
{
	uint64_t word = record ? atomic_load(&record->word) : 0;
	int64_t now = mproc_now();

	if (record && is_in_initializer(record, word))
		starts->lost++;
	else
		starts->lost = 0;
	if (now - s->at > SHORT_LIFE ||
	    (record && (word == MPR_POOL_RESTS ||
			atomic_load(&record->done) != s->done ||
			atomic_load(&record->lease)))) {
		starts->brief = 0;
		return;
	}
	starts->not_before = now + mpr_backoff(PAUSE_FIRST, PAUSE_MAX,
					       ++starts->brief);
}

bool
mpr_starts_are_in_vain(const struct mpr_starts *starts, const struct mpr_pool_use *u)
{
	const struct mpr_pool_worker *record;

	if (starts->lost < TRIES * atomic_load(&u->root->n_workers) ||
	    !atomic_load(&u->root->initializer) ||
	    mpr_pool_phase(u) >= MPR_POOL_TERMINATING)
		return false;
	for (unsigned w = 0; (record = mpr_pool_worker_at(u, w)); w++) {
		uint64_t word = atomic_load(&record->word);

		if (word & MPR_HELD && !is_in_initializer(record, word))
			return false;
	}
	return true;
}
