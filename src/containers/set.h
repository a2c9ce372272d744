/* SPDX-License-Identifier: MIT */
/*
 * What sets do with an element, for who does it in another process's name.
 */
#ifndef MPR_CONTAINERS_SET_H
#define MPR_CONTAINERS_SET_H

#include <mproc/set.h>

/* Puts it in if it is not there, and takes it out if it is. Returns 0, or as
 * mproc_set_add(). */
int mpr_set_toggle(mproc_set *s, const struct mproc_any *elem);

#endif
