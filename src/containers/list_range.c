/* SPDX-License-Identifier: MIT */
/*
 * Several values at once that follow each other: Python's slices.
 */
#include <errno.h>

#include "base/error.h"
#include "containers/list.h"
#include "containers/list_remote.h"
#include "containers/list_use.h"

struct range {
	uint64_t from;
	uint64_t to; /* not below @from */
};

static struct range
range_in(const struct mpr_list_use *u, int64_t from, int64_t to)
{
	struct range range = {
		.from = mpr_list_clamp(u->len, from),
		.to = mpr_list_clamp(u->len, to),
	};

	if (range.to < range.from)
		range.to = range.from;
	return range;
}

/* All of them or none. */
static int
copy_values(const struct mpr_list_use *u, struct range range,
	    struct mproc_any *ret)
{
	size_t n = 0;
	int r = 0;

	for (uint64_t i = range.from; i < range.to && r == 0; i++) {
		r = mpr_slot_copy(u->arena, mpr_list_owner(u),
				  mpr_slot_get(&u->slots[i]), true, &ret[n]);
		n += r == 0;
	}
	while (r < 0 && n)
		mproc_any_clear(&ret[--n]);
	return r;
}

/* What a copy of them takes, as far as it is not more than @most. */
static size_t
bytes_in(const struct mpr_list_use *u, struct range range, size_t most)
{
	size_t bytes = 0;

	for (uint64_t i = range.from; i < range.to && bytes <= most; i++) {
		uint64_t len = mpr_meta_len(mpr_slot_get(&u->slots[i]).meta);

		bytes = len < most - bytes ? bytes + (size_t)len + 1 : SIZE_MAX;
	}
	return bytes;
}

int
mpr_list_slice_most(mproc_list *list, int64_t from, int64_t to,
		    struct mproc_any *ret, size_t size, size_t most,
		    size_t *ret_n)
{
	struct mpr_list_use u;
	struct range range;
	size_t n;
	int r = mpr_list_enter(list, &u);

	if (r < 0)
		return r;
	range = range_in(&u, from, to);
	n = (size_t)(range.to - range.from);
	if (n > size)
		r = mpr_fail(-EMSGSIZE, "%zu values for %zu", n, size);
	else if (most < SIZE_MAX && bytes_in(&u, range, most) > most)
		r = mpr_fail(-EMSGSIZE, "%zu values of more than %zu bytes", n,
			     most);
	else
		r = copy_values(&u, range, ret);
	r = mpr_list_leave(&u, r);
	if (r == 0 || r == -EMSGSIZE)
		*ret_n = n;
	return r;
}

int
mproc_list_slice(mproc_list *list, int64_t from, int64_t to,
		 struct mproc_any *ret, size_t size, size_t *ret_n)
{
	int r;

	if (!ret_n || (!ret && size))
		return mpr_fail(-EINVAL, "ret or ret_n is NULL");
	r = mpr_list_slice_most(list, from, to, ret, size, SIZE_MAX, ret_n);
	return r == MPR_REMOTE ? mpr_list_remote_slice(list, from, to, ret, size,
						       ret_n) : r;
}

/* The values were checked. */
static int
replace(struct mpr_list_use *u, struct range range,
	const struct mproc_any *values, size_t n)
{
	int r;

	/* What needs no other array. */
	if (range.from == u->len)
		return mpr_list_fill(u, values, n);
	if (!n && range.from == range.to)
		return 0;
	if (!n && range.to == u->len)
		r = mpr_list_cut(u, range.from);
	else
		r = mpr_list_splice(u, range.from, range.to, values, n);
	if (r == 0)
		mpr_list_trim(u);
	return r;
}

int
mproc_list_replace(mproc_list *list, int64_t from, int64_t to,
		   const struct mproc_any *values, size_t n)
{
	struct mpr_list_use u;
	int r;

	if (!values && n)
		return mpr_fail(-EINVAL, "values is NULL");
	r = mpr_list_enter(list, &u);
	if (r < 0)
		return r == MPR_REMOTE ?
			       mpr_list_remote_replace(list, from, to, values, n) :
			       r;
	for (size_t i = 0; i < n && r == 0; i++)
		r = mpr_any_check(u.arena, &values[i]);
	if (r == 0)
		r = replace(&u, range_in(&u, from, to), values, n);
	return mpr_list_leave(&u, r);
}

int
mproc_list_delete(mproc_list *list, int64_t from, int64_t to)
{
	return mproc_list_replace(list, from, to, NULL, 0);
}
