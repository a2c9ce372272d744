/* SPDX-License-Identifier: MIT */
/*
 * Reports of crashes where something is in the way: of the report, of its
 * backtrace, or of the end by the same signal.
 */
#include <dlfcn.h>
#include <errno.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <mproc/core.h>

#include "base/log.h"
#include "base/macros.h"
#include "crash.h"
#include "mpt_refuse.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

static const int all_signals[] = { SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
				   SIGTRAP, SIGABRT, SIGSYS };

static MPR_NOINLINE void
touch(uintptr_t address)
{
	volatile int *volatile nowhere = (volatile int *)address;

	*nowhere = 1;
}

static int
fault(struct mpt *t, void *arg)
{
	(void)t;
	(void)arg;
	mpr_log(MPROC_LOG_INFO, "before it was watched");
	watch();
	mpr_log(MPROC_LOG_WARNING, "the answer is %d", 42);
	mpr_log(MPROC_LOG_DEBUG, "nobody wants to know");
	touch(16);
	return 1;
}

static void
a_report_tells_cause_thread_log_and_callers(void **state)
{
	struct mpt *t = begin_crash(state);
	char line[128];
	int pid;

	pid = mpt_pid(t, let_crash(t, fault, NULL, SIGSEGV));
	expect_whole_lines();
	snprintf(line, sizeof(line), "process \"victim\" (%d): SIGSEGV (11), "
		 "nothing is mapped at 0x%0*x\nthread %d \"", pid,
		 (int)sizeof(void *) * 2, 16, pid);
	assert_memory_equal(sheet->text, line, strlen(line));
	assert_int_equal(lines_of_report("log: "), 1);
	assert_true(report_has("\nlog: warning: the answer is 42\n"));
	assert_true(report_has("\nbacktrace:\n#0 0x"));
	assert_true(report_has("test_unit_os_crash+0x"));
	assert_true(lines_of_report("#") > 3);
}

static int
raise_it(struct mpt *t, void *arg)
{
	(void)t;
	watch();
	raise(*(const int *)arg);
	return 1;
}

static void
a_sent_signal_stays_the_same(void **state)
{
	struct mpt *t = begin_crash(state);

	for (unsigned i = 0; i < MPR_ARRAY_LEN(all_signals); i++) {
		int signal = all_signals[i];
		char line[64];

		let_crash(t, raise_it, &signal, signal);
		expect_whole_lines();
		snprintf(line, sizeof(line), " (%d), sent by the process itself",
			 signal);
		assert_true(report_has(line));
		assert_true(report_has("(raise+0x") ||
			    report_has("(gsignal+0x"));
	}
}

static int
wait_for_signal(struct mpt *t, void *arg)
{
	(void)arg;
	watch();
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 1;
}

static void
who_sent_it_is_told(void **state)
{
	struct mpt *t = begin_crash(state);
	char text[64];
	int id = mpt_spawn(t, "victim", wait_for_signal, NULL);

	mpt_reach(t, 1);
	assert_int_equal(kill(mpt_pid(t, id), SIGBUS), 0);
	mpt_expect_signal(t, id, SIGBUS);
	sheet->text[sheet->length] = '\0';
	snprintf(text, sizeof(text), ", sent by process %d of user %d\n",
		 (int)getpid(), (int)getuid());
	assert_true(report_has(text));
}

static void
exit_9(int signal)
{
	(void)signal;
	_exit(9);
}

static int
have_own_handlers(struct mpt *t, void *arg)
{
	signal(SIGFPE, exit_9);
	signal(SIGABRT, SIG_IGN);
	watch();
	raise(SIGABRT);
	mpt_check_int(t, sheet->length, 0);
	if (arg)
		raise(SIGFPE);
	raise(SIGILL);
	return 1;
}

static void
what_is_not_the_default_is_left_alone(void **state)
{
	struct mpt *t = begin_crash(state);

	mpt_expect_exit(t, mpt_spawn(t, "own", have_own_handlers, t), 9);
	assert_int_equal(sheet->length, 0);
	let_crash(t, have_own_handlers, NULL, SIGILL);
	assert_true(report_has("SIGILL"));
}

/* Nothing can be found at the stack pointer, nor at the frame pointer, where there is
 * one. */
static int
lose_the_stack(struct mpt *t, void *arg)
{
	(void)t;
	(void)arg;
	watch();
#if defined(__x86_64__)
	__asm__ volatile("mov $16, %rsp\n\tmov $16, %rbp\n\tud2");
#elif defined(__aarch64__)
	__asm__ volatile("mov sp, xzr\n\tmov x29, xzr\n\t.inst 0x00000000");
#endif
	return 1;
}

static void
a_fault_in_the_backtrace_ends_only_that(void **state)
{
	struct mpt *t = begin_crash(state);

	let_crash(t, lose_the_stack, NULL, SIGILL);
	expect_whole_lines();
	assert_true(report_has("SIGILL (4), illegal instruction"));
	/* What it had found before, with its name. */
	assert_int_equal(lines_of_report("#"), 1);
	assert_true(report_has("test_unit_os_crash+0x"));
}

static void *
load_for_ever(void *arg)
{
	char path[512];
	const char *given = getenv("MPT_STUCK");
	ssize_t n;

	(void)arg;
	n = readlink("/proc/self/exe", path, sizeof(path) - 32);
	path[n < 0 ? 0 : n] = '\0';
	strcpy(strrchr(path, '/') + 1, "libstuck.so");
	sheet->other = (pid_t)syscall(SYS_gettid);
	dlopen(given ? given : path, RTLD_NOW);
	sheet->other = -1;
	return NULL;
}

static int
crash_while_the_loader_is_locked(struct mpt *t, void *arg)
{
	pthread_t thread;

	(void)arg;
	watch();
	mpt_check_int(t, pthread_create(&thread, NULL, load_for_ever, NULL), 0);
	mpt_until(t, sheet->other && mpt_task_state(sheet->other) == 'S');
	touch(16);
	return 1;
}

static void
a_backtrace_that_hangs_goes_on_without_names(void **state)
{
	struct mpt *t = begin_crash(state);

	let_crash(t, crash_while_the_loader_is_locked, NULL, SIGSEGV);
	assert_true(sheet->other > 0);
	expect_whole_lines();
	assert_true(lines_of_report("#") > 3);
	assert_false(report_has("test_unit_os_crash+0x"));
}

static int
crash_in_a_sandbox(struct mpt *t, void *arg)
{
	const long *calls = arg;

	(void)t;
	watch();
	mpt_refuse(EPERM, calls, calls[1] ? 2 : 1);
	touch(16);
	return 1;
}

static void
without_a_timer_there_is_no_backtrace(void **state)
{
	long calls[] = { SYS_timer_create, 0 };
	struct mpt *t = begin_crash(state);

	let_crash(t, crash_in_a_sandbox, calls, SIGSEGV);
	expect_whole_lines();
	assert_true(report_has("SIGSEGV"));
	assert_true(report_has("\nthread "));
	assert_false(report_has("backtrace"));
}

static void
a_sandbox_does_not_keep_the_signal_away(void **state)
{
	long calls[] = { SYS_rt_tgsigqueueinfo, 0 };
	struct mpt *t = begin_crash(state);

	let_crash(t, crash_in_a_sandbox, calls, SIGSEGV);
	assert_true(report_has("backtrace"));
	calls[1] = SYS_tgkill;
	let_crash(t, crash_in_a_sandbox, calls, SIGSEGV);
	assert_true(report_has("backtrace"));
}

static void
killed_while_it_reports_it_leaves_whole_lines(void **state)
{
	struct mpt *t = begin_crash(state);
	unsigned cut = 0;

	/* Where others want the CPU, we may be too late many times in a row. */
	for (unsigned i = 0; i < amount(300) || !cut; i++) {
		int status;
		pid_t pid;

		sheet->length = 0;
		memset(sheet->text, '~', ROOM);
		pid = fork();
		if (pid == 0) {
			signal(SIGSEGV, SIG_DFL); /* cmocka handles it */
			fault(t, NULL);
		}
		/* From the first line on, a little later each time. */
		while (sheet->length == 0)
			;
		for (unsigned pause = i % 100 * 200; pause; pause--)
			__asm__ volatile("");
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		assert_true(sheet->length > 0 && sheet->length <= ROOM);
		sheet->text[sheet->length] = '\0';
		expect_whole_lines();
		assert_null(strchr(sheet->text, '~'));
		cut += WTERMSIG(status) == SIGKILL;
	}
}

static _Atomic unsigned ready;

static void *
crash_with_others(void *arg)
{
	ready++;
	while (ready < 5)
		;
	touch((uintptr_t)arg);
	return NULL;
}

static int
crash_in_all_threads(struct mpt *t, void *arg)
{
	pthread_t threads[4];

	(void)arg;
	watch();
	for (uintptr_t i = 0; i < 4; i++)
		mpt_check_int(t, pthread_create(&threads[i], NULL,
						crash_with_others,
						(void *)(16 * i)), 0);
	crash_with_others((void *)64);
	return 1;
}

static void
of_several_threads_the_first_one_reports(void **state)
{
	struct mpt *t = begin_crash(state);

	for (unsigned i = amount(50); i; i--) {
		let_crash(t, crash_in_all_threads, NULL, SIGSEGV);
		expect_whole_lines();
		assert_int_equal(lines_of_report("process "), 1);
		assert_int_equal(lines_of_report("thread "), 1);
		assert_int_equal(lines_of_report("#0 "), 1);
	}
}

static void *
crash_later(void *arg)
{
	/* The other one hangs by now. */
	mpt_until(arg, sheet->length > 0);
	raise(SIGFPE);
	return NULL;
}

static int
crash_while_another_reports(struct mpt *t, void *arg)
{
	pthread_t thread;

	mpt_check_int(t, pthread_create(&thread, NULL, crash_later, t), 0);
	return crash_while_the_loader_is_locked(t, arg);
}

static void
who_crashes_during_a_report_waits_for_it(void **state)
{
	struct mpt *t = begin_crash(state);

	let_crash(t, crash_while_another_reports, NULL, SIGSEGV);
	assert_int_equal(lines_of_report("process "), 1);
	assert_true(lines_of_report("#") > 3);
}

static int
crash_in_a_fork(struct mpt *t, void *arg)
{
	int status;
	pid_t pid;

	(void)arg;
	watch();
	pid = fork();
	if (pid == 0)
		touch(16);
	mpt_check_int(t, waitpid(pid, &status, 0), pid);
	mpt_check(t, WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	mpt_check_int(t, sheet->length, 0);
	touch(16);
	return 1;
}

static void
a_forked_child_does_not_write_into_the_report(void **state)
{
	struct mpt *t = begin_crash(state);

	let_crash(t, crash_in_a_fork, NULL, SIGSEGV);
	assert_true(report_has("SIGSEGV"));
}

static int
crash_with_little_room(struct mpt *t, void *arg)
{
	(void)t;
	watch_into(sheet->text, (size_t)(uintptr_t)arg);
	mpr_log(MPROC_LOG_ERROR, "a line");
	raise(SIGABRT);
	return 1;
}

static void
a_report_has_whole_lines_however_little_fits(void **state)
{
	struct mpt *t = begin_crash(state);

	for (uintptr_t size = 0; size < 600; size += 23) {
		let_crash(t, crash_with_little_room, (void *)size, SIGABRT);
		assert_true(sheet->length <= size);
		expect_whole_lines();
		for (uintptr_t i = size; i < ROOM; i++)
			assert_true(i == sheet->length ||
				    sheet->text[i] == '~');
	}
	assert_true(report_has("backtrace:\n#0"));
}

static int
crash_with_no_page(struct mpt *t, void *arg)
{
	char *nowhere = mmap(NULL, ROOM, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)arg;
	mpt_check(t, nowhere != MAP_FAILED);
	watch_into(nowhere, ROOM);
	raise(SIGABRT);
	return 1;
}

static void
without_a_page_to_write_to_it_ends_as_ever(void **state)
{
	struct mpt *t = begin_crash(state);

	let_crash(t, crash_with_no_page, NULL, SIGABRT);
	assert_int_equal(sheet->length, 0);
}

static MPR_NOINLINE int
recurse(volatile int *above)
{
	volatile int here[64];

	here[0] = *above + 1;
	if (here[0] < 0)
		return 0;
	return recurse(here) + here[0];
}

static int
overflow(struct mpt *t, void *arg)
{
	struct rlimit small = { 1 << 20, RLIM_INFINITY };
	int zero = 0;

	(void)t;
	setrlimit(RLIMIT_STACK, &small);
	mpr_fault_set(arg);
	watch();
	mpr_fault_set(NULL);
	return recurse(&zero);
}

static void
a_stack_overflow_is_reported_from_another_stack(void **state)
{
	struct mpt *t = begin_crash(state);
	const char *gap;

	let_crash(t, overflow, NULL, SIGSEGV);
	expect_whole_lines();
	gap = strstr(sheet->text, " frames left out)\n#");
	assert_non_null(gap);
	assert_int_equal(lines_of_report("#"), 64);
	assert_int_equal(lines_of_report("("), 1);
}

static void
without_memory_for_a_stack_all_else_is_reported(void **state)
{
	struct mpt *t = begin_crash(state);

	let_crash(t, overflow, (char[]){ "mmap:1" }, SIGSEGV);
	assert_int_equal(sheet->length, 0);
	let_crash(t, fault, NULL, SIGSEGV);
	assert_true(report_has("backtrace"));
}

static int
have_a_stack(struct mpt *t, void *arg)
{
	static char own[1 << 16];
	stack_t stack = { .ss_sp = own, .ss_size = sizeof(own) }, now;

	if (arg)
		mpt_check_int(t, sigaltstack(&stack, NULL), 0);
	watch();
	mpt_check_int(t, sigaltstack(NULL, &now), 0);
	mpt_check_int(t, now.ss_flags, 0);
	mpt_check_int(t, now.ss_sp == own, arg != NULL);
	/* A second time, as in a process that a started one starts. */
	stack = now;
	watch();
	mpt_check_int(t, sigaltstack(NULL, &now), 0);
	mpt_check(t, now.ss_sp == stack.ss_sp);
	touch(16);
	return 1;
}

static void
the_programs_own_signal_stack_stays(void **state)
{
	struct mpt *t = begin_crash(state);

	let_crash(t, have_a_stack, NULL, SIGSEGV);
	assert_true(report_has("backtrace"));
	let_crash(t, have_a_stack, t, SIGSEGV);
	assert_true(report_has("backtrace"));
}

/* Of a size that the kernel takes, but little more; below it nothing is to be
 * touched. */
static void
use_small_stack(struct mpt *t)
{
	size_t size = getauxval(AT_MINSIGSTKSZ) + 512;
	char *own = mmap(NULL, 1 << 17, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = { .ss_sp = own + (1 << 16),
			  .ss_size = size < 4096 ? 4096 : size };

	mpt_check(t, own != MAP_FAILED);
	mpt_check_int(t, mprotect(own, 1 << 16, PROT_NONE), 0);
	mpt_check_int(t, sigaltstack(&stack, NULL), 0);
}

static int
have_a_small_stack(struct mpt *t, void *arg)
{
	(void)arg;
	use_small_stack(t);
	watch();
	raise(SIGABRT);
	return 1;
}

static void
too_small_a_signal_stack_is_replaced(void **state)
{
	struct mpt *t = begin_crash(state);

	let_crash(t, have_a_small_stack, NULL, SIGABRT);
	assert_true(report_has("backtrace"));
	assert_true(lines_of_report("#") > 3);
}

static int
get_a_small_stack_later(struct mpt *t, void *arg)
{
	pid_t pid;
	int status;

	(void)arg;
	pid = fork();
	if (pid == 0) {
		watch();
		use_small_stack(t);
		raise(SIGABRT);
		_exit(1);
	}
	mpt_check_int(t, waitpid(pid, &status, 0), pid);
	mpt_check(t, WIFSIGNALED(status));
	return 0;
}

/* By which signal, if there is no room even to see that, the kernel decides. */
static void
on_too_small_a_signal_stack_it_ends_all_the_same(void **state)
{
	struct mpt *t = begin_crash(state);

	mpt_watchdog(t, 5);
	sheet->length = 0;
	mpt_expect_exit(t, mpt_spawn(t, "parent", get_a_small_stack_later,
				     NULL), 0);
	assert_int_equal(sheet->length, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_report_tells_cause_thread_log_and_callers),
		mpt_test(a_sent_signal_stays_the_same),
		mpt_test(who_sent_it_is_told),
		mpt_test(what_is_not_the_default_is_left_alone),
		mpt_test(a_fault_in_the_backtrace_ends_only_that),
		mpt_test(a_backtrace_that_hangs_goes_on_without_names),
		mpt_test(without_a_timer_there_is_no_backtrace),
		mpt_test(a_sandbox_does_not_keep_the_signal_away),
		mpt_test(killed_while_it_reports_it_leaves_whole_lines),
		mpt_test(of_several_threads_the_first_one_reports),
		mpt_test(who_crashes_during_a_report_waits_for_it),
		mpt_test(a_forked_child_does_not_write_into_the_report),
		mpt_test(a_report_has_whole_lines_however_little_fits),
		mpt_test(without_a_page_to_write_to_it_ends_as_ever),
		mpt_test(a_stack_overflow_is_reported_from_another_stack),
		mpt_test(without_memory_for_a_stack_all_else_is_reported),
		mpt_test(the_programs_own_signal_stack_stays),
		mpt_test(too_small_a_signal_stack_is_replaced),
		mpt_test(on_too_small_a_signal_stack_it_ends_all_the_same),
	};
	struct rlimit none = { 0, RLIM_INFINITY };

	/* No core files of the tests. */
	getrlimit(RLIMIT_CORE, &none);
	none.rlim_cur = 0;
	setrlimit(RLIMIT_CORE, &none);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
