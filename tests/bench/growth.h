/* SPDX-License-Identifier: MIT */
/*
 * What may become many: how the cost of one of them changes with their number.
 */
#ifndef BENCH_GROWTH_H
#define BENCH_GROWTH_H

#include <stdint.h>

#define GROWTH_FIGURES 3
#define GROWTH_POINTS 8

/**
 * struct growth - something that may become many
 * @figures:    what is measured, all at once: a table each
 * @x_name:     what there are so many of
 * @x:          how many, rising, until 0
 * @quick:      how many of these points a quick run has
 * @bytes:      memory for each of @x, about: points for which there is none are left out
 * @ours:       measures with @x of them, in a process that has not used
 * libmproc yet: ns for each, a figure for each of @figures. It ends by
 * bench_die() if something is wrong
 * @bare:       the same without libmproc, with the least that takes as much
 * memory or as many processes; it says what of the growth is the machine's. Or
 * NULL
 * @bare_name:  how it does that
 */
struct growth {
	const char *figures[GROWTH_FIGURES + 1];
	const char *x_name;
	uint64_t x[GROWTH_POINTS + 1];
	int quick;
	uint64_t bytes;
	void (*ours)(uint64_t x, double *ns);
	void (*bare)(uint64_t x, double *ns);
	const char *bare_name;
};

extern const struct growth growth_of_producers;
extern const struct growth growth_of_queues;
extern const struct growth growth_of_arenas;
extern const struct growth growth_of_dicts;
extern const struct growth growth_of_tasks;
extern const struct growth growth_of_maps;

/* What libmproc says is an error, and a wrong answer. */
void growth_must(int r);
void growth_expect(int good, const char *what);

#endif
