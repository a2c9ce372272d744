/* SPDX-License-Identifier: MIT */
/* Concurrency Kit's rings in shared memory. They never sleep: who waits asks
 * again and again, and leaves the CPU to others now and then. */
#include "transport_peers.h"

#include <ck_ring.h>
#include <sched.h>
#include <stdalign.h>
#include <stdint.h>
#include <sys/mman.h>

#define RING (64 << 10)
#define SLOTS 8 /* at least */

struct channel {
	alignas(128) ck_ring_t ring;
	unsigned slot; /* bytes of one message */
	size_t mapped;
	alignas(128) unsigned char slots[];
};

static void *
ring_open(const struct job *job)
{
	unsigned n = SLOTS;
	struct channel *c;
	size_t mapped;

	while (n * 2 * job->size <= RING)
		n *= 2;
	mapped = sizeof(*c) + n * job->size;
	c = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (c == MAP_FAILED)
		return NULL;
	ck_ring_init(&c->ring, n);
	c->slot = (unsigned)job->size;
	c->mapped = mapped;
	return c;
}

static void
back_off(unsigned tries)
{
	ck_pr_stall();
	if (tries % 64 == 63)
		sched_yield();
}

static bool
spsc_send(void *channel, const void *p, size_t len)
{
	struct channel *c = channel;

	(void)len;
	for (unsigned i = 0; !_ck_ring_enqueue_sp(&c->ring, c->slots, p, c->slot,
						  NULL);
	     i++)
		back_off(i);
	return true;
}

static size_t
spsc_recv(void *channel, void *p, size_t size, bool wait)
{
	struct channel *c = channel;

	(void)size;
	for (unsigned i = 0; !_ck_ring_dequeue_sc(&c->ring, c->slots, p, c->slot);
	     i++) {
		if (!wait)
			return 0;
		back_off(i);
	}
	return c->slot;
}

static bool
mpmc_send(void *channel, const void *p, size_t len)
{
	struct channel *c = channel;

	(void)len;
	for (unsigned i = 0; !_ck_ring_enqueue_mp(&c->ring, c->slots, p, c->slot,
						  NULL);
	     i++)
		back_off(i);
	return true;
}

static size_t
mpmc_recv(void *channel, void *p, size_t size, bool wait)
{
	struct channel *c = channel;

	(void)size;
	for (unsigned i = 0; !_ck_ring_dequeue_mc(&c->ring, c->slots, p, c->slot);
	     i++) {
		if (!wait)
			return 0;
		back_off(i);
	}
	return c->slot;
}

static void
ring_close(void *channel)
{
	munmap(channel, ((struct channel *)channel)->mapped);
}

const struct transport transport_ck_spsc = {
	.name = "Concurrency Kit ring, spsc (never sleeps)",
	.most_producers = 1,
	.most_consumers = 1,
	.open = ring_open,
	.send = spsc_send,
	.recv = spsc_recv,
	.close = ring_close,
};

const struct transport transport_ck_mpmc = {
	.name = "Concurrency Kit ring, mpmc (never sleeps)",
	.open = ring_open,
	.send = mpmc_send,
	.recv = mpmc_recv,
	.close = ring_close,
};
