/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of what ends the hold of messages
 * in blocks: the queue is destroyed, the last one lets go, a dead one is
 * recovered, somebody who waits for memory is woken.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "block.h"
#include "ipc/attachment.h"
#include "ipc/queue_put.h"

/* Has all that one can have in hands: a message that is published and not said
 * to be queued, one that is reserved, one that is shown. */
static void
hold_all(struct scene *s)
{
	struct mpr_attachment *at;
	struct mpr_reference ref;
	const void *shown;

	fill(reserve(s, sizeof(struct long_message)), BY_OTHER, 0);
	at = mpr_attachment_present(s->w.q);
	ref = mpr_message_reference(at, &at->writes,
				    sizeof(struct long_message));
	mpr_producer_put_reference(&at->producer, &ref);
	at->writes.block = NULL;
	may_fail(mproc_queue_peek(s->w.q, &shown, NULL, MPROC_NOWAIT));
	reserve(s, MUCH);
}

static void
destroy_victim(void *arg)
{
	struct scene *s = arg;

	hold_all(s);
	mpt_step_begin();
	mproc_queue_destroy(s->w.q);
	mpt_step_end();
}

static void
destroy_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	struct mproc_arena_stat now;

	(void)victim;
	(void)n;
	recover();
	assert_int_equal(mproc_queue_len(s->w.q) == 0 || !finished, 1);
	mproc_queue_destroy(s->w.q);
	recover();
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.queues, s->w.before.queues);
	assert_int_equal(now.blocks, s->w.before.blocks);
	assert_int_equal(now.used, s->w.before.used);
	assert_int_equal(now.participants, s->w.before.participants);
}

/* The test has a seat, so it frees them. */
static void
killed_in_destroy(void **state)
{
	struct scene s = { .w = { .t = *state }, .longs = 2 };

	step(&s, "destroy", destroy_victim, destroy_survivor);
}

/* The queue is gone, and the victim the last to let go: it frees all. */
static void
letting_go_victim(void *arg)
{
	struct scene *s = arg;
	pid_t pid;
	void *p;

	p = reserve(s, MUCH);
	pid = fork();
	if (pid == 0) {
		mproc_queue_destroy(s->w.q);
		kill(getpid(), SIGKILL);
	}
	may_fail(waitpid(pid, NULL, 0));
	may_fail(mproc_arena_recover(NULL));
	mpt_step_begin();
	if (mproc_queue_abort(s->w.q, p) != -ESTALE)
		_exit(1);
	mpt_step_end();
}

/* The test is not among those who use it. */
static void
begin_apart(void *arg)
{
	struct scene *s = arg;
	pid_t pid;
	int status;

	s->w.opts.capacity = CAPACITY;
	world_begin(&s->w);
	pid = fork();
	if (pid == 0) {
		for (uint32_t i = 0; i < 3; i++)
			may_fail(put_long(s->w.q, BY_OTHER, i));
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	recover();
}

static void
killed_while_it_frees_the_queue(void **state)
{
	struct scene s = { .w = { .t = *state } };

	mpt_stepper_run(s.w.t, &(struct mpt_stepper_opts){
		.name = "abort in a queue that is gone",
		.victim = letting_go_victim,
		.before = begin_apart,
		.survivor = destroy_survivor,
		.fingerprint = blocks_state,
		.every = 300,
		.budget = 100,
		.arg = &s,
	}, NULL);
}

static void
with_a_dead_holder(void *arg)
{
	struct scene *s = arg;
	int status;
	pid_t pid;

	begin(arg);
	pid = fork();
	if (pid == 0) {
		hold_all(s);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
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
recovered_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	struct found found[5];

	(void)victim;
	(void)n;
	(void)finished;
	recover();
	take_all(s->w.q, found);
	assert_int_equal(found[BY_OTHER].n, 1);
	/* One was shown to the dead, which only the single consumer can be
	 * without having taken it. */
	assert_int_equal(found[BY_TEST].n,
			 s->w.opts.single_consumer ? s->longs : s->longs - 1);
	end(s);
}

static void
killed_while_it_recovers_a_holder(void **state)
{
	for (int single = 0; single < 2; single++) {
		struct scene s = { .w = { .t = *state,
					  .opts.single_consumer = single },
				   .longs = 2 };

		mpt_stepper_run(s.w.t, &(struct mpt_stepper_opts){
			.name = single ? "recovery, single consumer" :
					 "recovery",
			.victim = recover_victim,
			.before = with_a_dead_holder,
			.survivor = recovered_survivor,
			.fingerprint = blocks_state,
			.every = 300,
		.budget = 100,
			.arg = &s,
		}, NULL);
	}
}

#define HUGE (MPR_BLOCK_MAX - 1000) /* of which there is one to the MiB */

static void *taken[16];
static unsigned n_taken;

/* There is memory for one more message of that length, it is used up, and a
 * producer sleeps because of that. */
static void
with_a_sleeping_producer(void *arg)
{
	struct scene *s = arg;
	void *p;

	s->w.opts.capacity = CAPACITY;
	world_begin(&s->w);
	assert_int_equal(put_long(s->w.q, BY_TEST, 0), 0);
	while (n_taken < 16 && (taken[n_taken] = mproc_alloc(HUGE)))
		n_taken++;
	mproc_free(taken[--n_taken]);
	assert_int_equal(mproc_queue_reserve(s->w.q, HUGE, &p, MPROC_NOWAIT),
			 0);
	fill(p, BY_TEST, 1);
	assert_int_equal(mproc_queue_commit(s->w.q, p,
					    sizeof(struct long_message)), 0);
	s->other = fork();
	if (s->other == 0) {
		may_fail(mproc_queue_reserve(s->w.q, HUGE, &p, mproc_sec(30)));
		fill(p, BY_OTHER, 0);
		_exit(mproc_queue_commit(s->w.q, p,
					 sizeof(struct long_message)) < 0);
	}
	mpt_until(s->w.t, mpt_task_state(s->other) == 'S');
}

static void
waking_release_victim(void *arg)
{
	struct scene *s = arg;
	struct long_message m;
	const void *p;

	may_fail(mproc_queue_get(s->w.q, &m, sizeof(m), NULL, MPROC_NOWAIT));
	may_fail(mproc_queue_peek(s->w.q, &p, NULL, MPROC_NOWAIT));
	mpt_step_begin();
	may_fail(mproc_queue_release(s->w.q, p));
	mpt_step_end();
}

static void
waking_release_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	struct found found[5];
	struct long_message m;
	int status, r;

	(void)victim;
	(void)n;
	(void)finished;
	/* Not a word to the producer: it must notice by itself. Only what the
	 * single consumer was shown may be there still, for us to take. */
	if (s->w.opts.single_consumer) {
		r = mproc_queue_get(s->w.q, &m, sizeof(m), NULL, MPROC_NOWAIT);
		assert_true(r == 0 || r == -EAGAIN);
	}
	assert_int_equal(waitpid(s->other, &status, 0), s->other);
	assert_int_equal(status, 0);
	recover();
	take_all(s->w.q, found);
	assert_true(found[BY_TEST].n == 0);
	assert_true(found[BY_OTHER].n == 1 || m.part[0].sender == BY_OTHER);
	while (n_taken)
		mproc_free(taken[--n_taken]);
	end(s);
}

static void
killed_in_a_release_that_makes_room(void **state)
{
	for (int single = 0; single < 2; single++) {
		struct scene s = { .w = { .t = *state,
					  .opts.single_consumer = single } };

		mpt_stepper_run(s.w.t, &(struct mpt_stepper_opts){
			.name = "release that makes room",
			.victim = waking_release_victim,
			.before = with_a_sleeping_producer,
			.survivor = waking_release_survivor,
			.fingerprint = blocks_state,
			.every = 1,
			.budget = 30,
			.max_cases = 50,
			.arg = &s,
		}, NULL);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_destroy),
		mpt_test(killed_while_it_frees_the_queue),
		mpt_test(killed_while_it_recovers_a_holder),
		mpt_test(killed_in_a_release_that_makes_room),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
