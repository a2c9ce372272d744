/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a task: taken, run, completed by its worker; or, if that is dead,
 * given to another one or failed by the keeper. Each is one change of the future's
 * word; what is written beside it before belongs to who has the task by that word.
 */
#ifndef MPR_POOL_TASK_H
#define MPR_POOL_TASK_H

#include "os/generation.h"
#include "pool/pool_shm.h"

/* As a worker sees itself, in its own memory. */
struct mpr_worker {
	struct mpr_pool_use use;
	struct mpr_pool_worker *record;
	uint64_t generation; /* of the process */
	uint64_t holder; /* the word of its thread */
	unsigned number;
	unsigned depth; /* of tasks that run tasks */
	uint64_t max; /* tasks and items, before it ends; 0: any number */
	uint64_t did;
	bool revoked; /* a task was not ours any more: we are to end, unless: */
	/* Tasks have a time limit. As the keeper knows it: what stands in shared memory
	 * anybody can write, and then its limit would never be over. */
	bool limited;
	bool stays; /* it is a thread, which is not killed for that */
	bool leaves; /* it is one too many, and ends once it has nothing */
};

/* What a task gets to leave its result by. */
struct mpr_batch;
struct mproc_result {
	struct mpr_worker *worker;
	struct mproc_future *f;
	struct mpr_batch *batch; /* of results, if it is one of several; or NULL */
};

/* Whether this is a child of its that a signal handler has forked, and that has returned
 * into what the worker was doing. That is not the child's: whoever changes something
 * shared for the worker asks this right before, and before it runs something. */
static inline bool
mpr_worker_is_copy(const struct mpr_worker *me)
{
	return mpr_unlikely(!mpr_generation_is(me->generation)) &&
	       me->generation != mpr_generation();
}

/* How many it may still do. */
static inline uint64_t
mpr_worker_left(const struct mpr_worker *me)
{
	if (me->leaves)
		return 0;
	if (!me->max)
		return UINT64_MAX;
	return me->did < me->max ? me->max - me->did : 0;
}

/* Whether it is one too many. For one that is between two tasks or chunks, and ends
 * then. */
static inline bool
mpr_worker_is_surplus(struct mpr_worker *me)
{
	/* Relaxed: who sleeps is woken by a message that is put after it. */
	uint32_t n = atomic_load_explicit(&me->use.root->surplus,
					  memory_order_relaxed);

	while (mpr_unlikely(n) && !me->leaves && !mpr_worker_is_copy(me))
		me->leaves = atomic_compare_exchange_strong(
			&me->use.root->surplus, &n, n - 1);
	return me->leaves;
}

static inline void
mpr_worker_did(struct mpr_worker *me, uint64_t n)
{
	me->did += n;
	atomic_fetch_add(&me->record->done, n);
}

/* The calling thread as a worker, or NULL: also in a child that a task has forked,
 * and in other threads. */
struct mpr_worker *mpr_worker_self(void);

/* The calling process as one that was forked to be that, or NULL: whichever thread
 * asks. */
struct mpr_worker *mpr_worker_process(void);

static inline bool
mpr_worker_is_of(const struct mpr_worker *w, const struct mpr_pool_use *u)
{
	return w && w->use.root == u->root;
}

/* Takes and runs the task whose future was at @offset with @word, if it is QUEUED
 * still. */
void mpr_task_run(struct mpr_worker *me, uint64_t offset, uint64_t word);

/* Announces what waits. Returns 0, or as mproc_queue_put() with MPROC_NOWAIT. */
int mpr_task_announce(const struct mpr_pool_use *u, struct mproc_future *f,
		      uint64_t word);

/* Puts a hint at a future with @id. As mpr_task_announce(). */
int mpr_task_put_hint(const struct mpr_pool_use *u, struct mproc_future *f,
		      uint64_t id);

/* Whether there is something of it that workers may take. */
bool mpr_task_waits(const struct mpr_pool_use *u, struct mproc_future *f,
		    uint64_t word);

/* What a future that is DONE, as @word says, has to tell: 0 or a negative error. */
int mpr_task_result(const struct mproc_future *f, uint64_t word);

/* QUEUED to DONE, for the reason @why, one of MPR_FUTURE_REVOKED. @id is that of its
 * word. Returns whether it was. */
bool mpr_task_drop(const struct mpr_pool_use *u, struct mpr_self *self,
		   struct mproc_future *f, uint64_t id, uint64_t why);

/* RUNNING or SHARED, at whatever workers, to the same for the reason @why. Returns
 * whether it was; then the keeper is to kill those. */
bool mpr_task_revoke(struct mproc_future *f, uint64_t id, uint64_t why);

/* The same, but a task that a thread runs is GIVEN_UP, which who waits for it is told: it
 * is not to wait for the thread. */
bool mpr_task_give_up(const struct mpr_pool_use *u, struct mpr_self *self,
		      struct mproc_future *f, uint64_t id, uint64_t why);

/* A worker that is not killed has come to the end of what it had, which may have been
 * revoked meanwhile: what that one may not complete is completed as if it were dead.
 * @id is that of its word. Returns whether a part of it is to be begun. */
bool mpr_task_come_back(const struct mpr_worker *me, struct mproc_future *f,
			uint64_t id);

/* RUNNING to DONE, or QUEUED again, by the keeper: worker @number is dead, @end is how
 * it died, or NULL if nobody knows. Returns whether the task was its; if it waits then,
 * the caller announces it. */
bool mpr_task_bury(const struct mpr_pool_use *u, struct mpr_self *self,
		   struct mproc_future *f, unsigned number,
		   const struct mproc_exit *end);

/* To the end: DONE, or FREED if nobody wants it. @word is what the caller has it by;
 * the bits @others may have come meanwhile, and after another change it is not the
 * caller's any more. All that is written beside the word was written before. */
bool mpr_task_finish(const struct mpr_pool_use *u, struct mpr_self *self,
		     struct mproc_future *f, uint64_t word, uint64_t others,
		     uint64_t why);

/* How a worker has ended by which a task has failed. */
void mpr_task_note_end(const struct mpr_pool_use *u, struct mpr_self *self,
		       struct mproc_future *f, const struct mproc_exit *end);

/* The result is not wanted any more. Frees it now, or has it freed once the task is
 * done. @id is that of its word: the place may be another's by now. Returns false if
 * it is, or if that was so before. */
bool mpr_task_abandon(mproc_arena *a, struct mpr_self *self,
		      struct mproc_future *f, uint64_t id);

#endif
