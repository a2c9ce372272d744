/* SPDX-License-Identifier: MIT */
/*
 * The life word ends with its thread, however that ends, and not before.
 */
#include <fcntl.h>
#include <stdnoreturn.h>

#include "common.h"
#include "os/life.h"

static int
begin_and_wait(struct mpt *t, void *arg)
{
	mpt_check_int(t, mpr_life_begin(arg), 0);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static int
begin_and_return(struct mpt *t, void *arg)
{
	mpt_check_int(t, mpr_life_begin(arg), 0);
	mpt_check(t, !mpr_life_ended(arg));
	return 0;
}

static void
it_is_not_ended_before_its_orderly_end(void **state)
{
	struct mpr_life *life = mpt_scratch(*state);

	assert_true(mpr_life_ended(life)); /* nobody's yet */
	assert_int_equal(mpr_life_begin(life), 0);
	assert_false(mpr_life_ended(life));
	mpr_life_end(life);
	assert_true(mpr_life_ended(life));
}

static void
it_ends_when_its_process_is_killed(void **state)
{
	struct mpt *t = *state;
	struct mpr_life *life = mpt_scratch(t);
	int id = mpt_spawn(t, "owner", begin_and_wait, life);

	mpt_reach(t, 1);
	assert_false(mpr_life_ended(life));
	mpt_kill(t, id);
	assert_true(mpr_life_ended(life));
}

static void
it_has_ended_when_its_process_is_a_zombie(void **state)
{
	struct mpt *t = *state;
	struct mpr_life *life = mpt_scratch(t);
	int id = mpt_spawn(t, "owner", begin_and_wait, life);

	mpt_reach(t, 1);
	mpt_kill_unreaped(t, id);
	assert_true(mpr_life_ended(life));
}

static void
it_goes_on_while_its_process_is_stopped(void **state)
{
	struct mpt *t = *state;
	struct mpr_life *life = mpt_scratch(t);
	int id = mpt_spawn(t, "owner", begin_and_wait, life);

	mpt_reach(t, 1);
	mpt_pause(t, id);
	assert_false(mpr_life_ended(life));
	mpt_resume(t, id);
}

static void
it_ends_when_its_process_exits(void **state)
{
	struct mpt *t = *state;
	struct mpr_life *life = mpt_scratch(t);

	mpt_expect_exit(t, mpt_spawn(t, "owner", begin_and_return, life), 0);
	assert_true(mpr_life_ended(life));
}

static void
it_ends_when_its_thread_returns(void **state)
{
	struct mpt *t = *state;
	struct mpr_life *life = mpt_scratch(t);

	mpt_use_threads(t, true);
	mpt_expect_exit(t, mpt_spawn(t, "owner", begin_and_return, life), 0);
	assert_true(mpr_life_ended(life));
}

static noreturn void *
begin_and_vanish(void *life)
{
	mpr_life_begin(life);
	for (;;)
		end_thread_at_once();
}

static void
it_ends_when_its_thread_leaves_by_the_bare_system_call(void **state)
{
	struct mpr_life *life = mpt_scratch(*state);

	assert_int_equal(run_vanishing_thread(begin_and_vanish, life), 0);
	assert_true(mpr_life_ended(life));
}

static int
begin_and_exec(struct mpt *t, void *arg)
{
	struct mpr_life *life = mpt_scratch(t);
	int *fds = arg;

	mpt_check_int(t, mpr_life_begin(life), 0);
	mpt_step(t, 0);
	mpt_reach(t, 2);
	dup2(fds[0], STDIN_FILENO);
	close(fds[1]);
	execl("/bin/cat", "cat", (char *)NULL);
	return 1;
}

static void
it_ends_when_its_process_becomes_another_program(void **state)
{
	struct mpt *t = *state;
	struct mpr_life *life = mpt_scratch(t);
	int fds[2], id;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	id = mpt_spawn(t, "owner", begin_and_exec, fds);
	mpt_reach(t, 1);
	assert_false(mpr_life_ended(life));
	mpt_step(t, 1);
	mpt_until(t, mpr_life_ended(life));
	close(fds[0]);
	close(fds[1]);
	mpt_expect_exit(t, id, 0);
}

static int
expect_alive(struct mpt *t, void *arg)
{
	mpt_check(t, !mpr_life_ended(arg));
	return 0;
}

static void
a_forked_child_ending_does_not_end_its_parents(void **state)
{
	struct mpt *t = *state;
	struct mpr_life *life = mpt_scratch(t);

	assert_int_equal(mpr_life_begin(life), 0);
	mpt_expect_exit(t, mpt_spawn(t, "child", expect_alive, life), 0);
	assert_false(mpr_life_ended(life));
	mpr_life_end(life);
}

static void
another_may_begin_where_one_has_died(void **state)
{
	struct mpt *t = *state;
	struct mpr_life *life = mpt_scratch(t);

	for (int i = 0; i < 3; i++) {
		mpt_expect_exit(t, mpt_spawn(t, "owner", begin_and_return,
					     life), 0);
		assert_true(mpr_life_ended(life));
	}
	assert_int_equal(mpr_life_begin(life), 0);
	assert_false(mpr_life_ended(life));
	mpr_life_end(life);
}

static void
one_thread_may_have_several(void **state)
{
	struct mpr_life *lives = mpt_scratch(*state);

	for (int i = 0; i < 5; i++)
		assert_int_equal(mpr_life_begin(&lives[i]), 0);
	mpr_life_end(&lives[2]);
	for (int i = 0; i < 5; i++)
		assert_int_equal(mpr_life_ended(&lives[i]), i == 2);
	for (int i = 0; i < 5; i++)
		if (i != 2)
			mpr_life_end(&lives[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(it_is_not_ended_before_its_orderly_end),
		mpt_test(it_ends_when_its_process_is_killed),
		mpt_test(it_has_ended_when_its_process_is_a_zombie),
		mpt_test(it_goes_on_while_its_process_is_stopped),
		mpt_test(it_ends_when_its_process_exits),
		mpt_test(it_ends_when_its_thread_returns),
		mpt_test(it_ends_when_its_thread_leaves_by_the_bare_system_call),
		mpt_test(it_ends_when_its_process_becomes_another_program),
		mpt_test(a_forked_child_ending_does_not_end_its_parents),
		mpt_test(another_may_begin_where_one_has_died),
		mpt_test(one_thread_may_have_several),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
