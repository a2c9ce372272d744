/* SPDX-License-Identifier: MIT */
/*
 * Reading from a stripe, without its lock if that can be, and what comes out.
 */
#include <errno.h>

#include "base/alloc.h"
#include "base/error.h"
#include "containers/remote.h"
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

int
mpr_table_copy_words(const struct mpr_visit *v, uint64_t meta,
		     const _Atomic uint64_t *words, const struct mpr_want *want)
{
	uint64_t word;

	if (!want->ret)
		return 0;
	if (want->room) {
		int r = want->room->make(want->room, mpr_meta_len(meta));

		if (r < 0)
			return r;
	}
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
	return mpr_table_copy_words(v, at->item.value,
				    mpr_item_value(&at->item), want);
}

/* The end of a call: the texts of what was found on the way, as that may have been
 * no error there. */
int
mpr_table_finish(const struct mpr_visit *v, int r)
{
	if (r == -EBADMSG)
		return mpr_table_corrupt(v);
	if (r == -ENOENT) {
		r = mpr_visit_check(v);
		return r < 0 ? r : mpr_fail(-ENOENT, "the key is not there");
	}
	return r;
}

/* Without the lock. -EAGAIN: somebody changed the stripe each time. */
static int
read_freely(const struct mpr_visit *v, struct mpr_reading *reading)
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

int
mpr_stripe_read(struct mpr_visit *v, struct mpr_reading *reading)
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

struct get {
	struct mpr_reading reading;
	struct mpr_key key;
	const struct mpr_want *want;
};

static int
look_up(const struct mpr_visit *v, struct mpr_reading *reading)
{
	struct get *g = (struct get *)reading;
	struct mpr_place at;
	int r = mpr_table_find(v, &g->key, &at);

	if (r < 0)
		return r;
	return at.is_there ? mpr_table_copy(v, &at, g->want) : -ENOENT;
}

static void
drop_value(struct mpr_reading *reading)
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
		return r == MPR_REMOTE ? mpr_remote_get(table, key, want) : r;
	return mpr_table_finish(&v, mpr_stripe_read(&v, &g.reading));
}
