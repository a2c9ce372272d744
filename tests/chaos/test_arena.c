/* SPDX-License-Identifier: MIT */
/*
 * Eight programs meet in arenas with a name, and are killed and stopped at random,
 * most of them as they make one, open it, look for what is in it, or close it. One
 * arena stays until a truce; whoever comes first makes it, and what is in it. Another
 * one comes and goes: each makes it, or opens it if it is there, and takes away its
 * name. No one meets half an arena, what a lock in it protects is whole or its next
 * holder is told, messages are whole, and nothing stays that nobody knows: neither a
 * name, nor a participant, nor more blocks than the dead can have had in their hands.
 *
 * The test has no arena open while the others work; each of them has it elsewhere.
 */
#include <stdio.h>
#include <sys/mman.h>

#include "chaos.h"
#include "pair.h"

#define KILLS 100
#define SIZE ((size_t)16 << 20)
#define PAD_MAX 64 /* times an arena's size, so that it lies elsewhere */
#define TRADES 4 /* at most, before it is closed */
#define SIGNS 50 /* at most, as one takes much less than to come in */
#define WORDS 8 /* of a message */

enum { CREATES = 1, OPENS, FINDS, BINDS, CLOSES, UNLINKS };

static const char *const deeds[] = {
	"create", "open", "find", "bind", "close", "unlink", NULL,
};

/* In the arena. */
struct shop {
	mproc_lock lock;
	struct pair pair;
};

struct board {
	struct chaos chaos;
	char name[64];
	char other_name[64]; /* of the one that comes and goes */
	/* For the test alone: at the last truce. */
	uint64_t finished;
	unsigned deaths;
};

/* Makes it, or opens it if it is there. Returns which. */
static unsigned
come_in(struct mpt *t, const char *name, mproc_arena **ret_a)
{
	int r;

	for (;;) {
		chaos_does(CREATES);
		r = chaos_done(mproc_arena_create(ret_a, MPROC_OPTS(
			mproc_arena_opts, .name = name, .capacity = SIZE)));
		if (r == 0)
			return CREATES;
		mpt_check_int(t, r, -EEXIST);
		chaos_does(OPENS);
		r = chaos_done(mproc_arena_open(ret_a, name, MPROC_NOWAIT));
		if (r == 0)
			return OPENS;
		/* Its name was taken away in between. */
		mpt_check_int(t, r, -ENOENT);
	}
}

static void
leave(mproc_arena *a)
{
	chaos_does(CLOSES);
	mproc_arena_close(a);
	chaos_does(0);
}

static void
take_name(struct mpt *t, const char *name)
{
	int r;

	chaos_does(UNLINKS);
	r = chaos_done(mproc_arena_unlink(name));
	mpt_check(t, r == 0 || r == -ENOENT);
}

static int
find(mproc_arena *a, const char *name, void **ret)
{
	chaos_does(FINDS);
	return chaos_done(mproc_arena_find(a, name, ret, MPROC_NOWAIT));
}

/* Returns false if something has that name. Who is about to bind another one may have
 * been stopped. */
static bool
bind(struct mpt *t, mproc_arena *a, const char *name, void *object)
{
	int r;

	do {
		chaos_does(BINDS);
		r = chaos_done(mproc_arena_bind(a, name, object));
	} while (r == -EBUSY);
	mpt_check(t, r == 0 || r == -EEXIST);
	return r == 0;
}

static struct shop *
find_shop(struct mpt *t, mproc_arena *a)
{
	void *shop;
	int r;

	while ((r = find(a, "shop", &shop)) < 0) {
		mpt_check_int(t, r, -ENOENT);
		shop = mproc_arena_alloc(a, sizeof(struct shop), 0);
		mpt_check(t, shop);
		if (bind(t, a, "shop", shop))
			return shop;
		mproc_free(shop);
	}
	return shop;
}

static mproc_queue *
find_queue(struct mpt *t, mproc_arena *a)
{
	mproc_queue *q = NULL;
	void *found;
	int r;

	while ((r = find(a, "queue", &found)) < 0) {
		mpt_check_int(t, r, -ENOENT);
		mpt_check_int(t, mproc_queue_create(&q, MPROC_OPTS(
			mproc_queue_opts, .arena = a, .capacity = 4096)), 0);
		if (bind(t, a, "queue", q))
			return q;
		mproc_queue_destroy(q);
	}
	return found;
}

static void
repair(struct mpt *t, struct shop *shop)
{
	struct mproc_owner owner;

	mpt_check_int(t, mproc_lock_owner(&shop->lock, &owner), 0);
	pair_repair(t, &shop->pair, &owner);
	mpt_check_int(t, mproc_lock_consistent(&shop->lock), 0);
}

static void
trade(struct mpt *t, struct shop *shop, unsigned me, struct mpt_rand *rand)
{
	struct board *b = mpt_scratch(t);
	int r = mproc_lock_acquire(&shop->lock, MPROC_FOREVER);

	mpt_check(t, r >= 0);
	if (r == MPROC_OWNER_DIED)
		repair(t, shop);
	pair_must_be_whole(t, &shop->pair);
	pair_change(&shop->pair, rand);
	b->chaos.finished[me]++;
	mpt_check_int(t, mproc_lock_release(&shop->lock), 0);
}

/* All words of a message are the same. */
static void
exchange(struct mpt *t, mproc_queue *q, struct mpt_rand *rand)
{
	uint64_t words[WORDS];
	size_t len;
	int r;

	for (int i = 0; i < WORDS; i++)
		words[i] = i ? words[0] : mpt_rand_next(rand);
	r = mproc_queue_put(q, words, sizeof(words), MPROC_NOWAIT);
	mpt_check(t, r == 0 || r == -EAGAIN);
	r = mproc_queue_get(q, words, sizeof(words), &len, MPROC_NOWAIT);
	mpt_check(t, r == 0 || r == -EAGAIN);
	for (int i = 0; r == 0 && i < WORDS; i++)
		mpt_check(t, words[i] == words[0]);
	mpt_check(t, r < 0 || len == sizeof(words));
}

/* A name of its own: nobody else binds it, but whoever had this one's place may have
 * died with it bound. */
static void
sign(struct mpt *t, mproc_arena *a, unsigned me, struct shop *shop)
{
	char name[32];
	void *found;

	snprintf(name, sizeof(name), "visitor %u", me);
	if (!bind(t, a, name, shop)) {
		mpt_check_int(t, find(a, name, &found), 0);
		mpt_check(t, found == shop);
	}
	mpt_check(t, bind(t, a, name, NULL));
	mpt_check_int(t, find(a, name, &found), -ENOENT);
}

static void
visit(struct mpt *t, unsigned me, struct mpt_rand *rand)
{
	struct board *b = mpt_scratch(t);
	struct shop *shop;
	mproc_arena *a;
	mproc_queue *q;

	come_in(t, b->name, &a);
	shop = find_shop(t, a);
	q = find_queue(t, a);
	for (uint64_t n = mpt_rand_below(rand, TRADES); n; n--) {
		for (uint64_t i = mpt_rand_below(rand, SIGNS); i; i--)
			sign(t, a, me, shop);
		trade(t, shop, me, rand);
		exchange(t, q, rand);
	}
	leave(a);
}

/* Whoever has made it takes its name away; if that one is dead, another one. */
static void
pass_through(struct mpt *t, struct mpt_rand *rand)
{
	struct board *b = mpt_scratch(t);
	mproc_arena *a;
	uint64_t *p;
	unsigned how = come_in(t, b->other_name, &a);

	p = mproc_arena_alloc(a, sizeof(*p), 0);
	mpt_check(t, p && *p == 0);
	*p = 1;
	mproc_free(p);
	leave(a);
	if (how == CREATES || mpt_rand_below(rand, 4) == 0)
		take_name(t, b->other_name);
}

/* Has what is mapped next lie elsewhere than in other programs. */
static void
occupy(struct mpt *t, struct mpt_rand *rand)
{
	size_t size = SIZE * (1 + (size_t)mpt_rand_below(rand, PAD_MAX));

	mpt_check(t, mmap(NULL, size, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) !=
			     MAP_FAILED);
}

static int
work(struct mpt *t, void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct mpt_rand rand;

	chaos_begin(t, me);
	mpt_rand_init(&rand, (uint64_t)getpid());
	occupy(t, &rand);
	while (chaos_rest(t, me)) {
		if (mpt_rand_below(&rand, 2))
			visit(t, me, &rand);
		else
			pass_through(t, &rand);
	}
	return 0;
}

/* One that is in the middle of a call, if there is one. */
static pid_t
caller(struct mpt *t, struct mpt_rand *rand)
{
	const struct board *b = mpt_scratch(t);
	unsigned i = (unsigned)mpt_rand_below(rand, CHAOS_WORKERS);

	return b->chaos.deed[i] ? b->chaos.pid[i] : 0;
}

/* All that was finished is there; of blocks one that has a name, and what the dead
 * had in their hands. */
static void
verify_contents(struct mpt *t, mproc_arena *a)
{
	struct board *b = mpt_scratch(t);
	struct mproc_arena_block block = { 0 };
	uint64_t finished = chaos_finished(t) - b->finished;
	unsigned deaths = b->chaos.deaths - b->deaths, blocks = 0;
	struct shop *shop = find_shop(t, a);
	struct mproc_arena_stat stat;
	int r = mproc_lock_acquire(&shop->lock, MPROC_NOWAIT);

	assert_true(r >= 0);
	if (r == MPROC_OWNER_DIED)
		repair(t, shop);
	pair_must_be_whole(t, &shop->pair);
	assert_in_range(shop->pair.first, finished, finished + deaths);
	assert_int_equal(mproc_lock_release(&shop->lock), 0);
	assert_true(mproc_arena_recover(a) >= 0);
	assert_int_equal(mproc_arena_stat(a, &stat), 0);
	assert_int_equal(stat.participants, 1);
	while (mproc_arena_next_block(a, &block) > 0)
		blocks++;
	assert_in_range(blocks, 1, 1 + deaths);
}

/* Everybody rests, outside. */
static void
verify(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	mproc_arena *a = NULL;
	int r;

	come_in(t, b->name, &a);
	verify_contents(t, a);
	mproc_arena_close(a);
	assert_int_equal(mproc_arena_unlink(b->name), 0);
	assert_int_equal(mproc_arena_open(&a, b->name, MPROC_NOWAIT), -ENOENT);
	r = mproc_arena_unlink(b->other_name);
	assert_true(r == 0 || r == -ENOENT);
	b->finished = chaos_finished(t);
	b->deaths = b->chaos.deaths;
}

static void
programs_meet_in_spite_of_kills_and_stops(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	struct chaos_plan plan = {
		.work = work,
		.kills = KILLS,
		.deeds = deeds,
		.inside = caller,
		.verify = verify,
	};

	mpt_name(t, b->name, "arena");
	mpt_name(t, b->other_name, "passing");
	chaos_run(t, &plan);
	print_message("# %llu trades, %u kills\n",
		      (unsigned long long)chaos_finished(t), b->chaos.deaths);
}

chaos_both(programs_meet_in_spite_of_kills_and_stops)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		chaos_tests(programs_meet_in_spite_of_kills_and_stops),
	};

	return cmocka_run_group_tests(tests, chaos_setup, NULL);
}
