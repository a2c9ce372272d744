/* SPDX-License-Identifier: MIT */
/*
 * What tests of groups share. A member does what the board says of it; the
 * board lies in the scratch bytes.
 */
#ifndef API_GROUP_H
#define API_GROUP_H

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common.h"
#include "started.h"

#define MEMBERS 100

struct board {
	struct mpt *t;
	_Atomic unsigned begun;
	_Atomic unsigned asked; /* how many have seen SIGTERM */
	_Atomic pid_t forked;	/* by a handler */
	_Atomic pid_t pid[MEMBERS];

	/* What a member does once all have begun. */
	enum act {
		RETURN_0,
		EXIT,	/* with code: call exit() */
		RAISE,	/* signal code */
		STAY,	/* until a signal ends it */
		IGNORE, /* SIGTERM, and stay */
		LEAVE,	/* with code, at SIGTERM */
	} act[MEMBERS];
	int code[MEMBERS];
	unsigned n;
};

static struct board *own; /* a member's, for its handler */
static int leave_with;

static inline void
leave(int signal)
{
	(void)signal;
	own->asked++;
	_exit(leave_with);
}

static inline int
be_a_member(int index, void *arg)
{
	struct board *b = arg;
	int code = b->code[index];

	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	own = b;
	leave_with = code;
	if (b->act[index] == IGNORE)
		signal(SIGTERM, SIG_IGN);
	else if (b->act[index] == LEAVE)
		signal(SIGTERM, leave);
	b->pid[index] = getpid();
	b->begun++;
	switch (b->act[index]) {
	case RETURN_0:
		break;
	case EXIT:
		mpt_until(b->t, b->begun >= b->n);
		exit(code);
	case RAISE:
		mpt_until(b->t, b->begun >= b->n);
		signal(code, SIG_DFL);
		raise(code);
		break;
	case STAY:
	case IGNORE:
	case LEAVE:
		wait_to_be_killed(b->t);
	}
	return 0;
}

/* All of them stay, unless told otherwise. */
static inline struct board *
new_board(struct mpt *t, unsigned n)
{
	struct board *b = mpt_scratch(t);

	memset(b, 0, sizeof(*b));
	b->t = t;
	b->n = n;
	for (unsigned i = 0; i < n; i++)
		b->act[i] = STAY;
	return b;
}

static inline void
let(struct board *b, int index, enum act act, int code)
{
	b->act[index] = act;
	b->code[index] = code;
}

static inline mproc_group *
start_group(struct board *b, mproc_timeout grace)
{
	mproc_group *g = NULL;

	assert_int_equal(mproc_group_start(
		&g, be_a_member, b, (int)b->n,
		MPROC_OPTS(mproc_group_opts, .grace = grace)), 0);
	assert_non_null(g);
	return g;
}

/* The same, and all have begun. */
static inline mproc_group *
start_and_await(struct board *b, mproc_timeout grace)
{
	mproc_group *g = start_group(b, grace);

	mpt_until(b->t, b->begun == b->n);
	return g;
}

static inline void
expect_failure(mproc_group *g, int index, int code, int signal)
{
	struct mproc_exit exit = { .code = 9999 };

	assert_int_equal(mproc_group_failure(g, &exit), index);
	assert_int_equal(exit.code, code);
	assert_int_equal(exit.signal, signal);
}

static inline void
expect_no_failure(mproc_group *g)
{
	struct mproc_exit exit;

	assert_int_equal(mproc_group_failure(g, &exit), -ENODATA);
}

#endif
