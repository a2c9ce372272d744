/* SPDX-License-Identifier: MIT */
/*
 * Reading from a list without having it, so that those who read do not wait for each
 * other: what was read is believed if the version is the same afterwards, and even.
 * Where that does not come about soon, or where memory might be looked at that has
 * gone back to the kernel, the list is taken for the moment.
 */
#include <errno.h>

#include "base/error.h"
#include "containers/list.h"
#include "containers/list_remote.h"
#include "sync/spin.h"

#define TRIES 8
#define LOOKS 100 /* at a list that is being changed */

/* Which value is wanted, and what of it. */
struct want {
	int64_t index;
	const size_t *cursor; /* it has the index then, counted from the start */
	struct mpr_want what;
};

/* Returns 0; -ERANGE, -ENODATA, -EBADMSG, without a text; -ENOMEM; -EAGAIN. */
static int
look_at(const struct mpr_list_use *u, const struct want *want, bool is_alone)
{
	uint64_t at;

	if (want->cursor) {
		at = *want->cursor;
		if (at >= u->len)
			return -ENODATA;
	} else if (!mpr_list_has(u, want->index, &at)) {
		return -ERANGE;
	}
	if (u->may_vanish && !is_alone)
		return -EAGAIN;
	return mpr_slot_want(u->arena, mpr_list_owner(u),
			     mpr_slot_get(&u->slots[at]), is_alone,
			     &want->what);
}

/* -EAGAIN: it is changed all the time. */
static int
read_freely(struct mpr_list_use *u, const struct want *want)
{
	const _Atomic uint64_t *version = &u->root->version;
	unsigned looks = 0;
	uint64_t before;
	int r;

	for (int i = 0; i < TRIES; i++) {
		/* Acquire pairs with the release of who has changed it: what that
		 * one has stored is there. */
		while ((before = mpr_list_peek(version)) & 1)
			if (!mpr_spin_on(&looks, LOOKS))
				return -EAGAIN;
		r = mpr_list_look(u) ? look_at(u, want, false) : -EBADMSG;
		/* After all that was read, which is loaded with acquire. */
		if (atomic_load_explicit(version, memory_order_relaxed) ==
		    before)
			return r;
		if (r == 0)
			mproc_any_clear(want->what.ret);
	}
	return -EAGAIN;
}

static int
read_alone(struct mpr_list_use *u, const struct want *want)
{
	int r = mpr_list_enter(u->list, u);

	return r < 0 ? r : mpr_list_leave(u, look_at(u, want, true));
}

/* With the texts that look_at() has not set, as it may have looked at nothing that
 * was ever there. */
static int
explain(const struct mpr_list_use *u, const struct want *want, int r)
{
	if (r == -EBADMSG)
		return mpr_list_corrupt(u);
	if (r == -ERANGE)
		return mpr_list_no_index(u, want->index);
	if (r == -ENODATA)
		return mpr_fail(r, "a list of %llu has no more",
				(unsigned long long)u->len);
	return r;
}

static int
read_elsewhere(mproc_list *list, const struct want *want)
{
	if (!want->cursor)
		return mpr_list_remote_read(list, MPR_OP_LIST_GET, want->index,
					    &want->what);
	if (*want->cursor > INT64_MAX)
		return mpr_fail(-ENODATA, "a list has no more");
	return mpr_list_remote_read(list, MPR_OP_LIST_NEXT, (int64_t)*want->cursor,
				    &want->what);
}

static int
read_value(mproc_list *list, const struct want *want)
{
	struct mpr_list_use u;
	int r = mpr_list_look_up(list, &u);

	if (r < 0)
		return r == MPR_REMOTE ? read_elsewhere(list, want) : r;
	r = read_freely(&u, want);
	/* Whoever destroys it says so before there is nothing in it. */
	if (atomic_load(&list->lock.cell.word) & MPR_GONE) {
		if (r == 0)
			mproc_any_clear(want->what.ret);
		return mpr_fail(-ESTALE, "list %p was destroyed", (void *)list);
	}
	if (r == -EAGAIN)
		r = read_alone(&u, want);
	return explain(&u, want, r);
}

int
mproc_list_get(mproc_list *list, int64_t index, struct mproc_any *ret)
{
	struct mproc_any value;
	struct want want = { .index = index, .what.ret = &value };
	int r;

	if (!ret)
		return mpr_fail(-EINVAL, "ret is NULL");
	/* The caller is to see nothing that turns out not to be there. */
	r = read_value(list, &want);
	if (r == 0)
		*ret = value;
	return r;
}

/* What needs no memory of its own. */
static int
get_fixed(mproc_list *list, int64_t index, const void *ret,
	  struct mproc_any *ret_value)
{
	struct want want = { .index = index,
			     .what = { .ret = ret_value, .no_bytes = true } };

	if (!ret)
		return mpr_fail(-EINVAL, "a pointer for the value is NULL");
	return read_value(list, &want);
}

int
mproc_list_get_int(mproc_list *list, int64_t index, int64_t *ret_i)
{
	struct mproc_any value;
	int r = get_fixed(list, index, ret_i, &value);

	return r < 0 ? r : mpr_any_as_int(&value, ret_i);
}

int
mproc_list_get_float(mproc_list *list, int64_t index, double *ret_f)
{
	struct mproc_any value;
	int r = get_fixed(list, index, ret_f, &value);

	return r < 0 ? r : mpr_any_as_float(&value, ret_f);
}

int
mproc_list_get_str(mproc_list *list, int64_t index, char *buf, size_t size,
		   size_t *ret_len)
{
	struct mproc_any value;
	struct want want = { .index = index,
			     .what = { .ret = &value, .no_bytes = true,
				       .buf = buf, .size = size } };
	int r;

	if (!buf && size)
		return mpr_fail(-EINVAL, "buf is NULL");
	r = read_value(list, &want);
	return r < 0 ? r : mpr_any_as_str(&value, size, ret_len);
}

int
mproc_list_next(mproc_list *list, size_t *cursor, struct mproc_any *ret)
{
	struct mproc_any value;
	struct want want = { .cursor = cursor, .what.ret = &value };
	int r;

	if (!cursor || !ret)
		return mpr_fail(-EINVAL, "cursor or ret is NULL");
	r = read_value(list, &want);
	if (r < 0)
		return r;
	*ret = value;
	++*cursor;
	return 0;
}

size_t
mproc_list_len(const mproc_list *list)
{
	struct mpr_list_use u;
	size_t len;
	/* What is behind const is only read. */
	int r = mpr_list_look_up((mproc_list *)(uintptr_t)list, &u);

	if (r == MPR_REMOTE)
		return mpr_remote_len(list, &len) < 0 ? 0 : len;
	if (r < 0 || atomic_load(&list->lock.cell.word) & MPR_GONE)
		return 0;
	return mpr_list_peek(&u.root->len);
}
