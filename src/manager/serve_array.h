/* SPDX-License-Identifier: MIT */
/*
 * What clients ask of values and arrays, done here.
 */
#ifndef MPR_MANAGER_SERVE_ARRAY_H
#define MPR_MANAGER_SERVE_ARRAY_H

#include "manager/serve_list.h"

/* As mpr_serve_list(). */
int mpr_serve_array(const struct mpr_object *o, struct mpr_remote_call *call,
		    const struct mpr_serve_limits *limits);

/* FIND of one: name, bytes of an element, how many, and what they are in the beginning,
 * or nil. Gives its number. */
int mpr_serve_array_find(struct mpr_objects *objects, mproc_arena *a,
			 const char *name, const struct mproc_any *shape,
			 unsigned n, int64_t *ret_id);

#endif
