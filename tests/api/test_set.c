/* SPDX-License-Identifier: MIT */
/*
 * Sets, for one and for several at once.
 */
#include <math.h>

#include "set_cases.h"

#define ROLES 4
#define EACH 2000

/* In the scratch bytes. */
struct board {
	mproc_set *s;
	_Atomic unsigned ready;
	_Atomic unsigned added;
	_Atomic unsigned taken;
};

static void
all_elements_are_met_and_can_be_cleared(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_set *s = new_set();
	struct mproc_cursor c = { { 0 } };
	char seen[1000] = { 0 };
	struct mproc_any got;
	int r;

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(mproc_set_add(s, mproc_int(i)), 1);
	while ((r = mproc_set_next(s, &c, &got)) == 0) {
		assert_in_range(got.i64, 0, 999);
		assert_int_equal(seen[got.i64]++, 0);
	}
	assert_int_equal(r, -ENODATA);
	assert_null(memchr(seen, 0, sizeof(seen)));
	assert_int_equal(mproc_set_clear(s), 0);
	assert_int_equal(mproc_set_len(s), 0);
	c = (struct mproc_cursor){ { 0 } };
	assert_int_equal(mproc_set_next(s, &c, &got), -ENODATA);
	mproc_set_destroy(s);
	expect_stat(&before);
}

static void
what_makes_no_sense_is_refused(void **state)
{
	struct {
		struct mproc_set_opts opts;
		size_t more;
	} newer = { { .struct_size = sizeof(newer) }, 1 };
	mproc_set *s = new_set(), *none;
	mproc_dict *d = new_dict();

	(void)state;
	assert_int_equal(mproc_set_create(NULL, NULL), -EINVAL);
	assert_int_equal(mproc_set_create(&none, &newer.opts), -E2BIG);
	assert_int_equal(mproc_set_add(s, mproc_float(NAN)), -EINVAL);
	assert_int_equal(mproc_set_add(s, mproc_ref(&s)), -EFAULT);
	assert_int_equal(mproc_set_add(NULL, mproc_nil()), -EINVAL);
	assert_int_equal(mproc_set_discard(NULL, mproc_nil()), -EINVAL);
	assert_int_equal(mproc_set_has(NULL, mproc_nil()), -EINVAL);
	assert_int_equal(mproc_set_pop(s, NULL), -EINVAL);
	assert_int_equal(mproc_set_next(s, NULL, NULL), -EINVAL);
	assert_int_equal(mproc_set_clear(NULL), -EINVAL);
	assert_int_equal(mproc_set_len(NULL), 0);
	/* A dict is no set, and the other way round. */
	assert_int_equal(mproc_set_add((mproc_set *)d, mproc_nil()), -EBADMSG);
	mproc_set_destroy((mproc_set *)d);
	assert_int_equal(mproc_dict_set((mproc_dict *)s, mproc_nil(),
					mproc_nil()), -EBADMSG);
	assert_int_equal(mproc_dict_set(d, mproc_nil(), mproc_nil()), 0);
	mproc_set_destroy(NULL);
	mproc_set_destroy(s);
	mproc_dict_destroy(d);
}

/* Some add the same elements, and all take elements out. */
static int
add_and_take(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned n = amount(EACH);
	struct mproc_any got;

	(void)arg;
	b->ready++;
	mpt_until(t, b->ready == ROLES);
	for (unsigned i = 0; i < n; i++) {
		int r = mproc_set_add(b->s, mproc_int(i / 3));

		mpt_check(t, r == 0 || r == 1);
		b->added += (unsigned)r;
		if (i % 2)
			continue;
		r = mproc_set_pop(b->s, &got);
		mpt_check(t, r == 0 || r == -ENODATA);
		b->taken += r == 0;
	}
	return 0;
}

static void
none_is_taken_twice(struct mpt *t)
{
	struct mproc_arena_stat before = stat_now();
	struct board *b = mpt_scratch(t);
	struct mproc_any got;

	mpt_watchdog(t, 60);
	b->s = new_set();
	for (int i = 0; i < ROLES; i++)
		mpt_spawn(t, "user", add_and_take, NULL);
	mpt_join_all(t);
	assert_int_equal(mproc_set_len(b->s), b->added - b->taken);
	while (mproc_set_pop(b->s, &got) == 0)
		b->taken++;
	assert_int_equal(b->added, b->taken);
	mproc_set_destroy(b->s);
	expect_stat(&before);
}

both(none_is_taken_twice)

static int
setup(void **state)
{
	mproc_set *s;

	if (with_dict(state) < 0 || mproc_set_create(&s, NULL) < 0)
		return -1;
	mproc_set_destroy(s);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SET_CASES,
		mpt_test(all_elements_are_met_and_can_be_cleared),
		mpt_test(what_makes_no_sense_is_refused),
		both_tests(none_is_taken_twice),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
