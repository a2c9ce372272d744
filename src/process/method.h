/* SPDX-License-Identifier: MIT */
/*
 * Start methods: which there are, and which is the usual one.
 */
#ifndef MPR_PROCESS_METHOD_H
#define MPR_PROCESS_METHOD_H

/* The one for processes whose options name none. */
int mpr_method_usual(void);

/* Returns 0, or -EINVAL if there is none of that number. */
int mpr_method_check(int method);

#endif
