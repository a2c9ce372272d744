/* SPDX-License-Identifier: MIT */
/*
 * Two lists, so that looking after those who were closed costs nothing for
 * those whose handles are open. A forked child starts with empty ones: the
 * copies are its parent's children, and may be in the middle of a change.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/error.h"
#include "base/macros.h"
#include "os/generation.h"
#include "os/thread.h"
#include "process/children.h"
#include "process/handle.h"

/* A start writes these after the fork, on the page that the child writes anyway: who
 * comes second need not copy it. */
MPR_CHILD_DATA static mproc_process *open_list, *closed_list;

/* Changed under the process lock; atomic as mpr_children_exist() looks at them
 * without. A child on its way from one list to the other counts. */
MPR_CHILD_DATA static _Atomic unsigned length; /* of both lists */
MPR_CHILD_DATA static _Atomic uint64_t owner;	/* generation that they belong to */
MPR_CHILD_DATA static bool kept; /* handles are not to be freed */

/* What a forked child has no use for, so that leak checkers still find it. */
MPR_CHILD_DATA static mproc_process *volatile inherited;

/* The process lock is held in the functions down to find(). */

MPR_CHILD_PATH static void
forget_parents(void)
{
	if (atomic_load(&owner) == mpr_generation())
		return;
	atomic_store(&length, 0);
	inherited = closed_list;
	open_list = NULL;
	closed_list = NULL;
	kept = false;
	atomic_store(&owner, mpr_generation());
}

MPR_CHILD_PATH static void
push(mproc_process **list, mproc_process *p)
{
	p->previous = NULL;
	p->next = *list;
	if (p->next)
		p->next->previous = p;
	*list = p;
}

static void
drop(mproc_process **list, mproc_process *p)
{
	if (p->previous)
		p->previous->next = p->next;
	else
		*list = p->next;
	if (p->next)
		p->next->previous = p->previous;
}

static enum mpr_children_kind
kind_of(const mproc_process *p)
{
	return p->service  ? MPR_CHILDREN_SERVER :
	       p->outlives ? MPR_CHILDREN_OUTLIVING :
	       p->daemon   ? MPR_CHILDREN_DAEMONS :
			     MPR_CHILDREN_OTHERS;
}

/* The first from @p on that runs and is of @kind, or NULL. */
static mproc_process *
find(mproc_process *p, enum mpr_children_kind kind)
{
	for (; p; p = p->next)
		if ((kind_of(p) & kind) && !mpr_process_look(p))
			break;
	return p;
}

/* To see that one has ended is not all: its last lines have to be passed on. */
static mproc_process *
find_left(mproc_process *p, enum mpr_children_kind kind)
{
	while (p && (p->done || !(kind_of(p) & kind)))
		p = p->next;
	return p;
}

MPR_CHILD_PATH bool
mpr_children_add(mproc_process *p)
{
	bool may;

	mpr_process_lock();
	forget_parents();
	may = !kept;
	if (may) {
		push(&open_list, p);
		atomic_fetch_add(&length, 1);
	}
	mpr_process_unlock();
	return may;
}

bool
mpr_children_withdraw(mproc_process *p)
{
	bool may;

	mpr_process_lock();
	forget_parents();
	may = !kept;
	if (may) {
		drop(&open_list, p);
		atomic_fetch_sub(&length, 1);
	}
	mpr_process_unlock();
	return may;
}

void
mpr_children_show(mproc_process *p)
{
	mpr_process_lock();
	p->starting = false;
	mpr_process_unlock();
}

void
mpr_children_close(mproc_process *p)
{
	bool ended = mpr_process_has_ended(p), done;

	mpr_process_lock();
	drop(&open_list, p);
	done = ended && !kept;
	if (done)
		atomic_fetch_sub(&length, 1);
	else
		push(&closed_list, p);
	mpr_process_unlock();
	if (done)
		mpr_process_free(p);
}

/* Whether it was, and is for the caller to free. */
static bool
take_off(mproc_process **list, mproc_process *p)
{
	bool off;

	mpr_process_lock();
	off = !kept && p->generation == mpr_generation();
	if (off) {
		drop(list, p);
		atomic_fetch_sub(&length, 1);
	}
	mpr_process_unlock();
	return off;
}

MPR_CHILD_PATH void
mpr_children_reap(void)
{
	mproc_process *p, *next, *done = NULL;
	/* Whoever is marked here is left to this thread. */
	int before = mpr_thread_forbid_cancel();

	mpr_process_lock();
	forget_parents();
	for (p = closed_list; p && !kept; p = p->next) {
		if (p->reaped || !mpr_process_look(p))
			continue;
		p->reaped = true;
		p->next_reaped = done;
		done = p;
	}
	mpr_process_unlock();
	/* They stay on the list until that is done: the end of this process waits for
	 * it. */
	for (p = done; p; p = next) {
		next = p->next_reaped;
		mpr_process_has_ended(p); /* gives back what it held */
		if (take_off(&closed_list, p))
			mpr_process_free(p);
	}
	mpr_thread_allow_cancel(before);
}

MPR_CHILD_PATH bool
mpr_children_exist(void)
{
	/* What a forked child finds here may be its parent's; it may not have
	 * asked for its generation yet. */
	return atomic_load(&length) && mpr_generation_peek() &&
	       atomic_load(&owner) == mpr_generation_peek();
}

void
mpr_children_keep(void)
{
	mpr_process_lock();
	forget_parents();
	kept = true;
	mpr_process_unlock();
}

MPR_CHILD_PATH bool
mpr_children_may_start(void)
{
	bool may;

	mpr_process_lock();
	forget_parents();
	may = !kept;
	mpr_process_unlock();
	return may;
}

mproc_process *
mpr_children_left(enum mpr_children_kind kind)
{
	mproc_process *p;

	mpr_process_lock();
	forget_parents();
	p = find_left(open_list, kind);
	if (!p)
		p = find_left(closed_list, kind);
	mpr_process_unlock();
	return p;
}

void
mpr_children_each(void (*fn)(const mproc_process *p, bool open, void *ctx),
		  void *ctx)
{
	mproc_process *lists[2], *p;

	mpr_process_lock();
	forget_parents();
	lists[0] = open_list;
	lists[1] = closed_list;
	for (int i = 0; i < 2; i++)
		for (p = find(lists[i], MPR_CHILDREN_ALL); p;
		     p = find(p->next, MPR_CHILDREN_ALL))
			fn(p, i == 0, ctx);
	mpr_process_unlock();
}

void
mpr_children_signal(enum mpr_children_kind kind, int signal)
{
	mproc_process *p;

	mpr_process_lock();
	forget_parents();
	for (p = find(open_list, kind); p; p = find(p->next, kind))
		(void)mpr_child_signal(&p->child, signal);
	for (p = find(closed_list, kind); p; p = find(p->next, kind))
		(void)mpr_child_signal(&p->child, signal);
	mpr_process_unlock();
}

int
mproc_children(mproc_process **ret_ps, int n)
{
	mproc_process *p;
	int count = 0;

	if (n < 0 || (n > 0 && !ret_ps))
		return mpr_fail(-EINVAL, "ret_ps is %p for %d handles",
				(void *)ret_ps, n);
	mpr_process_lock();
	forget_parents();
	for (p = find(open_list, MPR_CHILDREN_ALL); p;
	     p = find(p->next, MPR_CHILDREN_ALL)) {
		if (p->starting)
			continue;
		if (count < n)
			ret_ps[count] = p;
		count++;
	}
	mpr_process_unlock();
	return count;
}
