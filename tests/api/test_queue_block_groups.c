/* SPDX-License-Identifier: MIT */
/*
 * queue.h: blocks of messages where there is no memory for more of them. In a
 * program of its own: slabs stay what they are, and in a small arena all of them
 * become such as this test needs.
 */
#include "common.h"

static int
with_a_small_arena(void **state)
{
	int r = mproc_arena_configure_default(MPROC_OPTS(
		mproc_arena_opts, .capacity = (size_t)16 << 20));

	return r < 0 ? r : with_arena(state);
}

/* Blocks come in groups, of a page each. */
static void
where_all_blocks_are_in_use_it_is_full(void **state)
{
	enum { PAGES = 4096, GROUP = 63 };
	static void *pages[PAGES];
	unsigned n_pages = 0, n = 0, got;
	mproc_queue *q = NULL;
	int r;

	(void)state;
	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .ack = true)), 0);
	assert_int_equal(mproc_queue_put(q, &n, sizeof(n), MPROC_NOWAIT), 0);
	while (n_pages < PAGES && (pages[n_pages] = mproc_alloc(4096)))
		n_pages++;
	assert_in_range(n_pages, 1, PAGES - 1);
	for (n = 1; n < 1000; n++) {
		r = mproc_queue_put(q, &n, sizeof(n), MPROC_NOWAIT);
		if (r < 0)
			break;
	}
	assert_int_equal(n, GROUP);
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(mproc_queue_put(q, &n, sizeof(n), mproc_ms(5)),
			 -ETIMEDOUT);
	assert_int_equal(mproc_queue_get(q, &got, sizeof(got), NULL,
					 MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_put(q, &n, sizeof(n), MPROC_NOWAIT),
			 -EAGAIN);
	assert_int_equal(mproc_queue_task_done(q), 0);
	assert_int_equal(mproc_queue_put(q, &n, sizeof(n), MPROC_NOWAIT), 0);
	while (n_pages)
		mproc_free(pages[--n_pages]);
	n++;
	assert_int_equal(mproc_queue_put(q, &n, sizeof(n), MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_len(q), GROUP + 1);
	mproc_queue_destroy(q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(where_all_blocks_are_in_use_it_is_full),
	};

	return cmocka_run_group_tests(tests, with_a_small_arena, NULL);
}
