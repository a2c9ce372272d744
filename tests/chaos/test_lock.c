/* SPDX-License-Identifier: MIT */
/*
 * Eight processes share a lock, and are killed and stopped at random. What it
 * protects is never seen half changed without a word, each death that left it
 * so is told once, nothing that was finished is lost, and in the end everybody
 * goes on: nobody waits for the dead, or for a wake-up that they took along.
 */
#include "chaos.h"
#include "pair.h"

#define KILLS 500

enum { ACQUIRES = 1, RELEASES };

static const char *const deeds[] = { "acquire", "release", NULL };

struct board {
	struct chaos chaos;
	mproc_lock *lock;
	struct pair pair;
};

static void
repair(struct mpt *t, struct board *b)
{
	struct mproc_owner owner;

	mpt_check_int(t, mproc_lock_owner(b->lock, &owner), 0);
	pair_repair(t, &b->pair, &owner);
	mpt_check_int(t, mproc_lock_consistent(b->lock), 0);
}

static int
acquire(struct board *b, struct mpt_rand *rand)
{
	int r;

	do {
		chaos_does(ACQUIRES);
		r = chaos_done(mproc_lock_acquire(b->lock,
						  chaos_timeout(rand)));
	} while (r == -ETIMEDOUT || r == -EAGAIN);
	return r;
}

static int
work(struct mpt *t, void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct board *b = mpt_scratch(t);
	struct mpt_rand rand;
	int r;

	chaos_begin(t, me);
	mpt_rand_init(&rand, (uint64_t)getpid());
	while (chaos_rest(t, me)) {
		r = acquire(b, &rand);
		mpt_check(t, r >= 0);
		if (r == MPROC_OWNER_DIED)
			repair(t, b);
		pair_must_be_whole(t, &b->pair);
		pair_change(&b->pair, &rand);
		b->chaos.finished[me]++;
		chaos_does(RELEASES);
		mpt_check_int(t, chaos_done(mproc_lock_release(b->lock)), 0);
	}
	return 0;
}

static pid_t
holder(struct mpt *t, struct mpt_rand *rand)
{
	const struct board *b = mpt_scratch(t);
	struct mproc_owner owner;

	(void)rand;
	assert_int_equal(mproc_lock_owner(b->lock, &owner), 0);
	return owner.pid;
}

/* Nobody has it. */
static void
verify(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	int r = mproc_lock_acquire(b->lock, MPROC_NOWAIT);

	assert_true(r >= 0);
	if (r == MPROC_OWNER_DIED)
		repair(t, b);
	pair_must_be_whole(t, &b->pair);
	assert_int_equal(mproc_lock_release(b->lock), 0);
}

static void
a_lock_survives_kills_and_stops(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	struct chaos_plan plan = {
		.work = work,
		.kills = KILLS,
		.crowded = true,
		.deeds = deeds,
		.inside = holder,
		.verify = verify,
	};

	assert_int_equal(mproc_lock_create(&b->lock), 0);
	chaos_run(t, &plan);
	pair_must_be_all(t, &b->pair);
	mproc_lock_destroy(b->lock);
}

chaos_both(a_lock_survives_kills_and_stops)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		chaos_tests(a_lock_survives_kills_and_stops),
	};

	return cmocka_run_group_tests(tests, chaos_setup, NULL);
}
