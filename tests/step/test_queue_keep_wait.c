/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of what others wait for in queues
 * that keep their messages or have a bound: whoever waits goes on.
 */
#include "keep.h"

static void
put_victims(mproc_queue *q, uint32_t number, mproc_timeout timeout, int what)
{
	struct message m = message(BY_VICTIM, number);

	must_be(mproc_queue_put(q, &m, sizeof(m), timeout), what);
}

/* The next message, which is then done. */
static void
do_message(mproc_queue *q, uint32_t sender, uint32_t number)
{
	struct message m;

	assert_int_equal(mproc_queue_get(q, &m, sizeof(m), NULL, MPROC_NOWAIT),
			 0);
	assert_true(is_whole(&m));
	assert_int_equal(m.sender, sender);
	assert_int_equal(m.number, number);
	assert_int_equal(mproc_queue_task_done(q), 0);
}

/* What the test has put, and perhaps the victim. */
static void
expect_put(struct scene *s, unsigned least, unsigned most)
{
	unsigned more;

	recover();
	more = (unsigned)mproc_queue_len(s->w.q) - s->w.queued;
	assert_in_range(more, least, most);
	for (uint32_t i = 0; i < s->w.queued; i++)
		do_message(s->w.q, BY_TEST, i);
	for (uint32_t i = 0; i < more; i++)
		do_message(s->w.q, BY_VICTIM, i);
	end(s);
}

static void
put_victim(void *arg)
{
	struct scene *s = arg;

	put_victims(s->w.q, 0, MPROC_NOWAIT, 0);
	mpt_step_begin();
	put_victims(s->w.q, 1, MPROC_NOWAIT, 0);
	mpt_step_end();
}

static void
first_put_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	put_victims(s->w.q, 0, MPROC_NOWAIT, 0);
	mpt_step_end();
}

static void
put_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	expect_put(arg, finished ? 2 : 1, 2);
}

static void
first_put_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	expect_put(arg, finished, 1);
}

static void
killed_in_a_bounded_put(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 2, .opts.ack = true,
				  .opts.max_redeliveries = 1,
				  .opts.max_items = 4 } };

	step(&s, "put that there is room for", begin, put_victim, put_survivor);
	step(&s, "first put that there is room for", begin, first_put_victim,
	     first_put_survivor);
}

static void
full_put_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	put_victims(s->w.q, 0, MPROC_NOWAIT, -EAGAIN);
	mpt_step_end();
}

static void
sleeping_put_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	put_victims(s->w.q, 0, mproc_sec(600), 0);
	mpt_step_end();
}

static void
nothing_put_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	(void)finished;
	expect_put(arg, 0, 0);
}

static void
killed_in_a_put_into_a_full_queue(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 2, .opts.ack = true,
				  .opts.max_redeliveries = 1,
				  .opts.max_items = 2 } };

	step(&s, "put into a full queue", begin, full_put_victim,
	     nothing_put_survivor);
	step(&s, "put into a full queue, asleep", begin, sleeping_put_victim,
	     nothing_put_survivor);
}

/* The only message is the victim's. */
static void
task_done_victim(void *arg)
{
	struct scene *s = arg;

	take(s->w.q, 0);
	mpt_step_begin();
	may_fail(mproc_queue_task_done(s->w.q));
	mpt_step_end();
}

/* As long as there is a message. */
static void
with_a_sleeping_producer(void *arg)
{
	struct scene *s = arg;

	begin(s);
	s->other = fork();
	assert_true(s->other >= 0);
	if (s->other == 0) {
		struct message m = message(BY_OTHER, 0);

		must_be(mproc_queue_put(s->w.q, &m, sizeof(m), mproc_sec(60)),
			0);
		_exit(0);
	}
	mpt_until(s->w.t, mpt_task_state(s->other) == 'S');
}

/* Takes what there is until the producer's message is there. Returns how many
 * of the test's there were. */
static unsigned
await_producer(struct scene *s)
{
	unsigned got[5] = { 0 };
	struct message m;

	while (!got[BY_OTHER]) {
		assert_int_equal(mproc_queue_get(s->w.q, &m, sizeof(m), NULL,
						 mproc_sec(30)), 0);
		assert_true(is_whole(&m) && m.sender < 5);
		got[m.sender]++;
		if (s->dlq)
			assert_int_equal(mproc_queue_task_done(s->w.q), 0);
	}
	wait_for_exit(s->other);
	assert_int_equal(got[BY_OTHER], 1);
	recover();
	return got[BY_TEST];
}

/* The producer gets the room, at last when the victim's message is done. */
static void
room_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	if (!finished)
		recover();
	assert_in_range(await_producer(s), 0, !finished);
	end(s);
}

static void
killed_in_task_done_that_makes_room(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 1, .opts.ack = true,
				  .opts.max_redeliveries = 3,
				  .opts.max_items = 1 } };

	step(&s, "task_done that wakes a producer", with_a_sleeping_producer,
	     task_done_victim, room_survivor);
}

static void
get_victim(void *arg)
{
	struct scene *s = arg;

	must_be(mproc_queue_get(s->w.q, NULL, 0, NULL, MPROC_NOWAIT),
		-EMSGSIZE);
	mpt_step_begin();
	take(s->w.q, 0);
	mpt_step_end();
}

/* Nothing is kept here: the message may be lost. */
static void
plain_room_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct message m = message(BY_SURVIVOR, 1);
	struct scene *s = arg;

	(void)victim;
	(void)n;
	if (!finished)
		recover();
	assert_in_range(await_producer(s), 0, !finished);
	put(s->w.q, BY_SURVIVOR, 0);
	assert_int_equal(mproc_queue_put(s->w.q, &m, sizeof(m), MPROC_NOWAIT),
			 -EAGAIN);
	assert_int_equal(mproc_queue_get(s->w.q, &m, sizeof(m), NULL,
					 MPROC_NOWAIT), 0);
	world_end(&s->w);
}

static void
killed_in_get_that_makes_room(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 1,
				  .opts.max_items = 1 } };

	step(&s, "get that wakes a producer", with_a_sleeping_producer,
	     get_victim, plain_room_survivor);
	s.w.opts.single_consumer = true;
	step(&s, "get that wakes a producer, single consumer",
	     with_a_sleeping_producer, get_victim, plain_room_survivor);
}

static void
with_a_sleeping_joiner(void *arg)
{
	struct scene *s = arg;

	begin(s);
	s->other = fork();
	assert_true(s->other >= 0);
	if (s->other == 0) {
		must_be(mproc_queue_join(s->w.q, mproc_sec(60)), 0);
		_exit(0);
	}
	mpt_until(s->w.t, mpt_task_state(s->other) == 'S');
}

static void
joined_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	if (!finished)
		recover();
	if (!finished && next_number(s->w.q) == 0)
		do_message(s->w.q, BY_TEST, 0);
	wait_for_exit(s->other);
	recover();
	end(s);
}

static void
killed_in_task_done_that_ends_a_join(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 1, .opts.ack = true,
				  .opts.max_redeliveries = 3 } };

	step(&s, "task_done that wakes a joiner", with_a_sleeping_joiner,
	     task_done_victim, joined_survivor);
}

/* Set when the victim has the message. */
static _Atomic unsigned *
taken(struct scene *s)
{
	return mpt_scratch(s->w.t);
}

static unsigned
sleepers(mproc_queue *q)
{
	struct mproc_queue_stat st;

	may_fail(mproc_queue_stat(q, &st));
	return (unsigned)st.sleeping_consumers;
}

/* Who sleeps until the message that the victim has comes back. */
static void
with_a_sleeping_consumer(void *arg)
{
	struct scene *s = arg;

	begin(s);
	*taken(s) = 0;
	s->other = fork();
	assert_true(s->other >= 0);
	if (s->other == 0) {
		struct message m;

		mpt_until(s->w.t, *taken(s));
		must_be(mproc_queue_get(s->w.q, &m, sizeof(m), NULL,
					mproc_sec(60)), 0);
		must_be((int)m.number, 0);
		must_be(mproc_queue_task_done(s->w.q), 0);
		_exit(0);
	}
}

static void
requeue_victim(void *arg)
{
	struct scene *s = arg;

	take(s->w.q, 0);
	*taken(s) = 1;
	mpt_until(s->w.t, sleepers(s->w.q) == 1);
	mpt_step_begin();
	may_fail(mproc_queue_requeue(s->w.q));
	mpt_step_end();
}

static void
leave_victim(void *arg)
{
	struct scene *s = arg;

	take(s->w.q, 0);
	*taken(s) = 1;
	mpt_until(s->w.t, sleepers(s->w.q) == 1);
	mpt_step_begin();
	mpr_self_leave();
	mpt_step_end();
}

static void
came_back_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	if (!finished)
		recover();
	wait_for_exit(s->other);
	recover();
	end(s);
}

static void
killed_while_it_gives_back_what_a_consumer_waits_for(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 1, .opts.ack = true,
				  .opts.max_redeliveries = 3 } };

	step(&s, "requeue that wakes a consumer", with_a_sleeping_consumer,
	     requeue_victim, came_back_survivor);
	step(&s, "leave that wakes a consumer", with_a_sleeping_consumer,
	     leave_victim, came_back_survivor);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_a_bounded_put),
		mpt_test(killed_in_a_put_into_a_full_queue),
		mpt_test(killed_in_task_done_that_makes_room),
		mpt_test(killed_in_get_that_makes_room),
		mpt_test(killed_in_task_done_that_ends_a_join),
		mpt_test(killed_while_it_gives_back_what_a_consumer_waits_for),
	};

	return cmocka_run_group_tests(tests, keep_setup, NULL);
}
