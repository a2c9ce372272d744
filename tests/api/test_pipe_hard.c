/* SPDX-License-Identifier: MIT */
/*
 * pipe.h: what the end of file is and is not when things go badly.
 */
#include <sys/resource.h>

#include "pipe.h"

static int
wait_in_step(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);

	b->ready++;
	wait_to_be_killed(t);
	return 0;
}

/* Who has sent before is told as often as it asks. */
static void
the_end_of_file_stays(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *p = start_with(t, wait_in_step, &b->b, 1);

	assert_int_equal(mproc_conn_send(b->a, "x", 1, MPROC_NOWAIT), 0);
	kill_and_close(p);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(mproc_conn_send(b->a, "x", 1, MPROC_NOWAIT),
				 -EPIPE);
		assert_int_equal(recv_now(b->a), -EPIPE);
	}
	end(t, b);
}

/* Where no descriptor is to be had, neither pidfds nor /proc can be asked. */
static void
a_death_is_noticed_without_descriptors(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *p = start_with(t, wait_in_step, &b->b, 1);
	struct rlimit before, none;
	int r;

	mpt_until(t, b->ready == 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(kill(mproc_process_pid(p), SIGKILL), 0);
	r = mproc_conn_recv(b->a, NULL, 0, NULL, mproc_sec(2));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(r, -EPIPE);
	assert_int_equal(end_of(p), -SIGKILL);
	mproc_process_close(p);
	end(t, b);
}

static void *
make_and_use(void *arg)
{
	struct board *b = arg;

	return (void *)(intptr_t)(
		mproc_pipe(&b->c, &b->d, NULL) ||
		mproc_conn_send(b->c, "x", 1, MPROC_NOWAIT));
}

static void *
close_both(void *arg)
{
	struct board *b = arg;

	mproc_conn_close(b->c);
	mproc_conn_close(b->d);
	return NULL;
}

static void *
run_thread(void *(*fn)(void *arg), void *arg)
{
	pthread_t thread;
	void *result;

	assert_int_equal(pthread_create(&thread, NULL, fn, arg), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	return result;
}

/* Nor does it stay when its last holder closes it in a thread that has done nothing
 * else. */
static void
whoever_closes_it_gives_it_back(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	uint64_t before = stat_now().blocks;

	assert_null(run_thread(make_and_use, b));
	assert_null(run_thread(close_both, b));
	assert_int_equal(stat_now().blocks, before);
	end(t, b);
}

static void *
make_and_be_cancelled(void *arg)
{
	struct board *b = arg;

	pthread_cancel(pthread_self());
	b->answer = mproc_pipe(&b->c, &b->d, NULL);
	mproc_conn_close(b->c);
	mproc_conn_close(b->d);
	pthread_testcancel();
	return NULL;
}

/* A new process does not know yet when it has started. */
static int
be_cancelled(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	pthread_t thread;

	(void)arg;
	b->answer = 1;
	mpt_check_int(t, pthread_create(&thread, NULL, make_and_be_cancelled, b),
		      0);
	mpt_check_int(t, pthread_join(thread, NULL), 0);
	mpt_check_int(t, b->answer, 0);
	return 0;
}

/* As with queues, no call is cancelled half-way. */
static void
nothing_is_cancelled_half_way(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);

	mpt_fork(t, "cancelled", be_cancelled, NULL);
	mpt_join_all(t);
	b->c = NULL;
	end(t, b);
}

static int
nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* A child that was never meant to have it, but was forked meanwhile and so held it
 * as well, ends. */
static void
threads_go_on_when_a_child_ends(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *p;

	send_number(t, b->a, 1);
	recv_number(t, b->b, 1);
	p = start_forked(nothing, NULL);
	assert_int_equal(end_of(p), 0);
	mproc_process_close(p);
	send_number(t, b->a, 2);
	recv_number(t, b->b, 2);
	assert_int_equal(recv_now(b->b), -EAGAIN);
	end(t, b);
}

struct race {
	mproc_conn *a, *b;
	_Atomic bool go;
	unsigned spins;
	int sent, last;
};

static void *
send_until_it_is_closed(void *arg)
{
	struct race *race = arg;

	while (!race->go)
		;
	while ((race->last = mproc_conn_send(race->b, &race->sent,
					     sizeof(race->sent),
					     mproc_sec(20))) == 0)
		race->sent++;
	return NULL;
}

static void *
close_it(void *arg)
{
	struct race *race = arg;

	while (!race->go)
		;
	for (volatile unsigned i = 0; i < race->spins; i++)
		;
	mproc_conn_close(race->b);
	return NULL;
}

/* What was sent arrives, whatever another thread closes meanwhile; and no more. */
static void
a_close_loses_no_message(void **state)
{
	unsigned rounds = 400;

	(void)state;
	for (unsigned i = 0; i < rounds; i++) {
		struct race race = { .spins = i * 7919 % 3000 };
		pthread_t sender, closer;
		int got = 0, number;

		assert_int_equal(mproc_pipe(&race.a, &race.b, NULL), 0);
		assert_int_equal(pthread_create(&sender, NULL,
						send_until_it_is_closed, &race),
				 0);
		assert_int_equal(pthread_create(&closer, NULL, close_it, &race),
				 0);
		race.go = true;
		while (mproc_conn_recv(race.a, &number, sizeof(number), NULL,
				       mproc_sec(20)) == 0)
			assert_int_equal(number, got++);
		pthread_join(sender, NULL);
		pthread_join(closer, NULL);
		assert_int_equal(race.last, -ESTALE);
		assert_int_equal(got, race.sent);
		mproc_conn_close(race.a);
	}
}

/* Further ones need no more memory for their headers, but for a small part. */
static void
thousands_use_what_was_freed(void **state)
{
	enum { N = 2000 };
	static mproc_conn *ends[2 * N];
	struct mproc_arena_stat first, last;

	(void)state;
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < N; i++)
			assert_int_equal(mproc_pipe(&ends[2 * i],
						    &ends[2 * i + 1], NULL), 0);
		last = stat_now();
		if (round == 0)
			first = last;
		/* Each second one stays for a while. */
		for (int i = 0; i < 2; i++)
			for (int j = i; j < N; j += 2) {
				mproc_conn_close(ends[2 * j]);
				mproc_conn_close(ends[2 * j + 1]);
			}
	}
	assert_true(last.blocks - first.blocks <= first.blocks / 8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(the_end_of_file_stays),
		mpt_test(a_death_is_noticed_without_descriptors),
		mpt_test(whoever_closes_it_gives_it_back),
		mpt_test(nothing_is_cancelled_half_way),
		mpt_test(threads_go_on_when_a_child_ends),
		mpt_test(thousands_use_what_was_freed),
		mpt_test(a_close_loses_no_message),
	};

	return cmocka_run_group_tests(tests, with_pipes, NULL);
}
