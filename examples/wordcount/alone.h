/* SPDX-License-Identifier: MIT */
/*
 * alone.h - the whole count by this process, without workers and queues.
 *
 * It does the same work in the same order: tasks, a table for each, and these
 * merged into one. That is faster than one large table from the start, because
 * the small ones stay in the cache, so the comparison is a fair one.
 */
#ifndef WORDCOUNT_ALONE_H
#define WORDCOUNT_ALONE_H

#include "answer.h"
#include "options.h"

/* Counts until all is counted, about so many bytes, or the program is
 * interrupted. */
void alone_run(const struct options *o, uint64_t bytes,
	       struct answer *ret_answer);

#endif
