/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "base/opts.h"
#include "os/clock.h"
#include "os/generation.h"
#include "os/task.h"
#include "os/thread.h"
#include "pool/callback.h"
#include "pool/caller.h"
#include "pool/entries.h"
#include "pool/future_fd.h"
#include "pool/keeping.h"
#include "pool/owner.h"
#include "pool/pool.h"
#include "pool/task.h"
#include "pool/worker.h"
#include "process/inline.h"
#include "process/method.h"
#include "process/plan.h"
#include "sync/await.h"

#define RETRIES_MAX 1000000
#define PATIENCE INT64_C(2000000000) /* ns, with one keeper */

/* Pools of this process. A forked child's are its parent's. */
struct made {
	struct made *next;
	uint64_t generation; /* of the process */
	struct mpr_pool_use use;
};

static struct made *all_made;
static uint64_t prepared; /* the generation that has the function at its end */

/* The process lock is held. */
static struct made **
find_made(const struct mpr_pool_use *u)
{
	struct made **link = &all_made;

	for (; *link; link = &(*link)->next)
		if ((*link)->generation == mpr_generation() &&
		    (*link)->use.pool == u->pool &&
		    (*link)->use.generation == u->generation)
			return link;
	return NULL;
}

static bool
is_ours(const struct mpr_pool_use *u)
{
	bool ours;

	mpr_process_lock();
	ours = find_made(u) != NULL;
	mpr_process_unlock();
	return ours;
}

/* Returns 0, or why the pool is not the caller's to end. */
static int
control(mproc_pool *pool, struct mpr_pool_use *ret_u, struct mpr_self **ret_self)
{
	int r = mpr_pool_look_up(pool, ret_u);

	if (r < 0)
		return r;
	if (!is_ours(ret_u))
		return mpr_fail(-ECHILD, "%s was made by another process",
				mpr_pool_label(ret_u).text);
	return mpr_self(ret_u->arena, ret_self);
}

struct attempt {
	struct mpr_await await;
	const struct mpr_pool_use *use;
};

#define LOOK_AFTER 1

static int
look(struct mpr_await *await, bool waits)
{
	const struct attempt *t = (const struct attempt *)await;

	(void)waits;
	if (mpr_pool_phase(t->use) == MPR_POOL_ENDED)
		return 0;
	/* Who ends the pool wakes all who wait for it, and always looks. */
	return mpr_keeping_is_on(t->use) ? -EBUSY : LOOK_AFTER;
}

static int
wait_for_end(const struct mpr_pool_use *u, int64_t deadline, bool now)
{
	struct attempt t = {
		.use = u,
		.await = {
			.look = look,
			.what = "pool",
			.kind = MPR_WAIT_NEWS,
			.cell = &u->pool->cell,
		},
	};
	int r;

	if (mpr_caller_is_in(u))
		return mpr_fail(-EDEADLK, "this is a task of %s",
				mpr_pool_label(u).text);
	do {
		r = mpr_keeping_ensure(u);
		t.await.owner = mpr_keeping_slot(u);
		if (r == 0)
			r = mpr_await_begin(&t.await);
		if (r == 0)
			r = mpr_await(&t.await,
				      now ? MPROC_NOWAIT :
				      deadline == MPR_NEVER ? MPROC_FOREVER :
							  mproc_until(deadline));
	} while (r == LOOK_AFTER);
	return r;
}

static void
terminate(const struct mpr_pool_use *u)
{
	mpr_pool_advance(u, MPR_POOL_TERMINATING);
	mpr_keeping_wake(u);
}

/* Ends it within bounded time. Returns whether it has ended. */
static bool
stop(const struct mpr_pool_use *u)
{
	terminate(u);
	for (int i = 0; i < 2; i++) {
		int64_t deadline = mproc_now() + PATIENCE;
		int r;

		/* An interrupt is answered, and does not end this. */
		do
			r = wait_for_end(u, deadline, false);
		while (r == -EINTR);
		if (r == 0) {
			mpr_keeping_reap(u, MPR_NEVER);
			return true;
		}
		/* It may be stopped. */
		if (!mpr_keeping_kill(u))
			break;
	}
	return false;
}

/* What this process has submitted, nobody asks for any more. */
static void
close_own_futures(const struct mpr_pool_use *u, struct mpr_self *self)
{
	struct mpr_entries_walk walk = mpr_entries_walk(u);
	struct mproc_future *f;

	while ((f = mpr_entries_next(&walk))) {
		uint64_t word = atomic_load(&f->cell.word);
		struct mpr_pool_owner owner = mpr_future_owner(f);

		if (owner.pid == (pid_t)self->pid &&
		    owner.namespace == mpr_task_namespace())
			mpr_task_abandon(u->arena, self, f, word);
	}
}

/* At the end of the process: its pools end first. One of which others still have
 * futures stays for them. */
static void
stop_all(void *unused)
{
	struct mpr_pool_use use = { 0 };
	struct mpr_self *self;
	struct made *m;

	(void)unused;
	for (;;) {
		mpr_process_lock();
		for (m = all_made; m; m = m->next)
			if (m->generation == mpr_generation())
				break;
		if (m) {
			m->generation = 0;
			use = m->use;
		}
		mpr_process_unlock();
		if (!m)
			return;
		if (mpr_self(use.arena, &self) < 0 || !stop(&use))
			continue;
		close_own_futures(&use, self);
		if (!mpr_entries_exist(&use))
			mpr_pool_free(&use, self);
	}
}

static int
prepare_end(void)
{
	int r = 0;

	mpr_process_lock();
	if (prepared == mpr_generation()) {
		mpr_process_unlock();
		return 0;
	}
	prepared = mpr_generation();
	mpr_process_unlock();
	r = mproc_at_exit(stop_all, NULL);
	if (r < 0)
		prepared = 0;
	return r;
}

static int
check_backend(struct mproc_pool_opts *o)
{
	if (o->backend < 0 || o->backend > MPROC_POOL_INLINE)
		return mpr_fail(-EINVAL, "backend is %d", o->backend);
	if (!o->backend)
		o->backend = MPROC_POOL_PROCESSES;
	if (mpr_inline_is_on())
		o->backend = MPROC_POOL_INLINE;
	if (o->backend != MPROC_POOL_INLINE)
		return 0;
	/* For workers that may be killed, or that end. */
	o->retries = 0;
	o->task_timeout = o->idle_timeout = MPROC_NOWAIT;
	o->max_tasks_per_worker = 0;
	return 0;
}

/* Of pools of other backends it says nothing. */
static int
check_method(struct mproc_pool_opts *o)
{
	int r = o->method ? mpr_method_check(o->method) : 0;

	if (r < 0)
		return r;
	if (!o->method || o->backend != MPROC_POOL_PROCESSES)
		o->method = MPROC_FORK;
	if (o->method == MPROC_FORK || o->init_size || mpr_plan_can_pass(o->init_arg))
		return 0;
	return mpr_fail(-EFAULT, "init_arg %p is no memory of the arena: workers with "
			"another image have nothing there; say .init_size to have it "
			"copied", o->init_arg);
}

static int
check_workers(int *workers)
{
	if (!*workers)
		*workers = mproc_cpu_count();
	if (*workers < 1 || *workers > MPR_POOL_WORKERS_MAX)
		return mpr_fail(-EINVAL, "workers is %d, not 1 to %d", *workers,
				MPR_POOL_WORKERS_MAX);
	return 0;
}

static int
check_opts(struct mproc_pool_opts *o)
{
	int r = check_workers(&o->workers);

	if (r < 0)
		return r;
	if (o->retries < 0 || o->retries > RETRIES_MAX)
		return mpr_fail(-EINVAL, "retries is %d, not 0 to %d",
				o->retries, RETRIES_MAX);
	if (o->task_timeout.ns < 0)
		return mpr_fail(-EINVAL, "task_timeout is a point in time");
	if (o->task_timeout.ns == INT64_MAX)
		o->task_timeout = MPROC_NOWAIT;
	if (o->idle_timeout.ns < 0)
		return mpr_fail(-EINVAL, "idle_timeout is a point in time");
	if (o->idle_timeout.ns == INT64_MAX)
		o->idle_timeout = MPROC_NOWAIT;
	if (o->init_size && !o->init_arg)
		return mpr_fail(-EINVAL, "init_arg is NULL, init_size is %zu",
				o->init_size);
	r = check_backend(o);
	return r < 0 ? r : check_method(o);
}

static void
forget(const struct mpr_pool_use *u)
{
	struct made **link, *m = NULL;

	mpr_process_lock();
	link = find_made(u);
	if (link) {
		m = *link;
		*link = m->next;
	}
	mpr_process_unlock();
	free(m);
}

static int
create(mproc_pool **ret_p, struct mpr_self *self,
       const struct mproc_pool_opts *o, mproc_map_loop *loop)
{
	struct made *m = mpr_malloc(sizeof(*m));
	int r, ours;

	if (!m)
		return mpr_fail(-ENOMEM, "no memory for a pool");
	r = mpr_pool_make(&m->use, self, o, loop);
	if (r < 0) {
		free(m);
		return r;
	}
	/* Killed until here, and until the cell is open, its keeper ends with us,
	 * and the cell is free. */
	r = mpr_keeping_begin(&m->use, self);
	ours = mpr_pool_check_cell(&m->use);
	if (r < 0 && ours == 0) {
		mpr_pool_advance(&m->use, MPR_POOL_ENDED);
		mpr_pool_unmake(&m->use, self);
	}
	r = ours < 0 ? ours : r;
	if (r < 0) {
		free(m);
		return r;
	}
	m->generation = mpr_generation();
	*ret_p = m->use.pool;
	mpr_process_lock();
	m->next = all_made;
	all_made = m;
	mpr_process_unlock();
	if (mpr_pool_open(&m->use))
		return 0;
	forget(&m->use);
	return mpr_fail(-ECHILD, "forked while it made a pool");
}

/* What each worker does first, in a pool whose workers are those who submit. */
static int
initialize(mproc_pool *pool)
{
	uint64_t generation = mpr_generation();
	struct mpr_pool_use u;
	int r = mpr_pool_look_up(pool, &u);

	if (r == 0 && mpr_pool_is_inline(&u))
		(void)mpr_worker_initialize(&u);
	return generation == mpr_generation() ? r :
		       mpr_fail(-ECHILD, "forked by the initializer of a pool");
}

int
mproc_pool_create_near(mproc_pool **ret_p, const struct mproc_pool_opts *opts,
		       mproc_map_loop *loop)
{
	struct mproc_pool_opts o;
	struct mpr_self *self;
	mproc_arena *a;
	int r;

	if (!ret_p)
		return mpr_fail(-EINVAL, "ret_p is NULL");
	if (!loop)
		return mpr_fail(-EINVAL, "loop is NULL");
	r = mpr_opts_read(&o, sizeof(o), opts);
	if (r == 0)
		r = check_opts(&o);
	if (r == 0)
		r = mpr_arena_get(&a);
	if (r == 0)
		r = mpr_self(a, &self);
	if (r == 0)
		r = prepare_end();
	if (r == 0)
		r = create(ret_p, self, &o, loop);
	return r < 0 ? r : initialize(*ret_p);
}

/* For who has no macro; here it is the one with this file's loop, too. */
int
(mproc_pool_create)(mproc_pool **ret_p, const struct mproc_pool_opts *opts)
{
	return mproc_pool_create(ret_p, opts);
}

int
mproc_pool_close(mproc_pool *pool)
{
	struct mpr_pool_use u;
	struct mpr_self *self;
	int r = control(pool, &u, &self);

	if (r < 0)
		return r;
	mpr_pool_advance(&u, MPR_POOL_CLOSING);
	mpr_keeping_wake(&u);
	return 0;
}

int
mproc_pool_terminate(mproc_pool *pool)
{
	struct mpr_pool_use u;
	struct mpr_self *self;
	int r = control(pool, &u, &self);

	if (r < 0)
		return r;
	terminate(&u);
	return 0;
}

/* A handler that forks in the middle would leave two who make the same room. */
static int
make_room(const struct mpr_pool_use *u, unsigned n)
{
	struct mpr_self *self;
	sigset_t before;
	int r;

	mpr_thread_forbid_signals(&before);
	r = mpr_self(u->arena, &self);
	if (r == 0)
		r = mpr_pool_make_room(u, self, n);
	mpr_thread_allow_signals(&before);
	return r;
}

int
mproc_pool_resize(mproc_pool *pool, int workers)
{
	struct mpr_pool_use u;
	struct mpr_self *self;
	int r = control(pool, &u, &self);

	if (r == 0)
		r = check_workers(&workers);
	if (r == 0 && mpr_pool_phase(&u) > MPR_POOL_CLOSING)
		r = mpr_fail(-ESHUTDOWN, "%s was terminated",
			     mpr_pool_label(&u).text);
	if (r == 0 && !mpr_pool_is_inline(&u))
		r = make_room(&u, (unsigned)workers);
	if (r < 0)
		return r;
	/* All that it takes: the keeper that there is, or comes, does the rest. */
	atomic_store(&u.root->n_workers, (uint32_t)workers);
	if (!mpr_pool_is_inline(&u))
		mpr_keeping_wake(&u);
	return 0;
}

int
mproc_pool_join(mproc_pool *pool, mproc_timeout timeout)
{
	struct mpr_pool_use u;
	struct mpr_self *self;
	int64_t deadline;
	int r = control(pool, &u, &self);

	if (r < 0)
		return r;
	if (mpr_pool_phase(&u) == MPR_POOL_OPEN)
		return mpr_fail(-EINVAL, "%s is neither closed nor terminated",
				mpr_pool_label(&u).text);
	deadline = mpr_deadline(timeout);
	r = wait_for_end(&u, deadline, timeout.ns == 0);
	if (r == 0) {
		mpr_keeping_reap(&u, deadline);
		mpr_callbacks_run(false);
	}
	return r;
}

void
mproc_pool_free(mproc_pool *pool)
{
	struct mpr_pool_use u;
	struct mpr_self *self;

	if (!pool || control(pool, &u, &self) < 0)
		return;
	if (mpr_caller_is_in(&u) || !stop(&u)) {
		mpr_log(MPROC_LOG_ERROR, "%s does not end, and is not freed",
			mpr_pool_label(&u).text);
		return;
	}
	/* All futures that are not closed are done. One that is told may have done
	 * the rest, and another pool lie there. */
	mpr_callbacks_run_all();
	if (!is_ours(&u) || mpr_self(u.arena, &self) < 0)
		return;
	mpr_future_fd_close_all(&u);
	mpr_pool_free(&u, self);
	forget(&u);
}

int
mproc_pool_stat(mproc_pool *pool, struct mproc_pool_stat *ret_stat)
{
	const struct mpr_pool_worker *record;
	struct mpr_entries_walk walk;
	struct mpr_pool_use u;
	struct mproc_future *f;
	uint64_t word;
	int r;

	if (!ret_stat)
		return mpr_fail(-EINVAL, "ret_stat is NULL");
	r = mpr_pool_look_up(pool, &u);
	if (r < 0)
		return r;
	memset(ret_stat, 0, sizeof(*ret_stat));
	for (unsigned w = 0; (record = mpr_pool_worker_at(&u, w)); w++) {
		word = atomic_load(&record->word);
		if (word & MPR_HELD && !mpr_holder_is_dead(u.arena, word))
			ret_stat->workers++;
		ret_stat->done += atomic_load(&record->done);
	}
	walk = mpr_entries_walk(&u);
	while ((f = mpr_entries_next(&walk))) {
		word = atomic_load(&f->cell.word);
		ret_stat->queued +=
			mpr_future_state(word) == MPR_FUTURE_QUEUED;
		ret_stat->running += mpr_future_is_begun(word);
		ret_stat->futures++;
	}
	ret_stat->phase = (int)mpr_pool_phase(&u);
	ret_stat->size = atomic_load(&u.root->n_workers);
	ret_stat->deaths = atomic_load(&u.root->deaths);
	ret_stat->retried = atomic_load(&u.root->retried);
	ret_stat->given_up = atomic_load(&u.root->given_up);
	ret_stat->keepers = atomic_load(&u.root->keepers);
	word = atomic_load(&u.root->keeper);
	/* One that is starting another is none. */
	if (mpr_holder_has_it(word) && !mpr_holder_is_dead(u.arena, word))
		ret_stat->keeper =
			(pid_t)atomic_load(&mpr_participant_at(
				u.arena, mpr_holder_slot(word))->pid);
	memcpy(ret_stat->name, u.root->name, sizeof(ret_stat->name));
	ret_stat->name[sizeof(ret_stat->name) - 1] = '\0';
	word = atomic_load(&u.root->broken);
	if (word)
		ret_stat->initializer = (int)(uint32_t)word;
	return 0;
}
