/* SPDX-License-Identifier: MIT */
/*
 * crew.h - the workers of a run: started, watched, killed, replaced.
 *
 * Each worker has a place, and whoever replaces it takes the place over. For
 * each place there is a word in shared memory with the id of the task in the
 * worker's hand, which the parent reads when the worker is dead.
 */
#ifndef WORDCOUNT_CREW_H
#define WORDCOUNT_CREW_H

#include <mproc/mproc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * struct crew_place - where a worker is
 * @process: the worker, or NULL if there is none
 * @killed:  crew_kill_one() was called for it
 * @closed:  there is no room for a worker here; nobody will be started
 */
struct crew_place {
	mproc_process *process;
	bool killed;
	bool closed;
};

/**
 * struct crew - the workers of a run
 * @tasks:    where they take tasks from
 * @results:  where they put results
 * @hands:    shared; per place the id of a task, or 0
 * @places:   per place the worker
 * @n:        how many places there are
 * @n_alive:  how many workers there are
 * @n_number: how many were ever started: the last one's number
 */
struct crew {
	mproc_queue *tasks;
	mproc_queue *results;
	_Atomic uint64_t *hands;
	struct crew_place *places;
	unsigned n;
	unsigned n_alive;
	uint32_t n_number;
};

/**
 * crew_lost_fn - told of each worker that ended before its time
 * @task:   id of the task in its hand, or 0
 * @killed: crew_kill_one() did it
 */
typedef void crew_lost_fn(void *ctx, uint64_t task, bool killed);

/* Starts n workers, or as many as the system lets us. Returns 0, or a negative
 * error if there are none. */
int crew_start(struct crew *c, unsigned n, mproc_queue *tasks,
	       mproc_queue *results);

/* Sees which workers have ended, and starts others in their places. Returns 0,
 * or a negative error if no worker is left. */
int crew_tend(struct crew *c, crew_lost_fn *lost, void *ctx);

/* Kills a worker, the nth of those alive, counted round and round. */
void crew_kill_one(struct crew *c, uint64_t nth);

/* Is a task in the hand of a worker that is alive? */
bool crew_has(const struct crew *c, uint64_t task);

/* Waits for the workers, which end because the queues were shut down, and
 * kills those that have not ended at a point in time. Returns how many. */
unsigned crew_stop(struct crew *c, mproc_timeout until);

#endif
