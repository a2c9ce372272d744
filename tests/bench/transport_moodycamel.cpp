// SPDX-License-Identifier: MIT
//
// moodycamel's queues between threads of one process, with room for 64 KiB, but for
// some messages at least. A short message is an element of the queue, a long one a
// block of malloc() that the queue carries the address of.
#include <cstdlib>
#include <cstring>
#include <new>
#include <sched.h>

#include <concurrentqueue/blockingconcurrentqueue.h>
#include <readerwriterqueue/readerwritercircularbuffer.h>

#include "transport_peers.h"

static const size_t queue_bytes = 64 << 10;

template <size_t n> struct message {
	unsigned char bytes[n];

	message() = default;
	message(const void *p, size_t len) { memcpy(bytes, p, len); }
	void take(void *p, size_t len) { memcpy(p, bytes, len); }
};

struct block {
	void *memory;

	block() = default;
	block(const void *p, size_t len) : memory(malloc(len))
	{
		memcpy(memory, p, len);
	}
	void
	take(void *p, size_t len)
	{
		memcpy(p, memory, len);
		free(memory);
	}
};

/* Waits asleep for messages and, for room, tries again. */
template <class T> struct several {
	moodycamel::BlockingConcurrentQueue<T> queue;

	several(size_t n, const struct job *job)
		: queue(n, 0, job->producers)
	{
	}
	void
	put(const T &one)
	{
		while (!queue.try_enqueue(one))
			sched_yield();
	}
	bool
	get(T &one, bool wait)
	{
		if (!wait)
			return queue.try_dequeue(one);
		queue.wait_dequeue(one);
		return true;
	}
};

/* Of one producer and one consumer, which wait asleep. */
template <class T> struct single {
	moodycamel::BlockingReaderWriterCircularBuffer<T> queue;

	single(size_t n, const struct job *) : queue(n) {}
	void put(const T &one) { queue.wait_enqueue(one); }
	bool
	get(T &one, bool wait)
	{
		if (!wait)
			return queue.try_dequeue(one);
		queue.wait_dequeue(one);
		return true;
	}
};

struct channel {
	size_t size = 0;

	virtual ~channel() = default;
	virtual void send(const void *p, size_t len) = 0;
	virtual bool recv(void *p, bool wait) = 0;
};

template <class T, template <class> class Q> struct channel_of : channel {
	Q<T> queue;

	channel_of(size_t n, const struct job *job) : queue(n, job) {}
	void send(const void *p, size_t len) override { queue.put(T(p, len)); }
	bool
	recv(void *p, bool wait) override
	{
		T one;

		if (!queue.get(one, wait))
			return false;
		one.take(p, size);
		return true;
	}
};

template <template <class> class Q>
static void *
open_one(const struct job *job)
{
	size_t n = queue_bytes / job->size;
	channel *c;

	if (n < 32)
		n = 32;
	try {
		if (job->size <= 8)
			c = new channel_of<message<8>, Q>(n, job);
		else if (job->size <= 64)
			c = new channel_of<message<64>, Q>(n, job);
		else if (job->size <= 1024)
			c = new channel_of<message<1024>, Q>(n, job);
		else
			c = new channel_of<block, Q>(n, job);
	} catch (const std::bad_alloc &) {
		return nullptr;
	}
	c->size = job->size;
	return c;
}

static bool
send_one(void *p, const void *bytes, size_t len)
{
	static_cast<channel *>(p)->send(bytes, len);
	return true;
}

static size_t
recv_one(void *p, void *bytes, size_t, bool wait)
{
	channel *c = static_cast<channel *>(p);

	return c->recv(bytes, wait) ? c->size : 0;
}

static void
close_one(void *p)
{
	delete static_cast<channel *>(p);
}

static struct transport
describe(const char *name, void *(*open)(const struct job *), unsigned most)
{
	struct transport t = {};

	t.name = name;
	t.kind = THREADS;
	t.most_producers = t.most_consumers = most;
	t.open = open;
	t.send = send_one;
	t.recv = recv_one;
	t.close = close_one;
	return t;
}

extern const struct transport transport_moodycamel =
	describe("moodycamel ConcurrentQueue (threads)", open_one<several>, 0);
extern const struct transport transport_moodycamel_spsc =
	describe("moodycamel spsc buffer (threads)", open_one<single>, 1);
