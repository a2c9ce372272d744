/* SPDX-License-Identifier: MIT */
/*
 * Recovery can be killed as well: a process that gives back what a dead one
 * held is itself killed after each instruction, and whoever comes next must
 * find and finish all of it.
 */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

static void
recover_victim(void *arg)
{
	(void)arg;
	mpt_step_begin();
	if (mproc_arena_recover(NULL) < 1)
		_exit(1);
	mpt_step_end();
}

/* The same by one who is a participant and can free what is gone. */
static void
joined_recover_victim(void *arg)
{
	void *p = mproc_alloc(64);

	mproc_free(p);
	recover_victim(arg);
}

/* A process uses the queue and dies; nobody has noticed so far. */
static void
die_after(struct world *w, int (*use)(struct world *w))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (use(w) == 0)
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static int
put_and_get(struct world *w)
{
	struct message m = message(BY_OTHER, 0);

	if (mproc_queue_put(w->q, &m, sizeof(m), MPROC_NOWAIT) < 0)
		return 1;
	return mproc_queue_get(w->q, &m, sizeof(m), NULL, MPROC_NOWAIT);
}

static void
with_the_dead(void *arg)
{
	world_begin(arg);
	die_after(arg, put_and_get);
}

static int
put_only(struct world *w)
{
	struct message m = message(BY_VICTIM, 0);

	return mproc_queue_put(w->q, &m, sizeof(m), MPROC_NOWAIT);
}

/* Another producer gets the lane that the dead one had. */
static void
lane_is_free(struct world *w)
{
	struct mproc_arena_stat one, other;

	assert_int_equal(mproc_arena_stat(NULL, &one), 0);
	die_after(w, put_only);
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(mproc_arena_stat(NULL, &other), 0);
	assert_int_equal(other.blocks, one.blocks);
}

static void
survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct found found[5];

	(void)victim;
	(void)n;
	(void)finished;
	assert_true(mproc_arena_recover(NULL) >= 0);
	lane_is_free(w);
	/* One of the test's messages went to the dead, if its lane was looked
	 * at first; the rest is there. */
	drain(w->q, found);
	assert_int_equal(found[BY_TEST].n + found[BY_OTHER].n, w->queued);
	world_end(w);
}

static void
killed_while_it_recovers_a_producer_and_consumer(void **state)
{
	struct world w = { .t = *state, .queued = 2,
			   .opts.capacity = 4096 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "recovery",
		.victim = recover_victim,
		.before = with_the_dead,
		.survivor = survivor,
		.fingerprint = arena_state,
		.budget = 200,
		.arg = &w,
	}, NULL);
}

static void
killed_while_it_recovers_the_single_consumer(void **state)
{
	struct world w = { .t = *state, .queued = 2,
			   .opts.capacity = 4096,
			   .opts.single_consumer = true };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "recovery of the single consumer",
		.victim = recover_victim,
		.before = with_the_dead,
		.survivor = survivor,
		.fingerprint = arena_state,
		.every = 1000,
		.budget = 200,
		.arg = &w,
	}, NULL);
}

/* The dead was the last to use a queue that is gone: recovery frees it. */
static int
destroy_and_stay(struct world *w)
{
	struct message m = message(BY_OTHER, 0);
	pid_t pid;

	if (mproc_queue_put(w->q, &m, sizeof(m), MPROC_NOWAIT) < 0)
		return 1;
	pid = fork();
	if (pid == 0) {
		mproc_queue_destroy(w->q);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
	return 0;
}

static void
with_a_dead_last_user(void *arg)
{
	struct world *w = arg;

	make_spare_slots();
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(mproc_arena_stat(NULL, &w->before), 0);
	w->opts.struct_size = sizeof(w->opts);
	assert_int_equal(mproc_queue_create(&w->q, &w->opts), 0);
	die_after(w, destroy_and_stay);
}

static void
gone_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct mproc_arena_stat now;
	mproc_queue *q;

	(void)victim;
	(void)n;
	(void)finished;
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(mproc_queue_create(&q, NULL), 0);
	mproc_queue_destroy(q);
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.queues, w->before.queues);
	assert_int_equal(now.blocks, w->before.blocks);
	assert_int_equal(now.participants, w->before.participants);
}

static void
killed_while_it_frees_the_queue_of_the_dead(void **state)
{
	struct world w = { .t = *state, .opts.capacity = 4096 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "recovery that frees a queue",
		.victim = joined_recover_victim,
		.before = with_a_dead_last_user,
		.survivor = gone_survivor,
		.fingerprint = arena_state,
		.budget = 300,
		.arg = &w,
	}, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_while_it_recovers_a_producer_and_consumer),
		mpt_test(killed_while_it_recovers_the_single_consumer),
		mpt_test(killed_while_it_frees_the_queue_of_the_dead),
	};

	return cmocka_run_group_tests(tests, world_setup, NULL);
}
