/* SPDX-License-Identifier: MIT */
/*
 * Python at the other side of a test: the program python3, which must be there, runs a
 * script in step with it.
 */
#ifndef API_PYTHON_H
#define API_PYTHON_H

#include <fcntl.h>

#include "common.h"

/* A script that says when it has come to a point, and is told to go on. */
struct python {
	struct mpt *t;
	const char *script;
	char name[64];
	int in[2], out[2]; /* its ends: in[0], out[1] */
	int id;
};

static inline int
be_python(struct mpt *t, void *arg)
{
	const struct python *py = arg;

	mpt_check(t, dup2(py->in[0], 0) == 0 && dup2(py->out[1], 1) == 1);
	execlp("python3", "python3", "-c", py->script, py->name, (char *)NULL);
	mpt_check(t, false);
	return 1;
}

static inline void
python_start(struct python *py, struct mpt *t, const char *script)
{
	py->t = t;
	py->script = script;
	assert_int_equal(pipe2(py->in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(py->out, O_CLOEXEC), 0);
	py->id = mpt_spawn(t, "python", be_python, py);
	close(py->in[0]);
	close(py->out[1]);
}

/* The next line that it says. */
static inline void
python_hear(const struct python *py, char line[32])
{
	size_t len = 0;

	while (len < 31 && read(py->out[0], line + len, 1) == 1 &&
	       line[len] != '\n')
		len++;
	line[len] = '\0';
}

/* Waits until it is there. */
static inline void
python_reach(const struct python *py, const char *step)
{
	char line[32];

	python_hear(py, line);
	assert_string_equal(line, step);
}

static inline void
python_go(const struct python *py)
{
	assert_int_equal(write(py->in[1], "go\n", 3), 3);
}

/* The resource tracker ends later. */
static inline void
python_end(struct python *py, int code)
{
	mpt_expect_exit(py->t, py->id, code);
	close(py->in[1]);
	close(py->out[0]);
	mpt_reap_orphans(py->t);
}

#endif
