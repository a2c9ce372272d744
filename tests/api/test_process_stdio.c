/* SPDX-License-Identifier: MIT */
/*
 * process.h and the standard streams of the host: a thread of it waits for
 * input or prints meanwhile, standard output is closed or full, and what was
 * printed appears once. Each host is a process of its own.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

#include "common.h"
#include "started.h"

static int
return_it(void *arg)
{
	return (int)(intptr_t)arg;
}

static int
call_exit(void *arg)
{
	exit((int)(intptr_t)arg);
}

static mproc_process *
start(struct mpt *t, mproc_entry *fn, void *arg)
{
	mproc_process *p = NULL;

	mpt_check_int(t, mproc_process_start(&p, fn, arg, NULL), 0);
	return p;
}

/* Joins and closes @p, which must end with @code. */
static void
finish(struct mpt *t, mproc_process *p, int code)
{
	int ended = -1;

	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_process_exitcode(p, &ended), 0);
	mpt_check_int(t, ended, code);
	mproc_process_close(p);
}

/* One without a name. */
static int
make_file(struct mpt *t)
{
	FILE *f = tmpfile();

	mpt_check(t, f);
	return fileno(f);
}

static void
in_a_host(struct mpt *t, mpt_fn *fn, void *arg)
{
	mpt_expect_exit(t, mpt_spawn(t, "host", fn, arg), 0);
}

/* One that has the test's descriptors, and knows them. */
static void
in_a_forked_host(struct mpt *t, mpt_fn *fn, void *arg)
{
	mpt_expect_exit(t, mpt_fork(t, "host", fn, arg), 0);
}

/* An image takes longer than a fork. */
static unsigned
starts(unsigned n)
{
	return amount(usual_method() == MPROC_FORK ? n : n / 5);
}

/* A thread of the host that reads lines from standard input. */
struct reader {
	struct mpt *t;
	char *(*next)(char line[32]);
	_Atomic pid_t tid;
	_Atomic unsigned lines; /* seen */
};

static char *
next_by_getline(char line[32])
{
	/* Found by leak checkers also in a child, which has no such thread. */
	static char *text;
	static size_t size;

	if (getline(&text, &size, stdin) < 0)
		return NULL;
	snprintf(line, 32, "%s", text);
	return line;
}

static char *
next_by_fgets(char line[32])
{
	return fgets(line, 32, stdin);
}

static void *
read_lines(void *arg)
{
	struct reader *r = arg;
	char line[32], expected[32];

	r->tid = gettid();
	while (r->next(line)) {
		snprintf(expected, sizeof(expected), "left %u right\n",
			 r->lines);
		mpt_check(r->t, strcmp(line, expected) == 0);
		r->lines++;
	}
	return NULL;
}

/* All that was written is read, and the reader waits for more. */
static bool
is_reading(struct reader *r)
{
	int pending = 0;

	return r->tid && ioctl(STDIN_FILENO, FIONREAD, &pending) == 0 &&
	       pending == 0 && mpt_task_state(r->tid) == 'S';
}

static void
start_beside_a_reader(struct mpt *t, struct reader *r, int fd)
{
	unsigned n = starts(50);
	pthread_t thread;

	mpt_check_int(t, pthread_create(&thread, NULL, read_lines, r), 0);
	for (unsigned i = 0; i < n; i++) {
		mpt_check(t, dprintf(fd, "left %u", i) > 0);
		mpt_until(t, is_reading(r));
		finish(t, start(t, i % 2 ? return_it : call_exit, (void *)5),
		       5);
		mpt_check(t, dprintf(fd, " right\n") > 0);
		mpt_until(t, r->lines == i + 1);
	}
	close(fd);
	mpt_check_int(t, pthread_join(thread, NULL), 0);
	mpt_check_int(t, r->lines, n);
}

static int
host_reads_a_pipe(struct mpt *t, void *arg)
{
	struct reader r = { .t = t, .next = next_by_getline };
	int fds[2];

	(void)arg;
	mpt_check_int(t, pipe2(fds, O_CLOEXEC), 0);
	mpt_check_int(t, dup2(fds[0], STDIN_FILENO), STDIN_FILENO);
	start_beside_a_reader(t, &r, fds[1]);
	return 0;
}

static void
a_thread_may_wait_for_a_line_from_a_pipe(void **state)
{
	in_a_host(*state, host_reads_a_pipe, NULL);
}

static int
host_reads_a_terminal(struct mpt *t, void *arg)
{
	struct reader r = { .t = t, .next = next_by_fgets };
	int master = posix_openpt(O_RDWR | O_NOCTTY), fd;
	struct termios tio;

	(void)arg;
	mpt_check(t, grantpt(master) == 0 && unlockpt(master) == 0);
	fd = open(ptsname(master), O_RDWR | O_NOCTTY);
	mpt_check_int(t, dup2(fd, STDIN_FILENO), STDIN_FILENO);
	/* Half a line is to reach the reader. */
	mpt_check_int(t, tcgetattr(fd, &tio), 0);
	cfmakeraw(&tio);
	mpt_check_int(t, tcsetattr(fd, TCSANOW, &tio), 0);
	start_beside_a_reader(t, &r, master);
	return 0;
}

static void
a_thread_may_wait_for_a_line_from_a_terminal(void **state)
{
	in_a_host(*state, host_reads_a_terminal, NULL);
}

/* The place in a file is shared with the children, the buffer is not. */
static int
host_reads_a_file(struct mpt *t, void *arg)
{
	struct reader r = { .t = t, .next = next_by_getline };
	int fd = make_file(t);
	char line[32];

	(void)arg;
	for (unsigned i = 0; i < 1000; i++)
		mpt_check(t, dprintf(fd, "left %u right\n", i) > 0);
	mpt_check_int(t, lseek(fd, 0, SEEK_SET), 0);
	mpt_check_int(t, dup2(fd, STDIN_FILENO), STDIN_FILENO);
	mpt_check(t, next_by_getline(line));
	mpt_check(t, strcmp(line, "left 0 right\n") == 0);
	for (int i = 0; i < 5; i++)
		finish(t, start(t, i % 2 ? return_it : call_exit, (void *)5),
		       5);
	r.lines = 1;
	read_lines(&r);
	mpt_check_int(t, r.lines, 1000);
	return 0;
}

static void
a_child_leaves_the_place_in_the_hosts_input(void **state)
{
	in_a_host(*state, host_reads_a_file, NULL);
}

/* What becomes of standard output. */
enum bad_output {
	CLOSED,	  /* the descriptor */
	FCLOSED,  /* the stream */
	FULL,
	NO_READER,
	N_BAD,
};

static void
spoil_stdout(struct mpt *t, enum bad_output how)
{
	int fds[2] = { -1, -1 };

	switch (how) {
	case CLOSED:
		mpt_check_int(t, close(STDOUT_FILENO), 0);
		return;
	case FCLOSED:
		mpt_check_int(t, fclose(stdout), 0);
		return;
	case FULL:
		fds[1] = open("/dev/full", O_WRONLY | O_CLOEXEC);
		break;
	default:
		signal(SIGPIPE, SIG_IGN);
		mpt_check_int(t, pipe2(fds, O_CLOEXEC), 0);
		close(fds[0]);
	}
	mpt_check_int(t, dup2(fds[1], STDOUT_FILENO), STDOUT_FILENO);
	close(fds[1]);
}

#define PRINTS 256 /* beside the code */

static int
print_and_return(void *arg)
{
	int code = (int)(intptr_t)arg;

	if (code & PRINTS)
		fputs("lost", stdout);
	return code & ~PRINTS;
}

static int
print_and_start_another(void *arg)
{
	mproc_process *p;
	int code;

	if ((intptr_t)arg & PRINTS)
		fputs("lost", stdout);
	if (mproc_process_start(&p, print_and_return, arg, NULL) < 0 ||
	    mproc_process_join(p, MPROC_FOREVER) < 0 ||
	    mproc_process_exitcode(p, &code) < 0)
		return 99;
	mproc_process_close(p);
	return code;
}

static int
host_has_bad_output(struct mpt *t, void *arg)
{
	static const int modes[] = { _IOFBF, _IOLBF, _IONBF };
	unsigned number = (unsigned)(uintptr_t)arg, how = number / 3;
	bool prints = how != FCLOSED;

	spoil_stdout(t, how);
	if (prints)
		setvbuf(stdout, NULL, modes[number % 3], 64);
	for (int code = 0; code < 4; code += 3) {
		void *as_arg = (void *)(intptr_t)(code | (prints ? PRINTS : 0));

		if (prints)
			fputs("lost", stdout);
		finish(t, start(t, print_and_return, as_arg), code);
		finish(t, start(t, print_and_start_another, as_arg), code);
	}
	return 0;
}

static void
a_child_that_cannot_print_ends_as_it_would(void **state)
{
	for (unsigned i = 0; i < 3 * N_BAD; i++)
		in_a_host(*state, host_has_bad_output, (void *)(uintptr_t)i);
}

static void
print_to_both(const char *text)
{
	fputs(text, stdout);
	fputs(text, stderr);
}

static int
be_third(void *by_exit)
{
	print_to_both("three;");
	return by_exit ? call_exit(NULL) : 0;
}

static int
be_second(void *arg)
{
	print_to_both("two;");
	for (int i = 0; i < 2; i++)
		finish(arg, start(arg, be_third, i ? arg : NULL), 0);
	print_to_both("two again;");
	return 0;
}

struct ends {
	int out[2];
	int err[2];
};

static int
host_prints(struct mpt *t, void *arg)
{
	struct ends *ends = arg;

	dup2(ends->out[1], STDOUT_FILENO);
	dup2(ends->err[1], STDERR_FILENO);
	setvbuf(stdout, NULL, _IOFBF, 4096);
	setvbuf(stderr, NULL, _IOFBF, 4096);
	print_to_both("one;");
	finish(t, start(t, be_second, t), 0);
	print_to_both("one again;");
	finish(t, start(t, be_third, t), 0);
	return 0;
}

static void
expect_text(int fds[2], const char *expected)
{
	char text[256] = "";
	size_t n = 0;
	ssize_t r;

	close(fds[1]);
	while ((r = read(fds[0], text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)r;
	close(fds[0]);
	assert_string_equal(text, expected);
}

static void
three_generations_print_everything_once(void **state)
{
	static const char expected[] = "one;two;three;three;two again;"
				       "one again;three;";
	struct ends ends;

	assert_int_equal(pipe2(ends.out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(ends.err, O_CLOEXEC), 0);
	in_a_forked_host(*state, host_prints, &ends);
	expect_text(ends.out, expected);
	expect_text(ends.err, expected);
}

static int
complain_and_wait(void *t)
{
	fputs("no newline", stderr);
	wait_to_be_killed(t);
	return 0;
}

static int
host_has_a_complaining_child(struct mpt *t, void *arg)
{
	int *fds = arg, code;
	mproc_process *p;
	char text[32] = "";

	dup2(fds[1], STDERR_FILENO);
	p = start(t, complain_and_wait, t);
	mpt_check(t, read(fds[0], text, sizeof(text) - 1) > 0);
	mpt_check(t, strcmp(text, "no newline") == 0);
	mpt_check_int(t, mproc_process_kill(p), 0);
	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_process_exitcode(p, &code), 0);
	mpt_check_int(t, code, -SIGKILL);
	mproc_process_close(p);
	return 0;
}

static void
standard_error_stays_unbuffered(void **state)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	in_a_forked_host(*state, host_has_a_complaining_child, fds);
	close(fds[0]);
	close(fds[1]);
}

/* Prints numbers until told to stop. */
struct printer {
	_Atomic bool stop;
	_Atomic unsigned printed;
};

static void *
print_numbers(void *arg)
{
	struct printer *p = arg;

	for (unsigned i = 0; !p->stop; p->printed = ++i)
		printf("%u\n", i);
	return NULL;
}

static int
host_prints_in_a_thread(struct mpt *t, void *arg)
{
	struct printer p = { 0 };
	int fd = make_file(t);
	unsigned n = 0, number;
	pthread_t thread;
	FILE *in;

	(void)arg;
	mpt_check_int(t, dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
	setvbuf(stdout, NULL, _IOFBF, 4096);
	mpt_check_int(t, pthread_create(&thread, NULL, print_numbers, &p), 0);
	for (unsigned i = 0; i < starts(200); i++) {
		unsigned before = p.printed;

		finish(t, start(t, return_it, (void *)5), 5);
		mpt_until(t, p.printed != before);
	}
	p.stop = true;
	mpt_check_int(t, pthread_join(thread, NULL), 0);
	mpt_check_int(t, fflush(stdout), 0);
	mpt_check_int(t, lseek(fd, 0, SEEK_SET), 0);
	in = fdopen(dup(fd), "r");
	mpt_check(t, in);
	while (fscanf(in, "%u\n", &number) == 1)
		mpt_check_int(t, number, n++);
	mpt_check_int(t, n, p.printed);
	fclose(in);
	return 0;
}

static void
what_a_thread_prints_meanwhile_appears_once(void **state)
{
	in_a_host(*state, host_prints_in_a_thread, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_thread_may_wait_for_a_line_from_a_pipe),
		mpt_test(a_thread_may_wait_for_a_line_from_a_terminal),
		mpt_test(a_child_leaves_the_place_in_the_hosts_input),
		mpt_test(a_child_that_cannot_print_ends_as_it_would),
		mpt_test(three_generations_print_everything_once),
		mpt_test(standard_error_stays_unbuffered),
		mpt_test(what_a_thread_prints_meanwhile_appears_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
