/* SPDX-License-Identifier: MIT */
/*
 * What the three parts of the lane's algorithm share: where a frame lies, and
 * what makes sense. lane_put.c is the producer's part, lane_get.c the
 * consumers', lane.c what anyone may ask.
 *
 * Labels name the two ends of each ordering edge:
 *
 *   P2 -> C1   tail: the frame's bytes are there before the tail that covers
 *              them
 *   C3 -> P1   head: a consumer has done with the bytes before the producer
 *              overwrites them
 *   P1 -> C2   a consumer that still finds its old head after reading a frame
 *              has read a frame and not its overwriting
 */
#ifndef MPR_RING_LANE_PRIV_H
#define MPR_RING_LANE_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ring/access.h"
#include "ring/lane.h"

/* A shared take that loses so many races in a row is not losing races. */
#define MPR_LANE_ATTEMPTS 1000

static inline unsigned char *
mpr_lane_at(struct mpr_lane *lane, size_t capacity, uint64_t position)
{
	return lane->buffer + (position & (capacity - 1));
}

static inline _Atomic uint64_t *
mpr_lane_header(struct mpr_lane *lane, size_t capacity, uint64_t position)
{
	return (_Atomic uint64_t *)(void *)mpr_lane_at(lane, capacity,
						       position);
}

/* Where the lane's end is, behind @position. */
static inline uint64_t
mpr_lane_lap(uint64_t position, size_t capacity)
{
	return (position | (capacity - 1)) + 1;
}

/* How far it goes from @from on up to @end without the lane's end between. */
static inline uint64_t
mpr_lane_straight(uint64_t from, uint64_t end, size_t capacity)
{
	uint64_t lap = mpr_lane_lap(from, capacity);

	return lap - from < end - from ? lap : end;
}

/* Whether [head, tail) can be a lane's contents. */
static inline bool
mpr_lane_is_sane(uint64_t head, uint64_t tail, size_t capacity)
{
	return tail - head <= capacity &&
	       (head | tail) % MPR_FRAME_ALIGN == 0;
}

/*
 * Whether a frame of @extent bytes can lie at @head, below @tail: within the
 * lane's contents and not across its end.
 */
static inline bool
mpr_lane_fits(uint64_t head, uint64_t tail, size_t extent, size_t capacity)
{
	return extent && extent <= tail - head &&
	       (head & (capacity - 1)) + extent <= capacity;
}

#endif
