/* SPDX-License-Identifier: MIT */
/*
 * chaos.c - when to kill a worker.
 */
#include "chaos.h"

#include <mproc/mproc.h>
#include <unistd.h>

static const int64_t MS = 1000 * 1000;

enum {
	EARLY_KILLS = 3
};

void
chaos_start(struct chaos *c, bool wanted)
{
	int64_t now = mproc_now();

	c->wanted = wanted;
	c->next = now + 5 * MS;
	c->attempts = 0;
	c->n_done = 0;
	c->random = (uint64_t)now ^ (uint64_t)getpid() << 32;
}

/* splitmix64 */
static uint64_t
draw(struct chaos *c)
{
	uint64_t x = c->random += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

bool
chaos_holds_back(const struct chaos *c)
{
	return c->wanted && c->attempts < EARLY_KILLS;
}

bool
chaos_strikes(struct chaos *c, size_t n_done, uint64_t *ret_random)
{
	int64_t now, pause;

	if (!c->wanted || (c->attempts >= EARLY_KILLS && n_done == c->n_done))
		return false;
	now = mproc_now();
	if (now < c->next)
		return false;
	c->attempts++;
	c->n_done = n_done;
	pause = chaos_holds_back(c) ? 20 * MS
				    : (50 + (int64_t)(draw(c) % 151)) * MS;
	c->next = now + pause;
	*ret_random = draw(c);
	return true;
}
