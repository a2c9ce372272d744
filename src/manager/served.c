/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/error.h"
#include "ipc/wire.h"
#include "manager/served.h"
#include "os/clock.h"
#include "os/socket.h"

#define READ ((size_t)16 << 10)	  /* bytes at once */
#define ENOUGH ((size_t)64 << 10) /* bytes of answers, before they are sent */
#define TURN INT64_C(1000000)	  /* ns */
#define ROUNDS 4		  /* of answers and sending, before others have a turn */
#define HEAD 2			  /* values of an answer before those that it is about */
#define OTHERS 32		  /* bytes of an answer but for texts and bytes, at most */

int
mpr_served_answer(struct mpr_served_by *by, struct mpr_served *c, int64_t number,
		  int r, const struct mproc_any *values, unsigned n,
		  const char *text)
{
	struct mproc_any all[MPR_MESSAGE_VALUES] = { mproc_int(number),
						     mproc_int(r) };
	int written;

	if (r < 0) {
		all[HEAD] = mproc_str(text);
		n = 1;
	}
	for (unsigned i = 0; i < n && r >= 0; i++)
		all[HEAD + i] = values[i];
	written = mpr_codec_write(&c->out, all, HEAD + n, by->max_message);
	if (written == 0 || r < 0)
		return written;
	all[1] = mproc_int(written);
	all[HEAD] = mproc_str(written == -EMSGSIZE ?
				      "the value is longer than a message of this "
				      "manager's may be" :
				      "the manager has no memory for the answer");
	return mpr_codec_write(&c->out, all, HEAD + 1, by->max_message);
}

static int
make_room(struct mpr_room *room, uint64_t bytes)
{
	struct mpr_served_room *r = (struct mpr_served_room *)room;
	size_t left = r->max_message - OTHERS - r->bytes;

	if (bytes > left)
		return mpr_fail(-EMSGSIZE, "the value is longer than a message of "
				"this manager's may be");
	r->bytes += (size_t)bytes;
	if (mpr_buffer_room(r->out, MPR_WIRE_LONG + OTHERS + r->bytes) < 0)
		return mpr_fail(-ENOMEM, "the manager has no memory for the "
				"answer");
	return 0;
}

struct mpr_served_room
mpr_served_room(const struct mpr_served_by *by, struct mpr_served *c)
{
	return (struct mpr_served_room){ .room.make = make_room,
					 .out = &c->out,
					 .max_message = by->max_message };
}

/* Memory goes from hand to hand: there is one piece that who has none takes. */
static void
borrow(struct mpr_served_by *by, struct mpr_buffer *b)
{
	if (!b->bytes && by->spare.bytes)
		(void)mpr_buffer_hand(&by->spare, b);
}

static void
give_back(struct mpr_served_by *by, struct mpr_buffer *b)
{
	if (mpr_buffer_len(b) || !b->bytes)
		return;
	/* What a long message has taken is not kept. */
	if (by->spare.bytes || b->size > 2 * ENOUGH ||
	    !mpr_buffer_hand(b, &by->spare))
		mpr_buffer_end(b);
}

void
mpr_served_rest(struct mpr_served_by *by, struct mpr_served *c)
{
	give_back(by, &c->out);
}

/* Returns 1 if something came, 0 if nothing has, or a negative error. */
static int
read_some(struct mpr_served_by *by, struct mpr_served *c)
{
	ssize_t n;
	int r;

	borrow(by, &c->in);
	r = mpr_buffer_room(&c->in, READ);
	if (r < 0)
		return r;
	n = mpr_socket_receive(c->fd, c->in.bytes + c->in.to,
			       c->in.size - c->in.to, false);
	if (n == -EAGAIN)
		return 0;
	if (n <= 0)
		return n < 0 ? (int)n : -EPIPE;
	c->in.to += (size_t)n;
	return 1;
}

/* Whether all has been sent: 1 or 0, or a negative error. */
static int
send_all(struct mpr_served *c)
{
	while (mpr_buffer_len(&c->out)) {
		ssize_t n = mpr_socket_send_bytes(c->fd,
						  c->out.bytes + c->out.from,
						  mpr_buffer_len(&c->out), false);

		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return (int)n;
		mpr_buffer_drop(&c->out, (size_t)n, true);
		c->sent += (size_t)n;
	}
	return 1;
}

/* Whether a turn is over: a moment after its first request was carried out. Who has sent
 * one alone needs no clock. */
static bool
is_over(int64_t *until)
{
	int64_t now = mproc_now();

	if (!*until)
		*until = now + TURN;
	return now >= *until;
}

/* Answers requests, until there are enough of them, or the turn is over. Returns how
 * many, or a negative error. */
static int
answer_some(struct mpr_served_by *by, struct mpr_served *c, int64_t *until,
	    bool *ret_over)
{
	struct mpr_message m;
	struct mpr_frame f;
	int n = 0, r;

	while (!c->leaves && !*ret_over && mpr_buffer_len(&c->out) < ENOUGH) {
		r = mpr_codec_next(&f, c->in.bytes + c->in.from,
				   mpr_buffer_len(&c->in), by->max_message);
		if (r <= 0)
			return r < 0 ? r : n;
		r = mpr_codec_read(&m, f.message, f.len);
		if (r == 0)
			r = by->answer(by, c, &m);
		if (r < 0)
			return r;
		mpr_buffer_drop(&c->in, f.whole, true);
		n++;
		*ret_over = mpr_buffer_len(&c->in) && is_over(until);
	}
	return n;
}

static enum mpr_served_state
go_on(struct mpr_served_by *by, struct mpr_served *c)
{
	int64_t until = 0;
	bool over = false;
	int n, r;

	for (int i = 0; i < ROUNDS; i++) {
		borrow(by, &c->out);
		r = send_all(c);
		if (r <= 0)
			return r < 0 ? MPR_SERVED_GONE : MPR_SERVED_WAITS_OUT;
		if (c->leaves)
			return MPR_SERVED_GONE;
		if (over)
			break;
		n = answer_some(by, c, &until, &over);
		if (n < 0)
			return MPR_SERVED_GONE;
		if (n == 0)
			return MPR_SERVED_WAITS_IN;
	}
	return MPR_SERVED_IS_LEFT;
}

enum mpr_served_state
mpr_served_go_on(struct mpr_served_by *by, struct mpr_served *c, bool reads)
{
	enum mpr_served_state state;
	int r = c->is_over ? -EPIPE : reads ? read_some(by, c) : 1;

	if (r == 0)
		state = MPR_SERVED_WAITS_IN;
	else
		state = r < 0 ? MPR_SERVED_GONE : go_on(by, c);
	give_back(by, &c->in);
	give_back(by, &c->out);
	return state;
}
