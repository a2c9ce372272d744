/* SPDX-License-Identifier: MIT */
/*
 * process.h: what is left of a process that crashes, in each of the ways in
 * which processes do, and what that costs one that does not.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include "crash.h"
#include "mpt_self.h"

static int
call_abort(void *arg)
{
	(void)arg;
	abort();
}

static int
raise_it(void *arg)
{
	raise((int)(intptr_t)arg);
	return 1;
}

static NOINLINE int
divide(void *arg)
{
	volatile int zero = (int)(intptr_t)arg;

#if defined(__x86_64__)
	__asm__ volatile("idivl %0" : : "m"(zero), "a"(1), "d"(0));
#else
	raise(SIGFPE); /* as a division does not trap there */
#endif
	return 1;
}

static NOINLINE int
trap(void *arg)
{
#if defined(__x86_64__)
	__asm__ volatile("ud2");
#endif
	return arg == NULL;
}

static int
touch_text(void *arg)
{
	(void)arg;
	return touch((void *)(uintptr_t)"text");
}

static int
read_beyond_a_file(void *arg)
{
	FILE *file = tmpfile();
	char *page;

	(void)arg;
	if (!file)
		return 2;
	page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(file), 0);
	return page == MAP_FAILED ? 3 : *(volatile char *)page;
}

static NOINLINE int
recurse(void *above)
{
	int *volatile depth = above;
	int here[64];

	here[0] = *depth + 1;
	if (here[0] < 0)
		return 0;
	depth = here;
	return recurse(depth) + *depth;
}

static int
overflow(void *arg)
{
	int zero = 0;

	(void)arg;
	return recurse(&zero);
}

/* This file is compiled with -fstack-protector-all. */
static NOINLINE int
smash(void *arg)
{
	char small[16];
	char *volatile p = small;

	for (int i = 0; i < 200; i++)
		p[i] = 'A';
	return arg ? p[0] : p[1];
}

static void *
touch_in_thread(void *arg)
{
	touch(arg);
	return NULL;
}

static int
fault_in_a_thread(void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, touch_in_thread, arg) != 0)
		return 2;
	pthread_join(thread, NULL);
	return 3;
}

static void
touch_at_exit(void *arg)
{
	touch(arg);
}

static int
fault_at_exit(void *arg)
{
	return mproc_at_exit(touch_at_exit, arg) < 0 ? 2 : 0;
}

static const struct way {
	const char *name;
	mproc_entry *entry;
	void *arg;
	int signal;
	const char *text;
} ways[] = {
	{ "fault", touch, (void *)16, SIGSEGV,
	  "SIGSEGV (11), nothing is mapped at 0x0" },
	{ "forbidden", touch_text, NULL, SIGSEGV,
	  "SIGSEGV (11), access is not permitted to 0x" },
	{ "bus", read_beyond_a_file, NULL, SIGBUS,
	  "SIGBUS (7), no memory behind the mapping at 0x" },
	{ "division", divide, NULL, SIGFPE, "SIGFPE (8), " },
	{ "abort", call_abort, NULL, SIGABRT,
	  "SIGABRT (6), sent by the process itself" },
	{ "raise", raise_it, (void *)SIGSYS, SIGSYS,
	  "sent by the process itself" },
	{ "null call", call_nothing, NULL, SIGSEGV,
	  "SIGSEGV (11), nothing is mapped at 0x0000000000000000" },
	{ "overflow", overflow, NULL, SIGSEGV, "SIGSEGV (11), " },
	{ "smash", smash, NULL, SIGABRT, "(__stack_chk_fail+0x" },
	{ "thread", fault_in_a_thread, (void *)16, SIGSEGV,
	  "SIGSEGV (11), nothing is mapped at 0x0000000000000010" },
	{ "at exit", fault_at_exit, (void *)16, SIGSEGV,
	  "SIGSEGV (11), nothing is mapped at 0x0000000000000010" },
#if defined(__x86_64__)
	{ "trap", trap, NULL, SIGILL, "SIGILL (4), illegal instruction at 0x" },
#endif
};

#define WAYS (sizeof(ways) / sizeof(*ways))

static void
each_kind_of_crash_is_reported(void **state)
{
	(void)state;
	for (const struct way *way = ways; way < ways + WAYS; way++) {
		mproc_process *p = start_named(way->name, way->entry, way->arg);
		struct mproc_exit end = exit_of(p);
		char line[64];

		assert_int_equal(end.code, -1);
		assert_int_equal(end.signal, way->signal);
		assert_false(end.core);
		assert_non_null(end.report);
		snprintf(line, sizeof(line), "process \"%s\" (%d): SIG",
			 way->name, (int)end.pid);
		assert_memory_equal(end.report, line, strlen(line));
		assert_non_null(strstr(end.report, way->text));
		assert_non_null(strstr(end.report, "\nthread "));
		assert_non_null(strstr(end.report, "\nbacktrace:\n#0 0x"));
		mproc_process_close(p);
	}
}

static void
expect_frame(mproc_entry *entry, void *arg, int n, mproc_entry *function)
{
	mproc_process *p = start_named("traced", entry, arg);
	struct mproc_exit end = exit_of(p);

	assert_non_null(end.report);
	assert_true(is_in(end.report, n, function));
	mproc_process_close(p);
}

static void
the_backtrace_leads_to_the_fault(void **state)
{
	(void)state;
	expect_frame(touch, (void *)16, 0, touch);
	expect_frame(fault_in_a_thread, (void *)16, 0, touch);
	expect_frame(fault_at_exit, (void *)16, 0, touch);
	expect_frame(overflow, NULL, 0, recurse);
	expect_frame(overflow, NULL, 40, recurse);
	/* Where there is no code, its caller comes next. */
	expect_frame(call_nothing, NULL, 1, call_nothing);
#if defined(__x86_64__)
	expect_frame(divide, NULL, 0, divide);
	expect_frame(trap, NULL, 0, trap);
#endif
}

static void
a_deep_stack_is_shown_at_both_ends(void **state)
{
	mproc_process *p = start_named("deep", overflow, NULL);
	struct mproc_exit end = exit_of(p);
	const char *gap;

	(void)state;
	gap = strstr(end.report, " frames left out)\n#");
	assert_non_null(gap);
	/* The end of it is that of any other child. */
	if (usual_method() == MPROC_FORK)
		assert_non_null(strstr(gap, "(mproc_process_start+0x"));
	assert_non_null(strstr(gap, "(__libc_start_main+0x"));
	mproc_process_close(p);
}

static void
log_lines_are_reported_though_the_log_is_silent(void **state)
{
	static int no_block;
	mproc_process *p;
	struct mproc_exit end;

	(void)state;
	/* Of its own, not the parent's. */
	mproc_free(&no_block);
	p = start_named("silent", touch, (void *)16);
	end = exit_of(p);
	assert_null(strstr(end.report, "\nlog: "));
	mproc_process_close(p);
}

static int
log_and_crash(void *arg)
{
	static int no_block;

	mproc_free(&no_block);
	return touch(arg);
}

static void
the_last_log_lines_are_in_the_report(void **state)
{
	mproc_process *p = start_named("logger", log_and_crash, (void *)16);
	struct mproc_exit end = exit_of(p);

	(void)state;
	assert_non_null(strstr(end.report, "\nlog: error: mproc_free(0x"));
	mproc_process_close(p);
}

static void *
overflow_there(void *arg)
{
	overflow(arg);
	return NULL;
}

static int
overflow_in_thread(void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, overflow_there, arg) != 0)
		return 2;
	pthread_join(thread, NULL);
	return 3;
}

static void
another_threads_stack_overflow_has_no_report(void **state)
{
	mproc_process *p = start_named("thread", overflow_in_thread, NULL);
	struct mproc_exit end = exit_of(p);

	(void)state;
	assert_int_equal(end.signal, SIGSEGV);
	assert_null(end.report);
	mproc_process_close(p);
}

struct crowd {
	unsigned n;
	_Atomic unsigned there;
};

static int
crash_together(void *arg)
{
	struct crowd *crowd = arg;

	crowd->there++;
	while (crowd->there < crowd->n)
		sched_yield();
	return touch((void *)16);
}

static void
many_at_once_have_each_its_own(void **state)
{
	static mproc_process *ps[100];
	struct crowd *crowd = mpt_scratch(*state);
	unsigned n = usual_method() == MPROC_FORK ? 100 : 20;

	crowd->n = n;
	for (unsigned i = 0; i < n; i++)
		ps[i] = start_named(NULL, crash_together, crowd);
	for (unsigned i = 0; i < n; i++) {
		struct mproc_exit end = exit_of(ps[i]);
		char line[128];

		snprintf(line, sizeof(line), "process \"%s\" (%d): ", end.name,
			 (int)end.pid);
		assert_non_null(end.report);
		assert_memory_equal(end.report, line, strlen(line));
		assert_true(is_in(end.report, 0, touch));
	}
	for (unsigned i = 0; i < n; i++)
		mproc_process_close(ps[i]);
}

/* Page faults of children, per child. */
static long
faults_of(mproc_process *(*starter)(mproc_entry *, void *))
{
	struct rusage before_all, after;
	long n = 200;

	for (long i = -20; i < n; i++) {
		mproc_process *p;

		if (i == 0)
			getrusage(RUSAGE_CHILDREN, &before_all);
		p = starter(return_it, NULL);
		exit_of(p);
		mproc_process_close(p);
	}
	getrusage(RUSAGE_CHILDREN, &after);
	return (after.ru_minflt - before_all.ru_minflt + n / 2) / n;
}

static mproc_process *
start_loud(mproc_entry *fn, void *arg)
{
	return start_named("loud", fn, arg);
}

/* Code is mapped in pieces of 64 KiB, and where they meet is up to the load
 * address. So it is measured in fresh instances, until one has them meet
 * elsewhere than among what a child runs; that is one in sixteen. */
static void
reports_cost_who_does_not_crash_no_page_fault(void **state)
{
	char more[16] = "none";

	(void)state;
	/* What a copy costs is the same however others are started. */
	if (usual_method() != MPROC_FORK)
		return;
	for (int i = 0; i < 8 && strcmp(more, "0") != 0; i++)
		assert_int_equal(mpt_self_run("faults", more, sizeof(more)),
				 0);
	assert_string_equal(more, "0");
}

static int
print_faults(void)
{
	if (with_arena(NULL) < 0)
		return 1;
	printf("%ld", faults_of(start_loud) - faults_of(start_quiet));
	return 0;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		mpt_test(each_kind_of_crash_is_reported),
		mpt_test(the_backtrace_leads_to_the_fault),
		mpt_test(a_deep_stack_is_shown_at_both_ends),
		mpt_test(log_lines_are_reported_though_the_log_is_silent),
		mpt_test(the_last_log_lines_are_in_the_report),
		mpt_test(another_threads_stack_overflow_has_no_report),
		mpt_test(many_at_once_have_each_its_own),
		mpt_test(reports_cost_who_does_not_crash_no_page_fault),
	};

	(void)argv;
	if (argc > 1)
		return print_faults();
	forbid_cores();
	return cmocka_run_group_tests(tests, with_arena, NULL);
}
