/* SPDX-License-Identifier: MIT */
/*
 * What a started process changes in itself before its entry runs: CPUs, working
 * directory, environment, standard streams, open files. The child does it, and
 * tells the parent through one word of its record how that went.
 */
#ifndef MPR_PROCESS_SETUP_H
#define MPR_PROCESS_SETUP_H

#include <stdbool.h>
#include <stdint.h>

#include <mproc/process.h>

/* Before the fork: whether the options make sense, with their method. Returns 0 or
 * -EINVAL, or what mpr_handover_check() says. */
int mpr_setup_check(const struct mproc_process_opts *o);

/* Whether all descriptors that they name are open, before a start opens any: of those
 * one might have such a number. Returns 0 or -EBADF. */
int mpr_setup_check_files(const struct mproc_process_opts *o);

/* Whether the options ask for anything at all. */
bool mpr_setup_is_needed(const struct mproc_process_opts *o);

/* In the child. Returns the word, which is never 0; after a failure the child
 * must end. @kept is a descriptor that stays open in any case, or -1. */
uint64_t mpr_setup_apply(const struct mproc_process_opts *o, int kept);

/* What a child with an image of its own may fail at before that. */
enum mpr_setup_step {
	MPR_SETUP_ARENA,
	MPR_SETUP_ENTRY,
	MPR_SETUP_FORK, /* in the fork server */
	MPR_SETUP_DESCRIPTORS,
	MPR_SETUP_STEPS
};

/* In the child: whether it is to end after its word. */
bool mpr_setup_has_failed(uint64_t word);

/* The word for that. */
uint64_t mpr_setup_failure(enum mpr_setup_step step, int r);

/* In the parent: what the word says. It is the child's, so it may say anything.
 * Returns 0 or a negative error. */
int mpr_setup_result(uint64_t word, const struct mproc_process_opts *o);

/* Whether descriptors that a process of this generation had may be open here;
 * if not, their numbers are somebody else's. */
bool mpr_setup_left_open(uint64_t generation);

#endif
