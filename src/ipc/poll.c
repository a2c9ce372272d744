/* SPDX-License-Identifier: MIT */
#include "ipc/poll.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "os/task.h"
#include "sync/park.h"
#include "sync/seats.h"

#define TIGHT 16
#define LOOK 16 /* at so many users of the queue at most */
#define GAP 1000 /* ns */
#define PATIENCE_MAX 64 /* gaps */
#define YIELD_LONG 100000 /* ns */
#define TRICKLE 2 /* ns for each byte */
#define REST_MIN 16 /* waits */
#define REST_MAX 1024

MPR_THREAD_LOCAL uint64_t mpr_thread_puts;

/*
 * Whether another user of the queue may want to run where we do: it is not
 * asleep, and was last seen on our CPU. It could not do anything while we poll.
 * Where processes outnumber CPUs, some are seen on one and the same.
 */
static bool
is_cpu_wanted(const struct mpr_attachment *at, unsigned cpu)
{
	struct mpr_seat_walk walk = { 0 };
	_Atomic uint64_t *seat;
	unsigned seen = 0;

	while (seen < LOOK &&
	       (seat = mpr_seat_next(at->arena, &at->q->seats, &walk))) {
		uint64_t word = atomic_load_explicit(seat, memory_order_relaxed);
		unsigned slot = mpr_owner_slot(word);
		const struct mpr_participant *p;

		if (mpr_owner_state(word) == MPR_SEAT_FREE ||
		    slot == at->self->slot ||
		    slot >= mpr_participants_high(at->arena))
			continue;
		seen++;
		p = mpr_participant_at(at->arena, slot);
		if (atomic_load_explicit(&p->cpu, memory_order_relaxed) ==
			    cpu &&
		    !mpr_is_parked(p))
			return true;
	}
	return false;
}

void
mpr_poll_note_cpu(const struct mpr_attachment *at)
{
	atomic_store_explicit(&at->self->shared->cpu, mpr_task_cpu(),
			      memory_order_relaxed);
}

void
mpr_poll_begin(struct mpr_poll *p, struct mpr_attachment *at, bool answer)
{
	unsigned cpu = mpr_task_cpu();

	atomic_store_explicit(&at->self->shared->cpu, cpu,
			      memory_order_relaxed);
	*p = (struct mpr_poll){ .at = at };
	at->polls = !is_cpu_wanted(at, cpu);
	if (!at->polls) {
		if (at->yields_off)
			at->yields_off--;
		else
			p->yields = 1;
		return;
	}
	p->tight = answer ? TIGHT : 0;
	p->gaps = at->patience;
}

static void
pause_for(int64_t ns)
{
	int64_t end = mproc_now() + ns;

	do
		for (int i = 0; i < 8; i++)
			mpr_cpu_pause();
	while (mproc_now() < end);
}

void
mpr_poll_pace(struct mpr_attachment *at)
{
	int64_t now, next = at->looked + GAP;

	/* Where polling does not pay, nobody is at work while we pause. */
	if (at->puts_seen != mpr_thread_puts || at->patience <= 1 || !at->polls)
		return;
	for (now = mproc_now(); now < next; now = mproc_now())
		mpr_cpu_pause();
	at->looked = now;
}

/*
 * Whether others have put more than a trickle since this was last asked: then
 * it is the queue's users who have the CPU.
 */
static bool
is_busy(struct mpr_attachment *at, int64_t now)
{
	const _Atomic uint64_t *link = &at->q->lanes;
	uint64_t put = 0, before = at->others_put;
	int64_t since = at->others_put_at;
	struct mpr_lane *lane;
	bool bad = false;

	for (unsigned n = 0; n < LOOK; n++) {
		lane = mpr_queue_lane(at->arena, link, at->capacity, &bad);
		if (!lane)
			break;
		if (lane != at->producer.lane)
			put += atomic_load_explicit(&lane->tail,
						    memory_order_relaxed);
		link = &lane->next;
	}
	at->others_put = put;
	at->others_put_at = now;
	return (put - before) * TRICKLE > (uint64_t)(now - since);
}

/*
 * Lets others have the CPU, and looks how long that took. Someone who computes
 * takes it for a whole slice of the scheduler's, far longer than a sleep; then
 * the next waits do without, more of them each time. Other users of a busy queue
 * take it for as long, but they do what there is to do.
 */
static void
yield(struct mpr_attachment *at)
{
	int64_t began = mproc_now(), now;

	mpr_task_yield();
	now = mproc_now();
	if (now - began < YIELD_LONG || is_busy(at, now)) {
		at->yields_rest -= (at->yields_rest + 7) / 8;
		return;
	}
	at->yields_rest = at->yields_rest ? 2 * at->yields_rest : REST_MIN;
	if (at->yields_rest > REST_MAX)
		at->yields_rest = REST_MAX;
	at->yields_off = at->yields_rest;
}

bool
mpr_poll_again(struct mpr_poll *p)
{
	if (p->tight) {
		p->tight--;
		mpr_cpu_pause();
		return true;
	}
	if (!p->began)
		p->began = mproc_now();
	if (p->gaps) {
		p->gaps--;
		pause_for(GAP);
		return true;
	}
	if (p->yields) {
		p->yields--;
		yield(p->at);
		return true;
	}
	return false;
}

void
mpr_poll_end(struct mpr_poll *p)
{
	unsigned *patience = &p->at->patience;
	int64_t gaps;

	/* An answer came at once: nothing to learn, and a look at the clock
	 * would take a third of the time that it took. */
	if (!p->began)
		return;
	gaps = (mproc_now() - p->began) / GAP;
	if (gaps > PATIENCE_MAX)
		*patience = *patience > 1 ? *patience / 2 : 1;
	else if (2 * gaps > *patience)
		*patience = 2 * gaps < PATIENCE_MAX ? (unsigned)(2 * gaps) :
						      PATIENCE_MAX;
}
