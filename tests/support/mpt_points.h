/* SPDX-License-Identifier: MIT */
/*
 * The points at which the single-step killer may kill, and which of them it takes.
 */
#ifndef MPT_POINTS_H
#define MPT_POINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is known about the point after n instructions. */
struct mpt_point {
	uintptr_t pc;
	unsigned visit;		/* the how manieth of this instruction, from 1; or 0 */
	unsigned since;		/* the last time that it was here, or 0 */
	unsigned before;	/* visits of it up to the mark, see mpt_points_way() */
	unsigned bits;
};

enum {
	MPT_POINT_MATTERS = 1,	/* beside a system call or a change */
	MPT_POINT_CHOSEN = 2,
	MPT_POINT_LEFT = 4,	/* for a signal handler */
	MPT_POINT_DONE = 8,	/* a victim was killed there */
	MPT_POINT_WATCHED = 32,	/* its instruction is that of one that matters */
	MPT_POINT_PASSED = 64,	/* a victim was let run to it */
	MPT_POINT_STIRRED = 16,	/* beside an instruction while which others ran */
};

struct mpt_points {
	struct mpt_point *at;	/* of 0 .. last; the caller frees it */
	unsigned long last;
	size_t size;
};

/*
 * @every:     all up to this one
 * @budget:    how many chosen ones beyond that
 * @max:       no more than this: the ones that matter, the others spread evenly; or 0
 * @no_rounds: not all rounds of loops in which nothing matters
 */
struct mpt_points_choice {
	unsigned long every;
	unsigned long budget;
	unsigned long max;
	bool no_rounds;
};

/* The point after @n instructions; it may move the others. */
struct mpt_point *mpt_points_at(struct mpt_points *p, unsigned long n);

/* As if none had been there. */
void mpt_points_clear(struct mpt_points *p);

/* Once all are there, up to p->last: tells the visits of each instruction. */
void mpt_points_count_visits(struct mpt_points *p);

void mpt_points_choose(struct mpt_points *p, const struct mpt_points_choice *c);

/*
 * How a victim gets near point @n: it runs to @mark, where it had not been before, or
 * stays where it is if that is 0; then on until it comes to point @to for the
 * @visits-th time since, if that is another one.
 */
struct mpt_points_way {
	unsigned long mark;
	unsigned long to;
	unsigned visits;
};

/* The way that makes the fewest stops, with the steps from there to @n; without
 * @may_count it ends at the mark. */
struct mpt_points_way mpt_points_way(struct mpt_points *p, unsigned long n,
				     bool may_count);

/* A hash of where a victim must come to be killed at those that matter. */
uint64_t mpt_points_hash(const struct mpt_points *p);

/* Only this one, or the last one. */
void mpt_points_choose_one(struct mpt_points *p, unsigned long n);

#endif
