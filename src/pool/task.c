/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/macros.h"
#include "os/cpu.h"
#include "os/generation.h"
#include "pool/batch.h"
#include "pool/code.h"
#include "pool/entries.h"
#include "pool/keeping.h"
#include "pool/map.h"
#include "pool/task.h"
#include "sync/wait.h"

static bool
cas(_Atomic uint64_t *word, uint64_t *from, uint64_t to)
{
	return atomic_compare_exchange_strong(word, from, to);
}

/* Those who wait as @seen says. */
static void
wake(struct mpr_wake *k, uint64_t seen)
{
	if (seen & MPR_WAITERS)
		mpr_wake_all(k);
	if (seen & MPR_FUTURE_MANY)
		mpr_wake_many(k);
}

bool
mpr_task_finish(const struct mpr_pool_use *u, struct mpr_self *self,
		struct mproc_future *f, uint64_t word, uint64_t others,
		uint64_t why)
{
	uint64_t seen = word, end;
	struct mpr_wake k;

	/* So that recovery wakes who waits, if we die between. */
	mpr_wake_begin(&k, u->arena, self, f);
	do {
		if ((seen ^ word) & ~others) {
			mpr_wake_end(&k);
			return false;
		}
		end = seen & MPR_FUTURE_ABANDONED ?
			      mpr_future_freed(self) :
			      (mpr_future_with(seen, MPR_FUTURE_DONE, 0) | why) &
				      ~MPR_FUTURE_WAITED;
		/* seq_cst: who waits sets its flag after it has announced itself. And
		 * release: the result comes before. */
	} while (!cas(&f->cell.word, &seen, end));
	wake(&k, seen);
	mpr_wake_end(&k);
	if (mpr_future_state(end) == MPR_FUTURE_FREED)
		mpr_future_free(u->arena, self, f);
	return true;
}

int
mpr_task_result(const struct mproc_future *f, uint64_t word)
{
	int r = atomic_load(&f->result);

	if (word & MPR_FUTURE_SHUT)
		return -ESHUTDOWN;
	if (word & MPR_FUTURE_OVERDUE)
		return -ETIMEDOUT;
	if (word & MPR_FUTURE_CANCELED)
		return -ECANCELED;
	/* Nothing else was written there, but by who has scribbled. */
	return r < 0 ? r : 0;
}

/* Somebody has put a hint. */
static void
wake_resting(const struct mpr_pool_use *u)
{
	/* Pairs with the fence in end_rests() of the keeper: it sees the hint, or we see
	 * that a worker rests. Otherwise nobody might take it. */
	mpr_cpu_fence();
	if (atomic_load_explicit(&u->root->resting, memory_order_relaxed))
		mpr_keeping_wake(u);
}

int
mpr_task_put_hint(const struct mpr_pool_use *u, struct mproc_future *f,
		  uint64_t id)
{
	const struct mpr_pool_hint hint = {
		.offset = mpr_arena_offset(u->arena, f),
		.word = id & MPR_FUTURE_ID,
	};

	int r = mproc_queue_put(mpr_pool_queue(u), &hint, sizeof(hint),
				MPROC_NOWAIT);

	if (r == 0 && atomic_load_explicit(&u->root->idle_timeout,
					   memory_order_relaxed))
		wake_resting(u);
	return r;
}

int
mpr_task_announce(const struct mpr_pool_use *u, struct mproc_future *f,
		  uint64_t word)
{
	struct mpr_map_use m;

	return mpr_map_look_at(u, f, &m) ? mpr_map_announce(&m, word) :
					   mpr_task_put_hint(u, f, word);
}

bool
mpr_task_waits(const struct mpr_pool_use *u, struct mproc_future *f, uint64_t word)
{
	struct mpr_map_use m;

	return mpr_map_look_at(u, f, &m) ?
		       mpr_map_waits(&m, word) :
		       mpr_future_state(word) == MPR_FUTURE_QUEUED;
}

bool
mpr_task_drop(const struct mpr_pool_use *u, struct mpr_self *self,
	      struct mproc_future *f, uint64_t id, uint64_t why)
{
	struct mpr_map_use m;

	if (mpr_map_look_at(u, f, &m))
		return mpr_map_drop(&m, self, id, why);
	return mpr_task_finish(u, self, f,
			       mpr_future_word(id, MPR_FUTURE_QUEUED, 0),
			       MPR_FUTURE_WAITED | MPR_FUTURE_ABANDONED, why);
}

bool
mpr_task_revoke(struct mproc_future *f, uint64_t id, uint64_t why)
{
	uint64_t word = atomic_load(&f->cell.word);

	while (!((word ^ id) & MPR_FUTURE_ID) && mpr_future_is_begun(word) &&
	       !(word & MPR_FUTURE_REVOKED))
		if (cas(&f->cell.word, &word, word | why))
			return true;
	return false;
}

bool
mpr_task_give_up(const struct mpr_pool_use *u, struct mpr_self *self,
		 struct mproc_future *f, uint64_t id, uint64_t why)
{
	uint64_t word = atomic_load(&f->cell.word), next;
	struct mpr_wake k;
	bool done = false;

	if (!mpr_pool_is_threads(u) ||
	    mpr_future_state(word) != MPR_FUTURE_RUNNING)
		return mpr_task_revoke(f, id, why);
	/* So that recovery wakes who waits, if we die between. */
	mpr_wake_begin(&k, u->arena, self, f);
	while (!done && !((word ^ id) & MPR_FUTURE_ID) &&
	       mpr_future_state(word) == MPR_FUTURE_RUNNING) {
		next = mpr_future_with(word, MPR_FUTURE_GIVEN_UP,
				       word & MPR_FUTURE_WORKER);
		/* seq_cst: as in mpr_task_finish(). */
		done = cas(&f->cell.word, &word,
			   (next | why) & ~MPR_FUTURE_WAITED);
	}
	if (done)
		wake(&k, word);
	mpr_wake_end(&k);
	return done;
}

bool
mpr_task_abandon(mproc_arena *a, struct mpr_self *self, struct mproc_future *f,
		 uint64_t id)
{
	uint64_t word = atomic_load(&f->cell.word), next;
	bool is_done;

	do {
		if ((word ^ id) & MPR_FUTURE_ID || word & MPR_FUTURE_ABANDONED ||
		    mpr_future_state(word) == MPR_FUTURE_FREED ||
		    !mpr_future_state(word))
			return false;
		is_done = mpr_future_state(word) == MPR_FUTURE_DONE;
		next = is_done ? mpr_future_freed(self) :
				 word | MPR_FUTURE_ABANDONED;
	} while (!cas(&f->cell.word, &word, next));
	if (is_done)
		mpr_future_free(a, self, f);
	return true;
}

/* RUNNING, as @word says, at a worker that is dead, to QUEUED. Who does that announces
 * it. */
static void
requeue(const struct mpr_pool_use *u, struct mpr_self *self,
	struct mproc_future *f, uint64_t word)
{
	uint64_t next;

	mpr_future_drop_out(u->arena, self, f);
	atomic_store(&f->started, 0);
	do {
		/* Revoked meanwhile: the caller looks at it once more. */
		if (word & MPR_FUTURE_REVOKED)
			return;
		next = mpr_future_with(word, MPR_FUTURE_QUEUED, 0);
	} while (!cas(&f->cell.word, &word, next));
}

void
mpr_task_note_end(const struct mpr_pool_use *u, struct mpr_self *self,
		  struct mproc_future *f, const struct mproc_exit *end)
{
	size_t len;
	char *report;

	mpr_future_drop_out(u->arena, self, f);
	atomic_store(&f->out_len, 0);
	atomic_store(&f->result, -EOWNERDEAD);
	if (!end)
		return;
	atomic_store(&f->code, end->code);
	atomic_store(&f->signal, end->signal);
	atomic_store(&f->how, (end->core ? MPR_END_CORE : 0) |
				     (end->out_of_memory ? MPR_END_SHORTAGE : 0));
	atomic_store(&f->ended, 1);
	if (!end->report)
		return;
	len = strlen(end->report) + 1;
	report = mpr_future_make_out(u->arena, self, f, len);
	if (!report)
		return;
	memcpy(report, end->report, len);
	atomic_store(&f->ended, 2);
}

bool
mpr_task_bury(const struct mpr_pool_use *u, struct mpr_self *self,
	      struct mproc_future *f, unsigned number,
	      const struct mproc_exit *end)
{
	uint64_t word = atomic_load(&f->cell.word);
	struct mpr_map_use m;

	if (mpr_map_look_at(u, f, &m))
		return mpr_map_bury(&m, self, number, end);
	if (!mpr_future_runs_at(word, number))
		return false;
	/* Who dies after this counts it once more: that is one attempt less. */
	if (!(word & MPR_FUTURE_REVOKED) &&
	    atomic_fetch_add(&f->deaths, 1) < atomic_load(&u->root->retries)) {
		atomic_fetch_add(&u->root->retried, 1);
		requeue(u, self, f, word);
		word = atomic_load(&f->cell.word);
		if (!mpr_future_runs_at(word, number))
			return true;
	}
	if (!(word & MPR_FUTURE_REVOKED))
		atomic_fetch_add(&u->root->given_up, 1);
	mpr_task_note_end(u, self, f, end);
	mpr_task_finish(u, self, f, word,
			MPR_FUTURE_WAITED | MPR_FUTURE_ABANDONED | MPR_FUTURE_REVOKED,
			0);
	return true;
}

bool
mpr_task_come_back(const struct mpr_worker *me, struct mproc_future *f, uint64_t id)
{
	const struct mpr_pool_use *u = &me->use;
	struct mpr_self *self = mpr_self_in(u->arena);
	uint64_t word = atomic_load(&f->cell.word);

	if (!self || (word ^ id) & MPR_FUTURE_ID ||
	    mpr_future_state(word) == MPR_FUTURE_DONE ||
	    mpr_future_state(word) == MPR_FUTURE_FREED)
		return false;
	mpr_task_bury(u, self, f, me->number, NULL);
	word = atomic_load(&f->cell.word);
	return !((word ^ id) & MPR_FUTURE_ID) &&
	       mpr_future_state(word) == MPR_FUTURE_SHARED &&
	       mpr_task_waits(u, f, word);
}

/* QUEUED to RUNNING at us. */
MPR_CHILD_PATH static bool
take(const struct mpr_worker *me, struct mproc_future *f, uint64_t id,
     uint64_t *ret_word)
{
	uint64_t word = atomic_load(&f->cell.word);

	while (!((word ^ id) & MPR_FUTURE_ID) &&
	       mpr_future_state(word) == MPR_FUTURE_QUEUED) {
		*ret_word = mpr_future_with(word, MPR_FUTURE_RUNNING,
					    me->number);
		if (mpr_worker_is_copy(me))
			return false;
		if (cas(&f->cell.word, &word, *ret_word))
			return true;
	}
	return false;
}

MPR_CHILD_PATH static int
call(struct mproc_future *f, struct mproc_result *out)
{
	mproc_task *fn = (mproc_task *)mpr_code_find(&out->worker->use, f->fn);

	return fn ? fn(f + 1, f->in_len, out) : -ENOEXEC;
}

MPR_CHILD_PATH static void
run(struct mpr_worker *me, struct mproc_future *f, uint64_t word)
{
	struct mproc_result out = { .worker = me, .f = f };
	struct mpr_self *self = mpr_self_in(me->use.arena);
	struct mpr_map_use m;
	int r;

	/* Nor by a child that a signal handler has forked, and that has returned into the
	 * worker's wait for something to do. */
	if (!self || mpr_worker_is_copy(me))
		return;
	if (mpr_map_look_at(&me->use, f, &m)) {
		mpr_map_run(me, &m, word);
		return;
	}
	if (!mpr_future_is_a(f, MPR_FUTURE_TASK) || !take(me, f, word, &word))
		return;
	if (mpr_worker_is_copy(me))
		return;
	/* Before the lease is told, by which the keeper looks at it. */
	if (me->limited)
		atomic_store(&f->started, mproc_now());
	atomic_store(&f->pid, self->pid);
	atomic_store(&f->worker, me->number);
	if (!me->depth++)
		atomic_store(&me->record->lease,
			     mpr_arena_offset(me->use.arena, f));
	r = call(f, &out);
	/* A child that the task has forked has nothing to complete. */
	if (mpr_worker_is_copy(me))
		return;
	if (!--me->depth)
		atomic_store(&me->record->lease, 0);
	atomic_store(&f->result, r < 0 ? r : 0);
	self = mpr_self_in(me->use.arena);
	if (!self || !mpr_task_finish(&me->use, self, f, word,
				      MPR_FUTURE_WAITED | MPR_FUTURE_ABANDONED, 0)) {
		me->revoked = true;
		return;
	}
	mpr_worker_did(me, 1);
}

MPR_CHILD_PATH void
mpr_task_run(struct mpr_worker *me, uint64_t offset, uint64_t word)
{
	struct mproc_future *f = mpr_entries_at(me->use.arena, offset);
	bool again = f != NULL;

	while (again) {
		run(me, f, word);
		/* It is the worker's still if that was revoked. */
		again = me->revoked && me->stays && !mpr_worker_is_copy(me);
		if (!again)
			break;
		me->revoked = false;
		again = mpr_task_come_back(me, f, word);
	}
}

int
mproc_result_set(struct mproc_result *out, const void *p, size_t len)
{
	struct mproc_future *f;
	struct mpr_self *self;
	void *to;

	if (!out || (!p && len))
		return mpr_fail(-EINVAL, "out is %p, and there are %zu bytes at "
				"%p", (void *)out, len, p);
	f = out->f;
	if (out->worker->generation != mpr_generation())
		return mpr_fail(-ECHILD, "this process was forked by the task");
	self = mpr_self_in(out->worker->use.arena);
	if (!self)
		return mpr_fail(-EINVAL, "this is not the thread of the task");
	if (out->batch)
		return mpr_batch_set(out->batch, p, len);
	if (len <= sizeof(f->small)) {
		mpr_future_drop_out(out->worker->use.arena, self, f);
		to = f->small;
	} else {
		to = mpr_future_make_out(out->worker->use.arena, self, f, len);
		if (!to)
			return -ENOSPC;
	}
	if (len)
		memcpy(to, p, len);
	atomic_store(&f->out_len, len);
	return 0;
}
