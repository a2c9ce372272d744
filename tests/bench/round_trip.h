/* SPDX-License-Identifier: MIT */
/*
 * Messages to and fro between two processes, over two channels, one message at a
 * time. Each answer is checked, every byte of it.
 */
#ifndef BENCH_ROUND_TRIP_H
#define BENCH_ROUND_TRIP_H

#include <stdint.h>

#include "flow.h"
#include "transport.h"

struct round_trip {
	const struct transport *transport;
	size_t size;
	enum placement placement;
	bool spin; /* asks again and again, where that is offered */
	unsigned trips;
	double patience; /* s for all of them */
};

/* ns of a round trip, and what was wrong, "" if nothing. */
struct round_trip_end {
	char flaw[128];
	int failed;
	double p50;
	double p99;
	double p999;
	double most;
};

void round_trip_run(const struct round_trip *f, struct round_trip_end *ret);

#endif
