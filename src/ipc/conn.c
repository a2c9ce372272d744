/* SPDX-License-Identifier: MIT */
/*
 * Connections, whatever carries them: which kind one is shows by where its address
 * leads. Ends of pipes lie in the arena.
 */
#include "ipc/pipe.h"

int
mproc_conn_send(mproc_conn *c, const void *buf, size_t len,
		mproc_timeout timeout)
{
	return mpr_pipe_send(c, buf, len, timeout);
}

int
mproc_conn_sendv(mproc_conn *c, const struct iovec *parts, int n,
		 mproc_timeout timeout)
{
	return mpr_pipe_sendv(c, parts, n, timeout);
}

int
mproc_conn_recv(mproc_conn *c, void *buf, size_t size, size_t *ret_len,
		mproc_timeout timeout)
{
	return mpr_pipe_recv(c, buf, size, ret_len, timeout);
}

int
mproc_conn_poll(mproc_conn *c, mproc_timeout timeout)
{
	return mpr_pipe_poll(c, timeout);
}

int
mproc_conn_fd(mproc_conn *c)
{
	return mpr_pipe_fd(c);
}

void
mproc_conn_close(mproc_conn *c)
{
	if (c)
		mpr_pipe_close(c);
}
