/* SPDX-License-Identifier: MIT */
/*
 * Slots: one value of any kind each, in two words (containers/any.h). Texts and
 * bytes of up to 8 bytes lie in the second one; of longer ones that is the link
 * to a block of the heap, LINKED, with that word for its home while it is on its
 * way, in or out.
 *
 * Values move from slot to slot. So once a block is linked its home is a word that
 * stays, the owner, which does not name it. What has neither that for its home nor
 * the word by which it was reached is another object's, whatever was written there:
 * it is not looked at, and not freed.
 *
 * A slot of nothing is zero, and so is the word of one whose block has not come
 * yet, or has gone. Killed in between, a slot is either with its block or without
 * one, once the heap has recovered from the death.
 *
 * Who changes a slot is the only one who does so.
 */
#ifndef MPR_CONTAINERS_SLOT_H
#define MPR_CONTAINERS_SLOT_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <mproc/any.h>

#include "arena/participant.h"
#include "containers/any.h"

struct mpr_slot {
	_Atomic uint64_t meta;
	_Atomic uint64_t word;
};

static_assert(sizeof(struct mpr_slot) == 16, "shared layout");

/* What is in a slot. */
struct mpr_slot_words {
	uint64_t meta;
	uint64_t word;
};

/* Whether @meta is that of a value whose bytes lie in a block. */
static inline bool
mpr_slot_is_long(uint64_t meta)
{
	return mpr_meta_has_bytes(meta) && mpr_meta_len(meta) > 8;
}

static inline struct mpr_slot_words
mpr_slot_get(const struct mpr_slot *slot)
{
	/* Acquire, for who looks while others may change it, and then asks
	 * whether they have: nothing of that is known before this is. */
	return (struct mpr_slot_words){
		atomic_load_explicit(&slot->meta, memory_order_acquire),
		atomic_load_explicit(&slot->word, memory_order_acquire),
	};
}

/* Release: if we die, who comes next finds these words with those that were
 * written before; and who looks meanwhile finds that the version is odd. */
static inline void
mpr_slot_set(struct mpr_slot *slot, struct mpr_slot_words words)
{
	atomic_store_explicit(&slot->meta, words.meta, memory_order_release);
	atomic_store_explicit(&slot->word, words.word, memory_order_release);
}

/*
 * Puts a value that was checked in a slot, whatever was there before. Returns 0;
 * -ENOMEM, -ENOSPC: the slot is one of nothing.
 */
int mpr_slot_fill(mproc_arena *a, struct mpr_self *self,
		  const _Atomic uint64_t *owner, struct mpr_slot *slot,
		  const struct mproc_any *any);

/* The same where the slot has that meta word already and the value no block: one
 * store. */
void mpr_slot_fill_word(const mproc_arena *a, struct mpr_slot *slot,
			const struct mproc_any *any);

/* Frees its block, if it has one: it is without that then. Returns false if what
 * it names is none; it is without that, too. */
bool mpr_slot_drop(mproc_arena *a, struct mpr_self *self,
		   const _Atomic uint64_t *owner, struct mpr_slot *slot);

/* The same for any word that links a block; NULL for who owns it if that is at home
 * there. */
bool mpr_link_drop(mproc_arena *a, struct mpr_self *self,
		   const _Atomic uint64_t *owner, _Atomic uint64_t *link);

/* A copy for the user. Returns 0; -ENOMEM; -EBADMSG, without a text. Unless nobody
 * can change it meanwhile, which is when @is_alone, what it says has to be believed
 * only if nobody has; then it may also be -EAGAIN: it cannot be read so. */
int mpr_slot_copy(const mproc_arena *a, const _Atomic uint64_t *owner,
		  struct mpr_slot_words words, bool is_alone,
		  struct mproc_any *ret);

/* The same of what is wanted. */
int mpr_slot_want(const mproc_arena *a, const _Atomic uint64_t *owner,
		  struct mpr_slot_words words, bool is_alone,
		  const struct mpr_want *want);

/* The value itself, with its bytes where they lie: in *@words, or in shared memory,
 * of which only these are to be read. Returns 0; -EBADMSG. */
int mpr_slot_view(const mproc_arena *a, const _Atomic uint64_t *owner,
		  const struct mpr_slot_words *words, struct mproc_any *ret);

#endif
