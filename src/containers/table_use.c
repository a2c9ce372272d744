/* SPDX-License-Identifier: MIT */
/*
 * Calls that change one key.
 */
#include <errno.h>

#include "base/error.h"
#include "containers/remote.h"
#include "containers/table_use.h"

int
mpr_table_check(enum mpr_cell_kind kind, void *table)
{
	struct mpr_visit v;
	int r = mpr_visit_begin(&v, kind, table);

	return r < 0 ? r : mpr_visit_stripe(&v, 0);
}

static int
carry_out(struct mpr_visit *v, const struct mpr_key *key,
	  const struct mpr_place *at, int verdict, const struct mproc_any *value)
{
	struct mpr_flat flat;
	int r;

	if (verdict == MPR_REMOVE)
		return at->is_there ? mpr_table_remove(v, at) : 0;
	if (verdict != MPR_PUT)
		return 0;
	r = mpr_any_check(v->arena, value);
	if (r < 0)
		return r;
	flat = mpr_flat(v->arena, value);
	r = mpr_table_put(v, key, at, &flat);
	if (r == 0)
		mpr_table_grow(v);
	return r;
}

/* The stripe's lock is held. */
static int
change(struct mpr_visit *v, const struct mpr_key *key, mpr_decide *decide,
       void *arg)
{
	struct mproc_any value = mproc_nil();
	struct mpr_place at;
	int verdict, r;

	r = mpr_table_find(v, key, &at);
	if (r < 0)
		return r;
	verdict = decide(v, &at, &value, arg);
	if (verdict < 0)
		return verdict;
	r = carry_out(v, key, &at, verdict, &value);
	return r < 0 ? r : verdict;
}

int
mpr_table_change(enum mpr_cell_kind kind, void *table,
		 const struct mproc_any *any, mpr_decide *decide, void *arg)
{
	struct mpr_visit v;
	struct mpr_key key;
	int r;

	r = mpr_visit_begin(&v, kind, table);
	if (r == 0)
		r = mpr_key_make(&v, any, &key);
	if (r == 0)
		r = mpr_visit_stripe(&v, key.stripe);
	if (r == 0)
		r = mpr_visit_lock(&v);
	if (r < 0)
		return r == -EBADMSG ? mpr_table_corrupt(&v) : r;
	r = change(&v, &key, decide, arg);
	mpr_visit_unlock(&v);
	return r == -EBADMSG ? mpr_table_corrupt(&v) : r;
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
mpr_table_set(enum mpr_cell_kind kind, void *table, const struct mproc_any *key,
	      struct mproc_any *value)
{
	int r = mpr_table_change(kind, table, key, put, value);

	if (r == MPR_REMOTE)
		return mpr_remote_set(table, key, value);
	return r < 0 ? r : 0;
}

static int
take_out(const struct mpr_visit *v, const struct mpr_place *at,
	 struct mproc_any *value, void *arg)
{
	const struct mpr_want *want = arg;
	int r;

	(void)value;
	if (!at->is_there)
		return mpr_fail(-ENOENT, "the key is not there");
	r = mpr_table_copy(v, at, want);
	return r < 0 ? r : MPR_REMOVE;
}

int
mpr_table_take(enum mpr_cell_kind kind, void *table, const struct mproc_any *key,
	       const struct mpr_want *want)
{
	struct mpr_want copy = *want;
	int r;

	if (want->ret)
		*want->ret = mproc_nil();
	r = mpr_table_change(kind, table, key, take_out, &copy);
	if (r == MPR_REMOTE)
		return mpr_remote_pop(table, key, want->ret);
	if (r < 0)
		mproc_any_clear(want->ret);
	return r < 0 ? r : 0;
}
