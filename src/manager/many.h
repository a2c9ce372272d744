/* SPDX-License-Identifier: MIT */
/*
 * Many values, of a request or for an answer, while a call is carried out.
 */
#ifndef MPR_MANAGER_MANY_H
#define MPR_MANAGER_MANY_H

#include "manager/serve_list.h"

struct mpr_many {
	struct mproc_any *values; /* to be freed; NULL if there are none */
	size_t n;
};

/* Memory for @n of them. Returns 0; -ENOMEM, with a text. */
int mpr_many_allocate(struct mpr_many *many, size_t n,
		      const struct mpr_serve_limits *limits);

/* Those in a row, with their bytes where they lie. Returns 0; -EINVAL if it is none;
 * -ENOMEM. */
int mpr_many_read(struct mpr_many *many, const struct mproc_any *row,
		  const struct mpr_serve_limits *limits);

#endif
