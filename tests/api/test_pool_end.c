/* SPDX-License-Identifier: MIT */
/*
 * Pools whose keeper is dead, and which end without another one: none can be started, or it
 * would never begin.
 */
#include <fcntl.h>
#include <mproc/testing.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "pool_method.h"

/* In fork servers, and in what is started by spawn: it makes a file, and stays. */
__attribute__((constructor)) static void
never_begin(void)
{
	const char *path = getenv("POOL_METHOD_HANGS");

	if (!path || !mproc_parent_pid() ||
	    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) < 0)
		return;
	for (;;)
		pause();
}

static int
stay(const void *in, size_t len, struct mproc_result *out)
{
	struct meeting *m;

	(void)len;
	(void)out;
	memcpy(&m, in, sizeof(m));
	atomic_store(&m->begun, true);
	for (;;)
		pause();
	return 0;
}

/* It has a task that runs, and one that waits for that. */
static struct meeting *
lose_keeper(struct mpt *t, int method, mproc_future *fs[2])
{
	struct meeting *m = mproc_alloc(sizeof(*m));

	assert_non_null(m);
	m->pool = make(t, method, 1);
	for (int i = 0; i < 2; i++)
		assert_int_equal(mproc_pool_submit(m->pool, stay, &m, sizeof(m),
						   &fs[i]), 0);
	mpt_until(t, atomic_load(&m->begun));
	kill_keeper(t, keeper_of(t, m->pool));
	return m;
}

static void
expect_shut(mproc_future *f)
{
	struct mproc_task_error e;

	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	assert_int_equal(mproc_future_error(f, &e), 0);
	assert_int_equal(e.error, -ESHUTDOWN);
	mproc_future_close(f);
}

/* From here on no keeper comes: by fork there is none; others do not begin. */
static void
forbid_keepers(int method)
{
	if (method == MPROC_FORK)
		assert_int_equal(mproc_test_fault("fork:1+"), 0);
	else
		assert_int_equal(setenv("POOL_METHOD_HANGS", "/dev/null", 1), 0);
	/* The next server has that in its environment. */
	mproc_forkserver_stop();
}

static void
allow_keepers(void)
{
	assert_int_equal(mproc_test_fault(NULL), 0);
	assert_int_equal(unsetenv("POOL_METHOD_HANGS"), 0);
}

static void
a_pool_is_freed_without_another_keeper(struct mpt *t, int method)
{
	struct mproc_pool_stat stat;
	mproc_future *fs[2];
	struct meeting *m = lose_keeper(t, method, fs);

	forbid_keepers(method);
	mproc_pool_free(m->pool);
	allow_keepers();
	assert_int_equal(mproc_pool_stat(m->pool, &stat), -ESTALE);
	mpt_reap_orphans(t);
	mproc_free(m);
}

by_each_method(a_pool_is_freed_without_another_keeper)

static void
a_pool_of_copies_is_freed_without_another_keeper(void **state)
{
	a_pool_is_freed_without_another_keeper(*state, MPROC_FORK);
}

/* And its tasks fail as they do with one. */
static void
a_terminated_pool_ends_without_another_keeper(struct mpt *t, int method)
{
	struct mproc_pool_stat stat;
	mproc_future *fs[2];
	struct meeting *m = lose_keeper(t, method, fs);

	forbid_keepers(method);
	assert_int_equal(mproc_pool_terminate(m->pool), 0);
	for (int i = 0; i < 2; i++)
		expect_shut(fs[i]);
	assert_int_equal(mproc_pool_join(m->pool, MPROC_FOREVER), 0);
	allow_keepers();
	assert_int_equal(mproc_pool_stat(m->pool, &stat), 0);
	assert_int_equal(stat.phase, MPROC_POOL_ENDED);
	assert_int_equal(stat.keepers, 1);
	assert_int_equal(stat.deaths, 1);
	assert_int_equal(stat.futures, 0);
	mproc_pool_free(m->pool);
	mpt_reap_orphans(t);
	mproc_free(m);
}

by_each_method(a_terminated_pool_ends_without_another_keeper)

static void *
wait_for_future(void *future)
{
	return (void *)(intptr_t)mproc_future_wait(future, MPROC_FOREVER);
}

/* A thread that waits has begun to start a keeper when the pool is terminated. */
static void
a_keeper_that_nobody_needs_is_not_waited_for(void **state)
{
	struct mpt *t = *state;
	char directory[] = "/tmp/pool-method-XXXXXX", path[64];
	struct mproc_pool_stat stat;
	mproc_future *fs[2];
	struct meeting *m = lose_keeper(t, MPROC_SPAWN, fs);
	pthread_t thread;
	void *result;

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/begun", directory);
	assert_int_equal(setenv("POOL_METHOD_HANGS", path, 1), 0);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_future, fs[1]), 0);
	mpt_until(t, access(path, F_OK) == 0);
	assert_int_equal(mproc_pool_terminate(m->pool), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_int_equal((intptr_t)result, 0);
	for (int i = 0; i < 2; i++)
		expect_shut(fs[i]);
	assert_int_equal(unsetenv("POOL_METHOD_HANGS"), 0);
	mproc_pool_free(m->pool);
	assert_int_equal(mproc_pool_stat(m->pool, &stat), -ESTALE);
	unlink(path);
	rmdir(directory);
	mpt_reap_orphans(t);
	mproc_free(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		tests_of_methods(a_pool_is_freed_without_another_keeper),
		mpt_test(a_pool_of_copies_is_freed_without_another_keeper),
		tests_of_methods(a_terminated_pool_ends_without_another_keeper),
		mpt_test(a_keeper_that_nobody_needs_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
