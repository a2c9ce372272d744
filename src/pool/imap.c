/* SPDX-License-Identifier: MIT */
/*
 * Iterators over results: in memory of the process that has made one. There are as many
 * tasks at a time as its window has places; what the source gives next is submitted when
 * the next result is asked for. With chunks, a place has a task that runs several
 * (pool/batch.h), and is free once all of their results were taken.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/opts.h"
#include "os/generation.h"
#include "pool/batch.h"
#include "pool/callback.h"
#include "pool/code.h"
#include "pool/future.h"
#include "pool/submit.h"
#include "pool/worker.h"

#define WINDOW_MAX (1 << 16)

struct place {
	struct mpr_future_use use;
	size_t item; /* the first */
	unsigned n; /* items */
};

struct mproc_iter {
	uint64_t generation; /* of the process */
	mproc_pool *pool;
	uint32_t pool_generation; /* of its cell: which pool that is */
	mproc_task *fn;
	uint64_t code; /* of that, in chunks */
	mproc_source *next;
	void *src;
	bool unordered;
	unsigned chunk; /* items of a place */
	unsigned n_places;
	unsigned first; /* place of the oldest; 0 if unordered */
	unsigned count;
	struct place *places;
	struct mpr_future_use *uses; /* for a wait for many, if unordered */
	/* Of the source. */
	size_t items; /* that it has given */
	bool has_one; /* that was not submitted */
	const void *in;
	size_t len;
	struct mpr_batch inputs; /* of a chunk that was not submitted */
	bool ended;
	int error; /* that is to be told when all before it were */
	/* The chunk whose results are being taken: that of place 0. */
	unsigned left; /* of them; 0: there is none */
	bool lost; /* they have all failed, for one reason */
	bool has_rest; /* place 0 has those of the chunk that were not begun */
	size_t next_item; /* the number of the next one */
	char *results; /* otherwise: these */
	size_t results_len;
	size_t at; /* the next one */
	/* Of the result that was taken last. */
	size_t item;
	bool failed;
	struct mproc_task_error why;
};

static struct place *
place_at(const mproc_iter *it, unsigned i)
{
	return &it->places[(it->first + i) % it->n_places];
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

/* Collects a chunk. Returns how many it has, or -ENOMEM. */
static int
gather(mproc_iter *it)
{
	int r;

	while (it->inputs.n < it->chunk && ask_source(it)) {
		r = mpr_batch_add(&it->inputs, it->code, it->in, it->len);
		if (r < 0)
			return r;
		it->has_one = false;
	}
	return (int)it->inputs.n;
}

/* To the iterator's pool. Another one may be in its cell by now, where the names of
 * functions in a chunk mean nothing. */
static int
submit_to_pool(const mproc_iter *it, mproc_task *fn, const void *in, size_t len,
	       mproc_future **ret_f)
{
	struct mpr_pool_use u;
	int r = mpr_pool_look_up(it->pool, &u);

	if (r == 0 && u.generation != it->pool_generation)
		r = mpr_fail(-ESTALE, "the iterator's pool was freed");
	return r < 0 ? r : mpr_submit_task(&u, fn, in, len, ret_f);
}

/* The next one, or chunk of them. Returns how many these are, or a negative error. */
static int
submit(mproc_iter *it, mproc_future **ret_f)
{
	int n, r;

	if (it->chunk == 1) {
		if (!ask_source(it))
			return 0;
		r = submit_to_pool(it, it->fn, it->in, it->len, ret_f);
		it->has_one = r < 0;
		return r < 0 ? r : 1;
	}
	n = gather(it);
	if (n <= 0)
		return n;
	r = submit_to_pool(it, mpr_batch_run, it->inputs.bytes, it->inputs.len,
			   ret_f);
	if (r < 0)
		return r;
	mpr_batch_clear(&it->inputs);
	return n;
}

/* Until the window is full. An error counts if nothing is on its way; otherwise it is
 * seen again. */
static int
fill(mproc_iter *it)
{
	struct place *place;
	mproc_future *f;
	int n, r;

	while (it->count < it->n_places) {
		n = submit(it, &f);
		if (n < 0)
			return it->count ? 0 : n;
		if (n == 0)
			break;
		place = place_at(it, it->count);
		place->item = it->items;
		place->n = (unsigned)n;
		it->items += place->n;
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
	return mpr_future_is_done(mpr_future_word_of(&place->use));
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
		it->first = (it->first + 1) % it->n_places;
}

/* It was not taken, and is the next one still. */
static void
put_first(mproc_iter *it, unsigned i)
{
	struct place place = *place_at(it, i);

	*place_at(it, i) = *place_at(it, 0);
	*place_at(it, 0) = place;
}

/* A worker has died with the chunk: those of its tasks that it had not begun are for
 * another one. Returns how many are lost. */
static unsigned
resubmit(mproc_iter *it, struct place *place)
{
	const struct mpr_future_use *u = &place->use;
	struct mpr_batch rest = { 0 };
	struct mpr_future_use next;
	unsigned lost = place->n;
	mproc_future *f = NULL;
	int r = mpr_batch_add_rest(&rest, u->pool.arena, u->f);

	if (r > 0 && rest.n && rest.n == place->n - (unsigned)r)
		lost = (unsigned)r;
	/* If the pool takes no more, they are lost as well. */
	if (lost < place->n &&
	    (submit_to_pool(it, mpr_batch_run, rest.bytes, rest.len, &f) < 0 ||
	     mpr_future_look_up(f, &next) < 0))
		lost = place->n;
	mpr_batch_free(&rest);
	it->has_rest = lost < place->n;
	if (!it->has_rest)
		return lost;
	mpr_future_close(u);
	place->use = next;
	place->item += lost;
	place->n -= lost;
	return lost;
}

/* Of place 0, which is done: all results of its chunk, to be taken one by one. */
static int
open_chunk(mproc_iter *it)
{
	struct place *place = place_at(it, 0);
	size_t len = 0;
	char *results;
	int r = mpr_future_read(&place->use, NULL, 0, &len);

	it->lost = r == MPROC_TASK_FAILED;
	it->results_len = it->at = 0;
	if (r == -EMSGSIZE) {
		results = mpr_realloc(it->results, len);
		if (!results)
			return mpr_fail(-ENOMEM, "no memory for %zu bytes of "
					"results", len);
		it->results = results;
		it->results_len = len;
		r = mpr_future_read(&place->use, results, len, &len);
	}
	if (r < 0)
		return r;
	if (it->lost && mproc_future_error(place->use.f, &it->why) < 0)
		it->why = (struct mproc_task_error){ .error = -EBADMSG };
	it->next_item = place->item;
	it->has_rest = false;
	it->left = it->lost && (it->why.error == -EOWNERDEAD ||
				it->why.error == -ETIMEDOUT) ?
			   resubmit(it, place) : place->n;
	return 0;
}

static int
has_failed(const mproc_iter *it)
{
	mpr_fail(it->why.error, "the task failed: %s",
		 mproc_strerror(it->why.error));
	return MPROC_TASK_FAILED;
}

static void
note_error(mproc_iter *it, const struct mpr_batch_record *record)
{
	const struct mproc_future *f = place_at(it, 0)->use.f;
	size_t len = record->len;

	it->why = (struct mproc_task_error){
		.error = record->result,
		.pid = (pid_t)atomic_load(&f->pid),
		.worker = (int)atomic_load(&f->worker),
	};
	mpr_worker_name(&place_at(it, 0)->use.pool, atomic_load(&f->worker),
			it->why.name);
	if (len >= sizeof(it->why.text))
		len = sizeof(it->why.text) - 1;
	memcpy(it->why.text, record->bytes, len);
}

/* The next result of the chunk. */
static int
read_record(mproc_iter *it, void *out, size_t size, size_t *ret_len)
{
	struct mpr_batch_record record;
	size_t at = it->at;
	int r;

	if (it->lost)
		return has_failed(it);
	r = mpr_batch_next(it->results, it->results_len, &at, &record);
	if (r < 0)
		return mpr_fail(-EBADMSG, "what a chunk has left is corrupt");
	if (record.result < 0) {
		note_error(it, &record);
		record.len = 0;
	}
	if (ret_len)
		*ret_len = record.len;
	if (record.len > size)
		return mpr_fail(-EMSGSIZE, "the result has %zu bytes, there is "
				"room for %zu", record.len, size);
	if (record.len)
		memcpy(out, record.bytes, record.len);
	it->at = at;
	return record.result < 0 ? has_failed(it) : 0;
}

/* The same with what is known of it, of place 0. */
static int
take_record(mproc_iter *it, void *out, size_t size, size_t *ret_len)
{
	int r = it->left ? 0 : open_chunk(it);

	if (r == 0)
		r = read_record(it, out, size, ret_len);
	if (r < 0)
		return r;
	it->item = it->next_item++;
	it->failed = r == MPROC_TASK_FAILED;
	it->why.item = it->item;
	if (!--it->left && !it->has_rest)
		leave(it, 0);
	return r;
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
	i = it->left ? 0 : await(it, timeout);
	/* Signal handlers may fork. */
	r = check(it);
	if (r < 0 || i < 0)
		return r < 0 ? r : i;
	if (it->chunk > 1) {
		put_first(it, (unsigned)i);
		return take_record(it, out, size, ret_len);
	}
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
	mpr_batch_free(&it->inputs);
	free(it->results);
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
make(mproc_pool *pool, mproc_task *fn, const struct mproc_imap_opts *o,
     mproc_iter **ret_it)
{
	struct mpr_pool_use u;
	uint64_t code = 0;
	mproc_iter *it;
	int r = mpr_pool_look_up(pool, &u);

	if (r == 0)
		r = mpr_code_of(&u, (mpr_function *)fn, &code);
	if (r < 0)
		return r;
	it = mpr_zalloc(sizeof(*it));
	if (!it)
		return mpr_fail(-ENOMEM, "no memory for an iterator");
	it->generation = mpr_generation();
	it->pool = pool;
	it->pool_generation = u.generation;
	it->fn = fn;
	it->code = code;
	it->unordered = o->unordered;
	it->chunk = o->chunk ? o->chunk : 1;
	if (o->window && it->chunk > o->window)
		it->chunk = o->window;
	it->n_places = o->window ? o->window / it->chunk :
				   4 * atomic_load(&u.root->n_workers);
	if (it->n_places > WINDOW_MAX || !it->n_places)
		it->n_places = WINDOW_MAX;
	it->places = mpr_malloc(it->n_places * sizeof(*it->places));
	it->uses = mpr_malloc(it->n_places * sizeof(*it->uses));
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
	if (o.window > WINDOW_MAX || o.chunk > WINDOW_MAX)
		return mpr_fail(-EINVAL, "window is %u and chunk %u, not up to %d",
				o.window, o.chunk, WINDOW_MAX);
	r = make(pool, fn, &o, &it);
	if (r < 0)
		return r;
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
