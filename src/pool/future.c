/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "arena/table.h"
#include "base/error.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "pool/callback.h"
#include "pool/entries.h"
#include "pool/future.h"
#include "pool/future_fd.h"
#include "pool/keeping.h"
#include "pool/map.h"
#include "pool/task.h"
#include "pool/worker.h"
#include "process/describe.h"
#include "sync/await.h"

static int
stale(const mproc_future *f)
{
	return mpr_fail(-ESTALE, "future %p was closed, or its pool freed",
			(const void *)f);
}

int
mpr_future_look_up(mproc_future *f, struct mpr_future_use *ret_u)
{
	mproc_arena *a = mpr_arena_of(f);
	uint64_t at, pool;

	if (!f)
		return mpr_fail(-EINVAL, "future is NULL");
	at = a ? mpr_arena_offset(a, f) : 0;
	if (!a || !mpr_arena_has(a, at, sizeof(*f)))
		return mpr_fail(-EFAULT, "%p is not shared memory", (void *)f);
	if (!mpr_entries_at(a, at))
		return stale(f);
	/* First: what is found after it may be another one, which has another. */
	ret_u->id = atomic_load(&f->cell.word) & MPR_FUTURE_ID;
	pool = atomic_load(&f->pool);
	if (!mpr_arena_has(a, pool, sizeof(mproc_pool)) ||
	    mpr_pool_look_up(mpr_arena_at(a, pool), &ret_u->pool) < 0 ||
	    ret_u->pool.generation != atomic_load(&f->cell.generation))
		return stale(f);
	ret_u->f = f;
	return 0;
}

uint64_t
mpr_future_word_of(const struct mpr_future_use *u)
{
	/* Acquire pairs with mpr_task_finish(): the result is there. */
	uint64_t word = atomic_load(&u->f->cell.word);

	return (word ^ u->id) & MPR_FUTURE_ID ||
			       mpr_future_state(word) == MPR_FUTURE_FREED ?
		       0 : word;
}

/* It was done, and what was read of it is its. */
static bool
is_done_still(const struct mpr_future_use *u)
{
	/* Nothing that was read comes after it. */
	mpr_cpu_fence_reads();
	return mpr_future_is_done(mpr_future_word_of(u));
}

struct attempt {
	struct mpr_await await;
	const struct mpr_future_use *use;
};

/* The calling thread as a worker of the same pool, in a task, or NULL. Not to be kept
 * through a sleep: a signal handler may fork a child that is none, and goes on here. */
static struct mpr_worker *
worker_of(const struct mpr_future_use *u)
{
	struct mpr_worker *me = mpr_worker_self();

	return mpr_worker_is_of(me, &u->pool) ? me : NULL;
}

/* There is something to do first. */
#define LOOK_AFTER 1

static int
look(struct mpr_await *await, bool waits)
{
	const struct attempt *t = (const struct attempt *)await;
	struct mproc_future *f = t->use->f;
	uint64_t word = mpr_future_word_of(t->use);
	bool is_worker = worker_of(t->use) != NULL;

	for (;;) {
		if (!word)
			return -ESTALE;
		if (mpr_future_is_done(word))
			return 0;
		if (is_worker && mpr_task_waits(&t->use->pool, f, word))
			return LOOK_AFTER;
		/* A worker ends with its keeper. */
		if (!is_worker && !mpr_keeping_is_on(&t->use->pool))
			return LOOK_AFTER;
		if (!waits || word & MPR_WAITERS)
			return -EBUSY;
		/* seq_cst, after it was announced that we wait. */
		if (atomic_compare_exchange_strong(&f->cell.word, &word,
						   word | MPR_WAITERS))
			return -EBUSY;
		word = mpr_future_word_of(t->use);
	}
}

/* Until it is done, or there is something to do. */
static int
await(const struct mpr_future_use *u, mproc_timeout timeout)
{
	struct attempt t = {
		.use = u,
		.await = {
			.look = look,
			.what = "future",
			.kind = MPR_WAIT_NEWS,
			.cell = &u->f->cell,
			.owner = mpr_keeping_slot(&u->pool),
		},
	};
	int r = mpr_await_begin(&t.await);

	return r < 0 ? r : mpr_await(&t.await, timeout);
}

/*
 * What has to be done before a sleep. A task that waits for another one which nobody
 * has begun runs that itself: so whoever waits, waits for one that runs, and not all
 * of those can wait. Elsewhere there is to be a keeper.
 */
static int
look_after(const struct mpr_future_use *u)
{
	struct mpr_worker *me = worker_of(u);
	uint64_t word = mpr_future_word_of(u);

	if (!me)
		return mpr_keeping_ensure(&u->pool);
	if (word && mpr_task_waits(&u->pool, u->f, word))
		mpr_task_run(me, mpr_arena_offset(u->pool.arena, u->f), word);
	return 0;
}

bool
mpr_future_needs_care(const struct mpr_future_use *u)
{
	uint64_t word = mpr_future_word_of(u);

	return worker_of(u) ? word && mpr_task_waits(&u->pool, u->f, word) :
			      !mpr_keeping_is_on(&u->pool);
}

void
mpr_future_take_care(const struct mpr_future_use *u)
{
	(void)look_after(u);
}

int
mpr_future_wait(const struct mpr_future_use *u, mproc_timeout timeout)
{
	uint64_t word = mpr_future_word_of(u);
	int r;

	if (mpr_future_is_done(word))
		return 0;
	if (!word)
		return stale(u->f);
	/* Who has asked for a descriptor waits by that, and is not to sleep: it is
	 * readable as long as nobody has begun the task. */
	if (!timeout.ns && worker_of(u) && !mpr_future_fd_has(u))
		return -EAGAIN;
	/* By the clock's time, as it may take several attempts. */
	if (timeout.ns > 0 && timeout.ns != INT64_MAX)
		timeout = mproc_until(mpr_deadline(timeout));
	do {
		r = look_after(u);
		if (r == 0)
			r = await(u, timeout);
	} while (r == LOOK_AFTER);
	if (r == -EAGAIN || r == -ETIMEDOUT)
		mpr_future_fd_found_nothing(u);
	return r;
}

/* In what was seen, beside the id: by a worker of the same pool. */
#define BY_WORKER UINT64_C(1)

/* Nothing is followed that was found before: a future that is closed by another thread
 * leaves its memory to others. */
static enum mpr_news_is
look_for_news(const struct mpr_news *seen, bool waits)
{
	struct mpr_future_use u;
	uint64_t word;

	if (mpr_future_look_up(seen->object, &u) < 0 ||
	    (u.id ^ seen->word) & MPR_FUTURE_ID)
		return MPR_NEWS_READY;
	for (;;) {
		word = mpr_future_word_of(&u);
		if (!word || mpr_future_is_done(word))
			return MPR_NEWS_READY;
		if (seen->word & BY_WORKER) {
			if (mpr_task_waits(&u.pool, u.f, word))
				return MPR_NEWS_CARE;
		} else if (!mpr_keeping_is_on(&u.pool)) {
			return MPR_NEWS_CARE;
		}
		if (!waits || word & MPR_FUTURE_MANY)
			return MPR_NEWS_NONE;
		/* seq_cst, after it was announced that we wait. */
		if (atomic_compare_exchange_strong(&u.f->cell.word, &word,
						   word | MPR_FUTURE_MANY))
			return MPR_NEWS_NONE;
	}
}

static struct mpr_news
news_of(const struct mpr_future_use *u, bool by_worker)
{
	return (struct mpr_news){
		.object = u->f,
		.look = look_for_news,
		.word = u->id | (by_worker ? BY_WORKER : 0),
	};
}

int
mpr_future_note(mproc_future *f, struct mpr_news *ret_seen)
{
	struct mpr_future_use u;
	int r = mpr_future_look_up(f, &u);

	if (r == 0)
		*ret_seen = news_of(&u, mpr_worker_is_of(mpr_worker_self(),
							 &u.pool) ||
					mpr_worker_is_of(mpr_worker_process(),
							 &u.pool));
	return r;
}

bool
mpr_future_is_one(const struct mpr_news *a, const struct mpr_news *b)
{
	return a->object == b->object && !((a->word ^ b->word) & MPR_FUTURE_ID);
}

int
mpr_future_see(mproc_future *f, bool is_enough, struct mpr_news *ret_seen)
{
	struct mpr_future_use u;
	int r = mpr_future_look_up(f, &u);

	if (r == 0 && mpr_future_is_done(mpr_future_word_of(&u)))
		return 1;
	if (r == 0 && !(is_enough && worker_of(&u)))
		r = look_after(&u);
	if (r < 0)
		return r;
	*ret_seen = news_of(&u, worker_of(&u) != NULL);
	return look_for_news(ret_seen, false) == MPR_NEWS_READY;
}

/* How the worker has ended that had it last; the caller knows that it has. */
static struct mproc_exit
end_of(const struct mproc_future *f)
{
	return (struct mproc_exit){
		.code = atomic_load(&f->code),
		.signal = atomic_load(&f->signal),
		.core = atomic_load(&f->how) & MPR_END_CORE,
		.out_of_memory = atomic_load(&f->how) & MPR_END_SHORTAGE,
		.pid = (pid_t)atomic_load(&f->pid),
	};
}

static int
failed(const struct mpr_pool_use *u, const struct mproc_future *f, int error)
{
	struct mproc_exit end = end_of(f);
	char name[MPR_NAME_MAX], text[MPR_DESCRIBE_MAX];

	if (error != -EOWNERDEAD || !atomic_load(&f->ended)) {
		mpr_fail(error, "the task failed: %s", mproc_strerror(error));
		return MPROC_TASK_FAILED;
	}
	mpr_worker_name(u, atomic_load(&f->worker), name);
	end.name = name;
	mpr_fail(error, "the task failed: %s", mpr_describe(&end, text));
	return MPROC_TASK_FAILED;
}

int
mpr_future_read(const struct mpr_future_use *u, void *out, size_t size,
		size_t *ret_len)
{
	struct mproc_future *f = u->f;
	uint64_t word = mpr_future_word_of(u), len = atomic_load(&f->out_len);
	const void *from = f->small;
	size_t room = sizeof(f->small);
	struct mpr_map_use m;
	int r;

	if (!mpr_future_is_done(word))
		return word ? -EAGAIN : stale(f);
	if (mpr_map_look_at(&u->pool, f, &m))
		return mpr_map_read(u, &m, word, out, size, ret_len);
	r = mpr_task_result(f, word);
	if (r < 0) {
		r = failed(&u->pool, f, r);
		len = 0;
	} else if (atomic_load(&f->out)) {
		from = mpr_future_out(u->pool.arena, f, &room);
	}
	if (!from || len > room)
		return mpr_fail(-EBADMSG, "the memory of future %p is corrupt",
				(void *)f);
	if (ret_len)
		*ret_len = len;
	if (len > size)
		return mpr_fail(-EMSGSIZE, "the result has %zu bytes, there is "
				"room for %zu", (size_t)len, size);
	if (len)
		memcpy(out, from, len);
	return is_done_still(u) ? r : stale(f);
}

/* Callbacks come before the text of an error of the caller's. */
static int
wait_and_call(mproc_future *f, mproc_timeout timeout,
	      struct mpr_future_use *ret_u)
{
	int r;

	mpr_callbacks_run(true);
	r = mpr_future_look_up(f, ret_u);
	if (r == 0)
		r = mpr_future_wait(ret_u, timeout);
	if (r == 0)
		mpr_callbacks_run(false);
	return r;
}

int
mproc_future_get(mproc_future *f, void *out, size_t size, size_t *ret_len,
		 mproc_timeout timeout)
{
	struct mpr_future_use u;
	int r;

	if (!out && size)
		return mpr_fail(-EINVAL, "out is NULL, size is %zu", size);
	r = wait_and_call(f, timeout, &u);
	return r < 0 ? r : mpr_future_read(&u, out, size, ret_len);
}

int
mproc_future_wait(mproc_future *f, mproc_timeout timeout)
{
	struct mpr_future_use u;

	return wait_and_call(f, timeout, &u);
}

int
mproc_future_ready(mproc_future *f)
{
	struct mpr_future_use u;
	int r = mpr_future_look_up(f, &u);

	return r < 0 ? r : mpr_future_is_done(mpr_future_word_of(&u));
}

/* Whether what nobody has begun can neither be dropped nor is done: @word was scribbled,
 * and will not be another one by itself. */
static bool
is_none(const struct mpr_future_use *u, uint64_t word)
{
	const uint64_t queued = mpr_future_word(u->id, MPR_FUTURE_QUEUED, 0);
	struct mpr_map_use m;

	return word && !mpr_future_is_done(word) &&
	       (word ^ queued) & ~(MPR_FUTURE_WAITED | MPR_FUTURE_ABANDONED) &&
	       (mpr_future_state(word) != MPR_FUTURE_QUEUED ||
		!mpr_map_look_at(&u->pool, u->f, &m));
}

int
mpr_future_cancel(const struct mpr_future_use *u, unsigned flags)
{
	struct mproc_future *f = u->f;
	struct mpr_pool_worker *record;
	struct mpr_map_use m;
	struct mpr_self *self;
	uint64_t holder;
	int r = mpr_self(u->pool.arena, &self);

	if (r < 0)
		return r;
	for (;;) {
		uint64_t word = mpr_future_word_of(u);

		if (!word)
			return stale(f);
		if (mpr_future_is_done(word))
			return mpr_fail(-EALREADY, "the task is done");
		if (mpr_task_drop(&u->pool, self, f, u->id, MPR_FUTURE_CANCELED))
			return 0;
		word = mpr_future_word_of(u);
		if (!mpr_future_is_begun(word)) {
			if (is_none(u, word))
				return mpr_fail(-EBADMSG, "the memory of future "
						"%p is corrupt", (void *)f);
			continue;
		}
		if (!flags)
			return mpr_fail(-EBUSY, "the task runs");
		if (word & MPR_FUTURE_REVOKED)
			return 0;
		record = mpr_pool_worker_at(&u->pool, word & MPR_FUTURE_WORKER);
		/* Before the task is revoked: if that succeeds, it is this one
		 * that has it, or one that has died meanwhile. */
		holder = record ? atomic_load(&record->word) : 0;
		if (!mpr_task_give_up(&u->pool, self, f, u->id,
				      MPR_FUTURE_CANCELED))
			continue;
		if (mpr_map_look_at(&u->pool, f, &m)) {
			mpr_map_doom(&m, u->id);
			mpr_map_settle(&m, self, u->id);
		} else if (record && holder) {
			atomic_store(&record->doomed, holder);
		}
		mpr_keeping_wake(&u->pool);
		return 0;
	}
}

int
mproc_future_cancel(mproc_future *f, unsigned flags)
{
	struct mpr_future_use u;
	int r;

	if (flags & ~(unsigned)MPROC_CANCEL_RUNNING)
		return mpr_fail(-EINVAL, "flags are 0x%x", flags);
	r = mpr_future_look_up(f, &u);
	return r < 0 ? r : mpr_future_cancel(&u, flags);
}

static void
copy_text(char *to, size_t size, const void *from, size_t len)
{
	if (len >= size)
		len = size - 1;
	if (from)
		memcpy(to, from, len);
	to[from ? len : 0] = '\0';
}

/* For what is known of a task that is done. Returns 0; -EAGAIN if it is not; or a
 * negative error. */
static int
look_up_done(mproc_future *f, struct mpr_future_use *ret_u, uint64_t *ret_word)
{
	int r = mpr_future_look_up(f, ret_u);

	if (r < 0)
		return r;
	*ret_word = mpr_future_word_of(ret_u);
	if (!*ret_word)
		return stale(f);
	return mpr_future_is_done(*ret_word) ? 0 : mpr_fail(-EAGAIN, "the task is not done");
}

int
mproc_future_error(mproc_future *f, struct mproc_task_error *ret_error)
{
	struct mpr_future_use u;
	struct mpr_map_use m;
	uint64_t word;
	size_t room = 0, len;
	const void *text;
	int r;

	if (!ret_error)
		return mpr_fail(-EINVAL, "ret_error is NULL");
	r = look_up_done(f, &u, &word);
	if (r < 0)
		return r;
	memset(ret_error, 0, sizeof(*ret_error));
	r = mpr_map_look_at(&u.pool, f, &m) ?
		    mpr_map_result(&m, word, &ret_error->item,
				   &ret_error->items) :
		    mpr_task_result(f, word);
	if (r >= 0)
		return mpr_fail(-ENODATA, "the task has not failed");
	ret_error->error = r;
	ret_error->deaths = atomic_load(&f->deaths);
	ret_error->pid = (pid_t)atomic_load(&f->pid);
	ret_error->worker = (int)atomic_load(&f->worker);
	if (ret_error->pid)
		mpr_worker_name(&u.pool, atomic_load(&f->worker),
				ret_error->name);
	/* What the task has left goes with its own error only. */
	if (!(word & MPR_FUTURE_REVOKED) && !atomic_load(&f->ended) &&
	    r != -EOWNERDEAD && mpr_future_is_a(f, MPR_FUTURE_TASK)) {
		len = atomic_load(&f->out_len);
		text = atomic_load(&f->out) ?
			       mpr_future_out(u.pool.arena, f, &room) : f->small;
		if (text == f->small)
			room = sizeof(f->small);
		copy_text(ret_error->text, sizeof(ret_error->text), text,
			  len < room ? len : room);
	}
	return is_done_still(&u) ? 0 : stale(f);
}

int
mproc_future_exit_info(mproc_future *f, struct mproc_exit *ret_exit)
{
	struct mpr_future_use u;
	uint64_t word;
	uint32_t ended;
	size_t room;
	int r;

	if (!ret_exit)
		return mpr_fail(-EINVAL, "ret_exit is NULL");
	r = look_up_done(f, &u, &word);
	if (r < 0)
		return r;
	ended = atomic_load(&f->ended);
	if (!ended)
		return mpr_fail(-ENODATA, "no worker has ended with the task, or "
				"its end was not seen");
	*ret_exit = end_of(f);
	if (ended == 2)
		ret_exit->report = mpr_future_out(u.pool.arena, f, &room);
	return 0;
}

void
mpr_future_close(const struct mpr_future_use *u)
{
	struct mpr_self *self;

	if (mpr_self(u->pool.arena, &self) == 0)
		mpr_task_abandon(u->pool.arena, self, u->f, u->id);
}

void
mproc_future_close(mproc_future *f)
{
	struct mpr_future_use u;
	bool found;

	if (!f)
		return;
	found = mpr_future_look_up(f, &u) == 0;
	/* Of one that another process has closed, that is all there is to close. */
	if (!mpr_future_fd_close(f, found ? u.id : 0) && found)
		mpr_future_close(&u);
}
