/* SPDX-License-Identifier: MIT */
/*
 * Rules for the children of a process that ends: daemons are asked to end,
 * then killed; the others are waited for, within a limit, and then go the way
 * of daemons. Children that outlive this, because the process does not end in
 * order, end with their parent (os/child.h).
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "base/macros.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/exit.h"
#include "os/generation.h"
#include "os/task.h"
#include "os/thread.h"
#include "process/children.h"
#include "process/exit.h"
#include "process/forkserver.h"
#include "process/handle.h"

/* Between SIGTERM and SIGKILL, and after SIGKILL for one that the kernel cannot
 * end, as it waits for a disk, say. */
#define GRACE INT64_C(1000000000)
#define LOG_EVERY (10 * GRACE)

/* What mproc_at_exit() has registered: the last one first. */
struct function {
	struct function *next;
	uint64_t generation; /* of the process that registered it */
	void (*fn)(void *arg);
	void *arg;
};

/* Changed under the process lock; atomic as it is looked at without. */
MPR_CHILD_DATA static _Atomic(struct function *) functions;

/* Generation that has been through the rules; threads may end it at once. */
static _Atomic uint64_t kept_by;

static _Atomic int64_t exit_limit = INT64_MAX; /* an mproc_timeout */

/* The one to run next, taken off the list, or NULL when it is @until. */
MPR_CHILD_PATH static struct function *
take_function(const void *until)
{
	struct function *f;

	/* Most children have none, and no generation yet: that costs them
	 * nothing here. */
	if (!atomic_load(&functions) || !mpr_generation_peek())
		return NULL;
	mpr_process_lock();
	/* A parent's come last, and stay. */
	f = atomic_load(&functions);
	if (f && f != until && f->generation == mpr_generation())
		atomic_store(&functions, f->next);
	else
		f = NULL;
	mpr_process_unlock();
	return f;
}

MPR_CHILD_PATH static void
run_functions(const void *until)
{
	struct function *first, f;

	while ((first = take_function(until))) {
		/* It may not come back. */
		f = *first;
		free(first);
		f.fn(f.arg);
	}
}

const void *
mpr_exit_mark(void)
{
	return atomic_load(&functions);
}

void
mpr_exit_run_since(const void *mark)
{
	run_functions(mark);
}

/* Waits for all of a kind. Returns false if some still run at @deadline, or, unless they
 * are given up then, last lines are not passed on. */
static bool
wait_for(enum mpr_children_kind kind, int64_t deadline, bool gives_up)
{
	mproc_process *p;
	int64_t until, said = mproc_now();

	while ((p = mpr_children_left(kind))) {
		until = said + LOG_EVERY < deadline ? said + LOG_EVERY :
						      deadline;
		if (mpr_process_wait_at_exit(p, until) == 0)
			continue;
		if (mproc_now() >= deadline) {
			if (gives_up && mpr_process_give_up_lines(p))
				continue;
			return false;
		}
		said = mproc_now();
		mpr_log(MPROC_LOG_WARNING, "the end of process %d waits for "
			"process \"%s\" (%d) to end, or for its last lines",
			(int)mpr_task_pid(), p->name, (int)p->child.pid);
	}
	return true;
}

static void
end(enum mpr_children_kind kind)
{
	if (!mpr_children_left(kind))
		return;
	mpr_children_signal(kind, SIGTERM);
	if (wait_for(kind, mproc_now() + GRACE, true))
		return;
	mpr_children_signal(kind, SIGKILL);
	(void)wait_for(kind, mproc_now() + GRACE, true);
}

static void
end_children(void)
{
	mpr_children_keep();
	end(MPR_CHILDREN_DAEMONS);
	/* Each sleeps for as long as it likes, so the limit is one for all. */
	if (!wait_for(MPR_CHILDREN_OTHERS, mpr_deadline(mpr_exit_limit()),
		      false))
		end(MPR_CHILDREN_OTHERS);
}

MPR_CHILD_PATH static void
keep_rules(void)
{
	run_functions(NULL);
	if (mpr_children_exist())
		end_children();
	mpr_forkserver_end();
}

static void
at_exit(int status)
{
	bool kept;

	/* A cancellation that is pending must not end the end. */
	(void)mpr_thread_forbid_cancel();
	/* exit() in a signal handler that came in the middle of something of
	 * ours: the children end because we do. */
	if (mpr_process_is_entered()) {
		if (mpr_self_is_started())
			mpr_child_exit(status & 0xff);
		return;
	}
	kept = atomic_load(&kept_by) == mpr_generation();
	/* What runs now may call exit(): then we are asked again for the rest.
	 * In a started process the parent's functions come behind ours, so that
	 * it ends here, also if a handler of its last steps calls exit(). */
	if (!kept || mpr_self_is_started())
		(void)mpr_exit_prepare();
	if (kept)
		/* Functions that the C library's functions have registered. */
		run_functions(NULL);
	else
		keep_rules();
	atomic_store(&kept_by, mpr_generation());
	if (mpr_self_is_started())
		mpr_self_finish(status & 0xff);
}

MPR_IMAGE_PATH int
mpr_exit_prepare(void)
{
	int r = mpr_exit_hook(at_exit);

	return r < 0 ? mpr_fail(r, "no memory for a function at exit") : 0;
}

MPR_CHILD_PATH noreturn void
mpr_exit_started(int code)
{
	keep_rules();
	mpr_self_finish(code);
}

int
mproc_at_exit(void (*fn)(void *arg), void *arg)
{
	struct function *f;
	int r;

	if (!fn)
		return mpr_fail(-EINVAL, "fn is NULL");
	r = mpr_exit_prepare();
	if (r < 0)
		return r;
	f = mpr_malloc(sizeof(*f));
	if (!f)
		return mpr_fail(-ENOMEM, "no memory for a function at exit");
	f->generation = mpr_generation();
	f->fn = fn;
	f->arg = arg;
	mpr_process_lock();
	f->next = atomic_load(&functions);
	atomic_store(&functions, f);
	mpr_process_unlock();
	return 0;
}

MPR_CHILD_PATH void
mproc_set_exit_limit(mproc_timeout limit)
{
	atomic_store(&exit_limit, limit.ns);
}

mproc_timeout
mpr_exit_limit(void)
{
	return (mproc_timeout){ atomic_load(&exit_limit) };
}
