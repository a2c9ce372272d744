/* SPDX-License-Identifier: MIT */
/*
 * Messages that the user holds of queues that another process has: they lie in private
 * memory. What is reserved is put when it is committed, and what is shown was taken. No
 * thread is told when another one ends, so what that has held stays until its manager is
 * closed.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "ipc/queue_remote.h"
#include "os/clock.h"
#include "os/generation.h"
#include "sync/remote.h"

#define CHECK 3 /* MPR_OP_CHECK of containers/remote.h */

struct held {
	struct held *next;
	const mproc_queue *q;
	int64_t thread;
	bool shown; /* or reserved */
	int64_t until; /* how long a commit may wait; 0: not at all */
	size_t len;
	void *memory;
};

/* With the process lock held. */
static struct held *all;
static _Atomic unsigned n_held;

/* The one of the calling thread, or NULL. The lock is held. */
static struct held **
find(const mproc_queue *q, bool shown)
{
	int64_t thread = mpr_remote_thread();
	struct held **link = &all;

	while (*link && ((*link)->q != q || (*link)->thread != thread ||
			 (*link)->shown != shown))
		link = &(*link)->next;
	return link;
}

/* Of managers that were closed. The lock is held. */
static void
sweep(void)
{
	struct held **link = &all, *h;

	while ((h = *link)) {
		if (mpr_remote_at(h->q)) {
			link = &h->next;
			continue;
		}
		*link = h->next;
		n_held--;
		free(h->memory);
		free(h);
	}
}

/* Before there is anything to lose: what comes may not come again. */
static int
prepare(const struct held *like, struct held **ret)
{
	int64_t thread = mpr_remote_thread();
	struct held *h;

	if (thread < 0)
		return (int)thread;
	h = mpr_malloc(sizeof(*h));
	if (!h)
		return mpr_fail(-ENOMEM, "no memory for what a thread holds");
	*h = *like;
	h->thread = thread;
	*ret = h;
	return 0;
}

static void
hold(struct held *h)
{
	mpr_process_lock();
	sweep();
	h->next = all;
	all = h;
	n_held++;
	mpr_process_unlock();
}

int
mpr_queue_remote_check_held(const mproc_queue *q, bool shown)
{
	struct held *h = NULL;

	/* A thread that holds something has said so itself. */
	if (!atomic_load_explicit(&n_held, memory_order_relaxed))
		return 0;
	mpr_process_lock();
	h = *find(q, shown);
	mpr_process_unlock();
	if (!h)
		return 0;
	return shown ? mpr_fail(-EBUSY, "this thread has peeked at a message of queue "
				"%p: release it first", (const void *)q) :
		       mpr_fail(-EBUSY, "this thread has a reservation in queue %p: "
				"commit or abort it first", (const void *)q);
}

/* What is at @p, which nobody holds any more then. NULL if it is not held, or has less
 * than @len bytes. */
static struct held *
let_go(const mproc_queue *q, const void *p, bool shown, size_t len)
{
	struct held **link, *h;

	mpr_process_lock();
	link = find(q, shown);
	h = *link;
	if (h && p && h->memory == p && len <= h->len) {
		*link = h->next;
		n_held--;
	} else {
		h = NULL;
	}
	mpr_process_unlock();
	if (!h)
		mpr_fail(-EINVAL, "%p is not what this thread has %s in queue %p, or "
			 "less than %zu bytes", p, shown ? "peeked at" : "reserved",
			 (const void *)q, len);
	return h;
}

static void
forget(struct held *h)
{
	free(h->memory);
	free(h);
}

int
mpr_queue_remote_reserve(mproc_queue *q, size_t len, void **ret_p,
			 mproc_timeout timeout)
{
	struct held like = { .q = q, .len = len }, *h;
	int r = mpr_queue_remote_check_held(q, false);

	if (r == 0)
		r = mpr_remote_ask_simply(MPR_QUEUE_CELL, q, CHECK);
	if (r < 0)
		return r;
	if (len > INT32_MAX)
		return mpr_queue_remote_too_long(len);
	like.until = timeout.ns ? mpr_deadline(timeout) : 0;
	like.memory = mpr_malloc(len + 1);
	if (!like.memory)
		return mpr_fail(-ENOMEM, "no memory for a message of %zu bytes",
				len);
	r = prepare(&like, &h);
	if (r < 0) {
		free(like.memory);
		return r;
	}
	hold(h);
	*ret_p = like.memory;
	return 0;
}

int
mpr_queue_remote_commit(mproc_queue *q, void *p, size_t len)
{
	struct held *h = let_go(q, p, false, len);
	struct iovec part = { p, len };
	int r;

	if (!h)
		return -EINVAL;
	r = mpr_queue_remote_put(q, &part, 1, len,
				 h->until ? mproc_until(h->until) : MPROC_NOWAIT);
	forget(h);
	return r;
}

int
mpr_queue_remote_abort(mproc_queue *q, void *p)
{
	struct held *h = let_go(q, p, false, 0);

	if (!h)
		return -EINVAL;
	forget(h);
	return 0;
}

int
mpr_queue_remote_peek(mproc_queue *q, const void **ret_p, size_t *ret_len,
		      mproc_timeout timeout)
{
	const struct held like = { .q = q, .shown = true };
	struct held *h;
	int r = mpr_queue_remote_check_held(q, true);

	if (r == 0)
		r = prepare(&like, &h);
	if (r < 0)
		return r;
	r = mpr_queue_remote_take(q, &h->memory, &h->len, timeout);
	if (r < 0) {
		free(h);
		return r;
	}
	hold(h);
	*ret_p = h->memory;
	if (ret_len)
		*ret_len = h->len;
	return 0;
}

int
mpr_queue_remote_release(mproc_queue *q, const void *p)
{
	struct held *h = let_go(q, p, true, 0);

	if (!h)
		return -EINVAL;
	forget(h);
	return 0;
}
