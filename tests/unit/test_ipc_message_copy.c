/* SPDX-License-Identifier: MIT */
/*
 * How a producer learns which way to copy, by copies that take as long as this test
 * says; and that what is copied is right, whichever way that is.
 */
#include "common.h"
#include "ipc/message_copy.h"

#define LEN 65536
#define MOST 2048 /* copies; more than there are between two trials */
#define TRIAL 8

/* What a copy of LEN bytes takes through the caches, and past them. */
struct machine {
	int64_t through;
	int64_t past;
};

/* It depends. */
static const struct machine one_cpu = { 1200, 2700 };
static const struct machine near = { 7000, 2100 };
static const struct machine far = { 29000, 2100 };

/* @n copies; returns how many of them went past the caches. */
static unsigned
copy(struct mpr_copy_way *w, const struct machine *m, unsigned n)
{
	unsigned past = 0;

	for (unsigned i = 0; i < n; i++) {
		bool goes_past = mpr_copy_way_next(w);

		past += goes_past;
		mpr_copy_way_learn(w, LEN, goes_past ? m->past : m->through);
	}
	return past;
}

static void
it_begins_through_the_caches(void **state)
{
	struct mpr_copy_way w = { 0 };

	(void)state;
	assert_int_equal(copy(&w, &far, 10), 0);
}

static void
past_them_if_that_is_quicker(void **state)
{
	struct mpr_copy_way w = { 0 };

	(void)state;
	copy(&w, &near, 100);
	assert_true(mpr_copy_way_next(&w));
	assert_true(copy(&w, &near, MOST) >= MOST - 7 * TRIAL);
}

static void
through_them_if_not(void **state)
{
	struct mpr_copy_way w = { 0 };

	(void)state;
	assert_in_range(copy(&w, &one_cpu, 100), 1, TRIAL);
	assert_false(mpr_copy_way_next(&w));
}

/* The reader pays as well. */
static void
a_little_quicker_is_not_enough(void **state)
{
	static const struct machine little = { 3900, 2100 };
	struct mpr_copy_way w = { 0 };

	(void)state;
	assert_in_range(copy(&w, &little, MOST), 1, 2 * TRIAL);
}

static void
trials_become_rare(void **state)
{
	struct mpr_copy_way w = { 0 };

	(void)state;
	copy(&w, &one_cpu, 4 * MOST);
	assert_in_range(copy(&w, &one_cpu, MOST), 1, 2 * TRIAL);
}

/* What goes past the caches takes the same whatever becomes of the reader. */
static void
past_them_is_tried_once(void **state)
{
	struct mpr_copy_way w = { 0 };

	(void)state;
	assert_in_range(copy(&w, &one_cpu, 100), 1, TRIAL);
	assert_int_equal(copy(&w, &one_cpu, 900), 0);
}

/* Where the other way is much slower one copy tells. */
static void
a_trial_that_is_hopeless_ends(void **state)
{
	struct mpr_copy_way w = { 0 };

	(void)state;
	copy(&w, &far, 100);
	assert_true(copy(&w, &far, MOST) >= MOST - 7);
}

/* It may be one that has lost its CPU: there is another trial soon. */
static void
a_trial_that_one_copy_ends_is_not_the_last(void **state)
{
	struct mpr_copy_way w = { 0 };
	unsigned n = 0;

	(void)state;
	for (; !mpr_copy_way_next(&w); n++)
		mpr_copy_way_learn(&w, LEN, near.through);
	mpr_copy_way_learn(&w, LEN, 100 * near.through);
	assert_false(mpr_copy_way_next(&w));
	copy(&w, &near, 4 * n);
	assert_true(mpr_copy_way_next(&w));
}

/* The first copies after the other way take longer than all others will. */
static void
the_first_of_a_trial_say_little(void **state)
{
	static const struct machine later = { 30000, 27000 };
	struct mpr_copy_way w = { 0 };
	unsigned in_row = 0, n = 0;

	(void)state;
	copy(&w, &near, 100);
	for (; n < MOST && in_row <= TRIAL; n++) {
		bool goes_past = mpr_copy_way_next(&w);
		int64_t through = in_row < 2 ? later.through * 3 : later.through / 2;

		in_row = goes_past ? 0 : in_row + 1;
		mpr_copy_way_learn(&w, LEN, goes_past ? later.past : through);
	}
	assert_in_range(n, 1, MOST - 1);
}

/* Threads move. What gets slow is noticed soon, what gets quick by a trial. */
static void
it_learns_anew(void **state)
{
	struct mpr_copy_way w = { 0 };

	(void)state;
	for (int i = 0; i < 3; i++) {
		copy(&w, &one_cpu, MOST);
		assert_in_range(copy(&w, &one_cpu, 100), 0, TRIAL);
		copy(&w, &far, MOST);
		assert_in_range(copy(&w, &far, 100), 99, 100);
	}
}

/* As after an interrupt, or the loss of the CPU. */
static void
one_long_copy_says_little(void **state)
{
	static const int64_t ms = 1000000;
	struct mpr_copy_way w = { 0 };

	(void)state;
	copy(&w, &near, 100);
	assert_true(mpr_copy_way_next(&w));
	mpr_copy_way_learn(&w, LEN, 5 * ms);
	assert_true(copy(&w, &near, 100) >= 100 - TRIAL);
}

static void
the_bytes_are_the_same(void **state)
{
	static unsigned char from[LEN + 64], to[LEN + 64];
	struct mpr_copy_way w = { 0 };
	unsigned past = 0;

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		size_t len = 1 + i * 211;

		for (size_t k = 0; k < sizeof(from); k++)
			from[k] = (unsigned char)(k * 31 + i);
		memset(to, 0, sizeof(to));
		/* A machine that is far, whatever this one is. */
		copy(&w, &far, 50);
		past += mpr_copy_way_next(&w);
		mpr_message_copy(&w, to + i % 64, from, len);
		assert_memory_equal(to + i % 64, from, len);
		assert_int_equal(to[i % 64 + len], 0);
	}
	assert_true(past > 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_begins_through_the_caches),
		cmocka_unit_test(past_them_if_that_is_quicker),
		cmocka_unit_test(through_them_if_not),
		cmocka_unit_test(a_little_quicker_is_not_enough),
		cmocka_unit_test(trials_become_rare),
		cmocka_unit_test(past_them_is_tried_once),
		cmocka_unit_test(a_trial_that_is_hopeless_ends),
		cmocka_unit_test(a_trial_that_one_copy_ends_is_not_the_last),
		cmocka_unit_test(the_first_of_a_trial_say_little),
		cmocka_unit_test(it_learns_anew),
		cmocka_unit_test(one_long_copy_says_little),
		cmocka_unit_test(the_bytes_are_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
