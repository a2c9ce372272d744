/* SPDX-License-Identifier: MIT */
/*
 * What lies beside locks and the like in their scenarios, in place of the heap;
 * what lies below is in explore_fakes.c. Nobody spins.
 */
#include <errno.h>

#include "arena/heap.h"
#include "arena/kinds.h"
#include "arena/participant.h"
#include "base/opts.h"
#include "os/interrupt.h"
#include "sync/barrier_remote.h"
#include "sync/remote.h"
#include "sync/linger.h"
#include "sync/spin.h"
#include "sync/value.h"
#include "sync/wait.h"
#include "sync_world.h"

const struct mpr_kind_ops mpr_kinds[MPR_KINDS] = {
	[MPR_KIND_SYNC] = { .recover = mpr_waits_recover },
};

/* The fiber that runs: sync_world.c changes it over. */
MPR_THREAD_LOCAL struct mpr_self mpr_this_thread;

bool
mpr_spin(const _Atomic uint64_t *word, uint64_t bits, unsigned *looks)
{
	(void)word;
	(void)bits;
	(void)looks;
	return false;
}

bool
mpr_spin_on(unsigned *looks, unsigned max)
{
	(void)looks;
	(void)max;
	return false;
}

void
mpr_linger_begin(struct mpr_linger *l, struct mpr_yields *yields, unsigned others,
		 int64_t deadline)
{
	(void)others;
	(void)deadline;
	(void)l;
	(void)yields;
}

bool
mpr_linger_on(struct mpr_linger *l)
{
	(void)l;
	return false;
}

void
mpr_interrupt_hold(void)
{
	sync_hold_interrupts(true);
}

void
mpr_interrupt_unhold(void)
{
	sync_hold_interrupts(false);
}

/* All of it has memory. */
int
mpr_arena_back_table(const mproc_arena *a, uint64_t table, size_t entry,
		     _Atomic uint32_t *watermark, uint32_t n)
{
	(void)a;
	(void)table;
	(void)entry;
	(void)watermark;
	(void)n;
	return 0;
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

bool
mpr_heap_find_at(const mproc_arena *a, const _Atomic uint64_t *home,
		 struct mpr_block_ref *ret_ref)
{
	(void)a;
	*ret_ref = (struct mpr_block_ref){
		.offset = atomic_load(home),
		.size = SYNC_CELL,
	};
	return ret_ref->offset != 0;
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

bool
mpr_value_has_ended(const mproc_arena *a, const struct mpr_lock *l)
{
	(void)a;
	(void)l;
	return false;
}

/* Nobody asks for options. */
int
mpr_opts_read(void *to, size_t size, const void *opts)
{
	(void)to;
	(void)size;
	(void)opts;
	return -EINVAL;
}

/* There is nothing of managers. */
bool
mpr_remote_has(const void *p)
{
	(void)p;
	return false;
}

struct mpr_remote *
mpr_remote_at(const void *p)
{
	(void)p;
	return NULL;
}

bool
mpr_remote_destroy(enum mpr_cell_kind kind, const void *object)
{
	(void)kind;
	(void)object;
	return false;
}

int
mpr_remote_ask_simply(enum mpr_cell_kind kind, const void *handle, unsigned op)
{
	(void)kind;
	(void)handle;
	(void)op;
	return -ESTALE;
}

int
mpr_remote_ask(enum mpr_cell_kind kind, const void *handle,
	       struct mpr_remote_ask *ask)
{
	return mpr_remote_ask_simply(kind, handle, ask->op);
}

int64_t
mpr_remote_thread(void)
{
	return 1;
}

int64_t
mpr_remote_time(mproc_timeout timeout)
{
	return timeout.ns;
}

int
mpr_barrier_remote_ask(const mproc_barrier *barrier, unsigned op)
{
	return mpr_remote_ask_simply(MPR_CELL_BARRIER, barrier, op);
}

int
mpr_barrier_remote_wait(mproc_barrier *barrier, mproc_timeout timeout)
{
	(void)timeout;
	return mpr_barrier_remote_ask(barrier, 0);
}

int
mpr_barrier_remote_enroll(mproc_barrier *barrier)
{
	return mpr_barrier_remote_ask(barrier, 0);
}

int
mpr_remote_ask_as(enum mpr_cell_kind kind, const void *handle, unsigned op)
{
	return mpr_remote_ask_simply(kind, handle, op);
}

int
mpr_remote_ask_to_wait(enum mpr_cell_kind kind, const void *handle, unsigned op,
		       mproc_timeout timeout)
{
	(void)timeout;
	return mpr_remote_ask_simply(kind, handle, op);
}

int
mpr_remote_owner_of(enum mpr_cell_kind kind, const void *handle,
		    struct mproc_owner *ret_owner)
{
	(void)ret_owner;
	return mpr_remote_ask_simply(kind, handle, 0);
}
