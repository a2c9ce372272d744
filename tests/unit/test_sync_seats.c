/* SPDX-License-Identifier: MIT */
/*
 * Seats: taken and given back, woken one by one or all, and taken back from
 * the dead by those who recover.
 */
#include <errno.h>

#include <mproc/core.h>

#include "arena/heap.h"
#include "arena/recover.h"
#include "base/owner.h"
#include "common.h"
#include "mpt_times.h"
#include "os/clock.h"
#include "sync/park.h"
#include "sync/seats.h"

/* Seven in the object, 31 in each block. */
#define MANY (MPR_SEATS_FIRST + 2 * MPR_SEATS_MORE + 1)

/* An object with seats, in the arena. */
struct object {
	struct mpr_seats seats;
	_Atomic uint32_t hint;
};

static struct object *object;
static _Atomic uint64_t *seat[MANY];

static int
new_object(void **state)
{
	if (mpt_setup(state) < 0)
		return -1;
	/* Seats are never given back: a fresh object for each test. */
	object = mproc_alloc(sizeof(*object));
	return object ? 0 : -1;
}

#define seat_test(f) { #f, f, new_object, mpt_teardown, (void *)(uintptr_t)#f }

static unsigned
count(unsigned state)
{
	struct mpr_seat_walk walk = { 0 };
	_Atomic uint64_t *s;
	unsigned n = 0;

	while ((s = mpr_seat_next(the_arena(), &object->seats, &walk)))
		n += mpr_owner_state(*s) == state;
	return n;
}

static void
take(struct mpt *t, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(mpr_seat_take(the_arena(), join_arena(t),
					       &object->seats, &seat[i]), 0);
}

static void
leave(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		mpr_seat_leave(seat[i]);
}

static void
nobody_has_a_seat_at_first(void **state)
{
	(void)state;
	assert_int_equal(count(MPR_SEAT_FREE), MPR_SEATS_FIRST);
	assert_false(mpr_seats_any(the_arena(), &object->seats));
}

static void
each_seat_is_another_and_names_its_owner(void **state)
{
	struct mpt *t = *state;

	take(t, MANY);
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(mpr_owner_state(*seat[i]), MPR_SEAT_TAKEN);
		assert_int_equal(mpr_owner_slot(*seat[i]), join_arena(t)->slot);
		for (unsigned k = 0; k < i; k++)
			assert_ptr_not_equal(seat[i], seat[k]);
	}
	assert_int_equal(count(MPR_SEAT_TAKEN), MANY);
	assert_true(mpr_seats_any(the_arena(), &object->seats));
	leave(MANY);
	assert_false(mpr_seats_any(the_arena(), &object->seats));
}

static void
a_seat_in_the_last_block_is_seen(void **state)
{
	struct mpt *t = *state;

	take(t, MANY);
	leave(MANY - 1);
	assert_true(mpr_seats_any(the_arena(), &object->seats));
	mpr_seat_leave(seat[MANY - 1]);
	assert_false(mpr_seats_any(the_arena(), &object->seats));
}

static void
seats_are_used_again_with_another_epoch(void **state)
{
	struct mpt *t = *state;
	uint64_t blocks, bytes, blocks_after, bytes_after, word;

	take(t, MANY);
	word = *seat[40];
	leave(MANY);
	mpr_heap_count(the_arena(), &blocks, &bytes);
	for (int round = 0; round < 10; round++) {
		take(t, MANY);
		assert_int_not_equal(mpr_owner_epoch(*seat[40]),
				     mpr_owner_epoch(word));
		leave(MANY);
	}
	mpr_heap_count(the_arena(), &blocks_after, &bytes_after);
	assert_int_equal(blocks_after, blocks);
}

static unsigned
waiting(void)
{
	return count(MPR_SEAT_WAITING);
}

static void
wake_one_chooses_one_at_a_time(void **state)
{
	struct mpt *t = *state;

	take(t, MANY);
	for (unsigned i = 0; i < MANY; i++)
		mpr_seat_wait(seat[i], &object->hint);
	for (unsigned left = MANY; left; left--) {
		assert_int_equal(waiting(), left);
		assert_int_equal(object->hint, 1);
		mpr_seats_wake(the_arena(), &object->seats, &object->hint, 1);
	}
	assert_int_equal(waiting(), 0);
	for (unsigned i = 0; i < MANY; i++)
		assert_true(mpr_seat_unwait(seat[i]));
	leave(MANY);
}

static void
as_many_are_chosen_as_there_is_work_for(void **state)
{
	struct mpt *t = *state;

	take(t, MANY);
	for (unsigned i = 0; i < MANY; i++)
		mpr_seat_wait(seat[i], &object->hint);
	mpr_seats_wake(the_arena(), &object->seats, &object->hint, 16);
	assert_int_equal(waiting(), MANY - 16);
	mpr_seats_wake(the_arena(), &object->seats, &object->hint, 2 * MANY);
	assert_int_equal(waiting(), 0);
	/* Some were found, so that there may be more was not looked into. */
	assert_int_equal(object->hint, 1);
	leave(MANY);
}

static void
who_waits_at_times_is_told_from_who_never_does(void **state)
{
	struct mpt *t = *state;

	take(t, 3);
	mpr_seat_awake(seat[0]);
	mpr_seat_wait(seat[1], &object->hint);
	assert_int_equal(count(MPR_SEAT_AWAKE), 1);
	mpr_seats_wake_all(the_arena(), &object->seats);
	assert_int_equal(count(MPR_SEAT_AWAKE), 2);
	assert_int_equal(count(MPR_SEAT_TAKEN), 1);
	leave(3);
	assert_false(mpr_seats_any(the_arena(), &object->seats));
}

static void
wake_waiters_wakes_all_but_who_never_waits(void **state)
{
	struct mpt *t = *state;
	uint32_t ticket = mpr_park_ticket(join_arena(t));

	take(t, 1);
	mpr_seats_wake_waiters(the_arena(), &object->seats);
	assert_int_equal(mpr_park_ticket(join_arena(t)), ticket);
	/* It may have been chosen by one that died before it woke it. */
	mpr_seat_awake(seat[0]);
	mpr_seats_wake_waiters(the_arena(), &object->seats);
	assert_int_equal(mpr_park_ticket(join_arena(t)), ++ticket);
	mpr_seat_wait(seat[0], &object->hint);
	mpr_seats_wake_waiters(the_arena(), &object->seats);
	assert_int_equal(mpr_park_ticket(join_arena(t)), ++ticket);
	assert_true(mpr_seat_unwait(seat[0]));
	leave(1);
}

static void
wake_all_chooses_all(void **state)
{
	struct mpt *t = *state;

	take(t, MANY);
	for (unsigned i = 0; i < MANY; i += 2)
		mpr_seat_wait(seat[i], &object->hint);
	mpr_seats_wake_all(the_arena(), &object->seats);
	assert_int_equal(waiting(), 0);
	for (unsigned i = 0; i < MANY; i += 2)
		assert_true(mpr_seat_unwait(seat[i]));
	leave(MANY);
}

static void
who_was_not_chosen_ends_its_wait_itself(void **state)
{
	struct mpt *t = *state;

	take(t, 1);
	mpr_seat_wait(seat[0], &object->hint);
	assert_false(mpr_seat_unwait(seat[0]));
	assert_int_equal(mpr_owner_state(*seat[0]), MPR_SEAT_AWAKE);
	leave(1);
}

static void
the_hint_is_cleared_when_nobody_waits(void **state)
{
	struct mpt *t = *state;

	take(t, 2);
	mpr_seat_wait(seat[0], &object->hint);
	assert_int_equal(object->hint, 1);
	assert_false(mpr_seat_unwait(seat[0]));
	assert_int_equal(object->hint, 1);
	mpr_seats_wake(the_arena(), &object->seats, &object->hint, 1);
	assert_int_equal(object->hint, 0);
	leave(2);
}

static void
without_the_hint_nobody_is_looked_for(void **state)
{
	struct mpt *t = *state;

	take(t, 1);
	mpr_seat_wait(seat[0], &object->hint);
	object->hint = 0;
	mpr_seats_wake(the_arena(), &object->seats, &object->hint, 1);
	assert_int_equal(waiting(), 1);
	assert_false(mpr_seat_unwait(seat[0]));
	leave(1);
}

/* In the scratch bytes. */
struct board {
	_Atomic unsigned ready;
	_Atomic unsigned rounds;
	_Atomic unsigned items;
	_Atomic unsigned stop;
};

static int
sit_and_wait(struct mpt *t, void *arg)
{
	struct mpr_self *self = join_arena(t);
	struct board *b = mpt_scratch(t);
	_Atomic uint64_t *mine;

	(void)arg;
	mpt_check_int(t, mpr_seat_take(the_arena(), self, &object->seats,
				       &mine), 0);
	mpr_seat_wait(mine, &object->hint);
	b->ready++;
	wait_to_be_killed(t);
	return 0;
}

static void
seats_of_the_dead_are_found(void **state)
{
	uint64_t word;
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	struct mpr_participant *p = NULL;
	unsigned slot;
	int id;

	take(t, 10);
	id = mpt_spawn(t, "victim", sit_and_wait, NULL);
	mpt_until(t, b->ready == 1);
	for (slot = 0; slot < mpr_participants_high(the_arena()); slot++) {
		p = mpr_participant_at(the_arena(), slot);
		if (p->pid == (uint32_t)mpt_pid(t, id))
			break;
	}
	/* It is asked for by the ident of the dead one only. */
	assert_null(mpr_seat_of_dead(the_arena(), &object->seats, slot,
				     p->ident + 4, &word));
	assert_non_null(mpr_seat_of_dead(the_arena(), &object->seats, slot,
					 p->ident, &word));
	mpt_kill(t, id);
	assert_int_equal(waiting(), 1);
	mpr_recover_all(the_arena(), true);
	leave(10);
}

/* One item, one wake-up: nobody may sleep while there is one. */
static int
take_items(struct mpt *t, void *arg)
{
	struct mpr_self *self = join_arena(t);
	struct board *b = mpt_scratch(t);
	_Atomic uint64_t *mine;

	(void)arg;
	mpt_check_int(t, mpr_seat_take(the_arena(), self, &object->seats,
				       &mine), 0);
	for (;;) {
		unsigned items = b->items;
		uint32_t ticket;

		while (items && !atomic_compare_exchange_weak(&b->items, &items,
							      items - 1))
			;
		if (items) {
			b->rounds++;
			continue;
		}
		if (b->stop)
			break;
		mpr_seat_wait(mine, &object->hint);
		ticket = mpr_park_ticket(self);
		if (!b->items && !b->stop)
			mpr_park(self, object, ticket, MPR_NEVER);
		if (mpr_seat_unwait(mine) && b->items)
			continue;
	}
	mpr_seat_leave(mine);
	return 0;
}

static void
waiters_take_all_there_is(struct mpt *t, bool threads)
{
	struct board *b = mpt_scratch(t);
	unsigned n = amount(3000);

	mpt_use_threads(t, threads);
	for (int i = 0; i < 3; i++)
		mpt_spawn(t, "waiter", take_items, NULL);
	for (unsigned i = 0; i < n; i++) {
		b->items++;
		mpr_seats_wake(the_arena(), &object->seats, &object->hint, 1);
	}
	mpt_until(t, b->rounds == n);
	b->stop = 1;
	mpr_seats_wake_all(the_arena(), &object->seats);
	mpt_join_all(t);
	assert_int_equal(count(MPR_SEAT_FREE), MPR_SEATS_FIRST);
	mpr_recover_all(the_arena(), true);
}

static void
a_chosen_sleeper_is_woken(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int id = mpt_spawn(t, "waiter", take_items, NULL);
	struct mpt_times spent = { 0 };
	int64_t began;

	for (unsigned i = 1; i <= 10; i++) {
		mpt_until(t, waiting() == 1 &&
				     mpt_task_state(mpt_pid(t, id)) == 'S');
		began = mproc_now();
		b->items++;
		mpr_seats_wake(the_arena(), &object->seats, &object->hint, 1);
		mpt_until(t, b->rounds == i);
		mpt_times_add(&spent, mproc_now() - began);
	}
	/* By itself it would wake up after 50 ms. */
	assert_true(mpt_times_median(&spent) < INT64_C(25000000));
	b->stop = 1;
	mpr_seats_wake_all(the_arena(), &object->seats);
	mpt_join_all(t);
	mpr_recover_all(the_arena(), true);
}

static void
waiting_threads_take_all_there_is(void **state)
{
	waiters_take_all_there_is(*state, true);
}

static void
waiting_processes_take_all_there_is(void **state)
{
	waiters_take_all_there_is(*state, false);
}

static int
come_and_go(struct mpt *t, void *arg)
{
	struct mpr_self *self = join_arena(t);
	_Atomic uint64_t *mine[5];

	(void)arg;
	for (unsigned round = amount(2000); round; round--) {
		for (int i = 0; i < 5; i++) {
			mpt_check_int(t, mpr_seat_take(the_arena(), self,
						       &object->seats,
						       &mine[i]), 0);
			mpt_check_int(t, mpr_owner_slot(*mine[i]), self->slot);
		}
		for (int i = 0; i < 5; i++)
			mpr_seat_leave(mine[i]);
	}
	return 0;
}

static void
threads_never_share_a_seat(void **state)
{
	struct mpt *t = *state;

	mpt_use_threads(t, true);
	for (int i = 0; i < 4; i++)
		mpt_spawn(t, "thread", come_and_go, NULL);
	mpt_join_all(t);
	assert_false(mpr_seats_any(the_arena(), &object->seats));
}

static void
a_corrupt_list_is_not_followed(void **state)
{
	static const uint64_t bad[] = { 1, 4096, UINT64_MAX - 7, UINT64_MAX };
	struct mpt *t = *state;

	for (unsigned i = 0; i < 4; i++) {
		object->seats.more = bad[i];
		assert_int_equal(count(MPR_SEAT_FREE), MPR_SEATS_FIRST);
	}
	/* A ring. */
	object->seats.more = 0;
	take(t, MPR_SEATS_FIRST + 1);
	((struct mpr_seat_block *)mpr_arena_at(the_arena(),
					       object->seats.more))->more =
		object->seats.more;
	assert_int_equal(count(MPR_SEAT_FREE), MPR_SEATS_MORE - 1);
	leave(MPR_SEATS_FIRST + 1);
}

/* Words of another object look like seats, that wait or are free. */
static void
seats_of_others_are_left_alone(void **state)
{
	struct object *other = object;
	struct mpr_seat_block *block;
	struct mpt *t = *state;
	uint64_t places[3];

	take(t, MPR_SEATS_FIRST + 1);
	block = mpr_arena_at(the_arena(), other->seats.more);
	mpr_seat_wait(seat[0], &other->hint);
	mpr_seat_wait(seat[MPR_SEATS_FIRST], &other->hint);
	places[0] = other->seats.more;
	places[1] = mpr_arena_offset(the_arena(), other);
	places[2] = mpr_arena_offset(the_arena(), &block->seat[0]);
	object = mproc_alloc(sizeof(*object));
	assert_non_null(object);
	for (unsigned i = 0; i < MPR_SEATS_FIRST; i++)
		assert_int_equal(mpr_seat_take(the_arena(), join_arena(t),
					       &object->seats,
					       &seat[MPR_SEATS_FIRST + 1 + i]),
				 0);
	for (unsigned i = 0; i < 3; i++) {
		object->seats.more = places[i];
		assert_int_equal(count(MPR_SEAT_TAKEN), MPR_SEATS_FIRST);
		assert_int_equal(count(MPR_SEAT_WAITING), 0);
		mpr_seats_wake_all(the_arena(), &object->seats);
		assert_int_equal(mpr_seat_take(the_arena(), join_arena(t),
					       &object->seats,
					       &seat[2 * MPR_SEATS_FIRST + 1]),
				 -EBADMSG);
	}
	assert_false(mpr_seat_unwait(seat[0]));
	assert_false(mpr_seat_unwait(seat[MPR_SEATS_FIRST]));
	assert_int_equal(block->more, 0);
	leave(2 * MPR_SEATS_FIRST + 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		seat_test(nobody_has_a_seat_at_first),
		seat_test(each_seat_is_another_and_names_its_owner),
		seat_test(a_seat_in_the_last_block_is_seen),
		seat_test(seats_are_used_again_with_another_epoch),
		seat_test(wake_one_chooses_one_at_a_time),
		seat_test(as_many_are_chosen_as_there_is_work_for),
		seat_test(who_waits_at_times_is_told_from_who_never_does),
		seat_test(wake_waiters_wakes_all_but_who_never_waits),
		seat_test(wake_all_chooses_all),
		seat_test(who_was_not_chosen_ends_its_wait_itself),
		seat_test(the_hint_is_cleared_when_nobody_waits),
		seat_test(without_the_hint_nobody_is_looked_for),
		seat_test(seats_of_the_dead_are_found),
		seat_test(a_chosen_sleeper_is_woken),
		seat_test(waiting_threads_take_all_there_is),
		seat_test(waiting_processes_take_all_there_is),
		seat_test(threads_never_share_a_seat),
		seat_test(a_corrupt_list_is_not_followed),
		seat_test(seats_of_others_are_left_alone),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
