/* SPDX-License-Identifier: MIT */
/*
 * A pool was terminated, its keeper is dead, and with it a worker that had a task; another
 * worker was about to begin. Who needs a keeper ends the pool itself, and is killed after
 * each instruction that changes what is shared, and after many others. The next one does
 * the rest.
 */
#include <sys/wait.h>

#include "pool.h"

/* As the keeper, and as the worker. */
static void
die_with_a_task(struct scene *s)
{
	struct mpr_worker me = play_worker(s, 0);
	uint64_t word = atomic_load(&s->f->cell.word);

	atomic_store(&s->use.root->keeper, me.holder);
	/* As mpr_task_run(), up to the task. */
	atomic_store(&s->f->cell.word,
		     mpr_future_with(word, MPR_FUTURE_RUNNING, 0));
	if (!mpr_future_make_out(me.use.arena, mpr_self_in(me.use.arena), s->f,
				 LARGE))
		_exit(1);
	raise(SIGKILL);
}

static void
begin_lost(void *arg)
{
	struct scene *s = arg;
	int status;
	pid_t pid;

	begin(s);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		die_with_a_task(s);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	s->waiting = submit(s);
	atomic_store(&mpr_pool_worker_at(&s->use, 1)->word, UINT64_C(1) << 32);
	mpr_pool_advance(&s->use, MPR_POOL_TERMINATING);
}

static void
end_victim(void *arg)
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
expect_shut(mproc_future *f)
{
	struct mproc_task_error e;

	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	assert_int_equal(mproc_future_error(f, &e), 0);
	assert_int_equal(e.error, -ESHUTDOWN);
	mproc_future_close(f);
}

static void
after_end(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	assert_true(!finished || mpr_pool_phase(&s->use) == MPR_POOL_ENDED);
	expect_shut(s->f);
	expect_shut(s->waiting);
	/* Whoever begins late is too late. */
	assert_int_equal(atomic_load(&mpr_pool_worker_at(&s->use, 1)->word), 0);
	end(s);
	assert_int_equal(atomic_load(runs()), 0);
}

static void
killed_while_it_ends_the_pool(void **state)
{
	struct scene s = { .t = *state, .len = 40 };

	mpt_watchdog(s.t, 60);
	warm_up(&s);
	mpt_stepper_run(s.t, &(struct mpt_stepper_opts){
		.name = "end",
		.before = begin_lost,
		.victim = end_victim,
		.survivor = after_end,
		.fingerprint = pool_state,
		.arg = &s,
		.every = 50,
		.budget = 50,
		.max_cases = 200,
	}, NULL);
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
		mpt_test(killed_while_it_ends_the_pool),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
