/* SPDX-License-Identifier: MIT */
#include "round_trip.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define WARM 100 /* trips that do not count */

struct trips {
	_Atomic unsigned ready[2];
	_Atomic unsigned over;
	_Atomic unsigned flaw;
	double ns[];
};

static int64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void
nap(void)
{
	struct timespec t = { 0, 500000 };

	nanosleep(&t, NULL);
}

static void
wait_to_be_killed(void)
{
	for (;;)
		pause();
}

static size_t
receive(const struct round_trip *f, void *channel, void *p)
{
	size_t len;

	if (!f->spin)
		return f->transport->recv(channel, p, f->size, true);
	/* Both may be on one CPU. */
	for (unsigned i = 1;; i++) {
		len = f->transport->recv(channel, p, f->size, false);
		if (len)
			return len;
		if (i % 64 == 0)
			sched_yield();
	}
}

/* Asks, or answers. The asking end receives last. */
static void
play(const struct round_trip *f, void *to[2], struct trips *t, bool asks)
{
	void *p = aligned_alloc(64, (f->size + 63) / 64 * 64);
	unsigned producer, i;
	uint64_t number;
	int64_t begun;

	if (!p || !flow_pin(f->placement, asks ? PRODUCER : CONSUMER, 0)) {
		t->flaw = 1;
		wait_to_be_killed();
	}
	/* Who receives is there first. */
	if (f->transport->attach) {
		f->transport->attach(to[asks], CONSUMER, 0);
		t->ready[asks]++;
		while (!t->ready[!asks])
			nap();
		f->transport->attach(to[!asks], PRODUCER, 0);
	}
	for (i = 0; i < f->trips + WARM; i++) {
		if (asks) {
			flow_fill(p, f->size, 0, i);
			begun = now();
			if (!f->transport->send(to[0], p, f->size) ||
			    receive(f, to[1], p) != f->size)
				break;
			if (i >= WARM)
				t->ns[i - WARM] = (double)(now() - begun);
		} else if (receive(f, to[0], p) != f->size) {
			break;
		}
		if (!flow_check(p, f->size, &producer, &number) || producer ||
		    number != i)
			break;
		if (!asks) {
			flow_fill(p, f->size, 0, i);
			if (!f->transport->send(to[1], p, f->size))
				break;
		}
	}
	if (i < f->trips + WARM)
		t->flaw = 1;
	else if (asks)
		t->over = 1;
	wait_to_be_killed();
}

static pid_t
start(const struct round_trip *f, void *to[2], struct trips *t, bool asks)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		bench_die("fork");
	if (pid > 0)
		return pid;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	play(f, to, t, asks);
	_exit(0);
}

static void
run(const struct round_trip *f, void *to[2], struct trips *t,
    struct round_trip_end *ret)
{
	int64_t end = now() + (int64_t)(f->patience * 1e9);
	pid_t pid[2];

	for (int i = 0; i < 2; i++)
		pid[i] = start(f, to, t, i);
	while (!t->over && !t->flaw && now() < end)
		nap();
	for (int i = 0; i < 2; i++)
		if (kill(pid[i], SIGKILL) < 0 ||
		    waitpid(pid[i], NULL, 0) != pid[i])
			bench_die("a process cannot be ended");
	if (!t->over) {
		snprintf(ret->flaw, sizeof(ret->flaw), "%s",
			 t->flaw ? "a message is wrong" :
				   "an answer does not come");
		return;
	}
	qsort(t->ns, f->trips, sizeof(t->ns[0]), bench_compare);
	ret->p50 = t->ns[f->trips / 2];
	ret->p99 = t->ns[f->trips - 1 - f->trips / 100];
	ret->p999 = t->ns[f->trips - 1 - f->trips / 1000];
	ret->most = t->ns[f->trips - 1];
}

void
round_trip_run(const struct round_trip *f, struct round_trip_end *ret)
{
	size_t len = sizeof(struct trips) + f->trips * sizeof(double);
	struct job job = { f->size, 1, 1 };
	struct trips *t = bench_shared(len);
	void *to[2];

	*ret = (struct round_trip_end){ .failed = 0 };
	to[0] = f->transport->open(&job);
	if (!to[0])
		ret->failed = errno;
	to[1] = to[0] ? f->transport->open(&job) : NULL;
	if (to[0] && !to[1])
		ret->failed = errno;
	if (to[1])
		run(f, to, t, ret);
	for (int i = 0; i < 2; i++)
		if (to[i])
			f->transport->close(to[i]);
	munmap(t, len);
}
