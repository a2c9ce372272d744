/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/macros.h"
#include "manager/deputy.h"
#include "os/clock.h"
#include "os/generation.h"
#include "os/interrupt.h"
#include "os/socket.h"
#include "os/thread.h"
#include "os/turn.h"
#include "os/waker.h"
#include "sync/park.h"

/* ns: the program may have closed the descriptor that says that one is back. */
#define LOOK 10000000

struct mpr_deputy {
	struct mpr_deputies *of;
	struct mpr_thread thread;
	struct mpr_turn begun;
	/* Before it has begun: */
	_Atomic bool *called_off;
	int result;
	struct mpr_self *self;
	/* With the lock of all: */
	struct mpr_errand *errand;
	bool rests; /* it has brought that, and is kept */
	bool ends;
	uint32_t notes; /* that somebody has, a bit for each */
};

static_assert(MPR_NOTES <= 32, "they fit");

struct mpr_deputies {
	uint64_t generation;
	mproc_arena *arena;
	int waker;
	struct mpr_turn lock;
	struct mpr_errand *back, **last; /* with the lock */
	unsigned n, n_notes;
	struct mpr_deputy *all[MPR_DEPUTIES];
};

static void
lock(struct mpr_deputies *d)
{
	if (mpr_likely(mpr_turn_try(&d->lock)))
		return;
	mpr_interrupt_hold();
	(void)mpr_turn_take(&d->lock, MPR_NEVER);
	mpr_interrupt_unhold();
}

static void
unlock(struct mpr_deputies *d)
{
	mpr_turn_give(&d->lock);
}

/* Waits for an errand. Returns NULL if there will be none any more. */
static struct mpr_errand *
await(struct mpr_deputy *me)
{
	struct mpr_errand *errand;
	uint32_t ticket;
	bool ends;

	for (;;) {
		ticket = mpr_park_ticket(me->self);
		lock(me->of);
		errand = me->rests ? NULL : me->errand;
		ends = me->ends;
		unlock(me->of);
		if (errand || ends)
			return ends ? NULL : errand;
		(void)mpr_park(me->self, me->of, ticket, MPR_NEVER);
	}
}

static void
come_back(struct mpr_deputy *me, struct mpr_errand *errand, int r)
{
	struct mpr_deputies *d = me->of;

	errand->result = r;
	errand->next = NULL;
	lock(d);
	/* If it was called back, it is not any more. */
	atomic_store(me->called_off, me->ends);
	me->rests = errand->keeps;
	if (!errand->keeps) {
		me->errand = NULL;
		errand->deputy = NULL;
	}
	*d->last = errand;
	d->last = &errand->next;
	unlock(d);
	mpr_waker_wake(d->waker);
}

static void
serve(void *arg)
{
	struct mpr_deputy *me = arg;
	struct mpr_errand *errand;

	mpr_thread_show_name("mproc-deputy");
	me->called_off = mpr_interrupt_alone();
	me->result = mpr_self(me->of->arena, &me->self);
	mpr_turn_give(&me->begun);
	if (me->result < 0)
		return;
	while ((errand = await(me)))
		come_back(me, errand, errand->run(errand));
}

static void
is_over(void *arg)
{
	(void)arg;
}

static void
forget(const struct mpr_deputies *d, struct mpr_deputy *deputy)
{
	if (d->generation != mpr_generation())
		mpr_turn_init(&deputy->begun);
	mpr_turn_destroy(&deputy->begun);
	free(deputy);
}

/* One more. */
static int
make(struct mpr_deputies *d, struct mpr_deputy **ret)
{
	struct mpr_deputy *deputy;
	int r;

	if (d->n == MPR_DEPUTIES)
		return -EBUSY;
	deputy = mpr_zalloc(sizeof(*deputy));
	if (!deputy)
		return mpr_fail(-ENOMEM, "no memory for a thread that waits");
	deputy->of = d;
	deputy->thread = (struct mpr_thread){
		.fn = serve, .over = is_over, .arg = deputy,
	};
	mpr_turn_init(&deputy->begun);
	(void)mpr_turn_try(&deputy->begun);
	r = mpr_thread_run(&deputy->thread);
	if (r < 0) {
		forget(d, deputy);
		return mpr_fail(r, "no thread that waits for clients");
	}
	mpr_interrupt_hold();
	(void)mpr_turn_take(&deputy->begun, MPR_NEVER);
	mpr_interrupt_unhold();
	r = deputy->result;
	if (r < 0) {
		mpr_thread_join(&deputy->thread);
		forget(d, deputy);
		return mpr_fail(r, "a thread that waits for clients cannot use the "
				"arena: %s", mproc_strerror(r));
	}
	d->all[d->n++] = deputy;
	*ret = deputy;
	return 0;
}

int
mpr_deputies_open(struct mpr_deputies **ret_d, mproc_arena *a)
{
	struct mpr_deputies *d = mpr_zalloc(sizeof(*d));

	if (!d)
		return mpr_fail(-ENOMEM, "no memory for threads that wait");
	d->waker = mpr_waker_open();
	if (d->waker < 0) {
		int r = d->waker;

		free(d);
		return mpr_fail(r, "no descriptor for threads that wait");
	}
	d->generation = mpr_generation();
	d->arena = a;
	d->last = &d->back;
	mpr_turn_init(&d->lock);
	*ret_d = d;
	return 0;
}

int
mpr_deputies_fd(const struct mpr_deputies *d)
{
	return d->waker;
}

int
mpr_deputies_first(struct mpr_deputies *d, struct mpr_self **ret_self)
{
	struct mpr_deputy *deputy = d->all[0];
	int r = d->n ? 0 : make(d, &deputy);

	if (r == 0)
		*ret_self = deputy->self;
	return r;
}

/* One is left for who keeps it. Returns how many others may be out, and one who is not,
 * or NULL. */
static struct mpr_deputy *
find_idle(struct mpr_deputies *d, unsigned *ret_left)
{
	struct mpr_deputy *found = NULL;

	*ret_left = MPR_DEPUTIES - 2;
	lock(d);
	for (unsigned i = 1; i < d->n; i++)
		if (!d->all[i]->errand)
			found = d->all[i];
		else if (!d->all[i]->errand->keeps)
			(*ret_left)--;
	unlock(d);
	return found;
}

int
mpr_deputies_send(struct mpr_deputies *d, struct mpr_errand *errand)
{
	unsigned left;
	struct mpr_deputy *deputy = find_idle(d, &left);
	struct mpr_self *first;
	int r = deputy ? 0 : mpr_deputies_first(d, &first);

	if (!left && !errand->keeps)
		return -EBUSY;
	if (r == 0 && !deputy)
		r = make(d, &deputy);
	if (r < 0)
		return r;
	lock(d);
	errand->deputy = deputy;
	errand->self = deputy->self;
	deputy->errand = errand;
	unlock(d);
	/* After that: it looks once more before it sleeps. */
	mpr_unpark(d->arena, deputy->self->slot);
	return 0;
}

void
mpr_deputies_send_again(struct mpr_deputies *d, struct mpr_errand *errand)
{
	lock(d);
	errand->deputy->rests = false;
	unlock(d);
	/* After that: as above. */
	mpr_unpark(d->arena, errand->self->slot);
}

/* Notes are not those of who is out: it takes none where it waits. */
static bool
take_note_of(struct mpr_deputy *deputy, _Atomic uint64_t **ret_note)
{
	for (unsigned i = 0; i < MPR_NOTES; i++) {
		if (deputy->notes >> i & 1)
			continue;
		deputy->notes |= 1u << i;
		*ret_note = &deputy->self->notes->word[i];
		return true;
	}
	return false;
}

int
mpr_deputies_take_note(struct mpr_deputies *d, struct mpr_self **ret_self,
		       _Atomic uint64_t **ret_note)
{
	struct mpr_deputy *deputy = NULL;
	int r = 0;

	for (unsigned i = 0; i < d->n && !deputy; i++)
		if (take_note_of(d->all[i], ret_note))
			deputy = d->all[i];
	if (!deputy) {
		r = make(d, &deputy);
		if (r < 0)
			return r;
		(void)take_note_of(deputy, ret_note);
	}
	d->n_notes++;
	*ret_self = deputy->self;
	return 0;
}

void
mpr_deputies_give_note(struct mpr_deputies *d, _Atomic uint64_t *note)
{
	for (unsigned i = 0; i < d->n; i++) {
		ptrdiff_t at = note - d->all[i]->self->notes->word;

		if (at < 0 || at >= MPR_NOTES)
			continue;
		/* Whatever it said, of what may be there no more. */
		atomic_store(note, 0);
		d->all[i]->notes &= ~(1u << at);
		d->n_notes--;
	}
}

unsigned
mpr_deputies_notes(const struct mpr_deputies *d)
{
	return d->n_notes;
}

const struct mpr_errand *
mpr_deputies_errand(struct mpr_deputies *d, unsigned i)
{
	const struct mpr_errand *errand;

	lock(d);
	errand = i < d->n ? d->all[i]->errand : NULL;
	unlock(d);
	return errand;
}

void
mpr_deputies_recall(struct mpr_deputies *d, struct mpr_errand *errand)
{
	struct mpr_deputy *deputy;

	lock(d);
	deputy = errand->deputy;
	if (deputy && !deputy->rests)
		atomic_store(deputy->called_off, true);
	unlock(d);
	/* After that: see mpr_interrupt_pending(). */
	if (deputy)
		mpr_unpark(d->arena, deputy->self->slot);
}

struct mpr_errand *
mpr_deputies_back(struct mpr_deputies *d)
{
	struct mpr_errand *errand;

	mpr_waker_reset(d->waker);
	lock(d);
	errand = d->back;
	if (errand)
		d->back = errand->next;
	if (!d->back)
		d->last = &d->back;
	unlock(d);
	return errand;
}

static void
end(struct mpr_deputies *d, struct mpr_deputy *deputy)
{
	lock(d);
	deputy->ends = true;
	atomic_store(deputy->called_off, true);
	unlock(d);
	mpr_unpark(d->arena, deputy->self->slot);
}

static bool
is_out(struct mpr_deputies *d, const struct mpr_deputy *deputy)
{
	bool is;

	lock(d);
	is = deputy->errand && !deputy->rests;
	unlock(d);
	return is;
}

static void
call_back(struct mpr_deputies *d, struct mpr_deputy *deputy)
{
	lock(d);
	if (deputy->errand && !deputy->rests)
		atomic_store(deputy->called_off, true);
	unlock(d);
	/* After that: see mpr_interrupt_pending(). */
	mpr_unpark(d->arena, deputy->self->slot);
}

bool
mpr_deputies_call_back(struct mpr_deputies *d)
{
	/* Of those who sleep there none is in a forked child. */
	if (d->generation != mpr_generation())
		return false;
	for (unsigned i = 0; i < d->n; i++)
		call_back(d, d->all[i]);
	mpr_interrupt_hold();
	for (unsigned i = 0; i < d->n; i++) {
		/* Before the look: who comes back wakes after that. */
		for (mpr_waker_reset(d->waker); is_out(d, d->all[i]);
		     mpr_waker_reset(d->waker))
			(void)mpr_socket_await(d->waker, MPR_SOCKET_IN,
					       mproc_now() + LOOK);
	}
	mpr_interrupt_unhold();
	return true;
}

void
mpr_deputies_end(struct mpr_deputies *d)
{
	for (unsigned i = 0; i < d->n; i++)
		end(d, d->all[i]);
	for (unsigned i = 0; i < d->n; i++)
		mpr_thread_join(&d->all[i]->thread);
}

void
mpr_deputies_close(struct mpr_deputies *d)
{
	if (!d)
		return;
	for (unsigned i = 0; i < d->n; i++)
		forget(d, d->all[i]);
	if (d->generation != mpr_generation())
		mpr_turn_init(&d->lock);
	mpr_turn_destroy(&d->lock);
	mpr_waker_close(d->waker);
	free(d);
}
