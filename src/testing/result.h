/* SPDX-License-Identifier: MIT */
/*
 * What is told of a process under test, made of what is known of it.
 */
#ifndef MPR_TESTING_RESULT_H
#define MPR_TESTING_RESULT_H

#include <mproc/testing.h>

#include "testing/board.h"
#include "testing/output.h"

/* All that a result refers to. */
struct mpr_kept {
	struct mproc_test_failure failures[MPR_BOARD_FAILURES];
	struct mproc_test_fd fds[MPROC_TEST_LISTED];
	struct mproc_test_lock locks[MPROC_TEST_LISTED];
	struct mproc_test_message messages[MPROC_TEST_LISTED];
	struct mproc_test_process processes[MPROC_TEST_LISTED];
	struct mpr_failure failed[MPR_BOARD_FAILURES];
	/* Copied off the board, completed, then believed as far as it goes. */
	struct mpr_left left;
	char name[64];
	char *report;
	char *out;
	char *err;
	char problems[4096];
};

/* A result in which nothing is but its memory. Returns 0 or -ENOMEM. */
int mpr_result_new(struct mproc_test_result *ret);

/* Has the result list what is in its memory's left, and on the board. */
void mpr_result_list(struct mproc_test_result *r, const struct mpr_board *b);

/* Takes over the text. */
void mpr_result_take_out(struct mproc_test_result *r, struct mpr_output *o);
void mpr_result_take_err(struct mproc_test_result *r, struct mpr_output *o);

/* Says what is wrong, when the rest is complete. */
void mpr_result_judge(struct mproc_test_result *r, mproc_timeout timeout,
		      bool keeps_blocks);

#endif
