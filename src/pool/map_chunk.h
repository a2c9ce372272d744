/* SPDX-License-Identifier: MIT */
/*
 * Which items a chunk of a map has. It follows from its number alone, so that who dies
 * with one leaves nothing to be repaired.
 *
 * All chunks are of one size; or they become smaller: there are rounds of as many chunks
 * as there were workers when it was submitted, or fewer. In the first one half of all
 * items are, and each round's chunks are half as large as those of the one before, down to
 * the least size, which all others have.
 */
#ifndef MPR_POOL_MAP_CHUNK_H
#define MPR_POOL_MAP_CHUNK_H

#include "pool/map.h"

uint64_t mpr_map_falling_begin(const struct mpr_map_use *m, uint64_t chunk);
uint64_t mpr_map_falling_end(const struct mpr_map_use *m, uint64_t item);
uint64_t mpr_map_falling_count(const struct mpr_map_use *m);

/* The first item of chunk number @chunk, of which there is one. */
static inline uint64_t
mpr_map_chunk_begin(const struct mpr_map_use *m, uint64_t chunk)
{
	return m->largest ? mpr_map_falling_begin(m, chunk) : chunk * m->chunk;
}

/* The end of the chunk with @item. */
static inline uint64_t
mpr_map_chunk_end(const struct mpr_map_use *m, uint64_t item)
{
	uint64_t end = m->largest ? mpr_map_falling_end(m, item) :
				    (item / m->chunk + 1) * m->chunk;

	return end < m->n ? end : m->n;
}

/* How many there are. */
static inline uint64_t
mpr_map_chunk_count(const struct mpr_map_use *m)
{
	return m->largest ? mpr_map_falling_count(m) :
			    m->n / m->chunk + (m->n % m->chunk != 0);
}

#endif
