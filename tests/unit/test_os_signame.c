/* SPDX-License-Identifier: MIT */
/*
 * Names of signals.
 */
#include <signal.h>
#include <stdio.h>

#include "common.h"
#include "os/signame.h"

static void
expect_name(int signal, const char *name)
{
	char buf[MPR_SIGNAME_MAX];

	assert_ptr_equal(mpr_signame(signal, buf), buf);
	assert_string_equal(buf, name);
}

static void
signals_have_the_names_of_their_constants(void **state)
{
	(void)state;
	expect_name(SIGSEGV, "SIGSEGV");
	expect_name(SIGKILL, "SIGKILL");
	expect_name(SIGTERM, "SIGTERM");
	expect_name(SIGUSR2, "SIGUSR2");
}

static void
real_time_signals_are_counted(void **state)
{
	char last[MPR_SIGNAME_MAX];

	(void)state;
	snprintf(last, sizeof(last), "SIGRTMIN+%d", SIGRTMAX - SIGRTMIN);
	expect_name(SIGRTMIN, "SIGRTMIN+0");
	expect_name(SIGRTMAX, last);
}

static void
what_is_no_signal_is_a_number(void **state)
{
	(void)state;
	expect_name(0, "signal 0");
	expect_name(-1, "signal -1");
	expect_name(SIGRTMAX + 1, "signal 65");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(signals_have_the_names_of_their_constants),
		mpt_test(real_time_signals_are_counted),
		mpt_test(what_is_no_signal_is_a_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
