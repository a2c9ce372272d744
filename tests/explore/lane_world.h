/* SPDX-License-Identifier: MIT */
/*
 * Scenarios of a lane: a few producers and consumers, each a fiber, over the
 * lane's own source.
 *
 * What must hold in every schedule, with any fiber killed anywhere:
 *
 * - no message arrives twice, torn, or unknown, and each consumer gets them in
 *   the order in which they were put;
 * - what was put is there, even if its producer was killed; each killed
 *   consumer takes one message or one batch with it at most;
 * - nobody is told "corrupt", nor "empty", "full" or "too long" where that was
 *   at no time so;
 * - a producer that sleeps for room is woken when there is some;
 * - who asks for the length counts at least what was there all the time;
 * - in the end the lane's length is exact, and a drained lane is empty.
 */
#ifndef LANE_WORLD_H
#define LANE_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "explorer.h"

enum {
	LANE_CAPACITY_MAX = 256,
	LANE_PUTS_MAX = 6,
};

/* In the second word of each reference, for mutants. */
#define LANE_USE (UINT64_C(1) << 40)

/* The lane's shared words, for mutants. */
enum lane_word {
	LANE_HEAD,
	LANE_TAIL,
	LANE_FRAMES,
	LANE_COUNT,
	LANE_WANT,
	LANE_AWAITS,
	LANE_NOTE,
	LANE_OWNER,
	LANE_BUSY,
	LANE_OWES,
};

enum lane_part {
	LANE_PRODUCES,
	LANE_CONSUMES,	      /* as the only one */
	LANE_CONSUMES_SHARED, /* as one of several */
	LANE_COUNTS,	      /* asks for the lane's length */
};

/*
 * @part:    what the fiber is
 * @n:       how many messages it puts, how often it tries to get one, or asks
 * @len:     of the messages that it puts
 * @batch:   how many messages it puts or takes together; 0 means one, and the
 *           calls for that
 * @parts:   each message is put in two parts
 * @in_place: each message is written or, by an only consumer, read where it
 *           lies in the lane
 * @looks:   asks how long the next message is before it takes one
 * @refers:  what it puts are references, to messages that are taken elsewhere
 * @tries:   attempts for each of them when there is no room; 0 means one
 * @room:    bytes of a consumer's buffer; 0 means as many as it takes
 * @mortal:  may be killed
 * @sleeps:  the producer sleeps when there is no room
 * @heir_of: 1 + the fiber whose place it takes when that one is dead or done;
 *           0 if it is there from the start
 */
struct lane_role {
	enum lane_part part;
	unsigned n;
	uint8_t len[LANE_PUTS_MAX];
	uint8_t batch;
	bool parts;
	bool in_place;
	bool looks;
	bool refers;
	uint8_t tries;
	uint8_t room;
	bool mortal;
	bool sleeps;
	uint8_t heir_of;
};

/*
 * @capacity: of the lane
 * @start:    where head and tail are in the beginning
 * @roles:    up to the first without .n
 */
struct lane_case {
	const char *name;
	size_t capacity;
	uint64_t start;
	struct lane_role roles[EXPLORE_FIBERS];
};

/* lane_world.c: the scenario of a case. Valid until the next call. */
const struct explore_scenario *lane_scenario(const struct lane_case *c);

/* lane_cases.c */

enum lane_case_name {
	LANE_TWO_CONSUMERS,
	LANE_TWO_CONSUMERS_WRAP,
	LANE_TWO_CONSUMERS_LITTLE_ROOM,
	LANE_TWO_CONSUMERS_ONE_LOOKS,
	LANE_ONE_CONSUMER,
	LANE_CONSUMER_HEIR,
	LANE_PRODUCER_HEIR,
	LANE_PRODUCER_HEIR_ONE_CONSUMER,
	LANE_SLEEP_ONE_CONSUMER,
	LANE_SLEEP_TWO_CONSUMERS,
	LANE_SLEEP_LARGEST,
	LANE_LENGTH,
	LANE_PARTS,
	LANE_IN_PLACE,
	LANE_IN_PLACE_TWO_CONSUMERS,
	LANE_IN_PLACE_CONSUMER_HEIR,
	LANE_IN_PLACE_SLEEP,
	LANE_BATCH_ONE_CONSUMER,
	LANE_BATCH_TWO_CONSUMERS,
	LANE_BATCH_TWO_CONSUMERS_WRAP,
	LANE_BATCH_LITTLE_ROOM,
	LANE_BATCH_OVERWRITTEN,
	LANE_BATCH_AND_SINGLY,
	LANE_BATCH_CONSUMER_HEIR,
	LANE_BATCH_PRODUCER_HEIR,
	LANE_BATCH_SLEEP_ONE_CONSUMER,
	LANE_BATCH_SLEEP_TWO_CONSUMERS,
	LANE_BATCH_LENGTH,
	LANE_REFERENCES,
	LANE_REFERENCES_ONE_CONSUMER,
	LANE_REFERENCES_CONSUMER_HEIR,
	LANE_CASES
};

extern const struct lane_case lane_cases[LANE_CASES];

#endif
