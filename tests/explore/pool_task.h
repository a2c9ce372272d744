/* SPDX-License-Identifier: MIT */
/*
 * Scenarios of what becomes of a task: in the world of locks and the like (sync_world.h),
 * with the sources of src/pool/task.c and future.c as they are.
 */
#ifndef POOL_TASK_H
#define POOL_TASK_H

#include "sync_world.h"

#define POOL_WORKERS 2

enum pool_task_case {
	POOL_TASK_RUN,
	POOL_TASK_RUN_AGAIN,
	POOL_TASK_CLOSED,
	POOL_TASK_CLOSED_AND_AWAITED,
	POOL_TASK_CANCELED,
	POOL_TASK_DROPPED,
	POOL_TASK_KEPT_BY_TWO,
	POOL_TASK_CASES
};

extern const struct sync_case pool_task_cases[POOL_TASK_CASES];

#endif
