/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of mproc_realloc(), of small blocks
 * and of runs of extents, where the block moves and where it stays.
 *
 * What must hold after any kill: there is one block, the old one or the new one,
 * with all the bytes that it should have, and whoever looks finds it.
 */
#include <string.h>

#include "base/fault.h"
#include "world.h"

/* Enough for a run of two extents, and as little as that: its bytes are copied in steps,
 * too. */
#define LARGE ((size_t)MPR_EXTENT_SIZE + 8192)

struct scene {
	size_t from, to;
	void **kept; /* in shared memory: what the victim is to resize */
	unsigned old, new; /* cases in which the one or the other was there */
	struct mproc_arena_stat before;
};

static void
fill(unsigned char *p, size_t size, unsigned tag)
{
	for (size_t i = 0; i < size; i++)
		p[i] = (unsigned char)(tag + i % 251);
}

static bool
is_good(const unsigned char *p, size_t size, unsigned tag)
{
	for (size_t i = 0; i < size; i++)
		if (p[i] != (unsigned char)(tag + i % 251))
			return false;
	return true;
}

static uint64_t
heap_state(void *arg)
{
	(void)arg;
	return arena_state(NULL);
}

static void
begin(void *arg)
{
	struct scene *s = arg;

	recover();
	assert_int_equal(mproc_arena_stat(NULL, &s->before), 0);
	*s->kept = mproc_alloc(s->from);
	assert_non_null(*s->kept);
	fill(*s->kept, s->from, 1);
}

static void
victim(void *arg)
{
	struct scene *s = arg;
	unsigned char *p;

	mproc_free(mproc_alloc(64));
	/* A large block asks how much memory there is, in thousands of
	 * instructions. */
	(void)mpr_fault_set("open:1+");
	mpt_step_begin();
	p = mproc_realloc(*s->kept, s->to);
	mpt_step_end();
	if (!p)
		_exit(1);
}

/* Blocks of both sizes come and go, and are zeroed. */
static void
heap_works(const struct scene *s)
{
	for (int i = 0; i < 2; i++) {
		size_t size = i ? s->from : s->to;
		unsigned char *p[2];

		for (int k = 0; k < 2; k++) {
			p[k] = mproc_alloc(size);
			assert_non_null(p[k]);
			assert_true(p[k][0] == 0 &&
				    memcmp(p[k], p[k] + 1, size - 1) == 0);
			fill(p[k], size, 2);
		}
		assert_ptr_not_equal(p[0], p[1]);
		mproc_free(p[0]);
		mproc_free(p[1]);
	}
}

static void
survivor(void *arg, pid_t pid, unsigned long n, bool finished)
{
	struct scene *s = arg;
	size_t shared = s->from < s->to ? s->from : s->to;
	struct mproc_arena_block b = { 0 }, it = { 0 };
	struct mproc_arena_stat now;
	unsigned found = 0;

	(void)n;
	recover();
	while (mproc_arena_next_block(NULL, &b) > 0)
		if (b.p == *s->kept || b.pid == pid) {
			it = b;
			found++;
		}
	assert_int_equal(found, 1);
	assert_true(is_good(it.p, shared, 1));
	if (it.pid == pid) {
		/* Killed before it said so, its size is all there is. */
		assert_true(it.size == s->to ||
			    (it.size > s->to && it.age_ns == -1 && !finished));
		assert_false(it.alive);
		s->new++;
	} else {
		assert_true(it.size == s->from || it.size == s->to);
		assert_int_equal(it.pid, getpid());
		/* It may have been cut off. */
		assert_true(is_good(it.p, it.size < s->from ? it.size : s->from,
				    1));
		s->old++;
	}
	heap_works(s);
	assert_true(is_good(it.p, shared, 1));
	mproc_free(it.p);
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, s->before.blocks);
	assert_int_equal(now.used, s->before.used);
	assert_int_equal(now.participants, s->before.participants);
}

static void
step(struct mpt *t, const char *name, size_t from, size_t to, bool moves)
{
	struct scene s = { .from = from, .to = to, .kept = mpt_scratch(t) };
	/* So that their slabs are there, and are not trimmed: each would be
	 * 100,000 instructions more. */
	void *others[] = { mproc_alloc(from), mproc_alloc(to) };

	mpt_watchdog(t, 120);
	mpt_stepper_run(t, &(struct mpt_stepper_opts){
		.name = name,
		.victim = victim,
		.before = begin,
		.survivor = survivor,
		.fingerprint = heap_state,
		/* Megabytes keep the kernel busy for a millisecond, and are
		 * copied in many instructions. */
		.every = 500,
		.budget = 100,
		.max_cases = from >= LARGE && to > from		 ? 30 :
			     from >= LARGE || to >= LARGE ? 60 : 0,
		.arg = &s,
	}, NULL);
	mproc_free(others[0]);
	mproc_free(others[1]);
	assert_true(s.old > 0);
	assert_true(moves == (s.new > 0));
}

static void
killed_while_it_moves_a_small_block(void **state)
{
	step(*state, "from 100 to 300 bytes", 100, 300, true);
	step(*state, "from 700 to 70 bytes", 700, 70, true);
}

static void
killed_while_a_block_stays(void **state)
{
	step(*state, "from 650 to 700 bytes", 650, 700, false);
	step(*state, "from 760 to 650 bytes", 760, 650, false);
}

static void
killed_while_a_block_becomes_a_run(void **state)
{
	step(*state, "from 100 bytes to two extents", 100, LARGE, true);
}

static void
killed_while_a_run_becomes_a_block(void **state)
{
	step(*state, "from two extents to 100 bytes", LARGE, 100, true);
}

static void
killed_while_it_moves_a_run(void **state)
{
	step(*state, "from two to three extents", LARGE, 2 * LARGE, true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_while_it_moves_a_small_block),
		mpt_test(killed_while_a_block_stays),
		mpt_test(killed_while_a_block_becomes_a_run),
		mpt_test(killed_while_a_run_becomes_a_block),
		mpt_test(killed_while_it_moves_a_run),
	};

	return cmocka_run_group_tests(tests, world_setup, NULL);
}
