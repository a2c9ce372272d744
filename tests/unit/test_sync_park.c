/* SPDX-License-Identifier: MIT */
/*
 * Parking: sleeping on one's own event word, for at most a slice.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>

#include <mproc/arena.h>
#include <mproc/core.h>

#include "arena/recover.h"
#include "common.h"
#include "mpt_times.h"
#include "os/clock.h"
#include "sync/park.h"

#define MS INT64_C(1000000)

/* Something in the arena to sleep for. */
static void *object;

static void
a_wake_up_since_the_ticket_is_not_slept_through(void **state)
{
	struct mpr_self *self = join_arena(*state);
	struct mpt_times spent = { 0 };
	uint32_t ticket;
	int64_t began;

	for (int i = 0; i < 5; i++) {
		ticket = mpr_park_ticket(self);
		began = mproc_now();
		mpr_unpark(the_arena(), self->slot);
		assert_int_equal(mpr_park(self, object, ticket, MPR_NEVER), 0);
		mpt_times_add(&spent, mproc_now() - began);
	}
	assert_true(mpt_times_median(&spent) < 40 * MS);
	/* An old ticket stays good for nothing. */
	assert_int_equal(mpr_park(self, object, ticket, MPR_NEVER), 0);
}

static void
the_deadline_ends_the_sleep(void **state)
{
	struct mpr_self *self = join_arena(*state);
	int64_t until = mproc_now() + 10 * MS;
	int r;

	/* Or an earlier slice ends just now. */
	do
		r = mpr_park(self, object, mpr_park_ticket(self), until);
	while (r == 0);
	assert_int_equal(r, -ETIMEDOUT);
	assert_true(mproc_now() >= until);
	assert_int_equal(mpr_park(self, object, mpr_park_ticket(self), 1),
			 -ETIMEDOUT);
	assert_int_equal(self->shared->wait_object, 0);
}

static void
a_slice_ends_the_sleep_without_a_wake_up(void **state)
{
	struct mpr_self *self = join_arena(*state);
	int64_t began = mproc_now();

	/* The rest of one that has begun already, which may be the longest, then whole
	 * ones. Each begins when the one before it ends, maybe before we know. */
	for (int i = 0; i < 4; i++)
		assert_int_equal(mpr_park(self, object, mpr_park_ticket(self),
					  MPR_NEVER), 0);
	assert_true(mproc_now() - began >= 3 * 50 * MS);
	/* There is nobody else who might look. */
	assert_true(self->pace.glance_at == MPR_NEVER);
	assert_int_equal(self->shared->wait_object, 0);
}

/* In the scratch bytes. */
struct board {
	_Atomic unsigned slot;
	_Atomic unsigned ready;
	_Atomic unsigned go;
};

static int
sleep_until_told(struct mpt *t, void *arg)
{
	struct mpr_self *self = join_arena(t);
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->slot = self->slot;
	b->ready++;
	while (!b->go) {
		uint32_t ticket = mpr_park_ticket(self);

		if (!b->go)
			mpt_check_int(t, mpr_park(self, object, ticket,
						  MPR_NEVER), 0);
	}
	return 0;
}

static void
a_sleeper_shows_what_it_waits_for_and_is_woken(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	int id = mpt_spawn(t, "sleeper", sleep_until_told, NULL);
	struct mpr_participant *p;

	mpt_until(t, b->ready == 1);
	p = mpr_participant_at(the_arena(), b->slot);
	mpt_until(t, p->wait_object != 0);
	assert_int_equal(p->wait_object, mpr_arena_offset(the_arena(), object));
	assert_true((int64_t)p->wait_since <= mproc_now());
	b->go = 1;
	mpr_unpark(the_arena(), b->slot);
	mpt_expect_exit(t, id, 0);
	mpr_recover_all(the_arena(), true);
}

static void
a_sleeping_process_shows_what_it_waits_for_and_is_woken(void **state)
{
	a_sleeper_shows_what_it_waits_for_and_is_woken(*state);
}

static void
a_sleeping_thread_shows_what_it_waits_for_and_is_woken(void **state)
{
	mpt_use_threads(*state, true);
	a_sleeper_shows_what_it_waits_for_and_is_woken(*state);
}

/* Two sides that hand a ball to and fro, asleep in between. */
struct ball {
	_Atomic unsigned slot[2];
	_Atomic unsigned ready;
	_Atomic unsigned at;
	unsigned n;
};

static int
play(struct mpt *t, void *arg)
{
	struct mpr_self *self = join_arena(t);
	struct ball *ball = mpt_scratch(t);
	unsigned side = (unsigned)(uintptr_t)arg;

	ball->slot[side] = self->slot;
	ball->ready++;
	mpt_until(t, ball->ready == 2);
	while (ball->at < ball->n) {
		uint32_t ticket = mpr_park_ticket(self);

		if (ball->at % 2 != side && ball->at < ball->n) {
			mpr_park(self, object, ticket, MPR_NEVER);
			continue;
		}
		ball->at++;
		mpr_unpark(the_arena(), ball->slot[!side]);
	}
	return 0;
}

static void
no_wake_up_is_lost(struct mpt *t)
{
	struct ball *ball = mpt_scratch(t);
	int64_t began = mproc_now();

	ball->n = amount(2000);
	mpt_spawn(t, "left", play, (void *)0);
	mpt_spawn(t, "right", play, (void *)1);
	mpt_join_all(t);
	mpr_recover_all(the_arena(), true);
	/* A lost one would cost a slice. */
	assert_true(mproc_now() - began < ball->n * 25 * MS);
}

static void
no_wake_up_is_lost_between_processes(void **state)
{
	no_wake_up_is_lost(*state);
}

static void
no_wake_up_is_lost_between_threads(void **state)
{
	mpt_use_threads(*state, true);
	no_wake_up_is_lost(*state);
}

static unsigned
sleepers(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < mpr_participants_high(the_arena()); i++)
		n += mpr_participant_at(the_arena(), i)->wait_object != 0;
	return n;
}

/* Four sleep, or three if one is just between two sleeps. */
static bool
is_long(struct mpr_self *self)
{
	int64_t began = mproc_now();

	assert_int_equal(mpr_park(self, object, mpr_park_ticket(self),
				  MPR_NEVER), 0);
	return mproc_now() - began >= 150 * MS;
}

static void
many_sleepers_have_longer_slices(void **state)
{
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t);
	struct board *b = mpt_scratch(t);

	for (int i = 0; i < 3; i++)
		mpt_spawn(t, "sleeper", sleep_until_told, NULL);
	mpt_until(t, b->ready == 3 && sleepers() == 3);
	/* How many there are, and that they look, is found at the end of a
	 * slice. */
	mpt_until(t, is_long(self));
	b->go = 1;
	for (unsigned i = 0; i < mpr_participants_high(the_arena()); i++)
		mpr_unpark(the_arena(), i);
	mpt_join_all(t);
	mpr_recover_all(the_arena(), true);
}

static int
join_and_wait(struct mpt *t, void *arg)
{
	(void)arg;
	join_arena(t);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
a_sleeper_looks_for_the_dead_when_its_slice_ends(void **state)
{
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t);
	uint64_t before = mpr_participants_count(the_arena());
	int id = mpt_spawn(t, "victim", join_and_wait, NULL);

	mpt_reach(t, 1);
	mpt_kill(t, id);
	assert_int_equal(mpr_participants_count(the_arena()), before + 1);
	assert_int_equal(mpr_park(self, object, mpr_park_ticket(self),
				  MPR_NEVER), 0);
	assert_int_equal(mpr_participants_count(the_arena()), before);
}

static void *
wake_all_the_time(void *arg)
{
	struct board *b = arg;

	while (!b->go)
		mpr_unpark(the_arena(), b->slot);
	return NULL;
}

static void
who_is_woken_all_the_time_looks_for_the_dead_too(void **state)
{
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t);
	uint64_t before = mpr_participants_count(the_arena());
	int id = mpt_spawn(t, "victim", join_and_wait, NULL);
	struct board *b = mpt_scratch(t);
	pthread_t waker;

	mpt_reach(t, 1);
	mpt_kill(t, id);
	b->slot = self->slot;
	assert_int_equal(pthread_create(&waker, NULL, wake_all_the_time, b),
			 0);
	while (mpr_participants_count(the_arena()) > before)
		assert_int_equal(mpr_park(self, object, mpr_park_ticket(self),
					  MPR_NEVER), 0);
	b->go = 1;
	pthread_join(waker, NULL);
}

static void
a_slot_that_nobody_ever_had_is_not_woken(void **state)
{
	(void)state;
	mpr_unpark(the_arena(), 0xffff);
	mpr_unpark(the_arena(), MPR_PARTICIPANTS_MAX);
}

static int
setup(void **state)
{
	if (with_arena(state) < 0)
		return -1;
	object = mproc_alloc(64);
	return object ? 0 : -1;
}

static int
park_as_the_parent(struct mpt *t, void *arg)
{
	struct mpr_self *self = arg;

	mpt_check_int(t, mpr_park(self, object, mpr_park_ticket(self),
				  MPR_NEVER), 0);
	return 0;
}

/* What a child does that a signal handler has forked on its way to sleep. */
static void
a_forked_child_does_not_sleep_in_its_parents_place(void **state)
{
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t);

	/* Until here the parent has come. */
	self->shared->wait_object = 1;
	mpt_fork(t, "child", park_as_the_parent, self);
	mpt_join_all(t);
	assert_int_equal(self->shared->wait_object, 1);
	self->shared->wait_object = 0;
}

/* In the scratch bytes. */
struct forked {
	_Atomic pid_t copy;
	_Atomic bool may_return; /* the copy from its handler */
	_Atomic bool has_slept; /* the copy */
	_Atomic unsigned slot; /* from 1 */
};

static struct mpt *here;

static void
fork_and_return(int signal)
{
	struct forked *f = mpt_scratch(here);
	pid_t pid = _Fork();

	(void)signal;
	if (pid > 0)
		atomic_store(&f->copy, pid);
	while (pid == 0 && !atomic_load(&f->may_return))
		sched_yield();
}

/* Forks in its sleep, which no slice ends. */
static int
sleep_and_fork(struct mpt *t, void *arg)
{
	struct sigaction action = { .sa_handler = fork_and_return };
	struct mpr_self *self = join_arena(t);
	struct forked *f = arg;
	pid_t me = getpid();

	here = t;
	mpt_check_int(t, sigaction(SIGUSR1, &action, NULL), 0);
	self->pace.slice_end = self->pace.look_at = MPR_NEVER;
	self->pace.glance_at = MPR_NEVER;
	atomic_store(&f->slot, self->slot + 1);
	while (getpid() == me)
		mpr_park(self, object, mpr_park_ticket(self), MPR_NEVER);
	atomic_store(&f->has_slept, true);
	_exit(0);
}

/* It was its parent's, which sleeps on. */
static void
a_forked_child_does_not_end_its_parents_sleep(void **state)
{
	struct mpt *t = *state;
	struct forked *f = mpt_scratch(t);
	struct mpr_participant *p;
	int id = mpt_spawn(t, "sleeper", sleep_and_fork, f);

	mpt_until(t, f->slot);
	p = mpr_participant_at(the_arena(), f->slot - 1);
	mpt_until(t, p->wait_object && mpt_task_state(mpt_pid(t, id)) == 'S');
	mpt_check_int(t, kill(mpt_pid(t, id), SIGUSR1), 0);
	mpt_until(t, f->copy);
	mpt_until(t, p->wait_object && mpt_task_state(mpt_pid(t, id)) == 'S');
	atomic_store(&f->may_return, true);
	mpt_until(t, f->has_slept);
	mpt_check(t, p->wait_object != 0);
	mpt_kill(t, id);
	mpt_reap_orphans(t);
	mpr_recover_all(the_arena(), true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_wake_up_since_the_ticket_is_not_slept_through),
		mpt_test(the_deadline_ends_the_sleep),
		mpt_test(a_slice_ends_the_sleep_without_a_wake_up),
		mpt_test(a_forked_child_does_not_sleep_in_its_parents_place),
		mpt_test(a_forked_child_does_not_end_its_parents_sleep),
		mpt_test(
			a_sleeping_process_shows_what_it_waits_for_and_is_woken),
		mpt_test(
			a_sleeping_thread_shows_what_it_waits_for_and_is_woken),
		mpt_test(no_wake_up_is_lost_between_processes),
		mpt_test(no_wake_up_is_lost_between_threads),
		mpt_test(many_sleepers_have_longer_slices),
		mpt_test(a_sleeper_looks_for_the_dead_when_its_slice_ends),
		mpt_test(who_is_woken_all_the_time_looks_for_the_dead_too),
		mpt_test(a_slot_that_nobody_ever_had_is_not_woken),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
