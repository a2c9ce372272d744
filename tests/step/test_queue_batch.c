/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of a batch: of putting and taking
 * one, of waiting for it, and of what a lane needs in the middle of it. The
 * same for single messages is in test_queue.c.
 */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

#define BATCH 4

static int
put_batch(mproc_queue *q, uint32_t sender, uint32_t first, int n,
	  mproc_timeout timeout)
{
	struct message m[BATCH];
	struct iovec msgs[BATCH];

	for (int i = 0; i < n; i++) {
		m[i] = message(sender, first + (uint32_t)i);
		msgs[i] = (struct iovec){ &m[i], sizeof(m[i]) };
	}
	return mproc_queue_put_many(q, msgs, n, timeout);
}

/* Takes up to BATCH messages, which must be whole. */
static int
get_batch(mproc_queue *q, mproc_timeout timeout)
{
	struct message m[BATCH];
	struct iovec msgs[BATCH];
	int r = mproc_queue_get_many(q, m, sizeof(m), msgs, BATCH, timeout);

	for (int i = 0; i < r; i++)
		if (msgs[i].iov_base != &m[i] || !is_whole(&m[i]))
			return -EPROTO;
	return r;
}

static void
put_many_victim(void *arg)
{
	struct world *w = arg;

	if (put_batch(w->q, BY_VICTIM, 0, 1, MPROC_NOWAIT) != 1)
		_exit(1);
	mpt_step_begin();
	if (put_batch(w->q, BY_VICTIM, 1, BATCH, MPROC_NOWAIT) != BATCH)
		_exit(1);
	mpt_step_end();
}

/* The whole batch, or nothing of it. */
static void
put_many_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct mproc_queue_stat st;
	struct found found[5];

	(void)victim;
	(void)n;
	recover();
	assert_int_equal(mproc_queue_stat(w->q, &st), 0);
	drain(w->q, found);
	assert_int_equal(found[BY_TEST].n, w->queued);
	assert_true(found[BY_VICTIM].n == 1 + BATCH ||
		    (found[BY_VICTIM].n == 1 && !finished));
	assert_int_equal(st.depth, found[BY_TEST].n + found[BY_VICTIM].n);
	assert_int_equal(st.producers, w->queued ? 1 : 0);
	world_end(w);
}

static void
killed_in_put_many(void **state)
{
	struct world w = { .t = *state, .queued = 3 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "put_many",
		.victim = put_many_victim,
		.before = world_begin,
		.survivor = put_many_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

static void
putv_victim(void *arg)
{
	struct world *w = arg;
	struct message m = message(BY_VICTIM, 1);
	struct iovec parts[] = {
		{ &m, 5 },
		{ (char *)&m + 5, sizeof(m) - 5 },
	};

	if (put_batch(w->q, BY_VICTIM, 0, 1, MPROC_NOWAIT) != 1)
		_exit(1);
	mpt_step_begin();
	if (mproc_queue_putv(w->q, parts, 2, MPROC_NOWAIT) < 0)
		_exit(1);
	mpt_step_end();
}

static void
putv_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct found found[5];

	(void)victim;
	(void)n;
	recover();
	drain(w->q, found);
	assert_int_equal(found[BY_TEST].n, w->queued);
	assert_in_range(found[BY_VICTIM].n, finished ? 2 : 1, 2);
	world_end(w);
}

static void
killed_in_putv(void **state)
{
	struct world w = { .t = *state, .queued = 3 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "putv",
		.victim = putv_victim,
		.before = world_begin,
		.survivor = putv_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

#define FIRST_MEMORY (64 * 1024 / 64) /* messages until a lane needs more */

/* In a lane that is as far as its memory goes. */
static void
growing_victim(void *arg)
{
	struct world *w = arg;

	for (uint32_t i = 0; i < FIRST_MEMORY - 2; i++)
		if (put_batch(w->q, BY_VICTIM, i, 1, MPROC_NOWAIT) != 1)
			_exit(1);
	mpt_step_begin();
	/* Two before there has to be more memory, two afterwards. */
	if (put_batch(w->q, BY_VICTIM, FIRST_MEMORY - 2, BATCH,
		      MPROC_NOWAIT) != 2 ||
	    put_batch(w->q, BY_VICTIM, FIRST_MEMORY, 2, MPROC_NOWAIT) != 2)
		_exit(1);
	mpt_step_end();
}

static void
growing_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct found found[5];
	unsigned more;

	(void)victim;
	(void)n;
	recover();
	/* The lane's next owner finds all that it needs. */
	for (uint32_t i = 0; i < FIRST_MEMORY / 2; i++)
		put(w->q, BY_SURVIVOR, i);
	drain(w->q, found);
	more = found[BY_VICTIM].n - (FIRST_MEMORY - 2);
	assert_true(more == 4 || (!finished && (more == 0 || more == 2)));
	assert_int_equal(found[BY_SURVIVOR].n, FIRST_MEMORY / 2);
	world_end(w);
}

static void
killed_while_the_lane_gets_more_memory(void **state)
{
	struct world w = { .t = *state, .opts.capacity = 256 * 1024 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "put_many with more memory",
		.victim = growing_victim,
		.before = world_begin,
		.survivor = growing_survivor,
		.fingerprint = arena_state,
		.budget = 150,
		.arg = &w,
	}, NULL);
}

static void
get_many_victim(void *arg)
{
	struct world *w = arg;
	struct message m;

	/* The first one attaches. */
	if (mproc_queue_get(w->q, &m, sizeof(m), NULL, MPROC_NOWAIT) < 0)
		_exit(1);
	mpt_step_begin();
	if (get_batch(w->q, MPROC_NOWAIT) != BATCH)
		_exit(1);
	mpt_step_end();
}

/* The whole batch is lost, or nothing of it. */
static void
get_many_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct found found[5];
	unsigned left = w->queued - 1 - BATCH;

	(void)victim;
	(void)n;
	recover();
	drain(w->q, found);
	assert_true(found[BY_TEST].n == left ||
		    (found[BY_TEST].n == left + BATCH && !finished));
	assert_int_equal(found[BY_TEST].last, w->queued - 1);
	world_end(w);
}

static void
killed_in_get_many(void **state)
{
	struct world w = { .t = *state, .queued = 7 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "get_many, several consumers",
		.victim = get_many_victim,
		.before = world_begin,
		.survivor = get_many_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

static void
killed_in_get_many_of_the_single_consumer(void **state)
{
	struct world w = { .t = *state, .queued = 7,
			   .opts.single_consumer = true };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "get_many, single consumer",
		.victim = get_many_victim,
		.before = world_begin,
		.survivor = get_many_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

/* Another process is asleep in a batch. */
struct sleepy {
	struct world w;
	pid_t sleeper;
};

static void
with_a_sleeping_producer(void *arg)
{
	struct sleepy *s = arg;

	world_begin(&s->w);
	s->sleeper = fork();
	if (s->sleeper == 0) {
		uint32_t i = 0;

		while (put_batch(s->w.q, BY_OTHER, i, BATCH, MPROC_NOWAIT) > 0)
			i += BATCH;
		_exit(put_batch(s->w.q, BY_OTHER, i, BATCH, mproc_sec(30)) > 0 ?
			      0 : 1);
	}
	mpt_until(s->w.t, mpt_task_state(s->sleeper) == 'S');
}

static void
waking_get_victim(void *arg)
{
	struct sleepy *s = arg;

	mpt_step_begin();
	if (get_batch(s->w.q, MPROC_NOWAIT) != BATCH)
		_exit(1);
	mpt_step_end();
}

static void
waking_get_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct sleepy *s = arg;
	int status;

	(void)victim;
	(void)n;
	(void)finished;
	/* Not a word to the producer: it must notice by itself. */
	assert_int_equal(get_batch(s->w.q, MPROC_NOWAIT), BATCH);
	assert_int_equal(waitpid(s->sleeper, &status, 0), s->sleeper);
	assert_int_equal(status, 0);
	recover();
	while (get_batch(s->w.q, MPROC_NOWAIT) > 0)
		;
	world_end(&s->w);
}

static void
killed_in_a_get_many_that_makes_room(void **state)
{
	struct sleepy s = { .w = { .t = *state, .opts.capacity = 4096 } };

	mpt_stepper_run(s.w.t, &(struct mpt_stepper_opts){
		.name = "get_many that makes room",
		.victim = waking_get_victim,
		.before = with_a_sleeping_producer,
		.survivor = waking_get_survivor,
		.fingerprint = arena_state,
		.every = 1,
		.budget = 40,
		.max_cases = 60,
		.arg = &s,
	}, NULL);
}

static void
with_a_sleeping_consumer(void *arg)
{
	struct sleepy *s = arg;

	world_begin(&s->w);
	s->sleeper = fork();
	if (s->sleeper == 0)
		_exit(get_batch(s->w.q, mproc_sec(30)) > 0 ? 0 : 1);
	mpt_until(s->w.t, mpt_task_state(s->sleeper) == 'S');
}

static void
waking_put_victim(void *arg)
{
	struct sleepy *s = arg;

	mpt_step_begin();
	if (put_batch(s->w.q, BY_VICTIM, 0, BATCH, MPROC_NOWAIT) != BATCH)
		_exit(1);
	mpt_step_end();
}

static void
waking_put_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct sleepy *s = arg;
	int status;

	(void)victim;
	(void)n;
	(void)finished;
	recover();
	/* If the victim's batch is not in the queue, ours wakes it. */
	put(s->w.q, BY_SURVIVOR, 0);
	assert_int_equal(waitpid(s->sleeper, &status, 0), s->sleeper);
	assert_int_equal(status, 0);
	recover();
	while (get_batch(s->w.q, MPROC_NOWAIT) > 0)
		;
	world_end(&s->w);
}

static void
killed_in_a_put_many_that_wakes(void **state)
{
	struct sleepy s = { .w = { .t = *state, .opts.capacity = 4096 } };

	mpt_stepper_run(s.w.t, &(struct mpt_stepper_opts){
		.name = "put_many that wakes",
		.victim = waking_put_victim,
		.before = with_a_sleeping_consumer,
		.survivor = waking_put_survivor,
		.fingerprint = arena_state,
		.every = 1,
		.budget = 100,
		.max_cases = 160,
		.arg = &s,
	}, NULL);
}

/* Polls, says what it wants, sleeps until it is killed. */
static void
sleeping_put_victim(void *arg)
{
	struct world *w = arg;
	uint32_t i = 0;

	while (put_batch(w->q, BY_VICTIM, i, BATCH, MPROC_NOWAIT) == BATCH)
		i += BATCH;
	mpt_step_begin();
	(void)!put_batch(w->q, BY_VICTIM, i, BATCH, MPROC_FOREVER);
	mpt_step_end();
}

static void
sleeping_put_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct mproc_queue_stat st;
	struct found found[5];

	(void)victim;
	(void)n;
	(void)finished;
	recover();
	assert_int_equal(mproc_queue_stat(w->q, &st), 0);
	assert_int_equal(st.producers, 0);
	assert_int_equal(st.sleeping_producers, 0);
	drain(w->q, found);
	assert_int_equal(found[BY_VICTIM].n, 4096 / 64);
	world_end(w);
}

static void
killed_in_a_put_many_that_sleeps(void **state)
{
	struct world w = { .t = *state, .opts.capacity = 4096 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "put_many that sleeps",
		.victim = sleeping_put_victim,
		.before = world_begin,
		.survivor = sleeping_put_survivor,
		.fingerprint = arena_state,
		.budget = 200,
		.arg = &w,
	}, NULL);
}

static void
sleeping_get_victim(void *arg)
{
	struct world *w = arg;

	mpt_step_begin();
	(void)!get_batch(w->q, MPROC_FOREVER);
	mpt_step_end();
}

static void
nothing_lost_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;

	(void)victim;
	(void)n;
	(void)finished;
	recover();
	world_end(w);
}

static void
killed_in_a_get_many_that_sleeps(void **state)
{
	struct world w = { .t = *state };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "get_many that sleeps",
		.victim = sleeping_get_victim,
		.before = world_begin,
		.survivor = nothing_lost_survivor,
		.fingerprint = arena_state,
		.budget = 200,
		.arg = &w,
	}, NULL);
}

/* Killed while it looks, it has changed nothing. */
static void
stat_victim(void *arg)
{
	struct world *w = arg;
	struct mproc_queue_stat st;

	mpt_step_begin();
	if (mproc_queue_stat(w->q, &st) < 0)
		_exit(1);
	mpt_step_end();
}

static void
stat_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct found found[5];

	(void)victim;
	(void)n;
	(void)finished;
	recover();
	drain(w->q, found);
	assert_int_equal(found[BY_TEST].n, w->queued);
	world_end(w);
}

static void
killed_in_stat(void **state)
{
	struct world w = { .t = *state, .queued = 3 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "stat",
		.victim = stat_victim,
		.before = world_begin,
		.survivor = stat_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_put_many),
		mpt_test(killed_in_putv),
		mpt_test(killed_while_the_lane_gets_more_memory),
		mpt_test(killed_in_get_many),
		mpt_test(killed_in_get_many_of_the_single_consumer),
		mpt_test(killed_in_a_get_many_that_makes_room),
		mpt_test(killed_in_a_put_many_that_wakes),
		mpt_test(killed_in_a_put_many_that_sleeps),
		mpt_test(killed_in_a_get_many_that_sleeps),
		mpt_test(killed_in_stat),
	};

	return cmocka_run_group_tests(tests, world_setup, NULL);
}
