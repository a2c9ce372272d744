/* SPDX-License-Identifier: MIT */
/*
 * The start of the program: what comes in place of main() in an image that was
 * made to run something else.
 */
#ifndef MPR_OS_START_H
#define MPR_OS_START_H

#include <stdbool.h>

/* Whether the program's start has gone, or will go, through us: not where we were
 * loaded later, by dlopen(), or where another library is asked before us. */
bool mpr_start_is_ours(void);

/* The arguments of the program, or NULL where nobody knows them. */
char *const *mpr_start_argv(void);

/*
 * To be called by a constructor: once all libraries are there, @first is called,
 * before the constructors of the program itself; after these, in place of
 * main(), @instead, and its result is main()'s.
 */
void mpr_start_instead(void (*first)(void), int (*instead)(void));

#endif
