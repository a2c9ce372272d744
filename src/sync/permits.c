/* SPDX-License-Identifier: MIT */
#include "arena/heap.h"
#include "sync/holder.h"
#include "sync/permits.h"

struct block {
	_Atomic uint64_t next;
	_Atomic uint64_t n;
	_Atomic uint64_t words[];
};

/* Each block is for what was missing. */
#define BLOCKS_MAX MPR_PERMITS_MAX

struct walk {
	struct mpr_permits permits; /* those still to come */
	struct block *block;
	uint64_t i, n; /* the next one in it, how many it has */
};

static size_t
size_of(uint64_t n)
{
	return offsetof(struct block, words) + (size_t)n * sizeof(uint64_t);
}

/* False at the end, and where the link does not lead to a block that is linked
 * there, or that block is none of permits. */
static bool
next_block(struct walk *walk)
{
	const mproc_arena *a = walk->permits.arena;
	struct mpr_block_ref ref;
	struct block *b;
	uint64_t n;

	if (!atomic_load_explicit(walk->permits.link, memory_order_relaxed) ||
	    !mpr_heap_find_at(a, walk->permits.link, &ref) ||
	    ref.size < size_of(1))
		return false;
	b = mpr_arena_at(a, ref.offset);
	n = atomic_load_explicit(&b->n, memory_order_relaxed);
	if (n < 1 || n > MPR_PERMITS_MAX || ref.size < size_of(n))
		return false;
	walk->permits.link = &b->next;
	walk->block = b;
	walk->i = 0;
	walk->n = n;
	return true;
}

static _Atomic uint64_t *
next_word(struct walk *walk)
{
	if (!walk->permits.n)
		return NULL;
	if (walk->i == walk->n && !next_block(walk))
		return NULL;
	walk->permits.n--;
	return &walk->block->words[walk->i++];
}

static bool
is_free(const mproc_arena *a, uint64_t word)
{
	return !word || mpr_holder_is_dead(a, word);
}

int
mpr_permits_make(mproc_arena *a, struct mpr_self *self, _Atomic uint64_t *link,
		 unsigned n)
{
	struct walk walk = { .permits = { a, link, n } };
	struct mpr_block_ref ref;
	_Atomic uint64_t *word;
	unsigned missing;
	struct block *b;
	int r;

	while ((word = next_word(&walk)))
		atomic_store(word, 0);
	missing = walk.permits.n;
	if (!missing)
		return 0;
	/* Nobody else adds blocks here, so what is linked and could not be used
	 * is nothing of ours. */
	link = walk.permits.link;
	atomic_store(link, 0);
	r = mpr_heap_reserve(a, self, size_of(missing), &ref);
	if (r < 0)
		return r;
	b = mpr_arena_at(a, ref.offset);
	atomic_store_explicit(&b->n, missing, memory_order_relaxed);
	return mpr_block_append(a, self, &ref, link,
				offsetof(struct block, next), BLOCKS_MAX);
}

bool
mpr_permits_take(struct mpr_permits permits, const struct mpr_self *self)
{
	struct walk walk = { .permits = permits };
	_Atomic uint64_t *at;

	while ((at = next_word(&walk))) {
		uint64_t word = atomic_load(at);

		/* seq_cst, as all that waiters look at; acquire pairs with who
		 * gave it back. */
		if (is_free(permits.arena, word) &&
		    atomic_compare_exchange_strong(at, &word,
						   mpr_holder(self)))
			return true;
	}
	return false;
}

bool
mpr_permits_give(struct mpr_permits permits, const struct mpr_self *self)
{
	struct walk walk = { .permits = permits };
	_Atomic uint64_t *at;

	while ((at = next_word(&walk))) {
		uint64_t word = mpr_holder(self);

		/* The CAS fails where the semaphore is a new one by now. */
		if (atomic_load_explicit(at, memory_order_relaxed) == word &&
		    atomic_compare_exchange_strong(at, &word, 0))
			return true;
	}
	return false;
}

unsigned
mpr_permits_of(struct mpr_permits permits, uint64_t holder)
{
	struct walk walk = { .permits = permits };
	_Atomic uint64_t *at;
	unsigned n = 0;

	while ((at = next_word(&walk)))
		n += atomic_load_explicit(at, memory_order_relaxed) == holder;
	return n;
}

unsigned
mpr_permits_count(struct mpr_permits permits)
{
	struct walk walk = { .permits = permits };
	_Atomic uint64_t *at;
	unsigned n = 0;

	while ((at = next_word(&walk)))
		n += is_free(permits.arena, atomic_load(at));
	return n;
}
