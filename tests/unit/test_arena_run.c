/* SPDX-License-Identifier: MIT */
/*
 * Blocks of both kinds on their way into objects and out of them: those of
 * slabs, and runs of extents.
 */
#include <errno.h>
#include <signal.h>

#include <mproc/core.h>

#include "arena/extent.h"
#include "arena/heap.h"
#include "arena/recover.h"
#include "base/owner.h"
#include "common.h"
#include "mpt_refuse.h"

#define MIB ((size_t)1 << 20)

static struct mproc_arena_stat
stat_now(void)
{
	struct mproc_arena_stat stat;

	assert_int_equal(mproc_arena_stat(NULL, &stat), 0);
	return stat;
}

static void
expect_as_before(const struct mproc_arena_stat *before)
{
	struct mproc_arena_stat now = stat_now();

	assert_int_equal(now.blocks, before->blocks);
	assert_int_equal(now.used, before->used);
}

static _Atomic uint64_t *
word_of(const struct mpr_block_ref *ref)
{
	if (ref->block)
		return &ref->block->state;
	return &mpr_extent_at(the_arena(), mpr_extent_of(ref->offset))->state;
}

static _Atomic uint64_t *
home_of(const struct mpr_block_ref *ref)
{
	if (ref->block)
		return &ref->block->home;
	return &mpr_extent_at(the_arena(), mpr_extent_of(ref->offset))->home;
}

static unsigned
state_of(const struct mpr_block_ref *ref)
{
	unsigned state = mpr_owner_state(*word_of(ref));
	struct mpr_extent *x =
		mpr_extent_at(the_arena(), mpr_extent_of(ref->offset));

	if (ref->block || state != MPR_EXTENT_USED)
		return state; /* FREE and BUSY are alike */
	return x->use & MPR_EXTENT_LINKED ? MPR_BLOCK_LINKED : MPR_BLOCK_LIVE;
}

static const size_t sizes[] = {
	200, 5000, MPR_BLOCK_MAX, MPR_BLOCK_MAX + 1, MIB, MIB + 1, 2 * MIB,
	7 * MIB + 13,
};

#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

typedef int reserve_fn(mproc_arena *a, struct mpr_self *self, size_t size,
		       struct mpr_block_ref *ret_ref);

static int
reserve_lazy(mproc_arena *a, struct mpr_self *self, size_t size,
	     struct mpr_block_ref *ret_ref)
{
	return mpr_heap_reserve_lazy(a, self, size, 64, ret_ref);
}

static reserve_fn *const kinds[] = {
	mpr_heap_reserve, mpr_heap_reserve_dirty, reserve_lazy,
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static struct mpr_block_ref
reserve(struct mpt *t, size_t size)
{
	struct mpr_block_ref ref;

	assert_int_equal(mpr_heap_reserve_dirty(the_arena(), join_arena(t),
						size, &ref), 0);
	return ref;
}

/* A block that is part of an object, which is one word. */
static struct mpr_block_ref
link_block(struct mpt *t, size_t size, _Atomic uint64_t *home)
{
	struct mpr_block_ref ref = reserve(t, size);

	assert_int_equal(mpr_block_append(the_arena(), join_arena(t), &ref,
					  home, 0, 0), 0);
	return ref;
}

static void
unlink_block(struct mpt *t, _Atomic uint64_t *home)
{
	struct mpr_self *self = join_arena(t);
	struct mpr_block_ref ref;

	assert_true(mpr_heap_find(the_arena(), *home, &ref));
	assert_true(mpr_block_retire(the_arena(), self, &ref, home));
	*home = 0;
	mpr_block_cancel(self, &ref);
}

static void
a_dirty_block_of_any_size_has_all_its_memory(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < N_SIZES; i++) {
			struct mpr_block_ref ref = reserve(t, sizes[i]);
			uint64_t backed = stat_now().backed;

			assert_true(ref.size >= sizes[i]);
			assert_int_equal(state_of(&ref), MPR_BLOCK_BUSY);
			assert_int_equal(mpr_owner_slot(*word_of(&ref)),
					 join_arena(t)->slot);
			memset(mpr_arena_at(the_arena(), ref.offset), 7,
			       ref.size);
			assert_int_equal(stat_now().backed, backed);
			assert_int_equal(stat_now().blocks, before.blocks + 1);
			assert_int_equal(stat_now().used,
					 before.used + ref.size);
			mpr_block_cancel(join_arena(t), &ref);
			assert_int_equal(state_of(&ref), MPR_BLOCK_FREE);
			expect_as_before(&before);
		}
	}
}

static void
a_reserved_block_of_any_size_is_zero(void **state)
{
	struct mpt *t = *state;

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < N_SIZES; i++) {
			struct mpr_self *self = join_arena(t);
			struct mpr_block_ref ref;
			unsigned char *p;

			assert_int_equal(mpr_heap_reserve(the_arena(), self,
							  sizes[i], &ref), 0);
			p = mpr_arena_at(the_arena(), ref.offset);
			for (size_t k = 0; k < ref.size; k++)
				assert_int_equal(p[k], 0);
			memset(p, 7, ref.size);
			mpr_block_cancel(self, &ref);
		}
	}
}

static void
too_large_a_block_cannot_be_reserved(void **state)
{
	struct mproc_arena_stat before = stat_now();
	const size_t size[] = { SIZE_MAX, SIZE_MAX - MIB, before.capacity + 1,
				before.capacity, before.capacity - 1 };
	struct mpr_block_ref ref;

	for (size_t kind = 0; kind < N_KINDS; kind++) {
		for (int i = 0; i < 5; i++) {
			assert_int_equal(kinds[kind](the_arena(),
						     join_arena(*state),
						     size[i], &ref), -ENOMEM);
			assert_non_null(strstr(mproc_error_detail(), "arena"));
		}
	}
	expect_as_before(&before);
}

static int log_lines;

static void
count_error(void *ctx, int level, const char *text)
{
	(void)ctx;
	(void)text;
	log_lines += level == MPROC_LOG_ERROR;
}

/* Freeing @p must do nothing but say so. */
static void
expect_refused(void *p)
{
	struct mproc_arena_stat before = stat_now();

	log_lines = 0;
	mproc_log_set(MPROC_LOG_ERROR, count_error, NULL);
	mproc_free(p);
	mproc_log_set(MPROC_LOG_OFF, NULL, NULL);
	assert_int_equal(log_lines, 1);
	expect_as_before(&before);
}

static void
what_is_part_of_an_object_is_not_freed_by_the_user(void **state)
{
	_Atomic uint64_t *home = mproc_alloc(8);
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;

	for (size_t i = 0; i < N_SIZES; i++) {
		struct mpr_block_ref ref = reserve(t, sizes[i]);
		void *p = mpr_arena_at(the_arena(), ref.offset);

		expect_refused(p); /* BUSY */
		assert_int_equal(mpr_block_append(the_arena(), join_arena(t),
						  &ref, home, 0, 0), 0);
		expect_refused(p); /* LINKED */
		assert_int_equal(state_of(&ref), MPR_BLOCK_LINKED);
		unlink_block(t, home);
		expect_refused(p); /* FREE */
		expect_as_before(&before);
	}
	mproc_free(home);
}

/* Who has written what into a word does not matter, but who was linked there. */
static void
a_block_is_found_where_it_was_linked(void **state)
{
	_Atomic uint64_t *home = mproc_alloc(16), *other = home + 1;
	struct mproc_arena_stat before = stat_now();
	struct mpr_block_ref ref, found;

	for (size_t i = 0; i < N_SIZES; i++) {
		void *users = mproc_alloc(sizes[i]);

		assert_false(mpr_heap_find_at(the_arena(), home, &found));
		ref = link_block(*state, sizes[i], home);
		assert_true(mpr_heap_find_at(the_arena(), home, &found));
		assert_int_equal(found.offset, ref.offset);
		assert_int_equal(found.size, ref.size);
		*other = *home;
		assert_false(mpr_heap_find_at(the_arena(), other, &found));
		*other = mpr_arena_offset(the_arena(), users);
		assert_false(mpr_heap_find_at(the_arena(), other, &found));
		*other = *home + 8;
		assert_false(mpr_heap_find_at(the_arena(), other, &found));
		unlink_block(*state, home);
		mproc_free(users);
		expect_as_before(&before);
	}
	mproc_free(home);
}

static void
what_is_the_users_is_no_part_of_an_object(void **state)
{
	_Atomic uint64_t *home = mproc_alloc(8);
	struct mproc_arena_stat before = stat_now();
	struct mpr_self *self = join_arena(*state);

	for (size_t i = 0; i < N_SIZES; i++) {
		unsigned char *p = mproc_alloc(sizes[i]);
		uint64_t offset = mpr_arena_offset(the_arena(), p);
		struct mpr_block_ref ref;

		assert_true(mpr_heap_find(the_arena(), offset, &ref));
		assert_int_equal(state_of(&ref), MPR_BLOCK_LIVE);
		assert_false(mpr_heap_is_linked(the_arena(), offset, 1));
		assert_false(mpr_block_retire(the_arena(), self, &ref, home));
		assert_int_equal(state_of(&ref), MPR_BLOCK_LIVE);
		assert_true(mpr_birth_is(*home_of(&ref), 0));
		mproc_free(p);
		expect_refused(p);
		assert_false(mpr_heap_is_linked(the_arena(), offset, 1));
		assert_false(mpr_block_retire(the_arena(), self, &ref, home));
		expect_as_before(&before);
	}
	mproc_free(home);
}

/* A block that was committed is like one of alloc. */
static void
a_block_may_become_the_users(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;

	for (size_t kind = 0; kind < N_KINDS; kind++) {
		for (size_t i = 0; i < N_SIZES; i++) {
			struct mpr_block_ref ref;

			assert_int_equal(kinds[kind](the_arena(), join_arena(t),
						     sizes[i], &ref), 0);
			mpr_block_commit(join_arena(t), &ref, 1, 0);
			assert_int_equal(state_of(&ref), MPR_BLOCK_LIVE);
			mproc_free(mpr_arena_at(the_arena(), ref.offset));
			expect_as_before(&before);
		}
	}
}

static void
a_block_is_retired_once(void **state)
{
	_Atomic uint64_t *home = mproc_alloc(8);
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t);

	for (size_t i = 0; i < N_SIZES; i++) {
		struct mpr_block_ref ref = reserve(t, sizes[i]);
		uint64_t word;

		assert_false(mpr_block_retire(the_arena(), self, &ref, home));
		assert_int_equal(mpr_block_append(the_arena(), self, &ref, home,
						  0, 0), 0);
		word = *word_of(&ref);
		assert_true(mpr_block_retire(the_arena(), self, &ref, home));
		assert_int_equal(state_of(&ref), MPR_BLOCK_BUSY);
		assert_true(mpr_owner_epoch(*word_of(&ref)) >
			    mpr_owner_epoch(word));
		assert_false(mpr_block_retire(the_arena(), self, &ref, home));
		*home = 0;
		mpr_block_cancel(self, &ref);
		assert_false(mpr_block_retire(the_arena(), self, &ref, home));
	}
	mproc_free(home);
}

static void
only_its_start_and_its_size_make_it_part_of_an_object(void **state)
{
	_Atomic uint64_t *home = mproc_alloc(8);
	struct mpt *t = *state;

	for (size_t i = 0; i < N_SIZES; i++) {
		struct mpr_block_ref ref = link_block(t, sizes[i], home), other;
		uint64_t at = ref.offset;

		assert_true(mpr_heap_is_linked(the_arena(), at, ref.size));
		assert_false(mpr_heap_is_linked(the_arena(), at, ref.size + 1));
		assert_false(mpr_heap_is_linked(the_arena(), at, SIZE_MAX));
		assert_false(mpr_heap_is_linked(the_arena(), at + 1, 1));
		assert_false(mpr_heap_is_linked(the_arena(), at + 64, 1));
		assert_false(mpr_heap_find(the_arena(), at - 1, &other));
		for (size_t k = MIB; k < ref.size; k += MIB)
			assert_false(mpr_heap_find(the_arena(), at + k,
						   &other));
		unlink_block(t, home);
	}
	mproc_free(home);
}

static void
offsets_outside_the_heap_are_no_blocks(void **state)
{
	mproc_arena *a = the_arena();
	const uint64_t offset[] = {
		0, 8, 4096, MPR_EXTENTS_AT, MPR_HEAP_AT - MIB, MPR_HEAP_AT - 1,
		a->shmem.size - MIB, a->shmem.size, a->shmem.size + MIB,
		UINT64_MAX, UINT64_MAX - MIB + 1, UINT64_C(1) << 63,
	};
	struct mpr_block_ref ref;

	(void)state;
	for (size_t i = 0; i < sizeof(offset) / sizeof(offset[0]); i++) {
		assert_false(mpr_heap_find(a, offset[i], &ref));
		assert_false(mpr_heap_is_linked(a, offset[i], 0));
	}
}

/* So that no chance makes an old one name the block in its next use. */
static void
a_free_block_has_no_home(void **state)
{
	_Atomic uint64_t *home = mproc_alloc(8);
	struct mpt *t = *state;

	for (size_t i = 0; i < N_SIZES; i++) {
		struct mpr_block_ref ref = link_block(t, sizes[i], home);

		assert_int_equal(*home_of(&ref),
				 mpr_arena_offset(the_arena(), home));
		unlink_block(t, home);
		assert_int_equal(*home_of(&ref), 0);
	}
	mproc_free(home);
}

/* A list element: its link is at byte 8. */
struct element {
	uint64_t value;
	_Atomic uint64_t next;
};

static void
a_list_may_have_blocks_of_both_kinds(void **state)
{
	_Atomic uint64_t *list = mproc_alloc(8);
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t);
	struct mpr_block_ref ref;
	struct element *e;

	for (size_t i = 0; i < N_SIZES; i++) {
		ref = reserve(t, sizes[i]);
		e = mpr_arena_at(the_arena(), ref.offset);
		e->value = i;
		e->next = 0;
		assert_int_equal(mpr_block_append(the_arena(), self, &ref, list,
						  offsetof(struct element,
							   next), N_SIZES), 0);
	}
	assert_int_equal(stat_now().blocks, before.blocks + N_SIZES);
	for (size_t i = 0; i < N_SIZES; i++) {
		assert_true(mpr_heap_is_linked(the_arena(), *list, sizes[i]));
		assert_true(mpr_heap_find(the_arena(), *list, &ref));
		e = mpr_arena_at(the_arena(), *list);
		assert_int_equal(e->value, i);
		assert_true(mpr_block_retire(the_arena(), self, &ref, list));
		*list = e->next;
		mpr_block_cancel(self, &ref);
	}
	assert_int_equal(*list, 0);
	expect_as_before(&before);
	mproc_free(list);
}

static void
a_corrupt_list_takes_no_run(void **state)
{
	_Atomic uint64_t *list = mproc_alloc(64);
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;

	list[0] = 4096;
	for (size_t i = 0; i < N_SIZES; i++) {
		struct mpr_block_ref ref = reserve(t, sizes[i]);

		assert_int_equal(mpr_block_append(the_arena(), join_arena(t),
						  &ref, list, 8, 100),
				 -EBADMSG);
		assert_int_equal(state_of(&ref), MPR_BLOCK_FREE);
		expect_as_before(&before);
	}
	mproc_free(list);
}

/*
 * What becomes of blocks in the hands of the dead. The object is a block of one
 * word, the home.
 */
static _Atomic uint64_t *object;

enum step {
	RESERVED,
	HOME_SET,
	LINKED,
	RETIRED,
	UNLINKED,
};

/* What a victim is to do; in the scratch bytes what it has. */
struct plan {
	enum step step;
	size_t size;
	reserve_fn *reserve;
};

static int
come_to(struct mpt *t, void *arg)
{
	const struct plan *plan = arg;
	struct mpr_self *self = join_arena(t);
	struct mpr_block_ref ref;

	mpt_check_int(t, plan->reserve(the_arena(), self, plan->size, &ref), 0);
	if (plan->step >= HOME_SET)
		mpr_block_set_home(the_arena(), &ref, object);
	if (plan->step == LINKED)
		object[0] = ref.offset;
	if (plan->step >= RETIRED) {
		mpt_check_int(t, mpr_block_append(the_arena(), self, &ref,
						  object, 0, 0), 0);
		mpt_check(t, mpr_block_retire(the_arena(), self, &ref, object));
	}
	if (plan->step >= UNLINKED)
		object[0] = 0;
	memcpy(mpt_scratch(t), &ref, sizeof(ref));
	raise(SIGKILL);
	return 0;
}

static void
expect_fate(struct mpt *t, enum step step, unsigned fate)
{
	struct mproc_arena_stat before;

	object = mproc_alloc(8);
	before = stat_now();
	for (size_t n = 0; n < N_KINDS * N_SIZES; n++) {
		struct plan plan = { step, sizes[n / N_KINDS],
				     kinds[n % N_KINDS] };
		struct mpr_block_ref ref;

		mpt_expect_signal(t, mpt_spawn(t, "victim", come_to, &plan),
				  SIGKILL);
		memcpy(&ref, mpt_scratch(t), sizeof(ref));
		assert_int_equal(state_of(&ref), MPR_BLOCK_BUSY);
		assert_int_equal(mpr_recover_all(the_arena(), false), 1);
		assert_int_equal(state_of(&ref), fate);
		if (fate == MPR_BLOCK_LINKED)
			unlink_block(t, object);
		expect_as_before(&before);
		/* All of it can be had again, and none of the victim's bytes or
		 * words is seen in it. */
		ref = reserve(t, plan.size);
		assert_int_equal(*home_of(&ref), 0);
		mpr_block_cancel(join_arena(t), &ref);
	}
	mproc_free(object);
}

static void
a_reserved_block_of_the_dead_is_free(void **state)
{
	expect_fate(*state, RESERVED, MPR_BLOCK_FREE);
}

static void
a_block_that_was_not_linked_yet_is_free(void **state)
{
	expect_fate(*state, HOME_SET, MPR_BLOCK_FREE);
}

static void
a_linked_block_belongs_to_its_object(void **state)
{
	expect_fate(*state, LINKED, MPR_BLOCK_LINKED);
}

static void
a_retired_block_that_is_still_linked_belongs_to_its_object(void **state)
{
	expect_fate(*state, RETIRED, MPR_BLOCK_LINKED);
}

static void
a_retired_block_that_was_unlinked_is_free(void **state)
{
	expect_fate(*state, UNLINKED, MPR_BLOCK_FREE);
}

static int
reserve_with_home(struct mpt *t, void *arg)
{
	struct mpr_block_ref ref;

	mpt_check_int(t, mpr_heap_reserve_dirty(the_arena(), join_arena(t),
						2 * MIB, &ref), 0);
	*home_of(&ref) = *(const uint64_t *)arg;
	memcpy(mpt_scratch(t), &ref, sizeof(ref));
	raise(SIGKILL);
	return 0;
}

static void
a_hostile_home_of_a_run_is_not_followed(void **state)
{
	static uint64_t homes[] = { 1, 4096, UINT64_MAX, UINT64_MAX - 7,
				    MPR_HEAP_AT - 8, MPR_HEAP_AT + 4 };
	struct mpt *t = *state;

	for (unsigned i = 0; i < sizeof(homes) / 8; i++) {
		struct mpr_block_ref ref;

		mpt_expect_signal(t, mpt_spawn(t, "victim", reserve_with_home,
					       &homes[i]), SIGKILL);
		memcpy(&ref, mpt_scratch(t), sizeof(ref));
		assert_int_equal(mpr_recover_all(the_arena(), false), 1);
		assert_int_equal(state_of(&ref), MPR_BLOCK_FREE);
	}
}

static int
be_killed_in_a_free(struct mpt *t, void *arg)
{
	struct mpr_block_ref ref;
	void *p = mproc_alloc(16 * MIB);

	(void)arg;
	mpt_check(t, p && mpr_heap_find_live(the_arena(), p, &ref));
	mpt_check(t, mpr_block_take(the_arena(), join_arena(t), &ref));
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

/* It is free, and nobody has claimed it since. */
static void
the_memory_of_what_the_dead_was_freeing_goes_back(void **state)
{
	struct mpt *t = *state;
	struct mproc_arena_stat before;
	int id;

	assert_true(mproc_arena_recover(NULL) >= 0);
	before = stat_now();
	id = mpt_spawn(t, "victim", be_killed_in_a_free, NULL);
	mpt_reach(t, 1);
	assert_true(stat_now().backed > before.backed + MIB);
	mpt_kill(t, id);
	assert_int_equal(mproc_arena_recover(NULL), 1);
	expect_as_before(&before);
	/* Where nothing can go back, it is zero, and stays. */
	if (!mpt_without("remove"))
		assert_true(stat_now().backed < before.backed + MIB);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_dirty_block_of_any_size_has_all_its_memory),
		mpt_test(a_reserved_block_of_any_size_is_zero),
		mpt_test(too_large_a_block_cannot_be_reserved),
		mpt_test(what_is_part_of_an_object_is_not_freed_by_the_user),
		mpt_test(a_block_is_found_where_it_was_linked),
		mpt_test(what_is_the_users_is_no_part_of_an_object),
		mpt_test(a_block_may_become_the_users),
		mpt_test(a_block_is_retired_once),
		mpt_test(only_its_start_and_its_size_make_it_part_of_an_object),
		mpt_test(offsets_outside_the_heap_are_no_blocks),
		mpt_test(a_free_block_has_no_home),
		mpt_test(a_list_may_have_blocks_of_both_kinds),
		mpt_test(a_corrupt_list_takes_no_run),
		mpt_test(a_reserved_block_of_the_dead_is_free),
		mpt_test(a_block_that_was_not_linked_yet_is_free),
		mpt_test(a_linked_block_belongs_to_its_object),
		mpt_test(
			a_retired_block_that_is_still_linked_belongs_to_its_object),
		mpt_test(a_retired_block_that_was_unlinked_is_free),
		mpt_test(a_hostile_home_of_a_run_is_not_followed),
		mpt_test(the_memory_of_what_the_dead_was_freeing_goes_back),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
