/* SPDX-License-Identifier: MIT */
/*
 * A client of a manager is killed after each instruction of what it does with locks,
 * semaphores and events. What it had is given back, who has a lock next is told of its
 * death, and whoever waited behind it goes on.
 */
#include "manager.h"
#include "manager_locks.h"

/*
 * Locks.
 */

static void
lock_begin(struct scene *s)
{
	(void)s;
	assert_int_equal(mproc_lock_acquire(objects.lock, BOUND), 0);
}

/* It never had it. */
static void
lock_wait_check(struct scene *s, bool finished)
{
	(void)s;
	assert_false(finished);
	assert_int_equal(mproc_lock_release(objects.lock), 0);
	assert_false(pass_lock());
}

static int
rlock_acquire(struct scene *s)
{
	(void)s;
	return mproc_rlock_acquire(objects.rlock, BOUND);
}

static void
nested_check(struct scene *s, bool finished)
{
	(void)s;
	(void)finished;
	assert_int_equal(mproc_rlock_acquire(objects.rlock, BOUND), MPROC_OWNER_DIED);
	assert_int_equal(mproc_rlock_consistent(objects.rlock), 0);
	assert_int_equal(mproc_rlock_release(objects.rlock), 0);
	assert_int_equal(mproc_rlock_acquire(objects.rlock, BOUND), 0);
	assert_int_equal(mproc_rlock_release(objects.rlock), 0);
}

static const struct op lock_ops[] = {
	{ "lock acquire", NULL, NULL, lock_acquire, lock_acquire_check },
	{ "lock release", NULL, lock_acquire, lock_release, lock_release_check },
	{ "lock acquire, in vain", lock_begin, NULL, lock_acquire, lock_wait_check },
	{ "rlock acquire, nested", NULL, rlock_acquire, rlock_acquire, nested_check },
};

/* Has the lock when the victim comes, until that waits. */
static void
hold_until_awaited(struct scene *s, unsigned round)
{
	struct mproc_owner owner;

	mpt_check_int(s->t, mproc_lock_acquire(objects.lock, BOUND), 0);
	s->b->ready = round;
	do
		mpt_check_int(s->t, mproc_lock_owner(objects.lock, &owner), 0);
	while (!owner.waiters && s->b->over < round);
	mpt_check_int(s->t, mproc_lock_release(objects.lock), 0);
	s->b->done = round;
}

static int
be_holder(struct mpt *t, void *arg)
{
	(void)arg;
	be_other(t, find_locks, hold_until_awaited);
	return 0;
}

static void
held_begin(struct scene *s)
{
	mpt_until(s->t, s->b->ready == s->b->round);
}

static void
held_check(struct scene *s, bool finished)
{
	mpt_until(s->t, s->b->done == s->b->round);
	lock_acquire_check(s, finished);
}

static const struct op held_op = {
	"lock acquire, of who gives it back", held_begin, NULL, lock_acquire, held_check,
};

/*
 * Semaphores.
 */

static void
take_all(struct scene *s)
{
	for (int i = 0; i < PERMITS; i++)
		plain_begin(s);
}

/* It never had one. A thread of the server's may have it for a moment. */
static void
plain_wait_check(struct scene *s, bool finished)
{
	assert_false(finished);
	for (int i = 0; i < PERMITS; i++)
		assert_int_equal(mproc_semaphore_release(objects.plain), 0);
	mpt_until(s->t, mproc_semaphore_value(objects.plain) == PERMITS);
	assert_int_equal(mproc_semaphore_release(objects.plain), -EOVERFLOW);
}

/* Whatever it had is there again. */
static void
undo_check(struct scene *s, bool finished)
{
	(void)s;
	(void)finished;
	assert_int_equal(mproc_semaphore_value(objects.undo), PERMITS);
}

static const struct op semaphore_ops[] = {
	{ "semaphore acquire", NULL, NULL, plain_acquire, plain_acquire_check },
	{ "semaphore release", plain_begin, NULL, plain_release, plain_release_check },
	{ "semaphore acquire, in vain", take_all, NULL, plain_acquire, plain_wait_check },
	{ "semaphore acquire, undo", NULL, NULL, undo_acquire, undo_check },
	{ "semaphore release, undo", NULL, undo_acquire, undo_release, undo_check },
};

/*
 * Events.
 */

static int
await(struct scene *s)
{
	s->b->waits = s->b->round;
	return mproc_event_wait(objects.event, BOUND);
}

static void
await_check(struct scene *s, bool finished)
{
	(void)s;
	assert_false(finished);
	assert_int_equal(mproc_event_is_set(objects.event), 0);
	assert_int_equal(mproc_event_set(objects.event), 0);
	assert_int_equal(mproc_event_wait(objects.event, BOUND), 0);
}

static const struct op event_ops[] = {
	{ "event set", event_begin, NULL, event_set, event_set_check },
	{ "event wait, in vain", event_begin, NULL, await, await_check },
};

/* Sets it when somebody is about to wait for it. */
static void
set_when_awaited(struct scene *s, unsigned round)
{
	mpt_until(s->t, s->b->waits == round || s->b->over == round);
	mpt_check_int(s->t, mproc_event_set(objects.event), 0);
	s->b->done = round;
}

static int
be_setter(struct mpt *t, void *arg)
{
	(void)arg;
	be_other(t, find_locks, set_when_awaited);
	return 0;
}

static void
awaited_check(struct scene *s, bool finished)
{
	(void)finished;
	mpt_until(s->t, s->b->done == s->b->round);
	assert_int_equal(mproc_event_wait(objects.event, BOUND), 0);
}

static const struct op awaited_op = {
	"event wait", event_begin, NULL, await, awaited_check,
};

static void
close_all(struct scene *s)
{
	destroy_locks();
	close_scene(s);
}

static void
open_all(struct scene *s, struct mpt *t)
{
	open_scene(s, t, be_server, find_locks);
	assert_false(pass_lock());
}

static void
killed_with_a_lock(void **state)
{
	struct scene s = { .t = *state };

	open_all(&s, *state);
	step_ops(&s, lock_ops, N_OPS(lock_ops));
	add_other(&s, "holder", be_holder);
	step_op(&s, &held_op, be_victim);
	close_all(&s);
}

static void
killed_with_a_semaphore(void **state)
{
	struct scene s = { .t = *state };

	open_all(&s, *state);
	step_ops(&s, semaphore_ops, N_OPS(semaphore_ops));
	close_all(&s);
}

static void
killed_with_an_event(void **state)
{
	struct scene s = { .t = *state };

	open_all(&s, *state);
	step_ops(&s, event_ops, N_OPS(event_ops));
	add_other(&s, "setter", be_setter);
	step_op(&s, &awaited_op, be_victim);
	close_all(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_with_a_lock),
		mpt_test(killed_with_a_semaphore),
		mpt_test(killed_with_an_event),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
