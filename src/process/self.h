/* SPDX-License-Identifier: MIT */
/*
 * What a started process does around its entry.
 */
#ifndef MPR_PROCESS_SELF_H
#define MPR_PROCESS_SELF_H

#include <stdnoreturn.h>
#include <sys/types.h>

#include <mproc/process.h>

#include "process/record.h"

#define MPR_NAME_MAX 64

/* The child's whole life, from the fork on. */
noreturn void mpr_self_run(mproc_entry *fn, void *arg, const char *name,
			   struct mpr_record *record, pid_t parent);

#endif
