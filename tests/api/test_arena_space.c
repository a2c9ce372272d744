/* SPDX-License-Identifier: MIT */
/*
 * The default arena where there is little address space (ulimit -v). In a
 * program of its own, as sanitizers reserve more than such a limit allows.
 */
#include <sys/resource.h>

#include "common.h"

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

/* No arena exists in this program, so each role makes its own. */
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(little_address_space_gives_a_smaller_arena),
		mpt_test(no_address_space_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
