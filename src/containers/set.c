/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include <mproc/set.h>

#include "base/error.h"
#include "containers/opts.h"
#include "containers/remote.h"
#include "containers/table_use.h"

int
mproc_set_create(mproc_set **ret_s, const struct mproc_set_opts *opts)
{
	mproc_arena *a;
	void *table;
	int r = mpr_container_opts(ret_s, opts, &a);

	if (r == 0)
		r = mpr_table_create(MPR_CELL_SET, a, &table);
	if (r == 0)
		*ret_s = table;
	return r;
}

void
mproc_set_destroy(mproc_set *s)
{
	mpr_table_destroy(MPR_CELL_SET, s);
}

static int
add(const struct mpr_visit *v, const struct mpr_place *at,
    struct mproc_any *value, void *arg)
{
	(void)v;
	(void)value;
	(void)arg;
	return at->is_there ? MPR_KEEP : MPR_PUT;
}

int
mproc_set_add(mproc_set *s, struct mproc_any elem)
{
	int r = mpr_table_change(MPR_CELL_SET, s, &elem, add, NULL);

	if (r == MPR_REMOTE)
		return mpr_remote_one(s, MPR_OP_PUT, &elem);
	return r < 0 ? r : r == MPR_PUT;
}

static int
discard(const struct mpr_visit *v, const struct mpr_place *at,
	struct mproc_any *value, void *arg)
{
	(void)v;
	(void)value;
	(void)arg;
	return at->is_there ? MPR_REMOVE : MPR_KEEP;
}

int
mproc_set_discard(mproc_set *s, struct mproc_any elem)
{
	int r = mpr_table_change(MPR_CELL_SET, s, &elem, discard, NULL);

	if (r == MPR_REMOTE)
		return mpr_remote_one(s, MPR_OP_DISCARD, &elem);
	return r < 0 ? r : r == MPR_REMOVE;
}

int
mproc_set_has(mproc_set *s, struct mproc_any elem)
{
	struct mpr_want nothing = { 0 };
	int r = mpr_table_get(MPR_CELL_SET, s, &elem, &nothing);

	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : 1;
}

int
mproc_set_pop(mproc_set *s, struct mproc_any *ret_elem)
{
	int r;

	if (!ret_elem)
		return mpr_fail(-EINVAL, "ret_elem is NULL");
	r = mpr_table_pop(MPR_CELL_SET, s, NULL, ret_elem, NULL);
	return r == -ENODATA ? mpr_fail(r, "the set is empty") : r;
}

size_t
mproc_set_len(mproc_set *s)
{
	size_t len;

	return mpr_table_len(MPR_CELL_SET, s, &len) < 0 ? 0 : len;
}

int
mproc_set_clear(mproc_set *s)
{
	return mpr_table_clear(MPR_CELL_SET, s);
}

int
mproc_set_next(mproc_set *s, struct mproc_cursor *cursor,
	       struct mproc_any *ret_elem)
{
	if (!cursor)
		return mpr_fail(-EINVAL, "cursor is NULL");
	return mpr_table_next(MPR_CELL_SET, s, cursor, ret_elem, NULL);
}
