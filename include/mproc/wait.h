/* SPDX-License-Identifier: MIT */
/*
 * Waiting for many things at once: queues, connections, listeners, processes,
 * events, futures, and descriptors of any kind.
 *
 *	struct mproc_waitable items[] = {
 *		{ .kind = MPROC_WAIT_QUEUE, .object = queue },
 *		{ .kind = MPROC_WAIT_PROCESS, .object = child },
 *		{ .kind = MPROC_WAIT_FD, .fd = 0, .events = POLLIN },
 *	};
 *	int n = mproc_wait(items, 3, MPROC_FOREVER);
 */
#ifndef MPROC_WAIT_H
#define MPROC_WAIT_H

#include <mproc/core.h>
#include <mproc/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum mproc_wait_kind - what can be waited for, and when it is ready
 * @MPROC_WAIT_QUEUE:    a mproc_queue: a get would not block
 * @MPROC_WAIT_CONN:     a mproc_conn, an end of a pipe or one over a socket: a recv
 *                       would not block, but over a socket perhaps for the rest of
 *                       a message that has begun to come
 * @MPROC_WAIT_LISTENER: a mproc_listener: an accept has something to do. With a key
 *                       that may be a part of a handshake: call it with
 *                       MPROC_NOWAIT
 * @MPROC_WAIT_PROCESS:  a mproc_process: a join would not block
 * @MPROC_WAIT_EVENT:    a mproc_event, wherever it lies: a wait would not block, or
 *                       it was set while this call slept
 * @MPROC_WAIT_FD:       a descriptor: as poll(2) has it
 * @MPROC_WAIT_FUTURE:   a mproc_future: its task is done. As mproc_future_wait() does,
 *                       the call starts a keeper where that was killed; and in a
 *                       worker of the same pool it runs a task that nobody has
 *                       begun, in mproc_wait() at once, unless something before it
 *                       is ready
 *
 * What would give an error at once is ready, too: a queue that is shut down and
 * empty, a connection whose other side has gone, whatever was destroyed, or closed
 * by another thread. So nobody waits for what can never come. And what a producer
 * has left that was killed in the middle of a message may be ready once, and is no
 * message.
 */
enum mproc_wait_kind {
	MPROC_WAIT_QUEUE = 1,
	MPROC_WAIT_CONN = 2,
	MPROC_WAIT_LISTENER = 3,
	MPROC_WAIT_PROCESS = 4,
	MPROC_WAIT_EVENT = 5,
	MPROC_WAIT_FD = 6,
	MPROC_WAIT_FUTURE = 7
};

/**
 * struct mproc_waitable - one of many things
 * @kind:       an enum mproc_wait_kind
 * @object:     the thing; not looked at for MPROC_WAIT_FD
 * @fd:         the descriptor for MPROC_WAIT_FD, not looked at otherwise
 * @events:     what to wait for at a descriptor, POLLIN, POLLOUT or others of
 *              poll(2); for objects POLLIN, or 0 which means the same
 * @ret_events: what there is: POLLIN for an object that is ready, what poll(2) says
 *              for a descriptor (also POLLHUP, POLLERR, or POLLNVAL for one that
 *              is not open), and 0 for what is not ready
 */
struct mproc_waitable {
	int kind;
	void *object;
	int fd;
	short events;
	short ret_events;
};

/**
 * mproc_wait() - wait until at least one of many things is ready
 * @items:   what to wait for; the same thing may be there more than once
 * @n:       how many; with 0 this waits for the time or an interrupt
 * @timeout: how long to wait
 *
 * All that are ready are told, in ret_events, however many. Nothing is taken, and
 * nothing is reserved: another consumer may be faster, so use MPROC_NOWAIT for what
 * is ready where there are others. A message that wakes this call wakes those too
 * who would have got it otherwise: no message lies in a queue while somebody waits
 * for it.
 *
 * If something is ready at once, and all are queues, ends of pipes, events, futures or
 * processes whose end was seen already, there is no system call. With others among
 * them there is one poll(2) which does not wait, so that nothing is starved by
 * queues that always have something; and each process whose descriptor the kernel
 * has not got is asked about.
 *
 * How it sleeps depends on what is there. For queues, ends of pipes, events and
 * futures alone that all lie in one arena the calling thread sleeps itself, as in a
 * get. An event outside of arenas counts as one of the default arena. For descriptors,
 * processes, listeners and connections over sockets alone it is one poll(2). For a mix
 * of both, or where things lie in several arenas, the process gets a thread for each of
 * these arenas, which watches what lies there (mproc_queue_fd()).
 *
 * Return: how many are ready, at least 1; or a negative error, and then all
 * ret_events are 0:
 *   -EAGAIN     none is ready and @timeout is MPROC_NOWAIT
 *   -ETIMEDOUT  none was ready until then
 *   -EINTR      mproc_interrupt() was called while it waited
 *   -EINVAL     @n is negative, @items is NULL, or one of them makes no sense: its
 *               kind, a NULL object, one of another kind, a negative descriptor, or
 *               events of an object. Which one is told by mproc_error_detail(), for
 *               this and the next five
 *   -EFAULT     a queue, a connection or a future is not in shared memory
 *   -EPERM      an end of a one-way pipe that does not receive
 *   -ECHILD     a process that was started by another process
 *   -EMFILE, -ENFILE  no descriptor: for a listener in a child; or for a mix
 *   -EBADMSG    a queue or a pipe is corrupt
 *   -EAGAIN, -ENOLCK, -ENOMEM, -ENOSPC  this thread cannot take part in an arena or
 *               a queue; or there is no memory
 *   -ENOSYS, -EPERM  there are no eventfds, which a mix and several arenas need
 *   -ENOEXEC    the keeper of a future's pool was killed, and this process has
 *               another image than the pool, as for mproc_future_get(); others as
 *               mproc_process_start(), where another keeper cannot be started
 * Context: may block until @timeout. Any number of threads and processes may wait
 *          for the same things. Not for signal handlers; goes on after those. Not a
 *          cancellation point. No object is destroyed, and no handle closed, by
 *          another thread of this process meanwhile, but queues, events and ends of
 *          pipes.
 * Crash: what it was woken for is passed on to others.
 */
MPROC_API MPROC_NODISCARD int
mproc_wait(struct mproc_waitable *items, int n, mproc_timeout timeout);

/**
 * typedef mproc_waitset - things to wait for, again and again
 *
 * mproc_wait() looks at each item in each call. A waitset keeps them: a wait costs
 * what is ready, not what is in the set, which may be ten thousand queues. It is
 * private to the process that made it; a forked child can only close it.
 *
 * For queues, ends of pipes, events and futures the process gets a thread that watches
 * them (mproc_queue_fd()), one for each arena that they lie in. What is in a set keeps
 * its arena mapped, and is told of, after mproc_arena_close() too. Descriptors,
 * connections over sockets, listeners and processes are waited for by the kernel, in
 * the set's own descriptor.
 */
typedef struct mproc_waitset mproc_waitset;

/**
 * mproc_waitset_create() - make an empty set
 * @ret_w: receives it, or NULL
 *
 * Return: 0, or -EINVAL for a NULL pointer, -ENOMEM, -EMFILE, -ENFILE.
 * Context: never blocks. Threads: any. Not for signal handlers.
 * Crash: it goes with its process.
 */
MPROC_API MPROC_NODISCARD int
mproc_waitset_create(mproc_waitset **ret_w);

/**
 * mproc_waitset_add() - wait for one thing more
 * @w:    the set
 * @item: what for; copied. @ret_events does not matter
 *
 * Others may wait meanwhile, and are woken if it is ready. It stays in the set until
 * it is removed, also if it is destroyed: then it is ready for ever; but a future that
 * was closed leaves the set when another one at its address is added. What belongs to
 * this process (processes, listeners, connections over sockets, descriptors) is
 * removed before it is closed.
 *
 * Return: 0, or
 *   -EINVAL   a NULL pointer, or the item makes no sense: see mproc_wait()
 *   -ECHILD   the set, or the item's process, is another process's
 *   -EEXIST   the same thing is in the set already, or another one with the same
 *             descriptor
 *   -ESTALE, -EFAULT, -EPERM  the object is destroyed or closed, not in shared
 *             memory, or an end of a pipe that does not receive
 *   -EBADF    the descriptor is not open
 *   -EPERM    a descriptor of a kind that is always ready, as a file's
 *   -EMFILE, -ENFILE, -ENOMEM, -ENOSPC, -EAGAIN, -ENOLCK, -EBADMSG, -ENOSYS
 *             it cannot be watched
 * Context: never blocks for longer than other threads' calls for the set take.
 *          Threads: any. Not for signal handlers. Not a cancellation point.
 */
MPROC_API MPROC_NODISCARD int
mproc_waitset_add(mproc_waitset *w, const struct mproc_waitable *item);

/**
 * mproc_waitset_remove() - wait for it no more
 * @w:    the set
 * @item: what was added: the kind, and the object or the descriptor
 *
 * Who waits in another thread is not told of it from now on.
 *
 * Return: 0, or -EINVAL, -ECHILD as above, or -ENOENT if it is not in the set.
 * Context: as mproc_waitset_add().
 */
MPROC_API int
mproc_waitset_remove(mproc_waitset *w, const struct mproc_waitable *item);

/**
 * mproc_waitset_wait() - wait until at least one of the set is ready
 * @w:       the set
 * @items:   receives those that are ready, as they were added, with ret_events as
 *           mproc_wait() tells them
 * @n:       how many there is room for, at least 1
 * @timeout: how long to wait
 *
 * If more than @n are ready, the next call begins with the others: what was told goes
 * behind them. What is ready stays so, and is told again, until it is used; but an
 * event that was set and cleared again between two calls, or while this one slept,
 * is told once. A set without items waits for the time, an interrupt, or an item that
 * another thread adds.
 *
 * What happens in shared memory is told by the watching thread, a moment later: with
 * MPROC_NOWAIT what has come just before may be missed. An item that is ready when it
 * is added is told in the same way.
 *
 * The kernel is asked in each call, once for 64 that are ready. Processes are looked
 * at in each call, and every few milliseconds while it sleeps, where the kernel has
 * no descriptors for them.
 *
 * Return: how many are ready, at least 1; or
 *   -EINVAL     @n is less than 1, or a NULL pointer
 *   -ECHILD     the set is another process's
 *   -EAGAIN     none is ready and @timeout is MPROC_NOWAIT
 *   -ETIMEDOUT  none was ready until then
 *   -EINTR      mproc_interrupt() was called while it waited
 *   -EBADF      the program has closed the set's descriptor
 *   -EAGAIN, -ENOLCK, -ENOMEM, -ENOSPC, -EBADMSG  none is ready, and one of them
 *               cannot be watched any more; it is tried again by the next call
 * Context: may block until @timeout. Any number of threads may wait for the same set,
 *          and all of them may be told of the same thing. Not for signal handlers;
 *          goes on after those. Not a cancellation point.
 * Crash: what it was woken for is passed on to others.
 */
MPROC_API MPROC_NODISCARD int
mproc_waitset_wait(mproc_waitset *w, struct mproc_waitable *items, int n,
		   mproc_timeout timeout);

/**
 * mproc_waitset_fd() - the set's descriptor, for an event loop
 * @w: the set
 *
 * It is readable while something of the set may be ready: then call
 * mproc_waitset_wait() with MPROC_NOWAIT. It stays readable until such a call has
 * found nothing. It is the set's, not to be read, written to, or closed. Where the
 * kernel has no descriptors for processes, it says nothing of those.
 *
 * Return: the descriptor, or -EINVAL, -ECHILD.
 * Context: never blocks. Threads: any. Not for signal handlers.
 */
MPROC_API MPROC_NODISCARD int
mproc_waitset_fd(mproc_waitset *w);

/**
 * mproc_waitset_close() - end a set
 * @w: the set, or NULL, which does nothing
 *
 * Nothing becomes of the things in it. No other thread is in a call for it.
 *
 * Context: never blocks. Not for signal handlers. Not a cancellation point.
 */
MPROC_API void
mproc_waitset_close(mproc_waitset *w);

#ifdef __cplusplus
}
#endif

#endif
