/* SPDX-License-Identifier: MIT */
#include "round_trip.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "crew.h"

static void
run(const struct round_trip *f, struct crew *c, struct round_trip_end *ret)
{
	struct board *b = c->board;
	struct share *asking = &b->ends[PRODUCER][0];
	uint64_t all = f->trips + ENDS_WARM;
	const char *flaw;
	int64_t until;

	ret->failed = crew_start(c, f->patience, &flaw);
	if (ret->failed)
		return;
	until = ends_now() + (int64_t)(f->patience * 1e9);
	while (!flaw[0] &&
	       atomic_load_explicit(&asking->done, memory_order_acquire) < all) {
		ends_nap(ENDS_LOOK);
		if (crew_flaw(c))
			flaw = "a message is wrong";
		else if (ends_now() > until)
			flaw = "an answer does not come";
	}
	if (flaw[0]) {
		snprintf(ret->flaw, sizeof(ret->flaw), "%s", flaw);
		return;
	}
	qsort(b->ns, f->trips, sizeof(b->ns[0]), bench_compare);
	ret->p50 = b->ns[f->trips / 2];
	ret->p99 = b->ns[f->trips - 1 - f->trips / 100];
	ret->p999 = b->ns[f->trips - 1 - f->trips / 1000];
	ret->most = b->ns[f->trips - 1];
}

void
round_trip_run(const struct round_trip *f, struct round_trip_end *ret)
{
	struct crew c;

	*ret = (struct round_trip_end){ .failed = 0 };
	crew_open(&c, f->transport, f->trips);
	c.board->producers = c.board->consumers = 1;
	c.board->placement = f->placement;
	c.board->spin = f->spin;
	c.board->size = f->size;
	run(f, &c, ret);
	crew_close(&c);
}
