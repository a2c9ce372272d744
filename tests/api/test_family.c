/* SPDX-License-Identifier: MIT */
/*
 * arena.h and queue.h: which end of a process gives back what it held, and
 * what only looks like an end. test_family_thread.c is about threads,
 * test_family_fork.c about forks, test_family_daemon.c about daemons.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>

#include "family.h"

static void *
put_and_wait(void *arg)
{
	struct board *b = mpt_scratch(arg);

	put_value(arg, 3);
	b->ready++;
	wait_to_be_killed(arg);
	return NULL;
}

static int
hold_in_two_threads(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->block = mproc_alloc(100);
	mpt_check(t, b->block);
	memset(b->block, 0x5a, 100);
	start_thread(t, put_and_wait);
	mpt_until(t, b->ready == 1);
	take_value(t, 3);
	hold_all(t);
	wait_to_be_killed(t);
	return 0;
}

static void
expect_the_block_of_the_dead(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	const unsigned char *p = b->block;

	for (int i = 0; i < 100; i++)
		assert_int_equal(p[i], 0x5a);
	mproc_free(b->block);
	b->blocks--;
}

static void
a_killed_process_gives_back_what_its_threads_held(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int id;

	begin(t);
	id = mpt_spawn(t, "holder", hold_in_two_threads, NULL);
	mpt_until(t, b->ready == 2);
	expect_nobody_dead(t);
	mpt_kill(t, id);
	assert_int_equal(mproc_arena_recover(NULL), 2);
	expect_the_block_of_the_dead(t);
	expect_all_given_back(t);
}

static void
a_zombie_has_given_it_back_already(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int id;

	begin(t);
	id = mpt_spawn(t, "holder", hold_in_two_threads, NULL);
	mpt_until(t, b->ready == 2);
	mpt_kill_unreaped(t, id);
	assert_int_equal(mproc_arena_recover(NULL), 2);
	expect_the_block_of_the_dead(t);
	expect_all_given_back(t);
	/* All of that before it was reaped. */
	assert_int_equal(mpt_task_state(mpt_pid(t, id)), 'Z');
	mpt_expect_signal(t, id, SIGKILL);
}

/* What a process becomes: a program with a family of its own. */
static int
be_another_program(void)
{
	unsigned value = 7;
	mproc_queue *q;
	char c = 'r';

	if (mproc_queue_create(&q, NULL) < 0 ||
	    mproc_queue_put(q, &value, sizeof(value), MPROC_NOWAIT) < 0 ||
	    write(STDOUT_FILENO, &c, 1) != 1 || read(STDIN_FILENO, &c, 1) != 1)
		return 1;
	value = 0;
	if (mproc_queue_get(q, &value, sizeof(value), NULL, MPROC_NOWAIT) < 0)
		return 2;
	return value == 7 && c == 'e' ? 0 : 3;
}

static int to_program[2], from_program[2];

static void
become_another_program(void)
{
	dup2(to_program[0], STDIN_FILENO);
	dup2(from_program[1], STDOUT_FILENO);
	execl("/proc/self/exe", "self", "another", (char *)NULL);
	_exit(127);
}

static void *
exec_in_a_thread(void *arg)
{
	struct board *b = mpt_scratch(arg);

	mpt_until(arg, b->ready == 1);
	put_value(arg, 3);
	become_another_program();
	return NULL;
}

static int
hold_and_exec(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	bool in_a_thread = *(const bool *)arg;

	start_thread(t, in_a_thread ? exec_in_a_thread : put_and_wait);
	if (in_a_thread) {
		hold_all(t);
		wait_to_be_killed(t);
	}
	mpt_until(t, b->ready == 1);
	take_value(t, 3);
	hold_all(t);
	become_another_program();
	return 1;
}

static void
exec_gives_it_back(struct mpt *t, bool in_a_thread)
{
	struct board *b = mpt_scratch(t);
	char c = 0;
	int id;

	begin(t);
	assert_int_equal(pipe2(to_program, O_CLOEXEC), 0);
	assert_int_equal(pipe2(from_program, O_CLOEXEC), 0);
	id = mpt_spawn(t, "holder", hold_and_exec, &in_a_thread);
	close(from_program[1]);
	assert_int_equal(read(from_program[0], &c, 1), 1);
	assert_int_equal(c, 'r');
	assert_int_equal(mproc_arena_recover(NULL), 2);
	if (in_a_thread) {
		/* It came between hold_all() and the exec. */
		take_value(t, 3);
		b->blocks = stat_now().blocks;
	}
	expect_all_given_back(t);
	/* And the program does not notice. */
	c = 'e';
	assert_int_equal(write(to_program[1], &c, 1), 1);
	mpt_expect_exit(t, id, 0);
	close(to_program[0]);
	close(to_program[1]);
	close(from_program[0]);
}

static void
one_that_became_another_program_gives_it_back(void **state)
{
	exec_gives_it_back(*state, false);
}

static void
so_does_one_that_another_of_its_threads_made_one(void **state)
{
	exec_gives_it_back(*state, true);
}

static int
hold_and_go_on(struct mpt *t, void *arg)
{
	(void)arg;
	hold_all(t);
	mpt_reach(t, 1);
	put_value(t, 5);
	take_value(t, 5);
	return 0;
}

static void
a_stopped_process_is_never_robbed(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	mproc_queue *other;
	char c;
	int id;

	begin(t);
	assert_int_equal(mproc_queue_create(&other, NULL), 0);
	id = mpt_spawn(t, "stopped", hold_and_go_on, NULL);
	mpt_until(t, b->ready == 1);
	mpt_pause(t, id);
	expect_nobody_dead(t);
	expect_the_part_taken(t);
	/* Sleepers look, too. */
	assert_int_equal(mproc_queue_get(other, &c, 1, NULL, mproc_ms(200)),
			 -ETIMEDOUT);
	mproc_queue_destroy(other);
	expect_the_part_taken(t);
	assert_int_equal(stat_now().participants, b->before.participants + 1);
	mpt_resume(t, id);
	mpt_step(t, 0);
	mpt_expect_exit(t, id, 0);
	assert_int_equal(mproc_arena_recover(NULL), 1);
	expect_all_given_back(t);
}

/* Makes the next process that is forked in this PID namespace get @pid. */
static bool
choose_next_pid(pid_t pid)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", (int)pid - 1);
	int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, (size_t)len) == len;

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Has the id of a dead participant, and becomes one itself. */
static void
be_a_namesake(struct mpt *t)
{
	put_value(t, 41);
	mpt_step(t, 0);
	mpt_reach(t, 2);
	put_value(t, 42);
	_exit(0);
}

static pid_t
fork_holder(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	pid_t pid = fork();

	if (pid == 0) {
		hold_all(t);
		wait_to_be_killed(t);
	}
	mpt_until(t, b->ready);
	return pid;
}

/* The first process of a PID namespace, in which nobody else forks. */
static int
use_an_id_twice(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	pid_t first = fork_holder(t), second;
	int status;

	kill(first, SIGKILL);
	mpt_check_int(t, waitpid(first, &status, 0), first);
	if (!choose_next_pid(first)) {
		b->refused = true;
		return 0;
	}
	second = fork();
	if (second == 0)
		be_a_namesake(t);
	mpt_check_int(t, second, first);
	mpt_reach(t, 1);
	/* Dead is the first one, and nobody else. The second one may have found
	 * it before us, when it needed a lane. */
	mpt_check(t, mproc_arena_recover(NULL) <= 1);
	mpt_check_int(t, stat_now().participants, b->before.participants + 1);
	expect_nobody_dead(t);
	mpt_step(t, 1);
	mpt_check_int(t, waitpid(second, &status, 0), second);
	mpt_check_int(t, status, 0);
	mpt_check_int(t, mproc_arena_recover(NULL), 1);
	return 0;
}

static int
make_a_namespace(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int status;
	pid_t pid;

	(void)arg;
	if (unshare(CLONE_NEWPID) < 0 &&
	    unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0) {
		b->refused = true;
		return 0;
	}
	pid = fork();
	if (pid == 0)
		_exit(use_an_id_twice(t));
	mpt_check_int(t, waitpid(pid, &status, 0), pid);
	return status != 0;
}

static void
a_process_id_used_again_is_another_process(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);

	begin(t);
	mpt_expect_exit(t, mpt_spawn(t, "namespace", make_a_namespace, NULL),
			0);
	if (b->refused) {
		mproc_queue_destroy(b->q);
		print_message("# no PID namespaces here\n");
		skip();
	}
	take_value(t, 41);
	take_value(t, 42);
	b->blocks = stat_now().blocks;
	expect_all_given_back(t);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_killed_process_gives_back_what_its_threads_held),
		mpt_test(a_zombie_has_given_it_back_already),
		mpt_test(one_that_became_another_program_gives_it_back),
		mpt_test(so_does_one_that_another_of_its_threads_made_one),
		mpt_test(a_stopped_process_is_never_robbed),
		mpt_test(a_process_id_used_again_is_another_process),
	};

	if (argc > 1 && strcmp(argv[1], "another") == 0)
		return be_another_program();
	return cmocka_run_group_tests(tests, with_headers, NULL);
}
