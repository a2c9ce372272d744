/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "os/generation.h"
#include "os/task.h"
#include "pool/callback.h"
#include "pool/caller.h"
#include "pool/code.h"
#include "pool/entries.h"
#include "pool/future.h"
#include "pool/submit.h"
#include "pool/task.h"

/* So many times a group of entries that was added may be full at once. */
#define ATTEMPTS 1000

/* A BUSY block with the future, QUEUED. */
static int
make(const struct mpr_pool_use *u, struct mpr_self *self,
     const struct mpr_submission *s, struct mpr_block_ref *ret_ref,
     uint64_t *ret_word)
{
	struct mproc_future *f;
	int r;

	if (s->len > SIZE_MAX - sizeof(*f))
		return mpr_fail(-ENOMEM, "an input of %zu bytes", s->len);
	r = mpr_heap_reserve_dirty(u->arena, self, sizeof(*f) + s->len,
				   ret_ref);
	if (r < 0)
		return r;
	f = mpr_arena_at(u->arena, ret_ref->offset);
	memset(f, 0, sizeof(*f));
	atomic_store_explicit(&f->kind, s->kind, memory_order_relaxed);
	f->fn = s->code;
	f->in_len = s->len;
	atomic_store_explicit(&f->owner, self->pid, memory_order_relaxed);
	atomic_store_explicit(&f->owner_since,
			      atomic_load(&self->shared->joined_at),
			      memory_order_relaxed);
	atomic_store_explicit(&f->owner_namespace, mpr_task_namespace(),
			      memory_order_relaxed);
	atomic_store_explicit(&f->pool, mpr_arena_offset(u->arena, u->pool),
			      memory_order_relaxed);
	atomic_store_explicit(&f->cell.generation, u->generation,
			      memory_order_relaxed);
	*ret_word = mpr_future_word(mpr_arena_epoch(u->arena) *
					    MPR_FUTURE_ID_UNIT,
				    MPR_FUTURE_QUEUED, 0);
	s->fill(s, u, f, *ret_word);
	/* Release: who finds it by what was here before, and reads the word, reads the
	 * owner with it, or would take it for that one's (pool/owner.h). */
	atomic_store_explicit(&f->cell.word, *ret_word, memory_order_release);
	return 0;
}

static int
link_new(const struct mpr_pool_use *u, struct mpr_self *self,
	 const struct mpr_submission *s, struct mproc_future **ret_f,
	 uint64_t *ret_word)
{
	struct mpr_block_ref ref;
	int r = -EAGAIN;

	for (int i = 0; i < ATTEMPTS && r == -EAGAIN; i++) {
		r = make(u, self, s, &ref, ret_word);
		if (r < 0)
			return r;
		r = mpr_entries_link(u, self, &ref);
	}
	*ret_f = mpr_arena_at(u->arena, ref.offset);
	return r;
}

static int
closed(const struct mpr_pool_use *u)
{
	return mpr_fail(-ESHUTDOWN, "%s takes no more tasks",
			mpr_pool_label(u).text);
}

/* To be found by workers; or, inline, done. */
static int
begin(const struct mpr_pool_use *u, struct mpr_caller *inline_worker,
      struct mproc_future *f, uint64_t word)
{
	if (!inline_worker)
		return mpr_task_announce(u, f, word);
	mpr_caller_run(inline_worker, f, word);
	return 0;
}

/* It is there, and is to be begun, unless the pool was closed meanwhile: who did that may
 * not have seen it. */
static int
publish(const struct mpr_pool_use *u, struct mpr_self *self,
	struct mpr_caller *inline_worker, struct mproc_future *f, uint64_t word)
{
	int r;

	r = mpr_pool_phase(u) == MPR_POOL_OPEN ?
		    begin(u, inline_worker, f, word) : closed(u);
	if (r == 0 || !mpr_task_drop(u, self, f, word, MPR_FUTURE_SHUT))
		/* Somebody has begun it all the same, or failed it. */
		return 0;
	mpr_task_abandon(u->arena, self, f, word);
	return r;
}

int
mpr_submit_is_ours(uint64_t generation)
{
	return generation == mpr_generation() ? 0 :
		       mpr_fail(-ECHILD, "the task is the parent's, of which this is "
				"a copy");
}

static int
submit(const struct mpr_pool_use *u, struct mpr_self *self,
       struct mpr_caller *inline_worker, const struct mpr_submission *s,
       struct mproc_future **ret_f)
{
	uint64_t word = 0;
	int r = link_new(u, self, s, ret_f, &word);

	return r < 0 ? r : publish(u, self, inline_worker, *ret_f, word);
}

static int
submit_inline(const struct mpr_pool_use *u, struct mpr_self *self,
	      const struct mpr_submission *s, struct mproc_future **ret_f)
{
	uint64_t generation = mpr_generation();
	struct mpr_caller caller;
	int r = mpr_caller_enter(u, &caller), ours;

	if (r < 0)
		return r;
	r = submit(u, self, &caller, s, ret_f);
	mpr_caller_leave(&caller);
	/* The task may have forked, and this be the child. */
	ours = mpr_submit_is_ours(generation);
	return ours < 0 ? ours : r;
}

int
mpr_submit(const struct mpr_pool_use *u, struct mpr_self *self,
	   struct mpr_submission *s, struct mproc_future **ret_f)
{
	struct mproc_future *f;
	int r;

	if (mpr_pool_phase(u) != MPR_POOL_OPEN)
		return closed(u);
	r = mpr_code_of(u, s->fn, &s->code);
	if (r < 0)
		return r;
	r = mpr_pool_is_inline(u) ? submit_inline(u, self, s, &f) :
				    submit(u, self, NULL, s, &f);
	if (r == 0)
		*ret_f = f;
	return r;
}

struct task_submission {
	struct mpr_submission submission; /* first */
	const void *in;
};

static void
copy_input(const struct mpr_submission *s, const struct mpr_pool_use *u,
	   struct mproc_future *f, uint64_t word)
{
	(void)u;
	(void)word;
	if (s->len)
		memcpy(f + 1, ((const struct task_submission *)s)->in, s->len);
}

int
mpr_submit_task(const struct mpr_pool_use *u, mproc_task *fn, const void *in,
		size_t len, mproc_future **ret_f)
{
	struct task_submission s = {
		.submission = { .kind = MPR_FUTURE_TASK,
				.fn = (mpr_function *)fn, .len = len,
				.fill = copy_input },
		.in = in,
	};
	struct mpr_self *self;
	int r = mpr_self(u->arena, &self);

	return r < 0 ? r : mpr_submit(u, self, &s.submission, ret_f);
}

int
mproc_pool_submit(mproc_pool *pool, mproc_task *fn, const void *in, size_t len,
		  mproc_future **ret_f)
{
	struct mpr_pool_use u;
	int r;

	if (!ret_f || !fn || (!in && len))
		return mpr_fail(-EINVAL, "%s is NULL", !ret_f ? "ret_f" :
						       !fn ? "fn" : "in");
	mpr_callbacks_run(false);
	r = mpr_pool_look_up(pool, &u);
	return r < 0 ? r : mpr_submit_task(&u, fn, in, len, ret_f);
}

int
mproc_pool_apply(mproc_pool *pool, mproc_task *fn, const void *in, size_t len,
		 void *out, size_t size, size_t *ret_len, mproc_timeout timeout)
{
	uint64_t generation = mpr_generation();
	struct mpr_future_use u;
	mproc_future *f;
	int r, ours;

	if (!out && size)
		return mpr_fail(-EINVAL, "out is NULL, size is %zu", size);
	r = mproc_pool_submit(pool, fn, in, len, &f);
	if (r == 0)
		r = mpr_future_look_up(f, &u);
	if (r < 0)
		return r;
	r = mpr_future_wait(&u, timeout);
	ours = mpr_submit_is_ours(generation);
	if (ours < 0)
		return ours;
	if (r == 0)
		r = mpr_future_read(&u, out, size, ret_len);
	else
		/* Its time is over: one that nobody has begun is not begun. */
		(void)mpr_future_cancel(&u, 0);
	mpr_future_close(&u);
	return r;
}
