/* SPDX-License-Identifier: MIT */
/*
 * process.h - start, watch and end processes.
 *
 * A started process runs one function, its entry, and ends when the entry
 * returns. It is a forked copy of the caller, or begins with a new image of the
 * program (enum mproc_start_method). Shared objects that the caller made before
 * are at the same addresses in both.
 *
 * A mproc_process is a process-local handle: it belongs to the process that
 * started it, and in any other process (a forked child) everything but
 * mproc_process_close() gives -ECHILD, false, 0 or NULL.
 *
 * How a process ended is kept apart: a code if it returned or called exit(),
 * a signal if it was killed; 137 is never mistaken for SIGKILL.
 *
 * A process that ends in order (its entry or main() returns, or it calls
 * exit()) looks after the processes that it has started and that still run,
 * whether their handles are closed or not: daemons get SIGTERM, and a second
 * later SIGKILL; then the others are waited for, as long as
 * mproc_set_exit_limit() says, and after that treated like daemons. Those that
 * were started with .outlive_parent are left alone. While it waits it logs a
 * warning every ten seconds. What one that has ended has left to be passed on
 * (MPROC_STDIO_LINES) is waited for like one that runs, and given up a second
 * after that would have been asked to end. mproc_at_exit() functions run before
 * all that. (exit() in a signal handler is not safe; where it came in the middle
 * of a call of libmproc, the rules are left out.)
 *
 * A started process does not outlive the one that started it, unless it was
 * told to by .outlive_parent: when its parent dies, the kernel sends it
 * SIGRTMAX, whose handler, set in started processes only, ends it. (Others there
 * are those of crash reports, see struct mproc_exit.) No handler is ever set in
 * the parent. (Where a sandbox refuses that, a timer sends the
 * signal once a second, and the handler looks whether the parent lives; where
 * that is refused, too, the process ends at once, with code 137 and without
 * having called its entry.) An entry that blocks SIGRTMAX, or changes its user
 * id, gives that up; one that execs another program leaves it with the signal's
 * default action, which also comes when the thread that started it ends.
 */
#ifndef MPROC_PROCESS_H
#define MPROC_PROCESS_H

#include <mproc/core.h>
#include <mproc/pipe.h>

MPROC_BEGIN_DECLS

typedef struct mproc_process mproc_process;

/**
 * mproc_entry - what a started process runs
 * @arg: as given to mproc_process_start()
 *
 * Returns the exit status, of which the low 8 bits count.
 */
typedef int mproc_entry(void *arg);

/**
 * enum mproc_start_method - how a process comes into being
 * @MPROC_FORK:  as a copy of the process that starts it
 * @MPROC_SPAWN: with a new image of the program, in which the entry runs in place
 *               of main(), after all constructors. To start one costs the same
 *               however large the caller is, and threads of the caller do not
 *               matter. But it has nothing of the caller's memory except the
 *               default arena, if that exists by then: static variables are as
 *               the program begins with them, and named arenas are to be opened
 *               there. The entry may be any function of the program or of a
 *               library, static ones included; a library that is not there is
 *               loaded from where the caller has it.
 * @MPROC_FORKSERVER: as a copy of a process that is kept for that, the fork server:
 *               a new image that the caller starts once, and that may have prepared
 *               something (mproc_forkserver_start()). It is small, so to copy it
 *               takes little, and has one thread. What is true of MPROC_SPAWN is
 *               true of this, and the processes are the caller's own children all
 *               the same. Each process that starts others so has a server of its
 *               own; while starts follow each other within a second, a copy of the
 *               server that is ready for the next one, too. Both are children of
 *               the caller, which sees them if it waits for any child.
 *
 * With MPROC_SPAWN the argument is a pointer into the default arena, or NULL or
 * another number below 4096, or is copied (.arg_size). Descriptors that are closed
 * at exec are not there unless they are in .keep_fds; signal handlers are gone, and
 * what is ignored or blocked stays so. The usual start method is the caller's in
 * the new process, too; a mproc_log_set() is not.
 *
 * With MPROC_FORKSERVER the standard streams, .keep_fds, environment, working
 * directory, CPUs and blocked signals are the caller's at the time of the start, or
 * what the options say; all else, as limits, the umask, ignored signals and other
 * open files, is what it was when the server began. Functions that were given to
 * pthread_atfork() are not called. The preload function should not leave threads
 * behind, nor hold locks. The server is a child of the caller's, too, and has what
 * the caller's standard streams led to when it began: who waits for any child, or
 * for the end of what is written there, stops it first.
 *
 * What is to begin anew must be able to do so: the program and the library with
 * the entry need a build-id (linkers write one unless told otherwise), and libmproc
 * must be linked to the program itself and loaded with it. Where it is loaded
 * later, as in an interpreter, or by way of another library, the program calls
 * mproc_process_main(), or the caller names another program (.exe). In a
 * constructor of a process that was started so, no other can be; nor in one whose
 * effective user or group is not its real one, or whose program gives it rights.
 */
enum mproc_start_method {
	MPROC_FORK = 1,
	MPROC_SPAWN = 2,
	MPROC_FORKSERVER = 3
};

/**
 * enum mproc_stdio_kind - where one of the standard streams leads
 * @MPROC_STDIO_INHERIT: where the caller's leads
 * @MPROC_STDIO_NULL:    to /dev/null
 * @MPROC_STDIO_FD:      to an open file of the caller
 * @MPROC_STDIO_LINES:   for output, to where the caller's stdout or stderr leads, line
 *                       by line, each as "[name] line". A thread of the caller passes
 *                       them on, through these streams, as long as there are such
 *                       processes, or others to which they have handed it on; what
 *                       the process has printed is there when it is joined, or
 *                       the caller has waited for it at its own end. So what
 *                       tells that the process has ended waits, whatever its
 *                       timeout, as long as the stream takes nothing; the caller's
 *                       end, only if it is in its own write to that stream, or has
 *                       left something in it, as with any output. A line of more
 *                       than 4095 bytes is broken
 */
enum mproc_stdio_kind {
	MPROC_STDIO_INHERIT = 0,
	MPROC_STDIO_NULL = 1,
	MPROC_STDIO_FD = 2,
	MPROC_STDIO_LINES = 3
};

/**
 * struct mproc_stdio - where one of the standard streams leads
 * @kind: an enum mproc_stdio_kind
 * @fd:   for MPROC_STDIO_FD, a descriptor of the caller, which keeps it
 */
struct mproc_stdio {
	int kind;
	int fd;
};

/**
 * struct mproc_limit - a limit on what a process may use
 * @resource: one of the RLIMIT_ numbers of <sys/resource.h>
 * @soft:     what it is held to; UINT64_MAX: nothing
 * @hard:     what it may raise @soft to; UINT64_MAX: as far as it likes
 */
struct mproc_limit {
	int resource;
	uint64_t soft;
	uint64_t hard;
};

/**
 * struct mproc_process_opts - how to start a process
 * @struct_size:    filled in by MPROC_OPTS
 * @name:           for people; copied, up to 63 bytes; NULL means "process-1",
 *                  "process-2", ... The first 15 bytes are what ps shows.
 * @arg_size:       bytes at the argument that the entry gets a copy of, at an
 *                  address aligned for anything; 0: it gets the pointer itself
 * @env:            the environment, strings "NAME=value" and a NULL behind
 *                  them, which are copied; NULL: the caller's
 * @cwd:            the working directory, absolute or from the caller's; NULL:
 *                  the caller's
 * @keep_fds:       descriptors that stay open besides 0, 1, 2 and libmproc's
 *                  own; all others are closed
 * @cpus:           numbers of the CPUs that it may run on, of which those count
 *                  that exist and that the system lets it use
 * @n_keep_fds:     how many @keep_fds there are; 0: everything stays open; -1:
 *                  none
 * @n_cpus:         how many @cpus there are; 0: those of the calling thread
 * @method:         an enum mproc_start_method; 0: the default
 * @stdin_:         where its standard input comes from; what the caller's
 *                  stdin has read ahead is dropped unless that is inherited
 * @stdout_:        where its standard output goes to
 * @stderr_:        where its standard error goes to. The three are set at the
 *                  same time: 1 and 2 can be exchanged.
 * @daemon:         ended when this process ends in order, rather than waited
 *                  for
 * @outlive_parent: it goes on when this process ends in order, or dies
 * @no_report:      if it crashes, it leaves no report: see struct mproc_exit
 * @exe:            for MPROC_SPAWN, the program to run in place of the caller's,
 *                  absolute or from the caller's working directory. It is linked
 *                  with the same build of libmproc, by itself, or calls
 *                  mproc_process_main(); the entry is in a library. NULL: the
 *                  caller's program
 * @limits:         limits that it is to have; of all others it has the caller's
 * @n_limits:       how many @limits there are
 * @nice:           its nice value, from -20 to 19, of which those below the
 *                  caller's are for privileged processes; 0: the caller's
 * @process_group:  the process group that it is in: that of another process of the
 *                  session, by its number; -1: a new one of its own, which Ctrl-C
 *                  does not reach; 0: the caller's
 * @conns:          ends of pipes that it is to hold, and the caller no more: see
 *                  pipe.h. All members of a group that are started with the same
 *                  options hold them
 * @n_conns:        how many @conns there are; 0: with MPROC_FORK it holds all ends of
 *                  pipes that the caller holds, which goes on to hold them,
 *                  otherwise none; -1: none
 */
struct mproc_process_opts {
	size_t struct_size;
	const char *name;
	size_t arg_size;
	const char *const *env;
	const char *cwd;
	const int *keep_fds;
	const int *cpus;
	int n_keep_fds;
	int n_cpus;
	int method;
	struct mproc_stdio stdin_;
	struct mproc_stdio stdout_;
	struct mproc_stdio stderr_;
	bool daemon;
	bool outlive_parent;
	bool no_report;
	const char *exe;
	const struct mproc_limit *limits;
	int n_limits;
	int nice;
	pid_t process_group;
	mproc_conn *const *conns;
	int n_conns;
};

/**
 * mproc_process_start() - run a function in a new process
 * @ret_p: receives the handle
 * @fn:    the entry
 * @arg:   its argument: a pointer into the arena, or, for MPROC_FORK, to
 *         anything that the child may read from its copy of the caller's memory;
 *         or, with .arg_size, to bytes that are copied before this returns
 * @opts:  options, or NULL
 *
 * What standard output and standard error hold is flushed first, so that
 * nothing is printed twice (but a stream that another thread is just writing to
 * is left to that one). A forked child keeps signal handlers, signal mask and
 * open files; only the calling thread exists in it, and what other threads have
 * locked stays locked there: a process that has any is warned once, by the log.
 * When @fn returns, the child runs its own mproc_at_exit() functions, keeps the exit
 * rules for its own children, flushes stdout and stderr and ends, without running the
 * caller's atexit() functions. exit() in @fn does the same, but first runs the
 * atexit() functions that the caller has registered after it first started a
 * process: better return. @fn runs with cancellation disabled, as one that is
 * pending in the caller is not meant for it.
 *
 * The child applies .process_group, .nice, .cpus, .cwd, .env, the standard streams,
 * .keep_fds and .limits, in that order, before this returns and before @fn runs. If
 * one of them cannot be applied, @fn is not run; the error detail says which and why.
 * @fn may have begun, and be over, when this returns.
 *
 * Return: 0, or a negative error, and no process was started:
 *   -EINVAL  @ret_p or @fn is NULL, or @arg with .arg_size; an option makes no
 *            sense, alone or beside another, or @opts->struct_size; or the
 *            process may use none of .cpus; or a fork server is to hand on more
 *            than 245 of .keep_fds
 *   -E2BIG   @opts has fields that this library does not know
 *   -ENOEXEC  @fn cannot be run in a new image, or there can be none; or that
 *            ended, or had not come to libmproc after 30 seconds (.exe): the error
 *            detail has the reason
 *   -EFAULT  @arg is no memory that a new image has; or one of .conns is no shared
 *            memory
 *   -ESTALE  this process does not hold one of .conns
 *   -ECHILD  this process is the child of a fork(2) that a signal handler has made
 *            in the middle of the call, in which it goes on; for its parent the call
 *            goes on, too
 *   -EBUSY   one of .conns is a socket, and a message, or a descriptor, has been sent
 *            or received in part there, or another thread is in a call for it
 *   -EBADMSG one of .conns is a socket from which came what is no message
 *   -EPIPE   three fork servers in turn were killed, or have ended as they had no
 *            memory
 *   -ENOSYS  the kernel does not tell a fork server what it needs
 *            (PR_GET_TID_ADDRESS)
 *   -EEXIST  three new images in turn had something else where the arena is
 *   -EBADF   a descriptor among .keep_fds or for a standard stream is not open, or
 *            the program has closed one of the arena's, for MPROC_SPAWN
 *   -ENOENT, -ENOTDIR, -EACCES and others that chdir() gives, for .cwd; -EPERM
 *            and others that sched_setaffinity() gives in a sandbox, for .cpus
 *   -EPERM, -EACCES  it may not be so nice, have that limit, or be in that group
 *   -EBADMSG  the child's word about its options makes no sense
 *   -ENOENT, -EACCES and others that execve() gives, for .exe
 *   -EAGAIN  the limit on processes is reached
 *   -ESHUTDOWN  this process is ending, and waits for its children
 *   -EMFILE, -ENFILE  no descriptor; or, for MPROC_FORKSERVER, above the largest
 *            of .keep_fds
 *   -ENOMEM  no memory
 *   -E2BIG   for MPROC_SPAWN, and where a fork server is begun: the environment and
 *            the program's arguments are larger than exec takes
 *   -EFBIG, -ENOLCK  for both: the limit on files (RLIMIT_FSIZE) or on locks of
 *            files is reached
 *   -ENOSYS  the system offers no way to close all but .keep_fds
 * Context: as fork() does; blocks if standard output or standard error do, as
 *          a full pipe does, also with the last lines of a process whose handle was
 *          closed, or if the file system of .cwd does. For MPROC_SPAWN until the
 *          new image has come to the constructors of the program, and for
 *          MPROC_FORKSERVER as long as somebody has stopped the server.
 * Crash: killed inside, the child notices that its parent is gone and ends.
 */
MPROC_API MPROC_NODISCARD int
mproc_process_start(mproc_process **ret_p, mproc_entry *fn, void *arg,
		    const struct mproc_process_opts *opts);

/**
 * mproc_set_start_method() - choose how processes are started by default
 * @method: an enum mproc_start_method
 *
 * Pools have a method of their own (struct mproc_pool_opts), which this does not change.
 *
 * Return: 0; -EINVAL if it is none that this library knows.
 * Context: never blocks.
 */
MPROC_API int mproc_set_start_method(int method);

/**
 * mproc_process_main() - run an entry in place of main(), where that is needed
 *
 * A program that is linked with libmproc needs no such call. One that reaches
 * libmproc in another way makes it first in main(): then its processes can be
 * started with MPROC_SPAWN. In those it does not return; in others it does nothing
 * else.
 *
 * Context: call it before main() does anything that a started process should not
 *          do.
 */
MPROC_API void mproc_process_main(void);

/**
 * struct mproc_forkserver_opts - how a fork server begins
 * @struct_size: filled in by MPROC_OPTS
 * @preload:     what it runs before it serves, so that its children need not; NULL:
 *               nothing. It is found as an entry for MPROC_SPAWN is; if it does
 *               not return 0, or exits, the server does not begin. Where the
 *               server is killed meanwhile, or crashes, another one runs it again
 * @preload_arg: its argument: NULL, or a pointer into the default arena, or a
 *               number below 4096
 */
struct mproc_forkserver_opts {
	size_t struct_size;
	mproc_entry *preload;
	void *preload_arg;
};

/**
 * mproc_forkserver_start() - start the fork server of this process
 * @opts: options, or NULL
 *
 * The first start by MPROC_FORKSERVER does it, too, with no options. When the
 * server is killed, the next start begins another one with the same options. The
 * default arena is made if it does not exist.
 *
 * Return: 0 when it serves, or a negative error: -EBUSY if there is one; -ENOEXEC
 *         if the preload function has failed, has crashed in three servers in turn,
 *         or cannot be found, or as mproc_process_start() says; -EPIPE if three in
 *         turn were killed before that; -ENOSYS if the kernel does not tell what is
 *         needed (PR_GET_TID_ADDRESS); others of mproc_process_start().
 * Context: blocks until the preload function has returned.
 */
MPROC_API int
mproc_forkserver_start(const struct mproc_forkserver_opts *opts);

/**
 * mproc_forkserver_stop() - end the fork server of this process
 *
 * The processes that it has made go on. What is started by MPROC_FORKSERVER
 * afterwards begins another one, with no options.
 *
 * Other threads may be starting processes by it: each start comes to its end, if need
 * be by another server. One that is just beginning a server uses that once, and ends
 * it. mproc_forkserver_start() in another thread is as if it was called afterwards.
 *
 * Return: 0, also if there is none.
 * Context: waits for its end: 100 ms at most for starts that are under way, then a
 *          second at most; then it is killed.
 */
MPROC_API int mproc_forkserver_stop(void);

/**
 * mproc_process_join() - wait until a process has ended
 * @p:       process
 * @timeout: how long to wait
 *
 * May be called any number of times. What the dead process held is cleaned up
 * before the call returns.
 *
 * Return: 0 when it has ended, or a negative error:
 *   -EAGAIN     it runs, and @timeout is MPROC_NOWAIT
 *   -ETIMEDOUT  it still runs
 *   -EINTR      mproc_interrupt() was called
 *   -ECHILD     the handle belongs to another process
 *   -EINVAL     @p is NULL
 * Context: may block until @timeout. In the first quarter of a millisecond of
 *          the process's life it does so awake, yielding to whoever wants the
 *          CPU, as short processes end by then.
 */
MPROC_API int mproc_process_join(mproc_process *p, mproc_timeout timeout);

/**
 * struct mproc_exit - how a process ended
 * @code:             exit status 0 to 255, or -1 if a signal ended it
 * @signal:           the signal that ended it, or 0
 * @core:             a core dump was written
 * @reaped_elsewhere: someone else waited for the process (or SIGCHLD is
 *                    ignored), so @code is what the process noted itself; it
 *                    is -1 with @signal 0 if it did not come to that
 * @pid:              its process id
 * @name:             its name; valid as long as the handle
 * @user_ns:          CPU time in user mode, nanoseconds; 0 if reaped elsewhere
 * @system_ns:        CPU time in the kernel, nanoseconds; likewise
 * @max_rss:          largest resident size, bytes; likewise
 * @out_of_memory:    of a pool's worker, which was killed by SIGKILL: the kernel has
 *                    killed somebody for want of memory in that moment, in the
 *                    control group of the pool's keeper, or on the machine if groups
 *                    do not count that; so most likely this one. Otherwise false
 * @report:           what it had to say when it crashed: text of several lines,
 *                    for people; valid as long as the handle. NULL if it did
 *                    not crash, or could not say anything
 *
 * A process crashes by SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT or
 * SIGSYS: by a fault, an abort(), or because somebody sends one of them. The
 * report has the signal with its cause and address, the thread, the last lines
 * that libmproc has logged in the process (also while the log is silent), and
 * a backtrace, as places in programs and libraries and, where the linker has
 * kept them, names of functions (-rdynamic keeps those of a program; addr2line
 * knows the rest). Its form may change. It comes in whole lines of printable
 * ASCII, and may be cut short if the process was killed while it wrote.
 *
 * The report is written by signal handlers, which are set in started processes
 * only, before the entry runs, and only for those of these signals that have
 * their default action then. A program's own handlers, set before or after,
 * win; one that calls the handler that was there before gets both. After the
 * report the process ends by the same signal, with the same core dump, as it
 * would have without: at once, or after two or three seconds where what the
 * crash has left behind makes the backtrace hang.
 *
 * The handlers run on an alternate signal stack in the thread that runs the
 * entry, unless that has one already of 16 KiB or more, and on the stack of the
 * thread elsewhere: another thread's stack overflow is reported only if the
 * thread has got itself an alternate stack. On one that is too small, below 8
 * KiB or so, there is no report, and the end may come by SIGSEGV. Children of
 * plain fork() do not report, nor do programs that were exec'ed.
 */
struct mproc_exit {
	int code;
	int signal;
	bool core;
	bool reaped_elsewhere;
	bool out_of_memory;
	pid_t pid;
	const char *name;
	int64_t user_ns;
	int64_t system_ns;
	int64_t max_rss;
	const char *report;
};

/**
 * mproc_process_exit_info() - how a process ended
 * @p:        process
 * @ret_exit: filled in on success
 *
 * Return: 0, or a negative error:
 *   -EAGAIN  it still runs
 *   -ECHILD  the handle belongs to another process
 *   -EINVAL  an argument is NULL
 * Context: does not block, unless the process has ended and its last lines are still
 *          to be passed on (MPROC_STDIO_LINES).
 */
MPROC_API int mproc_process_exit_info(mproc_process *p,
				      struct mproc_exit *ret_exit);

/**
 * mproc_process_exitcode() - how a process ended, in one number
 * @p:        process
 * @ret_code: receives the exit status, or minus the signal that ended it
 *
 * Return: 0, or a negative error as for mproc_process_exit_info(); -ENODATA
 *         if it was reaped elsewhere and left no code.
 * Context: as mproc_process_exit_info().
 */
MPROC_API int mproc_process_exitcode(mproc_process *p, int *ret_code);

/**
 * mproc_process_is_alive() - does a process run?
 * @p: process
 *
 * Return: true from start until its end; false in any other process.
 * Context: as mproc_process_exit_info().
 */
MPROC_API bool mproc_process_is_alive(mproc_process *p);

/**
 * mproc_process_pid() - the process id
 * @p: process
 *
 * Return: the id, also after its end; 0 if @p is NULL or another process's.
 * Context: does not block.
 */
MPROC_API pid_t mproc_process_pid(mproc_process *p);

/**
 * mproc_process_name() - the name
 * @p: process
 *
 * Return: the name, valid as long as the handle; NULL if @p is NULL or
 *         another process's.
 * Context: does not block.
 */
MPROC_API const char *mproc_process_name(mproc_process *p);

/**
 * mproc_process_fd() - a descriptor to wait on
 * @p: process
 *
 * Return: a pidfd, readable (poll, epoll) once the process has ended; it is
 *         the handle's: do not close it. Or a negative error: -ECHILD,
 *         -EINVAL, -ENOSYS if the kernel has no pidfds (all else works).
 * Context: does not block.
 */
MPROC_API int mproc_process_fd(mproc_process *p);

/**
 * mproc_process_terminate() - ask a process to end: SIGTERM
 * @p: process
 *
 * Return: 0, also if it has ended already; -ECHILD, -EINVAL, -EPERM.
 * Context: does not block; never signals a process that is not its own.
 */
MPROC_API int mproc_process_terminate(mproc_process *p);

/**
 * mproc_process_kill() - end a process: SIGKILL
 * @p: process
 *
 * Return: 0, also if it has ended already; -ECHILD, -EINVAL, -EPERM.
 * Context: does not block; never signals a process that is not its own.
 */
MPROC_API int mproc_process_kill(mproc_process *p);

/**
 * mproc_process_interrupt() - interrupt a process: SIGINT
 * @p: process
 *
 * What Ctrl-C does to a whole terminal's processes. For waiting calls of one's
 * own process, see mproc_interrupt().
 *
 * Return: 0, also if it has ended already; -ECHILD, -EINVAL, -EPERM.
 * Context: does not block; never signals a process that is not its own.
 */
MPROC_API int mproc_process_interrupt(mproc_process *p);

/**
 * mproc_process_signal() - send a process any signal
 * @p:      process
 * @signal: signal number; 0 sends nothing
 *
 * Return: 0, also if it has ended already; -ECHILD, -EPERM; -EINVAL if @p is
 *         NULL or @signal is no signal.
 * Context: does not block; never signals a process that is not its own.
 */
MPROC_API int mproc_process_signal(mproc_process *p, int signal);

/**
 * mproc_process_stop() - ask a process to end, then make it
 * @p:     process
 * @grace: how long to wait between SIGTERM and SIGKILL
 *
 * Return: 0 when it has ended and is reaped; -ECHILD, -EINVAL, -EPERM; -EINTR
 *         if mproc_interrupt() was called within @grace: it has been asked to
 *         end, but not killed.
 * Context: blocks for @grace at most, and for what SIGKILL takes.
 */
MPROC_API int mproc_process_stop(mproc_process *p, mproc_timeout grace);

/**
 * mproc_process_close() - free a handle
 * @p: process, or NULL
 *
 * If the process still runs it goes on, under the exit rules, and is reaped by
 * a later mproc_process_start() or mproc_process_close() once it has ended. In
 * another process than its own, only that process's copy of the handle is
 * freed.
 *
 * Context: does not block, unless this process, or another one whose handle was
 *          closed, has ended and its last lines are still to be passed on
 *          (MPROC_STDIO_LINES).
 */
MPROC_API void mproc_process_close(mproc_process *p);

/**
 * mproc_children() - the processes that this one has started and that run
 * @ret_ps: receives up to @n of their handles, the newest first; may be NULL if
 *          @n is 0
 * @n:      how many handles fit
 *
 * Processes whose handles were closed are left out. Those that have ended are
 * reaped; what happened to them can still be asked. The handles are those that
 * mproc_process_start() returned, not further ones: they must not be closed
 * twice, nor while another thread uses this function's result. Members of
 * groups and children of supervisors are among them: their handles are not the
 * program's, and not to be closed.
 *
 * Return: how many there are, which may be more than @n; -EINVAL if @n is
 *         negative or @ret_ps is missing. A forked child has none.
 * Context: does not block.
 */
MPROC_API int mproc_children(mproc_process **ret_ps, int n);

/**
 * mproc_set_exit_limit() - how long the end of this process waits for others
 * @limit: for processes that are no daemons, all of them together; MPROC_NOWAIT
 *         treats them like daemons at once. MPROC_FOREVER is the default.
 *
 * Inherited by processes that are started afterwards.
 *
 * Context: never blocks.
 */
MPROC_API void mproc_set_exit_limit(mproc_timeout limit);

/**
 * mproc_self_name() - the calling process's name
 *
 * Return: the name it was started with; "main" in a process that was not
 *         started by libmproc.
 * Context: never blocks.
 */
MPROC_API const char *mproc_self_name(void);

/**
 * mproc_parent_pid() - the process that started this one
 *
 * Return: its process id, which after its end may be another one's; 0 in a
 *         process that was not started by libmproc.
 * Context: never blocks.
 */
MPROC_API pid_t mproc_parent_pid(void);

/**
 * mproc_parent_fd() - a descriptor to wait for the parent's end on
 *
 * Return: a pidfd, readable (poll, epoll) once the parent has ended; it is
 *         libmproc's: do not close it. Or a negative error:
 *   -ENODATA  this process was not started by libmproc
 *   -EPIPE    the parent has ended
 *   -EMFILE, -ENFILE  no descriptor
 *   -ENOMEM   no memory
 *   -ENOSYS   the kernel has no pidfds
 * Context: does not block.
 */
MPROC_API int mproc_parent_fd(void);

MPROC_END_DECLS

/* What is made of processes. */
#include <mproc/group.h>
#include <mproc/supervisor.h>

#endif
