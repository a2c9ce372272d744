/* SPDX-License-Identifier: MIT */
/*
 * One ready thing among many: a waitset of queues against an epoll of eventfds. The
 * message is put by the same thread, then waited for, taken, and the set is found
 * empty; so for a queue the watching thread's part is in it, twice.
 *
 * Usage: bench_waitset [rounds]
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "bench.h"

#define ROUNDS 9
#define CALLS 500
#define MOST 10000

static mproc_queue *queues[MOST];
static int fds[MOST];
static mproc_waitset *set;
static int epoll_set;
static int n_fds; /* as many as there may be */

static void
make_all(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	for (int i = 0; i < MOST; i++)
		if (mproc_queue_create(&queues[i], MPROC_OPTS(
			    mproc_queue_opts, .capacity = 4096)) < 0)
			bench_die("no queue");
	while (n_fds < MOST && (fds[n_fds] = eventfd(0, EFD_NONBLOCK)) >= 0)
		n_fds++;
	/* Some for the sets. */
	for (int i = 0; i < 16 && n_fds < MOST; i++)
		close(fds[--n_fds]);
}

static void
open_sets(int n)
{
	if (mproc_waitset_create(&set) < 0)
		bench_die("no set");
	epoll_set = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < n; i++) {
		struct mproc_waitable item = {
			.kind = MPROC_WAIT_QUEUE, .object = queues[i],
		};
		struct epoll_event e = { .events = EPOLLIN, .data.fd = fds[i] };

		if (mproc_waitset_add(set, &item) < 0)
			bench_die("a queue was not added");
		if (i < n_fds &&
		    epoll_ctl(epoll_set, EPOLL_CTL_ADD, fds[i], &e) < 0)
			bench_die("an eventfd was not added");
	}
}

static void
by_waitset(int at)
{
	struct mproc_waitable item;
	int number = 0, r;

	if (mproc_queue_put(queues[at], &at, sizeof(at), MPROC_FOREVER) < 0 ||
	    mproc_waitset_wait(set, &item, 1, MPROC_FOREVER) != 1 ||
	    item.object != queues[at] ||
	    mproc_queue_get(item.object, &number, sizeof(number), NULL,
			    MPROC_NOWAIT) < 0 || number != at)
		bench_die("a message was lost");
	r = mproc_waitset_wait(set, &item, 1, MPROC_NOWAIT);
	if (r != -EAGAIN)
		bench_die("there is one too many");
}

static void
by_epoll(int at)
{
	struct epoll_event e;
	uint64_t one = 1;

	if (write(fds[at], &one, sizeof(one)) < 0 ||
	    epoll_wait(epoll_set, &e, 1, -1) != 1 || e.data.fd != fds[at] ||
	    read(fds[at], &one, sizeof(one)) < 0 ||
	    epoll_wait(epoll_set, &e, 1, 0) != 0)
		bench_die("an eventfd was lost");
}

static double
run(void (*fn)(int at), int n)
{
	int64_t begin = mproc_now();

	for (int i = 0; i < CALLS; i++)
		fn((int)(i * 7919LL % n));
	return (double)(mproc_now() - begin) / CALLS;
}

int
main(int argc, char **argv)
{
	static const char *const names[] = { "mproc_waitset", "epoll" };
	static const int sizes[] = { 10, 100, 1000, MOST };
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	double **ns = bench_columns(2, rounds);

	make_all();
	for (unsigned s = 0; s < 4; s++) {
		int n = sizes[s];

		open_sets(n);
		for (int i = 0; i < rounds; i++) {
			ns[0][i] = run(by_waitset, n);
			ns[1][i] = run(by_epoll, n < n_fds ? n : n_fds);
		}
		bench_table("ns", "waitset: one of many");
		bench_table_at(n, "queues");
		bench_show(names, ns, 2, rounds, 0);
		if (n > n_fds)
			printf("epoll is of %d\n", n_fds);
		mproc_waitset_close(set);
		close(epoll_set);
	}
	bench_free_columns(ns, 2);
	return 0;
}
