/* SPDX-License-Identifier: MIT */
/*
 * Text put together without the C library's printf: async-signal-safe, no
 * locale, no allocation. What does not fit is dropped, and the text is full
 * from then on. There is no terminating zero.
 */
#ifndef MPR_BASE_TEXT_H
#define MPR_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mpr_text {
	char *to;
	size_t size;
	size_t length; /* at most @size */
	bool full;
};

void mpr_text_add(struct mpr_text *text, const char *s);

/* In decimal. */
void mpr_text_add_number(struct mpr_text *text, int64_t n);

/* In hexadecimal, with 0x before it, and zeros up to @digits of them. */
void mpr_text_add_hex(struct mpr_text *text, uint64_t n, unsigned digits);

#endif
