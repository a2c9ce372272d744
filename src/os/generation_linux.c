/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/macros.h"
#include "os/generation.h"

#define PAGE 4096

_Atomic(struct mpr_process_page *) mpr_process_page;

/* Ordinary memory, so a child counts on from its parent's value. */
MPR_CHILD_DATA static _Atomic uint64_t last_generation;

/*
 * Where the kernel cannot wipe the page (before 4.14), its number stays 0, and
 * each look takes the slow way, which compares process ids. @owner is the id of
 * the process that the page and the number here belong to, or minus the id of
 * the one that is making them its own. Only an id that is used again by a
 * descendant of its former owner could deceive it.
 */
static _Atomic pid_t owner;
static _Atomic uint64_t unwiped_generation;

/* For a process that has no memory for a page of its own. */
static struct mpr_process_page last_resort;

MPR_IMAGE_PATH static struct mpr_process_page *
make_page(void)
{
	struct mpr_process_page *page = MAP_FAILED, *first = NULL;

	if (!mpr_fault(MPR_FAULT_MMAP))
		page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		page = &last_resort;
	page->unwipeable = page == &last_resort ||
			   mpr_fault(MPR_FAULT_MADVISE) ||
			   madvise(page, PAGE, MADV_WIPEONFORK) < 0;
	if (!atomic_compare_exchange_strong(&mpr_process_page, &first, page)) {
		if (page != &last_resort)
			munmap(page, PAGE);
		return first;
	}
	return page;
}

uint64_t
mpr_generation_unwiped(void)
{
	struct mpr_process_page *page = atomic_load(&mpr_process_page);

	/* The number is stored before the id: seq_cst. */
	return page->unwipeable && atomic_load(&owner) == getpid() ?
		       atomic_load(&unwiped_generation) : 0;
}

/* Makes the page this process's own. The first thread to come does it, before
 * any other can have used it; no signal handler may come in between. */
static uint64_t
assign_unwiped(struct mpr_process_page *page)
{
	pid_t me = getpid(), seen = atomic_load(&owner);
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (seen != me) {
		if (seen == -me) {
			sched_yield();
			seen = atomic_load(&owner);
		} else if (atomic_compare_exchange_strong(&owner, &seen, -me)) {
			*page = (struct mpr_process_page){ .unwipeable = true };
			atomic_store(&unwiped_generation,
				     atomic_fetch_add(&last_generation, 1) + 1);
			atomic_store(&owner, me);
			break;
		}
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return atomic_load(&unwiped_generation);
}

MPR_IMAGE_PATH uint64_t
mpr_generation_assign(void)
{
	struct mpr_process_page *page = atomic_load(&mpr_process_page);
	uint64_t mine, current = 0;

	if (!page)
		page = make_page();
	if (page->unwipeable)
		return assign_unwiped(page);
	mine = atomic_fetch_add(&last_generation, 1) + 1;
	if (atomic_compare_exchange_strong(&page->generation, &current, mine))
		return mine;
	return current;
}

MPR_CHILD_PATH uint64_t
mpr_generation_begin(void)
{
	struct mpr_process_page *page = atomic_load(&mpr_process_page);

	/* It changes nothing; but what is read first is mapped, and mapped anew when it is
	 * written. */
	if (page)
		atomic_fetch_or(&page->pid_namespace, 0);
	return mpr_generation();
}

/* For handlers on this thread: set before the lock is taken. */
static MPR_THREAD_LOCAL _Atomic bool locking;
static MPR_THREAD_LOCAL _Atomic bool entered;

MPR_IMAGE_PATH void
mpr_process_lock(void)
{
	struct mpr_process_page *page;
	int state;

	mpr_generation();
	page = atomic_load(&mpr_process_page);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	atomic_store_explicit(&locking, true, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	pthread_mutex_lock(&page->lock);
	page->cancel_state = state;
}

MPR_IMAGE_PATH void
mpr_process_unlock(void)
{
	struct mpr_process_page *page = atomic_load(&mpr_process_page);
	int state = page->cancel_state;

	pthread_mutex_unlock(&page->lock);
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&locking, false, memory_order_relaxed);
	pthread_setcancelstate(state, NULL);
}

bool
mpr_process_enter(void)
{
	bool before = atomic_load_explicit(&entered, memory_order_relaxed);

	atomic_store_explicit(&entered, true, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	return before;
}

void
mpr_process_leave(bool before)
{
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&entered, before, memory_order_relaxed);
}

bool
mpr_process_is_entered(void)
{
	return atomic_load_explicit(&locking, memory_order_relaxed) ||
	       atomic_load_explicit(&entered, memory_order_relaxed);
}

/* How often the calling thread has it. */
static MPR_THREAD_LOCAL unsigned fork_locks;
static MPR_THREAD_LOCAL int fork_cancel_state;

MPR_CHILD_PATH void
mpr_fork_lock(void)
{
	int state;

	if (fork_locks++)
		return;
	mpr_generation();
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	fork_cancel_state = state;
	pthread_mutex_lock(&atomic_load(&mpr_process_page)->fork_lock);
}

MPR_CHILD_PATH void
mpr_fork_unlock(void)
{
	/* Not if a signal handler has forked us meanwhile, and it is forgotten. */
	if (!fork_locks || --fork_locks)
		return;
	pthread_mutex_unlock(&atomic_load(&mpr_process_page)->fork_lock);
	pthread_setcancelstate(fork_cancel_state, NULL);
}

MPR_CHILD_PATH void
mpr_fork_lock_forget(void)
{
#ifdef MPR_THREAD_SANITIZER
	/* It has not seen the kernel wipe the page. */
	pthread_mutex_unlock(&atomic_load(&mpr_process_page)->fork_lock);
#endif
	fork_locks = 0;
	/* Who forbids it around a start anyway needs no page of code for that. */
	if (fork_cancel_state != PTHREAD_CANCEL_DISABLE)
		pthread_setcancelstate(fork_cancel_state, NULL);
}
