/* SPDX-License-Identifier: MIT */
/*
 * Ends of pipes that are sockets (.sockets). What lies in shared memory is who holds
 * them, as for all pipes; this is the table of what the process itself has of them:
 * the connection behind each end, with its descriptor. A forked child has a copy of
 * it, and those that it does not hold are closed there; a new image, and a child of the
 * fork server, is sent descriptors, and makes its own.
 */
#ifndef MPR_IPC_SOCKET_END_H
#define MPR_IPC_SOCKET_END_H

#include <stdbool.h>
#include <stdint.h>

#include <mproc/pipe.h>

#include "ipc/socket_conn.h"

/* Makes one for the socket @fd, which is the table's then. @open is the word of the
 * pipe's state. Returns 0 or -ENOMEM; then @fd is still open. */
int mpr_socket_end_add(const mproc_conn *end, uint64_t open, int fd);

/* Returns NULL if there is none. */
struct mpr_socket_conn *mpr_socket_end_find(const mproc_conn *end, uint64_t open);

/* Closes it, if there is one. */
void mpr_socket_end_close(const mproc_conn *end, uint64_t open);

/* Closes all but those for which @keeps says so. */
void mpr_socket_end_close_others(bool (*keeps)(const mproc_conn *end, void *arg),
				 void *arg);

/* All descriptors, and those that have been met there (-ENOMSG), as far as @n of them go.
 * Returns how many there are. */
unsigned mpr_socket_end_fds(int *ret_fds, unsigned n);

#endif
