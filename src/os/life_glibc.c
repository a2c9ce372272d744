/* SPDX-License-Identifier: MIT */
/*
 * glibc keeps the futex of a mutex in its first 32 bits: the owner's thread id
 * and the bits of the robust futex ABI. mpr_life_begin() checks that, so a
 * library that does it differently is found at once.
 */
#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <string.h>

#include "base/error.h"
#include "base/macros.h"
#include "os/life.h"
#include "os/task.h"

/*
 * The C library remembers this thread's id. In a child of a bare clone() that
 * is the parent's, as is the list that a robust mutex is put into: then it must
 * not be touched.
 */
MPR_CHILD_PATH static bool
id_is_known(pid_t tid)
{
	pthread_mutex_t probe = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
	bool known;

	pthread_mutex_lock(&probe);
	known = probe.__data.__owner == tid;
	pthread_mutex_unlock(&probe);
	return known;
}

/*
 * Makes the mutex anew. It is made elsewhere and copied, as those who still
 * look at the former owner read the first word meanwhile: they find nothing
 * but words that were stored as atomics, and then that the slot is another's.
 */
MPR_CHILD_PATH static void
make_mutex(struct mpr_life *life)
{
	uint32_t words[sizeof(life->u.words) / sizeof(life->u.words[0])] = { 0 };
	pthread_mutexattr_t attr;
	pthread_mutex_t fresh;

	_Static_assert(sizeof(fresh) <= sizeof(words), "a mutex has room");
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&fresh, &attr);
	pthread_mutexattr_destroy(&attr);
	memcpy(words, &fresh, sizeof(fresh));
	pthread_mutex_destroy(&fresh);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		atomic_store_explicit(&life->u.words[i], words[i],
				      memory_order_relaxed);
}

MPR_CHILD_PATH int
mpr_life_begin(struct mpr_life *life)
{
	pid_t tid = mpr_task_tid();
	uint32_t word;

	if (!id_is_known(tid))
		return mpr_fail(-EPROTO, "thread %d is not known to the C "
				"library: was it made by clone()?", (int)tid);
	make_mutex(life);
	/* Nobody else has it: this always succeeds. It is held for life, which
	 * those who look for lock orders would count against each lock() that
	 * comes after. */
	pthread_mutex_trylock(&life->u.mutex);

	word = atomic_load_explicit(&life->u.words[0], memory_order_relaxed);
	if ((word & FUTEX_TID_MASK) != (uint32_t)tid) {
		pthread_mutex_unlock(&life->u.mutex);
		return mpr_fail(-EPROTO, "this C library's mutexes have an "
				"unknown layout");
	}
	return 0;
}

void
mpr_life_end(struct mpr_life *life)
{
	pthread_mutex_unlock(&life->u.mutex);
}

static bool
is_end(uint32_t word)
{
	return (word & FUTEX_OWNER_DIED) || (word & FUTEX_TID_MASK) == 0;
}

bool
mpr_life_ended(const struct mpr_life *life)
{
	/* Acquire: what the kernel marked, it marked after the thread's last
	 * store; and the caller re-reads the slot's ident after this. */
	return is_end(atomic_load_explicit(&life->u.words[0],
					   memory_order_acquire));
}

/* The bit is the one that who waits for the mutex would set. Relaxed: the kernel
 * compares the word once more before it lets one sleep. */
uint32_t
mpr_life_watch(struct mpr_life *life)
{
	uint32_t word =
		atomic_load_explicit(&life->u.words[0], memory_order_relaxed);

	do {
		if (is_end(word))
			return 0;
	} while (!(word & FUTEX_WAITERS) &&
		 !atomic_compare_exchange_weak_explicit(
			 &life->u.words[0], &word, word | FUTEX_WAITERS,
			 memory_order_relaxed, memory_order_relaxed));
	return word | FUTEX_WAITERS;
}
