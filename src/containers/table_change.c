/* SPDX-License-Identifier: MIT */
/*
 * Changes of a stripe, whose lock is held. An entry gets into a chain and out of it
 * by one store of the link to it; what may come between is in the hands of the
 * heap's recovery (mpr_block_link()), and of table_repair.c.
 */
#include <errno.h>

#include "base/error.h"
#include "containers/table.h"

static uint64_t
load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

/* Release, all of them: if we die, who comes next finds them in this order, and so
 * do those who read. */
static void
store(_Atomic uint64_t *word, uint64_t what)
{
	atomic_store_explicit(word, what, memory_order_release);
}

/* An entry that nobody knows yet, before what is at @link now. */
static int
make_entry(struct mpr_visit *v, const struct mpr_place *at,
	   const struct mpr_flat *key, const struct mpr_flat *value,
	   struct mpr_block_ref *ret_ref)
{
	/* Each is of less than 2^54 words. */
	uint64_t n = mpr_flat_words(key->meta) + mpr_flat_words(value->meta);
	struct mpr_entry *e;
	int r;

	r = mpr_heap_reserve_dirty(v->arena, v->self,
				   sizeof(*e) + n * sizeof(uint64_t), ret_ref);
	if (r < 0)
		return r;
	e = mpr_arena_at(v->arena, ret_ref->offset);
	store(&e->next, load(at->link));
	store(&e->order, at->order);
	store(&e->stripe, mpr_arena_offset(v->arena, v->stripe));
	store(&e->key, key->meta);
	store(&e->value, value->meta);
	mpr_flat_write(key, e->words);
	mpr_flat_write(value, e->words + mpr_flat_words(key->meta));
	return 0;
}

static int
unlink_entry(struct mpr_visit *v, const struct mpr_item *item,
	     _Atomic uint64_t *link)
{
	return mpr_block_unlink(v->arena, v->self, &item->ref, link,
				load(&item->entry->next)) ?
		       0 : -EBADMSG;
}

static int
insert(struct mpr_visit *v, const struct mpr_key *key,
       const struct mpr_place *at, const struct mpr_flat *value)
{
	struct mpr_block_ref ref;
	int r;

	if ((at->order & ~MPR_ORDER_TIE) != key->order)
		return mpr_fail(-EOVERFLOW, "65536 other keys have the same "
				"hash");
	r = make_entry(v, at, &key->flat, value, &ref);
	if (r < 0)
		return r;
	/* Before it can be found. */
	if (at->order < load(&v->stripe->first))
		store(&v->stripe->first, at->order);
	mpr_visit_change(v);
	mpr_block_link(v->arena, v->self, &ref, at->link);
	store(&v->stripe->count, load(&v->stripe->count) + 1);
	mpr_visit_changed(v);
	return 0;
}

/* The new entry comes before the old one, and is found first. */
static int
replace(struct mpr_visit *v, const struct mpr_key *key,
	const struct mpr_place *at, const struct mpr_flat *value)
{
	struct mpr_block_ref ref;
	struct mpr_entry *e;
	int r = make_entry(v, at, &key->flat, value, &ref);

	if (r < 0)
		return r;
	e = mpr_arena_at(v->arena, ref.offset);
	mpr_visit_change(v);
	mpr_block_link(v->arena, v->self, &ref, at->link);
	r = unlink_entry(v, &at->item, &e->next);
	mpr_visit_changed(v);
	return r;
}

int
mpr_table_put(struct mpr_visit *v, const struct mpr_key *key,
	      const struct mpr_place *at, const struct mpr_flat *value)
{
	if (!at->is_there)
		return insert(v, key, at, value);
	if (at->item.value != value->meta || mpr_meta_has_bytes(value->meta))
		return replace(v, key, at, value);
	/* One word, and who reads it gets one or the other. */
	store(mpr_item_value(&at->item), value->word);
	return 0;
}

/* With the last one's end none is before any order. */
static void
set_count(struct mpr_visit *v, uint64_t n)
{
	store(&v->stripe->count, n);
	if (!n)
		store(&v->stripe->first, UINT64_MAX);
}

int
mpr_table_remove(struct mpr_visit *v, const struct mpr_place *at)
{
	int r;

	mpr_visit_change(v);
	r = unlink_entry(v, &at->item, at->link);
	if (r == 0)
		set_count(v, load(&v->stripe->count) - 1);
	mpr_visit_changed(v);
	return r;
}

int
mpr_table_remove_first(struct mpr_visit *v, const struct mpr_place *at)
{
	store(&v->stripe->first, at->order);
	return mpr_table_remove(v, at);
}

static int
empty_chain(struct mpr_visit *v, _Atomic uint64_t *link)
{
	struct mpr_item item;
	uint64_t offset;
	int r = 0;

	while (r == 0 && (offset = load(link)))
		r = mpr_table_entry(v, offset, &item) ?
			    unlink_entry(v, &item, link) : -EBADMSG;
	return r;
}

int
mpr_table_empty(struct mpr_visit *v)
{
	uint64_t cuts = load(&v->stripe->cuts), n;
	int r = 0;

	if (cuts > MPR_TABLE_CUTS)
		return -EBADMSG;
	n = mpr_buckets_after(cuts);
	mpr_visit_change(v);
	for (uint64_t i = 0; i < n && r == 0; i++) {
		_Atomic uint64_t *link = mpr_table_bucket(v, mpr_bucket_at(i, n));

		r = link ? empty_chain(v, link) : -EBADMSG;
	}
	if (r == 0)
		set_count(v, 0);
	/* Otherwise the count is for who repairs it. */
	if (r == 0)
		mpr_visit_changed(v);
	return r;
}
