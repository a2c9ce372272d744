/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of what ends a queue.
 */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "world.h"

/* The victim's own lane and seat, before the operation begins. */
static void
warm_up(struct world *w)
{
	struct message m = message(BY_VICTIM, 0);

	if (mproc_queue_put(w->q, &m, sizeof(m), MPROC_NOWAIT) < 0)
		_exit(1);
}

/* The arena is as it was before the queue was made. */
static void
expect_as_before(const struct world *w)
{
	struct mproc_arena_stat now;

	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.queues, w->before.queues);
	assert_int_equal(now.blocks, w->before.blocks);
	assert_int_equal(now.participants, w->before.participants);
}

/* The last one: nobody but the victim uses the queue. */
static void
destroy_victim(void *arg)
{
	struct world *w = arg;

	warm_up(w);
	mpt_step_begin();
	mproc_queue_destroy(w->q);
	mpt_step_end();
}

static void
destroy_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct message m;
	int r;

	(void)victim;
	(void)n;
	recover();
	r = mproc_queue_get(w->q, &m, sizeof(m), NULL, MPROC_NOWAIT);
	assert_true(r == -ESTALE || (r == 0 && !finished));
	mproc_queue_destroy(w->q);
	expect_as_before(w);
}

static void
killed_in_destroy(void **state)
{
	struct world w = { .t = *state, .queued = 1,
			   .opts.capacity = 4096 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "destroy",
		.victim = destroy_victim,
		.before = world_begin,
		.survivor = destroy_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

static void
without_ourselves(void *arg)
{
	struct world *w = arg;

	/* A queue that the test itself does not use. */
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(mproc_arena_stat(NULL, &w->before), 0);
	w->opts.struct_size = sizeof(w->opts);
	assert_int_equal(mproc_queue_create(&w->q, &w->opts), 0);
}

/* Who creates the next one frees what the victim has left. */
static void
unused_destroy_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct mproc_arena_stat now;
	mproc_queue *q;

	(void)victim;
	(void)n;
	recover();
	/* It is still there, or destroyed; in order, with all that it had. */
	if (!finished)
		mproc_queue_destroy(w->q);
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.queues, w->before.queues);
	if (finished)
		assert_int_equal(now.blocks, w->before.blocks);
	assert_int_equal(mproc_queue_create(&q, NULL), 0);
	mproc_queue_destroy(q);
	expect_as_before(w);
}

static void
unused_destroy_victim(void *arg)
{
	struct world *w = arg;

	mproc_free(mproc_alloc(1)); /* joins */
	mpt_step_begin();
	mproc_queue_destroy(w->q);
	mpt_step_end();
}

/* The victim cannot attach. */
static void
poor_destroy_victim(void *arg)
{
	mproc_free(mproc_alloc(1)); /* joins */
	if (mpr_fault_set("malloc:1+") < 0)
		_exit(1);
	mpt_step_begin();
	mproc_queue_destroy(((struct world *)arg)->q);
	mpt_step_end();
	if (mpr_fault_hits(MPR_FAULT_MALLOC) == 0)
		_exit(1);
}

/* Somebody has used the queue, and died. */
static void
leave_a_lane(struct world *w)
{
	pid_t pid = fork();

	if (pid == 0) {
		warm_up(w);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* The test uses it still. */
static void
with_users(void *arg)
{
	world_begin(arg);
	leave_a_lane(arg);
}

/* Nobody does, but it has a lane. */
static void
with_a_former_user(void *arg)
{
	without_ourselves(arg);
	leave_a_lane(arg);
	recover();
}

static void
killed_in_destroy_of_a_queue_that_it_never_used(void **state)
{
	struct world w = { .t = *state, .queued = 1,
			   .opts.capacity = 4096 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "destroy without having used it",
		.victim = unused_destroy_victim,
		.before = with_users,
		.survivor = destroy_survivor,
		.fingerprint = arena_state,
		.every = 500,
		.budget = 100,
		.arg = &w,
	}, NULL);
	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "destroy of a queue that nobody uses",
		.victim = unused_destroy_victim,
		.before = with_a_former_user,
		.survivor = unused_destroy_survivor,
		.fingerprint = arena_state,
		.every = 500,
		.budget = 100,
		.arg = &w,
	}, NULL);
}

static void
killed_in_destroy_without_memory_to_attach(void **state)
{
	struct world w = { .t = *state, .queued = 1,
			   .opts.capacity = 4096 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "destroy without memory",
		.victim = poor_destroy_victim,
		.every = 500,
		.budget = 100,
		.before = with_users,
		.survivor = destroy_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "destroy without memory of a queue that nobody uses",
		.victim = poor_destroy_victim,
		.every = 500,
		.budget = 100,
		.before = with_a_former_user,
		.survivor = unused_destroy_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

/* The queue is gone already, except for the victim's seat and lane. */
static void
last_leaver_victim(void *arg)
{
	struct world *w = arg;
	struct message m = message(BY_VICTIM, 1);
	pid_t pid;

	warm_up(w);
	pid = fork();
	if (pid == 0) {
		mproc_queue_destroy(w->q);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	mproc_arena_recover(NULL);
	mpt_step_begin();
	/* Notices, leaves, and frees what the queue had. */
	if (mproc_queue_put(w->q, &m, sizeof(m), MPROC_NOWAIT) != -ESTALE)
		_exit(1);
	mpt_step_end();
}

static void
last_leaver_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	mproc_queue *q;

	(void)victim;
	(void)n;
	(void)finished;
	recover();
	/* Creating looks through what is gone. */
	assert_int_equal(mproc_queue_create(&q, NULL), 0);
	mproc_queue_destroy(q);
	expect_as_before(w);
}

static void
killed_as_the_last_to_leave(void **state)
{
	struct world w = { .t = *state, .opts.capacity = 4096 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "last to leave",
		.victim = last_leaver_victim,
		.before = without_ourselves,
		.survivor = last_leaver_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

static void
shut_down(struct world *w, unsigned flags)
{
	warm_up(w);
	mpt_step_begin();
	if (mproc_queue_shutdown(w->q, flags) < 0)
		_exit(1);
	mpt_step_end();
}

static void
shutdown_victim(void *arg)
{
	shut_down(arg, MPROC_DRAIN);
}

static void
shutdown_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct message m;
	unsigned got = 0;
	int r;

	(void)victim;
	(void)n;
	recover();
	while ((r = mproc_queue_get(w->q, &m, sizeof(m), NULL,
				    MPROC_NOWAIT)) == 0) {
		assert_true(is_whole(&m));
		got++;
	}
	assert_int_equal(got, w->queued + 1);
	assert_true(r == -ESHUTDOWN || (r == -EAGAIN && !finished));
	mproc_queue_destroy(w->q);
}

static void
killed_in_shutdown(void **state)
{
	struct world w = { .t = *state, .queued = 2,
			   .opts.capacity = 4096 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "shutdown",
		.victim = shutdown_victim,
		.before = world_begin,
		.survivor = shutdown_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

static void
immediate_victim(void *arg)
{
	shut_down(arg, MPROC_IMMEDIATE);
}

/* All messages are there, or nothing can be taken any more. */
static void
immediate_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct message m = { 0 };
	unsigned got = 0;
	int r;

	(void)victim;
	(void)n;
	recover();
	while ((r = mproc_queue_get(w->q, &m, sizeof(m), NULL,
				    MPROC_NOWAIT)) == 0)
		got++;
	assert_true((got == 0 && r == -ESHUTDOWN) ||
		    (got == w->queued + 1 && r == -EAGAIN && !finished));
	assert_int_equal(mproc_queue_put(w->q, &m, sizeof(m), MPROC_NOWAIT),
			 r == -EAGAIN ? 0 : r);
	mproc_queue_destroy(w->q);
	expect_as_before(w);
}

static void
killed_in_an_immediate_shutdown(void **state)
{
	struct world w = { .t = *state, .queued = 2, .opts.capacity = 4096 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "immediate shutdown",
		.victim = immediate_victim,
		.before = world_begin,
		.survivor = immediate_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

/* Another process sleeps in the queue, and is to be told. */
struct sleepy {
	struct world w;
	unsigned flags;
	pid_t sleeper;
};

static void
with_a_sleeping_consumer(void *arg)
{
	struct sleepy *s = arg;

	world_begin(&s->w);
	s->sleeper = fork();
	if (s->sleeper == 0) {
		struct message m;

		_exit(mproc_queue_get(s->w.q, &m, sizeof(m), NULL,
				      mproc_sec(30)) != -ESHUTDOWN);
	}
	mpt_until(s->w.t, mpt_task_state(s->sleeper) == 'S');
}

static void
with_a_sleeping_producer(void *arg)
{
	struct sleepy *s = arg;

	world_begin(&s->w);
	s->sleeper = fork();
	if (s->sleeper == 0) {
		struct message m = message(BY_OTHER, 0);

		while (mproc_queue_put(s->w.q, &m, sizeof(m), MPROC_NOWAIT) ==
		       0)
			;
		_exit(mproc_queue_put(s->w.q, &m, sizeof(m), mproc_sec(30)) !=
		      -ESHUTDOWN);
	}
	mpt_until(s->w.t, mpt_task_state(s->sleeper) == 'S');
}

/* Without a lane: its message would be what the sleeper waits for. */
static void
telling_victim(void *arg)
{
	struct sleepy *s = arg;

	(void)mproc_queue_len(s->w.q);
	mpt_step_begin();
	if (mproc_queue_shutdown(s->w.q, s->flags) < 0)
		_exit(1);
	mpt_step_end();
}

static void
telling_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct sleepy *s = arg;

	(void)victim;
	(void)n;
	/* Not a word to the sleeper, if the victim has got that far: it must
	 * notice by itself. */
	if (!s->w.q->closing) {
		assert_false(finished);
		assert_int_equal(mproc_queue_shutdown(s->w.q, s->flags), 0);
	}
	wait_for_exit(s->sleeper);
	recover();
	mproc_queue_destroy(s->w.q);
	expect_as_before(&s->w);
}

static void
step_with(struct sleepy *s, const char *name, void (*before)(void *arg))
{
	s->w.opts.capacity = 4096;
	mpt_stepper_run(s->w.t, &(struct mpt_stepper_opts){
		.name = name,
		.victim = telling_victim,
		.before = before,
		.survivor = telling_survivor,
		.fingerprint = arena_state,
		.every = 1,
		.budget = 40,
		.max_cases = 60,
		.arg = s,
	}, NULL);
}

static void
killed_in_a_shutdown_that_wakes(void **state)
{
	struct sleepy drain = { .w.t = *state, .flags = MPROC_DRAIN };
	struct sleepy immediate = { .w.t = *state, .flags = MPROC_IMMEDIATE };

	step_with(&drain, "drain, a consumer sleeps", with_a_sleeping_consumer);
	step_with(&drain, "drain, a producer sleeps", with_a_sleeping_producer);
	step_with(&immediate, "immediate shutdown, a consumer sleeps",
		  with_a_sleeping_consumer);
	step_with(&immediate, "immediate shutdown, a producer sleeps",
		  with_a_sleeping_producer);
}

/* The queue is drained but for one message, and somebody has died in a put. */
static void
with_a_dead_producer(void *arg)
{
	struct world *w = arg;
	struct mpr_lane *lane;

	world_begin(w);
	leave_a_lane(w);
	lane = mpr_arena_at(mpr_arena_peek(), w->q->lanes);
	assert_int_equal(mpr_owner_state(lane->owner), MPR_LANE_ACTIVE);
	atomic_store(&lane->busy, 1);
	assert_int_equal(mproc_queue_shutdown(w->q, MPROC_DRAIN), 0);
}

static void
final_victim(void *arg)
{
	struct world *w = arg;
	struct message m;

	mpt_step_begin();
	may_fail(mproc_queue_get(w->q, &m, sizeof(m), NULL, mproc_sec(30)));
	must_be(mproc_queue_get(w->q, &m, sizeof(m), NULL, mproc_sec(30)),
		-ESHUTDOWN);
	mpt_step_end();
}

static void
final_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct message m = { 0 };
	int r;

	(void)victim;
	(void)n;
	/* The dead are found by who wants to know. */
	r = mproc_queue_get(w->q, &m, sizeof(m), NULL, mproc_sec(30));
	assert_true(r == -ESHUTDOWN || (r == 0 && !finished));
	if (r == 0) {
		assert_true(m.sender == BY_VICTIM && is_whole(&m));
		assert_int_equal(mproc_queue_get(w->q, &m, sizeof(m), NULL,
						 mproc_sec(30)), -ESHUTDOWN);
	}
	recover();
	mproc_queue_destroy(w->q);
	expect_as_before(w);
}

static void
killed_in_a_get_that_comes_to_the_end(void **state)
{
	struct world w = { .t = *state, .opts.capacity = 4096 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "the last gets of a drain",
		.victim = final_victim,
		.before = with_a_dead_producer,
		.survivor = final_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_destroy),
		mpt_test(killed_in_destroy_of_a_queue_that_it_never_used),
		mpt_test(killed_in_destroy_without_memory_to_attach),
		mpt_test(killed_as_the_last_to_leave),
		mpt_test(killed_in_shutdown),
		mpt_test(killed_in_an_immediate_shutdown),
		mpt_test(killed_in_a_shutdown_that_wakes),
		mpt_test(killed_in_a_get_that_comes_to_the_end),
	};

	return cmocka_run_group_tests(tests, world_setup, NULL);
}
