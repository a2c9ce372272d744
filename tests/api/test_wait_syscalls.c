/* SPDX-License-Identifier: MIT */
/*
 * wait.h: what is ready at once costs no system call, if all lie in shared memory or
 * are processes whose end is known; and neither does a look that finds nothing.
 */
#include "syscalls.h"
#include "wait.h"

enum { READY = 100 };

static int
return_at_once(void *arg)
{
	(void)arg;
	return 0;
}

static int
leave_nothing(const void *in, size_t len, struct mproc_result *out)
{
	(void)in;
	(void)len;
	(void)out;
	return 0;
}

static int
wait_without_the_kernel(struct mpt *t, void *arg)
{
	struct mproc_waitable items[READY];
	mproc_event e = { 0 };
	mproc_conn *ends[2];
	mproc_process *p;
	mproc_future *f;
	mproc_pool *pool;
	mproc_queue *q;

	(void)arg;
	mpt_check_int(t, mproc_pool_create(&pool, MPROC_OPTS(
		mproc_pool_opts, .backend = MPROC_POOL_INLINE)), 0);
	mpt_check_int(t, mproc_pool_submit(pool, leave_nothing, NULL, 0, &f), 0);
	mpt_check_int(t, mproc_process_start(&p, return_at_once, NULL,
					     MPROC_OPTS(mproc_process_opts,
							.method = MPROC_FORK)),
		      0);
	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_pipe(&ends[0], &ends[1], NULL), 0);
	for (int i = 0; i < READY; i++) {
		mpt_check_int(t, mproc_queue_create(&q, NULL), 0);
		items[i] = (struct mproc_waitable)QUEUE(q);
	}
	items[7] = (struct mproc_waitable)CONN(ends[0]);
	items[8] = (struct mproc_waitable)EVENT(&e);
	/* The first message gets memory. */
	mpt_check_int(t, mproc_conn_send(ends[1], "", 0, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_conn_recv(ends[0], NULL, 0, NULL,
					 MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_wait(items, READY, mproc_ms(1)), -ETIMEDOUT);
	forbid_system_calls(t);
	mpt_check_int(t, mproc_wait(items, READY, MPROC_NOWAIT), -EAGAIN);
	mpt_check_int(t, mproc_event_set(&e), 0);
	mpt_check_int(t, mproc_wait(items, READY, MPROC_FOREVER), 1);
	mpt_check_int(t, mproc_conn_send(ends[1], "", 0, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_wait(items, READY, MPROC_FOREVER), 2);
	items[9] = (struct mproc_waitable)PROCESS(p);
	mpt_check_int(t, mproc_wait(items, READY, MPROC_FOREVER), 3);
	items[10] = (struct mproc_waitable){ .kind = MPROC_WAIT_FUTURE,
					     .object = f };
	mpt_check_int(t, mproc_wait(items, READY, MPROC_FOREVER), 4);
	return 0;
}

static void
what_is_ready_costs_no_system_call(void **state)
{
	struct mpt *t = *state;
	int id = mpt_spawn(t, "waiter", wait_without_the_kernel, NULL);

	mpt_expect_exit(t, id, 0);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(what_is_ready_costs_no_system_call),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
