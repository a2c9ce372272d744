/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include <mproc/list.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/macros.h"
#include "containers/list_use.h"
#include "manager/codec.h"
#include "manager/many.h"
#include "manager/serve_list.h"

#define ORDER 4	 /* bytes of a number in an order */
#define SLACK 16 /* values that may come between two calls */
#define OTHERS 64 /* bytes of an answer but for its values, at most */

static int
len(mproc_list *list, struct mpr_remote_call *call)
{
	int r = mpr_list_check(list);

	call->rets[0] = mproc_int((int64_t)mproc_list_len(list));
	call->n_rets = 1;
	return r;
}

static int
next(mproc_list *list, struct mpr_remote_call *call)
{
	size_t cursor = (size_t)call->args[0].i64;

	if (call->args[0].i64 < 0)
		return mpr_fail(-EINVAL, "a cursor that is none");
	call->n_rets = 1;
	return mproc_list_next(list, &cursor, &call->rets[0]);
}

/* A slice that is given in whole or not at all: -EMSGSIZE. *@ret_n: how many they
 * are, in any case. */
static int
copy_slice(mproc_list *list, const struct mproc_any *args, struct mpr_many *many,
	   size_t *ret_n, const struct mpr_serve_limits *limits)
{
	size_t most = limits->max_message, size = 0;
	int r;

	if (args[2].i64 < (int64_t)most)
		most = (size_t)args[2].i64;
	for (;;) {
		r = mpr_list_slice_most(list, args[0].i64, args[1].i64, many->values,
					size, limits->max_message, ret_n);
		many->n = r == 0 ? *ret_n : 0;
		if (r != -EMSGSIZE || *ret_n <= size || *ret_n > most)
			return r;
		/* It may grow meanwhile. */
		size = *ret_n + *ret_n / 2 + SLACK;
		free(many->values);
		r = mpr_many_allocate(many, size, limits);
		many->n = 0;
		if (r < 0)
			return r;
	}
}

static int
slice(mproc_list *list, struct mpr_remote_call *call,
      const struct mpr_serve_limits *limits)
{
	struct mpr_buffer row = { .bytes = NULL };
	struct mpr_many many = { .n = 0 };
	size_t n = 0;
	int r;

	if (call->args[2].i64 < 0)
		return mpr_fail(-EINVAL, "room for less than no values");
	r = copy_slice(list, call->args, &many, &n, limits);
	/* The client has fewer, and there came more, than it has room for. */
	if (r == 0 && (int64_t)n > call->args[2].i64)
		r = -EMSGSIZE;
	if (r == 0)
		r = mpr_codec_pack(&row, many.values, n,
				   limits->max_message - OTHERS);
	for (size_t i = 0; i < many.n; i++)
		mproc_any_clear(&many.values[i]);
	free(many.values);
	call->rets[0] = mproc_int((int64_t)n);
	call->n_rets = 2;
	if (r == -EMSGSIZE)
		return 0;
	if (r == 0) {
		call->rets[1] = mproc_bytes(row.bytes, row.to);
		call->rets[1].owned = 1;
	}
	return r == -ENOMEM ? mpr_fail(r, "the manager has no memory for the answer") :
			      r;
}

static int
with_many(mproc_list *list, struct mpr_remote_call *call,
	  const struct mpr_serve_limits *limits)
{
	const struct mproc_any *args = call->args;
	struct mpr_many many;
	int r = mpr_many_read(&many, &args[call->n_args - 1], limits);

	if (r == 0 && call->op == MPR_OP_LIST_EXTEND)
		r = mproc_list_extend(list, many.values, many.n);
	else if (r == 0)
		r = mproc_list_replace(list, args[0].i64, args[1].i64, many.values,
				       many.n);
	free(many.values);
	return r;
}

/* What a value is to be, if it is something. */
struct exchange {
	const struct mproc_any *expected, *value;
};

static int
exchange_if_same(const struct mproc_any *old, struct mproc_any *value, void *ctx)
{
	const struct exchange *x = ctx;

	if (!mpr_any_same(old, x->expected))
		return 0;
	*value = *x->value;
	return 1;
}

static int
exchange(mproc_list *list, const struct mproc_any *args)
{
	int64_t bits = args[1].i64, both = MPR_EXCHANGE_EXPECTED | MPR_EXCHANGE_VALUE;
	struct exchange x = { &args[2], &args[3] };

	if (bits == both)
		return mproc_list_compare_exchange(list, args[0].i64, args[2],
						   args[3]);
	if (bits != (both | MPR_EXCHANGE_SAME))
		return mpr_fail(-EINVAL, "an exchange of an unknown kind");
	return mproc_list_update(list, args[0].i64, exchange_if_same, &x);
}

/* Each number below @n once. */
static int
read_order(const unsigned char *bytes, size_t n, uint64_t *order)
{
	unsigned char *seen = mpr_zalloc(n + 1);
	bool sound = seen;

	for (size_t i = 0; i < n && sound; i++) {
		order[i] = 0;
		for (unsigned k = 0; k < ORDER; k++)
			order[i] = order[i] << 8 | bytes[i * ORDER + k];
		sound = order[i] < n && !seen[order[i]];
		if (sound)
			seen[order[i]] = 1;
	}
	if (!seen)
		return mpr_fail(-ENOMEM, "the manager has no memory for an order");
	free(seen);
	return sound ? 0 : mpr_fail(-EINVAL, "an order that is none");
}

static int
reorder(mproc_list *list, const struct mproc_any *args,
	const struct mpr_serve_limits *limits)
{
	uint64_t *order = NULL;
	struct mpr_many many;
	int r = mpr_many_read(&many, &args[1], limits);

	if (r == 0 && (args[0].kind != MPROC_BYTES ||
		       args[0].len / ORDER != many.n || args[0].len % ORDER))
		r = mpr_fail(-EINVAL, "an order of other values");
	if (r == 0) {
		order = mpr_malloc((many.n + 1) * sizeof(*order));
		r = order ? read_order(args[0].ptr, many.n, order) :
			    mpr_fail(-ENOMEM, "the manager has no memory for an "
				     "order");
	}
	if (r == 0)
		r = mpr_list_reorder_same(list, many.values, many.n, order);
	free(order);
	free(many.values);
	return r;
}

static int
search(mproc_list *list, struct mpr_remote_call *call)
{
	size_t n = 0;
	int r = call->op == MPR_OP_LIST_INDEX ?
			mproc_list_index(list, call->args[0], &n) :
			mproc_list_count(list, call->args[0], &n);

	call->rets[0] = mproc_int((int64_t)n);
	call->n_rets = 1;
	return r;
}

/* How many values each takes, and how many of them, from the first, are
 * integers. */
static const struct operation {
	bool is_one;
	unsigned char n_args, n_ints;
} operations[] = {
	[MPR_OP_CHECK] = { true, 0, 0 },
	[MPR_OP_LEN] = { true, 0, 0 },
	[MPR_OP_CLEAR] = { true, 0, 0 },
	[MPR_OP_LIST_GET] = { true, 1, 1 },
	[MPR_OP_LIST_NEXT] = { true, 1, 1 },
	[MPR_OP_LIST_SLICE] = { true, 3, 3 },
	[MPR_OP_LIST_REPLACE] = { true, 3, 2 },
	[MPR_OP_LIST_EXTEND] = { true, 1, 0 },
	[MPR_OP_LIST_APPEND] = { true, 1, 0 },
	[MPR_OP_LIST_SET] = { true, 2, 1 },
	[MPR_OP_LIST_INSERT] = { true, 2, 1 },
	[MPR_OP_LIST_ADD] = { true, 2, 1 },
	[MPR_OP_LIST_EXCHANGE] = { true, 4, 2 },
	[MPR_OP_LIST_POP] = { true, 1, 1 },
	[MPR_OP_LIST_SORT] = { true, 0, 0 },
	[MPR_OP_LIST_REVERSE] = { true, 0, 0 },
	[MPR_OP_LIST_INDEX] = { true, 1, 0 },
	[MPR_OP_LIST_COUNT] = { true, 1, 0 },
	[MPR_OP_LIST_REMOVE] = { true, 1, 0 },
	[MPR_OP_LIST_REORDER] = { true, 2, 0 },
};

static int
check(const struct mpr_remote_call *call)
{
	const struct operation *op = (size_t)call->op < MPR_ARRAY_LEN(operations) ?
					     &operations[call->op] : NULL;

	if (!op || !op->is_one || op->n_args != call->n_args)
		return mpr_fail(-EINVAL, "a list has no operation %d with %u values",
				(int)call->op, call->n_args);
	for (unsigned i = 0; i < op->n_ints; i++)
		if (call->args[i].kind != MPROC_INT)
			return mpr_fail(-EINVAL, "value %u of operation %d is no "
					"integer", i, (int)call->op);
	return 0;
}

static int
carry_out(mproc_list *l, struct mpr_remote_call *call,
	  const struct mpr_serve_limits *limits)
{
	struct mproc_any *args = call->args, *rets = call->rets;

	switch (call->op) {
	case MPR_OP_CHECK:
		return mpr_list_check(l);
	case MPR_OP_LEN:
		return len(l, call);
	case MPR_OP_CLEAR:
		return mproc_list_clear(l);
	case MPR_OP_LIST_GET:
		call->n_rets = 1;
		return mproc_list_get(l, args[0].i64, &rets[0]);
	case MPR_OP_LIST_NEXT:
		return next(l, call);
	case MPR_OP_LIST_SLICE:
		return slice(l, call, limits);
	case MPR_OP_LIST_REPLACE:
	case MPR_OP_LIST_EXTEND:
		return with_many(l, call, limits);
	case MPR_OP_LIST_APPEND:
		return mproc_list_append(l, args[0]);
	case MPR_OP_LIST_SET:
		return mproc_list_set(l, args[0].i64, args[1]);
	case MPR_OP_LIST_INSERT:
		return mproc_list_insert(l, args[0].i64, args[1]);
	case MPR_OP_LIST_ADD:
		call->n_rets = 1;
		return mproc_list_add(l, args[0].i64, args[1], &rets[0]);
	case MPR_OP_LIST_EXCHANGE:
		return exchange(l, args);
	case MPR_OP_LIST_POP:
		call->n_rets = 1;
		return mpr_list_take(l, args[0].i64, limits->room, &rets[0]);
	case MPR_OP_LIST_SORT:
		return mproc_list_sort(l, NULL, NULL);
	case MPR_OP_LIST_REVERSE:
		return mproc_list_reverse(l);
	case MPR_OP_LIST_INDEX:
	case MPR_OP_LIST_COUNT:
		return search(l, call);
	case MPR_OP_LIST_REMOVE:
		return mproc_list_remove(l, args[0]);
	default:
		return reorder(l, args, limits);
	}
}

int
mpr_serve_list(const struct mpr_object *o, struct mpr_remote_call *call,
	       const struct mpr_serve_limits *limits)
{
	int r = check(call);

	call->n_rets = 0;
	memset(call->rets, 0, sizeof(call->rets));
	return r < 0 ? r : carry_out(o->object, call, limits);
}
