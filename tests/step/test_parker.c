/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of sleeping in a parker and of
 * waking who sleeps there.
 */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/parker.h"
#include "world.h"

#define MS INT64_C(1000000)

struct bed {
	struct mpr_parker parker;
	_Atomic uint32_t called;
};

struct room {
	struct mpt *t;
	struct bed *bed; /* in shared memory */
	pid_t sleeper;
};

static void
sleep_until_called(struct bed *bed)
{
	uint32_t ticket = mpr_parker_ticket(&bed->parker);

	while (!bed->called) {
		mpr_parker_wait(&bed->parker, ticket, MPR_NEVER);
		ticket = mpr_parker_ticket(&bed->parker);
	}
}

static void
call(struct bed *bed)
{
	bed->called = 1;
	mpr_parker_wake(&bed->parker);
}

/* Somebody takes the parker over and sleeps. */
static void
with_a_sleeper(void *arg)
{
	struct room *room = arg;

	room->bed->called = 0;
	room->sleeper = fork();
	if (room->sleeper == 0) {
		mpr_parker_init(&room->bed->parker);
		sleep_until_called(room->bed);
		_exit(0);
	}
	assert_true(room->sleeper > 0);
	mpt_until(room->t, mpt_task_state(room->sleeper) == 'S');
}

static void
sleeper_gets_up(struct room *room)
{
	int status;

	assert_int_equal(waitpid(room->sleeper, &status, 0), room->sleeper);
	assert_int_equal(status, 0);
}

static uint64_t
bed_state(void *arg)
{
	struct room *room = arg;

	return hash(0, room->bed, sizeof(*room->bed));
}

/* So that the functions of the C library are found. */
static void
warm_up(struct mpr_parker *own)
{
	mpr_parker_init(own);
	(void)mpr_parker_wait(own, mpr_parker_ticket(own), mproc_now());
	atomic_store(&own->posts, 1); /* as if we slept */
	mpr_parker_wake(own);
}

static void
wake_victim(void *arg)
{
	struct mpr_parker own = { 0 };
	struct room *room = arg;

	warm_up(&own);
	mpt_step_begin();
	call(room->bed);
	mpt_step_end();
}

/* Whoever wakes it next does wake it. */
static void
wake_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct room *room = arg;

	(void)victim;
	(void)n;
	if (!finished)
		call(room->bed);
	sleeper_gets_up(room);
}

static void
killed_in_wake(void **state)
{
	struct room room = { .t = *state, .bed = mpt_scratch(*state) };

	mpt_stepper_run(room.t, &(struct mpt_stepper_opts){
		.name = "wake",
		.victim = wake_victim,
		.before = with_a_sleeper,
		.survivor = wake_survivor,
		.fingerprint = bed_state,
		.arg = &room,
	}, NULL);
}

static void
with_a_fresh_bed(void *arg)
{
	struct room *room = arg;

	memset(room->bed, 0, sizeof(*room->bed));
}

static void
wait_victim(void *arg)
{
	struct mpr_parker *p = &((struct room *)arg)->bed->parker;
	struct mpr_parker own = { 0 };

	warm_up(&own);
	mpt_step_begin();
	mpr_parker_init(p);
	(void)mpr_parker_wait(p, mpr_parker_ticket(p), mproc_now() + 1 * MS);
	mpt_step_end();
}

/* The next owner sleeps and is woken, whatever others do to the dead one. */
static void
wait_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct room *room = arg;
	struct mpr_parker *p = &room->bed->parker;
	int64_t until;
	int early = 0;

	(void)victim;
	(void)finished;
	for (unsigned i = n % 20; i; i--)
		mpr_parker_wake(p);
	with_a_sleeper(room);
	call(room->bed);
	sleeper_gets_up(room);
	until = mproc_now() + 1 * MS;
	while (mpr_parker_wait(p, mpr_parker_ticket(p), until) == 0)
		assert_true(++early <= 3);
	assert_true(mproc_now() >= until);
}

static void
killed_in_wait(void **state)
{
	struct room room = { .t = *state, .bed = mpt_scratch(*state) };

	mpt_stepper_run(room.t, &(struct mpt_stepper_opts){
		.name = "wait",
		.victim = wait_victim,
		.before = with_a_fresh_bed,
		.survivor = wait_survivor,
		.fingerprint = bed_state,
		.arg = &room,
	}, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_wake),
		mpt_test(killed_in_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
