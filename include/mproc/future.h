/* SPDX-License-Identifier: MIT */
/*
 * future.h - what becomes of a task.
 *
 * A future is a shared object: its pointer is valid in every process of the family, and
 * any of them may wait for it. It belongs to the process that has submitted the task. How
 * tasks are submitted is in pool.h, which includes this.
 *
 * All functions are thread-safe, and none is for signal handlers. None is a
 * cancellation point.
 */
#ifndef MPROC_FUTURE_H
#define MPROC_FUTURE_H

#include <mproc/core.h>
#include <mproc/process.h>

MPROC_BEGIN_DECLS

typedef struct mproc_future mproc_future;

/**
 * enum mproc_pool_result - what get and apply return besides 0 and errors
 * @MPROC_TASK_FAILED: the call has succeeded, and the task has not
 */
enum mproc_pool_result {
	MPROC_TASK_FAILED = 1
};

/**
 * enum mproc_cancel_flags - for mproc_future_cancel()
 * @MPROC_CANCEL_RUNNING: also a task that runs, by killing its worker
 */
enum mproc_cancel_flags {
	MPROC_CANCEL_RUNNING = 1
};

/**
 * enum mproc_wait_mode - what mproc_future_wait_many() waits for
 * @MPROC_ANY:         one of them is done
 * @MPROC_ALL:         all are
 * @MPROC_FIRST_ERROR: all are, or one has failed
 */
enum mproc_wait_mode {
	MPROC_ANY = 1,
	MPROC_ALL = 2,
	MPROC_FIRST_ERROR = 3
};

/**
 * mproc_future_get() - wait for a task, and copy its result
 * @f:       future
 * @out:     where it goes; may be NULL if @size is 0
 * @size:    room in bytes
 * @ret_len: receives its length; may be NULL
 * @timeout: how long to wait
 *
 * May be called any number of times, by any process of the family. If the pool's
 * keeper is dead, this starts another, by the pool's .method: with MPROC_FORKSERVER by
 * the fork server of this process, which it starts as well if there is none, and which
 * may stay with a process that it has made ahead, as after mproc_process_start(). If the
 * pool was terminated, it does itself what a keeper would.
 *
 * Return: 0 when @out holds the result; MPROC_TASK_FAILED when the task has failed:
 * mproc_future_error() has the reason. Or a negative error of the call itself:
 *   -EAGAIN     it is not done, and @timeout is MPROC_NOWAIT
 *   -ETIMEDOUT  it is still not done
 *   -EINTR      mproc_interrupt() was called while it waited
 *   -EMSGSIZE   the result is longer than @size; *@ret_len is its length
 *   -ESHUTDOWN  the future was closed, or the pool freed, during the call
 *   -ESTALE     the future is closed, or the pool freed
 *   -EINVAL     @f is NULL, or @out with @size
 *   -EFAULT     @f is no shared memory
 *   -EBADMSG    the future's memory is corrupt
 *   -ENOEXEC    the keeper is dead, the pool's creator is not, and this process has another
 *               image than the pool; or, with another .method than MPROC_FORK, another
 *               program than its creator, or cannot start others so
 *   -EAGAIN, -ENOMEM, -ENOSPC, -EMFILE, -ENFILE, -ENOLCK  the keeper is dead, and
 *               there cannot be another; or this thread cannot take part in the arena
 *   others      as mproc_process_start(), where another keeper cannot be started
 * Context: may block until @timeout; if the keeper is dead, also while another one is
 *          started. In a task it may run the awaited task.
 * Crash: nothing is lost: the result stays until the future is closed.
 */
MPROC_API MPROC_NODISCARD int
mproc_future_get(mproc_future *f, void *out, size_t size, size_t *ret_len,
		 mproc_timeout timeout);

/**
 * mproc_future_wait() - wait until a task is done
 * @f:       future
 * @timeout: how long to wait
 *
 * Return: 0 when it is done, whether well or not; or a negative error, as
 *         mproc_future_get().
 * Context: may block until @timeout. In a task it may run the awaited task.
 * Crash: nothing is lost.
 */
MPROC_API MPROC_NODISCARD int
mproc_future_wait(mproc_future *f, mproc_timeout timeout);

/**
 * mproc_future_wait_many() - wait for several futures
 * @fs:      futures, of one pool or of several; those that are NULL are passed over
 * @n:       how many
 * @mode:    an enum mproc_wait_mode
 * @timeout: how long to wait
 *
 * To have them in the order in which they come to be done: wait for MPROC_ANY, take
 * those for which mproc_future_ready() is 1, put NULL in their places, and so on. Each call
 * looks at all of them; of thousands a waitset (wait.h) tells in the time that those take
 * which are done.
 *
 * Return: how many are done, whether well or not, and 0 if there is none to wait for;
 *         or a negative error, as mproc_future_wait(), with the error of any of them;
 *         -EINVAL also for @mode, @n, @fs; -ENOMEM also for more than 16.
 * Context: may block until @timeout. In a task it may run awaited tasks.
 * Crash: nothing is lost.
 */
MPROC_API MPROC_NODISCARD int
mproc_future_wait_many(mproc_future **fs, int n, int mode, mproc_timeout timeout);

/**
 * mproc_future_ready() - whether a task is done
 * @f: future
 *
 * Return: 1 if it is, 0 if not; -EINVAL, -EFAULT, -ESTALE as mproc_future_get().
 * Context: never blocks.
 * Crash: nothing has changed.
 */
MPROC_API int mproc_future_ready(mproc_future *f);

/**
 * mproc_future_fd() - a descriptor to poll for the end of a task
 * @f: future
 *
 * The descriptor is readable (POLLIN, EPOLLIN) when the task is done, or @f was closed
 * by another process or freed with its pool; at the latest one wake-up after that. It
 * can be readable for another reason: the pool's keeper is dead, and has to be replaced
 * by who waits; or in a task of the same pool, nobody has begun @f. It stays readable
 * until mproc_future_get() or mproc_future_wait() of this process has taken care of that
 * and says -EAGAIN or -ETIMEDOUT. So whoever polls calls one of these with MPROC_NOWAIT;
 * in a task of the same pool, which has a descriptor, that runs the awaited task if
 * nobody has begun it, whatever the timeout is. It is for polling only: not to be read,
 * written or closed.
 *
 * It belongs to this process and this future: each call returns the same one, also in
 * other threads. It is closed when this process calls mproc_future_close() for the
 * future, or mproc_pool_free() for its pool, and when the process ends or executes
 * another program. If another process has closed the future already, that call does
 * nothing but close the descriptor, whatever is at that address by then. Take it out of
 * an epoll set before. A child of this process has to ask for its own.
 *
 * Asking for a descriptor is asking for a thread, the one that mproc_queue_fd() starts
 * as well. Who completes a task does nothing more than for one who sleeps until it is
 * done. For many futures at once a waitset is one descriptor (mproc_waitset_fd()).
 *
 * Return: the descriptor, above 2 and close-on-exec, or a negative error:
 *   -EINVAL, -EFAULT, -ESTALE  as mproc_future_get()
 *   -EMFILE, -ENFILE  no descriptor is to be had
 *   -EAGAIN   no thread is to be had, from the system or from the 1024 threads
 *             that the family can have
 *   -ENOMEM, -ENOSPC  no memory
 *   -ENOSYS, -EPERM   the system has no eventfds, or forbids them
 * Context: may wait for the thread for as long as that takes to begin; calls the kernel.
 * Crash: killed inside, nothing is left.
 */
MPROC_API MPROC_NODISCARD int mproc_future_fd(mproc_future *f);

/**
 * mproc_done_fn - is told that a task is done
 * @f:   its future, which is not closed; this may close it
 * @ctx: as in mproc_future_on_done()
 */
typedef void mproc_done_fn(mproc_future *f, void *ctx);

/**
 * mproc_future_on_done() - have a function called once a task is done
 * @f:   future
 * @fn:  what is called
 * @ctx: for @fn, in this process's own memory
 *
 * It is called once, by this process, whether the task has done well or not: at once if
 * that is done; otherwise in a later call of mproc_pool_submit(), mproc_pool_apply(),
 * mproc_pool_join(), mproc_pool_free(), mproc_iter_next(), mproc_future_get(),
 * mproc_future_wait() or mproc_future_wait_many(), for whatever pool or future, by the
 * thread that calls it. Each of these looks at up to 64 futures that
 * have functions, before it does what it is for; those that have waited, successfully,
 * once more after that; in turn, in no other order. mproc_pool_free() has all functions
 * called whose tasks are done, before the pool is gone. A thread that sleeps in one of
 * these calls is not woken for it. mproc_future_wait_many() of no futures does nothing
 * else; with mproc_future_fd() or a waitset one knows when.
 *
 * If the future is closed before, by whatever process, the function is not called; nor
 * if this process ends, nor in a child of it.
 *
 * The function may do anything that the thread may do: submit, wait, close the future,
 * register another one. While it runs no other one is called in its thread, but by
 * mproc_pool_free(); also not by a task that runs there as the function waits for it.
 * It is called without a lock: what goes wrong in it touches nothing of the pool. It
 * must return, or end the thread, and not leave by longjmp(), or its thread calls no
 * others any more.
 *
 * In those of the calls that may block a thread also takes care of such futures as one
 * that waits for them: a dead keeper is replaced; and in a task of the same pool, one
 * that nobody has begun is run, whatever the timeout is.
 *
 * Return: 0, or a negative error, and it is not called:
 *   -EINVAL  @f or @fn is NULL
 *   -ENOMEM  no memory
 *   -EFAULT, -ESTALE  as mproc_future_get()
 * Context: does not block, but for @fn.
 * Crash: nothing is lost but what this process had.
 */
MPROC_API MPROC_NODISCARD int
mproc_future_on_done(mproc_future *f, mproc_done_fn *fn, void *ctx);

/**
 * struct mproc_task_error - why a task has failed
 * @error:  what it has returned; or -EOWNERDEAD: workers have died with it;
 *          -ETIMEDOUT: it was not done within .task_timeout; -ECANCELED: it was
 *          canceled; -ESHUTDOWN: the pool was terminated
 * @deaths: how many workers have died with it, which were not killed for its sake
 * @pid:    the process that had it last, or 0 if it was never begun
 * @worker: number of that worker
 * @name:   its name, or "" if it was never begun
 * @text:   what a task that has returned @error had set by mproc_result_set(), as far
 *          as it fits, and a 0; empty otherwise
 * @item:   of an iterator: the task's number. Of a map: the first item that has failed
 *          or was not done. @error is its error, unless the whole map was ended; @pid
 *          and @worker are those of the worker that has died last with an item, or 0
 * @items:  of a map: how many items have failed or were not done; 0 for a task
 */
struct mproc_task_error {
	int error;
	unsigned deaths;
	pid_t pid;
	int worker;
	char name[64];
	char text[256];
	size_t item;
	size_t items;
};

/**
 * mproc_future_error() - why a task has failed
 * @f:         future
 * @ret_error: filled in on success
 *
 * Return: 0, or a negative error:
 *   -EAGAIN   it is not done
 *   -ENODATA  it has not failed
 *   -EINVAL, -EFAULT, -ESTALE  as mproc_future_get(); @ret_error is NULL
 * Context: never blocks.
 * Crash: nothing has changed.
 */
MPROC_API int mproc_future_error(mproc_future *f,
				 struct mproc_task_error *ret_error);

/**
 * mproc_future_next_failed() - which items of a map have failed
 * @f:         future of a map
 * @item:      where to begin; on success, the first one from there on that has failed
 *             or was not done
 * @ret_error: receives what the function has returned for it; or -EOWNERDEAD: workers
 *             have died with it; -ETIMEDOUT: it was not done within .task_timeout;
 *             -ECANCELED: it was not done, because of .fail_fast or as the map was
 *             canceled; -ESHUTDOWN: the pool was terminated before; -ENOSPC: it has
 *             failed, and there was no memory for its error
 *
 * All of them: for (i = 0; mproc_future_next_failed(f, &i, &error) == 0; i++).
 *
 * Return: 0, or a negative error:
 *   -ENODATA  there is none from there on
 *   -EAGAIN   the map is not done
 *   -EINVAL   @f is no map's; or an argument is NULL
 *   -EFAULT, -ESTALE  as mproc_future_get()
 * Context: never blocks. Passes some 64 items at a time.
 * Crash: nothing has changed.
 */
MPROC_API int mproc_future_next_failed(mproc_future *f, size_t *item,
				       int *ret_error);

/**
 * mproc_future_progress() - how far a map is
 * @f:        future of a map
 * @ret_done: receives how many items are done, whether well or not; about, until the
 *            map is done. May be NULL
 * @ret_n:    receives how many there are; may be NULL
 *
 * Return: 0; -EINVAL if @f is NULL or no map's; -EFAULT, -ESTALE as
 *         mproc_future_get().
 * Context: never blocks.
 * Crash: nothing has changed.
 */
MPROC_API int mproc_future_progress(mproc_future *f, size_t *ret_done,
				    size_t *ret_n);

/**
 * mproc_future_exit_info() - how the worker ended that had a task
 * @f:        future
 * @ret_exit: filled in on success: .code, .signal, .core, .out_of_memory, .pid and
 *            .report, which is valid as long as @f is not closed; the rest is 0
 *
 * Return: 0, or a negative error:
 *   -EAGAIN   the task is not done
 *   -ENODATA  no worker has ended with it; or its keeper has as well, and nobody knows
 *             how
 *   -EINVAL, -EFAULT, -ESTALE  as mproc_future_get(); @ret_exit is NULL
 * Context: never blocks.
 * Crash: nothing has changed.
 */
MPROC_API int mproc_future_exit_info(mproc_future *f,
				     struct mproc_exit *ret_exit);

/**
 * mproc_future_cancel() - have a task not run
 * @f:     future
 * @flags: 0, or MPROC_CANCEL_RUNNING
 *
 * One that nobody has begun is done at once, with -ECANCELED. Of one that runs, with
 * MPROC_CANCEL_RUNNING, the worker is killed, by SIGKILL, and it is done when that is
 * dead; other tasks that this worker was in the middle of fail with it, which are those
 * that wait for this one. Of a map, all workers are killed that have a chunk of it.
 *
 * Return: 0, or a negative error:
 *   -EBUSY     it runs, and @flags is 0
 *   -EALREADY  it is done
 *   -EINVAL    there are other flags, or @f is NULL
 *   -EFAULT, -ESTALE, -EBADMSG  as mproc_future_get()
 * Context: does not block.
 * Crash: it is canceled or not; the worker of one that runs may then be killed a second
 *        later.
 */
MPROC_API int mproc_future_cancel(mproc_future *f, unsigned flags);

/**
 * mproc_future_close() - have no more use for a future
 * @f: future, or NULL
 *
 * Its task is run all the same. One that was closed before, or whose pool is freed, is
 * ignored as long as nothing else lies there: nobody else uses it any more.
 *
 * Context: does not block.
 * Crash: it is closed or not; what the caller has not closed is closed a second later,
 *        or with the pool if that is in another pid namespace.
 */
MPROC_API void mproc_future_close(mproc_future *f);

MPROC_END_DECLS

#endif
