/* SPDX-License-Identifier: MIT */
/*
 * Dicts, as one thread sees them: what goes in comes out, whatever it is.
 */
#include <math.h>

#include "dict.h"

#define KINDS 14

/* Of each kind, and different from each other as keys. */
static void
one_of_each(struct mproc_any all[KINDS], const void *shared)
{
	static char text[5000];

	memset(text, 'x', sizeof(text));
	all[0] = mproc_nil();
	all[1] = mproc_int(0);
	all[2] = mproc_int(INT64_MIN);
	all[3] = mproc_int(INT64_MAX);
	all[4] = mproc_float(0.5);
	all[5] = mproc_float(INFINITY);
	all[6] = mproc_bool(true);
	all[7] = mproc_str("");
	all[8] = mproc_str("text");
	all[9] = mproc_bytes(NULL, 0);
	all[10] = mproc_bytes("text", 4);
	all[11] = mproc_bytes("a\0b", 3);
	all[12] = mproc_bytes(text, sizeof(text));
	all[13] = mproc_ref(shared);
}

static void
what_is_set_is_there_until_it_is_taken(void **state)
{
	mproc_dict *d = new_dict();
	struct mproc_any got;

	(void)state;
	assert_int_equal(mproc_dict_len(d), 0);
	expect_none(d, mproc_str("a"));
	assert_int_equal(mproc_dict_set(d, mproc_str("a"), mproc_int(1)), 0);
	assert_int_equal(mproc_dict_set(d, mproc_int(7), mproc_str("seven")), 0);
	assert_int_equal(mproc_dict_len(d), 2);
	expect_there(d, mproc_str("a"), mproc_int(1));
	expect_there(d, mproc_int(7), mproc_str("seven"));
	assert_int_equal(mproc_dict_has(d, mproc_int(7)), 1);
	expect_none(d, mproc_int(8));

	assert_int_equal(mproc_dict_set(d, mproc_str("a"), mproc_int(2)), 0);
	assert_int_equal(mproc_dict_len(d), 2);
	expect_there(d, mproc_str("a"), mproc_int(2));

	assert_int_equal(mproc_dict_pop(d, mproc_int(7), &got), 0);
	assert_true(got.kind == MPROC_STR && strcmp(got.ptr, "seven") == 0);
	mproc_any_clear(&got);
	expect_none(d, mproc_int(7));
	assert_int_equal(mproc_dict_pop(d, mproc_int(7), &got), -ENOENT);
	assert_int_equal(got.kind, MPROC_NIL);
	assert_int_equal(mproc_dict_pop(d, mproc_str("a"), NULL), 0);
	assert_int_equal(mproc_dict_len(d), 0);
	mproc_dict_destroy(d);
}

static void
each_kind_is_a_key_and_a_value(void **state)
{
	struct mproc_any all[KINDS];
	void *block = mproc_alloc(64);
	mproc_dict *d = new_dict();

	(void)state;
	one_of_each(all, block);
	/* Each value becomes each other one. */
	for (int shift = 0; shift < KINDS; shift++) {
		for (int i = 0; i < KINDS; i++)
			assert_int_equal(
				mproc_dict_set(d, all[i],
					       all[(i + shift) % KINDS]), 0);
		assert_int_equal(mproc_dict_len(d), KINDS);
		for (int i = 0; i < KINDS; i++)
			expect_there(d, all[i], all[(i + shift) % KINDS]);
	}
	for (int i = 0; i < KINDS; i++) {
		assert_int_equal(mproc_dict_pop(d, all[i], NULL), 0);
		expect_none(d, all[i]);
		assert_int_equal(mproc_dict_len(d), KINDS - 1 - i);
	}
	mproc_dict_destroy(d);
	mproc_free(block);
}

static void
keys_are_equal_as_in_python(void **state)
{
	mproc_dict *d = new_dict();
	struct mproc_cursor c = { { 0 } };
	struct mproc_any key;

	(void)state;
	assert_int_equal(mproc_dict_set(d, mproc_float(1.0), mproc_str("x")), 0);
	assert_int_equal(mproc_dict_set(d, mproc_bool(true), mproc_str("y")), 0);
	assert_int_equal(mproc_dict_len(d), 1);
	expect_there(d, mproc_int(1), mproc_str("y"));
	assert_int_equal(mproc_dict_next(d, &c, &key, NULL), 0);
	assert_true(key.kind == MPROC_INT && key.i64 == 1);
	assert_int_equal(mproc_dict_next(d, &c, &key, NULL), -ENODATA);
	assert_int_equal(mproc_dict_set(d, mproc_float(-0.0), mproc_nil()), 0);
	assert_int_equal(mproc_dict_has(d, mproc_bool(false)), 1);
	assert_int_equal(mproc_dict_has(d, mproc_nil()), 0);
	assert_int_equal(mproc_dict_set(d, mproc_float(NAN), mproc_nil()),
			 -EINVAL);
	assert_int_equal(mproc_dict_has(d, mproc_float(NAN)), -EINVAL);
	mproc_dict_destroy(d);
}

static void
typed_gets_say_when_it_is_something_else(void **state)
{
	mproc_dict *d = new_dict();
	char buf[6] = "";
	size_t len = 0;
	int64_t i = 0;
	double f = 0;

	(void)state;
	assert_int_equal(mproc_dict_set(d, mproc_str("i"), mproc_int(-3)), 0);
	assert_int_equal(mproc_dict_set(d, mproc_str("f"), mproc_float(0.5)), 0);
	assert_int_equal(mproc_dict_set(d, mproc_str("b"), mproc_bool(true)), 0);
	assert_int_equal(mproc_dict_set(d, mproc_str("s"), mproc_str("hello")),
			 0);
	assert_int_equal(mproc_dict_set(d, mproc_str("y"),
					mproc_bytes("hello", 5)), 0);

	assert_int_equal(mproc_dict_get_int(d, mproc_str("i"), &i), 0);
	assert_int_equal(i, -3);
	assert_int_equal(mproc_dict_get_int(d, mproc_str("b"), &i), 0);
	assert_int_equal(i, 1);
	assert_int_equal(mproc_dict_get_int(d, mproc_str("f"), &i), -EPROTOTYPE);
	assert_int_equal(mproc_dict_get_int(d, mproc_str("s"), &i), -EPROTOTYPE);
	assert_int_equal(mproc_dict_get_int(d, mproc_str("none"), &i), -ENOENT);
	assert_int_equal(i, 1);

	assert_int_equal(mproc_dict_get_float(d, mproc_str("f"), &f), 0);
	assert_true(f > 0.4 && f < 0.6);
	assert_int_equal(mproc_dict_get_float(d, mproc_str("i"), &f), 0);
	assert_true(f > -3.1 && f < -2.9);
	assert_int_equal(mproc_dict_get_float(d, mproc_str("s"), &f),
			 -EPROTOTYPE);

	assert_int_equal(mproc_dict_get_str(d, mproc_str("s"), buf, 6, &len), 0);
	assert_string_equal(buf, "hello");
	assert_int_equal(len, 5);
	len = 0;
	assert_int_equal(mproc_dict_get_str(d, mproc_str("s"), buf, 5, &len),
			 -EMSGSIZE);
	assert_int_equal(len, 5);
	assert_int_equal(mproc_dict_get_str(d, mproc_str("s"), NULL, 0, NULL),
			 -EMSGSIZE);
	assert_int_equal(mproc_dict_get_str(d, mproc_str("y"), buf, 6, NULL),
			 -EPROTOTYPE);
	assert_int_equal(mproc_dict_get_str(d, mproc_str("i"), buf, 6, NULL),
			 -EPROTOTYPE);
	mproc_dict_destroy(d);
}

static void
what_makes_no_sense_is_refused(void **state)
{
	struct {
		struct mproc_dict_opts opts;
		size_t more;
	} newer = { { .struct_size = sizeof(newer) }, 1 };
	struct mproc_any odd = mproc_int(1), got;
	struct mproc_cursor c = { { 0 } };
	mproc_dict *d = new_dict(), *none;
	mproc_lock *lock;

	(void)state;
	memset(&odd.kind, 0x7f, sizeof(odd.kind));
	assert_int_equal(mproc_dict_set(d, odd, mproc_nil()), -EINVAL);
	assert_int_equal(mproc_dict_set(d, mproc_nil(), odd), -EINVAL);
	assert_int_equal(mproc_dict_set(d, mproc_nil(), mproc_str(NULL)),
			 -EINVAL);
	assert_int_equal(mproc_dict_set(d, mproc_nil(), mproc_ref(&c)), -EFAULT);
	assert_int_equal(mproc_dict_set(d, mproc_ref(NULL), mproc_nil()),
			 -EFAULT);
	assert_int_equal(mproc_dict_set(d, mproc_nil(),
					mproc_bytes("", (size_t)1 << 50)),
			 -ENOMEM);
	assert_int_equal(mproc_dict_len(d), 0);

	assert_int_equal(mproc_dict_create(NULL, NULL), -EINVAL);
	assert_int_equal(mproc_dict_create(&none, &newer.opts), -E2BIG);
	assert_int_equal(mproc_dict_create(&d, &(struct mproc_dict_opts){ 0 }),
			 -EINVAL);
	assert_int_equal(mproc_dict_set(NULL, mproc_nil(), mproc_nil()),
			 -EINVAL);
	assert_int_equal(mproc_dict_get(NULL, mproc_nil(), &got), -EINVAL);
	assert_int_equal(mproc_dict_get(d, mproc_nil(), NULL), -EINVAL);
	assert_int_equal(mproc_dict_get_int(d, mproc_nil(), NULL), -EINVAL);
	assert_int_equal(mproc_dict_get_float(d, mproc_nil(), NULL), -EINVAL);
	assert_int_equal(mproc_dict_get_str(d, mproc_nil(), NULL, 1, NULL),
			 -EINVAL);
	assert_int_equal(mproc_dict_next(d, NULL, NULL, NULL), -EINVAL);
	assert_int_equal(mproc_dict_clear(NULL), -EINVAL);
	assert_int_equal(mproc_dict_len(NULL), 0);

	/* What is no dict. */
	assert_int_equal(mproc_dict_has((mproc_dict *)&c, mproc_nil()),
			 -EFAULT);
	assert_int_equal(mproc_lock_create(&lock), 0);
	assert_int_equal(mproc_dict_has((mproc_dict *)lock, mproc_nil()),
			 -EBADMSG);
	mproc_dict_destroy((mproc_dict *)lock);
	assert_int_equal(mproc_lock_acquire(lock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_lock_release(lock), 0);
	mproc_lock_destroy(lock);
	mproc_dict_destroy(NULL);
	mproc_dict_destroy(d);
}

static void
one_that_was_destroyed_says_so(void **state)
{
	struct mproc_cursor c = { { 0 } };
	mproc_dict *d = new_dict(), *other;
	struct mproc_any got;

	(void)state;
	assert_int_equal(mproc_dict_set(d, mproc_str("a"), mproc_int(1)), 0);
	mproc_dict_destroy(d);
	assert_int_equal(mproc_dict_set(d, mproc_str("a"), mproc_int(1)),
			 -ESTALE);
	assert_int_equal(mproc_dict_get(d, mproc_str("a"), &got), -ESTALE);
	assert_int_equal(mproc_dict_pop(d, mproc_str("a"), &got), -ESTALE);
	assert_int_equal(mproc_dict_has(d, mproc_str("a")), -ESTALE);
	assert_int_equal(mproc_dict_next(d, &c, &got, NULL), -ESTALE);
	assert_int_equal(mproc_dict_clear(d), -ESTALE);
	assert_int_equal(mproc_dict_len(d), 0);
	mproc_dict_destroy(d);
	/* In its place is another one, which is empty. */
	other = new_dict();
	assert_int_equal(mproc_dict_len(other), 0);
	expect_none(other, mproc_str("a"));
	mproc_dict_destroy(other);
}

static void
sums_are_as_in_python(void **state)
{
	mproc_dict *d = new_dict();
	struct mproc_any key = mproc_str("n"), sum;

	(void)state;
	assert_int_equal(mproc_dict_add(d, key, mproc_int(5), &sum), 0);
	assert_true(sum.kind == MPROC_INT && sum.i64 == 5);
	assert_int_equal(mproc_dict_add(d, key, mproc_bool(true), NULL), 0);
	expect_there(d, key, mproc_int(6));
	assert_int_equal(mproc_dict_add(d, key, mproc_float(0.5), &sum), 0);
	expect_there(d, key, mproc_float(6.5));
	assert_true(sum.kind == MPROC_FLOAT && sum.f64 > 6.4);
	assert_int_equal(mproc_dict_add(d, key, mproc_int(-1), NULL), 0);
	expect_there(d, key, mproc_float(5.5));

	assert_int_equal(mproc_dict_set(d, key, mproc_int(INT64_MAX)), 0);
	assert_int_equal(mproc_dict_add(d, key, mproc_int(1), &sum), -EOVERFLOW);
	expect_there(d, key, mproc_int(INT64_MAX));
	assert_int_equal(mproc_dict_add(d, key, mproc_str("1"), NULL),
			 -EPROTOTYPE);
	assert_int_equal(mproc_dict_set(d, key, mproc_str("1")), 0);
	assert_int_equal(mproc_dict_add(d, key, mproc_int(1), NULL),
			 -EPROTOTYPE);
	expect_there(d, key, mproc_str("1"));
	assert_int_equal(mproc_dict_add(d, mproc_int(1), mproc_nil(), NULL),
			 -EPROTOTYPE);
	expect_none(d, mproc_int(1));
	mproc_dict_destroy(d);
}

static void
a_value_is_exchanged_if_it_is_what_is_expected(void **state)
{
	mproc_dict *d = new_dict();
	struct mproc_any key = mproc_int(3), one = mproc_int(1),
			 text = mproc_str("a text"), other = mproc_str("text"),
			 same_one = mproc_float(1.0), odd = mproc_str(NULL);

	(void)state;
	assert_int_equal(mproc_dict_compare_exchange(d, key, &one, &text), 0);
	expect_none(d, key);
	assert_int_equal(mproc_dict_compare_exchange(d, key, NULL, NULL), 1);
	expect_none(d, key);
	assert_int_equal(mproc_dict_compare_exchange(d, key, NULL, &one), 1);
	expect_there(d, key, one);
	assert_int_equal(mproc_dict_compare_exchange(d, key, NULL, &text), 0);
	assert_int_equal(mproc_dict_compare_exchange(d, key, &text, &one), 0);
	expect_there(d, key, one);
	assert_int_equal(mproc_dict_compare_exchange(d, key, &same_one, &text),
			 1);
	expect_there(d, key, text);
	assert_int_equal(mproc_dict_compare_exchange(d, key, &other, &one), 0);
	assert_int_equal(mproc_dict_compare_exchange(d, key, &odd, &one),
			 -EINVAL);
	assert_int_equal(mproc_dict_compare_exchange(d, key, &text, &odd),
			 -EINVAL);
	expect_there(d, key, text);
	assert_int_equal(mproc_dict_compare_exchange(d, key, &text, NULL), 1);
	expect_none(d, key);
	assert_int_equal(mproc_dict_len(d), 0);
	mproc_dict_destroy(d);
}

static void
a_default_is_set_once(void **state)
{
	mproc_dict *d = new_dict();
	struct mproc_any key = mproc_str("k"), got;

	(void)state;
	assert_int_equal(mproc_dict_set_default(d, key, mproc_str("first"),
						&got), 1);
	assert_true(got.kind == MPROC_STR && strcmp(got.ptr, "first") == 0);
	mproc_any_clear(&got);
	assert_int_equal(mproc_dict_set_default(d, key, mproc_int(2), &got), 0);
	assert_true(got.kind == MPROC_STR && strcmp(got.ptr, "first") == 0);
	mproc_any_clear(&got);
	assert_int_equal(mproc_dict_set_default(d, key, mproc_int(2), NULL), 0);
	assert_int_equal(mproc_dict_set_default(d, mproc_int(1), mproc_ref(&d),
						&got), -EFAULT);
	expect_none(d, mproc_int(1));
	mproc_dict_destroy(d);
}

/* What update() has its function do. */
struct order {
	mproc_dict *d;
	int result;
	struct mproc_any value, seen;
	bool was_there;
	int r[6]; /* of what it must not do */
};

static int
carry_out(const struct mproc_any *old, struct mproc_any *value, void *ctx)
{
	struct order *o = ctx;
	struct mproc_any any;
	struct mproc_cursor c = { { 0 } };

	o->was_there = old;
	o->seen = old ? *old : mproc_nil();
	if (old && old->kind == MPROC_STR)
		o->seen = mproc_bool(strcmp(old->ptr, "a text") == 0);
	o->r[0] = mproc_dict_set(o->d, mproc_int(1), mproc_int(1));
	o->r[1] = mproc_dict_get(o->d, mproc_int(1), &any);
	o->r[2] = mproc_dict_next(o->d, &c, &any, NULL);
	o->r[3] = mproc_dict_update(o->d, mproc_int(1), carry_out, ctx);
	o->r[4] = mproc_dict_clear(o->d);
	o->r[5] = mproc_dict_has(o->d, mproc_int(1));
	mproc_dict_destroy(o->d);
	*value = o->value;
	return o->result;
}

static void
an_update_sets_what_its_function_says(void **state)
{
	mproc_dict *d = new_dict();
	struct order o = { .d = d, .result = 1, .value = mproc_str("a text") };
	struct mproc_any key = mproc_str("k");

	(void)state;
	assert_int_equal(mproc_dict_update(d, key, carry_out, &o), 1);
	assert_false(o.was_there);
	for (int i = 0; i < 6; i++)
		assert_int_equal(o.r[i], -EDEADLK);
	expect_there(d, key, mproc_str("a text"));
	o.value = mproc_int(2);
	o.result = 0;
	assert_int_equal(mproc_dict_update(d, key, carry_out, &o), 0);
	assert_true(o.was_there && o.seen.b);
	expect_there(d, key, mproc_str("a text"));
	o.result = -EIO;
	assert_int_equal(mproc_dict_update(d, key, carry_out, &o), -EIO);
	expect_there(d, key, mproc_str("a text"));
	o.result = 1;
	assert_int_equal(mproc_dict_update(d, key, carry_out, &o), 1);
	expect_there(d, key, mproc_int(2));
	assert_int_equal(mproc_dict_update(d, key, NULL, NULL), -EINVAL);
	assert_int_equal(mproc_dict_len(d), 1);
	mproc_dict_destroy(d);
}

static int
fork_in_between(const struct mproc_any *old, struct mproc_any *value, void *ctx)
{
	(void)old;
	*(pid_t *)ctx = fork();
	*value = mproc_int(*(pid_t *)ctx ? 1 : 2);
	return 1;
}

static void
a_child_of_an_update_changes_nothing(void **state)
{
	mproc_dict *d = new_dict();
	pid_t child = -1;
	int status, r;

	(void)state;
	r = mproc_dict_update(d, mproc_int(1), fork_in_between, &child);
	if (child == 0)
		_exit(r == -EPERM && mproc_dict_has(d, mproc_int(1)) >= 0 ? 0 :
									1);
	assert_int_equal(r, 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	expect_there(d, mproc_int(1), mproc_int(1));
	mproc_dict_destroy(d);
}

/* Enough for several levels of buckets; a million in full runs, for all of them. */
static void
many_keys_come_and_go(void **state)
{
	unsigned n = amount(20000) * (amount(1) > 1 ? 5 : 1);
	struct mproc_arena_stat before = stat_now();
	struct mproc_any key, value;
	struct mproc_cursor c = { { 0 } };
	mproc_dict *d = new_dict();
	char name[40], *seen;
	unsigned found = 0;
	int64_t i64;
	int r;

	mpt_watchdog(*state, 600);
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "key %u", i);
		assert_int_equal(mproc_dict_set(d, mproc_str(name),
						mproc_int(i)), 0);
	}
	assert_int_equal(mproc_dict_len(d), n);
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "key %u", i);
		assert_int_equal(mproc_dict_get_int(d, mproc_str(name), &i64), 0);
		assert_int_equal(i64, i);
	}
	seen = calloc(n, 1);
	while ((r = mproc_dict_next(d, &c, &key, &value)) == 0) {
		snprintf(name, sizeof(name), "key %u", (unsigned)value.i64);
		assert_true(value.i64 < n && !seen[value.i64]++);
		assert_string_equal(key.ptr, name);
		mproc_any_clear(&key);
		found++;
	}
	assert_int_equal(r, -ENODATA);
	assert_int_equal(found, n);
	free(seen);
	for (unsigned i = 0; i < n; i += 2) {
		snprintf(name, sizeof(name), "key %u", i);
		assert_int_equal(mproc_dict_pop(d, mproc_str(name), NULL), 0);
	}
	assert_int_equal(mproc_dict_len(d), n / 2);
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "key %u", i);
		assert_int_equal(mproc_dict_has(d, mproc_str(name)), i % 2);
	}
	assert_int_equal(mproc_dict_clear(d), 0);
	assert_int_equal(mproc_dict_len(d), 0);
	expect_none(d, mproc_str("key 1"));
	assert_int_equal(mproc_dict_set(d, mproc_str("key 1"), mproc_nil()), 0);
	mproc_dict_destroy(d);
	expect_stat(&before);
}

static void
large_ones_are_whole(void **state)
{
	struct mproc_arena_stat before = stat_now();
	const size_t size = (size_t)3 << 20;
	unsigned char *bytes = malloc(size);
	mproc_dict *d = new_dict();
	struct mproc_any got;

	(void)state;
	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)(i * 7 + i / 4096);
	assert_int_equal(mproc_dict_set(d, mproc_bytes(bytes, size),
					mproc_bytes(bytes, size - 1)), 0);
	expect_there(d, mproc_bytes(bytes, size), mproc_bytes(bytes, size - 1));
	assert_int_equal(mproc_dict_set(d, mproc_bytes(bytes, size),
					mproc_int(1)), 0);
	expect_there(d, mproc_bytes(bytes, size), mproc_int(1));
	assert_int_equal(mproc_dict_has(d, mproc_bytes(bytes, size - 1)), 0);
	assert_int_equal(mproc_dict_set(d, mproc_bytes(bytes, size),
					mproc_bytes(bytes + 1, size - 1)), 0);
	assert_int_equal(mproc_dict_pop(d, mproc_bytes(bytes, size), &got), 0);
	assert_int_equal(got.len, size - 1);
	assert_memory_equal(got.ptr, bytes + 1, size - 1);
	mproc_any_clear(&got);
	mproc_dict_destroy(d);
	free(bytes);
	expect_stat(&before);
}

static void *
make(unsigned i)
{
	mproc_dict *d = new_dict();

	for (unsigned n = 0; n < i % 7; n++)
		assert_int_equal(mproc_dict_set(d, mproc_int(n), mproc_nil()),
				 0);
	return d;
}

static void
destroy(void *d)
{
	mproc_dict_destroy(d);
}

static void
dicts_come_and_go_without_growth(void **state)
{
	(void)state;
	/* Each of the cells that there are gets a root in time. */
	come_and_go_without_growth(make, destroy, 12, 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(what_is_set_is_there_until_it_is_taken),
		mpt_test(each_kind_is_a_key_and_a_value),
		mpt_test(keys_are_equal_as_in_python),
		mpt_test(typed_gets_say_when_it_is_something_else),
		mpt_test(what_makes_no_sense_is_refused),
		mpt_test(one_that_was_destroyed_says_so),
		mpt_test(sums_are_as_in_python),
		mpt_test(a_value_is_exchanged_if_it_is_what_is_expected),
		mpt_test(a_default_is_set_once),
		mpt_test(an_update_sets_what_its_function_says),
		mpt_test(a_child_of_an_update_changes_nothing),
		mpt_test(many_keys_come_and_go),
		mpt_test(large_ones_are_whole),
		mpt_test(dicts_come_and_go_without_growth),
	};

	return cmocka_run_group_tests(tests, with_dict, NULL);
}
