/* SPDX-License-Identifier: MIT */
/*
 * Neighbours are the next that lives and the next that sleeps, in the order of slots,
 * which goes round. The dead in between are recovered from.
 */
#include <mproc/arena.h>
#include <mproc/core.h>

#include "arena/recover.h"
#include "beside.h"
#include "crowd.h"
#include "sync/neighbours.h"
#include "sync/park.h"

#define SHORT 1000000 /* ns */

/* Something in the arena to sleep for. */
static void *object;

/* In the scratch bytes: a slot and 1. */
struct board {
	_Atomic unsigned awake, asleep, last, victim, leaver;
	_Atomic bool may_leave;
};

/* For good: one that really sleeps is awake between two slices, and looks. */
static int
join_and_seem_asleep(struct mpt *t, void *arg)
{
	struct mpr_self *self = join_arena(t);
	_Atomic unsigned *slot = arg;

	self->shared->wait_object = mpr_arena_name(self->arena, object);
	*slot = self->slot + 1;
	wait_to_be_killed(t);
	return 0;
}

static int
join_and_stay_awake(struct mpt *t, void *arg)
{
	_Atomic unsigned *slot = arg;

	*slot = join_arena(t)->slot + 1;
	wait_to_be_killed(t);
	return 0;
}

static int
spawn(struct mpt *t, int (*role)(struct mpt *, void *), _Atomic unsigned *slot)
{
	int id = mpt_spawn(t, "one", role, slot);

	mpt_until(t, *slot != 0);
	return id;
}

/* The one with the highest slot. */
static int
find_beyond_the_end(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct mpr_self *self = join_arena(t);
	struct mpr_neighbours n;

	mpt_check(t, self->slot > b->last - 1);
	mpr_neighbours_find(self, &n);
	mpt_check_int(t, n.count, 2);
	mpt_check(t, n.life[0] == life_of(*(const unsigned *)arg));
	mpt_check(t, n.life[1] == life_of(b->asleep - 1));
	return 0;
}

static void
they_are_the_next_that_lives_and_the_next_that_sleeps(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	struct mpr_self *self = join_arena(t);
	unsigned own = self->slot;
	struct mpr_neighbours n;
	int awake, asleep, last;

	awake = spawn(t, join_and_stay_awake, &b->awake);
	asleep = spawn(t, join_and_seem_asleep, &b->asleep);
	last = spawn(t, join_and_seem_asleep, &b->last);
	assert_true(own < b->awake - 1 && b->awake < b->asleep &&
		    b->asleep < b->last);
	assert_false(mpr_neighbours_find(self, &n));
	assert_int_equal(n.count, 2);
	assert_ptr_equal(n.life[0], life_of(b->awake - 1));
	assert_ptr_equal(n.life[1], life_of(b->asleep - 1));
	mpt_expect_exit(t, mpt_spawn(t, "beyond", find_beyond_the_end, &own),
			0);
	mpr_recover_all(the_arena(), true);

	mpt_kill(t, awake);
	assert_true(mpr_neighbours_find(self, &n));
	assert_false(is_there(b->awake - 1));
	assert_int_equal(n.count, 1);
	assert_ptr_equal(n.life[0], life_of(b->asleep - 1));

	mpt_kill(t, asleep);
	mpt_kill(t, last);
	assert_true(mpr_neighbours_find(self, &n));
	assert_int_equal(n.count, 0);
	assert_false(is_there(b->asleep - 1) || is_there(b->last - 1));
}

static int
sleep_for_long(struct mpt *t, void *arg)
{
	struct mpr_self *self = join_arena(t);
	struct board *b = arg;

	b->asleep = self->slot + 1;
	mpt_until(t, b->victim != 0);
	share_with_many(self);
	for (;;) {
		mpr_park(self, object, mpr_park_ticket(self), MPR_NEVER);
		/* It does not go on before that. */
		mpt_check(t, !is_there(b->victim - 1));
	}
	return 0;
}

static void
a_sleeper_is_told_of_its_neighbours_death(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int sleeper, victim;

	if (!can_sleep_beside())
		skip();
	mpt_watchdog(t, 30);
	sleeper = mpt_spawn(t, "sleeper", sleep_for_long, b);
	mpt_until(t, b->asleep != 0);
	victim = spawn(t, join_and_stay_awake, &b->victim);
	assert_true(b->asleep < b->victim);
	mpt_until(t, is_watched(life_of(b->victim - 1)));
	mpt_kill(t, victim);
	mpt_until(t, !is_there(b->victim - 1));
	mpt_kill(t, sleeper);
	mpr_recover_all(the_arena(), true);
}

/* As it costs more to sleep beside others. */
static void
a_short_sleep_is_in_the_parker_alone(void **state)
{
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t);
	struct board *b = mpt_scratch(t);
	int neighbour = spawn(t, join_and_stay_awake, &b->awake);
	int64_t began;

	share_with_many(self);
	/* Or it is late, and a glance comes in between. */
	do {
		seem_unwatched(life_of(b->awake - 1));
		began = mproc_now();
		mpr_park(self, object, mpr_park_ticket(self), began + SHORT);
	} while (began / CROWD_GLANCE != mproc_now() / CROWD_GLANCE);
	self->pace = (struct mpr_pace){ 0 };
	mpt_kill(t, neighbour);
	mpr_recover_all(the_arena(), true);
	assert_false(is_watched(life_of(b->awake - 1)));
}

/* Who would be told of the first death is as one that is stopped. */
static void
who_is_told_of_a_death_looks_for_others(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int sleeper, neighbour, stopped, victim;

	if (!can_sleep_beside())
		skip();
	sleeper = mpt_spawn(t, "sleeper", sleep_for_long, b);
	mpt_until(t, b->asleep != 0);
	neighbour = spawn(t, join_and_stay_awake, &b->awake);
	stopped = spawn(t, join_and_seem_asleep, &b->last);
	victim = spawn(t, join_and_stay_awake, &b->leaver);
	mpt_kill(t, victim);
	assert_true(b->asleep < b->awake && b->awake < b->last &&
		    b->last < b->leaver);
	b->victim = b->awake;
	mpt_until(t, is_watched(life_of(b->awake - 1)) &&
			     is_watched(life_of(b->last - 1)));
	assert_true(is_there(b->leaver - 1));
	mpt_kill(t, neighbour);
	mpt_until(t, !is_there(b->leaver - 1));
	mpt_kill(t, stopped);
	mpt_kill(t, sleeper);
	mpr_recover_all(the_arena(), true);
}

/* Its neighbour is another one by the time of the death, of which nobody else is told. */
static void
who_is_told_of_a_death_recovers_from_that_one(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int sleeper, former, victim, newcomer;

	if (!can_sleep_beside())
		skip();
	sleeper = mpt_spawn(t, "sleeper", sleep_for_long, b);
	mpt_until(t, b->asleep != 0);
	former = spawn(t, join_and_stay_awake, &b->leaver);
	victim = spawn(t, join_and_stay_awake, &b->awake);
	mpt_kill(t, former);
	mpr_recover_all(the_arena(), true);
	b->victim = b->awake;
	mpt_until(t, is_watched(life_of(b->victim - 1)));
	newcomer = spawn(t, join_and_seem_asleep, &b->last);
	assert_true(b->asleep < b->last && b->last < b->victim);
	assert_false(is_watched(life_of(b->last - 1)));
	mpt_kill(t, victim);
	mpt_until(t, !is_there(b->victim - 1));
	mpt_kill(t, newcomer);
	mpt_kill(t, sleeper);
	mpr_recover_all(the_arena(), true);
}

static int
join_and_leave(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	_Atomic unsigned *slot = arg;

	*slot = join_arena(t)->slot + 1;
	mpt_until(t, b->may_leave);
	mpr_self_leave();
	wait_to_be_killed(t);
	return 0;
}

/* A look goes over all participants and pipes. */
static void
nobody_looks_for_the_dead_as_a_neighbour_leaves(void **state)
{
	_Atomic uint64_t *look = &the_arena()->shm->last_look;
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int sleeper, leaver, next;
	uint64_t before;

	if (!can_sleep_beside())
		skip();
	sleeper = mpt_spawn(t, "sleeper", sleep_for_long, b);
	mpt_until(t, b->asleep != 0);
	leaver = spawn(t, join_and_leave, &b->leaver);
	next = spawn(t, join_and_stay_awake, &b->awake);
	b->victim = b->leaver;
	assert_true(b->asleep < b->leaver && b->leaver < b->awake);
	mpt_until(t, is_watched(life_of(b->leaver - 1)));
	before = atomic_load(look);
	b->may_leave = true;
	mpt_until(t, is_watched(life_of(b->awake - 1)) ||
			     atomic_load(look) != before);
	assert_true(atomic_load(look) == before);
	mpt_kill(t, leaver);
	mpt_kill(t, next);
	mpt_kill(t, sleeper);
	mpr_recover_all(the_arena(), true);
}

static void
note_cancel_state(void *ret_state, int level, const char *text)
{
	(void)level;
	(void)text;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, ret_state);
	pthread_setcancelstate(*(int *)ret_state, NULL);
}

/* The program's log function may be a place where threads are cancelled. */
static void
nobody_is_cancelled_in_the_middle_of_recovery(void **state)
{
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t);
	struct board *b = mpt_scratch(t);
	struct mpr_neighbours n;
	int during = -1, after;

	mpt_kill(t, spawn(t, join_and_stay_awake, &b->victim));
	mproc_log_set(MPROC_LOG_INFO, note_cancel_state, &during);
	assert_true(mpr_neighbours_find(self, &n));
	mproc_log_set(MPROC_LOG_OFF, NULL, NULL);
	note_cancel_state(&after, 0, NULL);
	assert_int_equal(during, PTHREAD_CANCEL_DISABLE);
	assert_int_equal(after, PTHREAD_CANCEL_ENABLE);
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
		mpt_test(they_are_the_next_that_lives_and_the_next_that_sleeps),
		mpt_test(a_sleeper_is_told_of_its_neighbours_death),
		mpt_test(a_short_sleep_is_in_the_parker_alone),
		mpt_test(who_is_told_of_a_death_looks_for_others),
		mpt_test(who_is_told_of_a_death_recovers_from_that_one),
		mpt_test(nobody_looks_for_the_dead_as_a_neighbour_leaves),
		mpt_test(nobody_is_cancelled_in_the_middle_of_recovery),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
