/* SPDX-License-Identifier: MIT */
/*
 * Many keys in one call. What is more than a message may have, or than the manager does
 * at once, goes in several requests; it says how many it has done.
 */
#include <errno.h>

#include "base/error.h"
#include "containers/remote.h"

static int
odd_answer(void)
{
	return mpr_fail(-EBADMSG, "an answer about other keys than were asked for");
}

/* Each value to where its key is: they came without gaps. Returns 0, or -EBADMSG, with
 * the values wherever they are. */
static int
spread(const struct mproc_any *flags, size_t n_came, struct mproc_any *values,
       bool *there)
{
	const unsigned char *is_there = flags->ptr;
	size_t n = 0;

	for (size_t i = 0; i < flags->len; i++)
		n += is_there[i] != 0;
	if (n != n_came)
		return odd_answer();
	for (size_t i = flags->len; i-- > 0;) {
		struct mproc_any value = mproc_nil();

		there[i] = is_there[i];
		if (there[i]) {
			value = values[--n];
			values[n] = mproc_nil();
		}
		values[i] = value;
	}
	return 0;
}

/* Returns how many keys were read, at least one. */
static int
get_some(const void *handle, const struct mproc_any *keys, size_t n,
	 struct mproc_any *values, bool *there)
{
	struct mpr_remote_call call = {
		.op = MPR_OP_GET_MANY,
		.many = keys,
		.n_many = n,
		.n_rets = 2,
		.ret_many = values,
		.size_many = n,
	};
	struct mproc_any *flags = &call.rets[0];
	int r = mpr_remote_carry(handle, &call);

	if (r < 0)
		return r;
	if (r == 0 || (size_t)r > n || flags->kind != MPROC_BYTES ||
	    flags->len != (size_t)r)
		r = odd_answer();
	else if (spread(flags, call.n_ret_many, values, there) < 0)
		r = -EBADMSG;
	mproc_any_clear(flags);
	return r;
}

/* Returns how many items were set, at least one. */
static int
set_some(const void *handle, const struct mproc_any *items, size_t n)
{
	struct mpr_remote_call call = {
		.op = MPR_OP_SET_MANY,
		.many = items,
		.n_many = 2 * n,
	};
	int r = mpr_remote_carry(handle, &call);

	return r == 0 || (r > 0 && (size_t)r > n) ? odd_answer() : r;
}

/* Whether the same is to be tried with fewer: what is too long together may not be so in
 * parts, and what cannot be sent may not be the first one. */
static bool
can_be_less(int r, size_t *most, size_t n)
{
	if ((r != -EMSGSIZE && r != -EINVAL && r != -EFAULT) || n < 2)
		return false;
	*most = n / 2;
	return true;
}

static size_t
at_most(size_t n, size_t most)
{
	return n < most ? n : most;
}

int
mpr_remote_get_many(const void *handle, const struct mproc_any *keys, size_t n,
		    struct mproc_any *ret_values, bool *ret_there)
{
	size_t most = MPR_REMOTE_MANY, some;
	int r;

	for (size_t i = 0; i < n; i += r > 0 ? (size_t)r : 0) {
		some = at_most(n - i, most);
		r = get_some(handle, keys + i, some, ret_values + i, ret_there + i);
		if (r < 0 && !can_be_less(r, &most, some))
			return r;
	}
	return n ? 0 : mpr_remote_is_there(handle);
}

int
mpr_remote_set_many(const void *handle, const struct mproc_any *items, size_t n)
{
	size_t most = MPR_REMOTE_MANY, some, i;
	int r;

	for (i = 0; i < n; i += r > 0 ? (size_t)r : 0) {
		some = at_most(n - i, most);
		r = set_some(handle, items + 2 * i, some);
		if (r < 0 && !can_be_less(r, &most, some))
			return i ? (int)i : r;
	}
	return n ? (int)n : mpr_remote_is_there(handle);
}
