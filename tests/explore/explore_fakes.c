/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "arena/death.h"
#include "arena/participant.h"
#include "base/error.h"
#include "base/log.h"
#include "explore_fakes.h"
#include "os/bytelock.h"
#include "os/clock.h"
#include "os/fence.h"
#include "os/generation.h"
#include "os/interrupt.h"
#include "os/task.h"
#include "os/thread.h"

#define SECOND 1000000000
#define SHORT 32000000 /* as no slice is */
#define HASTE 2000000

static int64_t now;
static bool is_hasty;

void
explore_fakes_begin(bool hasty)
{
	now = 1;
	is_hasty = hasty;
	explore_park_begin();
}

/* Time. */

int64_t
mproc_now(void)
{
	if (is_hasty)
		now += HASTE;
	return now;
}

int64_t
mpr_deadline(mproc_timeout timeout)
{
	return timeout.ns == MPR_NEVER ? MPR_NEVER : now + timeout.ns;
}

/* Sleeping. */

static struct {
	const struct mpr_parker *parker;
	uint32_t ticket;
	bool has_deadline; /* other than the end of a slice */
} sleeps[EXPLORE_FIBERS];

static bool
is_woken(unsigned fiber)
{
	return explore_newest(&sleeps[fiber].parker->event) !=
	       sleeps[fiber].ticket;
}

static bool
is_over(unsigned fiber)
{
	return is_woken(fiber) || world_may_look() ||
	       (sleeps[fiber].has_deadline &&
		world_may_run_out_of_time(fiber));
}

int
mpr_parker_wait(struct mpr_parker *p, uint32_t ticket, int64_t deadline)
{
	unsigned me = explore_current();

	sleeps[me].parker = p;
	sleeps[me].ticket = world_ticket(me, ticket);
	sleeps[me].has_deadline = deadline - now <= SHORT;
	explore_point();
	explore_wait(is_over);
	if (is_woken(me))
		return 0;
	/* Far beyond, for what other sleepers wait for as well. */
	if (now < deadline)
		now = deadline;
	now += SECOND;
	return -ETIMEDOUT;
}

/* The deaths of others end a sleep by its slice. */
int
mpr_parker_wait_beside(struct mpr_parker *p, uint32_t ticket,
		       struct mpr_life *const lives[], unsigned n,
		       int64_t deadline)
{
	(void)lives;
	(void)n;
	return mpr_parker_wait(p, ticket, deadline);
}

void
mpr_parker_wake(struct mpr_parker *p)
{
	explore_add(&p->event, 1, memory_order_release);
}

bool
mpr_interrupt_pending(void)
{
	return world_is_interrupted(explore_current());
}

/* There is one at most for each. */
uint32_t
mpr_interrupt_count(void)
{
	return 1;
}

void
mpr_interrupt_answer_to(uint32_t count)
{
	(void)count;
	mpr_interrupt_answer();
}

void
mpr_interrupt_answer(void)
{
	world_answer(explore_current());
}

bool
mpr_fence_heavy(void)
{
	explore_barrier();
	return true;
}

/* Life and death. */

bool
explore_has_unburied(void)
{
	for (unsigned f = 0; f < world_fibers(); f++)
		if (explore_killed(f) &&
		    mpr_participant_state(explore_newest(
			    &mpr_participant_at(world_arena(), f)->ident)) !=
			    MPR_PARTICIPANT_FREE)
			return true;
	return false;
}

static unsigned
fiber_of(const struct mpr_life *life)
{
	unsigned fiber = 0;

	while (&mpr_participant_at(world_arena(), fiber)->life != life)
		fiber++;
	return fiber;
}

bool
mpr_life_ended(const struct mpr_life *life)
{
	unsigned fiber = fiber_of(life);

	explore_point();
	if (!explore_killed(fiber))
		return false;
	explore_inherit(fiber);
	return true;
}

int
mpr_bytelock_query(const struct mpr_file *f, int64_t at)
{
	(void)f;
	(void)at;
	return 1;
}

enum mpr_task_state
mpr_task_probe(pid_t tid, uint64_t time)
{
	(void)tid;
	(void)time;
	return MPR_TASK_UNKNOWN;
}

uint64_t
mpr_task_namespace(void)
{
	return 0;
}

pid_t
mpr_task_pid(void)
{
	return 1;
}

pid_t
mpr_task_tid(void)
{
	return 1;
}

int
mpr_thread_forbid_cancel(void)
{
	return 0;
}

void
mpr_thread_allow_cancel(int before)
{
	(void)before;
}

/* This process, and who calls in it. */

static struct mpr_process_page page = { .generation = 1 };

_Atomic(struct mpr_process_page *) mpr_process_page = &page;

uint64_t
mpr_generation_unwiped(void)
{
	return 1;
}

uint64_t
mpr_generation_assign(void)
{
	return 1;
}

int
mpr_self(mproc_arena *a, struct mpr_self **ret_self)
{
	(void)a;
	*ret_self = world_self(explore_current());
	return 0;
}

struct mpr_self *
mpr_self_in(const mproc_arena *a)
{
	(void)a;
	return world_self(explore_current());
}

struct mpr_self *
mpr_self_of(const void *object)
{
	(void)object;
	return world_self(explore_current());
}

mproc_arena *
mpr_arena_peek(void)
{
	return world_arena();
}

int
mpr_arena_get(mproc_arena **ret_a)
{
	*ret_a = world_arena();
	return 0;
}

int
mpr_arena_resolve(mproc_arena *a, mproc_arena **ret_a)
{
	(void)a;
	return mpr_arena_get(ret_a);
}

/* There are no others. */
_Atomic unsigned mpr_arenas_high;

mproc_arena *
mpr_arena_search(const void *p)
{
	(void)p;
	return world_arena();
}

int
mpr_arena_get_of(const void *p, mproc_arena **ret_a)
{
	(void)p;
	return mpr_arena_get(ret_a);
}

void
mpr_arenas_visit(void (*fn)(mproc_arena *a, void *arg), void *arg)
{
	fn(world_arena(), arg);
}

/* Nobody reads what is said. */

int
mpr_fail(int r, const char *format, ...)
{
	(void)format;
	return r;
}

void
mpr_log(int level, const char *format, ...)
{
	(void)level;
	(void)format;
}
