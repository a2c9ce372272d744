/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of queues that cannot be had: who asks is told why, nothing is
 * left, and the next call gets one. tests/unit/test_faults.c lets every other
 * call fail.
 */
#include <errno.h>

#include <mproc/mproc.h>

#include "base/fault.h"
#include "common.h"

static mproc_queue *q;

static void
begin(struct mpt *t)
{
	(void)t;
	assert_int_equal(mproc_queue_create(&q, NULL), 0);
	/* This thread is attached already: what fails is somebody else's. */
	assert_int_equal(mproc_queue_put(q, "x", 1, MPROC_NOWAIT), 0);
}

static void
end(struct mpt *t)
{
	mproc_queue_destroy(q);
	mpt_until(t, mpr_participants_count(the_arena()) == 1);
}

static void
fails_once(struct mpt *t, const char *spec, int error, const char *text)
{
	unsigned fds = mpt_fd_count();

	begin(t);
	assert_int_equal(mpr_fault_set(spec), 0);
	assert_int_equal(mproc_queue_fd(q), error);
	mpr_fault_set(NULL);
	assert_non_null(strstr(mproc_error_detail(), text));
	assert_int_equal(mpt_fd_count(), fds);
	/* No watcher either. */
	mpt_until(t, mpr_participants_count(the_arena()) == 1);
	assert_true(mproc_queue_fd(q) > 2);
	end(t);
}

static void
without_eventfds_there_is_none(void **state)
{
	fails_once(*state, "eventfd:1=ENOSYS", -ENOSYS, "eventfd");
	fails_once(*state, "eventfd:1=EPERM", -EPERM, "eventfd");
	fails_once(*state, "eventfd:1", -EMFILE, "EMFILE");
}

static void
without_a_thread_there_is_none(void **state)
{
	fails_once(*state, "thread:1", -EAGAIN, "thread");
}

/* The watcher tells whoever asked. */
static void
without_a_place_in_the_arena_there_is_none(void **state)
{
	fails_once(*state, "lock:1", -ENOLCK, "watching");
	fails_once(*state, "key:1=ENOMEM", -ENOMEM, "watching");
}

static void
without_an_attachment_there_is_none(void **state)
{
	/* The first is the entry of who asks, if it is not there yet. */
	begin(*state);
	assert_true(mproc_queue_fd(q) > 2);
	end(*state);
	fails_once(*state, "malloc:1", -ENOMEM, "watching");
}

/* One that was closed behind our back is not replaced, and tried again. */
static void
what_fails_to_be_replaced_can_be_replaced_later(void **state)
{
	int fd;

	begin(*state);
	fd = mproc_queue_fd(q);
	assert_true(fd > 2);
	close(fd);
	mpr_fault_set("eventfd:1");
	assert_int_equal(mproc_queue_fd(q), -EMFILE);
	mpr_fault_set(NULL);
	assert_true(mproc_queue_fd(q) > 2);
	end(*state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(without_eventfds_there_is_none),
		mpt_test(without_a_thread_there_is_none),
		mpt_test(without_a_place_in_the_arena_there_is_none),
		mpt_test(without_an_attachment_there_is_none),
		mpt_test(what_fails_to_be_replaced_can_be_replaced_later),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
