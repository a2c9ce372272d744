/* SPDX-License-Identifier: MIT */
/*
 * What dicts, sets and namespaces do with their tables: each function here is one
 * whole call of a user, with its checks, its lock and its error text.
 */
#ifndef MPR_CONTAINERS_TABLE_USE_H
#define MPR_CONTAINERS_TABLE_USE_H

#include <stdbool.h>
#include <stddef.h>

#include <mproc/any.h>

#include "containers/table.h"

/* A table of @kind in @a, or in the default arena if that is NULL. Returns 0, or a
 * negative error. */
int mpr_table_create(enum mpr_cell_kind kind, mproc_arena *a, void **ret);

void mpr_table_destroy(enum mpr_cell_kind kind, void *table);

/* Whether it is a table of @kind. Returns 0, or as mpr_visit_begin(), MPR_REMOTE
 * too: that is whose, and not whether it is there. */
int mpr_table_check(enum mpr_cell_kind kind, void *table);

/* Returns 0; -ENOENT; -ENOMEM; and those of mpr_visit_begin() and _lock(). */
int mpr_table_get(enum mpr_cell_kind kind, void *table,
		  const struct mproc_any *key, const struct mpr_want *want);

/* The same for what is an integer, a number or a text: mproc_dict_get_int() and so
 * on say what they return. */
int mpr_table_get_int(enum mpr_cell_kind kind, void *table,
		      const struct mproc_any *key, int64_t *ret_i);
int mpr_table_get_float(enum mpr_cell_kind kind, void *table,
			const struct mproc_any *key, double *ret_f);
int mpr_table_get_str(enum mpr_cell_kind kind, void *table,
		      const struct mproc_any *key, char *buf, size_t size,
		      size_t *ret_len);

/*
 * Something to be read of a stripe. @look returns what mpr_stripe_read() does, or
 * -EAGAIN if that can only be seen under the lock; @drop forgets what it has found.
 */
struct mpr_reading {
	int (*look)(const struct mpr_visit *v, struct mpr_reading *reading);
	void (*drop)(struct mpr_reading *reading);
};

/* Lets it look, under the lock if need be. Returns what it has returned, or as
 * mpr_visit_lock(). */
int mpr_stripe_read(struct mpr_visit *v, struct mpr_reading *reading);

/* A copy of a key or value whose meta word is @meta. Returns 0, -ENOMEM,
 * -EBADMSG, what there is no room for. */
int mpr_table_copy_words(const struct mpr_visit *v, uint64_t meta,
			 const _Atomic uint64_t *words,
			 const struct mpr_want *want);

/* The end of a call: the texts of what was found on the way, as that may have been
 * no error there. */
int mpr_table_finish(const struct mpr_visit *v, int r);

/* What a change is to do, once it has seen what is there. */
enum mpr_verdict {
	MPR_KEEP,
	MPR_PUT, /* *value, which is copied */
	MPR_REMOVE, /* what is there */
};

/* @at is where the key is, or would be. Returns an enum mpr_verdict, or a negative
 * error: nothing is changed then. */
typedef int mpr_decide(const struct mpr_visit *v, const struct mpr_place *at,
		       struct mproc_any *value, void *arg);

/* Changes the value of a key while nobody else can. Returns what @decide has; or
 * -ENOMEM, -ENOSPC, -EINVAL, -EFAULT, -EOVERFLOW, and those of mpr_visit_begin() and
 * _lock(). MPR_REMOTE, and nothing was done, if another process has the table:
 * @decide does not get there. The other functions here have that process do it. */
int mpr_table_change(enum mpr_cell_kind kind, void *table,
		     const struct mproc_any *key, mpr_decide *decide, void *arg);

/* Gives a key a value, whatever is there. Returns 0, or as mpr_table_change(). */
int mpr_table_set(enum mpr_cell_kind kind, void *table,
		  const struct mproc_any *key, struct mproc_any *value);

/* A copy of what is at a place, for @decide. Returns 0, -ENOMEM, -EBADMSG. */
int mpr_table_copy(const struct mpr_visit *v, const struct mpr_place *at,
		   const struct mpr_want *want);

/* Takes out a key, and its value. Returns 0; -ENOENT; as mpr_table_copy(); as
 * mpr_table_change(). */
int mpr_table_take(enum mpr_cell_kind kind, void *table,
		   const struct mproc_any *key, const struct mpr_want *want);

/* The number of keys. Returns 0, or as mpr_table_get(). */
int mpr_table_len(enum mpr_cell_kind kind, void *table, size_t *ret_len);

/* Takes all away. Returns 0, or as mpr_table_get(). */
int mpr_table_clear(enum mpr_cell_kind kind, void *table);

/* The next key, and its value; either may be NULL. Returns 0; -ENODATA; as
 * mpr_table_get(). */
int mpr_table_next(enum mpr_cell_kind kind, void *table,
		   struct mproc_cursor *cursor, struct mproc_any *ret_key,
		   struct mproc_any *ret_value);

/* Takes out any key, and its value; either may be NULL, and so may @room. Returns as
 * mpr_table_next(); what there is no room for. */
int mpr_table_pop(enum mpr_cell_kind kind, void *table, struct mpr_room *room,
		  struct mproc_any *ret_key, struct mproc_any *ret_value);

#endif
