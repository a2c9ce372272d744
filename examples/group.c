/* SPDX-License-Identifier: MIT */
/*
 * Groups: several processes run the same function, each on its part. They
 * succeed together; and when one crashes, the others do not wait for ever for
 * what it will never send.
 */
#include <mproc/mproc.h>
#include <stdio.h>
#include <stdlib.h>

#define MEMBERS 4
#define NUMBERS 1000

static int
add_squares(int index, void *arg)
{
	long *sums = arg;

	for (long i = index + 1; i <= NUMBERS; i += MEMBERS)
		sums[index] += i * i;
	return 0;
}

static int
wait_for_the_others(int index, void *q)
{
	char c;

	if (index == 2)
		abort();
	/* From the one that has just crashed. */
	return mproc_queue_get(q, &c, 1, NULL, MPROC_FOREVER) < 0;
}

static int
run(mproc_group_entry *fn, void *arg, const char *name)
{
	struct mproc_exit exit;
	mproc_group *g;
	int r;

	r = mproc_group_start(&g, fn, arg, MEMBERS,
			      MPROC_OPTS(mproc_group_opts,
					 .process = MPROC_OPTS(
						 mproc_process_opts,
						 .name = name)));
	if (r < 0)
		return r;
	r = mproc_group_join(g, MPROC_FOREVER);
	if (r == MPROC_GROUP_FAILED) {
		r = mproc_group_failure(g, &exit);
		printf("member %d, \"%s\", failed first: code %d, signal %d\n",
		       r, exit.name, exit.code, exit.signal);
	}
	mproc_group_close(g);
	return r;
}

int
main(void)
{
	long *sums = mproc_alloc(MEMBERS * sizeof(*sums)), sum = 0;
	mproc_queue *q;
	int r;

	if (!sums || mproc_queue_create(&q, NULL) < 0) {
		fprintf(stderr, "%s\n", mproc_error_detail());
		return 1;
	}
	r = run(add_squares, sums, "adder");
	for (int i = 0; i < MEMBERS; i++)
		sum += sums[i];
	if (r == 0)
		printf("the squares of 1 to %d add up to %ld\n", NUMBERS, sum);
	if (r >= 0)
		r = run(wait_for_the_others, q, "waiter");
	if (r >= 0)
		printf("%d processes run\n", mproc_children(NULL, 0));
	else
		fprintf(stderr, "%s\n", mproc_error_detail());
	mproc_queue_destroy(q);
	mproc_free(sums);
	return r < 0;
}
