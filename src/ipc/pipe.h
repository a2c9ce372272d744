/* SPDX-License-Identifier: MIT */
/*
 * Connections that are ends of pipes: what mproc_conn_ functions do with them
 * (ipc/conn.c).
 */
#ifndef MPR_IPC_PIPE_H
#define MPR_IPC_PIPE_H

#include <stddef.h>
#include <sys/uio.h>

#include <mproc/pipe.h>

#include "ipc/conn.h"

int mpr_pipe_send(mproc_conn *c, const void *buf, size_t len,
		  mproc_timeout timeout);
int mpr_pipe_sendv(mproc_conn *c, const struct iovec *parts, int n,
		   mproc_timeout timeout);
int mpr_pipe_recv(mproc_conn *c, void *buf, size_t size, size_t *ret_len,
		  mproc_timeout timeout);
int mpr_pipe_send_fd(mproc_conn *c, int fd, mproc_timeout timeout);
int mpr_pipe_recv_fd(mproc_conn *c, mproc_timeout timeout);
int mpr_pipe_poll(mproc_conn *c, mproc_timeout timeout);
int mpr_pipe_fd(mproc_conn *c);
void mpr_pipe_close(mproc_conn *c);

/* Where what is received there comes from: see ipc/conn.h. */
int mpr_pipe_source(mproc_conn *c, struct mpr_conn_source *ret);

#endif
