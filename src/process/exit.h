/* SPDX-License-Identifier: MIT */
/*
 * The orderly end of a process that has used libmproc: the functions that
 * mproc_at_exit() has registered, then its children, by the exit rules; and if
 * it is a started one, its own end.
 */
#ifndef MPR_PROCESS_EXIT_H
#define MPR_PROCESS_EXIT_H

#include <stdnoreturn.h>

#include <mproc/core.h>

/* Sees to it that exit() in this process or a child keeps the rules. Returns 0
 * or -ENOMEM. */
int mpr_exit_prepare(void);

/* What mproc_set_exit_limit() has set. */
mproc_timeout mpr_exit_limit(void);

/* What mproc_at_exit() is given from now on can be run before the end. */
const void *mpr_exit_mark(void);
void mpr_exit_run_since(const void *mark);

/* Ends a started process. */
noreturn void mpr_exit_started(int code);

#endif
