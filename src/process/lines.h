/* SPDX-License-Identifier: MIT */
/*
 * What started processes print, passed on to this one's standard output or standard
 * error line by line, with the name of the process in front.
 */
#ifndef MPR_PROCESS_LINES_H
#define MPR_PROCESS_LINES_H

#include <stdbool.h>
#include <stdint.h>

struct mpr_lines;

/*
 * Begins to pass on what comes to *@ret_fd, a descriptor that is closed at exec, to
 * this process's stream 1 or 2. Returns 0; -EMFILE, -ENFILE, -ENOMEM, or -EAGAIN if
 * there can be no thread for it.
 */
int mpr_lines_open(struct mpr_lines **ret_l, const char *name, int stream,
		   int *ret_fd);

/* The process has ended: passes on what it has left, also half a line. What comes
 * from others who have the descriptor is passed on as before. Who reads it, or has the
 * stream locked, is waited for until @deadline; a stream that blocks blocks this, too.
 * Returns 0 or -ETIMEDOUT; 0 in a copy of the process that a signal handler has forked
 * meanwhile, which leaves the rest to its parent. Not to be cancelled. */
int mpr_lines_drain(struct mpr_lines *l, int64_t deadline);

/* The process has ended, or was not started, and nobody has the pointer any more. It
 * is freed when all that have the descriptor are gone. What has come since is passed on
 * as above; not to be cancelled. */
void mpr_lines_release(struct mpr_lines *l);

/* In a forked child: closes its parent's ends, or who writes there would not notice
 * that nobody reads any more. */
void mpr_lines_forget(void);

/* How many threads this process has for it. */
unsigned mpr_lines_threads(void);

/* Whether @fd is a descriptor that this process has for it. */
bool mpr_lines_has_fd(int fd);

#endif
