/* SPDX-License-Identifier: MIT */
/*
 * sync.h in an arena with a name: one program is killed with an object, or while it
 * waits for one, and another one goes on. Both are instances of this program, started
 * by exec, and have the arena at another address than the test. Semaphores with .undo
 * are in test_semaphore_named.c.
 */
#include <stdatomic.h>

#include "named.h"

#define SOON (2000 * MS) /* 100 ms, and what a busy machine adds */

enum who { VICTIM, SURVIVOR };

/* In the arena. */
struct board {
	mproc_lock lock;
	mproc_rlock rlock;
	mproc_rwlock rwlock;
	mproc_semaphore semaphore;
	mproc_condition condition;
	mproc_event event;
	mproc_barrier barrier;
	mproc_once once;
	_Atomic pid_t asleep[2]; /* or about to be, without a stop before that */
	_Atomic int64_t went_on;
	_Atomic unsigned runs;
};

/* Victims: they take something and keep it. */

static _Noreturn void
keep(struct board *b)
{
	b->asleep[VICTIM] = getpid();
	for (;;)
		pause();
}

static int
hold_lock(struct board *b, enum who me)
{
	(void)me;
	EXPECT(mproc_lock_acquire(&b->lock, MPROC_NOWAIT) == 0);
	keep(b);
}

static int
hold_rlock(struct board *b, enum who me)
{
	(void)me;
	EXPECT(mproc_rlock_acquire(&b->rlock, MPROC_NOWAIT) == 0);
	EXPECT(mproc_rlock_acquire(&b->rlock, MPROC_NOWAIT) == 0);
	keep(b);
}

static int
hold_as_reader(struct board *b, enum who me)
{
	(void)me;
	EXPECT(mproc_rwlock_read(&b->rwlock, MPROC_NOWAIT) == 0);
	keep(b);
}

static int
hold_as_writer(struct board *b, enum who me)
{
	(void)me;
	EXPECT(mproc_rwlock_write(&b->rwlock, MPROC_NOWAIT) == 0);
	keep(b);
}

/* Who is notified sleeps on, as the lock is held. */
static int
notify_and_hold(struct board *b, enum who me)
{
	(void)me;
	EXPECT(mproc_lock_acquire(&b->lock, mproc_sec(30)) == 0);
	EXPECT(mproc_condition_notify_all(&b->condition) == 1);
	keep(b);
}

static int
enroll(struct board *b, enum who me)
{
	(void)me;
	EXPECT(mproc_barrier_enroll(&b->barrier) == 0);
	keep(b);
}

static int
run_for_ever(void *arg)
{
	keep(arg);
}

static int
begin_once(struct board *b, enum who me)
{
	(void)me;
	return mproc_once_run(&b->once, run_for_ever, b);
}

/* Survivors, and victims that wait: they return what the call has returned that waits,
 * and keep nothing. */

static void
fall_asleep(struct board *b, enum who me)
{
	b->asleep[me] = getpid();
}

static int
want_lock(struct board *b, enum who me)
{
	int r;

	fall_asleep(b, me);
	r = mproc_lock_acquire(&b->lock, mproc_sec(30));
	EXPECT(mproc_lock_release(&b->lock) == 0);
	return r;
}

static int
want_rlock(struct board *b, enum who me)
{
	struct mproc_owner owner;
	int r;

	fall_asleep(b, me);
	r = mproc_rlock_acquire(&b->rlock, mproc_sec(30));
	EXPECT(mproc_rlock_release(&b->rlock) == 0);
	/* How often the dead one had it does not count. */
	EXPECT(mproc_rlock_owner(&b->rlock, &owner) == 0 && !owner.pid);
	return r;
}

static int
want_to_read(struct board *b, enum who me)
{
	int r;

	fall_asleep(b, me);
	r = mproc_rwlock_read(&b->rwlock, mproc_sec(30));
	EXPECT(mproc_rwlock_release(&b->rwlock) == 0);
	return r;
}

static int
want_to_write(struct board *b, enum who me)
{
	int r;

	fall_asleep(b, me);
	r = mproc_rwlock_write(&b->rwlock, mproc_sec(30));
	EXPECT(mproc_rwlock_release(&b->rwlock) == 0);
	return r;
}

static int
take_permit(struct board *b, enum who me)
{
	fall_asleep(b, me);
	return mproc_semaphore_acquire(&b->semaphore, mproc_sec(30));
}

static int
wait_for_change(struct board *b, enum who me)
{
	int r;

	EXPECT(mproc_lock_acquire(&b->lock, mproc_sec(30)) == 0);
	fall_asleep(b, me);
	r = mproc_condition_wait(&b->condition, &b->lock, mproc_sec(30));
	EXPECT(mproc_lock_release(&b->lock) == 0);
	return r;
}

static int
wait_for_event(struct board *b, enum who me)
{
	fall_asleep(b, me);
	return mproc_event_wait(&b->event, mproc_sec(30));
}

static int
meet(struct board *b, enum who me)
{
	fall_asleep(b, me);
	return mproc_barrier_wait(&b->barrier, mproc_sec(30));
}

static int
run_in_time(void *arg)
{
	struct board *b = arg;

	b->runs++;
	return 0;
}

static int
do_once(struct board *b, enum who me)
{
	fall_asleep(b, me);
	return mproc_once_run(&b->once, run_in_time, b);
}

/* What the test does before they come. */

static void
take_lock(struct board *b)
{
	assert_int_equal(mproc_lock_acquire(&b->lock, MPROC_NOWAIT), 0);
}

/* While the victim is stopped, which has come first. */

static void
give_lock(struct board *b)
{
	assert_int_equal(mproc_lock_release(&b->lock), 0);
}

static void
add_permit(struct board *b)
{
	assert_int_equal(mproc_semaphore_release(&b->semaphore), 0);
}

static void
notify_one(struct board *b)
{
	assert_int_equal(mproc_lock_acquire(&b->lock, mproc_sec(20)), 0);
	assert_int_equal(mproc_condition_notify(&b->condition, 1), 1);
	assert_int_equal(mproc_lock_release(&b->lock), 0);
}

static void
set_event(struct board *b)
{
	assert_int_equal(mproc_event_set(&b->event), 0);
}

/* When both have ended. */

static void
lock_is_free(struct board *b)
{
	assert_true(mproc_lock_is_consistent(&b->lock));
	assert_int_equal(mproc_lock_acquire(&b->lock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_lock_release(&b->lock), 0);
}

static void
lock_is_to_be_repaired(struct board *b)
{
	assert_int_equal(mproc_lock_acquire(&b->lock, MPROC_NOWAIT),
			 MPROC_OWNER_DIED);
	assert_int_equal(mproc_lock_consistent(&b->lock), 0);
	assert_int_equal(mproc_lock_release(&b->lock), 0);
	lock_is_free(b);
}

static void
rlock_is_to_be_repaired(struct board *b)
{
	assert_int_equal(mproc_rlock_acquire(&b->rlock, MPROC_NOWAIT),
			 MPROC_OWNER_DIED);
	assert_int_equal(mproc_rlock_consistent(&b->rlock), 0);
	assert_int_equal(mproc_rlock_release(&b->rlock), 0);
	assert_int_equal(mproc_rlock_acquire(&b->rlock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_rlock_release(&b->rlock), 0);
}

static void
nobody_reads_or_writes(struct board *b)
{
	struct mproc_owner owner;

	assert_int_equal(mproc_rwlock_owner(&b->rwlock, &owner), 0);
	assert_int_equal(owner.pid, 0);
	assert_int_equal(owner.readers, 0);
	assert_true(mproc_rwlock_is_consistent(&b->rwlock));
	assert_int_equal(mproc_rwlock_write(&b->rwlock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_rwlock_release(&b->rwlock), 0);
}

static void
rwlock_is_to_be_repaired(struct board *b)
{
	assert_int_equal(mproc_rwlock_read(&b->rwlock, MPROC_NOWAIT),
			 MPROC_OWNER_DIED);
	assert_int_equal(mproc_rwlock_release(&b->rwlock), 0);
	assert_int_equal(mproc_rwlock_write(&b->rwlock, MPROC_NOWAIT),
			 MPROC_OWNER_DIED);
	assert_int_equal(mproc_rwlock_consistent(&b->rwlock), 0);
	assert_int_equal(mproc_rwlock_release(&b->rwlock), 0);
	nobody_reads_or_writes(b);
}

static void
no_permit_is_left(struct board *b)
{
	assert_int_equal(mproc_semaphore_value(&b->semaphore), 0);
}

static void
nobody_waits_for_a_change(struct board *b)
{
	assert_int_equal(mproc_condition_notify_all(&b->condition), 0);
	lock_is_free(b);
}

static void
lock_of_condition_is_to_be_repaired(struct board *b)
{
	lock_is_to_be_repaired(b);
	nobody_waits_for_a_change(b);
}

static void
event_is_set(struct board *b)
{
	assert_int_equal(mproc_event_is_set(&b->event), 1);
	assert_int_equal(mproc_event_clear(&b->event), 0);
	assert_int_equal(mproc_event_wait(&b->event, MPROC_NOWAIT), -EAGAIN);
}

static void
barrier_is_for_others(struct board *b)
{
	assert_int_equal(mproc_barrier_reset(&b->barrier), 0);
	assert_false(mproc_barrier_broken(&b->barrier));
	assert_int_equal(mproc_barrier_wait(&b->barrier, MPROC_NOWAIT),
			 -EAGAIN);
}

static void
it_is_done(struct board *b)
{
	assert_int_equal(b->runs, 1);
	assert_int_equal(mproc_once_run(&b->once, run_in_time, b), 0);
	assert_int_equal(b->runs, 1);
}

static const struct scene {
	const char *name;
	int (*victim)(struct board *b, enum who me);
	int (*survivor)(struct board *b, enum who me);
	int want; /* what the survivor gets */
	bool survivor_first;
	void (*first)(struct board *b);
	void (*stopped)(struct board *b); /* while the victim is */
	void (*after)(struct board *b);
} scenes[] = {
	{ .name = "a lock's holder",
	  .victim = hold_lock, .survivor = want_lock,
	  .want = MPROC_OWNER_DIED,
	  .after = lock_is_to_be_repaired },
	{ .name = "who was woken for a lock",
	  .victim = want_lock, .survivor = want_lock,
	  .first = take_lock, .stopped = give_lock,
	  .after = lock_is_free },
	{ .name = "a recursive lock's holder",
	  .victim = hold_rlock, .survivor = want_rlock,
	  .want = MPROC_OWNER_DIED,
	  .after = rlock_is_to_be_repaired },
	{ .name = "a writer, before a writer",
	  .victim = hold_as_writer, .survivor = want_to_write,
	  .want = MPROC_OWNER_DIED,
	  .after = rwlock_is_to_be_repaired },
	{ .name = "a writer, before a reader",
	  .victim = hold_as_writer, .survivor = want_to_read,
	  .want = MPROC_OWNER_DIED,
	  .after = rwlock_is_to_be_repaired },
	{ .name = "a reader, before a writer",
	  .victim = hold_as_reader, .survivor = want_to_write,
	  .after = nobody_reads_or_writes },
	{ .name = "who was woken for a permit",
	  .victim = take_permit, .survivor = take_permit,
	  .stopped = add_permit,
	  .after = no_permit_is_left },
	{ .name = "who was notified",
	  .victim = wait_for_change, .survivor = wait_for_change,
	  .stopped = notify_one,
	  .after = nobody_waits_for_a_change },
	{ .name = "who has notified and holds the lock",
	  .victim = notify_and_hold, .survivor = wait_for_change,
	  .want = MPROC_OWNER_DIED,
	  .survivor_first = true,
	  .after = lock_of_condition_is_to_be_repaired },
	{ .name = "who waits for an event",
	  .victim = wait_for_event, .survivor = wait_for_event,
	  .stopped = set_event,
	  .after = event_is_set },
	{ .name = "a party that does not wait",
	  .victim = enroll, .survivor = meet,
	  .want = -ENOTRECOVERABLE,
	  .after = barrier_is_for_others },
	{ .name = "a party that waits",
	  .victim = meet, .survivor = meet,
	  .want = -ENOTRECOVERABLE,
	  .after = barrier_is_for_others },
	{ .name = "who runs a once",
	  .victim = begin_once, .survivor = do_once,
	  .after = it_is_done },
};

#define SCENES (sizeof(scenes) / sizeof(scenes[0]))

/* The other programs: what, that is who and which scene, the arena's name, and where
 * the test has the board. */
static int
be_another(char **argv)
{
	mproc_arena *a = open_as_instance(argv);
	struct board *b = find(a, "board");
	enum who me = argv[1][0] == 'v' ? VICTIM : SURVIVOR;
	const struct scene *s = &scenes[strtoul(argv[1] + 1, NULL, 10)];
	char pid[32];
	int r;

	EXPECT((uintptr_t)b != strtoull(argv[3], NULL, 0));
	if (me == VICTIM) {
		s->victim(b, me);
		EXPECT(false);
	}
	r = s->survivor(b, me);
	b->went_on = mproc_now();
	if (r != s->want)
		fprintf(stderr, "%s: %d\n", s->name, r);
	EXPECT(r == s->want);
	if (r) {
		snprintf(pid, sizeof(pid), "process %d", b->asleep[VICTIM]);
		EXPECT(detail_has(pid));
	}
	mproc_arena_close(a);
	return 0;
}

static int
start(struct mpt *t, struct board *b, enum who who, size_t scene)
{
	char what[16];
	struct instance i = { what, b };
	int id;

	snprintf(what, sizeof(what), "%c%zu", who == VICTIM ? 'v' : 's', scene);
	id = mpt_spawn(t, who == VICTIM ? "victim" : "survivor", execute, &i);
	mpt_until(t, b->asleep[who] && mpt_task_state(b->asleep[who]) == 'S');
	return id;
}

static void
play(struct mpt *t, size_t scene)
{
	const struct scene *s = &scenes[scene];
	mproc_arena *a = create_arena("death");
	struct board *b = mproc_arena_alloc(a, sizeof(*b), 0);
	int64_t began, took;
	int ids[2];

	mpt_watchdog(t, 60);
	assert_non_null(b);
	assert_int_equal(mproc_barrier_init(&b->barrier, 3), 0);
	assert_int_equal(mproc_arena_bind(a, "board", b), 0);
	if (s->first)
		s->first(b);
	for (int i = 0; i < 2; i++) {
		enum who who = s->survivor_first ? !i : i;

		ids[who] = start(t, b, who, scene);
	}
	if (s->stopped)
		mpt_pause(t, ids[VICTIM]);
	began = mproc_now();
	if (s->stopped)
		s->stopped(b);
	mpt_kill(t, ids[VICTIM]);
	mpt_expect_exit(t, ids[SURVIVOR], 0);
	took = b->went_on - began;
	s->after(b);
	remove_arena(a);
	print_message("# %s: %lld us\n", s->name, (long long)took / 1000);
	assert_true(took < SOON);
}

static void
one_is_killed_and_another_goes_on(void **state)
{
	for (size_t i = 0; i < SCENES; i++)
		play(*state, i);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		mpt_test(one_is_killed_and_another_goes_on),
	};

	if (argc == 4)
		return be_another(argv);
	return cmocka_run_group_tests(tests, with_arena, NULL);
}
