/* SPDX-License-Identifier: MIT */
/*
 * What is done when a process has ended: it is reaped, what it held is given back, and
 * its last lines are passed on.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "arena/recover.h"
#include "base/macros.h"
#include "os/clock.h"
#include "os/generation.h"
#include "os/thread.h"
#include "process/handle.h"
#include "process/report.h"

/* The code that the child has noted, or -1. It may have written anything. */
static int
noted_code(struct mpr_record *record)
{
	uint32_t noted = atomic_load(&record->ended);

	return noted > 0 && noted <= 256 ? (int)noted - 1 : -1;
}

/* One that is no child of ours any more. Of one that was known by its id alone nothing
 * is known now: whoever has that may be a stranger. */
static bool
has_gone(const struct mpr_child *c)
{
	return (c->fd < 0 && !c->start_time) || mpr_child_is_gone(c);
}

bool
mpr_process_look(mproc_process *p)
{
	struct mpr_child_end end = { .code = -1 };
	bool elsewhere = false;
	int r;

	if (p->ended)
		return true;
	r = mpr_child_reap(&p->child, &end);
	if (r == -EAGAIN)
		return false;
	if (r == -ECHILD) {
		/* No child of ours any more; or one that SIGCHLD's being
		 * ignored will take away, but not yet. */
		if (!has_gone(&p->child))
			return false;
		end.code = noted_code(p->record);
		elsewhere = true;
	}
	p->exit = (struct mproc_exit){
		.code = end.code,
		.signal = end.signal,
		.core = end.core,
		.reaped_elsewhere = elsewhere,
		.pid = p->child.pid,
		.name = p->name,
		.user_ns = end.user_ns,
		.system_ns = end.system_ns,
		.max_rss = end.max_rss,
	};
	/* Who has a code did not crash, whatever is in its report. */
	if (end.code < 0)
		p->report = mpr_report_copy(p->record);
	p->exit.report = p->report;
	p->ended = true;
	return true;
}

/* Outside the lock: it may free whole queues. Two threads may do it at once. */
static int
see_to(mproc_process *p, int signal, int64_t deadline)
{
	int r = 0;

	mpr_recover_process(p->child.pid, signal);
	for (int i = 0; i < 2; i++)
		if (p->lines[i] && mpr_lines_drain(p->lines[i], deadline) < 0)
			r = -ETIMEDOUT;
	mpr_process_lock();
	p->recovered = true;
	p->done |= r == 0;
	mpr_process_unlock();
	return r;
}

int
mpr_process_see_end(mproc_process *p, int64_t deadline)
{
	bool ended, done, outer;
	int signal, before, r;

	mpr_process_lock();
	ended = mpr_process_look(p);
	done = p->done;
	signal = p->exit.reaped_elsewhere ? -1 : p->exit.signal;
	mpr_process_unlock();
	if (!ended)
		return -EAGAIN;
	if (done)
		return 0;
	/* A thread that is cancelled while it prints would keep the stream. */
	before = mpr_thread_forbid_cancel();
	outer = mpr_process_enter();
	r = see_to(p, signal, deadline);
	mpr_process_leave(outer);
	mpr_thread_allow_cancel(before);
	return r;
}

bool
mpr_process_has_ended(mproc_process *p)
{
	return mpr_process_see_end(p, MPR_NEVER) == 0;
}

bool
mpr_process_is_done(mproc_process *p)
{
	bool done;

	mpr_process_lock();
	done = p->done;
	mpr_process_unlock();
	return done;
}

bool
mpr_process_give_up_lines(mproc_process *p)
{
	bool recovered;

	mpr_process_lock();
	recovered = p->recovered;
	p->done |= recovered;
	mpr_process_unlock();
	return recovered;
}
