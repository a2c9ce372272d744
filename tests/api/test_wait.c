/* SPDX-License-Identifier: MIT */
/*
 * wait.h: mproc_wait() for things in shared memory, in one process: what is ready
 * and what is not, and what makes no sense. Who sleeps and is woken is in
 * test_wait_others.c, descriptors are in test_wait_fd.c.
 */
#include <pthread.h>

#include "wait.h"

#define MANY 1000

static void
a_queue_is_ready_with_a_message(void **state)
{
	mproc_queue *q = new_queue();

	(void)state;
	assert_int_equal(wait_queue(q, MPROC_NOWAIT), -EAGAIN);
	put_byte(q);
	assert_int_equal(wait_queue(q, MPROC_NOWAIT), 1);
	assert_int_equal(wait_queue(q, MPROC_FOREVER), 1);
	assert_int_equal(get_byte(q), 0);
	assert_int_equal(wait_queue(q, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(wait_queue(q, mproc_ms(1)), -ETIMEDOUT);
	mproc_queue_destroy(q);
}

static void
a_queue_that_is_shut_down_is_ready(void **state)
{
	mproc_queue *q = new_queue();

	(void)state;
	put_byte(q);
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	assert_int_equal(wait_queue(q, MPROC_FOREVER), 1);
	assert_int_equal(get_byte(q), 0);
	assert_int_equal(wait_queue(q, MPROC_FOREVER), 1);
	assert_int_equal(get_byte(q), -ESHUTDOWN);
	mproc_queue_destroy(q);
	q = new_queue();
	assert_int_equal(mproc_queue_shutdown(q, MPROC_IMMEDIATE), 0);
	assert_int_equal(wait_queue(q, MPROC_FOREVER), 1);
	mproc_queue_destroy(q);
	assert_int_equal(wait_queue(q, MPROC_FOREVER), 1);
}

/* Messages that are not done can come back, so nothing is final yet; but who
 * holds some itself does not get to wait for the rest. */
static void
a_queue_that_keeps_messages(void **state)
{
	mproc_queue *q = NULL, *dead = NULL;

	(void)state;
	assert_int_equal(mproc_queue_create(&q, MPROC_OPTS(
		mproc_queue_opts, .ack = true, .max_redeliveries = 1)), 0);
	put_byte(q);
	put_byte(q);
	assert_int_equal(wait_queue(q, MPROC_FOREVER), 1);
	assert_int_equal(get_byte(q), 0);
	assert_int_equal(get_byte(q), 0);
	assert_int_equal(wait_queue(q, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_queue_requeue(q), 0);
	assert_int_equal(wait_queue(q, MPROC_FOREVER), 1);
	assert_int_equal(get_byte(q), 0);
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	assert_int_equal(wait_queue(q, MPROC_FOREVER), 1);
	assert_int_equal(mproc_queue_task_done(q), 0);
	assert_int_equal(mproc_queue_task_done(q), 0);
	assert_int_equal(wait_queue(q, MPROC_FOREVER), 1);
	assert_int_equal(get_byte(q), -ESHUTDOWN);
	assert_int_equal(mproc_queue_dead_letters(q, &dead), 0);
	assert_int_equal(wait_queue(dead, mproc_ms(1)), -ETIMEDOUT);
	mproc_queue_destroy(q);
	assert_int_equal(wait_queue(dead, MPROC_FOREVER), 1);
}

static void
each_kind_of_queue(void **state)
{
	static const struct mproc_queue_opts kinds[] = {
		{ .struct_size = sizeof(kinds[0]), .ordered = true },
		{ .struct_size = sizeof(kinds[0]), .single_consumer = true },
		{ .struct_size = sizeof(kinds[0]), .joinable = true },
		{ .struct_size = sizeof(kinds[0]), .max_items = 2 },
	};
	mproc_queue *q;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		assert_int_equal(mproc_queue_create(&q, &kinds[i]), 0);
		assert_int_equal(wait_queue(q, mproc_ms(1)), -ETIMEDOUT);
		put_byte(q);
		assert_int_equal(wait_queue(q, MPROC_FOREVER), 1);
		assert_int_equal(get_byte(q), 0);
		assert_int_equal(wait_queue(q, MPROC_NOWAIT), -EAGAIN);
		mproc_queue_destroy(q);
	}
}

static void
an_event_is_ready_once_it_is_set(void **state)
{
	mproc_event *e = NULL, own = { 0 };

	(void)state;
	assert_int_equal(mproc_event_create(&e), 0);
	assert_int_equal(wait_event(e, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(wait_event(e, mproc_ms(1)), -ETIMEDOUT);
	assert_int_equal(mproc_event_set(e), 0);
	assert_int_equal(wait_event(e, MPROC_FOREVER), 1);
	assert_int_equal(mproc_event_clear(e), 0);
	assert_int_equal(wait_event(e, mproc_ms(1)), -ETIMEDOUT);
	mproc_event_destroy(e);
	assert_int_equal(wait_event(e, MPROC_FOREVER), 1);

	assert_int_equal(wait_event(&own, mproc_ms(1)), -ETIMEDOUT);
	assert_int_equal(mproc_event_set(&own), 0);
	assert_int_equal(wait_event(&own, MPROC_FOREVER), 1);
}

static void
an_end_of_a_pipe_is_ready_with_a_message(void **state)
{
	mproc_conn *a, *b;

	(void)state;
	assert_int_equal(mproc_pipe(&a, &b, NULL), 0);
	assert_int_equal(wait_conn(b, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(wait_conn(b, mproc_ms(1)), -ETIMEDOUT);
	assert_int_equal(mproc_conn_send(a, "", 0, MPROC_NOWAIT), 0);
	assert_int_equal(wait_conn(b, MPROC_FOREVER), 1);
	assert_int_equal(wait_conn(a, MPROC_NOWAIT), -EAGAIN);
	/* This process holds both, so nothing is over before it closes its own. */
	mproc_conn_close(b);
	assert_int_equal(wait_conn(b, MPROC_FOREVER), 1);
	mproc_conn_close(a);
}

static void
who_does_not_receive_is_told_so(void **state)
{
	mproc_conn *a, *b;

	(void)state;
	assert_int_equal(mproc_pipe(&a, &b, MPROC_OPTS(mproc_pipe_opts,
						       .one_way = true)), 0);
	assert_int_equal(wait_conn(a, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(wait_conn(b, MPROC_NOWAIT), -EPERM);
	mproc_conn_close(a);
	mproc_conn_close(b);
}

static void
all_that_are_ready_are_told(void **state)
{
	struct mproc_waitable items[MANY];
	mproc_queue *q[MANY];

	(void)state;
	for (int i = 0; i < MANY; i++) {
		q[i] = new_queue();
		items[i] = (struct mproc_waitable)QUEUE(q[i]);
	}
	assert_int_equal(mproc_wait(items, MANY, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_wait(items, MANY, mproc_ms(1)), -ETIMEDOUT);
	for (int i = 0; i < MANY; i += 3)
		put_byte(q[i]);
	assert_int_equal(mproc_wait(items, MANY, MPROC_FOREVER),
			 (MANY + 2) / 3);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(items[i].ret_events,
				 i % 3 == 0 ? POLLIN : 0);
	for (int i = 0; i < MANY; i++)
		mproc_queue_destroy(q[i]);
	assert_int_equal(mproc_wait(items, MANY, MPROC_FOREVER), MANY);
}

static void
the_same_thing_may_be_there_twice(void **state)
{
	mproc_queue *q = new_queue();
	mproc_event e = { 0 };
	struct mproc_waitable items[] = {
		QUEUE(q), EVENT(&e), QUEUE(q), EVENT(&e), QUEUE(q),
	};

	(void)state;
	assert_int_equal(mproc_wait(items, 5, mproc_ms(1)), -ETIMEDOUT);
	put_byte(q);
	assert_int_equal(mproc_wait(items, 5, MPROC_FOREVER), 3);
	assert_int_equal(items[2].ret_events, POLLIN);
	assert_int_equal(items[3].ret_events, 0);
	assert_int_equal(mproc_event_set(&e), 0);
	assert_int_equal(mproc_wait(items, 5, MPROC_FOREVER), 5);
	mproc_queue_destroy(q);
	assert_int_equal(mproc_wait(items, 5, MPROC_FOREVER), 5);
}

static void
nothing_at_all_is_waited_for(void **state)
{
	int64_t began = mproc_now();

	(void)state;
	assert_int_equal(mproc_wait(NULL, 0, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_wait(NULL, 0, mproc_ms(30)), -ETIMEDOUT);
	assert_true(mproc_now() - began >= 30 * MS);
	assert_int_equal(mproc_wait(NULL, 0, mproc_until(began)), -ETIMEDOUT);
	mproc_interrupt();
	assert_int_equal(mproc_wait(NULL, 0, MPROC_FOREVER), -EINTR);
	assert_int_equal(mproc_wait(NULL, 0, mproc_ms(1)), -ETIMEDOUT);
}

static void
an_interrupt_is_answered_once_by_who_has_to_wait(void **state)
{
	mproc_queue *q = new_queue();

	(void)state;
	put_byte(q);
	mproc_interrupt();
	assert_int_equal(wait_queue(q, MPROC_FOREVER), 1);
	assert_int_equal(get_byte(q), 0);
	assert_int_equal(wait_queue(q, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(wait_queue(q, MPROC_FOREVER), -EINTR);
	assert_int_equal(wait_queue(q, mproc_ms(1)), -ETIMEDOUT);
	mproc_queue_destroy(q);
}

static void
what_makes_no_sense_is_named_and_loses_nothing(void **state)
{
	mproc_queue *q = new_queue();
	mproc_event e = { 0 };
	char private[512] = { 0 };
	const struct {
		struct mproc_waitable item;
		int r;
	} bad[] = {
		{ { .kind = 0, .object = q }, -EINVAL },
		{ { .kind = 99, .object = q }, -EINVAL },
		{ QUEUE(NULL), -EINVAL },
		{ QUEUE(private), -EFAULT },
		{ QUEUE((char *)q + 8), -EINVAL },
		{ CONN(NULL), -EINVAL },
		{ CONN(private), -EFAULT },
		{ CONN(q), -EINVAL },
		{ EVENT(NULL), -EINVAL },
		{ PROCESS(NULL), -EINVAL },
		{ LISTENER(NULL), -EINVAL },
		{ READABLE(-1), -EINVAL },
		{ { .kind = MPROC_WAIT_QUEUE, .object = q, .events = POLLOUT },
		  -EINVAL },
	};

	(void)state;
	put_byte(q);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct mproc_waitable items[] = {
			QUEUE(q), EVENT(&e), bad[i].item,
		};

		assert_int_equal(mproc_wait(items, 3, MPROC_FOREVER),
				 bad[i].r);
		assert_true(detail_has("item 2 of 3: "));
		for (int k = 0; k < 3; k++)
			assert_int_equal(items[k].ret_events, 0);
	}
	assert_int_equal(mproc_wait(NULL, 1, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_wait(NULL, -1, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(wait_queue(q, MPROC_FOREVER), 1);
	assert_int_equal(get_byte(q), 0);
	mproc_queue_destroy(q);
}

static void
a_named_arena_is_waited_in_too(void **state)
{
	struct mpt *t = *state;
	mproc_queue *q = new_queue(), *named = NULL;
	mproc_event *e;
	mproc_arena *a;
	char name[64];

	mpt_name(t, name, "wait");
	assert_int_equal(mproc_arena_create(
		&a, MPROC_OPTS(mproc_arena_opts, .name = name)), 0);
	assert_int_equal(mproc_queue_create(
		&named, MPROC_OPTS(mproc_queue_opts, .arena = a)), 0);
	e = mproc_arena_alloc(a, sizeof(*e), 0);
	assert_non_null(e);
	{
		struct mproc_waitable here[] = { QUEUE(named), EVENT(e) };
		struct mproc_waitable both[] = { QUEUE(named), QUEUE(q) };

		assert_int_equal(mproc_wait(here, 2, mproc_ms(1)), -ETIMEDOUT);
		assert_int_equal(mproc_event_set(e), 0);
		put_byte(named);
		assert_int_equal(mproc_wait(here, 2, MPROC_FOREVER), 2);
		assert_int_equal(mproc_wait(both, 2, MPROC_FOREVER), 1);
		assert_int_equal(get_byte(named), 0);
		assert_int_equal(mproc_wait(both, 2, MPROC_NOWAIT), -EAGAIN);
		assert_int_equal(mproc_wait(both, 2, mproc_ms(1)), -ETIMEDOUT);
	}
	mproc_queue_destroy(named);
	mproc_queue_destroy(q);
	mproc_free(e);
	mproc_arena_close(a);
	/* It is unmapped when nobody watches it any more. */
	mpt_until(t, is_alone());
	assert_int_equal(mproc_arena_unlink(name), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_queue_is_ready_with_a_message),
		mpt_test(a_queue_that_is_shut_down_is_ready),
		mpt_test(a_queue_that_keeps_messages),
		mpt_test(each_kind_of_queue),
		mpt_test(an_event_is_ready_once_it_is_set),
		mpt_test(an_end_of_a_pipe_is_ready_with_a_message),
		mpt_test(who_does_not_receive_is_told_so),
		mpt_test(all_that_are_ready_are_told),
		mpt_test(the_same_thing_may_be_there_twice),
		mpt_test(nothing_at_all_is_waited_for),
		mpt_test(an_interrupt_is_answered_once_by_who_has_to_wait),
		mpt_test(what_makes_no_sense_is_named_and_loses_nothing),
		mpt_test(a_named_arena_is_waited_in_too),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
