/* SPDX-License-Identifier: MIT */
/* libqb's ring in shared memory: one producer, one consumer, who sleeps. The
 * producer gets an error when it is full, and tries again. */
#include "transport_peers.h"

#include <errno.h>
#include <qb/qbrb.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#define RING (64 << 10)
#define MESSAGES 4 /* at least */

static void *
ring_open(const struct job *job)
{
	size_t size = (job->size + 64) * MESSAGES;
	static unsigned rings;
	char name[64];

	snprintf(name, sizeof(name), "mproc-bench-%d-%u", (int)getpid(), rings++);
	return qb_rb_open(name, size < RING ? RING : size,
			  QB_RB_FLAG_CREATE | QB_RB_FLAG_SHARED_PROCESS, 0);
}

static bool
ring_send(void *channel, const void *p, size_t len)
{
	ssize_t r;

	for (unsigned i = 1;; i++) {
		r = qb_rb_chunk_write(channel, p, len);
		if (r != -EAGAIN)
			return r == (ssize_t)len;
		if (i % 16 == 0)
			sched_yield();
	}
}

static size_t
ring_recv(void *channel, void *p, size_t size, bool wait)
{
	ssize_t r = qb_rb_chunk_read(channel, p, size, wait ? -1 : 0);

	return r > 0 ? (size_t)r : 0;
}

static void
ring_close(void *channel)
{
	qb_rb_close(channel);
}

const struct transport transport_qb = {
	.name = "libqb ring (never sleeps when full)",
	.most_producers = 1,
	.most_consumers = 1,
	.open = ring_open,
	.send = ring_send,
	.recv = ring_recv,
	.close = ring_close,
};
