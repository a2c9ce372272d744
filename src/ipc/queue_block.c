/* SPDX-License-Identifier: MIT */
/*
 * Getting messages that lie in blocks.
 */
#include <errno.h>

#include "base/copy.h"
#include "ipc/attachment.h"
#include "ipc/queue_get.h"
#include "ipc/queue_keep.h"

/* Of longer messages most lines have left the caches before they are written again. */
#define TAKE_MAX ((size_t)2 << 20)

/* Lines that are taken between two looks, in bytes. */
#define PIECE 4096

/*
 * Nobody else has the message, and until it is freed nobody writes to its memory, but we
 * do, to have its lines. A copy of us, made by a signal handler, must not do that later
 * on: there may be another message by then.
 */
static void
copy_out(const struct mpr_attachment *at, unsigned char *to,
	 const struct mpr_taken *t)
{
	size_t left = t->len, part;
	unsigned char *from = t->memory;

	while (left && t->len <= TAKE_MAX && !mpr_attachment_is_copy(at)) {
		part = left < PIECE ? left : PIECE;
		mpr_copy_taking(to, from, part);
		to += part;
		from += part;
		left -= part;
	}
	if (left)
		mpr_copy_long(to, from, left);
}

/* Copies the message that is ours or will be, or shows it. */
static void
deliver(struct mpr_attachment *at, const struct mpr_taken *t,
	const struct mpr_sink *to)
{
	if (to->ret_p) {
		*to->ret_p = t->memory;
		at->shown_block = *t;
		return;
	}
	copy_out(at, to->buf, t);
	if (to->n)
		to->msgs[0] = (struct iovec){ to->buf, t->len };
}

/* What has just been taken. It may be kept, for which there is room. */
static void
have(struct mpr_attachment *at, struct mpr_taken *t, const struct mpr_sink *to)
{
	if (at->keeps)
		mpr_held_add(at, t);
	deliver(at, t, to);
	if (!at->keeps && !to->ret_p)
		mpr_message_free(at, t);
}

static void
pass(const struct mpr_attachment *at, struct mpr_consumer *c)
{
	if (at->single_consumer)
		mpr_consumer_pass(c);
	else
		mpr_consumer_pass_shared(c);
}

int
mpr_get_block(struct mpr_attachment *at, struct mpr_consumer *c,
	      const struct mpr_sink *to, size_t *ret_len)
{
	struct mpr_taken t = { 0 };
	int r = mpr_message_find(at, c, &t);

	if (r == -EAGAIN || r == -EBADMSG)
		return r;
	*ret_len = t.len;
	if (r == 0 && to->looks)
		return 0;
	if (r == 0 && !to->ret_p && t.len > to->size)
		return -EMSGSIZE;
	if (r == 0 && at->single_consumer && !at->keeps) {
		deliver(at, &t, to);
		if (to->ret_p)
			return 0;
		if (!mpr_message_free(at, &t))
			r = -ENOENT;
		mpr_consumer_pass(c);
		return r;
	}
	if (r == 0 && !mpr_message_take(at, &t))
		r = -ENOENT;
	pass(at, c);
	if (r == 0)
		have(at, &t, to);
	return r;
}

/* A message that has come back. */
static int
take_returned(struct mpr_attachment *at, const struct mpr_sink *to,
	      size_t *ret_len)
{
	/* Before the search; whoever returns one counts it after that. */
	uint64_t returned = atomic_load(&at->q->returned);
	struct mpr_taken t;
	int r;

	if (mpr_likely(returned == at->returned_seen))
		return -EAGAIN;
	while ((r = mpr_message_find_at(at, MPR_MESSAGE_RETURNED, &t)) == 0) {
		*ret_len = t.len;
		if (!to->ret_p && t.len > to->size)
			return -EMSGSIZE;
		if (!mpr_message_take(at, &t))
			continue;
		have(at, &t, to);
		return to->n ? 1 : 0;
	}
	if (r == -EAGAIN)
		at->returned_seen = returned;
	return r;
}

int
mpr_get_kept(struct mpr_attachment *at, const struct mpr_sink *to,
	     size_t *ret_len)
{
	int r;

	if (at->dead_letters)
		return mpr_take_dead_letter(at, to, ret_len);
	r = mpr_held_make_room(at);
	return r < 0 ? r : take_returned(at, to, ret_len);
}
