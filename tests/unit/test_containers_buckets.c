/* SPDX-License-Identifier: MIT */
/*
 * Tables that have more buckets than a block holds, or no memory for them: who finds
 * what where, how often a bucket is looked at and memory asked for, and what is given
 * back.
 */
#include <errno.h>

#include "table.h"

/* So many that there are buckets of level 9, which a directory names. There are two
 * buckets for a key; this is how many there are of those that no block of the directory
 * has, and of those in one of these, of which three come together. */
#define MANY (mpr_buckets(8) + 1)
#define BEFORE mpr_buckets(MPR_TABLE_SEGMENTS)
#define PART (BEFORE / 4)

static struct {
	uint64_t looks; /* for a bucket */
	uint64_t steady; /* of these, while nobody who reads would know of a change */
	unsigned asked; /* for memory for buckets */
	unsigned refuse; /* from the one with this number on, if it is not 0 */
} counted;

_Atomic uint64_t *__real_mpr_table_bucket(const struct mpr_visit *v,
					  uint64_t bucket);
_Atomic uint64_t *__wrap_mpr_table_bucket(const struct mpr_visit *v,
					  uint64_t bucket);

_Atomic uint64_t *
__wrap_mpr_table_bucket(const struct mpr_visit *v, uint64_t bucket)
{
	counted.looks++;
	counted.steady += !(v->stripe->version & 1);
	return __real_mpr_table_bucket(v, bucket);
}

int __real_mpr_heap_reserve(mproc_arena *a, struct mpr_self *self, size_t size,
			    struct mpr_block_ref *ret_ref);
int __wrap_mpr_heap_reserve(mproc_arena *a, struct mpr_self *self, size_t size,
			    struct mpr_block_ref *ret_ref);

/* Entries are not asked for so. */
int
__wrap_mpr_heap_reserve(mproc_arena *a, struct mpr_self *self, size_t size,
			struct mpr_block_ref *ret_ref)
{
	counted.asked++;
	if (counted.refuse && counted.asked >= counted.refuse)
		return -ENOMEM;
	return __real_mpr_heap_reserve(a, self, size, ret_ref);
}

/* The key with number @n: where it lies is as by a hash. */
static struct mpr_key
key_number(uint64_t n)
{
	uint64_t h = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);

	h = (h ^ h >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
	return key_of(n, (h ^ h >> 32) & ~MPR_ORDER_TIE);
}

static uint64_t
buckets_of(const struct table *t)
{
	return mpr_buckets_after(t->v.stripe->cuts);
}

/* Those that @keys keys bring, if there is memory. */
static void
expect_buckets(const struct table *t, uint64_t keys)
{
	assert_in_range(buckets_of(t), 2 * keys, 2 * keys + 2);
}

static void
put_numbers(struct table *t, uint64_t from, uint64_t end)
{
	for (uint64_t i = from; i < end; i++) {
		struct mpr_key key = key_number(i);

		assert_int_equal(put(t, &key), 0);
	}
}

static void
expect_numbers(const struct table *t, uint64_t from, uint64_t end, bool there)
{
	for (uint64_t i = from; i < end; i++) {
		struct mpr_key key = key_number(i);

		assert_int_equal(has(t, &key), there);
	}
}

static struct mproc_arena_stat
stat_now(void)
{
	struct mproc_arena_stat now;

	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	return now;
}

static void
all_of_many_keys_are_found(void **state)
{
	struct mproc_arena_stat before = stat_now(), now;
	struct table t = begin();

	mpt_watchdog(*state, 120);
	put_numbers(&t, 0, MANY);
	expect_buckets(&t, MANY);
	assert_int_equal(walk(&t), MANY);
	expect_numbers(&t, 0, MANY, true);
	expect_numbers(&t, MANY, MANY + 1000, false);
	for (uint64_t i = 0; i < MANY; i += 2) {
		struct mpr_key key = key_number(i);

		take(&t, &key);
	}
	assert_int_equal(walk(&t), MANY / 2);
	for (uint64_t i = 0; i < MANY; i += 101)
		expect_numbers(&t, i, i + 1, i % 2);
	/* What has gone comes again. */
	put_numbers(&t, 0, 1000);
	expect_numbers(&t, 0, 1000, true);
	end(&t);
	now = stat_now();
	assert_int_equal(now.blocks, before.blocks);
	assert_int_equal(now.used, before.used);
}

static void
each_bucket_has_a_word_of_its_own(void **state)
{
	struct table t = begin();
	uint64_t n;

	mpt_watchdog(*state, 120);
	put_numbers(&t, 0, MANY);
	n = buckets_of(&t);
	expect_buckets(&t, MANY);
	assert_int_equal(mpr_table_empty(&t.v), 0);
	for (uint64_t i = 0; i < n; i++) {
		_Atomic uint64_t *bucket =
			mpr_table_bucket(&t.v, mpr_bucket_at(i, n));

		assert_non_null(bucket);
		assert_int_equal(*bucket, 0);
		*bucket = i + 1;
	}
	for (uint64_t i = 0; i < n; i++) {
		_Atomic uint64_t *bucket =
			mpr_table_bucket(&t.v, mpr_bucket_at(i, n));

		assert_int_equal(*bucket, i + 1);
		*bucket = 0;
	}
	/* Of blocks that it does not have, and of none at all. */
	assert_null(mpr_table_bucket(&t.v, mpr_buckets(8) +
					    mpr_bucket_next(n) + PART));
	for (unsigned i = 0; i < 64; i++)
		if (mpr_buckets(9) << i)
			assert_null(mpr_table_bucket(&t.v, mpr_buckets(9) << i));
	assert_null(mpr_table_bucket(&t.v, UINT64_MAX));
	end(&t);
}

/* Who clears it gives back what it has had, and who comes later looks at no more than in
 * a new one. */
static void
a_dict_that_was_cleared_has_no_buckets_to_look_at(void **state)
{
	struct table t = begin();
	struct mproc_arena_stat before = stat_now(), now;
	struct mproc_cursor c = { { 0 } };
	struct mpr_key key = key_number(0);
	struct mproc_any found;

	mpt_watchdog(*state, 120);
	put_numbers(&t, 0, MANY);
	expect_buckets(&t, MANY);
	mpr_visit_unlock(&t.v);
	assert_int_equal(mproc_dict_clear(t.d), 0);
	assert_int_equal(t.v.stripe->cuts, 0);
	assert_int_equal(t.v.stripe->directory, 0);
	now = stat_now();
	assert_int_equal(now.blocks, before.blocks);
	assert_int_equal(now.used, before.used);

	assert_int_equal(mpr_visit_lock(&t.v), 0);
	assert_int_equal(put(&t, &key), 0);
	mpr_visit_unlock(&t.v);
	counted.looks = 0;
	assert_int_equal(mproc_dict_next(t.d, &c, &found, NULL), 0);
	assert_int_equal(found.i64, 0);
	assert_int_equal(mproc_dict_next(t.d, &c, &found, NULL), -ENODATA);
	assert_int_equal(mproc_dict_clear(t.d), 0);
	assert_in_range(counted.looks, 1, 3 * 4 * MPR_STRIPES);
	assert_int_equal(mpr_visit_lock(&t.v), 0);
	end(&t);
}

/* Through the public functions. */
static void
a_dict_of_many_keys_is_whole(void **state)
{
	enum { N = 70000 };
	struct mproc_cursor c = { { 0 } };
	static unsigned char met[16 * 2 * N];
	struct mproc_any key, value;
	struct mpr_visit v;
	int64_t next = 0, last = 0;
	mproc_dict *d;
	size_t n = 0;

	mpt_watchdog(*state, 120);
	assert_int_equal(mproc_dict_create(&d, NULL), 0);
	assert_int_equal(mpr_visit_begin(&v, MPR_CELL_DICT, d), 0);
	for (int i = 0; i < N; next++) {
		struct mpr_key found;

		key = mproc_int(next);
		assert_int_equal(mpr_key_make(&v, &key, &found), 0);
		if (found.stripe != 0)
			continue;
		assert_int_equal(mproc_dict_set(d, key, mproc_int(-next)), 0);
		last = next;
		i++;
	}
	assert_true(mpr_buckets_after(v.stripes[0].cuts) > BEFORE);
	assert_true((size_t)last < sizeof(met));
	assert_int_equal(mproc_dict_len(d), N);
	while (mproc_dict_next(d, &c, &key, &value) == 0) {
		assert_int_equal(value.i64, -key.i64);
		assert_in_range(key.i64, 0, last);
		assert_int_equal(met[key.i64]++, 0);
		assert_int_equal(mproc_dict_get_int(d, key, &next), 0);
		assert_int_equal(next, value.i64);
		n++;
	}
	assert_int_equal(n, N);
	while (mproc_dict_pop_item(d, &key, &value) == 0) {
		assert_int_equal(value.i64, -key.i64);
		assert_int_equal(met[key.i64]++, 1);
		n--;
	}
	assert_int_equal(n, 0);
	mproc_dict_destroy(d);
}

/* Each begins where the last one was: they all look at each bucket once. */
static void
who_takes_all_out_looks_at_each_bucket_once(void **state)
{
	struct table t = begin();
	struct mproc_any value;
	uint64_t most, n = 0;

	mpt_watchdog(*state, 120);
	put_numbers(&t, 0, BEFORE);
	/* One of each that is taken, too; and once again of half of all. */
	most = 2 * buckets_of(&t) + BEFORE;
	mpr_visit_unlock(&t.v);
	counted.looks = 0;
	while (mproc_dict_pop_item(t.d, NULL, &value) == 0) {
		struct mpr_key key = key_number((uint64_t)value.i64);

		assert_in_range(counted.looks, n, most);
		if (n++ != BEFORE / 2)
			continue;
		/* One that comes before is found, too; and then the next one. */
		key.order = 0;
		assert_int_equal(mpr_visit_lock(&t.v), 0);
		assert_int_equal(put(&t, &key), 0);
		mpr_visit_unlock(&t.v);
		assert_int_equal(mproc_dict_pop_item(t.d, NULL, &value), 0);
		assert_int_equal(value.i64, key.flat.word);
	}
	assert_int_equal(n, BEFORE);
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

static void
each_key_cuts_one_bucket_at_most(void **state)
{
	struct table t = begin();

	mpt_watchdog(*state, 120);
	for (uint64_t i = 0; i < MANY; i++) {
		counted.looks = 0;
		counted.steady = 0;
		counted.asked = 0;
		put_numbers(&t, i, i + 1);
		/* Its own, the one that is cut, and three that come of it. */
		assert_in_range(counted.looks, 1, 5);
		assert_int_equal(counted.steady, 1);
		/* Three blocks, and with the first ones the directory. */
		assert_in_range(counted.asked, 0, 4);
	}
	expect_buckets(&t, MANY);
	end(&t);
}

static void
without_memory_it_is_not_asked_for_each_time(void **state)
{
	struct table t = begin();
	const uint64_t n = mpr_buckets(1);
	uint64_t end_of = n / 2;

	(void)state;
	put_numbers(&t, 0, end_of);
	assert_int_equal(buckets_of(&t), n);
	counted.asked = 0;
	counted.refuse = 1;
	/* With the first one that is too many, and then after n others each time. */
	for (unsigned i = 1; i <= 3; i++) {
		put_numbers(&t, end_of, end_of + 1);
		assert_int_equal(counted.asked, i);
		put_numbers(&t, end_of + 1, end_of + 1 + n);
		assert_int_equal(counted.asked, i);
		end_of += n + 1;
	}
	assert_int_equal(buckets_of(&t), n);
	expect_numbers(&t, 0, end_of, true);
	/* When there is memory again they come faster than keys, until there are as
	 * many as there would be. */
	counted.refuse = 0;
	put_numbers(&t, end_of, end_of + 1);
	assert_int_equal(buckets_of(&t), n + 3);
	assert_int_equal(walk(&t), end_of + 1);
	put_numbers(&t, end_of + 1, 3 * end_of);
	expect_buckets(&t, 3 * end_of);
	assert_int_equal(walk(&t), 3 * end_of);
	expect_numbers(&t, 0, 3 * end_of, true);
	end(&t);
}

/* What there is is used, and what is there is not asked for again. */
static void
blocks_of_a_level_come_as_they_are_used(void **state)
{
	const uint64_t first = BEFORE / 2, second = first + 3 * PART / 2;
	struct mproc_arena_stat before, now;
	struct table t = begin();

	mpt_watchdog(*state, 120);
	put_numbers(&t, 0, first);
	assert_int_equal(buckets_of(&t), BEFORE);
	before = stat_now();
	counted.asked = 0;
	counted.refuse = 6;
	put_numbers(&t, first, second);
	/* The directory, and three blocks. */
	assert_int_equal(counted.asked, 4);
	assert_int_equal(buckets_of(&t), BEFORE + 3 * PART);
	/* And one of the next three. */
	put_numbers(&t, second, second + 1);
	assert_int_equal(counted.asked, 6);
	assert_int_equal(buckets_of(&t), BEFORE + 3 * PART);
	now = stat_now();
	assert_int_equal(now.blocks, before.blocks + 5 + 3 * PART / 2 + 1);
	expect_numbers(&t, 0, second + 1, true);
	counted.refuse = 0;
	t.v.stripe->later = 0;
	put_numbers(&t, second + 1, second + 10);
	assert_int_equal(counted.asked, 8);
	expect_buckets(&t, second + 10);
	assert_int_equal(walk(&t), second + 10);
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
		mpt_test(all_of_many_keys_are_found),
		mpt_test(each_bucket_has_a_word_of_its_own),
		mpt_test(a_dict_that_was_cleared_has_no_buckets_to_look_at),
		mpt_test(a_dict_of_many_keys_is_whole),
		mpt_test(each_key_cuts_one_bucket_at_most),
		mpt_test(without_memory_it_is_not_asked_for_each_time),
		mpt_test(blocks_of_a_level_come_as_they_are_used),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
