/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdatomic.h>

#include <mproc/core.h>

#include "os/clock.h"
#include "os/courier.h"
#include "os/fds.h"
#include "os/generation.h"
#include "os/thread.h"
#include "process/server.h"
#include "process/spare.h"

/* Starts that come one after the other are no longer apart. */
#define SUCCESSION INT64_C(1000000000) /* ns */

#define GRACE INT64_C(1000000000) /* ns, for one that was killed */

int
mpr_spare_connect(struct mpr_spare *s)
{
	int ends[2], r = mpr_courier_pair(ends);

	if (r < 0)
		return r;
	r = mpr_file_note(&s->orders, ends[0]);
	if (r == 0)
		r = mpr_file_note(&s->theirs, ends[1]);
	if (r < 0) {
		s->orders.fd = -1;
		mpr_fds_close(ends[0]);
		mpr_fds_close(ends[1]);
	}
	s->generation = mpr_generation();
	return r;
}

bool
mpr_spare_is_wanted(struct mpr_spare *s)
{
	int64_t now = mproc_now();
	bool wanted;

	mpr_process_lock();
	wanted = s->state == MPR_SPARE_NONE && s->last &&
		 now - s->last < SUCCESSION;
	s->last = now;
	if (wanted)
		s->state = MPR_SPARE_BUSY;
	mpr_process_unlock();
	return wanted;
}

bool
mpr_spare_take(struct mpr_spare *s)
{
	bool took;

	mpr_process_lock();
	took = s->state == MPR_SPARE_ASKED;
	if (took)
		s->state = MPR_SPARE_BUSY;
	mpr_process_unlock();
	return took;
}

void
mpr_spare_leave(struct mpr_spare *s, enum mpr_spare_state state)
{
	mpr_process_lock();
	s->state = state;
	mpr_process_unlock();
}

void
mpr_spare_hand_over(struct mpr_spare *s, struct mpr_plan_file *ret_f)
{
	*ret_f = s->plan;
	s->plan.shmem.base = NULL;
}

/* A copy leaves the words to those that they are for. Returns how many descriptors came
 * along, or an error. */
static int
receive(const struct mpr_spare *s, const struct mpr_file *end, void *word,
	size_t len, int *ret_fds)
{
	sigset_t before;
	int r;

	mpr_thread_forbid_signals(&before);
	r = s->generation == mpr_generation() && mpr_file_is_open(end) ?
		    mpr_courier_take(end->fd, word, len, ret_fds) : -EPIPE;
	mpr_thread_allow_signals(&before);
	return r;
}

/* There may be words of those that have died, or were met before they had come. */
static void
listen(const struct mpr_spare *s, struct mpr_child *c)
{
	struct mpr_server_ready ready = { 0 };
	int fds[MPR_COURIER_FDS], n;

	while (!c->pid) {
		n = receive(s, &s->orders, &ready, sizeof(ready), fds);
		if (n < 0)
			return;
		if (n && ready.spare == s->number)
			(void)mpr_child_adopt(c, ready.pid, fds[--n]);
		while (n > 0)
			mpr_fds_close(fds[--n]);
	}
}

int
mpr_spare_meet(const struct mpr_spare *s, struct mpr_child *c, pid_t pid)
{
	int r;

	listen(s, c);
	if (c->pid)
		return 0;
	if (!pid)
		return -EAGAIN;
	r = mpr_child_open(c, pid);
	if (r < 0)
		c->pid = 0;
	return r;
}

static void
kill_and_reap(const struct mpr_child *c)
{
	int64_t deadline = mproc_now() + GRACE;
	struct mpr_child_end end;
	struct pollfd fds[2];
	unsigned tries = 0;
	int r;

	mpr_process_lock();
	(void)mpr_child_signal(c, SIGKILL);
	mpr_process_unlock();
	for (;;) {
		mpr_process_lock();
		r = mpr_child_reap(c, &end);
		mpr_process_unlock();
		/* Others may reap it, and have not done so yet. */
		if (r == 0 || (r == -ECHILD && mpr_child_is_gone(c)))
			break;
		fds[0] = mpr_child_poll(c);
		if (mpr_child_wait(fds, 1, deadline, ++tries) < 0)
			break;
	}
}

/* Whoever waits for the end of a pipe would wait for who has its order: nobody. */
static void
take_back_order(const struct mpr_spare *s)
{
	struct mpr_server_request order;
	int fds[MPR_COURIER_FDS], n;

	while ((n = receive(s, &s->theirs, &order, sizeof(order), fds)) >= 0)
		while (n > 0)
			mpr_fds_close(fds[--n]);
}

void
mpr_spare_end(struct mpr_spare *s, struct mpr_plan_file *f, struct mpr_child *c,
	      enum mpr_spare_state then)
{
	pid_t pid = f->shmem.base ? (pid_t)atomic_load(&f->record->pid) : 0;

	/* Without room for a descriptor it is known by its id. */
	if (pid && mpr_spare_meet(s, c, pid) < 0)
		*c = (struct mpr_child){ .pid = pid, .fd = -1 };
	if (pid)
		kill_and_reap(c);
	take_back_order(s);
	mpr_child_close(c);
	c->pid = 0;
	mpr_plan_free(f);
	mpr_spare_leave(s, mpr_file_is_open(&s->orders) ? then :
							  MPR_SPARE_REFUSED);
}

void
mpr_spare_forget(struct mpr_spare *s)
{
	mpr_file_close(&s->orders);
	mpr_file_close(&s->theirs);
}
