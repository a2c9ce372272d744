/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of what it does with messages that
 * are kept until they are done: taken, done, given back, read as dead letters,
 * joined; and of recovery from the death of one who had them. Each death counts
 * once, and each message is delivered again, done, or a dead letter.
 *
 * Who waits meanwhile is in test_queue_keep_wait.c, what ends a queue in
 * test_queue_keep_end.c.
 */
#include "keep.h"

/* A message is a dead letter with its second death. */
#define ONE_MORE .opts.ack = true, .opts.max_redeliveries = 1

/* Attaches the victim as a consumer, and takes nothing. */
static void
warm_up(mproc_queue *q)
{
	must_be(mproc_queue_get(q, NULL, 0, NULL, MPROC_NOWAIT), -EMSGSIZE);
}

static void
first_get_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	take(s->w.q, 0);
	mpt_step_end();
}

static void
get_victim(void *arg)
{
	warm_up(((struct scene *)arg)->w.q);
	first_get_victim(arg);
}

/* The first message was taken, or not yet. */
static void
get_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)n;
	recover();
	assert_int_equal(look(s->w.q).held, 0);
	expect_fates(s, victim, (struct fate[]){
		{ .least = finished, .most = 1 }, { 0 }, { 0 } });
	end(s);
}

static void
killed_in_get(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 3, ONE_MORE } };

	step(&s, "get", begin, get_victim, get_survivor);
	s.w.opts.single_consumer = true;
	step(&s, "get, single consumer", begin, get_victim, get_survivor);
}

static void
killed_in_the_first_get(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 2, ONE_MORE } };

	step(&s, "first get", begin, first_get_victim, get_survivor);
}

static void
peek_victim(void *arg)
{
	struct scene *s = arg;
	const struct message *m;
	const void *p;
	size_t len;

	/* The first one gets memory for copies. */
	may_fail(mproc_queue_peek(s->w.q, &p, &len, MPROC_NOWAIT));
	may_fail(mproc_queue_release(s->w.q, p));
	may_fail(mproc_queue_task_done(s->w.q));
	mpt_step_begin();
	may_fail(mproc_queue_peek(s->w.q, &p, &len, MPROC_NOWAIT));
	m = p;
	if (len != sizeof(*m) || m->number != 1 || !is_whole(m))
		_exit(1);
	may_fail(mproc_queue_release(s->w.q, p));
	mpt_step_end();
}

static void
peek_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)n;
	recover();
	assert_int_equal(look(s->w.q).held, 0);
	expect_fates(s, victim, (struct fate[]){
		{ .done = DONE }, { .least = finished, .most = 1 }, { 0 } });
	end(s);
}

static void
killed_in_peek_and_release(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 3, ONE_MORE } };

	step(&s, "peek and release", begin, peek_victim, peek_survivor);
	s.w.opts.single_consumer = true;
	step(&s, "peek and release, single consumer", begin, peek_victim,
	     peek_survivor);
}

/* Of two messages, the older one. */
static void
task_done_victim(void *arg)
{
	struct scene *s = arg;

	take(s->w.q, 0);
	take(s->w.q, 1);
	mpt_step_begin();
	may_fail(mproc_queue_task_done(s->w.q));
	mpt_step_end();
}

static void
task_done_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)n;
	recover();
	expect_fates(s, victim, (struct fate[]){
		{ 1, 1, finished ? DONE : MAYBE_DONE }, { 1, 1, NOT_DONE },
		{ 0 } });
	end(s);
}

static void
killed_in_task_done(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 3, ONE_MORE } };

	step(&s, "task_done", begin, task_done_victim, task_done_survivor);
}

static void
requeue_victim(void *arg)
{
	struct scene *s = arg;

	take(s->w.q, 0);
	take(s->w.q, 1);
	mpt_step_begin();
	may_fail(mproc_queue_requeue(s->w.q));
	mpt_step_end();
}

static void
requeue_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)n;
	recover();
	expect_fates(s, victim, (struct fate[]){
		{ .most = !finished }, { 1, 1, NOT_DONE }, { 0 } });
	end(s);
}

static void
killed_in_requeue(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 3, ONE_MORE } };

	step(&s, "requeue", begin, requeue_victim, requeue_survivor);
}

/* The first message has come back already. */
static void
begin_returned(void *arg)
{
	begin(arg);
	recover();
}

static void
killed_in_get_of_what_has_come_back(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 2, .opts.ack = true,
				  .opts.max_redeliveries = 2 },
			   .n_dead_with = 1 };

	step(&s, "get of a message that has come back", begin_returned,
	     get_victim, get_survivor);
	step(&s, "first get, of a message that has come back", begin_returned,
	     first_get_victim, get_survivor);
}

/* What a thread holds when it ends in order. */
static void
leave_victim(void *arg)
{
	struct scene *s = arg;

	take(s->w.q, 0);
	take(s->w.q, 1);
	mpt_step_begin();
	mpr_self_leave();
	mpt_step_end();
}

static void
leave_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)n;
	recover();
	expect_fates(s, victim, (struct fate[]){
		{ .most = !finished }, { .most = !finished }, { 0 } });
	end(s);
}

static void
killed_while_it_leaves(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 3, ONE_MORE } };

	step(&s, "leave with messages", begin, leave_victim, leave_survivor);
}

static void
join_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	must_be(mproc_queue_join(s->w.q, MPROC_NOWAIT),
		s->w.queued ? -EAGAIN : 0);
	mpt_step_end();
}

static void
sleeping_join_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	may_fail(mproc_queue_join(s->w.q, mproc_sec(600)));
	mpt_step_end();
}

static void
untouched_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)n;
	(void)finished;
	recover();
	assert_int_equal(mproc_queue_len(s->w.q), s->w.queued);
	expect_fates(s, victim, (struct fate[]){ { 0 }, { 0 } });
	end(s);
}

static void
killed_in_join(void **state)
{
	struct scene s = { .w = { .t = *state, ONE_MORE } };

	step(&s, "join of nothing", begin, join_victim, untouched_survivor);
	s.w.queued = 2;
	step(&s, "join", begin, join_victim, untouched_survivor);
	step(&s, "join, asleep", begin, sleeping_join_victim,
	     untouched_survivor);
}

/* The first message is a dead letter. */
static void
begin_dead(void *arg)
{
	struct scene *s = arg;

	begin(s);
	recover();
	s->killer[s->n_killers++] = die_with(s->w.q, 0, 1);
	recover();
	assert_int_equal(mproc_queue_len(s->dlq), 1);
}

static void
first_read_victim(void *arg)
{
	struct scene *s = arg;
	struct letter letter;

	mpt_step_begin();
	may_fail(mproc_queue_get(s->dlq, &letter, sizeof(letter), NULL,
				 MPROC_NOWAIT));
	mpt_step_end();
	if (!is_whole(&letter.m) || letter.head.deaths != 2)
		_exit(1);
}

static void
read_victim(void *arg)
{
	warm_up(((struct scene *)arg)->dlq);
	first_read_victim(arg);
}

/* It was read, or is still to be read; the victim may be one of its killers. */
static void
read_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	struct letter letter;
	int r;

	(void)n;
	recover();
	assert_int_equal(look(s->w.q).held, 0);
	assert_int_equal(next_number(s->w.q), 1);
	assert_int_equal(mproc_queue_len(s->dlq), look(s->w.q).dead_letters);
	if (mproc_queue_len(s->dlq)) {
		assert_false(finished);
		letter = read_letter(s->dlq, 0);
		assert_in_range(letter.head.deaths, 2, 3);
		assert_int_equal(letter.head.n_killers, letter.head.deaths);
		for (unsigned i = 0; i < 2; i++)
			assert_int_equal(letter.head.killer[i].pid,
					 s->killer[i]);
		if (letter.head.deaths == 3)
			assert_int_equal(letter.head.killer[2].pid, victim);
	}
	r = mproc_queue_get(s->dlq, &letter, sizeof(letter), NULL,
			    MPROC_NOWAIT);
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(count_deaths(s, 1, victim), 0);
	end(s);
}

static void
killed_in_get_of_a_dead_letter(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 2, ONE_MORE },
			   .n_dead_with = 1 };

	step(&s, "get of a dead letter", begin_dead, read_victim,
	     read_survivor);
	step(&s, "first get of a dead letter", begin_dead, first_read_victim,
	     read_survivor);
}

static void
recover_victim(void *arg)
{
	(void)arg;
	mpt_step_begin();
	if (mproc_arena_recover(NULL) < 1)
		_exit(1);
	mpt_step_end();
}

static void
joined_recover_victim(void *arg)
{
	mproc_free(mproc_alloc(1));
	recover_victim(arg);
}

/* The first two had a taker when it died, whom somebody recovers from. It is
 * the only one who died with them. */
static void
recover_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	struct letter letter;

	(void)n;
	if (!finished)
		recover();
	assert_int_equal(look(s->w.q).held, 0);
	if (s->w.opts.ack) {
		expect_fates(s, victim, (struct fate[]){
			{ 0 }, { 0 }, { 0 } });
		end(s);
		return;
	}
	/* Dead letters already, both. */
	assert_int_equal(mproc_queue_len(s->dlq), 2);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(mproc_queue_get(s->dlq, &letter,
						 sizeof(letter), NULL,
						 MPROC_NOWAIT), 0);
		assert_true(is_whole(&letter.m));
		assert_int_equal(letter.m.number, i);
		assert_int_equal(letter.head.deaths, 1);
		assert_int_equal(letter.head.killer[0].pid, s->killer[0]);
	}
	assert_int_equal(count_deaths(s, 2, victim), 0);
	end(s);
}

static void
killed_while_it_recovers_a_taker(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 3, ONE_MORE },
			   .n_dead_with = 2 };

	step(&s, "recovery of a taker", begin, recover_victim,
	     recover_survivor);
	make_spare_slots();
	step(&s, "recovery of a taker by one who takes part", begin,
	     joined_recover_victim, recover_survivor);
	s.w.opts.ack = false;
	s.w.opts.joinable = true;
	s.w.opts.max_redeliveries = 0;
	step(&s, "recovery of a taker, without .ack", begin, recover_victim,
	     recover_survivor);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_get),
		mpt_test(killed_in_the_first_get),
		mpt_test(killed_in_peek_and_release),
		mpt_test(killed_in_task_done),
		mpt_test(killed_in_requeue),
		mpt_test(killed_in_get_of_what_has_come_back),
		mpt_test(killed_while_it_leaves),
		mpt_test(killed_in_join),
		mpt_test(killed_in_get_of_a_dead_letter),
		mpt_test(killed_while_it_recovers_a_taker),
	};

	return cmocka_run_group_tests(tests, keep_setup, NULL);
}
