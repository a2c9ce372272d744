/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of making, opening, closing and
 * unlinking a segment.
 */
#include <stdio.h>
#include <string.h>

#include "common.h"

#define SIZE 5000

struct segment {
	char name[64];
};

/* It is whole, is used, and goes. */
static void
use_up(const struct segment *g, int first)
{
	mproc_shm *s = NULL;
	unsigned char *p;

	assert_int_equal(mproc_shm_open(&s, g->name), 0);
	assert_int_equal(mproc_shm_size(s), SIZE);
	p = mproc_shm_ptr(s);
	assert_int_equal(p[0], first);
	for (int i = 1; i < SIZE; i++)
		assert_int_equal(p[i], 0);
	memset(p, 2, SIZE);
	assert_int_equal(mproc_shm_unlink(g->name), 0);
	mproc_shm_close(s);
}

static void
nothing(void *arg)
{
	(void)arg;
}

static void
make(void *arg)
{
	const struct segment *g = arg;
	mproc_shm *s = NULL;

	assert_int_equal(mproc_shm_create(&s, g->name, SIZE, NULL), 0);
	*(unsigned char *)mproc_shm_ptr(s) = 1;
	mproc_shm_close(s);
}

static void
create_victim(void *arg)
{
	const struct segment *g = arg;
	mproc_shm *s;

	mpt_step_begin();
	must_be(mproc_shm_create(&s, g->name, SIZE, NULL), 0);
	mpt_step_end();
}

/* There is a whole one or none. */
static void
create_survivor(void *arg, pid_t victim, unsigned long k, bool finished)
{
	const struct segment *g = arg;
	mproc_shm *s = NULL;
	int r = mproc_shm_open(&s, g->name);

	(void)victim;
	(void)k;
	assert_true(r == 0 || r == -ENOENT);
	assert_true(r == 0 || !finished);
	mproc_shm_close(s);
	if (r == -ENOENT) {
		assert_int_equal(mproc_shm_create(&s, g->name, SIZE, NULL), 0);
		mproc_shm_close(s);
	}
	use_up(g, 0);
}

static void
open_victim(void *arg)
{
	const struct segment *g = arg;
	mproc_shm *s;

	mpt_step_begin();
	must_be(mproc_shm_open(&s, g->name), 0);
	mpt_step_end();
}

static void
close_victim(void *arg)
{
	const struct segment *g = arg;
	mproc_shm *s;

	must_be(mproc_shm_open(&s, g->name), 0);
	mpt_step_begin();
	mproc_shm_close(s);
	mpt_step_end();
}

static void
open_survivor(void *arg, pid_t victim, unsigned long k, bool finished)
{
	(void)victim;
	(void)k;
	(void)finished;
	use_up(arg, 1);
}

static void
unlink_victim(void *arg)
{
	const struct segment *g = arg;

	mpt_step_begin();
	must_be(mproc_shm_unlink(g->name), 0);
	mpt_step_end();
}

static void
unlink_survivor(void *arg, pid_t victim, unsigned long k, bool finished)
{
	const struct segment *g = arg;
	mproc_shm *s = NULL;
	int r = mproc_shm_open(&s, g->name);

	(void)victim;
	(void)k;
	assert_true(r == 0 || r == -ENOENT);
	assert_true(r == -ENOENT || !finished);
	mproc_shm_close(s);
	if (r == 0)
		use_up(g, 1);
}

static void
run(struct mpt *t, const char *name, void (*before)(void *),
    void (*victim)(void *), void (*survivor)(void *, pid_t, unsigned long, bool))
{
	struct mpt_stepper_result result;
	struct segment g;

	mpt_watchdog(t, 60);
	mpt_name(t, g.name, "step");
	mpt_stepper_run(t, &(struct mpt_stepper_opts){
		.name = name,
		.before = before,
		.victim = victim,
		.survivor = survivor,
		.arg = &g,
	}, &result);
	assert_true(result.cases > 10);
}

static void
killed_in_create(void **state)
{
	run(*state, "create of a segment", nothing, create_victim,
	    create_survivor);
}

static void
killed_in_open(void **state)
{
	run(*state, "open of a segment", make, open_victim, open_survivor);
}

static void
killed_in_close(void **state)
{
	run(*state, "close of a segment", make, close_victim, open_survivor);
}

static void
killed_in_unlink(void **state)
{
	run(*state, "unlink of a segment", make, unlink_victim,
	    unlink_survivor);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_create),
		mpt_test(killed_in_open),
		mpt_test(killed_in_close),
		mpt_test(killed_in_unlink),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
