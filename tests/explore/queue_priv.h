/* SPDX-License-Identifier: MIT */
/*
 * Between the two parts of a queue's scenarios: how the world is made
 * (queue_begin.c), and what happens in it (queue_world.c).
 */
#ifndef QUEUE_PRIV_H
#define QUEUE_PRIV_H

#include <assert.h>

#include "arena/participant.h"
#include "ipc/attachment.h"
#include "queue_world.h"

enum {
	/* Messages have numbers: those of a producer grow. */
	QUEUE_PER_FIBER = 8,
	QUEUE_IDS = EXPLORE_FIBERS * QUEUE_PER_FIBER,

	QUEUE_STOCK = 0, /* whose lane is not empty in the beginning */

	/* Four looks, and all attempts in each (queue_lane.c). */
	QUEUE_RACES = 4 * 2,

	QUEUE_MEMORY_MAX = 2,
	QUEUE_MEMORY_SIZE = 64,

	QUEUE_HELD_MAX = 4, /* messages at a time */
};

/* The arena, as far as it is used. */
struct queue_memory {
	_Alignas(4096) unsigned char low[MPR_HEAP_AT];
	struct mproc_queue q;
	struct mproc_queue letters; /* its dead ones, where somebody reads them */
	_Alignas(MPR_APART) unsigned char
		lanes[EXPLORE_FIBERS][sizeof(struct mpr_lane) + MPR_APART];
	_Alignas(4096) struct mpr_message_group group;
	_Alignas(8) unsigned char
		messages[QUEUE_MEMORY_MAX][QUEUE_MEMORY_SIZE];
};

static_assert(QUEUE_CAPACITY_MAX <= MPR_APART, "lanes do not overlap");

/* What became of a message that is kept until it is done. */
struct queue_kept {
	unsigned holder; /* the fiber that got it last, plus 1 */
	bool returning;	 /* its holder gives it back */
	bool finishing;	 /* its holder says that it is done */
	bool done;	 /* and has said so */
	bool read;	 /* as a dead letter */
	unsigned deaths; /* of those who certainly held it, without the last */
	unsigned there;	 /* how often it was found in the end */
};

/* What is nobody's memory, or one fiber's own. */
struct queue_world {
	const struct queue_case *now;
	unsigned fibers;
	size_t capacity;
	struct mpr_self selves[EXPLORE_FIBERS];
	struct mpr_attachment attachments[EXPLORE_FIBERS];
	struct mpr_attachment readers[EXPLORE_FIBERS]; /* of dead letters */
	struct mpr_taken held[EXPLORE_FIBERS][QUEUE_HELD_MAX];
	struct mpr_consumer consumers[EXPLORE_FIBERS][EXPLORE_FIBERS + 1];
	bool interrupted[EXPLORE_FIBERS];
	bool recovers[EXPLORE_FIBERS];
	bool out_of_time[EXPLORE_FIBERS]; /* a watcher has been once */
	bool has_forged[EXPLORE_FIBERS];
	uint32_t forged[EXPLORE_FIBERS];
	unsigned lost_races;
	struct mpr_message_group *groups[EXPLORE_FIBERS][1];
	unsigned char copies[EXPLORE_FIBERS][QUEUE_CAPACITY_MAX];

	/* Of each message. */
	bool known[QUEUE_IDS];	   /* somebody has tried to put it */
	bool committed[QUEUE_IDS]; /* put has said so */
	bool delivered[QUEUE_IDS];

	/* Of each taker, the last message of each producer; the last taker is
	 * the final look. */
	unsigned last[EXPLORE_FIBERS + 1][EXPLORE_FIBERS];
	bool found[QUEUE_MEMORY_MAX + 2]; /* blocks, in lanes, at the end */
	bool was_shut_down; /* a consumer was told so */

	/* Where messages are kept. */
	struct queue_kept kept[QUEUE_IDS];
	bool has_ended[EXPLORE_FIBERS]; /* what becomes of its first one */
	unsigned clears; /* moments at which all was done, or a dead letter */
	unsigned cleans; /* the same, and there was no dead letter */
};

extern struct queue_memory queue_memory;
extern struct queue_world world;

static inline bool
is_producer(unsigned fiber)
{
	return world.now->roles[fiber].n &&
	       (world.now->roles[fiber].part == QUEUE_PUTS ||
		world.now->roles[fiber].lends_lane ||
		world.now->roles[fiber].passes_on);
}

static inline bool
is_consumer(unsigned fiber)
{
	return world.now->roles[fiber].n &&
	       world.now->roles[fiber].part == QUEUE_GETS;
}

/* Whether it sleeps for messages, in its seat. */
static inline bool
has_seat(unsigned fiber)
{
	return is_consumer(fiber) ||
	       (world.now->roles[fiber].n &&
		world.now->roles[fiber].part == QUEUE_WATCHES);
}

/* Whether some fiber does that. */
static inline bool
has(enum queue_part part)
{
	for (unsigned f = 0; f < world.fibers; f++)
		if (world.now->roles[f].part == part)
			return true;
	return false;
}

/* How many messages it puts. */
static inline unsigned
puts_of(const struct queue_role *role)
{
	return role->part == QUEUE_PUTS ? role->n : role->passes_on;
}

static inline struct mpr_message_block *
queue_block(unsigned i)
{
	return &queue_memory.group.block[i];
}

bool queue_lanes_are_empty(void);

/* The number of the message whose memory the block has. */
unsigned queue_message_in(unsigned block);

/* What of the producer's messages is in its lane's history was put, also if it
 * was killed before it could say so. There are no pads. */
void queue_count_published(unsigned fiber);

/* queue_kept.c: messages that are kept until they are done. */

/* The fiber has got the message. */
void queue_kept_got(unsigned fiber, unsigned id);

/* Somebody is about to put, or has put, or is done with something. */
void queue_kept_note(void);

/* The fiber gives the message back, or is done with it. */
void queue_kept_end(unsigned fiber, unsigned id, bool requeues);

void queue_kept_join(const struct queue_role *role);
void queue_kept_read(const struct queue_role *role);

/* A consumer was told that nothing will come any more. */
void queue_kept_check_final(void);

/* At the end. Blocks with messages that a lane refers to were found. */
void queue_kept_check_sleeper(unsigned fiber);
void queue_kept_check(void);

/* Makes the world of a case. */
void queue_begin(const struct queue_case *c);

/* What belongs to a thread becomes that of @fiber. */
void queue_enter(unsigned fiber);

#endif
