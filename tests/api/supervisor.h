/* SPDX-License-Identifier: MIT */
/*
 * What tests of supervisors share. In which order processes were started is
 * asked of mproc_children(). In which order they were stopped they write down
 * in a journal in the scratch bytes, as each ends before the next is asked: 'a'
 * for the first child, 'b' for the second.
 */
#ifndef API_SUPERVISOR_H
#define API_SUPERVISOR_H

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common.h"
#include "started.h"

#define CHILDREN 26
#define ENTRIES 100

/* What a child does. */
enum act {
	STAY,	/* until it is killed, or asked to end */
	IGNORE, /* the same, but it does not care to be asked */
	EXIT,	/* with code, at once */
	FALL,	/* exit with code, once the test says so */
	CRASH,	/* by SIGSEGV */
};

struct board {
	struct mpt *t;
	_Atomic pid_t forked; /* by a handler */
	_Atomic unsigned asked;
	char journal[ENTRIES];
	int64_t asked_at[ENTRIES];
	unsigned n;
	struct seat {
		enum act act;
		int code;
		_Atomic unsigned begun; /* how often */
		int64_t begun_at[ENTRIES];
		_Atomic pid_t pid; /* of the last one */
		_Atomic bool fall;
	} seat[CHILDREN];
};

_Static_assert(sizeof(struct board) <= MPT_SCRATCH, "in the scratch bytes");

struct child {
	struct board *b;
	unsigned index;
};

static struct child self; /* a child's own */

static inline void
end_when_asked(int signal)
{
	struct board *b = self.b;
	unsigned i = b->asked++;

	(void)signal;
	b->asked_at[i] = mproc_now();
	b->journal[i] = (char)('a' + self.index);
	_exit(0);
}

static inline int
be_a_child(void *arg)
{
	struct child *c = arg;
	struct seat *seat = &c->b->seat[c->index];

	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	self = *c;
	signal(SIGTERM, seat->act == IGNORE ? SIG_IGN : end_when_asked);
	mpt_check(c->b->t, seat->begun < ENTRIES);
	seat->begun_at[seat->begun] = mproc_now();
	seat->pid = getpid();
	seat->begun++;
	switch (seat->act) {
	case EXIT:
		return seat->code;
	case CRASH:
		signal(SIGSEGV, SIG_DFL);
		raise(SIGSEGV);
		break;
	case FALL:
		mpt_until(c->b->t, seat->fall);
		seat->fall = false;
		return seat->code;
	case STAY:
	case IGNORE:
		break;
	}
	wait_to_be_killed(c->b->t);
	return 0;
}

static inline struct board *
new_board(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	memset(b, 0, sizeof(*b));
	b->t = t;
	return b;
}

/* The functions below are for roles too. */

static inline mproc_supervisor *
new_supervisor(struct board *b, int strategy, int max_restarts)
{
	mproc_supervisor *s = NULL;

	mpt_check_int(b->t, mproc_supervisor_create(
		&s, MPROC_OPTS(mproc_supervisor_opts, .strategy = strategy,
			       .max_restarts = max_restarts)), 0);
	mpt_check(b->t, s);
	return s;
}

static inline struct seat *
add(mproc_supervisor *s, struct board *b, enum act act, int code, int restart)
{
	struct child c = { b, b->n++ };

	b->seat[c.index].act = act;
	b->seat[c.index].code = code;
	mpt_check_int(b->t, mproc_supervisor_add(
		s, be_a_child, &c,
		MPROC_OPTS(mproc_child_opts, .restart = restart,
			   .grace = mproc_ms(act == IGNORE ? 60 : 15000),
			   .process = MPROC_OPTS(mproc_process_opts,
						 .arg_size = sizeof(c)))),
		(int)c.index);
	return &b->seat[c.index];
}

/* Runs it until a process of the child has begun for the nth time. */
static inline void
run_until_begun(mproc_supervisor *s, struct board *b, unsigned index,
		unsigned n)
{
	while (b->seat[index].begun < n)
		mpt_check_int(b->t, mproc_supervisor_run(s, mproc_ms(1)),
			      -ETIMEDOUT);
	mpt_check_int(b->t, b->seat[index].begun, n);
}

/* The same for all children, which have begun so often: { 1, 2, 1 }. */
static inline void
run_until_all_begun(mproc_supervisor *s, struct board *b, const unsigned *n)
{
	for (unsigned i = 0; i < b->n; i++)
		run_until_begun(s, b, i, n[i]);
	for (unsigned i = 0; i < b->n; i++)
		mpt_check_int(b->t, b->seat[i].begun, n[i]);
}

/* The children that run, in the order in which they were started. */
static inline void
expect_order(struct board *b, const char *order)
{
	mproc_process *ps[CHILDREN];
	char letters[CHILDREN + 1] = "";
	int n = mproc_children(ps, CHILDREN);

	for (int i = 0; i < n; i++)
		letters[n - 1 - i] = (char)('A' + atoi(
			mproc_process_name(ps[i]) + strlen("child-")));
	if (strcmp(letters, order) != 0)
		mpt_fail(b->t, __FILE__, __LINE__, "%s, not %s", letters,
			 order);
}

static inline void
expect_journal(struct board *b, const char *text)
{
	if (strcmp(b->journal, text) != 0)
		mpt_fail(b->t, __FILE__, __LINE__, "\"%s\", not \"%s\"",
			 b->journal, text);
}

static inline void
kill_child(struct board *b, unsigned index)
{
	mpt_check_int(b->t, kill(b->seat[index].pid, SIGKILL), 0);
}

static inline void
stop_and_close(mproc_supervisor *s)
{
	assert_int_equal(mproc_supervisor_stop(s), 0);
	assert_int_equal(mproc_supervisor_run(s, MPROC_FOREVER), 0);
	assert_int_equal(mproc_supervisor_run(s, MPROC_FOREVER), -ESHUTDOWN);
	mproc_supervisor_close(s);
}

#endif
