/* SPDX-License-Identifier: MIT */
/*
 * A pool in an event loop: one thread polls the descriptors of a few tasks, and of a
 * pipe to which a child writes meanwhile. It never blocks anywhere else. As one task
 * is done, the next one is submitted.
 */
#include <errno.h>
#include <mproc/mproc.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TASKS 40
#define AT_ONCE 4
#define SPAN 5000 /* numbers of each task */
#define LINES 10

struct loop {
	mproc_pool *pool;
	mproc_future *futures[AT_ONCE]; /* or NULL */
	struct pollfd fds[AT_ONCE + 1]; /* the last one is the pipe's */
	int submitted;
	int running;
	int primes;
	size_t heard; /* bytes */
};

/* How many primes there are from a number on. */
static int
count(const void *in, size_t len, struct mproc_result *out)
{
	int from, n = 0;

	(void)len;
	memcpy(&from, in, sizeof(from));
	for (int i = from < 2 ? 2 : from; i < from + SPAN; i++) {
		int k = 2;

		while (k * k <= i && i % k)
			k++;
		n += k * k > i;
	}
	return mproc_result_set(out, &n, sizeof(n));
}

static int
talk(void *fd)
{
	for (int i = 0; i < LINES; i++)
		if (write(*(int *)fd, "still here\n", 11) != 11)
			return 1;
	return 0;
}

static int
submit(struct loop *l, int place)
{
	int from = l->submitted * SPAN, r;

	l->futures[place] = NULL;
	l->fds[place].fd = -1;
	if (l->submitted == TASKS)
		return 0;
	r = mproc_pool_submit(l->pool, count, &from, sizeof(from),
			      &l->futures[place]);
	if (r < 0)
		return r;
	l->submitted++;
	l->running++;
	r = mproc_future_fd(l->futures[place]);
	l->fds[place] = (struct pollfd){ .fd = r, .events = POLLIN };
	return r < 0 ? r : 0;
}

/* Its descriptor is readable, which need not mean that it is done. */
static int
on_task(struct loop *l, int place)
{
	int n, r;

	r = mproc_future_get(l->futures[place], &n, sizeof(n), NULL,
			     MPROC_NOWAIT);
	if (r == -EAGAIN)
		return 0;
	if (r)
		return r < 0 ? r : -EIO;
	l->primes += n;
	l->running--;
	mproc_future_close(l->futures[place]);
	return submit(l, place);
}

static void
on_pipe(struct loop *l)
{
	struct pollfd *end = &l->fds[AT_ONCE];
	char bytes[64];
	ssize_t n = read(end->fd, bytes, sizeof(bytes));

	if (n > 0)
		l->heard += (size_t)n;
	else
		end->fd = -1;
}

static int
turn(struct loop *l)
{
	int r = 0;

	if (poll(l->fds, AT_ONCE + 1, -1) < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < AT_ONCE && r == 0; i++)
		if (l->fds[i].revents)
			r = on_task(l, i);
	if (l->fds[AT_ONCE].revents)
		on_pipe(l);
	return r;
}

static int
run(struct loop *l)
{
	int r = 0;

	for (int i = 0; i < AT_ONCE && r == 0; i++)
		r = submit(l, i);
	while (r == 0 && (l->running || l->fds[AT_ONCE].fd >= 0))
		r = turn(l);
	return r;
}

int
main(void)
{
	struct loop l = { .fds = { { .fd = -1 } } };
	mproc_process *child;
	int ends[2], r;

	r = mproc_pool_create(&l.pool,
			      MPROC_OPTS(mproc_pool_opts, .workers = 2));
	if (r == 0)
		r = pipe(ends) < 0 ? -errno : 0;
	if (r == 0)
		r = mproc_process_start(&child, talk, &ends[1], NULL);
	if (r == 0) {
		close(ends[1]);
		l.fds[AT_ONCE] = (struct pollfd){ .fd = ends[0],
						  .events = POLLIN };
		r = run(&l);
		close(ends[0]);
	}
	if (r == 0)
		r = mproc_process_join(child, MPROC_FOREVER);
	if (r < 0) {
		fprintf(stderr, "pool-loop: %s\n", mproc_error_detail());
		return 1;
	}
	mproc_process_close(child);
	mproc_pool_free(l.pool);
	printf("%d primes below %d\n", l.primes, TASKS * SPAN);
	printf("%zu bytes meanwhile\n", l.heard);
	return 0;
}
