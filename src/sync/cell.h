/* SPDX-License-Identifier: MIT */
/*
 * Cells: small objects that users create and destroy, of one kind in each list
 * of blocks. A cell is never anything else than an object of its kind, so a
 * stale pointer finds a word that says so, and not somebody else's bytes.
 *
 * Each such object, in a cell or embedded in memory of the user, begins with a
 * word of its own that is zero in the beginning, and a generation.
 *
 *   GONE --claim--> GONE,HELD by me --open--> 0 ... --destroy--> GONE
 *                                     HELD by X --end--> GONE,HELD by X --open--> GONE
 *
 * If the claimer dies, who looks for a free cell takes that one over.
 */
#ifndef MPR_SYNC_CELL_H
#define MPR_SYNC_CELL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena/arena.h"
#include "sync/holder.h"

#define MPR_CELL 64 /* bytes */
#define MPR_CELL_BLOCKS 56 /* the most for an object; see mpr_cell_blocks() */
#define MPR_CELL_MAGIC UINT64_C(0x6c6c65637270006d) /* and the kind: of a block */

/* What each object begins with. */
struct mpr_cell {
	_Atomic uint64_t word; /* sync/holder.h */
	_Atomic uint32_t generation; /* how often the cell was given out */
	/* The rest is zero in the beginning. */
	_Atomic uint32_t first;
};

static_assert(sizeof(struct mpr_cell) == 16, "shared layout");

/* An object of @kind that is all zero but for its generation, and which the
 * caller is to open. Returns 0 or a negative error. */
int mpr_cell_create(enum mpr_cell_kind kind, void **ret);

/* The same in @a, or in the default arena if that is NULL. */
int mpr_cell_create_in(mproc_arena *a, enum mpr_cell_kind kind, void **ret);

/* Where blocks can be linked (arena/heap.h) that stay with the cell, whatever
 * objects it becomes. 0 if there are none yet. */
_Atomic uint64_t *mpr_cell_blocks(void *object);

/* From now on it exists: its word becomes @word. Or it is free again, if that
 * is MPR_GONE. */
void mpr_cell_open(void *object, uint64_t word);

/* Calls @fn for all cells of @kind, those that are GONE among them. */
void mpr_cells_each(const mproc_arena *a, enum mpr_cell_kind kind,
		    void (*fn)(const mproc_arena *a, void *object, void *ctx),
		    void *ctx);

/* Whether mpr_cell_create() has returned it once. */
bool mpr_cell_is(enum mpr_cell_kind kind, const void *object);

/* Ends the object and wakes those who wait for it. Of its word the bits @keep
 * stay, without HELD, for those who have not noticed what was before. What no
 * mpr_cell_create() has returned is refused. */
void mpr_cell_destroy(enum mpr_cell_kind kind, void *object, uint64_t keep);

/* Ends an object of @kind whose word is @word, without HELD or GONE, and for which
 * nobody waits. The cell is the caller's then, GONE, as after mpr_cell_create(), and is
 * open to others after mpr_cell_open() with MPR_GONE; if the caller dies before that, to
 * who looks for a free one. Returns false if it is none that exists. */
bool mpr_cell_take(enum mpr_cell_kind kind, void *object, uint64_t word);

/* The same for an object whose word says who holds it, and for which others may
 * wait: they are woken. Of one that is held, by who lives and knows it, the cell is
 * its holder's then. Returns 1 if it is the caller's; 0 if it is its holder's;
 * -ESTALE if it is none that exists; or as mpr_self(). */
int mpr_cell_end(enum mpr_cell_kind kind, void *object);

/* Whether @word is that of an object which has ended, and of none that is being
 * made in its place: what was kept is there. */
static inline bool
mpr_cell_has_ended(uint64_t word)
{
	return (word & (MPR_GONE | MPR_HELD)) == MPR_GONE;
}

#endif
