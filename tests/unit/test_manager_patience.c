/* SPDX-License-Identifier: MIT */
/*
 * Who waits looks again before it sleeps, as long as that is not in vain and nobody else
 * wants the CPU.
 */
#include "common.h"
#include "manager/patience.h"

/* How often it looks, if nothing comes. How crowded it is is not asked for. */
static unsigned
wait_in_vain(struct mpr_patience *p)
{
	unsigned n = 0;

	p->n = 0;
	(void)mpr_patience_begin(p);
	while (mpr_patience_looks(p))
		n++;
	return n;
}

static void
who_looks_in_vain_looks_less_often(void **state)
{
	struct mpr_patience p = { .left = 0 };
	const unsigned gaps[] = { 1, 3, 7, 15, 31, 63, 127, 255, 255 };

	(void)state;
	assert_true(wait_in_vain(&p) > 10);
	for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++) {
		for (unsigned k = 0; k < gaps[i]; k++)
			assert_int_equal(wait_in_vain(&p), 0);
		assert_true(wait_in_vain(&p) > 10);
	}
}

static void
who_does_not_looks_the_next_time(void **state)
{
	struct mpr_patience p = { .left = 0 };

	(void)state;
	for (int i = 0; i < 20; i++)
		(void)wait_in_vain(&p);
	do {
		p.n = 0;
		(void)mpr_patience_begin(&p);
		/* What came without a look says nothing about it. */
		if (!p.left)
			mpr_patience_met(&p);
	} while (!p.left);
	assert_true(p.after > 0);
	assert_true(mpr_patience_looks(&p));
	mpr_patience_met(&p);
	assert_false(mpr_patience_looks(&p));
	for (int i = 0; i < 20; i++) {
		assert_true(mpr_patience_begin(&p));
		assert_true(mpr_patience_looks(&p));
		mpr_patience_met(&p);
	}
	/* The first one in vain is the first again. */
	assert_true(wait_in_vain(&p) > 10);
	assert_int_equal(wait_in_vain(&p), 0);
	assert_true(wait_in_vain(&p) > 10);
}

/* Begins waits until it asks again how crowded it is. */
static void
come_round(struct mpr_patience *p)
{
	uint64_t before = p->preempted;

	do {
		(void)mpr_patience_begin(p);
		mpr_patience_met(p);
	} while (p->n % 256 != 0);
	assert_true(p->preempted != before || !p->crowded);
}

static void
nobody_looks_where_it_is_crowded(void **state)
{
	struct mpr_patience p = { .left = 0 };

	(void)state;
	/* As if others had taken the CPU ever so often meanwhile. */
	p.preempted = UINT64_MAX / 2;
	come_round(&p);
	assert_true(p.crowded);
	for (int i = 0; i < 255; i++)
		assert_int_equal(wait_in_vain(&p), 0);
	/* It does not stay so. */
	for (int i = 0; i < 1000 && p.crowded; i++)
		come_round(&p);
	assert_true(mpr_patience_begin(&p));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(who_looks_in_vain_looks_less_often),
		mpt_test(who_does_not_looks_the_next_time),
		mpt_test(nobody_looks_where_it_is_crowded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
