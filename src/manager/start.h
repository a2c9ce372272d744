/* SPDX-License-Identifier: MIT */
/*
 * Managers that have a process of their own.
 */
#ifndef MPR_MANAGER_START_H
#define MPR_MANAGER_START_H

#include <mproc/manager.h>
#include <mproc/process.h>

#include "os/socket.h"

/* What its starter has of it. */
struct mpr_started {
	mproc_process *process;
	int control; /* server.h says what for */
	char address[MPR_SOCKET_TEXT];
};

/* Starts one; the options are checked. Returns 0 when clients can connect, or a
 * negative error. */
int mpr_started_begin(struct mpr_started *ret, const struct mproc_manager_opts *opts);

/* As mproc_manager_register(), by one thread at a time, of a type that was checked. */
int mpr_started_register(struct mpr_started *started, const struct mproc_type *type);

/* As mproc_manager_shutdown(). */
int mpr_started_end(struct mpr_started *started, mproc_timeout grace);

/* Not ended, or in a forked child: forgets it. */
void mpr_started_forget(struct mpr_started *started);

#endif
