/* SPDX-License-Identifier: MIT */
/*
 * Blocks: messages that do not lie in a lane, because they are too long for
 * it, or too long to be copied by each consumer that tries to be the first.
 *
 * A block has an owner word, and memory in the heap that it keeps for its next
 * message. What is in the lane is a reference, {block, epoch of its use}.
 *
 *   FREE --begin--> WRITTEN,me --(the reference is published)--> QUEUED
 *                   WRITTEN,me --cancel--> FREE
 *   QUEUED, or WRITTEN and published --take--> TAKEN,me --free--> FREE
 *   QUEUED, or WRITTEN and published --taken and read--> FREE
 *
 * Where messages are kept until they are done, a block stays TAKEN after its
 * message was read, and there is more:
 *
 *   TAKEN,me --given back, or its taker dead--> QUEUED, returned --> TAKEN
 *   TAKEN, its taker dead, once too often --> QUEUED, a dead letter --> TAKEN
 *
 * The message is in the queue when its reference is published, as any other:
 * that is one store of the lane's tail. So a block that is WRITTEN may be
 * queued or not, and who has the reference knows that it is. A consumer takes
 * the block by a CAS that names the epoch in the reference, and then passes the
 * reference; whoever finds a reference to an earlier use of its block passes
 * it. The single consumer has nobody to be faster than: it reads first, and
 * takes after that.
 *
 * Of a dead producer's WRITTEN block its lane knows whether it is queued, as
 * long as the lane is still the dead one's; so blocks are taken back before
 * lanes.
 *
 * Blocks lie in groups, linked into the queue's list. They and their memory are
 * freed with the queue, under the rules of lanes (queue_shm.h).
 */
#ifndef MPR_IPC_MESSAGE_BLOCK_H
#define MPR_IPC_MESSAGE_BLOCK_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena/participant.h"
#include "ipc/queue_shm.h"
#include "ring/lane.h"

enum mpr_message_block_state {
	MPR_MESSAGE_FREE = 0,
	MPR_MESSAGE_WRITTEN = 1,
	MPR_MESSAGE_QUEUED = 2,
	MPR_MESSAGE_TAKEN = 3,
};

/* Where a QUEUED message is, in its word's place for a slot. */
enum mpr_message_place {
	MPR_MESSAGE_IN_LANE = 0,
	MPR_MESSAGE_RETURNED = 1,
	MPR_MESSAGE_DEAD = 2,
};

#define MPR_KILLERS 4

struct mpr_message_block {
	alignas(64) _Atomic uint64_t state; /* owner word */
	_Atomic uint64_t memory; /* its offset, or 0 */
	_Atomic uint64_t len;	 /* of the message */
	/* How many takers died with it, and the last ones; see killers.h. */
	_Atomic uint64_t deaths;
	_Atomic uint64_t killer[MPR_KILLERS];
};

#define MPR_MESSAGE_GROUP 63

struct mpr_message_group {
	_Atomic uint64_t next; /* offset of the next one, or 0; set once */
	/* Bit i is set: somebody may wait for block i not to be in use. */
	_Atomic uint64_t watched;
	uint64_t pad0[6];
	struct mpr_message_block block[MPR_MESSAGE_GROUP];
};

static_assert(sizeof(struct mpr_message_block) == 64, "shared layout");
static_assert(sizeof(struct mpr_message_group) == 4096, "shared layout");

/* No list of groups is longer; that is for MPR_QUEUE_ITEMS_MAX messages. */
#define MPR_MESSAGE_GROUPS_MAX (1 << 18)

/* The groups that a thread knows of. */
struct mpr_message_blocks {
	struct mpr_message_group **groups;
	unsigned n;
	unsigned room;
	unsigned cursor; /* where it looks for a free block first */
	unsigned resume; /* and from where on, after the last one */
};

/* A block that is WRITTEN by its holder. */
struct mpr_written {
	struct mpr_message_block *block; /* NULL: none */
	uint64_t word;
	unsigned char *memory;
	size_t len; /* that was asked for */
};

/* A message in a block, found by a consumer. */
struct mpr_taken {
	struct mpr_message_block *block; /* NULL: none */
	uint64_t word; /* as it was found; then, TAKEN and the holder's */
	unsigned char *memory;
	size_t len;
};

/* Messages that were taken and are not done, the oldest first. */
struct mpr_held {
	struct mpr_taken *taken; /* a ring */
	unsigned first;
	unsigned n;
	unsigned room; /* a power of two, or 0 */
};

struct mpr_attachment;

/* Claims a block with memory for @len bytes, for the thread to write them.
 * Returns 0; -ENOSR if no block is free, or -EXFULL if there is no memory, as
 * long as nobody frees a block of this queue; -ENOMEM, -ENOSPC; -EBADMSG. */
int mpr_message_begin(struct mpr_attachment *at, size_t len,
		    struct mpr_written *ret);

/* What is to be put into the lane for it, as a message of @len bytes. */
struct mpr_reference mpr_message_reference(const struct mpr_attachment *at,
					 const struct mpr_written *w,
					 size_t len);

/* The reference is in the lane. */
void mpr_message_queued(struct mpr_written *w);

/* It will not be. */
void mpr_message_abandon(struct mpr_attachment *at, struct mpr_written *w);

/*
 * The message that the reference at head of @c stands for. Returns 0; -ENOENT
 * if someone has taken it, and the reference can be passed; -EAGAIN if the
 * reference is passed already; -EBADMSG.
 */
int mpr_message_find(const struct mpr_attachment *at, struct mpr_consumer *c,
		   struct mpr_taken *ret);

/* Takes it. Returns false if someone else was faster. */
bool mpr_message_take(const struct mpr_attachment *at, struct mpr_taken *t);

/* Whether it has not been freed since it was found or taken. */
bool mpr_message_is_there(const struct mpr_taken *t);

/* It has been read, or is done. Returns false if someone else was faster, or it
 * is not what it was. */
bool mpr_message_free(const struct mpr_attachment *at, struct mpr_taken *t);

/* TAKEN, and not done: others are to have it. Returns false if it is not what
 * it was. */
bool mpr_message_return(const struct mpr_attachment *at, struct mpr_taken *t);

/* The same, but it is at @place, and nobody is told. */
bool mpr_message_lay_back(struct mpr_taken *t, enum mpr_message_place place);

/* A message that has come back, or is a dead letter, for the caller to take.
 * Returns 0, -EAGAIN if there is none, -ENOMEM, -EBADMSG. */
int mpr_message_find_at(struct mpr_attachment *at,
			enum mpr_message_place place, struct mpr_taken *ret);

/*
 * The first block at or behind *@i that holds a message which is not done: in a
 * lane, come back, or TAKEN by another thread. Dead letters are counted.
 * Returns NULL if there is none, and *@i is its number otherwise.
 */
struct mpr_message_block *mpr_message_unfinished(struct mpr_attachment *at,
						 unsigned *i, unsigned *dead);

/* The next call of mpr_message_free() for the block with this number wakes
 * everybody, if it comes after this. */
void mpr_message_watch(struct mpr_attachment *at, unsigned i);

/* Whether somebody else waits for the end of what was taken, or has done so: it stays said. */
bool mpr_message_is_watched(const struct mpr_taken *t);

/*
 * Waiting for a block: announces that the producer waits since *@since, or from
 * now on if that is 0. The ticket comes before it; another attempt, and
 * mpr_park(), after it.
 */
void mpr_message_await(struct mpr_attachment *at, uint64_t *since);

/* The wait is over. Returns true if a block was offered to this producer: it
 * takes that one, or has another one offered. */
bool mpr_message_unawait(struct mpr_attachment *at, uint64_t since);

/* Offers a free block to the one who waits longest. */
void mpr_message_offer(const struct mpr_attachment *at);

/* How many blocks are QUEUED at @place, or TAKEN. */
unsigned mpr_message_count(struct mpr_attachment *at, unsigned state,
			   unsigned place);

/* Notes what ended @pid in all messages that it had in hands. */
void mpr_messages_told(struct mpr_attachment *at, uint32_t pid, int signal);

/* Gives back what the dead participant had in hands; it has a seat with this
 * word, and its lanes still. */
void mpr_messages_recover(mproc_arena *a, mproc_queue *q,
			  _Atomic uint64_t *seat, uint64_t seat_word);

/* Frees all groups and their memory. Returns false if they are corrupt. */
bool mpr_messages_free(mproc_arena *a, struct mpr_self *self, mproc_queue *q);

#endif
