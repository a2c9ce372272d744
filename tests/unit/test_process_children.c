/* SPDX-License-Identifier: MIT */
/*
 * Who is left to be waited for when a process ends.
 */
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include <mproc/mproc.h>

#include "common.h"
#include "process/children.h"
#include "process/handle.h"

static int
return_at_once(void *arg)
{
	(void)arg;
	return 0;
}

/* One that was seen to have ended; but nobody has waited for it. */
static mproc_process *
seen_to_end(bool daemon)
{
	mproc_process *p;

	assert_int_equal(mproc_process_start(&p, return_at_once, NULL,
					     MPROC_OPTS(mproc_process_opts,
							.daemon = daemon)), 0);
	while (mproc_children(NULL, 0) > 0)
		sched_yield();
	assert_true(p->ended);
	assert_false(mpr_process_is_done(p));
	return p;
}

static void
expect_left(const mproc_process *daemon, const mproc_process *other)
{
	assert_ptr_equal(mpr_children_left(MPR_CHILDREN_DAEMONS), daemon);
	assert_ptr_equal(mpr_children_left(MPR_CHILDREN_OTHERS), other);
}

static void
one_that_has_ended_is_left_until_that_is_seen_to(void **state)
{
	mproc_process *daemon = seen_to_end(true), *other = seen_to_end(false);

	(void)state;
	expect_left(daemon, other);
	assert_int_equal(mpr_process_wait(daemon, 0, false), 0);
	expect_left(NULL, other);
	assert_int_equal(mpr_process_wait(other, 0, false), 0);
	expect_left(NULL, NULL);
	mproc_process_close(daemon);
	mproc_process_close(other);
}

static int
say_it_when_told(void *arg)
{
	_Atomic bool *go = arg;

	while (!*go)
		sched_yield();
	return write(2, "x\n", 2) != 2;
}

static void *
reap(void *unused)
{
	mpr_children_reap();
	return unused;
}

static bool
was_seen_to_end(const mproc_process *p)
{
	bool ended;

	mpr_process_lock();
	ended = p->ended;
	mpr_process_unlock();
	return ended;
}

static void
one_that_was_closed_is_left_until_its_lines_are_passed_on(void **state)
{
	_Atomic bool *go = mproc_alloc(sizeof(*go));
	mproc_process *p;
	pthread_t reaper;

	(void)state;
	assert_non_null(go);
	*go = false;
	assert_int_equal(mproc_process_start(&p, say_it_when_told, go,
					     MPROC_OPTS(mproc_process_opts,
			.stderr_ = { MPROC_STDIO_LINES, 0 })), 0);
	mproc_process_close(p);
	/* The lines come no further, and so nor does who reaps it. */
	flockfile(stderr);
	*go = true;
	while (!mpr_child_is_gone(&p->child))
		sched_yield();
	assert_int_equal(pthread_create(&reaper, NULL, reap, NULL), 0);
	while (!was_seen_to_end(p))
		sched_yield();
	expect_left(NULL, p);
	/* Others leave it to that one. */
	mpr_children_reap();
	expect_left(NULL, p);
	funlockfile(stderr);
	pthread_join(reaper, NULL);
	expect_left(NULL, NULL);
	assert_false(mpr_children_exist());
	mproc_free(go);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(one_that_has_ended_is_left_until_that_is_seen_to),
		mpt_test(one_that_was_closed_is_left_until_its_lines_are_passed_on),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
