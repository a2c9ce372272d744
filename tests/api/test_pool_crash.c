/* SPDX-License-Identifier: MIT */
/*
 * The crash matrix of pools: each way to end at each place where a worker can be, with
 * few and many workers, and many tasks that wait. What had to fail has failed, as it
 * should; all others give their results; the pool keeps its size and comes to its end.
 *
 * What a death between any two instructions leaves, tests/step shows.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "pool.h"

enum way { BY_ERROR, BY_EXIT, BY_ABORT, BY_KILL, BY_SEGV, BY_OVERFLOW, WAYS };

enum place {
	TAKING, /* or giving back: where it is between two tasks */
	RUNNING,
	IN_RESULT, /* in the middle of mproc_result_set() */
	AFTER_RESULT,
	INITIALIZING,
	IDLE,
	CLOSING,
	TERMINATING,
	PLACES
};

#define INITIALIZERS 2 /* that die */
#define CODE 3

static const int signals[WAYS] = {
	[BY_ABORT] = SIGABRT,
	[BY_KILL] = SIGKILL,
	[BY_SEGV] = SIGSEGV,
	[BY_OVERFLOW] = SIGSEGV,
};

struct cell {
	enum way way;
	enum place place;
	int workers;
	unsigned backlog;
	bool always; /* also whoever takes a dead one's place */
};

/* What is submitted. */
struct job {
	struct cell cell;
	bool dies;
	int number;
};

static enum way way_of_handler;
static volatile int never;

static int
overflow(int n)
{
	volatile char here[4096];

	here[0] = (char)n;
	return n == never - 1 ? 0 : overflow(n + 1) + here[0];
}

static void
write_where_nothing_is(void)
{
	volatile char *p = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
				-1, 0);

	*p = 1;
}

static void
die(enum way way)
{
	switch (way) {
	case BY_EXIT:
		exit(CODE);
	case BY_ABORT:
		abort();
	case BY_KILL:
		kill(getpid(), SIGKILL);
		break;
	case BY_SEGV:
		write_where_nothing_is();
		break;
	case BY_OVERFLOW:
		overflow(0);
		break;
	case BY_ERROR:
	case WAYS:
		break;
	}
}

/* In the middle of whatever the worker does, where exit() may not be called. */
static void
die_in_handler(int signal)
{
	(void)signal;
	if (way_of_handler == BY_EXIT)
		_exit(CODE);
	die(way_of_handler);
}

/* The bytes end where nothing may be read. */
static int
die_in_result(enum way way, struct mproc_result *out)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE), len = 4 * page;
	char *p = mmap(NULL, 2 * len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + len, len, PROT_NONE) < 0)
		return -ENOMEM;
	way_of_handler = way;
	if (way != BY_SEGV)
		signal(SIGSEGV, die_in_handler);
	return mproc_result_set(out, p, 2 * len);
}

static int
do_job(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();
	struct job job;
	int square, r;

	(void)len;
	memcpy(&job, in, sizeof(job));
	square = job.number * job.number;
	atomic_store(&b->pid, getpid());
	atomic_fetch_add(&b->begun, 1);
	if (!job.dies)
		return mproc_result_set(out, &square, sizeof(square));
	if (job.cell.place == TERMINATING)
		mpt_until(b->t, pool_stat(b).phase != MPROC_POOL_OPEN);
	if (job.cell.place == IN_RESULT && job.cell.way != BY_ERROR)
		return die_in_result(job.cell.way, out);
	if (job.cell.place == IN_RESULT)
		return mproc_result_set(out, &square, SIZE_MAX / 2) < 0 ?
			       -EDOM : 0;
	if (job.cell.place == AFTER_RESULT) {
		r = mproc_result_set(out, &square, sizeof(square));
		if (r < 0)
			return -ENOTRECOVERABLE;
	}
	die(job.cell.way);
	return -EDOM;
}

static int
initialize(void *arg)
{
	struct board *b = the_board();
	struct cell cell;

	memcpy(&cell, arg, sizeof(cell));
	way_of_handler = cell.way;
	signal(SIGUSR1, die_in_handler);
	if (cell.place != INITIALIZING ||
	    (atomic_fetch_add(&b->counts[0], 1) >= INITIALIZERS &&
	     !cell.always))
		return 0;
	die(cell.way);
	return -EDOM;
}

/* Whether a task of the cell ends its worker, or itself. */
static bool
is_by_task(const struct cell *cell)
{
	return cell->place == RUNNING || cell->place == IN_RESULT ||
	       cell->place == AFTER_RESULT || cell->place == CLOSING ||
	       cell->place == TERMINATING;
}

/* In the middle, for each worker one. */
static bool
is_to_die(const struct cell *cell, unsigned i)
{
	unsigned middle = cell->backlog / 2;

	if (!is_by_task(cell))
		return false;
	if (cell->place == TERMINATING)
		return i < (unsigned)cell->workers;
	return i >= middle && i < middle + (unsigned)cell->workers;
}

static mproc_future *
submit_job(struct board *b, const struct cell *cell, unsigned i)
{
	struct job job = {
		.cell = *cell, .dies = is_to_die(cell, i), .number = (int)i,
	};
	mproc_future *f = NULL;
	int r = mproc_pool_submit(b->pool, do_job, &job, sizeof(job), &f);

	/* The initializer may have ended it already. */
	if (cell->place == INITIALIZING && r == -ESHUTDOWN &&
	    (cell->way == BY_ERROR || cell->always))
		return NULL;
	mpt_check_int(b->t, r, 0);
	return f;
}

static void
expect_failed(struct board *b, const struct cell *cell, mproc_future *f)
{
	if (cell->way == BY_ERROR)
		expect_error(b, f, -EDOM);
	else
		assert_int_equal(expect_death(b, f, signals[cell->way], CODE),
				 1);
}

/* Of what an end by force has found, and of one that comes at any time. Returns the
 * error, or 0 after the right result; the future is closed. */
static int
outcome(struct board *b, mproc_future *f, unsigned i)
{
	struct mproc_task_error e = { .error = 0 };
	int square = -1, r;

	r = mproc_future_get(f, &square, sizeof(square), NULL, MPROC_FOREVER);
	if (r == MPROC_TASK_FAILED)
		mpt_check_int(b->t, mproc_future_error(f, &e), 0);
	else
		mpt_check_int(b->t, r, 0);
	if (r == 0)
		mpt_check_int(b->t, square, (int)(i * i));
	mproc_future_close(f);
	return e.error;
}

static void
send_to_worker(struct board *b)
{
	mpt_until(b->t, atomic_load(&b->pid));
	assert_int_equal(kill(atomic_load(&b->pid), SIGUSR1), 0);
}

/* One that sleeps as there is nothing to do. */
static void
strike_idle(struct board *b, const struct cell *cell)
{
	assert_int_equal(outcome(b, submit_job(b, cell, 1), 1), 0);
	mpt_until(b->t, mpt_task_state(atomic_load(&b->pid)) == 'S');
	send_to_worker(b);
	if (cell->way != BY_ERROR)
		mpt_until(b->t, pool_stat(b).deaths == 1);
}

static void
take_all(struct board *b, const struct cell *cell, mproc_future **fs)
{
	unsigned failed = 0, shut = 0;

	for (unsigned i = 0; i < cell->backlog; i++) {
		if (cell->place == TAKING || cell->place == TERMINATING) {
			int r = outcome(b, fs[i], i);

			failed += r == -EOWNERDEAD || r == -EDOM;
			shut += r == -ESHUTDOWN;
			assert_true(!r || r == -EOWNERDEAD || r == -ESHUTDOWN ||
				    (r == -EDOM && cell->way == BY_ERROR));
		} else if (cell->place == INITIALIZING &&
			   cell->way == BY_ERROR) {
			int r = fs[i] ? outcome(b, fs[i], i) : -ESHUTDOWN;

			/* By those in which it has not failed, before the pool ended. */
			assert_true(r == -ESHUTDOWN ||
				    (!r && cell->workers > INITIALIZERS));
		} else if (is_to_die(cell, i)) {
			expect_failed(b, cell, fs[i]);
		} else {
			assert_int_equal(outcome(b, fs[i], i), 0);
		}
	}
	/* What was begun, and what the signal has hit. */
	if (cell->place == TERMINATING)
		assert_in_range(failed, 0, (unsigned)cell->workers);
	if (cell->place == TAKING)
		assert_in_range(failed + shut, 0, cell->way != BY_ERROR);
}

static void
expect_size(struct board *b, const struct cell *cell)
{
	unsigned deaths = cell->way == BY_ERROR ? 0 :
			  is_by_task(cell) ? (unsigned)cell->workers :
			  cell->place == INITIALIZING ? INITIALIZERS : 1;

	mpt_until(b->t, pool_stat(b).deaths == deaths &&
				pool_stat(b).workers == (unsigned)cell->workers);
	assert_int_equal(pool_stat(b).keepers, 1);
}

static void
try_cell(struct mpt *t, const struct cell *cell)
{
	struct cell arg = *cell;
	struct board *b = new_board(t);
	mproc_future **fs = calloc(cell->backlog, sizeof(mproc_future *));
	bool fails = cell->place == INITIALIZING && cell->way == BY_ERROR;

	memset(b, 0, sizeof(*b));
	new_pool(t, MPROC_OPTS(mproc_pool_opts, .workers = cell->workers,
			       .initializer = initialize, .init_arg = &arg,
			       .init_size = sizeof(arg)));
	if (cell->place == IDLE)
		strike_idle(b, cell);
	for (unsigned i = 0; i < cell->backlog; i++)
		fs[i] = submit_job(b, cell, i);
	if (cell->place == TAKING)
		send_to_worker(b);
	if (cell->place == CLOSING)
		assert_int_equal(mproc_pool_close(b->pool), 0);
	if (cell->place == TERMINATING) {
		await_begun(b, 1);
		assert_int_equal(mproc_pool_terminate(b->pool), 0);
	}
	take_all(b, cell, fs);
	free(fs);
	if (cell->place == TERMINATING || cell->place == CLOSING || fails) {
		/* Once terminated, it is not closed any more. */
		assert_int_equal(mproc_pool_close(b->pool), 0);
		assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
		assert_int_equal(pool_stat(b).workers, 0);
		assert_int_equal(pool_stat(b).initializer, fails ? -EDOM : 0);
		assert_int_equal(pool_stat(b).futures, 0);
		mproc_pool_free(b->pool);
		return;
	}
	expect_size(b, cell);
	close_and_join(b);
}

/* All of it in full runs; otherwise with each cell another number of workers, and only each
 * fifth with many tasks; in quick ones each seventh of those. */
static void
whoever_ends_wherever_all_others_go_on(void **state)
{
	static const int workers[] = { 1, 2, 8 };
	const bool quick = amount(10) == 1, full = amount(10) == 100;
	unsigned cells = 0;

	mpt_watchdog(*state, full ? 300 : 60);
	let_workers_crash();
	for (unsigned i = 0; i < WAYS * PLACES * 3; i++) {
		unsigned at = i / 3;
		struct cell cell = {
			.way = (enum way)(at % WAYS),
			.place = (enum place)(at / WAYS),
			.workers = workers[i % 3],
			.backlog = full || at % 5 == 0 ? 10000 : 60,
		};

		if ((!full && (at + at / WAYS) % 3 != i % 3) ||
		    (quick && at % 7))
			continue;
		try_cell(*state, &cell);
		cells++;
	}
	print_message("# %u cells\n", cells);
}

/* How many workers of a pool of @workers may die in it, before there are no others. */
static void
expect_tries(unsigned deaths, unsigned workers)
{
	assert_in_range(deaths, 3 * workers, 4 * workers - 1);
}

static void
try_for_ever(struct mpt *t, enum way way, int workers)
{
	struct cell cell = {
		.way = way, .place = INITIALIZING, .workers = workers,
		.backlog = 20, .always = true,
	};
	struct board *b = new_board(t);
	mproc_future *fs[20];

	memset(b, 0, sizeof(*b));
	new_pool(t, MPROC_OPTS(mproc_pool_opts, .workers = workers,
			       .retries = 1000, .initializer = initialize,
			       .init_arg = &cell, .init_size = sizeof(cell)));
	for (unsigned i = 0; i < 20; i++)
		fs[i] = submit_job(b, &cell, i);
	for (unsigned i = 0; i < 20; i++)
		if (fs[i])
			expect_error(b, fs[i], -ESHUTDOWN);
	assert_int_equal(mproc_pool_close(b->pool), 0);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	assert_int_equal(pool_stat(b).initializer, -EOWNERDEAD);
	expect_tries((unsigned)pool_stat(b).deaths, (unsigned)workers);
	mproc_pool_free(b->pool);
}

/* Nobody would ever do a task. */
static void
who_always_dies_in_the_initializer_ends_the_pool(void **state)
{
	static const int workers[] = { 1, 2, 8 };
	const bool all = amount(10) == 100;

	mpt_watchdog(*state, all ? 300 : 60);
	let_workers_crash();
	for (int way = BY_EXIT; way < WAYS; way++)
		for (int i = 0; i < 3; i++)
			if (all || i == (way == BY_KILL ? 2 : way % 2))
				try_for_ever(*state, (enum way)way, workers[i]);
}

static bool forks_slowly;

static void
take_long(void)
{
	int64_t until = mproc_now() + 15000000;

	while (forks_slowly && mproc_now() < until)
		;
}

/* To fork them takes longer than a life that is a short one, and is no part of it. */
static void
many_that_end_as_soon_as_they_begin_are_not_begun_again_at_once(void **state)
{
	int64_t begun;

	mpt_watchdog(*state, 60);
	assert_int_equal(pthread_atfork(take_long, NULL, NULL), 0);
	forks_slowly = true;
	begun = mproc_now();
	try_for_ever(*state, BY_EXIT, 12);
	forks_slowly = false;
	/* Two pauses of a second. */
	assert_true(mproc_now() - begun > 1500 * INT64_C(1000000));
}

static int
let_one_through(void *unused)
{
	(void)unused;
	if (atomic_fetch_add(&the_board()->counts[0], 1))
		raise(SIGKILL);
	return 0;
}

/* As long as one is there that can, all is done; and once that has died, no more. */
static void
one_that_has_come_through_is_enough(void **state)
{
	struct board *b = new_board(*state);
	mproc_future *f = NULL;
	uint64_t deaths;

	memset(b, 0, sizeof(*b));
	new_pool(*state, MPROC_OPTS(mproc_pool_opts, .workers = 2,
				    .initializer = let_one_through));
	mpt_until(b->t, pool_stat(b).deaths > 3 * 2);
	assert_int_equal(pool_stat(b).phase, MPROC_POOL_OPEN);
	assert_int_equal(take_int(b, submit_int(b, square, 3)), 9);
	f = submit_int(b, linger, 1);
	await_begun(b, 1);
	deaths = pool_stat(b).deaths;
	assert_int_equal(kill(atomic_load(&b->pid), SIGKILL), 0);
	expect_error(b, f, -EOWNERDEAD);
	mpt_until(b->t, pool_stat(b).phase == MPROC_POOL_ENDED);
	/* Counted from there. */
	assert_true(pool_stat(b).deaths >= deaths + 3 * 2);
	assert_int_equal(pool_stat(b).initializer, -EOWNERDEAD);
	mproc_pool_free(b->pool);
}

static int
stay(const void *in, size_t len, struct mproc_result *out)
{
	(void)in;
	(void)len;
	(void)out;
	wait_to_be_killed(the_board()->t);
	return 0;
}

static int
die_every_other_time(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();

	if (atomic_fetch_add(&b->counts[0], 1) % 2 == 0)
		raise(SIGKILL);
	return mproc_result_set(out, in, len);
}

/* On a busy machine anything may take too long. */
static void
expect_int(struct board *b, mproc_future *f, int i)
{
	struct mproc_task_error e;
	int r, value = 0;

	r = mproc_future_get(f, &value, sizeof(value), NULL, MPROC_FOREVER);
	if (r == 0) {
		mpt_check_int(b->t, value, i);
	} else {
		mpt_check_int(b->t, r, MPROC_TASK_FAILED);
		mpt_check_int(b->t, mproc_future_error(f, &e), 0);
		mpt_check_int(b->t, e.error, -ETIMEDOUT);
	}
	mproc_future_close(f);
}

/* Has workers killed and time limits pass, as often as @counts[1] says at least, until
 * the creator has had enough. */
static int
use_pool(struct mpt *t, void *arg)
{
	struct board *b = arg;
	unsigned rounds = 0;

	while (rounds < atomic_load(&b->counts[1]) || !atomic_load(&b->go_on)) {
		mproc_future *late = submit_int(b, stay, 1);

		/* It may have taken too long before it died. */
		atomic_store(&b->counts[0], 0);
		expect_int(b, submit_int(b, die_every_other_time, 7), 7);
		expect_int(b, submit_int(b, square, 3), 9);
		expect_error(b, late, -ETIMEDOUT);
		rounds++;
	}
	mpt_check(t, pool_stat(b).deaths >= 2 * rounds);
	mpt_check_int(t, pool_stat(b).keepers, 1);
	mpt_until(t, pool_stat(b).workers == 2);
	atomic_store(&b->ended, rounds);
	return 0;
}

/* It is in no call of the pool's, and nobody but the keeper does anything for that. */
static void
a_creator_may_compute_meanwhile(void **state)
{
	const int64_t end = mproc_now() + (amount(10) == 100 ? 10000 : 0) * MS;
	struct board *b = new_board(*state);
	int id;

	memset(b, 0, sizeof(*b));
	new_pool(*state, MPROC_OPTS(mproc_pool_opts, .workers = 2, .retries = 1,
				    .task_timeout = mproc_ms(50)));
	atomic_store(&b->counts[1], amount(5));
	id = mpt_fork(b->t, "user", use_pool, b);
	mpt_until(b->t, mproc_now() > end);
	atomic_store(&b->go_on, true);
	mpt_until(b->t, atomic_load(&b->ended));
	mpt_expect_exit(b->t, id, 0);
	close_and_join(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(whoever_ends_wherever_all_others_go_on),
		mpt_test(who_always_dies_in_the_initializer_ends_the_pool),
		mpt_test(many_that_end_as_soon_as_they_begin_are_not_begun_again_at_once),
		mpt_test(one_that_has_come_through_is_enough),
		mpt_test(a_creator_may_compute_meanwhile),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
