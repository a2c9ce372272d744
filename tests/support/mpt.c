/* SPDX-License-Identifier: MIT */
/*
 * Scenarios: start and end of a test, its roles, and how they wait for each
 * other.
 *
 * Everything the roles tell each other lies in one page range made by the test
 * before it forks: a slot for each role, the step counter, the scratch bytes.
 * The words on which the test itself acts (who is reaped, who is a thread) are
 * private to it, so that a role gone wild cannot make it kill a stranger.
 *
 * A failed check writes its text in the slot of the role, counts a failure and
 * ends the role. Whoever waits, in the test or in another role, looks at that
 * count between two looks at its own condition, and gives up: a scenario fails
 * at once, with the first reason, and not by its watchdog. This is why all
 * waiting here is polling: yields at first, then a millisecond in the kernel.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mpt_priv.h"

enum {
	WATCHDOG = 20,		/* seconds */
	YIELDS = 64,		/* before waiting in the kernel */
	NOBODY = -1,
};

/* Slot of the calling thread, if it is a role. */
static _Thread_local int thread_slot = NOBODY;

/* Slot of this process, if it is a role; its own forks inherit it. */
static int process_slot = NOBODY;

static long futex(_Atomic(uint32_t) *word, int op, uint32_t value,
		  const struct timespec *timeout)
{
	return syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

void mpt_nap(unsigned ms)
{
	/* ThreadSanitizer lets signal handlers, the watchdog's, run here. */
	poll(NULL, 0, (int)ms);
}

static bool is_test(struct mpt *t)
{
	return getpid() == t->pid && gettid() == t->tid;
}

static unsigned my_slot(struct mpt *t)
{
	if (thread_slot != NOBODY)
		return (unsigned)thread_slot;
	if (process_slot != NOBODY)
		return (unsigned)process_slot;
	return is_test(t) ? MPT_SLOT_TEST : MPT_SLOT_STRAY;
}

/* Ends the calling role; its report, if any, is written. */
static _Noreturn void end_role(struct mpt *t)
{
	if (getpid() != t->pid)
		mpt_child_end(MPT_FAILED);
	pthread_exit((void *)(intptr_t)MPT_FAILED);
}

static _Noreturn void fail_test(const char *file, int line)
{
	_fail(file, line);
	abort();
}

/* Called when somebody else has failed. */
static _Noreturn void give_up(struct mpt *t)
{
	const char *text;
	unsigned i;

	if (!is_test(t))
		end_role(t);
	for (i = 0; i < MPT_SLOTS; i++) {
		text = mpt_report(t, i);
		if (text == NULL)
			continue;
		fprintf(stderr, "mpt: role \"%s\": %s\n",
			t->shared->slots[i].role, text);
		atomic_store(&t->shared->slots[i].reported, MPT_SHOWN);
	}
	fail_test(__FILE__, __LINE__);
}

static void note_wait(struct mpt *t, const char *what)
{
	atomic_store(&t->shared->slots[my_slot(t)].waits,
		     mpt_method_literal(t, what));
}

void mpt_linger(struct mpt *t, const char *what, unsigned tries)
{
	note_wait(t, what);
	if (atomic_load(&t->shared->failures) != 0)
		give_up(t);
	if (tries < YIELDS)
		sched_yield();
	else
		mpt_nap(1);
}

void mpt_reach(struct mpt *t, unsigned n)
{
	struct timespec ts = { .tv_nsec = 10000000 };
	_Atomic(uint32_t) *step = &t->shared->step;
	uint32_t now;

	note_wait(t, "a step");
	while ((now = atomic_load(step)) < n) {
		if (atomic_load(&t->shared->failures) != 0)
			give_up(t);
		futex(step, FUTEX_WAIT, now, &ts);
	}
}

void mpt_step(struct mpt *t, unsigned n)
{
	uint32_t expected = n;

	mpt_reach(t, n);
	if (!atomic_compare_exchange_strong(&t->shared->step, &expected, n + 1))
		mpt_fail(t, __FILE__, __LINE__, "step %u is taken twice", n);
	futex(&t->shared->step, FUTEX_WAKE, INT_MAX, NULL);
}

const char *mpt_report(struct mpt *t, unsigned slot)
{
	struct mpt_slot *s = &t->shared->slots[slot];

	return atomic_load(&s->reported) >= MPT_WRITTEN ? s->text : NULL;
}

_Noreturn void mpt_fail(struct mpt *t, const char *file, int line,
			const char *format, ...)
{
	struct mpt_slot *s = &t->shared->slots[my_slot(t)];
	unsigned expected = MPT_NO_REPORT;
	char text[sizeof(s->text)];
	va_list ap;
	int len;

	len = snprintf(text, sizeof(text), "%.160s:%d: ", file, line);
	va_start(ap, format);
	vsnprintf(text + len, sizeof(text) - (size_t)len, format, ap);
	va_end(ap);

	if (is_test(t)) {
		fprintf(stderr, "mpt: %s\n", text);
		fail_test(file, line);
	}

	/* Of several threads of one role the first one is heard. */
	if (atomic_compare_exchange_strong(&s->reported, &expected,
					   MPT_WRITING)) {
		memcpy(s->text, text, sizeof(text));
		atomic_store(&s->reported, MPT_WRITTEN);
		atomic_fetch_add(&t->shared->failures, 1);
	}
	end_role(t);
}

/*
 * cmocka catches these signals and jumps back into its runner: in a child that
 * is the wrong runner, and in a thread the wrong stack.
 */
static void uncatch_crashes(void)
{
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE,
				       SIGSYS };
	size_t i;

	for (i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		signal(crashes[i], SIG_DFL);
}

void mpt_child_begin(struct mpt *t, unsigned slot)
{
	struct mpt_slot *s = &t->shared->slots[slot];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != t->pid)
		_exit(MPT_FAILED);
	signal(SIGALRM, SIG_DFL);
	uncatch_crashes();
	process_slot = (int)slot;
	atomic_store(&s->pid, getpid());
	dup2(STDERR_FILENO, STDOUT_FILENO);
}

_Noreturn void mpt_child_end(int code)
{
	fflush(stdout);
	fflush(stderr);
	/* A code like 256 must not look like success. */
	_exit(code != 0 && (code & 0xff) == 0 ? 1 : code);
}

static void mark_ended(void *arg)
{
	struct mpt_slot *s = arg;

	atomic_store(&s->ended, 1);
}

static void *thread_main(void *arg)
{
	struct mpt_role *role = arg;
	struct mpt_slot *s = &role->t->shared->slots[role->id];
	int r;

	thread_slot = role->id;
	atomic_store(&s->pid, gettid());
	pthread_cleanup_push(mark_ended, s);
	r = role->fn(role->t, role->arg);
	pthread_cleanup_pop(1);
	return (void *)(intptr_t)r;
}

static void spawn_thread(struct mpt *t, struct mpt_role *role)
{
	int r;

	role->is_thread = true;
	r = pthread_create(&role->thread, NULL, thread_main, role);
	if (r != 0) {
		role->done = true;
		mpt_fail(t, __FILE__, __LINE__, "pthread_create: %s",
			 strerror(r));
	}
	mpt_until(t, mpt_pid(t, role->id) != 0);
}

static pid_t fork_process(struct mpt *t, struct mpt_role *role)
{
	pid_t pid;

	fflush(stdout);
	fflush(stderr);
	pid = fork();
	if (pid < 0) {
		role->done = true;
		mpt_fail(t, __FILE__, __LINE__, "fork: %s", strerror(errno));
	}
	if (pid == 0) {
		mpt_child_begin(t, (unsigned)role->id);
		mpt_child_end(role->fn(t, role->arg));
	}
	return pid;
}

#ifdef __SANITIZE_ADDRESS__
/* The sanitizer's allocator has locks that a fork copies as they are: a child would
 * wait for a thread that it does not have. So threads are to sleep when it comes;
 * those that never do are the test's, which has to know what it does. */
static void await_threads(void)
{
	for (int tries = 100; tries > 0 && mpt_threads_run(); tries--)
		mpt_nap(1);
}
#else
static void await_threads(void)
{
}
#endif

static void spawn_process(struct mpt *t, struct mpt_role *role)
{
	struct mpt_slot *s = &t->shared->slots[role->id];
	pid_t pid = 0;

	await_threads();
	if (role->is_copy)
		mpt_method_copied();
	else
		pid = mpt_method_start(t, role, s->role);
	atomic_store(&s->pid, pid != 0 ? pid : fork_process(t, role));
}

static void name_slot(struct mpt *t, unsigned slot, const char *name)
{
	struct mpt_slot *s = &t->shared->slots[slot];

	snprintf(s->role, sizeof(s->role), "%s", name);
}

static int add_role(struct mpt *t, const char *role, mpt_fn *fn, void *arg,
		    bool is_copy)
{
	struct mpt_role *new;

	if (!is_test(t))
		mpt_fail(t, __FILE__, __LINE__, "only the test spawns roles");
	if (t->n_roles == MPT_ROLES)
		mpt_fail(t, __FILE__, __LINE__, "more than %d roles",
			 MPT_ROLES);

	new = &t->roles[t->n_roles];
	*new = (struct mpt_role){
		.t = t,
		.fn = fn,
		.arg = arg,
		.id = (int)t->n_roles,
		.is_copy = is_copy,
	};
	name_slot(t, t->n_roles, role);
	t->n_roles++;
	if (t->threads)
		spawn_thread(t, new);
	else
		spawn_process(t, new);
	return new->id;
}

int mpt_spawn(struct mpt *t, const char *role, mpt_fn *fn, void *arg)
{
	return add_role(t, role, fn, arg, false);
}

int mpt_fork(struct mpt *t, const char *role, mpt_fn *fn, void *arg)
{
	return add_role(t, role, fn, arg, true);
}

void mpt_use_threads(struct mpt *t, bool on)
{
	t->threads = on;
	if (on)
		uncatch_crashes();
}

pid_t mpt_pid(struct mpt *t, int id)
{
	if (id < 0 || id >= MPT_ROLES)
		mpt_fail(t, __FILE__, __LINE__, "no role %d", id);
	return atomic_load(&t->shared->slots[id].pid);
}

static const char *name_of(struct mpt *t, const struct mpt_role *role)
{
	return t->shared->slots[role->id].role;
}

/* A role that the test has not waited for yet. */
static struct mpt_role *find_role(struct mpt *t, int id)
{
	if (!is_test(t))
		mpt_fail(t, __FILE__, __LINE__, "only the test handles roles");
	if (id < 0 || (unsigned)id >= t->n_roles)
		mpt_fail(t, __FILE__, __LINE__, "no role %d", id);
	if (t->roles[id].done)
		mpt_fail(t, __FILE__, __LINE__,
			 "role \"%s\" was already waited for",
			 name_of(t, &t->roles[id]));
	return &t->roles[id];
}

static struct mpt_role *find_process(struct mpt *t, int id)
{
	struct mpt_role *role = find_role(t, id);

	if (role->is_thread)
		mpt_fail(t, __FILE__, __LINE__, "role \"%s\" is a thread",
			 name_of(t, role));
	return role;
}

/* Waits for the end of a role; a thread's result looks like an exit code. */
static int await_end(struct mpt *t, struct mpt_role *role)
{
	struct mpt_slot *s = &t->shared->slots[role->id];
	unsigned tries;
	void *result;
	int status;
	pid_t r;

	if (role->is_thread) {
		mpt_until(t, atomic_load(&s->ended) != 0);
		pthread_join(role->thread, &result);
		role->done = true;
		return ((int)(intptr_t)result & 0xff) << 8;
	}

	for (tries = 0;; tries++) {
		r = waitpid(mpt_pid(t, role->id), &status, WNOHANG);
		if (r > 0)
			break;
		if (r < 0 && errno != EINTR) {
			role->done = true;
			mpt_fail(t, __FILE__, __LINE__,
				 "role \"%s\" was reaped by somebody else",
				 name_of(t, role));
		}
		mpt_linger(t, name_of(t, role), tries);
	}
	role->done = true;
	return status;
}

const char *mpt_end_text(char buf[64], int status)
{
	if (WIFSIGNALED(status))
		snprintf(buf, 64, "signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(buf, 64, "exit code %d", WEXITSTATUS(status));
	return buf;
}

static _Noreturn void fail_end(struct mpt *t, struct mpt_role *role, int status,
			       const char *expected, const char *file, int line)
{
	const char *text = mpt_report(t, (unsigned)role->id);
	char buf[64];

	if (text != NULL)
		atomic_store(&t->shared->slots[role->id].reported, MPT_SHOWN);
	mpt_fail(t, file, line, "role \"%s\" ended by %s, not %s%s%s",
		 name_of(t, role), mpt_end_text(buf, status), expected,
		 text != NULL ? ": " : "", text != NULL ? text : "");
}

void mpt_expect_exit_at(struct mpt *t, int id, int code, const char *file,
			int line)
{
	struct mpt_role *role = find_role(t, id);
	int status = await_end(t, role);
	char expected[32];

	if (WIFEXITED(status) && WEXITSTATUS(status) == code &&
	    mpt_report(t, (unsigned)id) == NULL)
		return;
	if (WIFEXITED(status) && WEXITSTATUS(status) == MPT_REFUSED)
		skip();
	snprintf(expected, sizeof(expected), "exit code %d", code);
	fail_end(t, role, status, expected, file, line);
}

void mpt_expect_signal_at(struct mpt *t, int id, int sig, const char *file,
			  int line)
{
	struct mpt_role *role = find_process(t, id);
	int status = await_end(t, role);
	char expected[32];

	if (WIFSIGNALED(status) && WTERMSIG(status) == sig)
		return;
	snprintf(expected, sizeof(expected), "signal %d", sig);
	fail_end(t, role, status, expected, file, line);
}

void mpt_join_all_at(struct mpt *t, const char *file, int line)
{
	unsigned i;

	for (i = 0; i < t->n_roles; i++)
		if (!t->roles[i].done)
			mpt_expect_exit_at(t, (int)i, 0, file, line);
}

void mpt_slay(pid_t pid)
{
	siginfo_t info;

	kill(pid, SIGKILL);
	while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0 &&
	       errno == EINTR)
		;
}

void mpt_kill(struct mpt *t, int id)
{
	struct mpt_role *role = find_process(t, id);
	int status;

	mpt_slay(mpt_pid(t, id));
	status = await_end(t, role);
	if (WIFSIGNALED(status) ? WTERMSIG(status) != SIGKILL
				: WEXITSTATUS(status) != 0)
		fail_end(t, role, status, "signal 9", __FILE__, __LINE__);
}

void mpt_kill_unreaped(struct mpt *t, int id)
{
	struct mpt_role *role = find_process(t, id);

	mpt_slay(mpt_pid(t, id));
	role->killed = true;
}

/*
 * Takes the event @code of a process from the kernel. The event is taken, so
 * that the library under test, which also waits for children, never sees it;
 * an end of the process is left where it is.
 */
static void await_event(struct mpt *t, struct mpt_role *role, int options,
			int code)
{
	id_t pid = (id_t)mpt_pid(t, role->id);
	siginfo_t info = { 0 };
	unsigned tries = 0;

	for (;;) {
		info.si_pid = 0;
		if (waitid(P_PID, pid, &info, options | WEXITED | WNOHANG |
			   WNOWAIT) < 0 && errno != EINTR)
			break;
		if (info.si_pid != 0)
			break;
		mpt_linger(t, name_of(t, role), tries++);
	}
	if (info.si_pid == 0 || info.si_code != code)
		mpt_fail(t, __FILE__, __LINE__,
			 "role \"%s\" ended instead of %s", name_of(t, role),
			 code == CLD_STOPPED ? "stopping" : "going on");
	waitid(P_PID, pid, &info, options | WNOHANG);
}

void mpt_pause(struct mpt *t, int id)
{
	struct mpt_role *role = find_process(t, id);

	kill(mpt_pid(t, id), SIGSTOP);
	await_event(t, role, WSTOPPED, CLD_STOPPED);
	role->paused = true;
}

void mpt_resume(struct mpt *t, int id)
{
	struct mpt_role *role = find_process(t, id);

	if (!role->paused)
		mpt_fail(t, __FILE__, __LINE__, "role \"%s\" is not paused",
			 name_of(t, role));
	role->paused = false;
	kill(mpt_pid(t, id), SIGCONT);

	/*
	 * The kernel notes the event before kill() returns; it is taken for
	 * the reason given above.
	 */
	waitid(P_PID, (id_t)mpt_pid(t, id), &(siginfo_t){ 0 },
	       WCONTINUED | WNOHANG);
}

static bool is_role(struct mpt *t, pid_t pid)
{
	unsigned i;

	for (i = 0; i < t->n_roles; i++)
		if (!t->roles[i].done && mpt_pid(t, (int)i) == pid)
			return true;
	return pid == t->victim;
}

unsigned mpt_reap_orphans(struct mpt *t)
{
	unsigned i, n, tries, found, total = 0;
	pid_t pids[2 * MPT_ROLES];

	do {
		found = 0;
		mpt_method_end_servers();
		n = mpt_children(pids, 2 * MPT_ROLES);
		for (i = 0; i < n; i++) {
			if (is_role(t, pids[i]) ||
			    mpt_leak_has_child(&t->before, pids[i]))
				continue;
			/* An orphan, too, and since the look for servers. */
			total += !mpt_method_is_server(pids[i]);
			tries = 0;
			while (waitpid(pids[i], NULL, WNOHANG) == 0)
				mpt_linger(t, "the end of an orphan", tries++);
			found++;
		}
	} while (found > 0);
	return total;
}

void *mpt_scratch(struct mpt *t)
{
	return t->shared->scratch;
}

const char *mpt_name(struct mpt *t, char buf[64], const char *what)
{
	snprintf(buf, 64, "/mpt-%d-%s", t->pid, what);
	return buf;
}

uint64_t mpt_seed(void)
{
	static bool is_known;
	static uint64_t seed;
	const char *s;

	if (is_known)
		return seed;
	s = getenv("MPT_SEED");
	if (s != NULL)
		seed = strtoull(s, NULL, 0);
	else if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		abort();
	is_known = true;
	print_message("# seed 0x%" PRIx64 "\n", seed);
	return seed;
}

int mpt_setup(void **state)
{
	const char *name = *state;
	struct mpt *t;
	int subreaper = 0;

	t = mpt_method_make();
	if (t == NULL) {
		fprintf(stderr, "mpt: no memory for a scenario\n");
		return -1;
	}
	t->name = name != NULL ? name : program_invocation_short_name;
	t->pid = getpid();
	t->tid = gettid();

	atomic_store(&t->shared->slots[MPT_SLOT_TEST].pid, t->pid);
	name_slot(t, MPT_SLOT_TEST, "the test itself");
	name_slot(t, MPT_SLOT_VICTIM, "victim");
	name_slot(t, MPT_SLOT_STRAY, "not spawned by the test");

	prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
	t->was_subreaper = subreaper != 0;
	prctl(PR_SET_CHILD_SUBREAPER, 1);

	mpt_leak_take(&t->before);
	mpt_watchdog(t, WATCHDOG);
	*state = t;
	return mpt_method_begin();
}

void mpt_rebase(struct mpt *t)
{
	mpt_method_end_servers();
	mpt_leak_take(&t->before);
	mpt_check_int(t, mpt_method_begin(), 0);
}

/* Ends a role nobody waited for. Returns 1 if it had failed by itself. */
static unsigned finish_role(struct mpt *t, struct mpt_role *role)
{
	pid_t pid = mpt_pid(t, role->id);
	int status = 0;
	char buf[64];
	void *result;
	pid_t r;

	if (role->is_thread) {
		pthread_join(role->thread, &result);
		status = ((int)(intptr_t)result & 0xff) << 8;
		/* It gave up because the scenario is over: no failure. */
		if (WEXITSTATUS(status) == MPT_FAILED)
			status = 0;
	} else {
		do {
			r = waitpid(pid, &status, WNOHANG);
		} while (r < 0 && errno == EINTR);
		if (r == 0) {
			/* It may still end by itself just now. */
			role->killed = true;
			mpt_slay(pid);
			waitpid(pid, &status, 0);
		}
		if (role->killed && WIFSIGNALED(status) &&
		    WTERMSIG(status) == SIGKILL)
			status = 0;
	}
	role->done = true;

	/* A failed check is reported by the caller, for all slots alike. */
	if (status == 0 || mpt_report(t, (unsigned)role->id) != NULL)
		return 0;
	fprintf(stderr, "mpt: role \"%s\" ended by %s\n", name_of(t, role),
		mpt_end_text(buf, status));
	return 1;
}

static unsigned finish_kind(struct mpt *t, bool threads)
{
	unsigned i, bad = 0;

	for (i = 0; i < t->n_roles; i++)
		if (!t->roles[i].done && t->roles[i].is_thread == threads)
			bad += finish_role(t, &t->roles[i]);
	return bad;
}

static unsigned finish_roles(struct mpt *t)
{
	unsigned i, bad = finish_kind(t, false);
	struct mpt_slot *s;

	/* Threads cannot be killed: this makes those that wait give up. Processes
	 * are gone by now, or one of them would have given up with a code. */
	atomic_fetch_add(&t->shared->failures, 1);
	bad += finish_kind(t, true);
	if (t->victim > 0) {
		mpt_slay(t->victim);
		waitpid(t->victim, NULL, 0);
	}
	for (i = 0; i < MPT_SLOTS; i++) {
		s = &t->shared->slots[i];
		if (atomic_load(&s->reported) != MPT_WRITTEN)
			continue;
		fprintf(stderr, "mpt: role \"%s\": %s\n", s->role, s->text);
		bad++;
	}
	return bad;
}

int mpt_teardown(void **state)
{
	struct mpt *t = *state;
	unsigned bad;

	if (t->note[0] != '\0')
		fprintf(stderr, "mpt: the test ended in %s\n", t->note);
	bad = finish_roles(t);
	mpt_method_end(t);
	mpt_watch_stop();
	mpt_method_unshare(t);
	mpt_stepper_free(t);
	mpt_others_free(t->others);
	mpt_remains_free(t->remains);

	bad += mpt_leak_report(&t->before);
	mpt_leak_drop(&t->before);
	prctl(PR_SET_CHILD_SUBREAPER, t->was_subreaper ? 1 : 0);
	if (bad > 0)
		fprintf(stderr, "mpt: %s: %u failures at the end\n", t->name,
			bad);
	mpt_method_free(t);
	*state = NULL;
	return bad > 0 ? -1 : 0;
}
