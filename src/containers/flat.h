/* SPDX-License-Identifier: MIT */
/*
 * A value as a row of words: its one word, or its bytes, padded with zeroes. So it
 * is written to shared memory, read and compared there, word by word: others may
 * look at that memory who have not noticed that it is something else by now.
 */
#ifndef MPR_CONTAINERS_FLAT_H
#define MPR_CONTAINERS_FLAT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "containers/any.h"

struct mpr_flat {
	uint64_t meta;
	uint64_t word;
	const unsigned char *bytes; /* if the meta word says so */
};

/* Of a value that was checked. */
static inline struct mpr_flat
mpr_flat(const mproc_arena *a, const struct mproc_any *any)
{
	struct mpr_flat f = { .meta = mpr_any_meta(any) };

	if (mpr_meta_has_bytes(f.meta))
		f.bytes = any->ptr;
	else
		f.word = mpr_any_word(a, any);
	return f;
}

/* How many words, at most 2^53. */
static inline uint64_t
mpr_flat_words(uint64_t meta)
{
	return mpr_meta_has_bytes(meta) ? (mpr_meta_len(meta) + 7) / 8 : 1;
}

static inline uint64_t
mpr_flat_word(const struct mpr_flat *f, uint64_t i)
{
	uint64_t word = 0, left;

	if (!f->bytes)
		return f->word;
	left = mpr_meta_len(f->meta) - i * 8;
	memcpy(&word, f->bytes + i * 8, left < 8 ? left : 8);
	return word;
}

static inline void
mpr_flat_write(const struct mpr_flat *f, _Atomic uint64_t *words)
{
	uint64_t n = mpr_flat_words(f->meta);

	/* Release: who reads this in what it takes for something else finds that
	 * out by what was written before. */
	for (uint64_t i = 0; i < n; i++)
		atomic_store_explicit(&words[i], mpr_flat_word(f, i),
				      memory_order_release);
}

/* Whether the words are those of what has the same meta word. */
static inline bool
mpr_flat_is(const struct mpr_flat *f, const _Atomic uint64_t *words)
{
	uint64_t n = mpr_flat_words(f->meta);

	/* Acquire, here and below, with mpr_flat_write(). */
	for (uint64_t i = 0; i < n; i++)
		if (atomic_load_explicit(&words[i], memory_order_acquire) !=
		    mpr_flat_word(f, i))
			return false;
	return true;
}

/* The first @len bytes of what the words are. */
static inline void
mpr_flat_read(const _Atomic uint64_t *words, char *to, uint64_t len)
{
	for (uint64_t i = 0; i * 8 < len; i++) {
		uint64_t word = atomic_load_explicit(&words[i],
						     memory_order_acquire);
		uint64_t left = len - i * 8;

		memcpy(to + i * 8, &word, left < 8 ? left : 8);
	}
}

#endif
