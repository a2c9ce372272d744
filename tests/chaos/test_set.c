/* SPDX-License-Identifier: MIT */
/*
 * Eight processes share sets and a namespace, and are killed and stopped at random.
 * What one has taken out of a set no other one gets; a set that has been put into
 * another one, or taken out of it, is in it, or is not; a name has the value that
 * it was given last. What somebody was about when it was killed has happened or not,
 * with each element. After each truce there are new ones, of which nothing stays in
 * the arena.
 */
#include <stdio.h>

#include "chaos.h"
#include "containers/table.h"

#define KILLS 120
#define TOKENS 60
#define HAND 3
#define OWN 20 /* elements that only one worker puts in and takes out */
#define TEXT_MAX 200

enum {
	POPS = 1, ADDS, UPDATES, INTERSECTS, DIFFERS, TOGGLES, IS_SUBSET,
	IS_DISJOINT, SETS_NAME, GETS_NAME, DELETES_NAME,
};

static const char *const deeds[] = {
	"pop", "add", "update", "intersection", "difference",
	"symmetric difference", "is_subset", "is_disjoint", "set of a name",
	"get of a name", "del of a name", NULL,
};

struct board {
	struct chaos chaos;
	mproc_set *pot; /* of tokens */
	mproc_set *all;
	mproc_set *whole; /* what is in all at most, which nobody changes */
	mproc_set *own[CHAOS_WORKERS]; /* which nobody changes */
	mproc_namespace *ns;
	/* What the name of a worker's own has: 0 if it is not there. */
	_Atomic unsigned is[CHAOS_WORKERS], to[CHAOS_WORKERS];
	unsigned deaths; /* up to the last truce */
	unsigned inside; /* kills while a lock was held */
	struct mproc_arena_stat before;
};

static_assert(sizeof(struct board) <= MPT_SCRATCH, "it fits");

/* Some fill one word, some several. */
static struct mproc_any
value_of(char text[TEXT_MAX + 16], const char *what, unsigned number)
{
	size_t len;

	if (number % 3 == 0)
		return mproc_int(number);
	len = (size_t)sprintf(text, "%s %u ", what, number);
	memset(text + len, 'a' + (int)(number % 26), number * 7 % TEXT_MAX / 2);
	return mproc_bytes(text, len + number * 7 % TEXT_MAX / 2);
}

/* The number that @any stands for; the check fails if it is torn. */
static unsigned
number_of(struct mpt *t, const struct mproc_any *any, const char *what)
{
	char text[TEXT_MAX + 16];
	struct mproc_any whole;
	unsigned number;

	mpt_check(t, any->kind == MPROC_INT || any->kind == MPROC_BYTES);
	number = any->kind == MPROC_INT ?
			 (unsigned)any->i64 :
			 (unsigned)strtoul((const char *)any->ptr +
						   strlen(what), NULL, 10);
	whole = value_of(text, what, number);
	mpt_check(t, mpr_any_equal(any, &whole));
	return number;
}

/* Takes some tokens out and puts them back: nobody else has these. */
static void
move(struct mpt *t, struct board *b, struct mpt_rand *rand)
{
	unsigned n = 1 + (unsigned)mpt_rand_below(rand, HAND), has = 0;
	struct mproc_any hand[HAND];
	int r = 0;

	while (has < n && r == 0) {
		chaos_does(POPS);
		r = chaos_done(mproc_set_pop(b->pot, &hand[has]));
		mpt_check(t, r == 0 || r == -ENODATA);
		has += r == 0;
	}
	for (unsigned i = 0; i < has; i++) {
		mpt_check(t, number_of(t, &hand[i], "token") < TOKENS);
		mpt_check_int(t, mproc_set_has(b->pot, hand[i]), 0);
	}
	chaos_spend(rand, 100);
	while (has) {
		chaos_does(ADDS);
		r = chaos_done(mproc_set_add(b->pot, hand[--has]));
		mpt_check_int(t, r, 1);
		mproc_any_clear(&hand[has]);
	}
}

static int
do_with(unsigned deed, int (*fn)(mproc_set *s, mproc_set *other), mproc_set *s,
	mproc_set *other)
{
	chaos_does(deed);
	return chaos_done(fn(s, other));
}

/* One's own elements come and go, whatever others do. */
static void
put_in_and_take_out(struct mpt *t, struct board *b, unsigned me,
		    struct mpt_rand *rand)
{
	mproc_set *own = b->own[me];
	int r;

	mpt_check_int(t, do_with(UPDATES, mproc_set_update, b->all, own), 0);
	mpt_check_int(t, do_with(IS_SUBSET, mproc_set_is_subset, own, b->all),
		      1);
	chaos_spend(rand, 100);
	if (mpt_rand_below(rand, 2))
		r = do_with(DIFFERS, mproc_set_difference_update, b->all, own);
	else
		r = do_with(TOGGLES, mproc_set_symmetric_difference_update,
			    b->all, own);
	mpt_check_int(t, r, 0);
	mpt_check_int(t, do_with(IS_DISJOINT, mproc_set_is_disjoint, own,
				 b->all), 1);
}

/* What does not belong there goes, and nothing else: each finds its own elements
 * as it has left them. */
static void
clean_up(struct mpt *t, struct board *b, unsigned me)
{
	struct mproc_any stray = mproc_int(-(int64_t)me - 1);
	int r;

	chaos_does(ADDS);
	/* One that died before us may have left it. */
	mpt_check(t, chaos_done(mproc_set_add(b->all, stray)) >= 0);
	r = do_with(INTERSECTS, mproc_set_intersection_update, b->all, b->whole);
	mpt_check_int(t, r, 0);
	mpt_check_int(t, mproc_set_has(b->all, stray), 0);
}

static void
own_name(char name[32], unsigned me)
{
	sprintf(name, "name %u", me);
}

/* It is what it was, or what its owner was about to make of it. */
static unsigned
look_at_name(struct mpt *t, struct board *b, unsigned me)
{
	struct mproc_any value;
	unsigned number = 0;
	char name[32];
	int r;

	own_name(name, me);
	chaos_does(GETS_NAME);
	r = chaos_done(mproc_namespace_get(b->ns, name, &value));
	mpt_check(t, r == 0 || r == -ENOENT);
	if (r == 0) {
		number = number_of(t, &value, "value");
		mproc_any_clear(&value);
	}
	mpt_check(t, number == b->is[me] || number == b->to[me]);
	return number;
}

static void
change_names(struct mpt *t, struct board *b, unsigned me, struct mpt_rand *rand)
{
	unsigned to = mpt_rand_below(rand, 3) ?
			      (unsigned)mpt_rand_below(rand, 1000) : 0;
	char name[32], text[TEXT_MAX + 16];
	struct mproc_any value;
	int r;

	own_name(name, me);
	/* Of one that died before us: which it is does not change any more. */
	b->is[me] = look_at_name(t, b, me);
	b->to[me] = to;
	if (to) {
		value = value_of(text, "value", to);
		chaos_does(SETS_NAME);
		r = chaos_done(mproc_namespace_set(b->ns, name, value));
		mpt_check_int(t, r, 0);
	} else {
		chaos_does(DELETES_NAME);
		r = chaos_done(mproc_namespace_del(b->ns, name));
		mpt_check_int(t, r, b->is[me] ? 0 : -ENOENT);
	}
	b->is[me] = to;
	value = value_of(text, "shared", to);
	chaos_does(SETS_NAME);
	mpt_check_int(t, chaos_done(mproc_namespace_set(b->ns, "shared",
							value)), 0);
	chaos_does(GETS_NAME);
	mpt_check_int(t, chaos_done(mproc_namespace_get(b->ns, "shared",
							&value)), 0);
	number_of(t, &value, "shared");
	mproc_any_clear(&value);
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
		move(t, b, &rand);
		/* What takes less time is done more often. */
		for (int i = 0; i < 4; i++)
			change_names(t, b, me, &rand);
		if (mpt_rand_below(&rand, 4) == 0)
			put_in_and_take_out(t, b, me, &rand);
		if (mpt_rand_below(&rand, 16) == 0)
			clean_up(t, b, me);
		b->chaos.finished[me]++;
	}
	return 0;
}

static struct mpr_stripe *
stripes(const void *table)
{
	return mpr_arena_at(mpr_arena_peek(),
			    ((const struct mpr_table *)table)->root);
}

static const void *
table(const struct board *b, unsigned i)
{
	return i == 0 ? (const void *)b->pot :
	       i == 1 ? (const void *)b->all : (const void *)b->ns;
}

/* Who changes something. */
static pid_t
changer(struct mpt *t, struct mpt_rand *rand)
{
	const struct board *b = mpt_scratch(t);
	const struct mpr_stripe *s = stripes(
		table(b, (unsigned)mpt_rand_below(rand, 3)));
	struct mproc_owner owner;

	s += mpt_rand_below(rand, MPR_STRIPES);
	assert_int_equal(mproc_lock_owner((const mproc_lock *)&s->lock, &owner),
			 0);
	return owner.pid;
}

static bool
bury(struct mpt *t, unsigned number, pid_t pid)
{
	struct board *b = mpt_scratch(t);
	struct mproc_owner owner;

	(void)number;
	for (unsigned i = 0; i < 3 * MPR_STRIPES; i++) {
		const struct mpr_stripe *s =
			&stripes(table(b, i / MPR_STRIPES))[i % MPR_STRIPES];

		assert_int_equal(mproc_lock_owner((const mproc_lock *)&s->lock,
						  &owner), 0);
		/* As the next owner has found out, or nobody has yet. */
		b->inside += owner.pid == pid || owner.died_pid == pid;
	}
	return false;
}

static void
make(struct board *b)
{
	char text[TEXT_MAX + 16];

	assert_int_equal(mproc_set_create(&b->pot, NULL), 0);
	assert_int_equal(mproc_set_create(&b->all, NULL), 0);
	assert_int_equal(mproc_set_create(&b->whole, NULL), 0);
	assert_int_equal(mproc_namespace_create(&b->ns, NULL), 0);
	for (unsigned i = 0; i < TOKENS; i++)
		assert_int_equal(mproc_set_add(b->pot, value_of(text, "token",
								i)), 1);
	for (unsigned me = 0; me < CHAOS_WORKERS; me++) {
		assert_int_equal(mproc_set_create(&b->own[me], NULL), 0);
		for (unsigned i = 0; i < OWN; i++)
			assert_int_equal(mproc_set_add(b->own[me], value_of(
				text, "own", me * OWN + i)), 1);
		assert_int_equal(mproc_set_update(b->whole, b->own[me]), 0);
		b->is[me] = b->to[me] = 0;
	}
	b->deaths = b->chaos.deaths;
}

static void
destroy(struct board *b)
{
	mproc_set_destroy(b->pot);
	mproc_set_destroy(b->all);
	mproc_set_destroy(b->whole);
	mproc_namespace_destroy(b->ns);
	for (unsigned me = 0; me < CHAOS_WORKERS; me++)
		mproc_set_destroy(b->own[me]);
}

static void
verify_pot(struct mpt *t, struct board *b)
{
	bool there[TOKENS] = { false };
	struct mproc_cursor c = { { 0 } };
	struct mproc_any token;
	unsigned n = 0;

	while (mproc_set_next(b->pot, &c, &token) == 0) {
		unsigned number = number_of(t, &token, "token");

		mproc_any_clear(&token);
		assert_in_range(number, 0, TOKENS - 1);
		assert_false(there[number]);
		there[number] = true;
		n++;
	}
	assert_int_equal(mproc_set_len(b->pot), n);
	/* The dead have taken some along. */
	assert_true(n + HAND * (b->chaos.deaths - b->deaths) >= TOKENS);
}

/* Everybody rests. */
static void
verify(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	struct mproc_arena_stat now;

	verify_pot(t, b);
	assert_int_equal(mproc_set_intersection_update(b->all, b->whole), 0);
	for (unsigned me = 0; me < CHAOS_WORKERS; me++) {
		look_at_name(t, b, me);
		assert_int_equal(mproc_set_len(b->own[me]), OWN);
		assert_int_equal(mproc_set_difference_update(b->all,
							     b->own[me]), 0);
	}
	/* There was nothing else. */
	assert_int_equal(mproc_set_len(b->all), 0);
	destroy(b);
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, b->before.blocks);
	make(b);
}

static void
sets_survive_kills_and_stops(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	struct chaos_plan plan = {
		.work = work,
		.deeds = deeds,
		.kills = KILLS,
		.crowded = true,
		.inside = changer,
		.bury = bury,
		.verify = verify,
	};

	/* Cells and roots stay. */
	make(b);
	destroy(b);
	assert_int_equal(mproc_arena_stat(NULL, &b->before), 0);
	make(b);
	chaos_run(t, &plan);
	printf("# %u of %u were killed while they held a lock\n", b->inside,
	       b->chaos.deaths);
	destroy(b);
}

chaos_both(sets_survive_kills_and_stops)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		chaos_tests(sets_survive_kills_and_stops),
	};

	return cmocka_run_group_tests(tests, chaos_setup, NULL);
}
