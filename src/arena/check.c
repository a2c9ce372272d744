/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mproc/arena.h>

#include "arena/check.h"
#include "arena/extent.h"
#include "arena/heap.h"
#include "arena/slab.h"
#include "base/error.h"
#include "base/log.h"
#include "base/owner.h"
#include "os/clock.h"
#include "os/cpu.h"

#define PATTERN 0xb5
#define PIECE 1024 /* bytes to look at at once */
#define LOOKS 16

_Atomic int mpr_checking = -1;

/* Two threads that do so at the same time find the same answer. */
bool
mpr_checks_at_first(void)
{
	const char *wanted = getenv(MPR_LOG_CHECK);
	bool is = wanted && strcmp(wanted, "1") == 0;

	atomic_store_explicit(&mpr_checking, is, memory_order_relaxed);
	return is;
}

/* Where the guard ends. */
static size_t
end_of(const struct mpr_block_ref *ref, uint64_t flags)
{
	return ref->size - (flags & MPR_BIRTH_VALUE ? MPR_VALUE_END : 0);
}

uint64_t
mpr_guard(const mproc_arena *a, const struct mpr_block_ref *ref, size_t asked,
	  uint64_t flags)
{
	size_t end = end_of(ref, flags);

	if (asked >= end)
		return 0;
	memset((unsigned char *)mpr_arena_at(a, ref->offset) + asked, PATTERN,
	       end - asked);
	return MPR_BIRTH_GUARDED;
}

/* Who asked for the block, and for how much. */
struct story {
	char text[120];
};

static struct story
story_of(const mproc_arena *a, const struct mpr_block_ref *ref)
{
	struct story s;
	uint64_t birth = mpr_block_birth(a, ref), who = mpr_block_who(a, ref);
	int64_t age = mpr_now_roughly() - mpr_birth_time(birth);

	if (birth)
		snprintf(s.text, sizeof(s.text), "%zu bytes, allocated %lld ms "
			 "ago by process %u, thread %u",
			 (size_t)(ref->size - mpr_birth_spare(birth)),
			 (long long)(age > 0 ? age : 0),
			 (unsigned)who, (unsigned)(who >> 32));
	else
		snprintf(s.text, sizeof(s.text), "at most %zu bytes, of process "
			 "%u, thread %u", (size_t)ref->size, (unsigned)who,
			 (unsigned)(who >> 32));
	return s;
}

/* Bytes [@from, @to) of a block, or fewer: returns how many. Not by looking there:
 * if somebody frees it just now, its memory may be gone. */
static size_t
read_some(const mproc_arena *a, const struct mpr_block_ref *ref, size_t from,
	  size_t to, unsigned char buf[PIECE])
{
	size_t n = to - from < PIECE ? to - from : PIECE;

	if (!mpr_shmem_read(&a->shmem, ref->offset + from, buf, n))
		memcpy(buf, (unsigned char *)mpr_arena_at(a, ref->offset) + from,
		       n);
	return n;
}

/* How many bytes of [@from, @to) are not as they should be, and the first one. */
static size_t
count_written(const mproc_arena *a, const struct mpr_block_ref *ref,
	      size_t from, size_t to, size_t *ret_first)
{
	unsigned char buf[PIECE];
	size_t n = 0, len;

	for (; from < to; from += len) {
		len = read_some(a, ref, from, to, buf);
		for (size_t i = 0; i < len; i++)
			if (buf[i] != PATTERN && !n++)
				*ret_first = from + i;
	}
	return n;
}

void
mpr_check_guard(const mproc_arena *a, const struct mpr_block_ref *ref,
		const char *what)
{
	uint64_t birth, who, again;
	size_t first = 0, n;

	if (!mpr_block_born(a, ref, &birth, &who) ||
	    !(birth & MPR_BIRTH_GUARDED))
		return;
	/* It may be freed meanwhile, or resized to and fro, and have a birth again
	 * that is the same; but not just so each time. */
	for (int i = 0; i < LOOKS; i++) {
		n = count_written(a, ref, ref->size - mpr_birth_spare(birth),
				  end_of(ref, birth), &first);
		mpr_cpu_fence_reads();
		if (!n || !mpr_block_born(a, ref, &again, &who) ||
		    again != birth)
			return;
	}
	mpr_log(MPROC_LOG_ERROR, "%s(%p): %zu bytes behind its end were "
		"written, the first at byte %zu: %s", what,
		mpr_arena_at(a, ref->offset), n, first, story_of(a, ref).text);
}

void
mpr_check_all(const mproc_arena *a)
{
	struct mpr_block_ref ref = { 0 };

	if (!mpr_checks())
		return;
	while (mpr_heap_next_live(a, ref.offset, &ref))
		mpr_check_guard(a, &ref, "mproc_arena_recover");
}

void
mpr_check_explain(const mproc_arena *a, const void *p, const char *what)
{
	uint64_t offset = a ? mpr_arena_offset(a, p) : 0;
	struct mpr_block_ref ref;
	uint64_t birth;
	unsigned state;

	if (!mproc_is_shared(p))
		mpr_log(MPROC_LOG_ERROR, "%s(%p): that is not shared memory",
			what, p);
	else if (!mpr_heap_find_around(a, offset, &ref, &state))
		mpr_log(MPROC_LOG_ERROR, "%s(%p): no block is allocated there",
			what, p);
	else if (state == MPR_BLOCK_FREE) {
		birth = mpr_block_birth(a, &ref);
		mpr_log(MPROC_LOG_ERROR, "%s(%p): no block is allocated there%s%s",
			what, p, birth ? "; what was freed had " : "",
			birth ? story_of(a, &ref).text : "");
	} else if (state != MPR_BLOCK_LIVE)
		mpr_log(MPROC_LOG_ERROR, "%s(%p): that belongs to libmproc, or "
			"is just being freed", what, p);
	else if (offset != ref.offset)
		mpr_log(MPROC_LOG_ERROR, "%s(%p): that is byte %zu of a block of "
			"%s", what, p, (size_t)(offset - ref.offset),
			story_of(a, &ref).text);
	else
		mpr_log(MPROC_LOG_ERROR, "%s(%p): somebody else was faster", what,
			p);
}

int
mpr_no_block(const void *p)
{
	return mproc_is_shared(p) ?
		       mpr_fail(-ESTALE, "no allocated block starts at %p", p) :
		       mpr_fail(-EFAULT, "%p is not shared memory", p);
}
