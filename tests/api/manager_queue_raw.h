/* SPDX-License-Identifier: MIT */
/*
 * A client of a manager's queues that says what it wants, and reads when the test does.
 */
#ifndef API_MANAGER_QUEUE_RAW_H
#define API_MANAGER_QUEUE_RAW_H

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "manager_queue.h"

static inline int
connect_raw(mproc_manager *m)
{
	const char hello[] = "\0\0\0\23\225\0\0\0\255mproc-manager\1";
	const char *address = mproc_manager_address(m) + strlen("unix:@");
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unsigned char answer[64];

	memcpy(name.sun_path + 1, address, strlen(address));
	assert_int_equal(connect(fd, (struct sockaddr *)&name,
				 (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
					     1 + strlen(address))), 0);
	assert_int_equal(send(fd, hello, sizeof(hello) - 1, 0), sizeof(hello) - 1);
	assert_true(recv(fd, answer, sizeof(answer), 0) > 4);
	return fd;
}

static inline void
read_bytes(int fd, unsigned char *to, size_t n)
{
	for (size_t got = 0; got < n;) {
		ssize_t r = recv(fd, to + got, n - got, 0);

		assert_true(r > 0);
		got += (size_t)r;
	}
}

/* The number of the object, as FIND writes it. */
static inline void
find_object_raw(int fd, unsigned char kind, const char *name, unsigned char number[9])
{
	unsigned char request[64] = { 0, 0, 0, 0, 0x95, 1, 1, 0, kind };
	unsigned char answer[16];
	size_t len = strlen(name);

	request[3] = (unsigned char)(6 + len);
	request[9] = (unsigned char)(0xa0 | len);
	memcpy(request + 10, name, len);
	assert_int_equal(send(fd, request, 10 + len, 0), 10 + len);
	read_bytes(fd, answer, 16);
	assert_memory_equal(answer + 4, "\223\1\0\317", 4);
	memcpy(number, answer + 7, 9);
}

static inline void
find_raw(int fd, const char *name, unsigned char number[9])
{
	find_object_raw(fd, 6, name, number);
}

/* The number of its queue of dead letters. */
static inline void
find_letters_raw(int fd, const unsigned char queue[9], unsigned char number[9])
{
	unsigned char request[16] = { 0, 0, 0, 12, 0x93, 3, 101 }, answer[16];

	memcpy(request + 7, queue, 9);
	assert_int_equal(send(fd, request, 16, 0), 16);
	read_bytes(fd, answer, 16);
	assert_memory_equal(answer + 4, "\223\3\0\317", 4);
	memcpy(number, answer + 7, 9);
}

/* Asks for a message of any length, and for as long as it takes. */
static inline void
ask_raw(int fd, const unsigned char number[9])
{
	unsigned char request[24] = { 0, 0, 0, 20, 0x97, 2, 97 };

	memcpy(request + 7, number, 9);
	memcpy(request + 16, "\1\377\316\177\377\377\377\1", 8);
	assert_int_equal(send(fd, request, 24, 0), 24);
}

/* The server has heard what was sent before: it looks at all once for each. */
static inline void
come_round(mproc_queue *q)
{
	struct mproc_queue_stat st;

	for (int i = 0; i < 3; i++)
		assert_int_equal(mproc_queue_stat(q, &st), 0);
}

#endif
