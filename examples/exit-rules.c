/* SPDX-License-Identifier: MIT */
/*
 * What happens when a program just returns from main(): its functions for the
 * end run, a daemon is asked to end, and then killed, and a process that is no
 * daemon is waited for.
 */
#include <mproc/mproc.h>
#include <stdio.h>
#include <unistd.h>

static mproc_queue *orders;

static int
beat_for_ever(void *arg)
{
	(void)arg;
	while (pause() < 0)
		;
	return 0;
}

static int
work_until_told(void *arg)
{
	char order[16];

	(void)arg;
	if (mproc_queue_get(orders, order, sizeof(order), NULL,
			    MPROC_FOREVER) < 0)
		return 1;
	printf("%s: got \"%s\", done\n", mproc_self_name(), order);
	return 0;
}

static void
tell_the_worker(void *arg)
{
	printf("the end of the program begins\n");
	fflush(stdout);
	if (mproc_queue_put(orders, arg, 7, MPROC_NOWAIT) < 0)
		fprintf(stderr, "%s\n", mproc_error_detail());
}

int
main(void)
{
	static char finish[] = "finish";
	mproc_process *p;
	int r;

	r = mproc_queue_create(&orders, NULL);
	if (r == 0)
		r = mproc_process_start(&p, beat_for_ever, NULL,
					MPROC_OPTS(mproc_process_opts,
						   .name = "heart",
						   .daemon = true));
	if (r == 0)
		r = mproc_process_start(&p, work_until_told, NULL,
					MPROC_OPTS(mproc_process_opts,
						   .name = "worker"));
	if (r == 0)
		r = mproc_at_exit(tell_the_worker, finish);
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", mproc_strerror(r),
			mproc_error_detail());
		mproc_set_exit_limit(MPROC_NOWAIT);
		return 1;
	}
	printf("%d processes run\n", mproc_children(NULL, 0));
	printf("main() returns\n");
	return 0;
}
