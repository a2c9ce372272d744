/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the end of a process share.
 *
 * Each test forks a root, a process that the library has not started, which ends by exit() or in another way, and then
 * looks at what was left behind. The test itself neither starts a process nor
 * registers a function: each root is the first in its family to do so. Letters
 * in the log tell what happened in which order.
 */
#ifndef API_EXIT_H
#define API_EXIT_H

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>

#include "common.h"
#include "started.h"

#define SECOND (1000 * MS)
#define CHILDREN 4
#define THREADS 4
#define FUNCTIONS 50 /* of each thread */

/* In the scratch bytes. */
struct board {
	_Atomic unsigned n_log;
	char log[64];
	_Atomic unsigned ready; /* children */
	_Atomic pid_t child[CHILDREN];
	_Atomic int64_t exit_at;
	_Atomic unsigned runs[THREADS * FUNCTIONS];
	_Atomic unsigned waiting; /* threads */
	_Atomic bool go;
	mproc_queue *empty, *full;
	char warning[256];
};

/* For signal handlers, and for functions that run at the end. */
static struct board *board;
static struct mpt *scenario;

static inline struct board *
begin(void **state)
{
	scenario = *state;
	board = mpt_scratch(scenario);
	return board;
}

/* Of processes that have an image of their own. */
__attribute__((constructor)) static inline void
find_board(void)
{
	scenario = mpt_here();
	if (scenario)
		board = mpt_scratch(scenario);
}

static inline void
note(char letter)
{
	board->log[board->n_log++] = letter;
}

static inline void
clear_log(void)
{
	board->n_log = 0;
	memset(board->log, 0, sizeof(board->log));
}

static inline void
note_at_exit(void *arg)
{
	note((char)(intptr_t)arg);
}

static inline void
at_exit(char letter)
{
	mpt_check_int(scenario, mproc_at_exit(note_at_exit,
					      (void *)(intptr_t)letter), 0);
}

static inline void
let_pass(struct mpt *t, int64_t ns)
{
	int64_t began = mproc_now();

	mpt_until(t, mproc_now() - began > ns);
}

static inline _Noreturn void
leave(int code)
{
	board->exit_at = mproc_now();
	exit(code);
}

/* How to start a process, or-ed. */
enum { OPEN = 0, CLOSED = 1, DAEMON = 2 };

/* Starts a process, whose handle may be closed at once: then NULL. */
static inline mproc_process *
start(mproc_entry *fn, unsigned flags)
{
	mproc_process *p;

	mpt_check_int(scenario, mproc_process_start(
		&p, fn, scenario, MPROC_OPTS(mproc_process_opts,
					     .daemon = flags & DAEMON)), 0);
	if (!(flags & CLOSED))
		return p;
	mproc_process_close(p);
	return NULL;
}

static inline void
start_ready(mproc_entry *fn, unsigned flags)
{
	unsigned before = board->ready;

	start(fn, flags);
	mpt_until(scenario, board->ready == before + 1);
}

static inline int
end_of(mproc_process *p)
{
	int code = 9999;

	mpt_check_int(scenario, mproc_process_join(p, MPROC_FOREVER), 0);
	mpt_check_int(scenario, mproc_process_exitcode(p, &code), 0);
	mproc_process_close(p);
	return code;
}

/* Runs a root to its end, by which there is nobody left of its family. */
static inline void
expect_end(struct mpt *t, mpt_fn *root, uintptr_t arg, int code,
	   const char *log)
{
	int id;

	clear_log();
	board->ready = 0;
	id = mpt_fork(t, "root", root, (void *)arg);
	mpt_expect_exit(t, id, code);
	assert_string_equal(board->log, log);
	assert_int_equal(mpt_reap_orphans(t), 0);
}

static inline int
return_at_once(void *arg)
{
	(void)arg;
	return 0;
}

static inline void
note_and_end(int sig)
{
	(void)sig;
	note('T');
	_exit(0);
}

/* Runs until it is asked to end. */
static inline int
be_polite(void *t)
{
	signal(SIGTERM, note_and_end);
	board->ready++;
	wait_to_be_killed(t);
	return 0;
}

/* Runs until it is killed, and would survive its parent. */
static inline int
be_stubborn(void *t)
{
	sigset_t mask;

	signal(SIGTERM, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGRTMAX);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	board->child[board->ready % CHILDREN] = getpid();
	board->ready++;
	wait_to_be_killed(t);
	return 0;
}

/* Ends by itself, a little later. */
static inline int
end_soon(void *t)
{
	signal(SIGTERM, note_and_end);
	let_pass(t, 20 * MS);
	note('w');
	return 0;
}

static inline int
work_until_a_daemon_has_ended(void *t)
{
	mpt_until(t, board->n_log > 0);
	note('w');
	return 0;
}

static inline void
the_daemon_of(unsigned flags)
{
	start_ready(be_polite, DAEMON | flags);
}

static inline int
call_exit(void *arg)
{
	(void)arg;
	exit(3);
}

/* In a child of a plain fork. */
static inline void
expect_forked(mproc_entry *fn)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		fn(NULL);
	mpt_check_int(scenario, waitpid(pid, &status, 0), pid);
	mpt_check(scenario, WIFEXITED(status));
	mpt_check_int(scenario, WEXITSTATUS(status), 3);
}

#endif
