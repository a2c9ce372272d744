/* SPDX-License-Identifier: MIT */
/*
 * pool.h: workers, keepers and submitters that die with a map. The items that are said
 * to have failed are exactly those that their workers died with.
 */
#include <sys/mman.h>

#include "pool.h"

#define N 200

/* What happens to an item. */
enum fate { WELL, KILLED, EXITS, LINGERS, FAILS };

struct job {
	int number;
	enum fate fate;
	unsigned times; /* that it happens */
};

static struct job jobs[N];

static int
do_job(const void *in, void *out, void *ctx)
{
	struct board *b = the_board();
	unsigned before;
	struct job job;

	(void)ctx;
	memcpy(&job, in, sizeof(job));
	before = atomic_fetch_add(&b->counts[job.number], 1);
	memcpy(out, &job.number, sizeof(job.number));
	atomic_store(&b->pid, getpid());
	if (before >= job.times)
		return 0;
	switch (job.fate) {
	case WELL:
		return 0;
	case KILLED:
		kill(getpid(), SIGKILL);
		break;
	case EXITS:
		exit(3);
	case LINGERS:
		atomic_fetch_add(&b->begun, 1);
		mpt_until(b->t, atomic_load(&b->go_on));
		return 0;
	case FAILS:
		return -EDOM;
	}
	return -ENOTRECOVERABLE;
}

static void
new_jobs(struct board *b)
{
	for (int i = 0; i < N; i++) {
		jobs[i] = (struct job){ i, WELL, 0 };
		atomic_store(&b->counts[i], 0);
	}
}

static mproc_future *
map(struct board *b, size_t chunk)
{
	mproc_future *f = NULL;

	mpt_check_int(b->t, mproc_pool_map_async(b->pool, do_job, NULL, jobs,
						 sizeof(jobs[0]), NULL,
						 sizeof(int), N,
						 MPROC_OPTS(mproc_map_opts,
							    .chunk = chunk),
						 &f), 0);
	return f;
}

/* Each item has the result, was begun as often, and says what @errors say. */
static void
expect(struct board *b, mproc_future *f, const int *errors,
       const unsigned *begun)
{
	int out[N], error, failed = 0;
	size_t item = 0;

	for (int i = 0; i < N; i++)
		failed += errors[i] != 0;
	assert_int_equal(mproc_future_get(f, out, sizeof(out), NULL,
					  MPROC_FOREVER),
			 failed ? MPROC_TASK_FAILED : 0);
	for (int i = 0; i < N; i++) {
		assert_int_equal(atomic_load(&b->counts[i]), begun[i]);
		assert_int_equal(out[i], i);
		if (!errors[i])
			continue;
		assert_int_equal(mproc_future_next_failed(f, &item, &error), 0);
		assert_int_equal(item, i);
		assert_int_equal(error, errors[i]);
		item++;
	}
	assert_int_equal(mproc_future_next_failed(f, &item, &error), -ENODATA);
	mproc_future_close(f);
}

static void
a_death_fails_its_item_and_no_other(void **state)
{
	static const size_t chunks[] = { 0, 1, 7, N };

	mpt_watchdog(*state, 60);
	for (int workers = 1; workers <= 3; workers++) {
		struct board *b = pool_of(*state, workers);

		for (int c = 0; c < 4; c++) {
			int errors[N] = { 0 };
			unsigned begun[N];

			new_jobs(b);
			for (int i = 0; i < N; i++)
				begun[i] = 1;
			/* The first and last ones, one behind the other, and
			 * in between. */
			for (int i = 0; i < N; i += i < 2 ? 1 : 33) {
				jobs[i].fate = i % 2 ? KILLED : EXITS;
				jobs[i].times = 9;
				errors[i] = -EOWNERDEAD;
			}
			jobs[N - 1] = (struct job){ N - 1, KILLED, 9 };
			errors[N - 1] = -EOWNERDEAD;
			jobs[50] = (struct job){ 50, FAILS, 9 };
			errors[50] = -EDOM;
			expect(b, map(b, chunks[c]), errors, begun);
		}
		mpt_until(b->t, pool_stat(b).workers == (unsigned)workers);
		close_and_join(b);
	}
}

static void
a_future_tells_of_the_death(void **state)
{
	struct board *b = pool_of(*state, 1);
	struct mproc_task_error e;
	struct mproc_exit end;
	mproc_future *f;

	new_jobs(b);
	jobs[17] = (struct job){ 17, KILLED, 1 };
	f = map(b, 0);
	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	assert_int_equal(mproc_future_error(f, &e), 0);
	assert_int_equal(e.error, -EOWNERDEAD);
	assert_int_equal(e.item, 17);
	assert_int_equal(e.items, 1);
	assert_int_equal(e.deaths, 1);
	assert_true(e.pid > 0 && e.pid != getpid());
	assert_int_equal(mproc_future_exit_info(f, &end), 0);
	assert_int_equal(end.signal, SIGKILL);
	assert_int_equal(end.pid, e.pid);
	mproc_future_close(f);
	close_and_join(b);
}

static void
an_item_is_done_again(void **state)
{
	struct board *b = new_pool(*state, MPROC_OPTS(mproc_pool_opts,
						      .workers = 2,
						      .retries = 3));
	unsigned begun[N], retried = 0;
	int errors[N] = { 0 };

	mpt_watchdog(*state, 60);
	new_jobs(b);
	for (int i = 0; i < N; i++) {
		unsigned times = i % 20 == 7 ? (unsigned)i / 20 % 6 : 0;

		jobs[i].fate = KILLED;
		jobs[i].times = times;
		begun[i] = times <= 3 ? times + 1 : 4;
		errors[i] = times <= 3 ? 0 : -EOWNERDEAD;
		retried += times <= 3 ? times : 3;
	}
	expect(b, map(b, 6), errors, begun);
	assert_int_equal(pool_stat(b).retried, retried);
	close_and_join(b);
}

static void
fail_fast_counts_deaths(void **state)
{
	struct board *b = pool_of(*state, 1);
	int out[N], errors[N];

	new_jobs(b);
	jobs[17] = (struct job){ 17, KILLED, 1 };
	assert_int_equal(mproc_pool_map(b->pool, do_job, NULL, jobs,
					sizeof(jobs[0]), out, sizeof(int), N,
					MPROC_OPTS(mproc_map_opts,
						   .fail_fast = true,
						   .errors = errors)),
			 MPROC_TASK_FAILED);
	for (int i = 0; i < N; i++) {
		assert_int_equal(errors[i], i < 17 ? 0 : i == 17 ? -EOWNERDEAD :
							 -ECANCELED);
		assert_int_equal(atomic_load(&b->counts[i]), i <= 17);
	}
	close_and_join(b);
}

/* Returns false if others took too long, or those had not even begun. */
static bool
end_those_who_linger(struct mpt *t, mproc_timeout limit)
{
	struct board *b = new_pool(t, MPROC_OPTS(mproc_pool_opts, .workers = 2,
						 .retries = 5,
						 .task_timeout = limit));
	struct mproc_task_error e;
	int errors[N] = { 0 };
	unsigned begun[N];
	mproc_future *f;
	bool well;

	atomic_store(&b->begun, 0);
	new_jobs(b);
	for (int i = 0; i < N; i++)
		begun[i] = 1;
	for (int i = 30; i < N; i += 80) {
		jobs[i] = (struct job){ i, LINGERS, 9 };
		errors[i] = -ETIMEDOUT;
	}
	f = map(b, 0);
	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	assert_int_equal(mproc_future_error(f, &e), 0);
	well = e.items <= 3 && atomic_load(&b->begun) >= 3;
	if (well) {
		expect(b, f, errors, begun);
		assert_int_equal(pool_stat(b).deaths, 3);
	} else {
		mproc_future_close(f);
	}
	close_and_join(b);
	return well;
}

static void
what_takes_too_long_is_ended(void **state)
{
	mproc_timeout limit = mproc_ms(20);

	/* On a busy machine anything may, but not for any limit. */
	while (!end_those_who_linger(*state, limit))
		limit.ns *= 2;
}

/* Sees the end of one that is not our child, or was not reaped. */
static void
kill_and_await(struct mpt *t, pid_t pid)
{
	int state;

	mpt_check_int(t, kill(pid, SIGKILL), 0);
	mpt_until(t, (state = mpt_task_state(pid)) == 0 || state == 'Z');
}

/* Items 5 and N - 5 linger, and the keeper is killed meanwhile. */
static mproc_future *
map_and_kill_keeper(struct board *b)
{
	mproc_future *f;

	new_jobs(b);
	jobs[5] = (struct job){ 5, LINGERS, 1 };
	jobs[N - 5] = (struct job){ N - 5, LINGERS, 1 };
	/* So each of the two workers has one. */
	f = map(b, N / 2);
	await_begun(b, 2);
	kill_and_await(b->t, pool_stat(b).keeper);
	return f;
}

static void
items_that_die_with_the_keeper_fail(void **state)
{
	struct board *b = pool_of(*state, 2);
	unsigned begun[N];
	int errors[N] = { 0 };
	struct mproc_exit end;
	mproc_future *f = map_and_kill_keeper(b);

	for (int i = 0; i < N; i++)
		begun[i] = 1;
	errors[5] = errors[N - 5] = -EOWNERDEAD;
	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	assert_int_equal(mproc_future_exit_info(f, &end), -ENODATA);
	expect(b, f, errors, begun);
	assert_int_equal(pool_stat(b).keepers, 2);
	close_and_join(b);
	mpt_reap_orphans(b->t);
}

static void
items_that_die_with_the_keeper_are_done_again(void **state)
{
	struct board *b = new_pool(*state, MPROC_OPTS(mproc_pool_opts,
						      .workers = 2,
						      .retries = 1));
	unsigned begun[N];
	int errors[N] = { 0 };
	mproc_future *f = map_and_kill_keeper(b);

	for (int i = 0; i < N; i++)
		begun[i] = 1;
	begun[5] = begun[N - 5] = 2;
	expect(b, f, errors, begun);
	close_and_join(b);
	mpt_reap_orphans(b->t);
}

static int
map_and_be_killed(struct mpt *t, void *arg)
{
	struct board *b = arg;

	map(b, 1);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
what_a_dead_submitter_has_left_is_done_and_closed(void **state)
{
	struct board *b = pool_of(*state, 2);
	int id;

	new_jobs(b);
	for (int i = 0; i < N; i += 50)
		jobs[i] = (struct job){ i, LINGERS, 1 };
	jobs[70] = (struct job){ 70, FAILS, 1 };
	id = mpt_fork(b->t, "submitter", map_and_be_killed, b);
	mpt_reach(b->t, 1);
	await_begun(b, 2);
	mpt_kill(b->t, id);
	atomic_store(&b->go_on, true);
	mpt_until(b->t, pool_stat(b).futures == 0);
	for (int i = 0; i < N; i++)
		assert_int_equal(atomic_load(&b->counts[i]), 1);
	close_and_join(b);
}

static int
spin_a_little(const void *in, void *out, void *ctx)
{
	(void)in;
	(void)out;
	for (unsigned i = 0; i < 1000; i++)
		atomic_fetch_add((_Atomic unsigned *)ctx, i & 1);
	return 0;
}

/* Whose items are so short that their workers have come to other tasks when they are
 * to be killed. */
static void
a_map_that_is_canceled_takes_no_task_with_it(void **state)
{
	struct board *b = pool_of(*state, 2);

	mpt_watchdog(*state, 60);
	for (int round = 0; round < 100; round++) {
		mproc_future *f;

		atomic_store(&b->counts[0], 0);
		assert_int_equal(mproc_pool_map_async(b->pool, spin_a_little,
						      &b->counts[0], NULL, 0,
						      NULL, 0, 1000000,
						      MPROC_OPTS(mproc_map_opts,
								 .chunk = 1),
						      &f), 0);
		for (int i = 0; i < 20; i++)
			b->futures[i] = submit_int(b, square, i);
		mpt_until(b->t, atomic_load(&b->counts[0]));
		assert_int_equal(mproc_future_cancel(f, MPROC_CANCEL_RUNNING),
				 0);
		for (int i = 0; i < 20; i++)
			assert_int_equal(take_int(b, b->futures[i]), i * i);
		assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
		mproc_future_close(f);
	}
	close_and_join(b);
}

/* All workers wait in maps, and are killed one after the other. */
static int
map_inside(const void *in, void *out, void *ctx)
{
	struct board *b = the_board();
	int numbers[N];

	memcpy(out, in, sizeof(int));
	return mproc_pool_map(b->pool, do_job, ctx, jobs, sizeof(jobs[0]), numbers,
			      sizeof(int), N, NULL) == MPROC_TASK_FAILED ? 0 : -1;
}

static void
maps_in_maps_survive_deaths(void **state)
{
	struct board *b = new_board(*state);
	int in[6] = { 0, 1, 2, 3, 4, 5 }, out[6];

	mpt_watchdog(*state, 60);
	/* Before the pool: its workers have them as they are then, as copies of this. */
	new_jobs(b);
	for (int i = 0; i < N; i += 9)
		jobs[i] = (struct job){ i, KILLED, 2 };
	jobs[20] = (struct job){ 20, FAILS, 1000000 };
	new_pool(*state, MPROC_OPTS(mproc_pool_opts, .workers = 3,
				    .retries = 1000));
	assert_int_equal(mproc_pool_map(b->pool, map_inside, NULL, in, sizeof(int),
					out, sizeof(int), 6, NULL), 0);
	assert_memory_equal(in, out, sizeof(in));
	mpt_until(b->t, pool_stat(b).futures == 0);
	close_and_join(b);
}

#define PAGE 4096
#define RESULT 1024
#define PAGES 6

static int
fill(const void *in, void *out, void *ctx)
{
	(void)ctx;
	memset(out, *(const int *)in + 1, RESULT);
	return 0;
}

/* Workers have memory as it is when the pool is made. */
static void
memory_that_is_not_there_fails_its_items(void **state)
{
	struct board *b = new_board(*state);
	unsigned char *block = mproc_alloc((PAGES + 1) * PAGE);
	unsigned char *out = (void *)(((uintptr_t)block + PAGE - 1) & -(uintptr_t)PAGE);
	unsigned char *bad = out + PAGES / 2 * PAGE; /* where the second chunk begins */
	enum { N_RESULTS = PAGES * PAGE / RESULT };
	int in[N_RESULTS], error;
	mproc_future *f = NULL;
	size_t item = 0;

	mpt_watchdog(*state, 60);
	assert_non_null(block);
	assert_int_equal(mprotect(bad, PAGE, PROT_NONE), 0);
	new_pool(*state, MPROC_OPTS(mproc_pool_opts, .workers = 2));
	assert_int_equal(mprotect(bad, PAGE, PROT_READ | PROT_WRITE), 0);
	for (int i = 0; i < N_RESULTS; i++)
		in[i] = i;
	assert_int_equal(mproc_pool_map_async(
		b->pool, fill, NULL, in, sizeof(in[0]), out, RESULT, N_RESULTS,
		MPROC_OPTS(mproc_map_opts, .chunk = N_RESULTS / 2), &f), 0);
	assert_int_equal(mproc_future_get(f, NULL, 0, NULL, MPROC_FOREVER),
			 MPROC_TASK_FAILED);
	for (int i = 0; i < N_RESULTS; i++) {
		if (out + i * RESULT < bad || out + i * RESULT >= bad + PAGE) {
			assert_int_equal(out[i * RESULT], i + 1);
			continue;
		}
		assert_int_equal(mproc_future_next_failed(f, &item, &error), 0);
		assert_int_equal(item, i);
		assert_int_equal(error, -EOWNERDEAD);
		item++;
	}
	assert_int_equal(mproc_future_next_failed(f, &item, &error), -ENODATA);
	mproc_future_close(f);
	close_and_join(b);
	mproc_free(block);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_death_fails_its_item_and_no_other),
		mpt_test(a_future_tells_of_the_death),
		mpt_test(an_item_is_done_again),
		mpt_test(fail_fast_counts_deaths),
		mpt_test(what_takes_too_long_is_ended),
		mpt_test(items_that_die_with_the_keeper_fail),
		mpt_test(items_that_die_with_the_keeper_are_done_again),
		mpt_test(what_a_dead_submitter_has_left_is_done_and_closed),
		mpt_test(a_map_that_is_canceled_takes_no_task_with_it),
		test_of_copies(maps_in_maps_survive_deaths),
		test_of_copies(memory_that_is_not_there_fails_its_items),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
