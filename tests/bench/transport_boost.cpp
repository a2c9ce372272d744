/* SPDX-License-Identifier: MIT */
/* Boost.Interprocess: a message_queue of 64 KiB, but four messages at least. */
#include <cerrno>
#include <new>
#include <string>
#include <unistd.h>

#include <boost/interprocess/ipc/message_queue.hpp>

#include "transport_peers.h"

namespace bi = boost::interprocess;

static const size_t queue_bytes = 64 << 10;

static void *
queue_open(const struct job *job)
{
	static unsigned queues;
	std::string name = "mproc-bench-" + std::to_string(getpid()) + "-" +
			   std::to_string(queues++);
	size_t n = queue_bytes / job->size;
	bi::message_queue *queue = nullptr;

	try {
		queue = new bi::message_queue(bi::create_only, name.c_str(),
					      n < 4 ? 4 : n, job->size);
	} catch (const std::exception &) {
		errno = ENOMEM;
	}
	bi::message_queue::remove(name.c_str());
	return queue;
}

static bool
queue_send(void *channel, const void *p, size_t len)
{
	try {
		static_cast<bi::message_queue *>(channel)->send(p, len, 0);
	} catch (const std::exception &) {
		return false;
	}
	return true;
}

static size_t
queue_recv(void *channel, void *p, size_t size, bool wait)
{
	bi::message_queue *queue = static_cast<bi::message_queue *>(channel);
	bi::message_queue::size_type len = 0;
	unsigned priority;

	try {
		if (wait)
			queue->receive(p, size, len, priority);
		else if (!queue->try_receive(p, size, len, priority))
			return 0;
	} catch (const std::exception &) {
		return 0;
	}
	return len;
}

static void
queue_close(void *channel)
{
	delete static_cast<bi::message_queue *>(channel);
}

/* C++ has no designated initializers before C++20. */
static struct transport
describe()
{
	struct transport t = {};

	t.name = "Boost message_queue";
	t.open = queue_open;
	t.send = queue_send;
	t.recv = queue_recv;
	t.close = queue_close;
	return t;
}

extern const struct transport transport_boost = describe();
