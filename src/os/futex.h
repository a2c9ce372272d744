/* SPDX-License-Identifier: MIT */
/*
 * Sleeping on a word of shared memory, and waking who sleeps there. The word
 * may be mapped at different addresses.
 */
#ifndef MPR_OS_FUTEX_H
#define MPR_OS_FUTEX_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * Sleeps while *@word is @seen, until woken or until @deadline (MPR_NEVER for
 * none). May return early for no reason. Returns 0, or -ETIMEDOUT.
 */
int mpr_futex_wait(_Atomic uint32_t *word, uint32_t seen, int64_t deadline);

/* Wakes at most @n sleepers of @word. Never fails: nobody there is no error. */
void mpr_futex_wake(_Atomic uint32_t *word, int n);

#endif
