/* SPDX-License-Identifier: MIT */
/*
 * What lies beside who keeps a pool, and what becomes of a task, in their scenarios. There
 * are no maps, no batches, no queue of hints, no callbacks and no descriptors; there is a
 * keeper, or somebody sees to that.
 */
#include <errno.h>

#include "arena/heap.h"
#include "ipc/queue_shm.h"
#include "ipc/watched_fd.h"
#include "pool/batch.h"
#include "pool/callback.h"
#include "pool/code.h"
#include "pool/entries.h"
#include "pool/keeping.h"
#include "pool/map.h"
#include "pool/worker.h"
#include "pool_task.h"
#include "process/describe.h"

/* The records of workers, if they are asked for. */
bool
mpr_heap_find_linked(const mproc_arena *a, uint64_t offset,
		     struct mpr_block_ref *ret_ref)
{
	(void)a;
	*ret_ref = (struct mpr_block_ref){
		.offset = offset,
		.size = POOL_WORKERS * sizeof(struct mpr_pool_worker),
	};
	return offset != 0;
}

/* Tasks are addresses. */
mpr_function *
mpr_code_find(const struct mpr_pool_use *u, uint64_t code)
{
	union {
		uint64_t word;
		mpr_function *fn;
	} address = { code };

	(void)u;
	return address.fn;
}

struct mproc_future *
mpr_entries_at(const mproc_arena *a, uint64_t offset)
{
	return mpr_arena_at(a, offset);
}

/* Results fit into the future. */
void
mpr_future_drop_out(mproc_arena *a, struct mpr_self *self,
		    struct mproc_future *f)
{
	(void)a;
	(void)self;
	(void)f;
}

void *
mpr_future_make_out(mproc_arena *a, struct mpr_self *self,
		    struct mproc_future *f, size_t len)
{
	(void)a;
	(void)self;
	(void)f;
	(void)len;
	return NULL;
}

void *
mpr_future_out(const mproc_arena *a, const struct mproc_future *f,
	       size_t *ret_size)
{
	(void)a;
	(void)f;
	(void)ret_size;
	return NULL;
}

/* Who tells others of the task does that by its word. */
int
mproc_queue_put(mproc_queue *q, const void *msg, size_t len,
		mproc_timeout timeout)
{
	(void)q;
	(void)msg;
	(void)len;
	(void)timeout;
	return 0;
}

/* There is none to be shut. */
bool
mpr_queue_shut_at(const mproc_arena *a, const _Atomic uint64_t *link,
		  const _Atomic uint64_t *open)
{
	(void)a;
	(void)link;
	(void)open;
	return false;
}

bool
mpr_keeping_is_on(const struct mpr_pool_use *u)
{
	(void)u;
	return true;
}

int
mpr_keeping_slot(const struct mpr_pool_use *u)
{
	(void)u;
	return -1;
}

int
mpr_keeping_ensure(const struct mpr_pool_use *u)
{
	(void)u;
	return 0;
}

void
mpr_keeping_wake(const struct mpr_pool_use *u)
{
	(void)u;
}

bool
mpr_map_look_at(const struct mpr_pool_use *u, struct mproc_future *f,
		struct mpr_map_use *ret_m)
{
	(void)u;
	(void)f;
	(void)ret_m;
	return false;
}

bool
mpr_map_waits(const struct mpr_map_use *m, uint64_t id)
{
	(void)m;
	(void)id;
	return false;
}

int
mpr_map_announce(const struct mpr_map_use *m, uint64_t id)
{
	(void)m;
	(void)id;
	return 0;
}

void
mpr_map_run(struct mpr_worker *me, const struct mpr_map_use *m, uint64_t id)
{
	(void)me;
	(void)m;
	(void)id;
}

bool
mpr_map_drop(const struct mpr_map_use *m, struct mpr_self *self, uint64_t id,
	     uint64_t why)
{
	(void)m;
	(void)self;
	(void)id;
	(void)why;
	return false;
}

bool
mpr_map_bury(const struct mpr_map_use *m, struct mpr_self *self,
	     unsigned number, const struct mproc_exit *end)
{
	(void)m;
	(void)self;
	(void)number;
	(void)end;
	return false;
}

void
mpr_map_settle(const struct mpr_map_use *m, struct mpr_self *self, uint64_t id)
{
	(void)m;
	(void)self;
	(void)id;
}

void
mpr_map_doom(const struct mpr_map_use *m, uint64_t id)
{
	(void)m;
	(void)id;
}

int
mpr_map_result(const struct mpr_map_use *m, uint64_t word, size_t *ret_item,
	       size_t *ret_items)
{
	(void)m;
	(void)word;
	(void)ret_item;
	(void)ret_items;
	return 0;
}

int
mpr_map_read(const struct mpr_future_use *u, const struct mpr_map_use *m,
	     uint64_t word, void *out, size_t size, size_t *ret_len)
{
	(void)u;
	(void)m;
	(void)word;
	(void)out;
	(void)size;
	(void)ret_len;
	return 0;
}

int
mpr_batch_set(struct mpr_batch *b, const void *p, size_t len)
{
	(void)b;
	(void)p;
	(void)len;
	return -EINVAL;
}

/* Nobody reads what is said. */

void
mpr_worker_name(const struct mpr_pool_use *u, unsigned w,
		char name[MPR_NAME_MAX])
{
	(void)u;
	(void)w;
	name[0] = '\0';
}

const char *
mpr_describe(const struct mproc_exit *e, char buf[MPR_DESCRIBE_MAX])
{
	(void)e;
	return buf;
}

const char *
mproc_strerror(int error)
{
	(void)error;
	return "";
}

_Atomic(struct mpr_watched *) mpr_queue_fds[MPR_QUEUE_FD_BUCKETS];

void
mpr_watched_fd_make_quiet(const void *object, uint64_t open)
{
	(void)object;
	(void)open;
}

bool
mpr_watched_fd_close(const void *object, uint64_t *ret_open)
{
	(void)object;
	(void)ret_open;
	return false;
}

bool
mpr_watched_fd_has(const void *object, uint64_t open)
{
	(void)object;
	(void)open;
	return false;
}

_Atomic unsigned mpr_callbacks;

unsigned
mpr_callbacks_run_now(unsigned looks, bool waits)
{
	(void)looks;
	(void)waits;
	return 0;
}
