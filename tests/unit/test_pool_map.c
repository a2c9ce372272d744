/* SPDX-License-Identifier: MIT */
/*
 * The words of a map: whose a chunk is, what becomes of an item whose worker is dead,
 * and when a map is at its end. Nothing runs here but the test, as whoever it is.
 */
#include <errno.h>

#include "map.h"

static bool
is_done(void)
{
	return mpr_future_state(atomic_load(&s.f->cell.word)) ==
	       MPR_FUTURE_DONE;
}

static void
one_worker_does_all(void **state)
{
	(void)state;
	map_items();
	run_at(2);
	expect_begun(0, N, 1);
	assert_false(mpr_map_waits(&s.m, s.id));
	/* Hints that come too late. */
	run_at(0);
	expect_done(0);
	assert_int_equal(s.pool.workers[2].depth, 0);
}

/* It was stopped, or killed, between the claim and the note of it. */
static void
a_claim_is_noted_by_who_comes_next(void **state)
{
	(void)state;
	map_items();
	give(1, 1, 0);
	atomic_store(&s.m.map->next, MPR_MAP_CHUNK_UNIT | 1);
	assert_int_equal(mpr_map_progress(&s.m), 0);
	run_at(0);
	expect_begun(0, CHUNK, 0);
	expect_begun(CHUNK, N, 1);
	assert_int_equal(atomic_load(&s.m.shares[1].desk),
			 mpr_desk(0, MPR_DESK_HAS));
	assert_false(is_done());
	assert_int_equal(mpr_map_progress(&s.m), N - CHUNK);
	assert_true(bury(1));
	assert_false(bury(1));
	assert_int_equal(atomic_load(&s.f->deaths), 0);
	assert_true(mpr_map_waits(&s.m, s.id));
	run_at(0);
	expect_begun(0, N, 1);
	expect_done(0);
}

static void
the_last_claim_is_noted_by_who_buries(void **state)
{
	(void)state;
	map_items();
	give(1, 1, 0);
	atomic_store(&s.m.map->next, MPR_MAP_CHUNK_UNIT | 1);
	assert_true(bury(1));
	assert_int_equal(atomic_load(&s.m.shares[1].desk),
			 mpr_desk(0, MPR_DESK_HAS));
	run_at(0);
	run_at(0);
	expect_begun(0, N, 1);
	expect_done(0);
}

/* Who was late with a note notes nothing of a chunk that was done meanwhile. */
static void
a_note_that_comes_too_late_has_no_effect(void **state)
{
	(void)state;
	map_items();
	/* Share 1 has done chunk 0, and nobody has claimed another. */
	give(1, 1, mpr_desk(CHUNK, 0));
	atomic_store(&s.m.map->next, MPR_MAP_CHUNK_UNIT | 1);
	run_at(0);
	expect_begun(0, CHUNK, 0);
	expect_begun(CHUNK, N, 1);
	assert_int_equal(atomic_load(&s.m.shares[1].desk), mpr_desk(CHUNK, 0));
	assert_true(bury(1));
	expect_done(0);
}

static void
an_item_in_dead_hands_is_begun_again_as_often_as_it_may(void **state)
{
	size_t first = 0;
	int error;

	(void)state;
	map_items();
	atomic_store(&s.m.map->next, MPR_MAP_CHUNK_UNIT | 1);
	for (unsigned i = 1; i <= 3; i++) {
		give(1, 1, mpr_desk(2, MPR_DESK_HAS | MPR_DESK_BEGUN));
		assert_true(bury(1));
		assert_int_equal(atomic_load(&s.f->deaths), i);
		assert_int_equal(mpr_desk_item(
					 atomic_load(&s.m.shares[1].desk)),
				 i <= 2 ? 2 : 3);
	}
	/* Another item has its own count; the last one of a chunk. */
	give(1, 1, mpr_desk(3, MPR_DESK_HAS | MPR_DESK_BEGUN));
	assert_true(bury(1));
	assert_int_equal(atomic_load(&s.m.shares[1].desk),
			 mpr_desk(3, MPR_DESK_HAS | MPR_DESK_BEGUN));
	for (int i = 0; i < 2; i++) {
		give(1, 1, mpr_desk(3, MPR_DESK_HAS | MPR_DESK_BEGUN));
		assert_true(bury(1));
	}
	assert_int_equal(atomic_load(&s.m.shares[1].desk), mpr_desk(4, 0));
	run_at(0);
	expect_begun(0, CHUNK, 0);
	expect_begun(CHUNK, N, 1);
	for (; first < 4; first++) {
		if (first < 2)
			continue;
		assert_int_equal(mproc_future_next_failed(s.f, &first, &error),
				 0);
		assert_int_equal(error, -EOWNERDEAD);
	}
	assert_int_equal(mproc_future_next_failed(s.f, &first, &error), -ENODATA);
	expect_done(-EOWNERDEAD);
}

static void
an_overdue_item_is_not_begun_again(void **state)
{
	int64_t next = 0;
	size_t first = 0;
	int error;

	(void)state;
	map_items();
	atomic_store(&s.m.map->next, MPR_MAP_CHUNK_UNIT | 1);
	give(1, 1, mpr_desk(2, MPR_DESK_HAS | MPR_DESK_BEGUN));
	/* Without a limit of its own: a part of what has one. */
	assert_false(mpr_map_is_overdue(&s.m, 1, 10, 1000, &next));
	atomic_store(&s.m.shares[1].started, 995);
	assert_false(mpr_map_is_overdue(&s.m, 0, 10, 2000, &next));
	assert_int_equal(next, 0);
	assert_false(mpr_map_is_overdue(&s.m, 1, 10, 1000, &next));
	assert_int_equal(next, 1005);
	assert_false(mpr_map_is_overdue(&s.m, 1, INT64_MAX, 1000, &next));
	assert_int_equal(next, INT64_MAX);
	assert_true(mpr_map_is_overdue(&s.m, 1, 10, 1005, &next));
	assert_true(mpr_map_is_overdue(&s.m, 1, 10, 1005, &next));
	assert_true(bury(1));
	assert_int_equal(atomic_load(&s.f->deaths), 0);
	run_at(0);
	run_at(0);
	expect_begun(0, 3, 0);
	expect_begun(3, N, 1);
	assert_int_equal(mproc_future_next_failed(s.f, &first, &error), 0);
	assert_int_equal(first, 2);
	expect_done(-ETIMEDOUT);
}

/* Who takes it next has its own time, from when it begins. */
static void
what_is_begun_again_is_not_overdue(void **state)
{
	int64_t next = 0;

	(void)state;
	map_items();
	atomic_store(&s.m.map->next, MPR_MAP_CHUNK_UNIT | 1);
	give(1, 1, mpr_desk(2, MPR_DESK_HAS | MPR_DESK_BEGUN));
	atomic_store(&s.m.shares[1].started, 995);
	assert_true(bury(1));
	give(1, 0, atomic_load(&s.m.shares[1].desk));
	assert_false(mpr_map_is_overdue(&s.m, 0, 10, 2000, &next));
	atomic_store(&s.m.shares[1].word, s.id);
	run_at(0);
	run_at(0);
	expect_begun(2, N, 1);
	expect_done(0);
}

static void
make_overdue(int i)
{
	int64_t next;

	if (i == 5)
		assert_true(mpr_map_is_overdue(&s.m, 0, 0, mproc_now(), &next));
}

/* The worker has come to the item's end, and is to be killed all the same: it begins no
 * other. */
static void
who_is_overdue_goes_no_further(void **state)
{
	(void)state;
	s.pool.workers[0].limited = true;
	map_items();
	s.in_item = make_overdue;
	run_at(0);
	assert_true(s.pool.workers[0].revoked);
	expect_begun(0, 6, 1);
	expect_begun(6, N, 0);
	assert_true(bury(0));
	s.in_item = NULL;
	run_at(1);
	expect_begun(0, N, 1);
	expect_done(-ETIMEDOUT);
}

static void
cancel_in_item(int i)
{
	if (i == 1)
		assert_true(mpr_task_revoke(s.f, s.id, MPR_FUTURE_CANCELED));
}

static void
what_is_revoked_is_done_when_nobody_has_a_share(void **state)
{
	size_t first, items;

	(void)state;
	map_items();
	give(1, 1, 0);
	s.in_item = cancel_in_item;
	run_at(0);
	/* To the end of the chunk: it would be killed before. */
	expect_begun(0, CHUNK, 1);
	expect_begun(CHUNK, N, 0);
	assert_false(is_done());
	assert_true(bury(1));
	assert_int_equal(mpr_map_result(&s.m, atomic_load(&s.f->cell.word),
					&first, &items), -ECANCELED);
	assert_int_equal(first, CHUNK);
	assert_int_equal(items, N - CHUNK);
	expect_done(-ECANCELED);
}

/* The item in its hands was canceled, and its death is not counted. */
static void
who_is_killed_for_the_maps_sake_has_failed_nothing(void **state)
{
	size_t first = 0;
	int error;

	(void)state;
	map_items();
	atomic_store(&s.m.map->next, MPR_MAP_CHUNK_UNIT | 1);
	give(1, 1, mpr_desk(2, MPR_DESK_HAS | MPR_DESK_BEGUN));
	atomic_store(&s.f->cell.word,
		     mpr_future_word(s.id, MPR_FUTURE_SHARED, 0));
	assert_true(mpr_task_revoke(s.f, s.id, MPR_FUTURE_CANCELED));
	assert_true(bury(1));
	assert_int_equal(atomic_load(&s.f->deaths), 0);
	assert_int_equal(atomic_load(&s.pool.use.root->retried), 0);
	assert_int_equal(mproc_future_next_failed(s.f, &first, &error), 0);
	assert_int_equal(first, 2);
	assert_int_equal(error, -ECANCELED);
	expect_done(-ECANCELED);
}

static void
have_it_ended(int i)
{
	if (i == 1)
		assert_int_equal(mproc_future_cancel(s.f, MPROC_CANCEL_RUNNING),
				 0);
}

/* It may be at the end of its chunk by then. What it would take next would be killed in
 * the place of this. */
static void
who_is_to_be_killed_takes_nothing_else(void **state)
{
	uint64_t holder = mpr_holder(s.pool.self);

	(void)state;
	map_items();
	atomic_store(&s.pool.workers[0].record->word, holder);
	s.in_item = have_it_ended;
	run_at(0);
	assert_int_equal(atomic_load(&s.pool.workers[0].record->doomed), holder);
	assert_true(s.pool.workers[0].revoked);
	assert_false(is_done());
	assert_true(bury(0));
	assert_int_equal(atomic_load(&s.f->deaths), 0);
	expect_done(-ECANCELED);
	atomic_store(&s.pool.workers[0].record->word, 0);
}

static void
count_worker(void *ctx, unsigned worker)
{
	*(unsigned *)ctx += 1 + 10 * worker;
}

/* One that has a share says so once more when it is killed late, and one that has given
 * its share back does not. */
static void
a_share_that_is_revoked_is_not_given_back(void **state)
{
	unsigned found = 0;

	(void)state;
	map_items();
	give(1, 1, 0);
	atomic_store(&s.m.shares[0].word,
		     mpr_future_word(s.id, MPR_FUTURE_DONE, 0));
	for (int i = 1; i <= 2; i++) {
		mpr_map_each_worker(&s.m, s.id, count_worker, &found);
		assert_int_equal(found, i * 11);
	}
	mpr_map_each_worker(&s.m, s.id + MPR_FUTURE_ID_UNIT, count_worker,
			    &found);
	assert_int_equal(found, 22);
	assert_int_not_equal(atomic_load(&s.m.shares[1].word),
			     mpr_future_word(s.id, MPR_FUTURE_RUNNING, 1));
	assert_true(bury(1));
	run_at(0);
	run_at(0);
	expect_begun(0, N, 1);
	expect_done(0);
}

static void
what_is_dropped_is_not_begun(void **state)
{
	(void)state;
	map_items();
	assert_false(mpr_map_drop(&s.m, s.pool.self, s.id + MPR_FUTURE_ID_UNIT,
				  MPR_FUTURE_SHUT));
	assert_true(mpr_map_drop(&s.m, s.pool.self, s.id, MPR_FUTURE_SHUT));
	assert_false(mpr_map_drop(&s.m, s.pool.self, s.id, MPR_FUTURE_SHUT));
	run_at(0);
	expect_begun(0, N, 0);
	expect_done(-ESHUTDOWN);
	/* Somebody has just taken a share: he finds that it is over. */
	map_items();
	give(0, 0, 0);
	assert_true(mpr_map_drop(&s.m, s.pool.self, s.id, MPR_FUTURE_CANCELED));
	assert_false(is_done());
	atomic_store(&s.m.shares[0].word,
		     mpr_future_word(s.id, MPR_FUTURE_QUEUED, 0));
	mpr_map_settle(&s.m, s.pool.self, s.id);
	expect_done(-ECANCELED);
}

/* Who is about to look whether it is at its end finds another one in the same place. */
static void
another_map_is_not_closed(void **state)
{
	uint64_t id;

	(void)state;
	map_items();
	id = s.id;
	s.id += MPR_FUTURE_ID_UNIT;
	for (unsigned i = 0; i < s.m.n_shares; i++)
		atomic_store(&s.m.shares[i].word,
			     mpr_future_word(s.id, MPR_FUTURE_QUEUED, 0));
	/* Its word was read before that. */
	atomic_store(&s.m.map->stopped, 1);
	mpr_map_settle(&s.m, s.pool.self, id);
	atomic_store(&s.m.map->stopped, 0);
	atomic_store(&s.f->cell.word, s.id);
	assert_true(mpr_map_waits(&s.m, s.id));
	run_at(0);
	expect_begun(0, N, 1);
	expect_done(0);
}

/* fail() was killed between the bit and the desk. */
static void
who_has_failed_is_not_begun_again(void **state)
{
	(void)state;
	map_items();
	atomic_store(&s.m.map->next, MPR_MAP_CHUNK_UNIT | 1);
	give(1, 1, mpr_desk(3, MPR_DESK_HAS | MPR_DESK_BEGUN));
	atomic_store(&s.m.map->failed, 1);
	atomic_store(&s.m.bits[0], 1 << 3);
	assert_true(bury(1));
	assert_int_equal(atomic_load(&s.f->deaths), 0);
	run_at(0);
	expect_begun(0, CHUNK, 0);
	expect_begun(CHUNK, N, 1);
	/* There was no memory for its error. */
	expect_done(-ENOSPC);
}

static void
who_has_failed_ends_a_map_that_fails_fast(void **state)
{
	(void)state;
	map_with(item, MPROC_OPTS(mproc_map_opts, .chunk = CHUNK,
				  .fail_fast = true));
	atomic_store(&s.m.map->next, MPR_MAP_CHUNK_UNIT | 1);
	give(1, 1, mpr_desk(1, MPR_DESK_HAS | MPR_DESK_BEGUN));
	atomic_store(&s.m.map->failed, 1);
	atomic_store(&s.m.bits[0], 1 << 1);
	assert_true(bury(1));
	run_at(0);
	expect_begun(0, N, 0);
	expect_done(-ENOSPC);
}

/* Of a map that another item has ended. It was begun, so it was not canceled. */
static void
who_dies_with_an_item_after_the_end_has_failed_it(void **state)
{
	size_t first = 0;
	int error;

	(void)state;
	map_with(item, MPROC_OPTS(mproc_map_opts, .chunk = CHUNK,
				  .fail_fast = true));
	atomic_store(&s.m.map->next, MPR_MAP_CHUNK_UNIT | 1);
	atomic_store(&s.m.map->stopped, 1);
	give(1, 1, mpr_desk(0, MPR_DESK_HAS | MPR_DESK_BEGUN));
	assert_true(bury(1));
	assert_int_equal(atomic_load(&s.pool.use.root->retried), 0);
	assert_int_equal(mproc_future_next_failed(s.f, &first, &error), 0);
	assert_int_equal(first, 0);
	assert_int_equal(error, -EOWNERDEAD);
	first++;
	assert_int_equal(mproc_future_next_failed(s.f, &first, &error), 0);
	assert_int_equal(first, 1);
	assert_int_equal(error, -ECANCELED);
	expect_done(-EOWNERDEAD);
}

static int
fail_later(const void *in, void *out, void *ctx)
{
	(void)out;
	(void)ctx;
	return memcmp(in, &(int){ 5 }, sizeof(int)) ? 0 : -EDOM;
}

/* For the first one that has failed there was no memory; what is in memory that is there
 * later is not its error. */
static void
an_error_that_nobody_could_note_is_none_of_others(void **state)
{
	struct mpr_block_ref ref;
	size_t first = 0;
	int error;

	(void)state;
	map_with(fail_later, MPROC_OPTS(mproc_map_opts, .chunk = CHUNK));
	/* As it may be when it was somebody else's. */
	assert_int_equal(mpr_heap_reserve_dirty(s.pool.use.arena, s.pool.self,
						N * sizeof(int32_t), &ref), 0);
	memset(mpr_arena_at(s.pool.use.arena, ref.offset), 0xfb, ref.size);
	mpr_block_cancel(s.pool.self, &ref);
	atomic_store(&s.m.map->failed, 1);
	atomic_store(&s.m.bits[0], 1 << 2);
	run_at(0);
	assert_int_equal(mproc_future_next_failed(s.f, &first, &error), 0);
	assert_int_equal(first, 2);
	assert_int_equal(error, -ENOSPC);
	first++;
	assert_int_equal(mproc_future_next_failed(s.f, &first, &error), 0);
	assert_int_equal(first, 5);
	assert_int_equal(error, -EDOM);
	expect_done(-ENOSPC);
}

/* It was closed while it was read, and another one may lie there. */
static void
results_of_another_one_are_not_delivered(void **state)
{
	struct mpr_future_use u;
	uint64_t word;

	(void)state;
	map_items();
	run_at(0);
	assert_int_equal(mpr_future_look_up(s.f, &u), 0);
	word = mpr_future_word_of(&u);
	assert_int_equal(mpr_map_read(&u, &s.m, word, NULL, 0, NULL), 0);
	u.id += MPR_FUTURE_ID_UNIT;
	assert_int_equal(mpr_map_read(&u, &s.m, word, NULL, 0, NULL), -ESTALE);
	expect_done(0);
}

/* One who dies in one leaves the rest of it. */
static void
chunks_become_smaller(void **state)
{
	(void)state;
	/* 2 2 2 1 1 1 1 */
	map_with_chunks(item, MPROC_OPTS(mproc_map_opts, .guided = true), 7, N);
	atomic_store(&s.m.map->next, MPR_MAP_CHUNK_UNIT * 3 | 0);
	give(0, 2, mpr_desk(4, MPR_DESK_HAS | MPR_DESK_BEGUN));
	assert_int_equal(mpr_map_progress(&s.m), 4);
	assert_true(bury(2));
	run_at(0);
	expect_begun(0, 4, 0);
	expect_begun(4, N, 1);
	assert_int_equal(mpr_map_progress(&s.m), N);
	expect_done(0);
}

static void
what_is_not_a_map_is_none(void **state)
{
	struct mpr_map_use m;
	uint64_t n;

	(void)state;
	map_items();
	n = s.m.map->n;
	s.m.map->n = MPR_MAP_ITEMS_MAX + 1;
	assert_false(mpr_map_look_at(&s.pool.use, s.f, &m));
	s.m.map->n = n + 100000;
	assert_false(mpr_map_look_at(&s.pool.use, s.f, &m));
	s.m.map->n = n;
	s.m.map->n_shares = MPR_POOL_WORKERS_MAX + 1;
	assert_false(mpr_map_look_at(&s.pool.use, s.f, &m));
	s.m.map->n_shares = 3;
	s.m.map->round = MPR_POOL_WORKERS_MAX + 1;
	assert_false(mpr_map_look_at(&s.pool.use, s.f, &m));
	s.m.map->round = 3;
	s.m.map->chunk = 0;
	assert_false(mpr_map_look_at(&s.pool.use, s.f, &m));
	/* And is not taken for a task. */
	mpr_task_run(&s.pool.workers[0], mpr_arena_offset(s.pool.use.arena, s.f), s.id);
	expect_begun(0, N, 0);
	s.m.map->chunk = CHUNK;
	s.m.map->largest = MPR_MAP_ITEMS_MAX + 1;
	assert_false(mpr_map_look_at(&s.pool.use, s.f, &m));
	s.m.map->largest = 0;
	run_at(0);
	expect_done(0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test(one_worker_does_all),
		test(a_claim_is_noted_by_who_comes_next),
		test(the_last_claim_is_noted_by_who_buries),
		test(a_note_that_comes_too_late_has_no_effect),
		test(an_item_in_dead_hands_is_begun_again_as_often_as_it_may),
		test(an_overdue_item_is_not_begun_again),
		test(what_is_begun_again_is_not_overdue),
		test(who_is_overdue_goes_no_further),
		test(what_is_revoked_is_done_when_nobody_has_a_share),
		test(who_is_killed_for_the_maps_sake_has_failed_nothing),
		test(who_is_to_be_killed_takes_nothing_else),
		test(a_share_that_is_revoked_is_not_given_back),
		test(what_is_dropped_is_not_begun),
		test(another_map_is_not_closed),
		test(who_has_failed_is_not_begun_again),
		test(who_has_failed_ends_a_map_that_fails_fast),
		test(who_dies_with_an_item_after_the_end_has_failed_it),
		test(an_error_that_nobody_could_note_is_none_of_others),
		test(results_of_another_one_are_not_delivered),
		test(chunks_become_smaller),
		test(what_is_not_a_map_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
