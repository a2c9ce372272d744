/* SPDX-License-Identifier: MIT */
/*
 * How long something takes, again and again, for tests that tell a wake-up from
 * a sleeper that looks by itself at the end of its slice.
 *
 * Without the wake-up each round takes a slice, so the round in the middle does,
 * too; a busy machine holds up one or two, which an average would not forgive.
 * Where rounds differ in what they do, each kind of them has times of its own.
 *
 * With MPT_SLOW=n, time passes n times as slowly: what a sanitizer has to say does
 * not depend on it, and there all rounds may take long.
 */
#ifndef MPT_TIMES_H
#define MPT_TIMES_H

#include <stdint.h>
#include <stdlib.h>

enum { MPT_TIMES = 1024 };

/* Zero bytes are none. */
struct mpt_times {
	unsigned n;
	int64_t ns[MPT_TIMES];
};

/** mpt_times_add() - one more; there is room for MPT_TIMES */
static inline void mpt_times_add(struct mpt_times *times, int64_t ns)
{
	if (times->n == MPT_TIMES)
		abort();
	times->ns[times->n++] = ns;
}

static inline int mpt_times_compare(const void *a, const void *b)
{
	const int64_t *x = (const int64_t *)a, *y = (const int64_t *)b;

	return (*x > *y) - (*x < *y);
}

/** mpt_times_median() - the one in the middle, of two the shorter one
 *
 * Changes their order. There must be one.
 */
static inline int64_t mpt_times_median(struct mpt_times *times)
{
	const char *slow = getenv("MPT_SLOW");
	int64_t divisor = slow ? atoi(slow) : 1;

	if (times->n == 0)
		abort();
	qsort(times->ns, times->n, sizeof(times->ns[0]), mpt_times_compare);
	return times->ns[(times->n - 1) / 2] / (divisor > 1 ? divisor : 1);
}

#endif
