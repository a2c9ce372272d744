/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/macros.h"
#include "manager/codec.h"
#include "manager/typed.h"
#include "manager/worker.h"
#include "os/clock.h"
#include "os/socket.h"

#define READ ((size_t)16 << 10) /* bytes at once */
#define ERROR_MAX 4095		/* the kernel's */

/* A method of an object that another one has died in the middle of. The lock is
 * ours. */
static int
recover(const struct mpr_type *type, struct mpr_typed *o, mproc_lock *lock)
{
	int r = type->is.recover ? type->is.recover(o->state) : -ENOTRECOVERABLE;

	if (r >= 0)
		return mproc_lock_consistent(lock);
	return mpr_fail(-ENOTRECOVERABLE, "a method of the object has died in the "
			"middle, and type %s %s", type->is.name,
			type->is.recover ? "could not put it in order" :
					   "has no function for that");
}

static int
run(const struct mpr_type *type, const struct mproc_type_method *m, struct mpr_typed *o,
    const struct mproc_any *args, size_t n, struct mproc_any *ret)
{
	mproc_lock *lock = mpr_typed_lock(o);
	int r;

	if (!lock)
		return mpr_fail(-ESTALE, "the object was destroyed");
	if (type->is.concurrent)
		return m->fn(o->state, args, (int)n, ret);
	do
		r = mproc_lock_acquire(lock, MPROC_FOREVER);
	while (r == -EINTR);
	if (r == MPROC_OWNER_DIED)
		r = recover(type, o, lock);
	else if (r < 0)
		return r;
	if (r >= 0) {
		/* What it says went wrong is its own. */
		mpr_fail(0, "%s", "");
		r = m->fn(o->state, args, (int)n, ret);
	}
	(void)mproc_lock_release(lock);
	return r;
}

/* Behind each text there is a byte that was read already, or is nobody's. */
static void
end_texts(struct mproc_any *args, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (args[i].kind != MPROC_STR)
			continue;
		if (args[i].ptr)
			((char *)(uintptr_t)args[i].ptr)[args[i].len] = '\0';
		else
			args[i].ptr = "";
	}
}

/* What a method has left is what it is, and goes on its way only as what it may
 * be. */
static int
check_result(const struct mpr_type *type, const struct mproc_type_method *m, int r,
	     const struct mproc_any *ret)
{
	if (r < -ERROR_MAX)
		return mpr_fail(-EINVAL, "%s.%s has returned %d", type->is.name,
				m->name, r);
	if ((unsigned)ret->kind > MPROC_REF ||
	    ((ret->kind == MPROC_STR || ret->kind == MPROC_BYTES) && !ret->ptr &&
	     ret->len))
		return mpr_fail(-EINVAL, "%s.%s has left a value that is none",
				type->is.name, m->name);
	return r;
}

static int
answer(const struct mpr_worker_order *order, struct mpr_buffer *out, int64_t number,
       int r, const struct mproc_any *ret)
{
	struct mproc_any all[] = { mproc_int(number), mproc_int(r), *ret };
	int written;

	if (r < 0 && ret->kind != MPROC_STR)
		all[2] = mproc_str(*mproc_error_detail() ? mproc_error_detail() :
							   mproc_strerror(r));
	written = mpr_codec_write(out, all, 3, order->max_message);
	if (written == 0 || written == -ENOMEM)
		return written;
	all[1] = mproc_int(written);
	all[2] = mproc_str("the result is longer than a message of this manager's may "
			   "be");
	return mpr_codec_write(out, all, 3, order->max_message);
}

/* Returns 0, or why this cannot go on. */
static int
carry_out(const struct mpr_worker_order *order, const struct mpr_message *call,
	  struct mpr_buffer *out)
{
	const struct mpr_type *type = order->type;
	const struct mproc_any *row = &call->values[3];
	struct mproc_any args[MPROC_CALL_ARGS], ret = mproc_nil();
	const struct mproc_type_method *m = &type->methods[call->values[1].i64];
	size_t n;
	int r = mpr_codec_count(row->ptr, row->len, &n);

	if (r < 0 || n > MPROC_CALL_ARGS ||
	    mpr_codec_unpack(args, n, row->ptr, row->len) < 0)
		return -EBADMSG;
	end_texts(args, n);
	r = run(type, m, (struct mpr_typed *)(uintptr_t)call->values[2].i64, args, n,
		&ret);
	r = check_result(type, m, r, &ret);
	if (r < 0 && (unsigned)ret.kind > MPROC_REF)
		ret = mproc_nil();
	r = answer(order, out, call->values[0].i64, r, &ret);
	mproc_any_clear(&ret);
	return r;
}

static int
await(int fd, short events)
{
	int r = mpr_socket_await(fd, events, MPR_NEVER);

	/* An interrupt of the method's is not for us. */
	return r == -EINTR ? 0 : r;
}

static int
send_all(int fd, struct mpr_buffer *out)
{
	ssize_t n = 0;

	while (mpr_buffer_len(out) && n >= 0) {
		n = mpr_socket_send_bytes(fd, out->bytes + out->from,
					  mpr_buffer_len(out), false);
		if (n == -EAGAIN)
			n = await(fd, MPR_SOCKET_OUT);
		else if (n > 0)
			mpr_buffer_drop(out, (size_t)n, false);
	}
	return n < 0 ? (int)n : 0;
}

/* The next order, of which one comes at a time. Returns 0, or why none comes. */
static int
receive(const struct mpr_worker_order *order, struct mpr_buffer *in,
	struct mpr_frame *f)
{
	/* What goes over the connection has a few bytes beside what the client has
	 * sent. */
	size_t limit = order->max_message + READ;
	ssize_t n;
	int r;

	while ((r = mpr_codec_next(f, in->bytes + in->from, mpr_buffer_len(in),
				   limit)) == 0) {
		r = mpr_buffer_room(in, READ);
		if (r < 0)
			return r;
		/* A byte is left for end_texts(). */
		n = mpr_socket_receive(order->fd, in->bytes + in->to,
				       in->size - in->to - 1, false);
		if (n == 0)
			return -EPIPE;
		if (n == -EAGAIN)
			n = await(order->fd, MPR_SOCKET_IN);
		else if (n > 0)
			in->to += (size_t)n;
		if (n < 0)
			return (int)n;
	}
	return r < 0 ? r : 0;
}

int
mpr_worker_main(void *arg)
{
	const struct mpr_worker_order order =
		*(const struct mpr_worker_order *)arg;
	struct mpr_buffer in = { .bytes = NULL }, out = { .bytes = NULL };
	struct mpr_message call;
	struct mpr_frame f;
	int r;

	if (order.ears)
		mpr_child_unlisten(order.ears);
	while ((r = receive(&order, &in, &f)) == 0) {
		r = mpr_codec_read(&call, f.message, f.len);
		if (r == 0)
			r = carry_out(&order, &call, &out);
		if (r == 0)
			r = send_all(order.fd, &out);
		if (r < 0)
			break;
		mpr_buffer_drop(&in, f.whole, false);
	}
	mpr_buffer_end(&in);
	mpr_buffer_end(&out);
	return r != -EPIPE;
}
