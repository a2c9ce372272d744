/* SPDX-License-Identifier: MIT */
/*
 * The heap: blocks of shared memory of any size, each with an owner word of its
 * own.
 *
 *   FREE --reserve--> BUSY,me --commit--> LIVE --free--> FREE
 *                     BUSY,me <--take-- LIVE
 *                     BUSY,me --append--> LINKED --retire--> BUSY,me
 *                     BUSY,me --cancel--> FREE
 *
 * A block that goes to the user is LIVE when its pointer is returned. A block
 * that becomes part of an object is LINKED, and must be neither lost nor
 * linked twice when its owner is killed on the way: before the link is made,
 * the block notes its home, the word that will hold its offset. Whoever
 * recovers a BUSY block asks the home: if it names the block, the block is
 * LINKED, otherwise it is FREE. Linking and owning thus change in one
 * instruction, and so does unlinking, where a retired block names the home it
 * had. A home lies in the arena's header or in another linked block.
 *
 * A block can take the place of a LIVE one, which is then freed: BUSY it notes
 * which one, where others have their home. Whoever recovers it finds that one
 * LIVE, and lets this one be FREE; or not, and lets this one be LIVE.
 *
 * Blocks up to MPR_BLOCK_MAX come from slabs (arena/slab.h), larger ones are
 * runs of extents (arena/run.h). Nobody but this file needs to know which.
 *
 * Lazy blocks have no memory but what their owner asks for piece by piece, and
 * when they are freed it goes back to the kernel, as that of all runs does, but
 * for the first page of what was linked: that may be looked at by those who
 * have not noticed. If the owner dies in between, all of it stays until the
 * block's next use, or until somebody trims; of a slab's block, until that use is
 * over.
 */
#ifndef MPR_ARENA_HEAP_H
#define MPR_ARENA_HEAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena/arena.h"
#include "arena/block.h"
#include "arena/participant.h"
#include "arena/slab.h"

/* A zeroed LIVE block of any size, at a multiple of @align, a power of two up to
 * MPR_ALIGN_MAX. Returns 0, -ENOMEM, -ENOSPC. */
int mpr_heap_alloc(mproc_arena *a, size_t size, size_t align, void **ret_p);

#define MPR_ALIGN_MAX MPR_EXTENT_SIZE

/* The LIVE block that starts at @p. Returns false if there is none. */
bool mpr_heap_find_live(const mproc_arena *a, const void *p,
			struct mpr_block_ref *ret_ref);

/* LIVE to FREE. Returns 0, or -EINVAL if it is not LIVE any more. */
int mpr_block_free(mproc_arena *a, const struct mpr_block_ref *ref);

/* A BUSY block of at least @size bytes; zeroed. A thread has one BUSY block at
 * a time. Returns 0, -ENOMEM, -ENOSPC. */
int mpr_heap_reserve(mproc_arena *a, struct mpr_self *self, size_t size,
		     struct mpr_block_ref *ret_ref);

/* The same for who writes all that is read later: what it holds is
 * undefined. */
int mpr_heap_reserve_dirty(mproc_arena *a, struct mpr_self *self, size_t size,
			   struct mpr_block_ref *ret_ref);

/* A BUSY lazy block of at least @size bytes, the first @now of which have
 * memory. What they hold is undefined. Returns 0, -ENOMEM, -ENOSPC. */
int mpr_heap_reserve_lazy(mproc_arena *a, struct mpr_self *self, size_t size,
			  size_t now, struct mpr_block_ref *ret_ref);

/* Gives [@offset, @offset + @len) of a lazy block memory; what it holds where
 * there is some already stays. Not to be cancelled. Returns 0, -ENOMEM,
 * -ENOSPC. */
int mpr_heap_back(const mproc_arena *a, uint64_t offset, size_t len);

/* Names the word that is going to refer to a block: a BUSY one, or one of a list
 * that is taken apart by the caller alone. Or names any word of its object for its
 * home, for a LINKED one that only the caller may retire. */
void mpr_block_set_home(mproc_arena *a, const struct mpr_block_ref *ref,
			const _Atomic uint64_t *home);

/*
 * Links a BUSY block at the end of a list and makes it LINKED. @link is the
 * list's first word, or the link of any element; each element has the offset
 * of the next one at its byte @next_at, 0 at the end. Links are set once, so
 * the home stays true for as long as it may be asked. Returns 0, or -EBADMSG if
 * the list has more than @max further elements, or what is none of its own; the
 * block is FREE then.
 */
int mpr_block_append(mproc_arena *a, struct mpr_self *self,
		     const struct mpr_block_ref *ref, _Atomic uint64_t *link,
		     size_t next_at, unsigned max);

/* Links a BUSY block and makes it LINKED, if @link names none. Returns false if it
 * does; the block is BUSY still. */
bool mpr_block_try_link(mproc_arena *a, struct mpr_self *self,
			const struct mpr_block_ref *ref, _Atomic uint64_t *link);

/* BUSY to LIVE. The caller's user has asked for @asked bytes; @flags are more of
 * its birth. */
void mpr_block_commit(struct mpr_self *self, const struct mpr_block_ref *ref,
		      size_t asked, uint64_t flags);

/* BUSY to LIVE, and @from, which is LIVE, to FREE: one of them is there, whenever
 * we are killed. Returns false if @from is not LIVE any more; then @to is FREE. */
bool mpr_block_replace(mproc_arena *a, struct mpr_self *self,
		       const struct mpr_block_ref *from,
		       const struct mpr_block_ref *to, size_t asked);

/* The user of a LIVE block has asked for another size; of the old one he knows
 * @used bytes, and the next ones become zero. */
void mpr_block_set_asked(mproc_arena *a, const struct mpr_block_ref *ref,
			 size_t used, size_t asked);

/* The birth of a block that is LIVE, was taken, or was freed, and who asked for
 * it; 0 if nobody knows. */
uint64_t mpr_block_birth(const mproc_arena *a, const struct mpr_block_ref *ref);
uint64_t mpr_block_who(const mproc_arena *a, const struct mpr_block_ref *ref);

/* A LIVE block's birth, and who it is; 0 of what nobody knows. Returns false if
 * it is not LIVE. */
bool mpr_block_born(const mproc_arena *a, const struct mpr_block_ref *ref,
		    uint64_t *ret_birth, uint64_t *ret_who);

/*
 * For objects whose changers keep each other out, and where who takes over from a
 * dead one has recovered from its death first: links a BUSY block in the middle of
 * a list, where @link says what its own link says already; and takes a block out
 * that @link refers to, which says @next then, and frees it. The latter returns
 * false if it is not LINKED.
 */
void mpr_block_link(mproc_arena *a, struct mpr_self *self,
		    const struct mpr_block_ref *ref, _Atomic uint64_t *link);
bool mpr_block_unlink(mproc_arena *a, struct mpr_self *self,
		      const struct mpr_block_ref *ref, _Atomic uint64_t *link,
		      uint64_t next);

/* BUSY to FREE. It has no home any more. */
void mpr_block_cancel(struct mpr_self *self,
		      const struct mpr_block_ref *ref);

/* LINKED to BUSY, for a block that @home refers to. Returns false if it is not
 * LINKED. */
bool mpr_block_retire(mproc_arena *a, struct mpr_self *self,
		      const struct mpr_block_ref *ref,
		      const _Atomic uint64_t *home);

/* LIVE to BUSY, for who has to put something in order before the block is
 * cancelled. Returns false if it is not LIVE any more. If the caller dies, the
 * block is FREE. */
bool mpr_block_take(mproc_arena *a, struct mpr_self *self,
		    const struct mpr_block_ref *ref);

/* The block that starts at @offset. Returns false if there is none. */
bool mpr_heap_find(const mproc_arena *a, uint64_t offset,
		   struct mpr_block_ref *ret_ref);

/* The block that is part of an object and has @home for its home. Returns false
 * if what @home names is none, or is linked elsewhere. */
bool mpr_heap_find_at(const mproc_arena *a, const _Atomic uint64_t *home,
		      struct mpr_block_ref *ret_ref);

/* The same, for who has read @home: it named @offset. */
bool mpr_heap_find_of(const mproc_arena *a, uint64_t offset,
		      const _Atomic uint64_t *home,
		      struct mpr_block_ref *ret_ref);

/* The first LIVE block of the user's behind @offset, or any if that is 0. */
bool mpr_heap_next_live(const mproc_arena *a, uint64_t offset,
			struct mpr_block_ref *ret_ref);

/* The block in which @offset lies, and its state; may be FREE if it is of a slab.
 * Returns false if there is none. */
bool mpr_heap_find_around(const mproc_arena *a, uint64_t offset,
			  struct mpr_block_ref *ret_ref, unsigned *ret_state);

/* The block that starts at @offset and is part of an object, whichever. That it is
 * BUSY may only mean that it was linked just now. Returns false if there is none. */
bool mpr_heap_find_linked(const mproc_arena *a, uint64_t offset,
			  struct mpr_block_ref *ret_ref);

/* Whether there is one of at least @size bytes. */
bool mpr_heap_is_linked(const mproc_arena *a, uint64_t offset, size_t size);

/* The calling thread has freed a block of a slab. Now and then it gives the kernel
 * back what is of no use. */
void mpr_heap_freed(mproc_arena *a, const struct mpr_block_ref *ref);

/* Frees what mproc_free() is called for, if that is easy; see arena/slab.h. */
bool mpr_heap_free_at_once(const void *p);

/* Gives back all there is, if the calling thread takes part in @a. */
void mpr_heap_trim(mproc_arena *a);

/* Gives back the memory of empty slabs, of each class but the first, among the next @n
 * extents; behind the last it goes on with the first. */
void mpr_heap_trim_next(mproc_arena *a, struct mpr_self *self, uint32_t n);

/* Decides the fate of what the dead @slot had BUSY. */
void mpr_heap_recover(mproc_arena *a, unsigned slot, uint64_t ident);

/* Blocks that are not FREE, and their bytes. */
void mpr_heap_count(mproc_arena *a, uint64_t *ret_blocks, uint64_t *ret_bytes);

#endif
