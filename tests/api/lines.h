/* SPDX-License-Identifier: MIT */
/*
 * What the tests of output share that the starter passes on. They are in roles, whose
 * own output goes to a file.
 */
#ifndef API_LINES_H
#define API_LINES_H

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>

#include "options.h"

/* In the arena. */
struct board {
	int method;
	bool daemon;
	int stuck; /* 1 or 2, the stream that takes nothing */
	_Atomic bool go;
	_Atomic unsigned ready;
};

static inline struct mproc_process_opts
lines(const struct board *b, const char *name)
{
	return (struct mproc_process_opts){
		.struct_size = sizeof(struct mproc_process_opts),
		.method = b->method,
		.name = name,
		.stdout_ = { MPROC_STDIO_LINES, 0 },
		.stderr_ = { MPROC_STDIO_LINES, 0 },
	};
}

/* From here on what the role prints, to both, can be read. */
static inline int
redirect(struct mpt *t)
{
	int fd = fileno(tmpfile());

	mpt_check(t, fd >= 0);
	mpt_check_int(t, fcntl(fd, F_SETFL, O_APPEND), 0);
	mpt_check_int(t, dup2(fd, 1), 1);
	mpt_check_int(t, dup2(fd, 2), 2);
	return fd;
}

static inline char *
text_of(int fd)
{
	off_t len = lseek(fd, 0, SEEK_END);
	char *text = calloc(1, (size_t)len + 1);

	if (pread(fd, text, (size_t)len, 0) != len)
		abort();
	return text;
}

static inline void
must_be(struct mpt *t, int fd, const char *expected)
{
	char *text = text_of(fd);

	if (strcmp(text, expected) != 0)
		mpt_fail(t, __FILE__, __LINE__, "it is \"%s\", not \"%s\"",
			 text, expected);
	free(text);
}

static inline void
start_and_join(struct mpt *t, mproc_entry *fn, struct board *b,
	       const struct mproc_process_opts *o, int code)
{
	mproc_process *p;
	int got = -1;

	mpt_check_int(t, mproc_process_start(&p, fn, b, o), 0);
	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_process_exitcode(p, &got), 0);
	mpt_check_int(t, got, code);
	mproc_process_close(p);
}

/* Runs @role with each method. */
static inline void
by_each(struct mpt *t, mpt_fn *role)
{
	struct board *b = mproc_alloc(sizeof(*b));
	int id;

	assert_non_null(b);
	for (b->method = MPROC_FORK; b->method <= MPROC_FORKSERVER;
	     b->method++) {
		b->go = false;
		b->ready = 0;
		id = mpt_spawn(t, "starter", role, b);
		mpt_expect_exit(t, id, 0);
		/* A fork server that its role did not stop. */
		mpt_reap_orphans(t);
	}
	mproc_free(b);
}

#endif
