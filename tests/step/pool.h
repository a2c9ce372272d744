/* SPDX-License-Identifier: MIT */
/*
 * What step tests of pools share: a pool without a keeper, so that nothing happens in
 * it before the victim is dead; then one is started, as whoever waits does it.
 */
#ifndef STEP_POOL_H
#define STEP_POOL_H

#include <stdatomic.h>
#include <string.h>

#include "mpt_times.h"
#include "os/clock.h"
#include "pool/entries.h"
#include "pool/keeper_word.h"
#include "pool/keeping.h"
#include "pool/map.h"
#include "pool/pool.h"
#include "pool/task.h"
#include "process/handle.h"
#include "world.h"

#define WORKERS 2
#define LARGE 5000

struct scene {
	struct world world; /* for arena_state() */
	struct mpt *t;
	struct mpr_pool_use use;
	struct mpr_self *self;
	mproc_pool *pool;
	mproc_future *f;
	mproc_future *waiting; /* another one, that nobody has begun */
	size_t len; /* of the result */
	bool done; /* f is, before the victim begins */
	struct mproc_arena_stat before;
	/* Where another process waits for f and an event. */
	mproc_event *never;
	pid_t waiter;
	struct mpt_times spent; /* until it went on */
};

/* In the scratch bytes. */
static inline _Atomic unsigned *
runs(void)
{
	return mpt_scratch(mpt_here());
}

/* Leaves as many bytes as its input says. */
static inline int
leave_bytes(const void *in, size_t len, struct mproc_result *out)
{
	static char bytes[LARGE];
	size_t n;

	if (len != sizeof(n))
		return -EINVAL;
	memcpy(&n, in, sizeof(n));
	atomic_fetch_add(runs(), 1);
	memset(bytes, 'x', sizeof(bytes));
	return mproc_result_set(out, bytes, n);
}

static inline mproc_future *
submit(struct scene *s)
{
	mproc_future *f;

	may_fail(mproc_pool_submit(s->pool, leave_bytes, &s->len, sizeof(s->len),
				   &f));
	return f;
}

/* The caller as worker @w. */
static inline struct mpr_worker
play_worker(const struct scene *s, unsigned w)
{
	struct mpr_worker me = {
		.use = s->use,
		.record = mpr_pool_worker_at(&s->use, w),
		.generation = mpr_generation(),
		.number = w,
	};
	struct mpr_self *self;

	may_fail(mpr_self(s->use.arena, &self));
	me.holder = mpr_holder(self);
	atomic_store(&me.record->word, me.holder);
	return me;
}

static inline void
run_task(struct mpr_worker *me, struct mproc_future *f)
{
	mpr_task_run(me, mpr_arena_offset(me->use.arena, f),
		     atomic_load(&f->cell.word));
}

/* Up to where its creator starts the first keeper. */
static inline void
make_closed(struct scene *s)
{
	const struct mproc_pool_opts o = {
		.struct_size = sizeof(o),
		.workers = WORKERS,
		.retries = 3,
	};

	recover();
	atomic_store(runs(), 0);
	assert_int_equal(mproc_arena_stat(NULL, &s->before), 0);
	assert_int_equal(mpr_self(mpr_arena_peek(), &s->self), 0);
	assert_int_equal(mpr_pool_make(&s->use, s->self, &o, mproc_map_loop_near_),
			 0);
	s->pool = s->use.pool;
}

static inline void
begin(void *arg)
{
	struct mpr_worker me;
	struct scene *s = arg;

	make_closed(s);
	mpr_keeper_give_back(&s->use, mpr_keeper_starter(s->self));
	mpr_pool_open(&s->use);
	s->f = submit(s);
	if (!s->done)
		return;
	me = play_worker(s, 1);
	run_task(&me, s->f);
	atomic_store(&me.record->word, 0);
}

static inline void
expect_result(struct scene *s, mproc_future *f)
{
	char bytes[LARGE];
	size_t len;

	assert_int_equal(mproc_future_get(f, bytes, sizeof(bytes), &len,
					  MPROC_FOREVER), 0);
	assert_int_equal(len, s->len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(bytes[i], 'x');
}

static inline size_t
count_futures(struct scene *s)
{
	struct mproc_pool_stat stat;

	assert_int_equal(mproc_pool_stat(s->pool, &stat), 0);
	return stat.futures;
}

static inline unsigned
count_workers(struct scene *s)
{
	struct mproc_pool_stat stat;

	assert_int_equal(mproc_pool_stat(s->pool, &stat), 0);
	return stat.workers;
}

/* Two turns of a keeper have half as many. Who is slower than a second in each turn does not
 * sleep between them, as when it is stepped: it has all to do again that is due once a
 * second. */
#define KEEPER_LIMIT 300000

/* The caller becomes its keeper, as @keeping says, until it is killed. */
static inline void
be_keeper_as(struct mpr_keeping keeping)
{
	struct mpr_self *self;

	may_fail(mpr_self(keeping.use.arena, &self));
	keeping.starter = mpr_keeper_starter(self);
	keeping.starter_slot = self->slot;
	atomic_store(&keeping.use.root->keeper, keeping.starter);
	mpt_step_begin();
	(void)mpr_keeper_run(&keeping);
	mpt_step_end();
}

/* One that was started when the pool had lost another one. */
static inline void
be_keeper(const struct scene *s)
{
	be_keeper_as((struct mpr_keeping){ .use = s->use });
}

/* As who makes a pool does it last. */
static inline int
begin_keeping(struct scene *s)
{
	return mpr_keeping_begin(&s->use, s->self);
}

static inline void
take_apart(struct scene *s)
{
	mpr_pool_advance(&s->use, MPR_POOL_TERMINATING);
	mpr_keeping_wake(&s->use);
	mpt_until(s->t, mpr_keeping_ensure(&s->use) == 0 &&
				mpr_pool_phase(&s->use) == MPR_POOL_ENDED);
	mpr_keeping_reap(&s->use, MPR_NEVER);
	assert_int_equal(count_futures(s), 0);
	assert_true(mpr_pool_free(&s->use, s->self));
	recover();
}

static inline void
expect_nothing_left(const struct scene *s)
{
	struct mproc_arena_stat now;

	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, s->before.blocks);
	assert_int_equal(now.used, s->before.used);
	assert_int_equal(now.participants, s->before.participants);
}

static inline void
end(struct scene *s)
{
	take_apart(s);
	expect_nothing_left(s);
}

/* All that steers the pool. */
static inline uint64_t
pool_state(void *arg)
{
	struct scene *s = arg;
	struct mpr_entries_walk walk = mpr_entries_walk(&s->use);
	uint64_t h = arena_state(NULL);
	struct mproc_future *f;
	struct mpr_map_use m;

	h = hash(h, s->use.root, sizeof(*s->use.root));
	for (unsigned w = 0; w < WORKERS; w++)
		h = hash(h, mpr_pool_worker_at(&s->use, w),
			 sizeof(struct mpr_pool_worker));
	while ((f = mpr_entries_next(&walk)))
		h = hash(h, f, mpr_map_look_at(&s->use, f, &m) ?
				       mpr_map_size(m.n, m.n_shares) :
				       sizeof(*f));
	return h;
}

/* What stays with a cell is there. */
static inline void
warm_up(struct scene *s)
{
	begin(s);
	expect_result(s, s->f);
	mproc_future_close(s->f);
	take_apart(s);
}

#endif
