/* SPDX-License-Identifier: MIT */
/*
 * How messages are copied into and out of lanes: all their bytes, whatever their
 * length and wherever they lie, and no others.
 */
#include <stdalign.h>
#include <sys/mman.h>

#include "common.h"
#include "ring/access.h"

#define PAGE 65536 /* of any machine */
#define MOST 300
#define AROUND 16

/* A page with none behind it, which is found out by who reads there. */
static unsigned char *page_end;

static alignas(16) unsigned char lane[MOST + 3 * AROUND];

static int
map_page(void **state)
{
	unsigned char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	if (pages == MAP_FAILED || mprotect(pages + PAGE, PAGE, PROT_NONE) < 0)
		return -1;
	page_end = pages + PAGE;
	return 0;
}

static int
unmap_page(void **state)
{
	(void)state;
	return munmap(page_end - PAGE, 2 * PAGE);
}

/* The last @len bytes of the page. */
static unsigned char *
message(size_t len)
{
	unsigned char *m = page_end - len;

	for (size_t i = 0; i < len; i++)
		m[i] = (unsigned char)(i * 131 + len + 1);
	return m;
}

static void
assert_only(const unsigned char *at, size_t len, unsigned char value)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(at[i], value);
}

/* Behind each frame there may be up to 7 bytes that are nobody's. */
static void
copy_in(size_t at, size_t len, bool batch)
{
	const unsigned char *m = message(len);
	size_t end = at + mpr_round_up(len, 8);

	memset(lane, 0x55, sizeof(lane));
	if (batch)
		mpr_copy_in_batch(lane + at, m, len);
	else
		mpr_copy_in(lane + at, m, len);
	assert_memory_equal(lane + at, m, len);
	assert_only(lane, at, 0x55);
	assert_only(lane + end, sizeof(lane) - end, 0x55);
}

static void
messages_go_in_whole(void **state)
{
	(void)state;
	for (size_t len = 0; len <= MOST; len++) {
		copy_in(AROUND + 8, len, false);
		copy_in(AROUND + 8, len, true);
	}
}

/* A message in parts goes on wherever the last part has ended. */
static void
parts_go_in_whole(void **state)
{
	unsigned char *m;

	(void)state;
	for (size_t first = 0; first < 16; first++) {
		for (size_t len = first; len <= MOST; len++) {
			m = message(len);
			memset(lane, 0x55, sizeof(lane));
			mpr_copy_in(lane + 8, m, first);
			mpr_copy_in(lane + 8 + first, m + first, len - first);
			assert_memory_equal(lane + 8, m, len);
		}
	}
}

static void
messages_come_out_whole(void **state)
{
	unsigned char *m;

	(void)state;
	for (size_t len = 0; len <= MOST; len++) {
		for (size_t i = 0; i < sizeof(lane); i++)
			lane[i] = (unsigned char)(i * 37 + len);
		m = message(len);
		m[-1] = 0x55;
		mpr_copy_out(m, lane + 8, len);
		assert_memory_equal(m, lane + 8, len);
		assert_int_equal(m[-1], 0x55);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_go_in_whole),
		cmocka_unit_test(parts_go_in_whole),
		cmocka_unit_test(messages_come_out_whole),
	};

	return cmocka_run_group_tests(tests, map_page, unmap_page);
}
