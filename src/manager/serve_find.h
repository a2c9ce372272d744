/* SPDX-License-Identifier: MIT */
/*
 * A client asks for an object by its kind and its name.
 */
#ifndef MPR_MANAGER_SERVE_FIND_H
#define MPR_MANAGER_SERVE_FIND_H

#include "containers/remote.h"
#include "manager/objects.h"

/* Carries out @call: MPR_OP_FIND, of a kind, a name, and of some kinds what a new one is
 * to be like. Returns its result. */
int mpr_serve_find(struct mpr_objects *objects, mproc_arena *a,
		   struct mpr_remote_call *call);

#endif
