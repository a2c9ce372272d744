/* SPDX-License-Identifier: MIT */
/*
 * A thread in poll(2) can be woken by a descriptor alone. Most waits for a
 * child are short, so a thread gets one, a waker, only when it has waited for a
 * while, and for as long as it waits. It lies in the process page, where
 * raise() finds it without a lock:
 *
 *   0 --watch--> fd --raise--> fd, poked --> fd --unwatch--> 0
 *
 * A descriptor that is being written to is not closed meanwhile, or the number
 * might be somebody else's file by then.
 */
#include <errno.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/macros.h"
#include "os/clock.h"
#include "os/generation.h"
#include "os/interrupt.h"
#include "os/task.h"
#include "os/thread.h"
#include "os/waker.h"

#define POKED 1u

/* How long a thread waits without a waker, and how long with one. Where it
 * cannot have one, it looks at the count as often as the first says. */
#define FIRST_SLICE 20000000 /* ns */
#define SLICE 1000000000

/* What the calling thread has answered. */
static MPR_THREAD_LOCAL uint64_t generation; /* 0: it has not been asked yet */
static MPR_THREAD_LOCAL uint32_t answered;
static MPR_THREAD_LOCAL bool held;
/* It heeds the second, and nothing else. */
static MPR_THREAD_LOCAL bool alone;
static MPR_THREAD_LOCAL _Atomic bool called_off;

static int64_t
boot_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void
mpr_interrupt_raise(void)
{
	struct mpr_process_page *page;
	int saved = errno;
	int64_t now = boot_time(), last;

	mpr_generation();
	page = atomic_load(&mpr_process_page);
	last = atomic_load(&page->interrupted_at);
	while (last < now && !atomic_compare_exchange_weak(
				     &page->interrupted_at, &last, now))
		;
	/* seq_cst, before the descriptors are looked for: who puts one there
	 * looks at the count after that. One of us sees the other. */
	atomic_fetch_add(&page->interrupts, 1);
	for (int i = 0; i < MPR_POLLERS; i++) {
		uint32_t word = atomic_load(&page->pollers[i]);

		if (word == 0 || word & POKED ||
		    !atomic_compare_exchange_strong(&page->pollers[i], &word,
						    word | POKED))
			continue;
		mpr_waker_wake((int)(word >> 1) - 1);
		/* Release: the write comes before the owner may close it. Not
		 * by a store: a handler may have forked here. */
		word |= POKED;
		atomic_compare_exchange_strong_explicit(
			&page->pollers[i], &word, word & ~POKED,
			memory_order_release, memory_order_relaxed);
	}
	errno = saved;
}

/* Interrupts that came before this thread was made, as far as clock ticks
 * tell; the same tick counts as after. */
static uint32_t
count_before(struct mpr_process_page *page, uint32_t count)
{
	int64_t tick = 1000000000 / sysconf(_SC_CLK_TCK);
	int before = mpr_thread_forbid_cancel();
	uint64_t start = mpr_task_own_start_time();

	mpr_thread_allow_cancel(before);
	return (int64_t)start > atomic_load(&page->interrupted_at) / tick ?
		       count : 0;
}

bool
mpr_interrupt_pending(void)
{
	uint64_t ours = mpr_generation();
	struct mpr_process_page *page = atomic_load(&mpr_process_page);
	uint32_t count = atomic_load(&page->interrupts);

	if (mpr_unlikely(alone))
		return atomic_load(&called_off) && !held;
	if (mpr_unlikely(generation != ours)) {
		/* The first thread of a forked child remembers what its
		 * parent's has answered; it has been there from the start. */
		answered = count && !generation ? count_before(page, count) : 0;
		generation = ours;
	}
	return count != answered && !held;
}

_Atomic bool *
mpr_interrupt_alone(void)
{
	alone = true;
	return &called_off;
}

uint32_t
mpr_interrupt_count(void)
{
	mpr_generation(); /* makes the page */
	return atomic_load(&atomic_load(&mpr_process_page)->interrupts);
}

void
mpr_interrupt_answer_to(uint32_t count)
{
	answered = count;
}

void
mpr_interrupt_answer(void)
{
	mpr_interrupt_answer_to(mpr_interrupt_count());
}

void
mpr_interrupt_hold(void)
{
	held = true;
}

void
mpr_interrupt_unhold(void)
{
	held = false;
}

/* Returns the place of @fd in the page, or NULL if all are taken. */
static _Atomic uint32_t *
watch(int fd)
{
	uint32_t mine = ((uint32_t)fd + 1) << 1;
	struct mpr_process_page *page;

	mpr_generation(); /* makes the page */
	page = atomic_load(&mpr_process_page);
	for (int i = 0; i < MPR_POLLERS; i++) {
		uint32_t word = 0;

		if (atomic_compare_exchange_strong(&page->pollers[i], &word,
						   mine))
			return &page->pollers[i];
	}
	return NULL;
}

static void
unwatch(_Atomic uint32_t *place, int fd)
{
	uint32_t mine = ((uint32_t)fd + 1) << 1, word = mine;

	/* Nothing of ours is there in a child that a handler has forked while
	 * we were waiting. */
	while (!atomic_compare_exchange_strong(place, &word, 0)) {
		if (word != (mine | POKED) || generation != mpr_generation())
			return;
		word = mine;
		mpr_task_yield();
	}
}

/* Whether any of them said something. */
static bool
any_told(const struct pollfd *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (fds[i].revents)
			return true;
	return false;
}

/* Polls @n descriptors. Returns 0; -ETIMEDOUT if @deadline comes first, which
 * is not later than @slice; -EBADF, also where the limit on descriptors is so
 * low that the kernel refuses to poll. */
static int
poll_until(struct pollfd *fds, unsigned n, int64_t deadline, int64_t slice)
{
	int64_t now = mproc_now(), ns = deadline > now ? deadline - now : 0;
	struct timespec time;
	int r;

	if (ns > slice)
		ns = slice;
	time = (struct timespec){ .tv_sec = (time_t)(ns / 1000000000),
				  .tv_nsec = (long)(ns % 1000000000) };
	r = mpr_fault(MPR_FAULT_POLL) ? -1 : ppoll(fds, n, &time, NULL);
	if (r == 0)
		return mproc_now() >= deadline ? -ETIMEDOUT : 0;
	if (r < 0)
		return errno == EINTR ? 0 : -EBADF;
	for (unsigned i = 0; i < n; i++)
		if (fds[i].revents && !(fds[i].revents & fds[i].events))
			return -EBADF;
	return 0;
}

int
mpr_interrupt_poll(struct pollfd *fds, unsigned n, int64_t deadline)
{
	struct pollfd *own = &fds[n];
	int before = mpr_thread_forbid_cancel();
	_Atomic uint32_t *place = NULL;
	int r;

	r = poll_until(fds, n, deadline, FIRST_SLICE);
	if (r < 0 || any_told(fds, n))
		goto done;
	*own = (struct pollfd){
		.fd = mpr_waker_open(),
		.events = POLLIN,
	};
	/* Asked for first, as it finds our generation, and again after it is
	 * there: see mpr_interrupt_raise(). */
	if (!mpr_interrupt_pending() && own->fd >= 0)
		place = watch(own->fd);
	if (!mpr_interrupt_pending())
		r = poll_until(fds, n + 1, deadline,
			       place ? SLICE : FIRST_SLICE);
	if (place)
		unwatch(place, own->fd);
	mpr_waker_close(own->fd);
done:
	mpr_thread_allow_cancel(before);
	return r;
}
