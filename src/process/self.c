/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "arena/participant.h"
#include "base/error.h"
#include "base/macros.h"
#include "ipc/handover.h"
#include "ipc/queue_fd.h"
#include "os/bytelock.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/crash.h"
#include "os/parker.h"
#include "os/generation.h"
#include "os/stdio.h"
#include "os/task.h"
#include "process/exit.h"
#include "process/forkserver.h"
#include "process/handle.h"
#include "process/inline.h"
#include "process/lines.h"
#include "process/self.h"
#include "process/setup.h"

#define YIELDS 50
#define LOOK_EVERY 1000000000 /* ns */

/* Set in a started process. A child that it forks by itself, which has another
 * id, was not started. */
MPR_CHILD_DATA static struct {
	pid_t pid;
	struct mpr_child parent; /* its pidfd only once it was asked for */
	struct mpr_record *record;
	char name[MPR_NAME_MAX];
} self;

_Atomic(void (*)(void)) mpr_self_prepare;
const struct mpr_self_tickets *mpr_self_tickets;

static bool has_ticket;

const struct mpr_self_ticket *
mpr_self_ticket_of(const struct mpr_self_ticket *ticket)
{
	return mpr_self_tickets &&
			       (ticket->owner || ticket->hooked || has_ticket) ?
		       ticket : NULL;
}

void
mpr_self_give(struct mpr_self_ticket *ret_ticket)
{
	*ret_ticket = (struct mpr_self_ticket){ 0 };
	if (mpr_self_tickets)
		mpr_self_tickets->give(ret_ticket);
}

MPR_CHILD_PATH bool
mpr_self_is_started(void)
{
	return self.pid && self.pid == mpr_task_pid();
}

const char *
mproc_self_name(void)
{
	const mproc_process *p = mpr_inline_process();

	if (p)
		return p->name;
	return mpr_self_is_started() ? self.name : "main";
}

pid_t
mproc_parent_pid(void)
{
	return mpr_self_is_started() ? self.parent.pid : 0;
}

static int
open_parent(void)
{
	struct mpr_child parent;
	int r;

	if (self.parent.fd >= 0)
		return self.parent.fd;
	r = mpr_child_open(&parent, self.parent.pid);
	if (r < 0)
		return mpr_fail(r, "a descriptor of the parent: %s",
				mproc_strerror(r));
	/* Asked for after that: then the id was still the parent's. */
	if (!mpr_child_has_parent(self.parent.pid)) {
		mpr_child_close(&parent);
		return mpr_fail(-EPIPE, "the parent, process %d, is gone",
				(int)self.parent.pid);
	}
	if (parent.fd < 0)
		return mpr_fail(-ENOSYS, "the kernel has no pidfds");
	self.parent = parent;
	return parent.fd;
}

int
mproc_parent_fd(void)
{
	int r;

	if (!mpr_self_is_started())
		return mpr_fail(-ENODATA, "libmproc did not start process %d",
				(int)mpr_task_pid());
	mpr_process_lock();
	r = open_parent();
	mpr_process_unlock();
	return r;
}

bool
mpr_self_has_fd(int fd)
{
	return mpr_self_is_started() && fd == self.parent.fd;
}

/* Whether no order will come, unless it has come already. */
static bool
is_forgotten(const struct mpr_start *start)
{
	if (!mpr_child_has_parent(start->bond.parent))
		return true;
	return start->promise ? mpr_bytelock_query(start->promise, 0) == 0 :
				mpr_child_forker_ended();
}

/* Sleeps until there is an order. If the parent dies instead, the kernel tells
 * us, or, where it does not (valgrind has that signal for itself), we see it; if
 * only its thread does, as another thread has called exec, no order will come
 * unless it has come already. */
static uint32_t
sleep_until_order(const struct mpr_start *start)
{
	struct mpr_record *record = start->record;
	uint32_t ticket, order;
	bool ended;

	for (;;) {
		/* Before the order is read: who has ended gives none. */
		ended = is_forgotten(start);
		ticket = mpr_parker_ticket(&record->parker);
		order = atomic_load(&record->order);
		if (order != MPR_RECORD_ASLEEP)
			return order;
		if (ended)
			return MPR_RECORD_ABORT;
		mpr_parker_wait(&record->parker, ticket,
				mproc_now() + LOOK_EVERY);
	}
}

/* Until the parent has what it needs to wait for us. */
MPR_CHILD_PATH static void
wait_for_order(const struct mpr_start *start)
{
	struct mpr_record *record = start->record;
	uint32_t order = MPR_RECORD_WAIT;

	/* The parent needs a few microseconds; a sleep takes longer. */
	for (int i = 0; i < YIELDS; i++) {
		if (atomic_load(&record->order) != MPR_RECORD_WAIT)
			break;
		mpr_task_yield();
	}
	/* A copy of us may wait, too, and sleep already: see is_meant(). */
	if (atomic_compare_exchange_strong(&record->order, &order,
					   MPR_RECORD_ASLEEP) ||
	    order == MPR_RECORD_ASLEEP)
		order = sleep_until_order(start);
	if (order != MPR_RECORD_GO)
		mpr_child_exit(0);
}

/*
 * Whether the order was for this process, of id @pid: a signal handler, or a function
 * of pthread_atfork(3), may have forked a child that waits for it, or the parent that
 * was about to fork one, and the copy comes here, too. In a PID namespace that the
 * parent has made for its children, it knows us by another id.
 */
MPR_CHILD_PATH static bool
is_meant(const struct mpr_record *record, pid_t pid)
{
	return mpr_likely(atomic_load(&record->pid) == (uint32_t)pid) ||
	       mpr_child_has_parent(0);
}

MPR_CHILD_PATH void
mpr_self_begin(const struct mpr_start *start)
{
	struct mpr_record *record = start->record;
	void (*prepare)(void);
	uint64_t word;
	pid_t pid;

	/* Before the options take away what that needs. */
	if (mpr_unlikely(start->test != NULL)) {
		has_ticket = true;
		mpr_self_tickets->take(start->test);
	}
	if (start->setup) {
		word = mpr_setup_apply(start->opts, start->promise ?
						start->promise->fd : -1);
		atomic_store(&record->setup, word);
		mpr_parker_wake(&record->starter);
		/* Even if it is told to go on: it may have been told before. */
		if (mpr_setup_has_failed(word))
			mpr_child_exit(0);
	}
	wait_for_order(start);
	pid = mpr_task_pid();
	if (!is_meant(record, pid))
		mpr_child_exit(0);
	if (start->bond.outlives)
		mpr_child_unfollow();

	self.pid = pid;
	self.parent = (struct mpr_child){ .pid = start->bond.parent, .fd = -1 };
	self.record = record;
	memcpy(self.name, start->name, sizeof(self.name));
	mpr_child_show_name(start->name);
	if (start->given)
		mpr_handover_receive();
	prepare = atomic_load_explicit(&mpr_self_prepare, memory_order_relaxed);
	if (mpr_unlikely(prepare != NULL))
		prepare();
	if (!start->opts->no_report)
		mpr_crash_watch(&start->crash, &(struct mpr_crash_report){
			.text = mpr_record_report(record),
			.size = MPR_REPORT_SIZE,
			.length = &record->reported,
			.name = self.name,
			.pid = self.pid,
		});
}

MPR_CHILD_PATH noreturn void
mpr_self_enter(const struct mpr_start *start)
{
	mpr_exit_started(mpr_call_run(&start->call) & 0xff);
}

MPR_CHILD_PATH noreturn void
mpr_self_run(const struct mpr_start *start)
{
	mpr_child_follow(&start->bond);
	mpr_stdio_forget();
	mpr_self_forget();
	mpr_queue_fd_forget();
	mpr_forkserver_forget();
	mpr_lines_forget();
	/* Our parent's parent; in between, someone may have closed it. */
	if (self.pid == start->bond.parent)
		mpr_child_close(&self.parent);
	mpr_handover_keep(start->opts->conns, start->opts->n_conns, true);
	mpr_self_begin(start);
	mpr_self_enter(start);
}

MPR_CHILD_PATH noreturn void
mpr_self_finish(int code)
{
	mpr_stdio_finish();
	mpr_handover_end_all();
	mpr_self_leave();
	/* Also a child that the entry has forked may return from it. */
	if (mpr_self_is_started())
		atomic_store(&self.record->ended, (uint32_t)code + 1);
	mpr_child_exit(code);
}
