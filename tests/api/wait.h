/* SPDX-License-Identifier: MIT */
/*
 * What tests of mproc_wait() share: short ways to say what is waited for.
 */
#ifndef API_WAIT_H
#define API_WAIT_H

#include <poll.h>
#include <sys/stat.h>

#include "common.h"

#define QUEUE(q) { .kind = MPROC_WAIT_QUEUE, .object = (q) }
#define CONN(c) { .kind = MPROC_WAIT_CONN, .object = (c) }
#define LISTENER(l) { .kind = MPROC_WAIT_LISTENER, .object = (l) }
#define PROCESS(p) { .kind = MPROC_WAIT_PROCESS, .object = (p) }
#define EVENT(e) { .kind = MPROC_WAIT_EVENT, .object = (e) }
#define READABLE(f) { .kind = MPROC_WAIT_FD, .fd = (f), .events = POLLIN }
#define WRITABLE(f) { .kind = MPROC_WAIT_FD, .fd = (f), .events = POLLOUT }

/* One thing alone. */
static inline int
wait_one(struct mproc_waitable item, mproc_timeout timeout)
{
	int r;

	item.ret_events = 0x55;
	r = mproc_wait(&item, 1, timeout);
	if (r == 1)
		assert_int_not_equal(item.ret_events, 0);
	else
		assert_int_equal(item.ret_events, 0);
	return r;
}

static inline int
wait_queue(mproc_queue *q, mproc_timeout timeout)
{
	return wait_one((struct mproc_waitable)QUEUE(q), timeout);
}

static inline int
wait_conn(mproc_conn *c, mproc_timeout timeout)
{
	return wait_one((struct mproc_waitable)CONN(c), timeout);
}

static inline int
wait_event(mproc_event *e, mproc_timeout timeout)
{
	return wait_one((struct mproc_waitable)EVENT(e), timeout);
}

static inline mproc_queue *
new_queue(void)
{
	mproc_queue *q = NULL;

	assert_int_equal(mproc_queue_create(&q, NULL), 0);
	return q;
}

static inline void
put_byte(mproc_queue *q)
{
	assert_int_equal(mproc_queue_put(q, "x", 1, MPROC_NOWAIT), 0);
}

static inline int
get_byte(mproc_queue *q)
{
	char byte;

	return mproc_queue_get(q, &byte, 1, NULL, MPROC_NOWAIT);
}

/* ThreadSanitizer has a thread of its own once there has been another one. */
#if defined(__SANITIZE_THREAD__)
#define THREADS_ALONE 2
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREADS_ALONE 2
#endif
#endif
#ifndef THREADS_ALONE
#define THREADS_ALONE 1
#endif

/* Whether the calling thread is the only one: threads that watch stay for a
 * moment. */
static inline bool
is_alone(void)
{
	struct stat st;

	return stat("/proc/self/task", &st) == 0 &&
	       st.st_nlink <= 2 + THREADS_ALONE;
}

#endif
