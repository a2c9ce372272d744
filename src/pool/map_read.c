/* SPDX-License-Identifier: MIT */
/*
 * What a map has come to: an item has failed if its bit says so; or it was not done, as
 * nobody has claimed its chunk, or the share that has it was closed before it was at the
 * end. Nothing of that changes any more once the map is DONE.
 */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "os/cpu.h"
#include "pool/future.h"
#include "pool/map.h"
#include "pool/map_chunk.h"

/* Items that share @s, or with n_shares nobody, has yet to do: [*@first, *@end). */
static void
undone(const struct mpr_map_use *m, unsigned s, uint64_t *first, uint64_t *end)
{
	uint64_t desk, chunks;

	*first = *end = m->n;
	if (s < m->n_shares) {
		desk = atomic_load(&m->shares[s].desk);
		if (!(desk & MPR_DESK_HAS) || mpr_desk_item(desk) >= m->n)
			return;
		*first = mpr_desk_item(desk);
		*end = mpr_map_chunk_end(m, *first);
	} else {
		chunks = atomic_load(&m->map->next) / MPR_MAP_CHUNK_UNIT;
		if (chunks < m->n_chunks)
			*first = mpr_map_chunk_begin(m, chunks);
	}
}

/* Of what was claimed when @next was read, what share @s has yet to do. */
static uint64_t
left_of(const struct mpr_map_use *m, unsigned s, uint64_t next)
{
	uint64_t chunks = next / MPR_MAP_CHUNK_UNIT, last, claimed, first, desk;

	if (!chunks)
		return 0;
	last = mpr_map_chunk_begin(m, chunks - 1);
	claimed = mpr_map_chunk_end(m, last);
	desk = atomic_load(&m->shares[s].desk);
	if (desk & MPR_DESK_HAS)
		first = mpr_desk_item(desk);
	else if (s == (next & MPR_MAP_SHARE) && mpr_desk_item(desk) <= last)
		/* Its last claim has not been noted yet. */
		first = last;
	else
		return 0;
	/* What it has claimed since is counted as claimed by nobody. */
	return first < claimed ? mpr_map_chunk_end(m, first) - first : 0;
}

uint64_t
mpr_map_progress(const struct mpr_map_use *m)
{
	/* seq_cst, and first: nothing that is not done is counted by nobody, so it
	 * does not go back. */
	uint64_t next = atomic_load(&m->map->next);
	uint64_t chunks = next / MPR_MAP_CHUNK_UNIT;
	uint64_t left = chunks < m->n_chunks ?
				m->n - mpr_map_chunk_begin(m, chunks) : 0;

	for (unsigned s = 0; s < m->n_shares; s++)
		left += left_of(m, s, next);
	return left < m->n ? m->n - left : 0;
}

/* The first bit from @item on; n if there is none. */
static uint64_t
next_bit(const struct mpr_map_use *m, uint64_t item)
{
	uint64_t bits;

	if (!atomic_load(&m->map->failed))
		return m->n;
	while (item < m->n) {
		bits = atomic_load(&m->bits[item / 64]) >> item % 64;
		if (bits & 1)
			return item;
		/* Most words are 0. */
		item = bits ? item + 1 : (item / 64 + 1) * 64;
	}
	return m->n;
}

static int
code_of(const struct mpr_map_use *m, uint64_t item)
{
	struct mpr_block_ref ref;
	const _Atomic int32_t *codes;
	int code;

	if (!atomic_load(&m->map->codes) ||
	    !mpr_heap_find_at(m->pool->arena, &m->map->codes, &ref) ||
	    ref.size / sizeof(int32_t) <= item)
		return -ENOSPC;
	codes = mpr_arena_at(m->pool->arena, ref.offset);
	code = atomic_load(&codes[item]);
	/* There may have been no memory when it failed, and some later. */
	return code < 0 ? code : code == 0 ? -ENOSPC : -EBADMSG;
}

int
mpr_map_next_failed(const struct mpr_map_use *m, uint64_t word, uint64_t *item)
{
	uint64_t found = next_bit(m, *item), first, end, from = *item;
	bool begun = found < m->n;

	for (unsigned s = 0; s <= m->n_shares; s++) {
		undone(m, s, &first, &end);
		if (first < from)
			first = from;
		if (first < end && first < found) {
			found = first;
			begun = false;
		}
	}
	if (found >= m->n)
		return 0;
	*item = found;
	if (begun)
		return code_of(m, found);
	return word & MPR_FUTURE_REVOKED ? mpr_task_result(m->f, word) :
					   -ECANCELED;
}

static uint64_t
count_failed(const struct mpr_map_use *m)
{
	uint64_t count = m->n - mpr_map_progress(m), item = 0;

	while ((item = next_bit(m, item)) < m->n) {
		count++;
		item++;
	}
	return count;
}

int
mpr_map_result(const struct mpr_map_use *m, uint64_t word, size_t *ret_item,
	       size_t *ret_items)
{
	uint64_t item = 0;
	int r = mpr_map_next_failed(m, word, &item);

	*ret_item = (size_t)item;
	*ret_items = r < 0 ? (size_t)count_failed(m) : 0;
	/* It was revoked, and was at its end. */
	return r == 0 || word & MPR_FUTURE_REVOKED ? mpr_task_result(m->f, word) :
						     r;
}

/* Results that lie with the map; NULL if they are not in its block. */
static const void *
kept(const struct mpr_map_use *m, size_t *ret_len)
{
	uint64_t begin = (uint64_t)(uintptr_t)m->f, at = m->map->out;

	*ret_len = m->map->kept;
	return at < begin || at - begin > m->size ||
			       *ret_len > m->size - (at - begin) ?
		       NULL : mpr_map_address(at);
}

static int
failed(const struct mpr_map_use *m, int error, size_t item, size_t items)
{
	mpr_fail(error, "%zu of %zu items are not done, the first is item %zu: %s",
		 items, (size_t)m->n, item, mproc_strerror(error));
	return MPROC_TASK_FAILED;
}

int
mpr_map_read(const struct mpr_future_use *u, const struct mpr_map_use *m,
	     uint64_t word, void *out, size_t size, size_t *ret_len)
{
	size_t item, items, len = 0;
	const void *from = m->f;
	int r = mpr_map_result(m, word, &item, &items);

	if (m->map->kept)
		from = kept(m, &len);
	if (!from)
		return mpr_fail(-EBADMSG, "the memory of future %p is corrupt",
				(void *)m->f);
	if (ret_len)
		*ret_len = len;
	if (len > size)
		return mpr_fail(-EMSGSIZE, "the results have %zu bytes, there is "
				"room for %zu", len, size);
	if (len)
		memcpy(out, from, len);
	/* Nothing above comes after it. */
	mpr_cpu_fence_reads();
	if (mpr_future_word_of(u) != word)
		return mpr_fail(-ESTALE, "future %p was closed, or its pool freed",
				(void *)m->f);
	return r < 0 ? failed(m, r, item, items) : 0;
}

static int
look_up(mproc_future *f, struct mpr_future_use *ret_u, struct mpr_map_use *ret_m)
{
	int r = mpr_future_look_up(f, ret_u);

	if (r < 0)
		return r;
	return mpr_map_look_at(&ret_u->pool, f, ret_m) ? 0 :
		       mpr_fail(-EINVAL, "future %p is not one of a map",
				(void *)f);
}

int
mproc_future_next_failed(mproc_future *f, size_t *item, int *ret_error)
{
	struct mpr_future_use u;
	struct mpr_map_use m;
	uint64_t word, found;
	int r, error;

	if (!item || !ret_error)
		return mpr_fail(-EINVAL, "%s is NULL", item ? "ret_error" : "item");
	r = look_up(f, &u, &m);
	if (r < 0)
		return r;
	word = mpr_future_word_of(&u);
	if (mpr_future_state(word) != MPR_FUTURE_DONE)
		return word ? mpr_fail(-EAGAIN, "the map is not done") :
			      mpr_fail(-ESTALE, "future %p was closed", (void *)f);
	found = *item;
	error = mpr_map_next_failed(&m, word, &found);
	mpr_cpu_fence_reads();
	if (mpr_future_word_of(&u) != word)
		return mpr_fail(-ESTALE, "future %p was closed", (void *)f);
	if (error == 0)
		return mpr_fail(-ENODATA, "no item from %zu on has failed", *item);
	*item = (size_t)found;
	*ret_error = error;
	return 0;
}

int
mproc_future_progress(mproc_future *f, size_t *ret_done, size_t *ret_n)
{
	struct mpr_future_use u;
	struct mpr_map_use m;
	int r = look_up(f, &u, &m);

	if (r < 0)
		return r;
	if (ret_done)
		*ret_done = (size_t)mpr_map_progress(&m);
	if (ret_n)
		*ret_n = (size_t)m.n;
	return 0;
}
