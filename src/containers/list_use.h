/* SPDX-License-Identifier: MIT */
/*
 * What a manager asks of lists that users do not: each function here is one whole call,
 * with its checks, its lock and its error text.
 */
#ifndef MPR_CONTAINERS_LIST_USE_H
#define MPR_CONTAINERS_LIST_USE_H

#include <stddef.h>
#include <stdint.h>

#include <mproc/list.h>

#include "containers/any.h"

/* Whether it is a list at hand that exists. Returns 0; -EINVAL; -EFAULT; -ESTALE. */
int mpr_list_check(mproc_list *list);

/* As mproc_list_pop(), if @room, which may be NULL, has room for it. */
int mpr_list_take(mproc_list *list, int64_t index, struct mpr_room *room,
		  struct mproc_any *ret);

/* As mproc_list_slice(); -EMSGSIZE, with *@ret_n, also if they have more than @most
 * bytes together, and one for each. */
int mpr_list_slice_most(mproc_list *list, int64_t from, int64_t to,
			struct mproc_any *ret, size_t size, size_t most,
			size_t *ret_n);

/* If the list is these @n values, kind and bits, the one at @order[i] comes to i, for
 * each; no number is there twice, or above @n. Returns 1; 0 if it is something else; a
 * negative error, as mproc_list_sort(). */
int mpr_list_reorder_same(mproc_list *list, const struct mproc_any *values, size_t n,
			  const uint64_t *order);

#endif
