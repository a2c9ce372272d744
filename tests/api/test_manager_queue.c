/* SPDX-License-Identifier: MIT */
/*
 * Queues of a manager: the same cases with all in the family, with all as clients, and
 * with some of each.
 */
#include <mproc/testing.h>

#include "manager_queue.h"

enum { NOTES = 300 };

static int
put_notes(struct mpt *t, void *arg)
{
	mproc_queue *q = queue_of(t, number(arg));

	for (unsigned i = 0; i < NOTES; i++)
		mpt_check_int(t, put_note(q, number(arg), i, mproc_sec(20)), 0);
	return 0;
}

static int
get_notes(struct mpt *t, void *arg)
{
	mproc_queue *q = queue_of(t, number(arg));
	struct note n;

	for (int i = 0; i < NOTES; i++) {
		mpt_check_int(t, get_note(q, &n, mproc_sec(20)), i);
		mpt_check_int(t, n.from, 0);
	}
	return 0;
}

static void
messages_come_in_order(void **state)
{
	struct mpt *t = *state;

	for (unsigned who = 1; who <= 2; who++) {
		/* Of such a size that each side waits for the other. */
		struct board *b = new_queue(t, MPROC_OPTS(mproc_queue_opts,
							  .capacity = 4096));
		mproc_queue *q = queue_of(t, 0);
		struct note n;

		mpt_fork(t, "puts", put_notes, AS(who));
		for (int i = 0; i < NOTES; i++) {
			assert_int_equal(get_note(q, &n, mproc_sec(20)), i);
			assert_int_equal(n.from, who);
		}
		assert_int_equal(get_note(q, &n, MPROC_NOWAIT), -EAGAIN);
		mpt_fork(t, "gets", get_notes, AS(who));
		for (unsigned i = 0; i < NOTES; i++)
			assert_int_equal(put_note(q, 0, i, mproc_sec(20)), 0);
		end(t, b);
	}
}


static void
those_who_wait_get_one_each(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_queue(t, NULL);
	mproc_queue *q = queue_of(t, 0);

	for (unsigned i = 1; i <= 4; i++)
		mpt_fork(t, "waits", get_one, AS(i));
	mpt_until(t, b->ready == 4);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(put_note(q, 0, i, MPROC_NOWAIT), 0);
	mpt_until(t, b->done == 2);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(put_note(q, 0, i, MPROC_NOWAIT), 0);
	mpt_join_all(t);
	expect_nothing(q);
	end(t, b);
}

/* A message is longer than what it is to go to. */
static void
what_is_too_long_stays(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_queue(t, MPROC_OPTS(mproc_queue_opts,
						  .max_message = 1000));
	mproc_queue *q = queue_of(t, 0);
	unsigned char big[2000] = { 7 }, got[2000];
	struct iovec parts[3] = { { big, 1 }, { NULL, 0 }, { big + 1, 99 } };
	struct iovec msgs[2];
	size_t len = 0;
	void *p;

	for (unsigned i = 0; i < sizeof(big); i++)
		big[i] = (unsigned char)(i * 7);
	assert_int_equal(mproc_queue_put(q, big, 1001, MPROC_NOWAIT), -EMSGSIZE);
	assert_true(detail_has("1001 bytes") && detail_has("most 1000"));
	/* Nobody reads so much. */
	assert_int_equal(mproc_queue_put(q, big, (size_t)INT32_MAX + 1,
					 MPROC_NOWAIT), -EMSGSIZE);
	assert_true(detail_has("2147483648 bytes") && detail_has("at most"));
	assert_int_equal(mproc_queue_reserve(q, (size_t)INT32_MAX + 1, &p,
					     MPROC_NOWAIT), -EMSGSIZE);
	assert_true(detail_has("2147483648 bytes") && detail_has("at most"));
	assert_int_equal(mproc_queue_put(q, NULL, 1, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_queue_putv(q, parts, 3, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_put(q, NULL, 0, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_putv(q, NULL, 0, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_put(q, big, 1000, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_len(q), 4);
	assert_int_equal(mproc_queue_get(q, got, 99, &len, MPROC_FOREVER), -EMSGSIZE);
	assert_int_equal(len, 100);
	assert_true(detail_has("100 bytes") && detail_has("has 99"));
	assert_int_equal(mproc_queue_get_many(q, got, 99, msgs, 2, MPROC_FOREVER),
			 -EMSGSIZE);
	assert_int_equal(msgs[0].iov_len, 100);
	assert_int_equal(mproc_queue_get(q, NULL, 1, &len, MPROC_FOREVER), -EINVAL);
	assert_int_equal(mproc_queue_get(q, got, sizeof(got), &len, MPROC_FOREVER), 0);
	assert_int_equal(len, 100);
	assert_memory_equal(got, big, 100);
	assert_int_equal(mproc_queue_get(q, NULL, 0, NULL, MPROC_FOREVER), 0);
	assert_int_equal(mproc_queue_get(q, got, 1, &len, MPROC_FOREVER), 0);
	assert_int_equal(len, 0);
	assert_int_equal(mproc_queue_get(q, got, 1000, &len, MPROC_FOREVER), 0);
	assert_memory_equal(got, big, 1000);
	expect_nothing(q);
	end(t, b);
}

enum { LONG = 300000, BATCH = 100 };

static void
long_ones_and_many_at_once(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_queue(t, MPROC_OPTS(mproc_queue_opts,
						  .capacity = 65536));
	mproc_queue *q = queue_of(t, 0);
	unsigned char *big = malloc(LONG), *got = malloc(LONG);
	struct note notes[BATCH], back[BATCH];
	struct iovec msgs[BATCH];
	size_t len;
	int n, r;

	assert_true(big && got);
	for (unsigned i = 0; i < LONG; i++)
		big[i] = (unsigned char)(i ^ i >> 8);
	/* So that four are queued at most. */
	assert_int_equal(mproc_queue_put(q, big, LONG, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_get(q, got, LONG, &len, MPROC_NOWAIT), 0);
	assert_int_equal(len, LONG);
	assert_memory_equal(big, got, LONG);

	for (unsigned i = 0; i < BATCH; i++) {
		notes[i] = note(1, i);
		msgs[i] = (struct iovec){ &notes[i], sizeof(notes[i]) };
	}
	assert_int_equal(mproc_queue_put_many(q, msgs, 0, MPROC_NOWAIT), -EINVAL);
	for (n = 0; n < BATCH; n += r) {
		r = mproc_queue_put_many(q, msgs + n, BATCH - n, mproc_sec(20));
		assert_true(r > 0 && r <= BATCH - n);
	}
	for (n = 0; n < BATCH; n += r) {
		r = mproc_queue_get_many(q, &back[n], sizeof(back[0]) * 7, msgs,
					 BATCH - n, mproc_sec(20));
		assert_true(r > 0 && r <= 7 && r <= BATCH - n);
		for (int i = 0; i < r; i++) {
			assert_ptr_equal(msgs[i].iov_base, &back[n + i]);
			assert_int_equal(msgs[i].iov_len, sizeof(back[0]));
		}
	}
	assert_memory_equal(notes, back, sizeof(notes));
	expect_nothing(q);
	free(big);
	free(got);
	end(t, b);
}

static void
a_full_queue_has_producers_wait(void **state)
{
	struct mpt *t = *state;

	/* For room in a lane, and for a message less. */
	for (unsigned i = 0; i < 4; i++) {
		struct board *b = new_queue(t, i % 2 ?
			MPROC_OPTS(mproc_queue_opts, .max_items = 3) :
			MPROC_OPTS(mproc_queue_opts, .capacity = 4096));
		mproc_queue *q = queue_of(t, 0);
		struct note n;
		unsigned own = 0, theirs = 0, count = 0;
		int r;

		while ((r = put_note(q, 0, own, MPROC_NOWAIT)) == 0)
			own++;
		assert_int_equal(r, -EAGAIN);
		assert_int_equal(put_note(q, 0, 0, mproc_ms(20)), -ETIMEDOUT);
		if (i % 2)
			assert_int_equal(own, 3);
		mpt_fork(t, "puts", put_notes, AS(1 + i / 2));
		/* The same for who is in a lane of its own. */
		mpt_until(t, stat_of(b).sleeping_producers);
		while (count++ < own + NOTES) {
			r = get_note(q, &n, mproc_sec(20));
			assert_int_equal(r, n.from ? (int)theirs : (int)n.number);
			theirs += n.from != 0;
		}
		assert_int_equal(theirs, NOTES);
		expect_nothing(q);
		end(t, b);
	}
}

/* So many that to look from time to time would take longer than a test may. */
enum { VOLLEYS = 400 };

static int
send_back(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	mproc_queue *in, *out = queue_of(t, number(arg));
	struct note n;

	/* The other one was made before it. */
	snprintf(b->name, sizeof(b->name), "first");
	in = queue_of(t, number(arg));
	b->ready++;
	for (int i = 0; i < VOLLEYS; i++) {
		mpt_check_int(t, get_note(in, &n, mproc_sec(20)), i);
		mpt_check_int(t, put_note(out, 1, n.number, mproc_sec(20)), 0);
	}
	return 0;
}

static void
who_sleeps_is_woken_each_time(void **state)
{
	struct mpt *t = *state;

	for (unsigned who = 1; who <= 2; who++) {
		struct mproc_queue_opts one = { .struct_size = sizeof(one),
						.max_items = 1 };
		struct board *b = new_queue(t, &one);
		mproc_queue *back = queue_of(t, 0), *q, *theirs;
		char name[sizeof(b->name)];
		struct note n;

		memcpy(name, b->name, sizeof(name));
		assert_int_equal(mproc_manager_queue(client, "first", &one, &q), 0);
		mpt_fork(t, "sends back", send_back, AS(who));
		mpt_until(t, b->ready == 1);
		b->ready = 0;
		theirs = queue_of(t, 0);
		for (int i = 0; i < VOLLEYS; i++) {
			assert_int_equal(put_note(theirs, 0, (unsigned)i,
						  mproc_sec(20)), 0);
			assert_int_equal(get_note(back, &n, mproc_sec(20)), i);
		}
		end(t, b);
		memcpy(b->name, name, sizeof(name));
		end(t, b);
	}
}

enum { PEERS = 3, EACH = 400 };

/* In the scratch bytes, behind the board. */
struct tally {
	_Atomic unsigned seen[PEERS + 1][EACH];
	_Atomic unsigned taken;
};

static struct tally *
tally(struct mpt *t)
{
	return (struct tally *)((struct board *)mpt_scratch(t) + 1);
}

static int
put_each(struct mpt *t, void *arg)
{
	mproc_queue *q = queue_of(t, number(arg));

	for (unsigned i = 0; i < EACH; i++)
		mpt_check_int(t, put_note(q, number(arg), i, mproc_sec(20)), 0);
	return 0;
}

/* Each producer's come in their order, to whoever. */
static int
get_all(struct mpt *t, void *arg)
{
	mproc_queue *q = queue_of(t, number(arg));
	int last[PEERS + 1], r;
	struct note n;

	for (unsigned i = 0; i <= PEERS; i++)
		last[i] = -1;
	while ((r = get_note(q, &n, mproc_sec(20))) >= 0) {
		mpt_check(t, n.from >= 1 && n.from <= PEERS && n.number < EACH);
		mpt_check(t, r > last[n.from]);
		last[n.from] = r;
		tally(t)->seen[n.from][n.number]++;
		tally(t)->taken++;
	}
	mpt_check_int(t, r, -ESHUTDOWN);
	return 0;
}

static void
many_put_and_many_get(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_queue(t, MPROC_OPTS(mproc_queue_opts,
						  .capacity = 8192));
	mproc_queue *q = queue_of(t, 0);

	memset(tally(t), 0, sizeof(*tally(t)));
	for (unsigned i = 1; i <= PEERS; i++) {
		mpt_fork(t, "gets", get_all, AS(i));
		mpt_fork(t, "puts", put_each, AS(i));
	}
	mpt_until(t, tally(t)->taken == PEERS * EACH);
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	mpt_join_all(t);
	for (unsigned i = 1; i <= PEERS; i++)
		for (unsigned j = 0; j < EACH; j++)
			assert_int_equal(tally(t)->seen[i][j], 1);
	end(t, b);
}

static int
wait_in_vain(struct mpt *t, void *arg)
{
	mproc_queue *q = queue_of(t, number(arg));
	struct board *b = mpt_scratch(t);
	struct note n;

	signal(SIGUSR1, interrupt);
	b->ready++;
	mpt_check_int(t, get_note(q, &n, MPROC_FOREVER), -EINTR);
	/* It was answered, and nothing is left of the wait. */
	mpt_check_int(t, get_note(q, &n, mproc_ms(1)), -ETIMEDOUT);
	b->done++;
	return 0;
}

static void
an_interrupt_ends_the_wait(void **state)
{
	struct mpt *t = *state;

	for (unsigned who = 1; who <= 2; who++) {
		struct board *b = new_queue(t, NULL);
		mproc_queue *q = queue_of(t, 0);
		struct note n;
		int id;

		id = mpt_fork(t, "waits", wait_in_vain, AS(who));
		mpt_until(t, stat_of(b).sleeping_consumers == 1);
		assert_int_equal(kill(mpt_pid(t, id), SIGUSR1), 0);
		mpt_expect_exit(t, id, 0);
		assert_int_equal(put_note(q, 0, 1, MPROC_NOWAIT), 0);
		assert_int_equal(get_note(q, &n, MPROC_NOWAIT), 1);
		end(t, b);
	}
}

static int
see_its_end(struct mpt *t, void *arg)
{
	mproc_queue *q = queue_of(t, number(arg));
	struct board *b = mpt_scratch(t);
	struct note n;

	int r;

	b->ready++;
	/* Some may have come too late to wait. */
	r = get_note(q, &n, mproc_sec(20));
	mpt_check(t, r == -ESHUTDOWN || r == -ESTALE);
	b->done += r == -ESHUTDOWN;
	mpt_check_int(t, get_note(q, &n, mproc_sec(20)), -ESTALE);
	mpt_check_int(t, put_note(q, 1, 1, mproc_sec(20)), -ESTALE);
	mpt_check_int(t, mproc_queue_len(q), 0);
	return 0;
}

static void
destroy_wakes_those_who_wait(void **state)
{
	struct mpt *t = *state;

	/* By who has it, as what that is; and by a client. */
	for (unsigned by = 0; by < 2; by++) {
		struct board *b = new_queue(t, NULL);
		mproc_queue *q = queue_of(t, 0), *theirs = q;

		if (by == 1)
			assert_int_equal(mproc_manager_queue(client, b->name, NULL,
							     &theirs), 0);
		for (unsigned i = 1; i <= 4; i++)
			mpt_fork(t, "waits", see_its_end, AS(i));
		mpt_until(t, b->ready == 4 && stat_of(b).sleeping_consumers);
		mproc_queue_destroy(theirs);
		mpt_join_all(t);
		assert_true(b->done);
		assert_int_equal(put_note(q, 0, 1, MPROC_NOWAIT), -ESTALE);
		assert_true(mproc_arena_bind(NULL, b->name, NULL) <= 0);
	}
}

static int
see_shutdown(struct mpt *t, void *arg)
{
	mproc_queue *q = queue_of(t, number(arg));
	struct board *b = mpt_scratch(t);
	struct note n;

	b->ready++;
	mpt_check_int(t, get_note(q, &n, mproc_sec(20)), -ESHUTDOWN);
	mpt_check_int(t, put_note(q, 1, 1, mproc_sec(20)), -ESHUTDOWN);
	return 0;
}

static void
a_queue_is_shut_down(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_queue(t, NULL);
	mproc_queue *q = queue_of(t, 0);
	struct note n;

	for (unsigned i = 1; i <= 4; i++)
		mpt_fork(t, "waits", see_shutdown, AS(i));
	mpt_until(t, b->ready == 4);
	assert_int_equal(mproc_queue_shutdown(q, 77), -EINVAL);
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	mpt_join_all(t);
	assert_int_equal(stat_of(b).state, MPROC_QUEUE_DRAINING);
	end(t, b);

	b = new_queue(t, NULL);
	q = queue_of(t, 0);
	assert_int_equal(put_note(q, 0, 1, MPROC_NOWAIT), 0);
	assert_int_equal(put_note(q, 0, 2, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	assert_int_equal(put_note(q, 0, 2, MPROC_NOWAIT), -ESHUTDOWN);
	assert_int_equal(get_note(q, &n, MPROC_FOREVER), 1);
	assert_int_equal(mproc_queue_shutdown(q, MPROC_IMMEDIATE), 0);
	assert_int_equal(get_note(q, &n, MPROC_FOREVER), -ESHUTDOWN);
	end(t, b);
}

static int
be_refused(struct mpt *t, void *arg)
{
	mproc_queue *q = queue_of(t, number(arg));
	struct note n;

	mpt_check_int(t, get_note(q, &n, MPROC_FOREVER), -EBUSY);
	mpt_check_int(t, put_note(q, 1, 9, MPROC_NOWAIT), 0);
	return 0;
}

static void
the_single_consumer_is_one(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_queue(t, MPROC_OPTS(mproc_queue_opts,
						  .single_consumer = true));
	mproc_queue *q = queue_of(t, 0);
	struct note n;
	int id;

	assert_int_equal(get_note(q, &n, MPROC_NOWAIT), -EAGAIN);
	mpt_expect_exit(t, mpt_fork(t, "other", be_refused, AS(1)), 0);
	mpt_expect_exit(t, mpt_fork(t, "other", be_refused, AS(2)), 0);
	assert_int_equal(get_note(q, &n, MPROC_NOWAIT), 9);
	assert_int_equal(get_note(q, &n, MPROC_NOWAIT), 9);
	end(t, b);
	/* The role is given back with the one who had it. */
	for (unsigned who = 1; who <= 2; who++) {
		b = new_queue(t, MPROC_OPTS(mproc_queue_opts,
					    .single_consumer = true));
		b->ready = b->done = 0;
		q = queue_of(t, 0);
		id = mpt_fork(t, "dies", get_one, AS(who));
		mpt_until(t, stat_of(b).sleeping_consumers == 1);
		mpt_kill(t, id);
		assert_int_equal(put_note(q, 0, 5, MPROC_NOWAIT), 0);
		mpt_until(t, get_note(q, &n, MPROC_NOWAIT) == 5);
		end(t, b);
	}
}

static void
a_snapshot_shows_it(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_queue(t, MPROC_OPTS(mproc_queue_opts, .name = "seen",
						  .capacity = 8192, .max_items = 10,
						  .max_message = 500, .ack = true));
	mproc_queue *q = queue_of(t, 0);
	struct mproc_queue_stat st;
	struct note n;

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(put_note(q, 0, i, MPROC_NOWAIT), 0);
	assert_int_equal(get_note(q, &n, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_stat(q, NULL), -EINVAL);
	assert_int_equal(mproc_queue_stat(q, &st), 0);
	assert_string_equal(st.name, "seen");
	assert_true(st.state == MPROC_QUEUE_OPEN && !st.single_consumer);
	assert_true(st.capacity == 8192 && st.max_items == 10 && st.max_message == 500);
	assert_true(st.depth == 2 && st.held == 1 && st.puts == 3 && st.gets == 1);
	assert_true(st.lanes == 1 && st.producers == 1 && st.consumers == 1);
	assert_int_equal(mproc_queue_len(q), 2);
	assert_int_equal(mproc_queue_task_done(q), 0);
	end(t, b);
}

/* Whatever of its memory is not there. */
static void
a_peek_without_memory_loses_nothing(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_queue(t, NULL);
	mproc_queue *q = queue_of(t, 0);
	const void *shown;
	size_t len;
	int r = 0;

	for (unsigned n = 1; n <= 12; n++) {
		char fault[32];

		if (r == 0)
			assert_int_equal(put_note(q, 0, n, MPROC_NOWAIT), 0);
		snprintf(fault, sizeof(fault), "malloc:%u", n);
		assert_int_equal(mproc_test_fault(fault), 0);
		r = mproc_queue_peek(q, &shown, &len, mproc_sec(5));
		assert_int_equal(mproc_test_fault(NULL), 0);
		assert_true(r == 0 || r == -ENOMEM);
		if (r < 0)
			continue;
		assert_int_equal(len, sizeof(struct note));
		assert_int_equal(mproc_queue_release(q, shown), 0);
	}
	assert_int_equal(r, 0);
	expect_nothing(q);
	end(t, b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ALL(messages_come_in_order),
		ALL(those_who_wait_get_one_each),
		ALL(what_is_too_long_stays),
		ALL(long_ones_and_many_at_once),
		ALL(a_full_queue_has_producers_wait),
		ALL(who_sleeps_is_woken_each_time),
		ALL(many_put_and_many_get),
		ALL(an_interrupt_ends_the_wait),
		ALL(destroy_wakes_those_who_wait),
		ALL(a_queue_is_shut_down),
		ALL(the_single_consumer_is_one),
		ALL(a_snapshot_shows_it),
		ALL(a_peek_without_memory_loses_nothing),
	};

	return cmocka_run_group_tests(tests, start_both, end_both);
}
