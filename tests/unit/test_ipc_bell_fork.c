/* SPDX-License-Identifier: MIT */
/*
 * Bells in forked children: none of the parent's is there, nor its descriptor, and
 * the child makes its own, with a watcher of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include <mproc/mproc.h>

#include "common.h"
#include "ipc/bell.h"
#include "ipc/queue_fd.h"

static struct mpr_bell *bell;
static mproc_queue *q;
static int parents_fd;

static bool
rings(struct mpr_bell *b)
{
	struct pollfd pfd = { .fd = mpr_bell_fd(b), .events = POLLIN };

	return poll(&pfd, 1, 20000) == 1 && pfd.revents == POLLIN;
}

static int
child(struct mpt *t, void *arg)
{
	struct mpr_watched *e = NULL;
	int error;

	(void)arg;
	mpr_queue_fd_forget();
	mpt_check(t, fcntl(parents_fd, F_GETFD) < 0 && errno == EBADF);
	/* It may be in the middle of a call that uses the parent's. */
	mpt_check(t, !mpr_bell_next(bell, &error));
	mpr_bell_close(bell);
	mpt_check(t, mpr_bell_open(&bell) == 0);
	mpt_check(t, mpr_bell_watch_queue(bell, q, &q, &e) == 0);
	mpt_check(t, mproc_queue_put(q, "x", 1, MPROC_NOWAIT) == 0);
	mpt_check(t, rings(bell));
	mpt_check(t, mpr_bell_next(bell, &error) == e && error == 0);
	mpt_check(t, mpr_bell_cookie(e) == &q);
	mpr_bell_unwatch(e);
	mpr_bell_close(bell);
	return 0;
}

static void
a_forked_child_has_none_and_makes_its_own(void **state)
{
	struct mpr_watched *e = NULL;
	struct mpt *t = *state;
	int error = 1;

	assert_int_equal(mproc_queue_create(&q, NULL), 0);
	assert_int_equal(mpr_bell_open(&bell), 0);
	assert_int_equal(mpr_bell_watch_queue(bell, q, NULL, &e), 0);
	parents_fd = mpr_bell_fd(bell);
	mpt_fork(t, "child", child, NULL);
	mpt_join_all(t);
	/* The child's message has not been taken. */
	assert_true(rings(bell));
	assert_ptr_equal(mpr_bell_next(bell, &error), e);
	assert_int_equal(error, 0);
	mpr_bell_unwatch(e);
	mpr_bell_close(bell);
	mproc_arena_recover(NULL);
	mpt_until(t, !mpr_queue_fd_threads() &&
		     mpr_participants_count(the_arena()) == 1);
	mproc_queue_destroy(q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_forked_child_has_none_and_makes_its_own),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
