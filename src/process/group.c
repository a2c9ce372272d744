/* SPDX-License-Identifier: MIT */
/*
 * Groups: processes that run the same entry, and of which none goes on when
 * one has failed.
 *
 *   running --a member fails, or stop()--> asked --grace is over--> killed
 *
 * Whoever waits for the members takes them from one state to the next. Several
 * threads may: each step is taken by the one that changes the state, under the
 * process lock. Their handles stay open until the group is closed, as
 * mproc_group_failure() points into them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "base/opts.h"
#include "os/clock.h"
#include "os/generation.h"
#include "process/describe.h"
#include "process/handle.h"
#include "process/watch.h"

#define DEFAULT_GRACE INT64_C(5000000000)
#define DEFAULT_NAME "member"

/* Digits of an index, and the hyphen. */
#define INDEX_MAX 11

struct mproc_group {
	uint64_t generation;
	mproc_timeout grace;

	/* Under the process lock. */
	int first;	 /* index of the first that failed, or -1 */
	bool stopped;	 /* what ends from then on has not failed */
	bool asked;	 /* to end */
	bool killed;	 /* those that had not ended by kill_at */
	int64_t kill_at; /* once they are asked */

	unsigned n;
	mproc_process *members[];
};

static int
check(const mproc_group *g)
{
	if (!g)
		return mpr_fail(-EINVAL, "the group is NULL");
	if (g->generation != mpr_generation())
		return mpr_fail(-ECHILD, "the group was started by another "
				"process");
	return 0;
}

/* All are held back, or none is left. */
static int
hold_all(mproc_group *g, struct mpr_call *call,
	 const struct mproc_process_opts *opts)
{
	struct mproc_process_opts o = *opts;
	char name[MPR_NAME_MAX], why[256];
	unsigned i;
	int r = 0;

	o.name = name;
	for (i = 0; i < g->n; i++) {
		call->index = (int)i;
		snprintf(name, sizeof(name), "%.*s-%u",
			 MPR_NAME_MAX - 1 - INDEX_MAX,
			 opts->name ? opts->name : DEFAULT_NAME, i);
		r = mpr_process_hold(&g->members[i], call, &o);
		if (r < 0)
			break;
		/* A signal handler has forked us, and we have started a member
		 * of our parent's group. */
		r = check(g);
		if (r < 0) {
			i++;
			break;
		}
	}
	if (r == 0)
		return 0;
	snprintf(why, sizeof(why), "%s", mproc_error_detail());
	while (i--)
		mpr_process_abandon(g->members[i]);
	return mpr_fail(r, "\"%s\" of %u members: %s", name, g->n, why);
}

static int
start(mproc_group **ret_g, struct mpr_call *call, unsigned n, mproc_timeout grace,
      const struct mproc_process_opts *opts)
{
	mproc_group *g = mpr_malloc(sizeof(*g) + n * sizeof(g->members[0]));
	int r;

	if (!g)
		return mpr_fail(-ENOMEM, "no memory for a group of %u", n);
	*g = (mproc_group){
		.generation = mpr_generation(),
		.grace = { grace.ns ? grace.ns : DEFAULT_GRACE },
		.first = -1,
		.kill_at = MPR_NEVER,
		.n = n,
	};
	r = hold_all(g, call, opts);
	if (r < 0) {
		free(g);
		return r;
	}
	for (unsigned i = 0; i < n; i++)
		mpr_process_let_go(g->members[i]);
	*ret_g = g;
	return 0;
}

int
mproc_group_start(mproc_group **ret_g, mproc_group_entry *fn, void *arg, int n,
		  const struct mproc_group_opts *opts)
{
	struct mpr_call call = { .fn = (mpr_function *)fn, .is_member = true };
	struct mproc_process_opts process;
	struct mproc_group_opts o;
	void *copy = NULL;
	int r;

	if (!ret_g || !fn)
		return mpr_fail(-EINVAL, "%s is NULL", ret_g ? "fn" : "ret_g");
	if (n < 1)
		return mpr_fail(-EINVAL, "a group of %d", n);
	r = mpr_opts_read(&o, sizeof(o), opts);
	if (r == 0)
		r = mpr_opts_read(&process, sizeof(process), o.process);
	if (r < 0)
		return r;
	if (o.grace.ns < 0)
		return mpr_fail(-EINVAL, "the grace is a point in time");
	call.arg = arg;
	call.arg_size = process.arg_size;
	if (arg && call.arg_size) {
		/* One for all, of the same moment. */
		r = mpr_process_copy_arg(&copy, arg, call.arg_size);
		if (r < 0)
			return r;
		call.arg = copy;
	}
	r = start(ret_g, &call, (unsigned)n, o.grace, &process);
	free(copy);
	return r;
}

/* How many have not ended. Notes the first that has failed. */
static unsigned
count_running(mproc_group *g)
{
	unsigned running = 0;

	mpr_process_lock();
	for (unsigned i = 0; i < g->n; i++) {
		const mproc_process *p = g->members[i];

		if (!p->done)
			running++;
		else if (p->exit.code != 0 && g->first < 0 && !g->stopped)
			g->first = (int)i;
	}
	mpr_process_unlock();
	return running;
}

/* Returns 0, or the first error; the others have got the signal all the
 * same. */
static int
signal_running(mproc_group *g, int signal)
{
	int r = 0, s;

	for (unsigned i = 0; i < g->n; i++) {
		if (mpr_process_is_done(g->members[i]))
			continue;
		s = mproc_process_signal(g->members[i], signal);
		if (s < 0)
			mpr_log(MPROC_LOG_WARNING, "group: %s",
				mproc_error_detail());
		if (r == 0)
			r = s;
	}
	return r;
}

/* Asks and kills, if it is time to. Returns whether they are killed; if not,
 * that may have to be done at @ret_next. */
static bool
pursue(mproc_group *g, int64_t *ret_next)
{
	bool ask = false, kill = false, killed;
	int64_t grace_ends;

	mpr_process_lock();
	if (g->first >= 0 && !g->asked) {
		ask = true;
		g->asked = true;
		grace_ends = mpr_deadline(g->grace);
		if (grace_ends < g->kill_at)
			g->kill_at = grace_ends;
	}
	if (g->asked && !g->killed && mproc_now() >= g->kill_at) {
		kill = true;
		g->killed = true;
	}
	killed = g->killed;
	*ret_next = killed ? MPR_NEVER : g->kill_at;
	mpr_process_unlock();
	if (ask)
		(void)signal_running(g, SIGTERM);
	if (kill)
		(void)signal_running(g, SIGKILL);
	return killed;
}

/* Returns 0 when all have ended, -ETIMEDOUT, or -EINTR; that one not any more
 * once they are killed, if we are @stopping them. With a deadline in the past
 * it only looks. */
static int
wait_for_all(mproc_group *g, int64_t deadline, bool stopping)
{
	struct mpr_watch w = { .ps = g->members, .n = g->n, .fd = -1 };
	int64_t next;
	int r;

	(void)mpr_watch(&w, 0);
	for (;;) {
		/* A signal handler may have forked: no members of ours. */
		r = check(g);
		if (r < 0 || !count_running(g))
			return r;
		w.interruptible = !pursue(g, &next) || !stopping;
		if (mproc_now() >= deadline)
			return -ETIMEDOUT;
		r = mpr_watch(&w, next < deadline ? next : deadline);
		if (r == -EINTR)
			return r;
	}
}

static int
result(mproc_group *g)
{
	char text[MPR_DESCRIBE_MAX];
	struct mproc_exit exit;
	int first = mproc_group_failure(g, &exit);

	if (first < 0)
		return 0;
	return mpr_fail(MPROC_GROUP_FAILED, "member %d of %u: %s", first, g->n,
			mpr_describe(&exit, text));
}

int
mproc_group_join(mproc_group *g, mproc_timeout timeout)
{
	bool wait = timeout.ns != 0;
	int r = check(g);

	if (r < 0)
		return r;
	r = wait_for_all(g, wait ? mpr_deadline(timeout) : 0, false);
	if (r == -ETIMEDOUT && !wait)
		return -EAGAIN;
	return r < 0 ? r : result(g);
}

int
mproc_group_stop(mproc_group *g, mproc_timeout grace)
{
	int64_t grace_ends;
	int r = check(g);

	if (r < 0)
		return r;
	/* What has failed before has failed. */
	(void)wait_for_all(g, 0, false);
	grace_ends = grace.ns ? mpr_deadline(grace) : 0;
	mpr_process_lock();
	g->stopped = true;
	g->asked = true;
	if (grace_ends < g->kill_at)
		g->kill_at = grace_ends;
	mpr_process_unlock();
	r = signal_running(g, SIGTERM);
	return r < 0 ? r : wait_for_all(g, MPR_NEVER, true);
}

int
mproc_group_failure(mproc_group *g, struct mproc_exit *ret_exit)
{
	int first, r = check(g);

	if (r < 0)
		return r;
	if (!ret_exit)
		return mpr_fail(-EINVAL, "ret_exit is NULL");
	mpr_process_lock();
	first = g->first;
	if (first >= 0)
		*ret_exit = g->members[first]->exit;
	mpr_process_unlock();
	return first < 0 ? mpr_fail(-ENODATA, "no member has failed") : first;
}

void
mproc_group_close(mproc_group *g)
{
	if (!g)
		return;
	for (unsigned i = 0; i < g->n; i++)
		mproc_process_close(g->members[i]);
	free(g);
}
