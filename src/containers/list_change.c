/* SPDX-License-Identifier: MIT */
/*
 * The changes of a list up to the store with which they have happened. See
 * containers/list.h.
 */
#include <errno.h>

#include "base/error.h"
#include "containers/list.h"
#include "containers/list_remote.h"
#include "containers/list_use.h"

int
mpr_list_cut(struct mpr_list_use *u, uint64_t len)
{
	struct mpr_list_root *root = u->root;

	mpr_list_put(&root->upto, u->len);
	mpr_list_put(&root->doing, MPR_LIST_FILL);
	mpr_list_put(&root->len, len);
	mpr_list_put(&root->version, mpr_list_peek(&root->version) + 2);
	return mpr_list_settle(u);
}

/* Each slot is one of nothing before it can be looked at by who comes next. */
static int
fill_slots(struct mpr_list_use *u, const struct mproc_any *values, size_t n)
{
	struct mpr_list_root *root = u->root;
	int r = 0;

	mpr_list_put(&root->upto, u->len);
	mpr_list_put(&root->doing, MPR_LIST_FILL);
	for (size_t i = 0; i < n && r == 0; i++) {
		struct mpr_slot *slot = &u->slots[u->len + i];

		mpr_slot_set(slot, (struct mpr_slot_words){ 0 });
		mpr_list_put(&root->upto, u->len + i + 1);
		r = mpr_slot_fill(u->arena, u->self, mpr_list_owner(u), slot,
				  &values[i]);
	}
	return r;
}

/* Behind the end, where they do not belong to the list yet. */
static int
put_behind(struct mpr_list_use *u, const struct mproc_any *values, size_t n)
{
	int r;

	if (n > SIZE_MAX / 2)
		return mpr_fail(-ENOMEM, "%zu values", n);
	r = mpr_list_make_room(u, u->len + n);
	if (r < 0)
		return r;
	r = fill_slots(u, values, n);
	if (r < 0)
		(void)mpr_list_settle(u);
	return r;
}

int
mpr_list_fill(struct mpr_list_use *u, const struct mproc_any *values, size_t n)
{
	int r = put_behind(u, values, n);

	if (r < 0)
		return r;
	mpr_list_put(&u->root->len, u->len + n);
	mpr_list_put(&u->root->doing, MPR_LIST_NOTHING);
	return 0;
}

int
mpr_list_splice(struct mpr_list_use *u, uint64_t from, uint64_t to,
		const struct mproc_any *values, size_t n)
{
	struct mpr_list_root *root = u->root;
	int r = put_behind(u, values, n);

	if (r < 0)
		return r;
	/* There the values that go lie behind the end. */
	r = mpr_list_link_spliced(u, from, to, n);
	if (r < 0) {
		(void)mpr_list_settle(u);
		return r;
	}
	mpr_list_put(&root->index, !mpr_list_peek(&root->current));
	mpr_list_put(&root->gap, u->len - (to - from) + n);
	mpr_list_begin_version(root);
	mpr_list_put(&root->doing, MPR_LIST_REPLACE);
	r = mpr_list_settle(u);
	if (r == 0)
		mpr_list_drop_other(u);
	return r;
}

/* One of the three that change slots of the list. */
struct change {
	enum mpr_list_doing doing;
	uint64_t index;
	uint64_t gap; /* the first slot that something moves into */
	struct mpr_slot_words old_value;
	struct mpr_slot_words new_value;
};

static int
change_slots(struct mpr_list_use *u, const struct change *c)
{
	struct mpr_list_root *root = u->root;

	mpr_list_put(&root->index, c->index);
	mpr_list_put(&root->upto, u->len);
	mpr_list_put(&root->gap, c->gap);
	mpr_slot_set(&root->old_value, c->old_value);
	mpr_slot_set(&root->new_value, c->new_value);
	mpr_list_begin_version(root);
	mpr_list_put(&root->doing, c->doing);
	return mpr_list_settle(u);
}

/* The value goes into the hand, and from there into the list. */
static int
take_in_hand(struct mpr_list_use *u, const struct mproc_any *value,
	     struct mpr_slot_words *ret)
{
	int r = mpr_slot_fill(u->arena, u->self, mpr_list_owner(u),
			      &u->root->hand, value);

	*ret = mpr_slot_get(&u->root->hand);
	return r;
}

int
mpr_list_set_at(struct mpr_list_use *u, uint64_t at,
		const struct mproc_any *value)
{
	struct change c = {
		.doing = MPR_LIST_SET,
		.index = at,
		.gap = at,
		.old_value = mpr_slot_get(&u->slots[at]),
	};
	uint64_t meta = mpr_any_meta(value);
	int r;

	/* One store does it. */
	if (meta == c.old_value.meta && !mpr_slot_is_long(meta)) {
		mpr_slot_fill_word(u->arena, &u->slots[at], value);
		return 0;
	}
	r = take_in_hand(u, value, &c.new_value);
	return r < 0 ? r : change_slots(u, &c);
}

static int
insert_at(struct mpr_list_use *u, uint64_t at, const struct mproc_any *value)
{
	struct change c = {
		.doing = MPR_LIST_INSERT,
		.index = at,
		.gap = u->len,
	};
	int r;

	if (at == u->len)
		return mpr_list_fill(u, value, 1);
	r = mpr_list_make_room(u, u->len + 1);
	if (r == 0)
		r = take_in_hand(u, value, &c.new_value);
	return r < 0 ? r : change_slots(u, &c);
}

int
mpr_list_remove(struct mpr_list_use *u, uint64_t at)
{
	struct change c = {
		.doing = MPR_LIST_REMOVE,
		.index = at,
		.gap = at,
		.old_value = mpr_slot_get(&u->slots[at]),
	};
	int r = at + 1 == u->len ? mpr_list_cut(u, at) : change_slots(u, &c);

	if (r == 0)
		mpr_list_trim(u);
	return r;
}

int
mproc_list_append(mproc_list *list, struct mproc_any value)
{
	struct mpr_list_use u;
	int r = mpr_list_enter(list, &u);

	if (r < 0)
		return r == MPR_REMOTE ?
			       mpr_list_remote_with(list, MPR_OP_LIST_APPEND,
						    &value) :
			       r;
	r = mpr_any_check(u.arena, &value);
	if (r == 0)
		r = mpr_list_fill(&u, &value, 1);
	return mpr_list_leave(&u, r);
}

int
mproc_list_extend(mproc_list *list, const struct mproc_any *values, size_t n)
{
	struct mpr_list_use u;
	int r;

	if (!values && n)
		return mpr_fail(-EINVAL, "values is NULL");
	r = mpr_list_enter(list, &u);
	if (r < 0)
		return r == MPR_REMOTE ?
			       mpr_list_remote_extend(list, values, n) :
			       r;
	for (size_t i = 0; i < n && r == 0; i++)
		r = mpr_any_check(u.arena, &values[i]);
	if (r == 0)
		r = mpr_list_fill(&u, values, n);
	return mpr_list_leave(&u, r);
}

int
mproc_list_set(mproc_list *list, int64_t index, struct mproc_any value)
{
	struct mpr_list_use u;
	uint64_t at = 0;
	int r = mpr_list_enter(list, &u);

	if (r < 0)
		return r == MPR_REMOTE ?
			       mpr_list_remote_at(list, MPR_OP_LIST_SET, index,
						  &value) :
			       r;
	r = mpr_any_check(u.arena, &value);
	if (r == 0)
		r = mpr_list_find(&u, index, &at);
	if (r == 0)
		r = mpr_list_set_at(&u, at, &value);
	return mpr_list_leave(&u, r);
}

int
mproc_list_insert(mproc_list *list, int64_t index, struct mproc_any value)
{
	struct mpr_list_use u;
	int r = mpr_list_enter(list, &u);

	if (r < 0)
		return r == MPR_REMOTE ?
			       mpr_list_remote_at(list, MPR_OP_LIST_INSERT, index,
						  &value) :
			       r;
	r = mpr_any_check(u.arena, &value);
	if (r == 0)
		r = insert_at(&u, mpr_list_clamp(u.len, index), &value);
	return mpr_list_leave(&u, r);
}

int
mpr_list_take(mproc_list *list, int64_t index, struct mpr_room *room,
	      struct mproc_any *ret)
{
	struct mproc_any value = mproc_nil();
	struct mpr_list_use u;
	struct mpr_slot_words words;
	uint64_t at = 0;
	int r = mpr_list_enter(list, &u);

	if (r < 0)
		return r;
	r = mpr_list_find(&u, index, &at);
	if (r == 0) {
		words = mpr_slot_get(&u.slots[at]);
		if (room)
			r = room->make(room, mpr_meta_len(words.meta));
	}
	if (r == 0 && ret)
		r = mpr_slot_copy(u.arena, mpr_list_owner(&u), words, true,
				  &value);
	if (r == 0)
		r = mpr_list_remove(&u, at);
	mpr_list_leave(&u, r);
	if (r < 0)
		mproc_any_clear(&value);
	else if (ret)
		*ret = value;
	return r;
}

int
mproc_list_pop(mproc_list *list, int64_t index, struct mproc_any *ret)
{
	int r = mpr_list_take(list, index, NULL, ret);

	return r == MPR_REMOTE ? mpr_list_remote_pop(list, index, ret) : r;
}

int
mproc_list_clear(mproc_list *list)
{
	struct mpr_list_use u;
	int r = mpr_list_enter(list, &u);

	if (r < 0)
		return r == MPR_REMOTE ?
			       mpr_remote_simple(list, MPR_OP_CLEAR) :
			       r;
	r = mpr_list_cut(&u, 0);
	if (r == 0)
		mpr_list_trim(&u);
	return mpr_list_leave(&u, r);
}
