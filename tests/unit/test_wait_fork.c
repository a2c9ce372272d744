/* SPDX-License-Identifier: MIT */
/*
 * Waiting for many things and forks. Waitsets in a child that another thread has forked
 * while one was being changed: it can be closed there. A copy of one that waits, forked by
 * a signal handler: the wait is its parent's.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <mproc/mproc.h>

#include "common.h"
#include "ipc/attachment.h"

#define MANY 40 /* it grows */

void __real_free(void *p);
void __wrap_free(void *p);
int __real_mpr_park(struct mpr_self *self, const void *object, uint32_t ticket,
		    int64_t deadline);
int __wrap_mpr_park(struct mpr_self *self, const void *object, uint32_t ticket,
		    int64_t deadline);

static mproc_waitset *forked;
static unsigned children, failed;

/* As if another thread had forked just after that. What is freed is another one's. */
void
__wrap_free(void *p)
{
	mproc_waitset *w = forked;
	int status;
	pid_t pid;

	if (!w || !p) {
		__real_free(p);
		return;
	}
	forked = NULL;
	memset(p, 0x5a, 8 * sizeof(void *));
	__real_free(p);
	pid = fork();
	if (pid == 0) {
		mproc_waitset_close(w);
		_exit(0);
	}
	children++;
	failed += waitpid(pid, &status, 0) != pid || status != 0;
	forked = w;
}

static void
a_child_closes_one_that_was_growing(void **state)
{
	mproc_waitset *w;
	int ends[2], fds[MANY];

	(void)state;
	assert_int_equal(mproc_waitset_create(&w), 0);
	for (int i = 0; i < MANY; i++) {
		struct mproc_waitable item = { .kind = MPROC_WAIT_FD,
					       .events = POLLIN };

		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		close(ends[1]);
		item.fd = fds[i] = ends[0];
		forked = w;
		assert_int_equal(mproc_waitset_add(w, &item), 0);
		forked = NULL;
	}
	assert_true(children > 0);
	assert_int_equal(failed, 0);
	mproc_waitset_close(w);
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
}

static mproc_queue *awaited;
static bool forks, is_copy;
static int copys_status = -1;
static bool seat_is_ours;

/* As if a signal handler had forked in the sleep, and joined the arena in the copy. */
int
__wrap_mpr_park(struct mpr_self *self, const void *object, uint32_t ticket,
		int64_t deadline)
{
	uint64_t seat;
	pid_t pid;

	if (!forks)
		return __real_mpr_park(self, object, ticket, deadline);
	forks = false;
	seat = *mpr_attachment_present(awaited)->seat;
	pid = fork();
	if (pid == 0) {
		is_copy = true;
		if (mpr_self(the_arena(), &self) < 0)
			_exit(1);
		return 0;
	}
	waitpid(pid, &copys_status, 0);
	seat_is_ours = *mpr_attachment_present(awaited)->seat == seat;
	return 0;
}

static void
a_copy_that_has_joined_leaves_the_seat_to_its_parent(void **state)
{
	struct mproc_waitable item = { .kind = MPROC_WAIT_QUEUE };
	int r;

	(void)state;
	assert_int_equal(mproc_queue_create(&awaited, NULL), 0);
	item.object = awaited;
	forks = true;
	r = mproc_wait(&item, 1, mproc_ms(10));
	if (is_copy)
		_exit(r == -ETIMEDOUT ? 0 : 2);
	assert_int_equal(r, -ETIMEDOUT);
	assert_int_equal(copys_status, 0);
	assert_true(seat_is_ours);
	mproc_queue_destroy(awaited);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_child_closes_one_that_was_growing),
		mpt_test(a_copy_that_has_joined_leaves_the_seat_to_its_parent),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
