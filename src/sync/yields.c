/* SPDX-License-Identifier: MIT */
#include "sync/yields.h"

/* waits */
#define ALONE 1024
#define REST_MIN 16
#define REST_MAX 1024

static_assert(ALONE <= MPR_YIELDS_MAX && REST_MAX <= MPR_YIELDS_MAX,
	      "they have room");

enum mpr_yields_first
mpr_yields_first(struct mpr_yields *y)
{
	if (!y->left)
		return MPR_FIRST_YIELD;
	y->left = (y->left - 1u) & MPR_YIELDS_MAX;
	return y->alone ? MPR_FIRST_LOOK : MPR_FIRST_SLEEP;
}

bool
mpr_yields_judge(struct mpr_yields *y, int64_t ns, bool was_worth_it)
{
	unsigned rest = y->rest;

	y->alone = ns < MPR_YIELD_ALONE;
	y->left = y->alone ? ALONE : 0;
	if (ns < MPR_YIELD_LONG || was_worth_it) {
		y->rest = (rest - (rest + 7) / 8) & MPR_YIELDS_MAX;
		return y->alone;
	}
	rest = rest ? 2 * rest : REST_MIN;
	y->rest = (rest < REST_MAX ? rest : REST_MAX) & MPR_YIELDS_MAX;
	y->left = y->rest;
	return false;
}

void
mpr_yields_in_vain(struct mpr_yields *y)
{
	if (y->alone)
		y->left = 0;
}
