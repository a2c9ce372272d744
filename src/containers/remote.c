/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "containers/remote.h"

static int
closed(const void *handle)
{
	return mpr_fail(-ESTALE, "%p was destroyed, or its manager closed", handle);
}

int
mpr_remote_check(enum mpr_cell_kind kind, const void *handle)
{
	const struct mpr_remote *remote = mpr_remote_at(handle);

	if (!remote)
		return mpr_remote_has(handle) ? closed(handle) : 0;
	return remote->kind == kind ?
		       MPR_REMOTE : mpr_fail(-EBADMSG, "%p is a handle to "
					     "something else", handle);
}

static int
check_value(const struct mproc_any *any)
{
	if ((unsigned)any->kind > MPROC_REF)
		return mpr_fail(-EINVAL, "a value of kind %d", (int)any->kind);
	if (any->kind == MPROC_REF)
		return mpr_fail(-EFAULT, "%p lies not in the arena of the container, "
				"which another process has", any->ptr);
	if ((any->kind == MPROC_STR || any->kind == MPROC_BYTES) && !any->ptr &&
	    any->len)
		return mpr_fail(-EINVAL, "a text or bytes at NULL");
	return 0;
}

static int
check_args(const struct mpr_remote_call *call)
{
	int r = 0;

	for (unsigned i = 0; i < call->n_args && r == 0; i++)
		r = check_value(&call->args[i]);
	for (size_t i = 0; call->many && i < call->n_many && r == 0; i++)
		r = check_value(&call->many[i]);
	return r;
}

int
mpr_remote_carry(const void *handle, struct mpr_remote_call *call)
{
	const struct mpr_remote *remote = mpr_remote_at(handle);
	struct mpr_remote_owner *owner;
	int r = check_args(call);

	owner = remote ? atomic_load_explicit(&remote->owner,
					      memory_order_relaxed) : NULL;
	if (!owner)
		return closed(handle);
	return r < 0 ? r : owner->carry(owner, remote, call);
}

static struct mpr_remote_call
call_with_key(enum mpr_remote_op op, const struct mproc_any *key)
{
	return (struct mpr_remote_call){ .op = op, .n_args = 1, .args = { *key } };
}

/* To the user, or to nobody. */
static void
hand_out(struct mproc_any *from, struct mproc_any *to)
{
	if (to)
		*to = *from;
	else
		mproc_any_clear(from);
}

static int
carry_simply(const void *handle, struct mpr_remote_call *call)
{
	int r = mpr_remote_carry(handle, call);

	return r < 0 ? r : 0;
}

/* What the caller has a buffer for, or wants to know the kind of. */
static void
shorten(struct mproc_any *value, const struct mpr_want *want)
{
	struct mproc_any copy = *value;
	bool has_bytes = value->kind == MPROC_STR || value->kind == MPROC_BYTES;

	if (has_bytes && want->buf && value->len < want->size) {
		if (value->len)
			memcpy(want->buf, value->ptr, value->len);
		want->buf[value->len] = '\0';
	}
	mproc_any_clear(value);
	copy.owned = 0;
	if (has_bytes)
		copy.ptr = NULL;
	*want->ret = copy;
}

void
mpr_remote_to(struct mproc_any *value, const struct mpr_want *want)
{
	if (want->no_bytes)
		shorten(value, want);
	else
		*want->ret = *value;
}

int
mpr_remote_get(const void *handle, const struct mproc_any *key,
	       const struct mpr_want *want)
{
	struct mpr_remote_call call = call_with_key(
		want->ret ? MPR_OP_GET : MPR_OP_HAS, key);
	int r;

	call.n_rets = want->ret ? 1 : 0;
	r = mpr_remote_carry(handle, &call);
	if (r < 0)
		return r;
	if (!want->ret)
		return r > 0 ? 0 : -ENOENT;
	mpr_remote_to(&call.rets[0], want);
	return 0;
}

int
mpr_remote_set(const void *handle, const struct mproc_any *key,
	       const struct mproc_any *value)
{
	struct mpr_remote_call call = call_with_key(MPR_OP_SET, key);

	call.args[call.n_args++] = *value;
	return carry_simply(handle, &call);
}

int
mpr_remote_size(const void *handle, struct mpr_remote_call *call, size_t *ret)
{
	int r;

	call->n_rets = 1;
	r = mpr_remote_carry(handle, call);
	if (r < 0)
		return r;
	if (call->rets[0].kind != MPROC_INT || call->rets[0].i64 < 0) {
		mproc_any_clear(&call->rets[0]);
		return mpr_fail(-EBADMSG, "a number that is none");
	}
	*ret = (size_t)call->rets[0].i64;
	return 0;
}

int
mpr_remote_len(const void *handle, size_t *ret_len)
{
	struct mpr_remote_call call = { .op = MPR_OP_LEN };

	return mpr_remote_size(handle, &call, ret_len);
}

int
mpr_remote_simple(const void *handle, enum mpr_remote_op op)
{
	struct mpr_remote_call call = { .op = op };

	return carry_simply(handle, &call);
}

int
mpr_remote_next(const void *handle, struct mproc_cursor *cursor,
		struct mproc_any *ret_key, struct mproc_any *ret_value)
{
	uint64_t *words = cursor->mproc_opaque;
	struct mpr_remote_call call = {
		.op = MPR_OP_NEXT,
		.n_args = 2,
		.args = { mproc_int((int64_t)words[0]),
			  mproc_int((int64_t)words[1]) },
		.n_rets = 4,
	};
	int r = mpr_remote_carry(handle, &call);

	if (r < 0)
		return r;
	if (call.rets[0].kind == MPROC_INT && call.rets[1].kind == MPROC_INT) {
		words[0] = (uint64_t)call.rets[0].i64;
		words[1] = (uint64_t)call.rets[1].i64;
	} else {
		mproc_any_clear(&call.rets[0]);
		mproc_any_clear(&call.rets[1]);
		r = mpr_fail(-EBADMSG, "a cursor that is none");
	}
	hand_out(&call.rets[2], r < 0 ? NULL : ret_key);
	hand_out(&call.rets[3], r < 0 ? NULL : ret_value);
	return r < 0 ? r : 0;
}

int
mpr_remote_pop(const void *handle, const struct mproc_any *key,
	       struct mproc_any *ret_value)
{
	struct mpr_remote_call call = call_with_key(MPR_OP_POP, key);
	int r;

	call.n_rets = 1;
	call.takes = true;
	r = carry_simply(handle, &call);
	if (r == 0)
		hand_out(&call.rets[0], ret_value);
	return r;
}

int
mpr_remote_pop_item(const void *handle, struct mproc_any *ret_key,
		    struct mproc_any *ret_value)
{
	struct mpr_remote_call call = { .op = MPR_OP_POP_ITEM, .n_rets = 2,
					.takes = true };
	int r = carry_simply(handle, &call);

	if (r == 0) {
		hand_out(&call.rets[0], ret_key);
		hand_out(&call.rets[1], ret_value);
	}
	return r;
}

int
mpr_remote_set_default(const void *handle, const struct mproc_any *key,
		       const struct mproc_any *value,
		       struct mproc_any *ret_value)
{
	struct mpr_remote_call call = call_with_key(MPR_OP_SET_DEFAULT, key);
	int r;

	call.args[call.n_args++] = *value;
	call.n_rets = 1;
	r = mpr_remote_carry(handle, &call);
	if (r >= 0)
		hand_out(&call.rets[0], ret_value);
	return r;
}

int
mpr_remote_add(const void *handle, const struct mproc_any *key,
	       const struct mproc_any *n, struct mproc_any *ret_sum)
{
	struct mpr_remote_call call = call_with_key(MPR_OP_ADD, key);
	int r;

	call.args[call.n_args++] = *n;
	call.n_rets = 1;
	r = carry_simply(handle, &call);
	if (r == 0)
		hand_out(&call.rets[0], ret_sum);
	return r;
}

int
mpr_remote_exchange(const void *handle, const struct mproc_any *key,
		    const struct mproc_any *expected,
		    const struct mproc_any *value, bool same)
{
	struct mpr_remote_call call = call_with_key(MPR_OP_EXCHANGE, key);

	call.args[1] = mproc_int((expected ? MPR_EXCHANGE_EXPECTED : 0) |
				 (value ? MPR_EXCHANGE_VALUE : 0) |
				 (same ? MPR_EXCHANGE_SAME : 0));
	call.args[2] = expected ? *expected : mproc_nil();
	call.args[3] = value ? *value : mproc_nil();
	call.n_args = 4;
	return mpr_remote_carry(handle, &call);
}

/* Once: what is there, what it is to be, and that unless it is something else by
 * now. Returns what the function has, or 0 with *@ret_again if others were
 * faster. */
static int
try_update(const void *handle, const struct mproc_any *key, mproc_update_fn *fn,
	   void *ctx, bool *ret_again)
{
	struct mproc_any old = mproc_nil(), value = mproc_nil();
	const struct mpr_want want = { .ret = &old };
	bool is_there;
	int r = mpr_remote_get(handle, key, &want), done;

	*ret_again = false;
	if (r < 0 && r != -ENOENT)
		return r;
	is_there = r == 0;
	r = fn(is_there ? &old : NULL, &value, ctx);
	if (r > 0) {
		done = mpr_remote_exchange(handle, key, is_there ? &old : NULL,
					   &value, true);
		*ret_again = done == 0;
		if (done < 0)
			r = done;
	}
	mproc_any_clear(&old);
	return r;
}

int
mpr_remote_update(const void *handle, const struct mproc_any *key,
		  mproc_update_fn *fn, void *ctx)
{
	bool again;
	int r;

	do
		r = try_update(handle, key, fn, ctx, &again);
	while (again);
	return r;
}

int
mpr_remote_one(const void *handle, enum mpr_remote_op op,
	       const struct mproc_any *key)
{
	struct mpr_remote_call call = call_with_key(op, key);

	return mpr_remote_carry(handle, &call);
}

int
mpr_remote_is_there(const void *handle)
{
	return mpr_remote_simple(handle, MPR_OP_CHECK);
}

int
mpr_remote_two(const void *handle, enum mpr_remote_op op, const void *other)
{
	const struct mpr_remote *to = mpr_remote_at(handle);
	const struct mpr_remote *from = mpr_remote_at(other);
	struct mpr_remote_call call = { .op = op, .n_args = 1 };

	if (!to || !from || from->kind != to->kind ||
	    atomic_load(&to->owner) != atomic_load(&from->owner))
		return MPR_REMOTE;
	call.args[0] = mproc_int(from->id);
	return mpr_remote_carry(handle, &call);
}
