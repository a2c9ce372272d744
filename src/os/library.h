/* SPDX-License-Identifier: MIT */
/*
 * Libraries that few programs need, loaded when one is needed for the first time: each
 * that a program is linked with costs every one of its processes that has a new image.
 */
#ifndef MPR_OS_LIBRARY_H
#define MPR_OS_LIBRARY_H

/* A function of any type. */
typedef void mpr_library_fn(void);

/* Loads the library @name for good and finds @n functions by their names. Returns 0,
 * or -ENOTSUP with a text. */
int mpr_library_load(const char *name, const char *const *names, int n,
		     mpr_library_fn **ret);

#endif
