/* SPDX-License-Identifier: MIT */
/*
 * worker.h - a process that does tasks.
 */
#ifndef WORDCOUNT_WORKER_H
#define WORDCOUNT_WORKER_H

#include <mproc/mproc.h>
#include <stdatomic.h>
#include <stdint.h>

/* Exit status of a worker whose calls of libmproc fail. */
enum {
	WORKER_UNABLE = 3
};

/**
 * struct worker - what a worker is given
 * @tasks:   where tasks come from
 * @results: where results go
 * @hand:    shared with the parent: the id of the task that is being done
 * @number:  its own; no other worker of this run has it
 */
struct worker {
	mproc_queue *tasks;
	mproc_queue *results;
	_Atomic uint64_t *hand;
	uint32_t number;
};

/* The entry; arg is a struct worker. Ends when the tasks are shut down. */
int worker_main(void *arg);

#endif
