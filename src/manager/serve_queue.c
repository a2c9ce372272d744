/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "ipc/attachment.h"
#include "ipc/queue_remote.h"
#include "manager/codec.h"
#include "manager/queue_options.h"
#include "manager/serve_queue.h"

#define LENGTH 4

int
mpr_serve_queue_find(struct mpr_objects *objects, mproc_arena *a, const char *name,
		     const struct mproc_any *options, int64_t *ret_id)
{
	struct mproc_any values[MPR_QUEUE_OPTIONS];
	struct mproc_queue_opts o = { .struct_size = sizeof(o) };
	char text[MPR_QUEUE_OPTION_NAME];
	int r = 0;

	if (options && (options->kind != MPROC_BYTES ||
			mpr_codec_unpack(values, MPR_QUEUE_OPTIONS, options->ptr,
					 options->len) < 0))
		r = mpr_fail(-EINVAL, "the options of a queue are wanted");
	else if (options)
		r = mpr_queue_options_read(&o, text, values);
	return r < 0 ? r : mpr_objects_find_queue(objects, a, name, &o, ret_id);
}

/* What is to be put: @lengths, and the messages one behind the other. */
static int
read_messages(const struct mproc_any *lengths, const struct mproc_any *bytes,
	      struct iovec *ret_msgs)
{
	size_t n = lengths->len / LENGTH, at = 0, len;
	const unsigned char *from = bytes->ptr;

	for (size_t i = 0; i < n; i++) {
		len = mpr_queue_read_length((const unsigned char *)lengths->ptr +
					    i * LENGTH);
		if (len > bytes->len - at)
			return -EINVAL;
		ret_msgs[i] = (struct iovec){ (void *)(uintptr_t)(from + at), len };
		at += len;
	}
	return at == bytes->len ? 0 : -EINVAL;
}

/* thread, ns, lengths, messages */
static int
put(struct mpr_queue_post *p, struct mpr_queued *k, const struct mproc_any *args)
{
	const struct mproc_any *lengths = &args[2], *bytes = &args[3];
	struct iovec one, *msgs = &one;
	size_t n = lengths->len / LENGTH;
	int r;

	if (lengths->kind != MPROC_BYTES || bytes->kind != MPROC_BYTES || !n ||
	    lengths->len % LENGTH || n > MPR_QUEUE_MANY)
		return mpr_fail(-EINVAL, "1 to %d messages and their lengths are wanted",
				MPR_QUEUE_MANY);
	if (n > 1)
		msgs = mpr_malloc(n * sizeof(*msgs));
	if (!msgs)
		return mpr_fail(-ENOMEM, "the manager has no memory for %zu messages",
				n);
	if (read_messages(lengths, bytes, msgs) < 0) {
		r = mpr_fail(-EINVAL, "messages are not as long as their lengths");
	} else {
		k->line = MPR_QUEUE_PUTS;
		k->msgs = msgs;
		k->n = (int)n;
		r = mpr_queue_desk_ask(p, k, args[1].i64);
	}
	if (msgs != &one)
		free(msgs);
	return r;
}

/* thread, ns, room, how many */
static int
get(struct mpr_queue_post *p, struct mpr_queued *k, const struct mproc_any *args)
{
	if (args[2].i64 < 0 || args[3].i64 < 0)
		return mpr_fail(-EINVAL, "%lld messages in %lld bytes",
				(long long)args[3].i64, (long long)args[2].i64);
	if (!args[3].i64 && p->at->dead_letters)
		return mpr_fail(-EPERM, "%s holds dead letters",
				mpr_queue_label(p->q).text);
	k->line = MPR_QUEUE_GETS;
	k->size = (size_t)args[2].i64;
	k->most = args[3].i64 < MPR_QUEUE_MANY ? (int)args[3].i64 : MPR_QUEUE_MANY;
	return mpr_queue_desk_ask(p, k, args[1].i64);
}

static int
join(struct mpr_queue_post *p, struct mpr_queued *k, const struct mproc_any *args)
{
	k->line = MPR_QUEUE_JOINS;
	return mpr_queue_desk_ask(p, k, args[1].i64);
}

/* Those that are about what a client puts, gets or has. */
static int
serve_party(struct mpr_queue_desk *d, struct mpr_served *c, int64_t number,
	    mproc_queue *q, const struct mpr_remote_call *call)
{
	struct mpr_queued k = { .party = { .client = c, .thread = call->args[0].i64 },
				.number = number };
	struct mpr_queue_post *p;
	int r = mpr_queue_desk_find(d, q, &p);

	if (r < 0)
		return r;
	switch ((int)call->op) {
	case MPR_OP_QUEUE_PUT:
		return put(p, &k, call->args);
	case MPR_OP_QUEUE_GET:
		return get(p, &k, call->args);
	case MPR_OP_QUEUE_DONE:
		return mpr_queue_desk_done(p, &k.party);
	case MPR_OP_QUEUE_REQUEUE:
		return mpr_queue_desk_requeue(p, &k.party);
	}
	return join(p, &k, call->args);
}

static int
dead_letters(mproc_queue *q, struct mpr_objects *objects, struct mpr_remote_call *call)
{
	mproc_queue *dead;
	int64_t id = 0;
	int r = mproc_queue_dead_letters(q, &dead);

	if (r == 0)
		r = mpr_objects_add_queue(objects, dead, &id);
	call->rets[0] = mproc_int(id);
	call->n_rets = 1;
	return r;
}

/* Bytes of the answer's own. */
static int
give_bytes(struct mproc_any *ret, const void *bytes, size_t len)
{
	void *copy = mpr_malloc(len + 1);

	if (!copy)
		return mpr_fail(-ENOMEM, "the manager has no memory for the answer");
	memcpy(copy, bytes, len);
	*ret = mproc_bytes(copy, len);
	ret->owned = 1;
	return 0;
}

static int
stat(mproc_queue *q, struct mpr_remote_call *call)
{
	unsigned char figures[8 * MPR_QUEUE_FIGURES];
	struct mproc_queue_stat st;
	int r = mproc_queue_stat(q, &st);

	if (r < 0)
		return r;
	mpr_queue_write_stat(figures, &st);
	call->n_rets = 2;
	r = give_bytes(&call->rets[0], st.name, strnlen(st.name, sizeof(st.name)));
	return r < 0 ? r : give_bytes(&call->rets[1], figures, sizeof(figures));
}

static int
len(mproc_queue *q, struct mpr_remote_call *call)
{
	call->rets[0] = mproc_int((int64_t)mproc_queue_len(q));
	call->n_rets = 1;
	return 0;
}

/* How many values an operation has, and whether the first ones are numbers. */
static int
check(const struct mpr_remote_call *call)
{
	unsigned n = 0, numbers;

	switch ((int)call->op) {
	case MPR_OP_QUEUE_PUT:
	case MPR_OP_QUEUE_GET:
		n = 4;
		break;
	case MPR_OP_QUEUE_JOIN:
		n = 2;
		break;
	case MPR_OP_QUEUE_DONE:
	case MPR_OP_QUEUE_REQUEUE:
	case MPR_OP_QUEUE_SHUTDOWN:
		n = 1;
		break;
	}
	numbers = (int)call->op == MPR_OP_QUEUE_PUT ? 2 : n;
	for (unsigned i = 0; i < numbers && i < call->n_args; i++)
		if (call->args[i].kind != MPROC_INT)
			numbers = UINT_MAX;
	return call->n_args == n && numbers <= n ?
		       0 : mpr_fail(-EINVAL, "operation %u has %u values",
				    (unsigned)call->op, n);
}

/* Those that are about the queue, by the serving thread itself. */
static int
serve_in_passing(mproc_queue *q, struct mpr_objects *objects,
		 struct mpr_remote_call *call)
{
	int64_t flags;

	switch ((int)call->op) {
	case MPR_OP_LEN:
		return len(q, call);
	case MPR_OP_QUEUE_DEAD_LETTERS:
		return dead_letters(q, objects, call);
	case MPR_OP_QUEUE_SHUTDOWN:
		flags = call->args[0].i64;
		return mproc_queue_shutdown(q, flags > 0 && flags < INT_MAX ?
						       (unsigned)flags : 0);
	case MPR_OP_QUEUE_STAT:
		return stat(q, call);
	}
	return mpr_fail(-EINVAL, "a queue has no operation %d", (int)call->op);
}

int
mpr_serve_queue(struct mpr_queue_desk *d, struct mpr_served *c, int64_t number,
		struct mpr_object *o, struct mpr_objects *objects,
		struct mpr_remote_call *call)
{
	mproc_queue *q = o->object, *uses[2];
	struct mpr_attachment *at;
	bool had[2];
	int r = check(call);

	if (r < 0)
		return r;
	switch ((int)call->op) {
	case MPR_OP_CHECK:
		return 0;
	case MPR_OP_QUEUE_PUT:
	case MPR_OP_QUEUE_GET:
	case MPR_OP_QUEUE_DONE:
	case MPR_OP_QUEUE_REQUEUE:
	case MPR_OP_QUEUE_JOIN:
		return serve_party(d, c, number, q, call);
	}
	/* A thread notices the end of a queue when it next comes there, and this one may
	 * not come: it leaves what it had no part in before. */
	uses[0] = q;
	uses[1] = mpr_queue_partner(mpr_arena_of(q), q);
	for (int i = 0; i < 2; i++)
		had[i] = uses[i] && mpr_attachment_present(uses[i]);
	r = serve_in_passing(q, objects, call);
	for (int i = 0; i < 2; i++) {
		at = uses[i] && !had[i] ? mpr_attachment_present(uses[i]) : NULL;
		if (at)
			mpr_attachment_drop(at);
	}
	return r;
}
