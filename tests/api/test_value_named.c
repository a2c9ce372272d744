/* SPDX-License-Identifier: MIT */
/*
 * Values and arrays in a named arena, used by processes that have that at different
 * addresses.
 */
#include "named.h"
#include "sync.h"

#define ELEMENTS 10
#define EACH 500

/* In the scratch bytes. */
struct board {
	char name[64];
	int *array; /* of the test */
};

static void
add_many(struct mpt *t, int *array)
{
	mproc_lock *lock = mproc_lock_of(array);

	mpt_check(t, lock);
	for (int i = 0; i < EACH; i++) {
		int r;

		mproc_with_lock_r(lock, r)
			array[0] = array[0] + 1;
		mpt_check_int(t, r, 0);
		mproc_fetch_add(&array[1], 1);
	}
}

static bool
is_waited_for(const mproc_lock *lock)
{
	struct mproc_owner owner;

	return mproc_lock_owner(lock, &owner) == 0 && owner.waiters;
}

static int
use_it_elsewhere(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	mproc_arena *a;
	void *found;
	int *array;

	(void)arg;
	mpt_reach(t, 1);
	mpt_check_int(t, open_elsewhere(&a, b->name, b->array), 0);
	mpt_check_int(t, mproc_arena_find(a, "array", &found, mproc_sec(20)), 0);
	array = found;
	mpt_check(t, array != b->array);
	mpt_check_int(t, mproc_array_len(array), ELEMENTS);
	mpt_check_int(t, array[ELEMENTS - 1], 42);
	add_many(t, array);
	mpt_reach(t, 2);
	/* The test waits for the lock of what is freed here. */
	mpt_check_int(t, mproc_lock_acquire(mproc_lock_of(array),
					    MPROC_FOREVER), 0);
	mpt_step(t, 2);
	mpt_until(t, is_waited_for(mproc_lock_of(array)));
	mpt_check_int(t, mproc_arena_bind(a, "array", NULL), 0);
	mproc_free(array);
	mpt_check(t, !mproc_lock_of(array) && errno == ESTALE);
	mproc_arena_close(a);
	return 0;
}

static void
they_are_the_same_at_another_address(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	static const int init[ELEMENTS] = { [ELEMENTS - 1] = 42 };
	struct mproc_arena_stat before, after;
	mproc_lock *lock;
	mproc_arena *a;
	int id, *array;

	mpt_watchdog(t, 60);
	mpt_name(t, b->name, "value");
	/* Forked before there is anything to inherit. */
	id = mpt_spawn(t, "other", use_it_elsewhere, NULL);
	assert_int_equal(mproc_arena_create(&a, MPROC_OPTS(
		mproc_arena_opts, .name = b->name, .capacity = SIZE)), 0);
	array = mproc_arena_array_new(a, sizeof(int), ELEMENTS, init);
	assert_non_null(array);
	b->array = array;
	assert_int_equal(mproc_arena_bind(a, "array", array), 0);
	lock = mproc_lock_of(array);
	assert_int_equal(mproc_arena_stat(a, &before), 0);
	mpt_step(t, 0);
	add_many(t, array);
	mpt_step(t, 1);
	mpt_reach(t, 3);
	assert_int_equal(array[0], 2 * EACH);
	assert_int_equal(mproc_load(&array[1]), 2 * EACH);
	assert_int_equal(mproc_lock_acquire(lock, MPROC_FOREVER), -ESHUTDOWN);
	mpt_expect_exit(t, id, 0);
	assert_int_equal(mproc_arena_stat(a, &after), 0);
	assert_int_equal(after.blocks, before.blocks - 1);
	mproc_arena_close(a);
	assert_int_equal(mproc_arena_unlink(b->name), 0);
}

static void
what_cannot_be_is_refused(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	mproc_arena *a;
	void *p;

	mpt_name(t, b->name, "value");
	assert_int_equal(mproc_arena_create(&a, MPROC_OPTS(
		mproc_arena_opts, .name = b->name, .capacity = SIZE)), 0);
	p = mproc_arena_array_new(a, 0, 1, NULL);
	assert_true(!p && errno == EINVAL);
	p = mproc_arena_array_new(a, 1, SIZE, NULL);
	assert_true(!p && errno == ENOMEM);
	p = mproc_arena_array_new(a, SIZE_MAX, 2, NULL);
	assert_true(!p && errno == ENOMEM);
	/* The default one. */
	p = mproc_arena_array_new(NULL, 8, 2, NULL);
	assert_int_equal(mproc_array_len(p), 2);
	mproc_free(p);
	mproc_arena_close(a);
	assert_int_equal(mproc_arena_unlink(b->name), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(they_are_the_same_at_another_address),
		mpt_test(what_cannot_be_is_refused),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
