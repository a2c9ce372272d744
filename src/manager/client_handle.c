/* SPDX-License-Identifier: MIT */
/*
 * The handles that a connection has given. One is given back when its object was
 * destroyed by this process; or by somebody else, which is asked when there are no more.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "manager/client_priv.h"
#include "os/clock.h"

/* What is one behind the other in the manager's table is in different ones. */
static struct mpr_remote **
bucket_of(struct mpr_client *c, int64_t id)
{
	return &c->handles[(uint64_t)id % MPR_CLIENT_BUCKETS];
}

void
mpr_client_drop(struct mpr_client *c, const struct mpr_remote *remote, int64_t id)
{
	struct mpr_remote **link, *found;

	mpr_client_lock(c);
	link = bucket_of(c, id);
	/* It may have come to another use. */
	while (*link && (*link != remote || (*link)->id != id))
		link = &(*link)->next;
	found = *link;
	if (found)
		*link = found->next;
	mpr_client_unlock(c);
	if (found)
		mpr_remote_give(found);
}

void
mpr_client_drop_all(struct mpr_client *c)
{
	struct mpr_remote *next;

	for (unsigned i = 0; i < MPR_CLIENT_BUCKETS; i++)
		for (struct mpr_remote *remote = c->handles[i]; remote;
		     remote = next) {
			next = remote->next;
			mpr_remote_give(remote);
		}
}

/* Those that there are, for who does not hold the lock. Returns how many. */
static size_t
list(struct mpr_client *c, struct mpr_remote **handles)
{
	size_t n = 0;

	mpr_client_lock(c);
	for (unsigned i = 0; i < MPR_CLIENT_BUCKETS; i++)
		for (struct mpr_remote *remote = c->handles[i];
		     remote && n < MPR_REMOTES; remote = remote->next)
			handles[n++] = remote;
	mpr_client_unlock(c);
	return n;
}

/* Those whose objects are not there any more. */
static void
drop_stale(struct mpr_client *c)
{
	struct mpr_remote **handles = mpr_malloc(MPR_REMOTES * sizeof(*handles));
	size_t n = handles ? list(c, handles) : 0;
	int r = 0;

	for (size_t i = 0; i < n && r != -EPIPE && r != -EINTR; i++) {
		struct mpr_remote_call call = { .op = MPR_OP_CHECK };
		const int64_t id = handles[i]->id;

		r = mpr_client_call(c, id, &call, MPR_NEVER);
		if (r == -ESTALE)
			mpr_client_drop(c, handles[i], id);
	}
	free(handles);
}

static struct mpr_remote *
find(struct mpr_client *c, enum mpr_cell_kind kind, int64_t id)
{
	struct mpr_remote *remote = *bucket_of(c, id);

	while (remote && (remote->kind != kind || remote->id != id))
		remote = remote->next;
	return remote;
}

/* The one that there is; or @fresh, if it is not NULL, which is *@ret then. */
static void
find_or_enter(struct mpr_client *c, enum mpr_cell_kind kind, int64_t id,
	      struct mpr_remote *fresh, struct mpr_remote **ret)
{
	mpr_client_lock(c);
	*ret = find(c, kind, id);
	if (!*ret && fresh) {
		*ret = fresh;
		fresh->kind = kind;
		fresh->id = id;
		fresh->next = *bucket_of(c, id);
		*bucket_of(c, id) = fresh;
		/* Release: see mpr_remote_at(). */
		atomic_store_explicit(&fresh->owner, &c->owner,
				      memory_order_release);
	}
	mpr_client_unlock(c);
}

int
mpr_client_handle(struct mpr_client *c, enum mpr_cell_kind kind, int64_t id,
		  void **ret)
{
	struct mpr_remote *remote, *fresh = NULL;

	find_or_enter(c, kind, id, NULL, &remote);
	if (!remote) {
		fresh = mpr_remote_take();
		if (!fresh) {
			drop_stale(c);
			fresh = mpr_remote_take();
		}
		find_or_enter(c, kind, id, fresh, &remote);
	}
	if (fresh && fresh != remote)
		mpr_remote_give(fresh);
	if (!remote)
		return mpr_fail(-ENOSPC, "this process has %d objects of managers "
				"already", MPR_REMOTES);
	*ret = remote;
	return 0;
}
