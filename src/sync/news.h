/* SPDX-License-Identifier: MIT */
/*
 * What is waited for together with other things (sync/many.h), as one who waits has
 * seen it: an event, or a future.
 */
#ifndef MPR_SYNC_NEWS_H
#define MPR_SYNC_NEWS_H

#include <stdbool.h>
#include <stdint.h>

enum mpr_news_is {
	MPR_NEWS_NONE = 0,
	MPR_NEWS_READY, /* and stays so for who has seen it as it was */
	MPR_NEWS_CARE, /* none, but who waits has something to do first */
};

struct mpr_news {
	void *object; /* NULL: there is none */
	/* @waits: the caller has announced itself, and the object is told that
	 * somebody waits if there is none. Never blocks. */
	enum mpr_news_is (*look)(const struct mpr_news *seen, bool waits);
	/* How it was. */
	uint64_t word;
	uint32_t generation;
};

static inline enum mpr_news_is
mpr_news_look(const struct mpr_news *seen, bool waits)
{
	return seen->look(seen, waits);
}

#endif
