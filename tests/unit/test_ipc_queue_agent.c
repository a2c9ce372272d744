/* SPDX-License-Identifier: MIT */
/*
 * Queues used in the name of another thread, which sleeps: what it is woken for, and what
 * becomes of what was taken.
 */
#include <errno.h>
#include <poll.h>

#include <mproc/mproc.h>

#include "common.h"
#include "ipc/queue_agent.h"
#include "manager/porter.h"

static struct mpr_porter *porter;
static mproc_queue *q;
static struct mpr_attachment *at;

static void
begin(const struct mproc_queue_opts *opts)
{
	assert_int_equal(mpr_porter_open(&porter, the_arena()), 0);
	assert_int_equal(mproc_queue_create(&q, opts), 0);
	assert_int_equal(mpr_attachment_make(q, mpr_porter_self(porter), &at), 0);
	assert_ptr_not_equal(at, mpr_attachment_present(q));
}

static void
end(void)
{
	mpr_attachment_drop(at);
	mproc_queue_destroy(q);
	mpr_porter_close(porter);
}

static int
put(char what)
{
	return mpr_put_for(at, &(struct iovec){ &what, 1 }, 1);
}

/* Returns what it is, or an error. */
static int
get(struct mpr_taken *ret)
{
	char what = 0;
	size_t len = 0;
	int r = mpr_get_for(at, &(struct mpr_sink){ .buf = &what, .size = 1 }, &len,
			    ret);

	return r < 0 ? r : what;
}

/* Once, and what has woken it before is forgotten. */
static bool
is_told(int ms)
{
	struct pollfd fd = { .fd = mpr_porter_fd(porter), .events = POLLIN };
	bool told = poll(&fd, 1, ms) == 1;

	mpr_porter_reset(porter);
	return told;
}

static void
it_puts_and_gets(void **state)
{
	struct mpr_taken taken = { .block = NULL };
	struct mproc_queue_stat st;
	char what;

	(void)state;
	begin(NULL);
	assert_int_equal(get(&taken), -EAGAIN);
	assert_int_equal(put('a'), 1);
	assert_int_equal(mproc_queue_put(q, "b", 1, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_stat(q, &st), 0);
	assert_true(st.producers == 2 && st.depth == 2 && st.consumers == 1);
	assert_int_equal(get(&taken), 'a');
	assert_null(taken.block);
	assert_int_equal(get(&taken), 'b');
	assert_int_equal(put('c'), 1);
	assert_int_equal(mproc_queue_get(q, &what, 1, NULL, MPROC_NOWAIT), 0);
	assert_int_equal(what, 'c');
	end();
}

static void
who_waits_for_a_message_is_told(void **state)
{
	struct mpr_taken taken;

	(void)state;
	begin(NULL);
	/* Nobody has said that it waits. */
	assert_int_equal(get(&taken), -EAGAIN);
	assert_int_equal(mproc_queue_put(q, "a", 1, MPROC_NOWAIT), 0);
	assert_int_equal(get(&taken), 'a');
	for (int i = 0; i < 3; i++) {
		assert_int_equal(get(&taken), -EAGAIN);
		mpr_get_await(at);
		assert_int_equal(get(&taken), -EAGAIN);
		assert_false(mpr_get_is_told(at));
		assert_int_equal(mproc_queue_put(q, "b", 1, MPROC_NOWAIT), 0);
		assert_true(mpr_get_is_told(at));
		assert_true(is_told(20000));
		assert_true(mpr_get_unawait(at));
		assert_int_equal(get(&taken), 'b');
	}
	mpr_get_await(at);
	assert_false(mpr_get_unawait(at));
	end();
}

static void
who_waits_for_room_is_told(void **state)
{
	struct mpr_put_wait wait = { .lacks = 0 };
	int n = 0, r;
	char what;

	(void)state;
	begin(MPROC_OPTS(mproc_queue_opts, .capacity = 4096));
	while ((r = put('a')) == 1)
		n++;
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(at->lacks, -EAGAIN);
	mpr_put_await(at, 1, &wait);
	assert_int_equal(put('b'), -EAGAIN);
	assert_false(mpr_put_is_told(at, &wait));
	while (n-- && put('b') == -EAGAIN)
		assert_int_equal(mproc_queue_get(q, &what, 1, NULL, MPROC_NOWAIT), 0);
	assert_true(is_told(20000));
	assert_true(mpr_put_is_told(at, &wait));
	assert_false(mpr_put_unawait(at, &wait));
	assert_int_equal(wait.lacks, 0);
	assert_true(mpr_put_is_told(at, &wait));
	end();
}

static void
a_block_is_offered_to_who_waits(void **state)
{
	struct mpr_put_wait wait = { .lacks = 0 };
	char what;

	(void)state;
	begin(MPROC_OPTS(mproc_queue_opts, .max_items = 1));
	assert_int_equal(put('a'), 1);
	assert_int_equal(put('b'), -EAGAIN);
	assert_int_equal(at->lacks, -ENOSR);
	mpr_put_await(at, 1, &wait);
	assert_int_equal(put('b'), -EAGAIN);
	assert_false(mpr_put_is_told(at, &wait));
	assert_int_equal(mproc_queue_get(q, &what, 1, NULL, MPROC_NOWAIT), 0);
	assert_true(is_told(20000));
	assert_true(mpr_put_is_told(at, &wait));
	assert_true(mpr_put_unawait(at, &wait));
	assert_int_equal(put('b'), 1);
	/* Nobody has offered anything. */
	assert_int_equal(put('c'), -EAGAIN);
	mpr_put_await(at, 1, &wait);
	assert_false(mpr_put_unawait(at, &wait));
	end();
}

static void
what_was_taken_is_the_callers(void **state)
{
	struct mpr_taken one = { .block = NULL }, other;
	struct mproc_queue_stat st;

	(void)state;
	begin(MPROC_OPTS(mproc_queue_opts, .ack = true, .max_redeliveries = 1));
	assert_int_equal(put('a'), 1);
	assert_int_equal(put('b'), 1);
	assert_int_equal(get(&one), 'a');
	assert_int_equal(get(&other), 'b');
	assert_true(one.block && other.block && one.block != other.block);
	assert_int_equal(at->held.n, 0);
	assert_int_equal(mproc_queue_stat(q, &st), 0);
	assert_true(st.held == 2 && st.depth == 0);
	/* In any order. */
	assert_true(mpr_message_return(at, &other));
	assert_int_equal(get(&other), 'b');
	assert_true(mpr_message_free(at, &other));
	/* One death is not too many, and two are. */
	for (int i = 0; i < 2; i++) {
		assert_true(mpr_message_leave(at, &one));
		mpr_messages_left(at);
		assert_null(one.block);
		assert_int_equal(mproc_queue_stat(q, &st), 0);
		assert_true(st.held == 0 && (int)st.dead_letters == i);
		assert_int_equal(get(&one), i ? -EAGAIN : 'a');
	}
	end();
}

static void
a_join_counts_what_others_have(void **state)
{
	struct mpr_taken taken;
	char what;

	(void)state;
	begin(MPROC_OPTS(mproc_queue_opts, .joinable = true));
	assert_int_equal(mpr_join_for(at), 0);
	assert_int_equal(put('a'), 1);
	assert_int_equal(put('b'), 1);
	assert_int_equal(mpr_join_for(at), -EAGAIN);
	assert_int_equal(get(&taken), 'a');
	assert_int_equal(mproc_queue_get(q, &what, 1, NULL, MPROC_NOWAIT), 0);
	(void)is_told(0);
	assert_int_equal(mpr_join_for(at), -EAGAIN);
	assert_int_equal(mproc_queue_task_done(q), 0);
	assert_true(is_told(20000));
	/* What was taken by the one who asks it knows itself. */
	assert_int_equal(mpr_join_for(at), 0);
	assert_true(mpr_message_leave(at, &taken));
	mpr_messages_left(at);
	assert_int_equal(mpr_join_for(at), -EOWNERDEAD);
	end();
}

/* Of a queue that keeps nothing, where the end is closed after a drain. */
static void
what_was_taken_may_be_put_back_after_a_drain(void **state)
{
	struct mpr_taken none = { .block = NULL };
	char what = 0;

	(void)state;
	begin(NULL);
	assert_int_equal(mproc_queue_put(q, "a", 1, MPROC_NOWAIT), 0);
	mpr_put_owe(at);
	assert_int_equal(get(&none), 'a');
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	assert_int_equal(put('b'), -ESHUTDOWN);
	/* Who owes it knows that; for others something may come. */
	assert_int_equal(get(&none), -ESHUTDOWN);
	assert_int_equal(mproc_queue_get(q, &what, 1, NULL, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_queue_get(q, &what, 1, NULL, mproc_ms(1)), -ETIMEDOUT);
	assert_int_equal(mpr_put_back_for(at, &(struct iovec){ &(char){ 'a' }, 1 }, 1), 1);
	mpr_put_owe_nothing(at, true);
	assert_int_equal(put('b'), -ESHUTDOWN);
	assert_int_equal(mproc_queue_get(q, &what, 1, NULL, MPROC_NOWAIT), 0);
	assert_int_equal(what, 'a');
	assert_int_equal(mproc_queue_get(q, &what, 1, NULL, MPROC_NOWAIT), -ESHUTDOWN);
	end();
}

static int
owe_and_be_killed(struct mpt *t, void *arg)
{
	struct mpr_taken none = { .block = NULL };
	struct mpr_porter *mine;
	struct mpr_attachment *theirs;
	char what = 0;
	size_t len;

	mpt_check_int(t, mpr_porter_open(&mine, the_arena()), 0);
	mpt_check_int(t, mpr_attachment_make(arg, mpr_porter_self(mine), &theirs), 0);
	mpr_put_owe(theirs);
	mpt_check_int(t, mpr_get_for(theirs, &(struct mpr_sink){ .buf = &what, .size = 1 },
				     &len, &none), 0);
	mpt_step(t, 0);
	mpt_until(t, false);
	return 0;
}

static void
the_dead_owe_nothing(void **state)
{
	struct mpt *t = *state;
	char what;
	int id;

	assert_int_equal(mproc_queue_create(&q, NULL), 0);
	assert_int_equal(mproc_queue_put(q, "a", 1, MPROC_NOWAIT), 0);
	id = mpt_fork(t, "owes", owe_and_be_killed, q);
	mpt_reach(t, 1);
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	assert_int_equal(mproc_queue_get(q, &what, 1, NULL, MPROC_NOWAIT), -EAGAIN);
	mpt_kill(t, id);
	assert_int_equal(mproc_queue_get(q, &what, 1, NULL, MPROC_FOREVER), -ESHUTDOWN);
	mproc_queue_destroy(q);
}

static void
a_dead_letter_is_its_readers_until_it_is_done(void **state)
{
	char bytes[sizeof(struct mproc_dead_letter) + 1];
	const struct mpr_sink sink = { .buf = bytes, .size = sizeof(bytes) };
	struct mpr_attachment *letters;
	struct mpr_taken taken;
	struct mproc_queue_stat st;
	mproc_queue *dlq;
	size_t len;

	(void)state;
	begin(MPROC_OPTS(mproc_queue_opts, .joinable = true));
	assert_int_equal(mproc_queue_dead_letters(q, &dlq), 0);
	assert_int_equal(mpr_attachment_make(dlq, mpr_porter_self(porter), &letters), 0);
	assert_int_equal(put('a'), 1);
	assert_int_equal(get(&taken), 'a');
	assert_true(mpr_message_leave(at, &taken));
	mpr_messages_left(at);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(mpr_get_for(letters, &sink, &len, &taken), 0);
		assert_true(len == sizeof(bytes) && bytes[len - 1] == 'a');
		assert_int_equal(mproc_queue_join(q, MPROC_NOWAIT), -EAGAIN);
		assert_true(mpr_message_lay_back(&taken, MPR_MESSAGE_DEAD));
		mpr_messages_left(letters->origin);
		assert_int_equal(mproc_queue_join(q, MPROC_NOWAIT), -EOWNERDEAD);
	}
	assert_int_equal(mproc_queue_stat(q, &st), 0);
	assert_int_equal(st.dead_letters, 1);
	assert_int_equal(mpr_get_for(letters, &sink, &len, &taken), 0);
	assert_int_equal(mpr_get_for(letters, &sink, &len, &taken), -EAGAIN);
	assert_true(mpr_message_free(letters->origin, &taken));
	assert_int_equal(mproc_queue_join(q, MPROC_NOWAIT), 0);
	mpr_attachment_drop(letters);
	end();
}

static void *
drop_for_the_porter(void *arg)
{
	(void)arg;
	mpr_attachment_drop(at);
	return NULL;
}

/* Who lets the porter use the queue may be no participant itself. */
static void
the_last_one_frees_the_queue_in_the_porters_name(void **state)
{
	pthread_t thread;

	(void)state;
	begin(MPROC_OPTS(mproc_queue_opts, .ack = true));
	assert_int_equal(put('a'), 1);
	mproc_queue_destroy(q);
	assert_int_equal(mpr_owner_state(q->state), MPR_QUEUE_GONE);
	assert_int_equal(pthread_create(&thread, NULL, drop_for_the_porter, NULL), 0);
	pthread_join(thread, NULL);
	assert_int_equal(mpr_owner_state(q->state), MPR_QUEUE_FREE);
	mpr_porter_close(porter);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(it_puts_and_gets),
		mpt_test(who_waits_for_a_message_is_told),
		mpt_test(who_waits_for_room_is_told),
		mpt_test(a_block_is_offered_to_who_waits),
		mpt_test(what_was_taken_is_the_callers),
		mpt_test(a_join_counts_what_others_have),
		mpt_test(what_was_taken_may_be_put_back_after_a_drain),
		mpt_test(the_dead_owe_nothing),
		mpt_test(a_dead_letter_is_its_readers_until_it_is_done),
		mpt_test(the_last_one_frees_the_queue_in_the_porters_name),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
