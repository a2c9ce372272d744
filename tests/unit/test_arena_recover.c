/* SPDX-License-Identifier: MIT */
/*
 * Recovery as a whole: who is found, what the slot is afterwards, and that any
 * number may do it at once, or die at it.
 */
#include <signal.h>

#include <mproc/core.h>

#include "arena/heap.h"
#include "arena/recover.h"
#include "common.h"

#define VICTIMS 8

/* In the scratch bytes. */
struct board {
	_Atomic unsigned joined;
	_Atomic unsigned found;
	_Atomic unsigned slot[VICTIMS];
	_Atomic uint64_t ident[VICTIMS];
};

static struct mpr_participant *
victim(struct mpt *t, int i)
{
	struct board *b = mpt_scratch(t);

	return mpr_participant_at(the_arena(), b->slot[i]);
}

/* Dies, if it is killed, with a block in its hands. */
static int
join_and_wait(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct mpr_self *self = join_arena(t);
	struct mpr_block_ref ref;
	intptr_t i = (intptr_t)arg;

	mpt_check_int(t, mpr_heap_reserve(the_arena(), self, 100, &ref), 0);
	b->slot[i] = self->slot;
	b->ident[i] = self->ident;
	b->joined++;
	wait_to_be_killed(t);
	return 0;
}

static void
spawn_victims(struct mpt *t, int ids[VICTIMS])
{
	struct board *b = mpt_scratch(t);

	for (intptr_t i = 0; i < VICTIMS; i++)
		ids[i] = mpt_spawn(t, "victim", join_and_wait, (void *)i);
	mpt_until(t, b->joined == VICTIMS);
}

static struct mproc_arena_stat
stat_now(void)
{
	struct mproc_arena_stat stat;

	assert_int_equal(mproc_arena_stat(NULL, &stat), 0);
	return stat;
}

static void
expect_free(struct mpt *t, int i)
{
	struct board *b = mpt_scratch(t);

	assert_true(victim(t, i)->ident == (b->ident[i] & ~UINT64_C(3)));
}

static void
all_who_died_are_found_and_no_one_else(void **state)
{
	struct mpt *t = *state;
	struct mproc_arena_stat before = stat_now(), after;
	struct board *b = mpt_scratch(t);
	int ids[VICTIMS];

	spawn_victims(t, ids);
	assert_int_equal(mpr_recover_all(the_arena(), true), 0);
	for (int i = 0; i < VICTIMS; i += 2)
		mpt_kill(t, ids[i]);
	assert_int_equal(mpr_recover_all(the_arena(), false), VICTIMS / 2);
	assert_int_equal(mpr_recover_all(the_arena(), true), 0);
	for (int i = 0; i < VICTIMS; i++) {
		if (i % 2 == 0)
			expect_free(t, i);
		else
			assert_true(victim(t, i)->ident == b->ident[i]);
	}
	for (int i = 1; i < VICTIMS; i += 2)
		mpt_kill(t, ids[i]);
	assert_int_equal(mpr_recover_all(the_arena(), false), VICTIMS / 2);
	after = stat_now();
	assert_int_equal(after.blocks, before.blocks);
	assert_int_equal(after.participants, before.participants);
}

static void
only_a_thorough_look_finds_who_lost_its_life_word(void **state)
{
	struct mpt *t = *state;
	int ids[VICTIMS];

	spawn_victims(t, ids);
	for (int i = 0; i < VICTIMS; i++)
		mpt_kill(t, ids[i]);
	victim(t, 3)->life.u.words[0] = 1; /* as if the kernel had not got to it */
	assert_int_equal(mpr_recover_all(the_arena(), false), VICTIMS - 1);
	assert_int_equal(mpr_recover_all(the_arena(), true), 1);
	expect_free(t, 3);
}

static void
who_was_announced_dead_needs_no_proof_again(void **state)
{
	struct mpt *t = *state;
	struct mproc_arena_stat before = stat_now(), after;
	struct board *b = mpt_scratch(t);
	int ids[VICTIMS];

	spawn_victims(t, ids);
	for (int i = 0; i < VICTIMS; i++)
		mpt_kill(t, ids[i]);
	/* A recoverer came as far as R0, and died. */
	victim(t, 0)->ident = (b->ident[0] & ~UINT64_C(3)) |
			      MPR_PARTICIPANT_DEAD;
	victim(t, 0)->life.u.words[0] = 1;
	assert_int_equal(mpr_recover_all(the_arena(), false), VICTIMS);
	expect_free(t, 0);
	after = stat_now();
	assert_int_equal(after.blocks, before.blocks);
}

static void
a_process_is_recovered_by_its_id_alone(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int ids[VICTIMS];

	spawn_victims(t, ids);
	mpr_recover_process(mpt_pid(t, ids[0]), SIGKILL); /* it lives */
	assert_true(victim(t, 0)->ident == b->ident[0]);
	mpt_kill(t, ids[0]);
	mpt_kill_unreaped(t, ids[1]);
	mpr_recover_process(mpt_pid(t, ids[0]), SIGKILL);
	expect_free(t, 0);
	assert_true(victim(t, 1)->ident == b->ident[1]);
	mpr_recover_process(mpt_pid(t, ids[1]), SIGKILL);
	expect_free(t, 1);
	for (int i = 2; i < VICTIMS; i++)
		mpt_kill(t, ids[i]);
	mpr_recover_all(the_arena(), true);
}

static void
who_looks_now_and_then_is_thorough_at_times(void **state)
{
	struct mpt *t = *state;
	int ids[VICTIMS];

	spawn_victims(t, ids);
	mpt_kill(t, ids[0]);
	assert_int_equal(mpr_recover_now_and_then(the_arena()), 1);
	mpt_kill(t, ids[1]);
	assert_int_equal(mpr_recover_now_and_then(the_arena()), 1);
	mpt_kill(t, ids[2]);
	victim(t, 2)->life.u.words[0] = 1;
	mpt_until(t, mpr_recover_now_and_then(the_arena()) == 1);
	expect_free(t, 2);
	for (int i = 3; i < VICTIMS; i++)
		mpt_kill(t, ids[i]);
	mpr_recover_all(the_arena(), true);
}

static int
recover_at_once(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_reach(t, 1);
	b->found += (unsigned)mpr_recover_all(the_arena(), true);
	return 0;
}

static void
recover_together(struct mpt *t, bool threads)
{
	struct mproc_arena_stat before = stat_now(), after;
	struct board *b = mpt_scratch(t);
	int ids[VICTIMS];

	spawn_victims(t, ids);
	mpt_use_threads(t, threads);
	for (int i = 0; i < 3; i++)
		mpt_spawn(t, "recoverer", recover_at_once, NULL);
	for (int i = 0; i < VICTIMS; i++)
		mpt_kill(t, ids[i]);
	mpt_step(t, 0);
	mpt_join_all(t);
	assert_true(b->found >= VICTIMS);
	for (int i = 0; i < VICTIMS; i++)
		expect_free(t, i);
	after = stat_now();
	assert_int_equal(after.blocks, before.blocks);
	assert_int_equal(after.used, before.used);
	assert_int_equal(after.participants, before.participants);
}

static void
several_processes_recover_at_once(void **state)
{
	recover_together(*state, false);
}

static void
several_threads_recover_at_once(void **state)
{
	recover_together(*state, true);
}

static int
recover_as_a_stranger(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check(t, !mpr_self_in(mpr_arena_peek()));
	b->found = (unsigned)mproc_arena_recover(NULL);
	mpt_check(t, !mpr_self_in(mpr_arena_peek()));
	return 0;
}

static void
one_that_has_not_joined_may_recover(void **state)
{
	struct mpt *t = *state;
	struct mproc_arena_stat before = stat_now(), after;
	struct board *b = mpt_scratch(t);
	int ids[VICTIMS];

	spawn_victims(t, ids);
	for (int i = 0; i < VICTIMS; i++)
		mpt_kill(t, ids[i]);
	mpt_expect_exit(t, mpt_spawn(t, "stranger", recover_as_a_stranger,
				     NULL), 0);
	assert_int_equal(b->found, VICTIMS);
	after = stat_now();
	assert_int_equal(after.blocks, before.blocks);
	assert_int_equal(after.participants, before.participants);
}

static void
count_line(void *ctx, int level, const char *text)
{
	if (level == MPROC_LOG_INFO && strstr(text, "died"))
		++*(int *)ctx;
}

static void
each_death_is_logged_once(void **state)
{
	struct mpt *t = *state;
	int ids[VICTIMS], lines = 0;

	spawn_victims(t, ids);
	for (int i = 0; i < VICTIMS; i++)
		mpt_kill(t, ids[i]);
	mproc_log_set(MPROC_LOG_INFO, count_line, &lines);
	mpr_recover_all(the_arena(), true);
	mpr_recover_all(the_arena(), true);
	mproc_log_set(MPROC_LOG_OFF, NULL, NULL);
	assert_int_equal(lines, VICTIMS);
}

/* Blocks of the first size exist: growth is not what is looked for. */
static int
setup(void **state)
{
	return with_arena(state) < 0 || !mproc_alloc(100) ? -1 : 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(all_who_died_are_found_and_no_one_else),
		mpt_test(only_a_thorough_look_finds_who_lost_its_life_word),
		mpt_test(who_was_announced_dead_needs_no_proof_again),
		mpt_test(a_process_is_recovered_by_its_id_alone),
		mpt_test(who_looks_now_and_then_is_thorough_at_times),
		mpt_test(several_processes_recover_at_once),
		mpt_test(several_threads_recover_at_once),
		mpt_test(one_that_has_not_joined_may_recover),
		mpt_test(each_death_is_logged_once),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
