/* SPDX-License-Identifier: MIT */
/*
 * Queues of a manager where there is little: how many messages one client may have, and
 * what becomes of messages where memory is short, the client's, the server's, or the
 * arena's. That is as small as one can be.
 */
#include <errno.h>
#include <unistd.h>

#include <mproc/testing.h>

#include "manager_queue.h"
#include "manager_queue_raw.h"

static mproc_queue *
queue_named(mproc_manager *m, const struct board *b)
{
	mproc_queue *q;

	assert_int_equal(mproc_manager_queue(m, b->name, NULL, &q), 0);
	return q;
}

enum { HELD = 4096 };

static void
a_client_has_so_many_at_a_time(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_queue(t, MPROC_OPTS(mproc_queue_opts, .ack = true,
						  .capacity = 1 << 20));
	mproc_manager *other = connect_to(server);
	mproc_queue *q = queue_named(client, b), *theirs = queue_named(other, b);
	unsigned n = 0;
	int r;

	for (unsigned i = 0; i < HELD + 2; i++)
		assert_int_equal(mproc_queue_put(q, &i, sizeof(i), MPROC_NOWAIT), 0);
	for (unsigned i = 0; i < HELD; i++) {
		assert_int_equal(mproc_queue_get(q, &n, sizeof(n), NULL, MPROC_NOWAIT),
				 0);
		assert_int_equal(n, i);
	}
	/* Whether there is something or not, and others are not concerned. */
	assert_int_equal(mproc_queue_get(q, &n, sizeof(n), NULL, MPROC_NOWAIT), -ENOLCK);
	assert_int_equal(mproc_queue_get(q, &n, sizeof(n), NULL, MPROC_FOREVER),
			 -ENOLCK);
	assert_int_equal(mproc_queue_get(theirs, &n, sizeof(n), NULL, MPROC_NOWAIT), 0);
	assert_int_equal(n, HELD);
	assert_int_equal(mproc_queue_task_done(theirs), 0);
	assert_int_equal(mproc_queue_task_done(q), 0);
	assert_int_equal(mproc_queue_get(q, &n, sizeof(n), NULL, MPROC_NOWAIT), 0);
	assert_int_equal(n, HELD + 1);
	assert_int_equal(mproc_queue_requeue(q), 0);
	assert_int_equal(mproc_queue_get(q, &n, sizeof(n), NULL, MPROC_NOWAIT), 0);
	assert_int_equal(n, 1);
	while ((r = mproc_queue_task_done(q)) == 0)
		;
	assert_int_equal(r, -EINVAL);
	assert_int_equal(mproc_queue_join(theirs, MPROC_NOWAIT), 0);
	mproc_manager_close(other);
	end(t, b);
}

/* In turns of two queues. */
static void *
take_many(void *arg)
{
	mproc_queue **q = arg;
	unsigned n;

	for (int i = 0; i < HELD / 2; i++)
		if (mproc_queue_get(q[i % 2], &n, sizeof(n), NULL, mproc_sec(20)) < 0)
			return arg;
	return NULL;
}

/* And what another thread has does not; to clients, and to the family. */
static void
all_that_a_thread_has_comes_back(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_queue(t, MPROC_OPTS(mproc_queue_opts, .ack = true));
	mproc_queue *q[2] = { queue_named(client, b) }, *ours;
	pthread_t thread;
	void *failed;
	unsigned n;

	assert_int_equal(mproc_manager_queue(client, "beside", MPROC_OPTS(
				 mproc_queue_opts, .ack = true), &q[1]), 0);
	assert_int_equal(mproc_manager_queue(server, "beside", NULL, &ours), 0);
	for (unsigned i = 0; i <= HELD / 4; i++)
		for (int k = 0; k < 2; k++)
			assert_int_equal(mproc_queue_put(q[k], &i, sizeof(i),
							 MPROC_NOWAIT), 0);
	for (int k = 0; k < 2; k++)
		assert_int_equal(mproc_queue_get(q[k], &n, sizeof(n), NULL,
						 MPROC_NOWAIT), 0);
	assert_int_equal(pthread_create(&thread, NULL, take_many, q), 0);
	pthread_join(thread, &failed);
	assert_null(failed);
	for (int k = 0; k < 2; k++) {
		mproc_queue *from = k ? ours : q[k];

		/* Who does not wait sees them, too. */
		for (int i = 0; i < HELD / 4; i++) {
			mpt_until(t, mproc_queue_get(from, &n, sizeof(n), NULL,
						     MPROC_NOWAIT) == 0);
			if (k)
				assert_int_equal(mproc_queue_task_done(from), 0);
		}
		assert_int_equal(mproc_queue_get(from, &n, sizeof(n), NULL,
						 MPROC_NOWAIT), -EAGAIN);
		for (int i = 0; i <= (k ? 0 : HELD / 4); i++)
			assert_int_equal(mproc_queue_task_done(q[k]), 0);
		assert_int_equal(mproc_queue_task_done(q[k]), -EINVAL);
	}
	mproc_queue_destroy(q[1]);
	end(t, b);
}

/*
 * The client's memory.
 */

enum how { GET, GET_MANY, PEEK, HOWS };

/* Returns what the message is, or an error. */
static int
take(mproc_queue *q, enum how how, unsigned char *buf, size_t size)
{
	struct iovec msgs[3];
	const void *shown;
	size_t len = 0;
	int r;

	switch (how) {
	case GET:
		r = mproc_queue_get(q, buf, size, &len, MPROC_NOWAIT);
		break;
	case GET_MANY:
		r = mproc_queue_get_many(q, buf, size, msgs, 3, MPROC_NOWAIT);
		len = r == 1 ? msgs[0].iov_len : 0;
		break;
	default:
		r = mproc_queue_peek(q, &shown, &len, MPROC_NOWAIT);
		if (r < 0)
			break;
		memcpy(buf, shown, len);
		/* Not with what is asked for here. */
		assert_int_equal(mproc_test_fault(NULL), 0);
		assert_int_equal(mproc_queue_release(q, shown), 0);
	}
	assert_int_equal(mproc_test_fault(NULL), 0);
	if (r < 0)
		return r;
	assert_int_equal(len, size);
	assert_int_equal(buf[0], buf[size - 1]);
	return buf[0];
}

/* Each allocation of the client's fails once, in all that a call does. */
static void
without_memory_of_the_clients_nothing_is_lost(struct mpt *t, bool ack, enum how how,
					      size_t size)
{
	struct board *b = new_queue(t, MPROC_OPTS(mproc_queue_opts, .ack = ack));
	unsigned char *buf = malloc(size);
	mproc_queue *q = queue_named(client, b);
	int failed = 0, r = 0;
	char fault[16];

	assert_non_null(buf);
	for (int n = 1; n <= 16; n++) {
		memset(buf, n, size);
		assert_int_equal(mproc_queue_put(q, buf, size, MPROC_NOWAIT), 0);
		snprintf(fault, sizeof(fault), "malloc:%d", n);
		assert_int_equal(mproc_test_fault(fault), 0);
		r = take(q, how, buf, size);
		if (r == -ENOMEM) {
			failed++;
			assert_int_equal(mproc_queue_task_done(q), -EINVAL);
			assert_int_equal(mproc_queue_len(q), 1);
			r = take(q, how, buf, size);
		}
		assert_int_equal(r, n);
		assert_int_equal(mproc_queue_task_done(q), ack ? 0 : -EINVAL);
		assert_int_equal(mproc_queue_len(q), 0);
	}
	assert_in_range(failed, 1, 15);
	free(buf);
	end(t, b);
}

static void
a_client_without_memory_loses_nothing(void **state)
{
	for (int ack = 0; ack < 2; ack++)
		for (enum how how = GET; how < HOWS; how++) {
			without_memory_of_the_clients_nothing_is_lost(*state, ack, how,
								      1);
			without_memory_of_the_clients_nothing_is_lost(*state, ack, how,
								      100000);
		}
}

/*
 * The server's memory.
 */

enum { WAITERS = 200 };

static void
who_waits_keeps_no_memory_for_an_answer(void **state)
{
	mproc_manager *m = start(MPROC_OPTS(mproc_manager_opts,
					    .max_memory = (size_t)1 << 20));
	mproc_manager *c = connect_to(m);
	unsigned char number[9], answer[17];
	int fds[WAITERS];
	mproc_queue *q;
	char name[32];

	(void)state;
	for (int i = 0; i < WAITERS; i++) {
		snprintf(name, sizeof(name), "waiter %d", i);
		assert_int_equal(mproc_manager_queue(c, name, MPROC_OPTS(
					 mproc_queue_opts, .capacity = 4096), &q), 0);
		fds[i] = connect_raw(m);
		find_raw(fds[i], name, number);
		ask_raw(fds[i], number);
		come_round(q);
	}
	for (int i = 0; i < WAITERS; i++) {
		snprintf(name, sizeof(name), "waiter %d", i);
		assert_int_equal(mproc_manager_queue(c, name, NULL, &q), 0);
		assert_int_equal(mproc_queue_put(q, "x", 1, MPROC_NOWAIT), 0);
		read_bytes(fds[i], answer, 17);
		assert_memory_equal(answer, "\0\0\0\15\225\2\1\1\304\4\0\0\0\1\304\1x",
				    17);
		mproc_queue_destroy(q);
		close(fds[i]);
	}
	assert_int_equal(end_with(m, c), 0);
}

/*
 * The arena's memory.
 */

#define LEN 900000 /* of which there is one to the MiB */

static unsigned char message[LEN];

static _Atomic pid_t putter;

static void *
put_in_time(void *arg)
{
	putter = gettid();
	return (void *)(intptr_t)mproc_queue_put(arg, message, LEN, mproc_sec(20));
}

static bool
is_short(int r)
{
	return r == -ENOSPC || r == -ENOMEM;
}

static void
memory_that_other_clients_have_is_waited_for(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_queue(t, MPROC_OPTS(mproc_queue_opts, .ack = true));
	mproc_manager *other = connect_to(server);
	mproc_queue *q = queue_named(client, b), *theirs = queue_named(other, b);
	void *taken[128];
	pthread_t thread;
	unsigned n = 0;
	void *result;

	assert_int_equal(mproc_queue_put(q, message, LEN, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_get(q, message, LEN, NULL, MPROC_NOWAIT), 0);
	while (n < 128 && (taken[n] = mproc_alloc(LEN)))
		n++;
	assert_in_range(n, 1, 127);
	/* Who has it itself would wait for ever. */
	assert_true(is_short(mproc_queue_put(q, message, LEN, MPROC_FOREVER)));
	assert_int_equal(mproc_queue_put(theirs, message, LEN, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_queue_put(theirs, message, LEN, mproc_ms(20)),
			 -ETIMEDOUT);
	assert_int_equal(pthread_create(&thread, NULL, put_in_time, theirs), 0);
	mpt_until(t, putter && mpt_task_state(putter) == 'S');
	assert_int_equal(mproc_queue_task_done(q), 0);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, 0);
	assert_int_equal(mproc_queue_get(q, message, LEN, NULL, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_task_done(q), 0);
	while (n)
		mproc_free(taken[--n]);
	mproc_manager_close(other);
	end(t, b);
}

static int
start_in_a_small_arena(void **state)
{
	int r = mproc_arena_configure_default(MPROC_OPTS(
		mproc_arena_opts, .capacity = (size_t)64 << 20));

	return r < 0 ? r : start_both(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_client_has_so_many_at_a_time),
		mpt_test(all_that_a_thread_has_comes_back),
		mpt_test(a_client_without_memory_loses_nothing),
		mpt_test(who_waits_keeps_no_memory_for_an_answer),
		mpt_test(memory_that_other_clients_have_is_waited_for),
	};

	return cmocka_run_group_tests(tests, start_in_a_small_arena, end_both);
}
