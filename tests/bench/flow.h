/* SPDX-License-Identifier: MIT */
/*
 * One run of messages through a transport, from some processes to others, and
 * what has become of them.
 *
 * Producers write every byte of a message, consumers check every byte, and in
 * the end each message must have been taken once, those of a producer in their
 * order as far as one consumer can see it. What it takes to write and to check
 * is part of the figures.
 *
 * Nobody is told that it is over: whoever is left is killed, so that no peer
 * has to have a way to say so.
 */
#ifndef BENCH_FLOW_H
#define BENCH_FLOW_H

#include <stdint.h>

#include "transport.h"

#define FLOW_ENDS 256 /* producers or consumers at most */

enum placement {
	TWO_CPUS, /* producers on one, consumers on the other */
	ONE_CPU,
	UNPINNED,
};

extern const char *const placement_names[];

struct flow {
	const struct transport *transport;
	struct job job;
	enum placement placement;
	uint64_t each;	 /* messages of a producer */
	double idle;	 /* s that consumers wait before the first message */
	double patience; /* s without a message, until those left are lost */
	bool kills;	 /* a victim, in the middle */
	enum end victim;
};

/**
 * struct flow_end - how a run went
 * @flaw:    what was wrong with it, "" if nothing
 * @failed:  it could not be run: an error number
 * @ns:      for a message, in the last seven eighths of the run
 * @idle:    CPU time of the waiting consumers, in percent of one CPU, for all
 * @lost:    messages that should have come and did not
 * @hung:    a producer that was left could not send all of its messages
 * @stall:   s after the kill until the next message came from, or to, one who
 *           was left
 */
struct flow_end {
	char flaw[128];
	int failed;
	double ns;
	double idle;
	uint64_t lost;
	bool hung;
	double stall;
};

void flow_run(const struct flow *f, struct flow_end *ret);

/* Pins the caller, the @index-th of its end. False if there are too few CPUs. */
bool flow_pin(enum placement placement, enum end end, unsigned index);

/* Writes a whole message, the @number-th of its producer, and checks one. */
void flow_fill(void *p, size_t size, unsigned producer, uint64_t number);
bool flow_check(const void *p, size_t size, unsigned *ret_producer,
		uint64_t *ret_number);

#endif
