/* SPDX-License-Identifier: MIT */
/*
 * sync.h: locks, between processes and between threads.
 */
#include "mpt_times.h"
#include "sync.h"

/* In the scratch bytes. */
struct board {
	mproc_lock *lock;
	_Atomic pid_t tid;
	_Atomic unsigned ready;
	_Atomic unsigned done;
	_Atomic pid_t tids[8]; /* of contenders */
	_Atomic int64_t until;
	_Atomic uint64_t turns; /* how often somebody has had it */
	/* Of who has the lock. */
	uint64_t counter;
	uint64_t overtaken; /* the most that anyone was */
	int64_t longest;
};

static struct board *
new_board(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	assert_int_equal(mproc_lock_create(&b->lock), 0);
	return b;
}

static void
end(struct mpt *t, struct board *b)
{
	mpt_join_all(t);
	mproc_lock_destroy(b->lock);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

static struct mproc_owner
owner(const mproc_lock *lock)
{
	struct mproc_owner owner;

	assert_int_equal(mproc_lock_owner(lock, &owner), 0);
	return owner;
}

/* Takes it and gives it back. */
static int
pass(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->tid = gettid();
	mpt_check_int(t, mproc_lock_acquire(b->lock, mproc_sec(20)), 0);
	b->done++;
	mpt_check_int(t, mproc_lock_release(b->lock), 0);
	return 0;
}

static int
try_in_vain(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int64_t began = mproc_now();

	(void)arg;
	mpt_check_int(t, mproc_lock_acquire(b->lock, MPROC_NOWAIT), -EAGAIN);
	mpt_check_int(t, mproc_lock_release(b->lock), -EPERM);
	mpt_check(t, strstr(mproc_error_detail(), "holds lock"));
	mpt_check_int(t, mproc_lock_consistent(b->lock), -EPERM);
	mpt_check_int(t, mproc_lock_acquire(b->lock, mproc_ms(30)),
		      -ETIMEDOUT);
	mpt_check(t, mproc_now() - began >= 30 * MS);
	return 0;
}

static void
a_lock_has_one_holder(struct mpt *t)
{
	struct board *b = new_board(t);

	assert_int_equal(owner(b->lock).pid, 0);
	assert_int_equal(mproc_lock_acquire(b->lock, MPROC_NOWAIT), 0);
	assert_int_equal(owner(b->lock).pid, getpid());
	assert_int_equal(owner(b->lock).tid, gettid());
	mpt_expect_exit(t, mpt_spawn(t, "other", try_in_vain, NULL), 0);
	assert_int_equal(mproc_lock_release(b->lock), 0);
	mpt_expect_exit(t, mpt_spawn(t, "other", pass, NULL), 0);
	assert_int_equal(mproc_lock_acquire(b->lock, MPROC_FOREVER), 0);
	assert_int_equal(mproc_lock_release(b->lock), 0);
	assert_int_equal(owner(b->lock).pid, 0);
	end(t, b);
}

static void
misuse_is_an_error(void **state)
{
	struct mproc_owner o;
	mproc_lock lock = { { 0 } };

	(void)state;
	assert_int_equal(mproc_lock_release(&lock), -EPERM);
	assert_int_equal(mproc_lock_consistent(&lock), -EPERM);
	assert_int_equal(mproc_lock_acquire(&lock, MPROC_FOREVER), 0);
	assert_int_equal(mproc_lock_acquire(&lock, MPROC_FOREVER), -EDEADLK);
	assert_int_equal(mproc_lock_acquire(&lock, MPROC_NOWAIT), -EDEADLK);
	assert_int_equal(mproc_lock_consistent(&lock), 0);
	assert_int_equal(mproc_lock_release(&lock), 0);
	assert_int_equal(mproc_lock_release(&lock), -EPERM);

	assert_int_equal(mproc_lock_acquire(NULL, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_lock_release(NULL), -EINVAL);
	assert_int_equal(mproc_lock_consistent(NULL), -EINVAL);
	assert_int_equal(mproc_lock_owner(NULL, &o), -EINVAL);
	assert_int_equal(mproc_lock_owner(&lock, NULL), -EINVAL);
	assert_int_equal(mproc_lock_create(NULL), -EINVAL);
	assert_true(mproc_lock_is_consistent(NULL));
	mproc_lock_destroy(NULL);
	mproc_lock_destroy(&lock); /* refused */
	assert_int_equal(mproc_lock_acquire(&lock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_lock_release(&lock), 0);
}

static void
a_sleeper_is_woken(struct mpt *t)
{
	struct board *b = new_board(t);
	unsigned rounds = amount(100);
	struct mpt_times spent = { 0 };

	for (unsigned i = 0; i < rounds; i++) {
		int64_t began;
		int id;

		b->tid = 0;
		assert_int_equal(mproc_lock_acquire(b->lock, MPROC_FOREVER), 0);
		id = mpt_spawn(t, "sleeper", pass, NULL);
		mpt_until(t, b->tid && owner(b->lock).waiters == 1 &&
				     mpt_task_state(b->tid) == 'S');
		assert_true(owner(b->lock).since <= mproc_now());
		assert_true(owner(b->lock).since > mproc_now() - 20000 * MS);
		began = mproc_now();
		assert_int_equal(mproc_lock_release(b->lock), 0);
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
		mpt_check_int(t, mproc_lock_acquire(b->lock, MPROC_FOREVER), 0);
		b->counter++;
		mpt_check_int(t, mproc_lock_release(b->lock), 0);
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
	assert_int_equal(owner(b->lock).waiters, 0);
	end(t, b);
}

static int
be_interrupted(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	signal(SIGUSR1, interrupt);
	b->tid = gettid();
	mpt_check_int(t, mproc_lock_acquire(b->lock, mproc_sec(20)), -EINTR);
	mpt_check_int(t, mproc_lock_acquire(b->lock, mproc_ms(1)), -ETIMEDOUT);
	mproc_interrupt();
	mpt_check_int(t, mproc_lock_acquire(b->lock, MPROC_NOWAIT), -EAGAIN);
	mpt_check_int(t, mproc_lock_acquire(b->lock, mproc_sec(20)), -EINTR);
	return 0;
}

static void
an_interrupt_ends_the_wait(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int id;

	b->tid = 0;
	assert_int_equal(mproc_lock_acquire(b->lock, MPROC_FOREVER), 0);
	id = mpt_spawn(t, "waiter", be_interrupted, NULL);
	mpt_until(t, b->tid && owner(b->lock).waiters == 1 &&
			     mpt_task_state(b->tid) == 'S');
	signal_and_expect_exit(t, id);
	assert_int_equal(mproc_lock_release(b->lock), 0);
	end(t, b);
}

static int
hold(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_lock_acquire(b->lock, MPROC_FOREVER), 0);
	b->tid = gettid();
	wait_to_be_killed(t);
	return 0;
}

static void
expect_died(struct mpt *t, struct board *b, pid_t pid)
{
	char text[64];

	snprintf(text, sizeof(text), "process %d ended", pid);
	assert_false(mproc_lock_is_consistent(b->lock));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mproc_lock_acquire(b->lock, MPROC_NOWAIT),
				 MPROC_OWNER_DIED);
		assert_non_null(strstr(mproc_error_detail(), text));
		assert_int_equal(owner(b->lock).died_pid, pid);
		assert_int_equal(owner(b->lock).pid, getpid());
		if (i)
			assert_int_equal(mproc_lock_consistent(b->lock), 0);
		assert_int_equal(mproc_lock_release(b->lock), 0);
	}
	assert_true(mproc_lock_is_consistent(b->lock));
	assert_int_equal(owner(b->lock).died_pid, 0);
	mpt_expect_exit(t, mpt_spawn(t, "next", pass, NULL), 0);
}

static void
each_holder_is_told_of_a_death_until_one_repairs(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	pid_t pid;
	int id;

	for (int recovered = 0; recovered < 2; recovered++) {
		b->tid = 0;
		id = mpt_spawn(t, "holder", hold, NULL);
		mpt_until(t, b->tid);
		pid = mpt_pid(t, id);
		assert_int_equal(owner(b->lock).pid, pid);
		mpt_kill(t, id);
		if (recovered)
			assert_true(mproc_arena_recover(NULL) >= 1);
		assert_int_equal(owner(b->lock).pid, 0);
		assert_int_equal(owner(b->lock).died_pid, pid);
		expect_died(t, b, pid);
	}
	end(t, b);
}

static int
hold_another(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	mpt_check_int(t, mproc_lock_acquire(arg, MPROC_FOREVER), 0);
	b->tid = gettid();
	wait_to_be_killed(t);
	return 0;
}

/* The slot of the dead is another's by then. */
static void
who_died_is_known_when_its_place_is_taken(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_lock *another;
	pid_t pid;
	int id;

	assert_int_equal(mproc_lock_create(&another), 0);
	b->tid = 0;
	id = mpt_spawn(t, "holder", hold, NULL);
	mpt_until(t, b->tid);
	pid = mpt_pid(t, id);
	mpt_kill(t, id);
	assert_true(mproc_arena_recover(NULL) >= 1);
	b->tid = 0;
	id = mpt_spawn(t, "heir of its slot", hold_another, another);
	mpt_until(t, b->tid);
	assert_int_equal(owner(b->lock).died_pid, pid);
	mpt_kill(t, id);
	expect_died(t, b, pid);
	mproc_lock_destroy(another);
	end(t, b);
}

static int
inherit(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->ready++;
	mpt_check_int(t, mproc_lock_acquire(b->lock, mproc_sec(20)),
		      MPROC_OWNER_DIED);
	b->done++;
	mpt_check_int(t, mproc_lock_release(b->lock), 0);
	return 0;
}

static void
those_who_wait_learn_of_a_death(struct mpt *t)
{
	struct board *b = new_board(t);
	int64_t began;
	struct mpt_times spent = { 0 };
	unsigned rounds = amount(20);
	int id;

	for (unsigned i = 0; i < rounds; i++) {
		b->tid = 0;
		b->done = 0;
		mpt_use_threads(t, false);
		id = mpt_spawn(t, "holder", hold, NULL);
		mpt_until(t, b->tid);
		for (int k = 0; k < 3; k++)
			mpt_spawn(t, "waiter", inherit, NULL);
		mpt_until(t, owner(b->lock).waiters == 3);
		began = mproc_now();
		mpt_kill(t, id);
		mpt_until(t, b->done == 3);
		mpt_times_add(&spent, mproc_now() - began);
		mpt_join_all(t);
		assert_int_equal(mproc_lock_acquire(b->lock, MPROC_NOWAIT),
				 MPROC_OWNER_DIED);
		assert_int_equal(mproc_lock_consistent(b->lock), 0);
		assert_int_equal(mproc_lock_release(b->lock), 0);
	}
	/* 100 ms each, and what a busy machine adds. */
	assert_true(mpt_times_median(&spent) < 150 * MS);
	end(t, b);
}

static int
hold_and_end(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_lock_acquire(b->lock, MPROC_FOREVER), 0);
	b->tid = gettid();
	mpt_until(t, b->ready == 1);
	return 0;
}

static void
a_thread_that_ends_with_a_lock_counts_as_dead(struct mpt *t)
{
	struct board *b = new_board(t);
	int id;

	b->tid = 0;
	b->ready = 0;
	b->done = 0;
	id = mpt_spawn(t, "holder", hold_and_end, NULL);
	mpt_until(t, b->tid);
	mpt_spawn(t, "waiter", inherit, NULL);
	mpt_until(t, b->done == 1);
	mpt_expect_exit(t, id, 0);
	/* Who has inherited it may be about to give it back. */
	assert_int_equal(mproc_lock_acquire(b->lock, mproc_sec(20)),
			 MPROC_OWNER_DIED);
	assert_int_equal(mproc_lock_consistent(b->lock), 0);
	assert_int_equal(mproc_lock_release(b->lock), 0);
	end(t, b);
}

static void
a_stopped_holder_keeps_its_lock(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int id;

	b->tid = 0;
	b->done = 0;
	id = mpt_spawn(t, "holder", hold, NULL);
	mpt_until(t, b->tid);
	mpt_pause(t, id);
	assert_int_equal(mproc_lock_acquire(b->lock, mproc_ms(300)),
			 -ETIMEDOUT);
	assert_true(mproc_lock_is_consistent(b->lock));
	mpt_resume(t, id);
	mpt_kill(t, id);
	expect_died(t, b, mpt_pid(t, id));
	end(t, b);
}

/* One before it may have been killed with the lock. */
static int
pass_or_inherit(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check(t, mproc_lock_acquire(b->lock, mproc_sec(20)) >= 0);
	mpt_check_int(t, mproc_lock_release(b->lock), 0);
	return 0;
}

static void
killed_waiters_take_nothing_along(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	unsigned rounds = amount(30);
	struct mpt_times spent = { 0 };

	for (unsigned i = 0; i < rounds; i++) {
		int victims[2], id;
		int64_t began;

		b->done = 0;
		assert_int_equal(mproc_lock_acquire(b->lock, MPROC_FOREVER), 0);
		for (int k = 0; k < 2; k++) {
			victims[k] = mpt_spawn(t, "victim", pass, NULL);
			mpt_until(t, owner(b->lock).waiters == k + 1u);
		}
		id = mpt_spawn(t, "survivor", pass_or_inherit, NULL);
		mpt_until(t, owner(b->lock).waiters == 3);
		/* One before, one perhaps just as it is woken. */
		mpt_kill(t, victims[0]);
		began = mproc_now();
		assert_int_equal(mproc_lock_release(b->lock), 0);
		mpt_kill(t, victims[1]);
		mpt_expect_exit(t, id, 0);
		mpt_times_add(&spent, mproc_now() - began);
		assert_true(mproc_lock_acquire(b->lock, mproc_sec(20)) >= 0);
		assert_int_equal(mproc_lock_consistent(b->lock), 0);
		assert_int_equal(mproc_lock_release(b->lock), 0);
	}
	assert_true(mpt_times_median(&spent) < 150 * MS);
	end(t, b);
}

static int
wait_until_destroyed(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_lock_acquire(b->lock, mproc_sec(20)),
		      -ESHUTDOWN);
	return 0;
}

static void
destroy_wakes_those_who_wait(struct mpt *t)
{
	struct board *b = new_board(t);

	assert_int_equal(mproc_lock_acquire(b->lock, MPROC_FOREVER), 0);
	for (int i = 0; i < 3; i++)
		mpt_spawn(t, "waiter", wait_until_destroyed, NULL);
	mpt_until(t, owner(b->lock).waiters == 3);
	mproc_lock_destroy(b->lock);
	assert_int_equal(mproc_lock_release(b->lock), -ESTALE);
	assert_int_equal(mproc_lock_acquire(b->lock, MPROC_FOREVER), -ESTALE);
	assert_int_equal(mproc_lock_acquire(b->lock, MPROC_NOWAIT), -ESTALE);
	mproc_lock_destroy(b->lock);
	end(t, b);
}

static void *
make_lock(unsigned i)
{
	mproc_lock *lock;

	(void)i;
	assert_int_equal(mproc_lock_create(&lock), 0);
	assert_int_equal(mproc_lock_acquire(lock, MPROC_NOWAIT), 0);
	return lock;
}

static void
destroy_lock(void *lock)
{
	mproc_lock_destroy(lock);
}

static void
locks_come_and_go_without_growth(void **state)
{
	(void)state;
	come_and_go_without_growth(make_lock, destroy_lock, 50, 1);
}

static int
want_it_late(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	while (!b->done) {
		mpt_check_int(t, mproc_lock_acquire(b->lock, mproc_sec(20)), 0);
		mpt_check_int(t, mproc_lock_release(b->lock), 0);
	}
	return 0;
}

/* Others never leave it free for longer than a few instructions. */
static void
who_waits_for_long_gets_it(struct mpt *t)
{
	struct board *b = new_board(t);
	int64_t began, longest = 0, took;
	unsigned late = 0;

	b->done = 0;
	for (int i = 0; i < 3; i++)
		mpt_spawn(t, "greedy", want_it_late, NULL);
	for (unsigned i = 0; i < amount(200); i++) {
		began = mproc_now();
		assert_int_equal(mproc_lock_acquire(b->lock, mproc_sec(20)), 0);
		took = mproc_now() - began;
		longest = took > longest ? took : longest;
		late += took >= 1000 * MS;
		assert_int_equal(mproc_lock_release(b->lock), 0);
	}
	b->done = 1;
	print_message("# the longest wait took %lld us\n",
		      (long long)longest / 1000);
	/* A busy machine holds up a few. */
	assert_in_range(late, 0, amount(200) / 20);
	end(t, b);
}

#define TURNS 60 /* at least: more than one may be overtaken */

/* Who was woken has gone back to sleep by then. */
static bool
nobody_else_runs(struct board *b)
{
	for (int i = 0; i < PEERS; i++)
		if (b->tids[i] != gettid() && mpt_task_state(b->tids[i]) == 'R')
			return false;
	return true;
}

static int
want_it_always(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	const struct timespec starved = { .tv_nsec = MS };

	(void)arg;
	b->tids[b->ready++] = gettid();
	mpt_until(t, b->until);
	while (mproc_now() < b->until || b->turns < TURNS) {
		uint64_t seen = b->turns, others;
		int64_t began = mproc_now(), took;

		mpt_check_int(t, mproc_lock_acquire(b->lock, MPROC_FOREVER), 0);
		took = mproc_now() - began;
		b->longest = took > b->longest ? took : b->longest;
		others = b->turns++ - seen;
		b->overtaken = others > b->overtaken ? others : b->overtaken;
		clock_nanosleep(CLOCK_MONOTONIC, 0, &starved, NULL);
		mpt_until(t, nobody_else_runs(b));
		mpt_check_int(t, mproc_lock_release(b->lock), 0);
	}
	return 0;
}

/*
 * Each of eight wants it again as soon as it has given it back. How long one waits is
 * the machine's affair; how often others have it meanwhile is not: one of them while
 * the next one wakes up, and that one.
 */
static void
others_have_it_twice_before_ones_turn(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);

	mpt_watchdog(t, 90);
	for (int i = 0; i < PEERS; i++)
		mpt_spawn(t, "contender", want_it_always, NULL);
	mpt_until(t, b->ready == PEERS);
	b->until = mproc_now() + amount(1000) * MS;
	mpt_join_all(t);
	print_message("# of %d, in %llu turns, one was overtaken %llu times at "
		      "most; the longest wait took %lld us\n", PEERS,
		      (unsigned long long)b->turns,
		      (unsigned long long)b->overtaken,
		      (long long)b->longest / 1000);
	/* As much again for one that does not come when it is its turn. */
	assert_in_range(b->overtaken, 1, 4 * (PEERS - 1));
	end(t, b);
}

static mproc_lock private_lock;

static int
have_its_own(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_check_int(t, mproc_lock_acquire(&private_lock, MPROC_NOWAIT), 0);
	mpt_step(t, 0);
	mpt_reach(t, 2);
	mpt_check_int(t, mproc_lock_release(&private_lock), 0);
	return 0;
}

/* Each process has its own at the same address. */
static void
a_lock_in_private_memory_is_each_processes_own(void **state)
{
	struct mpt *t = *state;
	int id = mpt_spawn(t, "other", have_its_own, NULL);

	mpt_reach(t, 1);
	assert_int_equal(mproc_lock_acquire(&private_lock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_lock_release(&private_lock), 0);
	mpt_step(t, 1);
	mpt_expect_exit(t, id, 0);
}

static int
release_parents(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_lock_release(b->lock), -EPERM);
	mpt_check_int(t, mproc_lock_acquire(b->lock, MPROC_NOWAIT), -EAGAIN);
	return 0;
}

static void
a_forked_child_holds_nothing(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);

	assert_int_equal(mproc_lock_acquire(b->lock, MPROC_FOREVER), 0);
	mpt_expect_exit(t, mpt_spawn(t, "child", release_parents, NULL), 0);
	assert_int_equal(mproc_lock_release(b->lock), 0);
	end(t, b);
}

both(a_lock_has_one_holder)
both(a_sleeper_is_woken)
both(a_counter_is_exact)
both(destroy_wakes_those_who_wait)
both(who_waits_for_long_gets_it)
both(a_thread_that_ends_with_a_lock_counts_as_dead)

static void
those_who_wait_learn_of_a_death_process(void **state)
{
	those_who_wait_learn_of_a_death(*state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		both_tests(a_lock_has_one_holder),
		mpt_test(misuse_is_an_error),
		both_tests(a_sleeper_is_woken),
		both_tests(a_counter_is_exact),
		mpt_test(an_interrupt_ends_the_wait),
		mpt_test(each_holder_is_told_of_a_death_until_one_repairs),
		mpt_test(who_died_is_known_when_its_place_is_taken),
		mpt_test(those_who_wait_learn_of_a_death_process),
		both_tests(a_thread_that_ends_with_a_lock_counts_as_dead),
		mpt_test(a_stopped_holder_keeps_its_lock),
		mpt_test(killed_waiters_take_nothing_along),
		both_tests(destroy_wakes_those_who_wait),
		mpt_test(locks_come_and_go_without_growth),
		both_tests(who_waits_for_long_gets_it),
		mpt_test(others_have_it_twice_before_ones_turn),
		mpt_test(a_lock_in_private_memory_is_each_processes_own),
		mpt_test(a_forked_child_holds_nothing),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
