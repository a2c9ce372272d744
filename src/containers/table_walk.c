/* SPDX-License-Identifier: MIT */
/*
 * Calls that go through the stripes of a table, one after another.
 */
#include <errno.h>

#include "containers/remote.h"
#include "containers/table_use.h"

static uint64_t
load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

struct count {
	struct mpr_reading reading;
	uint64_t n;
};

static int
look_at_count(const struct mpr_visit *v, struct mpr_reading *reading)
{
	((struct count *)reading)->n = load(&v->stripe->count);
	return 0;
}

static void
drop_nothing(struct mpr_reading *reading)
{
	(void)reading;
}

int
mpr_table_len(enum mpr_cell_kind kind, void *table, size_t *ret_len)
{
	struct count c = { .reading = { look_at_count, drop_nothing } };
	struct mpr_visit v;
	size_t sum = 0;
	int r = mpr_visit_begin(&v, kind, table);

	if (r == MPR_REMOTE)
		return mpr_remote_len(table, ret_len);
	for (unsigned i = 0; i < MPR_STRIPES && r == 0; i++) {
		v.self = NULL;
		r = mpr_visit_stripe(&v, i);
		if (r == 0)
			r = mpr_table_finish(&v, mpr_stripe_read(&v, &c.reading));
		sum += c.n;
	}
	if (r == 0)
		r = mpr_visit_check(&v);
	if (r == 0)
		*ret_len = sum;
	return r;
}

int
mpr_table_clear(enum mpr_cell_kind kind, void *table)
{
	struct mpr_visit v;
	int r = mpr_visit_begin(&v, kind, table);

	if (r == MPR_REMOTE)
		return mpr_remote_simple(table, MPR_OP_CLEAR);
	for (unsigned i = 0; i < MPR_STRIPES && r == 0; i++) {
		r = mpr_visit_stripe(&v, i);
		if (r == 0)
			r = mpr_visit_lock(&v);
		if (r < 0)
			return mpr_table_finish(&v, r);
		r = mpr_table_empty(&v);
		/* Or each later walk would look at as many buckets as ever. */
		if (r == 0)
			r = mpr_table_shrink(&v);
		mpr_visit_unlock(&v);
		r = mpr_table_finish(&v, r);
	}
	return r;
}

struct next {
	struct mpr_reading reading;
	uint64_t from;
	struct mpr_place at;
	struct mpr_want key, value;
};

/* A copy of both. */
static int
copy_item(const struct mpr_visit *v, const struct mpr_item *item,
	  const struct mpr_want *key, const struct mpr_want *value)
{
	int r = mpr_table_copy_words(v, item->key, mpr_item_key(item), key);

	if (r < 0)
		return r;
	r = mpr_table_copy_words(v, item->value, mpr_item_value(item), value);
	if (r < 0)
		mproc_any_clear(key->ret);
	return r;
}

/* Returns 1 if there is one, 0 if there is none. */
static int
look_for_next(const struct mpr_visit *v, struct mpr_reading *reading)
{
	struct next *n = (struct next *)reading;
	int r = mpr_table_first(v, n->from, &n->at);

	if (r <= 0)
		return r;
	if (mpr_item_may_vanish(v, &n->at.item))
		return -EAGAIN;
	r = copy_item(v, &n->at.item, &n->key, &n->value);
	return r < 0 ? r : 1;
}

static void
drop_both(struct mpr_reading *reading)
{
	struct next *n = (struct next *)reading;

	mproc_any_clear(n->key.ret);
	mproc_any_clear(n->value.ret);
}

int
mpr_table_next(enum mpr_cell_kind kind, void *table, struct mproc_cursor *cursor,
	       struct mproc_any *ret_key, struct mproc_any *ret_value)
{
	struct next n = { .reading = { look_for_next, drop_both },
			  .key.ret = ret_key, .value.ret = ret_value };
	uint64_t *stripe = &cursor->mproc_opaque[0];
	uint64_t *from = &cursor->mproc_opaque[1];
	struct mpr_visit v;
	int r = mpr_visit_begin(&v, kind, table);

	if (ret_key)
		*ret_key = mproc_nil();
	if (ret_value)
		*ret_value = mproc_nil();
	if (r == MPR_REMOTE)
		return mpr_remote_next(table, cursor, ret_key, ret_value);
	while (r == 0 && *stripe < MPR_STRIPES) {
		v.self = NULL;
		n.from = *from;
		r = mpr_visit_stripe(&v, (unsigned)*stripe);
		if (r == 0)
			r = mpr_stripe_read(&v, &n.reading);
		/* The next one's order, or the next stripe's first. */
		if (r >= 0)
			*from = r > 0 ? n.at.order + 1 : 0;
		if (r >= 0 && *from == 0)
			++*stripe;
	}
	/* It may be empty as it is being destroyed. */
	if (r == 0)
		r = mpr_visit_check(&v);
	if (r < 0)
		return mpr_table_finish(&v, r);
	return r > 0 ? 0 : -ENODATA;
}

/* The lock is held. Returns 1; 0 if there is none, and none is counted. */
static int
take_first(struct mpr_visit *v, const struct mpr_want *key,
	   const struct mpr_want *value)
{
	struct mpr_place at;
	int r = mpr_table_first(v, 0, &at);

	if (r == 0)
		return load(&v->stripe->count) ? -EBADMSG : 0;
	if (r < 0)
		return r;
	r = copy_item(v, &at.item, key, value);
	if (r == 0)
		r = mpr_table_remove_first(v, &at);
	return r < 0 ? r : 1;
}

/* The same for the stripe, if there is something in it. */
static int
pop_from(struct mpr_visit *v, const struct mpr_want *key,
	 const struct mpr_want *value)
{
	int r;

	/* Acquire: the count is one from when the version was even, or of later;
	 * if it is odd, one may have died who has not counted yet. */
	if (!(load(&v->stripe->version) & 1) && !load(&v->stripe->count))
		return 0;
	r = mpr_visit_lock(v);
	if (r < 0)
		return r;
	r = take_first(v, key, value);
	mpr_visit_unlock(v);
	v->self = NULL;
	return r;
}

int
mpr_table_pop(enum mpr_cell_kind kind, void *table, struct mpr_room *room,
	      struct mproc_any *ret_key, struct mproc_any *ret_value)
{
	struct mpr_want key = { .ret = ret_key, .room = room };
	struct mpr_want value = { .ret = ret_value, .room = room };
	struct mpr_visit v;
	int r = mpr_visit_begin(&v, kind, table);

	if (ret_key)
		*ret_key = mproc_nil();
	if (ret_value)
		*ret_value = mproc_nil();
	if (r == MPR_REMOTE)
		return mpr_remote_pop_item(table, ret_key, ret_value);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < MPR_STRIPES && r == 0; i++) {
		r = mpr_visit_stripe(&v, i);
		if (r == 0)
			r = pop_from(&v, &key, &value);
	}
	if (r == 0)
		r = mpr_visit_check(&v);
	if (r == 0)
		return -ENODATA;
	if (r > 0)
		return 0;
	mproc_any_clear(ret_key);
	mproc_any_clear(ret_value);
	return mpr_table_finish(&v, r);
}
