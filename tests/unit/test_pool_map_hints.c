/* SPDX-License-Identifier: MIT */
/*
 * How many hints there are for a map, and which share who takes one takes.
 */
#include <errno.h>

#include "map.h"

static size_t no_room; /* as soon as there are so many hints; or 0 */

int __real_mproc_queue_put(mproc_queue *q, const void *p, size_t len,
			   mproc_timeout timeout);
int __wrap_mproc_queue_put(mproc_queue *q, const void *p, size_t len,
			   mproc_timeout timeout);

int
__wrap_mproc_queue_put(mproc_queue *q, const void *p, size_t len,
		       mproc_timeout timeout)
{
	if (no_room && mproc_queue_len(q) >= no_room)
		return -EAGAIN;
	return __real_mproc_queue_put(q, p, len, timeout);
}

/* In the item of a share that was given back with it. */
static void
look_at_shares(int i)
{
	if (i != CHUNK)
		return;
	assert_int_equal(atomic_load(&s.m.shares[0].word),
			 mpr_future_word(s.id, MPR_FUTURE_QUEUED, 0));
	assert_int_equal(atomic_load(&s.m.shares[1].word),
			 mpr_future_word(s.id, MPR_FUTURE_RUNNING, 2));
}

/* There may be one hint for it, and others for shares that anybody may take. */
static void
a_share_with_an_item_is_taken_first(void **state)
{
	(void)state;
	map_items();
	atomic_store(&s.m.map->next, MPR_MAP_CHUNK_UNIT * 2 | 1);
	atomic_store(&s.m.shares[0].desk, mpr_desk(CHUNK, 0));
	atomic_store(&s.m.shares[1].desk, mpr_desk(CHUNK, MPR_DESK_HAS));
	s.in_item = look_at_shares;
	run_at(2);
	s.in_item = NULL;
	expect_begun(0, CHUNK, 0);
	expect_begun(CHUNK, N, 1);
	expect_done(0);
}

static size_t
count_hints(void)
{
	return mproc_queue_len(mpr_pool_queue(&s.pool.use));
}

/* No more than workers are to be; but for what was begun, whoever is to be there. */
static void
shares_for_later_workers_have_no_hints(void **state)
{
	size_t before = count_hints();

	(void)state;
	map_with_chunks(item, MPROC_OPTS(mproc_map_opts, .chunk = 1), N, N);
	assert_int_equal(count_hints(), before + 3);
	atomic_store(&s.pool.use.root->n_workers, 5);
	assert_int_equal(mpr_map_announce(&s.m, s.id), 0);
	assert_int_equal(count_hints(), before + 3 + 5);
	atomic_store(&s.pool.use.root->n_workers, 1);
	atomic_store(&s.m.map->next, MPR_MAP_CHUNK_UNIT * 3 | 2);
	for (unsigned i = 0; i < 3; i++)
		atomic_store(&s.m.shares[i].desk, mpr_desk(i, MPR_DESK_HAS));
	assert_int_equal(mpr_map_announce(&s.m, s.id), 0);
	assert_int_equal(count_hints(), before + 3 + 5 + 3 + 1);
	/* Nothing is left but those. */
	atomic_store(&s.m.map->next, MPR_MAP_CHUNK_UNIT * N | 2);
	assert_int_equal(mpr_map_announce(&s.m, s.id), 0);
	assert_int_equal(count_hints(), before + 3 + 5 + 3 + 1 + 3);
	atomic_store(&s.pool.use.root->n_workers, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(mpr_map_waits(&s.m, s.id));
		run_at(i);
	}
	assert_false(mpr_map_waits(&s.m, s.id));
	expect_begun(0, 3, 1);
	expect_done(0);
}

/* What was begun can be done by nobody but who takes a hint for it: without room for one
 * it is announced again. All else anybody does who has come. */
static void
an_item_without_a_hint_is_announced_again(void **state)
{
	size_t before;

	(void)state;
	map_with_chunks(item, MPROC_OPTS(mproc_map_opts, .chunk = 1), N, N);
	before = count_hints();
	atomic_store(&s.m.map->next, MPR_MAP_CHUNK_UNIT * 3 | (N - 1));
	for (unsigned i = 0; i < 3; i++)
		atomic_store(&s.m.shares[N - 3 + i].desk,
			     mpr_desk(i, MPR_DESK_HAS));
	no_room = before + 2;
	assert_int_equal(mpr_map_announce(&s.m, s.id), -EAGAIN);
	assert_int_equal(count_hints(), before + 2);
	no_room = before + 5;
	assert_int_equal(mpr_map_announce(&s.m, s.id), 0);
	assert_int_equal(count_hints(), before + 5);
	/* One for all that is in no chunk. */
	atomic_store(&s.m.map->next, 0);
	for (unsigned i = 0; i < 3; i++)
		atomic_store(&s.m.shares[N - 3 + i].desk, 0);
	assert_int_equal(mpr_map_announce(&s.m, s.id), -EAGAIN);
	no_room = before + 6;
	assert_int_equal(mpr_map_announce(&s.m, s.id), 0);
	no_room = 0;
	run_at(0);
	expect_begun(0, N, 1);
	expect_done(0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_share_with_an_item_is_taken_first),
		test(shares_for_later_workers_have_no_hints),
		test(an_item_without_a_hint_is_announced_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
