/* SPDX-License-Identifier: MIT */
/*
 * Iterators over results: in memory of the process that has made one. There are as many
 * tasks at a time as its window has places; what the source gives next is submitted when
 * the next result is asked for.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/opts.h"
#include "os/generation.h"
#include "pool/callback.h"
#include "pool/future.h"

#define WINDOW_MAX (1 << 16)

struct place {
	struct mpr_future_use use;
	size_t item;
};

struct mproc_iter {
	uint64_t generation; /* of the process */
	mproc_pool *pool;
	mproc_task *fn;
	mproc_source *next;
	void *src;
	bool unordered;
	unsigned window;
	unsigned first; /* place of the oldest; 0 if unordered */
	unsigned count;
	struct place *places;
	struct mpr_future_use *uses; /* for a wait for many, if unordered */
	/* Of the source. */
	size_t items; /* that it has given */
	bool has_one; /* that was not submitted */
	const void *in;
	size_t len;
	bool ended;
	int error; /* that is to be told when all before it were */
	/* Of the result that was taken last. */
	size_t item;
	bool failed;
	struct mproc_task_error why;
};

static struct place *
place_at(const mproc_iter *it, unsigned i)
{
	return &it->places[(it->first + i) % it->window];
}

/* Whether there is one to submit. */
static bool
ask_source(mproc_iter *it)
{
	int r;

	if (it->has_one || it->ended)
		return it->has_one;
	it->in = NULL;
	it->len = 0;
	r = it->next(it->src, &it->in, &it->len);
	if (r < 0) {
		it->ended = true;
		it->error = r == -ENODATA ? 0 : r;
		return false;
	}
	it->has_one = true;
	return true;
}

/* Until the window is full. An error counts if nothing is on its way; otherwise it is
 * seen again. */
static int
fill(mproc_iter *it)
{
	struct place *place;
	mproc_future *f;
	int r;

	while (it->count < it->window && ask_source(it)) {
		r = mproc_pool_submit(it->pool, it->fn, it->in, it->len, &f);
		if (r < 0)
			return it->count ? 0 : r;
		it->has_one = false;
		place = place_at(it, it->count);
		place->item = it->items++;
		r = mpr_future_look_up(f, &place->use);
		if (r < 0)
			return r;
		it->count++;
	}
	return 0;
}

static bool
is_done(const struct place *place)
{
	return mpr_future_state(mpr_future_word_of(&place->use)) ==
	       MPR_FUTURE_DONE;
}

/* Waits for the next result; returns its place, or a negative error. */
static int
await(mproc_iter *it, mproc_timeout timeout)
{
	int r;

	if (!it->unordered) {
		r = mpr_future_wait(&place_at(it, 0)->use, timeout);
		return r < 0 ? r : 0;
	}
	for (unsigned i = 0; i < it->count; i++)
		it->uses[i] = place_at(it, i)->use;
	r = mpr_future_wait_many(it->uses, (int)it->count, MPROC_ANY, timeout);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < it->count; i++)
		if (is_done(place_at(it, i)))
			return (int)i;
	return mpr_fail(-ESTALE, "the pool was freed");
}

/* It was taken: the place is free. */
static void
leave(mproc_iter *it, unsigned i)
{
	struct place *place = place_at(it, i);

	mpr_future_close(&place->use);
	it->count--;
	if (it->unordered)
		*place = *place_at(it, it->count);
	else
		it->first = (it->first + 1) % it->window;
}

/* It was not taken, and is the next one still. */
static void
put_first(mproc_iter *it, unsigned i)
{
	struct place place = *place_at(it, i);

	*place_at(it, i) = *place_at(it, 0);
	*place_at(it, 0) = place;
}

static int
check(const mproc_iter *it)
{
	if (!it)
		return mpr_fail(-EINVAL, "iterator is NULL");
	return it->generation == mpr_generation() ? 0 :
		       mpr_fail(-ECHILD, "the iterator was made by another "
				"process");
}

int
mproc_iter_next(mproc_iter *it, void *out, size_t size, size_t *ret_len,
		mproc_timeout timeout)
{
	struct place *place;
	int r = check(it), i;

	if (r == 0 && !out && size)
		r = mpr_fail(-EINVAL, "out is NULL, size is %zu", size);
	if (r == 0) {
		mpr_callbacks_run(true);
		r = fill(it);
	}
	if (r < 0)
		return r;
	if (!it->count) {
		r = it->error ? it->error : -ENODATA;
		it->error = 0;
		return mpr_fail(r, r == -ENODATA ? "there are no more results" :
						   "the source has failed");
	}
	i = await(it, timeout);
	/* Signal handlers may fork. */
	r = check(it);
	if (r < 0 || i < 0)
		return r < 0 ? r : i;
	place = place_at(it, (unsigned)i);
	r = mpr_future_read(&place->use, out, size, ret_len);
	if (r < 0) {
		put_first(it, (unsigned)i);
		return r;
	}
	it->item = place->item;
	it->failed = r == MPROC_TASK_FAILED;
	if (it->failed && mproc_future_error(place->use.f, &it->why) < 0)
		it->why = (struct mproc_task_error){ .error = -EBADMSG };
	it->why.item = it->item;
	leave(it, (unsigned)i);
	return r;
}

int
mproc_iter_item(mproc_iter *it, size_t *ret_item)
{
	int r = check(it);

	if (r == 0 && !ret_item)
		r = mpr_fail(-EINVAL, "ret_item is NULL");
	if (r == 0)
		*ret_item = it->item;
	return r;
}

int
mproc_iter_error(mproc_iter *it, struct mproc_task_error *ret_error)
{
	int r = check(it);

	if (r == 0 && !ret_error)
		r = mpr_fail(-EINVAL, "ret_error is NULL");
	if (r == 0 && !it->failed)
		r = mpr_fail(-ENODATA, "the last task has not failed");
	if (r == 0)
		*ret_error = it->why;
	return r;
}

static void
free_iter(mproc_iter *it)
{
	free(it->places);
	free(it->uses);
	free(it);
}

void
mproc_iter_close(mproc_iter *it)
{
	if (!it)
		return;
	/* A forked child's copy has its parent's futures. */
	for (unsigned i = 0;
	     it->generation == mpr_generation() && i < it->count; i++) {
		const struct mpr_future_use *u = &place_at(it, i)->use;

		(void)mpr_future_cancel(u, 0);
		mpr_future_close(u);
	}
	free_iter(it);
}

static int
make(mproc_pool *pool, const struct mproc_imap_opts *o, mproc_iter **ret_it)
{
	struct mpr_pool_use u;
	mproc_iter *it;
	int r = mpr_pool_look_up(pool, &u);

	if (r < 0)
		return r;
	it = mpr_zalloc(sizeof(*it));
	if (!it)
		return mpr_fail(-ENOMEM, "no memory for an iterator");
	it->generation = mpr_generation();
	it->pool = pool;
	it->unordered = o->unordered;
	it->window = o->window ? o->window :
				 4 * atomic_load(&u.root->n_workers);
	if (it->window > WINDOW_MAX || !it->window)
		it->window = WINDOW_MAX;
	it->places = mpr_malloc(it->window * sizeof(*it->places));
	it->uses = mpr_malloc(it->window * sizeof(*it->uses));
	if (!it->places || !it->uses) {
		free_iter(it);
		return mpr_fail(-ENOMEM, "no memory for a window of %u",
				o->window);
	}
	*ret_it = it;
	return 0;
}

int
mproc_pool_imap(mproc_pool *pool, mproc_task *fn, mproc_source *next, void *src,
		const struct mproc_imap_opts *opts, mproc_iter **ret_it)
{
	struct mproc_imap_opts o;
	mproc_iter *it = NULL;
	int r = mpr_opts_read(&o, sizeof(o), opts);

	if (r < 0)
		return r;
	if (!fn || !next || !ret_it)
		return mpr_fail(-EINVAL, "%s is NULL", !fn ? "fn" :
						       !next ? "next" : "ret_it");
	if (o.window > WINDOW_MAX)
		return mpr_fail(-EINVAL, "window is %u, not up to %d", o.window,
				WINDOW_MAX);
	r = make(pool, &o, &it);
	if (r < 0)
		return r;
	it->fn = fn;
	it->next = next;
	it->src = src;
	/* So that workers begin. */
	r = fill(it);
	if (r < 0) {
		mproc_iter_close(it);
		return r;
	}
	*ret_it = it;
	return 0;
}
