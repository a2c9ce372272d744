/* SPDX-License-Identifier: MIT */
/*
 * pool/starts.h: how long a keeper waits before it starts a worker again, and which deaths
 * are reason enough to start none. Nothing runs here but the test.
 */
#include "pool/starts.h"
#include "unkept.h"

#define MS INT64_C(1000000)

enum { WORKERS = 3, TRIES = 3 };

static struct unkept pool;

static struct mpr_pool_worker *
record_of(unsigned w)
{
	return pool.workers[w].record;
}

/* As one who has come as far as the initializer, or through it, or has ended in order. */
static void
begin(unsigned w, bool through)
{
	atomic_store(&record_of(w)->word, pool.workers[w].holder);
	atomic_store(&record_of(w)->begun, through ? pool.workers[w].holder : 0);
}

static void
leave(unsigned w)
{
	atomic_store(&record_of(w)->word, 0);
}

static int
make(void **state)
{
	(void)state;
	if (unkept_make(&pool, WORKERS) < 0)
		return -1;
	atomic_store(&pool.use.root->initializer, 1);
	return 0;
}

static int
unmake(void **state)
{
	(void)state;
	for (unsigned w = 0; w < WORKERS; w++)
		leave(w);
	return unkept_free(&pool);
}

/* One that began @ago ended just now. Returns how long nobody is to be started. */
static int64_t
end(struct mpr_starts *starts, unsigned w, int64_t ago)
{
	struct mpr_worker_start s;
	int64_t now;

	mpr_worker_start_note(&s, record_of(w), mproc_now());
	s.at -= ago;
	starts->not_before = 0;
	now = mproc_now();
	mpr_starts_note_end(starts, &s, record_of(w));
	return starts->not_before ? starts->not_before - now : 0;
}

static void
short_lives_have_longer_and_longer_pauses(void **state)
{
	struct mpr_starts starts = { 0 };
	struct mpr_worker_start s;

	(void)state;
	for (int64_t pause = 10 * MS; pause < 1000 * MS; pause *= 2)
		assert_true(end(&starts, 0, 0) >= pause);
	for (int i = 0; i < 100; i++) {
		int64_t pause = end(&starts, 0, 0);

		assert_true(pause >= 1000 * MS && pause < 2000 * MS);
	}
	/* Until one has lived longer, has had a task, has one, or rests. */
	assert_int_equal(end(&starts, 0, 1000 * MS), 0);
	assert_true(end(&starts, 0, 0) < 1000 * MS);
	mpr_worker_start_note(&s, record_of(0), mproc_now());
	atomic_fetch_add(&record_of(0)->done, 1);
	starts.not_before = 0;
	mpr_starts_note_end(&starts, &s, record_of(0));
	assert_int_equal(starts.not_before, 0);
	atomic_store(&record_of(0)->lease, 64);
	assert_int_equal(end(&starts, 0, 0), 0);
	atomic_store(&record_of(0)->lease, 0);
	atomic_store(&record_of(0)->word, MPR_POOL_RESTS);
	assert_int_equal(end(&starts, 0, 0), 0);
	/* One whose record is gone. */
	mpr_starts_note_end(&starts, &(struct mpr_worker_start){ .at = mproc_now() }, NULL);
	assert_true(starts.not_before);
}

/* So many die in the initializer, one after the other. */
static void
lose(struct mpr_starts *starts, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned w = i % WORKERS;

		assert_false(mpr_starts_are_in_vain(starts, &pool.use));
		begin(w, false);
		(void)end(starts, w, 0);
		leave(w);
	}
}

static void
nobody_tries_for_ever(void **state)
{
	struct mpr_starts starts = { 0 };

	(void)state;
	lose(&starts, TRIES * WORKERS);
	assert_true(mpr_starts_are_in_vain(&starts, &pool.use));
	/* Without one nobody has died in it. */
	atomic_store(&pool.use.root->initializer, 0);
	assert_false(mpr_starts_are_in_vain(&starts, &pool.use));
	atomic_store(&pool.use.root->initializer, 1);
	/* More are to be. */
	atomic_store(&pool.use.root->n_workers, WORKERS + 1);
	assert_false(mpr_starts_are_in_vain(&starts, &pool.use));
	atomic_store(&pool.use.root->n_workers, WORKERS);
	assert_true(mpr_starts_are_in_vain(&starts, &pool.use));
}

static void
who_comes_through_begins_the_count_anew(void **state)
{
	struct mpr_starts starts = { 0 };

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		lose(&starts, TRIES * WORKERS - 1);
		/* Killed after that, and what ended in order. */
		begin(0, round != 1);
		if (round == 1)
			leave(0);
		(void)end(&starts, 0, 0);
		leave(0);
		assert_int_equal(starts.lost, 0);
	}
}

static void
who_is_there_and_has_come_through_is_enough(void **state)
{
	struct mpr_starts starts = { 0 };

	(void)state;
	lose(&starts, TRIES * WORKERS);
	begin(WORKERS - 1, true);
	assert_false(mpr_starts_are_in_vain(&starts, &pool.use));
	begin(WORKERS - 1, false);
	assert_true(mpr_starts_are_in_vain(&starts, &pool.use));
	/* One that is being forked has not. */
	atomic_store(&record_of(1)->word, UINT64_C(5) << 32);
	assert_true(mpr_starts_are_in_vain(&starts, &pool.use));
}

static void
what_is_terminated_has_no_other_reason(void **state)
{
	struct mpr_starts starts = { 0 };

	(void)state;
	lose(&starts, TRIES * WORKERS);
	mpr_pool_advance(&pool.use, MPR_POOL_CLOSING);
	assert_true(mpr_starts_are_in_vain(&starts, &pool.use));
	mpr_pool_advance(&pool.use, MPR_POOL_TERMINATING);
	assert_false(mpr_starts_are_in_vain(&starts, &pool.use));
}

#define test(f) cmocka_unit_test_setup_teardown(f, make, unmake)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test(short_lives_have_longer_and_longer_pauses),
		test(nobody_tries_for_ever),
		test(who_comes_through_begins_the_count_anew),
		test(who_is_there_and_has_come_through_is_enough),
		test(what_is_terminated_has_no_other_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
