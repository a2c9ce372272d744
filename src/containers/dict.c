/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include <mproc/dict.h>

#include "base/error.h"
#include "containers/opts.h"
#include "containers/remote.h"
#include "containers/table_use.h"

int
mproc_dict_create(mproc_dict **ret_d, const struct mproc_dict_opts *opts)
{
	mproc_arena *a;
	void *table;
	int r = mpr_container_opts(ret_d, opts, &a);

	if (r == 0)
		r = mpr_table_create(MPR_CELL_DICT, a, &table);
	if (r == 0)
		*ret_d = table;
	return r;
}

void
mproc_dict_destroy(mproc_dict *d)
{
	mpr_table_destroy(MPR_CELL_DICT, d);
}

int
mproc_dict_set(mproc_dict *d, struct mproc_any key, struct mproc_any value)
{
	return mpr_table_set(MPR_CELL_DICT, d, &key, &value);
}

int
mproc_dict_get(mproc_dict *d, struct mproc_any key, struct mproc_any *ret_value)
{
	struct mpr_want want = { .ret = ret_value };

	if (!ret_value)
		return mpr_fail(-EINVAL, "ret_value is NULL");
	return mpr_table_get(MPR_CELL_DICT, d, &key, &want);
}

int
mproc_dict_get_int(mproc_dict *d, struct mproc_any key, int64_t *ret_i)
{
	return mpr_table_get_int(MPR_CELL_DICT, d, &key, ret_i);
}

int
mproc_dict_get_float(mproc_dict *d, struct mproc_any key, double *ret_f)
{
	return mpr_table_get_float(MPR_CELL_DICT, d, &key, ret_f);
}

int
mproc_dict_get_str(mproc_dict *d, struct mproc_any key, char *buf, size_t size,
		   size_t *ret_len)
{
	return mpr_table_get_str(MPR_CELL_DICT, d, &key, buf, size, ret_len);
}

int
mproc_dict_has(mproc_dict *d, struct mproc_any key)
{
	struct mpr_want nothing = { 0 };
	int r = mpr_table_get(MPR_CELL_DICT, d, &key, &nothing);

	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : 1;
}

int
mproc_dict_pop(mproc_dict *d, struct mproc_any key, struct mproc_any *ret_value)
{
	struct mpr_want want = { .ret = ret_value };

	return mpr_table_take(MPR_CELL_DICT, d, &key, &want);
}

int
mproc_dict_pop_item(mproc_dict *d, struct mproc_any *ret_key,
		    struct mproc_any *ret_value)
{
	int r = mpr_table_pop(MPR_CELL_DICT, d, NULL, ret_key, ret_value);

	return r == -ENODATA ? mpr_fail(r, "the dict is empty") : r;
}

size_t
mproc_dict_len(mproc_dict *d)
{
	size_t len;

	return mpr_table_len(MPR_CELL_DICT, d, &len) < 0 ? 0 : len;
}

int
mproc_dict_clear(mproc_dict *d)
{
	return mpr_table_clear(MPR_CELL_DICT, d);
}

int
mproc_dict_next(mproc_dict *d, struct mproc_cursor *cursor,
		struct mproc_any *ret_key, struct mproc_any *ret_value)
{
	if (!cursor)
		return mpr_fail(-EINVAL, "cursor is NULL");
	return mpr_table_next(MPR_CELL_DICT, d, cursor, ret_key, ret_value);
}

/* One key after another: while one dict is read or changed no lock of the other one
 * is held. */
static int
set_all_of(mproc_dict *d, mproc_dict *other)
{
	struct mproc_cursor c = { { 0 } };
	struct mproc_any key, value;
	int r;

	while ((r = mproc_dict_next(other, &c, &key, &value)) == 0) {
		r = mproc_dict_set(d, key, value);
		mproc_any_clear(&key);
		mproc_any_clear(&value);
		if (r < 0)
			return r;
	}
	return r == -ENODATA ? 0 : r;
}

int
mproc_dict_merge(mproc_dict *d, mproc_dict *other)
{
	/* Even if there is no key that it would get. */
	int r = mpr_table_check(MPR_CELL_DICT, d);

	if (r == MPR_REMOTE) {
		/* Who has both does it there. */
		r = mpr_remote_two(d, MPR_OP_MERGE, other);
		if (r != MPR_REMOTE)
			return r;
		r = mpr_remote_is_there(d);
	}
	/* To give the same dict its values again would undo what others do. */
	return r < 0 || d == other ? r : set_all_of(d, other);
}
