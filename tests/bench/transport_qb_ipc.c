/* SPDX-License-Identifier: MIT */
/*
 * libqb's ipc in shared memory: each consumer is a server with a loop of poll(2),
 * each producer a client of all of them, which sends in turn and does not wait for
 * answers. A server gives some messages at a time, so there is a list of those that
 * nobody has asked for yet.
 */
#include "transport_peers.h"

#include <errno.h>
#include <glob.h>
#include <poll.h>
#include <qb/qbipcc.h>
#include <qb/qbipcs.h>
#include <qb/qbloop.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define MOST 512 /* descriptors of a loop */
#define ROOM (64 << 10)

struct message {
	struct message *next;
	size_t len;
	unsigned char bytes[];
};

struct channel {
	struct job job;
	pid_t opener;
	unsigned number; /* of this channel */
	pid_t *servers;	 /* shared by all */
	/* From here on each process has its own. */
	qb_ipcs_service_t *service;
	struct message *first, *last; /* that have come */
	qb_ipcc_connection_t **clients;
	struct qb_ipc_request_header *request;
	unsigned next; /* client */
};

/* The loop of this process. */
static struct {
	struct pollfd fds[MOST];
	qb_ipcs_dispatch_fn_t fns[MOST];
	void *data[MOST];
	nfds_t n;
	qb_loop_job_dispatch_fn job;
	void *job_data;
} loop;

static int32_t
add_fd(enum qb_loop_priority p, int32_t fd, int32_t events, void *data,
       qb_ipcs_dispatch_fn_t fn)
{
	(void)p;
	if (loop.n == MOST)
		return -EMFILE;
	loop.fds[loop.n] = (struct pollfd){ fd, (short)events, 0 };
	loop.fns[loop.n] = fn;
	loop.data[loop.n++] = data;
	return 0;
}

static int32_t
remove_fd(int32_t fd)
{
	for (nfds_t i = 0; i < loop.n; i++) {
		if (loop.fds[i].fd != fd)
			continue;
		loop.n--;
		loop.fds[i] = loop.fds[loop.n];
		loop.fns[i] = loop.fns[loop.n];
		loop.data[i] = loop.data[loop.n];
		return 0;
	}
	return -ENOENT;
}

static int32_t
change_fd(enum qb_loop_priority p, int32_t fd, int32_t events, void *data,
	  qb_ipcs_dispatch_fn_t fn)
{
	(void)remove_fd(fd);
	return add_fd(p, fd, events, data, fn);
}

static int32_t
add_job(enum qb_loop_priority p, void *data, qb_loop_job_dispatch_fn fn)
{
	(void)p;
	if (loop.job)
		return -EBUSY;
	loop.job = fn;
	loop.job_data = data;
	return 0;
}

static void
turn(bool wait)
{
	qb_loop_job_dispatch_fn job = loop.job;

	loop.job = NULL;
	if (job)
		job(loop.job_data);
	if (poll(loop.fds, loop.n, wait && !loop.job ? -1 : 0) <= 0)
		return;
	for (nfds_t i = loop.n; i-- > 0;) {
		struct pollfd now = loop.fds[i];

		if (now.revents &&
		    loop.fns[i](now.fd, now.revents, loop.data[i]) < 0)
			(void)remove_fd(now.fd);
	}
}

static int32_t
accept_one(qb_ipcs_connection_t *c, uid_t uid, gid_t gid)
{
	(void)c;
	(void)uid;
	(void)gid;
	return 0;
}

static int32_t
take(qb_ipcs_connection_t *connection, void *data, size_t size)
{
	struct channel *c = qb_ipcs_connection_service_context_get(connection);
	size_t len = size - sizeof(struct qb_ipc_request_header);
	struct message *m = malloc(sizeof(*m) + len);

	if (!m)
		return -ENOBUFS;
	m->next = NULL;
	m->len = len;
	memcpy(m->bytes, (struct qb_ipc_request_header *)data + 1, len);
	if (c->first)
		c->last->next = m;
	else
		c->first = m;
	c->last = m;
	return 0;
}

static void *
ipc_open(const struct job *job)
{
	static unsigned channels;
	struct channel *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->job = *job;
	c->opener = getpid();
	c->number = channels++;
	c->servers = bench_shared(job->consumers * sizeof(pid_t));
	return c;
}

static void
name_of(const struct channel *c, unsigned index, char name[64])
{
	snprintf(name, 64, "mproc-bench-%d-%u-%u", (int)c->opener, c->number,
		 index);
}

/* What fails here is seen by the first message. */
static void
ipc_attach(void *channel, enum end end, unsigned index)
{
	static struct qb_ipcs_service_handlers handlers = {
		.connection_accept = accept_one,
		.msg_process = take,
	};
	static struct qb_ipcs_poll_handlers polls = {
		.job_add = add_job,
		.dispatch_add = add_fd,
		.dispatch_mod = change_fd,
		.dispatch_del = remove_fd,
	};
	struct channel *c = channel;
	char name[64];

	if (end == PRODUCER)
		return;
	c->servers[index] = getpid();
	name_of(c, index, name);
	c->service = qb_ipcs_create(name, 0, QB_IPC_SHM, &handlers);
	if (!c->service)
		return;
	qb_ipcs_service_context_set(c->service, c);
	qb_ipcs_poll_handlers_set(c->service, &polls);
	(void)qb_ipcs_run(c->service);
}

/* By the first message: who waits for it lets us in. */
static bool
connect_all(struct channel *c)
{
	size_t most = c->job.size + sizeof(*c->request);
	char name[64];

	c->clients = calloc(c->job.consumers, sizeof(c->clients[0]));
	c->request = malloc(most);
	if (!c->clients || !c->request)
		return false;
	for (unsigned i = 0; i < c->job.consumers; i++) {
		name_of(c, i, name);
		c->clients[i] = qb_ipcc_connect(name, most < ROOM ? ROOM : most);
		if (!c->clients[i])
			return false;
	}
	return true;
}

static bool
ipc_send(void *channel, const void *p, size_t len)
{
	struct channel *c = channel;
	size_t all = len + sizeof(*c->request);
	ssize_t r;

	if (!c->clients && !connect_all(c))
		return false;
	*c->request = (struct qb_ipc_request_header){
		.id = QB_IPC_MSG_USER_START, .size = (int32_t)all,
	};
	memcpy(c->request + 1, p, len);
	c->next = (c->next + 1) % c->job.consumers;
	for (unsigned i = 1;; i++) {
		r = qb_ipcc_send(c->clients[c->next], c->request, all);
		if (r != -EAGAIN)
			return r == (ssize_t)all;
		if (i % 16 == 0)
			sched_yield();
	}
}

static size_t
ipc_recv(void *channel, void *p, size_t size, bool wait)
{
	struct channel *c = channel;
	struct message *m;
	size_t len;

	if (!c->first)
		turn(wait);
	while (wait && !c->first && c->service)
		turn(true);
	m = c->first;
	if (!m)
		return 0;
	c->first = m->next;
	len = m->len;
	memcpy(p, m->bytes, len < size ? len : size);
	free(m);
	return len;
}

static void
remove_all(pid_t server, const char *of_each)
{
	char pattern[64];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "/dev/shm/qb-%d-*%s", (int)server,
		 of_each);
	if (glob(pattern, 0, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		(void)remove(found.gl_pathv[i]);
	globfree(&found);
}

/* What is left of who was killed: a directory for each client of a server. */
static void
ipc_close(void *channel)
{
	struct channel *c = channel;

	for (unsigned i = 0; i < c->job.consumers; i++) {
		if (!c->servers[i])
			continue;
		remove_all(c->servers[i], "/*");
		remove_all(c->servers[i], "");
	}
	munmap(c->servers, c->job.consumers * sizeof(pid_t));
	free(c);
}

const struct transport transport_qb_ipc = {
	.name = "libqb ipc (never sleeps when full)",
	.opens_late = true,
	.open = ipc_open,
	.attach = ipc_attach,
	.send = ipc_send,
	.recv = ipc_recv,
	.close = ipc_close,
};
