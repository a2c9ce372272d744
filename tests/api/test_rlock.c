/* SPDX-License-Identifier: MIT */
/*
 * sync.h: recursive locks, between processes and between threads. What they have
 * in common with other locks is in test_lock.c.
 */
#include "mpt_times.h"
#include "sync.h"

/* In the scratch bytes. */
struct board {
	mproc_rlock *rlock;
	_Atomic pid_t tid;
	_Atomic unsigned ready;
	_Atomic unsigned done;
	uint64_t counter; /* of who has the lock */
};

static struct board *
new_board(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	assert_int_equal(mproc_rlock_create(&b->rlock), 0);
	assert_true(mproc_is_shared(b->rlock));
	b->tid = 0;
	b->ready = 0;
	b->done = 0;
	return b;
}

static void
end(struct mpt *t, struct board *b)
{
	mpt_join_all(t);
	mproc_rlock_destroy(b->rlock);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

static struct mproc_owner
owner(const mproc_rlock *rlock)
{
	struct mproc_owner owner;

	assert_int_equal(mproc_rlock_owner(rlock, &owner), 0);
	return owner;
}

static void
acquire(struct mpt *t, mproc_rlock *rlock, int times)
{
	for (int i = 0; i < times; i++)
		mpt_check_int(t, mproc_rlock_acquire(rlock, mproc_sec(20)), 0);
}

static void
release(struct mpt *t, mproc_rlock *rlock, int times)
{
	for (int i = 0; i < times; i++)
		mpt_check_int(t, mproc_rlock_release(rlock), 0);
}

static int
try_in_vain(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int64_t began = mproc_now();

	(void)arg;
	mpt_check_int(t, mproc_rlock_acquire(b->rlock, MPROC_NOWAIT), -EAGAIN);
	mpt_check_int(t, mproc_rlock_release(b->rlock), -EPERM);
	mpt_check(t, strstr(mproc_error_detail(), "holds lock"));
	mpt_check_int(t, mproc_rlock_consistent(b->rlock), -EPERM);
	mpt_check_int(t, mproc_rlock_acquire(b->rlock, mproc_ms(30)),
		      -ETIMEDOUT);
	mpt_check(t, mproc_now() - began >= 30 * MS);
	return 0;
}

/* Takes it twice and gives it back. */
static int
pass(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->tid = gettid();
	acquire(t, b->rlock, 2);
	b->done++;
	release(t, b->rlock, 2);
	return 0;
}

/* Three times, as CPython's tests have it; others get it after the third. */
static void
its_holder_may_take_it_again(struct mpt *t)
{
	struct board *b = new_board(t);

	assert_int_equal(owner(b->rlock).pid, 0);
	acquire(t, b->rlock, 3);
	assert_int_equal(mproc_rlock_acquire(b->rlock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_rlock_acquire(b->rlock, mproc_ms(1)), 0);
	release(t, b->rlock, 2);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(owner(b->rlock).pid, getpid());
		assert_int_equal(owner(b->rlock).tid, gettid());
		mpt_expect_exit(t, mpt_spawn(t, "other", try_in_vain, NULL), 0);
		assert_int_equal(mproc_rlock_release(b->rlock), 0);
	}
	assert_int_equal(owner(b->rlock).pid, 0);
	assert_int_equal(mproc_rlock_release(b->rlock), -EPERM);
	mpt_expect_exit(t, mpt_spawn(t, "other", pass, NULL), 0);
	acquire(t, b->rlock, 1);
	release(t, b->rlock, 1);
	assert_int_equal(mproc_rlock_release(b->rlock), -EPERM);
	end(t, b);
}

static void
misuse_is_an_error(void **state)
{
	struct mproc_owner o;
	mproc_rlock rlock = { { 0 } };

	(void)state;
	assert_int_equal(mproc_rlock_release(&rlock), -EPERM);
	assert_int_equal(mproc_rlock_consistent(&rlock), -EPERM);
	assert_int_equal(mproc_rlock_acquire(&rlock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_rlock_acquire(&rlock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_rlock_consistent(&rlock), 0);
	assert_true(mproc_rlock_is_consistent(&rlock));
	assert_int_equal(mproc_rlock_release(&rlock), 0);
	assert_int_equal(mproc_rlock_release(&rlock), 0);
	assert_int_equal(mproc_rlock_release(&rlock), -EPERM);

	assert_int_equal(mproc_rlock_acquire(NULL, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_rlock_release(NULL), -EINVAL);
	assert_int_equal(mproc_rlock_consistent(NULL), -EINVAL);
	assert_int_equal(mproc_rlock_owner(NULL, &o), -EINVAL);
	assert_int_equal(mproc_rlock_owner(&rlock, NULL), -EINVAL);
	assert_int_equal(mproc_rlock_create(NULL), -EINVAL);
	assert_true(mproc_rlock_is_consistent(NULL));
	mproc_rlock_destroy(NULL);
	mproc_rlock_destroy(&rlock); /* refused */
	assert_int_equal(mproc_rlock_acquire(&rlock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_rlock_release(&rlock), 0);
}

static void
a_sleeper_is_woken_by_the_last_release(struct mpt *t)
{
	struct board *b = new_board(t);
	unsigned rounds = amount(100);
	int64_t began;
	struct mpt_times spent = { 0 };
	int id;

	for (unsigned i = 0; i < rounds; i++) {
		b->tid = 0;
		acquire(t, b->rlock, 2);
		id = mpt_spawn(t, "sleeper", pass, NULL);
		mpt_until(t, b->tid && owner(b->rlock).waiters == 1 &&
				     mpt_task_state(b->tid) == 'S');
		assert_int_equal(mproc_rlock_release(b->rlock), 0);
		assert_int_equal(owner(b->rlock).waiters, 1);
		assert_int_equal(b->done, i);
		began = mproc_now();
		assert_int_equal(mproc_rlock_release(b->rlock), 0);
		mpt_until(t, b->done == i + 1);
		mpt_times_add(&spent, mproc_now() - began);
		mpt_expect_exit(t, id, 0);
	}
	/* A lost wake-up costs 50 ms. */
	assert_true(mpt_times_median(&spent) < 15 * MS);
	end(t, b);
}

enum { PEERS = 8 };

static int
count(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned n = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; i < n; i++) {
		int depth = 1 + (int)(i % 3);

		acquire(t, b->rlock, depth);
		b->counter++;
		release(t, b->rlock, depth);
	}
	return 0;
}

static void
a_counter_is_exact(struct mpt *t)
{
	struct board *b = new_board(t);
	unsigned n = amount(20000);

	for (int i = 0; i < PEERS; i++)
		mpt_spawn(t, "counter", count, (void *)(uintptr_t)n);
	mpt_join_all(t);
	assert_int_equal(b->counter, (uint64_t)PEERS * n);
	assert_int_equal(owner(b->rlock).waiters, 0);
	end(t, b);
}

static int
hold_three_times(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	acquire(t, b->rlock, 3);
	b->tid = gettid();
	wait_to_be_killed(t);
	return 0;
}

/* However often the dead had it, the next holder has it once. */
static void
a_new_holder_after_a_death_begins_anew(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int id = mpt_spawn(t, "holder", hold_three_times, NULL);
	pid_t pid;

	mpt_until(t, b->tid);
	pid = mpt_pid(t, id);
	mpt_kill(t, id);
	assert_int_equal(owner(b->rlock).died_pid, pid);
	for (int i = 0; i < 2; i++) {
		assert_false(mproc_rlock_is_consistent(b->rlock));
		assert_int_equal(mproc_rlock_acquire(b->rlock, MPROC_NOWAIT),
				 MPROC_OWNER_DIED);
		assert_int_equal(mproc_rlock_acquire(b->rlock, MPROC_NOWAIT),
				 0);
		assert_int_equal(owner(b->rlock).pid, getpid());
		if (i)
			assert_int_equal(mproc_rlock_consistent(b->rlock), 0);
		release(t, b->rlock, 2);
		assert_int_equal(mproc_rlock_release(b->rlock), -EPERM);
	}
	assert_true(mproc_rlock_is_consistent(b->rlock));
	mpt_expect_exit(t, mpt_spawn(t, "next", pass, NULL), 0);
	end(t, b);
}

static int
inherit(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_rlock_acquire(b->rlock, mproc_sec(20)),
		      MPROC_OWNER_DIED);
	acquire(t, b->rlock, 1);
	b->done++;
	release(t, b->rlock, 2);
	return 0;
}

static int
end_with_it(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	acquire(t, b->rlock, 2);
	b->tid = gettid();
	mpt_until(t, b->ready);
	return 0;
}

static void
who_waits_learns_of_its_holders_end(struct mpt *t)
{
	struct board *b = new_board(t);
	int id = mpt_spawn(t, "holder", end_with_it, NULL);

	mpt_until(t, b->tid);
	mpt_spawn(t, "waiter", inherit, NULL);
	mpt_until(t, owner(b->rlock).waiters == 1);
	b->ready = 1;
	mpt_until(t, b->done == 1);
	mpt_expect_exit(t, id, 0);
	end(t, b);
}

static int
be_interrupted(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	signal(SIGUSR1, interrupt);
	b->tid = gettid();
	mpt_check_int(t, mproc_rlock_acquire(b->rlock, mproc_sec(20)), -EINTR);
	mpt_check_int(t, mproc_rlock_release(b->rlock), -EPERM);
	return 0;
}

static void
an_interrupt_ends_the_wait(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int id;

	acquire(t, b->rlock, 1);
	id = mpt_spawn(t, "waiter", be_interrupted, NULL);
	mpt_until(t, b->tid && owner(b->rlock).waiters == 1 &&
			     mpt_task_state(b->tid) == 'S');
	signal_and_expect_exit(t, id);
	release(t, b->rlock, 1);
	end(t, b);
}

static int
wait_until_destroyed(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_rlock_acquire(b->rlock, mproc_sec(20)),
		      -ESHUTDOWN);
	return 0;
}

static void
destroy_wakes_those_who_wait(struct mpt *t)
{
	struct board *b = new_board(t);

	acquire(t, b->rlock, 2);
	for (int i = 0; i < 3; i++)
		mpt_spawn(t, "waiter", wait_until_destroyed, NULL);
	mpt_until(t, owner(b->rlock).waiters == 3);
	mproc_rlock_destroy(b->rlock);
	assert_int_equal(mproc_rlock_release(b->rlock), -ESTALE);
	assert_int_equal(mproc_rlock_acquire(b->rlock, MPROC_NOWAIT), -ESTALE);
	assert_int_equal(mproc_rlock_acquire(b->rlock, MPROC_FOREVER), -ESTALE);
	end(t, b);
}

/* Kinds have places of their own. */
static void
a_lock_is_not_destroyed_as_a_recursive_one(void **state)
{
	mproc_rlock *rlock;
	mproc_lock *lock;

	(void)state;
	assert_int_equal(mproc_lock_create(&lock), 0);
	assert_int_equal(mproc_rlock_create(&rlock), 0);
	mproc_rlock_destroy((mproc_rlock *)(void *)lock);
	mproc_lock_destroy((mproc_lock *)(void *)rlock);
	assert_int_equal(mproc_lock_acquire(lock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_rlock_acquire(rlock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_lock_release(lock), 0);
	assert_int_equal(mproc_rlock_release(rlock), 0);
	mproc_lock_destroy(lock);
	mproc_rlock_destroy(rlock);
}

static int
release_parents(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_rlock_release(b->rlock), -EPERM);
	mpt_check_int(t, mproc_rlock_acquire(b->rlock, MPROC_NOWAIT), -EAGAIN);
	return 0;
}

static void
a_forked_child_holds_nothing(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);

	acquire(t, b->rlock, 2);
	mpt_expect_exit(t, mpt_spawn(t, "child", release_parents, NULL), 0);
	release(t, b->rlock, 2);
	end(t, b);
}

both(its_holder_may_take_it_again)
both(a_sleeper_is_woken_by_the_last_release)
both(a_counter_is_exact)
both(who_waits_learns_of_its_holders_end)
both(destroy_wakes_those_who_wait)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		both_tests(its_holder_may_take_it_again),
		mpt_test(misuse_is_an_error),
		both_tests(a_sleeper_is_woken_by_the_last_release),
		both_tests(a_counter_is_exact),
		mpt_test(a_new_holder_after_a_death_begins_anew),
		both_tests(who_waits_learns_of_its_holders_end),
		mpt_test(an_interrupt_ends_the_wait),
		both_tests(destroy_wakes_those_who_wait),
		mpt_test(a_lock_is_not_destroyed_as_a_recursive_one),
		mpt_test(a_forked_child_holds_nothing),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
