/* SPDX-License-Identifier: MIT */
/*
 * The single-step killer, see mpt_step.h; mpt_victim.c moves the victim.
 *
 * Stepping to the n-th instruction again and again costs the square of the
 * length. The dry run therefore notes where each instruction lies, and how often
 * it had been there. A victim is let run to a breakpoint at the last instruction
 * before the n-th one that had not been met before; from there to one, as often as
 * the dry run came there, for which that makes the fewest stops, unless the
 * processor cannot break without a change of the text; and is stepped from that
 * point.
 *
 * All processes share the text of the test program at the same addresses, as
 * they are forks of one image, and run on fresh objects; so the count of a
 * victim differs from that of the dry run only as far as the operation itself
 * depends on chance. A victim that ends its operation early is one more
 * finished case.
 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "mpt_points.h"
#include "mpt_priv.h"
#include "mpt_step.h"
#include "mpt_step_arch.h"
#include "mpt_victim.h"

enum {
	EVERY = 1000,
	BUDGET = 200,
	SAMPLE = 50,
	STIRS = 100,		/* who runs more often does not sleep */
	DRY_RUNS = 4,
	QUICK_RUNS = 1,		/* behind so many of them is a quick one */
	WATCHES = 1024,
	QUICK_CASES = 64,
	WALK = 100000,		/* steps, after victims that went astray */
};

struct run {
	struct mpt_victim v;
	struct mpt_stepper_result result;
	struct mpt_points points;	/* of 0 .. result.instructions */
	struct mpt_points longest;	/* see make_dry_runs() */
	bool may_jump;		/* breakpoints may be used */
	bool may_count;		/* and be met more than once */
	unsigned long walk;	/* steps that are left, see kill_at() */
	bool is_certain;	/* victims do what that of the dry run did */
	const char *why;	/* it is not exact */
	unsigned n_others;
	unsigned n_stirs;	/* steps in which others ran */
	unsigned long stirred;	/* the first point at which one was woken */
	bool ended_asleep;
	struct watch *watches;	/* in the order of their addresses */
	unsigned n_watches;
};

/* A breakpoint in the text of one victim, and what it is to stand for. */
struct watch {
	uintptr_t pc;
	unsigned long word;
};

/* What is known of instructions, each at a place of its own; the last one wins. */
static struct {
	uintptr_t pc;
	bool is_syscall;
} known_insns[4096];

/* Whoever is there beside the victim sleeps from now on. */
static bool find_others(struct run *run)
{
	run->v.t->others = mpt_others_new(run->v.pid);
	return run->v.t->others != NULL;
}

static void forget_others(struct run *run)
{
	mpt_others_free(run->v.t->others);
	run->v.t->others = NULL;
}

/* Should it hang, the report says where. */
static void start_victim(struct run *run, unsigned long n)
{
	struct mpt *t = run->v.t;

	if (run->result.instructions == 0)
		snprintf(t->note, sizeof(t->note), "step %s: dry run",
			 run->v.o->name);
	else
		snprintf(t->note, sizeof(t->note),
			 "step %s: victim on its way to %lu of %lu instructions",
			 run->v.o->name, n, run->result.instructions);
	mpt_victim_start(&run->v);
}

/* The victim is a zombie, or dies here; then the survivor has its say. */
static void bury_victim(struct run *run, unsigned long n, bool finished)
{
	pid_t pid = run->v.pid;

	mpt_victim_let_go();
	forget_others(run);
	mpt_slay(pid);
	if (!run->v.o->keep_zombie) {
		waitpid(pid, NULL, 0);
		run->v.t->victim = 0;
	}

	snprintf(run->v.t->note, sizeof(run->v.t->note),
		 "step %s: victim killed after %lu of %lu instructions%s",
		 run->v.o->name, n, run->result.instructions,
		 finished ? " (it had finished)" : "");
	run->result.cases++;
	run->v.o->survivor(run->v.o->arg, pid, n, finished);
	run->v.t->note[0] = '\0';

	if (run->v.o->keep_zombie) {
		waitpid(pid, NULL, 0);
		run->v.t->victim = 0;
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
	run->v.t->step_points[0] = run->points.at;
	run->v.t->step_points[1] = run->longest.at;
	return p;
}

static void mark_both_sides(struct run *run, unsigned long n, unsigned bits)
{
	point(run, n)->bits |= bits;
	point(run, n + 1)->bits |= bits;
}

static void give_up_exactness(struct run *run, const char *why)
{
	run->result.exact = false;
	run->why = why;
}

/* Has all that remains of a killed victim compared, if all others sleep. */
static void begin_comparing(struct run *run)
{
	run->result.exact = true;
	if (run->v.o->forks) {
		give_up_exactness(run, "it forks");
		return;
	}
	if (!find_others(run)) {
		give_up_exactness(run, "others do not sleep");
		return;
	}
	run->n_others = mpt_others_count(run->v.t->others);
	run->v.t->remains = mpt_remains_new(run->v.t, run->v.pid);
	if (run->v.t->remains == NULL)
		give_up_exactness(run, "not all can be seen");
}

/* After a system call, with which it may have woken somebody: they are to sleep
 * again, and it may share something else now. */
static void look_again(struct run *run, unsigned long n)
{
	bool ran;

	if (!run->result.exact)
		return;
	if (!mpt_others_settle(run->v.t->others, &ran))
		give_up_exactness(run, "others stay awake or end");
	else if (!mpt_remains_look(run->v.t->remains))
		give_up_exactness(run, "not all can be seen any more");
	if (ran && run->stirred > n)
		run->stirred = n + 1;
}

/*
 * After any other step. What has changed while others ran may be due to them, or they
 * may have taken back what the victim had done. They are looked at last, as they may
 * run at any time.
 */
static bool remains_changed(struct run *run, unsigned long n, bool *ret_ran)
{
	bool changed, known;

	*ret_ran = false;
	if (!run->result.exact)
		return false;
	changed = mpt_remains_changed(run->v.t->remains, run->v.faults,
				      &known);
	if (!known)
		give_up_exactness(run, "there is too much to see");
	*ret_ran = mpt_others_ran(run->v.t->others);
	if (*ret_ran) {
		mark_both_sides(run, n, MPT_POINT_STIRRED);
		if (++run->n_stirs > STIRS)
			give_up_exactness(run, "others run all the time");
	}
	return changed;
}

static void end_comparing(struct run *run)
{
	mpt_remains_free(run->v.t->remains);
	run->v.t->remains = NULL;
}

static void begin_dry_run(struct run *run)
{
	memset(known_insns, 0, sizeof(known_insns));
	mpt_points_clear(&run->points);
	run->n_others = run->n_stirs = 0;
	run->stirred = ULONG_MAX;
	run->result = (struct mpt_stepper_result){
		.cases = run->result.cases,
		.asleep = run->result.asleep,
	};
}

static bool is_at_syscall(struct run *run, uintptr_t pc)
{
	const size_t size = sizeof(known_insns) / sizeof(known_insns[0]);
	unsigned long word;

	if (known_insns[pc % size].pc != pc) {
		known_insns[pc % size].pc = pc;
		known_insns[pc % size].is_syscall =
			mpt_victim_read(&run->v, pc, &word) &&
			mpt_is_syscall((uint32_t)word);
	}
	return known_insns[pc % size].is_syscall;
}

static void dry_run(struct run *run)
{
	uint64_t (*fingerprint)(void *arg) = run->v.o->fingerprint;
	uint64_t now, last = 0;
	unsigned long n = 0;
	bool is_syscall, other, ran;
	enum mpt_stop stop = MPT_STOP_TRAP;
	uintptr_t pc;

	begin_dry_run(run);
	start_victim(run, 0);
	begin_comparing(run);
	run->may_count = !run->v.o->in_text && mpt_break_at(run->v.pid, 0);
	mpt_victim_take(&run->v);
	if (fingerprint != NULL)
		last = fingerprint(run->v.o->arg);

	for (;;) {
		pc = mpt_victim_pc(&run->v);
		point(run, n)->pc = pc;
		if (n == run->v.o->limit && n > 0)
			break;
		is_syscall = is_at_syscall(run, pc);
		if (is_syscall) {
			run->result.syscalls++;
			mark_both_sides(run, n, MPT_POINT_MATTERS);
		}
		run->v.signalled = false;
		stop = mpt_victim_advance(&run->v, true, n);
		if (stop != MPT_STOP_TRAP)
			break;
		if (run->v.signalled)
			point(run, n)->bits |= MPT_POINT_LEFT;
		if (is_syscall)
			look_again(run, n);
		ran = other = false;
		if (!is_syscall)
			other = remains_changed(run, n, &ran);
		/* What does not remain is not of interest. */
		now = last;
		if (fingerprint != NULL &&
		    (!run->result.exact || is_syscall || other || ran))
			now = fingerprint(run->v.o->arg);
		run->result.changes += now != last;
		run->result.others += other && now == last;
		if ((now != last || other) && !ran)
			mark_both_sides(run, n, MPT_POINT_MATTERS);
		last = now;
		n++;
	}

	run->result.instructions = n;
	point(run, 0)->bits |= MPT_POINT_MATTERS;
	point(run, n)->bits |= MPT_POINT_MATTERS;
	run->points.last = n;
	mpt_points_count_visits(&run->points);
	run->ended_asleep = stop == MPT_STOP_ASLEEP;
	if (stop == MPT_STOP_ASLEEP)
		run->result.asleep++;
	else if (stop == MPT_STOP_END)
		mpt_victim_finish(&run->v);
	else
		give_up_exactness(run, "it goes on");
	end_comparing(run);
	bury_victim(run, n, stop == MPT_STOP_END);
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
	run->result = *result;
	give_up_exactness(run, "no two dry runs were alike");
}

static int compare_watches(const void *a, const void *b)
{
	const struct watch *p = a, *q = b;

	return p->pc < q->pc ? -1 : p->pc > q->pc;
}

static struct watch *find_watch(struct run *run, uintptr_t pc)
{
	const struct watch key = { .pc = pc };

	return bsearch(&key, run->watches, run->n_watches, sizeof(key),
		       compare_watches);
}

/* The instructions of all points that matter. Returns whether fewer stops are made
 * there than there are instructions, by far: each of them takes several calls. */
static bool choose_watches(struct run *run)
{
	struct mpt_points *p = &run->points;
	unsigned long i, stops = 0;
	unsigned n = 0, kept = 0;

	for (i = 0; i <= p->last; i++) {
		if (p->at[i].bits & MPT_POINT_LEFT)
			return false;
		if (!(p->at[i].bits & MPT_POINT_MATTERS))
			continue;
		if (n == WATCHES)
			return false;
		run->watches[n++].pc = p->at[i].pc;
	}
	qsort(run->watches, n, sizeof(run->watches[0]), compare_watches);
	for (i = 0; i < n; i++)
		if (kept == 0 || run->watches[kept - 1].pc != run->watches[i].pc)
			run->watches[kept++] = run->watches[i];
	run->n_watches = kept;

	for (i = 0; i <= p->last; i++)
		if (find_watch(run, p->at[i].pc) != NULL) {
			p->at[i].bits |= MPT_POINT_WATCHED;
			stops++;
		}
	return stops < p->last / 4;
}

/* Changes the text at @pc, where others may be as near as the next byte. */
static bool set_text(struct run *run, uintptr_t pc, unsigned long bits)
{
	unsigned long word;

	return mpt_victim_read(&run->v, pc, &word) &&
	       mpt_victim_write(&run->v, pc,
				(word & ~MPT_BREAK_MASK) |
				(bits & MPT_BREAK_MASK));
}

static bool set_watches(struct run *run)
{
	unsigned i;

	for (i = 0; i < run->n_watches; i++)
		if (!mpt_victim_read(&run->v, run->watches[i].pc,
				     &run->watches[i].word))
			return false;
	for (i = 0; i < run->n_watches; i++)
		if (!set_text(run, run->watches[i].pc, MPT_BREAK))
			return false;
	return true;
}

/* Whether something has changed that did not in the dry run, or it cannot be told. */
static bool has_strayed(struct run *run, bool may_change)
{
	bool known, changed;

	changed = mpt_remains_changed(run->v.t->remains, run->v.faults,
				      &known);
	return !known || (changed && !may_change);
}

/* Moves it from point @n, at a breakpoint, by one instruction. */
static bool step_over(struct run *run, unsigned long n, enum mpt_stop *stop)
{
	const struct mpt_point *p = &run->points.at[n];
	const struct watch *w = find_watch(run, p->pc);
	bool ran;

	if (w == NULL || mpt_victim_pc(&run->v) != w->pc ||
	    !set_text(run, w->pc, w->word))
		return false;
	*stop = mpt_victim_advance(&run->v, true, n);
	if (*stop != MPT_STOP_TRAP)
		return n == run->points.last &&
		       (*stop == MPT_STOP_ASLEEP) == run->ended_asleep;
	if (n == run->points.last || !set_text(run, w->pc, MPT_BREAK))
		return false;
	if (mpt_is_syscall((uint32_t)w->word))
		return mpt_others_settle(run->v.t->others, &ran) &&
		       mpt_remains_look(run->v.t->remains);
	return !has_strayed(run, p[0].bits & p[1].bits & MPT_POINT_MATTERS);
}

/* Lets it run from point @n, where there is none, to the next breakpoint. */
static bool run_on(struct run *run, unsigned long *n, enum mpt_stop *stop)
{
	while (!(run->points.at[*n].bits & MPT_POINT_WATCHED))
		++*n;
	*stop = mpt_victim_advance(&run->v, false, *n);
	if (*stop != MPT_STOP_TRAP)
		return false;
	mpt_victim_set_pc(&run->v, mpt_victim_pc(&run->v) - MPT_BREAK_SIZE);
	return !has_strayed(run, false);
}

/*
 * One more victim, which is to come by the same points that matter, in the same order,
 * and must not change anything on its way from one to the next. It runs from
 * breakpoint to breakpoint, which is quicker than steps, and as good: what happens
 * elsewhere is looked at when it comes to the next one.
 */
static bool comes_by_again(struct run *run)
{
	enum mpt_stop stop = MPT_STOP_TRAP;
	unsigned long n = 0;
	bool alike;

	start_victim(run, run->points.last);
	alike = find_others(run) &&
		mpt_others_count(run->v.t->others) == run->n_others &&
		(run->v.t->remains = mpt_remains_new(run->v.t, run->v.pid)) &&
		set_watches(run);
	mpt_victim_take(&run->v);
	while (alike && stop == MPT_STOP_TRAP) {
		alike = step_over(run, n, &stop);
		if (!alike || stop != MPT_STOP_TRAP)
			break;
		n++;
		if (!(run->points.at[n].bits & MPT_POINT_WATCHED))
			alike = run_on(run, &n, &stop);
	}
	end_comparing(run);
	run->result.asleep += stop == MPT_STOP_ASLEEP;
	bury_victim(run, n, stop == MPT_STOP_END);
	return alike;
}

/*
 * What a dry run has shown is only relied upon if another one comes by the same
 * points that matter, after as many visits there; how often it goes round elsewhere
 * makes no difference. That one need not be stepped all the way, but has to be if a
 * loop goes round as it likes by an instruction that matters another time.
 * The very first may be the only one to find something new. If no two in a row are
 * alike, the longest is the model.
 */
static void make_dry_runs(struct run *run)
{
	struct mpt_stepper_result longest = { 0 };
	bool again, was_last = false;
	uint64_t hash, last = 0;
	unsigned i;

	for (i = 0; i < DRY_RUNS; i++) {
		dry_run(run);
		if (is_full() || run->v.o->chance ||
		    (i == 0 && !run->result.exact))
			return;
		hash = mpt_points_hash(&run->points);
		if (was_last && run->result.exact && hash == last)
			return;
		again = i < QUICK_RUNS && run->result.exact &&
			choose_watches(run);
		if (again && comes_by_again(run))
			return;
		/* The one before the next is this one, if there is no other. */
		was_last = !again;
		last = hash;
		keep_longest(run, &longest);
	}
	take_longest(run, &longest);
}

/* Lets it run to point @i, where it has not been before. Returns false if it could not,
 * and has not moved. */
static bool run_to_mark(struct run *run, unsigned long i, enum mpt_stop *ret)
{
	struct mpt_point *p = &run->points.at[i];

	if (!run->may_count && !mpt_victim_run_to(&run->v, p->pc, ret))
		return false;
	if (run->may_count)
		*ret = mpt_victim_run_to_visit(&run->v, p->pc, 1);
	if (*ret == MPT_STOP_TRAP)
		p->bits |= MPT_POINT_PASSED;
	return true;
}

/* Lets it run near point @n. Returns the point that it is stepped from, if it has come
 * there. */
static unsigned long jump(struct run *run, unsigned long n, enum mpt_stop *ret)
{
	struct mpt_points_way way;

	if (!run->may_jump)
		return 0;
	way = mpt_points_way(&run->points, n, run->may_count);
	if (way.mark > 0 && !run_to_mark(run, way.mark, ret))
		return 0;
	if (way.visits > 0 && *ret == MPT_STOP_TRAP)
		*ret = mpt_victim_run_to_visit(
			&run->v, run->points.at[way.to].pc, way.visits);
	return way.to;
}

/* The same for one of which others went astray on their way to @n: as far as one has
 * come. */
static unsigned long jump_less(struct run *run, unsigned long n,
			       enum mpt_stop *ret)
{
	unsigned long i = n;

	while (i > 0 && !(run->points.at[i].bits & MPT_POINT_PASSED))
		i--;
	return i > 0 && run_to_mark(run, i, ret) ? i : 0;
}

/* Moves a victim on from point @i to @n. Returns where it has stopped. */
static unsigned long step_to(struct run *run, unsigned long i, unsigned long n,
			     enum mpt_stop *stop)
{
	while (i < n && *stop == MPT_STOP_TRAP) {
		*stop = mpt_victim_advance(&run->v, true, i);
		if (*stop == MPT_STOP_TRAP)
			i++;
	}
	return i;
}

/* The victim went another way than the dry run, and stays for the survivor to see. */
static void replace_victim(struct run *run, unsigned long i, unsigned long n,
			   enum mpt_stop *stop)
{
	run->result.astray++;
	run->result.asleep += *stop == MPT_STOP_ASLEEP;
	bury_victim(run, i, *stop == MPT_STOP_END);
	start_victim(run, n);
	mpt_victim_take(&run->v);
	*stop = MPT_STOP_TRAP;
}

/*
 * One victim, killed after @n instructions. For one that did not come by where it
 * was to be let run to another one is stepped there from where they part, or all the
 * way, if not too many such steps would have been made already. Whom it has woken may
 * be just about to do something when it is killed, or has done all of it if that is
 * @settled.
 */
static void kill_at(struct run *run, unsigned long n, bool settled)
{
	const unsigned known = MPT_POINT_MATTERS | MPT_POINT_STIRRED;
	const struct mpt_point *p = &run->points.at[n];
	enum mpt_stop stop = MPT_STOP_TRAP;
	unsigned long i;
	bool ran;

	start_victim(run, n);
	if (run->result.exact &&
	    (!find_others(run) ||
	     mpt_others_count(run->v.t->others) != run->n_others))
		run->is_certain = false;
	mpt_victim_take(&run->v);

	i = jump(run, n, &stop);
	if (stop != MPT_STOP_TRAP && run->walk >= n) {
		run->walk -= n;
		replace_victim(run, i, n, &stop);
		i = jump_less(run, n, &stop);
		if (stop != MPT_STOP_TRAP) {
			replace_victim(run, i, n, &stop);
			i = 0;
		}
	} else if (stop != MPT_STOP_TRAP) {
		run->result.astray++;
	}
	i = step_to(run, i, n, &stop);
	run->result.asleep += stop == MPT_STOP_ASLEEP;
	if ((p->bits & known) &&
	    (i != n || (stop == MPT_STOP_TRAP && mpt_victim_pc(&run->v) != p->pc)))
		run->is_certain = false;
	if (settled && run->v.t->others != NULL)
		mpt_others_settle(run->v.t->others, &ran);
	bury_victim(run, i, stop == MPT_STOP_END);
}

static void choose_points(struct run *run)
{
	const struct mpt_stepper_opts *o = run->v.o;
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
		kill_at(run, n, false);
		if (run->result.exact && n >= run->stirred &&
		    (run->points.at[n].bits & MPT_POINT_MATTERS))
			kill_at(run, n, true);
		run->points.at[n].bits |= MPT_POINT_DONE;
		if (!is_full() && run->result.exact && !run->is_certain) {
			give_up_exactness(run, "a victim was unlike others");
			choose_points(run);
			n = 0;
		}
	}
}

void mpt_stepper_run(struct mpt *t, const struct mpt_stepper_opts *o,
		     struct mpt_stepper_result *ret)
{
	struct watch watches[WATCHES];
	struct run run = {
		.v = { .t = t, .o = o },
		.watches = watches,
	};

	make_dry_runs(&run);
	choose_points(&run);
	kill_at_points(&run);

	mpt_stepper_free(t);
	print_message("# step %s: %lu instructions, %lu cases, %lu syscalls, "
		      "%lu changes, %lu others%s, %lu asleep, %lu astray%s%s\n",
		      o->name, run.result.instructions, run.result.cases,
		      run.result.syscalls, run.result.changes,
		      run.result.others, run.result.exact ? "" : " known",
		      run.result.asleep, run.result.astray,
		      run.result.exact ? "" : "; ",
		      run.result.exact ? "" : run.why);
	if (ret != NULL)
		*ret = run.result;
}
