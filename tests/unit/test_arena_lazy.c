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
	assert_true(ref.is_lazy);
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
	4736, 66176, 524928, 1044480, 1044481, MIB + 640, 2 * MIB + 640,
	4 * MIB + 640, MPR_LAZY_BLOCK_MAX,
};

#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

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
		assert_int_equal(mpr_owner_state(ref.block->state),
				 MPR_BLOCK_FREE);
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
		assert_true(found.is_lazy);
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
		mpr_block_commit(join_arena(t), &ref[i]);
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

/* Its words can be looked at by who has not noticed that it is free. */
static void
the_first_page_of_a_freed_block_stays(void **state)
{
	struct mpt *t = *state;

	for (size_t i = 0; i < N_SIZES; i++) {
		struct mpr_block_ref ref = reserve(t, sizes[i], 4096);
		unsigned char *p = mpr_arena_at(the_arena(), ref.offset);
		uint64_t backed;

		memset(p, 7, 4096);
		cancel(t, &ref);
		backed = stat_now().backed;
		assert_int_equal(p[0], 7);
		assert_int_equal(p[4095], 7);
		assert_int_equal(stat_now().backed, backed);
	}
}

/* What has no memory is nobody's who expects to find some. */
static void
ordinary_blocks_never_come_from_lazy_slabs(void **state)
{
	struct mpt *t = *state;

	for (size_t i = 0; i < N_SIZES; i++) {
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
	struct mpr_block_ref ref;

	assert_int_equal(mpr_heap_reserve_lazy(the_arena(), join_arena(*state),
					       MPR_LAZY_BLOCK_MAX + 1, 4096,
					       &ref), -ENOMEM);
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
	struct mpr_block_ref ref;
	int id = mpt_spawn(t, "victim", hold, arg);

	mpt_reach(t, 1);
	mpt_kill(t, id);
	assert_int_equal(mpr_recover_all(the_arena(), false), 1);
	assert_true(mpr_heap_find(the_arena(), link[0], &ref));
	assert_int_equal(mpr_owner_state(ref.block->state),
			 linked ? MPR_BLOCK_LINKED : MPR_BLOCK_FREE);
	if (linked) {
		assert_true(mpr_block_retire(the_arena(), join_arena(t), &ref,
					     object));
		object[0] = 0;
		cancel(t, &ref);
	}
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

/* A peer that writes anywhere makes the last extent a slab that would go on
 * behind the arena. */
static void
no_block_goes_on_behind_the_arena(void **state)
{
	struct mpr_block_ref ref = reserve(*state, MPR_LAZY_BLOCK_MAX, 4096);
	mproc_arena *a = the_arena();
	uint32_t high = mpr_extents_high(a), last = a->n_extents - 1;
	uint32_t first =
		(uint32_t)((ref.offset - MPR_HEAP_AT) / MPR_EXTENT_SIZE);
	struct mpr_extent *x = mpr_extent_at(a, last);
	bool found;

	cancel(*state, &ref);
	x->use = mpr_extent_at(a, first)->use;
	x->state = mpr_owner(1, 0, MPR_EXTENT_USED);
	a->shm->extents_high = a->n_extents;
	found = mpr_heap_find(a, mpr_extent_offset(last) + 4096, &ref);
	a->shm->extents_high = high;
	x->state = 0;
	x->use = 0;
	assert_false(found);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(memory_comes_piece_by_piece_and_goes),
		mpt_test(a_block_is_found_by_its_start_only),
		mpt_test(blocks_do_not_overlap),
		mpt_test(the_first_page_of_a_freed_block_stays),
		mpt_test(ordinary_blocks_never_come_from_lazy_slabs),
		mpt_test(a_freed_block_is_used_again),
		mpt_test(too_large_a_block_cannot_be_reserved),
		mpt_test(a_large_block_of_the_dead_is_free),
		mpt_test(a_large_linked_block_belongs_to_its_object),
		mpt_test(no_block_goes_on_behind_the_arena),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
