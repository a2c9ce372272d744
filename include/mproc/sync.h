/* SPDX-License-Identifier: MIT */
/*
 * sync.h - locks and the like that survive their owners.
 *
 * For threads and for the processes of a family. Each object is a complete type
 * of fixed size, and zero bytes are a valid one that is idle, but for a barrier,
 * which has to know how many it is for: embed it in
 * whatever it protects, in memory of mproc_alloc(), say, or make one by itself
 * with its _create() function. In memory outside the arena it is for the threads
 * of one process. Objects are not to be copied or moved. Embedded ones need no
 * destruction; while somebody waits for one, its memory must stay.
 *
 * Created objects lie in the default arena, a semaphore where its .arena says. Any
 * process may destroy one: those who wait for it get -ESHUTDOWN, and calls
 * afterwards -ESTALE, until its place is used for another object of the same type.
 *
 * Owners. What is held is held by a thread. When a thread ends, in whatever way,
 * and holds something, the next holder gets it with the return value
 * MPROC_OWNER_DIED, and so does each one after that until one says that all is
 * well again (mproc_lock_consistent()). Death is proved by the kernel, never
 * guessed: a thread that is stopped keeps what it holds. A thread that waits
 * learns of the death within 100 ms, and within 2 ms if the parent of the dead
 * process is inside a call of libmproc that waits; whatever becomes of all others
 * that wait (mproc_sync(3) has more of that, and a rare exception).
 *
 * Who is killed while it waits, or just as it is woken, takes nothing with it
 * that others wait for. One exception is late, not lost: of a thread that has taken
 * no part in the arena yet nothing is known. If it is killed between setting an
 * event, or releasing a semaphore, and the wake-up, those who wait find that when
 * they next look by themselves: with n sleepers in the arena after up to 1.5 n/20 s.
 * Any call that takes or waits makes it a participant.
 *
 * A forked child holds nothing: what its parent's thread holds stays that
 * thread's.
 */
#ifndef MPROC_SYNC_H
#define MPROC_SYNC_H

#include <mproc/arena.h>
#include <mproc/lock.h>

MPROC_BEGIN_DECLS

/* mproc_semaphore: a number of permits, for whoever comes first. */

/**
 * struct mproc_semaphore - a semaphore; opaque, 24 bytes, zero bytes are one of
 *                          value 0 without a maximum
 */
typedef struct mproc_semaphore {
	uint64_t mproc_opaque[3];
} mproc_semaphore;

/**
 * struct mproc_semaphore_opts - how to make a semaphore
 * @struct_size: filled in by MPROC_OPTS
 * @value:       how many permits there are in the beginning; up to INT_MAX
 * @max:         how many there can be; 0 means INT_MAX
 * @undo:        each permit has an owner, the thread that acquired it, which
 *               alone releases it. If that ends, in whatever way, its permits
 *               are there again, and who waits learns of that as of the death
 *               of a lock's holder. @value is then from 1 to 65536, and @max is
 *               0 or the same
 * @arena:       where it is made; NULL means the default arena
 */
struct mproc_semaphore_opts {
	size_t struct_size;
	unsigned value;
	unsigned max;
	bool undo;
	mproc_arena *arena;
};

/**
 * mproc_semaphore_init() - make what lies somewhere a semaphore
 * @semaphore: memory of any content that nobody else uses as a semaphore yet;
 *             not one of mproc_semaphore_create()
 * @value:     how many permits there are in the beginning; up to INT_MAX
 * @max:       how many there can be; 0 means INT_MAX
 *
 * Return: 0, or -EINVAL if @semaphore is NULL, or @value is above @max, or one
 *         of them above INT_MAX.
 * Context: does not wait.
 * Crash: killed inside, it is no semaphore yet.
 */
MPROC_API int mproc_semaphore_init(mproc_semaphore *semaphore, unsigned value,
				   unsigned max);

/**
 * mproc_semaphore_create() - make a semaphore
 * @ret_semaphore: receives it; the pointer is valid in every process of the
 *                 family. In a named arena others find it with
 *                 mproc_arena_find()
 * @opts:          options, or NULL for value 0 without a maximum
 *
 * Return: 0, or a negative error:
 *   -EINVAL  @ret_semaphore is NULL, or @opts->struct_size makes no sense, or
 *            .value or .max is out of range
 *   -E2BIG   @opts has fields that this library does not know
 *   -EBADMSG, -ENOMEM, -ENOSPC  as mproc_lock_create()
 *   and those of mproc_arena_default() and of "First use" in core.h.
 * Context: does not wait; calls the kernel when the heap grows.
 * Crash: killed inside, the semaphore does not exist.
 */
MPROC_API MPROC_NODISCARD int
mproc_semaphore_create(mproc_semaphore **ret_semaphore,
		       const struct mproc_semaphore_opts *opts);

/**
 * mproc_semaphore_destroy() - end a semaphore of mproc_semaphore_create()
 * @semaphore: semaphore, or NULL. What was not created is refused, with a line
 *             in the log
 *
 * Context: does not wait.
 * Crash: killed inside, it is destroyed, or as it was.
 */
MPROC_API void mproc_semaphore_destroy(mproc_semaphore *semaphore);

/**
 * mproc_semaphore_acquire() - take a permit
 * @semaphore: semaphore
 * @timeout:   how long to wait for one
 *
 * Waiting threads are woken as they came, but those that come along just when
 * there is a permit take it. A wake-up is no permit: who is killed while it
 * waits, or as it is woken, takes none along.
 *
 * Return: 0, or a negative error:
 *   -EAGAIN     there is none, and @timeout is MPROC_NOWAIT
 *   -ETIMEDOUT  there was none to be had in that time
 *   -EINTR      mproc_interrupt()
 *   -EINVAL     @semaphore is NULL
 *   -ESTALE     it was destroyed
 *   -ESHUTDOWN  it was destroyed while we waited
 *   and, if it is to wait and with .undo, those of mproc_arena_default() and of
 *   "First use" in core.h.
 * Context: without contention one atomic operation and no system call; with
 *          .undo it looks through the permits.
 * Crash: killed inside, the caller has a permit or not. If so, without .undo,
 *        it is gone with the caller; with it, it is there again.
 */
MPROC_API MPROC_NODISCARD int
mproc_semaphore_acquire(mproc_semaphore *semaphore, mproc_timeout timeout);

/**
 * mproc_semaphore_release() - give a permit back, or add one
 * @semaphore: semaphore
 *
 * Anyone may do it, but with .undo only a thread that has one.
 *
 * Return: 0, or a negative error, without a text unless it is with .undo:
 *   -EOVERFLOW  there are as many as there can be
 *   -EPERM      with .undo: the calling thread has none
 *   -EINVAL     @semaphore is NULL, or somebody waits for it in another
 *               process, and it lies outside the arena
 *   -ESTALE     it was destroyed
 * Context: never waits; async-signal-safe without .undo, also in a handler that
 *          interrupts a call for the same semaphore, and in a thread that has
 *          not used libmproc yet. A system call only if somebody waits.
 * Crash: killed inside, the permit is there or not; if so, who waits gets it, late
 *        if the caller is no participant (see above).
 */
MPROC_API int mproc_semaphore_release(mproc_semaphore *semaphore);

/**
 * mproc_semaphore_value() - how many permits are there to be taken?
 * @semaphore: semaphore
 *
 * Return: the number, at this moment, or a negative error, without a text:
 *         -EINVAL if @semaphore is NULL, -ESTALE if it was destroyed.
 * Context: never waits, no system call; async-signal-safe without .undo.
 */
MPROC_API int mproc_semaphore_value(const mproc_semaphore *semaphore);

/* mproc_condition: who has a lock waits until another one has changed what the
 * lock protects. */

/**
 * struct mproc_condition - a condition; opaque, 16 bytes, zero bytes are one that
 * nobody waits for
 */
typedef struct mproc_condition {
	uint64_t mproc_opaque[2];
} mproc_condition;

/**
 * mproc_condition_create() - make a condition in the default arena
 * @ret_condition: receives it
 *
 * Return: as mproc_lock_create().
 * Context: does not wait; calls the kernel when the heap grows.
 * Crash: killed inside, the condition does not exist.
 */
MPROC_API MPROC_NODISCARD int
mproc_condition_create(mproc_condition **ret_condition);

/**
 * mproc_condition_destroy() - end a condition of mproc_condition_create()
 * @condition: condition, or NULL. What was not created is refused, with a line in
 *             the log
 *
 * Context: does not wait.
 * Crash: killed inside, it is destroyed, or as it was; those who wait may learn
 *        of it late.
 */
MPROC_API void mproc_condition_destroy(mproc_condition *condition);

/**
 * mproc_condition_wait() - give a lock back until we are notified
 * @condition: condition
 * @lock:      lock that the calling thread holds; all who wait for one condition
 *             at a time use the same
 * @timeout:   how long to wait for the notification
 *
 * Whoever notifies after the lock was released finds us waiting. When this
 * returns, whatever it returns, the caller holds the lock again, which it waits
 * for without a limit; it does not hold it if the lock itself was destroyed. As
 * others may have had the lock before, wait in a loop, or by
 * mproc_condition_wait_for().
 *
 * Return: 0 when we were notified; MPROC_OWNER_DIED, whether we were or not, when
 *         a holder of the lock has died: see mproc_lock_acquire(). Or a negative
 *         error:
 *   -EAGAIN     @timeout is MPROC_NOWAIT; the lock was not released
 *   -ETIMEDOUT  we were not notified in time
 *   -EINTR      mproc_interrupt(). While we wait for the lock it has no effect;
 *               one that came then is for the next call that waits
 *   -EPERM      the calling thread does not hold @lock; the text says who does
 *   -EINVAL     an argument is NULL, or one is a handle to a manager's, and the other
 *               not of the same connection
 *   -ESHUTDOWN  @condition was destroyed while we waited
 *   -ESTALE     @condition was destroyed before, or @lock was destroyed
 * Context: waits.
 * Crash: killed inside, the caller holds the lock or not; if so it is a holder
 *        that died. All others who wait are notified, as it may have been the one
 *        that was.
 */
MPROC_API MPROC_NODISCARD int
mproc_condition_wait(mproc_condition *condition, mproc_lock *lock,
		     mproc_timeout timeout);

/**
 * mproc_condition_wait_for() - wait until something is true
 * @condition: condition
 * @lock:      as for mproc_condition_wait()
 * @pred:      asked while we hold the lock; true if it does not return 0
 * @arg:       handed to @pred
 * @timeout:   how long to wait, however often we are notified
 *
 * Return: 0 when @pred is true, without a wait if it is so at once;
 *         MPROC_OWNER_DIED at once when a holder of the lock has died: @pred was
 *         not asked about what that one left, repair it and call again. Or a
 *         negative error:
 *   -EAGAIN     @pred is false, and @timeout is MPROC_NOWAIT
 *   -ETIMEDOUT  @pred is still false
 *   and those of mproc_condition_wait().
 * Context: waits.
 * Crash: as mproc_condition_wait().
 */
MPROC_API MPROC_NODISCARD int
mproc_condition_wait_for(mproc_condition *condition, mproc_lock *lock,
			 int (*pred)(void *arg), void *arg,
			 mproc_timeout timeout);

/**
 * mproc_condition_notify() - wake some of those who wait
 * @condition: condition
 * @n:         how many at most; those who wait longest
 *
 * Best called while one holds the lock that they use: who waits cannot miss what
 * was changed under the lock.
 *
 * Return: how many were notified, all of them if there are fewer than @n; who
 *         comes back to wait meanwhile does not count. Or a negative error,
 *         without a text:
 *   -EINVAL  @condition is NULL
 *   -ESTALE  it was destroyed
 * Context: does not wait for anybody. A system call for each one woken.
 *          Async-signal-safe.
 * Crash: killed inside, some were notified or none.
 */
MPROC_API int mproc_condition_notify(mproc_condition *condition, unsigned n);

/**
 * mproc_condition_notify_all() - wake all who wait
 * @condition: condition
 *
 * Return: as mproc_condition_notify().
 * Context: does not wait for anybody. Async-signal-safe.
 * Crash: killed inside, some were notified or none.
 */
MPROC_API int mproc_condition_notify_all(mproc_condition *condition);

/* mproc_event: set or not; who waits goes on when it is set. */

/**
 * struct mproc_event - an event; opaque, 16 bytes, zero bytes are one not set
 */
typedef struct mproc_event {
	uint64_t mproc_opaque[2];
} mproc_event;

/**
 * mproc_event_create() - make an event in the default arena, not set
 * @ret_event: receives it; the pointer is valid in every process of the family
 *
 * Return: 0, or a negative error as mproc_lock_create().
 * Context: does not wait; calls the kernel when the heap grows.
 * Crash: killed inside, the event does not exist.
 */
MPROC_API MPROC_NODISCARD int mproc_event_create(mproc_event **ret_event);

/**
 * mproc_event_destroy() - end an event of mproc_event_create()
 * @event: event, or NULL. What was not created is refused, with a line in the
 *         log
 *
 * Context: does not wait.
 * Crash: killed inside, it is destroyed, or as it was.
 */
MPROC_API void mproc_event_destroy(mproc_event *event);

/**
 * mproc_event_set() - set an event, and have all go on that wait for it
 * @event: event; it may be set already
 *
 * Who waits for it at that moment returns 0, also if it is cleared at once.
 *
 * Return: 0, or a negative error, without a text:
 *   -EINVAL  @event is NULL, or somebody waits for it in another process, and
 *            it lies outside the arena
 *   -ESTALE  it was destroyed
 * Context: never waits; async-signal-safe, also in a handler that interrupts a
 *          call for the same event, and in a thread that has not used libmproc
 *          yet. A system call for each one that waits.
 * Crash: killed inside, it is set or as it was; if it is set, those who wait go
 *        on, late if the caller is no participant (see above).
 */
MPROC_API int mproc_event_set(mproc_event *event);

/**
 * mproc_event_clear() - who comes from now on waits
 * @event: event; it may be not set
 *
 * Return: 0, or a negative error, without a text: -EINVAL if @event is NULL,
 *         -ESTALE if it was destroyed.
 * Context: never waits, no system call; async-signal-safe.
 * Crash: killed inside, it is cleared or as it was.
 */
MPROC_API int mproc_event_clear(mproc_event *event);

/**
 * mproc_event_is_set() - is it set?
 * @event: event
 *
 * If it is, what whoever set it did before that is there.
 *
 * Return: 1 if it is set, 0 if not, or a negative error, without a text:
 *         -EINVAL if @event is NULL, -ESTALE if it was destroyed.
 * Context: never waits, no system call; async-signal-safe.
 */
MPROC_API int mproc_event_is_set(const mproc_event *event);

/**
 * mproc_event_wait() - wait until an event is set
 * @event:   event
 * @timeout: how long
 *
 * Return: 0: it is set, or was set since the call began. Or a negative error:
 *   -EAGAIN     it is not set, and @timeout is MPROC_NOWAIT
 *   -ETIMEDOUT  it was not set in that time
 *   -EINTR      mproc_interrupt()
 *   -EINVAL     @event is NULL
 *   -ESTALE     it was destroyed
 *   -ESHUTDOWN  it was destroyed while we waited
 *   and, if it is to wait, those of mproc_arena_default() and of "First use" in
 *   core.h.
 * Context: if it is set, one load and no system call.
 * Crash: killed inside, nothing is left of the wait.
 */
MPROC_API MPROC_NODISCARD int
mproc_event_wait(mproc_event *event, mproc_timeout timeout);

/* mproc_once: something that is done once, by one of those who need it. */

/**
 * struct mproc_once - a once; opaque, 16 bytes, zero bytes are one not done
 */
typedef struct mproc_once {
	uint64_t mproc_opaque[2];
} mproc_once;

/**
 * mproc_once_create() - make a once in the default arena, not done
 * @ret_once: receives it; the pointer is valid in every process of the family
 *
 * Return: 0, or a negative error as mproc_lock_create().
 * Context: does not wait; calls the kernel when the heap grows.
 * Crash: killed inside, the once does not exist.
 */
MPROC_API MPROC_NODISCARD int mproc_once_create(mproc_once **ret_once);

/**
 * mproc_once_destroy() - end a once of mproc_once_create()
 * @once: once, or NULL. What was not created is refused, with a line in the log
 *
 * Context: does not wait.
 * Crash: killed inside, it is destroyed, or as it was.
 */
MPROC_API void mproc_once_destroy(mproc_once *once);

/**
 * mproc_once_run() - have something done, unless it is done already
 * @once: once
 * @fn:   does it; returns 0 or more if it is done then, or a negative error
 * @arg:  passed to @fn
 *
 * One caller runs @fn, others wait for it. When it succeeds, all of them return
 * 0, and nobody runs it again; what it did before is there for them. When it
 * fails, its caller returns its error, and the next one, of those who wait if
 * there are some, runs its own @fn. If the thread that runs it ends or is
 * killed in it, the next one runs it too, so @fn has to cope with what a former
 * one has done by half; who waits learns of that as of the death of a lock's
 * holder.
 *
 * Who leaves @fn by longjmp() still runs it. In memory outside the arena each
 * process has its own, also if it was forked in the middle.
 *
 * Return: 0 if it is done, or a negative error:
 *   -EINTR      mproc_interrupt(), while another one ran it
 *   -EDEADLK    called by @fn itself
 *   -EINVAL     @once or @fn is NULL
 *   -ECHILD     @fn has forked, and this is the child: its parent runs it
 *   -ESTALE     it was destroyed, perhaps while @fn ran
 *   -ESHUTDOWN  it was destroyed while we waited
 *   what @fn returns;
 *   and, if it is not done, those of mproc_arena_default() and of "First use"
 *   in core.h.
 * Context: if it is done, one load and no system call.
 * Crash: killed inside, it is done, or the next one runs it.
 */
MPROC_API int mproc_once_run(mproc_once *once, int (*fn)(void *arg), void *arg);

/*
 * mproc_barrier: lets a fixed number of threads, its parties, go on when all of
 * them have come, phase after phase.
 *
 * A thread becomes a party by mproc_barrier_enroll() or when it first waits, and
 * remains one until it ends, or the barrier is initialised again or destroyed.
 * When a party ends, in whatever way, the barrier is broken: those who wait learn
 * of it as of the death of a holder, and the text says whose. It is broken also
 * when one of those who wait gives up, and by mproc_barrier_abort(); then nobody
 * waits until mproc_barrier_reset(). If all parties have ended, it is as new for
 * the next ones.
 */

/**
 * struct mproc_barrier - a barrier; opaque, 32 bytes
 */
typedef struct mproc_barrier {
	uint64_t mproc_opaque[4];
} mproc_barrier;

/**
 * mproc_barrier_init() - say how many parties a barrier has
 * @barrier: zero bytes, or a barrier, whose parties are none any more and which
 *           nobody else uses now, but those who wait: they get -ENOTRECOVERABLE
 * @parties: 1 to 1024
 *
 * Return: 0, or a negative error:
 *   -EINVAL  @barrier is NULL, or @parties is out of range
 *   -ESTALE  it was destroyed
 *   and those of mproc_arena_default().
 * Context: does not wait; looks at each participant.
 * Crash: killed inside, it is as before, or initialised.
 */
MPROC_API MPROC_NODISCARD int mproc_barrier_init(mproc_barrier *barrier,
						 unsigned parties);

/**
 * mproc_barrier_create() - make a barrier in the default arena
 * @ret_barrier: receives it; the pointer is valid in every process of the family
 * @parties:     1 to 1024
 *
 * Return: as mproc_lock_create(); -EINVAL also if @parties is out of range.
 * Context: does not wait; calls the kernel when the heap grows.
 * Crash: killed inside, the barrier does not exist.
 */
MPROC_API MPROC_NODISCARD int
mproc_barrier_create(mproc_barrier **ret_barrier, unsigned parties);

/**
 * mproc_barrier_destroy() - end a barrier
 * @barrier: barrier of mproc_barrier_create() or mproc_barrier_init(), or NULL
 *
 * An embedded one is as if it had not been initialised.
 *
 * Context: does not wait; looks at each participant.
 * Crash: killed inside, it is destroyed, broken, or as it was.
 */
MPROC_API void mproc_barrier_destroy(mproc_barrier *barrier);

/**
 * mproc_barrier_enroll() - become a party without waiting
 * @barrier: barrier
 *
 * From now on the end of the calling thread breaks the barrier. Nothing happens
 * if it is a party already.
 *
 * Return: 0, or a negative error:
 *   -EPERM    all parties are others
 *   -ENOLCK   the calling thread is a party of 16 others, or reads locks
 *   -ENOTRECOVERABLE  it is broken; the text says by whose end, if that is known.
 *             The caller may be a party all the same
 *   -EINVAL   @barrier is NULL or was not initialised
 *   -ESTALE   it was destroyed
 *   and those of mproc_arena_default() and of "First use" in core.h.
 * Context: does not wait; looks at each participant.
 * Crash: killed inside, the caller is a party that has ended, or none.
 */
MPROC_API int mproc_barrier_enroll(mproc_barrier *barrier);

/**
 * mproc_barrier_wait() - wait until all parties do
 * @barrier: barrier
 * @timeout: how long. When it is over, the barrier is broken for all
 *
 * The calling thread becomes a party if it is none. What one of them is to do when
 * all have come, and before any of them goes on (the action of Python's barriers), the
 * one that gets 0 does; then all wait once more.
 *
 * Return: 0 to parties - 1, each once in a phase, in the order in which they
 *         came: the phase is complete. It is so also when a party ends after
 *         that. Or a negative error:
 *   -ENOTRECOVERABLE  it is or was broken; the text says by whose end, if that is
 *              known
 *   -EAGAIN    others are missing, and @timeout is MPROC_NOWAIT. The caller does
 *              not wait, nothing is broken, but it is a party
 *   -ETIMEDOUT others were missing all the time
 *   -EINTR     mproc_interrupt(), which breaks it as well
 *   -ESHUTDOWN it was destroyed while we waited
 *   and those of mproc_barrier_enroll().
 * Context: looks at each participant.
 * Crash: killed inside, the phase is complete or not; if not, and the caller was a
 *        party already, the barrier is broken.
 */
MPROC_API MPROC_NODISCARD int
mproc_barrier_wait(mproc_barrier *barrier, mproc_timeout timeout);

/**
 * mproc_barrier_abort() - break a barrier
 * @barrier: barrier
 *
 * Those who wait get -ENOTRECOVERABLE, and so does who comes later.
 *
 * Return: 0, also if it is broken already; -EINVAL, -ESTALE as above; those of
 *         mproc_arena_default().
 * Context: does not wait.
 * Crash: killed inside, it is broken or not; those who wait know it.
 */
MPROC_API int mproc_barrier_abort(mproc_barrier *barrier);

/**
 * mproc_barrier_reset() - make a barrier usable again
 * @barrier: barrier, broken or not
 *
 * Those who wait get -ENOTRECOVERABLE. Parties that live remain parties; in the
 * places of the others new ones may enroll.
 *
 * Return: as mproc_barrier_abort().
 * Context: does not wait; looks at each participant.
 * Crash: killed inside, it is as it was, or reset.
 */
MPROC_API int mproc_barrier_reset(mproc_barrier *barrier);

/**
 * mproc_barrier_waiting() - how many wait
 * @barrier: barrier
 *
 * Return: so many, 0 if it is broken; or an error as of mproc_barrier_abort().
 * Context: does not wait.
 */
MPROC_API int mproc_barrier_waiting(const mproc_barrier *barrier);

/**
 * mproc_barrier_broken() - would one who waits now get -ENOTRECOVERABLE?
 * @barrier: barrier
 *
 * Return: also true if it cannot be used for another reason.
 * Context: does not wait; looks at each participant.
 */
MPROC_API bool mproc_barrier_broken(const mproc_barrier *barrier);

MPROC_END_DECLS

#endif
