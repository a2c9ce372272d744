/* SPDX-License-Identifier: MIT */
/*
 * A sleep beside others ends with the life of one of them, and with all that ends any
 * sleep. Where the kernel or the parker cannot do the first, the rest holds.
 *
 * A sleep without a deadline that ends proves that it was told of the end: if it is not,
 * the watchdog ends the program.
 */
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>

#include "base/fault.h"
#include "base/macros.h"
#include "beside.h"
#include "common.h"
#include "os/clock.h"
#include "os/parker.h"

#define MS INT64_C(1000000)
#define EARLY_MAX 3
#define LIVES 2

/* In the scratch bytes. */
struct bed {
	struct mpr_parker parker;
	struct mpr_life life[LIVES];
	_Atomic uint32_t says; /* that an owner is to go on */
	_Atomic bool is_forked, has_returned; /* a copy of the sleeper */
};

static struct bed *
make_bed(struct mpt *t)
{
	struct bed *bed = mpt_scratch(t);

	mpr_parker_init(&bed->parker);
	return bed;
}

static int
sleep_beside(struct bed *bed, unsigned n, int64_t deadline)
{
	struct mpr_life *lives[] = { &bed->life[0], &bed->life[1] };

	return mpr_parker_wait_beside(&bed->parker,
				      mpr_parker_ticket(&bed->parker), lives, n,
				      deadline);
}

static int
own_until_killed(struct mpt *t, void *life)
{
	mpt_check_int(t, mpr_life_begin(life), 0);
	wait_to_be_killed(t);
	return 0;
}

static int
own_until_told(struct mpt *t, void *life)
{
	struct bed *bed = mpt_scratch(t);

	mpt_check_int(t, mpr_life_begin(life), 0);
	mpt_until(t, bed->says);
	mpr_life_end(life);
	return 0;
}

/* Sleeps beside both. */
static int
sleep_until_one_ends(struct mpt *t, void *arg)
{
	/* No signal handler ends it early. */
	mpt_check_int(t, sleep_beside(arg, 2, MPR_NEVER), -ESRCH);
	return 0;
}

static void
a_sleeper_is_told_of(struct mpt *t, int (*own)(struct mpt *, void *), int which)
{
	struct bed *bed = make_bed(t);
	int owners[LIVES], sleeper;

	if (!can_sleep_beside())
		skip();
	for (int i = 0; i < LIVES; i++) {
		owners[i] = mpt_spawn(t, "owner", i == which ?
							  own :
							  own_until_killed,
				      &bed->life[i]);
		mpt_until(t, !mpr_life_ended(&bed->life[i]));
	}
	sleeper = mpt_spawn(t, "sleeper", sleep_until_one_ends, bed);
	mpt_until(t, mpt_task_state(mpt_pid(t, sleeper)) == 'S' &&
			     bed->life[which].u.words[0] & FUTEX_WAITERS);
	bed->says = 1;
	if (own == own_until_killed)
		mpt_kill(t, owners[which]);
	else
		mpt_expect_exit(t, owners[which], 0);
	mpt_expect_exit(t, sleeper, 0);
	mpt_kill(t, owners[!which]);
}

static void
a_sleeper_is_told_of_a_death(void **state)
{
	a_sleeper_is_told_of(*state, own_until_killed, 0);
}

static void
a_sleeper_is_told_of_the_death_of_the_second(void **state)
{
	a_sleeper_is_told_of(*state, own_until_killed, 1);
}

static void
a_sleeper_is_told_of_an_orderly_end(void **state)
{
	a_sleeper_is_told_of(*state, own_until_told, 0);
}

static void
one_that_has_ended_is_no_reason_to_sleep(void **state)
{
	struct mpt *t = *state;
	struct bed *bed = make_bed(t);
	int id;

	if (!can_sleep_beside())
		skip();
	assert_int_equal(mpr_life_begin(&bed->life[0]), 0);
	/* Nobody's yet. */
	assert_int_equal(sleep_beside(bed, 2, MPR_NEVER), -ESRCH);
	id = mpt_spawn(t, "owner", own_until_killed, &bed->life[1]);
	mpt_until(t, !mpr_life_ended(&bed->life[1]));
	mpt_kill(t, id);
	assert_int_equal(sleep_beside(bed, 2, MPR_NEVER), -ESRCH);
	mpr_life_end(&bed->life[0]);
}

static void
a_deadline_and_a_wake_up_end_it_as_well(void **state)
{
	struct bed *bed = make_bed(*state);
	int64_t until = mproc_now() + 20 * MS;
	uint32_t ticket = mpr_parker_ticket(&bed->parker);
	struct mpr_life *lives[] = { &bed->life[0] };
	int early = 0, r;

	assert_int_equal(mpr_life_begin(&bed->life[0]), 0);
	while ((r = sleep_beside(bed, 1, until)) == 0)
		assert_true(++early <= EARLY_MAX);
	assert_int_equal(r, -ETIMEDOUT);
	assert_true(mproc_now() >= until);
	assert_int_equal(sleep_beside(bed, 0, 1), -ETIMEDOUT);

	mpr_parker_wake(&bed->parker);
	assert_int_equal(mpr_parker_wait_beside(&bed->parker, ticket, lives, 1,
						MPR_NEVER), 0);
	assert_int_equal(mpr_fault_set("wait:1"), 0);
	assert_int_equal(sleep_beside(bed, 1, MPR_NEVER), 0);
	assert_int_equal(mpr_fault_set(NULL), 0);
	mpr_life_end(&bed->life[0]);
}

/* The call is not made again, so that an end is none from then on. */
static int
sleep_where_it_is_forbidden(struct mpt *t, void *arg)
{
	struct bed *bed = arg;

	mpt_check_int(t, mpr_fault_set("wait:1=EPERM"), 0);
	mpt_check_int(t, sleep_beside(bed, 1, mproc_now() + MS), -ETIMEDOUT);
	mpt_check_int(t, mpr_fault_set(NULL), 0);
	mpt_check_int(t, sleep_beside(bed, 2, mproc_now() + MS), -ETIMEDOUT);
	return 0;
}

/* One that ends just before the sleep, and a kernel or a sandbox without such sleeps. */
static void
what_the_kernel_says_is_understood(void **state)
{
	struct mpt *t = *state;
	struct bed *bed = make_bed(t);

	if (!can_sleep_beside())
		skip();
	assert_int_equal(mpr_life_begin(&bed->life[0]), 0);
	assert_int_equal(mpr_fault_set("wait:1=EAGAIN"), 0);
	assert_int_equal(sleep_beside(bed, 1, MPR_NEVER), -ESRCH);
	assert_int_equal(mpr_fault_set(NULL), 0);
	mpt_expect_exit(t, mpt_spawn(t, "sleeper", sleep_where_it_is_forbidden, bed),
			0);
	mpr_life_end(&bed->life[0]);
}

/* Who is watched begins and ends as before. */
static void
to_be_watched_changes_nothing_for_the_owner(void **state)
{
	struct bed *bed = make_bed(*state);

	for (int i = 0; i < 3; i++) {
		assert_int_equal(mpr_life_watch(&bed->life[0]), 0);
		assert_int_equal(mpr_life_begin(&bed->life[0]), 0);
		assert_int_not_equal(mpr_life_watch(&bed->life[0]), 0);
		assert_int_equal(mpr_life_watch(&bed->life[0]),
				 bed->life[0].u.words[0]);
		assert_false(mpr_life_ended(&bed->life[0]));
		mpr_life_end(&bed->life[0]);
		assert_true(mpr_life_ended(&bed->life[0]));
	}
}

/* ThreadSanitizer has handlers wait for the end of a sleep that the kernel begins anew. */
#ifndef MPR_THREAD_SANITIZER

static struct bed *here;

static void
fork_here(int signal)
{
	(void)signal;
	if (_Fork() > 0)
		here->is_forked = true;
}

static int
sleep_and_fork(struct mpt *t, void *arg)
{
	struct sigaction action = { .sa_handler = fork_here,
				    .sa_flags = SA_RESTART };
	pid_t me = getpid();

	here = arg;
	mpt_check_int(t, sigaction(SIGUSR1, &action, NULL), 0);
	while (getpid() == me)
		sleep_beside(here, 2, MPR_NEVER);
	here->has_returned = true;
	_exit(0);
}

/* The kernel begins the sleep anew, in both processes. */
static void
a_copy_does_not_go_on_with_its_parents_sleep(void **state)
{
	struct mpt *t = *state;
	struct bed *bed = make_bed(t);
	int id;

	if (!can_sleep_beside())
		skip();
	for (int i = 0; i < LIVES; i++)
		assert_int_equal(mpr_life_begin(&bed->life[i]), 0);
	id = mpt_spawn(t, "sleeper", sleep_and_fork, bed);
	mpt_until(t, bed->life[1].u.words[0] & FUTEX_WAITERS &&
			     mpt_task_state(mpt_pid(t, id)) == 'S');
	assert_int_equal(kill(mpt_pid(t, id), SIGUSR1), 0);
	mpt_until(t, bed->is_forked && bed->has_returned);
	mpt_kill(t, id);
	mpt_reap_orphans(t);
	for (int i = 0; i < LIVES; i++)
		mpr_life_end(&bed->life[i]);
}

#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_sleeper_is_told_of_a_death),
		mpt_test(a_sleeper_is_told_of_the_death_of_the_second),
		mpt_test(a_sleeper_is_told_of_an_orderly_end),
		mpt_test(one_that_has_ended_is_no_reason_to_sleep),
		mpt_test(a_deadline_and_a_wake_up_end_it_as_well),
		mpt_test(what_the_kernel_says_is_understood),
		mpt_test(to_be_watched_changes_nothing_for_the_owner),
#ifndef MPR_THREAD_SANITIZER
		mpt_test(a_copy_does_not_go_on_with_its_parents_sleep),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
