/* SPDX-License-Identifier: MIT */
/*
 * A process that runs the methods of one type, one after another. It has a socket,
 * over which the server says which; it ends with that. Messages are those of
 * codec.h: [number, method, address of the object, values] and
 * [number, result, value].
 */
#ifndef MPR_MANAGER_WORKER_H
#define MPR_MANAGER_WORKER_H

#include "manager/types.h"
#include "os/child.h"

struct mpr_worker_order {
	const struct mpr_type *type;
	const struct mpr_child_ears *ears; /* of the server, or NULL */
	size_t max_message;
	int fd;
};

/* The entry; @arg: the order. Returns when the server has gone. */
int mpr_worker_main(void *arg);

#endif
