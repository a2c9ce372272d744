/* SPDX-License-Identifier: MIT */
/*
 * A pipe between parent and child: the child has one end, and says hello through
 * it. The program from the tutorial of Python's multiprocessing, "exchanging
 * objects between processes".
 */
#include <mproc/mproc.h>
#include <stdio.h>

static int
say_hello(void *arg)
{
	mproc_conn *conn = arg;
	static const char hello[] = "hello";

	/* The end of the process closes the connection. */
	return mproc_conn_send(conn, hello, sizeof(hello), MPROC_FOREVER) < 0;
}

int
main(void)
{
	mproc_conn *mine, *its;
	mproc_process *child;
	char text[64];
	int r;

	r = mproc_pipe(&mine, &its, NULL);
	if (r < 0)
		goto failed;
	r = mproc_process_start(&child, say_hello, its,
				MPROC_OPTS(mproc_process_opts,
					   .conns = &its, .n_conns = 1));
	if (r < 0)
		goto failed;
	r = mproc_conn_recv(mine, text, sizeof(text), NULL, mproc_sec(10));
	if (r < 0)
		goto failed;
	printf("the parent got: %s\n", text);
	r = mproc_conn_recv(mine, text, sizeof(text), NULL, mproc_sec(10));
	printf("and then: %s\n", mproc_strerror(r));

	mproc_process_join(child, MPROC_FOREVER);
	mproc_process_close(child);
	mproc_conn_close(mine);
	return 0;

failed:
	fprintf(stderr, "%s: %s\n", mproc_strerror(r), mproc_error_detail());
	return 1;
}
