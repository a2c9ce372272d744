/* SPDX-License-Identifier: MIT */
/*
 * The steps of a change of a list that come after it has happened, and after a
 * death those that were not made. See containers/list.h.
 */
#include <errno.h>

#include "arena/recover.h"
#include "containers/list.h"

static void
settle_set(struct mpr_list_use *u, uint64_t index)
{
	struct mpr_list_root *root = u->root;

	mpr_slot_set(&u->slots[index], mpr_slot_get(&root->new_value));
	mpr_slot_set(&root->hand, mpr_slot_get(&root->old_value));
}

/* The slot at the gap is filled from below, then the gap is one lower. */
static void
settle_insert(struct mpr_list_use *u, uint64_t index, uint64_t gap, uint64_t len)
{
	struct mpr_list_root *root = u->root;

	for (; gap > index; gap--) {
		mpr_slot_set(&u->slots[gap], mpr_slot_get(&u->slots[gap - 1]));
		mpr_list_put(&root->gap, gap - 1);
	}
	mpr_slot_set(&u->slots[index], mpr_slot_get(&root->new_value));
	mpr_list_put(&root->len, len + 1);
	mpr_slot_set(&root->hand, (struct mpr_slot_words){ 0 });
}

static void
settle_remove(struct mpr_list_use *u, uint64_t gap, uint64_t len)
{
	struct mpr_list_root *root = u->root;

	for (; gap + 1 < len; gap++) {
		mpr_slot_set(&u->slots[gap], mpr_slot_get(&u->slots[gap + 1]));
		mpr_list_put(&root->gap, gap + 1);
	}
	mpr_list_put(&root->len, len - 1);
	mpr_slot_set(&root->hand, mpr_slot_get(&root->old_value));
}

/* The changes that make the version odd. */
static int
settle_slots(struct mpr_list_use *u, uint64_t doing)
{
	struct mpr_list_root *root = u->root;
	uint64_t index = mpr_list_peek(&root->index);
	uint64_t upto = mpr_list_peek(&root->upto);
	uint64_t gap = mpr_list_peek(&root->gap);

	if (index > upto || gap < index || gap > upto || upto > u->capacity)
		return mpr_list_corrupt(u);
	if (doing == MPR_LIST_INSERT) {
		if (upto == u->capacity)
			return mpr_list_corrupt(u);
		settle_insert(u, index, gap, upto);
	} else {
		if (gap == upto)
			return mpr_list_corrupt(u);
		if (doing == MPR_LIST_SET)
			settle_set(u, index);
		else
			settle_remove(u, gap, upto);
	}
	return 0;
}

/* Each of the two arrays has room for what is the length before and after. */
static int
settle_replace(struct mpr_list_use *u)
{
	struct mpr_list_root *root = u->root;

	mpr_list_put(&root->current, mpr_list_peek(&root->index));
	mpr_list_put(&root->len, mpr_list_peek(&root->gap));
	return mpr_list_map(u);
}

/* What is behind the end. */
static int
drop_tail(struct mpr_list_use *u)
{
	struct mpr_list_root *root = u->root;
	uint64_t len = mpr_list_peek(&root->len);
	uint64_t upto = mpr_list_peek(&root->upto);
	bool sound = true;

	if (upto > u->capacity)
		return mpr_list_corrupt(u);
	/* Who does it again finds those without a block that are done. */
	for (uint64_t i = len; i < upto; i++)
		sound &= mpr_slot_drop(u->arena, u->self,
				       mpr_list_owner(u), &u->slots[i]);
	return sound ? 0 : mpr_list_corrupt(u);
}

static int
settle_doing(struct mpr_list_use *u)
{
	uint64_t doing = mpr_list_peek(&u->root->doing);
	uint64_t version;
	int r = 0;

	if (doing > MPR_LIST_REPLACE)
		return mpr_list_corrupt(u);
	if (doing == MPR_LIST_REPLACE)
		r = settle_replace(u);
	else if (doing != MPR_LIST_NOTHING && doing != MPR_LIST_FILL)
		r = settle_slots(u, doing);
	version = mpr_list_peek(&u->root->version);
	mpr_list_put(&u->root->version, version + (version & 1));
	if (doing == MPR_LIST_FILL || (doing == MPR_LIST_REPLACE && r == 0))
		r = drop_tail(u);
	if (r < 0)
		return r;
	mpr_list_put(&u->root->doing, MPR_LIST_NOTHING);
	return mpr_list_map(u);
}

int
mpr_list_settle(struct mpr_list_use *u)
{
	int r = settle_doing(u);

	if (r < 0)
		return r;
	return mpr_slot_drop(u->arena, u->self, mpr_list_owner(u),
			     &u->root->hand) ?
		       0 : mpr_list_corrupt(u);
}

int
mpr_list_repair(struct mpr_list_use *u)
{
	struct mpr_list_root *root = u->root;
	uint64_t current;
	bool sound;
	int r;

	/* The dead one's blocks are where they belong before their homes move. */
	mpr_recover_all(u->arena, false);
	/* Odd until all is well; what is freed here may have been the list's a
	 * moment ago. */
	mpr_list_begin_version(root);
	r = mpr_list_map(u);
	if (r == 0)
		r = mpr_list_settle(u);
	if (r < 0)
		return r;
	current = mpr_list_peek(&root->current);
	sound = mpr_link_drop(u->arena, u->self, NULL,
			      &root->arrays[!current]);
	return sound ? 0 : mpr_list_corrupt(u);
}

void
mpr_list_scrap(struct mpr_list_use *u)
{
	struct mpr_list_root *root = u->root;

	/* Where the memory is corrupt, what hangs on it stays where it is. */
	if (mpr_list_map(u) == 0)
		(void)mpr_list_cut(u, 0);
	for (int i = 0; i < 2; i++)
		mpr_link_drop(u->arena, u->self, NULL, &root->arrays[i]);
	mpr_slot_set(&root->hand, (struct mpr_slot_words){ 0 });
	mpr_list_put(&root->doing, MPR_LIST_NOTHING);
	mpr_list_put(&root->len, 0);
	mpr_list_put(&root->current, 0);
	/* What could not be repaired has left it odd. */
	mpr_list_begin_version(root);
	mpr_list_put(&root->version, mpr_list_peek(&root->version) + 1);
}
