/* SPDX-License-Identifier: MIT */
/*
 * problems.h - what could not be counted.
 *
 * Each name is reported on standard error once, however many segments of it
 * or passes over it failed.
 */
#ifndef WORDCOUNT_PROBLEMS_H
#define WORDCOUNT_PROBLEMS_H

#include <stdbool.h>

/* Reports a file or directory, and why it was not counted. */
void problems_report(const char *name, const char *why);

/* Has anything been reported? */
bool problems_found(void);

/* Prints a name to standard error, with its control characters escaped. */
void problems_print_name(const char *name);

#endif
