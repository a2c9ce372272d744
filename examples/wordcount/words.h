/* SPDX-License-Identifier: MIT */
/*
 * words.h - a table of words and how often each occurs.
 *
 * Open addressing over slots of 32 bytes. A word of up to 16 bytes, which nine
 * of ten are, lies in its slot as two numbers, so finding it takes two
 * comparisons and touches one cache line; a longer one lies in a chunk of the
 * table's own. uthash, which allocates an entry for each word and follows a
 * chain to it, took 1.6 times as long for the same text.
 *
 * A slot's place is given by the upper bits of the hash. Walking the slots
 * therefore visits the words in the order of their hashes, and adding them to
 * another table in that order goes through its memory from the front to the
 * back. That is what makes merging many tables into one cheap.
 */
#ifndef WORDCOUNT_WORDS_H
#define WORDCOUNT_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	WORD_NEAR = 16, /* bytes that fit into the slot */
	WORD_FAR = 17,  /* the size of all that do not */
	WORD_SLACK = 16 /* bytes that may be read beyond a word to be added */
};

/**
 * struct word - one word
 * @count: how often it occurs; 0 in a free slot
 * @hash:  of its bytes
 * @size:  1 to WORD_NEAR, or WORD_FAR
 * @near:  its bytes as two little-endian numbers, padded with zeros
 * @far:   where its bytes lie, and how many there are
 */
struct word {
	uint64_t count;
	uint32_t hash;
	uint32_t size;

	union {
		uint64_t near[2];

		struct {
			const char *bytes;
			uint64_t len;
		} far;
	};
};

struct words_chunk;

/* All zero is an empty table. */
struct words {
	struct word *slots;
	size_t n_slots; /* a power of two */
	unsigned bits;  /* its logarithm */
	size_t n_words;
	struct words_chunk *chunks;
};

/* Gives the memory back; the table is empty and may be used again. */
void words_free(struct words *w);

/* Empties the table and keeps its slots. */
void words_clear(struct words *w);

/* Adds count to a word of at least one byte; WORD_SLACK bytes behind it must be
 * readable. */
void words_add(struct words *w, const void *bytes, size_t len, uint64_t count);

/* Adds the words in n slots of another table, of which n_words are not free,
 * and which are in the order of their hashes. */
void words_merge(struct words *w, const struct word *slots, size_t n,
		 size_t n_words);

/* How often a word occurs that is given by a slot of another table. */
uint64_t words_count(const struct words *w, const struct word *word);

/* Have the two tables the same words, each as often? */
bool words_equal(const struct words *a, const struct words *b);

/* All occurrences of all words. */
uint64_t words_total(const struct words *w);

/* The bytes of a word; near receives them if they lie in the slot. */
const char *word_bytes(const struct word *word, char near[WORD_NEAR]);

static inline uint64_t
word_len(const struct word *word)
{
	return word->size == WORD_FAR ? word->far.len : word->size;
}

#endif
