/* SPDX-License-Identifier: MIT */
/*
 * Proof of death. A false "dead" would corrupt, so most of this is about who
 * is not dead.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdnoreturn.h>

#include "arena/death.h"
#include "arena/recover.h"
#include "common.h"
#include "os/task.h"

/* In the scratch bytes: whom it is about. */
struct board {
	_Atomic unsigned slot;
	_Atomic uint64_t ident;
};

static void
tell(struct mpt *t)
{
	struct mpr_self *self = join_arena(t);
	struct board *b = mpt_scratch(t);

	b->slot = self->slot;
	b->ident = self->ident;
}

static bool
is_dead(struct mpt *t, bool thorough)
{
	struct board *b = mpt_scratch(t);

	return mpr_participant_is_dead(the_arena(), b->slot, b->ident,
				       thorough);
}

static struct mpr_participant *
victim(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	return mpr_participant_at(the_arena(), b->slot);
}

static int
clean_up(void **state)
{
	mpr_recover_all(the_arena(), true);
	return mpt_teardown(state);
}

#define death_test(f) { #f, f, mpt_setup, clean_up, (void *)(uintptr_t)#f }

static int
tell_and_wait(struct mpt *t, void *arg)
{
	(void)arg;
	tell(t);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static int
spawn_victim(struct mpt *t, mpt_fn *fn)
{
	int id = mpt_spawn(t, "victim", fn, NULL);

	mpt_reach(t, 1);
	return id;
}

static void
a_running_process_is_not_dead(void **state)
{
	struct mpt *t = *state;

	spawn_victim(t, tell_and_wait);
	assert_false(is_dead(t, false));
	assert_false(is_dead(t, true));
}

static void
a_killed_process_is_dead(void **state)
{
	struct mpt *t = *state;

	mpt_kill(t, spawn_victim(t, tell_and_wait));
	assert_true(is_dead(t, false));
	assert_true(is_dead(t, true));
}

static void
a_zombie_is_dead(void **state)
{
	struct mpt *t = *state;

	mpt_kill_unreaped(t, spawn_victim(t, tell_and_wait));
	assert_true(is_dead(t, false));
	assert_true(is_dead(t, true));
}

static void
a_stopped_process_is_not_dead(void **state)
{
	struct mpt *t = *state;
	int id = spawn_victim(t, tell_and_wait);

	mpt_pause(t, id);
	assert_false(is_dead(t, false));
	assert_false(is_dead(t, true));
	mpt_resume(t, id);
}

static int
tell_and_leave(struct mpt *t, void *arg)
{
	(void)arg;
	tell(t);
	mpr_self_leave();
	return 0;
}

static void
one_that_left_is_not_dead(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "peer", tell_and_leave, NULL), 0);
	assert_false(is_dead(t, false));
	assert_false(is_dead(t, true));
}

static int
tell_and_exec(struct mpt *t, void *arg)
{
	int *fds = arg;

	tell(t);
	mpt_step(t, 0);
	mpt_reach(t, 2);
	dup2(fds[0], STDIN_FILENO);
	close(fds[1]);
	execl("/bin/cat", "cat", (char *)NULL);
	return 1;
}

static void
a_process_that_became_another_program_is_dead(void **state)
{
	struct mpt *t = *state;
	int fds[2], id;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	id = mpt_spawn(t, "victim", tell_and_exec, fds);
	mpt_reach(t, 1);
	assert_false(is_dead(t, true));
	mpt_step(t, 1);
	mpt_until(t, is_dead(t, false));
	close(fds[0]);
	close(fds[1]);
	mpt_expect_exit(t, id, 0);
}

static noreturn void *
tell_and_vanish(void *t)
{
	tell(t);
	for (;;)
		end_thread_at_once();
}

static void
a_thread_of_our_own_that_vanished_is_dead(void **state)
{
	struct mpt *t = *state;

	assert_int_equal(run_vanishing_thread(tell_and_vanish, t), 0);
	assert_int_equal(victim(t)->pid, getpid());
	assert_true(is_dead(t, false));
	assert_true(is_dead(t, true));
}

static int
lose_a_thread(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_check_int(t, run_vanishing_thread(tell_and_vanish, t), 0);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
a_dead_thread_of_a_living_process_is_dead(void **state)
{
	struct mpt *t = *state;

	spawn_victim(t, lose_a_thread);
	assert_true(is_dead(t, false));
}

static noreturn void *
vanish_as_well(void *t)
{
	mpt_step(t, 0);
	for (;;)
		wait_to_be_killed(t);
}

/* The first thread of a process may end before the others. */
static int
end_the_first_thread(struct mpt *t, void *arg)
{
	pthread_t thread;

	(void)arg;
	tell(t);
	mpt_check_int(t, pthread_create(&thread, NULL, vanish_as_well, t), 0);
	for (;;)
		end_thread_at_once();
}

static void
a_first_thread_that_ended_before_its_process_is_dead(void **state)
{
	struct mpt *t = *state;
	int id = spawn_victim(t, end_the_first_thread);

	mpt_until(t, is_dead(t, false));
	assert_int_equal(mpt_task_state(mpt_pid(t, id)), 'Z');
	assert_true(is_dead(t, true));
	mpt_kill(t, id);
}

static int
tell_and_stay(struct mpt *t, void *arg)
{
	(void)arg;
	tell(t);
	mpt_step(t, 0);
	mpt_reach(t, 2);
	return 0;
}

static void
a_living_thread_of_our_own_is_not_dead(void **state)
{
	struct mpt *t = *state;
	int id;

	mpt_use_threads(t, true);
	id = spawn_victim(t, tell_and_stay);
	assert_false(is_dead(t, false));
	assert_false(is_dead(t, true));
	mpt_step(t, 1);
	mpt_expect_exit(t, id, 0);
}

static int
close_all_and_wait(struct mpt *t, void *arg)
{
	(void)arg;
	tell(t);
	syscall(SYS_close_range, 3, ~0U, 0);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
a_process_that_closed_the_lock_file_is_not_dead(void **state)
{
	struct mpt *t = *state;
	int id = spawn_victim(t, close_all_and_wait);

	assert_false(is_dead(t, false));
	assert_false(is_dead(t, true));
	mpt_kill(t, id);
	assert_true(is_dead(t, false));
}

static int
outlive_a_thread(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, run_vanishing_thread(tell_and_vanish, t), 0);
	b->ident = 0;
	tell(t);
	syscall(SYS_close_range, 3, ~0U, 0);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
neither_is_one_whose_other_thread_died_before(void **state)
{
	struct mpt *t = *state;

	spawn_victim(t, outlive_a_thread);
	assert_false(is_dead(t, false));
	assert_false(is_dead(t, true));
}

/*
 * The second line, for a death that the life word does not show. What the
 * kernel does then is played by hand: the word names a thread that lives.
 */
static void
pretend_life(struct mpt *t)
{
	victim(t)->life.u.words[0] = 1;
}

static void
a_lost_life_word_is_made_good_by_the_second_line(void **state)
{
	struct mpt *t = *state;

	mpt_kill(t, spawn_victim(t, tell_and_wait));
	pretend_life(t);
	assert_false(is_dead(t, false));
	assert_true(is_dead(t, true));
}

static void
an_id_that_lives_again_is_told_by_its_start_time(void **state)
{
	struct mpt *t = *state;
	uint64_t joined_at;

	mpt_kill(t, spawn_victim(t, tell_and_wait));
	pretend_life(t);
	joined_at = victim(t)->joined_at;
	assert_in_range(joined_at, mpr_task_start_time(getpid()),
			mpr_task_now());
	/* The id is somebody's who might have been there. */
	victim(t)->tid = (uint32_t)getppid();
	assert_false(is_dead(t, true));
	victim(t)->joined_at = mpr_task_start_time(getppid());
	assert_false(is_dead(t, true));
	/* And who started later. */
	victim(t)->joined_at--;
	assert_true(is_dead(t, true));
}

static void
an_unknown_time_of_joining_proves_nothing(void **state)
{
	struct mpt *t = *state;

	mpt_kill(t, spawn_victim(t, tell_and_wait));
	pretend_life(t);
	victim(t)->tid = (uint32_t)getppid();
	victim(t)->joined_at = 0;
	assert_false(is_dead(t, true));
	victim(t)->joined_at = 1; /* for clean_up() */
}

static void
an_id_of_another_pid_namespace_proves_nothing(void **state)
{
	struct mpt *t = *state;
	uint64_t namespace;

	mpt_kill(t, spawn_victim(t, tell_and_wait));
	pretend_life(t);
	namespace = victim(t)->pid_namespace;
	victim(t)->pid_namespace = namespace + 1;
	assert_false(is_dead(t, true));
	victim(t)->pid_namespace = 0;
	assert_false(is_dead(t, true));
	victim(t)->pid_namespace = namespace;
	assert_true(is_dead(t, true));
}

static void
a_held_byte_proves_life(void **state)
{
	struct mpt *t = *state;
	uint32_t tid;

	spawn_victim(t, tell_and_wait);
	/* Nothing else says that it lives. */
	tid = victim(t)->tid;
	victim(t)->tid = 1 << 30;
	assert_false(is_dead(t, true));
	victim(t)->tid = tid;
}

static void
an_earlier_incarnation_is_not_the_one_that_is_dead(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);

	mpt_kill(t, spawn_victim(t, tell_and_wait));
	assert_false(mpr_participant_is_dead(the_arena(), b->slot,
					     b->ident - 4, true));
	assert_false(mpr_participant_is_dead(the_arena(), b->slot,
					     b->ident + 4, true));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		death_test(a_running_process_is_not_dead),
		death_test(a_killed_process_is_dead),
		death_test(a_zombie_is_dead),
		death_test(a_stopped_process_is_not_dead),
		death_test(one_that_left_is_not_dead),
		death_test(a_process_that_became_another_program_is_dead),
		death_test(a_thread_of_our_own_that_vanished_is_dead),
		death_test(a_dead_thread_of_a_living_process_is_dead),
		death_test(
			a_first_thread_that_ended_before_its_process_is_dead),
		death_test(a_living_thread_of_our_own_is_not_dead),
		death_test(a_process_that_closed_the_lock_file_is_not_dead),
		death_test(neither_is_one_whose_other_thread_died_before),
		death_test(a_lost_life_word_is_made_good_by_the_second_line),
		death_test(an_id_that_lives_again_is_told_by_its_start_time),
		death_test(an_unknown_time_of_joining_proves_nothing),
		death_test(an_id_of_another_pid_namespace_proves_nothing),
		death_test(a_held_byte_proves_life),
		death_test(an_earlier_incarnation_is_not_the_one_that_is_dead),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
