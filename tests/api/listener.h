/* SPDX-License-Identifier: MIT */
/*
 * What tests of listeners share.
 */
#ifndef API_LISTENER_H
#define API_LISTENER_H

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common.h"

#define KEY "correct horse"
#define A_KEY .authkey = KEY, .authkey_len = sizeof(KEY) - 1
#define PATH_AT 5 /* behind "unix:" */

/* Where a file that stays is found, in memory that roles share. */
static inline char *
unix_address(struct mpt *t, const char *what)
{
	char *address = mpt_scratch(t), name[64];

	snprintf(address, 128, "unix:/dev/shm%s", mpt_name(t, name, what));
	return address;
}

/* A socket of the system's, connected to @address: one that does what it likes. */
static inline int
raw_connect(const char *address)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(name.sun_path, sizeof(name.sun_path), "%s", address + PATH_AT);
	if (connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static inline bool
becomes_readable(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, ms) == 1;
}

static inline void
expect_message(struct mpt *t, mproc_conn *c, const char *text)
{
	char buf[64];
	size_t len = 0;

	mpt_check_int(t, mproc_conn_recv(c, buf, sizeof(buf), &len,
					 mproc_sec(20)), 0);
	mpt_check_int(t, len, strlen(text));
	mpt_check(t, memcmp(buf, text, len) == 0);
}

static inline void
send_text(struct mpt *t, mproc_conn *c, const char *text)
{
	mpt_check_int(t, mproc_conn_send(c, text, strlen(text), mproc_sec(20)),
		      0);
}

#endif
