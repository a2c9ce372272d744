/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <string.h>

#include "base/copy.h"
#include "base/macros.h"

/*
 * From a few KiB on up to what a cache holds, the C library copies by "rep movsb"
 * where the CPU says that it does that well. Some (AMD since Zen 3) do it 20 times
 * slower than anything else if the destination lies a little behind the source, not
 * counting whole pages: as where one is at a page's beginning, and the other is
 * what malloc() made of pages, 16 bytes behind that. There each load seems to
 * depend on the stores before it, which from the end on it does not. Wrong values
 * cost time only.
 */
#define PAGE 4096
#define BAD_DISTANCE 64 /* a vector of AVX-512 */
#define PIECE 64

void
mpr_copy_long(void *to, const void *from, size_t len)
{
	size_t distance = ((uintptr_t)to - (uintptr_t)from) % PAGE;
	unsigned char *t = to;
	const unsigned char *f = from;

	if (mpr_unlikely(distance - 1 < BAD_DISTANCE - 1)) {
		for (; len >= PIECE; len -= PIECE) {
			memcpy(t + len - 16, f + len - 16, 16);
			memcpy(t + len - 32, f + len - 32, 16);
			memcpy(t + len - 48, f + len - 48, 16);
			memcpy(t + len - 64, f + len - 64, 16);
		}
	}
	memcpy(t, f, len);
}

/* A line at a time: in groups, or after the copy, a long message takes up to twice as
 * long. */
void
mpr_copy_taking(void *to, void *from, size_t len)
{
	size_t before = -(uintptr_t)from % MPR_LINE;
	unsigned char *f = from, *t = to;

	if (before > len)
		before = len;
	memcpy(t, f, before);
	t += before;
	f += before;
	for (len -= before; len >= MPR_LINE; len -= MPR_LINE) {
		memcpy(t, f, MPR_LINE);
		mpr_write_as_it_is(f);
		t += MPR_LINE;
		f += MPR_LINE;
	}
	memcpy(t, f, len);
}

#ifdef __x86_64__

void
mpr_copy_past(void *to, const void *from, size_t len)
{
	size_t before = -(uintptr_t)to % MPR_LINE;
	const unsigned char *f = from;
	unsigned char *t = to;

	if (before > len)
		before = len;
	memcpy(t, f, before);
	t += before;
	f += before;
	for (len -= before; len >= MPR_LINE; len -= MPR_LINE) {
		mpr_store_line_past(t, f);
		t += MPR_LINE;
		f += MPR_LINE;
	}
	memcpy(t, f, len);
	/* No later store waits for such stores by itself, not even a release. */
	mpr_fence_stores_past();
}

#else

void
mpr_copy_past(void *to, const void *from, size_t len)
{
	mpr_copy_long(to, from, len);
}

#endif
