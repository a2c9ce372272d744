/* SPDX-License-Identifier: MIT */
/*
 * Onces in all schedules. One at a time does it, another one if that fails or is
 * killed, and nobody once somebody was told that it is done; who was told so
 * sees what was done.
 */
#include <errno.h>

#include "sync/cell.h"
#include "sync_world.h"

#define NOBODY EXPLORE_FIBERS

enum { FAILS = 1 };

static struct {
	mproc_once *at;
	unsigned runner;
	bool done; /* somebody was told so */
	bool destroyed;
} known;

static int
do_it(void *arg)
{
	const struct sync_role *role = arg;

	explore_check(known.runner == NOBODY || explore_killed(known.runner));
	explore_check(!known.done);
	known.runner = explore_current();
	sync_data_change();
	known.runner = NOBODY;
	return role->how == FAILS ? -EIO : 0;
}

static bool
may_be_gone(int r)
{
	return known.destroyed && (r == -ESTALE || r == -ESHUTDOWN);
}

static void
needs_it(unsigned me, const struct sync_role *role)
{
	int r;

	(void)me;
	r = mproc_once_run(known.at, do_it, (void *)(uintptr_t)role);
	explore_check(r == 0 || may_be_gone(r) || sync_may_fail(role, r) ||
		      (r == -EIO && role->how == FAILS));
	if (r != 0)
		return;
	known.done = true;
	sync_data_check();
}

static void
destroys(unsigned me, const struct sync_role *role)
{
	(void)me;
	(void)role;
	explore_point();
	known.destroyed = true;
	mproc_once_destroy(known.at);
}

static void
begin(void)
{
	struct mpr_cell *cell = sync_cell(0);

	known.at = sync_cell(0);
	known.runner = NOBODY;
	known.done = known.destroyed = false;
	explore_share(SYNC_OBJECT, &cell->word, 8, "once");
	sync_data_share();
}

static const struct sync_object once = {
	.kind = MPR_CELL_ONCE,
	.begin = begin,
};

#define NEEDS_IT { .run = needs_it, .mortal = true }
/* The same for those of whom one like the other may be killed. */
#define ALSO_NEEDS_IT { .run = needs_it }
#define NEEDS_IT_AND_FAILS { .run = needs_it, .how = FAILS, .mortal = true }

const struct sync_case sync_once_cases[SYNC_ONCE_CASES] = {
	[SYNC_ONCE_TWO] = {
		.name = "two need it done",
		.object = &once,
		.roles = { NEEDS_IT, NEEDS_IT },
	},
	[SYNC_ONCE_THREE] = {
		.name = "three need it done",
		.object = &once,
		.roles = { NEEDS_IT, ALSO_NEEDS_IT, ALSO_NEEDS_IT },
	},
	[SYNC_ONCE_FAILED] = {
		.name = "one of three fails",
		.object = &once,
		.roles = { NEEDS_IT_AND_FAILS, NEEDS_IT, ALSO_NEEDS_IT },
		.fewer_kills = 1,
	},
	[SYNC_ONCE_INTERRUPTED] = {
		.name = "one of three is interrupted that need it done",
		.object = &once,
		.roles = { NEEDS_IT_AND_FAILS, NEEDS_IT, NEEDS_IT,
			   { .run = sync_interrupts, .victim = 1 } },
		.fewer = 1,
	},
	[SYNC_ONCE_DESTROYED] = {
		.name = "a once is destroyed",
		.object = &once,
		.roles = { NEEDS_IT, NEEDS_IT,
			   { .run = destroys, .mortal = true } },
	},
	[SYNC_ONCE_RECOVERED] = {
		.name = "three need it done, and another one recovers",
		.object = &once,
		.roles = { NEEDS_IT, ALSO_NEEDS_IT, ALSO_NEEDS_IT,
			   SYNC_RECOVERS },
		.patient = true,
		.fewer = 1,
	},
	[SYNC_ONCE_FAILED_RECOVERED] = {
		.name = "one of three fails, and another one recovers",
		.object = &once,
		.roles = { NEEDS_IT_AND_FAILS, NEEDS_IT, ALSO_NEEDS_IT,
			   SYNC_RECOVERS },
		.patient = true,
		.fewer = 1,
	},
};
