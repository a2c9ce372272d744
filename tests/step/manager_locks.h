/* SPDX-License-Identifier: MIT */
/*
 * Requests for locks and the like, and what becomes of these: see manager_objects.h.
 */
#ifndef STEP_MANAGER_LOCKS_H
#define STEP_MANAGER_LOCKS_H

#include "manager_objects.h"

static inline int
find_locks(mproc_manager *m)
{
	const struct mproc_semaphore_opts plain = {
		.struct_size = sizeof(plain), .value = PERMITS, .max = PERMITS,
	};
	const struct mproc_semaphore_opts undo = {
		.struct_size = sizeof(undo), .value = PERMITS, .undo = true,
	};
	int r = mproc_manager_lock(m, "lock", &objects.lock);

	if (r == 0)
		r = mproc_manager_rlock(m, "rlock", &objects.rlock);
	if (r == 0)
		r = mproc_manager_semaphore(m, "plain", &plain, &objects.plain);
	if (r == 0)
		r = mproc_manager_semaphore(m, "undo", &undo, &objects.undo);
	if (r == 0)
		r = mproc_manager_event(m, "event", &objects.event);
	if (r == 0)
		r = mproc_manager_condition(m, "condition", &objects.condition);
	return r < 0 ? r : mproc_manager_barrier(m, "barrier", PARTIES,
						 &objects.barrier);
}

static inline void
destroy_locks(void)
{
	mproc_lock_destroy(objects.lock);
	mproc_rlock_destroy(objects.rlock);
	mproc_semaphore_destroy(objects.plain);
	mproc_semaphore_destroy(objects.undo);
	mproc_event_destroy(objects.event);
	mproc_condition_destroy(objects.condition);
	mproc_barrier_destroy(objects.barrier);
}

/* Returns whether the test is told that a holder has died; it is made good then. */
static inline bool
pass_lock(void)
{
	int r = mproc_lock_acquire(objects.lock, BOUND);

	assert_true(r == 0 || r == MPROC_OWNER_DIED);
	assert_int_equal(mproc_lock_consistent(objects.lock), 0);
	assert_int_equal(mproc_lock_release(objects.lock), 0);
	return r == MPROC_OWNER_DIED;
}

static inline int
lock_acquire(struct scene *s)
{
	(void)s;
	return mproc_lock_acquire(objects.lock, BOUND);
}

static inline void
lock_acquire_check(struct scene *s, bool finished)
{
	bool died = pass_lock();

	(void)s;
	assert_true(died || !finished);
	assert_false(pass_lock());
}

static inline int
lock_release(struct scene *s)
{
	(void)s;
	return mproc_lock_release(objects.lock);
}

static inline void
lock_release_check(struct scene *s, bool finished)
{
	bool died = pass_lock();

	(void)s;
	assert_false(died && finished);
	assert_false(pass_lock());
}

static inline void
plain_begin(struct scene *s)
{
	(void)s;
	assert_int_equal(mproc_semaphore_acquire(objects.plain, BOUND), 0);
}

static inline int
plain_acquire(struct scene *s)
{
	(void)s;
	return mproc_semaphore_acquire(objects.plain, BOUND);
}

static inline int
plain_release(struct scene *s)
{
	(void)s;
	return mproc_semaphore_release(objects.plain);
}

static inline void
put_back(void)
{
	while (mproc_semaphore_value(objects.plain) < PERMITS)
		assert_int_equal(mproc_semaphore_release(objects.plain), 0);
}

/* What a client has got is gone with it. */
static inline void
plain_acquire_check(struct scene *s, bool finished)
{
	(void)s;
	assert_in_range(mproc_semaphore_value(objects.plain), PERMITS - 1,
			PERMITS - finished);
	put_back();
}

static inline void
plain_release_check(struct scene *s, bool finished)
{
	(void)s;
	assert_in_range(mproc_semaphore_value(objects.plain), PERMITS - 1 + finished,
			PERMITS);
	put_back();
}

/* May be told of a death. */
static inline int
undo_acquire(struct scene *s)
{
	int r = mproc_semaphore_acquire(objects.undo, BOUND);

	(void)s;
	return r < 0 ? r : 0;
}

static inline int
undo_release(struct scene *s)
{
	(void)s;
	return mproc_semaphore_release(objects.undo);
}

static inline void
event_begin(struct scene *s)
{
	(void)s;
	assert_int_equal(mproc_event_clear(objects.event), 0);
}

static inline int
event_set(struct scene *s)
{
	(void)s;
	return mproc_event_set(objects.event);
}

static inline void
event_set_check(struct scene *s, bool finished)
{
	int r = mproc_event_is_set(objects.event);

	(void)s;
	assert_true(r == 1 || (r == 0 && !finished));
}

static inline int
condition_wait(struct scene *s)
{
	(void)s;
	return mproc_condition_wait(objects.condition, objects.lock, BOUND);
}

/* Nobody has a part in it any more. */
static inline void
mend_barrier(void)
{
	assert_int_equal(mproc_barrier_reset(objects.barrier), 0);
	assert_false(mproc_barrier_broken(objects.barrier));
	assert_int_equal(mproc_barrier_waiting(objects.barrier), 0);
}

#endif
