/* SPDX-License-Identifier: MIT */
/*
 * sync.h: holders of locks for readers and writers, and those who wait, die.
 */
#include "mpt_times.h"
#include "rwlock.h"

static void
expect_died(struct mpt *t, struct board *b, pid_t pid)
{
	char text[64];

	snprintf(text, sizeof(text), "process %d ended", pid);
	assert_false(mproc_rwlock_is_consistent(b->lock));
	for (int i = 0; i < 4; i++) {
		assert_int_equal(i % 2 ? mproc_rwlock_write(b->lock,
							    MPROC_NOWAIT) :
					 mproc_rwlock_read(b->lock,
							   MPROC_NOWAIT),
				 MPROC_OWNER_DIED);
		assert_non_null(strstr(mproc_error_detail(), text));
		assert_int_equal(owner(b->lock).died_pid, pid);
		assert_int_equal(owner(b->lock).pid, getpid());
		if (i == 2)
			assert_int_equal(mproc_rwlock_consistent(b->lock),
					 -EPERM);
		if (i == 3)
			assert_int_equal(mproc_rwlock_consistent(b->lock), 0);
		release(b);
	}
	assert_true(mproc_rwlock_is_consistent(b->lock));
	assert_int_equal(owner(b->lock).died_pid, 0);
	others_get(t, 0, 0);
}

static void
each_holder_is_told_of_a_dead_writer(void **state)
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

/* Readers that die are none any more, also when their place is another's. */
static void
a_dead_reader_needs_no_repair(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int ids[3];

	for (int recovered = 0; recovered < 2; recovered++) {
		b->ready = 0;
		for (int i = 0; i < 3; i++)
			ids[i] = mpt_spawn(t, "reader", hold, b);
		mpt_until(t, b->ready == 3);
		assert_int_equal(owner(b->lock).readers, 3);
		mpt_kill(t, ids[0]);
		mpt_kill(t, ids[1]);
		assert_int_equal(owner(b->lock).readers, 1);
		others_get(t, 0, -EAGAIN);
		mpt_kill(t, ids[2]);
		if (recovered)
			assert_true(mproc_arena_recover(NULL) >= 1);
		others_get(t, 0, 0);
		assert_int_equal(owner(b->lock).readers, 0);
		assert_true(mproc_rwlock_is_consistent(b->lock));
	}
	end(t, b);
}

static int
inherit(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	mpt_check_int(t, arg ? mproc_rwlock_read(b->lock, mproc_sec(20)) :
			       mproc_rwlock_write(b->lock, mproc_sec(20)),
		      MPROC_OWNER_DIED);
	b->done++;
	mpt_check_int(t, mproc_rwlock_release(b->lock), 0);
	return 0;
}

static void
those_who_wait_learn_of_a_dead_writer(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	unsigned rounds = amount(20);
	int64_t began;
	struct mpt_times spent = { 0 };

	for (unsigned i = 0; i < rounds; i++) {
		int id;

		b->tid = 0;
		b->done = 0;
		id = mpt_spawn(t, "holder", hold, NULL);
		mpt_until(t, b->tid);
		for (int k = 0; k < 4; k++)
			mpt_spawn(t, "waiter", inherit, k % 2 ? b : NULL);
		mpt_until(t, owner(b->lock).waiters == 4);
		began = mproc_now();
		mpt_kill(t, id);
		mpt_until(t, b->done == 4);
		mpt_times_add(&spent, mproc_now() - began);
		mpt_join_all(t);
		assert_int_equal(mproc_rwlock_write(b->lock, MPROC_NOWAIT),
				 MPROC_OWNER_DIED);
		assert_int_equal(mproc_rwlock_consistent(b->lock), 0);
		release(b);
	}
	assert_true(mpt_times_median(&spent) < 150 * MS);
	end(t, b);
}

/* Whoever recovers from a death wakes also those who fell asleep when another
 * one held the lock. */
static void
those_who_wait_learn_of_a_later_holder(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	unsigned rounds = amount(20);
	int64_t began;
	struct mpt_times spent = { 0 };

	for (unsigned i = 0; i < rounds; i++) {
		int id;

		b->tid = 0;
		b->done = 0;
		write_now(b);
		id = mpt_spawn(t, "holder", hold, NULL);
		mpt_until(t, owner(b->lock).waiters == 1);
		mpt_spawn(t, "waiter", inherit, NULL);
		mpt_until(t, owner(b->lock).waiters == 2);
		release(b);
		mpt_until(t, b->tid);
		mpt_kill(t, id);
		began = mproc_now();
		assert_true(mproc_arena_recover(NULL) >= 0);
		mpt_until(t, b->done == 1);
		mpt_times_add(&spent, mproc_now() - began);
		mpt_join_all(t);
		assert_int_equal(mproc_rwlock_write(b->lock, MPROC_NOWAIT),
				 MPROC_OWNER_DIED);
		assert_int_equal(mproc_rwlock_consistent(b->lock), 0);
		release(b);
	}
	assert_true(mpt_times_median(&spent) < 15 * MS);
	end(t, b);
}

static void
a_writer_learns_of_dead_readers(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	unsigned rounds = amount(20);
	int64_t began;
	struct mpt_times spent = { 0 };

	for (unsigned i = 0; i < rounds; i++) {
		int ids[2], writer;

		b->ready = 0;
		b->done = 0;
		for (int k = 0; k < 2; k++)
			ids[k] = mpt_spawn(t, "reader", hold, b);
		mpt_until(t, b->ready == 2);
		writer = mpt_spawn(t, "writer", write_once, NULL);
		mpt_until(t, owner(b->lock).waiters == 1);
		mpt_kill(t, ids[0]);
		assert_int_equal(b->done, 0);
		began = mproc_now();
		mpt_kill(t, ids[1]);
		mpt_expect_exit(t, writer, 0);
		mpt_times_add(&spent, mproc_now() - began);
	}
	assert_true(mpt_times_median(&spent) < 150 * MS);
	end(t, b);
}

/* One that only wanted it has changed nothing. */
static void
a_writer_that_dies_while_it_drains_is_no_loss(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	unsigned rounds = amount(20);
	int64_t began;
	struct mpt_times spent = { 0 };

	for (unsigned i = 0; i < rounds; i++) {
		int writer;

		b->done = 0;
		read_now(b);
		writer = mpt_spawn(t, "writer", hold, NULL);
		mpt_until(t, owner(b->lock).waiters == 1);
		mpt_spawn(t, "reader", read_once, NULL);
		mpt_until(t, owner(b->lock).waiters == 2);
		began = mproc_now();
		mpt_kill(t, writer);
		mpt_until(t, b->done == 1);
		mpt_times_add(&spent, mproc_now() - began);
		assert_true(mproc_rwlock_is_consistent(b->lock));
		release(b);
		mpt_join_all(t);
		others_get(t, 0, 0);
	}
	assert_true(mpt_times_median(&spent) < 150 * MS);
	end(t, b);
}

/* It has it by name, and does not come: others do not wait for it for ever. */
static void
a_stopped_writer_keeps_only_what_it_has(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int id;

	b->tid = 0;
	id = mpt_spawn(t, "holder", hold, NULL);
	mpt_until(t, b->tid);
	mpt_pause(t, id);
	assert_int_equal(mproc_rwlock_read(b->lock, mproc_ms(300)),
			 -ETIMEDOUT);
	assert_int_equal(mproc_rwlock_write(b->lock, mproc_ms(300)),
			 -ETIMEDOUT);
	assert_true(mproc_rwlock_is_consistent(b->lock));
	mpt_resume(t, id);
	mpt_kill(t, id);
	expect_died(t, b, mpt_pid(t, id));

	read_now(b);
	id = mpt_spawn(t, "stopped while it drains", write_once, NULL);
	mpt_until(t, owner(b->lock).waiters == 1);
	mpt_pause(t, id);
	release(b);
	assert_int_equal(mproc_rwlock_read(b->lock, mproc_sec(20)), 0);
	release(b);
	assert_int_equal(mproc_rwlock_write(b->lock, mproc_sec(20)), 0);
	release(b);
	mpt_resume(t, id);
	mpt_expect_exit(t, id, 0);
	end(t, b);
}

static int
hold_and_end(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	mpt_check_int(t, arg ? mproc_rwlock_read(b->lock, MPROC_FOREVER) :
			       mproc_rwlock_write(b->lock, MPROC_FOREVER), 0);
	b->ready = 1;
	mpt_until(t, b->go == 1);
	return 0;
}

static void
a_thread_that_ends_holds_nothing(struct mpt *t)
{
	struct board *b = new_board(t);
	struct mpt_times spent = { 0 };
	int id;

	for (int i = 0; i < 5; i++) {
		int64_t began;

		b->ready = b->go = b->done = 0;
		id = mpt_spawn(t, "reader", hold_and_end, b);
		mpt_until(t, b->ready);
		mpt_spawn(t, "writer", write_once, NULL);
		mpt_until(t, owner(b->lock).waiters == 1);
		began = mproc_now();
		b->go = 1;
		mpt_until(t, b->done == 1);
		mpt_times_add(&spent, mproc_now() - began);
		mpt_expect_exit(t, id, 0);
		mpt_join_all(t);
	}
	assert_true(mpt_times_median(&spent) < 500 * MS);

	b->ready = b->go = b->done = 0;
	id = mpt_spawn(t, "writer", hold_and_end, NULL);
	mpt_until(t, b->ready);
	mpt_spawn(t, "reader", inherit, b);
	mpt_until(t, owner(b->lock).waiters == 1);
	b->go = 1;
	mpt_until(t, b->done == 1);
	mpt_expect_exit(t, id, 0);
	end(t, b);
}

/* Those before them may have been killed with the lock. */
static int
write_or_inherit(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check(t, mproc_rwlock_write(b->lock, mproc_sec(20)) >= 0);
	mpt_check_int(t, mproc_rwlock_release(b->lock), 0);
	return 0;
}

static int
read_or_inherit(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check(t, mproc_rwlock_read(b->lock, mproc_sec(20)) >= 0);
	mpt_check_int(t, mproc_rwlock_release(b->lock), 0);
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
		mpt_fn *fns[4] = { write_once, read_once, write_or_inherit,
				   read_or_inherit };
		int ids[4];
		int64_t began;

		b->done = 0;
		write_now(b);
		for (unsigned k = 0; k < 4; k++) {
			ids[k] = mpt_spawn(t, "waiter", fns[k], NULL);
			mpt_until(t, owner(b->lock).waiters == k + 1);
		}
		/* As they are woken, perhaps. */
		began = mproc_now();
		release(b);
		mpt_kill(t, ids[0]);
		mpt_kill(t, ids[1]);
		/* What these two get depends on where those died. */
		mpt_until(t, mpt_task_state(mpt_pid(t, ids[2])) == 'Z' &&
				     mpt_task_state(mpt_pid(t, ids[3])) ==
					     'Z');
		mpt_times_add(&spent, mproc_now() - began);
		mpt_expect_exit(t, ids[2], 0);
		mpt_expect_exit(t, ids[3], 0);
		assert_true(mproc_rwlock_write(b->lock, mproc_sec(20)) >= 0);
		assert_int_equal(mproc_rwlock_consistent(b->lock), 0);
		release(b);
	}
	/* Whoever is left looks at the end of the slice of four. */
	assert_true(mpt_times_median(&spent) < 400 * MS);
	end(t, b);
}

/* Reads and writes in turn; whoever is told of a death repairs. */
static int
work_until_killed(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int r;

	for (unsigned i = (unsigned)(uintptr_t)arg; !b->done; i++) {
		if (i % 4) {
			r = mproc_rwlock_read(b->lock, mproc_sec(20));
			mpt_check(t, r >= 0);
			mpt_check(t, r || b->counter == b->copy);
			b->reads++;
		} else {
			r = mproc_rwlock_write(b->lock, mproc_sec(20));
			mpt_check(t, r >= 0);
			mpt_check(t, r || b->counter == b->copy);
			if (r == MPROC_OWNER_DIED) {
				b->copy = b->counter;
				mpt_check_int(t,
					      mproc_rwlock_consistent(b->lock),
					      0);
			}
			b->counter++;
			b->copy++;
			b->writes++;
		}
		mpt_check_int(t, mproc_rwlock_release(b->lock), 0);
	}
	return 0;
}

enum { PEERS = 5 };

static void
others_go_on_whoever_is_killed(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	unsigned rounds = amount(300), reads, writes;
	int ids[PEERS];

	mpt_watchdog(t, 60);
	/* A round needs a role. */
	rounds = rounds < 1000 ? rounds : 1000;
	for (int i = 0; i < PEERS; i++)
		ids[i] = mpt_spawn(t, "peer", work_until_killed, NULL);
	for (unsigned i = 0; i < rounds; i++) {
		reads = b->reads + i % 7;
		writes = b->writes + i % 3;
		mpt_until(t, b->reads > reads && b->writes > writes);
		mpt_kill(t, ids[i % PEERS]);
		ids[i % PEERS] = mpt_spawn(t, "peer", work_until_killed,
					   (void *)(uintptr_t)i);
	}
	b->done = 1;
	end(t, b);
}

both(a_thread_that_ends_holds_nothing)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(each_holder_is_told_of_a_dead_writer),
		mpt_test(a_dead_reader_needs_no_repair),
		mpt_test(those_who_wait_learn_of_a_dead_writer),
		mpt_test(those_who_wait_learn_of_a_later_holder),
		mpt_test(a_writer_learns_of_dead_readers),
		mpt_test(a_writer_that_dies_while_it_drains_is_no_loss),
		mpt_test(a_stopped_writer_keeps_only_what_it_has),
		both_tests(a_thread_that_ends_holds_nothing),
		mpt_test(killed_waiters_take_nothing_along),
		mpt_test(others_go_on_whoever_is_killed),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
