/* SPDX-License-Identifier: MIT */
/*
 * Eight processes allocate, resize and free blocks of all sizes, their own and each
 * other's, and are killed and stopped at random; some look for the dead meanwhile, and
 * give memory back. Each block's contents say whose it is, so a block that was handed
 * out twice, or whose memory went away, is noticed. In a truce each block that is
 * allocated is one that somebody knows, or that one of the killed had in its hands, at
 * most one each; and one that was just being resized is there once, with all its bytes.
 * Nothing else is missing from the arena.
 */
#include <assert.h>
#include <stdio.h>

#include "chaos.h"

#define KILLS 400
#define SHELF 128
#define LOST_MAX (CHAOS_BETWEEN_TRUCES + 1)
#define STEP 512 /* of what is written in large blocks, bytes */
#define WHOLE 2048 /* up to here all is written */

enum { ALLOCATES = 1, FREES, RESIZES, MAKES_ARRAY, LOOKS };

static const char *const deeds[] = {
	"alloc", "free", "realloc", "array", "recover", NULL,
};

/* How a block begins. Others are between its bytes as id and place say. */
struct head {
	uint64_t id;
	uint64_t size;
};

struct board {
	struct chaos chaos;
	_Atomic(struct head *) shelf[SHELF];
	_Atomic uint64_t next_id;
	/* The id of what a worker resizes, or 0, and how many of its bytes
	 * stay. */
	_Atomic uint64_t resizes[CHAOS_WORKERS];
	size_t keeps[CHAOS_WORKERS];
	/* Since the last truce. */
	unsigned n_dead;
	uint64_t lost[LOST_MAX]; /* ids of what they resized */
	size_t kept[LOST_MAX];
	unsigned n_lost;
	uint64_t blocks; /* of libmproc, in the beginning */
};

static_assert(sizeof(struct board) <= MPT_SCRATCH, "it fits");

static uint64_t *
word_at(struct head *h, size_t offset)
{
	return (uint64_t *)(void *)((unsigned char *)h + offset);
}

static uint64_t
pattern(uint64_t id, size_t offset)
{
	return id * UINT64_C(0x9e3779b97f4a7c15) + offset;
}

/* Which words of a block are written: the next one after @offset. */
static size_t
next_word(size_t offset)
{
	return offset < WHOLE ? offset + 8 : offset + STEP;
}

static void
fill(struct board *b, struct head *h, size_t size)
{
	h->id = ++b->next_id;
	h->size = size;
	for (size_t at = sizeof(*h); at + 8 <= size; at = next_word(at))
		*word_at(h, at) = pattern(h->id, at);
}

/* Whether the first @size bytes are the block's own. */
static bool
is_whole(struct head *h, size_t size)
{
	for (size_t at = sizeof(*h); at + 8 <= size; at = next_word(at))
		if (*word_at(h, at) != pattern(h->id, at))
			return false;
	return h->id != 0;
}

/* Whether bytes [@from, @to) are zero, as far as they would be written. */
static bool
is_zero(struct head *h, size_t from, size_t to)
{
	for (size_t at = 0; at + 8 <= to; at = next_word(at))
		if (at >= from && *word_at(h, at))
			return false;
	return true;
}

/* Mostly small. */
static size_t
any_size(struct mpt_rand *rand)
{
	uint64_t n = mpt_rand_below(rand, 256);
	uint64_t most = n < 160 ? 512 : n < 240 ? 4096 : n < 250 ? 32768 :
			n < 254 ? 300000 : 2500000;

	return sizeof(struct head) +
	       mpt_rand_below(rand, most - sizeof(struct head));
}

static struct head *
make(struct mpt *t, struct board *b, struct mpt_rand *rand)
{
	bool is_array = mpt_rand_below(rand, 8) == 0;
	size_t size = any_size(rand);
	struct head *h;

	chaos_does(is_array ? MAKES_ARRAY : ALLOCATES);
	h = is_array ? mproc_array_new(1, size, NULL) : mproc_alloc(size);
	chaos_does(0);
	mpt_check(t, h);
	mpt_check(t, is_zero(h, 0, size));
	fill(b, h, size);
	return h;
}

static void
let_go(struct head *h)
{
	chaos_does(FREES);
	mproc_free(h);
	chaos_does(0);
}

static struct head *
resize(struct mpt *t, struct board *b, unsigned me, struct head *h,
       struct mpt_rand *rand)
{
	size_t size = any_size(rand), old = h->size;
	uint64_t id = h->id;
	struct head *moved;

	/* What is an array cannot be. */
	if (mproc_array_len(h))
		return h;
	b->keeps[me] = size < old ? size : old;
	b->resizes[me] = id;
	chaos_does(RESIZES);
	moved = mproc_realloc(h, size);
	chaos_does(0);
	b->resizes[me] = 0;
	mpt_check(t, moved);
	mpt_check(t, moved->id == id);
	mpt_check(t, is_whole(moved, b->keeps[me]));
	mpt_check(t, is_zero(moved, old, size));
	fill(b, moved, size);
	return moved;
}

/* Has a block, puts it in a place, and does something with what was there. */
static void
trade(struct mpt *t, struct board *b, unsigned me, struct mpt_rand *rand)
{
	_Atomic(struct head *) *place = &b->shelf[mpt_rand_below(rand, SHELF)];
	struct head *h;

	if (mpt_rand_below(rand, 2)) {
		h = make(t, b, rand);
	} else {
		h = atomic_exchange(place, NULL);
		if (!h)
			return;
		mpt_check(t, is_whole(h, h->size));
		h = resize(t, b, me, h, rand);
	}
	h = atomic_exchange(place, h);
	if (!h)
		return;
	mpt_check(t, is_whole(h, h->size));
	let_go(h);
}

/* What one has freed last it is given again: the frequent case. */
static void
churn(struct mpt *t, struct board *b, struct mpt_rand *rand)
{
	for (uint64_t n = mpt_rand_below(rand, 20); n; n--) {
		struct head *h = make(t, b, rand);

		mpt_check(t, is_whole(h, h->size));
		let_go(h);
	}
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
		if (mpt_rand_below(&rand, 250) == 0) {
			chaos_does(LOOKS);
			mpt_check(t, chaos_done(mproc_arena_recover(NULL)) >=
					     0);
		} else if (mpt_rand_below(&rand, 4) == 0) {
			churn(t, b, &rand);
		} else {
			trade(t, b, me, &rand);
		}
		b->chaos.finished[me]++;
	}
	return 0;
}

/* One that is within a call, of whatever kind is wanted just now. */
static pid_t
caller(struct mpt *t, struct mpt_rand *rand)
{
	const struct board *b = mpt_scratch(t);
	unsigned deed = 1 + (unsigned)mpt_rand_below(rand, LOOKS);

	for (unsigned i = 0; i < CHAOS_WORKERS; i++)
		if (b->chaos.deed[i] == deed)
			return b->chaos.pid[i];
	return 0;
}

static bool
bury(struct mpt *t, unsigned number, pid_t pid)
{
	struct board *b = mpt_scratch(t);

	(void)pid;
	b->n_dead++;
	if (b->resizes[number]) {
		b->kept[b->n_lost] = b->keeps[number];
		b->lost[b->n_lost++] = b->resizes[number];
	}
	b->resizes[number] = 0;
	return false;
}

static bool
is_known(const struct board *b, const void *p)
{
	for (int i = 0; i < SHELF; i++)
		if (b->shelf[i] == p)
			return true;
	return false;
}

/* What nobody knows. If it was just being resized, it is the old one or the new one,
 * and that is there once. */
static void
free_stray(struct board *b, const struct mproc_arena_block *stray)
{
	struct head *h = stray->p;

	for (unsigned i = 0; i < b->n_lost; i++) {
		if (b->lost[i] != h->id)
			continue;
		assert_true(stray->size >= b->kept[i]);
		assert_true(is_whole(h, b->kept[i]));
		b->lost[i] = b->lost[--b->n_lost];
		b->kept[i] = b->kept[b->n_lost];
		break;
	}
	mproc_free(h);
}

/* Everybody rests. */
static void
verify(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	struct mproc_arena_block block = { 0 };
	unsigned known = 0, on_shelf = 0, strays = 0;
	struct mproc_arena_stat now;

	assert_true(mproc_arena_recover(NULL) >= 0);
	for (int i = 0; i < SHELF; i++) {
		struct head *h = b->shelf[i];

		if (!h)
			continue;
		on_shelf++;
		assert_true(is_whole(h, h->size));
		for (int k = 0; k < i; k++)
			assert_true(b->shelf[k] != h);
	}
	while (mproc_arena_next_block(NULL, &block) > 0) {
		if (is_known(b, block.p)) {
			known++;
			continue;
		}
		strays++;
		free_stray(b, &block);
	}
	assert_int_equal(known, on_shelf);
	assert_in_range(strays, 0, b->n_dead);
	/* What was just being resized has been found. */
	assert_int_equal(b->n_lost, 0);
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, b->blocks + on_shelf);
	b->n_dead = 0;
}

static void
blocks_survive_kills_and_stops(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	struct chaos_plan plan = {
		.work = work,
		.kills = KILLS,
		.deeds = deeds,
		.inside = caller,
		.bury = bury,
		.verify = verify,
	};
	struct mproc_arena_stat stat;

	assert_int_equal(mproc_arena_stat(NULL, &stat), 0);
	b->blocks = stat.blocks;
	chaos_run(t, &plan);
	printf("# %llu rounds\n", (unsigned long long)chaos_finished(t));
	for (int i = 0; i < SHELF; i++)
		mproc_free(b->shelf[i]);
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(mproc_arena_stat(NULL, &stat), 0);
	assert_int_equal(stat.blocks, b->blocks);
}

chaos_both(blocks_survive_kills_and_stops)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		chaos_tests(blocks_survive_kills_and_stops),
	};

	return cmocka_run_group_tests(tests, chaos_setup, NULL);
}
