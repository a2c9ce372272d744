/* SPDX-License-Identifier: MIT */
/*
 * The fork server, in the process that it works for: a child with an image of its
 * own, which forks others when asked. There is one at most; it is begun when it is
 * first needed, and when it has died since.
 */
#ifndef MPR_PROCESS_FORKSERVER_H
#define MPR_PROCESS_FORKSERVER_H

#include "process/handle.h"

/* Has it fork a child of this process, for @p, which becomes the owner of a plan and
 * a record, and may have its child open already. Returns the child's id, or a negative
 * error. */
pid_t mpr_forkserver_fork(mproc_process *p, const struct mpr_call *call,
			  const struct mproc_process_opts *o);

/* Such a start has come to its end: has the server get ready for the next one. */
void mpr_forkserver_started(void);

/* In a forked child: its parent's is none of ours. */
void mpr_forkserver_forget(void);

/* At the end of this process. */
void mpr_forkserver_end(void);

/* Whether @fd is a descriptor that this process has for its server. */
bool mpr_forkserver_has_fd(int fd);

#endif
