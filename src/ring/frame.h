/* SPDX-License-Identifier: MIT */
/*
 * A frame: one message in a lane, or a reference to one that lies elsewhere, or
 * padding up to the lane's end.
 *
 * It starts with a header word, is aligned to 16 bytes and never wraps around:
 *
 *   bits 0..1    kind
 *   bits 2..31   length of the payload; otherwise of the whole frame
 *   bits 32..63  sequence number within the lane (not of a pad)
 *
 * A reference is three words, which only its users understand. Its frame may be
 * longer than that: so much of the lane's capacity the message takes.
 */
#ifndef MPR_RING_FRAME_H
#define MPR_RING_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

enum mpr_frame_kind {
	MPR_FRAME_MESSAGE = 1,
	MPR_FRAME_PAD = 2,
	MPR_FRAME_REFERENCE = 3,
};

#define MPR_FRAME_ALIGN 16
#define MPR_FRAME_HEADER 8
#define MPR_FRAME_REFERENCE_LEN 24 /* at least: three words */
#define MPR_FRAME_LEN_MAX ((UINT32_C(1) << 30) - 1)

static inline uint64_t
mpr_frame(enum mpr_frame_kind kind, size_t len, uint32_t sequence)
{
	/* A sum is fewer instructions, and no field reaches into the next one. */
	return ((uint64_t)sequence << 32) + ((uint64_t)len << 2) + (uint64_t)kind;
}

static inline unsigned
mpr_frame_kind(uint64_t header)
{
	return (unsigned)(header & 3);
}

static inline size_t
mpr_frame_len(uint64_t header)
{
	return (size_t)(header >> 2 & MPR_FRAME_LEN_MAX);
}

static inline uint32_t
mpr_frame_sequence(uint64_t header)
{
	return (uint32_t)(header >> 32);
}

/* Whether the frame stands for a message. */
static inline bool
mpr_frame_counts(uint64_t header)
{
	return mpr_frame_kind(header) & 1;
}

/* Bytes that a message of @len bytes takes in the lane. */
static inline size_t
mpr_frame_size(size_t len)
{
	return mpr_round_up(MPR_FRAME_HEADER + len, MPR_FRAME_ALIGN);
}

/* Bytes from this frame to the next one; 0 if the header is no frame's. */
static inline size_t
mpr_frame_extent(uint64_t header)
{
	size_t len = mpr_frame_len(header);

	switch (mpr_frame_kind(header)) {
	case MPR_FRAME_MESSAGE:
		return mpr_frame_size(len);
	case MPR_FRAME_PAD:
		return len % MPR_FRAME_ALIGN ? 0 : len;
	case MPR_FRAME_REFERENCE:
		return len % MPR_FRAME_ALIGN ||
				       len < mpr_frame_size(
						     MPR_FRAME_REFERENCE_LEN) ?
			       0 : len;
	default:
		return 0;
	}
}

#endif
