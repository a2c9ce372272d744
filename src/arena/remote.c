/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stddef.h>

#include "arena/remote.h"
#include "base/error.h"
#include "os/generation.h"

/* So many are given back before one comes to another use: a thread that was about to use
 * it as what it was finds meanwhile that it leads nowhere. */
#define REST MPR_REMOTES

/* Pages of it come with the first handle that lies in them. */
static struct mpr_remote range[MPR_REMOTES + REST];

/* With the process lock held: those that have been given back, the oldest first; how
 * many have been in use at all, and are. */
static struct mpr_remote *oldest, **newest = &oldest;
static unsigned used, n_taken;

/* Where in the range that would be. */
static uintptr_t
place_of(const void *p)
{
	return ((uintptr_t)p & ~MPR_REMOTE_FENCE) - (uintptr_t)range;
}

bool
mpr_remote_has(const void *p)
{
	uintptr_t at = place_of(p);

	return at < sizeof(range) && at % sizeof(range[0]) == 0;
}

struct mpr_remote *
mpr_remote_at(const void *p)
{
	struct mpr_remote *remote;

	if (!mpr_remote_has(p))
		return NULL;
	remote = &range[place_of(p) / sizeof(range[0])];
	/* Acquire pairs with the release of who sets it: kind and id are there. */
	return atomic_load_explicit(&remote->owner, memory_order_acquire) ?
		       remote : NULL;
}

void *
mpr_remote_fenced(const struct mpr_remote *remote)
{
	return (void *)((uintptr_t)remote | MPR_REMOTE_FENCE);
}

/* Who has the array that it leads to. */
static int
find_owner(const void *handle, const struct mpr_remote **ret,
	   struct mpr_remote_owner **ret_owner)
{
	if (!((uintptr_t)handle & MPR_REMOTE_FENCE))
		return mpr_fail(-EINVAL, "%p is a handle to something else", handle);
	*ret = mpr_remote_at(handle);
	*ret_owner = *ret ? atomic_load_explicit(&(*ret)->owner,
						 memory_order_relaxed) : NULL;
	return *ret_owner ? 0 : mpr_fail(-ESTALE, "%p was destroyed, or its manager closed",
					 handle);
}

int
mpr_remote_array_len(const void *handle, size_t *ret_len)
{
	const struct mpr_remote *remote;
	struct mpr_remote_owner *owner;
	int r = find_owner(handle, &remote, &owner);

	return r < 0 ? r : owner->len(owner, remote, ret_len);
}

int
mpr_remote_array_destroy(const void *handle)
{
	const struct mpr_remote *remote;
	struct mpr_remote_owner *owner;
	int r = find_owner(handle, &remote, &owner);

	return r < 0 ? r : owner->destroy(owner, remote);
}

int
mpr_remote_beside(const struct mpr_remote *remote, int64_t id, void **ret)
{
	struct mpr_remote_owner *owner =
		remote ? atomic_load_explicit(&remote->owner, memory_order_relaxed) :
			 NULL;

	return owner ? owner->beside(owner, remote, id, ret) :
		       mpr_fail(-ESTALE, "the manager of %p was closed",
				(const void *)remote);
}

struct mpr_remote *
mpr_remote_take(void)
{
	struct mpr_remote *remote = NULL;

	mpr_process_lock();
	if (n_taken < MPR_REMOTES && used < MPR_REMOTES + REST) {
		remote = &range[used++];
	} else if (n_taken < MPR_REMOTES) {
		remote = oldest;
		oldest = remote->next;
		if (!oldest)
			newest = &oldest;
	}
	n_taken += remote != NULL;
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
	n_taken--;
	mpr_process_unlock();
}
