/* SPDX-License-Identifier: MIT */
/*
 * Signals to a started process, and its end by them.
 */
#include <errno.h>

#include "base/error.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/generation.h"
#include "process/handle.h"

int
mproc_process_signal(mproc_process *p, int signal)
{
	int r = mpr_process_check(p);

	if (r < 0)
		return r;
	mpr_process_lock();
	r = mpr_child_signal(&p->child, signal);
	mpr_process_unlock();
	return r < 0 ? mpr_fail(r, "signal %d to process %d: %s", signal,
				(int)p->child.pid, mproc_strerror(r)) : 0;
}

int
mproc_process_terminate(mproc_process *p)
{
	return mproc_process_signal(p, SIGTERM);
}

int
mproc_process_kill(mproc_process *p)
{
	return mproc_process_signal(p, SIGKILL);
}

int
mproc_process_interrupt(mproc_process *p)
{
	return mproc_process_signal(p, SIGINT);
}

int
mproc_process_stop(mproc_process *p, mproc_timeout grace)
{
	int r = mproc_process_terminate(p);

	if (r < 0)
		return r;
	r = mproc_process_join(p, grace);
	if (r == 0 || r == -EINTR)
		return r;
	r = mproc_process_kill(p);
	return r < 0 ? r : mpr_process_wait(p, MPR_NEVER, false);
}
