/* SPDX-License-Identifier: MIT */
/*
 * Calls of methods of registered types, in their server: which wait, which run, and in
 * which worker. None of it waits: the server tells of what its descriptors say, and of
 * the time.
 *
 * A call waits for a worker of its type, and until no other runs for its object,
 * unless the type allows that. It ends with the worker's answer, at its deadline, or
 * with the worker; who is gone gets none, but a call that runs goes on.
 */
#ifndef MPR_MANAGER_CALLS_H
#define MPR_MANAGER_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include "containers/remote.h"
#include "manager/served.h"
#include "manager/types.h"
#include "os/child.h"

#define MPR_CALLS_OF_CLIENT 256 /* at most, on their way */
#define MPR_CALLS_MOST 16384	/* of all clients */

struct mpr_call_worker;
struct mpr_call_waiting;

struct mpr_calls {
	mproc_arena *arena;
	int set; /* of descriptors */
	size_t max_message;
	const struct mpr_child_ears *ears; /* of the server's process, or NULL */
	struct mpr_budget *budget;
	struct mpr_types types;
	struct mpr_call_waiting *first, **last;
	unsigned n; /* that wait or run */
	int64_t due; /* nothing is before that */
	bool starved; /* a worker could not be started */
	int64_t number; /* of the next one */
	struct mpr_call_worker *workers;
	uint64_t generation; /* of the process */
	void *server;

	/* Gives @c the answer: @r and @value, or a text. */
	void (*answer)(struct mpr_calls *calls, struct mpr_served *c, int64_t number,
		       int r, const struct mproc_any *value, const char *text);
};

void mpr_calls_init(struct mpr_calls *calls);

/* Whether an operation is one of these. */
static inline bool
mpr_calls_has(int64_t op)
{
	return op >= MPR_OP_OBJECT && op <= MPR_OP_CALL;
}

/* Begins what @c has asked for. Returns 0 if that is done, a negative error, or
 * MPR_CALLS_LATER if the answer comes by calls->answer(). */
#define MPR_CALLS_LATER 1
int mpr_calls_begin(struct mpr_calls *calls, struct mpr_served *c, int64_t number,
		    const struct mpr_remote_call *call);

/* The client is gone. */
void mpr_calls_forget(struct mpr_calls *calls, const struct mpr_served *c);

/* What the set says: the ids are those of workers. */
static inline bool
mpr_calls_is_worker(uint64_t id)
{
	return id & 1;
}

void mpr_calls_hear(struct mpr_calls *calls, uint64_t id, short revents);

/* What is due by now: to be called before the set is asked. */
void mpr_calls_tick(struct mpr_calls *calls);

/* When that has to be, at the latest. */
int64_t mpr_calls_due(const struct mpr_calls *calls);

/* Methods that run are killed. In a forked child nothing is. */
void mpr_calls_end(struct mpr_calls *calls);

#endif
