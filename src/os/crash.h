/* SPDX-License-Identifier: MIT */
/*
 * What a started process does when it crashes: it writes a report into memory
 * that others read, and ends by the same signal, with the same core dump, as it
 * would have without.
 *
 * Signals whose disposition is not the default one are left alone. The report
 * is written by a handler, on a stack of its own, so that it comes after a
 * stack overflow too; that stack is the main thread's, which is the one that
 * was forked. Another thread has one if the program has given it one; without,
 * an overflow of its stack ends the process with no report, while all else is
 * reported.
 *
 * The report comes in parts: first what is certain, then the backtrace, which
 * may fault or hang. A fault in a part, or a second in it, ends that part; the
 * next one comes. All that is complete can be read at any time, also if the
 * process is killed in the middle.
 */
#ifndef MPR_OS_CRASH_H
#define MPR_OS_CRASH_H

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MPR_CRASH_SIGNALS 7

/* Made by the parent before the fork: what the child need not call or write
 * costs it no page faults. */
struct mpr_crash_plan {
	struct sigaction action;
	int signals[MPR_CRASH_SIGNALS]; /* that it is for */
	void *stack; /* or NULL: none was to be had */
	uint64_t first_line; /* of the log that is the child's own */
};

void mpr_crash_plan(struct mpr_crash_plan *ret_plan);

/* Has the memory for that there, once for the program, before a child is forked that is to
 * plan for its own children. */
void mpr_crash_prepare(void);

/* Where a report goes, and what it says that a handler cannot find out. */
struct mpr_crash_report {
	char *text;
	size_t size;
	_Atomic uint32_t *length; /* of what can be read; 0 before */
	const char *name;	  /* of the process */
	pid_t pid;
};

/* In the child: the signals by which programs crash get their default actions
 * back, whoever catches them. */
void mpr_crash_uncatch(void);

/* In the child: report crashes from now on. All that @report refers to stays.
 * Processes that the child forks by itself do not report. */
void mpr_crash_watch(const struct mpr_crash_plan *plan,
		     const struct mpr_crash_report *report);

#endif
