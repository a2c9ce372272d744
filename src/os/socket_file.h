/* SPDX-License-Identifier: MIT */
/*
 * Sockets that are files: how one comes into being and goes; for os/socket only.
 */
#ifndef MPR_OS_SOCKET_FILE_H
#define MPR_OS_SOCKET_FILE_H

#include "os/socket.h"

struct mpr_socket_name;

/* As mpr_socket_listen(), with the socket @fd. Returns 0 or a negative error with a
 * text. */
int mpr_socket_file_listen(int fd, const struct mpr_socket_name *name,
			   unsigned mode, int backlog,
			   struct mpr_socket_place *ret_place);

#endif
