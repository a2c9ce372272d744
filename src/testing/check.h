/* SPDX-License-Identifier: MIT */
/*
 * Checks that fail: who is told.
 */
#ifndef MPR_TESTING_CHECK_H
#define MPR_TESTING_CHECK_H

#include <stdbool.h>

#include "testing/board.h"

/* In a process under test, forked: failures go to @b, which its parent reads. */
void mpr_check_report_to(struct mpr_board *b);

/* In one with a new image: the board that it has found, or NULL. */
struct mpr_board *mpr_check_found(void);

/* Before the start of a process under test: it is given @b, if it has an image of its
 * own, in the place of what else the calling thread would give. NULL ends that. */
void mpr_check_give(struct mpr_board *b);

/* In the process that tests, while it runs an entry inline: the same for the
 * calling thread. Returns what was before. */
struct mpr_board *mpr_check_inline_to(struct mpr_board *b);

/* Whether @fd is that of the board of this process's framework. */
bool mpr_check_has_fd(int fd);

/* Whether the calling thread has a framework to tell. */
bool mpr_check_has_framework(void);

/* Tells it. */
void mpr_check_tell(const struct mpr_failure *f);

/* Prints it, a line. */
void mpr_check_print(const struct mpr_failure *f);

#endif
