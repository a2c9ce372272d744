/* SPDX-License-Identifier: MIT */
/*
 * Defects that locks once had, where deaths and stops met many who sleep for
 * something else: with a crowd of them a slice is seconds, so whoever is not
 * woken, or told, is late for all to see.
 */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include <mproc/mproc.h>

#include "common.h"
#include "sync/holder.h"
#include "sync/lock.h"
#include "sync/wait.h"

enum { CROWD = 60 }; /* a slice is 3 s */

#define SOON INT64_C(1000000000) /* ns */

/* In the scratch bytes. */
struct board {
	mproc_lock *lock, *elsewhere;
	_Atomic bool has_it, may_go;
	_Atomic unsigned done;
	_Atomic pid_t forked;
};

static int
sleep_elsewhere(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_lock_acquire(b->elsewhere, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_lock_release(b->elsewhere), 0);
	return 0;
}

static unsigned
waiters(const mproc_lock *lock)
{
	struct mproc_owner owner;

	assert_int_equal(mproc_lock_owner(lock, &owner), 0);
	return owner.waiters;
}

/* Has both locks, and the crowd asleep. */
static struct board *
begin(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	mpt_watchdog(t, 60);
	assert_int_equal(mproc_lock_create(&b->lock), 0);
	assert_int_equal(mproc_lock_create(&b->elsewhere), 0);
	assert_int_equal(mproc_lock_acquire(b->elsewhere, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_lock_acquire(b->lock, MPROC_NOWAIT), 0);
	mpt_use_threads(t, true);
	for (int i = 0; i < CROWD; i++)
		mpt_spawn(t, "sleeper", sleep_elsewhere, NULL);
	mpt_use_threads(t, false);
	mpt_until(t, waiters(b->elsewhere) == CROWD);
	return b;
}

static void
end(struct mpt *t, struct board *b, bool in_time)
{
	assert_int_equal(mproc_lock_release(b->elsewhere), 0);
	mpt_join_all(t);
	mproc_lock_destroy(b->lock);
	mproc_lock_destroy(b->elsewhere);
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_true(in_time);
}

static int
take_and_keep(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check(t, mproc_lock_acquire(b->lock, MPROC_FOREVER) >= 0);
	b->has_it = true;
	mpt_until(t, b->may_go);
	mpt_check_int(t, mproc_lock_release(b->lock), 0);
	return 0;
}

static int
take(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check(t, mproc_lock_acquire(b->lock, mproc_sec(30)) >= 0);
	b->done++;
	mpt_check_int(t, mproc_lock_consistent(b->lock), 0);
	mpt_check_int(t, mproc_lock_release(b->lock), 0);
	return 0;
}

/* Until those who wait are in their second slices: the first are short. */
static void
grow_old(struct mpt *t)
{
	int64_t began = mproc_now();

	mpt_until(t, mproc_now() - began > 200000000);
}

/* Whether it has had the lock before the end of a slice. */
static bool
is_soon(struct mpt *t, struct board *b)
{
	int64_t began = mproc_now();

	mpt_until(t, b->done == 1);
	return mproc_now() - began < SOON;
}

/* It had said that it waits for the holder before that one. */
static void
who_waits_learns_of_the_death_of_a_later_holder(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);
	bool in_time;
	int holder;

	holder = mpt_spawn(t, "next holder", take_and_keep, NULL);
	mpt_until(t, waiters(b->lock) == 1);
	mpt_spawn(t, "waiter", take, NULL);
	mpt_until(t, waiters(b->lock) == 2);
	grow_old(t);
	assert_int_equal(mproc_lock_release(b->lock), 0);
	mpt_until(t, b->has_it);
	mpt_kill(t, holder);
	assert_true(mproc_arena_recover(NULL) >= 0); /* or the crowd has */
	in_time = is_soon(t, b);
	end(t, b, in_time);
}

/* It was chosen, and did nothing with that. */
static void
a_stopped_waiter_does_not_keep_a_lock_from_others(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);
	bool in_time;
	int first;

	first = mpt_spawn(t, "first", take_and_keep, NULL);
	mpt_until(t, waiters(b->lock) == 1 &&
			     mpt_task_state(mpt_pid(t, first)) == 'S');
	mpt_spawn(t, "second", take, NULL);
	mpt_until(t, waiters(b->lock) == 2);
	grow_old(t);
	mpt_pause(t, first);
	assert_int_equal(mproc_lock_release(b->lock), 0);
	in_time = is_soon(t, b);
	b->may_go = true;
	mpt_resume(t, first);
	end(t, b, in_time);
}

/* It was handed to it. */
static void
nor_one_that_it_was_handed(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);
	struct mpr_lock *l = (struct mpr_lock *)b->lock;
	int64_t began, took;
	int first, r;

	first = mpt_spawn(t, "first", take_and_keep, NULL);
	mpt_until(t, waiters(b->lock) == 1 &&
			     mpt_task_state(mpt_pid(t, first)) == 'S');
	mpt_pause(t, first);
	atomic_fetch_or(&l->cell.word, MPR_STARVED);
	began = mproc_now();
	assert_int_equal(mproc_lock_release(b->lock), 0);
	assert_true(atomic_load(&l->cell.word) & MPR_HANDED);
	/* At first it has precedence. */
	r = mproc_lock_acquire(b->lock, MPROC_NOWAIT);
	if (mproc_now() - began < 40000000)
		assert_int_equal(r, -EAGAIN);
	while (r < 0)
		r = mproc_lock_acquire(b->lock, MPROC_NOWAIT);
	assert_int_equal(r, 0);
	took = mproc_now() - began;
	b->may_go = true;
	mpt_resume(t, first);
	assert_int_equal(mproc_lock_release(b->lock), 0);
	end(t, b, took > 40000000 && took < SOON);
}

static struct board *shared;

static void
fork_here(int sig)
{
	pid_t pid = fork();

	(void)sig;
	if (pid)
		shared->forked = pid;
}

static int
be_forked(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	pid_t me = getpid();
	int r, status;

	(void)arg;
	shared = b;
	signal(SIGUSR1, fork_here);
	r = mproc_lock_acquire(b->lock, mproc_sec(20));
	if (r == 0)
		r = mproc_lock_release(b->lock);
	if (getpid() != me)
		_exit(r == 0 ? 0 : 1);
	mpt_check_int(t, r, 0);
	mpt_check_int(t, waitpid(-1, &status, 0) > 0, 1);
	mpt_check_int(t, status, 0);
	return 0;
}

/* The child went on in its parent's name. */
static void
a_handler_that_forks_returns_into_two_waits(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);
	int id;

	id = mpt_spawn(t, "waiter", be_forked, NULL);
	mpt_until(t, waiters(b->lock) == 1 &&
			     mpt_task_state(mpt_pid(t, id)) == 'S');
	assert_int_equal(kill(mpt_pid(t, id), SIGUSR1), 0);
	mpt_until(t, b->forked > 0 && waiters(b->lock) == 2);
	assert_int_equal(mproc_lock_release(b->lock), 0);
	mpt_expect_exit(t, id, 0);
	assert_int_equal(waiters(b->lock), 0);
	assert_int_equal(mproc_lock_acquire(b->lock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_lock_release(b->lock), 0);
	end(t, b, true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(who_waits_learns_of_the_death_of_a_later_holder),
		mpt_test(a_stopped_waiter_does_not_keep_a_lock_from_others),
		mpt_test(nor_one_that_it_was_handed),
		mpt_test(a_handler_that_forks_returns_into_two_waits),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
