/* SPDX-License-Identifier: MIT */
/*
 * The handle of a started process, as the sources of this layer see it.
 */
#ifndef MPR_PROCESS_HANDLE_H
#define MPR_PROCESS_HANDLE_H

#include <stdbool.h>
#include <stdint.h>

#include <mproc/process.h>

#include "ipc/handover.h"
#include "os/child.h"
#include "process/call.h"
#include "process/inline.h"
#include "process/lines.h"
#include "process/plan.h"
#include "process/record.h"
#include "process/self.h"

struct mproc_process {
	uint64_t generation; /* of the process that the handle belongs to */
	struct mpr_child child;
	struct mpr_record *record;
	struct mpr_records *lent; /* to it, for those that it starts; or NULL */
	struct mpr_plan_file plan; /* of one with an image of its own */
	struct mpr_lines *lines[2]; /* of its output, if that is passed on */
	struct mpr_call call; /* inline.h; .fn is NULL if it is the child's */
	bool daemon;
	bool outlives; /* its parent */
	bool service;  /* of the library's own: no user sees it */
	bool at_once;  /* has its order before it has applied its options */
	bool listed;   /* among our children; whoever starts it asks */
	bool gives_all; /* ends of pipes that its parent holds */
	struct mpr_handover handover; /* until it gets its order */
	int64_t started; /* when its options were applied */
	char name[MPR_NAME_MAX];

	/* What can change, changes once, under the process lock: two threads
	 * that wait for the same child must not both try to reap it. */
	bool ended;
	bool recovered;		/* what it held is given back */
	bool done;		/* and its last lines are passed on, or given up */
	bool starting;		/* the start may fail still, and end it */
	bool reaped;		/* somebody sees to its end, and frees it if it may */
	struct mproc_exit exit; /* if ended */
	char *report;		/* what is there to free */

	/* Neighbours in a list of children.c, under the process lock too. */
	mproc_process *next;
	mproc_process *previous;
	mproc_process *next_reaped;
};

/*
 * Starts a process as mproc_process_start() does, but its entry does not begin
 * before it is let go. One that is abandoned instead ends without having run
 * anything of the user's, and its handle is closed.
 */
int mpr_process_hold(mproc_process **ret_p, const struct mpr_call *call,
		     const struct mproc_process_opts *opts);

/* The same for a process of the library's own, which no user gets to see. */
int mpr_process_hold_service(mproc_process **ret_p, const struct mpr_call *call,
			     const struct mproc_process_opts *opts);

/* The calling process is one of these, has no thread but this one, and runs nothing of the
 * user's but functions of pthread_atfork(3): it is not looked for others each time that it
 * forks, and its children have no pidfds, as those functions are not to reap any. One that
 * was reaped by them counts as ended by the next look at it, if no other child has got its
 * id before. */
void mpr_process_is_alone(void);

void mpr_process_let_go(mproc_process *p);
void mpr_process_abandon(mproc_process *p);

/* A copy of the argument, which the caller may change or free as soon as the
 * process is started, wherever it lies. */
int mpr_process_copy_arg(void **ret_copy, const void *arg, size_t size);

/* Whether the handle can be used here. Returns 0, -EINVAL or -ECHILD. */
int mpr_process_check(const mproc_process *p);

/* Whether the process has ended; what it held is given back then, and its last lines are
 * passed on. */
bool mpr_process_has_ended(mproc_process *p);

/* The same, but others that use the stream for its lines, or read them, are waited for
 * until @deadline only. Returns 0 if it has ended, and that is done; -EAGAIN if it runs;
 * -ETIMEDOUT if it has ended, and its lines are what is left. */
int mpr_process_see_end(mproc_process *p, int64_t deadline);

/* Whether that has been seen, and done: a look at a word. */
bool mpr_process_is_done(mproc_process *p);

/* Of one that has ended: its lines are not to be waited for. Returns false if there is
 * more left to do than that. */
bool mpr_process_give_up_lines(mproc_process *p);

/* Notes how the process ended, if it has. The process lock is held. */
bool mpr_process_look(mproc_process *p);

/* Waits for its end. Returns 0, or -ETIMEDOUT; or -EINTR, if @interruptible. */
int mpr_process_wait(mproc_process *p, int64_t deadline, bool interruptible);

/* The same at the end of this process: @deadline is for its last lines, too. */
int mpr_process_wait_at_exit(mproc_process *p, int64_t deadline);

/* Frees the handle of one that has ended, or was never started. */
void mpr_process_free(mproc_process *p);

#endif
