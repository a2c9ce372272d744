/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of what it does with a recursive
 * lock: the next one gets it, once, and those who sleep go on.
 */
#include "sync.h"
#include "sync/rlock.h"

/* In the scratch bytes. */
struct board {
	_Atomic unsigned held;	/* the victim or the holder has the lock */
	_Atomic unsigned over;	/* the victim is dead */
};

struct scene {
	struct mpt *t;
	struct board *board;
	mproc_rlock *rlock;
	pid_t other;
};

static unsigned
waiters(const mproc_rlock *rlock)
{
	struct mproc_owner owner;

	if (mproc_rlock_owner(rlock, &owner) < 0)
		return 0;
	return owner.waiters;
}

static uint64_t
state(void *arg)
{
	struct scene *s = arg;

	return sync_state(s->rlock, sizeof(*s->rlock));
}

static void
begin(void *arg)
{
	struct scene *s = arg;

	recover();
	*s->board = (struct board){ 0 };
	s->other = 0;
	assert_int_equal(mproc_rlock_create(&s->rlock), 0);
}

/* Free, and each holder has it as often as it takes it. */
static void
expect_usable(mproc_rlock *rlock, int least, int most)
{
	struct mpr_rlock *rl = (struct mpr_rlock *)rlock;
	int r = mproc_rlock_acquire(rlock, mproc_sec(20));

	assert_in_range(r, least, most);
	assert_int_equal(atomic_load(&rl->nested), 0);
	assert_int_equal(mproc_rlock_acquire(rlock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_rlock_consistent(rlock), 0);
	assert_int_equal(mproc_rlock_release(rlock), 0);
	assert_int_equal(mproc_rlock_release(rlock), 0);
	assert_int_equal(mproc_rlock_release(rlock), -EPERM);
	assert_int_equal(mproc_rlock_acquire(rlock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_rlock_release(rlock), 0);
}

static void
end(struct scene *s)
{
	s->board->over = 1;
	if (s->other)
		wait_for_exit(s->other);
	expect_nobody_else();
	assert_int_equal(waiters(s->rlock), 0);
	mproc_rlock_destroy(s->rlock);
}

/* It has had the lock before, or not. */
static void
free_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	(void)finished;
	expect_usable(s->rlock, 0, MPROC_OWNER_DIED);
	end(s);
}

/* It held the lock before, and after. */
static void
died_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	(void)finished;
	expect_usable(s->rlock, MPROC_OWNER_DIED, MPROC_OWNER_DIED);
	end(s);
}

static void
take(mproc_rlock *rlock, int times)
{
	for (int i = 0; i < times; i++)
		must_be(mproc_rlock_acquire(rlock, MPROC_NOWAIT), 0);
}

static void
acquire_victim(void *arg)
{
	struct scene *s = arg;

	take(s->rlock, 1);
	must_be(mproc_rlock_release(s->rlock), 0);
	mpt_step_begin();
	must_be(mproc_rlock_acquire(s->rlock, MPROC_NOWAIT), 0);
	mpt_step_end();
}

static void
again_victim(void *arg)
{
	struct scene *s = arg;

	take(s->rlock, 2);
	mpt_step_begin();
	must_be(mproc_rlock_acquire(s->rlock, MPROC_NOWAIT), 0);
	mpt_step_end();
}

static void
inner_release_victim(void *arg)
{
	struct scene *s = arg;

	take(s->rlock, 3);
	mpt_step_begin();
	must_be(mproc_rlock_release(s->rlock), 0);
	mpt_step_end();
}

static void
release_victim(void *arg)
{
	struct scene *s = arg;

	take(s->rlock, 1);
	mpt_step_begin();
	must_be(mproc_rlock_release(s->rlock), 0);
	mpt_step_end();
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
		.arg = s,
	}, NULL);
}

static void
killed_alone(void **state_)
{
	struct scene s = { .t = *state_ };

	step(&s, "acquire", begin, acquire_victim, free_survivor);
	step(&s, "acquire once more", begin, again_victim, died_survivor);
	step(&s, "release, not the last", begin, inner_release_victim,
	     died_survivor);
	step(&s, "release", begin, release_victim, free_survivor);
}

static void
die_with_it(void *arg)
{
	struct scene *s = arg;

	take(s->rlock, 3);
}

static void
with_a_dead_holder(void *arg)
{
	struct scene *s = arg;

	begin(s);
	wait_for_exit(start(die_with_it, s));
}

static void
inherit_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	must_be(mproc_rlock_acquire(s->rlock, MPROC_NOWAIT), MPROC_OWNER_DIED);
	mpt_step_end();
}

static void
consistent_victim(void *arg)
{
	struct scene *s = arg;

	must_be(mproc_rlock_acquire(s->rlock, MPROC_NOWAIT), MPROC_OWNER_DIED);
	take(s->rlock, 1);
	mpt_step_begin();
	must_be(mproc_rlock_consistent(s->rlock), 0);
	mpt_step_end();
}

static void
killed_with_what_a_dead_one_held(void **state_)
{
	struct scene s = { .t = *state_ };

	step(&s, "acquire from a dead holder", with_a_dead_holder,
	     inherit_victim, died_survivor);
	step(&s, "consistent", with_a_dead_holder, consistent_victim,
	     died_survivor);
}

static void
sleep_for_it(void *arg)
{
	struct scene *s = arg;

	mpt_until(s->t, s->board->held || s->board->over);
	may_fail(mproc_rlock_acquire(s->rlock, mproc_sec(60)));
	must_be(mproc_rlock_release(s->rlock), 0);
}

static void
with_a_sleeper(void *arg)
{
	struct scene *s = arg;

	begin(s);
	s->other = start(sleep_for_it, s);
}

static void
waking_release_victim(void *arg)
{
	struct scene *s = arg;

	take(s->rlock, 1);
	s->board->held = 1;
	mpt_until(s->t, waiters(s->rlock) == 1);
	mpt_step_begin();
	must_be(mproc_rlock_release(s->rlock), 0);
	mpt_step_end();
}

static void
destroy_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	int status;

	(void)victim;
	(void)n;
	if (!finished)
		mproc_rlock_destroy(s->rlock);
	assert_int_equal(waitpid(s->other, &status, 0), s->other);
	assert_true(WIFEXITED(status));
	recover();
	assert_int_equal(mproc_rlock_acquire(s->rlock, MPROC_NOWAIT), -ESTALE);
	expect_nobody_else();
}

static void
destroy_victim(void *arg)
{
	struct scene *s = arg;

	take(s->rlock, 1);
	s->board->held = 1;
	mpt_until(s->t, waiters(s->rlock) == 1);
	mpt_step_begin();
	mproc_rlock_destroy(s->rlock);
	mpt_step_end();
}

static void
killed_while_another_sleeps(void **state_)
{
	struct scene s = { .t = *state_ };

	step(&s, "release that wakes a sleeper", with_a_sleeper,
	     waking_release_victim, free_survivor);
	step(&s, "destroy that wakes a sleeper", with_a_sleeper,
	     destroy_victim, destroy_survivor);
}

/* Until the victim waits, or is dead. */
static void
hold_for_a_while(void *arg)
{
	struct scene *s = arg;

	take(s->rlock, 2);
	s->board->held = 1;
	mpt_until(s->t, waiters(s->rlock) == 1 || s->board->over);
	must_be(mproc_rlock_release(s->rlock), 0);
	must_be(mproc_rlock_release(s->rlock), 0);
}

static void
with_a_holder(void *arg)
{
	struct scene *s = arg;

	begin(s);
	s->other = start(hold_for_a_while, s);
	mpt_until(s->t, s->board->held);
}

static void
woken_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	must_be(mproc_rlock_acquire(s->rlock, mproc_sec(600)), 0);
	mpt_step_end();
}

static void
woken_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	s->board->over = 1;
	expect_usable(s->rlock, finished ? MPROC_OWNER_DIED : 0,
		      MPROC_OWNER_DIED);
	end(s);
}

/* The test itself has it. */
static void
with_ours(void *arg)
{
	struct scene *s = arg;

	begin(s);
	assert_int_equal(mproc_rlock_acquire(s->rlock, MPROC_NOWAIT), 0);
}

static void
asleep_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	(void)finished;
	assert_int_equal(mproc_rlock_release(s->rlock), 0);
	expect_usable(s->rlock, 0, 0);
	end(s);
}

static void
timed_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	must_be(mproc_rlock_acquire(s->rlock, mproc_us(1)), -ETIMEDOUT);
	mpt_step_end();
}

static void
killed_while_it_waits(void **state_)
{
	struct scene s = { .t = *state_ };

	step(&s, "acquire that waits until it is woken", with_a_holder,
	     woken_victim, woken_survivor);
	step(&s, "acquire that waits in vain", with_ours, timed_victim,
	     asleep_survivor);
}

static void
create_victim(void *arg)
{
	struct scene *s = arg;
	mproc_rlock *rlock;

	take(s->rlock, 1);
	mpt_step_begin();
	must_be(mproc_rlock_create(&rlock), 0);
	mpt_step_end();
	mproc_rlock_destroy(rlock);
}

static void
create_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	mproc_rlock *rlock;

	(void)victim;
	(void)n;
	(void)finished;
	recover();
	assert_int_equal(mproc_rlock_create(&rlock), 0);
	expect_usable(rlock, 0, 0);
	mproc_rlock_destroy(rlock);
	end(s);
}

static void
killed_in_create(void **state_)
{
	struct scene s = { .t = *state_ };

	step(&s, "create", begin, create_victim, create_survivor);
}

/* The arena, our slot and the first cells are there before. */
static int
setup(void **state_)
{
	mproc_rlock *rlock;

	(void)state_;
	if (mproc_rlock_create(&rlock) < 0)
		return -1;
	mproc_rlock_destroy(rlock);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_alone),
		mpt_test(killed_with_what_a_dead_one_held),
		mpt_test(killed_while_another_sleeps),
		mpt_test(killed_while_it_waits),
		mpt_test(killed_in_create),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
