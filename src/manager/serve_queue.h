/* SPDX-License-Identifier: MIT */
/*
 * What clients ask of queues.
 */
#ifndef MPR_MANAGER_SERVE_QUEUE_H
#define MPR_MANAGER_SERVE_QUEUE_H

#include "containers/remote.h"
#include "manager/objects.h"
#include "manager/queue_desk.h"

/* Finds one, or makes it as @options, a row of values, says; NULL: as usual. */
int mpr_serve_queue_find(struct mpr_objects *objects, mproc_arena *a, const char *name,
			 const struct mproc_any *options, int64_t *ret_id);

/* Carries out @call, the request @number of @c's. Returns its result, or MPR_KEPT: it
 * was answered, or will be. What it finds besides is put into @objects. */
int mpr_serve_queue(struct mpr_queue_desk *d, struct mpr_served *c, int64_t number,
		    struct mpr_object *o, struct mpr_objects *objects,
		    struct mpr_remote_call *call);

#endif
