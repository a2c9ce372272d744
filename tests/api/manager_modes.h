/* SPDX-License-Identifier: MIT */
/*
 * What tests of objects share for which one waits: each case runs with all in the family,
 * with all as clients of a manager, and with some of each.
 */
#ifndef API_MANAGER_MODES_H
#define API_MANAGER_MODES_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include <mproc/mproc.h>

#include "manager.h"

enum mode { FAMILY, CLIENTS, MIXED };

enum kind { LOCK, RLOCK, SEMAPHORE, EVENT, CONDITION, BARRIER, QUEUE };

#define PARTIES 4 /* of barriers */

/* In the scratch bytes. */
struct board {
	char address[128], name[32];
	enum mode mode;
	_Atomic unsigned ready, done;
	uint64_t counter; /* of who has the lock */
};

static mproc_manager *server, *client;
static enum mode mode;
static const struct mproc_semaphore_opts *semaphore_opts;
static const struct mproc_queue_opts *queue_opts;

static inline int
find_object(mproc_manager *m, enum kind kind, const char *name, void **ret)
{
	switch (kind) {
	case LOCK:
		return mproc_manager_lock(m, name, (mproc_lock **)ret);
	case RLOCK:
		return mproc_manager_rlock(m, name, (mproc_rlock **)ret);
	case SEMAPHORE:
		return mproc_manager_semaphore(m, name, semaphore_opts,
					       (mproc_semaphore **)ret);
	case QUEUE:
		return mproc_manager_queue(m, name, queue_opts, (mproc_queue **)ret);
	case EVENT:
		return mproc_manager_event(m, name, (mproc_event **)ret);
	case CONDITION:
		return mproc_manager_condition(m, name, (mproc_condition **)ret);
	case BARRIER:
		break;
	}
	return mproc_manager_barrier(m, name, PARTIES, (mproc_barrier **)ret);
}

/* As @who, of those with odd numbers in a mixed company, has it. Each role connects by
 * itself, once. */
static inline void *
object_named(struct mpt *t, unsigned who, enum kind kind, const char *name)
{
	const struct board *b = mpt_scratch(t);
	static mproc_manager *mine;
	void *object = NULL;

	if (b->mode == FAMILY || (b->mode == MIXED && who % 2 == 0)) {
		mpt_check_int(t, mproc_arena_find(NULL, name, &object,
						  MPROC_NOWAIT), 0);
		return object;
	}
	if (who == 0)
		mine = client;
	else if (mine == client || !mine)
		mpt_check_int(t, mproc_manager_connect(&mine, b->address, NULL,
						       mproc_sec(20)), 0);
	mpt_check_int(t, find_object(mine, kind, name, &object), 0);
	return object;
}

static inline void *
object_of(struct mpt *t, unsigned who, enum kind kind)
{
	return object_named(t, who, kind, ((struct board *)mpt_scratch(t))->name);
}

static inline struct board *
new_board(struct mpt *t, enum kind kind)
{
	struct board *b = mpt_scratch(t);
	static unsigned n;
	void *object;

	snprintf(b->address, sizeof(b->address), "%s",
		 mproc_manager_address(server));
	snprintf(b->name, sizeof(b->name), "object %u", n++);
	b->mode = mode;
	b->ready = b->done = 0;
	assert_int_equal(find_object(client, kind, b->name, &object), 0);
	return b;
}

/* @arg: the role's number, in all of them. */
static inline unsigned
number(void *arg)
{
	return (unsigned)(uintptr_t)arg;
}

#define AS(n) ((void *)(uintptr_t)(n))

static inline int
in_family(void **state)
{
	mode = FAMILY;
	return mpt_setup(state);
}

static inline int
as_clients(void **state)
{
	mode = CLIENTS;
	return mpt_setup(state);
}

static inline int
mixed(void **state)
{
	mode = MIXED;
	return mpt_setup(state);
}

static inline int
start_both(void **state)
{
	struct mproc_any none;
	mproc_dict *d;

	(void)state;
	if (mproc_dict_create(&d, NULL) < 0 ||
	    mproc_dict_get(d, mproc_int(1), &none) != -ENOENT)
		return -1;
	mproc_dict_destroy(d);
	server = start(NULL);
	client = connect_to(server);
	return 0;
}

static inline int
end_both(void **state)
{
	(void)state;
	mproc_manager_close(client);
	mproc_manager_close(server);
	return 0;
}

#define IN(f, how) { #f " " #how, f, how, mpt_teardown, (void *)(uintptr_t)#f }
#define ALL(f) IN(f, in_family), IN(f, as_clients), IN(f, mixed)

#endif
