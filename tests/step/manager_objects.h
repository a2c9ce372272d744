/* SPDX-License-Identifier: MIT */
/*
 * What step tests of managers' clients and of their server share: objects, and requests
 * for them, during which a victim is killed, a client or the server. In manager_data.h,
 * manager_locks.h and manager_queues.h there are those, and what objects are to be like
 * then.
 *
 * What is named *_begin or *_check is for the test, before a victim comes and after its
 * end: it makes things as they are to be, and as they were. The rest is for who asks, and
 * returns 0, or what the call has returned otherwise.
 */
#ifndef STEP_MANAGER_OBJECTS_H
#define STEP_MANAGER_OBJECTS_H

#include "common.h"

/* Longer than anything takes here. */
#define BOUND mproc_sec(20)

enum { ITEMS = 3, PERMITS = 2, PARTIES = 2 };

struct objects {
	mproc_manager *m;
	mproc_dict *d;
	mproc_list *l;
	uint64_t *a;
	mproc_lock *lock;
	mproc_rlock *rlock;
	mproc_semaphore *plain, *undo; /* without owners, and with */
	mproc_event *event;
	mproc_condition *condition;
	mproc_barrier *barrier;
	mproc_queue *queue, *ack, *narrow; /* narrow: of one message */
};

/* Of each process, those that it has found. */
static struct objects objects;

struct scene; /* manager.h, manager_server.h */

/*
 * A request.
 *
 * @begin: the test makes things as they are to be; or NULL
 * @ready: who asks, before; or NULL
 * @run:   who asks. NULL: a client closes its connection to the server, who is the victim
 * @check: the test, when the victim is dead; makes things as they were. @finished: the
 *         victim had come to its end
 */
struct op {
	const char *name;
	void (*begin)(struct scene *s);
	int (*ready)(struct scene *s);
	int (*run)(struct scene *s);
	void (*check)(struct scene *s, bool finished);
};

#define N_OPS(ops) ((unsigned)(sizeof(ops) / sizeof((ops)[0])))

/* Setup of a group. */
static inline int
with_arena(void **state)
{
	(void)state;
	return mproc_arena_default() ? 0 : -1;
}

#endif
