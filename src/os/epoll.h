/* SPDX-License-Identifier: MIT */
/*
 * A set of descriptors that the kernel keeps, which is a descriptor itself: readable
 * while one of them is ready.
 */
#ifndef MPR_OS_EPOLL_H
#define MPR_OS_EPOLL_H

#include <stdint.h>

/* One that is ready: the number that it was added with, and poll(2)'s events. */
struct mpr_epoll_ready {
	uint64_t id;
	short revents;
};

/* At most so many at once. */
#define MPR_EPOLL_MOST 64

/* Returns a descriptor, or -EMFILE, -ENFILE, -ENOMEM. */
int mpr_epoll_open(void);

/* Unless the program has closed it behind our back: what it has opened under the number
 * since is spared. */
void mpr_epoll_close(int set);

/* Adds @fd, ready as poll(2) says of @events. Returns 0; -EEXIST if it is in the set
 * already; -EBADF; -EPERM for a kind of file that is not waited for, but always
 * ready; -ENOMEM, -ENOSPC, -ELOOP, -EINVAL. */
int mpr_epoll_add(int set, int fd, short events, uint64_t id);

/* Whatever it returns: one that was closed is not in the set any more. */
void mpr_epoll_remove(int set, int fd);

/* Those that are ready, up to @n of them; the next call begins with others. If none is,
 * waits for @ms, or until a signal handler has run. Returns how many, or -EBADF. */
int mpr_epoll_look(int set, struct mpr_epoll_ready *ready, int n, int ms);

#endif
