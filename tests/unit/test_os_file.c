/* SPDX-License-Identifier: MIT */
/*
 * Files without a name, in whatever way the system lets us have them, and a
 * descriptor that the program may close behind our back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>

#include <mproc/core.h>

#include "base/fault.h"
#include "common.h"
#include "mpt_mount.h"
#include "os/bytelock.h"
#include "os/file.h"

static void
a_new_file_is_open_and_closed_at_exec(void **state)
{
	struct mpr_file f;

	(void)state;
	assert_int_equal(mpr_file_anonymous(&f, "test", false), 0);
	assert_true(mpr_file_is_open(&f));
	assert_int_equal(fcntl(f.fd, F_GETFD), FD_CLOEXEC);
	mpr_file_close(&f);
	assert_int_equal(fcntl(f.fd, F_GETFD), -1);
	assert_false(mpr_file_is_open(&f));
}

static void
only_a_sealable_file_takes_seals(void **state)
{
	struct mpr_file f;

	(void)state;
	assert_int_equal(mpr_file_anonymous(&f, "test", true), 0);
	assert_int_equal(fcntl(f.fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	mpr_file_close(&f);
	assert_int_equal(mpr_file_anonymous(&f, "test", false), 0);
	assert_int_equal(fcntl(f.fd, F_ADD_SEALS, F_SEAL_SHRINK), -1);
	mpr_file_close(&f);
}

static void
a_closed_file_is_noticed_and_not_closed_again(void **state)
{
	struct mpr_file f;

	(void)state;
	assert_int_equal(mpr_file_anonymous(&f, "test", false), 0);
	close(f.fd);
	assert_false(mpr_file_is_open(&f));
	mpr_file_close(&f);
}

static void
only_a_file_without_a_name_is_adopted(void **state)
{
	char name[64], path[128];
	struct mpr_file f, other;
	uint64_t size;
	int fd;

	assert_int_equal(mpr_file_anonymous(&f, "test", true), 0);
	assert_int_equal(ftruncate(f.fd, 123), 0);
	assert_true(mpr_file_is_private(f.fd));
	assert_int_equal(mpr_file_adopt(&other, f.fd, &size), 0);
	assert_int_equal(size, 123);
	assert_true(mpr_file_is_open(&other));
	mpr_file_close(&f);
	assert_false(mpr_file_is_private(f.fd));
	assert_int_equal(mpr_file_adopt(&other, f.fd, &size), -EBADF);

	snprintf(path, sizeof(path), "/dev/shm%s",
		 mpt_name(*state, name, "named"));
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_false(mpr_file_is_private(fd));
	assert_int_equal(mpr_file_adopt(&other, fd, &size), -EPERM);
	assert_int_equal(unlink(path), 0);
	close(fd);
}

static void
a_stranger_with_our_number_is_left_alone(void **state)
{
	struct mpr_file f, stranger;

	(void)state;
	assert_int_equal(mpr_file_anonymous(&f, "test", false), 0);
	close(f.fd);
	assert_int_equal(mpr_file_anonymous(&stranger, "test", false), 0);
	assert_int_equal(stranger.fd, f.fd);
	assert_false(mpr_file_is_open(&f));
	mpr_file_close(&f);
	assert_true(mpr_file_is_open(&stranger));
	mpr_file_close(&stranger);
}

static int
open_without_descriptors(struct mpt *t, void *arg)
{
	struct rlimit none = { 0, 0 };
	struct mpr_file f;

	(void)arg;
	mpt_check_int(t, setrlimit(RLIMIT_NOFILE, &none), 0);
	mpt_check_int(t, mpr_file_anonymous(&f, "test", false), -EMFILE);
	return 0;
}

static void
no_descriptor_is_an_error(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "child", open_without_descriptors,
				     NULL), 0);
}

/* What /proc calls the file. */
static bool
is_called(const struct mpr_file *f, const char *start)
{
	char link[32], target[128];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", f->fd);
	n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	return strncmp(target, start, strlen(start)) == 0 &&
	       strstr(target, "(deleted)");
}

static void
a_memfd_that_is_refused_becomes_an_unnamed_file(void **state)
{
	static const char *const specs[] = {
		"memfd:1+=ENOSYS", "memfd:1+=EPERM", "memfd:1+=EACCES",
		"memfd:1+=EINVAL", "memfd:1+=ENOSYS,tmpfile:1=EINTR",
	};
	struct mpr_file f;

	(void)state;
	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		assert_int_equal(mpr_fault_set(specs[i]), 0);
		assert_int_equal(mpr_file_anonymous(&f, "test", true), 0);
		mpr_fault_set(NULL);
		assert_string_equal(f.directory, "/dev/shm");
		assert_true(is_called(&f, "/dev/shm/"));
		assert_true(mpr_file_is_open(&f));
		assert_int_equal(fcntl(f.fd, F_GETFD), FD_CLOEXEC);
		assert_int_equal(fcntl(f.fd, F_ADD_SEALS, F_SEAL_SHRINK), -1);
		/* Nobody can give it a name. */
		assert_int_equal(linkat(f.fd, "", AT_FDCWD, "/dev/shm/mpt-name",
					AT_EMPTY_PATH), -1);
		mpr_file_close(&f);
	}
}

static int
expect_byte(struct mpt *t, void *arg)
{
	mpt_check_int(t, mpr_bytelock_query(arg, 5), 1);
	mpt_check_int(t, mpr_bytelock_query(arg, 6), 0);
	mpt_check_int(t, mpr_bytelock_take(arg, 5), -EAGAIN);
	mpt_check_int(t, mpr_bytelock_take(arg, 6), 0);
	return 0;
}

static void
bytes_of_an_unnamed_file_can_be_locked(void **state)
{
	struct mpt *t = *state;
	struct mpr_file f;

	mpr_fault_set("memfd:1+");
	assert_int_equal(mpr_file_anonymous(&f, "test", false), 0);
	mpr_fault_set(NULL);
	assert_int_equal(mpr_bytelock_take(&f, 5), 0);
	mpt_expect_exit(t, mpt_spawn(t, "other", expect_byte, &f), 0);
	/* Its lock went with it. */
	assert_int_equal(mpr_bytelock_query(&f, 6), 0);
	mpr_file_close(&f);
}

static int
go_through_the_directories(struct mpt *t, void *arg)
{
	static const char *const paths[] = { "/dev/shm", "/tmp", "/var/tmp" };
	struct mpr_file f;
	char start[16];

	(void)arg;
	mpt_mount_private(t);
	mpr_fault_set("memfd:1+=EPERM");
	for (int i = 0; i < 3; i++) {
		mpt_mount_tmpfs(t, paths[i], NULL);
		mpt_check_int(t, mpr_file_anonymous(&f, "test", true), 0);
		mpt_check(t, strcmp(f.directory, paths[i]) == 0);
		snprintf(start, sizeof(start), "%s/", paths[i]);
		mpt_check(t, is_called(&f, start));
		mpr_file_close(&f);
		mpt_mount_read_only(t, paths[i]);
	}
	mpt_check_int(t, mpr_file_anonymous(&f, "test", true), -ENOSYS);
	/* The text names all that was tried, and what became of it. */
	mpt_check(t, strstr(mproc_error_detail(), "memfd_create: Operation"));
	for (int i = 0; i < 3; i++) {
		snprintf(start, sizeof(start), "; %s: Read", paths[i]);
		mpt_check(t, strstr(mproc_error_detail(), start));
	}
	return 0;
}

static void
each_directory_is_tried_in_its_turn(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", go_through_the_directories,
				     NULL), 0);
}

static void
a_lack_is_told_and_not_passed_by(void **state)
{
	static const struct {
		const char *name;
		int error;
	} lacks[] = {
		{ "EMFILE", -EMFILE }, { "ENFILE", -ENFILE },
		{ "ENOMEM", -ENOMEM }, { "ENOSPC", -ENOSPC },
	};
	unsigned fds = mpt_fd_count();
	struct mpr_file f;
	char spec[48];

	(void)state;
	for (size_t i = 0; i < sizeof(lacks) / sizeof(lacks[0]); i++) {
		snprintf(spec, sizeof(spec), "memfd:1=%s", lacks[i].name);
		mpr_fault_set(spec);
		assert_int_equal(mpr_file_anonymous(&f, "test", true),
				 lacks[i].error);
		assert_int_equal(mpr_fault_hits(MPR_FAULT_TMPFILE), 0);
		assert_non_null(strstr(mproc_error_detail(),
				       "memfd_create: E"));

		snprintf(spec, sizeof(spec), "memfd:1+,tmpfile:1=%s",
			 lacks[i].name);
		mpr_fault_set(spec);
		assert_int_equal(mpr_file_anonymous(&f, "test", true),
				 lacks[i].error);
		assert_int_equal(mpr_fault_hits(MPR_FAULT_TMPFILE), 1);
		assert_non_null(strstr(mproc_error_detail(), "/dev/shm: E"));
	}
	mpr_fault_set("fstat:1");
	assert_int_equal(mpr_file_anonymous(&f, "test", true), -ENOMEM);
	mpr_fault_set(NULL);
	assert_int_equal(mpt_fd_count(), fds);
}

static int
open_without_stdio(struct mpt *t, void *arg)
{
	struct rlimit three = { 3, 3 };
	struct mpr_file f, g;

	(void)arg;
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	mpt_check_int(t, mpr_file_anonymous(&f, "test", false), 0);
	mpr_fault_set("memfd:1+");
	mpt_check_int(t, mpr_file_anonymous(&g, "test", false), 0);
	mpt_check(t, f.fd > 2 && g.fd > 2);
	mpt_check(t, mpr_file_is_open(&f) && mpr_file_is_open(&g));
	mpt_check_int(t, fcntl(f.fd, F_GETFD), FD_CLOEXEC);
	/* What goes to standard output does not go into them. */
	mpt_check_int(t, write(1, "x", 1), -1);
	mpt_check_int(t, setrlimit(RLIMIT_NOFILE, &three), 0);
	mpt_check_int(t, mpr_file_anonymous(&f, "test", false), -EMFILE);
	mpt_check_int(t, fcntl(0, F_GETFD), -1);
	return 0;
}

static void
a_file_never_takes_the_place_of_standard_output(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", open_without_stdio, NULL), 0);
}

static int
look_at_the_space(struct mpt *t, void *arg)
{
	uint64_t left, total;
	struct mpr_file f;
	char some[8192] = { 1 };

	(void)arg;
	mpt_mount_private(t);
	mpt_mount_tmpfs(t, "/dev/shm", "size=8m");
	mpt_check_int(t, mpr_file_anonymous(&f, "test", false), 0);
	mpt_check(t, !mpr_file_space(&f, &left, &total));
	mpr_fault_set("memfd:1+");
	mpt_check_int(t, mpr_file_anonymous(&f, "test", false), 0);
	mpt_check(t, mpr_file_space(&f, &left, &total));
	mpt_check_int(t, total, 8 << 20);
	mpt_check_int(t, left, total);
	mpt_check_int(t, write(f.fd, some, sizeof(some)), sizeof(some));
	mpt_check(t, mpr_file_space(&f, &left, &total));
	mpt_check_int(t, left, total - sizeof(some));
	close(f.fd);
	mpt_check(t, !mpr_file_space(&f, &left, &total));
	/* No limit at all. */
	mpt_mount_tmpfs(t, "/dev/shm", "size=0");
	mpt_check_int(t, mpr_file_anonymous(&f, "test", false), 0);
	mpt_check(t, !mpr_file_space(&f, &left, &total));
	return 0;
}

static void
the_space_is_that_of_the_file_system(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", look_at_the_space, NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_new_file_is_open_and_closed_at_exec),
		mpt_test(only_a_sealable_file_takes_seals),
		mpt_test(a_closed_file_is_noticed_and_not_closed_again),
		mpt_test(only_a_file_without_a_name_is_adopted),
		mpt_test(a_stranger_with_our_number_is_left_alone),
		mpt_test(no_descriptor_is_an_error),
		mpt_test(a_memfd_that_is_refused_becomes_an_unnamed_file),
		mpt_test(bytes_of_an_unnamed_file_can_be_locked),
		mpt_test(each_directory_is_tried_in_its_turn),
		mpt_test(a_lack_is_told_and_not_passed_by),
		mpt_test(a_file_never_takes_the_place_of_standard_output),
		mpt_test(the_space_is_that_of_the_file_system),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
