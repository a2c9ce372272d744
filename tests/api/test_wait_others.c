/* SPDX-License-Identifier: MIT */
/*
 * wait.h: mproc_wait() for things in shared memory that others make ready, while it
 * sleeps: other processes, and other threads.
 */
#include <signal.h>
#include <stdatomic.h>

#include "started.h"
#include "wait.h"

#define FELLOWS 4

/* In the scratch bytes. */
struct board {
	mproc_queue *q[3];
	mproc_event *e;
	mproc_conn *conn;
	_Atomic unsigned asleep; /* how many are about to wait */
	_Atomic pid_t tid[FELLOWS];
	_Atomic int r[FELLOWS];
	_Atomic int told[FELLOWS]; /* a bit for each item that was ready */
	_Atomic unsigned taken;
	_Atomic unsigned rounds;
};

static struct board *
new_board(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	*b = (struct board){ 0 };
	for (int i = 0; i < 3; i++)
		b->q[i] = new_queue();
	assert_int_equal(mproc_event_create(&b->e), 0);
	return b;
}

static void
end(struct mpt *t, struct board *b)
{
	mpt_join_all(t);
	for (int i = 0; i < 3; i++)
		mproc_queue_destroy(b->q[i]);
	mproc_event_destroy(b->e);
}

static int
wait_for_board(struct board *b, int *ret_told, mproc_timeout timeout)
{
	struct mproc_waitable items[] = {
		QUEUE(b->q[0]), QUEUE(b->q[1]), QUEUE(b->q[2]), EVENT(b->e),
	};
	int r = mproc_wait(items, 4, timeout);

	*ret_told = 0;
	for (int i = 0; i < 4; i++)
		*ret_told |= items[i].ret_events ? 1 << i : 0;
	return r;
}

/* Waits once. */
static int
wait_once(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned me = (unsigned)(uintptr_t)arg;
	int told;

	/* So that what is made once is there. */
	mpt_check_int(t, wait_for_board(b, &told, mproc_ms(1)), -ETIMEDOUT);
	b->tid[me] = mpt_pid(t, (int)me);
	b->r[me] = wait_for_board(b, &told, mproc_sec(20));
	b->told[me] = told;
	return 0;
}

/* @n that sleep. */
static void
spawn_waiters(struct mpt *t, struct board *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		mpt_spawn(t, "waiter", wait_once, (void *)(uintptr_t)i);
		mpt_until(t, b->tid[i]);
		mpt_until(t, mpt_task_state(b->tid[i]) == 'S');
	}
}

static void
expect(struct board *b, unsigned n, int told)
{
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(b->r[i], 1);
		assert_int_equal(b->told[i], told);
	}
}

static void
a_message_wakes_all(struct mpt *t)
{
	struct board *b = new_board(t);

	spawn_waiters(t, b, FELLOWS);
	put_byte(b->q[1]);
	mpt_join_all(t);
	expect(b, FELLOWS, 2);
	end(t, b);
}

static void
an_event_wakes_all(struct mpt *t)
{
	struct board *b = new_board(t);

	spawn_waiters(t, b, FELLOWS);
	assert_int_equal(mproc_event_set(b->e), 0);
	mpt_join_all(t);
	expect(b, FELLOWS, 8);
	end(t, b);
}

static void
an_event_that_is_cleared_at_once_is_seen(struct mpt *t)
{
	struct board *b = new_board(t);

	spawn_waiters(t, b, 2);
	assert_int_equal(mproc_event_set(b->e), 0);
	assert_int_equal(mproc_event_clear(b->e), 0);
	mpt_join_all(t);
	expect(b, 2, 8);
	end(t, b);
}

static void
a_shutdown_wakes_all(struct mpt *t)
{
	struct board *b = new_board(t);

	spawn_waiters(t, b, 2);
	assert_int_equal(mproc_queue_shutdown(b->q[2], MPROC_DRAIN), 0);
	mpt_join_all(t);
	expect(b, 2, 4);
	end(t, b);
}

static void
what_is_destroyed_wakes_all(struct mpt *t)
{
	struct board *b = new_board(t);

	spawn_waiters(t, b, 2);
	mproc_queue_destroy(b->q[0]);
	mpt_join_all(t);
	expect(b, 2, 1);
	b->q[0] = new_queue();
	end(t, b);
}

static void
an_event_that_is_destroyed_wakes_all(struct mpt *t)
{
	struct board *b = new_board(t);

	spawn_waiters(t, b, 2);
	mproc_event_destroy(b->e);
	mpt_join_all(t);
	expect(b, 2, 8);
	assert_int_equal(mproc_event_create(&b->e), 0);
	end(t, b);
}

/* One who takes messages sleeps, and so does one who waits: whoever of them is
 * woken, the message does not stay. */
static int
take_messages(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	char byte;
	int r;

	(void)arg;
	b->asleep++;
	while ((r = mproc_queue_get(b->q[0], &byte, 1, NULL,
				    mproc_sec(20))) == 0)
		b->taken++;
	mpt_check_int(t, r, -ESHUTDOWN);
	return 0;
}

/* Waits again and again, and takes nothing. */
static int
look_on(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int told;

	(void)arg;
	b->asleep++;
	while (wait_for_board(b, &told, mproc_sec(20)) > 0 && !(told & 8))
		b->rounds++;
	return 0;
}

static void
no_message_lies_while_somebody_waits(struct mpt *t)
{
	struct board *b = new_board(t);
	unsigned n = amount(2000);

	mpt_spawn(t, "taker", take_messages, NULL);
	mpt_spawn(t, "onlooker", look_on, NULL);
	mpt_spawn(t, "onlooker", look_on, NULL);
	mpt_until(t, b->asleep == 3);
	for (unsigned i = 0; i < n; i++) {
		put_byte(b->q[0]);
		mpt_until(t, b->taken == i + 1);
	}
	assert_int_equal(mproc_event_set(b->e), 0);
	assert_int_equal(mproc_queue_shutdown(b->q[0], MPROC_DRAIN), 0);
	end(t, b);
}

/* Each takes what it finds in all queues, with others doing the same. */
static int
wait_and_take(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int told, r;

	(void)arg;
	while ((r = wait_for_board(b, &told, mproc_sec(20))) > 0 &&
	       !(told & 8))
		for (int i = 0; i < 3; i++)
			if (told & 1 << i && get_byte(b->q[i]) == 0)
				b->taken++;
	mpt_check(t, r > 0);
	return 0;
}

static void
several_wait_and_take_all(struct mpt *t)
{
	struct board *b = new_board(t);
	unsigned n = amount(3000);

	for (int i = 0; i < 3; i++)
		mpt_spawn(t, "taker", wait_and_take, NULL);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(mproc_queue_put(b->q[i % 3], "x", 1,
						 mproc_sec(20)), 0);
	mpt_until(t, b->taken == n);
	assert_int_equal(mproc_event_set(b->e), 0);
	end(t, b);
}

/* What is pressed between two waits is seen by the next one as it is, a set that
 * comes while one sleeps is never lost. */
static int
answer_events(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct mproc_waitable items[] = { QUEUE(b->q[0]), EVENT(b->e) };
	unsigned n = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; i < n; i++) {
		mpt_check_int(t, mproc_wait(items, 2, mproc_sec(20)), 1);
		mpt_check_int(t, mproc_event_clear(b->e), 0);
		mpt_check_int(t, mproc_queue_put(b->q[1], "x", 1,
						 mproc_sec(20)), 0);
	}
	return 0;
}

static void
events_go_to_and_fro(struct mpt *t)
{
	struct board *b = new_board(t);
	unsigned n = amount(3000);
	char byte;

	mpt_spawn(t, "peer", answer_events, (void *)(uintptr_t)n);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(mproc_event_set(b->e), 0);
		assert_int_equal(mproc_queue_get(b->q[1], &byte, 1, NULL,
						 mproc_sec(20)), 0);
	}
	end(t, b);
}

both(a_message_wakes_all)
both(an_event_wakes_all)
both(an_event_that_is_cleared_at_once_is_seen)
both(a_shutdown_wakes_all)
both(what_is_destroyed_wakes_all)
both(an_event_that_is_destroyed_wakes_all)
both(no_message_lies_while_somebody_waits)
both(several_wait_and_take_all)
both(events_go_to_and_fro)

/* Killed while it sleeps, others go on. */
static void
the_death_of_one_who_waits_is_nobodys_loss(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	char byte;

	for (unsigned i = 0; i < 20; i++) {
		b->tid[0] = 0;
		mpt_spawn(t, "victim", wait_once, NULL);
		mpt_until(t, b->tid[0]);
		mpt_until(t, mpt_task_state(mpt_pid(t, (int)i)) == 'S');
		mpt_kill(t, (int)i);
		put_byte(b->q[0]);
		assert_int_equal(mproc_queue_get(b->q[0], &byte, 1, NULL,
						 mproc_sec(20)), 0);
		assert_int_equal(mproc_event_set(b->e), 0);
		assert_int_equal(mproc_event_clear(b->e), 0);
	}
	end(t, b);
}

/* One who was chosen for a message and stands still does not keep it from others
 * who look themselves; one who was killed then does not either. */
static void
the_death_of_one_who_was_chosen_wakes_others(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);

	b->tid[0] = 0;
	mpt_spawn(t, "victim", wait_once, NULL);
	mpt_until(t, b->tid[0]);
	mpt_until(t, mpt_task_state(mpt_pid(t, 0)) == 'S');
	mpt_pause(t, 0);
	put_byte(b->q[0]);
	mpt_spawn(t, "taker", take_messages, NULL);
	mpt_until(t, b->taken == 1);
	mpt_kill(t, 0);
	put_byte(b->q[0]);
	mpt_until(t, b->taken == 2);
	assert_int_equal(mproc_queue_shutdown(b->q[0], MPROC_DRAIN), 0);
	end(t, b);
}

static int
send_and_die(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);

	mpt_check_int(t, mproc_conn_send(b->conn, "x", 1, MPROC_NOWAIT), 0);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
a_pipe_is_ready_at_its_end(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	mproc_process *p = NULL;
	mproc_conn *mine;
	char byte;

	*b = (struct board){ .e = NULL };
	assert_int_equal(mproc_pipe(&mine, &b->conn, NULL), 0);
	assert_int_equal(mproc_process_start(
		&p, send_and_die, t,
		MPROC_OPTS(mproc_process_opts, .conns = &b->conn,
			   .n_conns = 1)), 0);
	mpt_reach(t, 1);
	{
		mproc_queue *q = new_queue();
		struct mproc_waitable items[] = { QUEUE(q), CONN(mine) };

		assert_int_equal(mproc_wait(items, 2, mproc_sec(20)), 1);
		assert_int_equal(mproc_conn_recv(mine, &byte, 1, NULL,
						 MPROC_NOWAIT), 0);
		assert_int_equal(mproc_wait(items, 2, mproc_ms(1)),
				 -ETIMEDOUT);
		assert_int_equal(mproc_process_kill(p), 0);
		assert_int_equal(mproc_wait(items, 2, mproc_sec(20)), 1);
		assert_int_equal(items[1].ret_events, POLLIN);
		mproc_queue_destroy(q);
	}
	assert_int_equal(mproc_conn_recv(mine, &byte, 1, NULL, MPROC_NOWAIT),
			 -EPIPE);
	mproc_conn_close(mine);
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	mproc_process_close(p);
}

static void
interrupt(int sig)
{
	(void)sig;
	mproc_interrupt();
}

static int
wait_to_be_interrupted(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int told;

	(void)arg;
	signal(SIGUSR1, interrupt);
	mpt_check_int(t, wait_for_board(b, &told, mproc_ms(1)), -ETIMEDOUT);
	b->tid[0] = mpt_pid(t, 0);
	mpt_check_int(t, wait_for_board(b, &told, mproc_sec(20)), -EINTR);
	mpt_check_int(t, told, 0);
	return 0;
}

static void
an_interrupt_ends_the_wait(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);

	mpt_spawn(t, "waiter", wait_to_be_interrupted, NULL);
	mpt_until(t, b->tid[0]);
	mpt_until(t, mpt_task_state(b->tid[0]) == 'S');
	kill(mpt_pid(t, 0), SIGUSR1);
	end(t, b);
}

/* A signal handler that forks: parent and child both go on waiting. */
static void
fork_in_handler(int sig)
{
	(void)sig;
	if (fork() == 0)
		signal(SIGUSR1, SIG_IGN);
}

static int
wait_and_be_forked(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int told;

	(void)arg;
	signal(SIGUSR1, fork_in_handler);
	mpt_check_int(t, wait_for_board(b, &told, mproc_ms(1)), -ETIMEDOUT);
	b->tid[0] = mpt_pid(t, 0);
	mpt_check_int(t, wait_for_board(b, &told, mproc_sec(20)), 1);
	mpt_check_int(t, told, 9 & told);
	b->taken++;
	return 0;
}

static void
a_handler_may_fork(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);

	mpt_fork(t, "waiter", wait_and_be_forked, NULL);
	mpt_until(t, b->tid[0]);
	mpt_until(t, mpt_task_state(b->tid[0]) == 'S');
	kill(mpt_pid(t, 0), SIGUSR1);
	/* The child may not sleep yet: it finds what is there. */
	put_byte(b->q[0]);
	mpt_until(t, b->taken == 2);
	mpt_join_all(t);
	mpt_reap_orphans(t);
	end(t, b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		both_tests(a_message_wakes_all),
		both_tests(an_event_wakes_all),
		both_tests(an_event_that_is_cleared_at_once_is_seen),
		both_tests(a_shutdown_wakes_all),
		both_tests(what_is_destroyed_wakes_all),
		both_tests(an_event_that_is_destroyed_wakes_all),
		both_tests(no_message_lies_while_somebody_waits),
		both_tests(several_wait_and_take_all),
		both_tests(events_go_to_and_fro),
		mpt_test(the_death_of_one_who_waits_is_nobodys_loss),
		mpt_test(the_death_of_one_who_was_chosen_wakes_others),
		mpt_test(a_pipe_is_ready_at_its_end),
		mpt_test(an_interrupt_ends_the_wait),
		mpt_test(a_handler_may_fork),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
