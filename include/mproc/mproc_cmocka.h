/* SPDX-License-Identifier: MIT */
/*
 * mproc_cmocka.h - cmocka's assertions in processes under test.
 *
 * A test program includes this in the place of <cmocka.h>, and nothing else
 * changes. Then assert_true() and all others, and fail(), work in entries that
 * libmproc runs, in threads there and in their own children: the process ends, and
 * the test in the parent fails, with the file and line of the assertion and the
 * name of the process. Without it such an assertion jumps back into the child's
 * copy of the runner, which goes on with the remaining tests, while the parent's
 * test succeeds.
 *
 * The test fails in its next assertion, in mproc_test_run(), or in
 * mproc_test_collect(); what nobody has looked for fails the group. Code that is
 * tested and has assertions in it has to include this, too; elsewhere they end the
 * process by SIGABRT.
 *
 * skip(), will_return() and expect_value() are for the test itself, not for what
 * runs in another process. A program includes it in as many files as it likes, but
 * runs one group of tests at a time. In a process with a new image (MPROC_SPAWN,
 * MPROC_FORKSERVER) assertions work as well, but cmocka knows no mocks: it crashes in
 * mock(), check_expected() and function_called(). For cmocka from 1.1.0 on.
 */
#ifndef MPROC_MPROC_CMOCKA_H
#define MPROC_MPROC_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <mproc/testing.h>

MPROC_BEGIN_DECLS

/* The group that runs. */
struct mproc_cmocka_ {
	CMFixtureFunction setup;
	CMFixtureFunction teardown;
	int late; /* failures after the last test */
	int over; /* there is no test that could fail */
};

static inline struct mproc_cmocka_ *
mproc_cmocka_group_(void)
{
	static struct mproc_cmocka_ group;

	return &group;
}

static inline void
mproc_cmocka_failed_(void *ctx, const struct mproc_test_failure *f)
{
	const struct mproc_cmocka_ *group = (const struct mproc_cmocka_ *)ctx;

	print_error("%s:%d: failed in process \"%s\" (%d): %s\n", f->file,
		    f->line, f->process, (int)f->pid, f->text);
	if (!group->over)
		_fail(f->file, f->line);
}

static inline int
mproc_cmocka_setup_(void **state)
{
	struct mproc_cmocka_ *group = mproc_cmocka_group_();
	struct mproc_test_framework framework;

	mproc_opts_init(&framework, sizeof(framework));
	framework.failed = mproc_cmocka_failed_;
	framework.ctx = group;
	framework.abort_env = "CMOCKA_TEST_ABORT";
	if (mproc_test_hook(&framework) < 0)
		return -1;
	return group->setup ? group->setup(state) : 0;
}

static inline int
mproc_cmocka_teardown_(void **state)
{
	struct mproc_cmocka_ *group = mproc_cmocka_group_();
	int r = group->teardown ? group->teardown(state) : 0;

	group->over = 1;
	group->late = mproc_test_collect();
	mproc_test_hook(NULL);
	return group->late ? -1 : r;
}

static inline int
mproc_cmocka_run_(const char *name, const struct CMUnitTest *tests, size_t n,
		  CMFixtureFunction setup, CMFixtureFunction teardown)
{
	struct mproc_cmocka_ *group = mproc_cmocka_group_();
	int r;

	group->setup = setup;
	group->teardown = teardown;
	group->late = 0;
	group->over = 0;
	r = _cmocka_run_group_tests(name, tests, n, mproc_cmocka_setup_,
				    mproc_cmocka_teardown_);
	return r ? r : group->late;
}

static inline LargestIntegralType
mproc_cmocka_value_(LargestIntegralType value)
{
	mproc_test_end_assert();
	return value;
}

MPROC_END_DECLS

/* Around each of cmocka's own functions. They are the same for all of its macros,
 * so these need not be known here. */
#define MPROC_CMOCKA_ASSERT_(what, call)                                      \
	((void)mproc_test_begin_assert(what, __FILE__, __LINE__), call,       \
	 mproc_test_end_assert())
#define MPROC_CMOCKA_VALUE_(what, call)                                       \
	((void)mproc_test_begin_assert(what, __FILE__, __LINE__),             \
	 mproc_cmocka_value_(call))
#define _assert_true(...)                                                     \
	MPROC_CMOCKA_ASSERT_("assert_true", _assert_true(__VA_ARGS__))
#define _assert_return_code(...)                                              \
	MPROC_CMOCKA_ASSERT_("assert_return_code",                            \
			     _assert_return_code(__VA_ARGS__))
#define _assert_float_equal(...)                                              \
	MPROC_CMOCKA_ASSERT_("assert_float_equal",                            \
			     _assert_float_equal(__VA_ARGS__))
#define _assert_float_not_equal(...)                                          \
	MPROC_CMOCKA_ASSERT_("assert_float_not_equal",                        \
			     _assert_float_not_equal(__VA_ARGS__))
#define _assert_int_equal(...)                                                \
	MPROC_CMOCKA_ASSERT_("assert_int_equal",                              \
			     _assert_int_equal(__VA_ARGS__))
#define _assert_int_not_equal(...)                                            \
	MPROC_CMOCKA_ASSERT_("assert_int_not_equal",                          \
			     _assert_int_not_equal(__VA_ARGS__))
#define _assert_string_equal(...)                                             \
	MPROC_CMOCKA_ASSERT_("assert_string_equal",                           \
			     _assert_string_equal(__VA_ARGS__))
#define _assert_string_not_equal(...)                                         \
	MPROC_CMOCKA_ASSERT_("assert_string_not_equal",                       \
			     _assert_string_not_equal(__VA_ARGS__))
#define _assert_memory_equal(...)                                             \
	MPROC_CMOCKA_ASSERT_("assert_memory_equal",                           \
			     _assert_memory_equal(__VA_ARGS__))
#define _assert_memory_not_equal(...)                                         \
	MPROC_CMOCKA_ASSERT_("assert_memory_not_equal",                       \
			     _assert_memory_not_equal(__VA_ARGS__))
#define _assert_in_range(...)                                                 \
	MPROC_CMOCKA_ASSERT_("assert_in_range", _assert_in_range(__VA_ARGS__))
#define _assert_not_in_range(...)                                             \
	MPROC_CMOCKA_ASSERT_("assert_not_in_range",                           \
			     _assert_not_in_range(__VA_ARGS__))
#define _assert_in_set(...)                                                   \
	MPROC_CMOCKA_ASSERT_("assert_in_set", _assert_in_set(__VA_ARGS__))
#define _assert_not_in_set(...)                                               \
	MPROC_CMOCKA_ASSERT_("assert_not_in_set",                             \
			     _assert_not_in_set(__VA_ARGS__))
#define mock_assert(...)                                                      \
	MPROC_CMOCKA_ASSERT_("mock_assert", mock_assert(__VA_ARGS__))
#define _check_expected(...)                                                  \
	MPROC_CMOCKA_ASSERT_("check_expected", _check_expected(__VA_ARGS__))
#define _function_called(...)                                                 \
	MPROC_CMOCKA_ASSERT_("function_called", _function_called(__VA_ARGS__))
#define _mock(...) MPROC_CMOCKA_VALUE_("mock", _mock(__VA_ARGS__))
#define _fail(...) MPROC_CMOCKA_ASSERT_("fail", _fail(__VA_ARGS__))
/* It cannot be made to abort. */
#define _skip(file, line)                                                     \
	(mproc_test_begin_assert("skip", file, line) ?                        \
		 (void)mproc_test_check_at(false, "skip() in a process under test", \
					   file, line) :                      \
		 _skip(file, line))

/* Groups, as cmocka has them, with this around them. */
#undef cmocka_run_group_tests
#define cmocka_run_group_tests(tests, setup, teardown)                        \
	mproc_cmocka_run_(#tests, tests, sizeof(tests) / sizeof((tests)[0]),  \
			  setup, teardown)
#undef cmocka_run_group_tests_name
#define cmocka_run_group_tests_name(name, tests, setup, teardown)             \
	mproc_cmocka_run_(name, tests, sizeof(tests) / sizeof((tests)[0]),    \
			  setup, teardown)

#endif
