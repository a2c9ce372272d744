/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stddef.h>

#include "arena/heap.h"
#include "base/error.h"
#include "base/macros.h"
#include "ipc/pipe_holds.h"
#include "os/generation.h"
#include "os/task.h"
#include "os/thread.h"

/* Many more holders than there can be processes. */
#define BLOCKS_MAX 65536

/* Many more children than can be started in the time of a look. */
#define LOOKS_MAX 1000

MPR_CHILD_DATA _Atomic bool mpr_hold_noted;

_Atomic uint64_t *
mpr_hold_next(const mproc_arena *a, struct mpr_holds *h,
	      struct mpr_hold_walk *walk)
{
	struct mpr_hold_block *block;
	struct mpr_block_ref ref;
	uint64_t offset;

	if (!walk->more) {
		walk->word = h->word;
		walk->more = &h->more;
		walk->left = MPR_HOLDS_FIRST;
	}
	if (!walk->left) {
		/* seq_cst, as all that is about holds: a block whose words are
		 * in use is not missed. */
		offset = atomic_load(walk->more);
		if (!offset || !mpr_heap_find_of(a, offset, walk->more, &ref) ||
		    ref.size < sizeof(*block) || ++walk->blocks > BLOCKS_MAX)
			return NULL;
		block = mpr_arena_at(a, offset);
		walk->word = block->word;
		walk->more = &block->more;
		walk->left = MPR_HOLDS_MORE;
	}
	walk->left--;
	return walk->word++;
}

uint64_t
mpr_hold_of(pid_t pid)
{
	/* Asking /proc is a cancellation point. */
	int before = mpr_thread_forbid_cancel();
	uint64_t start = mpr_task_start_time(pid);

	mpr_thread_allow_cancel(before);
	return (start << 23 & ~MPR_HOLD_USED) | (uint64_t)pid << 1;
}

uint64_t
mpr_hold_mine(void)
{
	static _Atomic uint64_t generation, word;
	uint64_t mine;

	/* Acquire pairs with the store below: then the word is ours. */
	if (atomic_load_explicit(&generation, memory_order_acquire) ==
	    mpr_generation())
		return atomic_load_explicit(&word, memory_order_relaxed);
	mine = mpr_hold_of(mpr_task_pid());
	atomic_store_explicit(&word, mine, memory_order_relaxed);
	atomic_store_explicit(&generation, mpr_generation(),
			      memory_order_release);
	return mine;
}

_Atomic uint64_t *
mpr_hold_find(const mproc_arena *a, struct mpr_holds *h, uint64_t word)
{
	struct mpr_hold_walk walk = { 0 };
	_Atomic uint64_t *at;

	while ((at = mpr_hold_next(a, h, &walk)))
		if (mpr_hold_is(atomic_load(at), word))
			return at;
	return NULL;
}

static _Atomic uint64_t *
look_for_another(const mproc_arena *a, struct mpr_holds *h, uint64_t word,
		 uint64_t *ret_other)
{
	struct mpr_hold_walk walk = { 0 };
	_Atomic uint64_t *at;

	while ((at = mpr_hold_next(a, h, &walk))) {
		*ret_other = atomic_load(at);
		if (mpr_hold_stands(*ret_other) && !mpr_hold_is(*ret_other, word))
			return at;
	}
	return NULL;
}

_Atomic uint64_t *
mpr_hold_other(const mproc_arena *a, struct mpr_holds *h, uint64_t word,
	       uint64_t *ret_other)
{
	_Atomic uint64_t *at = NULL;
	uint64_t added = ~atomic_load(&h->added);

	/* Each time a process was started meanwhile; who writes there all the time
	 * starts none. */
	for (int i = 0; i < LOOKS_MAX && !at &&
			added != atomic_load(&h->added); i++) {
		added = atomic_load(&h->added);
		at = look_for_another(a, h, word, ret_other);
	}
	return at;
}

bool
mpr_hold_is_clean(const mproc_arena *a, struct mpr_holds *h)
{
	struct mpr_hold_walk walk = { 0 };
	_Atomic uint64_t *at;

	while ((at = mpr_hold_next(a, h, &walk)))
		if (atomic_load(at))
			return false;
	return true;
}

static bool
put(const mproc_arena *a, struct mpr_holds *h, uint64_t word)
{
	struct mpr_hold_walk walk = { 0 };
	_Atomic uint64_t *at;
	uint64_t none;

	while ((at = mpr_hold_next(a, h, &walk))) {
		none = 0;
		if (atomic_load(at) == 0 &&
		    atomic_compare_exchange_strong(at, &none, word))
			return true;
	}
	return false;
}

int
mpr_hold_add(mproc_arena *a, struct mpr_self *self, struct mpr_holds *h,
	     uint64_t word)
{
	struct mpr_block_ref ref;
	int r;

	/* Others may take what we add. */
	for (int round = 0; round < BLOCKS_MAX; round++) {
		if (put(a, h, word)) {
			atomic_fetch_add(&h->added, 1);
			return 0;
		}
		r = mpr_heap_reserve(a, self, sizeof(struct mpr_hold_block),
				     &ref);
		if (r == 0)
			r = mpr_block_append(
				a, self, &ref, &h->more,
				offsetof(struct mpr_hold_block, more),
				BLOCKS_MAX);
		if (r < 0)
			return r;
	}
	return mpr_fail(-EBADMSG, "a list of holders is corrupt");
}

static uint32_t
hash(uint64_t value)
{
	return (uint32_t)(value * UINT64_C(0x9e3779b97f4a7c15) >> 48);
}

static uint32_t *
place_of(struct mpr_hold_census *c, uint32_t pid)
{
	uint32_t i = hash(pid);

	/* It is never full. */
	while (c->pids[i % MPR_HOLD_PIDS] && c->pids[i % MPR_HOLD_PIDS] != pid)
		i++;
	return &c->pids[i % MPR_HOLD_PIDS];
}

static void
take_census(struct mpr_hold_census *c)
{
	unsigned high = mpr_participants_high(c->arena);

	c->taken = true;
	for (unsigned slot = 0; slot < high; slot++) {
		struct mpr_participant *p = mpr_participant_at(c->arena, slot);
		uint32_t pid = atomic_load(&p->pid);

		if (mpr_participant_state(atomic_load(&p->ident)) ==
			    MPR_PARTICIPANT_LIVE &&
		    pid && !mpr_life_ended(&p->life))
			*place_of(c, pid) = pid;
	}
}

bool
mpr_hold_is_dead(struct mpr_hold_census *c, uint64_t word)
{
	uint64_t *living = &c->living[hash(word) % MPR_HOLDS_LIVING];
	uint64_t start = mpr_hold_start(word), mine = mpr_hold_mine();
	pid_t pid = mpr_hold_pid(word);

	/* Nobody's: somebody has scribbled there. The kernel would say that of the
	 * caller. */
	if (!pid)
		return true;
	if (pid == mpr_hold_pid(mine))
		return !mpr_hold_is(word, mine);
	if (!c->thorough) {
		if (!c->taken)
			take_census(c);
		if (*place_of(c, (uint32_t)pid))
			return false;
	}
	if (*living == word)
		return false;
	if (mpr_task_process_ended(pid, c->thorough ? start : 0))
		return true;
	*living = word;
	return false;
}
