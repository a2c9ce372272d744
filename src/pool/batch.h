/* SPDX-License-Identifier: MIT */
/*
 * Several tasks that travel as one: a chunk of an iterator. The input of that one is all
 * of theirs, one behind the other, and so is its result. A worker runs them in turn; an
 * error of one is in its place in the result. How many it has begun stands before the
 * inputs, for those who find it dead.
 */
#ifndef MPR_POOL_BATCH_H
#define MPR_POOL_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include <mproc/arena.h>
#include <mproc/pool.h>

/* Records, each with a head and bytes, in memory of one process. */
struct mpr_batch {
	char *bytes;
	size_t len;
	size_t room;
	size_t last; /* where the last record begins */
	unsigned n;
};

/* One of them. */
struct mpr_batch_record {
	int result;
	size_t len;
	const void *bytes; /* aligned to 16, as the first one is */
};

/* Adds an input of the function @fn (pool/code.h). Returns 0 or -ENOMEM, and it is not added. Who does that has no
 * results there. */
int mpr_batch_add(struct mpr_batch *b, uint64_t fn, const void *in, size_t len);

/* The next record of what lies at @bytes, *@at being 0 before the first. Returns 0,
 * -ENODATA at the end, or -EBADMSG. */
int mpr_batch_next(const char *bytes, size_t len, size_t *at,
		   struct mpr_batch_record *ret_record);

/* Of @f, which is one of several that a worker has died with: adds the inputs of those
 * that it had not begun. Returns how many it had begun, at least one; -ENOMEM; or
 * -EBADMSG. */
int mpr_batch_add_rest(struct mpr_batch *b, const mproc_arena *a,
		       const struct mproc_future *f);

void mpr_batch_clear(struct mpr_batch *b);
void mpr_batch_free(struct mpr_batch *b);

/* The task that runs them. */
mproc_task mpr_batch_run;

/* What the task leaves whose record is the last one. Returns 0; or -ENOMEM, and it is
 * what it was. */
int mpr_batch_set(struct mpr_batch *b, const void *p, size_t len);

#endif
