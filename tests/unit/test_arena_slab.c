/* SPDX-License-Identifier: MIT */
/*
 * Slabs: which of them give their memory back, and where free blocks are found.
 */
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "arena/extent.h"
#include "arena/heap.h"
#include "base/fault.h"
#include "base/owner.h"
#include "common.h"

/* Someone slow may look at what was part of an object, or at a value's lock. */
static void
memory_of_objects_and_values_is_not_given_back(void **state)
{
	struct mpr_self *self = join_arena(*state);
	_Atomic uint64_t *home = mproc_alloc(8);
	struct mpr_block_ref ref;
	uint32_t extent[3];

	for (int i = 0; i < 3; i++) {
		/* A size that nobody else has. */
		size_t size = (size_t)(i == 0 ? 6 : i == 1 ? 10 : 14) * 4096;

		assert_int_equal(mpr_heap_reserve(the_arena(), self, size,
						  &ref), 0);
		extent[i] = mpr_extent_of(ref.offset);
		assert_true(mpr_extent_has(the_arena(), extent[i], 65536));
		if (i == 1) {
			assert_int_equal(mpr_block_append(the_arena(), self,
							  &ref, home, 0, 0), 0);
			assert_true(mpr_block_retire(the_arena(), self, &ref,
						     home));
			*home = 0;
			mpr_block_cancel(self, &ref);
			continue;
		}
		mpr_block_commit(self, &ref, size, i ? MPR_BIRTH_VALUE : 0);
		assert_int_equal(mpr_block_free(the_arena(), &ref), 0);
	}
	mpr_heap_trim(the_arena());
	assert_false(mpr_extent_has(the_arena(), extent[0], 65536));
	assert_true(mpr_extent_has(the_arena(), extent[1], 65536));
	assert_true(mpr_extent_has(the_arena(), extent[2], 65536));
	mproc_free(home);
}

/* Whoever finds a slab full says so; it is looked at again when a block of it is
 * free, or when somebody could not say that any more. */
static void
a_slab_that_was_full_is_found_again(void **state)
{
	size_t size = 160 * 4096;
	void *p = mproc_alloc(size), *q = mproc_alloc(size), *more;
	struct mpr_block_ref ref;

	(void)state;
	assert_true(mpr_heap_find_live(the_arena(), p, &ref));
	/* There is one block in each. */
	more = mproc_alloc(size);
	mproc_free(more);
	mproc_free(p);
	assert_ptr_equal(mproc_alloc(size), p);
	/* As one who was killed in between. */
	ref.block->state = mpr_owner_freed(ref.block->state);
	mpr_extent_at(the_arena(), mpr_extent_of(ref.offset))->who = 1;
	more = mproc_alloc(size);
	assert_ptr_not_equal(more, p);
	mpr_heap_trim(the_arena());
	assert_int_equal(mpr_extent_at(the_arena(),
				       mpr_extent_of(ref.offset))->who, 0);
	assert_ptr_equal(mproc_alloc(size), p);
	mproc_free(p);
	mproc_free(q);
	mproc_free(more);
}

/* Of what an extent was before it is a slab, only the first page may be looked at,
 * and that stays: the slab's own words are there. */
static void
a_slab_where_an_object_was_gives_its_memory_back(void **state)
{
	struct mpr_self *self = join_arena(*state);
	_Atomic uint64_t *home = mproc_alloc(8);
	struct mpr_block_ref run, ref;
	uint32_t extent;

	assert_int_equal(mpr_heap_reserve(the_arena(), self, MPR_BLOCK_MAX + 1,
					  &run), 0);
	assert_int_equal(mpr_block_append(the_arena(), self, &run, home, 0, 0),
			 0);
	assert_true(mpr_block_retire(the_arena(), self, &run, home));
	*home = 0;
	mpr_block_cancel(self, &run);
	extent = mpr_extent_of(run.offset);
	assert_true(mpr_extent_is_kept(the_arena(), extent));
	/* A size that nobody else has. */
	assert_int_equal(mpr_heap_reserve(the_arena(), self, 20 * 4096, &ref),
			 0);
	assert_int_equal(mpr_extent_of(ref.offset), extent);
	assert_true(mpr_extent_has(the_arena(), extent, 65536));
	mpr_block_cancel(self, &ref);
	mpr_heap_trim(the_arena());
	assert_false(mpr_extent_has(the_arena(), extent, 65536));
	mproc_free(home);
}

#define SCARCE ((size_t)24 * 4096) /* bytes of blocks of which a slab has 10 */

/* The first slab has no memory any more, and the system none either; the second one
 * has some that is free. */
static void
where_memory_is_short_a_block_that_has_some_is_found(void **state)
{
	unsigned char *p[20], *more;

	(void)state;
	for (int i = 0; i < 20; i++) {
		p[i] = mproc_alloc(SCARCE);
		assert_non_null(p[i]);
		memset(p[i], 0xaa, SCARCE);
	}
	for (int i = 0; i < 19; i++)
		mproc_free(p[i]);
	mpr_heap_trim(the_arena());
	assert_int_equal(mpr_fault_set("fallocate:1+=ENOSPC,populate:1+=ENOMEM"),
			 0);
	for (int i = 10; i < 19; i++) {
		p[i] = mproc_alloc(SCARCE);
		assert_non_null(p[i]);
		assert_true(p[i][0] == 0 &&
			    memcmp(p[i], p[i] + 1, SCARCE - 1) == 0);
	}
	/* A larger one will do, too. */
	assert_null(mproc_alloc((size_t)17 * 4096));
	mproc_free(p[10]);
	more = mproc_alloc((size_t)17 * 4096);
	assert_ptr_equal(more, p[10]);
	assert_int_equal(mpr_fault_set(NULL), 0);
	mproc_free(more);
	for (int i = 11; i < 20; i++)
		mproc_free(p[i]);
}

/* For this thread, while it is not 0: what is awaited for so long, as a fellow that gets
 * no time may need. */
static _Thread_local time_t time_stands_at;

int
clock_gettime(clockid_t clock, struct timespec *ret_now)
{
	if (!time_stands_at)
		return (int)syscall(SYS_clock_gettime, clock, ret_now);
	*ret_now = (struct timespec){ .tv_sec = time_stands_at };
	return 0;
}

struct trimmer {
	struct mpr_self *other;
	_Atomic int state; /* 1: it has the blocks, 2: it can go on */
};

/* Has all the blocks of a slab in its hands, as who trims, until the other one has
 * found none again and again, or has given up; and one of them until that has ended, or
 * it would give back what memory there is. */
static void *
trim_slowly(void *arg)
{
	struct mpr_block_ref ref[10];
	struct trimmer *t = arg;
	struct mpr_self *self;

	if (mpr_self(the_arena(), &self) < 0)
		return NULL;
	for (int i = 0; i < 10; i++)
		if (mpr_heap_reserve(the_arena(), self, SCARCE, &ref[i]) < 0)
			return NULL;
	t->state = 1;
	while (t->state < 2)
		sched_yield();
	while (mpr_fault_hits(MPR_FAULT_FALLOCATE) < 5 &&
	       t->other->shared->in_heap)
		sched_yield();
	for (int i = 0; i < 9; i++)
		mpr_block_cancel(self, &ref[i]);
	while (t->other->shared->in_heap)
		sched_yield();
	mpr_block_cancel(self, &ref[9]);
	return NULL;
}

static void
what_somebody_has_in_hands_is_waited_for(void **state)
{
	struct trimmer trimmer = { .other = join_arena(*state) };
	pthread_t thread;
	void *p;

	assert_int_equal(pthread_create(&thread, NULL, trim_slowly, &trimmer),
			 0);
	mpt_until(*state, trimmer.state == 1);
	assert_int_equal(mpr_fault_set("fallocate:1+=ENOSPC,populate:1+=ENOMEM"),
			 0);
	trimmer.other->shared->in_heap = 1;
	trimmer.state = 2;
	time_stands_at = 1;
	p = mproc_alloc(SCARCE);
	time_stands_at = 0;
	pthread_join(thread, NULL);
	assert_int_equal(mpr_fault_set(NULL), 0);
	assert_non_null(p);
	assert_true(mpr_fault_hits(MPR_FAULT_FALLOCATE) >= 5);
	mproc_free(p);
}

/* The starts of the slab's blocks, of which this is one, are so far apart as these
 * are long, and nothing else is a start. */
static void
expect_blocks_like(const struct mpr_block_ref *one)
{
	uint64_t begin = mpr_extent_offset(mpr_extent_of(one->offset));
	struct mpr_block_ref ref, last = { 0 };
	bool found = false;

	for (uint64_t at = begin; at < begin + MPR_EXTENT_SIZE; at += 64) {
		assert_false(mpr_slab_find(the_arena(), at + 1, &ref));
		if (!mpr_slab_find(the_arena(), at, &ref))
			continue;
		assert_true(!last.size || (at - last.offset == one->size &&
					   ref.block == last.block + 1));
		found = found || ref.block == one->block;
		assert_true((ref.block == one->block) == (at == one->offset));
		last = ref;
	}
	assert_true(found);
}

static void
blocks_of_all_sizes_are_found_by_their_starts(void **state)
{
	size_t size = 1;
	unsigned sizes = 0;

	(void)state;
	while (size <= MPR_BLOCK_MAX) {
		struct mpr_block_ref ref;
		void *p = mproc_alloc(size);

		assert_true(mpr_heap_find_live(the_arena(), p, &ref));
		expect_blocks_like(&ref);
		mproc_free(p);
		/* The next one of those there are. */
		size = (size_t)ref.size + 1;
		sizes++;
	}
	assert_int_equal(sizes, MPR_CLASSES);
}

#define SLABS 6
#define LONE ((size_t)224 * 4096) /* bytes: one block in each slab, nobody else's */

/* How many of these have memory for it. */
static unsigned
backed(const uint32_t *extents)
{
	unsigned n = 0;

	for (int i = 0; i < SLABS; i++)
		n += mpr_extent_has(the_arena(), extents[i], LONE);
	return n;
}

static void
a_few_slabs_at_a_time_give_their_memory_back(void **state)
{
	struct mpr_self *self = join_arena(*state);
	uint32_t extents[SLABS];
	void *p[SLABS];
	unsigned n;

	for (int i = 0; i < SLABS; i++) {
		p[i] = mproc_alloc(LONE);
		assert_non_null(p[i]);
		extents[i] = mpr_extent_of(mpr_arena_offset(the_arena(), p[i]));
	}
	for (int i = 0; i < SLABS; i++) {
		/* Or it would look by itself. */
		self->hints.bytes = 0;
		mproc_free(p[i]);
	}
	assert_int_equal(backed(extents), SLABS);
	/* To the end of the round that has been begun, then once around. */
	while (the_arena()->trim_next)
		mpr_heap_trim_next(the_arena(), self, 1);
	do {
		n = backed(extents);
		mpr_heap_trim_next(the_arena(), self, 1);
		assert_true(n - backed(extents) <= 1);
	} while (the_arena()->trim_next);
	assert_int_equal(backed(extents), 1);
	assert_true(mpr_extent_has(the_arena(), extents[0], LONE));
	mpr_heap_trim(the_arena());
	assert_int_equal(backed(extents), 0);
}

/* Somebody has overwritten how many extents there are. */
static void
who_is_behind_the_last_extent_begins_again(void **state)
{
	struct mpr_self *self = join_arena(*state);
	uint32_t extents[SLABS];
	void *p[SLABS];

	for (int i = 0; i < SLABS; i++) {
		p[i] = mproc_alloc(LONE);
		assert_non_null(p[i]);
		extents[i] = mpr_extent_of(mpr_arena_offset(the_arena(), p[i]));
	}
	for (int i = 0; i < SLABS; i++) {
		self->hints.bytes = 0;
		mproc_free(p[i]);
	}
	/* It has passed one of each class. */
	the_arena()->trim_passed = UINT64_MAX;
	the_arena()->trim_next = 5000;
	assert_true(mpr_extents_high(the_arena()) < 1024);
	mpr_heap_trim_next(the_arena(), self, 1024);
	assert_int_equal(the_arena()->trim_next, 0);
	assert_int_equal(backed(extents), 1);
	assert_true(mpr_extent_has(the_arena(), extents[0], LONE));
}

/* Where the handler is to fork, and who is its parent. */
static struct {
	struct mpt *t;
	void *page;
	struct mpr_block *block;
	struct mpr_self *self;
	bool is_copy;
} forked;

/* In the middle of freeing, which looks at extents once it knows who frees. The copy goes
 * on, with much that its parent has freed, and its parent only then. */
static void
fork_in_here(int signal)
{
	uint64_t live = forked.block->state;
	struct mpr_self *self = forked.self;
	int status;
	pid_t pid;

	(void)signal;
	mprotect(forked.page, MPR_EXTENT_PAGE, PROT_READ | PROT_WRITE);
	self->hints.bytes = MPR_EXTENT_SIZE;
	self->shared->in_heap = 1;
	pid = _Fork();
	forked.is_copy = pid == 0;
	if (forked.is_copy)
		return;
	mpt_check_int(forked.t, waitpid(pid, &status, 0), pid);
	mpt_check_int(forked.t, status, 0);
	/* As it was when the copy came to be. */
	mpt_check_int(forked.t, self->shared->in_heap, 1);
	self->shared->in_heap = 0;
	mpt_check_int(forked.t, mpr_owner_state(forked.block->state),
		      MPR_BLOCK_FREE);
	forked.block->state = live;
}

static int
free_and_fork(struct mpt *t, void *arg)
{
	struct sigaction action = { .sa_handler = fork_in_here };
	void *p = mproc_alloc(8);
	struct mpr_block_ref ref;
	uintptr_t entry;

	(void)arg;
	mpt_check(t, mpr_heap_find_live(the_arena(), p, &ref));
	entry = (uintptr_t)mpr_extent_at(the_arena(), mpr_extent_of(ref.offset));
	forked.t = t;
	forked.self = join_arena(t);
	forked.block = ref.block;
	forked.page = (void *)(entry & ~(uintptr_t)(MPR_EXTENT_PAGE - 1));
	mpt_check_int(t, sigaction(SIGSEGV, &action, NULL), 0);
	mpt_check_int(t, mprotect(forked.page, MPR_EXTENT_PAGE, PROT_NONE), 0);
	mproc_free(p);
	/* Both have freed by themselves, and come to where they look. */
	mpt_check_int(t, forked.self->hints.bytes, 0);
	if (forked.is_copy)
		_exit(0);
	return 0;
}

static void
a_copy_that_frees_does_so_in_nobodys_name(void **state)
{
	mpt_expect_exit(*state, mpt_spawn(*state, "parent", free_and_fork, NULL),
			0);
}

/* What two processes append as one has forked in the middle of that. */
static void
a_copy_does_not_append_what_its_parent_has(void **state)
{
	struct mpr_self *self = join_arena(*state);
	_Atomic uint64_t *list = mproc_alloc(8), *link = list;
	struct mpr_block_ref ref[3];

	for (int i = 0; i < 3; i++) {
		assert_int_equal(mpr_heap_reserve(the_arena(), self, 8, &ref[i]), 0);
		for (int both = 0; both < 2; both++)
			assert_int_equal(mpr_block_append(the_arena(), self, &ref[i],
							  list, 0, 2), 0);
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(*link, ref[i].offset);
		assert_true(mpr_heap_find_at(the_arena(), link, &ref[i]));
		link = mpr_arena_at(the_arena(), ref[i].offset);
	}
	assert_int_equal(*link, 0);
	for (int i = 0; i < 3; i++)
		assert_true(mpr_block_unlink(the_arena(), self, &ref[i], list,
					     i < 2 ? ref[i + 1].offset : 0));
	mproc_free(list);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(memory_of_objects_and_values_is_not_given_back),
		mpt_test(a_slab_that_was_full_is_found_again),
		mpt_test(a_slab_where_an_object_was_gives_its_memory_back),
		mpt_test(where_memory_is_short_a_block_that_has_some_is_found),
		mpt_test(what_somebody_has_in_hands_is_waited_for),
		mpt_test(blocks_of_all_sizes_are_found_by_their_starts),
		mpt_test(a_few_slabs_at_a_time_give_their_memory_back),
		mpt_test(who_is_behind_the_last_extent_begins_again),
		mpt_test(a_copy_that_frees_does_so_in_nobodys_name),
		mpt_test(a_copy_does_not_append_what_its_parent_has),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
