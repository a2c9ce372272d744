/* SPDX-License-Identifier: MIT */
/*
 * What workers print, whatever library prints it, appears line by line with the
 * worker's name in front. Nobody has to read a pipe, and last words are not lost.
 */
#include <mproc/mproc.h>
#include <signal.h>
#include <stdio.h>

static int
download(void *arg)
{
	(void)arg;
	for (int percent = 0; percent <= 100; percent += 50)
		printf("%d %% done\n", percent);
	return 0;
}

static int
crash(void *arg)
{
	(void)arg;
	printf("I have a bad feeling");
	fflush(stdout);
	return raise(SIGKILL);
}

static int
run(const char *name, mproc_entry *entry)
{
	mproc_process *p;
	int r, code = 0;

	r = mproc_process_start(&p, entry, NULL,
				MPROC_OPTS(mproc_process_opts, .name = name,
					   .stdout_ = { MPROC_STDIO_LINES, 0 },
					   .stderr_ = { MPROC_STDIO_LINES, 0 }));
	if (r < 0)
		return r;
	mproc_process_join(p, MPROC_FOREVER);
	mproc_process_exitcode(p, &code);
	mproc_process_close(p);
	printf("%s ended with %d\n", name, code);
	return 0;
}

int
main(void)
{
	int r = run("download", download);

	if (r == 0)
		r = run("victim", crash);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", mproc_strerror(r),
			mproc_error_detail());
	return r < 0;
}
