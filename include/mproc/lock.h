/* SPDX-License-Identifier: MIT */
/*
 * lock.h - locks, recursive ones, and those for readers and writers. What all
 * objects of sync.h have in common is said there.
 */
#ifndef MPROC_LOCK_H
#define MPROC_LOCK_H

#include <mproc/core.h>

MPROC_BEGIN_DECLS

/**
 * MPROC_OWNER_DIED - a positive return: you hold it, and an earlier holder died
 *
 * What it protects may be half changed. Repair it, or see that nothing is wrong,
 * and say so with the _consistent() function of the object.
 */
enum {
	MPROC_OWNER_DIED = 1
};

/**
 * struct mproc_owner - who has something, and who wants it
 * @pid:      process of the holder; 0 if nobody holds it, or it is not known
 * @tid:      the thread, in the holder's view of the system
 * @died_pid: process of the last holder that died, until somebody says that it
 *            is consistent; 0 if none died, or it is not known
 * @died_tid: its thread
 * @waiters:  how many wait
 * @readers:  how many threads have it for reading
 * @since:    since when the first of these waits, as mproc_now(); 0 if none does
 *
 * A snapshot: others go on while it is taken.
 */
struct mproc_owner {
	pid_t pid;
	pid_t tid;
	pid_t died_pid;
	pid_t died_tid;
	unsigned waiters;
	unsigned readers;
	int64_t since;
};

/* mproc_lock: held by one thread at a time, which alone releases it. */

/**
 * struct mproc_lock - a lock; opaque, 32 bytes, zero bytes are a free one
 */
typedef struct mproc_lock {
	uint64_t mproc_opaque[4];
} mproc_lock;

/**
 * mproc_lock_create() - make a lock in the default arena
 * @ret_lock: receives it; the pointer is valid in every process of the family
 *
 * Return: 0, or a negative error:
 *   -EINVAL   @ret_lock is NULL
 *   -EBADMSG  the memory where locks are made is corrupt
 *   -ENOMEM, -ENOSPC  no room
 *   and those of mproc_arena_default() and of "First use" in core.h.
 * Context: does not wait; calls the kernel when the heap grows.
 * Crash: killed inside, the lock does not exist; killed just before the return, it
 *        is one that nobody knows.
 */
MPROC_API MPROC_NODISCARD int mproc_lock_create(mproc_lock **ret_lock);

/**
 * mproc_lock_destroy() - end a lock of mproc_lock_create()
 * @lock: lock, or NULL. What was not created is refused, with a line in the log
 *
 * It may be held: its holder gets -ESTALE when it releases it.
 *
 * Context: does not wait.
 * Crash: killed inside, it is destroyed, or as it was.
 */
MPROC_API void mproc_lock_destroy(mproc_lock *lock);

/**
 * mproc_lock_acquire() - take a lock
 * @lock:    lock
 * @timeout: how long to wait for it
 *
 * Waiting threads are served as they come, but for those that come along just
 * when it is free. One that has waited for more than a millisecond has
 * precedence: once it was woken in vain, whoever holds the lock then hands it to
 * the one that waits longest. So who waits does so for a millisecond, and for two
 * holders and two wake-ups for each that has come before; who comes along may
 * have it more often only while a wake-up takes longer than it holds the lock. One
 * that is stopped as it is woken is passed over after some tenths of a second.
 *
 * Return: 0, or MPROC_OWNER_DIED: the caller holds it either way. In the latter
 *         case mproc_error_detail() says who died. Or a negative error:
 *   -EAGAIN     it is held, and @timeout is MPROC_NOWAIT
 *   -ETIMEDOUT  it was held all the time
 *   -EINTR      mproc_interrupt()
 *   -EDEADLK    the calling thread holds it
 *   -EINVAL     @lock is NULL
 *   -ESTALE     it was destroyed
 *   -ESHUTDOWN  it was destroyed while we waited
 *   and those of mproc_arena_default() and of "First use" in core.h.
 * Context: without contention two atomic operations together with the release,
 *          and no system call.
 * Crash: killed inside, the caller holds it or not; if so it is a holder that
 *        died.
 */
MPROC_API MPROC_NODISCARD int
mproc_lock_acquire(mproc_lock *lock, mproc_timeout timeout);

/**
 * mproc_lock_release() - give a lock back
 * @lock: lock that the calling thread holds
 *
 * Return: 0, or a negative error:
 *   -EPERM   the calling thread does not hold it; the text says who does
 *   -EINVAL  @lock is NULL
 *   -ESTALE  it was destroyed
 * Context: does not wait. A system call only if somebody waits.
 * Crash: killed inside, the caller holds it or not; those who wait go on in any
 *        case.
 */
MPROC_API int mproc_lock_release(mproc_lock *lock);

/**
 * mproc_lock_consistent() - all is well again after MPROC_OWNER_DIED
 * @lock: lock that the calling thread holds
 *
 * Return: 0, also if nobody died; or a negative error as mproc_lock_release().
 * Context: does not wait.
 * Crash: killed inside, the next holder is told of a death anyway.
 */
MPROC_API int mproc_lock_consistent(mproc_lock *lock);

/**
 * mproc_lock_is_consistent() - has no holder died without being made good?
 * @lock: lock
 *
 * Return: false if the next holder would be told of a death, or the present one
 *         was.
 * Context: does not wait.
 */
MPROC_API bool mproc_lock_is_consistent(const mproc_lock *lock);

/**
 * mproc_lock_owner() - who holds a lock, and who waits for it
 * @lock:      lock
 * @ret_owner: filled in on success
 *
 * Return: 0, or a negative error: -EINVAL if an argument is NULL, -ESTALE if the
 *         lock was destroyed, those of mproc_arena_default().
 * Context: does not wait; looks at each participant.
 */
MPROC_API int mproc_lock_owner(const mproc_lock *lock,
			       struct mproc_owner *ret_owner);

#if defined(__GNUC__)
struct mproc_held_ {
	mproc_lock *which; /* NULL when it was released */
};

static inline struct mproc_held_
mproc_hold_(mproc_lock *lock, int *ret_r)
{
	struct mproc_held_ held = { lock };

	*ret_r = mproc_lock_acquire(lock, MPROC_FOREVER);
	if (*ret_r < 0)
		held.which = NULL;
	return held;
}

static inline struct mproc_held_
mproc_hold_forever_(mproc_lock *lock)
{
	int r;

	return mproc_hold_(lock, &r);
}

static inline void
mproc_unhold_(struct mproc_held_ *held)
{
	if (held->which)
		mproc_lock_release(held->which);
	held->which = NULL;
}

/* Names differ, so that nested blocks do not shadow each other's. */
#define mproc_name__(line) mproc_h_##line
#define mproc_name_(line) mproc_name__(line)
#define mproc_held_block_(hold, h)                                            \
	for (struct mproc_held_ h                                             \
		     __attribute__((__cleanup__(mproc_unhold_))) = hold;      \
	     h.which; mproc_unhold_(&h))

/*
 * mproc_with_lock(lock) { ... }: runs the block once while the lock is held, and
 * not at all if it could not be had. Waits without a limit. The lock is released
 * at the end of the block, also by break and continue, which leave this block
 * and nothing around it, and by goto and return; not by longjmp() or exit().
 * For gcc and clang. Twins: mproc_lock_acquire(), mproc_lock_release().
 */
#define mproc_with_lock(lock)                                                 \
	mproc_held_block_(mproc_hold_forever_(lock), mproc_name_(__LINE__))

/*
 * mproc_with_lock_r(lock, r) { ... }: the same; the int r becomes what
 * mproc_lock_acquire() has returned, MPROC_OWNER_DIED for instance, before the
 * block runs or is left out. Twins: as above.
 */
#define mproc_with_lock_r(lock, r)                                            \
	mproc_held_block_(mproc_hold_((lock), &(r)), mproc_name_(__LINE__))
#endif

/* mproc_rlock: a lock that its holder may take again. */

/**
 * struct mproc_rlock - a recursive lock; opaque, 40 bytes, zero bytes are a free
 * one
 */
typedef struct mproc_rlock {
	uint64_t mproc_opaque[5];
} mproc_rlock;

/**
 * mproc_rlock_create() - make a recursive lock in the default arena
 * @ret_rlock: receives it
 *
 * Return: as mproc_lock_create().
 * Context: does not wait; calls the kernel when the heap grows.
 * Crash: killed inside, the lock does not exist.
 */
MPROC_API MPROC_NODISCARD int mproc_rlock_create(mproc_rlock **ret_rlock);

/**
 * mproc_rlock_destroy() - end a lock of mproc_rlock_create()
 * @rlock: lock, or NULL. What was not created is refused, with a line in the log
 *
 * It may be held: its holder gets -ESTALE when it releases it.
 *
 * Context: does not wait.
 * Crash: killed inside, it is destroyed, or as it was.
 */
MPROC_API void mproc_rlock_destroy(mproc_rlock *rlock);

/**
 * mproc_rlock_acquire() - take a recursive lock, once more if we have it
 * @rlock:   lock
 * @timeout: how long to wait for it
 *
 * Others get it when it was released as often as it was taken.
 *
 * Return: 0; or MPROC_OWNER_DIED, only when the calling thread did not hold it
 *         yet. Or a negative error:
 *   -EOVERFLOW  the calling thread has taken it 2^32 times
 *   and those of mproc_lock_acquire(), but not -EDEADLK.
 * Context: does not wait if the calling thread holds it; otherwise as
 *          mproc_lock_acquire().
 * Crash: as mproc_lock_acquire(). How often the dead held it does not matter.
 */
MPROC_API MPROC_NODISCARD int
mproc_rlock_acquire(mproc_rlock *rlock, mproc_timeout timeout);

/**
 * mproc_rlock_release() - give a recursive lock back, once
 * @rlock: lock that the calling thread holds
 *
 * Return: 0, or a negative error:
 *   -EPERM   the calling thread does not hold it, or not any more; the text says
 *            who does
 *   -EINVAL  @rlock is NULL
 *   -ESTALE  it was destroyed
 * Context: does not wait. A system call only if somebody waits and it was the
 *          last time.
 * Crash: killed inside, the caller holds it or not; those who wait go on in any
 *        case.
 */
MPROC_API int mproc_rlock_release(mproc_rlock *rlock);

/**
 * mproc_rlock_consistent() - all is well again after MPROC_OWNER_DIED
 * @rlock: lock that the calling thread holds, however often
 *
 * Return: 0, also if nobody died; or a negative error as mproc_rlock_release().
 * Context: does not wait.
 * Crash: killed inside, the next holder is told of a death anyway.
 */
MPROC_API int mproc_rlock_consistent(mproc_rlock *rlock);

/**
 * mproc_rlock_is_consistent() - has no holder died without being made good?
 * @rlock: lock
 *
 * Return: as mproc_lock_is_consistent().
 * Context: does not wait.
 */
MPROC_API bool mproc_rlock_is_consistent(const mproc_rlock *rlock);

/**
 * mproc_rlock_owner() - who holds a recursive lock, and who waits for it
 * @rlock:     lock
 * @ret_owner: filled in on success
 *
 * Return: as mproc_lock_owner().
 * Context: does not wait; looks at each participant.
 */
MPROC_API int mproc_rlock_owner(const mproc_rlock *rlock,
				struct mproc_owner *ret_owner);

/* mproc_rwlock: held by one thread for writing, or by any number for reading. */

/**
 * struct mproc_rwlock - a lock for readers and writers; opaque, 32 bytes, zero
 *                       bytes are a free one
 */
typedef struct mproc_rwlock {
	uint64_t mproc_opaque[4];
} mproc_rwlock;

/**
 * mproc_rwlock_create() - make such a lock in the default arena
 * @ret_lock: receives it; the pointer is valid in every process of the family
 *
 * Return: as mproc_lock_create().
 * Context: does not wait; calls the kernel when the heap grows.
 * Crash: killed inside, the lock does not exist.
 */
MPROC_API MPROC_NODISCARD int mproc_rwlock_create(mproc_rwlock **ret_lock);

/**
 * mproc_rwlock_destroy() - end a lock of mproc_rwlock_create()
 * @lock: lock, or NULL. What was not created is refused, with a line in the log
 *
 * It may be held: its holders get -ESTALE when they release it.
 *
 * Context: does not wait.
 * Crash: killed inside, it is destroyed, or as it was.
 */
MPROC_API void mproc_rwlock_destroy(mproc_rwlock *lock);

/**
 * mproc_rwlock_read() - take a lock for reading
 * @lock:    lock
 * @timeout: how long to wait for it
 *
 * Any number of threads read at a time. Once a writer wants the lock, no other
 * thread gets it for reading before that writer has had it; those who wait while
 * it is held for writing get it before the next writer. A thread that reads
 * already gets it again at once, and releases it as often.
 *
 * A reader that dies changes nothing for the others. When a writer has died,
 * readers are told as well; only a writer can say that all is well again.
 *
 * Return: 0, or MPROC_OWNER_DIED: the caller holds it either way. In the latter
 *         case mproc_error_detail() says who died. Or a negative error:
 *   -EAGAIN     a writer holds it or wants it, and @timeout is MPROC_NOWAIT
 *   -ETIMEDOUT  so it was all the time
 *   -EINTR      mproc_interrupt()
 *   -EDEADLK    the calling thread holds it for writing
 *   -ENOLCK     the calling thread reads 16 others, or is a party of barriers
 *   -EINVAL     @lock is NULL
 *   -ESTALE     it was destroyed
 *   -ESHUTDOWN  it was destroyed while we waited
 *   and those of mproc_arena_default() and of "First use" in core.h.
 * Context: without a writer two atomic operations together with the release, in
 *          memory that no other thread writes, and no system call.
 * Crash: killed inside, the caller does not hold it, and nothing remains.
 */
MPROC_API MPROC_NODISCARD int
mproc_rwlock_read(mproc_rwlock *lock, mproc_timeout timeout);

/**
 * mproc_rwlock_write() - take a lock for writing
 * @lock:    lock
 * @timeout: how long to wait for it
 *
 * From when it wants it on, readers that do not hold it yet wait. Writers are
 * served as they come, but for those that come along just when it is free; one
 * that has waited for more than a millisecond has precedence over other writers.
 *
 * Return: 0, or MPROC_OWNER_DIED: the caller holds it either way. In the latter
 *         case mproc_error_detail() says who died. Or a negative error:
 *   -EAGAIN     somebody holds it or wants it for writing, or holds it for
 *               reading, and @timeout is MPROC_NOWAIT
 *   -ETIMEDOUT  so it was all the time
 *   -EINTR      mproc_interrupt()
 *   -EDEADLK    the calling thread holds it, for reading or for writing
 *   -EINVAL     @lock is NULL
 *   -ESTALE     it was destroyed
 *   -ESHUTDOWN  it was destroyed while we waited
 *   and those of mproc_arena_default() and of "First use" in core.h.
 * Context: looks at each participant. Without contention no system call.
 * Crash: killed inside, the caller holds it or not; if so it is a holder that
 *        died. Who only wanted it is none.
 */
MPROC_API MPROC_NODISCARD int
mproc_rwlock_write(mproc_rwlock *lock, mproc_timeout timeout);

/**
 * mproc_rwlock_release() - give a lock back
 * @lock: lock that the calling thread holds, for reading or for writing
 *
 * Return: 0, or a negative error:
 *   -EPERM   the calling thread does not hold it; the text says who writes
 *   -EINVAL  @lock is NULL
 *   -ESTALE  it was destroyed
 * Context: does not wait. A system call only if somebody waits.
 * Crash: killed inside, the caller holds it or not; those who wait go on in any
 *        case.
 */
MPROC_API int mproc_rwlock_release(mproc_rwlock *lock);

/**
 * mproc_rwlock_consistent() - all is well again after MPROC_OWNER_DIED
 * @lock: lock that the calling thread holds for writing
 *
 * Return: 0, also if nobody died; or a negative error as mproc_rwlock_release();
 *         -EPERM also if the calling thread only reads.
 * Context: does not wait.
 * Crash: killed inside, the next holder is told of a death anyway.
 */
MPROC_API int mproc_rwlock_consistent(mproc_rwlock *lock);

/**
 * mproc_rwlock_is_consistent() - has no writer died without being made good?
 * @lock: lock
 *
 * Return: false if the next holder would be told of a death, or the present ones
 *         were.
 * Context: does not wait.
 */
MPROC_API bool mproc_rwlock_is_consistent(const mproc_rwlock *lock);

/**
 * mproc_rwlock_owner() - who holds a lock, and who waits for it
 * @lock:      lock
 * @ret_owner: filled in on success. @pid and @tid are those of the writer, or of
 *             any one of the readers
 *
 * Return: 0, or a negative error: -EINVAL if an argument is NULL, -ESTALE if the
 *         lock was destroyed, those of mproc_arena_default().
 * Context: does not wait; looks at each participant.
 */
MPROC_API int mproc_rwlock_owner(const mproc_rwlock *lock,
				 struct mproc_owner *ret_owner);

MPROC_END_DECLS

#endif
