/* SPDX-License-Identifier: MIT */
/*
 * What step tests of managers' clients start from: a server in a process of its own, the
 * test, which is a client that lives on, and victims that are clients, too. All are of
 * one family, so that the test sees where objects lie what the server has done.
 *
 * The survivor looks when the server has seen the victim's end, and all that came before
 * that: it has as many descriptors as before the victim came. In the end of each case
 * neither it nor the arena has more memory than after the first one.
 */
#ifndef STEP_MANAGER_H
#define STEP_MANAGER_H

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "manager_objects.h"

/* What somebody has of what is not to be used up. */
struct usage {
	unsigned fds;
	long pieces; /* of the library's, by malloc() */
	uint64_t used, blocks, participants;
};

/* In the scratch bytes. */
struct board {
	char address[128];
	_Atomic bool listening, end;
	_Atomic unsigned asked, told;
	struct usage server; /* when it was told */
	/* Cases are rounds. Others who have a part in them say which one it is: */
	_Atomic unsigned others;      /* that are there */
	_Atomic unsigned round, over; /* its victim is about to come, is dead */
	_Atomic unsigned waits;	      /* who is to be the first is about to wait */
	_Atomic unsigned ready, done; /* another one */
	_Atomic unsigned told_all;    /* who notifies */
	_Atomic int result;	      /* of the other one */
};

struct scene {
	struct mpt *t;
	struct board *b;
	int server;
	int (*find)(mproc_manager *m); /* the objects, by the client's own */
	const struct op *op;
	unsigned fds;	     /* of the server, when no victim is there */
	bool has_usage;
	struct usage usage;
};

/* Pieces of memory that this process has for the library. */
static _Atomic long pieces;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void __wrap_free(void *p);

void *
__wrap_malloc(size_t size)
{
	void *p = __real_malloc(size);

	pieces += p != NULL;
	return p;
}

void *
__wrap_calloc(size_t n, size_t size)
{
	void *p = __real_calloc(n, size);

	pieces += p != NULL;
	return p;
}

void *
__wrap_realloc(void *p, size_t size)
{
	void *q = __real_realloc(p, size);

	pieces += !p && q;
	return q;
}

void
__wrap_free(void *p)
{
	pieces -= p != NULL;
	__real_free(p);
}

static inline void
on_ask(int signal)
{
	(void)signal;
	mproc_interrupt();
}

/* Serves, and says what it has when it is asked. */
static inline void
serve(struct mpt *t, mproc_manager *m)
{
	struct board *b = mpt_scratch(t);
	unsigned asked;

	signal(SIGUSR1, on_ask);
	snprintf(b->address, sizeof(b->address), "%s", mproc_manager_address(m));
	b->listening = true;
	while (!b->end) {
		mpt_check_int(t, mproc_manager_serve(m, MPROC_FOREVER), -EINTR);
		asked = b->asked;
		b->server = (struct usage){ .fds = mpt_fd_count(),
					    .pieces = pieces };
		b->told = asked;
	}
	mproc_manager_close(m);
}

static inline int
be_server(struct mpt *t, void *arg)
{
	mproc_manager *m;

	(void)arg;
	mpt_check_int(t, mproc_manager_start(&m, MPROC_OPTS(mproc_manager_opts,
			.in_process = true)), 0);
	serve(t, m);
	return 0;
}

static inline struct usage
usage_of(struct scene *s)
{
	struct mproc_arena_stat st;
	struct usage u;

	s->b->asked++;
	assert_int_equal(kill(mpt_pid(s->t, s->server), SIGUSR1), 0);
	mpt_until(s->t, s->b->told == s->b->asked);
	u = s->b->server;
	recover();
	assert_int_equal(mproc_arena_stat(NULL, &st), 0);
	u.used = st.used;
	u.blocks = st.blocks;
	u.participants = st.participants;
	return u;
}

static inline bool
is_not_more(const struct usage *a, const struct usage *b)
{
	return a->fds <= b->fds && a->pieces <= b->pieces && a->used <= b->used &&
	       a->blocks <= b->blocks && a->participants <= b->participants;
}

/* Some of it the server gives back a moment later, by another thread. */
static inline void
expect_no_growth(struct scene *s)
{
	struct usage u = usage_of(s);

	if (!s->has_usage)
		s->usage = u;
	s->has_usage = true;
	for (unsigned tries = 0; !is_not_more(&u, &s->usage); tries++) {
		mpt_linger(s->t, "the server to have no more than before", tries);
		u = usage_of(s);
	}
}

static inline int
connect_and_find(struct scene *s)
{
	int r = mproc_manager_connect(&objects.m, s->b->address, NULL, BOUND);

	return r < 0 ? r : s->find(objects.m);
}

/* What the server makes for good when it is first used is to be there before a victim
 * comes. */
static inline void
open_scene(struct scene *s, struct mpt *t, mpt_fn *server,
	   int (*find)(mproc_manager *m))
{
	s->t = t;
	s->b = mpt_scratch(t);
	s->find = find;
	mpt_watchdog(t, 60);
	s->server = mpt_fork(t, "server", server, NULL);
	mpt_until(t, s->b->listening);
	assert_int_equal(connect_and_find(s), 0);
}

static inline void
close_scene(struct scene *s)
{
	mproc_manager_close(objects.m);
	s->b->end = true;
	assert_int_equal(kill(mpt_pid(s->t, s->server), SIGUSR1), 0);
	mpt_join_all(s->t);
}

/* Another client, which has a part in each case until the scene ends: @play plays it
 * once. */
static inline void
be_other(struct mpt *t, int (*find)(mproc_manager *m),
	 void (*play)(struct scene *s, unsigned round))
{
	struct scene s = { .t = t, .b = mpt_scratch(t), .find = find };
	unsigned round = 0;

	mpt_check_int(t, connect_and_find(&s), 0);
	s.b->others++;
	for (;;) {
		mpt_until(t, s.b->round > round || s.b->end);
		if (s.b->end)
			break;
		play(&s, ++round);
	}
	mproc_manager_close(objects.m);
}

static inline void
add_other(struct scene *s, const char *name, mpt_fn *other)
{
	unsigned before = s->b->others;

	/* No case is there yet. */
	s->b->round = s->b->over = s->b->waits = 0;
	s->b->ready = s->b->done = s->b->told_all = 0;
	mpt_fork(s->t, name, other, NULL);
	mpt_until(s->t, s->b->others == before + 1);
}

static inline void
begin_case(void *arg)
{
	struct scene *s = arg;

	s->b->round++;
	if (s->op->begin)
		s->op->begin(s);
}

static inline void
be_victim(void *arg)
{
	struct scene *s = arg;

	must_be(connect_and_find(s), 0);
	if (s->op->ready)
		must_be(s->op->ready(s), 0);
	mpt_step_begin();
	must_be(s->op->run(s), 0);
	mpt_step_end();
}

static inline void
end_case(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	s->b->over = s->b->round;
	mpt_until(s->t, usage_of(s).fds == s->fds);
	s->op->check(s, finished);
	expect_no_growth(s);
}

/* In private memory a client's instructions leave nothing: what counts is before and
 * behind its system calls. Of the others there is a sample, and in a full run all. */
static inline void
step_op(struct scene *s, const struct op *op, void (*victim)(void *arg))
{
	s->op = op;
	s->fds = usage_of(s).fds;
	s->has_usage = false;
	mpt_watchdog(s->t, 60);
	mpt_stepper_run(s->t, &(struct mpt_stepper_opts){
		.name = op->name,
		.before = begin_case,
		.victim = victim,
		.survivor = end_case,
		.arg = s,
		.every = 1,
		.budget = 50,
		.max_cases = 100,
	}, NULL);
}

static inline void
step_ops(struct scene *s, const struct op *ops, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		step_op(s, &ops[i], be_victim);
}

#endif
