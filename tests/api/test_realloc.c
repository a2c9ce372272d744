/* SPDX-License-Identifier: MIT */
/*
 * arena.h: blocks that change their size, and blocks that are aligned to more than
 * all are.
 */
#include <stdio.h>

#include "common.h"
#include "mpt_rand.h"

#define MIB ((size_t)1 << 20)

enum { PERIOD = 251 };

/* What the bytes of a block are, again and again. */
static void
make_pattern(unsigned char pattern[PERIOD], unsigned tag)
{
	for (unsigned i = 0; i < PERIOD; i++)
		pattern[i] = (unsigned char)(tag + i + 1);
}

/* The three are for MiBs, which sanitizers see byte by byte unless the C library
 * does it. */
static void
fill(unsigned char *p, size_t from, size_t to, unsigned tag)
{
	unsigned char pattern[PERIOD];
	size_t n;

	make_pattern(pattern, tag);
	for (size_t i = from; i < to; i += n) {
		n = PERIOD - i % PERIOD;
		if (n > to - i)
			n = to - i;
		memcpy(p + i, pattern + i % PERIOD, n);
	}
}

/* Returns the first byte that is not as fill() has left it, or @to. */
static size_t
good_to(const unsigned char *p, size_t to, unsigned tag)
{
	unsigned char pattern[PERIOD];
	size_t i, n;

	make_pattern(pattern, tag);
	for (i = 0; i < to; i += n) {
		n = to - i < PERIOD ? to - i : PERIOD;
		if (memcmp(p + i, pattern, n) != 0)
			break;
	}
	while (i < to && p[i] == pattern[i % PERIOD])
		i++;
	return i < to ? i : to;
}

static bool
is_zero(const unsigned char *p, size_t from, size_t to)
{
	return from >= to || (p[from] == 0 &&
			      memcmp(p + from, p + from + 1, to - from - 1) == 0);
}

static size_t
listed_size(const void *p)
{
	struct mproc_arena_block b = { 0 };

	while (mproc_arena_next_block(NULL, &b) > 0)
		if (b.p == p)
			return b.size;
	return 0;
}

static const size_t sizes[] = { 1,    64,	65,	  128,	   1000, 4096,
				5000, 70000,	600000, 1044480, MIB,
				MIB + 1, 3 * MIB };

#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void
bytes_are_kept_and_new_ones_are_zero(void **state)
{
	struct mproc_arena_stat before = stat_now();

	(void)state;
	for (size_t i = 0; i < N_SIZES; i++)
		for (size_t k = 0; k < N_SIZES; k++) {
			size_t from = sizes[i], to = sizes[k];
			size_t kept = from < to ? from : to;
			unsigned char *p = mproc_alloc(from), *q;

			assert_non_null(p);
			fill(p, 0, from, 7);
			q = mproc_realloc(p, to);
			assert_non_null(q);
			assert_int_equal((uintptr_t)q % 64, 0);
			assert_int_equal(good_to(q, kept, 7), kept);
			assert_true(is_zero(q, kept, to));
			assert_int_equal(listed_size(q), to);
			if (q != p)
				assert_int_equal(listed_size(p), 0);
			assert_int_equal(stat_now().blocks, before.blocks + 1);
			/* And back. */
			fill(q, 0, to, 9);
			p = mproc_realloc(q, from);
			assert_non_null(p);
			assert_int_equal(good_to(p, kept, 9), kept);
			assert_true(is_zero(p, kept, from));
			mproc_free(p);
			expect_stat(&before);
		}
}

static void
a_block_stays_where_there_is_room(void **state)
{
	unsigned char *p = mproc_alloc(900);

	(void)state;
	fill(p, 0, 900, 1);
	assert_ptr_equal(mproc_realloc(p, 1000), p);
	assert_ptr_equal(mproc_realloc(p, 1000), p);
	assert_ptr_equal(mproc_realloc(p, 600), p);
	/* What somebody left there is no new byte. */
	memset(p + 500, 0xee, 100);
	assert_ptr_equal(mproc_realloc(p, 520), p);
	assert_ptr_equal(mproc_realloc(p, 1024), p);
	assert_true(is_zero(p, 520, 1024));
	assert_int_equal(p[519], 0xee);
	assert_int_equal(good_to(p, 500, 1), 500);
	/* It is not kept half empty. */
	assert_ptr_not_equal(mproc_realloc(p, 100), p);
	assert_int_equal(listed_size(p), 0);
	for (struct mproc_arena_block b = { 0 };
	     mproc_arena_next_block(NULL, &b) > 0;)
		if (b.size == 100)
			p = b.p;
	assert_int_equal(good_to(p, 100, 1), 100);
	mproc_free(p);
}

static void
without_a_block_it_allocates(void **state)
{
	struct mproc_arena_stat before = stat_now();
	unsigned char *p = mproc_realloc(NULL, 500);

	(void)state;
	assert_non_null(p);
	assert_true(is_zero(p, 0, 500));
	mproc_free(p);
	errno = 0;
	assert_null(mproc_realloc(NULL, 0));
	assert_int_equal(errno, EINVAL);
	expect_stat(&before);
}

static void
expect_refused(void *p, size_t size, int error)
{
	struct mproc_arena_stat before = stat_now();

	errno = 0;
	assert_null(mproc_realloc(p, size));
	assert_int_equal(errno, error);
	assert_true(mproc_error_detail()[0]);
	expect_stat(&before);
}

static void
what_cannot_be_is_refused_and_the_block_stays(void **state)
{
	unsigned char *p = mproc_alloc(200), *freed = mproc_alloc(200);
	unsigned char *large = mproc_alloc(2 * MIB), *private = malloc(200);
	int *value = mproc_value(int, 3), *array = mproc_array(int, 300000);

	(void)state;
	mproc_free(freed);
	fill(p, 0, 200, 3);
	expect_refused(p, 0, EINVAL);
	expect_refused(p, SIZE_MAX, ENOMEM);
	expect_refused(p, (size_t)stat_now().capacity + 1, ENOMEM);
	expect_refused(p + 1, 300, ESTALE);
	expect_refused(p + 64, 300, ESTALE);
	expect_refused(large + MIB, 300, ESTALE);
	expect_refused(freed, 300, ESTALE);
	expect_refused(private, 300, EFAULT);
	expect_refused(&value, 300, EFAULT);
	expect_refused((void *)UINTPTR_MAX, 300, EFAULT);
	expect_refused(value, 300, EINVAL);
	expect_refused(array, 300, EINVAL);
	assert_int_equal(*value, 3);
	assert_non_null(mproc_lock_of(value));
	assert_int_equal(mproc_array_len(array), 300000);
	assert_int_equal(good_to(p, 200, 3), 200);
	assert_int_equal(listed_size(p), 200);
	mproc_free(value);
	mproc_free(array);
	mproc_free(large);
	mproc_free(p);
	free(private);
}

/* What was a value or an array before is none. */
static void
a_block_that_moves_into_a_freed_array_is_no_array(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) {
		size_t n = round ? 3 * MIB - 48 : 400;
		char *array = mproc_array(char, n), *p = mproc_alloc(1), *q;

		mproc_free(array);
		q = mproc_realloc(p, n);
		assert_ptr_equal(q, array);
		assert_null(mproc_lock_of(q));
		assert_int_equal(errno, EINVAL);
		p = mproc_realloc(q, 1);
		assert_non_null(p);
		mproc_free(p);
	}
}

/* In an arena that has no more extent to give. */
static void
a_full_arena_changes_nothing_and_lets_blocks_shrink(void **state)
{
	unsigned char *p[16], *small;
	char name[64];
	mproc_arena *a;
	int n = 0;

	(void)state;
	snprintf(name, sizeof(name), "mpt-%d-realloc", (int)getpid());
	assert_int_equal(mproc_arena_create(&a, MPROC_OPTS(mproc_arena_opts,
		.name = name, .capacity = 16 * MIB)), 0);
	assert_int_equal(mproc_arena_unlink(name), 0);
	while (n < 16 && (p[n] = mproc_arena_alloc(a, MIB, 0)))
		fill(p[n++], 0, MIB, 4);
	assert_in_range(n, 8, 12);
	errno = 0;
	assert_null(mproc_realloc(p[3], MIB + 1));
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(good_to(p[3], MIB, 4), MIB);
	/* There is no slab, and no room for one. */
	assert_ptr_equal(mproc_realloc(p[3], 100), p[3]);
	assert_int_equal(good_to(p[3], 100, 4), 100);
	assert_ptr_equal(mproc_realloc(p[3], MIB), p[3]);
	assert_true(is_zero(p[3], 100, MIB));
	/* Also where more of it is not asked for than can be noted. */
	mproc_free(p[0]);
	mproc_free(p[1]);
	p[0] = mproc_arena_alloc(a, 2 * MIB, 0);
	p[1] = NULL;
	mproc_free(p[4]);
	mproc_free(p[5]);
	mproc_free(p[6]);
	p[4] = mproc_arena_alloc(a, 3 * MIB, 0);
	assert_true(p[0] && p[4]);
	p[5] = p[6] = NULL;
	fill(p[4], 0, 3 * MIB, 4);
	assert_ptr_equal(mproc_realloc(p[4], 100), p[4]);
	assert_ptr_equal(mproc_realloc(p[4], 3 * MIB), p[4]);
	assert_int_equal(good_to(p[4], 100, 4), 100);
	assert_true(is_zero(p[4], 100, 3 * MIB));
	/* Now there is room, and it is in the same arena. */
	mproc_free(p[--n]);
	small = mproc_realloc(p[2], 100);
	assert_ptr_not_equal(small, p[2]);
	assert_in_range((uintptr_t)small, (uintptr_t)p[0] - 16 * MIB,
			(uintptr_t)p[0] + 16 * MIB);
	assert_int_equal(good_to(small, 100, 4), 100);
	mproc_free(small);
	while (n)
		if (--n != 2)
			mproc_free(p[n]);
	mproc_arena_close(a);
}

static int
resize_at_random(struct mpt *t, void *arg)
{
	unsigned tag = (unsigned)(uintptr_t)arg;
	unsigned char *p[8] = { 0 };
	size_t size[8] = { 0 };
	struct mpt_rand r;

	mpt_rand_init(&r, tag);
	for (unsigned n = amount(3000); n; n--) {
		unsigned i = (unsigned)mpt_rand_below(&r, 8);
		size_t to = 1 + (size_t)mpt_rand_below(&r, n % 50 ? 3000 :
								    2500000);
		size_t kept = size[i] < to ? size[i] : to;
		unsigned char *q = mproc_realloc(p[i], to);

		mpt_check(t, q);
		mpt_check_int(t, good_to(q, kept, tag + i), kept);
		mpt_check(t, is_zero(q, kept, to));
		fill(q, 0, to, tag + i);
		p[i] = q;
		size[i] = to;
	}
	for (int i = 0; i < 8; i++)
		mproc_free(p[i]);
	return 0;
}

static void
many_resize_at_once(struct mpt *t)
{
	struct mproc_arena_stat before = stat_now();

	for (uintptr_t i = 0; i < 4; i++)
		mpt_spawn(t, "other", resize_at_random, (void *)(10 * i));
	mpt_join_all(t);
	expect_stat(&before);
}
both(many_resize_at_once)

static int
resize_and_tell(struct mpt *t, void *arg)
{
	_Atomic(void *) *p = mpt_scratch(t);

	*p = mproc_realloc(arg, 100000);
	return 0;
}

static void
another_process_may_resize_it(void **state)
{
	struct mpt *t = *state;
	unsigned char *p = mproc_alloc(300), *q;
	struct mproc_arena_block b = { 0 };
	int id;

	fill(p, 0, 300, 5);
	id = mpt_spawn(t, "other", resize_and_tell, p);
	mpt_expect_exit(t, id, 0);
	q = *(void **)mpt_scratch(t);
	assert_ptr_not_equal(q, p);
	assert_int_equal(good_to(q, 300, 5), 300);
	assert_int_equal(listed_size(p), 0);
	while (mproc_arena_next_block(NULL, &b) > 0 && b.p != q)
		;
	/* It is the other's from then on. */
	assert_ptr_equal(b.p, q);
	assert_int_not_equal(b.pid, getpid());
	assert_int_equal(b.size, 100000);
	assert_true(b.age_ns >= 0);
	mproc_free(q);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

static void
any_alignment_up_to_a_mebibyte_can_be_had(void **state)
{
	struct mproc_arena_stat before = stat_now();
	unsigned char *p[N_SIZES][2];

	mpt_watchdog(*state, 60);
	for (size_t align = 1; align <= MIB; align *= 2) {
		for (size_t i = 0; i < 2 * N_SIZES; i++) {
			unsigned char *q = mproc_arena_alloc(
				NULL, sizes[i / 2], align);

			p[i / 2][i % 2] = q;
			assert_non_null(q);
			assert_int_equal((uintptr_t)q % align, 0);
			assert_int_equal(listed_size(q), sizes[i / 2]);
			assert_true(is_zero(q, 0, sizes[i / 2]));
			fill(q, 0, sizes[i / 2], (unsigned)i);
		}
		for (size_t i = 0; i < 2 * N_SIZES; i++) {
			size_t size = sizes[i / 2];

			assert_int_equal(good_to(p[i / 2][i % 2], size,
						 (unsigned)i), size);
			mproc_free(p[i / 2][i % 2]);
		}
	}
	expect_stat(&before);
}

static void
a_small_alignment_costs_at_most_a_page(void **state)
{
	uint64_t before = stat_now().used;

	(void)state;
	for (size_t align = 64; align <= 4096; align *= 2) {
		void *p = mproc_arena_alloc(NULL, 64, align);

		assert_in_range(stat_now().used - before, 64, 4096);
		mproc_free(p);
	}
}

static void
other_alignments_are_refused(void **state)
{
	(void)state;
	static const size_t bad[] = { 3, 65, 4095, MIB - 1, MIB + 1, 2 * MIB,
				      SIZE_MAX };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errno = 0;
		assert_null(mproc_arena_alloc(NULL, 100, bad[i]));
		assert_int_equal(errno, EINVAL);
	}
	errno = 0;
	assert_null(mproc_arena_alloc(NULL, SIZE_MAX, 4096));
	assert_int_equal(errno, ENOMEM);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(bytes_are_kept_and_new_ones_are_zero),
		mpt_test(a_block_stays_where_there_is_room),
		mpt_test(without_a_block_it_allocates),
		mpt_test(what_cannot_be_is_refused_and_the_block_stays),
		mpt_test(a_block_that_moves_into_a_freed_array_is_no_array),
		mpt_test(a_full_arena_changes_nothing_and_lets_blocks_shrink),
		both_tests(many_resize_at_once),
		mpt_test(another_process_may_resize_it),
		mpt_test(any_alignment_up_to_a_mebibyte_can_be_had),
		mpt_test(a_small_alignment_costs_at_most_a_page),
		mpt_test(other_alignments_are_refused),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
