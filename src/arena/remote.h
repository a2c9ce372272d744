/* SPDX-License-Identifier: MIT */
/*
 * Handles to objects that lie in no arena of this process: another one has them,
 * which carries out what is to be done with them (manager/client.h).
 *
 * Users have one type for both, so a handle is an address like that of any object,
 * and lies in a range in which nothing else does. Who finds that an address lies in
 * no arena, and would refuse it, asks here: calls for objects at hand pay nothing.
 * Nothing is read at an address before it is known to lie in the range, whatever a
 * user passes.
 */
#ifndef MPR_ARENA_REMOTE_H
#define MPR_ARENA_REMOTE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MPR_REMOTES 4096 /* the most in one process */

struct mpr_remote_owner;

/* The owner's calls are what use the rest. */
struct mpr_remote {
	/* NULL: it leads nowhere. */
	alignas(64) _Atomic(struct mpr_remote_owner *) owner;
	struct mpr_remote *next; /* of the owner's, or of the free ones */
	unsigned kind;
	int64_t id;
};

/* The handle at @p, or NULL if that is none, or leads nowhere. Its owner stays for
 * as long as the user lets it. */
struct mpr_remote *mpr_remote_at(const void *p);

/* Whether one has been there, or may be: what is in the range is nothing else. */
bool mpr_remote_has(const void *p);

/* One that leads nowhere yet, until its owner is set; NULL if all are in use. */
struct mpr_remote *mpr_remote_take(void);

/* It leads nowhere again. It comes to another use as late as can be. */
void mpr_remote_give(struct mpr_remote *remote);

#endif
