/* SPDX-License-Identifier: MIT */
/*
 * process.h: names that ps shows, the parent, and signals.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>

#include "mpt_refuse.h"
#include "process.h"

/* In the scratch bytes. */
struct board {
	_Atomic unsigned ready;
	_Atomic unsigned signals;
	_Atomic bool parent_is_gone;
	_Atomic unsigned fds[3]; /* of grandchildren */
};

static struct board *board; /* for signal handlers */

static int
be_ready_for_ever(void *t)
{
	struct board *b = mpt_scratch(t);

	b->ready++;
	wait_to_be_killed(t);
	return 0;
}

/* Names. */

static void
read_comm(pid_t pid, char name[32])
{
	char path[40];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(name, 32, f));
	fclose(f);
	name[strcspn(name, "\n")] = '\0';
}

static void
ps_shows_as_much_of_the_name_as_fits(void **state)
{
	static const char *const names[] = {
		"w", "exactly 15 byte", "exactly 16 bytes",
		"a name of more bytes than the kernel keeps of it", NULL,
	};
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	char before[32], name[32], ours[32];
	mproc_process *p;

	read_comm(getpid(), before);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(mproc_process_start(
			&p, be_ready_for_ever, t,
			MPROC_OPTS(mproc_process_opts, .name = names[i])), 0);
		mpt_until(t, b->ready == i + 1);
		read_comm(mproc_process_pid(p), name);
		if (!mpt_without("setname")) {
			assert_true(strlen(name) <= 15);
			assert_int_equal(strncmp(name, mproc_process_name(p),
						 15), 0);
		}
		kill_and_close(p);
	}
	read_comm(getpid(), ours);
	assert_string_equal(ours, before);
}

/* The parent. */

static bool
is_readable(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, ms) == 1 && pfd.revents & POLLIN;
}

/* The process that a pidfd is of. */
static pid_t
pid_of(int fd)
{
	char path[64], line[128];
	int pid = -2;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Pid: %d", &pid) == 1)
			break;
	if (f)
		fclose(f);
	return pid;
}

/* In a started process, whose parent runs. */
static void
check_parent(struct mpt *t)
{
	int fd;

	mpt_check_int(t, mproc_parent_pid(), getppid());
	fd = mproc_parent_fd();
	mpt_check_int(t, mproc_parent_fd(), fd);
	mpt_check_int(t, mproc_parent_pid(), getppid());
	if (mpt_without("pidfd")) {
		mpt_check_int(t, fd, -ENOSYS);
		return;
	}
	mpt_check(t, fd >= 0);
	mpt_check_int(t, fcntl(fd, F_GETFD), FD_CLOEXEC);
	mpt_check_int(t, pid_of(fd), getppid());
	mpt_check(t, !is_readable(fd, 0));
}

static void
check_no_parent(struct mpt *t)
{
	mpt_check_int(t, mproc_parent_pid(), 0);
	mpt_check_int(t, mproc_parent_fd(), -ENODATA);
	mpt_check(t, detail_has("did not start"));
}

static int
be_forked(struct mpt *t, void *arg)
{
	(void)arg;
	check_no_parent(t);
	return 0;
}

static void
a_process_that_was_not_started_has_no_parent(void **state)
{
	struct mpt *t = *state;

	check_no_parent(t);
	mpt_expect_exit(t, mpt_fork(t, "forked", be_forked, NULL), 0);
}

/* Forks by itself: that child was not started. */
static int
check_parent_and_fork(void *t)
{
	pid_t pid;
	int status;

	check_parent(t);
	pid = fork();
	if (pid == 0) {
		check_no_parent(t);
		_exit(0);
	}
	mpt_check_int(t, waitpid(pid, &status, 0), pid);
	mpt_check_int(t, status, 0);
	check_parent(t);
	return 0;
}

static void
a_started_process_knows_its_parent(void **state)
{
	mproc_process *p = start(check_parent_and_fork, *state);

	assert_int_equal(end_of(p), 0);
	mproc_process_close(p);
}

static int
check_own_parent(void *t)
{
	struct board *b = mpt_scratch(t);
	unsigned before = mpt_fd_count();

	b->fds[b->ready++] = before;
	check_parent(t);
	if (!mpt_without("pidfd"))
		mpt_check_int(t, mpt_fd_count(), before + 1);
	return 0;
}

static void
have_grandchild(struct mpt *t)
{
	mproc_process *p;
	int code = -1;

	mpt_check_int(t, mproc_process_start(&p, check_own_parent, t, NULL), 0);
	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_process_exitcode(p, &code), 0);
	mpt_check_int(t, code, 0);
	mproc_process_close(p);
}

/* What a child asked for is of no use to its own children: they have neither
 * its answer nor its descriptor. */
static int
ask_and_start(void *t)
{
	struct board *b = mpt_scratch(t);
	unsigned before;

	/* A fork server stays. */
	have_grandchild(t);
	before = mpt_fd_count();
	check_parent(t);
	have_grandchild(t);
	have_grandchild(t);
	check_parent(t);
	if (!mpt_without("pidfd"))
		mpt_check_int(t, mpt_fd_count(), before + 1);
	mpt_check_int(t, b->fds[1], b->fds[0]);
	mpt_check_int(t, b->fds[2], b->fds[0]);
	return 0;
}

static void
each_generation_has_its_own_parent(void **state)
{
	mproc_process *p = start(ask_and_start, *state);

	assert_int_equal(end_of(p), 0);
	mproc_process_close(p);
}

static void
block_the_parents_death(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGRTMAX);
	sigprocmask(SIG_BLOCK, &mask, NULL);
}

static int
outlive_the_parent(void *t)
{
	struct board *b = mpt_scratch(t);
	pid_t parent = mproc_parent_pid();
	int fd = mproc_parent_fd();

	block_the_parents_death();
	b->ready++;
	if (fd >= 0)
		mpt_check(t, is_readable(fd, 10000));
	else
		mpt_until(t, getppid() != parent);
	mpt_check_int(t, mproc_parent_fd(), fd >= 0 ? fd : -EPIPE);
	mpt_check_int(t, mproc_parent_pid(), parent);
	b->parent_is_gone = true;
	return 0;
}

/* Asks for the first time when it is too late. */
static int
ask_too_late(void *t)
{
	struct board *b = mpt_scratch(t);
	pid_t parent = mproc_parent_pid();

	block_the_parents_death();
	b->ready++;
	mpt_until(t, getppid() != parent);
	mpt_check_int(t, mproc_parent_fd(), -EPIPE);
	mpt_check(t, detail_has("gone"));
	mpt_check_int(t, mproc_parent_pid(), parent);
	b->parent_is_gone = true;
	return 0;
}

static int
be_a_parent(struct mpt *t, void *arg)
{
	mproc_process *p;

	mpt_check_int(t, mproc_process_start(
		&p, arg ? ask_too_late : outlive_the_parent, t, NULL), 0);
	wait_to_be_killed(t);
	return 0;
}

static void
expect_the_parents_end(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int id = mpt_spawn(t, "parent", be_a_parent, arg);

	mpt_until(t, b->ready == 1);
	mpt_kill(t, id);
	assert_int_equal(mpt_reap_orphans(t), 1);
	assert_true(b->parent_is_gone);
}

static void
the_descriptor_becomes_readable_when_the_parent_ends(void **state)
{
	expect_the_parents_end(*state, NULL);
}

static void
a_parent_that_is_gone_has_no_descriptor(void **state)
{
	expect_the_parents_end(*state, *state);
}

/* Signals. */

static void
exit_33(int sig)
{
	(void)sig;
	_exit(33);
}

static void
count_signal(int sig)
{
	(void)sig;
	board->signals++;
}

static int
handle_interrupts(void *t)
{
	struct board *b = mpt_scratch(t);

	signal(SIGINT, exit_33);
	b->ready++;
	wait_to_be_killed(t);
	return 0;
}

static void
interrupt_sends_sigint(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	mproc_process *p;

	p = start(be_ready_for_ever, t);
	assert_int_equal(mproc_process_interrupt(p), 0);
	assert_int_equal(end_of(p), -SIGINT);
	assert_int_equal(mproc_process_interrupt(p), 0);
	mproc_process_close(p);

	b->ready = 0;
	p = start(handle_interrupts, t);
	mpt_until(t, b->ready == 1);
	assert_int_equal(mproc_process_interrupt(p), 0);
	assert_int_equal(end_of(p), 33);
	mproc_process_close(p);
}

static int
count_signals(void *t)
{
	struct board *b = mpt_scratch(t);

	board = b;
	signal(SIGUSR1, count_signal);
	b->ready++;
	wait_to_be_killed(t);
	return 0;
}

static void
any_signal_can_be_sent(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	mproc_process *p = start(count_signals, t);

	mpt_until(t, b->ready == 1);
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(mproc_process_signal(p, SIGUSR1), 0);
		mpt_until(t, b->signals == i);
	}
	/* No signal is sent, but it could be. */
	for (int i = 0; i < 3; i++)
		assert_int_equal(mproc_process_signal(p, 0), 0);
	assert_true(mproc_process_is_alive(p));
	assert_int_equal(mproc_process_signal(p, SIGSTOP), 0);
	mpt_until(t, mpt_task_state(mproc_process_pid(p)) == 'T');
	assert_int_equal(mproc_process_signal(p, SIGCONT), 0);
	mpt_until(t, mpt_task_state(mproc_process_pid(p)) != 'T');
	assert_int_equal(b->signals, 3);
	assert_int_equal(mproc_process_signal(p, SIGRTMAX - 1), 0);
	assert_int_equal(end_of(p), -(SIGRTMAX - 1));
	mproc_process_close(p);
}

static void
what_is_no_signal_is_invalid(void **state)
{
	static const int bad[] = { -1, -SIGTERM, 65, 1000, INT32_MAX,
				   INT32_MIN };
	mproc_process *p = start(be_ready_for_ever, *state);

	for (int i = 0; i < 6; i++) {
		assert_int_equal(mproc_process_signal(p, bad[i]), -EINVAL);
		assert_true(detail_has("signal"));
	}
	assert_true(mproc_process_is_alive(p));
	kill_and_close(p);
	assert_int_equal(mproc_process_signal(NULL, SIGTERM), -EINVAL);
	assert_int_equal(mproc_process_signal(NULL, 0), -EINVAL);
	assert_int_equal(mproc_process_interrupt(NULL), -EINVAL);
}

static void
a_signal_after_the_end_is_no_error(void **state)
{
	mproc_process *p = start(return_it, NULL);
	pid_t pid = mproc_process_pid(p);

	/* As a zombie, and when it is reaped. */
	mpt_until(*state, mpt_task_state(pid) == 'Z');
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mproc_process_signal(p, 0), 0);
		assert_int_equal(mproc_process_signal(p, SIGUSR1), 0);
		assert_int_equal(mproc_process_interrupt(p), 0);
		assert_int_equal(mproc_process_signal(p, -1), -EINVAL);
		assert_int_equal(end_of(p), 0);
	}
	mproc_process_close(p);
}

static int
signal_a_parents_child(struct mpt *t, void *arg)
{
	mpt_check_int(t, mproc_process_signal(arg, 0), -ECHILD);
	mpt_check_int(t, mproc_process_signal(arg, SIGKILL), -ECHILD);
	mpt_check_int(t, mproc_process_signal(arg, -1), -ECHILD);
	mpt_check_int(t, mproc_process_interrupt(arg), -ECHILD);
	mpt_check(t, detail_has("another process"));
	return 0;
}

static void
a_forked_child_cannot_signal_with_the_handle(void **state)
{
	struct mpt *t = *state;
	mproc_process *p = start(be_ready_for_ever, t);

	mpt_expect_exit(t, mpt_spawn(t, "forked", signal_a_parents_child, p),
			0);
	assert_true(mproc_process_is_alive(p));
	kill_and_close(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(ps_shows_as_much_of_the_name_as_fits),
		mpt_test(a_process_that_was_not_started_has_no_parent),
		mpt_test(a_started_process_knows_its_parent),
		mpt_test(each_generation_has_its_own_parent),
		mpt_test(the_descriptor_becomes_readable_when_the_parent_ends),
		mpt_test(a_parent_that_is_gone_has_no_descriptor),
		mpt_test(interrupt_sends_sigint),
		mpt_test(any_signal_can_be_sent),
		mpt_test(what_is_no_signal_is_invalid),
		mpt_test(a_signal_after_the_end_is_no_error),
		mpt_test(a_forked_child_cannot_signal_with_the_handle),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
