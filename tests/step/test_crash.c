/* SPDX-License-Identifier: MIT */
/*
 * A process that crashes is killed after each instruction of writing its
 * report: its parent finds none, or whole lines of one. Without the backtrace,
 * which is several hundred thousand instructions of the unwinder and the loader;
 * unit/os_crash kills in that at random.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include <mproc/core.h>

#include "base/log.h"
#include "mpt.h"
#include "mpt_refuse.h"
#include "mpt_step.h"
#include "os/crash.h"
#include "process/report.h"

static struct mpr_record *record;
static struct sigaction reporter;
static unsigned long longest; /* report that was seen */

static void
fresh_record(void *arg)
{
	(void)arg;
	record = mpr_record_new();
	assert_non_null(record);
	memset(mpr_record_report(record), '~', MPR_REPORT_SIZE);
}

static uint64_t
record_state(void *arg)
{
	const uint64_t *words = mpr_record_report(record);
	uint64_t h = record->reported;

	(void)arg;
	for (unsigned i = 0; i < 128; i++)
		h = (h ^ words[i]) * UINT64_C(0x100000001b3);
	return h;
}

/* In a real handler, so that there is a context. */
static void
report_it(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	mpt_step_begin();
	reporter.sa_sigaction(SIGABRT, info, context);
	mpt_step_end();
	/* It was sent again, with the default action. */
	signal(SIGABRT, SIG_IGN);
}

static void
victim(void *arg)
{
	struct sigaction action = {
		.sa_sigaction = report_it,
		.sa_flags = SA_SIGINFO,
	};
	static const long call = SYS_timer_create;
	struct mpr_crash_plan plan;

	(void)arg;
	mpt_refuse(EPERM, &call, 1);
	mpr_crash_plan(&plan);
	mpr_crash_watch(&plan, &(struct mpr_crash_report){
		.text = mpr_record_report(record),
		.size = MPR_REPORT_SIZE,
		.length = &record->reported,
		.name = "victim",
		.pid = getpid(),
	});
	mpr_log(MPROC_LOG_INFO, "a line");
	sigaction(SIGABRT, NULL, &reporter);
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
}

static void
survivor(void *arg, pid_t pid, unsigned long n, bool finished)
{
	char *report = mpr_report_copy(record), first[80];
	size_t length = report ? strlen(report) : 0;

	(void)arg;
	(void)n;
	snprintf(first, sizeof(first), "process \"victim\" (%d): SIGABRT (6), "
		 "sent by the process itself\n", (int)pid);
	if (report) {
		assert_memory_equal(report, first, strlen(first));
		assert_int_equal(report[length - 1], '\n');
		/* Of what was not published, nothing. */
		assert_null(strchr(report, '~'));
	}
	if (finished) {
		assert_non_null(report);
		assert_non_null(strstr(report, "\nlog: info: a line\n"));
		assert_non_null(strstr(report, "\nthread "));
	}
	if (length > longest)
		longest = length;
	free(report);
	mpr_record_free(record);
}

static void
killed_in_a_report(void **state)
{
	struct mpt *t = *state;
	struct mpt_stepper_result result;

	mpt_stepper_run(t, &(struct mpt_stepper_opts){
		.name = "report",
		.victim = victim,
		.before = fresh_record,
		.survivor = survivor,
		.fingerprint = record_state,
	}, &result);
	assert_true(result.changes > 100);
	assert_true(longest > 80);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_a_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
