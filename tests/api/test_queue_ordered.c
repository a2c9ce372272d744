/* SPDX-License-Identifier: MIT */
/*
 * queue.h with .ordered: one order for all producers. Producers take turns, so
 * that there is one right order, while consumers take what there is.
 */
#include <stdatomic.h>

#include "common.h"

enum { PRODUCERS = 4 };

/* In the scratch bytes. */
struct board {
	mproc_queue *q;
	_Atomic unsigned turn; /* number of the message that is to be put next */
	_Atomic unsigned last; /* that was taken */
	unsigned n;
};

static struct board *
new_board(struct mpt *t, const struct mproc_queue_opts *opts)
{
	struct board *b = mpt_scratch(t);

	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(mproc_queue_create(&b->q, opts), 0);
	b->turn = 1;
	b->last = 0;
	b->n = 4 * amount(500);
	return b;
}

static void
put_number(struct mpt *t, mproc_queue *q, unsigned number)
{
	mpt_check_int(t, mproc_queue_put(q, &number, sizeof(number),
					 mproc_sec(20)), 0);
}

static unsigned
take(struct mpt *t, mproc_queue *q)
{
	unsigned number = 0;

	mpt_check_int(t, mproc_queue_get(q, &number, sizeof(number), NULL,
					 mproc_sec(20)), 0);
	return number;
}

/* Every fourth message; nobody knows where the others' are. */
static int
put_in_turn(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	for (unsigned i = 1 + (unsigned)(uintptr_t)arg; i <= b->n;
	     i += PRODUCERS) {
		mpt_until(t, b->turn == i);
		put_number(t, b->q, i);
		b->turn = i + 1;
	}
	return 0;
}

static void
spawn_producers(struct mpt *t)
{
	for (uintptr_t i = 0; i < PRODUCERS; i++)
		mpt_spawn(t, "producer", put_in_turn, (void *)i);
}

static void
all_come_in_the_order_of_their_puts(struct mpt *t)
{
	struct board *b;

	for (int single = 0; single < 2; single++) {
		b = new_board(t, MPROC_OPTS(mproc_queue_opts, .ordered = true,
					    .single_consumer = single));
		spawn_producers(t);
		for (unsigned i = 1; i <= b->n; i++)
			assert_int_equal(take(t, b->q), i);
		mpt_join_all(t);
		assert_int_equal(mproc_queue_len(b->q), 0);
		mproc_queue_destroy(b->q);
	}
}

/* The other consumer's last message is older than ours, if it was taken before
 * we began to get ours; what it takes meanwhile may be newer. */
static int
take_in_order(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned before, number;
	size_t len;
	int r;

	(void)arg;
	for (;;) {
		before = b->last;
		r = mproc_queue_get(b->q, &number, sizeof(number), &len,
				    MPROC_FOREVER);
		if (r < 0)
			break;
		mpt_check(t, number > before);
		while (before < number &&
		       !atomic_compare_exchange_weak(&b->last, &before, number))
			;
	}
	mpt_check_int(t, r, -ESHUTDOWN);
	return 0;
}

static void
several_consumers_see_one_order(struct mpt *t)
{
	struct board *b = new_board(t, MPROC_OPTS(mproc_queue_opts,
						  .ordered = true));

	for (int i = 0; i < 3; i++)
		mpt_spawn(t, "consumer", take_in_order, NULL);
	spawn_producers(t);
	mpt_until(t, b->turn == b->n + 1);
	assert_int_equal(mproc_queue_shutdown(b->q, MPROC_DRAIN), 0);
	mpt_join_all(t);
	assert_int_equal(mproc_queue_len(b->q), 0);
	mproc_queue_destroy(b->q);
}

static int
put_and_wait(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	put_number(t, b->q, (unsigned)(uintptr_t)arg);
	b->turn++;
	wait_to_be_killed(t);
	return 0;
}

/* The next owner of a lane goes on in it, whatever its last one left. */
static void
lanes_of_the_dead_keep_their_place(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, MPROC_OPTS(mproc_queue_opts,
						  .ordered = true));
	enum { N = 30 };
	int ids[N + 1];

	for (unsigned i = 1; i <= N; i++) {
		ids[i] = mpt_spawn(t, "producer", put_and_wait,
				   (void *)(uintptr_t)i);
		mpt_until(t, b->turn == i + 1);
		if (i % 3)
			mpt_kill(t, ids[i]);
		if (i % 2)
			assert_true(mproc_arena_recover(NULL) >= 0);
	}
	for (unsigned i = 1; i <= N; i++)
		assert_int_equal(take(t, b->q), i);
	for (unsigned i = 3; i <= N; i += 3)
		mpt_kill(t, ids[i]);
	mproc_queue_destroy(b->q);
}

static int
put_one(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	put_number(t, b->q, (unsigned)(uintptr_t)arg);
	return 0;
}

/* Each from a thread with a lane of its own. */
static void
put_by_another(struct mpt *t, unsigned number)
{
	mpt_use_threads(t, true);
	mpt_expect_exit(t, mpt_spawn(t, "producer", put_one,
				     (void *)(uintptr_t)number), 0);
}

static void
other_options_keep_the_order(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, MPROC_OPTS(
		mproc_queue_opts, .ordered = true, .ack = true,
		.max_items = 4));
	unsigned number = 9;
	const void *p;

	put_number(t, b->q, 1);
	put_by_another(t, 2);
	put_number(t, b->q, 3);
	put_by_another(t, 4);
	assert_int_equal(mproc_queue_put(b->q, &number, sizeof(number),
					 MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(take(t, b->q), 1);
	assert_int_equal(take(t, b->q), 2);
	/* What comes back comes first. */
	assert_int_equal(mproc_queue_requeue(b->q), 0);
	assert_int_equal(take(t, b->q), 1);
	assert_int_equal(mproc_queue_peek(b->q, &p, NULL, MPROC_NOWAIT), 0);
	assert_int_equal(*(const unsigned *)p, 3);
	assert_int_equal(mproc_queue_release(b->q, p), 0);
	assert_int_equal(take(t, b->q), 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(mproc_queue_task_done(b->q), 0);
	assert_int_equal(mproc_queue_join(b->q, MPROC_NOWAIT), 0);
	mproc_queue_destroy(b->q);
}

static void
all_ways_to_put_and_take_keep_the_order(void **state)
{
	struct mpt *t = *state;

	for (int single = 0; single < 2; single++) {
		struct board *b = new_board(t, MPROC_OPTS(
			mproc_queue_opts, .ordered = true,
			.single_consumer = single));
		unsigned numbers[] = { 3, 4 }, got[4];
		struct iovec msgs[] = { { numbers, 4 }, { numbers + 1, 4 } };
		const void *shown;
		void *p;

		put_by_another(t, 1);
		put_by_another(t, 2);
		assert_int_equal(mproc_queue_put_many(b->q, msgs, 2,
						      MPROC_NOWAIT), 1);
		assert_int_equal(mproc_queue_putv(b->q, msgs + 1, 1,
						  MPROC_NOWAIT), 0);
		/* The place in the order is that of the commit. */
		assert_int_equal(mproc_queue_reserve(b->q, 4, &p, MPROC_NOWAIT),
				 0);
		put_by_another(t, 5);
		*(unsigned *)p = 6;
		assert_int_equal(mproc_queue_commit(b->q, p, 4), 0);
		put_by_another(t, 7);
		assert_int_equal(mproc_queue_len(b->q), 7);

		for (unsigned i = 1; i < 4; i += 2) {
			assert_int_equal(mproc_queue_get_many(
				b->q, got, sizeof(got), msgs, 2, MPROC_NOWAIT),
					 1);
			assert_int_equal(got[0], i);
			assert_int_equal(mproc_queue_peek(b->q, &shown, NULL,
							  MPROC_NOWAIT), 0);
			assert_int_equal(*(const unsigned *)shown, i + 1);
			assert_int_equal(mproc_queue_release(b->q, shown), 0);
		}
		/* Too long for the buffer: it stays where it is. */
		assert_int_equal(mproc_queue_get(b->q, got, 3, NULL,
						 MPROC_NOWAIT), -EMSGSIZE);
		for (unsigned i = 5; i <= 7; i++)
			assert_int_equal(take(t, b->q), i);
		assert_int_equal(mproc_queue_get(b->q, got, 4, NULL,
						 MPROC_NOWAIT), -EAGAIN);
		mproc_queue_destroy(b->q);
	}
}

both(all_come_in_the_order_of_their_puts)
both(several_consumers_see_one_order)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		both_tests(all_come_in_the_order_of_their_puts),
		both_tests(several_consumers_see_one_order),
		mpt_test(lanes_of_the_dead_keep_their_place),
		mpt_test(other_options_keep_the_order),
		mpt_test(all_ways_to_put_and_take_keep_the_order),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
