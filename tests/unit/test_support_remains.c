/* SPDX-License-Identifier: MIT */
/*
 * What a killed victim leaves behind is seen by the single-step killer, all of it:
 * it kills on both sides of what changes that, and knows when it cannot tell.
 */
#include <setjmp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "mpt.h"
#include "mpt_step.h"

/* In the scratch bytes. */
struct board {
	_Atomic(uint32_t) first;
};

static unsigned n_loops;

/* Nobody says what memory is of interest, and of the page behind nobody has heard
 * before the victim writes to it. */
static void store_here_and_there(void *arg)
{
	struct board *b = arg;
	_Atomic(uint32_t) *behind = (void *)((char *)b + MPT_SCRATCH - 4096);
	volatile unsigned i;

	mpt_step_begin();
	for (i = 0; i < n_loops; i++)
		;
	atomic_store(&b->first, 1);
	atomic_store(&b->first, 1);
	atomic_store(&b->first, 0);
	for (i = 0; i < n_loops; i++)
		;
	atomic_store(behind, 1);
	for (i = 0; i < n_loops; i++)
		;
	atomic_store(behind, 0);
	for (i = 0; i < n_loops; i++)
		;
	mpt_step_end();
}

static unsigned n_here, n_behind;

static void see_both(void *arg, pid_t victim, unsigned long n, bool finished)
{
	_Atomic(uint32_t) *behind = (void *)((char *)arg + MPT_SCRATCH - 4096);
	struct board *b = arg;

	(void)victim;
	(void)n;
	(void)finished;
	n_here += b->first;
	n_behind += *behind;
	b->first = 0;
	*behind = 0;
}

/* All that changes the shared memory is found, and nothing else. */
static void what_changes_nothing_is_one_place_to_die(void **state)
{
	struct mpt_stepper_result r;
	struct mpt_stepper_opts o = {
		.name = "here and there",
		.victim = store_here_and_there,
		.survivor = see_both,
		.arg = mpt_scratch(*state),
		.max_cases = 1 + 4 + 4 + 1,
	};

	n_loops = 500;
	n_here = n_behind = 0;
	mpt_stepper_run(*state, &o, &r);
	assert_true(r.exact);
	assert_true(r.instructions > 2000);
	assert_int_equal(r.cases, 1 + o.max_cases);
	assert_int_equal(n_here, 2);
	assert_int_equal(n_behind, 2);

	/* And a few more, in case that this is not as it seems. */
	o.max_cases = 0;
	mpt_stepper_run(*state, &o, &r);
	assert_in_range(r.cases, 1 + 10 + 30, 1 + 10 + 51);
}

static int stay(struct mpt *t, void *arg)
{
	(void)t;
	(void)arg;
	pause();
	return 0;
}

static void see_nothing(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)arg;
	(void)victim;
	(void)n;
	(void)finished;
}

static void write_once(void *arg)
{
	struct board *b = arg;

	mpt_step_begin();
	atomic_store(&b->first, 1);
	mpt_step_end();
}

/* As if it took a robust mutex, which is not there. */
static void list_a_mutex(void *arg)
{
	struct board *b = arg;
	uintptr_t *head;
	size_t len;

	if (syscall(SYS_get_robust_list, 0, &head, &len) < 0)
		abort();
	mpt_step_begin();
	((volatile uintptr_t *)head)[2] = (uintptr_t)b;
	((volatile uintptr_t *)head)[2] = 0;
	mpt_step_end();
}

static void map_something(void *arg)
{
	(void)arg;
	mpt_step_begin();
	if (mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
		abort();
	mpt_step_end();
}

static void *stay_as_a_thread(void *arg)
{
	pause();
	return arg;
}

static void start_a_thread(void *arg)
{
	pthread_t thread;

	mpt_step_begin();
	if (pthread_create(&thread, NULL, stay_as_a_thread, arg) != 0)
		abort();
	mpt_step_end();
}

static void nothing_is_left_out_where_others_may_interfere(void **state)
{
	struct mpt_stepper_result r;
	struct mpt_stepper_opts o = {
		.name = "interference",
		.victim = list_a_mutex,
		.survivor = see_nothing,
		.max_cases = 4,
		.arg = mpt_scratch(*state),
	};
	int other;

	/* The list of mutexes is left behind, too. */
	mpt_stepper_run(*state, &o, &r);
	assert_true(r.exact);
	assert_int_equal(r.others, 2);

	o.max_cases = 0;
	o.victim = map_something;
	mpt_stepper_run(*state, &o, &r);
	assert_false(r.exact);
	assert_int_equal(r.cases, r.instructions + 2);

	o.victim = start_a_thread;
	o.max_cases = 10;
	mpt_stepper_run(*state, &o, &r);
	assert_false(r.exact);

	other = mpt_fork(*state, "other", stay, NULL);
	o.max_cases = 0;
	o.victim = write_once;
	mpt_stepper_run(*state, &o, &r);
	assert_false(r.exact);
	mpt_kill(*state, other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(what_changes_nothing_is_one_place_to_die),
		mpt_test(nothing_is_left_out_where_others_may_interfere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
