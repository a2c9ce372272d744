/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of what it does with a semaphore:
 * no permit is lost that it had not got, nor is one there twice, who waits gets
 * what there is, and with owners all permits are there in the end.
 */
#include "await.h"

enum { ROOM = 2 }; /* permits of those with owners */

static mproc_semaphore *
semaphore(struct scene *s)
{
	return s->object;
}

static void
begin_with(struct scene *s, unsigned value, bool undo)
{
	mproc_semaphore *made;

	scene_begin(s);
	assert_int_equal(mproc_semaphore_create(
		&made, MPROC_OPTS(mproc_semaphore_opts, .value = value,
				  .undo = undo)), 0);
	s->object = made;
}

static void
begin_empty(void *arg)
{
	begin_with(arg, 0, false);
}

static void
begin_one(void *arg)
{
	begin_with(arg, 1, false);
}

static void
begin_undo(void *arg)
{
	begin_with(arg, ROOM, true);
}

static void
acquire_it(struct scene *s)
{
	must_be(mproc_semaphore_acquire(semaphore(s), mproc_sec(60)), 0);
}

static int
value(struct scene *s)
{
	return mproc_semaphore_value(semaphore(s));
}

static void
release(struct scene *s)
{
	assert_int_equal(mproc_semaphore_release(semaphore(s)), 0);
}

static void
take_all(struct scene *s, int n)
{
	assert_int_equal(value(s), n);
	for (int i = 0; i < n; i++)
		assert_int_equal(mproc_semaphore_acquire(semaphore(s),
							 MPROC_NOWAIT), 0);
	assert_int_equal(mproc_semaphore_acquire(semaphore(s), MPROC_NOWAIT),
			 -EAGAIN);
}

/* It has @n permits, and works. */
static void
end(struct scene *s, int n)
{
	recover();
	take_all(s, n);
	start_sleepers(s, 1, acquire_it);
	if (n == 0)
		n = 1;
	for (int i = 0; i < n; i++)
		release(s);
	expect_end(s, 0);
	mproc_semaphore_destroy(semaphore(s));
	scene_end(s);
}

static void
acquire_victim(void *arg)
{
	struct scene *s = arg;

	take_part();
	mpt_step_begin();
	acquire_it(s);
	mpt_step_end();
}

static void
release_victim(void *arg)
{
	struct scene *s = arg;

	take_part();
	mpt_step_begin();
	must_be(mproc_semaphore_release(semaphore(s)), 0);
	mpt_step_end();
}

static void
late_victim(void *arg)
{
	struct scene *s = arg;

	take_part();
	mpt_step_begin();
	must_be(mproc_semaphore_acquire(semaphore(s), mproc_until(1)),
		-ETIMEDOUT);
	mpt_step_end();
}

/* Others have had their permit, or it was gone with the victim. */
static void
acquired_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	int left = value(s);

	(void)victim;
	(void)n;
	assert_in_range(left, 0, !finished);
	end(s, left);
}

static void
released_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	int left = value(s);

	(void)victim;
	(void)n;
	assert_in_range(left, finished, 1);
	end(s, left);
}

static void
unchanged_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	(void)finished;
	end(arg, 0);
}

static void
begin_with_sleepers(void *arg)
{
	begin_empty(arg);
	start_sleepers(arg, OTHERS, acquire_it);
}

/* Until one of the sleepers has gone on. Returns which. */
static int
await_one(struct scene *s)
{
	int status;
	pid_t pid = waitpid(-1, &status, 0);

	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	for (int i = 0; i < OTHERS; i++)
		if (s->others[i] == pid)
			return i;
	fail();
	return -1;
}

static bool
one_has_gone_on(const struct scene *s)
{
	return mpt_task_state(s->others[0]) == 'Z' ||
	       mpt_task_state(s->others[1]) == 'Z';
}

static bool
all_sleep_on(struct scene *s)
{
	return value(s) == 0 && waiters(s) == OTHERS &&
	       mpt_task_state(s->others[0]) == 'S' &&
	       mpt_task_state(s->others[1]) == 'S';
}

/* The victim's release was made or not; the other sleeper needs one more. Who is
 * woken to look is not counted as a waiter for a moment, whatever it finds. */
static void
one_more_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	int64_t began;
	int first;

	(void)victim;
	(void)n;
	recover();
	began = mproc_now();
	if (!finished) {
		mpt_until(s->t, one_has_gone_on(s) || all_sleep_on(s));
		if (!one_has_gone_on(s))
			release(s);
	}
	first = await_one(s);
	s->late += mproc_now() - began > LATE;
	s->cases++;
	release(s);
	expect_end(s, !first);
	end(s, 0);
}

static void
killed_in_acquire_and_release(void **state)
{
	struct scene s = { .t = *state };

	step(&s, "acquire", begin_one, acquire_victim, acquired_survivor);
	step(&s, "release", begin_empty, release_victim, released_survivor);
	step(&s, "acquire that is late", begin_empty, late_victim,
	     unchanged_survivor);
	step(&s, "acquire, asleep", begin_empty, acquire_victim,
	     unchanged_survivor);
}

static void
killed_in_release_that_wakes(void **state)
{
	struct scene s = { .t = *state };

	step(&s, "release that wakes", begin_with_sleepers, release_victim,
	     one_more_survivor);
	assert_in_range(s.late, 0, s.cases / 5);
}

static int
release_object(void *object)
{
	return mproc_semaphore_release(object);
}

static void
release_for_who_waits(struct scene *s)
{
	when_somebody_waits(s, release_object);
}

static void
begin_with_releaser(void *arg)
{
	begin_empty(arg);
	start_other(arg, 0, release_for_who_waits);
}

/* Waits for it too until the other one has seen somebody wait. */
static void
keep_company(struct scene *s, int i)
{
	while (mpt_task_state(s->others[i]) != 'Z')
		if (mproc_semaphore_acquire(semaphore(s), mproc_ms(5)) == 0)
			release(s);
	expect_end(s, i);
}

/* If the victim has not got the permit that was released for it, or died before
 * that, it is there. */
static void
woken_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	int left;

	(void)victim;
	(void)n;
	recover();
	keep_company(s, 0);
	left = value(s);
	assert_in_range(left, 0, !finished);
	end(s, left);
}

/* The other one waits longer, so the victim can be chosen only when that has
 * gone on: two are released. */
static int
release_two(void *object)
{
	int r = mproc_semaphore_release(object);

	return r < 0 ? r : mproc_semaphore_release(object);
}

static void
release_two_for_two(struct scene *s)
{
	while (waiters(s) < 2)
		sched_yield();
	must_be(release_two(semaphore(s)), 0);
}

static void
begin_with_sleeper_and_releaser(void *arg)
{
	struct scene *s = arg;

	begin_empty(s);
	start_sleepers(s, 1, acquire_it);
	start_other(s, 1, release_two_for_two);
}

/* The sleeper gets one, whatever became of the victim. */
static void
passed_on_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	int64_t began;
	int left;

	(void)victim;
	(void)n;
	recover();
	began = mproc_now();
	keep_company(s, 1);
	expect_end(s, 0);
	s->late += mproc_now() - began > LATE;
	s->cases++;
	left = value(s);
	assert_in_range(left, 0, !finished);
	end(s, left);
}

static void
killed_as_it_is_woken(void **state)
{
	struct scene s = { .t = *state };

	step(&s, "acquire, woken", begin_with_releaser, acquire_victim,
	     woken_survivor);
	step(&s, "acquire, woken with another", begin_with_sleeper_and_releaser,
	     acquire_victim, passed_on_survivor);
	assert_in_range(s.late, 0, s.cases / 5);
}

static void
undone_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	(void)finished;
	end(arg, ROOM);
}

static void
undo_release_victim(void *arg)
{
	struct scene *s = arg;

	acquire_it(s);
	mpt_step_begin();
	must_be(mproc_semaphore_release(semaphore(s)), 0);
	mpt_step_end();
}

/* The test has one permit, the victim will have the other, others wait. */
static void
begin_undo_held(void *arg)
{
	struct scene *s = arg;

	begin_undo(s);
	assert_int_equal(mproc_semaphore_acquire(semaphore(s), MPROC_NOWAIT),
			 0);
}

static void
acquire_when_others_wait(struct scene *s)
{
	must_be(mproc_semaphore_acquire(semaphore(s), mproc_sec(60)), 0);
	must_be(mproc_semaphore_release(semaphore(s)), 0);
}

/* Who waits cannot be there before the victim has its permit. */
static void
wait_behind_victim(struct scene *s)
{
	while (value(s) > 0)
		;
	acquire_when_others_wait(s);
}

static void
begin_undo_with_sleeper(void *arg)
{
	struct scene *s = arg;

	begin_undo_held(s);
	start_other(s, 0, wait_behind_victim);
}

static void
undo_waking_victim(void *arg)
{
	struct scene *s = arg;

	acquire_it(s);
	mpt_until(s->t, waiters(s) == 1 &&
				mpt_task_state(s->others[0]) == 'S');
	mpt_step_begin();
	must_be(mproc_semaphore_release(semaphore(s)), 0);
	mpt_step_end();
}

/* The sleeper gets it, given back or left by the dead. */
static void
undo_sleeper_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	int64_t began;

	(void)victim;
	(void)n;
	(void)finished;
	recover();
	began = mproc_now();
	expect_end(s, 0);
	s->late += mproc_now() - began > LATE;
	s->cases++;
	release(s);
	end(s, ROOM);
}

static void
killed_with_undo(void **state)
{
	struct scene s = { .t = *state };

	step(&s, "acquire with undo", begin_undo, acquire_victim,
	     undone_survivor);
	step(&s, "release with undo", begin_undo, undo_release_victim,
	     undone_survivor);
	step(&s, "release with undo that wakes", begin_undo_with_sleeper,
	     undo_waking_victim, undo_sleeper_survivor);
	assert_in_range(s.late, 0, s.cases / 5);
}

/* Takes the place that had permits already. */
static void
begin_nothing(void *arg)
{
	struct scene *s = arg;

	begin_empty(s);
	assert_int_equal(mproc_arena_stat(NULL, &s->before), 0);
	s->object = NULL;
}

static void
create_victim(void *arg)
{
	mproc_semaphore *made;

	(void)arg;
	take_part();
	mpt_step_begin();
	must_be(mproc_semaphore_create(
		&made, MPROC_OPTS(mproc_semaphore_opts, .value = ROOM,
				  .undo = true)), 0);
	mpt_step_end();
	mproc_semaphore_destroy(made);
}

/* What was being made is used for the next one: nothing is left but a block of
 * permits, perhaps one of cells, and, where the victim was about to return, the
 * permits of a semaphore that nobody has got. */
static void
create_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct mproc_arena_stat now;
	struct scene *s = arg;
	mproc_semaphore *made;

	(void)victim;
	(void)n;
	(void)finished;
	recover();
	assert_int_equal(mproc_semaphore_create(
		&made, MPROC_OPTS(mproc_semaphore_opts, .value = ROOM,
				  .undo = true)), 0);
	s->object = made;
	take_all(s, ROOM);
	mproc_semaphore_destroy(made);
	s->object = NULL;
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_in_range(now.blocks - s->before.blocks, 1, 3);
}

static void
destroy_victim(void *arg)
{
	struct scene *s = arg;

	take_part();
	mpt_step_begin();
	mproc_semaphore_destroy(semaphore(s));
	mpt_step_end();
}

static void
shut_down(struct scene *s)
{
	must_be(mproc_semaphore_acquire(semaphore(s), mproc_sec(60)),
		-ESHUTDOWN);
}

static void
begin_with_shut_down(void *arg)
{
	begin_empty(arg);
	start_sleepers(arg, OTHERS, shut_down);
}

static void
destroy_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	if (finished)
		assert_int_equal(value(s), -ESTALE);
	recover();
	mproc_semaphore_destroy(semaphore(s));
	for (int i = 0; i < OTHERS; i++)
		expect_end(s, i);
	scene_end(s);
}

static void
killed_in_create_and_destroy(void **state)
{
	struct scene s = { .t = *state };

	/* Each takes a place for good. */
	s.max_cases = 150;
	step(&s, "create with undo", begin_nothing, create_victim,
	     create_survivor);
	s.max_cases = 0;
	step(&s, "destroy", begin_with_shut_down, destroy_victim,
	     destroy_survivor);
}

/* The first ones make room for others. */
static int
setup(void **state)
{
	mproc_semaphore *made;

	if (mproc_semaphore_create(
		    &made, MPROC_OPTS(mproc_semaphore_opts, .value = ROOM,
				      .undo = true)) < 0)
		return -1;
	mproc_semaphore_destroy(made);
	return scene_setup(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_acquire_and_release),
		mpt_test(killed_in_release_that_wakes),
		mpt_test(killed_as_it_is_woken),
		mpt_test(killed_with_undo),
		mpt_test(killed_in_create_and_destroy),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
