/* SPDX-License-Identifier: MIT */
/*
 * How the cost of one grows with their number: messages with producers and with
 * queues, blocks with the arena that is in use, keys, tasks, items of a map.
 * Each point is measured in a process of its own, in an arena of its own,
 * beside the least that does the same without libmproc, whose growth is that of
 * caches, pages and processes. In the end, for each: the cost with the most
 * over that with the fewest.
 *
 * Usage: bench_growth [--quick] [rounds]
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "bench.h"
#include "growth.h"

#define ROUNDS 3

enum {
	OURS,
	BARE,
	KINDS
};

static const struct growth *const growths[] = {
	&growth_of_producers, &growth_of_queues, &growth_of_arenas,
	&growth_of_dicts,     &growth_of_tasks,  &growth_of_maps,
};

void
growth_must(int r)
{
	if (r < 0)
		bench_die(mproc_error_detail());
}

void
growth_expect(int good, const char *what)
{
	if (!good)
		bench_die(what);
}

static void
measure(void (*of)(uint64_t x, double *ns), uint64_t x, double *ns)
{
	pid_t pid;
	int status;

	/* Or the child would print it again. */
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		bench_die("fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		of(x, ns);
		/* In order, so that what it has started is gone, too. */
		exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		bench_die("a point of a growth has failed");
}

static void
row(const char *name, const double *values, int rounds, int decimals)
{
	bench_row(name, values, rounds, decimals);
	printf("\n");
}

/* The first @n of @wanted points have been measured. */
static void
show(const struct growth *g, int figure, const char *kinds[KINDS], int wanted,
     int n, double *(*points)[GROWTH_FIGURES][KINDS], int rounds)
{
	double *times;

	for (int p = 0; p < wanted; p++) {
		bench_table("ns", "%s", g->figures[figure]);
		bench_table_at((double)g->x[p], g->x_name);
		printf("%s, %.0f %s\n%-20s %10s %10s %10s  ns\n",
		       g->figures[figure], bench_table_now.x, g->x_name, "",
		       "median", "min", "max");
		for (int k = 0; k < KINDS && kinds[k]; k++) {
			if (p < n)
				row(kinds[k], points[p][figure][k], rounds, 1);
			else
				bench_left_out(kinds[k], "it takes more than "
					       "half of the memory");
		}
	}
	if (n < 2)
		return;
	times = bench_column(rounds);
	bench_table("times the first", "%s: %llu over %llu %s",
		    g->figures[figure], (unsigned long long)g->x[n - 1],
		    (unsigned long long)g->x[0], g->x_name);
	printf("%s\n", bench_table_now.what);
	for (int k = 0; k < KINDS && kinds[k]; k++) {
		for (int i = 0; i < rounds; i++)
			times[i] = points[n - 1][figure][k][i] /
				   points[0][figure][k][i];
		row(kinds[k], times, rounds, 2);
	}
	printf("\n");
	free(times);
}

static int
points_wanted(const struct growth *g, bool quick)
{
	int n = 1;

	while (g->x[n] && (!quick || n < g->quick))
		n++;
	return n;
}

/* How many of these there is memory for: at least the first one. */
static int
points_of(const struct growth *g, int wanted)
{
	uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) *
			  (uint64_t)sysconf(_SC_PAGESIZE);
	int n = 1;

	while (n < wanted && g->x[n] * g->bytes <= memory / 2)
		n++;
	return n;
}

static void
grow(const struct growth *g, bool quick, int rounds, double *ns)
{
	const char *kinds[KINDS] = { "libmproc", g->bare_name };
	double *points[GROWTH_POINTS][GROWTH_FIGURES][KINDS] = { 0 };
	int wanted = points_wanted(g, quick), n = points_of(g, wanted);

	for (int p = 0; p < n; p++)
		for (int f = 0; g->figures[f]; f++)
			for (int k = 0; k < KINDS; k++)
				points[p][f][k] = bench_column(rounds);
	for (int i = 0; i < rounds; i++)
		for (int p = 0; p < n; p++)
			for (int k = 0; k < KINDS && kinds[k]; k++) {
				measure(k == OURS ? g->ours : g->bare, g->x[p],
					ns);
				for (int f = 0; g->figures[f]; f++)
					points[p][f][k][i] = ns[f];
			}
	for (int f = 0; g->figures[f]; f++)
		show(g, f, kinds, wanted, n, points, rounds);
	for (int p = 0; p < n; p++)
		for (int f = 0; g->figures[f]; f++)
			for (int k = 0; k < KINDS; k++)
				free(points[p][f][k]);
}

int
main(int argc, char **argv)
{
	bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
	int rounds = argc > 1 + quick ? atoi(argv[1 + quick])
		     : quick          ? 1
				      : ROUNDS;
	double *ns = bench_shared(GROWTH_FIGURES * sizeof(*ns));

	if (rounds <= 0)
		bench_die("usage: bench_growth [--quick] [rounds]");
	for (size_t i = 0; i < sizeof(growths) / sizeof(*growths); i++)
		grow(growths[i], quick, rounds, ns);
	return 0;
}
