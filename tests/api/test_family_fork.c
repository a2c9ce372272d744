/* SPDX-License-Identifier: MIT */
/*
 * arena.h and queue.h: children that libmproc did not start. However a child
 * is forked, it is a participant of its own in the family of its parent, and
 * neither what it does nor how it ends touches what its parent holds.
 */
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "family.h"

typedef pid_t fork_fn(void);

static pid_t
clone_without_the_library(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static int
wait_for(struct mpt *t, pid_t pid)
{
	int status;

	mpt_check(t, pid > 0);
	mpt_check_int(t, waitpid(pid, &status, 0), pid);
	return status;
}

/* Uses all that its parent has, and things of its own, and stays. */
static void
be_a_child(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	unsigned value = 0;
	mproc_queue *own;
	void *p;

	/* It is not the consumer that its parent is. */
	expect_the_part_taken(t);
	put_value(t, 100);
	p = mproc_alloc(100);
	mpt_check(t, p);
	b->block = p;
	mpt_check_int(t, mproc_queue_create(&own, NULL), 0);
	mpt_check_int(t, mproc_queue_put(own, &value, sizeof(value),
					 MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_queue_get(own, &value, sizeof(value), NULL,
					 MPROC_NOWAIT), 0);
	mproc_queue_destroy(own);
	b->ready++;
	mpt_reach(t, 1);
	put_value(t, 101);
}

/* Messages of the parent, 1 to 3, and of the child come in their orders. */
static void
take_all(struct mpt *t, unsigned childs_last)
{
	struct board *b = mpt_scratch(t);
	unsigned parents = 1, childs = 100, value;

	while (mproc_queue_get(b->q, &value, sizeof(value), NULL,
			       MPROC_NOWAIT) == 0)
		mpt_check_int(t, value, value < 100 ? parents++ : childs++);
	mpt_check_int(t, parents, 4);
	mpt_check_int(t, childs, childs_last + 1);
}

static void
a_child_is_a_participant_of_its_own(struct mpt *t, fork_fn *do_fork,
				    bool kill_it)
{
	struct board *b = mpt_scratch(t);
	pid_t pid;

	begin(t);
	hold_all(t);
	put_value(t, 1);
	pid = do_fork();
	if (pid == 0) {
		be_a_child(t);
		_exit(0);
	}
	put_value(t, 2);
	mpt_until(t, b->ready == 2);
	expect_nobody_dead(t);
	assert_int_equal(stat_now().participants, b->before.participants + 1);
	if (kill_it)
		kill(pid, SIGKILL);
	else
		mpt_step(t, 0);
	assert_int_equal(wait_for(t, pid), kill_it ? SIGKILL : 0);
	assert_int_equal(mproc_arena_recover(NULL), 1);
	expect_nobody_dead(t);

	/* The parent has what it had. */
	mproc_free(b->block);
	b->blocks = stat_now().blocks;
	put_value(t, 3);
	take_all(t, kill_it ? 100 : 101);
	expect_all_given_back(t);
}

static void
a_forked_child_is_a_participant_of_its_own(void **state)
{
	a_child_is_a_participant_of_its_own(*state, fork, false);
}

static void
a_forked_child_that_is_killed_takes_nothing_along(void **state)
{
	a_child_is_a_participant_of_its_own(*state, fork, true);
}

static void
a_child_forked_without_handlers_is_one_too(void **state)
{
	a_child_is_a_participant_of_its_own(*state, _Fork, false);
}

static void
one_of_them_that_is_killed_takes_nothing_along(void **state)
{
	a_child_is_a_participant_of_its_own(*state, _Fork, true);
}

static int
put_if_it_can(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	unsigned value = 100;

	return mproc_queue_put(b->q, &value, sizeof(value), MPROC_NOWAIT);
}

/* The C library does not know of such a child, so it may be refused, but it
 * must not be taken for its parent. */
static void
a_child_cloned_behind_the_c_library_harms_nobody(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	pid_t pid;
	int status;

	begin(t);
	hold_all(t);
	put_value(t, 1);
	pid = clone_without_the_library();
	if (pid == 0) {
		int r = put_if_it_can(t);

		_exit(r == 0 ? 1 : r == -EPROTO ? 2 : 3);
	}
	status = WEXITSTATUS(wait_for(t, pid));
	assert_in_range(status, 1, 2);
	assert_int_equal(mproc_arena_recover(NULL), status == 1);
	expect_nobody_dead(t);
	put_value(t, 2);
	put_value(t, 3);
	b->blocks = stat_now().blocks;
	take_all(t, status == 1 ? 100 : 99);
	expect_all_given_back(t);
}

static void
a_child_that_leaves_the_library_alone_is_nobody(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	fork_fn *const forks[] = { fork, _Fork, clone_without_the_library };

	begin(t);
	hold_all(t);
	for (int i = 0; i < 6; i++) {
		pid_t pid = forks[i / 2]();

		if (pid == 0) {
			/* The locks of the file are not the child's. */
			closefrom(3);
			if (i % 2)
				raise(SIGKILL);
			_exit(0);
		}
		assert_int_equal(wait_for(t, pid), i % 2 ? SIGKILL : 0);
		expect_nobody_dead(t);
		assert_int_equal(stat_now().participants,
				 b->before.participants);
	}
	put_value(t, 1);
	take_value(t, 1);
	expect_all_given_back(t);
}

/* What the threads that are not there had allocated is no leak of the child:
 * nobody shall look for leaks. */
static void
end_at_once(void)
{
	_exit(0);
}

/* In a child of fork() the thread that forked is the only one; when it ends,
 * the process does. */
static void *
fork_in_a_thread(void *t)
{
	struct board *b = mpt_scratch(t);
	pid_t pid;

	hold_all(t);
	pid = fork();
	if (pid > 0) {
		mpt_check_int(t, wait_for(t, pid), 0);
		mpt_check_int(t, mproc_arena_recover(NULL), 0);
		mpt_check_int(t, stat_now().participants,
			      b->before.participants + 1);
		put_value(t, 1);
		take_value(t, 1);
		return NULL;
	}
	atexit(end_at_once);
	if (b->got)
		put_value(t, 1);
	return NULL;
}

static void
a_child_that_ends_as_a_thread_does_gives_back_its_own(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);

	begin(t);
	run_thread(t, fork_in_a_thread);
	b->got = 1;
	run_thread(t, fork_in_a_thread);
	assert_int_equal(stat_now().participants, b->before.participants);
	take_value(t, 1);
	b->blocks = stat_now().blocks;
	expect_all_given_back(t);
}

static int
fork_and_die(struct mpt *t, void *arg)
{
	pid_t pid;

	(void)arg;
	hold_all(t);
	pid = fork();
	mpt_check(t, pid >= 0);
	if (pid == 0) {
		put_value(t, 50);
		mpt_step(t, 0);
		mpt_reach(t, 2);
		/* The part that the parent had. */
		take_value(t, 50);
		_exit(0);
	}
	wait_to_be_killed(t);
	return 0;
}

static void
a_child_outlives_its_parent_in_the_family(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int id;

	begin(t);
	id = mpt_spawn(t, "parent", fork_and_die, NULL);
	mpt_reach(t, 1);
	mpt_kill(t, id);
	assert_int_equal(mproc_arena_recover(NULL), 1);
	expect_nobody_dead(t);
	mpt_step(t, 1);
	assert_int_equal(mpt_reap_orphans(t), 1);
	assert_int_equal(mproc_arena_recover(NULL), 1);
	assert_int_equal(stat_now().participants, b->before.participants);
	b->blocks = stat_now().blocks;
	expect_all_given_back(t);
}

/* With the test itself as many as a queue has seats from the start. */
#define DEPTH 6

/* All ancestors are alive and wait for their child. */
static void
put_and_fork(struct mpt *t)
{
	unsigned depth = 0;
	pid_t pid = 0;

	while (pid == 0 && depth < DEPTH) {
		put_value(t, ++depth);
		if (depth < DEPTH)
			pid = depth % 2 ? fork() : _Fork();
	}
	if (depth < DEPTH) {
		mpt_check_int(t, wait_for(t, pid), 0);
		put_value(t, depth);
	} else {
		mpt_step(t, 0);
		mpt_reach(t, 2);
	}
	_exit(0);
}

static void
each_of_a_line_of_descendants_is_one(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	unsigned value, n[DEPTH + 1] = { 0 };
	pid_t pid;

	begin(t);
	pid = fork();
	if (pid == 0)
		put_and_fork(t);
	mpt_reach(t, 1);
	expect_nobody_dead(t);
	assert_int_equal(stat_now().participants,
			 b->before.participants + DEPTH);
	mpt_step(t, 1);
	assert_int_equal(wait_for(t, pid), 0);
	assert_int_equal(mproc_arena_recover(NULL), DEPTH);
	while (mproc_queue_get(b->q, &value, sizeof(value), NULL,
			       MPROC_NOWAIT) == 0)
		n[value]++;
	for (unsigned i = 1; i < DEPTH; i++)
		assert_int_equal(n[i], 2);
	assert_int_equal(n[DEPTH], 1);
	b->blocks = stat_now().blocks;
	expect_all_given_back(t);
}

static int
look_for_the_dead(struct mpt *t, void *arg)
{
	(void)arg;
	expect_nobody_dead(t);
	return 0;
}

static void
run_by_vfork(struct mpt *t, const char *program)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execl(program, program, (char *)NULL);
		_exit(0);
	}
	assert_int_equal(wait_for(t, pid), 0);
}

static void
run_by_spawn(struct mpt *t, posix_spawn_file_actions_t *actions)
{
	char *argv[] = { (char[]){ "true" }, NULL };
	pid_t pid;

	assert_int_equal(posix_spawn(&pid, "/bin/true", actions, NULL, argv,
				     argv + 1), 0);
	assert_int_equal(wait_for(t, pid), 0);
}

/* The child shares our memory for a while, and is none of us. */
static void
programs_started_beside_it_change_nothing(void **state)
{
	struct mpt *t = *state;
	posix_spawn_file_actions_t actions;

	begin(t);
	hold_all(t);
	run_by_vfork(t, "/bin/true");
	run_by_vfork(t, "/bin/is-not-there");
	run_by_spawn(t, NULL);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	run_by_spawn(t, &actions);
	posix_spawn_file_actions_destroy(&actions);
	assert_int_equal(system("exit 3"), 3 << 8);

	mpt_expect_exit(t, mpt_spawn(t, "looker", look_for_the_dead, NULL), 0);
	expect_nobody_dead(t);
	put_value(t, 1);
	take_value(t, 1);
	expect_all_given_back(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_forked_child_is_a_participant_of_its_own),
		mpt_test(a_forked_child_that_is_killed_takes_nothing_along),
		mpt_test(a_child_forked_without_handlers_is_one_too),
		mpt_test(one_of_them_that_is_killed_takes_nothing_along),
		mpt_test(a_child_cloned_behind_the_c_library_harms_nobody),
		mpt_test(a_child_that_leaves_the_library_alone_is_nobody),
		mpt_test(a_child_that_ends_as_a_thread_does_gives_back_its_own),
		mpt_test(a_child_outlives_its_parent_in_the_family),
		mpt_test(each_of_a_line_of_descendants_is_one),
		mpt_test(programs_started_beside_it_change_nothing),
	};

	return cmocka_run_group_tests(tests, with_headers, NULL);
}
