/* SPDX-License-Identifier: MIT */
/*
 * Waiting for what an object's look() says: whoever has been chosen and does
 * not use that has another one chosen, also if it dies, wherever that is.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include <mproc/mproc.h>

#include "common.h"
#include "mpt_times.h"
#include "sync/await.h"

#define MS INT64_C(1000000)

/* In the scratch bytes. */
struct board {
	struct mpr_cell *cell;
	_Atomic pid_t tid;
	_Atomic unsigned looks; /* of the fellow */
	_Atomic unsigned stop;
};

/* What the caller's look() does. */
struct attempt {
	struct mpr_await await;
	unsigned looks; /* while it waits */
	unsigned chosen_in; /* the look in which it is chosen */
	unsigned killed_in; /* 0: not at all */
	int answers[3];
};

static struct board *board; /* for look() */

static void
choose(struct mpr_self *self, struct mpr_cell *cell)
{
	struct mpr_waiter w = { .slot = self->slot, .ident = self->ident };
	struct mpr_wake k;

	mpr_wake_begin(&k, self->arena, self, cell);
	if (!mpr_wake_one(&k, &w))
		abort();
	mpr_wake_end(&k);
}

static int
look(struct mpr_await *await, bool waits)
{
	struct attempt *t = (struct attempt *)await;

	if (!waits)
		return -EBUSY;
	t->looks++;
	if (t->looks == t->chosen_in)
		choose(await->self, await->cell);
	if (t->looks == t->killed_in)
		kill(getpid(), SIGKILL);
	return t->answers[t->looks];
}

static int
await(struct attempt *t, mproc_timeout timeout)
{
	int r;

	t->await.look = look;
	t->await.what = "test";
	t->await.cell = board->cell;
	t->await.owner = -1;
	r = mpr_await_begin(&t->await);
	return r < 0 ? r : mpr_await(&t->await, timeout);
}

static int
fellows_look(struct mpr_await *await, bool waits)
{
	(void)await;
	(void)waits;
	board->looks++;
	return board->stop ? 0 : -EBUSY;
}

/* Waits, and counts how often it is woken. */
static int
be_a_fellow(struct mpt *t, void *arg)
{
	struct mpr_await aw = {
		.look = fellows_look,
		.what = "test",
		.cell = board->cell,
		.owner = -1,
	};

	(void)arg;
	mpt_check_int(t, mpr_await_begin(&aw), 0);
	board->tid = mpt_pid(t, 0);
	mpt_check_int(t, mpr_await(&aw, mproc_sec(20)), 0);
	return 0;
}

static void
begin(struct mpt *t)
{
	join_arena(t);
	board = mpt_scratch(t);
	board->cell = mproc_alloc(64);
	assert_non_null(board->cell);
	mpt_spawn(t, "fellow", be_a_fellow, NULL);
	mpt_until(t, board->tid);
}

static void
end(struct mpt *t)
{
	struct mpr_self *self = join_arena(t);
	struct mpr_wake k;

	board->stop = 1;
	mpr_wake_begin(&k, self->arena, self, board->cell);
	mpr_wake_all(&k);
	mpr_wake_end(&k);
	mpt_join_all(t);
	mproc_free(board->cell);
}

/* The fellow sleeps. Returns how often it has looked. */
static unsigned
fellow_sleeps(struct mpt *t)
{
	unsigned looks;

	do {
		looks = board->looks;
		mpt_until(t, mpt_task_state(board->tid) == 'S');
	} while (looks != board->looks);
	return looks;
}

static int64_t
until_fellow_looks(struct mpt *t, unsigned seen)
{
	int64_t began = mproc_now();

	mpt_until(t, board->looks != seen);
	return mproc_now() - began;
}

/* A slice, at whose end the fellow looks by itself, lasts more than 50 ms. */
static void
expect_prompt(struct mpt_times *spent)
{
	assert_true(mpt_times_median(spent) < 10 * MS);
}

static void
who_is_chosen_in_vain_passes_it_on(void **state)
{
	static const struct {
		int answers[3];
		int64_t ns;
		int r;
	} cases[] = {
		/* It has taken what there was before it was chosen. */
		{ { 0, 0, 0 }, INT64_MAX, 0 },
		/* It gives up, as it is late. */
		{ { 0, -EBUSY, -EBUSY }, -1, -ETIMEDOUT },
		/* The object is gone. */
		{ { 0, -EBUSY, -ESTALE }, INT64_MAX, -ESHUTDOWN },
		{ { 0, -ESTALE, 0 }, INT64_MAX, -ESHUTDOWN },
	};
	struct mpt *t = *state;
	unsigned rounds = 10;

	begin(t);
	for (size_t i = 0; i < MPR_ARRAY_LEN(cases); i++) {
		struct mpt_times spent = { 0 };

		for (unsigned k = 0; k < rounds; k++) {
			struct attempt a = { .chosen_in = 1 };
			unsigned seen = fellow_sleeps(t);

			memcpy(a.answers, cases[i].answers, sizeof(a.answers));
			assert_int_equal(
				await(&a, (mproc_timeout){ cases[i].ns }),
				cases[i].r);
			mpt_times_add(&spent, until_fellow_looks(t, seen));
		}
		expect_prompt(&spent);
	}
	end(t);
}

static int
die_in_look(struct mpt *t, void *arg)
{
	struct attempt a = {
		.chosen_in = 1,
		.killed_in = (unsigned)(uintptr_t)arg,
		.answers = { 0, -EBUSY, -EBUSY },
	};

	(void)t;
	return await(&a, mproc_sec(20));
}

/* In the first look it is still seen to be chosen, in the second not any
 * more. */
static void
who_dies_chosen_passes_it_on(void **state)
{
	struct mpt *t = *state;
	unsigned rounds = 10;

	begin(t);
	for (uintptr_t in = 1; in <= 2; in++) {
		struct mpt_times spent = { 0 };

		for (unsigned k = 0; k < rounds; k++) {
			unsigned seen = fellow_sleeps(t);
			int id = mpt_spawn(t, "victim", die_in_look,
					   (void *)in);

			mpt_expect_signal(t, id, SIGKILL);
			assert_true(mproc_arena_recover(NULL) >= 0);
			mpt_times_add(&spent, until_fellow_looks(t, seen));
		}
		expect_prompt(&spent);
	}
	end(t);
}

static void
nobody_waits_without_a_need(void **state)
{
	struct attempt a = { .answers = { 0 } };
	struct mpt *t = *state;

	begin(t);
	assert_int_equal(await(&a, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(a.looks, 0);
	a.answers[1] = 7;
	assert_int_equal(await(&a, MPROC_FOREVER), 7);
	assert_int_equal(a.looks, 1);
	end(t);
}

static void
a_copy_that_has_joined_leaves_the_wait_to_its_parent(void **state)
{
	struct mpr_self *self = join_arena(*state);
	void *object = mproc_alloc(64);
	struct mpr_wait w;
	int status;
	pid_t pid;

	assert_non_null(object);
	mpr_wait_begin(&w, self, object, MPR_WAIT_TURN);
	mpr_wait_announce(&w, -1);
	pid = fork();
	if (pid == 0) {
		/* As if a signal handler had, and returned in the middle of the call. */
		if (mpr_self(the_arena(), &self) < 0)
			_exit(1);
		mpr_wait_announce(&w, -1);
		if (!mpr_wait_is_foreign(&w))
			_exit(2);
		_exit(mpr_waits_for(the_arena(), self->slot, object) ? 3 : 0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_false(mpr_wait_is_foreign(&w));
	assert_true(mpr_waits_for(the_arena(), self->slot, object));
	assert_false(mpr_wait_end(&w));
	mpr_wait_finish(&w);
	assert_true(mproc_arena_recover(NULL) >= 0);
	mproc_free(object);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(who_is_chosen_in_vain_passes_it_on),
		mpt_test(who_dies_chosen_passes_it_on),
		mpt_test(nobody_waits_without_a_need),
		mpt_test(a_copy_that_has_joined_leaves_the_wait_to_its_parent),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
