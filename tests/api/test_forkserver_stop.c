/* SPDX-License-Identifier: MIT */
/*
 * Servers that are killed before they serve, and stops while processes are started.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "mpt_refuse.h"
#include "options.h"

#define SERVED(...)                                                          \
	MPROC_OPTS(mproc_process_opts, .method = MPROC_FORKSERVER, __VA_ARGS__)

/* In the arena. */
struct board {
	_Atomic pid_t server;
	_Atomic unsigned preloads;
	_Atomic unsigned early_deaths; /* that are still to come */
	_Atomic unsigned late_deaths;
	_Atomic unsigned held; /* the preload that waits, or 0 */
	_Atomic bool goes_on;
	_Atomic int code_of_child; /* that the preload function forks */
};

#define BOARD "TEST_FORKSERVER_BOARD"

static int preloaded;
static struct board *board; /* of the test */

static bool
take_one(_Atomic unsigned *n)
{
	unsigned old = *n;

	while (old && !atomic_compare_exchange_weak(n, &old, old - 1))
		;
	return old;
}

/* In a new image, before anything of libmproc's runs in the place of main(). */
__attribute__((constructor)) static void
die_early(void)
{
	const char *at = getenv(BOARD);
	struct board *b = at ? (void *)strtoull(at, NULL, 16) : NULL;

	if (b && take_one(&b->early_deaths))
		raise(SIGKILL);
}

static int
setup(void **state)
{
	int r = mpt_setup(state);

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

#define stop_test(f) { #f, f, setup, teardown, (void *)(uintptr_t)#f }

static int
preload(void *arg)
{
	struct board *b = arg;

	preloaded = 40 + (int)++b->preloads;
	b->server = getpid();
	if (take_one(&b->late_deaths))
		raise(SIGKILL);
	while (b->held == b->preloads && !b->goes_on)
		sched_yield();
	return 0;
}

static int
exit_in_preload(void *arg)
{
	struct board *b = arg;

	b->preloads++;
	exit(9);
}

static int
fork_in_preload(void *arg)
{
	struct board *b = arg;
	pid_t pid = fork();
	int status;

	if (pid == 0)
		return b->code_of_child;
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	preloaded = 40 + WEXITSTATUS(status);
	return 0;
}

static int
start_server(mproc_entry *fn)
{
	return mproc_forkserver_start(MPROC_OPTS(mproc_forkserver_opts,
						 .preload = fn,
						 .preload_arg = board));
}

static int
tell_preloaded(void *arg)
{
	(void)arg;
	return preloaded;
}

static int
run(void)
{
	mproc_process *p = start_with(tell_preloaded, NULL, SERVED(.name = NULL));
	int code = end_of(p);

	mproc_process_close(p);
	return code;
}

static void
set_early_deaths(unsigned n)
{
	char at[32];

	snprintf(at, sizeof(at), "%llx", (unsigned long long)(uintptr_t)board);
	assert_int_equal(setenv(BOARD, at, 1), 0);
	board->early_deaths = n;
}

static void
one_that_is_killed_before_it_serves_is_replaced(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 2; n++) {
		set_early_deaths(n);
		assert_int_equal(start_server(preload), 0);
		assert_int_equal(board->preloads, n);
		assert_int_equal(run(), 40 + n);
		assert_int_equal(mproc_forkserver_stop(), 0);
	}
	/* Nobody's preload function is to blame for three in turn. */
	set_early_deaths(3);
	assert_int_equal(start_server(preload), -EPIPE);
	assert_int_equal(board->preloads, 2);
	set_early_deaths(2);
	assert_int_equal(run(), 0);
	unsetenv(BOARD);
}

static void
a_preload_function_is_to_blame_if_it_always_crashes(void **state)
{
	(void)state;
	board->late_deaths = 2;
	assert_int_equal(start_server(preload), 0);
	assert_int_equal(board->preloads, 3);
	assert_int_equal(mproc_forkserver_stop(), 0);
	board->late_deaths = 3;
	assert_int_equal(start_server(preload), -ENOEXEC);
	assert_true(detail_has("preload"));
	assert_int_equal(board->late_deaths, 0);
	/* To exit is an answer. */
	board->preloads = 0;
	assert_int_equal(start_server(exit_in_preload), -ENOEXEC);
	assert_true(detail_has("status 9"));
	assert_int_equal(board->preloads, 1);
}

static void
a_child_of_the_preload_function_does_not_serve(void **state)
{
	(void)state;
	for (int code = 0; code <= 7; code += 7) {
		board->code_of_child = code;
		assert_int_equal(start_server(fork_in_preload), 0);
		assert_int_equal(run(), 40 + code);
		assert_int_equal(mproc_forkserver_stop(), 0);
	}
}

/* Starts in other threads. */

struct starter {
	pthread_t thread;
	int code;
};

static void *
start_one(void *arg)
{
	struct starter *s = arg;
	mproc_process *p;

	if (mproc_process_start(&p, tell_preloaded, NULL,
				SERVED(.n_keep_fds = -1)) < 0 ||
	    mproc_process_join(p, MPROC_FOREVER) < 0 ||
	    mproc_process_exitcode(p, &s->code) < 0)
		return s;
	mproc_process_close(p);
	return NULL;
}

static void
begin_to_start(struct starter *s)
{
	assert_int_equal(pthread_create(&s->thread, NULL, start_one, s), 0);
}

static int
code_of(struct starter *s)
{
	void *failed;

	assert_int_equal(pthread_join(s->thread, &failed), 0);
	assert_null(failed);
	return s->code;
}

static void
a_server_that_began_before_a_stop_is_for_one_start(void **state)
{
	struct starter s;

	assert_int_equal(start_server(preload), 0);
	assert_int_equal(kill(board->server, SIGKILL), 0);
	board->held = 2;
	begin_to_start(&s);
	mpt_until(*state, board->preloads == 2);
	assert_int_equal(mproc_forkserver_stop(), 0);
	board->goes_on = true;
	assert_int_equal(code_of(&s), 42);
	/* Its server has ended with it, and its options are forgotten. */
	assert_int_equal(kill(board->server, 0), -1);
	assert_int_equal(run(), 0);
	assert_int_equal(board->preloads, 2);
}

static void
a_start_by_one_that_is_stopped_gets_another(void **state)
{
	struct starter s;

	(void)state;
	assert_int_equal(start_server(preload), 0);
	/* It will not answer. */
	assert_int_equal(kill(board->server, SIGSTOP), 0);
	begin_to_start(&s);
	for (int i = 0; i < 100; i++)
		sched_yield();
	assert_int_equal(mproc_forkserver_stop(), 0);
	/* Not only told to end. */
	assert_int_equal(kill(board->server, 0), -1);
	assert_int_equal(code_of(&s), 0);
}

#define THREADS 3

static void *
start_many(void *arg)
{
	void *failed = NULL;

	for (unsigned i = amount(20); i > 0 && !failed; i--)
		failed = start_one(arg);
	return failed;
}

static void
stops_and_starts_go_together(void **state)
{
	struct starter starters[THREADS];
	unsigned stops = 0;
	void *failed;
	int r;

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&starters[i].thread, NULL,
						start_many, &starters[i]), 0);
	for (unsigned i = amount(20); i > 0; i--) {
		r = start_server(preload);
		assert_true(r == 0 || r == -EBUSY);
		assert_int_equal(mproc_forkserver_stop(), 0);
		stops += r == 0;
	}
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(starters[i].thread, &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(mproc_forkserver_stop(), 0);
	assert_int_equal(board->preloads >= stops, 1);
	assert_int_equal(mpt_reap_orphans(*state), 0);
	assert_int_equal(run(), 0);
}

/* Has its starter fork in a signal handler meanwhile. */
static int
signal_in_preload(void *arg)
{
	(void)kill(getppid(), SIGUSR1);
	return preload(arg);
}

static pid_t copy;
static int end_of_copy = -1;

static void
fork_meanwhile(int signal)
{
	(void)signal;
	copy = _Fork();
	if (copy == 0) {
		alarm(10);
		return;
	}
	(void)waitpid(copy, &end_of_copy, 0);
	board->goes_on = true;
}

/* The copy goes on in the middle of that, and does not take the answer. */
static void
a_handler_may_fork_while_one_begins(void **state)
{
	struct sigaction action = { .sa_handler = fork_meanwhile }, before;
	int r;

	(void)state;
	board->held = 1;
	assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
	r = start_server(signal_in_preload);
	if (copy == 0)
		_exit(r == -ECHILD ? 0 : 1);
	assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
	assert_int_equal(r, 0);
	assert_int_equal(end_of_copy, 0);
	assert_int_equal(run(), 41);
}

static unsigned
fds_of_a_forked_child(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit((int)mpt_fd_count());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return (unsigned)WEXITSTATUS(status);
}

/* Two connections, of one both ends, the file of plans and the pidfd are its starter's
 * alone. The file is there for longer than the server, as long as there is a plan in
 * it. */
static void
a_forked_child_has_none_of_its_descriptors(void **state)
{
	unsigned fds = mpt_fd_count(), pidfds = 1 - mpt_without("pidfd");
	mproc_process *p;

	(void)state;
	assert_int_equal(start_server(preload), 0);
	assert_int_equal(mpt_fd_count(), fds + 4 + pidfds);
	assert_int_equal(fds_of_a_forked_child(), fds);
	p = start_with(tell_preloaded, NULL, SERVED(.name = NULL));
	assert_int_equal(mproc_forkserver_stop(), 0);
	/* The handle's own pidfd. */
	assert_int_equal(mpt_fd_count(), fds + 1 + pidfds);
	assert_int_equal(fds_of_a_forked_child(), fds + pidfds);
	assert_int_equal(end_of(p), 41);
	mproc_process_close(p);
	assert_int_equal(mpt_fd_count(), fds);
}

static int
become_another_program(struct mpt *t, void *arg)
{
	pid_t pid;

	(void)arg;
	mpt_check_int(t, start_server(preload), 0);
	pid = fork();
	if (pid == 0) {
		board->held = (unsigned)getpid();
		mpt_until(t, board->goes_on);
		_exit(0);
	}
	mpt_until(t, board->held);
	execlp("sleep", "sleep", "1000", NULL);
	return 1;
}

/* Nobody is left who would ask it for anything: others that the starter has forked have
 * no connection to it. */
static void
one_ends_when_its_starter_is_another_program(void **state)
{
	struct mpt *t = *state;
	int host = mpt_spawn(t, "host", become_another_program, NULL);

	mpt_until(t, board->held && (mpt_task_state(board->server) == 'Z' ||
				     mpt_task_state(board->server) == 0));
	mpt_kill(t, host);
	board->goes_on = true;
	mpt_until(t, mpt_task_state((pid_t)board->held) == 'Z' ||
		     mpt_task_state((pid_t)board->held) == 0);
	(void)mpt_reap_orphans(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		stop_test(one_that_is_killed_before_it_serves_is_replaced),
		stop_test(a_preload_function_is_to_blame_if_it_always_crashes),
		stop_test(a_child_of_the_preload_function_does_not_serve),
		stop_test(a_server_that_began_before_a_stop_is_for_one_start),
		stop_test(a_start_by_one_that_is_stopped_gets_another),
		stop_test(stops_and_starts_go_together),
		stop_test(a_handler_may_fork_while_one_begins),
		stop_test(a_forked_child_has_none_of_its_descriptors),
		stop_test(one_ends_when_its_starter_is_another_program),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
