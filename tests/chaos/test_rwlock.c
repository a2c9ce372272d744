/* SPDX-License-Identifier: MIT */
/*
 * Eight processes share a lock for readers and writers, and are killed and
 * stopped at random. Nothing changes while one reads; what a dead writer has
 * left is told to each reader and writer until a writer repairs it; dead
 * readers leave nothing; nothing that was finished is lost, and everybody goes
 * on.
 */
#include "chaos.h"
#include "pair.h"

#define KILLS 500
#define ONE_WRITE_IN 3

enum { READS = 1, WRITES, RELEASES };

static const char *const deeds[] = { "read", "write", "release", NULL };

struct board {
	struct chaos chaos;
	mproc_rwlock *lock;
	struct pair pair;
};

static void
repair(struct mpt *t, struct board *b)
{
	struct mproc_owner owner;

	mpt_check_int(t, mproc_rwlock_owner(b->lock, &owner), 0);
	pair_repair(t, &b->pair, &owner);
	mpt_check_int(t, mproc_rwlock_consistent(b->lock), 0);
}

/* A holder, one way or the other. */
static int
take(struct board *b, int (*how)(mproc_rwlock *, mproc_timeout),
     struct mpt_rand *rand)
{
	int r;

	do {
		chaos_does(how == mproc_rwlock_read ? READS : WRITES);
		r = chaos_done(how(b->lock, chaos_timeout(rand)));
	} while (r == -ETIMEDOUT || r == -EAGAIN);
	return r;
}

static void
change(struct mpt *t, struct board *b, struct mpt_rand *rand)
{
	int r = take(b, mproc_rwlock_write, rand);

	mpt_check(t, r >= 0);
	if (r == MPROC_OWNER_DIED)
		repair(t, b);
	pair_must_be_whole(t, &b->pair);
	pair_change(&b->pair, rand);
}

/* A reader that is told of a death may find anything, but it stays so. */
static void
look(struct mpt *t, struct board *b, struct mpt_rand *rand)
{
	bool twice = mpt_rand_below(rand, 4) == 0;
	struct mproc_owner owner;
	int r = take(b, mproc_rwlock_read, rand);

	mpt_check(t, r >= 0);
	if (r == MPROC_OWNER_DIED) {
		mpt_check_int(t, mproc_rwlock_owner(b->lock, &owner), 0);
		pair_must_be_left_by(t, &b->pair, owner.died_pid);
	} else {
		pair_must_be_whole(t, &b->pair);
	}
	if (twice)
		mpt_check_int(t, mproc_rwlock_read(b->lock, MPROC_NOWAIT), r);
	pair_must_stay(t, &b->pair, rand);
	if (twice)
		mpt_check_int(t, mproc_rwlock_release(b->lock), 0);
}

static int
work(struct mpt *t, void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct board *b = mpt_scratch(t);
	struct mpt_rand rand;

	chaos_begin(t, me);
	mpt_rand_init(&rand, (uint64_t)getpid());
	while (chaos_rest(t, me)) {
		bool writes = mpt_rand_below(&rand, ONE_WRITE_IN) == 0;

		if (writes) {
			change(t, b, &rand);
			b->chaos.finished[me]++;
		} else {
			look(t, b, &rand);
		}
		chaos_does(RELEASES);
		mpt_check_int(t, chaos_done(mproc_rwlock_release(b->lock)), 0);
		mpt_check_int(t, mproc_rwlock_release(b->lock), -EPERM);
	}
	return 0;
}

/* The writer, or a reader. */
static pid_t
holder(struct mpt *t, struct mpt_rand *rand)
{
	const struct board *b = mpt_scratch(t);
	struct mproc_owner owner;

	(void)rand;
	assert_int_equal(mproc_rwlock_owner(b->lock, &owner), 0);
	return owner.pid;
}

/* Nobody has it. */
static void
verify(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	int r = mproc_rwlock_write(b->lock, MPROC_NOWAIT);

	assert_true(r >= 0);
	if (r == MPROC_OWNER_DIED)
		repair(t, b);
	pair_must_be_whole(t, &b->pair);
	assert_int_equal(mproc_rwlock_release(b->lock), 0);
}

static void
readers_and_writers_survive_kills_and_stops(struct mpt *t)
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

	assert_int_equal(mproc_rwlock_create(&b->lock), 0);
	chaos_run(t, &plan);
	pair_must_be_all(t, &b->pair);
	mproc_rwlock_destroy(b->lock);
}

chaos_both(readers_and_writers_survive_kills_and_stops)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		chaos_tests(readers_and_writers_survive_kills_and_stops),
	};

	return cmocka_run_group_tests(tests, chaos_setup, NULL);
}
