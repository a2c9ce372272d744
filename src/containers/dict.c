/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/error.h"
#include "base/opts.h"
#include "containers/table_use.h"

int
mproc_dict_create(mproc_dict **ret_d, const struct mproc_dict_opts *opts)
{
	struct mproc_dict_opts o;
	void *table;
	int r;

	if (!ret_d)
		return mpr_fail(-EINVAL, "ret_d is NULL");
	r = mpr_opts_read(&o, sizeof(o), opts);
	if (r == 0)
		r = mpr_table_create(MPR_CELL_DICT, o.arena, &table);
	if (r == 0)
		*ret_d = table;
	return r;
}

void
mproc_dict_destroy(mproc_dict *d)
{
	mpr_table_destroy(MPR_CELL_DICT, d);
}

static int
put(const struct mpr_visit *v, const struct mpr_place *at,
    struct mproc_any *value, void *arg)
{
	(void)v;
	(void)at;
	*value = *(const struct mproc_any *)arg;
	return MPR_PUT;
}

int
mproc_dict_set(mproc_dict *d, struct mproc_any key, struct mproc_any value)
{
	int r = mpr_table_change(MPR_CELL_DICT, d, &key, put, &value);

	return r < 0 ? r : 0;
}

int
mproc_dict_get(mproc_dict *d, struct mproc_any key, struct mproc_any *ret_value)
{
	struct mpr_want want = { .ret = ret_value };

	if (!ret_value)
		return mpr_fail(-EINVAL, "ret_value is NULL");
	return mpr_table_get(MPR_CELL_DICT, d, &key, &want);
}

/* What needs no memory of its own. */
static int
get_fixed(mproc_dict *d, const struct mproc_any *key, const void *ret,
	  struct mproc_any *ret_value)
{
	struct mpr_want want = { .ret = ret_value, .no_bytes = true };

	if (!ret)
		return mpr_fail(-EINVAL, "a pointer for the value is NULL");
	return mpr_table_get(MPR_CELL_DICT, d, key, &want);
}

static int
of_another_kind(void)
{
	return mpr_fail(-EPROTOTYPE, "the value is of another kind");
}

int
mproc_dict_get_int(mproc_dict *d, struct mproc_any key, int64_t *ret_i)
{
	struct mproc_any value;
	int r = get_fixed(d, &key, ret_i, &value);

	if (r < 0)
		return r;
	if (value.kind != MPROC_INT && value.kind != MPROC_BOOL)
		return of_another_kind();
	*ret_i = value.kind == MPROC_INT ? value.i64 : value.b;
	return 0;
}

int
mproc_dict_get_float(mproc_dict *d, struct mproc_any key, double *ret_f)
{
	struct mproc_any value;
	int r = get_fixed(d, &key, ret_f, &value);

	if (r < 0)
		return r;
	if (value.kind != MPROC_FLOAT && value.kind != MPROC_INT)
		return of_another_kind();
	*ret_f = value.kind == MPROC_FLOAT ? value.f64 : (double)value.i64;
	return 0;
}

int
mproc_dict_get_str(mproc_dict *d, struct mproc_any key, char *buf, size_t size,
		   size_t *ret_len)
{
	struct mproc_any value;
	struct mpr_want want = { .ret = &value, .no_bytes = true, .buf = buf,
				 .size = size };
	int r;

	if (!buf && size)
		return mpr_fail(-EINVAL, "buf is NULL");
	r = mpr_table_get(MPR_CELL_DICT, d, &key, &want);
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

int
mproc_dict_has(mproc_dict *d, struct mproc_any key)
{
	struct mpr_want nothing = { 0 };
	int r = mpr_table_get(MPR_CELL_DICT, d, &key, &nothing);

	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : 1;
}

static int
take_out(const struct mpr_visit *v, const struct mpr_place *at,
	 struct mproc_any *value, void *arg)
{
	struct mpr_want want = { .ret = arg };
	int r;

	(void)value;
	if (!at->is_there)
		return mpr_fail(-ENOENT, "the key is not there");
	r = mpr_table_copy(v, at, &want);
	return r < 0 ? r : MPR_REMOVE;
}

int
mproc_dict_pop(mproc_dict *d, struct mproc_any key, struct mproc_any *ret_value)
{
	int r;

	if (ret_value)
		*ret_value = mproc_nil();
	r = mpr_table_change(MPR_CELL_DICT, d, &key, take_out, ret_value);
	if (r < 0)
		mproc_any_clear(ret_value);
	return r < 0 ? r : 0;
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
