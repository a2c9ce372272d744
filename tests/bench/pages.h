/* SPDX-License-Identifier: MIT */
/*
 * Long messages that can be verified without being read in whole: in each page of
 * 4 KiB the first word tells the message's number and the page's; what is between is
 * the same in all, and looked at in some.
 */
#ifndef BENCH_PAGES_H
#define BENCH_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BENCH_PAGE 4096

static inline uint64_t
bench_page_word(uint64_t number, size_t at)
{
	return number * UINT64_C(0x9e3779b97f4a7c15) + at;
}

static inline unsigned char
bench_page_byte(size_t at)
{
	return (unsigned char)(at * 131 + at / BENCH_PAGE);
}

/* What all messages have between their words. */
static inline void
bench_pages_fill(unsigned char *p, size_t size)
{
	for (size_t at = 0; at < size; at++)
		p[at] = bench_page_byte(at);
}

static inline void
bench_pages_stamp(unsigned char *p, size_t size, uint64_t number)
{
	uint64_t word;

	for (size_t at = 0; at + sizeof(word) <= size; at += BENCH_PAGE) {
		word = bench_page_word(number, at);
		memcpy(p + at, &word, sizeof(word));
	}
}

static inline bool
bench_pages_are(const unsigned char *p, size_t size, uint64_t number)
{
	uint64_t word;

	for (size_t at = 0; at + sizeof(word) <= size; at += BENCH_PAGE) {
		memcpy(&word, p + at, sizeof(word));
		if (word != bench_page_word(number, at))
			return false;
	}
	return true;
}

/* Every byte but the words. */
static inline bool
bench_pages_are_whole(const unsigned char *p, size_t size)
{
	for (size_t at = 0; at < size; at++)
		if (at % BENCH_PAGE >= sizeof(uint64_t) &&
		    p[at] != bench_page_byte(at))
			return false;
	return true;
}

#endif
