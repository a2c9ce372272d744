/* SPDX-License-Identifier: MIT */
/*
 * Pipes that are read without waiting, and lists of descriptors.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "common.h"
#include "os/fdlist.h"
#include "os/fds.h"
#include "os/pipe.h"

static void
what_is_written_is_read_and_nobody_waits(void **state)
{
	char buf[8];
	int fds[2];

	(void)state;
	assert_int_equal(mpr_pipe_open(fds), 0);
	assert_true(fds[0] > 2 && fds[1] > 2);
	assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fds[1], F_GETFD) & FD_CLOEXEC);
	assert_false(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
	assert_int_equal(mpr_pipe_read(fds[0], buf, sizeof(buf)), -EAGAIN);
	assert_int_equal(write(fds[1], "abcdefghij", 10), 10);
	assert_int_equal(mpr_pipe_read(fds[0], buf, sizeof(buf)), 8);
	assert_memory_equal(buf, "abcdefgh", 8);
	assert_int_equal(mpr_pipe_read(fds[0], buf, sizeof(buf)), 2);
	mpr_fds_close(fds[1]);
	assert_int_equal(mpr_pipe_read(fds[0], buf, sizeof(buf)), 0);
	mpr_fds_close(fds[0]);
}

/* Where a program has closed 0, 1 and 2, and where there is room for some only. */
static int
open_in_little_room(struct mpt *t, void *arg)
{
	struct rlimit limit;
	int fds[2], used = 3;

	(void)arg;
	close(0);
	close(1);
	mpt_check_int(t, mpr_pipe_open(fds), 0);
	mpt_check(t, fds[0] > 2 && fds[1] > 2);
	mpr_fds_close(fds[0]);
	mpr_fds_close(fds[1]);
	mpt_check(t, fcntl(0, F_GETFD) < 0 && fcntl(1, F_GETFD) < 0);
	/* Both, one, none, above 2. */
	while (fcntl(used, F_GETFD) >= 0)
		used++;
	for (int room = 2; room >= 0; room--) {
		getrlimit(RLIMIT_NOFILE, &limit);
		limit.rlim_cur = (rlim_t)(used + room);
		setrlimit(RLIMIT_NOFILE, &limit);
		mpt_check_int(t, mpr_pipe_open(fds),
			      room == 2 ? 0 : -EMFILE);
		if (room < 2)
			continue;
		mpr_fds_close(fds[0]);
		mpr_fds_close(fds[1]);
	}
	/* Nothing is left of the attempts. */
	mpt_check(t, fcntl(0, F_GETFD) < 0 && fcntl(1, F_GETFD) < 0 &&
			     fcntl(used, F_GETFD) < 0);
	return 0;
}

static void
both_ends_lie_above_the_streams_or_neither_is_there(void **state)
{
	struct mpt *t = *state;
	int fds[2];

	mpt_expect_exit(t, mpt_spawn(t, "opener", open_in_little_room, NULL),
			0);
	assert_int_equal(mpr_fault_set("dup:1"), 0);
	assert_int_equal(mpr_pipe_open(fds), -EMFILE);
	mpr_fault_set(NULL);
}

static const struct mpr_fdlist_entry *
find(const struct mpr_fdlist_entry *list, int n, int fd)
{
	for (int i = 0; i < n; i++)
		if (list[i].fd == fd)
			return &list[i];
	return NULL;
}

static void
all_descriptors_are_listed_and_told_apart(void **state)
{
	struct mpr_fdlist_entry before[64], after[64];
	int n, m, one, two, same;
	char what[64], little[5];

	(void)state;
	n = mpr_fdlist_read(before, 64);
	assert_int_equal(n, mpt_fd_count());
	one = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	two = open("/dev/full", O_RDONLY | O_CLOEXEC);
	same = dup(one);
	m = mpr_fdlist_read(after, 64);
	assert_int_equal(m, n + 3);
	/* A count alone, and less room than there is. */
	assert_int_equal(mpr_fdlist_read(NULL, 0), m);
	assert_int_equal(mpr_fdlist_read(before, 1), m);
	assert_true(find(after, m, one)->inode == find(after, m, same)->inode);
	assert_true(find(after, m, one)->inode != find(after, m, two)->inode);
	for (int i = 1; i < m; i++)
		assert_true(after[i - 1].fd < after[i].fd);
	mpr_fdlist_describe(one, what, sizeof(what));
	assert_string_equal(what, "/dev/zero");
	mpr_fdlist_describe(one, little, sizeof(little));
	assert_string_equal(little, "/dev");
	close(one);
	mpr_fdlist_describe(one, what, sizeof(what));
	assert_string_equal(what, "");
	close(two);
	close(same);
}

static void
a_list_that_is_not_to_be_had_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(mpr_fault_set("open:1"), 0);
	assert_int_equal(mpr_fdlist_read(NULL, 0), -EMFILE);
	assert_int_equal(mpr_fault_set("open:1=EACCES"), 0);
	assert_int_equal(mpr_fdlist_read(NULL, 0), -ENOSYS);
	mpr_fault_set(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(what_is_written_is_read_and_nobody_waits),
		mpt_test(both_ends_lie_above_the_streams_or_neither_is_there),
		mpt_test(all_descriptors_are_listed_and_told_apart),
		mpt_test(a_list_that_is_not_to_be_had_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
