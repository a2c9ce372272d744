/* SPDX-License-Identifier: MIT */
/*
 * Two ends between which messages go with descriptors in them. They have no name, so
 * nobody else can come in.
 */
#ifndef MPR_OS_COURIER_H
#define MPR_OS_COURIER_H

#include <stdbool.h>
#include <stddef.h>

#define MPR_COURIER_FDS 250 /* the kernel takes 253 */

/* Makes both, closed at exec. Returns 0, or -EMFILE, -ENFILE, -ENOMEM. */
int mpr_courier_pair(int ret_fds[2]);

/* Sends a message whole or not at all. Returns 0; -EPIPE if nobody has the other
 * end; -EBADF if one of @fds is not open; -ENOMEM, -ETOOMANYREFS. */
int mpr_courier_send(int fd, const void *message, size_t len, const int *fds,
		     int n);

/* Waits until there is one, nobody has the other end, or @ms are over: then it
 * returns false. */
bool mpr_courier_await(int fd, int ms);

/* Waits for the same, or for the end of a process, whose pidfd is @life: then it
 * returns false. If there are both, it is the message. */
bool mpr_courier_await_beside(int fd, int life);

/* Waits for one. Returns how many descriptors came with it, up to MPR_COURIER_FDS,
 * closed at exec, and fewer than were sent where the limit on them is reached; -EPIPE
 * if nobody has the other end any more; -EMSGSIZE if it was not @len bytes. */
int mpr_courier_receive(int fd, void *message, size_t len, int *ret_fds);

/* Does not wait: -EAGAIN if there is none. */
int mpr_courier_take(int fd, void *message, size_t len, int *ret_fds);

#endif
