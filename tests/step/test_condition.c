/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of what it does with a condition:
 * those who sleep can be notified, none is counted that is not there, and the
 * lock is to be had.
 */
#include "sync.h"
#include "sync/condition.h"
#include "sync/lock.h"

enum { SLEEPERS = 2 };

/* In the scratch bytes. */
struct board {
	_Atomic unsigned over;	/* the victim is dead */
	/* Of who has the lock. */
	unsigned waits;		/* the victim has begun to wait */
	unsigned missed;	/* and was not found waiting */
	unsigned sleeping;
	unsigned woken;
};

struct scene {
	struct mpt *t;
	struct board *board;
	mproc_lock *lock;
	mproc_condition *c;
	pid_t others[SLEEPERS];
	unsigned n_others;
};

static uint64_t
state(void *arg)
{
	struct scene *s = arg;
	uint64_t h = sync_state(s->c, sizeof(*s->c));

	return hash(h, s->lock, sizeof(*s->lock));
}

static void
begin(void *arg)
{
	struct scene *s = arg;

	recover();
	*s->board = (struct board){ 0 };
	s->n_others = 0;
	assert_int_equal(mproc_lock_create(&s->lock), 0);
	assert_int_equal(mproc_condition_create(&s->c), 0);
}

/* Takes it, and repairs what a dead one left. */
static void
lock(struct scene *s)
{
	may_fail(mproc_lock_acquire(s->lock, mproc_sec(60)));
	must_be(mproc_lock_consistent(s->lock), 0);
}

static void
unlock(struct scene *s)
{
	must_be(mproc_lock_release(s->lock), 0);
}

static unsigned
look(struct scene *s, const unsigned *what)
{
	unsigned value;

	lock(s);
	value = *what;
	unlock(s);
	return value;
}

/* All others end, and nobody sleeps any more. */
static void
end(struct scene *s)
{
	int r;

	for (unsigned i = 0; i < s->n_others; i++)
		wait_for_exit(s->others[i]);
	/* What the victim was told goes to nobody, and not to us. */
	recover();
	r = mproc_lock_acquire(s->lock, mproc_sec(20));
	assert_in_range(r, 0, MPROC_OWNER_DIED);
	assert_int_equal(mproc_lock_consistent(s->lock), 0);
	assert_int_equal(mproc_condition_wait(s->c, s->lock, mproc_us(1)),
			 -ETIMEDOUT);
	assert_int_equal(mproc_lock_release(s->lock), 0);
	expect_nobody_else();
	assert_int_equal(mproc_condition_notify_all(s->c), 0);
	mproc_condition_destroy(s->c);
	mproc_lock_destroy(s->lock);
}

static void
step(struct scene *s, const char *name, void (*before)(void *arg),
     void (*victim)(void *arg),
     void (*survivor)(void *arg, pid_t victim, unsigned long n, bool finished))
{
	s->board = mpt_scratch(s->t);
	mpt_stepper_run(s->t, &(struct mpt_stepper_opts){
		.name = name,
		.before = before,
		.victim = victim,
		.survivor = survivor,
		.fingerprint = state,
		.every = 400,
		.budget = 100,
		.arg = s,
	}, NULL);
}

/* Nobody notifies it: it is killed in its sleep at last. */
static void
sleeping_victim(void *arg)
{
	struct scene *s = arg;

	lock(s);
	mpt_step_begin();
	must_be(mproc_condition_wait(s->c, s->lock, mproc_sec(600)), 0);
	mpt_step_end();
}

static void
timed_victim(void *arg)
{
	struct scene *s = arg;

	lock(s);
	mpt_step_begin();
	must_be(mproc_condition_wait(s->c, s->lock, mproc_us(1)), -ETIMEDOUT);
	mpt_step_end();
}

static void
lone_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	(void)finished;
	/* Before it is recovered from, too. */
	assert_int_equal(mproc_condition_notify(s->c, 1), 0);
	end(s);
}

/* When the victim waits, or is dead. */
static void
notify_once(void *arg)
{
	struct scene *s = arg;
	int n = 0;

	while (!s->board->over && n == 0) {
		lock(s);
		if (s->board->waits)
			n = mproc_condition_notify(s->c, 1);
		s->board->missed |= s->board->waits && n == 0;
		unlock(s);
	}
}

static void
with_a_notifier(void *arg)
{
	struct scene *s = arg;

	begin(s);
	s->others[s->n_others++] = start(notify_once, s);
}

static void
notified_victim(void *arg)
{
	struct scene *s = arg;

	lock(s);
	s->board->waits = 1;
	mpt_step_begin();
	must_be(mproc_condition_wait(s->c, s->lock, mproc_sec(600)), 0);
	mpt_step_end();
}

static void
notified_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	s->board->over = 1;
	if (finished)
		assert_false(look(s, &s->board->missed));
	end(s);
}

static void
killed_while_it_waits(void **state_)
{
	struct scene s = { .t = *state_ };

	step(&s, "wait", begin, sleeping_victim, lone_survivor);
	step(&s, "wait in vain", begin, timed_victim, lone_survivor);
	step(&s, "wait until it is notified", with_a_notifier, notified_victim,
	     notified_survivor);
}

static void
wait_once(void *arg)
{
	struct scene *s = arg;
	int r;

	lock(s);
	s->board->sleeping++;
	r = mproc_condition_wait(s->c, s->lock, mproc_sec(60));
	may_fail(r == -ESHUTDOWN ? 0 : r);
	must_be(mproc_lock_consistent(s->lock), 0);
	s->board->woken++;
	unlock(s);
}

static void
with_sleepers(void *arg)
{
	struct scene *s = arg;

	begin(s);
	while (s->n_others < SLEEPERS)
		s->others[s->n_others++] = start(wait_once, s);
	mpt_until(s->t, look(s, &s->board->sleeping) == SLEEPERS);
}

static void
notify_victim(void *arg)
{
	struct scene *s = arg;

	lock(s);
	unlock(s);
	mpt_step_begin();
	must_be(mproc_condition_notify(s->c, 1), 1);
	mpt_step_end();
}

static void
notify_all_victim(void *arg)
{
	struct scene *s = arg;

	lock(s);
	unlock(s);
	mpt_step_begin();
	must_be(mproc_condition_notify_all(s->c), SLEEPERS);
	mpt_step_end();
}

static void
holding_notify_victim(void *arg)
{
	struct scene *s = arg;

	lock(s);
	mpt_step_begin();
	must_be(mproc_condition_notify(s->c, 1), 1);
	must_be(mproc_lock_release(s->lock), 0);
	mpt_step_end();
}

static void
holding_notify_all_victim(void *arg)
{
	struct scene *s = arg;

	lock(s);
	mpt_step_begin();
	must_be(mproc_condition_notify_all(s->c), SLEEPERS);
	must_be(mproc_lock_release(s->lock), 0);
	mpt_step_end();
}

/* Whom the victim has notified wakes up by itself, the others are notified
 * now. */
static void
rest_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	int rest;

	(void)victim;
	(void)n;
	(void)finished;
	rest = mproc_condition_notify_all(s->c);
	assert_in_range(rest, 0, SLEEPERS);
	mpt_until(s->t, look(s, &s->board->woken) == SLEEPERS);
	end(s);
}

/* It was to notify all: the survivor has nothing to do. */
static void
all_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	if (!finished) {
		rest_survivor(arg, victim, n, finished);
		return;
	}
	mpt_until(s->t, look(s, &s->board->woken) == SLEEPERS);
	end(s);
}

static void
killed_in_notify(void **state_)
{
	struct scene s = { .t = *state_ };

	step(&s, "notify", with_sleepers, notify_victim, rest_survivor);
	step(&s, "notify_all", with_sleepers, notify_all_victim, all_survivor);
	step(&s, "notify and release", with_sleepers, holding_notify_victim,
	     rest_survivor);
	step(&s, "notify_all and release", with_sleepers,
	     holding_notify_all_victim, all_survivor);
}

static void
destroy_victim(void *arg)
{
	struct scene *s = arg;

	lock(s);
	unlock(s);
	mpt_step_begin();
	mproc_condition_destroy(s->c);
	mpt_step_end();
}

static void
destroy_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	if (!finished)
		mproc_condition_destroy(s->c);
	for (unsigned i = 0; i < s->n_others; i++)
		wait_for_exit(s->others[i]);
	assert_int_equal(mproc_condition_notify_all(s->c), -ESTALE);
	expect_nobody_else();
	mproc_lock_destroy(s->lock);
}

static void
create_victim(void *arg)
{
	struct scene *s = arg;
	mproc_condition *c;

	lock(s);
	mpt_step_begin();
	must_be(mproc_condition_create(&c), 0);
	mpt_step_end();
	mproc_condition_destroy(c);
}

static void
create_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	mproc_condition *c;

	(void)victim;
	(void)n;
	(void)finished;
	recover();
	assert_int_equal(mproc_condition_create(&c), 0);
	assert_int_equal(mproc_condition_notify_all(c), 0);
	mproc_condition_destroy(c);
	end(s);
}

static void
killed_as_it_comes_and_goes(void **state_)
{
	struct scene s = { .t = *state_ };

	step(&s, "create", begin, create_victim, create_survivor);
	step(&s, "destroy", with_sleepers, destroy_victim, destroy_survivor);
}

/* The arena, our slot and the first cells are there before. */
static int
setup(void **state_)
{
	mproc_condition *c;
	mproc_lock *l;

	(void)state_;
	if (mproc_condition_create(&c) < 0 || mproc_lock_create(&l) < 0)
		return -1;
	mproc_condition_destroy(c);
	mproc_lock_destroy(l);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_while_it_waits),
		mpt_test(killed_in_notify),
		mpt_test(killed_as_it_comes_and_goes),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
