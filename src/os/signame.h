/* SPDX-License-Identifier: MIT */
/*
 * Names of signals, for texts.
 */
#ifndef MPR_OS_SIGNAME_H
#define MPR_OS_SIGNAME_H

#define MPR_SIGNAME_MAX 16

/* Writes "SIGSEGV", "SIGRTMIN+3" or "signal 99". Returns @buf. */
const char *mpr_signame(int signal, char buf[MPR_SIGNAME_MAX]);

#endif
