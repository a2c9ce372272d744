/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "arena/recover.h"
#include "base/macros.h"
#include "os/clock.h"
#include "os/generation.h"
#include "os/interrupt.h"
#include "os/task.h"
#include "sync/neighbours.h"
#include "sync/park.h"
#include "sync/wait.h"

#define MS INT64_C(1000000)
#define SLICE 50000000 /* ns, for one sleeper */
#define QUIET 45 /* ms in which nobody looks though others sleep */
#define ALONE 200 /* ms after which who has looked is not counted on any more */
#define SETTLED (400 * MS) /* from look to look, after the first few */
#define GLANCES 24 /* from look to look, of one in a crowd; one in QUIET at most */
#define NOT_SOON (UINT32_C(1) << 30) /* ms */
#define LATE 200 /* ms, for who has not looked when it was going to */
#define CROWD (8 * SLICE) /* from when on one at a time looks */
#define BUSY 100 /* ms that a look may take before others come to help */
#define BRIEF 10 /* ms for which who waits for an owner relies on a finished look */
#define ENDS 8 /* of neighbours, in one sleep; life words are anybody's to scribble on */

/* In the words of the last look and the last finished one: {at it 1 | milliseconds 47 |
 * slot 16}. */
#define AT_IT (UINT64_C(1) << 63)

static MPR_THREAD_LOCAL uint64_t noise;

static int64_t
first_of(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t
last_of(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static uint32_t
in_ms(int64_t ns)
{
	return (uint32_t)(ns / MS);
}

/* How many sleep and have not missed the time at which they were going to look,
 * as those do that are stopped. Who has not looked yet may be stopped as well. */
static int64_t
sleepers(const mproc_arena *a, int64_t now)
{
	unsigned high = mpr_participants_high(a);
	uint32_t late = in_ms(now) - LATE;
	int64_t n = 0;

	for (unsigned slot = 0; slot < high; slot++) {
		struct mpr_participant *p = mpr_participant_at(a, slot);
		uint32_t by = atomic_load_explicit(&p->looks_by,
						   memory_order_relaxed);

		if (mpr_participant_state(atomic_load(&p->ident)) !=
		    MPR_PARTICIPANT_LIVE)
			continue;
		n += atomic_load_explicit(&p->wait_object,
					  memory_order_relaxed) != 0 &&
		     by != 0 && (int32_t)(by - late) > 0;
	}
	return n;
}

/* 0 to @bound - 1; good enough to spread sleepers out. */
static int64_t
some(int64_t bound)
{
	if (!noise)
		noise = (uint64_t)mpr_task_tid() << 32;
	noise = noise * UINT64_C(6364136223846793005) + (uint64_t)mpr_task_tid();
	return (int64_t)((noise >> 11) % (uint64_t)bound);
}

static uint64_t
last_look(const mproc_arena *a)
{
	return atomic_load_explicit(&a->shm->last_look, memory_order_relaxed);
}

/* How many milliseconds ago somebody has looked, or began to; or since @now was read.
 * What is far from now on either side has been scribbled, or says that nobody looks. */
static uint64_t
since_look(uint64_t last, int64_t now)
{
	int64_t ms = now / MS - (int64_t)((last & ~AT_IT) >> 16);

	return (uint64_t)(ms < 0 ? -ms : ms);
}

/* The same for others than this thread; many if it was that. */
static uint64_t
since_another_looked(const struct mpr_self *self, uint64_t last, int64_t now)
{
	return (last & 0xffff) == self->slot ? UINT64_MAX :
					       since_look(last, now);
}

/* How long until our next look: all sleepers together look as often as one alone
 * would. If the others do not, as they are stopped, we do. */
static int64_t
next_interval(const struct mpr_self *self, uint64_t last, int64_t now)
{
	int64_t all = sleepers(self->arena, now) * SLICE;

	return since_another_looked(self, last, now) < ALONE && all > SLICE ?
		       all :
		       SLICE;
}

/* How many milliseconds ago the last look began that was finished, which has told of all
 * who had died by then. One that has only begun may have been stopped. */
static uint64_t
since_finished(const struct mpr_self *self, int64_t now)
{
	/* acquire, with say_of_finished_look(): otherwise who relies on that look may
	 * sleep without seeing the wake-up that it was for. */
	return since_look(atomic_load_explicit(&self->arena->shm->finished_look,
					       memory_order_acquire), now);
}

/* Whether it is too long ago that somebody looked, for who glances. For who waits for an
 * owner a look that another one is at proves nothing: of a death it learns at the first
 * glance that is BRIEF after it, however many are stopped at a look. */
static bool
is_silent(const struct mpr_self *self, int64_t now)
{
	return mpr_waits_for_an_owner(self) ?
		       since_finished(self, now) >= BRIEF :
		       since_look(last_look(self->arena), now) >= QUIET;
}

/*
 * In a crowd: whether another one looks just now. All who come by while a dead one
 * is recovered from would find it, too, and each would wake all whom it may concern,
 * who come by then.
 */
static bool
is_looked_after(const struct mpr_self *self, uint64_t last, int64_t now)
{
	if (mpr_waits_for_an_owner(self) && is_silent(self, now))
		return false;
	return last & AT_IT && since_another_looked(self, last, now) < BUSY;
}

/*
 * How much of that until we look. At first twice as long as the last time at most:
 * those who have come when we did may have been stopped as they came, which shows
 * when they miss their times. Who was away for long begins anew.
 */
static int64_t
next_look(struct mpr_pace *pace, int64_t now, int64_t next)
{
	if (now - LATE * MS > pace->look_at)
		pace->interval = SLICE;
	if (pace->interval < SETTLED)
		next = first_of(next, 2 * pace->interval);
	pace->interval = next;
	return next;
}

/* Until when others count on us. */
static void
promise(const struct mpr_self *self)
{
	uint32_t by = in_ms(first_of(self->pace.look_at, self->pace.slice_end));

	/* 0 says that there is none. */
	atomic_store_explicit(&self->shared->looks_by, by ? by : 1,
			      memory_order_relaxed);
}

static void
say_of_look(const struct mpr_self *self, int64_t now, uint64_t state)
{
	atomic_store_explicit(&self->arena->shm->last_look,
			      state | (uint64_t)(now / MS) << 16 | self->slot,
			      memory_order_relaxed);
}

/* It began at @began. Who was stopped meanwhile may take back what another one has said
 * since: then some look once more. */
static void
say_of_finished_look(const struct mpr_self *self, int64_t began)
{
	/* release, with since_finished(). */
	atomic_store_explicit(&self->arena->shm->finished_look,
			      (uint64_t)(began / MS) << 16 | self->slot,
			      memory_order_release);
}

static bool
is_in_a_crowd(const struct mpr_pace *pace)
{
	return pace->interval > SLICE;
}

/* The last moment until @t at which one may glance. They are the same for all, as to
 * wake many at once costs a fourth of what it costs to wake them one by one. */
static int64_t
beat(int64_t t)
{
	return t - t % (QUIET * MS);
}

/* Who waits for an owner shares its glances with nobody: it is to see itself if that has
 * died, whatever becomes of all others. Who is alone looks as soon. */
static int64_t
next_glance(const struct mpr_self *self, int64_t now)
{
	const struct mpr_pace *pace = &self->pace;
	int64_t later = mpr_waits_for_an_owner(self) ? 0 : pace->interval / GLANCES;

	if (!is_in_a_crowd(pace))
		return MPR_NEVER;
	return beat(now + last_of(QUIET * MS, later));
}

/* Looks for the dead, and begins a new slice if this one is over, or longer than one
 * would be by now. */
static void
look(struct mpr_self *self)
{
	uint64_t last = last_look(self->arena);
	int64_t now = mproc_now(), next = next_interval(self, last, now), end;
	struct mpr_pace *pace = &self->pace;

	if (next < CROWD || !is_looked_after(self, last, now)) {
		say_of_look(self, now, AT_IT);
		mpr_recover_now_and_then(self->arena);
		mpr_waits_look(self->arena);
		say_of_finished_look(self, now);
		now = mproc_now();
		say_of_look(self, now, 0);
	}
	pace->look_at = now + SLICE + some(next_look(pace, now, next) - SLICE / 2);
	end = now + next + some(next / 2);
	pace->slice_end = now < pace->slice_end ?
				  first_of(pace->slice_end, end) : end;
	pace->glance_at = next_glance(self, now);
	promise(self);
}

/* Our next look may be far away, as there were many others to look, who have gone
 * since, or are stopped. */
static void
look_if_need_be(struct mpr_self *self, int64_t now)
{
	struct mpr_pace *pace = &self->pace;

	if (now >= pace->slice_end || now >= pace->look_at)
		look(self);
	else if (now < pace->glance_at)
		return;
	else if (is_silent(self, now))
		look(self);
	else
		pace->glance_at = next_glance(self, now);
}

/* A signal handler has forked since the wait was announced: the parker, and what is said
 * of the sleep, are the parent's. */
static bool
is_copy(const struct mpr_self *self)
{
	return mpr_unlikely(self->generation != mpr_generation_peek());
}

/* Until @until or the end of a neighbour, if it is not a wake-up. At first with its owner
 * alone for one, as most sleeps are short, and more costs more. Returns -EOWNERDEAD if
 * some have died; -ESRCH if one has ended, in order or not, and there are others now. */
static int
sleep_once(struct mpr_self *self, uint32_t ticket, int64_t until, bool is_first,
	   unsigned *ends)
{
	bool is_alone = is_first || !is_in_a_crowd(&self->pace);
	struct mpr_parker *parker = &self->shared->parker;
	struct mpr_neighbours n;
	int r;

	if (is_alone ? mpr_neighbours_owners(self, &n) : mpr_neighbours_find(self, &n))
		return -EOWNERDEAD;
	if (!n.count || *ends >= ENDS)
		return mpr_parker_wait(parker, ticket, until);
	r = mpr_parker_wait_beside(parker, ticket, n.life, n.count, until);
	if (r == -ESRCH && !is_copy(self) && mpr_neighbours_recover(self, &n))
		r = -EOWNERDEAD;
	*ends += r == -ESRCH;
	return r;
}

/* When a part of a sleep ends by itself. In a crowd it says so to those who make it wait
 * for an owner meanwhile: mpr_unpark_to_glance(). Who is alone looks as soon. */
static int64_t
end_of_part(struct mpr_self *self, int64_t now, int64_t deadline, bool is_first)
{
	_Atomic uint32_t *by = &self->shared->glances_by;
	struct mpr_pace *pace = &self->pace;
	int64_t until = first_of(deadline, first_of(pace->slice_end, pace->look_at));

	if (!is_in_a_crowd(pace))
		return until;
	/* seq_cst, before we see what we wait for. Who changes that does so before it
	 * reads this: if we have not seen it, we are woken. */
	atomic_store(by, in_ms(now) + NOT_SOON);
	/* What we have slept for before may have had no owner. */
	pace->glance_at = first_of(pace->glance_at, next_glance(self, now));
	until = first_of(until, pace->glance_at);
	if (is_first)
		until = first_of(until, beat(now + QUIET * MS));
	atomic_store_explicit(by, in_ms(until), memory_order_relaxed);
	return until;
}

/* Until a wake-up or the end of the slice, when it returns 0, or @deadline. */
static int
sleep_until(struct mpr_self *self, uint32_t ticket, int64_t deadline)
{
	int64_t now = mproc_now(), until;
	struct mpr_pace *pace = &self->pace;
	bool is_over, is_first = true;
	unsigned ends = 0;
	int r;

	if (pace->slice_end == 0) {
		pace->slice_end = pace->look_at = now + SLICE + some(SLICE / 2);
		pace->interval = SLICE;
		pace->glance_at = MPR_NEVER;
	} else {
		look_if_need_be(self, now);
	}
	do {
		until = end_of_part(self, now, deadline, is_first);
		r = sleep_once(self, ticket, until, is_first, &ends);
		if (r == 0 || is_copy(self))
			return 0;
		is_first = false;
		now = mproc_now();
		is_over = now >= pace->slice_end;
		/* Who dies may not be the only one. */
		if (r == -EOWNERDEAD)
			look(self);
		else
			look_if_need_be(self, now);
		if (now >= deadline)
			return -ETIMEDOUT;
	} while (!is_over);
	return 0;
}

int
mpr_park(struct mpr_self *self, const void *object, uint32_t ticket,
	 int64_t deadline)
{
	struct mpr_participant *p = self->shared;
	int64_t now = mproc_now();
	int r;

	if (is_copy(self))
		return 0;
	/* After the ticket was read: sync/interrupt.c. */
	if (mpr_unlikely(mpr_interrupt_pending()))
		return -EINTR;
	if (now >= deadline)
		return -ETIMEDOUT;
	/* Who has announced its wait has said since when. */
	if (!atomic_load_explicit(&p->wait_object, memory_order_relaxed))
		atomic_store_explicit(&p->wait_since, (uint64_t)now,
				      memory_order_relaxed);
	atomic_store_explicit(&p->wait_object,
			      mpr_arena_name(self->arena, object),
			      memory_order_relaxed);
	r = sleep_until(self, ticket, deadline);
	if (is_copy(self))
		return 0;
	atomic_store_explicit(&p->wait_object, 0, memory_order_relaxed);
	return r;
}

MPR_CHILD_PATH void
mpr_unpark(const mproc_arena *a, unsigned slot)
{
	if (slot < mpr_participants_high(a))
		mpr_parker_wake(&mpr_participant_at(a, slot)->parker);
}

void
mpr_unpark_to_glance(const mproc_arena *a, unsigned slot)
{
	uint32_t soon = in_ms(mproc_now()) + QUIET, by;

	if (slot >= mpr_participants_high(a))
		return;
	/* seq_cst, after it was made to wait for one: end_of_part(). */
	by = atomic_load(&mpr_participant_at(a, slot)->glances_by);
	if ((int32_t)(by - soon) > 0)
		mpr_unpark(a, slot);
}

void
mpr_unpark_process(const mproc_arena *a)
{
	uint32_t pid = (uint32_t)mpr_task_pid();
	unsigned high = mpr_participants_high(a);

	for (unsigned slot = 0; slot < high; slot++) {
		struct mpr_participant *p = mpr_participant_at(a, slot);

		/* One with our id in another namespace is woken in vain. */
		if (mpr_participant_state(atomic_load(&p->ident)) ==
			    MPR_PARTICIPANT_LIVE &&
		    atomic_load(&p->pid) == pid)
			mpr_unpark(a, slot);
	}
}
