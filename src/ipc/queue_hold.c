/* SPDX-License-Identifier: MIT */
/*
 * Messages that the user holds: reserved, to be written where they will lie;
 * or shown, to be read where they lie.
 *
 * What is held is private: an address, a length, and limits put away. Shared
 * memory shows nothing of it, so a process that dies has nothing to be undone:
 * the bytes of a reservation were never there, and a message that is shown is
 * in its lane still. Only with several consumers is it not: someone else may
 * take it at any time, so a peek takes it first, into a copy. What lies in a
 * block is the exception to both: the block bears the name of who writes it, or
 * of whichever of several consumers reads it.
 *
 * Nobody waits for who holds something. A commit is an attempt to put like any
 * other, and a reservation is none: a drain does not wait for it.
 */
#include <errno.h>

#include "base/alloc.h"
#include "base/error.h"
#include "ipc/attachment.h"
#include "ipc/queue_get.h"
#include "ipc/queue_put.h"
#include "ipc/queue_remote.h"

int
mproc_queue_reserve(mproc_queue *q, size_t len, void **ret_p,
		    mproc_timeout timeout)
{
	int r;

	if (!ret_p)
		return mpr_fail(-EINVAL, "ret_p is NULL");
	r = mpr_put_reserve(q, len, ret_p, timeout);
	return mpr_queue_is_remote(q, r) ?
		       mpr_queue_remote_reserve(q, len, ret_p, timeout) : r;
}

/* @p is not what this thread holds. */
static int
not_held(mproc_queue *q, const void *p, const char *what)
{
	const struct mpr_attachment *at;
	mproc_arena *a;
	int r = mpr_queue_check(q, &a);

	if (r < 0)
		return r;
	/* -ESTALE would say that it is dropped. */
	at = mpr_attachment_present(q);
	if (!(at && mpr_attachment_is_held(at)) &&
	    mpr_owner_state(atomic_load(&q->state)) != MPR_QUEUE_OPEN)
		return mpr_queue_stale(q);
	return mpr_fail(-EINVAL, "%p is not what this thread has %s in queue "
			"%p", p, what, (void *)q);
}

/* What was held is not any more. Returns 0, or -ESTALE if the queue is gone;
 * then there may be no attachment any more. */
static int
let_go(struct mpr_attachment *at)
{
	mproc_queue *q = at->q;

	if (mpr_likely(atomic_load(&q->state) == at->open))
		return 0;
	if (!mpr_attachment_is_held(at))
		mpr_attachment_drop(at);
	return mpr_queue_stale(q);
}

/* The attachment in which @p is reserved. */
static int
reserved(mproc_queue *q, const void *p, struct mpr_attachment **ret_at)
{
	struct mpr_attachment *at = mpr_attachment_present(q);

	*ret_at = at;
	if (mpr_unlikely(!at || !p || mpr_put_reserved(at) != p))
		return not_held(q, p, "reserved");
	return 0;
}

int
mproc_queue_commit(mproc_queue *q, void *p, size_t len)
{
	struct mpr_attachment *at;
	int put, r;

	r = reserved(q, p, &at);
	if (r < 0)
		return mpr_queue_is_remote(q, r) ? mpr_queue_remote_commit(q, p, len) :
						   r;
	if (len > mpr_put_reserved_len(at))
		return mpr_fail(-EINVAL, "a message of %zu bytes in %zu that "
				"were reserved in %s", len,
				mpr_put_reserved_len(at),
				mpr_queue_label(q).text);
	put = mpr_put_commit(at, len);
	if (mpr_likely(put == 0))
		return 0;
	r = let_go(at);
	return r < 0 ? r : mpr_put_closed(at);
}

int
mproc_queue_abort(mproc_queue *q, void *p)
{
	struct mpr_attachment *at;
	int r;

	r = reserved(q, p, &at);
	if (r < 0)
		return mpr_queue_is_remote(q, r) ? mpr_queue_remote_abort(q, p) : r;
	mpr_put_abort(at);
	return let_go(at);
}

/* Where a message goes that is taken to be shown. */
static int
make_copy(struct mpr_attachment *at)
{
	if (!at->copy)
		at->copy = mpr_realloc(NULL, at->lane_limit + 1);
	if (!at->copy)
		return mpr_fail(-ENOMEM, "no memory for a copy of %zu bytes",
				at->lane_limit);
	return 0;
}

int
mproc_queue_peek(mproc_queue *q, const void **ret_p, size_t *ret_len,
		 mproc_timeout timeout)
{
	struct mpr_attachment *at;
	const void *p = NULL;
	struct mpr_sink to = { .ret_p = &p };
	size_t len = 0;
	int r;

	if (!ret_p)
		return mpr_fail(-EINVAL, "ret_p is NULL");
	r = mpr_attachment_get(q, &at);
	if (r < 0)
		return mpr_queue_is_remote(q, r) ?
			       mpr_queue_remote_peek(q, ret_p, ret_len, timeout) : r;
	if (at->dead_letters)
		return mpr_fail(-EPERM, "%s holds dead letters",
				mpr_queue_label(q).text);
	r = mpr_get_become_consumer(at);
	if (r < 0)
		return r;
	if (!at->single_consumer) {
		r = make_copy(at);
		if (r < 0)
			return r;
		to.buf = at->copy;
		to.size = at->lane_limit;
	}
	r = mpr_get_next(at, &to, &len, timeout);
	if (r == -ECHILD)
		return mproc_queue_peek(q, ret_p, ret_len,
					mpr_attachment_rest(at));
	if (r == -EMSGSIZE)
		return mpr_fail(-EBADMSG, "a lane of %s has a message of %zu "
				"bytes", mpr_queue_label(q).text, len);
	if (r < 0)
		return r;
	at->shown = p;
	at->shown_len = len;
	at->quantum_aside = at->quantum;
	at->quantum = 0;
	*ret_p = p;
	if (ret_len)
		*ret_len = len;
	return 0;
}

int
mproc_queue_release(mproc_queue *q, const void *p)
{
	struct mpr_attachment *at = mpr_attachment_present(q);

	int r;

	if (mpr_unlikely(!at || !p || at->shown != p)) {
		r = not_held(q, p, "peeked at");
		return mpr_queue_is_remote(q, r) ? mpr_queue_remote_release(q, p) : r;
	}
	at->shown = NULL;
	at->quantum = at->quantum_aside;
	if (at->shown_block.block)
		mpr_get_release_block(at);
	else if (at->single_consumer)
		mpr_get_release(at, at->shown_len);
	return let_go(at);
}
