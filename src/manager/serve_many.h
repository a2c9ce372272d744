/* SPDX-License-Identifier: MIT */
/*
 * Many keys of a table in one request. As many are carried out, from the first on, as an
 * answer has room for; the client asks again for the rest.
 */
#ifndef MPR_MANAGER_SERVE_MANY_H
#define MPR_MANAGER_SERVE_MANY_H

#include "manager/serve_list.h"

/* MPR_OP_GET_MANY, MPR_OP_SET_MANY. Return how many keys were read or set; or what is
 * wrong about the first one. */
int mpr_serve_many_get(const struct mpr_object *o, struct mpr_remote_call *call,
		       const struct mpr_serve_limits *limits);
int mpr_serve_many_set(const struct mpr_object *o, struct mpr_remote_call *call,
		       const struct mpr_serve_limits *limits);

#endif
