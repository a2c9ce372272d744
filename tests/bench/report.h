/* SPDX-License-Identifier: MIT */
/*
 * Rows for the report that run.sh makes: a JSON object for each contender of a
 * table, each in a line of its own, added to the file that BENCH_ROWS in the
 * environment names. Without it there is no report.
 *
 * What the fields mean is in docs/benchmarks.md. Names of libmproc's contenders
 * begin with "libmproc", "mproc_" or "queue": that is how the report knows them.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * The table that rows belong to. Tables that differ in @x only are one plot,
 * along @x, which is so many @x_name; NULL: it is none of these. Others are
 * divided by @reference; NULL: by what comes first.
 */
struct bench_table {
	char what[160];
	const char *unit;
	const char *placement;
	const char *x_name;
	double x;
	const char *reference;
};

static struct bench_table bench_table_now;

/* The rows that follow are of this table, not pinned, along no x, their
 * reference the first; less of @unit is better. */
__attribute__((format(printf, 2, 3))) static inline void
bench_table(const char *unit, const char *format, ...)
{
	va_list args;

	bench_table_now = (struct bench_table){ .unit = unit,
						.placement = "unpinned" };
	va_start(args, format);
	vsnprintf(bench_table_now.what, sizeof(bench_table_now.what), format,
		  args);
	va_end(args);
}

/* The table is the point @x of a series. */
static inline void
bench_table_at(double x, const char *x_name)
{
	bench_table_now.x = x;
	bench_table_now.x_name = x_name;
}

static inline void
bench_report_text(FILE *file, const char *name, const char *text)
{
	fprintf(file, ", \"%s\": \"", name);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putc('\\', file);
		if ((unsigned char)*text >= ' ')
			putc(*text, file);
	}
	putc('"', file);
}

static inline FILE *
bench_report_open(const char *contender)
{
	const struct bench_table *t = &bench_table_now;
	const char *path = getenv("BENCH_ROWS");
	FILE *file;

	if (!path || !*path)
		return NULL;
	if (!t->what[0]) {
		fprintf(stderr, "bench: %s is in no table\n", contender);
		exit(1);
	}
	file = fopen(path, "ae");
	if (!file) {
		fprintf(stderr, "bench: %s: cannot be written\n", path);
		exit(1);
	}
	fprintf(file, "{\"format\": 1");
	bench_report_text(file, "bench", program_invocation_short_name);
	bench_report_text(file, "table", t->what);
	bench_report_text(file, "unit", t->unit);
	bench_report_text(file, "placement", t->placement);
	if (t->x_name) {
		bench_report_text(file, "x_name", t->x_name);
		fprintf(file, ", \"x\": %.17g", t->x);
	}
	if (t->reference)
		bench_report_text(file, "reference", t->reference);
	bench_report_text(file, "contender", contender);
	return file;
}

static inline void
bench_report_close(FILE *file)
{
	fprintf(file, "}\n");
	if (fclose(file)) {
		fprintf(stderr, "bench: a row cannot be written\n");
		exit(1);
	}
}

/* A figure for each round, in the order of the rounds: what is divided by what
 * another contender has in the same place. */
static inline void
bench_report(const char *contender, const double *values, int rounds)
{
	FILE *file = bench_report_open(contender);

	if (!file)
		return;
	fprintf(file, ", \"values\": [");
	for (int i = 0; i < rounds; i++)
		fprintf(file, "%s%.9g", i ? ", " : "", values[i]);
	fprintf(file, "]");
	bench_report_close(file);
}

/* No figures: the data was not what was sent. */
static inline void
bench_report_void(const char *contender, const char *why)
{
	FILE *file = bench_report_open(contender);

	if (!file)
		return;
	bench_report_text(file, "void", why);
	bench_report_close(file);
}

/* No figures: it cannot be done here. */
static inline void
bench_report_left_out(const char *contender, const char *why)
{
	FILE *file = bench_report_open(contender);

	if (!file)
		return;
	bench_report_text(file, "left_out", why);
	bench_report_close(file);
}

#endif
