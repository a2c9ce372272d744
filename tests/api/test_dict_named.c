/* SPDX-License-Identifier: MIT */
/*
 * A dict in a named arena, used by processes that have that at different addresses.
 */
#include "dict.h"
#include "named.h"

#define EACH 500

/* In the scratch bytes. */
struct board {
	char name[64];
	mproc_dict *d; /* of the test */
};

static void
add_many(struct mpt *t, mproc_dict *d)
{
	for (int i = 0; i < EACH; i++) {
		mpt_check_int(t, mproc_dict_add(d, mproc_str("sum"),
						mproc_int(1), NULL), 0);
		mpt_check_int(t, mproc_dict_set(d, mproc_int(i),
						mproc_int(i)), 0);
	}
}

static int
use_it_elsewhere(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct mproc_any got;
	mproc_arena *a;
	void *found;

	(void)arg;
	mpt_reach(t, 1);
	mpt_check_int(t, open_elsewhere(&a, b->name, b->d), 0);
	mpt_check_int(t, mproc_arena_find(a, "dict", &found, mproc_sec(20)), 0);
	mpt_check(t, found != b->d);
	mpt_check_int(t, mproc_dict_get(found, mproc_str("text"), &got), 0);
	mpt_check(t, got.kind == MPROC_STR && strcmp(got.ptr, "hello") == 0);
	mproc_any_clear(&got);
	mpt_check_int(t, mproc_dict_get(found, mproc_str("number"), &got), 0);
	mpt_check_int(t, got.kind, MPROC_REF);
	mpt_check_int(t, *(const int *)got.ptr, 42);
	/* Also as a key it means the same. */
	mpt_check_int(t, mproc_dict_has(found, got), 1);
	mpt_check_int(t, mproc_dict_has(found, mproc_ref(found)), 0);
	add_many(t, found);
	mproc_arena_close(a);
	return 0;
}

static void
it_is_the_same_at_another_address(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	mproc_dict *d, *other = new_dict();
	int id, *number;
	mproc_arena *a;

	mpt_watchdog(t, 60);
	mpt_name(t, b->name, "dict");
	/* Forked before there is anything to inherit. */
	id = mpt_spawn(t, "other", use_it_elsewhere, NULL);
	assert_int_equal(mproc_arena_create(&a, MPROC_OPTS(
		mproc_arena_opts, .name = b->name, .capacity = SIZE)), 0);
	assert_int_equal(mproc_dict_create(&d, MPROC_OPTS(mproc_dict_opts,
							  .arena = a)), 0);
	number = mproc_arena_alloc(a, sizeof(*number), 0);
	assert_non_null(number);
	*number = 42;
	assert_int_equal(mproc_dict_set(d, mproc_str("text"),
					mproc_str("hello")), 0);
	assert_int_equal(mproc_dict_set(d, mproc_str("number"),
					mproc_ref(number)), 0);
	assert_int_equal(mproc_dict_set(d, mproc_ref(number), mproc_nil()), 0);
	/* Each refers to its own arena only. */
	assert_int_equal(mproc_dict_set(d, mproc_nil(), mproc_ref(other)),
			 -EFAULT);
	assert_int_equal(mproc_dict_set(other, mproc_nil(), mproc_ref(d)),
			 -EFAULT);
	b->d = d;
	assert_int_equal(mproc_arena_bind(a, "dict", d), 0);
	mpt_step(t, 0);
	add_many(t, d);
	mpt_expect_exit(t, id, 0);
	expect_there(d, mproc_str("sum"), mproc_int(2 * EACH));
	assert_int_equal(mproc_dict_len(d), EACH + 4);
	mproc_dict_destroy(d);
	assert_int_equal(mproc_dict_len(d), 0);
	mproc_dict_destroy(other);
	mproc_arena_close(a);
	assert_int_equal(mproc_dict_has(d, mproc_nil()), -EFAULT);
	assert_int_equal(mproc_arena_unlink(b->name), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(it_is_the_same_at_another_address),
	};

	return cmocka_run_group_tests(tests, with_dict, NULL);
}
