/* SPDX-License-Identifier: MIT */
/*
 * An anonymous file, sealed where it takes that so that nobody can shrink it
 * under our feet (which would turn a load into SIGBUS), and fallocate(2), which
 * turns "no memory" from a signal into an error.
 *
 * A mapping does what a descriptor does where there is none that can be used:
 * the user closed ours, or the file system or a sandbox refuses the call.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mproc/core.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/macros.h"
#include "os/memory.h"
#include "os/random.h"
#include "os/shmem.h"

#ifndef MADV_POPULATE_WRITE /* glibc before 2.35 */
#define MADV_POPULATE_WRITE 23
#endif

/* What is not larger is mapped where the kernel likes, if it may lie anywhere. */
#define SMALL ((size_t)64 << 10)

/* Requests from this size ask first whether there is memory. */
#define ASK_FROM ((size_t)1 << 20)

MPR_IMAGE_PATH static void *
map(void *at, size_t size, int flags, int fd, size_t offset)
{
	return mpr_fault(MPR_FAULT_MMAP) ?
		       MAP_FAILED : mmap(at, size, PROT_NONE, flags, fd,
					 (off_t)offset);
}

/*
 * Another image of this program, made by exec, has its libraries, heap and stacks
 * elsewhere: what lies at a random address here has something else at that place
 * there once in twenty times. The kernel puts all of that within 1 TiB of the top
 * of the address space or far below (mmap_rnd_bits: usually 28, in pages); we
 * choose at random in the half TiB beneath. ThreadSanitizer takes addresses there,
 * too. Where the address space is small, or taken, the kernel chooses.
 */
#define TIB ((uintptr_t)1 << 40)

static void *
quiet_address(size_t len, size_t align)
{
	uintptr_t top = 1, room;
	int on_stack;

	/* No pointer of ours is above the stacks: these end at a power of two. */
	while (top && top <= (uintptr_t)&on_stack)
		top <<= 1;
	if (top < 16 * TIB || len >= TIB / 4)
		return NULL;
	room = (TIB / 2 - len) / align;
	return (void *)(top - TIB - TIB / 2 + (uintptr_t)mpr_random() % room * align);
}

/*
 * Reserves more than needed and cuts off what is not aligned. In a program that
 * locks all its future memory (mlockall) a mapping that can be accessed is
 * allocated at once and whole, so this one cannot until it is unlocked.
 */
MPR_IMAGE_PATH static void *
map_aligned(int fd, size_t offset, size_t len, size_t align, bool quiet)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = mpr_round_up(len, page);
	unsigned char *raw, *base;

	/* A few pages may as well be allocated at once. */
	if (align <= page && size <= SMALL)
		return mpr_fault(MPR_FAULT_MMAP) ?
			       MAP_FAILED :
			       mmap(NULL, size, PROT_READ | PROT_WRITE,
				    MAP_SHARED, fd, (off_t)offset);
	raw = map(quiet ? quiet_address(size + align, align) : NULL,
		  size + align, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (raw == MAP_FAILED)
		return MAP_FAILED;
	base = (unsigned char *)mpr_round_up((uintptr_t)raw, align);
	if (map(base, size, MAP_SHARED | MAP_FIXED, fd, offset) == MAP_FAILED)
		goto unmap;
	munlock(base, size);
	if (mprotect(base, size, PROT_READ | PROT_WRITE) < 0)
		goto unmap;
	if (base > raw)
		munmap(raw, (size_t)(base - raw));
	munmap(base + size, align - (size_t)(base - raw));
	return base;

unmap:
	munmap(raw, size + align);
	return MAP_FAILED;
}

static int
resize(int fd, size_t size)
{
	int r;

	do {
		r = mpr_fault(MPR_FAULT_FTRUNCATE) ?
			    -1 : ftruncate(fd, (off_t)size);
	} while (r < 0 && errno == EINTR);
	return r;
}

/* Where it is refused, the size is as safe as the family's descriptors are. */
static void
seal(int fd)
{
	if (!mpr_fault(MPR_FAULT_SEAL))
		fcntl(fd, F_ADD_SEALS,
		      F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

/* Whether this process may make files so large: to do so beyond the limit raises
 * SIGXFSZ. */
static bool
is_allowed(size_t size, struct rlimit *ret_limit)
{
	return getrlimit(RLIMIT_FSIZE, ret_limit) < 0 ||
	       ret_limit->rlim_cur == RLIM_INFINITY ||
	       ret_limit->rlim_cur >= size;
}

static int
check_size(size_t size)
{
	struct rlimit limit;

	return is_allowed(size, &limit) ?
		       0 : mpr_fail(-EFBIG, "shared memory of %zu bytes, but "
				    "RLIMIT_FSIZE is %llu", size,
				    (unsigned long long)limit.rlim_cur);
}

/* The mapping is at @base, or was refused. */
MPR_IMAGE_PATH static int
complete(struct mpr_shmem *ret_s, const struct mpr_file *f, size_t size,
	 void *base, bool dumped)
{
	int r;

	if (base == MAP_FAILED) {
		/* EAGAIN: more than may be locked (mlockall). EINVAL: what
		 * valgrind says of what is too large for it. */
		r = errno == EAGAIN || errno == EINVAL ? -ENOMEM : -errno;
		return mpr_fail(r, "mapping %zu bytes of shared memory: %s",
				size, mproc_strerror(-errno));
	}
	if (!dumped && !mpr_fault(MPR_FAULT_MADVISE))
		madvise(base, size, MADV_DONTDUMP);
	*ret_s = (struct mpr_shmem){ .base = base, .size = size, .file = *f };
	return 0;
}

MPR_IMAGE_PATH int
mpr_shmem_attach(struct mpr_shmem *ret_s, const struct mpr_file *f, size_t size,
		 size_t align, bool dumped)
{
	return complete(ret_s, f, size, map_aligned(f->fd, 0, size, align, false),
			dumped);
}

int
mpr_shmem_attach_part(struct mpr_shmem *ret_s, const struct mpr_file *f,
		      size_t offset, size_t size, size_t align)
{
	return complete(ret_s, f, size,
			map_aligned(f->fd, offset, size, align, false), false);
}

int
mpr_shmem_hide(const struct mpr_shmem *s, bool hidden)
{
	return mpr_fault(MPR_FAULT_MADVISE) ||
			       madvise(s->base, s->size, hidden ?
					       MADV_DONTFORK : MADV_DOFORK) < 0 ?
		       -errno : 0;
}

MPR_IMAGE_PATH int
mpr_shmem_attach_at(struct mpr_shmem *ret_s, const struct mpr_file *f,
		    size_t size, void *base, bool dumped)
{
	void *got = map(base, size, MAP_SHARED | MAP_FIXED_NOREPLACE, f->fd, 0);

	if (got != MAP_FAILED && got != base) {
		/* Before Linux 4.17, which takes it for a wish. */
		munmap(got, size);
		errno = EEXIST;
		got = MAP_FAILED;
	}
	if (got != MAP_FAILED) {
		/* As in map_aligned(). */
		munlock(base, size);
		if (mprotect(base, size, PROT_READ | PROT_WRITE) < 0) {
			munmap(base, size);
			got = MAP_FAILED;
		}
	}
	return complete(ret_s, f, size, got, dumped);
}

static int
give_size(const struct mpr_file *f, size_t size)
{
	int r = check_size(size);

	if (r < 0)
		return r;
	return resize(f->fd, size) == 0 ?
		       0 : mpr_fail(-errno, "sizing shared memory to %zu bytes: "
				    "%s", size, mproc_strerror(-errno));
}

int
mpr_shmem_create_in(struct mpr_shmem *ret_s, const struct mpr_file *f,
		    size_t size, size_t align, bool dumped)
{
	int r = give_size(f, size);

	return r < 0 ? r : mpr_shmem_attach(ret_s, f, size, align, dumped);
}

int
mpr_shmem_create(struct mpr_shmem *ret_s, size_t size, size_t align,
		 bool dumped)
{
	struct mpr_file f;
	int r;

	r = mpr_file_anonymous(&f, "mproc-arena", true);
	if (r < 0)
		return r;
	r = give_size(&f, size);
	if (r == 0)
		r = complete(ret_s, &f, size,
			     map_aligned(f.fd, 0, size, align, true), dumped);
	if (r < 0)
		mpr_file_close(&f);
	else
		seal(f.fd);
	return r;
}

int64_t
mpr_shmem_peek(const struct mpr_file *f, void *buf, size_t len)
{
	ssize_t n;

	do
		n = pread(f->fd, buf, len, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

void
mpr_shmem_unmap_only(struct mpr_shmem *s)
{
	munmap(s->base, s->size);
}

void
mpr_shmem_unmap(struct mpr_shmem *s)
{
	mpr_shmem_unmap_only(s);
	mpr_file_close(&s->file);
}

static int
allocate_by_file(const struct mpr_shmem *s, size_t offset, size_t len)
{
	if (!mpr_file_is_open(&s->file))
		return -EBADF;
	/* Somebody else may have truncated it: to grow it again is not for us. */
	if (mpr_fault(MPR_FAULT_FALLOCATE) ||
	    fallocate(s->file.fd, FALLOC_FL_KEEP_SIZE, (off_t)offset,
		      (off_t)len) < 0)
		return errno == EDQUOT ? -ENOSPC : -errno;
	return 0;
}

static int
allocate_by_mapping(const struct mpr_shmem *s, size_t offset, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), begin = offset / page * page;

	if (!mpr_fault(MPR_FAULT_POPULATE) &&
	    madvise(s->base + begin, offset + len - begin,
		    MADV_POPULATE_WRITE) == 0)
		return 0;
	switch (errno) {
	case EFAULT: /* where a store would have raised SIGBUS */
		return -ENOSPC;
	case EINVAL: /* before Linux 5.14 */
	case EPERM:
		return -ENOSYS;
	}
	return -errno;
}

/*
 * A signal makes fallocate() give all pages back: where signals come fast it
 * would never end. The other way keeps what it has done.
 */
static int
allocate(const struct mpr_shmem *s, size_t offset, size_t len)
{
	int r, other;

	do {
		r = allocate_by_file(s, offset, len);
		if (r != -EBADF && r != -EINTR && r != -ENOSYS &&
		    r != -EOPNOTSUPP && r != -EPERM)
			return r;
		other = allocate_by_mapping(s, offset, len);
	} while (other == -EINTR || (other == -ENOSYS && r == -EINTR));
	return other;
}

static int
refuse(const struct mpr_shmem *s, int r, size_t len)
{
	unsigned long long used = mpr_shmem_backed(s);
	uint64_t left, total;

	if (!mpr_file_space(&s->file, &left, &total))
		return mpr_fail(r, "allocating %zu bytes of shared memory, "
				"%llu are in use: %s", len, used,
				mproc_strerror(r));
	return mpr_fail(r, "allocating %zu bytes of shared memory, %llu are in "
			"use: %s; %s has %llu of %llu bytes left%s", len, used,
			mproc_strerror(r), s->file.directory,
			(unsigned long long)left, (unsigned long long)total,
			strcmp(s->file.directory, "/dev/shm") == 0 ?
				" (docker: --shm-size)" : "");
}

int
mpr_shmem_ask(const struct mpr_shmem *s, size_t len)
{
	struct mpr_memory memory;

	if (mpr_memory_allows(len, &memory))
		return 0;
	return mpr_fail(-ENOMEM, "allocating %zu bytes of shared memory, %llu "
			"are in use: %s has %llu of %llu bytes left", len,
			(unsigned long long)mpr_shmem_backed(s), memory.whose,
			(unsigned long long)memory.left,
			(unsigned long long)memory.limit);
}

int
mpr_shmem_back(const struct mpr_shmem *s, size_t offset, size_t len)
{
	int r;

	if (s->stays)
		return 0;
	r = len >= ASK_FROM ? mpr_shmem_ask(s, len) : 0;
	if (r < 0)
		return r;
	r = allocate(s, offset, len);
	return r < 0 ? refuse(s, r, len) : 0;
}

int
mpr_shmem_back_rest(const struct mpr_shmem *s)
{
	uint64_t backed = mpr_shmem_backed(s);
	size_t rest = backed < s->size ? s->size - (size_t)backed : 0;
	int r = rest >= ASK_FROM ? mpr_shmem_ask(s, rest) : 0;
	struct rlimit limit;

	if (r < 0)
		return r;
	/* Of what was truncated meanwhile the kernel allocates nothing beyond the
	 * limit, whatever we say: SIGXFSZ. */
	do
		r = is_allowed(s->size, &limit) ?
			    allocate(s, 0, s->size) :
			    allocate_by_mapping(s, 0, s->size);
	while (r == -EINTR);
	return r < 0 ? refuse(s, r, rest) : 0;
}

int
mpr_shmem_fill(const struct mpr_shmem *s)
{
	int r = mpr_shmem_ask(s, s->size);

	if (r < 0)
		return r;
	/* First by the mapping, which alone can get huge pages. */
	(void)allocate_by_mapping(s, 0, s->size);
	r = allocate(s, 0, s->size);
	return r < 0 ? refuse(s, r, s->size) : 0;
}

static bool
give_back(const struct mpr_shmem *s, size_t offset, size_t len)
{
	if (s->stays)
		return false;
	if (mpr_file_is_open(&s->file) && !mpr_fault(MPR_FAULT_PUNCH) &&
	    fallocate(s->file.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)offset, (off_t)len) == 0)
		return true;
	return !mpr_fault(MPR_FAULT_PUNCH) &&
	       madvise(s->base + offset, len, MADV_REMOVE) == 0;
}

int
mpr_shmem_unback(const struct mpr_shmem *s, size_t offset, size_t len)
{
	int r;

	if (give_back(s, offset, len))
		return 0;
	/* Then it is kept, and wiped; backed first, as storing must not
	 * fail. */
	r = s->stays ? 0 : allocate(s, offset, len);
	if (r < 0)
		return mpr_fail(r, "wiping %zu bytes of shared memory: %s", len,
				mproc_strerror(r));
	memset(s->base + offset, 0, len);
	return 0;
}

void
mpr_shmem_discard(const struct mpr_shmem *s, size_t offset, size_t len)
{
	(void)give_back(s, offset, len);
}

bool
mpr_shmem_read(const struct mpr_shmem *s, size_t offset, void *buf, size_t len)
{
	ssize_t n;

	if (!mpr_file_is_open(&s->file))
		return false;
	do
		n = pread(s->file.fd, buf, len, (off_t)offset);
	while (n < 0 && errno == EINTR);
	return n >= 0 && (size_t)n == len;
}

uint64_t
mpr_shmem_backed(const struct mpr_shmem *s)
{
	struct stat st;

	if (!mpr_file_is_open(&s->file) || fstat(s->file.fd, &st) < 0)
		return 0;
	return (uint64_t)st.st_blocks * 512;
}
