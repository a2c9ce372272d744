/* SPDX-License-Identifier: MIT */
/*
 * sync.h: barriers, between processes and between threads.
 */
#include "mpt_times.h"
#include "sync.h"

enum { PARTIES = 5, PASSES = 1000 };

/* In the scratch bytes. */
struct board {
	mproc_barrier *barrier;
	_Atomic pid_t tid;
	_Atomic unsigned ready;
	_Atomic unsigned go;
	_Atomic unsigned done;
	_Atomic unsigned phase[PARTIES];
	_Atomic unsigned index[PASSES][PARTIES];
};

static struct board *
new_board(struct mpt *t, unsigned parties)
{
	struct board *b = mpt_scratch(t);

	memset(b, 0, sizeof(*b));
	assert_int_equal(mproc_barrier_create(&b->barrier, parties), 0);
	return b;
}

static void
end(struct mpt *t, struct board *b)
{
	mpt_join_all(t);
	mproc_barrier_destroy(b->barrier);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

/* All are in the same phase when they leave it, and each has another index. */
static int
pass(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned n = (unsigned)(uintptr_t)arg, me = b->ready++;

	for (unsigned i = 0; i < n; i++) {
		int r;

		b->phase[me] = i + 1;
		r = mproc_barrier_wait(b->barrier, mproc_sec(20));
		mpt_check(t, r >= 0 && r < PARTIES);
		b->index[i][r]++;
		for (unsigned k = 0; k < PARTIES; k++)
			mpt_check(t, b->phase[k] == i + 1 ||
					     b->phase[k] == i + 2);
	}
	/* The end of a party would break the last phase of nobody: it is over. */
	return 0;
}

static void
pass_many(struct mpt *t, unsigned n)
{
	struct board *b = new_board(t, PARTIES);

	for (int i = 0; i < PARTIES; i++)
		mpt_spawn(t, "party", pass, (void *)(uintptr_t)n);
	mpt_join_all(t);
	for (unsigned i = 0; i < n; i++)
		for (int k = 0; k < PARTIES; k++)
			assert_int_equal(b->index[i][k], 1);
	assert_int_equal(mproc_barrier_waiting(b->barrier), 0);
	assert_false(mproc_barrier_broken(b->barrier));
	end(t, b);
}

static void
one_pass(struct mpt *t)
{
	pass_many(t, 1);
}

static void
many_passes_in_order(struct mpt *t)
{
	pass_many(t, PASSES);
}

/* One does something when all have come, before any of them goes on. */
static int
act_and_pass(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	for (unsigned i = 0; i < PASSES / 10; i++) {
		int r = mproc_barrier_wait(b->barrier, mproc_sec(20));

		mpt_check(t, r >= 0);
		mpt_check(t, b->done == i || (b->done == i + 1 && r));
		if (r == 0)
			b->done = i + 1;
		mpt_check(t, mproc_barrier_wait(b->barrier, mproc_sec(20)) >= 0);
		mpt_check_int(t, b->done, i + 1);
	}
	return 0;
}

static void
one_acts_before_all_go_on(struct mpt *t)
{
	struct board *b = new_board(t, PARTIES);

	for (int i = 0; i < PARTIES; i++)
		mpt_spawn(t, "party", act_and_pass, NULL);
	end(t, b);
}

static void
misuse_is_an_error(void **state)
{
	mproc_barrier zero = { { 0 } }, b = { { 0 } };

	(void)state;
	assert_int_equal(mproc_barrier_wait(&zero, MPROC_FOREVER), -EINVAL);
	assert_int_equal(mproc_barrier_enroll(&zero), -EINVAL);
	assert_int_equal(mproc_barrier_abort(&zero), -EINVAL);
	assert_int_equal(mproc_barrier_reset(&zero), -EINVAL);
	assert_int_equal(mproc_barrier_waiting(&zero), -EINVAL);
	assert_true(mproc_barrier_broken(&zero));
	mproc_barrier_destroy(&zero); /* refused */
	mproc_barrier_destroy(NULL);

	assert_int_equal(mproc_barrier_wait(NULL, MPROC_FOREVER), -EINVAL);
	assert_int_equal(mproc_barrier_enroll(NULL), -EINVAL);
	assert_int_equal(mproc_barrier_abort(NULL), -EINVAL);
	assert_int_equal(mproc_barrier_reset(NULL), -EINVAL);
	assert_int_equal(mproc_barrier_waiting(NULL), -EINVAL);
	assert_true(mproc_barrier_broken(NULL));
	assert_int_equal(mproc_barrier_init(NULL, 1), -EINVAL);
	assert_int_equal(mproc_barrier_init(&b, 0), -EINVAL);
	assert_int_equal(mproc_barrier_init(&b, 1025), -EINVAL);
	assert_int_equal(mproc_barrier_create(NULL, 1), -EINVAL);
	assert_int_equal(mproc_barrier_init(&b, 1024), 0);
	assert_int_equal(mproc_barrier_wait(&b, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_barrier_waiting(&b), 0);
	mproc_barrier_destroy(&b);
	assert_int_equal(mproc_barrier_wait(&b, MPROC_NOWAIT), -EINVAL);
}

static void
a_party_alone_does_not_wait(void **state)
{
	mproc_barrier b = { { 0 } };

	(void)state;
	assert_int_equal(mproc_barrier_init(&b, 1), 0);
	for (int i = 0; i < 300; i++)
		assert_int_equal(mproc_barrier_wait(&b, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_barrier_abort(&b), 0);
	assert_true(mproc_barrier_broken(&b));
	assert_int_equal(mproc_barrier_wait(&b, MPROC_FOREVER),
			 -ENOTRECOVERABLE);
	assert_int_equal(mproc_barrier_reset(&b), 0);
	assert_int_equal(mproc_barrier_wait(&b, MPROC_FOREVER), 0);
	mproc_barrier_destroy(&b);
}

/* A thread may be a party of 16, and of others later. */
static void
a_thread_is_a_party_of_sixteen(void **state)
{
	static mproc_barrier barriers[17];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 17; i++)
			assert_int_equal(mproc_barrier_init(&barriers[i], 2),
					 0);
		for (int i = 0; i < 16; i++)
			for (int k = 0; k < 2; k++)
				assert_int_equal(
					mproc_barrier_enroll(&barriers[i]), 0);
		assert_int_equal(mproc_barrier_enroll(&barriers[16]), -ENOLCK);
	}
	for (int i = 0; i < 17; i++)
		mproc_barrier_destroy(&barriers[i]);
	assert_int_equal(mproc_barrier_init(&barriers[16], 2), 0);
	assert_int_equal(mproc_barrier_enroll(&barriers[16]), 0);
	mproc_barrier_destroy(&barriers[16]);
}

/* Waits, and is to get what @arg says; stays until it may go. */
static int
get(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int r;

	b->tid = gettid();
	b->ready++;
	r = mproc_barrier_wait(b->barrier, mproc_sec(20));
	mpt_check_int(t, r, (int)(intptr_t)arg);
	b->done++;
	mpt_until(t, b->go);
	return 0;
}

/* @n that wait, asleep or about to be. */
static void
spawn_waiting(struct mpt *t, struct board *b, int n, int what)
{
	for (int i = 0; i < n; i++) {
		mpt_spawn(t, "party", get, (void *)(intptr_t)what);
		mpt_until(t, mproc_barrier_waiting(b->barrier) == i + 1);
	}
}

static void
abort_breaks_it_until_reset(struct mpt *t)
{
	struct board *b = new_board(t, PARTIES);

	spawn_waiting(t, b, PARTIES - 1, -ENOTRECOVERABLE);
	assert_int_equal(mproc_barrier_abort(b->barrier), 0);
	assert_int_equal(mproc_barrier_abort(b->barrier), 0);
	mpt_until(t, b->done == PARTIES - 1);
	assert_true(mproc_barrier_broken(b->barrier));
	assert_int_equal(mproc_barrier_waiting(b->barrier), 0);
	assert_int_equal(mproc_barrier_wait(b->barrier, MPROC_FOREVER),
			 -ENOTRECOVERABLE);
	assert_int_equal(mproc_barrier_enroll(b->barrier), -ENOTRECOVERABLE);
	assert_int_equal(mproc_barrier_reset(b->barrier), 0);
	assert_false(mproc_barrier_broken(b->barrier));
	/* Four are parties still: there is room for one. */
	assert_int_equal(mproc_barrier_wait(b->barrier, MPROC_NOWAIT),
			 -EAGAIN);
	b->go = 1;
	end(t, b);
}

static int
get_twice(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_barrier_wait(b->barrier, mproc_sec(20)),
		      -ENOTRECOVERABLE);
	b->done++;
	mpt_check(t, mproc_barrier_wait(b->barrier, mproc_sec(20)) >= 0);
	mpt_until(t, b->go);
	return 0;
}

static void
reset_frees_those_who_wait(struct mpt *t)
{
	struct board *b = new_board(t, 4);

	for (unsigned round = 0; round < amount(20); round++) {
		b->done = b->go = 0;
		for (int i = 0; i < 3; i++)
			mpt_spawn(t, "party", get_twice, NULL);
		mpt_until(t, mproc_barrier_waiting(b->barrier) == 3);
		assert_int_equal(mproc_barrier_reset(b->barrier), 0);
		mpt_until(t, b->done == 3);
		assert_false(mproc_barrier_broken(b->barrier));
		assert_in_range(mproc_barrier_wait(b->barrier, mproc_sec(20)),
				0, 3);
		b->go = 1;
		mpt_join_all(t);
		/* We are a party still, and the others have ended. */
		assert_true(mproc_barrier_broken(b->barrier));
		assert_int_equal(mproc_barrier_reset(b->barrier), 0);
	}
	end(t, b);
}

static void
a_timeout_breaks_it_for_all(struct mpt *t)
{
	struct board *b = new_board(t, 4);
	int64_t began;

	spawn_waiting(t, b, 2, -ENOTRECOVERABLE);
	began = mproc_now();
	assert_int_equal(mproc_barrier_wait(b->barrier, mproc_ms(30)),
			 -ETIMEDOUT);
	assert_true(mproc_now() - began >= 30 * MS);
	mpt_until(t, b->done == 2);
	assert_true(mproc_barrier_broken(b->barrier));
	assert_int_equal(mproc_barrier_wait(b->barrier, mproc_ms(30)),
			 -ENOTRECOVERABLE);
	b->go = 1;
	end(t, b);
}

static int
be_interrupted(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	signal(SIGUSR1, interrupt);
	b->tid = gettid();
	mpt_check_int(t, mproc_barrier_wait(b->barrier, mproc_sec(20)), -EINTR);
	b->done++;
	mpt_until(t, b->go);
	return 0;
}

static void
an_interrupt_breaks_it_as_well(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, 4);
	int id;

	spawn_waiting(t, b, 2, -ENOTRECOVERABLE);
	b->tid = 0;
	id = mpt_spawn(t, "interrupted", be_interrupted, NULL);
	mpt_until(t, b->tid && mproc_barrier_waiting(b->barrier) == 3 &&
			     mpt_task_state(b->tid) == 'S');
	assert_int_equal(kill(mpt_pid(t, id), SIGUSR1), 0);
	mpt_until(t, b->done == 3);
	b->go = 1;
	end(t, b);
}

static int
learn_who(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	char text[64];

	(void)arg;
	mpt_check_int(t, mproc_barrier_wait(b->barrier, mproc_sec(20)),
		      -ENOTRECOVERABLE);
	snprintf(text, sizeof(text), "process %d, a party", (int)b->tid);
	mpt_check(t, detail_has(text));
	b->done++;
	mpt_until(t, b->go);
	return 0;
}

/* Enrols or waits, and is killed. */
static int
be_killed(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	b->tid = gettid();
	if (arg)
		mpt_check(t, mproc_barrier_wait(b->barrier, mproc_sec(20)) < 0);
	else
		mpt_check_int(t, mproc_barrier_enroll(b->barrier), 0);
	b->ready++;
	wait_to_be_killed(t);
	return 0;
}

static void
a_dead_party_breaks_it(void **state)
{
	struct mpt *t = *state;
	unsigned rounds = 4 + amount(20);
	int64_t began;
	struct mpt_times spent[2] = { 0 };

	for (unsigned i = 0; i < rounds; i++) {
		struct board *b = new_board(t, 4);
		bool waits = i % 2;
		int id = mpt_spawn(t, "victim", be_killed,
				   waits ? b : NULL);

		if (waits)
			mpt_until(t, mproc_barrier_waiting(b->barrier) == 1);
		else
			mpt_until(t, b->ready);
		mpt_spawn(t, "party", learn_who, NULL);
		mpt_spawn(t, "party", learn_who, NULL);
		mpt_until(t, mproc_barrier_waiting(b->barrier) == 2 + waits);
		began = mproc_now();
		mpt_kill(t, id);
		mpt_until(t, b->done == 2);
		mpt_times_add(&spent[waits], mproc_now() - began);
		assert_true(mproc_barrier_broken(b->barrier));
		/* Its place is free after a reset. */
		assert_int_equal(mproc_barrier_reset(b->barrier), 0);
		assert_false(mproc_barrier_broken(b->barrier));
		assert_int_equal(mproc_barrier_enroll(b->barrier), 0);
		b->go = 1;
		end(t, b);
	}
	for (int k = 0; k < 2; k++)
		assert_true(mpt_times_median(&spent[k]) < 200 * MS);
}

static int
come_late(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_barrier_enroll(b->barrier), 0);
	b->ready++;
	mpt_until(t, b->go);
	mpt_check(t, mproc_barrier_wait(b->barrier, mproc_sec(20)) >= 0);
	return 0;
}

static int
come_and_wait(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check(t, mproc_barrier_wait(b->barrier, mproc_sec(20)) >= 0);
	return 0;
}

/* Whether it waits already or is still to come. */
static void
a_stopped_party_breaks_nothing(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, 4);
	int late = mpt_spawn(t, "late", come_late, NULL), waits;
	mproc_event nothing = { 0 };

	mpt_spawn(t, "party", come_and_wait, NULL);
	waits = mpt_spawn(t, "waits", come_and_wait, NULL);
	mpt_until(t, b->ready && mproc_barrier_waiting(b->barrier) == 2);
	mpt_pause(t, late);
	mpt_pause(t, waits);
	/* As long as it takes those who sleep to look for the dead several times. */
	assert_int_equal(mproc_event_wait(&nothing, mproc_ms(300)), -ETIMEDOUT);
	assert_int_equal(mproc_arena_recover(NULL), 0);
	assert_false(mproc_barrier_broken(b->barrier));
	assert_int_equal(mproc_barrier_waiting(b->barrier), 2);
	mpt_resume(t, waits);
	mpt_resume(t, late);
	b->go = 1;
	assert_true(mproc_barrier_wait(b->barrier, mproc_sec(20)) >= 0);
	end(t, b);
}

/* A thread of the family, in the first place that is free. */
static int
come_along(struct mpt *t, void *arg)
{
	mproc_lock *lock;

	(void)arg;
	mpt_check_int(t, mproc_lock_create(&lock), 0);
	mproc_lock_destroy(lock);
	return 0;
}

/* Who waits is told who it was, however late it looks and whoever came in the
 * dead one's place. */
static void
the_dead_party_is_known_for_long(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, 3);
	int victim = mpt_spawn(t, "victim", be_killed, NULL), waits;

	mpt_until(t, b->ready);
	waits = mpt_spawn(t, "party", learn_who, NULL);
	mpt_until(t, mproc_barrier_waiting(b->barrier) == 1);
	mpt_pause(t, waits);
	mpt_kill(t, victim);
	assert_true(mproc_arena_recover(NULL) >= 0);
	mpt_expect_exit(t, mpt_spawn(t, "other", come_along, NULL), 0);
	mpt_resume(t, waits);
	mpt_until(t, b->done == 1);
	b->go = 1;
	end(t, b);
}

/* The last one to come finds it out, without anybody having noticed. */
static void
a_phase_with_a_dead_one_is_not_complete(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, 2);
	int id = mpt_spawn(t, "victim", be_killed, b);

	mpt_until(t, mproc_barrier_waiting(b->barrier) == 1);
	assert_int_equal(mproc_barrier_enroll(b->barrier), 0);
	mpt_kill(t, id);
	assert_int_equal(mproc_barrier_wait(b->barrier, MPROC_FOREVER),
			 -ENOTRECOVERABLE);
	end(t, b);
}

static int
end_at_once(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_barrier_enroll(b->barrier), 0);
	b->ready++;
	return 0;
}

static void
a_party_that_ends_breaks_it(struct mpt *t)
{
	struct board *b = new_board(t, 3);

	spawn_waiting(t, b, 1, -ENOTRECOVERABLE);
	mpt_spawn(t, "quitter", end_at_once, NULL);
	mpt_until(t, b->done == 1);
	assert_true(mproc_barrier_broken(b->barrier));
	b->go = 1;
	end(t, b);
}

static void
the_next_team_finds_it_as_new(struct mpt *t)
{
	struct board *b = new_board(t, PARTIES);

	for (unsigned round = 0; round < amount(30); round++) {
		b->ready = 0;
		for (int i = 0; i < PARTIES; i++)
			b->phase[i] = 0;
		for (int i = 0; i < PARTIES; i++)
			mpt_spawn(t, "party", pass, (void *)(uintptr_t)3);
		mpt_join_all(t);
		assert_false(mproc_barrier_broken(b->barrier));
		assert_int_equal(mproc_barrier_waiting(b->barrier), 0);
	}
	/* One of a team has ended before the others came. */
	mpt_expect_exit(t, mpt_spawn(t, "quitter", end_at_once, NULL), 0);
	assert_false(mproc_barrier_broken(b->barrier));
	assert_int_equal(mproc_barrier_enroll(b->barrier), 0);
	end(t, b);
}

static int
be_too_many(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_barrier_wait(b->barrier, mproc_sec(20)), -EPERM);
	mpt_check(t, detail_has("has its 2 parties"));
	mpt_check_int(t, mproc_barrier_enroll(b->barrier), -EPERM);
	return 0;
}

static void
one_too_many_is_refused(struct mpt *t)
{
	struct board *b = new_board(t, 2);

	assert_int_equal(mproc_barrier_enroll(b->barrier), 0);
	spawn_waiting(t, b, 1, 0);
	mpt_expect_exit(t, mpt_spawn(t, "third", be_too_many, NULL), 0);
	assert_false(mproc_barrier_broken(b->barrier));
	assert_int_equal(mproc_barrier_wait(b->barrier, MPROC_NOWAIT), 1);
	mpt_until(t, b->done == 1);
	b->go = 1;
	end(t, b);
}

static void
fewer_go_on_after_init(struct mpt *t)
{
	struct board *b = new_board(t, 3);

	assert_int_equal(mproc_barrier_enroll(b->barrier), 0);
	spawn_waiting(t, b, 1, -ENOTRECOVERABLE);
	assert_int_equal(mproc_barrier_init(b->barrier, 2), 0);
	mpt_until(t, b->done == 1);
	spawn_waiting(t, b, 1, 0);
	assert_int_equal(mproc_barrier_wait(b->barrier, MPROC_FOREVER), 1);
	b->go = 1;
	end(t, b);
}

static void
destroy_wakes_those_who_wait(struct mpt *t)
{
	struct mpt_times spent = { 0 };

	for (int i = 0; i < 5; i++) {
		struct board *b = new_board(t, 4);
		int64_t began;

		spawn_waiting(t, b, 3, -ESHUTDOWN);
		began = mproc_now();
		mproc_barrier_destroy(b->barrier);
		mpt_until(t, b->done == 3);
		mpt_times_add(&spent, mproc_now() - began);
		assert_int_equal(mproc_barrier_wait(b->barrier, MPROC_FOREVER),
				 -ESTALE);
		assert_int_equal(mproc_barrier_init(b->barrier, 2), -ESTALE);
		assert_int_equal(mproc_barrier_reset(b->barrier), -ESTALE);
		assert_true(mproc_barrier_broken(b->barrier));
		b->go = 1;
		end(t, b);
	}
	/* A slice lasts more than 50 ms. */
	assert_true(mpt_times_median(&spent) < 40 * MS);
}

static void *
make_barrier(unsigned i)
{
	mproc_barrier *barrier;

	assert_int_equal(mproc_barrier_create(&barrier, 1), 0);
	if (i % 20 == 0)
		assert_int_equal(mproc_barrier_wait(barrier, MPROC_NOWAIT), 0);
	return barrier;
}

static void
destroy_barrier(void *barrier)
{
	mproc_barrier_destroy(barrier);
}

static void
barriers_come_and_go_without_growth(void **state)
{
	(void)state;
	come_and_go_without_growth(make_barrier, destroy_barrier, 20, 1);
}

enum { TEAM = 4 };

/* Phase after phase, and again when it was broken and reset. */
static int
go_on(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int r;

	(void)arg;
	while (!b->go) {
		r = mproc_barrier_wait(b->barrier, mproc_sec(20));
		mpt_check(t, r == -ENOTRECOVERABLE || (r >= 0 && r < TEAM));
		if (r >= 0)
			b->index[0][r]++;
		else
			mpt_until(t, b->go || !mproc_barrier_broken(b->barrier));
	}
	return 0;
}

static void
the_team_goes_on_whoever_is_killed(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, TEAM);
	unsigned rounds = amount(300), last;
	int ids[TEAM];

	mpt_watchdog(t, 60);
	/* A round needs a role. */
	rounds = rounds < 1000 ? rounds : 1000;
	for (int i = 0; i < TEAM; i++)
		ids[i] = mpt_spawn(t, "party", go_on, NULL);
	for (unsigned i = 0; i < rounds; i++) {
		unsigned phases = b->index[0][TEAM - 1] + i % 5;

		mpt_until(t, b->index[0][TEAM - 1] > phases);
		mpt_kill(t, ids[i % TEAM]);
		assert_int_equal(mproc_barrier_reset(b->barrier), 0);
		ids[i % TEAM] = mpt_spawn(t, "party", go_on, NULL);
	}
	/* For one that becomes a party when all others have ended it would be as new. */
	last = b->index[0][TEAM - 1];
	mpt_until(t, b->index[0][TEAM - 1] > last + 1);
	b->go = 1;
	assert_int_equal(mproc_barrier_abort(b->barrier), 0);
	end(t, b);
}

both(one_pass)
both(many_passes_in_order)
both(one_acts_before_all_go_on)
both(abort_breaks_it_until_reset)
both(reset_frees_those_who_wait)
both(a_timeout_breaks_it_for_all)
both(a_party_that_ends_breaks_it)
both(the_next_team_finds_it_as_new)
both(one_too_many_is_refused)
both(fewer_go_on_after_init)
both(destroy_wakes_those_who_wait)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		both_tests(one_pass),
		both_tests(many_passes_in_order),
		both_tests(one_acts_before_all_go_on),
		mpt_test(misuse_is_an_error),
		mpt_test(a_party_alone_does_not_wait),
		mpt_test(a_thread_is_a_party_of_sixteen),
		both_tests(abort_breaks_it_until_reset),
		both_tests(reset_frees_those_who_wait),
		both_tests(a_timeout_breaks_it_for_all),
		mpt_test(an_interrupt_breaks_it_as_well),
		mpt_test(a_dead_party_breaks_it),
		mpt_test(a_stopped_party_breaks_nothing),
		mpt_test(the_dead_party_is_known_for_long),
		mpt_test(a_phase_with_a_dead_one_is_not_complete),
		mpt_test(the_team_goes_on_whoever_is_killed),
		both_tests(a_party_that_ends_breaks_it),
		both_tests(the_next_team_finds_it_as_new),
		both_tests(one_too_many_is_refused),
		both_tests(fewer_go_on_after_init),
		both_tests(destroy_wakes_those_who_wait),
		mpt_test(barriers_come_and_go_without_growth),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
