/* SPDX-License-Identifier: MIT */
/*
 * A descriptor that is readable when any of those in it is: epoll(7). A forked child
 * shares it with its parent, so it makes one of its own.
 */
#ifndef MPR_OS_GATHER_H
#define MPR_OS_GATHER_H

/* Returns a descriptor above 2, or -EMFILE, -ENFILE, -ENOMEM. */
int mpr_gather_open(void);

/* Returns 0, -ENOMEM or -ENOSPC. */
int mpr_gather_add(int gather, int fd);

/* Before @fd is closed: a child may have a copy, which would keep it in there. */
void mpr_gather_drop(int gather, int fd);

#endif
