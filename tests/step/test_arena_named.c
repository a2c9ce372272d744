/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of making, opening and closing a
 * named arena, and of giving an object in it a name.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "world.h"

#define SIZE ((size_t)16 << 20)

struct named {
	char name[64];
	mproc_arena *arena;
	void *object;
	bool is_bound; /* in the beginning */
};

static int
create(const struct named *n, mproc_arena **ret_a)
{
	return mproc_arena_create(ret_a, MPROC_OPTS(
		mproc_arena_opts, .name = n->name, .capacity = SIZE));
}

/* The arena works, and is all there is. */
static void
use(mproc_arena *a)
{
	mproc_lock *lock = mproc_arena_alloc(a, sizeof(*lock), 0);
	struct mproc_arena_stat stat;

	assert_non_null(lock);
	assert_int_equal(mproc_lock_acquire(lock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_lock_release(lock), 0);
	mproc_free(lock);
	assert_true(mproc_arena_recover(a) >= 0);
	assert_int_equal(mproc_arena_stat(a, &stat), 0);
	assert_int_equal(stat.participants, 1);
	assert_int_equal(stat.capacity, SIZE);
}

/* Making it. */

static void
nothing(void *arg)
{
	(void)arg;
}

static void
create_victim(void *arg)
{
	mproc_arena *a;

	mpt_step_begin();
	must_be(create(arg, &a), 0);
	mpt_step_end();
}

/* There is a whole one or none, and then the next creator makes it. */
static void
create_survivor(void *arg, pid_t victim, unsigned long k, bool finished)
{
	struct named *n = arg;
	mproc_arena *a = NULL;
	int r = mproc_arena_open(&a, n->name, MPROC_NOWAIT);

	(void)victim;
	(void)k;
	assert_true(r == 0 || r == -ENOENT);
	assert_true(r == 0 || !finished);
	if (r == -ENOENT)
		assert_int_equal(create(n, &a), 0);
	use(a);
	mproc_arena_close(a);
	assert_int_equal(mproc_arena_unlink(n->name), 0);
}

static void
run(struct mpt *t, struct named *n, const char *name, void (*before)(void *),
    void (*victim)(void *),
    void (*survivor)(void *, pid_t, unsigned long, bool))
{
	struct mpt_stepper_result result;

	mpt_watchdog(t, 60);
	mpt_name(t, n->name, "arena");
	mpt_stepper_run(t, &(struct mpt_stepper_opts){
		.name = name,
		.before = before,
		.victim = victim,
		.survivor = survivor,
		.arg = n,
	}, &result);
	assert_true(result.cases > 10);
}

static void
killed_in_create(void **state)
{
	struct named n = { .arena = NULL };

	run(*state, &n, "create of a named arena", nothing, create_victim,
	    create_survivor);
}

/* Opening it, which makes nobody a participant, and closing it, which ends one. */

static void
made(void *arg)
{
	struct named *n = arg;

	assert_int_equal(create(n, &n->arena), 0);
	mproc_arena_close(n->arena);
}

static void
open_victim(void *arg)
{
	struct named *n = arg;
	mproc_arena *a;

	mpt_step_begin();
	must_be(mproc_arena_open(&a, n->name, MPROC_NOWAIT), 0);
	mpt_step_end();
}

static void
close_victim(void *arg)
{
	struct named *n = arg;
	mproc_lock *lock;
	mproc_arena *a;

	must_be(mproc_arena_open(&a, n->name, MPROC_NOWAIT), 0);
	lock = mproc_arena_alloc(a, sizeof(*lock), 0);
	must_be(mproc_arena_bind(a, "lock", lock), 0);
	must_be(mproc_lock_acquire(lock, MPROC_NOWAIT), 0);
	mpt_step_begin();
	mproc_arena_close(a);
	mpt_step_end();
}

static void
open_survivor(void *arg, pid_t victim, unsigned long k, bool finished)
{
	struct named *n = arg;
	mproc_arena *a;

	(void)victim;
	(void)k;
	(void)finished;
	assert_int_equal(mproc_arena_open(&a, n->name, MPROC_NOWAIT), 0);
	use(a);
	mproc_arena_close(a);
	assert_int_equal(mproc_arena_unlink(n->name), 0);
}

static void
close_survivor(void *arg, pid_t victim, unsigned long k, bool finished)
{
	struct named *n = arg;
	mproc_arena *a;
	void *lock;

	assert_int_equal(mproc_arena_open(&a, n->name, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_arena_find(a, "lock", &lock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_lock_acquire(lock, mproc_sec(20)),
			 MPROC_OWNER_DIED);
	mproc_arena_close(a);
	open_survivor(arg, victim, k, finished);
}

static void
killed_in_open_and_close(void **state)
{
	struct named n = { .arena = NULL };

	run(*state, &n, "open of a named arena", made, open_victim,
	    open_survivor);
	run(*state, &n, "close of a named arena", made, close_victim,
	    close_survivor);
}

/* Names of objects, in the default arena. */

static void
maybe_bound(void *arg)
{
	struct named *n = arg;

	assert_true(mproc_arena_recover(NULL) >= 0);
	(void)mproc_arena_bind(NULL, "object", NULL);
	if (n->is_bound)
		assert_int_equal(mproc_arena_bind(NULL, "object", n->object),
				 0);
}

static void
bind_victim(void *arg)
{
	struct named *n = arg;

	must_be(mproc_arena_bind(NULL, "other", n->object), 0);
	must_be(mproc_arena_bind(NULL, "other", NULL), 0);
	mpt_step_begin();
	must_be(mproc_arena_bind(NULL, "object",
				 n->is_bound ? NULL : n->object), 0);
	mpt_step_end();
}

static void
bind_survivor(void *arg, pid_t victim, unsigned long k, bool finished)
{
	struct named *n = arg;
	void *found = NULL;
	int r;

	(void)victim;
	(void)k;
	assert_true(mproc_arena_recover(NULL) >= 0);
	r = mproc_arena_find(NULL, "object", &found, MPROC_NOWAIT);
	assert_true(r == 0 || r == -ENOENT);
	if (finished)
		assert_int_equal(r, n->is_bound ? -ENOENT : 0);
	if (r == 0)
		assert_ptr_equal(found, n->object);
	assert_int_equal(mproc_arena_bind(NULL, "object", r == 0 ? NULL :
					  n->object), 0);
	assert_int_equal(mproc_arena_find(NULL, "object", &found,
					  MPROC_NOWAIT),
			 r == 0 ? -ENOENT : 0);
}

static void
killed_in_bind(void **state)
{
	struct named n = { .object = mproc_alloc(64) };

	assert_non_null(n.object);
	run(*state, &n, "bind", maybe_bound, bind_victim, bind_survivor);
	n.is_bound = true;
	run(*state, &n, "end of a binding", maybe_bound, bind_victim,
	    bind_survivor);
	(void)mproc_arena_bind(NULL, "object", NULL);
	mproc_free(n.object);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_create),
		mpt_test(killed_in_open_and_close),
		mpt_test(killed_in_bind),
	};

	return cmocka_run_group_tests(tests, world_setup, NULL);
}
