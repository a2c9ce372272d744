/* SPDX-License-Identifier: MIT */
/*
 * answer.c - what a count came to, and how it is printed.
 */
#include "answer.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

/*
 * A word to be sorted. Its first bytes as two big-endian numbers settle nearly
 * all comparisons without a look anywhere else. No word has a zero byte, so
 * what is shorter comes first.
 */
struct entry {
	uint64_t count;
	uint64_t first[2];
	const struct word *word;
};

static void
entry_init(struct entry *e, const struct word *word)
{
	char near[WORD_NEAR];
	uint64_t x[2];

	memcpy(x, word_bytes(word, near), sizeof(x));
	e->count = word->count;
	e->first[0] = be64toh(x[0]);
	e->first[1] = be64toh(x[1]);
	e->word = word;
}

static int
compare(const void *x, const void *y)
{
	const struct entry *a = x, *b = y;
	uint64_t a_len, b_len;
	int r = 0;

	if (a->count != b->count)
		return a->count > b->count ? -1 : 1;
	if (a->first[0] != b->first[0])
		return a->first[0] < b->first[0] ? -1 : 1;
	if (a->first[1] != b->first[1])
		return a->first[1] < b->first[1] ? -1 : 1;
	a_len = word_len(a->word);
	b_len = word_len(b->word);
	if (a_len > WORD_NEAR && b_len > WORD_NEAR)
		r = memcmp(a->word->far.bytes, b->word->far.bytes,
			   a_len < b_len ? a_len : b_len);
	return r ? r : (a_len > b_len) - (a_len < b_len);
}

/* Sorts the words, or at least the top ones to the front. Returns how many of
 * the entries are valid. */
static size_t
sort(const struct words *w, size_t top, struct entry *entries, size_t room)
{
	size_t i, n = 0, n_best = 0;

	for (i = 0; i < w->n_slots; i++) {
		if (!w->slots[i].count)
			continue;
		if (n == room) {
			qsort(entries, n, sizeof(*entries), compare);
			n = n_best = top;
		}
		entry_init(&entries[n], &w->slots[i]);
		/* Most words are worse than the best so far. */
		if (!n_best || compare(&entries[n], &entries[n_best - 1]) < 0)
			n++;
	}
	qsort(entries, n, sizeof(*entries), compare);
	return n;
}

int
answer_print(const struct answer *a, size_t top)
{
	size_t n = a->words.n_words, room = n, i;
	struct entry *entries;
	char near[WORD_NEAR];

	if (top == 0)
		return 0;
	if (top < n / 4)
		room = 2 * top + 1024;
	entries = memory_resize(NULL, room, sizeof(*entries));
	n = sort(&a->words, top, entries, room);
	for (i = 0; i < n && i < top; i++) {
		printf("%" PRIu64 "\t", entries[i].count);
		fwrite(word_bytes(entries[i].word, near), 1,
		       word_len(entries[i].word), stdout);
		putchar('\n');
	}
	free(entries);
	errno = EIO;
	return fflush(stdout) || ferror(stdout) ? -errno : 0;
}

void
answer_print_totals(const struct answer *a)
{
	fprintf(stderr,
		"%" PRIu64 " files, %.1f MB, %" PRIu64
		" words, %zu distinct; %.2f s, %.0f MB/s with %u worker%s\n",
		a->files, (double)a->bytes / 1e6, words_total(&a->words),
		a->words.n_words, a->seconds,
		(double)a->bytes / 1e6 / a->seconds, a->workers,
		a->workers == 1 ? "" : "s");
	if (a->accidents)
		fprintf(stderr, "%u worker%s died and %s replaced\n",
			a->accidents, a->accidents == 1 ? "" : "s",
			a->accidents == 1 ? "was" : "were");
}

void
answer_free(struct answer *a)
{
	words_free(&a->words);
}
