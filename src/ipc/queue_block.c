/* SPDX-License-Identifier: MIT */
/*
 * Getting messages that lie in blocks.
 */
#include <errno.h>

#include "ipc/attachment.h"
#include "ipc/queue_get.h"
#include "ipc/queue_keep.h"
#include "ring/access.h"

/* Of longer messages most lines have left the caches before they are written again. */
#define TAKE_MAX ((size_t)2 << 20)

/* Lines that are taken between two looks, in bytes. */
#define PIECE 4096

/*
 * Nobody else has the message, and until it is freed nobody writes to its memory, but we
 * do, to have its lines. A copy of us, made by a signal handler, takes no more of them: we
 * may have freed it, or been killed, and who destroys the queue then gives back its memory
 * and does not change the block's word.
 */
static void
copy_out(const struct mpr_attachment *at, unsigned char *to,
	 const struct mpr_taken *t)
{
	bool takes = t->len >= MPR_LINE && t->len <= TAKE_MAX;
	size_t left = t->len, part;
	unsigned char *from = t->memory;

	while (left && takes && !mpr_attachment_is_copy(at) &&
	       mpr_message_is_there(t)) {
		part = left < PIECE ? left : PIECE;
		mpr_copy_taking(to, from, part);
		to += part;
		from += part;
		left -= part;
	}
	if (left)
		mpr_copy_out(to, from, left);
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

/*
 * What follows is the consumer's alone to do: its copy has the same attachment, lanes and
 * words, and would take a message of which nobody knows then, free what the consumer is
 * still reading, or put head back.
 */

/* What has just been taken. It may be kept, for which there is room. */
static int
have(struct mpr_attachment *at, struct mpr_taken *t, const struct mpr_sink *to)
{
	if (at->keeps)
		mpr_held_add(at, t);
	deliver(at, t, to);
	if (mpr_unlikely(mpr_attachment_is_copy(at)))
		return -ECHILD;
	if (!at->keeps && !to->ret_p)
		mpr_message_free(at, t);
	return 0;
}

/* What a single consumer that does not keep it has found. */
static int
have_alone(struct mpr_attachment *at, struct mpr_consumer *c, struct mpr_taken *t,
	   const struct mpr_sink *to)
{
	int r;

	deliver(at, t, to);
	if (to->ret_p)
		return 0;
	if (mpr_unlikely(mpr_attachment_is_copy(at)))
		return -ECHILD;
	r = mpr_message_free(at, t) ? 0 : -ENOENT;
	mpr_consumer_pass(c);
	return r;
}

int
mpr_get_catch_up(const struct mpr_attachment *at, struct mpr_consumer *c)
{
	if (mpr_attachment_is_copy(at))
		return -ECHILD;
	mpr_consumer_begin(c, c->lane, c->capacity);
	return -EAGAIN;
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

	if (r == -EAGAIN && at->single_consumer)
		return mpr_get_catch_up(at, c);
	if (r == -EAGAIN || r == -EBADMSG)
		return r;
	*ret_len = t.len;
	if (r == 0 && to->looks)
		return 0;
	if (r == 0 && !to->ret_p && t.len > to->size)
		return -EMSGSIZE;
	if (r == 0 && at->single_consumer && !at->keeps)
		return have_alone(at, c, &t, to);
	if (mpr_unlikely(mpr_attachment_is_copy(at)))
		return -ECHILD;
	if (r == 0 && !mpr_message_take(at, &t))
		r = -ENOENT;
	pass(at, c);
	return r == 0 ? have(at, &t, to) : r;
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
		if (mpr_unlikely(mpr_attachment_is_copy(at)))
			return -ECHILD;
		if (!mpr_message_take(at, &t))
			continue;
		r = have(at, &t, to);
		return r == 0 && to->n ? 1 : r;
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
