/* SPDX-License-Identifier: MIT */
/*
 * Changes of a dict that depend on what the value is before. What decides runs while
 * nobody else can change the key (mpr_table_change()).
 */
#include <errno.h>

#include <mproc/dict.h>

#include "base/error.h"
#include "containers/remote.h"
#include "containers/table_use.h"

/* The value at a place as it is, with no copy of what is long. */
static int
look_at(const struct mpr_visit *v, const struct mpr_place *at,
	struct mproc_any *ret)
{
	struct mpr_want want = { .ret = ret, .no_bytes = true };

	return mpr_table_copy(v, at, &want);
}

struct set_default {
	const struct mproc_any *value;
	struct mproc_any *ret;
};

/* A copy of what is not in the dict yet. */
static int
copy_given(const struct mpr_visit *v, const struct set_default *d)
{
	int r = mpr_any_check(v->arena, d->value);

	if (r < 0 || !d->ret)
		return r;
	return mpr_any_copy(v->arena, mpr_any_meta(d->value),
			    mpr_any_word(v->arena, d->value), d->value->ptr,
			    d->ret);
}

static int
decide_default(const struct mpr_visit *v, const struct mpr_place *at,
	       struct mproc_any *value, void *arg)
{
	const struct set_default *d = arg;
	struct mpr_want want = { .ret = d->ret };
	int r;

	if (at->is_there) {
		r = mpr_table_copy(v, at, &want);
		return r < 0 ? r : MPR_KEEP;
	}
	*value = *d->value;
	r = copy_given(v, d);
	return r < 0 ? r : MPR_PUT;
}

int
mproc_dict_set_default(mproc_dict *d, struct mproc_any key,
		       struct mproc_any value, struct mproc_any *ret_value)
{
	struct set_default s = { &value, ret_value };
	int r;

	if (ret_value)
		*ret_value = mproc_nil();
	r = mpr_table_change(MPR_CELL_DICT, d, &key, decide_default, &s);
	if (r == MPR_REMOTE)
		return mpr_remote_set_default(d, &key, &value, ret_value);
	if (r < 0)
		mproc_any_clear(ret_value);
	return r < 0 ? r : r == MPR_PUT;
}

struct add {
	const struct mproc_any *n;
	struct mproc_any sum;
};

static int
decide_sum(const struct mpr_visit *v, const struct mpr_place *at,
	   struct mproc_any *value, void *arg)
{
	struct mproc_any before = mproc_int(0);
	struct add *add = arg;
	int r = 0;

	if (at->is_there)
		r = look_at(v, at, &before);
	if (r == 0)
		r = mpr_any_sum(&before, add->n, &add->sum);
	*value = add->sum;
	return r < 0 ? r : MPR_PUT;
}

int
mproc_dict_add(mproc_dict *d, struct mproc_any key, struct mproc_any n,
	       struct mproc_any *ret_sum)
{
	struct add add = { .n = &n };
	int r = mpr_table_change(MPR_CELL_DICT, d, &key, decide_sum, &add);

	if (r == MPR_REMOTE)
		return mpr_remote_add(d, &key, &n, ret_sum);
	if (r < 0)
		return r;
	if (ret_sum)
		*ret_sum = add.sum;
	return 0;
}

struct exchange {
	const struct mproc_any *expected, *value;
	bool done;
};

static int
compare(const struct mpr_visit *v, const struct mpr_place *at,
	const struct mproc_any *expected)
{
	struct mproc_any seen;
	struct mpr_want want = { .ret = &seen };
	bool equal;
	int r;

	if (!at->is_there || !expected)
		return !at->is_there && !expected;
	r = mpr_table_copy(v, at, &want);
	if (r < 0)
		return r;
	equal = mpr_any_equal(&seen, expected);
	mproc_any_clear(&seen);
	return equal;
}

static int
decide_exchange(const struct mpr_visit *v, const struct mpr_place *at,
		struct mproc_any *value, void *arg)
{
	struct exchange *x = arg;
	int r = x->expected ? mpr_any_check(v->arena, x->expected) : 0;

	if (r == 0)
		r = compare(v, at, x->expected);
	if (r < 0)
		return r;
	x->done = r;
	if (!x->done)
		return MPR_KEEP;
	if (!x->value)
		return MPR_REMOVE;
	*value = *x->value;
	return MPR_PUT;
}

int
mproc_dict_compare_exchange(mproc_dict *d, struct mproc_any key,
			    const struct mproc_any *expected,
			    const struct mproc_any *value)
{
	struct exchange x = { .expected = expected, .value = value };
	int r = mpr_table_change(MPR_CELL_DICT, d, &key, decide_exchange, &x);

	if (r == MPR_REMOTE)
		return mpr_remote_exchange(d, &key, expected, value, false);
	return r < 0 ? r : x.done;
}

struct update {
	mproc_update_fn *fn;
	void *ctx;
	int result;
	struct mproc_any old; /* which the new one may refer to */
};

static int
decide_update(const struct mpr_visit *v, const struct mpr_place *at,
	      struct mproc_any *value, void *arg)
{
	struct update *u = arg;
	struct mpr_want want = { .ret = &u->old };
	struct mpr_callback c;
	int r = 0;

	if (at->is_there)
		r = mpr_table_copy(v, at, &want);
	if (r < 0)
		return r;
	mpr_callback_begin(&c, v);
	u->result = u->fn(at->is_there ? &u->old : NULL, value, u->ctx);
	mpr_callback_end(&c);
	/* A child that it has forked has no lock. */
	r = mpr_lock_check_held(&v->stripe->lock);
	if (r < 0)
		u->result = r;
	return u->result <= 0 ? u->result : MPR_PUT;
}

int
mproc_dict_update(mproc_dict *d, struct mproc_any key, mproc_update_fn *fn,
		  void *ctx)
{
	struct update u = { .fn = fn, .ctx = ctx };
	int r;

	if (!fn)
		return mpr_fail(-EINVAL, "fn is NULL");
	r = mpr_table_change(MPR_CELL_DICT, d, &key, decide_update, &u);
	if (r == MPR_REMOTE)
		return mpr_remote_update(d, &key, fn, ctx);
	mproc_any_clear(&u.old);
	return r < 0 ? r : u.result;
}
