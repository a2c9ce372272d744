/* SPDX-License-Identifier: MIT */
/*
 * What lies below and beside the queue in its scenarios, in place of the
 * kernel, the heap, and polling.
 *
 * Time stands still while anybody can go on by himself. A sleep ends by a
 * wake-up; as long as somebody is dead and not recovered also by itself, as at
 * the end of a slice; and at its deadline, where the scenario lets that happen.
 */
#include <errno.h>
#include <stdlib.h>

#include "arena/death.h"
#include "arena/heap.h"
#include "arena/kinds.h"
#include "arena/participant.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/opts.h"
#include "ipc/attachment.h"
#include "ipc/poll.h"
#include "ipc/queue_fd.h"
#include "ipc/queue_recover.h"
#include "os/bytelock.h"
#include "os/clock.h"
#include "os/fence.h"
#include "os/generation.h"
#include "os/interrupt.h"
#include "os/task.h"
#include "sync/wait.h"
#include "os/thread.h"
#include "queue_priv.h"

#define SECOND 1000000000

static int64_t now;

/* The memory of blocks, and whose it is on its way. */
static struct {
	enum mpr_block_state state;
	unsigned slot;
	const _Atomic uint64_t *home;
} memory[QUEUE_MEMORY_MAX];

static unsigned n_memory;

void
queue_fakes_begin(unsigned n)
{
	now = 1;
	queue_park_begin();
	n_memory = n;
	for (unsigned i = 0; i < n; i++) {
		memory[i].state = MPR_BLOCK_LINKED;
		memory[i].home = &queue_memory.group.block[i].memory;
	}
}

/* Time. */

int64_t
mproc_now(void)
{
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
	return is_woken(fiber) || queue_has_unburied() ||
	       queue_may_run_out_of_time(fiber);
}

int
mpr_parker_wait(struct mpr_parker *p, uint32_t ticket, int64_t deadline)
{
	unsigned me = explore_current();

	sleeps[me].parker = p;
	sleeps[me].ticket = queue_ticket(me, ticket);
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
	return queue_is_interrupted(explore_current());
}

void
mpr_interrupt_answer(void)
{
	queue_answer(explore_current());
}

bool
mpr_fence_heavy(void)
{
	explore_barrier();
	return true;
}

/* Life and death. */

bool
mpr_life_ended(const struct mpr_life *life)
{
	unsigned fiber = queue_fiber_of(life);

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

static void
recover(mproc_arena *a, unsigned slot, uint64_t ident)
{
	queue_recovers(explore_current(), true);
	mpr_queues_recover(a, slot, ident);
	queue_recovers(explore_current(), false);
}

const struct mpr_kind_ops mpr_kinds[MPR_KINDS] = {
	[MPR_KIND_QUEUE] = { .recover = recover },
};

/* Nobody waits for anything else here. */
void
mpr_waits_look(const mproc_arena *a)
{
	(void)a;
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
	*ret_self = queue_self(explore_current());
	return 0;
}

struct mpr_self *
mpr_self_in(const mproc_arena *a)
{
	(void)a;
	return queue_self(explore_current());
}

struct mpr_self *
mpr_self_of(const void *object)
{
	(void)object;
	return queue_self(explore_current());
}

mproc_arena *
mpr_arena_peek(void)
{
	return queue_arena();
}

int
mpr_arena_get(mproc_arena **ret_a)
{
	*ret_a = queue_arena();
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
	return queue_arena();
}

int
mpr_arena_get_of(const void *p, mproc_arena **ret_a)
{
	(void)p;
	*ret_a = queue_arena();
	return 0;
}

void
mpr_arenas_each(void (*fn)(mproc_arena *a, void *arg), void *arg)
{
	fn(queue_arena(), arg);
}

bool
mproc_is_shared(const void *p)
{
	(void)p;
	return true;
}

/*
 * The heap: there is memory for one more lane of each producer, and for as many
 * messages in blocks as the scenario says. It changes hands as in arena/heap.c,
 * between the steps of a schedule.
 */

bool
queue_has_memory(void)
{
	for (unsigned i = 0; i < n_memory; i++)
		if (memory[i].state == MPR_BLOCK_FREE)
			return true;
	return false;
}

bool
mpr_heap_find(const mproc_arena *a, uint64_t offset,
	      struct mpr_block_ref *ret_ref)
{
	unsigned i;

	(void)a;
	*ret_ref = (struct mpr_block_ref){
		.offset = offset,
		.size = queue_is_memory(offset, &i) ? QUEUE_MEMORY_SIZE :
						      UINT64_MAX,
	};
	return offset != 0;
}

bool
mpr_heap_find_at(const mproc_arena *a, const _Atomic uint64_t *home,
		 struct mpr_block_ref *ret_ref)
{
	uint64_t offset = atomic_load_explicit(home, memory_order_acquire);
	unsigned i;

	return mpr_heap_find(a, offset, ret_ref) && queue_is_memory(offset, &i) &&
	       memory[i].state != MPR_BLOCK_FREE && memory[i].home == home;
}

bool
mpr_heap_is_linked(const mproc_arena *a, uint64_t offset, size_t size)
{
	(void)a;
	(void)offset;
	(void)size;
	return true;
}

/* Of groups there is one. */
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
mpr_heap_reserve_dirty(mproc_arena *a, struct mpr_self *self, size_t size,
		       struct mpr_block_ref *ret_ref)
{
	(void)a;
	(void)size;
	for (unsigned i = 0; i < n_memory; i++)
		if (memory[i].state == MPR_BLOCK_FREE) {
			memory[i].state = MPR_BLOCK_BUSY;
			memory[i].slot = self->slot;
			memory[i].home = NULL;
			*ret_ref = (struct mpr_block_ref){
				.offset = queue_memory_at(i),
				.size = QUEUE_MEMORY_SIZE,
			};
			return 0;
		}
	return -ENOSPC;
}

int
mpr_heap_reserve_lazy(mproc_arena *a, struct mpr_self *self, size_t size,
		      size_t back, struct mpr_block_ref *ret_ref)
{
	(void)size;
	(void)back;
	*ret_ref = (struct mpr_block_ref){
		.offset = mpr_arena_offset(a, queue_lane(self->slot)),
	};
	return 0;
}

int
mpr_heap_back(const mproc_arena *a, uint64_t offset, size_t len)
{
	(void)a;
	(void)offset;
	(void)len;
	return 0;
}

int
mpr_block_append(mproc_arena *a, struct mpr_self *self,
		 const struct mpr_block_ref *ref, _Atomic uint64_t *link,
		 size_t next_at, unsigned max)
{
	bool is_memory;
	uint64_t other = 0;
	unsigned i;

	(void)self;
	(void)max;
	is_memory = queue_is_memory(ref->offset, &i);
	if (is_memory)
		memory[i].home = link;
	while (!atomic_compare_exchange_strong(link, &other, ref->offset)) {
		/* Only who has claimed it gives a block memory. */
		explore_check(!is_memory);
		link = mpr_arena_at(a, other + next_at);
		other = 0;
	}
	if (is_memory)
		memory[i].state = MPR_BLOCK_LINKED;
	return 0;
}

bool
mpr_block_retire(mproc_arena *a, struct mpr_self *self,
		 const struct mpr_block_ref *ref, const _Atomic uint64_t *home)
{
	unsigned i;

	(void)a;
	if (!queue_is_memory(ref->offset, &i) ||
	    memory[i].state != MPR_BLOCK_LINKED)
		return false;
	memory[i].state = MPR_BLOCK_BUSY;
	memory[i].slot = self->slot;
	memory[i].home = home;
	return true;
}

void
mpr_block_cancel(struct mpr_self *self, const struct mpr_block_ref *ref)
{
	unsigned i;

	(void)self;
	if (queue_is_memory(ref->offset, &i))
		memory[i].state = MPR_BLOCK_FREE;
}

void
mpr_heap_recover(mproc_arena *a, unsigned slot, uint64_t ident)
{
	(void)a;
	(void)ident;
	for (unsigned i = 0; i < n_memory; i++)
		if (memory[i].state == MPR_BLOCK_BUSY && memory[i].slot == slot)
			memory[i].state =
				memory[i].home &&
				explore_newest(memory[i].home) ==
					queue_memory_at(i) ?
				MPR_BLOCK_LINKED : MPR_BLOCK_FREE;
}

/* Nobody polls. */

MPR_THREAD_LOCAL uint64_t mpr_thread_puts;

void
mpr_poll_begin(struct mpr_poll *p, struct mpr_attachment *at, bool answer)
{
	(void)p;
	(void)at;
	(void)answer;
}

bool
mpr_poll_again(struct mpr_poll *p)
{
	(void)p;
	return false;
}

void
mpr_poll_pace(struct mpr_attachment *at)
{
	(void)at;
}

void
mpr_poll_end(struct mpr_poll *p)
{
	(void)p;
}

/* Nobody has a descriptor. */

_Atomic(struct mpr_queue_fd *) mpr_queue_fds;

void
mpr_queue_fd_make_quiet(const struct mpr_attachment *at)
{
	(void)at;
}

void
mpr_queue_fd_close_now(const mproc_queue *q)
{
	(void)q;
}

/* Nobody reads what is said, and nothing fails. */

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

_Atomic bool mpr_fault_armed;

bool
mpr_fault_reached(enum mpr_fault_point point)
{
	(void)point;
	return false;
}

int
mpr_opts_read(void *to, size_t size, const void *opts)
{
	(void)to;
	(void)size;
	(void)opts;
	return -EINVAL;
}

bool
mpr_queue_fd_has_old(const mproc_queue *q)
{
	(void)q;
	return false;
}
