/* SPDX-License-Identifier: MIT */
/*
 * A queue carries messages from one process to another: a child says hello,
 * its parent prints what it said.
 */
#include <mproc/mproc.h>
#include <stdio.h>

static int
say_hello(void *arg)
{
	mproc_queue *q = arg;
	static const char hello[] = "hello from the child";

	/* A queue is at the same address in every process of the family. */
	return mproc_queue_put(q, hello, sizeof(hello), MPROC_FOREVER) < 0;
}

int
main(void)
{
	mproc_process *child;
	mproc_queue *q;
	char text[64];
	int r;

	r = mproc_queue_create(&q, NULL);
	if (r < 0)
		goto failed;
	r = mproc_process_start(&child, say_hello, q, NULL);
	if (r < 0)
		goto failed;
	r = mproc_queue_get(q, text, sizeof(text), NULL, mproc_sec(10));
	if (r < 0)
		goto failed;
	printf("the parent got: %s\n", text);

	mproc_process_join(child, MPROC_FOREVER);
	mproc_process_close(child);
	mproc_queue_destroy(q);
	return 0;

failed:
	fprintf(stderr, "%s: %s\n", mproc_strerror(r), mproc_error_detail());
	return 1;
}
