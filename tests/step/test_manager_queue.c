/* SPDX-License-Identifier: MIT */
/*
 * A client of a manager is killed after each instruction of putting, taking, and what
 * follows that. What it has put is there as a whole or not at all, what it has taken and
 * not done is there again once, and whoever else waits goes on.
 */
#include "manager.h"
#include "manager_queues.h"

/*
 * Put.
 */

/* There is no room. */
static void
narrow_begin(struct scene *s)
{
	(void)s;
	fill(objects.narrow, 1);
}

static int
put_narrow_run(struct scene *s)
{
	(void)s;
	return put(objects.narrow, 'b', BOUND);
}

static void
put_narrow_check(struct scene *s, bool finished)
{
	struct found found;

	(void)s;
	assert_false(finished);
	assert_int_equal(get(objects.narrow, BOUND), 'a');
	/* Not that of who is dead. */
	found = drain(objects.narrow);
	assert_int_equal(found.n[0] + found.n[1], 0);
	/* Whoever comes next has room. */
	assert_int_equal(put(objects.narrow, 'c', BOUND), 0);
	assert_int_equal(get(objects.narrow, BOUND), 'c');
}

static const struct op put_ops[] = {
	{ "queue put", NULL, NULL, queue_put, queue_put_check },
	{ "queue put, ack", NULL, NULL, ack_put, ack_put_check },
	{ "queue put, no room", narrow_begin, NULL, put_narrow_run, put_narrow_check },
};

/*
 * Get.
 */

static int
get_many_run(struct scene *s)
{
	char bytes[LETTERS * LEN];
	struct iovec msgs[LETTERS];
	int r = mproc_queue_get_many(objects.ack, bytes, sizeof(bytes), msgs, LETTERS,
				     BOUND);

	(void)s;
	return r < 0 ? r : 0;
}

static int
requeue_run(struct scene *s)
{
	(void)s;
	return mproc_queue_requeue(objects.ack);
}

static const struct op get_ops[] = {
	{ "queue get", queue_begin, NULL, queue_get, queue_get_check },
	{ "queue get, ack", ack_begin, NULL, ack_get, ack_get_check },
	{ "queue get_many, ack", ack_begin, NULL, get_many_run, ack_get_check },
	{ "queue task_done", ack_begin, ack_get, ack_done, ack_done_check },
	{ "queue requeue", ack_begin, ack_get, requeue_run, ack_get_check },
};

/*
 * Get, of what comes later.
 */

static int
await_message(struct scene *s)
{
	s->b->waits = s->b->round;
	return get_any(objects.ack);
}

static int
await_plain_message(struct scene *s)
{
	s->b->waits = s->b->round;
	return get_any(objects.queue);
}

/* Puts one into each when somebody is about to wait for one of them. */
static void
put_when_awaited(struct scene *s, unsigned round)
{
	mpt_until(s->t, s->b->waits == round || s->b->over == round);
	mpt_check_int(s->t, put(objects.ack, 'b', BOUND), 0);
	mpt_check_int(s->t, put(objects.queue, 'b', BOUND), 0);
	s->b->done = round;
}

static int
be_producer(struct mpt *t, void *arg)
{
	(void)arg;
	be_other(t, find_queues, put_when_awaited);
	return 0;
}

/* Who is not there any more has nothing. */
static void
later_check(struct scene *s, bool finished)
{
	(void)finished;
	mpt_until(s->t, s->b->done == s->b->round);
	assert_int_equal(drain(objects.ack).n[1], 1);
	assert_int_equal(drain(objects.queue).n[1], 1);
}

static void
later_plain_check(struct scene *s, bool finished)
{
	mpt_until(s->t, s->b->done == s->b->round);
	assert_int_equal(drain(objects.ack).n[1], 1);
	assert_in_range(drain(objects.queue).n[1], 0, !finished);
}

static const struct op later_ops[] = {
	{ "queue get, later, ack", NULL, NULL, await_message, later_check },
	{ "queue get, later", NULL, NULL, await_plain_message, later_plain_check },
};

static void
close_all(struct scene *s)
{
	mproc_queue_destroy(objects.queue);
	mproc_queue_destroy(objects.ack);
	mproc_queue_destroy(objects.narrow);
	close_scene(s);
}

static void
open_all(struct scene *s, struct mpt *t)
{
	open_scene(s, t, be_server, find_queues);
	fill(objects.queue, 1);
	assert_int_equal(drain(objects.queue).n[0], 1);
}

static void
killed_in_put(void **state)
{
	struct scene s = { .t = *state };

	open_all(&s, *state);
	step_ops(&s, put_ops, N_OPS(put_ops));
	close_all(&s);
}

static void
killed_with_a_message(void **state)
{
	struct scene s = { .t = *state };

	open_all(&s, *state);
	step_ops(&s, get_ops, N_OPS(get_ops));
	close_all(&s);
}

static void
killed_as_a_message_comes(void **state)
{
	struct scene s = { .t = *state };

	open_all(&s, *state);
	add_other(&s, "producer", be_producer);
	step_ops(&s, later_ops, N_OPS(later_ops));
	close_all(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_put),
		mpt_test(killed_with_a_message),
		mpt_test(killed_as_a_message_comes),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
