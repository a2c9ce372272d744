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

/* One in the place of the array, with room for @capacity, which is enough, and in
 * another order if @order is not NULL. */
static int
replace(struct mpr_list_use *u, uint64_t capacity, const uint64_t *order)
{
	uint64_t other = !mpr_list_peek(&u->root->current);
	_Atomic uint64_t *links = u->root->arrays;
	struct mpr_block_ref ref;
	struct mpr_slot *slots;
	int r;

	r = mpr_heap_reserve_dirty(u->arena, u->self,
				   capacity * sizeof(*slots), &ref);
	if (r < 0)
		return r;
	slots = mpr_arena_at(u->arena, ref.offset);
	for (uint64_t i = 0; i < u->len; i++)
		mpr_slot_set(&slots[i],
			     mpr_slot_get(&u->slots[order ? order[i] : i]));
	mpr_block_link(u->arena, u->self, &ref, &links[other]);
	mpr_list_put(&u->root->current, other);
	mpr_list_put(&u->root->version,
		     mpr_list_peek(&u->root->version) + 2);
	mpr_link_drop(u->arena, u->self, &links[!other]);
	return mpr_list_map(u);
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
