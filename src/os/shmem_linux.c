/* SPDX-License-Identifier: MIT */
/*
 * memfd_create(2), sealed so that nobody can shrink it under our feet (which
 * would turn a load into SIGBUS), and fallocate(2), which turns "no memory"
 * from a signal into an error.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mproc/core.h>

#include "base/error.h"
#include "base/macros.h"
#include "os/shmem.h"

#ifndef MADV_POPULATE_WRITE /* glibc before 2.35 */
#define MADV_POPULATE_WRITE 23
#endif

/* Reserves more than needed and cuts off what is not aligned. */
static void *
map_aligned(int fd, size_t size, size_t align)
{
	unsigned char *raw, *base;

	raw = mmap(NULL, size + align, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (raw == MAP_FAILED)
		return MAP_FAILED;
	base = (unsigned char *)mpr_round_up((uintptr_t)raw, align);
	if (mmap(base, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		 0) == MAP_FAILED) {
		munmap(raw, size + align);
		return MAP_FAILED;
	}
	if (base > raw)
		munmap(raw, (size_t)(base - raw));
	munmap(base + size, align - (size_t)(base - raw));
	return base;
}

int
mpr_shmem_create(struct mpr_shmem *ret_s, size_t size, size_t align)
{
	struct mpr_shmem s = { .size = size };
	struct rlimit limit;
	int r;

	/* Growing beyond the limit would raise SIGXFSZ: look first. */
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
	    limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < size)
		return mpr_fail(-EFBIG,
				"an arena of %zu bytes, but RLIMIT_FSIZE is "
				"%llu", size, (unsigned long long)limit.rlim_cur);
	r = mpr_file_anonymous(&s.file, "mproc-arena", true);
	if (r < 0)
		return r;
	if (ftruncate(s.file.fd, (off_t)size) < 0 ||
	    fcntl(s.file.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) <
		    0) {
		r = mpr_fail(-errno, "sizing the arena to %zu bytes: %s", size,
			     mproc_strerror(-errno));
		mpr_file_close(&s.file);
		return r;
	}
	s.base = map_aligned(s.file.fd, size, align);
	if (s.base == MAP_FAILED) {
		r = mpr_fail(-errno, "mapping an arena of %zu bytes: %s", size,
			     mproc_strerror(-errno));
		mpr_file_close(&s.file);
		return r;
	}
	/* A core dump would fault in the whole object before the death shows. */
	madvise(s.base, size, MADV_DONTDUMP);
	*ret_s = s;
	return 0;
}

void
mpr_shmem_unmap(struct mpr_shmem *s)
{
	munmap(s->base, s->size);
	mpr_file_close(&s->file);
}

/*
 * Where the user closed our descriptor (closefrom(3), say) the mapping still
 * works: MADV_POPULATE_WRITE allocates through it.
 */
int
mpr_shmem_back(const struct mpr_shmem *s, size_t offset, size_t len)
{
	int r;

	do {
		if (mpr_file_is_open(&s->file))
			r = fallocate(s->file.fd, 0, (off_t)offset, (off_t)len);
		else
			r = madvise(s->base + offset, len, MADV_POPULATE_WRITE);
	} while (r < 0 && errno == EINTR);
	if (r == 0)
		return 0;
	r = errno == EFAULT ? -ENOSPC : -errno;
	return mpr_fail(r, "allocating %zu bytes of shared memory, %llu bytes "
			"are in use: %s", len,
			(unsigned long long)mpr_shmem_backed(s),
			mproc_strerror(r));
}

int
mpr_shmem_unback(const struct mpr_shmem *s, size_t offset, size_t len)
{
	int r;

	do {
		if (mpr_file_is_open(&s->file))
			r = fallocate(s->file.fd,
				      FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      (off_t)offset, (off_t)len);
		else
			r = madvise(s->base + offset, len, MADV_REMOVE);
	} while (r < 0 && errno == EINTR);
	return r == 0 ? 0 : mpr_fail(-errno, "giving back shared memory: %s",
				     mproc_strerror(-errno));
}

uint64_t
mpr_shmem_backed(const struct mpr_shmem *s)
{
	struct stat st;

	if (!mpr_file_is_open(&s->file) || fstat(s->file.fd, &st) < 0)
		return 0;
	return (uint64_t)st.st_blocks * 512;
}
