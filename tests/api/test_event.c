/* SPDX-License-Identifier: MIT */
/*
 * sync.h: events, between processes and between threads.
 */
#include "mpt_times.h"
#include "sync.h"

/* In the scratch bytes. */
struct board {
	mproc_event *event;
	mproc_event *other;
	_Atomic pid_t tid;
	_Atomic unsigned ready;
	_Atomic unsigned done;
	_Atomic unsigned stop;
	uint64_t data; /* written before the event is set */
};

enum { SLEEPERS = 3 };

static struct board *
new_board(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	*b = (struct board){ 0 };
	assert_int_equal(mproc_event_create(&b->event), 0);
	assert_int_equal(mproc_event_create(&b->other), 0);
	return b;
}

static void
end(struct mpt *t, struct board *b)
{
	mpt_join_all(t);
	mproc_event_destroy(b->event);
	mproc_event_destroy(b->other);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

/* Waits for the event once. */
static int
wait_once(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->tid = gettid();
	b->ready++;
	mpt_check_int(t, mproc_event_wait(b->event, mproc_sec(20)), 0);
	b->done++;
	return 0;
}

static int
set_it(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->data = 42;
	mpt_check_int(t, mproc_event_set(b->event), 0);
	return 0;
}

/* What CPython asserts of its own. */
static void
it_is_set_and_cleared(struct mpt *t)
{
	struct board *b = new_board(t);
	int64_t began;

	assert_int_equal(mproc_event_is_set(b->event), 0);
	assert_int_equal(mproc_event_wait(b->event, MPROC_NOWAIT), -EAGAIN);
	began = mproc_now();
	assert_int_equal(mproc_event_wait(b->event, mproc_ms(100)),
			 -ETIMEDOUT);
	assert_true(mproc_now() - began >= 100 * MS);
	assert_int_equal(mproc_event_is_set(b->event), 0);

	assert_int_equal(mproc_event_set(b->event), 0);
	assert_int_equal(mproc_event_is_set(b->event), 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mproc_event_wait(b->event, MPROC_NOWAIT), 0);
		assert_int_equal(mproc_event_wait(b->event, mproc_ms(100)), 0);
		assert_int_equal(mproc_event_wait(b->event, MPROC_FOREVER), 0);
	}
	assert_int_equal(mproc_event_set(b->event), 0);
	assert_int_equal(mproc_event_is_set(b->event), 1);

	assert_int_equal(mproc_event_clear(b->event), 0);
	assert_int_equal(mproc_event_clear(b->event), 0);
	assert_int_equal(mproc_event_is_set(b->event), 0);
	assert_int_equal(mproc_event_wait(b->event, MPROC_NOWAIT), -EAGAIN);

	mpt_spawn(t, "setter", set_it, NULL);
	assert_int_equal(mproc_event_wait(b->event, MPROC_FOREVER), 0);
	assert_int_equal(b->data, 42);
	end(t, b);
}

static void
misuse_is_an_error(void **state)
{
	mproc_event event = { { 0 } };

	(void)state;
	assert_int_equal(mproc_event_set(NULL), -EINVAL);
	assert_int_equal(mproc_event_clear(NULL), -EINVAL);
	assert_int_equal(mproc_event_is_set(NULL), -EINVAL);
	assert_int_equal(mproc_event_wait(NULL, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_event_create(NULL), -EINVAL);
	mproc_event_destroy(NULL);
	mproc_event_destroy(&event); /* refused */
	assert_int_equal(mproc_event_set(&event), 0);
	assert_int_equal(mproc_event_is_set(&event), 1);
}

static void
all_who_sleep_are_woken(struct mpt *t)
{
	struct board *b = new_board(t);
	unsigned rounds = amount(30);
	int64_t began;
	struct mpt_times spent = { 0 };

	for (unsigned i = 0; i < rounds; i++) {
		b->done = 0;
		for (int k = 0; k < SLEEPERS; k++)
			spawn_sleeper(t, &b->tid, wait_once);
		began = mproc_now();
		assert_int_equal(mproc_event_set(b->event), 0);
		mpt_until(t, b->done == SLEEPERS);
		mpt_times_add(&spent, mproc_now() - began);
		mpt_join_all(t);
		assert_int_equal(mproc_event_clear(b->event), 0);
	}
	/* A lost wake-up costs 50 ms. */
	assert_true(mpt_times_median(&spent) < 15 * MS);
	end(t, b);
}

/* It is not set any more when they look. */
static void
who_sleeps_when_it_is_set_goes_on(struct mpt *t)
{
	struct board *b = new_board(t);

	for (unsigned i = 0; i < amount(30); i++) {
		b->done = 0;
		for (int k = 0; k < SLEEPERS; k++)
			spawn_sleeper(t, &b->tid, wait_once);
		assert_int_equal(mproc_event_set(b->event), 0);
		assert_int_equal(mproc_event_clear(b->event), 0);
		mpt_until(t, b->done == SLEEPERS);
		assert_int_equal(mproc_event_is_set(b->event), 0);
		mpt_join_all(t);
	}
	end(t, b);
}

static int
answer(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned n = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; i < n; i++) {
		mpt_check_int(t, mproc_event_wait(b->event, mproc_sec(20)), 0);
		mpt_check_int(t, mproc_event_clear(b->event), 0);
		mpt_check_int(t, b->data, 2 * i + 1);
		b->data++;
		mpt_check_int(t, mproc_event_set(b->other), 0);
	}
	return 0;
}

/* Also: whose wait began after the event was cleared is not taken for one that
 * was there when it was set. */
static void
two_events_pass_data_to_and_fro(struct mpt *t)
{
	struct board *b = new_board(t);
	unsigned n = amount(5000);

	mpt_spawn(t, "answerer", answer, (void *)(uintptr_t)n);
	for (unsigned i = 0; i < n; i++) {
		b->data++;
		assert_int_equal(mproc_event_set(b->event), 0);
		assert_int_equal(mproc_event_wait(b->other, mproc_sec(20)), 0);
		assert_int_equal(mproc_event_clear(b->other), 0);
		assert_int_equal(b->data, 2 * i + 2);
	}
	end(t, b);
}

static int
be_interrupted(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	signal(SIGUSR1, interrupt);
	b->tid = gettid();
	mpt_check_int(t, mproc_event_wait(b->event, mproc_sec(20)), -EINTR);
	mpt_check_int(t, mproc_event_wait(b->event, mproc_ms(1)), -ETIMEDOUT);
	mproc_interrupt();
	mpt_check_int(t, mproc_event_wait(b->event, MPROC_NOWAIT), -EAGAIN);
	mpt_check_int(t, mproc_event_wait(b->event, mproc_sec(20)), -EINTR);
	return 0;
}

static void
an_interrupt_ends_the_wait(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int id = spawn_sleeper(t, &b->tid, be_interrupted);

	signal_and_expect_exit(t, id);
	end(t, b);
}

static mproc_event *handlers_event;

static void
set_in_handler(int sig)
{
	(void)sig;
	if (mproc_event_set(handlers_event) != 0)
		abort();
}

static int
wait_for_a_handler(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	handlers_event = b->event;
	signal(SIGUSR1, set_in_handler);
	return wait_once(t, arg);
}

static void
a_handler_ends_the_wait_of_its_own_thread(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int id = spawn_sleeper(t, &b->tid, wait_for_a_handler);
	int64_t began = mproc_now();

	signal_and_expect_exit(t, id);
	assert_true(mproc_now() - began < 5000 * MS);
	assert_int_equal(mproc_event_is_set(b->event), 1);
	end(t, b);
}

static void
toggle_in_handler(int sig)
{
	(void)sig;
	if (mproc_event_set(handlers_event) != 0 ||
	    mproc_event_clear(handlers_event) != 0 ||
	    mproc_event_is_set(handlers_event) < 0)
		abort();
}

static int
be_disturbed(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	handlers_event = b->event;
	signal(SIGUSR1, toggle_in_handler);
	b->ready = 1;
	while (!b->stop) {
		int r = mproc_event_wait(b->event, mproc_us(200));

		mpt_check(t, r == 0 || r == -ETIMEDOUT);
		mpt_check_int(t, mproc_event_set(b->event), 0);
		mpt_check_int(t, mproc_event_clear(b->event), 0);
	}
	return 0;
}

/* A fellow that only waits makes sure that there is somebody to wake. */
static int
wait_often(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	while (!b->stop)
		mpt_check(t, mproc_event_wait(b->event, mproc_ms(10)) !=
				     -EINVAL);
	return 0;
}

static void
handlers_interrupt_every_call_of_the_same_event(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	unsigned n = amount(20000);
	int id;

	id = mpt_spawn(t, "disturbed", be_disturbed, NULL);
	mpt_spawn(t, "waiter", wait_often, NULL);
	mpt_until(t, b->ready);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(kill(mpt_pid(t, id), SIGUSR1), 0);
	b->stop = 1;
	end(t, b);
}

/* The thread in which the handler runs has never used libmproc. */
static void
a_stranger_may_set_it(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	struct mproc_arena_stat before;

	spawn_sleeper(t, &b->tid, wait_once);
	before = stat_now();
	handlers_event = b->event;
	handle_as_a_stranger(set_in_handler);
	assert_true(stat_now().participants <= before.participants);
	mpt_until(t, b->done == 1);
	end(t, b);
}

static void
killed_waiters_take_nothing_along(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);

	for (unsigned i = 0; i < amount(30); i++) {
		int victims[2], id;

		b->done = 0;
		for (int k = 0; k < 2; k++)
			victims[k] = spawn_sleeper(t, &b->tid, wait_once);
		id = spawn_sleeper(t, &b->tid, wait_once);
		/* One before, one perhaps just as it is woken. */
		mpt_kill(t, victims[0]);
		assert_int_equal(mproc_event_set(b->event), 0);
		mpt_kill(t, victims[1]);
		mpt_expect_exit(t, id, 0);
		assert_int_equal(mproc_event_clear(b->event), 0);
	}
	end(t, b);
}

static int
set_and_clear(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	for (;;) {
		mpt_check_int(t, mproc_event_set(b->event), 0);
		b->ready++;
		mpt_check_int(t, mproc_event_clear(b->event), 0);
	}
}

/* Whoever sets it is killed anywhere in that; it still works for others. */
static void
a_killed_setter_leaves_an_event_that_works(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);

	for (unsigned i = 0; i < amount(30); i++) {
		int id, victim;

		b->ready = 0;
		victim = mpt_spawn(t, "setter", set_and_clear, NULL);
		mpt_until(t, b->ready > 100);
		mpt_kill(t, victim);
		assert_int_equal(mproc_event_clear(b->event), 0);
		id = spawn_sleeper(t, &b->tid, wait_once);
		assert_int_equal(mproc_event_set(b->event), 0);
		mpt_expect_exit(t, id, 0);
	}
	end(t, b);
}

static int
wait_until_destroyed(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->tid = gettid();
	mpt_check_int(t, mproc_event_wait(b->event, mproc_sec(20)),
		      -ESHUTDOWN);
	return 0;
}

static void
destroy_wakes_those_who_wait(struct mpt *t)
{
	struct board *b = new_board(t);

	for (int i = 0; i < SLEEPERS; i++)
		spawn_sleeper(t, &b->tid, wait_until_destroyed);
	mproc_event_destroy(b->event);
	mpt_join_all(t);
	assert_int_equal(mproc_event_set(b->event), -ESTALE);
	assert_int_equal(mproc_event_clear(b->event), -ESTALE);
	assert_int_equal(mproc_event_is_set(b->event), -ESTALE);
	assert_int_equal(mproc_event_wait(b->event, MPROC_FOREVER), -ESTALE);
	assert_int_equal(mproc_event_wait(b->event, MPROC_NOWAIT), -ESTALE);
	mproc_event_destroy(b->event);
	end(t, b);
}

/* Who slept finds another event in its place. */
static void
a_place_is_used_again(struct mpt *t)
{
	struct board *b = new_board(t);
	mproc_event *again;

	for (unsigned i = 0; i < amount(30); i++) {
		spawn_sleeper(t, &b->tid, wait_until_destroyed);
		mproc_event_destroy(b->event);
		assert_int_equal(mproc_event_create(&again), 0);
		assert_ptr_equal(again, b->event);
		assert_int_equal(mproc_event_is_set(again), 0);
		mpt_join_all(t);
	}
	end(t, b);
}

static void *
make_event(unsigned i)
{
	mproc_event *event;

	(void)i;
	assert_int_equal(mproc_event_create(&event), 0);
	assert_int_equal(mproc_event_is_set(event), 0);
	assert_int_equal(mproc_event_set(event), 0);
	return event;
}

static void
destroy_event(void *event)
{
	mproc_event_destroy(event);
}

static void
events_come_and_go_without_growth(void **state)
{
	(void)state;
	come_and_go_without_growth(make_event, destroy_event, 50, 1);
}

static mproc_event private_event;

static int
set_its_own(struct mpt *t, void *arg)
{
	(void)t;
	(void)arg;
	return mproc_event_set(&private_event);
}

/* Each process has its own at the same address. */
static void
an_event_in_private_memory_is_each_processes_own(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "other", set_its_own, NULL), 0);
	assert_int_equal(mproc_event_is_set(&private_event), 0);
	assert_int_equal(mproc_event_wait(&private_event, mproc_ms(1)),
			 -ETIMEDOUT);
}

static int
wait_for_private(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->tid = gettid();
	mpt_check_int(t, mproc_event_wait(&private_event, mproc_sec(20)), 0);
	return 0;
}

static void
an_event_in_private_memory_is_for_threads(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);

	mpt_use_threads(t, true);
	spawn_sleeper(t, &b->tid, wait_for_private);
	assert_int_equal(mproc_event_set(&private_event), 0);
	end(t, b);
	assert_int_equal(mproc_event_clear(&private_event), 0);
}

both(it_is_set_and_cleared)
both(all_who_sleep_are_woken)
both(who_sleeps_when_it_is_set_goes_on)
both(two_events_pass_data_to_and_fro)
both(destroy_wakes_those_who_wait)
both(a_place_is_used_again)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		both_tests(it_is_set_and_cleared),
		mpt_test(misuse_is_an_error),
		both_tests(all_who_sleep_are_woken),
		both_tests(who_sleeps_when_it_is_set_goes_on),
		both_tests(two_events_pass_data_to_and_fro),
		mpt_test(an_interrupt_ends_the_wait),
		mpt_test(a_handler_ends_the_wait_of_its_own_thread),
		mpt_test(handlers_interrupt_every_call_of_the_same_event),
		mpt_test(a_stranger_may_set_it),
		mpt_test(killed_waiters_take_nothing_along),
		mpt_test(a_killed_setter_leaves_an_event_that_works),
		both_tests(destroy_wakes_those_who_wait),
		both_tests(a_place_is_used_again),
		mpt_test(events_come_and_go_without_growth),
		mpt_test(an_event_in_private_memory_is_each_processes_own),
		mpt_test(an_event_in_private_memory_is_for_threads),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
