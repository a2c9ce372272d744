/* SPDX-License-Identifier: MIT */
/*
 * One of the things that are waited for: what stands for it, and whether it is
 * ready. Each is waited for either in shared memory or by a descriptor.
 */
#ifndef MPR_WAIT_THING_H
#define MPR_WAIT_THING_H

#include <stdbool.h>

#include <mproc/process.h>
#include <mproc/queue.h>
#include <mproc/wait.h>

#include "ipc/attachment.h"
#include "sync/news.h"

struct mpr_thing {
	/* In shared memory: the arena that it counts as one of, and a queue or
	 * something of which there will be news. NULL: it has a descriptor. */
	mproc_arena *arena;
	mproc_queue *q;
	struct mpr_news seen;

	/* By a descriptor, which is -1 for a process that the kernel has none
	 * for. */
	mproc_process *process; /* or NULL */
	bool plain; /* what is there is told as poll(2) says it */
	int fd;
	short events;
};

/*
 * What @item stands for; and one look at what needs no system call, or cannot be
 * waited for otherwise. Returns 1 if it is ready, and then nothing is said about
 * *@ret_t; 0 if it is not, or its descriptor has to be asked; or a negative error
 * (include/mproc/wait.h). It may drop attachments of the calling thread. What has to be
 * done before a wait for a future is done: its keeper is there, and in a worker, a task
 * that nobody has begun has been run.
 */
int mpr_thing_see(const struct mproc_waitable *item, struct mpr_thing *ret_t);

/* The same. @is_enough: others are ready, and no task is run. */
int mpr_thing_look_at(const struct mproc_waitable *item, bool is_enough,
		      struct mpr_thing *ret_t);

/* Whether a get there would not block. */
bool mpr_thing_queue_is_ready(struct mpr_attachment *at);

/* What is to be told of one whose descriptor says @revents. */
short mpr_thing_answer(const struct mpr_thing *t, short revents);

#endif
