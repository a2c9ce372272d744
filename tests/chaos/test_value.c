/* SPDX-License-Identifier: MIT */
/*
 * Eight processes share arrays, each of which is changed under its own lock and freed
 * now and then by who has that, and are killed and stopped at random. What somebody
 * left half changed is told to the next holder; who waits for the lock of an array
 * that is freed goes on without it, also if that one is killed in the middle; and
 * what is added atomically is there, or not if one was killed in that. In a truce
 * each array is one that has a place, or that one of the killed had in its hands.
 */
#include <assert.h>

#include "chaos.h"
#include "pair.h"

#define KILLS 300
#define PLACES 3 /* few, so that some wait */
#define TURNS 500 /* at most, before the next one is used */

enum { MAKES = 1, FREES, FINDS, ACQUIRES, RELEASES };

static const char *const deeds[] = {
	"array_new", "free", "lock_of", "acquire", "release", NULL,
};

/* How an array of bytes begins; the last byte is LAST. */
struct head {
	struct pair pair;
	size_t len;
};

enum { LAST = 0x5a };

struct board {
	struct chaos chaos;
	_Atomic(struct head *) place[PLACES];
	/* Who is in the middle of a change there, or was when it was killed. */
	_Atomic pid_t inside[PLACES];
	/* 1 and so on: the place whose array a worker is about to lock; 0: none. */
	_Atomic unsigned wants[CHAOS_WORKERS];
	uint64_t *sum;
	_Atomic uint64_t shut_down, freed;
	/* For the test alone. */
	unsigned deaths; /* up to the last truce */
	uint64_t blocks; /* of libmproc, in the beginning */
};

static_assert(sizeof(struct board) <= MPT_SCRATCH, "it fits");

/* Mostly small. */
static size_t
any_len(struct mpt_rand *rand)
{
	uint64_t n = mpt_rand_below(rand, 64);

	return sizeof(struct head) + 1 +
	       mpt_rand_below(rand, n < 48 ? 512 : n < 62 ? 8192 :
				    n < 63 ? 300000 : 2500000);
}

static void
make(struct mpt *t, struct board *b, unsigned place, struct mpt_rand *rand)
{
	size_t len = any_len(rand);
	struct head *nobody = NULL, *h;

	chaos_does(MAKES);
	h = mproc_array_new(1, len, NULL);
	chaos_does(0);
	mpt_check(t, h);
	pair_must_be_whole(t, &h->pair);
	mpt_check_int(t, h->len, 0);
	h->len = len;
	((unsigned char *)h)[len - 1] = LAST;
	if (atomic_compare_exchange_strong(&b->place[place], &nobody, h))
		return;
	chaos_does(FREES);
	mproc_free(h);
	chaos_does(0);
}

/* Whether @i may still come to lock what has been taken from @place. Who sleeps is in
 * the middle of that, and is told. */
static bool
may_come(const struct board *b, unsigned i, unsigned place)
{
	return b->wants[i] == place + 1 &&
	       mpt_task_state(b->chaos.pid[i]) != 'S';
}

/* By who has its lock. */
static void
free_array(struct mpt *t, struct board *b, unsigned place, struct head *h)
{
	for (unsigned i = 0; i < CHAOS_WORKERS; i++)
		mpt_until(t, !may_come(b, i, place));
	chaos_does(FREES);
	mproc_free(h);
	chaos_does(0);
	b->freed++;
}

static void
repair(struct mpt *t, struct head *h, mproc_lock *lock)
{
	struct mproc_owner owner;

	mpt_check_int(t, mproc_lock_owner(lock, &owner), 0);
	pair_repair(t, &h->pair, &owner);
	mpt_check_int(t, mproc_lock_consistent(lock), 0);
}

/* The array that is at @place now, and its lock; or NULL. */
static struct head *
acquire(struct mpt *t, struct board *b, unsigned me, unsigned place,
	mproc_lock **ret_lock, struct mpt_rand *rand)
{
	struct head *h;
	int r = -ENOENT;

	b->wants[me] = place + 1;
	h = b->place[place];
	if (h) {
		chaos_does(FINDS);
		*ret_lock = mproc_lock_of(h);
		chaos_does(ACQUIRES);
		r = chaos_done(mproc_lock_acquire(*ret_lock,
						  chaos_timeout(rand)));
	}
	b->wants[me] = 0;
	b->shut_down += r == -ESHUTDOWN;
	if (r < 0) {
		mpt_check(t, !h || r == -EAGAIN || r == -ETIMEDOUT ||
				     r == -ESHUTDOWN);
		return NULL;
	}
	if (r == MPROC_OWNER_DIED)
		repair(t, h, *ret_lock);
	return h;
}

static void
use(struct mpt *t, struct board *b, unsigned me, struct mpt_rand *rand)
{
	unsigned place = (unsigned)mpt_rand_below(rand, PLACES);
	mproc_lock *lock;
	struct head *h = acquire(t, b, me, place, &lock, rand), *is = h;

	if (!h)
		return;
	pair_must_be_whole(t, &h->pair);
	mpt_check_int(t, mproc_array_len(h), h->len);
	mpt_check_int(t, ((unsigned char *)h)[h->len - 1], LAST);
	b->inside[place] = getpid();
	pair_change(&h->pair, rand);
	b->inside[place] = 0;
	/* One that died may have taken it away before. */
	if (mpt_rand_below(rand, 4) == 0 &&
	    atomic_compare_exchange_strong(&b->place[place], &is, NULL)) {
		free_array(t, b, place, h);
		return;
	}
	chaos_does(RELEASES);
	mpt_check_int(t, chaos_done(mproc_lock_release(lock)), 0);
}

static int
work(struct mpt *t, void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct board *b = mpt_scratch(t);
	struct mpt_rand rand;

	chaos_begin(t, me);
	mpt_rand_init(&rand, (uint64_t)getpid());
	chaos_join(t);
	while (chaos_rest(t, me)) {
		use(t, b, me, &rand);
		chaos_spend(&rand, TURNS);
		for (unsigned i = 0; i < PLACES; i++)
			if (!b->place[i])
				make(t, b, i, &rand);
		mproc_fetch_add(b->sum, 1);
		b->chaos.finished[me]++;
	}
	return 0;
}

static pid_t
changer(struct mpt *t, struct mpt_rand *rand)
{
	const struct board *b = mpt_scratch(t);

	return b->inside[mpt_rand_below(rand, PLACES)];
}

static bool
bury(struct mpt *t, unsigned number, pid_t pid)
{
	struct board *b = mpt_scratch(t);

	(void)pid;
	b->wants[number] = 0;
	return false;
}

static bool
is_known(const struct board *b, const void *p)
{
	for (int i = 0; i < PLACES; i++)
		if (b->place[i] == p)
			return true;
	return p == b->sum;
}

/* Each of the dead had at most one in its hands. */
static void
free_strays(struct board *b)
{
	struct mproc_arena_block block = { 0 };
	unsigned strays = 0;

	while (mproc_arena_next_block(NULL, &block) > 0) {
		if (is_known(b, block.p))
			continue;
		strays++;
		mproc_free(block.p);
	}
	assert_in_range(strays, 0, b->chaos.deaths - b->deaths);
	b->deaths = b->chaos.deaths;
}

/* Nobody has its lock. */
static void
verify_array(struct mpt *t, struct head *h)
{
	mproc_lock *lock = mproc_lock_of(h);
	int r = mproc_lock_acquire(lock, MPROC_NOWAIT);

	assert_true(r >= 0);
	if (r == MPROC_OWNER_DIED)
		repair(t, h, lock);
	pair_must_be_whole(t, &h->pair);
	assert_int_equal(mproc_array_len(h), h->len);
	assert_int_equal(mproc_lock_release(lock), 0);
}

/* Everybody rests. */
static void
verify(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	struct mproc_arena_stat now;
	unsigned there = 0;

	assert_true(mproc_arena_recover(NULL) >= 0);
	free_strays(b);
	for (unsigned i = 0; i < PLACES; i++) {
		if (!b->place[i])
			continue;
		verify_array(t, b->place[i]);
		there++;
	}
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, b->blocks + there + 1);
}

static void
arrays_survive_kills_and_stops(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	struct chaos_plan plan = {
		.work = work,
		.kills = KILLS,
		.crowded = true,
		.deeds = deeds,
		.inside = changer,
		.bury = bury,
		.verify = verify,
	};
	struct mproc_arena_stat stat;
	uint64_t finished;

	assert_int_equal(mproc_arena_stat(NULL, &stat), 0);
	b->blocks = stat.blocks;
	b->sum = mproc_value(uint64_t, 0);
	assert_non_null(b->sum);
	chaos_run(t, &plan);
	finished = chaos_finished(t);
	assert_in_range(*b->sum, finished, finished + b->chaos.deaths);
	print_message("# %llu rounds, %llu arrays freed, %llu times while one "
		      "waited\n", (unsigned long long)finished,
		      (unsigned long long)b->freed,
		      (unsigned long long)b->shut_down);
	for (int i = 0; i < PLACES; i++)
		mproc_free(b->place[i]);
	mproc_free(b->sum);
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(mproc_arena_stat(NULL, &stat), 0);
	assert_int_equal(stat.blocks, b->blocks);
}

chaos_both(arrays_survive_kills_and_stops)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		chaos_tests(arrays_survive_kills_and_stops),
	};

	return cmocka_run_group_tests(tests, chaos_setup, NULL);
}
