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

/* Whether they are the same, kind and bits, as far as another process can tell: it
 * sees of a reference that it is one. */
bool mpr_any_same(const struct mproc_any *a, const struct mproc_any *b);

/* Where a value goes that is taken out. It is asked before that is done, with the bytes
 * of a text or of bytes, for each value: there is room, or a negative error, with its
 * text, and nothing is taken out. */
struct mpr_room {
	int (*make)(struct mpr_room *room, uint64_t bytes);
};

/* What is wanted of a value in a container. Zero: nothing. */
struct mpr_want {
	struct mproc_any *ret; /* receives a copy */
	bool no_bytes; /* but of texts and bytes only kind and length */
	char *buf; /* or these go here, and a 0, if they are less than @size */
	size_t size;
	struct mpr_room *room; /* or NULL: there is enough */
};

/* What has come out with no_bytes, as what it was asked for: an integer or truth
 * value, a number, a text whose bytes were wanted in a buffer of @size. Returns 0;
 * -EPROTOTYPE; -EMSGSIZE. */
int mpr_any_as_int(const struct mproc_any *any, int64_t *ret_i);
int mpr_any_as_float(const struct mproc_any *any, double *ret_f);
int mpr_any_as_str(const struct mproc_any *any, size_t size, size_t *ret_len);

/* An integer if both are integers or truth values, otherwise a number. Returns 0;
 * -EPROTOTYPE; -EOVERFLOW. */
int mpr_any_sum(const struct mproc_any *a, const struct mproc_any *b,
		struct mproc_any *ret);

#endif
