/* SPDX-License-Identifier: MIT */
/*
 * problems.c - what could not be counted.
 */
#include "problems.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "words.h"

/* The names that were reported. A table of words holds any bytes; these have
 * their zero byte, because the empty name is one too. */
static struct words reported;

void
problems_print_name(const char *name)
{
	const unsigned char *c;

	for (c = (const unsigned char *)name; *c; c++) {
		if (*c < ' ' || *c == 0x7f)
			fprintf(stderr, "\\%03o", (unsigned)*c);
		else
			fputc(*c, stderr);
	}
}

void
problems_report(const char *name, const char *why)
{
	size_t size = strlen(name) + 1, known = reported.n_words;
	char *copy = memory_resize(NULL, 1, size + WORD_SLACK);

	memset(copy + size, 0, WORD_SLACK);
	memcpy(copy, name, size);
	words_add(&reported, copy, size, 1);
	free(copy);
	if (reported.n_words == known)
		return;
	fprintf(stderr, "wordcount: ");
	problems_print_name(name);
	fprintf(stderr, ": %s\n", why);
}

bool
problems_found(void)
{
	return reported.n_words > 0;
}
