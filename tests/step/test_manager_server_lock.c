/* SPDX-License-Identifier: MIT */
/*
 * The server of a manager is killed after each instruction of what it does about one
 * request for a lock, a semaphore, an event, a condition or a barrier. The client learns
 * of it at once; by another server on the same arena all is to be had again, and who has a
 * lock next is told of the death.
 */
#include "manager_locks.h"
#include "manager_server.h"

static uint64_t
hash_all(uint64_t h, const mproc_arena *a, const struct objects *o)
{
	(void)a;
	h = hash(h, o->lock, sizeof(*o->lock));
	h = hash(h, o->plain, sizeof(*o->plain));
	h = hash(h, o->undo, sizeof(*o->undo));
	h = hash(h, o->event, sizeof(*o->event));
	h = hash(h, o->condition, sizeof(*o->condition));
	return hash(h, o->barrier, sizeof(*o->barrier));
}

static const struct kind locks = { .find = find_locks, .state = hash_all };

/*
 * Locks and the like.
 */

static void
undo_check(struct scene *s, bool finished)
{
	(void)s;
	(void)finished;
	/* All are to be had again. */
	for (int i = 0; i < PERMITS; i++)
		assert_true(mproc_semaphore_acquire(objects.undo, BOUND) >= 0);
	for (int i = 0; i < PERMITS; i++)
		assert_int_equal(mproc_semaphore_release(objects.undo), 0);
	assert_int_equal(mproc_semaphore_value(objects.undo), PERMITS);
}

static int
hold_all(struct scene *s)
{
	int r = lock_acquire(s);

	if (r == 0)
		r = undo_acquire(s);
	if (r == 0)
		r = mproc_barrier_enroll(objects.barrier);
	return r < 0 ? r : 0;
}

/* What it had was given back, or is left by the dead. */
static void
hold_all_check(struct scene *s, bool finished)
{
	bool died = pass_lock();

	assert_true(died || !finished);
	undo_check(s, finished);
	mend_barrier();
}

static const struct op lock_ops[] = {
	{ "server, lock acquire", NULL, NULL, lock_acquire, lock_acquire_check },
	{ "server, lock release", NULL, lock_acquire, lock_release, lock_release_check },
	{ "server, semaphore acquire", NULL, NULL, plain_acquire, plain_acquire_check },
	{ "server, semaphore release", plain_begin, NULL, plain_release,
	  plain_release_check },
	{ "server, semaphore acquire, undo", NULL, NULL, undo_acquire, undo_check },
	{ "server, semaphore release, undo", NULL, undo_acquire, undo_release,
	  undo_check },
	{ "server, event set", event_begin, NULL, event_set, event_set_check },
	{ "server, end of who has locks", NULL, hold_all, NULL, hold_all_check },
};

/*
 * What is waited for: the request is kept, and that is all.
 */

/* Nobody waits any more. */
static void
condition_check(struct scene *s, bool finished)
{
	(void)s;
	(void)finished;
	(void)pass_lock();
	assert_int_equal(mproc_lock_acquire(objects.lock, BOUND), 0);
	assert_int_equal(mproc_condition_notify(objects.condition, 1), 0);
	assert_int_equal(mproc_condition_wait(objects.condition, objects.lock,
					      mproc_ms(1)), -ETIMEDOUT);
	assert_int_equal(mproc_lock_release(objects.lock), 0);
}

static void
barrier_begin(struct scene *s)
{
	(void)s;
	assert_int_equal(mproc_barrier_reset(objects.barrier), 0);
}

static int
barrier_wait(struct scene *s)
{
	(void)s;
	return mproc_barrier_wait(objects.barrier, BOUND);
}

static void
barrier_check(struct scene *s, bool finished)
{
	(void)s;
	(void)finished;
	mend_barrier();
	/* There is a place. */
	assert_int_equal(mproc_barrier_wait(objects.barrier, MPROC_NOWAIT), -EAGAIN);
}

static const struct op wait_ops[] = {
	{ "server, condition wait", NULL, lock_acquire, condition_wait,
	  condition_check },
	{ "server, barrier wait", barrier_begin, NULL, barrier_wait, barrier_check },
};

static void
server_killed_with_locks(void **state)
{
	step_ops(*state, &locks, lock_ops, N_OPS(lock_ops));
}

static void
server_killed_while_clients_wait(void **state)
{
	step_ops(*state, &locks, wait_ops, N_OPS(wait_ops));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(server_killed_with_locks),
		mpt_test(server_killed_while_clients_wait),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
