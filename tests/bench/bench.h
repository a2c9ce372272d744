/* SPDX-License-Identifier: MIT */
/*
 * What the benchmarks share: messages that can be verified, a fair turn order,
 * medians.
 *
 * A figure counts only as a ratio to another one of the same run: rivals take
 * turns, round after round, so that what disturbs the machine disturbs all of
 * them. Each receiver checks sequence and content of each message, and a run
 * with one wrong message is void.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "report.h"

#define BENCH_NAME 20 /* columns of a contender's name */

/* Why two CPUs are not taken. */
#define BENCH_ONE_CPU "there is one CPU"

struct bench_message {
	uint64_t number;
	uint64_t fill[7];
};

static inline void
bench_fill(struct bench_message *m, uint64_t number)
{
	m->number = number;
	for (int i = 0; i < 7; i++)
		m->fill[i] = number * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)i;
}

static inline bool
bench_is_good(const struct bench_message *m, uint64_t number)
{
	uint64_t bad = m->number ^ number;

	for (int i = 0; i < 7; i++)
		bad |= m->fill[i] ^ (number * UINT64_C(0x9e3779b97f4a7c15) +
				     (uint64_t)i);
	return bad == 0;
}

static inline void
bench_die(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

/* Zeroes that children share. */
static inline void *
bench_shared(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		bench_die("mmap");
	return p;
}

static inline int
bench_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts @values. */
static inline double
bench_median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), bench_compare);
	return n % 2 ? values[n / 2] :
		       (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* Median, least and most of some rounds; sorts @values. */
struct bench_figure {
	double median;
	double least;
	double most;
};

static inline struct bench_figure
bench_figure(double *values, int n)
{
	double median = bench_median(values, n);

	return (struct bench_figure){ median, values[0], values[n - 1] };
}

static inline double *
bench_column(int n)
{
	double *values = calloc((size_t)n, sizeof(*values));

	if (!values)
		bench_die("no memory");
	return values;
}

/* Columns of @n contenders. */
static inline double **
bench_columns(int n, int rounds)
{
	double **ns = calloc((size_t)n, sizeof(*ns));

	if (!ns)
		bench_die("no memory");
	for (int k = 0; k < n; k++)
		ns[k] = bench_column(rounds);
	return ns;
}

static inline void
bench_free_columns(double **ns, int n)
{
	for (int k = 0; k < n; k++)
		free(ns[k]);
	free(ns);
}

/* The beginning of a contender's line; @values stay in the order of the rounds. */
static inline void
bench_line(int width, const char *name, const double *values, int rounds,
	   int decimals)
{
	double *column = bench_column(rounds);
	struct bench_figure f;

	memcpy(column, values, (size_t)rounds * sizeof(*column));
	f = bench_figure(column, rounds);
	printf("%-*s %10.*f %10.*f %10.*f", width, name, decimals, f.median,
	       decimals, f.least, decimals, f.most);
	free(column);
}

/* The same, and its row of the report. */
static inline void
bench_row(const char *name, const double *values, int rounds, int decimals)
{
	bench_line(BENCH_NAME, name, values, rounds, decimals);
	bench_report(name, values, rounds);
}

/* The same for one that cannot be measured here. */
static inline void
bench_left_out(const char *name, const char *why)
{
	printf("%-*s left out: %s\n", BENCH_NAME, name, why);
	bench_report_left_out(name, why);
}

/* The same for one that was measured and counts for nothing. */
static inline void
bench_void(const char *name, const char *why)
{
	printf("%-*s VOID: %s\n", BENCH_NAME, name, why);
	bench_report_void(name, why);
}

static inline double
bench_most(const double *values, int n)
{
	double most = values[0];

	for (int i = 1; i < n; i++)
		most = values[i] > most ? values[i] : most;
	return most;
}

/* The median of the rounds' ratios. */
static inline double
bench_median_ratio(const double *of, const double *to, int rounds)
{
	double *column = bench_column(rounds), ratio;

	for (int i = 0; i < rounds; i++)
		column[i] = of[i] / to[i];
	ratio = bench_median(column, rounds);
	free(column);
	return ratio;
}

/* The present table, row by row: @values of a contender, @first of the first one. */
static inline void
bench_show_head(void)
{
	printf("%s, %s, %s", bench_table_now.what, bench_table_now.placement,
	       bench_table_now.unit);
	if (bench_table_now.x_name)
		printf(", %.0f %s", bench_table_now.x, bench_table_now.x_name);
	printf("\n%-*s %10s %10s %10s %9s\n", BENCH_NAME, "", "median", "least",
	       "most", "ratio");
}

static inline void
bench_show_row(const char *name, const double *values, const double *first,
	       int rounds, int decimals)
{
	bench_row(name, values, rounds, decimals);
	printf(" %9.2f\n", bench_median_ratio(values, first, rounds));
}

/*
 * The present table as a whole: @n contenders, each with its ratio to the first.
 * Who has no figures is NULL in @values, or has none but 0.
 */
static inline void
bench_show(const char *const *names, double *const *values, int n, int rounds,
	   int decimals)
{
	bench_show_head();
	for (int k = 0; k < n; k++)
		if (!values[k] || values[k][0] <= 0)
			bench_left_out(names[k], "not installed");
		else
			bench_show_row(names[k], values[k], values[0], rounds,
				       decimals);
}

#endif
