/* SPDX-License-Identifier: MIT */
/*
 * os/courier.h: messages with descriptors in them.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common.h"
#include "os/courier.h"

struct message {
	int number;
	char text[60];
};

static int ends[2];

static int
open_pair(void **state)
{
	return mpt_setup(state) == 0 ? mpr_courier_pair(ends) : -1;
}

static int
close_pair(void **state)
{
	close(ends[0]);
	close(ends[1]);
	return mpt_teardown(state);
}

#define pair_test(f) { #f, f, open_pair, close_pair, (void *)(uintptr_t)#f }

static bool
are_same(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino &&
	       x.st_dev == y.st_dev;
}

static void
messages_come_whole_and_in_order(void **state)
{
	struct message m = { 0 };
	int none[MPR_COURIER_FDS];

	(void)state;
	for (int i = 0; i < 3; i++) {
		m.number = i;
		assert_int_equal(mpr_courier_send(ends[0], &m, sizeof(m), NULL,
						  0), 0);
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(mpr_courier_receive(ends[1], &m, sizeof(m),
						     none), 0);
		assert_int_equal(m.number, i);
	}
}

static void
descriptors_come_along(void **state)
{
	int fds[MPR_COURIER_FDS], got[MPR_COURIER_FDS], n, pipes[2];
	struct message m = { 0 };

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	for (int i = 0; i < MPR_COURIER_FDS; i++)
		fds[i] = pipes[i % 2];
	for (n = 1; n <= MPR_COURIER_FDS; n += 83) {
		assert_int_equal(mpr_courier_send(ends[0], &m, sizeof(m), fds,
						  n), 0);
		assert_int_equal(mpr_courier_receive(ends[1], &m, sizeof(m),
						     got), n);
		for (int i = 0; i < n; i++) {
			assert_true(are_same(got[i], fds[i]));
			assert_true(fcntl(got[i], F_GETFD) & FD_CLOEXEC);
			close(got[i]);
		}
	}
	close(pipes[0]);
	close(pipes[1]);
}

static void
what_is_wrong_is_told_and_leaves_nothing(void **state)
{
	int closed = 999, lowest, got[MPR_COURIER_FDS], fds[3] = { 0, 1, 2 };
	unsigned before = mpt_fd_count();
	struct rlimit limit, low;
	struct message m = { 0 };

	(void)state;
	assert_int_equal(mpr_courier_send(ends[0], &m, sizeof(m), &closed, 1),
			 -EBADF);
	/* Longer, or shorter, than is expected. */
	for (size_t len = sizeof(m) - 1; len <= sizeof(m); len++) {
		assert_int_equal(mpr_courier_send(ends[0], &m, len, fds, 3), 0);
		assert_int_equal(mpr_courier_receive(
			ends[1], &m, 2 * sizeof(m) - 1 - len, got), -EMSGSIZE);
	}
	assert_int_equal(mpt_fd_count(), before);
	/* There is room for one of three. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = limit;
	lowest = dup(0);
	close(lowest);
	low.rlim_cur = (rlim_t)lowest + 1;
	assert_int_equal(mpr_courier_send(ends[0], &m, sizeof(m), fds, 3), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(mpr_courier_receive(ends[1], &m, sizeof(m), got), 1);
	assert_int_equal(got[0], lowest);
	close(lowest);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(mpt_fd_count(), before);
}

static void
the_end_of_the_other_side_is_told(void **state)
{
	int none[MPR_COURIER_FDS];
	struct message m = { 0 };

	(void)state;
	assert_int_equal(mpr_courier_send(ends[0], &m, sizeof(m), NULL, 0), 0);
	close(ends[0]);
	/* What was sent before is there. */
	assert_int_equal(mpr_courier_receive(ends[1], &m, sizeof(m), none), 0);
	assert_int_equal(mpr_courier_receive(ends[1], &m, sizeof(m), none),
			 -EPIPE);
	assert_int_equal(mpr_courier_send(ends[1], &m, sizeof(m), NULL, 0),
			 -EPIPE);
	ends[0] = dup(ends[1]);
}

/* What comes beside a message: nothing, or the end of a process. */
static void
a_message_goes_before_the_end_of_a_process(void **state)
{
	int none[MPR_COURIER_FDS], life;
	struct message m = { 0 };
	siginfo_t info;
	pid_t pid;

	(void)state;
	assert_int_equal(mpr_courier_take(ends[1], &m, sizeof(m), none), -EAGAIN);
	pid = fork();
	if (pid == 0)
		_exit(0);
	assert_true(pid > 0);
	life = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	if (life >= 0)
		assert_false(mpr_courier_await_beside(ends[1], life));
	assert_int_equal(mpr_courier_send(ends[0], &m, sizeof(m), NULL, 0), 0);
	assert_true(mpr_courier_await_beside(ends[1], life));
	assert_int_equal(mpr_courier_take(ends[1], &m, sizeof(m), none), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	if (life >= 0)
		close(life);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(messages_come_whole_and_in_order),
		pair_test(descriptors_come_along),
		pair_test(what_is_wrong_is_told_and_leaves_nothing),
		pair_test(the_end_of_the_other_side_is_told),
		pair_test(a_message_goes_before_the_end_of_a_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
