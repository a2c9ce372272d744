/* SPDX-License-Identifier: MIT */
/*
 * What the kernel offers: pipe(2), Unix socket pairs, POSIX and System V message
 * queues, each as it comes, without limits raised.
 *
 * Pipe and stream know no messages: the receiver knows the size. Up to PIPE_BUF
 * bytes are written as a whole, so several processes can share an end.
 */
#include "transport_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mqueue.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <unistd.h>

/* What is written to [1] is read from [0]. */
struct ends {
	int fd[2];
	size_t size;
};

static struct ends *
ends_new(const struct job *job, int failed, const int fd[2])
{
	struct ends *e = failed ? NULL : malloc(sizeof(*e));

	if (e)
		*e = (struct ends){ { fd[0], fd[1] }, job->size };
	return e;
}

static void
ends_close(void *channel)
{
	struct ends *e = channel;

	close(e->fd[0]);
	close(e->fd[1]);
	free(e);
}

static void *
pipe_open(const struct job *job)
{
	int fd[2];

	return ends_new(job, pipe2(fd, O_CLOEXEC), fd);
}

static void *
stream_open(const struct job *job)
{
	int fd[2];

	return ends_new(job,
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd),
			fd);
}

/* A message lies in the sender's buffer as a whole, with what the kernel needs
 * beside it. */
static void *
seqpacket_open(const struct job *job)
{
	int fd[2], want = (int)job->size + 4096, got = 0;
	socklen_t len = sizeof(got);
	struct ends *e = ends_new(job,
				  socketpair(AF_UNIX,
					     SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
					     fd),
				  fd);

	if (!e)
		return NULL;
	if (getsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &got, &len) == 0 &&
	    got < want)
		setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &want, sizeof(want));
	if (getsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &got, &len) == 0 &&
	    got >= want)
		return e;
	ends_close(e);
	errno = EMSGSIZE;
	return NULL;
}

static bool
ends_send(void *channel, const void *p, size_t len)
{
	struct ends *e = channel;
	const char *from = p;
	ssize_t r;

	for (; len; len -= (size_t)r, from += r) {
		r = write(e->fd[1], from, len);
		if (r <= 0)
			return false;
	}
	return true;
}

/* Whether there is something to read, without waiting. */
static bool
ends_ready(const struct ends *e)
{
	struct pollfd pfd = { e->fd[0], POLLIN, 0 };

	return poll(&pfd, 1, 0) == 1;
}

static size_t
stream_recv(void *channel, void *p, size_t size, bool wait)
{
	struct ends *e = channel;
	size_t done = 0;
	ssize_t r;

	if (!wait && !ends_ready(e))
		return 0;
	if (size > e->size)
		size = e->size;
	for (; done < size; done += (size_t)r) {
		r = read(e->fd[0], (char *)p + done, size - done);
		if (r <= 0)
			return 0;
	}
	return done;
}

static size_t
seqpacket_recv(void *channel, void *p, size_t size, bool wait)
{
	struct ends *e = channel;
	ssize_t r = recv(e->fd[0], p, size, wait ? 0 : MSG_DONTWAIT);

	return r > 0 ? (size_t)r : 0;
}

struct posix_mq {
	mqd_t mq;
	mqd_t polled; /* the same one, that does not wait */
};

static void *
posix_mq_open(const struct job *job)
{
	struct mq_attr attr = { .mq_maxmsg = 10, .mq_msgsize = (long)job->size };
	struct posix_mq *q = malloc(sizeof(*q));
	char name[64];

	if (!q)
		return NULL;
	snprintf(name, sizeof(name), "/mproc-bench-%d", (int)getpid());
	q->mq = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	if (q->mq == (mqd_t)-1) {
		free(q);
		return NULL;
	}
	q->polled = mq_open(name, O_RDONLY | O_NONBLOCK);
	mq_unlink(name);
	if (q->polled == (mqd_t)-1) {
		mq_close(q->mq);
		free(q);
		return NULL;
	}
	return q;
}

static bool
posix_mq_send(void *channel, const void *p, size_t len)
{
	return mq_send(((struct posix_mq *)channel)->mq, p, len, 0) == 0;
}

static size_t
posix_mq_recv(void *channel, void *p, size_t size, bool wait)
{
	struct posix_mq *q = channel;
	ssize_t r = mq_receive(wait ? q->mq : q->polled, p, size, NULL);

	return r > 0 ? (size_t)r : 0;
}

static void
posix_mq_close(void *channel)
{
	struct posix_mq *q = channel;

	mq_close(q->polled);
	mq_close(q->mq);
	free(q);
}

struct sysv_msg {
	int id;
	struct {
		long type;
		char text[];
	} *buffer; /* each process has its own copy */
};

static void *
sysv_open(const struct job *job)
{
	struct sysv_msg *q = malloc(sizeof(*q));
	long longest = 0;
	FILE *file = fopen("/proc/sys/kernel/msgmax", "re");

	if (file) {
		if (fscanf(file, "%ld", &longest) != 1)
			longest = 0;
		fclose(file);
	}
	if (q && (size_t)longest < job->size) {
		free(q);
		errno = EMSGSIZE;
		return NULL;
	}
	if (!q)
		return NULL;
	q->buffer = malloc(sizeof(*q->buffer) + job->size);
	q->id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
	if (!q->buffer || q->id < 0) {
		free(q->buffer);
		free(q);
		return NULL;
	}
	q->buffer->type = 1;
	return q;
}

static bool
sysv_send(void *channel, const void *p, size_t len)
{
	struct sysv_msg *q = channel;

	memcpy(q->buffer->text, p, len);
	return msgsnd(q->id, q->buffer, len, 0) == 0;
}

static size_t
sysv_recv(void *channel, void *p, size_t size, bool wait)
{
	struct sysv_msg *q = channel;
	ssize_t r = msgrcv(q->id, q->buffer, size, 0, wait ? 0 : IPC_NOWAIT);

	if (r <= 0)
		return 0;
	memcpy(p, q->buffer->text, (size_t)r);
	return (size_t)r;
}

static void
sysv_close(void *channel)
{
	struct sysv_msg *q = channel;

	msgctl(q->id, IPC_RMID, NULL);
	free(q->buffer);
	free(q);
}

const struct transport transport_pipe = {
	.name = "pipe",
	.most_shared = PIPE_BUF,
	.open = pipe_open,
	.send = ends_send,
	.recv = stream_recv,
	.close = ends_close,
};

const struct transport transport_stream = {
	.name = "Unix socket pair, stream",
	.most_shared = PIPE_BUF,
	.open = stream_open,
	.send = ends_send,
	.recv = stream_recv,
	.close = ends_close,
};

const struct transport transport_seqpacket = {
	.name = "Unix socket pair, seqpacket",
	.open = seqpacket_open,
	.send = ends_send,
	.recv = seqpacket_recv,
	.close = ends_close,
};

const struct transport transport_posix_mq = {
	.name = "POSIX message queue",
	.open = posix_mq_open,
	.send = posix_mq_send,
	.recv = posix_mq_recv,
	.close = posix_mq_close,
};

const struct transport transport_sysv_msg = {
	.name = "System V message queue",
	.open = sysv_open,
	.send = sysv_send,
	.recv = sysv_recv,
	.close = sysv_close,
};
