/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of what is done with a lock.
 *
 * What must hold after any kill: whoever waited has the lock in the end; it can
 * be had, with the death told if the victim held it, and not otherwise; and
 * after that it is as good as new.
 */
#include "sync/holder.h"
#include "sync/lock.h"
#include "world.h"

struct scene {
	struct mpt *t;
	mproc_lock *lock;
	pid_t other;
	pid_t holder;
	pid_t dead; /* who had the lock before */
	bool starved; /* the other one has waited for long */
	int least, most; /* what acquire may say in the end */
	unsigned late; /* cases in which the other one came late */
};

#define EVERY 700
#define BUDGET 150
#define LATE INT64_C(40000000) /* ns; a slice is 50000000 or more */

/* In the scratch bytes. */
struct board {
	_Atomic bool taken, over, ended;
};

static struct board *
board(struct scene *s)
{
	return mpt_scratch(s->t);
}

static unsigned
waiters(const mproc_lock *lock)
{
	struct mproc_owner owner;

	return mproc_lock_owner(lock, &owner) < 0 ? 0 : owner.waiters;
}

static uint64_t
lock_state(void *arg)
{
	struct scene *s = arg;
	uint64_t h = arena_state(NULL);

	h = hash(h, s->lock, sizeof(*s->lock));
	return hash(h, mpr_arena_at(mpr_arena_peek(), MPR_WAITS_AT), 512);
}

static void
begin(void *arg)
{
	struct scene *s = arg;

	recover();
	board(s)->taken = board(s)->over = board(s)->ended = false;
	s->lock = mproc_alloc(sizeof(*s->lock));
	assert_non_null(s->lock);
}

static void
end(struct scene *s)
{
	int r;

	recover();
	assert_int_equal(waiters(s->lock), 0);
	r = mproc_lock_acquire(s->lock, mproc_sec(10));
	assert_in_range(r, s->least, s->most);
	assert_int_equal(mproc_lock_consistent(s->lock), 0);
	assert_int_equal(mproc_lock_release(s->lock), 0);
	assert_int_equal(mproc_lock_acquire(s->lock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_lock_release(s->lock), 0);
	mproc_free(s->lock);
}

static void
end_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	(void)finished;
	end(arg);
}

static struct mpt_stepper_result
step(struct scene *s, const char *name, void (*before)(void *),
     void (*victim)(void *),
     void (*survivor)(void *, pid_t, unsigned long, bool))
{
	struct mpt_stepper_result result;

	mpt_watchdog(s->t, 60);
	mpt_stepper_run(s->t, &(struct mpt_stepper_opts){
		.name = name,
		.before = before,
		.victim = victim,
		.survivor = survivor,
		.fingerprint = lock_state,
		.every = EVERY,
		.budget = BUDGET,
		.arg = s,
	}, &result);
	return result;
}

/* A wake-up that is lost shows: in some cases the slice ends late enough. On a
 * busy machine a few may be late for nothing. */
static void
step_waking(struct scene *s, const char *name, void (*before)(void *),
	    void (*victim)(void *),
	    void (*survivor)(void *, pid_t, unsigned long, bool))
{
	struct mpt_stepper_result result;

	s->late = 0;
	result = step(s, name, before, victim, survivor);
	assert_in_range(s->late, 0, result.cases / 20 + 3);
}

/* Has the functions of the C library found, and the victim joined. */
static void
warm_up(void)
{
	mproc_lock own = { { 0 } };

	must_be(mproc_lock_acquire(&own, MPROC_NOWAIT), 0);
	must_be(mproc_lock_release(&own), 0);
}

/* Nobody else wants it. */

static void
acquire_victim(void *arg)
{
	struct scene *s = arg;

	warm_up();
	mpt_step_begin();
	must_be(mproc_lock_acquire(s->lock, MPROC_NOWAIT), 0);
	mpt_step_end();
}

static void
release_victim(void *arg)
{
	struct scene *s = arg;

	must_be(mproc_lock_acquire(s->lock, MPROC_NOWAIT), 0);
	mpt_step_begin();
	must_be(mproc_lock_release(s->lock), 0);
	mpt_step_end();
}

static void
first_acquire_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	must_be(mproc_lock_acquire(s->lock, MPROC_NOWAIT), 0);
	mpt_step_end();
}

static void
acquired_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	s->least = finished ? MPROC_OWNER_DIED : 0;
	end(s);
}

static void
released_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)n;
	s->least = 0;
	s->most = finished ? 0 : MPROC_OWNER_DIED;
	if (n == 0) {
		struct mproc_owner owner;

		assert_int_equal(mproc_lock_owner(s->lock, &owner), 0);
		assert_int_equal(owner.died_pid, victim);
	}
	end(s);
}

static void
killed_alone(void **state)
{
	struct scene s = { .t = *state, .most = MPROC_OWNER_DIED };

	step(&s, "acquire", begin, acquire_victim, acquired_survivor);
	step(&s, "first acquire", begin, first_acquire_victim,
	     acquired_survivor);
	step(&s, "release", begin, release_victim, released_survivor);
}

/* The test has it. */

static void
with_a_holder(void *arg)
{
	struct scene *s = arg;

	begin(s);
	assert_int_equal(mproc_lock_acquire(s->lock, MPROC_NOWAIT), 0);
}

static void
try_victim(void *arg)
{
	struct scene *s = arg;

	warm_up();
	mpt_step_begin();
	must_be(mproc_lock_acquire(s->lock, MPROC_NOWAIT), -EAGAIN);
	mpt_step_end();
}

static void
timed_victim(void *arg)
{
	struct scene *s = arg;

	warm_up();
	mpt_step_begin();
	must_be(mproc_lock_acquire(s->lock, mproc_us(10)), -ETIMEDOUT);
	mpt_step_end();
}

static void
interrupted_victim(void *arg)
{
	struct scene *s = arg;

	warm_up();
	mproc_interrupt();
	mpt_step_begin();
	must_be(mproc_lock_acquire(s->lock, mproc_sec(600)), -EINTR);
	mpt_step_end();
}

static void
sleeping_victim(void *arg)
{
	struct scene *s = arg;

	warm_up();
	mpt_step_begin();
	must_be(mproc_lock_acquire(s->lock, mproc_sec(600)), 0);
	mpt_step_end();
}

static void
still_held_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	(void)finished;
	assert_int_equal(mproc_lock_acquire(s->lock, MPROC_NOWAIT), -EDEADLK);
	assert_int_equal(mproc_lock_release(s->lock), 0);
	end(s);
}

static void
killed_while_it_wants_what_another_has(void **state)
{
	struct scene s = { .t = *state };

	step(&s, "acquire of what another has", with_a_holder, try_victim,
	     still_held_survivor);
	step(&s, "acquire that runs out of time", with_a_holder, timed_victim,
	     still_held_survivor);
	step(&s, "acquire that is interrupted", with_a_holder,
	     interrupted_victim, still_held_survivor);
	step(&s, "acquire that sleeps", with_a_holder, sleeping_victim,
	     still_held_survivor);
}

/* Another one has it, and gives it back as soon as the victim waits. */

static void
with_a_holder_that_gives(void *arg)
{
	struct scene *s = arg;
	struct board *b = board(s);

	begin(s);
	s->other = fork();
	assert_true(s->other >= 0);
	if (s->other == 0) {
		struct mpr_lock *l = (struct mpr_lock *)s->lock;

		must_be(mproc_lock_acquire(s->lock, MPROC_NOWAIT), 0);
		b->taken = true;
		while (!waiters(s->lock) && !b->over)
			sched_yield();
		if (s->starved && waiters(s->lock))
			atomic_fetch_or(&l->cell.word,
					MPR_STARVED | MPR_WAITERS);
		must_be(mproc_lock_release(s->lock), 0);
		_exit(0);
	}
	mpt_until(s->t, b->taken);
}

static void
given_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	board(s)->over = true;
	wait_for_exit(s->other);
	s->least = finished ? MPROC_OWNER_DIED : 0;
	end(s);
}

static void
killed_as_it_is_woken(void **state)
{
	struct scene s = { .t = *state, .most = MPROC_OWNER_DIED };

	step(&s, "acquire that is woken", with_a_holder_that_gives,
	     sleeping_victim, given_survivor);
	s.starved = true;
	step(&s, "acquire that is handed over", with_a_holder_that_gives,
	     sleeping_victim, given_survivor);
}

/* Another one has it and gives it back when the victim and a third one wait, in
 * this order. */

static void
give_to_two(struct scene *s)
{
	struct mpr_lock *l = (struct mpr_lock *)s->lock;
	struct board *b = board(s);

	must_be(mproc_lock_acquire(s->lock, MPROC_NOWAIT), 0);
	b->taken = true;
	while (waiters(s->lock) < 2 && !b->over)
		sched_yield();
	if (s->starved)
		atomic_fetch_or(&l->cell.word, MPR_STARVED | MPR_WAITERS);
	must_be(mproc_lock_release(s->lock), 0);
	/* Its end would be one more reason to look. */
	mpt_until(s->t, b->ended);
	_exit(0);
}

static void
wait_as_the_second(struct scene *s)
{
	struct board *b = board(s);

	mpt_until(s->t, waiters(s->lock) || b->over);
	if (mproc_lock_acquire(s->lock, mproc_sec(60)) < 0 ||
	    mproc_lock_consistent(s->lock) < 0 ||
	    mproc_lock_release(s->lock) < 0)
		_exit(1);
	b->ended = true;
	_exit(0);
}

static void
with_a_holder_and_a_second(void *arg)
{
	struct scene *s = arg;
	struct board *b = board(s);

	begin(s);
	s->holder = fork();
	assert_true(s->holder >= 0);
	if (s->holder == 0)
		give_to_two(s);
	mpt_until(s->t, b->taken);
	s->other = fork();
	assert_true(s->other >= 0);
	if (s->other == 0)
		wait_as_the_second(s);
}

static void
second_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	int64_t began;

	(void)victim;
	(void)n;
	(void)finished;
	board(s)->over = true;
	began = mproc_now();
	recover();
	mpt_until(s->t, board(s)->ended);
	s->late += mproc_now() - began > LATE;
	wait_for_exit(s->other);
	wait_for_exit(s->holder);
	end(s);
}

static void
killed_as_it_is_chosen_before_another(void **state)
{
	/* On a busy machine the second one may have had it before the victim
	 * takes it, and dies or ends with it. */
	struct scene s = { .t = *state, .most = MPROC_OWNER_DIED };

	for (int starved = 0; starved < 2; starved++) {
		s.starved = starved;
		step_waking(&s, starved ? "wait of the first of two, handed over" :
					  "wait of the first of two",
			    with_a_holder_and_a_second, sleeping_victim,
			    second_survivor);
	}
}

/* Another one waits for what the victim has. */

static void
with_one_that_waits(void *arg)
{
	struct scene *s = arg;
	struct board *b = board(s);

	begin(s);
	s->other = fork();
	assert_true(s->other >= 0);
	if (s->other == 0) {
		int r;

		mpt_until(s->t, b->taken);
		r = mproc_lock_acquire(s->lock, mproc_sec(60));
		if (r < 0 || mproc_lock_consistent(s->lock) < 0 ||
		    mproc_lock_release(s->lock) < 0)
			_exit(1);
		_exit(r == MPROC_OWNER_DIED && b->over ? 1 : 0);
	}
}

static void
take_with_one_that_waits(struct scene *s)
{
	struct mpr_lock *l = (struct mpr_lock *)s->lock;

	must_be(mproc_lock_acquire(s->lock, MPROC_NOWAIT), 0);
	board(s)->taken = true;
	mpt_until(s->t, waiters(s->lock) == 1 &&
			mpt_task_state(s->other) == 'S');
	if (s->starved)
		atomic_fetch_or(&l->cell.word, MPR_STARVED);
}

static void
waking_victim(void *arg)
{
	struct scene *s = arg;

	take_with_one_that_waits(s);
	mpt_step_begin();
	must_be(mproc_lock_release(s->lock), 0);
	mpt_step_end();
}

static void
leaving_victim(void *arg)
{
	struct scene *s = arg;

	take_with_one_that_waits(s);
	mpt_step_begin();
	mpr_self_leave();
	mpt_step_end();
}

static void
woken_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	int64_t began = mproc_now();

	(void)victim;
	(void)n;
	if (!finished)
		recover();
	wait_for_exit(s->other);
	s->late += mproc_now() - began > LATE;
	end(s);
}

static void
killed_while_it_wakes_another(void **state)
{
	struct scene s = { .t = *state };

	step_waking(&s, "release that wakes another", with_one_that_waits,
		    waking_victim, woken_survivor);
	step_waking(&s, "end of a thread for which another waits",
		    with_one_that_waits, leaving_victim, woken_survivor);
	s.starved = true;
	step_waking(&s, "release that hands over", with_one_that_waits,
		    waking_victim, woken_survivor);
}

/* Somebody has died with it. */

static void
with_a_dead_holder(void *arg)
{
	struct scene *s = arg;

	begin(s);
	s->dead = fork();
	assert_true(s->dead >= 0);
	if (s->dead == 0) {
		must_be(mproc_lock_acquire(s->lock, MPROC_NOWAIT), 0);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(s->dead, NULL, 0), s->dead);
}

static void
inheriting_victim(void *arg)
{
	struct scene *s = arg;

	warm_up();
	mpt_step_begin();
	must_be(mproc_lock_acquire(s->lock, MPROC_NOWAIT), MPROC_OWNER_DIED);
	mpt_step_end();
}

static void
repairing_victim(void *arg)
{
	struct scene *s = arg;

	must_be(mproc_lock_acquire(s->lock, MPROC_NOWAIT), MPROC_OWNER_DIED);
	mpt_step_begin();
	must_be(mproc_lock_consistent(s->lock), 0);
	must_be(mproc_lock_release(s->lock), 0);
	mpt_step_end();
}

static void
recovering_victim(void *arg)
{
	(void)arg;
	warm_up();
	mpt_step_begin();
	if (mproc_arena_recover(NULL) < 0)
		_exit(1);
	mpt_step_end();
}

static void
repaired_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	s->least = finished ? 0 : MPROC_OWNER_DIED;
	s->most = finished ? 0 : MPROC_OWNER_DIED;
	if (!finished && mproc_lock_is_consistent(s->lock))
		s->least = s->most = 0; /* it had come as far as that */
	end(s);
}

static void
killed_with_the_lock_of_a_dead_one(void **state)
{
	struct scene s = { .t = *state, .least = MPROC_OWNER_DIED,
			   .most = MPROC_OWNER_DIED };

	step(&s, "acquire from a dead holder", with_a_dead_holder,
	     inheriting_victim, end_survivor);
	step(&s, "recovery from a dead holder", with_a_dead_holder,
	     recovering_victim, end_survivor);
	step(&s, "repair", with_a_dead_holder, repairing_victim,
	     repaired_survivor);
}

/* Creation and destruction. */

static void
nothing(void *arg)
{
	struct scene *s = arg;

	recover();
	board(s)->taken = board(s)->over = board(s)->ended = false;
}

static void
create_victim(void *arg)
{
	mproc_lock *lock;

	(void)arg;
	warm_up();
	mpt_step_begin();
	must_be(mproc_lock_create(&lock), 0);
	mpt_step_end();
}

/* What the victim had becomes another's. */
static void
created_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct mproc_arena_stat before, after;
	mproc_lock *locks[8];

	(void)arg;
	(void)victim;
	(void)n;
	(void)finished;
	recover();
	assert_int_equal(mproc_arena_stat(NULL, &before), 0);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(mproc_lock_create(&locks[i]), 0);
		assert_int_equal(mproc_lock_acquire(locks[i], MPROC_NOWAIT), 0);
	}
	for (int i = 0; i < 8; i++)
		mproc_lock_destroy(locks[i]);
	assert_int_equal(mproc_arena_stat(NULL, &after), 0);
	assert_in_range(after.blocks, before.blocks, before.blocks + 1);
}

static void
with_one_that_waits_for_a_created_one(void *arg)
{
	struct scene *s = arg;

	nothing(s);
	assert_int_equal(mproc_lock_create(&s->lock), 0);
	assert_int_equal(mproc_lock_acquire(s->lock, MPROC_NOWAIT), 0);
	s->other = fork();
	assert_true(s->other >= 0);
	if (s->other == 0) {
		must_be(mproc_lock_acquire(s->lock, mproc_sec(60)),
			-ESHUTDOWN);
		_exit(0);
	}
	mpt_until(s->t, waiters(s->lock) == 1 &&
			mpt_task_state(s->other) == 'S');
}

static void
destroy_victim(void *arg)
{
	struct scene *s = arg;

	warm_up();
	mpt_step_begin();
	mproc_lock_destroy(s->lock);
	mpt_step_end();
}

static void
destroyed_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	recover();
	if (mproc_lock_acquire(s->lock, MPROC_NOWAIT) == -EDEADLK) {
		assert_false(finished);
		mproc_lock_destroy(s->lock);
	}
	wait_for_exit(s->other);
	assert_int_equal(mproc_lock_acquire(s->lock, MPROC_NOWAIT), -ESTALE);
}

static void
killed_in_create_and_destroy(void **state)
{
	struct scene s = { .t = *state };

	s.lock = mproc_alloc(sizeof(*s.lock));
	step(&s, "create", nothing, create_victim, created_survivor);
	mproc_free(s.lock);
	step(&s, "destroy that wakes another",
	     with_one_that_waits_for_a_created_one, destroy_victim,
	     destroyed_survivor);
}

static int
setup(void **state)
{
	mproc_lock *lock;

	if (world_setup(state) < 0 || mproc_lock_create(&lock) < 0)
		return -1;
	mproc_lock_destroy(lock);
	make_spare_slots();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_alone),
		mpt_test(killed_while_it_wants_what_another_has),
		mpt_test(killed_as_it_is_woken),
		mpt_test(killed_as_it_is_chosen_before_another),
		mpt_test(killed_while_it_wakes_another),
		mpt_test(killed_with_the_lock_of_a_dead_one),
		mpt_test(killed_in_create_and_destroy),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
