/* SPDX-License-Identifier: MIT */
/*
 * list.h: several values of a list at once. What comes out is what it is in Python,
 * for any two ends, and others see all of a change or nothing.
 */
#include "list.h"
#include "sync.h"

#define N MIXED /* values in a list */
#define ROOM 16
#define READERS 2
#define ROUNDS 400

/* It gets smaller again, and larger than its array. */
static void
long_lists(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mproc_any many[100], got[200];
	mproc_list *l = new_list();
	size_t n;

	(void)state;
	for (int i = 0; i < 100; i++)
		many[i] = mproc_int(i);
	for (int i = 0; i < 30; i++)
		assert_int_equal(mproc_list_replace(l, 50 * i, 50 * i, many,
						    100), 0);
	assert_int_equal(mproc_list_len(l), 3000);
	for (int i = 0; i < 29; i++)
		assert_true(has_at(l, 50 * i + 49, many[49]));
	assert_int_equal(mproc_list_slice(l, -200, INT64_MAX, got, 200, &n), 0);
	assert_int_equal(n, 200);
	assert_int_equal(mproc_list_delete(l, 50, -50), 0);
	for (int i = 0; i < 100; i++)
		assert_true(has_at(l, i, many[i]));
	assert_int_equal(mproc_list_len(l), 100);
	assert_int_equal(mproc_list_replace(l, 0, INT64_MAX, NULL, 0), 0);
	assert_int_equal(mproc_list_len(l), 0);
	mproc_list_destroy(l);
	expect_stat(&before);
}

static void
bad_arguments_are_refused(void **state)
{
	struct mproc_any got[ROOM], odd[2] = { mproc_int(1), mproc_str(NULL) };
	mproc_list *l = list_of(N);
	size_t n = 99;

	(void)state;
	assert_int_equal(mproc_list_slice(NULL, 0, 1, got, 1, &n), -EINVAL);
	assert_int_equal(mproc_list_slice(l, 0, 1, NULL, 1, &n), -EINVAL);
	assert_int_equal(mproc_list_slice(l, 0, 1, got, 1, NULL), -EINVAL);
	assert_int_equal(mproc_list_replace(NULL, 0, 1, got, 0), -EINVAL);
	assert_int_equal(mproc_list_replace(l, 0, 1, NULL, 1), -EINVAL);
	assert_int_equal(mproc_list_replace(l, 0, 1, odd, 2), -EINVAL);
	odd[1] = mproc_ref(odd);
	assert_int_equal(mproc_list_replace(l, 0, 1, odd, 2), -EFAULT);
	odd[1] = mproc_bytes(odd, (size_t)1 << 50);
	assert_int_equal(mproc_list_replace(l, 0, 1, odd, 2), -ENOMEM);
	assert_int_equal(mproc_list_replace(l, 0, 1, odd, SIZE_MAX),
			 -ENOMEM);
	assert_int_equal(mproc_list_delete(NULL, 0, 1), -EINVAL);
	assert_int_equal(n, 99);
	for (int i = 0; i < N; i++)
		assert_true(has_at(l, i, old_value(i)));
	mproc_list_destroy(l);
	assert_int_equal(mproc_list_slice(l, 0, 1, got, 1, &n), -ESTALE);
	assert_int_equal(mproc_list_replace(l, 0, 1, NULL, 0), -ESTALE);
	assert_int_equal(mproc_list_delete(l, 0, 1), -ESTALE);
}

/* Values that fit, but not with those that are to follow: nothing happens. */
static void
none_if_there_is_no_room(void **state)
{
	static char text[20 << 20];
	struct mproc_any values[2] = { mproc_bytes(text, sizeof(text)),
				       mproc_bytes(text, sizeof(text)) };
	struct mproc_arena_stat before, after;
	mproc_arena *a;
	mproc_list *l;
	char name[64];

	mpt_name(*state, name, "full");
	assert_int_equal(mproc_arena_create(&a, MPROC_OPTS(mproc_arena_opts,
		.name = name, .capacity = 32 << 20)), 0);
	assert_int_equal(mproc_list_create(&l, MPROC_OPTS(mproc_list_opts,
							  .arena = a)), 0);
	for (int i = 0; i < N; i++)
		assert_int_equal(mproc_list_append(l, old_value(i)), 0);
	assert_int_equal(mproc_arena_stat(a, &before), 0);
	assert_int_equal(mproc_list_replace(l, 1, 3, values, 2), -ENOMEM);
	assert_int_equal(mproc_list_replace(l, N, N, values, 2), -ENOMEM);
	assert_int_equal(mproc_arena_stat(a, &after), 0);
	assert_int_equal(after.blocks, before.blocks);
	for (int i = 0; i < N; i++)
		assert_true(has_at(l, i, old_value(i)));
	assert_int_equal(mproc_list_replace(l, 1, 3, values, 1), 0);
	assert_int_equal(mproc_list_len(l), N - 1);
	mproc_list_destroy(l);
	mproc_arena_close(a);
	assert_int_equal(mproc_arena_unlink(name), 0);
}

/* In the scratch bytes. */
struct board {
	mproc_list *list;
	_Atomic unsigned ready, over;
};

/* Of one writer, all values are its number, and there are as many as that says. */
static int
replace_all(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	char text[64];

	(void)arg;
	b->ready++;
	mpt_until(t, b->ready == READERS + 1);
	for (unsigned i = 1; i <= amount(ROUNDS); i++) {
		struct mproc_any values[4];

		sprintf(text, "%u is the number of this one", i);
		for (unsigned k = 0; k < 4; k++)
			values[k] = mproc_str(text);
		/* The first one stays. */
		mpt_check_int(t, mproc_list_replace(b->list, 1, INT64_MAX,
						    values, 1 + i % 4), 0);
	}
	b->over = 1;
	return 0;
}

static int
look(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct mproc_any got[5];
	size_t n;

	(void)arg;
	b->ready++;
	while (!b->over) {
		if (mproc_list_slice(b->list, 0, INT64_MAX, got, 5, &n))
			mpt_fail(t, __FILE__, __LINE__, "no slice");
		mpt_check(t, n == 2 || n == 1 + 1 + strtoul(got[1].ptr, NULL,
							    10) % 4);
		for (size_t i = 2; i < n; i++)
			mpt_check(t, is_same(&got[i], &got[1]));
		for (size_t i = 0; i < n; i++)
			mproc_any_clear(&got[i]);
	}
	return 0;
}

static void
others_see_all_or_nothing(struct mpt *t)
{
	struct mproc_arena_stat before = stat_now();
	struct board *b = mpt_scratch(t);

	b->list = new_list();
	assert_int_equal(mproc_list_append(b->list, mproc_nil()), 0);
	assert_int_equal(mproc_list_append(b->list, mproc_str("0")), 0);
	mpt_spawn(t, "writer", replace_all, NULL);
	for (int i = 0; i < READERS; i++)
		mpt_spawn(t, "reader", look, NULL);
	mpt_join_all(t);
	mproc_list_destroy(b->list);
	expect_stat(&before);
}

both(others_see_all_or_nothing)

static int
setup(void **state)
{
	mproc_list *a, *b;

	if (with_arena(state) < 0)
		return -1;
	a = new_list();
	b = new_list();
	mproc_list_destroy(a);
	mproc_list_destroy(b);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(long_lists),
		mpt_test(bad_arguments_are_refused),
		mpt_test(none_if_there_is_no_room),
		both_tests(others_see_all_or_nothing),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
