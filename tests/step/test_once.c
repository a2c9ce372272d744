/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of what it does with a once: it is
 * done, or the next one runs it, and who waits goes on.
 */
#include "await.h"

/* In the scratch bytes. */
struct board {
	_Atomic unsigned runs; /* that came to their end */
	_Atomic unsigned begun;
};

static mproc_once *
once(struct scene *s)
{
	return s->object;
}

static struct board *
board(struct scene *s)
{
	return mpt_scratch(s->t);
}

static void
begin(void *arg)
{
	struct scene *s = arg;
	mproc_once *made;

	scene_begin(s);
	*board(s) = (struct board){ 0 };
	assert_int_equal(mproc_once_create(&made), 0);
	s->object = made;
}

static int
do_it(void *arg)
{
	struct scene *s = arg;

	board(s)->runs++;
	return 0;
}

static int
fail_it(void *arg)
{
	(void)arg;
	return -EIO;
}

/* It is done, however often it was begun. */
static void
end(struct scene *s, unsigned least, unsigned most)
{
	assert_int_equal(mproc_once_run(once(s), do_it, s), 0);
	assert_in_range(board(s)->runs, least, most);
	assert_int_equal(mproc_once_run(once(s), fail_it, s), 0);
	recover();
	mproc_once_destroy(once(s));
	scene_end(s);
}

static void
run_victim(void *arg)
{
	struct scene *s = arg;

	take_part();
	mpt_step_begin();
	must_be(mproc_once_run(once(s), do_it, s), 0);
	mpt_step_end();
}

static void
run_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	end(arg, 1, finished ? 1 : 2);
}

static void
fail_victim(void *arg)
{
	struct scene *s = arg;

	take_part();
	mpt_step_begin();
	must_be(mproc_once_run(once(s), fail_it, s), -EIO);
	mpt_step_end();
}

static void
fail_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	(void)finished;
	end(arg, 1, 1);
}

static void
begin_done(void *arg)
{
	begin(arg);
	assert_int_equal(mproc_once_run(once(arg), do_it, arg), 0);
}

static int
die(void *arg)
{
	(void)arg;
	return kill(getpid(), SIGKILL);
}

/* Somebody has died in it, and nobody has noticed. */
static void
begin_dead(void *arg)
{
	struct scene *s = arg;
	int status;
	pid_t pid;

	begin(s);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(mproc_once_run(once(s), die, s));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void
killed_in_run(void **state)
{
	struct scene s = { .t = *state };

	step(&s, "run", begin, run_victim, run_survivor);
	step(&s, "run that fails", begin, fail_victim, fail_survivor);
	step(&s, "run, done already", begin_done, run_victim, run_survivor);
	step(&s, "run after a death", begin_dead, run_victim, run_survivor);
}

static void
sleep_for_it(struct scene *s)
{
	while (!board(s)->begun)
		sched_yield();
	must_be(mproc_once_run(once(s), do_it, s), 0);
}

static void
begin_with_sleepers(void *arg)
{
	struct scene *s = arg;

	begin(s);
	for (int i = 0; i < OTHERS; i++)
		start_other(s, i, sleep_for_it);
}

static void
until_others_sleep(struct scene *s)
{
	board(s)->begun = 1;
	mpt_until(s->t, waiters(s) == OTHERS);
	for (int i = 0; i < OTHERS; i++)
		mpt_until(s->t, mpt_task_state(s->others[i]) == 'S');
}

static int
do_it_for_sleepers(void *arg)
{
	until_others_sleep(arg);
	mpt_step_begin();
	return do_it(arg);
}

static int
fail_for_sleepers(void *arg)
{
	until_others_sleep(arg);
	mpt_step_begin();
	return -EIO;
}

static void
waking_victim(void *arg)
{
	struct scene *s = arg;

	must_be(mproc_once_run(once(s), do_it_for_sleepers, s), 0);
	mpt_step_end();
}

static void
failing_victim(void *arg)
{
	struct scene *s = arg;

	must_be(mproc_once_run(once(s), fail_for_sleepers, s), -EIO);
	mpt_step_end();
}

static void
expect_sleepers(struct scene *s)
{
	int64_t began;

	recover();
	began = mproc_now();
	for (int i = 0; i < OTHERS; i++)
		expect_end(s, i);
	s->late += mproc_now() - began > LATE;
	s->cases++;
}

static void
waking_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	expect_sleepers(arg);
	end(arg, 1, finished ? 1 : 2);
}

static void
failing_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	(void)finished;
	expect_sleepers(arg);
	end(arg, 1, 1);
}

static void
killed_as_others_wait(void **state)
{
	struct scene s = { .t = *state };

	step(&s, "run that wakes", begin_with_sleepers, waking_victim,
	     waking_survivor);
	assert_in_range(s.late, 0, s.cases / 5);
	s.late = s.cases = 0;
	step(&s, "run that fails and wakes", begin_with_sleepers,
	     failing_victim, failing_survivor);
	assert_in_range(s.late, 0, s.cases / 5);
}

static int
do_it_for_who_waits(void *arg)
{
	struct scene *s = arg;

	board(s)->begun = 1;
	while (!waiters(s))
		sched_yield();
	return do_it(s);
}

static int
fail_for_who_waits(void *arg)
{
	do_it_for_who_waits(arg);
	board(arg)->runs--;
	return -EIO;
}

static void
run_for_who_waits(struct scene *s)
{
	must_be(mproc_once_run(once(s), do_it_for_who_waits, s), 0);
}

static void
fail_for_who_waits_once(struct scene *s)
{
	must_be(mproc_once_run(once(s), fail_for_who_waits, s), -EIO);
}

static void
begin_with_runner(void *arg)
{
	struct scene *s = arg;

	begin(s);
	start_other(s, 0, run_for_who_waits);
	mpt_until(s->t, board(s)->begun);
}

static void
begin_with_failing_runner(void *arg)
{
	struct scene *s = arg;

	begin(s);
	start_other(s, 0, fail_for_who_waits_once);
	mpt_until(s->t, board(s)->begun);
}

static int
pause_in_it(void *arg)
{
	struct scene *s = arg;

	board(s)->begun = 1;
	pause();
	return 0;
}

static void
stay_in_it(struct scene *s)
{
	must_be(mproc_once_run(once(s), pause_in_it, s), 0);
}

static void
begin_with_one_inside(void *arg)
{
	struct scene *s = arg;

	begin(s);
	start_other(s, 0, stay_in_it);
	mpt_until(s->t, board(s)->begun);
}

static void
waited_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	(void)finished;
	recover();
	/* If the victim has not waited, we do. */
	assert_int_equal(mproc_once_run(once(s), do_it, s), 0);
	expect_end(s, 0);
	end(s, 1, 2);
}

static void
asleep_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	(void)finished;
	end_by_kill(s->others[0]);
	end(s, 1, 1);
}

static void
killed_as_it_waits(void **state)
{
	struct scene s = { .t = *state };

	step(&s, "run, asleep", begin_with_one_inside, run_victim,
	     asleep_survivor);
	step(&s, "run, woken", begin_with_runner, run_victim, waited_survivor);
	step(&s, "run, woken after a failure", begin_with_failing_runner,
	     run_victim, waited_survivor);
}

static void
shut_down(struct scene *s)
{
	must_be(mproc_once_run(once(s), do_it, s), -ESHUTDOWN);
}

/* One runs it, and another one waits for that. */
static void
begin_with_shut_down(void *arg)
{
	struct scene *s = arg;

	begin_with_one_inside(s);
	start_other(s, 1, shut_down);
	mpt_until(s->t, waiters(s) && mpt_task_state(s->others[1]) == 'S');
}

static void
destroy_victim(void *arg)
{
	struct scene *s = arg;

	take_part();
	mpt_step_begin();
	mproc_once_destroy(once(s));
	mpt_step_end();
}

static void
destroy_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	if (finished)
		assert_int_equal(mproc_once_run(once(s), do_it, s), -ESTALE);
	recover();
	mproc_once_destroy(once(s));
	expect_end(s, 1);
	end_by_kill(s->others[0]);
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
	mproc_once *made;

	if (mproc_once_create(&made) < 0)
		return -1;
	mproc_once_destroy(made);
	return scene_setup(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_run),
		mpt_test(killed_as_others_wait),
		mpt_test(killed_as_it_waits),
		mpt_test(killed_in_destroy),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
