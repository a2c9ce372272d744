/* SPDX-License-Identifier: MIT */
/*
 * Programs that libmproc cannot begin anew by itself: linked with spawn_through,
 * not with libmproc. With the argument "asks" it does what is needed for that.
 * Exits with what through_start() returns; for -ENOEXEC it prints why, and exits with
 * 100.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

int through_main(void);
int through_start(void);
const char *through_reason(void);

int
main(int argc, char **argv)
{
	int r;

	if (argc > 1 && strcmp(argv[1], "asks") == 0)
		through_main();
	r = through_start();
	if (r != -ENOEXEC)
		return r;
	puts(through_reason());
	return 100;
}
