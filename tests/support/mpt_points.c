/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "mpt_points.h"
#include "mpt.h"
#include "mpt_rand.h"

enum {
	ROUNDS = 16,		/* see forget_rounds() */
};

struct mpt_point *mpt_points_at(struct mpt_points *p, unsigned long n)
{
	size_t size = p->size;

	if (n >= size) {
		size = n * 2 + 4096;
		p->at = realloc(p->at, size * sizeof(*p->at));
		if (p->at == NULL)
			abort();
		memset(p->at + p->size, 0, (size - p->size) * sizeof(*p->at));
		p->size = size;
	}
	return &p->at[n];
}

void mpt_points_clear(struct mpt_points *p)
{
	if (p->size > 0)
		memset(p->at, 0, p->size * sizeof(*p->at));
	p->last = 0;
}

static int compare_points(const void *a, const void *b)
{
	const struct mpt_point *const *p = a, *const *q = b;

	if ((*p)->pc != (*q)->pc)
		return (*p)->pc < (*q)->pc ? -1 : 1;
	return *p < *q ? -1 : *p > *q;
}

/* Whether it is the same instruction as the one just before. */
static bool repeats(const struct mpt_points *p, unsigned long n)
{
	return n > 0 && p->at[n - 1].pc == p->at[n].pc &&
	       !(p->at[n - 1].bits & MPT_POINT_LEFT);
}

/*
 * One that a signal has led away from is executed when its handler has returned,
 * and only that is a visit. A repeated string instruction is stepped once for each
 * repetition, but a breakpoint stops before the first alone.
 */
void mpt_points_count_visits(struct mpt_points *p)
{
	unsigned long i, n = p->last + 1;
	struct mpt_point **sorted;
	unsigned visits = 0;

	sorted = malloc(n * sizeof(*sorted));
	if (sorted == NULL)
		abort();
	for (i = 0; i < n; i++)
		sorted[i] = &p->at[i];
	qsort(sorted, n, sizeof(*sorted), compare_points);
	for (i = 0; i < n; i++) {
		if (i > 0 && sorted[i]->pc != sorted[i - 1]->pc)
			visits = 0;
		else if (i > 0)
			sorted[i]->since = (unsigned)(sorted[i] - sorted[i - 1]);
		if (!(sorted[i]->bits & MPT_POINT_LEFT) &&
		    !repeats(p, (unsigned long)(sorted[i] - p->at)))
			sorted[i]->visit = ++visits;
	}
	free(sorted);
}

/* How often it had been at the instruction of point @i, with that. */
static unsigned visits_until(const struct mpt_points *p, unsigned long i)
{
	while (p->at[i].visit == 0 && p->at[i].since != 0)
		i -= p->at[i].since;
	return p->at[i].visit;
}

/*
 * What has been counted before the mark is not counted again: a loop there may go round
 * more or less often with another victim, and each visit is a stop.
 */
struct mpt_points_way mpt_points_way(struct mpt_points *p, unsigned long n,
				     bool may_count)
{
	struct mpt_points_way way = { .mark = n };
	unsigned long i, stops, fewest;

	while (way.mark > 0 && p->at[way.mark].visit != 1)
		way.mark--;
	way.to = way.mark;
	if (!may_count)
		return way;

	for (i = way.mark + 1; i <= n; i++) {
		struct mpt_point *q = &p->at[i];
		const unsigned long last = i - q->since;

		if (q->since == 0 || way.mark == 0)
			q->before = 0;
		else if (last > way.mark)
			q->before = p->at[last].before;
		else
			q->before = visits_until(p, last);
	}
	fewest = n - way.mark;
	for (i = n; i > way.mark && n - i < fewest; i--) {
		if (p->at[i].visit == 0)
			continue;
		stops = n - i + p->at[i].visit - p->at[i].before;
		if (stops >= fewest)
			continue;
		fewest = stops;
		way.to = i;
		way.visits = p->at[i].visit - p->at[i].before;
	}
	return way;
}

uint64_t mpt_points_hash(const struct mpt_points *p)
{
	uint64_t hash = 0;
	unsigned long i;

	for (i = 0; i <= p->last; i++)
		if (p->at[i].bits & MPT_POINT_MATTERS)
			hash = (hash * 31 + p->at[i].pc) * 31 + p->at[i].visit;
	return hash;
}

/* How many points have exactly the bits @value of those in @mask. */
static unsigned long count_points(const struct mpt_points *p, unsigned mask,
				  unsigned value)
{
	unsigned long i, n = 0;

	for (i = 0; i <= p->last; i++)
		n += (p->at[i].bits & mask) == value;
	return n;
}

/* Keeps @keep of those points chosen, evenly spread, and no others. */
static void thin_out(struct mpt_points *p, unsigned mask, unsigned value,
		     unsigned long keep)
{
	unsigned long i, seen = 0, n = count_points(p, mask, value);

	if (n <= keep)
		return;
	for (i = 0; i <= p->last; i++) {
		if ((p->at[i].bits & mask) != value)
			continue;
		/* True @keep times while seen goes from 0 to n - 1. */
		if ((seen + 1) * keep / n == seen * keep / n)
			p->at[i].bits &= ~(unsigned)MPT_POINT_CHOSEN;
		seen++;
	}
}

/* Marks at most @budget points beyond @every, a stride apart. */
static void choose_beyond(struct mpt_points *p, unsigned long every,
			  unsigned long budget)
{
	unsigned long i, stride;
	struct mpt_rand r;

	if (p->last <= every || budget == 0)
		return;
	stride = (p->last - every + budget - 1) / budget;
	mpt_rand_init(&r, mpt_seed());
	i = every + 1 + mpt_rand_below(&r, stride);
	for (; i <= p->last; i += stride)
		p->at[i].bits |= MPT_POINT_CHOSEN;
}

/*
 * Of an instruction that repeats itself the first repetition, the second, the
 * fourth and so on will do: between them it only gets on, and it would be
 * stepped there from the first, as many times as there are points.
 */
static void forget_repetitions(struct mpt_points *p)
{
	unsigned long i, count = 0;

	for (i = 0; i <= p->last; i++) {
		count = repeats(p, i) ? count + 1 : 0;
		if (count & (count - 1))
			p->at[i].bits &= ~(unsigned)MPT_POINT_CHOSEN;
	}
}

/*
 * The same for a loop, in which nothing changes that the fingerprint sees, when it
 * has gone round some times: a megabyte is copied in 10,000 rounds, to where nobody
 * looks yet, and the last ones are that many stops away.
 */
static void forget_rounds(struct mpt_points *points)
{
	unsigned long i, since = 0, same = 0, rounds;

	for (i = 0; i <= points->last; i++) {
		struct mpt_point *p = &points->at[i];

		same = p->since == since && !(p->bits & MPT_POINT_MATTERS) ?
			       same + 1 : 0;
		since = p->since;
		if (since == 0)
			continue;
		rounds = same / since;
		if (rounds > ROUNDS && (rounds & (rounds - 1)))
			p->bits &= ~(unsigned)MPT_POINT_CHOSEN;
	}
}

void mpt_points_choose(struct mpt_points *p, const struct mpt_points_choice *c)
{
	const unsigned both = MPT_POINT_MATTERS | MPT_POINT_CHOSEN;
	const unsigned known = MPT_POINT_MATTERS | MPT_POINT_STIRRED;
	unsigned long i, matter;

	for (i = 0; i <= p->last; i++)
		if (i <= c->every || (p->at[i].bits & known))
			p->at[i].bits |= MPT_POINT_CHOSEN;
	choose_beyond(p, c->every, c->budget);
	forget_repetitions(p);
	if (c->no_rounds)
		forget_rounds(p);
	if (c->max == 0)
		return;

	matter = count_points(p, both, both);
	thin_out(p, both, both, c->max);
	thin_out(p, both, MPT_POINT_CHOSEN,
		 c->max > matter ? c->max - matter : 0);
}

void mpt_points_choose_one(struct mpt_points *p, unsigned long n)
{
	p->at[n < p->last ? n : p->last].bits |= MPT_POINT_CHOSEN;
}
