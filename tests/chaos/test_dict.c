/* SPDX-License-Identifier: MIT */
/*
 * Eight processes share a dict, and are killed and stopped at random. Each has keys
 * of its own, of which it knows what they are to be, and all share some. What was
 * finished is there; what one was about when it was killed has happened or not; no
 * value is torn, an iteration meets no key twice, and what the dict says of its
 * length is true. After each truce there is a new dict, so that it grows again and
 * again; nothing of the old one stays in the arena.
 */
#include <stdio.h>

#include "chaos.h"
#include "containers/table.h"

#define KILLS 500
#define OWN 60
#define SHARED 10
#define TEXT_MAX 3000 /* so long that a kill may come while it is copied */

enum { GETS = 1, SETS, POPS, ADDS, UPDATES, ITERATES };

static const char *const deeds[] = {
	"get", "set", "pop", "add", "update", "next", NULL,
};

/* What a key of one's own has: a number from 1 on which stands for a value, 0 if it
 * is not there. */
struct own {
	_Atomic unsigned is; /* for certain, but for what is to be */
	_Atomic unsigned to; /* what it may have become */
};

struct board {
	struct chaos chaos;
	mproc_dict *d;
	struct mproc_arena_stat before;
	unsigned inside; /* kills while a lock was held */
	_Atomic uint64_t sums[CHAOS_WORKERS]; /* finished additions */
	_Atomic unsigned uncertain; /* who died since the last truce */
	struct own own[CHAOS_WORKERS][OWN];
};

static_assert(sizeof(struct board) <= MPT_SCRATCH, "it fits");

static struct mproc_any
value_of(char text[TEXT_MAX + 32], unsigned number)
{
	size_t len;

	if (number % 3 == 0)
		return mproc_int(number);
	len = (size_t)sprintf(text, "%u ", number);
	memset(text + len, 'a' + (int)(number % 26), number * 3 % TEXT_MAX);
	text[len + number * 3 % TEXT_MAX] = '\0';
	return mproc_str(text);
}

/* The number that @any stands for, or 0 if it is torn. */
static unsigned
number_of(const struct mproc_any *any)
{
	char text[TEXT_MAX + 32];
	struct mproc_any whole;
	unsigned number;

	number = any->kind == MPROC_INT ? (unsigned)any->i64 :
		 any->kind == MPROC_STR ?
			 (unsigned)strtoul(any->ptr, NULL, 10) : 0;
	whole = value_of(text, number);
	if (whole.kind != any->kind)
		return 0;
	if (whole.kind == MPROC_STR &&
	    (whole.len != any->len || memcmp(whole.ptr, any->ptr, any->len)))
		return 0;
	return number;
}

static struct mproc_any
own_key(char text[32], unsigned me, unsigned i)
{
	sprintf(text, "%u of %u", i, me);
	return mproc_str(text);
}

/* What it has: it is what it was, or what its owner was about to make of it. */
static unsigned
look_at_own(struct mpt *t, struct board *b, unsigned me, unsigned i)
{
	struct own *own = &b->own[me][i];
	struct mproc_any value;
	unsigned number = 0;
	char text[32];
	int r;

	chaos_does(GETS);
	r = chaos_done(mproc_dict_get(b->d, own_key(text, me, i), &value));
	if (r == 0) {
		number = number_of(&value);
		mpt_check(t, number);
		mproc_any_clear(&value);
	} else {
		mpt_check_int(t, r, -ENOENT);
	}
	mpt_check(t, number == own->is || number == own->to);
	return number;
}

static void
change_own(struct mpt *t, struct board *b, unsigned me, struct mpt_rand *rand)
{
	unsigned i = (unsigned)mpt_rand_below(rand, OWN);
	unsigned to = mpt_rand_below(rand, 3) ?
			      1 + (unsigned)mpt_rand_below(rand, 1000) : 0;
	struct own *own = &b->own[me][i];
	char text[TEXT_MAX + 32], key[32];
	int r;

	/* Of one that died before us: which it is does not change any more. */
	own->is = look_at_own(t, b, me, i);
	own->to = to;
	if (to) {
		chaos_does(SETS);
		r = chaos_done(mproc_dict_set(b->d, own_key(key, me, i),
					      value_of(text, to)));
		mpt_check_int(t, r, 0);
	} else {
		chaos_does(POPS);
		r = chaos_done(mproc_dict_pop(b->d, own_key(key, me, i), NULL));
		mpt_check_int(t, r, own->is ? 0 : -ENOENT);
	}
	own->is = to;
}

static void
change_shared(struct mpt *t, struct board *b, struct mpt_rand *rand)
{
	struct mproc_any key = mproc_int((int64_t)mpt_rand_below(rand, SHARED));
	char text[TEXT_MAX + 32];
	struct mproc_any value;
	int r;

	switch (mpt_rand_below(rand, 4)) {
	case 0:
		chaos_does(POPS);
		r = chaos_done(mproc_dict_pop(b->d, key, &value));
		break;
	case 1:
		chaos_does(GETS);
		r = chaos_done(mproc_dict_get(b->d, key, &value));
		break;
	default:
		chaos_does(SETS);
		r = chaos_done(mproc_dict_set(b->d, key, value_of(text, 1 +
				   (unsigned)mpt_rand_below(rand, 1000))));
		mpt_check_int(t, r, 0);
		return;
	}
	mpt_check(t, r == 0 || r == -ENOENT);
	if (r == 0) {
		mpt_check(t, number_of(&value));
		mproc_any_clear(&value);
	}
}

static int
count(const struct mproc_any *old, struct mproc_any *value, void *ctx)
{
	chaos_spend(ctx, 5000);
	*value = mproc_int(old ? old->i64 + 1 : 1);
	return 1;
}

static void
add(struct mpt *t, struct board *b, unsigned me, struct mpt_rand *rand)
{
	struct mproc_any key = mproc_str("sum");
	int r;

	if (mpt_rand_below(rand, 2)) {
		chaos_does(ADDS);
		r = chaos_done(mproc_dict_add(b->d, key, mproc_int(1), NULL));
		mpt_check_int(t, r, 0);
	} else {
		chaos_does(UPDATES);
		r = chaos_done(mproc_dict_update(b->d, key, count, rand));
		mpt_check_int(t, r, 1);
	}
	b->sums[me]++;
}

static int
next(struct board *b, struct mproc_cursor *c, struct mproc_any *key,
     struct mproc_any *value)
{
	chaos_does(ITERATES);
	return chaos_done(mproc_dict_next(b->d, c, key, value));
}

/* No key comes twice, or is none. Returns how many there are. */
static unsigned
iterate(struct mpt *t, struct board *b)
{
	bool seen[CHAOS_WORKERS][OWN] = { { false } }, shared[SHARED] = { false };
	struct mproc_cursor c = { { 0 } };
	struct mproc_any key, value;
	unsigned n = 0, who, i;
	int r;

	while ((r = next(b, &c, &key, &value)) == 0) {
		if (key.kind == MPROC_INT) {
			mpt_check(t, key.i64 >= 0 && key.i64 < SHARED &&
					     !shared[key.i64]);
			shared[key.i64] = true;
		} else if (sscanf(key.ptr, "%u of %u", &i, &who) == 2) {
			mpt_check(t, who < CHAOS_WORKERS && i < OWN &&
					     !seen[who][i]);
			seen[who][i] = true;
		} else {
			mpt_check(t, strcmp(key.ptr, "sum") == 0);
			mproc_any_clear(&key);
			n++;
			continue;
		}
		mpt_check(t, number_of(&value));
		mproc_any_clear(&key);
		mproc_any_clear(&value);
		n++;
	}
	mpt_check_int(t, r, -ENODATA);
	return n;
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
		switch (mpt_rand_below(&rand, 8)) {
		case 0:
			change_shared(t, b, &rand);
			break;
		case 1:
			add(t, b, me, &rand);
			break;
		case 2:
			if (mpt_rand_below(&rand, 16) == 0)
				iterate(t, b);
			break;
		default:
			change_own(t, b, me, &rand);
		}
		b->chaos.finished[me]++;
	}
	return 0;
}

static struct mpr_stripe *
stripes(const struct board *b)
{
	const struct mpr_table *table = (const struct mpr_table *)b->d;

	return mpr_arena_at(mpr_arena_peek(), table->root);
}

/* Who changes something. */
static pid_t
changer(struct mpt *t, struct mpt_rand *rand)
{
	const struct board *b = mpt_scratch(t);
	struct mproc_owner owner;
	struct mpr_stripe *s =
		&stripes(b)[mpt_rand_below(rand, MPR_STRIPES)];

	assert_int_equal(mproc_lock_owner((mproc_lock *)&s->lock, &owner), 0);
	return owner.pid;
}

static bool
bury(struct mpt *t, unsigned number, pid_t pid)
{
	struct board *b = mpt_scratch(t);
	struct mproc_owner owner;

	(void)number;
	b->uncertain++;
	for (int i = 0; i < MPR_STRIPES; i++) {
		struct mpr_stripe *s = &stripes(b)[i];

		assert_int_equal(mproc_lock_owner((mproc_lock *)&s->lock,
						  &owner), 0);
		/* As the next owner has found out, or nobody has yet. */
		b->inside += owner.pid == pid || owner.died_pid == pid;
	}
	return false;
}

static void
make(struct board *b)
{
	assert_int_equal(mproc_dict_create(&b->d, NULL), 0);
	memset(b->own, 0, sizeof(b->own));
	memset(b->sums, 0, sizeof(b->sums));
	b->uncertain = 0;
}

/* Everybody rests. */
static void
verify(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	struct mproc_arena_stat now;
	uint64_t sums = 0;
	int64_t sum = 0;
	unsigned n;

	for (unsigned me = 0; me < CHAOS_WORKERS; me++) {
		sums += b->sums[me];
		for (unsigned i = 0; i < OWN; i++)
			look_at_own(t, b, me, i);
	}
	if (mproc_dict_get_int(b->d, mproc_str("sum"), &sum) < 0)
		assert_int_equal(mproc_dict_has(b->d, mproc_str("sum")), 0);
	assert_in_range(sum, sums, sums + b->uncertain);
	n = iterate(t, b);
	assert_int_equal(mproc_dict_len(b->d), n);
	mproc_dict_destroy(b->d);
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, b->before.blocks);
	make(b);
}

static void
a_dict_survives_kills_and_stops(struct mpt *t)
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

	make(b);
	assert_int_equal(mproc_arena_stat(NULL, &b->before), 0);
	chaos_run(t, &plan);
	printf("# %u of %u were killed while they held a lock\n", b->inside,
	       b->chaos.deaths);
	mproc_dict_destroy(b->d);
}

chaos_both(a_dict_survives_kills_and_stops)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		chaos_tests(a_dict_survives_kills_and_stops),
	};

	return cmocka_run_group_tests(tests, chaos_setup, NULL);
}
