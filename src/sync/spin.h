/* SPDX-License-Identifier: MIT */
/*
 * A short spin before a sleep: what is held for a few instructions is free again
 * before a sleeper would have fallen asleep.
 */
#ifndef MPR_SYNC_SPIN_H
#define MPR_SYNC_SPIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* For a moment, until none of @bits is set in @word. Returns whether that was
 * so; @pauses counts on from 0 through all spins of one wait, and ends them. */
bool mpr_spin(const _Atomic uint64_t *word, uint64_t bits, unsigned *pauses);

/* For who looks at something else: a pause before the next look, up to @max
 * times. Returns false instead of one more. */
bool mpr_spin_on(unsigned *looks, unsigned max);

#endif
