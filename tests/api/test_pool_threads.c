/* SPDX-License-Identifier: MIT */
/*
 * pool.h: pools of threads, as far as they are not as others: what tasks share, what becomes
 * of those that cannot be killed, how threads end, and with them the pool. What they have in
 * common is in the other tests of pools, which run with MPT_BACKEND=threads, too.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>

#include <mproc/testing.h>

#include "pool.h"

/* One in which stacks are unwound: what was poisoned there stays so for
 * AddressSanitizer. */
#define test_of_unwinding(f)                                                   \
	(UNDER_ASAN ? (struct CMUnitTest){ 0 } : (struct CMUnitTest)mpt_test(f))

static struct board *
pool_with(struct mpt *t, const struct mproc_pool_opts *opts)
{
	struct mproc_pool_opts o = *opts;

	o.backend = MPROC_POOL_THREADS;
	return new_pool(t, &o);
}

static struct board *
threads(struct mpt *t, int workers)
{
	return pool_with(t, MPROC_OPTS(mproc_pool_opts, .workers = workers));
}

/* The arena without what earlier tests' processes have left. */
static struct mproc_arena_stat
recovered(void)
{
	assert_true(mproc_arena_recover(NULL) >= 0);
	return stat_now();
}

#define PF_EXITING 4 /* the kernel's */

/* Those that have not begun to end: who joins one does not wait until the kernel has
 * forgotten it. */
static unsigned
count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned n = 0, flags;
	char path[64], line[512];
	struct dirent *entry;
	const char *behind;
	FILE *stat;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/self/task/%.20s/stat",
			 entry->d_name);
		stat = fopen(path, "re");
		if (!stat)
			continue;
		if (fgets(line, sizeof(line), stat) &&
		    (behind = strrchr(line, ')')) &&
		    sscanf(behind, ") %*c %*d %*d %*d %*d %*d %u", &flags) == 1)
			n += !(flags & PF_EXITING);
		fclose(stat);
	}
	closedir(dir);
	return n;
}

static int here; /* of this process alone */

static int
add_here(const void *in, size_t len, struct mproc_result *out)
{
	sigset_t blocked;
	int *p;

	(void)len;
	(void)out;
	memcpy(&p, in, sizeof(p));
	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	if (getpid() != atomic_load(&the_board()->pid) || p != &here ||
	    !sigismember(&blocked, SIGUSR1) || sigismember(&blocked, SIGUSR2))
		return -EIO;
	__atomic_add_fetch(p, 1, __ATOMIC_RELAXED);
	return 0;
}

static int
add_item(const void *in, void *out, void *ctx)
{
	int *sum = ctx;

	(void)out;
	__atomic_add_fetch(sum, int_of(in), __ATOMIC_RELAXED);
	return 0;
}

static void
tasks_share_memory(void **state)
{
	struct mproc_pool_stat stat;
	unsigned before;
	int *p = &here, in[100], sum = 0;
	struct board *b;
	sigset_t set, was;

	/* A sanitizer may have one of its own from the first one on. */
	threads(*state, 1);
	close_and_join(the_board());
	before = count_threads();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, &was);
	b = threads(*state, 3);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	atomic_store(&b->pid, getpid());
	here = 0;
	for (int i = 0; i < 50; i++)
		b->futures[i] = submit(b, add_here, &p, sizeof(p));
	for (int i = 0; i < 50; i++) {
		assert_int_equal(mproc_future_get(b->futures[i], NULL, 0, NULL,
						  MPROC_FOREVER), 0);
		mproc_future_close(b->futures[i]);
	}
	assert_int_equal(here, 50);
	for (int i = 0; i < 100; i++)
		in[i] = i;
	assert_int_equal(mproc_pool_map(b->pool, add_item, &sum, in, sizeof(int),
					NULL, 0, 100, NULL), 0);
	assert_int_equal(sum, 4950);
	stat = pool_stat(b);
	assert_int_equal(stat.keeper, getpid());
	assert_int_equal(stat.keepers, 1);
	mpt_until(b->t, pool_stat(b).workers == 3);
	assert_int_equal(count_threads(), before + 4);
	assert_int_equal(mproc_pool_close(b->pool), 0);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	/* Not one of them is left. */
	assert_int_equal(count_threads(), before);
	mproc_pool_free(b->pool);
}

static void
expect_no_exit(struct board *b, mproc_future *f, int error)
{
	struct mproc_exit end;

	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	assert_int_equal(mproc_future_ready(f), 1);
	assert_int_equal(mproc_future_cancel(f, MPROC_CANCEL_RUNNING),
			 -EALREADY);
	assert_int_equal(mproc_future_exit_info(f, &end), -ENODATA);
	expect_error(b, f, error);
}

/* Leaves a result of some size, after it was told to go on. */
static int
linger_and_leave(const void *in, size_t len, struct mproc_result *out)
{
	static const char bytes[1000];
	int r = linger(in, len, out);

	return r < 0 ? r : mproc_result_set(out, bytes, sizeof(bytes));
}

static void
what_takes_too_long_is_done_at_once(void **state)
{
	struct mproc_arena_stat before = recovered();
	struct board *b = pool_with(*state, MPROC_OPTS(mproc_pool_opts,
						.workers = 1, .retries = 5,
						.task_timeout = mproc_ms(20)));
	mproc_future *f = submit_int(b, linger_and_leave, 1), *other;

	expect_no_exit(b, f, -ETIMEDOUT);
	/* It runs on, and its worker does nothing else. */
	other = submit_int(b, square, 3);
	assert_int_equal(mproc_future_wait(other, mproc_ms(1)), -ETIMEDOUT);
	assert_int_equal(pool_stat(b).running, 1);
	assert_int_equal(pool_stat(b).futures, 2);
	assert_int_equal(atomic_load(&b->ended), 0);
	atomic_store(&b->go_on, true);
	assert_int_equal(take_in_time(b, other, square, 3), 9);
	assert_int_equal(atomic_load(&b->begun), 1);
	assert_int_equal(pool_stat(b).futures, 0);
	assert_int_equal(pool_stat(b).deaths, 0);
	close_and_join(b);
	expect_stat(&before);
}

static int
wait_for_cancel(struct mpt *t, void *arg)
{
	struct board *b = arg;

	mpt_step(t, 0);
	mpt_check_int(t, mproc_future_wait(b->futures[0], MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_future_wait_many(b->futures, 2, MPROC_ALL,
						MPROC_FOREVER), 2);
	return 0;
}

static void
what_runs_can_be_canceled(void **state)
{
	struct mproc_arena_stat before = recovered();
	struct board *b = threads(*state, 2);
	int id;

	for (int i = 0; i < 2; i++)
		b->futures[i] = submit_int(b, linger_and_leave, i);
	await_begun(b, 2);
	id = mpt_fork(b->t, "waiter", wait_for_cancel, b);
	mpt_reach(b->t, 1);
	for (int i = 0; i < 2; i++) {
		/* Who sleeps is woken. */
		mpt_until(b->t, mpt_task_state(mpt_pid(b->t, id)) == 'S');
		assert_int_equal(mproc_future_cancel(b->futures[i], 0), -EBUSY);
		assert_int_equal(mproc_future_cancel(b->futures[i],
						     MPROC_CANCEL_RUNNING), 0);
	}
	mpt_expect_exit(b->t, id, 0);
	assert_int_equal(atomic_load(&b->ended), 0);
	expect_no_exit(b, b->futures[0], -ECANCELED);
	atomic_store(&b->go_on, true);
	mpt_until(b->t, pool_stat(b).running == 0);
	/* That its thread has come back changes nothing. */
	expect_no_exit(b, b->futures[1], -ECANCELED);
	assert_int_equal(take_int(b, submit_int(b, square, 2)), 4);
	close_and_join(b);
	expect_stat(&before);
}

static void
a_pool_ends_when_its_threads_come_back(void **state)
{
	struct board *b = threads(*state, 2);

	for (int i = 0; i < 10; i++)
		b->futures[i] = submit_int(b, linger, i);
	await_begun(b, 2);
	assert_int_equal(mproc_pool_terminate(b->pool), 0);
	for (int i = 0; i < 10; i++)
		expect_no_exit(b, b->futures[i], -ESHUTDOWN);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_pool_join(b->pool, mproc_ms(1)), -ETIMEDOUT);
	assert_int_equal(pool_stat(b).phase, MPROC_POOL_TERMINATING);
	atomic_store(&b->go_on, true);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	assert_int_equal(atomic_load(&b->begun), 2);
	mproc_pool_free(b->pool);
}

static void
a_map_ends_with_the_items_that_run(void **state)
{
	for (int terminate = 0; terminate < 2; terminate++) {
		struct board *b = threads(*state, 1);
		struct mproc_task_error e;
		int in[10] = { 0 }, error;
		mproc_future *f, *other;
		size_t item = 0;

		atomic_store(&b->begun, 0);
		assert_int_equal(mproc_pool_map_async(
					 b->pool, linger_over, NULL, in,
					 sizeof(int), NULL, sizeof(int), 10,
					 MPROC_OPTS(mproc_map_opts, .chunk = 10),
					 &f), 0);
		await_begun(b, 1);
		other = submit_int(b, square, 2);
		if (terminate) {
			assert_int_equal(mproc_pool_terminate(b->pool), 0);
			/* After the map, in the order of their places. */
			expect_error(b, other, -ESHUTDOWN);
		} else {
			assert_int_equal(mproc_future_cancel(
						 f, MPROC_CANCEL_RUNNING), 0);
		}
		/* Somebody may write to it. */
		assert_int_equal(mproc_future_wait(f, mproc_ms(1)), -ETIMEDOUT);
		atomic_store(&b->go_on, true);
		assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
		assert_int_equal(mproc_future_error(f, &e), 0);
		assert_int_equal(e.error, terminate ? -ESHUTDOWN : -ECANCELED);
		assert_int_equal(e.items, 9);
		assert_int_equal(mproc_future_next_failed(f, &item, &error), 0);
		assert_int_equal(item, 1);
		assert_int_equal(atomic_load(&b->begun), 1);
		mproc_future_close(f);
		if (!terminate)
			assert_int_equal(take_int(b, other), 4);
		close_and_join(b);
	}
}

#define LIMIT INT64_C(5000000) /* ns */

/* One of them takes so many times the limit as the context says. */
static int
take_time(const void *in, void *out, void *ctx)
{
	int64_t until = mproc_now() + LIMIT * *(int *)ctx;

	memcpy(out, in, sizeof(int));
	if (int_of(in) == 3)
		mpt_until(the_board()->t, mproc_now() >= until);
	return 0;
}

static void
an_item_that_takes_too_long_fails_for_itself(void **state)
{
	struct board *b = pool_with(*state, MPROC_OPTS(mproc_pool_opts,
						.workers = 2,
						.task_timeout = { LIMIT }));
	int in[10] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 }, out[10], errors[10];
	int times = 2;

	/* On a busy machine the keeper may come late. */
	while (mproc_pool_map(b->pool, take_time, &times, in, sizeof(int), out,
			      sizeof(int), 10,
			      MPROC_OPTS(mproc_map_opts, .chunk = 5,
					 .errors = errors)) == 0)
		times *= 2;
	for (int i = 0; i < 10; i++)
		assert_true(i == 3 ? errors[i] == -ETIMEDOUT :
				     out[i] == i && errors[i] <= 0);
	assert_int_equal(pool_stat(b).deaths, 0);
	close_and_join(b);
}

static int
linger_and_end(const void *in, void *out, void *ctx)
{
	int r = linger_over(in, out, ctx);

	atomic_fetch_add(&the_board()->ended, 1);
	return r;
}

/* When the time is over, and before the map is canceled for that. */
static void
let_go_on(size_t done, size_t n, void *ctx)
{
	struct board *b = ctx;

	(void)done;
	(void)n;
	assert_int_equal(atomic_load(&b->ended), 0);
	atomic_store(&b->go_on, true);
}

static void
who_maps_waits_for_the_items_that_run(void **state)
{
	struct board *b = threads(*state, 2);
	int in[10] = { 0 }, out[10];

	assert_int_equal(mproc_pool_map(b->pool, linger_and_end, NULL, in,
					sizeof(int), out, sizeof(int), 10,
					MPROC_OPTS(mproc_map_opts,
						   .timeout = mproc_ms(5),
						   .progress = let_go_on,
						   .progress_ctx = b)),
			 -ETIMEDOUT);
	/* Nobody works on it any more. */
	assert_int_equal(atomic_load(&b->begun), atomic_load(&b->ended));
	assert_int_equal(pool_stat(b).futures, 0);
	close_and_join(b);
}

/* Of number @i the first so many attempts end their threads. */
static void
end_thread(int i)
{
	if (atomic_fetch_add(&the_board()->counts[i], 1) >= (unsigned)i)
		return;
	if (i % 2)
		pthread_exit(NULL);
	pthread_cancel(pthread_self());
	pthread_testcancel();
}

static int
end_thread_at_first(const void *in, size_t len, struct mproc_result *out)
{
	static const char bytes[1000];

	(void)len;
	if (mproc_result_set(out, bytes, sizeof(bytes)) < 0)
		return -ENOMEM;
	end_thread(int_of(in));
	return mproc_result_set(out, in, sizeof(int));
}

static int
end_thread_over(const void *in, void *out, void *ctx)
{
	(void)ctx;
	end_thread(int_of(in));
	memcpy(out, in, sizeof(int));
	return 0;
}

static int
end_thread_before(void *arg)
{
	(void)arg;
	if (atomic_fetch_add(&the_board()->counts[100], 1) == 0)
		pthread_exit(NULL);
	return 0;
}

static void
a_task_may_end_its_thread(void **state)
{
	struct mproc_arena_stat before = recovered();
	unsigned n = count_threads();
	struct board *b = pool_with(*state, MPROC_OPTS(mproc_pool_opts,
						.workers = 2, .retries = 2,
						.initializer = end_thread_before));
	int in[5] = { 0, 1, 2, 3, 4 }, out[5], errors[5];
	struct mproc_task_error e;

	for (int i = 0; i < 5; i++)
		b->futures[i] = submit_int(b, end_thread_at_first, i);
	for (int i = 0; i < 3; i++)
		assert_int_equal(take_int(b, b->futures[i]), i);
	for (int i = 3; i < 5; i++) {
		assert_int_equal(mproc_future_wait(b->futures[i], MPROC_FOREVER),
				 0);
		assert_int_equal(mproc_future_error(b->futures[i], &e), 0);
		assert_int_equal(e.deaths, 3);
		assert_string_equal(e.text, "");
		expect_no_exit(b, b->futures[i], -EOWNERDEAD);
	}
	assert_int_equal(pool_stat(b).retried, 1 + 2 + 2 + 2);
	assert_int_equal(pool_stat(b).deaths, 1 + 1 + 2 + 3 + 3);
	for (int i = 0; i < 5; i++)
		atomic_store(&b->counts[i], 0);
	assert_int_equal(mproc_pool_map(b->pool, end_thread_over, NULL, in,
					sizeof(int), out, sizeof(int), 5,
					MPROC_OPTS(mproc_map_opts, .chunk = 3,
						   .errors = errors)),
			 MPROC_TASK_FAILED);
	for (int i = 0; i < 5; i++)
		assert_int_equal(errors[i], i < 3 ? 0 : -EOWNERDEAD);
	mpt_until(b->t, pool_stat(b).workers == 2);
	assert_int_equal(take_int(b, submit_int(b, square, 2)), 4);
	close_and_join(b);
	assert_int_equal(count_threads(), n);
	expect_stat(&before);
}

static int
end_thread_always(void *arg)
{
	pthread_exit(arg);
}

static void
an_initializer_that_always_ends_its_thread_ends_the_pool(void **state)
{
	struct board *b = pool_with(*state, MPROC_OPTS(mproc_pool_opts,
						.workers = 2,
						.initializer = end_thread_always));
	mproc_future *f = NULL;

	if (mproc_pool_submit(b->pool, square, "none", 4, &f) == 0)
		expect_error(b, f, -ESHUTDOWN);
	mpt_until(b->t, pool_stat(b).phase == MPROC_POOL_ENDED);
	assert_int_equal(pool_stat(b).initializer, -EOWNERDEAD);
	mproc_pool_free(b->pool);
}

/* Ends the pool that it is a task of, by as much as its input says. */
static int
end_own_pool(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();
	int how = int_of(in);

	mpt_until(b->t, atomic_load(&b->go_on));
	if (how == 1)
		mpt_check_int(b->t, mproc_pool_close(b->pool), 0);
	else if (how == 2)
		mpt_check_int(b->t, mproc_pool_terminate(b->pool), 0);
	if (how)
		mpt_check_int(b->t, mproc_pool_join(b->pool, MPROC_FOREVER),
			      -EDEADLK);
	mproc_pool_free(b->pool);
	mpt_until(b->t, how != 2 || mproc_future_ready(b->futures[0]) == 1);
	return mproc_result_set(out, in, len);
}

static void
a_task_may_end_its_pool(void **state)
{
	for (int how = 0; how <= 2; how++) {
		struct board *b = threads(*state, 2);
		mproc_future *f = submit_int(b, end_own_pool, how);

		b->futures[0] = f;
		atomic_store(&b->go_on, true);
		if (how == 2)
			expect_error(b, f, -ESHUTDOWN);
		else
			assert_int_equal(take_int(b, f), how);
		if (how == 0)
			assert_int_equal(pool_stat(b).phase, MPROC_POOL_OPEN);
		else
			assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER),
					 0);
		mproc_pool_free(b->pool);
	}
}

static void
note_thread(mproc_future *f, void *ctx)
{
	(void)f;
	*(pthread_t *)ctx = pthread_self();
}

/* A call by which functions would be called. */
static int
look_around(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();
	int i = take_int(b, submit_int(b, square, 2));

	(void)in;
	(void)len;
	return mproc_result_set(out, &i, sizeof(i));
}

static void
a_task_calls_nothing_of_others(void **state)
{
	struct board *b = threads(*state, 1);
	mproc_future *first = submit_int(b, linger, 1);
	pthread_t caller = (pthread_t)0;

	assert_int_equal(mproc_future_on_done(first, note_thread, &caller), 0);
	b->futures[0] = submit(b, look_around, NULL, 0);
	atomic_store(&b->go_on, true);
	/* Without a call of ours that would do it. */
	mpt_until(b->t, mproc_future_ready(b->futures[0]) == 1);
	assert_int_equal(caller, 0);
	assert_int_equal(take_int(b, first), 1);
	assert_true(pthread_equal(caller, pthread_self()));
	assert_int_equal(take_int(b, b->futures[0]), 4);
	close_and_join(b);
}

static int
fork_and_return(const void *in, size_t len, struct mproc_result *out)
{
	pid_t pid;

	/* The child ends by exit(3). */
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		return mproc_result_set(out, in, len) == -ECHILD ? 0 : -EIO;
	return mproc_result_set(out, &pid, sizeof(pid));
}

static void
a_child_of_a_task_has_nothing_of_it(void **state)
{
	struct board *b = threads(*state, 1);
	pid_t child = take_int(b, submit_int(b, fork_and_return, 1));
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(take_int(b, submit_int(b, square, 2)), 4);
	assert_int_equal(pool_stat(b).workers, 1);
	close_and_join(b);
}

static int
create_and_be_killed(struct mpt *t, void *arg)
{
	struct board *b = arg;

	mpt_check_int(t, mproc_pool_create(&b->pool,
					   MPROC_OPTS(mproc_pool_opts,
						.workers = 2,
						.backend = MPROC_POOL_THREADS)),
		      0);
	mpt_step(t, 0);
	mpt_until(t, false);
	return 0;
}

static int
wait_for_last(struct mpt *t, void *arg)
{
	struct board *b = arg;

	mpt_step(t, 1);
	mpt_check_int(t, mproc_future_wait(b->futures[9], MPROC_FOREVER), 0);
	return 0;
}

static void
a_pool_ends_with_its_creator(void **state)
{
	struct mpt *t = *state;
	struct mproc_arena_stat before = recovered(), now;
	struct board *b = new_board(t);
	int id = mpt_fork(t, "creator", create_and_be_killed, b), waiter;
	struct mproc_pool_stat stat;
	struct mproc_task_error e;
	unsigned deaths = 0;
	mproc_future *f;

	mpt_reach(t, 1);
	for (int i = 0; i < 10; i++)
		b->futures[i] = submit_int(b, linger, i);
	await_begun(b, 2);
	/* One that its thread does not come back from. */
	assert_int_equal(mproc_future_cancel(b->futures[0],
					     MPROC_CANCEL_RUNNING), 0);
	waiter = mpt_fork(t, "waiter", wait_for_last, b);
	mpt_reach(t, 2);
	mpt_until(t, mpt_task_state(mpt_pid(t, waiter)) == 'S');
	mpt_kill(t, id);
	mpt_expect_exit(t, waiter, 0);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(mproc_future_wait(b->futures[i], MPROC_FOREVER),
				 0);
		assert_int_equal(mproc_future_error(b->futures[i], &e), 0);
		assert_int_equal(e.error, i == 0 ? -ECANCELED :
					  e.deaths ? -EOWNERDEAD : -ESHUTDOWN);
		deaths += e.deaths;
		mproc_future_close(b->futures[i]);
	}
	assert_int_equal(deaths, 1);
	stat = pool_stat(b);
	assert_int_equal(stat.phase, MPROC_POOL_ENDED);
	assert_int_equal(stat.workers, 0);
	assert_int_equal(stat.futures, 0);
	assert_int_equal(stat.deaths, 2);
	assert_int_equal(mproc_pool_submit(b->pool, square, NULL, 0, &f),
			 -ESHUTDOWN);
	/* Who makes the next pool gives it back: no keeper has outlived it. */
	threads(t, 1);
	close_and_join(b);
	now = recovered();
	assert_int_equal(now.queues, before.queues);
	assert_int_equal(now.participants, before.participants);
	/* Headers of queues: new where old ones still have seats. And no future. */
	assert_true(now.blocks <= before.blocks + 2);
}

static int
leave(const void *in, size_t len, struct mproc_result *out)
{
	(void)in;
	(void)len;
	(void)out;
	exit(9);
}

static int
exit_in_task(struct mpt *t, void *arg)
{
	mproc_future *f = NULL;
	mproc_pool *p;

	(void)arg;
	mpt_check_int(t, mproc_pool_create(&p, MPROC_OPTS(mproc_pool_opts,
						.backend = MPROC_POOL_THREADS)),
		      0);
	mpt_check_int(t, mproc_pool_submit(p, leave, NULL, 0, &f), 0);
	mpt_until(t, false);
	return 0;
}

static void
a_task_that_exits_ends_the_process(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_fork(t, "exits", exit_in_task, NULL), 9);
}

/* It has a task that does not come to its end; and frees its pool, if it gets one. */
static int
end_while_a_task_runs(struct mpt *t, void *frees)
{
	struct board *b = the_board();
	unsigned begun = atomic_load(&b->begun);
	mproc_pool *p;
	mproc_future *f = NULL;

	mpt_check_int(t, mproc_pool_create(&p, MPROC_OPTS(mproc_pool_opts,
						.workers = 1,
						.backend = MPROC_POOL_THREADS)),
		      0);
	mpt_check_int(t, mproc_pool_submit(p, linger, NULL, 0, &f), 0);
	mpt_until(t, atomic_load(&b->begun) > begun);
	if (frees) {
		struct mproc_pool_stat stat;

		mproc_pool_free(p);
		/* It stays. */
		mpt_check_int(t, mproc_pool_stat(p, &stat), 0);
		mpt_check_int(t, stat.phase, MPROC_POOL_TERMINATING);
		_exit(0);
	}
	exit(0);
}

static void
ends_are_bounded(void **state)
{
	struct board *b = new_board(*state);
	int ids[2];

	ids[0] = mpt_fork(b->t, "frees", end_while_a_task_runs, b);
	await_begun(b, 1);
	ids[1] = mpt_fork(b->t, "exits", end_while_a_task_runs, NULL);
	for (int i = 0; i < 2; i++)
		mpt_expect_exit(b->t, ids[i], 0);
}

static void
threads_that_cannot_be_are_told_or_tried_again(void **state)
{
	struct mproc_arena_stat before = recovered();
	mproc_pool *p = NULL;
	struct board *b;

	assert_int_equal(mproc_test_fault("thread:1"), 0);
	assert_int_equal(mproc_pool_create(&p, MPROC_OPTS(mproc_pool_opts,
						.backend = MPROC_POOL_THREADS)),
			 -EAGAIN);
	assert_null(p);
	expect_stat(&before);
	assert_int_equal(mproc_test_fault("thread:2"), 0);
	b = threads(*state, 1);
	assert_int_equal(take_int(b, submit_int(b, square, 3)), 9);
	assert_int_equal(mproc_test_fault(NULL), 0);
	close_and_join(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(tasks_share_memory),
		mpt_test(what_takes_too_long_is_done_at_once),
		mpt_test(what_runs_can_be_canceled),
		mpt_test(a_pool_ends_when_its_threads_come_back),
		mpt_test(a_map_ends_with_the_items_that_run),
		mpt_test(an_item_that_takes_too_long_fails_for_itself),
		mpt_test(who_maps_waits_for_the_items_that_run),
		test_of_unwinding(a_task_may_end_its_thread),
		test_of_unwinding(an_initializer_that_always_ends_its_thread_ends_the_pool),
		mpt_test(a_task_may_end_its_pool),
		mpt_test(a_task_calls_nothing_of_others),
		mpt_test(threads_that_cannot_be_are_told_or_tried_again),
		test_of_children(a_child_of_a_task_has_nothing_of_it),
		test_of_children(a_pool_ends_with_its_creator),
		test_of_children(a_task_that_exits_ends_the_process),
		test_of_children(ends_are_bounded),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
