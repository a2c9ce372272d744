/* SPDX-License-Identifier: MIT */
/*
 * supervisor.h - processes that are started again when they end. What is said in
 * process.h holds for each of them.
 */
#ifndef MPROC_SUPERVISOR_H
#define MPROC_SUPERVISOR_H

#include <mproc/process.h>

MPROC_BEGIN_DECLS

typedef struct mproc_supervisor mproc_supervisor;

/**
 * enum mproc_strategy - who is restarted when a child has to be
 * @MPROC_ONE_FOR_ONE:  that child alone, the default
 * @MPROC_ONE_FOR_ALL:  all children: the others are stopped first
 * @MPROC_REST_FOR_ONE: that child and those that were added after it
 *
 * Children are stopped in the reverse of the order in which they were added,
 * each before the next one is asked, and started in that order. Those that had
 * ended by themselves are started again with the others, but for
 * MPROC_RESTART_NEVER.
 */
enum mproc_strategy {
	MPROC_ONE_FOR_ONE = 1,
	MPROC_ONE_FOR_ALL = 2,
	MPROC_REST_FOR_ONE = 3,
};

/**
 * enum mproc_restart - which end of a child makes it be restarted
 * @MPROC_RESTART_ALWAYS:     any, the default
 * @MPROC_RESTART_ON_FAILURE: any but exit code 0
 * @MPROC_RESTART_NEVER:      none; nor is it restarted because of another one
 */
enum mproc_restart {
	MPROC_RESTART_ALWAYS = 1,
	MPROC_RESTART_ON_FAILURE = 2,
	MPROC_RESTART_NEVER = 3,
};

enum {
	MPROC_SUPERVISOR_GAVE_UP = 1, /* all children are stopped */
};

/**
 * struct mproc_supervisor_opts - how to supervise
 * @struct_size:  filled in by MPROC_OPTS
 * @strategy:     an enum mproc_strategy; 0: MPROC_ONE_FOR_ONE
 * @max_restarts: how many restarts there may be within @period, up to a
 *                million; 0: one; -1: none. One of several children at once
 *                counts once.
 * @period:       a time that slides along; 0: five seconds
 * @backoff:      how long to wait before a child's first restart; twice as long
 *                before the next one, and so on, until it has run for @period.
 *                0: not at all
 * @backoff_max:  but no longer than this; 0: a minute
 */
struct mproc_supervisor_opts {
	size_t struct_size;
	int strategy;
	int max_restarts;
	mproc_timeout period;
	mproc_timeout backoff;
	mproc_timeout backoff_max;
};

/**
 * mproc_supervisor_create() - make something that restarts processes
 * @ret_s: receives the handle
 * @opts:  options, or NULL
 *
 * It works as supervisors do in Erlang/OTP, but in mproc_supervisor_run() only,
 * not behind the caller's back. The handle is process-local. One thread at a
 * time may use it, but for mproc_supervisor_stop().
 *
 * Return: 0, or a negative error:
 *   -EINVAL  @ret_s is NULL, or an option makes no sense, or
 *            @opts->struct_size
 *   -E2BIG   @opts has fields that this library does not know
 *   -EMFILE, -ENFILE  no descriptor
 *   -ENOMEM  no memory
 * Context: does not block.
 */
MPROC_API MPROC_NODISCARD int
mproc_supervisor_create(mproc_supervisor **ret_s,
			const struct mproc_supervisor_opts *opts);

/**
 * struct mproc_child_opts - a child of a supervisor
 * @struct_size: filled in by MPROC_OPTS
 * @process:     how to start it, or NULL. It is copied, and so are its .name
 *               (NULL means "child-0" for the first, and so on) and, with
 *               .arg_size, the argument; what else it points to must be there
 *               as long as the supervisor. Ends of pipes in its .conns are each
 *               process's that is started for the child, one after the other, and
 *               this process goes on to hold them: see below.
 * @restart:     an enum mproc_restart; 0: MPROC_RESTART_ALWAYS
 * @grace:       how long it has, when it is stopped, between SIGTERM and
 *               SIGKILL; 0 means five seconds
 */
struct mproc_child_opts {
	size_t struct_size;
	const struct mproc_process_opts *process;
	int restart;
	mproc_timeout grace;
};

/**
 * mproc_supervisor_add() - add a child
 * @s:    supervisor
 * @fn:   its entry
 * @arg:  its argument, as for mproc_process_start(). Each process that is
 *        started for it gets the same pointer, or with .arg_size a copy of the
 *        bytes as they were at this call.
 * @opts: options, or NULL
 *
 * The next mproc_supervisor_run() starts it, as a process under the same exit
 * rules as any other.
 *
 * Whoever is at the other end of what is in .conns does not notice when the child is
 * started again, but that a message is lost which one that was killed had taken: there
 * is no end of file, as this process holds the end, too, and what is sent meanwhile
 * waits for the next one. It closes its own when the child will not be started again:
 * it, or with MPROC_ONE_FOR_ALL and MPROC_REST_FOR_ONE the supervisor, is over; at the
 * latest in mproc_supervisor_close(). An end that is a socket (.sockets) cannot be given
 * in that way: a message may be torn when its sender is killed.
 *
 * Return: its number, 0 for the first child, or a negative error:
 *   -EINVAL     @s or @fn is NULL, or @arg with .arg_size, or an option or a
 *               struct_size makes no sense, or one of .conns is a socket
 *   -EFAULT, -ESTALE  one of .conns is no end of a pipe, or not this process's
 *   -E2BIG      options that this library does not know
 *   -EBUSY      another thread is in mproc_supervisor_run()
 *   -ESHUTDOWN  it was stopped, or has given up
 *   -ENOMEM     no memory
 *   -ECHILD     the handle belongs to another process
 * Context: does not block.
 */
MPROC_API int mproc_supervisor_add(mproc_supervisor *s, mproc_entry *fn,
				   void *arg,
				   const struct mproc_child_opts *opts);

/**
 * mproc_supervisor_run() - start the children, and restart them
 * @s:       supervisor
 * @timeout: how long
 *
 * Starts the children that were added, in that order; then restarts those that
 * end, as its strategy and their options say. Where there would be too many
 * restarts, or one of the first starts fails, it gives up: it stops all
 * children, the last one first. A restart that fails is tried again, and
 * counts. Handles that mproc_children() has given of children are void when
 * they have ended.
 *
 * When it comes back before all is over, the children run on, and nobody looks
 * after them, until it is called again: it goes on where it left off.
 *
 * Return: 0 when all children have ended and none is to be restarted, or when
 *         they were stopped because of mproc_supervisor_stop();
 *         MPROC_SUPERVISOR_GAVE_UP when it gave up, and all children are
 *         stopped: mproc_error_detail() says because of whom. Or a negative
 *         error:
 *   -EAGAIN     there is more to do, and @timeout is MPROC_NOWAIT
 *   -ETIMEDOUT  it is not over yet
 *   -EINTR      mproc_interrupt() was called. Children that had ended by then, as of
 *               Ctrl-C, which they get as well, are restarted by the next call.
 *   -EBUSY      another thread is in here
 *   -ESHUTDOWN  it was stopped, or has given up, before
 *   -ECHILD     the handle belongs to another process
 *   -EINVAL     @s is NULL
 * Context: may block until @timeout; forks. A child that has taken another
 *          user's identity cannot be stopped; it is waited for. While this
 *          process is ending no child is restarted.
 * Crash: all children end with the caller.
 */
MPROC_API int mproc_supervisor_run(mproc_supervisor *s, mproc_timeout timeout);

/**
 * mproc_supervisor_stop() - have all children stopped
 * @s: supervisor
 *
 * mproc_supervisor_run(), in whatever thread, or the next call of it, asks the
 * last child to end, kills it if it still runs after its grace, then goes on
 * with the one before, and returns 0 when all have ended. There is no way back.
 *
 * Return: 0, or a negative error: -ECHILD, -EINVAL.
 * Context: any thread; async-signal-safe; does not block. Not when
 *          mproc_supervisor_close() may have been called.
 */
MPROC_API int mproc_supervisor_stop(mproc_supervisor *s);

/**
 * mproc_supervisor_close() - free a handle
 * @s: supervisor that no thread runs, or NULL
 *
 * Children that still run go on, under the exit rules, as after
 * mproc_process_close(); nobody restarts them, nor kills those that were asked
 * to end. In another process than its own, only that process's copy of the
 * handle is freed.
 *
 * Context: as mproc_process_close().
 */
MPROC_API void mproc_supervisor_close(mproc_supervisor *s);

MPROC_END_DECLS

#endif
