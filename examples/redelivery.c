/* SPDX-License-Identifier: MIT */
/*
 * Jobs survive their workers: a queue with .ack gives a job to another worker
 * when the one that had it is killed. One of the jobs here kills whoever takes
 * it; after two workers it is put aside as a dead letter, which says who they
 * were, and all others are done.
 */
#include <errno.h>
#include <mproc/mproc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define JOBS 100
#define WORKERS 2

struct job {
	int number;
	int is_bad;
};

static mproc_queue *jobs;
static int *done; /* how often each job was; one worker has it at a time */

static int
worker(void *arg)
{
	struct job job;

	(void)arg;
	while (mproc_queue_get(jobs, &job, sizeof(job), NULL, MPROC_FOREVER) ==
	       0) {
		if (job.is_bad)
			raise(SIGKILL); /* as the out-of-memory killer would */
		done[job.number]++;
		mproc_queue_task_done(jobs);
	}
	return 0;
}

/* Starts another worker in the place of one that was killed. Returns how many
 * had to be. */
static int
replace_the_dead(mproc_process **workers)
{
	int n = 0;

	for (int i = 0; i < WORKERS; i++) {
		if (mproc_process_join(workers[i], mproc_ms(1)) < 0)
			continue;
		mproc_process_close(workers[i]);
		if (mproc_process_start(&workers[i], worker, NULL, NULL) < 0) {
			fprintf(stderr, "%s\n", mproc_error_detail());
			exit(1);
		}
		n++;
	}
	return n;
}

static void
show(mproc_queue *dead_letters)
{
	struct {
		struct mproc_dead_letter letter;
		struct job job;
	} dead;

	while (mproc_queue_get(dead_letters, &dead, sizeof(dead), NULL,
			       MPROC_NOWAIT) == 0) {
		printf("job %d is a dead letter: it killed", dead.job.number);
		for (unsigned i = 0; i < dead.letter.n_killers; i++)
			printf("%s a worker by signal %d", i ? " and" : "",
			       dead.letter.killer[i].signal);
		printf("\n");
	}
}

int
main(void)
{
	mproc_process *workers[WORKERS];
	mproc_queue *dead_letters;
	int replaced = 0, once = 0, r;

	r = mproc_queue_create(&jobs, MPROC_OPTS(mproc_queue_opts,
						 .name = "jobs", .ack = true,
						 .max_redeliveries = 1));
	if (r == 0)
		r = mproc_queue_dead_letters(jobs, &dead_letters);
	done = mproc_alloc(JOBS * sizeof(*done));
	for (int i = 0; i < JOBS && r == 0; i++)
		r = mproc_queue_put(jobs, &(struct job){ i, i == 42 },
				    sizeof(struct job), MPROC_FOREVER);
	for (int i = 0; i < WORKERS && r == 0; i++)
		r = mproc_process_start(&workers[i], worker, NULL, NULL);
	if (r < 0 || !done) {
		fprintf(stderr, "%s\n", mproc_error_detail());
		return 1;
	}

	/* Until every job is done, or is a dead letter. */
	while ((r = mproc_queue_join(jobs, mproc_ms(10))) == -ETIMEDOUT)
		replaced += replace_the_dead(workers);
	printf("join says: %s\n", mproc_strerror(r));
	while (replaced < 2)
		replaced += replace_the_dead(workers);
	show(dead_letters);
	for (int i = 0; i < JOBS; i++)
		once += done[i] == 1;
	printf("%d jobs were done once\n", once);
	printf("join says: %s\n",
	       mproc_strerror(mproc_queue_join(jobs, MPROC_FOREVER)));

	mproc_queue_shutdown(jobs, MPROC_DRAIN);
	for (int i = 0; i < WORKERS; i++) {
		mproc_process_join(workers[i], MPROC_FOREVER);
		mproc_process_close(workers[i]);
	}
	mproc_queue_destroy(jobs);
	mproc_free(done);
	return 0;
}
