/* SPDX-License-Identifier: MIT */
/*
 * How a process ended, in words.
 */
#ifndef MPR_PROCESS_DESCRIBE_H
#define MPR_PROCESS_DESCRIBE_H

#include <mproc/process.h>

#define MPR_DESCRIBE_MAX 160

/* Writes `process "crew-3" (4711) was ended by SIGSEGV`, or with which code it
 * exited, or that this is not known. Returns @buf. */
const char *mpr_describe(const struct mproc_exit *e,
			 char buf[MPR_DESCRIBE_MAX]);

#endif
