/* SPDX-License-Identifier: MIT */
/*
 * A connection to a manager, which all threads of the process use at once: each
 * sends its request, and waits for the answer with its number. One of those who wait
 * reads for all.
 *
 * Private memory of one process. A forked child must not use it: it would take
 * answers that its parent waits for.
 */
#ifndef MPR_MANAGER_CLIENT_H
#define MPR_MANAGER_CLIENT_H

#include <mproc/pipe.h>
#include <mproc/queue.h>

#include "arena/arena.h"
#include "arena/remote.h"
#include "manager/objects.h"

struct mpr_client;
struct mpr_remote_call;

/* As mproc_manager_connect(). */
int mpr_client_open(struct mpr_client **ret_c, const char *address,
		    const struct mproc_connect_opts *opts, mproc_timeout timeout);

const char *mpr_client_address(const struct mpr_client *c);

/* A handle to the object of @kind, enum mpr_remote_kind, that has the name, which the
 * manager makes if there is none, as @init says if it is not NULL. The same name has the
 * same handle, as long as it is the same object. */
int mpr_client_find(struct mpr_client *c, int kind, const char *name,
		    const struct mpr_object_init *init, void **ret);

/* The same for an array: bytes of an element, how many there are, and what they are in
 * the beginning. The handle has the fence (arena/remote.h). */
int mpr_client_find_array(struct mpr_client *c, const char *name,
			  const struct mpr_array_shape *shape, void **ret);

/* The same for a queue, which is made as @opts says. */
int mpr_client_find_queue(struct mpr_client *c, const char *name,
			  const struct mproc_queue_opts *opts, void **ret);

/* What handles' owners do with calls of numbers: as with any, see .carry there. */
int mpr_client_ask(struct mpr_remote_owner *owner, const struct mpr_remote *remote,
		   struct mpr_remote_ask *numbers);

/* What a connection's handles have for .len and .destroy (arena/remote.h). */
int mpr_client_len(struct mpr_remote_owner *owner, const struct mpr_remote *remote,
		   size_t *ret_len);
int mpr_client_destroy(struct mpr_remote_owner *owner, const struct mpr_remote *remote);

/* And for .beside. */
int mpr_client_beside(struct mpr_remote_owner *owner, const struct mpr_remote *remote,
		      int64_t id, void **ret);

/* Tells the manager that a thread has ended. */
void mpr_client_leave(struct mpr_remote_owner *owner, int64_t thread);

/* The handle that it has to the object of that number, if there is one, or a new
 * one. */
int mpr_client_handle(struct mpr_client *c, enum mpr_cell_kind kind, int64_t id,
		      void **ret);

/* Has a call for the object of that number, or 0, carried out, as mpr_remote_carry()
 * does. -ETIMEDOUT at @deadline: it may be carried out all the same. */
int mpr_client_call(struct mpr_client *c, int64_t id, struct mpr_remote_call *call,
		    int64_t deadline);

/* The same, but nobody waits for its answer. Returns 0 when it was sent, or as
 * above. */
int mpr_client_tell(struct mpr_client *c, const struct mpr_remote_call *call);

/* Bytes of a message to its manager, at most. */
size_t mpr_client_max_message(const struct mpr_client *c);

/* Handles that it has given lead nowhere then. */
void mpr_client_close(struct mpr_client *c);

#endif
