/* SPDX-License-Identifier: MIT */
/*
 * Copying long messages, at distances that are bad for memcpy() and at others.
 */
#include "base/copy.h"
#include "common.h"

#define PAGE 4096
#define MOST (5 * PAGE)

static unsigned char from[MOST + PAGE], to[MOST + 3 * PAGE];
static const unsigned char zeros[sizeof(to)];

/* Copies @len bytes to @distance behind a page's beginning, or before it. */
static void
copy(int distance, size_t len)
{
	unsigned char *page = from, *t = to + PAGE;

	page += PAGE - (uintptr_t)page % PAGE;
	t += PAGE - (uintptr_t)t % PAGE;
	t += distance;
	for (size_t i = 0; i < len; i++)
		page[i] = (unsigned char)(i * 131 + i / 251 + 1);
	memset(to, 0, sizeof(to));
	mpr_copy_long(t, page, len);
	assert_memory_equal(t, page, len);
	memset(t, 0, len);
	assert_memory_equal(to, zeros, sizeof(to));
}

static void
all_bytes_are_copied_and_no_others(void **state)
{
	static const int distances[] = { -64, -1, 0, 1, 8, 16, 63, 64, 65, 512 };
	static const size_t lengths[] = { 0, 1, 63, 64, 65, 129, 1984, 2 * 1984 - 1,
					  PAGE, 3 * 1984 + 1, 4 * PAGE };

	(void)state;
	for (size_t d = 0; d < sizeof(distances) / sizeof(*distances); d++)
		for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
			copy(distances[d], lengths[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_bytes_are_copied_and_no_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
