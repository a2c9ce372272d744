/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a map: its shares are taken, worked on, and given back; by the keeper
 * if a worker is dead. It is DONE when the last one is.
 */
#ifndef MPR_POOL_MAP_H
#define MPR_POOL_MAP_H

#include "pool/map_shm.h"
#include "pool/task.h"

/* A map as a call has found it: what it says of itself has been checked, and is not
 * read again. */
struct mpr_map_use {
	const struct mpr_pool_use *pool;
	struct mproc_future *f;
	struct mpr_map *map;
	struct mpr_map_share *shares;
	_Atomic uint64_t *bits; /* by item: it has failed */
	uint64_t n;
	uint64_t chunk;
	uint64_t largest;
	uint64_t n_chunks;
	unsigned n_shares;
	unsigned round;
	size_t size; /* of the block */
};

/* Bytes from the future to what lies behind the bits. */
size_t mpr_map_size(uint64_t n, unsigned n_shares);

/* Returns false if there is no map. */
bool mpr_map_look_at(const struct mpr_pool_use *u, struct mproc_future *f,
		     struct mpr_map_use *ret_m);

/* Whether there is a share that nobody has, and for which there is something to do; and
 * @id is the future's. */
bool mpr_map_waits(const struct mpr_map_use *m, uint64_t id);

/* Puts hints for those: for each that has an item, and as many as there are to be workers.
 * As mpr_task_announce(). */
int mpr_map_announce(const struct mpr_map_use *m, uint64_t id);

/* Takes one of those, and does what it can. */
void mpr_map_run(struct mpr_worker *me, const struct mpr_map_use *m, uint64_t id);

/* Makes it DONE if it is at its end. Whoever may have brought it there calls this
 * afterwards. Any number may do so at once. */
void mpr_map_settle(const struct mpr_map_use *m, struct mpr_self *self,
		    uint64_t id);

/* Nobody has begun it: for the reason @why it comes to its end. Returns whether that
 * was so. */
bool mpr_map_drop(const struct mpr_map_use *m, struct mpr_self *self, uint64_t id,
		  uint64_t why);

/* It was revoked: all who have a share are doomed. The caller wakes the keeper. */
void mpr_map_doom(const struct mpr_map_use *m, uint64_t id);

/* It was revoked. Calls @fn, which kills it, for each worker that has a share. It cannot
 * give that back any more. */
typedef void mpr_map_worker_fn(void *ctx, unsigned worker);
void mpr_map_each_worker(const struct mpr_map_use *m, uint64_t id,
			 mpr_map_worker_fn *fn, void *ctx);

/* Worker @number is dead: as mpr_task_bury(). */
bool mpr_map_bury(const struct mpr_map_use *m, struct mpr_self *self,
		  unsigned number, const struct mproc_exit *end);

/* By the keeper: whether the item that worker @number has begun has taken longer than
 * @limit; or *@ret_next is when it will have. */
bool mpr_map_is_overdue(const struct mpr_map_use *m, unsigned number, int64_t limit,
			int64_t now, int64_t *ret_next);

/* Items that are done, whether well or not; about, as long as it is not. */
uint64_t mpr_map_progress(const struct mpr_map_use *m);

/* The first item from *@item on that has failed, or was not done, of a map that is
 * DONE, as @word says. Returns its error; 0 if there is none. */
int mpr_map_next_failed(const struct mpr_map_use *m, uint64_t word,
			uint64_t *item);

/* What a map that is DONE, as @word says, has come to: 0, or a negative error; then
 * *@ret_item is the first item that is not done well, and *@ret_items how many
 * are not. */
int mpr_map_result(const struct mpr_map_use *m, uint64_t word, size_t *ret_item,
		   size_t *ret_items);

/* As mpr_future_read(). */
struct mpr_future_use;
int mpr_map_read(const struct mpr_future_use *u, const struct mpr_map_use *m,
		 uint64_t word, void *out, size_t size, size_t *ret_len);

#endif
