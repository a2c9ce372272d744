/* SPDX-License-Identifier: MIT */
/*
 * A dict with one of its stripes locked, and keys that are made by hand: each has the
 * hash that it is to have, and its number for its value.
 */
#ifndef UNIT_TABLE_H
#define UNIT_TABLE_H

#include <mproc/mproc.h>

#include "common.h"
#include "containers/table_use.h"

struct table {
	mproc_dict *d;
	struct mpr_visit v;
};

static inline struct table
begin(void)
{
	struct table t;

	assert_int_equal(mproc_dict_create(&t.d, NULL), 0);
	assert_int_equal(mpr_visit_begin(&t.v, MPR_CELL_DICT, t.d), 0);
	assert_int_equal(mpr_visit_stripe(&t.v, 3), 0);
	assert_int_equal(mpr_visit_lock(&t.v), 0);
	return t;
}

static inline void
end(struct table *t)
{
	mpr_visit_unlock(&t->v);
	mproc_dict_destroy(t->d);
}

static inline struct mpr_flat
number(uint64_t n)
{
	return (struct mpr_flat){ .meta = mpr_meta(MPROC_INT, 0), .word = n };
}

static inline struct mpr_key
key_of(uint64_t n, uint64_t order)
{
	return (struct mpr_key){ .flat = number(n), .stripe = 3,
				 .order = order };
}

/* Whether it is there, with value @n. */
static inline bool
has(const struct table *t, const struct mpr_key *key)
{
	struct mpr_place at;

	assert_int_equal(mpr_table_find(&t->v, key, &at), 0);
	return at.is_there &&
	       *mpr_item_value(&at.item) == key->flat.word;
}

static inline int
put(struct table *t, const struct mpr_key *key)
{
	struct mpr_flat value = number(key->flat.word);
	struct mpr_place at;
	int r;

	assert_int_equal(mpr_table_find(&t->v, key, &at), 0);
	r = mpr_table_put(&t->v, key, &at, &value);
	if (r == 0)
		mpr_table_grow(&t->v);
	return r;
}

static inline void
take(struct table *t, const struct mpr_key *key)
{
	struct mpr_place at;

	assert_int_equal(mpr_table_find(&t->v, key, &at), 0);
	assert_true(at.is_there);
	assert_int_equal(mpr_table_remove(&t->v, &at), 0);
}

/* How many there are, by their orders, which rise. */
static inline unsigned
walk(const struct table *t)
{
	struct mpr_place at;
	uint64_t from = 0;
	unsigned n = 0;

	while (mpr_table_first(&t->v, from, &at) > 0) {
		assert_true(at.order >= from);
		from = at.order + 1;
		n++;
		if (!from)
			break;
	}
	assert_int_equal(t->v.stripe->count, n);
	return n;
}

#endif
