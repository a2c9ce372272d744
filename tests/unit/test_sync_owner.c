/* SPDX-License-Identifier: MIT */
/*
 * Who waits for what another one has learns of that one's death, whatever becomes of all
 * the others that sleep: from the kernel, or at its next glance, which is soon.
 */
#include <mproc/mproc.h>

#include "arena/recover.h"
#include "beside.h"
#include "crowd.h"
#include "sync/holder.h"
#include "sync/park.h"
#include "sync/wait.h"

#define MS INT64_C(1000000)
#define MANY 20 /* more than look for the dead one by one */
#define FAR 1000 /* a slot that nobody has had */
#define AT_IT (UINT64_C(1) << 63) /* as in sync/park.c */
#define BRIEF 10 /* ms, as there */
#define SURE (8 * MS)
#define PROMPT (8 * MS)

/* In the scratch bytes: slots and 1, and how many wait. */
struct board {
	_Atomic unsigned owner, waiting, sleeper, awake, waits, turns;
	_Atomic bool may_sleep;
};

static mproc_lock *lock;
static mproc_condition *condition;
static void *something_else; /* to sleep for */

static int
own_the_lock(struct mpt *t, void *arg)
{
	struct board *b = arg;
	struct mpr_self *self = join_arena(t);

	mpt_check_int(t, mproc_lock_acquire(lock, MPROC_NOWAIT), 0);
	b->owner = self->slot + 1;
	wait_to_be_killed(t);
	return 0;
}

static void *
wait_for_it_for_ever(void *t)
{
	share_with_many(join_arena(t));
	mpt_check_int(t, mproc_lock_acquire(lock, MPROC_FOREVER), 0);
	return NULL;
}

static int
be_a_crowd(struct mpt *t, void *arg)
{
	pthread_t thread;

	for (int i = 0; i < *(const int *)arg; i++)
		mpt_check_int(t, pthread_create(&thread, NULL,
						wait_for_it_for_ever, t), 0);
	wait_to_be_killed(t);
	return 0;
}

static int
take_it_when_told(struct mpt *t, void *arg)
{
	(void)arg;
	share_with_many(join_arena(t));
	mpt_check_int(t, mproc_lock_acquire(lock, MPROC_FOREVER),
		      MPROC_OWNER_DIED);
	mpt_check_int(t, mproc_lock_consistent(lock), 0);
	mpt_check_int(t, mproc_lock_release(lock), 0);
	return 0;
}

static unsigned
waiters(void)
{
	struct mproc_owner owner;

	assert_int_equal(mproc_lock_owner(lock, &owner), 0);
	return owner.waiters;
}

static int
start_owner(struct mpt *t, struct board *b)
{
	int id = mpt_spawn(t, "owner", own_the_lock, b);

	mpt_until(t, b->owner != 0);
	return id;
}

/* Those that are stopped have waited for longer, and the kernel does not tell them. */
static void
one_is_left_by_a_stopped_crowd_of(struct mpt *t, int many)
{
	struct board *b = mpt_scratch(t);
	int owner, crowd, one;

	if (!can_sleep_beside())
		skip();
	mpt_watchdog(t, 60);
	owner = start_owner(t, b);
	crowd = mpt_spawn(t, "crowd", be_a_crowd, &many);
	mpt_until(t, waiters() == (unsigned)many && is_watched(life_of_owner(b->owner - 1)));
	mpt_pause(t, crowd);
	seem_unwatched(life_of_owner(b->owner - 1));
	one = mpt_spawn(t, "one", take_it_when_told, b);
	mpt_until(t, is_watched(life_of_owner(b->owner - 1)) &&
			     mpt_task_state(mpt_pid(t, one)) == 'S');
	mpt_kill(t, owner);
	mpt_expect_exit(t, one, 0);
	mpt_kill(t, crowd);
	mpr_recover_all(the_arena(), true);
}

static void
one_of_forty_that_are_stopped_gets_a_dead_ones_lock(void **state)
{
	one_is_left_by_a_stopped_crowd_of(*state, 40);
}

static void
one_of_a_hundred_that_are_stopped_gets_a_dead_ones_lock(void **state)
{
	one_is_left_by_a_stopped_crowd_of(*state, 100);
}

static int
wait_alone(struct mpt *t, void *arg)
{
	struct mpr_self *self = join_arena(t);

	(void)arg;
	mpt_check_int(t, mproc_lock_acquire(lock, MPROC_FOREVER),
		      MPROC_OWNER_DIED);
	mpt_check(t, self->pace.interval <= 50 * MS);
	mpt_check_int(t, mproc_lock_consistent(lock), 0);
	mpt_check_int(t, mproc_lock_release(lock), 0);
	return 0;
}

/* Otherwise it would learn of the death when it looks for the dead. */
static void
who_is_alone_sleeps_beside_its_owner(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int owner, one;

	if (!can_sleep_beside())
		skip();
	mpt_watchdog(t, 30);
	owner = start_owner(t, b);
	one = mpt_spawn(t, "alone", wait_alone, b);
	mpt_until(t, is_watched(life_of_owner(b->owner - 1)));
	mpt_kill(t, owner);
	mpt_expect_exit(t, one, 0);
}

static int
sleep_before_the_owner(struct mpt *t, void *arg)
{
	struct mpr_self *self = join_arena(t);
	struct board *b = arg;

	b->sleeper = self->slot + 1;
	mpt_until(t, b->may_sleep);
	share_with_many(self);
	for (;;) {
		mpr_park(self, something_else, mpr_park_ticket(self), MPR_NEVER);
		b->turns++;
	}
	return 0;
}

/* And does not end, which the sleeper would be told of. */
static int
take_it_and_stay(struct mpt *t, void *arg)
{
	struct board *b = arg;

	b->waits = join_arena(t)->slot + 1;
	take_it_when_told(t, arg);
	b->waiting = 1;
	wait_to_be_killed(t);
	return 0;
}

static int
stay_awake(struct mpt *t, void *arg)
{
	struct board *b = arg;

	b->awake = join_arena(t)->slot + 1;
	wait_to_be_killed(t);
	return 0;
}

/* Who waits for the owner has slept for longer; that the wake-up is its does not mean that
 * the owner's neighbour has none: of the next one's death nobody else would be told. */
static void
an_owners_neighbour_is_told_as_well(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int sleeper, owner, awake, waits;

	if (!can_sleep_beside())
		skip();
	mpt_watchdog(t, 30);
	sleeper = mpt_spawn(t, "sleeper", sleep_before_the_owner, b);
	mpt_until(t, b->sleeper != 0);
	owner = start_owner(t, b);
	awake = mpt_spawn(t, "awake", stay_awake, b);
	mpt_until(t, b->awake != 0);
	assert_true(b->sleeper < b->owner && b->owner < b->awake);
	waits = mpt_spawn(t, "waits", take_it_and_stay, b);
	mpt_until(t, waiters() == 1 && is_watched(life_of_owner(b->owner - 1)) &&
			     mpt_task_state(mpt_pid(t, waits)) == 'S');
	b->may_sleep = true;
	/* It sleeps beside both. */
	mpt_until(t, is_watched(life_of(b->waits - 1)) &&
			     mpt_task_state(mpt_pid(t, sleeper)) == 'S');
	mpt_kill(t, owner);
	mpt_until(t, b->waiting == 1);
	/* It has looked, or has another neighbour. */
	mpt_until(t, b->turns > 0 || is_watched(life_of(b->awake - 1)));
	mpt_kill(t, waits);
	mpt_kill(t, sleeper);
	mpt_kill(t, awake);
	mpr_recover_all(the_arena(), true);
}

static void
begin_to_wait(struct mpr_wait *w, struct mpr_self *self, const void *object,
	      int owner)
{
	mpr_wait_begin(w, self, object, MPR_WAIT_TURN);
	mpr_wait_announce(w, owner);
}

static void
end_the_wait(struct mpr_wait *w)
{
	mpr_wait_end(w);
	mpr_wait_finish(w);
}

/* The wake-up has gone to one that was stopped just then, or there are no such: at each
 * glance, of which the first is at the end of a sleep's first part, it looks itself. */
static void
who_is_not_told_sees_the_death_at_a_glance(void **state)
{
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t);
	struct board *b = mpt_scratch(t);
	struct mpr_wait w;

	mpt_kill(t, start_owner(t, b));
	share_with_many(self);
	begin_to_wait(&w, self, lock, -2);
	while (is_there(b->owner - 1))
		mpr_wait_sleep(&w, MPR_NEVER);
	end_the_wait(&w);
	self->pace = (struct mpr_pace){ 0 };
}

/* Of one in a crowd: how long it is from the end of a sleep to its next glance, at most. */
static int64_t
time_to_glance(struct mpr_self *self, int owner)
{
	struct mpr_wait w;
	int64_t end;

	share_with_many(self);
	begin_to_wait(&w, self, lock, owner);
	mpr_unpark(the_arena(), self->slot);
	mpr_wait_sleep(&w, MPR_NEVER);
	end = mproc_now();
	end_the_wait(&w);
	end = self->pace.glance_at - end;
	self->pace = (struct mpr_pace){ 0 };
	return end;
}

static void
who_waits_for_an_owner_glances_soon(void **state)
{
	struct mpr_self *self = join_arena(*state);

	assert_true(time_to_glance(self, -2) <= CROWD_GLANCE);
	assert_true(time_to_glance(self, (int)self->slot) <= CROWD_GLANCE);
	assert_true(time_to_glance(self, -1) >= CROWD_LONG / 2);
}

static int
wait_to_be_notified(struct mpt *t, void *arg)
{
	struct mpr_self *self = join_arena(t);
	struct board *b = arg;

	mpt_check_int(t, mproc_lock_acquire(lock, MPROC_FOREVER), 0);
	b->sleeper = self->slot + 1;
	share_with_many(self);
	mpt_check_int(t, mproc_condition_wait(condition, lock, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_lock_release(lock), 0);
	return 0;
}

/* In milliseconds, of one that sleeps in a crowd. */
static int32_t
glances_in(unsigned slot)
{
	uint32_t by = mpr_participant_at(the_arena(), slot)->glances_by;

	return by ? (int32_t)(by - (uint32_t)(mproc_now() / MS)) : 0;
}

/* Who was notified waits for who has the lock, without having been woken for that; and
 * fell asleep as one that waits for nobody. */
static void
who_is_notified_glances_soon(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int id = mpt_spawn(t, "notified", wait_to_be_notified, b);

	mpt_watchdog(t, 30);
	/* It is in the second part of its sleep. */
	mpt_until(t, b->sleeper != 0 &&
			     glances_in(b->sleeper - 1) > CROWD_LONG / MS / 2 &&
			     mpt_task_state(mpt_pid(t, id)) == 'S');
	assert_int_equal(mproc_lock_acquire(lock, MPROC_FOREVER), 0);
	assert_int_equal(mproc_condition_notify(condition, 1), 1);
	mpt_until(t, glances_in(b->sleeper - 1) <= CROWD_GLANCE / MS);
	assert_int_equal(mproc_lock_release(lock), 0);
	mpt_expect_exit(t, id, 0);
}

/* As one that sleeps, and is going to look in time. */
static void *
be_one_of_many(void *t)
{
	struct board *b = mpt_scratch(t);
	struct mpr_participant *p = join_arena(t)->shared;

	p->wait_object = 1;
	p->looks_by = (uint32_t)((mproc_now() + CROWD_LONG) / MS);
	b->waiting++;
	wait_to_be_killed(t);
	return NULL;
}

static int
be_at_a_look_in_a_crowd(struct mpt *t, void *arg)
{
	struct board *b = arg;
	pthread_t thread;

	b->sleeper = join_arena(t)->slot + 1;
	for (int i = 0; i < MANY; i++)
		mpt_check_int(t, pthread_create(&thread, NULL, be_one_of_many, t), 0);
	wait_to_be_killed(t);
	return 0;
}

/* What the word of a look says that began or ended at @at. */
static uint64_t
look_at(int64_t at, unsigned slot)
{
	return (uint64_t)(at / MS) << 16 | slot;
}

/* How long another one has to be at a look until we look, in milliseconds. Before it began,
 * one was finished. */
static int64_t
time_left_to_who_looks(struct mpr_wait *w, unsigned slot)
{
	_Atomic uint64_t *last = &the_arena()->shm->last_look;
	struct mpr_self *self = w->self;
	int64_t began = mproc_now();
	uint64_t look = AT_IT | look_at(began, slot);

	atomic_store(&the_arena()->shm->finished_look, look_at(began, slot));
	atomic_store(last, look);
	while (atomic_load(last) == look) {
		self->pace = (struct mpr_pace){ .slice_end = INT64_MAX,
						.look_at = 1,
						.interval = 24 * CROWD_LONG };
		mpr_wait_sleep(w, mproc_now() + MS);
	}
	self->pace = (struct mpr_pace){ 0 };
	return mproc_now() / MS - began / MS;
}

/* It may have been stopped. */
static void
who_waits_for_one_of_several_leaves_a_look_less_time(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int id = mpt_spawn(t, "looks", be_at_a_look_in_a_crowd, b);
	struct mpr_wait w;
	int64_t ms;

	mpt_watchdog(t, 30);
	mpt_until(t, b->waiting == MANY);
	begin_to_wait(&w, join_arena(t), lock, -2);
	/* Unless the test is late. */
	do
		ms = time_left_to_who_looks(&w, b->sleeper - 1);
	while (ms >= 100);
	end_the_wait(&w);
	assert_true(ms >= BRIEF);
	begin_to_wait(&w, join_arena(t), lock, -1);
	assert_true(time_left_to_who_looks(&w, b->sleeper - 1) >= 100);
	end_the_wait(&w);
	mpt_kill(t, id);
	mpr_recover_all(the_arena(), true);
}

/* A look of another one says @flag just now; the last one that was finished began @ms ago.
 * Whether we look when it is time for a glance. */
static bool
looks_at_a_glance(struct mpr_wait *w, uint64_t flag, int64_t ms)
{
	struct mpr_arena_shm *shm = the_arena()->shm;
	uint64_t look;
	int64_t began;
	bool looked;

	do {
		began = mproc_now();
		look = flag | look_at(began, FAR);
		atomic_store(&shm->last_look, look);
		atomic_store(&shm->finished_look, look_at(began - ms * MS, FAR));
		w->self->pace = (struct mpr_pace){
			.slice_end = MPR_NEVER, .look_at = MPR_NEVER,
			.glance_at = 1, .interval = 24 * CROWD_LONG,
		};
		mpr_unpark(the_arena(), w->self->slot);
		mpr_wait_sleep(w, MPR_NEVER);
		looked = atomic_load(&shm->last_look) != look;
	} while (mproc_now() - began > SURE);
	w->self->pace = (struct mpr_pace){ 0 };
	return looked;
}

/* Of deaths since the last look that was finished began nothing is known, however many
 * have begun to look since then, or have ended one that began before that. */
static void
who_waits_for_one_of_several_relies_on_looks_that_were_finished(void **state)
{
	struct mpr_self *self = join_arena(*state);
	struct mpr_wait w;

	begin_to_wait(&w, self, lock, -2);
	assert_true(looks_at_a_glance(&w, AT_IT, BRIEF));
	assert_true(looks_at_a_glance(&w, 0, BRIEF));
	assert_false(looks_at_a_glance(&w, AT_IT, 0));
	assert_false(looks_at_a_glance(&w, 0, 0));
	/* Of somebody who has scribbled. */
	assert_true(looks_at_a_glance(&w, AT_IT, -1000));
	end_the_wait(&w);
	begin_to_wait(&w, self, lock, -1);
	assert_false(looks_at_a_glance(&w, AT_IT, 1000));
	assert_false(looks_at_a_glance(&w, 0, 1000));
	end_the_wait(&w);
}

struct slow_look {
	uint64_t before, during; /* the word of the last finished one */
	int64_t at;
};

/* The log's, in the middle of a look that recovers from somebody. */
static void
take_a_while(void *arg, int level, const char *text)
{
	struct slow_look *s = arg;

	(void)level;
	(void)text;
	s->during = atomic_load(&the_arena()->shm->finished_look);
	s->at = mproc_now() / MS;
	while (mproc_now() / MS < s->at + 2)
		;
}

/* Who has died since, it may not have seen. */
static void
a_finished_look_tells_when_it_began(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	struct mpr_self *self = join_arena(t);
	_Atomic uint64_t *word = &the_arena()->shm->finished_look;
	struct slow_look s = { .before = look_at(1000 * MS, FAR) };
	int id = mpt_spawn(t, "victim", stay_awake, b);

	mpt_until(t, b->awake != 0);
	mpt_kill(t, id);
	atomic_store(word, s.before);
	self->pace = (struct mpr_pace){ .slice_end = 1, .look_at = 1 };
	mproc_log_set(MPROC_LOG_INFO, take_a_while, &s);
	mpr_park(self, something_else, mpr_park_ticket(self), mproc_now() + MS);
	mproc_log_set(MPROC_LOG_OFF, NULL, NULL);
	self->pace = (struct mpr_pace){ 0 };
	assert_false(is_there(b->awake - 1));
	assert_true(s.during == s.before);
	assert_true(atomic_load(word) != s.before);
	assert_true((int64_t)(atomic_load(word) >> 16) <= s.at);
}

/* At the @n-th glance from @start on, just after another one has begun a look. Returns
 * false if it was late. */
static bool
glance_beside_a_look(struct mpr_wait *w, int64_t start, int n)
{
	int64_t at = start - start % CROWD_GLANCE + n * CROWD_GLANCE;

	atomic_store(&the_arena()->shm->last_look, AT_IT | look_at(at, FAR));
	if (mproc_now() >= at)
		return false;
	/* Who is woken before has not glanced. */
	do {
		w->ticket = mpr_park_ticket(w->self);
		mpr_wait_sleep(w, at + MS);
	} while (mproc_now() < at);
	return mproc_now() < at + PROMPT;
}

/* A look has begun just before the death, and was finished. Returns false if we were
 * late. */
static bool
sees_a_death_at_two_glances(struct mpt *t, struct mpr_wait *w, bool *ret_seen)
{
	struct board *b = mpt_scratch(t);
	unsigned victim;
	int64_t death;
	bool prompt;
	int id;

	b->awake = 0;
	id = mpt_spawn(t, "victim", stay_awake, b);
	mpt_until(t, b->awake != 0);
	victim = b->awake - 1;
	/* Or we would sleep beside it. */
	assert_true(w->self->slot < b->sleeper && b->sleeper <= victim);
	share_with_many(w->self);
	death = mproc_now();
	atomic_store(&the_arena()->shm->finished_look, look_at(death, FAR));
	mpt_kill(t, id);
	prompt = glance_beside_a_look(w, death, 1) && glance_beside_a_look(w, death, 2);
	*ret_seen = !is_there(victim);
	w->self->pace = (struct mpr_pace){ 0 };
	return prompt;
}

static void
one_of_several_dies_as_many_that_look_are_stopped(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int id = mpt_spawn(t, "looks", be_at_a_look_in_a_crowd, b);
	struct mpr_wait w;
	bool seen, prompt;

	mpt_watchdog(t, 30);
	mpt_until(t, b->waiting == MANY);
	do {
		begin_to_wait(&w, join_arena(t), lock, -2);
		prompt = sees_a_death_at_two_glances(t, &w, &seen);
		end_the_wait(&w);
	} while (!prompt);
	mpt_kill(t, id);
	mpr_recover_all(the_arena(), true);
	assert_true(seen);
}

static void
owners_are_whom_it_waits_for_and_who_holds_it(void **state)
{
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t);
	struct board *b = mpt_scratch(t);
	unsigned owners[MPR_WAIT_OWNERS];
	void *nothing = mproc_alloc(64);
	int owner = start_owner(t, b);
	struct mpr_wait w;

	assert_int_equal(mpr_wait_owners(self, owners), 0);
	begin_to_wait(&w, self, lock, -1);
	assert_int_equal(mpr_wait_owners(self, owners), 0);
	mpr_wait_announce(&w, -2);
	assert_int_equal(mpr_wait_owners(self, owners), 1);
	assert_int_equal(owners[0], b->owner - 1);
	mpr_wait_announce(&w, (int)b->owner - 1);
	assert_int_equal(mpr_wait_owners(self, owners), 1);
	mpr_wait_announce(&w, FAR);
	assert_int_equal(mpr_wait_owners(self, owners), 2);
	assert_int_equal(owners[0], b->owner - 1);
	assert_int_equal(owners[1], FAR);
	end_the_wait(&w);

	/* Who is to be moved waits for nobody before. */
	mpr_wait_begin(&w, self, nothing, MPR_WAIT_CALL);
	mpr_wait_then(&w, lock);
	mpr_wait_announce(&w, -1);
	assert_int_equal(mpr_wait_owners(self, owners), 0);
	end_the_wait(&w);
	mpr_wait_begin(&w, self, lock, MPR_WAIT_CALL);
	mpr_wait_then(&w, lock);
	mpr_wait_announce(&w, -1);
	assert_int_equal(mpr_wait_owners(self, owners), 1);
	assert_int_equal(owners[0], b->owner - 1);
	end_the_wait(&w);
	mproc_free(nothing);
	mpt_kill(t, owner);
	mpr_recover_all(the_arena(), true);
}

static int
setup(void **state)
{
	if (with_arena(state) < 0)
		return -1;
	something_else = mproc_alloc(64);
	if (!something_else || mproc_condition_create(&condition) < 0)
		return -1;
	return mproc_lock_create(&lock);
}

/* The lock is a free one again. */
static int
begin(void **state)
{
	int r = mproc_lock_acquire(lock, MPROC_NOWAIT);

	if (r == MPROC_OWNER_DIED)
		mproc_lock_consistent(lock);
	return mproc_lock_release(lock) < 0 ? -1 : mpt_setup(state);
}

#define owner_test(f) cmocka_unit_test_setup_teardown(f, begin, mpt_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		owner_test(one_of_forty_that_are_stopped_gets_a_dead_ones_lock),
		owner_test(
			one_of_a_hundred_that_are_stopped_gets_a_dead_ones_lock),
		owner_test(who_is_alone_sleeps_beside_its_owner),
		owner_test(an_owners_neighbour_is_told_as_well),
		owner_test(who_is_not_told_sees_the_death_at_a_glance),
		owner_test(who_waits_for_an_owner_glances_soon),
		owner_test(who_is_notified_glances_soon),
		owner_test(
			who_waits_for_one_of_several_leaves_a_look_less_time),
		owner_test(
			who_waits_for_one_of_several_relies_on_looks_that_were_finished),
		owner_test(a_finished_look_tells_when_it_began),
		owner_test(one_of_several_dies_as_many_that_look_are_stopped),
		owner_test(owners_are_whom_it_waits_for_and_who_holds_it),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
