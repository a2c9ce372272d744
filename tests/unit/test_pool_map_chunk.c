/* SPDX-License-Identifier: MIT */
/*
 * Which items the chunks of a map have.
 */
#include "common.h"
#include "pool/map_chunk.h"

/* Chunks follow each other without a gap, and become no larger. */
static void
expect_chunks(uint64_t n, unsigned round, uint64_t chunk, uint64_t largest)
{
	struct mpr_map_use m = {
		.n = n, .round = round, .chunk = chunk, .largest = largest,
	};
	uint64_t count = mpr_map_chunk_count(&m), item = 0, before = UINT64_MAX;

	for (uint64_t c = 0; c < count; c++) {
		uint64_t begin = mpr_map_chunk_begin(&m, c);
		uint64_t end = mpr_map_chunk_end(&m, begin);

		assert_int_equal(begin, item);
		assert_in_range(end, begin + 1, n);
		assert_true(end - begin <= before);
		assert_true(c == count - 1 || end - begin >= chunk);
		assert_int_equal(mpr_map_chunk_end(&m, end - 1), end);
		assert_int_equal(mpr_map_chunk_end(&m, (begin + end) / 2), end);
		if (largest && c < round && end < n)
			assert_int_equal(end - begin,
					 largest > chunk ? largest : chunk);
		before = end - begin;
		item = end;
	}
	assert_int_equal(item, n);
}

static void
chunks_have_all_items(void **state)
{
	static const uint64_t ns[] = { 1, 2, 3, 10, 99, 100, 1000, 4096 };

	(void)state;
	expect_chunks(0, 0, 1, 0);
	for (int i = 0; i < 8; i++)
		for (unsigned shares = 1; shares <= 9; shares += 2)
			for (uint64_t chunk = 1; chunk <= 30; chunk += 7) {
				expect_chunks(ns[i], shares, chunk, 0);
				expect_chunks(ns[i], shares, chunk,
					      (ns[i] - 1) / (2 * shares) + 1);
			}
	/* The most that there may be; 512 in each of 44 - 10 rounds at most. */
	expect_chunks(UINT64_C(1) << 44, 512, 1, UINT64_C(1) << 34);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunks_have_all_items),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
