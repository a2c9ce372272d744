/* SPDX-License-Identifier: MIT */
/*
 * sync/linger.c and sync/yields.c: who waits yields, or looks, or sleeps at once, by what
 * it has seen of its CPU. How long yields took is made up, but for what barriers do.
 */
#include <errno.h>

#include <mproc/mproc.h>

#include "common.h"
#include "sync/linger.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)

static unsigned
looks_of(struct mpr_yields *y)
{
	struct mpr_linger l;
	unsigned n = 0;

	mpr_linger_begin(&l, y, 1);
	while (mpr_linger_on(&l) && n < 100000)
		n++;
	return n;
}

static void
who_knows_nothing_yields(void **state)
{
	struct mpr_yields y = { 0 };
	struct mpr_linger l;

	(void)state;
	mpr_linger_begin(&l, &y, 1);
	assert_true(l.yields_left > 0);
	assert_int_equal(l.looks_left, 0);
	/* Somebody ran: it may do so again. */
	assert_false(mpr_yields_judge(&y, 5 * US, false));
	assert_int_equal(mpr_yields_first(&y), MPR_FIRST_YIELD);
	assert_int_equal(y.rest, 0);
}

static void
who_is_alone_looks_until_it_was_in_vain(void **state)
{
	struct mpr_yields y = { 0 };
	struct mpr_linger l;
	unsigned n = 0;

	(void)state;
	assert_true(mpr_yields_judge(&y, US / 2, false));
	mpr_linger_begin(&l, &y, 1);
	assert_int_equal(l.yields_left, 0);
	/* What it waited for came: so it does the next times. */
	for (n = 0; mpr_yields_first(&y) == MPR_FIRST_LOOK; n++)
		;
	assert_true(n > 100 && n < 10000);
	assert_true(mpr_yields_judge(&y, US / 2, false));
	n = looks_of(&y);
	assert_true(n > 10 && n < 1000);
	assert_int_equal(mpr_yields_first(&y), MPR_FIRST_YIELD);
}

static void
beside_a_stranger_it_sleeps_at_once(void **state)
{
	struct mpr_yields y = { 0 };
	unsigned n, before = 0;

	(void)state;
	for (int round = 0; round < 10; round++) {
		assert_false(mpr_yields_judge(&y, 3 * MS, false));
		/* That it was in vain is no reason to ask sooner. */
		for (n = 0; y.left; n++)
			assert_int_equal(looks_of(&y), 0);
		assert_true(round == 0 ? n == 16 :
					 n == 2 * before || (n == before && n >= 1000));
		before = n;
	}
	/* One that was worth it, and short ones, make up for it. */
	n = y.rest;
	assert_false(mpr_yields_judge(&y, 3 * MS, true));
	assert_int_equal(y.left, 0);
	assert_true(y.rest < n);
	for (n = 0; y.rest && n < 1000; n++)
		assert_false(mpr_yields_judge(&y, 5 * US, false));
	assert_true(n > 10 && n < 1000);
}

static void
all_that_it_does_ends(void **state)
{
	struct mpr_yields y = { 0 };

	(void)state;
	for (int i = 0; i < 3000; i++) {
		bool asks = !y.left;
		unsigned n = looks_of(&y);

		assert_true(n < 1000);
		assert_true(n || !asks);
	}
}

static void
many_others_take_longer(void **state)
{
	struct mpr_yields y = { 0 };
	struct mpr_linger few, many;

	(void)state;
	mpr_linger_begin(&few, &y, 1);
	mpr_linger_begin(&many, &y, 64);
	assert_true(few.turns < MPR_YIELD_LONG);
	assert_true(many.turns > MPR_YIELD_LONG);
	assert_true(many.turns < 3 * MS);
}

/* The only party of two that comes. */
static void
waits_of_a_barrier_count(void **state)
{
	struct mpr_self *self;
	mproc_barrier *b;

	(void)state;
	assert_int_equal(mpr_self(the_arena(), &self), 0);
	assert_int_equal(mproc_barrier_create(&b, 2), 0);
	assert_int_equal(mproc_barrier_enroll(b), 0);
	self->yields = (struct mpr_yields){ .left = 3 };
	assert_int_equal(mproc_barrier_wait(b, mproc_ms(1)), -ETIMEDOUT);
	assert_int_equal(self->yields.left, 2);
	assert_int_equal(mproc_barrier_reset(b), 0);
	/* It has yielded, and has learnt something, or it would say so still. */
	self->yields = (struct mpr_yields){ .left = 0, .rest = 1000 };
	assert_int_equal(mproc_barrier_wait(b, mproc_ms(1)), -ETIMEDOUT);
	assert_int_not_equal(self->yields.rest, 1000);
	self->yields = (struct mpr_yields){ 0 };
	mproc_barrier_destroy(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(who_knows_nothing_yields),
		mpt_test(who_is_alone_looks_until_it_was_in_vain),
		mpt_test(beside_a_stranger_it_sleeps_at_once),
		mpt_test(all_that_it_does_ends),
		mpt_test(many_others_take_longer),
		mpt_test(waits_of_a_barrier_count),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
