/* SPDX-License-Identifier: MIT */
/*
 * queue.h with .joinable and .ack: messages that are kept until they are done,
 * that come back when their taker dies, and dead letters. Who waits for what is
 * in test_queue_keep_wait.c.
 */
#include "keep.h"

static void
a_plain_queue_keeps_nothing(void **state)
{
	mproc_queue *q = NULL, *dlq = NULL;

	(void)state;
	assert_int_equal(mproc_queue_create(&q, NULL), 0);
	assert_int_equal(mproc_queue_task_done(q), -EINVAL);
	assert_int_equal(mproc_queue_requeue(q), -EINVAL);
	assert_int_equal(mproc_queue_join(q, MPROC_FOREVER), -EINVAL);
	assert_int_equal(mproc_queue_dead_letters(q, &dlq), -EINVAL);
	assert_null(dlq);
	mproc_queue_destroy(q);
}

static void
bad_options_are_refused(void **state)
{
	mproc_queue *q = NULL;

	(void)state;
	assert_int_equal(mproc_queue_create(&q, MPROC_OPTS(
		mproc_queue_opts, .max_redeliveries = 1)), -EINVAL);
	assert_int_equal(mproc_queue_create(&q, MPROC_OPTS(
		mproc_queue_opts, .max_redeliveries = -1,
		.joinable = true)), -EINVAL);
	assert_int_equal(mproc_queue_create(&q, MPROC_OPTS(
		mproc_queue_opts, .ack = true, .max_redeliveries = -2)),
			 -EINVAL);
	assert_int_equal(mproc_queue_create(&q, MPROC_OPTS(
		mproc_queue_opts, .ack = true, .max_redeliveries = 65001)),
			 -EINVAL);
	assert_int_equal(mproc_queue_create(&q, MPROC_OPTS(
		mproc_queue_opts, .max_items = 16515073)), -EINVAL);
	assert_null(q);
}

static void
a_message_counts_until_it_is_done(void **state)
{
	struct mproc_arena_stat before = cleaned_up();
	struct mpt *t = *state;
	struct board *b = new_board(t, joinable());

	assert_int_equal(mproc_queue_join(b->q, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_task_done(b->q), -EINVAL);
	for (unsigned i = 0; i < 200; i++)
		put_value(t, b->q, i);
	assert_int_equal(mproc_queue_len(b->q), 200);
	assert_int_equal(mproc_queue_join(b->q, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_queue_join(b->q, mproc_ms(5)), -ETIMEDOUT);
	for (unsigned i = 0; i < 200; i++)
		take_value(t, b->q, i);
	is_empty(t, b->q);
	assert_int_equal(look(b->q).held, 200);
	assert_int_equal(look(b->q).puts, 200);
	assert_int_equal(look(b->q).gets, 200);
	/* Nobody else can do them. */
	assert_int_equal(mproc_queue_join(b->q, MPROC_FOREVER), -EDEADLK);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(mproc_queue_task_done(b->q), 0);
	assert_int_equal(mproc_queue_task_done(b->q), -EINVAL);
	assert_int_equal(look(b->q).held, 0);
	assert_int_equal(mproc_queue_join(b->q, MPROC_NOWAIT), 0);
	end(t, b, &before);
}

static void
what_is_requeued_comes_first(void **state)
{
	struct mproc_arena_stat before = cleaned_up();
	struct mpt *t = *state;
	struct board *b = new_board(t, with_ack());

	for (unsigned i = 0; i < 4; i++)
		put_value(t, b->q, i);
	take_value(t, b->q, 0);
	take_value(t, b->q, 1);
	/* The oldest. */
	assert_int_equal(mproc_queue_requeue(b->q), 0);
	assert_int_equal(mproc_queue_len(b->q), 3);
	take_value(t, b->q, 0);
	take_value(t, b->q, 2);
	assert_int_equal(look(b->q).held, 3);
	assert_int_equal(mproc_queue_task_done(b->q), 0); /* 1 */
	/* As often as one likes. */
	for (unsigned i = 0; i < 20; i++) {
		unsigned value;

		assert_int_equal(mproc_queue_requeue(b->q), 0);
		assert_int_equal(mproc_queue_get(b->q, &value, sizeof(value),
						 NULL, MPROC_NOWAIT), 0);
		assert_int_equal(value, i % 2 ? 2 : 0);
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(mproc_queue_task_done(b->q), 0);
	take_value(t, b->q, 3);
	assert_int_equal(mproc_queue_task_done(b->q), 0);
	is_empty(t, b->q);
	assert_int_equal(mproc_queue_join(b->q, MPROC_NOWAIT), 0);
	assert_int_equal(look(b->q).dead_letters, 0);
	end(t, b, &before);
}

static void
a_peek_takes_and_a_release_does_not_do(void **state)
{
	struct mpt *t = *state;

	for (int single = 0; single < 2; single++) {
		struct mproc_arena_stat before = cleaned_up();
		struct board *b = new_board(t, MPROC_OPTS(
			mproc_queue_opts, .ack = true,
			.single_consumer = single));
		const void *p;
		size_t len;

		put_value(t, b->q, 7);
		put_value(t, b->q, 8);
		assert_int_equal(mproc_queue_peek(b->q, &p, &len, MPROC_NOWAIT),
				 0);
		assert_int_equal(*(const unsigned *)p, 7);
		assert_int_equal(mproc_queue_len(b->q), 1);
		assert_int_equal(mproc_queue_task_done(b->q), -EBUSY);
		assert_int_equal(mproc_queue_requeue(b->q), -EBUSY);
		assert_int_equal(mproc_queue_release(b->q, p), 0);
		assert_int_equal(look(b->q).held, 1);
		assert_int_equal(mproc_queue_requeue(b->q), 0);
		take_value(t, b->q, 7);
		take_value(t, b->q, 8);
		assert_int_equal(mproc_queue_task_done(b->q), 0);
		assert_int_equal(mproc_queue_task_done(b->q), 0);
		is_empty(t, b->q);
		end(t, b, &before);
	}
}

static int
take_and_end(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	for (unsigned i = 0; i < (uintptr_t)arg; i++)
		take_value(t, b->q, i);
	return 0;
}

static int
take_two(void *arg)
{
	unsigned value;

	for (unsigned i = 0; i < 2; i++)
		if (mproc_queue_get(arg, &value, sizeof(value), NULL,
				    MPROC_NOWAIT) < 0 ||
		    value != i)
			return 1;
	return 0;
}

/* In order, so that is no death: a thread, and a process. */
static void
who_ends_gives_back(void **state)
{
	struct mproc_arena_stat before = cleaned_up();
	struct mpt *t = *state;
	struct board *b = new_board(t, joinable());
	mproc_process *p;
	int code;

	for (unsigned i = 0; i < 3; i++)
		put_value(t, b->q, i);
	mpt_use_threads(t, true);
	for (unsigned i = 0; i < 5; i++) {
		mpt_expect_exit(t, mpt_spawn(t, "taker", take_and_end,
					     (void *)(uintptr_t)2), 0);
		assert_int_equal(mproc_queue_len(b->q), 3);
	}
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(mproc_process_start(&p, take_two, b->q, NULL),
				 0);
		assert_int_equal(mproc_process_join(p, mproc_sec(20)), 0);
		assert_int_equal(mproc_process_exitcode(p, &code), 0);
		assert_int_equal(code, 0);
		mproc_process_close(p);
		assert_int_equal(mproc_queue_len(b->q), 3);
	}
	for (unsigned i = 0; i < 3; i++) {
		take_value(t, b->q, i);
		assert_int_equal(mproc_queue_task_done(b->q), 0);
	}
	assert_int_equal(mproc_queue_join(b->q, MPROC_NOWAIT), 0);
	is_empty(t, b->dlq);
	end(t, b, &before);
}

struct letter {
	struct mproc_dead_letter head;
	unsigned value;
};

static struct letter
read_letter(mproc_queue *dlq)
{
	struct letter letter;
	size_t len;

	assert_int_equal(mproc_queue_get(dlq, &letter, sizeof(letter), &len,
					 MPROC_NOWAIT), 0);
	assert_int_equal(len, sizeof(letter.head) + sizeof(letter.value));
	return letter;
}

static void
a_killed_takers_message_comes_back(void **state)
{
	struct mproc_arena_stat before = cleaned_up();
	struct mpt *t = *state;
	struct board *b = new_board(t, with_ack());
	struct letter letter;
	pid_t pids[4];

	put_value(t, b->q, 5);
	put_value(t, b->q, 6);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(mproc_queue_len(b->q), 2);
		is_empty(t, b->dlq);
		pids[i] = kill_a_taker(t, b, 5);
	}
	/* That was once too often. */
	assert_int_equal(mproc_queue_len(b->q), 1);
	assert_int_equal(mproc_queue_len(b->dlq), 1);
	assert_int_equal(look(b->q).dead_letters, 1);
	take_value(t, b->q, 6);
	assert_int_equal(mproc_queue_task_done(b->q), 0);
	assert_int_equal(mproc_queue_join(b->q, MPROC_FOREVER), -EOWNERDEAD);
	assert_int_equal(mproc_queue_join(b->q, MPROC_NOWAIT), -EOWNERDEAD);
	letter = read_letter(b->dlq);
	assert_int_equal(letter.value, 5);
	assert_int_equal(letter.head.deaths, 4);
	assert_int_equal(letter.head.n_killers, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(letter.head.killer[i].pid, pids[i]);
		/* Nobody has told us: the test is not libmproc. */
		assert_int_equal(letter.head.killer[i].signal, -1);
	}
	is_empty(t, b->dlq);
	assert_int_equal(mproc_queue_join(b->q, MPROC_NOWAIT), 0);
	end(t, b, &before);
}

static int
take_and_crash(void *arg)
{
	unsigned value;

	if (mproc_queue_get(arg, &value, sizeof(value), NULL, mproc_sec(10)) <
	    0)
		return 1;
	raise(value % 2 ? SIGKILL : SIGTERM);
	return 2;
}

static void
a_dead_letter_tells_what_ended_its_killers(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, MPROC_OPTS(
		mproc_queue_opts, .ack = true, .max_redeliveries = 5));
	struct letter letter;
	mproc_process *p;
	pid_t pids[6];

	mpt_rebase(t);
	for (unsigned value = 0; value < 2; value++) {
		put_value(t, b->q, value);
		for (unsigned i = 0; i < 6; i++) {
			assert_int_equal(mproc_process_start(
				&p, take_and_crash, b->q, NULL), 0);
			pids[i] = mproc_process_pid(p);
			assert_int_equal(mproc_process_join(p, mproc_sec(20)),
					 0);
			mproc_process_close(p);
		}
		letter = read_letter(b->dlq);
		assert_int_equal(letter.value, value);
		assert_int_equal(letter.head.deaths, 6);
		assert_int_equal(letter.head.n_killers, 4);
		for (unsigned i = 0; i < 4; i++) {
			assert_int_equal(letter.head.killer[i].pid,
					 pids[i + 2]);
			assert_int_equal(letter.head.killer[i].signal,
					 value ? SIGKILL : SIGTERM);
		}
	}
	mproc_queue_destroy(b->q);
}

static void
without_ack_the_first_death_is_one_too_many(void **state)
{
	struct mproc_arena_stat before = cleaned_up();
	struct mpt *t = *state;
	struct board *b = new_board(t, joinable());
	struct letter letter;
	unsigned value;
	size_t len;
	pid_t pid;

	put_value(t, b->q, 1);
	put_value(t, b->q, 2);
	pid = kill_a_taker(t, b, 1);
	assert_int_equal(mproc_queue_len(b->q), 1);
	/* Not all others are done. */
	assert_int_equal(mproc_queue_join(b->q, MPROC_NOWAIT), -EAGAIN);
	take_value(t, b->q, 2);
	assert_int_equal(mproc_queue_task_done(b->q), 0);
	assert_int_equal(mproc_queue_join(b->q, MPROC_FOREVER), -EOWNERDEAD);
	/* What does not fit stays. */
	assert_int_equal(mproc_queue_get(b->dlq, &value, sizeof(value), &len,
					 MPROC_NOWAIT), -EMSGSIZE);
	assert_int_equal(len, sizeof(letter.head) + sizeof(value));
	letter = read_letter(b->dlq);
	assert_int_equal(letter.value, 1);
	assert_int_equal(letter.head.deaths, 1);
	assert_int_equal(letter.head.killer[0].pid, pid);
	assert_int_equal(mproc_queue_join(b->q, MPROC_FOREVER), 0);
	end(t, b, &before);
}

static void
without_a_limit_it_comes_back_for_ever(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, MPROC_OPTS(
		mproc_queue_opts, .ack = true, .max_redeliveries = -1));
	unsigned n = amount(30);

	put_value(t, b->q, 9);
	while (n--)
		kill_a_taker(t, b, 9);
	take_value(t, b->q, 9);
	assert_int_equal(mproc_queue_task_done(b->q), 0);
	is_empty(t, b->dlq);
	mproc_queue_destroy(b->q);
}

/* A dead letter is nobody's to put, to look at in place, or to end. */
static void
dead_letters_can_only_be_read(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, with_ack());
	mproc_queue *again;
	const void *p;
	void *room;

	assert_int_equal(mproc_queue_dead_letters(b->q, &again), 0);
	assert_ptr_equal(again, b->dlq);
	assert_int_equal(mproc_queue_put(b->dlq, "x", 1, MPROC_NOWAIT), -EPERM);
	assert_int_equal(mproc_queue_reserve(b->dlq, 1, &room, MPROC_NOWAIT),
			 -EPERM);
	assert_int_equal(mproc_queue_peek(b->dlq, &p, NULL, MPROC_NOWAIT),
			 -EPERM);
	assert_int_equal(mproc_queue_task_done(b->dlq), -EINVAL);
	mproc_queue_destroy(b->dlq);
	is_empty(t, b->dlq);
	mproc_queue_destroy(b->q);
	assert_int_equal(mproc_queue_get(b->dlq, &room, 1, NULL, MPROC_NOWAIT),
			 -ESTALE);
	assert_int_equal(mproc_queue_dead_letters(b->q, &again), -ESTALE);
	assert_int_equal(mproc_queue_task_done(b->q), -ESTALE);
	assert_int_equal(mproc_queue_join(b->q, MPROC_NOWAIT), -ESTALE);
}

static int
wait_for_a_letter(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct letter letter;

	(void)arg;
	b->tid = gettid();
	mpt_check_int(t, mproc_queue_get(b->dlq, &letter, sizeof(letter), NULL,
					 mproc_sec(20)), 0);
	mpt_check_int(t, letter.value, 3);
	b->done++;
	mpt_check_int(t, mproc_queue_get(b->dlq, &letter, sizeof(letter), NULL,
					 MPROC_FOREVER), -ESHUTDOWN);
	return 0;
}

static void
a_reader_of_dead_letters_is_woken(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, joinable());
	int id = mpt_spawn(t, "reader", wait_for_a_letter, NULL);

	mpt_until(t, b->tid && mpt_task_state(b->tid) == 'S');
	put_value(t, b->q, 3);
	kill_a_taker(t, b, 3);
	mpt_until(t, b->done == 1);
	mpt_until(t, mpt_task_state(b->tid) == 'S');
	mproc_queue_destroy(b->q);
	mpt_expect_exit(t, id, 0);
}

/* Workers that are killed at random places of their work; each message is done
 * in the end, and nobody has one that another has. */
static int
work(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	_Atomic unsigned *busy = b->busy;
	unsigned value;
	int r;

	(void)arg;
	while ((r = mproc_queue_get(b->q, &value, sizeof(value), NULL,
				    MPROC_FOREVER)) == 0) {
		/* A killed worker's word stays, its pid is dead. */
		busy[value] = (unsigned)getpid();
		b->ready++;
		for (volatile int i = 0; i < 20000; i++)
			;
		mpt_check_int(t, busy[value], (unsigned)getpid());
		mpt_check_int(t, mproc_queue_task_done(b->q), 0);
	}
	mpt_check_int(t, r, -ESHUTDOWN);
	return 0;
}

static void
every_message_is_done_though_workers_are_killed(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, MPROC_OPTS(
		mproc_queue_opts, .ack = true, .max_redeliveries = -1));
	unsigned kills = amount(40);
	int ids[WORKERS];

	b->ready = 0;
	for (unsigned i = 0; i < MESSAGES; i++)
		put_value(t, b->q, i);
	for (int i = 0; i < WORKERS; i++)
		ids[i] = mpt_spawn(t, "worker", work, NULL);
	for (unsigned k = 0; k < kills; k++) {
		unsigned ready = b->ready;

		mpt_until(t, b->ready != ready || mproc_queue_len(b->q) == 0);
		mpt_kill(t, ids[k % WORKERS]);
		ids[k % WORKERS] = mpt_spawn(t, "worker", work, NULL);
	}
	assert_int_equal(mproc_queue_join(b->q, mproc_sec(20)), 0);
	for (unsigned i = 0; i < MESSAGES; i++)
		assert_int_not_equal(b->busy[i], 0);
	assert_int_equal(mproc_queue_shutdown(b->q, MPROC_DRAIN), 0);
	for (int i = 0; i < WORKERS; i++)
		mpt_expect_exit(t, ids[i], 0);
	mproc_queue_destroy(b->q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_plain_queue_keeps_nothing),
		mpt_test(bad_options_are_refused),
		mpt_test(a_message_counts_until_it_is_done),
		mpt_test(what_is_requeued_comes_first),
		mpt_test(a_peek_takes_and_a_release_does_not_do),
		mpt_test(who_ends_gives_back),
		mpt_test(a_killed_takers_message_comes_back),
		mpt_test(a_dead_letter_tells_what_ended_its_killers),
		mpt_test(without_ack_the_first_death_is_one_too_many),
		mpt_test(without_a_limit_it_comes_back_for_ever),
		mpt_test(dead_letters_can_only_be_read),
		mpt_test(a_reader_of_dead_letters_is_woken),
		mpt_test(every_message_is_done_though_workers_are_killed),
	};

	return cmocka_run_group_tests(tests, make_the_arena, NULL);
}
