/* SPDX-License-Identifier: MIT */
/*
 * Sets and other sets: one element after another, each in a step of its own. While
 * one set is looked at or changed no lock of the other one is held, so nobody waits
 * for both. What has come from one set is a copy of ours when the other one is
 * asked for it.
 */
#include <errno.h>

#include <mproc/set.h>

#include "base/error.h"
#include "containers/remote.h"
#include "containers/set.h"
#include "containers/table_use.h"

#define STOP 1 /* what is asked is known */

/* For each element of one of two sets. Returns 0 to go on; STOP; a negative
 * error. */
typedef int each_fn(mproc_set *s, mproc_set *other,
		    const struct mproc_any *elem);

static int
check(mproc_set *s)
{
	int r = mpr_table_check(MPR_CELL_SET, s);

	return r == MPR_REMOTE ? mpr_remote_is_there(s) : r;
}

/* Before anything else, even if there is no element about which they would be asked.
 * If another process has both, it does @op. Returns 0 if that is not so; otherwise,
 * with *@ret_done, what is to be returned. */
static int
begin(mproc_set *s, mproc_set *other, enum mpr_remote_op op, bool *ret_done)
{
	int r = mpr_table_check(MPR_CELL_SET, s);

	*ret_done = true;
	if (r == MPR_REMOTE) {
		r = mpr_remote_two(s, op, other);
		if (r != MPR_REMOTE)
			return r;
		r = mpr_remote_is_there(s);
	}
	if (r == 0)
		r = check(other);
	*ret_done = r < 0;
	return r;
}

/* Goes through @from, which is one of the two. Returns 0, STOP or a negative
 * error. */
static int
for_each(mproc_set *from, mproc_set *s, mproc_set *other, each_fn *fn)
{
	struct mproc_cursor c = { { 0 } };
	struct mproc_any elem;
	int r;

	while ((r = mpr_table_next(MPR_CELL_SET, from, &c, &elem, NULL)) == 0) {
		r = fn(s, other, &elem);
		mproc_any_clear(&elem);
		if (r != 0)
			return r;
	}
	return r == -ENODATA ? 0 : r;
}

/* A reference to what lies in another arena is in no set of this one. */
static bool
can_have(const mproc_set *s, const struct mproc_any *elem)
{
	const mproc_arena *a = mpr_remote_has(s) ? NULL : mpr_arena_of(s);

	return elem->kind != MPROC_REF ||
	       (a && mpr_arena_has(a, mpr_arena_offset(a, elem->ptr), 1));
}

static int
has(mproc_set *s, const struct mproc_any *elem)
{
	return can_have(s, elem) ? mproc_set_has(s, *elem) : 0;
}

static int
discard(mproc_set *s, const struct mproc_any *elem)
{
	int r = can_have(s, elem) ? mproc_set_discard(s, *elem) : 0;

	return r < 0 ? r : 0;
}

static int
add_to(mproc_set *s, mproc_set *other, const struct mproc_any *elem)
{
	int r = mproc_set_add(s, *elem);

	(void)other;
	return r < 0 ? r : 0;
}

int
mproc_set_update(mproc_set *s, mproc_set *other)
{
	bool done;
	int r = begin(s, other, MPR_OP_UPDATE, &done);

	if (done || s == other)
		return r;
	return for_each(other, s, other, add_to);
}

static int
keep_if_common(mproc_set *s, mproc_set *other, const struct mproc_any *elem)
{
	int r = has(other, elem);

	return r == 0 ? discard(s, elem) : r < 0 ? r : 0;
}

int
mproc_set_intersection_update(mproc_set *s, mproc_set *other)
{
	bool done;
	int r = begin(s, other, MPR_OP_INTERSECTION_UPDATE, &done);

	if (done || s == other)
		return r;
	return for_each(s, s, other, keep_if_common);
}

static int
take_out(mproc_set *s, mproc_set *other, const struct mproc_any *elem)
{
	(void)other;
	return discard(s, elem);
}

int
mproc_set_difference_update(mproc_set *s, mproc_set *other)
{
	bool done;
	int r = begin(s, other, MPR_OP_DIFFERENCE_UPDATE, &done);

	if (done)
		return r;
	return s == other ? mproc_set_clear(s) :
			    for_each(other, s, other, take_out);
}

static int
decide_toggle(const struct mpr_visit *v, const struct mpr_place *at,
	      struct mproc_any *value, void *arg)
{
	(void)v;
	(void)value;
	(void)arg;
	return at->is_there ? MPR_REMOVE : MPR_PUT;
}

int
mpr_set_toggle(mproc_set *s, const struct mproc_any *elem)
{
	int r = mpr_table_change(MPR_CELL_SET, s, elem, decide_toggle, NULL);

	if (r == MPR_REMOTE)
		r = mpr_remote_one(s, MPR_OP_TOGGLE, elem);
	return r < 0 ? r : 0;
}

static int
toggle(mproc_set *s, mproc_set *other, const struct mproc_any *elem)
{
	(void)other;
	return mpr_set_toggle(s, elem);
}

int
mproc_set_symmetric_difference_update(mproc_set *s, mproc_set *other)
{
	bool done;
	int r = begin(s, other, MPR_OP_SYMMETRIC_DIFFERENCE_UPDATE, &done);

	if (done)
		return r;
	return s == other ? mproc_set_clear(s) :
			    for_each(other, s, other, toggle);
}

static int
stop_if_not_common(mproc_set *s, mproc_set *other, const struct mproc_any *elem)
{
	int r = has(other, elem);

	(void)s;
	return r == 0 ? STOP : r < 0 ? r : 0;
}

static int
stop_if_common(mproc_set *s, mproc_set *other, const struct mproc_any *elem)
{
	int r = has(other, elem);

	(void)s;
	return r > 0 ? STOP : r;
}

/* Whether what would have stopped it was not met. */
static int
was_not_stopped(int r)
{
	return r < 0 ? r : r != STOP;
}

int
mproc_set_is_subset(mproc_set *s, mproc_set *other)
{
	bool done;
	int r = begin(s, other, MPR_OP_IS_SUBSET, &done);

	if (done)
		return r;
	return s == other ? 1 :
			    was_not_stopped(for_each(s, s, other,
						     stop_if_not_common));
}

int
mproc_set_is_equal(mproc_set *s, mproc_set *other)
{
	bool done;
	int r = begin(s, other, MPR_OP_IS_EQUAL, &done);

	if (done)
		return r;
	r = mproc_set_is_subset(s, other);
	return r == 1 ? mproc_set_is_subset(other, s) : r;
}

int
mproc_set_is_disjoint(mproc_set *s, mproc_set *other)
{
	bool done;
	int r = begin(s, other, MPR_OP_IS_DISJOINT, &done);

	return done ? r :
		      was_not_stopped(for_each(s, s, other, stop_if_common));
}
