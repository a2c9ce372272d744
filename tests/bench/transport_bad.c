/* SPDX-License-Identifier: MIT */
/*
 * Pipes that do one message in 100 wrong: the harness has to see it. The wrong
 * one is never the last. And one that is quick as long as it is tried out, and one that
 * is good as long as nobody dies.
 */
#include "transport_bad.h"

#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#include "transport_kernel.h"

#define EVERY 100
#define TRIED_OUT 1000

struct bad {
	void *pipe;
	unsigned sent; /* each process has its own count */
};

static void *
bad_open(const struct job *job)
{
	struct bad *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->pipe = transport_pipe.open(job);
	if (!b->pipe) {
		free(b);
		return NULL;
	}
	return b;
}

static bool
corrupts_send(void *channel, const void *p, size_t len)
{
	unsigned char changed[PIPE_BUF];
	struct bad *b = channel;

	if (++b->sent % EVERY != EVERY / 2)
		return transport_pipe.send(b->pipe, p, len);
	memcpy(changed, p, len);
	changed[len - 1] ^= 1;
	return transport_pipe.send(b->pipe, changed, len);
}

static bool
crawls_send(void *channel, const void *p, size_t len)
{
	struct bad *b = channel;

	if (++b->sent > TRIED_OUT)
		usleep(10000);
	return transport_pipe.send(b->pipe, p, len);
}

static bool
loses_send(void *channel, const void *p, size_t len)
{
	struct bad *b = channel;

	return ++b->sent % EVERY == EVERY / 2 ||
	       transport_pipe.send(b->pipe, p, len);
}

static bool
repeats_send(void *channel, const void *p, size_t len)
{
	struct bad *b = channel;

	return (++b->sent % EVERY != EVERY / 2 ||
		transport_pipe.send(b->pipe, p, len)) &&
	       transport_pipe.send(b->pipe, p, len);
}

static size_t
bad_recv(void *channel, void *p, size_t size, bool wait)
{
	return transport_pipe.recv(((struct bad *)channel)->pipe, p, size, wait);
}

static void
bad_close(void *channel)
{
	struct bad *b = channel;

	transport_pipe.close(b->pipe);
	free(b);
}

/* Each producer sends to a consumer of its own. When the first has been killed, the
 * second sends one message to both. */
struct doubled {
	void *pipes[2];
	_Atomic pid_t first;
};

/* Of this process. */
static unsigned doubles_index, doubles_sent;
static bool doubles_done;

static void *
doubles_open(const struct job *job)
{
	struct doubled *d = bench_shared(sizeof(*d));

	for (int i = 0; i < 2; i++)
		d->pipes[i] = transport_pipe.open(job);
	return d;
}

static void
doubles_attach(void *channel, enum end end, unsigned index)
{
	struct doubled *d = channel;

	doubles_index = index;
	if (end == PRODUCER && index == 0)
		d->first = getpid();
}

static bool
doubles_send(void *channel, const void *p, size_t len)
{
	struct doubled *d = channel;

	if (doubles_index == 1 && !doubles_done && ++doubles_sent % EVERY == 0 &&
	    d->first && kill(d->first, 0) < 0) {
		doubles_done = true;
		if (!transport_pipe.send(d->pipes[0], p, len))
			return false;
	}
	return transport_pipe.send(d->pipes[doubles_index % 2], p, len);
}

static size_t
doubles_recv(void *channel, void *p, size_t size, bool wait)
{
	struct doubled *d = channel;

	return transport_pipe.recv(d->pipes[doubles_index % 2], p, size, wait);
}

static void
doubles_close(void *channel)
{
	struct doubled *d = channel;

	for (int i = 0; i < 2; i++)
		transport_pipe.close(d->pipes[i]);
	munmap(d, sizeof(*d));
}

const struct transport transport_doubles = {
	.name = "bad: doubles after a death",
	.only_by_name = true,
	.most = PIPE_BUF,
	.open = doubles_open,
	.attach = doubles_attach,
	.send = doubles_send,
	.recv = doubles_recv,
	.close = doubles_close,
};

const struct transport transport_corrupts = {
	.name = "bad: corrupts",
	.only_by_name = true,
	.most = PIPE_BUF,
	.open = bad_open,
	.send = corrupts_send,
	.recv = bad_recv,
	.close = bad_close,
};

const struct transport transport_corrupts_threads = {
	.name = "bad: corrupts, threads",
	.only_by_name = true,
	.kind = THREADS,
	.most = PIPE_BUF,
	.open = bad_open,
	.send = corrupts_send,
	.recv = bad_recv,
	.close = bad_close,
};

const struct transport transport_crawls = {
	.name = "bad: crawls",
	.only_by_name = true,
	.most = PIPE_BUF,
	.open = bad_open,
	.send = crawls_send,
	.recv = bad_recv,
	.close = bad_close,
};

const struct transport transport_loses = {
	.name = "bad: loses",
	.only_by_name = true,
	.most = PIPE_BUF,
	.open = bad_open,
	.send = loses_send,
	.recv = bad_recv,
	.close = bad_close,
};

const struct transport transport_repeats = {
	.name = "bad: repeats",
	.only_by_name = true,
	.most = PIPE_BUF,
	.open = bad_open,
	.send = repeats_send,
	.recv = bad_recv,
	.close = bad_close,
};
