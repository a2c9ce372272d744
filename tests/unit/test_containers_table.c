/* SPDX-License-Identifier: MIT */
/*
 * Tables where the hash is of no help: keys that all have the same one, or as many
 * as there can be. The keys are made by hand.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <mproc/mproc.h>

#include "base/fault.h"
#include "table.h"

#define SAME UINT64_C(0x123456789abc0000)

static void
keys_with_one_hash_are_told_apart(void **state)
{
	struct table t = begin();
	enum { N = 100 };

	(void)state;
	for (uint64_t i = 0; i < N; i++) {
		/* Beside them those that come right before and after. */
		struct mpr_key key = key_of(i, SAME),
			       before = key_of(i, SAME - 0x10000),
			       after = key_of(i, SAME + 0x10000);

		assert_int_equal(put(&t, &key), 0);
		assert_int_equal(put(&t, &before), 0);
		assert_int_equal(put(&t, &after), 0);
	}
	assert_int_equal(walk(&t), 3 * N);
	for (uint64_t i = 0; i < N; i += 3) {
		struct mpr_key key = key_of(i, SAME);

		take(&t, &key);
		assert_false(has(&t, &key));
	}
	for (uint64_t i = 0; i < N; i++) {
		struct mpr_key key = key_of(i, SAME);

		assert_int_equal(has(&t, &key), i % 3 != 0);
	}
	/* The gaps are filled: orders do not run out because keys come and
	 * go. */
	for (uint64_t i = 0; i < N; i += 3) {
		struct mpr_key key = key_of(i + 1000, SAME);
		struct mpr_place at;

		assert_int_equal(put(&t, &key), 0);
		assert_true(has(&t, &key));
		assert_int_equal(mpr_table_find(&t.v, &key, &at), 0);
		assert_true(at.order < SAME + N);
	}
	assert_int_equal(walk(&t), 3 * N);
	end(&t);
}

static void
the_first_and_the_last_order_are_places_too(void **state)
{
	static const uint64_t orders[] = { 0, ~MPR_ORDER_TIE,
					   UINT64_C(1) << 63 };
	struct table t = begin();

	(void)state;
	for (int round = 0; round < 40; round++)
		for (int i = 0; i < 3; i++) {
			struct mpr_key key = key_of((uint64_t)round, orders[i]);

			assert_int_equal(put(&t, &key), 0);
			assert_true(has(&t, &key));
		}
	assert_int_equal(walk(&t), 120);
	end(&t);
}

/* Each behind the last one, as a search would take longer and longer. */
static void
with_65536_of_one_hash_there_is_no_room_for_more(void **state)
{
	struct mpr_flat value = number(0);
	struct table t = begin();
	struct mpr_key key, other;
	struct mpr_place at;

	mpt_watchdog(*state, 120);
	key = key_of(0, SAME);
	assert_int_equal(mpr_table_find(&t.v, &key, &at), 0);
	for (uint64_t i = 0; i <= MPR_ORDER_TIE; i++) {
		struct mpr_item item;

		key = key_of(i, SAME);
		at.order = SAME + i;
		assert_int_equal(mpr_table_put(&t.v, &key, &at, &value), 0);
		assert_true(mpr_table_entry(&t.v, *at.link, &item));
		at.link = &item.entry->next;
	}
	key = key_of(MPR_ORDER_TIE + 1, SAME);
	assert_int_equal(put(&t, &key), -EOVERFLOW);
	assert_false(has(&t, &key));
	other = key_of(5, SAME);
	take(&t, &other);
	assert_int_equal(put(&t, &key), 0);
	assert_true(has(&t, &key));
	end(&t);
}

static void
orders_are_hashes_from_their_lowest_bit_up(void **state)
{
	(void)state;
	assert_true(mpr_reverse(1) == UINT64_C(1) << 63);
	assert_true(mpr_reverse(UINT64_C(0xf0)) == UINT64_C(0xf) << 56);
	for (uint64_t i = 0; i < 1000; i++) {
		uint64_t x = i * UINT64_C(0x9e3779b97f4a7c15);

		assert_true(mpr_reverse(mpr_reverse(x)) == x);
	}
}

/* One cut concerns one bucket, and leaves it and three others. */
static void
a_cut_is_of_one_bucket(void **state)
{
	enum { ORDERS = 5000 };
	static unsigned met[ORDERS];

	(void)state;
	for (uint64_t cuts = 0; cuts < 1000; cuts++) {
		uint64_t n = mpr_buckets_after(cuts), next = mpr_bucket_next(n);
		unsigned moved = 0;

		memset(met, 0, sizeof(met));
		for (uint64_t i = 0; i < ORDERS; i++) {
			uint64_t order = mpr_reverse(i);
			uint64_t is = mpr_bucket_of(order, n);
			uint64_t then = mpr_bucket_of(order, n + 3);
			uint64_t low = UINT64_MAX >> mpr_order_bits(order, n);

			assert_in_range(is, 0, ORDERS - 1);
			met[is]++;
			if (then != is) {
				assert_int_equal(is, next);
				moved++;
			}
			/* Its orders are one row. */
			assert_int_equal(mpr_bucket_of(order | low, n), is);
			assert_int_equal(mpr_bucket_of(order & ~low, n), is);
			if (order & ~low)
				assert_int_not_equal(
					mpr_bucket_of((order & ~low) - 1, n),
					is);
		}
		assert_int_not_equal(moved, 0);
		/* Each is one of those that are gone through, once. */
		for (uint64_t i = 0; i < n; i++) {
			uint64_t bucket = mpr_bucket_at(i, n);

			assert_in_range(bucket, 0, ORDERS - 1);
			assert_int_not_equal(met[bucket], 0);
			met[bucket] = 0;
		}
		for (unsigned i = 0; i < ORDERS; i++)
			assert_int_equal(met[i], 0);
	}
	/* A level has ended when each of its buckets was cut once. */
	for (uint64_t level = 0; level <= MPR_TABLE_LEVELS; level++) {
		uint64_t n = mpr_buckets(level);

		assert_int_equal(mpr_bucket_next(n), 0);
		assert_int_equal(mpr_buckets_after((n - 4) / 3), n);
		if (level)
			assert_int_equal(mpr_bucket_next(n - 3),
					 mpr_buckets(level - 1) - 1);
	}
}

/* Of what a call has failed with it knows that nothing has happened. */
static int
fill(mproc_dict *d, bool keep)
{
	static const char text[200000] = "a text";
	struct mproc_any value;
	int r = 0;

	for (int i = 0; i < 300 && r == 0; i++) {
		r = mproc_dict_set(d, mproc_int(i), mproc_int(i));
		assert_int_equal(mproc_dict_len(d), r < 0 ? i : i + 1);
	}
	if (r < 0)
		return r;
	r = mproc_dict_set(d, mproc_int(1), mproc_bytes(text, sizeof(text)));
	if (r < 0) {
		assert_int_equal(mproc_dict_get(d, mproc_int(1), &value), 0);
		assert_true(value.kind == MPROC_INT && value.i64 == 1);
		return r;
	}
	r = mproc_dict_get(d, mproc_int(1), &value);
	if (r < 0) {
		assert_int_equal(value.kind, MPROC_NIL);
		return r;
	}
	assert_int_equal(value.len, sizeof(text));
	mproc_any_clear(&value);
	if (keep)
		return 0;
	r = mproc_dict_pop(d, mproc_int(1), &value);
	assert_int_equal(mproc_dict_has(d, mproc_int(1)), r < 0);
	assert_int_equal(value.len, r < 0 ? 0 : sizeof(text));
	mproc_any_clear(&value);
	return r;
}

/* What failed first works when memory is there again. Nothing is given back before
 * the end, so that each needs memory of its own. */
static void
what_there_is_no_memory_for_does_not_happen(void **state)
{
	static const char *const points[] = { "fallocate", "malloc" };
	enum { TRIES = 40 };
	struct mproc_arena_stat before, now;
	unsigned failed[2] = { 0 };
	mproc_dict *d[TRIES];

	mpt_watchdog(*state, 60);
	for (unsigned i = 0; i < TRIES; i++)
		assert_int_equal(mproc_dict_create(&d[i], NULL), 0);
	assert_int_equal(mproc_arena_stat(NULL, &before), 0);
	for (unsigned i = 0; i < TRIES; i++) {
		char spec[40];
		int r;

		snprintf(spec, sizeof(spec), "%s:%u%s", points[i % 2],
			 i / 4 % 5 + 1, i / 2 % 2 ? "+" : "");
		assert_int_equal(mpr_fault_set(spec), 0);
		r = fill(d[i], false);
		assert_int_equal(mpr_fault_set(NULL), 0);
		assert_true(r == 0 || r == -ENOMEM || r == -ENOSPC);
		failed[i % 2] += r < 0;
		assert_int_equal(mproc_dict_clear(d[i]), 0);
		assert_int_equal(fill(d[i], true), 0);
	}
	assert_true(failed[0] && failed[1]);
	for (unsigned i = 0; i < TRIES; i++)
		mproc_dict_destroy(d[i]);
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, before.blocks);
}

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
		/* The first one: later there is memory that was used before. */
		mpt_test(what_there_is_no_memory_for_does_not_happen),
		mpt_test(keys_with_one_hash_are_told_apart),
		mpt_test(the_first_and_the_last_order_are_places_too),
		mpt_test(with_65536_of_one_hash_there_is_no_room_for_more),
		mpt_test(orders_are_hashes_from_their_lowest_bit_up),
		mpt_test(a_cut_is_of_one_bucket),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
