/* SPDX-License-Identifier: MIT */
/*
 * Defects that interrupts, and signal handlers that fork or exit, once had.
 * Each test brings about by force what needed bad luck then: a signal or
 * another thread that comes between two certain instructions.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <mproc/mproc.h>

#include "base/fault.h"
#include "common.h"
#include "mpt_mount.h"
#include "os/generation.h"
#include "os/interrupt.h"
#include "os/task.h"
#include "puppet.h"

#define POKED 1u

/* In the scratch bytes. */
struct board {
	_Atomic bool go, done;
	_Atomic uint64_t theirs;
};

static struct mpr_process_page *
page(void)
{
	mpr_generation();
	return atomic_load(&mpr_process_page);
}

/* Where the first thread that waits for a child puts its descriptor. */
static _Atomic uint32_t *
place(void)
{
	return &page()->pollers[0];
}

static uint32_t
place_of(int fd)
{
	return ((uint32_t)fd + 1) << 1;
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
start_one(struct mpt *t)
{
	mproc_process *p = NULL;

	mpt_check_int(t, mproc_process_start(&p, wait_for_a_signal, NULL, NULL),
		      0);
	return p;
}

static void *
join_one(void *p)
{
	return (void *)(intptr_t)mproc_process_join(p, MPROC_FOREVER);
}

static void
kill_and_close(struct mpt *t, mproc_process *p)
{
	int r;

	mpt_check_int(t, mproc_process_kill(p), 0);
	do
		r = (int)(intptr_t)join_one(p);
	while (r == -EINTR);
	mpt_check_int(t, r, 0);
	mproc_process_close(p);
}

static pthread_t
make_thread(struct mpt *t, void *(*fn)(void *arg), void *arg)
{
	pthread_t thread;

	mpt_check_int(t, pthread_create(&thread, NULL, fn, arg), 0);
	return thread;
}

static void *
result_of(pthread_t thread)
{
	void *result = NULL;

	pthread_join(thread, &result);
	return result;
}

static void *
interrupt_with_a_cancel_pending(void *arg)
{
	pthread_cancel(pthread_self());
	mproc_interrupt();
	return arg;
}

static int
interrupt_a_join(struct mpt *t, void *arg)
{
	mproc_process *p = start_one(t);
	pthread_t joiner = make_thread(t, join_one, p);

	(void)arg;
	mpt_until(t, *place());
	mpt_check(t, result_of(make_thread(t, interrupt_with_a_cancel_pending,
					   p)) == p);
	mpt_check_int(t, (intptr_t)result_of(joiner), -EINTR);
	kill_and_close(t, p);
	return 0;
}

static void
a_cancelled_thread_finishes_an_interrupt(void **state)
{
	struct mpt *t = *state;

	mpt_watchdog(t, 5);
	mpt_expect_exit(t, mpt_spawn(t, "parent", interrupt_a_join, NULL), 0);
}

/* For who may hang, and is nobody's role. */
static void
end_in_time(void)
{
	signal(SIGALRM, SIG_DFL);
	alarm(5);
}

/* A handler that forks. */

static _Atomic pid_t forked;

static void
fork_in_handler(int sig)
{
	(void)sig;
	forked = fork();
	if (forked == 0)
		end_in_time();
	else if (forked < 0)
		abort();
}

static void
expect_forked_to_end_well(struct mpt *t)
{
	int status;

	mpt_check_int(t, waitpid(forked, &status, 0), forked);
	mpt_check_int(t, status, 0);
}

struct join {
	struct mpt *t;
	mproc_process *p;
	pthread_t joiner;
};

static void *
disturb_a_join(void *arg)
{
	struct join *j = arg;

	mpt_until(j->t, *place());
	pthread_kill(j->joiner, SIGUSR1);
	mpt_until(j->t, forked > 0);
	expect_forked_to_end_well(j->t);
	mpt_check_int(j->t, mproc_process_kill(j->p), 0);
	return NULL;
}

static int
fork_in_a_join(struct mpt *t, void *arg)
{
	struct join j = { t, start_one(t), pthread_self() };
	pthread_t other;
	int r;

	(void)arg;
	forked = -1;
	signal(SIGUSR1, fork_in_handler);
	other = make_thread(t, disturb_a_join, &j);
	r = mproc_process_join(j.p, MPROC_FOREVER);
	if (forked == 0)
		_exit(r != -ECHILD);
	mpt_check_int(t, r, 0);
	pthread_join(other, NULL);
	mproc_process_close(j.p);
	return 0;
}

static void
a_child_forked_in_a_join_comes_back_from_it(void **state)
{
	struct mpt *t = *state;

	mpt_watchdog(t, 10);
	mpt_expect_exit(t, mpt_spawn(t, "parent", fork_in_a_join, NULL), 0);
}

static void
interrupt_somebody(struct mpt *t, void *arg)
{
	(void)arg;
	forked = -1;
	signal(SIGUSR1, fork_in_handler);
	*place() = place_of(eventfd(0, EFD_NONBLOCK));
	puppet_halt();
	mproc_interrupt();
	if (forked == 0)
		_exit(*place() != 0);
	if (forked > 0)
		expect_forked_to_end_well(t);
}

/* A word of the puppet's memory, which has all that is there before the fork at
 * the same place as ours. */
static unsigned long
look(struct mpt *t, pid_t pid, void *at)
{
	long word;

	errno = 0;
	word = ptrace(PTRACE_PEEKDATA, pid, at, NULL);
	mpt_check_int(t, errno, 0);
	return (unsigned long)word;
}

static bool
is_poked(struct mpt *t, pid_t pid)
{
	return look(t, pid, place()) & POKED;
}

/* Lets a puppet run to its end, after a signal. */
static void
run_with_signal(struct mpt *t, pid_t pid)
{
	int status, sig = SIGUSR1;

	do {
		mpt_check_int(t, ptrace(PTRACE_CONT, pid, NULL, sig), 0);
		mpt_check_int(t, waitpid(pid, &status, 0), pid);
		/* One that comes, or is not blocked any more. */
		sig = WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
	} while (sig);
	mpt_check_int(t, status, 0);
}

static void
a_child_forked_in_an_interrupt_has_nobody_to_wake(void **state)
{
	struct mpt *t = *state;
	bool poked = true;
	unsigned n;
	pid_t pid;

	for (n = 0; poked; n++) {
		pid = puppet_start(t, interrupt_somebody, NULL);
		puppet_move_until(t, pid, is_poked(t, pid));
		for (unsigned i = 0; i < n; i++)
			assert_true(puppet_move(t, pid));
		poked = is_poked(t, pid);
		run_with_signal(t, pid);
	}
	assert_true(n > 2);
}

static int
interrupt_in_the_past(struct mpt *t, void *arg)
{
	(void)arg;
	/* By another thread, which has looked at the clock after us. */
	page()->interrupted_at = INT64_MAX;
	mproc_interrupt();
	mpt_check(t, page()->interrupted_at == INT64_MAX);
	return 0;
}

static void
the_time_of_the_last_interrupt_does_not_go_back(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "late", interrupt_in_the_past, NULL),
			0);
}

/* First uses, where the kernel cannot wipe the process page. */

static void
forget_the_page(struct mpt *t, const char *spec)
{
	atomic_store(&mpr_process_page, NULL);
	mpt_check_int(t, mpr_fault_set(spec), 0);
}

static void
interrupt_in_handler(int sig)
{
	(void)sig;
	mproc_interrupt();
}

static void
use_first(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	signal(SIGUSR1, interrupt_in_handler);
	end_in_time();
	puppet_halt();
	(void)mpr_generation();
	b->done = true;
	mpt_check_int(t, page()->interrupts, 1);
}

/* The puppets come from a process that has such a page. */
static int
interrupt_first_uses(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	bool done = false;
	unsigned n;
	pid_t pid;

	(void)arg;
	forget_the_page(t, "madvise:1+=EINVAL");
	(void)mpr_generation();
	for (n = 0; !done; n++) {
		b->done = false;
		pid = puppet_start(t, use_first, NULL);
		for (unsigned i = 0; i < n; i++)
			mpt_check(t, puppet_move(t, pid));
		done = b->done;
		run_with_signal(t, pid);
	}
	mpt_check(t, n > 10);
	return 0;
}

static void
a_handler_may_interrupt_a_first_use(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "parent", interrupt_first_uses, NULL),
			0);
}

static void *
use_when_told(void *arg)
{
	struct board *b = mpt_scratch(arg);

	mpt_until(arg, b->go);
	b->theirs = mpr_generation();
	return NULL;
}

/* The kernel refuses one of two threads what the other gets. */
static void
use_beside_another(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	pthread_t other;
	uint64_t ours;

	(void)arg;
	forget_the_page(t, "madvise:1");
	other = make_thread(t, use_when_told, t);
	puppet_halt();
	ours = mpr_generation();
	pthread_join(other, NULL);
	mpt_check(t, ours == b->theirs);
	mpt_check(t, ours == mpr_generation());
}

static void
two_first_uses_agree(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	bool made = false;
	pid_t pid;

	for (unsigned n = 0; !made; n++) {
		*b = (struct board){ 0 };
		pid = puppet_start(t, use_beside_another, NULL);
		for (unsigned i = 0; i < n; i++)
			assert_true(puppet_move(t, pid));
		made = look(t, pid, &mpr_process_page) != 0;
		b->go = true;
		if (!made)
			mpt_until(t, b->theirs);
		puppet_run(t, pid);
	}
}

/* The program has closed the descriptor by which a joiner is woken, and has a
 * file under its number. */
static int
interrupt_a_file(struct mpt *t, void *arg)
{
	mproc_process *p = start_one(t);
	pthread_t joiner = make_thread(t, join_one, p);
	struct stat before, after;
	int fd, file;

	(void)arg;
	mpt_until(t, *place());
	fd = (int)(*place() >> 1) - 1;
	file = memfd_create("file", 0);
	mpt_check_int(t, dup2(file, fd), fd);
	mpt_check_int(t, fstat(fd, &before), 0);
	mproc_interrupt();
	mpt_check_int(t, mproc_process_kill(p), 0);
	(void)result_of(joiner);
	mpt_check_int(t, fstat(fd, &after), 0);
	mpt_check_int(t, after.st_ino, before.st_ino);
	mpt_check_int(t, after.st_size, 0);
	kill_and_close(t, p);
	return 0;
}

static void
a_file_in_place_of_a_joiners_descriptor_is_left_alone(void **state)
{
	struct mpt *t = *state;

	mpt_watchdog(t, 5);
	mpt_expect_exit(t, mpt_spawn(t, "parent", interrupt_a_file, NULL), 0);
}

/* Says of this thread, as /proc of another PID namespace would, that it has
 * been there since boot; so it is meant by an interrupt a little later. */
static void *
wait_as_somebody_else(void *arg)
{
	char path[40];
	struct mpt *t = arg;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)gettid());
	mpt_write_file(t, "/tmp/stat", "1 (init) S 0 0 0 0 0 0 0 0 0 0 "
		       "0 0 0 0 0 0 0 0 0 0 0 0\n");
	mpt_mount_file(t, "/tmp/stat", path);
	mpt_check_int(t, mpr_task_start_time(gettid()), 0);
	mpt_check(t, !mpr_interrupt_pending());
	return NULL;
}

static int
interrupt_soon_after_boot(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_mount_private(t);
	mpt_mount_tmpfs(t, "/tmp", NULL);
	mproc_interrupt();
	page()->interrupted_at = 1;
	(void)result_of(make_thread(t, wait_as_somebody_else, t));
	return 0;
}

static void
a_new_thread_is_not_taken_for_an_old_one_of_another_namespace(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "parent", interrupt_soon_after_boot,
				     NULL), 0);
}

static void
exit_in_handler(int sig)
{
	(void)sig;
	exit(0);
}

static void
do_nothing(void *arg)
{
	(void)arg;
}

static void
lock_and_unlock(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	/* Something to do at the end, under the lock. */
	mpt_check_int(t, mproc_at_exit(do_nothing, NULL), 0);
	signal(SIGUSR1, exit_in_handler);
	end_in_time();
	puppet_halt();
	mpr_process_lock();
	mpr_process_unlock();
	b->done = true;
}

static void
a_handler_may_exit_while_its_thread_holds_the_process_lock(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	bool done = false;
	pid_t pid;

	fflush(stdout); /* or each exit() would */
	for (unsigned n = 0; !done; n++) {
		pid = puppet_start(t, lock_and_unlock, NULL);
		for (unsigned i = 0; i < n; i++)
			assert_true(puppet_move(t, pid));
		done = b->done;
		run_with_signal(t, pid);
	}
}

/* A page of process records is made once, and stays. */
static int
setup(void **state)
{
	mproc_process *p;

	if (with_arena(state) < 0 ||
	    mproc_process_start(&p, wait_for_a_signal, NULL, NULL) < 0)
		return -1;
	mproc_process_kill(p);
	mproc_process_join(p, MPROC_FOREVER);
	mproc_process_close(p);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_cancelled_thread_finishes_an_interrupt),
		mpt_test(a_child_forked_in_a_join_comes_back_from_it),
		mpt_test(a_child_forked_in_an_interrupt_has_nobody_to_wake),
		mpt_test(the_time_of_the_last_interrupt_does_not_go_back),
		mpt_test(a_handler_may_interrupt_a_first_use),
		mpt_test(two_first_uses_agree),
		mpt_test(a_file_in_place_of_a_joiners_descriptor_is_left_alone),
		mpt_test(
	       a_new_thread_is_not_taken_for_an_old_one_of_another_namespace),
		mpt_test(
		  a_handler_may_exit_while_its_thread_holds_the_process_lock),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
