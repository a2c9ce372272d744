/* SPDX-License-Identifier: MIT */
/*
 * The processes that a pool's memory names as owners: of a future, who submitted it; of
 * the pool, who made it.
 */
#ifndef MPR_POOL_OWNER_H
#define MPR_POOL_OWNER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/task.h"
#include "pool/pool_shm.h"

struct mpr_pool_owner {
	pid_t pid;
	uint64_t since; /* a time at which it was that */
	uint64_t namespace; /* where it is that */
};

static inline struct mpr_pool_owner
mpr_pool_creator(const struct mpr_pool_use *u)
{
	return (struct mpr_pool_owner){
		(pid_t)atomic_load(&u->root->creator),
		atomic_load(&u->root->creator_since),
		atomic_load(&u->root->creator_namespace),
	};
}

/* If it is freed meanwhile, and is another one's, its word is not what it was. */
static inline struct mpr_pool_owner
mpr_future_owner(const struct mproc_future *f)
{
	return (struct mpr_pool_owner){
		(pid_t)atomic_load_explicit(&f->owner, memory_order_relaxed),
		atomic_load_explicit(&f->owner_since, memory_order_relaxed),
		atomic_load_explicit(&f->owner_namespace, memory_order_relaxed),
	};
}

static inline bool
mpr_pool_owner_is(const struct mpr_pool_owner *a, const struct mpr_pool_owner *b)
{
	return a->pid == b->pid && a->since == b->since &&
	       a->namespace == b->namespace;
}

/* Of one in another namespace nothing is known: its id is another's here. */
static inline bool
mpr_pool_owner_has_ended(const struct mpr_pool_owner *owner)
{
	return owner->namespace == mpr_task_namespace() &&
	       mpr_task_process_ended(owner->pid, owner->since);
}

#endif
