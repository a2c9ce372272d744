/* SPDX-License-Identifier: MIT */
/*
 * One program text for the three ways to start a process: what the children get
 * is an argument that is copied, and shared memory. What they see of the program's
 * own variables shows where they come from.
 */
#include <mproc/mproc.h>
#include <stdio.h>

#define WORKERS 4

struct job {
	int *total; /* shared */
	int *seen;  /* the same: what the workers find in @loaded */
	int number;
};

/* Something large that takes long to load, say. */
static int loaded;

static int
load(void *arg)
{
	(void)arg;
	loaded = 1;
	return 0;
}

static int
work(void *arg)
{
	const struct job *job = arg;

	mproc_fetch_add(job->total, job->number);
	mproc_fetch_add(job->seen, loaded);
	return 0;
}

static int
run(const char *name, int method)
{
	struct job job = { mproc_value(int, 0), mproc_value(int, 0), 0 };
	mproc_process *workers[WORKERS];
	int r;

	if (!job.total || !job.seen)
		return -1;
	r = mproc_set_start_method(method);
	if (r < 0)
		return r;
	for (int i = 0; i < WORKERS; i++) {
		job.number = i + 1;
		r = mproc_process_start(&workers[i], work, &job,
					MPROC_OPTS(mproc_process_opts,
						   .arg_size = sizeof(job)));
		if (r < 0)
			return r;
	}
	for (int i = 0; i < WORKERS; i++) {
		r = mproc_process_join(workers[i], MPROC_FOREVER);
		mproc_process_close(workers[i]);
		if (r < 0)
			return r;
	}
	printf("%-11s the sum is %d; %d of %d workers found it loaded\n", name,
	       *job.total, *job.seen, WORKERS);
	mproc_free(job.total);
	mproc_free(job.seen);
	return 0;
}

int
main(void)
{
	int r;

	load(NULL);
	/* The fork server loads it once, for all that it will start. */
	r = mproc_forkserver_start(MPROC_OPTS(mproc_forkserver_opts,
					      .preload = load));
	if (r == 0)
		r = run("fork:", MPROC_FORK);
	if (r == 0)
		r = run("spawn:", MPROC_SPAWN);
	if (r == 0)
		r = run("forkserver:", MPROC_FORKSERVER);
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", mproc_strerror(r),
			mproc_error_detail());
		return 1;
	}
	return mproc_forkserver_stop();
}
