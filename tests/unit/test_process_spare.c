/* SPDX-License-Identifier: MIT */
/*
 * process/spare.h, with a child of the test in the place of the spare: when another one
 * is wanted, whose words count, and that nothing is left of one that has ended.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/core.h>

#include "common.h"
#include "os/courier.h"
#include "process/server.h"
#include "process/spare.h"

#define SECOND INT64_C(1000000000)

static struct mpr_plans *plans;
static struct mpr_spare spare;

static int
setup(void **state)
{
	int r = mpt_setup(state);

	spare = (struct mpr_spare){ .orders.fd = -1, .theirs.fd = -1 };
	return r < 0 || mpr_plans_new(&plans) < 0 ||
			       mpr_plan_reserve(&spare.plan, plans) < 0 ||
			       mpr_spare_connect(&spare) < 0 ?
		       -1 : 0;
}

static int
teardown(void **state)
{
	mpr_spare_forget(&spare);
	mpr_plan_free(&spare.plan);
	mpr_plans_drop(plans);
	return mpt_teardown(state);
}

#define spare_test(f) { #f, f, setup, teardown, (void *)(uintptr_t)#f }

/* Sent along in its place. */
static int
any_descriptor(void)
{
	return spare.orders.fd;
}

static void
say_ready(int32_t number, pid_t pid)
{
	struct mpr_server_ready ready = { .spare = number, .pid = pid };
	int fd = any_descriptor();

	assert_int_equal(mpr_courier_send(spare.theirs.fd, &ready,
					  sizeof(ready), &fd, 1), 0);
}

static pid_t
fork_one_that_stays(void)
{
	pid_t pid = fork();

	while (pid == 0)
		pause();
	assert_true(pid > 0);
	return pid;
}

static void
the_second_of_two_starts_wants_one(void **state)
{
	(void)state;
	assert_false(mpr_spare_is_wanted(&spare));
	/* However long this test takes. */
	spare.last = mproc_now() + 100 * SECOND;
	assert_true(mpr_spare_is_wanted(&spare));
	spare.last = mproc_now() + 100 * SECOND;
	assert_false(mpr_spare_is_wanted(&spare));
	assert_false(mpr_spare_take(&spare));
	mpr_spare_leave(&spare, MPR_SPARE_ASKED);
	assert_false(mpr_spare_is_wanted(&spare));
	assert_true(mpr_spare_take(&spare));
	assert_false(mpr_spare_take(&spare));
	mpr_spare_leave(&spare, MPR_SPARE_NONE);
	spare.last = mproc_now() - SECOND;
	assert_false(mpr_spare_is_wanted(&spare));
	assert_int_equal(spare.state, MPR_SPARE_NONE);
}

/* Those of spares that have died, or that came late, are not for the present one. */
static void
it_is_met_by_its_own_word(void **state)
{
	unsigned fds = mpt_fd_count();
	struct mpr_child c = { .fd = -1 };

	(void)state;
	spare.number = 3;
	assert_int_equal(mpr_spare_meet(&spare, &c, 0), -EAGAIN);
	say_ready(1, 101);
	say_ready(2, 102);
	assert_int_equal(mpr_spare_meet(&spare, &c, 0), -EAGAIN);
	assert_int_equal(c.pid, 0);
	say_ready(2, 103);
	say_ready(3, 104);
	assert_int_equal(mpr_spare_meet(&spare, &c, 0), 0);
	assert_int_equal(c.pid, 104);
	assert_int_equal(mpt_fd_count(), fds + 1);
	/* Once is enough. */
	assert_int_equal(mpr_spare_meet(&spare, &c, 105), 0);
	assert_int_equal(c.pid, 104);
	mpr_child_close(&c);
	assert_int_equal(mpt_fd_count(), fds);
}

static void
without_a_word_it_is_met_by_its_id(void **state)
{
	pid_t pid = fork_one_that_stays();
	struct mpr_child c = { .fd = -1 };

	(void)state;
	assert_int_equal(mpr_spare_meet(&spare, &c, pid), 0);
	assert_int_equal(c.pid, pid);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	mpr_child_close(&c);
}

/* Returns the reading end of a pipe whose other one is in an order. */
static int
order_with_a_pipe(void)
{
	struct mpr_server_request order = { .ask = MPR_SERVER_FORK };
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(mpr_courier_send(spare.orders.fd, &order,
					  sizeof(order), &ends[1], 1), 0);
	close(ends[1]);
	return ends[0];
}

static bool
is_at_its_end(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 1 && pfd.revents & POLLHUP;
}

/* Whether it was there, or could not be made. */
static void
nothing_is_left_of_one_that_is_ended(void **state)
{
	unsigned fds = mpt_fd_count();
	struct mpr_child c = { .fd = -1 };
	int end;

	(void)state;
	for (int is_there = 0; is_there < 2; is_there++) {
		if (!spare.plan.shmem.base)
			assert_int_equal(mpr_plan_reserve(&spare.plan, plans),
					 0);
		if (is_there)
			atomic_store(&spare.plan.record->pid,
				     (uint32_t)fork_one_that_stays());
		spare.state = MPR_SPARE_BUSY;
		end = order_with_a_pipe();
		assert_false(is_at_its_end(end));
		mpr_spare_end(&spare, &spare.plan, &c, MPR_SPARE_NONE);
		assert_true(is_at_its_end(end));
		close(end);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
		assert_null(spare.plan.shmem.base);
		assert_int_equal(spare.state, MPR_SPARE_NONE);
		assert_int_equal(mpt_fd_count(), fds);
	}
}

/* One that a signal handler has forked in the middle takes nothing from its parent, and
 * from the spare. */
static void
a_copy_receives_nothing(void **state)
{
	struct mpr_child c = { .fd = -1 };
	int end = order_with_a_pipe(), status;
	pid_t pid;

	(void)state;
	say_ready(0, 104);
	pid = _Fork();
	if (pid == 0) {
		bool met = mpr_spare_meet(&spare, &c, 0) == 0;

		mpr_spare_end(&spare, &spare.plan, &c, MPR_SPARE_NONE);
		_exit(met || is_at_its_end(end));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(mpr_spare_meet(&spare, &c, 0), 0);
	mpr_child_close(&c);
	assert_false(is_at_its_end(end));
	mpr_spare_end(&spare, &spare.plan, &c, MPR_SPARE_NONE);
	assert_true(is_at_its_end(end));
	close(end);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		spare_test(the_second_of_two_starts_wants_one),
		spare_test(it_is_met_by_its_own_word),
		spare_test(without_a_word_it_is_met_by_its_id),
		spare_test(nothing_is_left_of_one_that_is_ended),
		spare_test(a_copy_receives_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
