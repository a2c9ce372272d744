/* SPDX-License-Identifier: MIT */
/*
 * sync/notes.c: what threads note of themselves, and who sees it; and the doors
 * of sync/wait.c.
 */
#include <stdatomic.h>

#include "common.h"
#include "os/clock.h"
#include "sync/notes.h"
#include "sync/wait.h"

static uint64_t objects[20];

static struct mpr_self *
self(void)
{
	struct mpr_self *self;
	mproc_arena *a;

	assert_int_equal(mpr_arena_get(&a), 0);
	assert_int_equal(mpr_self(a, &self), 0);
	return self;
}

static uint64_t
about(const struct mpr_self *me, const void *object, enum mpr_note_kind kind)
{
	return mpr_note(me->arena, object, 0, kind);
}

static unsigned
count(const void *object, enum mpr_note_kind kind)
{
	return mpr_notes_count(self()->arena, self(), object, 0, kind, 100);
}

static void
sixteen_notes_and_no_more(void **state)
{
	struct mpr_self *me = self();
	_Atomic uint64_t *note[MPR_NOTES];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MPR_NOTES; i++) {
			uint64_t word = about(me, &objects[i], MPR_NOTE_READS);

			assert_null(mpr_note_find(me, word));
			note[i] = mpr_note_take(me, word);
			assert_non_null(note[i]);
			assert_ptr_equal(mpr_note_find(me, word), note[i]);
			assert_int_equal(*mpr_note_count(me, note[i]), 0);
			*mpr_note_count(me, note[i]) = 7;
		}
		assert_null(mpr_note_take(me, about(me, &objects[16],
						    MPR_NOTE_READS)));
		/* From both ends, and one in the middle again. */
		mpr_note_drop(me, note[5]);
		note[5] = mpr_note_take(me, about(me, &objects[17],
						  MPR_NOTE_PARTY));
		assert_non_null(note[5]);
		assert_int_equal(*mpr_note_count(me, note[5]), 0);
		for (int i = 0; i < MPR_NOTES; i++)
			mpr_note_drop(me, note[(i * 7) % MPR_NOTES]);
		assert_int_equal(me->notes_high, 0);
	}
}

static void
notes_are_counted_by_kind_and_object(void **state)
{
	struct mpr_self *me = self();
	_Atomic uint64_t *reads, *party;
	uint64_t word = about(me, &objects[0], MPR_NOTE_READS);

	(void)state;
	reads = mpr_note_take(me, word);
	party = mpr_note_take(me, about(me, &objects[1], MPR_NOTE_PARTY));
	assert_int_equal(count(&objects[0], MPR_NOTE_READS), 1);
	assert_int_equal(count(&objects[0], MPR_NOTE_WAITS), 0);
	assert_int_equal(count(&objects[1], MPR_NOTE_PARTY), 1);
	assert_int_equal(count(&objects[2], MPR_NOTE_READS), 0);
	assert_false(mpr_note_drop_if(me, party, word));
	assert_true(mpr_note_drop_if(me, reads, word));
	assert_int_equal(count(&objects[0], MPR_NOTE_READS), 0);
	mpr_note_drop(me, party);
	assert_int_equal(me->notes_high, 0);
}

/* Of an object that is made at the place of another one. */
static void
notes_are_about_one_generation(void **state)
{
	struct mpr_self *me = self();
	const mproc_arena *a = me->arena;
	void *object = mproc_alloc(64);
	_Atomic uint64_t *old, *new;

	(void)state;
	old = mpr_note_take(me, mpr_note(a, object, 7, MPR_NOTE_READS));
	new = mpr_note_take(me, mpr_note(a, object, 8, MPR_NOTE_READS));
	assert_int_equal(mpr_notes_count(a, me, object, 7, MPR_NOTE_READS, 9),
			 1);
	assert_int_equal(mpr_notes_count(a, me, object, 8, MPR_NOTE_READS, 9),
			 1);
	assert_int_equal(mpr_notes_count(a, me, object, 9, MPR_NOTE_READS, 9),
			 0);
	mpr_notes_strike(a, me, object, 8);
	assert_int_equal(*old, 0);
	assert_int_equal(*new, mpr_note(a, object, 8, MPR_NOTE_READS));
	mpr_note_drop(me, new);
	assert_int_equal(me->notes_high, 0);
	mproc_free(object);
}

static pthread_barrier_t met;

static void *
note_and_end(void *shared)
{
	struct mpr_self *me = self();

	mpr_note_take(me, about(me, &objects[3], MPR_NOTE_READS));
	mpr_note_take(me, about(me, shared, MPR_NOTE_READS));
	pthread_barrier_wait(&met);
	pthread_barrier_wait(&met);
	return NULL;
}

/* A thread's notes end with it; its walk still finds them, as those of none. */
static void
notes_count_while_their_thread_lives(void **state)
{
	void *shared = mproc_alloc(64);
	struct mpr_notes_walk walk;
	pthread_t thread;

	(void)state;
	assert_non_null(shared);
	pthread_barrier_init(&met, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, note_and_end, shared),
			 0);
	pthread_barrier_wait(&met);
	assert_int_equal(count(&objects[3], MPR_NOTE_READS), 1);
	assert_int_equal(count(shared, MPR_NOTE_READS), 1);
	pthread_barrier_wait(&met);
	pthread_join(thread, NULL);
	assert_int_equal(count(&objects[3], MPR_NOTE_READS), 0);
	assert_int_equal(count(shared, MPR_NOTE_READS), 0);
	mpr_notes_begin(&walk, self()->arena, self(), shared, 0);
	assert_non_null(mpr_notes_next(&walk));
	assert_false(walk.lives);
	assert_int_equal(mpr_notes_kind(&walk), MPR_NOTE_READS);
	assert_null(mpr_notes_next(&walk));
	/* Whoever gets its slot has none. */
	assert_int_equal(pthread_create(&thread, NULL, note_and_end, shared),
			 0);
	pthread_barrier_wait(&met);
	assert_int_equal(count(shared, MPR_NOTE_READS), 1);
	pthread_barrier_wait(&met);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&met);
	mproc_free(shared);
}

static _Atomic bool woken[2];

static _Atomic unsigned looks[2];

/* Until it is chosen. */
static void *
wait_at_door(void *arg)
{
	unsigned door = (unsigned)(uintptr_t)arg;
	struct mpr_wait w;

	mpr_wait_begin(&w, self(), mpr_door(objects, door), MPR_WAIT_NEWS);
	do {
		mpr_wait_announce(&w, -1);
		mpr_wait_sleep(&w, MPR_NEVER);
		looks[door]++;
	} while (!mpr_wait_end(&w));
	woken[door] = true;
	return NULL;
}

/* Whether the one at @door has been woken by now. */
static bool
wake(unsigned door)
{
	struct mpr_wake k;

	mpr_wake_begin(&k, self()->arena, self(), mpr_door(objects, door));
	mpr_wake_n(&k, 5);
	mpr_wake_end(&k);
	return woken[door];
}

/* Whether all have looked by now. */
static bool
have_a_look(void)
{
	struct mpr_wake k;

	mpr_wake_begin(&k, self()->arena, self(), objects);
	mpr_wake_for_a_look(&k);
	mpr_wake_end(&k);
	return looks[0] && looks[1];
}

static void
a_waker_chooses_at_one_door(void **state)
{
	struct mpt *t = *state;
	pthread_t threads[2];
	int64_t since;

	for (uintptr_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, wait_at_door,
						(void *)i), 0);
	mpt_until(t, mpr_wait_count(self()->arena, objects, &since) == 2);
	mpt_until(t, have_a_look());
	assert_false(woken[0] || woken[1]);
	mpt_until(t, wake(1));
	pthread_join(threads[1], NULL);
	mpt_until(t, mpr_wait_count(self()->arena, objects, &since) == 1);
	assert_false(woken[0]);
	mpt_until(t, wake(0));
	pthread_join(threads[0], NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(sixteen_notes_and_no_more),
		mpt_test(notes_are_counted_by_kind_and_object),
		mpt_test(notes_are_about_one_generation),
		mpt_test(notes_count_while_their_thread_lives),
		mpt_test(a_waker_chooses_at_one_door),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
