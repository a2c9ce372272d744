/* SPDX-License-Identifier: MIT */
/*
 * Which process is this? Each process has a generation, a number above zero
 * that differs from its parent's, so that what belonged to the parent can be
 * told from what is ours by one load and one compare.
 *
 * The number lies in a page that the kernel wipes in the child of any fork
 * (MADV_WIPEONFORK): pthread_atfork misses _Fork() and bare clone(). The page
 * also holds this process's own lock: a lock that another thread held during a
 * fork is free in the child.
 */
#ifndef MPR_OS_GENERATION_H
#define MPR_OS_GENERATION_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

#define MPR_POLLERS 64

struct mpr_process_page {
	_Atomic uint64_t generation; /* 0: just forked, or cannot be wiped */
	bool unwipeable;	     /* see mpr_generation_unwiped() */
	pthread_mutex_t lock;	     /* zero bytes: unlocked */
	int cancel_state;	     /* of who holds it, before */
	pthread_mutex_t fork_lock;   /* see mpr_fork_lock() */
	_Atomic unsigned started;    /* processes, for their names */
	_Atomic unsigned own_threads; /* os/thread.h */
	_Atomic uint64_t pid_namespace; /* os/task.h; 0: not asked yet */

	/* os/interrupt.h: how many there were, the time of the last one, and
	 * the descriptors to wake pollers by. */
	_Atomic uint32_t interrupts;
	_Atomic int64_t interrupted_at;
	_Atomic uint32_t pollers[MPR_POLLERS];
};

static_assert(sizeof(struct mpr_process_page) <= 4096, "one page");

extern _Atomic(struct mpr_process_page *) mpr_process_page;

/* Sets up the page and gives this process its number. */
uint64_t mpr_generation_assign(void);

/* The same as mpr_generation_peek(), where the page has 0. */
uint64_t mpr_generation_unwiped(void);

/* This process's generation, or 0 if it has not been asked for yet. */
static inline uint64_t
mpr_generation_peek(void)
{
	/* Acquire pairs with the publication in mpr_generation_assign(): the
	 * page's contents must not be read through an unset pointer. */
	struct mpr_process_page *page = atomic_load_explicit(
		&mpr_process_page, memory_order_acquire);
	uint64_t generation;

	if (mpr_unlikely(!page))
		return 0;
	generation = atomic_load_explicit(&page->generation,
					  memory_order_relaxed);
	return mpr_likely(generation) ? generation : mpr_generation_unwiped();
}

/*
 * Whether @generation, which is not 0, is this process's. What cannot be wiped
 * is never sure of that: for fast paths, whose slow path asks again.
 */
static inline bool
mpr_generation_is(uint64_t generation)
{
	/* Relaxed: who has a generation has seen the page that it came from,
	 * and there is never another one. */
	struct mpr_process_page *page = atomic_load_explicit(
		&mpr_process_page, memory_order_relaxed);

	return mpr_likely(atomic_load_explicit(&page->generation,
					       memory_order_relaxed) ==
			  generation);
}

/* Where it stands, for who has one and compares it again and again: the same in all
 * copies of this process. If it is another one there, mpr_generation() says whether it
 * really is. */
static inline const _Atomic uint64_t *
mpr_generation_place(void)
{
	/* Relaxed: as above. */
	return &atomic_load_explicit(&mpr_process_page,
				     memory_order_relaxed)->generation;
}

/* This process's generation. */
static inline uint64_t
mpr_generation(void)
{
	uint64_t generation = mpr_generation_peek();

	return generation ? generation : mpr_generation_assign();
}

/* The same for who has just been forked, and will need its page: that costs one page fault
 * then, not two. */
uint64_t mpr_generation_begin(void);

/* A lock among the threads of this process, for rare paths. Who holds it
 * cannot be cancelled. */
void mpr_process_lock(void);
void mpr_process_unlock(void);

/* Around what the end of the process would wait for, and the calling thread does without
 * that lock: may be nested. The first returns what the second is to be given. */
bool mpr_process_enter(void);
void mpr_process_leave(bool before);

/* Whether the calling thread is in between, holds the lock, or is about to: a signal
 * handler may ask. */
bool mpr_process_is_entered(void);

/* Held by who makes or closes descriptors of which a forked child finds its copies in
 * a table, and by mpr_child_fork(): none of its children has one that is in no table.
 * Is taken before the process lock; who holds it may take it again, and cannot be
 * cancelled. */
void mpr_fork_lock(void);
void mpr_fork_unlock(void);

/* In a forked child, whose thread held it in the parent. */
void mpr_fork_lock_forget(void);

#endif
