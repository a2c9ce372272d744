/* SPDX-License-Identifier: MIT */
/*
 * What a stream of a process under test has been given.
 */
#ifndef MPR_TESTING_OUTPUT_H
#define MPR_TESTING_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

struct mpr_output {
	int fds[2]; /* of a pipe, -1 where it is closed */
	char *text; /* with a zero behind it; NULL: nothing has come */
	size_t len;
	size_t room;
	size_t most; /* to keep */
	size_t lost;
};

/* @on: there is a pipe. Returns 0 or a negative error. */
int mpr_output_open(struct mpr_output *o, bool on, size_t most);

/* Closes the end that the process writes to, in the one that reads. */
void mpr_output_listen(struct mpr_output *o);

/* Takes what is there, but not for ever. Returns whether there was anything. */
bool mpr_output_drain(struct mpr_output *o);

/* What has not been taken is lost. The text stays. */
void mpr_output_close(struct mpr_output *o);

#endif
