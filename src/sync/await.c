/* SPDX-License-Identifier: MIT */
#include "base/error.h"
#include "os/clock.h"
#include "os/interrupt.h"
#include "sync/await.h"

int
mpr_await_begin(struct mpr_await *aw)
{
	mproc_arena *a;
	int r;

	r = mpr_arena_get_of(aw->cell, &a);
	if (r == 0)
		r = mpr_self(a, &aw->self);
	if (r < 0)
		return r;
	aw->generation = atomic_load(&aw->cell->generation);
	return 0;
}

/* A signal handler has forked, and this is the child. */
#define FOREIGN (-ESRCH)

/* One sleep. Returns what look() does; *@ret_why is 0, or why the wait is to
 * end if that is -EBUSY. */
static int
sleep_once(struct mpr_await *aw, struct mpr_wait *w, int64_t deadline,
	   int *ret_why)
{
	struct mpr_wake k;
	bool chosen, used;
	int r;

	*ret_why = 0;
	mpr_wait_announce(w, aw->owner);
	r = aw->look(aw, true);
	used = r == -EBUSY;
	if (r == -EBUSY)
		*ret_why = mpr_wait_sleep(w, deadline);
	if (mpr_wait_is_foreign(w))
		return FOREIGN;
	mpr_wake_begin(&k, w->self->arena, w->self, aw->cell);
	chosen = mpr_wait_end(w);
	if (used) {
		r = aw->look(aw, true);
		used = r >= 0 || (r == -EBUSY && *ret_why == 0);
	}
	if (chosen && !used)
		mpr_wake_n(&k, 1);
	mpr_wake_end(&k);
	return r;
}

/* All sleeps of one process. */
static int
wait_for(struct mpr_await *aw, int64_t deadline, int *ret_why)
{
	struct mpr_wait w;
	int r = -EBUSY;

	*ret_why = 0;
	mpr_wait_begin(&w, aw->self, aw->cell, aw->kind);
	while (r == -EBUSY && *ret_why == 0)
		r = sleep_once(aw, &w, deadline, ret_why);
	if (r != FOREIGN)
		mpr_wait_finish(&w);
	return r;
}

int
mpr_await(struct mpr_await *aw, mproc_timeout timeout)
{
	uint32_t generation = aw->generation;
	int64_t deadline;
	int r, why = 0;

	r = aw->look(aw, false);
	if (r == -EBUSY && !timeout.ns)
		return -EAGAIN;
	if (r == -ESTALE)
		return mpr_fail(r, "%s %p was destroyed", aw->what,
				(void *)aw->cell);
	if (r != -EBUSY)
		return r;
	deadline = mpr_deadline(timeout);
	while ((r = wait_for(aw, deadline, &why)) == FOREIGN) {
		r = mpr_await_begin(aw);
		if (r < 0)
			return r;
		aw->generation = generation;
	}
	if (r == -ESTALE)
		return mpr_fail(-ESHUTDOWN, "%s %p was destroyed", aw->what,
				(void *)aw->cell);
	if (r != -EBUSY)
		return r;
	if (why == -EINTR)
		mpr_interrupt_answer();
	return why;
}
