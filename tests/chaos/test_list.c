/* SPDX-License-Identifier: MIT */
/*
 * Eight processes use two lists and are killed and stopped at random.
 *
 * Through one of them go tokens, each of which there is once: a worker takes some
 * out, and puts them back elsewhere. Whatever it is killed at, the others are whole
 * and in the list once, and no more are missing than a dead one can have had in its
 * hands. The values of the other list are replaced, in place: there are always as
 * many, and each is whole. Readers see the same as all others. In the end there are
 * as many blocks as in the beginning.
 */
#include <stdio.h>

#include "chaos.h"
#include "containers/list.h"

#define KILLS 300

enum {
	GETS = 1, SETS, POPS, INSERTS, EXTENDS, REPLACES, SLICES, SORTS, REVERSES,
};

static const char *const deeds[] = {
	"get", "set", "pop", "insert", "extend", "replace", "slice", "sort",
	"reverse", NULL,
};

enum { TOKENS = 100, HAND = 3, PLACES = 8 };

struct board {
	struct chaos chaos;
	mproc_list *tokens, *places;
	unsigned deaths; /* until the last truce */
	uint64_t blocks; /* then; 0 before the first one */
};

#define TOKEN_FORMAT "token %03u, which does not lie in a slot"

static struct mproc_any
token(unsigned n, char text[64])
{
	snprintf(text, 64, TOKEN_FORMAT, n);
	return mproc_str(text);
}

/* Which one it is; it must be one. */
static unsigned
number_of(struct mpt *t, const struct mproc_any *any)
{
	char text[64];
	unsigned n;

	mpt_check_int(t, any->kind, MPROC_STR);
	mpt_check_int(t, sscanf(any->ptr, "token %u", &n), 1);
	mpt_check(t, n < TOKENS);
	token(n, text);
	mpt_check(t, strcmp(text, any->ptr) == 0);
	return n;
}

/* Numbers and texts of any length, so that all ways of replacing come about. */
static struct mproc_any
place(struct mpt_rand *rand, char text[64])
{
	size_t len = (size_t)mpt_rand_below(rand, 60);
	struct mproc_any any = mproc_bytes(text, len);

	if (len % 4 == 0)
		return mproc_int((int64_t)len);
	memset(text, 'a' + (int)(len % 26), len);
	return any;
}

static void
place_must_be_whole(struct mpt *t, const struct mproc_any *any)
{
	const char *bytes = any->ptr;

	if (any->kind == MPROC_INT) {
		mpt_check(t, any->i64 >= 0 && any->i64 < 60);
		mpt_check_int(t, any->i64 % 4, 0);
		return;
	}
	mpt_check_int(t, any->kind, MPROC_BYTES);
	for (size_t i = 0; i < any->len; i++)
		mpt_check_int(t, bytes[i], 'a' + (int)(any->len % 26));
}

static void
look(struct mpt *t, struct board *b, struct mpt_rand *rand)
{
	struct mproc_any any;
	int r;

	chaos_does(GETS);
	r = chaos_done(mproc_list_get(b->tokens,
				      (int64_t)mpt_rand_below(rand, TOKENS),
				      &any));
	mpt_check(t, r == 0 || r == -ERANGE);
	if (r == 0) {
		number_of(t, &any);
		mproc_any_clear(&any);
	}
	chaos_does(GETS);
	r = chaos_done(mproc_list_get(b->places,
				      (int64_t)mpt_rand_below(rand, PLACES),
				      &any));
	mpt_check_int(t, r, 0);
	place_must_be_whole(t, &any);
	mproc_any_clear(&any);
}

/* Puts them back, in one of three ways. */
static void
put_back(struct mpt *t, struct board *b, const struct mproc_any *hand,
	 unsigned n, struct mpt_rand *rand)
{
	int64_t at = (int64_t)mpt_rand_below(rand, TOKENS);
	int r = 0;

	switch (mpt_rand_below(rand, 3)) {
	case 0:
		chaos_does(EXTENDS);
		r = chaos_done(mproc_list_extend(b->tokens, hand, n));
		break;
	case 1:
		chaos_does(REPLACES);
		r = chaos_done(mproc_list_replace(b->tokens, at, at, hand, n));
		break;
	default:
		for (unsigned i = 0; i < n && r == 0; i++) {
			at = (int64_t)mpt_rand_below(rand, TOKENS);
			chaos_does(INSERTS);
			r = chaos_done(mproc_list_insert(b->tokens, at,
							 hand[i]));
		}
	}
	mpt_check_int(t, r, 0);
}

/* Takes some out and puts them back. */
static void
move(struct mpt *t, struct board *b, struct mpt_rand *rand)
{
	unsigned n = 1 + (unsigned)mpt_rand_below(rand, HAND), has = 0;
	struct mproc_any hand[HAND];
	int r = 0;

	while (has < n && r == 0) {
		chaos_does(POPS);
		r = chaos_done(mproc_list_pop(
			b->tokens, (int64_t)mpt_rand_below(rand, TOKENS) -
					   TOKENS / 2, &hand[has]));
		mpt_check(t, r == 0 || r == -ERANGE);
		if (r == 0)
			number_of(t, &hand[has++]);
	}
	chaos_spend(rand, 100);
	put_back(t, b, hand, has, rand);
	while (has)
		mproc_any_clear(&hand[--has]);
}

static void
set(struct mpt *t, struct board *b, struct mpt_rand *rand)
{
	int64_t at = (int64_t)mpt_rand_below(rand, PLACES);
	char text[64];
	struct mproc_any any = place(rand, text);

	chaos_does(SETS);
	mpt_check_int(t, chaos_done(mproc_list_set(b->places, at, any)), 0);
}

static void
put_in_order(struct mpt *t, struct board *b)
{
	chaos_does(SORTS);
	mpt_check_int(t, chaos_done(mproc_list_sort(b->tokens, NULL, NULL)), 0);
	chaos_does(REVERSES);
	mpt_check_int(t, chaos_done(mproc_list_reverse(b->places)), 0);
}

/* Two places get other contents at once; or all are looked at at once. */
static void
take_several(struct mpt *t, struct board *b, struct mpt_rand *rand)
{
	int64_t from = (int64_t)mpt_rand_below(rand, PLACES - 1);
	struct mproc_any values[2], seen[PLACES];
	char texts[2][64];
	size_t n;
	int r;

	for (int i = 0; i < 2; i++)
		values[i] = place(rand, texts[i]);
	chaos_does(REPLACES);
	r = chaos_done(mproc_list_replace(b->places, from, from + 2, values,
					  2));
	mpt_check_int(t, r, 0);
	chaos_does(SLICES);
	r = chaos_done(mproc_list_slice(b->places, 0, INT64_MAX, seen, PLACES,
					&n));
	mpt_check_int(t, r, 0);
	mpt_check_int(t, n, PLACES);
	for (size_t i = 0; i < n; i++) {
		place_must_be_whole(t, &seen[i]);
		mproc_any_clear(&seen[i]);
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
		look(t, b, &rand);
		move(t, b, &rand);
		set(t, b, &rand);
		if (mpt_rand_below(&rand, 4) == 0)
			put_in_order(t, b);
		take_several(t, b, &rand);
		b->chaos.finished[me]++;
	}
	return 0;
}

static pid_t
inside(struct mpt *t, struct mpt_rand *rand)
{
	struct board *b = mpt_scratch(t);
	const mproc_list *l = mpt_rand_below(rand, 2) ? b->tokens : b->places;
	struct mproc_owner owner;

	mpt_check_int(t, mproc_lock_owner((const mproc_lock *)&l->lock, &owner),
		      0);
	return owner.pid;
}

/* Whatever the last one that died in it has left is put in order by this. */
static void
go_in(mproc_list *l)
{
	assert_int_equal(mproc_list_append(l, mproc_int(0)), 0);
	assert_int_equal(mproc_list_pop(l, -1, NULL), 0);
}

/* Each is there once, but for what the dead have taken along. */
static void
verify_tokens(struct mpt *t, struct board *b)
{
	bool there[TOKENS] = { false };
	unsigned n = 0, missing = 0;
	struct mproc_any any;
	char text[64];
	size_t i = 0;

	while (mproc_list_next(b->tokens, &i, &any) == 0) {
		n = number_of(t, &any);
		mproc_any_clear(&any);
		assert_false(there[n]);
		there[n] = true;
	}
	for (n = 0; n < TOKENS; n++) {
		if (there[n])
			continue;
		missing++;
		assert_int_equal(mproc_list_append(b->tokens, token(n, text)),
				 0);
	}
	assert_in_range(missing, 0, HAND * (b->chaos.deaths - b->deaths));
	b->deaths = b->chaos.deaths;
}

/* As many blocks as there are tokens, always; and of the places those that are
 * long. */
static void
verify_blocks(struct mpt *t, struct board *b)
{
	struct mproc_arena_stat now;
	struct mproc_any any;
	uint64_t blocks;
	size_t i = 0;

	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	blocks = now.blocks;
	assert_int_equal(mproc_list_len(b->places), PLACES);
	while (mproc_list_next(b->places, &i, &any) == 0) {
		place_must_be_whole(t, &any);
		blocks -= any.kind == MPROC_BYTES && any.len > 8;
		mproc_any_clear(&any);
	}
	if (!b->blocks)
		b->blocks = blocks;
	assert_int_equal(blocks, b->blocks);
}

static void
verify(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	go_in(b->tokens);
	go_in(b->places);
	assert_true(mproc_arena_recover(NULL) >= 0);
	verify_tokens(t, b);
	verify_blocks(t, b);
}

static void
lists_survive_kills_and_stops(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	struct chaos_plan plan = {
		.work = work,
		.kills = KILLS,
		.crowded = true,
		.deeds = deeds,
		.inside = inside,
		.verify = verify,
	};
	char text[64];

	assert_int_equal(mproc_list_create(&b->tokens, NULL), 0);
	assert_int_equal(mproc_list_create(&b->places, NULL), 0);
	for (unsigned i = 0; i < TOKENS; i++)
		assert_int_equal(mproc_list_append(b->tokens, token(i, text)),
				 0);
	for (unsigned i = 0; i < PLACES; i++)
		assert_int_equal(mproc_list_append(b->places, mproc_int(0)), 0);
	chaos_run(t, &plan);
	assert_true(chaos_finished(t) > KILLS / 10);
	mproc_list_destroy(b->tokens);
	mproc_list_destroy(b->places);
}

chaos_both(lists_survive_kills_and_stops)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		chaos_tests(lists_survive_kills_and_stops),
	};

	return cmocka_run_group_tests(tests, chaos_setup, NULL);
}
