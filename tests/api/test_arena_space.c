/* SPDX-License-Identifier: MIT */
/*
 * How large the default arena is: where there is little address space (ulimit
 * -v), and where the program says how large. In a program of its own, as
 * sanitizers reserve more than such a limit allows, and without an arena, so
 * that each role makes its own.
 */
#include <stdio.h>
#include <sys/resource.h>

#include "common.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static int
use_little_space(struct mpt *t, void *arg)
{
	struct rlimit limit = { *(uint64_t *)arg, RLIM_INFINITY };
	struct mproc_arena_stat stat;
	mproc_queue *q;
	void *p;

	mpt_check_int(t, setrlimit(RLIMIT_AS, &limit), 0);
	mpt_check(t, mproc_arena_default());
	mpt_check_int(t, mproc_arena_stat(NULL, &stat), 0);
	/* It takes what it can get in halves of its usual size. */
	mpt_check(t, stat.capacity <= limit.rlim_cur);
	mpt_check(t, stat.capacity >= limit.rlim_cur / 4);
	p = mproc_alloc(1000);
	mpt_check(t, p);
	mpt_check_int(t, mproc_queue_create(&q, NULL), 0);
	mpt_check_int(t, mproc_queue_put(q, p, 1000, MPROC_NOWAIT), 0);
	mproc_queue_destroy(q);
	mproc_free(p);
	return 0;
}

static void
little_address_space_gives_a_smaller_arena(void **state)
{
	static uint64_t limits[] = { GIB, 4 * GIB, 20 * GIB };
	struct mpt *t = *state;

	for (int i = 0; i < 3; i++)
		mpt_expect_exit(t, mpt_spawn(t, "poor", use_little_space,
					     &limits[i]), 0);
}

static int
use_no_space(struct mpt *t, void *arg)
{
	struct rlimit limit = { 64 << 20, RLIM_INFINITY };
	mproc_queue *q;

	(void)arg;
	mpt_check_int(t, setrlimit(RLIMIT_AS, &limit), 0);
	errno = 0;
	mpt_check(t, !mproc_arena_default() && errno == ENOMEM);
	mpt_check(t, detail_has("bytes"));
	mpt_check(t, !mproc_alloc(1) && errno == ENOMEM);
	mpt_check_int(t, mproc_queue_create(&q, NULL), -ENOMEM);
	mpt_check_int(t, mproc_arena_recover(NULL), -ENOMEM);
	return 0;
}

static void
no_address_space_is_an_error(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "poor", use_no_space, NULL), 0);
}

static int
configure(size_t capacity)
{
	return mproc_arena_configure_default(
		MPROC_OPTS(mproc_arena_opts, .capacity = capacity));
}

static uint64_t
capacity_now(struct mpt *t)
{
	struct mproc_arena_stat stat;

	mpt_check_int(t, mproc_arena_stat(NULL, &stat), 0);
	return stat.capacity;
}

static int
use_capacity(struct mpt *t, void *arg)
{
	const size_t *sizes = arg;

	mpt_check_int(t, configure(sizes[0]), 0);
	mpt_check_int(t, capacity_now(t), sizes[1]);
	mpt_check_int(t, configure(sizes[0]), -EBUSY);
	mpt_check(t, detail_has("exists"));
	mpt_check_int(t, mproc_arena_configure_default(NULL), -EBUSY);
	return 0;
}

static void
the_capacity_is_what_was_asked_for(void **state)
{
	static size_t sizes[][2] = {
		{ 16 * MIB, 16 * MIB },	  { 16 * MIB + 1, 17 * MIB },
		{ 100 * MIB, 100 * MIB }, { 3 * GIB + 5, 3 * GIB + MIB },
		{ 64 * GIB, 64 * GIB },	  { 0, 64 * GIB },
	};
	struct mpt *t = *state;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		mpt_expect_exit(t, mpt_spawn(t, "role", use_capacity, sizes[i]),
				0);
}

static int
take_from(void *arg)
{
	char message[8];
	size_t len;

	return mproc_queue_get(arg, message, sizeof(message), &len,
			       MPROC_FOREVER) < 0 || len != 5;
}

/* All that is usual, in the smallest arena there is. */
static int
use_least(struct mpt *t, void *arg)
{
	mproc_process *p;
	mproc_queue *q;
	void *large;
	int code;

	(void)arg;
	mpt_check_int(t, configure(16 * MIB), 0);
	mpt_check_int(t, mproc_queue_create(&q, NULL), 0);
	mpt_check_int(t, mproc_process_start(&p, take_from, q, NULL), 0);
	mpt_check_int(t, mproc_queue_put(q, "hello", 5, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_process_exitcode(p, &code), 0);
	mpt_check_int(t, code, 0);
	mproc_process_close(p);
	large = mproc_alloc(5 * MIB);
	mpt_check(t, large);
	memset(large, 1, 5 * MIB);
	mpt_check(t, !mproc_alloc(16 * MIB) && errno == ENOMEM);
	mproc_free(large);
	mproc_queue_destroy(q);
	return 0;
}

static void
the_smallest_arena_is_of_use(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", use_least, NULL), 0);
}

/* No memory is left for blocks of its size. */
static int
use_a_larger_block(struct mpt *t, void *arg)
{
	const size_t large = 600000;
	void *p[16], *small;
	unsigned n = 0;

	(void)arg;
	mpt_check_int(t, configure(16 * MIB), 0);
	while (n < 16 && (p[n] = mproc_alloc(large)))
		n++;
	mpt_check(t, n > 1 && n < 16);
	mpt_check(t, !mproc_alloc(100) && errno == ENOMEM);
	mproc_free(p[--n]);
	small = mproc_alloc(100);
	mpt_check(t, small && !mproc_alloc(large));
	mproc_free(small);
	p[n] = mproc_alloc(large);
	for (unsigned i = 0; i <= n; i++) {
		mpt_check(t, p[i]);
		mproc_free(p[i]);
	}
	return 0;
}

static void
a_small_block_may_come_from_where_large_ones_are(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", use_a_larger_block, NULL), 0);
}

static int
configure_badly(struct mpt *t, void *arg)
{
	struct {
		struct mproc_arena_opts known;
		char more[16];
	} opts;

	(void)arg;
	mpt_check_int(t, configure(100 * MIB), 0);
	mpt_check_int(t, configure(1), -EINVAL);
	mpt_check(t, detail_has("16777216") && detail_has("68719476736"));
	mpt_check_int(t, configure(16 * MIB - 1), -EINVAL);
	mpt_check_int(t, configure(64 * GIB + 1), -EINVAL);
	mpt_check_int(t, configure(SIZE_MAX), -EINVAL);
	mproc_opts_init(&opts, sizeof(opts));
	opts.known.capacity = 200 * MIB;
	opts.more[15] = 1;
	mpt_check_int(t, mproc_arena_configure_default(&opts.known), -E2BIG);
	opts.known.struct_size = 3;
	mpt_check_int(t, mproc_arena_configure_default(&opts.known), -EINVAL);
	/* Nothing has happened; and what is right replaces what was. */
	mpt_check_int(t, capacity_now(t), 100 * MIB);
	return 0;
}

static void
bad_options_change_nothing(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", configure_badly, NULL), 0);
}

static int
configure_anew(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_check_int(t, configure(100 * MIB), 0);
	mpt_check_int(t, configure(200 * MIB), 0);
	mpt_check_int(t, mproc_arena_configure_default(NULL), 0);
	mpt_check_int(t, configure(32 * MIB), 0);
	mpt_check_int(t, capacity_now(t), 32 * MIB);
	return 0;
}

static void
the_last_configuration_counts(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", configure_anew, NULL), 0);
}

static int
ask_for_too_much(struct mpt *t, void *arg)
{
	struct rlimit space = { GIB, RLIM_INFINITY };
	struct rlimit file = { 100 * MIB, RLIM_INFINITY };
	mproc_queue *q;

	(void)arg;
	mpt_check_int(t, setrlimit(RLIMIT_AS, &space), 0);
	mpt_check_int(t, configure(2 * GIB), 0);
	/* No half of it, no quarter. */
	errno = 0;
	mpt_check(t, !mproc_arena_default() && errno == ENOMEM);
	mpt_check(t, detail_has("2147483648"));
	mpt_check_int(t, setrlimit(RLIMIT_FSIZE, &file), 0);
	mpt_check_int(t, configure(101 * MIB), 0);
	mpt_check_int(t, mproc_queue_create(&q, NULL), -EFBIG);
	mpt_check(t, detail_has("105906176") && detail_has("104857600"));
	/* It can still be made as something that is possible. */
	mpt_check_int(t, configure(100 * MIB), 0);
	mpt_check_int(t, capacity_now(t), 100 * MIB);
	return 0;
}

static void
a_capacity_that_cannot_be_had_is_an_error(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", ask_for_too_much, NULL), 0);
}

static int
use_inherited(struct mpt *t, void *arg)
{
	mpt_check_int(t, capacity_now(t), *(uint64_t *)arg);
	return 0;
}

/* The test itself has no arena, before and after. */
static void
a_child_inherits_the_configuration(void **state)
{
	struct mpt *t = *state;
	uint64_t capacity = 48 * MIB;

	assert_int_equal(configure(capacity), 0);
	mpt_expect_exit(t, mpt_spawn(t, "child", use_inherited, &capacity), 0);
	assert_int_equal(mproc_arena_configure_default(NULL), 0);
	capacity = 64 * GIB;
	mpt_expect_exit(t, mpt_spawn(t, "child", use_inherited, &capacity), 0);
}

/* Whether the kernel would leave the arena out of a core dump. */
static bool
is_left_out(struct mpt *t)
{
	unsigned long from, to, p = (unsigned long)(uintptr_t)mproc_alloc(1);
	bool ours = false;
	char line[512];
	FILE *f = fopen("/proc/self/smaps", "re");

	mpt_check(t, p && f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx", &from, &to) == 2)
			ours = p >= from && p < to;
		else if (ours && strncmp(line, "VmFlags:", 8) == 0)
			break;
	}
	fclose(f);
	mpt_check(t, ours);
	return strstr(line, " dd") != NULL;
}

static int
ask_for_core_dumps(struct mpt *t, void *arg)
{
	const size_t *sizes = arg;

	mpt_check_int(t, mproc_arena_configure_default(
			MPROC_OPTS(mproc_arena_opts, .capacity = sizes[0],
				   .core_dump = sizes[2])), 0);
	mpt_check_int(t, capacity_now(t), sizes[1]);
	mpt_check_int(t, is_left_out(t), !sizes[2]);
	return 0;
}

static void
core_dumps_contain_the_arena_if_asked_for(void **state)
{
	static size_t wanted[][3] = {
		{ 0, 64 * GIB, 0 },
		{ 16 * MIB, 16 * MIB, 0 },
		{ 16 * MIB, 16 * MIB, 1 },
		{ 0, 256 * MIB, 1 },
	};
	struct mpt *t = *state;

	for (int i = 0; i < 4; i++)
		mpt_expect_exit(t, mpt_spawn(t, "role", ask_for_core_dumps,
					     wanted[i]), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(little_address_space_gives_a_smaller_arena),
		mpt_test(no_address_space_is_an_error),
		mpt_test(the_capacity_is_what_was_asked_for),
		mpt_test(the_smallest_arena_is_of_use),
		mpt_test(a_small_block_may_come_from_where_large_ones_are),
		mpt_test(bad_options_change_nothing),
		mpt_test(the_last_configuration_counts),
		mpt_test(a_capacity_that_cannot_be_had_is_an_error),
		mpt_test(a_child_inherits_the_configuration),
		mpt_test(core_dumps_contain_the_arena_if_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
