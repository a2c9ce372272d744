/* SPDX-License-Identifier: MIT */
/*
 * wait.h: mproc_wait() for queues and events, and descriptors and processes at once.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "process.h"
#include "wait.h"

/* In the scratch bytes. */
struct board {
	mproc_queue *q;
	mproc_event *e;
	_Atomic pid_t tid;
	_Atomic unsigned taken;
};

static void
wait_for_no_watcher(struct mpt *t)
{
	/* The thread that watched may be about to leave. */
	mpt_until(t, mproc_arena_recover(NULL) >= 0);
}

static void
whatever_is_ready_is_told(void **state)
{
	struct mpt *t = *state;
	mproc_queue *q = new_queue();
	mproc_event e = { 0 };
	mproc_process *p = start(wait_for_ever, t);
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	{
		struct mproc_waitable items[] = {
			READABLE(fds[0]), QUEUE(q), PROCESS(p), EVENT(&e),
		};

		assert_int_equal(mproc_wait(items, 4, MPROC_NOWAIT), -EAGAIN);
		assert_int_equal(mproc_wait(items, 4, mproc_ms(20)),
				 -ETIMEDOUT);
		put_byte(q);
		assert_int_equal(mproc_wait(items, 4, MPROC_FOREVER), 1);
		assert_int_equal(items[1].ret_events, POLLIN);
		/* A queue that always has something starves nobody. */
		assert_int_equal(write(fds[1], "x", 1), 1);
		assert_int_equal(mproc_wait(items, 4, MPROC_FOREVER), 2);
		assert_int_equal(items[0].ret_events, POLLIN);
		assert_int_equal(mproc_event_set(&e), 0);
		assert_int_equal(mproc_process_kill(p), 0);
		await_zombie(t, mproc_process_pid(p));
		assert_int_equal(mproc_wait(items, 4, MPROC_FOREVER), 4);
		assert_int_equal(get_byte(q), 0);
		assert_int_equal(mproc_wait(items, 4, MPROC_FOREVER), 3);
		assert_int_equal(items[1].ret_events, 0);
	}
	close(fds[0]);
	close(fds[1]);
	mproc_process_close(p);
	mproc_queue_destroy(q);
	wait_for_no_watcher(t);
}

/* Each of four kinds wakes one that sleeps for all of them. */

struct job {
	struct mproc_waitable items[4];
	_Atomic bool begun;
	int r;
};

static void *
wait_for_job(void *arg)
{
	struct job *job = arg;

	job->begun = true;
	job->r = mproc_wait(job->items, 4, mproc_sec(20));
	return NULL;
}

static void
each_kind_wakes(void **state)
{
	struct mpt *t = *state;
	mproc_queue *q = new_queue();
	mproc_event e = { 0 };
	mproc_process *p;
	pthread_t thread;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	p = start(wait_for_ever, t);
	for (int kind = 0; kind < 5; kind++) {
		struct job job = { .items = {
			READABLE(fds[0]), QUEUE(q), EVENT(&e), PROCESS(p),
		} };

		assert_int_equal(pthread_create(&thread, NULL, wait_for_job,
						&job), 0);
		mpt_until(t, job.begun);
		/* Once soon, and once when it sleeps. */
		if (kind % 2)
			assert_int_equal(mproc_wait(NULL, 0, mproc_ms(30)),
					 -ETIMEDOUT);
		if (kind == 0)
			assert_int_equal(write(fds[1], "x", 1), 1);
		if (kind == 1)
			put_byte(q);
		if (kind == 2)
			assert_int_equal(mproc_event_set(&e), 0);
		if (kind == 3)
			assert_int_equal(mproc_process_kill(p), 0);
		if (kind == 4)
			mproc_queue_destroy(q);
		pthread_join(thread, NULL);
		assert_true(job.r >= 1);
		assert_int_not_equal(job.items[kind % 4 + kind / 4].ret_events,
				     0);
		if (kind == 0) {
			char byte;

			assert_int_equal(read(fds[0], &byte, 1), 1);
		}
		if (kind == 1)
			assert_int_equal(get_byte(q), 0);
		if (kind == 2)
			assert_int_equal(mproc_event_clear(&e), 0);
		if (kind == 3) {
			assert_int_equal(end_of(p), -SIGKILL);
			mproc_process_close(p);
			p = start(wait_for_ever, t);
		}
	}
	kill_and_close(p);
	close(fds[0]);
	close(fds[1]);
}

static int
serve(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned n = (unsigned)(uintptr_t)arg;
	char byte;

	for (unsigned i = 0; i < n; i++) {
		mpt_check_int(t, mproc_event_wait(b->e, mproc_sec(20)), 0);
		mpt_check_int(t, mproc_event_clear(b->e), 0);
		mpt_check_int(t, mproc_queue_put(b->q, &byte, 1,
						 mproc_sec(20)), 0);
	}
	return 0;
}

/* No wake-up is lost, however often. */
static void
to_and_fro(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	unsigned n = amount(1000);
	int fds[2];

	*b = (struct board){ .q = new_queue() };
	assert_int_equal(mproc_event_create(&b->e), 0);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	mpt_spawn(t, "server", serve, (void *)(uintptr_t)n);
	for (unsigned i = 0; i < n; i++) {
		struct mproc_waitable items[] = {
			READABLE(fds[0]), QUEUE(b->q), QUEUE(b->q),
		};

		assert_int_equal(mproc_event_set(b->e), 0);
		/* It may come between the looks at the two. */
		assert_in_range(mproc_wait(items, 3, mproc_sec(20)), 1, 2);
		assert_int_equal(items[0].ret_events, 0);
		assert_int_equal(items[2].ret_events, POLLIN);
		assert_int_equal(get_byte(b->q), 0);
	}
	mpt_join_all(t);
	mproc_queue_destroy(b->q);
	mproc_event_destroy(b->e);
	close(fds[0]);
	close(fds[1]);
}

/* More than need no memory, and one of them wakes. */
static int
put_one(struct mpt *t, void *arg)
{
	mpt_step(t, 0);
	mpt_check_int(t, mproc_queue_put(arg, "x", 1, MPROC_NOWAIT), 0);
	return 0;
}

static void
one_of_many(void **state)
{
	enum { MANY = 200 };
	struct mproc_waitable items[MANY + 1];
	struct mpt *t = *state;
	mproc_queue *q[MANY];
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	for (int i = 0; i < MANY; i++) {
		q[i] = new_queue();
		items[i] = (struct mproc_waitable)QUEUE(q[i]);
	}
	items[MANY] = (struct mproc_waitable)READABLE(fds[0]);
	mpt_spawn(t, "producer", put_one, q[MANY / 2]);
	mpt_reach(t, 1);
	assert_int_equal(mproc_wait(items, MANY + 1, mproc_sec(20)), 1);
	assert_int_equal(items[MANY / 2].ret_events, POLLIN);
	assert_int_equal(get_byte(q[MANY / 2]), 0);
	mpt_join_all(t);
	assert_int_equal(mproc_wait(items, MANY + 1, mproc_ms(1)),
			 -ETIMEDOUT);
	for (int i = 0; i < MANY; i++)
		mproc_queue_destroy(q[i]);
	close(fds[0]);
	close(fds[1]);
}

static void
another_arena_can_be_mixed_too(void **state)
{
	struct mpt *t = *state;
	mproc_queue *q = NULL;
	mproc_arena *a;
	char name[64];
	int fds[2];

	mpt_name(t, name, "mixed");
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(mproc_arena_create(
		&a, MPROC_OPTS(mproc_arena_opts, .name = name)), 0);
	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .arena = a)), 0);
	{
		struct mproc_waitable items[] = {
			READABLE(fds[0]), QUEUE(q),
		};

		assert_int_equal(mproc_wait(items, 2, MPROC_NOWAIT), -EAGAIN);
		assert_int_equal(mproc_wait(items, 2, mproc_ms(1)),
				 -ETIMEDOUT);
		put_byte(q);
		assert_int_equal(mproc_wait(items, 2, mproc_sec(20)), 1);
	}
	mproc_queue_destroy(q);
	mproc_arena_close(a);
	/* It is unmapped when nobody watches it any more. */
	mpt_until(t, is_alone());
	assert_int_equal(mproc_arena_unlink(name), 0);
	close(fds[0]);
	close(fds[1]);
}

static void
interrupt(int sig)
{
	(void)sig;
	mproc_interrupt();
}

static int
wait_to_be_interrupted(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct mproc_waitable items[] = { QUEUE(b->q), READABLE(0) };
	int fds[2];

	(void)arg;
	mpt_check_int(t, pipe2(fds, O_CLOEXEC), 0);
	items[1].fd = fds[0];
	signal(SIGUSR1, interrupt);
	b->tid = mpt_pid(t, 0);
	mpt_check_int(t, mproc_wait(items, 2, mproc_sec(20)), -EINTR);
	mpt_check_int(t, mproc_wait(items, 2, mproc_ms(1)), -ETIMEDOUT);
	return 0;
}

static void
an_interrupt_ends_the_wait(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);

	*b = (struct board){ .q = new_queue() };
	mpt_spawn(t, "waiter", wait_to_be_interrupted, NULL);
	mpt_until(t, b->tid);
	mpt_until(t, mpt_task_state(b->tid) == 'S');
	kill(mpt_pid(t, 0), SIGUSR1);
	mpt_join_all(t);
	mproc_queue_destroy(b->q);
}

static int
wait_in_child(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct mproc_waitable items[] = {
		QUEUE(b->q), READABLE((int)(intptr_t)arg),
	};

	mpt_check_int(t, mproc_wait(items, 2, mproc_ms(1)), -ETIMEDOUT);
	mpt_step(t, 0);
	mpt_check_int(t, mproc_wait(items, 2, mproc_sec(20)), 1);
	mpt_check_int(t, items[0].ret_events, POLLIN);
	return 0;
}

/* What the parent had is not used. */
static void
a_forked_child_waits_by_itself(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int fds[2];

	*b = (struct board){ .q = new_queue() };
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	{
		struct mproc_waitable items[] = {
			QUEUE(b->q), READABLE(fds[0]),
		};

		assert_int_equal(mproc_wait(items, 2, mproc_ms(1)),
				 -ETIMEDOUT);
		mpt_fork(t, "child", wait_in_child,
			 (void *)(intptr_t)fds[0]);
		mpt_reach(t, 1);
		put_byte(b->q);
		assert_int_equal(mproc_wait(items, 2, mproc_sec(20)), 1);
	}
	mpt_join_all(t);
	mproc_queue_destroy(b->q);
	close(fds[0]);
	close(fds[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(whatever_is_ready_is_told),
		mpt_test(each_kind_wakes),
		mpt_test(to_and_fro),
		mpt_test(one_of_many),
		mpt_test(another_arena_can_be_mixed_too),
		mpt_test(an_interrupt_ends_the_wait),
		mpt_test(a_forked_child_waits_by_itself),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
