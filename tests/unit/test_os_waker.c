/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that wake who polls.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "base/fault.h"
#include "common.h"
#include "os/waker.h"

static bool
is_readable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 1;
}

static void
one_that_was_woken_stays_readable(void **state)
{
	int fd = mpr_waker_open();

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_false(is_readable(fd));
	for (int i = 0; i < 3; i++) {
		mpr_waker_wake(fd);
		assert_true(is_readable(fd));
	}
	mpr_waker_close(fd);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void
another_file_under_its_number_is_spared(void **state)
{
	int fd = mpr_waker_open(), fds[2];
	char c;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(dup2(fds[1], fd), fd);
	mpr_waker_wake(fd);
	assert_int_equal(read(fds[0], &c, 1), -1);
	assert_int_equal(errno, EAGAIN);
	mpr_waker_close(fd);
	assert_int_equal(fcntl(fd, F_GETFD), 0);
	close(fd);
	/* And none at all. */
	errno = EXDEV;
	mpr_waker_wake(fd);
	mpr_waker_wake(-ENOSYS);
	mpr_waker_close(fd);
	mpr_waker_close(-ENOSYS);
	assert_int_equal(errno, EXDEV);
	close(fds[0]);
	close(fds[1]);
}

static void
one_that_was_reset_can_be_woken_again(void **state)
{
	int fd = mpr_waker_open();

	(void)state;
	for (int i = 0; i < 3; i++) {
		mpr_waker_reset(fd);
		assert_false(is_readable(fd));
		mpr_waker_wake(fd);
		mpr_waker_wake(fd);
		assert_true(is_readable(fd));
	}
	mpr_waker_close(fd);
}

/* Which has no name either, and could be written to. */
static void
an_eventfd_of_the_program_is_spared(void **state)
{
	int fd = mpr_waker_open(), theirs = eventfd(1, EFD_NONBLOCK);
	uint64_t count;

	(void)state;
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_true(mpr_waker_is_open(fd));
	assert_false(mpr_waker_is_open(theirs));
	assert_int_equal(dup2(theirs, fd), fd);
	assert_false(mpr_waker_is_open(fd));
	mpr_waker_wake(fd);
	mpr_waker_reset(fd);
	mpr_waker_close(fd);
	assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 1);
	close(fd);
	close(theirs);
	errno = EXDEV;
	mpr_waker_reset(fd);
	assert_false(mpr_waker_is_open(-1));
	assert_int_equal(errno, EXDEV);
}

static void
one_that_cannot_be_had_is_an_error(void **state)
{
	(void)state;
	mpr_fault_set("eventfd:1");
	assert_int_equal(mpr_waker_open(), -EMFILE);
	mpr_fault_set("eventfd:1=ENOSYS");
	assert_int_equal(mpr_waker_open(), -ENOSYS);
	mpr_fault_set(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(one_that_was_woken_stays_readable),
		mpt_test(another_file_under_its_number_is_spared),
		mpt_test(one_that_was_reset_can_be_woken_again),
		mpt_test(an_eventfd_of_the_program_is_spared),
		mpt_test(one_that_cannot_be_had_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
