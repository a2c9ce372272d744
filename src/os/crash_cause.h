/* SPDX-License-Identifier: MIT */
/*
 * A signal that ends a process, in words. Async-signal-safe.
 */
#ifndef MPR_OS_CRASH_CAUSE_H
#define MPR_OS_CRASH_CAUSE_H

#include <signal.h>
#include <sys/types.h>

#include "base/text.h"

/* Its name, why it came, and where or by whom. @self is this process. */
void mpr_crash_cause(struct mpr_text *text, int signal, const siginfo_t *info,
		     pid_t self);

#endif
