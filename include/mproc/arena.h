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
 * Programs that are not of one family meet in a named arena: one makes it with
 * mproc_arena_create(), the others open it by name. It may lie at another address
 * in each of them, so pointers into it mean nothing to the others: objects in it
 * are found by name (mproc_arena_bind(), mproc_arena_find()). Everything else is
 * the same as inside a family: locks and their like may lie in it, queues can be
 * made in it, and whoever is killed, the others go on.
 *
 * A named arena stays when its last user ends, with all that is in it, until
 * mproc_arena_unlink(); so do the holders of its locks, who count as dead. Whoever
 * can write to it can do anything to its users: by default that is the user whose
 * it is.
 *
 * A process that has MPROC_HEAP_CHECK=1 in its environment from its beginning
 * checks its blocks: behind the bytes that were asked for, up to the block's end or
 * what belongs to a value there, lie at least 16 that nobody may write. Whether that
 * was done is looked at by mproc_free(), mproc_realloc() and mproc_arena_recover(),
 * by the first two also in processes that do not check themselves; a log line at
 * level error tells where, whose block it is and how many bytes it has. Such lines
 * are printed then, unless MPROC_LOG or mproc_log_set() say something else.
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
 *               half of it as often as that is refused. In a named arena it is
 *               the creator's core dumps.
 * @name:        of a named arena: 1 to 200 bytes without "/", but for one in the
 *               beginning, which does not count. The file is /dev/shm/NAME.
 * @mode:        of a named arena: who may open it, as in open(2) and whatever
 *               the umask; 0 means 0600
 * @prefault:    all of its capacity is allocated when it is made, and stays: no
 *               allocation has to ask the kernel. The usual capacity is 256 MiB
 *               then. Other processes still map each page when they first touch
 *               it.
 * @huge_pages:  asks the kernel for huge pages; which of them it really gives is
 *               seen in /proc/self/smaps. Not for a named arena. With @prefault
 *               it gets as many as it can at once.
 */
struct mproc_arena_opts {
	size_t struct_size;
	size_t capacity;
	bool core_dump;
	const char *name;
	unsigned mode;
	unsigned unused; /* was padding: not looked at */
	bool prefault;
	bool huge_pages;
};

/**
 * mproc_arena_create() - make a named arena and open it
 * @ret_a: receives the handle
 * @opts:  with a name
 *
 * Return: 0, or a negative error:
 *   -EINVAL   @ret_a is NULL, @opts->struct_size makes no sense, there is no
 *             name or it cannot be one, the capacity is out of range, there
 *             is more than permission bits in the mode, or huge pages are wanted
 *   -ENAMETOOLONG
 *   -E2BIG    @opts has fields that this library does not know
 *   -EEXIST   something has that name already
 *   -EMFILE   32 named arenas are open, or closed and still mapped for threads
 *             that have used them; or too many descriptors
 *   -ENOTSUP  the system has no /dev/shm, or one that takes no unnamed files; or
 *             there is no /proc
 *   -EACCES, -EROFS  /dev/shm is not for this user to write to
 *   -ENOMEM, -ENOSPC, -EFBIG, -ENFILE, -ENOSYS  as for mproc_arena_default()
 * Context: blocks on the kernel only.
 * Crash: there is a complete arena of that name, or nothing at all.
 */
MPROC_API int mproc_arena_create(mproc_arena **ret_a,
				 const struct mproc_arena_opts *opts);

/**
 * mproc_arena_open() - open a named arena
 * @ret_a:   receives the handle: the same one each time in one process, which
 *           is to be closed as often as it was opened. But if the program has
 *           closed the arena's descriptor (closefrom), with which it takes no
 *           more threads, it may be another one, with a mapping of its own
 * @name:    as for mproc_arena_create()
 * @timeout: how long to wait for it to be made; the name is looked for every 5 ms
 *
 * Opening changes nothing in the arena, and deletes nothing.
 *
 * Return: 0, or a negative error:
 *   -EINVAL, -ENAMETOOLONG  @ret_a or @name is NULL, or it cannot be a name
 *   -ENOENT     there is none of that name, and @timeout is MPROC_NOWAIT
 *   -ETIMEDOUT  there is still none
 *   -EINTR      mproc_interrupt() was called
 *   -EACCES, -EROFS  its mode does not let this user in, or /dev/shm is
 *               read-only
 *   -EPERM      it belongs neither to this user nor to root
 *   -ELOOP, -EISDIR, -EINVAL  what has the name is a symbolic link, a directory,
 *               or no file otherwise
 *   -EBADMSG    it is no arena, or its size is not what it says
 *   -EPROTONOSUPPORT  it is of another version of the library, or of one built in
 *               another way
 *   -EMFILE     32 named arenas are open, or too many descriptors
 *   -ENOMEM, -ENFILE  as for mproc_arena_default()
 * Context: blocks until the name is there.
 * Crash: nothing is left.
 */
MPROC_API int mproc_arena_open(mproc_arena **ret_a, const char *name,
			       mproc_timeout timeout);

/**
 * mproc_arena_close() - close a named arena
 * @a: what mproc_arena_create() or mproc_arena_open() gave; NULL is ignored, and
 *     what is not open, as the default arena, is refused with a log line
 *
 * With the last close, what the calling thread holds in the arena is given back
 * as at its end, and pointers into the arena are no longer to be used by this
 * process. Other threads that have used it keep it mapped, and are among its
 * participants, until they end or use another named arena for the first time. So does
 * what is in a waitset.
 *
 * Context: blocks on the kernel only.
 * Crash: as the end of the process.
 */
MPROC_API void mproc_arena_close(mproc_arena *a);

/**
 * mproc_arena_unlink() - take away the name of an arena
 * @name: as for mproc_arena_create()
 *
 * Who has it open goes on; its memory goes with the last one. An arena whose
 * users are all dead has no participants (mproc_arena_stat()) once somebody has
 * called mproc_arena_recover(), and can be opened and used as it is, or unlinked.
 *
 * Return: 0; -EINVAL, -ENAMETOOLONG; -ENOENT; -EACCES, -EPERM if it is not
 *         this user's; -EROFS; -EISDIR.
 * Context: blocks on the kernel only.
 * Crash: the name is there or not.
 */
MPROC_API int mproc_arena_unlink(const char *name);

/**
 * mproc_arena_configure_default() - how the default arena is to be made
 * @opts: options, or NULL for the defaults
 *
 * To be called before the first use of the arena; the last call counts. A
 * forked child that makes an arena of its own, because there was none to
 * inherit, makes it in the same way.
 *
 * Return: 0, or a negative error:
 *   -EINVAL  @opts->struct_size makes no sense, the capacity is out of range, or
 *            there is a name or a mode
 *   -ENOTSUP huge pages are wanted, and the system has none for this: the detail
 *            says what is missing
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
 *         ENOSYS (no way to make or to allocate an unnamed file), ENOTSUP (huge
 *         pages were asked for, and it is in a file of a file system).
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
 * Context: lock-free; calls the kernel when the heap grows. Only where there is no
 *          room, and somebody has free blocks in his hands, it waits for him, for
 *          10 ms at most.
 * Crash: killed inside, the block is free again once the death is proved;
 *        killed just before the return, it is a block that nobody knows.
 */
MPROC_API MPROC_NODISCARD void *mproc_alloc(size_t size);

/**
 * mproc_arena_alloc() - allocate shared memory in an arena
 * @a:     arena, or NULL for the default one
 * @size:  bytes, at least 1
 * @align: a power of two up to 1 MiB, or 0; blocks are always aligned to 64. Up
 *         to 4096 it costs at most 4096 bytes, beyond that the next MiB.
 *
 * As mproc_alloc(). It is aligned in every process that has the arena.
 *
 * Return: the block; NULL with errno set as there, and EINVAL for @align.
 * Context: lock-free; calls the kernel when the heap grows.
 * Crash: as in mproc_alloc().
 */
MPROC_API MPROC_NODISCARD void *mproc_arena_alloc(mproc_arena *a, size_t size,
						  size_t align);

/**
 * mproc_realloc() - change the size of a block
 * @p:    as for mproc_free(), but no value or array; or NULL, which is
 *        mproc_alloc()
 * @size: bytes, at least 1
 *
 * The block stays where it is if it has room and would not be more than half
 * empty; otherwise its bytes are copied to another one in the same arena, which
 * is aligned to 64 bytes, and it is freed. Nobody may use it meanwhile, and who
 * kept its address has to learn the new one. Bytes beyond the old size are zero.
 * What holds locks and the like must not be moved.
 *
 * Return: the block; NULL with errno set, and the old one is as it was: EINVAL
 *         (@size is 0, or @p a value or an array), EFAULT (@p is not shared
 *         memory), ESTALE (no allocated block starts there), or as for
 *         mproc_alloc() if it grows. To make it smaller never fails.
 * Context: lock-free; calls the kernel when the heap grows.
 * Crash: killed inside, the old block is there, or the new one with all the bytes
 *        and none but that: mproc_arena_next_block() tells which, once the death was
 *        noticed. Who frees the old one before that may leave the new one, as a block
 *        of the dead.
 */
MPROC_API MPROC_NODISCARD void *mproc_realloc(void *p, size_t size);

/**
 * mproc_free() - give a block back
 * @p: what mproc_alloc() returned in any process of the family, or
 *     mproc_arena_alloc() in any process that has the arena; or NULL
 *
 * A pointer that is no allocated block, or that was freed before, is refused:
 * nothing happens but a log line at level error, which tells what is known of it:
 * that it was freed, that it is within a block, and of whom, that it is no shared
 * memory. So it is with a block of more than 1020 KiB, and a thread that cannot
 * become a participant ("First use" in core.h).
 *
 * Context: lock-free.
 * Crash: killed inside, the block is either free or as it was.
 */
MPROC_API void mproc_free(void *p);

/**
 * mproc_is_shared() - does a pointer lie in an arena of this process?
 * @p: any value
 *
 * Return: true if so, whether it is allocated or not.
 * Context: never blocks; async-signal-safe.
 */
MPROC_API bool mproc_is_shared(const void *p);

/**
 * mproc_arena_bind() - give an object in an arena a name
 * @a:      arena, or NULL for the default one
 * @name:   1 to 55 bytes
 * @object: address in the arena; or NULL, which takes the name away
 *
 * The name is one of the arena's, and stays until it is taken away, or the arena
 * goes.
 *
 * Return: 0, or a negative error:
 *   -EINVAL        @name is NULL or empty, or @object lies not in the arena
 *   -ENAMETOOLONG
 *   -EEXIST        another object has the name
 *   -ENOENT        @object is NULL, and nothing has the name
 *   -EBUSY         another process binds a name, and has not come to an end with
 *                  that for a second: it is stopped
 *   -ENOSPC, -ENOMEM, -EAGAIN  no memory for it, or for a participant
 *   -EBADMSG       the arena is corrupt
 *   and those of mproc_arena_default() and of "First use" in core.h
 * Context: waits for others who bind just now, for microseconds. Signal handlers run
 * behind that.
 * Crash: the name is bound or not; who waits for it is told if it is.
 */
MPROC_API int mproc_arena_bind(mproc_arena *a, const char *name, void *object);

/**
 * mproc_arena_find() - find an object in an arena by its name
 * @a:       arena, or NULL for the default one
 * @name:    as for mproc_arena_bind()
 * @ret:     receives its address in this process
 * @timeout: how long to wait for somebody to bind it
 *
 * Return: 0, or a negative error:
 *   -EINVAL        @name or @ret is NULL, or @name is empty
 *   -ENAMETOOLONG
 *   -ENOENT        nothing has the name, and @timeout is MPROC_NOWAIT
 *   -ETIMEDOUT     still nothing has it
 *   -EINTR         mproc_interrupt() was called
 *   -ENOSPC, -ENOMEM, -EAGAIN  no memory, to wait
 *   -EBADMSG       the arena is corrupt
 *   and those of mproc_arena_default() and, to wait, of "First use" in core.h
 * Context: lock-free if there is one; else blocks.
 * Crash: nothing is left.
 */
MPROC_API int mproc_arena_find(mproc_arena *a, const char *name, void **ret,
			       mproc_timeout timeout);

/**
 * mproc_arena_recover() - look for the dead now
 * @a: arena, or NULL for the default one
 *
 * Whatever waits in libmproc looks for the dead by itself; this is for those
 * who do not wait and want what a dead process held back at once. With
 * MPROC_HEAP_CHECK=1 it looks at the guards of all blocks, too. Called by a
 * participant, it gives the memory of free blocks back to the system, as far as all
 * that lies beside them is free, and none of it was ever a value or libmproc's own.
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
 * @participants: threads registered; also those that have died and that nobody
 *                has looked for since
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

/**
 * struct mproc_arena_block - an allocated block
 * @p:      where it is; NULL before the first one
 * @size:   bytes that were asked for; all it has, if its owner was killed in
 *          mproc_realloc()
 * @pid:    the process that asked for it, as it sees itself
 * @tid:    and its thread
 * @alive:  whether that process takes part in the arena; false once its death was
 *          noticed, and after its last thread that took part has ended
 * @age_ns: nanoseconds since it was allocated, up to ten milliseconds less; -1 if
 *          its owner was killed in mproc_realloc()
 */
struct mproc_arena_block {
	void *p;
	size_t size;
	pid_t pid;
	pid_t tid;
	bool alive;
	int64_t age_ns;
};

/**
 * mproc_arena_next_block() - look through what is allocated
 * @a:     arena, or NULL for the default one
 * @block: the one before, which may have been freed meanwhile; zeroed, before the
 *         first one. Filled in with the next one in the order of addresses.
 *
 *     struct mproc_arena_block b = { 0 };
 *
 *     while (mproc_arena_next_block(NULL, &b) > 0)
 *             if (!b.alive)
 *                     mproc_free(b.p);
 *
 * These are the blocks of mproc_alloc() and its like, values and arrays among
 * them, but not what libmproc has for itself. A block that is there all the time
 * is found once, one that comes or goes meanwhile is found or not. Call
 * mproc_arena_recover() first if it matters who has died just now.
 *
 * Return: 1, or 0 after the last one; or a negative error: those of
 *         mproc_arena_default(); -EINVAL if @block is NULL or its @p is no address
 *         in the arena.
 * Context: lock-free; looks through what is free on the way.
 */
MPROC_API int mproc_arena_next_block(mproc_arena *a,
				     struct mproc_arena_block *block);

MPROC_END_DECLS

#endif
