/* SPDX-License-Identifier: MIT */
/*
 * Sets of things to wait for when something fails: the call says so, nothing is left
 * in the set, and the next call succeeds.
 */
#include <errno.h>
#include <stdio.h>

#include <mproc/mproc.h>

#include "base/fault.h"
#include "common.h"
#include "ipc/queue_fd.h"

/* So many items have the set grow. */
#define ITEMS 40

static void
without_a_descriptor_or_memory_there_is_no_set(void **state)
{
	static const struct {
		const char *spec;
		int error;
	} cases[] = {
		{ "epoll:1", -EMFILE },
		{ "epoll:1=ENOMEM", -ENOMEM },
		{ "malloc:1", -ENOMEM },
	};
	mproc_waitset *w;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(mpr_fault_set(cases[i].spec), 0);
		assert_int_equal(mproc_waitset_create(&w), cases[i].error);
		mpr_fault_set(NULL);
		assert_null(w);
	}
}

/* Adds @item while @point fails at each time that it is reached; without it. */
static unsigned
add_in_spite_of(mproc_waitset *w, const struct mproc_waitable *item,
		const char *point)
{
	char spec[64];
	unsigned n = 1;
	int r;

	for (;; n++) {
		snprintf(spec, sizeof(spec), "%s:%u", point, n);
		assert_int_equal(mpr_fault_set(spec), 0);
		r = mproc_waitset_add(w, item);
		/* What the watcher meets with is told by a wait. */
		if (r == 0)
			break;
		mpr_fault_set(NULL);
		assert_true(r == -ENOMEM || r == -EMFILE || r == -EAGAIN);
		assert_int_equal(mproc_waitset_remove(w, item), -ENOENT);
	}
	mpr_fault_set(NULL);
	return n;
}

static void
what_cannot_be_added_is_not_there(void **state)
{
	static const char *const points[] = { "malloc", "eventfd", "thread" };
	mproc_queue *q[ITEMS];
	struct mproc_waitable item, got;
	mproc_waitset *w;

	for (unsigned k = 0; k < 3; k++) {
		unsigned failed = 0;

		assert_int_equal(mproc_waitset_create(&w), 0);
		for (unsigned i = 0; i < ITEMS; i++) {
			assert_int_equal(mproc_queue_create(&q[i], NULL), 0);
			item = (struct mproc_waitable){
				.kind = MPROC_WAIT_QUEUE,
				.object = q[i],
			};
			failed += add_in_spite_of(w, &item, points[k]) - 1;
		}
		assert_true(failed >= 1);
		assert_int_equal(mproc_queue_put(q[7], "x", 1, MPROC_NOWAIT),
				 0);
		/* The watcher may have been the one without memory. */
		while (mproc_waitset_wait(w, &got, 1, mproc_sec(15)) < 0)
			;
		assert_ptr_equal(got.object, q[7]);
		mproc_waitset_close(w);
		for (unsigned i = 0; i < ITEMS; i++)
			mproc_queue_destroy(q[i]);
		mpt_until(*state, !mpr_queue_fd_threads() &&
				  mpr_participants_count(the_arena()) == 1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(without_a_descriptor_or_memory_there_is_no_set),
		mpt_test(what_cannot_be_added_is_not_there),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
