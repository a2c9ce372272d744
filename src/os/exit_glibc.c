/* SPDX-License-Identifier: MIT */
/*
 * glibc has on_exit(3), which tells the exit status.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/macros.h"
#include "os/exit.h"
#include "os/generation.h"

/* Not once for each process: a forked child may not touch the C library's
 * list, whose lock another thread may have held. */
static _Atomic bool registered; /* run() has no lock: it may be in a handler */
static void (*hook)(int status);

static void
run(int status, void *unused)
{
	(void)unused;
	/* The C library has taken it off its list; what runs now may end in
	 * exit() again, or start processes that do. */
	registered = false;
	hook(status);
}

MPR_IMAGE_PATH int
mpr_exit_hook(void (*fn)(int status))
{
	int r = 0;

	mpr_process_lock();
	if (!registered) {
		hook = fn;
		r = mpr_fault(MPR_FAULT_MALLOC) || on_exit(run, NULL) != 0 ?
			    -ENOMEM : 0;
		registered = r == 0;
	}
	mpr_process_unlock();
	return r;
}
