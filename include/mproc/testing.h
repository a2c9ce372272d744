/* SPDX-License-Identifier: MIT */
/*
 * testing.h - unit tests of what processes run.
 *
 * mproc_test_run() runs an entry in a child, as mproc_process_start() would, and
 * tells all that can be known of it afterwards: how it ended, what it printed,
 * what it has left behind. mproc_test_check() is an assertion for any process and
 * thread: where it fails in a child, the test in the parent fails.
 * mproc_test_fault() has calls of the system fail that hardly ever do, and
 * mproc_test_inline() runs entries and tasks in the caller, for debuggers.
 *
 *	static int worker(void *queue) { ... }
 *
 *	struct mproc_test_result r;
 *
 *	if (mproc_test_run(worker, queue, NULL, &r) < 0)
 *		...
 *	if (r.problems)
 *		puts(r.problems);
 *	mproc_test_result_free(&r);
 *
 * None of this needs a test framework. One that is told to mproc_test_hook() fails
 * when a check has failed in any process; for cmocka that is done by
 * <mproc/mproc_cmocka.h>, and its assertions work in children as well.
 *
 * Not part of <mproc/mproc.h>. There is a guide, docs/testing.md.
 */
#ifndef MPROC_TESTING_H
#define MPROC_TESTING_H

#include <mproc/core.h>
#include <mproc/process.h>
#include <mproc/queue.h>

MPROC_BEGIN_DECLS

enum {
	/* The exit code of a process in which a check has failed. */
	MPROC_TEST_FAILED = 70,
	/* So many of each kind are listed in a result. */
	MPROC_TEST_LISTED = 64
};

/**
 * struct mproc_test_opts - how to run an entry under test
 * @struct_size:   filled in by MPROC_OPTS
 * @process:       how to start its process, or NULL. A standard stream that is not
 *                 inherited is not captured.
 * @timeout:       after which it is killed; 0 means ten seconds
 * @max_output:    bytes that are kept of each of its streams; 0 means 1 MiB
 * @fault:         what is to fail in the process, from its entry on, as for
 *                 mproc_test_fault(), in less than 1024 bytes; NULL: what is to fail
 *                 in the caller, if it is forked, or else nothing
 * @keep_failures: a failed check is in the result, and does not fail the test of
 *                 a framework: for who tests that
 * @keeps_blocks:  blocks of shared memory that it has not freed are no problem
 */
struct mproc_test_opts {
	size_t struct_size;
	const struct mproc_process_opts *process;
	mproc_timeout timeout;
	size_t max_output;
	const char *fault;
	bool keep_failures;
	bool keeps_blocks;
};

/**
 * struct mproc_test_failure - a check that has failed
 * @text:    what was not true
 * @file:    where that stands
 * @process: name of the process
 * @line:    line in @file
 * @pid:     process id
 */
struct mproc_test_failure {
	const char *text;
	const char *file;
	const char *process;
	int line;
	pid_t pid;
};

/**
 * struct mproc_test_fd - a descriptor that was left open
 * @what: what it leads to, as /proc says it: a path, "pipe:[4711]"
 * @fd:   its number
 */
struct mproc_test_fd {
	const char *what;
	int fd;
};

/**
 * enum mproc_test_hold - how something is held
 * @MPROC_TEST_LOCK:   a lock, an rlock, or an rwlock for writing
 * @MPROC_TEST_READ:   an rwlock for reading
 * @MPROC_TEST_PERMIT: permits of a semaphore with .undo
 */
enum mproc_test_hold {
	MPROC_TEST_LOCK = 1,
	MPROC_TEST_READ = 2,
	MPROC_TEST_PERMIT = 3
};

/**
 * struct mproc_test_lock - what was still held
 * @object: where the lock or semaphore lies
 * @kind:   an enum mproc_test_hold
 * @n:      how many permits; 1 for others
 */
struct mproc_test_lock {
	const void *object;
	int kind;
	unsigned n;
};

/**
 * struct mproc_test_message - messages of a queue that were still in hand
 * @queue:      the queue
 * @unfinished: how many were taken (with .ack or .joinable) and neither done nor
 *              requeued
 * @peeked:     one was peeked at and not released
 * @reserved:   one was reserved, and neither committed nor aborted
 */
struct mproc_test_message {
	mproc_queue *queue;
	unsigned unfinished;
	bool peeked;
	bool reserved;
};

/**
 * struct mproc_test_process - a process that was left running
 * @name: its name
 * @pid:  its id
 */
struct mproc_test_process {
	const char *name;
	pid_t pid;
};

/**
 * struct mproc_test_result - what became of an entry under test
 * @exit:         how its process ended, with its CPU time, its largest resident
 *                size and its report if it crashed
 * @problems:     all that is wrong, for people, a line for each: an end other than
 *                by code 0, failed checks, what was left; NULL if nothing is
 * @wall_ns:      nanoseconds from the start to the end
 * @out:          what it has printed to standard output, with a zero behind it
 * @err:          the same of standard error
 * @out_len:      bytes at @out
 * @err_len:      bytes at @err
 * @out_lost:     bytes beyond .max_output, which were dropped
 * @err_lost:     the same of standard error
 * @failures:     checks that have failed, in it or in processes that it started
 * @fds:          descriptors that are open at its end and were not when it began,
 *                or led to something else then; without libmproc's own
 * @locks:        what it held
 * @messages:     what the thread that ended it had in hand
 * @processes:    those that it had started and that ran when it ended
 * @n_failures:   how many failures; up to MPROC_TEST_LISTED of these and the other
 *                things are listed
 * @n_fds:        how many descriptors; -1 if the system does not tell
 * @n_locks:      how many locks
 * @n_messages:   how many queues with messages in hand
 * @n_processes:  how many processes
 * @timed_out:    it did not end in time, and was killed
 * @looked:       it has ended in order, by its return or by exit(). Otherwise
 *                @fds, @messages, @processes and @n_faults are empty, as nobody
 *                could look.
 * @n_blocks:     blocks of shared memory that it has allocated and nobody has freed
 * @block_bytes:  bytes in these
 * @n_faults:     how many calls were made to fail in it
 * @memory:       libmproc's
 *
 * All is valid until mproc_test_result_free().
 */
struct mproc_test_result {
	struct mproc_exit exit;
	const char *problems;
	int64_t wall_ns;
	const char *out;
	const char *err;
	size_t out_len;
	size_t err_len;
	size_t out_lost;
	size_t err_lost;
	const struct mproc_test_failure *failures;
	const struct mproc_test_fd *fds;
	const struct mproc_test_lock *locks;
	const struct mproc_test_message *messages;
	const struct mproc_test_process *processes;
	int n_failures;
	int n_fds;
	int n_locks;
	int n_messages;
	int n_processes;
	bool timed_out;
	bool looked;
	size_t n_blocks;
	size_t block_bytes;
	uint64_t n_faults;
	void *memory;
};

/**
 * mproc_test_run() - run an entry in a child and tell what became of it
 * @fn:   the entry
 * @arg:  its argument, as for mproc_process_start()
 * @opts: options, or NULL
 * @ret:  filled in on success; to be freed
 *
 * The child is started as any: by the method that .process names, or the usual one
 * (mproc_set_start_method()). With a new image (MPROC_SPAWN, MPROC_FORKSERVER) @arg
 * is a number, lies in the default arena, or is copied, by .arg_size. However much it
 * prints, it does not have to wait; what processes that it leaves behind print after
 * its end is not waited for, and has no reader any more.
 *
 * What it has left is looked at in the child itself after its mproc_at_exit()
 * functions, before its own children are waited for; what it holds of locks and
 * shared memory by the caller, after its end, so that is known of one that was
 * killed, too. It is a lock's word that says so: the lock lies anywhere in an arena
 * that the caller has. Reading all that is allocated there takes its time with
 * many gigabytes.
 *
 * If a framework is hooked in (mproc_test_hook()) in this thread and a check has
 * failed, @ret is freed, what the child has printed to standard error is printed,
 * and the framework is told, which does not return here.
 *
 * With mproc_test_inline() @fn runs in the caller: nothing is captured, no timeout
 * ends it, and CPU time and size are not its own.
 *
 * Return: 0, however it has ended, or a negative error:
 *   -EINVAL  @fn or @ret is NULL, an option makes no sense, or .fault
 *   -E2BIG   @opts has fields that this library does not know
 *   -EINTR   mproc_interrupt() was called: the child was killed
 *   -EACCES  the new image cannot open the descriptors of this process in /proc, by
 *            which it would tell of its checks: it has run nothing
 *   -EMFILE, -ENFILE, -ENOMEM, -ENOSPC  no descriptor, no memory
 *   and those of mproc_process_start()
 * Context: blocks until the child has ended, or is killed at its timeout.
 * Crash: as in mproc_process_start().
 */
MPROC_API MPROC_NODISCARD int
mproc_test_run(mproc_entry *fn, void *arg, const struct mproc_test_opts *opts,
	       struct mproc_test_result *ret);

/**
 * mproc_test_result_free() - free what a result refers to
 * @r: result, which is zeroed; or NULL
 *
 * Context: does not block.
 */
MPROC_API void mproc_test_result_free(struct mproc_test_result *r);

/* mproc_test_check(cond): fails unless @cond, in any process and thread. Gives
 * whether it was true, where it comes back. Twin: mproc_test_check_at(). */
#define mproc_test_check(cond)                                                \
	mproc_test_check_at((cond) ? true : false, #cond, __FILE__, __LINE__)

/**
 * mproc_test_check_at() - mproc_test_check() for callers without macros
 * @ok:   whether all is well
 * @text: what should have been true
 * @file: where that stands
 * @line: line in @file
 *
 * A failure in a process that was started ends that process, whichever thread it
 * is, with code MPROC_TEST_FAILED: it prints a line to standard error and does no
 * more. It is in the result of the mproc_test_run() that it descends from, or else
 * of the mproc_test_collect() of the process that has a framework: whatever methods
 * they were started by, as long as that process has not closed its descriptors, and
 * one with a new image may open them in /proc. Of a process that was made by exec
 * nobody else is told.
 *
 * In the process that has the framework it is told at once, if this is the thread
 * that has hooked it in, and else with the next mproc_test_collect(); in a
 * process without any it prints a line and counts.
 *
 * Return: @ok, if it returns.
 * Context: does not block, but on standard error.
 */
MPROC_API bool mproc_test_check_at(bool ok, const char *text, const char *file,
				   int line);

/**
 * struct mproc_test_framework - what a test framework has to do
 * @struct_size: filled in by MPROC_OPTS
 * @failed:      fails the present test; it need not return
 * @ctx:         passed to it
 * @abort_env:   a variable of the environment: while it is "1", its assertions call
 *               abort() where they fail; or NULL. It is set in other processes. At
 *               most 63 bytes.
 */
struct mproc_test_framework {
	size_t struct_size;
	void (*failed)(void *ctx, const struct mproc_test_failure *failure);
	void *ctx;
	const char *abort_env; /* which stays */
};

/**
 * mproc_test_hook() - have a test framework fail with checks that fail
 * @framework: which is copied; or NULL for none any more
 *
 * It is the calling thread's, in this process. Processes that are started from
 * then on report to it, and begin with the default actions of the signals by which
 * programs crash: a framework that catches them would go on in a copy of itself.
 * A descriptor stays open as long as one is hooked in.
 *
 * Return: 0, or a negative error:
 *   -EINVAL  there is no .failed, .abort_env is too long, or .struct_size makes no
 *            sense
 *   -E2BIG   @framework has fields that this library does not know
 *   -EMFILE, -ENFILE, -ENOMEM, -ENOSPC  no descriptor, no memory
 * Context: does not block. Not while other threads are in here.
 */
MPROC_API int mproc_test_hook(const struct mproc_test_framework *framework);

/**
 * mproc_test_collect() - have failures of other processes fail the test
 *
 * Of those that mproc_test_run() has not told: checks in processes that were
 * started in other ways, and in other threads of this one. The framework is told of
 * the first, the others are printed.
 *
 * Return: how many have failed since the last call, with no framework in this
 *         process too. With one that does not return it is 0.
 * Context: does not block, but on standard error.
 */
MPROC_API int mproc_test_collect(void);

/**
 * mproc_test_begin_assert() - an assertion of another kind begins
 * @what: its name, which stays
 * @file: where that stands, which stays
 * @line: line in @file
 *
 * Until mproc_test_end_assert(), in this thread, abort() is a failed check. For
 * the glue of frameworks, around their own assertions: .abort_env sees to it that
 * these call abort(). In the process that has the framework this is
 * mproc_test_collect(), unless it runs an entry inline; without one it does nothing.
 *
 * Return: whether this is what a process under test runs, inline or elsewhere.
 * Context: does not block.
 */
MPROC_API bool mproc_test_begin_assert(const char *what, const char *file,
				       int line);

/**
 * mproc_test_end_assert() - the assertion has ended well
 *
 * Context: does not block.
 */
MPROC_API void mproc_test_end_assert(void);

/**
 * mproc_test_inline() - have entries run in the process that starts them
 * @on: true for in the caller, false for in a child of its own, which is usual
 *
 * Then mproc_process_start() comes back when the entry has returned, and so do
 * groups, member by member, supervisors and mproc_test_run(). A child is forked all
 * the same, and ends with the code of the entry: handles, pidfds, exit codes are as
 * always. A debugger, a profiler and a coverage tool see one process.
 *
 * What cannot be: two entries never run at the same time, so one that waits for
 * another one waits for ever. getpid(), memory, descriptors and signals are those
 * of the caller; of the options only .name and .arg_size have their effect on the
 * entry. exit() in it ends the program, and a crash does. Pools that are made then are
 * MPROC_POOL_INLINE (mproc/pool.h).
 *
 * Return: 1 if it was on before, or 0.
 * Context: never blocks. Inherited by processes that are forked afterwards.
 */
MPROC_API int mproc_test_inline(bool on);

/**
 * mproc_test_fault() - have calls of the system fail
 * @spec: what fails: POINT:N[+][=ERRNO], several with commas between them. "fork:3"
 *        is the third fork from now on, "malloc:1+" the first allocation and all
 *        that come after it, "fallocate:2=ENOMEM" with that error. NULL or "" ends
 *        it.
 *
 * Calls of libmproc, that is, in this process, and, counted on from where it was,
 * in those that are forked from it afterwards, MPROC_FORK among them; a new image
 * begins without. Of mproc_test_run() too: see its .fault. Replaces what was set
 * before. Where libmproc has another way, as for what old kernels lack, that is what
 * is tested.
 *
 * Return: 0; -EINVAL if @spec makes no sense: the detail tells the points that
 *         there are. Then nothing has changed.
 * Context: never blocks. Not while other threads are inside the library.
 */
MPROC_API int mproc_test_fault(const char *spec);

MPROC_END_DECLS

#endif
