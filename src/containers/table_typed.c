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

static int
of_another_kind(void)
{
	return mpr_fail(-EPROTOTYPE, "the value is of another kind");
}

int
mpr_table_get_int(enum mpr_cell_kind kind, void *table,
		  const struct mproc_any *key, int64_t *ret_i)
{
	struct mproc_any value;
	int r = get_fixed(kind, table, key, ret_i, &value);

	if (r < 0)
		return r;
	if (value.kind != MPROC_INT && value.kind != MPROC_BOOL)
		return of_another_kind();
	*ret_i = value.kind == MPROC_INT ? value.i64 : value.b;
	return 0;
}

int
mpr_table_get_float(enum mpr_cell_kind kind, void *table,
		    const struct mproc_any *key, double *ret_f)
{
	struct mproc_any value;
	int r = get_fixed(kind, table, key, ret_f, &value);

	if (r < 0)
		return r;
	if (value.kind != MPROC_FLOAT && value.kind != MPROC_INT)
		return of_another_kind();
	*ret_f = value.kind == MPROC_FLOAT ? value.f64 : (double)value.i64;
	return 0;
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
	if (r < 0)
		return r;
	if (value.kind != MPROC_STR)
		return of_another_kind();
	if (ret_len)
		*ret_len = value.len;
	return value.len < size ? 0 :
				  mpr_fail(-EMSGSIZE, "a text of %zu bytes and "
					   "a 0 for %zu", value.len, size);
}
