/* SPDX-License-Identifier: MIT */
/*
 * sync.h: semaphores, between processes and between threads.
 */
#include <limits.h>

#include "mpt_times.h"
#include "semaphore.h"

/* What CPython asserts of its own. */
static void
permits_are_counted(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board_of(t, .value = 2);
	int64_t began;

	assert_int_equal(mproc_semaphore_value(b->s), 2);
	assert_int_equal(mproc_semaphore_acquire(b->s, MPROC_FOREVER), 0);
	assert_int_equal(mproc_semaphore_value(b->s), 1);
	assert_int_equal(mproc_semaphore_acquire(b->s, mproc_ms(1)), 0);
	assert_int_equal(mproc_semaphore_value(b->s), 0);
	assert_int_equal(mproc_semaphore_acquire(b->s, MPROC_NOWAIT), -EAGAIN);
	began = mproc_now();
	assert_int_equal(mproc_semaphore_acquire(b->s, mproc_ms(50)),
			 -ETIMEDOUT);
	assert_true(mproc_now() - began >= 50 * MS);
	for (int i = 1; i <= 4; i++) {
		assert_int_equal(mproc_semaphore_release(b->s), 0);
		assert_int_equal(mproc_semaphore_value(b->s), i);
	}
	end(t, b);
}

static void
a_bounded_one_has_no_more(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board_of(t, .value = 2, .max = 2);
	mproc_semaphore full;

	assert_int_equal(mproc_semaphore_release(b->s), -EOVERFLOW);
	assert_int_equal(mproc_semaphore_value(b->s), 2);
	assert_int_equal(mproc_semaphore_acquire(b->s, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_semaphore_release(b->s), 0);
	assert_int_equal(mproc_semaphore_release(b->s), -EOVERFLOW);
	assert_int_equal(mproc_semaphore_value(b->s), 2);
	end(t, b);

	assert_int_equal(mproc_semaphore_init(&full, INT_MAX, 0), 0);
	assert_int_equal(mproc_semaphore_release(&full), -EOVERFLOW);
	assert_int_equal(mproc_semaphore_value(&full), INT_MAX);
}

static void
misuse_is_an_error(void **state)
{
	mproc_semaphore s = { { 0 } }, *made;
	struct mproc_semaphore_opts o = { .struct_size = 3 };

	(void)state;
	assert_int_equal(mproc_semaphore_acquire(NULL, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_semaphore_release(NULL), -EINVAL);
	assert_int_equal(mproc_semaphore_value(NULL), -EINVAL);
	assert_int_equal(mproc_semaphore_init(NULL, 0, 0), -EINVAL);
	assert_int_equal(mproc_semaphore_init(&s, 3, 2), -EINVAL);
	assert_int_equal(mproc_semaphore_init(&s, INT_MAX + 1u, 0), -EINVAL);
	assert_int_equal(mproc_semaphore_init(&s, 0, INT_MAX + 1u), -EINVAL);
	assert_int_equal(mproc_semaphore_create(NULL, NULL), -EINVAL);
	assert_int_equal(mproc_semaphore_create(&made, &o), -EINVAL);
	assert_int_equal(mproc_semaphore_create(
		&made, MPROC_OPTS(mproc_semaphore_opts, .value = 3, .max = 2)), -EINVAL);
	assert_int_equal(mproc_semaphore_create(
		&made, MPROC_OPTS(mproc_semaphore_opts, .value = 2, .max = 3,
				  .undo = true)), -EINVAL);
	assert_int_equal(mproc_semaphore_create(
		&made, MPROC_OPTS(mproc_semaphore_opts, .undo = true)), -EINVAL);
	assert_int_equal(mproc_semaphore_create(
		&made, MPROC_OPTS(mproc_semaphore_opts, .value = 65537, .undo = true)), -EINVAL);
	mproc_semaphore_destroy(NULL);
	mproc_semaphore_destroy(&s); /* refused */

	assert_int_equal(mproc_semaphore_value(&s), 0);
	assert_int_equal(mproc_semaphore_acquire(&s, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_semaphore_release(&s), 0);
	assert_int_equal(mproc_semaphore_acquire(&s, MPROC_NOWAIT), 0);
}

static void
a_sleeper_is_woken(struct mpt *t)
{
	struct board *b = new_board(t, NULL);
	unsigned rounds = amount(100);
	int64_t began;
	struct mpt_times spent = { 0 };

	for (unsigned i = 0; i < rounds; i++) {
		spawn_sleeper(t, &b->tid, acquire_once);
		began = mproc_now();
		assert_int_equal(mproc_semaphore_release(b->s), 0);
		mpt_until(t, b->done == i + 1);
		mpt_times_add(&spent, mproc_now() - began);
		mpt_join_all(t);
	}
	/* A lost wake-up costs 50 ms. */
	assert_true(mpt_times_median(&spent) < 15 * MS);
	assert_int_equal(mproc_semaphore_value(b->s), 0);
	end(t, b);
}

enum { SLEEPERS = 5 };

static void
release(struct board *b, unsigned n)
{
	while (n--)
		assert_int_equal(mproc_semaphore_release(b->s), 0);
}

/* Released at once, before all of them run: nobody is forgotten. */
static void
as_many_go_on_as_there_are_permits(struct mpt *t)
{
	struct board *b = new_board(t, NULL);
	unsigned rounds = amount(20);
	int64_t began;
	struct mpt_times spent = { 0 };

	for (unsigned i = 0; i < rounds; i++) {
		b->done = 0;
		for (int k = 0; k < SLEEPERS; k++)
			spawn_sleeper(t, &b->tid, acquire_once);
		began = mproc_now();
		release(b, 2);
		mpt_until(t, b->done == 2);
		assert_int_equal(mproc_semaphore_value(b->s), 0);
		release(b, SLEEPERS - 2);
		mpt_until(t, b->done == SLEEPERS);
		mpt_times_add(&spent, mproc_now() - began);
		assert_int_equal(mproc_semaphore_value(b->s), 0);
		mpt_join_all(t);
	}
	/* A lost wake-up costs 50 ms. */
	assert_true(mpt_times_median(&spent) < 30 * MS);
	end(t, b);
}

enum { PEERS = 6, ROOM = 2 };

static int
pass_often(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned n = (unsigned)(uintptr_t)arg, now;

	for (unsigned i = 0; i < n; i++) {
		mpt_check_int(t, mproc_semaphore_acquire(b->s, mproc_sec(20)),
			      0);
		now = ++b->inside;
		mpt_check(t, now <= ROOM);
		b->inside--;
		mpt_check_int(t, mproc_semaphore_release(b->s), 0);
	}
	return 0;
}

static void
no_more_are_inside_than_there_is_room(struct mpt *t)
{
	unsigned n = amount(5000);

	for (int undo = 0; undo < 2; undo++) {
		struct board *b = new_board_of(t, .value = ROOM,
					       .undo = undo);

		for (int i = 0; i < PEERS; i++)
			mpt_spawn(t, "peer", pass_often,
				  (void *)(uintptr_t)n);
		mpt_join_all(t);
		assert_int_equal(mproc_semaphore_value(b->s), ROOM);
		end(t, b);
	}
}

static int
be_interrupted(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	signal(SIGUSR1, interrupt);
	b->tid = gettid();
	mpt_check_int(t, mproc_semaphore_acquire(b->s, mproc_sec(20)), -EINTR);
	mpt_check_int(t, mproc_semaphore_acquire(b->s, mproc_ms(1)),
		      -ETIMEDOUT);
	return 0;
}

static void
an_interrupt_ends_the_wait(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, NULL);
	int id = spawn_sleeper(t, &b->tid, be_interrupted);

	signal_and_expect_exit(t, id);
	end(t, b);
}

static mproc_semaphore *handlers_semaphore;

static void
release_in_handler(int sig)
{
	(void)sig;
	if (mproc_semaphore_release(handlers_semaphore) != 0)
		abort();
}

static int
wait_for_a_handler(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	handlers_semaphore = b->s;
	signal(SIGUSR1, release_in_handler);
	return acquire_once(t, arg);
}

static void
a_handler_ends_the_wait_of_its_own_thread(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, NULL);
	int id = spawn_sleeper(t, &b->tid, wait_for_a_handler);

	signal_and_expect_exit(t, id);
	assert_int_equal(mproc_semaphore_value(b->s), 0);
	end(t, b);
}

/* Releases from the handler interrupt all that the thread does with the same
 * semaphore. Each is one permit more. */
static int
be_disturbed(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	handlers_semaphore = b->s;
	signal(SIGUSR1, release_in_handler);
	b->tid = gettid();
	while (!b->stop) {
		int r = mproc_semaphore_acquire(b->s, mproc_us(200));

		mpt_check(t, r == 0 || r == -ETIMEDOUT);
		if (r == 0)
			mpt_check_int(t, mproc_semaphore_release(b->s), 0);
	}
	return 0;
}

static void
handlers_interrupt_every_call(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, NULL);
	unsigned n = amount(2000);
	int id = mpt_spawn(t, "disturbed", be_disturbed, NULL);

	mpt_until(t, b->tid);
	for (unsigned i = 1; i <= n; i++) {
		/* Whether it has it or not at the moment. */
		assert_int_equal(kill(mpt_pid(t, id), SIGUSR1), 0);
		mpt_until(t, mproc_semaphore_value(b->s) > 0);
		assert_int_equal(mproc_semaphore_acquire(b->s, mproc_sec(20)),
				 0);
	}
	b->stop = 1;
	mpt_join_all(t);
	assert_int_equal(mproc_semaphore_value(b->s), 0);
	end(t, b);
}

/* The thread in which the handler runs has never used libmproc. */
static void
a_stranger_may_release(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, NULL);

	spawn_sleeper(t, &b->tid, acquire_once);
	handlers_semaphore = b->s;
	handle_as_a_stranger(release_in_handler);
	mpt_until(t, b->done == 1);
	end(t, b);
}

static int
acquire_and_stay(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->tid = gettid();
	mpt_check_int(t, mproc_semaphore_acquire(b->s, mproc_sec(20)), 0);
	wait_to_be_killed(t);
	return 0;
}

static bool
sleeps_in_vain(struct board *b)
{
	return mproc_semaphore_value(b->s) == 0 &&
	       mpt_task_state(b->tid) == 'S';
}

/* The permit is the survivor's, unless a victim died with it. */
static void
killed_waiters_take_nothing_along(void **state)
{
	struct mpt *t = *state;
	unsigned rounds = amount(30);
	int64_t began;
	struct mpt_times spent = { 0 };

	for (unsigned i = 0; i < rounds; i++) {
		struct board *b = new_board(t, NULL);
		int victims[2], id;

		for (int k = 0; k < 2; k++)
			victims[k] = spawn_sleeper(t, &b->tid, acquire_and_stay);
		id = spawn_sleeper(t, &b->tid, acquire_once);
		/* One before, one perhaps just as it is woken. */
		mpt_kill(t, victims[0]);
		began = mproc_now();
		release(b, 1);
		mpt_kill(t, victims[1]);
		assert_true(mproc_arena_recover(NULL) >= 0);
		mpt_until(t, b->done || sleeps_in_vain(b));
		if (!b->done)
			release(b, 1);
		mpt_expect_exit(t, id, 0);
		mpt_times_add(&spent, mproc_now() - began);
		assert_int_equal(mproc_semaphore_value(b->s), 0);
		end(t, b);
	}
	assert_true(mpt_times_median(&spent) < 20 * MS);
}

static int
wait_until_destroyed(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->tid = gettid();
	mpt_check_int(t, mproc_semaphore_acquire(b->s, mproc_sec(20)),
		      -ESHUTDOWN);
	return 0;
}

static void
destroy_wakes_those_who_wait(struct mpt *t)
{
	for (int undo = 0; undo < 2; undo++) {
		struct board *b = new_board_of(t, .value = 1, .undo = undo);

		assert_int_equal(mproc_semaphore_acquire(b->s, MPROC_NOWAIT),
				 0);
		for (int i = 0; i < 3; i++)
			spawn_sleeper(t, &b->tid, wait_until_destroyed);
		mproc_semaphore_destroy(b->s);
		assert_int_equal(mproc_semaphore_release(b->s), -ESTALE);
		assert_int_equal(mproc_semaphore_value(b->s), -ESTALE);
		assert_int_equal(mproc_semaphore_acquire(b->s, MPROC_FOREVER),
				 -ESTALE);
		assert_int_equal(mproc_semaphore_acquire(b->s, MPROC_NOWAIT),
				 -ESTALE);
		mproc_semaphore_destroy(b->s);
		end(t, b);
	}
}

/* Also where permits were held, with more and with fewer of them. */
static void
a_place_is_used_again(struct mpt *t)
{
	static const unsigned sizes[] = { 1, 3, 2, 200, 5 };
	struct board *b = new_board_of(t, .value = 1, .undo = true);
	mproc_semaphore *again;

	assert_int_equal(mproc_semaphore_acquire(b->s, MPROC_NOWAIT), 0);
	for (int i = 0; i < 5; i++) {
		spawn_sleeper(t, &b->tid, wait_until_destroyed);
		mproc_semaphore_destroy(b->s);
		assert_int_equal(mproc_semaphore_create(
			&again, MPROC_OPTS(mproc_semaphore_opts,
					   .value = sizes[i], .undo = true)),
			0);
		assert_ptr_equal(again, b->s);
		mpt_join_all(t);
		assert_int_equal(mproc_semaphore_value(b->s), sizes[i]);
		assert_int_equal(mproc_semaphore_release(b->s), -EPERM);
		for (unsigned n = 0; n < sizes[i]; n++)
			assert_int_equal(mproc_semaphore_acquire(
						 b->s, MPROC_NOWAIT), 0);
		assert_int_equal(mproc_semaphore_acquire(b->s, MPROC_NOWAIT),
				 -EAGAIN);
	}
	end(t, b);
}

static void *
make_semaphore(unsigned i)
{
	mproc_semaphore *semaphore;

	assert_int_equal(mproc_semaphore_create(
		&semaphore, MPROC_OPTS(mproc_semaphore_opts, .value = 3,
				       .undo = i % 2)), 0);
	assert_int_equal(mproc_semaphore_acquire(semaphore, MPROC_NOWAIT), 0);
	return semaphore;
}

static void
destroy_semaphore(void *semaphore)
{
	mproc_semaphore_destroy(semaphore);
}

static void
semaphores_come_and_go_without_growth(void **state)
{
	(void)state;
	/* Each place has had one with undo by the eleventh. */
	come_and_go_without_growth(make_semaphore, destroy_semaphore, 50, 11);
}

static mproc_semaphore private_semaphore;

static int
acquire_private(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->tid = gettid();
	mpt_check_int(t, mproc_semaphore_acquire(&private_semaphore,
						 mproc_sec(20)), 0);
	return 0;
}

static void
one_in_private_memory_is_for_threads(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, NULL);

	mpt_use_threads(t, true);
	spawn_sleeper(t, &b->tid, acquire_private);
	assert_int_equal(mproc_semaphore_release(&private_semaphore), 0);
	end(t, b);
	assert_int_equal(mproc_semaphore_value(&private_semaphore), 0);
}

both(a_sleeper_is_woken)
both(as_many_go_on_as_there_are_permits)
both(no_more_are_inside_than_there_is_room)
both(destroy_wakes_those_who_wait)
both(a_place_is_used_again)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(permits_are_counted),
		mpt_test(a_bounded_one_has_no_more),
		mpt_test(misuse_is_an_error),
		both_tests(a_sleeper_is_woken),
		both_tests(as_many_go_on_as_there_are_permits),
		both_tests(no_more_are_inside_than_there_is_room),
		mpt_test(an_interrupt_ends_the_wait),
		mpt_test(a_handler_ends_the_wait_of_its_own_thread),
		mpt_test(handlers_interrupt_every_call),
		mpt_test(a_stranger_may_release),
		mpt_test(killed_waiters_take_nothing_along),
		both_tests(destroy_wakes_those_who_wait),
		both_tests(a_place_is_used_again),
		mpt_test(semaphores_come_and_go_without_growth),
		mpt_test(one_in_private_memory_is_for_threads),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
