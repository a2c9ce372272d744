/* SPDX-License-Identifier: MIT */
/*
 * Defects that starting a process, waiting for it and forgetting it once had.
 * Each test brings about by force what needed bad luck then.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <mproc/mproc.h>

#include "base/fault.h"
#include "common.h"
#include "mpt_refuse.h"
#include "os/generation.h"
#include "os/task.h"
#include "process/handle.h"

#define CODE 7

static int
return_a_code(void *arg)
{
	(void)arg;
	return CODE;
}

static int
wait_for_a_signal(void *arg)
{
	(void)arg;
	while (pause() < 0)
		;
	return 0;
}

static mproc_process *
start(struct mpt *t, mproc_entry *fn, void *arg)
{
	mproc_process *p = NULL;

	mpt_check_int(t, mproc_process_start(&p, fn, arg, NULL), 0);
	return p;
}

static int
end_of(struct mpt *t, mproc_process *p)
{
	int code = -1;

	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_process_exitcode(p, &code), 0);
	mproc_process_close(p);
	return code;
}

static void
kill_and_close(struct mpt *t, mproc_process *p)
{
	mpt_check_int(t, mproc_process_kill(p), 0);
	mpt_check_int(t, end_of(t, p), -SIGKILL);
}

/* A file of the program's under the number @fd, which it has closed. */
static void
reuse(struct mpt *t, int fd)
{
	int file = memfd_create("file", 0);

	mpt_check(t, file >= 0);
	mpt_check_int(t, dup2(file, fd), fd);
	if (file != fd)
		close(file);
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int
expect_still_open(void *arg)
{
	return is_open(*(const int *)arg) ? CODE : 0;
}

static int
fork_with_a_closed_child(struct mpt *t, void *arg)
{
	mproc_process *p = start(t, wait_for_a_signal, NULL);
	int fd = mproc_process_fd(p), status;
	pid_t pid = mproc_process_pid(p), daemon;

	(void)arg;
	mproc_process_close(p);
	daemon = fork();
	if (daemon == 0) {
		reuse(t, fd);
		mpt_check_int(t, mproc_children(NULL, 0), 0);
		mpt_check(t, is_open(fd));
		mpt_check_int(t, end_of(t, start(t, expect_still_open, &fd)),
			      CODE);
		_exit(0);
	}
	mpt_check_int(t, waitpid(daemon, &status, 0), daemon);
	mpt_check_int(t, status, 0);
	kill(pid, SIGKILL);
	mpt_check_int(t, waitpid(pid, NULL, 0), pid);
	return 0;
}

static void
a_forked_child_closes_no_descriptors_late(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "parent", fork_with_a_closed_child,
				     NULL), 0);
}

static int
fork_with_a_parents_descriptor(void *t)
{
	int fd = mproc_parent_fd(), status;
	pid_t daemon;

	mpt_check(t, fd >= 0);
	daemon = fork();
	if (daemon == 0) {
		reuse(t, fd);
		mpt_check_int(t, end_of(t, start(t, expect_still_open, &fd)),
			      CODE);
		_exit(0);
	}
	mpt_check_int(t, waitpid(daemon, &status, 0), daemon);
	return WEXITSTATUS(status);
}

static void
nor_does_who_is_started_by_one(void **state)
{
	struct mpt *t = *state;

	assert_int_equal(end_of(t, start(t, fork_with_a_parents_descriptor, t)),
			 0);
}

/* A thread that is to be cancelled starts a process. */

struct start {
	struct mpt *t;
	mproc_entry *fn;
	mproc_process *p;
	_Atomic bool came_back;
};

static void *
start_with_a_cancel_pending(void *arg)
{
	struct start *s = arg;

	printf("something");
	pthread_cancel(pthread_self());
	s->p = start(s->t, s->fn, s->t);
	s->came_back = true;
	pthread_testcancel();
	return NULL;
}

/* Also: nothing of the stream stays locked, and the child has what is its. */
static mproc_process *
start_in_a_cancelled_thread(struct mpt *t, mproc_entry *fn)
{
	struct start s = { .t = t, .fn = fn };
	pthread_t thread;
	void *result;

	mpt_check_int(t, pthread_create(&thread, NULL,
					start_with_a_cancel_pending, &s), 0);
	mpt_check_int(t, pthread_join(thread, &result), 0);
	mpt_check(t, result == PTHREAD_CANCELED);
	mpt_check_int(t, ftrylockfile(stdout), 0);
	funlockfile(stdout);
	mpt_check(t, s.came_back);
	return s.p;
}

static void
buffer_output(struct mpt *t)
{
	reuse(t, STDOUT_FILENO);
	mpt_check_int(t, setvbuf(stdout, NULL, _IOFBF, BUFSIZ), 0);
}

static int
start_cancelled(struct mpt *t, void *spec)
{
	buffer_output(t);
	mpt_check_int(t, mpr_fault_set(spec), 0);
	mpt_check_int(t, end_of(t, start_in_a_cancelled_thread(
					   t, return_a_code)), CODE);
	return 0;
}

static void
a_cancelled_thread_finishes_a_start(void **state)
{
	static char no_pidfds[] = "pidfd:1+=ENOSYS";
	struct mpt *t = *state;

	mpt_watchdog(t, 5);
	mpt_expect_exit(t, mpt_spawn(t, "parent", start_cancelled, NULL), 0);
	mpt_expect_exit(t, mpt_spawn(t, "parent", start_cancelled, no_pidfds),
			0);
}

static void *
close_with_a_cancel_pending(void *p)
{
	pthread_cancel(pthread_self());
	mproc_process_close(p);
	pthread_testcancel();
	return NULL;
}

static int
close_in_a_cancelled_thread(struct mpt *t, void *arg)
{
	mproc_process *p = start(t, return_a_code, NULL);
	int fd = mproc_process_fd(p);
	pthread_t thread;

	(void)arg;
	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mpt_check_int(t, pthread_create(&thread, NULL,
					close_with_a_cancel_pending, p), 0);
	pthread_join(thread, NULL);
	mpt_check(t, !is_open(fd));
	return 0;
}

static void
a_cancelled_thread_finishes_a_close(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "parent", close_in_a_cancelled_thread,
				     NULL), 0);
}

/* Joins one that has just been started, when a look would be cancelled. */
static void *
join_with_a_cancel_pending(void *p)
{
	pthread_cancel(pthread_self());
	return (void *)(intptr_t)(mproc_process_join(p, MPROC_FOREVER) + 1);
}

static int
join_in_a_cancelled_thread(struct mpt *t, void *spec)
{
	pthread_t thread;
	mproc_process *p;
	void *result;

	if (spec)
		mpt_check_int(t, mpr_fault_set(spec), 0);
	for (int i = 0; i < 20; i++) {
		p = start(t, return_a_code, NULL);
		mpt_check_int(t, pthread_create(&thread, NULL,
						join_with_a_cancel_pending, p),
			      0);
		mpt_check_int(t, pthread_join(thread, &result), 0);
		mpt_check(t, result == (void *)1);
		mproc_process_close(p);
	}
	return 0;
}

static void
a_cancelled_thread_finishes_a_join(void **state)
{
	struct mpt *t = *state;
	static char no_pidfds[] = "pidfd:1+=ENOSYS";

	mpt_expect_exit(t, mpt_spawn(t, "parent", join_in_a_cancelled_thread,
				     NULL), 0);
	mpt_expect_exit(t, mpt_spawn(t, "parent", join_in_a_cancelled_thread,
				     no_pidfds), 0);
}

static int
test_for_cancel(void *t)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	mpt_check(t, fd >= 0);
	close(fd);
	pthread_testcancel();
	return CODE;
}

static int
start_one_that_could_be_cancelled(struct mpt *t, void *arg)
{
	(void)arg;
	buffer_output(t);
	mpt_check_int(t, end_of(t, start_in_a_cancelled_thread(
					   t, test_for_cancel)), CODE);
	return 0;
}

static void
an_entry_does_not_inherit_its_starters_cancellation(void **state)
{
	struct mpt *t = *state;

	mpt_watchdog(t, 5);
	mpt_expect_exit(t, mpt_spawn(t, "parent",
				     start_one_that_could_be_cancelled, NULL),
			0);
}

static pid_t
fork_a_worker(struct mpt *t)
{
	pid_t pid = fork();

	mpt_check(t, pid >= 0);
	if (pid == 0)
		wait_for_a_signal(NULL);
	return pid;
}

/* The program has reaped our child, whose id is its worker's now. */
static int
have_an_id_used_again(struct mpt *t, void *arg)
{
	struct mproc_exit exit;
	mproc_process *p;
	siginfo_t info = { 0 };
	pid_t worker;

	(void)arg;
	mpt_check_int(t, mpr_fault_set("pidfd:1+=ENOSYS"), 0);
	p = start(t, return_a_code, NULL);
	mpt_check_int(t, waitpid(p->child.pid, NULL, 0), p->child.pid);
	worker = fork_a_worker(t);
	p->child.pid = worker;
	p->child.start_time = mpr_task_start_time(worker) - 1;

	mpt_check_int(t, mproc_process_kill(p), 0);
	mpt_check(t, !mproc_process_is_alive(p));
	mpt_check_int(t, mproc_process_join(p, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_process_exit_info(p, &exit), 0);
	mpt_check_int(t, exit.code, CODE);
	mpt_check(t, exit.reaped_elsewhere);
	mproc_process_close(p);

	mpt_check_int(t, waitid(P_PID, (id_t)worker, &info, WEXITED | WNOHANG),
		      0);
	mpt_check_int(t, info.si_pid, 0);
	kill(worker, SIGTERM);
	mpt_check_int(t, waitid(P_PID, (id_t)worker, &info, WEXITED), 0);
	mpt_check_int(t, info.si_status, SIGTERM);
	return 0;
}

static void
without_pidfds_a_worker_with_the_id_of_a_child_is_spared(void **state)
{
	struct mpt *t = *state;

	mpt_watchdog(t, 5);
	mpt_expect_exit(t, mpt_spawn(t, "parent", have_an_id_used_again, NULL),
			0);
}

static int
join_with_a_hung_up_pipe(struct mpt *t, void *arg)
{
	mproc_process *p = start(t, wait_for_a_signal, NULL);
	int fds[2];

	(void)arg;
	mpt_check_int(t, pipe(fds), 0);
	mpt_check(t, dup2(fds[0], mproc_process_fd(p)) >= 0);
	close(fds[0]);
	close(fds[1]);
	/* For its counts. */
	mpt_check_int(t, mpr_fault_set("fork:1000"), 0);
	mpt_check_int(t, mproc_process_join(p, mproc_ms(100)), -ETIMEDOUT);
	mpt_check(t, mpr_fault_hits(MPR_FAULT_POLL) < 50);
	mpt_check(t, mpr_fault_hits(MPR_FAULT_WAITID) < 500);
	kill_and_close(t, p);
	return 0;
}

static void
a_pipe_in_place_of_a_childs_descriptor_costs_no_time(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "parent", join_with_a_hung_up_pipe,
				     NULL), 0);
}

/* In the scratch bytes. */
struct half {
	_Atomic pid_t child;
	bool outlives;
};

/* Forks as a start does, and never comes to give the order. */
static void *
start_half(void *t)
{
	struct half *half = mpt_scratch(t);
	const struct mproc_process_opts opts = {
		.outlive_parent = half->outlives,
	};
	struct mpr_start start = {
		.call = mpr_call_entry(return_a_code, NULL, 0),
		.name = (char[MPR_NAME_MAX]){ "child" },
		.record = mpr_record_new(),
		.opts = &opts,
	};
	pid_t pid;

	mpr_child_bond(&start.bond);
	start.bond.outlives = half->outlives;
	mpr_crash_plan(&start.crash);
	pid = mpr_child_fork();
	if (pid == 0)
		mpr_self_run(&start);
	half->child = pid;
	wait_to_be_killed(t);
	return NULL;
}

static int
exec_during_a_start(struct mpt *t, void *arg)
{
	struct half *half = mpt_scratch(t);
	pthread_t thread;

	(void)arg;
	mpt_check_int(t, pthread_create(&thread, NULL, start_half, t), 0);
	mpt_until(t, half->child && mpt_task_state(half->child) == 'S');
	execl("/bin/sleep", "sleep", "1000", (char *)NULL);
	return 1;
}

static bool
has_ended(pid_t pid)
{
	int state = mpt_task_state(pid);

	return state == 'Z' || state == 0;
}

static void
who_will_not_be_ordered_ends_when_its_starter_execs(void **state)
{
	struct mpt *t = *state;
	struct half *half = mpt_scratch(t);
	int id;

	mpt_watchdog(t, 10);
	for (int i = 0; i < 2; i++) {
		half->child = 0;
		half->outlives = i;
		id = mpt_spawn(t, "starter", exec_during_a_start, NULL);
		mpt_until(t, half->child && has_ended(half->child));
		mpt_kill(t, id);
		mpt_reap_orphans(t);
	}
}

static int
do_without_waitid(struct mpt *t, void *arg)
{
	const long waitid_ = SYS_waitid;
	mproc_process *p;
	siginfo_t info;

	/* With pidfds, and without. */
	if (arg)
		mpr_fault_set("pidfd:1+=ENOSYS");
	mpt_refuse(EPERM, &waitid_, 1);
	mpt_check_int(t, waitid(P_ALL, 0, &info, WEXITED | WNOHANG), -1);
	mpt_check_int(t, errno, EPERM);

	mpt_check_int(t, end_of(t, start(t, return_a_code, NULL)), CODE);
	p = start(t, wait_for_a_signal, NULL);
	mpt_check(t, mproc_process_is_alive(p));
	mpt_check_int(t, mproc_process_join(p, mproc_ms(5)), -ETIMEDOUT);
	kill_and_close(t, p);
	/* No zombie. */
	mpt_check_int(t, waitpid(-1, NULL, WNOHANG), -1);
	mpt_check_int(t, errno, ECHILD);
	return 0;
}

static void
without_waitid_children_are_reaped_as_well(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", do_without_waitid, NULL), 0);
	mpt_expect_exit(t, mpt_spawn(t, "role", do_without_waitid, t), 0);
}

/* A page of process records is made once, and stays. */
static int
setup(void **state)
{
	mproc_process *p;

	if (with_arena(state) < 0 ||
	    mproc_process_start(&p, return_a_code, NULL, NULL) < 0)
		return -1;
	mproc_process_join(p, MPROC_FOREVER);
	mproc_process_close(p);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_forked_child_closes_no_descriptors_late),
		mpt_test(nor_does_who_is_started_by_one),
		mpt_test(a_cancelled_thread_finishes_a_start),
		mpt_test(a_cancelled_thread_finishes_a_close),
		mpt_test(a_cancelled_thread_finishes_a_join),
		mpt_test(an_entry_does_not_inherit_its_starters_cancellation),
		mpt_test(
		    without_pidfds_a_worker_with_the_id_of_a_child_is_spared),
		mpt_test(a_pipe_in_place_of_a_childs_descriptor_costs_no_time),
		mpt_test(without_waitid_children_are_reaped_as_well),
		mpt_test(who_will_not_be_ordered_ends_when_its_starter_execs),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
