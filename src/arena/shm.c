/* SPDX-License-Identifier: MIT */
/*
 * Plain segments: a file in /dev/shm, mapped. It gets its name when all its memory
 * is allocated, so a creator that is killed leaves a whole one or nothing. The
 * descriptor is closed when that is done: the mapping is all that is needed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <mproc/shm.h>

#include "arena/table.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/opts.h"
#include "os/generation.h"
#include "os/segment.h"
#include "os/shmem.h"
#include "os/task.h"
#include "os/thread.h"

#define ALIGN 4096 /* which every page has */
#define MODE_USUAL 0600U
#define RANDOM_LEN 12 /* "psm_" and 8 digits */
#define RANDOM_TRIES 100

struct mproc_shm {
	struct mpr_shmem memory;
	char name[]; /* without a slash */
};

static int
take_handle(mproc_shm **ret_s, const char *name)
{
	size_t len = name ? strlen(name) : RANDOM_LEN;

	*ret_s = mpr_zalloc(sizeof(**ret_s) + len + 1);
	if (!*ret_s)
		return mpr_fail(-ENOMEM, "no memory for the handle of a "
				"segment");
	if (name)
		memcpy((*ret_s)->name, name, len);
	return 0;
}

static void
close_file(mproc_shm *s)
{
	mpr_file_close(&s->memory.file);
	s->memory.file.fd = -1;
}

static int
map_new(mproc_shm *s, size_t size, unsigned mode)
{
	struct mpr_file f;
	int r;

	r = mpr_segment_make(&f, mode);
	if (r < 0)
		return r;
	r = mpr_shmem_create_in(&s->memory, &f, size, ALIGN, true);
	if (r < 0) {
		mpr_file_close(&f);
		return r;
	}
	r = mpr_shmem_back(&s->memory, 0, size);
	if (r < 0)
		mpr_shmem_unmap(&s->memory);
	return r;
}

/* Differs from call to call and from process to process, as good as always; who
 * meets a name that is taken tries the next one. */
static void
choose_name(char *name)
{
	uint64_t x = (uint64_t)mproc_now() ^ (uint64_t)mpr_task_tid() << 40 ^
		     (uintptr_t)name;

	x = (x ^ x >> 31) * UINT64_C(0x9e3779b97f4a7c15);
	snprintf(name, RANDOM_LEN + 1, "psm_%08x", (unsigned)(x >> 32));
}

static int
publish(mproc_shm *s, bool named)
{
	int r = -EEXIST;

	if (named)
		return mpr_segment_publish(&s->memory.file, s->name);
	for (int i = 0; i < RANDOM_TRIES && r == -EEXIST; i++) {
		choose_name(s->name);
		r = mpr_segment_publish(&s->memory.file, s->name);
	}
	return r;
}

static int
create(mproc_shm *s, bool named, size_t size, unsigned mode)
{
	uint64_t device, inode;
	int r;

	/* So that no memory is taken for nothing. */
	if (named && mpr_segment_find(s->name, &device, &inode) == 0)
		return mpr_fail(-EEXIST, "there is a segment %s", s->name);
	r = map_new(s, size, mode);
	if (r < 0)
		return r;
	r = publish(s, named);
	if (r < 0)
		mpr_shmem_unmap(&s->memory);
	else
		close_file(s);
	return r;
}

static int
check_size(size_t size)
{
	if (size == 0)
		return mpr_fail(-EINVAL, "a segment of 0 bytes");
	if (size > INT64_MAX)
		return mpr_fail(-EFBIG, "a segment of %zu bytes", size);
	return 0;
}

/* NULL stays that. */
static const char *
without_slash(const char *name)
{
	return name && *name == '/' ? name + 1 : name;
}

int
mproc_shm_create(mproc_shm **ret_s, const char *name, size_t size,
		 const struct mproc_shm_opts *opts)
{
	struct mproc_shm_opts o;
	mproc_shm *s;
	int r, before;

	if (!ret_s)
		return mpr_fail(-EINVAL, "ret_s is NULL");
	r = mpr_opts_read(&o, sizeof(o), opts);
	if (r == 0 && name)
		r = mpr_segment_check(name);
	if (r == 0)
		r = check_size(size);
	if (r == 0 && o.mode & ~0666U)
		r = mpr_fail(-EINVAL, "a mode of %o", o.mode);
	if (r == 0)
		r = take_handle(&s, without_slash(name));
	if (r < 0)
		return r;
	before = mpr_thread_forbid_cancel();
	r = create(s, name != NULL, size, o.mode ? o.mode : MODE_USUAL);
	mpr_thread_allow_cancel(before);
	if (r < 0)
		free(s);
	else
		*ret_s = s;
	return r;
}

/* An arena is not to be allocated whole, and nobody's to write to. */
static int
check_file(const struct mpr_file *f, uint64_t size, const char *name)
{
	uint64_t magic;

	if (size == 0)
		return mpr_fail(-EAGAIN, "%s is empty: its creator has not sized "
				"it yet", name);
	if (mpr_shmem_peek(f, &magic, sizeof(magic)) == sizeof(magic) &&
	    magic == MPR_ARENA_MAGIC)
		return mpr_fail(-EINVAL, "%s is a named arena", name);
	return 0;
}

/*
 * Opens the file, unless it is that of an arena that this process has open: the
 * close would drop the byte locks that tell that its participants are alive.
 */
static int
open_file(struct mpr_file *ret_f, const char *name, uint64_t *ret_size)
{
	uint64_t device, inode;
	int r;

	mpr_process_lock();
	r = mpr_segment_find(name, &device, &inode);
	if (r == 0 && mpr_arenas_find(device, inode))
		r = mpr_fail(-EINVAL, "%s is a named arena", name);
	if (r == 0)
		r = mpr_segment_open(ret_f, name, ret_size);
	mpr_process_unlock();
	return r;
}

static int
map_file(mproc_shm *s, const struct mpr_file *f, uint64_t size)
{
	int r = check_file(f, size, s->name);

	if (r == 0)
		r = mpr_shmem_attach(&s->memory, f, size, ALIGN, true);
	return r;
}

static int
open_segment(mproc_shm *s)
{
	struct mpr_file f;
	uint64_t size;
	int r;

	r = open_file(&f, s->name, &size);
	if (r < 0)
		return r;
	r = map_file(s, &f, size);
	if (r < 0) {
		mpr_file_close(&f);
		return r;
	}
	r = mpr_shmem_back_rest(&s->memory);
	if (r < 0 && r != -ENOSYS) {
		mpr_shmem_unmap(&s->memory);
		return r;
	}
	close_file(s);
	return 0;
}

int
mproc_shm_open(mproc_shm **ret_s, const char *name)
{
	mproc_shm *s;
	int r, before;

	if (!ret_s)
		return mpr_fail(-EINVAL, "ret_s is NULL");
	r = mpr_segment_check(name);
	if (r == 0)
		r = take_handle(&s, without_slash(name));
	if (r < 0)
		return r;
	before = mpr_thread_forbid_cancel();
	r = open_segment(s);
	mpr_thread_allow_cancel(before);
	if (r < 0)
		free(s);
	else
		*ret_s = s;
	return r;
}

void *
mproc_shm_ptr(mproc_shm *s)
{
	return s->memory.base;
}

size_t
mproc_shm_size(mproc_shm *s)
{
	return s->memory.size;
}

const char *
mproc_shm_name(mproc_shm *s)
{
	return s->name;
}

void
mproc_shm_close(mproc_shm *s)
{
	if (!s)
		return;
	mpr_shmem_unmap(&s->memory);
	free(s);
}

int
mproc_shm_unlink(const char *name)
{
	int r = mpr_segment_check(name);

	return r < 0 ? r : mpr_segment_remove(name);
}
