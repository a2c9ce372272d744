/* SPDX-License-Identifier: MIT */
/*
 * A manager has a dict that two programs count in. They are no children of its family:
 * each is this program again, run by a shell with the manager's address, and connects as
 * one on another machine would.
 */
#include <mproc/mproc.h>
#include <stdio.h>
#include <stdlib.h>

/* Another program: counts a fruit, some times. */
static int
count(const char *address, const char *fruit, int times)
{
	mproc_manager *m = NULL;
	mproc_dict *tally;
	int r;

	r = mproc_manager_connect(&m, address, NULL, mproc_sec(10));
	if (r == 0)
		r = mproc_manager_dict(m, "tally", &tally);
	for (int i = 0; i < times && r == 0; i++)
		r = mproc_dict_add(tally, mproc_str(fruit), mproc_int(1), NULL);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", mproc_strerror(r),
			mproc_error_detail());
	mproc_manager_close(m);
	return r < 0;
}

static int
run(const char *program, const char *address)
{
	char command[1024];

	snprintf(command, sizeof(command),
		 "'%s' '%s' apples 300 & '%s' '%s' pears 200 && wait", program,
		 address, program, address);
	return system(command);
}

int
main(int argc, char **argv)
{
	int64_t apples = 0, pears = 0;
	mproc_manager *m;
	mproc_dict *tally;

	if (argc == 4)
		return count(argv[1], argv[2], atoi(argv[3]));
	if (mproc_manager_start(&m, NULL) < 0 ||
	    mproc_manager_dict(m, "tally", &tally) < 0) {
		fprintf(stderr, "%s\n", mproc_error_detail());
		return 1;
	}
	/* Here it is the dict itself. */
	mproc_dict_set(tally, mproc_str("apples"), mproc_int(1000));
	if (run(argv[0], mproc_manager_address(m)) != 0)
		return 1;
	if (mproc_dict_get_int(tally, mproc_str("apples"), &apples) < 0 ||
	    mproc_dict_get_int(tally, mproc_str("pears"), &pears) < 0)
		return 1;
	printf("%lld apples, %lld pears\n", (long long)apples, (long long)pears);
	mproc_manager_close(m);
	return 0;
}
