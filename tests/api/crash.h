/* SPDX-License-Identifier: MIT */
/*
 * What the tests of crashes share: ways to crash, and to look at the report.
 */
#ifndef API_CRASH_H
#define API_CRASH_H

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>

#include "process.h"

/* Where the linker has the program begin. */
extern const char __executable_start[];

#define NOINLINE __attribute__((noinline))

/* Where a function is, as far as a backtrace is concerned. */
#define NEAR 512

static NOINLINE int
touch(void *arg)
{
	*(volatile int *)arg = 1;
	return 1;
}

static NOINLINE int
call_nothing(void *arg)
{
	mproc_entry *volatile none = NULL;
	volatile int r;

	r = none(arg);
	return r;
}

/* In the test, cmocka handles these, and a child would inherit that. */
static inline void
let_signals_be(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE,
				       SIGILL,	SIGTRAP, SIGABRT, SIGSYS };

	for (unsigned i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		signal(signals[i], SIG_DFL);
}

static inline mproc_process *
start_named(const char *name, mproc_entry *fn, void *arg)
{
	mproc_process *p = NULL;

	let_signals_be();
	assert_int_equal(mproc_process_start(
		&p, fn, arg, MPROC_OPTS(mproc_process_opts, .name = name)), 0);
	return p;
}

static inline mproc_process *
start_quiet(mproc_entry *fn, void *arg)
{
	mproc_process *p = NULL;

	let_signals_be();
	assert_int_equal(mproc_process_start(
		&p, fn, arg, MPROC_OPTS(mproc_process_opts,
					.no_report = true)), 0);
	return p;
}

static inline struct mproc_exit
exit_of(mproc_process *p)
{
	struct mproc_exit end;

	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_int_equal(mproc_process_exit_info(p, &end), 0);
	return end;
}

/* The address in frame @n, or 0. */
static inline uintptr_t
frame(const char *report, int n)
{
	char mark[16];
	const char *line;

	snprintf(mark, sizeof(mark), "\n#%d ", n);
	line = strstr(report, mark);
	return line ? (uintptr_t)strtoull(line + strlen(mark), NULL, 16) : 0;
}

/* Where that is in this process, if it is in this program: another image of it lies
 * elsewhere. */
static inline uintptr_t
frame_here(const char *report, int n)
{
	char mark[16];
	const char *line, *program, *end;

	snprintf(mark, sizeof(mark), "\n#%d ", n);
	line = strstr(report, mark);
	program = line ? strstr(line, program_invocation_short_name) : NULL;
	end = line ? strchr(line + 1, '\n') : NULL;
	if (!program || !end || program > end)
		return 0;
	program += strlen(program_invocation_short_name);
	return (uintptr_t)__executable_start +
	       (uintptr_t)strtoull(program, NULL, 16);
}

static inline bool
is_in(const char *report, int n, mproc_entry *function)
{
	uintptr_t address = frame_here(report, n);

	return address >= (uintptr_t)function &&
	       address - (uintptr_t)function < NEAR;
}

/* No core files of the tests. */
static inline void
forbid_cores(void)
{
	struct rlimit limit = { 0, RLIM_INFINITY };

	getrlimit(RLIMIT_CORE, &limit);
	limit.rlim_cur = 0;
	setrlimit(RLIMIT_CORE, &limit);
}

#endif
