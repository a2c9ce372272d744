/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/macros.h"
#include "ipc/auth.h"
#include "manager/client_priv.h"
#include "manager/codec.h"
#include "manager/row.h"
#include "os/clock.h"
#include "os/generation.h"
#include "os/interrupt.h"
#include "os/socket.h"
#include "os/thread.h"
#include "sync/remote.h"

#define KEPT (4 * MPR_CLIENT_READ) /* bytes of memory for what comes */
#define SLICE INT64_C(20000000) /* ns: who sends looks whether others still read */
#define HEAD 2			/* values of an answer before those that it is about */
#define ERROR_MAX 4095		/* the kernel's */
#define TOLD 64			/* bytes of a request of one number, and more */
#define PAUSE INT64_C(10000000) /* ns: after that there may be memory */
#define LOOK INT64_C(1000000000) /* ns: who waits looks whether it is a copy by then */

/* A request whose answer is awaited. It lies on the stack of who waits. */
struct request {
	struct request *next;
	int64_t number;
	struct mpr_remote_call *call;
	int result; /* of the call, or why there is none */
	bool done;
	struct mpr_turn told; /* given when it is done, or is to read */
};

void
mpr_client_lock(struct mpr_client *c)
{
	if (mpr_likely(mpr_turn_try(&c->lock)))
		return;
	/* Who has it is not here, in a child that a signal handler has forked. */
	if (c->generation != mpr_generation())
		return;
	mpr_interrupt_hold();
	(void)mpr_turn_take(&c->lock, MPR_NEVER);
	mpr_interrupt_unhold();
}

void
mpr_client_unlock(struct mpr_client *c)
{
	mpr_turn_give(&c->lock);
}

/* A child, also one that a signal handler has forked in the middle, has nothing to
 * read or to send here. */
static int
check_process(const struct mpr_client *c)
{
	return c->generation == mpr_generation() ?
		       0 : mpr_fail(-ECHILD, "the connection to manager %s is "
				    "another process's", c->address);
}

static int
broken(const struct mpr_client *c, int r)
{
	if (r == -EPIPE)
		return mpr_fail(r, "manager %s is gone, or has ended the connection",
				c->address);
	return mpr_fail(r, "the connection to manager %s has ended: %s", c->address,
			mproc_strerror(r));
}

/*
 * What comes.
 */

/* Into its own place. Returns whether it can be that. */
static bool
take_there(const struct mproc_any *value, struct iovec *place)
{
	size_t len = value->kind == MPROC_BYTES ? value->len : 0;

	if ((value->kind != MPROC_BYTES && value->kind != MPROC_NIL) ||
	    len > place->iov_len)
		return false;
	if (len)
		memcpy(place->iov_base, value->ptr, len);
	place->iov_len = len;
	return true;
}

/* By the thread that reads, of whose calls this may be none: so a text of an error is
 * kept as a value. Returns the result; or -EBADMSG, with *@ret_odd, if it is none. */
static int
take_answer(struct mpr_remote_call *call, const struct mpr_message *m,
	    bool *ret_odd)
{
	int64_t result = m->values[1].i64;
	unsigned n = m->n - HEAD, first;
	int r = 0;

	memset(call->rets, 0, sizeof(call->rets));
	*ret_odd = result < -ERROR_MAX || result > INT32_MAX ||
		   (result >= 0 && n != call->n_rets);
	if (*ret_odd)
		return -EBADMSG;
	if (result < 0) {
		if (n == 1 && m->values[HEAD].kind == MPROC_STR)
			(void)mpr_row_take(&m->values[HEAD], &call->rets[0]);
		return (int)result;
	}
	first = n - call->n_places;
	for (unsigned i = first; i < n && !*ret_odd; i++)
		*ret_odd = !take_there(&m->values[HEAD + i], &call->places[i - first]);
	if (*ret_odd)
		return -EBADMSG;
	for (unsigned i = 0; i < first && r == 0; i++)
		r = mpr_row_take(&m->values[HEAD + i], &call->rets[i]);
	for (unsigned i = 0; i < n && r < 0; i++)
		mproc_any_clear(&call->rets[i]);
	return r < 0 ? r : (int)result;
}

/* Whether what the manager has given for the call would be lost. */
static bool
loses(const struct mpr_remote_call *call, const struct mpr_message *m)
{
	return m->values[1].i64 >= 0 && (call->waits || call->takes);
}

/* With the lock held. Of a number that nobody waits for any more nothing is kept. Returns
 * 0; -EBADMSG; -ENOMEM if the answer has to stay until there is memory. */
static int
file(struct mpr_client *c, const struct mpr_message *m)
{
	struct request *q = c->requests;
	bool odd;

	while (q && (q->number != m->values[0].i64 || q->done))
		q = q->next;
	if (!q)
		return 0;
	q->result = take_answer(q->call, m, &odd);
	if (q->result == -ENOMEM && loses(q->call, m))
		return -ENOMEM;
	q->done = true;
	mpr_turn_give(&q->told);
	return odd ? -EBADMSG : 0;
}

/* All whole answers that are there. Returns 0, -EBADMSG or -EACCES; -ENOMEM if one is
 * left. */
static int
file_all(struct mpr_client *c)
{
	struct mpr_message m;
	struct mpr_frame f;
	int r;

	for (;;) {
		r = mpr_codec_next(&f, c->in.bytes + c->in.from,
				   mpr_buffer_len(&c->in), MPR_CLIENT_LONGEST);
		if (r < 0)
			return -EBADMSG;
		if (r == 0)
			break;
		/* We have no key, but the other side may have one. */
		if (mpr_codec_read(&m, f.message, f.len) < 0)
			return mpr_auth_is_challenge(f.message, f.len) ?
				       -EACCES : -EBADMSG;
		if (m.n < HEAD || m.values[0].kind != MPROC_INT ||
		    m.values[1].kind != MPROC_INT)
			return -EBADMSG;
		mpr_client_lock(c);
		r = file(c, &m);
		mpr_client_unlock(c);
		c->is_left = r == -ENOMEM;
		if (c->is_left)
			return r;
		mpr_buffer_drop(&c->in, f.whole, true);
		if (r < 0)
			return r;
	}
	/* What a long answer has taken is not kept. */
	if (!mpr_buffer_len(&c->in) && c->in.size > KEPT)
		mpr_buffer_end(&c->in);
	return 0;
}

/* Reads once, if something is there. Returns 0; -EAGAIN; -ENOMEM; an error for ever. */
static int
read_once(struct mpr_client *c, bool block)
{
	ssize_t n;
	int r;

	if (c->is_left)
		return file_all(c);
	r = mpr_buffer_room(&c->in, MPR_CLIENT_READ);
	if (r < 0)
		return r;
	if (c->generation != mpr_generation())
		return -ECHILD;
	n = block ? mpr_socket_receive_any(c->fd, c->in.bytes + c->in.to,
					   c->in.size - c->in.to) :
		    mpr_socket_receive(c->fd, c->in.bytes + c->in.to,
				       c->in.size - c->in.to, false);
	if (n == 0)
		return -EPIPE;
	if (n < 0)
		return (int)n;
	c->in.to += (size_t)n;
	return file_all(c);
}

/* No answers will come any more: all who wait are told why. */
static int
end(struct mpr_client *c, int r)
{
	/* In a child there is nobody who waits, and its parent goes on. */
	if (r == -ECHILD)
		return r;
	mpr_client_lock(c);
	if (!c->broken)
		c->broken = r;
	r = c->broken;
	for (struct request *q = c->requests; q; q = q->next)
		mpr_turn_give(&q->told);
	mpr_client_unlock(c);
	return r;
}

/* A signal handler may fork in the middle of any wait, and nobody wakes the
 * child. */
static int64_t
look_at(int64_t deadline)
{
	int64_t soon = mproc_now() + LOOK;

	return soon < deadline ? soon : deadline;
}

/* Reads once, and looks a few times before it sleeps for that, if that pays. */
static int
read_patiently(struct mpr_client *c, bool block)
{
	bool looks = mpr_patience_begin(&c->patience);
	int r = read_once(c, block && !looks);

	while (r == -EAGAIN && mpr_patience_looks(&c->patience))
		r = read_once(c, false);
	mpr_patience_met(&c->patience);
	return r;
}

/* Waits for answers, and files them, until ours is there. The turn of reading is
 * ours. Returns 0; -EINTR, -ETIMEDOUT; -ENOMEM; -ECHILD; an error for ever. */
static int
read_until_done(struct mpr_client *c, struct request *mine, int64_t deadline)
{
	bool block = c->sliced && deadline == MPR_NEVER;
	int64_t until;
	bool done;
	int r;

	for (;;) {
		if (c->generation != mpr_generation())
			return -ECHILD;
		mpr_client_lock(c);
		done = mine->done;
		r = c->broken;
		mpr_client_unlock(c);
		if (done || r < 0)
			return done ? 0 : r;
		r = read_patiently(c, block);
		if (r == -EAGAIN) {
			/* Most have an answer sooner. */
			block = false;
			until = look_at(deadline);
			r = mpr_socket_await(c->fd, MPR_SOCKET_IN, until);
			if (r == -ETIMEDOUT && until < deadline)
				r = 0;
			if (r == -EINTR || r == -ETIMEDOUT)
				return r;
		}
		if (r == -ENOMEM)
			return mpr_fail(r, "no memory for an answer");
		if (r < 0)
			return end(c, r);
	}
}

/* Somebody has to read for those who still wait. With the lock held. */
static void
choose_reader(struct mpr_client *c)
{
	struct request *q = c->requests;

	while (q && q->done)
		q = q->next;
	if (q && !mpr_turn_is_taken(&c->reading))
		mpr_turn_give(&q->told);
}

static void
give_reading_on(struct mpr_client *c)
{
	mpr_turn_give(&c->reading);
	mpr_client_lock(c);
	choose_reader(c);
	mpr_client_unlock(c);
}

static int
await(struct mpr_client *c, struct request *mine, int64_t deadline)
{
	int64_t until;
	bool done;
	int r;

	for (;;) {
		if (mpr_turn_try(&c->reading)) {
			r = read_until_done(c, mine, deadline);
			/* In a child nobody else is there, and nothing is given. */
			if (r != -ECHILD)
				give_reading_on(c);
			return r;
		}
		/* Who reads tells us of our answer, or when it reads no more. */
		until = look_at(deadline);
		r = mpr_turn_take(&mine->told, until);
		if (c->generation != mpr_generation())
			return -ECHILD;
		if (r == -ETIMEDOUT && until < deadline)
			r = 0;
		mpr_client_lock(c);
		done = mine->done;
		if (!done && c->broken)
			r = c->broken;
		mpr_client_unlock(c);
		if (done || r < 0)
			return done ? 0 : r;
	}
}

/*
 * What goes.
 */

/* The manager takes nothing at the moment. It may be that it waits for us to take
 * what it has sent, and that nobody else does so. */
static int
await_room(struct mpr_client *c)
{
	int64_t now = mproc_now();
	int r = 0;

	if (mpr_turn_try(&c->reading)) {
		while (r == 0)
			r = read_once(c, false);
		if (r == -ECHILD)
			return r;
		give_reading_on(c);
		if (r != -EAGAIN && r != -ENOMEM)
			return end(c, r);
		r = mpr_socket_await(c->fd, MPR_SOCKET_IN | MPR_SOCKET_OUT,
				     now + LOOK);
	} else {
		r = mpr_socket_await(c->fd, MPR_SOCKET_OUT, now + SLICE);
	}
	return r == -ETIMEDOUT ? 0 : r;
}

/* Nothing can be sent any more, but what the manager has said before may be here. */
static int
hear_last_words(struct mpr_client *c, int r)
{
	if (mpr_turn_try(&c->reading)) {
		while (read_once(c, false) == 0)
			;
		mpr_turn_give(&c->reading);
	}
	return end(c, r);
}

/* Returns 0; -EINTR, -ENOMEM, and nothing was sent; -ECHILD; an error for ever. */
static int
send_whole(struct mpr_client *c, struct mpr_buffer *out)
{
	bool begun = false;
	int r;

	while (mpr_buffer_len(out)) {
		ssize_t n;

		r = check_process(c);
		if (r < 0)
			return r;
		n = mpr_socket_send_bytes(c->fd, out->bytes + out->from,
					  mpr_buffer_len(out), false);
		if (n >= 0) {
			begun = true;
			mpr_buffer_drop(out, (size_t)n, true);
			continue;
		}
		if (n == -ENOMEM && !begun)
			return mpr_fail(-ENOMEM, "no memory to send a request");
		if (n != -EAGAIN)
			return hear_last_words(c, (int)n);
		/* Half a request cannot be called off. */
		if (begun)
			mpr_interrupt_hold();
		r = await_room(c);
		if (begun)
			mpr_interrupt_unhold();
		if (r < 0)
			return r;
	}
	return 0;
}

static int
send_in_turn(struct mpr_client *c, struct mpr_buffer *out)
{
	int r = mpr_turn_try(&c->sending) ? 0 : -ETIMEDOUT;

	while (r == -ETIMEDOUT) {
		r = mpr_turn_take(&c->sending, look_at(MPR_NEVER));
		if (c->generation != mpr_generation())
			return -ECHILD;
	}
	if (r < 0)
		return r;
	r = send_whole(c, out);
	if (r != -ECHILD)
		mpr_turn_give(&c->sending);
	return r;
}

/* Why there is no request. */
static int
no_message(const struct mpr_client *c, int r)
{
	if (r == -EMSGSIZE)
		return mpr_fail(r, "manager %s takes messages of up to %zu bytes",
				c->address, c->max_message);
	return mpr_fail(r, "no memory for a request");
}

static int
make_request(struct mpr_client *c, struct mpr_buffer *out, int64_t number,
	     int64_t id, const struct mpr_remote_call *call)
{
	struct mproc_any all[MPR_MESSAGE_VALUES] = {
		mproc_int(number), mproc_int(call->op), mproc_int(id),
	};
	int r;

	for (unsigned i = 0; i < call->n_args; i++)
		all[3 + i] = call->args[i];
	r = mpr_codec_write(out, all, 3 + call->n_args, c->max_message);
	return r < 0 ? no_message(c, r) : 0;
}

/* Returns 0, or why the connection has ended. */
static int
enlist(struct mpr_client *c, struct request *q)
{
	int r;

	mpr_client_lock(c);
	r = c->broken;
	if (r == 0) {
		q->number = c->number++;
		q->next = c->requests;
		c->requests = q;
	}
	mpr_client_unlock(c);
	return r;
}

/* After that nobody knows of it. */
static void
delist(struct mpr_client *c, struct request *q)
{
	struct request **link = &c->requests;

	mpr_client_lock(c);
	while (*link != q)
		link = &(*link)->next;
	*link = q->next;
	/* It may have been to read, and has not come to it. */
	choose_reader(c);
	mpr_client_unlock(c);
}

/* The result of a request that was answered, with its text. */
static int
result_of(struct request *q)
{
	struct mproc_any *text = &q->call->rets[0];

	if (q->result >= 0)
		return q->result;
	if (text->kind == MPROC_STR)
		mpr_fail(q->result, "%s", (const char *)text->ptr);
	else
		mpr_fail(q->result, "%s", mproc_strerror(q->result));
	mproc_any_clear(text);
	return q->result;
}

static void
pause_a_moment(void)
{
	struct pollfd none;

	mpr_interrupt_hold();
	(void)mpr_interrupt_poll(&none, 0, mproc_now() + PAUSE);
	mpr_interrupt_unhold();
}

/* One that nobody awaits: its answer is not looked at. What it says has to be said, so
 * it takes no memory of ours; where the system has none, it waits for some. */
int
mpr_client_tell(struct mpr_client *c, const struct mpr_remote_call *call)
{
	unsigned char bytes[TOLD];
	struct mpr_buffer out = { .bytes = bytes, .size = sizeof(bytes) };
	int64_t number;
	int r;

	mpr_client_lock(c);
	number = c->number++;
	mpr_client_unlock(c);
	r = make_request(c, &out, number, 0, call);
	while (r == 0 && mpr_buffer_len(&out)) {
		mpr_interrupt_hold();
		r = send_in_turn(c, &out);
		mpr_interrupt_unhold();
		if (r != -EINTR && r != -ENOMEM)
			break;
		pause_a_moment();
		r = 0;
	}
	return r;
}

/* The manager says whether it was carried out: what it has kept it calls off, and what
 * it has taken away is lost without the answer. Only the end of the connection keeps us
 * from hearing that. */
static int
call_off(struct mpr_client *c, struct request *q, int why)
{
	const struct mpr_remote_call off = {
		.op = (enum mpr_remote_op)MPR_OP_WITHDRAW,
		.n_args = 1,
		.args = { mproc_int(q->number) },
	};
	int r = q->call->waits ? mpr_client_tell(c, &off) : 0;

	while (r == 0 || r == -EPIPE || r == -EINTR || r == -ENOMEM) {
		if (r == -ENOMEM)
			pause_a_moment();
		r = await(c, q, MPR_NEVER);
		if (r != -EINTR && r != -ENOMEM)
			break;
	}
	/* It came too late, and is for the next call that waits. */
	if (r == 0 && q->result != -EINTR && why == -EINTR)
		mpr_interrupt_answer_to(mpr_interrupt_count() - 1);
	if (r == 0 && q->result == -EINTR && why != -EINTR) {
		mproc_any_clear(&q->call->rets[0]);
		q->result = why;
	}
	return r;
}

static int
ask(struct mpr_client *c, int64_t id, struct mpr_remote_call *call,
    int64_t deadline)
{
	struct mpr_buffer out = { .bytes = NULL };
	struct request q = { .call = call };
	int r;

	/* From its place in the list on others may tell it something. */
	mpr_turn_init(&q.told);
	(void)mpr_turn_try(&q.told);
	r = enlist(c, &q);
	if (r < 0) {
		mpr_turn_destroy(&q.told);
		return broken(c, r);
	}
	r = make_request(c, &out, q.number, id, call);
	if (r == 0) {
		r = send_in_turn(c, &out);
		if (r == 0 || r == -EPIPE) {
			r = await(c, &q, deadline);
			if ((r == -EINTR || r == -ENOMEM) &&
			    (call->waits || call->takes))
				r = call_off(c, &q, r);
			/* It is carried out, and the answer without memory may
			 * be another one's. */
			while (r == -ENOMEM) {
				pause_a_moment();
				r = await(c, &q, deadline);
			}
		}
		if (r == -ECHILD)
			check_process(c);
		else if (r < 0 && r != -EINTR && r != -ETIMEDOUT && r != -ENOMEM)
			broken(c, r);
	}
	mpr_buffer_end(&out);
	/* The list is a copy of the parent's otherwise, and so may its lock be. */
	if (r != -ECHILD)
		delist(c, &q);
	mpr_turn_destroy(&q.told);
	/* One that came too late has left values. */
	if (r < 0 && q.done)
		for (unsigned i = 0; i < MPR_REMOTE_RETS; i++)
			mproc_any_clear(&call->rets[i]);
	return r < 0 ? r : result_of(&q);
}

static int
carry_values(struct mpr_client *c, int64_t id, struct mpr_remote_call *call,
	     int64_t deadline)
{
	struct mpr_buffer row = { .bytes = NULL };
	int r = mpr_row_pack(call, &row, c->max_message), result;

	if (r < 0)
		return no_message(c, r);
	result = ask(c, id, call, deadline);
	mpr_buffer_end(&row);
	r = result < 0 ? 0 : mpr_row_unpack(call);
	for (unsigned i = 0; i < MPR_REMOTE_RETS && r < 0; i++)
		mproc_any_clear(&call->rets[i]);
	return r < 0 ? r : result;
}

int
mpr_client_call(struct mpr_client *c, int64_t id, struct mpr_remote_call *call,
		int64_t deadline)
{
	int r = check_process(c), before;

	if (r < 0)
		return r;
	before = mpr_thread_forbid_cancel();
	r = carry_values(c, id, call, deadline);
	mpr_thread_allow_cancel(before);
	return r;
}

size_t
mpr_client_max_message(const struct mpr_client *c)
{
	return c->max_message;
}
