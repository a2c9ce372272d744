/* SPDX-License-Identifier: MIT */
/*
 * Arenas with a name, for programs that are not of one family.
 *
 * The file is made without a name, and gets it when the arena in it is complete:
 * there is never half an arena to be found, and nobody has to wait for a creator
 * or to clean up after one that was killed.
 *
 * The byte locks of its participants are on the file itself, far behind all that
 * it can hold. So a process must have one descriptor of it and no other: closing
 * any would drop them all. Hence the table, in which a second open finds the
 * first.
 */
#include <errno.h>

#include "arena/participant.h"
#include "arena/table.h"
#include "base/error.h"
#include "base/log.h"
#include "base/opts.h"
#include "os/clock.h"
#include "os/generation.h"
#include "os/interrupt.h"
#include "os/segment.h"

#define LOCKS_AT (INT64_C(1) << 40)
#define MODE_USUAL 0600U

static_assert(LOCKS_AT > (int64_t)MPR_CAPACITY_MAX, "far behind");

#define LOOK_EVERY 5000000 /* ns, for a name that is not there yet */

static void
use_own_locks(mproc_arena *a)
{
	a->locks = a->shmem.file;
	a->locks_at = LOCKS_AT;
}

struct new_file {
	struct mpr_file file;
	bool dumped;
};

static int
make_in_file(struct mpr_shmem *ret_s, size_t size, void *arg)
{
	const struct new_file *new = arg;

	return mpr_shmem_create_in(ret_s, &new->file, size, MPR_ARENA_ALIGN,
				   new->dumped);
}

static int
make(mproc_arena *a, const struct mproc_arena_opts *o)
{
	struct new_file new = { .dumped = o->core_dump };
	int r;

	r = mpr_segment_make(&new.file, o->mode ? o->mode : MODE_USUAL);
	if (r < 0)
		return r;
	r = mpr_arena_make(a, o, make_in_file, &new);
	if (r < 0) {
		mpr_file_close(&new.file);
		return r;
	}
	use_own_locks(a);
	r = mpr_segment_publish(&new.file, o->name);
	if (r < 0)
		mpr_shmem_unmap(&a->shmem);
	return r;
}

static int
take_entry(mproc_arena **ret_a)
{
	*ret_a = mpr_arenas_take();
	return *ret_a ? 0 : mpr_fail(-EMFILE, "this process has opened %d arenas",
				     MPR_ARENAS_NAMED_MAX);
}

static int
create(const struct mproc_arena_opts *o, mproc_arena **ret_a)
{
	int r = take_entry(ret_a);

	if (r == 0)
		r = make(*ret_a, o);
	if (r == 0)
		mpr_arenas_publish(*ret_a);
	return r;
}

int
mproc_arena_create(mproc_arena **ret_a, const struct mproc_arena_opts *opts)
{
	struct mproc_arena_opts o;
	mproc_arena *a;
	int r;

	if (!ret_a)
		return mpr_fail(-EINVAL, "ret_a is NULL");
	r = mpr_opts_read(&o, sizeof(o), opts);
	if (r == 0)
		r = mpr_segment_check(o.name);
	if (r == 0)
		r = mpr_arena_check_capacity(o.capacity);
	if (r == 0 && o.huge_pages)
		r = mpr_fail(-EINVAL, "a named arena has no huge pages");
	if (r == 0 && o.mode & ~0666U)
		r = mpr_fail(-EINVAL, "a mode of %o", o.mode);
	if (r < 0)
		return r;
	mpr_process_lock();
	r = create(&o, &a);
	mpr_process_unlock();
	if (r < 0)
		return r;
	*ret_a = a;
	return 0;
}

/* Whether what a file begins with is an arena that this library can use. */
static int
check(const struct mpr_arena_shm *shm, int64_t len, uint64_t size,
      const char *name)
{
	if (len < 0)
		return mpr_fail((int)len, "reading %s: %s", name,
				mproc_strerror((int)len));
	if (len < (int64_t)sizeof(*shm) || shm->magic != MPR_ARENA_MAGIC)
		return mpr_fail(-EBADMSG, "%s is no arena", name);
	if (shm->layout != MPR_ARENA_LAYOUT || shm->abi != mpr_arena_abi())
		return mpr_fail(-EPROTONOSUPPORT, "%s has layout %u, kind %x; "
				"this library has %u, %x", name, shm->layout,
				shm->abi, MPR_ARENA_LAYOUT, mpr_arena_abi());
	if (shm->size != size || mpr_arena_check_capacity(size) < 0 ||
	    size % MPR_EXTENT_SIZE)
		return mpr_fail(-EBADMSG, "%s is an arena of %llu bytes in a "
				"file of %llu", name,
				(unsigned long long)shm->size,
				(unsigned long long)size);
	return 0;
}

static int
map_file(mproc_arena *a, const struct mpr_file *f, uint64_t size,
	 const char *name)
{
	struct mpr_arena_shm shm;
	int r;

	r = check(&shm, mpr_shmem_peek(f, &shm, sizeof(shm)), size, name);
	if (r < 0)
		return r;
	r = mpr_shmem_attach(&a->shmem, f, size, MPR_ARENA_ALIGN, false);
	if (r < 0)
		return r;
	mpr_arena_attach(a);
	use_own_locks(a);
	mpr_arenas_publish(a);
	return 0;
}

/* The one with that name if this process has it open already, or NULL. */
static mproc_arena *
find_open(const char *name)
{
	uint64_t device, inode;

	return mpr_segment_find(name, &device, &inode) < 0 ?
		       NULL : mpr_arenas_find(device, inode);
}

static int
open_file(const char *name, mproc_arena **ret_a)
{
	mproc_arena *a, *open;
	struct mpr_file f;
	uint64_t size;
	int r;

	r = take_entry(&a);
	if (r == 0)
		r = mpr_segment_open(&f, name, &size);
	if (r < 0)
		return r;
	/* The name was given to an open one just now: closing this descriptor
	 * would drop its locks, so it stays. */
	open = mpr_arenas_find(f.device, f.inode);
	if (open) {
		mpr_arenas_hold(open);
		*ret_a = open;
		return 0;
	}
	r = map_file(a, &f, size, name);
	if (r < 0)
		mpr_file_close(&f);
	else
		*ret_a = a;
	return r;
}

/* Once; -ENOENT if there is none with that name. */
static int
open_now(const char *name, mproc_arena **ret_a)
{
	int r = 0;

	mpr_process_lock();
	*ret_a = find_open(name);
	if (*ret_a)
		mpr_arenas_hold(*ret_a);
	else
		r = open_file(name, ret_a);
	mpr_process_unlock();
	return r;
}

/* Until it is worth to look again. Returns 0, -ETIMEDOUT, -EINTR. */
static int
sleep_once(int64_t deadline)
{
	int64_t now = mproc_now(), until = now + LOOK_EVERY;
	struct pollfd none;
	int r;

	if (now >= deadline)
		return -ETIMEDOUT;
	r = mpr_interrupt_poll(&none, 0, until < deadline ? until : deadline);
	if (!mpr_interrupt_pending())
		return r == -ETIMEDOUT ? 0 : r;
	mpr_interrupt_answer();
	return -EINTR;
}

int
mproc_arena_open(mproc_arena **ret_a, const char *name, mproc_timeout timeout)
{
	int64_t deadline;
	mproc_arena *a;
	int r, why = 0;

	if (!ret_a)
		return mpr_fail(-EINVAL, "ret_a is NULL");
	r = mpr_segment_check(name);
	if (r < 0)
		return r;
	deadline = timeout.ns ? mpr_deadline(timeout) : 0;
	while ((r = open_now(name, &a)) == -ENOENT && timeout.ns && why == 0)
		why = sleep_once(deadline);
	if (r == -ENOENT && why < 0)
		return mpr_fail(why, "there is still no arena %s", name);
	if (r < 0)
		return r;
	*ret_a = a;
	return 0;
}

void
mproc_arena_close(mproc_arena *a)
{
	bool is_open, is_last = false;
	unsigned index = 0;

	if (!a)
		return;
	mpr_process_lock();
	is_open = mpr_arenas_has(a);
	if (is_open) {
		is_last = mpr_arenas_drop(a);
		/* Once others may unmap it, its place may be another's. */
		index = a->index;
	}
	mpr_process_unlock();
	if (!is_open)
		mpr_log(MPROC_LOG_ERROR, "mproc_arena_close(%p): no arena is "
			"open there by name", (void *)a);
	if (!is_last)
		return;
	mpr_self_leave_named(index);
	mpr_process_lock();
	mpr_arenas_unmap_unused(a);
	mpr_process_unlock();
}

int
mproc_arena_unlink(const char *name)
{
	int r = mpr_segment_check(name);

	return r < 0 ? r : mpr_segment_remove(name);
}
