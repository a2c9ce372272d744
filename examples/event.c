/* SPDX-License-Identifier: MIT */
/*
 * A starting gun: several children get ready, and an event in shared memory
 * lets all of them go at once.
 */
#include <mproc/mproc.h>
#include <stdio.h>

#define RUNNERS 4

static struct race {
	mproc_event ready[RUNNERS]; /* zero bytes are events that are not set */
	mproc_event go;
	int distance;
} *race;

static int
run(void *arg)
{
	mproc_event *ready = arg;

	mproc_event_set(ready);
	if (mproc_event_wait(&race->go, mproc_sec(20)) < 0)
		return 1;
	return race->distance == 100 ? 0 : 2; /* written before the shot */
}

int
main(void)
{
	mproc_process *runners[RUNNERS];
	int i, r = 0, code, arrived = 0;

	race = mproc_alloc(sizeof(*race));
	if (!race)
		return 1;
	for (i = 0; i < RUNNERS && r == 0; i++)
		r = mproc_process_start(&runners[i], run, &race->ready[i],
					NULL);
	for (i = 0; i < RUNNERS && r == 0; i++)
		r = mproc_event_wait(&race->ready[i], mproc_sec(20));
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", mproc_strerror(r),
			mproc_error_detail());
		return 1;
	}
	printf("%d runners are ready\n", RUNNERS);
	race->distance = 100;
	mproc_event_set(&race->go);
	for (i = 0; i < RUNNERS; i++) {
		r = mproc_process_join(runners[i], mproc_sec(20));
		if (r == 0)
			r = mproc_process_exitcode(runners[i], &code);
		arrived += r == 0 && code == 0;
		mproc_process_close(runners[i]);
	}
	printf("%d have arrived\n", arrived);
	mproc_free(race);
	return 0;
}
