/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include <mproc/value.h>

#include "arena/table.h"
#include "base/alloc.h"
#include "base/error.h"
#include "manager/serve_array.h"
#include "manager/typed.h"

#define OTHERS 64 /* bytes of an answer but for elements, at most */

/* Bytes that become the client's. */
static int
make_room(struct mpr_remote_call *call, int64_t size,
	  const struct mpr_serve_limits *limits)
{
	void *bytes;

	if (size < 0)
		return mpr_fail(-EINVAL, "%lld bytes", (long long)size);
	if ((uint64_t)size > limits->max_message - OTHERS)
		return mpr_fail(-EMSGSIZE, "%lld bytes of elements, more than a "
				"message of this manager's may be", (long long)size);
	bytes = (size_t)size < limits->memory ? mpr_malloc((size_t)size + 1) : NULL;
	if (!bytes)
		return mpr_fail(-ENOMEM, "the manager has no memory for the answer");
	call->rets[0] = mproc_bytes(bytes, (size_t)size);
	call->rets[0].owned = 1;
	call->n_rets = 1;
	return 0;
}

/* The bytes to be written. */
static void *
room(struct mpr_remote_call *call)
{
	return (void *)(uintptr_t)call->rets[0].ptr;
}

static int
get(void *array, struct mpr_remote_call *call, const struct mpr_serve_limits *limits)
{
	const struct mproc_any *args = call->args;
	int r = args[1].kind == MPROC_INT ? make_room(call, args[1].i64, limits) :
					    mpr_fail(-EINVAL, "no number of bytes");

	return r < 0 ? r : mproc_array_get(array, (size_t)args[0].i64, room(call),
					   (size_t)args[1].i64);
}

static int
set(void *array, const struct mproc_any *args)
{
	if (args[1].kind != MPROC_BYTES)
		return mpr_fail(-EINVAL, "no elements");
	return mproc_array_set(array, (size_t)args[0].i64, args[1].ptr, args[1].len);
}

static int
add(void *array, struct mpr_remote_call *call, const struct mpr_serve_limits *limits)
{
	const struct mproc_any *args = call->args;
	size_t i = (size_t)args[0].i64, size = (size_t)args[1].i64;
	int r;

	if (args[1].kind != MPROC_INT ||
	    (args[2].kind != MPROC_INT && args[2].kind != MPROC_FLOAT))
		return mpr_fail(-EINVAL, "no number to add");
	r = make_room(call, args[1].i64, limits);
	if (r < 0)
		return r;
	return args[2].kind == MPROC_INT ?
		       mproc_array_add(array, i, size, args[2].i64, room(call)) :
		       mproc_array_add_float(array, i, size, args[2].f64, room(call));
}

static int
exchange(void *array, struct mpr_remote_call *call,
	 const struct mpr_serve_limits *limits)
{
	const struct mproc_any *args = call->args;
	int r;

	if (args[1].kind != MPROC_BYTES || args[2].kind != MPROC_BYTES ||
	    args[1].len != args[2].len || !args[1].len)
		return mpr_fail(-EINVAL, "no elements");
	r = make_room(call, (int64_t)args[1].len, limits);
	if (r < 0)
		return r;
	memcpy(room(call), args[1].ptr, args[1].len);
	return mproc_array_compare_exchange(array, (size_t)args[0].i64, args[1].len,
					    room(call), args[2].ptr);
}

static int
len(void *array, struct mpr_remote_call *call)
{
	call->rets[0] = mproc_int((int64_t)mproc_array_len(array));
	call->n_rets = 1;
	return 0;
}

static int
change(void *array, struct mpr_remote_call *call, const struct mpr_serve_limits *limits)
{
	int r = call->op == MPR_OP_ARRAY_SET ? set(array, call->args) :
		call->op == MPR_OP_ARRAY_ADD ? add(array, call, limits) :
					       exchange(array, call, limits);

	/* Nobody else has called it meanwhile: there is one thread. */
	return mpr_typed_undo(mpr_arena_of(array), array) ?
		       mpr_fail(-EPERM, "an array does not become an object") : r;
}

int
mpr_serve_array(const struct mpr_object *o, struct mpr_remote_call *call,
		const struct mpr_serve_limits *limits)
{
	static const struct {
		enum mpr_remote_op op;
		unsigned n_args;
	} operations[] = {
		{ MPR_OP_CHECK, 0 },	 { MPR_OP_LEN, 0 },
		{ MPR_OP_ARRAY_GET, 2 }, { MPR_OP_ARRAY_SET, 2 },
		{ MPR_OP_ARRAY_ADD, 3 }, { MPR_OP_ARRAY_EXCHANGE, 3 },
	};
	bool known = false;

	call->n_rets = 0;
	memset(call->rets, 0, sizeof(call->rets));
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		known |= operations[i].op == call->op &&
			 operations[i].n_args == call->n_args;
	if (!known)
		return mpr_fail(-EINVAL, "an array has no operation %d with %u values",
				(int)call->op, call->n_args);
	if (call->n_args && (call->args[0].kind != MPROC_INT || call->args[0].i64 < 0))
		return mpr_fail(-EINVAL, "an index that is none");
	switch (call->op) {
	case MPR_OP_CHECK: /* its number was good */
		return 0;
	case MPR_OP_LEN:
		return len(o->object, call);
	case MPR_OP_ARRAY_GET:
		return get(o->object, call, limits);
	default:
		return change(o->object, call, limits);
	}
}

int
mpr_serve_array_find(struct mpr_objects *objects, mproc_arena *a, const char *name,
		     const struct mproc_any *shape, unsigned n, int64_t *ret_id)
{
	struct mpr_array_shape wanted;

	if (n != 3 || shape[0].kind != MPROC_INT || shape[0].i64 <= 0 ||
	    shape[1].kind != MPROC_INT || shape[1].i64 < 0 ||
	    (shape[2].kind != MPROC_NIL && shape[2].kind != MPROC_BYTES))
		return mpr_fail(-EINVAL, "the shape of an array is wanted");
	wanted = (struct mpr_array_shape){
		.elem = (size_t)shape[0].i64,
		.n = (size_t)shape[1].i64,
		.init = shape[2].kind == MPROC_BYTES ? shape[2].ptr : NULL,
	};
	if (wanted.init && (shape[2].len % wanted.elem ||
			    shape[2].len / wanted.elem != wanted.n))
		return mpr_fail(-EINVAL, "%zu bytes for %zu elements of %zu",
				shape[2].len, wanted.n, wanted.elem);
	return mpr_objects_find_array(objects, a, name, &wanted, ret_id);
}
