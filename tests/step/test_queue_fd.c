/* SPDX-License-Identifier: MIT */
/*
 * Producers, consumers and those who shut down are killed after each
 * instruction of an operation that somebody waits for who polls a descriptor.
 */
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

/* Another process polls a descriptor of the queue. */
struct polled {
	struct world w;
	pid_t poller;
};

/* In the scratch bytes. */
struct board {
	_Atomic int quiet;
	_Atomic int sender; /* of the message that came */
};

/* Until a message comes, or the end; not for ever. */
static int
poll_and_get(struct polled *p)
{
	struct board *b = mpt_scratch(p->w.t);
	struct pollfd pfd = { .fd = mproc_queue_fd(p->w.q), .events = POLLIN };
	struct message m;
	int r;

	if (pfd.fd < 0 || poll(&pfd, 1, 0) != 0)
		return -EPROTO;
	b->quiet = 1;
	do {
		if (poll(&pfd, 1, 30000) != 1)
			return -ETIMEDOUT;
		r = mproc_queue_get(p->w.q, &m, sizeof(m), NULL, MPROC_NOWAIT);
	} while (r == -EAGAIN);
	if (r == 0 && is_whole(&m))
		b->sender = (int)m.sender;
	return r;
}

static void
with_one_who_polls(void *arg)
{
	struct polled *p = arg;
	struct board *b = mpt_scratch(p->w.t);

	world_begin(&p->w);
	b->quiet = 0;
	b->sender = 0;
	p->poller = fork();
	if (p->poller == 0)
		_exit(-poll_and_get(p));
	mpt_until(p->w.t, b->quiet);
	mpt_until(p->w.t, mpt_task_state(p->poller) == 'S');
}

/* What it has got: 0, or a positive error. */
static int
result_of(struct polled *p)
{
	int status;

	assert_int_equal(waitpid(p->poller, &status, 0), p->poller);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
put_victim(void *arg)
{
	struct polled *p = arg;
	struct message m = message(BY_VICTIM, 0);

	mpt_step_begin();
	if (mproc_queue_put(p->w.q, &m, sizeof(m), MPROC_NOWAIT) < 0)
		_exit(1);
	mpt_step_end();
}

static void
put_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct polled *p = arg;
	struct board *b = mpt_scratch(p->w.t);
	bool there = mproc_queue_len(p->w.q) > 0 || b->sender;

	(void)victim;
	(void)n;
	/* Not a word to who polls, if the message is there: it must notice. */
	if (!there)
		put(p->w.q, BY_SURVIVOR, 0);
	assert_int_equal(result_of(p), 0);
	if (finished || there)
		assert_int_equal(b->sender, BY_VICTIM);
	assert_true(mproc_arena_recover(NULL) >= 0);
	while (mproc_queue_get(p->w.q, &(struct message){ 0 },
			       sizeof(struct message), NULL, MPROC_NOWAIT) == 0)
		;
	world_end(&p->w);
}

static void
killed_in_a_put_that_makes_a_descriptor_readable(void **state)
{
	struct polled p = { .w = { .t = *state, .opts.capacity = 4096 } };

	mpt_stepper_run(p.w.t, &(struct mpt_stepper_opts){
		.name = "put that is polled for",
		.victim = put_victim,
		.before = with_one_who_polls,
		.survivor = put_survivor,
		.fingerprint = arena_state,
		.every = 1,
		.budget = 80,
		.max_cases = 140,
		.arg = &p,
	}, NULL);
}

static void
shutdown_victim(void *arg)
{
	struct polled *p = arg;

	/* The victim's seat comes before. */
	(void)!mproc_queue_len(p->w.q);
	mpt_step_begin();
	if (mproc_queue_shutdown(p->w.q, MPROC_DRAIN) < 0)
		_exit(1);
	mpt_step_end();
}

static void
shutdown_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct polled *p = arg;
	bool closed = p->w.q->closing;

	(void)victim;
	(void)n;
	if (finished)
		assert_true(closed);
	/* Not a word, again. */
	if (!closed)
		assert_int_equal(mproc_queue_shutdown(p->w.q, MPROC_DRAIN), 0);
	assert_int_equal(result_of(p), ESHUTDOWN);
	assert_true(mproc_arena_recover(NULL) >= 0);
	p->w.q->closing = 0; /* for the end of the world */
	world_end(&p->w);
}

static void
killed_in_a_shutdown_that_makes_a_descriptor_readable(void **state)
{
	struct polled p = { .w = { .t = *state, .opts.capacity = 4096 } };

	mpt_stepper_run(p.w.t, &(struct mpt_stepper_opts){
		.name = "shutdown that is polled for",
		.victim = shutdown_victim,
		.before = with_one_who_polls,
		.survivor = shutdown_survivor,
		.fingerprint = arena_state,
		.every = 1,
		.budget = 60,
		.max_cases = 100,
		.arg = &p,
	}, NULL);
}

static void
destroy_victim(void *arg)
{
	struct polled *p = arg;

	(void)!mproc_queue_len(p->w.q);
	mpt_step_begin();
	mproc_queue_destroy(p->w.q);
	mpt_step_end();
}

static void
destroy_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct polled *p = arg;
	struct mproc_arena_stat now;
	int r;

	(void)victim;
	(void)n;
	(void)finished;
	if (mpr_owner_state(p->w.q->state) == MPR_QUEUE_OPEN)
		mproc_queue_destroy(p->w.q);
	r = result_of(p);
	assert_true(r == ESTALE || r == ESHUTDOWN);
	assert_true(mproc_arena_recover(NULL) >= 0);
	/* Our own attachment, if there is one, notices. */
	assert_int_equal(mproc_queue_put(p->w.q, "x", 1, MPROC_NOWAIT), -ESTALE);
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.queues, p->w.before.queues);
	assert_int_equal(now.blocks, p->w.before.blocks);
	assert_int_equal(now.participants, p->w.before.participants);
}

static void
killed_in_a_destroy_that_makes_a_descriptor_readable(void **state)
{
	struct polled p = { .w = { .t = *state, .opts.capacity = 4096 } };

	mpt_stepper_run(p.w.t, &(struct mpt_stepper_opts){
		.name = "destroy that is polled for",
		.victim = destroy_victim,
		.before = with_one_who_polls,
		.survivor = destroy_survivor,
		.fingerprint = arena_state,
		.every = 1,
		.budget = 60,
		.max_cases = 100,
		.arg = &p,
	}, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_a_put_that_makes_a_descriptor_readable),
		mpt_test(killed_in_a_shutdown_that_makes_a_descriptor_readable),
		mpt_test(killed_in_a_destroy_that_makes_a_descriptor_readable),
	};

	return cmocka_run_group_tests(tests, world_setup, NULL);
}
