/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/alloc.h"
#include "base/error.h"
#include "containers/list_remote.h"

#define ORDER 4 /* bytes of a number in an order */
#define SLACK 16 /* values that may come between two calls */

static int
carry_simply(mproc_list *list, struct mpr_remote_call *call)
{
	int r = mpr_remote_carry(list, call);

	return r < 0 ? r : 0;
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

int
mpr_list_remote_at(mproc_list *list, enum mpr_remote_op op, int64_t index,
		   const struct mproc_any *value)
{
	struct mpr_remote_call call = {
		.op = op,
		.n_args = 2,
		.args = { mproc_int(index), *value },
	};

	return carry_simply(list, &call);
}

int
mpr_list_remote_with(mproc_list *list, enum mpr_remote_op op,
		     const struct mproc_any *value)
{
	struct mpr_remote_call call = { .op = op, .n_args = 1, .args = { *value } };

	return carry_simply(list, &call);
}

/* Of none there is a row, too. */
static void
set_many(struct mpr_remote_call *call, const struct mproc_any *values, size_t n)
{
	call->many = n ? values : call->args;
	call->n_many = n;
}

int
mpr_list_remote_extend(mproc_list *list, const struct mproc_any *values, size_t n)
{
	struct mpr_remote_call call = { .op = MPR_OP_LIST_EXTEND };

	set_many(&call, values, n);
	return carry_simply(list, &call);
}

int
mpr_list_remote_replace(mproc_list *list, int64_t from, int64_t to,
			const struct mproc_any *values, size_t n)
{
	struct mpr_remote_call call = {
		.op = MPR_OP_LIST_REPLACE,
		.n_args = 2,
		.args = { mproc_int(from), mproc_int(to) },
	};

	set_many(&call, values, n);
	return carry_simply(list, &call);
}

int
mpr_list_remote_read(mproc_list *list, enum mpr_remote_op op, int64_t index,
		     const struct mpr_want *want)
{
	struct mpr_remote_call call = {
		.op = op,
		.n_args = 1,
		.args = { mproc_int(index) },
		.n_rets = 1,
	};
	int r = carry_simply(list, &call);

	if (r == 0)
		mpr_remote_to(&call.rets[0], want);
	return r;
}

static int
no_number(struct mproc_any *any)
{
	mproc_any_clear(any);
	return mpr_fail(-EBADMSG, "a number that is none");
}

int
mpr_list_remote_slice(mproc_list *list, int64_t from, int64_t to,
		      struct mproc_any *ret, size_t size, size_t *ret_n)
{
	struct mproc_any none;
	struct mpr_remote_call call = {
		.op = MPR_OP_LIST_SLICE,
		.n_args = 3,
		.args = { mproc_int(from), mproc_int(to),
			  mproc_int(size < INT64_MAX ? (int64_t)size : INT64_MAX) },
		.n_rets = 2,
		.ret_many = size ? ret : &none,
		.size_many = size,
	};
	int r = carry_simply(list, &call);

	if (r < 0)
		return r;
	if (call.rets[0].kind != MPROC_INT || call.rets[0].i64 < 0)
		r = no_number(&call.rets[0]);
	else
		*ret_n = (size_t)call.rets[0].i64;
	if (r == 0 && call.n_ret_many == *ret_n)
		return 0;
	for (size_t i = 0; i < call.n_ret_many; i++)
		mproc_any_clear(&ret[i]);
	if (r < 0)
		return r;
	if (call.n_ret_many)
		return mpr_fail(-EBADMSG, "%zu values for %zu", call.n_ret_many,
				*ret_n);
	return mpr_fail(-EMSGSIZE, *ret_n > size ? "%zu values for %zu" :
			"%zu values, for %zu, are longer than a message of the "
			"manager's may be", *ret_n, size);
}

int
mpr_list_remote_pop(mproc_list *list, int64_t index, struct mproc_any *ret)
{
	struct mpr_remote_call call = {
		.op = MPR_OP_LIST_POP,
		.n_args = 1,
		.args = { mproc_int(index) },
		.n_rets = 1,
		.takes = true,
	};
	int r = carry_simply(list, &call);

	if (r == 0)
		hand_out(&call.rets[0], ret);
	return r;
}

int
mpr_list_remote_add(mproc_list *list, int64_t index, const struct mproc_any *n,
		    struct mproc_any *ret_sum)
{
	struct mpr_remote_call call = {
		.op = MPR_OP_LIST_ADD,
		.n_args = 2,
		.args = { mproc_int(index), *n },
		.n_rets = 1,
	};
	int r = carry_simply(list, &call);

	if (r == 0)
		hand_out(&call.rets[0], ret_sum);
	return r;
}

int
mpr_list_remote_exchange(mproc_list *list, int64_t index,
			 const struct mproc_any *expected,
			 const struct mproc_any *value, bool same)
{
	struct mpr_remote_call call = {
		.op = MPR_OP_LIST_EXCHANGE,
		.n_args = 4,
		.args = { mproc_int(index),
			  mproc_int(MPR_EXCHANGE_EXPECTED | MPR_EXCHANGE_VALUE |
				    (same ? MPR_EXCHANGE_SAME : 0)),
			  *expected, *value },
	};

	return mpr_remote_carry(list, &call);
}

/* Once. Returns what the function has, or 0 with *@ret_again if others were
 * faster. */
static int
try_update(mproc_list *list, int64_t index, mproc_update_fn *fn, void *ctx,
	   bool *ret_again)
{
	struct mproc_any old = mproc_nil(), value = mproc_nil();
	const struct mpr_want want = { .ret = &old };
	int r = mpr_list_remote_read(list, MPR_OP_LIST_GET, index, &want), done;

	*ret_again = false;
	if (r < 0)
		return r;
	r = fn(&old, &value, ctx);
	if (r > 0) {
		done = mpr_list_remote_exchange(list, index, &old, &value, true);
		*ret_again = done == 0;
		if (done < 0)
			r = done;
	}
	mproc_any_clear(&old);
	return r;
}

int
mpr_list_remote_update(mproc_list *list, int64_t index, mproc_update_fn *fn, void *ctx)
{
	bool again;
	int r;

	do
		r = try_update(list, index, fn, ctx, &again);
	while (again);
	return r;
}

int
mpr_list_remote_search(mproc_list *list, enum mpr_remote_op op,
		       const struct mproc_any *value, size_t *ret)
{
	struct mpr_remote_call call = { .op = op, .n_args = 1, .args = { *value } };
	size_t found;
	int r = mpr_remote_size(list, &call, &found);

	if (r == 0 && ret)
		*ret = found;
	return r;
}

int
mpr_list_remote_all(mproc_list *list, struct mproc_any **ret, size_t *ret_n)
{
	struct mproc_any *values = NULL;
	size_t size = 0;
	int r;

	/* Whether it has grown meanwhile, or is too long. */
	while ((r = mpr_list_remote_slice(list, 0, INT64_MAX, values, size, ret_n)) ==
	       -EMSGSIZE && *ret_n > size) {
		if (*ret_n > SIZE_MAX / sizeof(*values) / 2 - SLACK)
			r = -ENOMEM;
		size = *ret_n + *ret_n / 2 + SLACK;
		free(values);
		values = r == -ENOMEM ? NULL : mpr_malloc(size * sizeof(*values));
		if (!values)
			return mpr_fail(-ENOMEM, "no memory for %zu values", *ret_n);
	}
	if (r < 0) {
		free(values);
		return r;
	}
	*ret = values;
	return 0;
}

/* Each number as four bytes, the highest first. */
static unsigned char *
write_order(const uint64_t *order, size_t n)
{
	unsigned char *bytes = mpr_malloc(n * ORDER + 1);

	for (size_t i = 0; bytes && i < n; i++)
		for (unsigned k = 0; k < ORDER; k++)
			bytes[i * ORDER + k] =
				(unsigned char)(order[i] >> (8 * (ORDER - 1 - k)));
	return bytes;
}

int
mpr_list_remote_reorder(mproc_list *list, const struct mproc_any *values, size_t n,
			const uint64_t *order)
{
	unsigned char *bytes = write_order(order, n);
	struct mpr_remote_call call = { .op = MPR_OP_LIST_REORDER, .n_args = 1 };
	int r;

	if (!bytes)
		return mpr_fail(-ENOMEM, "no memory for an order of %zu values", n);
	call.args[0] = mproc_bytes(bytes, n * ORDER);
	set_many(&call, values, n);
	r = mpr_remote_carry(list, &call);
	free(bytes);
	return r;
}
