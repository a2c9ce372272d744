/* SPDX-License-Identifier: MIT */
/*
 * The table of keys on which dicts, sets and namespaces stand.
 *
 * A table is a cell (sync/cell.h) with one block of stripes, its root, which stays
 * with the cell whatever table that becomes. The hash of a key says in which stripe
 * it lies. Each stripe is a table by itself: with a lock for those who change it, a
 * version for those who read it, and buckets, from each of which a chain of entries
 * begins. An entry is a block of the heap with a key and its value.
 *
 * Chains are in ascending order of the entries' order words: the bits of the hash
 * from the lowest one up, and 16 bits that tell apart what has the same hash. The
 * bucket is the lowest bits of the hash. So all chains of a stripe one after
 * another, by their buckets' bits from the lowest up, are in one order that does
 * not depend on how many buckets there are; and to have more of them, one chain is
 * cut into four, without moving an entry: the next one in turn, whenever there are
 * too many keys (linear hashing). An entry keeps its order word from when its key
 * comes until it goes: an iteration notes how far it has come in the order, and
 * nothing else.
 *
 * Who changes a stripe holds its lock. version is odd while links are being changed.
 * Each change is a row of single stores, after any of which the chains are sound
 * for who reads them, and from any of which who comes next can go on
 * (containers/table_repair.c): the lock tells it that the one before has died, and
 * the odd version that there is something to be put in order.
 *
 * Who reads takes no lock. It loads the version, reads, and loads it again: if it is
 * the same, and even, what was read was there. Slabs stay slabs, so what is read in
 * vain does no harm; entries that are runs of extents are read under the lock.
 */
#ifndef MPR_CONTAINERS_TABLE_H
#define MPR_CONTAINERS_TABLE_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <mproc/any.h>

#include "arena/heap.h"
#include "containers/flat.h"
#include "sync/cell.h"
#include "sync/lock.h"

#define MPR_TABLE_MAGIC UINT64_C(0x656c62617472706d) /* and the kind */
#define MPR_STRIPES 16

/* There are 4 buckets at level 0, and when each of them has been cut it is level 1,
 * with four times as many. With as many keys as the largest arena holds there are about
 * three to a bucket of the last level. */
#define MPR_TABLE_LEVELS 11
#define MPR_TABLE_SEGMENTS 7 /* the last one whose buckets are one block */
#define MPR_TABLE_CUTS (((UINT64_C(4) << 2 * MPR_TABLE_LEVELS) - 4) / 3)

#define MPR_ORDER_TIE UINT64_C(0xffff) /* the bits for what has the same hash */

struct mpr_table {
	struct mpr_cell cell; /* its word is 0 */
	_Atomic uint64_t seed; /* of the hash */
	uint64_t pad[4];
	_Atomic uint64_t root; /* as of mpr_cell_blocks() */
};

static_assert(sizeof(struct mpr_table) == MPR_CELL, "shared layout");
static_assert(offsetof(struct mpr_table, root) == MPR_CELL_BLOCKS,
	      "shared layout");

struct mpr_stripe {
	uint64_t magic;
	_Atomic uint64_t version;
	_Atomic uint64_t cuts; /* of buckets, each of which has brought three */
	uint64_t pad0;
	/* The buckets of each level from 1 on that the one before has not; and the
	 * block of links to blocks of those that further levels have. */
	_Atomic uint64_t segments[MPR_TABLE_SEGMENTS];
	_Atomic uint64_t directory;
	_Atomic uint64_t buckets[4];
	/* What is written without a change of links. */
	struct mpr_lock lock;
	_Atomic uint64_t count;
	/* How often something is put before memory for more buckets is looked for
	 * again. */
	_Atomic uint64_t later;
	_Atomic uint64_t first; /* no entry has a lower order */
	uint64_t pad1[9];
};

static_assert(sizeof(struct mpr_stripe) == 256, "shared layout");
static_assert(offsetof(struct mpr_stripe, lock) == 128, "shared layout");

struct mpr_entry {
	_Atomic uint64_t next; /* in the chain, or 0 */
	_Atomic uint64_t order;
	_Atomic uint64_t stripe; /* offset of the one that it is part of */
	_Atomic uint64_t key; /* meta words */
	_Atomic uint64_t value;
	_Atomic uint64_t words[]; /* of the key, then of the value */
};

static_assert(sizeof(struct mpr_entry) == 40, "shared layout");

/* An entry, found, with what was read of it once. */
struct mpr_item {
	struct mpr_block_ref ref;
	struct mpr_entry *entry;
	uint64_t order;
	uint64_t key, value;
};

static inline const _Atomic uint64_t *
mpr_item_key(const struct mpr_item *item)
{
	return item->entry->words;
}

static inline _Atomic uint64_t *
mpr_item_value(const struct mpr_item *item)
{
	return item->entry->words + mpr_flat_words(item->key);
}

/* One call that concerns one stripe after another. */
struct mpr_visit {
	mproc_arena *arena;
	struct mpr_table *table;
	struct mpr_stripe *stripes;
	struct mpr_stripe *stripe;
	enum mpr_cell_kind kind;
	uint32_t generation; /* of the table as it was called */
	struct mpr_self *self; /* once a lock is held */
};

/* Whether its memory may go back to the kernel while it is read, but for the first
 * page (arena/extent.h). */
static inline bool
mpr_item_may_vanish(const struct mpr_visit *v, const struct mpr_item *item)
{
	return !item->ref.block && !v->self;
}

/* A key that was checked. */
struct mpr_key {
	struct mpr_flat flat;
	unsigned stripe;
	uint64_t order; /* the lowest one that it can have */
};

/* The order of a hash. */
static inline uint64_t
mpr_reverse(uint64_t x)
{
	x = (x >> 1 & UINT64_C(0x5555555555555555)) |
	    (x & UINT64_C(0x5555555555555555)) << 1;
	x = (x >> 2 & UINT64_C(0x3333333333333333)) |
	    (x & UINT64_C(0x3333333333333333)) << 2;
	x = (x >> 4 & UINT64_C(0x0f0f0f0f0f0f0f0f)) |
	    (x & UINT64_C(0x0f0f0f0f0f0f0f0f)) << 4;
	return __builtin_bswap64(x);
}

/* How many buckets there are at a level, and after some cuts. */
static inline uint64_t
mpr_buckets(uint64_t level)
{
	return UINT64_C(4) << 2 * level;
}

static inline uint64_t
mpr_buckets_after(uint64_t cuts)
{
	return 4 + 3 * cuts;
}

/* By how many bits of the hash all of @n buckets are told apart; the first ones of these
 * have been cut, and go by two more. */
static inline unsigned
mpr_bucket_bits(uint64_t n)
{
	return (63 - (unsigned)__builtin_clzll(n)) & ~1U;
}

/* By how many the bucket of an order goes. */
static inline unsigned
mpr_order_bits(uint64_t order, uint64_t n)
{
	unsigned bits = mpr_bucket_bits(n);
	uint64_t all = UINT64_C(1) << bits;
	uint64_t low = mpr_reverse(order) & (all - 1);

	return all + 3 * low < n ? bits + 2 : bits;
}

/* That bucket: the lowest bits themselves. */
static inline uint64_t
mpr_bucket_of(uint64_t order, uint64_t n)
{
	return mpr_reverse(order) &
	       ((UINT64_C(1) << mpr_order_bits(order, n)) - 1);
}

/* The one of @n buckets that is cut next. */
static inline uint64_t
mpr_bucket_next(uint64_t n)
{
	return (n - (UINT64_C(1) << mpr_bucket_bits(n))) / 3;
}

/* The one with number @i of @n: the three that have come of one are far apart. */
static inline uint64_t
mpr_bucket_at(uint64_t i, uint64_t n)
{
	uint64_t all = UINT64_C(1) << mpr_bucket_bits(n), cut = mpr_bucket_next(n);

	return i < all ? i : (1 + (i - all) / cut) * all + (i - all) % cut;
}

/* Begins a call of a table of @kind. Returns 0; -EINVAL, -EFAULT, -ESTALE; -EBADMSG;
 * -EDEADLK if the calling thread is in a callback of it; MPR_REMOTE if another process
 * has it (containers/remote.h). */
int mpr_visit_begin(struct mpr_visit *v, enum mpr_cell_kind kind, void *table);

/* The stripe that the call is about now; -EBADMSG. */
int mpr_visit_stripe(struct mpr_visit *v, unsigned stripe);

/* Takes and gives back its lock. Repaired, if need be. Returns 0; -EINTR; -ESTALE
 * if the table is another one than at the call's beginning; -EBADMSG, and those of
 * "First use". */
int mpr_visit_lock(struct mpr_visit *v);
void mpr_visit_unlock(struct mpr_visit *v);

/* Returns 0; -ESTALE if the table is another one than at the call's beginning. */
int mpr_visit_check(const struct mpr_visit *v);

/* -EBADMSG, with its text. */
int mpr_table_corrupt(const struct mpr_visit *v);

/* Around a function of the user's, with the lock held. */
struct mpr_callback {
	const void *table;
	uint64_t generation; /* of the process: a forked one is in none */
	const struct mpr_callback *around;
};

void mpr_callback_begin(struct mpr_callback *c, const struct mpr_visit *v);
void mpr_callback_end(const struct mpr_callback *c);

/* With the lock held, around all changes of links. */
void mpr_visit_change(struct mpr_visit *v);
void mpr_visit_changed(struct mpr_visit *v);

/* Checks a key and makes it one of the table. Returns 0; -EINVAL; -EFAULT;
 * -ENOMEM. */
int mpr_key_make(const struct mpr_visit *v, const struct mproc_any *any,
		 struct mpr_key *ret_key);

/* The word of a bucket, or NULL if shared memory is corrupt. */
_Atomic uint64_t *mpr_table_bucket(const struct mpr_visit *v, uint64_t bucket);

/* The entry at @offset. Returns false if there is none of this stripe. */
bool mpr_table_entry(const struct mpr_visit *v, uint64_t offset,
		     struct mpr_item *ret_item);

/* Where a key is, or would be. */
struct mpr_place {
	_Atomic uint64_t *link;
	uint64_t order;
	bool is_there;
	struct mpr_item item; /* if it is there */
};

/* These and those below say -EBADMSG without a text. Returns 0; -EBADMSG; without the
 * lock also -EAGAIN if it has to be looked for with it. */
int mpr_table_find(const struct mpr_visit *v, const struct mpr_key *key,
		   struct mpr_place *ret);

/* The first entry of the stripe whose order is @from or more. Returns 1; 0 if there
 * is none; -EBADMSG. */
int mpr_table_first(const struct mpr_visit *v, uint64_t from,
		    struct mpr_place *ret);

/*
 * The rest is with the lock held.
 */

/* Puts a key where it would be, or gives it another value. Returns 0; -ENOMEM,
 * -ENOSPC; -EOVERFLOW if 65536 others have the same hash; -EBADMSG. */
int mpr_table_put(struct mpr_visit *v, const struct mpr_key *key,
		  const struct mpr_place *at, const struct mpr_flat *value);

/* Takes away what is at a place, or at that of the first entry of all. Returns 0;
 * -EBADMSG. */
int mpr_table_remove(struct mpr_visit *v, const struct mpr_place *at);
int mpr_table_remove_first(struct mpr_visit *v, const struct mpr_place *at);

/* Takes away all of the stripe's entries, or also the buckets that were added.
 * Returns 0; -EBADMSG. */
int mpr_table_empty(struct mpr_visit *v);
int mpr_table_shrink(struct mpr_visit *v);

/* Something was put: one bucket is cut into four, if there are more entries than half
 * as many as buckets, and memory. */
void mpr_table_grow(struct mpr_visit *v);

/* Cuts the chain of @bucket wherever that of another one of @n begins, which that then
 * has. Returns 0; -EBADMSG. */
int mpr_table_cut(const struct mpr_visit *v, uint64_t bucket, uint64_t n);

/* Puts in order what somebody has not ended. Returns 0; -EBADMSG. */
int mpr_table_repair(struct mpr_visit *v);

#endif
