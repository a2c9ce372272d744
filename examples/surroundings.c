/* SPDX-License-Identifier: MIT */
/*
 * A process with surroundings of its own: what it prints goes into a pipe, it
 * runs in another directory with an environment of one variable, and none of
 * the program's files is open in it. What cannot be had is an error of the
 * start, and no process.
 */
#include <mproc/mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int
look_around(void *secret)
{
	char directory[64], c;

	if (!getcwd(directory, sizeof(directory)))
		return 1;
	printf("directory:   %s\n", directory);
	printf("LANGUAGE:    %s\n", getenv("LANGUAGE"));
	printf("HOME:        %s\n", getenv("HOME") ? "set" : "not set");
	printf("input:       %s\n", getchar() == EOF ? "none" : "some");
	printf("secret file: %s\n",
	       read(*(int *)secret, &c, 1) < 0 ? "closed" : "open");
	return 0;
}

static int
fail(int r)
{
	fprintf(stderr, "%s: %s\n", mproc_strerror(r), mproc_error_detail());
	return 1;
}

int
main(void)
{
	const char *environment[] = { "LANGUAGE=en", NULL };
	mproc_process *p;
	int out[2], secret, r;
	char line[80];
	FILE *lines;

	if (pipe(out) < 0 || (secret = dup(STDIN_FILENO)) < 0)
		return 1;
	r = mproc_process_start(
		&p, look_around, &secret,
		MPROC_OPTS(mproc_process_opts, .cwd = "/",
			   .env = environment, .n_keep_fds = -1,
			   .stdin_ = { MPROC_STDIO_NULL, 0 },
			   .stdout_ = { MPROC_STDIO_FD, out[1] }));
	if (r < 0)
		return fail(r);
	close(out[1]);
	lines = fdopen(out[0], "r");
	while (lines && fgets(line, sizeof(line), lines))
		printf("child: %s", line);
	r = mproc_process_join(p, MPROC_FOREVER);
	if (r < 0)
		return fail(r);
	mproc_process_close(p);

	r = mproc_process_start(&p, look_around, &secret,
				MPROC_OPTS(mproc_process_opts,
					   .cwd = "/no/such/place"));
	printf("elsewhere: %s\n", mproc_strerror(r));
	printf("           %s\n", mproc_error_detail());
	return 0;
}
