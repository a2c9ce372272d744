/* SPDX-License-Identifier: MIT */
/*
 * The name of a started process.
 */
#ifndef MPR_PROCESS_NAME_H
#define MPR_PROCESS_NAME_H

#include "process/self.h"

/* The beginning of @wanted that fits; or if that is NULL, process-1 for the first that
 * this process has started without a name, and so on. */
void mpr_name_make(char ret_name[MPR_NAME_MAX], const char *wanted);

#endif
