/* SPDX-License-Identifier: MIT */
/*
 * A locked byte says that a process lives: it must go with the process, with
 * its exec, and with nothing else.
 */
#include <errno.h>
#include <fcntl.h>

#include "common.h"
#include "os/bytelock.h"

static struct mpr_file file;

static int
open_file(void **state)
{
	if (mpt_setup(state) < 0)
		return -1;
	return mpr_file_anonymous(&file, "locks", false);
}

static int
close_file(void **state)
{
	mpr_file_close(&file);
	return mpt_teardown(state);
}

#define lock_test(f) { #f, f, open_file, close_file, (void *)(uintptr_t)#f }

static int
take_and_wait(struct mpt *t, void *arg)
{
	mpt_check_int(t, mpr_bytelock_take(&file, (intptr_t)arg), 0);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
a_byte_belongs_to_one_process(void **state)
{
	struct mpt *t = *state;
	int id = mpt_spawn(t, "owner", take_and_wait, (void *)5);

	mpt_reach(t, 1);
	assert_int_equal(mpr_bytelock_query(&file, 5), 1);
	assert_int_equal(mpr_bytelock_take(&file, 5), -EAGAIN);
	/* Its neighbours are free. */
	assert_int_equal(mpr_bytelock_query(&file, 4), 0);
	assert_int_equal(mpr_bytelock_query(&file, 6), 0);
	assert_int_equal(mpr_bytelock_take(&file, 4), 0);
	assert_int_equal(mpr_bytelock_take(&file, 6), 0);
	mpt_kill(t, id);
}

static void
a_killed_owner_loses_it_before_it_is_reaped(void **state)
{
	struct mpt *t = *state;
	int id = mpt_spawn(t, "owner", take_and_wait, (void *)5);

	mpt_reach(t, 1);
	mpt_kill_unreaped(t, id);
	assert_int_equal(mpr_bytelock_query(&file, 5), 0);
	assert_int_equal(mpr_bytelock_take(&file, 5), 0);
}

static void
a_stopped_owner_keeps_it(void **state)
{
	struct mpt *t = *state;
	int id = mpt_spawn(t, "owner", take_and_wait, (void *)5);

	mpt_reach(t, 1);
	mpt_pause(t, id);
	assert_int_equal(mpr_bytelock_query(&file, 5), 1);
	assert_int_equal(mpr_bytelock_take(&file, 5), -EAGAIN);
	mpt_resume(t, id);
}

static int
look_from_outside(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_check_int(t, mpr_bytelock_query(&file, 3), 1);
	mpt_check_int(t, mpr_bytelock_take(&file, 3), -EAGAIN);
	/* Not ours to drop. */
	mpr_bytelock_drop(&file, 3);
	mpt_check_int(t, mpr_bytelock_query(&file, 3), 1);
	/* Our copy of the descriptor is not the owner's. */
	close(file.fd);
	return 0;
}

static void
a_forked_child_does_not_inherit_it(void **state)
{
	struct mpt *t = *state;

	assert_int_equal(mpr_bytelock_take(&file, 3), 0);
	mpt_expect_exit(t, mpt_spawn(t, "child", look_from_outside, NULL), 0);
	/* The child closed the file, and we still have the lock. */
	mpt_expect_exit(t, mpt_spawn(t, "child", look_from_outside, NULL), 0);
}

static void
own_locks_do_not_show_in_a_query(void **state)
{
	(void)state;
	assert_int_equal(mpr_bytelock_take(&file, 3), 0);
	assert_int_equal(mpr_bytelock_query(&file, 3), 0);
	assert_int_equal(mpr_bytelock_take(&file, 3), 0);
}

static int
expect_free(struct mpt *t, void *arg)
{
	mpt_check_int(t, mpr_bytelock_query(&file, (intptr_t)arg), 0);
	mpt_check_int(t, mpr_bytelock_take(&file, (intptr_t)arg), 0);
	return 0;
}

static void
a_dropped_byte_is_free(void **state)
{
	struct mpt *t = *state;

	assert_int_equal(mpr_bytelock_take(&file, 3), 0);
	mpr_bytelock_drop(&file, 3);
	mpt_expect_exit(t, mpt_spawn(t, "other", expect_free, (void *)3), 0);
}

static int
take_and_exec(struct mpt *t, void *arg)
{
	int *pipe_fds = arg;

	mpt_check_int(t, mpr_bytelock_take(&file, 5), 0);
	mpt_step(t, 0);
	mpt_reach(t, 2);
	dup2(pipe_fds[0], STDIN_FILENO);
	close(pipe_fds[1]);
	execl("/bin/cat", "cat", (char *)NULL);
	return 1;
}

static void
an_exec_gives_it_up_though_the_process_lives(void **state)
{
	struct mpt *t = *state;
	int fds[2], id;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	id = mpt_spawn(t, "owner", take_and_exec, fds);
	mpt_reach(t, 1);
	assert_int_equal(mpr_bytelock_query(&file, 5), 1);
	mpt_step(t, 1);
	mpt_until(t, mpr_bytelock_query(&file, 5) == 0);
	assert_int_not_equal(mpt_task_state(mpt_pid(t, id)), 'Z');
	close(fds[0]);
	close(fds[1]);
	mpt_expect_exit(t, id, 0);
}

static void
a_closed_or_replaced_descriptor_is_noticed(void **state)
{
	int fd = file.fd;

	(void)state;
	assert_int_equal(close(fd), 0);
	assert_int_equal(mpr_bytelock_take(&file, 1), -EBADF);
	assert_int_equal(mpr_bytelock_query(&file, 1), -EBADF);
	/* Somebody else's file in its place. */
	assert_int_equal(open("/dev/null", O_RDWR | O_CLOEXEC), fd);
	assert_int_equal(mpr_bytelock_take(&file, 1), -EBADF);
	assert_int_equal(mpr_bytelock_query(&file, 1), -EBADF);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		lock_test(a_byte_belongs_to_one_process),
		lock_test(a_killed_owner_loses_it_before_it_is_reaped),
		lock_test(a_stopped_owner_keeps_it),
		lock_test(a_forked_child_does_not_inherit_it),
		lock_test(own_locks_do_not_show_in_a_query),
		lock_test(a_dropped_byte_is_free),
		lock_test(an_exec_gives_it_up_though_the_process_lives),
		lock_test(a_closed_or_replaced_descriptor_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
