/* SPDX-License-Identifier: MIT */
/*
 * What a supervisor does, again and again: see who has ended, decide who is to
 * be stopped and who to be started, stop the last of those, or, when none of
 * them runs any more, start the first, and wait.
 *
 * All of it lies in the children's words `stopping` and `wanted`, so a call
 * that has to come back in between leaves nothing else for the next one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "os/clock.h"
#include "os/generation.h"
#include "os/interrupt.h"
#include "process/describe.h"
#include "process/handle.h"
#include "process/supervisor.h"
#include "process/watch.h"

/* All are to be stopped, and none is to be started. */
static void
wind_up(mproc_supervisor *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		s->children[i].wanted = false;
		s->children[i].stopping = s->ps[i];
	}
}

static void
give_up(mproc_supervisor *s, unsigned i, const char *why, bool too_often)
{
	const struct mpr_restarts *r = &s->restarts;
	int n = snprintf(s->reason, sizeof(s->reason), "child %u: %s", i, why);

	if (too_often)
		snprintf(s->reason + n, sizeof(s->reason) - (size_t)n,
			 "; the limit is %u restart%s in %lld ms", r->limit,
			 r->limit == 1 ? "" : "s",
			 (long long)(r->period / 1000000));
	mpr_log(MPROC_LOG_WARNING, "supervisor: gives up: %s", s->reason);
	s->state = MPR_SUPERVISOR_GAVE_UP;
	wind_up(s);
}

static void
want(struct mpr_supervised *c, int64_t due)
{
	if (!c->wanted || c->due < due)
		c->due = due;
	c->wanted = true;
}

/* Whether @other goes the way of @i. */
static bool
is_concerned(const mproc_supervisor *s, unsigned i, unsigned other)
{
	switch (s->strategy) {
	case MPROC_ONE_FOR_ONE:
		break;
	case MPROC_ONE_FOR_ALL:
		return other != i;
	case MPROC_REST_FOR_ONE:
		return other > i;
	}
	return false;
}

/* Child @i has ended, or could not be started again, as @why says. */
static void
restart(mproc_supervisor *s, unsigned i, const char *why)
{
	struct mpr_supervised *c = &s->children[i];
	int64_t now = mproc_now(), delay, due;

	if (!mpr_restarts_note(&s->restarts, now)) {
		give_up(s, i, why, true);
		return;
	}
	delay = mpr_backoff(s->backoff, s->backoff_max, ++c->failures);
	due = delay < MPR_NEVER - now ? now + delay : MPR_NEVER;
	want(c, due);
	for (unsigned j = 0; j < s->n; j++) {
		struct mpr_supervised *o = &s->children[j];

		if (!is_concerned(s, i, j))
			continue;
		o->stopping = s->ps[j];
		if (o->begun && o->restart != MPROC_RESTART_NEVER)
			want(o, due);
	}
	mpr_log(MPROC_LOG_WARNING, "supervisor: child %u: %s; starts again in "
		"%lld ms", i, why, (long long)(delay / 1000000));
}

/* The process of child @i has ended. */
static void
note_end(mproc_supervisor *s, unsigned i)
{
	struct mpr_supervised *c = &s->children[i];
	bool stopped = c->stopping, failed;
	char why[MPR_DESCRIBE_MAX];
	mproc_process *p = s->ps[i];

	failed = p->exit.code != 0;
	mpr_describe(&p->exit, why);
	/* First forgotten: a child that is forked meanwhile closes its copies. */
	s->ps[i] = NULL;
	mproc_process_close(p);
	c->stopping = c->asked = c->killed = false;
	if (stopped)
		return;
	if (c->restart == MPROC_RESTART_NEVER ||
	    (c->restart == MPROC_RESTART_ON_FAILURE && !failed)) {
		mpr_log(failed ? MPROC_LOG_WARNING : MPROC_LOG_INFO,
			"supervisor: child %u: %s", i, why);
		return;
	}
	if (mproc_now() - c->started_at >= s->restarts.period)
		c->failures = 0;
	restart(s, i, why);
}

static void
see_who_has_ended(mproc_supervisor *s)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->ps[i] && mpr_process_is_done(s->ps[i]))
			note_end(s, i);
}

static void
send(mproc_process *p, int signal)
{
	if (mproc_process_signal(p, signal) < 0)
		mpr_log(MPROC_LOG_WARNING, "supervisor: %s",
			mproc_error_detail());
}

/* Stops the last of those that are to be stopped. Returns whether there is one;
 * if so, when there is more to do about it. */
static bool
stop_last(mproc_supervisor *s, int64_t *ret_next)
{
	struct mpr_supervised *c;
	unsigned i = s->n;

	while (i > 0 && !s->children[i - 1].stopping)
		i--;
	if (i == 0)
		return false;
	c = &s->children[i - 1];
	if (!c->asked) {
		c->asked = true;
		c->kill_at = mpr_deadline(c->grace);
		send(s->ps[i - 1], SIGTERM);
	}
	if (!c->killed && mproc_now() >= c->kill_at) {
		c->killed = true;
		send(s->ps[i - 1], SIGKILL);
	}
	*ret_next = c->killed ? MPR_NEVER : c->kill_at;
	return true;
}

static void
note_failed_start(mproc_supervisor *s, unsigned i, int error)
{
	struct mpr_supervised *c = &s->children[i];
	char why[256];

	snprintf(why, sizeof(why), "\"%.63s\" cannot be started: %.150s",
		 c->name, mproc_error_detail());
	c->wanted = false;
	if (error == -ESHUTDOWN)
		/* This process is ending: what runs is waited for. */
		for (unsigned j = 0; j < s->n; j++)
			s->children[j].wanted = false;
	else if (c->begun)
		restart(s, i, why);
	else
		give_up(s, i, why, false);
}

/* Whether the program has closed one of its ends: another one may be there. */
static bool
has_lost_ends(const struct mpr_supervised *c)
{
	for (int j = 0; c->lent && j < c->opts.n_conns; j++)
		if (mpr_pipe_word(c->opts.conns[j]) != c->lent[j])
			return true;
	return false;
}

/* A signal handler has forked us: all that is here is our parent's. */
static bool
is_copy(const mproc_supervisor *s)
{
	return s->generation != mpr_generation();
}

static int
start_child(mproc_supervisor *s, unsigned i)
{
	struct mpr_supervised *c = &s->children[i];
	struct mpr_call call = mpr_call_entry(c->fn, c->arg, c->opts.arg_size);
	struct mproc_process_opts o = c->opts;
	int r;

	if (has_lost_ends(c))
		return mpr_fail(-ESTALE, "a connection that child %u is to have "
				"was closed", i);
	o.name = c->name;
	r = mpr_process_hold(&s->ps[i], &call, &o);
	if (r < 0)
		return r;
	if (is_copy(s)) {
		mpr_process_abandon(s->ps[i]);
		s->ps[i] = NULL;
		return -ECHILD;
	}
	mpr_handover_lend(&s->ps[i]->handover);
	mpr_process_let_go(s->ps[i]);
	c->wanted = false;
	c->begun = true;
	c->started_at = mproc_now();
	return 0;
}

/* Starts those that are due, in order. Returns when there is more to do. */
static int64_t
start_due(mproc_supervisor *s)
{
	int64_t now = mproc_now(), next = MPR_NEVER;
	int r;

	for (unsigned i = 0; i < s->n; i++) {
		struct mpr_supervised *c = &s->children[i];

		if (!c->wanted)
			continue;
		if (c->due > now) {
			if (c->due < next)
				next = c->due;
			/* Those behind it must not come first. */
			if (s->strategy != MPROC_ONE_FOR_ONE)
				break;
			continue;
		}
		r = start_child(s, i);
		if (r < 0) {
			note_failed_start(s, i, r);
			return now;
		}
	}
	return next;
}

/* Whether nothing will start child @i again. */
static bool
is_child_over(const mproc_supervisor *s, unsigned i)
{
	const struct mpr_supervised *c = &s->children[i];

	return !s->ps[i] && !c->wanted &&
	       (s->state != MPR_SUPERVISOR_GOING ||
		c->restart == MPROC_RESTART_NEVER ||
		s->strategy == MPROC_ONE_FOR_ONE);
}

/* Whether another child has it, too, and is not over. */
static bool
is_lent(const mproc_supervisor *s, const mproc_conn *conn, uint64_t word)
{
	for (unsigned i = 0; i < s->n; i++) {
		const struct mpr_supervised *c = &s->children[i];

		for (int j = 0; c->lent && j < c->opts.n_conns; j++)
			if (c->opts.conns[j] == conn && c->lent[j] == word)
				return true;
	}
	return false;
}

void
mpr_supervisor_release(mproc_supervisor *s, bool all)
{
	for (unsigned i = 0; i < s->n; i++) {
		struct mpr_supervised *c = &s->children[i];
		uint64_t *lent = c->lent;

		if (!lent || !(all || is_child_over(s, i)))
			continue;
		c->lent = NULL;
		/* One that the program has closed may be another one's place. */
		for (int j = 0; j < c->opts.n_conns; j++)
			if (lent[j] && !is_lent(s, c->opts.conns[j], lent[j]))
				mpr_pipe_leave(c->opts.conns[j], lent[j]);
		free(lent);
	}
}

static bool
is_over(const mproc_supervisor *s)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->ps[i] || s->children[i].wanted)
			return false;
	return true;
}

static int
finish(mproc_supervisor *s)
{
	int r = 0;

	if (s->state == MPR_SUPERVISOR_GAVE_UP)
		r = mpr_fail(MPROC_SUPERVISOR_GAVE_UP, "%s", s->reason);
	if (s->state != MPR_SUPERVISOR_GOING)
		s->state = MPR_SUPERVISOR_OVER;
	return r;
}

static int64_t
act(mproc_supervisor *s)
{
	int64_t next = MPR_NEVER;

	/* Pairs with the store in mproc_supervisor_stop(). */
	if (s->state == MPR_SUPERVISOR_GOING && atomic_load(&s->stop)) {
		s->state = MPR_SUPERVISOR_STOPPED;
		wind_up(s);
	}
	see_who_has_ended(s);
	mpr_supervisor_release(s, false);
	return stop_last(s, &next) ? next : start_due(s);
}

int
mpr_supervise(mproc_supervisor *s, int64_t deadline)
{
	struct mpr_watch w = { .ps = s->ps, .n = s->n, .fd = -1 };
	int64_t next;
	int r;

	(void)mpr_watch(&w, 0);
	w.interruptible = true;
	for (;;) {
		next = act(s);
		if (is_copy(s))
			return -ECHILD;
		if (is_over(s))
			return finish(s);
		if (mproc_now() >= deadline)
			return -ETIMEDOUT;
		/* Once it has woken us, it would do so for ever. */
		w.fd = s->state == MPR_SUPERVISOR_GOING ? s->waker : -1;
		r = mpr_watch(&w, next < deadline ? next : deadline);
		if (r == -EINTR)
			return r;
		/* Ctrl-C ends the children, too: none is started anew for that. */
		if (mpr_interrupt_pending()) {
			mpr_interrupt_answer();
			return -EINTR;
		}
		if (is_copy(s))
			return -ECHILD;
	}
}
