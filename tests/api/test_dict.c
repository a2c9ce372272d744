/* SPDX-License-Identifier: MIT */
/*
 * Dicts, as one thread sees them: what goes in comes out, whatever it is.
 */
#include <math.h>

#include "dict_cases.h"

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
		DICT_CASES,
		mpt_test(each_kind_is_a_key_and_a_value),
		mpt_test(what_makes_no_sense_is_refused),
		mpt_test(an_update_sets_what_its_function_says),
		mpt_test(a_child_of_an_update_changes_nothing),
		mpt_test(many_keys_come_and_go),
		mpt_test(large_ones_are_whole),
		mpt_test(dicts_come_and_go_without_growth),
	};

	return cmocka_run_group_tests(tests, with_dict, NULL);
}
