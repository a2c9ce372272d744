/* SPDX-License-Identifier: MIT */
/*
 * A pool's memory. The root, the workers' records and the groups of entries stay with
 * the cell, for the next pool there: who comes late finds that it is another one by
 * the generation, and not somebody else's bytes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "ipc/queue_shm.h"
#include "os/image.h"
#include "os/task.h"
#include "pool/entries.h"
#include "pool/owner.h"
#include "pool/pool.h"

/* So many cells may still have workers of a pool whose creator was killed. */
#define BUSY_MAX 8

static struct mpr_pool_root *
root_of(const mproc_arena *a, const mproc_pool *pool)
{
	uint64_t offset = atomic_load(&pool->root);

	return offset && mpr_heap_is_linked(a, offset,
					    sizeof(struct mpr_pool_root)) ?
		       mpr_arena_at(a, offset) : NULL;
}

static bool
lives(const mproc_arena *a, uint64_t word)
{
	return word & MPR_HELD && !mpr_holder_is_dead(a, word);
}

static bool
workers_live(const struct mpr_pool_use *u)
{
	struct mpr_pool_worker *record;

	for (unsigned w = 0; (record = mpr_pool_worker_at(u, w)); w++) {
		uint64_t word = atomic_load(&record->word);

		/* One that is being forked finds that it is too late; or was not. */
		if (word && !(word & MPR_HELD))
			atomic_compare_exchange_strong(&record->word, &word, 0);
		if (lives(u->arena, word))
			return true;
	}
	return false;
}

/* Whether a process of an earlier pool in that cell may still be there. */
static bool
is_busy(mproc_arena *a, mproc_pool *pool)
{
	struct mpr_pool_use u = { .pool = pool, .arena = a };

	u.root = root_of(a, pool);
	return u.root && (lives(a, atomic_load(&u.root->keeper)) ||
			  workers_live(&u));
}

/* A cell that is the caller's, and nobody else's. */
static int
take_cell(mproc_arena *a, mproc_pool **ret_pool)
{
	mproc_pool *busy[BUSY_MAX];
	void *cell = NULL;
	int r, n = 0;

	for (;;) {
		r = mpr_cell_create_in(a, MPR_CELL_POOL, &cell);
		if (r < 0 || !is_busy(a, cell))
			break;
		if (n == BUSY_MAX) {
			mpr_cell_open(cell, MPR_GONE);
			r = mpr_fail(-EBUSY, "workers of %d pools whose "
				     "creators were killed do not end", n);
			break;
		}
		busy[n++] = cell;
	}
	while (n)
		mpr_cell_open(busy[--n], MPR_GONE);
	*ret_pool = cell;
	return r;
}

static int
make_root(const struct mpr_pool_use *u, struct mpr_self *self,
	  struct mpr_pool_root **ret_root)
{
	struct mpr_block_ref ref;
	int r;

	*ret_root = root_of(u->arena, u->pool);
	if (*ret_root)
		return 0;
	r = mpr_heap_reserve(u->arena, self, sizeof(struct mpr_pool_root), &ref);
	if (r < 0)
		return r;
	*ret_root = mpr_arena_at(u->arena, ref.offset);
	(*ret_root)->mark = MPR_POOL_MARK + mpr_arena_offset(u->arena, u->pool);
	mpr_block_link(u->arena, self, &ref, &u->pool->root);
	return 0;
}

/* Unlinks what @link names, if it names something. */
static void
drop_block(const struct mpr_pool_use *u, struct mpr_self *self,
	   _Atomic uint64_t *link)
{
	struct mpr_block_ref ref;

	if (atomic_load(link) && mpr_heap_find_at(u->arena, link, &ref))
		mpr_block_unlink(u->arena, self, &ref, link, 0);
}

static int
make_workers(const struct mpr_pool_use *u, struct mpr_self *self, unsigned n)
{
	size_t size = n * sizeof(struct mpr_pool_worker);
	struct mpr_pool_worker *record;
	struct mpr_block_ref ref;
	int r;

	if (!mpr_pool_worker_at(u, n - 1)) {
		drop_block(u, self, &u->root->workers);
		r = mpr_heap_reserve(u->arena, self, size, &ref);
		if (r < 0)
			return r;
		mpr_block_link(u->arena, self, &ref, &u->root->workers);
	}
	for (unsigned w = 0; (record = mpr_pool_worker_at(u, w)); w++) {
		atomic_store(&record->word, 0);
		atomic_store(&record->doomed, 0);
		atomic_store(&record->lease, 0);
		atomic_store(&record->done, 0);
	}
	atomic_store(&u->root->n_workers, n);
	return 0;
}

static int
copy_init_arg(const struct mpr_pool_use *u, struct mpr_self *self,
	      const struct mproc_pool_opts *o)
{
	struct mpr_block_ref ref;
	void *copy = o->init_arg;
	int r;

	drop_block(u, self, &u->root->init);
	if (o->init_size) {
		r = mpr_heap_reserve_dirty(u->arena, self, o->init_size, &ref);
		if (r < 0)
			return r;
		copy = mpr_arena_at(u->arena, ref.offset);
		memcpy(copy, o->init_arg, o->init_size);
		mpr_block_link(u->arena, self, &ref, &u->root->init);
	}
	atomic_store(&u->root->init_arg, (uint64_t)(uintptr_t)copy);
	return 0;
}

static void
drop_queue(const struct mpr_pool_use *u)
{
	mpr_queue_destroy_at(u->arena, &u->root->queue, &u->root->queue_open);
}

static int
make_queue(const struct mpr_pool_use *u, struct mpr_self *self,
	   const struct mproc_pool_opts *o)
{
	struct mproc_queue_opts qo = {
		.struct_size = sizeof(qo),
		.name = o->name,
		/* For some 100,000 tasks of each thread that submits. */
		.capacity = 4 << 20,
		.max_message = sizeof(struct mpr_pool_hint),
		.ack = true,
		.max_redeliveries = -1,
		.arena = u->arena,
	};

	return mpr_queue_create_at(u->arena, self, &qo, &u->root->queue,
				   &u->root->queue_open);
}

static void
drop_futures(const struct mpr_pool_use *u, struct mpr_self *self)
{
	struct mpr_entries_walk walk = mpr_entries_walk(u);
	struct mproc_future *f;

	while ((f = mpr_entries_next(&walk))) {
		uint64_t word = atomic_load(&f->cell.word);

		/* Who is late with it finds that it is not its own: a submitter
		 * that has slept since it was linked. */
		while (mpr_future_state(word) != MPR_FUTURE_FREED &&
		       !atomic_compare_exchange_strong(&f->cell.word, &word,
						       mpr_future_freed(self)))
			;
		mpr_future_free(u->arena, self, f);
	}
}

/* Whether a process that is there may ask for a future of it. */
static bool
is_wanted(const struct mpr_pool_use *u)
{
	struct mpr_entries_walk walk = mpr_entries_walk(u);
	const struct mproc_future *f;

	while ((f = mpr_entries_next(&walk))) {
		uint64_t word = atomic_load(&f->cell.word);
		struct mpr_pool_owner owner = mpr_future_owner(f);

		if (!(word & MPR_FUTURE_ABANDONED) &&
		    !mpr_pool_owner_has_ended(&owner))
			return true;
	}
	return false;
}

/* Its creator was killed, and who works for it has ended with that. Nobody knows of
 * it but, maybe, who waits for a task: that one has a keeper do this. */
static bool
is_left(const struct mpr_pool_use *u)
{
	const struct mpr_pool_owner creator = mpr_pool_creator(u);

	return !(atomic_load(&u->pool->cell.word) & MPR_GONE) &&
	       atomic_load(&u->pool->cell.generation) == u->generation &&
	       mpr_pool_owner_has_ended(&creator) && !workers_live(u) &&
	       !is_wanted(u);
}

static void
reclaim(const mproc_arena *a, void *object, void *ctx)
{
	struct mpr_self *self = ctx;
	struct mpr_pool_use u = {
		.pool = object,
		.arena = self->arena,
		.root = root_of(a, object),
	};
	uint64_t word, mine = mpr_holder(self) | MPR_HANDED;

	u.generation = atomic_load(&u.pool->cell.generation);
	if (!u.root || !is_left(&u))
		return;
	/* One at a time, and nobody who starts a keeper. */
	word = atomic_load(&u.root->keeper);
	if (lives(a, word) ||
	    !atomic_compare_exchange_strong(&u.root->keeper, &word, mine))
		return;
	/* Again, as another pool may have been made here. */
	if (is_left(&u) && mpr_cell_take(MPR_CELL_POOL, u.pool)) {
		mpr_pool_advance(&u, MPR_POOL_ENDED);
		atomic_store(&u.root->keeper, 0);
		mpr_pool_unmake(&u, self);
	} else {
		atomic_compare_exchange_strong(&u.root->keeper, &mine, 0);
	}
}

static void
write_root(const struct mpr_pool_use *u, struct mpr_self *self,
	   const struct mproc_pool_opts *o)
{
	struct mpr_pool_root *root = u->root;
	union {
		mproc_entry *fn;
		uint64_t word;
	} initializer = { .word = 0 };

	initializer.fn = o->initializer;
	atomic_store(&root->keeper, 0);
	atomic_store(&root->creator, self->pid);
	atomic_store(&root->creator_since,
		     atomic_load(&self->shared->joined_at));
	atomic_store(&root->creator_namespace, mpr_task_namespace());
	atomic_store(&root->image, mpr_image_mark());
	atomic_store(&root->task_timeout, o->task_timeout.ns);
	atomic_store(&root->idle_timeout, o->idle_timeout.ns);
	atomic_store(&root->max_tasks, o->max_tasks_per_worker);
	atomic_store(&root->resting, 0);
	atomic_store(&root->retries, (uint32_t)o->retries);
	atomic_store(&root->broken, 0);
	atomic_store(&root->initializer, initializer.word);
	atomic_store(&root->deaths, 0);
	atomic_store(&root->retried, 0);
	atomic_store(&root->keepers, 0);
	memset(root->name, 0, sizeof(root->name));
	if (o->name)
		snprintf(root->name, sizeof(root->name), "%s", o->name);
}

int
mpr_pool_make(struct mpr_pool_use *ret_u, struct mpr_self *self,
	      const struct mproc_pool_opts *o)
{
	struct mpr_pool_use *u = ret_u;
	int r;

	*u = (struct mpr_pool_use){ .arena = self->arena };
	mpr_cells_each(u->arena, MPR_CELL_POOL, reclaim, self);
	r = take_cell(u->arena, &u->pool);
	if (r < 0)
		return r;
	u->generation = atomic_load(&u->pool->cell.generation);
	r = make_root(u, self, &u->root);
	if (r == 0) {
		/* Of one who died before the cell was free again. */
		drop_futures(u, self);
		drop_queue(u);
		write_root(u, self, o);
		r = make_workers(u, self, (unsigned)o->workers);
	}
	if (r == 0)
		r = copy_init_arg(u, self, o);
	if (r == 0)
		r = make_queue(u, self, o);
	if (r < 0) {
		mpr_cell_open(u->pool, MPR_GONE);
		return r;
	}
	atomic_store(&u->root->phase,
		     (uint64_t)u->generation << 32 | MPR_POOL_OPEN);
	return 0;
}

void
mpr_pool_unmake(const struct mpr_pool_use *u, struct mpr_self *self)
{
	drop_futures(u, self);
	drop_block(u, self, &u->root->init);
	drop_queue(u);
	mpr_cell_open(u->pool, MPR_GONE);
}
