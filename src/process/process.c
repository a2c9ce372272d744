/* SPDX-License-Identifier: MIT */
/*
 * The handle of a started process, in the process that started it.
 *
 * What can change, ended and exit, changes once, under the process lock: two
 * threads that wait for the same child must not both try to reap it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mproc/process.h>

#include "arena/arena.h"
#include "arena/recover.h"
#include "base/error.h"
#include "base/opts.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/generation.h"
#include "os/parker.h"
#include "os/stdio.h"
#include "process/record.h"
#include "process/self.h"

struct mproc_process {
	uint64_t generation; /* of the process that the handle belongs to */
	pid_t pid;
	int fd;
	struct mpr_record *record;
	bool ended;
	bool recovered;		/* what it held is given back */
	struct mproc_exit exit; /* if ended */
	mproc_process *next;	/* of those closed while running */
	char name[MPR_NAME_MAX];
};

/* Closed handles of children that still ran, to be reaped later. */
static mproc_process *closed;
static uint64_t closed_owner; /* generation that they belong to */

static int
check(const mproc_process *p)
{
	if (!p)
		return mpr_fail(-EINVAL, "the process is NULL");
	if (p->generation != mpr_generation())
		return mpr_fail(-ECHILD, "process \"%s\" was started by "
				"another process", p->name);
	return 0;
}

/* Notes how the process ended, if it has; the process lock is held. */
static bool
look(mproc_process *p)
{
	struct mpr_child_end end = { .code = -1 };
	bool elsewhere = false;
	uint32_t noted;
	int r;

	if (p->ended)
		return true;
	r = mpr_child_reap(p->fd, p->pid, &end);
	if (r == -EAGAIN)
		return false;
	if (r == -ECHILD) {
		/* No child of ours any more; or one that SIGCHLD's being
		 * ignored will take away, but not yet. */
		if (!mpr_child_is_gone(p->fd, p->pid))
			return false;
		noted = atomic_load(&p->record->ended);
		end.code = (int)noted - 1;
		elsewhere = true;
	}
	p->exit = (struct mproc_exit){
		.code = end.code,
		.signal = end.signal,
		.core = end.core,
		.reaped_elsewhere = elsewhere,
		.pid = p->pid,
		.name = p->name,
		.user_ns = end.user_ns,
		.system_ns = end.system_ns,
		.max_rss = end.max_rss,
	};
	p->ended = true;
	return true;
}

/* Whether the process has ended; what it held is given back then. */
static bool
has_ended(mproc_process *p)
{
	mproc_arena *a = mpr_arena_peek();
	bool ended, recovered;

	mpr_process_lock();
	ended = look(p);
	recovered = p->recovered;
	mpr_process_unlock();
	if (!ended || recovered)
		return ended;
	/* Outside the lock, as it may free whole queues. Two threads may do it
	 * at once. */
	if (a)
		mpr_recover_process(a, p->pid);
	mpr_process_lock();
	p->recovered = true;
	mpr_process_unlock();
	return true;
}

static void
free_handle(mproc_process *p)
{
	if (p->fd >= 0)
		mpr_child_close(p->fd);
	if (p->record)
		mpr_record_free(p->record);
	free(p);
}

/* Reaps what was closed while it ran and has ended since. */
static void
reap_closed(void)
{
	mproc_process **link = &closed, *p = NULL, *done = NULL;

	mpr_process_lock();
	if (closed_owner != mpr_generation()) {
		closed_owner = mpr_generation();
		closed = NULL;
	}
	while ((p = *link)) {
		if (!look(p)) {
			link = &p->next;
			continue;
		}
		*link = p->next;
		p->next = done;
		done = p;
	}
	mpr_process_unlock();
	while ((p = done)) {
		done = p->next;
		has_ended(p); /* gives back what it held */
		free_handle(p);
	}
}

static int
make_handle(mproc_process **ret_p, const char *name)
{
	mproc_process *p = malloc(sizeof(*p));

	if (!p)
		return mpr_fail(-ENOMEM, "no memory for a process handle");
	*p = (mproc_process){
		.generation = mpr_generation(),
		.fd = -1,
		.record = mpr_record_new(),
	};
	if (!p->record) {
		free(p);
		return mpr_fail(-ENOMEM, "no memory for a process record");
	}
	if (name)
		snprintf(p->name, sizeof(p->name), "%s", name);
	else
		snprintf(p->name, sizeof(p->name), "process-%u",
			 atomic_fetch_add(
				 &atomic_load(&mpr_process_page)->started, 1) +
				 1);
	*ret_p = p;
	return 0;
}

/* The child waits for an order until its pidfd is there: what fails after the
 * fork must not have started anything. */
static int
open_and_order(mproc_process *p)
{
	int r = mpr_child_open(p->pid);

	if (atomic_exchange(&p->record->order,
			    r < 0 ? MPR_RECORD_ABORT : MPR_RECORD_GO) ==
	    MPR_RECORD_ASLEEP)
		mpr_parker_wake(&p->record->parker);
	if (r >= 0) {
		p->fd = r;
		return 0;
	}
	mpr_child_reap_blocking(p->pid);
	return mpr_fail(r, "pidfd_open: %s", mproc_strerror(r));
}

int
mproc_process_start(mproc_process **ret_p, mproc_entry *fn, void *arg,
		    const struct mproc_process_opts *opts)
{
	struct mproc_process_opts o;
	struct mpr_child_bond bond;
	mproc_process *p = NULL;
	pid_t pid;
	int r;

	if (!ret_p || !fn)
		return mpr_fail(-EINVAL, "%s is NULL", ret_p ? "fn" : "ret_p");
	r = mpr_opts_read(&o, sizeof(o), opts);
	if (r < 0)
		return r;
	reap_closed();
	r = make_handle(&p, o.name);
	if (r < 0)
		return r;
	mpr_child_bond(&bond);
	mpr_stdio_flush();
	pid = mpr_child_fork();
	if (pid == 0)
		mpr_self_run(fn, arg, p->name, p->record, &bond);
	p->pid = pid;
	if (pid < 0)
		r = mpr_fail(pid, "fork: %s", mproc_strerror(pid));
	else
		r = open_and_order(p);
	if (r < 0) {
		free_handle(p);
		return r;
	}
	*ret_p = p;
	return 0;
}

int
mproc_process_join(mproc_process *p, mproc_timeout timeout)
{
	int64_t deadline;
	int r = check(p);

	if (r < 0)
		return r;
	if (has_ended(p))
		return 0;
	if (timeout.ns == 0)
		return -EAGAIN;
	deadline = mpr_deadline(timeout);
	while (!has_ended(p)) {
		r = mpr_child_wait(p->fd, deadline);
		/* A debugger may hold an ended child back from us. */
		if (r == 0 && !has_ended(p))
			r = mpr_child_pause(deadline);
		if (r < 0)
			return has_ended(p) ? 0 : r;
	}
	return 0;
}

int
mproc_process_exit_info(mproc_process *p, struct mproc_exit *ret_exit)
{
	int r = check(p);

	if (r < 0)
		return r;
	if (!ret_exit)
		return mpr_fail(-EINVAL, "ret_exit is NULL");
	if (!has_ended(p))
		return -EAGAIN;
	*ret_exit = p->exit;
	return 0;
}

int
mproc_process_exitcode(mproc_process *p, int *ret_code)
{
	struct mproc_exit exit;
	int r = check(p);

	if (r < 0)
		return r;
	if (!ret_code)
		return mpr_fail(-EINVAL, "ret_code is NULL");
	r = mproc_process_exit_info(p, &exit);
	if (r < 0)
		return r;
	if (exit.code < 0 && exit.signal == 0)
		return mpr_fail(-ENODATA, "process \"%s\" was reaped elsewhere "
				"and left no exit code", p->name);
	*ret_code = exit.signal ? -exit.signal : exit.code;
	return 0;
}

bool
mproc_process_is_alive(mproc_process *p)
{
	return check(p) == 0 && !has_ended(p);
}

pid_t
mproc_process_pid(mproc_process *p)
{
	return check(p) == 0 ? p->pid : 0;
}

const char *
mproc_process_name(mproc_process *p)
{
	return check(p) == 0 ? p->name : NULL;
}

int
mproc_process_fd(mproc_process *p)
{
	int r = check(p);

	return r < 0 ? r : p->fd;
}

static int
signalled(const mproc_process *p, int r)
{
	return r < 0 ? mpr_fail(r, "a signal to process %d: %s", (int)p->pid,
				mproc_strerror(r)) : 0;
}

int
mproc_process_terminate(mproc_process *p)
{
	int r = check(p);

	if (r < 0)
		return r;
	mpr_process_lock();
	r = mpr_child_terminate(p->fd, p->pid);
	mpr_process_unlock();
	return signalled(p, r);
}

int
mproc_process_kill(mproc_process *p)
{
	int r = check(p);

	if (r < 0)
		return r;
	mpr_process_lock();
	r = mpr_child_kill(p->fd, p->pid);
	mpr_process_unlock();
	return signalled(p, r);
}

int
mproc_process_stop(mproc_process *p, mproc_timeout grace)
{
	int r = mproc_process_terminate(p);

	if (r < 0)
		return r;
	if (mproc_process_join(p, grace) == 0)
		return 0;
	r = mproc_process_kill(p);
	return r < 0 ? r : mproc_process_join(p, MPROC_FOREVER);
}

void
mproc_process_close(mproc_process *p)
{
	if (!p)
		return;
	if (p->generation != mpr_generation()) {
		/* A forked child's copy; the record is the parent's. */
		mpr_child_close(p->fd);
		free(p);
		return;
	}
	reap_closed();
	if (has_ended(p)) {
		free_handle(p);
		return;
	}
	mpr_process_lock();
	p->next = closed;
	closed = p;
	mpr_process_unlock();
}
