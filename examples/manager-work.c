/* SPDX-License-Identifier: MIT */
/*
 * A queue of jobs between programs that are started by hand, in two windows, or on two
 * machines:
 *
 *	manager-work boss unix:/tmp/work.sock 1000
 *	manager-work worker unix:/tmp/work.sock
 *
 * There may be any number of workers, and each may be killed at any time: a job that one
 * had in hands is done by another. Without arguments it is a boss that starts two workers
 * by a shell, of which one is killed.
 */
#include <errno.h>
#include <mproc/mproc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct result {
	int job, steps;
};

static int
fail(int r)
{
	fprintf(stderr, "%s: %s\n", mproc_strerror(r), mproc_error_detail());
	return 1;
}

/* How many steps Collatz takes from @n to 1. */
static int
count_steps(int64_t n)
{
	int steps = 0;

	for (; n != 1; steps++)
		n = n % 2 ? 3 * n + 1 : n / 2;
	return steps;
}

static int
find_queues(mproc_manager *m, mproc_queue **ret_jobs, mproc_queue **ret_results)
{
	/* A job is a worker's until it says that it is done, however many die. */
	int r = mproc_manager_queue(m, "jobs", MPROC_OPTS(mproc_queue_opts, .ack = true,
						       .max_redeliveries = -1),
				    ret_jobs);

	return r < 0 ? r : mproc_manager_queue(m, "results", NULL, ret_results);
}

/* @dies: with its tenth job in hands. */
static int
work(const char *address, int dies)
{
	mproc_queue *jobs, *results;
	struct result result;
	mproc_manager *m;
	int r, n = 0;

	r = mproc_manager_connect(&m, address, NULL, mproc_sec(10));
	if (r < 0)
		return fail(r);
	r = find_queues(m, &jobs, &results);
	while (r == 0) {
		r = mproc_queue_get(jobs, &result.job, sizeof(result.job), NULL,
				    MPROC_FOREVER);
		if (r == 0 && dies && ++n == 10)
			raise(SIGKILL);
		if (r < 0)
			break;
		result.steps = count_steps(result.job);
		r = mproc_queue_put(results, &result, sizeof(result), MPROC_FOREVER);
		if (r == 0)
			r = mproc_queue_task_done(jobs);
	}
	mproc_manager_close(m);
	/* The boss has all results. */
	return r == -ESHUTDOWN || r == -EPIPE ? 0 : fail(r);
}

/* The results so far. A worker that dies between a result and its end
 * has the job done twice. */
struct harvest {
	int n, left;
	long long steps;
	char *seen;
};

static int
take_result(mproc_queue *results, struct harvest *h)
{
	struct result result;
	int r = mproc_queue_get(results, &result, sizeof(result), NULL, MPROC_FOREVER);

	if (r < 0 || result.job < 1 || result.job > h->n || h->seen[result.job])
		return r;
	h->seen[result.job] = 1;
	h->steps += result.steps;
	h->left--;
	return 0;
}

/* Jobs go in as long as there is room, and results come out meanwhile: otherwise both
 * queues would be full one day. */
static int
hand_out(mproc_queue *jobs, mproc_queue *results, struct harvest *h)
{
	int job = 1, r = 0;

	while (h->left && r == 0) {
		r = job <= h->n ? mproc_queue_put(jobs, &job, sizeof(job),
						  MPROC_NOWAIT) : -EAGAIN;
		if (r == 0)
			job++;
		if (r == -EAGAIN)
			r = take_result(results, h);
	}
	return r;
}

/* @start: what else is to be done before the jobs are there, or NULL. */
static int
lead(const char *address, int n, int (*start)(mproc_manager *m, const char *program),
     const char *program)
{
	struct harvest h = { .n = n, .left = n, .seen = calloc((size_t)n + 1, 1) };
	mproc_queue *jobs, *results;
	mproc_manager *m;
	int r = !h.seen ? -ENOMEM : mproc_manager_start(&m, MPROC_OPTS(mproc_manager_opts,
						   .address = address));

	if (r < 0)
		return fail(r);
	r = find_queues(m, &jobs, &results);
	if (r == 0 && start)
		r = start(m, program);
	if (r == 0)
		r = hand_out(jobs, results, &h);
	/* Workers that wait for more learn that there is none. */
	if (r == 0)
		r = mproc_queue_shutdown(jobs, MPROC_DRAIN);
	if (r == 0)
		r = mproc_queue_join(jobs, mproc_sec(10));
	mproc_manager_close(m);
	if (r == 0)
		printf("%d jobs, %lld steps\n", n, h.steps);
	free(h.seen);
	return r < 0 ? fail(r) : 0;
}

static int
start_two(mproc_manager *m, const char *program)
{
	char command[1024];
	const char *address = mproc_manager_address(m);

	snprintf(command, sizeof(command), "'%s' worker '%s' & '%s' victim '%s' &",
		 program, address, program, address);
	return system(command) == 0 ? 0 : -ECHILD;
}

int
main(int argc, char **argv)
{
	if (argc == 1)
		return lead(NULL, 1000, start_two, argv[0]);
	if (argc == 4 && strcmp(argv[1], "boss") == 0 && atoi(argv[3]) > 0)
		return lead(argv[2], atoi(argv[3]), NULL, NULL);
	if (argc == 3 && strcmp(argv[1], "worker") == 0)
		return work(argv[2], 0);
	if (argc == 3 && strcmp(argv[1], "victim") == 0)
		return work(argv[2], 1);
	fprintf(stderr, "usage: %s [boss address jobs | worker address]\n", argv[0]);
	return 2;
}
