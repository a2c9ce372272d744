/* SPDX-License-Identifier: MIT */
/*
 * A descriptor that the program may close behind our back.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#include "common.h"
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_new_file_is_open_and_closed_at_exec),
		mpt_test(only_a_sealable_file_takes_seals),
		mpt_test(a_closed_file_is_noticed_and_not_closed_again),
		mpt_test(a_stranger_with_our_number_is_left_alone),
		mpt_test(no_descriptor_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
