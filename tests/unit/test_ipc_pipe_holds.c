/* SPDX-License-Identifier: MIT */
/*
 * Holds: words for processes, found, added in further blocks, and dead when their
 * process is.
 */
#include "arena/heap.h"
#include "common.h"
#include "ipc/pipe_holds.h"

enum { MANY = MPR_HOLDS_FIRST + 2 * MPR_HOLDS_MORE };

static struct mpr_holds *holds;

static int
new_holds(void **state)
{
	if (mpt_setup(state) < 0)
		return -1;
	holds = mproc_alloc(sizeof(*holds));
	return holds ? 0 : -1;
}

#define hold_test(f) { #f, f, new_holds, mpt_teardown, (void *)(uintptr_t)#f }

static uint64_t
word_of(uint64_t pid, uint64_t start)
{
	return start << 23 | pid << 1;
}

static bool
others(uint64_t word)
{
	return mpr_hold_others(the_arena(), holds, word);
}

static void
a_word_names_its_process(void **state)
{
	uint64_t mine = mpr_hold_mine();

	(void)state;
	assert_int_equal(mpr_hold_pid(mine), getpid());
	assert_true(mpr_hold_start(mine) > 0);
	assert_int_equal(mpr_hold_of(getpid()), mine);
	assert_true(mpr_hold_is(mine, mine));
	/* A start that somebody could not learn is as good as any. */
	assert_true(mpr_hold_is(mine, word_of((uint64_t)getpid(), 0)));
	assert_true(mpr_hold_is(word_of((uint64_t)getpid(), 0), mine));
	assert_false(mpr_hold_is(word_of((uint64_t)getpid(), 1), mine));
	assert_false(mpr_hold_is(word_of(1, mpr_hold_start(mine)), mine));
	assert_false(mpr_hold_is(mine | MPR_HOLD_ENDING, mine));
	assert_false(mpr_hold_is(0, mine));
}

static int
compare_mine(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_check_int(t, mpr_hold_pid(mpr_hold_mine()), getpid());
	return 0;
}

static void
a_child_has_a_word_of_its_own(void **state)
{
	struct mpt *t = *state;

	(void)mpr_hold_mine();
	mpt_expect_exit(t, mpt_fork(t, "child", compare_mine, NULL), 0);
}

static void
there_is_room_for_all(void **state)
{
	struct mpr_self *self = join_arena(*state);
	_Atomic uint64_t *at;

	assert_true(mpr_hold_is_clean(the_arena(), holds));
	assert_false(others(0));
	for (uint64_t i = 1; i <= MANY; i++)
		assert_int_equal(mpr_hold_add(the_arena(), self, holds,
					      word_of(i, i)), 0);
	assert_int_equal(holds->added, MANY);
	for (uint64_t i = 1; i < MANY; i++) {
		at = mpr_hold_find(the_arena(), holds, word_of(i, i));
		assert_non_null(at);
		assert_true(others(word_of(i, i)));
		*at |= MPR_HOLD_ENDING;
		assert_null(mpr_hold_find(the_arena(), holds, word_of(i, i)));
		assert_true(others(word_of(i, i)));
	}
	/* One is left. */
	assert_false(others(word_of(MANY, MANY)));
	assert_true(others(0));
	assert_false(mpr_hold_is_clean(the_arena(), holds));
}

static int
wait_for_the_end(struct mpt *t, void *arg)
{
	if (arg)
		join_arena(t);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

/* Whether or not it takes part in the arena. */
static void
a_hold_is_dead_with_its_process(void **state)
{
	struct mpr_hold_census *c = calloc(1, sizeof(*c));
	struct mpt *t = *state;
	uint64_t word;
	int id;

	assert_non_null(c);
	id = mpt_spawn(t, "holder", wait_for_the_end, (void *)(uintptr_t)1);
	mpt_reach(t, 1);
	word = mpr_hold_of(mpt_pid(t, id));
	for (int thorough = 0; thorough < 2; thorough++) {
		*c = (struct mpr_hold_census){ .arena = the_arena(),
					       .thorough = thorough };
		assert_false(mpr_hold_is_dead(c, word));
		assert_false(mpr_hold_is_dead(c, mpr_hold_mine()));
		/* Our id, of one that has ended long ago. */
		assert_true(mpr_hold_is_dead(c, word_of((uint64_t)getpid(), 1)));
		/* Nobody's id. */
		assert_true(mpr_hold_is_dead(c, word_of(0, 5)));
		assert_true(mpr_hold_is_dead(c, MPR_HOLD_USED));
	}
	/* Another's id by now, which only a thorough look sees. */
	assert_true(mpr_hold_is_dead(c, word_of((uint64_t)mpt_pid(t, id), 1)));
	mpt_kill_unreaped(t, id);
	for (int thorough = 0; thorough < 2; thorough++) {
		*c = (struct mpr_hold_census){ .arena = the_arena(),
					       .thorough = thorough };
		assert_true(mpr_hold_is_dead(c, word));
	}
	mpt_kill(t, id);
	*c = (struct mpr_hold_census){ .arena = the_arena() };
	assert_true(mpr_hold_is_dead(c, word));
	free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		hold_test(a_word_names_its_process),
		hold_test(a_child_has_a_word_of_its_own),
		hold_test(there_is_room_for_all),
		hold_test(a_hold_is_dead_with_its_process),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
