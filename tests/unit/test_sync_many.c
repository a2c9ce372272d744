/* SPDX-License-Identifier: MIT */
/*
 * One thread that waits for many events: who is woken by whom, and who is not.
 */
#include <signal.h>
#include <stdatomic.h>

#include <mproc/mproc.h>

#include "common.h"
#include "os/clock.h"
#include "sync/event.h"
#include "sync/many.h"
#include "sync/park.h"
#include "sync/wait.h"

#define EVENTS 100

/* In the scratch bytes. */
struct board {
	mproc_event *events[EVENTS];
	_Atomic pid_t tid;
	_Atomic int which; /* the event that was seen, or -1 */
	_Atomic unsigned woken;
};

static struct board *board;

/* As who waits for many does. Returns the first that is ready. */
static int
wait_for_events(struct mpr_self *self, mproc_event *const *events, int n)
{
	struct mpr_news seen[EVENTS];
	uint64_t bits = 0;
	uint32_t ticket;
	int ready = -1;

	for (int i = 0; i < n; i++) {
		seen[i] = mpr_event_see(events[i]);
		bits |= mpr_many_bit(self->arena, events[i]);
	}
	for (;;) {
		ticket = mpr_park_ticket(self);
		mpr_many_announce(self, bits);
		for (int i = 0; i < n && ready < 0; i++)
			if (mpr_news_look(&seen[i], true))
				ready = i;
		if (ready < 0)
			mpr_park(self, events[0], ticket, MPR_NEVER);
		mpr_many_announce(self, 0);
		if (ready >= 0)
			return ready;
		board->woken++;
	}
}

static int
wait_for_all(struct mpt *t, void *arg)
{
	struct mpr_self *self = join_arena(t);

	(void)arg;
	board->tid = mpt_pid(t, 0);
	board->which = wait_for_events(self, board->events, EVENTS);
	return 0;
}

static void
make_events(struct mpt *t)
{
	join_arena(t);
	board = mpt_scratch(t);
	board->which = -1;
	for (int i = 0; i < EVENTS; i++)
		assert_int_equal(mproc_event_create(&board->events[i]), 0);
}

static void
destroy_events(void)
{
	for (int i = 0; i < EVENTS; i++)
		mproc_event_destroy(board->events[i]);
}

static void
begin(struct mpt *t)
{
	make_events(t);
	mpt_spawn(t, "waiter", wait_for_all, NULL);
	mpt_until(t, board->tid);
	mpt_until(t, mpt_task_state(board->tid) == 'S');
}

static void
end(struct mpt *t)
{
	mpt_join_all(t);
	destroy_events();
}

static void
any_of_them_wakes(void **state)
{
	struct mpt *t = *state;

	begin(t);
	assert_int_equal(mproc_event_set(board->events[EVENTS - 1]), 0);
	end(t);
	assert_int_equal(board->which, EVENTS - 1);
}

/* It is over before the waiter can look. */
static void
one_that_is_cleared_at_once_is_seen(void **state)
{
	struct mpt *t = *state;

	begin(t);
	kill(mpt_pid(t, 0), SIGSTOP);
	mpt_until(t, mpt_task_state(board->tid) == 'T');
	assert_int_equal(mproc_event_set(board->events[7]), 0);
	assert_int_equal(mproc_event_clear(board->events[7]), 0);
	kill(mpt_pid(t, 0), SIGCONT);
	end(t);
	assert_int_equal(board->which, 7);
}

static void
one_that_is_destroyed_is_ready(void **state)
{
	struct mpt *t = *state;

	begin(t);
	mproc_event_destroy(board->events[50]);
	mpt_join_all(t);
	assert_int_equal(board->which, 50);
	assert_int_equal(mproc_event_create(&board->events[50]), 0);
	destroy_events();
}

/* A participant that has announced itself and does not sleep: how often it is
 * woken is told by its tickets. */
static unsigned
wakes_of(struct mpr_self *self, uint64_t bits, mproc_event *event)
{
	struct mpr_wake k;
	uint32_t ticket = mpr_park_ticket(self);

	mpr_many_announce(self, bits);
	mpr_wake_begin(&k, self->arena, self, event);
	mpr_wake_many(&k);
	mpr_wake_end(&k);
	mpr_many_announce(self, 0);
	return mpr_park_ticket(self) - ticket;
}

/* Killed between the change and the wake-up. */
static int
set_and_die(struct mpt *t, void *arg)
{
	struct mpr_self *self = join_arena(t);
	struct mpr_wake k;

	(void)arg;
	mpr_wake_begin(&k, self->arena, self, board->events[3]);
	kill(getpid(), SIGKILL);
	return 0;
}

static void
recovery_wakes_for_the_dead(void **state)
{
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t);
	uint32_t ticket;
	int id;

	make_events(t);
	mpr_many_announce(self, mpr_many_bit(self->arena, board->events[3]));
	ticket = mpr_park_ticket(self);
	id = mpt_spawn(t, "setter", set_and_die, NULL);
	mpt_expect_signal(t, id, SIGKILL);
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_true(mpr_park_ticket(self) != ticket);
	mpr_many_announce(self, 0);
	destroy_events();
}

static void
who_waits_for_others_sleeps_on(void **state)
{
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t);
	mproc_event *event;
	uint64_t bit;

	make_events(t);
	event = board->events[0];
	bit = mpr_many_bit(self->arena, event);
	assert_int_equal(wakes_of(self, bit, event), 1);
	assert_int_equal(wakes_of(self, ~UINT64_C(0), event), 1);
	assert_int_equal(wakes_of(self, ~bit, event), 0);
	assert_int_equal(wakes_of(self, 0, event), 0);
	destroy_events();
}

/* The bits tell objects apart: there are not few for many. */
static void
bits_are_spread(void **state)
{
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t);
	uint64_t bits = 0;
	int n = 0;

	make_events(t);
	for (int i = 0; i < EVENTS; i++)
		bits |= mpr_many_bit(self->arena, board->events[i]);
	for (; bits; bits &= bits - 1)
		n++;
	destroy_events();
	assert_true(n > 32);
}

static int
hold_private(struct mpt *t, void *arg)
{
	struct mpr_self *self = join_arena(t);
	uint32_t ticket = mpr_park_ticket(self);

	(void)arg;
	mpr_many_announce(self, ~UINT64_C(0));
	mpt_step(t, 0);
	mpt_reach(t, 2);
	mpt_check_int(t, mpr_park_ticket(self) - ticket, 0);
	mpr_many_announce(self, 0);
	return 0;
}

static void
private_ones_are_for_one_process(void **state)
{
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t);
	mproc_event event = { 0 };

	board = mpt_scratch(t);
	mpt_spawn(t, "stranger", hold_private, NULL);
	mpt_reach(t, 1);
	assert_int_equal(wakes_of(self, mpr_many_bit(self->arena, &event),
				  &event), 1);
	mpt_step(t, 1);
	mpt_join_all(t);
}

/* What nobody waits for with others costs no look at participants. */
static void
the_flag_goes_with_the_set(void **state)
{
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t);
	struct mpr_news seen;
	mproc_event event = { 0 };
	uint32_t ticket;

	seen = mpr_event_see(&event);
	assert_false(mpr_news_look(&seen, true));
	mpr_many_announce(self, ~UINT64_C(0));
	ticket = mpr_park_ticket(self);
	assert_int_equal(mproc_event_set(&event), 0);
	assert_int_equal(mpr_park_ticket(self) - ticket, 1);
	assert_true(mpr_news_look(&seen, true));
	assert_int_equal(mproc_event_clear(&event), 0);
	assert_true(mpr_news_look(&seen, true));
	assert_int_equal(mproc_event_set(&event), 0);
	assert_int_equal(mpr_park_ticket(self) - ticket, 1);
	mpr_many_announce(self, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(any_of_them_wakes),
		mpt_test(one_that_is_cleared_at_once_is_seen),
		mpt_test(one_that_is_destroyed_is_ready),
		mpt_test(recovery_wakes_for_the_dead),
		mpt_test(who_waits_for_others_sleeps_on),
		mpt_test(bits_are_spread),
		mpt_test(private_ones_are_for_one_process),
		mpt_test(the_flag_goes_with_the_set),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
