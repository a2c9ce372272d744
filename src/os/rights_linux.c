/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "os/rights.h"

void
mpr_rights_put(struct msghdr *header, void *room, const int *fds, size_t n)
{
	struct cmsghdr *c;

	memset(room, 0, CMSG_SPACE(n * sizeof(*fds)));
	header->msg_control = room;
	header->msg_controllen = CMSG_SPACE(n * sizeof(*fds));
	c = CMSG_FIRSTHDR(header);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(*fds));
	memcpy(CMSG_DATA(c), fds, n * sizeof(*fds));
}

void
mpr_rights_expect(struct msghdr *header, void *room, size_t n)
{
	header->msg_control = room;
	/* Not CMSG_SPACE(): what that adds would be room for another one. */
	header->msg_controllen = CMSG_LEN(n * sizeof(int));
}

size_t
mpr_rights_take(struct msghdr *header, int *ret_fds, size_t n)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(header);
	size_t came;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return 0;
	came = (c->cmsg_len - CMSG_LEN(0)) / sizeof(*ret_fds);
	if (came > n)
		came = n;
	memcpy(ret_fds, CMSG_DATA(c), came * sizeof(*ret_fds));
	return came;
}
