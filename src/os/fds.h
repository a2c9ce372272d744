/* SPDX-License-Identifier: MIT */
/*
 * The descriptors of a process that has just been forked: where its standard
 * streams lead, and which others stay open.
 */
#ifndef MPR_OS_FDS_H
#define MPR_OS_FDS_H

#include <stdbool.h>

/* What stands for /dev/null among the sources below, and for no change. */
#define MPR_FDS_NULL (-1)
#define MPR_FDS_INHERIT (-2)

/*
 * Has descriptors 0, 1 and 2 lead where @sources[0], [1] and [2] do, all at the
 * same time: each is a descriptor, MPR_FDS_NULL or MPR_FDS_INHERIT. A source
 * stays open unless it is one of the three itself. Returns 0, or a negative
 * error; then @ret_failed is the number of the one that failed, and any of them
 * may have changed.
 */
int mpr_fds_redirect(const int sources[3], int *ret_failed);

/*
 * Closes all descriptors from 3 on but those in @keep; negative ones there are
 * ignored. Returns 0; -ENOSYS if the system offers no way to do it; -EMFILE,
 * -ENFILE or -ENOMEM if that way needs what is not to be had.
 */
int mpr_fds_close_others(const int *keep, int n);

/* A program that has closed 0, 1 or 2 may still write there: not into ours.
 * Returns @fd, or in its place one above 2 that is closed at exec, or -EMFILE;
 * then @fd is closed. */
int mpr_fds_above_stdio(int fd);

/* The same for two; after an error both are closed. Returns 0 or -EMFILE. */
int mpr_fds_pair_above_stdio(int fds[2]);

/* Returns 0 if @fd is open, or -EBADF. */
int mpr_fds_check(int fd);

/* Whether there is room for another descriptor above 2: @fd, which is open, is copied
 * to try. Returns 0 or -EMFILE. */
int mpr_fds_check_room(int fd);

/* Whether @fd is open and closed at exec. */
bool mpr_fds_ends_at_exec(int fd);
void mpr_fds_end_at_exec(int fd);

void mpr_fds_close(int fd);

/* The working directory, as a descriptor; or a negative error. And back. */
int mpr_fds_directory(void);
int mpr_fds_enter(int directory);

/* Moves @fd to a number from @from on, closed at exec; or to @to, whatever is open
 * there. Returns the number or a negative error; @fd is closed in any case. */
int mpr_fds_move_up(int fd, int from);
int mpr_fds_move_to(int fd, int to);

#endif
