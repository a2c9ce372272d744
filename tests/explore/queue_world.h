/* SPDX-License-Identifier: MIT */
/*
 * Scenarios of a queue: threads of different processes that put, get, sleep
 * and wake, shut the queue down, and die, each a fiber. They run the sources
 * of src/ipc, sync/seats.c, sync/park.c, arena/recover.c and of the lanes as
 * they are; what lies beside is in queue_fakes.c, what lies below in
 * explore_fakes.c.
 *
 * What is shared here are the words of the protocol around the lanes, and those
 * of blocks. A lane's frames are not: test_lane.c is about them.
 *
 * What must hold in the end of every schedule, with any of the mortal killed
 * anywhere:
 *
 * - nobody sleeps who could go on: no consumer or watcher while there is
 *   something in a lane, no producer while there is the room that it wants, or a
 *   free block and memory for it, nobody after a shutdown;
 * - no message came twice, unknown, or before one that its producer had put
 *   earlier;
 * - what was put has been taken or is there, but for one message for each
 *   consumer that was killed;
 * - each block is free, or in a lane once, or a dead one's whom nobody has
 *   noticed;
 * - after a drain, "shut down" was said only when all was taken, and nothing
 *   came after it;
 * - with one order, no message was taken while one was in the queue that had
 *   been put before its own put began.
 *
 * And where messages are kept until they are done:
 *
 * - each that was put is done, or is there once: in a lane, come back, a dead
 *   letter, or in a dead one's hands whom nobody has noticed;
 * - nobody got one that another living one had;
 * - a message's deaths are those of its holders, and it is a dead letter if
 *   they are too many, and only then;
 * - who joins is told what was true at some moment since, and sleeps only
 *   while something is not done; the others as above.
 */
#ifndef QUEUE_WORLD_H
#define QUEUE_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mproc/arena.h>
#include <mproc/queue.h>

#include "explore_fakes.h"

struct mpr_lane;

enum {
	QUEUE_CAPACITY_MAX = 128,
	QUEUE_PUTS_MAX = 4,
	QUEUE_LONG = 16, /* so long a message lies in a block, if there are any */
};

/* The shared words, for mutants. */
enum queue_word {
	QUEUE_FENCE, /* what has no word */
	QUEUE_CLOSING,
	QUEUE_HINT,
	QUEUE_SEAT,
	QUEUE_LINK,
	QUEUE_OWNER,
	QUEUE_TAIL,
	QUEUE_HEAD,
	QUEUE_WANT,
	QUEUE_BUSY,
	QUEUE_EVENT,
	QUEUE_IDENT,
	QUEUE_BLOCK,
	QUEUE_MEMORY,
	QUEUE_LENGTH,
	QUEUE_WANTS_BLOCK,
	QUEUE_WANTS_MEMORY,
	QUEUE_WAITS,
	QUEUE_AWAITS,
	QUEUE_NOTE, /* a lane's last reference */
	QUEUE_BYTES, /* of a message in a block */
	QUEUE_DEATHS,
	QUEUE_RETURNED,
	QUEUE_WATCHED_BLOCKS,
	QUEUE_STAMPS,
	QUEUE_TOLD, /* a watcher's */
};

enum queue_part {
	QUEUE_PUTS,
	QUEUE_GETS,
	QUEUE_SHUTS_DOWN,
	QUEUE_INTERRUPTS,
	QUEUE_KILLS,
	QUEUE_WATCHES,
	QUEUE_JOINS,
	QUEUE_READS_LETTERS,
};

/*
 * @part:   what the fiber does
 * @n:      how many messages it puts, how often it gets one, how many dead
 *          letters it reads, or how often it watches until there is one; 1 for
 *          others
 * @len:    of the messages that it puts; 0 means 8
 * @batch:  puts or gets so many together
 * @aborts: reserves each message twice, and aborts the first
 * @late:   its lane is linked with its first put only
 * @flags:  of the shutdown
 * @victim: the fiber that it interrupts or kills, asleep or not
 * @timed:  its sleep may end at its deadline, a watcher's once
 * @looks:  so may each short one of those in which it waits for room, for messages of 8
 * @mortal: may be killed at its accesses
 * @after:  puts when this fiber, plus 1, has ended or is dead
 *
 * Where messages are kept:
 *
 * @requeues:   gives the first message back that it gets, and does the others
 * @lends_lane: gets only; what is there to begin with lies in its lane
 * @passes_on:  puts a message before it is done with the first that it got
 */
struct queue_role {
	enum queue_part part;
	unsigned n;
	uint8_t len[QUEUE_PUTS_MAX];
	uint8_t batch;
	bool aborts;
	bool late;
	uint8_t flags;
	uint8_t victim;
	bool timed;
	bool looks;
	bool mortal;
	uint8_t after;
	bool requeues;
	bool lends_lane;
	bool passes_on;
};

/*
 * @capacity: of each lane; 0 means that nobody has to wait for room
 * @start:    where heads and tails are in the beginning
 * @single:   there is one consumer, and it says so
 * @there:    so many messages are in the first lane to begin with; if they lie
 *            in blocks, in the last ones
 * @blocks:   so many blocks are shared; 0 means that all lies in lanes
 * @memory:   so many messages in blocks have memory
 * @in_place: messages are written and read where they lie
 * @keeps:    messages are kept until they are done, and there may be as many as
 *            blocks are shared
 * @redeliveries: then, as in the queue's options
 * @ordered:  there is one order for all
 * @is_large: has so many schedules that one preemption less must do
 * @is_huge:  and one less again
 * @roles:    up to the first without .n
 */
struct queue_case {
	const char *name;
	bool is_large;
	bool is_huge;
	size_t capacity;
	uint64_t start;
	bool single;
	unsigned there;
	unsigned blocks;
	unsigned memory;
	bool in_place;
	bool keeps;
	unsigned redeliveries;
	bool ordered;
	struct queue_role roles[EXPLORE_FIBERS];
};

/* queue_world.c */

/* The scenario of a case. Valid until the next call. */
const struct explore_scenario *queue_scenario(const struct queue_case *c);

/* Whether the fiber gives back what a dead one held. */
bool queue_is_recovering(unsigned fiber);

/* What the fiber does. */
enum queue_part queue_part_of(unsigned fiber);

/* For mutants: the fiber's next sleep takes its wake-ups up to now for
 * counted. */
void queue_forge_ticket(unsigned fiber);

/* For mutants: the word of the block that the consumer's lane refers to, at its
 * head, and the epoch in the reference. */
uint64_t queue_block_at_head(unsigned fiber, uint64_t *ret_use);

/*
 * No mutant, but what befalls the first consumer in the cases of lost races: it
 * loses its first ones, as where many others are faster, and more of them than
 * it enters between its call and its sleep.
 */
void queue_lose_races(struct explore_access *a);

/* For queue_fakes.c. */

struct mpr_lane *queue_lane(unsigned fiber);
void queue_recovers(unsigned fiber, bool recovers);
bool queue_is_memory(uint64_t offset, unsigned *ret_i);
uint64_t queue_memory_at(unsigned i);

/* queue_fakes.c: before each schedule. */
void queue_fakes_begin(unsigned memory);

/* queue_fakes.c: memory for blocks that nobody has. */
bool queue_has_memory(void);

/* queue_cases.c */

enum queue_case_name {
	QUEUE_ONE_EACH,
	QUEUE_TWO_CONSUMERS,
	QUEUE_TWO_PRODUCERS,
	QUEUE_TWO_EACH,
	QUEUE_BATCH,
	QUEUE_BATCHES,
	QUEUE_NEW_LANE,
	QUEUE_ROOM,
	QUEUE_ROOM_ONCE,
	QUEUE_ROOM_IN_PLACE,
	QUEUE_ROOM_TWO_CONSUMERS,
	QUEUE_ROOM_TWO_PRODUCERS,
	QUEUE_ROOM_LOOKS,
	QUEUE_ROOM_LOOKS_TWO_CONSUMERS,
	QUEUE_PAD,
	QUEUE_PAD_TWO_CONSUMERS,
	QUEUE_DRAIN,
	QUEUE_DRAIN_TWO_CONSUMERS,
	QUEUE_DRAIN_TWO_PRODUCERS,
	QUEUE_DRAIN_FULL,
	QUEUE_IMMEDIATE,
	QUEUE_IMMEDIATE_FULL,
	QUEUE_INTERRUPT,
	QUEUE_TIMEOUT,
	QUEUE_LOST_RACES,
	QUEUE_LOST_RACES_INTERRUPT,
	QUEUE_KILLED_ASLEEP,
	QUEUE_KILLED_ASLEEP_FULL,
	QUEUE_BLOCK_ONE_EACH,
	QUEUE_BLOCK_TWO_CONSUMERS,
	QUEUE_BLOCK_MIXED,
	QUEUE_BLOCK_MIXED_BATCHES,
	QUEUE_BLOCK_ROOM,
	QUEUE_BLOCK_ROOM_TWO_CONSUMERS,
	QUEUE_BLOCK_TWO_PRODUCERS,
	QUEUE_BLOCK_REUSED,
	QUEUE_BLOCK_ABORT,
	QUEUE_BLOCK_IN_PLACE,
	QUEUE_BLOCK_IN_PLACE_TWO_CONSUMERS,
	QUEUE_BLOCK_DRAIN,
	QUEUE_WATCHED,
	QUEUE_WATCHED_REST,
	QUEUE_WATCHED_ALONE,
	QUEUE_WATCHED_TWICE,
	QUEUE_WATCHED_TWO_CONSUMERS,
	QUEUE_WATCHED_DRAIN,
	QUEUE_WATCHED_KILLED,
	QUEUE_KEPT_DONE,
	QUEUE_KEPT_REQUEUED,
	QUEUE_KEPT_REUSED,
	QUEUE_KEPT_FULL,
	QUEUE_KEPT_FULL_TWO_PRODUCERS,
	QUEUE_KEPT_FULL_TWO_BLOCKS,
	QUEUE_KEPT_LETTER,
	QUEUE_KEPT_LETTER_TWO_READERS,
	QUEUE_KEPT_TWO_DEATHS,
	QUEUE_KEPT_JOIN,
	QUEUE_KEPT_JOIN_DEATH,
	QUEUE_KEPT_JOIN_LETTER,
	QUEUE_KEPT_JOIN_WORKER,
	QUEUE_KEPT_DRAIN,
	QUEUE_KEPT_DRAIN_REQUEUED,
	QUEUE_ORDERED_PUTS,
	QUEUE_ORDERED_REVERSED,
	QUEUE_ORDERED_TWO_CONSUMERS,
	QUEUE_ORDERED_NEW_LANE,
	QUEUE_CASES
};

extern const struct queue_case queue_cases[QUEUE_CASES];

#endif
