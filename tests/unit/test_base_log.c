/* SPDX-License-Identifier: MIT */
/*
 * The log hook, the lines that are kept, and the environment variable. What the
 * environment says is read once in a program, so those tests run instances of
 * this program.
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

static void
lines_are_kept_though_nobody_wants_them(void **state)
{
	uint64_t first = mpr_log_count();
	char text[MPR_LOG_LINE];
	int level;

	(void)state;
	mproc_log_set(MPROC_LOG_OFF, NULL, NULL);
	log_at_every_level();
	/* Not the one for debugging. */
	assert_int_equal(mpr_log_count(), first + 3);
	for (int i = 0; i < 3; i++) {
		char expected[32];

		assert_true(mpr_log_line(first + (uint64_t)i, &level, text));
		assert_int_equal(level, MPROC_LOG_ERROR + i);
		snprintf(expected, sizeof(expected), "line at level %d", level);
		assert_string_equal(text, expected);
	}
	assert_false(mpr_log_line(first + 3, &level, text));
}

static void
the_last_lines_are_kept_and_cut(void **state)
{
	char text[MPR_LOG_LINE], expected[300];
	uint64_t first = mpr_log_count();
	int level;

	(void)state;
	memset(expected, 'x', sizeof(expected) - 1);
	expected[sizeof(expected) - 1] = '\0';
	for (int i = 0; i < 3 * MPR_LOG_KEPT; i++)
		mpr_log(MPROC_LOG_INFO, "%02d%s", i, expected);
	assert_int_equal(mpr_log_count(), first + 3 * MPR_LOG_KEPT);
	for (int i = 0; i < 3 * MPR_LOG_KEPT; i++) {
		bool kept = i >= 2 * MPR_LOG_KEPT;

		assert_int_equal(mpr_log_line(first + (uint64_t)i, &level,
					      text), kept);
		if (!kept)
			continue;
		assert_int_equal(atoi(text), i);
		assert_int_equal(strlen(text), MPR_LOG_LINE - 1);
	}
}

static _Atomic bool seen_enough;

static int
log_many(struct mpt *t, void *arg)
{
	int n = (int)(intptr_t)arg;

	(void)t;
	for (int i = 0; !seen_enough; i = (i + 1) % 100000)
		mpr_log(MPROC_LOG_INFO, "%d %d %d %d", n, i, n, i);
	return 0;
}

/* A line that is read is one that was written, whoever writes meanwhile. */
static void
lines_are_never_mixed(void **state)
{
	char text[MPR_LOG_LINE];
	struct mpt *t = *state;
	unsigned seen = 0;
	int level, a, b, c, d;

	seen_enough = false;
	mpt_use_threads(t, true);
	for (int i = 1; i <= 3; i++)
		mpt_spawn(t, "writer", log_many, (void *)(intptr_t)i);
	while (seen < amount(20000)) {
		uint64_t n = mpr_log_count();

		/* The oldest ones are those that are overwritten next. */
		for (uint64_t i = n > MPR_LOG_KEPT ? n - MPR_LOG_KEPT : 0;
		     i < n; i++) {
			if (!mpr_log_line(i, &level, text) ||
			    sscanf(text, "%d %d %d %d", &a, &b, &c, &d) != 4)
				continue;
			assert_true(a == c && b == d);
			seen++;
		}
	}
	seen_enough = true;
	mpt_join_all(t);
}

static void
levels_have_names(void **state)
{
	(void)state;
	for (int i = MPROC_LOG_OFF; i <= MPROC_LOG_DEBUG; i++)
		assert_string_equal(mpr_log_level_name(i), names[i]);
	assert_string_equal(mpr_log_level_name(-1), "?");
	assert_string_equal(mpr_log_level_name(MPROC_LOG_DEBUG + 1), "?");
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
		cmocka_unit_test(lines_are_kept_though_nobody_wants_them),
		cmocka_unit_test(the_last_lines_are_kept_and_cut),
		mpt_test(lines_are_never_mixed),
		cmocka_unit_test(levels_have_names),
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
