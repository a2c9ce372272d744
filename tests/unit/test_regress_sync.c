/* SPDX-License-Identifier: MIT */
/*
 * Defects that the relatives of locks once had. Each test brings about by force
 * what needed bad luck then: a thread that stands between two certain
 * instructions, or is stopped while it sleeps.
 */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include <mproc/mproc.h>

#include "common.h"
#include "puppet.h"
#include "sync/holder.h"
#include "sync/notes.h"
#include "sync/permits.h"
#include "sync/rwlock.h"
#include "sync/wait.h"

/* In the scratch bytes. */
struct board {
	void *object;
	mproc_lock *lock;
	_Atomic unsigned woken, turns;
	_Atomic int r;
	_Atomic bool writes, may_go;
};

static unsigned
waiters(const void *object)
{
	int64_t since;

	return mpr_wait_count(the_arena(), object, &since);
}

/* Of those who wait for it, one is not chosen yet. */
static bool
has_sleeper(const void *object)
{
	struct mpr_waiter w;
	struct mpr_wake k;
	bool found;

	mpr_wake_begin(&k, the_arena(), mpr_self_in(the_arena()), object);
	found = mpr_wake_first(&k, &w);
	mpr_wake_end(&k);
	return found;
}

/* The one that waits for it. */
static unsigned
slot_of_waiter(const void *object)
{
	unsigned slot = 0;

	while (slot < mpr_participants_high(the_arena()) &&
	       !mpr_waits_for(the_arena(), slot, object))
		slot++;
	return slot;
}

/* What sleepers do every tenth of a second. */
static void
look_twice(void)
{
	for (int i = 0; i < 2; i++) {
		atomic_store(&the_arena()->shm->waits_looked_at, 0);
		mpr_waits_look(the_arena());
	}
}

static struct board *
new_board(struct mpt *t)
{
	assert_true(mproc_arena_recover(NULL) >= 0);
	return mpt_scratch(t);
}

/* Zero bytes in the arena. */
static void *
new_object(void)
{
	void *object = mproc_alloc(64);

	assert_non_null(object);
	memset(object, 0, 64);
	return object;
}

static int
spawn_asleep(struct mpt *t, const void *object, mpt_fn *fn)
{
	unsigned before = waiters(object);
	int id = mpt_spawn(t, "waiter", fn, NULL);

	mpt_until(t, waiters(object) == before + 1 &&
			     mpt_task_state(mpt_pid(t, id)) == 'S');
	return id;
}

static int
wait_at_barrier(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->r = mproc_barrier_wait(b->object, mproc_sec(10));
	return 0;
}

/* It slept on as if it were a party of the next one. */
static void
a_waiter_learns_that_a_barrier_was_made_again(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int id;

	b->object = new_object();
	assert_int_equal(mproc_barrier_init(b->object, 2), 0);
	id = spawn_asleep(t, b->object, wait_at_barrier);
	mpt_pause(t, id);
	mproc_barrier_destroy(b->object);
	assert_int_equal(mproc_barrier_init(b->object, 2), 0);
	mpt_resume(t, id);
	mpt_expect_exit(t, id, 0);
	assert_true(b->r == -ESHUTDOWN || b->r == -ENOTRECOVERABLE);
	assert_false(mproc_barrier_broken(b->object));
	mproc_barrier_destroy(b->object);
	mproc_free(b->object);
}

/* Two inits brought it back to where the waiter had left it. */
static void
no_phase_is_complete_for_who_waited_two_barriers_before(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int id;

	b->object = new_object();
	assert_int_equal(mproc_barrier_init(b->object, 2), 0);
	id = spawn_asleep(t, b->object, wait_at_barrier);
	mpt_pause(t, id);
	mproc_barrier_destroy(b->object);
	assert_int_equal(mproc_barrier_init(b->object, 1), 0);
	assert_int_equal(mproc_barrier_wait(b->object, MPROC_NOWAIT), 0);
	mproc_barrier_destroy(b->object);
	assert_int_equal(mproc_barrier_init(b->object, 1), 0);
	mpt_resume(t, id);
	mpt_expect_exit(t, id, 0);
	assert_true(b->r == -ESHUTDOWN || b->r == -ENOTRECOVERABLE);
	mproc_barrier_destroy(b->object);
	mproc_free(b->object);
}

/* It was told that the barrier had been destroyed. */
static void
a_phase_that_was_complete_stays_so(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_barrier *made;
	int id;

	assert_int_equal(mproc_barrier_create(&made, 2), 0);
	b->object = made;
	id = spawn_asleep(t, made, wait_at_barrier);
	mpt_pause(t, id);
	assert_int_equal(mproc_barrier_wait(made, MPROC_NOWAIT), 1);
	mproc_barrier_destroy(made);
	mpt_resume(t, id);
	mpt_expect_exit(t, id, 0);
	assert_int_equal(b->r, 0);
}

static int
enrol_and_stay(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_barrier_enroll(b->object), 0);
	b->turns = 1;
	wait_to_be_killed(t);
	return 0;
}

static void
enrol_late(struct mpt *t, void *arg)
{
	struct board *b = arg;

	join_arena(t);
	puppet_halt();
	(void)mproc_barrier_enroll(b->object);
}

static unsigned
notes(const void *object, enum mpr_note_kind kind)
{
	const struct mpr_cell *cell = object;

	return mpr_notes_count(the_arena(), mpr_self_in(the_arena()), object,
			       atomic_load(&cell->generation), kind, 10);
}

/* Its note stood for that of a dead one. */
static void
who_is_about_to_enrol_hides_no_death(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_barrier *made;
	pid_t late;
	int id;

	assert_int_equal(mproc_barrier_create(&made, 3), 0);
	b->object = made;
	assert_int_equal(mproc_barrier_enroll(made), 0);
	id = mpt_spawn(t, "party", enrol_and_stay, NULL);
	mpt_until(t, b->turns);
	late = puppet_start(t, enrol_late, b);
	puppet_move_until(t, late, notes(made, MPR_NOTE_ENTERS) == 1);
	mpt_kill(t, id);
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_true(mproc_barrier_broken(made));
	puppet_kill(late);
	mproc_barrier_destroy(made);
}

static int
acquire_permit(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->r = mproc_semaphore_acquire(b->object, mproc_sec(10));
	return b->r < 0 ? 1 : 0;
}

static int
wait_for_condition(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check(t, mproc_lock_acquire(b->lock, MPROC_FOREVER) >= 0);
	b->r = mproc_condition_wait(b->object, b->lock, mproc_sec(10));
	if (mproc_lock_release(b->lock) < 0)
		b->turns = 100;
	return 0;
}

/* Has a slot before it waits, so that it does not get the dead one's. */
static int
wait_when_told(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	join_arena(t);
	b->turns = 1;
	mpt_until(t, b->may_go);
	return wait_for_condition(t, arg);
}

/* Its word had somebody else chosen, ten times a second. */
static void
who_died_when_it_was_chosen_chooses_nobody(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int waiter, dead;

	b->object = new_object();
	assert_int_equal(mproc_lock_create(&b->lock), 0);
	waiter = mpt_spawn(t, "waiter", wait_when_told, NULL);
	mpt_until(t, b->turns);
	dead = spawn_asleep(t, b->object, acquire_permit);
	mpt_pause(t, dead);
	assert_int_equal(mproc_semaphore_release(b->object), 0);
	mpt_kill(t, dead);
	assert_true(mproc_arena_recover(NULL) >= 0);
	/* Another thing lies there now. */
	memset(b->object, 0, 64);
	b->may_go = true;
	mpt_until(t, has_sleeper(b->object));
	look_twice();
	assert_true(has_sleeper(b->object));
	assert_int_equal(mproc_condition_notify(b->object, 1), 1);
	mpt_expect_exit(t, waiter, 0);
	mproc_lock_destroy(b->lock);
	mproc_free(b->object);
}

static int
take_lock(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check(t, mproc_lock_acquire(b->lock, MPROC_FOREVER) >= 0);
	mpt_check_int(t, mproc_lock_release(b->lock), 0);
	return 0;
}

/* Who was moved was not taken for one that waits for its turn. */
static void
a_stopped_waiter_that_was_moved_keeps_the_lock_from_nobody(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int moved, other;

	b->object = new_object();
	assert_int_equal(mproc_lock_create(&b->lock), 0);
	moved = spawn_asleep(t, b->object, wait_for_condition);
	mpt_pause(t, moved);
	assert_int_equal(mproc_lock_acquire(b->lock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_condition_notify(b->object, 1), 1);
	assert_int_equal(waiters(b->lock), 1);
	other = spawn_asleep(t, b->lock, take_lock);
	mpt_pause(t, other);
	assert_int_equal(mproc_lock_release(b->lock), 0);
	assert_true(has_sleeper(b->lock));
	look_twice();
	assert_false(has_sleeper(b->lock));
	mpt_resume(t, other);
	mpt_expect_exit(t, other, 0);
	mpt_resume(t, moved);
	mpt_expect_exit(t, moved, 0);
	mproc_lock_destroy(b->lock);
	mproc_free(b->object);
}

/* Of the one that is made in the place of the first. */
static int
wait_for_the_next_condition(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_lock_acquire(b->lock, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_condition_wait(b->object, b->lock,
					      mproc_sec(2)), 0);
	mpt_check_int(t, mproc_lock_release(b->lock), 0);
	return 0;
}

/* It was the one that was chosen, as it had waited for longer. */
static void
who_waited_for_a_destroyed_condition_is_not_notified_of_the_next(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_condition *made, *again;
	int former, next;

	assert_int_equal(mproc_lock_create(&b->lock), 0);
	assert_int_equal(mproc_condition_create(&made), 0);
	b->object = made;
	former = spawn_asleep(t, made, wait_for_condition);
	mpt_pause(t, former);
	mproc_condition_destroy(made);
	assert_int_equal(mproc_condition_create(&again), 0);
	assert_ptr_equal(again, made);
	next = spawn_asleep(t, again, wait_for_the_next_condition);
	assert_int_equal(mproc_lock_acquire(b->lock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_condition_notify(again, 1), 1);
	assert_int_equal(mproc_lock_release(b->lock), 0);
	mpt_resume(t, former);
	mpt_expect_exit(t, former, 0);
	assert_int_equal(b->r, -ESHUTDOWN);
	mpt_expect_exit(t, next, 0);
	mproc_condition_destroy(again);
	mproc_lock_destroy(b->lock);
}

static int
wait_and_stay(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_lock_acquire(b->lock, MPROC_FOREVER), 0);
	b->r = mproc_condition_wait(b->object, b->lock, mproc_sec(10));
	b->turns = 1;
	wait_to_be_killed(t);
	return 0;
}

/* It kept for itself that it had been chosen for the next lock. */
static void
who_was_moved_to_a_destroyed_lock_hands_the_next_one_on(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_lock *again;
	int moved, other;

	b->object = new_object();
	assert_int_equal(mproc_lock_create(&b->lock), 0);
	moved = spawn_asleep(t, b->object, wait_and_stay);
	assert_int_equal(mproc_lock_acquire(b->lock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_condition_notify(b->object, 1), 1);
	mpt_pause(t, moved);
	mproc_lock_destroy(b->lock);
	assert_int_equal(mproc_lock_create(&again), 0);
	assert_ptr_equal(again, b->lock);
	assert_int_equal(mproc_lock_acquire(again, MPROC_NOWAIT), 0);
	other = spawn_asleep(t, again, take_lock);
	/* It does not find that out by itself. */
	mpt_pause(t, other);
	assert_int_equal(mproc_lock_release(again), 0);
	mpt_resume(t, moved);
	mpt_until(t, b->turns);
	assert_int_equal(b->r, -ESTALE);
	assert_false(has_sleeper(again));
	mpt_resume(t, other);
	mpt_expect_exit(t, other, 0);
	mpt_kill(t, moved);
	mproc_lock_destroy(again);
	mproc_free(b->object);
}

static void
wait_for_pulse(struct mpt *t, void *arg)
{
	struct board *b = arg;

	puppet_halt();
	mpt_check_int(t, mproc_event_wait(b->object, mproc_ms(200)), 0);
}

/* Whether it was set since the call began was asked of a later time. */
static void
an_event_that_is_set_during_a_first_call_ends_it(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	uint64_t before = mpr_participants_count(the_arena());
	mproc_event *made;
	pid_t pid;

	assert_int_equal(mproc_event_create(&made), 0);
	b->object = made;
	pid = puppet_start(t, wait_for_pulse, b);
	puppet_move_until(t, pid, mpr_participants_count(the_arena()) > before);
	assert_int_equal(mproc_event_set(made), 0);
	assert_int_equal(mproc_event_clear(made), 0);
	puppet_run(t, pid);
	mproc_event_destroy(made);
}

/* Waits again and again. */
static int
wait_in_a_loop(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_lock_acquire(b->lock, MPROC_FOREVER), 0);
	while (!b->may_go) {
		mpt_check_int(t, mproc_condition_wait(b->object, b->lock,
						      MPROC_FOREVER), 0);
		b->woken++;
	}
	mpt_check_int(t, mproc_lock_release(b->lock), 0);
	return 0;
}

static void
notify_ten(struct mpt *t, void *arg)
{
	struct board *b = arg;

	join_arena(t);
	puppet_halt();
	b->r = mproc_condition_notify(b->object, 10);
}

/* It was counted each time that it came back. */
static void
one_that_waits_is_notified_once(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	pid_t pid;
	int id, task;

	b->object = new_object();
	assert_int_equal(mproc_lock_create(&b->lock), 0);
	id = spawn_asleep(t, b->object, wait_in_a_loop);
	pid = puppet_start(t, notify_ten, b);
	puppet_move_until(t, pid, !has_sleeper(b->object));
	/* Once it is woken, all the time it needs to come back. */
	do {
		task = mpt_task_state(mpt_pid(t, id));
		if (task == 'S')
			mpt_check(t, puppet_move(t, pid));
	} while (b->woken != 1 || !has_sleeper(b->object));
	puppet_run(t, pid);
	assert_int_equal(b->r, 1);
	b->may_go = true;
	mpt_until(t, mproc_condition_notify_all(b->object) >= 0 &&
			     waiters(b->object) == 0);
	mpt_expect_exit(t, id, 0);
	mproc_lock_destroy(b->lock);
	mproc_free(b->object);
}

/* It came back with the next lock that was made there. */
static void
a_condition_wait_does_not_return_with_another_lock(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_lock *again;
	int id;

	b->object = new_object();
	assert_int_equal(mproc_lock_create(&b->lock), 0);
	id = spawn_asleep(t, b->object, wait_for_condition);
	mproc_lock_destroy(b->lock);
	assert_int_equal(mproc_lock_create(&again), 0);
	assert_ptr_equal(again, b->lock);
	assert_int_equal(mproc_condition_notify(b->object, 1), 1);
	mpt_expect_exit(t, id, 0);
	assert_int_equal(b->r, -ESTALE);
	mproc_lock_destroy(again);
	mproc_free(b->object);
}

static void
acquire_first(struct mpt *t, void *arg)
{
	struct board *b = arg;

	(void)t;
	puppet_halt();
	b->r = mproc_semaphore_acquire(b->object, mproc_ms(100));
}

/* How it works was asked of the semaphore that had been there before. */
static void
a_semaphore_made_again_is_not_taken_for_the_former_one(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	uint64_t before = mpr_participants_count(the_arena());
	mproc_semaphore *made, *again;
	pid_t pid;

	assert_int_equal(mproc_semaphore_create(&made, NULL), 0);
	b->object = made;
	pid = puppet_start(t, acquire_first, b);
	puppet_move_until(t, pid, mpr_participants_count(the_arena()) > before);
	mproc_semaphore_destroy(made);
	assert_int_equal(mproc_semaphore_create(
		&again, MPROC_OPTS(mproc_semaphore_opts, .value = 1,
				   .undo = true)), 0);
	assert_ptr_equal(again, made);
	assert_int_equal(mproc_semaphore_acquire(again, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_semaphore_release(again), 0);
	assert_int_equal(mproc_semaphore_acquire(again, MPROC_NOWAIT), 0);
	puppet_run(t, pid);
	assert_true(b->r < 0);
	mproc_semaphore_destroy(again);
}

/* A list that is a ring was walked as often as the number said. */
static void
a_scribbled_number_of_permits_is_no_long_walk(void **state)
{
	mproc_semaphore *made;
	_Atomic uint64_t *link;
	uint64_t *block;
	uint32_t n;

	(void)state;
	assert_int_equal(mproc_semaphore_create(
		&made, MPROC_OPTS(mproc_semaphore_opts, .value = 4,
				  .undo = true)), 0);
	link = mpr_cell_blocks(made);
	block = mpr_arena_at(the_arena(), *link);
	n = ((uint32_t *)made)[5];
	assert_int_equal(n, 4);
	block[0] = *link;
	((uint32_t *)made)[5] = 1 << 20;
	assert_in_range(mproc_semaphore_value(made), 0, MPR_PERMITS_MAX);
	block[0] = 0;
	((uint32_t *)made)[5] = n;
	mproc_semaphore_destroy(made);
}

static void
release_permit(struct mpt *t, void *arg)
{
	struct board *b = arg;

	join_arena(t);
	puppet_halt();
	mpt_check_int(t, mproc_semaphore_release(b->object), 0);
}

/* Others were chosen besides, but nobody woke it. */
static void
who_was_chosen_and_not_woken_is_woken(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_semaphore *made;
	struct mpr_participant *p;
	uint32_t ticket;
	pid_t pid;
	int id;

	assert_int_equal(mproc_semaphore_create(&made, NULL), 0);
	b->object = made;
	id = spawn_asleep(t, made, acquire_permit);
	mpt_pause(t, id);
	p = mpr_participant_at(the_arena(), slot_of_waiter(made));
	pid = puppet_start(t, release_permit, b);
	ticket = mpr_parker_ticket(&p->parker);
	puppet_move_until(t, pid, !has_sleeper(made));
	assert_int_equal(mpr_parker_ticket(&p->parker), ticket);
	look_twice();
	assert_int_not_equal(mpr_parker_ticket(&p->parker), ticket);
	mpt_resume(t, id);
	mpt_expect_exit(t, id, 0);
	puppet_run(t, pid);
	mproc_semaphore_destroy(made);
}

/* Gives up when it has waited for readers to go. */
static void
want_to_write(struct mpt *t, void *arg)
{
	struct board *b = arg;

	join_arena(t);
	b->turns = mpr_self_in(the_arena())->slot;
	puppet_halt();
	mpt_check_int(t, mproc_rwlock_write(b->object, mproc_ms(50)),
		      -ETIMEDOUT);
}

static int
read_it(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_rwlock_read(b->object, MPROC_FOREVER), 0);
	mpt_check(t, !b->writes);
	mpt_check_int(t, mproc_rwlock_release(b->object), 0);
	return 0;
}

static int
write_it(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_rwlock_write(b->object, MPROC_FOREVER), 0);
	b->writes = true;
	mpt_until(t, b->may_go);
	b->writes = false;
	mpt_check_int(t, mproc_rwlock_release(b->object), 0);
	return 0;
}

static uint64_t
noted_by(unsigned slot)
{
	return atomic_load(&mpr_participant_at(the_arena(), slot)->wakes);
}

/* It let readers in when its name had been taken out of the word. */
static void
a_writer_that_gives_up_lets_nobody_in_while_another_writes(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	uint64_t name;
	mproc_rwlock *made;
	int reader, writer;
	pid_t pid;

	assert_int_equal(mproc_rwlock_create(&made), 0);
	b->object = made;
	name = mpr_arena_name(the_arena(), made);
	assert_int_equal(mproc_rwlock_read(made, MPROC_NOWAIT), 0);
	pid = puppet_start(t, want_to_write, b);
	puppet_move_until(t, pid, noted_by(b->turns) == name + MPR_DOOR_DRAIN &&
					  waiters(made) == 1);
	reader = spawn_asleep(t, made, read_it);
	mpt_pause(t, reader);
	/* It is about to take its name out. */
	puppet_move_until(t, pid, noted_by(b->turns) == name);
	assert_int_equal(mproc_rwlock_release(made), 0);
	writer = mpt_spawn(t, "writer", write_it, NULL);
	mpt_until(t, b->writes);
	puppet_run(t, pid);
	assert_int_equal(notes(made, MPR_NOTE_READS), 0);
	mpt_resume(t, reader);
	b->may_go = true;
	mpt_expect_exit(t, writer, 0);
	mpt_expect_exit(t, reader, 0);
	mproc_rwlock_destroy(made);
}

static void
read_at_once(struct mpt *t, void *arg)
{
	struct board *b = arg;

	join_arena(t);
	puppet_halt();
	b->r = mproc_rwlock_read(b->object, MPROC_NOWAIT);
}

/* A note that was struck was taken for one that somebody had made READS. */
static void
a_reader_holds_nothing_when_its_note_was_struck(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_rwlock *made, *again;
	pid_t pid;

	assert_int_equal(mproc_rwlock_create(&made), 0);
	b->object = made;
	assert_int_equal(mproc_rwlock_write(made, MPROC_NOWAIT), 0);
	pid = puppet_start(t, read_at_once, b);
	puppet_move_until(t, pid, notes(made, MPR_NOTE_WAITS) == 1);
	mproc_rwlock_destroy(made);
	assert_int_equal(mproc_rwlock_create(&again), 0);
	assert_ptr_equal(again, made);
	assert_int_equal(mproc_rwlock_write(again, MPROC_NOWAIT), 0);
	puppet_run(t, pid);
	assert_true(b->r < 0);
	mproc_rwlock_destroy(again);
}

/* The count went back to 0, and the next release let writers in. */
static void
a_thread_does_not_read_more_often_than_can_be_counted(void **state)
{
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t);
	struct mpr_rwlock *l;
	mproc_rwlock *made;
	uint32_t *count;

	assert_int_equal(mproc_rwlock_create(&made), 0);
	l = (struct mpr_rwlock *)made;
	assert_int_equal(mproc_rwlock_read(made, MPROC_NOWAIT), 0);
	count = mpr_note_count(self, mpr_note_find(self, mpr_rwlock_note(
		self, l, atomic_load(&l->cell.generation), MPR_NOTE_READS)));
	*count = UINT32_MAX;
	assert_int_equal(mproc_rwlock_read(made, MPROC_NOWAIT), -EOVERFLOW);
	*count = 0;
	assert_int_equal(mproc_rwlock_release(made), 0);
	mproc_rwlock_destroy(made);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_waiter_learns_that_a_barrier_was_made_again),
		mpt_test(no_phase_is_complete_for_who_waited_two_barriers_before),
		mpt_test(a_phase_that_was_complete_stays_so),
		mpt_test(who_is_about_to_enrol_hides_no_death),
		mpt_test(who_died_when_it_was_chosen_chooses_nobody),
		mpt_test(a_stopped_waiter_that_was_moved_keeps_the_lock_from_nobody),
		mpt_test(who_waited_for_a_destroyed_condition_is_not_notified_of_the_next),
		mpt_test(who_was_moved_to_a_destroyed_lock_hands_the_next_one_on),
		mpt_test(an_event_that_is_set_during_a_first_call_ends_it),
		mpt_test(one_that_waits_is_notified_once),
		mpt_test(a_condition_wait_does_not_return_with_another_lock),
		mpt_test(a_semaphore_made_again_is_not_taken_for_the_former_one),
		mpt_test(a_scribbled_number_of_permits_is_no_long_walk),
		mpt_test(who_was_chosen_and_not_woken_is_woken),
		mpt_test(a_writer_that_gives_up_lets_nobody_in_while_another_writes),
		mpt_test(a_reader_holds_nothing_when_its_note_was_struck),
		mpt_test(a_thread_does_not_read_more_often_than_can_be_counted),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
