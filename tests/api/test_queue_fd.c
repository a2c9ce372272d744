/* SPDX-License-Identifier: MIT */
/*
 * queue.h: descriptors to poll for messages.
 *
 * Each test with peers has processes in one round and threads in another. Where
 * a wake-up could get lost, somebody would still look again after 50 ms; so
 * these tests repeat what they do, and limit the time.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "common.h"
#include "mpt_times.h"

#define ROUNDS 20
#define QUEUES 8

/* In the scratch bytes. */
struct board {
	mproc_queue *q;
	unsigned rounds;
	_Atomic pid_t tid;
	_Atomic unsigned ready;
	_Atomic unsigned done;
	_Atomic unsigned quiet; /* how often descriptors were made so */
};

static mproc_queue *
new_queue(bool single)
{
	mproc_queue *q;

	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .capacity = 4096,
			       .single_consumer = single)), 0);
	return q;
}

/* Whether @fd becomes readable within @ms. */
static bool
is_readable(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, ms) == 1 && pfd.revents == POLLIN;
}

static int
try_get(mproc_queue *q)
{
	unsigned value;

	return mproc_queue_get(q, &value, sizeof(value), NULL, MPROC_NOWAIT);
}

static void
put(mproc_queue *q, unsigned value)
{
	assert_int_equal(mproc_queue_put(q, &value, sizeof(value),
					 MPROC_NOWAIT), 0);
}

static int
ask(mproc_queue *q)
{
	int fd = mproc_queue_fd(q);

	assert_true(fd > 2);
	return fd;
}

/* The queue, the watcher and the dead are gone. */
static void
end(struct mpt *t, mproc_queue *q, const struct mproc_arena_stat *before)
{
	mproc_queue_destroy(q);
	mpt_join_all(t);
	assert_true(mproc_arena_recover(NULL) >= 0);
	mpt_until(t, stat_now().participants == before->participants &&
		     stat_now().queues == before->queues);
	expect_stat(before);
}

static void
is_readable_while_there_are_messages(struct mpt *t, bool single)
{
	struct mproc_arena_stat before = stat_now();
	mproc_queue *q = new_queue(single);
	int fd = ask(q);

	assert_false(is_readable(fd, 0));
	for (unsigned i = 0; i < ROUNDS; i++) {
		for (unsigned k = 0; k < 3; k++)
			put(q, k);
		assert_true(is_readable(fd, 20000));
		for (unsigned k = 0; k < 3; k++) {
			assert_int_equal(try_get(q), 0);
			assert_true(is_readable(fd, 0));
		}
		assert_int_equal(try_get(q), -EAGAIN);
		assert_false(is_readable(fd, 0));
	}
	end(t, q, &before);
}

static void
it_is_readable_until_a_get_of_one_of_several_finds_nothing(void **state)
{
	is_readable_while_there_are_messages(*state, false);
}

static void
it_is_readable_until_a_get_of_the_only_consumer_finds_nothing(void **state)
{
	is_readable_while_there_are_messages(*state, true);
}

static void
other_ways_of_finding_nothing_do_as_well(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_queue *q = new_queue(true);
	struct iovec msg;
	int fd = ask(q);
	const void *p;
	char c;

	for (int way = 0; way < 3; way++) {
		put(q, 1);
		assert_true(is_readable(fd, 20000));
		assert_int_equal(try_get(q), 0);
		assert_true(is_readable(fd, 0));
		if (way == 0)
			assert_int_equal(mproc_queue_get(q, &c, 1, NULL,
							 mproc_ms(1)),
					 -ETIMEDOUT);
		else if (way == 1)
			assert_int_equal(mproc_queue_get_many(q, &c, 1, &msg, 1,
							      MPROC_NOWAIT),
					 -EAGAIN);
		else
			assert_int_equal(mproc_queue_peek(q, &p, NULL,
							  MPROC_NOWAIT),
					 -EAGAIN);
		assert_false(is_readable(fd, 0));
	}
	/* What is left in the queue is not nothing. */
	put(q, 1);
	assert_true(is_readable(fd, 20000));
	assert_int_equal(mproc_queue_get(q, &c, 1, NULL, MPROC_NOWAIT),
			 -EMSGSIZE);
	assert_true(is_readable(fd, 0));
	end(*state, q, &before);
}

static void
it_is_readable_at_once_if_messages_are_there(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_queue *q = new_queue(false);

	put(q, 1);
	assert_true(is_readable(ask(q), 0));
	end(*state, q, &before);
}

static int
ask_too(struct mpt *t, void *arg)
{
	mproc_queue **qs = mpt_scratch(t);

	mpt_check_int(t, mproc_queue_fd(qs[0]), ((int *)arg)[0]);
	mpt_check_int(t, mproc_queue_fd(qs[1]), ((int *)arg)[1]);
	return 0;
}

static void
it_is_the_same_for_all_threads_of_a_process(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;
	mproc_queue **qs = mpt_scratch(t);
	int fds[2];

	mpt_use_threads(t, true);
	for (int i = 0; i < 2; i++) {
		qs[i] = new_queue(false);
		fds[i] = ask(qs[i]);
		assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
	}
	assert_int_not_equal(fds[0], fds[1]);
	assert_int_equal(ask(qs[0]), fds[0]);
	mpt_spawn(t, "thread", ask_too, fds);
	mpt_join_all(t);
	mproc_queue_destroy(qs[0]);
	assert_int_equal(fcntl(fds[0], F_GETFD), -1);
	assert_int_equal(ask(qs[1]), fds[1]);
	end(t, qs[1], &before);
	assert_int_equal(fcntl(fds[1], F_GETFD), -1);
}

static int
ask_at_the_same_time(struct mpt *t, void *arg)
{
	mproc_queue **qs = mpt_scratch(t);
	int *fds = arg;
	int fd;

	mpt_reach(t, 1);
	for (int i = 0; i < QUEUES; i++) {
		fd = mproc_queue_fd(qs[i]);
		mpt_check(t, fd > 2);
		fds[i] = fd;
	}
	return 0;
}

static void
several_threads_may_ask_first(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;
	mproc_queue **qs = mpt_scratch(t);
	int fds[4][QUEUES];

	mpt_use_threads(t, true);
	for (int i = 0; i < QUEUES; i++)
		qs[i] = new_queue(false);
	for (int i = 0; i < 4; i++)
		mpt_spawn(t, "thread", ask_at_the_same_time, fds[i]);
	mpt_step(t, 0);
	mpt_join_all(t);
	for (int i = 1; i < 4; i++)
		assert_memory_equal(fds[0], fds[i], sizeof(fds[0]));
	for (int i = 1; i < QUEUES; i++)
		mproc_queue_destroy(qs[i]);
	end(t, qs[0], &before);
}

static int
poll_with(struct mpt *t, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events };
	int set = epoll_create1(EPOLL_CLOEXEC);

	mpt_check(t, set >= 0);
	mpt_check_int(t, epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
	return set;
}

static int
await_event(int set, int ms)
{
	struct epoll_event event;

	return epoll_wait(set, &event, 1, ms);
}

static void
level_triggered_epoll_reports_it_again_and_again(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;
	mproc_queue *q = new_queue(false);
	int set = poll_with(t, ask(q), EPOLLIN);

	assert_int_equal(await_event(set, 0), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		put(q, i);
		assert_int_equal(await_event(set, 20000), 1);
		assert_int_equal(await_event(set, 0), 1);
		assert_int_equal(try_get(q), 0);
		assert_int_equal(await_event(set, 0), 1);
		assert_int_equal(try_get(q), -EAGAIN);
		assert_int_equal(await_event(set, 0), 0);
	}
	close(set);
	end(t, q, &before);
}

static void
edge_triggered_epoll_reports_what_comes_after_nothing(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;
	mproc_queue *q = new_queue(false);
	int set = poll_with(t, ask(q), EPOLLIN | EPOLLET);
	struct mpt_times spent = { 0 };
	int64_t began;

	for (unsigned i = 0; i < ROUNDS; i++) {
		began = mproc_now();
		put(q, i);
		assert_int_equal(await_event(set, 20000), 1);
		assert_int_equal(await_event(set, 0), 0);
		put(q, i);
		for (int k = 0; k < 2; k++)
			assert_int_equal(try_get(q), 0);
		assert_int_equal(try_get(q), -EAGAIN);
		mpt_times_add(&spent, mproc_now() - began);
	}
	assert_true(mpt_times_median(&spent) < 25 * MS);
	close(set);
	end(t, q, &before);
}

/* The other side of a ping-pong over descriptors: gets as told. */
static int
echo(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int fd = mproc_queue_fd(b->q);
	unsigned value, i = 0;
	int r;

	(void)arg;
	mpt_check(t, fd > 2);
	b->ready++;
	while (i < b->rounds) {
		mpt_check(t, is_readable(fd, 20000));
		while ((r = mproc_queue_get(b->q, &value, sizeof(value), NULL,
					    MPROC_NOWAIT)) == 0) {
			mpt_check_int(t, value, i++);
			b->done++;
		}
		mpt_check_int(t, r, -EAGAIN);
	}
	return 0;
}

static void
no_wake_up_is_lost(struct mpt *t)
{
	struct mproc_arena_stat before = stat_now();
	struct board *b = mpt_scratch(t);
	unsigned rounds = amount(1000);
	int64_t began = mproc_now();

	b->q = new_queue(false);
	b->rounds = rounds;
	mpt_spawn(t, "consumer", echo, NULL);
	mpt_until(t, b->ready == 1);
	for (unsigned i = 0; i < rounds; i++) {
		put(b->q, i);
		if (i % 3)
			mpt_until(t, b->done == i + 1);
	}
	mpt_join_all(t);
	assert_true(mproc_now() - began < rounds * 25 * MS);
	end(t, b->q, &before);
}

/* Sleeps in get beside the descriptors of others. */
static int
get_all(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned value;

	(void)arg;
	b->tid = gettid();
	b->ready++;
	for (unsigned i = 0; i < b->rounds; i++) {
		mpt_check_int(t, mproc_queue_get(b->q, &value, sizeof(value),
						 NULL, MPROC_FOREVER), 0);
		b->done++;
	}
	return 0;
}

/* Asks, and does not react before the message is gone. Then it makes its
 * descriptor quiet, so that it is among those who may be woken. */
static int
hold_a_descriptor(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check(t, mproc_queue_fd(b->q) > 2);
	b->ready++;
	for (unsigned i = 1; i <= b->rounds; i++) {
		mpt_until(t, b->done == i);
		mpt_check_int(t, try_get(b->q), -EAGAIN);
		b->quiet++;
	}
	return 0;
}

static void
a_sleeper_gets_what_an_idle_descriptor_was_woken_for(struct mpt *t)
{
	struct mproc_arena_stat before = stat_now();
	struct board *b = mpt_scratch(t);
	int64_t began;
	struct mpt_times spent = { 0 };

	b->q = new_queue(false);
	b->rounds = ROUNDS;
	/* Their seats come first, and are chosen first. */
	for (unsigned i = 1; i <= 2; i++) {
		mpt_spawn(t, "holder", hold_a_descriptor, NULL);
		mpt_until(t, b->ready == i);
	}
	mpt_spawn(t, "sleeper", get_all, NULL);
	mpt_until(t, b->ready == 3);
	for (unsigned i = 0; i < ROUNDS; i++) {
		mpt_until(t, mpt_task_state(b->tid) == 'S');
		began = mproc_now();
		put(b->q, i);
		mpt_until(t, b->done == i + 1);
		mpt_times_add(&spent, mproc_now() - began);
		mpt_until(t, b->quiet == 2 * (i + 1));
	}
	mpt_join_all(t);
	assert_true(mpt_times_median(&spent) < 25 * MS);
	end(t, b->q, &before);
}

/* Several with descriptors share the work. */
struct share {
	struct board b;
	_Atomic unsigned got[1000];
};

static int
take_a_share(struct mpt *t, void *arg)
{
	struct share *s = mpt_scratch(t);
	int fd = mproc_queue_fd(s->b.q), r;
	unsigned value;

	(void)arg;
	mpt_check(t, fd > 2);
	for (;;) {
		mpt_check(t, is_readable(fd, 20000));
		while ((r = mproc_queue_get(s->b.q, &value, sizeof(value), NULL,
					    MPROC_NOWAIT)) == 0)
			s->got[value]++;
		if (r == -ESHUTDOWN)
			return 0;
		mpt_check_int(t, r, -EAGAIN);
	}
}

static void
several_with_descriptors_share_the_messages(struct mpt *t)
{
	struct mproc_arena_stat before = stat_now();
	struct share *s = mpt_scratch(t);
	unsigned n = amount(1000);

	s->b.q = new_queue(false);
	for (int i = 0; i < 3; i++)
		mpt_spawn(t, "consumer", take_a_share, NULL);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(mproc_queue_put(s->b.q, &i, sizeof(i),
						 mproc_sec(20)), 0);
	assert_int_equal(mproc_queue_shutdown(s->b.q, MPROC_DRAIN), 0);
	mpt_join_all(t);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(s->got[i], 1);
	end(t, s->b.q, &before);
}

static void
a_shutdown_makes_it_readable_for_good(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_queue *q = NULL;

	for (unsigned flags = MPROC_DRAIN; flags <= MPROC_IMMEDIATE; flags++) {
		int64_t began = mproc_now();
		int fd;

		q = new_queue(false);
		fd = ask(q);
		assert_false(is_readable(fd, 0));
		assert_int_equal(mproc_queue_shutdown(q, flags), 0);
		assert_true(is_readable(fd, 20000));
		assert_true(mproc_now() - began < 2000 * MS);
		assert_int_equal(try_get(q), -ESHUTDOWN);
		assert_true(is_readable(fd, 0));
		if (flags == MPROC_DRAIN)
			mproc_queue_destroy(q);
	}
	end(*state, q, &before);
}

static void
one_that_was_shut_down_before_is_readable(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_queue *q = new_queue(false);

	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	assert_true(is_readable(ask(q), 0));
	end(*state, q, &before);
}

static int
destroy_it(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mproc_queue_destroy(b->q);
	return 0;
}

static void
another_process_that_destroys_makes_it_readable(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int fd;

	b->q = new_queue(false);
	fd = ask(b->q);
	assert_int_equal(try_get(b->q), -EAGAIN);
	mpt_spawn(t, "destroyer", destroy_it, NULL);
	assert_true(is_readable(fd, 20000));
	mpt_join_all(t);
	assert_int_equal(try_get(b->q), -ESTALE);
	assert_true(is_readable(fd, 0));
	assert_int_equal(mproc_queue_fd(b->q), -ESTALE);
	/* Nobody keeps the queue's memory, and only now the number is free. */
	mpt_until(t, stat_now().queues == before.queues);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	mproc_queue_destroy(b->q);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	end(t, b->q, &before);
}

static void
the_next_queue_at_the_same_address_has_it_too(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	mproc_queue *q;
	int fd;

	q = b->q = new_queue(false);
	fd = ask(q);
	mpt_expect_exit(t, mpt_spawn(t, "destroyer", destroy_it, NULL), 0);
	assert_true(is_readable(fd, 20000));
	assert_int_equal(mproc_queue_put(q, "x", 1, MPROC_NOWAIT), -ESTALE);
	mpt_until(t, stat_now().queues == before.queues);
	b->q = new_queue(false);
	assert_ptr_equal(b->q, q);
	/* The old one says nothing of the new queue, until it is asked for. */
	assert_int_equal(try_get(q), -EAGAIN);
	assert_true(is_readable(fd, 0));
	assert_int_equal(ask(q), fd);
	assert_false(is_readable(fd, 0));
	put(q, 1);
	assert_true(is_readable(fd, 20000));
	assert_int_equal(try_get(q), 0);
	assert_int_equal(try_get(q), -EAGAIN);
	assert_false(is_readable(fd, 0));
	end(t, q, &before);
}

static int
poll_until_closed(struct mpt *t, void *arg)
{
	struct pollfd pfd = { .fd = *(int *)arg, .events = POLLIN };
	struct board *b = mpt_scratch(t);

	b->tid = gettid();
	b->ready = 1;
	/* It may be closed before we see what it said. */
	mpt_check_int(t, poll(&pfd, 1, 20000), 1);
	return 0;
}

static void
who_polls_is_woken_when_this_process_destroys(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	mproc_queue *q = new_queue(false);
	int fd = ask(q);

	mpt_use_threads(t, true);
	mpt_spawn(t, "poller", poll_until_closed, &fd);
	mpt_until(t, b->ready);
	mpt_until(t, mpt_task_state(b->tid) == 'S');
	mproc_queue_destroy(q);
	mpt_join_all(t);
	end(t, q, &before);
}

/* All threads but the caller. */
static bool
others_sleep(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	bool all = true;
	pid_t tid;

	while (tasks && (entry = readdir(tasks))) {
		tid = atoi(entry->d_name);
		if (tid && tid != gettid() && mpt_task_state(tid) != 'S')
			all = false;
	}
	if (tasks)
		closedir(tasks);
	return all;
}

static void
an_interrupt_is_not_meant_for_who_watches(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_queue *q = new_queue(false);
	struct mpt_times spent = { 0 };
	int fd = ask(q);
	int64_t began;
	char c;

	for (unsigned i = 0; i < ROUNDS; i++) {
		began = mproc_now();
		mproc_interrupt();
		put(q, i);
		assert_true(is_readable(fd, 20000));
		assert_int_equal(try_get(q), 0);
		assert_int_equal(try_get(q), -EAGAIN);
		mpt_times_add(&spent, mproc_now() - began);
	}
	assert_true(mpt_times_median(&spent) < 25 * MS);
	/* It does not go round and round because of one. */
	for (int i = 0; i < ROUNDS; i++)
		mpt_until(*state, others_sleep());
	assert_int_equal(mproc_queue_get(q, &c, 1, NULL, mproc_sec(20)),
			 -EINTR);
	end(*state, q, &before);
}

static void
a_stranger_under_its_number_is_spared(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_queue *q = new_queue(false);
	int fd = ask(q), theirs = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), own;
	uint64_t count;

	assert_int_equal(dup3(theirs, fd, O_CLOEXEC), fd);
	put(q, 1);
	/* As soon as the new one is readable, the old one would be. */
	own = ask(q);
	assert_int_not_equal(own, fd);
	assert_true(is_readable(own, 20000));
	assert_int_equal(try_get(q), 0);
	assert_int_equal(try_get(q), -EAGAIN);
	assert_false(is_readable(own, 0));
	assert_int_equal(read(theirs, &count, sizeof(count)), -1);
	assert_int_equal(errno, EAGAIN);
	end(*state, q, &before);
	assert_int_equal(fcntl(own, F_GETFD), -1);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	close(theirs);
}

static void
what_is_no_queue_has_none(void **state)
{
	mproc_queue *q = new_queue(false);
	long private[64] = { 0 };
	void *block = mproc_alloc(512);

	(void)state;
	assert_int_equal(mproc_queue_fd(NULL), -EINVAL);
	assert_int_equal(mproc_queue_fd((mproc_queue *)private), -EFAULT);
	assert_int_equal(mproc_queue_fd(block), -EINVAL);
	mproc_free(block);
	mproc_queue_destroy(q);
	assert_int_equal(mproc_queue_fd(q), -ESTALE);
	assert_true(detail_has("destroyed"));
}

static void
statistics_count_who_waits_for_it(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mproc_queue_stat st;
	struct mpt *t = *state;
	mproc_queue *q = new_queue(false);
	int fd = ask(q);

	assert_int_equal(mproc_queue_stat(q, &st), 0);
	assert_int_equal(st.consumers, 1);
	assert_int_equal(st.sleeping_consumers, 1);
	put(q, 1);
	assert_true(is_readable(fd, 20000));
	mpt_until(t, mproc_queue_stat(q, &st) == 0 &&
		     st.sleeping_consumers == 0);
	assert_int_equal(st.consumers, 1);
	end(t, q, &before);
}

both(no_wake_up_is_lost)
both(a_sleeper_gets_what_an_idle_descriptor_was_woken_for)
both(several_with_descriptors_share_the_messages)

/* Headers of queues stay; as many as are needed at once. */
static int
with_headers(void **state)
{
	mproc_queue *qs[QUEUES];

	(void)state;
	for (int i = 0; i < QUEUES; i++)
		if (mproc_queue_create(&qs[i], NULL) < 0)
			return -1;
	for (int i = 0; i < QUEUES; i++)
		mproc_queue_destroy(qs[i]);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(it_is_readable_until_a_get_of_one_of_several_finds_nothing),
		mpt_test(it_is_readable_until_a_get_of_the_only_consumer_finds_nothing),
		mpt_test(other_ways_of_finding_nothing_do_as_well),
		mpt_test(it_is_readable_at_once_if_messages_are_there),
		mpt_test(it_is_the_same_for_all_threads_of_a_process),
		mpt_test(several_threads_may_ask_first),
		mpt_test(level_triggered_epoll_reports_it_again_and_again),
		mpt_test(edge_triggered_epoll_reports_what_comes_after_nothing),
		both_tests(no_wake_up_is_lost),
		both_tests(a_sleeper_gets_what_an_idle_descriptor_was_woken_for),
		both_tests(several_with_descriptors_share_the_messages),
		mpt_test(a_shutdown_makes_it_readable_for_good),
		mpt_test(one_that_was_shut_down_before_is_readable),
		mpt_test(another_process_that_destroys_makes_it_readable),
		mpt_test(the_next_queue_at_the_same_address_has_it_too),
		mpt_test(who_polls_is_woken_when_this_process_destroys),
		mpt_test(an_interrupt_is_not_meant_for_who_watches),
		mpt_test(a_stranger_under_its_number_is_spared),
		mpt_test(what_is_no_queue_has_none),
		mpt_test(statistics_count_who_waits_for_it),
	};

	return cmocka_run_group_tests(tests, with_headers, NULL);
}
