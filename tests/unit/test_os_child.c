/* SPDX-License-Identifier: MIT */
/*
 * Children as the kernel shows them through a pidfd.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "base/fault.h"
#include "common.h"
#include "os/child.h"
#include "os/clock.h"

/* A child that runs @fn. */
static struct mpr_child
start(void (*fn)(void))
{
	struct mpr_child c;
	pid_t pid = mpr_child_fork();

	if (pid == 0) {
		fn();
		mpr_child_exit(1);
	}
	assert_true(pid > 0);
	assert_int_equal(mpr_child_open(&c, pid), 0);
	assert_int_equal(c.pid, pid);
	return c;
}

static int
wait_once(const struct mpr_child *c, int64_t deadline, unsigned tries)
{
	struct pollfd fds[2] = { mpr_child_poll(c) };

	return mpr_child_wait(fds, 1, deadline, tries);
}

/* Waits for its end, however many waits that takes. */
static void
wait_for_end(const struct mpr_child *c)
{
	unsigned tries = 0;

	while (!mpr_child_is_gone(c))
		assert_int_equal(wait_once(c, MPR_NEVER, ++tries), 0);
}

static void
exit_42(void)
{
	mpr_child_exit(42);
}

static void
wait_for_a_signal(void)
{
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	for (;;)
		sigsuspend(&mask);
}

static void
a_child_that_exits_is_reaped_with_its_code(void **state)
{
	struct mpr_child_end end;
	struct mpr_child c;

	(void)state;
	c = start(exit_42);
	wait_for_end(&c);
	assert_int_equal(mpr_child_reap(&c, &end), 0);
	assert_int_equal(end.code, 42);
	assert_int_equal(end.signal, 0);
	assert_false(end.core);
	assert_true(end.max_rss > 0);
	assert_true(end.user_ns >= 0 && end.system_ns >= 0);
	assert_int_equal(mpr_child_reap(&c, &end), -ECHILD);
	mpr_child_close(&c);
}

static void
a_running_child_is_not_reaped_and_a_wait_runs_out(void **state)
{
	struct mpr_child_end end;
	struct mpr_child c;
	int64_t until;
	int r;

	(void)state;
	c = start(wait_for_a_signal);
	assert_int_equal(mpr_child_reap(&c, &end), -EAGAIN);
	assert_int_equal(wait_once(&c, 1, 1), -ETIMEDOUT);
	until = mproc_now() + 20000000;
	while ((r = wait_once(&c, until, 1)) == 0)
		;
	assert_int_equal(r, -ETIMEDOUT);
	assert_true(mproc_now() >= until);
	assert_int_equal(mpr_child_signal(&c, SIGKILL), 0);
	wait_for_end(&c);
	assert_int_equal(mpr_child_reap(&c, &end), 0);
	assert_int_equal(end.code, -1);
	assert_int_equal(end.signal, SIGKILL);
	mpr_child_close(&c);
}

static void
end(struct mpr_child *c)
{
	struct mpr_child_end end;

	assert_int_equal(mpr_child_signal(c, SIGKILL), 0);
	wait_for_end(c);
	assert_int_equal(mpr_child_reap(c, &end), 0);
	mpr_child_close(c);
}

#define SEVERAL 3

/* Waits for the end of one of several, and says of whom that is to be seen. */
static void
expect_the_end_of(const struct mpr_child *cs, unsigned which)
{
	struct pollfd fds[SEVERAL + 1];
	unsigned tries = 0;

	while (!mpr_child_is_gone(&cs[which])) {
		for (unsigned i = 0; i < SEVERAL; i++)
			fds[i] = mpr_child_poll(&cs[i]);
		assert_int_equal(mpr_child_wait(fds, SEVERAL, MPR_NEVER,
						++tries), 0);
	}
	/* The last wait may have been in vain, but another is not. */
	for (unsigned i = 0; i < SEVERAL; i++)
		fds[i] = mpr_child_poll(&cs[i]);
	assert_int_equal(mpr_child_wait(fds, SEVERAL, MPR_NEVER, 1), 0);
	assert_true(fds[which].revents);
	/* And one that is left out is not waited for. */
	fds[which] = mpr_child_poll_none();
	assert_int_equal(mpr_child_wait(fds, SEVERAL, mproc_now() + 5000000, 1),
			 -ETIMEDOUT);
	assert_false(fds[which].revents);
}

static void
the_end_of_any_of_several_ends_a_wait(void **state)
{
	struct mpr_child cs[SEVERAL];
	struct pollfd fds[SEVERAL + 1];

	(void)state;
	for (unsigned i = 0; i < SEVERAL; i++)
		cs[i] = start(wait_for_a_signal);
	for (unsigned i = 0; i < SEVERAL; i++)
		fds[i] = mpr_child_poll(&cs[i]);
	assert_int_equal(mpr_child_wait(fds, SEVERAL, mproc_now(), 1),
			 -ETIMEDOUT);
	assert_int_equal(mpr_child_signal(&cs[1], SIGKILL), 0);
	expect_the_end_of(cs, 1);
	for (unsigned i = 0; i < SEVERAL; i++)
		end(&cs[i]);
}

/* One of them has no pidfd, or a wrong one: look at all, after a pause. */
static void
one_that_cannot_be_waited_for_makes_all_be_looked_at(void **state)
{
	struct mpr_child cs[2] = { start(wait_for_a_signal),
				   start(wait_for_a_signal) };
	int fd = cs[1].fd;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct pollfd fds[3] = { mpr_child_poll(&cs[0]),
					 mpr_child_poll(&cs[1]) };

		fds[1].fd = i == 0 ? -1 : i == 1 ? 1000000 : fd;
		if (i == 2)
			mpr_fault_set("poll:1");
		assert_int_equal(mpr_child_wait(fds, 2, MPR_NEVER, 1), 0);
		mpr_fault_set(NULL);
		assert_true(fds[0].revents && fds[1].revents);
	}
	end(&cs[0]);
	end(&cs[1]);
}

static void
a_terminated_child_shows_the_signal(void **state)
{
	struct mpr_child_end end;
	struct mpr_child c;

	(void)state;
	c = start(wait_for_a_signal);
	assert_int_equal(mpr_child_signal(&c, SIGTERM), 0);
	wait_for_end(&c);
	assert_int_equal(mpr_child_reap(&c, &end), 0);
	assert_int_equal(end.signal, SIGTERM);
	/* It is gone: no error, and no stranger is hit. */
	assert_int_equal(mpr_child_signal(&c, SIGTERM), 0);
	assert_int_equal(mpr_child_signal(&c, SIGKILL), 0);
	assert_int_equal(mpr_child_signal(&c, -1), -EINVAL);
	assert_int_equal(mpr_child_signal(&c, SIGRTMAX + 1), -EINVAL);
	mpr_child_close(&c);
}

static void
a_child_that_someone_else_reaped_is_no_child(void **state)
{
	struct mpr_child_end end;
	struct mpr_child c;

	(void)state;
	c = start(exit_42);
	assert_int_equal(waitpid(c.pid, NULL, 0), c.pid);
	wait_for_end(&c);
	assert_int_equal(mpr_child_reap(&c, &end), -ECHILD);
	mpr_child_close(&c);
}

static void
a_child_can_be_reaped_without_a_descriptor(void **state)
{
	struct mpr_child_end end;
	struct mpr_child c;

	(void)state;
	c = start(exit_42);
	mpr_child_reap_blocking(c.pid);
	assert_int_equal(mpr_child_reap(&c, &end), -ECHILD);
	mpr_child_close(&c);
}

static void
closing_leaves_errno_alone(void **state)
{
	struct mpr_child c = { .fd = 1000000 };

	(void)state;
	errno = EXDEV;
	mpr_child_close(&c);
	assert_int_equal(errno, EXDEV);
}

static void
a_page_is_zeroed_and_shared_with_children(void **state)
{
	struct mpt *t = *state;
	_Atomic unsigned *words = mpr_child_pages(MPR_CHILD_PAGE);
	pid_t pid;

	assert_non_null(words);
	for (unsigned i = 0; i < MPR_CHILD_PAGE / sizeof(*words); i++)
		assert_int_equal(words[i], 0);
	pid = mpr_child_fork();
	if (pid == 0) {
		words[7] = 77;
		mpr_child_exit(0);
	}
	mpr_child_reap_blocking(pid);
	assert_int_equal(words[7], 77);
	(void)t;
}

/* What a follower tells. */
struct board {
	_Atomic int followers;
	_Atomic pid_t child;
};

static pid_t
fork_follower(struct board *b)
{
	struct mpr_child_bond bond;
	pid_t pid;

	mpr_child_bond(&bond);
	pid = mpr_child_fork();
	if (pid == 0) {
		mpr_child_follow(&bond);
		b->followers++;
		wait_for_a_signal();
	}
	b->child = pid;
	return pid;
}

static int
have_a_follower(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	if (arg) {
		sigset_t all;

		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, NULL);
	}
	mpt_check(t, fork_follower(b) > 0);
	mpt_until(t, b->followers == 1);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
a_follower_ends_when_its_parent_is_killed(void **state)
{
	struct mpt *t = *state;
	int id = mpt_spawn(t, "parent", have_a_follower, NULL);

	mpt_reach(t, 1);
	mpt_kill(t, id);
	assert_int_equal(mpt_reap_orphans(t), 1);
}

static void
a_blocked_signal_does_not_keep_it_alive(void **state)
{
	struct mpt *t = *state;
	int id = mpt_spawn(t, "parent", have_a_follower, t);

	mpt_reach(t, 1);
	mpt_kill(t, id);
	assert_int_equal(mpt_reap_orphans(t), 1);
}

static int
have_a_follower_that_is_not_told(struct mpt *t, void *arg)
{
	mpr_fault_set("follow:1");
	return have_a_follower(t, arg);
}

static void
a_follower_that_is_not_told_looks_for_itself(void **state)
{
	struct mpt *t = *state;
	int id = mpt_spawn(t, "parent", have_a_follower_that_is_not_told, NULL);

	mpt_reach(t, 1);
	mpt_kill(t, id);
	assert_int_equal(mpt_reap_orphans(t), 1);
}

static void *
fork_in_a_thread(void *t)
{
	struct board *b = mpt_scratch(t);

	fork_follower(b);
	/* Only a follower is told. */
	mpt_until(t, b->followers == 1);
	return NULL;
}

static void
a_follower_goes_on_when_only_the_thread_that_forked_it_ends(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	struct mpr_child_end end;
	struct mpr_child c;
	pthread_t thread;
	int64_t until;
	int r;

	assert_int_equal(pthread_create(&thread, NULL, fork_in_a_thread, t), 0);
	pthread_join(thread, NULL);
	assert_int_equal(mpr_child_open(&c, b->child), 0);
	/* It sleeps again after the signal; had it ended it would be 'Z'. */
	mpt_until(t, mpt_task_state(b->child) == 'S');
	until = mproc_now() + 30000000;
	while ((r = wait_once(&c, until, 1)) == 0)
		;
	assert_int_equal(r, -ETIMEDOUT);
	assert_int_equal(mpr_child_signal(&c, SIGKILL), 0);
	wait_for_end(&c);
	assert_int_equal(mpr_child_reap(&c, &end), 0);
	assert_int_equal(end.signal, SIGKILL);
	mpr_child_close(&c);
}

static void
follow_a_stranger(void)
{
	struct mpr_child_bond bond;

	mpr_child_bond(&bond);
	bond.parent = 1 << 30;
	mpr_child_follow(&bond);
	mpr_child_exit(0);
}

static void
a_follower_whose_parent_is_gone_already_ends_at_once(void **state)
{
	struct mpr_child_end end;
	struct mpr_child c;

	(void)state;
	c = start(follow_a_stranger);
	wait_for_end(&c);
	assert_int_equal(mpr_child_reap(&c, &end), 0);
	assert_int_equal(end.code, 128 + SIGKILL);
	mpr_child_close(&c);
}

static void
follow_in_vain(void)
{
	struct mpr_child_bond bond;

	mpr_child_bond(&bond);
	bond.parent = getppid();
	mpr_fault_set("follow:1+");
	mpr_child_follow(&bond);
	mpr_child_exit(0);
}

static void
a_follower_that_cannot_follow_does_not_run(void **state)
{
	struct mpr_child_end end;
	struct mpr_child c;

	(void)state;
	c = start(follow_in_vain);
	wait_for_end(&c);
	assert_int_equal(mpr_child_reap(&c, &end), 0);
	assert_int_equal(end.code, 128 + SIGKILL);
	mpr_child_close(&c);
}

static volatile sig_atomic_t heard[2]; /* SIGCHLD, SIGTERM */

static void
hear(int signal)
{
	heard[signal == SIGTERM] = 1;
}

static bool
has_default(int signal)
{
	struct sigaction action;

	return sigaction(signal, NULL, &action) == 0 &&
	       action.sa_handler == SIG_DFL;
}

static bool
is_blocked(int signal)
{
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	return sigismember(&mask, signal) == 1;
}

/* With a child of its own, and blocked signals. */
static void
listen(void)
{
	struct mpr_child_ears ears;
	sigset_t mask;
	pid_t pid;

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigaddset(&mask, SIGUSR1);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	mpr_child_listen(hear, &ears);
	pid = mpr_child_fork();
	if (pid == 0) {
		mpr_child_unlisten(&ears);
		if (!has_default(SIGCHLD) || !has_default(SIGTERM) ||
		    !is_blocked(SIGCHLD) || is_blocked(SIGTERM) ||
		    !is_blocked(SIGUSR1))
			mpr_child_exit(3);
		raise(SIGTERM);
	}
	while (!heard[0])
		;
	kill(getpid(), SIGTERM);
	mpr_child_reap_blocking(pid);
	mpr_child_exit(heard[1] && is_blocked(SIGUSR1) ? 42 : 2);
}

static void
a_child_hears_of_its_own_children_and_is_asked_to_end(void **state)
{
	struct mpr_child c = start(listen);
	struct mpr_child_end end;

	(void)state;
	wait_for_end(&c);
	assert_int_equal(mpr_child_reap(&c, &end), 0);
	assert_int_equal(end.code, 42);
	mpr_child_close(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_child_hears_of_its_own_children_and_is_asked_to_end),
		mpt_test(a_child_that_exits_is_reaped_with_its_code),
		mpt_test(a_running_child_is_not_reaped_and_a_wait_runs_out),
		mpt_test(the_end_of_any_of_several_ends_a_wait),
		mpt_test(one_that_cannot_be_waited_for_makes_all_be_looked_at),
		mpt_test(a_terminated_child_shows_the_signal),
		mpt_test(a_child_that_someone_else_reaped_is_no_child),
		mpt_test(a_child_can_be_reaped_without_a_descriptor),
		mpt_test(closing_leaves_errno_alone),
		mpt_test(a_page_is_zeroed_and_shared_with_children),
		mpt_test(a_follower_ends_when_its_parent_is_killed),
		mpt_test(a_blocked_signal_does_not_keep_it_alive),
		mpt_test(
			a_follower_goes_on_when_only_the_thread_that_forked_it_ends),
		mpt_test(a_follower_whose_parent_is_gone_already_ends_at_once),
		mpt_test(a_follower_that_is_not_told_looks_for_itself),
		mpt_test(a_follower_that_cannot_follow_does_not_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
