/* SPDX-License-Identifier: MIT */
/*
 * What a list is in shared memory: a cell (sync/cell.h), which is a lock; a root
 * block, which stays with the cell, whatever list it becomes; and an array of slots
 * (containers/slot.h), a block that grows by being replaced.
 *
 * Who does anything with it holds the lock. It may die at any instruction; then
 * the next one, which the lock tells so, settles what it was about. For that the
 * root says what is being done, and each change has one store with which it has
 * happened:
 *
 *   FILL    slots [len, upto) may hold values that do not belong to the list:
 *           not yet, or not any more. Storing len decides; the others are dropped.
 *   SET     slot [index] becomes new, old goes into the hand
 *   INSERT  slots [index, upto) move up by one, new goes to index
 *   REMOVE  slots behind index move down by one, old goes into the hand
 *   REPLACE the array index is current from now on, and len is gap; what lies there
 *           behind that, up to upto, is dropped
 *
 * Of the last four it is the store of the name itself, and all that comes after it
 * can be done again from the start: slots move one by one, from the gap, the gap
 * moves after each. The hand is a slot for one value that does not belong to the
 * list: not yet, or not any more. Whatever lies in it when nothing is being done is
 * dropped.
 *
 * There are two links for the array: the new one is linked at the one that is not
 * current, then that is current, then the old one is dropped. So the array grows, is
 * put in another order, and has several values replaced: those that are new are put
 * behind the end first, as by FILL, and lie in their place in the other array, behind
 * the end of which those lie that go.
 *
 * Who only reads a value need not have the list (containers/list_read.c). version is
 * odd while slots that belong to the list change by more than one store, and another
 * one before memory that belonged to it is freed.
 */
#ifndef MPR_CONTAINERS_LIST_H
#define MPR_CONTAINERS_LIST_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mproc/list.h>

#include "arena/participant.h"
#include "containers/slot.h"
#include "sync/cell.h"
#include "sync/lock.h"

enum mpr_list_doing {
	MPR_LIST_NOTHING = 0,
	MPR_LIST_FILL = 1,
	MPR_LIST_SET = 2,
	MPR_LIST_INSERT = 3,
	MPR_LIST_REMOVE = 4,
	MPR_LIST_REPLACE = 5,
};

/* And the offset of the list. */
#define MPR_LIST_MARK UINT64_C(0x7473696c00000000)

struct mproc_list {
	struct mpr_lock lock;
	uint64_t pad[3];
	_Atomic uint64_t root; /* mpr_cell_blocks() */
};

static_assert(sizeof(struct mproc_list) == MPR_CELL, "shared layout");
static_assert(offsetof(struct mproc_list, root) == MPR_CELL_BLOCKS,
	      "shared layout");

struct mpr_list_root {
	_Atomic uint64_t mark;
	_Atomic uint64_t version;
	_Atomic uint64_t len;
	_Atomic uint64_t current; /* 0 or 1 */
	_Atomic uint64_t arrays[2];
	struct mpr_slot hand;
	/* What is being done, an enum mpr_list_doing, and with what. */
	_Atomic uint64_t doing;
	_Atomic uint64_t index;
	_Atomic uint64_t upto;
	_Atomic uint64_t gap;
	struct mpr_slot old_value;
	struct mpr_slot new_value;
};

static_assert(sizeof(struct mpr_list_root) == 128, "shared layout");

/* A list that the calling thread has for itself. What is in it was checked. */
struct mpr_list_use {
	mproc_list *list;
	mproc_arena *arena;
	struct mpr_self *self;
	struct mpr_list_root *root;
	struct mpr_slot *slots; /* NULL if there are none */
	bool may_vanish; /* their memory may go back to the kernel */
	uint64_t capacity;
	uint64_t len;
};

/* What the blocks of its values have for their home (containers/slot.h). */
static inline const _Atomic uint64_t *
mpr_list_owner(const struct mpr_list_use *u)
{
	return &u->root->mark;
}

/* Release: who comes next, if we die, finds it with all that was stored
 * before. */
static inline void
mpr_list_put(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

/* Odd from now on, even if somebody has written there. */
static inline void
mpr_list_begin_version(struct mpr_list_root *root)
{
	mpr_list_put(&root->version,
		     atomic_load_explicit(&root->version,
					  memory_order_relaxed) | 1);
}

/* Acquire: who looks without having it knows nothing of what comes after that
 * before this. */
static inline uint64_t
mpr_list_peek(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

/* What can be known of it without having it. Returns 0 or a negative error, with the
 * text; MPR_REMOTE (containers/remote.h) if another process has it. */
int mpr_list_look_up(mproc_list *list, struct mpr_list_use *u);

/* Takes it. Returns 0 or a negative error, with the text, or MPR_REMOTE. */
int mpr_list_enter(mproc_list *list, struct mpr_list_use *u);

/* Gives it back. Returns @r. */
int mpr_list_leave(const struct mpr_list_use *u, int r);

/* Where in the list @index is; below 0 from the end. Returns false if it is
 * nowhere. */
bool mpr_list_has(const struct mpr_list_use *u, int64_t index, uint64_t *ret);

/* Returns -ERANGE. */
int mpr_list_no_index(const struct mpr_list_use *u, int64_t index);

/* Both together. */
int mpr_list_find(const struct mpr_list_use *u, int64_t index, uint64_t *ret);

/* Where a range begins or ends: what lies beyond an end of the list is that end. */
static inline uint64_t
mpr_list_clamp(uint64_t len, int64_t index)
{
	if (index < 0)
		return (uint64_t)-(index + 1) < len ? len + (uint64_t)index : 0;
	return (uint64_t)index < len ? (uint64_t)index : len;
}

/* The array and the length, from the root. Returns false if they are not sound.
 * By who does not have the list: at that moment. */
bool mpr_list_look(struct mpr_list_use *u);

/* The same; 0 or -EBADMSG. */
int mpr_list_map(struct mpr_list_use *u);

/* Returns -EBADMSG. */
int mpr_list_corrupt(const struct mpr_list_use *u);

/* Has room for @n values. Returns 0; -ENOMEM, -ENOSPC. */
int mpr_list_make_room(struct mpr_list_use *u, uint64_t n);

/* Adds @n values that were checked at the end. Returns 0; -ENOMEM, -ENOSPC. */
int mpr_list_fill(struct mpr_list_use *u, const struct mproc_any *values,
		  size_t n);

/* Puts @n values that were checked in the place of those from @from up to @to. Returns
 * 0; -ENOMEM, -ENOSPC; -EBADMSG. */
int mpr_list_splice(struct mpr_list_use *u, uint64_t from, uint64_t to,
		    const struct mproc_any *values, size_t n);

/* The other array for that, if the new values lie behind the end of this one. Returns
 * 0; -ENOMEM, -ENOSPC. */
int mpr_list_link_spliced(struct mpr_list_use *u, uint64_t from, uint64_t to,
			  uint64_t n);

/* Frees the array that is not current, if there is one. */
void mpr_list_drop_other(const struct mpr_list_use *u);

/* The list has @len values from now on, not more than it had. Returns 0 or
 * -EBADMSG. */
int mpr_list_cut(struct mpr_list_use *u, uint64_t len);

/* Puts a value that was checked in the place of that at @at. Returns 0; -ENOMEM,
 * -ENOSPC; -EBADMSG. */
int mpr_list_set_at(struct mpr_list_use *u, uint64_t at,
		    const struct mproc_any *value);

/* Takes out the value at @at and frees it. Returns 0 or -EBADMSG. */
int mpr_list_remove(struct mpr_list_use *u, uint64_t at);

/* The value at @order[i] comes to i, for each. Returns 0; -ENOMEM, -ENOSPC. */
int mpr_list_reorder(struct mpr_list_use *u, const uint64_t *order);

/* Gives memory back if the list has far more than it needs, and there is some for
 * a smaller array. */
void mpr_list_trim(struct mpr_list_use *u);

/* Whatever was begun and has happened is done to the end; the rest is taken back.
 * Returns 0 or -EBADMSG. */
int mpr_list_settle(struct mpr_list_use *u);

/* The same after somebody's death. */
int mpr_list_repair(struct mpr_list_use *u);

/* A root as it is in the beginning, and nothing hangs on it any more. The caller
 * alone knows the list; if another one died over it, it was repaired. */
void mpr_list_scrap(struct mpr_list_use *u);

#endif
