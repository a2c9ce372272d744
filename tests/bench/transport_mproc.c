/* SPDX-License-Identifier: MIT */
/* libmproc's queue, with several consumers allowed and with one. */
#include "transport_mproc.h"

#include <errno.h>

#include <mproc/mproc.h>

static void *
open_as(bool single_consumer)
{
	mproc_queue *queue;
	int r = mproc_queue_create(&queue,
				   MPROC_OPTS(mproc_queue_opts,
					      .single_consumer =
						      single_consumer));

	errno = -r;
	return r < 0 ? NULL : queue;
}

static void *
queue_open(const struct job *job)
{
	(void)job;
	return open_as(false);
}

static void *
single_open(const struct job *job)
{
	(void)job;
	return open_as(true);
}

static bool
queue_send(void *channel, const void *p, size_t len)
{
	return mproc_queue_put(channel, p, len, MPROC_FOREVER) == 0;
}

static size_t
queue_recv(void *channel, void *p, size_t size, bool wait)
{
	size_t len;
	int r = mproc_queue_get(channel, p, size, &len,
				wait ? MPROC_FOREVER : MPROC_NOWAIT);

	return r == 0 ? len : 0;
}

static void
queue_close(void *channel)
{
	mproc_arena_recover(NULL);
	mproc_queue_destroy(channel);
}

const struct transport transport_mproc = {
	.name = "libmproc queue",
	.open = queue_open,
	.send = queue_send,
	.recv = queue_recv,
	.close = queue_close,
};

const struct transport transport_mproc_single = {
	.name = "libmproc queue, single consumer",
	.most_consumers = 1,
	.open = single_open,
	.send = queue_send,
	.recv = queue_recv,
	.close = queue_close,
};
