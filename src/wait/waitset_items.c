/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "wait/waitset.h"

#define FIRST 16

static uint64_t
key_of(const struct mproc_waitable *what)
{
	return what->kind == MPROC_WAIT_FD ? (uint64_t)what->fd :
					     (uintptr_t)what->object;
}

static unsigned
bucket_of(const struct mproc_waitable *what, unsigned size)
{
	uint64_t hash = (key_of(what) + (uint64_t)what->kind) *
			UINT64_C(0x9e3779b97f4a7c15);

	return (unsigned)(hash >> 32) & (size - 1);
}

static bool
are_same(const struct mproc_waitable *a, const struct mproc_waitable *b)
{
	return a->kind == b->kind && key_of(a) == key_of(b);
}

struct mpr_waitset_item *
mpr_waitset_find(const mproc_waitset *w, const struct mproc_waitable *what)
{
	struct mpr_waitset_item *item =
		w->size ? w->buckets[bucket_of(what, w->size)] : NULL;

	while (item && !are_same(&item->what, what))
		item = item->next_in_bucket;
	return item;
}

struct mpr_waitset_item *
mpr_waitset_numbered(const mproc_waitset *w, uint64_t id)
{
	uint32_t at = (uint32_t)id;

	/* What was closed before it was removed may be told for ever. */
	return at < w->size && w->items[at] && w->items[at]->id == id ?
		       w->items[at] : NULL;
}

static void
put_into_bucket(mproc_waitset *w, struct mpr_waitset_item *item)
{
	struct mpr_waitset_item **bucket =
		&w->buckets[bucket_of(&item->what, w->size)];

	item->next_in_bucket = *bucket;
	*bucket = item;
}

static int
grow(mproc_waitset *w)
{
	unsigned size = w->size ? 2 * w->size : FIRST;
	struct mpr_waitset_item **items = mpr_zalloc(size * sizeof(*items));
	struct mpr_waitset_item **buckets = mpr_zalloc(size * sizeof(*items));
	struct mpr_waitset_item **old_items = w->items, **old_buckets = w->buckets;

	if (!items || !buckets) {
		free(items);
		free(buckets);
		return -ENOMEM;
	}
	if (w->size)
		memcpy(items, w->items, w->size * sizeof(*items));
	w->items = items;
	w->buckets = buckets;
	w->next_free = w->size;
	w->size = size;
	for (unsigned i = 0; i < w->next_free; i++)
		if (items[i])
			put_into_bucket(w, items[i]);
	/* Last: a child that is forked here, and closes the set, finds one or the
	 * other. */
	free(old_items);
	free(old_buckets);
	return 0;
}

int
mpr_waitset_enter(mproc_waitset *w, const struct mproc_waitable *what,
		  struct mpr_waitset_item **ret_item)
{
	struct mpr_waitset_item *item;

	if (mpr_waitset_find(w, what))
		return mpr_fail(-EEXIST, "this is in the set already");
	item = mpr_zalloc(sizeof(*item));
	if (!item || (w->n == w->size && grow(w) < 0)) {
		free(item);
		return mpr_fail(-ENOMEM, "no memory for %u items", w->n + 1);
	}
	while (w->items[w->next_free & (w->size - 1)])
		w->next_free++;
	w->next_free &= w->size - 1;
	item->what = *what;
	item->what.ret_events = 0;
	item->id = (uint64_t)w->serial++ << 32 | w->next_free;
	w->items[w->next_free] = item;
	w->n++;
	put_into_bucket(w, item);
	*ret_item = item;
	return 0;
}

void
mpr_waitset_drop(mproc_waitset *w, struct mpr_waitset_item *item)
{
	struct mpr_waitset_item **link =
		&w->buckets[bucket_of(&item->what, w->size)];

	while (*link != item)
		link = &(*link)->next_in_bucket;
	*link = item->next_in_bucket;
	w->next_free = (uint32_t)item->id;
	w->items[w->next_free] = NULL;
	w->n--;
	if (w->cares == item)
		w->cares = NULL;
	mpr_waitset_look_away(w, item);
	free(item);
}

void
mpr_waitset_look_at(mproc_waitset *w, struct mpr_waitset_item *item)
{
	if (item->next_look)
		return;
	w->n_looks++;
	if (w->looks) {
		item->next_look = w->looks;
		item->previous_look = w->looks->previous_look;
		item->previous_look->next_look = item;
		item->next_look->previous_look = item;
	} else {
		item->next_look = item->previous_look = item;
		w->looks = item;
	}
}

void
mpr_waitset_look_away(mproc_waitset *w, struct mpr_waitset_item *item)
{
	if (!item->next_look)
		return;
	w->n_looks--;
	item->next_look->previous_look = item->previous_look;
	item->previous_look->next_look = item->next_look;
	if (w->looks == item)
		w->looks = item->next_look != item ? item->next_look : NULL;
	item->next_look = item->previous_look = NULL;
}
