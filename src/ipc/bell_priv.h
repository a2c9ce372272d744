/* SPDX-License-Identifier: MIT */
/*
 * What the entries of a bell's things (ipc/watched.h) need of it. Under the process
 * lock.
 */
#ifndef MPR_IPC_BELL_PRIV_H
#define MPR_IPC_BELL_PRIV_H

#include <stdbool.h>

struct mpr_watched;

/* @e is READY. */
void mpr_bell_ring(struct mpr_watched *e);

/* In a forked child: closes the copies of the parent's. */
void mpr_bells_forget(void);

/* Whether one's descriptor is @fd. */
bool mpr_bells_have_fd(int fd);

#endif
