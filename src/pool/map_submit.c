/* SPDX-License-Identifier: MIT */
/*
 * Maps as they are submitted and waited for. Arrays that lie in the arena of the pool are
 * used where they are; the rest is copied behind the map.
 */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/opts.h"
#include "os/clock.h"
#include "os/generation.h"
#include "pool/code.h"
#include "pool/future.h"
#include "pool/map.h"
#include "pool/submit.h"
#include "process/plan.h"

#define MS INT64_C(1000000)
#define PROGRESS_EVERY (100 * MS)
#define BYTES_MAX (SIZE_MAX / 8)

/* One of the arrays, or the context. */
struct part {
	const void *at;
	size_t len;
	size_t behind; /* bytes from the future to its copy; 0: there is none */
};

struct map_submission {
	struct mpr_submission submission; /* first */
	struct part in;
	struct part out;
	struct part ctx;
	size_t in_size;
	size_t out_size;
	size_t n;
	size_t chunk;
	size_t largest; /* 0: all are alike */
	unsigned n_shares;
	unsigned round; /* chunks of one size, if they become smaller */
	bool fail_fast;
	bool is_async;
};

static uint64_t
address(const struct mproc_future *f, const struct part *part)
{
	return (uint64_t)(uintptr_t)(part->behind ?
			(const void *)((const char *)f + part->behind) :
			part->at);
}

static void
fill(const struct mpr_submission *submission, const struct mpr_pool_use *u,
     struct mproc_future *f, uint64_t word)
{
	const struct map_submission *s =
		(const struct map_submission *)submission;
	struct mpr_map *map = mpr_map_behind(f);
	struct mpr_map_share *shares = (struct mpr_map_share *)(map + 1);

	(void)u;
	memset(map, 0, mpr_map_size(s->n, s->n_shares) - sizeof(*f));
	map->n = s->n;
	map->chunk = s->chunk;
	map->largest = s->largest;
	map->in_size = s->in_size;
	map->out_size = s->out_size;
	map->in = address(f, &s->in);
	map->out = address(f, &s->out);
	map->ctx = address(f, &s->ctx);
	map->round = s->round;
	map->n_shares = s->n_shares;
	map->fail_fast = s->fail_fast;
	for (unsigned i = 0; i < s->n_shares; i++)
		atomic_store_explicit(&shares[i].word, word,
				      memory_order_relaxed);
	if (s->in.behind)
		memcpy((char *)f + s->in.behind, s->in.at, s->in.len);
	if (s->ctx.behind)
		memcpy((char *)f + s->ctx.behind, s->ctx.at, s->ctx.len);
	if (s->out.behind) {
		map->kept = s->out.len;
		/* Of items that are not done. */
		memset((char *)f + s->out.behind, 0, s->out.len);
	}
}

static bool
lies_in(const mproc_arena *a, const void *p)
{
	return (uintptr_t)p - (uintptr_t)a->shmem.base < a->shmem.size;
}

/* Room for a copy behind the map. */
static int
place_copy(struct part *part, size_t *size, const char *what)
{
	if (!part->len)
		return 0;
	if (part->len > BYTES_MAX - *size)
		return mpr_fail(-ENOMEM, "%s of %zu bytes", what, part->len);
	part->behind = mpr_round_up(*size, 64);
	*size = part->behind + part->len;
	return 0;
}

/* The same, unless it lies in the arena. */
static int
place(const struct mpr_pool_use *u, struct part *part, size_t *size,
      const char *what)
{
	uint64_t at;

	if (!part->len)
		return 0;
	if (part->at && lies_in(u->arena, part->at)) {
		at = mpr_arena_offset(u->arena, part->at);
		return mpr_arena_has(u->arena, at, part->len) ? 0 :
			       mpr_fail(-EFAULT, "%s ends behind the arena", what);
	}
	return place_copy(part, size, what);
}

static int
check_size(struct part *part, size_t size, size_t n, const char *what)
{
	if (size && n && !part->at)
		return mpr_fail(-EINVAL, "%s is NULL", what);
	if (size && n > BYTES_MAX / size)
		return mpr_fail(-ENOMEM, "%s of %zu times %zu bytes", what, n,
				size);
	part->len = n * size;
	/* Items that have none get NULL. */
	if (!size)
		part->at = NULL;
	return 0;
}

static size_t
default_chunk(const struct mpr_pool_use *u, size_t n)
{
	size_t parts = 4 * (size_t)atomic_load(&u->root->n_workers);

	return parts && n ? (n - 1) / parts + 1 : 1;
}

static int
prepare(const struct mpr_pool_use *u, struct map_submission *s,
	const struct mproc_map_opts *o)
{
	size_t size, chunks, shares, workers = atomic_load(&u->root->n_workers);
	int r;

	if (s->n > MPR_MAP_ITEMS_MAX)
		return mpr_fail(-EINVAL, "%zu items", s->n);
	s->chunk = o->chunk ? o->chunk : o->guided ? 1 : default_chunk(u, s->n);
	if (s->chunk > s->n)
		s->chunk = s->n ? s->n : 1;
	chunks = s->n ? (s->n - 1) / s->chunk + 1 : 0;
	if (workers > MPR_POOL_WORKERS_MAX)
		workers = MPR_POOL_WORKERS_MAX;
	s->round = (unsigned)(chunks < workers ? chunks : workers);
	/* The first round of them has half of all items. */
	if (o->guided && s->round)
		s->largest = (s->n - 1) / (2 * (size_t)s->round) + 1;
	shares = workers < MPR_MAP_SHARES ? MPR_MAP_SHARES : workers;
	s->n_shares = (unsigned)(chunks < shares ? chunks : shares);
	s->ctx.len = o->ctx_size;
	if (s->is_async && s->out.at && s->out.len &&
	    !lies_in(u->arena, s->out.at))
		return mpr_fail(-EFAULT, "out is neither NULL nor in the arena");
	s->fail_fast = o->fail_fast;
	size = mpr_map_size(s->n, s->n_shares);
	/* Wherever it lies: items need not have it as long as the caller has. */
	r = place_copy(&s->ctx, &size, "ctx");
	if (r == 0)
		r = place(u, &s->in, &size, "in");
	if (r == 0)
		r = place(u, &s->out, &size, "out");
	s->submission.len = size - sizeof(struct mproc_future);
	return r;
}

/* What both calls have in common. */
static int
start(mproc_pool *pool, mproc_map_fn *fn, struct map_submission *s,
      const struct mproc_map_opts *o, struct mpr_future_use *ret_u)
{
	struct mpr_pool_use u;
	struct mpr_self *self;
	struct mpr_map_use m;
	mproc_future *f;
	int r;

	if (!fn)
		return mpr_fail(-EINVAL, "fn is NULL");
	if (o->ctx_size && !s->ctx.at)
		return mpr_fail(-EINVAL, "ctx is NULL, ctx_size is %zu",
				o->ctx_size);
	r = check_size(&s->in, s->in_size, s->n, "in");
	if (r == 0)
		r = mpr_pool_look_up(pool, &u);
	if (r == 0 && !mpr_code_has_memory(&u) && !o->ctx_size &&
	    !mpr_plan_can_pass(s->ctx.at))
		r = mpr_fail(-EFAULT, "ctx %p is no memory of the arena: workers with "
			     "another image have nothing there; say .ctx_size to have "
			     "it copied", s->ctx.at);
	if (r == 0)
		r = mpr_self(u.arena, &self);
	if (r == 0)
		r = prepare(&u, s, o);
	if (r < 0)
		return r;
	s->submission.kind = MPR_FUTURE_MAP;
	s->submission.fn = (mpr_function *)fn;
	s->submission.fill = fill;
	r = mpr_submit(&u, self, &s->submission, &f);
	if (r == 0)
		r = mpr_future_look_up(f, ret_u);
	/* One without items is at its end already. */
	if (r == 0 && !s->n && mpr_map_look_at(&u, f, &m))
		mpr_map_settle(&m, self, ret_u->id);
	return r;
}

int
mproc_pool_map_async(mproc_pool *pool, mproc_map_fn *fn, void *ctx,
		     const void *in, size_t in_size, void *out, size_t out_size,
		     size_t n, const struct mproc_map_opts *opts,
		     mproc_future **ret_f)
{
	struct map_submission s = {
		.in.at = in, .out.at = out, .ctx.at = ctx,
		.in_size = in_size, .out_size = out_size, .n = n,
		.is_async = true,
	};
	struct mproc_map_opts o;
	struct mpr_future_use u;
	int r = mpr_opts_read(&o, sizeof(o), opts);

	if (r < 0)
		return r;
	if (!ret_f)
		return mpr_fail(-EINVAL, "ret_f is NULL");
	if (o.timeout.ns || o.progress || o.errors)
		return mpr_fail(-EINVAL, "%s is for maps that are waited for",
				o.timeout.ns ? "timeout" :
				o.progress ? "progress" : "errors");
	if (out_size && n > BYTES_MAX / out_size)
		return mpr_fail(-ENOMEM, "out of %zu times %zu bytes", n, out_size);
	s.out.len = n * out_size;
	if (!out_size)
		s.out.at = NULL;
	r = start(pool, fn, &s, &o, &u);
	if (r == 0)
		*ret_f = u.f;
	return r;
}

static void
tell(const struct mproc_map_opts *o, const struct mpr_map_use *m)
{
	if (o->progress)
		o->progress((size_t)mpr_map_progress(m), (size_t)m->n,
			    o->progress_ctx);
}

/* Until it is done, and tells how far it is; not in a child of the process of
 * @generation. */
static int
await(const struct mpr_future_use *u, const struct mpr_map_use *m,
      const struct mproc_map_opts *o, uint64_t generation)
{
	int64_t deadline = mpr_deadline(o->timeout.ns ? o->timeout :
							MPROC_FOREVER);
	int64_t next;
	int r;

	do {
		next = o->progress ? mproc_now() + PROGRESS_EVERY : deadline;
		if (next > deadline)
			next = deadline;
		r = mpr_future_wait(u, next == MPR_NEVER ? MPROC_FOREVER :
							   mproc_until(next));
		/* Signal handlers may fork, and so may what is told. */
		if (mpr_generation() == generation &&
		    (r == 0 || r == -ETIMEDOUT))
			tell(o, m);
	} while (r == -ETIMEDOUT && next < deadline &&
		 mpr_generation() == generation);
	return r;
}

/* It is not waited for any more: nobody is to write to its results, or read what it
 * was given, when the caller has them back. */
static void
give_up(const struct mpr_future_use *u)
{
	int r;

	(void)mpr_future_cancel(u, MPROC_CANCEL_RUNNING);
	do
		r = mpr_future_wait(u, MPROC_FOREVER);
	while (r == -EINTR);
}

static void
copy_errors(const struct mpr_map_use *m, uint64_t word, int *errors)
{
	uint64_t item = 0;
	int error;

	memset(errors, 0, (size_t)m->n * sizeof(*errors));
	while (item < m->n &&
	       (error = mpr_map_next_failed(m, word, &item)) < 0)
		errors[item++] = error;
}

int
mproc_pool_map(mproc_pool *pool, mproc_map_fn *fn, void *ctx, const void *in,
	       size_t in_size, void *out, size_t out_size, size_t n,
	       const struct mproc_map_opts *opts)
{
	struct map_submission s = {
		.in.at = in, .out.at = out, .ctx.at = ctx,
		.in_size = in_size, .out_size = out_size, .n = n,
	};
	uint64_t generation = mpr_generation();
	struct mproc_map_opts o;
	struct mpr_future_use u;
	struct mpr_map_use m;
	int r = mpr_opts_read(&o, sizeof(o), opts), ours;

	if (r == 0)
		r = check_size(&s.out, out_size, n, "out");
	if (r == 0)
		r = start(pool, fn, &s, &o, &u);
	if (r < 0)
		return r;
	if (!mpr_map_look_at(&u.pool, u.f, &m)) {
		mpr_future_close(&u);
		return mpr_fail(-EBADMSG, "the memory of future %p is corrupt",
				(void *)u.f);
	}
	r = await(&u, &m, &o, generation);
	ours = mpr_submit_is_ours(generation);
	if (ours < 0)
		return ours;
	if (r == 0) {
		if (o.errors)
			copy_errors(&m, mpr_future_word_of(&u), o.errors);
		r = mpr_future_read(&u, s.out.behind ? out : NULL,
				    s.out.behind ? s.out.len : 0, NULL);
	} else {
		give_up(&u);
		mpr_fail(r, "%s, and the map was canceled", mproc_strerror(r));
	}
	mpr_future_close(&u);
	return r;
}
