/* SPDX-License-Identifier: MIT */
/*
 * queue.h: descriptors to poll, and what happens to their processes: they fork,
 * start others, close everything, are killed or stopped, or end.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "common.h"
#include "mpt_times.h"

#define ROUNDS 10

/* In the scratch bytes. */
struct board {
	mproc_queue *q;
	_Atomic pid_t tid;
	_Atomic unsigned ready;
	_Atomic unsigned done;
	_Atomic int fd;
};

static struct board *
new_board(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	memset(b, 0, sizeof(*b));
	assert_int_equal(mproc_queue_create(
		&b->q, MPROC_OPTS(mproc_queue_opts, .capacity = 4096)), 0);
	return b;
}

static bool
is_readable(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, ms) == 1 && pfd.revents == POLLIN;
}

static int
try_get(mproc_queue *q)
{
	char c;

	return mproc_queue_get(q, &c, 1, NULL, MPROC_NOWAIT);
}

static void
put(struct mpt *t, mproc_queue *q)
{
	mpt_check_int(t, mproc_queue_put(q, "x", 1, MPROC_NOWAIT), 0);
}

static void
end(struct mpt *t, struct board *b, const struct mproc_arena_stat *before)
{
	mproc_queue_destroy(b->q);
	assert_true(mproc_arena_recover(NULL) >= 0);
	mpt_until(t, stat_now().participants == before->participants &&
		     stat_now().queues == before->queues);
	expect_stat(before);
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* The parent has one. */
static int
ask_in_a_child(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int fd, parents = b->fd;

	(void)arg;
	mpt_check(t, is_open(parents));
	/* It notices, as soon as a get has nothing for it. */
	mpt_check_int(t, try_get(b->q), -EAGAIN);
	fd = mproc_queue_fd(b->q);
	mpt_check(t, fd > 2);
	mpt_check(t, fd == parents || !is_open(parents));
	mpt_check_int(t, mproc_queue_fd(b->q), fd);
	b->ready = 1;
	mpt_check(t, is_readable(fd, 20000));
	mpt_check_int(t, try_get(b->q), 0);
	mpt_check_int(t, try_get(b->q), -EAGAIN);
	mpt_check(t, !is_readable(fd, 0));
	b->done = 1;
	mpt_reach(t, 1);
	mproc_queue_destroy(b->q);
	mpt_check(t, !is_open(fd));
	return 0;
}

static void
a_forked_child_has_its_own(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int id;

	b->fd = mproc_queue_fd(b->q);
	assert_true(b->fd > 2);
	/* Readable, as the child finds it. */
	put(t, b->q);
	assert_true(is_readable(b->fd, 20000));
	assert_int_equal(try_get(b->q), 0);
	id = mpt_fork(t, "child", ask_in_a_child, NULL);
	mpt_until(t, b->ready);
	/* Nothing that it has done was done to ours. */
	assert_true(is_readable(b->fd, 0));
	assert_int_equal(try_get(b->q), -EAGAIN);
	assert_false(is_readable(b->fd, 0));
	put(t, b->q);
	mpt_until(t, b->done);
	mpt_step(t, 0);
	mpt_expect_exit(t, id, 0);
	/* It has destroyed the queue, and this one is ours still. */
	assert_true(is_open(b->fd));
	assert_true(is_readable(b->fd, 20000));
	end(t, b, &before);
	assert_false(is_open(b->fd));
}

/* What a daemon does: closes everything, and has its own files then. */
static int
close_all_and_ask(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int fd, set;

	(void)arg;
	close(b->fd);
	/* A number that the parent's descriptor had, and nameless. Where the parent has a
	 * fork server, lower ones are free as well. */
	set = epoll_create1(EPOLL_CLOEXEC);
	if (set != b->fd) {
		mpt_check_int(t, dup3(set, b->fd, O_CLOEXEC), b->fd);
		close(set);
	}
	fd = mproc_queue_fd(b->q);
	mpt_check(t, fd > 2 && fd != b->fd);
	mpt_check(t, is_open(b->fd));
	put(t, b->q);
	mpt_check(t, is_readable(fd, 20000));
	mpt_check(t, is_open(b->fd));
	return 0;
}

static void
a_child_that_has_closed_it_keeps_what_it_has_opened(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;
	struct board *b = new_board(t);

	b->fd = mproc_queue_fd(b->q);
	assert_true(b->fd > 2);
	mpt_expect_exit(t, mpt_fork(t, "child", close_all_and_ask, NULL), 0);
	end(t, b, &before);
}

static int
have_none(void *arg)
{
	struct board *b = arg;
	int fd;

	if (is_open(b->fd))
		return 1;
	fd = mproc_queue_fd(b->q);
	return fd < 0 || is_readable(fd, 0) ? 2 : 0;
}

static void
a_started_child_has_none(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *p;
	int code = -1;

	b->fd = mproc_queue_fd(b->q);
	assert_true(b->fd > 2);
	assert_int_equal(mproc_process_start(
		&p, have_none, b,
		MPROC_OPTS(mproc_process_opts, .arg_size = sizeof(*b))), 0);
	assert_int_equal(mproc_process_join(p, mproc_sec(20)), 0);
	assert_int_equal(mproc_process_exitcode(p, &code), 0);
	assert_int_equal(code, 0);
	mproc_process_close(p);
	assert_true(is_open(b->fd));
	end(t, b, &before);
}

/* Holds a descriptor that is not readable, in the first seats of the queue. */
static int
hold_a_quiet_one(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check(t, mproc_queue_fd(b->q) > 2);
	b->ready++;
	wait_to_be_killed(t);
	return 0;
}

static int
get_one(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	char c;

	(void)arg;
	b->tid = gettid();
	b->ready++;
	mpt_check_int(t, mproc_queue_get(b->q, &c, 1, NULL, mproc_sec(20)), 0);
	b->done++;
	return 0;
}

static int
poll_and_get_one(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int fd = mproc_queue_fd(b->q), r;

	(void)arg;
	mpt_check(t, fd > 2);
	b->tid = gettid();
	b->ready++;
	do {
		mpt_check(t, is_readable(fd, 20000));
		r = try_get(b->q);
	} while (r == -EAGAIN);
	mpt_check_int(t, r, 0);
	b->done++;
	return 0;
}

/* One who is chosen to be woken cannot hear it any more. */
static void
one_message_comes_through(struct mpt *t, mpt_fn *fn, bool killed)
{
	struct mproc_arena_stat before = stat_now();
	int64_t began;
	struct mpt_times spent = { 0 };

	for (int i = 0; i < ROUNDS; i++) {
		struct board *b = new_board(t);
		int holder = mpt_spawn(t, "holder", hold_a_quiet_one, NULL), id;

		mpt_until(t, b->ready == 1);
		id = mpt_spawn(t, "consumer", fn, NULL);
		mpt_until(t, b->ready == 2);
		mpt_until(t, mpt_task_state(b->tid) == 'S');
		if (killed)
			mpt_kill(t, holder);
		else
			mpt_pause(t, holder);
		began = mproc_now();
		put(t, b->q);
		mpt_until(t, b->done);
		mpt_times_add(&spent, mproc_now() - began);
		mpt_expect_exit(t, id, 0);
		if (!killed)
			mpt_kill(t, holder);
		end(t, b, &before);
	}
	/* Each round may take a slice or two. */
	assert_true(mpt_times_median(&spent) < 1000 * MS);
}

static void
a_killed_one_keeps_no_message_from_a_sleeper(void **state)
{
	one_message_comes_through(*state, get_one, true);
}

static void
a_killed_one_keeps_no_message_from_another_one(void **state)
{
	one_message_comes_through(*state, poll_and_get_one, true);
}

static void
a_stopped_one_keeps_no_message_from_a_sleeper(void **state)
{
	one_message_comes_through(*state, get_one, false);
}

static void
a_stopped_one_keeps_no_message_from_another_one(void **state)
{
	one_message_comes_through(*state, poll_and_get_one, false);
}

/* Killed at any time between its put and its wake-up; tests/step looks at each
 * instruction. */
static int
put_and_die(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	put(t, b->q);
	raise(SIGKILL);
	return 0;
}

static void
messages_of_a_killed_producer_make_it_readable(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int fd = mproc_queue_fd(b->q);

	assert_true(fd > 2);
	for (int i = 0; i < ROUNDS; i++) {
		mpt_expect_signal(t, mpt_spawn(t, "producer", put_and_die,
					       NULL), SIGKILL);
		assert_true(is_readable(fd, 20000));
		assert_int_equal(try_get(b->q), 0);
		assert_int_equal(try_get(b->q), -EAGAIN);
	}
	end(t, b, &before);
}

/* A process ends when its last thread does, whatever the library has. */
static void *
end_later(void *t)
{
	mpt_reach(t, 1);
	return NULL;
}

/* Before a leak checker, which would miss the first thread's stack. */
static void
end_now(void)
{
	_exit(17);
}

static int
end_by_threads(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	pthread_t thread;

	mpt_check(t, mproc_queue_fd(b->q) > 2);
	mpt_check_int(t, pthread_create(&thread, NULL, end_later, t), 0);
	mpt_check_int(t, atexit(end_now), 0);
	b->ready = 1;
	pthread_exit(arg);
}

static void
it_keeps_no_process_alive(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int id = mpt_spawn(t, "process", end_by_threads, NULL);

	mpt_until(t, b->ready);
	mpt_until(t, mpt_task_state(mpt_pid(t, id)) == 'Z');
	mpt_step(t, 0);
	mpt_expect_exit(t, id, 17);
	end(t, b, &before);
}

static int
end_by_exit(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check(t, mproc_queue_fd(b->q) > 2);
	exit(0);
}

static void
exit_needs_no_destroy(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;
	struct board *b = new_board(t);

	for (int i = 0; i < ROUNDS; i++)
		mpt_expect_exit(t, mpt_spawn(t, "process", end_by_exit, NULL),
				0);
	end(t, b, &before);
}

static unsigned
count_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned n = 0;

	while (tasks && (entry = readdir(tasks)))
		n += entry->d_name[0] != '.';
	if (tasks)
		closedir(tasks);
	return n;
}

/* Whether a thread of this process is called that. */
static bool
has_thread(const char *name)
{
	DIR *tasks = opendir("/proc/self/task");
	char path[64], line[32];
	struct dirent *entry;
	bool found = false;
	FILE *comm;

	while (tasks && (entry = readdir(tasks))) {
		snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm",
			 entry->d_name);
		comm = fopen(path, "re");
		if (comm && fgets(line, sizeof(line), comm) &&
		    strcspn(line, "\n") == strlen(name))
			found |= strncmp(line, name, strlen(name)) == 0;
		if (comm)
			fclose(comm);
	}
	if (tasks)
		closedir(tasks);
	return found;
}

static int
use_and_destroy(struct mpt *t, void *arg)
{
	int64_t began;
	struct mpt_times spent = { 0 };
	mproc_queue *qs[2];

	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		for (int k = 0; k < 2; k++) {
			mpt_check_int(t, mproc_queue_create(&qs[k], NULL), 0);
			mpt_check(t, mproc_queue_fd(qs[k]) > 2);
		}
		mpt_check_int(t, count_threads(), 2);
		mpt_check(t, has_thread("mproc-watcher"));
		mproc_queue_destroy(qs[0]);
		mpt_check(t, mproc_queue_fd(qs[1]) > 2);
		mpt_check_int(t, count_threads(), 2);
		began = mproc_now();
		mproc_queue_destroy(qs[1]);
		mpt_until(t, count_threads() == 1);
		mpt_times_add(&spent, mproc_now() - began);
	}
	mpt_check(t, mpt_times_median(&spent) < 25 * MS);
	return 0;
}

static void
the_thread_ends_with_the_last_descriptor(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "process", use_and_destroy, NULL), 0);
	expect_stat(&before);
}

static int
with_headers(void **state)
{
	mproc_queue *qs[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		if (mproc_queue_create(&qs[i], NULL) < 0)
			return -1;
	for (int i = 0; i < 2; i++)
		mproc_queue_destroy(qs[i]);
	return 0;
}

static int
destroy_it(struct mpt *t, void *arg)
{
	(void)t;
	mproc_queue_destroy(arg);
	return 0;
}

/* Another queue may be at that address by then, and somebody else's. */
static void
closing_the_descriptor_of_a_queue_that_is_gone_spares_the_next(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int fd = mproc_queue_fd(b->q);
	mproc_queue *next = NULL;

	assert_true(fd >= 0);
	mpt_expect_exit(t, mpt_spawn(t, "destroyer", destroy_it, b->q), 0);
	assert_true(is_readable(fd, 20000));
	assert_true(try_get(b->q) < 0);
	/* The watcher has to leave, too, before the header is used again. */
	for (;;) {
		assert_true(mproc_arena_recover(NULL) >= 0);
		assert_int_equal(mproc_queue_create(&next, NULL), 0);
		if (next == b->q)
			break;
		mproc_queue_destroy(next);
	}
	put(t, next);
	mproc_queue_destroy(b->q);
	assert_false(is_open(fd));
	assert_int_equal(try_get(next), 0);
	mproc_queue_destroy(next);
	assert_int_equal(try_get(next), -ESTALE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_forked_child_has_its_own),
		mpt_test(a_child_that_has_closed_it_keeps_what_it_has_opened),
		mpt_test(a_started_child_has_none),
		mpt_test(a_killed_one_keeps_no_message_from_a_sleeper),
		mpt_test(a_killed_one_keeps_no_message_from_another_one),
		mpt_test(a_stopped_one_keeps_no_message_from_a_sleeper),
		mpt_test(a_stopped_one_keeps_no_message_from_another_one),
		mpt_test(messages_of_a_killed_producer_make_it_readable),
		mpt_test(it_keeps_no_process_alive),
		mpt_test(exit_needs_no_destroy),
		mpt_test(the_thread_ends_with_the_last_descriptor),
		mpt_test(
			closing_the_descriptor_of_a_queue_that_is_gone_spares_the_next),
	};

	return cmocka_run_group_tests(tests, with_headers, NULL);
}
