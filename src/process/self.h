/* SPDX-License-Identifier: MIT */
/*
 * What a started process does around its entry.
 */
#ifndef MPR_PROCESS_SELF_H
#define MPR_PROCESS_SELF_H

#include <stdnoreturn.h>

#include <mproc/process.h>

#include "os/child.h"
#include "process/record.h"

#define MPR_NAME_MAX 64

/* The child's whole life, from the fork on. */
noreturn void mpr_self_run(mproc_entry *fn, void *arg,
			   const char name[MPR_NAME_MAX],
			   struct mpr_record *record,
			   const struct mpr_child_bond *bond);

#endif
