/* SPDX-License-Identifier: MIT */
/*
 * Bytes from strangers: handshakes that are nearly right, changed at random. With
 * AddressSanitizer, and in fuzz_wire.c, what is read or written beside is seen, too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mpt.h"
#include "mpt_rand.h"
#include "wire.h"

#define INPUT 200

static unsigned
rounds(void)
{
	const char *level = getenv("MPT_LEVEL");

	if (level && strcmp(level, "quick") == 0)
		return 20000;
	return level && strcmp(level, "full") == 0 ? 20000000 : 100000;
}

/* What one would say who has the key, as far as that can be known. */
static const struct {
	const char *bytes;
	size_t n;
} grains[] = {
	{ "\0\0\0\73#CHALLENGE#{sha256}0123456789012345678901234567890123456789",
	  63 },
	{ "\0\0\0\37#CHALLENGE#01234567890123456789", 35 },
	{ "\0\0\0\50{sha256}0123456789abcdef0123456789abcdef", 44 },
	{ "\0\0\0\20" "0123456789abcdef", 20 },
	{ "\0\0\0\25{md5}0123456789abcdef", 25 },
	{ "\0\0\0\11#WELCOME#", 13 },
	{ "\0\0\0\11#FAILURE#", 13 },
	{ "\xff\xff\xff\xff\0\0\0\0\0\0\0\11#WELCOME#", 21 },
	{ "\0\0\0\0", 4 },
};

#define GRAINS (sizeof(grains) / sizeof(grains[0]))

static size_t
grow(struct mpt_rand *rand, unsigned char *to)
{
	size_t n = 0;

	to[n++] = (unsigned char)mpt_rand_next(rand);
	while (mpt_rand_below(rand, 4)) {
		size_t i = (size_t)mpt_rand_below(rand, GRAINS);

		if (n + grains[i].n > INPUT)
			break;
		memcpy(to + n, grains[i].bytes, grains[i].n);
		n += grains[i].n;
	}
	for (uint64_t i = mpt_rand_below(rand, 6); i; i--)
		to[mpt_rand_below(rand, n)] ^=
			(unsigned char)(1u << mpt_rand_below(rand, 8));
	/* Torn anywhere. */
	return mpt_rand_below(rand, 4) ? n : 1 + mpt_rand_below(rand, n);
}

static void
no_stranger_gets_in(void **state)
{
	unsigned char input[INPUT];
	struct mpt_rand rand;
	unsigned n = rounds();

	mpt_watchdog(*state, 120);
	mpt_rand_init(&rand, mpt_seed());
	for (unsigned i = 0; i < n; i++) {
		size_t len = grow(&rand, input);
		/* Of that size exactly, so that a read beside is one. */
		unsigned char *copy = malloc(len);

		assert_non_null(copy);
		memcpy(copy, input, len);
		if (wire_one_input(copy, len))
			fail_msg("round %u", i);
		free(copy);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(no_stranger_gets_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
