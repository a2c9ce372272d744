/* SPDX-License-Identifier: MIT */
/*
 * What a forked child has of the thread that forks it, and one that another process
 * makes on its behalf has not.
 */
#ifndef MPR_OS_AMBIENCE_H
#define MPR_OS_AMBIENCE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct mpr_ambience {
	uint64_t cpus[16]; /* that it may run on, one bit each */
	sigset_t blocked;
};

void mpr_ambience_note(struct mpr_ambience *ret_a);

/* Has the calling thread run on these CPUs, as far as the system lets it, and block
 * these signals; it is a copy of one that had @before. */
void mpr_ambience_take(const struct mpr_ambience *a,
		       const struct mpr_ambience *before);

/* Whether that is one CPU only. */
bool mpr_ambience_has_one_cpu(const struct mpr_ambience *a);

bool mpr_ambience_blocks(const struct mpr_ambience *a, int signal);

/* For a process that serves others and must not end or stop, and not be asked, when
 * a user interrupts these: ignores signals of the keyboard, and notes what was done
 * with them. */
#define MPR_KEYBOARD_SIGNALS 3

struct mpr_keyboard {
	struct sigaction before[MPR_KEYBOARD_SIGNALS];
};

/* Adds them to a set: until they are ignored, to block them keeps them off. */
void mpr_keyboard_add(sigset_t *set);

void mpr_keyboard_ignore(struct mpr_keyboard *ret_k);
void mpr_keyboard_heed(const struct mpr_keyboard *k);

#endif
