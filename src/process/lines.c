/* SPDX-License-Identifier: MIT */
/*
 * One thread reads for all processes, as long as there is anything to read from. The
 * list is changed under the process lock, which nobody holds while printing; who
 * reads from one of them has made it busy.
 *
 * A forked child has neither the thread nor an interest in what its parent reads.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "base/macros.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/fds.h"
#include "os/file.h"
#include "os/generation.h"
#include "os/pipe.h"
#include "os/stdio.h"
#include "os/thread.h"
#include "os/waker.h"
#include "process/lines.h"
#include "process/self.h"

#define LINE 4096 /* longer ones are broken */
#define WAIT 1000 /* ms, until the thread asks whether it is the last one */
#define WAIT_UNWOKEN 10

struct mpr_lines {
	struct mpr_lines *next;
	FILE *out;
	int fd; /* or -1: it has come to its end */
	struct mpr_file file; /* the same, to be known again in a forked child */
	bool busy;
	bool held; /* by a handle */
	unsigned drainers; /* who wait for it: the thread lets them go first */
	uint64_t generation; /* of the process that reads from it */
	char name[MPR_NAME_MAX];
	size_t len; /* of the line that is not complete */
	char text[LINE];
};

/* Of the process of generation @owner. */
MPR_CHILD_DATA static struct mpr_lines *list;
static uint64_t owner;
static bool running;
static int waker;

/* The generation of which a thread may be stuck with standard error; children that it
 * forks have this, and no such thread. Relaxed: nothing comes with it. */
static _Atomic uint64_t may_be_stuck;

/* The process lock is held in these. */

static void
forget_parents(void)
{
	if (owner == mpr_generation())
		return;
	list = NULL;
	running = false;
	owner = mpr_generation();
}

static bool
is_listed(const struct mpr_lines *l)
{
	for (const struct mpr_lines *i = list; i; i = i->next)
		if (i == l)
			return true;
	return false;
}

/* If not, a signal handler has forked us in the middle of a call, and has returned: what
 * comes is our parent's to pass on, and whoever was busy with it is not here. */
static bool
is_ours(const struct mpr_lines *l)
{
	return l->generation == mpr_generation();
}

/* Frees it if nothing will come, and nobody asks. */
static void
clean_up(struct mpr_lines *l)
{
	struct mpr_lines **link = &list;

	if (l->busy || l->held || l->fd >= 0 || !is_ours(l))
		return;
	while (*link != l)
		link = &(*link)->next;
	*link = l->next;
	free(l);
}

/* For the thread: makes it busy. Returns false if it is, or is gone. */
static bool
try_to_take(struct mpr_lines *l)
{
	bool taken;

	mpr_process_lock();
	taken = is_listed(l) && !l->busy && !l->drainers && l->fd >= 0;
	if (taken)
		l->busy = true;
	mpr_process_unlock();
	return taken;
}

static void
give_back(struct mpr_lines *l, bool ended)
{
	mpr_process_lock();
	if (ended) {
		mpr_fds_close(l->fd);
		l->fd = -1;
	}
	l->busy = false;
	clean_up(l);
	mpr_process_unlock();
}

/* In the following the caller has made it busy, and has locked the stream. */

/* Whole lines that go out with one write; at least one has room. */
struct batch {
	size_t len;
	char text[LINE + MPR_NAME_MAX + 4];
};

static void
write_out(const struct mpr_lines *l, struct batch *b)
{
	if (b->len && is_ours(l))
		mpr_stdio_pass(l->out, b->text, b->len, l->generation);
	b->len = 0;
}

static void
print(const struct mpr_lines *l, struct batch *b, const char *line, size_t len)
{
	if (sizeof(b->text) - b->len < len + MPR_NAME_MAX + 4)
		write_out(l, b);
	b->len += (size_t)snprintf(b->text + b->len, MPR_NAME_MAX + 4, "[%s] ",
				   l->name);
	memcpy(b->text + b->len, line, len);
	b->len += len;
	b->text[b->len++] = '\n';
}

static void
print_rest(struct mpr_lines *l, struct batch *b)
{
	if (l->len)
		print(l, b, l->text, l->len);
	l->len = 0;
}

static void
print_lines(struct mpr_lines *l, struct batch *b)
{
	char *line = l->text, *end = l->text + l->len, *newline;

	while ((newline = memchr(line, '\n', (size_t)(end - line)))) {
		print(l, b, line, (size_t)(newline - line));
		line = newline + 1;
	}
	l->len = (size_t)(end - line);
	memmove(l->text, line, l->len);
	if (l->len == LINE)
		print_rest(l, b);
}

/* Returns how many bytes there were, 0 if there is nothing now, -1 at the end. */
static int
read_some(struct mpr_lines *l, struct batch *b)
{
	int n = mpr_pipe_read(l->fd, l->text + l->len, LINE - l->len);

	if (n == -EAGAIN)
		return 0;
	if (n <= 0) {
		print_rest(l, b);
		return -1;
	}
	l->len += (size_t)n;
	print_lines(l, b);
	return n;
}

/* The thread. */

#define ROOM 1024 /* more than that wait for their turn */

/* Whom it waits for; the waker is the first. Only it uses these. */
static struct pollfd fds[ROOM];
static struct mpr_lines *waits_for[ROOM];

/* Returns how many there are, or 0 if there is nothing to read from, and the thread
 * is to end. Those that others read from are left out, as at the end of one each wait
 * would be over at once; who has left something there wakes us. */
static unsigned
collect(void)
{
	bool any = false;
	unsigned n = 1;

	mpr_process_lock();
	for (struct mpr_lines *l = list; l && n < ROOM; l = l->next) {
		if (l->fd < 0)
			continue;
		any = true;
		if (l->busy || l->drainers)
			continue;
		fds[n] = (struct pollfd){ .fd = l->fd, .events = POLLIN };
		waits_for[n++] = l;
	}
	fds[0] = (struct pollfd){ .fd = waker, .events = POLLIN };
	if (!any || mpr_thread_are_last()) {
		if (waker >= 0)
			mpr_waker_close(waker);
		running = false;
		mpr_thread_is_over();
		n = 0;
	} else if (waker >= 0) {
		mpr_waker_reset(waker);
	}
	mpr_process_unlock();
	return n;
}

/* Makes it busy, and locks the stream. Does not keep it busy while others have the stream
 * locked: one of them may want to read it, or wait for this thread to end. */
static bool
take_with_stream(struct mpr_lines *l)
{
	for (unsigned tries = 0; try_to_take(l); tries++) {
		if (ftrylockfile(l->out) == 0)
			return true;
		give_back(l, false);
		(void)mpr_child_pause(MPR_NEVER, tries);
	}
	return false;
}

/* Returns whether it has come to its end. */
static bool
pass_on(struct mpr_lines *l)
{
	struct batch b = { 0 };
	bool ended = read_some(l, &b) < 0;

	write_out(l, &b);
	funlockfile(l->out);
	return ended;
}

static void *
relay(void *unused)
{
	unsigned n;

	(void)unused;
	mpr_thread_show_name("mproc-lines");
	while ((n = collect()) > 0) {
		mpr_pipe_wait(fds, n, waker < 0 ? WAIT_UNWOKEN : WAIT);
		for (unsigned i = 1; i < n; i++) {
			if (!fds[i].revents ||
			    !take_with_stream(waits_for[i]))
				continue;
			give_back(waits_for[i], pass_on(waits_for[i]));
		}
	}
	return NULL;
}

/* The process lock is held. */
static int
wake_relay(void)
{
	int r = 0;

	if (running) {
		if (waker >= 0)
			mpr_waker_wake(waker);
		return 0;
	}
	waker = mpr_waker_open();
	if (waker == -EMFILE || waker == -ENFILE || waker == -ENOMEM)
		return waker;
	running = true;
	r = mpr_thread_start(relay, NULL);
	if (r == 0)
		return 0;
	running = false;
	if (waker >= 0)
		mpr_waker_close(waker);
	return r;
}

/* A line of the log. */
static void
say(const char *line)
{
	if (atomic_load_explicit(&may_be_stuck, memory_order_relaxed) ==
	    mpr_generation_peek())
		mpr_stdio_say(line);
	else
		fputs(line, stderr);
}

int
mpr_lines_open(struct mpr_lines **ret_l, const char *name, int stream,
	       int *ret_fd)
{
	struct mpr_lines *l = mpr_malloc(sizeof(*l));
	struct mpr_file file;
	int ends[2], r;

	if (!l)
		return mpr_fail(-ENOMEM, "no memory for the lines of \"%s\"",
				name);
	r = mpr_pipe_open(ends);
	if (r == 0 && (r = mpr_file_note(&file, ends[0])) < 0) {
		mpr_fds_close(ends[0]);
		mpr_fds_close(ends[1]);
	}
	if (r < 0) {
		free(l);
		return mpr_fail(r, "a pipe for the lines of \"%s\": %s", name,
				mproc_strerror(r));
	}
	atomic_store_explicit(&may_be_stuck, mpr_generation(),
			      memory_order_relaxed);
	atomic_store_explicit(&mpr_log_print, say, memory_order_relaxed);
	*l = (struct mpr_lines){
		.out = stream == 1 ? stdout : stderr,
		.fd = ends[0],
		.file = file,
		.held = true,
	};
	snprintf(l->name, sizeof(l->name), "%s", name);
	mpr_process_lock();
	forget_parents();
	l->generation = owner;
	l->next = list;
	list = l;
	r = wake_relay();
	if (r < 0)
		list = l->next;
	mpr_process_unlock();
	if (r < 0) {
		mpr_fds_close(ends[0]);
		mpr_fds_close(ends[1]);
		free(l);
		return mpr_fail(r, "a thread for the lines of \"%s\": %s", name,
				mproc_strerror(r));
	}
	*ret_l = l;
	*ret_fd = ends[1];
	return 0;
}

/* For others, who hold it: waits until nobody else reads from it. Returns 1 if it is
 * taken, 0 if there is nothing left for us to read, or -ETIMEDOUT. */
static int
take(struct mpr_lines *l, int64_t deadline)
{
	bool taken, over;
	int r = 0;

	mpr_process_lock();
	l->drainers++;
	for (unsigned tries = 0;; tries++) {
		over = l->fd < 0 || !is_ours(l);
		taken = !over && !l->busy;
		if (taken || over || r < 0)
			break;
		mpr_process_unlock();
		r = mpr_child_pause(deadline, tries);
		mpr_process_lock();
	}
	l->drainers--;
	l->busy |= taken;
	mpr_process_unlock();
	return taken ? 1 : over ? 0 : r;
}

/* Whoever has it may be in the middle of a write that does not end. */
static int
lock_stream(FILE *out, int64_t deadline)
{
	int r = 0;

	if (deadline == MPR_NEVER) {
		flockfile(out);
		return 0;
	}
	for (unsigned tries = 0; ftrylockfile(out) != 0; tries++) {
		if (r < 0)
			return r;
		r = mpr_child_pause(deadline, tries);
	}
	return 0;
}

/* The stream is locked. Returns whether it has come to its end. */
static bool
pass_on_all(struct mpr_lines *l)
{
	struct batch b = { 0 };
	/* No more than is there now: an heir may write without end. */
	int left = mpr_pipe_held(l->fd), r = 0;

	/* Each may have taken long, and so has the way here. */
	while (left >= 0 && is_ours(l) && (r = read_some(l, &b)) > 0)
		left -= r;
	print_rest(l, &b);
	write_out(l, &b);
	return r < 0;
}

/* Who may have left it out of what it waits for. */
static void
hand_to_relay(const struct mpr_lines *l)
{
	mpr_process_lock();
	if (l->fd >= 0 && is_ours(l) && running && waker >= 0)
		mpr_waker_wake(waker);
	mpr_process_unlock();
}

int
mpr_lines_drain(struct mpr_lines *l, int64_t deadline)
{
	/* The end of the process would wait for who has the stream locked. */
	bool outer = mpr_process_enter(), ended = false;
	int r = take(l, deadline);

	if (r == 1) {
		r = lock_stream(l->out, deadline);
		if (r == 0) {
			ended = pass_on_all(l);
			funlockfile(l->out);
		}
		give_back(l, ended);
	}
	hand_to_relay(l);
	mpr_process_leave(outer);
	return r;
}

/* Until the thread has ended, if there is nothing to read from any more: who has
 * closed the last handle finds its process as it was before. */
static void
let_relay_end(void)
{
	bool ends = true;

	for (unsigned tries = 0; ends; tries++) {
		mpr_process_lock();
		ends = running && owner == mpr_generation();
		for (const struct mpr_lines *l = list; l && ends; l = l->next)
			ends = l->fd < 0;
		if (ends && waker >= 0)
			mpr_waker_wake(waker);
		mpr_process_unlock();
		if (ends)
			(void)mpr_child_pause(MPR_NEVER, tries);
	}
}

void
mpr_lines_release(struct mpr_lines *l)
{
	(void)mpr_lines_drain(l, MPR_NEVER);
	mpr_process_lock();
	l->held = false;
	clean_up(l);
	mpr_process_unlock();
	let_relay_end();
}

MPR_CHILD_PATH void
mpr_lines_forget(void)
{
	for (struct mpr_lines *l = list; l; l = l->next)
		if (l->fd >= 0)
			mpr_file_close(&l->file);
	list = NULL;
}

unsigned
mpr_lines_threads(void)
{
	bool runs;

	mpr_process_lock();
	forget_parents();
	runs = running;
	mpr_process_unlock();
	return runs;
}

bool
mpr_lines_has_fd(int fd)
{
	const struct mpr_lines *l;
	bool has;

	mpr_process_lock();
	forget_parents();
	for (l = list; l && l->fd != fd; l = l->next)
		;
	has = l || (running && waker == fd);
	mpr_process_unlock();
	return has;
}
