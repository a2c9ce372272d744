/* SPDX-License-Identifier: MIT */
/*
 * What the tests of options of mproc_process_start() share.
 */
#ifndef API_OPTIONS_H
#define API_OPTIONS_H

#include "owned.h"
#include "process.h"

static inline mproc_process *
start_with(mproc_entry *fn, void *arg, const struct mproc_process_opts *o)
{
	mproc_process *p = NULL;

	assert_int_equal(mproc_process_start(&p, fn, arg, o), 0);
	return p;
}

static inline void
run_with(mproc_entry *fn, void *arg, const struct mproc_process_opts *o)
{
	mproc_process *p = start_with(fn, arg, o);

	assert_int_equal(end_of(p), 0);
	mproc_process_close(p);
}

/* Nothing is started, and nothing left behind. */
static inline void
expect_refused(struct mpt *t, int error, const char *text,
	       const struct mproc_process_opts *o)
{
	mproc_process *p = NULL;
	struct owned before;

	owned_look(t, &before);
	assert_int_equal(mproc_process_start(&p, return_it, NULL, o), error);
	assert_null(p);
	assert_true(detail_has(text));
	assert_int_equal(mproc_children(NULL, 0), 0);
	expect_nothing_left(t, &before);
}

/* What a pipe brings until its writers are gone. */
static inline void
expect_text(int fd, const char *expected)
{
	char text[256];
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	assert_string_equal(text, expected);
}

static inline void
make_pipe(int fds[2])
{
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
}

#endif
