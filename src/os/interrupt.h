/* SPDX-License-Identifier: MIT */
/*
 * Interrupts: a request to all threads of this process to stop waiting, which
 * each of them answers once. They are counted in the process page
 * (os/generation.h); a thread knows the count that it has answered. A forked
 * child starts with none, and a thread that was made after an interrupt is not
 * meant by it.
 */
#ifndef MPR_OS_INTERRUPT_H
#define MPR_OS_INTERRUPT_H

#include <poll.h> /* for the type */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Counts an interrupt, then wakes who sleeps in mpr_interrupt_poll().
 * Async-signal-safe. */
void mpr_interrupt_raise(void);

/*
 * Whether there is an interrupt that the calling thread has not answered. Who
 * sleeps elsewhere asks between reading what it sleeps on and sleeping, and
 * whoever raises one changes that afterwards.
 */
bool mpr_interrupt_pending(void);

/* The calling thread answers all that there are. */
void mpr_interrupt_answer(void);

/* From now on interrupts are not for the calling thread, and it answers none: one is
 * pending for it while what this returns is true, which is there as long as the thread.
 * Who sets it wakes it after that. */
_Atomic bool *mpr_interrupt_alone(void);

/* How many there are, and to answer no more than so many later. */
uint32_t mpr_interrupt_count(void);
void mpr_interrupt_answer_to(uint32_t count);

/* Around a wait that must come to its end: none is pending for the calling thread
 * meanwhile, but all that came are afterwards. */
void mpr_interrupt_hold(void);
void mpr_interrupt_unhold(void);

/*
 * Waits until one of the @n descriptors @fds is as its events say, an interrupt is
 * pending, or @deadline, but about a second at most. There is room for one more
 * behind them. Returns 0, also for no reason; -ETIMEDOUT at the deadline; -EBADF
 * if one of them cannot be polled, or is in a state that was not asked for. Not a
 * cancellation point.
 */
int mpr_interrupt_poll(struct pollfd *fds, unsigned n, int64_t deadline);

#endif
