/* SPDX-License-Identifier: MIT */
/*
 * Programs that libmproc cannot begin anew by itself: linked with spawn_through,
 * not with libmproc. With the argument "asks" it does what is needed for that, with
 * "asks once" not in what it starts, whose main() goes on then. Exits with what
 * through_start() returns; for -ENOEXEC it prints why, and exits with 100.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int through_main(void);
int through_start(void);
const char *through_reason(void);

int
main(int argc, char **argv)
{
	int r;

	if (argc > 1 && (strcmp(argv[1], "asks") == 0 ||
			 (strcmp(argv[1], "asks once") == 0 &&
			  !getenv("SPAWN_ASKED"))))
		through_main();
	setenv("SPAWN_ASKED", "1", 1);
	r = through_start();
	if (r != -ENOEXEC)
		return r;
	puts(through_reason());
	return 100;
}
