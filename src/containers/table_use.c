/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/alloc.h"
#include "base/error.h"
#include "containers/table_use.h"
#include "sync/spin.h"

#define TRIES 8 /* to read without the lock */
#define LOOKS 100 /* at a stripe that is being changed */

static uint64_t
load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

/* A user's copy of a text or bytes. */
static int
copy_bytes(uint64_t meta, const _Atomic uint64_t *words,
	   const struct mpr_want *want)
{
	size_t len = mpr_meta_len(meta);
	struct mproc_any any = mproc_bytes(NULL, len);
	char *to = want->buf;

	any.kind = mpr_meta_kind(meta) == MPROC_STR ? MPROC_STR : MPROC_BYTES;
	if (!want->no_bytes && !want->buf) {
		to = mpr_malloc(len + 1);
		if (!to)
			return mpr_fail(-ENOMEM, "no memory for a value of "
					"%zu bytes", len);
		any.ptr = to;
		any.owned = 1;
	}
	if (to && (any.owned || len < want->size)) {
		mpr_flat_read(words, to, len);
		to[len] = '\0';
	}
	*want->ret = any;
	return 0;
}

static int
copy(const struct mpr_visit *v, uint64_t meta, const _Atomic uint64_t *words,
     const struct mpr_want *want)
{
	uint64_t word;

	if (!want->ret)
		return 0;
	if (mpr_meta_has_bytes(meta))
		return copy_bytes(meta, words, want);
	word = load(words);
	if (mpr_meta_kind(meta) == MPROC_REF && !mpr_arena_has(v->arena, word, 1))
		return -EBADMSG;
	return mpr_any_copy(v->arena, meta, word, NULL, want->ret);
}

int
mpr_table_copy(const struct mpr_visit *v, const struct mpr_place *at,
	       const struct mpr_want *want)
{
	return copy(v, at->item.value, mpr_item_value(&at->item), want);
}

/* The end of a call: the texts of what was found on the way, as that may have been
 * no error there. */
static int
finish(const struct mpr_visit *v, int r)
{
	if (r == -EBADMSG)
		return mpr_table_corrupt(v);
	if (r == -ENOENT) {
		r = mpr_visit_check(v);
		return r < 0 ? r : mpr_fail(-ENOENT, "the key is not there");
	}
	return r;
}

/*
 * Something to be read of a stripe. @look returns what mpr_stripe_read() does, or
 * -EAGAIN if that can only be seen under the lock; @drop forgets what it has found.
 */
struct reading {
	int (*look)(const struct mpr_visit *v, struct reading *reading);
	void (*drop)(struct reading *reading);
};

/* Without the lock. -EAGAIN: somebody changed the stripe each time. */
static int
read_freely(const struct mpr_visit *v, struct reading *reading)
{
	const _Atomic uint64_t *version = &v->stripe->version;
	unsigned looks = 0;

	for (int i = 0; i < TRIES; i++) {
		uint64_t before;
		int r;

		/* Acquire pairs with the release in mpr_visit_changed(). */
		while ((before = load(version)) & 1)
			if (!mpr_spin_on(&looks, LOOKS))
				return -EAGAIN;
		r = reading->look(v, reading);
		if (r == -EAGAIN)
			return r;
		/* After all that was read, which is loaded with acquire. */
		if (atomic_load_explicit(version, memory_order_relaxed) ==
		    before)
			return r;
		reading->drop(reading);
	}
	return -EAGAIN;
}

static int
read_stripe(struct mpr_visit *v, struct reading *reading)
{
	int r = read_freely(v, reading);

	if (r != -EAGAIN)
		return r;
	r = mpr_visit_lock(v);
	if (r < 0)
		return r;
	r = reading->look(v, reading);
	mpr_visit_unlock(v);
	return r;
}

int
mpr_table_check(enum mpr_cell_kind kind, void *table)
{
	struct mpr_visit v;
	int r = mpr_visit_begin(&v, kind, table);

	return r < 0 ? r : mpr_visit_stripe(&v, 0);
}

struct get {
	struct reading reading;
	struct mpr_key key;
	const struct mpr_want *want;
};

static int
look_up(const struct mpr_visit *v, struct reading *reading)
{
	struct get *g = (struct get *)reading;
	struct mpr_place at;
	int r = mpr_table_find(v, &g->key, &at);

	if (r < 0)
		return r;
	return at.is_there ? mpr_table_copy(v, &at, g->want) : -ENOENT;
}

static void
drop_value(struct reading *reading)
{
	struct get *g = (struct get *)reading;

	mproc_any_clear(g->want->ret);
}

int
mpr_table_get(enum mpr_cell_kind kind, void *table, const struct mproc_any *key,
	      const struct mpr_want *want)
{
	struct get g = { .reading = { look_up, drop_value }, .want = want };
	struct mpr_visit v;
	int r;

	if (want->ret)
		*want->ret = mproc_nil();
	r = mpr_visit_begin(&v, kind, table);
	if (r == 0)
		r = mpr_key_make(&v, key, &g.key);
	if (r == 0)
		r = mpr_visit_stripe(&v, g.key.stripe);
	if (r < 0)
		return r;
	return finish(&v, read_stripe(&v, &g.reading));
}

static int
carry_out(struct mpr_visit *v, const struct mpr_key *key,
	  const struct mpr_place *at, int verdict, const struct mproc_any *value)
{
	struct mpr_flat flat;
	int r;

	if (verdict == MPR_REMOVE)
		return at->is_there ? mpr_table_remove(v, at) : 0;
	if (verdict != MPR_PUT)
		return 0;
	r = mpr_any_check(v->arena, value);
	if (r < 0)
		return r;
	flat = mpr_flat(v->arena, value);
	r = mpr_table_put(v, key, at, &flat);
	if (r == 0)
		mpr_table_grow(v);
	return r;
}

/* The stripe's lock is held. */
static int
change(struct mpr_visit *v, const struct mpr_key *key, mpr_decide *decide,
       void *arg)
{
	struct mproc_any value = mproc_nil();
	struct mpr_place at;
	int verdict, r;

	r = mpr_table_find(v, key, &at);
	if (r < 0)
		return r;
	verdict = decide(v, &at, &value, arg);
	if (verdict < 0)
		return verdict;
	r = carry_out(v, key, &at, verdict, &value);
	return r < 0 ? r : verdict;
}

int
mpr_table_change(enum mpr_cell_kind kind, void *table,
		 const struct mproc_any *any, mpr_decide *decide, void *arg)
{
	struct mpr_visit v;
	struct mpr_key key;
	int r;

	r = mpr_visit_begin(&v, kind, table);
	if (r == 0)
		r = mpr_key_make(&v, any, &key);
	if (r == 0)
		r = mpr_visit_stripe(&v, key.stripe);
	if (r == 0)
		r = mpr_visit_lock(&v);
	if (r < 0)
		return r == -EBADMSG ? mpr_table_corrupt(&v) : r;
	r = change(&v, &key, decide, arg);
	mpr_visit_unlock(&v);
	return r == -EBADMSG ? mpr_table_corrupt(&v) : r;
}

static int
put(const struct mpr_visit *v, const struct mpr_place *at,
    struct mproc_any *value, void *arg)
{
	(void)v;
	(void)at;
	*value = *(const struct mproc_any *)arg;
	return MPR_PUT;
}

int
mpr_table_set(enum mpr_cell_kind kind, void *table, const struct mproc_any *key,
	      struct mproc_any *value)
{
	int r = mpr_table_change(kind, table, key, put, value);

	return r < 0 ? r : 0;
}

struct count {
	struct reading reading;
	uint64_t n;
};

static int
look_at_count(const struct mpr_visit *v, struct reading *reading)
{
	((struct count *)reading)->n = load(&v->stripe->count);
	return 0;
}

static void
drop_nothing(struct reading *reading)
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

	for (unsigned i = 0; i < MPR_STRIPES && r == 0; i++) {
		v.self = NULL;
		r = mpr_visit_stripe(&v, i);
		if (r == 0)
			r = finish(&v, read_stripe(&v, &c.reading));
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

	for (unsigned i = 0; i < MPR_STRIPES && r == 0; i++) {
		r = mpr_visit_stripe(&v, i);
		if (r == 0)
			r = mpr_visit_lock(&v);
		if (r < 0)
			return finish(&v, r);
		r = finish(&v, mpr_table_empty(&v));
		mpr_visit_unlock(&v);
	}
	return r;
}

struct next {
	struct reading reading;
	uint64_t from;
	struct mpr_place at;
	struct mpr_want key, value;
};

/* A copy of both. */
static int
copy_item(const struct mpr_visit *v, const struct mpr_item *item,
	  const struct mpr_want *key, const struct mpr_want *value)
{
	int r = copy(v, item->key, mpr_item_key(item), key);

	if (r < 0)
		return r;
	r = copy(v, item->value, mpr_item_value(item), value);
	if (r < 0)
		mproc_any_clear(key->ret);
	return r;
}

/* Returns 1 if there is one, 0 if there is none. */
static int
look_for_next(const struct mpr_visit *v, struct reading *reading)
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
drop_both(struct reading *reading)
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
	while (r == 0 && *stripe < MPR_STRIPES) {
		v.self = NULL;
		n.from = *from;
		r = mpr_visit_stripe(&v, (unsigned)*stripe);
		if (r == 0)
			r = read_stripe(&v, &n.reading);
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
		return finish(&v, r);
	return r > 0 ? 0 : -ENODATA;
}

/* The lock is held. Returns 1; 0 if there is none. */
static int
take_first(struct mpr_visit *v, const struct mpr_want *key,
	   const struct mpr_want *value)
{
	struct mpr_place at;
	int r = mpr_table_first(v, 0, &at);

	if (r <= 0)
		return r;
	r = copy_item(v, &at.item, key, value);
	if (r == 0)
		r = mpr_table_remove(v, &at);
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
mpr_table_pop(enum mpr_cell_kind kind, void *table, struct mproc_any *ret_key,
	      struct mproc_any *ret_value)
{
	struct mpr_want key = { .ret = ret_key }, value = { .ret = ret_value };
	struct mpr_visit v;
	int r = mpr_visit_begin(&v, kind, table);

	if (ret_key)
		*ret_key = mproc_nil();
	if (ret_value)
		*ret_value = mproc_nil();
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
	return finish(&v, r);
}
