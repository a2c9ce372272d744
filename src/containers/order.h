/* SPDX-License-Identifier: MIT */
/*
 * Which of two values comes first, as Python has it.
 */
#ifndef MPR_CONTAINERS_ORDER_H
#define MPR_CONTAINERS_ORDER_H

#include <stdbool.h>

#include <mproc/any.h>

/*
 * Whether @a is less than @b: integers, numbers and truth values by what they are,
 * exactly; texts by their bytes, which is the order of their characters; bytes so
 * too. A not-a-number is less than nothing, and nothing is less than that. Returns
 * 0, or -EPROTOTYPE if there is no order between such kinds.
 */
int mpr_any_is_less(const struct mproc_any *a, const struct mproc_any *b,
		    bool *ret);

#endif
