/* SPDX-License-Identifier: MIT */
/*
 * Pipes that are read here and written to by others.
 */
#ifndef MPR_OS_PIPE_H
#define MPR_OS_PIPE_H

#include <poll.h> /* for the type */
#include <stddef.h>

/* Makes one, whose ends are closed at exec and above 2; reading from @ret_fds[0] does
 * not block. Returns 0, or -EMFILE, -ENFILE. */
int mpr_pipe_open(int ret_fds[2]);

/* Returns how many bytes were read; 0 at the end; -EAGAIN if there are none yet;
 * another error if it is no pipe of ours any more. */
int mpr_pipe_read(int fd, char *buf, size_t size);

/* How many bytes can be read now. */
int mpr_pipe_held(int fd);

/* Waits until one of @fds is ready, or @ms milliseconds. Not a cancellation point. */
void mpr_pipe_wait(struct pollfd *fds, unsigned n, int ms);

#endif
