/* SPDX-License-Identifier: MIT */
/*
 * What processes use together while one of them is killed.
 */
#ifndef BENCH_DEATH_H
#define BENCH_DEATH_H

#include <stdbool.h>
#include <stdint.h>

#define DEATH_OTHERS 2 /* who is left; the victim is the next one */

/**
 * struct death_kind - somebody's lock, heap or the like
 * @name:   in the report
 * @object: what it is; kinds of one follow each other, libmproc's first
 * @missing: the package that it was built without, or that is not there; else NULL
 * @only_by_name: is not among all of them, for what tests the harness
 * @once:   it cannot be used after the first death
 * @open:   makes one, in the process that all others are forked from. False: it is
 *          @missing
 * @enter:  is called once by each process that uses it; or NULL
 * @use:    uses it once. It ends by bench_die() if something is wrong
 * @close:  in the process that has made it, when all others are dead
 * @python: instead of all of these: what a program of Python's begins with, which
 *          defines use(i)
 */
struct death_kind {
	const char *name;
	const char *object;
	const char *missing;
	bool only_by_name;
	bool once;
	bool (*open)(void);
	void (*enter)(void);
	void (*use)(unsigned me);
	void (*close)(void);
	const char *python;
};

extern const struct death_kind death_sync[], death_memory[];
extern const int death_n_sync, death_n_memory;

/* Of who has what only one can have, zero in each round: in the end it must be how
 * often all have had it. */
extern uint64_t *death_counter;

void death_must(int r);

#endif
