/* SPDX-License-Identifier: MIT */
/*
 * A pool in shared memory: docs/spec/pool.md.
 *
 * The pool is a cell (sync/cell.h) with a root, which stays with the cell and names
 * all the rest: the futures, in entries of groups, each entry the home of one; the
 * workers' records; a queue, in which lie hints of what is to be done next.
 *
 * The truth about a task is its future's word. A hint says only where to look: one
 * that is lost with its taker comes back (.ack), one too many finds a word that has
 * changed.
 */
#ifndef MPR_POOL_POOL_SHM_H
#define MPR_POOL_POOL_SHM_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mproc/pool.h>
#include <mproc/queue.h>

#include "arena/heap.h"
#include "arena/participant.h"
#include "base/macros.h"
#include "sync/cell.h"
#include "sync/holder.h"

#define MPR_POOL_NAME 64
#define MPR_POOL_WORKERS_MAX 512
#define MPR_POOL_MODULES 12
#define MPR_POOL_MARK UINT64_C(0x746f6f726c6f6f70) /* and the offset of the pool */

struct mproc_pool {
	/* Its word is mpr_pool_word() while the pool is there. */
	struct mpr_cell cell;
	uint64_t pad[5];
	_Atomic uint64_t root; /* offset; 0 until the cell's first pool */
};

static_assert(sizeof(struct mproc_pool) == MPR_CELL, "shared layout");
static_assert(offsetof(struct mproc_pool, root) == MPR_CELL_BLOCKS,
	      "shared layout");

/* Only ever the next one, but for what is in brackets:
 *	MADE -> OPEN -> [CLOSING ->] [TERMINATING ->] ENDED */
enum mpr_pool_phase {
	MPR_POOL_MADE = 0,
	MPR_POOL_OPEN = 1,
	MPR_POOL_CLOSING = 2, /* what has been submitted is done */
	MPR_POOL_TERMINATING = 3, /* what is not done fails */
	MPR_POOL_ENDED = 4, /* no task is left, and no worker */
};

static_assert((int)MPR_POOL_OPEN == (int)MPROC_POOL_OPEN &&
		      (int)MPR_POOL_CLOSING == (int)MPROC_POOL_CLOSING &&
		      (int)MPR_POOL_TERMINATING == (int)MPROC_POOL_TERMINATING &&
		      (int)MPR_POOL_ENDED == (int)MPROC_POOL_ENDED,
	      "what users see");

/* What is changed by one process at a time, the keeper, is marked K. */
struct mpr_pool_root {
	uint64_t mark;
	/* {generation of the cell 32 | 0 24 | phase 8} */
	_Atomic uint64_t phase;
	_Atomic uint64_t keeper; /* keeper_word.h: who keeps the pool */
	/* The process that made it, and from when on it was that. */
	_Atomic uint32_t creator;
	_Atomic uint32_t n_workers; /* how many there are to be */
	_Atomic uint64_t creator_since;
	/* Where functions of tasks are found: os/image.h; by a new image os/module.h: the
	 * mark of the creator's program. */
	_Atomic uint64_t image;
	_Atomic uint64_t queue; /* offset, or 0 */
	_Atomic uint64_t workers; /* offset of an array of records */
	_Atomic uint64_t groups; /* the first one's offset */
	_Atomic int64_t task_timeout; /* ns, or 0 */
	_Atomic uint32_t retries;
	_Atomic uint32_t backend; /* an enum mproc_pool_backend */
	/* What the initializer has returned, and bit 32; or 0. */
	_Atomic uint64_t broken;
	_Atomic uint64_t initializer; /* pool/code.h; or 0 */
	_Atomic uint64_t init_arg; /* address */
	_Atomic uint64_t init; /* offset of a copy of what is there, or 0 */
	_Atomic uint64_t deaths; /* K: of workers */
	_Atomic uint64_t retried; /* K: tasks, each time */
	_Atomic uint64_t keepers; /* K: how many there were */
	char name[MPR_POOL_NAME];
	_Atomic uint64_t creator_namespace; /* where its id is one; os/task.h */
	_Atomic uint64_t queue_open; /* the queue's state as long as it is ours */
	_Atomic int64_t idle_timeout; /* ns, or 0: after that a worker rests */
	_Atomic uint64_t max_tasks; /* and items, that a worker does; or 0 */
	_Atomic uint64_t resting; /* K: workers that are not there, as they rest */
	/* Workers that are one too many: who comes to the end of a task takes one off,
	 * and ends. Written by K, as it sees them; a hint, as one too many that ends is
	 * replaced. */
	_Atomic uint32_t surplus;
	_Atomic uint32_t given_up; /* K: tasks and items that failed by deaths */
	_Atomic uint64_t more; /* offset of further records, or 0 */
	/* How many the kernel had killed for want of memory as the pool was made, and
	 * whose count that is, or 0 (pool/shortage.h): for its first keeper. */
	_Atomic uint64_t kills;
	_Atomic uint64_t kills_of;
	_Atomic uint32_t method; /* an enum mproc_start_method: of the keeper */
	uint32_t pad;
	/* Marks of libraries that functions of tasks lie in, or 0: pool/code.h. */
	_Atomic uint64_t modules[MPR_POOL_MODULES];
	/* Where to look for a free entry next: offset of a group and an index. Any
	 * value will do. */
	alignas(MPR_APART) _Atomic uint64_t cursor;
	_Atomic uint64_t last; /* offset of a group near the end of the list: a hint */
	/* The mark of the creator's program, or 0: os/module.h. Only who has another image
	 * looks at it. */
	_Atomic uint64_t program;
};

static_assert(sizeof(struct mpr_pool_root) == 512, "shared layout");
static_assert(offsetof(struct mpr_pool_root, cursor) == 384, "shared layout");

/* A worker has ended as there was nothing to do. No ticket is so small. */
#define MPR_POOL_RESTS UINT64_C(1)

struct mpr_pool_worker {
	/* The worker: a word of sync/holder.h. Or a ticket, without HELD, for one
	 * that is being forked. Or RESTS. Or 0: there is none, or it has ended in
	 * order, without anything of the pool's. */
	alignas(MPR_APART) _Atomic uint64_t word;
	/* A word that was here: that one is to be killed. */
	_Atomic uint64_t doomed;
	/* Offset of the future of the task that it has taken, or 0. */
	_Atomic uint64_t lease;
	_Atomic uint64_t done; /* how many tasks workers with this record did */
	/* A word that was here: that one has come through the initializer. */
	_Atomic uint64_t begun;
};

static_assert(sizeof(struct mpr_pool_worker) == 128, "shared layout");

#define MPR_POOL_ENTRIES 510

struct mpr_pool_group {
	_Atomic uint64_t next; /* offset, or 0; set once */
	uint64_t mark; /* and the offset of the root */
	_Atomic uint64_t entry[MPR_POOL_ENTRIES]; /* offset of a future, or 0 */
};

static_assert(sizeof(struct mpr_pool_group) == 4096, "shared layout");

/*
 * A future's word.
 *
 *   bits 0..15   RUNNING: number of the worker; FREED: slot of who frees it
 *   bit 17       WAITERS
 *   bits 18..20  state
 *   bit 22       ABANDONED: nobody wants the result, free it
 *   bit 23       CANCELED
 *   bit 24       OVERDUE: its time is over
 *   bit 25       SHUT: the pool was terminated
 *   bits 26..63  id, which no other future has; FREED: that one's incarnation
 *
 *   QUEUED --taken--> RUNNING,w --completed by w--> DONE --> FREED
 *     ^                  |
 *     +--- w is dead ----+---- w is dead, once too often --> DONE
 *   QUEUED --CANCELED or SHUT--> DONE
 *   RUNNING,w --CANCELED, OVERDUE or SHUT, in a pool of threads--> GIVEN_UP,w
 *   GIVEN_UP,w --w comes back, or is dead--> DONE --> FREED
 *
 * A map's (map_shm.h) is SHARED instead of RUNNING, and never QUEUED again.
 *
 * RUNNING with one of these three is not to be completed by its worker, which is
 * killed, and stays RUNNING until that is dead: a future is not freed while somebody
 * may write to it. Of a future that is DONE the three are what became of it.
 *
 * A thread is not killed. So there a task becomes GIVEN_UP by that: for who waits it is
 * done, and its memory is the thread's until that comes back.
 */
enum mpr_future_state {
	MPR_FUTURE_QUEUED = 1,
	MPR_FUTURE_RUNNING = 2,
	MPR_FUTURE_DONE = 3,
	MPR_FUTURE_FREED = 4,
	MPR_FUTURE_SHARED = 5, /* a map that was begun */
	MPR_FUTURE_GIVEN_UP = 6, /* DONE for all but the thread that runs it */
};

#define MPR_FUTURE_WORKER UINT64_C(0xffff)
#define MPR_FUTURE_STATE (UINT64_C(7) << 18)
#define MPR_FUTURE_ABANDONED (UINT64_C(1) << 22)
#define MPR_FUTURE_CANCELED (UINT64_C(1) << 23)
#define MPR_FUTURE_OVERDUE (UINT64_C(1) << 24)
#define MPR_FUTURE_SHUT (UINT64_C(1) << 25)
#define MPR_FUTURE_REVOKED \
	(MPR_FUTURE_CANCELED | MPR_FUTURE_OVERDUE | MPR_FUTURE_SHUT)
#define MPR_FUTURE_MANY (UINT64_C(1) << 26) /* somebody may wait for it and others */
#define MPR_FUTURE_WAITED (MPR_WAITERS | MPR_FUTURE_MANY)
#define MPR_FUTURE_ID (~UINT64_C(0) << 27)
#define MPR_FUTURE_ID_UNIT (UINT64_C(1) << 27)
#define MPR_FUTURE_SMALL 64

/* How its worker ended. */
#define MPR_END_CORE 1u /* leaving a core */
#define MPR_END_SHORTAGE 2u /* killed for want of memory */

static_assert(!((MPR_FUTURE_STATE | MPR_FUTURE_ABANDONED) &
		(MPR_HELD | MPR_WAITERS | MPR_GONE)),
	      "no word of a future looks like that of something held");

enum mpr_future_kind {
	MPR_FUTURE_TASK = 0,
	MPR_FUTURE_MAP = 1,
};

struct mproc_future {
	struct mpr_cell cell; /* .generation: that of the pool's cell */
	_Atomic uint64_t pool; /* offset */
	_Atomic uint64_t entry; /* offset of the word that refers to this */
	/* Written before it is QUEUED. */
	uint64_t fn; /* the task: pool/code.h */
	uint64_t in_len; /* bytes behind this structure */
	_Atomic uint32_t owner; /* the process that submitted it: pool/owner.h */
	_Atomic uint32_t kind; /* an enum mpr_future_kind */
	_Atomic uint64_t owner_since;
	/* Written by who runs it, and by the keeper if that one is dead. */
	_Atomic int64_t started; /* ns, if tasks have a time limit; or 0 */
	_Atomic uint64_t out; /* offset of the result, or report, or 0 */
	_Atomic uint64_t out_len;
	_Atomic int32_t result; /* of the task, or what became of it */
	_Atomic uint32_t deaths; /* of workers that had it */
	_Atomic uint32_t pid; /* the last worker's */
	_Atomic uint32_t worker; /* its number */
	/* How that worker ended, if it did. */
	_Atomic int32_t code;
	_Atomic int32_t signal;
	_Atomic uint32_t how; /* MPR_END_CORE, MPR_END_SHORTAGE */
	_Atomic uint32_t ended; /* 1: those above say so; 2: and out is a report */
	unsigned char small[MPR_FUTURE_SMALL]; /* a result that fits */
	_Atomic uint64_t owner_namespace; /* where its id is one; with the owner */
};

static_assert(sizeof(struct mproc_future) == 192, "shared layout");

static inline uint64_t
mpr_future_word(uint64_t id, enum mpr_future_state state, unsigned who)
{
	return (id & MPR_FUTURE_ID) | (uint64_t)state << 18 | who;
}

static inline enum mpr_future_state
mpr_future_state(uint64_t word)
{
	return (enum mpr_future_state)((word & MPR_FUTURE_STATE) >> 18);
}

/* The same future with the same flags, in another state. */
static inline uint64_t
mpr_future_with(uint64_t word, enum mpr_future_state state, unsigned who)
{
	return (word & ~(MPR_FUTURE_STATE | MPR_FUTURE_WORKER)) |
	       (uint64_t)state << 18 | who;
}

/* FREED by the calling thread. */
static inline uint64_t
mpr_future_freed(const struct mpr_self *self)
{
	return mpr_future_word((mpr_holder(self) >> 32) * MPR_FUTURE_ID_UNIT,
			       MPR_FUTURE_FREED, self->slot);
}

/* By whom: a word of sync/holder.h. */
static inline uint64_t
mpr_future_freer(uint64_t word)
{
	return word / MPR_FUTURE_ID_UNIT << 32 | MPR_HELD |
	       (word & MPR_FUTURE_WORKER);
}

/* Somebody runs it, whether it is wanted still or not. */
static inline bool
mpr_future_is_run(uint64_t word)
{
	return mpr_future_state(word) == MPR_FUTURE_RUNNING ||
	       mpr_future_state(word) == MPR_FUTURE_GIVEN_UP;
}

static inline bool
mpr_future_runs_at(uint64_t word, unsigned worker)
{
	return mpr_future_is_run(word) && (word & MPR_FUTURE_WORKER) == worker;
}

/* What it has come to is known, and does not change any more. */
static inline bool
mpr_future_is_done(uint64_t word)
{
	return mpr_future_state(word) == MPR_FUTURE_DONE ||
	       mpr_future_state(word) == MPR_FUTURE_GIVEN_UP;
}

/* Relaxed: who comes by a hint that is late may find what is another future's by now, and
 * learns that by the word. */
static inline bool
mpr_future_is_a(const struct mproc_future *f, enum mpr_future_kind kind)
{
	return atomic_load_explicit(&f->kind, memory_order_relaxed) == kind;
}

/* Somebody has it, or shares of it. */
static inline bool
mpr_future_is_begun(uint64_t word)
{
	return mpr_future_is_run(word) ||
	       mpr_future_state(word) == MPR_FUTURE_SHARED;
}

/* A hint: something of the future at @offset waits to be taken, and it has @word's
 * id. */
struct mpr_pool_hint {
	uint64_t offset;
	uint64_t word;
};

/* A pool as a call found it. */
struct mpr_pool_use {
	mproc_pool *pool;
	mproc_arena *arena;
	struct mpr_pool_root *root;
	uint32_t generation; /* of the cell */
	/* By what items of maps are done: of the creator, and what that has begun, the one
	 * that it gave; of others the library's. Not in shared memory, as who has the same
	 * image need not have what the creator has loaded. */
	mproc_map_loop *loop;
};

/* The cell's word as long as that pool is there, and no other one's. */
static inline uint64_t
mpr_pool_word(uint32_t generation)
{
	return (uint64_t)generation << 32;
}

static inline bool
mpr_pool_is_there(const struct mpr_pool_use *u)
{
	return atomic_load(&u->pool->cell.word) == mpr_pool_word(u->generation);
}

/* Returns 0, -EINVAL, -EFAULT, -ESTALE. */
int mpr_pool_look_up(mproc_pool *pool, struct mpr_pool_use *ret_u);

/* Its phase; ENDED for who means another pool than is there by now. */
static inline enum mpr_pool_phase
mpr_pool_phase(const struct mpr_pool_use *u)
{
	/* seq_cst: who submits has linked its future before, and who ends the
	 * pool looks for futures after it has changed this. */
	uint64_t word = atomic_load(&u->root->phase);
	uint32_t phase = (uint32_t)word;

	/* What is none was scribbled in, and nothing would ever follow it. */
	return word >> 32 == u->generation && phase < MPR_POOL_ENDED ?
		       (enum mpr_pool_phase)phase : MPR_POOL_ENDED;
}

/* From one of the phases before @to. Returns whether it was the caller. */
bool mpr_pool_advance(const struct mpr_pool_use *u, enum mpr_pool_phase to);

/* Ends a pool that can have no workers: @error is what the initializer has returned, or stands
 * for that. The keeper has to be woken. */
void mpr_pool_break(const struct mpr_pool_use *u, int error);

/* For texts. */
struct mpr_pool_label {
	char text[MPR_POOL_NAME + 32];
};

struct mpr_pool_label mpr_pool_label(const struct mpr_pool_use *u);

/* The records that the pool was made with, and how many; NULL and 0 if there are none.
 * An inline pool has no others. */
struct mpr_pool_worker *mpr_pool_workers(const struct mpr_pool_use *u, unsigned *ret_n);

/* Record @w, or NULL if there is no room for so many. */
struct mpr_pool_worker *mpr_pool_worker_at(const struct mpr_pool_use *u,
					   unsigned w);

/* All records, one after the other. */
struct mpr_workers_walk {
	const struct mpr_pool_use *use;
	struct mpr_pool_worker *next;
	unsigned left; /* of that block */
	unsigned blocks; /* that were looked at */
	unsigned n; /* records that there were so far */
};

static inline struct mpr_workers_walk
mpr_workers_walk(const struct mpr_pool_use *u)
{
	return (struct mpr_workers_walk){ .use = u };
}

/* The next one, whose number is .n - 1 then; or NULL. */
struct mpr_pool_worker *mpr_workers_next(struct mpr_workers_walk *walk);

/* The queue of hints, or NULL. */
mproc_queue *mpr_pool_queue(const struct mpr_pool_use *u);

/* By who keeps the pool: nobody takes a hint any more. Takes no memory. Returns false if there
 * is no queue. */
bool mpr_pool_shut_queue(const struct mpr_pool_use *u);

static inline bool
mpr_pool_is_by(const struct mpr_pool_use *u, enum mproc_pool_backend backend)
{
	/* Relaxed: it is written before the pool can be found. */
	return atomic_load_explicit(&u->root->backend, memory_order_relaxed) ==
	       (uint32_t)backend;
}

/* Whether its keeper, and so its workers, have an image of their own, in which nothing lies
 * where the creator has it. */
static inline bool
mpr_pool_is_anew(const struct mpr_pool_use *u)
{
	/* Relaxed, as the backend is. */
	uint32_t method = atomic_load_explicit(&u->root->method,
					       memory_order_relaxed);

	return method == MPROC_SPAWN || method == MPROC_FORKSERVER;
}

/* Whether its tasks are run where they are submitted: it has no keeper, no queue, and
 * a record for each thread that may do that at a time. */
static inline bool
mpr_pool_is_inline(const struct mpr_pool_use *u)
{
	return mpr_pool_is_by(u, MPROC_POOL_INLINE);
}

/* Whether keeper and workers are threads of its creator: they die all at once, and none
 * of them is killed. */
static inline bool
mpr_pool_is_threads(const struct mpr_pool_use *u)
{
	return mpr_pool_is_by(u, MPROC_POOL_THREADS);
}

/* Whether they are processes, and a keeper that is dead is replaced: whatever is neither
 * of these. */
static inline bool
mpr_pool_is_processes(const struct mpr_pool_use *u)
{
	return !mpr_pool_is_inline(u) && !mpr_pool_is_threads(u);
}

#endif
