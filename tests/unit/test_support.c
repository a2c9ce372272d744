/* SPDX-License-Identifier: MIT */
/*
 * The test support library tests itself. A tool that finds no failures may be
 * one that cannot find any, so half of these tests are about failing: each of
 * the "inner" scenarios below fails in its own way, runs in a second instance
 * of this program, and must be reported there with the right words. The
 * single-step killer is tested in test_support_step.c.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mpt.h"
#include "mpt_rand.h"
#include "mpt_self.h"
#include "mpt_times.h"

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN true
#elif defined(__has_feature)
#define UNDER_TSAN __has_feature(thread_sanitizer)
#else
#define UNDER_TSAN false
#endif

/* The scratch bytes as the roles of these tests use them. */
struct board {
	atomic_uint counter;
	atomic_uint order[8];
	atomic_int pid;
	_Atomic(uint32_t) never_woken;
};

static int succeed(struct mpt *t, void *arg)
{
	(void)t;
	(void)arg;
	return 0;
}

static int return_code(struct mpt *t, void *arg)
{
	(void)t;
	return (int)(intptr_t)arg;
}

static int fail_a_check(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_check_int(t, 6 * 7, 41);
	return 0;
}

static int sleep_for_ever(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	for (;;)
		syscall(SYS_futex, &b->never_woken, FUTEX_WAIT, 0, NULL, NULL,
			0);
	return 0;
}

static int count_for_ever(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	for (;;)
		atomic_fetch_add(&b->counter, 1);
	return 0;
}

/* Leaves a child of its own behind and sleeps. */
static int parent_of_a_sleeper(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	pid_t parent = getpid(), pid = fork();

	if (pid == 0) {
		if (arg != NULL)
			prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			atomic_store(&b->pid, getpid());
		sleep_for_ever(t, NULL);
	}
	mpt_check(t, pid > 0);
	return sleep_for_ever(t, NULL);
}

/* Inner scenarios: each fails, except the first. */

static void inner_passes(void **state)
{
	mpt_spawn(*state, "good", succeed, NULL);
	mpt_join_all(*state);
}

static void inner_expects_success(void **state)
{
	mpt_expect_exit(*state, mpt_spawn(*state, "liar", fail_a_check, NULL),
			0);
}

static void inner_waits_for_a_failed_role(void **state)
{
	mpt_spawn(*state, "liar", fail_a_check, NULL);
	mpt_until(*state, false);
}

static void inner_never_asks(void **state)
{
	int id = mpt_spawn(*state, "liar", fail_a_check, NULL);

	/* Not mpt_until(), which would notice. */
	while (mpt_task_state(mpt_pid(*state, id)) != 'Z')
		sched_yield();
}

static void inner_thread_fails(void **state)
{
	mpt_use_threads(*state, true);
	mpt_spawn(*state, "liar", fail_a_check, NULL);
	mpt_join_all(*state);
}

static void inner_unknown_fork_fails(void **state)
{
	pid_t pid = fork();

	if (pid == 0)
		fail_a_check(*state, NULL);
	waitpid(pid, NULL, 0);
}

static void inner_wrong_code(void **state)
{
	mpt_expect_exit(*state,
			mpt_spawn(*state, "three", return_code, (void *)3), 4);
}

static void inner_crashes_unasked(void **state)
{
	int id = mpt_spawn(*state, "crasher", return_code, (void *)3);

	mpt_until(*state, mpt_task_state(mpt_pid(*state, id)) == 'Z');
}

static void inner_wrong_signal(void **state)
{
	int id = mpt_spawn(*state, "sleeper", sleep_for_ever, NULL);

	kill(mpt_pid(*state, id), SIGTERM);
	mpt_expect_exit(*state, id, 0);
}

static void inner_step_taken_twice(void **state)
{
	mpt_step(*state, 0);
	mpt_step(*state, 0);
}

static void inner_leaks_a_descriptor(void **state)
{
	(void)state;
	assert_true(open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0);
}

static void inner_closes_a_descriptor(void **state)
{
	(void)state;
	close(STDIN_FILENO);
}

static void inner_leaks_a_child(void **state)
{
	if (fork() == 0)
		sleep_for_ever(*state, NULL);
}

static void inner_leaks_a_grandchild(void **state)
{
	struct board *b = mpt_scratch(*state);
	int id = mpt_spawn(*state, "parent", parent_of_a_sleeper, NULL);

	mpt_until(*state, b->pid != 0);
	mpt_kill(*state, id);
}

static void inner_leaks_a_name(void **state)
{
	char name[64];

	close(shm_open(mpt_name(*state, name, "left"), O_CREAT | O_RDWR, 0600));
}

static void inner_leaks_a_mapping(void **state)
{
	int fd = memfd_create("left", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_ptr_not_equal(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0),
			     MAP_FAILED);
	close(fd);
}

static void inner_waits_for_ever(void **state)
{
	mpt_spawn(*state, "dreamer", sleep_for_ever, NULL);
	mpt_watchdog(*state, 1);
	mpt_until(*state, 1 + 1 == 3);
}

static void inner_hangs(void **state)
{
	mpt_spawn(*state, "dreamer", sleep_for_ever, NULL);
	mpt_watchdog(*state, 1);
	sleep_for_ever(*state, NULL);
}

static void inner_hangs_deaf(void **state)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	mpt_watchdog(*state, 1);
	sleep_for_ever(*state, NULL);
}

static const struct CMUnitTest inner_tests[] = {
	mpt_test(inner_passes),
	mpt_test(inner_expects_success),
	mpt_test(inner_waits_for_a_failed_role),
	mpt_test(inner_never_asks),
	mpt_test(inner_thread_fails),
	mpt_test(inner_unknown_fork_fails),
	mpt_test(inner_wrong_code),
	mpt_test(inner_crashes_unasked),
	mpt_test(inner_wrong_signal),
	mpt_test(inner_step_taken_twice),
	mpt_test(inner_leaks_a_descriptor),
	mpt_test(inner_closes_a_descriptor),
	mpt_test(inner_leaks_a_child),
	mpt_test(inner_leaks_a_grandchild),
	mpt_test(inner_leaks_a_name),
	mpt_test(inner_leaks_a_mapping),
	mpt_test(inner_waits_for_ever),
	mpt_test(inner_hangs),
	mpt_test(inner_hangs_deaf),
};

static void a_good_scenario_passes_in_silence(void **state)
{
	char out[8192];

	(void)state;
	assert_int_equal(mpt_self_run("inner_passes", out, sizeof(out)), 0);
	assert_null(strstr(out, "mpt:"));
}

static void a_failed_check_reaches_the_test(void **state)
{
	static const char text[] = "6 * 7 is 42, 41 is 41";

	(void)state;
	mpt_self_fails("inner_expects_success", text, "role \"liar\"");
	mpt_self_fails("inner_waits_for_a_failed_role", text, "role \"liar\"");
	mpt_self_fails("inner_never_asks", text, "role \"liar\"");
	mpt_self_fails("inner_thread_fails", text, "role \"liar\"");
	mpt_self_fails("inner_unknown_fork_fails", text,
		       "not spawned by the test");
}

static void a_wrong_end_is_a_failure(void **state)
{
	(void)state;
	mpt_self_fails("inner_wrong_code",
		       "role \"three\" ended by exit code 3",
		       "not exit code 4");
	mpt_self_fails("inner_wrong_signal",
		       "role \"sleeper\" ended by signal 15",
		       "not exit code 0");
	mpt_self_fails("inner_crashes_unasked", "role \"crasher\" ended by",
		       "exit code 3");
	mpt_self_fails("inner_step_taken_twice", "step 0 is taken twice", "");
}

static void leaks_are_named(void **state)
{
	(void)state;
	mpt_self_fails("inner_leaks_a_descriptor", "leaked: fd ",
		       "-> /dev/null");
	mpt_self_fails("inner_closes_a_descriptor",
		       "closed by a stranger: fd 0 ", "");
	mpt_self_fails("inner_leaks_a_child", "leaked: child ", "");
	mpt_self_fails("inner_leaks_a_grandchild", "leaked: child ", "");
	mpt_self_fails("inner_leaks_a_name", "leaked: name /dev/shm/mpt-",
		       "-left");
	mpt_self_fails("inner_leaks_a_mapping", "leaked: mapping at ",
		       "of /memfd:left");
}

static void a_hang_ends_and_is_explained(void **state)
{
	char out[8192];
	int status;

	(void)state;
	mpt_self_fails("inner_waits_for_ever", "the test itself (",
		       "last waited for: 1 + 1 == 3");
	/* See mpt_watch.c for what ThreadSanitizer makes of this one. */
	if (!UNDER_TSAN)
		mpt_self_fails("inner_hangs", "inner_hangs: not over after ",
			       "dreamer (");

	/* Nothing can be said by a process that has all signals blocked. */
	status = mpt_self_run("inner_hangs_deaf", out, sizeof(out));
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

/* Scenarios that pass. */

static int note_the_order(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned me = (unsigned)(uintptr_t)arg, i;

	for (i = me; i < 8; i += 2) {
		mpt_reach(t, i);
		atomic_store(&b->order[i], atomic_fetch_add(&b->counter, 1));
		mpt_step(t, i);
	}
	return 0;
}

static void order_the_roles(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	unsigned i;

	mpt_spawn(t, "even", note_the_order, (void *)0);
	mpt_spawn(t, "odd", note_the_order, (void *)1);
	mpt_join_all(t);
	for (i = 0; i < 8; i++)
		mpt_check_int(t, b->order[i], i);
}

static void steps_order_processes(void **state)
{
	order_the_roles(*state);
}

static void steps_order_threads(void **state)
{
	mpt_use_threads(*state, true);
	order_the_roles(*state);
}

static void a_thread_returns_its_code(void **state)
{
	struct mpt *t = *state;
	int id;

	mpt_use_threads(t, true);
	id = mpt_spawn(t, "three", return_code, (void *)3);
	assert_int_not_equal(mpt_pid(t, id), getpid());
	mpt_expect_exit(t, id, 3);
}

static void a_paused_role_stands_still(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int id = mpt_spawn(t, "counter", count_for_ever, NULL);
	unsigned seen, i;

	mpt_until(t, b->counter > 0);
	mpt_pause(t, id);
	assert_int_equal(mpt_task_state(mpt_pid(t, id)), 'T');
	seen = b->counter;
	for (i = 0; i < 1000; i++)
		sched_yield();
	assert_int_equal(b->counter, seen);

	mpt_resume(t, id);
	mpt_until(t, b->counter != seen);
	mpt_pause(t, id);
	mpt_kill(t, id);
	assert_int_equal(mpt_task_state(mpt_pid(t, id)), 0);
}

static void a_killed_role_can_stay_a_zombie(void **state)
{
	struct mpt *t = *state;
	int a = mpt_spawn(t, "a", sleep_for_ever, NULL);
	int b = mpt_spawn(t, "b", sleep_for_ever, NULL);

	mpt_kill_unreaped(t, a);
	mpt_kill_unreaped(t, b);
	assert_int_equal(mpt_task_state(mpt_pid(t, a)), 'Z');
	mpt_expect_signal(t, a, SIGKILL);
	assert_int_equal(mpt_task_state(mpt_pid(t, a)), 0);
	/* The other one is left for the end of the scenario. */
}

static int crash(struct mpt *t, void *arg)
{
	(void)t;
	raise((int)(intptr_t)arg);
	return 0;
}

/* The runner catches these signals, and a role must not end up there. */
static void a_crash_is_a_signal(void **state)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS,
				       SIGABRT };
	struct mpt *t = *state;
	unsigned i;
	int id;

	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		id = mpt_spawn(t, "crasher", crash,
			       (void *)(intptr_t)signals[i]);
		mpt_expect_signal(t, id, signals[i]);
	}
}

static void a_sleeping_role_is_seen_sleeping(void **state)
{
	struct mpt *t = *state;
	int id = mpt_spawn(t, "sleeper", sleep_for_ever, NULL);

	mpt_until(t, mpt_task_state(mpt_pid(t, id)) == 'S');
	/* It still runs when the scenario ends, which is no failure. */
}

static void orphans_are_collected(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int id = mpt_spawn(t, "parent", parent_of_a_sleeper, (void *)1);

	mpt_until(t, b->pid != 0);
	mpt_kill(t, id);
	assert_int_equal(mpt_reap_orphans(t), 1);
	assert_int_equal(mpt_task_state(b->pid), 0);
}

static void what_exists_at_rebase_is_no_leak(void **state)
{
	static int fd;
	unsigned before = mpt_fd_count();

	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(mpt_fd_count(), before + 1);
	mpt_rebase(*state);
}

static void the_same_seed_gives_the_same_numbers(void **state)
{
	struct mpt_rand a, b;
	unsigned i;

	(void)state;
	mpt_rand_init(&a, mpt_seed());
	mpt_rand_init(&b, mpt_seed());
	for (i = 0; i < 100; i++) {
		assert_true(mpt_rand_below(&a, 10) < 10);
		mpt_rand_next(&b);
		assert_true(a.state == b.state);
	}

	/* First outputs of splitmix64 for the seed 0, as published. */
	mpt_rand_init(&a, 0);
	assert_true(mpt_rand_next(&a) == UINT64_C(0xe220a8397b1dcdaf));
	assert_true(mpt_rand_next(&a) == UINT64_C(0x6e789e6aa1b965f4));
}

static void a_median_is_no_average(void **state)
{
	struct mpt_times times = { 0 };
	const char *slow = getenv("MPT_SLOW");
	char before[16] = "";

	(void)state;
	if (slow != NULL)
		snprintf(before, sizeof(before), "%s", slow);
	unsetenv("MPT_SLOW");
	mpt_times_add(&times, 8);
	assert_true(mpt_times_median(&times) == 8);
	mpt_times_add(&times, INT64_MAX);
	assert_true(mpt_times_median(&times) == 8);
	mpt_times_add(&times, INT64_C(1) << 40);
	assert_true(mpt_times_median(&times) == INT64_C(1) << 40);
	mpt_times_add(&times, 3);
	assert_true(mpt_times_median(&times) == 8);
	mpt_times_add(&times, -1);
	assert_true(mpt_times_median(&times) == 8);
	setenv("MPT_SLOW", "4", 1);
	assert_true(mpt_times_median(&times) == 2);
	unsetenv("MPT_SLOW");
	if (slow != NULL)
		setenv("MPT_SLOW", before, 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_good_scenario_passes_in_silence),
		mpt_test(a_failed_check_reaches_the_test),
		mpt_test(a_wrong_end_is_a_failure),
		mpt_test(leaks_are_named),
		mpt_test(a_hang_ends_and_is_explained),
		mpt_test(steps_order_processes),
		mpt_test(steps_order_threads),
		mpt_test(a_thread_returns_its_code),
		mpt_test(a_paused_role_stands_still),
		mpt_test(a_killed_role_can_stay_a_zombie),
		mpt_test(a_crash_is_a_signal),
		mpt_test(a_sleeping_role_is_seen_sleeping),
		mpt_test(orphans_are_collected),
		mpt_test(what_exists_at_rebase_is_no_leak),
		mpt_test(the_same_seed_gives_the_same_numbers),
		mpt_test(a_median_is_no_average),
	};

	if (argc > 1) {
		cmocka_set_test_filter(argv[1]);
		return cmocka_run_group_tests(inner_tests, NULL, NULL);
	}
	return cmocka_run_group_tests_name("support", tests, NULL, NULL);
}
