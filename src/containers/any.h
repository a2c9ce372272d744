/* SPDX-License-Identifier: MIT */
/*
 * Values of any kind as they lie in shared memory: a word that says what they
 * are, the meta word, and either a second word or bytes that lie elsewhere.
 *
 *   meta: bits 0..7   enum mproc_kind
 *         bits 8..63  bytes of a text or of bytes; 0 otherwise
 *   word: of an integer itself, of a number its bits, of a truth value 0 or 1,
 *         of a reference the offset of what it refers to, of nothing 0. Texts and
 *         bytes have none: their container knows where they lie.
 *
 * Who reads a meta word from shared memory checks it before anything else is done
 * with it.
 */
#ifndef MPR_CONTAINERS_ANY_H
#define MPR_CONTAINERS_ANY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mproc/any.h>

#include "arena/arena.h"

static inline uint64_t
mpr_meta(enum mproc_kind kind, uint64_t len)
{
	return (uint64_t)kind | len << 8;
}

static inline unsigned
mpr_meta_kind(uint64_t meta)
{
	return (unsigned)(meta & 0xff);
}

static inline uint64_t
mpr_meta_len(uint64_t meta)
{
	return meta >> 8;
}

/* Whether bytes belong to it, and no word. */
static inline bool
mpr_meta_has_bytes(uint64_t meta)
{
	return mpr_meta_kind(meta) == MPROC_STR ||
	       mpr_meta_kind(meta) == MPROC_BYTES;
}

/* Whether it is one that mpr_any_meta() can have made. */
static inline bool
mpr_meta_is_sound(uint64_t meta)
{
	return mpr_meta_has_bytes(meta) ||
	       (mpr_meta_kind(meta) <= MPROC_REF && !mpr_meta_len(meta));
}

/* Whether @any can lie in a container in @a. Returns 0; -EINVAL; -EFAULT for a
 * reference to what is not in @a; -ENOMEM for more bytes than @a has. */
int mpr_any_check(const mproc_arena *a, const struct mproc_any *any);

/* The words of a value that was checked. */
uint64_t mpr_any_meta(const struct mproc_any *any);
uint64_t mpr_any_word(const mproc_arena *a, const struct mproc_any *any);

/*
 * A copy of what lies in shared memory, for the user: @word if it has one,
 * otherwise the bytes at @bytes, which the caller knows to be readable. Returns 0;
 * -EBADMSG if the words make no sense; -ENOMEM.
 */
int mpr_any_copy(const mproc_arena *a, uint64_t meta, uint64_t word,
		 const void *bytes, struct mproc_any *ret);

/*
 * Makes values that Python takes for equal the same by kind and word or bytes: a
 * truth value becomes an integer, as does a number that is one, -0.0 among them.
 * A not-a-number stays; it is equal to nothing.
 */
void mpr_any_normalise(struct mproc_any *any);

/* Whether Python would take them for equal. */
bool mpr_any_equal(const struct mproc_any *a, const struct mproc_any *b);

#endif
