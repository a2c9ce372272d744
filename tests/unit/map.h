/* SPDX-License-Identifier: MIT */
/*
 * A pool that nobody keeps, with three workers, as whom the test runs a map.
 */
#ifndef UNIT_MAP_H
#define UNIT_MAP_H

#include "common.h"
#include "pool/future.h"
#include "pool/map.h"
#include "unkept.h"

#define N 10
#define CHUNK 4

static struct scene {
	struct unkept pool;
	unsigned begun[N];
	mproc_future *f;
	struct mpr_map_use m;
	uint64_t id;
	void (*in_item)(int i);
} s;

static inline int
item(const void *in, void *out, void *ctx)
{
	int i;

	(void)out;
	(void)ctx;
	memcpy(&i, in, sizeof(i));
	s.begun[i]++;
	if (s.in_item)
		s.in_item(i);
	return 0;
}

static inline void
map_with_chunks(mproc_map_fn *fn, const struct mproc_map_opts *o, uint64_t n_chunks,
		unsigned n_shares)
{
	int in[N];

	for (int i = 0; i < N; i++)
		in[i] = i;
	memset(s.begun, 0, sizeof(s.begun));
	assert_int_equal(mproc_pool_map_async(s.pool.use.pool, fn, NULL, in,
					      sizeof(int), NULL, 0, N, o, &s.f),
			 0);
	assert_true(mpr_map_look_at(&s.pool.use, s.f, &s.m));
	s.id = atomic_load(&s.f->cell.word);
	assert_int_equal(s.m.n_shares, n_shares);
	assert_int_equal(s.m.n_chunks, n_chunks);
}

static inline void
map_with(mproc_map_fn *fn, const struct mproc_map_opts *o)
{
	map_with_chunks(fn, o, 3, 3);
}

static inline void
map_items(void)
{
	map_with(item, MPROC_OPTS(mproc_map_opts, .chunk = CHUNK));
}

static inline void
run_at(unsigned w)
{
	mpr_map_run(&s.pool.workers[w], &s.m, s.id);
}

static inline bool
bury(unsigned w)
{
	return mpr_map_bury(&s.m, s.pool.self, w,
			    &(struct mproc_exit){ .code = -1, .signal = 9 });
}

/* Share @share is worker @w's, and says @desk. */
static inline void
give(unsigned share, unsigned w, uint64_t desk)
{
	atomic_store(&s.m.shares[share].word,
		     mpr_future_word(s.id, MPR_FUTURE_RUNNING, w));
	atomic_store(&s.m.shares[share].desk, desk);
}

static inline void
expect_done(int result)
{
	uint64_t word = atomic_load(&s.f->cell.word);
	size_t first, items;

	assert_int_equal(mpr_future_state(word), MPR_FUTURE_DONE);
	assert_int_equal(mpr_map_result(&s.m, word, &first, &items), result);
	for (unsigned i = 0; i < s.m.n_shares; i++)
		assert_int_equal(mpr_future_state(
					 atomic_load(&s.m.shares[i].word)),
				 MPR_FUTURE_DONE);
	mproc_future_close(s.f);
}

static inline void
expect_begun(int from, int to, unsigned times)
{
	for (int i = from; i < to; i++)
		assert_int_equal(s.begun[i], times);
}

static inline int
setup(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	return unkept_make(&s.pool, 3);
}

static inline int
teardown(void **state)
{
	(void)state;
	return unkept_free(&s.pool);
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
