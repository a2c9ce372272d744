/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that go along with the bytes of a message, in its control data. For
 * os/ only.
 */
#ifndef MPR_OS_RIGHTS_H
#define MPR_OS_RIGHTS_H

#include <stdalign.h>
#include <sys/socket.h>

/* Room for up to @n of them. */
#define MPR_RIGHTS_ROOM(n)                                                     \
	union {                                                                \
		alignas(struct cmsghdr) char bytes[CMSG_SPACE((n) *            \
							      sizeof(int))];   \
	}

/* They are sent with @header; @room has that of @n. */
void mpr_rights_put(struct msghdr *header, void *room, const int *fds,
		    size_t n);

/* Up to @n may come with @header, and no more: the kernel closes the others. */
void mpr_rights_expect(struct msghdr *header, void *room, size_t n);

/* Returns how many have come, up to @n. */
size_t mpr_rights_take(struct msghdr *header, int *ret_fds, size_t n);

#endif
