/* SPDX-License-Identifier: MIT */
/*
 * os/fds.h: standard streams, and closing all others; by close_range() and by
 * what /proc lists. In roles, whose descriptors are their own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "common.h"
#include "os/fds.h"

#define FDS 300
#define THOUSANDS 4000

static ino_t
inode(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void
in_a_role(struct mpt *t, mpt_fn *fn, void *arg)
{
	mpt_expect_exit(t, mpt_spawn(t, "role", fn, arg), 0);
}

static void
a_descriptor_is_open_or_not(void **state)
{
	int fd = dup(STDERR_FILENO);

	(void)state;
	assert_int_equal(mpr_fds_check(fd), 0);
	close(fd);
	assert_int_equal(mpr_fds_check(fd), -EBADF);
	assert_int_equal(mpr_fds_check(-1), -EBADF);
}

/* All ways of having three streams lead to one another. */
static int
redirect_in_all_ways(struct mpt *t, void *arg)
{
	int own[3], sources[3], failed;
	unsigned before;
	ino_t file[3];

	(void)arg;
	for (int i = 0; i < 3; i++) {
		own[i] = memfd_create("stream", 0);
		file[i] = inode(own[i]);
	}
	before = mpt_fd_count();
	for (int way = 0; way < 27; way++) {
		for (int i = 0; i < 3; i++)
			dup2(own[i], i);
		sources[0] = way % 3;
		sources[1] = way / 3 % 3;
		sources[2] = way / 9;
		mpt_check_int(t, mpr_fds_redirect(sources, &failed), 0);
		for (int i = 0; i < 3; i++) {
			mpt_check_int(t, inode(i), file[sources[i]]);
			/* Not closed at exec, whatever the source was. */
			mpt_check_int(t, fcntl(i, F_GETFD), 0);
		}
	}
	mpt_check_int(t, mpt_fd_count(), before);
	return 0;
}

static void
streams_lead_where_the_others_did(void **state)
{
	in_a_role(*state, redirect_in_all_ways, NULL);
}

static int
redirect_without_streams(struct mpt *t, void *arg)
{
	int file = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10), failed;
	unsigned before = mpt_fd_count();
	char c;

	(void)arg;
	close(0);
	close(1);
	mpt_check_int(t, mpr_fds_redirect(
		(int[]){ MPR_FDS_NULL, file, MPR_FDS_INHERIT }, &failed), 0);
	mpt_check_int(t, read(0, &c, 1), 0);
	mpt_check_int(t, inode(1), inode(file));
	mpt_check_int(t, inode(2), inode(file));
	mpt_check_int(t, fcntl(file, F_GETFD), FD_CLOEXEC);
	mpt_check_int(t, write(0, "x", 1), 1);
	mpt_check_int(t, mpt_fd_count(), before);
	return 0;
}

static void
streams_that_were_closed_can_be_set(void **state)
{
	in_a_role(*state, redirect_without_streams, NULL);
}

static int
fail_to_redirect(struct mpt *t, void *arg)
{
	const int sources[3] = { MPR_FDS_NULL, 2, MPR_FDS_NULL };
	static const char *const specs[] = {
		"open:1", "dup:1", "dup:2", "open:2", "dup:3", "dup:4",
		"dup:5", "dup:6",
	};
	static const int which[] = { 0, 0, 1, 2, 2, 0, 1, 2 };
	unsigned before = mpt_fd_count();
	int failed;

	(void)arg;
	for (unsigned i = 0; i < 8; i++) {
		failed = -1;
		mpr_fault_set(specs[i]);
		mpt_check_int(t, mpr_fds_redirect(sources, &failed), -EMFILE);
		mpr_fault_set(NULL);
		mpt_check_int(t, failed, which[i]);
		mpt_check_int(t, mpt_fd_count(), before);
	}
	mpt_check_int(t, mpr_fds_redirect((int[]){ -2, 299, -2 }, &failed),
		      -EBADF);
	mpt_check_int(t, failed, 1);
	mpt_check_int(t, mpr_fds_redirect(sources, &failed), 0);
	return 0;
}

static void
a_failure_names_the_stream_and_leaves_no_copy(void **state)
{
	in_a_role(*state, fail_to_redirect, NULL);
}

/* @arg is a fault, or NULL. */
static int
close_most(struct mpt *t, void *arg)
{
	static const int opened[] = { 3, 4, 5, 60, 61, 63, 64, 200, 298 };
	static const int keep[] = { 64, -1, 4, 2, 298, 64, 60 };
	bool expected[FDS] = { true, true, true };

	for (unsigned i = 0; i < 9; i++)
		mpt_check_int(t, dup2(STDERR_FILENO, opened[i]), opened[i]);
	expected[4] = expected[60] = expected[64] = expected[298] = true;
	mpr_fault_set(arg);
	mpt_check_int(t, mpr_fds_close_others(keep, 7), 0);
	mpr_fault_set(NULL);
	for (int fd = 0; fd < FDS; fd++)
		mpt_check_int(t, is_open(fd), expected[fd]);

	mpr_fault_set(arg);
	mpt_check_int(t, mpr_fds_close_others(NULL, 0), 0);
	mpr_fault_set(NULL);
	for (int fd = 0; fd < FDS; fd++)
		mpt_check_int(t, is_open(fd), fd < 3);
	return 0;
}

static void
all_but_some_are_closed(void **state)
{
	in_a_role(*state, close_most, NULL);
}

static void
all_but_some_are_closed_without_close_range(void **state)
{
	in_a_role(*state, close_most, (char[]){ "close:1+" });
	in_a_role(*state, close_most, (char[]){ "close:1+=EPERM" });
	in_a_role(*state, close_most, (char[]){ "close:2" });
}

/* More than the kernel lists at once. */
static int
close_thousands(struct mpt *t, void *arg)
{
	struct rlimit limit;
	unsigned before = mpt_fd_count();

	(void)arg;
	mpt_check_int(t, getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	mpt_check_int(t, setrlimit(RLIMIT_NOFILE, &limit), 0);
	mpt_check(t, limit.rlim_max > THOUSANDS);
	for (unsigned i = before; i < THOUSANDS; i++)
		mpt_check(t, dup(STDERR_FILENO) >= 0);
	close(10); /* where the list of them will be */
	mpr_fault_set("close:1+");
	mpt_check_int(t, mpr_fds_close_others(NULL, 0), 0);
	mpr_fault_set(NULL);
	mpt_check_int(t, mpt_fd_count(), 3);
	return 0;
}

static void
thousands_are_closed_without_close_range(void **state)
{
	in_a_role(*state, close_thousands, NULL);
}

static int
close_with_nothing_left(struct mpt *t, void *arg)
{
	unsigned before = mpt_fd_count();

	(void)arg;
	/* Whatever is in the way of /proc, there is no way. */
	mpr_fault_set("close:1,open:1=EACCES");
	mpt_check_int(t, mpr_fds_close_others(NULL, 0), -ENOSYS);
	mpr_fault_set("close:1=EPERM,open:1=ENOSYS");
	mpt_check_int(t, mpr_fds_close_others(NULL, 0), -ENOSYS);
	mpr_fault_set("close:1=EMFILE");
	mpt_check_int(t, mpr_fds_close_others(NULL, 0), -EMFILE);
	mpr_fault_set(NULL);
	mpt_check_int(t, mpt_fd_count(), before);
	return 0;
}

static void
without_any_way_nothing_is_closed(void **state)
{
	in_a_role(*state, close_with_nothing_left, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_descriptor_is_open_or_not),
		mpt_test(streams_lead_where_the_others_did),
		mpt_test(streams_that_were_closed_can_be_set),
		mpt_test(a_failure_names_the_stream_and_leaves_no_copy),
		mpt_test(all_but_some_are_closed),
		mpt_test(all_but_some_are_closed_without_close_range),
		mpt_test(thousands_are_closed_without_close_range),
		mpt_test(without_any_way_nothing_is_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
