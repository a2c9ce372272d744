/* SPDX-License-Identifier: MIT */
/*
 * What lies below locks and the like in their scenarios, in place of the kernel
 * and the heap.
 *
 * A sleep ends by a wake-up; as long as somebody is dead and not recovered also
 * by itself, as at the end of a slice, but not where the scenario has somebody
 * else to look for the dead; and at its deadline, where the scenario lets that
 * happen. Time stands still while anybody can go on by himself, but
 * where the scenario is hasty: there each look at the clock takes some.
 */
#include <errno.h>

#include "arena/heap.h"
#include "arena/kinds.h"
#include "arena/participant.h"
#include "base/error.h"
#include "base/log.h"
#include "os/bytelock.h"
#include "os/clock.h"
#include "os/generation.h"
#include "os/interrupt.h"
#include "os/task.h"
#include "os/thread.h"
#include "sync/spin.h"
#include "sync/wait.h"
#include "sync_world.h"

#define SECOND 1000000000
#define HASTE 2000000

static int64_t now;
static bool is_hasty;

void
sync_fakes_begin(bool hasty)
{
	now = 1;
	is_hasty = hasty;
	sync_park_begin();
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

bool
mpr_spin(const _Atomic uint64_t *word, uint64_t bits, unsigned *looks)
{
	(void)word;
	(void)bits;
	(void)looks;
	return false;
}

/* Sleeping. */

static struct {
	const struct mpr_parker *parker;
	uint32_t ticket;
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
	return is_woken(fiber) || sync_may_look() ||
	       sync_may_run_out_of_time(fiber);
}

int
mpr_parker_wait(struct mpr_parker *p, uint32_t ticket, int64_t deadline)
{
	unsigned me = explore_current();

	sleeps[me].parker = p;
	sleeps[me].ticket = ticket;
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

void
mpr_parker_wake(struct mpr_parker *p)
{
	explore_add(&p->event, 1, memory_order_release);
}

bool
mpr_interrupt_pending(void)
{
	return sync_is_interrupted(explore_current());
}

void
mpr_interrupt_answer(void)
{
	sync_answer(explore_current());
}

void
mpr_interrupt_hold(void)
{
}

void
mpr_interrupt_unhold(void)
{
}

/* Life and death. */

bool
mpr_life_ended(const struct mpr_life *life)
{
	unsigned fiber = sync_fiber_of(life);

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

const struct mpr_kind_ops mpr_kinds[MPR_KINDS] = {
	[MPR_KIND_SYNC] = { .recover = mpr_waits_recover },
};

/* This process, and who calls in it. */

static struct mpr_process_page page = { .generation = 1 };

_Atomic(struct mpr_process_page *) mpr_process_page = &page;

/* Nobody is at once: the other way asks whose turn it is. */
MPR_THREAD_LOCAL struct mpr_self mpr_this_thread;

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
	*ret_self = sync_self(explore_current());
	return 0;
}

struct mpr_self *
mpr_self_in(const mproc_arena *a)
{
	(void)a;
	return sync_self(explore_current());
}

struct mpr_self *
mpr_self_of(const void *object)
{
	(void)object;
	return sync_self(explore_current());
}

mproc_arena *
mpr_arena_peek(void)
{
	return sync_arena();
}

int
mpr_arena_get(mproc_arena **ret_a)
{
	*ret_a = sync_arena();
	return 0;
}

/* There are no others. */
_Atomic unsigned mpr_arenas_high;

mproc_arena *
mpr_arena_search(const void *p)
{
	(void)p;
	return sync_arena();
}

int
mpr_arena_get_of(const void *p, mproc_arena **ret_a)
{
	(void)p;
	*ret_a = sync_arena();
	return 0;
}

void
mpr_arenas_each(void (*fn)(mproc_arena *a, void *arg), void *arg)
{
	fn(sync_arena(), arg);
}

/* The heap: there is one block of cells. */

bool
mpr_heap_is_linked(const mproc_arena *a, uint64_t offset, size_t size)
{
	(void)a;
	(void)offset;
	(void)size;
	return true;
}

int
mpr_heap_reserve(mproc_arena *a, struct mpr_self *self, size_t size,
		 struct mpr_block_ref *ret_ref)
{
	(void)a;
	(void)self;
	(void)size;
	(void)ret_ref;
	return -ENOSPC;
}

int
mpr_block_append(mproc_arena *a, struct mpr_self *self,
		 const struct mpr_block_ref *ref, _Atomic uint64_t *link,
		 size_t next_at, unsigned max)
{
	(void)a;
	(void)self;
	(void)ref;
	(void)link;
	(void)next_at;
	(void)max;
	return -ENOSPC;
}

void
mpr_heap_recover(mproc_arena *a, unsigned slot, uint64_t ident)
{
	(void)a;
	(void)slot;
	(void)ident;
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
