/* SPDX-License-Identifier: MIT */
/*
 * Dicts and all that is in them: taken out item by item, and given to other dicts.
 */
#include "dict.h"

#define ROLES 4
#define KEYS 1000
#define ROUNDS 300
#define SIZE ((size_t)32 << 20)

static void
any_item_comes_out_once(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_dict *d = new_dict();
	char seen[100] = { 0 }, text[TEXT_MAX + 1];
	struct mproc_any key, value;

	(void)state;
	assert_int_equal(mproc_dict_pop_item(d, &key, &value), -ENODATA);
	assert_true(key.kind == MPROC_NIL && value.kind == MPROC_NIL);
	for (unsigned i = 0; i < 100; i++) {
		make_text(text, "value", i);
		assert_int_equal(mproc_dict_set(d, mproc_int(i),
						mproc_str(text)), 0);
	}
	for (unsigned i = 0; i < 98; i++) {
		assert_int_equal(mproc_dict_pop_item(d, &key, &value), 0);
		assert_in_range(key.i64, 0, 99);
		assert_int_equal(seen[key.i64]++, 0);
		make_text(text, "value", (unsigned)key.i64);
		assert_string_equal(value.ptr, text);
		mproc_any_clear(&value);
		expect_none(d, key);
		assert_int_equal(mproc_dict_len(d), 99 - i);
	}
	assert_int_equal(mproc_dict_pop_item(d, NULL, &value), 0);
	assert_true(is_text(&value, "value"));
	mproc_any_clear(&value);
	assert_int_equal(mproc_dict_pop_item(d, NULL, NULL), 0);
	assert_int_equal(mproc_dict_len(d), 0);
	assert_int_equal(mproc_dict_pop_item(d, NULL, NULL), -ENODATA);
	mproc_dict_destroy(d);
	assert_int_equal(mproc_dict_pop_item(d, &key, &value), -ESTALE);
	assert_int_equal(mproc_dict_pop_item(NULL, &key, &value), -EINVAL);
	expect_stat(&before);
}

/* A run of extents comes out whole, too. */
static void
a_large_item_comes_out(void **state)
{
	static char text[2 << 20];
	mproc_dict *d = new_dict();
	struct mproc_any key, value;

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(mproc_dict_set(d, mproc_bytes(text, sizeof(text)),
					mproc_int(1)), 0);
	assert_int_equal(mproc_dict_pop_item(d, &key, &value), 0);
	assert_true(key.kind == MPROC_BYTES && key.len == sizeof(text));
	assert_memory_equal(key.ptr, text, sizeof(text));
	assert_int_equal(value.i64, 1);
	mproc_any_clear(&key);
	mproc_dict_destroy(d);
}

static void
a_dict_gets_all_of_another(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_dict *d = new_dict(), *other = new_dict(), *copy = new_dict();

	(void)state;
	assert_int_equal(mproc_dict_merge(d, other), 0);
	assert_int_equal(mproc_dict_len(d), 0);
	assert_int_equal(mproc_dict_set(d, mproc_int(1), mproc_str("d's")), 0);
	assert_int_equal(mproc_dict_set(d, mproc_int(2), mproc_str("d's")), 0);
	assert_int_equal(mproc_dict_set(other, mproc_float(2.0),
					mproc_int(22)), 0);
	assert_int_equal(mproc_dict_set(other, mproc_str("three"),
					mproc_str("a text of several words")),
			 0);
	assert_int_equal(mproc_dict_set(other, mproc_ref(d), mproc_ref(other)),
			 0);
	assert_int_equal(mproc_dict_merge(d, other), 0);
	assert_int_equal(mproc_dict_len(other), 3);
	assert_int_equal(mproc_dict_merge(d, d), 0);
	assert_int_equal(mproc_dict_merge(copy, d), 0);
	assert_int_equal(mproc_dict_len(copy), 4);
	expect_there(copy, mproc_int(1), mproc_str("d's"));
	expect_there(copy, mproc_int(2), mproc_int(22));
	expect_there(copy, mproc_str("three"),
		     mproc_str("a text of several words"));
	expect_there(copy, mproc_ref(d), mproc_ref(other));
	mproc_dict_destroy(d);
	mproc_dict_destroy(other);
	mproc_dict_destroy(copy);
	expect_stat(&before);
}

struct call {
	mproc_dict *d, *other;
	int r[3];
};

static int
merge_inside(const struct mproc_any *old, struct mproc_any *value, void *ctx)
{
	struct call *c = ctx;

	(void)old;
	(void)value;
	c->r[0] = mproc_dict_merge(c->d, c->other);
	c->r[1] = mproc_dict_merge(c->other, c->d);
	c->r[2] = mproc_dict_pop_item(c->d, NULL, NULL);
	return 0;
}

static void
what_makes_no_sense_is_refused(void **state)
{
	mproc_dict *d = new_dict(), *gone = new_dict(), *other = new_dict();
	struct call c = { .d = d, .other = other };
	char private[64] = { 0 };
	mproc_set *s;

	(void)state;
	mproc_dict_destroy(gone);
	assert_int_equal(mproc_set_create(&s, NULL), 0);
	assert_int_equal(mproc_dict_merge(NULL, d), -EINVAL);
	assert_int_equal(mproc_dict_merge(d, NULL), -EINVAL);
	assert_int_equal(mproc_dict_merge(d, gone), -ESTALE);
	assert_int_equal(mproc_dict_merge(gone, d), -ESTALE);
	assert_int_equal(mproc_dict_merge(gone, gone), -ESTALE);
	assert_int_equal(mproc_dict_merge(d, (mproc_dict *)s), -EBADMSG);
	assert_int_equal(mproc_dict_merge((mproc_dict *)s, d), -EBADMSG);
	assert_int_equal(mproc_dict_merge(d, (mproc_dict *)private), -EFAULT);
	assert_int_equal(mproc_dict_pop_item((mproc_dict *)s, NULL, NULL),
			 -EBADMSG);
	assert_int_equal(mproc_dict_update(d, mproc_nil(), merge_inside, &c),
			 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(c.r[i], -EDEADLK);
	mproc_set_destroy(s);
	mproc_dict_destroy(d);
	mproc_dict_destroy(other);
}

static void
dicts_in_two_arenas(void **state)
{
	mproc_dict *near = new_dict(), *far;
	char name[64];
	mproc_arena *a;

	mpt_name(*state, name, "dicts");
	assert_int_equal(mproc_arena_create(&a, MPROC_OPTS(
		mproc_arena_opts, .name = name, .capacity = SIZE)), 0);
	assert_int_equal(mproc_dict_create(&far, MPROC_OPTS(mproc_dict_opts,
							    .arena = a)), 0);
	assert_int_equal(mproc_dict_set(near, mproc_str("key"),
					mproc_str("a text of several words")),
			 0);
	assert_int_equal(mproc_dict_merge(far, near), 0);
	expect_there(far, mproc_str("key"),
		     mproc_str("a text of several words"));
	assert_int_equal(mproc_dict_set(near, mproc_str("near"),
					mproc_ref(near)), 0);
	assert_int_equal(mproc_dict_merge(far, near), -EFAULT);
	expect_none(far, mproc_str("near"));
	mproc_dict_destroy(far);
	mproc_dict_destroy(near);
	mproc_arena_close(a);
	assert_int_equal(mproc_arena_unlink(name), 0);
}

/* In the scratch bytes. */
struct board {
	mproc_dict *a, *b;
	_Atomic unsigned ready;
	_Atomic unsigned char taken[KEYS];
};

static int
take(struct mpt *t, void *arg)
{
	struct board *board = mpt_scratch(t);
	struct mproc_any key, value;
	int r;

	(void)arg;
	board->ready++;
	mpt_until(t, board->ready == ROLES);
	while ((r = mproc_dict_pop_item(board->a, &key, &value)) == 0) {
		mpt_check(t, key.i64 >= 0 && key.i64 < KEYS);
		mpt_check_int(t, value.i64, -key.i64);
		board->taken[key.i64]++;
	}
	mpt_check_int(t, r, -ENODATA);
	return 0;
}

static void
none_is_taken_twice(struct mpt *t)
{
	struct board *board = mpt_scratch(t);

	board->a = new_dict();
	for (int i = 0; i < KEYS; i++)
		assert_int_equal(mproc_dict_set(board->a, mproc_int(i),
						mproc_int(-i)), 0);
	for (int i = 0; i < ROLES; i++)
		mpt_spawn(t, "taker", take, NULL);
	mpt_join_all(t);
	for (int i = 0; i < KEYS; i++)
		assert_int_equal(board->taken[i], 1);
	mproc_dict_destroy(board->a);
}

both(none_is_taken_twice)

static int
merge(struct mpt *t, void *arg)
{
	struct board *board = mpt_scratch(t);
	mproc_dict *d = arg ? board->a : board->b;
	mproc_dict *other = arg ? board->b : board->a;
	unsigned n = amount(ROUNDS);

	board->ready++;
	mpt_until(t, board->ready == 2);
	for (unsigned i = 0; i < n; i++)
		mpt_check_int(t, mproc_dict_merge(d, other), 0);
	return 0;
}

static void
two_dicts_by_each_other_at_once(struct mpt *t)
{
	struct board *board = mpt_scratch(t);

	mpt_watchdog(t, 60);
	board->a = new_dict();
	board->b = new_dict();
	for (int i = 0; i < 50; i++) {
		assert_int_equal(mproc_dict_set(board->a, mproc_int(i),
						mproc_int(i)), 0);
		assert_int_equal(mproc_dict_set(board->b, mproc_int(100 + i),
						mproc_str("a long value")), 0);
	}
	mpt_spawn(t, "one", merge, NULL);
	mpt_spawn(t, "other", merge, board);
	mpt_join_all(t);
	assert_int_equal(mproc_dict_len(board->a), 100);
	assert_int_equal(mproc_dict_len(board->b), 100);
	for (int i = 0; i < 50; i++) {
		expect_there(board->b, mproc_int(i), mproc_int(i));
		expect_there(board->a, mproc_int(100 + i),
			     mproc_str("a long value"));
	}
	mproc_dict_destroy(board->a);
	mproc_dict_destroy(board->b);
}

both(two_dicts_by_each_other_at_once)

static int
setup(void **state)
{
	mproc_dict *a, *b, *c;

	if (with_dict(state) < 0)
		return -1;
	a = new_dict();
	b = new_dict();
	c = new_dict();
	mproc_dict_destroy(a);
	mproc_dict_destroy(b);
	mproc_dict_destroy(c);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(any_item_comes_out_once),
		mpt_test(a_large_item_comes_out),
		mpt_test(a_dict_gets_all_of_another),
		mpt_test(what_makes_no_sense_is_refused),
		mpt_test(dicts_in_two_arenas),
		both_tests(none_is_taken_twice),
		both_tests(two_dicts_by_each_other_at_once),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
