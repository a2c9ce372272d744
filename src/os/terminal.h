/* SPDX-License-Identifier: MIT */
/*
 * Text for who sits before a terminal.
 */
#ifndef MPR_OS_TERMINAL_H
#define MPR_OS_TERMINAL_H

#include <stddef.h>

/* How many columns the terminal has that @fd leads to, if it says so, or 80; 0 if @fd
 * leads to no terminal. */
unsigned mpr_terminal_columns(int fd);

/* Writes it, or as much as there is room for. Keeps errno. */
void mpr_terminal_write(int fd, const char *text, size_t len);

#endif
