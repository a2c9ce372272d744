/* SPDX-License-Identifier: MIT */
/*
 * The mutation gate of sleeping and waking: with one access of the queue made
 * wrong, some schedule must fail. Otherwise test_queue.c is blind there.
 *
 * Some things have no mutant. A hint that is not set again by who has cleared it
 * and then finds someone (sync/seats.c): it wakes all of them anyway, and each
 * sets the hint before it sleeps again, so that only time is lost, while the
 * waker is stopped in between. A producer's ticket that is read after its want:
 * who takes the want has made the room that the producer then sees. Steps of a
 * message in a block that change places, as accesses can be made wrong but not
 * be exchanged: test_queue_block.c and test_queue_block_end.c of the suite step
 * have been seen to find these.
 */
#include "base/macros.h"
#include "base/owner.h"
#include "ipc/message_block.h"
#include "queue_mutants.h"

/* Falling asleep for a message. */

static void
no_fence_before_sleep(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_BARRIER, QUEUE_FENCE))
		a->fault = EXPLORE_DROPPED;
}

static void
no_second_look(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_LOAD, QUEUE_TAIL) &&
	    follows(a, EXPLORE_BARRIER, QUEUE_FENCE))
		a->fault = EXPLORE_CACHED;
}

static void
no_second_look_for_lanes(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_LOAD, QUEUE_LINK) &&
	    follows(a, EXPLORE_BARRIER, QUEUE_FENCE))
		a->fault = EXPLORE_CACHED;
}

static void
ticket_after_announcement(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_BARRIER, QUEUE_FENCE))
		queue_forge_ticket(a->fiber);
}

static void
hint_not_set(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_STORE, QUEUE_HINT))
		a->fault = EXPLORE_DROPPED;
}

/* Waking for a message. */

static void
woken_before_put(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_STORE, QUEUE_TAIL))
		a->fault = EXPLORE_LATE;
}

static void
woken_in_vain(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_ADD, QUEUE_EVENT))
		a->fault = EXPLORE_DROPPED;
}

/* Who found nobody clears the hint, and does not look once more. */
static void
hint_cleared_for_good(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_LOAD, QUEUE_SEAT) &&
	    follows(a, EXPLORE_STORE, QUEUE_HINT))
		answer(a, 0);
}

static void
hint_cleared_late(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_STORE, QUEUE_HINT) && a->value == 0)
		a->fault = EXPLORE_LATE;
}

static void
seats_looked_at_relaxed(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_LOAD, QUEUE_SEAT))
		a->order = memory_order_relaxed;
}

static void
wake_up_not_passed_on(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_LOAD, QUEUE_HINT))
		answer(a, 0);
}

/* Not by one either that gives up. */
static void
lost_races_not_passed_on(struct explore_access *a)
{
	queue_lose_races(a);
	wake_up_not_passed_on(a);
}

/* A put that looked for room last has put nothing, but maybe padding. */
static void
padding_not_announced(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_LOAD, QUEUE_HINT) &&
	    follows(a, EXPLORE_FENCE, QUEUE_FENCE))
		answer(a, 0);
}

/* Waiting for room. */

static void
no_fence_before_sleep_for_room(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_BARRIER, QUEUE_FENCE))
		a->fault = EXPLORE_DROPPED;
}

static void
no_second_look_for_room(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_LOAD, QUEUE_HEAD) &&
	    follows(a, EXPLORE_BARRIER, QUEUE_FENCE))
		a->fault = EXPLORE_CACHED;
}

static void
want_taken_without_wake_up(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_ADD, QUEUE_EVENT))
		a->fault = EXPLORE_DROPPED;
}

/* The want is looked at only where a message was taken. */
static void
padding_passed_silently(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_LOAD, QUEUE_WANT) &&
	    follows(a, EXPLORE_LOAD, QUEUE_TAIL))
		answer(a, 0);
}

/* Recovery. */

static void
recovery_wakes_nobody(struct explore_access *a)
{
	if (a->kind == EXPLORE_ADD && a->id == QUEUE_EVENT &&
	    queue_is_recovering(a->fiber))
		a->fault = EXPLORE_DROPPED;
}

/* Only those that are marked as waiting, which one that was chosen by the dead
 * is not any more. */
static void
recovery_wakes_who_waits(struct explore_access *a)
{
	if (a->kind == EXPLORE_ADD && a->id == QUEUE_EVENT &&
	    queue_is_recovering(a->fiber) &&
	    !follows(a, EXPLORE_CAS, QUEUE_SEAT))
		a->fault = EXPLORE_DROPPED;
}

static void
lane_not_given_back(struct explore_access *a)
{
	if (a->kind == EXPLORE_CAS && a->id == QUEUE_OWNER)
		a->fault = EXPLORE_LOST;
}

/* Shutting down. */

static void
busy_ignored(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_LOAD, QUEUE_BUSY))
		answer(a, 0);
}

static bool
follows_entry(const struct explore_access *a)
{
	return follows(a, EXPLORE_STORE, QUEUE_BUSY) && a->value_before == 1;
}

static void
closing_read_before_entry(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_LOAD, QUEUE_CLOSING) && follows_entry(a))
		a->fault = EXPLORE_CACHED;
}

static void
no_fence_before_final_look(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_BARRIER, QUEUE_FENCE) &&
	    follows(a, EXPLORE_LOAD, QUEUE_CLOSING))
		a->fault = EXPLORE_DROPPED;
}

/* Messages are looked for before it is asked who is busy. */
static void
busy_left_relaxed(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_STORE, QUEUE_BUSY))
		a->order = memory_order_relaxed;
}

/* Somebody may wait for just that. */
static void
busy_left_silently(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_LOAD, QUEUE_CLOSING) && !follows_entry(a))
		answer(a, 0);
}

static void
shutdown_wakes_nobody(struct explore_access *a)
{
	if (is(a, QUEUE_SHUTS_DOWN, EXPLORE_ADD, QUEUE_EVENT))
		a->fault = EXPLORE_DROPPED;
}

/* Messages in blocks. */

static unsigned
state_of(const struct explore_access *a)
{
	return mpr_owner_state(a->value);
}

static bool
takes(const struct explore_access *a)
{
	return is(a, QUEUE_GETS, EXPLORE_CAS, QUEUE_BLOCK) &&
	       !queue_is_recovering(a->fiber) &&
	       state_of(a) == MPR_MESSAGE_TAKEN;
}

/* Any message in the block is taken for the one of the reference. */
static void
epoch_not_compared(struct explore_access *a)
{
	uint64_t use, word;

	if (queue_part_of(a->fiber) != QUEUE_GETS || a->id != QUEUE_BLOCK ||
	    queue_is_recovering(a->fiber))
		return;
	if (a->kind == EXPLORE_LOAD) {
		word = queue_block_at_head(a->fiber, &use);
		answer(a, mpr_owner(use, mpr_owner_slot(word),
				    mpr_owner_state(word)));
	} else if (takes(a)) {
		a->fault = EXPLORE_BLIND;
	}
}

static void
taken_without_comparing(struct explore_access *a)
{
	if (takes(a))
		a->fault = EXPLORE_BLIND;
}

/* It is free for the next message before it has been copied. */
static void
free_before_the_copy(struct explore_access *a)
{
	if (takes(a))
		a->value = mpr_owner_with_state(a->value, MPR_MESSAGE_FREE);
}

/* One of several leaves it as it is. */
static void
never_free(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_CAS, QUEUE_BLOCK) &&
	    state_of(a) == MPR_MESSAGE_FREE)
		a->fault = EXPLORE_LOST;
}

static void
queued_without_comparing(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_CAS, QUEUE_BLOCK) &&
	    state_of(a) == MPR_MESSAGE_QUEUED)
		a->fault = EXPLORE_BLIND;
}

static void
length_after_the_reference(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_STORE, QUEUE_LENGTH))
		a->fault = EXPLORE_LATE;
}

static void
abort_gives_nothing_back(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_CAS, QUEUE_BLOCK) &&
	    state_of(a) == MPR_MESSAGE_FREE && a->kind_before == EXPLORE_STORE)
		a->fault = EXPLORE_LOST;
}

/* What the dead one's lane says: no lane is its own. */
static void
lane_not_asked(struct explore_access *a)
{
	if (a->kind == EXPLORE_LOAD && a->id == QUEUE_OWNER &&
	    queue_is_recovering(a->fiber) &&
	    follows(a, EXPLORE_LOAD, QUEUE_BLOCK))
		answer(a, 0);
}

/* Nor whether what it notes was published. */
static void
tail_not_asked(struct explore_access *a)
{
	if (a->kind == EXPLORE_LOAD && a->id == QUEUE_TAIL &&
	    queue_is_recovering(a->fiber) &&
	    follows(a, EXPLORE_LOAD, QUEUE_NOTE))
		answer(a, INT64_MAX);
}

static void
all_of_the_dead_is_queued(struct explore_access *a)
{
	if (a->kind == EXPLORE_CAS && a->id == QUEUE_BLOCK &&
	    queue_is_recovering(a->fiber))
		a->value = mpr_owner_with_state(a->value, MPR_MESSAGE_QUEUED);
}

static void
blocks_not_given_back(struct explore_access *a)
{
	if (a->kind == EXPLORE_CAS && a->id == QUEUE_BLOCK &&
	    queue_is_recovering(a->fiber))
		a->fault = EXPLORE_LOST;
}

/* Whoever has it by now. */
static void
given_back_without_comparing(struct explore_access *a)
{
	if (a->kind == EXPLORE_CAS && a->id == QUEUE_BLOCK &&
	    queue_is_recovering(a->fiber))
		a->fault = EXPLORE_BLIND;
}

/* Waiting for memory. */

static void
wants_not_looked_at(struct explore_access *a)
{
	if (a->kind == EXPLORE_LOAD && a->id == QUEUE_WANTS_MEMORY)
		answer(a, 0);
}

static void
wants_not_set(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_STORE, QUEUE_WANTS_MEMORY) && a->value)
		a->fault = EXPLORE_DROPPED;
}

static void
wants_looked_at_relaxed(struct explore_access *a)
{
	if (a->kind == EXPLORE_LOAD && a->id == QUEUE_WANTS_MEMORY)
		a->order = memory_order_relaxed;
}

static void
no_second_try(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_LOAD, QUEUE_BLOCK))
		a->fault = EXPLORE_CACHED;
}

static void
waiter_for_block_not_woken(struct explore_access *a)
{
	if (is(a, QUEUE_GETS, EXPLORE_ADD, QUEUE_EVENT) &&
	    !queue_is_recovering(a->fiber))
		a->fault = EXPLORE_DROPPED;
}

/* Watching. */

static void
watcher_keeps_wake_up(struct explore_access *a)
{
	if (is(a, QUEUE_WATCHES, EXPLORE_LOAD, QUEUE_HINT))
		answer(a, 0);
}

static void
no_fence_before_watching(struct explore_access *a)
{
	if (is(a, QUEUE_WATCHES, EXPLORE_BARRIER, QUEUE_FENCE))
		a->fault = EXPLORE_DROPPED;
}

static void
watcher_looks_once(struct explore_access *a)
{
	if (is(a, QUEUE_WATCHES, EXPLORE_LOAD, QUEUE_TAIL) &&
	    follows(a, EXPLORE_LOAD, QUEUE_HEAD))
		a->fault = EXPLORE_CACHED;
}

static void
watcher_announces_first(struct explore_access *a)
{
	if (is(a, QUEUE_WATCHES, EXPLORE_BARRIER, QUEUE_FENCE))
		queue_forge_ticket(a->fiber);
}

static void
watcher_not_told(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_OR, QUEUE_TOLD))
		a->fault = EXPLORE_DROPPED;
}

static void
watcher_told_after_its_wake_up(struct explore_access *a)
{
	if (is(a, QUEUE_PUTS, EXPLORE_OR, QUEUE_TOLD))
		a->fault = EXPLORE_LATE;
}

static void
recovery_tells_nobody(struct explore_access *a)
{
	if (a->kind == EXPLORE_OR && a->id == QUEUE_TOLD &&
	    queue_is_recovering(a->fiber))
		a->fault = EXPLORE_DROPPED;
}

static void
recovery_spares_who_watches(struct explore_access *a)
{
	if (a->kind == EXPLORE_ADD && a->id == QUEUE_EVENT &&
	    queue_part_of(a->fiber) == QUEUE_WATCHES &&
	    queue_is_recovering(a->fiber))
		a->fault = EXPLORE_DROPPED;
}

static const struct gate gates[] = {
	GATE(no_fence_before_sleep, QUEUE_ONE_EACH, WEAK),
	GATE(no_fence_before_sleep, QUEUE_TWO_CONSUMERS, WEAK),
	GATE(no_second_look, QUEUE_ONE_EACH, PLAIN),
	GATE(no_second_look_for_lanes, QUEUE_NEW_LANE, PLAIN),
	GATE(ticket_after_announcement, QUEUE_TWO_CONSUMERS, PLAIN),
	GATE(hint_not_set, QUEUE_ONE_EACH, PLAIN),
	GATE(woken_before_put, QUEUE_ONE_EACH, PLAIN),
	GATE(woken_before_put, QUEUE_TWO_CONSUMERS, PLAIN),
	GATE(woken_in_vain, QUEUE_ONE_EACH, PLAIN),
	GATE(hint_cleared_for_good, QUEUE_ONE_EACH, PLAIN),
	GATE(hint_cleared_late, QUEUE_ONE_EACH, PLAIN),
	GATE(seats_looked_at_relaxed, QUEUE_ONE_EACH, DEEP_WEAK),
	GATE(wake_up_not_passed_on, QUEUE_TWO_EACH, PLAIN),
	GATE(lost_races_not_passed_on, QUEUE_LOST_RACES_INTERRUPT, PLAIN),
	GATE(padding_not_announced, QUEUE_PAD, PLAIN),
	GATE(padding_not_announced, QUEUE_PAD_TWO_CONSUMERS, PLAIN),
	GATE(no_fence_before_sleep_for_room, QUEUE_ROOM_ONCE, WEAK),
	GATE(no_second_look_for_room, QUEUE_ROOM, PLAIN),
	GATE(want_taken_without_wake_up, QUEUE_ROOM, PLAIN),
	GATE(want_taken_without_wake_up, QUEUE_ROOM_IN_PLACE, PLAIN),
	GATE(want_taken_without_wake_up, QUEUE_ROOM_TWO_CONSUMERS, PLAIN),
	GATE(padding_passed_silently, QUEUE_PAD, PLAIN),
	GATE(recovery_wakes_nobody, QUEUE_BATCH, KILLS),
	GATE(recovery_wakes_nobody, QUEUE_ROOM_TWO_PRODUCERS, KILLS),
	GATE(recovery_wakes_who_waits, QUEUE_BATCH, KILLS),
	GATE(lane_not_given_back, QUEUE_DRAIN, KILLS),
	GATE(busy_ignored, QUEUE_DRAIN, PLAIN),
	GATE(closing_read_before_entry, QUEUE_DRAIN, PLAIN),
	GATE(no_fence_before_final_look, QUEUE_DRAIN, WEAK),
	GATE(busy_left_relaxed, QUEUE_DRAIN, TWICE_WEAK),
	GATE(busy_left_silently, QUEUE_DRAIN, PLAIN),
	GATE(shutdown_wakes_nobody, QUEUE_DRAIN, PLAIN),
	GATE(shutdown_wakes_nobody, QUEUE_IMMEDIATE_FULL, PLAIN),
	GATE(shutdown_wakes_nobody, QUEUE_WATCHED_DRAIN, PLAIN),
	GATE(watcher_keeps_wake_up, QUEUE_WATCHED, PLAIN),
	GATE(watcher_keeps_wake_up, QUEUE_WATCHED_TWICE, PLAIN),
	GATE(no_fence_before_watching, QUEUE_WATCHED_ALONE, WEAK),
	GATE(watcher_looks_once, QUEUE_WATCHED_ALONE, PLAIN),
	GATE(watcher_announces_first, QUEUE_WATCHED_REST, PLAIN),
	GATE(watcher_not_told, QUEUE_WATCHED_ALONE, PLAIN),
	GATE(watcher_told_after_its_wake_up, QUEUE_WATCHED_ALONE, PLAIN),
	GATE(recovery_tells_nobody, QUEUE_WATCHED, KILLS),
	GATE(recovery_spares_who_watches, QUEUE_WATCHED, KILLS),
	GATE(epoch_not_compared, QUEUE_BLOCK_ROOM_TWO_CONSUMERS, PLAIN),
	GATE(taken_without_comparing, QUEUE_BLOCK_TWO_CONSUMERS, PLAIN),
	GATE(taken_without_comparing, QUEUE_BLOCK_MIXED_BATCHES, PLAIN),
	GATE(free_before_the_copy, QUEUE_BLOCK_ROOM_TWO_CONSUMERS, PLAIN),
	GATE(never_free, QUEUE_BLOCK_ONE_EACH, PLAIN),
	GATE(never_free, QUEUE_BLOCK_TWO_CONSUMERS, PLAIN),
	GATE(queued_without_comparing, QUEUE_BLOCK_ONE_EACH, PLAIN),
	GATE(queued_without_comparing, QUEUE_BLOCK_TWO_CONSUMERS, PLAIN),
	GATE(length_after_the_reference, QUEUE_BLOCK_ONE_EACH, PLAIN),
	GATE(abort_gives_nothing_back, QUEUE_BLOCK_ABORT, PLAIN),
	GATE(lane_not_asked, QUEUE_BLOCK_TWO_CONSUMERS, KILLS),
	GATE(tail_not_asked, QUEUE_BLOCK_TWO_CONSUMERS, KILLS),
	GATE(all_of_the_dead_is_queued, QUEUE_BLOCK_TWO_CONSUMERS, KILLS),
	GATE(blocks_not_given_back, QUEUE_BLOCK_TWO_CONSUMERS, KILLS),
	GATE(given_back_without_comparing, QUEUE_BLOCK_REUSED, DEEP_KILLS),
	GATE(wants_not_looked_at, QUEUE_BLOCK_ROOM, PLAIN),
	GATE(wants_not_looked_at, QUEUE_BLOCK_ROOM_TWO_CONSUMERS, PLAIN),
	GATE(wants_not_looked_at, QUEUE_BLOCK_ABORT, PLAIN),
	GATE(wants_not_set, QUEUE_BLOCK_ROOM, PLAIN),
	GATE(wants_looked_at_relaxed, QUEUE_BLOCK_ROOM, WEAK),
	GATE(no_second_try, QUEUE_BLOCK_ROOM, PLAIN),
	GATE(waiter_for_block_not_woken, QUEUE_BLOCK_ROOM, PLAIN),
};

int
main(void)
{
	return queue_run_gates(gates, sizeof(gates) / sizeof(gates[0]));
}
