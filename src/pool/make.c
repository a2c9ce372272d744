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
#include "os/task.h"
#include "pool/code.h"
#include "pool/entries.h"
#include "pool/keep.h"
#include "pool/keeper_word.h"
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
workers_live(const struct mpr_pool_use *u)
{
	struct mpr_pool_worker *record;

	for (unsigned w = 0; (record = mpr_pool_worker_at(u, w)); w++) {
		uint64_t word = mpr_keep_holder_of(record);

		if (word && !mpr_holder_is_dead(u->arena, word))
			return true;
	}
	return false;
}

/* The pool at @pool as whatever it is now. */
static struct mpr_pool_use
use_of(mproc_arena *a, mproc_pool *pool)
{
	return (struct mpr_pool_use){
		.pool = pool,
		.arena = a,
		.root = root_of(a, pool),
		.generation = atomic_load(&pool->cell.generation),
	};
}

int
mpr_pool_check_cell(const struct mpr_pool_use *u)
{
	struct mpr_self *self;
	int r = mpr_self(u->arena, &self);

	if (r == 0 &&
	    atomic_load(&u->pool->cell.word) != (mpr_holder(self) | MPR_GONE))
		r = mpr_fail(-ECHILD, "forked while it had a pool's cell");
	return r;
}

/* Its word becomes @word, if it is ours: a copy leaves it to its parent. */
static bool
leave_cell(const struct mpr_pool_use *u, uint64_t word)
{
	struct mpr_self *self;
	uint64_t mine;

	if (mpr_self(u->arena, &self) < 0)
		return false;
	mine = mpr_holder(self) | MPR_GONE;
	return atomic_compare_exchange_strong(&u->pool->cell.word, &mine, word);
}

/* Whether a process of an earlier pool in the cell, which is ours, may still be there.
 * If not, the keeper's word is ours, too, if there is one. */
static bool
is_busy(const struct mpr_pool_use *u, uint64_t mine)
{
	if (!u->root)
		return false;
	if (!mpr_keeper_seize(u, mine))
		return true;
	if (!workers_live(u))
		return false;
	mpr_keeper_end(u, mine);
	return true;
}

/* A cell that is the caller's, and nobody else's. */
static int
take_cell(struct mpr_self *self, struct mpr_pool_use *ret_u)
{
	struct mpr_pool_use busy[BUSY_MAX];
	void *cell = NULL;
	int r, n = 0;

	for (;;) {
		r = mpr_cell_create_in(self->arena, MPR_CELL_POOL, &cell);
		if (r < 0)
			break;
		*ret_u = use_of(self->arena, cell);
		if (!is_busy(ret_u, mpr_keeper_starter(self)))
			break;
		if (n == BUSY_MAX) {
			leave_cell(ret_u, MPR_GONE);
			r = mpr_fail(-EBUSY, "workers of %d pools whose "
				     "creators were killed do not end", n);
			break;
		}
		busy[n++] = *ret_u;
	}
	while (n)
		leave_cell(&busy[--n], MPR_GONE);
	return r;
}

static int
make_root(struct mpr_pool_use *u, struct mpr_self *self)
{
	struct mpr_block_ref ref;
	int r;

	if (u->root)
		return 0;
	r = mpr_heap_reserve(u->arena, self, sizeof(struct mpr_pool_root), &ref);
	if (r < 0)
		return r;
	u->root = mpr_arena_at(u->arena, ref.offset);
	u->root->mark = MPR_POOL_MARK + mpr_arena_offset(u->arena, u->pool);
	atomic_store(&u->root->keeper, mpr_keeper_starter(self));
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
	unsigned records = mpr_pool_is_inline(u) ? MPR_POOL_WORKERS_MAX : n;
	size_t size = records * sizeof(struct mpr_pool_worker);
	struct mpr_pool_worker *record;
	struct mpr_block_ref ref;
	int r;

	if (!mpr_pool_worker_at(u, records - 1) ||
	    (mpr_pool_is_inline(u) && atomic_load(&u->root->more))) {
		drop_block(u, self, &u->root->more);
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
		atomic_store(&record->begun, 0);
	}
	atomic_store(&u->root->n_workers, n);
	return 0;
}

int
mpr_pool_make_room(const struct mpr_pool_use *u, struct mpr_self *self, unsigned n)
{
	struct mpr_block_ref ref;
	unsigned first;
	int r;

	/* One block is enough for all that there may ever be. */
	if (mpr_pool_worker_at(u, n - 1))
		return 0;
	(void)mpr_pool_workers(u, &first);
	r = mpr_heap_reserve(u->arena, self, (MPR_POOL_WORKERS_MAX - first) *
			     sizeof(struct mpr_pool_worker), &ref);
	if (r < 0)
		return r;
	if (!mpr_block_try_link(u->arena, self, &ref, &u->root->more))
		mpr_block_cancel(self, &ref);
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

		/* What one who is dead was in the middle of freeing is settled before
		 * its home is gone. */
		if (mpr_future_state(word) == MPR_FUTURE_FREED)
			(void)mpr_keep_is_gone(u->arena, mpr_future_freer(word));
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

static bool
is_orphaned(const struct mpr_pool_use *u)
{
	const struct mpr_pool_owner creator = mpr_pool_creator(u);

	return mpr_pool_owner_has_ended(&creator);
}

/* Its creator was killed, and who worked for it has ended with that: gives it back, if
 * nobody has a future of it. Who waits for a task of others' may have a keeper do this,
 * or started already; so we are in the keeper's place meanwhile. */
static void
reclaim(const mproc_arena *a, void *object, void *ctx)
{
	struct mpr_self *self = ctx;
	const struct mpr_pool_use u = use_of(self->arena, object);
	uint64_t mine = mpr_keeper_starter(self);

	(void)a;
	/* Of what is being made there the creator may be half written. Whether that one is
	 * dead the kernel has to be asked, and most pools have a keeper. */
	if (!u.root || !mpr_pool_is_there(&u) || mpr_keeper_lives(&u) ||
	    !is_orphaned(&u) || is_wanted(&u) || mpr_keeper_claim(&u, mine, MPR_POOL_ENDED) < 0)
		return;
	/* From here on it stays there, unless its creator lives and frees it. First it
	 * takes no more tasks: who submits looks at that once its future is there. */
	if (is_orphaned(&u)) {
		mpr_pool_advance(&u, MPR_POOL_TERMINATING);
		if (!workers_live(&u) && !is_wanted(&u) &&
		    mpr_cell_take(MPR_CELL_POOL, u.pool,
				  mpr_pool_word(u.generation))) {
			if (mpr_keeper_end(&u, mine))
				mpr_pool_unmake(&u, self);
			else
				leave_cell(&u, MPR_GONE);
			return;
		}
	}
	mpr_keeper_give_back(&u, mine);
}

static void
write_root(const struct mpr_pool_use *u, struct mpr_self *self,
	   const struct mproc_pool_opts *o)
{
	struct mpr_pool_root *root = u->root;

	atomic_store(&root->creator, self->pid);
	atomic_store(&root->creator_since,
		     atomic_load(&self->shared->joined_at));
	atomic_store(&root->creator_namespace, mpr_task_namespace());
	atomic_store(&root->task_timeout, o->task_timeout.ns);
	atomic_store(&root->idle_timeout, o->idle_timeout.ns);
	atomic_store(&root->max_tasks, o->max_tasks_per_worker);
	atomic_store(&root->resting, 0);
	atomic_store(&root->surplus, 0);
	atomic_store(&root->given_up, 0);
	atomic_store(&root->retries, (uint32_t)o->retries);
	atomic_store(&root->backend, (uint32_t)o->backend);
	atomic_store(&root->broken, 0);
	atomic_store(&root->method, (uint32_t)o->method);
	for (unsigned i = 0; i < MPR_POOL_MODULES; i++)
		atomic_store(&root->modules[i], 0);
	atomic_store(&root->deaths, 0);
	atomic_store(&root->retried, 0);
	atomic_store(&root->keepers, 0);
	atomic_store(&root->kills_of, 0);
	mpr_entries_begin(u);
	memset(root->name, 0, sizeof(root->name));
	if (o->name)
		snprintf(root->name, sizeof(root->name), "%s", o->name);
}

/* Where functions are, once the method is known, and which one begins. */
static int
name_functions(const struct mpr_pool_use *u, const struct mproc_pool_opts *o)
{
	uint64_t image = 0, program = 0, code = 0;
	int r = mpr_code_image(u, &image);

	/* Without a build-id it stays 0, and who has another image can name no function. */
	(void)mpr_module_program(&program);
	atomic_store(&u->root->image, image);
	atomic_store(&u->root->program, program);
	if (r == 0 && o->initializer)
		r = mpr_code_of(u, (mpr_function *)o->initializer, &code);
	atomic_store(&u->root->initializer, code);
	return r;
}

/* The cell is ours, but in a copy: that is to notice it before it does much. */
static int
fill(struct mpr_pool_use *u, struct mpr_self *self,
     const struct mproc_pool_opts *o)
{
	int r = make_root(u, self);

	if (r == 0)
		r = mpr_pool_check_cell(u);
	if (r == 0) {
		/* Of one who died before the cell was free again. */
		drop_futures(u, self);
		drop_queue(u);
		write_root(u, self, o);
		r = name_functions(u, o);
	}
	if (r == 0)
		r = make_workers(u, self, (unsigned)o->workers);
	if (r == 0)
		r = mpr_pool_check_cell(u);
	if (r == 0)
		r = copy_init_arg(u, self, o);
	if (r == 0)
		r = mpr_pool_check_cell(u);
	if (r == 0 && !mpr_pool_is_inline(u))
		r = make_queue(u, self, o);
	if (r == 0)
		r = mpr_pool_check_cell(u);
	if (r == 0)
		atomic_store(&u->root->phase,
			     (uint64_t)u->generation << 32 | MPR_POOL_OPEN);
	return r;
}

int
mpr_pool_make(struct mpr_pool_use *ret_u, struct mpr_self *self,
	      const struct mproc_pool_opts *o, mproc_map_loop *loop)
{
	struct mpr_pool_use *u = ret_u;
	int r;

	mpr_cells_each(self->arena, MPR_CELL_POOL, reclaim, self);
	r = take_cell(self, u);
	if (r < 0)
		return r;
	u->loop = loop;
	r = fill(u, self, o);
	if (r < 0 && mpr_pool_check_cell(u) == 0) {
		if (u->root)
			mpr_keeper_end(u, mpr_keeper_starter(self));
		leave_cell(u, MPR_GONE);
	}
	return r;
}

bool
mpr_pool_open(const struct mpr_pool_use *u)
{
	return leave_cell(u, mpr_pool_word(u->generation));
}

bool
mpr_pool_free(const struct mpr_pool_use *u, struct mpr_self *self)
{
	if (!mpr_cell_take(MPR_CELL_POOL, u->pool, mpr_pool_word(u->generation)))
		return false;
	mpr_pool_unmake(u, self);
	return true;
}

void
mpr_pool_unmake(const struct mpr_pool_use *u, struct mpr_self *self)
{
	if (mpr_pool_check_cell(u) < 0)
		return;
	/* Of a keeper that has ended the pool, and may still be about to end itself. */
	atomic_store(&u->root->keeper, mpr_keeper_over(u->generation));
	drop_futures(u, self);
	if (mpr_pool_check_cell(u) < 0)
		return;
	drop_block(u, self, &u->root->init);
	if (mpr_pool_check_cell(u) < 0)
		return;
	drop_queue(u);
	leave_cell(u, MPR_GONE);
}
