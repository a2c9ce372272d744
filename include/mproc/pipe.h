/* SPDX-License-Identifier: MIT */
/*
 * pipe.h - connections: messages between two sides.
 *
 * A pipe has two ends, connections, and what is sent at one end is received at
 * the other: whole messages of any length, none included, in the order in which
 * each thread has sent them. Messages never mix: any number of threads and
 * processes may send at one end, and each message arrives as it was sent; any
 * number may receive, and each message goes to one of them.
 *
 * A pipe lies in the default arena, and the pointers to its ends are valid in
 * every process of the family. Messages are carried as those of a queue are
 * (queue.h): while both sides are busy no call enters the kernel.
 *
 * Who holds an end. Processes hold ends, and only a process that holds one can
 * use it. The creator holds both. A child that mproc_process_start() starts holds
 * those in .conns, and the caller does not hold these any more from then on; or,
 * if it is forked and none is named (.n_conns is 0), it holds all that the caller
 * does, as after fork(2). A child that a program forks by itself holds none.
 * mproc_conn_close() ends the hold of the process, and so does its end, however it
 * ends; a process that executes another program holds what it has not closed until
 * that ends. Processes of one pipe are in one PID namespace. A start that fails
 * changes nothing.
 *
 * End of file. At one end the other one is gone when no process but the caller
 * holds it: those that did have closed it, or have ended. A copy that the caller
 * itself has never closed does not count, so a parent learns of its child's end
 * without having closed anything. Nor is it gone as long as no other process has
 * ever held it and the caller still does: the threads of one process can use both
 * ends. Then mproc_conn_recv() gives what is left, and after the last message
 * -EPIPE; mproc_conn_send() gives -EPIPE at once. A process that holds an end
 * without using it, a sibling for instance, keeps it from being gone: name what
 * each child is to hold. A process that waits for its children as it ends has to
 * close first what they wait for.
 *
 * Who ends in order, by a return from its entry or by exit(), says so itself. A
 * death is noticed at once where the parent waits in libmproc for the one who has
 * died, and otherwise within about 50 ms by any process of the family that
 * sleeps in libmproc; who only looks, with MPROC_NOWAIT, calls
 * mproc_arena_recover() at times.
 *
 * The memory of a pipe is given back when nobody holds either end any more. An
 * address of an end that this process does not hold is good for nothing: calls
 * give -ESTALE; but once the process has made further pipes it may be an end of
 * one of them.
 */
#ifndef MPROC_PIPE_H
#define MPROC_PIPE_H

#include <mproc/core.h>
#include <sys/uio.h>

MPROC_BEGIN_DECLS

typedef struct mproc_conn mproc_conn;

/**
 * struct mproc_pipe_opts - how to make a pipe
 * @struct_size: filled in by MPROC_OPTS
 * @one_way:     the first end only receives, and the second one only sends
 */
struct mproc_pipe_opts {
	size_t struct_size;
	bool one_way;
};

/**
 * mproc_pipe() - make a pipe
 * @ret_a: receives one end; with .one_way the one that receives
 * @ret_b: receives the other one; with .one_way the one that sends
 * @opts:  options, or NULL
 *
 * Return: 0, or a negative error:
 *   -EINVAL   @ret_a or @ret_b is NULL, or @opts->struct_size makes no sense
 *   -E2BIG    @opts has fields that this library does not know
 *   -EAGAIN   1024 threads of the family use libmproc already
 *   -ENOMEM, -ENOSPC  no memory
 *   -EBADMSG  the arena's list of pipes or of queues is corrupt
 *   and what mproc_arena_configure_default() gives where there is no arena yet
 * Context: does not block.
 * Crash: killed inside, there is a pipe whose only holder is dead, or none.
 */
MPROC_API MPROC_NODISCARD int
mproc_pipe(mproc_conn **ret_a, mproc_conn **ret_b,
	   const struct mproc_pipe_opts *opts);

/**
 * mproc_conn_send() - send a message
 * @c:       connection
 * @buf:     the message; may be NULL if @len is 0
 * @len:     its length
 * @timeout: how long to wait for room
 *
 * Returns when the message is on its way: it arrives even if the caller closes
 * the connection or ends then. Room is there for 64 KiB of each thread that
 * sends, or for four messages of any length.
 *
 * Return: 0, or a negative error, and nothing was sent:
 *   -EPIPE      the other end is gone
 *   -EAGAIN     there is no room and @timeout is MPROC_NOWAIT; or 1024 threads of
 *               the family use libmproc already
 *   -ETIMEDOUT  there was none until then
 *   -EINTR      mproc_interrupt() was called while it waited
 *   -EPERM      this end only receives
 *   -EMSGSIZE   the message is longer than the arena
 *   -ESTALE     this process does not hold the end: it has closed it, or given it
 *               to a child, or has been forked by who holds it
 *   -EINVAL     @c is NULL or no connection, or @buf is NULL
 *   -EFAULT     @c does not lie in shared memory
 *   -ENOMEM, -ENOSPC  no memory
 *   -EBADMSG    the connection's memory is corrupt
 * Context: may block until @timeout. Thread-safe; not for signal handlers.
 * Crash: the message was sent, whole, or it was not.
 */
MPROC_API MPROC_NODISCARD int
mproc_conn_send(mproc_conn *c, const void *buf, size_t len,
		mproc_timeout timeout);

/**
 * mproc_conn_sendv() - send a message that lies in several parts
 * @c:       connection
 * @parts:   where they are; may be NULL if @n is 0
 * @n:       how many parts there are
 * @timeout: how long to wait for room
 *
 * The parts arrive as one message.
 *
 * Return: as mproc_conn_send(); -EINVAL also if @n is negative, or a part that is
 * not empty is at NULL.
 * Context: as mproc_conn_send().
 */
MPROC_API MPROC_NODISCARD int
mproc_conn_sendv(mproc_conn *c, const struct iovec *parts, int n,
		 mproc_timeout timeout);

/**
 * mproc_conn_recv() - receive the next message
 * @c:       connection
 * @buf:     where it is to be copied; may be NULL if @size is 0
 * @size:    how much room there is
 * @ret_len: receives its length, also with -EMSGSIZE; or NULL
 * @timeout: how long to wait for a message
 *
 * Return: 0, or a negative error, and nothing was received:
 *   -EPIPE      the other end is gone, and all that was sent has been received
 *   -EMSGSIZE   the message is longer than @size; it is still there, and
 *               *@ret_len is its length
 *   -EAGAIN     there is none and @timeout is MPROC_NOWAIT; or 1024 threads of
 *               the family use libmproc already
 *   -ETIMEDOUT  there was none until then
 *   -EINTR      mproc_interrupt() was called while it waited
 *   -EPERM      this end only sends
 *   -ESTALE, -EINVAL, -EFAULT, -ENOMEM, -ENOSPC, -EBADMSG  as mproc_conn_send()
 * Context: may block until @timeout. Thread-safe; not for signal handlers.
 * Crash: the message is still there, or is gone with the one who had it: at most
 *        this one.
 */
MPROC_API MPROC_NODISCARD int
mproc_conn_recv(mproc_conn *c, void *buf, size_t size, size_t *ret_len,
		mproc_timeout timeout);

/**
 * mproc_conn_poll() - wait until there is something to receive
 * @c:       connection
 * @timeout: how long
 *
 * Nothing is received: a message stays for mproc_conn_recv(), of this thread or
 * of another that is faster.
 *
 * Return: 0 if there is a message, or the other end is gone, which is what
 * mproc_conn_recv() would say; or a negative error: -EAGAIN, -ETIMEDOUT, -EINTR,
 * -EPERM, -ESTALE, -EINVAL, -EFAULT, -ENOMEM, -ENOSPC, -EBADMSG as that one.
 * Context: may block until @timeout.
 * Crash: nothing has happened.
 */
MPROC_API MPROC_NODISCARD int
mproc_conn_poll(mproc_conn *c, mproc_timeout timeout);

/**
 * mproc_conn_fd() - a descriptor to poll for messages
 * @c: connection
 *
 * Readable (POLLIN, EPOLLIN) when mproc_conn_recv() may have something to say: a
 * message, or the end of file. All that mproc_queue_fd() says of its descriptor
 * is true of this one, which belongs to this process and connection, and is closed
 * by mproc_conn_close(): so whoever polls receives with MPROC_NOWAIT until
 * -EAGAIN.
 *
 * Return: the descriptor, above 2 and close-on-exec, or a negative error: those of
 * mproc_queue_fd(), and -EPERM and -ESTALE as mproc_conn_recv().
 * Context: as mproc_queue_fd().
 */
MPROC_API MPROC_NODISCARD int mproc_conn_fd(mproc_conn *c);

/**
 * mproc_conn_close() - do not use a connection any more
 * @c: connection, or NULL
 *
 * Ends the hold of this process on the end: in all of its threads. Those who are
 * in a call for it get -ESTALE. What was sent before is received on the other
 * side. An end that this process does not hold is left alone.
 *
 * Context: does not block; wakes those who wait for the pipe.
 * Crash: closed, or not; and closed by the death.
 */
MPROC_API void mproc_conn_close(mproc_conn *c);

MPROC_END_DECLS

#endif
