/* SPDX-License-Identifier: MIT */
/*
 * Objects of registered types, as who is connected to their manager sees them.
 */
#ifndef MPR_MANAGER_CALLING_H
#define MPR_MANAGER_CALLING_H

#include <mproc/any.h>

#include "manager/client.h"

/* What these have in common: -EINVAL, -EFAULT for what cannot be sent, and all that
 * mpr_client_call() returns. */

/* Finds or makes one. */
int mpr_calling_object(struct mpr_client *c, const char *type, const char *name);

int mpr_calling_destroy(struct mpr_client *c, const char *name);

/* Returns what the method has; *@ret is the caller's, unless it is NULL. */
int mpr_calling_call(struct mpr_client *c, const char *object, const char *method,
		     const struct mproc_any *args, size_t n, struct mproc_any *ret,
		     int64_t deadline);

#endif
