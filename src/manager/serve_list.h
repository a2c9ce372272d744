/* SPDX-License-Identifier: MIT */
/*
 * What clients ask of lists, done here.
 */
#ifndef MPR_MANAGER_SERVE_LIST_H
#define MPR_MANAGER_SERVE_LIST_H

#include "containers/remote.h"
#include "manager/objects.h"

/* What many values may take. */
struct mpr_serve_limits {
	size_t max_message; /* bytes of an answer */
	size_t memory;	    /* bytes of private memory that may be had at the moment */
	struct mpr_room *room; /* in the answer */
};

/* As mpr_serve_table(). */
int mpr_serve_list(const struct mpr_object *o, struct mpr_remote_call *call,
		   const struct mpr_serve_limits *limits);

#endif
