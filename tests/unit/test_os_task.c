/* SPDX-License-Identifier: MIT */
/*
 * What /proc tells about a thread.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/fault.h"
#include "common.h"
#include "os/task.h"

static int
tell_and_wait(struct mpt *t, void *arg)
{
	if (arg)
		prctl(PR_SET_NAME, arg);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
a_running_process_runs(void **state)
{
	uint64_t start = mpr_task_start_time(getpid());

	(void)state;
	assert_true(start > 0);
	assert_int_equal(mpr_task_probe(getpid(), start), MPR_TASK_RUNS);
}

static void
a_sleeping_or_stopped_process_runs(void **state)
{
	struct mpt *t = *state;
	int id = mpt_spawn(t, "peer", tell_and_wait, NULL);
	uint64_t start;

	mpt_reach(t, 1);
	start = mpr_task_start_time(mpt_pid(t, id));
	mpt_until(t, mpt_task_state(mpt_pid(t, id)) == 'S');
	assert_int_equal(mpr_task_probe(mpt_pid(t, id), start), MPR_TASK_RUNS);
	mpt_pause(t, id);
	assert_int_equal(mpr_task_probe(mpt_pid(t, id), start), MPR_TASK_RUNS);
	mpt_resume(t, id);
}

static void
a_zombie_is_gone(void **state)
{
	struct mpt *t = *state;
	int id = mpt_spawn(t, "peer", tell_and_wait, NULL);
	uint64_t start;

	mpt_reach(t, 1);
	start = mpr_task_start_time(mpt_pid(t, id));
	mpt_kill_unreaped(t, id);
	assert_int_equal(mpt_task_state(mpt_pid(t, id)), 'Z');
	assert_int_equal(mpr_task_probe(mpt_pid(t, id), start), MPR_TASK_GONE);
}

static void
a_reaped_process_is_gone_and_errno_stays(void **state)
{
	struct mpt *t = *state;
	int id = mpt_spawn(t, "peer", tell_and_wait, NULL);
	uint64_t start;

	mpt_reach(t, 1);
	start = mpr_task_start_time(mpt_pid(t, id));
	mpt_kill(t, id);
	errno = EXDEV;
	assert_int_equal(mpr_task_probe(mpt_pid(t, id), start), MPR_TASK_GONE);
	assert_int_equal(errno, EXDEV);
	assert_int_equal(mpr_task_start_time(mpt_pid(t, id)), 0);
}

static void
an_id_that_another_one_has_now_is_gone(void **state)
{
	uint64_t start = mpr_task_start_time(getpid());

	(void)state;
	/* Of the one who started later, and who was there before that. */
	assert_int_equal(mpr_task_probe(getpid(), start - 1), MPR_TASK_GONE);
	assert_int_equal(mpr_task_probe(getpid(), start + 1), MPR_TASK_RUNS);
}

/* Who has just been made has not started in the future. */
static int
compare_with_now(struct mpt *t, void *arg)
{
	uint64_t start = mpr_task_own_start_time(), now = mpr_task_now();

	(void)arg;
	mpt_check(t, start > 0 && start <= now && now - start < 1000);
	mpt_check_int(t, mpr_task_probe(mpr_task_tid(), now), MPR_TASK_RUNS);
	return 0;
}

static void
who_runs_has_started_before_now(void **state)
{
	struct mpt *t = *state;

	for (int i = 0; i < 100; i++)
		mpt_spawn(t, "role", compare_with_now, NULL);
	mpt_join_all(t);
}

static void
without_a_start_time_nothing_is_known(void **state)
{
	(void)state;
	assert_int_equal(mpr_task_probe(getpid(), 0), MPR_TASK_UNKNOWN);
}

static void
a_name_that_looks_like_the_fields_does_not_deceive(void **state)
{
	struct mpt *t = *state;
	char name[] = "a) Z 1 2 3 4";
	int id = mpt_spawn(t, "peer", tell_and_wait, name);
	uint64_t start;

	mpt_reach(t, 1);
	start = mpr_task_start_time(mpt_pid(t, id));
	assert_true(start >= mpr_task_start_time(getpid()));
	assert_int_equal(mpr_task_probe(mpt_pid(t, id), start), MPR_TASK_RUNS);
}

static int
note_tid(struct mpt *t, void *arg)
{
	pid_t *tid = arg;

	*tid = mpr_task_tid();
	mpt_step(t, 0);
	mpt_reach(t, 2);
	return 0;
}

static void
a_thread_is_found_by_its_own_id(void **state)
{
	struct mpt *t = *state;
	uint64_t start;
	pid_t tid;
	int id;

	mpt_use_threads(t, true);
	id = mpt_spawn(t, "thread", note_tid, &tid);
	mpt_reach(t, 1);
	assert_int_not_equal(tid, mpr_task_pid());
	assert_int_equal(mpr_task_tid(), mpr_task_pid());
	start = mpr_task_start_time(tid);
	assert_int_equal(mpr_task_probe(tid, start), MPR_TASK_RUNS);
	mpt_step(t, 1);
	mpt_expect_exit(t, id, 0);
	/* A joined thread may be in /proc for a moment. */
	mpt_until(t, mpr_task_probe(tid, start) == MPR_TASK_GONE);
}

/* In the scratch bytes. */
struct looks {
	_Atomic unsigned n;
	_Atomic bool may_be_last;
};

static void *
await_being_the_last(void *arg)
{
	struct looks *looks = mpt_scratch(arg);

	while (!mpr_task_are_last(1)) {
		looks->n++;
		sched_yield();
	}
	_exit(looks->may_be_last ? 0 : 1);
}

static void *
wait_for_step(void *arg)
{
	mpt_reach(arg, 1);
	return NULL;
}

/* The first thread ends before the others. */
static int
leave_others_behind(struct mpt *t, void *arg)
{
	pthread_t thread;

	mpt_check(t, !mpr_task_are_last(1));
	mpt_check_int(t, pthread_create(&thread, NULL, wait_for_step, t), 0);
	mpt_check_int(t, pthread_create(&thread, NULL, await_being_the_last, t),
		      0);
	pthread_exit(arg);
}

static void
the_last_thread_of_a_process_knows(void **state)
{
	struct mpt *t = *state;
	int id = mpt_spawn(t, "process", leave_others_behind, NULL);
	struct looks *looks = mpt_scratch(t);

	mpt_until(t, mpt_task_state(mpt_pid(t, id)) == 'Z');
	/* One other is there, until it has been told to end. */
	looks->n = 0;
	mpt_until(t, looks->n > 3 || kill(mpt_pid(t, id), 0) < 0);
	looks->may_be_last = true;
	mpt_step(t, 0);
	mpt_expect_exit(t, id, 0);
}

/* Asked in both ways that there are. */
static bool
has_ended(pid_t pid, uint64_t start)
{
	bool ended = mpr_task_process_ended(pid, start);

	assert_int_equal(mpr_fault_set("pidfd:1+"), 0);
	assert_int_equal(mpr_task_process_ended(pid, start), ended);
	assert_int_equal(mpr_fault_set(NULL), 0);
	return ended;
}

static void
a_process_has_ended_with_its_last_thread(void **state)
{
	struct mpt *t = *state;
	int id = mpt_spawn(t, "process", leave_others_behind, NULL);
	struct looks *looks = mpt_scratch(t);
	pid_t pid = mpt_pid(t, id);
	uint64_t start;

	mpt_until(t, mpt_task_state(pid) == 'Z');
	start = mpr_task_start_time(pid);
	assert_int_equal(mpr_task_probe(pid, start), MPR_TASK_GONE);
	assert_false(has_ended(pid, start));
	assert_false(has_ended(pid, 0));
	looks->may_be_last = true;
	mpt_kill_unreaped(t, id);
	assert_true(has_ended(pid, start));
	assert_true(has_ended(pid, 0));
	mpt_kill(t, id);
	errno = 42;
	assert_true(mpr_task_process_ended(pid, start));
	assert_int_equal(errno, 42);
	assert_true(has_ended(pid, 0));
}

static void
who_started_later_is_another_process(void **state)
{
	uint64_t start = mpr_task_start_time(getpid());

	(void)state;
	assert_false(has_ended(getpid(), start));
	assert_false(has_ended(getpid(), 0));
	assert_true(has_ended(getpid(), start - 1));
}

static int
compare_namespace(struct mpt *t, void *arg)
{
	mpt_check_int(t, mpr_task_namespace(), *(uint64_t *)arg);
	return 0;
}

static void
a_child_is_in_its_parents_pid_namespace(void **state)
{
	struct mpt *t = *state;
	uint64_t namespace = mpr_task_namespace();

	assert_int_not_equal(namespace, 0);
	mpt_expect_exit(t, mpt_spawn(t, "child", compare_namespace, &namespace),
			0);
}

/* What no kernel says shows that it was not asked. */
#define TOLD 4711

static void
a_namespace_is_taken_over_from_the_parent_only(void **state)
{
	uint64_t ours = mpr_task_namespace();
	pid_t parent = getpid(), pid;
	int status;

	(void)state;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (mpr_task_inherit_namespace(parent + 1, TOLD) ||
		    mpr_task_namespace() != ours ||
		    !mpr_task_inherit_namespace(parent, TOLD))
			_exit(1);
		_exit(mpr_task_namespace() != TOLD);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(mpr_task_namespace(), ours);
}

static int
be_in_another_namespace(struct mpt *t, void *arg)
{
	uint64_t ours = mpr_task_namespace();
	pid_t parent = getpid(), pid;
	bool inherits = arg;
	int status;

	if (unshare(CLONE_NEWPID) < 0 &&
	    unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0)
		return MPT_REFUSED;
	mpt_check_int(t, mpr_task_namespace(), ours);
	pid = fork();
	if (pid == 0) {
		if (inherits)
			(void)mpr_task_inherit_namespace(parent, ours);
		_exit(mpr_task_namespace() == ours);
	}
	mpt_check_int(t, waitpid(pid, &status, 0), pid);
	mpt_check_int(t, status, 0);
	return 0;
}

static void
what_is_known_of_a_pid_namespace_ends_with_a_fork(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", be_in_another_namespace, NULL),
			0);
	/* Who is in a new one does not take over its parent's. */
	mpt_expect_exit(t, mpt_spawn(t, "heir", be_in_another_namespace, t), 0);
}

static int
use_one_cpu(struct mpt *t, void *arg)
{
	const struct sched_param plain = { .sched_priority = 0 };
	int cpu = sched_getcpu();
	uint64_t before;
	cpu_set_t one;
	pid_t pid;

	(void)arg;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	mpt_check_int(t, sched_setaffinity(0, sizeof(one), &one), 0);
	mpt_check_int(t, sched_setscheduler(0, SCHED_OTHER, &plain), 0);
	before = mpr_task_preempted();
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			continue;
	}
	while (mpr_task_preempted() < before + 3)
		continue;
	mpt_check_int(t, kill(pid, SIGKILL), 0);
	mpt_check_int(t, waitpid(pid, NULL, 0), pid);
	return 0;
}

static void
who_has_to_share_its_cpu_is_told_so(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_fork(t, "shares", use_one_cpu, NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_running_process_runs),
		mpt_test(a_sleeping_or_stopped_process_runs),
		mpt_test(a_zombie_is_gone),
		mpt_test(a_reaped_process_is_gone_and_errno_stays),
		mpt_test(an_id_that_another_one_has_now_is_gone),
		mpt_test(who_runs_has_started_before_now),
		mpt_test(what_is_known_of_a_pid_namespace_ends_with_a_fork),
		mpt_test(a_namespace_is_taken_over_from_the_parent_only),
		mpt_test(without_a_start_time_nothing_is_known),
		mpt_test(a_name_that_looks_like_the_fields_does_not_deceive),
		mpt_test(a_thread_is_found_by_its_own_id),
		mpt_test(the_last_thread_of_a_process_knows),
		mpt_test(a_process_has_ended_with_its_last_thread),
		mpt_test(who_started_later_is_another_process),
		mpt_test(a_child_is_in_its_parents_pid_namespace),
		mpt_test(who_has_to_share_its_cpu_is_told_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
