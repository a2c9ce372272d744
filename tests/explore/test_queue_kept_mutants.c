/* SPDX-License-Identifier: MIT */
/*
 * The mutation gate of messages that are kept until they are done, and of one
 * order: with one access made wrong, some schedule must fail.
 *
 * Some things have no mutant. A task_done that frees its block without
 * comparing: nobody but its holder changes a block that is TAKEN, as long as it
 * lives. A recovery that counts the returns before it has changed the blocks:
 * it does so for all blocks at once, and the mutant that settles them late is
 * the same to others. Returns that nobody counts: who is about to sleep looks at
 * all blocks whatever the count says, so that only time is lost.
 */
#include "base/owner.h"
#include "queue_mutants.h"
#include "queue_priv.h"

static bool
recovers(const struct explore_access *a, enum explore_kind kind,
	 enum queue_word id)
{
	return a->kind == kind && a->id == (unsigned)id &&
	       queue_is_recovering(a->fiber);
}

/* Deaths. */

/* The only block's are counted again by each who recovers. */
static void
deaths_not_compared(struct explore_access *a)
{
	uint64_t deaths = explore_peek(&queue_block(0)->deaths);

	if (recovers(a, EXPLORE_LOAD, QUEUE_DEATHS))
		answer(a, mpr_owner(0, mpr_owner_slot(deaths), 0));
	else if (recovers(a, EXPLORE_CAS, QUEUE_DEATHS))
		a->fault = EXPLORE_BLIND;
}

static void
deaths_not_counted(struct explore_access *a)
{
	if (recovers(a, EXPLORE_CAS, QUEUE_DEATHS))
		a->value = mpr_owner(mpr_owner_epoch(a->value), 0, 0);
}

/* By one who has slept since it looked. */
static void
returned_without_comparing(struct explore_access *a)
{
	if (recovers(a, EXPLORE_CAS, QUEUE_BLOCK))
		a->fault = EXPLORE_BLIND;
}

static void
settled_after_the_seat(struct explore_access *a)
{
	if (recovers(a, EXPLORE_CAS, QUEUE_BLOCK))
		a->fault = EXPLORE_LATE;
}

/* What comes back. */

/* Whatever the count says, the blocks are as they were. */
static void
no_second_look_at_returns(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_LOAD, QUEUE_BLOCK) &&
	    follows(a, EXPLORE_LOAD, QUEUE_RETURNED))
		a->fault = EXPLORE_CACHED;
}

static void
no_second_look_at_letters(struct explore_access *a)
{
	if (is(a, QUEUE_READS_LETTERS, EXPLORE_LOAD, QUEUE_BLOCK) &&
	    follows(a, EXPLORE_LOAD, QUEUE_RETURNED))
		a->fault = EXPLORE_CACHED;
}

static void
requeue_counted_first(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_CAS, QUEUE_BLOCK) &&
	    mpr_owner_state(a->value) == MPR_MESSAGE_QUEUED &&
	    mpr_owner_slot(a->value) == MPR_MESSAGE_RETURNED)
		a->fault = EXPLORE_LATE;
}

/* Who is done wakes a producer. */

static void
wants_not_looked_at(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_LOAD, QUEUE_WANTS_BLOCK))
		answer(a, 0);
}

static void
wants_not_set(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_STORE, QUEUE_WANTS_BLOCK) && a->value)
		a->fault = EXPLORE_DROPPED;
}

static void
awaits_not_set(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_STORE, QUEUE_AWAITS) && a->value)
		a->fault = EXPLORE_DROPPED;
}

static void
wants_looked_at_relaxed(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_LOAD, QUEUE_WANTS_BLOCK))
		a->order = memory_order_relaxed;
}

/* In the attempt before the sleep. It looks at the only block several times,
 * and one stale read must do. */
static void
block_looked_at_relaxed(struct explore_access *a)
{
	if (!is(a, QUEUE_PUTS, EXPLORE_LOAD, QUEUE_BLOCK))
		return;
	if (follows(a, EXPLORE_STORE, QUEUE_WANTS_BLOCK))
		a->order = memory_order_relaxed;
	else if (explore_peek(&queue_lane(a->fiber)->awaits))
		a->fault = EXPLORE_CACHED;
}

static void
no_second_try(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_LOAD, QUEUE_BLOCK) &&
	    !queue_is_recovering(a->fiber))
		a->fault = EXPLORE_CACHED;
}

static void
offered_silently(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_ADD, QUEUE_EVENT) &&
	    follows(a, EXPLORE_CAS, QUEUE_AWAITS))
		a->fault = EXPLORE_DROPPED;
}

/* Who found nobody waiting says so, and does not look once more. */
static void
wants_cleared_for_good(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_LOAD, QUEUE_AWAITS) &&
	    follows(a, EXPLORE_STORE, QUEUE_WANTS_BLOCK))
		answer(a, 0);
}

/* By one that took a block without having slept: others are faster up to its
 * last attempt before that. */
static void
offer_not_passed_on(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_LOAD, QUEUE_WANTS_BLOCK))
		answer(a, 0);
	else if (is(a, QUEUE_PUTS, EXPLORE_CAS, QUEUE_BLOCK) &&
		 a->fiber == 0 &&
		 mpr_owner_state(a->value) == MPR_MESSAGE_WRITTEN &&
		 !explore_peek(&queue_lane(0)->awaits))
		a->fault = EXPLORE_LOST;
}

/* Joining. */

static void
watched_not_set(struct explore_access *a)
{
	if (is(a, QUEUE_JOINS, EXPLORE_CAS, QUEUE_WATCHED_BLOCKS))
		a->value = 0;
}

static void
watched_not_looked_at(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_LOAD, QUEUE_WATCHED_BLOCKS))
		answer(a, 0);
}

static void
watched_looked_at_relaxed(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_LOAD, QUEUE_WATCHED_BLOCKS))
		a->order = memory_order_relaxed;
}

static void
no_second_look_of_join(struct explore_access *a)
{
	if (is(a, QUEUE_JOINS, EXPLORE_LOAD, QUEUE_BLOCK) &&
	    follows(a, EXPLORE_CAS, QUEUE_WATCHED_BLOCKS))
		a->fault = EXPLORE_CACHED;
}

/* What it asks blocks that are WRITTEN comes after another load. */
static void
join_does_not_see_puts(struct explore_access *a)
{
	if (is(a, QUEUE_JOINS, EXPLORE_LOAD, QUEUE_TAIL) &&
	    follows(a, EXPLORE_LOAD, QUEUE_BLOCK))
		a->fault = EXPLORE_CACHED;
}

/* Draining. */

static void
holders_not_asked_for(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_LOAD, QUEUE_BLOCK) &&
	    follows(a, EXPLORE_LOAD, QUEUE_BUSY))
		answer(a, 0);
}

static void
done_silently_in_a_drain(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_LOAD, QUEUE_CLOSING) &&
	    follows(a, EXPLORE_LOAD, QUEUE_WANTS_MEMORY))
		answer(a, 0);
}

/* One order. The single consumer loads a head only when it has found a message
 * there. */

static void
one_look(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_LOAD, QUEUE_TAIL) &&
	    follows(a, EXPLORE_LOAD, QUEUE_HEAD))
		a->fault = EXPLORE_CACHED;
}

static void
no_second_look_for_lanes(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_LOAD, QUEUE_LINK) &&
	    follows(a, EXPLORE_LOAD, QUEUE_HEAD))
		a->fault = EXPLORE_CACHED;
}

/* Then the first lane's message is first. */
static void
stamps_all_the_same(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_ADD, QUEUE_STAMPS))
		a->fault = EXPLORE_DROPPED;
}

/* It has the stamp, and others may draw the same until it has returned. */
static void
stamp_drawn_after_publishing(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_ADD, QUEUE_STAMPS))
		a->fault = EXPLORE_LATE;
}

static const struct gate gates[] = {
	GATE(deaths_not_compared, QUEUE_KEPT_REUSED, DEEP_KILLS),
	GATE(deaths_not_compared, QUEUE_KEPT_TWO_DEATHS, DEEP_KILLS),
	GATE(deaths_not_counted, QUEUE_KEPT_LETTER, KILLS),
	GATE(returned_without_comparing, QUEUE_KEPT_REUSED, DEEP_KILLS),
	GATE(settled_after_the_seat, QUEUE_KEPT_DONE, KILLS),
	GATE(requeue_counted_first, QUEUE_KEPT_REQUEUED, PLAIN),
	GATE(no_second_look_at_returns, QUEUE_KEPT_REQUEUED, PLAIN),
	GATE(no_second_look_at_letters, QUEUE_KEPT_LETTER, KILLS),
	GATE(wants_not_looked_at, QUEUE_KEPT_FULL, PLAIN),
	GATE(wants_not_set, QUEUE_KEPT_FULL, PLAIN),
	GATE(awaits_not_set, QUEUE_KEPT_FULL, PLAIN),
	GATE(wants_looked_at_relaxed, QUEUE_KEPT_FULL, WEAK),
	GATE(block_looked_at_relaxed, QUEUE_KEPT_FULL, WEAK),
	GATE(no_second_try, QUEUE_KEPT_FULL, PLAIN),
	GATE(offered_silently, QUEUE_KEPT_FULL, PLAIN),
	GATE(wants_cleared_for_good, QUEUE_KEPT_FULL_TWO_PRODUCERS, PLAIN),
	GATE(offer_not_passed_on, QUEUE_KEPT_FULL_TWO_BLOCKS, PLAIN),
	GATE(watched_not_set, QUEUE_KEPT_JOIN, PLAIN),
	GATE(watched_not_looked_at, QUEUE_KEPT_JOIN, PLAIN),
	GATE(watched_looked_at_relaxed, QUEUE_KEPT_JOIN, WEAK),
	GATE(no_second_look_of_join, QUEUE_KEPT_JOIN, PLAIN),
	GATE(join_does_not_see_puts, QUEUE_KEPT_JOIN_WORKER, PLAIN),
	GATE(holders_not_asked_for, QUEUE_KEPT_DRAIN, PLAIN),
	GATE(done_silently_in_a_drain, QUEUE_KEPT_DRAIN, PLAIN),
	GATE(one_look, QUEUE_ORDERED_PUTS, PLAIN),
	GATE(no_second_look_for_lanes, QUEUE_ORDERED_NEW_LANE, PLAIN),
	GATE(stamps_all_the_same, QUEUE_ORDERED_REVERSED, PLAIN),
	GATE(stamp_drawn_after_publishing, QUEUE_ORDERED_REVERSED, KILLS),
};

int
main(void)
{
	return queue_run_gates(gates, sizeof(gates) / sizeof(gates[0]));
}
