/* SPDX-License-Identifier: MIT */
/*
 * crew.c - the workers of a run: started, watched, killed, replaced.
 */
#include "crew.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descriptors.h"
#include "interrupt.h"
#include "memory.h"
#include "worker.h"

/* For the walk, or a worker's files, and for libmproc. */
enum {
	SPARE_DESCRIPTORS = 8
};

static int
start_one(struct crew *c, unsigned place)
{
	struct worker worker = {
		.tasks = c->tasks,
		.results = c->results,
		.hand = &c->hands[place],
		.number = c->n_number + 1,
	};
	char name[16];
	int r;

	/* The worker reads its own copy of the structure. A daemon, because
	 * nobody may wait for it if this program has to give up. */
	snprintf(name, sizeof(name), "worker-%u", worker.number);
	atomic_store(&c->hands[place], 0);
	r = mproc_process_start(&c->places[place].process, worker_main, &worker,
				MPROC_OPTS(mproc_process_opts, .name = name,
					   .daemon = true));
	if (r < 0) {
		c->places[place].process = NULL;
		return r;
	}
	c->places[place].killed = false;
	c->n_number++;
	c->n_alive++;
	return 0;
}

int
crew_start(struct crew *c, unsigned n, mproc_queue *tasks, mproc_queue *results)
{
	int r = 0;

	memset(c, 0, sizeof(*c));
	c->tasks = tasks;
	c->results = results;
	c->hands = mproc_alloc(n * sizeof(*c->hands));
	if (!c->hands)
		return -errno;
	c->places = memory_resize(NULL, n, sizeof(*c->places));
	memset(c->places, 0, n * sizeof(*c->places));
	descriptors_allow_all_but(SPARE_DESCRIPTORS);
	for (; c->n < n && !interrupt_signal(); c->n++) {
		r = start_one(c, c->n);
		if (r < 0)
			break;
	}
	descriptors_allow_all_but(0);
	if (r < 0 && c->n)
		fprintf(stderr,
			"wordcount: going on with %u workers, not %u: %s\n",
			c->n, n, mproc_strerror(r));
	return c->n ? 0 : r;
}

/* Clears the place of a worker that has ended. */
static void
bury(struct crew *c, unsigned place, crew_lost_fn *lost, void *ctx)
{
	struct crew_place *p = &c->places[place];
	struct mproc_exit exit = { .code = -1 };

	mproc_process_exit_info(p->process, &exit);
	mproc_process_close(p->process);
	p->process = NULL;
	p->closed = exit.code == WORKER_UNABLE;
	c->n_alive--;
	lost(ctx, atomic_load(&c->hands[place]),
	     p->killed && exit.signal == SIGKILL);
}

int
crew_tend(struct crew *c, crew_lost_fn *lost, void *ctx)
{
	struct crew_place *p;
	int r = -EAGAIN;
	unsigned i;

	for (i = 0; i < c->n; i++) {
		p = &c->places[i];
		if (p->process &&
		    mproc_process_join(p->process, MPROC_NOWAIT) == 0)
			bury(c, i, lost, ctx);
		if (!p->process && !p->closed)
			r = start_one(c, i);
	}
	return c->n_alive ? 0 : r;
}

void
crew_kill_one(struct crew *c, uint64_t nth)
{
	struct crew_place *p;
	unsigned i;

	if (!c->n_alive)
		return;
	nth %= c->n_alive;
	for (i = 0; !c->places[i].process || nth > 0; i++)
		nth -= c->places[i].process != NULL;
	p = &c->places[i];
	p->killed = true;
	mproc_process_kill(p->process);
	/* So that the next crew_tend() finds it dead. */
	mproc_process_join(p->process, mproc_ms(100));
}

bool
crew_has(const struct crew *c, uint64_t task)
{
	unsigned i;

	for (i = 0; i < c->n; i++) {
		if (c->places[i].process && atomic_load(&c->hands[i]) == task)
			return true;
	}
	return false;
}

unsigned
crew_stop(struct crew *c, mproc_timeout until)
{
	unsigned i, killed = 0;

	for (i = 0; i < c->n; i++) {
		if (c->places[i].process &&
		    mproc_process_join(c->places[i].process, until) < 0) {
			mproc_process_kill(c->places[i].process);
			killed++;
		}
	}
	for (i = 0; i < c->n; i++) {
		if (c->places[i].process)
			mproc_process_join(c->places[i].process, MPROC_FOREVER);
		mproc_process_close(c->places[i].process);
	}
	free(c->places);
	mproc_free(c->hands);
	memset(c, 0, sizeof(*c));
	return killed;
}
