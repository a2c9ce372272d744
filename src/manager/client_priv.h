/* SPDX-License-Identifier: MIT */
/*
 * What a connection to a manager is, for the files that it is made of.
 */
#ifndef MPR_MANAGER_CLIENT_PRIV_H
#define MPR_MANAGER_CLIENT_PRIV_H

#include <stdbool.h>

#include "containers/remote.h"
#include "manager/buffer.h"
#include "manager/client.h"
#include "manager/patience.h"
#include "os/turn.h"

#define MPR_CLIENT_READ ((size_t)16 << 10) /* bytes at once */
#define MPR_CLIENT_LONGEST ((size_t)1 << 30) /* message of a manager's, whatever it says */

#define MPR_CLIENT_BUCKETS 256 /* for handles */

struct request; /* of client.c */

struct mpr_client {
	struct mpr_remote_owner owner; /* first: handles lead to it */
	uint64_t generation;
	int fd;
	bool sliced; /* calls that block do so for a slice only */
	size_t max_message; /* that the manager takes */
	struct mpr_turn sending;
	struct mpr_turn reading;
	struct mpr_buffer in; /* of who reads, and how long it looks */
	bool is_left; /* a whole answer, for which there was no memory */
	struct mpr_patience patience;

	/* The rest with this. Who holds it does nothing that takes long. */
	struct mpr_turn lock;
	int64_t number; /* of the next request; 0 is that of the first */
	struct request *requests;
	int broken; /* why no more can come, for ever */
	struct mpr_remote *handles[MPR_CLIENT_BUCKETS]; /* by their numbers */
	char address[];
};

/* Around what it says there. */
void mpr_client_lock(struct mpr_client *c);
void mpr_client_unlock(struct mpr_client *c);

/* Of an object that was destroyed: the handle leads nowhere any more. */
void mpr_client_drop(struct mpr_client *c, const struct mpr_remote *remote, int64_t id);

/* All of them, when the connection has ended. */
void mpr_client_drop_all(struct mpr_client *c);

#endif
