/* SPDX-License-Identifier: MIT */
/*
 * An event. Its word:
 *
 *   bit 0        SET
 *   bit 1        MANY: somebody may wait for it and others at once
 *   bit 17       WAITERS: somebody may wait; neither is ever together with SET
 *   bit 21       GONE
 *   bits 22..63  how often it was set
 *
 * Who waits goes on when it is SET, or has been since: whoever clears it again
 * at once changes nothing about that. So a wake-up is a hint here, and nothing
 * depends on who was chosen.
 *
 * set and clear are CAS loops of one word, so they may interrupt each other
 * anywhere.
 */
#include <errno.h>

#include <mproc/sync.h>

#include "base/error.h"
#include "sync/await.h"
#include "sync/event.h"
#include "sync/remote.h"

#define SET UINT64_C(1)
#define MANY UINT64_C(2)
#define ONE_TIME (UINT64_C(1) << 22)
#define TIMES (~UINT64_C(0) << 22)

struct mpr_event {
	struct mpr_cell cell;
};

static_assert(sizeof(struct mpr_event) == sizeof(mproc_event),
	      "shared layout");

/* One thread's wait. */
struct attempt {
	struct mpr_await await;
	uint64_t word; /* as it was in the beginning */
};

static struct mpr_event *
event_of(mproc_event *event)
{
	return (struct mpr_event *)event;
}

static uint64_t
make_set(uint64_t word)
{
	return ((word | SET) & ~(MPR_WAITERS | MANY)) + ONE_TIME;
}

/* Somebody may wait. Without texts: mpr_fail() is not for signal handlers. */
static MPR_NOINLINE int
set_and_wake(struct mpr_event *e)
{
	uint64_t word = atomic_load(&e->cell.word);
	mproc_arena *a = mpr_arena_of(e);
	struct mpr_wake k;
	bool is_gone;

	/* Who waits has an arena: it is another process, that shares this
	 * memory in some other way. */
	if (!a)
		return -EINVAL;
	mpr_wake_begin(&k, a, mpr_self_in(a), e);
	do
		is_gone = word & MPR_GONE;
	while (!is_gone && !atomic_compare_exchange_strong(
				   &e->cell.word, &word, make_set(word)));
	if (!is_gone && word & MPR_WAITERS)
		mpr_wake_all(&k);
	if (!is_gone && word & MANY)
		mpr_wake_many(&k);
	mpr_wake_end(&k);
	return is_gone ? -ESTALE : 0;
}

/* It was destroyed, or is a manager's. */
static MPR_NOINLINE int
ask(const mproc_event *event, unsigned op)
{
	return mpr_remote_has(event) ?
		       mpr_remote_ask_simply(MPR_CELL_EVENT, event, op) : -ESTALE;
}

int
mproc_event_set(mproc_event *event)
{
	struct mpr_event *e = event_of(event);
	uint64_t word;

	if (mpr_unlikely(!e))
		return -EINVAL;
	word = atomic_load_explicit(&e->cell.word, memory_order_relaxed);
	do {
		if (word & MPR_GONE)
			return ask(event, MPR_OP_EVENT_SET);
		if (word & (MPR_WAITERS | MANY))
			return set_and_wake(e);
		/* Also if it is set already: who sees that sees what each of
		 * those did before who set it. */
	} while (!atomic_compare_exchange_strong(&e->cell.word, &word,
						 make_set(word)));
	return 0;
}

int
mproc_event_clear(mproc_event *event)
{
	struct mpr_event *e = event_of(event);
	uint64_t word;

	if (!e)
		return -EINVAL;
	word = atomic_load_explicit(&e->cell.word, memory_order_relaxed);
	do {
		if (word & MPR_GONE)
			return ask(event, MPR_OP_EVENT_CLEAR);
	} while (!atomic_compare_exchange_strong(&e->cell.word, &word,
						 word & ~SET));
	return 0;
}

int
mproc_event_is_set(const mproc_event *event)
{
	const struct mpr_event *e = (const struct mpr_event *)event;
	uint64_t word;

	if (!e)
		return -EINVAL;
	/* Acquire pairs with the CAS that set it. */
	word = atomic_load_explicit(&e->cell.word, memory_order_acquire);
	if (word & MPR_GONE)
		return ask(event, MPR_OP_EVENT_IS_SET);
	return word & SET ? 1 : 0;
}

/* What has become of the event at @cell since it had @word, in @generation of its
 * cell. If it is to be waited for, @flag is set. Returns 0, -EBUSY or -ESTALE. */
static int
look_at(struct mpr_cell *cell, uint32_t generation, uint64_t word,
	uint64_t flag)
{
	uint64_t now = atomic_load(&cell->word);
	bool is_other;

	do {
		is_other = atomic_load(&cell->generation) != generation;
		/* It may have been set, and then destroyed. */
		if (mpr_cell_has_ended(now) && !is_other && (now ^ word) & TIMES)
			return 0;
		if (now & MPR_GONE || is_other)
			return -ESTALE;
		if (now & SET || (now ^ word) & TIMES)
			return 0;
		if ((now & flag) == flag)
			return -EBUSY;
	} while (!atomic_compare_exchange_strong(&cell->word, &now, now | flag));
	return -EBUSY;
}

static int
look(struct mpr_await *await, bool waits)
{
	const struct attempt *t = (const struct attempt *)await;

	return look_at(await->cell, await->generation, t->word,
		       waits ? MPR_WAITERS : 0);
}

static enum mpr_news_is
look_for_news(const struct mpr_news *seen, bool waits)
{
	return look_at(seen->object, seen->generation, seen->word,
		       waits ? MANY : 0) == -EBUSY ? MPR_NEWS_NONE :
						     MPR_NEWS_READY;
}

struct mpr_news
mpr_event_see(mproc_event *event)
{
	struct mpr_event *e = event_of(event);
	struct mpr_news seen = { .object = event, .look = look_for_news };

	/* Acquire: before the word. */
	seen.generation = atomic_load_explicit(&e->cell.generation,
					       memory_order_acquire);
	/* Acquire pairs with the CAS that set it. */
	seen.word = atomic_load_explicit(&e->cell.word, memory_order_acquire);
	return seen;
}

/* It was not set when its word was @word, and its cell's generation the given
 * one. */
static MPR_NOINLINE int
wait_slowly(struct mpr_event *e, uint32_t generation, uint64_t word,
	    mproc_timeout timeout)
{
	struct attempt t = {
		.word = word,
		.await = {
			.look = look,
			.what = "event",
			.kind = MPR_WAIT_NEWS,
			.cell = &e->cell,
			.owner = -1,
		},
	};
	int r;

	r = mpr_await_begin(&t.await);
	if (r < 0)
		return r;
	/* That may have taken long: what has happened since counts. */
	t.await.generation = generation;
	return mpr_await(&t.await, timeout);
}

static MPR_NOINLINE int
wait_elsewhere(const mproc_event *event, mproc_timeout timeout)
{
	if (!mpr_remote_has(event))
		return mpr_fail(-ESTALE, "event %p was destroyed",
				(const void *)event);
	return mpr_remote_ask_to_wait(MPR_CELL_EVENT, event, MPR_OP_ACQUIRE, timeout);
}

int
mpr_event_look(const struct mpr_news *seen)
{
	return look_at(seen->object, seen->generation, seen->word, 0);
}

int
mpr_event_wait_since(const struct mpr_news *seen, mproc_timeout timeout)
{
	return wait_slowly(seen->object, seen->generation, seen->word, timeout);
}

int
mproc_event_wait(mproc_event *event, mproc_timeout timeout)
{
	struct mpr_event *e = event_of(event);
	uint32_t generation;
	uint64_t word;

	if (!e)
		return mpr_fail(-EINVAL, "event is NULL");
	/* Acquire: before the word. */
	generation = atomic_load_explicit(&e->cell.generation,
					  memory_order_acquire);
	/* Acquire pairs with the CAS that set it. */
	word = atomic_load_explicit(&e->cell.word, memory_order_acquire);
	if (word & MPR_GONE)
		return wait_elsewhere(event, timeout);
	if (mpr_likely(word & SET))
		return 0;
	return timeout.ns ? wait_slowly(e, generation, word, timeout) :
			    -EAGAIN;
}

int
mproc_event_create(mproc_event **ret_event)
{
	void *event;
	int r;

	if (!ret_event)
		return mpr_fail(-EINVAL, "ret_event is NULL");
	r = mpr_cell_create(MPR_CELL_EVENT, &event);
	if (r < 0)
		return r;
	mpr_cell_open(event, 0);
	*ret_event = event;
	return 0;
}

void
mproc_event_destroy(mproc_event *event)
{
	mpr_cell_destroy(MPR_CELL_EVENT, event, TIMES);
}
