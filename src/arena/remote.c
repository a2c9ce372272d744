/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "arena/remote.h"
#include "os/generation.h"

/* Pages of it come with the first handle that lies in them. */
static struct mpr_remote range[MPR_REMOTES];

/* With the process lock held: those that have been given back, the oldest first, and
 * how many have been in use at all. */
static struct mpr_remote *oldest, **newest = &oldest;
static unsigned used;

bool
mpr_remote_has(const void *p)
{
	uintptr_t at = (uintptr_t)p - (uintptr_t)range;

	return at < sizeof(range) && at % sizeof(range[0]) == 0;
}

struct mpr_remote *
mpr_remote_at(const void *p)
{
	struct mpr_remote *remote;

	if (!mpr_remote_has(p))
		return NULL;
	remote = &range[((uintptr_t)p - (uintptr_t)range) / sizeof(range[0])];
	/* Acquire pairs with the release of who sets it: kind and id are there. */
	return atomic_load_explicit(&remote->owner, memory_order_acquire) ?
		       remote : NULL;
}

struct mpr_remote *
mpr_remote_take(void)
{
	struct mpr_remote *remote = NULL;

	mpr_process_lock();
	if (used < MPR_REMOTES) {
		remote = &range[used++];
	} else if (oldest) {
		remote = oldest;
		oldest = remote->next;
		if (!oldest)
			newest = &oldest;
	}
	mpr_process_unlock();
	if (remote)
		atomic_store_explicit(&remote->word, MPR_REMOTE_WORD,
				      memory_order_relaxed);
	return remote;
}

void
mpr_remote_give(struct mpr_remote *remote)
{
	atomic_store_explicit(&remote->owner, NULL, memory_order_relaxed);
	mpr_process_lock();
	remote->next = NULL;
	*newest = remote;
	newest = &remote->next;
	mpr_process_unlock();
}
