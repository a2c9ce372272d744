/* SPDX-License-Identifier: MIT */
/*
 * Where in a list a value is, and how often.
 */
#include <errno.h>

#include "base/error.h"
#include "containers/list.h"
#include "containers/list_remote.h"

/* Whether the slot has a value that Python would take for equal. Returns 0 or
 * -EBADMSG. */
static int
matches(const struct mpr_list_use *u, uint64_t at,
	const struct mproc_any *value, bool *ret)
{
	struct mpr_slot_words words = mpr_slot_get(&u->slots[at]);
	struct mproc_any any;
	int r = mpr_slot_view(u->arena, mpr_list_owner(u), &words, &any);

	*ret = r == 0 && mpr_any_equal(&any, value);
	return r;
}

/* The first one from *@at on. Returns 0; -ENOENT, without a text; -EBADMSG. */
static int
search(const struct mpr_list_use *u, const struct mproc_any *value,
       uint64_t *at)
{
	bool found;
	int r;

	for (; *at < u->len; ++*at) {
		r = matches(u, *at, value, &found);
		if (r < 0)
			return r;
		if (found)
			return 0;
	}
	return -ENOENT;
}

static int
search_once(const struct mpr_list_use *u, const struct mproc_any *value,
	    uint64_t *at)
{
	int r = search(u, value, at);

	return r == -ENOENT ? mpr_fail(r, "there is no such value among %llu",
				       (unsigned long long)u->len) : r;
}

static int
enter_with(mproc_list *list, const struct mproc_any *value,
	   struct mpr_list_use *u)
{
	int r = mpr_list_enter(list, u);

	if (r < 0)
		return r;
	r = mpr_any_check(u->arena, value);
	return r < 0 ? mpr_list_leave(u, r) : 0;
}

int
mproc_list_index(mproc_list *list, struct mproc_any value, size_t *ret_index)
{
	struct mpr_list_use u;
	uint64_t at = 0;
	int r = enter_with(list, &value, &u);

	if (r < 0)
		return r == MPR_REMOTE ?
			       mpr_list_remote_search(list, MPR_OP_LIST_INDEX,
						      &value, ret_index) :
			       r;
	r = mpr_list_leave(&u, search_once(&u, &value, &at));
	if (r == 0 && ret_index)
		*ret_index = (size_t)at;
	return r;
}

int
mproc_list_count(mproc_list *list, struct mproc_any value, size_t *ret_n)
{
	struct mpr_list_use u;
	uint64_t at = 0;
	size_t n = 0;
	int r;

	if (!ret_n)
		return mpr_fail(-EINVAL, "ret_n is NULL");
	r = enter_with(list, &value, &u);
	if (r < 0)
		return r == MPR_REMOTE ?
			       mpr_list_remote_search(list, MPR_OP_LIST_COUNT,
						      &value, ret_n) :
			       r;
	while ((r = search(&u, &value, &at)) == 0) {
		n++;
		at++;
	}
	r = mpr_list_leave(&u, r == -ENOENT ? 0 : r);
	if (r == 0)
		*ret_n = n;
	return r;
}

int
mproc_list_remove(mproc_list *list, struct mproc_any value)
{
	struct mpr_list_use u;
	uint64_t at = 0;
	int r = enter_with(list, &value, &u);

	if (r < 0)
		return r == MPR_REMOTE ?
			       mpr_list_remote_with(list, MPR_OP_LIST_REMOVE,
						    &value) :
			       r;
	r = search_once(&u, &value, &at);
	if (r == 0)
		r = mpr_list_remove(&u, at);
	return mpr_list_leave(&u, r);
}
