/* SPDX-License-Identifier: MIT */
/*
 * sync.h: conditions, between processes and between threads.
 */
#include "condition.h"

static int
time_out(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int64_t began = mproc_now();

	(void)arg;
	lock(t, b);
	b->sleeping++;
	mpt_check_int(t, mproc_condition_wait(b->c, b->lock, mproc_ms(100)),
		      -ETIMEDOUT);
	mpt_check(t, mproc_now() - began >= 100 * MS);
	mpt_check(t, holds(b));
	b->woken++;
	unlock(t, b);
	return 0;
}

/* Half of them threads of the test. */
static void
spawn_mixed(struct mpt *t, mpt_fn *fn, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		mpt_use_threads(t, i % 2);
		mpt_spawn(t, "sleeper", fn, NULL);
	}
	mpt_use_threads(t, false);
}

static void
notify_wakes_exactly_one(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);

	spawn_mixed(t, wait_once, 2);
	mpt_until(t, look(t, b, &b->sleeping) == 2);
	assert_int_equal(b->woken, 0);
	for (unsigned i = 1; i <= 2; i++) {
		lock(t, b);
		assert_int_equal(mproc_condition_notify(b->c, 1), 1);
		unlock(t, b);
		mpt_until(t, look(t, b, &b->woken) == i);
		/* And not the other one. */
		for (int k = 0; k < 20; k++)
			assert_int_equal(look(t, b, &b->woken), i);
	}
	end(t, b);
}

/* In the first round all time out: none of them is left for the second one. */
static void
notify_all_wakes_all(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);

	spawn_mixed(t, time_out, 6);
	mpt_until(t, look(t, b, &b->woken) == 6);
	assert_int_equal(mproc_condition_notify(b->c, 6), 0);
	mpt_join_all(t);
	spawn_mixed(t, wait_once, 6);
	mpt_until(t, look(t, b, &b->sleeping) == 12);
	lock(t, b);
	assert_int_equal(b->woken, 6);
	assert_int_equal(mproc_condition_notify_all(b->c), 6);
	unlock(t, b);
	mpt_until(t, look(t, b, &b->woken) == 12);
	end(t, b);
}

static void
notify_wakes_n(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);

	spawn_mixed(t, wait_once, 6);
	mpt_until(t, look(t, b, &b->sleeping) == 6);
	lock(t, b);
	assert_int_equal(mproc_condition_notify(b->c, 0), 0);
	assert_int_equal(mproc_condition_notify(b->c, 2), 2);
	unlock(t, b);
	mpt_until(t, look(t, b, &b->woken) == 2);
	/* Without the lock, too. */
	assert_int_equal(mproc_condition_notify(b->c, 9), 4);
	mpt_until(t, look(t, b, &b->woken) == 6);
	assert_int_equal(mproc_condition_notify(b->c, 3), 0);
	end(t, b);
}

static int
note_order(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	lock(t, b);
	b->sleeping++;
	mpt_check_int(t, mproc_condition_wait(b->c, b->lock, mproc_sec(20)),
		      0);
	b->order[b->woken++] = (int)(intptr_t)arg;
	unlock(t, b);
	return 0;
}

static void
who_waits_longest_is_first(struct mpt *t)
{
	struct board *b = new_board(t);

	for (unsigned i = 0; i < 5; i++) {
		mpt_spawn(t, "sleeper", note_order, (void *)(intptr_t)i);
		mpt_until(t, look(t, b, &b->sleeping) == i + 1);
	}
	for (unsigned i = 0; i < 5; i++) {
		lock(t, b);
		assert_int_equal(mproc_condition_notify(b->c, 1), 1);
		unlock(t, b);
		mpt_until(t, look(t, b, &b->woken) == i + 1);
		assert_int_equal(b->order[i], i);
	}
	end(t, b);
}

static void
a_wait_has_an_end(struct mpt *t)
{
	struct board *b = new_board(t);
	int64_t began;

	lock(t, b);
	assert_int_equal(mproc_condition_wait(b->c, b->lock, MPROC_NOWAIT),
			 -EAGAIN);
	began = mproc_now();
	assert_int_equal(mproc_condition_wait(b->c, b->lock, mproc_ms(30)),
			 -ETIMEDOUT);
	assert_true(mproc_now() - began >= 30 * MS);
	assert_int_equal(mproc_condition_wait(b->c, b->lock,
					      mproc_until(began)), -ETIMEDOUT);
	assert_true(holds(b));
	unlock(t, b);
	end(t, b);
}

static void
misuse_is_an_error(void **state)
{
	mproc_condition c = { { 0 } };
	mproc_lock l = { { 0 } };

	(void)state;
	assert_int_equal(mproc_condition_notify(&c, 1), 0);
	assert_int_equal(mproc_condition_notify_all(&c), 0);
	assert_int_equal(mproc_condition_wait(&c, &l, mproc_ms(1)), -EPERM);
	assert_true(detail_has("nobody holds"));
	assert_int_equal(mproc_condition_wait(NULL, &l, mproc_ms(1)), -EINVAL);
	assert_int_equal(mproc_condition_wait(&c, NULL, mproc_ms(1)), -EINVAL);
	assert_int_equal(mproc_condition_notify(NULL, 1), -EINVAL);
	assert_int_equal(mproc_condition_notify_all(NULL), -EINVAL);
	assert_int_equal(mproc_condition_create(NULL), -EINVAL);
	mproc_condition_destroy(NULL);
	mproc_condition_destroy(&c); /* refused */
	assert_int_equal(mproc_lock_acquire(&l, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_condition_wait(&c, &l, mproc_ms(1)), -ETIMEDOUT);
	assert_int_equal(mproc_lock_release(&l), 0);
}

static int
wait_without_the_lock(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_condition_wait(b->c, b->lock, mproc_sec(20)),
		      -EPERM);
	mpt_check(t, detail_has("holds lock"));
	return 0;
}

static void
only_the_holder_waits(struct mpt *t)
{
	struct board *b = new_board(t);

	lock(t, b);
	mpt_expect_exit(t, mpt_spawn(t, "other", wait_without_the_lock, NULL),
			0);
	assert_true(holds(b));
	unlock(t, b);
	end(t, b);
}

static int
is_one(void *arg)
{
	struct board *b = arg;

	return b->state == 1;
}

/* CPython's test: the state goes from 0 to 4, a notification for each step. */
static int
wait_for_four(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	lock(t, b);
	b->sleeping = 1;
	mpt_check_int(t, mproc_condition_wait_for(b->c, b->lock, is_four, b,
						  mproc_sec(20)), 0);
	mpt_check_int(t, b->state, 4);
	mpt_check(t, holds(b));
	/* At once. */
	mpt_check_int(t, mproc_condition_wait_for(b->c, b->lock, is_four, b,
						  MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_condition_wait_for(b->c, b->lock, is_one, b,
						  MPROC_NOWAIT), -EAGAIN);
	b->woken++;
	unlock(t, b);
	return 0;
}

static void
wait_for_waits_until_it_is_true(struct mpt *t)
{
	struct board *b = new_board(t);

	mpt_spawn(t, "waiter", wait_for_four, NULL);
	mpt_until(t, look(t, b, &b->sleeping));
	for (int i = 0; i < 4; i++) {
		lock(t, b);
		b->state++;
		/* One that was woken in vain may be on its way back. */
		assert_in_range(mproc_condition_notify(b->c, 1), 0, 1);
		unlock(t, b);
	}
	mpt_until(t, look(t, b, &b->woken) == 1);
	end(t, b);
}

/* It times out in spite of many notifications, and asks a last time. */
static int
wait_for_in_vain(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int64_t began, took;

	(void)arg;
	lock(t, b);
	b->sleeping = 1;
	began = mproc_now();
	mpt_check_int(t, mproc_condition_wait_for(b->c, b->lock, is_four, b,
						  mproc_ms(100)), -ETIMEDOUT);
	took = mproc_now() - began;
	mpt_check(t, took >= 100 * MS && took < 10000 * MS);
	mpt_check(t, holds(b));
	b->woken = 1;
	unlock(t, b);
	return 0;
}

static void
wait_for_has_one_deadline(struct mpt *t)
{
	struct board *b = new_board(t);

	mpt_spawn(t, "waiter", wait_for_in_vain, NULL);
	mpt_until(t, look(t, b, &b->sleeping));
	while (!look(t, b, &b->woken))
		assert_true(mproc_condition_notify_all(b->c) >= 0);
	end(t, b);
}

static void
wait_for_refuses_what_it_cannot_do(struct mpt *t)
{
	struct board *b = new_board(t);

	assert_int_equal(mproc_condition_wait_for(b->c, b->lock, is_four, b,
						  mproc_ms(1)), -EPERM);
	lock(t, b);
	assert_int_equal(mproc_condition_wait_for(NULL, b->lock, is_four, b,
						  mproc_ms(1)), -EINVAL);
	assert_int_equal(mproc_condition_wait_for(b->c, NULL, is_four, b,
						  mproc_ms(1)), -EINVAL);
	assert_int_equal(mproc_condition_wait_for(b->c, b->lock, NULL, b,
						  mproc_ms(1)), -EINVAL);
	unlock(t, b);
	end(t, b);
}

/* Its time is over while it waits for the lock, but it was notified before. */
static int
be_notified_in_time(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	lock(t, b);
	b->sleeping++;
	b->tid = gettid();
	mpt_check_int(t, mproc_condition_wait(b->c, b->lock, mproc_sec(1)), 0);
	unlock(t, b);
	return 0;
}

static void
a_notification_counts_though_the_lock_is_late(struct mpt *t)
{
	struct board *b = new_board(t);
	int64_t began;

	mpt_spawn(t, "waiter", be_notified_in_time, NULL);
	mpt_until(t, look(t, b, &b->sleeping));
	began = mproc_now();
	lock(t, b);
	assert_int_equal(mproc_condition_notify(b->c, 1), 1);
	mpt_until(t, mproc_now() - began > 1100 * MS);
	unlock(t, b);
	end(t, b);
}

static int
be_interrupted(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	signal(SIGUSR1, interrupt);
	lock(t, b);
	b->sleeping++;
	b->tid = gettid();
	mpt_check_int(t, mproc_condition_wait(b->c, b->lock, mproc_sec(20)),
		      -EINTR);
	mpt_check(t, holds(b));
	mpt_check_int(t, mproc_condition_wait(b->c, b->lock, mproc_ms(1)),
		      -ETIMEDOUT);
	unlock(t, b);
	return 0;
}

static void
an_interrupt_ends_the_wait(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int id = mpt_spawn(t, "waiter", be_interrupted, NULL);

	mpt_until(t, look(t, b, &b->sleeping));
	mpt_until(t, mpt_task_state(b->tid) == 'S');
	signal_and_expect_exit(t, id);
	end(t, b);
}

static int
be_interrupted_at_the_lock(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	signal(SIGUSR1, interrupt);
	lock(t, b);
	b->sleeping++;
	b->tid = gettid();
	mpt_check_int(t, mproc_condition_wait(b->c, b->lock, mproc_sec(20)), 0);
	mpt_check(t, holds(b));
	/* It has been kept for this. */
	mpt_check_int(t, mproc_condition_wait(b->c, b->lock, mproc_sec(20)),
		      -EINTR);
	mpt_check(t, holds(b));
	unlock(t, b);
	return 0;
}

static void
an_interrupt_does_not_keep_it_from_the_lock(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int id = mpt_spawn(t, "waiter", be_interrupted_at_the_lock, NULL);
	int64_t began;

	mpt_until(t, look(t, b, &b->sleeping));
	lock(t, b);
	assert_int_equal(mproc_condition_notify(b->c, 1), 1);
	mpt_until(t, waiters(b->lock) == 1 && mpt_task_state(b->tid) == 'S');
	assert_int_equal(kill(mpt_pid(t, id), SIGUSR1), 0);
	began = mproc_now();
	mpt_until(t, mproc_now() - began > 50 * MS);
	mpt_until(t, waiters(b->lock) == 1);
	unlock(t, b);
	mpt_expect_exit(t, id, 0);
	end(t, b);
}

/* In private memory, at the same address in each process. */
static mproc_lock private_lock;
static mproc_condition private_c;
static unsigned private_sleeping, private_woken;

static int
wait_in_private(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_check_int(t, mproc_lock_acquire(&private_lock, mproc_sec(20)), 0);
	private_sleeping++;
	mpt_check_int(t, mproc_condition_wait(&private_c, &private_lock,
					      mproc_sec(20)), 0);
	private_woken++;
	mpt_check_int(t, mproc_lock_release(&private_lock), 0);
	return 0;
}

static unsigned
look_at_private(struct mpt *t, const unsigned *what)
{
	unsigned value;

	mpt_check_int(t, mproc_lock_acquire(&private_lock, mproc_sec(20)), 0);
	value = *what;
	mpt_check_int(t, mproc_lock_release(&private_lock), 0);
	return value;
}

static int
notify_its_own(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_check_int(t, mproc_condition_notify_all(&private_c), 0);
	return 0;
}

static void
a_condition_in_private_memory_is_each_processes_own(void **state)
{
	struct mpt *t = *state;

	private_sleeping = private_woken = 0;
	mpt_use_threads(t, true);
	mpt_spawn(t, "thread", wait_in_private, NULL);
	mpt_spawn(t, "thread", wait_in_private, NULL);
	mpt_until(t, look_at_private(t, &private_sleeping) == 2);
	mpt_use_threads(t, false);
	mpt_expect_exit(t, mpt_spawn(t, "other", notify_its_own, NULL), 0);
	assert_int_equal(look_at_private(t, &private_woken), 0);
	assert_int_equal(mproc_condition_notify_all(&private_c), 2);
	mpt_join_all(t);
	assert_int_equal(private_woken, 2);
}

/* Peers hand a token around: each notification counts, or all stand still. */
enum { PEERS = 5 };

static int
hand_on(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int me = (int)(intptr_t)arg, n = (int)amount(2000);

	lock(t, b);
	while (b->state < n) {
		if (b->state % PEERS == me) {
			b->state++;
			mpt_check(t, mproc_condition_notify_all(b->c) >= 0);
			continue;
		}
		mpt_check_int(t, mproc_condition_wait(b->c, b->lock,
						      mproc_sec(20)), 0);
	}
	unlock(t, b);
	return 0;
}

static void
no_notification_is_lost(struct mpt *t)
{
	struct board *b = new_board(t);
	int64_t began = mproc_now();

	for (int i = 0; i < PEERS; i++)
		mpt_spawn(t, "peer", hand_on, (void *)(intptr_t)i);
	mpt_join_all(t);
	/* A lost one costs 20 s. */
	assert_true(mproc_now() - began < 15000 * MS);
	end(t, b);
}

/* Waits again and again, while somebody notifies all the time. */
static int
wait_often(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	lock(t, b);
	for (unsigned i = 0; i < amount(3000); i++)
		mpt_check_int(t, mproc_condition_wait(b->c, b->lock,
						      mproc_sec(20)), 0);
	unlock(t, b);
	b->done++;
	return 0;
}

/* Without the lock it may look for sleepers just as one comes. */
static void
who_comes_during_a_notification_is_found_by_the_next(struct mpt *t)
{
	struct board *b = new_board(t);

	mpt_spawn(t, "waiter", wait_often, NULL);
	mpt_spawn(t, "waiter", wait_often, NULL);
	while (b->done < 2)
		assert_true(mproc_condition_notify_all(b->c) >= 0);
	end(t, b);
}

both(who_waits_longest_is_first)
both(a_wait_has_an_end)
both(only_the_holder_waits)
both(wait_for_waits_until_it_is_true)
both(wait_for_has_one_deadline)
both(wait_for_refuses_what_it_cannot_do)
both(a_notification_counts_though_the_lock_is_late)
both(no_notification_is_lost)
both(who_comes_during_a_notification_is_found_by_the_next)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(notify_wakes_exactly_one),
		mpt_test(notify_all_wakes_all),
		mpt_test(notify_wakes_n),
		both_tests(who_waits_longest_is_first),
		both_tests(a_wait_has_an_end),
		mpt_test(misuse_is_an_error),
		both_tests(only_the_holder_waits),
		both_tests(wait_for_waits_until_it_is_true),
		both_tests(wait_for_has_one_deadline),
		both_tests(wait_for_refuses_what_it_cannot_do),
		both_tests(a_notification_counts_though_the_lock_is_late),
		mpt_test(an_interrupt_ends_the_wait),
		mpt_test(an_interrupt_does_not_keep_it_from_the_lock),
		mpt_test(a_condition_in_private_memory_is_each_processes_own),
		both_tests(no_notification_is_lost),
		both_tests(who_comes_during_a_notification_is_found_by_the_next),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
