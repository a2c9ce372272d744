/* SPDX-License-Identifier: MIT */
/*
 * The log hook, and the environment variable. What the environment says is
 * read once in a program, so those tests run instances of this program.
 */
#include <errno.h>
#include <stdio.h>

#include <mproc/core.h>

#include "base/log.h"
#include "common.h"
#include "mpt_self.h"

static const char *const names[] = { "off", "error", "warning", "info",
				     "debug" };

struct seen {
	int n;
	int level;
	char text[300];
};

static void
remember(void *ctx, int level, const char *text)
{
	struct seen *seen = ctx;

	seen->n++;
	seen->level = level;
	snprintf(seen->text, sizeof(seen->text), "%s", text);
}

static void
log_at_every_level(void)
{
	for (int level = MPROC_LOG_ERROR; level <= MPROC_LOG_DEBUG; level++)
		mpr_log(level, "line at level %d", level);
}

static void
the_receiver_gets_lines_up_to_its_level(void **state)
{
	struct seen seen;

	(void)state;
	for (int level = MPROC_LOG_OFF; level <= MPROC_LOG_DEBUG; level++) {
		seen = (struct seen){ 0 };
		mproc_log_set(level, remember, &seen);
		log_at_every_level();
		assert_int_equal(seen.n, level);
		assert_int_equal(seen.level, level);
	}
	mproc_log_set(MPROC_LOG_OFF, NULL, NULL);
}

static void
a_line_is_formatted_and_leaves_errno_alone(void **state)
{
	struct seen seen = { 0 };

	(void)state;
	mproc_log_set(MPROC_LOG_INFO, remember, &seen);
	errno = EXDEV;
	mpr_log(MPROC_LOG_WARNING, "%s is %d", "answer", 42);
	assert_int_equal(errno, EXDEV);
	assert_string_equal(seen.text, "answer is 42");
	assert_int_equal(seen.level, MPROC_LOG_WARNING);
	mproc_log_set(MPROC_LOG_OFF, NULL, NULL);
}

static void
too_long_a_line_is_cut(void **state)
{
	struct seen seen = { 0 };
	char text[1000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	mproc_log_set(MPROC_LOG_ERROR, remember, &seen);
	mpr_log(MPROC_LOG_ERROR, "%s", text);
	assert_int_equal(strlen(seen.text), 255);
	mproc_log_set(MPROC_LOG_OFF, NULL, NULL);
}

/* Which of the lines an instance of this program prints. */
static void
expect_lines(const char *instance, int up_to)
{
	char out[4096], line[64];

	assert_int_equal(mpt_self_run(instance, out, sizeof(out)), 0);
	for (int i = MPROC_LOG_ERROR; i <= MPROC_LOG_DEBUG; i++) {
		snprintf(line, sizeof(line), "libmproc: %s: line at level %d\n",
			 names[i], i);
		if (i <= up_to)
			assert_non_null(strstr(out, line));
		else
			assert_null(strstr(out, line));
	}
	if (up_to == MPROC_LOG_OFF)
		assert_string_equal(out, "");
}

static void
the_library_is_silent_by_default(void **state)
{
	(void)state;
	unsetenv("MPROC_LOG");
	expect_lines("log", MPROC_LOG_OFF);
}

static void
the_environment_chooses_the_level(void **state)
{
	(void)state;
	for (int level = MPROC_LOG_OFF; level <= MPROC_LOG_DEBUG; level++) {
		setenv("MPROC_LOG", names[level], 1);
		expect_lines("log", level);
	}
	unsetenv("MPROC_LOG");
}

static void
a_level_that_does_not_exist_is_silence(void **state)
{
	(void)state;
	setenv("MPROC_LOG", "everything", 1);
	expect_lines("log", MPROC_LOG_OFF);
	unsetenv("MPROC_LOG");
}

static void
the_program_overrides_the_environment(void **state)
{
	(void)state;
	setenv("MPROC_LOG", "debug", 1);
	expect_lines("set-error-then-log", MPROC_LOG_ERROR);
	unsetenv("MPROC_LOG");
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_receiver_gets_lines_up_to_its_level),
		cmocka_unit_test(a_line_is_formatted_and_leaves_errno_alone),
		cmocka_unit_test(too_long_a_line_is_cut),
		mpt_test(the_library_is_silent_by_default),
		mpt_test(the_environment_chooses_the_level),
		mpt_test(a_level_that_does_not_exist_is_silence),
		mpt_test(the_program_overrides_the_environment),
	};

	if (argc > 1) {
		if (strcmp(argv[1], "set-error-then-log") == 0)
			mproc_log_set(MPROC_LOG_ERROR, NULL, NULL);
		log_at_every_level();
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
