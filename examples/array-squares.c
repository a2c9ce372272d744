/* SPDX-License-Identifier: MIT */
/*
 * Two children square an array, each the numbers that it takes: an atomic counter
 * says whose turn is next. What they add up goes to one sum, under its lock.
 */
#include <mproc/mproc.h>
#include <stdio.h>

#define N 1000
#define CHILDREN 2

static int *numbers;
static size_t *next;
static long *sum;

static int
square(void *arg)
{
	long own = 0;
	size_t i;

	(void)arg;
	while ((i = mproc_fetch_add(next, 1)) < mproc_array_len(numbers)) {
		numbers[i] *= numbers[i];
		own += numbers[i];
	}
	mproc_with_lock(mproc_lock_of(sum))
		*sum += own;
	return 0;
}

int
main(void)
{
	mproc_process *child[CHILDREN];
	long check = 0;
	int n, r = 0;

	numbers = mproc_array(int, N);
	next = mproc_value(size_t, 0);
	sum = mproc_value(long, 0);
	if (!numbers || !next || !sum) {
		fprintf(stderr, "%s\n", mproc_error_detail());
		return 1;
	}
	for (int i = 0; i < N; i++)
		numbers[i] = i + 1;

	for (n = 0; n < CHILDREN && r == 0; n++)
		r = mproc_process_start(&child[n], square, NULL, NULL);
	if (r < 0) {
		fprintf(stderr, "%s\n", mproc_strerror(r));
		return 1;
	}
	for (n = 0; n < CHILDREN; n++) {
		mproc_process_join(child[n], MPROC_FOREVER);
		mproc_process_close(child[n]);
	}

	for (int i = 0; i < N; i++)
		check += numbers[i];
	printf("%d %d %d ... %d\n", numbers[0], numbers[1], numbers[2],
	       numbers[N - 1]);
	printf("the squares add up to %ld, and the children say %ld\n", check,
	       *sum);
	mproc_free(numbers);
	mproc_free(next);
	mproc_free(sum);
	return 0;
}
