/* SPDX-License-Identifier: MIT */
/*
 * Blocks that change their size: where they are, or by another block that takes
 * their place.
 */
#include <errno.h>
#include <string.h>

#include <mproc/arena.h>

#include "arena/check.h"
#include "arena/heap.h"
#include "arena/participant.h"
#include "arena/table.h"
#include "base/error.h"

static bool
stays(const struct mpr_block_ref *ref, size_t size)
{
	size_t room = mpr_check_room(size);

	return room <= ref->size && room > ref->size / 2;
}

static int
move(mproc_arena *a, const struct mpr_block_ref *from, size_t used, size_t size,
     void **ret_p)
{
	struct mpr_block_ref to;
	struct mpr_self *self;
	unsigned char *p;
	int r;

	r = mpr_self(a, &self);
	if (r < 0)
		return r;
	r = mpr_heap_reserve_dirty(a, self, mpr_check_room(size), &to);
	if (r < 0)
		return r;
	p = mpr_arena_at(a, to.offset);
	if (used > size)
		used = size;
	memcpy(p, mpr_arena_at(a, from->offset), used);
	/* Runs are zero. */
	if (to.block)
		memset(p + used, 0, size - used);
	if (!mpr_block_replace(a, self, from, &to, size))
		return mpr_fail(-ESTALE, "the block at %p was freed meanwhile",
				mpr_arena_at(a, from->offset));
	*ret_p = p;
	return 0;
}

static int
resize(void *p, size_t size, void **ret_p)
{
	mproc_arena *a = mpr_arena_of(p);
	struct mpr_block_ref ref;
	uint64_t birth, who;
	size_t used;
	int r;

	if (!size)
		return mpr_fail(-EINVAL, "a block of 0 bytes");
	if (!a || !mpr_heap_find_live(a, p, &ref) ||
	    !mpr_block_born(a, &ref, &birth, &who))
		return mpr_no_block(p);
	if (birth & MPR_BIRTH_VALUE)
		return mpr_fail(-EINVAL, "%p is a value or array, which cannot "
				"be moved", p);
	mpr_check_guard(a, &ref, "mproc_realloc");
	used = ref.size - (birth ? mpr_birth_spare(birth) : 0);
	if (!stays(&ref, size)) {
		r = move(a, &ref, used, size, ret_p);
		if (r == 0 || r == -ESTALE || size > ref.size)
			return r;
	}
	mpr_block_set_asked(a, &ref, used, size);
	*ret_p = p;
	return 0;
}

void *
mproc_realloc(void *p, size_t size)
{
	void *moved = NULL;
	int r;

	if (!p)
		return mproc_alloc(size);
	r = resize(p, size, &moved);
	if (r < 0)
		errno = -r;
	return moved;
}
