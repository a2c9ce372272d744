/* SPDX-License-Identifier: MIT */
/*
 * A file in memory without a name, whose descriptor we keep open for long, in a
 * program that may close it behind our back (closefrom, daemon) and open
 * something else in its place.
 */
#ifndef MPR_OS_FILE_H
#define MPR_OS_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mpr_file {
	int fd;
	uint64_t device, inode;
	const char *directory; /* whose file system it is in, or NULL */
};

/*
 * Makes an anonymous file: a memfd, or where the system refuses that an unnamed
 * one in /dev/shm, /tmp or /var/tmp, whichever is the first to take it. The
 * latter never takes seals, a memfd if it is @sealable. @name is for those who
 * look into /proc.
 *
 * Returns 0; -EMFILE, -ENFILE, -ENOMEM, -ENOSPC where a lack kept it from being
 * made; -ENOSYS if all were refused. The error detail tells which.
 */
int mpr_file_anonymous(struct mpr_file *ret_f, const char *name, bool sealable);

/* One that this process was given by the one that made it: closed at exec from now
 * on. Returns 0; -EBADF if @fd is not open; -EPERM if it is no such file. */
int mpr_file_adopt(struct mpr_file *ret_f, int fd, uint64_t *ret_size);

/* Whether @fd is open, and a file of this user's that nobody can open by a name. */
bool mpr_file_is_private(int fd);

/* The file in memory that process @pid has as *@theirs, for a process that was not
 * given it. Returns 0; -ENOENT if it has that no more; or what the kernel says to who
 * looks at another process's descriptors in /proc: -EACCES, -EMFILE and the like. */
int mpr_file_borrow(struct mpr_file *ret_f, pid_t pid,
		    const struct mpr_file *theirs);

/* A descriptor of ours that leads to something else, as a socket, for the functions
 * below: they know it again. Returns 0 or a negative error. */
int mpr_file_note(struct mpr_file *ret_f, int fd);

/* Whether the descriptor is still our file. */
bool mpr_file_is_open(const struct mpr_file *f);

/* How many bytes its file system has in all, and how many of them are free.
 * Returns false if it has no limit, or none that is known. */
bool mpr_file_space(const struct mpr_file *f, uint64_t *ret_free,
		    uint64_t *ret_total);

/* Closes it, if it is still ours. */
void mpr_file_close(struct mpr_file *f);

#endif
