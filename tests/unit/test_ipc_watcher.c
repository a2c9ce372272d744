/* SPDX-License-Identifier: MIT */
/*
 * Which thread is the watcher, and when it is the last one, with others that begin or
 * end at the wrong moment.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <mproc/mproc.h>

#include "common.h"
#include "ipc/bell.h"
#include "ipc/queue_fd.h"
#include "ipc/watcher.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/task.h"

#define WINDOW 500000000 /* ns: long enough for a thread to end */
#define ROUNDS 20

int __real_mpr_thread_start(void *(*fn)(void *arg), void *arg);
int __wrap_mpr_thread_start(void *(*fn)(void *arg), void *arg);
bool __real_mpr_task_are_last(unsigned n);
bool __wrap_mpr_task_are_last(unsigned n);

int __real_mpr_waker_open(void);
int __wrap_mpr_waker_open(void);
void __real_mpr_watched_make_free(struct mpr_watched *e);
void __wrap_mpr_watched_make_free(struct mpr_watched *e);

static mproc_queue *q;
static struct mpr_bell *bell;

static bool
rings(void)
{
	struct pollfd pfd = { .fd = mpr_bell_fd(bell), .events = POLLIN };

	return poll(&pfd, 1, 20000) == 1 && pfd.revents == POLLIN;
}

/* One that was started for the parent. */
static bool forks;
static _Atomic bool first_may_begin;

static void *
begin_late(void *arg)
{
	while (!first_may_begin)
		sched_yield();
	return mpr_watcher(arg);
}

static int
start_in_a_child(void *arg)
{
	int status;
	pid_t pid;

	forks = false;
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		return __real_mpr_thread_start(begin_late, arg);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		_exit(1);
	_exit(0);
}

int
__wrap_mpr_thread_start(void *(*fn)(void *arg), void *arg)
{
	return forks && fn == mpr_watcher ? start_in_a_child(arg) :
					    __real_mpr_thread_start(fn, arg);
}

/* As if a signal handler had forked while the watcher was started. The child begins
 * anew, and has two. */
static int
go_on_in_a_child(struct mpt *t, void *arg)
{
	uint64_t before = mpr_participants_count(the_arena());
	struct mpr_watched *e = NULL;
	int error;

	(void)arg;
	forks = true;
	mpt_check_int(t, mpr_bell_open(&bell), 0);
	(void)mpr_bell_watch_queue(bell, q, NULL, &e);
	/* In the child: its bell and entry are the parent's. */
	join_arena(t);
	mpt_check_int(t, mpr_bell_open(&bell), 0);
	mpt_check_int(t, mpr_bell_watch_queue(bell, q, NULL, &e), 0);
	mpt_until(t, mpr_participants_count(the_arena()) == before + 2);
	mpt_check_int(t, mproc_queue_put(q, "x", 1, MPROC_NOWAIT), 0);
	mpt_check(t, rings());
	first_may_begin = true;
	for (int i = 0; i < ROUNDS; i++) {
		char c;

		mpt_check(t, rings() && mpr_bell_next(bell, &error) == e);
		mpt_check_int(t, mproc_queue_get(q, &c, 1, NULL, MPROC_NOWAIT),
			      0);
		mpr_bell_arm(e);
		mpt_check_int(t, mproc_queue_put(q, "x", 1, MPROC_NOWAIT), 0);
	}
	mpt_until(t, mpr_task_threads() == 2);
	mpt_check(t, rings() && mpr_bell_next(bell, &error) == e);
	mpr_bell_unwatch(e);
	mpr_bell_close(bell);
	_exit(0);
}

static void
a_child_that_has_started_two_has_one(void **state)
{
	struct mpt *t = *state;

	assert_int_equal(mproc_queue_create(&q, NULL), 0);
	mpt_expect_exit(t, mpt_fork(t, "process", go_on_in_a_child, NULL), 0);
	mproc_arena_recover(NULL);
	mproc_queue_destroy(q);
}

/* Whether this process has a descriptor of that kind: their mark. */
static int
count_wakers(void)
{
	int n = 0;

	for (int fd = 3; fd < 256; fd++)
		n += fcntl(fd, F_GETSIG) == SIGPWR;
	return n;
}

static _Atomic int exit_code;
static bool others_fork;

static void *
start_a_child(void *arg)
{
	pid_t pid = mpr_child_fork();
	int status;

	if (pid == 0) {
		mpr_queue_fd_forget();
		_exit(count_wakers());
	}
	exit_code = pid > 0 && waitpid(pid, &status, 0) == pid ?
			    WEXITSTATUS(status) : 1;
	return arg;
}

static pthread_t forker;

/* Another thread forks just after that. */
int
__wrap_mpr_waker_open(void)
{
	int64_t until = mproc_now() + WINDOW;
	int fd = __real_mpr_waker_open();

	if (!others_fork)
		return fd;
	others_fork = false;
	if (pthread_create(&forker, NULL, start_a_child, NULL) == 0)
		while (exit_code < 0 && mproc_now() < until)
			sched_yield();
	return fd;
}

static void
must_have_no_copy(void)
{
	pthread_join(forker, NULL);
	assert_false(others_fork);
	assert_int_equal(exit_code, 0);
}

static void
a_child_has_no_copy_of_one_that_is_being_opened(void **state)
{
	struct mpt *t = *state;

	exit_code = -1;
	others_fork = true;
	assert_int_equal(mpr_bell_open(&bell), 0);
	must_have_no_copy();
	mpr_bell_close(bell);
	assert_int_equal(mproc_queue_create(&q, NULL), 0);
	exit_code = -1;
	others_fork = true;
	assert_true(mproc_queue_fd(q) > 2);
	must_have_no_copy();
	mproc_queue_destroy(q);
	mpt_until(t, mpr_queue_fd_threads() == 0);
	mproc_arena_recover(NULL);
}

/* In the scratch bytes. */
struct board {
	_Atomic bool asks;
	_Atomic bool has_asked;
};

static struct board *board;

/* The watcher of the default arena asks. The other one may end now. */
bool
__wrap_mpr_task_are_last(unsigned n)
{
	int64_t until = mproc_now() + WINDOW;
	unsigned threads = mpr_task_threads();
	bool are_last;

	if (!board || !mpr_self_in(the_arena()))
		return __real_mpr_task_are_last(n);
	board->asks = true;
	while (mpr_task_threads() == threads && mproc_now() < until)
		sched_yield();
	are_last = __real_mpr_task_are_last(n);
	board->has_asked = true;
	return are_last;
}

struct place {
	struct mpt *t;
	char name[64];
	mproc_arena *a;
	struct mpr_watched *here, *there;
};

/* A thread of the program, when its first one has ended. */
static void *
be_the_last(void *arg)
{
	struct place *place = arg;
	struct mpt *t = place->t;

	mpt_until(t, board->asks);
	mpr_bell_unwatch(place->there);
	mpt_until(t, board->has_asked);
	mpt_check_int(t, mproc_queue_put(q, "x", 1, MPROC_NOWAIT), 0);
	mpt_check(t, rings());
	_exit(0);
}

static int
watch_in_two_arenas(struct mpt *t, void *arg)
{
	struct place *place = arg;
	pthread_t thread;
	mproc_queue *other;

	place->t = t;
	board = mpt_scratch(t);
	mpt_check_int(t, mproc_arena_open(&place->a, place->name, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_queue_create(
		&other, MPROC_OPTS(mproc_queue_opts, .arena = place->a)), 0);
	mpt_check_int(t, mpr_bell_open(&bell), 0);
	mpt_check_int(t, mpr_bell_watch_queue(bell, q, NULL, &place->here), 0);
	mpt_check_int(t, mpr_bell_watch_queue(bell, other, NULL, &place->there),
		      0);
	mpt_check_int(t, pthread_create(&thread, NULL, be_the_last, place), 0);
	pthread_exit(NULL);
}

/* Two watchers, and one thread that they work for. One of them ends just after the
 * other has counted it. */
static void
one_that_ends_does_not_make_others_the_last(void **state)
{
	static struct place place;
	struct mpt *t = *state;
	mproc_arena *a;

	mpt_name(t, place.name, "other");
	assert_int_equal(mproc_arena_create(
		&a, MPROC_OPTS(mproc_arena_opts, .name = place.name)), 0);
	assert_int_equal(mproc_queue_create(&q, NULL), 0);
	mpt_expect_exit(t, mpt_fork(t, "process", watch_in_two_arenas, &place),
			0);
	mproc_arena_recover(NULL);
	mproc_queue_destroy(q);
	mproc_arena_close(a);
	assert_int_equal(mproc_arena_unlink(place.name), 0);
}

/* Has the queue's descriptor closed once more, and its entry used again for a queue
 * in another arena. */
static mproc_queue *closed, *other;
static struct mpr_watched *again;
static _Atomic bool again_is_there;

void
__wrap_mpr_watched_make_free(struct mpr_watched *e)
{
	mproc_queue *q_closed = closed;

	closed = NULL;
	if (q_closed)
		mpr_queue_fd_close_now(q_closed);
	__real_mpr_watched_make_free(e);
	if (q_closed && mpr_bell_watch_queue(bell, other, NULL, &again) == 0)
		again_is_there = true;
}

static void
one_that_is_closed_twice_is_used_once(void **state)
{
	struct mpt *t = *state;
	uint64_t before = mpr_participants_count(the_arena());
	mproc_queue *here;
	char name[64];
	mproc_arena *a;
	int error;

	mpt_name(t, name, "other");
	assert_int_equal(mproc_arena_create(
		&a, MPROC_OPTS(mproc_arena_opts, .name = name)), 0);
	assert_int_equal(mproc_queue_create(
		&other, MPROC_OPTS(mproc_queue_opts, .arena = a)), 0);
	assert_int_equal(mproc_queue_create(&here, NULL), 0);
	assert_int_equal(mpr_bell_open(&bell), 0);
	assert_true(mproc_queue_fd(here) > 2);
	again_is_there = false;
	closed = here;
	mproc_queue_destroy(here);
	mpt_until(t, again_is_there);
	/* The watcher of the default arena has nothing to watch. */
	mpt_until(t, mpr_participants_count(the_arena()) == before);
	assert_int_equal(mproc_queue_put(other, "x", 1, MPROC_NOWAIT), 0);
	assert_true(rings());
	assert_ptr_equal(mpr_bell_next(bell, &error), again);
	mpr_bell_unwatch(again);
	mpr_bell_close(bell);
	mpt_until(t, mpr_queue_fd_threads() == 0);
	mproc_queue_destroy(other);
	mproc_arena_close(a);
	assert_int_equal(mproc_arena_unlink(name), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_child_that_has_started_two_has_one),
		mpt_test(a_child_has_no_copy_of_one_that_is_being_opened),
		mpt_test(one_that_is_closed_twice_is_used_once),
		mpt_test(one_that_ends_does_not_make_others_the_last),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
