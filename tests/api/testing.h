/* SPDX-License-Identifier: MIT */
/*
 * What tests of the testing kit share. Entries that are to fail do so in a program
 * that has a framework of its own: a function that counts, and comes back.
 */
#ifndef API_TESTING_H
#define API_TESTING_H

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include <mproc/testing.h>

#include "common.h"

#define A_NUMBER ((void *)1) /* an argument that means the same everywhere */

/* What the framework was told. */
struct told {
	int n;
	char text[80];
	char process[64];
	int line;
};

static inline void
note_failure(void *ctx, const struct mproc_test_failure *f)
{
	struct told *told = ctx;

	told->n++;
	told->line = f->line;
	snprintf(told->text, sizeof(told->text), "%s", f->text);
	snprintf(told->process, sizeof(told->process), "%s", f->process);
}

static inline void
hook(struct told *told)
{
	memset(told, 0, sizeof(*told));
	assert_int_equal(mproc_test_hook(MPROC_OPTS(mproc_test_framework,
						    .failed = note_failure,
						    .ctx = told)), 0);
}

static inline struct mproc_test_result
run_with(mproc_entry *fn, void *arg, const struct mproc_test_opts *opts)
{
	struct mproc_test_result r;
	int e = mproc_test_run(fn, arg, opts, &r);

	if (e < 0)
		fail_msg("mproc_test_run: %d, %s", e, mproc_error_detail());
	return r;
}

static inline struct mproc_test_result
run(mproc_entry *fn, void *arg)
{
	return run_with(fn, arg, NULL);
}

/* With a copy of the argument, which a new image would not have. */
static inline struct mproc_test_result
run_copy(mproc_entry *fn, const void *arg, size_t size,
	 const struct mproc_test_opts *opts)
{
	struct mproc_process_opts p = { .struct_size = sizeof(p),
					.arg_size = size };
	struct mproc_test_opts o = { .struct_size = sizeof(o) };

	if (opts)
		o = *opts;
	o.process = &p;
	return run_with(fn, (void *)(uintptr_t)arg, &o);
}

static inline bool
problems_have(const struct mproc_test_result *r, const char *text)
{
	return r->problems && strstr(r->problems, text) != NULL;
}

/* In an entry that is to crash. */
static inline void
dump_no_core(void)
{
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
}

#endif
