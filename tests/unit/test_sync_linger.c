/* SPDX-License-Identifier: MIT */
/*
 * sync/linger.c and sync/yields.c: who waits yields, or looks, or sleeps at once, by what
 * it has seen of its CPU. How long yields took is made up, but for what barriers do. What
 * a copy of a party does, which a signal handler makes in a yield or before that.
 */
#include <errno.h>
#include <sys/wait.h>

#include <mproc/mproc.h>

#include "common.h"
#include "os/clock.h"
#include "sync/barrier.h"
#include "sync/linger.h"
#include "sync/notes.h"
#include "sync/wait.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)

void __real_mpr_task_yield(void);
void __wrap_mpr_task_yield(void);

static unsigned yields;
static void (*meanwhile)(void); /* instead of others who run, or NULL */

void
__wrap_mpr_task_yield(void)
{
	yields++;
	if (meanwhile)
		meanwhile();
	else
		__real_mpr_task_yield();
}

void __real_mpr_notes_begin(struct mpr_notes_walk *walk, const mproc_arena *a,
			    const struct mpr_self *self, const void *object,
			    uint32_t generation);
void __wrap_mpr_notes_begin(struct mpr_notes_walk *walk, const mproc_arena *a,
			    const struct mpr_self *self, const void *object,
			    uint32_t generation);

static void (*before_count)(void); /* of a barrier's parties, or NULL */

void
__wrap_mpr_notes_begin(struct mpr_notes_walk *walk, const mproc_arena *a,
		       const struct mpr_self *self, const void *object,
		       uint32_t generation)
{
	if (before_count)
		before_count();
	__real_mpr_notes_begin(walk, a, self, object, generation);
}

static unsigned
looks_of(struct mpr_yields *y)
{
	struct mpr_linger l;
	unsigned n = 0;

	mpr_linger_begin(&l, y, 1, MPR_NEVER);
	while (mpr_linger_on(&l) && n < 100000)
		n++;
	return n;
}

static void
who_knows_nothing_yields(void **state)
{
	struct mpr_yields y = { 0 };
	struct mpr_linger l;

	(void)state;
	mpr_linger_begin(&l, &y, 1, MPR_NEVER);
	assert_true(l.yields_left > 0);
	assert_int_equal(l.looks_left, 0);
	/* Somebody ran: it may do so again. */
	assert_false(mpr_yields_judge(&y, 5 * US, false));
	assert_int_equal(mpr_yields_first(&y), MPR_FIRST_YIELD);
	assert_int_equal(y.rest, 0);
}

static void
who_is_alone_looks_until_it_was_in_vain(void **state)
{
	struct mpr_yields y = { 0 };
	struct mpr_linger l;
	unsigned n = 0;

	(void)state;
	assert_true(mpr_yields_judge(&y, US / 2, false));
	mpr_linger_begin(&l, &y, 1, MPR_NEVER);
	assert_int_equal(l.yields_left, 0);
	/* What it waited for came: so it does the next times. */
	for (n = 0; mpr_yields_first(&y) == MPR_FIRST_LOOK; n++)
		;
	assert_true(n > 100 && n < 10000);
	assert_true(mpr_yields_judge(&y, US / 2, false));
	n = looks_of(&y);
	assert_true(n > 10 && n < 1000);
	assert_int_equal(mpr_yields_first(&y), MPR_FIRST_YIELD);
}

static void
beside_a_stranger_it_sleeps_at_once(void **state)
{
	struct mpr_yields y = { 0 };
	unsigned n, before = 0;

	(void)state;
	for (int round = 0; round < 10; round++) {
		assert_false(mpr_yields_judge(&y, 3 * MS, false));
		/* That it was in vain is no reason to ask sooner. */
		for (n = 0; y.left; n++)
			assert_int_equal(looks_of(&y), 0);
		assert_true(round == 0 ? n == 16 :
					 n == 2 * before || (n == before && n >= 1000));
		before = n;
	}
	/* One that was worth it, and short ones, make up for it. */
	n = y.rest;
	assert_false(mpr_yields_judge(&y, 3 * MS, true));
	assert_int_equal(y.left, 0);
	assert_true(y.rest < n);
	for (n = 0; y.rest && n < 1000; n++)
		assert_false(mpr_yields_judge(&y, 5 * US, false));
	assert_true(n > 10 && n < 1000);
}

static void
all_that_it_does_ends(void **state)
{
	struct mpr_yields y = { 0 };

	(void)state;
	for (int i = 0; i < 3000; i++) {
		bool asks = !y.left;
		unsigned n = looks_of(&y);

		assert_true(n < 1000);
		assert_true(n || !asks);
	}
}

static void
many_others_take_longer(void **state)
{
	struct mpr_yields y = { 0 };
	struct mpr_linger few, many, most;

	(void)state;
	mpr_linger_begin(&few, &y, 1, MPR_NEVER);
	mpr_linger_begin(&many, &y, 64, MPR_NEVER);
	mpr_linger_begin(&most, &y, MPR_BARRIER_MAX - 1, MPR_NEVER);
	assert_true(few.turns < MPR_YIELD_LONG);
	assert_true(many.turns > MPR_YIELD_LONG);
	/* But not as long as one who computes has the CPU. */
	assert_true(most.turns > many.turns);
	assert_true(most.turns <= MS);
}

static void
let_others_run(void)
{
	int64_t end = mproc_now() + 20 * US;

	while (mproc_now() < end)
		;
}

static void
nothing(void)
{
}

static unsigned
yields_until(int64_t deadline)
{
	struct mpr_yields y = { 0 };
	struct mpr_linger l;

	yields = 0;
	mpr_linger_begin(&l, &y, 64, deadline);
	while (mpr_linger_on(&l))
		;
	return yields;
}

static void
after_its_deadline_it_sleeps(void **state)
{
	struct mpr_yields y = { 0 };
	struct mpr_linger l;
	unsigned n = 0;

	(void)state;
	meanwhile = let_others_run;
	/* Unless this thread loses its CPU for long. */
	while (yields_until(MPR_NEVER) < 2 && n < 1000)
		n++;
	assert_true(n < 1000);
	assert_int_equal(yields_until(mproc_now()), 1);
	/* Nor does who is alone look on. */
	meanwhile = nothing;
	mpr_linger_begin(&l, &y, 64, mproc_now());
	assert_true(mpr_linger_on(&l));
	assert_false(mpr_linger_on(&l));
	meanwhile = NULL;
}

/* In the scratch bytes. */
struct board {
	mproc_barrier *barrier;
	_Atomic int other, copy; /* what they got */
};

static struct {
	struct mpt *t;
	pid_t pid;
	bool joins; /* the copy, before it goes on */
} fork_of;

/* As a signal handler does. Returns whether this is the copy. */
static bool
fork_meanwhile(void)
{
	struct mpr_self *self;

	meanwhile = before_count = NULL;
	fork_of.pid = fork();
	if (fork_of.pid == 0 && fork_of.joins)
		mpt_check_int(fork_of.t, mpr_self(the_arena(), &self), 0);
	return fork_of.pid == 0;
}

/* Both go on when the phase is complete. */
static void
fork_then_complete(void)
{
	if (!fork_meanwhile())
		mpt_step(fork_of.t, 1);
	mpt_reach(fork_of.t, 3);
}

static int
come_last(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_barrier_enroll(b->barrier), 0);
	mpt_step(t, 0);
	mpt_reach(t, 2);
	b->other = mproc_barrier_wait(b->barrier, mproc_sec(20));
	mpt_step(t, 2);
	mpt_reach(t, 4);
	return 0;
}

/* Waits in the barrier, and does that once when it is @when. */
static int
wait_and(struct mpt *t, struct board *b, void (**when)(void), void (*fn)(void))
{
	struct mpr_self *self = join_arena(t);
	int r, status;

	fork_of.t = t;
	self->yields = (struct mpr_yields){ 0 };
	*when = fn;
	r = mproc_barrier_wait(b->barrier, mproc_sec(20));
	if (fork_of.pid == 0) {
		b->copy = r;
		_exit(0);
	}
	if (fork_of.pid > 0)
		mpt_check(t, waitpid(fork_of.pid, &status, 0) != fork_of.pid ||
				     status == 0);
	return r;
}

static void
wait_as_one_of_two(struct mpt *t, bool joins)
{
	struct board *b = mpt_scratch(t);

	b->other = b->copy = -1000;
	fork_of.joins = joins;
	assert_int_equal(mproc_barrier_create(&b->barrier, 2), 0);
	mpt_spawn(t, "the last one", come_last, NULL);
	mpt_reach(t, 1);
	assert_int_equal(wait_and(t, b, &meanwhile, fork_then_complete), 0);
	mpt_step(t, 3);
	mpt_join_all(t);
	assert_int_equal(b->other, 1);
	/* Only two of them were parties. */
	assert_int_equal(b->copy, -EPERM);
	mproc_barrier_destroy(b->barrier);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

static void
a_copy_does_not_get_its_parents_result(void **state)
{
	wait_as_one_of_two(*state, false);
}

static void
nor_does_one_that_has_joined(void **state)
{
	wait_as_one_of_two(*state, true);
}

static uint64_t wakes, word;
static uint32_t kind;

/* The parent goes on when the copy is gone, and looks at what others see of it. */
static void
fork_then_look(void)
{
	struct mpr_self *self = join_arena(fork_of.t);
	_Atomic uint64_t *wait = (_Atomic uint64_t *)mpr_arena_at(
					 the_arena(), MPR_WAITS_AT) + self->slot;
	int status;

	self->shared->wait_kind = MPR_WAIT_CALL;
	if (fork_meanwhile())
		return;
	mpt_check(fork_of.t, waitpid(fork_of.pid, &status, 0) == fork_of.pid);
	mpt_check_int(fork_of.t, status, 0);
	wakes = self->shared->wakes;
	word = *wait;
	kind = self->shared->wait_kind;
	self->shared->wait_kind = 0;
}

static void
a_copy_says_nothing_in_its_parents_name(void **state)
{
	struct board *b = mpt_scratch(*state);

	fork_of.joins = false;
	wakes = word = kind = 1000;
	assert_int_equal(mproc_barrier_create(&b->barrier, 2), 0);
	/* The copy becomes the second party. */
	assert_int_equal(wait_and(*state, b, &meanwhile, fork_then_look), 0);
	assert_int_equal(b->copy, 1);
	assert_int_equal(wakes, 0);
	assert_int_equal(word, 0);
	assert_int_equal(kind, MPR_WAIT_CALL);
	mproc_barrier_destroy(b->barrier);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

/* The copy goes first. */
static void
fork_then_wait(void)
{
	int status;

	if (fork_meanwhile())
		return;
	mpt_check(fork_of.t, waitpid(fork_of.pid, &status, 0) == fork_of.pid);
	mpt_check_int(fork_of.t, status, 0);
}

static int
come_first(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->other = mproc_barrier_wait(b->barrier, mproc_sec(20));
	return 0;
}

static void
a_copy_of_the_last_one_does_not_arrive_for_it(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);

	b->other = b->copy = -1000;
	fork_of.joins = false;
	assert_int_equal(mproc_barrier_create(&b->barrier, 2), 0);
	assert_int_equal(mproc_barrier_enroll(b->barrier), 0);
	mpt_spawn(t, "the first one", come_first, NULL);
	mpt_until(t, mproc_barrier_waiting(b->barrier) == 1);
	assert_int_equal(wait_and(t, b, &before_count, fork_then_wait), 1);
	mpt_join_all(t);
	assert_int_equal(b->other, 0);
	assert_int_equal(b->copy, -EPERM);
	mproc_barrier_destroy(b->barrier);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

static void
fork_then_be_first(void)
{
	struct board *b = mpt_scratch(fork_of.t);

	if (fork_meanwhile())
		mpt_until(fork_of.t, mproc_barrier_waiting(b->barrier) == 1);
}

/* Each is a party by its own name, so the end of the copy is that of a party. */
static void
a_copy_of_who_enrols_enrols_itself(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);

	b->copy = -1000;
	fork_of.joins = false;
	assert_int_equal(mproc_barrier_create(&b->barrier, 2), 0);
	assert_int_equal(wait_and(t, b, &before_count, fork_then_be_first), 0);
	assert_int_equal(b->copy, 1);
	assert_int_equal(mproc_barrier_wait(b->barrier, MPROC_NOWAIT),
			 -ENOTRECOVERABLE);
	mproc_barrier_destroy(b->barrier);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

static void
a_copy_is_not_enrolled(void **state)
{
	mproc_barrier *b;
	int r;

	fork_of.t = *state;
	fork_of.joins = false;
	assert_int_equal(mproc_barrier_create(&b, 1), 0);
	assert_int_equal(mproc_barrier_enroll(b), 0);
	before_count = fork_then_wait;
	r = mproc_barrier_enroll(b);
	if (fork_of.pid == 0)
		_exit(r == -EPERM ? 0 : 1);
	assert_int_equal(r, 0);
	mproc_barrier_destroy(b);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

/* The only party of two that comes. */
static void
waits_of_a_barrier_count(void **state)
{
	struct mpr_self *self;
	mproc_barrier *b;

	(void)state;
	assert_int_equal(mpr_self(the_arena(), &self), 0);
	assert_int_equal(mproc_barrier_create(&b, 2), 0);
	assert_int_equal(mproc_barrier_enroll(b), 0);
	self->yields = (struct mpr_yields){ .left = 3 };
	assert_int_equal(mproc_barrier_wait(b, mproc_ms(1)), -ETIMEDOUT);
	assert_int_equal(self->yields.left, 2);
	assert_int_equal(mproc_barrier_reset(b), 0);
	/* It has yielded, and has learnt something, or it would say so still. */
	self->yields = (struct mpr_yields){ .left = 0, .rest = 1000 };
	assert_int_equal(mproc_barrier_wait(b, mproc_ms(1)), -ETIMEDOUT);
	assert_int_not_equal(self->yields.rest, 1000);
	self->yields = (struct mpr_yields){ 0 };
	mproc_barrier_destroy(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(who_knows_nothing_yields),
		mpt_test(who_is_alone_looks_until_it_was_in_vain),
		mpt_test(beside_a_stranger_it_sleeps_at_once),
		mpt_test(all_that_it_does_ends),
		mpt_test(many_others_take_longer),
		mpt_test(after_its_deadline_it_sleeps),
		mpt_test(waits_of_a_barrier_count),
		mpt_test(a_copy_does_not_get_its_parents_result),
		mpt_test(nor_does_one_that_has_joined),
		mpt_test(a_copy_says_nothing_in_its_parents_name),
		mpt_test(a_copy_of_the_last_one_does_not_arrive_for_it),
		mpt_test(a_copy_of_who_enrols_enrols_itself),
		mpt_test(a_copy_is_not_enrolled),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
