/* SPDX-License-Identifier: MIT */
/*
 * Ctrl-C while the program waits: the handler has all threads stop waiting, and
 * the program ends in its own way. Here a child presses the keys.
 */
#include <mproc/mproc.h>
#include <signal.h>
#include <stdio.h>

static void
on_interrupt(int signal)
{
	(void)signal;
	mproc_interrupt();
}

static int
press_the_keys(void *arg)
{
	(void)arg;
	return kill(mproc_parent_pid(), SIGINT) < 0;
}

int
main(void)
{
	struct sigaction action = { .sa_handler = on_interrupt };
	mproc_process *child;
	mproc_queue *q;
	char text[16];
	int r, code;

	sigaction(SIGINT, &action, NULL);
	r = mproc_queue_create(&q, NULL);
	if (r == 0)
		r = mproc_process_start(&child, press_the_keys, NULL, NULL);
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", mproc_strerror(r),
			mproc_error_detail());
		return 1;
	}
	r = mproc_queue_get(q, text, sizeof(text), NULL, mproc_sec(20));
	printf("get: %s\n", mproc_strerror(r));

	/* Once: other waits are waits again. */
	r = mproc_process_join(child, mproc_sec(20));
	if (r == 0 && mproc_process_exitcode(child, &code) == 0)
		printf("the child's exit code: %d\n", code);
	mproc_process_close(child);
	mproc_queue_destroy(q);
	return 0;
}
