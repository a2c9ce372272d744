/* SPDX-License-Identifier: MIT */
/*
 * words.c - a table of words and how often each occurs.
 *
 * Collisions go to the next slot. At most half of the slots are taken, except
 * that the table grows only when a word is added.
 *
 * One trap is built into adding words in the order of their hashes: in a table
 * that is too small for them all, they pile up at its front, each behind all
 * those before it. Whoever merges tables therefore reserves room first.
 */
#include "words.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

enum {
	SMALLEST_BITS = 10,
	CHUNK_ROOM = 64 * 1024,
	AHEAD = 16
};

/* The bytes of far words, one behind the other. */
struct words_chunk {
	struct words_chunk *next;
	size_t used;
	size_t room;
	char bytes[];
};

static uint64_t
mix(uint64_t x)
{
	x *= UINT64_C(0x9e3779b97f4a7c15);
	return x ^ (x >> 32);
}

static uint64_t
load(const char *bytes)
{
	uint64_t x;

	memcpy(&x, bytes, sizeof(x));
	return le64toh(x);
}

static uint64_t
low_bytes(uint64_t x, size_t n)
{
	return x & (UINT64_MAX >> (8 * (8 - n)));
}

static void
word_init(struct word *word, const char *bytes, size_t len, uint64_t count)
{
	uint64_t h;
	size_t i;

	word->count = count;
	if (len <= WORD_NEAR) {
		word->size = (uint32_t)len;
		word->near[0] = load(bytes);
		word->near[1] = load(bytes + 8);
		if (len <= 8) {
			word->near[0] = low_bytes(word->near[0], len);
			word->near[1] = 0;
		} else {
			word->near[1] = low_bytes(word->near[1], len - 8);
		}
		h = mix(mix(word->near[0]) + word->near[1]);
	} else {
		word->size = WORD_FAR;
		word->far.bytes = bytes;
		word->far.len = len;
		h = len;
		for (i = 0; i + 8 <= len; i += 8)
			h = mix(h + load(bytes + i));
		h = mix(h + load(bytes + len - 8));
	}
	word->hash = (uint32_t)(mix(h) >> 32);
}

static bool
word_same(const struct word *a, const struct word *b)
{
	if (a->hash != b->hash || a->size != b->size)
		return false;
	if (a->size == WORD_FAR)
		return a->far.len == b->far.len &&
		       !memcmp(a->far.bytes, b->far.bytes, a->far.len);
	return a->near[0] == b->near[0] && a->near[1] == b->near[1];
}

/* Where the search for a word begins. */
static size_t
place(const struct words *w, const struct word *word)
{
	return word->hash >> (32 - w->bits);
}

/* The slot in which a word is, or would be. */
static struct word *
find(const struct words *w, const struct word *word)
{
	size_t i = place(w, word);

	while (w->slots[i].count && !word_same(&w->slots[i], word))
		i = (i + 1) & (w->n_slots - 1);
	return &w->slots[i];
}

/*
 * The old table is read in the order of hashes, which is the trap above, but
 * the new one is at least twice as large, so there is no pile.
 */
static void
resize(struct words *w, unsigned bits)
{
	struct words old = *w;
	size_t i;

	w->bits = bits;
	w->n_slots = (size_t)1 << bits;
	w->slots = memory_resize(NULL, w->n_slots, sizeof(*w->slots));
	memset(w->slots, 0, w->n_slots * sizeof(*w->slots));
	for (i = 0; i < old.n_slots; i++) {
		if (old.slots[i].count)
			*find(w, &old.slots[i]) = old.slots[i];
	}
	free(old.slots);
}

/* Makes sure that n more words can be added without growing. */
static void
reserve(struct words *w, size_t n)
{
	unsigned bits = w->n_slots ? w->bits : SMALLEST_BITS;

	while (bits < 32 && (size_t)1 << bits < 2 * (w->n_words + n))
		bits++;
	if (!w->n_slots || bits > w->bits)
		resize(w, bits);
}

static void
free_chunks(struct words *w)
{
	struct words_chunk *chunk, *next;

	for (chunk = w->chunks; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	w->chunks = NULL;
}

void
words_free(struct words *w)
{
	free_chunks(w);
	free(w->slots);
	memset(w, 0, sizeof(*w));
}

void
words_clear(struct words *w)
{
	free_chunks(w);
	if (w->n_slots)
		memset(w->slots, 0, w->n_slots * sizeof(*w->slots));
	w->n_words = 0;
}

static const char *
keep(struct words *w, const char *bytes, size_t len)
{
	struct words_chunk *chunk = w->chunks;
	size_t room;
	char *kept;

	if (!chunk || chunk->room - chunk->used < len) {
		room = len > CHUNK_ROOM ? len : CHUNK_ROOM;
		chunk = memory_resize(NULL, 1, sizeof(*chunk) + room);
		chunk->next = w->chunks;
		chunk->used = 0;
		chunk->room = room;
		w->chunks = chunk;
	}
	kept = chunk->bytes + chunk->used;
	memcpy(kept, bytes, len);
	chunk->used += len;
	return kept;
}

static void
add(struct words *w, const struct word *word)
{
	struct word *slot;

	if (2 * w->n_words >= w->n_slots)
		reserve(w, 1);
	slot = find(w, word);
	if (slot->count) {
		slot->count += word->count;
		return;
	}
	*slot = *word;
	if (word->size == WORD_FAR)
		slot->far.bytes = keep(w, word->far.bytes, word->far.len);
	w->n_words++;
}

void
words_add(struct words *w, const void *bytes, size_t len, uint64_t count)
{
	struct word word;

	word_init(&word, bytes, len, count);
	add(w, &word);
}

void
words_merge(struct words *w, const struct word *slots, size_t n, size_t n_words)
{
	size_t i;

	reserve(w, n_words);
	for (i = 0; i < n; i++) {
		if (i + AHEAD < n)
			__builtin_prefetch(
				&w->slots[place(w, &slots[i + AHEAD])], 1);
		if (slots[i].count)
			add(w, &slots[i]);
	}
}

uint64_t
words_count(const struct words *w, const struct word *word)
{
	return w->n_slots ? find(w, word)->count : 0;
}

bool
words_equal(const struct words *a, const struct words *b)
{
	size_t i;

	if (a->n_words != b->n_words)
		return false;
	for (i = 0; i < a->n_slots; i++) {
		if (a->slots[i].count &&
		    a->slots[i].count != words_count(b, &a->slots[i]))
			return false;
	}
	return true;
}

uint64_t
words_total(const struct words *w)
{
	uint64_t total = 0;
	size_t i;

	for (i = 0; i < w->n_slots; i++)
		total += w->slots[i].count;
	return total;
}

const char *
word_bytes(const struct word *word, char near[WORD_NEAR])
{
	uint64_t x[2];

	if (word->size == WORD_FAR)
		return word->far.bytes;
	x[0] = htole64(word->near[0]);
	x[1] = htole64(word->near[1]);
	memcpy(near, x, sizeof(x));
	return near;
}
