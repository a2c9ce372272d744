/* SPDX-License-Identifier: MIT */
/*
 * Tables of many buckets: how often one is looked at.
 */
#include "table.h"

#define MORE (mpr_buckets(MPR_TABLE_LEVELS) / 2)

static struct {
	uint64_t looks; /* for a bucket */
} counted;

_Atomic uint64_t *__real_mpr_table_bucket(const struct mpr_visit *v,
					  uint64_t bucket);
_Atomic uint64_t *__wrap_mpr_table_bucket(const struct mpr_visit *v,
					  uint64_t bucket);

_Atomic uint64_t *
__wrap_mpr_table_bucket(const struct mpr_visit *v, uint64_t bucket)
{
	counted.looks++;
	return __real_mpr_table_bucket(v, bucket);
}

/* The key with number @n: where it lies is as by a hash. */
static struct mpr_key
key_number(uint64_t n)
{
	uint64_t h = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);

	h = (h ^ h >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
	return key_of(n, (h ^ h >> 32) & ~MPR_ORDER_TIE);
}

static void
put_numbers(struct table *t, uint64_t from, uint64_t end)
{
	for (uint64_t i = from; i < end; i++) {
		struct mpr_key key = key_number(i);

		assert_int_equal(put(t, &key), 0);
	}
}

/* Each begins where the last one was: they all look at each bucket once. */
static void
who_takes_all_out_looks_at_each_bucket_once(void **state)
{
	struct table t = begin();
	struct mproc_any value;
	uint64_t most, n = 0;

	mpt_watchdog(*state, 120);
	put_numbers(&t, 0, MORE);
	/* One of each that is taken, too; and once again of half of all. */
	most = 2 * mpr_buckets(t.v.stripe->level) + MORE;
	mpr_visit_unlock(&t.v);
	counted.looks = 0;
	while (mproc_dict_pop_item(t.d, NULL, &value) == 0) {
		struct mpr_key key = key_number((uint64_t)value.i64);

		assert_in_range(counted.looks, n, most);
		if (n++ != MORE / 2)
			continue;
		/* One that comes before is found, too; and then the next one. */
		key.order = 0;
		assert_int_equal(mpr_visit_lock(&t.v), 0);
		assert_int_equal(put(&t, &key), 0);
		mpr_visit_unlock(&t.v);
		assert_int_equal(mproc_dict_pop_item(t.d, NULL, &value), 0);
		assert_int_equal(value.i64, key.flat.word);
	}
	assert_int_equal(n, MORE);
	assert_int_equal(mproc_dict_len(t.d), 0);
	/* The only one of an empty dict is found at once, wherever it lies. */
	for (uint64_t i = 0; i < 20; i++) {
		struct mpr_key key = key_number(i);

		assert_int_equal(mpr_visit_lock(&t.v), 0);
		assert_int_equal(put(&t, &key), 0);
		mpr_visit_unlock(&t.v);
		counted.looks = 0;
		assert_int_equal(mproc_dict_pop_item(t.d, NULL, &value), 0);
		assert_int_equal(value.i64, i);
		assert_in_range(counted.looks, 1, 1);
	}
	assert_int_equal(mpr_visit_lock(&t.v), 0);
	end(&t);
}

/* The arena, our slot, and a root, which stays. */
static int
setup(void **state)
{
	mproc_dict *d;

	(void)state;
	if (mproc_dict_create(&d, NULL) < 0)
		return -1;
	mproc_dict_destroy(d);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(who_takes_all_out_looks_at_each_bucket_once),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
