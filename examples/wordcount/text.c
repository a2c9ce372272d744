/* SPDX-License-Identifier: MIT */
/*
 * text.c - the words in a segment of a file.
 *
 * The buffer holds the file from offset base on. A word that is not whole at
 * its end is moved to the front and the rest read behind it; the buffer grows
 * when a word fills half of it. Behind the last byte there is always one that
 * belongs to no word, so the inner loop need not look where it is, and then
 * the slack that the table may read.
 */
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory.h"

enum {
	READ_SIZE = 256 * 1024,
	BEYOND = 4096
};

static const bool in_word[256] = {
	['0'] = 1, ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1,
	['6'] = 1, ['7'] = 1, ['8'] = 1, ['9'] = 1, ['_'] = 1, ['A'] = 1,
	['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1, ['F'] = 1, ['G'] = 1,
	['H'] = 1, ['I'] = 1, ['J'] = 1, ['K'] = 1, ['L'] = 1, ['M'] = 1,
	['N'] = 1, ['O'] = 1, ['P'] = 1, ['Q'] = 1, ['R'] = 1, ['S'] = 1,
	['T'] = 1, ['U'] = 1, ['V'] = 1, ['W'] = 1, ['X'] = 1, ['Y'] = 1,
	['Z'] = 1, ['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1,
	['f'] = 1, ['g'] = 1, ['h'] = 1, ['i'] = 1, ['j'] = 1, ['k'] = 1,
	['l'] = 1, ['m'] = 1, ['n'] = 1, ['o'] = 1, ['p'] = 1, ['q'] = 1,
	['r'] = 1, ['s'] = 1, ['t'] = 1, ['u'] = 1, ['v'] = 1, ['w'] = 1,
	['x'] = 1, ['y'] = 1, ['z'] = 1,
};

void
text_free(struct text *t)
{
	free(t->buf);
	memset(t, 0, sizeof(*t));
}

/* Reads up to size bytes of the file behind the first kept of the buffer. */
static ssize_t
fill(struct text *t, int fd, uint64_t offset, size_t kept, size_t size)
{
	ssize_t n;

	if (offset > INT64_MAX)
		return 0;
	do
		n = pread(fd, t->buf + kept, size, (off_t)offset);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	t->buf[kept + (size_t)n] = ' ';
	return n;
}

/* Adds the whole words in buf[i..n) that begin before limit. Returns where the
 * first other one begins, or n. */
static size_t
scan(struct words *words, const unsigned char *buf, size_t i, size_t n,
     size_t limit)
{
	size_t start;

	for (;;) {
		while (i < n && !in_word[buf[i]])
			i++;
		if (i >= n || i >= limit)
			return i;
		start = i;
		while (in_word[buf[i]])
			i++;
		if (i == n)
			return start;
		words_add(words, buf + start, i - start, 1);
	}
}

int
text_count(struct text *t, int fd, uint64_t from, uint64_t len,
	   struct words *words, uint64_t *ret_bytes)
{
	uint64_t end = len > UINT64_MAX - from ? UINT64_MAX : from + len;
	uint64_t base = from ? from - 1 : 0, stop;
	bool skipping = from > 0;
	size_t kept = 0, i, n, want;
	ssize_t got;

	*ret_bytes = 0;
	do {
		if (t->room < READ_SIZE || kept > t->room / 2) {
			t->room = t->room ? 2 * t->room : READ_SIZE;
			t->buf = memory_resize(t->buf, 1,
					       t->room + 1 + WORD_SLACK);
		}
		want = t->room - kept;
		if (base + kept < end && end - base - kept < want - BEYOND)
			want = end - base - kept + BEYOND;
		got = fill(t, fd, base + kept, kept, want);
		if (got < 0)
			return (int)got;
		n = kept + (size_t)got;
		stop = base + n < end ? base + n : end;
		*ret_bytes = stop > from ? stop - from : 0;
		if (!got) {
			if (kept)
				words_add(words, t->buf, kept, 1);
			return 0;
		}
		i = 0;
		if (skipping) {
			while (in_word[t->buf[i]])
				i++;
			skipping = i == n;
		}
		if (i < n)
			i = scan(words, t->buf, i, n,
				 end - base < n ? end - base : n);
		kept = n - i;
		memmove(t->buf, t->buf + i, kept);
		base += i;
	} while (base < end);
	return 0;
}
