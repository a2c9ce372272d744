/* SPDX-License-Identifier: MIT */
/*
 * Several producers and several consumers, all with batches: readings come from
 * three sensors, two workers add up what arrives. Each message is a structure;
 * a batch of them is taken as an array.
 */
#include <mproc/mproc.h>
#include <stdio.h>

#define SENSORS 3
#define WORKERS 2
#define READINGS 10000 /* of each sensor */
#define BATCH 64

struct reading {
	int sensor;
	int value;
};

struct total {
	long n[SENSORS];
	long sum[SENSORS];
};

static mproc_queue *readings, *totals;

/* Puts all of them; some may have to wait for room. */
static int
put_all(const struct iovec *msgs, int n)
{
	int r;

	for (int done = 0; done < n; done += r) {
		r = mproc_queue_put_many(readings, msgs + done, n - done,
					 MPROC_FOREVER);
		if (r < 0)
			return r;
	}
	return 0;
}

static int
sensor(void *arg)
{
	struct reading values[BATCH];
	struct iovec msgs[BATCH];
	int n = 0;

	for (int i = 1; i <= READINGS; i++) {
		values[n] = (struct reading){ *(int *)arg, i };
		msgs[n] = (struct iovec){ &values[n], sizeof(values[n]) };
		if (++n < BATCH && i < READINGS)
			continue;
		if (put_all(msgs, n) < 0)
			return 1;
		n = 0;
	}
	return 0;
}

/* Until the queue is shut down and empty. */
static int
worker(void *arg)
{
	struct reading values[BATCH];
	struct total total = { 0 };
	struct iovec msgs[BATCH];
	int n;

	(void)arg;
	while ((n = mproc_queue_get_many(readings, values, sizeof(values), msgs,
					 BATCH, MPROC_FOREVER)) > 0) {
		for (int i = 0; i < n; i++) {
			total.n[values[i].sensor]++;
			total.sum[values[i].sensor] += values[i].value;
		}
	}
	return mproc_queue_put(totals, &total, sizeof(total), MPROC_FOREVER) <
	       0;
}

static int
finish(mproc_process **p, int n)
{
	int r = 0;

	for (int i = 0; i < n && r == 0; i++) {
		r = mproc_process_join(p[i], MPROC_FOREVER);
		mproc_process_close(p[i]);
	}
	return r;
}

int
main(void)
{
	mproc_process *sensors[SENSORS], *workers[WORKERS];
	struct mproc_process_opts opts = { sizeof(opts), .daemon = true };
	struct total total, all = { 0 };
	int i, k, r;

	r = mproc_queue_create(&readings, MPROC_OPTS(mproc_queue_opts,
						     .name = "readings"));
	if (r == 0)
		r = mproc_queue_create(&totals, NULL);
	for (i = 0; i < WORKERS && r == 0; i++)
		r = mproc_process_start(&workers[i], worker, NULL, &opts);
	opts.arg_size = sizeof(i);
	for (i = 0; i < SENSORS && r == 0; i++)
		r = mproc_process_start(&sensors[i], sensor, &i, &opts);
	if (r == 0)
		r = finish(sensors, SENSORS);
	/* What is queued can still be taken. */
	if (r == 0)
		r = mproc_queue_shutdown(readings, MPROC_DRAIN);
	for (i = 0; i < WORKERS && r == 0; i++) {
		r = mproc_queue_get(totals, &total, sizeof(total), NULL,
				    mproc_sec(20));
		for (k = 0; k < SENSORS && r == 0; k++) {
			all.n[k] += total.n[k];
			all.sum[k] += total.sum[k];
		}
	}
	if (r == 0)
		r = finish(workers, WORKERS);
	if (r < 0) {
		fprintf(stderr, "%s\n", mproc_error_detail());
		return 1;
	}
	for (k = 0; k < SENSORS; k++)
		printf("sensor %d: %ld readings, sum %ld\n", k, all.n[k],
		       all.sum[k]);
	return 0;
}
