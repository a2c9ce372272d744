/* SPDX-License-Identifier: MIT */
/*
 * The single-step killer, see mpt_step.h.
 *
 * The victim asks to be traced and runs into an illegal instruction at each of
 * the two marks. Between them it is moved on by PTRACE_SINGLESTEP, which stops
 * it with SIGTRAP after each instruction; SIGILL is the end mark. So the kind
 * of stop tells everything, and a step costs two system calls here.
 *
 * Stepping to the n-th instruction again and again costs the square of the
 * length. The dry run therefore notes where each instruction lies, and how often
 * it had been there. A victim is let run to a breakpoint at an instruction
 * before the n-th one, as often as the dry run came there, and is stepped from
 * that point; it is the one for which that makes the fewest stops. Where the
 * processor cannot break without a change of the text, it is one that had not
 * been met before.
 *
 * A step that is a system call may sleep for ever. While victims run, a timer
 * interrupts our waitpid() every few milliseconds; a victim found sleeping on
 * several such ticks in a row, with no step in between, is taken to be asleep.
 * Short sleeps, like those of a futex with a short timeout, thus pass.
 *
 * All processes share the text of the test program at the same addresses, as
 * they are forks of one image, and run on fresh objects; so the count of a
 * victim differs from that of the dry run only as far as the operation itself
 * depends on chance. A victim that ends its operation early is one more
 * finished case.
 */
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mpt_points.h"
#include "mpt_priv.h"
#include "mpt_step.h"
#include "mpt_step_arch.h"

enum {
	EVERY = 1000,
	BUDGET = 200,
	SAMPLE = 50,
	DRY_RUNS = 3,
	QUICK_CASES = 64,
	WALK = 100000,		/* steps, after victims that went astray */
	TICK_MS = 5,
	SLEEPY_TICKS = 3,
	TICK_SIGNAL = SIGVTALRM,
};

/* What a victim did when it was told to go on. */
enum stop {
	STOP_TRAP,		/* a step was made, or the breakpoint reached */
	STOP_END,		/* it stands at the end mark, or has exited */
	STOP_ASLEEP,
};

struct run {
	struct mpt *t;
	const struct mpt_stepper_opts *o;
	struct mpt_stepper_result result;
	struct mpt_points points;	/* of 0 .. result.instructions */
	struct mpt_points longest;	/* see make_dry_runs() */
	bool may_jump;		/* breakpoints may be used */
	bool may_count;		/* and be met more than once */
	unsigned long walk;	/* steps that are left, see kill_at() */
	bool is_certain;	/* victims do what that of the dry run did */
	pid_t victim;
	int signal;		/* to be delivered with the next step */
	bool signalled;		/* since that was last cleared */
};

/* Set in victims only: elsewhere the marks must be harmless. */
static volatile sig_atomic_t is_victim;

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

/* Starts or stops the ticks. */
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

_Noreturn static void fail_run(struct run *run, const char *what)
{
	set_ticks(false);
	mpt_fail(run->t, __FILE__, __LINE__, "step %s: %s: %s", run->o->name,
		 what, strerror(errno));
}

/* The victim is gone although nobody killed it; it is reaped. */
_Noreturn static void fail_death(struct run *run, int status, const char *where)
{
	const char *text = mpt_report(run->t, MPT_SLOT_VICTIM);
	char buf[64];

	set_ticks(false);
	run->t->victim = 0;
	mpt_fail(run->t, __FILE__, __LINE__,
		 "step %s: the victim ended by %s %s%s%s", run->o->name,
		 mpt_end_text(buf, status), where, text != NULL ? ": " : "",
		 text != NULL ? text : "");
}

static void read_regs(struct run *run, struct user_regs_struct *regs)
{
	struct iovec iov = { .iov_base = regs, .iov_len = sizeof(*regs) };

	if (ptrace(PTRACE_GETREGSET, run->victim, NT_PRSTATUS, &iov) < 0)
		fail_run(run, "PTRACE_GETREGSET");
}

static uintptr_t get_pc(struct run *run)
{
	struct user_regs_struct regs;

	read_regs(run, &regs);
	return (uintptr_t)MPT_PC(&regs);
}

static void set_pc(struct run *run, uintptr_t pc)
{
	struct user_regs_struct regs;
	struct iovec iov = { .iov_base = &regs, .iov_len = sizeof(regs) };

	read_regs(run, &regs);
	MPT_PC(&regs) = pc;
	if (ptrace(PTRACE_SETREGSET, run->victim, NT_PRSTATUS, &iov) < 0)
		fail_run(run, "PTRACE_SETREGSET");
}

static bool stands_at(struct run *run, const char *mark)
{
	return get_pc(run) == (uintptr_t)mark;
}

static void skip_mark(struct run *run)
{
	set_pc(run, get_pc(run) + MPT_MARK_SIZE);
}

static bool read_text(struct run *run, uintptr_t pc, unsigned long *ret)
{
	errno = 0;
	*ret = (unsigned long)ptrace(PTRACE_PEEKTEXT, run->victim, (void *)pc,
				     NULL);
	return errno == 0;
}

static bool write_text(struct run *run, uintptr_t pc, unsigned long word)
{
	return ptrace(PTRACE_POKETEXT, run->victim, (void *)pc, (void *)word)
	       == 0;
}

/* Lets the victim go on, for one instruction or until something happens. */
static void resume(struct run *run, bool single)
{
	if (ptrace(single ? PTRACE_SINGLESTEP : PTRACE_CONT, run->victim, NULL,
		   (void *)(intptr_t)run->signal) < 0)
		fail_run(run, "resuming the victim");
	run->signal = 0;
}

_Noreturn static void run_victim(struct run *run)
{
	mpt_child_begin(run->t, MPT_SLOT_VICTIM);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		mpt_fail(run->t, __FILE__, __LINE__,
			 "ptrace is not permitted here: %s", strerror(errno));
	is_victim = 1;
	run->o->victim(run->o->arg);
	mpt_child_end(0);
}

/* Makes a victim that stands behind its begin mark. Tells who asks whether nobody
 * else is there but the test. */
static void start_victim(struct run *run, bool *ret_alone)
{
	int status;
	pid_t pid;

	mpt_watch_start(run->t);
	if (run->o->before != NULL)
		run->o->before(run->o->arg);
	if (ret_alone != NULL)
		*ret_alone = mpt_remains_alone();

	fflush(stdout);
	fflush(stderr);
	pid = fork();
	if (pid < 0)
		fail_run(run, "fork");
	if (pid == 0)
		run_victim(run);
	run->victim = pid;
	run->t->victim = pid;
	run->signal = 0;

	for (;;) {
		while (waitpid(pid, &status, 0) < 0)
			if (errno != EINTR)
				fail_run(run, "waitpid");
		if (!WIFSTOPPED(status))
			fail_death(run, status, "before mpt_step_begin()");
		if (WSTOPSIG(status) == SIGILL &&
		    stands_at(run, mpt_begin_mark))
			break;
		run->signal = WSTOPSIG(status);
		resume(run, false);
	}
	if (ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL) < 0)
		fail_run(run, "PTRACE_O_EXITKILL");
	skip_mark(run);
}

/* As waitpid(), but returns 0 when the victim has exited and its operation is
 * to end so; it stays a zombie then. */
static pid_t wait_for_victim(struct run *run, int *ret_status)
{
	siginfo_t info;

	if (run->o->exits) {
		if (waitid(P_PID, (id_t)run->victim, &info,
			   WEXITED | WSTOPPED | WNOWAIT) < 0)
			return -1;
		if (info.si_code == CLD_EXITED)
			return 0;
	}
	return waitpid(run->victim, ret_status, 0);
}

/* Moves the victim on, see resume(); @n is only for messages. */
static enum stop advance(struct run *run, bool single, unsigned long n)
{
	unsigned sleepy = 0;
	char where[48];
	int status;
	pid_t pid;

	resume(run, single);
	for (;;) {
		pid = wait_for_victim(run, &status);
		if (pid == 0)
			return STOP_END;
		if (pid < 0) {
			if (errno != EINTR)
				fail_run(run, "waitpid");
			sleepy = mpt_task_state(run->victim) == 'S' ? sleepy + 1
								    : 0;
			if (sleepy == SLEEPY_TICKS)
				return STOP_ASLEEP;
			continue;
		}
		if (!WIFSTOPPED(status)) {
			snprintf(where, sizeof(where), "after %lu instructions",
				 n);
			fail_death(run, status, where);
		}
		if (WSTOPSIG(status) == SIGTRAP)
			return STOP_TRAP;
		if (WSTOPSIG(status) == SIGILL && stands_at(run, mpt_end_mark))
			return STOP_END;

		/* A signal arrives; no instruction was executed. */
		run->signalled = true;
		run->signal = WSTOPSIG(status);
		resume(run, single);
	}
}

/* Lets the victim run to the @visit-th visit of @pc. */
static enum stop run_to_visit(struct run *run, uintptr_t pc, unsigned visit)
{
	enum stop stop = STOP_TRAP;

	if (!mpt_break_at(run->victim, pc))
		fail_run(run, "the breakpoint");
	while (visit-- > 0 && stop == STOP_TRAP)
		stop = advance(run, false, 0);
	if (stop == STOP_TRAP &&
	    (get_pc(run) != pc || !mpt_break_at(run->victim, 0)))
		fail_run(run, "behind the breakpoint");
	return stop;
}

/*
 * The same for the first visit, by changing the text. Where that cannot be, as
 * in the vdso, it returns false and the victim has not moved.
 */
static bool run_to(struct run *run, uintptr_t pc, enum stop *ret)
{
	unsigned long word;

	if (!read_text(run, pc, &word) ||
	    !write_text(run, pc, (word & ~MPT_BREAK_MASK) | MPT_BREAK))
		return false;
	*ret = advance(run, false, 0);
	if (*ret != STOP_TRAP)
		return true;
	if (get_pc(run) != pc + MPT_BREAK_SIZE || !write_text(run, pc, word))
		fail_run(run, "the breakpoint");
	set_pc(run, pc);
	return true;
}

/* Lets a victim that stands at the end mark run to its end. */
static void finish_victim(struct run *run)
{
	siginfo_t info;
	int status;

	if (run->o->exits)
		return;
	skip_mark(run);
	for (;;) {
		resume(run, false);
		/* An exited victim stays a zombie for now, as a killed one. */
		while (waitid(P_PID, (id_t)run->victim, &info,
			      WEXITED | WSTOPPED | WNOWAIT) < 0)
			if (errno != EINTR)
				fail_run(run, "waitid");
		if (info.si_code != CLD_STOPPED && info.si_code != CLD_TRAPPED)
			break;
		waitpid(run->victim, &status, 0);
		run->signal = WSTOPSIG(status);
	}
	if (info.si_code != CLD_EXITED || info.si_status != 0) {
		waitpid(run->victim, &status, 0);
		fail_death(run, status, "after mpt_step_end()");
	}
}

/* The victim is a zombie, or dies here; then the survivor has its say. */
static void bury_victim(struct run *run, unsigned long n, bool finished)
{
	pid_t pid = run->victim;

	set_ticks(false);
	mpt_slay(pid);
	if (!run->o->keep_zombie) {
		waitpid(pid, NULL, 0);
		run->t->victim = 0;
	}

	snprintf(run->t->note, sizeof(run->t->note),
		 "step %s: victim killed after %lu of %lu instructions%s",
		 run->o->name, n, run->result.instructions,
		 finished ? " (it had finished)" : "");
	run->result.cases++;
	run->o->survivor(run->o->arg, pid, n, finished);
	run->t->note[0] = '\0';

	if (run->o->keep_zombie) {
		waitpid(pid, NULL, 0);
		run->t->victim = 0;
	}
}

void mpt_stepper_free(struct mpt *t)
{
	free(t->step_points[0]);
	free(t->step_points[1]);
	t->step_points[0] = t->step_points[1] = NULL;
}

static struct mpt_point *point(struct run *run, unsigned long n)
{
	struct mpt_point *p = mpt_points_at(&run->points, n);

	/* A failing check leaves the run by a jump. */
	run->t->step_points[0] = run->points.at;
	run->t->step_points[1] = run->longest.at;
	return p;
}

static void mark_both_sides(struct run *run, unsigned long n)
{
	point(run, n)->bits |= MPT_POINT_MATTERS;
	point(run, n + 1)->bits |= MPT_POINT_MATTERS;
}

/* Has all that remains of a killed victim compared, if nobody else is at work. */
static void begin_comparing(struct run *run, bool alone)
{
	if (alone && !run->o->forks)
		run->t->remains = mpt_remains_new(run->t, run->victim);
	run->result.exact = run->t->remains != NULL;
}

/* After a step; beside a system call it matters anyway, whatever it has done. */
static bool remains_changed(struct run *run, bool was_syscall)
{
	if (!run->result.exact)
		return false;
	if (!was_syscall)
		return mpt_remains_changed(run->t->remains, &run->result.exact);
	run->result.exact = mpt_remains_look(run->t->remains);
	return false;
}

static void end_comparing(struct run *run)
{
	mpt_remains_free(run->t->remains);
	run->t->remains = NULL;
}

static void begin_dry_run(struct run *run)
{
	mpt_points_clear(&run->points);
	run->result = (struct mpt_stepper_result){
		.cases = run->result.cases,
		.asleep = run->result.asleep,
	};
}

static void dry_run(struct run *run)
{
	uint64_t (*fingerprint)(void *arg) = run->o->fingerprint;
	uint64_t now, last = 0;
	unsigned long word, n = 0;
	bool alone, is_syscall, other;
	enum stop stop;
	uintptr_t pc;

	begin_dry_run(run);
	start_victim(run, &alone);
	begin_comparing(run, alone);
	run->may_count = !run->o->in_text && mpt_break_at(run->victim, 0);
	set_ticks(true);
	if (fingerprint != NULL)
		last = fingerprint(run->o->arg);

	for (;;) {
		pc = get_pc(run);
		point(run, n)->pc = pc;
		is_syscall = read_text(run, pc, &word) &&
			     mpt_is_syscall((uint32_t)word);
		if (is_syscall) {
			run->result.syscalls++;
			mark_both_sides(run, n);
		}
		run->signalled = false;
		stop = advance(run, true, n);
		if (stop != STOP_TRAP)
			break;
		if (run->signalled)
			point(run, n)->bits |= MPT_POINT_LEFT;
		now = fingerprint != NULL ? fingerprint(run->o->arg) : 0;
		other = remains_changed(run, is_syscall);
		run->result.changes += now != last;
		run->result.others += other && now == last;
		if (now != last || other)
			mark_both_sides(run, n);
		last = now;
		n++;
	}

	run->result.instructions = n;
	point(run, 0)->bits |= MPT_POINT_MATTERS;
	point(run, n)->bits |= MPT_POINT_MATTERS;
	run->points.last = n;
	mpt_points_count_visits(&run->points);
	if (stop == STOP_ASLEEP)
		run->result.asleep++;
	else
		finish_victim(run);
	end_comparing(run);
	bury_victim(run, n, stop == STOP_END);
}

static bool is_full(void)
{
	const char *mode = getenv("MPT_STEP");

	return mode != NULL && strcmp(mode, "full") == 0;
}

/* Keeps what the last dry run has shown, if it was the longest. */
static void keep_longest(struct run *run, struct mpt_stepper_result *result)
{
	struct mpt_points points = run->points;

	if (points.last > run->longest.last) {
		run->points = run->longest;
		run->longest = points;
		*result = run->result;
	}
}

static void take_longest(struct run *run, struct mpt_stepper_result *result)
{
	struct mpt_points points = run->points;

	run->points = run->longest;
	run->longest = points;
	result->cases = run->result.cases;
	result->asleep = run->result.asleep;
	result->exact = false;
	run->result = *result;
}

/*
 * What a dry run has shown is only relied upon if another one comes by the same
 * points that matter, after as many visits there; how often it goes round elsewhere
 * makes no difference. The very first may be the only one to find something new. If
 * no two in a row are alike, the longest is the model.
 */
static void make_dry_runs(struct run *run)
{
	struct mpt_stepper_result longest = { 0 };
	uint64_t hash, last = 0;
	unsigned i;

	for (i = 0; i < DRY_RUNS; i++) {
		dry_run(run);
		if (is_full() || run->o->chance ||
		    (i == 0 && !run->result.exact))
			return;
		hash = mpt_points_hash(&run->points);
		if (i > 0 && run->result.exact && hash == last)
			return;
		last = hash;
		keep_longest(run, &longest);
	}
	take_longest(run, &longest);
}

/* From which point the victim is stepped to @n, so that there are the fewest
 * stops on the way; 0 is where it stands. */
static unsigned long find_jump(const struct run *run, unsigned long n)
{
	const struct mpt_point *p = run->points.at;
	unsigned long i, stops, fewest = n, best = 0;

	if (!run->may_jump)
		return 0;
	for (i = n; i > 0 && n - i < fewest; i--) {
		stops = n - i + p[i].visit;
		if (stops >= fewest || p[i].visit == 0 ||
		    (!run->may_count && p[i].visit > 1))
			continue;
		fewest = stops;
		best = i;
	}
	return best;
}

/* Lets it run to point @i. Returns false if it could not, and has not moved. */
static bool jump(struct run *run, unsigned long i, enum stop *ret)
{
	const struct mpt_point *p = &run->points.at[i];

	if (!run->may_count)
		return run_to(run, p->pc, ret);
	*ret = run_to_visit(run, p->pc, p->visit);
	return true;
}

/* Moves a victim on from point @i to @n. Returns where it has stopped. */
static unsigned long step_to(struct run *run, unsigned long i, unsigned long n,
			     enum stop *stop)
{
	while (i < n && *stop == STOP_TRAP) {
		*stop = advance(run, true, i);
		if (*stop == STOP_TRAP)
			i++;
	}
	return i;
}

/*
 * One victim, killed after @n instructions. One that did not come by where it
 * was to be let run to, as it went another way than the dry run, stays for the
 * survivor to see; and another one is stepped all the way, if not too many steps
 * were made so already.
 */
static void kill_at(struct run *run, unsigned long n)
{
	const struct mpt_point *p = &run->points.at[n];
	unsigned long i = find_jump(run, n);
	enum stop stop = STOP_TRAP;
	bool alone;

	start_victim(run, &alone);
	set_ticks(true);

	if (i > 0 && !jump(run, i, &stop))
		i = 0;
	run->result.astray += stop != STOP_TRAP;
	if (stop != STOP_TRAP && run->walk >= n) {
		run->walk -= n;
		run->result.asleep += stop == STOP_ASLEEP;
		bury_victim(run, i, stop == STOP_END);
		start_victim(run, NULL);
		set_ticks(true);
		stop = STOP_TRAP;
		i = 0;
	}
	i = step_to(run, i, n, &stop);
	run->result.asleep += stop == STOP_ASLEEP;
	if (!alone || ((p->bits & MPT_POINT_MATTERS) &&
		       (i != n || (stop == STOP_TRAP && get_pc(run) != p->pc))))
		run->is_certain = false;
	bury_victim(run, i, stop == STOP_END);
}

static void choose_points(struct run *run)
{
	const struct mpt_stepper_opts *o = run->o;
	struct mpt_points_choice c = {
		.every = o->every != 0 ? o->every : EVERY,
		.budget = o->budget != 0 ? o->budget : BUDGET,
		.max = o->max_cases,
	};
	const char *mode = getenv("MPT_STEP");

	/* The text would be the child's, too. */
	run->may_jump = !o->walks && (run->may_count || !o->forks);
	run->walk = WALK;
	run->is_certain = true;
	if (run->result.exact && !o->chance) {
		c.every = 0;
		c.budget = c.budget < SAMPLE ? c.budget : SAMPLE;
	}
	if (is_full()) {
		c.every = run->points.last;
		c.max = 0;
		c.no_rounds = o->fingerprint != NULL;
		run->walk = ULONG_MAX;
	} else if (mode != NULL && strcmp(mode, "quick") == 0) {
		c.max = c.max == 0 || c.max > QUICK_CASES ? QUICK_CASES : c.max;
	} else if (mode != NULL && *mode != '\0') {
		mpt_points_choose_one(&run->points, strtoul(mode, NULL, 0));
		return;
	}
	mpt_points_choose(&run->points, &c);
}

/* When it turns out that victims are not as the dry run was, others are chosen, and
 * those are taken that were not. */
static void kill_at_points(struct run *run)
{
	const unsigned both = MPT_POINT_CHOSEN | MPT_POINT_DONE;
	unsigned long n = 0;

	while (n <= run->result.instructions) {
		if ((run->points.at[n].bits & both) != MPT_POINT_CHOSEN) {
			n++;
			continue;
		}
		kill_at(run, n);
		run->points.at[n].bits |= MPT_POINT_DONE;
		if (!is_full() && run->result.exact && !run->is_certain) {
			run->result.exact = false;
			choose_points(run);
			n = 0;
		}
	}
}

void mpt_stepper_run(struct mpt *t, const struct mpt_stepper_opts *o,
		     struct mpt_stepper_result *ret)
{
	struct run run = { .t = t, .o = o };

	make_dry_runs(&run);
	choose_points(&run);
	kill_at_points(&run);

	mpt_stepper_free(t);
	print_message("# step %s: %lu instructions, %lu cases, %lu syscalls, "
		      "%lu changes, %lu others%s, %lu asleep, %lu astray\n",
		      o->name, run.result.instructions, run.result.cases,
		      run.result.syscalls, run.result.changes,
		      run.result.others, run.result.exact ? "" : " known",
		      run.result.asleep, run.result.astray);
	if (ret != NULL)
		*ret = run.result;
}
