/* SPDX-License-Identifier: MIT */
/*
 * What this layer has to know of the objects above it: how to look through all
 * objects of a kind when a participant dies or leaves.
 *
 * The table is defined by the layers above (ipc/kinds.c) and complete at link
 * time: any process of the family can recover from any death, also one that
 * never used the kind itself.
 */
#ifndef MPR_ARENA_KINDS_H
#define MPR_ARENA_KINDS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "arena/arena.h"

/* NULL where a kind has nothing to do. */
struct mpr_kind_ops {
	/*
	 * Takes back whatever the dead participant in @slot holds in objects
	 * of this kind, and wakes those concerned. Idempotent; run by any
	 * number of processes at once, and by ones that are no participants.
	 * Before it changes a word, it asks mpr_participant_still_dead().
	 */
	void (*recover)(mproc_arena *a, unsigned slot, uint64_t ident);

	/* Process @pid has ended, as the caller has seen, whether or not one of
	 * its threads was a participant. */
	void (*ended)(mproc_arena *a, pid_t pid);

	/* Somebody looks for the dead: of this kind others than participants can
	 * be. @thorough as in mpr_participant_is_dead(). */
	void (*look)(mproc_arena *a, bool thorough);

	/* Process @pid, from whose death the caller has recovered, was ended by
	 * @signal, or 0. */
	void (*told)(mproc_arena *a, pid_t pid, int signal);

	/* Gives back what the calling thread holds in @a, as it leaves. */
	void (*leave)(const mproc_arena *a);

	/* The participant in @slot is LEAVING, in order: who is to learn that
	 * does so now. Idempotent. */
	void (*left)(mproc_arena *a, unsigned slot);

	/* Adds the kind's figures. */
	void (*count)(mproc_arena *a, struct mproc_arena_stat *stat);
};

extern const struct mpr_kind_ops mpr_kinds[MPR_KINDS];

#endif
