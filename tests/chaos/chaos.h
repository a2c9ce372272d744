/* SPDX-License-Identifier: MIT */
/*
 * The frame of chaos tests of locks and the like: eight processes use the same
 * objects, and are killed and stopped at random. A quarter of the kills are aimed
 * at one that is inside, half at one that is in the middle of a call, of the one that
 * has been hit least. Who is killed is replaced by a fresh process.
 *
 * A kill that hits nothing proves nothing. So each worker notes which call it is in,
 * how many kills have hit each is printed, and a run in which one has not been hit
 * often enough fails.
 *
 * Every few kills there is a truce: each worker finishes what it does and
 * rests. Then the contents are verified; and that each one came is the proof
 * that none of them waits for the dead, or for a wake-up that these took along.
 * Traffic repairs much that went wrong, so there are many truces.
 *
 * A sleeper looks at what it waits for at the end of its slice, and so gets
 * over a wake-up that was lost. Therefore some workers are never killed, as a
 * fresh thread's first slice is a short one, and with a crowd of others asleep
 * the next ones last for more than CHAOS_CROWD / 20 seconds, which is longer
 * than anybody may sleep when a truce begins.
 */
#ifndef CHAOS_CHAOS_H
#define CHAOS_CHAOS_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "level.h"
#include "mpt_rand.h"

enum {
	CHAOS_WORKERS = 8,
	CHAOS_VETERANS = 3, /* every third one is never killed, from 0 on */
	CHAOS_CROWD = 150,
	CHAOS_BETWEEN_TRUCES = 10, /* kills */
	CHAOS_KILLS_MAX = 4000,
	CHAOS_DEEDS = 16, /* 0 is none */
};

/* ns */
#define CHAOS_PAUSE 250000 /* at most, between any two things that happen */
#define CHAOS_AIM 3000000 /* at most, until one does what is wanted */
#define CHAOS_AIM_FULL 100000000
#define CHAOS_LOOK_EVERY INT64_C(10000000)
#define CHAOS_SLEEP_MAX INT64_C(3000000000)

/* The first member of what a test has in the scratch bytes. */
struct chaos {
	_Atomic unsigned truce; /* odd while there is one */
	_Atomic bool over;
	_Atomic unsigned rests[CHAOS_WORKERS];    /* in which truce they came */
	_Atomic uint64_t finished[CHAOS_WORKERS]; /* for the test */
	_Atomic pid_t pid[CHAOS_WORKERS];
	_Atomic unsigned deed[CHAOS_WORKERS]; /* which call each is in */
	unsigned hits[CHAOS_DEEDS]; /* kills, by that */
	_Atomic unsigned deaths;
	pid_t died[CHAOS_KILLS_MAX];
	mproc_event *morning; /* for the crowd */
	_Atomic unsigned asleep;
};

struct chaos_plan {
	mpt_fn *work; /* a worker; its argument is its number */
	unsigned kills; /* of a normal run over all CPUs; on one, half of them */
	bool crowded;   /* a crowd sleeps, but for runs on one CPU */
	/* Names of the calls that are to be hit, from that of 1 on, and NULL. */
	const char *const *deeds;
	/* Who is inside now, a process, or 0. */
	pid_t (*inside)(struct mpt *t, struct mpt_rand *rand);
	/* All others may be NULL. The worker @number, of process @pid, was
	 * killed, and there is no other one in its place yet. Returns whether
	 * there is to be a truce now. */
	bool (*bury)(struct mpt *t, unsigned number, pid_t pid);
	/* There is. */
	void (*replaced)(struct mpt *t, unsigned number, pid_t pid);
	/* A truce has been called. */
	void (*call)(struct mpt *t);
	/* All rest. */
	void (*verify)(struct mpt *t);
};

/* mpt_until() for the test, which fails if everybody sleeps and nobody wakes
 * up. */
#define chaos_until(t, cond)                                             \
	do {                                                             \
		struct chaos_watch chaos_watch = { 0 };                  \
                                                                         \
		mpt_until(t, (cond) || chaos_is_stuck(t, &chaos_watch)); \
		assert_true(cond);                                       \
	} while (0)

struct chaos_watch {
	int64_t looked;
	int64_t since; /* when all have slept each time that we looked */
};

static inline bool
chaos_all_sleep(const struct chaos *c)
{
	for (int i = 0; i < CHAOS_WORKERS; i++) {
		int state = mpt_task_state(c->pid[i]);

		if (c->rests[i] != c->truce && state && state != 'S')
			return false;
	}
	return true;
}

/* However busy the machine is, who was woken does not sleep. Who lost a wake-up
 * sleeps until the end of its slice. */
static inline bool
chaos_is_stuck(struct mpt *t, struct chaos_watch *watch)
{
	const struct chaos *c = mpt_scratch(t);
	int64_t now = mproc_now();

	if (!c->asleep || now - watch->looked < CHAOS_LOOK_EVERY)
		return false;
	if (!watch->since || !chaos_all_sleep(c))
		watch->since = now;
	watch->looked = now;
	return now - watch->since > CHAOS_SLEEP_MAX;
}

/* Where this worker notes what it does. */
static _Atomic unsigned *chaos_deed;

/* For a worker, first of all. */
static inline void
chaos_begin(struct mpt *t, unsigned me)
{
	struct chaos *c = mpt_scratch(t);

	chaos_deed = &c->deed[me];
}

/* It is about to make that call. The test's own calls do not count. */
static inline void
chaos_does(unsigned deed)
{
	if (chaos_deed)
		*chaos_deed = deed;
}

/* It has made it. Returns @r. */
static inline int
chaos_done(int r)
{
	chaos_does(0);
	return r;
}

/* For workers: whether a truce has been called. */
static inline bool
chaos_is_truce(struct mpt *t)
{
	const struct chaos *c = mpt_scratch(t);

	return c->truce % 2;
}

/* For a worker that is not in the middle of anything: rests if there is a
 * truce. Returns whether it is to go on. */
static inline bool
chaos_rest(struct mpt *t, unsigned me)
{
	struct chaos *c = mpt_scratch(t);
	unsigned truce = c->truce;

	if (truce % 2) {
		c->rests[me] = truce;
		mpt_until(t, c->truce != truce);
	}
	return !c->over;
}

/* Which death was that of process @pid? The first one is 1; 0 if it has not
 * been killed. */
static inline unsigned
chaos_death(struct mpt *t, pid_t pid)
{
	const struct chaos *c = mpt_scratch(t);
	unsigned n = c->deaths;

	while (n && c->died[n - 1] != pid)
		n--;
	return n;
}

/* Makes the caller a participant. Of who is none yet, and is killed between a
 * change and a wake-up, others only learn at the end of their slices. */
static inline void
chaos_join(struct mpt *t)
{
	mproc_lock lock = { { 0 } };

	mpt_check_int(t, mproc_lock_acquire(&lock, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_lock_release(&lock), 0);
}

/* Less than @most turns of a loop, but now and then ten times as many, so that
 * a kill that is aimed has a chance to hit. */
static inline void
chaos_spend(struct mpt_rand *rand, uint64_t most)
{
	uint64_t turns = mpt_rand_below(rand, most);

	if (mpt_rand_below(rand, 16) == 0)
		turns *= 10;
	while (turns--)
		atomic_signal_fence(memory_order_seq_cst);
}

/* Mostly without a limit; sometimes one gives up soon. */
static inline mproc_timeout
chaos_timeout(struct mpt_rand *rand)
{
	return mpt_rand_below(rand, 4)
		       ? MPROC_FOREVER
		       : mproc_us((int64_t)mpt_rand_below(rand, 100));
}

/* The test's own side of a run. */
struct chaos_run {
	struct mpt *t;
	struct chaos *c;
	const struct chaos_plan *plan;
	struct mpt_rand rand;
	int id[CHAOS_WORKERS];
	bool stopped[CHAOS_WORKERS];
	unsigned kills; /* at least */
	unsigned since_truce; /* kills */
};

static inline void *
chaos_sleep(void *arg)
{
	struct chaos *c = arg;

	c->asleep++;
	return (void *)(intptr_t)mproc_event_wait(c->morning, MPROC_FOREVER);
}

static inline int
chaos_crowd(struct mpt *t, void *arg)
{
	pthread_t threads[CHAOS_CROWD];
	void *r;

	(void)arg;
	for (int i = 0; i < CHAOS_CROWD; i++)
		mpt_check_int(t,
			      pthread_create(&threads[i], NULL, chaos_sleep,
					     mpt_scratch(t)),
			      0);
	for (int i = 0; i < CHAOS_CROWD; i++) {
		mpt_check_int(t, pthread_join(threads[i], &r), 0);
		mpt_check(t, !r);
	}
	return 0;
}

static inline void
chaos_pause(struct chaos_run *run)
{
	int64_t end =
		mproc_now() + (int64_t)mpt_rand_below(&run->rand, CHAOS_PAUSE);

	while (mproc_now() < end)
		;
}

static inline void
chaos_start(struct chaos_run *run, unsigned i)
{
	run->id[i] = mpt_spawn(run->t, "worker", run->plan->work,
			       (void *)(uintptr_t)i);
	run->c->pid[i] = mpt_pid(run->t, run->id[i]);
}

static inline bool
chaos_is_veteran(unsigned i)
{
	return i % CHAOS_VETERANS == 0;
}

/* Any, or only one that may be killed. */
static inline unsigned
chaos_choose_any(struct chaos_run *run, bool mortal)
{
	unsigned i;

	do
		i = (unsigned)mpt_rand_below(&run->rand, CHAOS_WORKERS);
	while (mortal && chaos_is_veteran(i));
	return i;
}

/* How many calls have been hit, and are to be, less than @enough times; and which one
 * least, or 0 if there are none. */
static inline unsigned
chaos_count_short(const struct chaos_run *run, unsigned enough,
		  unsigned *ret_least)
{
	unsigned n = 0;

	*ret_least = 0;
	for (unsigned i = 1; run->plan->deeds && run->plan->deeds[i - 1]; i++) {
		n += run->c->hits[i] < enough;
		if (!*ret_least || run->c->hits[i] < run->c->hits[*ret_least])
			*ret_least = i;
	}
	return n;
}

static inline unsigned
chaos_least_hit(const struct chaos_run *run)
{
	unsigned least;

	chaos_count_short(run, 0, &least);
	return least;
}

/* One that is inside, as soon as there is one, or -1. Until a kill arrives
 * there, many have gone on, to where others are woken. */
static inline int
chaos_find_inside(struct chaos_run *run, bool mortal)
{
	int64_t end = mproc_now() + CHAOS_PAUSE;

	while (mproc_now() < end) {
		pid_t pid = run->plan->inside(run->t, &run->rand);

		for (unsigned i = 0; i < CHAOS_WORKERS && pid; i++)
			if (run->c->pid[i] == pid &&
			    !(mortal && chaos_is_veteran(i)))
				return (int)i;
	}
	return -1;
}

static inline void
chaos_stop(struct chaos_run *run, unsigned i)
{
	if (!run->stopped[i])
		mpt_pause(run->t, run->id[i]);
	run->stopped[i] = true;
}

static inline void
chaos_continue(struct chaos_run *run, unsigned i)
{
	if (run->stopped[i])
		mpt_resume(run->t, run->id[i]);
	run->stopped[i] = false;
}

/* One that is in the middle of the call that has been hit least, and stopped there:
 * a kill that is only sent when it is seen there mostly comes too late. Otherwise
 * -1. */
static inline int
chaos_catch(struct chaos_run *run)
{
	unsigned deed = chaos_least_hit(run);
	int64_t end = mproc_now() +
		      chaos_by_level(CHAOS_AIM, CHAOS_AIM, CHAOS_AIM_FULL);

	while (deed && mproc_now() < end) {
		unsigned i = chaos_choose_any(run, true);
		bool stopped = run->stopped[i];

		if (run->c->deed[i] != deed)
			continue;
		chaos_stop(run, i);
		if (run->c->deed[i] == deed)
			return (int)i;
		if (!stopped)
			chaos_continue(run, i);
	}
	return -1;
}

static inline unsigned
chaos_choose(struct chaos_run *run, bool mortal)
{
	uint64_t how = mpt_rand_below(&run->rand, 4);
	int i = -1;

	if (how < 2 && mortal && run->plan->deeds)
		i = chaos_catch(run);
	else if (how < 3)
		i = chaos_find_inside(run, mortal);
	return i >= 0 ? (unsigned)i : chaos_choose_any(run, mortal);
}

/* Now and then some, one after another. Who is to stop needs a CPU for that,
 * which takes longer than all else. */
static inline void
chaos_stop_some(struct chaos_run *run)
{
	uint64_t n = mpt_rand_below(&run->rand, 4)
			     ? 0
			     : 1 + mpt_rand_below(&run->rand, 3);

	for (; n; n--) {
		chaos_stop(run, chaos_choose(run, false));
		chaos_pause(run);
	}
}

static inline void
chaos_continue_all(struct chaos_run *run)
{
	unsigned first = (unsigned)mpt_rand_below(&run->rand, CHAOS_WORKERS);

	for (unsigned n = 0; n < CHAOS_WORKERS; n++)
		chaos_continue(run, (first + n) % CHAOS_WORKERS);
}

/* Returns whether there is to be a truce. */
static inline bool
chaos_kill(struct chaos_run *run)
{
	const struct chaos_plan *plan = run->plan;
	unsigned victim = chaos_choose(run, true);
	pid_t pid = run->c->pid[victim];
	bool tired = false;

	/* Before anybody can know it. */
	run->c->died[run->c->deaths] = pid;
	run->c->deaths++;
	mpt_kill(run->t, run->id[victim]);
	run->c->hits[run->c->deed[victim]]++;
	run->c->deed[victim] = 0;
	run->stopped[victim] = false;
	chaos_continue_all(run);
	if (plan->bury)
		tired = plan->bury(run->t, victim, pid);
	chaos_start(run, victim);
	if (plan->replaced)
		plan->replaced(run->t, victim, pid);
	return tired || ++run->since_truce == CHAOS_BETWEEN_TRUCES;
}

static inline bool
chaos_all_rest(const struct chaos *c)
{
	for (int i = 0; i < CHAOS_WORKERS; i++)
		if (c->rests[i] != c->truce)
			return false;
	return true;
}

static inline void
chaos_truce(struct chaos_run *run, bool is_last)
{
	struct chaos *c = run->c;

	c->truce++;
	if (run->plan->call)
		run->plan->call(run->t);
	chaos_until(run->t, chaos_all_rest(c));
	if (run->plan->verify)
		run->plan->verify(run->t);
	run->since_truce = 0;
	c->over = is_last;
	c->truce++;
}

static inline unsigned
chaos_kills(const struct chaos_plan *plan)
{
	unsigned n = chaos_has_one_cpu ? plan->kills / 2 : plan->kills;

	return chaos_by_level(n / 10, n, 2 * n);
}

static inline bool
chaos_is_enough(const struct chaos_run *run)
{
	unsigned least;

	return run->c->deaths == CHAOS_KILLS_MAX ||
	       (run->c->deaths >= run->kills &&
		!chaos_count_short(run, chaos_enough(), &least));
}

static inline void
chaos_must_have_hit(const struct chaos_run *run)
{
	const char *const *deeds = run->plan->deeds;
	unsigned least;

	for (unsigned i = 1; deeds && deeds[i - 1]; i++)
		print_message("%s%s: %u", i > 1 ? ", " : "# hit in ",
			      deeds[i - 1], run->c->hits[i]);
	if (deeds)
		print_message(", of %u kills\n", run->c->deaths);
	if (chaos_count_short(run, chaos_enough(), &least))
		fail_msg("%s was hit %u times, not %u", deeds[least - 1],
			 run->c->hits[least], chaos_enough());
}

/* Returns when all have come to an end. */
static inline void
chaos_run(struct mpt *t, const struct chaos_plan *plan)
{
	struct chaos_run run = {
		.t = t,
		.c = mpt_scratch(t),
		.plan = plan,
		.kills = chaos_kills(plan),
	};
	bool crowded = plan->crowded && !chaos_has_one_cpu;
	int crowd = -1;

	assert_in_range(run.kills, 1, CHAOS_KILLS_MAX);
	mpt_watchdog(t, chaos_by_level(60, 120, 600));
	mpt_rand_init(&run.rand, mpt_seed());
	if (crowded) {
		assert_int_equal(mproc_event_create(&run.c->morning), 0);
		crowd = mpt_spawn(t, "crowd", chaos_crowd, NULL);
		mpt_until(t, run.c->asleep == CHAOS_CROWD);
	}
	for (unsigned i = 0; i < CHAOS_WORKERS; i++)
		chaos_start(&run, i);
	while (!chaos_is_enough(&run)) {
		chaos_pause(&run);
		chaos_stop_some(&run);
		chaos_pause(&run);
		if (chaos_kill(&run) && !chaos_is_enough(&run))
			chaos_truce(&run, false);
	}
	chaos_truce(&run, true);
	for (unsigned i = 0; i < CHAOS_WORKERS; i++)
		mpt_expect_exit(t, run.id[i], 0);
	if (crowded) {
		assert_int_equal(mproc_event_set(run.c->morning), 0);
		mpt_expect_exit(t, crowd, 0);
		mproc_event_destroy(run.c->morning);
	}
	assert_true(mproc_arena_recover(NULL) >= 0);
	chaos_must_have_hit(&run);
}

/* What all have finished. */
static inline uint64_t
chaos_finished(struct mpt *t)
{
	const struct chaos *c = mpt_scratch(t);
	uint64_t n = 0;

	for (int i = 0; i < CHAOS_WORKERS; i++)
		n += c->finished[i];
	return n;
}

/* Group setup: the arena, and the event of the crowd, whose place stays. */
static inline int
chaos_setup(void **state)
{
	mproc_event *e;

	(void)state;
	if (mproc_event_create(&e) < 0)
		return -1;
	mproc_event_destroy(e);
	return 0;
}

#endif
