/* SPDX-License-Identifier: MIT */
/*
 * queue.h: descriptors in an event loop that is not ours, libev's, beside its
 * timers and other descriptors.
 */
#include <ev.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>

#include "common.h"

#define PRODUCERS 2
#define QUEUES 2

/* In the scratch bytes. */
struct board {
	mproc_queue *q[QUEUES];
	unsigned n; /* messages from each producer to each queue */
	_Atomic unsigned ready;
	char pipe[64]; /* its name */
};

/* What the loop has seen. */
struct seen {
	mproc_queue *q;
	unsigned next[PRODUCERS];
	ev_io io;
};

struct message {
	unsigned from;
	unsigned number;
};

static unsigned ticks;
static unsigned open_queues;

static int
produce(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct message m = { .from = (unsigned)(uintptr_t)arg };

	mpt_check(t, open(b->pipe, O_WRONLY | O_CLOEXEC) >= 0);
	b->ready++;
	for (m.number = 0; m.number < b->n; m.number++)
		for (int i = 0; i < QUEUES; i++)
			mpt_check_int(t, mproc_queue_put(b->q[i], &m, sizeof(m),
							 mproc_sec(20)), 0);
	return 0;
}

static void
on_messages(struct ev_loop *loop, ev_io *io, int events)
{
	struct seen *s = io->data;
	struct message m;
	int r;

	assert_int_equal(events, EV_READ);
	while ((r = mproc_queue_get(s->q, &m, sizeof(m), NULL,
				    MPROC_NOWAIT)) == 0) {
		assert_true(m.from < PRODUCERS);
		assert_int_equal(m.number, s->next[m.from]++);
	}
	if (r == -EAGAIN)
		return;
	assert_int_equal(r, -ESHUTDOWN);
	ev_io_stop(loop, io);
	if (--open_queues == 0)
		ev_break(loop, EVBREAK_ALL);
}

static void
on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)timer;
	(void)events;
	ticks++;
}

static void
on_end_of_producer(struct ev_loop *loop, ev_io *io, int events)
{
	struct board *b = io->data;

	(void)events;
	ev_io_stop(loop, io);
	for (int i = 0; i < QUEUES; i++)
		assert_int_equal(mproc_queue_shutdown(b->q[i], MPROC_DRAIN), 0);
}

static void
make_pipe(struct mpt *t, struct board *b, int fds[2])
{
	char buf[64];

	snprintf(b->pipe, sizeof(b->pipe), "/dev/shm%.40s",
		 mpt_name(t, buf, "pipe"));
	b->ready = 0;
	assert_int_equal(mkfifo(b->pipe, 0600), 0);
	fds[0] = open(b->pipe, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	fds[1] = open(b->pipe, O_WRONLY | O_CLOEXEC);
	assert_true(fds[0] >= 0 && fds[1] >= 0);
}

/* The loop waits for messages in two queues, for a timer, and for the end of
 * the producers, which the end of a pipe tells. */
static void
run(struct mpt *t, unsigned backend)
{
	struct ev_loop *loop = ev_loop_new(backend);
	struct seen seen[QUEUES] = { { 0 } };
	struct board *b = mpt_scratch(t);
	ev_timer timer;
	ev_io over;
	int fds[2];

	assert_non_null(loop);
	make_pipe(t, b, fds);
	b->n = amount(2000);
	ticks = 0;
	open_queues = QUEUES;
	for (int i = 0; i < QUEUES; i++) {
		assert_int_equal(mproc_queue_create(&b->q[i], NULL), 0);
		seen[i].q = b->q[i];
		ev_io_init(&seen[i].io, on_messages, mproc_queue_fd(b->q[i]),
			   EV_READ);
		seen[i].io.data = &seen[i];
		ev_io_start(loop, &seen[i].io);
	}
	ev_timer_init(&timer, on_tick, 0.001, 0.001);
	ev_timer_start(loop, &timer);
	ev_io_init(&over, on_end_of_producer, fds[0], EV_READ);
	over.data = b;
	ev_io_start(loop, &over);
	for (uintptr_t i = 0; i < PRODUCERS; i++)
		mpt_spawn(t, "producer", produce, (void *)i);
	/* The producers hold the other end as long as they run. */
	mpt_until(t, b->ready == PRODUCERS);
	close(fds[1]);
	assert_int_equal(unlink(b->pipe), 0);
	ev_run(loop, 0);
	mpt_join_all(t);
	for (int i = 0; i < QUEUES; i++)
		for (int k = 0; k < PRODUCERS; k++)
			assert_int_equal(seen[i].next[k], b->n);
	ev_loop_destroy(loop);
	close(fds[0]);
	for (int i = 0; i < QUEUES; i++)
		mproc_queue_destroy(b->q[i]);
}

static void
messages_come_through_a_loop_on_epoll(void **state)
{
	run(*state, EVBACKEND_EPOLL);
}

static void
messages_come_through_a_loop_on_poll(void **state)
{
	run(*state, EVBACKEND_POLL);
}

static void
messages_come_through_a_loop_on_select(void **state)
{
	run(*state, EVBACKEND_SELECT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(messages_come_through_a_loop_on_epoll),
		mpt_test(messages_come_through_a_loop_on_poll),
		mpt_test(messages_come_through_a_loop_on_select),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
