/* SPDX-License-Identifier: MIT */
/*
 * process.h: processes that outlive the one that started them.
 */
#include <poll.h>
#include <stdatomic.h>

#include "process.h"

/* In the scratch bytes. */
struct board {
	struct mpt *t;
	_Atomic unsigned ready;
	_Atomic bool parent_is_gone;
	_Atomic bool done;
};

/* Waits for the end of its parent, then ends by itself. */
static int
outlive(void *arg)
{
	struct board *b = arg;
	pid_t parent = getppid();
	int fd = mproc_parent_fd();
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	if (mproc_parent_pid() != parent)
		return 1;
	b->ready++;
	if (fd >= 0)
		poll(&pfd, 1, -1);
	mpt_until(b->t, getppid() != parent);
	b->parent_is_gone = true;
	if (fd < 0 && mproc_parent_fd() != -EPIPE)
		return 2;
	/* It is a member of the family still. */
	mpt_reach(b->t, 1);
	b->done = true;
	return 0;
}

static mproc_process *
start_outliving(struct board *b)
{
	mproc_process *p = NULL;

	mpt_check_int(b->t, mproc_process_start(
		&p, outlive, b, MPROC_OPTS(mproc_process_opts,
					   .outlive_parent = true)), 0);
	mpt_until(b->t, b->ready > 0);
	return p;
}

/* Ends while its child runs: as its argument says. */
struct end {
	int signal;
	bool closed;	/* the handle */
	bool by_exit;
};

static int
start_and_end(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	const struct end *end = arg;
	mproc_process *p = start_outliving(b);

	if (end->closed)
		mproc_process_close(p);
	if (end->signal)
		raise(end->signal);
	mproc_set_exit_limit(MPROC_FOREVER);
	if (end->by_exit)
		exit(0);
	return 0;
}

/* A started process, whose end is that of its entry. */
static int
start_by_entry(void *arg)
{
	struct board *b = arg;
	mproc_process *p = start_outliving(b);

	return mproc_children(NULL, 0) == 1 && p ? 0 : 1;
}

static struct board *
begin(void **state)
{
	struct board *b = mpt_scratch(*state);

	memset(b, 0, sizeof(*b));
	b->t = *state;
	return b;
}

/* The orphan goes on, and ends when it is told to. */
static void
expect_orphan(struct board *b)
{
	mpt_until(b->t, b->parent_is_gone);
	assert_false(b->done);
	mpt_step(b->t, 0);
	assert_int_equal(mpt_reap_orphans(b->t), 1);
	assert_true(b->done);
}

static void
it_goes_on_when_its_parent_is_killed(void **state)
{
	struct board *b = begin(state);
	struct end end = { .signal = SIGKILL };

	mpt_expect_signal(b->t, mpt_spawn(b->t, "parent", start_and_end, &end),
			  SIGKILL);
	expect_orphan(b);
}

static void
it_goes_on_when_its_parent_calls_exit(void **state)
{
	struct board *b = begin(state);
	struct end end = { .by_exit = true };

	mpt_expect_exit(b->t, mpt_spawn(b->t, "parent", start_and_end, &end),
			0);
	expect_orphan(b);
}

static void
it_goes_on_without_a_handle(void **state)
{
	struct board *b = begin(state);
	struct end end = { .closed = true, .by_exit = true };

	mpt_expect_exit(b->t, mpt_spawn(b->t, "parent", start_and_end, &end),
			0);
	expect_orphan(b);
}

static void
it_goes_on_when_the_entry_that_started_it_returns(void **state)
{
	struct board *b = begin(state);
	mproc_process *p = start(start_by_entry, b);

	assert_int_equal(end_of(p), 0);
	mproc_process_close(p);
	expect_orphan(b);
}

static void
it_is_a_child_like_others_while_its_parent_lives(void **state)
{
	struct board *b = begin(state);
	mproc_process *p = start_outliving(b), *found = NULL;

	assert_int_equal(mproc_children(&found, 1), 1);
	assert_ptr_equal(found, p);
	assert_true(mproc_process_is_alive(p));
	assert_int_equal(mproc_process_stop(p, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_children(NULL, 0), 0);
	mproc_process_close(p);
}

/* A thread that starts one and ends. */
static int
start_in_a_thread(struct mpt *t, void *arg)
{
	(void)t;
	*(mproc_process **)arg = start_outliving(mpt_scratch(t));
	return 0;
}

static void
the_end_of_the_thread_that_started_it_is_nothing_to_it(void **state)
{
	struct board *b = begin(state);
	mproc_process *p = NULL;
	int thread;

	mpt_use_threads(b->t, true);
	thread = mpt_spawn(b->t, "thread", start_in_a_thread, &p);
	mpt_expect_exit(b->t, thread, 0);
	assert_true(mproc_process_is_alive(p));
	assert_int_equal(mproc_process_join(p, mproc_ms(20)), -ETIMEDOUT);
	kill_and_close(p);
}

static void
a_daemon_cannot_outlive_its_parent(void **state)
{
	mproc_process *p = NULL;

	(void)state;
	assert_int_equal(mproc_process_start(
		&p, return_it, NULL,
		MPROC_OPTS(mproc_process_opts, .daemon = true,
			   .outlive_parent = true)), -EINVAL);
	assert_true(detail_has("daemon"));
	assert_null(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(it_goes_on_when_its_parent_is_killed),
		mpt_test(it_goes_on_when_its_parent_calls_exit),
		mpt_test(it_goes_on_without_a_handle),
		mpt_test(it_goes_on_when_the_entry_that_started_it_returns),
		mpt_test(it_is_a_child_like_others_while_its_parent_lives),
		mpt_test(the_end_of_the_thread_that_started_it_is_nothing_to_it),
		mpt_test(a_daemon_cannot_outlive_its_parent),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
