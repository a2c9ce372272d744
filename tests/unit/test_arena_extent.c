/* SPDX-License-Identifier: MIT */
/*
 * Extents: claimed, finished, retired and released, alone and in runs, by the
 * living and on behalf of the dead.
 */
#include <errno.h>

#include <mproc/core.h>

#include "arena/extent.h"
#include "arena/recover.h"
#include "base/owner.h"
#include "common.h"
#include "mpt_refuse.h"

static unsigned
state_of(int64_t index)
{
	return mpr_owner_state(mpr_extent_at(the_arena(),
					     (uint32_t)index)->state);
}

static unsigned
slot_of(int64_t index)
{
	return mpr_owner_slot(mpr_extent_at(the_arena(),
					    (uint32_t)index)->state);
}

static int64_t
claim(struct mpt *t, uint32_t n)
{
	return mpr_extent_claim(the_arena(), join_arena(t), n);
}

static void
a_claimed_extent_is_in_the_claimers_hands(void **state)
{
	struct mpt *t = *state;
	int64_t i = claim(t, 1);

	assert_true(i >= 0);
	assert_int_equal(state_of(i), MPR_EXTENT_BUSY);
	assert_int_equal(slot_of(i), join_arena(t)->slot);
	mpr_extent_finish(the_arena(), (uint32_t)i, 5);
	assert_int_equal(state_of(i), MPR_EXTENT_USED);
	assert_true(mpr_extent_retire(the_arena(), join_arena(t), (uint32_t)i,
				      5));
	assert_int_equal(state_of(i), MPR_EXTENT_BUSY);
	mpr_extent_release(the_arena(), (uint32_t)i);
	assert_int_equal(state_of(i), MPR_EXTENT_FREE);
}

static void
only_what_is_used_as_said_is_retired(void **state)
{
	struct mpt *t = *state;
	uint32_t i = (uint32_t)claim(t, 1);
	struct mpr_self *self = join_arena(t);

	assert_false(mpr_extent_retire(the_arena(), self, i, 5)); /* BUSY */
	mpr_extent_finish(the_arena(), i, 5);
	assert_false(mpr_extent_retire(the_arena(), self, i, 6));
	assert_true(mpr_extent_retire(the_arena(), self, i, 5));
	assert_false(mpr_extent_retire(the_arena(), self, i, 5));
	mpr_extent_release(the_arena(), i);
	assert_false(mpr_extent_retire(the_arena(), self, i, 5)); /* FREE */
}

static void
each_use_has_another_epoch(void **state)
{
	struct mpt *t = *state;
	uint64_t last = 0, word;
	int64_t first = -1;

	for (int round = 0; round < 10; round++) {
		int64_t i = claim(t, 1);

		assert_true(first < 0 || i == first);
		first = i;
		word = mpr_extent_at(the_arena(), (uint32_t)i)->state;
		assert_true(round == 0 || mpr_owner_epoch(word) > last);
		last = mpr_owner_epoch(word);
		mpr_extent_release(the_arena(), (uint32_t)i);
	}
}

static void
a_run_names_its_first_extent(void **state)
{
	struct mpt *t = *state;
	int64_t first = claim(t, 5), behind = claim(t, 1);

	for (int64_t i = first + 1; i < first + 5; i++) {
		assert_int_equal(state_of(i), MPR_EXTENT_TAIL);
		assert_int_equal(slot_of(i), first);
	}
	assert_false(behind >= first && behind < first + 5);
	mpr_extent_release(the_arena(), (uint32_t)first);
	for (int64_t i = first; i < first + 5; i++)
		assert_int_equal(state_of(i), MPR_EXTENT_FREE);
	assert_int_equal(state_of(behind), MPR_EXTENT_BUSY);
	mpr_extent_release(the_arena(), (uint32_t)behind);
}

static void
a_run_does_not_go_where_something_is_in_the_way(void **state)
{
	struct mpt *t = *state;
	int64_t a = claim(t, 2), b = claim(t, 1), c;

	assert_int_equal(b, a + 2);
	mpr_extent_release(the_arena(), (uint32_t)a);
	c = claim(t, 3);
	assert_true(c > b);
	/* The attempt in front of it left nothing. */
	assert_int_equal(state_of(a), MPR_EXTENT_FREE);
	assert_int_equal(state_of(a + 1), MPR_EXTENT_FREE);
	assert_int_equal(claim(t, 2), a);
	mpr_extent_release(the_arena(), (uint32_t)a);
	mpr_extent_release(the_arena(), (uint32_t)b);
	mpr_extent_release(the_arena(), (uint32_t)c);
}

static void
more_than_the_arena_has_is_refused(void **state)
{
	struct mpt *t = *state;
	uint32_t n = the_arena()->n_extents;

	assert_int_equal(claim(t, n + 1), -ENOMEM);
	assert_int_equal(claim(t, UINT32_MAX), -ENOMEM);
	assert_non_null(strstr(mproc_error_detail(), "free"));
}

static void
an_extent_is_backed_as_far_as_asked(void **state)
{
	struct mpt *t = *state;
	uint32_t i = (uint32_t)claim(t, 1);
	struct mpr_extent *x = mpr_extent_at(the_arena(), i);
	unsigned char *bytes =
		mpr_arena_at(the_arena(), mpr_extent_offset(i));
	uint64_t before = mpr_shmem_backed(&the_arena()->shmem);
	uint64_t had = x->backed;

	assert_int_equal(mpr_extent_back(the_arena(), i, had + 1), 0);
	assert_true(x->backed > had && x->backed <= MPR_EXTENT_SIZE);
	assert_int_equal(mpr_shmem_backed(&the_arena()->shmem) - before,
			 x->backed - had);
	bytes[0] = 1;
	assert_int_equal(mpr_extent_back(the_arena(), i, MPR_EXTENT_SIZE), 0);
	assert_int_equal(x->backed, MPR_EXTENT_SIZE);
	assert_int_equal(bytes[0], 1);
	/* A word that somebody has scribbled in. */
	x->backed = 12345;
	assert_true(mpr_extent_back(the_arena(), i, MPR_EXTENT_SIZE) <= 0);
	x->backed = MPR_EXTENT_SIZE;
	mpr_extent_release(the_arena(), i);
}

static void
a_released_run_gives_its_memory_back_and_is_zero_again(void **state)
{
	struct mpt *t = *state;
	uint64_t before = mpr_shmem_backed(&the_arena()->shmem);
	int64_t i = claim(t, 3);
	unsigned char *bytes = mpr_arena_at(the_arena(),
					    mpr_extent_offset((uint32_t)i));

	for (uint32_t k = 0; k < 3; k++) {
		assert_int_equal(mpr_extent_back(the_arena(), (uint32_t)i + k,
						 MPR_EXTENT_SIZE), 0);
		bytes[k * MPR_EXTENT_SIZE + 5] = 1;
	}
	mpr_extent_release(the_arena(), (uint32_t)i);
	if (!mpt_without("remove"))
		assert_int_equal(mpr_shmem_backed(&the_arena()->shmem), before);
	assert_int_equal(claim(t, 3), i);
	for (uint32_t k = 0; k < 3; k++) {
		assert_int_equal(mpr_extent_at(the_arena(),
					       (uint32_t)i + k)->backed, 0);
		assert_int_equal(bytes[k * MPR_EXTENT_SIZE + 5], 0);
	}
	mpr_extent_release(the_arena(), (uint32_t)i);
}

/* In the scratch bytes. */
struct board {
	_Atomic int64_t first;
};

static int
claim_and_wait(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	join_arena(t)->shared->in_heap = 1;
	b->first = claim(t, (uint32_t)(uintptr_t)arg);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
what_the_dead_had_claimed_is_free_again(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int id = mpt_spawn(t, "victim", claim_and_wait, (void *)4);
	int64_t behind;

	mpt_reach(t, 1);
	behind = claim(t, 2);
	mpt_kill(t, id);
	assert_int_equal(mpr_recover_all(the_arena(), false), 1);
	for (int64_t i = b->first; i < b->first + 4; i++)
		assert_int_equal(state_of(i), MPR_EXTENT_FREE);
	/* What others have is not touched. */
	assert_int_equal(state_of(behind), MPR_EXTENT_BUSY);
	assert_int_equal(state_of(behind + 1), MPR_EXTENT_TAIL);
	mpr_extent_release(the_arena(), (uint32_t)behind);
}

static int
write_and_wait(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned char *bytes;

	(void)arg;
	join_arena(t)->shared->in_heap = 1;
	b->first = claim(t, 2);
	bytes = mpr_arena_at(the_arena(), mpr_extent_offset((uint32_t)b->first));
	for (uint32_t k = 0; k < 2; k++) {
		mpt_check_int(t, mpr_extent_back(the_arena(),
						 (uint32_t)b->first + k,
						 MPR_EXTENT_SIZE), 0);
		memset(bytes + k * MPR_EXTENT_SIZE, 0xff, MPR_EXTENT_SIZE);
	}
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
what_the_dead_had_written_is_zero_for_the_next(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int id = mpt_spawn(t, "victim", write_and_wait, NULL);
	unsigned char *bytes;

	mpt_reach(t, 1);
	mpt_kill(t, id);
	assert_int_equal(mpr_recover_all(the_arena(), false), 1);
	assert_int_equal(claim(t, 2), b->first);
	bytes = mpr_arena_at(the_arena(), mpr_extent_offset((uint32_t)b->first));
	for (uint32_t k = 0; k < 2 * MPR_EXTENT_SIZE; k += 4096)
		assert_int_equal(bytes[k], 0);
	mpr_extent_release(the_arena(), (uint32_t)b->first);
}

static void
half_a_run_of_the_dead_is_free_again(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int id = mpt_spawn(t, "victim", claim_and_wait, (void *)4);

	mpt_reach(t, 1);
	mpt_kill(t, id);
	/* As if it had died at its third one, or at releasing it. */
	mpr_extent_at(the_arena(), (uint32_t)b->first + 3)->state =
		mpr_owner(77, 0, MPR_EXTENT_FREE);
	assert_int_equal(mpr_recover_all(the_arena(), false), 1);
	for (int64_t i = b->first; i < b->first + 4; i++)
		assert_int_equal(state_of(i), MPR_EXTENT_FREE);
	assert_int_equal(claim(t, 4), b->first);
	mpr_extent_release(the_arena(), (uint32_t)b->first);
}

static int
finish_and_wait(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	join_arena(t)->shared->in_heap = 1;
	b->first = claim(t, (uint32_t)(uintptr_t)arg);
	mpr_extent_finish(the_arena(), (uint32_t)b->first, MPR_EXTENT_RUN | 4);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
what_the_dead_had_finished_stays(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int id = mpt_spawn(t, "victim", finish_and_wait, (void *)4);

	mpt_reach(t, 1);
	mpt_kill(t, id);
	assert_int_equal(mpr_recover_all(the_arena(), false), 1);
	assert_int_equal(state_of(b->first), MPR_EXTENT_USED);
	assert_int_equal(state_of(b->first + 3), MPR_EXTENT_TAIL);
	assert_true(mpr_extent_retire(the_arena(), join_arena(t),
				      (uint32_t)b->first, MPR_EXTENT_RUN | 4));
	mpr_extent_release(the_arena(), (uint32_t)b->first);
}

static int
claim_and_release(struct mpt *t, void *arg)
{
	struct mpr_self *self = join_arena(t);
	uint32_t n = 1 + (uint32_t)(uintptr_t)arg;

	for (unsigned round = amount(2000); round; round--) {
		int64_t i = mpr_extent_claim(the_arena(), self, n);

		mpt_check(t, i >= 0);
		mpt_check_int(t, slot_of(i), self->slot);
		for (uint32_t k = 1; k < n; k++)
			mpt_check_int(t, slot_of(i + k), i);
		mpr_extent_release(the_arena(), (uint32_t)i);
	}
	return 0;
}

static void
runs_of_several_threads_do_not_overlap(void **state)
{
	struct mpt *t = *state;

	mpt_use_threads(t, true);
	for (uintptr_t i = 0; i < 4; i++)
		mpt_spawn(t, "thread", claim_and_release, (void *)i);
	mpt_join_all(t);
	for (uint32_t i = 0; i < mpr_extents_high(the_arena()); i++)
		assert_int_equal(state_of(i), MPR_EXTENT_FREE);
}

/* A value's lock may be looked at there after its end. */
static void
the_last_page_stays_where_a_value_ended(void **state)
{
	struct mpt *t = *state;
	uint32_t i = (uint32_t)claim(t, 1);
	struct mpr_extent *x = mpr_extent_at(the_arena(), i);
	unsigned char *bytes =
		mpr_arena_at(the_arena(), mpr_extent_offset(i));
	uint64_t all;

	assert_int_equal(mpr_extent_back(the_arena(), i, MPR_EXTENT_SIZE), 0);
	memset(bytes, 0xaa, MPR_EXTENT_SIZE);
	mpr_extent_keep_end(the_arena(), i);
	all = mpr_shmem_backed(&the_arena()->shmem);
	mpr_extent_release(the_arena(), i);
	if (!mpt_without("remove"))
		assert_int_equal(all - mpr_shmem_backed(&the_arena()->shmem),
				 MPR_EXTENT_SIZE - MPR_EXTENT_PAGE);
	assert_int_equal(x->backed, MPR_EXTENT_KEPT_END);
	assert_int_equal(claim(t, 1), i);
	for (size_t k = 1; k <= MPR_EXTENT_PAGE; k++)
		assert_int_equal(bytes[MPR_EXTENT_SIZE - k], 0);
	/* Also as that of a slab. */
	assert_int_equal(mpr_extent_back(the_arena(), i, MPR_EXTENT_SIZE), 0);
	all = mpr_shmem_backed(&the_arena()->shmem);
	mpr_extent_unback(the_arena(), i, 1);
	if (!mpt_without("remove"))
		assert_int_equal(all - mpr_shmem_backed(&the_arena()->shmem),
				 MPR_EXTENT_SIZE - 2 * MPR_EXTENT_PAGE);
	assert_int_equal(x->backed, MPR_EXTENT_PAGE | MPR_EXTENT_KEPT_END);
	mpr_extent_release(the_arena(), i);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_claimed_extent_is_in_the_claimers_hands),
		mpt_test(only_what_is_used_as_said_is_retired),
		mpt_test(each_use_has_another_epoch),
		mpt_test(a_run_names_its_first_extent),
		mpt_test(a_run_does_not_go_where_something_is_in_the_way),
		mpt_test(more_than_the_arena_has_is_refused),
		mpt_test(an_extent_is_backed_as_far_as_asked),
		mpt_test(a_released_run_gives_its_memory_back_and_is_zero_again),
		mpt_test(what_the_dead_had_written_is_zero_for_the_next),
		mpt_test(what_the_dead_had_claimed_is_free_again),
		mpt_test(half_a_run_of_the_dead_is_free_again),
		mpt_test(what_the_dead_had_finished_stays),
		mpt_test(runs_of_several_threads_do_not_overlap),
		mpt_test(the_last_page_stays_where_a_value_ended),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
