/* SPDX-License-Identifier: MIT */
/*
 * Tasks that may take for ever: the pool ends those that take too long, and their workers
 * with them. The others are not touched.
 */
#include <errno.h>
#include <mproc/mproc.h>
#include <stdio.h>
#include <string.h>

#define TASKS 6

/* Where they begin, in how many steps they come to 1; one has a rule under which it never
 * does. */
static const struct job {
	const char *rule;
	unsigned from;
	unsigned factor;
} jobs[TASKS] = {
	{ "3n + 1", 27, 3 },
	{ "3n + 1", 97, 3 },
	{ "5n + 1", 13, 5 },
	{ "3n + 1", 871, 3 },
	{ "3n + 1", 6171, 3 },
	{ "3n + 1", 77031, 3 },
};

static int
count_steps(const void *in, size_t len, struct mproc_result *out)
{
	volatile unsigned n;
	struct job job;
	int steps = 0;

	memcpy(&job, in, len);
	for (n = job.from; n != 1; steps++)
		n = n % 2 ? job.factor * n + 1 : n / 2;
	return mproc_result_set(out, &steps, sizeof(steps));
}

static int
print_result(const struct job *job, mproc_future *f)
{
	struct mproc_task_error error;
	int steps, r;

	r = mproc_future_get(f, &steps, sizeof(steps), NULL, MPROC_FOREVER);
	if (r == 0)
		printf("%s from %u: %d steps\n", job->rule, job->from, steps);
	else if (r == MPROC_TASK_FAILED && mproc_future_error(f, &error) == 0)
		printf("%s from %u: %s\n", job->rule, job->from,
		       mproc_strerror(error.error));
	mproc_future_close(f);
	return r < 0 ? r : 0;
}

int
main(void)
{
	struct mproc_pool_stat stat = { .deaths = 0 };
	mproc_future *futures[TASKS] = { NULL };
	mproc_pool *pool = NULL;
	int r;

	r = mproc_pool_create(&pool, MPROC_OPTS(mproc_pool_opts, .workers = 2,
						.task_timeout = mproc_sec(1)));
	for (int i = 0; i < TASKS && r == 0; i++)
		r = mproc_pool_submit(pool, count_steps, &jobs[i],
				      sizeof(jobs[i]), &futures[i]);
	for (int i = 0; i < TASKS && r == 0; i++)
		r = print_result(&jobs[i], futures[i]);
	if (r == 0)
		r = mproc_pool_stat(pool, &stat);
	if (r < 0)
		fprintf(stderr, "%s\n", mproc_error_detail());
	else
		printf("workers that were killed for it: %llu\n",
		       (unsigned long long)stat.deaths);
	mproc_pool_free(pool);
	return r < 0;
}
