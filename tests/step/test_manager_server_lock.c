/* SPDX-License-Identifier: MIT */
/*
 * The server of a manager is killed after each instruction of what it does about one
 * request for a lock, a semaphore, an event, a condition or a barrier. The client learns
 * of it at once; by another server on the same arena all is to be had again, and who has a
 * lock next is told of the death.
 */
#include "manager_server.h"

enum { PERMITS = 2, PARTIES = 2 };

static int
find(mproc_manager *m, struct objects *o)
{
	const struct mproc_semaphore_opts plain = {
		.struct_size = sizeof(plain), .value = PERMITS, .max = PERMITS,
	};
	const struct mproc_semaphore_opts undo = {
		.struct_size = sizeof(undo), .value = PERMITS, .undo = true,
	};
	int r = mproc_manager_lock(m, "lock", &o->lock);

	if (r == 0)
		r = mproc_manager_semaphore(m, "plain", &plain, &o->plain);
	if (r == 0)
		r = mproc_manager_semaphore(m, "undo", &undo, &o->undo);
	if (r == 0)
		r = mproc_manager_event(m, "event", &o->event);
	if (r == 0)
		r = mproc_manager_condition(m, "condition", &o->condition);
	return r < 0 ? r : mproc_manager_barrier(m, "barrier", PARTIES, &o->barrier);
}

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

static const struct kind locks = { .find = find, .state = hash_all };

/*
 * Locks and the like.
 */

static int
lock_acquire(const struct objects *o)
{
	return mproc_lock_acquire(o->lock, BOUND);
}

static int
lock_release(const struct objects *o)
{
	return mproc_lock_release(o->lock);
}

/* Returns whether it is told that the holder has died; it is made good then. */
static bool
pass_lock(const struct objects *o)
{
	int r = mproc_lock_acquire(o->lock, BOUND);

	assert_true(r == 0 || r == MPROC_OWNER_DIED);
	assert_int_equal(mproc_lock_consistent(o->lock), 0);
	assert_int_equal(mproc_lock_release(o->lock), 0);
	return r == MPROC_OWNER_DIED;
}

static void
lock_acquire_check(struct scene *s, const struct objects *o, bool finished)
{
	bool died = pass_lock(o);

	(void)s;
	assert_true(died || !finished);
	assert_false(pass_lock(o));
}

static void
lock_release_check(struct scene *s, const struct objects *o, bool finished)
{
	bool died = pass_lock(o);

	(void)s;
	assert_false(died && finished);
	assert_false(pass_lock(o));
}

static int
plain_acquire(const struct objects *o)
{
	return mproc_semaphore_acquire(o->plain, BOUND);
}

static int
plain_release(const struct objects *o)
{
	return mproc_semaphore_release(o->plain);
}

static void
put_back(const struct objects *o)
{
	while (mproc_semaphore_value(o->plain) < PERMITS)
		assert_int_equal(mproc_semaphore_release(o->plain), 0);
}

static void
plain_acquire_check(struct scene *s, const struct objects *o, bool finished)
{
	(void)s;
	assert_in_range(mproc_semaphore_value(o->plain), PERMITS - 1,
			PERMITS - finished);
	put_back(o);
}

static void
take_one(const struct objects *o)
{
	assert_int_equal(mproc_semaphore_acquire(o->plain, BOUND), 0);
}

static void
plain_release_check(struct scene *s, const struct objects *o, bool finished)
{
	(void)s;
	assert_in_range(mproc_semaphore_value(o->plain), PERMITS - 1 + finished,
			PERMITS);
	put_back(o);
}

static int
undo_acquire(const struct objects *o)
{
	return mproc_semaphore_acquire(o->undo, BOUND);
}

static int
undo_release(const struct objects *o)
{
	return mproc_semaphore_release(o->undo);
}

static void
undo_check(struct scene *s, const struct objects *o, bool finished)
{
	(void)s;
	(void)finished;
	/* All are to be had again. */
	for (int i = 0; i < PERMITS; i++)
		assert_true(mproc_semaphore_acquire(o->undo, BOUND) >= 0);
	for (int i = 0; i < PERMITS; i++)
		assert_int_equal(mproc_semaphore_release(o->undo), 0);
	assert_int_equal(mproc_semaphore_value(o->undo), PERMITS);
}

static void
event_begin(const struct objects *o)
{
	assert_int_equal(mproc_event_clear(o->event), 0);
}

static int
event_set(const struct objects *o)
{
	return mproc_event_set(o->event);
}

static void
event_set_check(struct scene *s, const struct objects *o, bool finished)
{
	int r = mproc_event_is_set(o->event);

	(void)s;
	assert_true(r == 1 || (r == 0 && !finished));
}

static int
hold_all(const struct objects *o)
{
	int r = mproc_lock_acquire(o->lock, BOUND);

	r = r < 0 ? r : mproc_semaphore_acquire(o->undo, BOUND);
	return r < 0 ? r : mproc_barrier_enroll(o->barrier);
}

/* What it had was given back, or is left by the dead. */
static void
hold_all_check(struct scene *s, const struct objects *o, bool finished)
{
	bool died = pass_lock(o);

	assert_true(died || !finished);
	undo_check(s, o, finished);
	assert_int_equal(mproc_barrier_reset(o->barrier), 0);
	assert_false(mproc_barrier_broken(o->barrier));
}

static const struct op lock_ops[] = {
	{ "server, lock acquire", NULL, NULL, lock_acquire, lock_acquire_check },
	{ "server, lock release", NULL, lock_acquire, lock_release, lock_release_check },
	{ "server, semaphore acquire", NULL, NULL, plain_acquire, plain_acquire_check },
	{ "server, semaphore release", take_one, NULL, plain_release,
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

static int
condition_wait(const struct objects *o)
{
	return mproc_condition_wait(o->condition, o->lock, BOUND);
}

/* Nobody waits any more. */
static void
condition_check(struct scene *s, const struct objects *o, bool finished)
{
	(void)s;
	(void)finished;
	(void)pass_lock(o);
	assert_int_equal(mproc_lock_acquire(o->lock, BOUND), 0);
	assert_int_equal(mproc_condition_notify(o->condition, 1), 0);
	assert_int_equal(mproc_condition_wait(o->condition, o->lock, mproc_ms(1)),
			 -ETIMEDOUT);
	assert_int_equal(mproc_lock_release(o->lock), 0);
}

static void
barrier_begin(const struct objects *o)
{
	assert_int_equal(mproc_barrier_reset(o->barrier), 0);
}

static int
barrier_wait(const struct objects *o)
{
	return mproc_barrier_wait(o->barrier, BOUND);
}

static void
barrier_check(struct scene *s, const struct objects *o, bool finished)
{
	(void)s;
	(void)finished;
	assert_int_equal(mproc_barrier_reset(o->barrier), 0);
	assert_false(mproc_barrier_broken(o->barrier));
	assert_int_equal(mproc_barrier_waiting(o->barrier), 0);
	/* There is a place. */
	assert_int_equal(mproc_barrier_wait(o->barrier, MPROC_NOWAIT), -EAGAIN);
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

static int
setup(void **state)
{
	(void)state;
	return mproc_arena_default() ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(server_killed_with_locks),
		mpt_test(server_killed_while_clients_wait),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
