/* SPDX-License-Identifier: MIT */
/*
 * group.h - processes that run the same entry, and of which none goes on when one
 * has failed. What is said in process.h holds for each of them.
 */
#ifndef MPROC_GROUP_H
#define MPROC_GROUP_H

#include <mproc/process.h>

MPROC_BEGIN_DECLS

typedef struct mproc_group mproc_group;

/**
 * mproc_group_entry - what each process of a group runs
 * @index: which of them this is, from 0
 * @arg:   as given to mproc_group_start()
 *
 * Returns the exit status, of which the low 8 bits count.
 */
typedef int mproc_group_entry(int index, void *arg);

enum {
	MPROC_GROUP_FAILED = 1, /* a member has failed, and all have ended */
};

/**
 * struct mproc_group_opts - how to start a group
 * @struct_size: filled in by MPROC_OPTS
 * @process:     how to start each member, or NULL. Its .name is what their
 *               names begin with: "crew-0", "crew-1", ...; NULL means "member".
 * @grace:       how long the others have, once a member has failed, between
 *               SIGTERM and SIGKILL; 0 means five seconds
 */
struct mproc_group_opts {
	size_t struct_size;
	const struct mproc_process_opts *process;
	mproc_timeout grace;
};

/**
 * mproc_group_start() - start several processes that succeed or fail together
 * @ret_g: receives the handle
 * @fn:    the entry of all of them
 * @arg:   its argument, as for mproc_process_start()
 * @n:     how many
 * @opts:  options, or NULL
 *
 * Each member is a process as mproc_process_start() starts it, under the same
 * exit rules. No entry begins before all members could be started.
 *
 * A member fails if it ends in any way but with exit code 0. Then the others
 * are asked to end, and killed after the grace. No thread does that behind the
 * caller's back: it happens in mproc_group_join() and mproc_group_stop(), so
 * somebody should be waiting in one of them.
 *
 * The handle is process-local. Several threads may use it at once, until one
 * closes it.
 *
 * Return: 0, or a negative error, and no entry has begun:
 *   -EINVAL  @ret_g or @fn is NULL, @n is not positive, the grace is a point in
 *            time, or as for mproc_process_start()
 *   -E2BIG, -EAGAIN, -EBADF, -ENOENT, -ESHUTDOWN, -EMFILE, -ENFILE, -ENOMEM,
 *   -ENOSYS and others  as for mproc_process_start()
 * Context: as mproc_process_start().
 * Crash: killed inside, all members notice that their parent is gone and end.
 */
MPROC_API MPROC_NODISCARD int
mproc_group_start(mproc_group **ret_g, mproc_group_entry *fn, void *arg, int n,
		  const struct mproc_group_opts *opts);

/**
 * mproc_group_join() - wait until all members have ended
 * @g:       group
 * @timeout: how long to wait
 *
 * As soon as a member has failed, the others get SIGTERM; those that still run
 * when the group's grace is over get SIGKILL. @timeout holds then too: a call
 * that comes back too early for that can be followed by another one, which goes
 * on where it left off. The grace is measured from the SIGTERM on, whether
 * somebody waits or not.
 *
 * May be called any number of times. What ended members held is cleaned up
 * before the call returns.
 *
 * Return: 0 when all members have succeeded, or have ended after
 *         mproc_group_stop() asked them to; MPROC_GROUP_FAILED when all have
 *         ended and one had failed: mproc_error_detail() names it and says how
 *         (with the name of the signal), and mproc_group_failure() tells more.
 *         Or a negative error:
 *   -EAGAIN     some run, and @timeout is MPROC_NOWAIT
 *   -ETIMEDOUT  some still run
 *   -EINTR      mproc_interrupt() was called
 *   -ECHILD     the handle belongs to another process
 *   -EINVAL     @g is NULL
 * Context: may block until @timeout. A member that has taken another user's
 *          identity cannot be made to end; it is waited for.
 */
MPROC_API int mproc_group_join(mproc_group *g, mproc_timeout timeout);

/**
 * mproc_group_stop() - ask all members to end, then make them
 * @g:     group
 * @grace: how long to wait between SIGTERM and SIGKILL
 *
 * Where the grace of a failure is over sooner, that one counts. However members
 * end from now on, it is no failure. Another thread that waits in
 * mproc_group_join() goes on waiting, until they have.
 *
 * Return: 0 when all have ended, or a negative error:
 *   -EINTR   mproc_interrupt() was called within @grace: they have been asked
 *            to end, but not killed. When @grace is over, the next
 *            mproc_group_join() or mproc_group_stop() kills them.
 *   -EPERM   a member has taken another user's identity; the others have been
 *            asked to end
 *   -ECHILD  the handle belongs to another process
 *   -EINVAL  @g is NULL
 * Context: blocks for @grace at most, and for what SIGKILL takes.
 */
MPROC_API int mproc_group_stop(mproc_group *g, mproc_timeout grace);

/**
 * mproc_group_failure() - which member failed first, and how
 * @g:        group
 * @ret_exit: filled in on success; what it points to is valid as long as @g
 *
 * The first is the one that mproc_group_join() or mproc_group_stop() noticed
 * first; of several that had failed when it looked, the one with the lowest
 * index.
 *
 * Return: its index, or a negative error:
 *   -ENODATA  no failure was noticed
 *   -ECHILD   the handle belongs to another process
 *   -EINVAL   an argument is NULL
 * Context: does not block.
 */
MPROC_API int mproc_group_failure(mproc_group *g, struct mproc_exit *ret_exit);

/**
 * mproc_group_close() - free a handle
 * @g: group, or NULL
 *
 * Members that still run go on, under the exit rules, as after
 * mproc_process_close(). Nobody kills those that were asked to end. In another
 * process than its own, only that process's copy of the handle is freed.
 *
 * Context: as mproc_process_close().
 */
MPROC_API void mproc_group_close(mproc_group *g);

MPROC_END_DECLS

#endif
