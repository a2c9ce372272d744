/* SPDX-License-Identifier: MIT */
/*
 * A shared memory object, mapped into this process and all that it forks. It has
 * no name, or one that other programs know (os/segment.h).
 */
#ifndef MPR_OS_SHMEM_H
#define MPR_OS_SHMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/file.h"

struct mpr_shmem {
	unsigned char *base;
	size_t size;
	struct mpr_file file;
	bool stays; /* all of it is allocated, and no page is given back */
};

/*
 * Makes a sparse, zeroed object of @size bytes and maps it at a multiple of
 * @align, where in most address spaces nothing else comes to lie, unless it is
 * small: another image can map it there too. Its size can never change again, as far as the system
 * offers that.
 * Core dumps leave it out unless @dumped; they would allocate all of it.
 * Returns 0, -ENOMEM (address space), -EFBIG (RLIMIT_FSIZE, or the file system
 * it would be in), or what mpr_file_anonymous() gives.
 */
int mpr_shmem_create(struct mpr_shmem *ret_s, size_t size, size_t align,
		     bool dumped);

/* The same in a new file of that kind, which becomes the object's if it
 * succeeds. */
int mpr_shmem_create_in(struct mpr_shmem *ret_s, const struct mpr_file *f,
			size_t size, size_t align, bool dumped);

/* Maps @size bytes of a file in which somebody else has made one; the mapping is
 * whole pages. Returns 0, or -ENOMEM. */
int mpr_shmem_attach(struct mpr_shmem *ret_s, const struct mpr_file *f,
		     size_t size, size_t align, bool dumped);

/* The same for a part of it that begins at a page; core dumps leave it out. */
int mpr_shmem_attach_part(struct mpr_shmem *ret_s, const struct mpr_file *f,
			  size_t offset, size_t size, size_t align);

/* Whether children that are forked from now on lack the mapping. Returns 0, or a
 * negative error, with which all is as it was. */
int mpr_shmem_hide(const struct mpr_shmem *s, bool hidden);

/* Maps one that another process has at @base to the same place here. Returns 0;
 * -EEXIST if something lies there; -ENOMEM. */
int mpr_shmem_attach_at(struct mpr_shmem *ret_s, const struct mpr_file *f,
			size_t size, void *base, bool dumped);

/* Reads the first @len bytes of such a file, which may be shorter: returns how
 * many there were, or a negative error. */
int64_t mpr_shmem_peek(const struct mpr_file *f, void *buf, size_t len);

/* Also closes the file. */
void mpr_shmem_unmap(struct mpr_shmem *s);

/* Leaves the file open, which is somebody else's. */
void mpr_shmem_unmap_only(struct mpr_shmem *s);

/*
 * Asks whether there are @len bytes of memory, for those who back much in small
 * pieces. Returns 0, or -ENOMEM with the sizes in the error detail.
 */
int mpr_shmem_ask(const struct mpr_shmem *s, size_t len);

/*
 * Makes the kernel really allocate the pages of [@offset, @offset + @len), so
 * that touching them cannot fail. What they hold stays. From 1 MiB it asks
 * first whether there is as much memory. Returns 0; -ENOSPC, -ENOMEM, with the
 * sizes in the error detail; -ENOSYS if the system has no way to do it. Some
 * of them may be allocated after an error, and stay so until they are given
 * back.
 */
int mpr_shmem_back(const struct mpr_shmem *s, size_t offset, size_t len);

/* The same for all that is not allocated yet of an object that another program
 * made; it asks for no more memory than that. */
int mpr_shmem_back_rest(const struct mpr_shmem *s);

/* Makes the kernel allocate all of it, and map it here as far as it can. Returns as
 * mpr_shmem_back(). */
int mpr_shmem_fill(const struct mpr_shmem *s);

/*
 * Gives the pages of [@offset, @offset + @len) back to the kernel, if it takes
 * them; in any case they read as zero from then on. Returns 0, or a negative
 * error, with which they hold what they held.
 */
int mpr_shmem_unback(const struct mpr_shmem *s, size_t offset, size_t len);

/* The same if it can be had for nothing. What they hold then is undefined, and
 * they may or may not be allocated. */
void mpr_shmem_discard(const struct mpr_shmem *s, size_t offset, size_t len);

/* Copies [@offset, @offset + @len) without allocating what is not: that is zero.
 * Returns false if it cannot, as the user closed the descriptor, say. */
bool mpr_shmem_read(const struct mpr_shmem *s, size_t offset, void *buf,
		    size_t len);

/* Bytes that the kernel has allocated for the object; 0 if the user closed its
 * descriptor. */
uint64_t mpr_shmem_backed(const struct mpr_shmem *s);

#endif
