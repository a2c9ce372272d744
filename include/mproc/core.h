/* SPDX-License-Identifier: MIT */
/*
 * core.h - what all of libmproc shares: returns, time, options, error text.
 *
 * Returns. An int below zero is -errno and nothing happened: no message is
 * lost, no lock is held, no memory is changed that anyone else can see. Zero
 * is success. A positive value is an outcome that the function documents (a
 * count, for instance). mproc_strerror() names any of them, and
 * mproc_error_detail() tells this thread's last failure in full.
 *
 * Time. Whatever can block takes an mproc_timeout as its last argument. It is
 * a structure so that a bare number does not compile. Time is measured on
 * CLOCK_MONOTONIC; the clock is read only when a call really blocks. A call
 * that was given MPROC_NOWAIT and would block returns -EAGAIN; one that waited
 * and ran out of time returns -ETIMEDOUT. Waiting goes on after a signal
 * handler has run, unless that calls mproc_interrupt().
 *
 * First use. A thread becomes a participant of the arena with the first call
 * that needs it, and gives that up when it ends. That can fail, with -EAGAIN if
 * 1024 threads of the family are participants, -ENOLCK if the program closed
 * the arena's descriptors, -ENOMEM or -ENOSPC.
 *
 * Unless a function says otherwise, in every header of libmproc:
 *   Threads: safe to call from any thread at any time.
 *   Signals: not safe to call from a signal handler.
 *   fork:    works in the child of a plain fork() as well; a process-local
 *            handle (see its header) gives -ECHILD there. For _Fork(), clone()
 *            and vfork() see mproc(7).
 *   Crash:   if the caller is killed at any instruction inside, the shared
 *            objects stay usable for everyone else.
 */
#ifndef MPROC_CORE_H
#define MPROC_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <mproc/export.h>

MPROC_BEGIN_DECLS

/**
 * struct mproc_timeout - how long to wait
 * @ns: 0 not at all, INT64_MAX for ever, above 0 relative nanoseconds, below
 *      0 an absolute time on CLOCK_MONOTONIC, negated
 *
 * Use the makers below rather than the field.
 */
typedef struct mproc_timeout {
	int64_t ns;
} mproc_timeout;

/* MPROC_NOWAIT: return -EAGAIN rather than block. Twin: mproc_nowait(). */
/* MPROC_FOREVER: wait without a limit. Twin: mproc_forever(). */
#if defined(__cplusplus)
#define MPROC_NOWAIT (mproc_timeout{ 0 })
#define MPROC_FOREVER (mproc_timeout{ INT64_MAX })
#else
#define MPROC_NOWAIT ((mproc_timeout){ 0 })
#define MPROC_FOREVER ((mproc_timeout){ INT64_MAX })
#endif

/**
 * mproc_nowait() - MPROC_NOWAIT for callers without macros
 *
 * Return: a timeout of zero.
 * Context: never blocks; async-signal-safe.
 */
MPROC_API mproc_timeout mproc_nowait(void);

/**
 * mproc_forever() - MPROC_FOREVER for callers without macros
 *
 * Return: a timeout that never expires.
 * Context: never blocks; async-signal-safe.
 */
MPROC_API mproc_timeout mproc_forever(void);

/**
 * mproc_us() - wait so many microseconds
 * @us: microseconds; negative means not at all
 *
 * Return: a relative timeout; for ever where the nanoseconds exceed 64 bits.
 * Context: never blocks; async-signal-safe.
 */
MPROC_API inline mproc_timeout mproc_us(int64_t us);

/**
 * mproc_ms() - wait so many milliseconds
 * @ms: milliseconds; negative means not at all
 *
 * Return: a relative timeout; for ever where the nanoseconds exceed 64 bits.
 * Context: never blocks; async-signal-safe.
 */
MPROC_API inline mproc_timeout mproc_ms(int64_t ms);

/**
 * mproc_sec() - wait so many seconds
 * @sec: seconds; negative means not at all
 *
 * Return: a relative timeout; for ever where the nanoseconds exceed 64 bits.
 * Context: never blocks; async-signal-safe.
 */
MPROC_API inline mproc_timeout mproc_sec(int64_t sec);

/**
 * mproc_until() - wait until a point in time
 * @monotonic_ns: a value as mproc_now() gives it
 *
 * One absolute timeout can be passed to several calls, which then share it.
 *
 * Return: an absolute timeout; a time that has passed gives -ETIMEDOUT.
 * Context: never blocks; async-signal-safe.
 */
MPROC_API inline mproc_timeout mproc_until(int64_t monotonic_ns);

inline mproc_timeout
mproc_us(int64_t us)
{
	mproc_timeout t = { us < 0 ? 0 :
			    us > INT64_MAX / 1000 ? INT64_MAX : us * 1000 };

	return t;
}

inline mproc_timeout
mproc_ms(int64_t ms)
{
	mproc_timeout t = { ms < 0 ? 0 :
			    ms > INT64_MAX / 1000000 ? INT64_MAX :
						       ms * 1000000 };

	return t;
}

inline mproc_timeout
mproc_sec(int64_t sec)
{
	mproc_timeout t = { sec < 0 ? 0 :
			    sec > INT64_MAX / 1000000000 ? INT64_MAX :
							   sec * 1000000000 };

	return t;
}

inline mproc_timeout
mproc_until(int64_t monotonic_ns)
{
	mproc_timeout t = { monotonic_ns > 0 ? -monotonic_ns : -1 };

	return t;
}

/**
 * mproc_now() - the clock that timeouts are measured on
 *
 * Return: nanoseconds of CLOCK_MONOTONIC.
 * Context: never blocks; async-signal-safe.
 */
MPROC_API int64_t mproc_now(void);

/*
 * MPROC_OPTS(tag, .field = value, ...): a pointer to a struct tag with these
 * fields set, all others zero (their defaults) and struct_size filled in. It
 * lives to the end of the enclosing block in C, of the full expression in C++.
 * At least one field; a value with a comma outside parentheses must be put
 * into parentheses or a variable. Twin: mproc_opts_init().
 */
#if defined(__cplusplus)
#define MPROC_OPTS(tag, ...)                                                  \
	(::mproc_opts_address([&]() -> struct tag {                           \
		struct tag mproc_o_ = tag();                                  \
		mproc_o_.struct_size = sizeof(mproc_o_);                      \
		MPROC_OPTS_SET_(__VA_ARGS__)                                  \
		return mproc_o_;                                              \
	}()))
#else
#define MPROC_OPTS(tag, ...)                                                  \
	(&(const struct tag){ .struct_size = sizeof(struct tag), __VA_ARGS__ })
#endif

/**
 * mproc_opts_init() - MPROC_OPTS for callers without macros
 * @opts:        an options structure
 * @struct_size: its size in bytes, at least sizeof(size_t)
 *
 * Zeroes the structure and notes its size in the first member.
 *
 * Context: never blocks; async-signal-safe.
 */
MPROC_API void mproc_opts_init(void *opts, size_t struct_size);

/**
 * mproc_strerror() - name and meaning of a return value
 * @r: what a function of libmproc returned
 *
 * Return: a constant string such as "EMSGSIZE: message too long"; never NULL.
 * Context: never blocks; async-signal-safe.
 */
MPROC_API const char *mproc_strerror(int r);

/**
 * mproc_error_detail() - this thread's last failure in full
 *
 * The text names sizes, objects and processes ("message of 70000 bytes, the
 * queue takes at most 65528"). It is for people and logs; do not parse it.
 * Successful calls leave it as it is. -ETIMEDOUT and -EINTR set none, nor does
 * -EAGAIN where it only says that the call would block.
 *
 * Return: a string that is valid until this thread's next failing call; ""
 *         if nothing has failed yet.
 * Context: never blocks.
 */
MPROC_API const char *mproc_error_detail(void);

/**
 * mproc_version() - version of the library that is linked
 *
 * Return: a constant string such as "0.1.0".
 * Context: never blocks; async-signal-safe.
 */
MPROC_API const char *mproc_version(void);

/**
 * mproc_cpu_count() - how many CPUs this process may use
 *
 * The smaller of the calling thread's affinity mask and the CPU quota of its
 * control group, rounded up.
 *
 * Return: at least 1.
 * Context: reads a few small files; not for hot paths.
 */
MPROC_API int mproc_cpu_count(void);

/**
 * mproc_interrupt() - have all threads of this process stop waiting
 *
 * The present waiting call of each thread, or its next one, returns -EINTR,
 * once; nothing has happened then, and the call can be made again. A call that
 * does not have to wait does not return it, nor does one with MPROC_NOWAIT.
 * Several interrupts before a thread's next wait count as one. Threads that
 * are made afterwards (by the clock of /proc, whose ticks are 10 ms) and other
 * processes are not concerned. Meant for signal handlers: of SIGINT, say.
 *
 * Context: does not block; async-signal-safe. A thread that waits for the end
 *          of a process is told within 20 ms; within 64 ms where the kernel has
 *          no pidfds or there is no descriptor for it.
 */
MPROC_API void mproc_interrupt(void);

/**
 * mproc_at_exit() - run a function when this process ends in order
 * @fn:  function
 * @arg: its argument
 *
 * A process ends in order when its entry or its main() returns, or by exit();
 * not by _exit() or a signal. What was registered last runs first; then the
 * exit rules of process.h apply. In a started process, unlike what atexit() was
 * given, functions that its parent registered do not run; nor in the child of
 * a plain fork().
 *
 * Return: 0, or a negative error:
 *   -EINVAL  @fn is NULL
 *   -ENOMEM  no memory
 * Context: does not block.
 */
MPROC_API MPROC_NODISCARD int mproc_at_exit(void (*fn)(void *arg), void *arg);

/**
 * enum mproc_log_level - how much mproc_log_set() lets through
 * @MPROC_LOG_OFF:     nothing, the default
 * @MPROC_LOG_ERROR:   something is broken: corrupt shared memory, say
 * @MPROC_LOG_WARNING: something needs attention
 * @MPROC_LOG_INFO:    events of interest: a dead participant was cleaned up
 * @MPROC_LOG_DEBUG:   everything
 */
enum mproc_log_level {
	MPROC_LOG_OFF = 0,
	MPROC_LOG_ERROR = 1,
	MPROC_LOG_WARNING = 2,
	MPROC_LOG_INFO = 3,
	MPROC_LOG_DEBUG = 4
};

/**
 * mproc_log_fn - receives one line of log
 * @ctx:   as given to mproc_log_set()
 * @level: an enum mproc_log_level
 * @text:  one line without a newline; valid during the call only
 *
 * Called by the thread in which the event happens; must not call libmproc.
 */
typedef void mproc_log_fn(void *ctx, int level, const char *text);

/**
 * mproc_log_set() - choose where log lines go
 * @level: the highest level wanted
 * @fn:    receiver, or NULL for standard error
 * @ctx:   passed to @fn
 *
 * Overrides MPROC_LOG=error|warning|info|debug in the environment, which logs
 * to standard error. Without either the library is silent. Not meant to be
 * called while other threads are inside libmproc.
 *
 * Without @fn, a process that has passed output on (MPROC_STDIO_LINES) leaves out a
 * line for which standard error is not free for 100 ms: another thread has it locked,
 * or it takes nothing. In any other process a line waits for that, as any output does,
 * and so does the call that logs it.
 *
 * Context: never blocks; not safe against concurrent calls of itself.
 */
MPROC_API void mproc_log_set(int level, mproc_log_fn *fn, void *ctx);

MPROC_END_DECLS

#if defined(__cplusplus)
/* What MPROC_OPTS needs in C++11, which has no designated initialisers. */
template <typename T>
inline const T *
mproc_opts_address(const T &opts)
{
	return &opts;
}

#define MPROC_OPTS_SET_(...)                                                  \
	MPROC_OPTS_PICK_(__VA_ARGS__, MPROC_OPTS_16_, MPROC_OPTS_15_,         \
			 MPROC_OPTS_14_, MPROC_OPTS_13_, MPROC_OPTS_12_,      \
			 MPROC_OPTS_11_, MPROC_OPTS_10_, MPROC_OPTS_9_,       \
			 MPROC_OPTS_8_, MPROC_OPTS_7_, MPROC_OPTS_6_,         \
			 MPROC_OPTS_5_, MPROC_OPTS_4_, MPROC_OPTS_3_,         \
			 MPROC_OPTS_2_, MPROC_OPTS_1_, )                      \
	(__VA_ARGS__)
#define MPROC_OPTS_PICK_(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p,      \
			 macro, ...)                                          \
	macro
#define MPROC_OPTS_1_(x) mproc_o_ x;
#define MPROC_OPTS_2_(x, ...) mproc_o_ x; MPROC_OPTS_1_(__VA_ARGS__)
#define MPROC_OPTS_3_(x, ...) mproc_o_ x; MPROC_OPTS_2_(__VA_ARGS__)
#define MPROC_OPTS_4_(x, ...) mproc_o_ x; MPROC_OPTS_3_(__VA_ARGS__)
#define MPROC_OPTS_5_(x, ...) mproc_o_ x; MPROC_OPTS_4_(__VA_ARGS__)
#define MPROC_OPTS_6_(x, ...) mproc_o_ x; MPROC_OPTS_5_(__VA_ARGS__)
#define MPROC_OPTS_7_(x, ...) mproc_o_ x; MPROC_OPTS_6_(__VA_ARGS__)
#define MPROC_OPTS_8_(x, ...) mproc_o_ x; MPROC_OPTS_7_(__VA_ARGS__)
#define MPROC_OPTS_9_(x, ...) mproc_o_ x; MPROC_OPTS_8_(__VA_ARGS__)
#define MPROC_OPTS_10_(x, ...) mproc_o_ x; MPROC_OPTS_9_(__VA_ARGS__)
#define MPROC_OPTS_11_(x, ...) mproc_o_ x; MPROC_OPTS_10_(__VA_ARGS__)
#define MPROC_OPTS_12_(x, ...) mproc_o_ x; MPROC_OPTS_11_(__VA_ARGS__)
#define MPROC_OPTS_13_(x, ...) mproc_o_ x; MPROC_OPTS_12_(__VA_ARGS__)
#define MPROC_OPTS_14_(x, ...) mproc_o_ x; MPROC_OPTS_13_(__VA_ARGS__)
#define MPROC_OPTS_15_(x, ...) mproc_o_ x; MPROC_OPTS_14_(__VA_ARGS__)
#define MPROC_OPTS_16_(x, ...) mproc_o_ x; MPROC_OPTS_15_(__VA_ARGS__)
#endif

#endif
