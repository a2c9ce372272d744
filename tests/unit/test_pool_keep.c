/* SPDX-License-Identifier: MIT */
/*
 * A pool whose keeper is dead and has no successor: whoever needs one does what is left to
 * do. The test is the workers that live, and children of it those that are dead.
 */
#include <errno.h>
#include <mproc/testing.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "common.h"
#include "pool/entries.h"
#include "pool/keeper_word.h"
#include "pool/keeping.h"
#include "pool/pool.h"
#include "pool/task.h"

#define LAST 3 /* number of a worker, beyond those that the pool was made with */

static struct {
	struct mpr_pool_use use;
	struct mpr_self *self;
} s;

static void
make(int backend)
{
	const struct mproc_pool_opts o = {
		.struct_size = sizeof(o),
		.workers = 1,
		.backend = backend,
	};
	mproc_arena *a;

	assert_int_equal(mpr_arena_get(&a), 0);
	assert_int_equal(mpr_self(a, &s.self), 0);
	assert_int_equal(mpr_pool_make(&s.use, s.self, &o, mproc_map_loop_near_), 0);
	assert_int_equal(mpr_pool_make_room(&s.use, s.self, LAST + 1), 0);
	mpr_keeper_give_back(&s.use, mpr_keeper_starter(s.self));
	mpr_pool_open(&s.use);
}

static int
do_nothing(const void *in, size_t len, struct mproc_result *out)
{
	(void)in;
	(void)len;
	(void)out;
	return 0;
}

/* A task that is in the hands of worker @w, which is dead. */
static mproc_future *
lose_task(unsigned w)
{
	struct mpr_pool_worker *record = mpr_pool_worker_at(&s.use, w);
	struct mpr_self *self;
	mproc_future *f;
	uint64_t word;
	int status;
	pid_t pid;

	assert_non_null(record);
	assert_int_equal(mproc_pool_submit(s.use.pool, do_nothing, NULL, 0, &f), 0);
	word = atomic_load(&f->cell.word);
	pid = fork();
	if (pid == 0) {
		if (mpr_self(s.use.arena, &self) < 0)
			_exit(1);
		atomic_store(&record->word, mpr_holder(self));
		atomic_store(&f->cell.word,
			     mpr_future_with(word, MPR_FUTURE_RUNNING, w));
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, SIGKILL);
	return f;
}

static void
expect_death_of_last(int backend)
{
	mproc_future *f;
	uint64_t word;

	make(backend);
	f = lose_task(LAST);
	mpr_pool_advance(&s.use, MPR_POOL_TERMINATING);
	assert_false(mpr_keeping_is_on(&s.use));
	assert_int_equal(mpr_keeping_ensure(&s.use), 0);
	assert_int_equal(mpr_pool_phase(&s.use), MPR_POOL_ENDED);
	word = atomic_load(&f->cell.word);
	assert_int_equal(mpr_future_state(word), MPR_FUTURE_DONE);
	assert_int_equal(mpr_task_result(f, word), -EOWNERDEAD);
	assert_int_equal(atomic_load(&s.use.root->deaths), 1);
	mproc_future_close(f);
	assert_true(mpr_pool_free(&s.use, s.self));
}

static void
all_dead_threads_are_buried(void **state)
{
	(void)state;
	expect_death_of_last(MPROC_POOL_THREADS);
}

static void
all_dead_workers_of_a_terminated_pool_are_buried(void **state)
{
	(void)state;
	expect_death_of_last(MPROC_POOL_PROCESSES);
}

static void
be_dead_keeper(void)
{
	struct mpr_self *self;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (mpr_self(s.use.arena, &self) < 0)
			_exit(1);
		atomic_store(&s.use.root->keeper, mpr_holder(self));
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, SIGKILL);
}

/* A worker that has not ended with its keeper, which is known to be dead or not, ends by
 * that, and is waited for. */
static void
expect_wait_for_worker(bool known)
{
	struct mpr_pool_worker *record;
	struct mpr_pool_hint hint;
	mproc_future *f;
	uint64_t word;

	make(MPROC_POOL_PROCESSES);
	record = mpr_pool_worker_at(&s.use, LAST);
	assert_non_null(record);
	atomic_store(&record->word, mpr_holder(s.self));
	assert_int_equal(mproc_pool_submit(s.use.pool, do_nothing, NULL, 0, &f), 0);
	if (!known)
		be_dead_keeper();
	mpr_pool_advance(&s.use, MPR_POOL_TERMINATING);
	if (known)
		mpr_keeping_wake(&s.use);
	else
		assert_int_equal(mpr_keeping_ensure(&s.use), 0);
	assert_int_equal(mpr_pool_phase(&s.use), MPR_POOL_TERMINATING);
	word = atomic_load(&f->cell.word);
	assert_int_equal(mpr_future_state(word), MPR_FUTURE_DONE);
	assert_int_equal(mpr_task_result(f, word), -ESHUTDOWN);
	mproc_future_close(f);
	assert_int_equal(mproc_queue_get(mpr_pool_queue(&s.use), &hint, sizeof(hint),
					 NULL, MPROC_NOWAIT), -ESHUTDOWN);
	/* Nothing more is to be done before somebody dies. */
	assert_true(mpr_keeping_is_on(&s.use));
	assert_int_equal(mpr_keeping_slot(&s.use), -2);
	atomic_store(&record->word, 0);
	assert_false(mpr_keeping_is_on(&s.use));
	assert_int_equal(mpr_keeping_ensure(&s.use), 0);
	assert_int_equal(mpr_pool_phase(&s.use), MPR_POOL_ENDED);
	assert_true(mpr_pool_free(&s.use, s.self));
}

static void
who_outlives_a_dead_keeper_is_waited_for(void **state)
{
	(void)state;
	expect_wait_for_worker(false);
}

static void
who_has_no_keeper_is_waited_for(void **state)
{
	(void)state;
	expect_wait_for_worker(true);
}

/* It goes on to live when it has given the pool back: of a worker that dies then its waiters
 * are to know, too. */
static void
who_keeps_it_for_a_moment_is_not_all_to_wait_for(void **state)
{
	uint64_t mine;

	(void)state;
	make(MPROC_POOL_PROCESSES);
	mine = mpr_keeper_starter(s.self);
	assert_int_equal(mpr_keeper_claim(&s.use, mine, MPR_POOL_CLOSING), 0);
	/* Who starts another one. */
	assert_int_equal(mpr_keeping_slot(&s.use), s.self->slot);
	mpr_pool_advance(&s.use, MPR_POOL_TERMINATING);
	assert_int_equal(mpr_keeping_slot(&s.use), -2);
	assert_true(mpr_keeper_give_back(&s.use, mine));
	assert_int_equal(mpr_keeping_ensure(&s.use), 0);
	assert_true(mpr_pool_free(&s.use, s.self));
}

static void *
keep_without_memory(void *ret)
{
	struct mpr_self *self;

	if (mpr_self(s.use.arena, &self) < 0 || mproc_test_fault("malloc:1+") < 0)
		return NULL;
	*(int *)ret = mpr_keeping_ensure(&s.use);
	(void)mproc_test_fault(NULL);
	return NULL;
}

/* Nobody would do it later: who waits has nothing to look for but deaths. */
static void
idle_workers_end_though_there_is_no_memory(void **state)
{
	struct mpr_pool_worker *record;
	struct mpr_pool_hint hint;
	pthread_t thread;
	int r = -1;

	(void)state;
	make(MPROC_POOL_PROCESSES);
	record = mpr_pool_worker_at(&s.use, LAST);
	assert_non_null(record);
	atomic_store(&record->word, mpr_holder(s.self));
	be_dead_keeper();
	mpr_pool_advance(&s.use, MPR_POOL_TERMINATING);
	/* One that has not used the queue before. */
	assert_int_equal(pthread_create(&thread, NULL, keep_without_memory, &r), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(r, 0);
	assert_true(mpr_keeping_is_on(&s.use));
	assert_int_equal(mproc_queue_get(mpr_pool_queue(&s.use), &hint, sizeof(hint),
					 NULL, MPROC_NOWAIT), -ESHUTDOWN);
	atomic_store(&record->word, 0);
	assert_int_equal(mpr_keeping_ensure(&s.use), 0);
	assert_int_equal(mpr_pool_phase(&s.use), MPR_POOL_ENDED);
	assert_true(mpr_pool_free(&s.use, s.self));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_dead_threads_are_buried),
		cmocka_unit_test(all_dead_workers_of_a_terminated_pool_are_buried),
		cmocka_unit_test(who_outlives_a_dead_keeper_is_waited_for),
		cmocka_unit_test(who_has_no_keeper_is_waited_for),
		cmocka_unit_test(who_keeps_it_for_a_moment_is_not_all_to_wait_for),
		cmocka_unit_test(idle_workers_end_though_there_is_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
