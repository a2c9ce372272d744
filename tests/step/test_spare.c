/* SPDX-License-Identifier: MIT */
/*
 * The spare of a fork server is killed before and behind each of its system calls, from
 * before its order to its end. The start that it is for is done in any case: by it, or, if
 * it has not said how its order went, by the server; and its entry runs once.
 */
#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "common.h"

#define CODE 7
#define CALLS_MAX 1000

/* In the arena. */
struct board {
	_Atomic pid_t server, child;
	_Atomic unsigned runs;
	/* What the starter has, and may do. */
	_Atomic pid_t spare;
	_Atomic bool may_start, is_over;
	_Atomic int code; /* of the start; or an error */
};

static struct board *board;

static int
note_server(void *arg)
{
	struct board *b = arg;

	b->server = getpid();
	return 0;
}

static int
run(void *arg)
{
	struct board *b = arg;

	b->child = getpid();
	b->runs++;
	return CODE;
}

/* Returns the exit code, or an error. */
static int
start_and_join(void)
{
	mproc_process *p = NULL;
	int r = mproc_process_start(&p, run, board, MPROC_OPTS(
		mproc_process_opts, .method = MPROC_FORKSERVER)), code;

	if (r == 0)
		r = mproc_process_join(p, MPROC_FOREVER);
	if (r == 0)
		r = mproc_process_exitcode(p, &code);
	mproc_process_close(p);
	return r < 0 ? r : code;
}

static bool
is_spare(pid_t pid)
{
	char path[64], state;
	int id, ppid, n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	n = fscanf(f, "%d (%*[^)]) %c %d", &id, &state, &ppid);
	fclose(f);
	return n == 3 && ppid == getpid() && state == 'S' &&
	       pid != board->server;
}

/* 0 if there is none, or it does not wait yet. */
static pid_t
find_spare(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	pid_t pid = 0;

	while (d && !pid && (e = readdir(d)))
		if (is_spare(atoi(e->d_name)))
			pid = atoi(e->d_name);
	if (d)
		closedir(d);
	return pid;
}

/* On a busy machine two starts may be too far apart. */
static pid_t
get_spare(struct mpt *t)
{
	pid_t spare = 0;
	unsigned looks;

	while (!spare) {
		for (int i = 0; i < 2; i++)
			must_be(start_and_join(), CODE);
		looks = 0;
		mpt_until(t, (spare = find_spare()) || ++looks == 50);
	}
	return spare;
}

/* Without, there is none. */
static bool
has_cpus_and_pidfds(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	cpu_set_t cpus;

	if (fd >= 0)
		close(fd);
	return fd >= 0 && (sched_getaffinity(0, sizeof(cpus), &cpus) < 0 ||
			   CPU_COUNT(&cpus) > 1);
}

static int
starter(struct mpt *t, void *unused)
{
	(void)unused;
	may_fail(mproc_forkserver_start(MPROC_OPTS(
		mproc_forkserver_opts, .preload = note_server,
		.preload_arg = board)));
	while (!board->is_over) {
		board->spare = get_spare(t);
		mpt_until(t, board->may_start || board->is_over);
		board->may_start = false;
		if (!board->is_over)
			board->code = start_and_join();
		board->spare = 0;
		mpt_until(t, board->may_start || board->is_over);
		board->may_start = false;
	}
	may_fail(mproc_forkserver_stop());
	return 0;
}

/* Until it stops. Returns false if it has ended. */
static bool
stops(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, __WALL), pid);
	return WIFSTOPPED(status);
}

static void
take_hold(pid_t spare)
{
	assert_int_equal(ptrace(PTRACE_SEIZE, spare, NULL,
				(void *)PTRACE_O_TRACESYSGOOD), 0);
	assert_int_equal(ptrace(PTRACE_INTERRUPT, spare, NULL, NULL), 0);
	assert_true(stops(spare));
}

/* To its entry into a system call, or its way out of one, number @n. Returns false if it
 * does not come so far. */
static bool
run_to(pid_t spare, unsigned n)
{
	for (unsigned i = 0; i <= n; i++) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, spare, NULL, NULL), 0);
		if (!stops(spare))
			return false;
	}
	return true;
}

struct tally {
	unsigned replaced, killed, done;
};

/* Returns false if it has ended before. */
static bool
kill_at(struct mpt *t, unsigned n, struct tally *tally)
{
	bool reached;
	pid_t spare;

	mpt_until(t, board->spare);
	spare = board->spare;
	board->runs = 0;
	take_hold(spare);
	board->may_start = true;
	reached = run_to(spare, n);
	if (reached) {
		assert_int_equal(kill(spare, SIGKILL), 0);
		while (stops(spare))
			;
	}
	mpt_until(t, !board->spare);
	if (board->code == -SIGKILL) {
		assert_true(reached && board->runs <= 1);
		tally->killed++;
	} else {
		assert_int_equal(board->code, CODE);
		assert_int_equal(board->runs, 1);
		tally->replaced += board->child != spare;
		tally->done += board->child == spare;
	}
	assert_int_equal(kill(spare, 0), -1);
	board->may_start = true;
	return reached;
}

static void
killed_at_each_of_its_system_calls(void **state)
{
	struct tally tally = { 0 };
	unsigned n = 0;
	int role;

	if (!has_cpus_and_pidfds())
		return;
	role = mpt_fork(*state, "starter", starter, NULL);
	while (n < CALLS_MAX && kill_at(*state, n, &tally)) {
		mpt_watchdog(*state, 20);
		n++;
	}
	board->is_over = true;
	mpt_expect_exit(*state, role, 0);
	print_message("# %u points: %u replaced, %u killed, %u done\n", n,
		      tally.replaced, tally.killed, tally.done);
	assert_in_range(n, 20, CALLS_MAX - 1);
	assert_true(tally.replaced > 2 && tally.killed > 2 && tally.done > 0);
	recover();
}

static int
with_board(void **state)
{
	(void)state;
	board = mproc_alloc(sizeof(*board));
	return !board;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_at_each_of_its_system_calls),
	};

	return cmocka_run_group_tests(tests, with_board, NULL);
}
