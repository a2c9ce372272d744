/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of making a block part of an
 * object, and of taking it out again: runs of extents, lazy ones, and blocks of
 * slabs.
 */
#include <string.h>
#include <unistd.h>

#include "arena/heap.h"
#include "base/fault.h"
#include "world.h"

#define MIB ((size_t)1 << 20)

/* The object is one word in the arena. */
struct object {
	size_t size;
	bool is_lazy;
	_Atomic uint64_t *home;
	struct mproc_arena_stat before;
};

static struct mpr_self *
self(void)
{
	struct mpr_self *self = NULL;

	(void)mpr_self(mpr_arena_peek(), &self);
	return self;
}

static int
reserve(const struct object *o, struct mpr_block_ref *ret_ref)
{
	return o->is_lazy ?
		       mpr_heap_reserve_lazy(mpr_arena_peek(), self(), o->size,
					     64, ret_ref) :
		       mpr_heap_reserve_dirty(mpr_arena_peek(), self(), o->size,
					      ret_ref);
}

static int
make(const struct object *o)
{
	struct mpr_block_ref ref;
	int r = reserve(o, &ref);

	return r < 0 ? r : mpr_block_append(mpr_arena_peek(), self(), &ref,
					    o->home, 0, 0);
}

static bool
take_apart(const struct object *o)
{
	struct mpr_block_ref ref;

	if (!mpr_heap_find(mpr_arena_peek(), *o->home, &ref) ||
	    !mpr_block_retire(mpr_arena_peek(), self(), &ref, o->home))
		return false;
	*o->home = 0;
	mpr_block_cancel(self(), &ref);
	return true;
}

static void
object_begin(void *arg)
{
	struct object *o = arg;

	assert_true(mproc_arena_recover(NULL) >= 0);
	*o->home = 0;
	assert_int_equal(mproc_arena_stat(NULL, &o->before), 0);
}

static void
linked_begin(void *arg)
{
	struct object *o = arg;
	mproc_arena *a = mpr_arena_peek();

	object_begin(o);
	assert_int_equal(make(o), 0);
	/* It was used all over. */
	assert_int_equal(mpr_heap_back(a, *o->home, o->size), 0);
	memset(mpr_arena_at(a, *o->home), 0xaa, o->size);
}

static uint64_t
object_state(void *arg)
{
	const struct object *o = arg;
	uint64_t home = *o->home;

	return hash(arena_state(NULL), &home, sizeof(home));
}

static void
victim_joins(void)
{
	mproc_free(mproc_alloc(64));
	/* Asking how much memory there is: see test_arena.c. */
	(void)mpr_fault_set("open:1+");
}

static void
link_victim(void *arg)
{
	int r;

	victim_joins();
	mpt_step_begin();
	r = make(arg);
	mpt_step_end();
	if (r < 0)
		_exit(1);
}

static void
unlink_victim(void *arg)
{
	bool done;

	victim_joins();
	mpt_step_begin();
	done = take_apart(arg);
	mpt_step_end();
	if (!done)
		_exit(1);
}

/* The object's word tells whether it has the block. It has all of it, or
 * nothing is left of it; either way the arena is as it was in the end. */
static void
object_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct object *o = arg;
	mproc_arena *a = mpr_arena_peek();
	struct mproc_arena_stat now;
	struct mpr_block_ref ref;
	unsigned char *p;

	(void)victim;
	(void)n;
	(void)finished;
	assert_true(mproc_arena_recover(NULL) >= 0);
	if (*o->home) {
		assert_true(mpr_heap_is_linked(a, *o->home, o->size));
		assert_int_equal(mproc_arena_stat(NULL, &now), 0);
		assert_int_equal(now.blocks, o->before.blocks + 1);
		assert_int_equal(mpr_heap_back(a, *o->home, o->size), 0);
		memset(mpr_arena_at(a, *o->home), 0xbb, o->size);
		assert_true(take_apart(o));
	}
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, o->before.blocks);
	assert_int_equal(now.used, o->before.used);
	assert_int_equal(now.participants, o->before.participants);

	/* The next one finds nothing of it, and is all there. */
	p = mproc_alloc(o->size);
	assert_non_null(p);
	for (size_t i = 0; i < o->size; i += 512)
		assert_int_equal(p[i], 0);
	memset(p, 0xcc, o->size);
	mproc_free(p);
	assert_int_equal(reserve(o, &ref), 0);
	mpr_block_cancel(self(), &ref);
	/* What the dead one's block had is given back now; the look that finds
	 * the instructions allocates a page here and there. */
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	if (o->size > MPR_BLOCK_MAX)
		assert_in_range(now.backed, 0,
				o->before.backed + 32 * UINT64_C(4096));
}

static void
step_object(struct mpt *t, const char *name, size_t size, bool is_lazy,
	    bool is_linked)
{
	void *word = mproc_alloc(8);
	struct object o = { .size = size, .is_lazy = is_lazy, .home = word };

	assert_non_null(word);
	mpt_stepper_run(t, &(struct mpt_stepper_opts){
		.name = name,
		.victim = is_linked ? unlink_victim : link_victim,
		.before = is_linked ? linked_begin : object_begin,
		.survivor = object_survivor,
		.fingerprint = object_state,
		/* Megabytes keep the kernel busy for a millisecond. */
		.max_cases = size > MPR_BLOCK_MAX ? 400 : 0,
		.arg = &o,
	}, NULL);
	mproc_free(word);
}

static void
killed_while_it_links_a_block_of_a_slab(void **state)
{
	step_object(*state, "link 200 bytes", 200, false, false);
}

static void
killed_while_it_links_a_run(void **state)
{
	step_object(*state, "link 2 MiB", 2 * MIB, false, false);
}

static void
killed_while_it_links_a_lazy_run(void **state)
{
	step_object(*state, "link lazy 2 MiB", 2 * MIB + 640, true, false);
}

static void
killed_while_it_unlinks_a_block_of_a_slab(void **state)
{
	step_object(*state, "unlink 200 bytes", 200, false, true);
}

static void
killed_while_it_unlinks_a_run(void **state)
{
	step_object(*state, "unlink 2 MiB", 2 * MIB, false, true);
}

static void
killed_while_it_unlinks_a_lazy_run(void **state)
{
	step_object(*state, "unlink lazy 2 MiB", 2 * MIB + 640, true, true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_while_it_links_a_block_of_a_slab),
		mpt_test(killed_while_it_links_a_run),
		mpt_test(killed_while_it_links_a_lazy_run),
		mpt_test(killed_while_it_unlinks_a_block_of_a_slab),
		mpt_test(killed_while_it_unlinks_a_run),
		mpt_test(killed_while_it_unlinks_a_lazy_run),
	};

	return cmocka_run_group_tests(tests, world_setup, NULL);
}
