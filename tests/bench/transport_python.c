/* SPDX-License-Identifier: MIT */
/*
 * Python's multiprocessing between processes that Python has forked: ends.py, which
 * does what ends.c does. A message is an object of bytes.
 */
#include "transport_python.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "python.h"

static void *
python_open(const struct job *job)
{
	(void)job;
	return malloc(1);
}

static void
become(const char *kind, const char *path)
{
	execlp("python3", "python3", BENCH_ENDS_PY, kind, path, (char *)NULL);
}

static void
be_queue(void *const channels[2], const struct job *job, const char *path)
{
	(void)channels;
	(void)job;
	become("queue", path);
}

static void
be_simple_queue(void *const channels[2], const struct job *job, const char *path)
{
	(void)channels;
	(void)job;
	become("simple", path);
}

static void
be_pipe(void *const channels[2], const struct job *job, const char *path)
{
	(void)channels;
	(void)job;
	become("pipe", path);
}

static void
be_wrong(void *const channels[2], const struct job *job, const char *path)
{
	(void)channels;
	(void)job;
	become("corrupts", path);
}

#define PYTHON(name_, become_)                                                \
	.name = name_, .missing = "python3", .found = bench_has_python,       \
	.kind = HOSTED, .opens_late = true, .open = python_open, .host = become_, .close = free

const struct transport transport_python_queue = {
	PYTHON("Python's Queue", be_queue),
};

const struct transport transport_python_simple = {
	PYTHON("Python's SimpleQueue", be_simple_queue),
};

const struct transport transport_python_pipe = {
	PYTHON("Python's Pipe", be_pipe),
	.most_producers = 1,
	.most_consumers = 1,
};

const struct transport transport_corrupts_python = {
	PYTHON("bad: corrupts, Python", be_wrong),
	.only_by_name = true,
};
