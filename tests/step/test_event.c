/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of what it does with an event: it
 * is set or not, who waits for it goes on if it is, and it works.
 */
#include "await.h"

static mproc_event *
event(struct scene *s)
{
	return s->object;
}

static void
begin(void *arg)
{
	struct scene *s = arg;
	mproc_event *made;

	scene_begin(s);
	assert_int_equal(mproc_event_create(&made), 0);
	s->object = made;
}

static void
sleep_for_it(struct scene *s)
{
	must_be(mproc_event_wait(event(s), mproc_sec(60)), 0);
}

static void
begin_with_sleepers(void *arg)
{
	begin(arg);
	start_sleepers(arg, OTHERS, sleep_for_it);
}

static void
begin_set(void *arg)
{
	struct scene *s = arg;

	begin(s);
	assert_int_equal(mproc_event_set(event(s)), 0);
}

/* It can be set, cleared and waited for. */
static void
end(struct scene *s)
{
	assert_int_equal(mproc_event_clear(event(s)), 0);
	assert_int_equal(mproc_event_wait(event(s), MPROC_NOWAIT), -EAGAIN);
	start_sleepers(s, 1, sleep_for_it);
	assert_int_equal(mproc_event_set(event(s)), 0);
	expect_end(s, 0);
	assert_int_equal(mproc_event_wait(event(s), MPROC_NOWAIT), 0);
	mproc_event_destroy(event(s));
	scene_end(s);
}

static void
set_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	must_be(mproc_event_set(event(s)), 0);
	mpt_step_end();
}

static void
set_by_participant(void *arg)
{
	take_part();
	set_victim(arg);
}

static void
clear_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	must_be(mproc_event_clear(event(s)), 0);
	mpt_step_end();
}

static void
works_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	(void)finished;
	assert_true(mproc_event_is_set(event(s)) >= 0);
	recover();
	end(s);
}

static void
set_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	if (finished)
		assert_int_equal(mproc_event_is_set(event(s)), 1);
	recover();
	end(s);
}

static void
cleared_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	if (finished)
		assert_int_equal(mproc_event_is_set(event(s)), 0);
	recover();
	end(s);
}

/* If it is set, nobody needs to set it again; even if it is cleared before
 * somebody notices the death. */
static void
sleepers_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	int is_set = mproc_event_is_set(event(s));
	int64_t began;

	(void)victim;
	(void)n;
	assert_in_range(is_set, finished, 1);
	assert_int_equal(mproc_event_clear(event(s)), 0);
	recover();
	if (!is_set) {
		/* One that just looks whether its time has come is none. */
		mpt_until(s->t, waiters(s) == OTHERS);
		assert_int_equal(mproc_event_set(event(s)), 0);
	}
	began = mproc_now();
	for (int i = 0; i < OTHERS; i++)
		expect_end(s, i);
	s->late += mproc_now() - began > LATE;
	s->cases++;
	end(s);
}

static void
killed_in_set(void **state)
{
	struct scene s = { .t = *state };

	step(&s, "set", begin, set_victim, set_survivor);
	step(&s, "set, set already", begin_set, set_victim, set_survivor);
	step(&s, "set that wakes", begin_with_sleepers, set_by_participant,
	     sleepers_survivor);
	assert_in_range(s.late, 0, s.cases / 5);
	/* These wait for just that. */
	s.max_cases = 100;
	step(&s, "set that wakes, by a stranger", begin_with_sleepers,
	     set_victim, sleepers_survivor);
}

static void
killed_in_clear(void **state)
{
	struct scene s = { .t = *state };

	step(&s, "clear", begin_set, clear_victim, cleared_survivor);
	step(&s, "clear, clear already", begin, clear_victim,
	     cleared_survivor);
}

static void
ready_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	must_be(mproc_event_wait(event(s), mproc_sec(60)), 0);
	mpt_step_end();
}

/* It has announced itself by then. */
static void
late_victim(void *arg)
{
	struct scene *s = arg;

	take_part();
	mpt_step_begin();
	must_be(mproc_event_wait(event(s), mproc_until(1)), -ETIMEDOUT);
	mpt_step_end();
}

/* The thread's first call, which makes it a participant. */
static void
first_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	must_be(mproc_event_wait(event(s), mproc_until(1)), -ETIMEDOUT);
	mpt_step_end();
}

static void
asleep_victim(void *arg)
{
	struct scene *s = arg;

	take_part();
	mpt_step_begin();
	must_be(mproc_event_wait(event(s), mproc_sec(600)), 0);
	mpt_step_end();
}

static int
set_object(void *object)
{
	return mproc_event_set(object);
}

static void
set_for_who_waits(struct scene *s)
{
	when_somebody_waits(s, set_object);
}

static void
begin_with_setter(void *arg)
{
	begin(arg);
	start_other(arg, 0, set_for_who_waits);
}

/* It is set while the victim is on its way to sleep. */
static void
woken_victim(void *arg)
{
	struct scene *s = arg;

	take_part();
	mpt_step_begin();
	must_be(mproc_event_wait(event(s), mproc_sec(600)), 0);
	mpt_step_end();
}

static void
woken_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	(void)finished;
	assert_int_equal(mproc_event_wait(event(s), mproc_sec(30)), 0);
	expect_end(s, 0);
	recover();
	end(s);
}

static void
killed_in_wait(void **state)
{
	struct scene s = { .t = *state };

	step(&s, "wait, set", begin_set, ready_victim, works_survivor);
	step(&s, "first wait", begin, first_victim, works_survivor);
	step(&s, "wait that is late", begin, late_victim, works_survivor);
	step(&s, "wait, asleep", begin, asleep_victim, works_survivor);
	step(&s, "wait, woken", begin_with_setter, woken_victim,
	     woken_survivor);
}

static void
shut_down(struct scene *s)
{
	must_be(mproc_event_wait(event(s), mproc_sec(60)), -ESHUTDOWN);
}

static void
begin_with_shut_down(void *arg)
{
	begin(arg);
	start_sleepers(arg, OTHERS, shut_down);
}

static void
destroy_victim(void *arg)
{
	struct scene *s = arg;

	take_part();
	mpt_step_begin();
	mproc_event_destroy(event(s));
	mpt_step_end();
}

static void
destroy_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	if (finished)
		assert_int_equal(mproc_event_is_set(event(s)), -ESTALE);
	recover();
	mproc_event_destroy(event(s));
	for (int i = 0; i < OTHERS; i++)
		expect_end(s, i);
	scene_end(s);
}

static void
killed_in_destroy(void **state)
{
	struct scene s = { .t = *state };

	step(&s, "destroy", begin_with_shut_down, destroy_victim,
	     destroy_survivor);
}

/* The first one makes room for many. */
static int
setup(void **state)
{
	mproc_event *made;

	if (mproc_event_create(&made) < 0)
		return -1;
	mproc_event_destroy(made);
	return scene_setup(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_set),
		mpt_test(killed_in_clear),
		mpt_test(killed_in_wait),
		mpt_test(killed_in_destroy),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
