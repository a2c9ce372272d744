/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include <mproc/namespace.h>

#include "base/error.h"
#include "containers/opts.h"
#include "containers/remote.h"
#include "containers/table_use.h"

int
mproc_namespace_create(mproc_namespace **ret_ns,
		       const struct mproc_namespace_opts *opts)
{
	mproc_arena *a;
	void *table;
	int r = mpr_container_opts(ret_ns, opts, &a);

	if (r == 0)
		r = mpr_table_create(MPR_CELL_NAMESPACE, a, &table);
	if (r == 0)
		*ret_ns = table;
	return r;
}

void
mproc_namespace_destroy(mproc_namespace *ns)
{
	mpr_table_destroy(MPR_CELL_NAMESPACE, ns);
}

/* A NULL is one that is refused as a key. */
int
mproc_namespace_set(mproc_namespace *ns, const char *name,
		    struct mproc_any value)
{
	struct mproc_any key = mproc_str(name);

	return mpr_table_set(MPR_CELL_NAMESPACE, ns, &key, &value);
}

int
mproc_namespace_get(mproc_namespace *ns, const char *name,
		    struct mproc_any *ret_value)
{
	struct mproc_any key = mproc_str(name);
	struct mpr_want want = { .ret = ret_value };

	if (!ret_value)
		return mpr_fail(-EINVAL, "ret_value is NULL");
	return mpr_table_get(MPR_CELL_NAMESPACE, ns, &key, &want);
}

int
mproc_namespace_get_int(mproc_namespace *ns, const char *name, int64_t *ret_i)
{
	struct mproc_any key = mproc_str(name);

	return mpr_table_get_int(MPR_CELL_NAMESPACE, ns, &key, ret_i);
}

int
mproc_namespace_get_float(mproc_namespace *ns, const char *name, double *ret_f)
{
	struct mproc_any key = mproc_str(name);

	return mpr_table_get_float(MPR_CELL_NAMESPACE, ns, &key, ret_f);
}

int
mproc_namespace_get_str(mproc_namespace *ns, const char *name, char *buf,
			size_t size, size_t *ret_len)
{
	struct mproc_any key = mproc_str(name);

	return mpr_table_get_str(MPR_CELL_NAMESPACE, ns, &key, buf, size,
				 ret_len);
}

static int
take(const struct mpr_visit *v, const struct mpr_place *at,
     struct mproc_any *value, void *arg)
{
	(void)v;
	(void)value;
	(void)arg;
	return at->is_there ? MPR_REMOVE :
			      mpr_fail(-ENOENT, "the name is not there");
}

int
mproc_namespace_del(mproc_namespace *ns, const char *name)
{
	struct mproc_any key = mproc_str(name);
	int r = mpr_table_change(MPR_CELL_NAMESPACE, ns, &key, take, NULL);

	if (r == MPR_REMOTE) {
		r = mpr_remote_one(ns, MPR_OP_DISCARD, &key);
		if (r == 0)
			return mpr_fail(-ENOENT, "the name is not there");
	}
	return r < 0 ? r : 0;
}

int
mproc_namespace_next(mproc_namespace *ns, struct mproc_cursor *cursor,
		     struct mproc_any *ret_name, struct mproc_any *ret_value)
{
	if (!cursor)
		return mpr_fail(-EINVAL, "cursor is NULL");
	return mpr_table_next(MPR_CELL_NAMESPACE, ns, cursor, ret_name,
			      ret_value);
}
