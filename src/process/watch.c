/* SPDX-License-Identifier: MIT */
/*
 * The descriptors of all are polled at once, and only those that say something
 * are looked at. Where that cannot be done, all of them are, after a pause.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "os/child.h"
#include "os/interrupt.h"
#include "os/thread.h"
#include "process/handle.h"
#include "process/watch.h"

/* So many descriptors need no memory. */
#define FEW 8

static bool
is_left(const struct mpr_watch *w, unsigned i)
{
	return w->ps[i] && !mpr_process_is_done(w->ps[i]);
}

static bool
see_end(const struct mpr_watch *w, unsigned i, int64_t deadline)
{
	return mpr_process_see_end(w->ps[i], mpr_watch_lines(w, deadline)) == 0;
}

static int
pause_and_look(struct mpr_watch *w, int64_t deadline)
{
	int r = mpr_child_pause(deadline, ++w->tries);

	for (unsigned i = 0; i < w->n; i++)
		if (is_left(w, i) && see_end(w, i, deadline))
			w->tries = 0;
	return r;
}

/* @fds has room for our descriptors and two more. */
static int
poll_and_look(struct mpr_watch *w, int64_t deadline, struct pollfd *fds)
{
	bool ended = false, held = false;
	unsigned n = w->n;
	int r;

	for (unsigned i = 0; i < w->n; i++)
		fds[i] = is_left(w, i) ? mpr_child_poll(&w->ps[i]->child) :
					 mpr_child_poll_none();
	if (w->fd >= 0)
		fds[n++] = (struct pollfd){ .fd = w->fd, .events = POLLIN };
	r = mpr_child_wait(fds, n, deadline, ++w->tries);
	for (unsigned i = 0; i < w->n; i++) {
		if (!fds[i].revents)
			continue;
		if (see_end(w, i, deadline))
			ended = true;
		else
			held |= mpr_child_is_gone(&w->ps[i]->child);
	}
	/* A debugger may hold an ended child back from us. */
	if (r == 0 && held && !ended)
		r = mpr_child_pause(deadline, w->tries);
	if (ended)
		w->tries = 0;
	return r;
}

int
mpr_watch(struct mpr_watch *w, int64_t deadline)
{
	struct pollfd few[FEW], *fds = few;
	int r, before;

	if (mpr_interrupt_pending() && w->interruptible) {
		mpr_interrupt_answer();
		return -EINTR;
	}
	before = mpr_thread_forbid_cancel();
	if (w->n > FEW - 2)
		fds = mpr_malloc((w->n + (size_t)2) * sizeof(*fds));
	/* An interrupt that is not for us is for the next wait, and would end
	 * each poll at once. */
	if (!fds || mpr_interrupt_pending())
		r = pause_and_look(w, deadline);
	else
		r = poll_and_look(w, deadline, fds);
	if (fds != few)
		free(fds);
	mpr_thread_allow_cancel(before);
	return r;
}
