/* SPDX-License-Identifier: MIT */
/*
 * sync.h: locks for readers and writers, between processes and between threads.
 */
#include "mpt_times.h"
#include "rwlock.h"

static void
many_read_or_one_writes(struct mpt *t)
{
	struct board *b = new_board(t);

	others_get(t, 0, 0);
	read_now(b);
	assert_int_equal(owner(b->lock).readers, 1);
	assert_int_equal(owner(b->lock).pid, getpid());
	others_get(t, 0, -EAGAIN);
	release(b);
	assert_int_equal(owner(b->lock).readers, 0);
	write_now(b);
	assert_int_equal(owner(b->lock).pid, getpid());
	assert_int_equal(owner(b->lock).tid, gettid());
	others_get(t, -EAGAIN, -EAGAIN);
	release(b);
	others_get(t, 0, 0);
	assert_int_equal(owner(b->lock).pid, 0);
	end(t, b);
}

static void
misuse_is_an_error(void **state)
{
	mproc_rwlock lock = { { 0 } };
	struct mproc_owner o;

	(void)state;
	assert_int_equal(mproc_rwlock_release(&lock), -EPERM);
	assert_int_equal(mproc_rwlock_consistent(&lock), -EPERM);
	assert_int_equal(mproc_rwlock_write(&lock, MPROC_FOREVER), 0);
	assert_int_equal(mproc_rwlock_write(&lock, MPROC_FOREVER), -EDEADLK);
	assert_int_equal(mproc_rwlock_read(&lock, MPROC_FOREVER), -EDEADLK);
	assert_int_equal(mproc_rwlock_consistent(&lock), 0);
	assert_int_equal(mproc_rwlock_release(&lock), 0);
	assert_int_equal(mproc_rwlock_release(&lock), -EPERM);

	assert_int_equal(mproc_rwlock_read(&lock, MPROC_FOREVER), 0);
	assert_int_equal(mproc_rwlock_write(&lock, MPROC_FOREVER), -EDEADLK);
	assert_int_equal(mproc_rwlock_consistent(&lock), -EPERM);
	assert_int_equal(mproc_rwlock_release(&lock), 0);
	assert_int_equal(mproc_rwlock_release(&lock), -EPERM);

	assert_int_equal(mproc_rwlock_read(NULL, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_rwlock_write(NULL, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_rwlock_release(NULL), -EINVAL);
	assert_int_equal(mproc_rwlock_consistent(NULL), -EINVAL);
	assert_int_equal(mproc_rwlock_owner(NULL, &o), -EINVAL);
	assert_int_equal(mproc_rwlock_owner(&lock, NULL), -EINVAL);
	assert_int_equal(mproc_rwlock_create(NULL), -EINVAL);
	assert_true(mproc_rwlock_is_consistent(NULL));
	mproc_rwlock_destroy(NULL);
	mproc_rwlock_destroy(&lock); /* refused */
	assert_int_equal(mproc_rwlock_write(&lock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_rwlock_release(&lock), 0);
}

static void
a_thread_reads_sixteen_locks(void **state)
{
	static mproc_rwlock locks[17];

	(void)state;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 16; i++)
			assert_int_equal(mproc_rwlock_read(&locks[i],
							   MPROC_NOWAIT), 0);
		assert_int_equal(mproc_rwlock_read(&locks[16], MPROC_FOREVER),
				 -ENOLCK);
		assert_int_equal(mproc_rwlock_write(&locks[16], MPROC_NOWAIT),
				 0);
		assert_int_equal(mproc_rwlock_release(&locks[16]), 0);
		/* Once more each, which takes no room; in another order. */
		for (int i = 15; i >= 0; i--)
			assert_int_equal(mproc_rwlock_read(&locks[i],
							   MPROC_NOWAIT), 0);
		for (int i = 0; i < 16; i++) {
			assert_int_equal(mproc_rwlock_release(&locks[i]), 0);
			assert_int_equal(mproc_rwlock_write(&locks[i],
							    MPROC_NOWAIT),
					 -EDEADLK);
			assert_int_equal(mproc_rwlock_release(&locks[i]), 0);
			assert_int_equal(mproc_rwlock_release(&locks[i]),
					 -EPERM);
		}
	}
}

static void
a_reader_may_read_again_while_a_writer_waits(struct mpt *t)
{
	struct board *b = new_board(t);

	read_now(b);
	mpt_spawn(t, "writer", write_once, NULL);
	mpt_until(t, owner(b->lock).waiters == 1);
	others_get(t, -EAGAIN, -EAGAIN);
	assert_int_equal(mproc_rwlock_read(b->lock, MPROC_FOREVER), 0);
	release(b);
	assert_int_equal(b->writes, 0);
	release(b);
	mpt_until(t, b->done == 1);
	end(t, b);
}

/* @fn waits for what the test holds, and is woken. */
static void
is_woken(struct mpt *t, mpt_fn *fn, bool reads)
{
	struct board *b = new_board(t);
	unsigned rounds = amount(100);
	int64_t began;
	struct mpt_times spent = { 0 };
	int id;

	for (unsigned i = 0; i < rounds; i++) {
		b->tid = 0;
		if (reads)
			read_now(b);
		else
			write_now(b);
		id = mpt_spawn(t, "sleeper", fn, NULL);
		mpt_until(t, b->tid && owner(b->lock).waiters == 1 &&
				     mpt_task_state(b->tid) == 'S');
		began = mproc_now();
		release(b);
		mpt_until(t, b->done == i + 1);
		mpt_times_add(&spent, mproc_now() - began);
		mpt_expect_exit(t, id, 0);
	}
	/* A lost wake-up costs 50 ms. */
	assert_true(mpt_times_median(&spent) < 15 * MS);
	end(t, b);
}

static void
sleepers_are_woken(struct mpt *t)
{
	is_woken(t, read_once, false);
	is_woken(t, write_once, false);
	is_woken(t, write_once, true);
}

enum { READERS = 5, WRITERS = 3 };

static int
count_up(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned n = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; i < n; i++) {
		mpt_check_int(t, mproc_rwlock_write(b->lock, MPROC_FOREVER), 0);
		b->counter++;
		b->copy = b->counter;
		mpt_check_int(t, mproc_rwlock_release(b->lock), 0);
	}
	b->done++;
	return 0;
}

static int
compare(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	while (b->done < WRITERS) {
		mpt_check_int(t, mproc_rwlock_read(b->lock, MPROC_FOREVER), 0);
		mpt_check_int(t, b->counter, b->copy);
		mpt_check_int(t, mproc_rwlock_release(b->lock), 0);
	}
	return 0;
}

static void
writers_are_alone(struct mpt *t)
{
	struct board *b = new_board(t);
	unsigned n = amount(5000);

	for (int i = 0; i < READERS; i++)
		mpt_spawn(t, "reader", compare, NULL);
	for (int i = 0; i < WRITERS; i++)
		mpt_spawn(t, "writer", count_up, (void *)(uintptr_t)n);
	mpt_join_all(t);
	assert_int_equal(b->counter, (uint64_t)WRITERS * n);
	assert_int_equal(owner(b->lock).waiters, 0);
	assert_int_equal(owner(b->lock).readers, 0);
	end(t, b);
}

static int
read_all_the_time(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->ready++;
	while (!b->done) {
		mpt_check_int(t, mproc_rwlock_read(b->lock, MPROC_FOREVER), 0);
		/* Another one comes before this one goes. */
		for (unsigned seen = b->reads++, i = 0;
		     i < 2000 && b->reads < seen + 2 && !b->done; i++)
			;
		mpt_check_int(t, mproc_rwlock_release(b->lock), 0);
	}
	return 0;
}

static int
write_all_the_time(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->ready++;
	while (!b->done) {
		mpt_check_int(t, mproc_rwlock_write(b->lock, MPROC_FOREVER), 0);
		b->writes++;
		mpt_check_int(t, mproc_rwlock_release(b->lock), 0);
	}
	return 0;
}

static void
nobody_starves(struct mpt *t, mpt_fn *greedy, bool reads)
{
	struct board *b = new_board(t);
	int64_t began, took, longest = 0;
	unsigned late = 0;

	for (int i = 0; i < 4; i++)
		mpt_spawn(t, "greedy", greedy, NULL);
	mpt_until(t, b->ready == 4);
	for (unsigned i = 0; i < amount(100); i++) {
		began = mproc_now();
		assert_int_equal(reads ? mproc_rwlock_read(b->lock,
							   mproc_sec(20)) :
					 mproc_rwlock_write(b->lock,
							    mproc_sec(20)), 0);
		took = mproc_now() - began;
		longest = took > longest ? took : longest;
		late += took >= 1000 * MS;
		release(b);
	}
	b->done = 1;
	print_message("# the longest wait took %lld us\n",
		      (long long)longest / 1000);
	/* A busy machine holds up a few. */
	assert_in_range(late, 0, amount(100) / 20);
	end(t, b);
}

static void
readers_do_not_starve_a_writer(struct mpt *t)
{
	nobody_starves(t, read_all_the_time, false);
}

static void
writers_do_not_starve_others(struct mpt *t)
{
	nobody_starves(t, write_all_the_time, true);
	nobody_starves(t, write_all_the_time, false);
}

static int
write_and_look(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_rwlock_write(b->lock, mproc_sec(20)), 0);
	/* Those readers came first who had waited. */
	mpt_check_int(t, b->reads, 3);
	mpt_check_int(t, mproc_rwlock_release(b->lock), 0);
	return 0;
}

static void
readers_that_waited_come_before_the_next_writer(struct mpt *t)
{
	struct board *b = new_board(t);

	for (unsigned i = 0; i < amount(50); i++) {
		b->reads = 0;
		write_now(b);
		mpt_spawn(t, "writer", write_and_look, NULL);
		mpt_until(t, owner(b->lock).waiters == 1);
		for (int k = 0; k < 3; k++)
			mpt_spawn(t, "reader", read_once, NULL);
		mpt_until(t, owner(b->lock).waiters == 4);
		release(b);
		mpt_join_all(t);
	}
	end(t, b);
}

static int
time_out(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int64_t began = mproc_now();
	bool reads = arg != NULL;

	mpt_check_int(t, reads ? mproc_rwlock_read(b->lock, mproc_ms(30)) :
				 mproc_rwlock_write(b->lock, mproc_ms(30)),
		      -ETIMEDOUT);
	mpt_check(t, mproc_now() - began >= 30 * MS);
	mpt_check_int(t, mproc_rwlock_release(b->lock), -EPERM);
	b->ready = 1;
	return 0;
}

/* A writer that gives up lets those in whom it has kept out. */
static void
a_writer_that_gives_up_lets_readers_in(struct mpt *t)
{
	struct board *b = new_board(t);
	int64_t began;
	struct mpt_times spent = { 0 };
	unsigned rounds = 2 + amount(10);

	for (unsigned i = 0; i < rounds; i++) {
		int writer;

		b->done = b->ready = 0;
		read_now(b);
		began = mproc_now();
		writer = mpt_spawn(t, "writer", time_out, NULL);
		/* Or it has given up before we came to look. */
		mpt_until(t, owner(b->lock).waiters > 0 || b->ready);
		mpt_spawn(t, "reader", read_once, NULL);
		mpt_spawn(t, "reader", read_once, NULL);
		mpt_expect_exit(t, writer, 0);
		mpt_until(t, b->done == 2);
		mpt_times_add(&spent, mproc_now() - began);
		release(b);
		mpt_join_all(t);
	}
	assert_true(mpt_times_median(&spent) < 70 * MS);
	write_now(b);
	mpt_expect_exit(t, mpt_spawn(t, "reader", time_out, b), 0);
	mpt_expect_exit(t, mpt_spawn(t, "writer", time_out, NULL), 0);
	release(b);
	others_get(t, 0, 0);
	end(t, b);
}

static int
be_interrupted(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	signal(SIGUSR1, interrupt);
	b->tid = gettid();
	if (arg)
		mpt_check_int(t, mproc_rwlock_read(b->lock, mproc_sec(20)),
			      -EINTR);
	else
		mpt_check_int(t, mproc_rwlock_write(b->lock, mproc_sec(20)),
			      -EINTR);
	mpt_check_int(t, mproc_rwlock_write(b->lock, mproc_ms(1)), -ETIMEDOUT);
	return 0;
}

static void
an_interrupt_ends_the_wait(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);

	/* A reader; a writer that waits for a writer; one that drains. */
	for (int i = 0; i < 3; i++) {
		int id;

		b->tid = 0;
		if (i == 2)
			read_now(b);
		else
			write_now(b);
		id = mpt_spawn(t, "waiter", be_interrupted, i ? NULL : b);
		mpt_until(t, b->tid && owner(b->lock).waiters == 1 &&
				     mpt_task_state(b->tid) == 'S');
		signal_and_expect_exit(t, id);
		release(b);
		others_get(t, 0, 0);
	}
	end(t, b);
}

static int
wait_until_destroyed(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	mpt_check_int(t, arg ? mproc_rwlock_read(b->lock, mproc_sec(20)) :
			       mproc_rwlock_write(b->lock, mproc_sec(20)),
		      -ESHUTDOWN);
	return 0;
}

static void
destroy_wakes_those_who_wait(struct mpt *t)
{
	struct mpt_times spent = { 0 };

	for (int i = 0; i < 10; i++) {
		struct board *b = new_board(t);
		int64_t began;

		if (i % 2)
			read_now(b);
		else
			write_now(b);
		mpt_spawn(t, "writer", wait_until_destroyed, NULL);
		mpt_until(t, owner(b->lock).waiters == 1);
		mpt_spawn(t, "reader", wait_until_destroyed, b);
		mpt_spawn(t, "writer", wait_until_destroyed, NULL);
		mpt_until(t, owner(b->lock).waiters == 3);
		began = mproc_now();
		mproc_rwlock_destroy(b->lock);
		mpt_join_all(t);
		mpt_times_add(&spent, mproc_now() - began);
		assert_int_equal(mproc_rwlock_release(b->lock), -ESTALE);
		assert_int_equal(mproc_rwlock_read(b->lock, MPROC_FOREVER),
				 -ESTALE);
		assert_int_equal(mproc_rwlock_write(b->lock, MPROC_FOREVER),
				 -ESTALE);
		mproc_rwlock_destroy(b->lock);
		end(t, b);
	}
	/* A slice lasts more than 50 ms. */
	assert_true(mpt_times_median(&spent) < 40 * MS);
}

static int
stay(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_rwlock_read(b->lock, MPROC_NOWAIT), 0);
	b->ready = 1;
	mpt_until(t, b->go);
	mpt_check_int(t, mproc_rwlock_release(b->lock), -EPERM);
	return 0;
}

/* Whoever held it when it was destroyed does not hold its successor. */
static void
a_new_lock_has_no_readers(struct mpt *t)
{
	struct board *b = new_board(t);
	mproc_rwlock *old = b->lock;

	mpt_spawn(t, "reader", stay, NULL);
	mpt_until(t, b->ready);
	mproc_rwlock_destroy(b->lock);
	assert_int_equal(mproc_rwlock_create(&b->lock), 0);
	assert_ptr_equal(b->lock, old);
	write_now(b);
	b->go = 1;
	mpt_join_all(t);
	release(b);
	end(t, b);
}

static void *
make_rwlock(unsigned i)
{
	mproc_rwlock *rwlock;

	(void)i;
	assert_int_equal(mproc_rwlock_create(&rwlock), 0);
	assert_int_equal(mproc_rwlock_write(rwlock, MPROC_NOWAIT), 0);
	return rwlock;
}

static void
destroy_rwlock(void *rwlock)
{
	mproc_rwlock_destroy(rwlock);
}

static void
locks_come_and_go_without_growth(void **state)
{
	(void)state;
	come_and_go_without_growth(make_rwlock, destroy_rwlock, 50, 1);
}

static mproc_rwlock private_lock;

static int
have_its_own(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_check_int(t, mproc_rwlock_read(&private_lock, MPROC_NOWAIT), 0);
	mpt_step(t, 0);
	mpt_reach(t, 2);
	mpt_check_int(t, mproc_rwlock_release(&private_lock), 0);
	return 0;
}

/* Each process has its own at the same address. */
static void
a_lock_in_private_memory_is_each_processes_own(void **state)
{
	struct mpt *t = *state;
	int id = mpt_spawn(t, "other", have_its_own, NULL);

	mpt_reach(t, 1);
	assert_int_equal(mproc_rwlock_write(&private_lock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_rwlock_release(&private_lock), 0);
	mpt_step(t, 1);
	mpt_expect_exit(t, id, 0);
}

static void
a_forked_child_holds_nothing(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);

	read_now(b);
	others_get(t, 0, -EAGAIN);
	release(b);
	write_now(b);
	others_get(t, -EAGAIN, -EAGAIN);
	release(b);
	end(t, b);
}

both(many_read_or_one_writes)
both(a_reader_may_read_again_while_a_writer_waits)
both(sleepers_are_woken)
both(writers_are_alone)
both(readers_do_not_starve_a_writer)
both(writers_do_not_starve_others)
both(readers_that_waited_come_before_the_next_writer)
both(a_writer_that_gives_up_lets_readers_in)
both(destroy_wakes_those_who_wait)
both(a_new_lock_has_no_readers)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		both_tests(many_read_or_one_writes),
		mpt_test(misuse_is_an_error),
		mpt_test(a_thread_reads_sixteen_locks),
		both_tests(a_reader_may_read_again_while_a_writer_waits),
		both_tests(sleepers_are_woken),
		both_tests(writers_are_alone),
		both_tests(readers_do_not_starve_a_writer),
		both_tests(writers_do_not_starve_others),
		both_tests(readers_that_waited_come_before_the_next_writer),
		both_tests(a_writer_that_gives_up_lets_readers_in),
		mpt_test(an_interrupt_ends_the_wait),
		both_tests(destroy_wakes_those_who_wait),
		both_tests(a_new_lock_has_no_readers),
		mpt_test(locks_come_and_go_without_growth),
		mpt_test(a_lock_in_private_memory_is_each_processes_own),
		mpt_test(a_forked_child_holds_nothing),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
