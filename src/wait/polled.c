/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "os/child.h"
#include "os/clock.h"
#include "process/handle.h"
#include "wait/polled.h"

#define PAUSE_FIRST INT64_C(1000000) /* ns */
#define PAUSE_MAX 64 /* times as long */

int
mpr_polled_open(struct mpr_polled *p, struct mproc_waitable *items,
		unsigned most)
{
	p->items = items;
	p->n = 0;
	p->fds = p->few_fds;
	p->ones = p->few_ones;
	p->pauses = false;
	p->tries = 0;
	if (most <= MPR_POLLED_FEW)
		return 0;
	p->ones = mpr_malloc(most * (sizeof(*p->ones) + sizeof(*p->fds)) +
			     2 * sizeof(*p->fds));
	if (!p->ones)
		return mpr_fail(-ENOMEM, "no memory to wait for %u descriptors",
				most);
	p->fds = (struct pollfd *)(p->ones + most);
	return 0;
}

void
mpr_polled_close(struct mpr_polled *p)
{
	if (p->ones != p->few_ones)
		free(p->ones);
}

void
mpr_polled_add(struct mpr_polled *p, int item, const struct mpr_thing *t)
{
	p->fds[p->n] = (struct pollfd){ .fd = t->fd, .events = t->events };
	p->ones[p->n++] = (struct mpr_polled_one){ .item = item, .thing = *t };
	p->pauses |= t->fd < 0;
}

/* After a poll. @all: also processes of which that said nothing. */
static int
tell(struct mpr_polled *p, bool all)
{
	int ready = 0;

	for (unsigned i = 0; i < p->n; i++) {
		const struct mpr_thing *t = &p->ones[i].thing;
		short told = p->fds[i].revents;
		short answer = mpr_thing_answer(
			t, told || !t->process || !all ? told : POLLIN);

		p->items[p->ones[i].item].ret_events = answer;
		ready += answer != 0;
		if (!told || answer || !t->process)
			continue;
		/* A debugger keeps its end from us, or it is no pidfd any
		 * more. */
		p->fds[i].fd = -1;
		p->pauses = true;
	}
	return ready;
}

static bool
any_told(const struct mpr_polled *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (p->fds[i].revents)
			return true;
	return false;
}

static bool
are_processes(const struct mpr_polled *p)
{
	for (unsigned i = 0; i < p->n; i++)
		if (!p->ones[i].thing.process)
			return false;
	return true;
}

/* Returns 0; -ETIMEDOUT at @deadline; -EBADF if that cannot be done, and all can be
 * looked at; -ENOMEM. */
static int
poll_all(struct mpr_polled *p, unsigned n, int64_t deadline)
{
	int r;

	for (unsigned i = 0; i < n; i++)
		p->fds[i].revents = 0;
	r = mpr_interrupt_poll(p->fds, n, deadline);
	if (r != -EBADF || any_told(p, n))
		return r == -EBADF ? 0 : r;
	/* The kernel does not poll at all, as when the limit on descriptors is
	 * less than how many there are. */
	return are_processes(p) && n == p->n ? -EBADF :
	       mpr_fail(-ENOMEM, "the system does not poll %u descriptors", n);
}

int
mpr_polled_look(struct mpr_polled *p)
{
	int r = poll_all(p, p->n, 0);

	return r == -ENOMEM ? r : tell(p, r == -EBADF);
}

/* Until when to sleep in one go. */
static int64_t
next_look(struct mpr_polled *p, int64_t deadline)
{
	int64_t until;

	if (!p->pauses)
		return deadline;
	if (p->tries < PAUSE_MAX)
		p->tries++;
	until = mproc_now() + p->tries * PAUSE_FIRST;
	return until < deadline ? until : deadline;
}

int
mpr_polled_wait(struct mpr_polled *p, int also, int64_t deadline)
{
	int64_t until = next_look(p, deadline);
	unsigned n = p->n;
	int r, ready;

	if (mpr_interrupt_pending()) {
		mpr_interrupt_answer();
		return -EINTR;
	}
	if (also >= 0)
		p->fds[n++] = (struct pollfd){ .fd = also, .events = POLLIN };
	r = poll_all(p, n, until);
	if (r == -ENOMEM)
		return r;
	if (r == -EBADF)
		r = mpr_child_pause(until = deadline, ++p->tries);
	/* Now and then all processes are looked at: a descriptor may be another
	 * one by now, that the program has opened under the same number. */
	ready = tell(p, !any_told(p, n));
	if (ready)
		return ready;
	return r == -ETIMEDOUT && until == deadline ? -ETIMEDOUT : 0;
}
