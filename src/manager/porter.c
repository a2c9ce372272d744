/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/error.h"
#include "manager/porter.h"
#include "os/clock.h"
#include "os/interrupt.h"
#include "os/parker.h"
#include "os/thread.h"
#include "os/turn.h"
#include "os/waker.h"
#include "sync/park.h"

struct mpr_porter {
	uint64_t generation;
	mproc_arena *arena;
	int waker;
	struct mpr_thread thread;
	struct mpr_turn begun;
	/* Before it has begun: */
	int result;
	struct mpr_self *self;
	uint32_t ticket;
	uint32_t heard; /* of who asks mpr_porter_is_woken() */
	_Atomic bool ends;
};

/* It looks for no dead, as mpr_park() would: what that takes of its own for the heap is
 * in the server's use. */
static void
sleep_and_tell(struct mpr_porter *p)
{
	struct mpr_parker *parker = &p->self->shared->parker;
	uint32_t now;

	while (!atomic_load(&p->ends)) {
		(void)mpr_parker_wait(parker, p->ticket, MPR_NEVER);
		now = mpr_parker_ticket(parker);
		if (now == p->ticket)
			continue;
		p->ticket = now;
		mpr_waker_wake(p->waker);
	}
}

static void
serve(void *arg)
{
	struct mpr_porter *p = arg;

	mpr_thread_show_name("mproc-porter");
	p->result = mpr_self(p->arena, &p->self);
	if (p->result == 0)
		p->ticket = mpr_park_ticket(p->self);
	mpr_turn_give(&p->begun);
	if (p->result == 0)
		sleep_and_tell(p);
}

static void
is_over(void *arg)
{
	(void)arg;
}

static void
forget(struct mpr_porter *p)
{
	if (p->generation != mpr_generation())
		mpr_turn_init(&p->begun);
	mpr_turn_destroy(&p->begun);
	mpr_waker_close(p->waker);
	free(p);
}

static int
begin(struct mpr_porter *p)
{
	int r = mpr_thread_run(&p->thread);

	if (r < 0)
		return mpr_fail(r, "no thread that waits for clients");
	mpr_interrupt_hold();
	(void)mpr_turn_take(&p->begun, MPR_NEVER);
	mpr_interrupt_unhold();
	r = p->result;
	if (r == 0)
		return 0;
	mpr_thread_join(&p->thread);
	return mpr_fail(r, "a thread that waits for clients cannot use the arena: %s",
			mproc_strerror(r));
}

int
mpr_porter_open(struct mpr_porter **ret_p, mproc_arena *a)
{
	struct mpr_porter *p = mpr_zalloc(sizeof(*p));
	int r;

	if (!p)
		return mpr_fail(-ENOMEM, "no memory for a thread that waits");
	p->waker = mpr_waker_open();
	if (p->waker < 0) {
		r = p->waker;
		free(p);
		return mpr_fail(r, "no descriptor for a thread that waits");
	}
	p->generation = mpr_generation();
	p->arena = a;
	p->thread = (struct mpr_thread){ .fn = serve, .over = is_over, .arg = p };
	mpr_turn_init(&p->begun);
	(void)mpr_turn_try(&p->begun);
	r = begin(p);
	if (r < 0)
		forget(p);
	else
		*ret_p = p;
	return r;
}

struct mpr_self *
mpr_porter_self(const struct mpr_porter *p)
{
	return p->self;
}

int
mpr_porter_fd(const struct mpr_porter *p)
{
	return p->waker;
}

void
mpr_porter_reset(struct mpr_porter *p)
{
	mpr_waker_reset(p->waker);
}

bool
mpr_porter_is_woken(struct mpr_porter *p)
{
	uint32_t now = mpr_park_ticket(p->self), before = p->heard;

	p->heard = now;
	return now != before;
}

void
mpr_porter_knock(struct mpr_porter *p)
{
	mpr_waker_wake(p->waker);
}

void
mpr_porter_close(struct mpr_porter *p)
{
	if (!p)
		return;
	if (p->generation == mpr_generation()) {
		atomic_store(&p->ends, true);
		/* After that: it looks once more before it sleeps. */
		mpr_unpark(p->arena, p->self->slot);
		mpr_thread_join(&p->thread);
	}
	forget(p);
}
