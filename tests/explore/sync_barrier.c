/* SPDX-License-Identifier: MIT */
/*
 * Barriers in all schedules. A phase is complete for all its parties, with each
 * index once, or for none of them. It is broken only if a party has died or
 * somebody has broken it; who is named as dead is. Who goes on sees what the
 * others have written before they came. Who waits in one that is destroyed is told
 * so, and not that it was broken; of another one made at its place all of this holds.
 */
#include <errno.h>

#include "sync/barrier.h"
#include "sync/notes.h"
#include "sync_world.h"

/* How a barrier is in the beginning: whether all fibers that wait are parties
 * already. */
enum {
	NEW,
	ENROLLED,
};

static struct {
	mproc_barrier *at;
	_Atomic uint64_t came[EXPLORE_FIBERS]; /* how often */
	unsigned complete[2][EXPLORE_FIBERS];  /* by generation and index */
	bool over[EXPLORE_FIBERS];	       /* does not come again */
	bool touched; /* somebody has broken it, or was about to */
	bool destroyed; /* the first one is, or is about to be */
	bool remade;
	uint32_t generation[EXPLORE_FIBERS]; /* of that in which it waits */
} known;

static sync_part destroys;
static sync_part replaces;
static sync_part resets;

static unsigned
parties(void)
{
	return sync_now->value;
}

static const struct mpr_barrier *
barrier(void)
{
	return sync_cell(0);
}

static uint32_t
generation(void)
{
	return barrier()->cell.generation;
}

static void
check_ended(void)
{
	uint64_t pid = explore_newest(&barrier()->ended) >> 32;

	explore_check(!pid || explore_killed((unsigned)pid - 1));
}

/* What a result less than 0 may be. */
static void
check_failed(const struct sync_role *role, int r)
{
	if (sync_may_fail(role, r)) {
		known.touched = true;
		return;
	}
	if (r == -EPERM) {
		explore_check(world_fibers() > parties());
		return;
	}
	if ((r == -ESTALE || r == -ESHUTDOWN) && known.destroyed)
		return;
	explore_check(r == -ENOTRECOVERABLE);
	explore_check(known.touched || sync_any_killed());
	check_ended();
}

static sync_part waits;

static bool
is_comer(unsigned f)
{
	return sync_now->roles[f].run == waits;
}

static unsigned
count_comers(void)
{
	unsigned n = 0;

	for (unsigned f = 0; f < world_fibers(); f++)
		n += is_comer(f);
	return n;
}

/* All have come as often as the caller, where it is known who they are. */
static void
check_came(unsigned times)
{
	if (known.touched || sync_has(replaces) || sync_has(destroys) ||
	    count_comers() > parties())
		return;
	for (unsigned f = 0; f < parties(); f++)
		explore_check(explore_load(&known.came[f],
					   memory_order_relaxed) >= times);
}

/* Returns whether it was complete. */
static bool
wait_once(unsigned me, const struct sync_role *role, unsigned times)
{
	int r;

	explore_store(&known.came[me], times, memory_order_relaxed);
	/* It may break it when it gives up, before it says so. */
	known.touched |= role->timed;
	known.generation[me] = generation();
	sync_call(me);
	r = mproc_barrier_wait(known.at, sync_timeout(role));
	sync_return(me);
	if (r < 0) {
		check_failed(role, r);
		return false;
	}
	explore_check((unsigned)r < parties());
	known.complete[known.generation[me]][r]++;
	return true;
}

static void
waits(unsigned me, const struct sync_role *role)
{
	for (unsigned i = 1; i <= role->n; i++)
		if (wait_once(me, role, i))
			check_came(i);
	known.over[me] = true;
}

static void
aborts(unsigned me, const struct sync_role *role)
{
	(void)me;
	(void)role;
	explore_point();
	known.touched = true;
	explore_check(mproc_barrier_abort(known.at) == 0);
}

static void
resets(unsigned me, const struct sync_role *role)
{
	int r;

	(void)me;
	(void)role;
	explore_point();
	known.touched = true;
	r = mproc_barrier_reset(known.at);
	explore_check(r == 0 || (r == -ESTALE && known.destroyed));
}

/* It, and makes another one in its place. */
static void
destroys(unsigned me, const struct sync_role *role)
{
	mproc_barrier *other;

	(void)me;
	(void)role;
	explore_point();
	known.destroyed = true;
	mproc_barrier_destroy(known.at);
	explore_check(mproc_barrier_create(&other, parties()) == 0);
	explore_check(other == known.at);
	known.remade = true;
}

/* Or it is not going to be. */
static bool
is_remade(unsigned unused)
{
	(void)unused;
	return known.remade || sync_any_killed();
}

static bool
is_any_killed(unsigned unused)
{
	(void)unused;
	return sync_any_killed();
}

/* When somebody was killed, takes its place. */
static void
replaces(unsigned me, const struct sync_role *role)
{
	explore_point();
	known.touched = true;
	explore_check(mproc_barrier_reset(known.at) == 0);
	wait_once(me, role, 1);
	known.over[me] = true;
}

static uint64_t
party_note(void)
{
	return mpr_note(world_arena(), known.at, barrier()->cell.generation,
			MPR_NOTE_PARTY);
}

static void
begin_enrolled(void)
{
	for (unsigned f = 0; f < world_fibers(); f++)
		if (is_comer(f))
			sync_begin_note(f, party_note());
}

static void
begin(void)
{
	struct mpr_barrier *b = sync_cell(0);
	uint64_t word = MPR_BARRIER_READY | (parties() - 1);

	known.at = sync_cell(0);
	known.touched = sync_has(sync_interrupts);
	known.destroyed = known.remade = false;
	for (unsigned f = 0; f < EXPLORE_FIBERS; f++) {
		known.came[f] = 0;
		known.complete[0][f] = known.complete[1][f] = 0;
		known.over[f] = false;
	}
	if (sync_now->how == ENROLLED) {
		begin_enrolled();
		word |= parties() * MPR_BARRIER_ENROL;
	}
	atomic_init(&b->cell.word, word);
	explore_share(SYNC_OBJECT, &b->cell.word, 8, "barrier");
	explore_share(SYNC_DATA, known.came, 8 * world_fibers(), "came");
}

static bool
is_any_over(void)
{
	for (unsigned f = 0; f < world_fibers(); f++)
		if (known.over[f])
			return true;
	return false;
}

/* Only while one is missing that need not come: it was killed before it was a
 * party, or has come as often as it wanted, where somebody has come in vain. */
static bool
may_sleep(unsigned fiber)
{
	uint64_t word = explore_newest(&barrier()->cell.word);

	if (sync_now->roles[fiber].run == replaces && !sync_any_killed())
		return true;
	if (word & MPR_GONE || known.generation[fiber] != generation())
		return false;
	if (word & (MPR_BARRIER_BROKEN | MPR_BARRIER_RESETTING))
		return false;
	if ((word & MPR_BARRIER_ENROLLED) < parties() * MPR_BARRIER_ENROL)
		return sync_any_killed() || is_any_over();
	return (known.touched || known.destroyed) && is_any_over();
}

/* So many are enrolled as have a note, or have had one and died. */
static void
check_enrolled(uint64_t word)
{
	unsigned enrolled = (unsigned)((word & MPR_BARRIER_ENROLLED) /
				       MPR_BARRIER_ENROL);
	unsigned living = 0;

	if (word & MPR_BARRIER_RESETTING)
		return;
	for (unsigned f = 0; f < world_fibers(); f++)
		living += !explore_killed(f) &&
			  explore_newest(mpr_notes_at(world_arena(), f)->word) ==
				  party_note();
	explore_check(living <= enrolled);
	explore_check(living == enrolled || sync_any_killed());
}

static void
end(void)
{
	uint64_t word = explore_newest(&barrier()->cell.word);
	const unsigned *complete = known.complete[generation()];
	unsigned phases = (unsigned)((word & MPR_BARRIER_PHASE) /
				     MPR_BARRIER_COMPLETE);
	unsigned missing = 0;

	check_ended();
	if (!(word & MPR_BARRIER_READY))
		return;
	for (unsigned i = 0; i < parties(); i++) {
		explore_check(complete[i] <= phases);
		missing += phases - complete[i];
	}
	explore_check(missing <= sync_killed_inside());
	check_enrolled(word);
}

static const struct sync_object object = {
	.kind = MPR_CELL_BARRIER,
	.begin = begin,
	.end = end,
	.may_sleep = may_sleep,
	.has_notes = true,
};

#define WAITS(times) { .run = waits, .n = times, .mortal = true }
/* The same for those of whom one like the other may be killed. */
#define ALSO_WAITS(times) { .run = waits, .n = times }
#define WAITS_WHEN(begins) { .run = waits, .when = begins, .n = 1 }
#define DESTROYS { .run = destroys, .mortal = true }
#define WAITS_TIMED { .run = waits, .n = 1, .timed = true, .mortal = true }

const struct sync_case sync_barrier_cases[SYNC_BARRIER_CASES] = {
	[SYNC_BARRIER_TWO] = {
		.name = "a barrier that two come to, twice",
		.object = &object,
		.value = 2,
		.roles = { WAITS(2), ALSO_WAITS(2) },
	},
	[SYNC_BARRIER_ENROLLED] = {
		.name = "a barrier with its two parties, twice",
		.object = &object,
		.value = 2,
		.how = ENROLLED,
		.roles = { WAITS(2), ALSO_WAITS(2) },
	},
	[SYNC_BARRIER_THREE] = {
		.name = "a barrier with its three parties",
		.object = &object,
		.value = 3,
		.how = ENROLLED,
		.roles = { WAITS(1), ALSO_WAITS(1), ALSO_WAITS(1) },
		.fewer = 1,
	},
	[SYNC_BARRIER_TOO_MANY] = {
		.name = "a barrier for two of three",
		.object = &object,
		.value = 2,
		.roles = { WAITS(1), ALSO_WAITS(1), ALSO_WAITS(1) },
		.fewer = 1,
	},
	[SYNC_BARRIER_TIMED] = {
		.name = "one party of two may give up",
		.object = &object,
		.value = 2,
		.how = ENROLLED,
		.roles = { WAITS_TIMED, WAITS(1) },
	},
	[SYNC_BARRIER_INTERRUPTED] = {
		.name = "one party of two is interrupted",
		.object = &object,
		.value = 2,
		.how = ENROLLED,
		.roles = { WAITS(1), WAITS(1),
			   { .run = sync_interrupts, .victim = 1 } },
		.fewer = 1,
	},
	[SYNC_BARRIER_ABORTED] = {
		.name = "a barrier is broken",
		.object = &object,
		.value = 2,
		.how = ENROLLED,
		.roles = { WAITS(1), WAITS(1),
			   { .run = aborts, .mortal = true } },
		.fewer = 1,
	},
	[SYNC_BARRIER_RESET] = {
		.name = "a barrier is reset",
		.object = &object,
		.value = 2,
		.how = ENROLLED,
		.roles = { WAITS(2), ALSO_WAITS(2),
			   { .run = resets, .mortal = true } },
		.fewer = 1,
	},
	[SYNC_BARRIER_RESET_NEW] = {
		.name = "a barrier is reset while its parties come",
		.object = &object,
		.value = 2,
		.roles = { WAITS(1), WAITS(1),
			   { .run = resets, .mortal = true } },
		.fewer = 1,
	},
	[SYNC_BARRIER_RESET_ONE] = {
		.name = "a barrier is reset while its only party comes",
		.object = &object,
		.value = 1,
		.roles = { WAITS(2), { .run = resets, .mortal = true } },
	},
	[SYNC_BARRIER_REPLACED] = {
		.name = "a party that dies is replaced",
		.object = &object,
		.value = 2,
		.how = ENROLLED,
		.roles = { WAITS(2), WAITS(2), { .run = replaces, .when = is_any_killed } },
		.fewer = 1,
	},
	[SYNC_BARRIER_DESTROYED] = {
		.name = "a barrier is destroyed and made again while its parties "
			"come",
		.object = &object,
		.value = 2,
		.roles = { WAITS(2), ALSO_WAITS(2), DESTROYS },
		.fewer = 2,
	},
	[SYNC_BARRIER_RESET_DESTROYED] = {
		.name = "a barrier is reset, destroyed and made again while its "
			"parties come",
		.object = &object,
		.value = 2,
		.how = ENROLLED,
		.roles = { WAITS(1), ALSO_WAITS(1),
			   { .run = resets, .mortal = true }, DESTROYS },
		.fewer = 2,
	},
	[SYNC_BARRIER_RESET_REMADE] = {
		.name = "a barrier is destroyed, and another one at its place is "
			"reset",
		.object = &object,
		.value = 2,
		.roles = { WAITS_WHEN(is_remade), ALSO_WAITS(1), DESTROYS,
			   { .run = resets, .when = is_remade } },
		.fewer = 1,
		.fewer_kills = 1,
	},
	[SYNC_BARRIER_DESTROYED_RECOVERED] = {
		.name = "a barrier is destroyed, and another one recovers",
		.object = &object,
		.value = 2,
		.how = ENROLLED,
		.roles = { WAITS(1), ALSO_WAITS(1), DESTROYS,
			   SYNC_RECOVERS },
		.patient = true,
		.fewer = 2,
	},
	[SYNC_BARRIER_RECOVERED] = {
		.name = "a barrier, and another one recovers",
		.object = &object,
		.value = 2,
		.how = ENROLLED,
		.roles = { WAITS(1), ALSO_WAITS(1), SYNC_RECOVERS },
		.patient = true,
	},
	[SYNC_BARRIER_RECOVERED_THREE] = {
		.name = "a barrier for three, and another one recovers",
		.object = &object,
		.value = 3,
		.how = ENROLLED,
		.roles = { WAITS(1), ALSO_WAITS(1), ALSO_WAITS(1),
			   SYNC_RECOVERS },
		.patient = true,
		.fewer = 1,
	},
};
