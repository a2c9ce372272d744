/* SPDX-License-Identifier: MIT */
/*
 * pool.h - tasks for worker processes, and what becomes of them.
 *
 * A pool has a number of workers, which run tasks that any process of the family
 * submits. A task is a function with bytes for its input; its result, bytes again, is
 * waited for by a future. Both the pool and the future are shared objects: their
 * pointers are valid in every process of the family, and may be sent through queues.
 *
 * Every future completes, whoever is killed: with the task's result; with the error
 * that the task has returned; or, if a worker has died with it, with -EOWNERDEAD and
 * what is known of that death. Nobody else's task is touched by it, and another worker
 * takes the dead one's place.
 *
 * Workers are forked by a process of the pool's own, the keeper, which is forked by
 * mproc_pool_create() and has nothing else to do. So they have what the creator had
 * then: its memory, its open files (but no ends of mproc_pipe()), its signal mask; unless
 * .method says that the keeper begins with a new image, see struct mproc_pool_opts. A
 * pool keeps its size, and task limits hold, whatever the creator does meanwhile.
 *
 *   A worker dies: the keeper notices at once.
 *   The keeper dies: its workers end with it, and whoever next waits for a future of
 *     the pool, or joins it, starts another one, from its own image or by the pool's
 *     .method; tasks that were being run fail or are run again. Of a pool that was
 *     terminated none is started: who waits, joins or frees it does itself what is left.
 *   The creator ends: the keeper and the workers do, too; in order, its pools are
 *     terminated first. Tasks that are not done then fail with -ESHUTDOWN, for those
 *     of other processes that wait for them; the pool stays until their futures are
 *     closed. (Where nobody waits, or its keeper was killed as well, who makes a pool in
 *     the arena next gives back what a creator that was killed has left.)
 *   A process that has submitted tasks ends: they are run, and the futures that it
 *     has not closed are closed.
 *
 * Keeper and workers ignore the signals of the keyboard: Ctrl-C is the creator's to
 * answer.
 *
 * Workers may also be threads; and for debuggers and coverage there are inline pools,
 * which have none: see enum mproc_pool_backend.
 *
 * All functions are thread-safe, and none is for signal handlers. None is a
 * cancellation point.
 */
#ifndef MPROC_POOL_H
#define MPROC_POOL_H

#include <mproc/core.h>
#include <mproc/future.h>
#include <mproc/map_loop.h>
#include <mproc/process.h>

MPROC_BEGIN_DECLS

typedef struct mproc_pool mproc_pool;
typedef struct mproc_iter mproc_iter;

/* Where a task leaves its result: see mproc_result_set(). */
struct mproc_result;

/**
 * mproc_task - a task
 * @in:     its input: a copy of what was submitted, aligned to 16 bytes, valid until
 *          it returns
 * @in_len: bytes of it
 * @out:    for mproc_result_set(), in this thread and until it returns
 *
 * Returns 0 or more if it has done what it is for; or a negative number, its error,
 * which is data for whoever waits and changes nothing for the worker.
 *
 * It may submit tasks and wait for them. A task that waits for one that nobody has
 * begun runs that itself, so tasks that wait for tasks need no workers of their own.
 *
 * What it does to its process, the next task finds. If it calls exit(), or is killed,
 * the worker has died with it.
 */
typedef int mproc_task(const void *in, size_t in_len, struct mproc_result *out);

/**
 * mproc_progress_fn - is told how far a map is
 * @done: items that are done, whether well or not; about, until they all are
 * @n:    items
 * @ctx:  as in the options
 */
typedef void mproc_progress_fn(size_t done, size_t n, void *ctx);

/**
 * struct mproc_progress - a line that shows how far a map is
 * @label:   what stands at its beginning; or NULL
 * @fd:      where it is shown; 0: standard error
 * @started: 0; the line's own
 * @first:   likewise
 */
struct mproc_progress {
	const char *label;
	int fd;
	int64_t started;
	size_t first;
};

/**
 * mproc_progress_bar() - show how far a map is
 * @done:     items that are done
 * @n:        items
 * @progress: a struct mproc_progress, for one map at a time; or NULL for one that is all 0
 *
 * It is a mproc_progress_fn for .progress of struct mproc_map_opts, with .progress_ctx for
 * @progress:
 *
 *	lines [###########              ]  44 % 440/1000, 0:00:12 left
 *
 * On a terminal the line is written again over itself, and ended when all is done.
 * Elsewhere, as in a file, there is one at the end only: label and figures.
 *
 * Context: writes to the descriptor, and blocks as that does. What cannot be written is
 *          left out. Keeps errno.
 * Crash: nothing is left but half a line.
 */
MPROC_API void mproc_progress_bar(size_t done, size_t n, void *progress);

/**
 * enum mproc_pool_phase - how far a pool has come
 * @MPROC_POOL_OPEN:        it takes tasks
 * @MPROC_POOL_CLOSING:     it does what was submitted
 * @MPROC_POOL_TERMINATING: it fails what is not done
 * @MPROC_POOL_ENDED:       it has no workers any more
 */
enum mproc_pool_phase {
	MPROC_POOL_OPEN = 1,
	MPROC_POOL_CLOSING = 2,
	MPROC_POOL_TERMINATING = 3,
	MPROC_POOL_ENDED = 4
};

/**
 * enum mproc_pool_backend - where a pool's tasks are run
 * @MPROC_POOL_PROCESSES: in worker processes
 * @MPROC_POOL_THREADS:   in threads of the process that made the pool
 * @MPROC_POOL_INLINE:    in the thread that submits them, which is for debuggers and
 *                        coverage
 *
 * Threads share their memory with the creator and with each other: what a task gets by a
 * pointer, or finds in a global variable, is what the creator has there now. They are for
 * tasks that compute with such data, or wait for something, and that do not crash. Any
 * process of the family submits to them all the same. It is like a pool of processes but
 * for this:
 *
 *   The keeper is a thread, too. It and the workers take part in the family like other
 *     threads, and begin with pthread_create()'s defaults. Workers have the signal mask
 *     that the creating thread had; the keeper takes no signals. Their names are cut off
 *     after 15 bytes.
 *   A thread cannot be killed. A task that is canceled by MPROC_CANCEL_RUNNING, has taken
 *     longer than .task_timeout, or whose pool is terminated, is done at once for who
 *     waits for it, as elsewhere; but it runs to its end, and its worker does nothing
 *     else until then. Its input stays until then, its result is dropped. A map ends by
 *     that when each of the items is done that were begun, and fails with those; so
 *     mproc_pool_map() returns later than its timeout by as long as these take, and an
 *     item's own -ETIMEDOUT is told then.
 *   So mproc_pool_join() waits for tasks that run, after mproc_pool_terminate(), too.
 *     mproc_pool_free() waits for two seconds; then the pool stays, and the log says so.
 *   A task that ends its thread, by pthread_exit() or as it was cancelled, fails with
 *     -EOWNERDEAD, or is run again (.retries), and another thread takes its place;
 *     mproc_future_exit_info() has nothing of it. exit() and crashes end the program.
 *   The creator is killed: who waits is told as of a pool of processes. What ran then
 *     fails with -EOWNERDEAD, the rest with -ESHUTDOWN.
 *   A task may close or terminate its pool; mproc_pool_join() there is -EDEADLK, and
 *     mproc_pool_free() does nothing. At the end of the process, pools are terminated,
 *     and tasks that do not end within two seconds end with it.
 *   A forked child has none of the threads, also if a task has forked it: if that
 *     returns there, it is the end of the child's only thread.
 *
 * An inline pool has no keeper and no workers. mproc_pool_submit(), mproc_pool_map(),
 * mproc_pool_map_async() and whatever calls them run the task, or all items in their
 * order, before they return; so each future is done when it is known. Results, errors,
 * texts, futures and iterators are those of other pools, and a program that is right
 * with an inline pool gives the same with any other, but for this:
 *
 *   Two tasks never run at the same time, unless two threads submit them. One that waits
 *     for a later one waits for ever.
 *   What a task does to its process, it does to the caller: exit() ends the program, and
 *     so does a crash. One that leaves by longjmp() is never done, and the pool stays
 *     until the process has ended.
 *   .retries, .task_timeout, .max_tasks_per_worker, .idle_timeout and a timeout of
 *     mproc_pool_apply() or mproc_pool_map() have no effect: who stops in a debugger is
 *     not hurried. Progress is told once, at the end. There is nothing to cancel.
 *   The initializer is run once, in mproc_pool_create(), by the creator.
 *   After mproc_pool_terminate() what runs in other threads runs to its end, a map to the
 *     end of its chunk, and fails with -ESHUTDOWN then. mproc_pool_free() waits for that
 *     for two seconds; then the pool stays.
 *   A task may close or terminate its pool; mproc_pool_join() there is -EDEADLK, and
 *     mproc_pool_free() does nothing.
 *   What a process that has ended has not closed goes with the pool.
 *
 * Any process of the family may submit, and runs it itself. If a thread
 * dies in a task, nobody waits for that, and the pool can be ended all the same.
 */
enum mproc_pool_backend {
	MPROC_POOL_PROCESSES = 1,
	MPROC_POOL_THREADS = 2,
	MPROC_POOL_INLINE = 3
};

/**
 * struct mproc_pool_opts - how to make a pool
 * @struct_size:  filled in by MPROC_OPTS
 * @workers:      how many, up to 512; 0: as many as mproc_cpu_count()
 * @retries:      how often a task, or an item of a map, is run again whose worker has
 *                died with it, up to 1000000; 0: not at all
 * @task_timeout: how long a task, or an item of a map, may run; then its worker is
 *                killed (but see MPROC_POOL_THREADS), and the future says -ETIMEDOUT. A task that a waiting one runs
 *                itself counts as part of that one. MPROC_NOWAIT and MPROC_FOREVER: as long as it likes
 * @name:         for people; copied, up to 63 bytes. Workers are called "name-0",
 *                "name-1", ...; NULL: "worker-0", ...
 * @initializer:  what each worker runs before its first task; NULL: nothing. If it
 *                does not return 0, the pool is terminated, and mproc_pool_stat() says
 *                what it has returned. A worker that dies in it is replaced; if three times
 *                as many as there are to be do, one after the other, and none is there that
 *                has come through it, the pool is terminated as well, with -EOWNERDEAD
 * @init_arg:     its argument: a pointer into the arena or what a forked process has
 *                all the same, or, with @init_size, to bytes that are copied
 * @init_size:    how many; 0: none, it gets the pointer itself
 * @max_tasks_per_worker: how many tasks, or items of maps, a worker does before it ends
 *                and another one takes its place, also in the middle of a map; those
 *                that it runs while it waits in one count, but do not end it. 0: as many
 *                as come
 * @idle_timeout: a worker that has had nothing to do for so long ends; it is replaced
 *                once something waits to be done, so that the pool may come to have no
 *                workers in between. MPROC_NOWAIT and MPROC_FOREVER: none does
 * @backend:      an enum mproc_pool_backend; 0: MPROC_POOL_PROCESSES. All are
 *                MPROC_POOL_INLINE that are made while mproc_test_inline() is on
 * @method:       how keepers are started, an enum mproc_start_method; 0: MPROC_FORK,
 *                whatever mproc_set_start_method() has said, as what tasks find depends on
 *                it. Of pools that are not of processes it says nothing
 *
 * With MPROC_SPAWN the keeper has a new image of the program, with MPROC_FORKSERVER it is
 * a copy of the fork server; workers are forked by it in either case. So they have no
 * threads, locks, descriptors that are closed at exec, or memory of the creator but the
 * default arena, as any process that is started so. What is different then:
 *
 *   @init_arg without @init_size is a pointer into the default arena, or a number below
 *     4096, and so is a map's context without .ctx_size.
 *   Who submits need not have the creator's program, but a module with the function. With
 *     .chunk of struct mproc_imap_opts the library's own function runs several tasks: who
 *     iterates so has the creator's program, or both have libmproc as a shared library.
 *   Tasks, functions of maps and the initializer lie in the program, or in one of up to
 *     12 libraries that keeper and workers have: linked to the program, or loaded by its
 *     constructors, or by the preload function of the fork server. One that lies in a
 *     library that workers do not have fails with the error -ENOEXEC; if it is the
 *     initializer, the pool fails once it is made.
 *   A library is one of the 12 once a function of it was named, also if its task was not
 *     submitted then, or has failed. So is a shared libmproc, by .chunk of struct
 *     mproc_imap_opts, and by its own loop (mproc_pool_create_near()).
 *   Program and libraries need a build-id, as for mproc_process_start().
 *   A later keeper is started by who waits, by the same method, and by its own fork
 *     server, which begins for it if there is none; if that one has the creator's program.
 *   The call that makes the pool takes as long as the start of such a process, its
 *     constructors included; so does that of who waits, where a later keeper is started.
 */
struct mproc_pool_opts {
	size_t struct_size;
	int workers;
	int retries;
	mproc_timeout task_timeout;
	const char *name;
	mproc_entry *initializer;
	void *init_arg;
	size_t init_size;
	uint64_t max_tasks_per_worker;
	mproc_timeout idle_timeout;
	int backend;
	int method;
};

/**
 * mproc_pool_create() - make a pool
 * @ret_p: receives it
 * @opts:  options, or NULL
 *
 * The calling process is its creator, which alone can end it. Returns when the keeper
 * is there; workers come a little later.
 *
 * There is a macro of this name, too: see mproc_pool_create_near().
 *
 * The keeper is a process that does nothing but replace workers that die, fail or repeat
 * what they had, and kill those whose tasks are over. If somebody stops it (SIGSTOP, a
 * debugger), workers go on with tasks, and none of that happens before it goes on, as it
 * is not dead; only mproc_pool_free() kills it, after two seconds.
 *
 * Return: 0, or a negative error, and there is none:
 *   -EINVAL  @ret_p is NULL, or an option makes no sense, or @opts->struct_size
 *   -E2BIG   @opts has fields that this library does not know
 *   -EFAULT  .method is not MPROC_FORK, and @opts->init_arg, of no size, lies elsewhere than
 *            in the default arena
 *   -ENOEXEC  .method is not MPROC_FORK, and this process cannot start others so, or the
 *            initializer is no function of a program or library with a build-id; the error
 *            detail says why. If it lies in a library that workers do not have, this
 *            succeeds, and the pool fails: mproc_pool_stat() has -ENOEXEC as what it has
 *            returned
 *   -EBUSY   workers of pools whose creators were killed have stayed, as they have
 *            blocked SIGRTMAX
 *   -ECHILD  this process is the child of a fork(2) that a signal handler has made in
 *            the middle of the call, in which it goes on, as its parent's does; or one
 *            that the initializer of an inline pool has made
 *   -EAGAIN  no more processes or threads, or 1024 threads of the family use libmproc already; or
 *            the keeper was killed at once
 *   -ENOMEM, -ENOSPC, -EFBIG, -EMFILE, -ENFILE, -ENOLCK, -ESHUTDOWN, and by .method
 *   -EEXIST, -ENOSYS, -EPIPE, -EBADF, -EBADMSG  as for mproc_queue_create() and
 *            mproc_process_start()
 * Context: as mproc_process_start() by the pool's .method, or starts a thread, and
 *          waits for its first steps.
 * Crash: killed inside, keeper and workers end, and the pool is free again; but a
 *        queue may stay that nobody uses, for as long as the arena does.
 */
MPROC_API MPROC_NODISCARD int
mproc_pool_create(mproc_pool **ret_p, const struct mproc_pool_opts *opts);

/**
 * mproc_pool_create_near() - the same, with a loop for the items of maps
 * @ret_p: receives it
 * @opts:  options, or NULL
 * @loop:  the loop, for workers that are forked by the keeper which this call starts
 *
 * This is what a program calls that includes this header: maps with many trivial items
 * are faster if the loop lies in the module that has their function. With a function
 * of another module all is as with the library's own loop. So it is if a new image does
 * not find @loop (.method). That is what pools have that
 * are made by the function mproc_pool_create(); those whose workers are no processes; and
 * workers of a later keeper, which who waits has started in place of one that was
 * killed, as that process need not have @loop.
 *
 * Return: as mproc_pool_create(), or -EINVAL: @loop is NULL.
 * Context: as mproc_pool_create().
 * Crash: as mproc_pool_create().
 */
MPROC_API MPROC_NODISCARD int
mproc_pool_create_near(mproc_pool **ret_p, const struct mproc_pool_opts *opts,
		       mproc_map_loop *loop);

#if defined(__GNUC__)
/* mproc_pool_create(ret_p, opts), with the loop of the file that calls it. Twin: the
 * function of that name. */
#define mproc_pool_create(...)                                                \
	mproc_pool_create_near(__VA_ARGS__, mproc_map_loop_near_)
#endif

/**
 * mproc_pool_submit() - have a task run
 * @pool:  pool
 * @fn:    the task, a function that was there when the creator made the pool
 * @in:    its input, which is copied; may be NULL if @len is 0
 * @len:   bytes of it
 * @ret_f: receives the future, to be closed by mproc_future_close()
 *
 * Tasks of one thread are begun in their order. Any process of the family may call
 * this, and so may a task. One that has another image than the creator, which is to say was
 * spawned, not forked, submits functions of the creator's program, if it is the same; with
 * another .method than MPROC_FORK, of libraries, too.
 *
 * A function that the workers' image has not got, as its library was loaded, or its code
 * made, after the pool, fails with the error -ENOEXEC, as do all items of a map with it; once
 * a keeper was replaced, that is the image of who has started the new one. Which library
 * workers have at that address is told by its build-id. Without one, for functions of more
 * than 12 libraries, and for what lies in none, they only see that there is code, be it older
 * than what was made there since; and for this last not even that if they cannot read
 * /proc/self/maps.
 *
 * Return: 0, or a negative error, and the task will not be run:
 *   -ESHUTDOWN  the pool was closed, terminated, or has failed
 *   -ENOEXEC    this process has another image than the creator, or .method is another than
 *               MPROC_FORK; and this is another program, in which @fn lies, or @fn is no
 *               function of a program or library with a build-id, or with MPROC_FORK it
 *               lies in a library, or otherwise the pool has functions of 12 libraries
 *               already
 *   -EAGAIN     some 100000 tasks of this thread wait to be begun; or 1024 threads of
 *               the family use libmproc already; or 512 are in tasks of an inline pool
 *   -ECHILD     inline: this is a child that the task has forked
 *   -EINVAL     @pool, @fn or @ret_f is NULL, or @pool is none, or @in with @len
 *   -EFAULT     @pool is no shared memory
 *   -ESTALE     @pool was freed
 *   -ENOMEM, -ENOSPC  no memory
 *   -EBADMSG    the pool's memory is corrupt
 * Context: does not block. Starts no keeper. Inline, it runs the task.
 * Crash: killed inside, the task is run or not.
 */
MPROC_API MPROC_NODISCARD int
mproc_pool_submit(mproc_pool *pool, mproc_task *fn, const void *in, size_t len,
		  mproc_future **ret_f);

/**
 * mproc_pool_apply() - have a task run, and wait for its result
 * @pool:    pool
 * @fn:      the task
 * @in:      its input, as for mproc_pool_submit()
 * @len:     bytes of it
 * @out:     where the result goes; may be NULL if @size is 0
 * @size:    room in bytes
 * @ret_len: receives the length of the result; may be NULL
 * @timeout: how long to wait
 *
 * Return: as mproc_future_get() or mproc_pool_submit(). After an error the task is not
 *         begun any more; if it runs, it runs to its end, and the result is dropped.
 *         Nothing is written to @out after this has returned. Why a task failed,
 *         which MPROC_TASK_FAILED tells, is in mproc_error_detail(). -ECHILD in a child
 *         that a signal handler has forked meanwhile: the task is its parent's, and goes
 *         on.
 * Context: may block until @timeout.
 * Crash: killed inside, the task is run or not.
 */
MPROC_API MPROC_NODISCARD int
mproc_pool_apply(mproc_pool *pool, mproc_task *fn, const void *in, size_t len,
		 void *out, size_t size, size_t *ret_len, mproc_timeout timeout);

/**
 * struct mproc_map_opts - how to map
 * @struct_size:  filled in by MPROC_OPTS
 * @chunk:        how many items a worker claims at a time; 0: a quarter of its part,
 *                which is n / (4 * workers), rounded up; with @guided, how many at
 *                least, and 0: one
 * @ctx_size:     bytes of the context, which are copied; 0: items get the pointer
 *                itself, which is then one into the arena, or to what the workers have
 *                from when the pool was made; where the caller has another image than
 *                they, one into the default arena or a number below 4096
 * @guided:       chunks become smaller as less is left: a worker claims half of its part
 *                first, and so on, down to @chunk. For items that take times of which
 *                nothing is known: the last chunks are small, and all workers end at
 *                about the same time, while most items are claimed many at a time
 * @fail_fast:    once an item has failed, no other is begun: it fails with -ECANCELED
 * @timeout:      how long mproc_pool_map() may take; MPROC_NOWAIT: as long as it likes
 * @progress:     mproc_pool_map() calls it some ten times a second, and when all is
 *                done; in the calling thread, which it may not leave by longjmp; or NULL
 * @progress_ctx: for @progress
 * @errors:       where mproc_pool_map() leaves each item's error, or 0, if it returns 0
 *                or MPROC_TASK_FAILED: as many as there are items; or NULL
 */
struct mproc_map_opts {
	size_t struct_size;
	size_t chunk;
	size_t ctx_size;
	bool fail_fast;
	mproc_timeout timeout;
	mproc_progress_fn *progress;
	void *progress_ctx;
	int *errors;
	bool guided;
};

/**
 * mproc_pool_map() - have a function applied to each element of an array
 * @pool:     pool
 * @fn:       the function, which was there when the creator made the pool
 * @ctx:      what all items have in common: see .ctx_size
 * @in:       the items; may be NULL if @in_size is 0
 * @in_size:  bytes of one; 0: items have none
 * @out:      where the results go, in the order of the items; may be NULL if @out_size
 *            is 0
 * @out_size: bytes of one; 0: there are none
 * @n:        how many items, up to 2^44
 * @opts:     options, or NULL
 *
 * Arrays that lie in the default arena are used where they are, by all workers at
 * once; others are copied.
 *
 * An item fails for itself. If a worker dies, the item that it had begun fails with
 * -EOWNERDEAD, or is done again: see .retries; what it had claimed beyond that, another
 * one does. Of an item that is done twice, the first attempt may have written to its
 * result already.
 *
 * In a task, or in an item, it does a part of it itself, so maps in maps need no workers
 * of their own; .timeout is not looked at meanwhile.
 *
 * Return: 0 when all items are done; MPROC_TASK_FAILED when some are not: then
 *         mproc_error_detail() says how many, the first one and its error, .errors has
 *         all of these, and the others' results are there. Or a negative error, as
 *         mproc_pool_submit() or mproc_future_wait(), or -EINVAL for @opts or an array
 *         that is NULL, -E2BIG for @opts, -EFAULT for an array that ends behind the
 *         arena, or @ctx that workers do not have.
 *         After -ETIMEDOUT, and any other error while it waits, the map was canceled as
 *         by MPROC_CANCEL_RUNNING, and nobody uses the arrays any more; what is in
 *         @out is undefined. But -ECHILD in a child that a signal handler, or
 *         @opts->progress, has forked meanwhile: the map is its parent's, and goes on.
 * Context: blocks until @opts->timeout, and then for as long as SIGKILL takes.
 * Crash: killed inside, the map is done or not.
 */
MPROC_API MPROC_NODISCARD int
mproc_pool_map(mproc_pool *pool, mproc_map_fn *fn, void *ctx, const void *in,
	       size_t in_size, void *out, size_t out_size, size_t n,
	       const struct mproc_map_opts *opts);

/**
 * mproc_pool_map_async() - the same, to be waited for by a future
 * @pool:     pool
 * @fn:       the function
 * @ctx:      context
 * @in:       the items
 * @in_size:  bytes of one
 * @out:      where the results go, in the arena; or NULL: mproc_future_get() copies
 *            them, all at once
 * @out_size: bytes of one
 * @n:        how many items
 * @opts:     options, or NULL; .timeout, .progress and .errors are not among them
 * @ret_f:    receives the future, to be closed by mproc_future_close()
 *
 * What lies in the arena, and is used there, stays until the map is done, also when its
 * future was closed.
 *
 * mproc_future_get() returns MPROC_TASK_FAILED if an item has failed; it copies the
 * others' results all the same. mproc_future_error() tells of the first item,
 * mproc_future_next_failed() of all.
 *
 * Return: 0, or a negative error, and nothing is done:
 *   -EINVAL  @ret_f is NULL, or @opts has what is not for this
 *   -EFAULT  @out is elsewhere, or an array ends behind the arena
 *   others   as mproc_pool_map() before it waits
 * Context: does not block.
 * Crash: killed inside, the map is done or not.
 */
MPROC_API MPROC_NODISCARD int
mproc_pool_map_async(mproc_pool *pool, mproc_map_fn *fn, void *ctx,
		     const void *in, size_t in_size, void *out, size_t out_size,
		     size_t n, const struct mproc_map_opts *opts,
		     mproc_future **ret_f);

/**
 * mproc_result_set() - leave a task's result
 * @out: as the task has got it
 * @p:   bytes to copy; may be NULL if @len is 0
 * @len: how many; any length
 *
 * The last call counts. If the task then returns a negative number, they are the text
 * of its error.
 *
 * Return: 0, or a negative error, and there is none or the one before:
 *   -EINVAL  @out is NULL, or @p with @len, or this is another thread than the task's
 *   -ECHILD  this is a process that the task has forked
 *   -ENOMEM, -ENOSPC  no memory
 * Context: does not block.
 * Crash: killed inside, the worker has died with the task.
 */
MPROC_API MPROC_NODISCARD int
mproc_result_set(struct mproc_result *out, const void *p, size_t len);

/**
 * mproc_source - gives the inputs of an iterator's tasks
 * @src:     as mproc_pool_imap() has got it
 * @ret_in:  receives where the next input is: it stays until this is called again
 * @ret_len: receives its length
 *
 * Returns 0; -ENODATA if there is no more; or another negative error, and there is no
 * more either. It is called in mproc_pool_imap() and mproc_iter_next(), as often as
 * there is a place in the window, and not again after its end.
 */
typedef int mproc_source(void *src, const void **ret_in, size_t *ret_len);

/**
 * struct mproc_imap_opts - how to iterate
 * @struct_size: filled in by MPROC_OPTS
 * @unordered:   results come in the order in which they are there, not in that of the
 *               inputs
 * @window:      how many tasks there may be whose results were not taken, up to 65536;
 *               0: four chunks for each worker
 * @chunk:       how many inputs go to a worker at a time, up to 65536, but no more than
 *               @window; 0: one. For tasks that take little time. A chunk is begun once
 *               the source has given all of its inputs, and its results come together.
 *               Each of its tasks fails for itself, and has .task_timeout for itself;
 *               but if its worker dies, or is killed for the time of one, those that it
 *               has begun of the chunk fail for that, as their results are lost, and the
 *               others are submitted again when results are taken; with .retries all
 *               are run again. .max_tasks_per_worker ends no worker in the middle of a
 *               chunk
 */
struct mproc_imap_opts {
	size_t struct_size;
	bool unordered;
	unsigned window;
	unsigned chunk;
};

/**
 * mproc_pool_imap() - have tasks run one after the other, as their results are taken
 * @pool:   pool
 * @fn:     the task
 * @next:   gives the inputs
 * @src:    for @next
 * @opts:   options, or NULL
 * @ret_it: receives the iterator, which is for the calling process, and for one thread
 *          at a time; to be closed by mproc_iter_close()
 *
 * However many inputs there are, no more than a window of them is held.
 *
 * Chunks of several inputs are run by a function of the library's: of a process with another
 * image than the creator, if that is MPROC_FORK's, only a static libmproc has it.
 *
 * Return: 0, or a negative error: as mproc_pool_submit(), or -EINVAL for an argument
 *         that is NULL or @opts, -E2BIG for @opts.
 * Context: does not block, unless @next does.
 * Crash: killed inside, what was submitted is run.
 */
MPROC_API MPROC_NODISCARD int
mproc_pool_imap(mproc_pool *pool, mproc_task *fn, mproc_source *next, void *src,
		const struct mproc_imap_opts *opts, mproc_iter **ret_it);

/**
 * mproc_iter_next() - take the next result
 * @it:      iterator
 * @out:     where it goes; may be NULL if @size is 0
 * @size:    room in bytes
 * @ret_len: receives its length; may be NULL
 * @timeout: how long to wait for it
 *
 * Return: as mproc_future_get(), where after 0 and MPROC_TASK_FAILED the next one comes
 *         next, and after an error the same. -ENODATA at the end; before that, once, the
 *         error of the source. If no task is left, also as mproc_pool_submit(). -ECHILD
 *         in another process.
 * Context: may block until @timeout. In a task it may run awaited tasks.
 * Crash: what was submitted is run.
 */
MPROC_API MPROC_NODISCARD int
mproc_iter_next(mproc_iter *it, void *out, size_t size, size_t *ret_len,
		mproc_timeout timeout);

/**
 * mproc_iter_item() - which result was taken last
 * @it:       iterator
 * @ret_item: receives the number of its input, from 0
 *
 * Return: 0; -EINVAL if an argument is NULL; -ECHILD in another process.
 * Context: never blocks.
 * Crash: nothing has changed.
 */
MPROC_API int mproc_iter_item(mproc_iter *it, size_t *ret_item);

/**
 * mproc_iter_error() - why the task has failed whose result was taken last
 * @it:        iterator
 * @ret_error: filled in on success
 *
 * Return: 0; -ENODATA if it has not; -EINVAL if an argument is NULL; -ECHILD in another
 *         process.
 * Context: never blocks.
 * Crash: nothing has changed.
 */
MPROC_API int mproc_iter_error(mproc_iter *it, struct mproc_task_error *ret_error);

/**
 * mproc_iter_close() - take no more results
 * @it: iterator, or NULL
 *
 * What nobody has begun is not begun; what runs is run to its end.
 *
 * Context: does not block.
 * Crash: as for mproc_future_close().
 */
MPROC_API void mproc_iter_close(mproc_iter *it);

/**
 * mproc_pool_close() - take no more tasks
 * @pool: pool
 *
 * What was submitted is done; then the workers end. Tasks that run cannot submit any
 * more either.
 *
 * Return: 0, or a negative error: -ECHILD if the calling process is not its creator;
 *         -EINVAL, -EFAULT, -ESTALE as mproc_pool_submit().
 * Context: does not block.
 * Crash: it is closed or not, and ends in any case.
 */
MPROC_API int mproc_pool_close(mproc_pool *pool);

/**
 * mproc_pool_terminate() - end a pool at once
 * @pool: pool
 *
 * Workers are killed, by SIGKILL; not threads, of which each ends with the task that it
 * has. Tasks that are not done fail with -ESHUTDOWN.
 *
 * Return: as mproc_pool_close().
 * Context: does not block.
 * Crash: it is terminated or not, and ends in any case.
 */
MPROC_API int mproc_pool_terminate(mproc_pool *pool);

/**
 * mproc_pool_resize() - change how many workers a pool has
 * @pool:    pool
 * @workers: how many there are to be, up to 512; 0: as many as mproc_cpu_count()
 *
 * New ones begin a little later, as those of a new pool do, with what the creator had when
 * it made the pool. If there are too many, those end first that have nothing to do; others
 * come to the end of their task before, or of a map, to that of the chunk that they are
 * at. Nothing is lost by it, nobody is killed, and who ends so is no death.
 *
 * New ones take chunks of a map that was submitted before, as far as there are some that
 * nobody has begun: 64 workers can do that, or as many as there were when it was submitted if
 * those were more. Its chunks stay as large as they are.
 * How large chunks of maps, and windows of iterators, are that nothing is said of goes by
 * the number that there is to be. Inline, that is all that it changes.
 *
 * Return: 0, or a negative error, and nothing has changed:
 *   -EINVAL     @workers makes no sense; or @pool, as mproc_pool_submit()
 *   -ESHUTDOWN  it was terminated, has failed, or has ended
 *   -ECHILD     the calling process is not its creator
 *   -ENOMEM, -ENOSPC  no memory
 *   -EFAULT, -ESTALE  as mproc_pool_submit()
 * Context: does not block. Starts no keeper: if that is dead, the next one does it.
 * Crash: it is changed or not; the pool ends with its creator.
 */
MPROC_API int mproc_pool_resize(mproc_pool *pool, int workers);

/**
 * mproc_pool_join() - wait until a pool has ended
 * @pool:    pool, closed or terminated
 * @timeout: how long to wait
 *
 * Return: 0 when no worker is left, and no task that is not done; or a negative error:
 *   -EINVAL     it is neither closed nor terminated, or no pool
 *   -EAGAIN     it has not ended, and @timeout is MPROC_NOWAIT
 *   -ETIMEDOUT  it still has not
 *   -EINTR      mproc_interrupt() was called
 *   -ECHILD     the calling process is not its creator
 *   -EDEADLK    this is a task of the pool, which is inline or one of threads
 *   -EFAULT, -ESTALE  as mproc_pool_submit()
 *   -EAGAIN, -ENOMEM, -ENOSPC, -EMFILE, -ENFILE, -ENOLCK  the keeper of a pool that was
 *               not terminated is dead, and there cannot be another; so others, as
 *               mproc_process_start()
 * Context: may block until @timeout; if that keeper is dead, also while another one is
 *          started, as mproc_future_get() does.
 * Crash: the pool ends with its creator.
 */
MPROC_API MPROC_NODISCARD int
mproc_pool_join(mproc_pool *pool, mproc_timeout timeout);

/**
 * mproc_pool_free() - end a pool, and free what it had
 * @pool: pool, or NULL
 *
 * Terminates it if it has not ended. Its futures are gone then, too. In another
 * process than its creator this does nothing.
 *
 * Context: blocks for as long as SIGKILL takes, and starts no process: if the keeper is
 *          dead, this call does the rest. If somebody has stopped the keeper, for two
 *          seconds: it is killed then. A pool that does not end within some seconds all the
 *          same, as a worker has taken another user's identity, or is stopped or has blocked
 *          SIGRTMAX and has outlived its keeper, a thread does not come to the end of its
 *          task, or somebody who waits has begun to start a keeper, and is stopped or waits
 *          for a fork server to begin, stays, and the log says so; it can be freed later.
 * Crash: the pool ends with its creator.
 */
MPROC_API void mproc_pool_free(mproc_pool *pool);

/**
 * struct mproc_pool_stat - a pool at this moment
 * @phase:       an enum mproc_pool_phase
 * @size:        how many workers there are to be
 * @workers:     how many there are and have begun; inline, threads that are in tasks
 * @queued:      tasks and maps that nobody has begun
 * @running:     tasks and maps that are being run, or waiting in one for another
 * @futures:     futures that are not closed, or whose tasks are not done
 * @done:        tasks, and items of maps, that workers have come to the end of
 * @deaths:      workers that have ended other than with code 0
 * @retried:     how often a task, or an item of a map, was put back after a death
 * @given_up:    tasks, and items of maps, that have failed as more workers have died
 *               with them than .retries allows, and are not run any more
 * @keepers:     how many keepers there were
 * @keeper:      process id of the keeper, or 0; of threads it is the creator's
 * @initializer: what the initializer has returned that made the pool fail; -EOWNERDEAD:
 *               workers die in it; or 0
 * @name:        its name
 */
struct mproc_pool_stat {
	int phase;
	unsigned size;
	unsigned workers;
	size_t queued;
	size_t running;
	size_t futures;
	uint64_t done;
	uint64_t deaths;
	uint64_t retried;
	uint64_t given_up;
	uint64_t keepers;
	pid_t keeper;
	int initializer;
	char name[64];
};

/**
 * mproc_pool_stat() - look at a pool
 * @pool:     pool
 * @ret_stat: filled in on success
 *
 * Takes as long as it takes to look at each future once; the figures are not of one
 * moment.
 *
 * Return: 0; -EINVAL, -EFAULT, -ESTALE as mproc_pool_submit().
 * Context: never blocks.
 * Crash: nothing has changed.
 */
MPROC_API int mproc_pool_stat(mproc_pool *pool, struct mproc_pool_stat *ret_stat);

MPROC_END_DECLS

#endif
