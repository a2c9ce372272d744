/* SPDX-License-Identifier: MIT */
/*
 * The spare of a fork server, which is there while starts follow each other: who ends
 * it, and that it may be killed or stopped at any time. What it has as a child is in
 * test_forkserver.c.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "options.h"

#define SERVED(...)                                                          \
	MPROC_OPTS(mproc_process_opts, .method = MPROC_FORKSERVER, __VA_ARGS__)

#define THREADS 2
#define KILLS 10 /* at least */

/* In the arena. */
struct board {
	_Atomic pid_t server, spare, starter, child;
	_Atomic unsigned preloads, kills;
	_Atomic bool goes_on;
	_Atomic unsigned ran[THREADS]; /* of the start of that thread */
};

struct job {
	struct board *board;
	unsigned thread;
};

static struct board *board; /* of the test */
static bool is_made;

/* With one CPU, or without pidfds, there is no spare. */
static void
find_whether_it_is_made(void)
{
	long fd = syscall(SYS_pidfd_open, getpid(), 0);
	cpu_set_t cpus;

	is_made = fd >= 0 && (sched_getaffinity(0, sizeof(cpus), &cpus) < 0 ||
			      CPU_COUNT(&cpus) > 1);
	if (fd >= 0)
		close((int)fd);
}

static int
setup(void **state)
{
	int r = mpt_setup(state);

	find_whether_it_is_made();
	board = mproc_alloc(sizeof(*board));
	return board ? r : -1;
}

static int
teardown(void **state)
{
	mproc_forkserver_stop();
	mproc_free(board);
	return mpt_teardown(state);
}

#define spare_test(f) { #f, f, setup, teardown, (void *)(uintptr_t)#f }

static int
preload(void *arg)
{
	struct board *b = arg;

	b->server = getpid();
	b->preloads++;
	return 0;
}

static void
start_server(void)
{
	assert_int_equal(mproc_forkserver_start(MPROC_OPTS(
		mproc_forkserver_opts, .preload = preload,
		.preload_arg = board)), 0);
}

static int
tell_pid(void *arg)
{
	struct board *b = arg;

	b->child = getpid();
	return 5;
}

/* Returns the child's id, as it knows it. */
static pid_t
run(void)
{
	mproc_process *p = start_with(tell_pid, board, SERVED(.name = NULL));

	assert_int_equal(end_of(p), 5);
	assert_int_equal(board->child, mproc_process_pid(p));
	mproc_process_close(p);
	return board->child;
}

static bool
is_spare_of(pid_t starter, pid_t server, pid_t pid)
{
	char path[64], comm[32], state;
	int id, ppid, n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	n = fscanf(f, "%d (%31[^)]) %c %d", &id, comm, &state, &ppid);
	fclose(f);
	return n == 4 && ppid == starter && pid != server && state != 'Z' &&
	       strcmp(comm, "forkserver") == 0;
}

/* 0 if there is none. */
static pid_t
find_spare(pid_t starter, pid_t server)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	pid_t pid = 0;

	while (d && !pid && (e = readdir(d))) {
		pid = atoi(e->d_name);
		if (pid <= 0 || !is_spare_of(starter, server, pid))
			pid = 0;
	}
	if (d)
		closedir(d);
	return pid;
}

/* On a busy machine they may be too far apart, as may two looks at all processes. */
static bool
start_two(void)
{
	run();
	run();
	return false;
}

static pid_t
get_spare(struct mpt *t)
{
	unsigned tries = 0;
	pid_t spare = 0;

	mpt_until(t, (tries++ % 20 == 0 && start_two()) ||
		     (spare = find_spare(getpid(), board->server)));
	return spare;
}

static bool
is_gone(pid_t pid)
{
	int state = mpt_task_state(pid);

	return state == 0 || state == 'Z';
}

static void
the_third_of_some_starts_has_it(void **state)
{
	pid_t spare;

	start_server();
	if (!is_made)
		return;
	assert_int_equal(find_spare(getpid(), board->server), 0);
	spare = get_spare(*state);
	/* It is no process of the user's. */
	assert_int_equal(mproc_children(NULL, 0), 0);
	assert_int_equal(run(), spare);
	assert_int_equal(board->preloads, 1);
	spare = get_spare(*state);
	assert_int_equal(mproc_forkserver_stop(), 0);
	assert_int_equal(kill(spare, 0), -1);
}

/* The starts that it was for are done without it, and the next one has another. */
static void
one_that_is_killed_is_replaced(void **state)
{
	pid_t spare;

	start_server();
	if (!is_made)
		return;
	for (int i = 0; i < 5; i++) {
		spare = get_spare(*state);
		assert_int_equal(kill(spare, i % 2 ? SIGKILL : SIGTERM), 0);
		mpt_until(*state, is_gone(spare));
		/* The host may have waited for it. */
		if (i == 4)
			assert_int_equal(waitpid(spare, NULL, 0), spare);
		assert_int_not_equal(run(), spare);
		assert_int_equal(kill(spare, 0), -1);
	}
	assert_int_equal(board->preloads, 1);
}

static void
it_ends_with_its_server(void **state)
{
	pid_t spare;

	start_server();
	if (!is_made)
		return;
	spare = get_spare(*state);
	assert_int_equal(kill(board->server, SIGKILL), 0);
	mpt_until(*state, is_gone(spare));
	assert_int_not_equal(run(), spare);
	assert_int_equal(board->preloads, 2);
	assert_int_equal(kill(spare, 0), -1);
}

/* It needs no server for a start, and a stop does not wait for one that is stopped. */
static void
servers_and_spares_may_be_stopped(void **state)
{
	pid_t spare;

	start_server();
	if (!is_made)
		return;
	spare = get_spare(*state);
	assert_int_equal(kill(board->server, SIGSTOP), 0);
	assert_int_equal(run(), spare);
	assert_int_equal(kill(board->server, SIGCONT), 0);
	spare = get_spare(*state);
	assert_int_equal(kill(spare, SIGSTOP), 0);
	assert_int_equal(mproc_forkserver_stop(), 0);
	assert_int_equal(kill(spare, 0), -1);
}

/* It cannot be told what it is to be: who is left without descriptors gets the error that
 * he would get without it, and no child is left that nobody knows. */
static bool
is_socket(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Puts something else in its place. Returns its number, or -1 if there are not so many. */
static int
take_away_socket(unsigned number)
{
	int null;

	for (int fd = 3; fd < 200; fd++) {
		if (!is_socket(fd) || number--)
			continue;
		null = open("/dev/null", O_RDWR | O_CLOEXEC);
		assert_true(null >= 0);
		assert_int_equal(dup3(null, fd, O_CLOEXEC), fd);
		close(null);
		return fd;
	}
	return -1;
}

/* A copy of the starter that lives on keeps each connection open. */
static void
the_program_may_close_any_descriptor_of_it(void **state)
{
	pid_t copy;
	int fd = 0;

	for (unsigned i = 0; fd >= 0; i++) {
		mproc_forkserver_stop();
		start_server();
		if (!is_made)
			return;
		get_spare(*state);
		copy = _Fork();
		while (copy == 0)
			pause();
		fd = take_away_socket(i);
		assert_true(fd >= 0 || i >= 3);
		run();
		run();
		assert_int_equal(kill(copy, SIGKILL), 0);
		assert_int_equal(waitpid(copy, NULL, 0), copy);
		if (fd >= 0)
			close(fd);
	}
}

static void
a_start_without_descriptors_fails_as_ever(void **state)
{
	int copies[64], n = 0;
	struct rlimit before, few;
	mproc_process *p;
	unsigned fds;
	pid_t spare;

	start_server();
	if (!is_made)
		return;
	spare = get_spare(*state);
	fds = mpt_fd_count();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	while (n < 64 && (copies[n] = dup(0)) >= 0)
		n++;
	assert_int_equal(mproc_process_start(&p, tell_pid, board,
					     SERVED(.name = NULL)), -EMFILE);
	while (n > 0)
		close(copies[--n]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(mpt_fd_count(), fds);
	assert_int_equal(kill(spare, 0), -1);
	assert_int_not_equal(run(), spare);
	assert_int_equal(board->preloads, 1);
}

static int
have_a_spare(struct mpt *t, void *arg)
{
	bool becomes_another = arg != NULL;
	pid_t pid;

	start_server();
	board->spare = is_made ? get_spare(t) : board->server;
	pid = becomes_another ? fork() : 0;
	if (pid > 0)
		execlp("sleep", "sleep", "1000", NULL);
	if (becomes_another)
		board->starter = getpid();
	mpt_until(t, board->goes_on);
	_exit(0);
}

/* Killed, or another program: also if there is a child of it that lives on. */
static void
it_ends_with_its_starter(void **state)
{
	struct mpt *t = *state;
	int host;

	for (int i = 0; i < 2; i++) {
		board->spare = 0;
		host = mpt_spawn(t, "host", have_a_spare, i ? board : NULL);
		mpt_until(t, board->spare && (!i || board->starter));
		if (!i)
			mpt_kill(t, host);
		mpt_until(t, is_gone(board->spare) && is_gone(board->server));
		if (i) {
			mpt_kill(t, host);
			board->goes_on = true;
			mpt_until(t, is_gone(board->starter));
		}
		(void)mpt_reap_orphans(t);
	}
}

/* Kills at any time. */

static int
kill_spares(struct mpt *t, void *arg)
{
	pid_t starter = getppid(), spare;
	unsigned n = 0;

	(void)t;
	(void)arg;
	while (!board->goes_on) {
		spare = find_spare(starter, board->server);
		/* One that got its order meanwhile is hit as well. */
		if (spare && kill(spare, SIGKILL) == 0)
			n = ++board->kills;
		for (unsigned i = n * 7919 % 300; i > 0 && !board->goes_on; i--)
			sched_yield();
	}
	return 0;
}

static int
note_that_it_ran(void *arg)
{
	struct job *job = arg;

	job->board->ran[job->thread]++;
	return 6;
}

struct starter {
	pthread_t thread;
	unsigned number;
	unsigned starts, killed;
};

/* So that it is found while it waits. */
static void
give_a_chance(void)
{
	unsigned before = board->kills;

	for (int i = 0; i < 1000 && board->kills == before; i++)
		sched_yield();
}

static void *
start_many(void *arg)
{
	struct starter *s = arg;
	struct job job = { .board = board, .thread = s->number };
	_Atomic unsigned *ran = &board->ran[s->number];
	unsigned least = amount(100);
	mproc_process *p;
	int code;

	for (; s->starts < least || (is_made && board->kills < KILLS);
	     s->starts++) {
		*ran = 0;
		if (mproc_process_start(&p, note_that_it_ran, &job,
					SERVED(.arg_size = sizeof(job),
					       .n_keep_fds = -1)) < 0 ||
		    mproc_process_join(p, MPROC_FOREVER) < 0 ||
		    mproc_process_exitcode(p, &code) < 0)
			return s;
		mproc_process_close(p);
		if (code != 6 && code != -SIGKILL)
			return s;
		if (*ran > 1 || (code == 6 && *ran == 0))
			return s;
		s->killed += code != 6;
		if (s->starts >= least)
			give_a_chance();
	}
	return NULL;
}

/* No start fails by that, and none is made twice. */
static void
spares_are_killed_while_threads_start_processes(void **state)
{
	struct starter starters[THREADS] = { 0 };
	unsigned starts = 0, killed = 0;
	void *failed;
	int killer;

	start_server();
	killer = mpt_fork(*state, "killer", kill_spares, NULL);
	for (unsigned i = 0; i < THREADS; i++) {
		starters[i].number = i;
		assert_int_equal(pthread_create(&starters[i].thread, NULL,
						start_many, &starters[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(starters[i].thread, &failed), 0);
		assert_null(failed);
		starts += starters[i].starts;
		killed += starters[i].killed;
	}
	board->goes_on = true;
	mpt_expect_exit(*state, killer, 0);
	assert_true(killed < starts);
	assert_int_equal(board->preloads, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		spare_test(the_third_of_some_starts_has_it),
		spare_test(one_that_is_killed_is_replaced),
		spare_test(it_ends_with_its_server),
		spare_test(servers_and_spares_may_be_stopped),
		spare_test(the_program_may_close_any_descriptor_of_it),
		spare_test(a_start_without_descriptors_fails_as_ever),
		spare_test(it_ends_with_its_starter),
		spare_test(spares_are_killed_while_threads_start_processes),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
