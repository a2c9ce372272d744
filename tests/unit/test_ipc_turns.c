/* SPDX-License-Identifier: MIT */
/*
 * The order in which a consumer goes around the lanes: nobody starves, nothing
 * is overlooked, and lanes that have nothing cost a few looks.
 */
#include <errno.h>

#include <mproc/mproc.h>

#include "common.h"
#include "ipc/turns.h"
#include "ring/lane_fast.h"

#define OTHERS (3 * MPR_LOOKS) /* producers */
#define LANES (OTHERS + 1)     /* with that of the test itself */
#define OWN OTHERS	       /* in messages */

static mproc_queue *queue;

/* The step by which a producer is told to put its message; the last goes
 * first, so that the consumer has just passed those who come next. */
static unsigned
order_of(unsigned producer)
{
	return OTHERS + 2 * (OTHERS - 1 - producer);
}

/* Has a lane, the next one, and puts a message there when it is told to. */
static int
own_a_lane(struct mpt *t, void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;

	mpt_reach(t, me);
	mpt_check_int(t, mproc_queue_put(queue, &me, sizeof(me), MPROC_NOWAIT),
		      0);
	mpt_step(t, me);
	mpt_reach(t, order_of(me) + 1);
	mpt_check_int(t, mproc_queue_put(queue, &me, sizeof(me), MPROC_NOWAIT),
		      0);
	mpt_step(t, order_of(me) + 1);
	mpt_reach(t, 3 * OTHERS);
	return 0;
}

static void
have_one_put(struct mpt *t, unsigned producer)
{
	mpt_step(t, order_of(producer));
	mpt_reach(t, order_of(producer) + 2);
}

static void
have_each_put(struct mpt *t)
{
	for (unsigned i = OTHERS; i-- > 0;)
		have_one_put(t, i);
}

static void
put_own(void)
{
	unsigned own = OWN;

	assert_int_equal(mproc_queue_put(queue, &own, sizeof(own),
					 MPROC_NOWAIT), 0);
}

static unsigned
get(void)
{
	unsigned from = ~0U;

	assert_int_equal(mproc_queue_get(queue, &from, sizeof(from), NULL,
					 MPROC_NOWAIT), 0);
	return from;
}

static void
expect_nothing(void)
{
	unsigned from;

	assert_int_equal(mproc_queue_get(queue, &from, sizeof(from), NULL,
					 MPROC_NOWAIT), -EAGAIN);
}

/* A queue with the lanes of all, which are empty. */
static struct mpr_attachment *
begin(struct mpt *t, bool single)
{
	struct mpr_attachment *at;

	assert_int_equal(mproc_queue_create(
		&queue, MPROC_OPTS(mproc_queue_opts, .capacity = 8192,
				   .single_consumer = single)), 0);
	mpt_use_threads(t, true);
	put_own();
	for (uintptr_t i = 0; i < OTHERS; i++)
		mpt_spawn(t, "producer", own_a_lane, (void *)i);
	mpt_reach(t, OTHERS);
	for (unsigned i = 0; i < LANES; i++)
		get();
	expect_nothing();
	at = mpr_attachment_present(queue);
	assert_non_null(at);
	assert_int_equal(at->n_consumers, LANES);
	return at;
}

static void
end(struct mpt *t)
{
	mpt_join_all(t);
	mproc_queue_destroy(queue);
}

static void
one_message_is_found_in_any_lane(struct mpt *t, bool single)
{
	begin(t, single);
	for (unsigned i = OTHERS; i-- > 0;) {
		have_one_put(t, i);
		assert_int_equal(get(), i);
		expect_nothing();
	}
	end(t);
}

static void
a_call_that_does_not_wait_finds_a_message_in_any_lane(void **state)
{
	one_message_is_found_in_any_lane(*state, false);
}

static void
the_single_consumer_finds_one_in_any_lane(void **state)
{
	one_message_is_found_in_any_lane(*state, true);
}

static void
no_lane_waits_longer_than_its_turn_is_away(void **state)
{
	unsigned taken, most = 0;

	begin(*state, false);
	for (int i = 0; i < 2 * MPR_QUANTUM; i++)
		put_own();
	for (unsigned i = OTHERS; i-- > 0;) {
		/* So that it is this one's turn. */
		assert_int_equal(get(), OWN);
		put_own();
		have_one_put(*state, i);
		for (taken = 0; get() != i; taken++) {
			put_own();
			assert_true(taken < LANES * MPR_QUANTUM);
		}
		if (taken > most)
			most = taken;
	}
	/* Only one lane is busy: a turn has been begun, and so many are needed
	 * to look at all of the others. */
	assert_true(most <= (LANES / MPR_LOOKS + 2) * MPR_QUANTUM);
	for (int i = 0; i < 2 * MPR_QUANTUM; i++)
		assert_int_equal(get(), OWN);
	end(*state);
}

/* All of it is known, and nothing new is there to be seen. */
static void
a_lane_that_is_left_in_the_middle_is_not_forgotten(void **state)
{
	unsigned n = 6 * MPR_QUANTUM;

	begin(*state, false);
	for (unsigned i = 0; i < n; i++)
		put_own();
	assert_int_equal(get(), OWN);
	n--;
	have_one_put(*state, OTHERS - 1);
	for (; get() != OTHERS - 1; n--)
		assert_true(n > MPR_QUANTUM);
	while (n--)
		assert_int_equal(get(), OWN);
	expect_nothing();
	for (unsigned i = OTHERS - 1; i-- > 0;)
		have_one_put(*state, i);
	for (unsigned i = 0; i < OTHERS - 1; i++)
		get();
	end(*state);
}

static void
lanes_without_messages_cost_a_few_looks(void **state)
{
	struct mpr_attachment *at = begin(*state, false);
	unsigned before;

	put_own();
	get();
	for (int turn = 0; turn < 10; turn++) {
		at->quantum = MPR_QUANTUM;
		before = at->ahead;
		for (int i = 0; i < MPR_QUANTUM; i++) {
			assert_int_equal(at->ahead, before);
			put_own();
			assert_int_equal(get(), OWN);
		}
		assert_int_equal(at->ahead, (before + MPR_LOOKS) % LANES);
	}
	have_each_put(*state);
	for (unsigned i = 0; i < OTHERS; i++)
		get();
	end(*state);
}

/* Takes what there is. */
static int
take_all(struct mpt *t, void *arg)
{
	unsigned from, n = (unsigned)(uintptr_t)arg;

	while (n--)
		mpt_check_int(t, mproc_queue_get(queue, &from, sizeof(from),
						 NULL, MPROC_NOWAIT), 0);
	return 0;
}

static void
lanes_that_others_have_emptied_are_known_as_empty(void **state)
{
	struct mpr_attachment *at = begin(*state, false);
	int id;

	have_each_put(*state);
	id = mpt_spawn(*state, "taker", take_all, (void *)(uintptr_t)OTHERS);
	mpt_expect_exit(*state, id, 0);
	/* The first lane is the test's own. */
	for (unsigned i = 1; i < LANES; i++)
		assert_false(mpr_consumer_is_empty(&at->consumers[i]));
	/* This goes the long way once. */
	expect_nothing();
	for (unsigned i = 0; i < LANES; i++)
		assert_true(mpr_consumer_is_empty(&at->consumers[i]));
	end(*state);
}

/* How many turns there are until the round is over. */
static unsigned
turns_of_a_round(struct mpr_attachment *at)
{
	bool had[LANES] = { false };
	unsigned n = 0, looked;

	for (; mpr_turn_go_on(at, &looked); n++) {
		assert_false(had[at->cursor]);
		had[at->cursor] = true;
	}
	return n;
}

static void
a_round_has_as_many_turns_as_lanes(void **state)
{
	struct mpr_attachment *at = begin(*state, false);

	(void)turns_of_a_round(at);
	assert_int_equal(turns_of_a_round(at), 0);
	put_own();
	have_each_put(*state);
	for (int i = 0; i < 3; i++)
		assert_int_equal(turns_of_a_round(at), LANES - 1);
	for (unsigned i = 0; i < LANES; i++)
		get();
	expect_nothing();
	end(*state);
}

static void
new_lanes_do_not_starve_behind_short_turns(void **state)
{
	struct mpr_attachment *at = begin(*state, false);

	put_own();
	have_each_put(*state);
	assert_int_equal(at->n_consumers, LANES);
	/* As if our own, the last one, were new. */
	at->n_consumers--;
	at->cursor = 0;
	at->ahead = OTHERS / 2;
	for (unsigned i = 0; i < OTHERS / 2; i++)
		get();
	assert_int_equal(at->n_consumers, LANES - 1);
	get();
	assert_int_equal(at->n_consumers, LANES);
	for (unsigned i = OTHERS / 2 + 1; i < LANES; i++)
		get();
	expect_nothing();
	end(*state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_call_that_does_not_wait_finds_a_message_in_any_lane),
		mpt_test(the_single_consumer_finds_one_in_any_lane),
		mpt_test(no_lane_waits_longer_than_its_turn_is_away),
		mpt_test(a_lane_that_is_left_in_the_middle_is_not_forgotten),
		mpt_test(lanes_without_messages_cost_a_few_looks),
		mpt_test(lanes_that_others_have_emptied_are_known_as_empty),
		mpt_test(new_lanes_do_not_starve_behind_short_turns),
		mpt_test(a_round_has_as_many_turns_as_lanes),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
