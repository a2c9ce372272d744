/* SPDX-License-Identifier: MIT */
/*
 * A descriptor that we keep open for long, in a program that may close it
 * behind our back (closefrom, daemon) and open something else in its place.
 */
#ifndef MPR_OS_FILE_H
#define MPR_OS_FILE_H

#include <stdbool.h>
#include <stdint.h>

struct mpr_file {
	int fd;
	uint64_t device, inode;
};

/* Makes an anonymous file in memory. Returns 0, -EMFILE, -ENFILE, -ENOMEM,
 * -ENOSYS. */
int mpr_file_anonymous(struct mpr_file *ret_f, const char *name, bool sealable);

/* Whether the descriptor is still our file. */
bool mpr_file_is_open(const struct mpr_file *f);

/* Closes it, if it is still ours. */
void mpr_file_close(struct mpr_file *f);

#endif
