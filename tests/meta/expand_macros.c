/* SPDX-License-Identifier: MIT */
/*
 * Every public macro, expanded once. check_headers.py compiles this file as C11
 * and as C++11 and fails if a public header defines a macro that does not occur
 * here. It is never run.
 */
#include <mproc/mproc.h>
#include <mproc/mproc_cmocka.h>
#include <mproc/testing.h>

MPROC_BEGIN_DECLS

MPROC_API MPROC_NODISCARD int expand_declaration(void);

MPROC_END_DECLS

/* The version is needed by the preprocessor. */
#if MPROC_VERSION_MAJOR * 1000000 + MPROC_VERSION_MINOR * 1000 + \
		MPROC_VERSION_PATCH < 0
#error "a version is not negative"
#endif

mproc_timeout expand_nowait(void);
mproc_timeout expand_forever(void);
size_t expand_opts(void);

mproc_timeout expand_nowait(void)
{
	return MPROC_NOWAIT;
}

mproc_timeout expand_forever(void)
{
	mproc_timeout forever = MPROC_FOREVER;

	return forever;
}

static size_t read_opts(const struct mproc_queue_opts *opts)
{
	return opts->struct_size + opts->capacity;
}

static size_t read_many(const struct mproc_process_opts *opts)
{
	return opts->struct_size + opts->arg_size;
}

size_t expand_opts(void)
{
	struct mproc_stdio null = { MPROC_STDIO_NULL, 0 };

	return read_opts(MPROC_OPTS(mproc_queue_opts, .capacity = 4096)) +
	       read_opts(MPROC_OPTS(mproc_queue_opts, .capacity = 4096,
				    .single_consumer = true)) +
	       read_many(MPROC_OPTS(mproc_process_opts, .name = "all",
				    .arg_size = 1, .env = 0, .cwd = "/",
				    .keep_fds = 0, .cpus = 0, .n_keep_fds = -1,
				    .n_cpus = 0, .method = MPROC_FORK,
				    .stdin_ = null, .stdout_ = null,
				    .stderr_ = null, .daemon = false,
				    .outlive_parent = true));
}

int expand_with_lock(mproc_lock *lock)
{
	int r = 0, n = 0;

	mproc_with_lock(lock)
		n++;
	mproc_with_lock_r(lock, r) {
		if (r == MPROC_OWNER_DIED)
			break;
		n++;
	}
	return r < 0 ? r : n;
}

struct expand_pair {
	int a, b;
};

int expand_values(void)
{
	struct expand_pair *pair = mproc_value(struct expand_pair, 1, 2);
	double *value = mproc_value(double, 1.5);
	int *array = mproc_array(int, 5), expected = 0, n = 0;

	if (pair && value && array) {
		mproc_store(value, mproc_load(value) + mproc_fetch_add(value, 1));
		n = mproc_fetch_add(&array[1], pair->a) + mproc_load(array);
		n += mproc_exchange(array, 2);
		n += mproc_compare_exchange(array, &expected, 3);
		mproc_store(array, pair->b);
	}
	mproc_free(pair);
	mproc_free(value);
	mproc_free(array);
	return n;
}

int expand_pool(mproc_pool **ret_p)
{
	int (*create)(mproc_pool **, const struct mproc_pool_opts *) =
		mproc_pool_create;
	int r = mproc_pool_create(ret_p, 0);

	r += mproc_pool_create(ret_p, MPROC_OPTS(mproc_pool_opts, .workers = 2,
						 .retries = 1));
	return r + create(ret_p, 0);
}

bool expand_check(const char *text)
{
	return mproc_test_check(text[0]) && mproc_test_check(!text[1]);
}

/* By the names that cmocka's macros call. */
void expand_asserts(const char *text)
{
	LargestIntegralType set[] = { 1, 2 };

	_assert_true(1, "1", __FILE__, __LINE__);
	_assert_return_code(0, 4, 0, "0", __FILE__, __LINE__);
	_assert_float_equal(1.0f, 1.0f, 0.1f, __FILE__, __LINE__);
	_assert_float_not_equal(1.0f, 2.0f, 0.1f, __FILE__, __LINE__);
	_assert_int_equal(1, 1, __FILE__, __LINE__);
	_assert_int_not_equal(1, 2, __FILE__, __LINE__);
	_assert_string_equal(text, text, __FILE__, __LINE__);
	_assert_string_not_equal(text, "", __FILE__, __LINE__);
	_assert_memory_equal(text, text, 1, __FILE__, __LINE__);
	_assert_memory_not_equal(text, "", 1, __FILE__, __LINE__);
	_assert_in_range(1, 1, 2, __FILE__, __LINE__);
	_assert_not_in_range(1, 2, 3, __FILE__, __LINE__);
	_assert_in_set(1, set, 2, __FILE__, __LINE__);
	_assert_not_in_set(3, set, 2, __FILE__, __LINE__);
	mock_assert(1, "1", __FILE__, __LINE__);
	_check_expected("f", "p", __FILE__, __LINE__, _mock("f", __FILE__,
							    __LINE__));
	_function_called("f", __FILE__, __LINE__);
	if (text[0])
		_fail(__FILE__, __LINE__);
	_skip(__FILE__, __LINE__);
}

int expand_groups(void);

static void expand_test(void **state)
{
	expand_asserts((const char *)*state);
}

int expand_groups(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(expand_test),
	};

	return cmocka_run_group_tests(tests, 0, 0) +
	       cmocka_run_group_tests_name("tests", tests, 0, 0);
}
