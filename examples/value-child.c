/* SPDX-License-Identifier: MIT */
/*
 * A child sets a number and an array; its parent reads them. The program from the
 * tutorial of Python's multiprocessing, "sharing state between processes".
 */
#include <mproc/mproc.h>
#include <stdio.h>

static double *number;
static int *array;

static int
change(void *arg)
{
	(void)arg;
	*number = 3.1415927;
	for (size_t i = 0; i < mproc_array_len(array); i++)
		array[i] = -array[i];
	return 0;
}

int
main(void)
{
	mproc_process *child;
	int r;

	number = mproc_value(double, 0.0);
	array = mproc_array(int, 10);
	if (!number || !array) {
		fprintf(stderr, "%s\n", mproc_error_detail());
		return 1;
	}
	for (int i = 0; i < 10; i++)
		array[i] = i;

	r = mproc_process_start(&child, change, NULL, NULL);
	if (r < 0) {
		fprintf(stderr, "%s\n", mproc_strerror(r));
		return 1;
	}
	mproc_process_join(child, MPROC_FOREVER);
	mproc_process_close(child);

	printf("%.7f\n", *number);
	for (int i = 0; i < 10; i++)
		printf("%d%c", array[i], i < 9 ? ' ' : '\n');
	mproc_free(number);
	mproc_free(array);
	return 0;
}
