/* SPDX-License-Identifier: MIT */
/*
 * Several keys in one call: each as by itself, and from a manager with as few requests
 * as there can be.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>

#include <mproc/dict.h>

#include "base/error.h"
#include "containers/remote.h"
#include "containers/table_use.h"

/* So items are a row of values. */
static_assert(offsetof(struct mproc_dict_item, value) == sizeof(struct mproc_any) &&
		      sizeof(struct mproc_dict_item) == 2 * sizeof(struct mproc_any),
	      "a key and a value");

static int
check_keys(const void *keys, size_t n)
{
	if (!keys && n)
		return mpr_fail(-EINVAL, "there are no keys");
	return n > INT_MAX ? mpr_fail(-EINVAL, "%zu keys are more than %d", n,
				      INT_MAX) : 0;
}

/* One after another. Returns 0, or what is wrong with one of them. */
static int
get_each(mproc_dict *d, const struct mproc_any *keys, size_t n,
	 struct mproc_any *ret_values, bool *ret_there)
{
	for (size_t i = 0; i < n; i++) {
		int r = mproc_dict_get(d, keys[i], &ret_values[i]);

		if (r < 0 && r != -ENOENT)
			return r;
		ret_there[i] = r == 0;
	}
	return 0;
}

int
mproc_dict_get_many(mproc_dict *d, const struct mproc_any *keys, size_t n,
		    struct mproc_any *ret_values, bool *ret_there)
{
	int r = check_keys(keys, n), found = 0;

	if (r < 0)
		return r;
	if ((!ret_values || !ret_there) && n)
		return mpr_fail(-EINVAL, "ret_values or ret_there is NULL");
	for (size_t i = 0; i < n; i++) {
		ret_values[i] = mproc_nil();
		ret_there[i] = false;
	}
	r = mpr_table_check(MPR_CELL_DICT, d);
	if (r == MPR_REMOTE)
		r = mpr_remote_get_many(d, keys, n, ret_values, ret_there);
	else if (r == 0)
		r = get_each(d, keys, n, ret_values, ret_there);
	for (size_t i = 0; i < n; i++) {
		if (r < 0) {
			mproc_any_clear(&ret_values[i]);
			ret_there[i] = false;
		}
		found += ret_there[i];
	}
	return r < 0 ? r : found;
}

int
mproc_dict_set_many(mproc_dict *d, const struct mproc_dict_item *items, size_t n)
{
	int r = check_keys(items, n);
	size_t done = 0;

	if (r == 0)
		r = mpr_table_check(MPR_CELL_DICT, d);
	if (r == MPR_REMOTE)
		return mpr_remote_set_many(d, (const struct mproc_any *)items, n);
	while (r == 0 && done < n) {
		r = mproc_dict_set(d, items[done].key, items[done].value);
		done += r == 0;
	}
	return done ? (int)done : r;
}
