/* SPDX-License-Identifier: MIT */
/*
 * answer.h - what a count came to, and how it is printed.
 */
#ifndef WORDCOUNT_ANSWER_H
#define WORDCOUNT_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "words.h"

/**
 * struct answer - what a count came to
 * @words:     the words
 * @files:     how many files were counted
 * @bytes:     how many bytes they had
 * @seconds:   how long it took
 * @workers:   how many processes counted
 * @kills:     how many of them were killed on purpose
 * @accidents: how many ended early otherwise
 */
struct answer {
	struct words words;
	uint64_t files;
	uint64_t bytes;
	double seconds;
	unsigned workers;
	unsigned kills;
	unsigned accidents;
};

/* Prints count, tab and word for the top words, the most frequent first and
 * among equals in the order of bytes, to standard output. Returns 0 or
 * -errno. */
int answer_print(const struct answer *a, size_t top);

/* Prints the totals to standard error. */
void answer_print_totals(const struct answer *a);

void answer_free(struct answer *a);

#endif
