/* SPDX-License-Identifier: MIT */
/*
 * Views: what a thread remembers of an end is never used when it is over. The far end
 * is held by another process here, as only then a send takes the frequent path: it
 * asks first whether the hold that it knows still stands.
 */
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "common.h"
#include "ipc/pipe_view.h"
#include "ipc/queue_fast.h"

struct ends {
	mproc_conn *a, *b;
	struct mpr_pipe *pipe;
	uint64_t other; /* who holds the far end, too */
};

/* The process that has started us holds the end a, for all that anybody knows. */
static void
open_ends(struct ends *e)
{
	mproc_arena *a = NULL;
	struct mpr_self *self;
	unsigned side;

	assert_int_equal(mproc_pipe(&e->a, &e->b, NULL), 0);
	assert_int_equal(mpr_pipe_of(e->a, &a, &e->pipe, &side), 0);
	assert_int_equal(side, 0);
	assert_int_equal(mpr_self(a, &self), 0);
	e->other = mpr_hold_of(getppid());
	assert_int_equal(mpr_hold_add(a, self, &e->pipe->end[0].holds, e->other),
			 0);
}

static void
end_other(const struct ends *e)
{
	_Atomic uint64_t *at = mpr_hold_find(the_arena(), &e->pipe->end[0].holds,
					     e->other);

	assert_non_null(at);
	mpr_pipe_end_hold(the_arena(), e->pipe, at, e->other);
}

static void
close_ends(const struct ends *e)
{
	mproc_conn_close(e->b);
	mproc_conn_close(e->a);
	end_other(e);
}

static int
send_number(mproc_conn *c, int number)
{
	return mproc_conn_send(c, &number, sizeof(number), MPROC_NOWAIT);
}

/* Returns what came, or a negative error. */
static int
next_number(mproc_conn *c)
{
	size_t len = 0;
	int number = -1;
	int r = mproc_conn_recv(c, &number, sizeof(number), &len, MPROC_NOWAIT);

	return r < 0 ? r : len == sizeof(number) ? number : -EBADMSG;
}

static struct mpr_attachment *
attachment_of(const struct ends *e, unsigned sender)
{
	return mpr_attachment_present(
		mpr_pipe_queue(the_arena(), e->pipe, sender));
}

/* So that the tests below are about what they say. */
static void
the_frequent_path_is_taken(void **state)
{
	struct ends e;
	struct mpr_pipe_view *out, *in;

	(void)state;
	open_ends(&e);
	assert_null(mpr_pipe_view_at_hand(e.b, MPR_PIPE_OUT));
	for (int i = 0; i < 3; i++)
		assert_int_equal(send_number(e.b, i), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(next_number(e.a), i);
	out = mpr_pipe_view_at_hand(e.b, MPR_PIPE_OUT);
	in = mpr_pipe_view_at_hand(e.a, MPR_PIPE_IN);
	assert_non_null(out);
	assert_non_null(in);
	assert_true(mpr_pipe_view_has_peer(out) && mpr_pipe_view_holds(out));
	assert_true(mpr_put_is_frequent(out->at[MPR_PIPE_OUT], &e, 64));
	assert_true(mpr_get_is_frequent(in->at[MPR_PIPE_IN], &e, 64));
	assert_null(mpr_pipe_view_at_hand(NULL, MPR_PIPE_OUT));
	assert_int_equal(next_number(e.a), 2);
	close_ends(&e);
}

/* The attachment of a direction is the same for both ends. */
static void
an_attachment_that_is_given_back_is_no_more_used(void **state)
{
	struct ends e;

	(void)state;
	open_ends(&e);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(send_number(e.b, i), 0);
		assert_int_equal(next_number(e.a), i);
		mpr_attachment_drop(attachment_of(&e, 1));
		assert_null(mpr_pipe_view_at_hand(e.b, MPR_PIPE_OUT));
		assert_null(mpr_pipe_view_at_hand(e.a, MPR_PIPE_IN));
	}
	assert_int_equal(next_number(e.a), -EAGAIN);
	close_ends(&e);
}

/* More ends than there are places: attachments stay, and do not write to the views of
 * others when they go. */
static void
views_give_way_to_others(void **state)
{
	enum { N = 3 * MPR_PIPE_VIEWS };
	struct ends e[N];

	(void)state;
	for (int i = 0; i < N; i++) {
		open_ends(&e[i]);
		assert_int_equal(send_number(e[i].b, i), 0);
	}
	for (int i = 0; i < N; i++) {
		mpr_attachment_drop(attachment_of(&e[i], 1));
		assert_int_equal(send_number(e[N - 1].b, i), 0);
		assert_non_null(mpr_pipe_view_at_hand(e[N - 1].b, MPR_PIPE_OUT));
		assert_int_equal(next_number(e[i].a), i < N - 1 ? i : N - 1);
	}
	for (int i = 0; i < N; i++)
		close_ends(&e[i]);
}

/* Somebody has scribbled: two pipes name one queue. */
static void
two_views_have_no_attachment_together(void **state)
{
	struct ends e[2];
	uint64_t queue;

	(void)state;
	for (int i = 0; i < 2; i++)
		open_ends(&e[i]);
	queue = atomic_load(&e[1].pipe->queue[1]);
	atomic_store(&e[1].pipe->queue[1], atomic_load(&e[0].pipe->queue[1]));
	for (int i = 0; i < 2; i++)
		(void)send_number(e[i].b, i);
	assert_false(mpr_pipe_view_at_hand(e[0].b, MPR_PIPE_OUT) &&
		     mpr_pipe_view_at_hand(e[1].b, MPR_PIPE_OUT));
	mpr_attachment_drop(attachment_of(&e[0], 1));
	for (int i = 0; i < 2; i++)
		assert_null(mpr_pipe_view_at_hand(e[i].b, MPR_PIPE_OUT));
	atomic_store(&e[1].pipe->queue[1], queue);
	for (int i = 0; i < 2; i++)
		close_ends(&e[i]);
}

struct other_thread {
	pthread_t thread;
	pthread_barrier_t *turn;
	mproc_conn *c;
	int sent[2];
};

static void *
send_twice(void *arg)
{
	struct other_thread *t = arg;

	for (int i = 0; i < 2; i++) {
		pthread_barrier_wait(t->turn);
		t->sent[i] = send_number(t->c, i);
		pthread_barrier_wait(t->turn);
	}
	return NULL;
}

/* The hold of the next pipe at the same address is the same word at the same place: a
 * thread that has slept since does not take it for the last one's. */
static void
the_next_pipe_at_the_address_is_another_one(void **state)
{
	struct ends e, next;
	pthread_barrier_t turn;
	struct other_thread t = { .turn = &turn };

	(void)state;
	pthread_barrier_init(&turn, NULL, 2);
	open_ends(&e);
	t.c = e.b;
	assert_int_equal(pthread_create(&t.thread, NULL, send_twice, &t), 0);
	pthread_barrier_wait(&turn);
	pthread_barrier_wait(&turn);
	assert_int_equal(t.sent[0], 0);
	assert_int_equal(next_number(e.a), 0);
	close_ends(&e);
	open_ends(&next);
	assert_ptr_equal(next.b, e.b);
	/* Marks the hold as that thread knows it. */
	assert_int_equal(mproc_conn_poll(next.b, MPROC_NOWAIT), -EAGAIN);
	pthread_barrier_wait(&turn);
	pthread_barrier_wait(&turn);
	assert_int_equal(t.sent[1], 0);
	assert_int_equal(next_number(next.a), 1);
	pthread_join(t.thread, NULL);
	close_ends(&next);
	pthread_barrier_destroy(&turn);
}

/* Who holds the far end is asked anew when the hold that was known has ended. */
static void
a_sender_notices_that_the_peer_is_gone(void **state)
{
	struct ends e;

	(void)state;
	open_ends(&e);
	assert_int_equal(send_number(e.b, 0), 0);
	mproc_conn_close(e.a);
	assert_int_equal(send_number(e.b, 1), 0);
	end_other(&e);
	assert_int_equal(send_number(e.b, 2), -EPIPE);
	mproc_conn_close(e.b);
}

struct race {
	struct ends e;
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
	while ((race->last = mproc_conn_send(race->e.b, &race->sent,
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
	mproc_conn_close(race->e.b);
	return NULL;
}

/* What was sent arrives, whatever another thread closes meanwhile; and no more. As
 * many races as there is time for. */
static void
a_close_loses_no_message(void **state)
{
	enum { RACES = 500 };
	int64_t until = mproc_now() + 3000000000;

	(void)state;
	for (unsigned i = 0; i < RACES && (i == 0 || mproc_now() < until); i++) {
		struct race race = { .spins = i * 7919 % 3000 };
		pthread_t sender, closer;
		int got = 0, number;

		open_ends(&race.e);
		assert_int_equal(pthread_create(&sender, NULL,
						send_until_it_is_closed, &race),
				 0);
		assert_int_equal(pthread_create(&closer, NULL, close_it, &race),
				 0);
		race.go = true;
		while (mproc_conn_recv(race.e.a, &number, sizeof(number), NULL,
				       mproc_sec(20)) == 0)
			assert_int_equal(number, got++);
		pthread_join(sender, NULL);
		pthread_join(closer, NULL);
		assert_int_equal(race.last, -ESTALE);
		assert_int_equal(got, race.sent);
		mproc_conn_close(race.e.a);
		end_other(&race.e);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(the_frequent_path_is_taken),
		mpt_test(an_attachment_that_is_given_back_is_no_more_used),
		mpt_test(views_give_way_to_others),
		mpt_test(two_views_have_no_attachment_together),
		mpt_test(the_next_pipe_at_the_address_is_another_one),
		mpt_test(a_sender_notices_that_the_peer_is_gone),
		mpt_test(a_close_loses_no_message),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
