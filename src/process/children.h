/* SPDX-License-Identifier: MIT */
/*
 * The processes that this one has started: those whose handles are open, and
 * those whose handles were closed while they ran.
 */
#ifndef MPR_PROCESS_CHILDREN_H
#define MPR_PROCESS_CHILDREN_H

#include <stdbool.h>

#include <mproc/process.h>

/* Adds a process that has just been forked, and whose handle is open. Returns
 * false if it is too late for that: see mpr_children_keep(). */
bool mpr_children_add(mproc_process *p);

/* The start of one that was added with .starting, which mproc_children() does not list,
 * has succeeded; or has failed: then it is taken out. That returns false if it has to
 * stay until it is closed: see mpr_children_keep(). */
void mpr_children_show(mproc_process *p);
bool mpr_children_withdraw(mproc_process *p);

/* Its handle is closed. It is freed: now, if the process has ended, or by
 * mpr_children_reap() once it has. */
void mpr_children_close(mproc_process *p);

/* Reaps those who were closed and have ended since. */
void mpr_children_reap(void);

enum mpr_children_kind {
	MPR_CHILDREN_DAEMONS = 1,
	MPR_CHILDREN_OTHERS = 2,
	MPR_CHILDREN_OUTLIVING = 4, /* nothing that the exit rules are for */
	MPR_CHILDREN_ALL = 7, /* but for the following, which nobody waits for */
	MPR_CHILDREN_SERVER = 8,
};

/* Whether there may be any. Costs a process that has none next to nothing. */
bool mpr_children_exist(void);

/* At the end of this process: handles are not freed any more, whoever closes
 * them, so that those found below can be waited for; and no more are started,
 * or a thread that replaces those who end would keep us for ever. */
void mpr_children_keep(void);
bool mpr_children_may_start(void);

/* One that is still to be waited for, its handle open or not, or NULL: it runs, or nobody
 * has done yet what is to be done after its end (mpr_process_is_done()). */
mproc_process *mpr_children_left(enum mpr_children_kind kind);

/* Calls @fn for each that has not ended, and says whether its handle is open; with
 * the process lock held. */
void mpr_children_each(void (*fn)(const mproc_process *p, bool open, void *ctx),
		       void *ctx);

/* Sends a signal to all that have not ended. */
void mpr_children_signal(enum mpr_children_kind kind, int signal);

#endif
