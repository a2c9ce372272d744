/* SPDX-License-Identifier: MIT */
/*
 * A hostile peer writes anything in the words of a set or of a namespace. The others
 * may be told that it is corrupt, and may find elements or names gone; their calls
 * return in time, with what the header says, nothing crashes, and another set or
 * namespace stays what it is.
 */
#include "table.h"

static void *
make_set(struct mpt *t, struct board *b)
{
	mproc_set *s = new_table(t, MPR_CELL_SET);

	b->root = ((struct mpr_table *)s)->root;
	for (int i = 0; i < KEYS; i++)
		mpt_check_int(t, mproc_set_add(s, key_of(b, i)), 1);
	return s;
}

static void
use_set(struct mpt *t, struct board *b)
{
	struct mproc_cursor c = { { 0 } };
	struct mproc_any got;

	for (int i = 0; i < KEYS; i++)
		CALL(mproc_set_has(b->table, key_of(b, i)));
	/* It ends, whatever it meets. */
	for (int i = 0; i < 1000; i++) {
		if (CALL(mproc_set_next(b->table, &c, &got)) < 0)
			break;
		mproc_any_clear(&got);
	}
	began = mproc_now();
	(void)mproc_set_len(b->table);
	CALL(mproc_set_add(b->table, key_of(b, 0)));
	CALL(mproc_set_add(b->table, mproc_str("a text of several words")));
	CALL(mproc_set_discard(b->table, key_of(b, 1)));
	for (int i = 0; i < 3; i++)
		if (CALL(mproc_set_pop(b->table, &got)) == 0)
			mproc_any_clear(&got);
	CALL(mproc_set_is_subset(b->table, b->bystander));
	CALL(mproc_set_is_subset(b->bystander, b->table));
	CALL(mproc_set_is_disjoint(b->table, b->bystander));
	CALL(mproc_set_symmetric_difference_update(b->table, b->bystander));
	CALL(mproc_set_intersection_update(b->table, b->bystander));
	CALL(mproc_set_update(b->table, b->bystander));
	CALL(mproc_set_difference_update(b->table, b->bystander));
	CALL(mproc_set_clear(b->table));
}

static void
check_set(struct mpt *t, const struct board *b)
{
	struct mproc_cursor c = { { 0 } };
	struct mproc_any got;
	int n = 0;

	while (mproc_set_next(b->bystander, &c, &got) == 0)
		n++;
	mpt_check_int(t, n, KEYS);
	for (int i = 0; i < KEYS; i++)
		mpt_check_int(t, mproc_set_has(b->bystander, key_of(b, i)), 1);
}

static void *
make_namespace(struct mpt *t, struct board *b)
{
	mproc_namespace *ns = new_table(t, MPR_CELL_NAMESPACE);

	b->root = ((struct mpr_table *)ns)->root;
	for (int i = 0; i < KEYS; i++)
		mpt_check_int(t, mproc_namespace_set(ns, b->names[i],
						     mproc_int(i)), 0);
	return ns;
}

static void
use_namespace(struct mpt *t, struct board *b)
{
	struct mproc_cursor c = { { 0 } };
	struct mproc_any got, value;
	char text[40];
	double d;
	int64_t n;

	for (int i = 0; i < KEYS; i++) {
		const char *name = b->names[i];

		if (CALL(mproc_namespace_get(b->table, name, &got)) == 0)
			mproc_any_clear(&got);
		CALL(mproc_namespace_get_int(b->table, name, &n));
		CALL(mproc_namespace_get_float(b->table, name, &d));
		CALL(mproc_namespace_get_str(b->table, name, text,
					     sizeof(text), NULL));
	}
	for (int i = 0; i < 1000; i++) {
		if (CALL(mproc_namespace_next(b->table, &c, &got, &value)) < 0)
			break;
		mproc_any_clear(&got);
		mproc_any_clear(&value);
	}
	CALL(mproc_namespace_set(b->table, b->names[0], mproc_int(3)));
	CALL(mproc_namespace_set(b->table, b->names[1], mproc_str("text")));
	CALL(mproc_namespace_set(b->table, "another name", mproc_nil()));
	CALL(mproc_namespace_del(b->table, b->names[2]));
}

static void
check_namespace(struct mpt *t, const struct board *b)
{
	struct mproc_cursor c = { { 0 } };
	int64_t i64;
	int n = 0;

	while (mproc_namespace_next(b->bystander, &c, NULL, NULL) == 0)
		n++;
	mpt_check_int(t, n, KEYS);
	for (int i = 0; i < KEYS; i++) {
		mpt_check_int(t, mproc_namespace_get_int(b->bystander,
							 b->names[i], &i64),
			      0);
		mpt_check_int(t, i64, i);
	}
}

static const struct subject {
	enum mpr_cell_kind kind;
	bool texts;
	void *(*make)(struct mpt *t, struct board *b);
	void (*use)(struct mpt *t, struct board *b);
	void (*check)(struct mpt *t, const struct board *b);
} a_set = { MPR_CELL_SET, false, make_set, use_set, check_set },
  a_namespace = { MPR_CELL_NAMESPACE, true, make_namespace, use_namespace,
		  check_namespace };

static void
write_everywhere(struct mpt *t, const struct subject *subject)
{
	unsigned step = rounds(13, 3, 1), at = (unsigned)(mpt_seed() % step), n;
	struct board *b = mpt_scratch(t);
	struct word words[TABLE_WORDS];
	struct mpt_rand rand;

	mpt_rand_init(&rand, mpt_seed());
	n = words_of_table(b, subject->kind, b->bystander, words);
	assert_in_range(n, 60, TABLE_WORDS);
	for (; at < n * TABLE_VALUES; at += step) {
		struct word *word = &words[at / TABLE_VALUES];

		b->table = subject->make(t, b);
		assert_int_equal(words_of_table(b, subject->kind, b->table,
						words), n);
		write_word(word, table_value(b, word, at % TABLE_VALUES,
					     &rand));
		subject->use(t, b);
		end_table(b, subject->kind);
		subject->check(t, b);
	}
	/* They have met both, sound ones and others. */
	mpt_check(t, b->returns[0] && b->returns[EBADMSG]);
}

static void
any_word_of_a_set(void **state)
{
	write_everywhere(*state, &a_set);
}

static void
any_word_of_a_namespace(void **state)
{
	write_everywhere(*state, &a_namespace);
}

/* It lies where that key never lies, so that it can be seen and not be found. */
static void
an_element_that_cannot_be_found(void **state)
{
	struct board *b = mpt_scratch(*state);
	struct mpt *t = *state;

	for (int i = 0; i < KEYS; i++) {
		struct mproc_any any = key_of(b, i);
		struct mpr_place at;
		struct mpr_visit v;
		struct mpr_key key;

		b->table = make_set(t, b);
		assert_int_equal(mpr_visit_begin(&v, MPR_CELL_SET, b->table),
				 0);
		assert_int_equal(mpr_visit_stripe(&v, 0), 0);
		assert_int_equal(mpr_key_make(&v, &any, &key), 0);
		assert_int_equal(mpr_table_find(&v, &key, &at), 0);
		assert_true(at.is_there);
		at.item.entry->words[0]++;
		use_set(t, b);
		end_table(b, MPR_CELL_SET);
		check_set(t, b);
	}
}

static int
setup(void **state, const struct subject *subject)
{
	struct board *b = new_board(state, subject->kind, subject->texts);

	if (!b)
		return -1;
	b->bystander = subject->make(*state, b);
	begin_board(*state, b);
	return 0;
}

static int
with_set(void **state)
{
	return setup(state, &a_set);
}

static int
with_namespace(void **state)
{
	return setup(state, &a_namespace);
}

static int
without_set(void **state)
{
	return end_board(state, MPR_CELL_SET);
}

static int
without_namespace(void **state)
{
	return end_board(state, MPR_CELL_NAMESPACE);
}

#define hostile_test(f, what)                                                 \
	{ #f, f, with_##what, without_##what, (void *)(uintptr_t)#f }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		hostile_test(any_word_of_a_set, set),
		hostile_test(any_word_of_a_namespace, namespace),
		hostile_test(an_element_that_cannot_be_found, set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
