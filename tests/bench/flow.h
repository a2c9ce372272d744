/* SPDX-License-Identifier: MIT */
/*
 * One run of messages through a transport, from some ends to others, and what has
 * become of them: each message must have been taken once, those of a producer in
 * their order as far as one consumer can see it. What it takes to write and to
 * check each byte is part of the figures.
 */
#ifndef BENCH_FLOW_H
#define BENCH_FLOW_H

#include <stdint.h>

#include "ends.h"
#include "transport.h"

struct flow {
	const struct transport *transport;
	struct job job;
	enum placement placement;
	uint64_t each;	 /* messages of a producer */
	double idle;	 /* s that consumers wait before the first message */
	double patience; /* s without a message, until those left are lost; three
			  * times as long, and it is given up as too slow */
	bool kills;	 /* a victim, in the middle */
	enum end victim;
};

/**
 * struct flow_end - how a run went
 * @flaw:    what was wrong with it, "" if nothing
 * @failed:  it could not be run: an error number
 * @ns:      for a message, in the last seven eighths of the run
 * @start:   s from the call that opens a channel until the first message is
 *           taken, less @idle
 * @idle:    CPU time of the waiting consumers, in percent of one CPU, for all
 * @memory:  bytes of all processes in the end, without the kernel's
 * @lost:    messages that should have come and did not
 * @hung:    a producer that was left could not send all of its messages
 * @refused: after the kill others have got an error, or have ended
 * @stall:   s after the kill until the next message came from, or to, one who
 *           was left; if none has come, all patience
 */
struct flow_end {
	char flaw[128];
	int failed;
	double ns;
	double start;
	double idle;
	double memory;
	uint64_t lost;
	bool hung;
	bool refused;
	double stall;
};

void flow_run(const struct flow *f, struct flow_end *ret);

#endif
