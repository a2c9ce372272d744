/* SPDX-License-Identifier: MIT */
/*
 * Whatever fails here leaves a list short, or empty: the process under test is
 * not to notice that it is looked at.
 */
#include <stdlib.h>
#include <string.h>

#include <mproc/arena.h>

#include "arena/table.h"
#include "base/alloc.h"
#include "base/fault.h"
#include "ipc/in_hand.h"
#include "ipc/queue_fd.h"
#include "os/task.h"
#include "process/children.h"
#include "process/forkserver.h"
#include "process/handle.h"
#include "process/inline.h"
#include "process/lines.h"
#include "process/self.h"
#include "sync/holds.h"
#include "testing/check.h"
#include "testing/look.h"

#define ROOM 64 /* for what is opened between two looks */

/* Entries of all descriptors, to be freed. Returns how many, or a negative
 * error. */
static int
list_fds(struct mpr_fdlist_entry **ret_list)
{
	struct mpr_fdlist_entry *list;
	int n = mpr_fdlist_read(NULL, 0), room;

	if (n < 0)
		return n;
	room = n + ROOM;
	list = mpr_malloc((size_t)room * sizeof(*list));
	if (!list)
		return -1;
	n = mpr_fdlist_read(list, (unsigned)room);
	*ret_list = list;
	return n < room ? n : room;
}

static bool
was_open(const struct mpr_look *look, const struct mpr_fdlist_entry *e)
{
	for (int i = 0; i < look->n_fds; i++)
		if (look->fds[i].fd == e->fd)
			return look->fds[i].device == e->device &&
			       look->fds[i].inode == e->inode;
	return false;
}

/* Whether a descriptor is of a process that runs and whose handle was closed. */
struct owner {
	int fd;
	bool found;
};

static void
match(const mproc_process *p, bool open, void *ctx)
{
	struct owner *o = ctx;

	o->found |= !open && p->child.fd == o->fd;
}

/* libmproc's, which nobody else can close. */
static bool
is_internal(int fd)
{
	int arena[MPR_ARENA_FDS];
	struct owner o = { .fd = fd };

	/* The first two are those of the default arena; others are its
	 * user's. */
	mpr_arena_fds(arena);
	if (fd == arena[0] || fd == arena[1] || mpr_self_has_fd(fd) ||
	    mpr_forkserver_has_fd(fd) || mpr_lines_has_fd(fd) ||
	    mpr_check_has_fd(fd) ||
	    (mpr_queue_fd_any() && mpr_queue_fd_is_one(fd)))
		return true;
	mpr_children_each(match, &o);
	return o.found;
}

static void
look_at_fds(const struct mpr_look *look, struct mpr_left *left)
{
	struct mpr_fdlist_entry *now;
	int n;

	left->n_fds = -1;
	if (look->n_fds < 0)
		return;
	n = list_fds(&now);
	if (n < 0)
		return;
	left->n_fds = 0;
	for (int i = 0; i < n; i++) {
		struct mpr_left_fd *fd;

		if (was_open(look, &now[i]) || is_internal(now[i].fd))
			continue;
		if (left->n_fds++ >= MPROC_TEST_LISTED)
			continue;
		fd = &left->fds[left->n_fds - 1];
		fd->fd = now[i].fd;
		mpr_fdlist_describe(fd->fd, fd->what, sizeof(fd->what));
	}
	free(now);
}

static void
add_message(const struct mpr_in_hand *h, void *ctx)
{
	struct mpr_left *left = ctx;

	if (left->n_messages < MPROC_TEST_LISTED)
		left->messages[left->n_messages] = (struct mpr_left_message){
			.queue = (uintptr_t)h->queue,
			.unfinished = h->unfinished,
			.peeked = h->peeked,
			.reserved = h->reserved,
		};
	left->n_messages++;
}

static void
add_process(const mproc_process *p, bool open, void *ctx)
{
	struct mpr_left *left = ctx;
	struct mpr_left_process *entry;

	(void)open;
	if (left->n_processes++ >= MPROC_TEST_LISTED)
		return;
	entry = &left->processes[left->n_processes - 1];
	entry->pid = p->child.pid;
	memcpy(entry->name, p->name, sizeof(entry->name));
}

static void
add_lock(const struct mpr_hold *hold, void *ctx)
{
	struct mpr_left *left = ctx;

	if (left->n_locks < MPROC_TEST_LISTED)
		left->locks[left->n_locks] = (struct mpr_left_lock){
			.address = (uintptr_t)hold->object,
			.kind = hold->kind,
			.n = hold->n,
		};
	left->n_locks++;
}

/* One look into each arena. */
struct visit {
	struct mpr_left *left;
	pid_t pid;
};

static void
visit_shares(mproc_arena *a, void *arg)
{
	const struct visit *v = arg;

	mpr_holds_shares(a, v->pid, add_lock, v->left);
}

static void
visit_locks(mproc_arena *a, void *arg)
{
	const struct visit *v = arg;

	mpr_holds_locks(a, v->pid, add_lock, v->left);
}

void
mpr_look_at_shares(struct mpr_left *left, pid_t pid)
{
	mpr_arenas_visit(visit_shares, &(struct visit){ left, pid });
}

void
mpr_look_at_locks(struct mpr_left *left, pid_t pid)
{
	mpr_arenas_visit(visit_locks, &(struct visit){ left, pid });
}

static void
visit_blocks(mproc_arena *a, void *arg)
{
	struct mproc_arena_block block = { 0 };
	struct mpr_look_blocks *b = arg;

	while (mproc_arena_next_block(a, &block) > 0) {
		if ((uint32_t)block.pid != b->pid || block.age_ns > b->age)
			continue;
		b->n++;
		b->bytes += block.size;
	}
}

void
mpr_look_at_blocks(struct mpr_look_blocks *b)
{
	mpr_arenas_visit(visit_blocks, b);
}

/* How many entries of a list there are. */
static int
listed(int n)
{
	return n < MPROC_TEST_LISTED ? n : MPROC_TEST_LISTED;
}

static bool
contains(const void *list, int n, const void *entry, size_t size)
{
	for (int i = 0; i < listed(n); i++)
		if (memcmp((const char *)list + (size_t)i * size, entry,
			   size) == 0)
			return true;
	return false;
}

/* Takes out of a list what is in another one. Returns how many are left. */
static int
subtract(void *list, int n, const void *before, int n_before, size_t size)
{
	int kept = 0;

	for (int i = 0; i < listed(n); i++) {
		char *entry = (char *)list + (size_t)i * size;

		if (!contains(before, n_before, entry, size))
			memmove((char *)list + (size_t)kept++ * size, entry,
				size);
	}
	return kept + n - listed(n);
}

void
mpr_look_subtract_locks(struct mpr_left *left, const struct mpr_left *before)
{
	left->n_locks = subtract(left->locks, left->n_locks, before->locks,
				 before->n_locks, sizeof(left->locks[0]));
}

static void
look_inside(struct mpr_left *left)
{
	mpr_look_at_shares(left, mpr_task_pid());
	mpr_in_hand_each(add_message, left);
}

void
mpr_look_begin(struct mpr_look *look, struct mpr_board *board, bool alone)
{
	*look = (struct mpr_look){ .board = board, .alone = alone };
	if (mpr_inline_process()) {
		look->before = mpr_zalloc(sizeof(*look->before));
		if (look->before)
			look_inside(look->before);
	}
	look->n_fds = list_fds(&look->fds);
}

void
mpr_look_drop(struct mpr_look *look)
{
	free(look->fds);
	free(look->before);
}

/* What whoever looks afterwards cannot see. */
static void
look_into_own_arena(struct mpr_left *left)
{
	struct mpr_look_blocks b = { .pid = (uint32_t)mpr_task_pid(),
				     .age = INT64_MAX };

	mpr_look_at_locks(left, mpr_task_pid());
	mpr_look_at_blocks(&b);
	left->n_blocks = b.n;
	left->block_bytes = b.bytes;
}

void
mpr_look_end(struct mpr_look *look)
{
	struct mpr_left *left = &look->board->shm->left;
	const struct mpr_left *before = look->before;

	/* Those that have ended and were closed are gone with their
	 * descriptors. */
	mpr_children_reap();
	left->faults = mpr_fault_failures() - look->faults;
	/* Inline their entries have come to their end. */
	if (!mpr_inline_process())
		mpr_children_each(add_process, left);
	look_at_fds(look, left);
	look_inside(left);
	if (look->alone)
		look_into_own_arena(left);
	if (before) {
		mpr_look_subtract_locks(left, before);
		left->n_messages = subtract(left->messages, left->n_messages,
					    before->messages,
					    before->n_messages,
					    sizeof(left->messages[0]));
	}
	mpr_look_drop(look);
	/* Release: who sees this finds the rest. */
	atomic_store_explicit(&look->board->shm->looked, 1, memory_order_release);
}
