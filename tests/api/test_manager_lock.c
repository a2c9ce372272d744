/* SPDX-License-Identifier: MIT */
/*
 * Locks of a manager: the same cases with all in the family, with all as clients, and
 * with some of each.
 */
#include <mproc/testing.h>

#include "manager_modes.h"

static mproc_lock *
lock_of(struct mpt *t, unsigned who)
{
	return object_of(t, who, LOCK);
}

static void
end(struct mpt *t, struct board *b)
{
	mproc_lock *lock;

	mpt_join_all(t);
	/* It takes the name away, too. */
	if (mproc_manager_lock(client, b->name, &lock) == 0)
		mproc_lock_destroy(lock);
}

static struct mproc_owner
owner(const mproc_lock *lock)
{
	struct mproc_owner owner;

	assert_int_equal(mproc_lock_owner(lock, &owner), 0);
	return owner;
}

/* As a client sees it: in the family all clients that wait are one, or none while one of
 * them has it. */
static unsigned
waiters(const struct board *b)
{
	mproc_lock *lock;

	assert_int_equal(mproc_manager_lock(client, b->name, &lock), 0);
	return owner(lock).waiters;
}

static int
try_in_vain(struct mpt *t, void *arg)
{
	mproc_lock *lock = lock_of(t, number(arg));
	int64_t began = mproc_now();

	mpt_check_int(t, mproc_lock_acquire(lock, MPROC_NOWAIT), -EAGAIN);
	mpt_check_int(t, mproc_lock_release(lock), -EPERM);
	mpt_check(t, strstr(mproc_error_detail(), "holds lock"));
	mpt_check_int(t, mproc_lock_consistent(lock), -EPERM);
	mpt_check_int(t, mproc_lock_acquire(lock, mproc_ms(30)), -ETIMEDOUT);
	mpt_check(t, mproc_now() - began >= 30000000);
	return 0;
}

static int
pass(struct mpt *t, void *arg)
{
	mproc_lock *lock = lock_of(t, number(arg));
	struct board *b = mpt_scratch(t);

	b->ready++;
	mpt_check_int(t, mproc_lock_acquire(lock, mproc_sec(20)), 0);
	b->done++;
	mpt_check_int(t, mproc_lock_release(lock), 0);
	return 0;
}

static void
a_lock_has_one_holder(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, LOCK);
	mproc_lock *lock = lock_of(t, 0);

	assert_int_equal(owner(lock).pid, 0);
	assert_int_equal(mproc_lock_release(lock), -EPERM);
	assert_int_equal(mproc_lock_acquire(lock, MPROC_NOWAIT), 0);
	assert_true(owner(lock).pid > 0 && owner(lock).tid > 0);
	assert_int_equal(mproc_lock_acquire(lock, MPROC_FOREVER), -EDEADLK);
	assert_int_equal(mproc_lock_consistent(lock), 0);
	mpt_expect_exit(t, mpt_fork(t, "other", try_in_vain, AS(1)), 0);
	mpt_expect_exit(t, mpt_fork(t, "other", try_in_vain, AS(2)), 0);
	assert_int_equal(mproc_lock_release(lock), 0);
	mpt_expect_exit(t, mpt_fork(t, "other", pass, AS(1)), 0);
	assert_int_equal(mproc_lock_acquire(lock, MPROC_FOREVER), 0);
	assert_int_equal(mproc_lock_release(lock), 0);
	assert_int_equal(mproc_lock_release(lock), -EPERM);
	assert_int_equal(owner(lock).pid, 0);
	assert_true(mproc_lock_is_consistent(lock));
	end(t, b);
}

static void
those_who_wait_get_it_one_after_another(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, LOCK);
	mproc_lock *lock = lock_of(t, 0);

	assert_int_equal(mproc_lock_acquire(lock, MPROC_FOREVER), 0);
	for (unsigned i = 1; i <= 4; i++)
		mpt_fork(t, "waits", pass, AS(i));
	mpt_until(t, waiters(b) == 4);
	assert_true(owner(lock).since <= mproc_now());
	assert_int_equal(b->done, 0);
	assert_int_equal(mproc_lock_release(lock), 0);
	end(t, b);
	assert_int_equal(b->done, 4);
}

enum { PEERS = 4, TURNS = 200 };

static int
add_up(struct mpt *t, void *arg)
{
	mproc_lock *lock = lock_of(t, number(arg));
	struct board *b = mpt_scratch(t);

	for (int i = 0; i < TURNS; i++) {
		mpt_check_int(t, mproc_lock_acquire(lock, mproc_sec(20)), 0);
		b->counter++;
		mpt_check_int(t, mproc_lock_release(lock), 0);
	}
	return 0;
}

static void
a_counter_is_exact(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, LOCK);

	for (unsigned i = 1; i <= PEERS; i++)
		mpt_fork(t, "adds", add_up, AS(i));
	end(t, b);
	assert_int_equal(b->counter, PEERS * TURNS);
}

static int
hold_until_killed(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	mpt_check_int(t, mproc_lock_acquire(lock_of(t, number(arg)), mproc_sec(20)),
		      0);
	b->ready++;
	mpt_until(t, false);
	return 0;
}

static void
each_holder_is_told_of_a_death_until_one_repairs(void **state)
{
	struct mpt *t = *state;

	/* The one who dies and the one who comes: in all ways. */
	for (unsigned i = 1; i <= 2; i++) {
		struct board *b = new_board(t, LOCK);
		mproc_lock *lock = lock_of(t, 0);
		int id;

		b->ready = 0;
		id = mpt_fork(t, "dies", hold_until_killed, AS(i));
		mpt_until(t, b->ready == 1);
		mpt_kill(t, id);
		for (int n = 0; n < 2; n++) {
			assert_int_equal(mproc_lock_acquire(lock, mproc_sec(20)),
					 MPROC_OWNER_DIED);
			assert_string_not_equal(mproc_error_detail(), "");
			assert_false(mproc_lock_is_consistent(lock));
			assert_int_equal(mproc_lock_release(lock), 0);
		}
		assert_int_equal(mproc_lock_acquire(lock, mproc_sec(20)),
				 MPROC_OWNER_DIED);
		assert_int_equal(mproc_lock_consistent(lock), 0);
		assert_int_equal(mproc_lock_release(lock), 0);
		assert_true(mproc_lock_is_consistent(lock));
		mpt_expect_exit(t, mpt_fork(t, "next", pass, AS(i)), 0);
		end(t, b);
	}
}

static int
learn_of_death(struct mpt *t, void *arg)
{
	mproc_lock *lock = lock_of(t, number(arg));
	struct board *b = mpt_scratch(t);

	b->ready++;
	mpt_check_int(t, mproc_lock_acquire(lock, mproc_sec(20)), MPROC_OWNER_DIED);
	b->done++;
	mpt_check_int(t, mproc_lock_release(lock), 0);
	return 0;
}

static void
those_who_wait_learn_of_a_death(void **state)
{
	struct mpt *t = *state;

	for (unsigned who = 1; who <= 2; who++) {
		struct board *b = new_board(t, LOCK);
		int id;

		b->ready = b->done = 0;
		id = mpt_fork(t, "dies", hold_until_killed, AS(who));
		mpt_until(t, b->ready == 1);
		for (unsigned i = 1; i <= 4; i++)
			mpt_fork(t, "learns", learn_of_death, AS(i));
		mpt_until(t, waiters(b) == 4);
		mpt_kill(t, id);
		end(t, b);
		assert_int_equal(b->done, 4);
	}
}

static void
killed_waiters_take_nothing_along(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, LOCK);
	mproc_lock *lock = lock_of(t, 0);
	int ids[4];

	assert_int_equal(mproc_lock_acquire(lock, MPROC_FOREVER), 0);
	for (unsigned i = 0; i < 4; i++)
		ids[i] = mpt_fork(t, "waits", pass, AS(i + 1));
	mpt_until(t, waiters(b) == 4);
	for (unsigned i = 0; i < 4; i++)
		mpt_kill(t, ids[i]);
	mpt_fork(t, "lives", pass, AS(1));
	mpt_fork(t, "lives", pass, AS(2));
	assert_int_equal(mproc_lock_release(lock), 0);
	end(t, b);
	assert_int_equal(b->done, 2);
}

static int
wait_in_vain(struct mpt *t, void *arg)
{
	mproc_lock *lock = lock_of(t, number(arg));
	struct board *b = mpt_scratch(t);

	signal(SIGUSR1, interrupt);
	b->ready++;
	mpt_check_int(t, mproc_lock_acquire(lock, MPROC_FOREVER), -EINTR);
	/* It was answered, and nothing is left of the wait. */
	mpt_check_int(t, mproc_lock_acquire(lock, mproc_ms(1)), -ETIMEDOUT);
	return 0;
}

static void
an_interrupt_ends_the_wait(void **state)
{
	struct mpt *t = *state;

	for (unsigned who = 1; who <= 2; who++) {
		struct board *b = new_board(t, LOCK);
		mproc_lock *lock = lock_of(t, 0);
		int id;

		b->ready = 0;
		assert_int_equal(mproc_lock_acquire(lock, MPROC_FOREVER), 0);
		id = mpt_fork(t, "waits", wait_in_vain, AS(who));
		mpt_until(t, waiters(b) == 1);
		assert_int_equal(kill(mpt_pid(t, id), SIGUSR1), 0);
		mpt_expect_exit(t, id, 0);
		mpt_until(t, waiters(b) == 0);
		assert_int_equal(mproc_lock_release(lock), 0);
		end(t, b);
	}
}

static int
see_its_end(struct mpt *t, void *arg)
{
	mproc_lock *lock = lock_of(t, number(arg));
	struct board *b = mpt_scratch(t);

	b->ready++;
	mpt_check_int(t, mproc_lock_acquire(lock, mproc_sec(20)), -ESHUTDOWN);
	mpt_check_int(t, mproc_lock_acquire(lock, mproc_sec(20)), -ESTALE);
	return 0;
}

static void
destroy_wakes_those_who_wait(void **state)
{
	struct mpt *t = *state;

	/* By who has it, as what that is. */
	for (unsigned by = 0; by < 2; by++) {
		struct board *b = new_board(t, LOCK);
		mproc_lock *lock = lock_of(t, 0), *theirs = lock_of(t, 0);

		if (by == 1)
			assert_int_equal(mproc_manager_lock(client, b->name,
							    &theirs), 0);
		assert_int_equal(mproc_lock_acquire(lock, MPROC_FOREVER), 0);
		for (unsigned i = 1; i <= 4; i++)
			mpt_fork(t, "waits", see_its_end, AS(i));
		mpt_until(t, waiters(b) == 4);
		mproc_lock_destroy(theirs);
		assert_int_equal(mproc_lock_release(lock), -ESTALE);
		mpt_join_all(t);
		assert_true(mproc_arena_bind(NULL, b->name, NULL) <= 0);
	}
}

static int
take_three_times(struct mpt *t, void *arg)
{
	mproc_rlock *rl = object_of(t, number(arg), RLOCK);
	struct board *b = mpt_scratch(t);

	for (int i = 0; i < TURNS / 4; i++) {
		for (int n = 0; n < 3; n++)
			mpt_check_int(t, mproc_rlock_acquire(rl, mproc_sec(20)), 0);
		b->counter++;
		for (int n = 0; n < 3; n++)
			mpt_check_int(t, mproc_rlock_release(rl), 0);
	}
	mpt_check_int(t, mproc_rlock_release(rl), -EPERM);
	return 0;
}

static void
a_recursive_lock_is_taken_again(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, RLOCK);
	struct mproc_owner o;
	mproc_rlock *rl = object_of(t, 0, RLOCK);

	assert_int_equal(mproc_rlock_acquire(rl, MPROC_NOWAIT), 0);
	for (unsigned i = 1; i <= PEERS; i++)
		mpt_fork(t, "takes", take_three_times, AS(i));
	mpt_until(t, mproc_rlock_owner(rl, &o) == 0 && o.waiters >= 2);
	assert_int_equal(mproc_rlock_acquire(rl, MPROC_FOREVER), 0);
	assert_int_equal(mproc_rlock_release(rl), 0);
	assert_int_equal(b->counter, 0);
	assert_int_equal(mproc_rlock_consistent(rl), 0);
	assert_int_equal(mproc_rlock_release(rl), 0);
	mpt_join_all(t);
	assert_int_equal(b->counter, PEERS * (TURNS / 4));
	assert_true(mproc_rlock_is_consistent(rl));
	assert_int_equal(mproc_manager_rlock(client, b->name, &rl), 0);
	mproc_rlock_destroy(rl);
}

/* Threads of one client, which are different holders. */
static void *
take_as_a_thread(void *arg)
{
	mproc_lock *lock = arg;

	for (int i = 0; i < TURNS; i++)
		if (mproc_lock_acquire(lock, mproc_sec(20)) != 0 ||
		    mproc_lock_release(lock) != 0)
			return NULL;
	return lock;
}

static void
threads_of_a_client_are_different_holders(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, LOCK);
	mproc_lock *lock = lock_of(t, 0);
	pthread_t threads[PEERS];
	void *result;

	assert_int_equal(mproc_lock_acquire(lock, MPROC_NOWAIT), 0);
	for (int i = 0; i < PEERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_as_a_thread,
						lock), 0);
	mpt_until(t, waiters(b) == PEERS);
	assert_int_equal(mproc_lock_release(lock), 0);
	for (int i = 0; i < PEERS; i++) {
		pthread_join(threads[i], &result);
		assert_ptr_equal(result, lock);
	}
	end(t, b);
}

static void *
take_and_end(void *arg)
{
	return (void *)(intptr_t)mproc_lock_acquire(arg, mproc_sec(20));
}

struct ending {
	mproc_lock *lock;
	_Atomic bool holds;
};

static void *
take_say_so_and_end(void *arg)
{
	struct ending *e = arg;
	int r = mproc_lock_acquire(e->lock, mproc_sec(20));

	e->holds = true;
	return (void *)(intptr_t)r;
}

/* The thread is in no call any more, and may just tell of its end. */
static void
a_connection_is_closed_while_a_thread_ends(void **state)
{
	struct mpt *t = *state;
	struct ending e;
	pthread_t thread;
	void *result;

	for (int i = 0; i < 200; i++) {
		mproc_manager *c = connect_to(server);

		assert_int_equal(mproc_manager_lock(c, "ending", &e.lock), 0);
		e.holds = false;
		assert_int_equal(pthread_create(&thread, NULL, take_say_so_and_end,
						&e), 0);
		mpt_until(t, e.holds);
		mproc_manager_close(c);
		pthread_join(thread, &result);
		assert_in_range((intptr_t)result, 0, MPROC_OWNER_DIED);
	}
	assert_int_equal(mproc_manager_lock(client, "ending", &e.lock), 0);
	assert_int_equal(mproc_lock_acquire(e.lock, mproc_sec(20)), MPROC_OWNER_DIED);
	mproc_lock_destroy(e.lock);
}

static void *
take_twice_and_end(void *arg)
{
	int r = mproc_rlock_acquire(arg, mproc_sec(20));

	return (void *)(intptr_t)(r < 0 ? r : mproc_rlock_acquire(arg, MPROC_NOWAIT));
}

/* The process goes on, and so does its connection. */
static void
end_a_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;
	void *result;

	assert_int_equal(pthread_create(&thread, NULL, fn, arg), 0);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, 0);
}

static void
a_thread_that_ends_with_a_lock_has_died(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, LOCK);
	mproc_lock *lock = lock_of(t, 0);
	struct mproc_owner o;
	mproc_rlock *rl;

	for (unsigned i = 0; i <= 2; i++) {
		end_a_thread(take_and_end, lock);
		if (i)
			mpt_expect_exit(t, mpt_fork(t, "learns", learn_of_death,
						    AS(i)), 0);
		else
			assert_int_equal(mproc_lock_acquire(lock, mproc_sec(20)),
					 MPROC_OWNER_DIED);
		if (i)
			assert_int_equal(mproc_lock_acquire(lock, mproc_sec(20)),
					 MPROC_OWNER_DIED);
		assert_int_equal(mproc_lock_consistent(lock), 0);
		assert_int_equal(mproc_lock_release(lock), 0);
	}
	end(t, b);

	b = new_board(t, RLOCK);
	rl = object_of(t, 0, RLOCK);
	end_a_thread(take_twice_and_end, rl);
	assert_int_equal(mproc_rlock_acquire(rl, mproc_sec(20)), MPROC_OWNER_DIED);
	assert_int_equal(mproc_rlock_owner(rl, &o), 0);
	assert_int_equal(mproc_rlock_release(rl), 0);
	assert_int_equal(mproc_rlock_release(rl), -EPERM);
	assert_int_equal(mproc_manager_rlock(client, b->name, &rl), 0);
	mproc_rlock_destroy(rl);
}

static void *
wait_for_the_end(void *arg)
{
	int r = mproc_lock_acquire(arg, MPROC_FOREVER);

	return (void *)(intptr_t)r;
}

static void
a_killed_server_leaves_nobody_waiting(void **state)
{
	struct mpt *t = *state;
	mproc_manager *other = start(NULL), *c = connect_to(other);
	mproc_lock *lock, *held;
	struct mproc_owner o;
	pthread_t thread;
	void *result;

	assert_int_equal(mproc_manager_lock(c, "of a server", &lock), 0);
	assert_int_equal(mproc_lock_acquire(lock, MPROC_NOWAIT), 0);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_the_end, lock), 0);
	mpt_until(t, mproc_lock_owner(lock, &o) == 0 && o.waiters == 1);
	assert_int_equal(kill(o.pid, SIGKILL), 0);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, -EPIPE);
	assert_int_equal(mproc_lock_release(lock), -EPIPE);
	assert_int_equal(mproc_lock_owner(lock, &o), -EPIPE);
	/* What its client had was the server's, for the family. */
	assert_int_equal(mproc_manager_lock(server, "of a server", &held), 0);
	assert_int_equal(mproc_lock_acquire(held, mproc_sec(20)), MPROC_OWNER_DIED);
	assert_int_equal(mproc_lock_release(held), 0);
	mproc_manager_close(c);
	assert_int_equal(mproc_lock_acquire(lock, MPROC_FOREVER), -ESTALE);
	assert_int_equal(mproc_lock_release(lock), -ESTALE);
	mproc_manager_close(other);
	assert_int_equal(mproc_arena_bind(NULL, "of a server", NULL), 0);
	mproc_lock_destroy(held);
}

/* There is no memory in the client once it waits, neither of its own nor of the
 * kernel's. */
static int
wait_in_vain_without_memory(struct mpt *t, void *arg)
{
	mproc_lock *lock = lock_of(t, 1);
	struct board *b = mpt_scratch(t);

	signal(SIGUSR1, interrupt);
	b->ready++;
	/* What is sent first is the request. */
	mpt_check_int(t, mproc_test_fault(arg), 0);
	mpt_check_int(t, mproc_lock_acquire(lock, MPROC_FOREVER), -EINTR);
	mpt_check_int(t, mproc_test_fault(NULL), 0);
	b->done++;
	mpt_until(t, b->ready == 2);
	return 0;
}

static void
a_wait_is_called_off_without_memory(void **state)
{
	static const char *const faults[] = { "malloc:2+", "send:2=ENOMEM" };
	struct mpt *t = *state;

	for (unsigned i = 0; i < 2; i++) {
		struct board *b = new_board(t, LOCK);
		mproc_lock *lock = lock_of(t, 0);
		int id;

		b->ready = b->done = 0;
		assert_int_equal(mproc_lock_acquire(lock, MPROC_NOWAIT), 0);
		id = mpt_fork(t, "waits", wait_in_vain_without_memory,
			      (void *)(uintptr_t)faults[i]);
		mpt_until(t, waiters(b) == 1);
		assert_int_equal(kill(mpt_pid(t, id), SIGUSR1), 0);
		mpt_until(t, b->done == 1);
		/* It is nobody's, though that one lives. */
		assert_int_equal(waiters(b), 0);
		assert_int_equal(mproc_lock_release(lock), 0);
		assert_int_equal(owner(lock).pid, 0);
		b->ready++;
		end(t, b);
	}
}

static void
what_makes_no_sense_is_refused(void **state)
{
	mproc_lock *lock;
	mproc_rlock *rlock;
	mproc_dict *d;

	(void)state;
	assert_int_equal(mproc_manager_lock(client, "sense", &lock), 0);
	assert_int_equal(mproc_manager_lock(NULL, "sense", &lock), -EINVAL);
	assert_int_equal(mproc_manager_lock(client, NULL, &lock), -EINVAL);
	assert_int_equal(mproc_manager_lock(client, "sense", NULL), -EINVAL);
	assert_int_equal(mproc_manager_rlock(client, "sense", &rlock), -EPROTOTYPE);
	assert_int_equal(mproc_manager_rlock(server, "sense", &rlock), -EPROTOTYPE);
	assert_int_equal(mproc_manager_dict(client, "sense", &d), -EPROTOTYPE);
	assert_int_equal(mproc_manager_dict(client, "sense dict", &d), 0);
	assert_int_equal(mproc_lock_acquire((mproc_lock *)d, MPROC_NOWAIT), -EBADMSG);
	assert_int_equal(mproc_dict_len((mproc_dict *)lock), 0);
	assert_int_equal(mproc_dict_set((mproc_dict *)lock, mproc_int(1),
					mproc_int(1)), -EBADMSG);
	mproc_dict_destroy(d);
	mproc_lock_destroy(lock);
	/* Once more, and no more. */
	mproc_lock_destroy(lock);
	assert_int_equal(mproc_lock_acquire(lock, MPROC_NOWAIT), -ESTALE);
	assert_int_equal(mproc_manager_lock(client, "sense", &lock), 0);
	assert_int_equal(mproc_lock_acquire(lock, MPROC_NOWAIT), 0);
	mproc_lock_destroy(lock);
}

static int
close_copies(struct mpt *t, void *arg)
{
	mproc_lock *lock = arg;

	mpt_check_int(t, mproc_lock_acquire(lock, MPROC_NOWAIT), -ECHILD);
	mpt_check_int(t, mproc_lock_release(lock), -ECHILD);
	mproc_manager_close(client);
	return 0;
}

static void
a_forked_child_has_no_part_in_it(void **state)
{
	struct mpt *t = *state;
	mproc_lock *lock;

	assert_int_equal(mproc_manager_lock(client, "parent's", &lock), 0);
	assert_int_equal(mproc_lock_acquire(lock, MPROC_NOWAIT), 0);
	mpt_expect_exit(t, mpt_fork(t, "copy", close_copies, lock), 0);
	assert_int_equal(mproc_lock_release(lock), 0);
	mproc_lock_destroy(lock);
}

/* A server whose copy is closed: what its clients have they keep. */
static int
close_server(struct mpt *t, void *arg)
{
	(void)t;
	mproc_manager_close(arg);
	return 0;
}

static void *
use_in_process(void *arg)
{
	mproc_manager *c = connect_to(arg);
	intptr_t r = 1;
	mproc_lock *lock;

	if (mproc_manager_lock(c, "in process", &lock) == 0 &&
	    mproc_lock_acquire(lock, MPROC_NOWAIT) == 0)
		r = mproc_lock_acquire(lock, MPROC_NOWAIT);
	(void)mproc_manager_shutdown(arg, MPROC_NOWAIT);
	mproc_manager_close(c);
	return (void *)r;
}

static void
who_serves_is_not_who_holds(void **state)
{
	struct mpt *t = *state;
	mproc_manager *m = start(MPROC_OPTS(mproc_manager_opts, .in_process = true));
	pthread_t thread;
	mproc_lock *lock;
	void *result;
	int r;

	assert_int_equal(pthread_create(&thread, NULL, use_in_process, m), 0);
	while ((r = mproc_manager_serve(m, mproc_ms(1))) == -ETIMEDOUT) {
		if (mproc_manager_lock(m, "in process", &lock) == 0 &&
		    owner(lock).pid) {
			/* In this process, and not by this thread. */
			r = mproc_lock_acquire(lock, MPROC_NOWAIT);
			assert_true(r == -EAGAIN || r == MPROC_OWNER_DIED);
		}
	}
	assert_int_equal(r, 0);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, -EDEADLK);
	mpt_expect_exit(t, mpt_fork(t, "copy", close_server, m), 0);
	assert_int_equal(mproc_manager_lock(m, "in process", &lock), 0);
	mproc_manager_close(m);
	assert_int_equal(mproc_lock_acquire(lock, mproc_sec(20)), MPROC_OWNER_DIED);
	assert_int_equal(mproc_lock_release(lock), 0);
	assert_int_equal(mproc_arena_bind(NULL, "in process", NULL), 0);
	mproc_lock_destroy(lock);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ALL(a_lock_has_one_holder),
		ALL(those_who_wait_get_it_one_after_another),
		ALL(a_counter_is_exact),
		ALL(each_holder_is_told_of_a_death_until_one_repairs),
		ALL(those_who_wait_learn_of_a_death),
		ALL(killed_waiters_take_nothing_along),
		ALL(an_interrupt_ends_the_wait),
		ALL(destroy_wakes_those_who_wait),
		ALL(a_recursive_lock_is_taken_again),
		ALL(threads_of_a_client_are_different_holders),
		ALL(a_thread_that_ends_with_a_lock_has_died),
		IN(a_wait_is_called_off_without_memory, as_clients),
		mpt_test(a_connection_is_closed_while_a_thread_ends),
		mpt_test(a_killed_server_leaves_nobody_waiting),
		mpt_test(what_makes_no_sense_is_refused),
		mpt_test(a_forked_child_has_no_part_in_it),
		mpt_test(who_serves_is_not_who_holds),
	};

	return cmocka_run_group_tests(tests, start_both, end_both);
}
