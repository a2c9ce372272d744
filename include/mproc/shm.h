/* SPDX-License-Identifier: MIT */
/*
 * shm.h - plain memory with a name, for programs that have nothing else in common.
 *
 * A segment is the file /dev/shm/NAME, mapped: bytes, no more. It is what
 * shm_open(3) and Python's multiprocessing.shared_memory.SharedMemory make and
 * open, and goes by the same names in both directions. It is no arena: nothing
 * allocates in it, and locks and queues of libmproc that other programs are to use
 * lie in a named arena (arena.h) instead.
 *
 * The memory of a segment is really there when it is handed out: a full /dev/shm
 * gives -ENOSPC with the sizes in mproc_error_detail(), never SIGBUS. What another
 * program made may have pages that nobody has allocated yet, as Python's segments
 * have until they are written to; opening it allocates them, or fails. Only where
 * the system has no way to allocate, and when somebody truncates the file later,
 * does a touch end in SIGBUS.
 *
 * A segment stays until its name is taken away and the last program that has it
 * open has closed it or ended. Nobody but mproc_shm_unlink() takes a name away
 * here: not closing, not the creator's end, not a failed open. Python is another
 * matter: its resource tracker unlinks what the program created when that ends,
 * and, before 3.13 and without track=False later, also what it only opened. Who
 * has the segment open keeps it then, too.
 *
 * A mproc_shm is a process-local handle that may be used in a forked child too;
 * each process closes its own. It takes no descriptor.
 */
#ifndef MPROC_SHM_H
#define MPROC_SHM_H

#include <mproc/core.h>

MPROC_BEGIN_DECLS

typedef struct mproc_shm mproc_shm;

/**
 * struct mproc_shm_opts - how to make a segment
 * @struct_size: filled in by MPROC_OPTS
 * @mode:        who may open it, as in open(2) and whatever the umask; 0 means
 *               0600, as Python has it. libmproc opens only what is the caller's
 *               own or root's; Python does not look at that.
 */
struct mproc_shm_opts {
	size_t struct_size;
	unsigned mode;
};

/**
 * mproc_shm_create() - make a segment and open it
 * @ret_s: receives the handle
 * @name:  1 to 200 bytes without "/", but for one in the beginning, which does not
 *         count; or NULL for a name like Python's, "psm_" and eight hexadecimal
 *         digits, that nothing has yet
 * @size:  bytes, at least 1
 * @opts:  options, or NULL for the defaults
 *
 * The memory is zeroed.
 *
 * Return: 0, or a negative error:
 *   -EINVAL   @ret_s is NULL, @size is 0, @name cannot be one, there is more than
 *             permission bits in the mode, or @opts->struct_size makes no sense
 *   -ENAMETOOLONG
 *   -E2BIG    @opts has fields that this library does not know
 *   -EEXIST   something has that name already
 *   -ENOSPC   /dev/shm is full, or smaller than @size
 *   -ENOMEM   no address space; or, from 1 MiB, the control group or the machine
 *             has not as much memory left; or no private memory
 *   -EFBIG    more than RLIMIT_FSIZE, or than a file can have
 *   -EMFILE, -ENFILE  no descriptor, of which one is needed for a moment
 *   -ENOTSUP  the system has no /dev/shm, or one that takes no unnamed files; or
 *             there is no /proc
 *   -ENOSYS   the system has no way to allocate memory beforehand
 *   -EACCES, -EROFS  /dev/shm is not for this user to write to
 * Context: blocks on the kernel only, which clears all of the memory.
 * Crash: there is a whole segment of that name, or nothing at all.
 */
MPROC_API int mproc_shm_create(mproc_shm **ret_s, const char *name,
			       size_t size, const struct mproc_shm_opts *opts);

/**
 * mproc_shm_open() - open a segment that somebody made
 * @ret_s: receives a handle of its own, whatever else is open
 * @name:  as for mproc_shm_create(), not NULL
 *
 * Maps all of it, for reading and writing, and allocates what is not allocated yet;
 * nothing else is changed.
 *
 * Return: 0, or a negative error:
 *   -EINVAL, -ENAMETOOLONG  @ret_s or @name is NULL, or it cannot be a name
 *   -ENOENT   there is none of that name
 *   -EAGAIN   it is empty: Python and others make the name first and size the
 *             segment then, so it is not ready yet, or its creator died in between
 *   -EACCES, -EROFS  its mode does not let this user read and write it, or
 *             /dev/shm is read-only
 *   -EPERM    it belongs neither to this user nor to root: who owns the file can
 *             truncate it under our feet
 *   -ELOOP, -EISDIR, -EINVAL  what has the name is a symbolic link, a directory,
 *             no file otherwise, or a named arena
 *   -ENOSPC, -ENOMEM  its pages cannot be allocated; no address space; no private
 *             memory
 *   -EMFILE, -ENFILE  no descriptor, of which one is needed for a moment
 * Context: blocks on the kernel only.
 * Crash: nothing is left but pages that are allocated.
 */
MPROC_API int mproc_shm_open(mproc_shm **ret_s, const char *name);

/**
 * mproc_shm_ptr() - where a segment lies in this process
 * @s: handle
 *
 * It is aligned to a page, and lies elsewhere in other programs, so pointers into
 * it mean nothing to them.
 *
 * Return: the address of its first byte.
 * Context: never blocks; async-signal-safe.
 */
MPROC_API void *mproc_shm_ptr(mproc_shm *s);

/**
 * mproc_shm_size() - how large a segment is
 * @s: handle
 *
 * Return: bytes, as many as were asked for; when it was opened, as many as the file
 *         had then. Python says the same on Linux. Up to the end of the last page
 *         there is memory, too.
 * Context: never blocks; async-signal-safe.
 */
MPROC_API size_t mproc_shm_size(mproc_shm *s);

/**
 * mproc_shm_name() - by which name a segment was made or opened
 * @s: handle
 *
 * Return: the name, without a "/", until the handle is closed.
 * Context: never blocks; async-signal-safe.
 */
MPROC_API const char *mproc_shm_name(mproc_shm *s);

/**
 * mproc_shm_close() - unmap a segment in this process
 * @s: handle, which is gone then; or NULL
 *
 * The name stays.
 *
 * Context: never blocks.
 * Crash: as the end of the process.
 */
MPROC_API void mproc_shm_close(mproc_shm *s);

/**
 * mproc_shm_unlink() - take away the name of a segment
 * @name: as for mproc_shm_open()
 *
 * Who has it open goes on; its memory goes with the last one.
 *
 * Return: 0; -EINVAL, -ENAMETOOLONG; -ENOENT; -EACCES, -EPERM if it is not this
 *         user's; -EROFS; -EISDIR.
 * Context: blocks on the kernel only.
 * Crash: the name is there or not.
 */
MPROC_API int mproc_shm_unlink(const char *name);

MPROC_END_DECLS

#endif
