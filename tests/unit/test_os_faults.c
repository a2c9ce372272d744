/* SPDX-License-Identifier: MIT */
/*
 * What the small files of os/ make of a kernel that says no: locks, fences,
 * /proc, keys. Files and memory have tests of their own.
 */
#include <errno.h>

#include <mproc/core.h>

#include "base/fault.h"
#include "common.h"
#include "os/bytelock.h"
#include "os/fence.h"
#include "os/task.h"
#include "os/thread.h"

static void
a_lock_that_is_refused_is_an_error_and_not_taken(void **state)
{
	struct mpr_file f;

	(void)state;
	assert_int_equal(mpr_file_anonymous(&f, "locks", false), 0);
	mpr_fault_set("lock:1");
	assert_int_equal(mpr_bytelock_take(&f, 7), -ENOLCK);
	assert_non_null(strstr(mproc_error_detail(), "byte 7"));
	assert_non_null(strstr(mproc_error_detail(), "ENOLCK"));
	assert_int_equal(mpr_bytelock_take(&f, 7), 0);
	/* Held by another, in the two ways of saying so. */
	mpr_fault_set("lock:1=EACCES");
	assert_int_equal(mpr_bytelock_take(&f, 8), -EAGAIN);
	mpr_fault_set("lock:1=EAGAIN");
	assert_int_equal(mpr_bytelock_take(&f, 8), -EAGAIN);
	/* What could not be asked is not proved. */
	mpr_fault_set("lock:1");
	assert_int_equal(mpr_bytelock_query(&f, 8), -ENOLCK);
	assert_int_equal(mpr_bytelock_query(&f, 8), 0);
	mpr_fault_set(NULL);
	mpr_file_close(&f);
}

static void
a_missing_membarrier_is_told(void **state)
{
	(void)state;
	mpr_fault_set("membarrier:1");
	errno = 17;
	assert_false(mpr_fence_register());
	assert_int_equal(errno, 17);
	assert_true(mpr_fence_register());
	mpr_fault_set("membarrier:1");
	assert_false(mpr_fence_heavy());
	assert_int_equal(errno, 17);
	assert_true(mpr_fence_heavy());
	mpr_fault_set(NULL);
}

static void
a_thread_that_cannot_be_looked_up_is_unknown(void **state)
{
	uint64_t start = mpr_task_start_time(mpr_task_tid());

	(void)state;
	assert_true(start > 0);
	mpr_fault_set("open:1+");
	assert_int_equal(mpr_task_start_time(mpr_task_tid()), 0);
	/* Whoever is not known to be dead is not buried. */
	assert_int_equal(mpr_task_probe(mpr_task_tid(), start),
			 MPR_TASK_UNKNOWN);
	mpr_fault_set(NULL);
	assert_int_equal(mpr_task_probe(mpr_task_tid(), start), MPR_TASK_RUNS);
}

static _Atomic int hooks_run;

static void
count_hook(void *arg)
{
	(void)arg;
	hooks_run++;
}

static struct mpr_thread_hook hook = { .fn = count_hook };

static int
set_hook(struct mpt *t, void *arg)
{
	/* The key is not to be had, then its value, then both are. */
	mpr_fault_set("key:1");
	mpt_check_int(t, mpr_thread_at_exit(&hook, arg), -EAGAIN);
	mpr_fault_set("key:2=ENOMEM");
	mpt_check_int(t, mpr_thread_at_exit(&hook, arg), -ENOMEM);
	mpr_fault_set("key:9");
	mpt_check_int(t, mpr_thread_at_exit(&hook, arg), 0);
	/* The key is there already: only the value is set. */
	mpt_check_int(t, mpr_fault_hits(MPR_FAULT_KEY), 1);
	mpr_fault_set(NULL);
	return 0;
}

/* In a process, and in a thread: neither has had the key before. */
static void
a_lack_of_keys_passes(void **state)
{
	struct mpt *t = *state;

	hooks_run = 0;
	mpt_expect_exit(t, mpt_spawn(t, "role", set_hook, NULL), 0);
	mpt_use_threads(t, true);
	mpt_expect_exit(t, mpt_spawn(t, "thread", set_hook, t), 0);
	assert_int_equal(hooks_run, 1);
}

#define THREADS 4

static void *
set_hook_at_once(void *arg)
{
	return (void *)(intptr_t)mpr_thread_at_exit(&hook, arg);
}

static int
race_for_the_key(struct mpt *t, void *arg)
{
	pthread_t threads[THREADS];
	void *result;

	(void)arg;
	hooks_run = 0;
	for (int i = 0; i < THREADS; i++)
		mpt_check_int(t, pthread_create(&threads[i], NULL,
						set_hook_at_once, t), 0);
	for (int i = 0; i < THREADS; i++) {
		mpt_check_int(t, pthread_join(threads[i], &result), 0);
		mpt_check(t, !result);
	}
	mpt_check_int(t, hooks_run, THREADS);
	return 0;
}

static void
threads_that_come_first_together_share_a_key(void **state)
{
	struct mpt *t = *state;

	for (unsigned i = amount(50); i; i--)
		mpt_expect_exit(t, mpt_spawn(t, "role", race_for_the_key,
					     NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_lock_that_is_refused_is_an_error_and_not_taken),
		mpt_test(a_missing_membarrier_is_told),
		mpt_test(a_thread_that_cannot_be_looked_up_is_unknown),
		/* Before any other use of the key. */
		mpt_test(threads_that_come_first_together_share_a_key),
		mpt_test(a_lack_of_keys_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
