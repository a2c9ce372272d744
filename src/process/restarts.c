/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/alloc.h"
#include "process/restarts.h"

int
mpr_restarts_init(struct mpr_restarts *r, unsigned limit, int64_t period)
{
	*r = (struct mpr_restarts){ .limit = limit, .period = period };
	if (limit)
		r->times = mpr_malloc(limit * sizeof(r->times[0]));
	return limit && !r->times ? -ENOMEM : 0;
}

void
mpr_restarts_free(struct mpr_restarts *r)
{
	free(r->times);
	r->times = NULL;
}

bool
mpr_restarts_note(struct mpr_restarts *r, int64_t now)
{
	int64_t *oldest;

	if (!r->limit)
		return false;
	oldest = &r->times[r->n % r->limit];
	if (r->n >= r->limit && now - *oldest <= r->period)
		return false;
	*oldest = now;
	r->n++;
	return true;
}

int64_t
mpr_backoff(int64_t first, int64_t most, unsigned nth)
{
	int64_t delay = first;

	while (nth-- > 1 && delay > 0 && delay < most)
		delay = delay > most / 2 ? most : 2 * delay;
	return delay < most ? delay : most;
}
