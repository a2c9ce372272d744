/* SPDX-License-Identifier: MIT */
/*
 * Connections over a socket: private memory of one process, and usable in its forked
 * children, in which each has a copy. Messages lie in the stream as ipc/wire.h has
 * them.
 *
 * Nothing is read ahead: what is read of the stream belongs to the message that is
 * being received. So the descriptor is readable as long as something is there, and at
 * the borders of messages the processes that share a connection see the same stream.
 * Calls may stop in the middle of a message; the next one goes on there.
 */
#ifndef MPR_IPC_SOCKET_CONN_H
#define MPR_IPC_SOCKET_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include <mproc/core.h>

struct mpr_socket_conn;

/*
 * Makes one of the socket @fd, which it closes in the end; -1: there is none yet.
 * @asked: the other side may take us for one who has a key. @passes_fds: it is a local
 * socket through which descriptors may come and go. Returns 0 or -ENOMEM; then @fd is
 * still open.
 */
int mpr_socket_conn_make(struct mpr_socket_conn **ret_c, int fd, bool asked,
			 bool passes_fds);

/* It is that one's. Where it was made with -1. */
void mpr_socket_conn_give(struct mpr_socket_conn *c, int fd);

/* It is one no more: its socket is the caller's, who knows that no message has begun.
 * Returns that. */
int mpr_socket_conn_release(struct mpr_socket_conn *c);

#define MPR_SOCKET_CONN_MAGIC UINT64_C(0x6d70635f736f636b)

/* Whether @p, which is in no arena, is one: it begins with that. */
static inline bool
mpr_socket_conn_is(const void *p)
{
	return p && *(const uint64_t *)p == MPR_SOCKET_CONN_MAGIC;
}

/* As mproc_conn_sendv() and the others of include/mproc/pipe.h. */
int mpr_socket_conn_sendv(struct mpr_socket_conn *c, const struct iovec *parts,
			  int n, mproc_timeout timeout);
int mpr_socket_conn_recv(struct mpr_socket_conn *c, void *buf, size_t size,
			 size_t *ret_len, mproc_timeout timeout);
int mpr_socket_conn_send_fd(struct mpr_socket_conn *c, int fd,
			    mproc_timeout timeout);
int mpr_socket_conn_recv_fd(struct mpr_socket_conn *c, mproc_timeout timeout);
/* Whether the next call finds the stream as it is, in another process, too: no call
 * is under way, and none has stopped in the middle. Returns 0, -EBUSY, -EBADMSG. */
int mpr_socket_conn_may_move(struct mpr_socket_conn *c);

int mpr_socket_conn_poll(struct mpr_socket_conn *c, mproc_timeout timeout);

/* Whether a recv fails at once, whatever comes; as long as an open file that one has
 * met is not taken, too. */
bool mpr_socket_conn_is_over(struct mpr_socket_conn *c);

int mpr_socket_conn_fd(const struct mpr_socket_conn *c);

/* That, and one that a call for a message has met, if it has. Returns how many. */
unsigned mpr_socket_conn_fds(const struct mpr_socket_conn *c, int ret_fds[2]);
void mpr_socket_conn_close(struct mpr_socket_conn *c);

#endif
