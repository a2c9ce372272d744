/* SPDX-License-Identifier: MIT */
/*
 * What the functions of barriers do with a handle to a manager's.
 */
#ifndef MPR_SYNC_BARRIER_REMOTE_H
#define MPR_SYNC_BARRIER_REMOTE_H

#include <mproc/sync.h>

int mpr_barrier_remote_wait(mproc_barrier *barrier, mproc_timeout timeout);
int mpr_barrier_remote_enroll(mproc_barrier *barrier);

/* An operation without numbers. */
int mpr_barrier_remote_ask(const mproc_barrier *barrier, unsigned op);

#endif
