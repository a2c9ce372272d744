/* SPDX-License-Identifier: MIT */
/*
 * A queue in shared memory: a header, the seats of those who use it, and a
 * list of lanes, one for each producer.
 *
 * Headers are type-stable: memory that once was a queue's header stays one,
 * is linked into the arena's list for ever, and is used again for other
 * queues. A pointer to a queue that is gone can therefore be told from a
 * living one by the state word, whose epoch changes with each use.
 *
 *   FREE --create--> BUSY,me --> OPEN --destroy--> GONE
 *   GONE --nobody has a seat--> BUSY,me --lanes freed--> FREE
 *   BUSY and its owner dead --> GONE
 *
 * What holds in all states:
 *   Q1  Lanes are touched only by those who hold a seat, or recover one who
 *       died with a seat, or have the header BUSY with no seat taken.
 *   Q2  A lane is linked at the end of the list and leaves it only in BUSY.
 *   Q3  A lane's owner holds a seat, and gives back the lane first.
 *   Q4  A lane names its queue as long as it is linked.
 */
#ifndef MPR_IPC_QUEUE_SHM_H
#define MPR_IPC_QUEUE_SHM_H

#include <assert.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#include <mproc/queue.h>

#include "arena/arena.h"
#include "base/owner.h"
#include "ring/lane.h"
#include "sync/seats.h"

#define MPR_QUEUE_MAGIC UINT64_C(0x7165756575716d6c)

#define MPR_QUEUE_NAME 64 /* with its end */

#define MPR_QUEUE_CAPACITY_MIN 4096
#define MPR_QUEUE_CAPACITY_MAX (1024 * 1024 * 1024)
#define MPR_QUEUE_CAPACITY_DEFAULT (64 * 1024)

/* A frame that fills the largest lane; the longest pad is shorter than that. */
static_assert(MPR_QUEUE_CAPACITY_MAX - MPR_FRAME_HEADER <= MPR_FRAME_LEN_MAX,
	      "the length of a message fits its header");
static_assert(MPR_QUEUE_CAPACITY_MAX - MPR_FRAME_ALIGN <= MPR_FRAME_LEN_MAX,
	      "the length of a pad fits its header");

/* All that the groups of blocks can hold. */
#define MPR_QUEUE_ITEMS_MAX 16515072
#define MPR_QUEUE_REDELIVERIES_MAX 65000

enum mpr_queue_state {
	MPR_QUEUE_FREE = 0,
	MPR_QUEUE_BUSY = 1,
	MPR_QUEUE_OPEN = 2,
	MPR_QUEUE_GONE = 3,
};

enum mpr_queue_flag {
	MPR_QUEUE_SINGLE_CONSUMER = 1,
	/* A message that is taken stays its taker's until it is done. */
	MPR_QUEUE_KEEPS = 2,
	/* It holds what killed its takers, in its partner's blocks. */
	MPR_QUEUE_DEAD_LETTERS = 4,
	/* There is one order for the messages of all producers. */
	MPR_QUEUE_ORDERED = 8,
};

/* A message of more bytes than this is never in a lane if there are several
 * consumers: each of them copies it before it knows whether it is its own. */
#define MPR_QUEUE_COPY_MAX 4096

/* A message that lies elsewhere takes as much of the lane as it would
 * otherwise, up to this part of the capacity: so one producer has at most so
 * many of the longest ones queued. */
#define MPR_QUEUE_LONG_MAX 4

/* States of mproc_queue.role, the single consumer's owner word. */
enum mpr_role_state {
	MPR_ROLE_FREE = 0,
	MPR_ROLE_TAKEN = 1,
};

struct mproc_queue {
	/* Read by every call. */
	alignas(MPR_APART) uint64_t magic;
	_Atomic uint64_t state; /* owner word */
	_Atomic uint32_t closing; /* 0, MPROC_DRAIN or MPROC_IMMEDIATE */
	_Atomic uint32_t hint; /* a consumer may be asleep; sync/seats.h */
	/* Set by create, constant while OPEN. */
	_Atomic uint64_t capacity;
	_Atomic uint32_t flags;
	_Atomic uint32_t max_redeliveries;
	_Atomic uint64_t max_message;
	_Atomic uint64_t max_items; /* 0: as many as there is room for */
	/* Offset of the queue of dead letters; in that one, of the queue that
	 * they come from. */
	_Atomic uint64_t partner;
	char name[MPR_QUEUE_NAME];

	alignas(MPR_APART) _Atomic uint64_t next; /* of the arena's list */
	_Atomic uint64_t lanes;	/* offset of the first lane, or 0 */
	_Atomic uint64_t role;
	_Atomic uint64_t blocks; /* offset of the first group, or 0 */
	/* A producer may wait for a block to be free, or for memory. */
	_Atomic uint32_t wants_block;
	_Atomic uint32_t wants_memory;
	_Atomic uint64_t returned; /* how often messages may have come back */
	_Atomic uint64_t waits; /* how often somebody has begun to wait */
	/* Offset of the pipe that it is one direction of, or 0. */
	_Atomic uint64_t pipe;
	struct mpr_seats seats;

	/* How many messages had a place in the order. Producers write it with
	 * each put, if there is an order. */
	alignas(MPR_APART) _Atomic uint64_t stamps;
};

static_assert(sizeof(struct mproc_queue) == 384, "shared layout");
static_assert(offsetof(struct mproc_queue, name) == 64, "shared layout");
static_assert(offsetof(struct mproc_queue, next) == 128, "shared layout");
static_assert(offsetof(struct mproc_queue, seats) == 192, "shared layout");
static_assert(offsetof(struct mproc_queue, stamps) == 256, "shared layout");

/* How error texts call a queue: by its name, or by its address. For those who
 * hold a seat in it. */
struct mpr_queue_label {
	char text[MPR_QUEUE_NAME + 16];
};

struct mpr_queue_label mpr_queue_label(const mproc_queue *q);

/*
 * The lane of @q whose offset @link holds, or NULL at the end of the list.
 * *@ret_bad is set if the offset cannot be that of a lane, or is that of
 * another queue's.
 */
struct mpr_lane *mpr_queue_lane(const mproc_arena *a, const mproc_queue *q,
				const _Atomic uint64_t *link, size_t capacity,
				bool *ret_bad);

/* No list of lanes is longer: each has had an owner of its own once. */
#define MPR_LANES_MAX (4 * MPR_PARTICIPANTS_MAX)

/* A walk over all headers of the arena, whatever their state; start with all
 * zero. */
struct mpr_queue_walk {
	mproc_queue *last; /* what was found last */
	unsigned n;
};

#define MPR_QUEUES_MAX (1 << 20)

/* The next header, or NULL. */
mproc_queue *mpr_queue_next(const mproc_arena *a, struct mpr_queue_walk *walk);

/* Makes a queue that belongs to something else, which names it by the words @link, its
 * offset, and @open, its state, before it is there: who is killed in between leaves
 * names of nothing. Returns as mproc_queue_create(). */
int mpr_queue_create_at(mproc_arena *a, struct mpr_self *self,
			const struct mproc_queue_opts *o, _Atomic uint64_t *link,
			_Atomic uint64_t *open);

/* Shuts it down as MPROC_IMMEDIATE does, for who keeps what it belongs to, and so keeps it
 * there: takes no memory, as mproc_queue_shutdown() of who has no seat in it yet does.
 * Returns false if it is not there. */
bool mpr_queue_shut_at(const mproc_arena *a, const _Atomic uint64_t *link,
		       const _Atomic uint64_t *open);

/* Destroys it, if it is there, and forgets its name. Only for one caller at a time. */
void mpr_queue_destroy_at(const mproc_arena *a, _Atomic uint64_t *link,
			  const _Atomic uint64_t *open);

/* Makes a queue that is one direction of the pipe at @pipe, which @link, a word of
 * that, names as soon as it is there. Returns as mproc_queue_create(). */
int mpr_queue_create_for(mproc_arena *a, struct mpr_self *self, uint64_t pipe,
			 _Atomic uint64_t *link);

/* It is GONE, as its pipe is, whose @state is @word. Does nothing if that has
 * changed. */
void mpr_queue_end_for(mproc_arena *a, mproc_queue *q, uint64_t pipe,
		       const _Atomic uint64_t *state, uint64_t word);

/* The queue of @q's dead letters, or the one that they come from, or NULL. */
mproc_queue *mpr_queue_partner(const mproc_arena *a, mproc_queue *q);

/* The queue of @q's dead letters is GONE, if it is there, as @q is, whose state
 * is @word. Does nothing if that has changed. @self: as below. */
void mpr_queue_end_partner(mproc_arena *a, struct mpr_self *self, mproc_queue *q,
			   uint64_t word);

/* GONE to FREE, if nobody has a seat any more. @self: in whose name, who lets the
 * caller; or NULL, then someone else will do it, later. */
void mpr_queue_reap(mproc_arena *a, struct mpr_self *self, mproc_queue *q);

#endif
