/* SPDX-License-Identifier: MIT */
/*
 * What lies beside the queue in its scenarios, in place of the heap, and of
 * polling; what lies below is in explore_fakes.c.
 */
#include <errno.h>
#include <stdlib.h>

#include "arena/heap.h"
#include "arena/kinds.h"
#include "arena/participant.h"
#include "base/fault.h"
#include "base/opts.h"
#include "ipc/attachment.h"
#include "ipc/pipe_use.h"
#include "ipc/poll.h"
#include "ipc/queue_fd.h"
#include "ipc/queue_recover.h"
#include "queue_priv.h"
#include "sync/wait.h"

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
	explore_fakes_begin(false);
	n_memory = n;
	for (unsigned i = 0; i < n; i++) {
		memory[i].state = MPR_BLOCK_LINKED;
		memory[i].home = &queue_memory.group.block[i].memory;
	}
}

/* Recovery. */

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

/* No queue is a direction of a pipe here. */
void
mpr_pipe_attach(struct mpr_attachment *at)
{
	(void)at;
}

bool
mpr_pipe_is_used(const struct mpr_attachment *at)
{
	(void)at;
	return false;
}

uint32_t
mpr_pipe_end_of(const struct mpr_attachment *at, bool sends)
{
	(void)at;
	(void)sends;
	return 0;
}

/* Nobody waits for anything else here. */
void
mpr_waits_look(const mproc_arena *a)
{
	(void)a;
}

bool
mpr_waits_for_an_owner(const struct mpr_self *self)
{
	(void)self;
	return false;
}

unsigned
mpr_wait_owners(const struct mpr_self *self, unsigned ret[MPR_WAIT_OWNERS])
{
	(void)self;
	(void)ret;
	return 0;
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

/* The group has one home for ever. */
bool
mpr_heap_find_of(const mproc_arena *a, uint64_t offset,
		 const _Atomic uint64_t *home, struct mpr_block_ref *ret_ref)
{
	unsigned i;

	if (!mpr_heap_find(a, offset, ret_ref))
		return false;
	if (!queue_is_memory(offset, &i))
		return home == &queue_memory.q.blocks;
	return memory[i].state != MPR_BLOCK_FREE && memory[i].home == home;
}

bool
mpr_heap_find_at(const mproc_arena *a, const _Atomic uint64_t *home,
		 struct mpr_block_ref *ret_ref)
{
	return mpr_heap_find_of(a, atomic_load_explicit(home,
							memory_order_acquire),
				home, ret_ref);
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

/* Of what is linked already, only a group that is not the last one gets another
 * home. */
void
mpr_block_set_home(mproc_arena *a, const struct mpr_block_ref *ref,
		   const _Atomic uint64_t *home)
{
	(void)a;
	(void)ref;
	(void)home;
	explore_check(false);
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

/* Nobody polls, but who looks first for an answer does so once. */

MPR_THREAD_LOCAL uint64_t mpr_thread_puts;

void
mpr_poll_begin(struct mpr_poll *p, struct mpr_attachment *at, unsigned probes)
{
	(void)probes;
	*p = (struct mpr_poll){ .at = at, .tight = 1 };
}

bool
mpr_poll_again(struct mpr_poll *p)
{
	return p->tight && p->tight--;
}

void
mpr_poll_pace(struct mpr_attachment *at, unsigned looked)
{
	(void)at;
	(void)looked;
}

void
mpr_poll_found_nothing(struct mpr_attachment *at)
{
	(void)at;
}

void
mpr_poll_end(struct mpr_poll *p)
{
	(void)p;
}

/* Nobody has a descriptor. */

_Atomic bool mpr_queue_fd_used;
_Atomic(struct mpr_watched *) mpr_queue_fds[MPR_QUEUE_FD_BUCKETS];

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

/* Nothing fails. */

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
