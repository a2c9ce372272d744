/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arena/table.h"
#include "base/error.h"
#include "base/macros.h"
#include "ipc/queue_shm.h"
#include "pool/pool_shm.h"

static struct mpr_pool_root *
find_root(const mproc_arena *a, const mproc_pool *pool)
{
	/* Acquire pairs with the store that linked it: the mark is there. */
	uint64_t offset =
		atomic_load_explicit(&pool->root, memory_order_acquire);
	struct mpr_pool_root *root;

	if (!offset ||
	    !mpr_heap_is_linked(a, offset, sizeof(struct mpr_pool_root)))
		return NULL;
	root = mpr_arena_at(a, offset);
	return root->mark == MPR_POOL_MARK + mpr_arena_offset(a, pool) ? root :
									 NULL;
}

MPR_CHILD_PATH int
mpr_pool_look_up(mproc_pool *pool, struct mpr_pool_use *ret_u)
{
	mproc_arena *a = mpr_arena_of(pool);
	uint64_t at;

	if (!pool)
		return mpr_fail(-EINVAL, "pool is NULL");
	at = a ? mpr_arena_offset(a, pool) : 0;
	if (!a || !mpr_arena_has(a, at, sizeof(*pool)))
		return mpr_fail(-EFAULT, "%p is not shared memory",
				(void *)pool);
	/* Not even looked at, as it may lie anywhere. */
	if (at % MPR_CELL)
		return mpr_fail(-EINVAL, "%p is no pool", (void *)pool);
	*ret_u = (struct mpr_pool_use){
		.pool = pool,
		.arena = a,
		.root = find_root(a, pool),
		.generation = atomic_load(&pool->cell.generation),
		.loop = mproc_map_loop_near_,
	};
	if (!ret_u->root)
		return mpr_fail(-EINVAL, "%p is no pool", (void *)pool);
	if (!mpr_pool_is_there(ret_u))
		return mpr_fail(-ESTALE, "pool %p was freed", (void *)pool);
	return 0;
}

bool
mpr_pool_advance(const struct mpr_pool_use *u, enum mpr_pool_phase to)
{
	uint64_t word = atomic_load(&u->root->phase);
	uint64_t next = (uint64_t)u->generation << 32 | to;

	while (word >> 32 == u->generation && word < next)
		if (atomic_compare_exchange_strong(&u->root->phase, &word,
						   next))
			return true;
	return false;
}

void
mpr_pool_break(const struct mpr_pool_use *u, int error)
{
	uint64_t none = 0;

	atomic_compare_exchange_strong(&u->root->broken, &none,
				       UINT64_C(1) << 32 | (uint32_t)error);
	mpr_pool_advance(u, MPR_POOL_TERMINATING);
}

struct mpr_pool_label
mpr_pool_label(const struct mpr_pool_use *u)
{
	struct mpr_pool_label label;
	char name[MPR_POOL_NAME];

	/* Any process can write there. */
	memcpy(name, u->root->name, sizeof(name));
	name[sizeof(name) - 1] = '\0';
	if (name[0])
		snprintf(label.text, sizeof(label.text), "pool \"%s\"", name);
	else
		snprintf(label.text, sizeof(label.text), "pool %p",
			 (void *)u->pool);
	return label;
}

MPR_CHILD_PATH static struct mpr_pool_worker *
records_at(const struct mpr_pool_use *u, uint64_t offset, unsigned *ret_n)
{
	struct mpr_block_ref ref;
	size_t n;

	*ret_n = 0;
	if (!offset || !mpr_heap_find_linked(u->arena, offset, &ref))
		return NULL;
	n = ref.size / sizeof(struct mpr_pool_worker);
	*ret_n = n < MPR_POOL_WORKERS_MAX ? (unsigned)n : MPR_POOL_WORKERS_MAX;
	return mpr_arena_at(u->arena, offset);
}

MPR_CHILD_PATH struct mpr_pool_worker *
mpr_pool_workers(const struct mpr_pool_use *u, unsigned *ret_n)
{
	return records_at(u, atomic_load(&u->root->workers), ret_n);
}

MPR_CHILD_PATH struct mpr_pool_worker *
mpr_pool_worker_at(const struct mpr_pool_use *u, unsigned w)
{
	unsigned n;
	struct mpr_pool_worker *records = mpr_pool_workers(u, &n);

	if (w < n || w >= MPR_POOL_WORKERS_MAX)
		return w < n ? records + w : NULL;
	w -= n;
	/* Acquire pairs with the store that linked them: they are zeroed. */
	records = records_at(u, atomic_load(&u->root->more), &n);
	return w < n ? records + w : NULL;
}

struct mpr_pool_worker *
mpr_workers_next(struct mpr_workers_walk *walk)
{
	const struct mpr_pool_root *root = walk->use->root;

	while (!walk->left && walk->blocks < 2) {
		uint64_t offset = atomic_load(walk->blocks ? &root->more :
							     &root->workers);

		walk->next = records_at(walk->use, offset, &walk->left);
		walk->blocks++;
	}
	/* Any process can write those offsets. */
	if (!walk->left || walk->n == MPR_POOL_WORKERS_MAX)
		return NULL;
	walk->left--;
	walk->n++;
	return walk->next++;
}

MPR_CHILD_PATH mproc_queue *
mpr_pool_queue(const struct mpr_pool_use *u)
{
	uint64_t offset = atomic_load(&u->root->queue);

	/* What is no queue its own functions refuse. */
	return mpr_arena_has(u->arena, offset, sizeof(uint64_t)) ?
		       mpr_arena_at(u->arena, offset) : NULL;
}

bool
mpr_pool_shut_queue(const struct mpr_pool_use *u)
{
	/* Who keeps it may not know yet that somebody has scribbled, and another pool is there
	 * by now. */
	return atomic_load(&u->pool->cell.generation) == u->generation &&
	       mpr_queue_shut_at(u->arena, &u->root->queue, &u->root->queue_open);
}
