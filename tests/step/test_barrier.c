/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of what it does with a barrier: the
 * others either complete the phase or learn that it is broken, and after a reset
 * the barrier works with whoever lives.
 */
#include "sync.h"

struct scene {
	struct mpt *t;
	mproc_barrier *barrier;
	unsigned parties;
	pid_t other;
};

static void
begin(void *arg)
{
	struct scene *s = arg;

	recover();
	s->other = 0;
	assert_int_equal(mproc_barrier_create(&s->barrier, s->parties), 0);
}

static uint64_t
state(void *arg)
{
	struct scene *s = arg;

	return sync_state(s->barrier, sizeof(*s->barrier));
}

/* Waits: completes a phase, or learns that it is broken. */
static void
wait_either(void *arg)
{
	struct scene *s = arg;
	int r = mproc_barrier_wait(s->barrier, mproc_sec(60));

	if (r < 0 && r != -ENOTRECOVERABLE)
		_exit(1);
}

static void
wait_once(void *arg)
{
	struct scene *s = arg;

	may_fail(mproc_barrier_wait(s->barrier, mproc_sec(60)));
}

/* As new it works for as many as it is for. */
static void
end(struct scene *s)
{
	pid_t pids[2];

	recover();
	assert_int_equal(mproc_barrier_reset(s->barrier), 0);
	assert_false(mproc_barrier_broken(s->barrier));
	assert_int_equal(mproc_barrier_waiting(s->barrier), 0);
	for (unsigned i = 1; i < s->parties; i++)
		pids[i - 1] = start(wait_once, s);
	assert_in_range(mproc_barrier_wait(s->barrier, mproc_sec(30)), 0,
			s->parties - 1);
	for (unsigned i = 1; i < s->parties; i++)
		wait_for_exit(pids[i - 1]);
	mproc_barrier_destroy(s->barrier);
	recover();
}

static void
alone_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	(void)finished;
	end(arg);
}

/* The victim was all there were: without a reset it is as new. */
static void
as_new_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	(void)finished;
	assert_false(mproc_barrier_broken(s->barrier));
	assert_int_equal(mproc_barrier_wait(s->barrier, MPROC_NOWAIT), -EAGAIN);
	end(s);
}

/* The other one waits and is told, whoever finds out. */
static void
other_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	(void)finished;
	recover();
	wait_for_exit(s->other);
	end(s);
}

static void
step(struct scene *s, const char *name, void (*before)(void *),
     void (*victim)(void *),
     void (*survivor)(void *, pid_t, unsigned long, bool))
{
	mpt_stepper_run(s->t, &(struct mpt_stepper_opts){
		.name = name,
		.before = before,
		.victim = victim,
		.survivor = survivor,
		.fingerprint = state,
		.arg = s,
		.every = 600,
		.budget = 40,
		.max_cases = 500,
	}, NULL);
}

static void
enroll_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	may_fail(mproc_barrier_enroll(s->barrier));
	mpt_step_end();
}

static void
sleep_victim(void *arg)
{
	struct scene *s = arg;

	may_fail(mproc_barrier_enroll(s->barrier));
	mpt_step_begin();
	may_fail(mproc_barrier_wait(s->barrier, mproc_sec(600)));
	mpt_step_end();
}

static void
vain_victim(void *arg)
{
	struct scene *s = arg;

	may_fail(mproc_barrier_enroll(s->barrier));
	mpt_step_begin();
	must_be(mproc_barrier_wait(s->barrier, mproc_us(50)), -ETIMEDOUT);
	mpt_step_end();
}

static void
killed_alone(void **state)
{
	struct scene s = { .t = *state, .parties = 2 };

	step(&s, "enroll", begin, enroll_victim, as_new_survivor);
	step(&s, "wait, asleep", begin, sleep_victim, as_new_survivor);
	step(&s, "wait in vain", begin, vain_victim, as_new_survivor);
}

static void
begin_with_other(void *arg)
{
	struct scene *s = arg;

	begin(s);
	s->other = start(wait_either, s);
	mpt_until(s->t, mproc_barrier_waiting(s->barrier) == 1);
}

static void
complete_victim(void *arg)
{
	struct scene *s = arg;

	may_fail(mproc_barrier_enroll(s->barrier));
	mpt_step_begin();
	may_fail(mproc_barrier_wait(s->barrier, mproc_sec(60)));
	mpt_step_end();
}

static void
abort_victim(void *arg)
{
	struct scene *s = arg;

	may_fail(mproc_barrier_enroll(s->barrier));
	mpt_step_begin();
	may_fail(mproc_barrier_abort(s->barrier));
	mpt_step_end();
}

static void
leave_victim(void *arg)
{
	struct scene *s = arg;

	may_fail(mproc_barrier_enroll(s->barrier));
	mpt_step_begin();
	mpr_self_leave();
	mpt_step_end();
}

static void
reset_victim(void *arg)
{
	struct scene *s = arg;

	may_fail(mproc_barrier_enroll(s->barrier));
	mpt_step_begin();
	may_fail(mproc_barrier_reset(s->barrier));
	mpt_step_end();
}

static void
init_victim(void *arg)
{
	struct scene *s = arg;

	may_fail(mproc_barrier_enroll(s->barrier));
	mpt_step_begin();
	may_fail(mproc_barrier_init(s->barrier, 2));
	mpt_step_end();
}

static void
killed_while_another_one_waits(void **state)
{
	struct scene s = { .t = *state, .parties = 2 };

	step(&s, "wait that completes a phase", begin_with_other,
	     complete_victim, other_survivor);
	step(&s, "abort", begin_with_other, abort_victim, other_survivor);
	step(&s, "the end of a party", begin_with_other, leave_victim,
	     other_survivor);
	step(&s, "reset", begin_with_other, reset_victim, other_survivor);
	step(&s, "init", begin_with_other, init_victim, other_survivor);
	s.parties = 3;
	step(&s, "wait in vain, another one waits", begin_with_other,
	     vain_victim, other_survivor);
}

static void
wait_until_destroyed(void *arg)
{
	struct scene *s = arg;
	int r = mproc_barrier_wait(s->barrier, mproc_sec(60));

	if (r != -ESHUTDOWN && r != -ENOTRECOVERABLE)
		_exit(1);
}

static void
begin_with_one_in_the_way(void *arg)
{
	struct scene *s = arg;

	begin(s);
	s->other = start(wait_until_destroyed, s);
	mpt_until(s->t, mproc_barrier_waiting(s->barrier) == 1);
}

static void
destroy_victim(void *arg)
{
	struct scene *s = arg;

	may_fail(mproc_barrier_enroll(s->barrier));
	mpt_step_begin();
	mproc_barrier_destroy(s->barrier);
	mpt_step_end();
}

static void
destroyed_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	mproc_barrier *next;

	(void)victim;
	(void)n;
	recover();
	wait_for_exit(s->other);
	if (finished)
		assert_int_equal(mproc_barrier_enroll(s->barrier), -ESTALE);
	mproc_barrier_destroy(s->barrier);
	assert_int_equal(mproc_barrier_create(&next, s->parties), 0);
	assert_ptr_equal(next, s->barrier);
	end(s);
}

static void
killed_while_it_destroys(void **state)
{
	struct scene s = { .t = *state, .parties = 2 };

	step(&s, "destroy", begin_with_one_in_the_way, destroy_victim,
	     destroyed_survivor);
}

static void
begin_after_a_death(void *arg)
{
	struct scene *s = arg;
	pid_t pid;

	begin(s);
	pid = start(wait_either, s);
	mpt_until(s->t, mproc_barrier_waiting(s->barrier) == 1);
	end_by_kill(pid);
}

static void
heir_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	must_be(mproc_barrier_wait(s->barrier, MPROC_NOWAIT), -EAGAIN);
	mpt_step_end();
}

static void
killed_while_it_begins_a_new_team(void **state)
{
	struct scene s = { .t = *state, .parties = 2 };

	step(&s, "wait after all have died", begin_after_a_death, heir_victim,
	     as_new_survivor);
	s.parties = 3;
	step(&s, "enroll after all have died", begin_after_a_death,
	     enroll_victim, alone_survivor);
}

static int
setup(void **state)
{
	mproc_barrier *barrier;

	(void)state;
	if (mproc_barrier_create(&barrier, 1) < 0)
		return -1;
	mproc_barrier_destroy(barrier);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_alone),
		mpt_test(killed_while_another_one_waits),
		mpt_test(killed_while_it_destroys),
		mpt_test(killed_while_it_begins_a_new_team),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
