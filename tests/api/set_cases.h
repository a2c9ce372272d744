/* SPDX-License-Identifier: MIT */
/*
 * What sets do wherever they are: in the family, where test_set.c and test_set_with.c run
 * these, and with a manager, test_manager_set.c.
 */
#ifndef API_SET_CASES_H
#define API_SET_CASES_H

#include "dict.h"

#define N 4 /* elements there are */
#define ALL ((1U << N) - 1)

/* Of tests of sets that are somewhere else. */
static mproc_set *(*make_set)(void);

static inline mproc_set *
new_set(void)
{
	mproc_set *s;

	if (make_set)
		return make_set();
	assert_int_equal(mproc_set_create(&s, NULL), 0);
	return s;
}

static inline void
an_element_is_there_once(void **state)
{
	mproc_set *s = new_set();
	struct mproc_any got;

	(void)state;
	assert_int_equal(mproc_set_len(s), 0);
	assert_int_equal(mproc_set_has(s, mproc_int(1)), 0);
	assert_int_equal(mproc_set_add(s, mproc_int(1)), 1);
	assert_int_equal(mproc_set_add(s, mproc_float(1.0)), 0);
	assert_int_equal(mproc_set_add(s, mproc_bool(true)), 0);
	assert_int_equal(mproc_set_add(s, mproc_str("one")), 1);
	assert_int_equal(mproc_set_len(s), 2);
	assert_int_equal(mproc_set_has(s, mproc_int(1)), 1);
	assert_int_equal(mproc_set_discard(s, mproc_int(1)), 1);
	assert_int_equal(mproc_set_discard(s, mproc_int(1)), 0);
	assert_int_equal(mproc_set_has(s, mproc_int(1)), 0);
	assert_int_equal(mproc_set_pop(s, &got), 0);
	assert_true(got.kind == MPROC_STR && strcmp(got.ptr, "one") == 0);
	mproc_any_clear(&got);
	assert_int_equal(mproc_set_pop(s, &got), -ENODATA);
	assert_int_equal(got.kind, MPROC_NIL);
	assert_int_equal(mproc_set_len(s), 0);
	mproc_set_destroy(s);
	assert_int_equal(mproc_set_add(s, mproc_int(1)), -ESTALE);
	assert_int_equal(mproc_set_pop(s, &got), -ESTALE);
	assert_int_equal(mproc_set_len(s), 0);
}

typedef int op_fn(mproc_set *s, mproc_set *other);

/* One element for each bit. */
static inline struct mproc_any
element(unsigned i)
{
	const struct mproc_any elems[N] = {
		mproc_int(7), mproc_str("a text of several words"),
		mproc_bytes("\0\1", 2), mproc_float(0.5),
	};

	return elems[i];
}

static inline mproc_set *
set_of(unsigned bits)
{
	mproc_set *s = new_set();

	for (unsigned i = 0; i < N; i++)
		if (bits >> i & 1)
			assert_int_equal(mproc_set_add(s, element(i)), 1);
	return s;
}

static inline unsigned
bits_of(mproc_set *s)
{
	unsigned bits = 0, n = 0;

	for (unsigned i = 0; i < N; i++) {
		int r = mproc_set_has(s, element(i));

		assert_in_range(r, 0, 1);
		bits |= (unsigned)r << i;
		n += (unsigned)r;
	}
	assert_int_equal(mproc_set_len(s), n);
	return bits;
}

static inline unsigned
update(unsigned a, unsigned b)
{
	return a | b;
}

static inline unsigned
intersection(unsigned a, unsigned b)
{
	return a & b;
}

static inline unsigned
difference(unsigned a, unsigned b)
{
	return a & ~b;
}

static inline unsigned
symmetric_difference(unsigned a, unsigned b)
{
	return a ^ b;
}

static const struct change {
	op_fn *op;
	unsigned (*on_bits)(unsigned a, unsigned b);
} changes[] = {
	{ mproc_set_update, update },
	{ mproc_set_intersection_update, intersection },
	{ mproc_set_difference_update, difference },
	{ mproc_set_symmetric_difference_update, symmetric_difference },
};

#define CHANGES (sizeof(changes) / sizeof(changes[0]))

static inline void
expect_changes(unsigned a, unsigned b)
{
	for (unsigned i = 0; i < CHANGES; i++) {
		mproc_set *s = set_of(a), *other = set_of(b);

		assert_int_equal(changes[i].op(s, other), 0);
		assert_int_equal(bits_of(s), changes[i].on_bits(a, b));
		assert_int_equal(bits_of(other), b);
		mproc_set_destroy(s);
		mproc_set_destroy(other);
	}
}

static inline void
any_two_sets(void **state)
{
	struct mproc_arena_stat before = stat_now();

	(void)state;
	for (unsigned a = 0; a <= ALL; a++)
		for (unsigned b = 0; b <= ALL; b++) {
			mproc_set *s = set_of(a), *other = set_of(b);

			assert_int_equal(mproc_set_is_subset(s, other),
					 (a & ~b) == 0);
			assert_int_equal(mproc_set_is_equal(s, other), a == b);
			assert_int_equal(mproc_set_is_disjoint(s, other),
					 (a & b) == 0);
			mproc_set_destroy(s);
			mproc_set_destroy(other);
			expect_changes(a, b);
		}
	expect_stat(&before);
}

static inline void
a_set_and_itself(void **state)
{
	(void)state;
	for (unsigned a = 0; a <= ALL; a += ALL)
		for (unsigned i = 0; i < CHANGES; i++) {
			mproc_set *s = set_of(a);

			assert_int_equal(mproc_set_is_subset(s, s), 1);
			assert_int_equal(mproc_set_is_equal(s, s), 1);
			assert_int_equal(mproc_set_is_disjoint(s, s), !a);
			assert_int_equal(changes[i].op(s, s), 0);
			assert_int_equal(bits_of(s), changes[i].on_bits(a, a));
			mproc_set_destroy(s);
		}
}

#define SET_CASES mpt_test(an_element_is_there_once)

#define SET_WITH_CASES                                                        \
	mpt_test(any_two_sets),                                               \
	mpt_test(a_set_and_itself)

#endif
