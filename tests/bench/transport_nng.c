/* SPDX-License-Identifier: MIT */
/*
 * nng over Unix sockets: each consumer listens, each producer dials all of them
 * and the library shares out the messages.
 */
#include "transport_peers.h"

#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct channel {
	struct job job;
	unsigned number;   /* of this channel */
	nng_socket socket; /* each process has its own */
};

static void *
nng_open(const struct job *job)
{
	static unsigned channels;
	struct channel *c = calloc(1, sizeof(*c));

	if (c)
		*c = (struct channel){ .job = *job, .number = channels++ };
	return c;
}

/* What fails here is seen by the first message that is not sent. */
static void
nng_attach(void *channel, enum end end, unsigned index)
{
	unsigned first = end == PRODUCER ? 0 : index;
	struct channel *c = channel;
	unsigned last = end == PRODUCER ? c->job.consumers : index + 1;
	pid_t parent = getppid();
	char address[64];

	if (end == PRODUCER)
		nng_push0_open(&c->socket);
	else
		nng_pull0_open(&c->socket);
	nng_socket_set_size(c->socket, NNG_OPT_RECVMAXSZ, 0);
	for (unsigned i = first; i < last; i++) {
		snprintf(address, sizeof(address),
			 "abstract://mproc-bench-%d-%u-%u", (int)parent,
			 c->number, i);
		if (end == PRODUCER)
			nng_dial(c->socket, address, NULL, 0);
		else
			nng_listen(c->socket, address, NULL, 0);
	}
}

static bool
nng_send_one(void *channel, const void *p, size_t len)
{
	nng_msg *message;

	if (nng_msg_alloc(&message, len))
		return false;
	memcpy(nng_msg_body(message), p, len);
	if (nng_sendmsg(((struct channel *)channel)->socket, message, 0) == 0)
		return true;
	nng_msg_free(message);
	return false;
}

static size_t
nng_recv_one(void *channel, void *p, size_t size, bool wait)
{
	size_t len = size;
	int r = nng_recv(((struct channel *)channel)->socket, p, &len,
			 wait ? 0 : NNG_FLAG_NONBLOCK);

	return r == 0 ? len : 0;
}

const struct transport transport_nng = {
	.name = "nng, ipc",
	.opens_late = true,
	.open = nng_open,
	.attach = nng_attach,
	.send = nng_send_one,
	.recv = nng_recv_one,
	.close = free,
};
