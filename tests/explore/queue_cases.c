/* SPDX-License-Identifier: MIT */
/*
 * The cases. Who looks for sleepers finds those with lower numbers first.
 */
#include "queue_world.h"

const struct queue_case queue_cases[QUEUE_CASES] = {
	[QUEUE_ONE_EACH] = {
		.name = "one producer, one consumer",
		.single = true,
		.roles = {
			{ QUEUE_PUTS, 3, .mortal = true },
			{ QUEUE_GETS, 3, .mortal = true },
		},
	},
	[QUEUE_TWO_CONSUMERS] = {
		.name = "one producer, two consumers",
		.is_large = true,
		.roles = {
			{ QUEUE_PUTS, 2, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
			{ QUEUE_GETS, 2, .mortal = true },
		},
	},
	[QUEUE_TWO_PRODUCERS] = {
		.name = "two producers, one consumer",
		.is_large = true,
		.single = true,
		.roles = {
			{ QUEUE_PUTS, 1, .mortal = true },
			{ QUEUE_PUTS, 1, .mortal = true },
			{ QUEUE_GETS, 3, .mortal = true },
		},
	},
	/* One takes a message of the other's wake-up, and passes its own on. */
	[QUEUE_TWO_EACH] = {
		.name = "two producers, two consumers",
		.is_large = true,
		.roles = {
			{ QUEUE_PUTS, 1, .mortal = true },
			{ QUEUE_PUTS, 1, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
		},
	},
	[QUEUE_BATCH] = {
		.name = "a batch for two consumers",
		.is_large = true,
		.roles = {
			{ QUEUE_PUTS, 2, .batch = 2, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
		},
	},
	[QUEUE_BATCHES] = {
		.name = "batches on both sides",
		.is_large = true,
		.roles = {
			{ QUEUE_PUTS, 3, .batch = 2, .mortal = true },
			{ QUEUE_GETS, 2, .batch = 2, .mortal = true },
			{ QUEUE_GETS, 1, .batch = 2, .mortal = true },
		},
	},
	[QUEUE_NEW_LANE] = {
		.name = "a lane that is linked with the first put",
		.is_large = true,
		.roles = {
			{ QUEUE_PUTS, 1, .late = true, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
		},
	},
	/* Two messages fit. */
	[QUEUE_ROOM] = {
		.name = "a producer that waits for room",
		.capacity = 32,
		.single = true,
		.roles = {
			{ QUEUE_PUTS, 4, .mortal = true },
			{ QUEUE_GETS, 4, .mortal = true },
		},
	},
	/* Nobody looks again. */
	[QUEUE_ROOM_ONCE] = {
		.name = "a producer that waits for room, one get",
		.capacity = 16,
		.there = 1,
		.single = true,
		.roles = {
			{ QUEUE_PUTS, 1, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
		},
	},
	[QUEUE_ROOM_TWO_CONSUMERS] = {
		.name = "a producer that waits for room, two consumers",
		.is_large = true,
		.capacity = 32,
		.there = 1,
		.roles = {
			{ QUEUE_PUTS, 2, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
			{ QUEUE_GETS, 2, .mortal = true },
		},
	},
	[QUEUE_ROOM_TWO_PRODUCERS] = {
		.name = "two producers that wait for room",
		.is_large = true,
		.capacity = 16,
		.there = 1,
		.single = true,
		.roles = {
			{ QUEUE_PUTS, 1, .mortal = true },
			{ .part = QUEUE_PUTS, .n = 2 },
			{ QUEUE_GETS, 4, .mortal = true },
		},
	},
	/* The second one fits when the lane is empty and the pad is passed. */
	[QUEUE_PAD] = {
		.name = "padding that has to be passed",
		.capacity = 64,
		.start = 32,
		.single = true,
		.roles = {
			{ QUEUE_PUTS, 2, { 8, 56 }, .mortal = true },
			{ QUEUE_GETS, 2, .mortal = true },
		},
	},
	[QUEUE_PAD_TWO_CONSUMERS] = {
		.name = "padding that has to be passed, two consumers",
		.is_large = true,
		.capacity = 64,
		.start = 48,
		.roles = {
			{ QUEUE_PUTS, 1, { 56 }, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
		},
	},
	[QUEUE_DRAIN] = {
		.name = "a drain",
		.is_large = true,
		.single = true,
		.roles = {
			{ QUEUE_PUTS, 2, .mortal = true },
			{ QUEUE_GETS, 4, .mortal = true },
			{ QUEUE_SHUTS_DOWN, 1, .flags = MPROC_DRAIN,
			  .mortal = true },
		},
	},
	[QUEUE_DRAIN_TWO_CONSUMERS] = {
		.name = "a drain, two consumers",
		.is_large = true,
		.is_huge = true,
		.roles = {
			{ QUEUE_PUTS, 1, .mortal = true },
			{ .part = QUEUE_GETS, .n = 2 },
			{ .part = QUEUE_GETS, .n = 1 },
			{ QUEUE_SHUTS_DOWN, 1, .flags = MPROC_DRAIN },
		},
	},
	[QUEUE_DRAIN_TWO_PRODUCERS] = {
		.name = "a drain, two producers",
		.is_large = true,
		.single = true,
		.roles = {
			{ QUEUE_PUTS, 1, .mortal = true },
			{ QUEUE_PUTS, 1, .mortal = true },
			{ QUEUE_GETS, 3, .mortal = true },
			{ QUEUE_SHUTS_DOWN, 1, .flags = MPROC_DRAIN },
		},
	},
	[QUEUE_DRAIN_FULL] = {
		.name = "a drain while a producer waits for room",
		.is_large = true,
		.capacity = 16,
		.there = 1,
		.single = true,
		.roles = {
			{ QUEUE_PUTS, 1, .mortal = true },
			{ QUEUE_GETS, 3, .mortal = true },
			{ QUEUE_SHUTS_DOWN, 1, .flags = MPROC_DRAIN,
			  .mortal = true },
		},
	},
	[QUEUE_IMMEDIATE] = {
		.name = "an immediate shutdown",
		.is_large = true,
		.roles = {
			{ .part = QUEUE_PUTS, .n = 1 },
			{ QUEUE_GETS, 2, .mortal = true },
			{ .part = QUEUE_GETS, .n = 1 },
			{ QUEUE_SHUTS_DOWN, 1, .flags = MPROC_IMMEDIATE,
			  .mortal = true },
		},
	},
	[QUEUE_IMMEDIATE_FULL] = {
		.name = "an immediate shutdown while a producer waits for room",
		.is_large = true,
		.capacity = 16,
		.there = 1,
		.roles = {
			{ QUEUE_PUTS, 1, .mortal = true },
			{ QUEUE_SHUTS_DOWN, 1, .flags = MPROC_IMMEDIATE,
			  .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
		},
	},
	[QUEUE_INTERRUPT] = {
		.name = "two consumers, one is interrupted",
		.is_large = true,
		.roles = {
			{ .part = QUEUE_PUTS, .n = 2 },
			{ .part = QUEUE_GETS, .n = 1 },
			{ QUEUE_GETS, 2, .mortal = true },
			{ QUEUE_INTERRUPTS, 1, .victim = 1 },
		},
	},
	[QUEUE_TIMEOUT] = {
		.name = "two consumers, one has a deadline",
		.is_large = true,
		.roles = {
			{ QUEUE_PUTS, 2, .mortal = true },
			{ QUEUE_GETS, 1, .timed = true, .mortal = true },
			{ QUEUE_GETS, 2, .mortal = true },
		},
	},
	/* See queue_lose_races(). */
	[QUEUE_LOST_RACES] = {
		.name = "two consumers, one loses races",
		.is_large = true,
		.there = 2,
		.roles = {
			{ .part = QUEUE_PUTS, .n = 1 },
			{ .part = QUEUE_GETS, .n = 1 },
			{ .part = QUEUE_GETS, .n = 1 },
		},
	},
	[QUEUE_LOST_RACES_INTERRUPT] = {
		.name = "two consumers, one loses races and is interrupted",
		.is_large = true,
		.roles = {
			{ .part = QUEUE_PUTS, .n = 1 },
			{ .part = QUEUE_GETS, .n = 1 },
			{ .part = QUEUE_GETS, .n = 1 },
			{ QUEUE_INTERRUPTS, 1, .victim = 1 },
		},
	},
	/* One that nobody can wake is chosen. */
	[QUEUE_KILLED_ASLEEP] = {
		.name = "two consumers, one is killed in its sleep",
		.is_large = true,
		.roles = {
			{ .part = QUEUE_PUTS, .n = 2 },
			{ .part = QUEUE_GETS, .n = 1 },
			{ .part = QUEUE_GETS, .n = 2 },
			{ QUEUE_KILLS, 1, .victim = 1 },
		},
	},
	[QUEUE_KILLED_ASLEEP_FULL] = {
		.name = "a producer is killed while it waits for room",
		.is_large = true,
		.capacity = 16,
		.there = 1,
		.single = true,
		.roles = {
			{ .part = QUEUE_PUTS, .n = 1 },
			{ .part = QUEUE_GETS, .n = 3 },
			{ QUEUE_KILLS, 1, .victim = 0 },
			{ QUEUE_SHUTS_DOWN, 1, .flags = MPROC_DRAIN },
		},
	},
	[QUEUE_BLOCK_ONE_EACH] = {
		.name = "blocks, one producer, one consumer",
		.blocks = 2,
		.memory = 2,
		.single = true,
		.roles = {
			{ QUEUE_PUTS, 2, { 16, 16 }, .mortal = true },
			{ QUEUE_GETS, 2, .mortal = true },
		},
	},
	[QUEUE_BLOCK_TWO_CONSUMERS] = {
		.name = "blocks, one producer, two consumers",
		.is_large = true,
		.blocks = 2,
		.memory = 2,
		.roles = {
			{ QUEUE_PUTS, 2, { 16, 16 }, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
		},
	},
	[QUEUE_BLOCK_MIXED] = {
		.name = "blocks, long and short messages",
		.is_large = true,
		.blocks = 1,
		.memory = 1,
		.roles = {
			{ QUEUE_PUTS, 2, { 16, 8 }, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
		},
	},
	/* There is memory for one message. */
	[QUEUE_BLOCK_ROOM] = {
		.name = "blocks, a producer that waits for one",
		.is_large = true,
		.blocks = 2,
		.memory = 1,
		.single = true,
		.roles = {
			{ QUEUE_PUTS, 2, { 16, 16 }, .mortal = true },
			{ QUEUE_GETS, 2, .mortal = true },
		},
	},
	[QUEUE_BLOCK_ROOM_TWO_CONSUMERS] = {
		.name = "blocks, a producer that waits for one, two consumers",
		.is_large = true,
		.is_huge = true,
		.blocks = 2,
		.memory = 1,
		.roles = {
			{ QUEUE_PUTS, 2, { 16, 16 }, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
		},
	},
	[QUEUE_BLOCK_TWO_PRODUCERS] = {
		.name = "blocks, two producers that wait for one",
		.is_large = true,
		.blocks = 2,
		.memory = 1,
		.single = true,
		.roles = {
			{ QUEUE_PUTS, 1, { 16 }, .mortal = true },
			{ QUEUE_PUTS, 1, { 16 }, .mortal = true },
			{ QUEUE_GETS, 2, .mortal = true },
		},
	},
	/* What a dead one had is used again while others recover it. */
	[QUEUE_BLOCK_REUSED] = {
		.name = "blocks, one that is used again",
		.is_large = true,
		.blocks = 1,
		.memory = 1,
		.roles = {
			{ QUEUE_PUTS, 1, { 16 }, .mortal = true },
			{ QUEUE_PUTS, 1, { 16 }, .mortal = true },
			{ QUEUE_GETS, 2, .mortal = true },
		},
	},
	[QUEUE_BLOCK_ABORT] = {
		.name = "blocks, an abort that is waited for",
		.is_large = true,
		.blocks = 2,
		.memory = 1,
		.in_place = true,
		.single = true,
		.roles = {
			{ QUEUE_PUTS, 1, { 16 }, .aborts = true,
			  .mortal = true },
			{ QUEUE_PUTS, 1, { 16 }, .mortal = true },
			{ QUEUE_GETS, 2, .mortal = true },
		},
	},
	[QUEUE_BLOCK_IN_PLACE] = {
		.name = "blocks, written and read in place",
		.is_large = true,
		.blocks = 2,
		.memory = 1,
		.in_place = true,
		.single = true,
		.roles = {
			{ QUEUE_PUTS, 2, { 16, 16 }, .mortal = true },
			{ QUEUE_GETS, 2, .mortal = true },
		},
	},
	[QUEUE_BLOCK_IN_PLACE_TWO_CONSUMERS] = {
		.name = "blocks, written and read in place, two consumers",
		.is_large = true,
		.is_huge = true,
		.blocks = 2,
		.memory = 1,
		.in_place = true,
		.roles = {
			{ QUEUE_PUTS, 2, { 16, 16 }, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
		},
	},
	[QUEUE_BLOCK_DRAIN] = {
		.name = "blocks, a drain",
		.is_large = true,
		.blocks = 1,
		.memory = 1,
		.single = true,
		.roles = {
			{ QUEUE_PUTS, 1, { 16 }, .mortal = true },
			{ QUEUE_GETS, 2, .mortal = true },
			{ QUEUE_SHUTS_DOWN, 1, .flags = MPROC_DRAIN },
		},
	},
	/* A descriptor that nobody reacts to, beside one who sleeps. */
	[QUEUE_WATCHED] = {
		.name = "one consumer, watched",
		.is_large = true,
		.roles = {
			{ QUEUE_PUTS, 2, .mortal = true },
			{ QUEUE_WATCHES, 1, .mortal = true },
			{ QUEUE_GETS, 2, .mortal = true },
		},
	},
	/* Where a consumer takes what the watcher was chosen for, and no more. */
	[QUEUE_WATCHED_REST] = {
		.name = "one consumer that leaves something, watched",
		.is_large = true,
		.roles = {
			{ QUEUE_PUTS, 2, .mortal = true },
			{ QUEUE_WATCHES, 1, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
		},
	},
	[QUEUE_WATCHED_ALONE] = {
		.name = "no consumer, watched",
		.roles = {
			{ QUEUE_PUTS, 2, .mortal = true },
			{ QUEUE_WATCHES, 2, .timed = true, .mortal = true },
		},
	},
	[QUEUE_WATCHED_TWICE] = {
		.name = "one consumer, watched by two",
		.is_large = true,
		.roles = {
			{ .part = QUEUE_PUTS, .n = 1 },
			{ QUEUE_WATCHES, 1, .mortal = true },
			{ .part = QUEUE_WATCHES, .n = 1 },
			{ .part = QUEUE_GETS, .n = 1 },
		},
	},
	/* It may be chosen while it announces itself again. */
	[QUEUE_WATCHED_TWO_CONSUMERS] = {
		.name = "two consumers, watched",
		.is_large = true,
		.is_huge = true,
		.roles = {
			{ .part = QUEUE_PUTS, .n = 2 },
			{ QUEUE_WATCHES, 1, .timed = true },
			{ .part = QUEUE_GETS, .n = 1 },
			{ .part = QUEUE_GETS, .n = 1 },
		},
	},
	[QUEUE_WATCHED_DRAIN] = {
		.name = "a drain, watched",
		.is_large = true,
		.is_huge = true,
		.roles = {
			{ QUEUE_PUTS, 1, .mortal = true },
			{ QUEUE_WATCHES, 2, .mortal = true },
			{ .part = QUEUE_GETS, .n = 2 },
			{ QUEUE_SHUTS_DOWN, 1, .flags = MPROC_DRAIN,
			  .mortal = true },
		},
	},
	[QUEUE_WATCHED_KILLED] = {
		.name = "one consumer, its watcher is killed in its sleep",
		.is_large = true,
		.roles = {
			{ .part = QUEUE_PUTS, .n = 1 },
			{ .part = QUEUE_WATCHES, .n = 1 },
			{ .part = QUEUE_GETS, .n = 1 },
			{ QUEUE_KILLS, 1, .victim = 1 },
		},
	},
	[QUEUE_KEPT_DONE] = {
		.name = "kept, two consumers",
		.is_large = true,
		.keeps = true,
		.redeliveries = 1,
		.blocks = 1,
		.memory = 1,
		.roles = {
			{ QUEUE_PUTS, 1, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
		},
	},
	[QUEUE_KEPT_REQUEUED] = {
		.name = "kept, one consumer gives back",
		.is_large = true,
		.keeps = true,
		.redeliveries = 1,
		.blocks = 1,
		.memory = 1,
		.there = 1,
		.roles = {
			{ QUEUE_GETS, 1, .requeues = true, .lends_lane = true,
			  .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
		},
	},
	/* What a dead one had is used again while others recover it. */
	[QUEUE_KEPT_REUSED] = {
		.name = "kept, a block that is used again",
		.is_large = true,
		.keeps = true,
		.redeliveries = 1,
		.blocks = 1,
		.memory = 1,
		.there = 1,
		.roles = {
			{ .part = QUEUE_PUTS, .n = 1 },
			{ QUEUE_GETS, 1, .mortal = true },
			{ .part = QUEUE_GETS, .n = 2 },
		},
	},
	[QUEUE_KEPT_FULL] = {
		.name = "kept, a producer that waits for a block",
		.keeps = true,
		.redeliveries = 1,
		.single = true,
		.blocks = 1,
		.memory = 1,
		.there = 1,
		.roles = {
			{ QUEUE_PUTS, 1, .mortal = true },
			{ QUEUE_GETS, 2, .mortal = true },
		},
	},
	[QUEUE_KEPT_LETTER] = {
		.name = "kept, a dead letter",
		.is_large = true,
		.keeps = true,
		.blocks = 1,
		.memory = 1,
		.there = 1,
		.roles = {
			{ QUEUE_GETS, 1, .lends_lane = true, .mortal = true },
			{ QUEUE_READS_LETTERS, 1, .mortal = true },
			{ .part = QUEUE_GETS, .n = 1 },
		},
	},
	[QUEUE_KEPT_LETTER_TWO_READERS] = {
		.name = "kept, a dead letter, two readers",
		.is_large = true,
		.keeps = true,
		.blocks = 1,
		.memory = 1,
		.there = 1,
		.roles = {
			{ QUEUE_GETS, 1, .lends_lane = true, .mortal = true },
			{ .part = QUEUE_READS_LETTERS, .n = 1 },
			{ .part = QUEUE_READS_LETTERS, .n = 1 },
			{ QUEUE_KILLS, 1, .victim = 1 },
		},
	},
	[QUEUE_KEPT_TWO_DEATHS] = {
		.name = "kept, a dead letter after two deaths",
		.is_large = true,
		.keeps = true,
		.redeliveries = 1,
		.blocks = 1,
		.memory = 1,
		.there = 1,
		.roles = {
			{ QUEUE_GETS, 1, .lends_lane = true, .mortal = true },
			{ .part = QUEUE_GETS, .n = 1 },
			{ .part = QUEUE_READS_LETTERS, .n = 1 },
			{ QUEUE_KILLS, 1, .victim = 1 },
		},
	},
	[QUEUE_KEPT_JOIN] = {
		.name = "kept, a join",
		.keeps = true,
		.redeliveries = 1,
		.blocks = 1,
		.memory = 1,
		.there = 1,
		.roles = {
			{ QUEUE_GETS, 1, .lends_lane = true, .mortal = true },
			{ QUEUE_JOINS, 1, .mortal = true },
		},
	},
	[QUEUE_KEPT_JOIN_DEATH] = {
		.name = "kept, a join, two consumers",
		.is_large = true,
		.keeps = true,
		.redeliveries = 1,
		.blocks = 1,
		.memory = 1,
		.there = 1,
		.roles = {
			{ QUEUE_GETS, 1, .lends_lane = true, .mortal = true },
			{ QUEUE_JOINS, 1, .mortal = true },
			{ .part = QUEUE_GETS, .n = 1 },
		},
	},
	[QUEUE_KEPT_JOIN_LETTER] = {
		.name = "kept, a join, a dead letter",
		.is_large = true,
		.keeps = true,
		.blocks = 1,
		.memory = 1,
		.roles = {
			{ QUEUE_PUTS, 1, .mortal = true },
			{ QUEUE_JOINS, 1, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
		},
	},
	/* What it puts lies before what it is done with. */
	[QUEUE_KEPT_JOIN_WORKER] = {
		.name = "kept, a join, a worker that puts",
		.keeps = true,
		.redeliveries = 1,
		.single = true,
		.blocks = 2,
		.memory = 2,
		.there = 1,
		.roles = {
			{ QUEUE_GETS, 1, .passes_on = true, .mortal = true },
			{ QUEUE_JOINS, 1, .mortal = true },
		},
	},
	[QUEUE_KEPT_DRAIN] = {
		.name = "kept, a drain",
		.is_large = true,
		.keeps = true,
		.redeliveries = 1,
		.blocks = 1,
		.memory = 1,
		.there = 1,
		.roles = {
			{ QUEUE_GETS, 1, .lends_lane = true, .mortal = true },
			{ QUEUE_GETS, 2, .mortal = true },
			{ QUEUE_SHUTS_DOWN, 1, .flags = MPROC_DRAIN },
		},
	},
	[QUEUE_KEPT_DRAIN_REQUEUED] = {
		.name = "kept, a drain, one consumer gives back",
		.is_large = true,
		.keeps = true,
		.redeliveries = 1,
		.blocks = 1,
		.memory = 1,
		.there = 1,
		.roles = {
			{ QUEUE_GETS, 1, .requeues = true, .lends_lane = true,
			  .mortal = true },
			{ QUEUE_GETS, 2, .mortal = true },
			{ QUEUE_SHUTS_DOWN, 1, .flags = MPROC_DRAIN },
		},
	},
	[QUEUE_ORDERED_PUTS] = {
		.name = "one order, the first producer puts first",
		.is_large = true,
		.ordered = true,
		.single = true,
		.blocks = 2,
		.memory = 2,
		.roles = {
			{ QUEUE_PUTS, 1, .mortal = true },
			{ QUEUE_PUTS, 1, .after = 1, .mortal = true },
			{ QUEUE_GETS, 2, .mortal = true },
		},
	},
	[QUEUE_ORDERED_REVERSED] = {
		.name = "one order, the second producer puts first",
		.is_large = true,
		.ordered = true,
		.single = true,
		.blocks = 2,
		.memory = 2,
		.roles = {
			{ QUEUE_PUTS, 1, .after = 2, .mortal = true },
			{ QUEUE_PUTS, 1, .mortal = true },
			{ QUEUE_GETS, 2, .mortal = true },
		},
	},
	[QUEUE_ORDERED_TWO_CONSUMERS] = {
		.name = "one order, two consumers",
		.is_large = true,
		.is_huge = true,
		.ordered = true,
		.blocks = 2,
		.memory = 2,
		.roles = {
			{ QUEUE_PUTS, 1, .mortal = true },
			{ QUEUE_PUTS, 1, .after = 1, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
			{ QUEUE_GETS, 1, .mortal = true },
		},
	},
	[QUEUE_ORDERED_NEW_LANE] = {
		.name = "one order, a lane that is linked with the first put",
		.is_large = true,
		.ordered = true,
		.single = true,
		.blocks = 2,
		.memory = 2,
		.roles = {
			{ QUEUE_PUTS, 1, .after = 2, .mortal = true },
			{ QUEUE_PUTS, 1, .late = true, .mortal = true },
			{ QUEUE_GETS, 2, .mortal = true },
		},
	},
};
