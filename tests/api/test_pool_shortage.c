/* SPDX-License-Identifier: MIT */
/*
 * pool.h: workers that the kernel kills for want of memory, and those that somebody else
 * kills. The role sees a control group that counts what a task says.
 */
#include <stdio.h>
#include <sys/resource.h>

#include "mpt_mount.h"
#include "pool.h"

#define CGROUP "/sys/fs/cgroup"

/* Its input is what the kernel counts by then, and whether the signal is SIGKILL. */
struct death {
	int count;
	int signal;
};

static void
count(struct mpt *t, int n)
{
	char text[64];

	snprintf(text, sizeof(text), "oom 0\noom_kill %d\n", n);
	mpt_write_file(t, CGROUP "/memory.events", text);
}

static int
die(const void *in, size_t len, struct mproc_result *out)
{
	struct death d;

	(void)len;
	(void)out;
	memcpy(&d, in, sizeof(d));
	/* The kernel counts before it kills. */
	count(mpt_here(), d.count);
	raise(d.signal);
	return 0;
}

static void
expect_end(struct board *b, int counted, int signal, bool out_of_memory)
{
	struct death d = { counted, signal };
	mproc_future *f = submit(b, die, &d, sizeof(d));
	struct mproc_exit end;

	mpt_check_int(b->t, mproc_future_get(f, NULL, 0, NULL, MPROC_FOREVER),
		      MPROC_TASK_FAILED);
	mpt_check_int(b->t, strstr(mproc_error_detail(), "for want of memory") !=
				    NULL, out_of_memory);
	mpt_check(b->t, strstr(mproc_error_detail(), "\"worker-0\"") != NULL);
	mpt_check_int(b->t, mproc_future_exit_info(f, &end), 0);
	mpt_check_int(b->t, end.signal, signal);
	mpt_check_int(b->t, end.out_of_memory, out_of_memory);
	mproc_future_close(f);
}

static int
linger_too_long(const void *in, size_t len, struct mproc_result *out)
{
	(void)in;
	(void)len;
	(void)out;
	count(mpt_here(), 9);
	mpt_until(mpt_here(), false);
	return 0;
}

static int
be_short_of_memory(struct mpt *t, void *arg)
{
	const struct rlimit none = { 0, 0 };
	struct mproc_exit end;
	struct board *b;
	mproc_future *f;

	(void)arg;
	mpt_mount_private(t);
	mpt_mount_tmpfs(t, CGROUP, NULL);
	mpt_write_file(t, CGROUP "/own/cgroup", "0::/\n");
	mpt_mount_file(t, CGROUP "/own/cgroup", "/proc/self/cgroup");
	mpt_check_int(t, setrlimit(RLIMIT_CORE, &none), 0);
	count(t, 3);
	b = new_pool(t, MPROC_OPTS(mproc_pool_opts, .workers = 1));
	/* What was counted before is nobody's. */
	expect_end(b, 3, SIGKILL, false);
	expect_end(b, 4, SIGKILL, true);
	/* It was that one. */
	expect_end(b, 4, SIGKILL, false);
	expect_end(b, 5, SIGTERM, false);
	expect_end(b, 6, SIGKILL, true);
	mproc_pool_free(b->pool);
	/* Whom the pool kills it kills itself, whatever is counted meanwhile. */
	b = new_pool(t, MPROC_OPTS(mproc_pool_opts, .workers = 1,
				   .task_timeout = mproc_ms(200)));
	f = submit(b, linger_too_long, NULL, 0);
	mpt_check_int(t, mproc_future_wait(f, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_future_exit_info(f, &end), 0);
	mpt_check_int(t, end.signal, SIGKILL);
	mpt_check(t, !end.out_of_memory);
	mproc_future_close(f);
	mproc_pool_free(b->pool);
	return 0;
}

static void
who_is_killed_for_want_of_memory_is_known(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_fork(t, "role", be_short_of_memory, NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(who_is_killed_for_want_of_memory_is_known),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
