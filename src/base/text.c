/* SPDX-License-Identifier: MIT */
#include "base/macros.h"
#include "base/text.h"

#define DIGITS 20 /* of the largest number, in decimal */

static void
add_char(struct mpr_text *text, char c)
{
	if (text->length < text->size && !text->full)
		text->to[text->length++] = c;
	else
		text->full = true;
}

MPR_CHILD_PATH void
mpr_text_add(struct mpr_text *text, const char *s)
{
	for (; *s; s++)
		add_char(text, *s);
}

static void
add_digits(struct mpr_text *text, uint64_t n, unsigned base, unsigned digits)
{
	char reversed[DIGITS];
	unsigned count = 0;

	do {
		reversed[count++] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n);
	for (; digits > count; digits--)
		add_char(text, '0');
	while (count)
		add_char(text, reversed[--count]);
}

MPR_CHILD_PATH void
mpr_text_add_number(struct mpr_text *text, int64_t n)
{
	uint64_t size = (uint64_t)n;

	if (n < 0) {
		add_char(text, '-');
		size = -size;
	}
	add_digits(text, size, 10, 1);
}

void
mpr_text_add_hex(struct mpr_text *text, uint64_t n, unsigned digits)
{
	mpr_text_add(text, "0x");
	add_digits(text, n, 16, digits);
}
