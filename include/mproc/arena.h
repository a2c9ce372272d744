/* SPDX-License-Identifier: MIT */
/*
 * arena.h - shared memory with a heap in it.
 *
 * Every family (a process and all its descendants that did not exec another
 * program) has one default arena. It is made on first use, needs no name and
 * no clean-up call, lies at the same address in every process of the family,
 * and goes with the last of them. Pointers into it may therefore be kept in
 * it and sent through queues.
 *
 * To be shared, the arena must exist before the fork: create the first shared
 * object, or call mproc_arena_default(), in the parent.
 *
 * Memory is really there when it is handed out: a full system gives -ENOSPC
 * or -ENOMEM with the sizes in mproc_error_detail(), never SIGBUS. Before a
 * block of 1 MiB or more is allocated, the limits of the process's control
 * groups and the machine's free memory are looked at, so that it gives -ENOMEM
 * and not a kill for lack of memory. Smaller ones are not checked so.
 *
 * The arena's memory has no name and belongs to no file system. Where the
 * system refuses that (memfd_create) it is an unnamed file in /dev/shm, /tmp or
 * /var/tmp, the first that takes one; then it is as large as there is room.
 *
 * A mproc_arena is a process-local handle, but it may be used in a forked
 * child too. NULL stands for the default arena.
 */
#ifndef MPROC_ARENA_H
#define MPROC_ARENA_H

#include <mproc/core.h>

MPROC_BEGIN_DECLS

typedef struct mproc_arena mproc_arena;

/**
 * struct mproc_arena_opts - how to make an arena
 * @struct_size: filled in by MPROC_OPTS
 * @capacity:    bytes of address space, rounded up to 1 MiB, of which 4 MiB are
 *               the arena's own; 16 MiB to 64 GiB. It is that or an error. 0
 *               means 64 GiB, or half of it as often as that is refused, down
 *               to 64 MiB. Memory is taken as it is used.
 * @core_dump:   core dumps contain the arena. The kernel then allocates all of
 *               its capacity when a process crashes; 0 means 256 MiB here, or
 *               half of it as often as that is refused.
 */
struct mproc_arena_opts {
	size_t struct_size;
	size_t capacity;
	bool core_dump;
};

/**
 * mproc_arena_configure_default() - how the default arena is to be made
 * @opts: options, or NULL for the defaults
 *
 * To be called before the first use of the arena; the last call counts. A
 * forked child that makes an arena of its own, because there was none to
 * inherit, makes it in the same way.
 *
 * Return: 0, or a negative error:
 *   -EINVAL  @opts->struct_size makes no sense, or the capacity is out of range
 *   -E2BIG   @opts has fields that this library does not know
 *   -EBUSY   the arena exists already
 * Context: never blocks.
 */
MPROC_API int
mproc_arena_configure_default(const struct mproc_arena_opts *opts);

/**
 * mproc_arena_default() - the family's arena, made on first use
 *
 * Return: the handle, the same one for every caller in this process; NULL with
 *         errno set if the arena could not be made: ENOMEM (address space,
 *         memory), ENOSPC (shared memory is full), EFBIG (RLIMIT_FSIZE, or a
 *         file system that does not take so large a file), EMFILE, ENFILE,
 *         ENOSYS (no way to make or to allocate an unnamed file).
 * Context: may block on the kernel on first use.
 * Crash: an arena that its creator did not finish goes with its creator.
 */
MPROC_API mproc_arena *mproc_arena_default(void);

/**
 * mproc_alloc() - allocate shared memory in the default arena
 * @size: bytes, at least 1
 *
 * The block is zeroed, aligned to 64 bytes, and lives until mproc_free(),
 * whatever becomes of the process that allocated it.
 *
 * Return: the block; NULL with errno set: EINVAL (@size is 0), ENOMEM or
 *         ENOSPC (no room), EAGAIN (see "First use" in core.h), or what
 *         mproc_arena_default() gives.
 * Context: lock-free; calls the kernel when the heap grows.
 * Crash: killed inside, the block is free again once the death is proved;
 *        killed just before the return, it is a block that nobody knows.
 */
MPROC_API MPROC_NODISCARD void *mproc_alloc(size_t size);

/**
 * mproc_free() - give a block back
 * @p: what mproc_alloc() returned in any process of the family, or NULL
 *
 * A pointer that is no allocated block, or that was freed before, is refused:
 * nothing happens but a log line at level error.
 *
 * Context: lock-free.
 * Crash: killed inside, the block is either free or as it was.
 */
MPROC_API void mproc_free(void *p);

/**
 * mproc_is_shared() - does a pointer lie in the default arena?
 * @p: any value
 *
 * Return: true if so, whether it is allocated or not.
 * Context: never blocks; async-signal-safe.
 */
MPROC_API bool mproc_is_shared(const void *p);

/**
 * mproc_arena_recover() - look for the dead now
 * @a: arena, or NULL for the default one
 *
 * Whatever waits in libmproc looks for the dead by itself; this is for those
 * who do not wait and want what a dead process held back at once.
 *
 * Return: how many dead participants were cleaned up, or a negative error:
 *         those of mproc_arena_default().
 * Context: takes a few microseconds for each participant; never blocks.
 * Crash: whoever calls it next continues.
 */
MPROC_API int mproc_arena_recover(mproc_arena *a);

/**
 * struct mproc_arena_stat - a snapshot of an arena
 * @capacity:     bytes of address space
 * @backed:       bytes that are really allocated by the kernel
 * @used:         bytes in allocated blocks, those of libmproc included
 * @blocks:       number of allocated blocks
 * @participants: threads registered
 * @queues:       queues that exist
 */
struct mproc_arena_stat {
	uint64_t capacity;
	uint64_t backed;
	uint64_t used;
	uint64_t blocks;
	uint64_t participants;
	uint64_t queues;
};

/**
 * mproc_arena_stat() - take a snapshot
 * @a:        arena, or NULL for the default one
 * @ret_stat: filled in on success
 *
 * The figures are exact while nothing else runs, and near otherwise.
 *
 * Return: 0, or a negative error as for mproc_arena_recover(); -EINVAL if
 *         @ret_stat is NULL.
 * Context: walks the arena's tables; never blocks.
 */
MPROC_API int mproc_arena_stat(mproc_arena *a,
			       struct mproc_arena_stat *ret_stat);

MPROC_END_DECLS

#endif
