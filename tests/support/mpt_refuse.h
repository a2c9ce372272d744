/* SPDX-License-Identifier: MIT */
/*
 * System calls that fail, as in a sandbox or on an older kernel: seccomp
 * filters, for the calling process and all that it forks or execs from then on.
 * There is no way back, so only roles and instances of the program do this.
 *
 * Several filters add up. Where filters are not available the caller ends with
 * a message, and its scenario fails.
 */
#ifndef MPT_REFUSE_H
#define MPT_REFUSE_H

#include <stdbool.h>
#include <stdint.h>

/**
 * mpt_refuse() - have system calls fail
 * @error:    with this errno
 * @syscalls: their numbers, SYS_memfd_create for example
 * @n:        how many, at most 64
 */
void mpt_refuse(int error, const long *syscalls, int n);

/**
 * mpt_refuse_when() - have one system call fail if an argument has some value
 * @error:   with this errno
 * @syscall: its number
 * @arg:     which argument, from 0 to 5
 * @value:   of its low 32 bits
 *
 * An option of prctl() is argument 0, an advice of madvise() argument 2.
 */
void mpt_refuse_when(int error, long syscall, int arg, uint32_t value);

/**
 * mpt_refuse_bits() - the same if the argument has any of some bits
 */
void mpt_refuse_bits(int error, long syscall, int arg, uint32_t bits);

/**
 * mpt_without() - does the program run without a feature?
 * @feature: a name that the program "without" (tests/fallback) knows
 *
 * For the few tests that expect something else then.
 */
bool mpt_without(const char *feature);

#endif
