/* SPDX-License-Identifier: MIT */
/*
 * Locks in all schedules. A lock has had one holder at a time, and after a holder
 * that was killed the next one was told so, with its name; who was told that
 * somebody died was told the truth.
 */
#include <errno.h>

#include "sync/holder.h"
#include "sync/lock.h"
#include "sync_world.h"

#define NOBODY EXPLORE_FIBERS

static struct {
	mproc_lock *at;
	unsigned holder;
	uint32_t generation; /* of the lock that it holds */
	bool destroyed; /* once, or about to be */
} known;

static sync_part destroys;

void
sync_lock_begin(mproc_lock *at, enum sync_word id)
{
	struct mpr_lock *l = (struct mpr_lock *)at;

	known.at = at;
	known.holder = NOBODY;
	known.destroyed = false;
	explore_share(id, &l->cell.word, 8, "lock");
	sync_data_share();
}

static uint32_t
generation(void)
{
	return ((struct mpr_lock *)known.at)->cell.generation;
}

/* The first lock may be destroyed while it is used, the next one never. */
static bool
may_be_gone(uint32_t of)
{
	return known.destroyed && of == 0;
}

static void
check_died(int r, bool inside, uint32_t of)
{
	struct mproc_owner owner;

	/* What it protected may be half changed. */
	explore_check(!inside || r == MPROC_OWNER_DIED);
	if (r != MPROC_OWNER_DIED)
		return;
	r = mproc_lock_owner(known.at, &owner);
	if (may_be_gone(of))
		return;
	explore_check(r == 0 && owner.died_pid > 0);
	explore_check(explore_killed((unsigned)owner.died_pid - 1));
	explore_check(!inside || owner.died_pid == (pid_t)known.holder + 1);
	explore_check(mproc_lock_consistent(known.at) == 0 || may_be_gone(of));
}

/* The calling fiber has got it, with the result @r. */
void
sync_lock_took(unsigned me, int r)
{
	uint32_t of = generation();
	bool inside = known.holder != NOBODY && known.generation == of;

	explore_check(!inside || explore_killed(known.holder));
	if (!may_be_gone(of))
		check_died(r, inside, of);
	known.holder = me;
	known.generation = of;
	/* Holders of two locks do not exclude each other. */
	if (sync_has(destroys))
		explore_point();
	else
		sync_data_change();
}

/* It is about to give it back, unless it is not the lock that it had. */
void
sync_lock_gives(unsigned me)
{
	if (known.holder == me)
		known.holder = NOBODY;
}

static void
take_and_give(unsigned me, const struct sync_role *role)
{
	uint32_t of = generation();
	int r;

	r = mproc_lock_acquire(known.at, sync_timeout(role));
	if (r < 0) {
		explore_check(sync_may_fail(role, r) || known.destroyed);
		return;
	}
	/* The new one is not what it wanted. */
	if (generation() == of)
		sync_lock_took(me, r);
	sync_lock_gives(me);
	if (generation() == of) {
		r = mproc_lock_release(known.at);
		explore_check(r == 0 || may_be_gone(of));
	} else {
		explore_check(mproc_lock_release(known.at) < 0);
	}
}

static void
takes(unsigned me, const struct sync_role *role)
{
	for (unsigned i = 0; i < role->n; i++)
		take_and_give(me, role);
}

/* It, and makes another one in its place. */
static void
destroys(unsigned me, const struct sync_role *role)
{
	mproc_lock *other;

	(void)me;
	(void)role;
	explore_point();
	known.destroyed = true;
	mproc_lock_destroy(known.at);
	explore_check(mproc_lock_create(&other) == 0);
	explore_check(other == known.at);
}

static void
begin(void)
{
	sync_lock_begin(sync_cell(0), SYNC_OBJECT);
}

/* All have given back what they took, so nobody has to wait. */
static void
end(void)
{
	struct mpr_lock *l = (struct mpr_lock *)known.at;
	uint64_t word = explore_newest(&l->cell.word);

	explore_check(!(word & MPR_HELD) ||
		      explore_killed(mpr_holder_slot(word)));
}

static const struct sync_object lock = {
	.kind = MPR_CELL_LOCK,
	.begin = begin,
	.end = end,
};

#define TAKES(times) { .run = takes, .n = times, .mortal = true }
/* The same for those of whom one like the other may be killed. */
#define ALSO_TAKES(times) { .run = takes, .n = times }
#define TAKES_TIMED(times) \
	{ .run = takes, .n = times, .timed = true, .mortal = true }

const struct sync_case sync_lock_cases[SYNC_LOCK_CASES] = {
	[SYNC_LOCK_TWO] = {
		.name = "two take a lock, twice",
		.object = &lock,
		.roles = { TAKES(2), TAKES(2) },
	},
	[SYNC_LOCK_THREE] = {
		.name = "three take a lock",
		.object = &lock,
		.roles = { TAKES(1), ALSO_TAKES(1), ALSO_TAKES(1) },
	},
	[SYNC_LOCK_THREE_HASTY] = {
		.name = "three take a lock, who waits is starved",
		.object = &lock,
		.roles = { TAKES(1), ALSO_TAKES(1), ALSO_TAKES(1) },
		.hasty = true,
	},
	[SYNC_LOCK_TIMED] = {
		.name = "one of three may give up",
		.object = &lock,
		.roles = { TAKES(2), TAKES_TIMED(1), TAKES(1) },
	},
	[SYNC_LOCK_TIMED_HASTY] = {
		.name = "one of three may give up, who waits is starved",
		.object = &lock,
		.roles = { TAKES(1), TAKES_TIMED(1), TAKES(1) },
		.hasty = true,
	},
	[SYNC_LOCK_INTERRUPTED] = {
		.name = "one of three is interrupted",
		.object = &lock,
		.roles = { TAKES(1), TAKES(1), TAKES(1),
			   { .run = sync_interrupts, .victim = 1 } },
		.fewer = 1,
	},
	[SYNC_LOCK_DESTROYED] = {
		.name = "a lock is destroyed and made again",
		.object = &lock,
		.roles = { TAKES(1), TAKES(1), { .run = destroys }, TAKES(1) },
		.fewer = 1,
	},
	[SYNC_LOCK_RECOVERED] = {
		.name = "another one recovers",
		.object = &lock,
		.roles = { TAKES(1), ALSO_TAKES(1), ALSO_TAKES(1),
			   SYNC_RECOVERS },
		.patient = true,
		.fewer = 1,
	},
	[SYNC_LOCK_RECOVERED_HASTY] = {
		.name = "another one recovers, who waits is starved",
		.object = &lock,
		.roles = { TAKES(2), TAKES(1), TAKES(1), SYNC_RECOVERS },
		.patient = true,
		.hasty = true,
		.fewer = 1,
	},
};
