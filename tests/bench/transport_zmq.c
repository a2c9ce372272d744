/* SPDX-License-Identifier: MIT */
/*
 * ZeroMQ over Unix sockets: each consumer binds a socket of its own, each
 * producer connects to all of them and the library shares out the messages.
 */
#include "transport_peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zmq.h>

struct channel {
	struct job job;
	unsigned number; /* of this channel */
	void *context;	 /* from here on each process has its own */
	void *socket;
};

static void *
zmq_open(const struct job *job)
{
	static unsigned channels;
	struct channel *c = calloc(1, sizeof(*c));

	if (c)
		*c = (struct channel){ .job = *job, .number = channels++ };
	return c;
}

/* What fails here is seen by the first message that is not sent. */
static void
zmq_attach(void *channel, enum end end, unsigned index)
{
	unsigned first = end == PRODUCER ? 0 : index;
	struct channel *c = channel;
	unsigned last = end == PRODUCER ? c->job.consumers : index + 1;
	pid_t parent = getppid();
	char address[64];

	c->context = zmq_ctx_new();
	c->socket = zmq_socket(c->context, end == PRODUCER ? ZMQ_PUSH : ZMQ_PULL);
	for (unsigned i = first; i < last; i++) {
		snprintf(address, sizeof(address),
			 "ipc://@mproc-bench-%d-%u-%u", (int)parent, c->number,
			 i);
		if (end == PRODUCER)
			zmq_connect(c->socket, address);
		else
			zmq_bind(c->socket, address);
	}
}

static bool
zmq_send_one(void *channel, const void *p, size_t len)
{
	return zmq_send(((struct channel *)channel)->socket, p, len, 0) ==
	       (int)len;
}

static size_t
zmq_recv_one(void *channel, void *p, size_t size, bool wait)
{
	int r = zmq_recv(((struct channel *)channel)->socket, p, size,
			 wait ? 0 : ZMQ_DONTWAIT);

	return r > 0 ? (size_t)r : 0;
}

const struct transport transport_zmq = {
	.name = "ZeroMQ, ipc",
	.opens_late = true,
	.open = zmq_open,
	.attach = zmq_attach,
	.send = zmq_send_one,
	.recv = zmq_recv_one,
	.close = free,
};
