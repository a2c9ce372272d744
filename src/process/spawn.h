/* SPDX-License-Identifier: MIT */
/*
 * Processes with an image of their own, in the process that starts them.
 */
#ifndef MPR_PROCESS_SPAWN_H
#define MPR_PROCESS_SPAWN_H

#include "process/handle.h"

/* Whether this process can start any. Returns 0, or -ENOEXEC with the reason in the
 * error detail. */
int mpr_spawn_check(const struct mproc_process_opts *o);

/*
 * Makes the plan of @p, which becomes the handle's together with its record, and
 * starts the image. Returns the child's id, or a negative error.
 */
pid_t mpr_spawn(mproc_process *p, const struct mpr_call *call,
		const struct mproc_process_opts *o);

#endif
