/* SPDX-License-Identifier: MIT */
#include "ipc/poll.h"
#include "ipc/turns.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "os/task.h"
#include "sync/yields.h"

#define GAP 1000 /* ns */
#define PACE 2000 /* ns between two looks of a consumer that is fast */
#define YIELDS 4 /* of who waits for no answer */
#define UNPACED 64 /* looks without a pause after one that was in vain */
#define PATIENCE_MAX 64 /* gaps */

#define TRICKLE 2 /* ns for each byte */
#define LOOK 16 /* lanes */

MPR_THREAD_LOCAL uint64_t mpr_thread_puts;

static void
start_probes(struct mpr_poll *p)
{
	p->tight = p->probes;
	p->gaps = p->at->patience;
}

void
mpr_poll_begin(struct mpr_poll *p, struct mpr_attachment *at, unsigned probes)
{
	enum mpr_yields_first first = mpr_yields_first(&at->yields);

	*p = (struct mpr_poll){ .at = at, .probes = probes };
	if (first == MPR_FIRST_YIELD)
		p->yields = probes ? 1 : YIELDS;
	if (first == MPR_FIRST_LOOK)
		start_probes(p);
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
mpr_poll_pace(struct mpr_attachment *at, unsigned looked)
{
	int64_t now, next = at->looked + PACE;

	if (at->unpaced) {
		at->unpaced--;
		return;
	}
	now = mproc_now();
	at->paced = false;
	for (; now < next; now = mproc_now()) {
		at->paced = !mpr_turn_look_on(at, &looked);
		if (!at->paced)
			return;
		mpr_cpu_pause();
	}
	at->looked = now;
}

void
mpr_poll_found_nothing(struct mpr_attachment *at)
{
	if (at->paced)
		at->unpaced = UNPACED;
	at->paced = false;
}

/*
 * Whether other producers have put more than a trickle since this was last
 * asked: then it is the queue's users who have the CPU.
 */
static bool
is_busy(struct mpr_attachment *at, int64_t now)
{
	const _Atomic uint64_t *link = &at->q->lanes;
	uint64_t before = at->others_put;
	int64_t since = at->others_put_at;
	struct mpr_lane *lane;
	uint64_t put = 0;
	bool bad = false;

	for (unsigned n = 0; n < LOOK; n++) {
		lane = mpr_queue_lane(at->arena, at->q, link, at->capacity,
				      &bad);
		if (!lane)
			break;
		if (lane != at->producer.lane)
			put += atomic_load_explicit(&lane->tail,
						    memory_order_relaxed);
		link = &lane->next;
	}
	at->others_put = put;
	at->others_put_at = now;
	if (!since)
		return false;
	return (int64_t)(put - before) > (now - since) / TRICKLE;
}

bool
mpr_poll_judge(struct mpr_attachment *at, int64_t began, int64_t now)
{
	int64_t took = now - began;

	/* Others take it for long in a busy queue, but do what there is to do. */
	return mpr_yields_judge(&at->yields, took,
				took >= MPR_YIELD_LONG && is_busy(at, now));
}

/* Lets others have the CPU, and polls if there are none. */
static void
yield(struct mpr_poll *p)
{
	int64_t began = mproc_now(), now;
	bool alone;

	mpr_task_yield();
	now = mproc_now();
	alone = mpr_poll_judge(p->at, began, now);
	if (alone)
		start_probes(p);
	p->yields = alone || now - began >= MPR_YIELD_LONG ? 0 : p->yields - 1;
}

bool
mpr_poll_again(struct mpr_poll *p)
{
	if (p->tight) {
		mpr_poll_tightly(p);
		return true;
	}
	if (!p->began)
		p->began = mproc_now();
	if (p->yields) {
		yield(p);
		return true;
	}
	if (p->gaps) {
		p->gaps--;
		pause_for(GAP);
		return true;
	}
	/* In vain, so ask again. */
	mpr_yields_in_vain(&p->at->yields);
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
