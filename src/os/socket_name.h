/* SPDX-License-Identifier: MIT */
/*
 * Addresses as texts, and as the kernel takes them; for os/socket only.
 */
#ifndef MPR_OS_SOCKET_NAME_H
#define MPR_OS_SOCKET_NAME_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "os/socket.h"

#define MPR_SOCKET_NAMES 8 /* of one host */

struct mpr_socket_name {
	union {
		struct sockaddr any;
		struct sockaddr_un local;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} at;
	socklen_t len;
};

/*
 * Those that @text stands for, in the order in which they are to be tried. @listen: it
 * is to be listened at, so IPv4 comes first, which is all that Python knows, and the
 * host may be empty. Returns how many, or a negative error with a text.
 */
int mpr_socket_names(const char *text, bool listen,
		     struct mpr_socket_name ret[MPR_SOCKET_NAMES]);

/* Whether it is a file, and its path. */
const char *mpr_socket_path(const struct mpr_socket_name *name);

void mpr_socket_describe(const struct mpr_socket_name *name,
			 char ret[MPR_SOCKET_TEXT]);

#endif
