/* SPDX-License-Identifier: MIT */
/*
 * Eight processes share a recursive lock, take it up to four times, and are
 * killed and stopped at random. As with a plain lock; and however often the
 * dead had it, the next holder has it once, and when it has released it as
 * often as it took it, it has it no more.
 */
#include "chaos.h"
#include "pair.h"

#define KILLS 300
#define DEPTH 4

enum { ACQUIRES = 1, RELEASES };

static const char *const deeds[] = { "acquire", "release", NULL };

struct board {
	struct chaos chaos;
	mproc_rlock *lock;
	struct pair pair;
};

static void
look(struct mpt *t, const struct board *b, struct mproc_owner *ret_owner)
{
	mpt_check_int(t, mproc_rlock_owner(b->lock, ret_owner), 0);
}

static void
repair(struct mpt *t, struct board *b)
{
	struct mproc_owner owner;

	look(t, b, &owner);
	pair_repair(t, &b->pair, &owner);
	mpt_check_int(t, mproc_rlock_consistent(b->lock), 0);
}

static int
acquire(struct board *b, struct mpt_rand *rand)
{
	int r;

	do {
		chaos_does(ACQUIRES);
		r = chaos_done(mproc_rlock_acquire(b->lock,
						   chaos_timeout(rand)));
	} while (r == -ETIMEDOUT || r == -EAGAIN);
	return r;
}

static void
release(struct mpt *t, struct board *b, uint64_t times)
{
	struct mproc_owner owner;

	while (times--) {
		look(t, b, &owner);
		mpt_check_int(t, owner.pid, getpid());
		chaos_does(RELEASES);
		mpt_check_int(t, chaos_done(mproc_rlock_release(b->lock)), 0);
	}
	look(t, b, &owner);
	mpt_check(t, owner.pid != getpid());
}

/* Once more, and after a part of the change again. */
static void
change_nested(struct mpt *t, struct board *b, struct mpt_rand *rand)
{
	uint64_t depth = mpt_rand_below(rand, DEPTH);

	for (uint64_t i = 0; i < depth; i++) {
		chaos_does(ACQUIRES);
		mpt_check_int(t, chaos_done(mproc_rlock_acquire(
					 b->lock, MPROC_NOWAIT)), 0);
	}
	pair_change(&b->pair, rand);
	release(t, b, depth + 1);
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
		change_nested(t, b, &rand);
		b->chaos.finished[me]++;
	}
	return 0;
}

static pid_t
holder(struct mpt *t, struct mpt_rand *rand)
{
	struct mproc_owner owner;

	(void)rand;
	look(t, mpt_scratch(t), &owner);
	return owner.pid;
}

/* Nobody has it. */
static void
verify(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	int r = mproc_rlock_acquire(b->lock, MPROC_NOWAIT);

	assert_true(r >= 0);
	if (r == MPROC_OWNER_DIED)
		repair(t, b);
	pair_must_be_whole(t, &b->pair);
	release(t, b, 1);
}

static void
a_recursive_lock_survives_kills_and_stops(struct mpt *t)
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

	assert_int_equal(mproc_rlock_create(&b->lock), 0);
	chaos_run(t, &plan);
	pair_must_be_all(t, &b->pair);
	mproc_rlock_destroy(b->lock);
}

chaos_both(a_recursive_lock_survives_kills_and_stops)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		chaos_tests(a_recursive_lock_survives_kills_and_stops),
	};

	return cmocka_run_group_tests(tests, chaos_setup, NULL);
}
