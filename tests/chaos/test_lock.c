/* SPDX-License-Identifier: MIT */
/*
 * Eight processes share a lock, and are killed and stopped at random. What it
 * protects is never seen half changed without a word, each death that left it so
 * is told once, nothing that was finished is lost, and in the end everybody goes
 * on: nobody waits for the dead, or for a wake-up that they took along.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <mproc/mproc.h>

#include "mpt.h"
#include "mpt_rand.h"

#define WORKERS 8
#define KILLS 500
#define PAUSE 500000 /* ns between two */

/* In the scratch bytes: what the lock protects, and what the test looks at. */
struct board {
	mproc_lock *lock;
	/* Changed one after the other, in this order, as kills come between
	 * instructions; equal, and nobody inside, if whole. */
	volatile uint64_t first, second;
	volatile pid_t inside;
	uint64_t repaired; /* how often it was found half changed */

	_Atomic uint64_t finished[WORKERS]; /* changes, as each knows */
	_Atomic bool over;
};

static unsigned
kills(void)
{
	const char *level = getenv("MPT_LEVEL");

	if (level && strcmp(level, "quick") == 0)
		return KILLS / 10;
	return level && strcmp(level, "full") == 0 ? 2 * KILLS : KILLS;
}

static void
repair(struct mpt *t, struct board *b)
{
	struct mproc_owner owner;

	mpt_check_int(t, mproc_lock_owner(b->lock, &owner), 0);
	mpt_check(t, owner.died_pid > 0);
	mpt_check_int(t, owner.pid, getpid());
	if (b->inside) {
		mpt_check_int(t, owner.died_pid, b->inside);
		b->repaired++;
		b->second = b->first;
		b->inside = 0;
	}
	mpt_check_int(t, mproc_lock_consistent(b->lock), 0);
}

/* Mostly waits without a limit, sometimes gives up. */
static int
acquire(struct board *b, struct mpt_rand *rand)
{
	int r;

	do
		r = mproc_lock_acquire(b->lock, mpt_rand_below(rand, 4) ?
					       MPROC_FOREVER :
					       mproc_us((int64_t)mpt_rand_below(
						       rand, 100)));
	while (r == -ETIMEDOUT || r == -EAGAIN);
	return r;
}

static int
work(struct mpt *t, void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct board *b = mpt_scratch(t);
	struct mpt_rand rand;
	int r;

	mpt_rand_init(&rand, (uint64_t)getpid());
	while (!b->over) {
		r = acquire(b, &rand);
		mpt_check(t, r >= 0);
		if (r == MPROC_OWNER_DIED)
			repair(t, b);
		/* Whoever was here last has told nobody that it is not whole. */
		mpt_check_int(t, b->inside, 0);
		mpt_check(t, b->first == b->second);
		b->inside = getpid();
		b->first++;
		for (uint64_t i = mpt_rand_below(&rand, 5000); i; i--)
			atomic_signal_fence(memory_order_seq_cst);
		b->second++;
		b->inside = 0;
		b->finished[me]++;
		mpt_check_int(t, mproc_lock_release(b->lock), 0);
	}
	return 0;
}

static void
pause_for(int64_t ns)
{
	int64_t end = mproc_now() + ns;

	while (mproc_now() < end)
		;
}

/* Half of the time the one that has the lock at the moment. */
static unsigned
choose_victim(struct mpt *t, const struct board *b, struct mpt_rand *rand,
	      const int id[WORKERS])
{
	struct mproc_owner owner;

	bool aims = mpt_rand_below(rand, 2);

	assert_int_equal(mproc_lock_owner(b->lock, &owner), 0);
	for (unsigned i = 0; i < WORKERS && aims; i++)
		if (mpt_pid(t, id[i]) == owner.pid)
			return i;
	return (unsigned)mpt_rand_below(rand, WORKERS);
}

static void
be_killed_and_stopped(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	unsigned n = kills();
	uint64_t finished = 0;
	struct mpt_rand rand;
	int id[WORKERS];

	mpt_watchdog(t, 60);
	mpt_rand_init(&rand, mpt_seed());
	assert_int_equal(mproc_lock_create(&b->lock), 0);
	for (unsigned i = 0; i < WORKERS; i++)
		id[i] = mpt_spawn(t, "worker", work, (void *)(uintptr_t)i);
	for (unsigned i = 0; i < n; i++) {
		unsigned other = (unsigned)mpt_rand_below(&rand, WORKERS);
		unsigned victim;

		pause_for((int64_t)mpt_rand_below(&rand, PAUSE));
		mpt_pause(t, id[other]);
		pause_for((int64_t)mpt_rand_below(&rand, PAUSE));
		victim = choose_victim(t, b, &rand, id);
		mpt_kill(t, id[victim]);
		if (other != victim)
			mpt_resume(t, id[other]);
		id[victim] = mpt_spawn(t, "worker", work,
				       (void *)(uintptr_t)victim);
	}
	b->over = true;
	for (unsigned i = 0; i < WORKERS; i++)
		mpt_expect_exit(t, id[i], 0);

	assert_true(mproc_arena_recover(NULL) >= 0);
	if (mproc_lock_acquire(b->lock, MPROC_NOWAIT) == MPROC_OWNER_DIED)
		repair(t, b);
	for (unsigned i = 0; i < WORKERS; i++)
		finished += b->finished[i];
	/* Who is killed between the change and its note has done one more. */
	assert_int_equal(b->first, b->second);
	assert_in_range(b->first, finished, finished + n);
	assert_in_range(b->repaired, 0, n);
	print_message("# %llu changes, %u kills, %llu of them inside\n",
		      (unsigned long long)b->first, n,
		      (unsigned long long)b->repaired);
	mproc_lock_destroy(b->lock);
}

static void
a_lock_survives_kills_and_stops(void **state)
{
	be_killed_and_stopped(*state);
}

static void
and_on_one_cpu(void **state)
{
	cpu_set_t all, one;

	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	CPU_ZERO(&one);
	for (int cpu = 0; !CPU_COUNT(&one) && cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all))
			CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	be_killed_and_stopped(*state);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

static int
setup(void **state)
{
	(void)state;
	return mproc_arena_default() ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_lock_survives_kills_and_stops),
		mpt_test(and_on_one_cpu),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
