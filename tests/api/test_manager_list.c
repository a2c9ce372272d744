/* SPDX-License-Identifier: MIT */
/*
 * Lists of a manager, over a connection: what those of the family do, too, and what is
 * different.
 */
#include "list_cases.h"
#include "manager.h"

#define MOST 4096 /* bytes of a message of the second server's */

static mproc_manager *server, *client;

static mproc_list *
list_named(mproc_manager *m, const char *name)
{
	mproc_list *l;

	assert_int_equal(mproc_manager_list(m, name, &l), 0);
	return l;
}

static mproc_list *
new_remote(void)
{
	static unsigned n;
	char name[32];

	snprintf(name, sizeof(name), "list %u", n++);
	return list_named(client, name);
}

/* The same one, as the family of the server has it. */
static mproc_list *
shared(mproc_list **ret_local)
{
	*ret_local = list_named(server, "shared");
	return list_named(client, "shared");
}

static void
each_kind_goes_there_and_back(void **state)
{
	static char text[5000];
	struct mproc_any all[] = {
		mproc_nil(), mproc_int(INT64_MIN), mproc_int(-1),
		mproc_float(0.5), mproc_float(NAN), mproc_bool(true),
		mproc_bool(false), mproc_str(""), mproc_str("text"),
		mproc_bytes(NULL, 0), mproc_bytes("a\0b", 3),
		mproc_bytes(text, sizeof(text)),
	}, got[16];
	enum { KINDS = sizeof(all) / sizeof(all[0]) };
	mproc_list *local, *l = shared(&local);
	size_t n;

	(void)state;
	memset(text, 'x', sizeof(text));
	for (int i = 0; i < KINDS; i++)
		assert_int_equal(mproc_list_append(l, all[i]), 0);
	assert_true(is_list(local, all, KINDS));
	assert_true(is_list(l, all, KINDS));
	/* And many at once. */
	assert_int_equal(mproc_list_extend(l, all, KINDS), 0);
	assert_int_equal(mproc_list_slice(l, KINDS, INT64_MAX, got, 16, &n), 0);
	assert_int_equal(n, KINDS);
	for (size_t i = 0; i < n; i++) {
		assert_true(is_same(&got[i], &all[i]));
		mproc_any_clear(&got[i]);
	}
	mproc_list_destroy(l);
}

static void
what_is_no_value_is_not_sent(void **state)
{
	struct mproc_any odd[2] = { mproc_int(1), mproc_str(NULL) }, got;
	void *block = mproc_alloc(64);
	mproc_list *local, *l = shared(&local);
	size_t n;

	(void)state;
	assert_int_equal(mproc_list_append(l, odd[1]), -EINVAL);
	assert_int_equal(mproc_list_extend(l, odd, 2), -EINVAL);
	assert_int_equal(mproc_list_replace(l, 0, 1, odd, 2), -EINVAL);
	odd[1] = mproc_ref(block);
	assert_int_equal(mproc_list_extend(l, odd, 2), -EFAULT);
	assert_int_equal(mproc_list_index(l, odd[1], &n), -EFAULT);
	assert_int_equal(mproc_list_len(local), 0);
	/* It is no dict, and what is behind it no handle. */
	assert_int_equal(mproc_dict_has((mproc_dict *)l, mproc_nil()), -EBADMSG);
	assert_int_equal(mproc_list_append((mproc_list *)((char *)l + 8), odd[0]),
			 -EFAULT);
	/* What the family has put there, and in which order it is. */
	assert_int_equal(mproc_list_extend(local, odd, 2), 0);
	assert_int_equal(mproc_list_get(l, 1, &got), 0);
	assert_true(got.kind == MPROC_REF && !got.ptr);
	assert_int_equal(mproc_list_reverse(l), 0);
	assert_true(has_at(local, 0, odd[1]));
	mproc_list_destroy(l);
	mproc_free(block);
}

/* What is different at hand. */
static void
equals_are_found_counted_and_removed(void **state)
{
	mproc_list *l = LIST(mproc_int(0), mproc_float(1.0), mproc_str(long_text),
			     mproc_bool(true), mproc_str("1"), mproc_float(NAN));
	size_t at = 77, n = 77;

	(void)state;
	assert_int_equal(mproc_list_index(l, mproc_int(1), &at), 0);
	assert_int_equal(at, 1);
	assert_int_equal(mproc_list_index(l, mproc_str(long_text), NULL), 0);
	assert_int_equal(mproc_list_index(l, mproc_float(NAN), &at), -ENOENT);
	assert_int_equal(at, 1);
	assert_int_equal(mproc_list_count(l, mproc_int(1), &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(mproc_list_count(l, mproc_int(1), NULL), -EINVAL);
	assert_int_equal(mproc_list_remove(l, mproc_int(1)), 0);
	assert_int_equal(mproc_list_remove(l, mproc_int(7)), -ENOENT);
	assert_int_equal(mproc_list_compare_exchange(l, 0, mproc_int(5),
						     mproc_nil()), 0);
	assert_int_equal(mproc_list_compare_exchange(l, -1, mproc_float(NAN),
						     mproc_nil()), 0);
	assert_int_equal(mproc_list_compare_exchange(l, 0, mproc_bool(false),
						     mproc_nil()), 1);
	assert_int_equal(mproc_list_compare_exchange(l, 9, mproc_nil(),
						     mproc_nil()), -ERANGE);
	assert_true(has_at(l, 0, mproc_nil()));
	mproc_list_destroy(l);
	assert_int_equal(mproc_list_index(l, mproc_int(0), NULL), -ESTALE);
	assert_int_equal(mproc_list_sort(l, NULL, NULL), -ESTALE);
	assert_int_equal(mproc_list_reverse(l), -ESTALE);
}

/* What a function does, and who is faster. */
struct order {
	mproc_list *local;
	int runs, result, others;
};

static int
count_up(const struct mproc_any *old, struct mproc_any *value, void *ctx)
{
	struct order *o = ctx;

	o->runs++;
	if (o->others-- > 0)
		assert_int_equal(mproc_list_add(o->local, 0, mproc_int(10), NULL),
				 0);
	*value = mproc_int(old->i64 + 1);
	return o->result;
}

static void
an_update_runs_until_nobody_was_faster(void **state)
{
	mproc_list *local, *l = shared(&local);
	struct order o = { .local = local, .result = 1 };

	(void)state;
	ADD(l, mproc_int(0));
	assert_int_equal(mproc_list_update(l, 0, count_up, &o), 1);
	assert_true(has_at(local, 0, mproc_int(1)) && o.runs == 1);
	o.others = 3;
	assert_int_equal(mproc_list_update(l, -1, count_up, &o), 1);
	assert_true(has_at(local, 0, mproc_int(32)) && o.runs == 5);
	o.result = 0;
	assert_int_equal(mproc_list_update(l, 0, count_up, &o), 0);
	o.result = -EIO;
	assert_int_equal(mproc_list_update(l, 0, count_up, &o), -EIO);
	assert_true(has_at(local, 0, mproc_int(32)));
	assert_int_equal(mproc_list_update(l, 1, count_up, &o), -ERANGE);
	assert_int_equal(mproc_list_update(l, 0, NULL, NULL), -EINVAL);
	/* What is equal to nothing is the same. */
	assert_int_equal(mproc_list_set(local, 0, mproc_float(NAN)), 0);
	o.result = 1;
	assert_int_equal(mproc_list_update(l, 0, count_up, &o), 1);
	mproc_list_destroy(l);
}

/* By the last digit, the larger one first. */
static int
by_last_digit(const struct mproc_any *a, const struct mproc_any *b, void *ctx)
{
	struct order *o = ctx;

	o->runs++;
	if (o->others-- > 0)
		assert_int_equal(mproc_list_append(o->local, mproc_int(o->others)),
				 0);
	return (int)(b->i64 % 10 - a->i64 % 10);
}

static void
any_order_can_be_had(void **state)
{
	mproc_list *local, *l = shared(&local);
	struct order o = { .local = local };

	(void)state;
	assert_int_equal(mproc_list_sort(l, by_last_digit, &o), 0);
	ADD(l, mproc_int(10), mproc_int(21), mproc_int(31), mproc_int(19));
	assert_int_equal(mproc_list_sort(l, by_last_digit, &o), 0);
	expect_list(local, mproc_int(19), mproc_int(21), mproc_int(31),
		    mproc_int(10));
	/* Until nobody was faster. */
	o.others = 1;
	o.runs = 0;
	assert_int_equal(mproc_list_sort(l, by_last_digit, &o), 0);
	expect_list(local, mproc_int(19), mproc_int(21), mproc_int(31),
		    mproc_int(10), mproc_int(0));
	assert_true(o.runs > 6);
	mproc_list_destroy(l);
	assert_int_equal(mproc_list_sort(l, by_last_digit, &o), -ESTALE);
}

/* More than a message can have: nothing happens, and what is too long stays. */
static void
what_is_too_long_stays_where_it_is(void **state)
{
	static char text[MOST + 1];
	struct mproc_any many[200], got[300];
	mproc_manager *m = start(MPROC_OPTS(mproc_manager_opts,
					    .max_message = MOST));
	mproc_manager *c = connect_to(m);
	mproc_list *local = list_named(m, "long"), *l = list_named(c, "long");
	size_t n = 0;

	(void)state;
	memset(text, 't', sizeof(text));
	assert_int_equal(mproc_list_append(l, mproc_bytes(text, MOST)), -EMSGSIZE);
	assert_int_equal(mproc_list_append(local, mproc_bytes(text, MOST)), 0);
	assert_int_equal(mproc_list_get(l, 0, got), -EMSGSIZE);
	assert_int_equal(mproc_list_pop(l, 0, got), -EMSGSIZE);
	assert_int_equal(mproc_list_len(local), 1);
	assert_int_equal(mproc_list_slice(l, 0, 1, got, 1, &n), -EMSGSIZE);
	assert_int_equal(n, 1);
	for (int i = 0; i < 200; i++)
		many[i] = mproc_bytes(text, 50);
	assert_int_equal(mproc_list_extend(l, many, 200), -EMSGSIZE);
	assert_int_equal(mproc_list_replace(l, 0, 1, many, 200), -EMSGSIZE);
	assert_int_equal(mproc_list_extend(l, many, 50), 0);
	assert_int_equal(mproc_list_extend(l, many, 50), 0);
	assert_int_equal(mproc_list_len(local), 101);
	n = 0;
	assert_int_equal(mproc_list_slice(l, 1, INT64_MAX, got, 300, &n),
			 -EMSGSIZE);
	assert_int_equal(n, 100);
	assert_true(detail_has("longer than a message"));
	for (int64_t from = 1; from < 101; from += 50) {
		assert_int_equal(mproc_list_slice(l, from, from + 50, got, 300,
						  &n), 0);
		assert_int_equal(n, 50);
		while (n)
			mproc_any_clear(&got[--n]);
	}
	assert_int_equal(mproc_list_sort(l, by_last_digit, NULL), -EMSGSIZE);
	mproc_list_destroy(l);
	mproc_manager_close(c);
	mproc_manager_close(m);
}

static void
a_name_has_one_kind(void **state)
{
	mproc_list *local, *l = shared(&local), *again;
	mproc_dict *d;

	(void)state;
	assert_int_equal(mproc_manager_list(client, "shared", &again), 0);
	assert_ptr_equal(again, l);
	assert_int_equal(mproc_manager_dict(client, "shared", &d), -EPROTOTYPE);
	assert_int_equal(mproc_manager_dict(server, "shared", &d), -EPROTOTYPE);
	assert_int_equal(mproc_manager_list(client, "", &again), -EINVAL);
	assert_int_equal(mproc_manager_list(client, NULL, &again), -EINVAL);
	assert_int_equal(mproc_manager_list(client, "x", NULL), -EINVAL);
	mproc_list_destroy(l);
	/* What comes in its place is another one. */
	again = list_named(client, "shared");
	assert_int_equal(mproc_list_append(l, mproc_nil()), -ESTALE);
	assert_int_equal(mproc_list_append(again, mproc_nil()), 0);
	mproc_list_destroy(again);
}

static int
start_both(void **state)
{
	mproc_list *a, *b;

	if (with_arena(state) < 0)
		return -1;
	server = start(NULL);
	client = connect_to(server);
	make_list = new_remote;
	/* What stays once there has been one: names, and the blocks of cells. */
	a = new_list();
	b = new_list();
	mproc_list_destroy(a);
	mproc_list_destroy(b);
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
		LIST_CASES,
		mpt_test(each_kind_goes_there_and_back),
		mpt_test(what_is_no_value_is_not_sent),
		mpt_test(equals_are_found_counted_and_removed),
		mpt_test(an_update_runs_until_nobody_was_faster),
		mpt_test(any_order_can_be_had),
		mpt_test(what_is_too_long_stays_where_it_is),
		mpt_test(a_name_has_one_kind),
	};

	return cmocka_run_group_tests(tests, start_both, end_both);
}
