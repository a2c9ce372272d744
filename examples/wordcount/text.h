/* SPDX-License-Identifier: MIT */
/*
 * text.h - the words in a segment of a file.
 *
 * A word is a maximal run of the bytes A-Z, a-z, 0-9 and '_'. It belongs to
 * the segment in which it begins: whoever counts a segment skips what is left
 * of a word that began before, and reads on beyond the end until the last word
 * is whole. Segments can therefore be cut anywhere, and each word of the file
 * is counted in exactly one of them.
 */
#ifndef WORDCOUNT_TEXT_H
#define WORDCOUNT_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "words.h"

/* A buffer for reading, kept from one segment to the next. All zero is empty;
 * it grows to the longest word. */
struct text {
	unsigned char *buf;
	size_t room;
};

void text_free(struct text *t);

/* Adds the words of len bytes of a file, beginning at from, to a table.
 * ret_bytes receives how many of them there are: a file may have become
 * shorter. UINT64_MAX for len goes to the end of the file. Returns 0, or
 * -errno if reading failed, when some of the words have been added. */
int text_count(struct text *t, int fd, uint64_t from, uint64_t len,
	       struct words *words, uint64_t *ret_bytes);

#endif
