/* SPDX-License-Identifier: MIT */
/*
 * The C library's buffers around a fork.
 */
#ifndef MPR_OS_STDIO_H
#define MPR_OS_STDIO_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h> /* for the type */

/*
 * Before a fork: writes out what standard output and standard error hold, and
 * touches neither if they hold nothing: each page that is written between a
 * fork and the next one has to be copied. Not fflush(NULL): that waits for
 * streams that other threads have locked. One of the two that another thread
 * has locked, to write to a full pipe for instance, is left alone: what it
 * holds stays the parent's.
 */
void mpr_stdio_flush(void);

/*
 * Writes @text where @stream leads, behind what that holds. The caller has locked it,
 * and cannot be cancelled. While this blocks the stream holds nothing of @text: who
 * ends the process finds nothing there to be written, and does not wait for us. A copy
 * of the process of @generation, forked meanwhile by a signal handler, leaves the rest
 * to that.
 */
void mpr_stdio_pass(FILE *stream, const char *text, size_t len,
		    uint64_t generation);

/* Prints a line to standard error, or leaves it out if for 100 ms another thread keeps that
 * locked or nothing can be written there. No cancellation point. */
void mpr_stdio_say(const char *line);

/* At the end of a process: writes out what they hold, whoever uses them. */
void mpr_stdio_finish(void);

/* In a forked child: forgets what the parent's streams held, which is the
 * parent's to write. Another thread may have printed since the flush. */
void mpr_stdio_forget(void);

/* In a forked child whose descriptor 0 leads elsewhere now: forgets what stdin
 * had read, and what came of it. */
void mpr_stdio_renew_input(void);

#endif
