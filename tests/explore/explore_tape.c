/* SPDX-License-Identifier: MIT */
/*
 * The tape of choices.
 *
 * A schedule runs along the tape from its start, and where that ends takes the
 * first way each time. Then the last choice that has another way left takes
 * it, and what came after is forgotten.
 */
#include <assert.h>

#include "explorer_priv.h"

#define TAPE 8192

struct choice {
	unsigned short ways;
	unsigned short taken;
};

static struct choice tape[TAPE];
static unsigned length;
static unsigned at;

void
explore_tape_clear(void)
{
	length = 0;
}

void
explore_tape_rewind(void)
{
	at = 0;
}

bool
explore_tape_next(void)
{
	while (length) {
		struct choice *last = &tape[length - 1];

		if (++last->taken < last->ways)
			return true;
		length--;
	}
	return false;
}

unsigned
explore_choose(unsigned n)
{
	struct choice *c = &tape[at];

	if (n == 1)
		return 0;
	assert(at < TAPE);
	if (at++ == length) {
		length++;
		*c = (struct choice){ .ways = (unsigned short)n };
	}
	/* Otherwise the scenario is not deterministic. */
	assert(c->ways == n);
	return c->taken;
}
