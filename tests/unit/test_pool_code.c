/* SPDX-License-Identifier: MIT */
/*
 * pool/code.h: numbers of functions, and what is none.
 */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "os/image.h"
#include "pool/code.h"

static struct mpr_pool_root root;
static struct mproc_pool pool;
static const struct mpr_pool_use use = { .pool = &pool, .root = &root };

static void
begin(int method)
{
	uint64_t image = 0;

	memset(&root, 0, sizeof(root));
	atomic_store(&root.method, (uint32_t)method);
	assert_int_equal(mpr_code_image(&use, &image), 0);
	assert_true(image);
	atomic_store(&root.image, image);
	assert_int_equal(mpr_module_program(&image), 0);
	atomic_store(&root.program, image);
}

static uint64_t
code_of(mpr_function *fn)
{
	uint64_t code = 0;

	assert_int_equal(mpr_code_of(&use, fn, &code), 0);
	assert_true(code);
	return code;
}

static void
a_copy_has_addresses(void **state)
{
	mpr_function *fn = (mpr_function *)a_copy_has_addresses;
	uint64_t code;

	(void)state;
	begin(MPROC_FORK);
	assert_true(code_of(fn) == (uintptr_t)fn);
	assert_true(mpr_code_find(&use, code_of(fn)) == fn);
	assert_true(mpr_code_has_memory(&use));
	/* Who has another image names a place in the program, if it has that. */
	atomic_fetch_add(&root.image, 1);
	assert_false(mpr_code_has_memory(&use));
	assert_int_equal(code_of(fn) >> 48, 1 << 15);
	assert_true(mpr_code_find(&use, code_of(fn)) == fn);
	atomic_fetch_add(&root.program, 1);
	assert_int_equal(mpr_code_of(&use, fn, &code), -ENOEXEC);
	/* Where it has submitted, it runs it. */
	atomic_store(&root.backend, MPROC_POOL_INLINE);
	assert_true(mpr_code_has_memory(&use));
	assert_true(code_of(fn) == (uintptr_t)fn);
}

static void
a_function_of_the_program_needs_no_module(void **state)
{
	mpr_function *fn = (mpr_function *)a_function_of_the_program_needs_no_module;
	uint64_t code;

	(void)state;
	begin(MPROC_SPAWN);
	code = code_of(fn);
	assert_int_equal(code >> 48, 1 << 15);
	/* It stays what it is, whatever becomes of the method. */
	atomic_store(&root.method, MPROC_FORK);
	assert_true(mpr_code_find(&use, code) == fn);
	atomic_store(&root.method, MPROC_SPAWN);
	assert_true(mpr_code_find(&use, code) == fn);
	assert_int_equal(atomic_load(&root.modules[0]), 0);
	/* Another program's pool. */
	atomic_fetch_add(&root.program, 1);
	assert_int_equal(mpr_code_of(&use, fn, &code), -ENOEXEC);
	assert_null(mpr_code_find(&use, code));
}

/* Where it lies in its library: what a program that is not relocated takes for its address
 * is a place of the program's own. */
static mpr_function *
of_library(const char *name)
{
	mpr_function *fn;

	*(void **)&fn = dlsym(RTLD_NEXT, name);
	assert_non_null(fn);
	return fn;
}

static void
libraries_are_numbered(void **state)
{
	mpr_function *libc = of_library("getpid"), *cmocka = of_library("_fail");
	uint64_t code;

	(void)state;
	/* Copies of the creator look for none. */
	begin(MPROC_FORK);
	atomic_fetch_add(&root.image, 1);
	assert_int_equal(mpr_code_of(&use, libc, &code), -ENOEXEC);
	begin(MPROC_FORKSERVER);
	assert_int_equal(code_of(libc) >> 48, 1 << 15 | 1);
	assert_int_equal(code_of(cmocka) >> 48, 1 << 15 | 2);
	assert_int_equal(code_of(of_library("getppid")) >> 48, 1 << 15 | 1);
	assert_true(mpr_code_find(&use, code_of(libc)) == libc);
	assert_true(mpr_code_find(&use, code_of(cmocka)) == cmocka);
	/* One that is not here, as in a worker. */
	code = code_of(cmocka);
	atomic_fetch_add(&root.modules[1], 1);
	assert_null(mpr_code_find(&use, code));
	for (unsigned i = 0; i < MPR_POOL_MODULES; i++)
		atomic_store(&root.modules[i], i + 1);
	assert_int_equal(mpr_code_of(&use, libc, &code), -ENOEXEC);
}

/* Of copies of the creator, which need not have what this process has. */
static void
addresses_in_libraries_have_numbers(void **state)
{
	static const uint32_t alone[] = { MPROC_POOL_THREADS, MPROC_POOL_INLINE };
	mpr_function *libc = of_library("getpid"), *cmocka = of_library("_fail");
	uint64_t code;

	(void)state;
	begin(MPROC_FORK);
	code = code_of(libc);
	assert_true(code == ((uint64_t)(uintptr_t)libc | UINT64_C(1) << 57));
	assert_int_equal(code_of(cmocka) >> 57, 2);
	assert_int_equal(code_of(of_library("getppid")) >> 57, 1);
	assert_true(mpr_code_find(&use, code) == libc);
	assert_true(mpr_code_find(&use, code_of(cmocka)) == cmocka);
	assert_true(mpr_code_find(&use, code) == libc);
	/* Another one lies there. */
	atomic_fetch_add(&root.modules[0], 1);
	assert_null(mpr_code_find(&use, code));
	assert_true(mpr_code_find(&use, code_of(cmocka)) == cmocka);
	/* Nobody has named it. */
	assert_null(mpr_code_find(&use, code + (UINT64_C(2) << 57)));
	assert_null(mpr_code_find(&use, code + (UINT64_C(60) << 57)));
	/* Without a number it is not known which one is meant. */
	for (unsigned i = 0; i < MPR_POOL_MODULES; i++)
		atomic_store(&root.modules[i], i + 1);
	assert_true(code_of(libc) == (uintptr_t)libc);
	assert_true(mpr_code_find(&use, code_of(libc)) == libc);
	/* Where there is one memory all have the same. */
	for (size_t i = 0; i < sizeof(alone) / sizeof(alone[0]); i++) {
		begin(MPROC_FORK);
		atomic_store(&root.backend, alone[i]);
		assert_true(code_of(libc) == (uintptr_t)libc);
		assert_true(mpr_code_find(&use, code_of(libc)) == libc);
		assert_int_equal(atomic_load(&root.modules[0]), 0);
	}
}

static void
what_is_no_function_is_not_found(void **state)
{
	static int data;
	mpr_function *at_data;
	uint64_t code, at = (uintptr_t)&data;

	(void)state;
	begin(MPROC_SPAWN);
	memcpy(&at_data, &at, sizeof(at_data));
	assert_int_equal(mpr_code_of(&use, at_data, &code), -ENOEXEC);
	at = (uintptr_t)&at;
	memcpy(&at_data, &at, sizeof(at_data));
	assert_int_equal(mpr_code_of(&use, at_data, &code), -ENOEXEC);
	code = code_of((mpr_function *)begin);
	/* Its data, and behind its end. */
	assert_null(mpr_code_find(&use, code + ((uintptr_t)&data - (uintptr_t)begin)));
	assert_null(mpr_code_find(&use, code + (UINT64_C(1) << 40)));
	/* Modules that nobody has named, and that cannot be. */
	for (uint64_t number = 1; number < 1 << 15; number = 3 * number)
		assert_null(mpr_code_find(&use, number << 48 | code));
	assert_null(mpr_code_find(&use, ~UINT64_C(0)));
	begin(MPROC_FORK);
	at = (uintptr_t)&at;
	assert_null(mpr_code_find(&use, at));
	assert_null(mpr_code_find(&use, 1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copy_has_addresses),
		cmocka_unit_test(a_function_of_the_program_needs_no_module),
		cmocka_unit_test(libraries_are_numbered),
		cmocka_unit_test(addresses_in_libraries_have_numbers),
		cmocka_unit_test(what_is_no_function_is_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
