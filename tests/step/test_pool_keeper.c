/* SPDX-License-Identifier: MIT */
/*
 * A keeper is killed after each instruction that changes what is shared, and after
 * many others, from where it becomes the keeper until it first sleeps: it takes over
 * from one before it, buries a worker, makes its task QUEUED again or fails it,
 * announces tasks and forks workers. The next keeper does the rest. So is the first one,
 * before the pool is open; its creator opens it, or gives it up.
 */
#include <sys/wait.h>

#include "os/task.h"
#include "process/record.h"
#include "pool.h"

struct kept {
	struct scene scene; /* first */
	mproc_future *others[2];
	unsigned retries;
};

static void
die_with_a_task(struct scene *s)
{
	struct mpr_worker me = play_worker(s, 0);
	mproc_queue *q = mpr_pool_queue(&s->use);
	struct mpr_pool_hint hint;
	uint64_t word = atomic_load(&s->f->cell.word);

	/* So that only a new hint leads to it. */
	may_fail(mproc_queue_get(q, &hint, sizeof(hint), NULL, MPROC_NOWAIT));
	may_fail(mproc_queue_task_done(q));
	/* As mpr_task_run(), up to the task. */
	atomic_store(&s->f->cell.word,
		     mpr_future_with(word, MPR_FUTURE_RUNNING, 0));
	atomic_store(&s->f->pid, (uint32_t)getpid());
	if (!mpr_future_make_out(me.use.arena, mpr_self_in(me.use.arena), s->f,
				 LARGE))
		_exit(1);
	raise(SIGKILL);
}

static void
begin_kept(void *arg)
{
	struct kept *k = arg;
	struct scene *s = &k->scene;
	int status;
	pid_t pid;

	begin(s);
	atomic_store(&s->use.root->retries, k->retries);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		die_with_a_task(s);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	for (int i = 0; i < 2; i++)
		k->others[i] = submit(s);
}

static void
keep(void *arg)
{
	be_keeper(&((struct kept *)arg)->scene);
}

static void
expect_death(mproc_future *f)
{
	struct mproc_task_error e;

	assert_int_equal(mproc_future_error(f, &e), 0);
	assert_int_equal(e.error, -EOWNERDEAD);
}

static void
after_keep(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct kept *k = arg;
	struct scene *s = &k->scene;
	char bytes[LARGE];

	(void)victim;
	(void)n;
	(void)finished;
	/* Its workers end with it. */
	mpt_reap_orphans(s->t);
	recover();
	for (int i = 0; i < 2; i++) {
		/* A worker may have begun it, and died with the keeper. */
		if (!k->retries &&
		    mproc_future_get(k->others[i], bytes, sizeof(bytes), NULL,
				     MPROC_FOREVER) == MPROC_TASK_FAILED)
			expect_death(k->others[i]);
		else
			expect_result(s, k->others[i]);
		mproc_future_close(k->others[i]);
	}
	if (k->retries) {
		expect_result(s, s->f);
	} else {
		assert_int_equal(mproc_future_wait(s->f, MPROC_FOREVER), 0);
		expect_death(s->f);
	}
	mproc_future_close(s->f);
	end(s);
}

/* @o says who does what. */
static void
step_keeper(struct scene *s, struct mpt_stepper_opts o)
{
	o.fingerprint = pool_state;
	o.every = 20;
	o.budget = 100;
	o.max_cases = 300;
	o.forks = true;
	o.limit = KEEPER_LIMIT;
	mpt_watchdog(s->t, 60);
	warm_up(s);
	mpt_stepper_run(s->t, &o, NULL);
}

static void
run(struct mpt *t, const char *name, unsigned retries)
{
	struct kept k = { .scene = { .t = t, .len = LARGE },
			  .retries = retries };

	step_keeper(&k.scene, (struct mpt_stepper_opts){
		.name = name,
		.victim = keep,
		.before = begin_kept,
		.survivor = after_keep,
		.arg = &k,
	});
}

static void
killed_while_it_takes_over_and_has_tasks_run_again(void **state)
{
	run(*state, "keep, with retries", 5);
}

static void
killed_while_it_takes_over_and_fails_a_task(void **state)
{
	run(*state, "keep, without retries", 0);
}

struct first {
	struct scene scene; /* first */
	struct mpr_keeping keeping;
};

static void
begin_first(void *arg)
{
	struct first *f = arg;

	make_closed(&f->scene);
	f->keeping = (struct mpr_keeping){
		.use = f->scene.use,
		.at = mproc_now(),
		.is_first = true,
		.starter_pid = getpid(),
		.namespace = mpr_task_namespace(),
		.records = mpr_records_set_aside(),
	};
	assert_non_null(f->keeping.records);
}

static void
keep_first(void *arg)
{
	be_keeper_as(((struct first *)arg)->keeping);
}

static void
after_first(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct first *f = arg;
	struct scene *s = &f->scene;
	bool was_keeper = mpr_holder_has_it(atomic_load(&s->use.root->keeper));

	(void)victim;
	(void)n;
	(void)finished;
	/* Its workers end with it. */
	mpt_reap_orphans(s->t);
	mpr_records_take_back(f->keeping.records, false);
	recover();
	if (was_keeper) {
		assert_true(mpr_pool_open(&s->use));
		s->f = submit(s);
		expect_result(s, s->f);
		mproc_future_close(s->f);
		end(s);
		return;
	}
	mpr_pool_advance(&s->use, MPR_POOL_ENDED);
	mpr_pool_unmake(&s->use, s->self);
	recover();
	expect_nothing_left(s);
}

static void
killed_while_it_is_the_first(void **state)
{
	struct first f = { .scene = { .t = *state, .len = LARGE } };

	step_keeper(&f.scene, (struct mpt_stepper_opts){
		.name = "keep, as the first",
		.victim = keep_first,
		.before = begin_first,
		.survivor = after_first,
		.arg = &f,
	});
}

static int
keep_late(struct mpt *t, void *arg)
{
	const struct scene *s = arg;
	struct mpr_keeping keeping = { .use = s->use, .is_first = true, .at = 1,
				       .starter_pid = getpid() };
	struct mpr_self *self;

	(void)t;
	may_fail(mpr_self(keeping.use.arena, &self));
	keeping.starter = mpr_keeper_starter(self);
	keeping.starter_slot = self->slot;
	atomic_store(&keeping.use.root->keeper, keeping.starter);
	return mpr_keeper_run(&keeping);
}

/* A handler has forked who was about to start the first keeper; the copy goes on when the
 * pool has lost one, and the word is its parent's again. Of what it knows nothing holds. */
static void
the_keeper_of_a_copy_is_not_the_first(void **state)
{
	struct scene s = { .t = *state, .len = LARGE };
	struct mpr_pool_hint hint;
	int keeper;

	mpt_watchdog(s.t, 10);
	begin(&s);
	/* Only a keeper that looks what was left finds the task. */
	may_fail(mproc_queue_get(mpr_pool_queue(&s.use), &hint, sizeof(hint), NULL,
				 MPROC_NOWAIT));
	may_fail(mproc_queue_task_done(mpr_pool_queue(&s.use)));
	keeper = mpt_fork(s.t, "keeper", keep_late, &s);
	mpt_until(s.t, mpr_keeper_lives(&s.use));
	expect_result(&s, s.f);
	mproc_future_close(s.f);
	/* What it has of the arena is back when it has ended. */
	mpr_pool_advance(&s.use, MPR_POOL_TERMINATING);
	mpr_keeping_wake(&s.use);
	mpt_expect_exit(s.t, keeper, 0);
	end(&s);
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
		mpt_test(killed_while_it_takes_over_and_has_tasks_run_again),
		mpt_test(killed_while_it_takes_over_and_fails_a_task),
		mpt_test(killed_while_it_is_the_first),
		mpt_test(the_keeper_of_a_copy_is_not_the_first),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
