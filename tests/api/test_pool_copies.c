/* SPDX-License-Identifier: MIT */
/*
 * pool.h: signal handlers, and functions of pthread_atfork(3), that fork in the processes
 * of a pool, and return in the copy. Whatever that was in the middle of goes on in it as
 * its own call: it is no worker, no keeper, and starts none in its parent's name.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "pool.h"

/* In the scratch bytes, behind the board. */
struct copies {
	_Atomic bool stop_next; /* who is forked next stops at once */
	_Atomic pid_t stopped;
	_Atomic pid_t forks_twice; /* when it is about to fork */
	_Atomic pid_t copy;
	_Atomic unsigned handled; /* calls of the handler */
	_Atomic unsigned told; /* copies whose waits have ended */
};

_Static_assert(sizeof(struct board) + sizeof(struct copies) <= MPT_SCRATCH,
	       "in the scratch bytes");

static struct copies *
copies(void)
{
	return (struct copies *)(the_board() + 1);
}

static void
stop_if_asked(void)
{
	if (!mpt_here() || !atomic_exchange(&copies()->stop_next, false))
		return;
	atomic_store(&copies()->stopped, getpid());
	raise(SIGSTOP);
}

static void
fork_here(int signal)
{
	int saved = errno;
	pid_t pid;

	(void)signal;
	atomic_fetch_add(&copies()->handled, 1);
	pid = _Fork();
	if (pid > 0)
		atomic_store(&copies()->copy, pid);
	else if (pid == 0)
		alarm(60);
	errno = saved;
}

static void
fork_before_fork(void)
{
	pid_t pid = getpid();

	if (mpt_here() &&
	    atomic_compare_exchange_strong(&copies()->forks_twice, &pid, 0))
		fork_here(0);
}

static void
handle_signals(void)
{
	struct sigaction action = { .sa_handler = fork_here };

	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
}

static pid_t
await_copy(struct board *b)
{
	mpt_until(b->t, atomic_load(&copies()->copy));
	return atomic_load(&copies()->copy);
}

static void
await_state(struct board *b, pid_t pid, int state)
{
	mpt_until(b->t, mpt_task_state(pid) == state);
}

static void
await_end(struct board *b, pid_t pid)
{
	int state;

	mpt_until(b->t, (state = mpt_task_state(pid)) == 0 || state == 'Z');
}

static void
kill_keeper(struct board *b)
{
	pid_t keeper = pool_stat(b).keeper;

	assert_int_equal(kill(keeper, SIGKILL), 0);
	await_end(b, keeper);
}

/* Waits for the board's first future, and has all forked copies do the same. */
static int
wait_for_one(struct mpt *t, void *arg)
{
	struct board *b = arg;
	pid_t me = getpid();
	int r;

	atomic_store(&copies()->stop_next, true);
	r = mproc_future_wait(b->futures[0], MPROC_FOREVER);
	if (getpid() != me) {
		atomic_fetch_add(&copies()->told, r == 0);
		_exit(0);
	}
	mpt_check_int(t, r, 0);
	return 0;
}

/* A pool whose worker has worked. One that was forked just now may not have come to functions
 * of pthread_atfork(3) yet, and would stop there instead of who is forked next. */
static struct board *
settled_pool(struct mpt *t)
{
	struct board *b = pool_of(t, 1);

	assert_int_equal(take_int(b, submit_int(b, square, 2)), 4);
	return b;
}

/* A pool without a keeper, with a task that waits; and a role that starts one, which
 * stops before it is the keeper. */
static struct board *
stop_a_start(struct mpt *t, int *ret_id)
{
	struct board *b = settled_pool(t);

	handle_signals();
	kill_keeper(b);
	b->futures[0] = submit_int(b, square, 3);
	*ret_id = mpt_fork(t, "starter", wait_for_one, b);
	return b;
}

static void
end_a_start(struct board *b)
{
	assert_int_equal(take_int(b, b->futures[0]), 9);
	close_and_join(b);
	mpt_reap_orphans(b->t);
}

static void
a_copy_of_who_starts_a_keeper_sleeps(void **state)
{
	struct board *b;
	pid_t copy;
	int id;

	b = stop_a_start(*state, &id);
	mpt_until(b->t, atomic_load(&copies()->stopped));
	await_state(b, copies()->stopped, 'T');
	await_state(b, mpt_pid(b->t, id), 'S');
	assert_int_equal(kill(mpt_pid(b->t, id), SIGUSR1), 0);
	copy = await_copy(b);
	await_state(b, copy, 'S');
	/* Who is going to start it is dead: it does that itself. */
	mpt_kill(b->t, id);
	mpt_until(b->t, atomic_load(&copies()->told) == 1);
	await_end(b, copy);
	assert_int_equal(kill(copies()->stopped, SIGKILL), 0);
	end_a_start(b);
}

static void *
interrupt(void *arg)
{
	struct board *b = arg;

	mpt_until(b->t, atomic_load(&copies()->stopped));
	mproc_interrupt();
	mpt_step(b->t, 0);
	return NULL;
}

static int
wait_for_one_with_a_helper(struct mpt *t, void *arg)
{
	struct board *b = arg;
	pthread_t helper;
	int r;

	mpt_check_int(t, pthread_create(&helper, NULL, interrupt, b), 0);
	atomic_store(&copies()->stop_next, true);
	r = mproc_future_wait(b->futures[0], MPROC_FOREVER);
	mpt_check(t, r == 0 || r == -EINTR);
	mpt_check_int(t, pthread_join(helper, NULL), 0);
	return 0;
}

/* How often it has given up the CPU to sleep. */
static unsigned long
sleeps_of(pid_t pid)
{
	static const char name[] = "voluntary_ctxt_switches:";
	char path[64], line[256];
	unsigned long n = 0;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	status = fopen(path, "r");
	while (status && fgets(line, sizeof(line), status))
		if (!strncmp(line, name, sizeof(name) - 1))
			n = strtoul(line + sizeof(name) - 1, NULL, 10);
	if (status)
		fclose(status);
	return n;
}

static void
who_is_interrupted_while_it_starts_one_sleeps(void **state)
{
	struct board *b = settled_pool(*state);
	unsigned long sleeps;
	pid_t pid;
	int id;

	kill_keeper(b);
	b->futures[0] = submit_int(b, square, 3);
	id = mpt_fork(b->t, "starter", wait_for_one_with_a_helper, b);
	mpt_reach(b->t, 1);
	pid = mpt_pid(b->t, id);
	sleeps = sleeps_of(pid);
	mpt_until(b->t, sleeps_of(pid) >= sleeps + 20);
	assert_int_equal(kill(copies()->stopped, SIGCONT), 0);
	mpt_expect_exit(b->t, id, 0);
	end_a_start(b);
}

static void
no_handler_of_the_program_runs_in_a_keeper(void **state)
{
	struct board *b = new_board(*state);
	pid_t keeper;

	handle_signals();
	pool_of(*state, 2);
	keeper = pool_stat(b).keeper;
	await_state(b, keeper, 'S');
	assert_int_equal(kill(keeper, SIGUSR1), 0);
	/* It has come round since. */
	mpt_until(b->t, pool_stat(b).workers == 2);
	for (int i = 0; i < 3; i++)
		assert_int_equal(take_int(b, submit_int(b, square, i)), i * i);
	assert_int_equal(kill(keeper, SIGTERM), 0);
	assert_int_equal(mproc_pool_close(b->pool), 0);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	assert_int_equal(atomic_load(&copies()->handled), 0);
	assert_int_equal(pool_stat(b).keepers, 1);
	mproc_pool_free(b->pool);
}

static void
a_copy_of_a_keeper_keeps_nothing(void **state)
{
	struct board *b = pool_of(*state, 2);
	pid_t copy;
	int i;

	mpt_until(b->t, pool_stat(b).workers == 2);
	atomic_store(&copies()->forks_twice, pool_stat(b).keeper);
	i = take_int(b, submit_int(b, tell_pid, 0));
	assert_int_equal(kill(i, SIGKILL), 0);
	copy = await_copy(b);
	await_end(b, copy);
	mpt_until(b->t, pool_stat(b).workers == 2);
	for (i = 0; i < 3; i++)
		assert_int_equal(take_int(b, submit_int(b, square, i)), i * i);
	assert_int_equal(pool_stat(b).keepers, 1);
	close_and_join(b);
	mpt_reap_orphans(b->t);
}

/* Waits for the board's first future, in a task. */
static int
wait_in_task(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();
	pid_t me = getpid();
	int r;

	(void)in;
	(void)len;
	(void)out;
	atomic_store(&b->counts[0], (unsigned)me);
	r = mproc_future_wait(b->futures[0], MPROC_FOREVER);
	if (getpid() != me) {
		atomic_fetch_add(&copies()->told, r == 0);
		_exit(0);
	}
	return r;
}

static void
a_copy_of_a_task_that_waits_starts_another_keeper(void **state)
{
	struct board *b = new_board(*state);
	mproc_future *f;
	pid_t waits;

	handle_signals();
	pool_of(*state, 2);
	b->futures[0] = submit_int(b, linger, 1);
	await_begun(b, 1);
	f = submit_int(b, wait_in_task, 0);
	mpt_until(b->t, atomic_load(&b->counts[0]));
	waits = (pid_t)atomic_load(&b->counts[0]);
	await_state(b, waits, 'S');
	assert_int_equal(kill(waits, SIGUSR1), 0);
	await_state(b, await_copy(b), 'S');
	/* The workers end with it; nobody else waits. */
	kill_keeper(b);
	mpt_until(b->t, atomic_load(&copies()->told) == 1);
	await_end(b, atomic_load(&copies()->copy));
	for (int i = 0; i < 2; i++) {
		mproc_future *dead = i ? f : b->futures[0];

		assert_int_equal(mproc_future_get(dead, NULL, 0, NULL,
						  MPROC_FOREVER),
				 MPROC_TASK_FAILED);
		mproc_future_close(dead);
	}
	close_and_join(b);
	mpt_reap_orphans(b->t);
}

static int
setup(void **state)
{
	return pthread_atfork(fork_before_fork, NULL, stop_if_asked) ? -1 : with_pool(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_copy_of_who_starts_a_keeper_sleeps),
		mpt_test(who_is_interrupted_while_it_starts_one_sleeps),
		mpt_test(no_handler_of_the_program_runs_in_a_keeper),
		mpt_test(a_copy_of_a_keeper_keeps_nothing),
		mpt_test(a_copy_of_a_task_that_waits_starts_another_keeper),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
