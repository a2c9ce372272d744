/* SPDX-License-Identifier: MIT */
/*
 * What a connection receives from, for who waits for it and other things at once.
 */
#ifndef MPR_IPC_CONN_H
#define MPR_IPC_CONN_H

#include <mproc/pipe.h>
#include <mproc/queue.h>

#include "ipc/socket_conn.h"

/* One of the two; the other is NULL. */
struct mpr_conn_source {
	mproc_queue *q; /* the calling thread has an attachment to it */
	struct mpr_socket_conn *socket;
};

/* Returns 0, or what mproc_conn_recv() returns at once: -EINVAL, -EFAULT, -EPERM,
 * -ESTALE, or why this thread cannot take part. */
int mpr_conn_source(mproc_conn *c, struct mpr_conn_source *ret);

#endif
