/* SPDX-License-Identifier: MIT */
/*
 * Parking: who looks for the dead, in unusual company. Not for valgrind, which lets one
 * thread run at a time, and calls of the system that it does not know.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>

#include <mproc/arena.h>
#include <mproc/core.h>

#include "arena/recover.h"
#include "common.h"
#include "os/clock.h"
#include "sync/park.h"

#define MS INT64_C(1000000)

/* Something in the arena to sleep for. */
static void *object;

struct board {
	_Atomic unsigned ready;
	_Atomic unsigned go;
};

static int
join_and_wait(struct mpt *t, void *arg)
{
	(void)arg;
	join_arena(t);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

#define OTHERS 20
#define MANY_LOOKS 20
#define SOON 125 /* ms: the most for two */
#define DAYS_30 "monotonic 2592000 0"

/* A participant that is about to sleep for the first time, and is stopped. */
static void *
stand_still(void *arg)
{
	struct board *b = mpt_scratch(arg);
	struct mpr_self *self = join_arena(arg);

	self->shared->wait_object = 1;
	b->ready++;
	mpt_until(arg, b->go);
	self->shared->wait_object = 0;
	return NULL;
}

/* And is going to look again soon. */
static void *
sleep_a_few_times(void *arg)
{
	struct mpr_self *self = join_arena(arg);
	int32_t left;

	for (int i = 0; i < MANY_LOOKS; i++) {
		mpt_check_int(arg, mpr_park(self, object, mpr_park_ticket(self),
					    MPR_NEVER), 0);
		left = (int32_t)(self->shared->looks_by -
				 (uint32_t)(mproc_now() / MS));
		mpt_check(arg, left <= SOON);
	}
	return NULL;
}

static void
sleep_beside_many_that_have_not_looked(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	pthread_t threads[OTHERS], second;

	for (int i = 0; i < OTHERS; i++)
		mpt_check_int(t, pthread_create(&threads[i], NULL, stand_still,
						t), 0);
	mpt_until(t, b->ready == OTHERS);
	mpt_check_int(t, pthread_create(&second, NULL, sleep_a_few_times, t), 0);
	sleep_a_few_times(t);
	pthread_join(second, NULL);
	b->go = 1;
	for (int i = 0; i < OTHERS; i++)
		pthread_join(threads[i], NULL);
}

/* In a time namespace, where the clock is ahead by more than 2^31 ms. */
static int
sleep_on_a_machine_that_has_run_for_long(struct mpt *t, void *arg)
{
	int status = 0, fd;
	pid_t pid;

	(void)arg;
	if (unshare(CLONE_NEWTIME) < 0 &&
	    unshare(CLONE_NEWUSER | CLONE_NEWTIME) < 0)
		return MPT_REFUSED;
	fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, DAYS_30, strlen(DAYS_30)) < 0)
		return MPT_REFUSED;
	close(fd);
	pid = fork();
	if (pid == 0) {
		sleep_beside_many_that_have_not_looked(t);
		_exit(0);
	}
	mpt_check(t, waitpid(pid, &status, 0) == pid);
	mpt_check_int(t, status, 0);
	return 0;
}

static void
after_25_days_who_has_not_looked_is_not_counted_on_either(void **state)
{
	struct mpt *t = *state;
	int id = mpt_fork(t, "sleeper", sleep_on_a_machine_that_has_run_for_long,
			  NULL);

	mpt_expect_exit(t, id, 0);
	mpr_recover_all(the_arena(), true);
}

#define TURNS 400
#define SHORT (10 * MS)

static void
sleep_shortly_in(mproc_arena *a, const void *what)
{
	struct mpr_self *self = NULL;

	assert_int_equal(mpr_self(a, &self), 0);
	mpr_park(self, what, mpr_park_ticket(self), mproc_now() + SHORT);
}

/* It sleeps too short for a look in each arena by itself. */
static void
who_sleeps_in_two_arenas_by_turns_looks_for_the_dead_too(void **state)
{
	struct mpt *t = *state;
	uint64_t before;
	mproc_arena *other;
	char name[64];
	int id, turns;

	join_arena(t);
	before = mpr_participants_count(the_arena());
	mpt_name(t, name, "other");
	assert_int_equal(mproc_arena_create(
		&other, MPROC_OPTS(mproc_arena_opts, .name = name)), 0);
	id = mpt_spawn(t, "victim", join_and_wait, NULL);
	mpt_reach(t, 1);
	mpt_kill(t, id);
	for (turns = 0; turns < TURNS; turns++) {
		if (mpr_participants_count(the_arena()) == before)
			break;
		sleep_shortly_in(the_arena(), object);
		sleep_shortly_in(other, other->shm);
	}
	mpr_recover_all(the_arena(), true);
	mproc_arena_close(other);
	assert_int_equal(mproc_arena_unlink(name), 0);
	assert_true(turns < TURNS);
}

#define AT_IT (UINT64_C(1) << 63) /* as in sync/park.c */
#define NEAR 20 /* ms */
#define SLICE_OF_MANY (2000 * MS)
#define SURE (20 * MS)

/* Somebody else has looked @ms after now. Whether we do as well, when it is time for a
 * glance. */
static bool
looks_after_a_look_at(struct mpr_self *self, int64_t ms, uint64_t flag)
{
	_Atomic uint64_t *last = &the_arena()->shm->last_look;
	uint64_t other = self->slot + 1;
	int64_t began;
	uint32_t ticket;

	do {
		began = mproc_now();
		atomic_store(last, flag | (uint64_t)(began / MS + ms) << 16 |
					   other);
		self->pace = (struct mpr_pace){
			.slice_end = MPR_NEVER, .look_at = MPR_NEVER,
			.glance_at = 1, .interval = SLICE_OF_MANY,
		};
		ticket = mpr_park_ticket(self);
		mpr_unpark(the_arena(), self->slot);
		assert_int_equal(mpr_park(self, object, ticket, MPR_NEVER), 0);
	} while (mproc_now() - began > SURE);
	other ^= atomic_load(last) & 0xffff;
	self->pace = (struct mpr_pace){ 0 };
	return other != 0;
}

/* Who looks while another one reads the clock is seen to look after that. */
static void
a_look_that_has_just_begun_is_one(void **state)
{
	struct mpr_self *self = join_arena(*state);

	assert_false(looks_after_a_look_at(self, 0, 0));
	assert_false(looks_after_a_look_at(self, NEAR, 0));
	assert_false(looks_after_a_look_at(self, NEAR, AT_IT));
	assert_true(looks_after_a_look_at(self, -1000, 0));
	/* Of somebody who has scribbled. */
	assert_true(looks_after_a_look_at(self, 1000, 0));
	assert_true(looks_after_a_look_at(self, INT64_C(1) << 40, 0));
}

static int
setup(void **state)
{
	if (with_arena(state) < 0)
		return -1;
	object = mproc_alloc(64);
	return object ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(who_sleeps_in_two_arenas_by_turns_looks_for_the_dead_too),
		mpt_test(a_look_that_has_just_begun_is_one),
		mpt_test(after_25_days_who_has_not_looked_is_not_counted_on_either),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
