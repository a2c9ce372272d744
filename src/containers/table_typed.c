/* SPDX-License-Identifier: MIT */
/*
 * Values that are wanted as what they are, without a copy that is allocated.
 */
#include <errno.h>

#include "base/error.h"
#include "containers/table_use.h"

/* What needs no memory of its own. */
static int
get_fixed(enum mpr_cell_kind kind, void *table, const struct mproc_any *key,
	  const void *ret, struct mproc_any *ret_value)
{
	struct mpr_want want = { .ret = ret_value, .no_bytes = true };

	if (!ret)
		return mpr_fail(-EINVAL, "a pointer for the value is NULL");
	return mpr_table_get(kind, table, key, &want);
}

int
mpr_table_get_int(enum mpr_cell_kind kind, void *table,
		  const struct mproc_any *key, int64_t *ret_i)
{
	struct mproc_any value;
	int r = get_fixed(kind, table, key, ret_i, &value);

	return r < 0 ? r : mpr_any_as_int(&value, ret_i);
}

int
mpr_table_get_float(enum mpr_cell_kind kind, void *table,
		    const struct mproc_any *key, double *ret_f)
{
	struct mproc_any value;
	int r = get_fixed(kind, table, key, ret_f, &value);

	return r < 0 ? r : mpr_any_as_float(&value, ret_f);
}

int
mpr_table_get_str(enum mpr_cell_kind kind, void *table,
		  const struct mproc_any *key, char *buf, size_t size,
		  size_t *ret_len)
{
	struct mproc_any value;
	struct mpr_want want = { .ret = &value, .no_bytes = true, .buf = buf,
				 .size = size };
	int r;

	if (!buf && size)
		return mpr_fail(-EINVAL, "buf is NULL");
	r = mpr_table_get(kind, table, key, &want);
	return r < 0 ? r : mpr_any_as_str(&value, size, ret_len);
}
