/* SPDX-License-Identifier: MIT */
/*
 * Eight processes go from phase to phase by a barrier, and are killed and
 * stopped at random. A phase is complete for all of them or for none; each has
 * an index of its own in it; when one is killed, all others learn who it was,
 * and after a reset they go on with a fresh process in its place. Who is
 * stopped breaks nothing.
 */
#include <stdio.h>

#include "chaos.h"

#define KILLS 250
#define TURNS 2000          /* at most, between two phases */
#define ONE_UNNOTICED_IN 16 /* deaths; those who wait notice by themselves */
#define PHASES 64           /* of which the indices are known */

enum { WAITS = 1, ENROLLS };

static const char *const deeds[] = { "wait", "enroll", NULL };

struct board {
	struct chaos chaos;
	mproc_barrier *barrier;
	_Atomic uint64_t come[CHAOS_WORKERS];   /* to which phase */
	_Atomic uint64_t passed[CHAOS_WORKERS]; /* how many */
	_Atomic unsigned indices[PHASES]; /* a bit for each that somebody had */
	_Atomic uint64_t last;            /* the phase after which all rest */
	_Atomic unsigned resets;
	_Atomic bool waits[CHAOS_WORKERS];
	_Atomic pid_t culprit[CHAOS_WORKERS]; /* as each was told, or 0 */
	/* For the test alone. */
	bool was_party;
	unsigned killed_before; /* became a party */
};

/* Of whom the text tells, or -1. */
static pid_t
culprit(void)
{
	int pid;

	return sscanf(mproc_error_detail(), "thread %*u of process %d,",
		      &pid) == 1
		       ? pid
		       : -1;
}

/* Phase @n is complete, and we were number @index in it. */
static void
pass(struct mpt *t, struct board *b, uint64_t n, int index)
{
	unsigned bit, had;

	mpt_check(t, index >= 0 && index < CHAOS_WORKERS);
	bit = 1u << index;
	had = atomic_fetch_or(&b->indices[n % PHASES], bit);
	mpt_check(t, !(had & bit));
	/* Those of a phase which nobody has come to yet. */
	b->indices[(n + PHASES / 2) % PHASES] = 0;
	for (int i = 0; i < CHAOS_WORKERS; i++)
		mpt_check(t, b->come[i] >= n);
}

static int
wait_for_others(struct board *b, unsigned me)
{
	int r;

	b->waits[me] = true;
	chaos_does(WAITS);
	r = chaos_done(mproc_barrier_wait(b->barrier, MPROC_FOREVER));
	b->waits[me] = false;
	return r;
}

/* After some phases again, when it is a party. */
static void
enroll(struct mpt *t, struct board *b)
{
	int r;

	chaos_does(ENROLLS);
	r = chaos_done(mproc_barrier_enroll(b->barrier));
	mpt_check(t, r == 0 || r == -ENOTRECOVERABLE);
}

static int
work(struct mpt *t, void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg, resets;
	struct board *b = mpt_scratch(t);
	struct mpt_rand rand;
	uint64_t n;
	int r;

	chaos_begin(t, me);
	mpt_rand_init(&rand, (uint64_t)getpid());
	for (;;) {
		if (b->passed[me] % 2 == 0)
			enroll(t, b);
		resets = b->resets;
		n = b->passed[me];
		/* All know it after the phase that it is about. */
		if (me == 0 && chaos_is_truce(t))
			b->last = n;
		b->come[me] = n;
		r = wait_for_others(b, me);
		if (r == -ENOTRECOVERABLE) {
			b->culprit[me] = culprit();
			mpt_until(t, b->resets != resets);
			continue;
		}
		pass(t, b, n, r);
		b->passed[me] = n + 1;
		if (b->last == n && !chaos_rest(t, me))
			return 0;
		chaos_spend(&rand, TURNS);
	}
}

/* One that does not wait at the moment, if there is one. */
static pid_t
goer(struct mpt *t, struct mpt_rand *rand)
{
	const struct board *b = mpt_scratch(t);
	unsigned first = (unsigned)mpt_rand_below(rand, CHAOS_WORKERS);

	for (unsigned n = 0; n < CHAOS_WORKERS; n++) {
		unsigned i = (first + n) % CHAOS_WORKERS;

		if (!b->waits[i])
			return b->chaos.pid[i];
	}
	return 0;
}

static unsigned
know(const struct board *b)
{
	unsigned n = 0;

	for (int i = 0; i < CHAOS_WORKERS; i++)
		n += b->culprit[i] != 0;
	return n;
}

/* Mostly whoever comes in its place finds it out. */
static bool
bury(struct mpt *t, unsigned number, pid_t pid)
{
	struct board *b = mpt_scratch(t);

	(void)pid;
	b->waits[number] = false;
	b->was_party = mproc_barrier_broken(b->barrier);
	b->killed_before += !b->was_party;
	if (b->was_party && b->chaos.deaths % ONE_UNNOTICED_IN == 0)
		chaos_until(t, know(b) == CHAOS_WORKERS - 1);
	return false;
}

/* All are to be told who it was, also the one that has come in its place. Then
 * the living have passed the same phases. */
static void
make_good(struct mpt *t, struct board *b, unsigned number, pid_t pid)
{
	chaos_until(t, know(b) == CHAOS_WORKERS);
	for (unsigned i = 0; i < CHAOS_WORKERS; i++) {
		assert_int_equal(b->culprit[i], pid);
		b->culprit[i] = 0;
		if (i != number)
			assert_int_equal(b->passed[i], b->passed[0]);
	}
	/* It had not noted the last one, perhaps. */
	assert_in_range(b->passed[0] - b->passed[number], 0, 1);
	b->passed[number] = b->passed[0];
	assert_true(mproc_barrier_broken(b->barrier));
	assert_int_equal(mproc_barrier_reset(b->barrier), 0);
	b->resets++;
}

/* They go on. */
static void
replaced(struct mpt *t, unsigned number, pid_t pid)
{
	struct board *b = mpt_scratch(t);
	uint64_t passed = b->passed[0];

	if (b->was_party)
		make_good(t, b, number, pid);
	mpt_until(t, b->passed[0] > passed);
}

/* Nobody waits, and nothing is broken. */
static void
verify(struct mpt *t)
{
	const struct board *b = mpt_scratch(t);

	for (int i = 0; i < CHAOS_WORKERS; i++)
		assert_int_equal(b->passed[i], b->passed[0]);
	assert_int_equal(b->indices[(b->passed[0] - 1) % PHASES],
			 (1u << CHAOS_WORKERS) - 1);
	assert_int_equal(mproc_barrier_waiting(b->barrier), 0);
	assert_false(mproc_barrier_broken(b->barrier));
}

static void
a_barrier_survives_kills_and_stops(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	struct chaos_plan plan = {
		.work = work,
		.kills = KILLS,
		.crowded = true,
		.deeds = deeds,
		.inside = goer,
		.bury = bury,
		.replaced = replaced,
		.verify = verify,
	};

	b->last = UINT64_MAX;
	assert_int_equal(mproc_barrier_create(&b->barrier, CHAOS_WORKERS), 0);
	chaos_run(t, &plan);
	print_message("# %llu phases, %u kills, %u of them before they were "
		      "parties\n",
		      (unsigned long long)b->passed[0], b->chaos.deaths,
		      b->killed_before);
	mproc_barrier_destroy(b->barrier);
}

chaos_both(a_barrier_survives_kills_and_stops)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		chaos_tests(a_barrier_survives_kills_and_stops),
	};

	return cmocka_run_group_tests(tests, chaos_setup, NULL);
}
