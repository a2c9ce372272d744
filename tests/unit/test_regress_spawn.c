/* SPDX-License-Identifier: MIT */
/*
 * Defects that processes with an image of their own, and the fork server, once had.
 * Each test brings about by force what needed bad luck then.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <mproc/mproc.h>

#include "base/fault.h"
#include "common.h"
#include "process/handle.h"

/* In the arena. */
struct board {
	_Atomic pid_t server, forked;
	_Atomic unsigned value;
	int fd;
};

static struct board *board; /* of the test */

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

#define spawn_test(f) { #f, f, setup, teardown, (void *)(uintptr_t)#f }

#define SERVED(...)                                                          \
	MPROC_OPTS(mproc_process_opts, .method = MPROC_FORKSERVER, __VA_ARGS__)

static int
return_seven(void *arg)
{
	(void)arg;
	return 7;
}

static int
run(const struct mproc_process_opts *o)
{
	mproc_process *p = NULL;
	int code = -1, r = mproc_process_start(&p, return_seven, NULL, o);

	if (r < 0)
		return r;
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_int_equal(mproc_process_exitcode(p, &code), 0);
	mproc_process_close(p);
	return code;
}

static int
note_server(void *arg)
{
	struct board *b = arg;

	b->server = getpid();
	b->value++;
	return 0;
}

static void
start_server(mproc_entry *preload)
{
	assert_int_equal(mproc_forkserver_start(MPROC_OPTS(
		mproc_forkserver_opts, .preload = preload,
		.preload_arg = board)), 0);
}

/* A request that the server could not take was dropped, and its starter waited for
 * ever: here more descriptors come than it may have. */

static void
what_the_server_has_no_room_for_is_an_error(void **state)
{
	struct rlimit before, low;
	int keep[200];

	(void)state;
	for (size_t i = 0; i < MPR_ARRAY_LEN(keep); i++)
		keep[i] = STDERR_FILENO;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	low.rlim_cur = 100;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	start_server(note_server);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(run(SERVED(.keep_fds = keep,
				    .n_keep_fds = MPR_ARRAY_LEN(keep))),
			 -EMFILE);
	assert_int_equal(run(SERVED(.name = NULL)), 7);
	assert_int_equal(board->value, 1);
}

/* Or it cannot map the plan. */

static int
lose_address_space(void *arg)
{
	struct rlimit none = { 0, RLIM_INFINITY };

	note_server(arg);
	return setrlimit(RLIMIT_AS, &none);
}

static void
a_server_that_cannot_map_a_plan_is_no_hang(void **state)
{
	(void)state;
	start_server(lose_address_space);
	assert_int_equal(run(SERVED(.name = NULL)), -EPIPE);
	assert_int_equal(mproc_forkserver_stop(), 0);
	assert_int_equal(run(SERVED(.name = NULL)), 7);
}

/* The answer of a server that has died was waited for as long as any process had its
 * end of the connection. */

static int
fork_and_die(void *arg)
{
	struct board *b = arg;
	pid_t pid;

	/* Once: others are begun in its place, and die as well. */
	if (!b->forked) {
		pid = fork();
		if (pid == 0)
			while (pause() < 0)
				;
		b->forked = pid;
	}
	return raise(SIGKILL);
}

static void
a_server_that_dies_with_its_connection_open_elsewhere_is_noticed(void **state)
{
	assert_int_equal(mproc_forkserver_start(MPROC_OPTS(
		mproc_forkserver_opts, .preload = fork_and_die,
		.preload_arg = board)), -ENOEXEC);
	assert_int_equal(kill(board->forked, SIGKILL), 0);
	assert_int_equal(mpt_reap_orphans(*state), 1);
}

/* The connection's number was used without a look at what it leads to by now: a
 * stranger was sent messages and descriptors, and was closed in forked children. */

static int
find_connection(void)
{
	socklen_t len = sizeof(int);
	int type;

	for (int fd = 3; fd < 64; fd++)
		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
		    type == SOCK_SEQPACKET)
			return fd;
	return -1;
}

static int
check_descriptor(void *arg)
{
	struct board *b = arg;

	return fcntl(b->fd, F_GETFD) >= 0 ? 7 : 8;
}

static void
a_stranger_with_the_connections_number_is_left_alone(void **state)
{
	mproc_process *p;
	int ends[2], fd, code;
	char c;

	(void)state;
	start_server(note_server);
	fd = find_connection();
	assert_true(fd > 2);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
				    ends), 0);
	assert_int_equal(dup2(ends[0], fd), fd);
	close(ends[0]);

	board->fd = fd;
	assert_int_equal(mproc_process_start(&p, check_descriptor, board,
					     NULL), 0);
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_int_equal(mproc_process_exitcode(p, &code), 0);
	mproc_process_close(p);
	assert_int_equal(code, 7);

	/* By another server. */
	assert_int_equal(run(SERVED(.name = NULL)), 7);
	assert_int_equal(board->value, 2);
	assert_int_equal(mproc_forkserver_stop(), 0);
	assert_int_equal(recv(ends[1], &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	close(ends[1]);
	close(fd);
}

/* A request with a length that no memory has wrote beyond the plan. */

static void
no_plan_is_made_for_more_than_there_can_be(void **state)
{
	(void)state;
	for (int method = MPROC_SPAWN; method <= MPROC_FORKSERVER; method++) {
		mproc_process *p;

		for (size_t size = SIZE_MAX; size > SIZE_MAX / 8; size /= 2)
			assert_int_equal(mproc_process_start(
				&p, return_seven, board,
				MPROC_OPTS(mproc_process_opts,
					   .method = method,
					   .arg_size = size)), -ENOMEM);
	}
}

/* Users. */

#define NOBODY 65534

static void
need_root(void)
{
	if (getuid() != 0)
		skip();
}

/* What a program does that was made to be only this. */
static void
be_main_again(void)
{
	if (getenv("REGRESS_SPAWN_MAIN"))
		_exit(99);
	if (getenv("REGRESS_SPAWN_LOADER"))
		_exit(run(MPROC_OPTS(mproc_process_opts,
				     .method = MPROC_SPAWN)) == -ENOEXEC &&
		      strstr(mproc_error_detail(), "loader") ? 95 : 94);
	if (getenv("REGRESS_SPAWN_SECURE"))
		_exit(getenv("MPROC_SPAWNED") ? 98 : 97);
}

/* A new image with other rights than its caller takes no plan from the environment:
 * it was an ordinary start of the program, which may start the next one. */
static void
no_image_is_begun_that_would_not_trust_its_environment(void **state)
{
	need_root();
	(void)state;
	setenv("REGRESS_SPAWN_MAIN", "1", 1);
	for (int method = MPROC_SPAWN; method <= MPROC_FORKSERVER; method++) {
		int r;

		assert_int_equal(seteuid(NOBODY), 0);
		r = run(MPROC_OPTS(mproc_process_opts, .method = method));
		assert_int_equal(seteuid(0), 0);
		assert_int_equal(r, -ENOEXEC);
		assert_null(strstr(mproc_error_detail(), "99"));
		assert_int_equal(setegid(NOBODY), 0);
		r = run(MPROC_OPTS(mproc_process_opts, .method = method));
		assert_int_equal(setegid(0), 0);
		assert_int_equal(r, -ENOEXEC);
		assert_null(strstr(mproc_error_detail(), "99"));
	}
	unsetenv("REGRESS_SPAWN_MAIN");
}

/* And left it to the programs that it ran. */
static void
a_variable_that_is_not_trusted_is_not_handed_on(void **state)
{
	int status;
	pid_t pid;

	need_root();
	(void)state;
	pid = fork();
	if (pid == 0) {
		setenv("REGRESS_SPAWN_SECURE", "1", 1);
		setenv("MPROC_SPAWNED", "0:0123456789abcdef", 1);
		if (setresuid(NOBODY, 0, 0) == 0)
			execl("/proc/self/exe", "regress", (char *)NULL);
		_exit(96);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 97);
}

/* Processes of another user than the one who made the arena were refused it. */

static int
start_as_nobody(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_check_int(t, mproc_forkserver_start(NULL), 0);
	mpt_check_int(t, setresgid(NOBODY, NOBODY, NOBODY), 0);
	mpt_check_int(t, setresuid(NOBODY, NOBODY, NOBODY), 0);
	mpt_check_int(t, run(MPROC_OPTS(mproc_process_opts,
					.method = MPROC_SPAWN)), 7);
	/* The server that there was does not serve others. */
	mpt_check_int(t, run(SERVED(.name = NULL)), 7);
	mpt_check_int(t, mproc_forkserver_stop(), 0);
	return 0;
}

static void
who_has_given_up_rights_can_start_others(void **state)
{
	int id;

	need_root();
	id = mpt_spawn(*state, "starter", start_as_nobody, NULL);
	mpt_expect_exit(*state, id, 0);
	mpt_reap_orphans(*state);
}

/* A starter that became another program before its image looked for it was taken for
 * one that would give an order: the image waited as long as that program ran. */

struct script {
	char path[128], fifo[128], note[128];
};

static void
write_script(struct mpt *t, struct script *s)
{
	char program[512] = "", name[64];
	FILE *file;

	snprintf(s->path, sizeof(s->path), "/tmp%s", mpt_name(t, name, "sh"));
	snprintf(s->fifo, sizeof(s->fifo), "/tmp%s", mpt_name(t, name, "fifo"));
	snprintf(s->note, sizeof(s->note), "/tmp%s", mpt_name(t, name, "note"));
	mpt_check(t, readlink("/proc/self/exe", program,
			      sizeof(program) - 1) > 0);
	mpt_check_int(t, mkfifo(s->fifo, 0600), 0);
	file = fopen(s->path, "we");
	mpt_check(t, file != NULL);
	fprintf(file, "#!/bin/sh\necho $$ >%s\nread line <%s\nexec %s\n",
		s->note, s->fifo, program);
	fclose(file);
	mpt_check_int(t, chmod(s->path, 0700), 0);
}

static void *
start_script(void *arg)
{
	const struct script *s = arg;
	mproc_process *p;
	int r = mproc_process_start(&p, note_server, board,
				    MPROC_OPTS(mproc_process_opts,
					       .method = MPROC_SPAWN,
					       .exe = s->path));

	return (void *)(intptr_t)r;
}

static int
become_another_program(struct mpt *t, void *arg)
{
	struct script *s = arg;
	char command[64];
	pthread_t thread;
	FILE *note;
	int fd, pid;

	mpt_check_int(t, pthread_create(&thread, NULL, start_script, s), 0);
	/* Until the script reads; it does not go on before we are another. */
	fd = open(s->fifo, O_WRONLY);
	mpt_check(t, fd >= 0);
	note = fopen(s->note, "re");
	mpt_check(t, note && fscanf(note, "%d", &pid) == 1);
	board->forked = pid;
	snprintf(command, sizeof(command), "echo >&%d; exec sleep 1000", fd);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	return 1;
}

static bool
has_ended(pid_t pid)
{
	int state = mpt_task_state(pid);

	return state == 'Z' || state == 0;
}

static void
an_image_whose_starter_became_another_program_ends(void **state)
{
	struct script s;
	int id;

	write_script(*state, &s);
	id = mpt_spawn(*state, "starter", become_another_program, &s);
	mpt_until(*state, board->forked && has_ended(board->forked));
	mpt_kill(*state, id);
	mpt_reap_orphans(*state);
	assert_int_equal(board->value, 0);
	unlink(s.path);
	unlink(s.fifo);
	unlink(s.note);
}

/* A dead server was taken for one that serves, until a start had found it dead. */
static void
another_server_can_be_begun_when_one_has_died(void **state)
{
	start_server(note_server);
	assert_int_equal(kill(board->server, SIGKILL), 0);
	mpt_until(*state, has_ended(board->server));
	start_server(note_server);
	assert_int_equal(mproc_forkserver_start(NULL), -EBUSY);
	assert_int_equal(board->value, 2);
}

/* A thread that was cancelled as it waited for a server left it behind: nobody could
 * reach it, or end it. */

static int
serve_when_told(void *arg)
{
	struct board *b = arg;

	b->server = getpid();
	while (!b->value)
		sched_yield();
	return 0;
}

static void *
start_and_stop(void *unused)
{
	(void)unused;
	start_server(serve_when_told);
	board->forked = getpid();
	return (void *)(intptr_t)mproc_forkserver_stop();
}

static void
no_thread_is_cancelled_while_it_begins_or_ends_a_server(void **state)
{
	pthread_t thread;
	void *result;

	assert_int_equal(pthread_create(&thread, NULL, start_and_stop, NULL),
			 0);
	mpt_until(*state, board->server);
	assert_int_equal(pthread_cancel(thread), 0);
	board->value = 1;
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, NULL);
	assert_int_equal(board->forked, getpid());
	assert_int_equal(kill(board->server, 0), -1);
}

/* Where the loader was asked to run the program, it is what runs, to the kernel: it was
 * begun anew, and took the program's first argument for a program. */
static void
a_program_that_the_loader_was_asked_to_run_is_not_begun(void **state)
{
	const char *loader = (const char *)getauxval(AT_BASE);
	Dl_info info;
	int status;
	pid_t pid;

	(void)state;
	assert_true(dladdr(loader, &info) != 0);
	pid = fork();
	if (pid == 0) {
		char program[512] = "";

		setenv("REGRESS_SPAWN_LOADER", "1", 1);
		if (readlink("/proc/self/exe", program,
			     sizeof(program) - 1) > 0)
			execl(info.dli_fname, "ld.so", program, "/bin/false",
			      (char *)NULL);
		_exit(96);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 95);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		spawn_test(what_the_server_has_no_room_for_is_an_error),
		spawn_test(a_server_that_cannot_map_a_plan_is_no_hang),
		spawn_test(a_server_that_dies_with_its_connection_open_elsewhere_is_noticed),
		spawn_test(a_stranger_with_the_connections_number_is_left_alone),
		spawn_test(no_plan_is_made_for_more_than_there_can_be),
		spawn_test(no_image_is_begun_that_would_not_trust_its_environment),
		spawn_test(a_variable_that_is_not_trusted_is_not_handed_on),
		spawn_test(who_has_given_up_rights_can_start_others),
		spawn_test(an_image_whose_starter_became_another_program_ends),
		spawn_test(another_server_can_be_begun_when_one_has_died),
		spawn_test(no_thread_is_cancelled_while_it_begins_or_ends_a_server),
		spawn_test(a_program_that_the_loader_was_asked_to_run_is_not_begun),
	};

	be_main_again();
	return cmocka_run_group_tests(tests, with_arena, NULL);
}
