/* SPDX-License-Identifier: MIT */
/*
 * All that a program waits for in one event loop, which is libev's: answers of three
 * workers, each of which has a pipe of its own, and what they say in a queue, as one
 * set of waits with one descriptor; and a timer of the loop's. However many workers
 * there are, the loop has one thing to look at, and the set tells which are ready.
 */
#include <errno.h>
#include <ev.h>
#include <mproc/mproc.h>
#include <stdio.h>

#define WORKERS 3
#define QUESTIONS 500 /* for each worker; a pipe holds them all */

struct worker {
	mproc_process *process;
	mproc_conn *conn; /* NULL: it has ended */
	int answers;
	long sum;
};

static struct {
	struct worker workers[WORKERS];
	mproc_queue *said;
	mproc_waitset *set;
	int greetings, running, ticks;
	int error;
} shop;

static int
work(void *arg)
{
	mproc_conn *conn = arg;
	int number, r;

	if (mproc_queue_put(shop.said, "ready", 5, MPROC_FOREVER) < 0)
		return 1;
	while ((r = mproc_conn_recv(conn, &number, sizeof(number), NULL,
				    MPROC_FOREVER)) == 0) {
		number *= number;
		if (mproc_conn_send(conn, &number, sizeof(number),
				    MPROC_FOREVER) < 0)
			return 1;
		if (number == QUESTIONS * QUESTIONS)
			return 0;
	}
	return r == -EPIPE ? 0 : 1;
}

static int
ask(mproc_conn *conn)
{
	int r = 0;

	for (int i = 1; i <= QUESTIONS && r == 0; i++)
		r = mproc_conn_send(conn, &i, sizeof(i), MPROC_FOREVER);
	return r;
}

static int
start(struct worker *w)
{
	mproc_conn *theirs;
	int r = mproc_pipe(&w->conn, &theirs, NULL);

	if (r == 0)
		r = mproc_process_start(&w->process, work, theirs,
					MPROC_OPTS(mproc_process_opts,
						   .conns = &theirs,
						   .n_conns = 1));
	if (r == 0)
		r = mproc_waitset_add(shop.set, &(struct mproc_waitable){
			.kind = MPROC_WAIT_CONN, .object = w->conn });
	if (r == 0)
		shop.running++;
	return r == 0 ? ask(w->conn) : r;
}

/* Takes what there is of a worker's answers. */
static int
take_answers(const struct mproc_waitable *item)
{
	struct worker *w = shop.workers;
	int square, r;

	while (w->conn != item->object)
		w++;
	while ((r = mproc_conn_recv(w->conn, &square, sizeof(square), NULL,
				    MPROC_NOWAIT)) == 0) {
		w->answers++;
		w->sum += square;
	}
	if (r != -EPIPE)
		return r == -EAGAIN ? 0 : r;
	/* It has ended, and this was the last of it. */
	r = mproc_waitset_remove(shop.set, item);
	mproc_conn_close(w->conn);
	w->conn = NULL;
	shop.running--;
	return r;
}

static int
take_greetings(void)
{
	char text[16];
	int r;

	while ((r = mproc_queue_get(shop.said, text, sizeof(text), NULL,
				    MPROC_NOWAIT)) == 0)
		shop.greetings++;
	return r == -EAGAIN ? 0 : r;
}

/* Something of the set may be ready. */
static void
on_set(struct ev_loop *loop, ev_io *io, int events)
{
	struct mproc_waitable items[WORKERS + 1];
	int n = mproc_waitset_wait(shop.set, items, WORKERS + 1, MPROC_NOWAIT);
	int r = n == -EAGAIN ? 0 : n;

	(void)io;
	(void)events;
	for (int i = 0; i < n && r >= 0; i++)
		r = items[i].kind == MPROC_WAIT_QUEUE ?
			    take_greetings() : take_answers(&items[i]);
	if (r < 0)
		shop.error = r;
	if (r < 0 || (!shop.running && shop.greetings == WORKERS &&
		      shop.ticks))
		ev_break(loop, EVBREAK_ALL);
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer;
	(void)events;
	shop.ticks++;
	if (!shop.running && shop.greetings == WORKERS)
		ev_break(loop, EVBREAK_ALL);
}

static int
run(void)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	ev_timer timer;
	ev_io io;

	if (!loop)
		return -ENOMEM;
	ev_io_init(&io, on_set, mproc_waitset_fd(shop.set), EV_READ);
	ev_timer_init(&timer, on_timer, 0.001, 0.001);
	ev_io_start(loop, &io);
	ev_timer_start(loop, &timer);
	ev_run(loop, 0);
	ev_loop_destroy(loop);
	return shop.error;
}

static int
open_shop(void)
{
	int r = mproc_queue_create(&shop.said, NULL);

	if (r == 0)
		r = mproc_waitset_create(&shop.set);
	if (r == 0)
		r = mproc_waitset_add(shop.set, &(struct mproc_waitable){
			.kind = MPROC_WAIT_QUEUE, .object = shop.said });
	for (int i = 0; i < WORKERS && r == 0; i++)
		r = start(&shop.workers[i]);
	return r;
}

int
main(void)
{
	int r = open_shop();

	if (r == 0)
		r = run();
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", mproc_strerror(r),
			mproc_error_detail());
		return 1;
	}
	printf("%d workers were ready, and a timer ran\n", shop.greetings);
	for (int i = 0; i < WORKERS; i++) {
		struct worker *w = &shop.workers[i];

		printf("worker %d: %d answers, sum %ld\n", i, w->answers,
		       w->sum);
		(void)mproc_process_join(w->process, MPROC_FOREVER);
		mproc_process_close(w->process);
	}
	mproc_waitset_close(shop.set);
	mproc_queue_destroy(shop.said);
	return 0;
}
