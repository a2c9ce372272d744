/* SPDX-License-Identifier: MIT */
/*
 * progress.h - a line on the terminal that says how far the work is.
 */
#ifndef WORDCOUNT_PROGRESS_H
#define WORDCOUNT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct progress - how far the work is
 * @shown:       standard error is a terminal
 * @began:       when, by mproc_now()
 * @next:        when the line is to be written again
 * @files:       files behind us
 * @bytes:       bytes behind us
 * @total_bytes: bytes in all, as far as is known
 * @total_known: that is really all
 */
struct progress {
	bool shown;
	int64_t began;
	int64_t next;
	uint64_t files;
	uint64_t bytes;
	uint64_t total_bytes;
	bool total_known;
};

void progress_start(struct progress *p);

/* Writes the line if it is time to. */
void progress_show(struct progress *p);

/* Wipes the line out. */
void progress_end(struct progress *p);

#endif
