/* SPDX-License-Identifier: MIT */
/*
 * A list of Redis: LPUSH and BRPOP over a Unix socket, one command at a time. The
 * list has no bound. All runs have one server, which is where the kernel puts it.
 */
#include "transport_redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "redis.h"

struct channel {
	char key[32];
	int fd; /* of each process; -1: it is not connected */
	FILE *answers;
};

static struct bench_redis server;

static void
stop_server(void)
{
	bench_redis_stop(&server);
}

static bool
is_found(void)
{
	return system("redis-server --version >/dev/null 2>&1") == 0;
}

static void *
list_open(const struct job *job)
{
	static unsigned lists;
	struct channel *c = malloc(sizeof(*c));

	(void)job;
	if (!c)
		return NULL;
	if (!server.pid) {
		if (!bench_redis_start(&server)) {
			free(c);
			return NULL;
		}
		atexit(stop_server);
	}
	*c = (struct channel){ .fd = -1 };
	snprintf(c->key, sizeof(c->key), "bench%u", lists++);
	return c;
}

/* What fails here is seen by the first message. */
static void
list_attach(void *channel, enum end end, unsigned index)
{
	struct channel *c = channel;

	(void)end;
	(void)index;
	c->fd = bench_redis_connect(&server);
	c->answers = c->fd < 0 ? NULL : fdopen(c->fd, "re");
}

static bool
send_all(int fd, struct iovec *v, int n)
{
	while (n) {
		ssize_t r = writev(fd, v, n);

		if (r < 0)
			return false;
		for (; n && (size_t)r >= v->iov_len; v++, n--)
			r -= (ssize_t)v->iov_len;
		if (n) {
			v->iov_base = (char *)v->iov_base + r;
			v->iov_len -= (size_t)r;
		}
	}
	return true;
}

/* The number in the next line, which begins with @kind; or -1. */
static long
answer(struct channel *c, char kind)
{
	char line[64];

	if (!fgets(line, sizeof(line), c->answers) || line[0] != kind)
		return -1;
	return strtol(line + 1, NULL, 10);
}

static bool
list_send(void *channel, const void *p, size_t len)
{
	struct channel *c = channel;
	char head[96];
	struct iovec v[3];
	int n = snprintf(head, sizeof(head),
			 "*3\r\n$5\r\nLPUSH\r\n$%zu\r\n%s\r\n$%zu\r\n",
			 strlen(c->key), c->key, len);

	v[0] = (struct iovec){ head, (size_t)n };
	v[1].iov_len = len;
	memcpy(&v[1].iov_base, &p, sizeof(p)); /* is not written to */
	v[2] = (struct iovec){ (char[]){ '\r', '\n' }, 2 };
	return c->answers && send_all(c->fd, v, 3) && answer(c, ':') > 0;
}

static size_t
list_recv(void *channel, void *p, size_t size, bool wait)
{
	struct channel *c = channel;
	char command[96], end[2];
	long len;
	int n;

	if (!c->answers)
		return 0;
	if (wait)
		n = snprintf(command, sizeof(command),
			     "*3\r\n$5\r\nBRPOP\r\n$%zu\r\n%s\r\n$1\r\n0\r\n",
			     strlen(c->key), c->key);
	else
		n = snprintf(command, sizeof(command),
			     "*2\r\n$4\r\nRPOP\r\n$%zu\r\n%s\r\n",
			     strlen(c->key), c->key);
	if (!send_all(c->fd, &(struct iovec){ command, (size_t)n }, 1))
		return 0;
	/* It names the list first. */
	if (wait && (answer(c, '*') != 2 || answer(c, '$') < 0 ||
		     !fgets(command, sizeof(command), c->answers)))
		return 0;
	len = answer(c, '$');
	if (len < 0 || (size_t)len > size ||
	    fread(p, 1, (size_t)len, c->answers) != (size_t)len ||
	    fread(end, 1, 2, c->answers) != 2)
		return 0;
	return (size_t)len;
}

static void
list_close(void *channel)
{
	struct channel *c = channel;
	char command[96], text[64];
	int fd = bench_redis_connect(&server);
	int n = snprintf(command, sizeof(command),
			 "*2\r\n$3\r\nDEL\r\n$%zu\r\n%s\r\n", strlen(c->key),
			 c->key);

	if (fd < 0)
		bench_die("redis: no connection");
	bench_redis_ask(fd, command, (size_t)n, 1, text, sizeof(text));
	close(fd);
	free(c);
}

const struct transport transport_redis = {
	.name = "Redis, LPUSH and BRPOP",
	.missing = "redis-server",
	.found = is_found,
	.opens_late = true,
	.open = list_open,
	.attach = list_attach,
	.send = list_send,
	.recv = list_recv,
	.close = list_close,
};
