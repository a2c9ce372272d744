/* SPDX-License-Identifier: MIT */
/*
 * A process under the single-step killer, see mpt_victim.h.
 *
 * The victim asks to be traced and runs into an illegal instruction at each of
 * the two marks. Between them it is moved on by PTRACE_SINGLESTEP, which stops
 * it with SIGTRAP after each instruction; SIGILL is the end mark. So the kind
 * of stop tells everything, and a step costs two system calls here.
 *
 * As the two take turns, they have one CPU for that: from one CPU to another each
 * turn has to wake who sleeps there, which takes three times the work, and seven
 * times as long. All others have those that they had. A victim that forks keeps its
 * own, which its children get from it.
 *
 * A step that is a system call may sleep for ever. While victims run, a timer
 * interrupts our waitpid() every few milliseconds; a victim found sleeping on
 * several such ticks in a row, with no step in between, is taken to be asleep.
 * Short sleeps, like those of a futex with a short timeout, thus pass.
 */
#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mpt_priv.h"
#include "mpt_step_arch.h"
#include "mpt_victim.h"

enum {
	TICK_MS = 2,
	SLEEPY_TICKS = 2,
	TICK_SIGNAL = SIGVTALRM,
};

/* Set in victims only: elsewhere the marks must be harmless. */
static volatile sig_atomic_t is_victim;

/* Of the test, and whether it has only that of its victim now. */
static cpu_set_t usual_cpus;
static bool shares_cpu;

extern const char mpt_begin_mark[] __attribute__((visibility("hidden")));
extern const char mpt_end_mark[] __attribute__((visibility("hidden")));

__attribute__((noinline)) void mpt_step_begin(void)
{
	if (is_victim)
		__asm__ volatile(".globl mpt_begin_mark\n"
				 "mpt_begin_mark: " MPT_MARK_INSN
				 ::: "memory");
}

__attribute__((noinline)) void mpt_step_end(void)
{
	if (is_victim)
		__asm__ volatile(".globl mpt_end_mark\n"
				 "mpt_end_mark: " MPT_MARK_INSN
				 ::: "memory");
}

static void on_tick(int sig)
{
	(void)sig;
}

static void set_ticks(bool on)
{
	const long period = on ? TICK_MS * 1000000L : 0;
	struct itimerspec at = {
		.it_value.tv_nsec = period,
		.it_interval.tv_nsec = period,
	};
	struct sigevent ev = {
		.sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = TICK_SIGNAL,
	};
	struct sigaction sa = { .sa_handler = on_tick };
	static pid_t timer_of;
	static timer_t timer;

	if (timer_of != getpid()) {
		sigaction(TICK_SIGNAL, &sa, NULL);
		if (timer_create(CLOCK_MONOTONIC, &ev, &timer) < 0)
			abort();
		timer_of = getpid();
	}
	if (timer_settime(timer, 0, &at, NULL) < 0)
		abort();
}

/* If the system does not allow it, all of it only takes longer. */
static void share_cpu(pid_t pid)
{
	const int cpu = sched_getcpu();
	cpu_set_t one;

	if (cpu < 0 || cpu >= CPU_SETSIZE ||
	    sched_getaffinity(0, sizeof(usual_cpus), &usual_cpus) < 0)
		return;
	CPU_ZERO(&one);
	CPU_SET((size_t)cpu, &one);
	shares_cpu = sched_setaffinity(0, sizeof(one), &one) == 0;
	if (shares_cpu)
		sched_setaffinity(pid, sizeof(one), &one);
}

void mpt_victim_take(const struct mpt_victim *v)
{
	if (!v->o->forks)
		share_cpu(v->pid);
	set_ticks(true);
}

void mpt_victim_let_go(void)
{
	set_ticks(false);
	if (shares_cpu)
		sched_setaffinity(0, sizeof(usual_cpus), &usual_cpus);
	shares_cpu = false;
}

_Noreturn void mpt_victim_fail(struct mpt_victim *v, const char *what)
{
	mpt_victim_let_go();
	mpt_fail(v->t, __FILE__, __LINE__, "step %s: %s: %s", v->o->name,
		 what, strerror(errno));
}

/* The victim is gone although nobody killed it; it is reaped. */
_Noreturn static void fail_death(struct mpt_victim *v, int status,
				 const char *where)
{
	const char *text = mpt_report(v->t, MPT_SLOT_VICTIM);
	char buf[64];

	mpt_victim_let_go();
	v->t->victim = 0;
	mpt_fail(v->t, __FILE__, __LINE__,
		 "step %s: the victim ended by %s %s%s%s", v->o->name,
		 mpt_end_text(buf, status), where, text != NULL ? ": " : "",
		 text != NULL ? text : "");
}

static void read_regs(struct mpt_victim *v, struct user_regs_struct *regs)
{
	struct iovec iov = { .iov_base = regs, .iov_len = sizeof(*regs) };

	if (ptrace(PTRACE_GETREGSET, v->pid, NT_PRSTATUS, &iov) < 0)
		mpt_victim_fail(v, "PTRACE_GETREGSET");
}

uintptr_t mpt_victim_pc(struct mpt_victim *v)
{
	struct user_regs_struct regs;

	read_regs(v, &regs);
	return (uintptr_t)MPT_PC(&regs);
}

void mpt_victim_set_pc(struct mpt_victim *v, uintptr_t pc)
{
	struct user_regs_struct regs;
	struct iovec iov = { .iov_base = &regs, .iov_len = sizeof(regs) };

	read_regs(v, &regs);
	MPT_PC(&regs) = pc;
	if (ptrace(PTRACE_SETREGSET, v->pid, NT_PRSTATUS, &iov) < 0)
		mpt_victim_fail(v, "PTRACE_SETREGSET");
}

static bool stands_at(struct mpt_victim *v, const char *mark)
{
	return mpt_victim_pc(v) == (uintptr_t)mark;
}

static void skip_mark(struct mpt_victim *v)
{
	mpt_victim_set_pc(v, mpt_victim_pc(v) + MPT_MARK_SIZE);
}

bool mpt_victim_read(struct mpt_victim *v, uintptr_t pc, unsigned long *ret)
{
	errno = 0;
	*ret = (unsigned long)ptrace(PTRACE_PEEKTEXT, v->pid, (void *)pc,
				     NULL);
	return errno == 0;
}

bool mpt_victim_write(struct mpt_victim *v, uintptr_t pc, unsigned long word)
{
	return ptrace(PTRACE_POKETEXT, v->pid, (void *)pc, (void *)word)
	       == 0;
}

/* Lets the victim go on, for one instruction or until something happens. */
static void resume(struct mpt_victim *v, bool single)
{
	if (ptrace(single ? PTRACE_SINGLESTEP : PTRACE_CONT, v->pid, NULL,
		   (void *)(intptr_t)v->signal) < 0)
		mpt_victim_fail(v, "resuming the victim");
	v->signal = 0;
}

_Noreturn static void run_victim(struct mpt_victim *v)
{
	mpt_child_begin(v->t, MPT_SLOT_VICTIM);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		mpt_fail(v->t, __FILE__, __LINE__,
			 "ptrace is not permitted here: %s", strerror(errno));
	is_victim = 1;
	v->o->victim(v->o->arg);
	mpt_child_end(0);
}

void mpt_victim_start(struct mpt_victim *v)
{
	int status;
	pid_t pid;

	mpt_watch_start(v->t);
	if (v->o->before != NULL)
		v->o->before(v->o->arg);

	fflush(stdout);
	fflush(stderr);
	pid = fork();
	if (pid < 0)
		mpt_victim_fail(v, "fork");
	if (pid == 0)
		run_victim(v);
	v->pid = pid;
	v->t->victim = pid;
	v->signal = 0;

	for (;;) {
		while (waitpid(pid, &status, 0) < 0)
			if (errno != EINTR)
				mpt_victim_fail(v, "waitpid");
		if (!WIFSTOPPED(status))
			fail_death(v, status, "before mpt_step_begin()");
		if (WSTOPSIG(status) == SIGILL &&
		    stands_at(v, mpt_begin_mark))
			break;
		v->signal = WSTOPSIG(status);
		resume(v, false);
	}
	if (ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL) < 0)
		mpt_victim_fail(v, "PTRACE_O_EXITKILL");
	skip_mark(v);
}

/* As waitpid(), but returns 0 when the victim has exited and its operation is
 * to end so; it stays a zombie then. */
static pid_t wait_for_victim(struct mpt_victim *v, int *ret_status)
{
	struct rusage usage;
	siginfo_t info;
	pid_t pid;

	if (v->o->exits) {
		if (waitid(P_PID, (id_t)v->pid, &info,
			   WEXITED | WSTOPPED | WNOWAIT) < 0)
			return -1;
		if (info.si_code == CLD_EXITED)
			return 0;
	}
	if (v->t->remains == NULL)
		return waitpid(v->pid, ret_status, 0);
	pid = wait4(v->pid, ret_status, 0, &usage);
	if (pid > 0)
		v->faults = usage.ru_minflt + usage.ru_majflt;
	return pid;
}

enum mpt_stop mpt_victim_advance(struct mpt_victim *v, bool single,
				 unsigned long n)
{
	unsigned sleepy = 0;
	char where[48];
	int status;
	pid_t pid;

	resume(v, single);
	for (;;) {
		pid = wait_for_victim(v, &status);
		if (pid == 0)
			return MPT_STOP_END;
		if (pid < 0) {
			if (errno != EINTR)
				mpt_victim_fail(v, "waitpid");
			sleepy = mpt_task_state(v->pid) == 'S' ? sleepy + 1
								    : 0;
			if (sleepy == SLEEPY_TICKS)
				return MPT_STOP_ASLEEP;
			continue;
		}
		if (!WIFSTOPPED(status)) {
			snprintf(where, sizeof(where), "after %lu instructions",
				 n);
			fail_death(v, status, where);
		}
		if (WSTOPSIG(status) == SIGTRAP)
			return MPT_STOP_TRAP;
		if (WSTOPSIG(status) == SIGILL && stands_at(v, mpt_end_mark))
			return MPT_STOP_END;

		/* A signal arrives; no instruction was executed. */
		v->signalled = true;
		v->signal = WSTOPSIG(status);
		resume(v, single);
	}
}

enum mpt_stop mpt_victim_run_to_visit(struct mpt_victim *v, uintptr_t pc,
				      unsigned visit)
{
	enum mpt_stop stop = MPT_STOP_TRAP;

	if (!mpt_break_at(v->pid, pc))
		mpt_victim_fail(v, "the breakpoint");
	while (visit-- > 0 && stop == MPT_STOP_TRAP)
		stop = mpt_victim_advance(v, false, 0);
	if (stop == MPT_STOP_TRAP &&
	    (mpt_victim_pc(v) != pc || !mpt_break_at(v->pid, 0)))
		mpt_victim_fail(v, "behind the breakpoint");
	return stop;
}

bool mpt_victim_run_to(struct mpt_victim *v, uintptr_t pc, enum mpt_stop *ret)
{
	unsigned long word;

	if (!mpt_victim_read(v, pc, &word) ||
	    !mpt_victim_write(v, pc, (word & ~MPT_BREAK_MASK) | MPT_BREAK))
		return false;
	*ret = mpt_victim_advance(v, false, 0);
	if (*ret != MPT_STOP_TRAP)
		return true;
	if (mpt_victim_pc(v) != pc + MPT_BREAK_SIZE || !mpt_victim_write(v, pc, word))
		mpt_victim_fail(v, "the breakpoint");
	mpt_victim_set_pc(v, pc);
	return true;
}

void mpt_victim_finish(struct mpt_victim *v)
{
	siginfo_t info;
	int status;

	if (v->o->exits)
		return;
	skip_mark(v);
	for (;;) {
		resume(v, false);
		/* An exited victim stays a zombie for now, as a killed one. */
		while (waitid(P_PID, (id_t)v->pid, &info,
			      WEXITED | WSTOPPED | WNOWAIT) < 0)
			if (errno != EINTR)
				mpt_victim_fail(v, "waitid");
		if (info.si_code != CLD_STOPPED && info.si_code != CLD_TRAPPED)
			break;
		waitpid(v->pid, &status, 0);
		v->signal = WSTOPSIG(status);
	}
	if (info.si_code != CLD_EXITED || info.si_status != 0) {
		waitpid(v->pid, &status, 0);
		fail_death(v, status, "after mpt_step_end()");
	}
}
