/* SPDX-License-Identifier: MIT */
/*
 * Ends of processes in words.
 */
#include <signal.h>

#include "common.h"
#include "process/describe.h"
#include "process/self.h"

static void
expect_text(struct mproc_exit e, const char *text)
{
	char buf[MPR_DESCRIBE_MAX];

	assert_ptr_equal(mpr_describe(&e, buf), buf);
	assert_string_equal(buf, text);
}

static void
a_text_says_who_and_how(void **state)
{
	(void)state;
	expect_text((struct mproc_exit){ .code = -1, .signal = SIGSEGV,
					 .pid = 12, .name = "a" },
		    "process \"a\" (12) was ended by SIGSEGV");
	expect_text((struct mproc_exit){ .code = -1, .signal = SIGKILL,
					 .pid = 12, .name = "a",
					 .out_of_memory = true },
		    "process \"a\" (12) was ended by SIGKILL, for want of memory");
	expect_text((struct mproc_exit){ .code = 137, .pid = 12, .name = "a" },
		    "process \"a\" (12) exited with code 137");
	expect_text((struct mproc_exit){ .code = 0, .pid = 12, .name = "a" },
		    "process \"a\" (12) exited with code 0");
	expect_text((struct mproc_exit){ .code = -1, .pid = 12, .name = "a",
					 .reaped_elsewhere = true },
		    "process \"a\" (12) was reaped elsewhere and left no code");
}

static void
the_longest_name_fits(void **state)
{
	char name[MPR_NAME_MAX], buf[MPR_DESCRIBE_MAX];
	struct mproc_exit e = { .code = -1, .pid = 1 << 30, .name = name };

	(void)state;
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	mpr_describe(&e, buf);
	assert_non_null(strstr(buf, " and left no code"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_text_says_who_and_how),
		mpt_test(the_longest_name_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
