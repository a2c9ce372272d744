/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of alloc, free, and of leaving
 * the arena.
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "arena/extent.h"
#include "arena/heap.h"
#include "arena/participant.h"
#include "arena/recover.h"
#include "base/fault.h"
#include "base/owner.h"
#include "world.h"

/* Enough for a run of extents. */
#define LARGE ((size_t)3 << 19)

/* What the victim has done before. */
enum prelude {
	JOINED, /* nothing but that */
	FREED, /* has freed such a block, which it is given again at once */
	FREED_ALL, /* the same, and its memory has gone back */
};

struct heap {
	size_t size;
	enum prelude prelude;
	void **kept; /* in shared memory: a block that the victim is to free */
	struct mproc_arena_stat before;
};

static void
heap_begin(void *arg)
{
	struct heap *h = arg;

	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(mproc_arena_stat(NULL, &h->before), 0);
	*h->kept = mproc_alloc(h->size);
	assert_non_null(*h->kept);
	memset(*h->kept, 0xaa, h->size);
}

static uint64_t
heap_state(void *arg)
{
	(void)arg;
	return arena_state(NULL);
}

static bool
is_zero(const unsigned char *p, size_t size)
{
	return p[0] == 0 && memcmp(p, p + 1, size - 1) == 0;
}

/* Blocks come and go as if nothing had happened. */
static void
heap_works(struct heap *h)
{
	int n = h->size < LARGE ? 4 : 2;
	unsigned char *p[4];

	for (int i = 0; i < n; i++) {
		p[i] = mproc_alloc(h->size);
		assert_non_null(p[i]);
		assert_true(is_zero(p[i], h->size));
		memset(p[i], i + 1, h->size);
	}
	for (int i = 0; i < n; i++) {
		assert_int_equal(p[i][0], i + 1);
		assert_int_equal(p[i][h->size - 1], i + 1);
		mproc_free(p[i]);
	}
}

/* So many that the first one freed, which comes first again, lies on a page that only
 * blocks have. */
static void
free_all(struct heap *h)
{
	void *p[16];

	for (int i = 0; i < 16; i++)
		p[i] = mproc_alloc(h->size);
	for (int i = 15; i >= 0; i--)
		mproc_free(p[i]);
	mproc_free(*h->kept);
	*h->kept = NULL;
	mpr_heap_trim(mpr_arena_peek());
}

static void
alloc_victim(void *arg)
{
	struct heap *h = arg;
	unsigned char *p;

	mproc_free(mproc_alloc(64));
	if (h->prelude == FREED)
		mproc_free(mproc_alloc(h->size));
	if (h->prelude == FREED_ALL)
		free_all(h);
	/* A large block asks how much memory there is: thousands of
	 * instructions that read files, and touch nothing that is shared. */
	(void)mpr_fault_set("open:1+");
	mpt_step_begin();
	p = mproc_alloc(h->size);
	mpt_step_end();
	if (!p || !is_zero(p, h->size))
		_exit(1);
	mproc_free(p);
}

static void
expect_nothing_left(struct heap *h)
{
	struct mproc_arena_stat now;

	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, h->before.blocks);
	assert_int_equal(now.used, h->before.used);
	assert_int_equal(now.participants, h->before.participants);
}

/* Frees what the victim has left, and returns how many blocks that were. */
static unsigned
free_its_blocks(pid_t victim, size_t size)
{
	struct mproc_arena_block b = { 0 };
	unsigned n = 0;
	int r;

	while ((r = mproc_arena_next_block(NULL, &b)) > 0) {
		if (b.pid != victim)
			continue;
		assert_int_equal(b.tid, victim);
		assert_int_equal(b.size, size);
		assert_false(b.alive);
		assert_true(b.age_ns >= 0);
		mproc_free(b.p);
		n++;
	}
	assert_int_equal(r, 0);
	return n;
}

/* Between commit and return the block exists and nobody knows it: that is an
 * object of the dead, which stays, and can be found. */
static void
alloc_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct heap *h = arg;

	(void)n;
	(void)finished;
	assert_true(mproc_arena_recover(NULL) >= 0);
	heap_works(h);
	mproc_free(*h->kept);
	assert_in_range(free_its_blocks(victim, h->size), 0, 1);
	expect_nothing_left(h);
}

static void
step_alloc(struct mpt *t, const char *name, size_t size, enum prelude prelude)
{
	struct heap h = {
		.size = size,
		.prelude = prelude,
		.kept = mpt_scratch(t),
	};

	mpt_stepper_run(t, &(struct mpt_stepper_opts){
		.name = name,
		.victim = alloc_victim,
		.before = heap_begin,
		.survivor = alloc_survivor,
		.fingerprint = heap_state,
		/* Megabytes keep the kernel busy for a millisecond. */
		.max_cases = size < LARGE ? 0 : 400,
		.arg = &h,
	}, NULL);
}

static void
killed_in_alloc(void **state)
{
	step_alloc(*state, "alloc", 200, JOINED);
}

static void
killed_in_alloc_of_what_it_freed_last(void **state)
{
	step_alloc(*state, "alloc at once", 200, FREED);
}

/* Of a size that nobody else has. */
static void
killed_in_alloc_of_what_has_no_memory_any_more(void **state)
{
	step_alloc(*state, "alloc of what was trimmed", 440, FREED_ALL);
}

static void
killed_in_alloc_of_a_large_block(void **state)
{
	step_alloc(*state, "alloc of 1.5 MiB", LARGE, JOINED);
}

static void
free_victim(void *arg)
{
	struct heap *h = arg;

	mproc_free(mproc_alloc(64));
	mpt_step_begin();
	mproc_free(*h->kept);
	mpt_step_end();
}

/* Freed or not; a second free of what is freed is refused. */
static void
free_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct heap *h = arg;

	(void)victim;
	(void)n;
	(void)finished;
	assert_true(mproc_arena_recover(NULL) >= 0);
	mproc_free(*h->kept);
	heap_works(h);
	expect_nothing_left(h);
}

static void
killed_in_free(void **state)
{
	struct heap h = { .size = 200, .kept = mpt_scratch(*state) };

	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "free",
		.victim = free_victim,
		.before = heap_begin,
		.survivor = free_survivor,
		.fingerprint = heap_state,
		.arg = &h,
	}, NULL);
}

static void
killed_in_free_of_a_large_block(void **state)
{
	struct heap h = { .size = LARGE, .kept = mpt_scratch(*state) };

	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "free of 1.5 MiB",
		.victim = free_victim,
		.before = heap_begin,
		.survivor = free_survivor,
		.fingerprint = heap_state,
		.max_cases = 400,
		.arg = &h,
	}, NULL);
}

#define TRIMMED ((size_t)20 << 10) /* bytes of blocks of which a slab has 51 */
#define FEW 60

struct slabs {
	unsigned char *p[FEW]; /* the last one is in use */
	uint32_t left; /* a free extent of the dead, with memory */
	struct mproc_arena_stat before;
};

/* As one that was claimed by somebody who has been killed. */
static uint32_t
leave_an_extent(void)
{
	mproc_arena *a = mpr_arena_peek();
	int64_t extent = mpr_extent_claim(a, mpr_self_in(a), 1);
	struct mpr_extent *x;

	assert_true(extent >= 0);
	assert_int_equal(mpr_extent_back(a, (uint32_t)extent, MPR_EXTENT_SIZE),
			 0);
	x = mpr_extent_at(a, (uint32_t)extent);
	memset(mpr_arena_at(a, mpr_extent_offset((uint32_t)extent)), 0xaa,
	       MPR_EXTENT_SIZE);
	x->state = mpr_owner_freed(x->state);
	return (uint32_t)extent;
}

/* Two slabs, one of which is empty, one block in the other, and what the dead have
 * left. */
static void
trim_begin(void *arg)
{
	struct slabs *s = arg;

	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(mproc_arena_stat(NULL, &s->before), 0);
	for (int i = 0; i < FEW; i++) {
		s->p[i] = mproc_alloc(TRIMMED);
		assert_non_null(s->p[i]);
		memset(s->p[i], 0xaa, TRIMMED);
	}
	for (int i = 0; i < FEW - 1; i++)
		mproc_free(s->p[i]);
	s->left = leave_an_extent();
}

static void
trim_victim(void *arg)
{
	(void)arg;
	/* One that has memory: nothing is given back for it. */
	mproc_free(mproc_alloc(TRIMMED));
	mpt_step_begin();
	mpr_heap_trim(mpr_arena_peek());
	mpt_step_end();
}

/* All blocks are there, once, and zero, and have memory; and what is in use is as
 * it was. */
static void
trim_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct slabs *s = arg;
	struct mproc_arena_stat now;

	(void)victim;
	(void)n;
	assert_true(mpr_recover_all(mpr_arena_peek(), true) >= 0);
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, s->before.blocks + 1);
	assert_int_equal(mpr_owner_state(mpr_extent_at(mpr_arena_peek(),
						       s->left)->state),
			 MPR_EXTENT_FREE);
	if (finished)
		assert_true(now.backed <= s->before.backed + ((size_t)1 << 20));
	for (int i = 0; i < FEW - 1; i++) {
		s->p[i] = mproc_alloc(TRIMMED);
		assert_non_null(s->p[i]);
		assert_true(is_zero(s->p[i], TRIMMED));
		memset(s->p[i], i + 1, TRIMMED);
	}
	for (int i = 0; i < FEW - 1; i++) {
		assert_int_equal(s->p[i][0], i + 1);
		assert_int_equal(s->p[i][TRIMMED - 1], i + 1);
		mproc_free(s->p[i]);
	}
	for (size_t i = 0; i < TRIMMED; i++)
		assert_int_equal(s->p[FEW - 1][i], 0xaa);
	mproc_free(s->p[FEW - 1]);
	/* Now there are two, and nothing of them stays. */
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, s->before.blocks);
	assert_true(now.backed <= s->before.backed + ((size_t)64 << 10));
}

static void
killed_while_it_gives_memory_back(void **state)
{
	struct slabs s;

	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "trim",
		.victim = trim_victim,
		.before = trim_begin,
		.survivor = trim_survivor,
		.fingerprint = heap_state,
		.every = 100,
		.budget = 100,
		.max_cases = 250,
		.arg = &s,
	}, NULL);
}

/* What a thread does as it ends: lane, seat and slot go back. */
static void
leave_victim(void *arg)
{
	struct world *w = arg;
	struct message m = message(BY_VICTIM, 0);

	if (mproc_queue_put(w->q, &m, sizeof(m), MPROC_NOWAIT) < 0)
		_exit(1);
	mpt_step_begin();
	mpr_self_leave();
	mpt_step_end();
}

static void
leave_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct found found[5];

	(void)victim;
	(void)n;
	(void)finished;
	assert_true(mproc_arena_recover(NULL) >= 0);
	drain(w->q, found);
	assert_int_equal(found[BY_TEST].n, w->queued);
	assert_int_equal(found[BY_VICTIM].n, 1);
	world_end(w);
}

static void
killed_while_it_leaves(void **state)
{
	struct world w = { .t = *state, .queued = 2,
			   .opts.capacity = 4096 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "leave",
		.victim = leave_victim,
		.before = world_begin,
		.survivor = leave_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_alloc),
		mpt_test(killed_in_alloc_of_what_it_freed_last),
		mpt_test(killed_in_alloc_of_what_has_no_memory_any_more),
		mpt_test(killed_in_alloc_of_a_large_block),
		mpt_test(killed_in_free),
		mpt_test(killed_in_free_of_a_large_block),
		mpt_test(killed_while_it_gives_memory_back),
		mpt_test(killed_while_it_leaves),
	};

	return cmocka_run_group_tests(tests, world_setup, NULL);
}
