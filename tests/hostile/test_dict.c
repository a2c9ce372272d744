/* SPDX-License-Identifier: MIT */
/*
 * A hostile peer writes anything in the words of a dict: its cell, its stripes with
 * their locks, its buckets and entries. The others may be told that it is corrupt,
 * and may find keys gone; their calls return in time, with what the header says,
 * nothing crashes, and another dict stays what it is.
 */
#include "table.h"

enum { WORKERS = 2 };

static struct mproc_any
value_of(int i)
{
	return i % 2 ? mproc_int(i) :
		       mproc_str("a text that is longer than one word");
}

static void *
make_dict(struct mpt *t, struct board *b)
{
	void *d = new_table(t, MPR_CELL_DICT);

	b->root = ((struct mpr_table *)d)->root;
	for (int i = 0; i < KEYS; i++)
		mpt_check_int(t, mproc_dict_set(d, mproc_int(b->keys[i]),
						value_of(i)), 0);
	return d;
}

static int
count(const struct mproc_any *old, struct mproc_any *value, void *ctx)
{
	(void)old;
	(void)ctx;
	*value = mproc_str("another text, which is longer than that one is");
	return 1;
}

static void
use(struct mpt *t, struct board *b)
{
	struct mproc_cursor c = { { 0 } };
	struct mproc_any got, value, one = mproc_int(1);
	char text[40];
	int64_t n;

	for (int i = 0; i < KEYS; i++) {
		struct mproc_any key = mproc_int(b->keys[i]);

		if (CALL(mproc_dict_get(b->table, key, &got)) == 0)
			mproc_any_clear(&got);
		CALL(mproc_dict_get_str(b->table, key, text, sizeof(text), NULL));
		CALL(mproc_dict_get_int(b->table, key, &n));
		CALL(mproc_dict_has(b->table, key));
	}
	/* It ends, whatever it meets. */
	for (int i = 0; i < 1000; i++) {
		if (CALL(mproc_dict_next(b->table, &c, &got, &value)) < 0)
			break;
		mproc_any_clear(&got);
		mproc_any_clear(&value);
	}
	began = mproc_now();
	(void)mproc_dict_len(b->table);
	CALL(mproc_dict_set(b->table, mproc_int(b->keys[0]), mproc_int(3)));
	CALL(mproc_dict_set(b->table, mproc_int(b->keys[1]), mproc_str("text")));
	CALL(mproc_dict_add(b->table, mproc_int(b->keys[0]), one, NULL));
	CALL(mproc_dict_update(b->table, mproc_int(b->keys[2]), count, NULL));
	CALL(mproc_dict_compare_exchange(b->table, mproc_int(b->keys[3]), &one,
					 NULL));
	if (CALL(mproc_dict_pop(b->table, mproc_int(b->keys[4]), &got)) == 0)
		mproc_any_clear(&got);
	CALL(mproc_dict_set(b->table, mproc_int(b->keys[4]), value_of(4)));
	if (CALL(mproc_dict_pop_item(b->table, &got, &value)) == 0) {
		mproc_any_clear(&got);
		mproc_any_clear(&value);
	}
	CALL(mproc_dict_merge(b->table, b->bystander));
}

static void
check_bystander(struct mpt *t, const struct board *b)
{
	struct mproc_cursor c = { { 0 } };
	struct mproc_any key, value;
	int n = 0;

	while (mproc_dict_next(b->bystander, &c, &key, NULL) == 0)
		n++;
	mpt_check_int(t, n, KEYS);
	mpt_check_int(t, mproc_dict_len(b->bystander), KEYS);
	for (int i = 0; i < KEYS; i++) {
		struct mproc_any whole = value_of(i);

		mpt_check_int(t, mproc_dict_get(b->bystander,
						mproc_int(b->keys[i]), &value),
			      0);
		mpt_check(t, mpr_any_equal(&value, &whole));
		mproc_any_clear(&value);
	}
}

static int
setup(void **state)
{
	struct board *b = new_board(state, MPR_CELL_DICT, false);

	if (!b)
		return -1;
	b->bystander = make_dict(*state, b);
	begin_board(*state, b);
	return 0;
}

static int
teardown(void **state)
{
	return end_board(state, MPR_CELL_DICT);
}

static void
each_word_with_each_value(void **state)
{
	unsigned step = rounds(13, 3, 1), at = (unsigned)(mpt_seed() % step), n;
	struct board *b = mpt_scratch(*state);
	struct word words[TABLE_WORDS];
	struct mpt *t = *state;
	struct mpt_rand rand;

	mpt_rand_init(&rand, mpt_seed());
	n = words_of_table(b, MPR_CELL_DICT, b->bystander, words);
	assert_in_range(n, 60, TABLE_WORDS);
	for (; at < n * TABLE_VALUES; at += step) {
		struct word *word = &words[at / TABLE_VALUES];

		b->table = make_dict(t, b);
		assert_int_equal(words_of_table(b, MPR_CELL_DICT, b->table,
						words), n);
		write_word(word, table_value(b, word, at % TABLE_VALUES, &rand));
		use(t, b);
		end_table(b, MPR_CELL_DICT);
		check_bystander(t, b);
	}
	/* They have met both, sound dicts and others. */
	mpt_check(t, b->returns[0] && b->returns[EBADMSG]);
}

/* By those who only look, and by those who are to repair it. */
static void
a_circle_comes_to_an_end(void **state)
{
	struct board *b = mpt_scratch(*state);
	const mproc_arena *a = mpr_arena_peek();
	struct mpt *t = *state;

	for (unsigned i = 0; i < 4 * KEYS; i++) {
		struct mpr_visit v;
		uint64_t n;

		b->table = make_dict(t, b);
		assert_int_equal(mpr_visit_begin(&v, MPR_CELL_DICT, b->table), 0);
		assert_int_equal(mpr_visit_stripe(&v, 0), 0);
		n = mpr_buckets_after(v.stripe->cuts);
		for (uint64_t at = 0; at < n; at++) {
			uint64_t to = *mpr_table_bucket(&v,
							mpr_bucket_at(at, n));
			struct mpr_entry *e = mpr_arena_at(a, to);

			if (!to)
				continue;
			while (e->next)
				e = mpr_arena_at(a, e->next);
			e->next = i % 2 ? mpr_arena_offset(a, e) : to;
		}
		v.stripe->version |= i / 2 % 2;
		use(t, b);
		end_table(b, MPR_CELL_DICT);
		check_bystander(t, b);
	}
}

static struct mpr_stripe *
stripe_of(struct mpt *t, const struct board *b)
{
	struct mpr_visit v;

	mpt_check_int(t, mpr_visit_begin(&v, MPR_CELL_DICT, b->table), 0);
	mpt_check_int(t, mpr_visit_stripe(&v, 0), 0);
	return v.stripe;
}

/* Takes each key out once, of @n. */
static void
pop_all(struct mpt *t, const struct board *b, unsigned n)
{
	struct mproc_any key;

	for (unsigned i = 0; i < n; i++)
		mpt_check_int(t, mproc_dict_pop_item(b->table, &key, NULL), 0);
	mpt_check_int(t, mproc_dict_pop_item(b->table, &key, NULL), -ENODATA);
}

/* Whoever repairs a stripe does not believe what says below which order none is, and how
 * many there are; and a first one that is not there is not taken for none. */
static void
keys_that_were_hidden_come_back(void **state)
{
	struct board *b = mpt_scratch(*state);
	struct mpr_stripe *s;
	struct mpt *t = *state;

	b->table = make_dict(t, b);
	s = stripe_of(t, b);
	s->first = UINT64_MAX;
	mpt_check_int(t, mproc_dict_pop_item(b->table, NULL, NULL), -EBADMSG);
	mpt_check_int(t, mproc_dict_len(b->table), KEYS);
	s->version |= 1;
	pop_all(t, b, KEYS);
	end_table(b, MPR_CELL_DICT);

	/* With what was the last one by that all have ended. */
	b->table = make_dict(t, b);
	s = stripe_of(t, b);
	s->count = 1;
	pop_all(t, b, 1);
	s->version |= 1;
	pop_all(t, b, KEYS - 1);
	end_table(b, MPR_CELL_DICT);
	check_bystander(t, b);
}

static int
work(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	be_interruptible(t);
	while (!b->stop)
		use(t, b);
	return 0;
}

/* Several use a dict while its words are overwritten. */
static void
words_are_overwritten_at_work(void **state)
{
	struct board *b = mpt_scratch(*state);
	struct word words[TABLE_WORDS];
	struct mpt *t = *state;
	struct mpt_rand rand;
	int ids[WORKERS];

	mpt_rand_init(&rand, mpt_seed());
	for (unsigned round = 0; round < rounds(2, 10, 50); round++) {
		unsigned n;

		b->table = make_dict(t, b);
		n = words_of_table(b, MPR_CELL_DICT, b->table, words);
		b->stop = false;
		for (int i = 0; i < WORKERS; i++)
			ids[i] = mpt_spawn(t, "user", work, NULL);
		for (unsigned i = 0; i < 40; i++) {
			struct word *word = &words[mpt_rand_below(&rand, n)];
			uint64_t old = read_word(word);
			unsigned calls = b->calls;
			int64_t until = mproc_now() + 3000000;

			write_word(word, table_value(b, word, (unsigned)
				   mpt_rand_below(&rand, TABLE_VALUES), &rand));
			mpt_until(t, b->calls - calls > 20 ||
					     mproc_now() > until);
			if (mpt_rand_below(&rand, 4))
				write_word(word, old);
		}
		b->stop = true;
		for (int i = 0; i < WORKERS; i++)
			mpt_expect_exit(t, ids[i], 0);
		end_table(b, MPR_CELL_DICT);
		check_bystander(t, b);
	}
}

#define hostile_test(f) { #f, f, setup, teardown, (void *)(uintptr_t)#f }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		hostile_test(each_word_with_each_value),
		hostile_test(a_circle_comes_to_an_end),
		hostile_test(keys_that_were_hidden_come_back),
		hostile_test(words_are_overwritten_at_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
