/* SPDX-License-Identifier: MIT */
/*
 * Eight processes have one job after another done once, and are killed and
 * stopped at random, half of them in the middle of a job. One runs a job at a
 * time, the next one runs it anew, all others wait until it is done, and once
 * anybody was told that it is, nobody runs it any more.
 */
#include "chaos.h"

#define KILLS 300
#define JOBS 4000   /* from truce to truce */
#define TURNS 20000 /* at most, in the middle of one */

enum { RUNS = 1 };

static const char *const deeds[] = { "run", NULL };

struct job {
	mproc_once once;
	_Atomic pid_t runner;
	_Atomic bool told;               /* somebody knows that it is done */
	volatile uint64_t first, second; /* equal if it is done, or not begun */
};

struct board {
	struct chaos chaos;
	struct job *jobs;      /* in the arena */
	_Atomic unsigned next; /* the first one that may not be done */
	_Atomic unsigned begun_anew, failed;
};

/* One run of a job. */
struct run {
	struct mpt *t;
	struct job *job;
	struct board *b;
	struct mpt_rand *rand;
};

/* Fails now and then, when all but the word is done. */
static int
run_job(void *arg)
{
	const struct run *run = arg;
	struct job *job = run->job;

	mpt_check(run->t, !job->told);
	if (job->first != job->second)
		run->b->begun_anew++;
	job->runner = getpid();
	job->second = 0;
	job->first = 1;
	chaos_spend(run->rand, TURNS);
	mpt_check_int(run->t, job->runner, getpid());
	mpt_check(run->t, job->first == 1 && job->second == 0);
	job->second = 1;
	mpt_check(run->t, !job->told);
	job->runner = 0;
	if (mpt_rand_below(run->rand, 8))
		return 0;
	run->b->failed++;
	return -EIO;
}

static void
have_done(struct mpt *t, struct board *b, unsigned n, struct mpt_rand *rand)
{
	struct job *job = &b->jobs[n];
	struct run run = { .t = t, .job = job, .b = b, .rand = rand };
	int r;

	do {
		chaos_does(RUNS);
		r = chaos_done(mproc_once_run(&job->once, run_job, &run));
	} while (r == -EIO);
	mpt_check_int(t, r, 0);
	mpt_check(t, job->first == 1 && job->second == 1);
	job->told = true;
	/* Whoever comes first. */
	atomic_compare_exchange_strong(&b->next, &n, n + 1);
}

static int
work(struct mpt *t, void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct board *b = mpt_scratch(t);
	struct mpt_rand rand;
	unsigned n;

	chaos_begin(t, me);
	mpt_rand_init(&rand, (uint64_t)getpid());
	while (chaos_rest(t, me)) {
		n = b->next;
		if (n == JOBS) {
			mpt_until(t, chaos_is_truce(t));
			continue;
		}
		have_done(t, b, n, &rand);
		b->chaos.finished[me]++;
	}
	return 0;
}

static pid_t
runner(struct mpt *t, struct mpt_rand *rand)
{
	const struct board *b = mpt_scratch(t);
	unsigned n = b->next;

	(void)rand;
	return n < JOBS ? b->jobs[n].runner : 0;
}

/* All are done up to the next one, which some may have left in the middle.
 * Begins with new ones. */
static void
verify(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	for (unsigned i = 0; i < JOBS; i++) {
		struct job *job = &b->jobs[i];

		if (i == b->next)
			continue;
		assert_int_equal(job->told, i < b->next);
		assert_int_equal(job->first, i < b->next);
		assert_int_equal(job->second, i < b->next);
	}
	memset(b->jobs, 0, JOBS * sizeof(*b->jobs));
	b->next = 0;
}

static void
what_is_done_once_is_done_in_spite_of_kills_and_stops(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	struct chaos_plan plan = {
		.work = work,
		.kills = KILLS,
		.crowded = true,
		.deeds = deeds,
		.inside = runner,
		.verify = verify,
	};

	b->jobs = mproc_alloc(JOBS * sizeof(*b->jobs));
	assert_non_null(b->jobs);
	chaos_run(t, &plan);
	print_message("# told %llu times, %u failures, %u kills, %u of them in "
		      "the middle of a job\n",
		      (unsigned long long)chaos_finished(t), b->failed,
		      b->chaos.deaths, b->begun_anew);
	mproc_free(b->jobs);
}

chaos_both(what_is_done_once_is_done_in_spite_of_kills_and_stops)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		chaos_tests(what_is_done_once_is_done_in_spite_of_kills_and_stops),
	};

	return cmocka_run_group_tests(tests, chaos_setup, NULL);
}
