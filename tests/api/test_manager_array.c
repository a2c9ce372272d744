/* SPDX-License-Identifier: MIT */
/*
 * Values and arrays of a manager, over a connection: what those of the family do, too, and
 * what is different.
 */
#include <signal.h>

#include "array_cases.h"
#include "manager.h"

static mproc_manager *server, *client;

static void *
array_named(mproc_manager *m, const char *name, size_t elem, size_t n, const void *init)
{
	void *array;

	assert_int_equal(mproc_manager_array(m, name, elem, n, init, &array), 0);
	return array;
}

static void *
make_remote(size_t elem, size_t n, const void *init)
{
	static unsigned number;
	char name[32];

	snprintf(name, sizeof(name), "array %u", number++);
	return array_named(client, name, elem, n, init);
}

static void
it_is_the_array_of_the_family(void **state)
{
	int in[4] = { 1, 2, 3, 4 }, other[4] = { 9, 9, 9, 9 }, out[4];
	int *local = array_named(server, "shared", sizeof(int), 4, in);
	void *array = array_named(client, "shared", sizeof(int), 0, NULL), *again;

	(void)state;
	assert_int_equal(mproc_array_len(array), 4);
	assert_int_equal(mproc_array_get(array, 0, out, sizeof(out)), 0);
	assert_memory_equal(out, in, sizeof(in));
	assert_int_equal(mproc_array_add(array, 2, sizeof(int), 10, NULL), 0);
	assert_int_equal(local[2], 13);
	local[0] = 100;
	assert_int_equal(mproc_array_get(array, 0, out, sizeof(out)), 0);
	assert_int_equal(out[0], 100);
	/* As it is there already, what it is to begin with does not count. */
	again = array_named(client, "shared", sizeof(int), 4, other);
	assert_ptr_equal(again, array);
	assert_int_equal(local[0], 100);
	/* Freed over there, the name is free. */
	mproc_free(array);
	assert_int_equal(mproc_array_len(local), 0);
	assert_int_equal(mproc_array_get(array, 0, out, sizeof(out)), -ESTALE);
	assert_int_equal(mproc_array_set(array, 0, out, sizeof(out)), -ESTALE);
	errno = 0;
	assert_int_equal(mproc_array_len(array), 0);
	assert_int_equal(errno, ESTALE);
	again = array_named(client, "shared", 1, 3, NULL);
	assert_ptr_not_equal(again, array);
	assert_int_equal(mproc_array_get(array, 0, out, sizeof(out)), -ESTALE);
	mproc_free(again);
}

static void
a_shape_has_to_fit(void **state)
{
	double one = 1.5, got = 0;
	void *value, *other;
	mproc_dict *d;

	(void)state;
	for (int i = 0; i < 2; i++) {
		mproc_manager *m = i ? client : server;

		assert_int_equal(mproc_manager_value(m, "value", sizeof(one), &one,
						     &value), 0);
		assert_int_equal(mproc_array_len(value), 1);
		assert_int_equal(mproc_array_get(value, 0, &got, sizeof(got)), 0);
		assert_true(got == one);
		assert_int_equal(mproc_manager_array(m, "value", 4, 1, NULL, &other),
				 -EPROTOTYPE);
		assert_int_equal(mproc_manager_array(m, "value", 8, 2, NULL, &other),
				 -EPROTOTYPE);
		assert_int_equal(mproc_manager_dict(m, "value", &d), -EPROTOTYPE);
		d = dict_of(m, "dict");
		assert_int_equal(mproc_manager_array(m, "dict", 8, 0, NULL, &other),
				 -EPROTOTYPE);
		assert_int_equal(mproc_manager_array(m, "none", 8, 0, NULL, &other),
				 -ENOENT);
		assert_int_equal(mproc_manager_array(m, "none", 0, 1, NULL, &other),
				 -EINVAL);
		assert_int_equal(mproc_manager_array(m, "none", 8, 0, &one, &other),
				 -EINVAL);
		assert_int_equal(mproc_manager_array(m, "none", 8, SIZE_MAX / 8, NULL,
						     &other), -ENOMEM);
		assert_int_equal(mproc_manager_array(m, NULL, 8, 1, NULL, &other),
				 -EINVAL);
		assert_int_equal(mproc_manager_array(m, "", 8, 1, NULL, &other),
				 -EINVAL);
		assert_int_equal(mproc_manager_array(m, "none", 8, 1, NULL, NULL),
				 -EINVAL);
	}
	mproc_dict_destroy(d);
	mproc_free(value);
}

/* What takes them for something else is told so. */
static void
a_handle_is_no_memory(void **state)
{
	void *array = make_remote(8, 4, NULL);
	mproc_dict *d = dict_of(client, "a dict");
	int64_t v = 0;

	(void)state;
	assert_false(mproc_is_shared(array));
	errno = 0;
	assert_null(mproc_lock_of(array));
	assert_int_equal(errno, EOPNOTSUPP);
	assert_int_equal(mproc_dict_len(array), 0);
	assert_int_equal(mproc_dict_has(array, mproc_nil()), -EBADMSG);
	assert_int_equal(mproc_array_get(d, 0, &v, sizeof(v)), -EBADMSG);
	assert_int_equal(mproc_array_len(d), 0);
	/* Nor does it free what it is not. */
	mproc_free(d);
	assert_int_equal(mproc_dict_set(d, mproc_nil(), mproc_nil()), 0);
	mproc_dict_destroy(d);
	mproc_free(array);
	assert_int_equal(mproc_array_get(array, 0, &v, sizeof(v)), -ESTALE);
}

static int
read_there(struct mpt *t, void *array)
{
	(void)t;
	/* Whoever else would catch it. */
	signal(SIGSEGV, SIG_DFL);
	return (int)*(volatile char *)array;
}

static void
to_read_at_a_handle_is_a_crash(void **state)
{
	struct mpt *t = *state;
	void *array = make_remote(1, 1, NULL);

	mpt_expect_signal(t, mpt_fork(t, "reader", read_there, array), SIGSEGV);
	mproc_free(array);
}

static void
long_ones_come_in_parts(void **state)
{
	enum { N = 3000 };
	static int32_t in[N], out[N];
	mproc_manager *m = start(MPROC_OPTS(mproc_manager_opts,
					    .max_message = 4096));
	mproc_manager *c = connect_to(m);
	void *array;

	(void)state;
	for (int i = 0; i < N; i++)
		in[i] = i * 3;
	assert_int_equal(mproc_manager_array(c, "long", sizeof(in[0]), N, in, &array),
			 -EMSGSIZE);
	array = array_named(c, "long", sizeof(in[0]), N, NULL);
	assert_int_equal(mproc_array_set(array, 0, in, sizeof(in)), -EMSGSIZE);
	assert_int_equal(mproc_array_get(array, 0, out, sizeof(out)), -EMSGSIZE);
	for (size_t i = 0; i < N; i += N / 3)
		assert_int_equal(mproc_array_set(array, i, in + i, sizeof(in) / 3), 0);
	for (size_t i = 0; i < N; i += N / 3)
		assert_int_equal(mproc_array_get(array, i, out + i, sizeof(out) / 3),
				 0);
	assert_memory_equal(in, out, sizeof(in));
	mproc_free(array);
	mproc_manager_close(c);
	assert_int_equal(mproc_array_get(array, 0, out, 4), -ESTALE);
	mproc_free(array);
	mproc_manager_close(m);
}

static int
start_both(void **state)
{
	if (with_dict(state) < 0)
		return -1;
	server = start(NULL);
	client = connect_to(server);
	make_array = make_remote;
	/* What stays once there has been one: names. */
	mproc_free(make_remote(1, 1, NULL));
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
		ARRAY_CASES,
		mpt_test(it_is_the_array_of_the_family),
		mpt_test(a_shape_has_to_fit),
		mpt_test(a_handle_is_no_memory),
		mpt_test(to_read_at_a_handle_is_a_crash),
		mpt_test(long_ones_come_in_parts),
	};

	return cmocka_run_group_tests(tests, start_both, end_both);
}
