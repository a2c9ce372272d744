/* SPDX-License-Identifier: MIT */
/*
 * Sleepers share the looks for the dead. Most of them are stopped: the others are
 * to look as often as they would if they were alone, after a moment, and not when
 * the share of those comes to an end that they had.
 */
#include <sched.h>

#include "arena/recover.h"
#include "crowd.h"
#include "sync/park.h"

#define CROWD 400
#define FEW 2
#define LOOKS 12 /* each begins and ends */
#define SHORT 1000000000 /* ns, in which those who glance only do so four times */
#define SMALL_CROWD 20
#define GLANCES 100
#define MS INT64_C(1000000)
#define PRETENDED 300000000 /* ns */
#define LATE 50000000 /* ns */
#define AT_IT (UINT64_C(1) << 63) /* as in sync/park.c */

#define GLANCE 45000000 /* ns */
#define SLICE 75000000 /* ns, the longest, of who believes to be alone */
#define FAR 5000 /* ms */
#define SOON 1000 /* ms */

/* Something in the arena to sleep for. */
static void *object;

/* In the scratch bytes. */
struct crowd {
	_Atomic unsigned joined;
	_Atomic unsigned go;
	_Atomic unsigned slot; /* of who sleeps alone, from 1 */
	_Atomic unsigned victim; /* the same of who is killed */
};

static void *
sleep_in_a_crowd(void *arg)
{
	struct mpr_self *self = join_arena(arg);
	struct crowd *c = mpt_scratch(arg);

	c->joined++;
	while (!c->go)
		sched_yield();
	for (;;)
		mpr_park(self, object, mpr_park_ticket(self), MPR_NEVER);
	return NULL;
}

/* Threads, whose slices begin when they first sleep. */
static int
be_a_crowd(struct mpt *t, void *arg)
{
	pthread_t thread;

	for (int i = 0; i < *(const int *)arg; i++)
		mpt_check_int(t, pthread_create(&thread, NULL, sleep_in_a_crowd,
						t), 0);
	wait_to_be_killed(t);
	return 0;
}

static unsigned
sleepers(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < mpr_participants_high(the_arena()); i++)
		n += is_there(i) &&
		     mpr_participant_at(the_arena(), i)->wait_object != 0;
	return n;
}

/* Whether all who sleep have looked. */
static bool
all_have_looked(void)
{
	for (unsigned i = 0; i < mpr_participants_high(the_arena()); i++) {
		struct mpr_participant *p = mpr_participant_at(the_arena(), i);

		if (is_there(i) && p->wait_object && !p->looks_by)
			return false;
	}
	return true;
}

/* Until there are many looks in a short time, or the watchdog comes. */
static void
await_frequent_looks(void)
{
	_Atomic uint64_t *last = &the_arena()->shm->last_look;
	uint64_t seen = atomic_load(last);
	int64_t since = mproc_now();

	for (int looks = 0; looks < LOOKS; sched_yield()) {
		if (mproc_now() - since > SHORT) {
			since = mproc_now();
			looks = 0;
		}
		if (atomic_load(last) != seen) {
			seen = atomic_load(last);
			looks++;
		}
	}
}

/* The crowd would share the looks with the others, which are to notice that it does
 * not. */
static void
few_look_for_a_crowd_that_is_stopped(struct mpt *t, bool looks_first)
{
	struct crowd *c = mpt_scratch(t);
	int many = CROWD, few = FEW, crowd;

	crowd = mpt_spawn(t, "crowd", be_a_crowd, &many);
	mpt_spawn(t, "sleepers", be_a_crowd, &few);
	mpt_until(t, c->joined == CROWD + FEW);
	c->go = 1;
	mpt_until(t, sleepers() == CROWD + FEW);
	if (looks_first)
		mpt_until(t, all_have_looked());
	mpt_pause(t, crowd);
	await_frequent_looks();
	mpt_kill(t, crowd);
	mpt_kill(t, crowd + 1);
	mpr_recover_all(the_arena(), true);
}

static void
a_crowd_that_has_just_fallen_asleep_is_stopped(void **state)
{
	few_look_for_a_crowd_that_is_stopped(*state, false);
}

static void
a_crowd_that_has_just_looked_is_stopped(void **state)
{
	few_look_for_a_crowd_that_is_stopped(*state, true);
}

static uint32_t
now_in_ms(void)
{
	return (uint32_t)(mproc_now() / 1000000);
}

/* Says who it is, then sleeps. */
static int
sleep_alone(struct mpt *t, void *arg)
{
	struct mpr_self *self = join_arena(t);
	_Atomic unsigned *slot = arg;

	*slot = self->slot + 1;
	for (;;)
		mpr_park(self, object, mpr_park_ticket(self), MPR_NEVER);
	return 0;
}

static int
join_and_wait(struct mpt *t, void *arg)
{
	_Atomic unsigned *slot = arg;

	*slot = join_arena(t)->slot + 1;
	wait_to_be_killed(t);
	return 0;
}

/*
 * A crowd that has looked for a while ends, or is stopped. One sleeper is left, which
 * has said that it looks in a long time, as that was its share. It is to find a dead
 * one earlier than that by far.
 */
static void
looks_sooner_than_it_said(struct mpt *t, bool ends)
{
	struct crowd *c = mpt_scratch(t);
	int many = CROWD, crowd, last, victim;
	_Atomic uint32_t *by;
	uint32_t said;
	int32_t left;

	mpt_watchdog(t, 60);
	crowd = mpt_spawn(t, "crowd", be_a_crowd, &many);
	mpt_until(t, c->joined == CROWD);
	c->go = 1;
	mpt_until(t, sleepers() == CROWD);
	mpt_until(t, all_have_looked());
	last = mpt_spawn(t, "last", sleep_alone, &c->slot);
	victim = mpt_spawn(t, "victim", join_and_wait, &c->victim);
	mpt_until(t, c->slot != 0 && c->victim != 0);
	by = &mpr_participant_at(the_arena(), c->slot - 1)->looks_by;
	mpt_until(t, (int32_t)(*by - now_in_ms()) > FAR);
	said = *by;
	if (ends)
		mpt_kill(t, crowd);
	else
		mpt_pause(t, crowd);
	mpt_kill(t, victim);
	mpt_until(t, !is_there(c->victim - 1));
	left = (int32_t)(said - now_in_ms());
	if (!ends)
		mpt_kill(t, crowd);
	mpt_kill(t, last);
	mpr_recover_all(the_arena(), true);
	assert_true(left > SOON);
}

/* By its own times, which no load of the machine changes. */
static int
sleep_and_glance(struct mpt *t, void *arg)
{
	struct mpr_self *self = join_arena(t);
	struct mpr_pace *pace = &self->pace;
	int64_t now;

	(void)arg;
	while (pace->interval < SMALL_CROWD * 40 * MS)
		mpr_park(self, object, mpr_park_ticket(self), MPR_NEVER);
	for (int i = 0; i < GLANCES; i++) {
		mpr_park(self, object, mpr_park_ticket(self), mproc_now() + MS);
		now = mproc_now();
		mpt_check(t, pace->glance_at <= now + GLANCE ||
				     pace->look_at <= now + SLICE);
		/* At the same moments as all others. */
		mpt_check(t, pace->glance_at == MPR_NEVER ||
				     pace->glance_at % GLANCE == 0);
	}
	return 0;
}

static void
who_sleeps_among_twenty_glances_soon(void **state)
{
	int many = SMALL_CROWD, crowd, one;
	struct mpt *t = *state;
	struct crowd *c = mpt_scratch(t);

	crowd = mpt_spawn(t, "crowd", be_a_crowd, &many);
	mpt_until(t, c->joined == SMALL_CROWD);
	c->go = 1;
	mpt_until(t, sleepers() == SMALL_CROWD);
	one = mpt_spawn(t, "one", sleep_and_glance, NULL);
	mpt_expect_exit(t, one, 0);
	mpt_kill(t, crowd);
	mpr_recover_all(the_arena(), true);
}

static void
who_is_left_by_a_crowd_that_ends_looks_soon(void **state)
{
	looks_sooner_than_it_said(*state, true);
}

static void
who_is_left_by_a_crowd_that_is_stopped_looks_soon(void **state)
{
	looks_sooner_than_it_said(*state, false);
}

/* Says for a while that another one looks, whether or not it is our turn to run. Tells
 * whether one looked in spite of it. Returns false if we were late once. */
static bool
pretend_to_look(bool *ret_looked)
{
	_Atomic uint64_t *last = &the_arena()->shm->last_look;
	int64_t now = mproc_now(), end = now + PRETENDED, before;
	uint64_t was, says, said = 0;
	bool late = false;

	*ret_looked = false;
	while (now < end) {
		says = AT_IT | (uint64_t)(now / MS) << 16 | 0xffff;
		was = atomic_exchange(last, says);
		*ret_looked = *ret_looked || (said && was != said);
		said = says;
		sched_yield();
		before = now;
		now = mproc_now();
		late = late || now - before > LATE;
	}
	return !late;
}

/* Or all would recover from the same dead ones, and each wake all. */
static void
one_of_a_crowd_looks_at_a_time(void **state)
{
	int many = SMALL_CROWD, crowd;
	struct mpt *t = *state;
	struct crowd *c = mpt_scratch(t);
	bool looked, sure;

	crowd = mpt_spawn(t, "crowd", be_a_crowd, &many);
	mpt_until(t, c->joined == SMALL_CROWD);
	c->go = 1;
	mpt_until(t, sleepers() == SMALL_CROWD);
	mpt_until(t, all_have_looked());
	do {
		pretend_to_look(&looked); /* until who looks already has looked */
		sure = pretend_to_look(&looked);
	} while (!sure && looked);
	mpt_kill(t, crowd);
	mpr_recover_all(the_arena(), true);
	assert_false(looked);
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
		mpt_test(a_crowd_that_has_just_fallen_asleep_is_stopped),
		mpt_test(a_crowd_that_has_just_looked_is_stopped),
		mpt_test(who_sleeps_among_twenty_glances_soon),
		mpt_test(who_is_left_by_a_crowd_that_ends_looks_soon),
		mpt_test(who_is_left_by_a_crowd_that_is_stopped_looks_soon),
		mpt_test(one_of_a_crowd_looks_at_a_time),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
