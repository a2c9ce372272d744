/* SPDX-License-Identifier: MIT */
/*
 * One thread waits for many things at once: for results that a worker puts into a
 * queue, for what it prints, which comes through a plain pipe, and for its end.
 */
#include <mproc/mproc.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define RESULTS 1000

struct report {
	int n;
	long sum;
	char text[64];
	size_t len;
};

static mproc_queue *results;

static int
worker(void *unused)
{
	(void)unused;
	printf("I begin\n");
	fflush(stdout);
	for (int i = 1; i <= RESULTS; i++)
		if (mproc_queue_put(results, &i, sizeof(i), MPROC_FOREVER) < 0)
			return 1;
	return 3;
}

static void
take_results(struct report *report)
{
	int result;

	while (mproc_queue_get(results, &result, sizeof(result), NULL,
			       MPROC_NOWAIT) == 0) {
		report->n++;
		report->sum += result;
	}
}

/* Returns whether there will be more. */
static int
take_text(int fd, struct report *report)
{
	ssize_t n = read(fd, report->text + report->len,
			 sizeof(report->text) - 1 - report->len);

	if (n > 0)
		report->len += (size_t)n;
	return n > 0;
}

enum { QUEUE, WORKER, OUTPUT, ITEMS };

/* Until the worker has ended, and all it has said and done is here. */
static int
supervise(mproc_process *p, int output, struct report *report)
{
	struct mproc_waitable items[ITEMS] = {
		[QUEUE] = { .kind = MPROC_WAIT_QUEUE, .object = results },
		[WORKER] = { .kind = MPROC_WAIT_PROCESS, .object = p },
		[OUTPUT] = { .kind = MPROC_WAIT_FD, .fd = output,
			     .events = POLLIN },
	};
	int r, more = 1;

	for (;;) {
		/* Without the last one when the output is closed. */
		r = mproc_wait(items, more ? ITEMS : OUTPUT, MPROC_FOREVER);
		if (r < 0)
			return r;
		if (more && items[OUTPUT].ret_events)
			more = take_text(output, report);
		if (items[QUEUE].ret_events)
			take_results(report);
		else if (items[WORKER].ret_events && !more)
			return 0;
	}
}

int
main(void)
{
	struct report report = { 0 };
	mproc_process *p = NULL;
	int fds[2], code = 0, r;

	if (pipe(fds) < 0)
		return 1;
	r = mproc_queue_create(&results, NULL);
	if (r == 0)
		r = mproc_process_start(
			&p, worker, NULL,
			MPROC_OPTS(mproc_process_opts,
				   .stdout_ = { MPROC_STDIO_FD, fds[1] }));
	close(fds[1]);
	if (r == 0)
		r = supervise(p, fds[0], &report);
	if (r == 0)
		r = mproc_process_exitcode(p, &code);
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", mproc_strerror(r),
			mproc_error_detail());
		return 1;
	}
	printf("the worker said: %s", report.text);
	printf("%d results add up to %ld\n", report.n, report.sum);
	printf("it has ended with %d\n", code);
	mproc_process_close(p);
	mproc_queue_destroy(results);
	close(fds[0]);
	return 0;
}
