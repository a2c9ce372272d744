/* SPDX-License-Identifier: MIT */
/*
 * What the functions of list.h do with a list that another process has: with a handle
 * for which mpr_list_look_up() has returned MPR_REMOTE. Their arguments were checked but
 * for the values.
 */
#ifndef MPR_CONTAINERS_LIST_REMOTE_H
#define MPR_CONTAINERS_LIST_REMOTE_H

#include <mproc/list.h>

#include "containers/remote.h"

/* Calls of @op with an index, a value, both, or several values; the result. */
int mpr_list_remote_at(mproc_list *list, enum mpr_remote_op op, int64_t index,
		       const struct mproc_any *value);
int mpr_list_remote_with(mproc_list *list, enum mpr_remote_op op,
			 const struct mproc_any *value);
int mpr_list_remote_extend(mproc_list *list, const struct mproc_any *values, size_t n);
int mpr_list_remote_replace(mproc_list *list, int64_t from, int64_t to,
			    const struct mproc_any *values, size_t n);

/* @op: MPR_OP_LIST_GET or MPR_OP_LIST_NEXT. */
int mpr_list_remote_read(mproc_list *list, enum mpr_remote_op op, int64_t index,
			 const struct mpr_want *want);
int mpr_list_remote_slice(mproc_list *list, int64_t from, int64_t to,
			  struct mproc_any *ret, size_t size, size_t *ret_n);

/* What is at @index, and an argument or none, to a value or nobody. */
int mpr_list_remote_pop(mproc_list *list, int64_t index, struct mproc_any *ret);
int mpr_list_remote_add(mproc_list *list, int64_t index, const struct mproc_any *n,
			struct mproc_any *ret_sum);

/* As mpr_remote_exchange(). */
int mpr_list_remote_exchange(mproc_list *list, int64_t index,
			     const struct mproc_any *expected,
			     const struct mproc_any *value, bool same);
int mpr_list_remote_update(mproc_list *list, int64_t index, mproc_update_fn *fn,
			   void *ctx);

/* MPR_OP_LIST_INDEX or MPR_OP_LIST_COUNT; @ret may be NULL. */
int mpr_list_remote_search(mproc_list *list, enum mpr_remote_op op,
			   const struct mproc_any *value, size_t *ret);

/* All values, which are the caller's, at *@ret, to be freed with each of them.
 * Returns 0, or a negative error. */
int mpr_list_remote_all(mproc_list *list, struct mproc_any **ret, size_t *ret_n);

/* As mpr_list_reorder_same(). */
int mpr_list_remote_reorder(mproc_list *list, const struct mproc_any *values, size_t n,
			    const uint64_t *order);

#endif
