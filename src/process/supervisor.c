/* SPDX-License-Identifier: MIT */
/*
 * The handle of a supervisor. One thread at a time changes it; another may ask
 * for its end, and wakes that one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/opts.h"
#include "os/clock.h"
#include "os/generation.h"
#include "os/thread.h"
#include "os/waker.h"
#include "process/handle.h"
#include "process/setup.h"
#include "process/supervisor.h"

#define SECOND INT64_C(1000000000)

/* Each has a time that is kept. */
#define RESTARTS_MAX 1000000
#define DEFAULT_RESTARTS 1
#define DEFAULT_PERIOD (5 * SECOND)
#define DEFAULT_BACKOFF_MAX (60 * SECOND)
#define DEFAULT_GRACE (5 * SECOND)

static int
check(const mproc_supervisor *s)
{
	if (!s)
		return mpr_fail(-EINVAL, "the supervisor is NULL");
	if (s->generation != mpr_generation())
		return mpr_fail(-ECHILD, "the supervisor was made by another "
				"process");
	return 0;
}

static int
check_opts(const struct mproc_supervisor_opts *o)
{
	if (o->strategy < 0 || o->strategy > MPROC_REST_FOR_ONE)
		return mpr_fail(-EINVAL, "there is no strategy %d",
				o->strategy);
	if (o->max_restarts < -1 || o->max_restarts > RESTARTS_MAX)
		return mpr_fail(-EINVAL, "max_restarts is %d", o->max_restarts);
	if (o->period.ns < 0 || o->backoff.ns < 0 || o->backoff_max.ns < 0)
		return mpr_fail(-EINVAL, "the %s is a point in time",
				o->period.ns < 0 ? "period" : "backoff");
	return 0;
}

int
mproc_supervisor_create(mproc_supervisor **ret_s,
			const struct mproc_supervisor_opts *opts)
{
	struct mproc_supervisor_opts o;
	mproc_supervisor *s;
	unsigned limit;
	int r;

	if (!ret_s)
		return mpr_fail(-EINVAL, "ret_s is NULL");
	r = mpr_opts_read(&o, sizeof(o), opts);
	if (r == 0)
		r = check_opts(&o);
	if (r < 0)
		return r;
	s = mpr_zalloc(sizeof(*s));
	if (!s)
		return mpr_fail(-ENOMEM, "no memory for a supervisor");
	s->generation = mpr_generation();
	s->strategy = o.strategy ? (enum mproc_strategy)o.strategy :
				   MPROC_ONE_FOR_ONE;
	s->backoff = o.backoff.ns;
	s->backoff_max = o.backoff_max.ns ? o.backoff_max.ns :
					    DEFAULT_BACKOFF_MAX;
	limit = o.max_restarts < 0 ? 0 :
		o.max_restarts	   ? (unsigned)o.max_restarts :
				     DEFAULT_RESTARTS;
	r = mpr_restarts_init(&s->restarts, limit,
			      o.period.ns ? o.period.ns : DEFAULT_PERIOD);
	if (r < 0) {
		free(s);
		return mpr_fail(r, "no memory for the times of %u restarts",
				limit);
	}
	s->waker = mpr_waker_open();
	if (s->waker == -EMFILE || s->waker == -ENFILE ||
	    s->waker == -ENOMEM) {
		r = s->waker;
		mproc_supervisor_close(s);
		return mpr_fail(r, "a descriptor to be stopped by: %s",
				mproc_strerror(r));
	}
	*ret_s = s;
	return 0;
}

static int
grow(mproc_supervisor *s)
{
	unsigned room = s->room ? 2 * s->room : 8;
	struct mpr_supervised *children;
	mproc_process **ps;

	if (s->n < s->room)
		return 0;
	children = mpr_realloc(s->children, room * sizeof(*children));
	if (!children)
		return -ENOMEM;
	s->children = children;
	ps = mpr_realloc(s->ps, room * sizeof(mproc_process *));
	if (!ps)
		return -ENOMEM;
	s->ps = ps;
	s->room = room;
	return 0;
}

static int
add(mproc_supervisor *s, struct mpr_supervised *c, const char *name)
{
	if (s->state != MPR_SUPERVISOR_GOING || atomic_load(&s->stop))
		return mpr_fail(-ESHUTDOWN, "the supervisor was stopped, or "
				"has given up");
	if (grow(s) < 0)
		return mpr_fail(-ENOMEM, "no memory for child %u", s->n);
	if (name)
		snprintf(c->name, sizeof(c->name), "%s", name);
	else
		snprintf(c->name, sizeof(c->name), "child-%u", s->n);
	s->children[s->n] = *c;
	s->ps[s->n] = NULL;
	return (int)s->n++;
}

static int
busy(void)
{
	return mpr_fail(-EBUSY, "another thread runs the supervisor");
}

/* One that is killed in the middle of a message leaves half of it in a socket, and its
 * successor would go on behind that. */
static int
check_conns(const struct mproc_process_opts *o)
{
	int r = mpr_handover_check(o->conns, o->n_conns);

	if (r == 0 && o->n_conns > 0 &&
	    mpr_handover_count(o->conns, o->n_conns) > 0)
		r = mpr_fail(-EINVAL, "what is started again cannot be given ends "
			     "that are sockets: a message may be torn");
	return r;
}

int
mproc_supervisor_add(mproc_supervisor *s, mproc_entry *fn, void *arg,
		     const struct mproc_child_opts *opts)
{
	struct mpr_supervised c = { .fn = fn, .arg = arg, .wanted = true };
	struct mproc_child_opts o;
	int r = check(s);

	if (r < 0)
		return r;
	if (!fn)
		return mpr_fail(-EINVAL, "fn is NULL");
	r = mpr_opts_read(&o, sizeof(o), opts);
	if (r == 0)
		r = mpr_opts_read(&c.opts, sizeof(c.opts), o.process);
	if (r < 0)
		return r;
	if (o.restart < 0 || o.restart > MPROC_RESTART_NEVER)
		return mpr_fail(-EINVAL, "there is no restart %d", o.restart);
	if (o.grace.ns < 0)
		return mpr_fail(-EINVAL, "the grace is a point in time");
	r = check_conns(&c.opts);
	if (r < 0)
		return r;
	c.opts.struct_size = sizeof(c.opts);
	c.restart = o.restart ? (enum mproc_restart)o.restart :
				MPROC_RESTART_ALWAYS;
	c.grace.ns = o.grace.ns ? o.grace.ns : DEFAULT_GRACE;
	if (c.opts.arg_size && !arg)
		return mpr_fail(-EINVAL, "arg is NULL, arg_size is %zu",
				c.opts.arg_size);
	if (c.opts.arg_size) {
		r = mpr_process_copy_arg(&c.copy, arg, c.opts.arg_size);
		if (r < 0)
			return r;
		c.arg = c.copy;
	}
	if (c.opts.n_conns > 0) {
		c.lent = mpr_malloc((size_t)c.opts.n_conns * sizeof(*c.lent));
		if (!c.lent)
			r = mpr_fail(-ENOMEM, "no memory for %d connections",
				     c.opts.n_conns);
	}
	if (r == 0 && atomic_exchange(&s->busy, true))
		r = busy();
	if (r < 0) {
		free(c.lent);
		free(c.copy);
		return r;
	}
	r = add(s, &c, c.opts.name);
	/* Before anybody can miss it. */
	if (r >= 0)
		mpr_handover_claim(c.opts.conns, c.opts.n_conns, c.lent);
	atomic_store(&s->busy, false);
	if (r < 0) {
		free(c.lent);
		free(c.copy);
	}
	return r;
}

int
mproc_supervisor_run(mproc_supervisor *s, mproc_timeout timeout)
{
	bool wait = timeout.ns != 0;
	int before, r = check(s);

	if (r < 0)
		return r;
	if (atomic_exchange(&s->busy, true))
		return busy();
	/* What is half done here, nobody else could finish. */
	before = mpr_thread_forbid_cancel();
	if (s->state == MPR_SUPERVISOR_OVER)
		r = mpr_fail(-ESHUTDOWN, "the supervisor was stopped, or has "
			     "given up");
	else
		r = mpr_supervise(s, wait ? mpr_deadline(timeout) : 0);
	atomic_store(&s->busy, false);
	mpr_thread_allow_cancel(before);
	if (r == -ECHILD)
		return check(s);
	return r == -ETIMEDOUT && !wait ? -EAGAIN : r;
}

int
mproc_supervisor_stop(mproc_supervisor *s)
{
	int r = check(s);

	if (r < 0)
		return r;
	/* Before the descriptor is readable, or the other thread could be woken
	 * and see nothing. */
	atomic_store(&s->stop, true);
	mpr_waker_wake(s->waker);
	return 0;
}

void
mproc_supervisor_close(mproc_supervisor *s)
{
	if (!s)
		return;
	if (s->generation == mpr_generation())
		mpr_supervisor_release(s, true);
	for (unsigned i = 0; i < s->n; i++) {
		mproc_process_close(s->ps[i]);
		free(s->children[i].lent);
		free(s->children[i].copy);
	}
	/* A forked child's copy may have been closed with all others. */
	if (mpr_setup_left_open(s->generation))
		mpr_waker_close(s->waker);
	mpr_restarts_free(&s->restarts);
	free(s->children);
	free(s->ps);
	free(s);
}
