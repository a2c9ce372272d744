/* SPDX-License-Identifier: MIT */
/*
 * Changes of one value that depend on what it is before. The list is the caller's
 * from before it looks until it has changed it.
 */
#include <errno.h>

#include "base/error.h"
#include "containers/list.h"
#include "containers/list_remote.h"

/* The value at @at, with its bytes where they lie. */
static int
look_at(const struct mpr_list_use *u, uint64_t at, struct mpr_slot_words *words,
	struct mproc_any *ret)
{
	*words = mpr_slot_get(&u->slots[at]);
	return mpr_slot_view(u->arena, mpr_list_owner(u), words, ret);
}

static int
add(struct mpr_list_use *u, uint64_t at, const struct mproc_any *n,
    struct mproc_any *ret_sum)
{
	struct mpr_slot_words words;
	struct mproc_any before;
	int r = look_at(u, at, &words, &before);

	if (r == 0)
		r = mpr_any_sum(&before, n, ret_sum);
	return r < 0 ? r : mpr_list_set_at(u, at, ret_sum);
}

int
mproc_list_add(mproc_list *list, int64_t index, struct mproc_any n,
	       struct mproc_any *ret_sum)
{
	struct mproc_any sum;
	struct mpr_list_use u;
	uint64_t at = 0;
	int r = mpr_list_enter(list, &u);

	if (r < 0)
		return r == MPR_REMOTE ?
			       mpr_list_remote_add(list, index, &n, ret_sum) :
			       r;
	r = mpr_list_find(&u, index, &at);
	if (r == 0)
		r = add(&u, at, &n, &sum);
	r = mpr_list_leave(&u, r);
	if (r == 0 && ret_sum)
		*ret_sum = sum;
	return r;
}

/* Returns 1; 0; a negative error. */
static int
exchange(struct mpr_list_use *u, uint64_t at, const struct mproc_any *expected,
	 const struct mproc_any *value)
{
	struct mpr_slot_words words;
	struct mproc_any before;
	int r = look_at(u, at, &words, &before);

	if (r < 0)
		return r;
	if (!mpr_any_equal(&before, expected))
		return 0;
	r = mpr_list_set_at(u, at, value);
	return r < 0 ? r : 1;
}

int
mproc_list_compare_exchange(mproc_list *list, int64_t index,
			    struct mproc_any expected, struct mproc_any value)
{
	struct mpr_list_use u;
	uint64_t at = 0;
	int r = mpr_list_enter(list, &u);

	if (r < 0)
		return r == MPR_REMOTE ?
			       mpr_list_remote_exchange(list, index, &expected,
							&value, false) :
			       r;
	r = mpr_any_check(u.arena, &expected);
	if (r == 0)
		r = mpr_any_check(u.arena, &value);
	if (r == 0)
		r = mpr_list_find(&u, index, &at);
	if (r == 0)
		r = exchange(&u, at, &expected, &value);
	return mpr_list_leave(&u, r);
}

/* @old is a copy, which the new value may refer to. */
static int
update(struct mpr_list_use *u, uint64_t at, const struct mproc_any *old,
       mproc_update_fn *fn, void *ctx)
{
	struct mproc_any value = mproc_nil();
	int result = fn(old, &value, ctx);
	/* A child that it has forked does not have the list. */
	int r = mpr_lock_check_held(&u->list->lock);

	if (r < 0 || result <= 0)
		return r < 0 ? r : result;
	r = mpr_any_check(u->arena, &value);
	if (r == 0)
		r = mpr_list_set_at(u, at, &value);
	return r < 0 ? r : result;
}

int
mproc_list_update(mproc_list *list, int64_t index, mproc_update_fn *fn,
		  void *ctx)
{
	struct mproc_any old = mproc_nil();
	struct mpr_list_use u;
	uint64_t at = 0;
	int r;

	if (!fn)
		return mpr_fail(-EINVAL, "fn is NULL");
	r = mpr_list_enter(list, &u);
	if (r < 0)
		return r == MPR_REMOTE ?
			       mpr_list_remote_update(list, index, fn, ctx) :
			       r;
	r = mpr_list_find(&u, index, &at);
	if (r == 0)
		r = mpr_slot_copy(u.arena, mpr_list_owner(&u),
				  mpr_slot_get(&u.slots[at]), true, &old);
	if (r == 0)
		r = update(&u, at, &old, fn, ctx);
	r = mpr_list_leave(&u, r);
	mproc_any_clear(&old);
	return r;
}
