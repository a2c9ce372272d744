/* SPDX-License-Identifier: MIT */
/*
 * A client of a manager is killed after each instruction of what it does with locks,
 * semaphores and events. What it had is given back, who has a lock next is told of its
 * death, and whoever waited behind it goes on.
 */
#include "manager.h"

enum { PERMITS = 2 };

/* Found by the test and by each client. */
static struct {
	mproc_lock *lock;
	mproc_rlock *rlock;
	mproc_semaphore *plain, *undo;
	mproc_event *event;
} objects;

static void
find(struct scene *s)
{
	const struct mproc_semaphore_opts o = {
		.struct_size = sizeof(o), .value = PERMITS, .max = PERMITS,
	};
	const struct mproc_semaphore_opts undo = {
		.struct_size = sizeof(o), .value = PERMITS, .undo = true,
	};

	mpt_check_int(s->t, mproc_manager_lock(s->m, "lock", &objects.lock), 0);
	mpt_check_int(s->t, mproc_manager_rlock(s->m, "rlock", &objects.rlock), 0);
	mpt_check_int(s->t, mproc_manager_semaphore(s->m, "plain", &o, &objects.plain),
		      0);
	mpt_check_int(s->t, mproc_manager_semaphore(s->m, "undo", &undo, &objects.undo),
		      0);
	mpt_check_int(s->t, mproc_manager_event(s->m, "event", &objects.event), 0);
}

/*
 * Locks.
 */

/* Returns whether it is told that a holder has died; it is made good then. */
static bool
pass_lock(struct mpt *t)
{
	int r = mproc_lock_acquire(objects.lock, BOUND);

	mpt_check(t, r == 0 || r == MPROC_OWNER_DIED);
	mpt_check_int(t, mproc_lock_consistent(objects.lock), 0);
	mpt_check_int(t, mproc_lock_release(objects.lock), 0);
	return r == MPROC_OWNER_DIED;
}

static void
lock_acquire(struct scene *s)
{
	(void)s;
	must_be(mproc_lock_acquire(objects.lock, BOUND), 0);
}

static void
lock_acquire_check(struct scene *s, bool finished)
{
	bool died = pass_lock(s->t);

	assert_true(died || !finished);
	assert_false(pass_lock(s->t));
}

static void
lock_release(struct scene *s)
{
	(void)s;
	may_fail(mproc_lock_release(objects.lock));
}

static void
lock_release_check(struct scene *s, bool finished)
{
	bool died = pass_lock(s->t);

	assert_false(died && finished);
	assert_false(pass_lock(s->t));
}

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
	assert_false(finished);
	assert_int_equal(mproc_lock_release(objects.lock), 0);
	assert_false(pass_lock(s->t));
}

static void
nested_ready(struct scene *s)
{
	(void)s;
	must_be(mproc_rlock_acquire(objects.rlock, BOUND), 0);
}

static void
nested_acquire(struct scene *s)
{
	(void)s;
	must_be(mproc_rlock_acquire(objects.rlock, BOUND), 0);
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
	{ "rlock acquire, nested", NULL, nested_ready, nested_acquire, nested_check },
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
	be_other(t, find, hold_until_awaited);
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
plain_acquire(struct scene *s)
{
	(void)s;
	may_fail(mproc_semaphore_acquire(objects.plain, BOUND));
}

static void
plain_release(struct scene *s)
{
	(void)s;
	may_fail(mproc_semaphore_release(objects.plain));
}

static void
take_one(struct scene *s)
{
	(void)s;
	assert_int_equal(mproc_semaphore_acquire(objects.plain, BOUND), 0);
}

static void
take_all(struct scene *s)
{
	for (int i = 0; i < PERMITS; i++)
		take_one(s);
}

static void
put_back(struct scene *s)
{
	while (mproc_semaphore_value(objects.plain) < PERMITS)
		assert_int_equal(mproc_semaphore_release(objects.plain), 0);
	(void)s;
}

/* What a client has got is gone with it. */
static void
plain_acquire_check(struct scene *s, bool finished)
{
	assert_in_range(mproc_semaphore_value(objects.plain), PERMITS - 1,
			PERMITS - finished);
	put_back(s);
}

static void
plain_release_check(struct scene *s, bool finished)
{
	assert_in_range(mproc_semaphore_value(objects.plain), PERMITS - 1 + finished,
			PERMITS);
	put_back(s);
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

static void
undo_acquire(struct scene *s)
{
	(void)s;
	if (mproc_semaphore_acquire(objects.undo, BOUND) < 0)
		_exit(1);
}

static void
undo_release(struct scene *s)
{
	(void)s;
	may_fail(mproc_semaphore_release(objects.undo));
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
	{ "semaphore release", take_one, NULL, plain_release, plain_release_check },
	{ "semaphore acquire, in vain", take_all, NULL, plain_acquire, plain_wait_check },
	{ "semaphore acquire, undo", NULL, NULL, undo_acquire, undo_check },
	{ "semaphore release, undo", NULL, undo_acquire, undo_release, undo_check },
};

/*
 * Events.
 */

static void
clear(struct scene *s)
{
	(void)s;
	assert_int_equal(mproc_event_clear(objects.event), 0);
}

static void
set(struct scene *s)
{
	(void)s;
	may_fail(mproc_event_set(objects.event));
}

static void
set_check(struct scene *s, bool finished)
{
	int r = mproc_event_is_set(objects.event);

	(void)s;
	assert_true(r == 1 || (r == 0 && !finished));
}

static void
await(struct scene *s)
{
	s->b->waits = s->b->round;
	may_fail(mproc_event_wait(objects.event, BOUND));
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
	{ "event set", clear, NULL, set, set_check },
	{ "event wait, in vain", clear, NULL, await, await_check },
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
	be_other(t, find, set_when_awaited);
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
	"event wait", clear, NULL, await, awaited_check,
};

static void
close_all(struct scene *s)
{
	mproc_lock_destroy(objects.lock);
	mproc_rlock_destroy(objects.rlock);
	mproc_semaphore_destroy(objects.plain);
	mproc_semaphore_destroy(objects.undo);
	mproc_event_destroy(objects.event);
	close_scene(s);
}

static void
open_all(struct scene *s, struct mpt *t)
{
	open_scene(s, t, be_server, find);
	assert_false(pass_lock(t));
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
		mpt_test(killed_with_a_lock),
		mpt_test(killed_with_a_semaphore),
		mpt_test(killed_with_an_event),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
