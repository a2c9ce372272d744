/* SPDX-License-Identifier: MIT */
/*
 * What only pools of threads have: a task is given up that a thread runs; the thread comes
 * back with it; and whoever waits is the keeper once all threads are dead. Who does that is
 * killed after each instruction that changes what is shared. What the rest of it does is in
 * test_pool.c and test_pool_map.c: it is the same.
 *
 * The test plays the keeper, so that nothing happens before the victim is dead.
 */
#include <sys/wait.h>

#include "pool.h"
#include "waiters.h"

#define MS INT64_C(1000000) /* in nanoseconds */

static void
make_threads(struct scene *s)
{
	const struct mproc_pool_opts o = {
		.struct_size = sizeof(o),
		.workers = WORKERS,
		.backend = MPROC_POOL_THREADS,
	};

	recover();
	atomic_store(runs(), 0);
	assert_int_equal(mproc_arena_stat(NULL, &s->before), 0);
	assert_int_equal(mpr_self(mpr_arena_peek(), &s->self), 0);
	assert_int_equal(mpr_pool_make(&s->use, s->self, &o, mproc_map_loop_near_),
			 0);
	s->pool = s->use.pool;
	atomic_store(&s->use.root->keeper, mpr_holder(s->self));
	mpr_pool_open(&s->use);
	s->f = submit(s);
}

static struct mpr_worker
play_thread(const struct scene *s, unsigned w)
{
	struct mpr_worker me = play_worker(s, w);

	me.stays = true;
	return me;
}

static void
take_task(const struct scene *s, unsigned w)
{
	uint64_t word = atomic_load(&s->f->cell.word);

	atomic_store(&s->f->cell.word,
		     mpr_future_with(word, MPR_FUTURE_RUNNING, w));
}

static void
expect_error(mproc_future *f, int error)
{
	struct mproc_task_error e;

	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	assert_int_equal(mproc_future_error(f, &e), 0);
	assert_int_equal(e.error, error);
}

/* Whoever needs a keeper is it, and it has ended. What was about to be freed is so with
 * the pool. */
static void
take_threads_apart(struct scene *s)
{
	mpr_pool_advance(&s->use, MPR_POOL_TERMINATING);
	assert_int_equal(mpr_keeping_ensure(&s->use), 0);
	assert_int_equal(mpr_pool_phase(&s->use), MPR_POOL_ENDED);
	assert_true(mpr_pool_free(&s->use, s->self));
	recover();
}

static void
end_threads(struct scene *s)
{
	struct mproc_arena_stat now;

	take_threads_apart(s);
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, s->before.blocks);
	assert_int_equal(now.used, s->before.used);
	assert_int_equal(now.participants, s->before.participants);
}

/* The keeper has gone, who was the test. */
static void
leave_keeper(struct scene *s)
{
	atomic_store(&s->use.root->keeper, mpr_keeper_none(s->use.generation));
}

/* A waiter sleeps, and worker 1, who is the test, runs the task. */
static void
make_waited(void *arg)
{
	struct scene *s = arg;

	make_threads(s);
	play_thread(s, 1);
	take_task(s, 1);
	s->waiter = fork();
	assert_true(s->waiter >= 0);
	if (s->waiter == 0)
		_exit(mproc_future_wait(s->f, MPROC_FOREVER) == 0 ? 0 : 1);
	mpt_until(s->t, atomic_load(&s->f->cell.word) & MPR_WAITERS &&
				mpt_task_state(s->waiter) == 'S');
}

static void
cancel_victim(void *arg)
{
	struct scene *s = arg;

	mproc_free(mproc_alloc(64));
	mpt_step_begin();
	may_fail(mproc_future_cancel(s->f, MPROC_CANCEL_RUNNING));
	mpt_step_end();
}

static void
after_cancel(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	struct mpr_worker me = play_thread(s, 1);
	uint64_t word = atomic_load(&s->f->cell.word);
	int64_t began = mproc_now();
	bool given_up = mpr_future_state(word) == MPR_FUTURE_GIVEN_UP;

	(void)victim;
	(void)n;
	assert_true(given_up || !finished);
	assert_int_equal(mproc_future_cancel(s->f, MPROC_CANCEL_RUNNING),
			 given_up ? -EALREADY : 0);
	/* The thread runs on. */
	wait_for_exit(s->waiter);
	mpt_times_add(&s->spent, mproc_now() - began);
	expect_error(s->f, -ECANCELED);
	assert_false(mpr_task_come_back(&me, s->f, word));
	assert_int_equal(mpr_future_state(atomic_load(&s->f->cell.word)),
			 MPR_FUTURE_DONE);
	expect_error(s->f, -ECANCELED);
	mproc_future_close(s->f);
	atomic_store(&me.record->word, 0);
	leave_keeper(s);
	end_threads(s);
}

static void
make_only(void *arg)
{
	make_threads(arg);
}

/* A result of it is on its way, and nobody wants that any more. */
static void
come_back_victim(void *arg)
{
	struct scene *s = arg;
	struct mpr_worker me = play_thread(s, 1);
	uint64_t word = atomic_load(&s->f->cell.word);

	atomic_store(&s->use.root->keeper, me.holder);
	take_task(s, 1);
	may_fail(mpr_future_make_out(s->use.arena, mpr_self_in(s->use.arena), s->f,
				     LARGE) ? 0 : -ENOMEM);
	may_fail(mproc_future_cancel(s->f, MPROC_CANCEL_RUNNING));
	mproc_future_close(s->f);
	mpt_step_begin();
	(void)mpr_task_come_back(&me, s->f, word);
	mpt_step_end();
}

static void
all_ends(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	(void)finished;
	end_threads(s);
}

/* The creator is dead, with the threads and what they had. */
static void
make_and_lose(void *arg)
{
	struct scene *s = arg;
	pid_t creator;

	make_threads(s);
	creator = fork();
	assert_true(creator >= 0);
	if (creator == 0) {
		struct mpr_worker me = play_thread(s, 0);

		atomic_store(&s->use.root->keeper, me.holder);
		take_task(s, 0);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(creator, NULL, 0), creator);
	s->waiting = submit(s);
}

static void
keep_victim(void *arg)
{
	struct scene *s = arg;

	mproc_free(mproc_alloc(64));
	mpt_step_begin();
	may_fail(mpr_keeping_ensure(&s->use));
	mpt_step_end();
	if (mpr_pool_phase(&s->use) != MPR_POOL_ENDED)
		_exit(1);
}

static void
after_keep(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	(void)finished;
	expect_error(s->waiting, -ESHUTDOWN);
	expect_error(s->f, -EOWNERDEAD);
	mproc_future_close(s->waiting);
	mproc_future_close(s->f);
	end_threads(s);
}

static void
step(struct mpt *t, const struct mpt_stepper_opts *how)
{
	struct scene s = { .t = t, .len = 40 };
	struct mpt_stepper_opts o = *how;

	mpt_watchdog(t, 120);
	make_threads(&s);
	/* What stays with a cell is there. */
	mproc_future_close(s.f);
	leave_keeper(&s);
	take_threads_apart(&s);
	o.fingerprint = pool_state;
	o.every = 100;
	o.budget = 50;
	o.max_cases = 100;
	o.arg = &s;
	mpt_stepper_run(t, &o, NULL);
	/* The end of a slice is 50 ms away. */
	if (s.spent.n)
		assert_true(mpt_times_median(&s.spent) < 25 * MS);
}

static void
killed_while_it_cancels(void **state)
{
	step(*state, &(struct mpt_stepper_opts){ .name = "cancel",
						 .before = make_waited,
						 .victim = cancel_victim,
						 .survivor = after_cancel });
}

static void
killed_while_it_comes_back(void **state)
{
	step(*state, &(struct mpt_stepper_opts){ .name = "come back",
						 .before = make_only,
						 .victim = come_back_victim,
						 .survivor = all_ends });
}

static void
killed_while_it_keeps_what_is_dead(void **state)
{
	step(*state, &(struct mpt_stepper_opts){ .name = "keep",
						 .before = make_and_lose,
						 .victim = keep_victim,
						 .survivor = after_keep });
}

static int
setup(void **state)
{
	(void)state;
	make_spare_slots();
	return mproc_arena_recover(NULL) < 0 ? -1 : 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_while_it_cancels),
		mpt_test(killed_while_it_comes_back),
		mpt_test(killed_while_it_keeps_what_is_dead),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
