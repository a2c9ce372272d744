/* SPDX-License-Identifier: MIT */
/*
 * Runs one scenario of the test program in a fresh instance of the program.
 *
 * For scenarios that end the whole program, or that must fail: the tests of
 * the test support library itself are of this kind. Such inner scenarios stand
 * in a table of their own:
 *
 *	int main(int argc, char **argv)
 *	{
 *		if (argc > 1) {
 *			cmocka_set_test_filter(argv[1]);
 *			return cmocka_run_group_tests(inner, NULL, NULL);
 *		}
 *		return cmocka_run_group_tests(tests, NULL, NULL);
 *	}
 */
#ifndef MPT_SELF_H
#define MPT_SELF_H

#include <stddef.h>

/**
 * mpt_self_run() - run this program with one argument
 * @name: the argument
 * @out:  receives what it prints, stdout and stderr as one string
 * @size: of @out; the rest is dropped
 *
 * Call it in a scenario, whose watchdog then ends an instance that hangs.
 *
 * Return: the wait status.
 */
int mpt_self_run(const char *name, char *out, size_t size);

/**
 * mpt_self_fails() - the same for an instance that must fail
 *
 * A cmocka failure unless the exit status is 1 and both texts are printed.
 */
void mpt_self_fails(const char *name, const char *text, const char *text2);

#endif
