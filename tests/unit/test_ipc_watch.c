/* SPDX-License-Identifier: MIT */
/*
 * What a watcher sees of a queue, and which wake-ups it passes on. Others who
 * sleep are seats that say so.
 */
#include <mproc/mproc.h>

#include "common.h"
#include "ipc/queue_watch.h"

#define SLEEPERS 3

static mproc_queue *q;
static struct mpr_watch w;
static _Atomic uint64_t *seats[SLEEPERS];

static void
begin(struct mpt *t)
{
	assert_int_equal(mproc_queue_create(&q, MPROC_OPTS(mproc_queue_opts,
							   .capacity = 4096)),
			 0);
	w = (struct mpr_watch){ 0 };
	assert_int_equal(mpr_attachment_get(q, &w.at), 0);
	for (int i = 0; i < SLEEPERS; i++)
		assert_int_equal(mpr_seat_take(the_arena(), join_arena(t),
					       &q->seats, &seats[i]), 0);
}

static void
end(void)
{
	for (int i = 0; i < SLEEPERS; i++)
		mpr_seat_leave(seats[i]);
	mproc_queue_destroy(q);
}

static void
all_sleep(void)
{
	for (int i = 0; i < SLEEPERS; i++)
		mpr_seat_wait(seats[i], &q->hint);
}

static int
how_many_sleep(void)
{
	int n = 0;

	for (int i = 0; i < SLEEPERS; i++)
		n += mpr_owner_state(*seats[i]) == MPR_SEAT_WAITING;
	return n;
}

/* Chooses the watcher, whose seat is the first. */
static void
wake_one(void)
{
	mpr_seats_wake(the_arena(), &q->seats, &q->hint, 1);
}

static void
put(void)
{
	assert_int_equal(mproc_queue_put(q, "x", 1, MPROC_NOWAIT), 0);
}

static void
messages_make_it_ready(void **state)
{
	char c;

	begin(*state);
	assert_false(mpr_watch_is_ready(&w));
	put();
	assert_true(mpr_watch_is_ready(&w));
	assert_int_equal(mproc_queue_get(q, &c, 1, NULL, MPROC_NOWAIT), 0);
	assert_false(mpr_watch_is_ready(&w));
	end();
}

static void
who_may_still_put_is_waited_for_after_a_shutdown(void **state)
{
	begin(*state);
	put();
	assert_int_equal(mproc_queue_get(q, (char[1]){ 0 }, 1, NULL,
					 MPROC_NOWAIT), 0);
	/* As a producer that is stopped inside its put. */
	w.at->producer.lane->busy = 1;
	assert_false(mpr_watch_is_ready(&w));
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	assert_false(mpr_watch_is_ready(&w));
	w.at->producer.lane->busy = 0;
	assert_true(mpr_watch_is_ready(&w));
	w.at->producer.lane->busy = 1;
	assert_int_equal(mproc_queue_shutdown(q, MPROC_IMMEDIATE), 0);
	assert_true(mpr_watch_is_ready(&w));
	w.at->producer.lane->busy = 0;
	end();
}

static void
messages_are_ready_while_a_producer_is_inside_its_put(void **state)
{
	begin(*state);
	put();
	w.at->producer.lane->busy = 1;
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	assert_true(mpr_watch_is_ready(&w));
	w.at->producer.lane->busy = 0;
	end();
}

static void
the_end_of_the_queue_makes_it_ready(void **state)
{
	uint64_t open;

	begin(*state);
	open = q->state;
	q->state = mpr_owner_with_state(open, MPR_QUEUE_GONE);
	assert_true(mpr_watch_is_ready(&w));
	q->state = open;
	end();
}

static void
corrupt_lanes_make_it_ready(void **state)
{
	uint64_t lanes;

	begin(*state);
	put();
	assert_int_equal(mproc_queue_get(q, (char[1]){ 0 }, 1, NULL,
					 MPROC_NOWAIT), 0);
	lanes = q->lanes;
	q->lanes = 3;
	assert_true(mpr_watch_is_ready(&w));
	q->lanes = lanes;
	/* A list without an end. */
	w.at->producer.lane->next = lanes;
	assert_true(mpr_watch_is_ready(&w));
	w.at->producer.lane->next = 0;
	assert_false(mpr_watch_is_ready(&w));
	end();
}

static void
who_was_chosen_is_told(void **state)
{
	begin(*state);
	assert_false(mpr_watch_is_told(&w));
	mpr_watch_begin(&w);
	assert_false(mpr_watch_is_told(&w));
	wake_one();
	assert_true(mpr_watch_is_told(&w));
	mpr_watch_begin(&w);
	assert_false(mpr_watch_is_told(&w));
	mpr_watch_end(&w);
	assert_false(mpr_watch_is_told(&w));
	end();
}

static void
a_wake_up_is_passed_on_when_there_is_something(void **state)
{
	begin(*state);
	mpr_watch_begin(&w);
	all_sleep();
	put();
	/* It has chosen the watcher. */
	assert_int_equal(how_many_sleep(), SLEEPERS);
	mpr_watch_end(&w);
	assert_int_equal(how_many_sleep(), SLEEPERS - 1);
	/* Which waits no more: the next one chooses the next one. */
	wake_one();
	assert_int_equal(how_many_sleep(), SLEEPERS - 2);
	mpr_watch_end(&w);
	assert_int_equal(how_many_sleep(), SLEEPERS - 2);
	end();
}

static void
each_wake_up_is_passed_on(void **state)
{
	begin(*state);
	mpr_watch_begin(&w);
	all_sleep();
	put();
	/* A slice is over, it announces itself again, and is chosen again. */
	mpr_watch_begin(&w);
	put();
	assert_int_equal(how_many_sleep(), SLEEPERS);
	mpr_watch_end(&w);
	assert_int_equal(how_many_sleep(), SLEEPERS - 2);
	end();
}

static void
a_wake_up_for_what_others_took_is_kept(void **state)
{
	begin(*state);
	mpr_watch_begin(&w);
	all_sleep();
	wake_one();
	mpr_watch_begin(&w);
	mpr_watch_go_on(&w);
	mpr_watch_end(&w);
	assert_int_equal(how_many_sleep(), SLEEPERS);
	end();
}

static void
who_was_not_chosen_wakes_nobody(void **state)
{
	begin(*state);
	mpr_watch_begin(&w);
	all_sleep();
	mpr_watch_end(&w);
	assert_int_equal(how_many_sleep(), SLEEPERS);
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(messages_make_it_ready),
		mpt_test(who_may_still_put_is_waited_for_after_a_shutdown),
		mpt_test(messages_are_ready_while_a_producer_is_inside_its_put),
		mpt_test(the_end_of_the_queue_makes_it_ready),
		mpt_test(corrupt_lanes_make_it_ready),
		mpt_test(who_was_chosen_is_told),
		mpt_test(a_wake_up_is_passed_on_when_there_is_something),
		mpt_test(each_wake_up_is_passed_on),
		mpt_test(a_wake_up_for_what_others_took_is_kept),
		mpt_test(who_was_not_chosen_wakes_nobody),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
