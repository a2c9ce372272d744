/* SPDX-License-Identifier: MIT */
/*
 * Waiting for many things at once: queues, connections, listeners, processes,
 * events, and descriptors of any kind.
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
	MPROC_WAIT_FD = 6
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
 * If something is ready at once, and all are queues, ends of pipes, events or
 * processes whose end was seen already, there is no system call. With others among
 * them there is one poll(2) which does not wait, so that nothing is starved by
 * queues that always have something; and each process whose descriptor the kernel
 * has not got is asked about.
 *
 * How it sleeps depends on what is there. For queues, ends of pipes and events alone
 * the calling thread sleeps itself, as in a get; they all lie in one arena, the
 * default one or one with a name. An event outside of arenas counts as one of the
 * default arena. For descriptors, processes, listeners and connections over sockets
 * alone it is one poll(2). For a mix the process gets a thread that watches the
 * former (mproc_queue_fd()), which must lie in the default arena.
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
 *   -EFAULT     a queue or a connection is not in shared memory
 *   -EPERM      an end of a one-way pipe that does not receive
 *   -ECHILD     a process that was started by another process
 *   -EMFILE, -ENFILE  no descriptor: for a listener in a child; or for a mix
 *   -EBADMSG    a queue or a pipe is corrupt
 *   -ENOTSUP    to sleep for these they would have to be in one arena, or in the
 *               default one: see above
 *   -EAGAIN, -ENOLCK, -ENOMEM, -ENOSPC  this thread cannot take part in an arena or
 *               a queue; or there is no memory
 *   -ENOSYS, -EPERM  there are no eventfds, which a mix needs
 * Context: may block until @timeout. Any number of threads and processes may wait
 *          for the same things. Not for signal handlers; goes on after those. Not a
 *          cancellation point. No object is destroyed, and no handle closed, by
 *          another thread of this process meanwhile, but queues, events and ends of
 *          pipes.
 * Crash: what it was woken for is passed on to others.
 */
MPROC_API MPROC_NODISCARD int
mproc_wait(struct mproc_waitable *items, int n, mproc_timeout timeout);

#ifdef __cplusplus
}
#endif

#endif
