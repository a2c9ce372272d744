/* SPDX-License-Identifier: MIT */
/*
 * process.h: how groups are stopped and closed, what interrupts do to those who
 * wait for them, and whose they are.
 */
#include "group.h"

static void
stop_lets_members_end_in_their_own_way(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, 4);
	mproc_group *g;

	let(b, 1, LEAVE, 9);
	let(b, 2, LEAVE, 0);
	let(b, 3, RETURN_0, 0);
	g = start_and_await(b, MPROC_NOWAIT);
	assert_int_equal(mproc_group_stop(g, MPROC_FOREVER), 0);
	assert_int_equal(b->asked, 2);
	/* They were asked to: no failure. */
	expect_no_failure(g);
	assert_int_equal(mproc_group_join(g, MPROC_FOREVER), 0);
	assert_int_equal(mproc_group_stop(g, MPROC_FOREVER), 0);
	mproc_group_close(g);
}

static void
stop_kills_those_that_ignore_the_request(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, 4);
	int64_t began;
	mproc_group *g;

	let(b, 0, IGNORE, 0);
	let(b, 3, IGNORE, 0);
	g = start_and_await(b, MPROC_NOWAIT);
	began = mproc_now();
	assert_int_equal(mproc_group_stop(g, mproc_ms(60)), 0);
	assert_true(mproc_now() - began >= 60 * MS);
	expect_no_failure(g);
	mproc_group_close(g);
	/* Without a grace, at once. */
	memset(b, 0, offsetof(struct board, act));
	b->t = t;
	g = start_and_await(b, MPROC_NOWAIT);
	assert_int_equal(mproc_group_stop(g, MPROC_NOWAIT), 0);
	mproc_group_close(g);
}

static void
a_failure_before_stop_is_kept(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, 3);
	mproc_process *ps[3];
	mproc_group *g;

	g = start_and_await(b, MPROC_FOREVER);
	/* Their handles are among ours, the newest first. */
	assert_int_equal(mproc_children(ps, 3), 3);
	assert_int_equal(mproc_process_pid(ps[2]), b->pid[0]);
	assert_int_equal(kill(b->pid[0], SIGKILL), 0);
	assert_int_equal(mproc_process_join(ps[2], MPROC_FOREVER), 0);
	assert_int_equal(mproc_group_stop(g, MPROC_FOREVER), 0);
	expect_failure(g, 0, -1, SIGKILL);
	assert_int_equal(mproc_group_join(g, MPROC_FOREVER),
			 MPROC_GROUP_FAILED);
	mproc_group_close(g);
}

static void
the_shorter_grace_counts(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, 2);
	mproc_group *g;

	let(b, 0, IGNORE, 0);
	g = start_and_await(b, mproc_ms(20));
	assert_int_equal(kill(b->pid[1], SIGKILL), 0);
	assert_int_equal(mproc_group_join(g, mproc_us(1)), -ETIMEDOUT);
	while (mproc_group_failure(g, &(struct mproc_exit){ 0 }) < 0)
		assert_int_equal(mproc_group_join(g, mproc_us(1)), -ETIMEDOUT);
	assert_int_equal(mproc_group_stop(g, MPROC_FOREVER), 0);
	expect_failure(g, 1, -1, SIGKILL);
	mproc_group_close(g);
}

static void
an_interrupt_ends_a_join_which_may_be_repeated(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, 3);
	mproc_group *g = start_and_await(b, MPROC_FOREVER);

	mproc_interrupt();
	/* One that need not wait leaves it to the next. */
	assert_int_equal(mproc_group_join(g, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_group_join(g, MPROC_FOREVER), -EINTR);
	assert_int_equal(mproc_group_join(g, mproc_ms(1)), -ETIMEDOUT);
	expect_no_failure(g);
	assert_int_equal(kill(b->pid[1], SIGKILL), 0);
	assert_int_equal(mproc_group_join(g, MPROC_FOREVER),
			 MPROC_GROUP_FAILED);
	mproc_group_close(g);
}

static void
an_interrupt_within_the_grace_ends_a_stop(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, 3);
	mproc_group *g;

	let(b, 0, IGNORE, 0);
	let(b, 1, LEAVE, 0);
	g = start_and_await(b, MPROC_FOREVER);
	mproc_interrupt();
	assert_int_equal(mproc_group_stop(g, MPROC_FOREVER), -EINTR);
	mpt_until(t, b->asked == 1);
	assert_int_equal(mproc_group_join(g, mproc_ms(1)), -ETIMEDOUT);
	/* The next one has a shorter grace. After that it goes on. */
	assert_int_equal(mproc_group_stop(g, mproc_ms(1)), 0);
	expect_no_failure(g);
	mproc_group_close(g);
}

struct joiner {
	mproc_group *g;
	_Atomic pid_t tid;
	int result;
};

static int
join_in_a_thread(struct mpt *t, void *arg)
{
	struct joiner *j = arg;

	j->tid = gettid();
	mpt_check_int(t, mproc_group_join(j->g, MPROC_FOREVER), j->result);
	return 0;
}

static void
several_threads_may_wait(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, 4);
	struct joiner j[3];

	let(b, 0, IGNORE, 0);
	mpt_use_threads(t, true);
	for (int round = 0; round < 2; round++) {
		mproc_group *g;

		b->begun = 0;
		g = start_and_await(b, mproc_ms(30));
		for (int i = 0; i < 3; i++) {
			j[i] = (struct joiner){
				g, 0, round ? MPROC_GROUP_FAILED : 0 };
			mpt_spawn(t, "joiner", join_in_a_thread, &j[i]);
			mpt_until(t, j[i].tid &&
				     mpt_task_state(j[i].tid) == 'S');
		}
		if (round)
			assert_int_equal(kill(b->pid[2], SIGKILL), 0);
		else
			assert_int_equal(mproc_group_stop(g, mproc_ms(30)), 0);
		mpt_join_all(t);
		mproc_group_close(g);
	}
}

static void
members_of_a_closed_group_go_on(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, 3);
	mproc_group *g;

	let(b, 1, LEAVE, 0);
	mproc_group_close(start_and_await(b, MPROC_NOWAIT));
	assert_int_equal(mproc_children(NULL, 0), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(kill(b->pid[i], 0), 0);
		assert_int_equal(kill(b->pid[i], SIGTERM), 0);
	}
	/* Reaped by the next that closes, as those of processes are. */
	mpt_until(t, b->asked == 1);
	for (int i = 0; i < 3; i++)
		await_zombie(t, b->pid[i]);
	let(b, 0, RETURN_0, 0);
	b->n = 1;
	g = start_group(b, MPROC_NOWAIT);
	assert_int_equal(mproc_group_join(g, MPROC_FOREVER), 0);
	mproc_group_close(g);
}

static int
start_daemons_and_return(void *arg)
{
	struct board *b = arg;
	mproc_group *g;

	mpt_check_int(b->t, mproc_group_start(
		&g, be_a_member, b, (int)b->n,
		MPROC_OPTS(mproc_group_opts, .process = MPROC_OPTS(
			mproc_process_opts, .daemon = true))), 0);
	mpt_until(b->t, b->begun == b->n);
	return 0;
}

static void
daemons_are_ended_when_their_parent_ends_in_order(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, 3);
	mproc_process *p;

	for (int i = 0; i < 3; i++)
		let(b, i, LEAVE, 0);
	assert_int_equal(mproc_process_start(&p, start_daemons_and_return, b,
					     NULL), 0);
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	mproc_process_close(p);
	assert_int_equal(b->asked, 3);
}

static int
have_a_group(struct mpt *t, void *arg)
{
	struct board *b = arg;
	mproc_group *g;

	mpt_check_int(t, mproc_group_start(&g, be_a_member, b, (int)b->n,
					   NULL), 0);
	mpt_step(t, 0);
	return mproc_group_join(g, MPROC_FOREVER);
}

static void
all_members_end_when_their_parent_is_killed(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, 5);
	int id;

	let(b, 3, IGNORE, 0);
	id = mpt_spawn(t, "parent", have_a_group, b);
	mpt_reach(t, 1);
	mpt_until(t, b->begun == 5);
	mpt_kill(t, id);
	assert_int_equal(mpt_reap_orphans(t), 5);
}

static int
use_anothers_group(struct mpt *t, mproc_group *g)
{
	struct mproc_exit exit;

	mpt_check_int(t, mproc_group_join(g, MPROC_NOWAIT), -ECHILD);
	mpt_check_int(t, mproc_group_join(g, MPROC_FOREVER), -ECHILD);
	mpt_check_int(t, mproc_group_stop(g, MPROC_NOWAIT), -ECHILD);
	mpt_check_int(t, mproc_group_failure(g, &exit), -ECHILD);
	mpt_check(t, detail_has("another process"));
	mproc_group_close(g);
	return 0;
}

static void
a_group_is_of_no_use_in_a_forked_child(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, 3);
	mproc_group *g = start_and_await(b, MPROC_FOREVER);
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(use_anothers_group(t, g));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* Nothing has happened to it. */
	assert_int_equal(mproc_group_join(g, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_group_stop(g, MPROC_FOREVER), 0);
	mproc_group_close(g);
}

static struct board *joiners;

static void
fork_in_handler(int signal)
{
	pid_t pid = fork();

	(void)signal;
	if (pid)
		joiners->forked = pid;
}

static int
join_and_fork(struct mpt *t, void *arg)
{
	struct board *b = arg;
	pid_t self = getpid();
	mproc_group *g;
	int r, status;

	joiners = b;
	signal(SIGUSR1, fork_in_handler);
	mpt_check_int(t, mproc_group_start(&g, be_a_member, b, (int)b->n,
					   NULL), 0);
	mpt_step(t, 0);
	r = mproc_group_join(g, MPROC_FOREVER);
	if (getpid() != self) {
		mpt_check_int(t, r, -ECHILD);
		_exit(5);
	}
	mpt_check_int(t, r, MPROC_GROUP_FAILED);
	mpt_check_int(t, waitpid(b->forked, &status, 0), b->forked);
	mpt_check(t, WIFEXITED(status) && WEXITSTATUS(status) == 5);
	return 0;
}

static void
a_handler_that_forks_within_a_join_leaves_it_to_the_parent(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, 3);
	int id = mpt_spawn(t, "joiner", join_and_fork, b);

	mpt_reach(t, 1);
	mpt_until(t, b->begun == 3 && mpt_task_state(mpt_pid(t, id)) == 'S');
	assert_int_equal(kill(mpt_pid(t, id), SIGUSR1), 0);
	mpt_until(t, b->forked && mpt_task_state(b->forked) == 'Z');
	assert_int_equal(kill(b->pid[1], SIGKILL), 0);
	mpt_expect_exit(t, id, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		/* Before any interrupt: see interrupt.h about new threads. */
		mpt_test(several_threads_may_wait),
		mpt_test(stop_lets_members_end_in_their_own_way),
		mpt_test(stop_kills_those_that_ignore_the_request),
		mpt_test(a_failure_before_stop_is_kept),
		mpt_test(the_shorter_grace_counts),
		mpt_test(an_interrupt_ends_a_join_which_may_be_repeated),
		mpt_test(an_interrupt_within_the_grace_ends_a_stop),
		mpt_test(members_of_a_closed_group_go_on),
		mpt_test(daemons_are_ended_when_their_parent_ends_in_order),
		mpt_test(all_members_end_when_their_parent_is_killed),
		mpt_test(a_group_is_of_no_use_in_a_forked_child),
		mpt_test(a_handler_that_forks_within_a_join_leaves_it_to_the_parent),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
