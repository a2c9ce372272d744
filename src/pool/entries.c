/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "arena/extent.h"
#include "base/error.h"
#include "base/macros.h"
#include "pool/entries.h"
#include "pool/map_shm.h"

/* So many entries in use are passed before a group is added. */
#define LOOKS (4 * MPR_POOL_ENTRIES)

#define GROUP_SIZE sizeof(struct mpr_pool_group)

static struct mpr_pool_group *
group_at(const struct mpr_pool_use *u, uint64_t offset)
{
	struct mpr_pool_group *group;

	if (!offset || !mpr_heap_is_linked(u->arena, offset, GROUP_SIZE))
		return NULL;
	group = mpr_arena_at(u->arena, offset);
	return group->mark == MPR_POOL_MARK + mpr_arena_offset(u->arena, u->root) ?
		       group : NULL;
}

/* The first group, or the one behind @group; NULL at the end. */
static struct mpr_pool_group *
next_group(const struct mpr_pool_use *u, const struct mpr_pool_group *group)
{
	/* Acquire pairs with the CAS that links it: it is initialised. */
	return group_at(u, atomic_load_explicit(group ? &group->next :
							&u->root->groups,
						memory_order_acquire));
}

/* Release pairs with the acquire of who tries entries from there on: the group is
 * initialised, and who links there does so after that, or what it has linked could be
 * overwritten. */
static void
set_cursor(const struct mpr_pool_use *u, uint64_t cursor)
{
	atomic_store_explicit(&u->root->cursor, cursor, memory_order_release);
}

static void
set_last(const struct mpr_pool_use *u, uint64_t offset)
{
	/* Release pairs with the acquire in end_of_groups(), as above. */
	atomic_store_explicit(&u->root->last, offset, memory_order_release);
}

/* No list of them is longer, as each has a place of its own. */
static unsigned
groups_most(const struct mpr_pool_use *u)
{
	return mpr_extents_high(u->arena) * (MPR_EXTENT_SIZE / GROUP_SIZE);
}

/* Where the next one is linked, or before that. Who began with the first one each time
 * would make n of them in n * n steps. */
static _Atomic uint64_t *
end_of_groups(const struct mpr_pool_use *u)
{
	/* Acquire pairs with the release in set_last(). */
	struct mpr_pool_group *last = group_at(
		u, atomic_load_explicit(&u->root->last, memory_order_acquire));

	return last ? &last->next : &u->root->groups;
}

static int
add_group(const struct mpr_pool_use *u, struct mpr_self *self)
{
	struct mpr_pool_group *group;
	struct mpr_block_ref ref;
	int r = mpr_heap_reserve(u->arena, self, GROUP_SIZE, &ref);

	if (r < 0)
		return r;
	group = mpr_arena_at(u->arena, ref.offset);
	group->mark = MPR_POOL_MARK + mpr_arena_offset(u->arena, u->root);
	r = mpr_block_append(u->arena, self, &ref, end_of_groups(u),
			     offsetof(struct mpr_pool_group, next),
			     groups_most(u));
	if (r < 0)
		return r;
	set_last(u, ref.offset);
	set_cursor(u, ref.offset);
	return 0;
}

/* Groups lie at multiples of their size, as pages do. */
static void
remember(const struct mpr_pool_use *u, const struct mpr_pool_group *group,
	 unsigned i)
{
	set_cursor(u, mpr_arena_offset(u->arena, group) + i);
}

void
mpr_entries_begin(const struct mpr_pool_use *u)
{
	_Atomic uint64_t *link = &u->root->groups;
	struct mpr_pool_group *group;
	struct mpr_block_ref ref;
	uint64_t offset;

	/* By homes, as who adds one goes: a circle would not end. */
	while ((offset = atomic_load(link))) {
		group = group_at(u, offset);
		if (!group || !mpr_heap_find_of(u->arena, offset, link, &ref)) {
			atomic_compare_exchange_strong(link, &offset, 0);
			break;
		}
		link = &group->next;
	}
	set_cursor(u, 0);
	set_last(u, 0);
}

/* Tries entries from the cursor on, round and round. */
static bool
link_somewhere(const struct mpr_pool_use *u, struct mpr_self *self,
	       const struct mpr_block_ref *ref)
{
	struct mproc_future *f = mpr_arena_at(u->arena, ref->offset);
	uint64_t cursor = atomic_load_explicit(&u->root->cursor,
					       memory_order_acquire);
	unsigned i = (unsigned)(cursor % GROUP_SIZE);
	struct mpr_pool_group *group = group_at(u, cursor - i);

	for (unsigned looks = 0; looks < LOOKS; looks++, i++) {
		if (!group || i >= MPR_POOL_ENTRIES) {
			group = group ? next_group(u, group) : NULL;
			if (!group)
				group = next_group(u, NULL);
			if (!group)
				return false;
			i = 0;
		}
		if (atomic_load_explicit(&group->entry[i],
					 memory_order_relaxed))
			continue;
		atomic_store_explicit(&f->entry,
				      mpr_arena_offset(u->arena,
						       &group->entry[i]),
				      memory_order_relaxed);
		if (!mpr_block_try_link(u->arena, self, ref, &group->entry[i]))
			continue;
		remember(u, group, i + 1);
		return true;
	}
	return false;
}

int
mpr_entries_link(const struct mpr_pool_use *u, struct mpr_self *self,
		 const struct mpr_block_ref *ref)
{
	int r;

	if (link_somewhere(u, self, ref))
		return 0;
	/* A thread has one BUSY block at a time. */
	mpr_block_cancel(self, ref);
	r = add_group(u, self);
	return r < 0 ? r : -EAGAIN;
}

MPR_CHILD_PATH struct mproc_future *
mpr_entries_at(const mproc_arena *a, uint64_t offset)
{
	return offset % 8 == 0 &&
		       mpr_heap_is_linked(a, offset,
					  sizeof(struct mproc_future)) ?
		       mpr_arena_at(a, offset) : NULL;
}

/* Whether @f says itself that it lies in @entry. */
static bool
is_at(const mproc_arena *a, const struct mproc_future *f,
      const _Atomic uint64_t *entry)
{
	return atomic_load_explicit(&f->entry, memory_order_relaxed) ==
	       mpr_arena_offset(a, entry);
}

/* What the next entry of its group that is not empty says; 0 at the end of it. Most
 * are empty. */
static uint64_t
next_offset(struct mpr_entries_walk *walk)
{
	struct mpr_pool_group *group = walk->group;
	uint64_t offset;

	for (size_t i = walk->next; i < MPR_POOL_ENTRIES; i++) {
		/* seq_cst: see mpr_pool_phase(). */
		offset = atomic_load(&group->entry[i]);
		if (offset) {
			walk->next = (unsigned)i + 1;
			return offset;
		}
	}
	walk->next = MPR_POOL_ENTRIES;
	return 0;
}

struct mproc_future *
mpr_entries_next(struct mpr_entries_walk *walk)
{
	const mproc_arena *a = walk->use->arena;
	struct mproc_future *f;
	uint64_t offset;

	for (;;) {
		if (!walk->group || walk->next == MPR_POOL_ENTRIES) {
			walk->group = next_group(walk->use, walk->group);
			walk->next = 0;
			if (!walk->group ||
			    walk->groups++ == groups_most(walk->use))
				return NULL;
		}
		while ((offset = next_offset(walk))) {
			f = mpr_entries_at(a, offset);
			if (f && is_at(a, f, &walk->group->entry[walk->next - 1]))
				return f;
		}
	}
}

bool
mpr_entries_exist(const struct mpr_pool_use *u)
{
	struct mpr_entries_walk walk = mpr_entries_walk(u);

	return mpr_entries_next(&walk) != NULL;
}

void
mpr_future_drop_out(mproc_arena *a, struct mpr_self *self,
		    struct mproc_future *f)
{
	struct mpr_block_ref ref;

	/* What else is there was scribbled; nothing is written to what may be
	 * another's. */
	if (atomic_load(&f->out) && mpr_heap_find_at(a, &f->out, &ref))
		mpr_block_unlink(a, self, &ref, &f->out, 0);
}

void *
mpr_future_make_out(mproc_arena *a, struct mpr_self *self,
		    struct mproc_future *f, size_t len)
{
	struct mpr_block_ref ref;

	mpr_future_drop_out(a, self, f);
	if (mpr_heap_reserve_dirty(a, self, len, &ref) < 0)
		return NULL;
	mpr_block_link(a, self, &ref, &f->out);
	return mpr_arena_at(a, ref.offset);
}

void *
mpr_future_out(const mproc_arena *a, const struct mproc_future *f,
	       size_t *ret_size)
{
	struct mpr_block_ref ref;

	if (!atomic_load(&f->out) || !mpr_heap_find_at(a, &f->out, &ref))
		return NULL;
	*ret_size = ref.size;
	return mpr_arena_at(a, ref.offset);
}

/* The errors of a map's items. */
static void
drop_codes(mproc_arena *a, struct mpr_self *self, struct mproc_future *f)
{
	struct mpr_map *map = mpr_map_behind(f);
	struct mpr_block_ref ref;

	if (mpr_heap_is_linked(a, mpr_arena_offset(a, f), sizeof(*f) + sizeof(*map)) &&
	    atomic_load(&map->codes) && mpr_heap_find_at(a, &map->codes, &ref))
		mpr_block_unlink(a, self, &ref, &map->codes, 0);
}

void
mpr_future_free(mproc_arena *a, struct mpr_self *self, struct mproc_future *f)
{
	uint64_t at = atomic_load(&f->entry);
	struct mpr_block_ref ref;
	_Atomic uint64_t *entry;

	mpr_future_drop_out(a, self, f);
	if (mpr_future_is_a(f, MPR_FUTURE_MAP))
		drop_codes(a, self, f);
	if (at % 8 || !mpr_arena_has(a, at, sizeof(*entry)))
		return;
	entry = mpr_arena_at(a, at);
	if (mpr_heap_find_at(a, entry, &ref) &&
	    ref.offset == mpr_arena_offset(a, f))
		mpr_block_unlink(a, self, &ref, entry, 0);
}
