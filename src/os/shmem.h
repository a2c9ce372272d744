/* SPDX-License-Identifier: MIT */
/*
 * A shared memory object without a name, mapped into this process and all that
 * it forks.
 */
#ifndef MPR_OS_SHMEM_H
#define MPR_OS_SHMEM_H

#include <stddef.h>
#include <stdint.h>

#include "os/file.h"

struct mpr_shmem {
	unsigned char *base;
	size_t size;
	struct mpr_file file;
};

/*
 * Makes a sparse, zeroed object of @size bytes, whose size can never change
 * again, and maps it at a multiple of @align. Returns 0, -ENOMEM, -EFBIG,
 * -EMFILE, -ENFILE, -ENOSYS.
 */
int mpr_shmem_create(struct mpr_shmem *ret_s, size_t size, size_t align);

void mpr_shmem_unmap(struct mpr_shmem *s);

/*
 * Makes the kernel really allocate the pages of [@offset, @offset + @len), so
 * that touching them cannot fail. What they hold stays. Returns 0, -ENOSPC,
 * -ENOMEM, -EFBIG.
 */
int mpr_shmem_back(const struct mpr_shmem *s, size_t offset, size_t len);

/* Gives the pages of [@offset, @offset + @len) back to the kernel; they read as
 * zero from then on. Returns 0 or a negative error. */
int mpr_shmem_unback(const struct mpr_shmem *s, size_t offset, size_t len);

/* Bytes that the kernel has allocated for the object. */
uint64_t mpr_shmem_backed(const struct mpr_shmem *s);

#endif
