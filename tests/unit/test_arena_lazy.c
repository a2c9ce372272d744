/* SPDX-License-Identifier: MIT */
/*
 * Lazy blocks: address space first, memory piece by piece, and none of it left
 * when they are freed.
 */
#include <errno.h>

#include <mproc/core.h>

#include "arena/extent.h"
#include "arena/heap.h"
#include "arena/recover.h"
#include "base/owner.h"
#include "common.h"
#include "mpt_refuse.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

static struct mproc_arena_stat
stat_now(void)
{
	struct mproc_arena_stat stat;

	assert_int_equal(mproc_arena_stat(NULL, &stat), 0);
	return stat;
}

static struct mpr_block_ref
reserve(struct mpt *t, size_t size, size_t now)
{
	struct mpr_block_ref ref;

	assert_int_equal(mpr_heap_reserve_lazy(the_arena(), join_arena(t), size,
					       now, &ref), 0);
	assert_true(ref.is_lazy == (size <= MPR_BLOCK_MAX));
	assert_true(!ref.block == (size > MPR_BLOCK_MAX));
	assert_true(ref.size >= size);
	return ref;
}

static void
cancel(struct mpt *t, const struct mpr_block_ref *ref)
{
	mpr_block_cancel(join_arena(t), ref);
}

/* Classes of lanes, and of what is larger than an extent. */
static const size_t sizes[] = {
	4736, 66176, 524928, 1044480, 1044481, MIB, MIB + 640, 2 * MIB,
	4 * MIB + 640, 16 * MIB + 640,
};

#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* What is larger than those of slabs is a run of extents. */
static unsigned
state_of(const struct mpr_block_ref *ref)
{
	struct mpr_extent *x =
		mpr_extent_at(the_arena(), mpr_extent_of(ref->offset));

	if (ref->block)
		return mpr_owner_state(ref->block->state);
	if (mpr_owner_state(x->state) != MPR_EXTENT_USED)
		return mpr_owner_state(x->state); /* FREE and BUSY are alike */
	return x->use & MPR_EXTENT_LINKED ? MPR_BLOCK_LINKED : MPR_BLOCK_LIVE;
}

static void
memory_comes_piece_by_piece_and_goes(void **state)
{
	struct mpt *t = *state;

	for (size_t i = 0; i < N_SIZES; i++) {
		struct mpr_block_ref ref = reserve(t, sizes[i], 4096);
		uint64_t before = stat_now().backed;
		unsigned char *p = mpr_arena_at(the_arena(), ref.offset);
		size_t half = sizes[i] / 2;

		memset(p, 1, 4096);
		assert_int_equal(mpr_heap_back(the_arena(), ref.offset, half),
				 0);
		assert_in_range(stat_now().backed, before, before + half + 4096);
		/* What was there stays. */
		assert_int_equal(p[0], 1);
		assert_int_equal(p[half < 4096 ? half - 1 : 4095], 1);
		memset(p, 2, half);
		assert_int_equal(mpr_heap_back(the_arena(), ref.offset + half,
					       sizes[i] - half), 0);
		memset(p, 3, sizes[i]);
		cancel(t, &ref);
		/* Unless the kernel takes nothing back. */
		if (!mpt_without("remove"))
			assert_true(stat_now().backed <= before);
		assert_int_equal(state_of(&ref), MPR_BLOCK_FREE);
	}
}

static void
a_block_is_found_by_its_start_only(void **state)
{
	struct mpt *t = *state;

	for (size_t i = 0; i < N_SIZES; i++) {
		struct mpr_block_ref ref = reserve(t, sizes[i], 4096), found;

		assert_true(mpr_heap_find(the_arena(), ref.offset, &found));
		assert_ptr_equal(found.block, ref.block);
		assert_int_equal(found.size, ref.size);
		assert_true(found.is_lazy == ref.is_lazy);
		for (size_t at = 4096; at < ref.size; at += MIB / 2)
			if (ref.size > MPR_BLOCK_MAX)
				assert_false(mpr_heap_find(the_arena(),
							   ref.offset + at,
							   &found));
		cancel(t, &ref);
	}
}

static void
blocks_do_not_overlap(void **state)
{
	struct mpr_block_ref ref[3 * N_SIZES];
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;

	for (size_t i = 0; i < 3 * N_SIZES; i++) {
		ref[i] = reserve(t, sizes[i % N_SIZES], 4096);
		/* One at a time may be BUSY; these are somebody's now. */
		mpr_block_commit(join_arena(t), &ref[i], 1, 0);
		for (size_t k = 0; k < i; k++)
			assert_true(ref[k].offset >=
					    ref[i].offset + ref[i].size ||
				    ref[i].offset >=
					    ref[k].offset + ref[k].size);
	}
	assert_int_equal(stat_now().blocks, before.blocks + 3 * N_SIZES);
	for (size_t i = 0; i < 3 * N_SIZES; i++)
		mproc_free(mpr_arena_at(the_arena(), ref[i].offset));
	assert_int_equal(stat_now().blocks, before.blocks);
	assert_int_equal(stat_now().used, before.used);
}

static void
link_to(struct mpt *t, _Atomic uint64_t *home, const struct mpr_block_ref *ref)
{
	assert_int_equal(mpr_block_append(the_arena(), join_arena(t), ref, home,
					  0, 0), 0);
	assert_int_equal(state_of(ref), MPR_BLOCK_LINKED);
}

static void
unlink_from(struct mpt *t, _Atomic uint64_t *home,
	    const struct mpr_block_ref *ref)
{
	assert_true(mpr_block_retire(the_arena(), join_arena(t), ref, home));
	*home = 0;
	cancel(t, ref);
}

/* Whether the page is there, told by looking at it: that would allocate it. */
static bool
is_backed(const unsigned char *page)
{
	uint64_t before = stat_now().backed;

	(void)*(const volatile unsigned char *)page;
	return stat_now().backed == before;
}

/* Its words can be looked at by who has not noticed that it is free. */
static void
the_first_page_of_what_was_linked_stays(void **state)
{
	_Atomic uint64_t *home = mproc_alloc(8);
	struct mpt *t = *state;

	for (size_t i = 0; i < N_SIZES; i++) {
		struct mpr_block_ref ref = reserve(t, sizes[i], sizes[i]);
		unsigned char *p = mpr_arena_at(the_arena(), ref.offset);
		struct mpr_block_ref next;

		memset(p, 7, sizes[i]);
		link_to(t, home, &ref);
		unlink_from(t, home, &ref);
		assert_true(is_backed(p));
		if (!mpt_without("remove"))
			for (size_t at = 4096; at < sizes[i]; at += MIB)
				assert_false(is_backed(p + at));
		/* Also when it is another's, and when it is free again. */
		next = reserve(t, sizes[i], 1);
		assert_int_equal(next.offset, ref.offset);
		assert_true(is_backed(p));
		mpr_block_commit(join_arena(t), &next, 1, 0);
		mproc_free(p);
		assert_true(is_backed(p));
	}
	mproc_free(home);
}

/* It is wiped instead. */
static void
the_page_that_stays_is_zero_for_the_next(void **state)
{
	_Atomic uint64_t *home = mproc_alloc(8);
	struct mpt *t = *state;
	struct mpr_block_ref ref = reserve(t, 3 * MIB, 3 * MIB);
	unsigned char *p = mpr_arena_at(the_arena(), ref.offset), *q;

	for (int round = 0; round < 3; round++) {
		memset(p, 7, 3 * MIB);
		link_to(t, home, &ref);
		unlink_from(t, home, &ref);
		q = mproc_alloc(3 * MIB);
		assert_ptr_equal(q, p);
		for (size_t k = 0; k < 3 * MIB; k++)
			assert_int_equal(q[k], 0);
		memset(q, 8, 3 * MIB);
		mproc_free(q);
		ref = reserve(t, 3 * MIB, 3 * MIB);
		assert_int_equal(p[0], 0);
	}
	cancel(t, &ref);
	mproc_free(home);
}

/* Nobody has ever looked at it as an object. */
static void
nothing_stays_of_a_run_that_was_not_linked(void **state)
{
	struct mpt *t = *state;
	uint64_t before;
	struct mpr_block_ref ref, last = { 0 };

	if (mpt_without("remove"))
		return;
	/* Where no run of an earlier test was. */
	last = reserve(t, 100 * MIB, 0);
	mpr_block_commit(join_arena(t), &last, 1, 0);
	before = stat_now().backed;
	ref = reserve(t, 50 * MIB, 7 * MIB);
	assert_true(stat_now().backed >= before + 7 * MIB);
	assert_true(stat_now().backed < before + 8 * MIB);
	cancel(t, &ref);
	assert_true(stat_now().backed <= before + 4096);
	mproc_free(mpr_arena_at(the_arena(), last.offset));
}

/* What has no memory is nobody's who expects to find some. */
static void
ordinary_blocks_never_come_from_lazy_slabs(void **state)
{
	struct mpt *t = *state;

	for (size_t i = 0; sizes[i] <= MPR_BLOCK_MAX; i++) {
		struct mpr_block_ref ref = reserve(t, sizes[i], 4096);
		uint64_t lazy = ref.offset, end = ref.offset + ref.size;
		uint64_t mine;
		void *p;

		cancel(t, &ref);
		p = mproc_alloc(sizes[i]);
		assert_non_null(p);
		mine = mpr_arena_offset(the_arena(), p);
		assert_true(mine >= end || mine + sizes[i] <= lazy);
		mproc_free(p);
	}
}

static void
a_freed_block_is_used_again(void **state)
{
	struct mpt *t = *state;

	for (size_t i = 0; i < N_SIZES; i++) {
		struct mpr_block_ref first = reserve(t, sizes[i], 4096), ref;

		cancel(t, &first);
		for (int round = 0; round < 10; round++) {
			ref = reserve(t, sizes[i], 4096);
			assert_int_equal(ref.offset, first.offset);
			cancel(t, &ref);
		}
	}
}

static void
too_large_a_block_cannot_be_reserved(void **state)
{
	static const size_t too_large[] = { SIZE_MAX, SIZE_MAX - MIB };
	size_t capacity = stat_now().capacity;
	struct mproc_arena_stat before = stat_now();
	struct mpr_block_ref ref;

	for (size_t i = 0; i < 4; i++) {
		size_t size = i < 2 ? too_large[i] : capacity + 2 - i;

		assert_int_equal(mpr_heap_reserve_lazy(the_arena(),
						       join_arena(*state), size,
						       4096, &ref), -ENOMEM);
	}
	assert_non_null(strstr(mproc_error_detail(), "free in an arena"));
	assert_int_equal(stat_now().used, before.used);
}

/* The victim has a block of 4 MiB in its hands, linked or not. */
static int
hold(struct mpt *t, void *arg)
{
	_Atomic uint64_t *link = mpt_scratch(t);
	struct mpr_block_ref ref;

	mpt_check_int(t, mpr_heap_reserve_lazy(the_arena(), join_arena(t),
					       4 * MIB, 4096, &ref), 0);
	mpr_block_set_home(the_arena(), &ref, *(_Atomic uint64_t **)arg);
	if (((void **)arg)[1])
		**(_Atomic uint64_t **)arg = ref.offset;
	link[0] = ref.offset;
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
expect_fate(struct mpt *t, bool linked)
{
	_Atomic uint64_t *link = mpt_scratch(t), *object = mproc_alloc(16);
	void *arg[2] = { object, linked ? object : NULL };
	struct mproc_arena_stat before = stat_now();
	struct mpr_block_ref ref = { 0 };
	int id = mpt_spawn(t, "victim", hold, arg);

	mpt_reach(t, 1);
	mpt_kill(t, id);
	assert_int_equal(mpr_recover_all(the_arena(), false), 1);
	assert_true(mpr_heap_find(the_arena(), link[0], &ref) == linked);
	ref.offset = link[0];
	assert_int_equal(state_of(&ref), linked ? MPR_BLOCK_LINKED :
						  MPR_BLOCK_FREE);
	if (linked)
		unlink_from(t, object, &ref);
	assert_int_equal(stat_now().blocks, before.blocks);
	assert_int_equal(stat_now().used, before.used);
	mproc_free(object);
}

static void
a_large_block_of_the_dead_is_free(void **state)
{
	expect_fate(*state, false);
}

static void
a_large_linked_block_belongs_to_its_object(void **state)
{
	expect_fate(*state, true);
}

/* A peer that writes anywhere makes the last extent a run that would go on
 * behind the arena. */
static void
no_block_goes_on_behind_the_arena(void **state)
{
	mproc_arena *a = the_arena();
	uint32_t high = mpr_extents_high(a), last = a->n_extents - 1;
	static const uint32_t n[] = { 0, 2, 0x7fffffff, UINT32_MAX };
	struct mpr_extent *x = mpr_extent_at(a, last);
	struct mpr_block_ref ref;

	(void)state;
	assert_int_equal(mpr_arena_back_table(a, MPR_EXTENTS_AT, sizeof(*x),
					      &a->shm->extents_backed,
					      a->n_extents), 0);
	x->state = mpr_owner(1, 0, MPR_EXTENT_USED);
	a->shm->extents_high = a->n_extents;
	for (int i = 0; i < 5; i++) {
		bool found;

		x->use = MPR_EXTENT_RUN | MPR_EXTENT_LINKED |
			 (i < 4 ? n[i] : 1);
		found = mpr_heap_find(a, mpr_extent_offset(last), &ref);
		assert_true(found == (i == 4));
		assert_true(mpr_heap_is_linked(a, mpr_extent_offset(last),
					       MIB) == found);
	}
	a->shm->extents_high = high;
	x->state = 0;
	x->use = 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(memory_comes_piece_by_piece_and_goes),
		mpt_test(a_block_is_found_by_its_start_only),
		mpt_test(blocks_do_not_overlap),
		mpt_test(the_first_page_of_what_was_linked_stays),
		mpt_test(the_page_that_stays_is_zero_for_the_next),
		mpt_test(nothing_stays_of_a_run_that_was_not_linked),
		mpt_test(ordinary_blocks_never_come_from_lazy_slabs),
		mpt_test(a_freed_block_is_used_again),
		mpt_test(too_large_a_block_cannot_be_reserved),
		mpt_test(a_large_block_of_the_dead_is_free),
		mpt_test(a_large_linked_block_belongs_to_its_object),
		mpt_test(no_block_goes_on_behind_the_arena),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
