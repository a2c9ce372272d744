/* SPDX-License-Identifier: MIT */
/*
 * Parkers, of either kind: no wake-up is slept through, no deadline is missed,
 * and nothing that a former owner left disturbs the next one.
 *
 * A sleep without a deadline that ends proves that its wake-up came: if it gets
 * lost, the watchdog ends the program.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>

#include "base/fault.h"
#include "base/macros.h"
#include "common.h"
#include "os/clock.h"
#include "os/parker.h"

#define MS INT64_C(1000000)

/* How often a wait may return for no reason, whatever happened before. */
#define EARLY_MAX 3

/* Owners of one parker, one after the other. */
#define OWNERS 40

/* In the scratch bytes. */
struct bed {
	struct mpr_parker parker;
	_Atomic uint32_t got_up; /* of what the parker is woken for */
	_Atomic uint32_t done;
	_Atomic uint32_t called;
};

static struct bed *
make_bed(struct mpt *t)
{
	struct bed *bed = mpt_scratch(t);

	mpr_parker_init(&bed->parker);
	return bed;
}

static void
a_wake_up_since_the_ticket_is_not_slept_through(void **state)
{
	struct mpr_parker *p = &make_bed(*state)->parker;
	uint32_t ticket = mpr_parker_ticket(p);

	mpr_parker_wake(p);
	assert_int_not_equal(mpr_parker_ticket(p), ticket);
	assert_int_equal(mpr_parker_wait(p, ticket, MPR_NEVER), 0);
	/* An old ticket stays good for nothing. */
	assert_int_equal(mpr_parker_wait(p, ticket, MPR_NEVER), 0);
}

/* Sleeps for @time. Nobody wakes us. */
static void
sleep_undisturbed(struct mpt *t, struct mpr_parker *p, int64_t time)
{
	int64_t until = mproc_now() + time;
	int early = 0;

	while (mpr_parker_wait(p, mpr_parker_ticket(p), until) == 0)
		mpt_check(t, ++early <= EARLY_MAX);
	mpt_check(t, mproc_now() >= until);
}

static void
a_sleep_ends_at_its_deadline_and_not_before(void **state)
{
	struct mpr_parker *p = &make_bed(*state)->parker;
	uint32_t ticket = mpr_parker_ticket(p);

	sleep_undisturbed(*state, p, 20 * MS);
	/* One that is past already. */
	assert_int_equal(mpr_parker_wait(p, ticket, 1), -ETIMEDOUT);
	assert_int_equal(mpr_parker_wait(p, ticket, mproc_now() - MS),
			 -ETIMEDOUT);
}

static void
a_wait_may_be_interrupted(void **state)
{
	struct mpr_parker *p = &make_bed(*state)->parker;

	assert_int_equal(mpr_fault_set("wait:1"), 0);
	assert_int_equal(mpr_parker_wait(p, mpr_parker_ticket(p), MPR_NEVER),
			 0);
	assert_int_equal(mpr_fault_set(NULL), 0);
}

/* Sleeps until there is something to get up for; ns at a time. */
static void
sleep_in_slices(struct bed *bed, int64_t slice)
{
	uint32_t ticket = mpr_parker_ticket(&bed->parker);

	while (!bed->got_up) {
		mpr_parker_wait(&bed->parker, ticket,
				slice == MPR_NEVER ? MPR_NEVER :
						     mproc_now() + slice);
		ticket = mpr_parker_ticket(&bed->parker);
	}
	bed->got_up--;
}

static void
sleep_until_called(struct bed *bed)
{
	sleep_in_slices(bed, MPR_NEVER);
}

static void
call(struct bed *bed)
{
	bed->got_up++;
	mpr_parker_wake(&bed->parker);
}

static int
move_in_and_sleep(struct mpt *t, void *arg)
{
	struct bed *bed = arg;

	(void)t;
	mpr_parker_init(&bed->parker);
	bed->done = 1;
	sleep_until_called(bed);
	return 0;
}

/* A role that has taken the bed over and sleeps. */
static int
start_sleeper(struct mpt *t, struct bed *bed)
{
	int id;

	bed->done = 0;
	id = mpt_spawn(t, "sleeper", move_in_and_sleep, bed);
	mpt_until(t, bed->done && mpt_task_state(mpt_pid(t, id)) == 'S');
	return id;
}

static void
a_sleeper_is_woken(struct mpt *t)
{
	struct bed *bed = make_bed(t);
	int id = start_sleeper(t, bed);

	errno = EXDEV;
	call(bed);
	assert_int_equal(errno, EXDEV);
	mpt_expect_exit(t, id, 0);
}

static void
a_sleeper_in_another_process_is_woken(void **state)
{
	a_sleeper_is_woken(*state);
}

static void
a_sleeper_in_another_thread_is_woken(void **state)
{
	mpt_use_threads(*state, true);
	a_sleeper_is_woken(*state);
}

static void
wake_ups_without_a_sleeper_leave_nothing(void **state)
{
	struct mpr_parker *p = &make_bed(*state)->parker;

	for (int i = 0; i < 100000; i++)
		mpr_parker_wake(p);
	sleep_undisturbed(*state, p, 20 * MS);
}

static int
sleep_twice(struct mpt *t, void *arg)
{
	struct bed *bed = arg;

	sleep_until_called(bed);
	sleep_undisturbed(t, &bed->parker, 20 * MS);
	return 0;
}

static void
wake_ups_of_a_stopped_sleeper_do_not_pile_up(void **state)
{
	struct mpt *t = *state;
	struct bed *bed = make_bed(t);
	int id = mpt_spawn(t, "sleeper", sleep_twice, bed);

	mpt_until(t, mpt_task_state(mpt_pid(t, id)) == 'S');
	mpt_pause(t, id);
	for (int i = 0; i < 100000; i++)
		mpr_parker_wake(&bed->parker);
	call(bed);
	mpt_resume(t, id);
	mpt_expect_exit(t, id, 0);
}

static int
sleep_in_peace(struct mpt *t, void *arg)
{
	struct bed *bed = arg;

	mpr_parker_init(&bed->parker);
	sleep_undisturbed(t, &bed->parker, 5 * MS);
	return 0;
}

static void
who_comes_after_a_killed_sleeper_sleeps_and_is_woken(void **state)
{
	struct mpt *t = *state;
	struct bed *bed = mpt_scratch(t);

	for (unsigned i = 0; i < OWNERS; i++) {
		mpt_kill(t, start_sleeper(t, bed));
		/* Whoever has not heard of the death yet. */
		for (unsigned n = i % 20; n; n--)
			mpr_parker_wake(&bed->parker);
	}
	mpt_expect_exit(t, mpt_spawn(t, "next", sleep_in_peace, bed), 0);
	for (unsigned i = 0; i < OWNERS; i++) {
		int id = start_sleeper(t, bed);

		call(bed);
		mpt_expect_exit(t, id, 0);
	}
}

static int
wake_again_and_again(struct mpt *t, void *arg)
{
	struct bed *bed = arg;

	(void)t;
	for (;;)
		call(bed);
	return 0;
}

static void
who_comes_after_killed_wakers_sleeps_and_is_woken(void **state)
{
	struct mpt *t = *state;
	struct bed *bed = make_bed(t);

	for (unsigned i = 0; i < amount(OWNERS); i++) {
		int id = mpt_spawn(t, "waker", wake_again_and_again, bed);

		for (unsigned n = 0; n < 100; n++)
			sleep_until_called(bed);
		mpt_kill(t, id);
		bed->got_up = 0;
		sleep_undisturbed(t, &bed->parker, 1 * MS);
	}
	mpt_expect_exit(t, mpt_spawn(t, "next", sleep_in_peace, bed), 0);
}

/* Of the process that the handler runs in. */
static struct bed *own_bed;
static _Atomic int errors;

static void
call_ourselves(int signal)
{
	int saved = errno;

	(void)signal;
	errno = EXDEV;
	call(own_bed);
	errors += errno != EXDEV;
	errno = saved;
}

/* ThreadSanitizer keeps a signal back until the program makes a call that it knows.
 * Our sleep is none: a handler that was kept back just before would run after it. */
#ifdef MPR_THREAD_SANITIZER
#define SLEEP_OF_SIGNALS (1 * MS)
#else
#define SLEEP_OF_SIGNALS MPR_NEVER
#endif

static int
sleep_until_signals(struct mpt *t, void *arg)
{
	struct sigaction action = { .sa_handler = call_ourselves };
	struct bed *bed = own_bed = arg;

	sigaction(SIGUSR1, &action, NULL);
	mpt_step(t, 0);
	while (bed->done < amount(2000)) {
		sleep_in_slices(bed, SLEEP_OF_SIGNALS);
		bed->done++;
	}
	mpt_check_int(t, errors, 0);
	return 0;
}

static void
a_signal_handler_wakes_whom_it_interrupts(void **state)
{
	struct mpt *t = *state;
	struct bed *bed = make_bed(t);
	int id = mpt_spawn(t, "sleeper", sleep_until_signals, bed);

	mpt_reach(t, 1);
	for (unsigned i = 0; i < amount(2000); i++) {
		assert_int_equal(kill(mpt_pid(t, id), SIGUSR1), 0);
		/* The next one comes when it is about to sleep again. */
		mpt_until(t, bed->done > i);
	}
	mpt_expect_exit(t, id, 0);
}

static void *
sleep_and_say_so(void *arg)
{
	struct bed *bed = arg;

	bed->done = (uint32_t)gettid();
	sleep_until_called(bed);
	bed->done = 0;
	pthread_testcancel();
	return NULL;
}

static void
a_thread_is_not_cancelled_in_its_sleep(void **state)
{
	struct bed *bed = make_bed(*state);
	pthread_t thread;
	void *result;

	assert_int_equal(pthread_create(&thread, NULL, sleep_and_say_so, bed),
			 0);
	mpt_until(*state, bed->done && mpt_task_state((pid_t)bed->done) == 'S');
	assert_int_equal(pthread_cancel(thread), 0);
	call(bed);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_int_equal(bed->done, 0);
}

/*
 * A host and his guests go to bed and call each other: he sleeps until all of
 * them have called, they until he has. Every single call is needed.
 */
#define GUESTS 3

static int
be_a_guest(struct mpt *t, void *arg)
{
	struct bed *beds = mpt_scratch(t);
	unsigned number = (unsigned)(uintptr_t)arg;

	for (unsigned i = amount(2000); i; i--) {
		call(&beds[0]);
		sleep_until_called(&beds[number]);
	}
	return 0;
}

static int
be_the_host(struct mpt *t, void *arg)
{
	struct bed *beds = mpt_scratch(t);

	(void)arg;
	for (unsigned i = amount(2000); i; i--) {
		for (int n = 0; n < GUESTS; n++)
			sleep_until_called(&beds[0]);
		for (int n = 1; n <= GUESTS; n++)
			call(&beds[n]);
	}
	return 0;
}

static void
no_wake_up_is_lost(struct mpt *t)
{
	struct bed *beds = mpt_scratch(t);

	for (int n = 0; n <= GUESTS; n++)
		mpr_parker_init(&beds[n].parker);
	mpt_spawn(t, "host", be_the_host, NULL);
	for (uintptr_t n = 1; n <= GUESTS; n++)
		mpt_spawn(t, "guest", be_a_guest, (void *)n);
	mpt_join_all(t);
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

/* Waits for @word to be @value, without going far away. */
static void
spin_until(_Atomic uint32_t *word, uint32_t value)
{
	for (unsigned i = 1; *word != value; i++)
		if (i % 1000 == 0)
			sched_yield();
}

static void
spin(unsigned n)
{
	for (volatile unsigned i = 0; i < n; i++)
		;
}

static int
lie_down_when_told(struct mpt *t, void *arg)
{
	struct bed *bed = mpt_scratch(t);
	uint32_t rounds = *(unsigned *)arg, ticket;

	for (uint32_t i = 1; i <= rounds; i++) {
		ticket = mpr_parker_ticket(&bed->parker);
		bed->done = i;
		spin_until(&bed->called, i);
		spin(i % 8);
		while (mpr_parker_ticket(&bed->parker) == ticket)
			mpr_parker_wait(&bed->parker, ticket, MPR_NEVER);
		bed->got_up = i;
	}
	return 0;
}

/* Each looks at what the other has just written: what is still on its way to
 * memory must not be missed by both. */
static void
a_wake_up_at_the_very_moment_of_lying_down_is_not_lost(void **state)
{
	struct mpt *t = *state;
	struct bed *bed = make_bed(t);
	unsigned rounds = 200000 * amount(1);
	int id;

	mpt_watchdog(t, 60);
	id = mpt_spawn(t, "sleeper", lie_down_when_told, &rounds);

	for (uint32_t i = 1; i <= rounds; i++) {
		spin_until(&bed->done, i);
		bed->called = i;
		spin(i / 8 % 128);
		mpr_parker_wake(&bed->parker);
		mpt_until(t, bed->got_up == i);
	}
	mpt_expect_exit(t, id, 0);
}

static int
sleep_where_the_parent_does(struct mpt *t, void *arg)
{
	struct bed *bed = mpt_scratch(t);

	(void)arg;
	bed->got_up = 1;
	mpt_check_int(t, mpr_parker_wait(&bed->parker, 0,
					 mproc_now() + 15000 * MS), 0);
	return 0;
}

/* One that a signal handler has forked on its way to sleep; not with semaphores, of
 * which one gets the token. */
static void
a_child_does_not_have_its_parents_wake_up(void **state)
{
	struct mpt *t = *state;
	struct bed *bed = make_bed(t);

	if (mpr_parker_kind != 1)
		return;
	for (int i = 0; i < 2; i++) {
		int id;

		bed->got_up = 0;
		id = mpt_spawn(t, "sleeps", sleep_where_the_parent_does, NULL);
		mpt_until(t, bed->got_up && mpt_task_state(mpt_pid(t, id)) ==
						    'S');
	}
	mpr_parker_wake(&bed->parker);
	mpt_join_all(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_wake_up_since_the_ticket_is_not_slept_through),
		mpt_test(a_sleep_ends_at_its_deadline_and_not_before),
		mpt_test(a_wait_may_be_interrupted),
		mpt_test(a_sleeper_in_another_process_is_woken),
		mpt_test(a_sleeper_in_another_thread_is_woken),
		mpt_test(a_child_does_not_have_its_parents_wake_up),
		mpt_test(wake_ups_without_a_sleeper_leave_nothing),
		mpt_test(wake_ups_of_a_stopped_sleeper_do_not_pile_up),
		mpt_test(who_comes_after_a_killed_sleeper_sleeps_and_is_woken),
		mpt_test(who_comes_after_killed_wakers_sleeps_and_is_woken),
		mpt_test(a_signal_handler_wakes_whom_it_interrupts),
		mpt_test(a_thread_is_not_cancelled_in_its_sleep),
		mpt_test(a_wake_up_at_the_very_moment_of_lying_down_is_not_lost),
		mpt_test(no_wake_up_is_lost_between_processes),
		mpt_test(no_wake_up_is_lost_between_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
