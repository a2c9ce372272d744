/* SPDX-License-Identifier: MIT */
/*
 * The fork server: its beginning and end, what its children have of who starts
 * them, and that it may be killed at any time. The rest is in test_spawn.c.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "options.h"

#define SERVED(...)                                                          \
	MPROC_OPTS(mproc_process_opts, .method = MPROC_FORKSERVER, __VA_ARGS__)

/* In the arena. */
struct board {
	_Atomic pid_t server;
	_Atomic unsigned preloads;
	_Atomic unsigned ready;
	_Atomic bool over;
	_Atomic unsigned named_sockets;
	_Atomic int number;
	mproc_lock lock;
	mproc_queue *q;
	char text[256];
	uint64_t mask;
};

static int preloaded;
static struct board *board; /* of the test */
static bool has_spare; /* what it starts is a spare first */

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
	has_spare = false;
	return mpt_teardown(state);
}

static int
setup_with_spare(void **state)
{
	has_spare = true;
	return setup(state);
}

#define server_test(f) { #f, f, setup, teardown, (void *)(uintptr_t)#f }

/* By a spare: the server has none before the second start. */
#define spare_test(f)                                                        \
	{ #f "_by_a_spare", f, setup_with_spare, teardown,                   \
	  (void *)(uintptr_t)#f "_by_a_spare" }

/* What the server can be reached by. */
static unsigned
count_named_sockets(void)
{
	struct sockaddr_storage address;
	unsigned n = 0;
	socklen_t len;

	for (int fd = 0; fd < 64; fd++) {
		len = sizeof(address);
		if (getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
		    len > sizeof(sa_family_t))
			n++;
	}
	return n;
}

static int
preload(void *arg)
{
	struct board *b = arg;

	preloaded = 40 + (int)++b->preloads;
	b->server = getpid();
	b->named_sockets = count_named_sockets();
	return 0;
}

static int
run(mproc_entry *fn, void *arg)
{
	mproc_process *p = start_with(fn, arg, SERVED(.name = NULL));
	int code = end_of(p);

	mproc_process_close(p);
	return code;
}

static int
tell_preloaded(void *arg)
{
	(void)arg;
	return preloaded;
}

static void
start_server(void)
{
	assert_int_equal(mproc_forkserver_start(MPROC_OPTS(
		mproc_forkserver_opts, .preload = preload,
		.preload_arg = board)), 0);
	for (int i = 0; i < 2 && has_spare; i++)
		assert_int_equal(run(tell_preloaded, NULL), 41);
}

static void
children_begin_where_the_preload_function_ended(void **state)
{
	(void)state;
	start_server();
	for (int i = 0; i < 3; i++)
		assert_int_equal(run(tell_preloaded, NULL), 41);
	assert_int_equal(board->preloads, 1);
	/* Here it has not run. */
	assert_int_equal(preloaded, 0);
	assert_int_equal(board->named_sockets, 0);
	/* Nobody is shown the server. */
	assert_int_equal(mproc_children(NULL, 0), 0);
}

static void
there_is_one_at_most_and_it_can_be_stopped(void **state)
{
	(void)state;
	assert_int_equal(mproc_forkserver_stop(), 0);
	start_server();
	assert_int_equal(mproc_forkserver_start(NULL), -EBUSY);
	assert_int_equal(mproc_forkserver_stop(), 0);
	start_server();
	assert_int_equal(run(tell_preloaded, NULL), 42);
}

static int
preload_a_pipe(void *arg)
{
	struct board *b = arg;
	mproc_conn *ends[2];

	/* Numbers that the starter does not have yet. */
	for (int i = 0; i < 8; i++)
		if (mproc_pipe(&ends[0], &ends[1], MPROC_OPTS(
			    mproc_pipe_opts, .sockets = true)) < 0)
			return 1;
	b->number = mproc_conn_fd(ends[0]);
	return 0;
}

static int
has_kept(void *arg)
{
	int fd = *(int *)arg;

	return fcntl(fd, F_GETFD) >= 0 ? 7 : 1;
}

/* What the server has where one is to be in the child goes first. */
static void
kept_ones_may_have_numbers_of_the_servers(void **state)
{
	mproc_process *p;
	int kept;

	(void)state;
	assert_int_equal(mproc_forkserver_start(MPROC_OPTS(
		mproc_forkserver_opts, .preload = preload_a_pipe,
		.preload_arg = board)), 0);
	kept = board->number;
	assert_true(kept > 2 && fcntl(kept, F_GETFD) < 0);
	assert_int_equal(dup2(0, kept), kept);
	p = start_with(has_kept, &kept, SERVED(.arg_size = sizeof(kept),
					       .keep_fds = &kept,
					       .n_keep_fds = 1));
	assert_int_equal(end_of(p), 7);
	mproc_process_close(p);
	close(kept);
}

static int
fail_preload(void *arg)
{
	return (int)(intptr_t)arg;
}

static int
die_in_preload(void *arg)
{
	return raise((int)(intptr_t)arg);
}

static void
a_server_that_cannot_begin_says_why(void **state)
{
	mproc_entry *nowhere;
	int local;

	(void)state;
	assert_int_equal(mproc_forkserver_start(MPROC_OPTS(
		mproc_forkserver_opts, .preload = fail_preload,
		.preload_arg = (void *)7)), -ENOEXEC);
	assert_true(detail_has("returned 7"));
	assert_int_equal(mproc_forkserver_start(MPROC_OPTS(
		mproc_forkserver_opts, .preload = die_in_preload,
		.preload_arg = (void *)SIGKILL)), -ENOEXEC);
	assert_true(detail_has("ended"));
	assert_int_equal(mproc_forkserver_start(MPROC_OPTS(
		mproc_forkserver_opts, .preload = preload,
		.preload_arg = &local)), -EFAULT);
	*(void **)&nowhere = &local;
	assert_int_equal(mproc_forkserver_start(MPROC_OPTS(
		mproc_forkserver_opts, .preload = nowhere)), -ENOEXEC);
	/* None of them is there, or comes back. */
	assert_int_equal(run(tell_preloaded, NULL), 0);
}

static int
hold_and_wait(void *arg)
{
	struct board *b = arg;
	char c;

	if (mproc_lock_acquire(&b->lock, MPROC_FOREVER) < 0)
		return 1;
	b->ready = 1;
	if (mproc_queue_get(b->q, &c, 1, NULL, MPROC_FOREVER) < 0)
		return 2;
	return mproc_lock_release(&b->lock) == 0 ? c : 3;
}

static void
children_go_on_without_it(void **state)
{
	mproc_process *p;

	start_server();
	assert_int_equal(mproc_queue_create(&board->q, NULL), 0);
	p = start_with(hold_and_wait, board, SERVED(.name = NULL));
	mpt_until(*state, board->ready == 1);
	assert_int_equal(mproc_forkserver_stop(), 0);
	assert_int_equal(mproc_forkserver_stop(), 0);
	assert_int_equal(kill(board->server, 0), -1);
	assert_true(mproc_process_is_alive(p));
	/* What began without options now has none. */
	assert_int_equal(run(tell_preloaded, NULL), 0);
	assert_int_equal(mproc_queue_put(board->q, "9", 1, MPROC_NOWAIT), 0);
	assert_int_equal(end_of(p), '9');
	mproc_process_close(p);
	mproc_queue_destroy(board->q);
}

static void
a_killed_one_is_replaced(void **state)
{
	mproc_process *p;
	pid_t first;

	start_server();
	first = board->server;
	assert_int_equal(mproc_queue_create(&board->q, NULL), 0);
	p = start_with(hold_and_wait, board, SERVED(.name = NULL));
	mpt_until(*state, board->ready == 1);
	assert_int_equal(kill(first, SIGKILL), 0);
	assert_int_equal(run(tell_preloaded, NULL), 42);
	assert_int_not_equal(board->server, first);
	assert_int_equal(mproc_queue_put(board->q, "8", 1, MPROC_NOWAIT), 0);
	assert_int_equal(end_of(p), '8');
	mproc_process_close(p);
	mproc_queue_destroy(board->q);
}

/* What a child has of who starts it, though another process forks it. */

static int
note_ambience(void *arg)
{
	struct board *b = arg;
	char where[100] = "";
	cpu_set_t cpus;
	sigset_t blocked;
	struct stat out;

	sched_getaffinity(0, sizeof(cpus), &cpus);
	sigprocmask(SIG_SETMASK, NULL, &blocked);
	fstat(1, &out);
	snprintf(b->text, sizeof(b->text), "%s %s %d %d %d %d",
		 getcwd(where, sizeof(where)),
		 getenv("SERVED_AS") ? getenv("SERVED_AS") : "-",
		 CPU_COUNT(&cpus), sigismember(&blocked, SIGUSR1),
		 S_ISFIFO(out.st_mode),
		 signal(SIGINT, SIG_DFL) == SIG_IGN);
	return getppid() == mproc_parent_pid() ? 0 : 1;
}

static void
children_have_what_their_starter_has_now(void **state)
{
	int here = open(".", O_PATH | O_CLOEXEC), out = dup(1), fds[2];
	cpu_set_t before, one;
	sigset_t set;

	(void)state;
	/* A shell has what it runs in the background ignore it. */
	assert_true(signal(SIGINT, SIG_DFL) != SIG_ERR);
	start_server();
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(chdir("/usr"), 0);
	assert_int_equal(setenv("SERVED_AS", "new", 1), 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fflush(stdout);
	make_pipe(fds);
	assert_int_equal(dup2(fds[1], 1), 1);

	assert_int_equal(run(note_ambience, board), 0);

	assert_int_equal(dup2(out, 1), 1);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	unsetenv("SERVED_AS");
	assert_int_equal(fchdir(here), 0);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
	close(here);
	close(out);
	close(fds[0]);
	close(fds[1]);
	assert_string_equal(board->text, "/usr new 1 1 1 0");
}

static void
the_keyboard_does_not_end_it(void **state)
{
	(void)state;
	start_server();
	assert_int_equal(kill(board->server, SIGINT), 0);
	assert_int_equal(kill(board->server, SIGQUIT), 0);
	assert_int_equal(kill(board->server, SIGTSTP), 0);
	assert_int_equal(run(tell_preloaded, NULL), 41);
	assert_int_equal(board->preloads, 1);
}

static void
more_descriptors_than_a_message_takes_are_refused(void **state)
{
	int keep[246];
	mproc_process *p;

	(void)state;
	for (int i = 0; i < 246; i++)
		keep[i] = 2;
	p = start_with(tell_preloaded, NULL, SERVED(.keep_fds = keep,
						    .n_keep_fds = 245));
	assert_int_equal(end_of(p), 0);
	mproc_process_close(p);
	p = NULL;
	assert_int_equal(mproc_process_start(&p, tell_preloaded, NULL,
					     SERVED(.keep_fds = keep,
						    .n_keep_fds = 246)),
			 -EINVAL);
	assert_true(detail_has("246"));
	assert_null(p);
}

static int
stay(void *arg)
{
	(void)arg;
	while (pause() < 0)
		;
	return 0;
}

static void
children_are_the_starters_own(void **state)
{
	mproc_process *p;
	int status;

	(void)state;
	start_server();
	p = start_with(stay, NULL, SERVED(.name = "own"));
	assert_int_equal(mproc_process_terminate(p), 0);
	/* The host may wait by itself. */
	assert_int_equal(waitpid(mproc_process_pid(p), &status, 0),
			 mproc_process_pid(p));
	assert_int_equal(WTERMSIG(status), SIGTERM);
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	mproc_process_close(p);
}

/* More than there are slots for plans. */
#define MANY 70

struct addend {
	struct board *board;
	unsigned n;
};

static int
add_argument(void *arg)
{
	struct addend *a = arg;

	a->board->ready += a->n;
	return stay(NULL);
}

static void
there_may_be_many_at_a_time(void **state)
{
	struct addend a = { .board = board };
	mproc_process *ps[MANY];
	unsigned sum = 0;

	start_server();
	for (unsigned i = 0; i < MANY; i++) {
		a.n = i + 1;
		ps[i] = start_with(add_argument, &a,
				   SERVED(.arg_size = sizeof(a)));
		sum += a.n;
	}
	mpt_until(*state, board->ready == sum);
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(mproc_process_kill(ps[i]), 0);
		assert_int_equal(end_of(ps[i]), -SIGKILL);
		mproc_process_close(ps[i]);
	}
	assert_int_equal(run(tell_preloaded, NULL), 41);
}

/* What a child was given stays its own, and its children's, when the memory that it
 * came in serves for another one. */

struct text {
	struct board *board;
	char bytes[500];
};

static int
leave_one_that_writes(void *arg)
{
	struct text *text = arg;
	pid_t pid = fork();

	if (pid)
		return pid > 0 ? 0 : 1;
	while (text->board->ready != 1)
		sched_yield();
	memset(text->bytes, 'x', sizeof(text->bytes));
	text->board->ready = 2;
	_exit(0);
}

static int
compare_argument(void *arg)
{
	struct text *text = arg;

	text->board->ready = 1;
	while (text->board->ready != 2)
		sched_yield();
	for (size_t i = 0; i < sizeof(text->bytes); i++)
		if (text->bytes[i] != 'b')
			return 1;
	return 0;
}

static void
an_argument_is_the_childs_own(void **state)
{
	struct text text = { .board = board };
	mproc_process *p;

	start_server();
	memset(text.bytes, 'a', sizeof(text.bytes));
	p = start_with(leave_one_that_writes, &text,
		       SERVED(.arg_size = sizeof(text)));
	assert_int_equal(end_of(p), 0);
	mproc_process_close(p);
	memset(text.bytes, 'b', sizeof(text.bytes));
	p = start_with(compare_argument, &text,
		       SERVED(.arg_size = sizeof(text)));
	assert_int_equal(end_of(p), 0);
	mproc_process_close(p);
	assert_int_equal(mproc_forkserver_stop(), 0);
	(void)mpt_reap_orphans(*state);
}

/* The C library knows its thread: it locks as itself, and signals itself. */

static void *
lock_as_another(void *mutex)
{
	return (void *)(intptr_t)pthread_mutex_trylock(mutex);
}

static int
use_the_c_library(void *arg)
{
	pthread_mutex_t mutex = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
	pthread_t thread;
	void *result;
	int status;
	pid_t pid;

	(void)arg;
	if (pthread_mutex_lock(&mutex) != 0 ||
	    pthread_mutex_lock(&mutex) != EDEADLK ||
	    mutex.__data.__owner != gettid())
		return 1;
	if (pthread_create(&thread, NULL, lock_as_another, &mutex) != 0 ||
	    pthread_join(thread, &result) != 0 || result != (void *)EBUSY)
		return 2;
	pid = fork();
	if (pid == 0)
		_exit(pthread_mutex_unlock(&mutex) == 0 ? 5 : 6);
	if (waitpid(pid, &status, 0) != pid)
		return 3;
	raise(SIGTERM);
	return 4;
}

static void
children_are_whole_to_the_c_library(void **state)
{
	(void)state;
	start_server();
	assert_int_equal(run(use_the_c_library, NULL), -SIGTERM);
}

/* Other processes. */

/* The server is served by another one. */
static int
preload_by_another(void *arg)
{
	mproc_process *p;

	if (mproc_process_start(&p, tell_preloaded, NULL,
				SERVED(.name = NULL)) < 0)
		return 1;
	if (mproc_process_join(p, MPROC_FOREVER) < 0)
		return 2;
	mproc_process_close(p);
	return preload(arg);
}

static int
count_connections(void *arg)
{
	socklen_t len = sizeof(int);
	int type, n = 0;

	(void)arg;
	for (int fd = 3; fd < 64; fd++)
		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
		    type == SOCK_SEQPACKET)
			n++;
	return n;
}

static int
start_by_its_own(void *arg)
{
	struct board *b = arg;
	mproc_process *p;
	int code = -1;

	if (mproc_process_start(&p, tell_preloaded, NULL,
				SERVED(.name = NULL)) < 0)
		return 1;
	if (mproc_process_join(p, MPROC_FOREVER) < 0 ||
	    mproc_process_exitcode(p, &code) < 0)
		return 2;
	mproc_process_close(p);
	b->ready = 1;
	/* A server that is not stopped ends with its process. */
	return code;
}

static void
children_have_no_connection_of_the_server(void **state)
{
	(void)state;
	assert_int_equal(mproc_forkserver_start(MPROC_OPTS(
		mproc_forkserver_opts, .preload = preload_by_another,
		.preload_arg = board)), 0);
	assert_int_equal(run(count_connections, NULL), 0);
	assert_int_equal(run(start_by_its_own, board), 0);
	assert_int_equal(mproc_forkserver_stop(), 0);
}

static void
a_forked_process_has_its_own(void **state)
{
	mproc_process *p;

	start_server();
	p = start_with(start_by_its_own, board,
		       MPROC_OPTS(mproc_process_opts, .method = MPROC_FORK));
	/* With the options that it has a copy of. */
	assert_int_equal(end_of(p), 42);
	mproc_process_close(p);
	assert_int_equal(board->ready, 1);
	assert_int_equal(run(tell_preloaded, NULL), 41);
	assert_int_equal(mproc_forkserver_stop(), 0);
	assert_int_equal(mpt_reap_orphans(*state), 0);
}

/* Kills at any time. */

static int
kill_servers(struct mpt *t, void *arg)
{
	struct board *b = arg;
	unsigned n = 0;
	pid_t pid;

	(void)t;
	while (!b->over) {
		pid = b->server;
		/* Not one that is gone: its number may be another's. */
		if (pid && kill(pid, SIGKILL) == 0) {
			atomic_compare_exchange_strong(&b->server, &pid, 0);
			n++;
		}
		for (unsigned i = n * 7919 % 3000; i > 0 && !b->over; i--)
			sched_yield();
	}
	return 0;
}

static int
count_itself(void *arg)
{
	struct board *b = arg;

	b->ready++;
	return 6;
}

#define THREADS 3

struct starter {
	pthread_t thread;
	unsigned starts, failed;
};

static void *
start_many(void *arg)
{
	struct starter *s = arg;
	mproc_process *p;
	int code, r;

	for (unsigned i = amount(40); i > 0; i--) {
		r = mproc_process_start(&p, count_itself, board,
					SERVED(.n_keep_fds = -1));
		/* Three servers in turn were killed. */
		if (r == -EPIPE || r == -ENOEXEC) {
			s->failed++;
			continue;
		}
		if (r < 0 || mproc_process_join(p, MPROC_FOREVER) < 0 ||
		    mproc_process_exitcode(p, &code) < 0 || code != 6)
			return s;
		mproc_process_close(p);
		s->starts++;
	}
	return NULL;
}

static void
servers_are_killed_while_threads_start_processes(void **state)
{
	struct starter starters[THREADS] = { 0 };
	unsigned starts = 0;
	void *failed;
	int killer;

	start_server();
	killer = mpt_spawn(*state, "killer", kill_servers, board);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&starters[i].thread, NULL,
						start_many, &starters[i]), 0);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(starters[i].thread, &failed), 0);
		assert_null(failed);
		starts += starters[i].starts;
	}
	board->over = true;
	mpt_expect_exit(*state, killer, 0);
	/* Each start that was told of is a child that ran, and none else did. */
	assert_int_equal(board->ready, starts);
	assert_true(starts > 0);
	assert_true(board->preloads > 1);
	assert_int_equal(mproc_forkserver_stop(), 0);
	assert_int_equal(mpt_reap_orphans(*state), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		server_test(children_begin_where_the_preload_function_ended),
		server_test(there_is_one_at_most_and_it_can_be_stopped),
		server_test(kept_ones_may_have_numbers_of_the_servers),
		server_test(a_server_that_cannot_begin_says_why),
		server_test(children_go_on_without_it),
		server_test(a_killed_one_is_replaced),
		server_test(children_have_what_their_starter_has_now),
		server_test(more_descriptors_than_a_message_takes_are_refused),
		server_test(the_keyboard_does_not_end_it),
		server_test(children_are_the_starters_own),
		server_test(there_may_be_many_at_a_time),
		server_test(an_argument_is_the_childs_own),
		server_test(children_are_whole_to_the_c_library),
		server_test(children_have_no_connection_of_the_server),
		server_test(a_forked_process_has_its_own),
		server_test(servers_are_killed_while_threads_start_processes),
		spare_test(children_go_on_without_it),
		spare_test(children_have_what_their_starter_has_now),
		spare_test(the_keyboard_does_not_end_it),
		spare_test(children_are_the_starters_own),
		spare_test(there_may_be_many_at_a_time),
		spare_test(an_argument_is_the_childs_own),
		spare_test(children_are_whole_to_the_c_library),
		spare_test(a_forked_process_has_its_own),
		spare_test(servers_are_killed_while_threads_start_processes),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
