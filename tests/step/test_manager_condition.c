/* SPDX-License-Identifier: MIT */
/*
 * A client of a manager is killed after each instruction of waiting for a condition, of
 * notifying, and of waiting at a barrier. What it was notified of another one learns, its
 * lock is given back, and a barrier that it does not come to any more is broken.
 */
#include "manager.h"
#include "manager_locks.h"

/*
 * Conditions.
 */

/* It has the lock then, and all is well. */
static void
be_holder(struct mpt *t, int r)
{
	mpt_check(t, r == 0 || r == MPROC_OWNER_DIED);
	mpt_check_int(t, mproc_lock_consistent(objects.lock), 0);
}

static void
lock(struct mpt *t)
{
	be_holder(t, mproc_lock_acquire(objects.lock, BOUND));
}

static void
unlock(struct mpt *t)
{
	mpt_check_int(t, mproc_lock_release(objects.lock), 0);
}

/* Nobody waits, nothing is left of notifications, and the lock is nobody's. */
static void
expect_rest(struct scene *s)
{
	assert_int_equal(mproc_lock_acquire(objects.lock, BOUND), 0);
	assert_int_equal(mproc_condition_wait(objects.condition, objects.lock,
					      mproc_ms(1)), -ETIMEDOUT);
	unlock(s->t);
}

static int
wait_ready(struct scene *s)
{
	int r = lock_acquire(s);

	s->b->waits = s->b->round;
	return r;
}

static void
wait_check(struct scene *s, bool finished)
{
	assert_false(finished);
	lock(s->t);
	/* There is nobody. */
	assert_int_equal(mproc_condition_notify(objects.condition, 1), 0);
	unlock(s->t);
	expect_rest(s);
}

static const struct op wait_op = {
	"condition wait, in vain", NULL, wait_ready, condition_wait, wait_check,
};

/* Waits behind the first one, who is just about to or dead. */
static void
wait_second(struct scene *s, unsigned round)
{
	mpt_until(s->t, s->b->waits == round || s->b->over == round);
	lock(s->t);
	s->b->ready = round;
	/* Who is told of a death is not told whether it was notified. */
	be_holder(s->t, mproc_condition_wait(objects.condition, objects.lock,
					     MPROC_FOREVER));
	unlock(s->t);
	s->b->done = round;
}

static int
be_second(struct mpt *t, void *arg)
{
	(void)arg;
	be_other(t, find_locks, wait_second);
	return 0;
}

/* Once both wait, as far as they live. */
static void
notify_one(struct scene *s, unsigned round)
{
	mpt_until(s->t, s->b->ready == round);
	lock(s->t);
	mpt_check_int(s->t, mproc_condition_notify(objects.condition, 1), 1);
	unlock(s->t);
	s->b->told_all = round;
}

static int
be_notifier(struct mpt *t, void *arg)
{
	(void)arg;
	be_other(t, find_locks, notify_one);
	return 0;
}

/* It was for one of both, and the victim is dead: so the other one goes on, in any
 * case. */
static void
notified_check(struct scene *s, bool finished)
{
	(void)finished;
	mpt_until(s->t, s->b->told_all == s->b->round);
	mpt_until(s->t, s->b->done == s->b->round);
	expect_rest(s);
}

static const struct op notified_op = {
	"condition wait", NULL, wait_ready, condition_wait, notified_check,
};

/* The other one sleeps. */
static void
notify_begin(struct scene *s)
{
	s->b->waits = s->b->round;
	mpt_until(s->t, s->b->ready == s->b->round);
	lock(s->t);
	unlock(s->t);
}

static int
notify_run(struct scene *s)
{
	int r = mproc_condition_notify(objects.condition, 1);

	(void)s;
	return r < 0 ? r : 0;
}

static void
notify_check(struct scene *s, bool finished)
{
	if (!finished)
		assert_in_range(mproc_condition_notify(objects.condition, 1), 0, 1);
	mpt_until(s->t, s->b->done == s->b->round);
	expect_rest(s);
}

static const struct op notify_op = {
	"condition notify", notify_begin, NULL, notify_run, notify_check,
};

/*
 * Barriers.
 */

static int
enroll(struct scene *s)
{
	int r = mproc_barrier_enroll(objects.barrier);

	s->b->waits = s->b->round;
	return r < 0 ? r : 0;
}

static int
arrive(struct scene *s)
{
	int r = mproc_barrier_wait(objects.barrier, BOUND);

	(void)s;
	return r < 0 ? r : 0;
}

/* The other party comes when the first one is just about to, or dead. */
static void
arrive_second(struct scene *s, unsigned round)
{
	mpt_until(s->t, s->b->waits == round || s->b->over == round);
	s->b->result = mproc_barrier_wait(objects.barrier, BOUND);
	s->b->done = round;
}

static int
be_party(struct mpt *t, void *arg)
{
	(void)arg;
	be_other(t, find_locks, arrive_second);
	return 0;
}

static void
arrive_check(struct scene *s, bool finished)
{
	mpt_until(s->t, s->b->done == s->b->round);
	if (s->b->result < 0)
		assert_true(s->b->result == -ENOTRECOVERABLE && !finished);
	else
		assert_in_range(s->b->result, 0, PARTIES - 1);
	mend_barrier();
}

static const struct op arrive_op = {
	"barrier wait", NULL, enroll, arrive, arrive_check,
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
	expect_rest(s);
}

static void
killed_with_a_condition(void **state)
{
	struct scene s = { .t = *state };

	open_all(&s, *state);
	step_op(&s, &wait_op, be_victim);
	add_other(&s, "second", be_second);
	step_op(&s, &notify_op, be_victim);
	close_all(&s);
}

static void
killed_as_it_is_notified(void **state)
{
	struct scene s = { .t = *state };

	open_all(&s, *state);
	add_other(&s, "second", be_second);
	add_other(&s, "notifier", be_notifier);
	step_op(&s, &notified_op, be_victim);
	close_all(&s);
}

static void
killed_at_a_barrier(void **state)
{
	struct scene s = { .t = *state };

	open_all(&s, *state);
	add_other(&s, "party", be_party);
	step_op(&s, &arrive_op, be_victim);
	close_all(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_with_a_condition),
		mpt_test(killed_as_it_is_notified),
		mpt_test(killed_at_a_barrier),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
