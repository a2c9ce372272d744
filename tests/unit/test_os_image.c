/* SPDX-License-Identifier: MIT */
/*
 * os/image.h: other programs that are begun, by whichever way the kernel offers.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "base/macros.h"
#include "common.h"
#include "os/image.h"

#define CODE 7
#define TEXT_MAX 4096

/* Runs @script, which writes to @fd, and gives what it has written. */
static void
run(const char *script, const int *fds, int n_fds, bool deaf, int reads,
    char text[TEXT_MAX])
{
	char *argv[] = { (char[]){ "sh" }, (char[]){ "-c" },
			 (char *)(uintptr_t)script, NULL };
	char *env[] = { (char[]){ "GIVEN=this" }, NULL };
	struct mpr_image image = { .path = "/bin/sh", .argv = argv, .env = env,
				   .fds = fds, .n_fds = n_fds, .deaf = deaf };
	pid_t pid = mpr_image_start(&image);
	size_t len = 0;
	ssize_t n;
	int status;

	assert_true(pid > 0);
	close(fds[0]);
	while ((n = read(reads, text + len, TEXT_MAX - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), CODE);
}

static void
only_what_is_named_stays_open(void **state)
{
	char script[256], text[TEXT_MAX];
	int fds[2], others[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(pipe2(others, O_CLOEXEC), 0);
	snprintf(script, sizeof(script), "for i in %d %d %d %d; do "
		 "[ -e /proc/self/fd/$i ] && echo -n $i. >&%d; done; "
		 "echo -n $GIVEN >&%d; exit %d", fds[0], fds[1], others[0],
		 others[1], fds[1], fds[1], CODE);
	run(script, &fds[1], 1, false, fds[0], text);
	snprintf(script, sizeof(script), "%d.this", fds[1]);
	assert_string_equal(text, script);
	close(fds[0]);
	close(others[0]);
	close(others[1]);
}

/* A set of signals in /proc/PID/status. */
static uint64_t
set_of(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	assert_non_null(at);
	return strtoull(at + strlen(name), NULL, 16);
}

static uint64_t
bit(int signal)
{
	return UINT64_C(1) << (signal - 1);
}

static void
do_nothing(int signal)
{
	(void)signal;
}

static void
signals_are_as_exec_leaves_them(bool deaf)
{
	static const int set[] = { SIGUSR1, SIGUSR2 };
	const struct sigaction actions[] = { { .sa_handler = do_nothing },
					     { .sa_handler = SIG_IGN } };
	uint64_t keyboard = bit(SIGINT) | bit(SIGQUIT) | bit(SIGTSTP);
	struct sigaction before[2];
	sigset_t mask, mask_before, mask_now;
	char script[128], text[TEXT_MAX];
	int fds[2];

	for (int i = 0; i < 2; i++)
		sigaction(set[i], &actions[i], &before[i]);
	sigemptyset(&mask);
	sigaddset(&mask, SIGHUP);
	pthread_sigmask(SIG_SETMASK, &mask, &mask_before);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	snprintf(script, sizeof(script), "while read line; do "
		 "echo $line; done < /proc/self/status >&%d; exit %d", fds[1],
		 CODE);
	run(script, &fds[1], 1, deaf, fds[0], text);
	pthread_sigmask(SIG_SETMASK, &mask_before, &mask_now);
	for (int i = 0; i < 2; i++)
		sigaction(set[i], &before[i], NULL);
	close(fds[0]);
	assert_int_equal(memcmp(&mask, &mask_now, 8), 0);
	assert_int_equal(set_of(text, "SigBlk:"),
			 bit(SIGHUP) | (deaf ? keyboard : 0));
	assert_int_equal(set_of(text, "SigIgn:") & bit(SIGUSR2), bit(SIGUSR2));
	assert_int_equal(set_of(text, "SigIgn:") & bit(SIGUSR1), 0);
	assert_int_equal(set_of(text, "SigCgt:") & bit(SIGUSR1), 0);
}

static void
it_hears_what_its_starter_hears(void **state)
{
	(void)state;
	signals_are_as_exec_leaves_them(false);
}

static void
a_deaf_one_does_not_hear_the_keyboard(void **state)
{
	(void)state;
	signals_are_as_exec_leaves_them(true);
}

static void
what_cannot_be_begun_leaves_nothing(void **state)
{
	char *argv[] = { (char[]){ "x" }, NULL };
	const int closed = 999;
	struct mpr_image image = { .argv = argv, .env = argv + 1 };

	(void)state;
	image.path = "/nowhere";
	assert_int_equal(mpr_image_start(&image), -ENOENT);
	image.path = "/";
	assert_int_equal(mpr_image_start(&image), -EACCES);
	image.path = "/bin/sh";
	image.fds = &closed;
	image.n_fds = 1;
	assert_int_equal(mpr_image_start(&image), -EBADF);
	assert_int_equal(waitpid(-1, NULL, 0), -1);
	assert_int_equal(errno, ECHILD);
}

/* A child that shares our memory must not run our handlers. */

static pid_t role;
static _Atomic unsigned at_home, elsewhere;
static _Atomic bool over;

static void
note_where(int signal)
{
	(void)signal;
	if (getpid() == role)
		at_home++;
	else
		elsewhere++;
}

static void *
signal_group(void *arg)
{
	(void)arg;
	while (!over) {
		kill(0, SIGUSR1);
		usleep(20);
	}
	return NULL;
}

static int
start_in_a_storm(struct mpt *t, void *arg)
{
	char *argv[] = { (char[]){ "true" }, NULL };
	struct mpr_image image = { .path = "/bin/true", .argv = argv,
				   .env = argv + 1 };
	struct sigaction action = { .sa_handler = note_where,
				    .sa_flags = SA_RESTART };
	pthread_t thread;
	int status;

	(void)arg;
	role = getpid();
	setpgid(0, 0);
	sigaction(SIGUSR1, &action, NULL);
	mpt_check_int(t, pthread_create(&thread, NULL, signal_group, NULL), 0);
	for (unsigned i = 0; i < amount(200); i++) {
		pid_t pid = mpr_image_start(&image);

		mpt_check(t, pid > 0);
		mpt_check_int(t, waitpid(pid, &status, 0), pid);
		/* It may not have come to its program. */
		mpt_check(t, WIFSIGNALED(status) ?
				     WTERMSIG(status) == SIGUSR1 :
				     WEXITSTATUS(status) == 0);
	}
	over = true;
	mpt_check_int(t, pthread_join(thread, NULL), 0);
	mpt_check(t, at_home > 0);
	mpt_check_int(t, elsewhere, 0);
	return 0;
}

static void
no_handler_runs_in_the_child(void **state)
{
	mpt_expect_exit(*state, mpt_spawn(*state, "starter", start_in_a_storm,
					  NULL), 0);
}

static void *
start_and_wait(void *arg)
{
	char *argv[] = { (char[]){ "true" }, NULL };
	struct mpr_image image = { .path = "/bin/true", .argv = argv,
				   .env = argv + 1 };
	int *status = arg;
	pid_t pid = mpr_image_start(&image);

	if (pid < 0 || waitpid(pid, status, 0) != pid)
		*status = -1;
	return NULL;
}

static void
a_thread_needs_no_large_stack(void **state)
{
	pthread_attr_t attr;
	pthread_t thread;
	int status = -1;

	(void)state;
	pthread_attr_init(&attr);
	/* What a thread may have at least, and what the C library, and
	 * sanitizers, take of it. */
	pthread_attr_setstacksize(&attr,
				  (size_t)sysconf(_SC_THREAD_STACK_MIN) +
					  16384);
	assert_int_equal(pthread_create(&thread, &attr, start_and_wait,
					&status), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	pthread_attr_destroy(&attr);
	assert_int_equal(status, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(only_what_is_named_stays_open),
		mpt_test(it_hears_what_its_starter_hears),
		mpt_test(a_deaf_one_does_not_hear_the_keyboard),
		mpt_test(what_cannot_be_begun_leaves_nothing),
		mpt_test(no_handler_runs_in_the_child),
		mpt_test(a_thread_needs_no_large_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
