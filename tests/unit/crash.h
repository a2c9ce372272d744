/* SPDX-License-Identifier: MIT */
/*
 * A report in the scratch bytes, written by a role that crashes, and ways to
 * look at it.
 */
#ifndef UNIT_CRASH_H
#define UNIT_CRASH_H

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fault.h"
#include "common.h"
#include "os/crash.h"

#define ROOM 8192

struct sheet {
	_Atomic uint32_t length;
	_Atomic pid_t other; /* process or thread, for a test to use */
	char text[ROOM + 1];
};

static struct sheet *sheet;

static inline struct mpt *
begin_crash(void **state)
{
	struct mpt *t = *state;

	sheet = mpt_scratch(t);
	return t;
}

/* For the role: reports its crashes from now on, in @size bytes of @text. */
static inline void
watch_into(char *text, size_t size)
{
	struct mpr_crash_plan plan;

	mpr_crash_plan(&plan);
	mpr_crash_watch(&plan, &(struct mpr_crash_report){
		.text = text,
		.size = size,
		.length = &sheet->length,
		.name = "victim",
		.pid = getpid(),
	});
}

static inline void
watch(void)
{
	watch_into(sheet->text, ROOM);
}

/* Runs a role that is to end by @signal, and leaves its report in the sheet,
 * with a zero behind it. Returns the role's id. */
static inline int
let_crash(struct mpt *t, mpt_fn *fn, void *arg, int signal)
{
	int id;

	sheet->length = 0;
	memset(sheet->text, '~', ROOM);
	id = mpt_spawn(t, "victim", fn, arg);
	mpt_expect_signal(t, id, signal);
	assert_true(sheet->length <= ROOM);
	sheet->text[sheet->length] = '\0';
	return id;
}

static inline bool
report_has(const char *text)
{
	return strstr(sheet->text, text) != NULL;
}

static inline unsigned
lines_of_report(const char *beginning)
{
	unsigned n = 0;

	for (const char *line = sheet->text; *line;
	     line = strchr(line, '\n') + 1)
		n += strncmp(line, beginning, strlen(beginning)) == 0;
	return n;
}

/* Whole lines, of which the first tells who and why, if there is any. */
static inline void
expect_whole_lines(void)
{
	static const char *const first[] = { "process \"victim\" (",
					     "thread ", "log: ", "backtrace:",
					     "#", "(" };
	const char *line = sheet->text;
	unsigned kind = 0;

	assert_true(!*line || strncmp(line, first[0], strlen(first[0])) == 0);
	while (*line) {
		while (strncmp(line, first[kind], strlen(first[kind])) != 0 &&
		       kind < 5)
			kind++;
		if (strncmp(line, first[kind], strlen(first[kind])) != 0)
			kind = 4; /* behind the gap */
		assert_memory_equal(line, first[kind], strlen(first[kind]));
		line = strchr(line, '\n');
		assert_non_null(line);
		line++;
	}
}

#endif
