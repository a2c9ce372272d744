/* SPDX-License-Identifier: MIT */
/*
 * A lock says in its word that it is held, and by which slot and incarnation,
 * and beside it, in the same terms, by which process: what has both is a lock of
 * that process. Once somebody has taken over a dead one's lock, it says so in its
 * flags, and beside it who that was.
 */
#include "arena/heap.h"
#include "arena/participant.h"
#include "sync/cell.h"
#include "sync/holder.h"
#include "sync/holds.h"
#include "sync/lock.h"
#include "sync/notes.h"
#include "sync/rwlock.h"

#define FLAGS UINT64_C(0x3f0000)
#define SLOT UINT64_C(0xffff)

/* Where a lock has what, in words. */
enum {
	WORD = offsetof(struct mpr_lock, cell.word) / 8,
	NAMED = offsetof(struct mpr_lock, named) / 8,
	DIED = offsetof(struct mpr_lock, died) / 8,
	WORDS = sizeof(struct mpr_lock) / 8,
};

static_assert(offsetof(struct mpr_rwlock, named) ==
		      offsetof(struct mpr_lock, named) &&
	      offsetof(struct mpr_rwlock, died) ==
		      offsetof(struct mpr_lock, died), "they are alike");

/* One look for all that a process holds. */
struct look {
	const mproc_arena *arena;
	uint32_t pid;
	mpr_hold_fn *fn;
	void *ctx;
};

static uint64_t
load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static bool
has_lock(const struct look *look, const _Atomic uint64_t *at)
{
	uint64_t named = load(at + NAMED), died = load(at + DIED);
	uint64_t word;

	/* What most memory is not, first. */
	if ((named & ((1u << MPR_PID_BITS) - 1)) != look->pid &&
	    died >> 32 != look->pid)
		return false;
	word = load(at + WORD);
	if (word & MPR_GONE || (word & UINT64_C(0xffffffff)) & ~(FLAGS | SLOT))
		return false;
	if (mpr_holder_has_it(word) &&
	    mpr_holder_named_as(word, look->pid) == named)
		return true;
	/* Nobody's word has no name in it. */
	if (!(word & MPR_HELD) && word & ~FLAGS)
		return false;
	return word & MPR_DIED && died >> 32 == look->pid &&
	       (uint32_t)died != 0;
}

static void
look_at_cells(const mproc_arena *a, void *object, void *ctx)
{
	const struct look *look = ctx;

	(void)a;
	if (has_lock(look, object))
		look->fn(&(struct mpr_hold){ object, MPR_HOLD_LOCK, 1 },
			 look->ctx);
}

static void
look_at_block(const struct look *look, const struct mpr_block_ref *ref)
{
	const _Atomic uint64_t *at = mpr_arena_at(look->arena, ref->offset);
	uint64_t n = ref->size / sizeof(*at);

	for (uint64_t i = 0; i + WORDS <= n; i++) {
		if (!has_lock(look, at + i))
			continue;
		look->fn(&(struct mpr_hold){
				 mpr_arena_at(look->arena, ref->offset +
						      i * sizeof(*at)),
				 MPR_HOLD_LOCK, 1 }, look->ctx);
		i += WORDS - 1;
	}
}

void
mpr_holds_locks(const mproc_arena *a, pid_t pid, mpr_hold_fn *fn, void *ctx)
{
	static const enum mpr_cell_kind kinds[] = {
		MPR_CELL_LOCK, MPR_CELL_RLOCK, MPR_CELL_RWLOCK,
	};
	struct look look = { a, (uint32_t)pid, fn, ctx };
	struct mpr_block_ref ref = { 0 };

	for (unsigned i = 0; i < MPR_ARRAY_LEN(kinds); i++)
		mpr_cells_each(a, kinds[i], look_at_cells, &look);
	while (mpr_heap_next_live(a, ref.offset, &ref))
		look_at_block(&look, &ref);
}

/* The present participant of the look. */
struct sharer {
	const struct look *look;
	uint64_t holder;
};

static void
look_at_permits(const mproc_arena *a, void *object, void *ctx)
{
	const struct sharer *s = ctx;
	unsigned n = mpr_semaphore_permits_of(a, object, s->holder);

	if (n)
		s->look->fn(&(struct mpr_hold){ object, MPR_HOLD_PERMIT, n },
			    s->look->ctx);
}

static void
look_at_notes(const struct look *look, unsigned slot)
{
	const struct mpr_notes *notes = mpr_notes_at(look->arena, slot);

	for (unsigned i = 0; i < MPR_NOTES; i++) {
		uint64_t word = load(&notes->word[i]);
		uint64_t name = word & ~(MPR_NOTE_KIND | MPR_NOTE_GENERATION);

		/* What lies elsewhere is for the threads of one process. */
		if ((word & MPR_NOTE_KIND) != MPR_NOTE_READS ||
		    word & MPR_NAME_PRIVATE ||
		    !mpr_arena_has(look->arena, name, sizeof(struct mpr_rwlock)))
			continue;
		look->fn(&(struct mpr_hold){ mpr_arena_at(look->arena, name),
					     MPR_HOLD_READ, 1 }, look->ctx);
	}
}

void
mpr_holds_shares(const mproc_arena *a, pid_t pid, mpr_hold_fn *fn, void *ctx)
{
	struct look look = { a, (uint32_t)pid, fn, ctx };
	unsigned high = mpr_participants_high(a);

	for (unsigned slot = 0; slot < high; slot++) {
		struct mpr_participant *p = mpr_participant_at(a, slot);
		/* Acquire pairs with the release of who joins: its pid. */
		uint64_t ident = atomic_load_explicit(&p->ident,
						      memory_order_acquire);
		struct sharer s = { &look, mpr_holder_of(slot, ident) };

		if (mpr_participant_state(ident) == MPR_PARTICIPANT_FREE ||
		    atomic_load_explicit(&p->pid, memory_order_relaxed) !=
			    look.pid)
			continue;
		look_at_notes(&look, slot);
		mpr_cells_each(a, MPR_CELL_SEMAPHORE, look_at_permits, &s);
	}
}
