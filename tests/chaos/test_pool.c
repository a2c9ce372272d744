/* SPDX-License-Identifier: MIT */
/*
 * A pool's workers, its keepers, and processes that submit tasks to it are killed and
 * stopped at random, while its creator submits tasks of all sizes, changes how many
 * workers there are, and waits for the tasks.
 *
 * Each task completes once: with its own result, or with the number of deaths that it
 * may have. No task is begun more often than that; without retries, one that succeeds was
 * begun once. Nothing is left when the pool is freed. Full runs have a million tasks.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "level.h"
#include "mpt_rand.h"

#define WORKERS 4
#define WINDOW 200 /* tasks at the same time */
#define SUBMITTERS 2
#define SUBMITTERS_MAX 1000 /* that are killed: a scenario has so many roles */
#define RECENT 64
#define LARGE 20000
#define TASKS_MAX 2000000

/* Shared with all. */
struct chaos {
	mproc_pool *pool;
	unsigned retries;
	_Atomic bool over;
	_Atomic unsigned next; /* for recent */
	_Atomic pid_t recent[RECENT]; /* that have begun a task */
	_Atomic unsigned char *begun; /* by task, how often */
	_Atomic unsigned done; /* by submitters */
};

struct job {
	struct chaos *c;
	unsigned number;
	unsigned len; /* of the result */
	unsigned spin;
};

static unsigned
byte_of(unsigned number, unsigned i)
{
	return (number * 31 + i) & 0xff;
}

static int
work(const void *in, size_t len, struct mproc_result *out)
{
	unsigned char bytes[LARGE];
	struct job job;

	if (len != sizeof(job))
		return -EBADMSG;
	memcpy(&job, in, sizeof(job));
	job.c->recent[job.c->next++ % RECENT] = getpid();
	if (job.number < TASKS_MAX)
		job.c->begun[job.number]++;
	for (unsigned i = 0; i < job.spin; i++)
		atomic_signal_fence(memory_order_seq_cst);
	for (unsigned i = 0; i < job.len; i++)
		bytes[i] = (unsigned char)byte_of(job.number, i);
	return mproc_result_set(out, bytes, job.len);
}

static struct job
make_job(struct chaos *c, unsigned number, struct mpt_rand *rand)
{
	return (struct job){
		.c = c,
		.number = number,
		.len = (unsigned)mpt_rand_below(rand, 4) ?
			       (unsigned)mpt_rand_below(rand, 100) :
			       (unsigned)mpt_rand_below(rand, LARGE),
		.spin = (unsigned)mpt_rand_below(rand, 20000),
	};
}

/* Returns whether it has succeeded. */
static bool
verify(struct mpt *t, mproc_future *f, const struct job *job)
{
	unsigned char bytes[LARGE];
	struct mproc_task_error e;
	size_t len = 0;
	int r;

	r = mproc_future_get(f, bytes, sizeof(bytes), &len, MPROC_FOREVER);
	if (r == MPROC_TASK_FAILED) {
		mpt_check_int(t, mproc_future_error(f, &e), 0);
		mpt_check_int(t, e.error, -EOWNERDEAD);
		mpt_check(t, e.deaths > job->c->retries);
		mproc_future_close(f);
		return false;
	}
	mpt_check_int(t, r, 0);
	mpt_check_int(t, len, job->len);
	for (unsigned i = 0; i < job->len; i++)
		mpt_check(t, bytes[i] == byte_of(job->number, i));
	mproc_future_close(f);
	return true;
}

static int
submit_and_wait(struct mpt *t, void *arg)
{
	struct chaos *c = arg;
	struct mpt_rand rand;
	mproc_future *f;

	mpt_rand_init(&rand, (uint64_t)getpid());
	while (!c->over) {
		struct job job = make_job(c, TASKS_MAX, &rand);

		mpt_check_int(t, mproc_pool_submit(c->pool, work, &job,
						   sizeof(job), &f), 0);
		verify(t, f, &job);
		c->done++;
	}
	return 0;
}

struct run {
	struct mpt *t;
	struct chaos *c;
	struct mpt_rand rand;
	int submitters[SUBMITTERS];
	unsigned killed_workers, killed_keepers, killed_submitters;
	unsigned failed;
	pid_t stopped;
};

static pid_t
keeper(const struct chaos *c)
{
	struct mproc_pool_stat stat;

	assert_int_equal(mproc_pool_stat(c->pool, &stat), 0);
	return stat.keeper;
}

static pid_t
parent_of(pid_t pid)
{
	char path[64], line[256];
	int parent = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "PPid: %d", &parent) == 1)
			break;
	if (file)
		fclose(file);
	return parent;
}

/* One that has begun a task lately; or 0, if it has ended, and its id may be
 * another's. */
static pid_t
some_worker(struct run *run)
{
	pid_t pid = run->c->recent[mpt_rand_below(&run->rand, RECENT)];
	pid_t parent = keeper(run->c);

	return pid && parent && parent_of(pid) == parent ? pid : 0;
}

static void
let_go_on(struct run *run)
{
	if (run->stopped)
		kill(run->stopped, SIGCONT);
	run->stopped = 0;
}

static void
strike(struct run *run)
{
	unsigned i = (unsigned)mpt_rand_below(&run->rand, SUBMITTERS);
	pid_t pid = some_worker(run);

	let_go_on(run);
	switch (mpt_rand_below(&run->rand, 16)) {
	case 0:
		pid = keeper(run->c);
		if (pid && kill(pid, SIGKILL) == 0)
			run->killed_keepers++;
		break;
	case 1:
		if (run->killed_submitters == SUBMITTERS_MAX)
			break;
		mpt_kill(run->t, run->submitters[i]);
		run->submitters[i] = mpt_fork(run->t, "submitter",
					      submit_and_wait, run->c);
		run->killed_submitters++;
		break;
	case 2:
	case 3:
		if (pid && kill(pid, SIGSTOP) == 0)
			run->stopped = pid;
		break;
	case 4:
		pid = keeper(run->c);
		if (pid && kill(pid, SIGSTOP) == 0)
			run->stopped = pid;
		break;
	case 5:
		mpt_check_int(run->t, mproc_pool_resize(run->c->pool, 1 + (int)
				mpt_rand_below(&run->rand, 2 * WORKERS)), 0);
		break;
	default:
		if (pid && kill(pid, SIGKILL) == 0)
			run->killed_workers++;
	}
}

static void
run_tasks(struct mpt *t, unsigned retries, int method)
{
	struct run run = { .t = t };
	struct mproc_arena_stat before, now;
	struct job jobs[WINDOW];
	mproc_future *fs[WINDOW] = { 0 };
	unsigned n = chaos_by_level(2000, 20000, 500000);
	struct chaos *c;
	void *begun;
	bool done;
	int r;

	mpt_watchdog(run.t, n > 100000 ? 3600 : 120);
	mpt_rand_init(&run.rand, mpt_seed());
	assert_int_equal(mproc_arena_stat(NULL, &before), 0);
	run.c = c = mproc_alloc(sizeof(*c));
	c->retries = retries;
	c->begun = begun = mproc_alloc(TASKS_MAX);
	assert_int_equal(mproc_pool_create(&c->pool,
					   MPROC_OPTS(mproc_pool_opts,
						      .workers = WORKERS,
						      .retries = (int)retries,
						      .method = method)), 0);
	for (int i = 0; i < SUBMITTERS; i++)
		run.submitters[i] = mpt_fork(run.t, "submitter",
					     submit_and_wait, c);
	for (unsigned i = 0; i < n + WINDOW; i++) {
		unsigned at = i % WINDOW;

		if (mpt_rand_below(&run.rand, 20) == 0)
			strike(&run);
		if (fs[at]) {
			/* What is stopped is alive, and waited for. */
			if (!mproc_future_ready(fs[at]))
				let_go_on(&run);
			done = verify(run.t, fs[at], &jobs[at]);
			run.failed += !done;
			assert_in_range(c->begun[jobs[at].number], done,
					retries + 1);
			fs[at] = NULL;
		}
		if (i >= n)
			continue;
		jobs[at] = make_job(c, i, &run.rand);
		r = mproc_pool_submit(c->pool, work, &jobs[at],
				      sizeof(jobs[at]), &fs[at]);
		if (r < 0)
			print_error("%s: %s\n", mproc_strerror(r),
				    mproc_error_detail());
		assert_int_equal(r, 0);
	}
	let_go_on(&run);
	c->over = true;
	for (int i = 0; i < SUBMITTERS; i++)
		mpt_expect_exit(run.t, run.submitters[i], 0);
	assert_int_equal(mproc_pool_close(c->pool), 0);
	assert_int_equal(mproc_pool_join(c->pool, MPROC_FOREVER), 0);
	mproc_pool_free(c->pool);
	mproc_forkserver_stop();
	mpt_reap_orphans(run.t);
	print_message("# %u tasks and %u of others, %u failed; killed: %u "
		      "workers, %u keepers, %u submitters\n", n, c->done,
		      run.failed, run.killed_workers, run.killed_keepers,
		      run.killed_submitters);
	mproc_free(begun);
	mproc_free(c);
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.participants, before.participants);
	assert_int_equal(now.queues, before.queues);
}

static void
each_task_completes_or_fails(void **state)
{
	run_tasks(*state, 0, MPROC_FORK);
}

static void
each_task_is_run_again(void **state)
{
	run_tasks(*state, 2, MPROC_FORK);
}

static void
each_task_is_run_again_by_a_new_image(void **state)
{
	run_tasks(*state, 2, MPROC_SPAWN);
}

static void
each_task_is_run_again_by_a_copy_of_a_server(void **state)
{
	run_tasks(*state, 2, MPROC_FORKSERVER);
}

static int
setup(void **state)
{
	mproc_pool *p;

	(void)state;
	if (mproc_pool_create(&p, MPROC_OPTS(mproc_pool_opts,
					     .workers = WORKERS)) < 0)
		return -1;
	mproc_pool_free(p);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(each_task_completes_or_fails),
		mpt_test(each_task_is_run_again),
		mpt_test(each_task_is_run_again_by_a_new_image),
		mpt_test(each_task_is_run_again_by_a_copy_of_a_server),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
