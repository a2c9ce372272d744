/* SPDX-License-Identifier: MIT */
/*
 * Dicts of a manager, over a connection: what those of the family do, too, and what is
 * different.
 */
#include <mproc/testing.h>

#include "dict_cases.h"
#include "manager.h"

static mproc_manager *server, *client;

static mproc_dict *
new_remote(void)
{
	static unsigned n;
	char name[32];

	snprintf(name, sizeof(name), "dict %u", n++);
	return dict_of(client, name);
}

/* The same one, as the family of the server has it. */
static mproc_dict *
shared(mproc_dict **ret_local)
{
	static unsigned n;
	char name[32];

	snprintf(name, sizeof(name), "shared %u", n++);
	*ret_local = dict_of(server, name);
	return dict_of(client, name);
}

static void
each_kind_goes_there_and_back(void **state)
{
	char text[5000];
	struct mproc_any all[] = {
		mproc_nil(), mproc_int(0), mproc_int(-1), mproc_int(127),
		mproc_int(128), mproc_int(-128), mproc_int(-129),
		mproc_int(32767), mproc_int(32768), mproc_int(65536),
		mproc_int(INT32_MIN), mproc_int(INT64_MIN),
		mproc_int(INT64_MAX), mproc_float(0.5), mproc_float(INFINITY),
		mproc_bool(true), mproc_bool(false), mproc_str(""),
		mproc_str("text"), mproc_bytes(NULL, 0), mproc_bytes("a\0b", 3),
		mproc_bytes(text, 300), mproc_bytes(text, sizeof(text)),
	};
	mproc_dict *local, *d = shared(&local);

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct mproc_any key = mproc_int((int64_t)i);

		assert_int_equal(mproc_dict_set(d, key, all[i]), 0);
		expect_there(d, key, all[i]);
		expect_there(local, key, all[i]);
		/* And as a key. */
		assert_int_equal(mproc_dict_set(d, all[i], key), 0);
		expect_there(local, all[i], key);
	}
	mproc_dict_destroy(d);
}

static void
what_is_no_value_is_not_sent(void **state)
{
	struct mproc_any odd = mproc_int(1), got;
	struct mproc_cursor c = { { 0 } };
	mproc_dict *local, *d = shared(&local);
	void *block = mproc_alloc(64);

	(void)state;
	memset(&odd.kind, 0x7f, sizeof(odd.kind));
	assert_int_equal(mproc_dict_set(d, odd, mproc_nil()), -EINVAL);
	assert_int_equal(mproc_dict_set(d, mproc_nil(), odd), -EINVAL);
	assert_int_equal(mproc_dict_set(d, mproc_nil(), mproc_str(NULL)),
			 -EINVAL);
	assert_int_equal(mproc_dict_set(d, mproc_nil(), mproc_ref(block)),
			 -EFAULT);
	assert_int_equal(mproc_dict_len(d), 0);
	assert_int_equal(mproc_dict_get(d, mproc_nil(), NULL), -EINVAL);
	assert_int_equal(mproc_dict_next(d, NULL, NULL, NULL), -EINVAL);
	assert_int_equal(mproc_dict_update(d, mproc_nil(), NULL, NULL), -EINVAL);
	/* It is no set, and nothing behind it is a handle. */
	assert_int_equal(mproc_set_add((mproc_set *)d, mproc_nil()), -EBADMSG);
	assert_int_equal(mproc_dict_has((mproc_dict *)((char *)d + 8),
					mproc_nil()), -EFAULT);
	/* What the family has put there. */
	assert_int_equal(mproc_dict_set(local, mproc_int(1), mproc_ref(block)),
			 0);
	assert_int_equal(mproc_dict_get(d, mproc_int(1), &got), 0);
	assert_true(got.kind == MPROC_REF && !got.ptr);
	assert_int_equal(mproc_dict_next(d, &c, NULL, &got), 0);
	assert_true(got.kind == MPROC_REF && !got.ptr);
	mproc_dict_destroy(d);
	mproc_free(block);
}

static void
all_keys_come_once(void **state)
{
	enum { N = 300 };
	struct mproc_any key, value;
	struct mproc_cursor c = { { 0 } };
	mproc_dict *local, *d = shared(&local);
	bool seen[N] = { false };
	int n = 0, r;

	(void)state;
	for (int i = 0; i < N; i++)
		assert_int_equal(mproc_dict_set(local, mproc_int(i),
						mproc_str("some")), 0);
	assert_int_equal(mproc_dict_len(d), N);
	while ((r = mproc_dict_next(d, &c, &key, &value)) == 0) {
		assert_true(key.kind == MPROC_INT && !seen[key.i64]);
		seen[key.i64] = true;
		assert_string_equal(value.ptr, "some");
		mproc_any_clear(&value);
		n++;
	}
	assert_int_equal(r, -ENODATA);
	assert_int_equal(n, N);
	/* A cursor may be anything. */
	memset(&c, 0xff, sizeof(c));
	assert_int_equal(mproc_dict_next(d, &c, &key, NULL), -ENODATA);
	for (; n > 0; n--) {
		assert_int_equal(mproc_dict_pop_item(d, &key, &value), 0);
		assert_true(seen[key.i64]);
		seen[key.i64] = false;
		mproc_any_clear(&value);
	}
	assert_int_equal(mproc_dict_pop_item(d, &key, NULL), -ENODATA);
	assert_int_equal(mproc_dict_set(local, mproc_int(1), mproc_nil()), 0);
	assert_int_equal(mproc_dict_clear(d), 0);
	assert_int_equal(mproc_dict_len(local), 0);
	mproc_dict_destroy(d);
}

static void
long_ones_come_in_pieces(void **state)
{
	const size_t size = (size_t)3 << 20;
	unsigned char *bytes = malloc(size);
	mproc_dict *local, *d = shared(&local);

	(void)state;
	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)(i * 7 + i / 4096);
	for (int i = 0; i < 3; i++) {
		struct mproc_any value = mproc_bytes(bytes, size - (size_t)i);

		assert_int_equal(mproc_dict_set(d, mproc_int(i), value), 0);
		expect_there(local, mproc_int(i), value);
		expect_there(d, mproc_int(i), value);
	}
	assert_int_equal(mproc_dict_set(d, mproc_bytes(bytes, size),
					mproc_nil()), 0);
	assert_int_equal(mproc_dict_has(local, mproc_bytes(bytes, size)), 1);
	mproc_dict_destroy(d);
	free(bytes);
}

/* What an update does, and who is faster. */
struct order {
	mproc_dict *local;
	int runs, result;
	int64_t others; /* how often they are */
};

static int
count_up(const struct mproc_any *old, struct mproc_any *value, void *ctx)
{
	struct order *o = ctx;

	o->runs++;
	if (o->others-- > 0)
		mproc_dict_add(o->local, mproc_str("n"), mproc_int(10), NULL);
	*value = mproc_int(old ? old->i64 + 1 : 1);
	return o->result;
}

static void
an_update_runs_until_nobody_was_faster(void **state)
{
	struct mproc_any key = mproc_str("n");
	mproc_dict *local, *d = shared(&local);
	struct order o = { .local = local, .result = 1 };

	(void)state;
	assert_int_equal(mproc_dict_update(d, key, count_up, &o), 1);
	expect_there(local, key, mproc_int(1));
	assert_int_equal(o.runs, 1);
	o.others = 3;
	assert_int_equal(mproc_dict_update(d, key, count_up, &o), 1);
	expect_there(local, key, mproc_int(32));
	assert_int_equal(o.runs, 5);
	o.result = 0;
	assert_int_equal(mproc_dict_update(d, key, count_up, &o), 0);
	o.result = -EIO;
	assert_int_equal(mproc_dict_update(d, key, count_up, &o), -EIO);
	expect_there(local, key, mproc_int(32));
	/* What is equal to nothing is the same. */
	assert_int_equal(mproc_dict_set(local, key, mproc_float(NAN)), 0);
	o.result = 1;
	assert_int_equal(mproc_dict_update(d, key, count_up, &o), 1);
	mproc_dict_destroy(d);
}

static void
dicts_are_merged_wherever_they_are(void **state)
{
	mproc_dict *local, *d = shared(&local), *other = new_remote();
	mproc_dict *mine;

	(void)state;
	assert_int_equal(mproc_dict_create(&mine, NULL), 0);
	assert_int_equal(mproc_dict_set(local, mproc_int(1), mproc_int(10)), 0);
	assert_int_equal(mproc_dict_set(other, mproc_int(1), mproc_int(11)), 0);
	assert_int_equal(mproc_dict_set(other, mproc_int(2), mproc_int(12)), 0);
	assert_int_equal(mproc_dict_set(mine, mproc_int(3), mproc_int(13)), 0);
	/* There, from there, and to there. */
	assert_int_equal(mproc_dict_merge(d, other), 0);
	expect_there(local, mproc_int(1), mproc_int(11));
	assert_int_equal(mproc_dict_merge(mine, d), 0);
	expect_there(mine, mproc_int(2), mproc_int(12));
	assert_int_equal(mproc_dict_merge(d, mine), 0);
	expect_there(local, mproc_int(3), mproc_int(13));
	assert_int_equal(mproc_dict_merge(d, d), 0);
	assert_int_equal(mproc_dict_len(d), 3);
	mproc_dict_destroy(other);
	assert_int_equal(mproc_dict_merge(d, other), -ESTALE);
	assert_int_equal(mproc_dict_merge(other, mine), -ESTALE);
	mproc_dict_destroy(d);
	mproc_dict_destroy(mine);
}

static void
the_text_of_an_error_comes_along(void **state)
{
	struct mproc_any got;
	mproc_dict *d = new_remote();

	(void)state;
	assert_int_equal(mproc_dict_get(d, mproc_int(1), &got), -ENOENT);
	assert_non_null(strstr(mproc_error_detail(), "the key is not there"));
	mproc_dict_destroy(d);
}

static void
what_was_destroyed_can_be_made_anew(void **state)
{
	mproc_dict *local, *d = shared(&local), *again;
	int64_t n;

	(void)state;
	assert_int_equal(mproc_dict_set(d, mproc_int(1), mproc_int(1)), 0);
	mproc_dict_destroy(d);
	assert_int_equal(mproc_dict_has(local, mproc_int(1)), -ESTALE);
	again = new_remote();
	assert_int_equal(mproc_dict_get_int(d, mproc_int(1), &n), -ESTALE);
	assert_int_equal(mproc_dict_has(again, mproc_int(1)), 0);
	assert_true(again != d);
	mproc_dict_destroy(again);
}

/* @n bytes, which @c's manager sends to nobody: they stay, whatever is tried. */
static void
expect_stuck(mproc_manager *m, mproc_manager *c, size_t n, int error)
{
	mproc_dict *local = dict_of(m, "stuck"), *d = dict_of(c, "stuck");
	mproc_set *elements, *s;
	char *text = calloc(1, n);
	struct mproc_any long_one = mproc_bytes(text, n), key, value;

	assert_int_equal(mproc_manager_set(m, "stuck set", &elements), 0);
	assert_int_equal(mproc_manager_set(c, "stuck set", &s), 0);
	assert_int_equal(mproc_dict_set(local, mproc_int(1), long_one), 0);
	assert_int_equal(mproc_dict_pop(d, mproc_int(1), &value), error);
	assert_int_equal(value.kind, MPROC_NIL);
	expect_there(local, mproc_int(1), long_one);
	assert_int_equal(mproc_dict_pop_item(d, &key, &value), error);
	expect_there(local, mproc_int(1), long_one);
	assert_int_equal(mproc_dict_pop(local, mproc_int(1), NULL), 0);
	/* Of two that fit, both together do not. */
	long_one.len = n * 3 / 5;
	assert_int_equal(mproc_dict_set(local, long_one, long_one), 0);
	assert_int_equal(mproc_dict_pop_item(d, &key, &value), error);
	expect_there(local, long_one, long_one);
	long_one.len = n;
	assert_int_equal(mproc_set_add(elements, long_one), 1);
	assert_int_equal(mproc_set_pop(s, &value), error);
	assert_int_equal(mproc_set_has(elements, long_one), 1);
	/* The connection has come to no harm. */
	assert_int_equal(mproc_dict_len(d), 1);
	mproc_dict_destroy(d);
	mproc_set_destroy(s);
	free(text);
}

static void
what_no_answer_has_room_for_stays(void **state)
{
	mproc_manager *m = start(MPROC_OPTS(mproc_manager_opts,
					    .max_message = 4096));
	mproc_manager *c = connect_to(m);
	mproc_list *mine, *l;
	struct mproc_any got;
	size_t size;

	(void)state;
	expect_stuck(m, c, 4200, -EMSGSIZE);
	mproc_manager_close(c);
	mproc_manager_close(m);
	m = start(MPROC_OPTS(mproc_manager_opts, .max_memory = 100000));
	c = connect_to(m);
	expect_stuck(m, c, 200000, -ENOMEM);
	assert_int_equal(mproc_manager_list(m, "long", &mine), 0);
	assert_int_equal(mproc_manager_list(c, "long", &l), 0);
	/* And whatever fits comes. */
	for (size = 200000; size; size /= 2) {
		char *text = calloc(1, size);
		int r;

		assert_int_equal(mproc_list_append(mine, mproc_bytes(text, size)),
				 0);
		r = mproc_list_pop(l, 0, &got);
		if (size == 200000)
			assert_int_equal(r, -ENOMEM);
		if (size < 30000)
			assert_int_equal(r, 0);
		assert_int_equal(mproc_list_len(mine), r < 0);
		if (r < 0)
			assert_int_equal(mproc_list_pop(mine, 0, &got), 0);
		assert_int_equal(got.len, size);
		mproc_any_clear(&got);
		free(text);
	}
	mproc_list_destroy(l);
	mproc_manager_close(c);
	mproc_manager_close(m);
}

static void
many_keys_are_as_many_requests_as_messages_allow(void **state)
{
	enum { N = 600, LONG = 250 };
	static struct mproc_dict_item items[N];
	static struct mproc_any keys[N], values[N];
	static char text[5000];
	static bool there[N];
	mproc_manager *m = start(MPROC_OPTS(mproc_manager_opts,
					    .max_message = 4096));
	mproc_manager *c = connect_to(m);
	mproc_dict *local = dict_of(m, "many"), *d = dict_of(c, "many");

	(void)state;
	/* More than a request may have, then more than an answer may. */
	for (int i = 0; i < N; i++) {
		items[i].key = keys[i] = mproc_int(i);
		items[i].value = mproc_bytes(text, (size_t)(i * 7 % 1000));
	}
	assert_int_equal(mproc_dict_set_many(d, items, N), N);
	assert_int_equal(mproc_dict_get_many(d, keys, N, values, there), N);
	for (int i = 0; i < N; i++) {
		assert_true(same(&values[i], &items[i].value));
		mproc_any_clear(&values[i]);
		expect_there(local, items[i].key, items[i].value);
	}
	/* A key alone that is too much. */
	assert_int_equal(mproc_dict_clear(local), 0);
	items[LONG].value = mproc_bytes(text, sizeof(text));
	assert_int_equal(mproc_dict_set_many(d, items, N), LONG);
	assert_int_equal(mproc_dict_len(local), LONG);
	assert_int_equal(mproc_dict_set_many(d, items + LONG, N - LONG),
			 -EMSGSIZE);
	assert_int_equal(mproc_dict_len(local), LONG);
	assert_int_equal(mproc_dict_set_many(local, items, N), N);
	assert_int_equal(mproc_dict_get_many(d, keys, N, values, there),
			 -EMSGSIZE);
	assert_int_equal(mproc_dict_get_many(d, keys, LONG, values, there), LONG);
	for (int i = 0; i < LONG; i++)
		mproc_any_clear(&values[i]);
	/* What cannot be sent. */
	items[LONG].value = mproc_ref(local);
	assert_int_equal(mproc_dict_clear(local), 0);
	assert_int_equal(mproc_dict_set_many(d, items, N), LONG);
	assert_int_equal(mproc_dict_set_many(d, items + LONG, 2), -EFAULT);
	assert_int_equal(mproc_dict_len(local), LONG);
	mproc_dict_destroy(d);
	mproc_manager_close(c);
	assert_int_equal(mproc_dict_set_many(d, items, N), -ESTALE);
	assert_int_equal(mproc_dict_get_many(d, keys, N, values, there), -ESTALE);
	mproc_manager_close(m);
}

static void
handles_of_what_was_destroyed_are_used_again(void **state)
{
	enum { N = 4096 }; /* of a process */
	mproc_manager *m = start(NULL), *c = connect_to(m);
	mproc_dict *last = NULL, *local;
	static mproc_event *events[N];
	char name[32];
	int n, r = 0;

	(void)state;
	/* By who has the handle, */
	for (int i = 0; i < N + 100; i++) {
		mproc_dict *d = dict_of(c, "again");

		assert_true(d != last);
		if (last)
			assert_int_equal(mproc_dict_has(last, mproc_int(1)),
					 -ESTALE);
		mproc_dict_destroy(d);
		assert_int_equal(mproc_dict_has(d, mproc_int(1)), -ESTALE);
		last = d;
	}
	/* by somebody else, */
	for (int i = 0; i < N + 100; i++) {
		local = dict_of(m, "again");
		last = dict_of(c, "again");
		assert_int_equal(mproc_dict_set(last, mproc_int(1), mproc_int(i)),
				 0);
		assert_int_equal(mproc_arena_bind(NULL, "again", NULL), 0);
		mproc_dict_destroy(local);
		assert_int_equal(mproc_dict_has(last, mproc_int(1)), -ESTALE);
	}
	/* and those of what is there are not. */
	for (n = 0; n < N && r == 0; n++) {
		snprintf(name, sizeof(name), "event %d", n);
		r = mproc_manager_event(c, name, &events[n]);
	}
	assert_int_equal(n, N);
	assert_int_equal(r, 0);
	assert_int_equal(mproc_manager_dict(c, "more", &last), -ENOSPC);
	assert_int_equal(mproc_event_is_set(events[0]), 0);
	mproc_event_destroy(events[7]);
	/* It rests: a thread that was about to use it does not find what is new. */
	last = dict_of(c, "more");
	assert_ptr_not_equal(last, events[7]);
	assert_int_equal(mproc_event_is_set(events[7]), -ESTALE);
	mproc_dict_destroy(last);
	for (n = 0; n < N; n++)
		if (n != 7)
			mproc_event_destroy(events[n]);
	mproc_manager_close(c);
	mproc_manager_close(m);
}

/* Whatever of its memory is not there: what was taken out for it comes. */
static void
a_pop_without_memory_loses_nothing(void **state)
{
	mproc_dict *d = dict_of(client, "without memory");
	struct mproc_any value;
	int r = 0;

	(void)state;
	for (unsigned n = 1; n <= 12; n++) {
		char fault[32];

		assert_int_equal(mproc_dict_set(d, mproc_int(1), mproc_str("a text")), 0);
		snprintf(fault, sizeof(fault), "malloc:%u", n);
		assert_int_equal(mproc_test_fault(fault), 0);
		r = mproc_dict_pop(d, mproc_int(1), &value);
		assert_int_equal(mproc_test_fault(NULL), 0);
		assert_true(r == 0 || r == -ENOMEM);
		assert_int_equal(mproc_dict_has(d, mproc_int(1)), r < 0);
		if (r < 0)
			continue;
		assert_string_equal(value.ptr, "a text");
		mproc_any_clear(&value);
	}
	assert_int_equal(r, 0);
	mproc_dict_destroy(d);
}

/* The client has no memory to read answers into: what it was told has failed has not
 * happened. */
static void
a_set_without_memory_says_what_has_happened(void **state)
{
	enum { LONG = 1 << 20 };
	mproc_dict *d = dict_of(client, "set without memory");
	char *bytes = calloc(1, LONG);
	struct mproc_any value;
	int r = 0;

	(void)state;
	assert_non_null(bytes);
	assert_int_equal(mproc_dict_set(d, mproc_int(2), mproc_bytes(bytes, LONG)), 0);
	for (unsigned n = 1; n <= 12; n++) {
		char fault[32];

		/* What that has taken is not kept. */
		assert_int_equal(mproc_dict_get(d, mproc_int(2), &value), 0);
		mproc_any_clear(&value);
		snprintf(fault, sizeof(fault), "malloc:%u", n);
		assert_int_equal(mproc_test_fault(fault), 0);
		r = mproc_dict_set(d, mproc_int(1), mproc_int(n));
		assert_int_equal(mproc_test_fault(NULL), 0);
		assert_true(r == 0 || r == -ENOMEM);
		assert_int_equal(mproc_dict_has(d, mproc_int(1)), r == 0);
		if (r == 0)
			assert_int_equal(mproc_dict_pop(d, mproc_int(1), NULL), 0);
	}
	assert_int_equal(r, 0);
	free(bytes);
	mproc_dict_destroy(d);
}

static int
start_both(void **state)
{
	if (with_dict(state) < 0)
		return -1;
	server = start(NULL);
	client = connect_to(server);
	make_dict = new_remote;
	/* What stays once there has been one: names, and the blocks of cells. */
	mproc_dict_destroy(new_remote());
	return 0;
}

static int
end_both(void **state)
{
	(void)state;
	return end_with(server, client);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		DICT_CASES,
		mpt_test(each_kind_goes_there_and_back),
		mpt_test(what_is_no_value_is_not_sent),
		mpt_test(all_keys_come_once),
		mpt_test(long_ones_come_in_pieces),
		mpt_test(an_update_runs_until_nobody_was_faster),
		mpt_test(dicts_are_merged_wherever_they_are),
		mpt_test(the_text_of_an_error_comes_along),
		mpt_test(what_was_destroyed_can_be_made_anew),
		mpt_test(what_no_answer_has_room_for_stays),
		mpt_test(many_keys_are_as_many_requests_as_messages_allow),
		mpt_test(handles_of_what_was_destroyed_are_used_again),
		mpt_test(a_pop_without_memory_loses_nothing),
		mpt_test(a_set_without_memory_says_what_has_happened),
	};

	return cmocka_run_group_tests(tests, start_both, end_both);
}
