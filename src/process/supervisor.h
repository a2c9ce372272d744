/* SPDX-License-Identifier: MIT */
/*
 * A supervisor, as its two sources see it: supervisor.c is its public face,
 * supervise.c what a thread in mproc_supervisor_run() does.
 */
#ifndef MPR_PROCESS_SUPERVISOR_H
#define MPR_PROCESS_SUPERVISOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <mproc/process.h>

#include "process/restarts.h"
#include "process/self.h"

struct mpr_supervised {
	mproc_entry *fn;
	void *arg;
	void *copy; /* of the argument, or NULL */
	struct mproc_process_opts opts;
	char name[MPR_NAME_MAX];
	enum mproc_restart restart;
	mproc_timeout grace;

	bool wanted;	/* is to be started, when it is due */
	int64_t due;
	bool begun;	/* was started once */
	int64_t started_at;
	unsigned failures; /* in a row, or restarts after them */

	/* The ends of pipes that the supervisor holds for it: what tells each from
	 * another one at its place; or NULL. */
	uint64_t *lent;

	bool stopping; /* runs, and is to end; that end is ours */
	bool asked;
	bool killed;
	int64_t kill_at; /* if asked */
};

struct mproc_supervisor {
	uint64_t generation;
	enum mproc_strategy strategy;
	struct mpr_restarts restarts;
	int64_t backoff;
	int64_t backoff_max;

	/* A thread is in here. Who sets it sees, by the same word, what the one
	 * before has done. */
	_Atomic bool busy;
	_Atomic bool stop; /* what mproc_supervisor_stop() asks for */
	int waker;	   /* by which it does; negative where there are none */

	enum {
		MPR_SUPERVISOR_GOING,
		MPR_SUPERVISOR_STOPPED,
		MPR_SUPERVISOR_GAVE_UP,
		MPR_SUPERVISOR_OVER,
	} state;
	char reason[384]; /* why it gave up */

	unsigned n, room;
	struct mpr_supervised *children;
	mproc_process **ps; /* of each, or NULL */
};

/* The ends of pipes that the supervisor holds for its children: it does so no more for
 * those that are over; or for @all. */
void mpr_supervisor_release(mproc_supervisor *s, bool all);

/* Returns 0, MPROC_SUPERVISOR_GAVE_UP, -ETIMEDOUT or -EINTR, -ECHILD. With a
 * deadline in the past it does what can be done at once. */
int mpr_supervise(mproc_supervisor *s, int64_t deadline);

#endif
