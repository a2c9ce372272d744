/* SPDX-License-Identifier: MIT */
/*
 * The single-step killer tests itself, on operations of which every
 * intermediate state is known: two words that are written one after the other.
 */
#include <elf.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mpt.h"
#include "mpt_self.h"
#include "mpt_step.h"
#include "mpt_step_arch.h"

/* The scratch bytes as victims and survivors use them. */
struct board {
	_Atomic(uint32_t) first, second;
	_Atomic(uint32_t) never_woken;
};

static void write_a_pair(void *arg)
{
	struct board *b = arg;

	mpt_step_begin();
	atomic_store_explicit(&b->first, 1, memory_order_relaxed);
	atomic_store_explicit(&b->second, 1, memory_order_release);
	mpt_step_end();
}

static void abort_halfway(void *arg)
{
	(void)arg;
	mpt_step_begin();
	abort();
}

static void forbid_torn_pairs(void *arg, pid_t victim, unsigned long n,
			      bool finished)
{
	struct board *b = arg;

	(void)victim;
	(void)n;
	(void)finished;
	assert_int_equal(b->first, b->second);
}

static void clear_the_pair(void *arg)
{
	struct board *b = arg;

	atomic_store(&b->first, 0);
	atomic_store(&b->second, 0);
}

/* Inner scenarios: each fails, in a second instance of this program. */

static void inner_torn_pair(void **state)
{
	const struct mpt_stepper_opts o = {
		.name = "pair",
		.victim = write_a_pair,
		.before = clear_the_pair,
		.survivor = forbid_torn_pairs,
		.arg = mpt_scratch(*state),
	};

	mpt_stepper_run(*state, &o, NULL);
}

static void inner_victim_aborts(void **state)
{
	const struct mpt_stepper_opts o = {
		.name = "abort",
		.victim = abort_halfway,
		.survivor = forbid_torn_pairs,
		.arg = mpt_scratch(*state),
	};

	mpt_stepper_run(*state, &o, NULL);
}

static void inner_no_ptrace(void **state)
{
	struct sock_filter deny[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {
		.len = sizeof(deny) / sizeof(deny[0]),
		.filter = deny,
	};

	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program),
			 0);
	inner_torn_pair(state);
}

static const struct CMUnitTest inner_tests[] = {
	mpt_test(inner_torn_pair),
	mpt_test(inner_victim_aborts),
	mpt_test(inner_no_ptrace),
};

static void a_failed_kill_names_the_instruction(void **state)
{
	(void)state;
	mpt_self_fails("inner_torn_pair", "the test ended in step pair: ",
		       "victim killed after ");
	mpt_self_fails("inner_victim_aborts", "the victim ended by signal 6",
		       "step abort");
	mpt_self_fails("inner_no_ptrace", "ptrace is not permitted here",
		       "step pair");
}

/* What the survivors of one run have seen. */
static struct {
	struct board *b;
	struct mpt *t;
	unsigned long expected, last;
	unsigned calls, finished, torn, empty;
	unsigned dry_runs;
	bool zombies, contiguous;
	uint64_t history;	/* hash of what each survivor found */
} seen;

static unsigned n_loops;	/* length of store_late() */

static void see_begin(struct mpt *t)
{
	memset(&seen, 0, sizeof(seen));
	seen.t = t;
	seen.b = mpt_scratch(t);
	seen.contiguous = true;
	seen.dry_runs = 2;
}

static void see(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct board *b = arg;

	mpt_check_int(seen.t, mpt_task_state(victim), seen.zombies ? 'Z' : 0);
	/* The first calls are the dry runs', at the end of the operation. */
	if (seen.calls++ >= seen.dry_runs && n != seen.expected++)
		seen.contiguous = false;
	seen.last = n;
	seen.finished += finished;
	seen.empty += b->first == 0 && b->second == 0;
	seen.torn += b->first == 1 && b->second == 0;
	assert_false(b->first == 0 && b->second == 1);
	if (finished)
		assert_int_equal(b->second, 1);
}

static uint64_t hash_the_pair(void *arg)
{
	struct board *b = arg;

	return b->first | (uint64_t)b->second << 32;
}

static void every_instruction_is_a_place_to_die(void **state)
{
	struct mpt_stepper_result r;
	struct mpt_stepper_opts o = {
		.name = "pair",
		.victim = write_a_pair,
		.before = clear_the_pair,
		.survivor = see,
		.fingerprint = hash_the_pair,
	};

	see_begin(*state);
	o.arg = seen.b;
	mpt_stepper_run(*state, &o, &r);
	assert_in_range(r.instructions, 3, 100);
	assert_int_equal(r.cases, r.instructions + 3);
	assert_int_equal(r.cases, seen.calls);
	assert_true(seen.contiguous);
	assert_int_equal(seen.last, r.instructions);
	assert_int_equal(r.changes, 2);
	assert_int_equal(r.syscalls, 0);
	assert_int_equal(r.asleep, 0);
	assert_int_equal(seen.finished, 2);
	assert_true(seen.torn > 0 && seen.empty > 0);

	see_begin(*state);
	seen.zombies = true;
	o.keep_zombie = true;
	mpt_stepper_run(*state, &o, &r);
	assert_int_equal(seen.calls, r.cases);
}

static void sleep_in_the_middle(void *arg)
{
	struct board *b = arg;

	mpt_step_begin();
	atomic_store(&b->first, 1);
	syscall(SYS_getppid);
	syscall(SYS_futex, &b->never_woken, FUTEX_WAIT, 0, NULL, NULL, 0);
	atomic_store(&b->second, 1);
	mpt_step_end();
}

static void a_sleeping_victim_is_killed_in_its_sleep(void **state)
{
	struct mpt_stepper_result r;
	struct mpt_stepper_opts o = {
		.name = "sleep",
		.max_cases = 10000,
		.victim = sleep_in_the_middle,
		.before = clear_the_pair,
		.survivor = see,
	};

	see_begin(*state);
	o.arg = seen.b;
	mpt_stepper_run(*state, &o, &r);
	assert_int_equal(r.syscalls, 2);
	assert_int_equal(r.asleep, 2);
	assert_int_equal(seen.finished, 0);
	assert_true(seen.contiguous && seen.torn > 0);
}

static volatile sig_atomic_t n_signals;

static void count_signals(int sig)
{
	(void)sig;
	n_signals++;
}

static void signal_in_the_middle(void *arg)
{
	signal(SIGUSR1, count_signals);
	mpt_step_begin();
	raise(SIGUSR1);
	if (n_signals == 1) {
		atomic_store(&((struct board *)arg)->first, 1);
		atomic_store(&((struct board *)arg)->second, 1);
	}
	mpt_step_end();
}

static void a_victim_gets_its_signals(void **state)
{
	struct mpt_stepper_result r;
	struct mpt_stepper_opts o = {
		.name = "signal",
		.victim = signal_in_the_middle,
		.before = clear_the_pair,
		.survivor = see,
	};

	see_begin(*state);
	o.arg = seen.b;
	mpt_stepper_run(*state, &o, &r);
	assert_int_equal(seen.finished, 2);
}

static void store_late(void *arg)
{
	struct board *b = arg;
	volatile unsigned i;

	mpt_step_begin();
	for (i = 0; i < n_loops; i++)
		;
	atomic_store(&b->first, 1);
	for (i = 0; i < n_loops; i++)
		;
	atomic_store(&b->second, 1);
	for (i = 0; i < n_loops; i++)
		;
	mpt_step_end();
}

static void a_long_operation_is_sampled(void **state)
{
	struct mpt_stepper_result r;
	struct mpt_stepper_opts o = {
		.name = "late",
		.chance = true,
		.victim = store_late,
		.before = clear_the_pair,
		.survivor = see,
		.fingerprint = hash_the_pair,
		.every = 10,
		.budget = 20,
	};

	n_loops = 500;
	see_begin(*state);
	o.arg = seen.b;
	mpt_stepper_run(*state, &o, &r);
	assert_true(r.instructions > 1500);
	assert_in_range(r.cases, 30, 1 + 11 + 20 + 6);
	assert_false(seen.contiguous);
	assert_true(seen.torn >= 2);

	/* The points that matter survive a limit: 0, 2 + 2 and the last. */
	see_begin(*state);
	o.max_cases = 6;
	mpt_stepper_run(*state, &o, &r);
	assert_int_equal(r.cases, 1 + 6);
	assert_int_equal(seen.torn, 2);
	assert_int_equal(seen.empty, 2);
}

static bool was_killed_at[4096];

static void note_where(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)arg;
	(void)victim;
	if (n < sizeof(was_killed_at) && !finished)
		was_killed_at[n] = true;
}

/* The longest row of instructions that nobody was killed at. */
static unsigned longest_gap(unsigned long n)
{
	unsigned longest = 0, gap = 0;

	for (unsigned long i = 0; i < n; i++) {
		gap = was_killed_at[i] ? 0 : gap + 1;
		longest = gap > longest ? gap : longest;
	}
	return longest;
}

static void store_in_many_rounds(void *arg)
{
	struct board *b = arg;
	volatile unsigned i;

	mpt_step_begin();
	for (i = 1; i <= 60; i++)
		atomic_store(&b->first, i);
	mpt_step_end();
}

static void a_loop_is_left_out_when_it_only_goes_round(void **state)
{
	struct mpt_stepper_result r;
	struct mpt_stepper_opts o = {
		.name = "rounds",
		.victim = store_late,
		.before = clear_the_pair,
		.survivor = note_where,
		.fingerprint = hash_the_pair,
		.arg = mpt_scratch(*state),
	};
	unsigned round;

	memset(was_killed_at, false, sizeof(was_killed_at));
	n_loops = 150;
	setenv("MPT_STEP", "full", 1);
	mpt_stepper_run(*state, &o, &r);
	assert_in_range(r.instructions, 3 * 150, sizeof(was_killed_at));
	round = (unsigned)r.instructions / (3 * 150);
	/* Of 150 rounds 16 or 17, the 32nd, the 64th and the 128th. */
	assert_in_range(r.cases, r.instructions / 10, r.instructions / 6);
	assert_in_range(longest_gap(r.instructions), 60 * round, 65 * round);
	assert_true(was_killed_at[16 * round]);
	assert_true(was_killed_at[r.instructions - 1]);

	/* Where it changes something nothing is left out, and where nobody would
	 * see that neither. */
	memset(was_killed_at, false, sizeof(was_killed_at));
	o.victim = store_in_many_rounds;
	mpt_stepper_run(*state, &o, &r);
	assert_int_equal(r.cases, r.instructions + 2);
	assert_int_equal(longest_gap(r.instructions), 0);
	o.victim = store_late;
	o.fingerprint = NULL;
	n_loops = 30;
	mpt_stepper_run(*state, &o, &r);
	unsetenv("MPT_STEP");
	assert_int_equal(r.cases, r.instructions + 2);
}

static void store_in_a_loop(void *arg)
{
	struct board *b = arg;
	uint32_t i;

	mpt_step_begin();
	for (i = 1; i <= 5; i++) {
		atomic_store(&b->first, i);
		atomic_store(&b->second, i);
	}
	mpt_step_end();
}

static void record(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct board *b = arg;

	(void)victim;
	seen.history = seen.history * 31 + b->first * 10 + b->second;
	seen.history = seen.history * 31 + n * 2 + finished;
}

/* A breakpoint must lead to the same visit as single steps do. */
static void breakpoints_change_nothing(void **state)
{
	struct mpt_stepper_opts o = {
		.name = "visits",
		.victim = store_in_a_loop,
		.before = clear_the_pair,
		.survivor = record,
	};
	uint64_t history;

	see_begin(*state);
	o.arg = seen.b;
	mpt_stepper_run(*state, &o, NULL);
	history = seen.history;

	see_begin(*state);
	o.walks = true;
	mpt_stepper_run(*state, &o, NULL);
	o.walks = false;
	assert_true(seen.history == history);

	/* And as where the processor does not help. */
	see_begin(*state);
	o.in_text = true;
	mpt_stepper_run(*state, &o, NULL);
	assert_true(seen.history == history);
}

extern const char counted_begin[] __attribute__((visibility("hidden")));
extern const char counted_end[] __attribute__((visibility("hidden")));

/* Something of everything: stores, a loop, a system call, the C library. */
static __attribute__((noinline)) void do_counted_things(void *arg)
{
	struct board *b = arg;
	unsigned i;

	mpt_step_begin();
	__asm__ volatile(".globl counted_begin\ncounted_begin:" ::: "memory");
	for (i = 0; i < 20; i++)
		atomic_store(&b->first, i);
	syscall(SYS_getppid);
	atomic_store(&b->second, (uint32_t)strtoul("4711", NULL, 10));
	__asm__ volatile(".globl counted_end\ncounted_end:" ::: "memory");
	mpt_step_end();
}

/* What lies there after so many instructions, stepped and killed. */
static uint64_t stepped[sizeof(was_killed_at)], left[sizeof(was_killed_at)];

static void note_what_is_left(void *arg, pid_t victim, unsigned long n,
			      bool finished)
{
	note_where(arg, victim, n, finished);
	if (n < sizeof(was_killed_at) && !finished)
		left[n] = hash_the_pair(arg);
}

/* Steps another process through that, without the killer. */
static unsigned long count_steps(void *arg)
{
	struct user_regs_struct regs;
	struct iovec iov = { .iov_base = &regs, .iov_len = sizeof(regs) };
	unsigned long n = 0;
	bool counts = false;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		do_counted_things(arg);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &iov) < 0)
			break;
		if (MPT_PC(&regs) == (uintptr_t)counted_begin)
			counts = true;
		if (MPT_PC(&regs) == (uintptr_t)counted_end)
			counts = false;
		if (counts && n < sizeof(was_killed_at))
			stepped[n++] = hash_the_pair(arg);
		ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
	}
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return n;
}

/* What another one counts is as much, and each of them is a place to die. */
static void a_full_run_leaves_nothing_out(void **state)
{
	struct mpt_stepper_result r;
	const struct mpt_stepper_opts o = {
		.name = "counted",
		.victim = do_counted_things,
		.before = clear_the_pair,
		.survivor = note_what_is_left,
		.arg = mpt_scratch(*state),
	};
	unsigned long i, skip, n;

	clear_the_pair(o.arg);
	n = count_steps(o.arg);

	memset(was_killed_at, false, sizeof(was_killed_at));
	setenv("MPT_STEP", "full", 1);
	mpt_stepper_run(*state, &o, &r);
	unsetenv("MPT_STEP");
	assert_in_range(n, 100, 3000);
	/* And the return from the first mark, and the call of the other one. */
	assert_in_range(r.instructions, n + 2, n + 12);
	assert_int_equal(longest_gap(r.instructions), 0);
	for (skip = 0; skip + n <= r.instructions; skip++) {
		for (i = 0; i < n && left[skip + i] == stepped[i]; i++)
			;
		if (i == n)
			return;
	}
	fail_msg("victims were not killed where they were to be");
}

static unsigned n_starts;

static void clear_the_pair_and_count(void *arg)
{
	clear_the_pair(arg);
	n_starts++;
}

/* Goes a long way and a short one in turn. */
static void go_one_of_two_ways(void *arg)
{
	volatile unsigned i, n = n_starts % 2 * 100;
	struct board *b = arg;

	mpt_step_begin();
	for (i = 0; i < n; i++)
		;
	atomic_store(&b->first, 1);
	atomic_store(&b->second, 1);
	mpt_step_end();
}

static void who_goes_another_way_is_no_kill(void **state)
{
	struct mpt_stepper_result r;
	struct mpt_stepper_opts o = {
		.name = "two ways",
		.victim = go_one_of_two_ways,
		.before = clear_the_pair_and_count,
		.survivor = note_where,
		.arg = mpt_scratch(*state),
		.every = sizeof(was_killed_at),
	};

	n_starts = 0;
	memset(was_killed_at, false, sizeof(was_killed_at));
	setenv("MPT_STEP", "full", 1);
	mpt_stepper_run(*state, &o, &r);
	unsetenv("MPT_STEP");
	assert_in_range(r.instructions, 300, sizeof(was_killed_at));
	assert_true(r.astray > 0);
	assert_int_equal(r.cases, r.instructions + 2 + r.astray);
	for (unsigned long n = 200; n < 300; n++)
		assert_true(was_killed_at[n]);
}

static void clear_much(void *arg)
{
	static unsigned char much[8192];

	(void)arg;
	mpt_step_begin();
	memset(much, 1, sizeof(much));
	/* Or nobody would need what is written. */
	__asm__ volatile("" : : "r"(much) : "memory");
	mpt_step_end();
}

/* Where that is one instruction which repeats itself. */
static void repetitions_are_places_to_die(void **state)
{
	struct mpt_stepper_result r;
	struct mpt_stepper_opts o = {
		.name = "repetitions",
		.chance = true,
		.victim = clear_much,
		.survivor = note_where,
		.arg = mpt_scratch(*state),
		.every = 100000,
	};

	mpt_stepper_run(*state, &o, &r);
	assert_in_range(r.cases, 15, r.instructions + 2);
	assert_int_equal(r.astray, 0);
}

static void the_environment_selects_points(void **state)
{
	struct mpt_stepper_result r;
	struct mpt_stepper_opts o = {
		.name = "loop",
		.chance = true,
		.victim = store_late,
		.before = clear_the_pair,
		.survivor = see,
	};

	n_loops = 20;
	see_begin(*state);
	o.arg = seen.b;
	setenv("MPT_STEP", "quick", 1);
	mpt_stepper_run(*state, &o, &r);
	assert_int_equal(r.cases, 1 + 64);

	setenv("MPT_STEP", "17", 1);
	mpt_stepper_run(*state, &o, &r);
	unsetenv("MPT_STEP");
	assert_int_equal(r.cases, 1 + 1);
	assert_int_equal(seen.last, 17);
}

static void exit_after_a_pair(void *arg)
{
	struct board *b = arg;

	mpt_step_begin();
	atomic_store(&b->first, 1);
	atomic_store(&b->second, 1);
	_exit(3);
}

static void an_exit_can_be_the_end_of_an_operation(void **state)
{
	struct mpt_stepper_result r;
	struct mpt_stepper_opts o = {
		.name = "exit",
		.chance = true,
		.max_cases = 10000,
		.victim = exit_after_a_pair,
		.before = clear_the_pair,
		.survivor = see,
		.exits = true,
	};

	see_begin(*state);
	seen.dry_runs = 1;
	o.arg = seen.b;
	mpt_stepper_run(*state, &o, &r);
	assert_int_equal(r.syscalls, 1);
	assert_int_equal(r.cases, r.instructions + 2);
	assert_true(seen.contiguous && seen.torn > 0);
	assert_int_equal(seen.finished, 1);
}

/* A function that parent and child both run; @first notes a child's death. */
static __attribute__((noinline)) int by_both(struct board *b)
{
	return atomic_load(&b->never_woken) == 0 ? 0 : 1;
}

static void fork_a_child(void *arg)
{
	struct board *b = arg;
	int status = 0;
	pid_t pid;

	mpt_step_begin();
	pid = _Fork();
	if (pid == 0)
		_exit(by_both(b));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status != 0)
		atomic_store(&b->first, 1);
	by_both(b);
	mpt_step_end();
}

static void count_deaths_of_children(void *arg, pid_t victim, unsigned long n,
				     bool finished)
{
	struct board *b = arg;

	(void)victim;
	(void)n;
	(void)finished;
	mpt_reap_orphans(seen.t);
	seen.torn += b->first;
}

static void a_victims_child_meets_no_breakpoint(void **state)
{
	struct mpt_stepper_opts o = {
		.name = "fork",
		.victim = fork_a_child,
		.before = clear_the_pair,
		.survivor = count_deaths_of_children,
		.max_cases = 150,
	};

	/* First that it would. */
	see_begin(*state);
	o.arg = seen.b;
	o.in_text = true;
	mpt_stepper_run(*state, &o, NULL);
	assert_true(seen.torn > 0);

	see_begin(*state);
	o.forks = true;
	mpt_stepper_run(*state, &o, NULL);
	assert_int_equal(seen.torn, 0);
}

static void marks_are_harmless_elsewhere(void **state)
{
	struct board *b = mpt_scratch(*state);

	write_a_pair(b);
	assert_int_equal(b->second, 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_failed_kill_names_the_instruction),
		mpt_test(every_instruction_is_a_place_to_die),
		mpt_test(a_sleeping_victim_is_killed_in_its_sleep),
		mpt_test(a_victim_gets_its_signals),
		mpt_test(a_long_operation_is_sampled),
		mpt_test(a_loop_is_left_out_when_it_only_goes_round),
		mpt_test(a_full_run_leaves_nothing_out),
		mpt_test(breakpoints_change_nothing),
		mpt_test(who_goes_another_way_is_no_kill),
		mpt_test(repetitions_are_places_to_die),
		mpt_test(the_environment_selects_points),
		mpt_test(an_exit_can_be_the_end_of_an_operation),
		mpt_test(a_victims_child_meets_no_breakpoint),
		mpt_test(marks_are_harmless_elsewhere),
	};

	/* The numbers here are those of the options, whatever was asked. */
	unsetenv("MPT_STEP");
	if (argc > 1) {
		cmocka_set_test_filter(argv[1]);
		return cmocka_run_group_tests(inner_tests, NULL, NULL);
	}
	return cmocka_run_group_tests_name("support_step", tests, NULL, NULL);
}
