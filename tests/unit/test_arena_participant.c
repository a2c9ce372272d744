/* SPDX-License-Identifier: MIT */
/*
 * Joining and leaving: slots, incarnations, forks, and a full table.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>

#include <mproc/core.h>

#include "arena/recover.h"
#include "base/error.h"
#include "common.h"
#include "os/bytelock.h"

/* In the scratch bytes. */
struct board {
	_Atomic unsigned slot[MPR_PARTICIPANTS_MAX];
	_Atomic uint64_t ident[MPR_PARTICIPANTS_MAX];
	_Atomic unsigned joined;
	_Atomic unsigned failed;
};

static void
joining_again_gives_the_same_slot(void **state)
{
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t), *again = join_arena(t);

	assert_ptr_equal(self, again);
	assert_ptr_equal(mpr_self_in(mpr_arena_peek()), self);
	assert_ptr_equal(mpr_participant_at(the_arena(), self->slot),
			 self->shared);
	assert_true(self->shared->ident == self->ident);
	assert_int_equal(mpr_participant_state(self->ident),
			 MPR_PARTICIPANT_LIVE);
	assert_int_equal(self->shared->pid, getpid());
	assert_int_equal(self->shared->tid, gettid());
	assert_true(mpr_participants_high(the_arena()) > self->slot);
}

static int
join_and_tell(struct mpt *t, void *arg)
{
	struct mpr_self *self = join_arena(t);
	struct board *b = mpt_scratch(t);
	intptr_t i = (intptr_t)arg;

	b->slot[i] = self->slot;
	b->ident[i] = self->ident;
	b->joined++;
	return 0;
}

static int
join_and_stay(struct mpt *t, void *arg)
{
	join_and_tell(t, arg);
	mpt_reach(t, 1);
	return 0;
}

static void
all_have_their_own(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	uint64_t before = mpr_participants_count(the_arena());

	for (intptr_t i = 0; i < 20; i++)
		mpt_spawn(t, "peer", join_and_stay, (void *)i);
	mpt_until(t, b->joined == 20);
	assert_int_equal(mpr_participants_count(the_arena()), before + 20);
	for (int i = 0; i < 20; i++)
		for (int j = 0; j < i; j++)
			assert_int_not_equal(b->slot[i], b->slot[j]);
	mpt_step(t, 0);
	mpt_join_all(t);
	mpr_recover_all(the_arena(), true);
	assert_int_equal(mpr_participants_count(the_arena()), before);
}

static void
each_process_has_a_slot_of_its_own(void **state)
{
	all_have_their_own(*state);
}

static void
each_thread_has_a_slot_of_its_own(void **state)
{
	mpt_use_threads(*state, true);
	all_have_their_own(*state);
}

static void
a_slot_is_used_again_with_a_higher_incarnation(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);

	mpt_use_threads(t, true);
	for (intptr_t i = 0; i < 10; i++)
		mpt_expect_exit(t, mpt_spawn(t, "peer", join_and_tell,
					     (void *)i), 0);
	for (int i = 1; i < 10; i++) {
		assert_int_equal(b->slot[i], b->slot[0]);
		assert_true(b->ident[i] > b->ident[i - 1]);
	}
}

static void
a_thread_that_ends_gives_its_slot_back_by_itself(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	struct mpr_participant *p;

	mpt_use_threads(t, true);
	mpt_expect_exit(t, mpt_spawn(t, "peer", join_and_tell, (void *)0), 0);
	p = mpr_participant_at(the_arena(), b->slot[0]);
	assert_int_equal(mpr_participant_state(p->ident),
			 MPR_PARTICIPANT_FREE);
	assert_true(p->ident == (b->ident[0] & ~UINT64_C(3)));
	assert_true(mpr_life_ended(&p->life));
	assert_int_equal(mpr_recover_all(the_arena(), true), 0);
}

static int
leave_and_come_back(struct mpt *t, void *arg)
{
	uint64_t ident = 0;

	(void)arg;
	for (int i = 0; i < 5; i++) {
		struct mpr_self *self = join_arena(t);

		mpt_check(t, self->ident > ident);
		ident = self->ident;
		mpr_self_leave();
		mpt_check(t, !mpr_self_in(mpr_arena_peek()));
		mpr_self_leave();
	}
	return 0;
}

static void
who_left_may_join_again(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "peer", leave_and_come_back, NULL), 0);
	assert_int_equal(mpr_recover_all(the_arena(), true), 0);
}

static int
join_as_a_child(struct mpt *t, void *arg)
{
	struct mpr_self *parent = arg;
	unsigned parents_slot = parent->slot;
	struct mpr_self *self;

	mpt_check(t, !mpr_self_in(mpr_arena_peek()));
	/* The parent's slot is not this process's to give back. */
	mpr_self_leave();
	mpt_check_int(t, mpr_participant_state(mpr_participant_at(the_arena(),
				 parents_slot)->ident), MPR_PARTICIPANT_LIVE);
	self = join_arena(t);
	mpt_check(t, self->slot != parents_slot);
	mpt_check_int(t, self->shared->pid, getpid());
	return 0;
}

static void
a_forked_child_is_not_its_parent(void **state)
{
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t);

	mpt_expect_exit(t, mpt_spawn(t, "child", join_as_a_child, self), 0);
	assert_ptr_equal(mpr_self_in(mpr_arena_peek()), self);
	assert_true(self->shared->ident == self->ident);
	mpr_recover_all(the_arena(), true);
}

static int
join_in_a_grandchild(struct mpt *t, void *arg)
{
	struct mpr_self *self = join_arena(t);
	unsigned slot = self->slot;
	int status;
	pid_t pid;

	(void)arg;
	pid = _Fork();
	if (pid == 0) {
		mpt_check(t, !mpr_self_in(mpr_arena_peek()));
		mpt_check(t, join_arena(t)->slot != slot);
		_exit(0);
	}
	mpt_check_int(t, waitpid(pid, &status, 0), pid);
	mpt_check_int(t, status, 0);
	return 0;
}

static void
a_child_forked_without_handlers_is_not_its_parent(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "child", join_in_a_grandchild, NULL),
			0);
	mpr_recover_all(the_arena(), true);
}

static int
join_without_lock_file(struct mpt *t, void *arg)
{
	struct mpr_self *self;

	(void)arg;
	close(the_arena()->locks.fd);
	mpt_check_int(t, mpr_self(the_arena(), &self), -ENOLCK);
	mpt_check(t, strstr(mproc_error_detail(), "closed"));
	mpt_check(t, !mpr_self_in(mpr_arena_peek()));
	return 0;
}

static void
nobody_joins_when_the_lock_file_was_closed(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "peer", join_without_lock_file, NULL),
			0);
	assert_int_equal(mpr_recover_all(the_arena(), true), 0);
}

static void *
join_and_idle(void *arg)
{
	struct board *b = mpt_scratch(arg);
	struct mpr_self *self;
	int r = mpr_self(the_arena(), &self);

	if (r == 0)
		b->joined++;
	else if (r == -EAGAIN)
		b->failed++;
	wait_to_be_killed(arg);
	return NULL;
}

/* Threads that fill the table, in a process that can be killed. */
static int
fill_the_table(struct mpt *t, void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	unsigned n = (unsigned)(uintptr_t)arg;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	for (unsigned i = 0; i < n; i++)
		mpt_check_int(t, pthread_create(&thread, &attr, join_and_idle,
						t), 0);
	wait_to_be_killed(t);
	return 0;
}

static int
expect_no_room(struct mpt *t, void *arg)
{
	struct mpr_self *self;

	(void)arg;
	mpt_check_int(t, mpr_self(the_arena(), &self), -EAGAIN);
	mpt_check(t, strstr(mproc_error_detail(), "1024"));
	mpt_check(t, !mpr_self_in(mpr_arena_peek()));
	return 0;
}

static void
a_full_table_refuses_until_some_have_died(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	unsigned room;
	int most, few;

	mpt_watchdog(t, 60);
	mpr_recover_all(the_arena(), true);
	room = MPR_PARTICIPANTS_MAX -
	       (unsigned)mpr_participants_count(the_arena());
	few = mpt_spawn(t, "few", fill_the_table, (void *)10);
	mpt_until(t, b->joined == 10);
	/* Two more threads than there is room. */
	most = mpt_spawn(t, "most", fill_the_table,
			 (void *)(uintptr_t)(room - 8));
	mpt_until(t, b->joined + b->failed == room + 2);
	assert_int_equal(b->joined, room);
	assert_int_equal(b->failed, 2);
	assert_int_equal(mpr_participants_count(the_arena()),
			 MPR_PARTICIPANTS_MAX);
	mpt_expect_exit(t, mpt_spawn(t, "late", expect_no_room, NULL), 0);

	/* Their slots are free as soon as somebody needs one. */
	mpt_kill(t, few);
	mpt_expect_exit(t, mpt_spawn(t, "late", join_and_tell, (void *)0), 0);
	mpt_kill(t, most);
	assert_true(mpr_recover_all(the_arena(), true) > 900);
	assert_int_equal(mpr_participants_count(the_arena()),
			 MPR_PARTICIPANTS_MAX - room);
}

static int
join_and_leave_often(struct mpt *t, void *arg)
{
	(void)arg;
	for (unsigned i = amount(500); i; i--) {
		struct mpr_self *self = join_arena(t);

		/* It is ours alone. */
		mpt_check(t, self->shared->ident == self->ident);
		mpt_check_int(t, self->shared->tid, gettid());
		mpr_self_leave();
	}
	return 0;
}

static void
comers_and_goers_do_not_share_slots(void **state)
{
	struct mpt *t = *state;

	/* Processes first: ThreadSanitizer takes threads that end during a
	 * fork for leaks of the child. */
	for (int i = 0; i < 2; i++)
		mpt_spawn(t, "process", join_and_leave_often, NULL);
	mpt_use_threads(t, true);
	for (int i = 0; i < 3; i++)
		mpt_spawn(t, "thread", join_and_leave_often, NULL);
	mpt_join_all(t);
	assert_int_equal(mpr_recover_all(the_arena(), true), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(joining_again_gives_the_same_slot),
		mpt_test(each_process_has_a_slot_of_its_own),
		mpt_test(each_thread_has_a_slot_of_its_own),
		mpt_test(a_slot_is_used_again_with_a_higher_incarnation),
		mpt_test(a_thread_that_ends_gives_its_slot_back_by_itself),
		mpt_test(who_left_may_join_again),
		mpt_test(a_forked_child_is_not_its_parent),
		mpt_test(a_child_forked_without_handlers_is_not_its_parent),
		mpt_test(nobody_joins_when_the_lock_file_was_closed),
		mpt_test(a_full_table_refuses_until_some_have_died),
		mpt_test(comers_and_goers_do_not_share_slots),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
