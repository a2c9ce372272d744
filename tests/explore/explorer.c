/* SPDX-License-Identifier: MIT */
/*
 * Fibers, and who of them goes on.
 *
 * A fiber decides itself, before each access, who goes on. Another one really goes on
 * once in a few accesses, so the system calls of swapcontext() would take up to two
 * fifths of the time: a context is only what a fiber begins with, and from then on it
 * is left by _setjmp() and entered by _longjmp().
 */

/* With it, longjmp() forbids to go to another stack. */
#undef _FORTIFY_SOURCE

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#include "explorer_priv.h"

#define STACK 65536
#define STEPS_MAX 4000 /* a schedule with more of them does not end */

enum state {
	READY,
	ENDED,
	KILLED,
};

/* Where one goes on. */
struct place {
	ucontext_t first;
	jmp_buf later;
	bool begun;
};

struct fiber {
	struct place place;
	enum state state;
	bool usable; /* its place is where a new run may begin */
	unsigned gone; /* 1 if it has ended or was killed */
	bool (*is_over)(unsigned fiber); /* sleeps until then; or NULL */
	const unsigned *word; /* of explore_sleep() */
	unsigned old;
	_Alignas(64) unsigned char stack[STACK];
};

static struct {
	const struct explore_scenario *scenario;
	const struct explore_bounds *bounds;
	struct fiber fibers[EXPLORE_FIBERS];
	struct place outside;
	unsigned current;
	bool just_came; /* the fiber has made no access since its turn began */
	bool trace;

	/* Of this schedule. */
	struct explore_bounds used;
	unsigned steps;
	char failure[EXPLORE_FAILURE];
} e = { .current = EXPLORE_OUTSIDE, .outside.begun = true };

unsigned
explore_current(void)
{
	return e.current;
}

bool
explore_killed(unsigned fiber)
{
	return e.fibers[fiber].state == KILLED;
}

bool
explore_asleep(unsigned fiber)
{
	const struct fiber *f = &e.fibers[fiber];

	return f->state == READY && f->is_over && !f->is_over(fiber);
}

bool
explore_is_plain(void)
{
	return e.bounds->stale == 0;
}

void
explore_note(const char *format, ...)
{
	va_list args;

	if (!e.trace)
		return;
	if (e.current == EXPLORE_OUTSIDE)
		printf("#   end: ");
	else
		printf("#   %u: ", e.current);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

unsigned
explore_choose_stale(unsigned max)
{
	unsigned back;

	if (e.used.stale == e.bounds->stale || e.current == EXPLORE_OUTSIDE)
		return 0;
	back = explore_choose(max + 1);
	e.used.stale += back > 0;
	return back;
}

static bool
is_runnable(unsigned fiber)
{
	return e.fibers[fiber].state == READY && !explore_asleep(fiber);
}

/* All that can go on, except @except. Returns how many. */
static unsigned
runnable(unsigned except, unsigned list[EXPLORE_FIBERS])
{
	unsigned n = 0;

	for (unsigned f = 0; f < e.scenario->fibers; f++)
		if (f != except && is_runnable(f))
			list[n++] = f;
	return n;
}

void
explore_kill(unsigned other)
{
	struct fiber *f = &e.fibers[other];

	if (f->state != READY)
		return;
	explore_note("%u is killed", other);
	f->state = KILLED;
	f->gone = 1;
}

static struct place *
place_of(unsigned fiber)
{
	return fiber == EXPLORE_OUTSIDE ? &e.outside : &e.fibers[fiber].place;
}

/* Does not return. AddressSanitizer is told of a fresh stack by swapcontext() only. */
static void
enter(struct place *p)
{
	static ucontext_t unused;

	if (p->begun)
		_longjmp(p->later, 1);
	p->begun = true;
	swapcontext(&unused, &p->first);
	abort();
}

static void
go(unsigned fiber)
{
	unsigned from = e.current;

	if (fiber == from)
		return;
	e.current = fiber;
	e.just_came = true;
	if (e.scenario->enter && fiber != EXPLORE_OUTSIDE)
		e.scenario->enter(fiber);
	if (_setjmp(place_of(from)->later) == 0)
		enter(place_of(fiber));
}

/* Goes on where it is possible; the current fiber cannot, at least not for
 * now. */
static void
pass_on(void)
{
	unsigned list[EXPLORE_FIBERS];
	unsigned n = runnable(EXPLORE_OUTSIDE, list);

	go(n ? list[explore_choose(n)] : EXPLORE_OUTSIDE);
}

void
explore_step(void)
{
	unsigned me = e.current, list[EXPLORE_FIBERS], others = 0, way;
	bool may_crash;

	if (me == EXPLORE_OUTSIDE)
		return;
	if (++e.steps > STEPS_MAX)
		explore_fail(__FILE__, __LINE__, "a schedule does not end");
	/* Who was chosen just now instead of another need not be asked again
	 * before it has done anything. */
	if (!e.just_came && e.used.preemptions < e.bounds->preemptions)
		others = runnable(me, list);
	e.just_came = false;
	may_crash = e.used.crashes < e.bounds->crashes &&
		    (e.scenario->mortal >> me & 1);
	way = explore_choose(1 + others + may_crash);
	if (way == 0)
		return;
	if (way <= others) {
		e.used.preemptions++;
		go(list[way - 1]);
		e.just_came = false;
		return;
	}
	e.used.crashes++;
	explore_kill(me);
	pass_on();
}

void
explore_point(void)
{
	explore_step();
	explore_access_settle();
}

void
explore_wait(bool (*is_over)(unsigned fiber))
{
	struct fiber *f = &e.fibers[e.current];

	if (!is_over(e.current)) {
		explore_note("sleeps");
		f->is_over = is_over;
		pass_on();
	}
	f->is_over = NULL;
}

static bool
has_changed(unsigned fiber)
{
	return *e.fibers[fiber].word != e.fibers[fiber].old;
}

void
explore_sleep(const unsigned *word, unsigned old)
{
	e.fibers[e.current].word = word;
	e.fibers[e.current].old = old;
	explore_wait(has_changed);
}

void
explore_inherit(unsigned other)
{
	explore_sleep(&e.fibers[other].gone, 0);
	explore_memory_inherit(e.current, other);
}

void
explore_fail(const char *file, int line, const char *text)
{
	const char *base = strrchr(file, '/');

	if (!e.failure[0])
		snprintf(e.failure, sizeof(e.failure), "%s:%d: %s",
			 base ? base + 1 : file, line, text);
	explore_note("fails: %s", e.failure);
	if (e.current != EXPLORE_OUTSIDE)
		go(EXPLORE_OUTSIDE);
}

/* A fiber runs its scenario once for each time it is resumed here. */
static void
fiber_main(void)
{
	for (;;) {
		struct fiber *f = &e.fibers[e.current];

		f->is_over = NULL;
		e.scenario->run(e.current);
		explore_note("ends");
		f->state = ENDED;
		f->gone = 1;
		f->usable = true;
		pass_on();
	}
}

/* Makes a fiber ready to begin. One that was killed, or left where it slept or
 * failed, begins on a fresh stack. */
static void
begin_fiber(struct fiber *f)
{
	f->state = READY;
	f->gone = 0;
	f->is_over = e.scenario->ready;
	if (!f->usable) {
		getcontext(&f->place.first);
		f->place.first.uc_stack.ss_sp = f->stack;
		f->place.first.uc_stack.ss_size = STACK;
		makecontext(&f->place.first, fiber_main, 0);
		f->place.begun = false;
	}
	f->usable = false;
}

static void
run_schedule(void)
{
	explore_tape_rewind();
	e.steps = 0;
	e.used = (struct explore_bounds){ 0 };
	e.failure[0] = '\0';
	for (unsigned i = 0; i < e.scenario->fibers; i++)
		begin_fiber(&e.fibers[i]);
	explore_memory_begin();
	explore_access_begin();
	e.scenario->begin();
	pass_on();
	if (!e.failure[0])
		e.scenario->end();
}

static void
set_scenario(const struct explore_scenario *s, const struct explore_bounds *b)
{
	e.scenario = s;
	e.bounds = b;
}

void
explore(const struct explore_scenario *s, const struct explore_bounds *b,
	struct explore_result *ret)
{
	struct timespec begin, end;

	set_scenario(s, b);
	*ret = (struct explore_result){ 0 };
	explore_tape_clear();
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		run_schedule();
		ret->schedules++;
		ret->steps += e.steps;
		if (e.steps > ret->longest)
			ret->longest = e.steps;
	} while (!e.failure[0] && explore_tape_next());
	clock_gettime(CLOCK_MONOTONIC, &end);
	ret->seconds = (double)(end.tv_sec - begin.tv_sec) +
		       (double)(end.tv_nsec - begin.tv_nsec) * 1e-9;
	memcpy(ret->failure, e.failure, sizeof(ret->failure));
}

void
explore_trace(const struct explore_scenario *s, const struct explore_bounds *b)
{
	set_scenario(s, b);
	e.trace = true;
	printf("# schedule of %s that fails:\n", s->name);
	run_schedule();
	e.trace = false;
}
