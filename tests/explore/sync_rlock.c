/* SPDX-License-Identifier: MIT */
/*
 * Recursive locks in all schedules. Their holder takes them once more at once,
 * whoever waits, and has them until it has released them as often; whoever comes
 * next has them once, however often one had them that was killed. All that
 * sync_lock.c asks of locks is asked here too.
 */
#include <errno.h>

#include "sync/holder.h"
#include "sync/rlock.h"
#include "sync_world.h"

static mproc_rlock *at;

/* A release too many is refused. */
static void
release_all(unsigned me, const struct sync_role *role)
{
	for (unsigned i = 0; i < role->how; i++) {
		explore_check(mproc_rlock_release(at) == 0);
		sync_data_change();
	}
	sync_lock_gives(me);
	explore_check(mproc_rlock_release(at) == 0);
	explore_check(mproc_rlock_release(at) == -EPERM);
}

static void
take_and_give(unsigned me, const struct sync_role *role)
{
	int r = mproc_rlock_acquire(at, sync_timeout(role));

	if (r < 0) {
		explore_check(sync_may_fail(role, r));
		return;
	}
	sync_lock_took(me, r);
	for (unsigned i = 0; i < role->how; i++)
		explore_check(mproc_rlock_acquire(at, MPROC_NOWAIT) == 0);
	sync_data_change();
	release_all(me, role);
}

static void
takes(unsigned me, const struct sync_role *role)
{
	for (unsigned i = 0; i < role->n; i++)
		take_and_give(me, role);
}

static void
begin(void)
{
	struct mpr_rlock *rl = sync_cell(0);

	at = sync_cell(0);
	sync_lock_begin(sync_cell(0), SYNC_OBJECT);
	explore_share(SYNC_NESTED, &rl->nested, 8, "nested");
}

/* All have given back what they took. */
static void
end(void)
{
	struct mpr_rlock *rl = sync_cell(0);
	uint64_t word = explore_newest(&rl->lock.cell.word);

	explore_check(!(word & MPR_HELD) ||
		      explore_killed(mpr_holder_slot(word)));
}

static const struct sync_object rlock = {
	.kind = MPR_CELL_RLOCK,
	.begin = begin,
	.end = end,
};

/* @times, and each time as often besides as @more says. */
#define TAKES(times, more) \
	{ .run = takes, .n = times, .how = more, .mortal = true }
/* The same for those of whom one like the other may be killed. */
#define ALSO_TAKES(times, more) { .run = takes, .n = times, .how = more }
#define TAKES_TIMED(more) \
	{ .run = takes, .n = 1, .how = more, .timed = true, .mortal = true }

const struct sync_case sync_rlock_cases[SYNC_RLOCK_CASES] = {
	[SYNC_RLOCK_TWO] = {
		.name = "two take a recursive lock",
		.object = &rlock,
		.roles = { TAKES(1, 1), TAKES(1, 0) },
	},
	[SYNC_RLOCK_THREE_HASTY] = {
		.name = "three take a recursive lock, who waits is starved",
		.object = &rlock,
		.roles = { TAKES(1, 1), ALSO_TAKES(1, 0), ALSO_TAKES(1, 0) },
		.hasty = true,
		.fewer = 1,
	},
	[SYNC_RLOCK_TIMED] = {
		.name = "one may give up waiting for a recursive lock",
		.object = &rlock,
		.roles = { TAKES(1, 1), TAKES_TIMED(1), TAKES(1, 0) },
		.fewer = 1,
	},
	[SYNC_RLOCK_RECOVERED] = {
		.name = "a recursive lock, and another one recovers",
		.object = &rlock,
		.roles = { TAKES(1, 1), ALSO_TAKES(1, 1), SYNC_RECOVERS },
		.patient = true,
	},
};
