/* SPDX-License-Identifier: MIT */
/*
 * Processes that are held back before their entry.
 */
#include <errno.h>
#include <stdatomic.h>

#include <mproc/mproc.h>

#include "common.h"
#include "process/handle.h"

#define SEVERAL 5

/* In the scratch bytes. */
struct board {
	_Atomic unsigned begun;
};

static int
note(void *t)
{
	struct board *b = mpt_scratch(t);

	b->begun++;
	return 0;
}

static int
hold_one(mproc_process **ret_p, mproc_entry *fn, void *arg)
{
	struct mpr_call call = mpr_call_entry(fn, arg, 0);
	struct mproc_process_opts o = { 0 };

	return mpr_process_hold(ret_p, &call, &o);
}

static void
hold(struct mpt *t, mproc_process **ps)
{
	for (int i = 0; i < SEVERAL; i++)
		assert_int_equal(hold_one(&ps[i], note, t), 0);
	/* They are asleep by then, not only late. */
	for (int i = 0; i < SEVERAL; i++)
		mpt_until(t, mpt_task_state(mproc_process_pid(ps[i])) == 'S');
}

static void
one_that_is_held_begins_when_it_is_let_go(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	mproc_process *ps[SEVERAL];

	hold(t, ps);
	assert_int_equal(b->begun, 0);
	for (int i = 0; i < SEVERAL; i++) {
		assert_true(mproc_process_is_alive(ps[i]));
		mpr_process_let_go(ps[i]);
	}
	for (int i = 0; i < SEVERAL; i++) {
		assert_int_equal(mproc_process_join(ps[i], MPROC_FOREVER), 0);
		mproc_process_close(ps[i]);
	}
	assert_int_equal(b->begun, SEVERAL);
}

static void
one_that_is_abandoned_never_begins(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	mproc_process *ps[SEVERAL];

	hold(t, ps);
	for (int i = 0; i < SEVERAL; i++)
		mpr_process_abandon(ps[i]);
	assert_int_equal(b->begun, 0);
	assert_int_equal(mproc_children(NULL, 0), 0);
}

static int
hold_and_wait(struct mpt *t, void *arg)
{
	mproc_process *p;

	(void)arg;
	mpt_check_int(t, hold_one(&p, note, t), 0);
	mpt_until(t, mpt_task_state(mproc_process_pid(p)) == 'S');
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
one_that_is_held_ends_with_its_parent(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int id = mpt_spawn(t, "parent", hold_and_wait, NULL);

	mpt_reach(t, 1);
	mpt_kill(t, id);
	assert_int_equal(mpt_reap_orphans(t), 1);
	assert_int_equal(b->begun, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(one_that_is_held_begins_when_it_is_let_go),
		mpt_test(one_that_is_abandoned_never_begins),
		mpt_test(one_that_is_held_ends_with_its_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
