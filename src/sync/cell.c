/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "arena/heap.h"
#include "arena/participant.h"
#include "base/error.h"
#include "base/log.h"
#include "sync/cell.h"
#include "sync/holder.h"
#include "sync/remote.h"
#include "sync/wait.h"

#define CELLS 63 /* in a block */
#define BLOCKS_MAX 65536

union cell {
	struct mpr_cell cell;
	_Atomic uint32_t words[MPR_CELL / 4];
};

struct block {
	_Atomic uint64_t next;
	uint64_t magic; /* so that a wrong hint does no harm */
	uint64_t pad[6];
	union cell cells[CELLS];
};

static_assert(sizeof(struct block) == 4096, "shared layout");

/* The block that @link names, or NULL at the end of the list. */
static struct block *
next_block(const mproc_arena *a, enum mpr_cell_kind kind,
	   const _Atomic uint64_t *link)
{
	/* Acquire pairs with the CAS that links a block: its cells are GONE. */
	uint64_t offset = atomic_load_explicit(link, memory_order_acquire);
	struct block *b;

	if (!offset || !mpr_heap_is_linked(a, offset, sizeof(struct block)))
		return NULL;
	b = mpr_arena_at(a, offset);
	return b->magic == MPR_CELL_MAGIC + kind ? b : NULL;
}

static bool
claim(const mproc_arena *a, const struct mpr_self *self, struct mpr_cell *cell)
{
	uint64_t word = atomic_load(&cell->word);

	if (!(word & MPR_GONE))
		return false;
	if (word & MPR_HELD && !mpr_holder_is_dead(a, word & ~MPR_GONE))
		return false;
	return atomic_compare_exchange_strong(&cell->word, &word,
					      mpr_holder(self) | MPR_GONE);
}

/* In the blocks from the one on that @link names. */
static union cell *
claim_from(const mproc_arena *a, const struct mpr_self *self,
	   enum mpr_cell_kind kind, const _Atomic uint64_t *link)
{
	struct block *b;
	unsigned n = 0;

	for (; (b = next_block(a, kind, link)) && n < BLOCKS_MAX; n++) {
		for (int i = 0; i < CELLS; i++) {
			if (!claim(a, self, &b->cells[i].cell))
				continue;
			atomic_store_explicit(&a->shm->cell_hints[kind],
					      mpr_arena_offset(a, b),
					      memory_order_relaxed);
			return &b->cells[i];
		}
		link = &b->next;
	}
	return NULL;
}

/* All of them only where the hint is of no use: once for each new block. */
static union cell *
claim_any(const mproc_arena *a, const struct mpr_self *self,
	  enum mpr_cell_kind kind)
{
	union cell *cell;

	cell = claim_from(a, self, kind, &a->shm->cell_hints[kind]);
	return cell ? cell : claim_from(a, self, kind, &a->shm->cells[kind]);
}

/* Whether what is linked at the end of the list can be found. */
static bool
is_sound(const mproc_arena *a, enum mpr_cell_kind kind)
{
	const _Atomic uint64_t *link = &a->shm->cells[kind];
	struct block *b;
	unsigned n = 0;

	while (atomic_load_explicit(link, memory_order_relaxed)) {
		b = next_block(a, kind, link);
		if (!b || n++ == BLOCKS_MAX)
			return false;
		link = &b->next;
	}
	return true;
}

static int
add_block(mproc_arena *a, struct mpr_self *self, enum mpr_cell_kind kind)
{
	struct mpr_block_ref ref;
	struct block *b;
	int r;

	r = mpr_heap_reserve(a, self, sizeof(*b), &ref);
	if (r < 0)
		return r;
	b = mpr_arena_at(a, ref.offset);
	b->magic = MPR_CELL_MAGIC + kind;
	for (int i = 0; i < CELLS; i++)
		atomic_init(&b->cells[i].cell.word, MPR_GONE);
	return mpr_block_append(a, self, &ref, &a->shm->cells[kind],
				offsetof(struct block, next), BLOCKS_MAX);
}

int
mpr_cell_create_in(mproc_arena *a, enum mpr_cell_kind kind, void **ret)
{
	struct mpr_self *self;
	union cell *cell;
	int r;

	if (!ret)
		return mpr_fail(-EINVAL, "ret is NULL");
	r = mpr_arena_resolve(a, &a);
	if (r < 0)
		return r;
	r = mpr_self(a, &self);
	if (r < 0)
		return r;
	while (!(cell = claim_any(a, self, kind))) {
		if (!is_sound(a, kind))
			return mpr_fail(-EBADMSG, "a list of small objects is "
					"corrupt");
		r = add_block(a, self, kind);
		if (r < 0)
			return r;
	}
	atomic_fetch_add(&cell->cell.generation, 1);
	/* As atomics: those who have not noticed may look. */
	for (size_t i = offsetof(struct mpr_cell, first) / 4;
	     i < MPR_CELL_BLOCKS / 4; i++)
		atomic_store_explicit(&cell->words[i], 0, memory_order_relaxed);
	*ret = cell;
	return 0;
}

int
mpr_cell_create(enum mpr_cell_kind kind, void **ret)
{
	return mpr_cell_create_in(NULL, kind, ret);
}

_Atomic uint64_t *
mpr_cell_blocks(void *object)
{
	return (_Atomic uint64_t *)object + MPR_CELL_BLOCKS / 8;
}

void
mpr_cell_open(void *object, uint64_t word)
{
	struct mpr_cell *cell = object;

	/* Release, for who gets the pointer by whatever way; and seq_cst as all
	 * that changes the word. */
	atomic_store(&cell->word, word);
}

/* The block that has a cell at @object, or NULL. */
static struct block *
find_block(const mproc_arena *a, enum mpr_cell_kind kind, const void *object)
{
	const _Atomic uint64_t *link = &a->shm->cells[kind];
	struct block *b;
	unsigned n = 0;

	for (; (b = next_block(a, kind, link)) && n < BLOCKS_MAX; n++) {
		uintptr_t at = (uintptr_t)object - (uintptr_t)b->cells;

		if (at < sizeof(b->cells))
			return at % MPR_CELL == 0 ? b : NULL;
		link = &b->next;
	}
	return NULL;
}

void
mpr_cells_each(const mproc_arena *a, enum mpr_cell_kind kind,
	       void (*fn)(const mproc_arena *a, void *object, void *ctx),
	       void *ctx)
{
	const _Atomic uint64_t *link = &a->shm->cells[kind];
	struct block *b;
	unsigned n = 0;

	for (; (b = next_block(a, kind, link)) && n < BLOCKS_MAX; n++) {
		for (int i = 0; i < CELLS; i++)
			fn(a, &b->cells[i], ctx);
		link = &b->next;
	}
}

bool
mpr_cell_is(enum mpr_cell_kind kind, const void *object)
{
	const mproc_arena *a = mpr_arena_of(object);

	return a && find_block(a, kind, object);
}

void
mpr_cell_destroy(enum mpr_cell_kind kind, void *object, uint64_t keep)
{
	mproc_arena *a = mpr_arena_of(object);
	struct mpr_self *self = mpr_self_in(a);
	struct mpr_cell *cell = object;
	struct mpr_wake wake;
	struct block *b;
	uint64_t word;

	if (!object || mpr_remote_destroy(kind, object))
		return;
	b = a ? find_block(a, kind, object) : NULL;
	if (!b) {
		mpr_log(MPROC_LOG_ERROR, "%p was not created, and is not "
			"destroyed", object);
		return;
	}
	mpr_wake_begin(&wake, a, self, object);
	word = atomic_load(&cell->word);
	while (!(word & MPR_GONE) &&
	       !atomic_compare_exchange_strong(&cell->word, &word,
					       MPR_GONE | (word & keep)))
		;
	mpr_wake_for_a_look(&wake);
	mpr_wake_end(&wake);
	atomic_store_explicit(&a->shm->cell_hints[kind],
			      mpr_arena_offset(a, b), memory_order_relaxed);
}

bool
mpr_cell_take(enum mpr_cell_kind kind, void *object, uint64_t word)
{
	mproc_arena *a = mpr_arena_of(object);
	struct mpr_cell *cell = object;
	struct mpr_self *self;
	struct block *b;

	b = a ? find_block(a, kind, object) : NULL;
	if (!b || mpr_self(a, &self) < 0 ||
	    !atomic_compare_exchange_strong(&cell->word, &word,
					    mpr_holder(self) | MPR_GONE))
		return false;
	atomic_store_explicit(&a->shm->cell_hints[kind],
			      mpr_arena_offset(a, b), memory_order_relaxed);
	return true;
}

/* Whose the cell is to be, which has the word @word. */
static uint64_t
heir_of(const mproc_arena *a, const struct mpr_self *self, uint64_t word)
{
	return mpr_holder_has_it(word) && !mpr_holder_is_dead(a, word) ?
		       mpr_holder_name(word) : mpr_holder(self);
}

int
mpr_cell_end(enum mpr_cell_kind kind, void *object)
{
	mproc_arena *a = mpr_arena_of(object);
	struct mpr_cell *cell = object;
	struct mpr_self *self;
	uint64_t word, heir;
	struct mpr_wake k;
	struct block *b;
	int r;

	b = a ? find_block(a, kind, object) : NULL;
	r = b ? mpr_self(a, &self) : -ESTALE;
	if (r < 0)
		return r;
	mpr_wake_begin(&k, a, self, object);
	word = atomic_load(&cell->word);
	do {
		if (word & MPR_GONE) {
			mpr_wake_end(&k);
			return -ESTALE;
		}
		heir = heir_of(a, self, word);
	} while (!atomic_compare_exchange_strong(&cell->word, &word,
						 heir | MPR_GONE));
	mpr_wake_for_a_look(&k);
	mpr_wake_end(&k);
	atomic_store_explicit(&a->shm->cell_hints[kind],
			      mpr_arena_offset(a, b), memory_order_relaxed);
	/* If the caller has it, it goes on with that first. */
	return !mpr_holder_has_it(word) || heir != mpr_holder_name(word);
}
