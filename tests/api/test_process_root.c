/* SPDX-License-Identifier: MIT */
/*
 * process.h: the first of a family is killed. Nobody of it is left within a second,
 * whatever they do, whichever thread has started them, and however far down they are.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "mpt_times.h"
#include "process.h"

enum way { COMPUTE, SLEEP, WAIT, WAYS };

enum starter { MAIN_THREAD, ANOTHER_THREAD, ENDED_THREAD, STARTERS };

/* The child that each starter starts for each way starts another one like itself. */
#define CHILDREN (WAYS * STARTERS)
#define ALL (2 * CHILDREN)

#define ROUNDS 3

/* Of a process that does not end as it is to: more than the test takes at most. */
#define LAST_SECONDS 300

/* A process to be, and who starts it. */
struct person {
	struct mpt *t;
	struct person *child; /* or NULL */
	enum way way;
	enum starter starter;
	mproc_process *p;
	_Atomic bool is_started;
};

/* In the scratch bytes, which are in the arena. */
struct board {
	struct person persons[ALL];
	mproc_queue *q; /* from which nobody gets anything */
	_Atomic unsigned up;
	_Atomic int error;
};

static int live(void *arg);

static void *
start_person(void *arg)
{
	struct person *person = arg;
	struct board *b = mpt_scratch(person->t);

	if (mproc_process_start(&person->p, live, person, NULL) < 0)
		b->error = 1;
	person->is_started = true;
	return NULL;
}

static void *
start_and_stay(void *arg)
{
	struct person *person = arg;

	start_person(person);
	wait_to_be_killed(person->t);
	return NULL;
}

static void
have_started(struct person *person)
{
	struct board *b = mpt_scratch(person->t);
	pthread_t thread;

	if (person->starter == MAIN_THREAD)
		start_person(person);
	else if (pthread_create(&thread, NULL,
				person->starter == ENDED_THREAD ?
					start_person : start_and_stay,
				person) != 0)
		b->error = 2;
	else if (person->starter == ENDED_THREAD)
		pthread_join(thread, NULL);
	/* Who forks beside a thread that does copies a sanitizer's locks as they are. */
	mpt_until(person->t, person->is_started || b->error);
}

static int
live(void *arg)
{
	struct person *person = arg;
	struct board *b = mpt_scratch(person->t);
	char byte;

	/* If this test fails, nobody of them computes for ever. */
	alarm(LAST_SECONDS);
	if (person->child)
		have_started(person->child);
	b->up++;
	for (volatile uint64_t n = 0; person->way == COMPUTE; n++)
		;
	if (person->way == WAIT)
		return mproc_queue_get(b->q, &byte, 1, NULL, MPROC_FOREVER);
	while (pause() < 0)
		;
	return 0;
}

static int
be_the_first(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	for (int i = 0; i < CHILDREN; i++)
		have_started(&b->persons[i]);
	wait_to_be_killed(t);
	return 0;
}

static void
assign(struct mpt *t, struct board *b)
{
	for (int i = 0; i < ALL; i++)
		b->persons[i] = (struct person){
			.t = t,
			.child = i < CHILDREN ? &b->persons[i + CHILDREN] : NULL,
			.way = (enum way)(i % WAYS),
			.starter = (enum starter)(i / WAYS % STARTERS),
		};
	b->up = 0;
}

static void
nobody_is_left_of_a_family_whose_first_is_killed(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	struct mpt_times times = { 0 };
	struct mproc_arena_stat before;
	int64_t killed_at;
	int id;

	mpt_watchdog(t, 40);
	assert_int_equal(mproc_queue_create(&b->q, NULL), 0);
	before = stat_now();
	for (int i = 0; i < ROUNDS; i++) {
		assign(t, b);
		id = mpt_spawn(t, "first", be_the_first, NULL);
		mpt_until(t, b->up == ALL || b->error);
		assert_int_equal(b->error, 0);
		killed_at = mproc_now();
		mpt_kill(t, id);
		assert_int_equal(mpt_reap_orphans(t), ALL);
		mpt_times_add(&times, mproc_now() - killed_at);
	}
	assert_true(mpt_times_median(&times) < 1000 * MS);
	/* Nor anything that they had in the arena of others. */
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(stat_now().participants, before.participants);
	mproc_queue_destroy(b->q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(nobody_is_left_of_a_family_whose_first_is_killed),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
