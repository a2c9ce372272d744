/* SPDX-License-Identifier: MIT */
/*
 * process.h: starting, waiting, exit information, and whose a handle is. How
 * processes are ended is in test_process_end.c.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "mpt_refuse.h"
#include "process.h"

static void
join_and_close(mproc_process *p)
{
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	mproc_process_close(p);
}

static void
every_exit_code_comes_through(void **state)
{
	struct mproc_exit end;
	int code;

	(void)state;
	for (int i = 0; i < 256; i += amount(10) >= 10 ? 1 : 17) {
		mproc_process *p = start(return_it, (void *)(intptr_t)i);

		assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
		assert_int_equal(mproc_process_exit_info(p, &end), 0);
		assert_int_equal(end.code, i);
		assert_int_equal(end.signal, 0);
		assert_false(end.core);
		assert_false(end.reaped_elsewhere);
		assert_int_equal(mproc_process_exitcode(p, &code), 0);
		assert_int_equal(code, i);
		mproc_process_close(p);
	}
}

static void
only_the_low_eight_bits_count(void **state)
{
	static const int codes[] = { 256, 257, -1, 0x12345678 };
	int code;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		mproc_process *p = start_with_copy(return_copy, &codes[i],
						   sizeof(codes[i]));

		assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
		assert_int_equal(mproc_process_exitcode(p, &code), 0);
		assert_int_equal(code, codes[i] & 0xff);
		mproc_process_close(p);
	}
}

static int
call_exit(void *arg)
{
	exit((int)(intptr_t)arg);
}

static int
call_bare_exit(void *arg)
{
	_exit((int)(intptr_t)arg);
}

static void
exit_inside_the_entry_is_an_exit_code_too(void **state)
{
	mproc_process *p = start(call_exit, (void *)7);
	int code;

	(void)state;
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_int_equal(mproc_process_exitcode(p, &code), 0);
	assert_int_equal(code, 7);
	mproc_process_close(p);
	p = start(call_bare_exit, (void *)8);
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_int_equal(mproc_process_exitcode(p, &code), 0);
	assert_int_equal(code, 8);
	mproc_process_close(p);
}

static int
raise_it(void *arg)
{
	int sig = (int)(intptr_t)arg;
	sigset_t none;

	signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	raise(sig);
	return 0;
}

static void
a_signal_is_kept_apart_from_an_exit_code(void **state)
{
	static const int signals[] = { SIGKILL, SIGTERM, SIGABRT, SIGSEGV,
				       SIGINT, SIGUSR1 };
	struct mproc_exit end;
	int code;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		mproc_process *p = start(raise_it,
					 (void *)(intptr_t)signals[i]);
		mproc_process *q = start(return_it, (void *)(intptr_t)(
							    128 + signals[i]));

		assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
		assert_int_equal(mproc_process_exit_info(p, &end), 0);
		assert_int_equal(end.code, -1);
		assert_int_equal(end.signal, signals[i]);
		assert_int_equal(mproc_process_exitcode(p, &code), 0);
		assert_int_equal(code, -signals[i]);

		assert_int_equal(mproc_process_join(q, MPROC_FOREVER), 0);
		assert_int_equal(mproc_process_exit_info(q, &end), 0);
		assert_int_equal(end.code, 128 + signals[i]);
		assert_int_equal(end.signal, 0);
		mproc_process_close(p);
		mproc_process_close(q);
	}
}

static int
burn(void *arg)
{
	size_t size = *(size_t *)arg;
	volatile char *memory = malloc(size);
	volatile unsigned n = 0;
	struct rusage used;

	if (!memory)
		return 1;
	for (size_t i = 0; i < size; i += 4096)
		memory[i] = 1;
	/* The kernel tells the program's time from its own by ticks, and none may have
	 * met the program. */
	do {
		while (++n % 30000000)
			continue;
		if (getrusage(RUSAGE_SELF, &used) < 0)
			return 2;
	} while (!used.ru_utime.tv_sec && !used.ru_utime.tv_usec);
	return 0;
}

static void
exit_information_tells_what_was_used(void **state)
{
	size_t size = 20 << 20;
	mproc_process *p = start_with_copy(burn, &size, sizeof(size));
	struct mproc_exit end;

	(void)state;
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_int_equal(mproc_process_exit_info(p, &end), 0);
	assert_int_equal(end.code, 0);
	assert_true(end.user_ns > 0 && end.user_ns < 60000000000);
	assert_true(end.system_ns >= 0);
	assert_true(end.max_rss >= 20 << 20);
	assert_int_equal(end.pid, mproc_process_pid(p));
	assert_string_equal(end.name, mproc_process_name(p));
	mproc_process_close(p);
}

static void
a_process_may_be_joined_any_number_of_times(void **state)
{
	mproc_process *p = start(return_it, (void *)5);
	int code;

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
		assert_int_equal(mproc_process_join(p, MPROC_NOWAIT), 0);
		assert_int_equal(mproc_process_exitcode(p, &code), 0);
		assert_int_equal(code, 5);
	}
	assert_false(mproc_process_is_alive(p));
	mproc_process_close(p);
}

static void
a_running_process_is_alive_and_not_joined(void **state)
{
	struct mpt *t = *state;
	mproc_process *p = start(wait_for_ever, t);
	struct mproc_exit end;
	int64_t began;
	int code;

	assert_true(mproc_process_is_alive(p));
	assert_int_equal(mproc_process_join(p, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_process_exit_info(p, &end), -EAGAIN);
	assert_int_equal(mproc_process_exitcode(p, &code), -EAGAIN);
	began = mproc_now();
	assert_int_equal(mproc_process_join(p, mproc_ms(20)), -ETIMEDOUT);
	assert_true(mproc_now() - began >= 20 * MS);
	assert_int_equal(mproc_process_join(p, mproc_until(began)),
			 -ETIMEDOUT);
	assert_int_equal(kill(mproc_process_pid(p), 0), 0);
	kill_and_close(p);
}

/* What a child finds out about itself, in the scratch bytes. */
struct report {
	_Atomic pid_t pid;
	_Atomic pid_t ppid;
	char name[128];
};

static int
report(void *arg)
{
	struct report *r = mpt_scratch(arg);

	r->pid = getpid();
	r->ppid = getppid();
	snprintf(r->name, sizeof(r->name), "%s", mproc_self_name());
	return 0;
}

static void
the_handle_knows_the_childs_id(void **state)
{
	struct mpt *t = *state;
	struct report *r = mpt_scratch(t);
	mproc_process *p = start(report, t);
	pid_t pid = mproc_process_pid(p);

	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_int_equal(r->pid, pid);
	assert_int_equal(r->ppid, getpid());
	assert_int_equal(mproc_process_pid(p), pid);
	mproc_process_close(p);
}

static void
a_given_name_is_copied_and_known_to_the_child(void **state)
{
	struct mpt *t = *state;
	struct report *r = mpt_scratch(t);
	char name[] = "worker of bees";
	mproc_process *p;

	assert_int_equal(mproc_process_start(
		&p, report, t, MPROC_OPTS(mproc_process_opts, .name = name)),
		0);
	memset(name, 'x', sizeof(name) - 1);
	assert_string_equal(mproc_process_name(p), "worker of bees");
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_string_equal(r->name, "worker of bees");
	assert_string_equal(mproc_process_name(p), "worker of bees");
	mproc_process_close(p);
	assert_string_equal(mproc_self_name(), "main");
}

static void
a_default_name_counts_up(void **state)
{
	struct mpt *t = *state;
	struct report *r = mpt_scratch(t);
	int first, second;
	mproc_process *p = start(report, t), *q;

	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_int_equal(sscanf(mproc_process_name(p), "process-%d", &first),
			 1);
	assert_string_equal(r->name, mproc_process_name(p));
	q = start(report, t);
	assert_int_equal(sscanf(mproc_process_name(q), "process-%d", &second),
			 1);
	assert_int_equal(second, first + 1);
	join_and_close(q);
	mproc_process_close(p);
}

static void
a_very_long_name_does_no_harm(void **state)
{
	struct mpt *t = *state;
	struct report *r = mpt_scratch(t);
	char name[1000];
	mproc_process *p;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(mproc_process_start(
		&p, report, t, MPROC_OPTS(mproc_process_opts, .name = name)),
		0);
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_string_equal(r->name, mproc_process_name(p));
	assert_int_equal(strncmp(name, r->name, strlen(r->name)), 0);
	assert_true(strlen(r->name) > 30);
	mproc_process_close(p);
}

static void
the_descriptor_becomes_readable_at_the_end(void **state)
{
	struct mpt *t = *state;
	mproc_process *p = start(wait_for_ever, t);
	struct pollfd pfd = { .fd = mproc_process_fd(p), .events = POLLIN };

	if (mpt_without("pidfd")) {
		assert_int_equal(pfd.fd, -ENOSYS);
		assert_true(detail_has("pidfd"));
		kill_and_close(p);
		return;
	}
	assert_true(pfd.fd >= 0);
	assert_int_equal(fcntl(pfd.fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(poll(&pfd, 1, 0), 0);
	assert_int_equal(mproc_process_kill(p), 0);
	assert_int_equal(poll(&pfd, 1, -1), 1);
	assert_true(pfd.revents & POLLIN);
	assert_int_equal(mproc_process_join(p, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_process_fd(p), pfd.fd);
	mproc_process_close(p);
	assert_int_equal(fcntl(pfd.fd, F_GETFD), -1);
}

static void
bad_arguments_start_nothing(void **state)
{
	struct newer {
		struct mproc_process_opts o;
		uint64_t unknown;
	} newer = { { .struct_size = sizeof(newer) }, 1 };
	struct mproc_process_opts bad = { 0 };
	mproc_process *p = (mproc_process *)&bad;

	(void)state;
	assert_int_equal(mproc_process_start(NULL, return_it, NULL, NULL),
			 -EINVAL);
	assert_true(detail_has("ret_p"));
	assert_int_equal(mproc_process_start(&p, NULL, NULL, NULL), -EINVAL);
	assert_true(detail_has("fn"));
	assert_int_equal(mproc_process_start(&p, return_it, NULL, &bad),
			 -EINVAL);
	assert_int_equal(mproc_process_start(&p, return_it, NULL, &newer.o),
			 -E2BIG);
	assert_ptr_equal(p, &bad);
	newer.unknown = 0;
	assert_int_equal(mproc_process_start(&p, return_it, NULL, &newer.o), 0);
	join_and_close(p);
}

static void
null_is_no_process(void **state)
{
	mproc_process *p = start(return_it, NULL);
	struct mproc_exit end;
	int code;

	(void)state;
	assert_int_equal(mproc_process_join(NULL, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_process_exit_info(NULL, &end), -EINVAL);
	assert_int_equal(mproc_process_exitcode(NULL, &code), -EINVAL);
	assert_int_equal(mproc_process_fd(NULL), -EINVAL);
	assert_int_equal(mproc_process_terminate(NULL), -EINVAL);
	assert_int_equal(mproc_process_kill(NULL), -EINVAL);
	assert_int_equal(mproc_process_stop(NULL, MPROC_NOWAIT), -EINVAL);
	assert_false(mproc_process_is_alive(NULL));
	assert_int_equal(mproc_process_pid(NULL), 0);
	assert_null(mproc_process_name(NULL));
	mproc_process_close(NULL);

	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_int_equal(mproc_process_exit_info(p, NULL), -EINVAL);
	assert_int_equal(mproc_process_exitcode(p, NULL), -EINVAL);
	mproc_process_close(p);
}

static void
a_missing_result_is_invalid_while_it_runs_too(void **state)
{
	struct mpt *t = *state;
	mproc_process *p = start(wait_for_ever, t);

	assert_int_equal(mproc_process_exit_info(p, NULL), -EINVAL);
	assert_int_equal(mproc_process_exitcode(p, NULL), -EINVAL);
	kill_and_close(p);
}

/* In a forked child, a handle of its parent's. */
static int
use_parents_handle(struct mpt *t, void *arg)
{
	mproc_process *p = arg;
	unsigned fds = mpt_fd_count();
	struct mproc_exit end;
	int code;

	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), -ECHILD);
	mpt_check(t, detail_has("another process"));
	mpt_check_int(t, mproc_process_exit_info(p, &end), -ECHILD);
	mpt_check_int(t, mproc_process_exitcode(p, &code), -ECHILD);
	mpt_check_int(t, mproc_process_fd(p), -ECHILD);
	mpt_check_int(t, mproc_process_terminate(p), -ECHILD);
	mpt_check_int(t, mproc_process_kill(p), -ECHILD);
	mpt_check_int(t, mproc_process_stop(p, MPROC_NOWAIT), -ECHILD);
	mpt_check(t, !mproc_process_is_alive(p));
	mpt_check_int(t, mproc_process_pid(p), 0);
	mpt_check(t, !mproc_process_name(p));
	mproc_process_close(p);
	mpt_check_int(t, mpt_fd_count(), mpt_without("pidfd") ? fds : fds - 1);
	return 0;
}

static void
a_handle_does_nothing_in_a_forked_child(void **state)
{
	struct mpt *t = *state;
	mproc_process *p = start(wait_for_ever, t);

	mpt_expect_exit(t, mpt_fork(t, "child", use_parents_handle, p), 0);
	assert_true(mproc_process_is_alive(p));
	kill_and_close(p);
}

static int
start_a_grandchild(void *t)
{
	mproc_process *p;
	int code = 99;

	mpt_check_int(t, mproc_process_start(&p, return_it, (void *)6, NULL),
		      0);
	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_process_exitcode(p, &code), 0);
	mproc_process_close(p);
	return code + 1;
}

static void
a_child_starts_children_of_its_own(void **state)
{
	mproc_process *p = start(start_a_grandchild, *state);
	int code;

	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_int_equal(mproc_process_exitcode(p, &code), 0);
	assert_int_equal(code, 7);
	mproc_process_close(p);
}

/* Whether there is one that nobody has reaped, running or not. */
static bool
any_child(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void
many_in_turn_leave_no_descriptor(void **state)
{
	struct mproc_arena_stat before;
	unsigned fds;

	/* Another one comes with the first start that needs it. */
	assert_int_equal(mproc_forkserver_stop(), 0);
	fds = mpt_fd_count();
	before = stat_now();
	for (int i = 0; i < 200; i++) {
		mproc_process *p = start(return_it, (void *)(intptr_t)i);

		if (i % 2)
			assert_int_equal(mproc_process_join(p, MPROC_FOREVER),
					 0);
		mproc_process_close(p); /* some while they run */
	}
	/* The next one started looks after those that were closed. Without
	 * pidfds their descriptors do not tell whether all have ended. */
	mpt_until(*state, (join_and_close(start(return_it, NULL)),
			   mproc_forkserver_stop(),
			   mpt_fd_count() == fds && !any_child()));
	expect_stat(&before);
}

static void
many_at_once_are_kept_apart(void **state)
{
	mproc_process *p[50];
	int code;

	(void)state;
	for (int i = 0; i < 50; i++)
		p[i] = start(return_it, (void *)(intptr_t)i);
	for (int i = 49; i >= 0; i--) {
		assert_int_equal(mproc_process_join(p[i], MPROC_FOREVER), 0);
		assert_int_equal(mproc_process_exitcode(p[i], &code), 0);
		assert_int_equal(code, i);
		mproc_process_close(p[i]);
	}
}

struct same {
	mproc_process *p;
	_Atomic unsigned waiting;
};

static int
join_the_same(struct mpt *t, void *arg)
{
	struct same *same = arg;
	int code;

	same->waiting++;
	mpt_check_int(t, mproc_process_join(same->p, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_process_exitcode(same->p, &code), 0);
	mpt_check_int(t, code, 9);
	return 0;
}

static int
return_nine_later(void *t)
{
	mpt_reach(t, 1);
	return 9;
}

static void
two_threads_join_the_same_child(void **state)
{
	struct mpt *t = *state;
	struct same same = { start(return_nine_later, t), 0 };

	mpt_use_threads(t, true);
	for (int i = 0; i < 2; i++)
		mpt_spawn(t, "joiner", join_the_same, &same);
	mpt_until(t, same.waiting == 2);
	mpt_step(t, 0);
	mpt_join_all(t);
	mproc_process_close(same.p);
}

/* Who was closed before anybody had joined it. */
static struct {
	_Atomic unsigned n;
	_Atomic pid_t pids[4096];
} closed;

static bool
are_reaped(void)
{
	for (unsigned i = 0; i < closed.n; i++)
		if (kill(closed.pids[i], 0) == 0)
			return false;
	return true;
}

static int
start_some(struct mpt *t, void *arg)
{
	int code;

	(void)arg;
	for (unsigned i = amount(50); i; i--) {
		mproc_process *p;

		mpt_check_int(t, mproc_process_start(&p, return_it, (void *)3,
						     NULL), 0);
		if (i % 4 == 0) {
			closed.pids[closed.n++] = mproc_process_pid(p);
			mproc_process_close(p);
			continue;
		}
		mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
		mpt_check_int(t, mproc_process_exitcode(p, &code), 0);
		mpt_check_int(t, code, 3);
		mproc_process_close(p);
	}
	return 0;
}

static void
several_threads_start_and_join_at_once(void **state)
{
	struct mpt *t = *state;
	unsigned fds = mpt_fd_count();

	mpt_use_threads(t, true);
	for (int i = 0; i < 3; i++)
		mpt_spawn(t, "starter", start_some, NULL);
	mpt_join_all(t);
	/* By the next start; descriptors they may have had none. */
	mpt_until(t, (join_and_close(start(return_it, NULL)),
		      are_reaped() && mpt_fd_count() == fds));
}

static int
start_without_descriptors(struct mpt *t, void *arg)
{
	unsigned fds = mpt_fd_count();
	struct rlimit limit, none;
	mproc_process *p = NULL;

	(void)arg;
	mpt_check_int(t, getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	mpt_check_int(t, setrlimit(RLIMIT_NOFILE, &none), 0);
	if (mpt_without("pidfd")) {
		/* Then none is needed. */
		mpt_check_int(t, mproc_process_start(&p, return_it, NULL,
						     NULL), 0);
		mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
		mproc_process_close(p);
		p = NULL;
	} else {
		mpt_check_int(t, mproc_process_start(&p, return_it, NULL,
						     NULL), -EMFILE);
	}
	mpt_check(t, !p);
	mpt_check_int(t, setrlimit(RLIMIT_NOFILE, &limit), 0);
	mpt_check_int(t, waitpid(-1, NULL, WNOHANG), -1);
	mpt_check_int(t, errno, ECHILD);
	mpt_check_int(t, mpt_fd_count(), fds);
	mpt_check_int(t, mproc_process_start(&p, return_it, NULL, NULL), 0);
	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mproc_process_close(p);
	return 0;
}

static void
without_a_descriptor_nothing_is_started(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "poor", start_without_descriptors,
				     NULL), 0);
}

static int
start_beyond_the_limit(struct mpt *t, void *arg)
{
	struct rlimit limit = { 0, 0 };
	mproc_process *p = NULL;

	(void)arg;
	mpt_check_int(t, setrlimit(RLIMIT_NPROC, &limit), 0);
	/* The limit is not for the superuser. */
	if (geteuid() == 0)
		mpt_check_int(t, setresuid(65534, 65534, 65534), 0);
	mpt_check_int(t, mproc_process_start(&p, return_it, NULL, NULL),
		      -EAGAIN);
	mpt_check(t, !p);
	return 0;
}

static void
the_limit_on_processes_is_an_error(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "limited", start_beyond_the_limit,
				     NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(every_exit_code_comes_through),
		mpt_test(only_the_low_eight_bits_count),
		mpt_test(exit_inside_the_entry_is_an_exit_code_too),
		mpt_test(a_signal_is_kept_apart_from_an_exit_code),
		mpt_test(exit_information_tells_what_was_used),
		mpt_test(a_process_may_be_joined_any_number_of_times),
		mpt_test(a_running_process_is_alive_and_not_joined),
		mpt_test(the_handle_knows_the_childs_id),
		mpt_test(a_given_name_is_copied_and_known_to_the_child),
		mpt_test(a_default_name_counts_up),
		mpt_test(a_very_long_name_does_no_harm),
		mpt_test(the_descriptor_becomes_readable_at_the_end),
		mpt_test(bad_arguments_start_nothing),
		mpt_test(null_is_no_process),
		mpt_test(a_missing_result_is_invalid_while_it_runs_too),
		mpt_test(a_handle_does_nothing_in_a_forked_child),
		mpt_test(a_child_starts_children_of_its_own),
		mpt_test(many_in_turn_leave_no_descriptor),
		mpt_test(many_at_once_are_kept_apart),
		mpt_test(two_threads_join_the_same_child),
		mpt_test(several_threads_start_and_join_at_once),
		mpt_test(without_a_descriptor_nothing_is_started),
		mpt_test(the_limit_on_processes_is_an_error),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
