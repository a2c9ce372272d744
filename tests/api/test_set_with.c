/* SPDX-License-Identifier: MIT */
/*
 * Sets and other sets: what comes out is what it is in Python, also for the same set
 * on both sides and for sets in two arenas, and while others do it the other way
 * round.
 */
#include <sys/mman.h>

#include "set_cases.h"

#define ROUNDS 300
#define SIZE ((size_t)32 << 20)
#define MANY 40 /* of them do not fit there */

static op_fn *const questions[] = {
	mproc_set_is_subset,
	mproc_set_is_equal,
	mproc_set_is_disjoint,
};

#define QUESTIONS (sizeof(questions) / sizeof(questions[0]))

static void
expect_refused(mproc_set *s, mproc_set *other, int error)
{
	for (unsigned i = 0; i < CHANGES; i++)
		assert_int_equal(changes[i].op(s, other), error);
	for (unsigned i = 0; i < QUESTIONS; i++)
		assert_int_equal(questions[i](s, other), error);
}

/* Also if there is no element of the other one about which it would be asked. */
static void
what_is_no_set_is_refused(void **state)
{
	mproc_set *empty = set_of(0), *full = set_of(ALL), *gone = set_of(0);
	mproc_dict *d = new_dict();
	char private[64] = { 0 };

	(void)state;
	mproc_set_destroy(gone);
	for (int i = 0; i < 2; i++) {
		mproc_set *s = i ? full : empty;

		expect_refused(NULL, s, -EINVAL);
		expect_refused(s, NULL, -EINVAL);
		expect_refused(gone, s, -ESTALE);
		expect_refused(s, gone, -ESTALE);
		expect_refused((mproc_set *)d, s, -EBADMSG);
		expect_refused(s, (mproc_set *)d, -EBADMSG);
		expect_refused((mproc_set *)private, s, -EFAULT);
		expect_refused(s, (mproc_set *)private, -EFAULT);
	}
	expect_refused(NULL, NULL, -EINVAL);
	expect_refused(gone, gone, -ESTALE);
	assert_int_equal(bits_of(empty), 0);
	assert_int_equal(bits_of(full), ALL);
	mproc_dict_destroy(d);
	mproc_set_destroy(empty);
	mproc_set_destroy(full);
}

/* In the named arena @a, with all elements and a reference to itself. */
static mproc_set *
new_far(mproc_arena *a)
{
	mproc_set *s;

	assert_int_equal(mproc_set_create(&s, MPROC_OPTS(mproc_set_opts,
							 .arena = a)), 0);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(mproc_set_add(s, element(i)), 1);
	assert_int_equal(mproc_set_add(s, mproc_ref(s)), 1);
	return s;
}

static void
expect_far(mproc_arena *a)
{
	mproc_set *near = set_of(1), *far = new_far(a);

	assert_int_equal(mproc_set_add(near, mproc_ref(near)), 1);
	/* The other elements may be there or not. */
	assert_int_equal(mproc_set_update(near, far), -EFAULT);
	assert_int_equal(mproc_set_has(near, element(0)), 1);
	assert_in_range(mproc_set_len(near), 2, N + 1);
	assert_int_equal(mproc_set_symmetric_difference_update(near, far),
			 -EFAULT);
	assert_in_range(mproc_set_len(near), 1, N + 1);
	assert_int_equal(mproc_set_len(far), N + 1);

	/* One that cannot be there is not there. */
	assert_int_equal(mproc_set_is_subset(near, far), 0);
	assert_int_equal(mproc_set_clear(near), 0);
	assert_int_equal(mproc_set_add(near, mproc_ref(near)), 1);
	assert_int_equal(mproc_set_is_disjoint(near, far), 1);
	assert_int_equal(mproc_set_difference_update(near, far), 0);
	assert_int_equal(mproc_set_len(near), 1);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(mproc_set_add(near, element(i)), 1);
	assert_int_equal(mproc_set_intersection_update(near, far), 0);
	assert_int_equal(bits_of(near), ALL);
	assert_int_equal(mproc_set_is_subset(near, far), 1);
	assert_int_equal(mproc_set_is_equal(near, far), 0);
	assert_int_equal(mproc_set_update(far, near), 0);
	assert_int_equal(mproc_set_len(far), N + 1);
	mproc_set_destroy(near);
	mproc_set_destroy(far);
}

/* The elements that there is no room for are not there, the others are. */
static void
expect_full(mproc_arena *a)
{
	static char text[1000000];
	mproc_set *large = set_of(0), *far = new_far(a);
	size_t len;

	for (int i = 0; i < MANY; i++) {
		memset(text, 'a' + i % 26, sizeof(text));
		memcpy(text, &i, sizeof(i));
		assert_int_equal(mproc_set_add(large, mproc_bytes(
			text, sizeof(text))), 1);
	}
	assert_int_equal(mproc_set_update(far, large), -ENOMEM);
	len = mproc_set_len(far);
	assert_in_range(len, N + 2, N + MANY);
	assert_int_equal(mproc_set_difference_update(far, large), 0);
	assert_int_equal(mproc_set_len(far), N + 1);
	mproc_set_destroy(large);
	mproc_set_destroy(far);
}

static void
sets_in_two_arenas(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;
	mproc_arena *a;
	char name[64];

	mpt_name(t, name, "sets");
	assert_int_equal(mproc_arena_create(&a, MPROC_OPTS(
		mproc_arena_opts, .name = name, .capacity = SIZE)), 0);
	expect_far(a);
	expect_full(a);
	mproc_arena_close(a);
	assert_int_equal(mproc_arena_unlink(name), 0);
	expect_stat(&before);
}

/* In the scratch bytes. */
struct board {
	mproc_set *a, *b, *c;
	_Atomic unsigned ready;
};

static int
change_each_other(struct mpt *t, void *arg)
{
	struct board *board = mpt_scratch(t);
	bool first = arg == NULL;
	mproc_set *s = first ? board->a : board->b;
	mproc_set *other = first ? board->b : board->a;
	unsigned n = amount(ROUNDS);

	board->ready++;
	mpt_until(t, board->ready == 2);
	for (unsigned i = 0; i < n; i++) {
		int r = changes[i % CHANGES].op(s, other);

		mpt_check_int(t, r, 0);
		r = mproc_set_is_subset(s, other);
		mpt_check(t, r == 0 || r == 1);
		/* Always something to do. */
		mpt_check_int(t, mproc_set_update(s, board->c), 0);
	}
	return 0;
}

static void
two_sets_by_each_other_at_once(struct mpt *t)
{
	struct mproc_arena_stat before = stat_now();
	struct board *board = mpt_scratch(t);
	mproc_set *copy;

	mpt_watchdog(t, 60);
	board->a = set_of(0);
	board->b = set_of(ALL);
	board->c = set_of(ALL);
	for (int i = 0; i < 100; i++)
		assert_int_equal(mproc_set_add(board->c, mproc_int(100 + i)),
				 1);
	mpt_spawn(t, "one", change_each_other, NULL);
	mpt_spawn(t, "other", change_each_other, board);
	mpt_join_all(t);
	/* Each has put all of it in at the end, and the other one only takes out
	 * of its own. */
	assert_int_equal(mproc_set_is_equal(board->a, board->c), 1);
	assert_int_equal(mproc_set_is_equal(board->b, board->c), 1);
	copy = set_of(0);
	assert_int_equal(mproc_set_update(copy, board->a), 0);
	assert_int_equal(mproc_set_len(copy), N + 100);
	mproc_set_destroy(copy);
	mproc_set_destroy(board->a);
	mproc_set_destroy(board->b);
	mproc_set_destroy(board->c);
	expect_stat(&before);
}

both(two_sets_by_each_other_at_once)

static int
setup(void **state)
{
	mproc_set *a, *b, *c, *d;

	if (with_dict(state) < 0)
		return -1;
	a = set_of(0);
	b = set_of(0);
	c = set_of(0);
	d = set_of(0);
	mproc_set_destroy(a);
	mproc_set_destroy(b);
	mproc_set_destroy(c);
	mproc_set_destroy(d);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SET_WITH_CASES,
		mpt_test(what_is_no_set_is_refused),
		mpt_test(sets_in_two_arenas),
		both_tests(two_sets_by_each_other_at_once),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
