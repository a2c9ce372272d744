/* SPDX-License-Identifier: MIT */
/*
 * Putting a stripe in order, after its lock's owner has died in the middle of a
 * change. What it can have left behind:
 *
 *   - a chain that goes on with what is another bucket's: there are more buckets
 *     than before, and it was about to cut that chain
 *   - two entries with one order, the first of which is the new one
 *   - a count that is not right
 *
 * Blocks that were on their way are LINKED or FREE already (mpr_recover_all()).
 * All of this can be done again from the start by who comes next.
 */
#include <errno.h>

#include "containers/table.h"

static uint64_t
load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

/* Release: in this order for those who read, and who comes next. */
static void
store(_Atomic uint64_t *word, uint64_t what)
{
	atomic_store_explicit(word, what, memory_order_release);
}

/* Cuts a chain at @link, where @offset begins that of @bucket. */
static int
cut_at(const struct mpr_visit *v, _Atomic uint64_t *link, uint64_t offset,
       uint64_t bucket, _Atomic uint64_t **ret_head)
{
	_Atomic uint64_t *head = mpr_table_bucket(v, bucket);

	/* Who has died between these two stores has left both. */
	if (!head || (load(head) && load(head) != offset))
		return -EBADMSG;
	store(head, offset);
	store(link, 0);
	*ret_head = head;
	return 0;
}

int
mpr_table_cut(const struct mpr_visit *v, uint64_t bucket, uint64_t n)
{
	_Atomic uint64_t *link = mpr_table_bucket(v, bucket);
	struct mpr_item item;
	uint64_t offset, last = 0;
	unsigned same = 0; /* how many with the last order */

	if (!link)
		return -EBADMSG;
	for (; (offset = load(link)); link = &item.entry->next) {
		/* Two with one order are there until the next step. */
		if (!mpr_table_entry(v, offset, &item) ||
		    (same && item.order < last) ||
		    (same == 2 && item.order == last))
			return -EBADMSG;
		if (mpr_bucket_of(item.order, n) != bucket) {
			bucket = mpr_bucket_of(item.order, n);
			if (cut_at(v, link, offset, bucket, &link) < 0)
				return -EBADMSG;
		}
		same = same && item.order == last ? 2 : 1;
		last = item.order;
	}
	return 0;
}

/* Takes the second of two with one order out of a chain, and counts the rest. */
static int
count_chain(struct mpr_visit *v, uint64_t bucket, uint64_t *count)
{
	_Atomic uint64_t *link = mpr_table_bucket(v, bucket);
	struct mpr_item item;
	uint64_t offset, last = 0;
	bool first = true;

	if (!link)
		return -EBADMSG;
	while ((offset = load(link))) {
		if (!mpr_table_entry(v, offset, &item))
			return -EBADMSG;
		if (!first && item.order == last) {
			if (!mpr_block_unlink(v->arena, v->self, &item.ref,
					      link, load(&item.entry->next)))
				return -EBADMSG;
			continue;
		}
		++*count;
		last = item.order;
		first = false;
		link = &item.entry->next;
	}
	return 0;
}

int
mpr_table_repair(struct mpr_visit *v)
{
	uint64_t cuts = load(&v->stripe->cuts), count = 0, n;
	int r = 0;

	if (cuts > MPR_TABLE_CUTS)
		return -EBADMSG;
	n = mpr_buckets_after(cuts);
	mpr_visit_change(v);
	for (uint64_t i = 0; i < n && r == 0; i++)
		r = mpr_table_cut(v, mpr_bucket_at(i, n), n);
	for (uint64_t i = 0; i < n && r == 0; i++)
		r = count_chain(v, mpr_bucket_at(i, n), &count);
	if (r < 0)
		return r;
	store(&v->stripe->count, count);
	/* That of the dead one was right. Of who has scribbled it would hide keys. */
	store(&v->stripe->first, 0);
	mpr_visit_changed(v);
	return 0;
}
