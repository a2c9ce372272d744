/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "arena/heap.h"
#include "base/alloc.h"
#include "base/error.h"
#include "containers/flat.h"
#include "containers/slot.h"

/* Links a block with the bytes of @any. */
static int
fill_long(mproc_arena *a, struct mpr_self *self, const _Atomic uint64_t *owner,
	  struct mpr_slot *slot, const struct mproc_any *any)
{
	struct mpr_flat f = mpr_flat(a, any);
	struct mpr_block_ref ref;
	int r;

	/* As much as is going to be written: others may change what @any is, if
	 * it lies in shared memory. */
	r = mpr_heap_reserve_dirty(a, self,
				   mpr_flat_words(f.meta) * sizeof(uint64_t),
				   &ref);
	if (r < 0)
		return r;
	mpr_flat_write(&f, mpr_arena_at(a, ref.offset));
	mpr_block_link(a, self, &ref, &slot->word);
	/* Of what is LINKED nobody asks the home but who drops or reads it. If we
	 * die before this, it is still in the slot that names it, and no part of
	 * the object yet. */
	mpr_block_set_home(a, &ref, owner);
	return 0;
}

/* Of a value without a block. */
static uint64_t
word_of(const mproc_arena *a, const struct mproc_any *any)
{
	struct mpr_flat f = mpr_flat(a, any);

	return mpr_flat_words(f.meta) ? mpr_flat_word(&f, 0) : 0;
}

void
mpr_slot_fill_word(const mproc_arena *a, struct mpr_slot *slot,
		   const struct mproc_any *any)
{
	atomic_store_explicit(&slot->word, word_of(a, any),
			      memory_order_release);
}

int
mpr_slot_fill(mproc_arena *a, struct mpr_self *self,
	      const _Atomic uint64_t *owner, struct mpr_slot *slot,
	      const struct mproc_any *any)
{
	uint64_t meta = mpr_any_meta(any);
	int r;

	/* The old word is gone before the new meta could make it a link. */
	atomic_store_explicit(&slot->word, 0, memory_order_release);
	atomic_store_explicit(&slot->meta, meta, memory_order_release);
	if (!mpr_slot_is_long(meta)) {
		mpr_slot_fill_word(a, slot, any);
		return 0;
	}
	r = fill_long(a, self, owner, slot, any);
	if (r < 0)
		mpr_slot_set(slot, (struct mpr_slot_words){ 0 });
	return r;
}

bool
mpr_link_drop(mproc_arena *a, struct mpr_self *self,
	      const _Atomic uint64_t *owner, _Atomic uint64_t *link)
{
	uint64_t offset = atomic_load_explicit(link, memory_order_relaxed);
	struct mpr_block_ref ref;

	if (!offset)
		return true;
	if (((owner && mpr_heap_find_of(a, offset, owner, &ref)) ||
	     mpr_heap_find_of(a, offset, link, &ref)) &&
	    mpr_block_unlink(a, self, &ref, link, 0))
		return true;
	atomic_store_explicit(link, 0, memory_order_release);
	return false;
}

bool
mpr_slot_drop(mproc_arena *a, struct mpr_self *self,
	      const _Atomic uint64_t *owner, struct mpr_slot *slot)
{
	return !mpr_slot_is_long(mpr_slot_get(slot).meta) ||
	       mpr_link_drop(a, self, owner, &slot->word);
}

/* Where the bytes of a text or of bytes are; NULL if they are not where they should
 * be. */
static const void *
bytes_of(const mproc_arena *a, const _Atomic uint64_t *owner,
	 const struct mpr_slot_words *words)
{
	struct mpr_block_ref ref;

	if (!mpr_slot_is_long(words->meta))
		return &words->word;
	if (mpr_heap_find_of(a, words->word, owner, &ref) &&
	    mpr_meta_len(words->meta) <= ref.size)
		return mpr_arena_at(a, words->word);
	return NULL;
}

/* The bytes of a long one, by who may not be alone. Returns 0; -EBADMSG; -EAGAIN. */
static int
find_long(const mproc_arena *a, const _Atomic uint64_t *owner,
	  struct mpr_slot_words words, bool is_alone,
	  const _Atomic uint64_t **ret)
{
	struct mpr_block_ref ref;

	if (!mpr_heap_find_of(a, words.word, owner, &ref) ||
	    mpr_meta_len(words.meta) > ref.size)
		return -EBADMSG;
	/* The memory of a run may go back to the kernel. */
	if (!ref.block && !is_alone)
		return -EAGAIN;
	*ret = mpr_arena_at(a, words.word);
	return 0;
}

/* A text or bytes. */
static struct mproc_any
any_of(uint64_t meta, const void *bytes)
{
	struct mproc_any any = mproc_bytes(bytes, mpr_meta_len(meta));

	any.kind = mpr_meta_kind(meta) == MPROC_STR ? MPROC_STR : MPROC_BYTES;
	return any;
}

static int
copy_long(const mproc_arena *a, const _Atomic uint64_t *owner,
	  struct mpr_slot_words words, bool is_alone, struct mproc_any *ret)
{
	size_t len = mpr_meta_len(words.meta);
	const _Atomic uint64_t *bytes;
	char *copy;
	int r = find_long(a, owner, words, is_alone, &bytes);

	if (r < 0)
		return r;
	copy = mpr_malloc(len + 1);
	if (!copy)
		return mpr_fail(-ENOMEM, "no memory for a value of %zu bytes",
				len);
	mpr_flat_read(bytes, copy, len);
	copy[len] = '\0';
	*ret = any_of(words.meta, copy);
	ret->owned = 1;
	return 0;
}

int
mpr_slot_copy(const mproc_arena *a, const _Atomic uint64_t *owner,
	      struct mpr_slot_words words, bool is_alone,
	      struct mproc_any *ret)
{
	if (mpr_slot_is_long(words.meta))
		return copy_long(a, owner, words, is_alone, ret);
	return mpr_any_copy(a, words.meta, words.word, &words.word, ret);
}

int
mpr_slot_want(const mproc_arena *a, const _Atomic uint64_t *owner,
	      struct mpr_slot_words words, bool is_alone,
	      const struct mpr_want *want)
{
	size_t len = mpr_meta_len(words.meta);
	const _Atomic uint64_t *bytes;
	int r;

	if (!want->no_bytes || !mpr_meta_has_bytes(words.meta))
		return mpr_slot_copy(a, owner, words, is_alone, want->ret);
	*want->ret = any_of(words.meta, NULL);
	if (!want->buf || len >= want->size)
		return 0;
	if (mpr_slot_is_long(words.meta)) {
		r = find_long(a, owner, words, is_alone, &bytes);
		if (r < 0)
			return r;
		mpr_flat_read(bytes, want->buf, len);
	} else {
		memcpy(want->buf, &words.word, len);
	}
	want->buf[len] = '\0';
	return 0;
}

int
mpr_slot_view(const mproc_arena *a, const _Atomic uint64_t *owner,
	      const struct mpr_slot_words *words, struct mproc_any *ret)
{
	const void *bytes = bytes_of(a, owner, words);

	if (!bytes)
		return -EBADMSG;
	if (!mpr_meta_has_bytes(words->meta))
		return mpr_any_copy(a, words->meta, words->word, bytes, ret);
	*ret = any_of(words->meta, bytes);
	return 0;
}
