/* SPDX-License-Identifier: MIT */
/*
 * Four workers multiply two matrices, each a quarter of the rows. All three lie
 * in shared memory, so nothing is sent: a worker is given its number, and writes
 * its rows where they belong.
 */
#include <mproc/mproc.h>
#include <stdint.h>
#include <stdio.h>

#define N 256
#define WORKERS 4

static double (*left)[N], (*right)[N], (*product)[N];

static int
multiply(void *arg)
{
	size_t from = (size_t)(uintptr_t)arg * N / WORKERS;

	for (size_t row = from; row < from + N / WORKERS; row++)
		for (size_t i = 0; i < N; i++)
			for (size_t column = 0; column < N; column++)
				product[row][column] +=
					left[row][i] * right[i][column];
	return 0;
}

/* Numbers whose products add up exactly. */
static void
fill(void)
{
	for (size_t row = 0; row < N; row++)
		for (size_t column = 0; column < N; column++) {
			left[row][column] = (double)((row + column) % 8);
			right[row][column] = row == column ? 0.5 : 0.25;
		}
}

/* Each is 1/4 of the row's sum, and 1/4 of the left one at its place. */
static size_t
count_right_ones(void)
{
	size_t n = 0;

	for (size_t row = 0; row < N; row++) {
		double sum = 0;

		for (size_t column = 0; column < N; column++)
			sum += left[row][column];
		for (size_t column = 0; column < N; column++)
			n += product[row][column] ==
			     0.25 * sum + 0.25 * left[row][column];
	}
	return n;
}

int
main(void)
{
	mproc_process *worker[WORKERS];
	int n, r = 0;

	left = mproc_array_new(sizeof(left[0]), N, NULL);
	right = mproc_array_new(sizeof(right[0]), N, NULL);
	product = mproc_array_new(sizeof(product[0]), N, NULL);
	if (!left || !right || !product) {
		fprintf(stderr, "%s\n", mproc_error_detail());
		return 1;
	}
	fill();

	for (n = 0; n < WORKERS && r == 0; n++)
		r = mproc_process_start(&worker[n], multiply,
					(void *)(uintptr_t)n, NULL);
	if (r < 0) {
		fprintf(stderr, "%s\n", mproc_strerror(r));
		return 1;
	}
	for (n = 0; n < WORKERS; n++) {
		mproc_process_join(worker[n], MPROC_FOREVER);
		mproc_process_close(worker[n]);
	}

	printf("%zu of %d numbers are right\n", count_right_ones(), N * N);
	mproc_free(left);
	mproc_free(right);
	mproc_free(product);
	return 0;
}
