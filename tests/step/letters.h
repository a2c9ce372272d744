/* SPDX-License-Identifier: MIT */
/*
 * Texts of one letter, so long that what is torn shows.
 */
#ifndef STEP_LETTERS_H
#define STEP_LETTERS_H

#include <string.h>

#include "common.h"

enum { LEN = 300 };

static inline struct mproc_any
text_of(char text[LEN + 1], char c)
{
	memset(text, c, LEN);
	text[LEN] = '\0';
	return mproc_str(text);
}

/* The letter of a whole text. */
static inline char
letter_of(struct mproc_any *any)
{
	char text[LEN + 1], letter;

	assert_int_equal(any->kind, MPROC_STR);
	assert_int_equal(any->len, LEN);
	letter = *(const char *)any->ptr;
	text_of(text, letter);
	assert_memory_equal(any->ptr, text, LEN);
	mproc_any_clear(any);
	return letter;
}

#endif
