/* SPDX-License-Identifier: MIT */
/*
 * Finding keys, and what comes next. With the lock held, or by who reads without it
 * and does not believe what was found before the stripe's version is still the same:
 * so nothing that is read is used unchecked, and every walk ends, as orders only
 * rise.
 */
#include <errno.h>

#include "containers/table.h"

/* All that leads somewhere is loaded so. Acquire pairs with the release of who
 * changes links: what they lead to is there; and whoever reads without the lock
 * loads the version after that. */
static uint64_t
load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

static uint64_t
buckets_of(const struct mpr_visit *v)
{
	uint64_t cuts = load(&v->stripe->cuts);

	return mpr_buckets_after(cuts < MPR_TABLE_CUTS ? cuts : MPR_TABLE_CUTS);
}

bool
mpr_table_entry(const struct mpr_visit *v, uint64_t offset,
		struct mpr_item *ret_item)
{
	struct mpr_entry *e;
	uint64_t words;

	if (!mpr_heap_find_linked(v->arena, offset, &ret_item->ref) ||
	    ret_item->ref.size < sizeof(*e))
		return false;
	words = (ret_item->ref.size - sizeof(*e)) / sizeof(uint64_t);
	e = mpr_arena_at(v->arena, offset);
	ret_item->entry = e;
	ret_item->order = load(&e->order);
	ret_item->key = load(&e->key);
	ret_item->value = load(&e->value);
	return load(&e->stripe) == mpr_arena_offset(v->arena, v->stripe) &&
	       mpr_meta_is_sound(ret_item->key) &&
	       mpr_meta_is_sound(ret_item->value) &&
	       mpr_flat_words(ret_item->key) <= words &&
	       mpr_flat_words(ret_item->value) <=
		       words - mpr_flat_words(ret_item->key);
}

/* The entry that @link names. Returns 1; 0 if it names none; -EBADMSG. */
static int
follow(const struct mpr_visit *v, const _Atomic uint64_t *link,
       struct mpr_item *ret_item)
{
	uint64_t offset = load(link);

	if (!offset)
		return 0;
	return mpr_table_entry(v, offset, ret_item) ? 1 : -EBADMSG;
}

/* Returns 1; 0; -EAGAIN. */
static int
is_key(const struct mpr_visit *v, const struct mpr_key *key,
       const struct mpr_item *item)
{
	if (item->key != key->flat.meta)
		return 0;
	if (mpr_item_may_vanish(v, item))
		return -EAGAIN;
	return mpr_flat_is(&key->flat, mpr_item_key(item));
}

int
mpr_table_find(const struct mpr_visit *v, const struct mpr_key *key,
	       struct mpr_place *ret)
{
	_Atomic uint64_t *link =
		mpr_table_bucket(v, mpr_bucket_of(key->order, buckets_of(v)));
	uint64_t last = 0;
	bool first = true;
	int r, is;

	if (!link)
		return -EBADMSG;
	/* The place is behind those that come before, and behind those with the
	 * same hash up to the first order that is free. */
	ret->link = NULL;
	ret->order = key->order;
	ret->is_there = false;
	for (; (r = follow(v, link, &ret->item)) > 0;
	     link = &ret->item.entry->next) {
		uint64_t order = ret->item.order;

		if (!first && order <= last)
			return -EBADMSG;
		if (order > (key->order | MPR_ORDER_TIE))
			break;
		if (order >= key->order) {
			is = is_key(v, key, &ret->item);
			if (is < 0)
				return is;
			if (is) {
				ret->link = link;
				ret->order = order;
				ret->is_there = true;
				return 0;
			}
			if (!ret->link && order == ret->order)
				ret->order++;
			else if (!ret->link)
				ret->link = link;
		}
		last = order;
		first = false;
	}
	if (r < 0)
		return r;
	if (!ret->link)
		ret->link = link;
	return 0;
}

/* The first one in a chain. Returns as mpr_table_first(). */
static int
first_in(const struct mpr_visit *v, uint64_t bucket, uint64_t from,
	 struct mpr_place *ret)
{
	uint64_t last = 0;
	bool first = true;
	int r;

	ret->link = mpr_table_bucket(v, bucket);
	if (!ret->link)
		return -EBADMSG;
	while ((r = follow(v, ret->link, &ret->item)) > 0 &&
	       ret->item.order < from) {
		if (!first && ret->item.order <= last)
			return -EBADMSG;
		last = ret->item.order;
		first = false;
		ret->link = &ret->item.entry->next;
	}
	ret->order = ret->item.order;
	ret->is_there = r > 0;
	return r;
}

int
mpr_table_first(const struct mpr_visit *v, uint64_t from, struct mpr_place *ret)
{
	uint64_t n = buckets_of(v);
	/* Nobody puts one before that without a change of the version. */
	uint64_t first = load(&v->stripe->first);
	int r;

	if (from < first)
		from = first;
	while ((r = first_in(v, mpr_bucket_of(from, n), from, ret)) == 0) {
		/* Of the orders of one bucket all but the highest bits change. */
		from |= UINT64_MAX >> mpr_order_bits(from, n);
		if (from == UINT64_MAX)
			return 0;
		from++;
	}
	return r;
}
