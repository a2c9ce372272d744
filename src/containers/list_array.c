/* SPDX-License-Identifier: MIT */
/*
 * The array of a list: how large it is, and how it is replaced by another one.
 */
#include <errno.h>

#include "arena/heap.h"
#include "base/error.h"
#include "containers/list.h"

#define CAPACITY_MIN 8
#define SPARSE 4 /* times as much as is needed */

static _Atomic uint64_t *
other_link(const struct mpr_list_use *u)
{
	return &u->root->arrays[!mpr_list_peek(&u->root->current)];
}

/* One with room for @capacity, which nobody knows yet. */
static int
reserve(const struct mpr_list_use *u, uint64_t capacity,
	struct mpr_block_ref *ret_ref)
{
	return mpr_heap_reserve_dirty(u->arena, u->self,
				      capacity * sizeof(struct mpr_slot),
				      ret_ref);
}

void
mpr_list_drop_other(const struct mpr_list_use *u)
{
	mpr_link_drop(u->arena, u->self, NULL, other_link(u));
}

/* One in the place of the array, with room for @capacity, which is enough, and in
 * another order if @order is not NULL. */
static int
replace(struct mpr_list_use *u, uint64_t capacity, const uint64_t *order)
{
	struct mpr_block_ref ref;
	struct mpr_slot *slots;
	int r = reserve(u, capacity, &ref);

	if (r < 0)
		return r;
	slots = mpr_arena_at(u->arena, ref.offset);
	for (uint64_t i = 0; i < u->len; i++)
		mpr_slot_set(&slots[i],
			     mpr_slot_get(&u->slots[order ? order[i] : i]));
	mpr_block_link(u->arena, u->self, &ref, other_link(u));
	mpr_list_put(&u->root->current, !mpr_list_peek(&u->root->current));
	mpr_list_put(&u->root->version,
		     mpr_list_peek(&u->root->version) + 2);
	mpr_list_drop_other(u);
	return mpr_list_map(u);
}

/* Returns where it ends. */
static struct mpr_slot *
copy_slots(struct mpr_slot *to, const struct mpr_slot *from, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		mpr_slot_set(&to[i], mpr_slot_get(&from[i]));
	return to + n;
}

int
mpr_list_link_spliced(struct mpr_list_use *u, uint64_t from, uint64_t to,
		      uint64_t n)
{
	struct mpr_block_ref ref;
	struct mpr_slot *slots;
	int r = reserve(u, u->len + n, &ref);

	if (r < 0)
		return r;
	slots = mpr_arena_at(u->arena, ref.offset);
	slots = copy_slots(slots, u->slots, from);
	slots = copy_slots(slots, u->slots + u->len, n);
	slots = copy_slots(slots, u->slots + to, u->len - to);
	(void)copy_slots(slots, u->slots + from, to - from);
	mpr_block_link(u->arena, u->self, &ref, other_link(u));
	return 0;
}

int
mpr_list_make_room(struct mpr_list_use *u, uint64_t n)
{
	uint64_t capacity = u->capacity + u->capacity / 2;
	int r;

	if (n <= u->capacity)
		return 0;
	if (n > u->arena->shmem.size / sizeof(*u->slots))
		return mpr_fail(-ENOMEM, "a list of %llu values in an arena of "
				"%zu bytes", (unsigned long long)n,
				u->arena->shmem.size);
	if (capacity < CAPACITY_MIN)
		capacity = CAPACITY_MIN;
	r = replace(u, capacity < n ? n : capacity, NULL);
	/* Somebody may have written there. */
	return r == 0 && n > u->capacity ? mpr_list_corrupt(u) : r;
}

void
mpr_list_trim(struct mpr_list_use *u)
{
	uint64_t capacity = u->len * 2;

	if (capacity < CAPACITY_MIN)
		capacity = CAPACITY_MIN;
	if (u->capacity / SPARSE > capacity)
		(void)replace(u, capacity, NULL);
}

int
mpr_list_reorder(struct mpr_list_use *u, const uint64_t *order)
{
	return replace(u, u->capacity, order);
}
