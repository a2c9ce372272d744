/* SPDX-License-Identifier: MIT */
/*
 * The heap: what is handed out, what is refused, and what becomes of blocks in
 * the hands of the dead.
 */
#include <errno.h>

#include <mproc/core.h>

#include "arena/extent.h"
#include "arena/heap.h"
#include "arena/recover.h"
#include "base/owner.h"
#include "common.h"
#include "mpt_rand.h"

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

static bool
all_bytes_are(const unsigned char *p, unsigned char value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (p[i] != value)
			return false;
	return true;
}

/* Sizes at and around every class, and beyond the largest. */
static const size_t sizes[] = {
	1,	 63,	  64,	   65,	    128,     129,     192,     193,
	256,	 257,	  384,	   385,	    512,     513,     768,     769,
	1024,	 1025,	  1536,	   1537,    2048,    2049,    3072,    3073,
	4096,	 4097,	  8192,	   8193,    12288,   12289,   16384,   16385,
	20480,	 20481,	  28672,   28673,   36864,   36865,   49152,   49153,
	69632,	 69633,	  98304,   98305,   135168,  135169,  196608,  196609,
	266240,	 266241,  393216,  393217,  528384,  528385,  1044480, 1044481,
	1048576, 1048577, 2097152, 5000000,
};

#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void
blocks_of_every_size_are_zeroed_and_aligned(void **state)
{
	struct mproc_arena_stat before = stat_now();
	unsigned char *p[N_SIZES];

	(void)state;
	/* The second round gets blocks that were used. */
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < N_SIZES; i++) {
			p[i] = mproc_alloc(sizes[i]);
			assert_non_null(p[i]);
			assert_int_equal((uintptr_t)p[i] % 64, 0);
			assert_true(mproc_is_shared(p[i]));
			assert_true(mproc_is_shared(p[i] + sizes[i] - 1));
			assert_true(all_bytes_are(p[i], 0, sizes[i]));
			memset(p[i], (int)i + 1, sizes[i]);
		}
		assert_int_equal(stat_now().blocks, before.blocks + N_SIZES);
		for (size_t i = 0; i < N_SIZES; i++)
			assert_true(all_bytes_are(p[i], (unsigned char)(i + 1),
						  sizes[i]));
		for (size_t i = 0; i < N_SIZES; i++)
			mproc_free(p[i]);
		expect_as_before(&before);
	}
}

static void
no_more_is_used_than_twice_what_was_asked_for(void **state)
{
	uint64_t before = stat_now().used;

	(void)state;
	for (size_t size = 64; size <= 1000000; size = size * 9 / 8 + 1) {
		void *p = mproc_alloc(size);

		assert_non_null(p);
		assert_in_range(stat_now().used - before, size,
				2 * size + 64);
		mproc_free(p);
	}
}

static void
what_cannot_be_is_refused_with_a_reason(void **state)
{
	struct mproc_arena_stat before = stat_now();

	(void)state;
	errno = 0;
	assert_null(mproc_alloc(0));
	assert_int_equal(errno, EINVAL);
	assert_null(mproc_alloc(SIZE_MAX));
	assert_int_equal(errno, ENOMEM);
	assert_non_null(strstr(mproc_error_detail(), "18446744073709551615"));
	assert_null(mproc_alloc(before.capacity + 1));
	assert_int_equal(errno, ENOMEM);
	assert_null(mproc_alloc(before.capacity));
	assert_int_equal(errno, ENOMEM);
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
a_second_free_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_SIZES; i++) {
		void *p = mproc_alloc(sizes[i]), *other = mproc_alloc(sizes[i]);

		mproc_free(p);
		expect_refused(p);
		mproc_free(other);
		expect_refused(other);
	}
}

static void
pointers_that_are_no_block_are_refused(void **state)
{
	unsigned char *small = mproc_alloc(100), *large = mproc_alloc(3000000);
	unsigned char *base = the_arena()->shmem.base;
	void *private = malloc(100);
	int local;

	(void)state;
	expect_refused(private);
	expect_refused(&local);
	expect_refused((void *)(uintptr_t)8);
	expect_refused((void *)UINTPTR_MAX);
	expect_refused(base);			       /* the header */
	expect_refused(base + MPR_PARTICIPANTS_AT);
	expect_refused(base + MPR_EXTENTS_AT);
	expect_refused(base + the_arena()->shmem.size - 64);
	expect_refused(small + 1);
	expect_refused(small + 64);
	expect_refused(large + 64);
	expect_refused(large + MPR_EXTENT_SIZE); /* the run's second extent */
	/* A slab's own words. */
	expect_refused(base + ((small - base) & ~(MPR_EXTENT_SIZE - 1)));
	mproc_free(small);
	mproc_free(large);
	free(private);
	mproc_free(NULL);
}

static void
many_cycles_need_no_more_memory_than_one(void **state)
{
	struct mproc_arena_stat before, after;
	void *p[64];

	(void)state;
	for (unsigned round = 0; round < amount(300); round++) {
		for (int i = 0; i < 64; i++) {
			p[i] = mproc_alloc(sizes[i % 50]);
			assert_non_null(p[i]);
		}
		for (int i = 0; i < 64; i++)
			mproc_free(p[i * 37 % 64]);
		if (round == 0)
			before = stat_now();
	}
	after = stat_now();
	assert_int_equal(after.backed, before.backed);
	expect_as_before(&before);
}

static void
runs_are_used_again(void **state)
{
	uint64_t backed;
	void *p;

	(void)state;
	mproc_free(mproc_alloc(4 * MPR_EXTENT_SIZE));
	backed = stat_now().backed;
	for (int i = 0; i < 20; i++) {
		p = mproc_alloc(1 + (size_t)(i % 4) * MPR_EXTENT_SIZE +
				MPR_BLOCK_MAX);
		assert_non_null(p);
		mproc_free(p);
	}
	assert_int_equal(stat_now().backed, backed);
}

/* Blocks of random sizes, filled and verified. */
static int
hammer(struct mpt *t, void *arg)
{
	unsigned char *p[16] = { 0 };
	size_t size[16] = { 0 };
	struct mpt_rand r;

	mpt_rand_init(&r, 7 + (uintptr_t)arg);
	for (unsigned n = amount(8000); n; n--) {
		unsigned i = (unsigned)mpt_rand_below(&r, 16);
		unsigned char tag = (unsigned char)((uintptr_t)arg * 16 + i);

		if (p[i]) {
			mpt_check(t, all_bytes_are(p[i], tag, size[i]));
			mproc_free(p[i]);
			p[i] = NULL;
			continue;
		}
		size[i] = 1 + (size_t)mpt_rand_below(&r, n % 64 ? 600 : 30000);
		p[i] = mproc_alloc(size[i]);
		mpt_check(t, p[i]);
		mpt_check(t, all_bytes_are(p[i], 0, size[i]));
		memset(p[i], tag, size[i]);
	}
	for (unsigned i = 0; i < 16; i++)
		mproc_free(p[i]);
	return 0;
}

static void
hammer_together(struct mpt *t, bool threads)
{
	struct mproc_arena_stat before = stat_now();

	mpt_use_threads(t, threads);
	for (uintptr_t i = 0; i < 4; i++)
		mpt_spawn(t, "hammer", hammer, (void *)i);
	mpt_join_all(t);
	mpr_recover_all(the_arena(), true);
	expect_as_before(&before);
}

static void
threads_never_share_a_block(void **state)
{
	hammer_together(*state, true);
}

static void
processes_never_share_a_block(void **state)
{
	hammer_together(*state, false);
}

static int
free_it(struct mpt *t, void *arg)
{
	(void)t;
	mproc_free(arg);
	return 0;
}

static void
a_block_may_be_freed_by_another_process(void **state)
{
	struct mpt *t = *state;
	struct mproc_arena_stat before = stat_now();
	void *small = mproc_alloc(100), *large = mproc_alloc(3000000);

	mpt_expect_exit(t, mpt_spawn(t, "other", free_it, small), 0);
	mpt_expect_exit(t, mpt_spawn(t, "other", free_it, large), 0);
	mpr_recover_all(the_arena(), true);
	expect_as_before(&before);
	expect_refused(small);
}

/* In the scratch bytes. */
struct board {
	_Atomic(void *) p;
	unsigned n;
};

static int
alloc_and_wait(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	b->p = mproc_alloc((size_t)(uintptr_t)arg);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
what_the_dead_had_allocated_stays(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	struct mproc_arena_stat before = stat_now();
	int id = mpt_spawn(t, "victim", alloc_and_wait, (void *)200);

	mpt_reach(t, 1);
	mpt_kill(t, id);
	assert_int_equal(mpr_recover_all(the_arena(), true), 1);
	assert_int_equal(stat_now().blocks, before.blocks + 1);
	mproc_free(b->p);
	expect_as_before(&before);
}

/*
 * Blocks that become part of an object. The object is a block of two words:
 * the home, and some other word.
 */
static _Atomic uint64_t *object;

enum step {
	RESERVED,
	HOME_SET,
	LINKED,
	RETIRED,
	UNLINKED,
};

static void
unlink_block(struct mpt *t, uint64_t offset)
{
	struct mpr_self *self = join_arena(t);
	struct mpr_block_ref ref;

	assert_true(mpr_heap_find(the_arena(), offset, &ref));
	assert_true(mpr_block_retire(the_arena(), self, &ref, object));
	mpr_block_cancel(self, &ref);
}

static int
come_to(struct mpt *t, void *arg)
{
	enum step step = (enum step)(uintptr_t)arg;
	struct board *b = mpt_scratch(t);
	struct mpr_self *self = join_arena(t);
	struct mpr_block_ref ref;

	mpt_check_int(t, mpr_heap_reserve(the_arena(), self, 200, &ref), 0);
	b->p = ref.block;
	if (step >= HOME_SET)
		mpr_block_set_home(the_arena(), &ref, object);
	if (step == LINKED)
		object[0] = ref.offset;
	if (step >= RETIRED) {
		mpt_check_int(t, mpr_block_append(the_arena(), self, &ref,
						  object, 0, 0), 0);
		mpt_check(t, mpr_block_retire(the_arena(), self, &ref, object));
	}
	if (step >= UNLINKED)
		object[0] = 0;
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
expect_fate(struct mpt *t, enum step step, unsigned fate)
{
	struct mproc_arena_stat before;
	struct board *b = mpt_scratch(t);
	struct mpr_block *block;
	int id;

	object = mproc_alloc(16);
	before = stat_now();
	id = mpt_spawn(t, "victim", come_to, (void *)(uintptr_t)step);
	mpt_reach(t, 1);
	block = b->p;
	assert_int_equal(mpr_owner_state(block->state), MPR_BLOCK_BUSY);
	mpt_kill(t, id);
	assert_int_equal(mpr_recover_all(the_arena(), false), 1);
	assert_int_equal(mpr_owner_state(block->state), fate);
	if (fate == MPR_BLOCK_LINKED)
		unlink_block(t, object[0]);
	expect_as_before(&before);
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

/* A block that is to take another one's place, up to where that is freed or not. */
static struct mpr_block *replaced;

static int
replace_half_way(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct mpr_block_ref ref;
	uint64_t word = replaced->state;

	mpt_check_int(t, mpr_heap_reserve(the_arena(), join_arena(t), 200,
					  &ref), 0);
	ref.block->home = mpr_replaces(
		ref.block->state,
		mpr_arena_offset(the_arena(), &replaced->state), word);
	if (arg)
		replaced->state = mpr_owner_freed(word);
	b->p = ref.block;
	mpt_step(t, b->n++);
	wait_to_be_killed(t);
	return 0;
}

static int
take_and_wait(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct mpr_block_ref ref;

	(void)arg;
	mpt_check(t, mpr_heap_find_live(the_arena(), b->p, &ref));
	mpt_check(t, mpr_block_take(the_arena(), join_arena(t), &ref));
	mpt_step(t, b->n++);
	wait_to_be_killed(t);
	return 0;
}

static void
let_die(struct mpt *t, int (*role)(struct mpt *t, void *arg), void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned n = b->n;
	int id = mpt_spawn(t, "victim", role, arg);

	mpt_reach(t, n + 1);
	mpt_kill(t, id);
	assert_int_equal(mpr_recover_all(the_arena(), false), 1);
}

static void
a_block_is_there_once_the_one_it_replaces_is_not(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	struct mproc_arena_stat before = stat_now();
	void *old = mproc_alloc(100);
	struct mpr_block_ref ref;
	struct mpr_block *block;

	assert_true(mpr_heap_find_live(the_arena(), old, &ref));
	replaced = ref.block;
	let_die(t, replace_half_way, NULL);
	block = b->p;
	assert_int_equal(mpr_owner_state(block->state), MPR_BLOCK_FREE);
	assert_int_equal(mpr_owner_state(replaced->state), MPR_BLOCK_LIVE);
	let_die(t, replace_half_way, old);
	assert_ptr_equal(b->p, block);
	assert_int_equal(mpr_owner_state(block->state), MPR_BLOCK_LIVE);
	assert_int_equal(stat_now().blocks, before.blocks + 1);

	/* In the next one's hands it has replaced nothing. */
	for (struct mproc_arena_block list = { 0 };
	     mproc_arena_next_block(NULL, &list) > 0;)
		b->p = list.p;
	let_die(t, take_and_wait, NULL);
	assert_int_equal(mpr_owner_state(block->state), MPR_BLOCK_FREE);
	expect_as_before(&before);
}

static int
reserve_with_home(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct mpr_block_ref ref;

	mpt_check_int(t, mpr_heap_reserve(the_arena(), join_arena(t), 200,
					  &ref), 0);
	ref.block->home = *(uint64_t *)arg;
	b->p = ref.block;
	mpt_step(t, b->n++);
	wait_to_be_killed(t);
	return 0;
}

static void
a_hostile_home_is_not_followed(void **state)
{
	static uint64_t homes[] = { 1, 4096, UINT64_MAX, UINT64_MAX - 7,
				    MPR_HEAP_AT + 4, MPR_REPLACES,
				    MPR_REPLACES | MPR_REPLACES_AT,
				    MPR_REPLACES | 4096 };
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);

	for (unsigned i = 0; i < sizeof(homes) / 8; i++) {
		int id = mpt_spawn(t, "victim", reserve_with_home, &homes[i]);
		struct mpr_block *block;

		mpt_reach(t, i + 1);
		mpt_kill(t, id);
		assert_int_equal(mpr_recover_all(the_arena(), false), 1);
		block = b->p;
		assert_int_equal(mpr_owner_state(block->state), MPR_BLOCK_FREE);
	}
}

/* A list element: its link is at byte 8. */
struct element {
	uint64_t value;
	_Atomic uint64_t next;
};

static int
append_some(struct mpt *t, void *arg)
{
	struct mpr_self *self = join_arena(t);
	_Atomic uint64_t *list = arg;
	struct mpr_block_ref ref;

	for (unsigned i = 0; i < 50; i++) {
		struct element *e;

		mpt_check_int(t, mpr_heap_reserve(the_arena(), self,
						  sizeof(*e), &ref), 0);
		e = mpr_arena_at(the_arena(), ref.offset);
		e->value = 4711;
		mpt_check_int(t, mpr_block_append(the_arena(), self, &ref, list,
						  offsetof(struct element,
							   next), 1000), 0);
	}
	return 0;
}

static void
appended_blocks_are_all_in_the_list(void **state)
{
	struct mpt *t = *state;
	_Atomic uint64_t *list = mproc_alloc(8);
	uint64_t offset, next;
	unsigned n = 0;

	mpt_use_threads(t, true);
	for (int i = 0; i < 3; i++)
		mpt_spawn(t, "thread", append_some, list);
	mpt_join_all(t);
	for (offset = *list; offset; offset = next, n++) {
		struct element *e = mpr_arena_at(the_arena(), offset);

		assert_int_equal(e->value, 4711);
		assert_true(mpr_heap_is_linked(the_arena(), offset,
					       sizeof(*e)));
		expect_refused(e);
		next = e->next;
		unlink_block(t, offset);
	}
	assert_int_equal(n, 150);
	mproc_free(list);
}

static void
a_corrupt_list_is_reported_and_takes_no_block(void **state)
{
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t);
	_Atomic uint64_t *list = mproc_alloc(64);
	struct mproc_arena_stat before = stat_now();
	static const uint64_t bad[] = { 1, 4, 4096, UINT64_MAX - 7 };
	struct mpr_block_ref ref;

	for (unsigned i = 0; i <= 4; i++) {
		/* At last a list that is a ring. */
		list[0] = i < 4 ? bad[i] : mpr_arena_offset(the_arena(), list);
		list[1] = list[0];
		assert_int_equal(mpr_heap_reserve(the_arena(), self, 16, &ref),
				 0);
		assert_int_equal(mpr_block_append(the_arena(), self, &ref, list,
						  8, 100), -EBADMSG);
		expect_as_before(&before);
	}
	mproc_free(list);
}

static int
append_element(struct mpr_self *self, _Atomic uint64_t *list, unsigned max,
	       struct element **ret)
{
	struct mpr_block_ref ref;

	assert_int_equal(mpr_heap_reserve(the_arena(), self,
					  sizeof(struct element), &ref), 0);
	*ret = mpr_arena_at(the_arena(), ref.offset);
	return mpr_block_append(the_arena(), self, &ref, list,
				offsetof(struct element, next), max);
}

/* Words of a list name what is linked in another list. */
static void
nothing_is_appended_to_a_list_by_way_of_another(void **state)
{
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t);
	_Atomic uint64_t *lists = mproc_alloc(16);
	struct mproc_arena_stat before;
	struct element *e, *other, *refused;

	assert_int_equal(append_element(self, &lists[0], 0, &e), 0);
	assert_int_equal(append_element(self, &lists[1], 0, &other), 0);
	before = stat_now();
	/* Its first one, one that is not, itself. */
	lists[0] = lists[1];
	assert_int_equal(append_element(self, &lists[0], 100, &refused),
			 -EBADMSG);
	lists[0] = mpr_arena_offset(the_arena(), e);
	e->next = lists[1];
	assert_int_equal(append_element(self, &lists[0], 100, &refused),
			 -EBADMSG);
	e->next = lists[0];
	assert_int_equal(append_element(self, &lists[0], 100, &refused),
			 -EBADMSG);
	e->next = 0;
	assert_int_equal(other->next, 0);
	expect_as_before(&before);

	assert_int_equal(append_element(self, &lists[0], 1, &other), 0);
	assert_int_equal(e->next, mpr_arena_offset(the_arena(), other));
	unlink_block(t, e->next);
	unlink_block(t, lists[0]);
	unlink_block(t, lists[1]);
	mproc_free(lists);
}

static void
a_block_is_linked_only_where_none_is(void **state)
{
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t);
	_Atomic uint64_t *homes = mproc_alloc(16);
	struct mpr_block_ref one, other;

	assert_int_equal(mpr_heap_reserve(the_arena(), self, 100, &one), 0);
	assert_true(mpr_block_try_link(the_arena(), self, &one, &homes[0]));
	assert_int_equal(homes[0], one.offset);
	assert_true(mpr_heap_is_linked(the_arena(), one.offset, 100));
	assert_int_equal(mpr_heap_reserve(the_arena(), self, 100, &other), 0);
	assert_false(mpr_block_try_link(the_arena(), self, &other, &homes[0]));
	assert_int_equal(homes[0], one.offset);
	/* It may go elsewhere. */
	assert_true(mpr_block_try_link(the_arena(), self, &other, &homes[1]));
	assert_int_equal(homes[1], other.offset);
	assert_true(mpr_block_unlink(the_arena(), self, &one, &homes[0], 0));
	assert_true(mpr_block_unlink(the_arena(), self, &other, &homes[1], 0));
	mproc_free(homes);
}

static void
only_a_linked_block_is_retired(void **state)
{
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t);
	_Atomic uint64_t *home = mproc_alloc(8);
	void *p = mproc_alloc(100);
	struct mpr_block_ref ref;

	assert_true(mpr_heap_find(the_arena(),
				  mpr_arena_offset(the_arena(), p), &ref));
	assert_false(mpr_block_retire(the_arena(), self, &ref, home));
	assert_false(mpr_heap_is_linked(the_arena(), ref.offset, 1));
	mproc_free(p);

	assert_int_equal(mpr_heap_reserve(the_arena(), self, 100, &ref), 0);
	p = mpr_arena_at(the_arena(), ref.offset);
	assert_int_equal(mpr_block_append(the_arena(), self, &ref, home, 0, 0),
			 0);
	expect_refused(p);
	assert_true(mpr_block_retire(the_arena(), self, &ref, home));
	assert_false(mpr_block_retire(the_arena(), self, &ref, home));
	expect_refused(p);
	mpr_block_cancel(self, &ref);
	assert_false(mpr_block_retire(the_arena(), self, &ref, home));
	mproc_free(home);
}

static void
too_large_a_block_cannot_be_reserved(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpr_self *self = join_arena(*state);
	struct mpr_block_ref ref;

	assert_int_equal(mpr_heap_reserve(the_arena(), self,
					  before.capacity + 1, &ref), -ENOMEM);
	assert_non_null(strstr(mproc_error_detail(), "in an arena of"));
	assert_int_equal(mpr_heap_reserve(the_arena(), self, before.capacity,
					  &ref), -ENOMEM);
	assert_int_equal(mpr_heap_reserve(the_arena(), self, SIZE_MAX, &ref),
			 -ENOMEM);
	expect_as_before(&before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(blocks_of_every_size_are_zeroed_and_aligned),
		mpt_test(no_more_is_used_than_twice_what_was_asked_for),
		mpt_test(what_cannot_be_is_refused_with_a_reason),
		mpt_test(a_second_free_is_refused),
		mpt_test(pointers_that_are_no_block_are_refused),
		mpt_test(many_cycles_need_no_more_memory_than_one),
		mpt_test(runs_are_used_again),
		mpt_test(threads_never_share_a_block),
		mpt_test(processes_never_share_a_block),
		mpt_test(a_block_may_be_freed_by_another_process),
		mpt_test(what_the_dead_had_allocated_stays),
		mpt_test(a_reserved_block_of_the_dead_is_free),
		mpt_test(a_block_that_was_not_linked_yet_is_free),
		mpt_test(a_linked_block_belongs_to_its_object),
		mpt_test(
			a_retired_block_that_is_still_linked_belongs_to_its_object),
		mpt_test(a_retired_block_that_was_unlinked_is_free),
		mpt_test(a_block_is_there_once_the_one_it_replaces_is_not),
		mpt_test(a_hostile_home_is_not_followed),
		mpt_test(appended_blocks_are_all_in_the_list),
		mpt_test(a_corrupt_list_is_reported_and_takes_no_block),
		mpt_test(nothing_is_appended_to_a_list_by_way_of_another),
		mpt_test(a_block_is_linked_only_where_none_is),
		mpt_test(only_a_linked_block_is_retired),
		mpt_test(too_large_a_block_cannot_be_reserved),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
