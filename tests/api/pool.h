/* SPDX-License-Identifier: MIT */
/*
 * What tests of pools share: tasks, and pools whose tasks find the scenario.
 *
 * With MPT_BACKEND=inline or threads in the environment pools are of that backend, and a
 * program has only those of its tests that say the same of it. With MPT_METHOD=spawn or
 * forkserver keepers are started so, and it has those whose tasks need none of the
 * creator's memory.
 */
#ifndef API_POOL_H
#define API_POOL_H

#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "common.h"
#include "started.h"

/* In the scratch bytes: where tasks and tests meet. */
struct board {
	struct mpt *t;
	mproc_pool *pool;
	_Atomic unsigned begun;
	_Atomic unsigned ended;
	_Atomic bool go_on;
	_Atomic pid_t pid; /* of a task's process */
	_Atomic unsigned counts[4096];
	mproc_future *futures[4096];
};

_Static_assert(sizeof(struct board) <= MPT_SCRATCH, "in the scratch bytes");

static inline struct board *
new_board(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	b->t = t;
	return b;
}

static inline struct board *
the_board(void)
{
	return mpt_scratch(mpt_here());
}

static inline int
backend(void)
{
	const char *name = getenv("MPT_BACKEND");

	if (!name)
		return MPROC_POOL_PROCESSES;
	return strcmp(name, "inline") == 0 ? MPROC_POOL_INLINE :
	       strcmp(name, "threads") == 0 ? MPROC_POOL_THREADS : -1;
}

static inline bool
are_processes(void)
{
	return backend() == MPROC_POOL_PROCESSES;
}

static inline bool
is_inline(void)
{
	return backend() == MPROC_POOL_INLINE;
}

#ifdef __has_feature
#define UNDER_TSAN __has_feature(thread_sanitizer)
#define UNDER_ASAN __has_feature(address_sanitizer)
#elif defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif
#ifndef UNDER_ASAN
#define UNDER_ASAN 0
#endif

/* In a list of tests: one in which a process that was forked beside threads starts some,
 * which ThreadSanitizer does not bear, or ends by exit(3), where LeakSanitizer looks for
 * what it has of them. */
#define test_of_children(f)                                                    \
	(UNDER_TSAN || UNDER_ASAN ? (struct CMUnitTest){ 0 } :                  \
				    (struct CMUnitTest)mpt_test(f))

/* In a list of tests: one that needs workers, which do something while the test does
 * something else; and one that has them killed, or their keeper. */
#define test_of_workers(f)                                                     \
	(is_inline() ? (struct CMUnitTest){ 0 } : (struct CMUnitTest)mpt_test(f))
#define test_of_processes(f)                                                   \
	(are_processes() ? (struct CMUnitTest)mpt_test(f) : (struct CMUnitTest){ 0 })

/* Likewise: one whose workers are to be copies of the creator. */
#define test_of_copies(f)                                                      \
	(usual_method() == MPROC_FORK ? (struct CMUnitTest)mpt_test(f) :        \
					(struct CMUnitTest){ 0 })

static inline struct board *
new_pool(struct mpt *t, const struct mproc_pool_opts *opts)
{
	struct mproc_pool_opts o = *opts;
	struct board *b = new_board(t);

	if (!o.backend)
		o.backend = backend();
	if (!o.method)
		o.method = usual_method();
	/* Nobody could say so later. */
	atomic_store(&b->go_on, is_inline());
	mpt_check_int(t, mproc_pool_create(&b->pool, &o), 0);
	return b;
}

static inline struct board *
pool_of(struct mpt *t, int workers)
{
	return new_pool(t, MPROC_OPTS(mproc_pool_opts, .workers = workers));
}

static inline mproc_future *
submit(struct board *b, mproc_task *fn, const void *in, size_t len)
{
	mproc_future *f = NULL;

	mpt_check_int(b->t, mproc_pool_submit(b->pool, fn, in, len, &f), 0);
	return f;
}

static inline mproc_future *
submit_int(struct board *b, mproc_task *fn, int i)
{
	return submit(b, fn, &i, sizeof(i));
}

static inline int
int_of(const void *in)
{
	int i;

	memcpy(&i, in, sizeof(i));
	return i;
}

/* The result of a task that leaves an int, which succeeds. */
static inline int
take_int(struct board *b, mproc_future *f)
{
	size_t len = 0;
	int i = 0;

	mpt_check_int(b->t, mproc_future_get(f, &i, sizeof(i), &len,
					     MPROC_FOREVER), 0);
	mpt_check_int(b->t, len, sizeof(i));
	mproc_future_close(f);
	return i;
}

/* The same where the pool's tasks have little time, of a task that gets an int: on a busy
 * machine any may take too long, and is tried again then. */
static inline int
take_in_time(struct board *b, mproc_future *f, mproc_task *fn, int i)
{
	struct mproc_task_error e;
	int value = 0, r;

	for (;;) {
		r = mproc_future_get(f, &value, sizeof(value), NULL,
				     MPROC_FOREVER);
		if (r == 0)
			break;
		mpt_check_int(b->t, r, MPROC_TASK_FAILED);
		mpt_check_int(b->t, mproc_future_error(f, &e), 0);
		mpt_check_int(b->t, e.error, -ETIMEDOUT);
		mproc_future_close(f);
		f = submit_int(b, fn, i);
	}
	mproc_future_close(f);
	return value;
}

static inline int
square(const void *in, size_t len, struct mproc_result *out)
{
	int i = int_of(in);

	(void)len;
	i *= i;
	return mproc_result_set(out, &i, sizeof(i));
}

/* Until the test says so. */
static inline int
linger(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();

	(void)len;
	atomic_store(&b->pid, getpid());
	atomic_fetch_add(&b->begun, 1);
	mpt_until(b->t, atomic_load(&b->go_on));
	atomic_fetch_add(&b->ended, 1);
	return len ? mproc_result_set(out, in, len) : 0;
}

/* Likewise, over an item of a map. */
static inline int
linger_over(const void *in, void *out, void *ctx)
{
	struct board *b = the_board();

	(void)ctx;
	memcpy(out, in, sizeof(int));
	atomic_fetch_add(&b->begun, 1);
	mpt_until(b->t, atomic_load(&b->go_on));
	return 0;
}

static inline void
await_begun(struct board *b, unsigned n)
{
	mpt_until(b->t, atomic_load(&b->begun) >= n);
}

static inline struct mproc_pool_stat
pool_stat(struct board *b)
{
	struct mproc_pool_stat stat;

	mpt_check_int(b->t, mproc_pool_stat(b->pool, &stat), 0);
	return stat;
}

/* It fails by a death; returns how often. */
static inline unsigned
expect_death(struct board *b, mproc_future *f, int signal, int code)
{
	struct mproc_task_error error;
	struct mproc_exit end;

	mpt_check_int(b->t, mproc_future_get(f, NULL, 0, NULL, MPROC_FOREVER),
		      MPROC_TASK_FAILED);
	mpt_check_int(b->t, mproc_future_error(f, &error), 0);
	mpt_check_int(b->t, error.error, -EOWNERDEAD);
	mpt_check_int(b->t, mproc_future_exit_info(f, &end), 0);
	mpt_check_int(b->t, end.signal, signal);
	mpt_check_int(b->t, end.code, signal ? -1 : code);
	mpt_check_int(b->t, end.pid, error.pid);
	mproc_future_close(f);
	return error.deaths;
}

static inline void
expect_error(struct board *b, mproc_future *f, int error)
{
	struct mproc_task_error e;

	mpt_check_int(b->t, mproc_future_get(f, NULL, 0, NULL, MPROC_FOREVER),
		      MPROC_TASK_FAILED);
	mpt_check_int(b->t, mproc_future_error(f, &e), 0);
	mpt_check_int(b->t, e.error, error);
	mproc_future_close(f);
}

static inline void
close_and_join(struct board *b)
{
	mpt_check_int(b->t, mproc_pool_close(b->pool), 0);
	mpt_check_int(b->t, mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	mproc_pool_free(b->pool);
}

/* Group setup: what stays of a pool is there before the first scenario. */
static inline int
with_pool(void **state)
{
	mproc_pool *p;

	if (with_arena(state) < 0 ||
	    mproc_pool_create(&p, MPROC_OPTS(mproc_pool_opts, .workers = 8,
					     .backend = backend())) < 0)
		return -1;
	mproc_pool_free(p);
	return 0;
}

/* Without core dumps, and without the handlers of who runs the tests. */
static inline void
let_workers_crash(void)
{
	const struct rlimit none = { 0, 0 };

	assert_int_equal(setrlimit(RLIMIT_CORE, &none), 0);
	assert_true(signal(SIGSEGV, SIG_DFL) != SIG_ERR);
	assert_true(signal(SIGABRT, SIG_DFL) != SIG_ERR);
}

static inline int
tell_pid(const void *in, size_t len, struct mproc_result *out)
{
	int pid = getpid();

	(void)in;
	(void)len;
	return mproc_result_set(out, &pid, sizeof(pid));
}

#endif
