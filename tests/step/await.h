/* SPDX-License-Identifier: MIT */
/*
 * What step tests of small objects start from: one that lies in the arena,
 * other processes that sleep for it, and a victim that does something with it.
 * Whoever sleeps must go on as the test says, and nothing is left in the arena.
 */
#ifndef STEP_AWAIT_H
#define STEP_AWAIT_H

#include "sync.h"
#include "sync/wait.h"

/* ns until others have gone on that were woken; a slice ends after 50000000. A busy
 * machine holds up some of them. */
#define LATE INT64_C(20000000)

enum { OTHERS = 2 };

struct scene {
	struct mpt *t;
	void *object; /* lies in 64 bytes */
	pid_t others[OTHERS];
	struct mproc_arena_stat before;
	unsigned long late; /* in how many cases they were */
	unsigned long cases;
	unsigned long max_cases; /* of mpt_stepper_opts */
};

/* What a thread's first call does. */
static inline void
take_part(void)
{
	void *p = mproc_alloc(1);

	if (!p)
		_exit(1);
	mproc_free(p);
}

/* The test's own participant, and slots for the others. */
static inline int
scene_setup(void **state)
{
	(void)state;
	make_spare_slots();
	return mproc_arena_recover(NULL) < 0 ? -1 : 0;
}

static inline void
scene_begin(struct scene *s)
{
	recover();
	assert_int_equal(mproc_arena_stat(NULL, &s->before), 0);
	for (int i = 0; i < OTHERS; i++)
		s->others[i] = 0;
}

/* The object is destroyed. */
static inline void
scene_end(struct scene *s)
{
	struct mproc_arena_stat now;

	recover();
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, s->before.blocks);
	assert_int_equal(now.used, s->before.used);
	assert_int_equal(now.participants, s->before.participants);
}

static inline unsigned
waiters(const struct scene *s)
{
	int64_t since;

	return mpr_wait_count(mpr_arena_peek(), s->object, &since);
}

/* Another process, which runs @role and ends with 0. */
static inline void
start_other(struct scene *s, int i, void (*role)(struct scene *s))
{
	s->others[i] = fork();
	assert_true(s->others[i] >= 0);
	if (s->others[i] == 0) {
		role(s);
		_exit(0);
	}
}

/* Processes that sleep for the object in @role. */
static inline void
start_sleepers(struct scene *s, int n, void (*role)(struct scene *s))
{
	for (int i = 0; i < n; i++) {
		start_other(s, i, role);
		mpt_until(s->t, waiters(s) == i + 1u &&
					mpt_task_state(s->others[i]) == 'S');
	}
}

/* Does @what once somebody waits for the object. */
static inline void
when_somebody_waits(struct scene *s, int (*what)(void *object))
{
	while (!waiters(s))
		sched_yield();
	must_be(what(s->object), 0);
}

static inline void
expect_end(struct scene *s, int i)
{
	wait_for_exit(s->others[i]);
	s->others[i] = 0;
}

/* With the arena's header, where objects come from. */
static inline uint64_t
scene_state(void *arg)
{
	const struct scene *s = arg;

	return hash(sync_state(s->object, s->object ? 64 : 0),
		    mpr_arena_peek()->shm, 512);
}

static inline void
step(struct scene *s, const char *name, void (*before)(void *arg),
     void (*victim)(void *arg),
     void (*survivor)(void *arg, pid_t victim, unsigned long n, bool finished))
{
	s->object = NULL;
	mpt_watchdog(s->t, 60);
	mpt_stepper_run(s->t, &(struct mpt_stepper_opts){
		.name = name,
		.before = before,
		.victim = victim,
		.survivor = survivor,
		.fingerprint = scene_state,
		.arg = s,
		.every = 500,
		.budget = 100,
		.max_cases = s->max_cases,
	}, NULL);
}

#endif
