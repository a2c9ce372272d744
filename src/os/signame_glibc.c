/* SPDX-License-Identifier: MIT */
/*
 * The C library has a table, but not of the real-time signals, whose first one
 * it chooses at run time.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "os/signame.h"

const char *
mpr_signame(int signal, char buf[MPR_SIGNAME_MAX])
{
	const char *name = sigabbrev_np(signal);

	if (name)
		snprintf(buf, MPR_SIGNAME_MAX, "SIG%s", name);
	else if (signal >= SIGRTMIN && signal <= SIGRTMAX)
		snprintf(buf, MPR_SIGNAME_MAX, "SIGRTMIN+%d",
			 signal - SIGRTMIN);
	else
		snprintf(buf, MPR_SIGNAME_MAX, "signal %d", signal);
	return buf;
}
