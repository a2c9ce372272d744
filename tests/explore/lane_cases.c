/* SPDX-License-Identifier: MIT */
/*
 * The cases. Lanes are as small as they can be, so that all is near everything
 * else: padding, wrapping, full and empty.
 */
#include "lane_world.h"

const struct lane_case lane_cases[LANE_CASES] = {
	[LANE_TWO_CONSUMERS] = {
		.name = "two consumers",
		.capacity = 64,
		.roles = {
			{ LANE_PRODUCES, 3, { 8, 8, 8 }, .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .mortal = true },
		},
	},
	/* Each frame is overwritten by one of another shape, with pads. */
	[LANE_TWO_CONSUMERS_WRAP] = {
		.name = "two consumers in a lane that wraps",
		.capacity = 64,
		.start = 32,
		.roles = {
			{ LANE_PRODUCES, 4, { 8, 24, 8, 24 }, .tries = 1,
			  .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .mortal = true },
		},
	},
	/* The fourth message comes to lie where the first one was. */
	[LANE_TWO_CONSUMERS_LITTLE_ROOM] = {
		.name = "two consumers, one with a small buffer",
		.capacity = 64,
		.roles = {
			{ LANE_PRODUCES, 4, { 8, 24, 8, 20 }, .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .room = 8, .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .mortal = true },
		},
	},
	[LANE_TWO_CONSUMERS_ONE_LOOKS] = {
		.name = "two consumers, one looks first",
		.capacity = 64,
		.start = 32,
		.roles = {
			{ LANE_PRODUCES, 4, { 8, 24, 16, 24 }, .tries = 1,
			  .mortal = true },
			{ LANE_CONSUMES_SHARED, 1, .looks = true,
			  .mortal = true },
			{ LANE_CONSUMES_SHARED, 3, .mortal = true },
		},
	},
	[LANE_ONE_CONSUMER] = {
		.name = "one consumer",
		.capacity = 64,
		.start = 32,
		.roles = {
			{ LANE_PRODUCES, 4, { 8, 24, 8, 24 }, .tries = 1,
			  .mortal = true },
			{ LANE_CONSUMES, 5, .mortal = true },
		},
	},
	[LANE_CONSUMER_HEIR] = {
		.name = "one consumer and its heir",
		.capacity = 64,
		.start = 48,
		.roles = {
			{ LANE_PRODUCES, 3, { 8, 24, 8 }, .tries = 1 },
			{ LANE_CONSUMES, 3, .mortal = true },
			{ LANE_CONSUMES, 3, .heir_of = 1 + 1 },
		},
	},
	[LANE_PRODUCER_HEIR] = {
		.name = "a producer's heir and two consumers",
		.capacity = 64,
		.start = 32,
		.roles = {
			{ LANE_PRODUCES, 2, { 8, 24 }, .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .mortal = true },
			{ .part = LANE_CONSUMES_SHARED, .n = 1 },
			{ LANE_PRODUCES, 2, { 24, 8 }, .heir_of = 1 + 0 },
		},
	},
	[LANE_PRODUCER_HEIR_ONE_CONSUMER] = {
		.name = "a producer's heir and one consumer",
		.capacity = 64,
		.start = 32,
		.roles = {
			{ LANE_PRODUCES, 3, { 8, 24, 8 }, .mortal = true },
			{ LANE_CONSUMES, 4, .mortal = true },
			{ LANE_PRODUCES, 2, { 24, 8 }, .heir_of = 1 + 0,
			  .mortal = true },
		},
	},
	[LANE_SLEEP_ONE_CONSUMER] = {
		.name = "a producer that sleeps, one consumer",
		.capacity = 64,
		.start = 16,
		.roles = {
			{ LANE_PRODUCES, 4, { 24, 8, 24, 8 }, .sleeps = true },
			{ LANE_CONSUMES, 5, .mortal = true },
		},
	},
	[LANE_SLEEP_TWO_CONSUMERS] = {
		.name = "a producer that sleeps, two consumers",
		.capacity = 64,
		.start = 16,
		.roles = {
			{ LANE_PRODUCES, 4, { 24, 8, 24, 8 }, .sleeps = true },
			{ LANE_CONSUMES_SHARED, 2, .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .mortal = true },
		},
	},
	/* It fits only when all others are gone and the pad as well. */
	[LANE_SLEEP_LARGEST] = {
		.name = "a message as large as the lane",
		.capacity = 64,
		.start = 32,
		.roles = {
			{ LANE_PRODUCES, 3, { 8, 56, 8 }, .sleeps = true },
			{ LANE_CONSUMES_SHARED, 3, .mortal = true },
			{ LANE_CONSUMES_SHARED, 1, .mortal = true },
		},
	},
	[LANE_LENGTH] = {
		.name = "the length is asked for",
		.capacity = 64,
		.start = 32,
		.roles = {
			{ LANE_PRODUCES, 3, { 8, 24, 8 }, .mortal = true },
			{ LANE_CONSUMES, 2, .mortal = true },
			{ .part = LANE_COUNTS, .n = 2 },
		},
	},
	[LANE_PARTS] = {
		.name = "messages in parts",
		.capacity = 64,
		.start = 32,
		.roles = {
			{ LANE_PRODUCES, 3, { 16, 24, 16 }, .parts = true,
			  .tries = 1, .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .mortal = true },
		},
	},
	[LANE_IN_PLACE] = {
		.name = "messages written and read in place",
		.capacity = 64,
		.start = 32,
		.roles = {
			{ LANE_PRODUCES, 4, { 8, 24, 8, 24 }, .tries = 1,
			  .in_place = true, .mortal = true },
			{ LANE_CONSUMES, 5, .in_place = true, .mortal = true },
		},
	},
	[LANE_IN_PLACE_TWO_CONSUMERS] = {
		.name = "messages written in place, two consumers",
		.capacity = 64,
		.start = 32,
		.roles = {
			{ LANE_PRODUCES, 4, { 8, 24, 8, 24 }, .tries = 1,
			  .in_place = true, .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .mortal = true },
		},
	},
	[LANE_IN_PLACE_CONSUMER_HEIR] = {
		.name = "messages read in place, and again by an heir",
		.capacity = 64,
		.start = 48,
		.roles = {
			{ LANE_PRODUCES, 3, { 8, 24, 8 }, .tries = 1 },
			{ LANE_CONSUMES, 3, .in_place = true, .mortal = true },
			{ LANE_CONSUMES, 3, .in_place = true,
			  .heir_of = 1 + 1 },
		},
	},
	[LANE_IN_PLACE_SLEEP] = {
		.name = "a producer that sleeps for room to write in place",
		.capacity = 64,
		.start = 16,
		.roles = {
			{ LANE_PRODUCES, 4, { 24, 8, 24, 8 }, .in_place = true,
			  .sleeps = true },
			{ LANE_CONSUMES, 5, .in_place = true, .mortal = true },
		},
	},
	/* Pads in the middle of a batch, at its beginning, and by themselves. */
	[LANE_BATCH_ONE_CONSUMER] = {
		.name = "batches, one consumer",
		.capacity = 64,
		.start = 32,
		.roles = {
			{ LANE_PRODUCES, 4, { 8, 24, 8, 24 }, .batch = 2,
			  .tries = 1, .mortal = true },
			{ LANE_CONSUMES, 3, .batch = 2, .mortal = true },
		},
	},
	[LANE_BATCH_TWO_CONSUMERS] = {
		.name = "batches, two consumers",
		.capacity = 64,
		.roles = {
			{ LANE_PRODUCES, 4, { 8, 8, 8, 8 }, .batch = 4,
			  .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .batch = 2, .mortal = true },
			{ LANE_CONSUMES_SHARED, 1, .batch = 3, .mortal = true },
		},
	},
	[LANE_BATCH_TWO_CONSUMERS_WRAP] = {
		.name = "batches, two consumers in a lane that wraps",
		.capacity = 64,
		.start = 32,
		.roles = {
			{ LANE_PRODUCES, 4, { 8, 24, 8, 24 }, .batch = 3,
			  .tries = 1, .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .batch = 2, .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .batch = 2, .mortal = true },
		},
	},
	/* The buffer of one takes only the short ones, and one at a time. */
	[LANE_BATCH_LITTLE_ROOM] = {
		.name = "batches, one consumer with a small buffer",
		.capacity = 64,
		.roles = {
			{ LANE_PRODUCES, 4, { 8, 24, 8, 20 }, .batch = 2,
			  .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .batch = 2, .room = 8,
			  .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .batch = 2, .mortal = true },
		},
	},
	/* The last message comes to lie over all others. */
	[LANE_BATCH_OVERWRITTEN] = {
		.name = "batches, overwritten by a long message",
		.capacity = 64,
		.roles = {
			{ LANE_PRODUCES, 4, { 8, 8, 8, 40 }, .batch = 3,
			  .tries = 2, .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .batch = 1, .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .batch = 2, .mortal = true },
		},
	},
	[LANE_BATCH_AND_SINGLY] = {
		.name = "batches and single messages",
		.capacity = 64,
		.start = 48,
		.roles = {
			{ LANE_PRODUCES, 3, { 8, 8, 24 }, .batch = 3,
			  .tries = 1 },
			{ LANE_CONSUMES_SHARED, 2, .mortal = true },
			{ LANE_CONSUMES_SHARED, 1, .batch = 2, .mortal = true },
		},
	},
	[LANE_BATCH_CONSUMER_HEIR] = {
		.name = "batches, one consumer and its heir",
		.capacity = 64,
		.start = 48,
		.roles = {
			{ LANE_PRODUCES, 3, { 8, 24, 8 }, .batch = 2,
			  .tries = 1 },
			{ LANE_CONSUMES, 2, .batch = 2, .mortal = true },
			{ LANE_CONSUMES, 2, .batch = 3, .heir_of = 1 + 1 },
		},
	},
	/* Killed with a batch that is counted and not published. */
	[LANE_BATCH_PRODUCER_HEIR] = {
		.name = "batches, a producer's heir and one consumer",
		.capacity = 64,
		.start = 32,
		.roles = {
			{ LANE_PRODUCES, 3, { 8, 24, 8 }, .batch = 2,
			  .mortal = true },
			{ LANE_CONSUMES, 3, .batch = 2, .mortal = true },
			{ LANE_PRODUCES, 2, { 24, 8 }, .batch = 2,
			  .heir_of = 1 + 0, .mortal = true },
		},
	},
	[LANE_BATCH_SLEEP_ONE_CONSUMER] = {
		.name = "batches, a producer that sleeps, one consumer",
		.capacity = 64,
		.start = 16,
		.roles = {
			{ LANE_PRODUCES, 4, { 24, 8, 24, 8 }, .batch = 3,
			  .sleeps = true },
			{ LANE_CONSUMES, 4, .batch = 2, .mortal = true },
		},
	},
	[LANE_BATCH_SLEEP_TWO_CONSUMERS] = {
		.name = "batches, a producer that sleeps, two consumers",
		.capacity = 64,
		.start = 16,
		.roles = {
			{ LANE_PRODUCES, 4, { 24, 8, 24, 8 }, .batch = 2,
			  .sleeps = true },
			{ LANE_CONSUMES_SHARED, 2, .batch = 2, .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .mortal = true },
		},
	},
	[LANE_BATCH_LENGTH] = {
		.name = "batches, the length is asked for",
		.capacity = 64,
		.start = 32,
		.roles = {
			{ LANE_PRODUCES, 3, { 8, 24, 8 }, .batch = 3,
			  .tries = 1, .mortal = true },
			{ LANE_CONSUMES, 1, .batch = 2, .mortal = true },
			{ .part = LANE_COUNTS, .n = 2 },
		},
	},
	/* The third one comes to lie where the first one was. */
	[LANE_REFERENCES] = {
		.name = "references, two consumers",
		.capacity = 64,
		.roles = {
			{ LANE_PRODUCES, 3, { 16, 24, 16 }, .refers = true,
			  .tries = 1, .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .mortal = true },
		},
	},
	[LANE_REFERENCES_ONE_CONSUMER] = {
		.name = "references, one consumer",
		.capacity = 64,
		.start = 48,
		.roles = {
			{ LANE_PRODUCES, 3, { 16, 40, 16 }, .refers = true,
			  .tries = 2, .mortal = true },
			{ LANE_CONSUMES, 4, .mortal = true },
		},
	},
	[LANE_REFERENCES_CONSUMER_HEIR] = {
		.name = "references, one consumer and its heir",
		.capacity = 64,
		.roles = {
			{ LANE_PRODUCES, 3, { 16, 24, 16 }, .refers = true,
			  .tries = 1 },
			{ LANE_CONSUMES, 3, .mortal = true },
			{ LANE_CONSUMES, 3, .heir_of = 1 + 1 },
		},
	},
};
