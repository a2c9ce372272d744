/* SPDX-License-Identifier: MIT */
/*
 * What tests of processes share: entries, and short ways to start and to end.
 * For the test itself, not for roles.
 */
#ifndef API_PROCESS_H
#define API_PROCESS_H

#include <signal.h>

#include "common.h"
#include "started.h"

/* An entry that returns its argument, a number. */
static inline int
return_it(void *arg)
{
	return (int)(intptr_t)arg;
}

/* An entry that ends when it is killed; its argument is the scenario. */
static inline int
wait_for_ever(void *t)
{
	wait_to_be_killed(t);
	return 0;
}

/* An entry that returns its argument, a copied number. */
static inline int
return_copy(void *arg)
{
	return *(int *)arg;
}

static inline mproc_process *
start_with_copy(mproc_entry *fn, const void *arg, size_t size)
{
	mproc_process *p = NULL;

	assert_int_equal(mproc_process_start(
		&p, fn, (void *)(uintptr_t)arg,
		MPROC_OPTS(mproc_process_opts, .arg_size = size)), 0);
	assert_non_null(p);
	return p;
}

static inline mproc_process *
start(mproc_entry *fn, void *arg)
{
	mproc_process *p = NULL;

	assert_int_equal(mproc_process_start(&p, fn, arg, NULL), 0);
	assert_non_null(p);
	return p;
}

/* For tests of what only a copy of this process has. */
static inline mproc_process *
start_forked(mproc_entry *fn, void *arg)
{
	mproc_process *p = NULL;

	assert_int_equal(mproc_process_start(
		&p, fn, arg,
		MPROC_OPTS(mproc_process_opts, .method = MPROC_FORK)), 0);
	return p;
}

/* How it ended: code or minus the signal. */
static inline int
end_of(mproc_process *p)
{
	int code = 9999;

	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_int_equal(mproc_process_exitcode(p, &code), 0);
	return code;
}

static inline void
kill_and_close(mproc_process *p)
{
	assert_int_equal(mproc_process_kill(p), 0);
	assert_int_equal(end_of(p), -SIGKILL);
	mproc_process_close(p);
}

#endif
