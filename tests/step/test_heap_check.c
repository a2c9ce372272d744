/* SPDX-License-Identifier: MIT */
/*
 * A process in the checking mode is killed after each instruction of
 * mproc_realloc(). Whoever looks at its block finds no guard broken: there is a
 * whole one, or none.
 */
#include <stdlib.h>
#include <string.h>

#include "world.h"

struct scene {
	size_t from, to;
	void **kept; /* in shared memory: what the victim is to resize */
	struct mproc_arena_stat before;
};

static int alarms;

static void
count(void *ctx, int level, const char *text)
{
	(void)ctx;
	(void)text;
	alarms += level == MPROC_LOG_ERROR;
}

static uint64_t
heap_state(void *arg)
{
	const struct scene *s = arg;

	return hash(arena_state(NULL), *s->kept, 1024);
}

static void
begin(void *arg)
{
	struct scene *s = arg;

	recover();
	assert_int_equal(mproc_arena_stat(NULL, &s->before), 0);
	*s->kept = mproc_alloc(s->from);
	assert_non_null(*s->kept);
	memset(*s->kept, 0x11, s->from);
}

static void
victim(void *arg)
{
	struct scene *s = arg;
	unsigned char *p;

	mproc_free(mproc_alloc(64));
	mpt_step_begin();
	p = mproc_realloc(*s->kept, s->to);
	mpt_step_end();
	if (!p)
		_exit(1);
}

static void
survivor(void *arg, pid_t pid, unsigned long n, bool finished)
{
	struct scene *s = arg;
	struct mproc_arena_block b = { 0 }, it = { 0 };
	struct mproc_arena_stat now;
	unsigned char *p;

	(void)n;
	(void)finished;
	alarms = 0;
	mproc_log_set(MPROC_LOG_ERROR, count, NULL);
	recover();
	while (mproc_arena_next_block(NULL, &b) > 0)
		if (b.p == *s->kept || b.pid == pid)
			it = b;
	p = it.p;
	assert_non_null(p);
	/* What is new in it is zero. */
	for (size_t i = s->from; i < it.size; i++)
		assert_true(p[i] == 0 || it.age_ns == -1);
	p = mproc_realloc(p, s->to);
	assert_non_null(p);
	for (size_t i = 0; i < s->to; i++)
		assert_int_equal(p[i], i < s->from ? 0x11 : 0);
	recover();
	assert_int_equal(alarms, 0);
	p[s->to] = 0;
	mproc_free(p);
	assert_int_equal(alarms, 1);
	mproc_log_set(MPROC_LOG_OFF, NULL, NULL);
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, s->before.blocks);
}

static void
step(struct mpt *t, const char *name, size_t from, size_t to)
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
		.every = 500,
		.budget = 100,
		.arg = &s,
	}, NULL);
	mproc_free(others[0]);
	mproc_free(others[1]);
}

static void
killed_while_a_guarded_block_grows_where_it_is(void **state)
{
	step(*state, "from 600 to 700 bytes", 600, 700);
}

static void
killed_while_it_moves_a_guarded_block(void **state)
{
	step(*state, "from 200 to 900 bytes", 200, 900);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_while_a_guarded_block_grows_where_it_is),
		mpt_test(killed_while_it_moves_a_guarded_block),
	};

	setenv("MPROC_HEAP_CHECK", "1", 1);
	return cmocka_run_group_tests(tests, world_setup, NULL);
}
