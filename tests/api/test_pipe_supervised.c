/* SPDX-License-Identifier: MIT */
/*
 * pipe.h and supervisor.h: who is supervised holds ends of pipes, and its successors
 * hold them, too.
 */
#include "pipe.h"

enum { NOT_ANY_MORE = -1, CRASH = -2 };

/* Sends back numbers, and its process id first; ends when it is told to. */
static int
be_supervised(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);
	int number = (int)getpid();
	size_t len;

	do
		send_number(t, b->b, number);
	while (mproc_conn_recv(b->b, &number, sizeof(number), &len,
			       mproc_sec(10)) == 0 && number >= 0);
	if (number == CRASH)
		kill(getpid(), SIGKILL);
	return 0;
}

static mproc_supervisor *
supervise(struct mpt *t, struct board *b, int restart, int strategy, int n)
{
	mproc_supervisor *s = NULL;

	assert_int_equal(mproc_supervisor_create(&s, MPROC_OPTS(
		mproc_supervisor_opts, .max_restarts = 10,
		.strategy = strategy)), 0);
	for (int i = 0; i < n; i++)
		assert_int_equal(mproc_supervisor_add(s, be_supervised, t,
			MPROC_OPTS(mproc_child_opts, .restart = restart,
				   .process = MPROC_OPTS(mproc_process_opts,
							 .conns = &b->b,
							 .n_conns = 1))), i);
	return s;
}

static int
recv_pid(struct mpt *t, mproc_conn *c)
{
	int pid = 0;

	mpt_check_int(t, mproc_conn_recv(c, &pid, sizeof(pid), NULL,
					 mproc_sec(10)), 0);
	return pid;
}

/* Until the child has ended, and the supervisor knows. */
static void
run_until_over(struct mpt *t, mproc_supervisor *s)
{
	int r;

	while ((r = mproc_supervisor_run(s, mproc_sec(20))) == -EINTR)
		;
	mpt_check_int(t, r, 0);
}

static void
a_successor_goes_on_with_it(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_supervisor *s = supervise(t, b, MPROC_RESTART_ON_FAILURE, 0, 1);
	int pid, before = 0;

	for (int i = 0; i < 4; i++) {
		/* Nobody is there, and what is sent waits. */
		assert_true(mproc_arena_recover(NULL) >= 0);
		assert_int_equal(recv_now(b->a), -EAGAIN);
		send_number(t, b->a, i);
		mpt_until(t, mproc_supervisor_run(s, MPROC_NOWAIT) == -EAGAIN &&
			     mproc_conn_poll(b->a, MPROC_NOWAIT) == 0);
		pid = recv_pid(t, b->a);
		assert_true(pid > 0 && pid != before);
		before = pid;
		recv_number(t, b->a, i);
		if (i == 3)
			break;
		send_number(t, b->a, CRASH);
		mpt_until(t, mpt_task_state(pid) == 'Z' ||
			     mpt_task_state(pid) == 0);
	}
	send_number(t, b->a, NOT_ANY_MORE);
	run_until_over(t, s);
	/* It will not be started again. */
	assert_int_equal(recv_any(b->a), -EPIPE);
	assert_int_equal(recv_now(b->b), -ESTALE);
	mproc_supervisor_close(s);
	end(t, b);
}

static int
wait_for_the_end(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);
	int first = recv_pid(t, b->a), second;

	send_number(t, b->a, CRASH);
	second = recv_pid(t, b->a);
	mpt_check(t, first != second);
	b->ready = 1;
	mpt_check_int(t, recv_any(b->a), -EPIPE);
	return 0;
}

/* The one at the other end waits all the time, and is of another process. */
static void
the_other_side_does_not_notice(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_supervisor *s = supervise(t, b, MPROC_RESTART_ALWAYS, 0, 1);
	mproc_process *p = start_with(t, wait_for_the_end, &b->a, 1);

	while (!b->ready)
		assert_int_equal(mproc_supervisor_run(s, mproc_ms(10)),
				 -ETIMEDOUT);
	assert_int_equal(mproc_supervisor_stop(s), 0);
	run_until_over(t, s);
	assert_int_equal(end_of(p), 0);
	mproc_process_close(p);
	mproc_supervisor_close(s);
	end(t, b);
}

/* As long as one of those that have it may be started again; or until close. */
static void
a_supervisor_holds_for_all(void **state)
{
	static const int strategies[] = { MPROC_ONE_FOR_ONE, MPROC_ONE_FOR_ALL };
	struct mpt *t = *state;

	for (int i = 0; i < 2; i++) {
		struct board *b = new_board(t);
		mproc_supervisor *s = supervise(
			t, b, MPROC_RESTART_ON_FAILURE, strategies[i], 2);

		mpt_until(t, mproc_supervisor_run(s, MPROC_NOWAIT) == -EAGAIN);
		recv_pid(t, b->a);
		recv_pid(t, b->a);
		send_number(t, b->a, NOT_ANY_MORE);
		assert_int_equal(mproc_supervisor_run(s, mproc_ms(20)),
				 -ETIMEDOUT);
		assert_int_equal(recv_now(b->a), -EAGAIN);
		/* The other one is started again. */
		send_number(t, b->a, CRASH);
		mpt_until(t, mproc_supervisor_run(s, mproc_ms(1)) == -ETIMEDOUT &&
			     mproc_conn_poll(b->a, MPROC_NOWAIT) == 0);
		recv_pid(t, b->a);
		/* With the first one, where that goes with it. */
		if (i) {
			recv_pid(t, b->a);
			send_number(t, b->a, NOT_ANY_MORE);
		}
		send_number(t, b->a, NOT_ANY_MORE);
		run_until_over(t, s);
		assert_int_equal(recv_now(b->a), i ? -EAGAIN : -EPIPE);
		mproc_supervisor_close(s);
		assert_int_equal(recv_now(b->a), -EPIPE);
		end(t, b);
	}
}

static void
a_supervisor_takes_what_it_can_lend(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_supervisor *s;

	assert_int_equal(mproc_pipe(&b->c, &b->d, MPROC_OPTS(
		mproc_pipe_opts, .sockets = true)), 0);
	assert_int_equal(mproc_supervisor_create(&s, NULL), 0);
	assert_int_equal(mproc_supervisor_add(s, be_supervised, t, MPROC_OPTS(
		mproc_child_opts, .process = MPROC_OPTS(
			mproc_process_opts, .conns = &b->d, .n_conns = 1))),
		-EINVAL);
	mproc_conn_close(b->b);
	assert_int_equal(mproc_supervisor_add(s, be_supervised, t, MPROC_OPTS(
		mproc_child_opts, .process = MPROC_OPTS(
			mproc_process_opts, .conns = &b->b, .n_conns = 1))),
		-ESTALE);
	mproc_supervisor_close(s);
	end(t, b);
}

/* Where an end was that the program has closed, there may be another one. */
static void
a_supervisor_gives_back_what_it_was_given(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_conn *lent = b->b;
	mproc_supervisor *s;

	assert_int_equal(mproc_supervisor_create(&s, NULL), 0);
	assert_int_equal(mproc_supervisor_add(s, be_supervised, t, MPROC_OPTS(
		mproc_child_opts, .process = MPROC_OPTS(
			mproc_process_opts, .conns = &lent, .n_conns = 1))), 0);
	mproc_conn_close(b->a);
	mproc_conn_close(b->b);
	/* There are two headers. */
	assert_int_equal(mproc_pipe(&b->a, &b->b, NULL), 0);
	assert_int_equal(mproc_pipe(&b->c, &b->d, NULL), 0);
	assert_true(b->b == lent || b->d == lent);
	mproc_supervisor_close(s);
	assert_int_equal(recv_now(b->b), -EAGAIN);
	assert_int_equal(recv_now(b->d), -EAGAIN);
	end(t, b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_successor_goes_on_with_it),
		mpt_test(the_other_side_does_not_notice),
		mpt_test(a_supervisor_holds_for_all),
		mpt_test(a_supervisor_takes_what_it_can_lend),
		mpt_test(a_supervisor_gives_back_what_it_was_given),
	};

	return cmocka_run_group_tests(tests, with_pipes, NULL);
}
