/* SPDX-License-Identifier: MIT */
/*
 * Supervisors: a worker crashes now and then. It is started again, and goes on
 * where it was, as it keeps its place in shared memory. One that crashes over
 * and over is given up.
 */
#include <mproc/mproc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define JOBS 5

/* In shared memory. */
struct progress {
	_Atomic int starts;
	_Atomic int done;
	_Atomic bool died[JOBS + 1];
};

static int
work(void *arg)
{
	struct progress *p = arg;

	p->starts++;
	for (int job = p->done + 1; job <= JOBS; job++) {
		/* Every other job kills the worker, but not twice. */
		if (job > 1 && job % 2 && !p->died[job]) {
			p->died[job] = true;
			printf("the worker dies at job %d\n", job);
			fflush(stdout);
			raise(SIGKILL);
		}
		printf("job %d done\n", job);
		fflush(stdout);
		p->done = job;
	}
	return 0;
}

static int
fail(void *arg)
{
	struct progress *p = arg;

	p->starts++;
	return 1;
}

static int
run(mproc_entry *fn, struct progress *p, mproc_timeout backoff)
{
	mproc_supervisor *s;
	int r;

	r = mproc_supervisor_create(&s, MPROC_OPTS(mproc_supervisor_opts,
						   .max_restarts = 3,
						   .period = mproc_sec(60),
						   .backoff = backoff));
	if (r < 0)
		return r;
	r = mproc_supervisor_add(s, fn, p,
				 MPROC_OPTS(mproc_child_opts,
					    .restart =
						    MPROC_RESTART_ON_FAILURE));
	if (r >= 0)
		r = mproc_supervisor_run(s, MPROC_FOREVER);
	mproc_supervisor_close(s);
	return r;
}

int
main(void)
{
	struct progress *p = mproc_alloc(2 * sizeof(*p));
	int r = -1;

	if (p)
		r = run(work, &p[0], MPROC_NOWAIT);
	if (r == 0) {
		printf("all jobs are done after %d starts\n", p[0].starts);
		r = run(fail, &p[1], mproc_ms(5));
	}
	if (r == MPROC_SUPERVISOR_GAVE_UP)
		printf("the other one: gave up after %d starts\n",
		       p[1].starts);
	if (r < 0)
		fprintf(stderr, "%s\n", mproc_error_detail());
	mproc_free(p);
	return r < 0;
}
