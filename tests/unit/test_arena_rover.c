/* SPDX-License-Identifier: MIT */
/*
 * Where a process goes on looking for a header: how many steps that takes, and how many
 * headers are added though there was a free one.
 */
#include "arena/rover.h"
#include "common.h"

#define MAX 40000

/* A list of headers, which lie where their numbers say. */
struct list {
	struct mpr_rover rover;
	unsigned n, used;
	bool taken[MAX];
	unsigned long steps;
};

static struct list list;

/* As those do who make objects. Returns its number. */
static unsigned
take(struct list *l)
{
	uint64_t place = mpr_rover_begin(&l->rover);
	unsigned at = mpr_rover_number(place);
	bool whole = !place;

	assert_true(mpr_rover_offset(place) == (uint64_t)at * 384);
	for (;;) {
		for (; at < l->n; at++, l->steps++) {
			if (l->taken[at])
				continue;
			l->taken[at] = true;
			l->used++;
			mpr_rover_found(&l->rover, (uint64_t)at * 384, at);
			return at;
		}
		if (whole || !mpr_rover_turns(&l->rover, l->n)) {
			assert_true(l->n < MAX);
			l->n++;
		} else {
			at = 0;
			whole = true;
		}
	}
}

static void
give(struct list *l, unsigned i)
{
	assert_true(l->taken[i]);
	l->taken[i] = false;
	l->used--;
	mpr_rover_freed(&l->rover);
}

static void
thousands_take_few_steps_each(void **state)
{
	enum { N = 20000 };

	(void)state;
	list = (struct list){ .n = 0 };
	for (int i = 0; i < N; i++)
		take(&list);
	assert_int_equal(list.n, N);
	assert_true(list.steps <= 2 * MPR_ROVER_STEPS * (unsigned long)N);
	for (int round = 0; round < 4; round++) {
		for (unsigned i = 0; i < list.n; i++)
			if (list.taken[i])
				give(&list, i);
		list.steps = 0;
		for (int i = 0; i < N; i++)
			take(&list);
		assert_true(list.steps <= 2 * MPR_ROVER_STEPS * (unsigned long)N);
		assert_int_equal(list.n, N);
	}
}

/* Of many, now this one goes and now that one, and another one comes. */
static void
what_comes_and_goes_adds_little(void **state)
{
	enum { N = 2000, TIMES = 50000 };
	static unsigned mine[N];

	(void)state;
	list = (struct list){ .n = 0 };
	for (int i = 0; i < N; i++)
		mine[i] = take(&list);
	list.steps = 0;
	for (unsigned i = 0; i < TIMES; i++) {
		unsigned k = i * 7919 % N;

		give(&list, mine[k]);
		mine[k] = take(&list);
	}
	assert_true(list.n <= N + 2 * N / MPR_ROVER_STEPS);
	assert_true(list.steps <= 3 * MPR_ROVER_STEPS * (unsigned long)TIMES);
}

/* Of a short list each header that is free is found before one is added. */
static void
short_lists_have_no_gaps(void **state)
{
	(void)state;
	list = (struct list){ .n = 0 };
	for (unsigned i = 0; i < MPR_ROVER_SHORT; i++)
		assert_int_equal(take(&list), i);
	for (unsigned i = 0; i < MPR_ROVER_SHORT; i++) {
		give(&list, i);
		assert_int_equal(take(&list), i);
	}
	assert_int_equal(list.n, MPR_ROVER_SHORT);
}

/* A place has room for the last header of the largest arena. */
static void
places_keep_both_numbers(void **state)
{
	static const uint64_t offsets[] = { 8, 384, (UINT64_C(64) << 30) - 8 };
	static const unsigned numbers[] = { MPR_ROVER_SHORT, 1u << 20 };
	struct mpr_rover r = { 0 };

	(void)state;
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 2; j++) {
			mpr_rover_found(&r, offsets[i], numbers[j]);
			assert_true(mpr_rover_offset(mpr_rover_begin(&r)) ==
				    offsets[i]);
			assert_int_equal(mpr_rover_number(mpr_rover_begin(&r)),
					 numbers[j]);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(thousands_take_few_steps_each),
		mpt_test(what_comes_and_goes_adds_little),
		mpt_test(short_lists_have_no_gaps),
		mpt_test(places_keep_both_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
