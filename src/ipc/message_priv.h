/* SPDX-License-Identifier: MIT */
/*
 * What the parts of blocks share: message_block.c is one message's way,
 * message_groups.c all blocks of a queue, message_recover.c what the dead
 * leave. message_wait.c is who waits for a block.
 */
#ifndef MPR_IPC_MESSAGE_PRIV_H
#define MPR_IPC_MESSAGE_PRIV_H

#include "arena/heap.h"
#include "base/owner.h"
#include "ipc/message_block.h"

/* The words of a block. */

static inline uint64_t
mpr_message_freed(uint64_t word)
{
	return mpr_owner(mpr_owner_epoch(word), 0, MPR_MESSAGE_FREE);
}

static inline uint64_t
mpr_message_queued_at(uint64_t word, enum mpr_message_place place)
{
	return mpr_owner(mpr_owner_epoch(word), place, MPR_MESSAGE_QUEUED);
}

static inline bool
mpr_message_is_at(uint64_t word, enum mpr_message_place place)
{
	return mpr_owner_state(word) == MPR_MESSAGE_QUEUED &&
	       mpr_owner_slot(word) == (unsigned)place;
}

/* message_groups.c */

/* The group whose offset @link holds, or NULL at the end of the list. *@ret_bad
 * is set if what is there is none, or is another queue's. */
struct mpr_message_group *mpr_message_group_at(const mproc_arena *a,
					       const _Atomic uint64_t *link,
					       bool *ret_bad);

/* Looks for groups that were linked since. Returns 0, -ENOMEM, -EBADMSG. */
int mpr_message_find_groups(struct mpr_attachment *at);

/* Links a group of free blocks. Returns 0; -EAGAIN if there may be no more;
 * -ENOMEM, -ENOSPC, -EBADMSG. */
int mpr_message_add_group(struct mpr_attachment *at);

/* So many blocks are known, and may be used. */
unsigned mpr_message_blocks(const struct mpr_attachment *at);

struct mpr_message_block *mpr_message_block_at(const struct mpr_attachment *at,
					       unsigned i);

/* Whether somebody watches the block; then nobody does any more. */
bool mpr_message_unwatch(struct mpr_message_block *b);

/* The block's memory. Returns false if it has none, or what it has is none, or
 * somebody else's: that must not be written in, and not be freed. */
bool mpr_message_memory(const mproc_arena *a, const struct mpr_message_block *b,
			struct mpr_block_ref *ret);

/* Frees the memory of a block that is the caller's. Whoever dies in between
 * leaves it either in the block or to the heap. */
void mpr_message_drop_memory(mproc_arena *a, struct mpr_self *self,
			     struct mpr_message_block *b);

/* message_recover.c */

/* Whether the block, WRITTEN as @word says, is queued: its owner's lane
 * knows. */
bool mpr_message_is_published(mproc_arena *a, mproc_queue *q,
			      const struct mpr_message_block *b, uint64_t word);

#endif
