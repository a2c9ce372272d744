/* SPDX-License-Identifier: MIT */
/*
 * The table of participants where it is tight: all slots taken by threads and
 * processes, some of them stopped, and newcomers; a slot that is just being
 * taken; and the locks that keep it, whatever the process starts.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <mproc/core.h>

#include "arena/death.h"
#include "arena/recover.h"
#include "common.h"
#include "os/bytelock.h"
#include "puppet.h"

/* Processes with many threads each, and with one; the last one of the former
 * takes what is left. */
#define CREWS 9
#define CREW 100
#define SINGLES 50
#define LATE 8

/* In the scratch bytes. */
struct board {
	_Atomic unsigned joined;
	_Atomic unsigned answers;
	_Atomic unsigned refused;
	_Atomic unsigned slot;
	_Atomic uint64_t ident;
	uint64_t idents[MPR_PARTICIPANTS_MAX];
};

static int
clean_up(void **state)
{
	mpr_recover_all(the_arena(), true);
	return mpt_teardown(state);
}

#define crowd_test(f) { #f, f, mpt_setup, clean_up, (void *)(uintptr_t)#f }

static int
join_and_wait(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct mpr_self *self = join_arena(t);

	if (arg) {
		b->slot = self->slot;
		b->ident = self->ident;
	}
	b->joined++;
	wait_to_be_killed(t);
	return 0;
}

static void *
join_in_a_thread(void *t)
{
	join_and_wait(t, NULL);
	return NULL;
}

static int
be_a_crew(struct mpt *t, void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	for (uintptr_t i = 0; i < (uintptr_t)arg; i++)
		mpt_check_int(t, pthread_create(&thread, &attr,
						join_in_a_thread, t), 0);
	wait_to_be_killed(t);
	return 0;
}

/* Joins if it can, and stays until all newcomers have tried. */
static int
come_late(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned all = (unsigned)(uintptr_t)arg;
	struct mpr_self *self;
	int r = mpr_self(the_arena(), &self);

	if (r < 0) {
		mpt_check_int(t, r, -EAGAIN);
		mpt_check(t, strstr(mproc_error_detail(), "1024"));
		mpt_check(t, !mpr_self_in(mpr_arena_peek()));
		b->refused++;
	} else {
		/* The place of the one that died. */
		mpt_check_int(t, self->slot, b->slot);
		mpt_check(t, self->ident == b->ident + 4);
	}
	b->answers++;
	mpt_until(t, b->answers == all);
	return 0;
}

static void
let_late_ones_come(struct mpt *t, unsigned refused)
{
	struct board *b = mpt_scratch(t);
	int ids[LATE];

	b->answers = b->refused = 0;
	for (int i = 0; i < LATE; i++)
		ids[i] = mpt_spawn(t, "late", come_late,
				   (void *)(uintptr_t)LATE);
	for (int i = 0; i < LATE; i++)
		mpt_expect_exit(t, ids[i], 0);
	assert_int_equal(b->refused, refused);
}

static void
note_idents(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	for (unsigned i = 0; i < MPR_PARTICIPANTS_MAX; i++)
		b->idents[i] = mpr_participant_at(the_arena(), i)->ident;
}

/* Whoever had a place has it still, but for the one that died. */
static void
expect_idents(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	for (unsigned i = 0; i < MPR_PARTICIPANTS_MAX; i++)
		if (i != b->slot)
			assert_true(mpr_participant_at(the_arena(), i)->ident ==
				    b->idents[i]);
}

static void
fill_the_table(struct mpt *t, int crews[CREWS], int singles[SINGLES])
{
	struct board *b = mpt_scratch(t);
	unsigned room, left;

	mpr_recover_all(the_arena(), true);
	room = MPR_PARTICIPANTS_MAX -
	       (unsigned)mpr_participants_count(the_arena());
	for (int i = 0; i < SINGLES; i++)
		singles[i] = mpt_spawn(t, "single", join_and_wait,
				       (void *)(uintptr_t)(i == 0));
	left = room - SINGLES;
	for (int i = 0; i < CREWS; i++) {
		unsigned n = i < CREWS - 1 ? CREW : left;

		crews[i] = mpt_spawn(t, "crew", be_a_crew,
				     (void *)(uintptr_t)n);
		left -= n;
	}
	mpt_until(t, b->joined == room);
	assert_int_equal(mpr_participants_count(the_arena()),
			 MPR_PARTICIPANTS_MAX);
	note_idents(t);
}

static void
a_full_table_is_recovered_before_it_refuses(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int crews[CREWS], singles[SINGLES];

	mpt_watchdog(t, 60);
	fill_the_table(t, crews, singles);
	mpt_pause(t, crews[3]);
	mpt_pause(t, singles[7]);

	let_late_ones_come(t, LATE);
	assert_int_equal(mpr_recover_all(the_arena(), true), 0);
	expect_idents(t);

	/* One dies, is not even reaped, and its life word does not tell. */
	mpt_kill_unreaped(t, singles[0]);
	mpr_participant_at(the_arena(), b->slot)->life.u.words[0] = 1;
	let_late_ones_come(t, LATE - 1);
	expect_idents(t);
	mpt_resume(t, crews[3]);
	mpt_resume(t, singles[7]);
	for (int i = 0; i < SINGLES; i++)
		mpt_kill(t, singles[i]);
	for (int i = 0; i < CREWS; i++)
		mpt_kill(t, crews[i]);
	assert_true(mpr_recover_all(the_arena(), true) > 1000);
}

static void
join_as_a_puppet(struct mpt *t, void *arg)
{
	(void)arg;
	puppet_halt();
	mpt_check_int(t, join_arena(t)->slot, 1);
	puppet_halt();
}

static int
join_beside_it(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_check_int(t, join_arena(t)->slot, 2);
	mpr_self_leave();
	return 0;
}

static int
join_after_it(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_check_int(t, join_arena(t)->slot, 1);
	return 0;
}

/* The test has the first slot. */
static void
a_slot_that_is_just_being_taken_is_not_free(void **state)
{
	struct mpt *t = *state;
	mproc_arena *a = the_arena();
	pid_t pid;

	mpr_recover_all(a, true);
	assert_int_equal(join_arena(t)->slot, 0);
	for (int i = 0; i < 2; i++) {
		pid = puppet_start(t, join_as_a_puppet, NULL);
		puppet_move_until(t, pid, mpr_bytelock_query(&a->locks, 1) > 0);
		assert_int_equal(mpr_participant_state(
					 mpr_participant_at(a, 1)->ident),
				 MPR_PARTICIPANT_FREE);
		mpt_expect_exit(t, mpt_spawn(t, "beside", join_beside_it,
					     NULL), 0);
		assert_int_equal(mpr_recover_all(a, true), 0);
		if (i) {
			puppet_run(t, pid);
			assert_int_equal(mpr_participant_at(a, 1)->pid, pid);
			assert_int_equal(mpr_recover_all(a, true), 0);
		}
		puppet_kill(pid);
		/* It had not come far enough to be missed, or has been. */
		assert_int_equal(mpr_recover_all(a, true), i);
		mpt_expect_exit(t, mpt_spawn(t, "after", join_after_it, NULL),
				0);
		assert_int_equal(mpr_recover_all(a, true), 1);
	}
}

/* Starts programs in all ways, and forks, which close what they inherited. */
static int
start_others(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	char *argv[] = { (char[]){ "true" }, NULL };
	struct mpr_self *self = join_arena(t);
	posix_spawn_file_actions_t actions;
	pid_t pid;

	(void)arg;
	b->slot = self->slot;
	b->ident = self->ident;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	mpt_check_int(t, posix_spawn(&pid, "/bin/true", &actions, NULL, argv,
				     argv + 1), 0);
	posix_spawn_file_actions_destroy(&actions);
	mpt_check_int(t, waitpid(pid, NULL, 0), pid);

	pid = vfork();
	if (pid == 0) {
		execv("/bin/true", argv);
		_exit(1);
	}
	mpt_check_int(t, waitpid(pid, NULL, 0), pid);

	pid = fork();
	if (pid == 0) {
		closefrom(3);
		_exit(0);
	}
	mpt_check_int(t, waitpid(pid, NULL, 0), pid);
	mpt_step(t, 0);
	mpt_reach(t, 2);
	closefrom(3);
	mpt_step(t, 2);
	wait_to_be_killed(t);
	return 0;
}

/* The byte lock is all that tells: the life word is lost, and nobody has the
 * thread's id. */
static void
what_a_process_starts_does_not_drop_its_lock(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	struct mpr_participant *p;
	uint32_t tid;

	mpt_spawn(t, "starter", start_others, NULL);
	mpt_reach(t, 1);
	p = mpr_participant_at(the_arena(), b->slot);
	tid = p->tid;
	p->tid = 1 << 30;
	assert_false(mpr_participant_is_dead(the_arena(), b->slot, b->ident,
					     true));
	assert_int_equal(mpr_recover_all(the_arena(), true), 0);
	/* It really was the lock. */
	mpt_step(t, 1);
	mpt_reach(t, 3);
	assert_true(mpr_participant_is_dead(the_arena(), b->slot, b->ident,
					    true));
	p->tid = tid;
	assert_int_equal(mpr_recover_all(the_arena(), true), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		crowd_test(a_full_table_is_recovered_before_it_refuses),
		crowd_test(a_slot_that_is_just_being_taken_is_not_free),
		crowd_test(what_a_process_starts_does_not_drop_its_lock),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
