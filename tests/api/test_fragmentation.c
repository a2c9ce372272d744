/* SPDX-License-Identifier: MIT */
/*
 * The heap keeps no more memory than half as much again as is in use, on the
 * traces by which allocators are judged, and gives back what is not. All of them
 * are random with a seed, and nothing in them depends on time.
 *
 * Tens of MiB are in use, as of each size a slab may be there that is not full. Live
 * bytes are those that were asked for; memory is what the kernel has allocated
 * for the arena since the trace began.
 */
#include <stdio.h>
#include <sys/mman.h>

#include "common.h"
#include "mpt_rand.h"
#include "mpt_refuse.h"

#define MIB ((size_t)1 << 20)
#define MOST 1.5

/* Blocks in use, and how much was asked for. */
struct live {
	unsigned char **p;
	size_t *size;
	unsigned n, max;
	size_t bytes;
	struct mpt_rand r;
	uint64_t backed; /* before all that */
	double worst;
};

static uint64_t
backed(void)
{
	return stat_now().backed;
}

static void
begin(struct live *l, unsigned max, uint64_t seed)
{
	*l = (struct live){ .max = max };
	l->p = calloc(max, sizeof(*l->p));
	l->size = calloc(max, sizeof(*l->size));
	assert_true(l->p && l->size);
	mpt_rand_init(&l->r, seed);
	assert_true(mproc_arena_recover(NULL) >= 0);
	l->backed = backed();
}

static void
add(struct live *l, size_t size)
{
	unsigned char *p = mproc_alloc(size);

	assert_non_null(p);
	assert_true(l->n < l->max);
	p[0] = p[size - 1] = (unsigned char)size;
	l->p[l->n] = p;
	l->size[l->n++] = size;
	l->bytes += size;
}

static void
drop(struct live *l, unsigned i)
{
	unsigned char tag = (unsigned char)l->size[i];

	assert_true(l->p[i][0] == tag && l->p[i][l->size[i] - 1] == tag);
	mproc_free(l->p[i]);
	l->bytes -= l->size[i];
	l->p[i] = l->p[--l->n];
	l->size[i] = l->size[l->n];
}

static void
drop_any(struct live *l)
{
	drop(l, (unsigned)mpt_rand_below(&l->r, l->n));
}

static void
look(struct live *l)
{
	double ratio = (double)(backed() - l->backed) / (double)l->bytes;

	if (ratio > l->worst)
		l->worst = ratio;
}

static void
end(struct live *l, const char *name)
{
	print_message("# %s: %.3f times the live bytes at worst\n", name,
		      l->worst);
	while (l->n)
		drop_any(l);
	free(l->p);
	free(l->size);
	assert_true(l->worst >= 1.0 && l->worst <= MOST);
}

/* From 16 bytes to 4 KiB, all sizes alike. */
static size_t
even(struct live *l)
{
	return 16 + (size_t)mpt_rand_below(&l->r, 4081);
}

/* From 64 bytes to 64 KiB, as many of 64 to 128 as of 32 to 64 KiB. */
static size_t
skewed(struct live *l)
{
	size_t from = (size_t)64 << mpt_rand_below(&l->r, 10);

	return from + (size_t)mpt_rand_below(&l->r, from);
}

static void
random_lifetimes(const char *name, size_t (*size)(struct live *l), size_t bytes)
{
	struct live l;

	begin(&l, 60000, 11);
	while (l.bytes < bytes)
		add(&l, size(&l));
	for (unsigned i = 0; i < amount(60000); i++) {
		if (l.bytes < bytes)
			add(&l, size(&l));
		else
			drop_any(&l);
		if (i % 4096 == 0)
			look(&l);
	}
	look(&l);
	end(&l, name);
}

static void
sizes_and_lifetimes_at_random(void **state)
{
	(void)state;
	random_lifetimes("random, 16 bytes to 4 KiB", even, 40 * MIB);
	random_lifetimes("random, 64 bytes to 64 KiB", skewed, 60 * MIB);
}

/* Ever larger sizes, and what is oldest goes: no size comes back. */
static void
a_ramp_of_sizes(void **state)
{
	struct live l;
	unsigned first = 0;

	(void)state;
	begin(&l, 400000, 12);
	for (unsigned size = 300; size < 60000; size += size / 20) {
		for (size_t added = 0; added < 4 * MIB; added += size)
			add(&l, size + (size_t)mpt_rand_below(&l.r, size / 20));
		for (; l.bytes > 40 * MIB; first++) {
			mproc_free(l.p[first]);
			l.bytes -= l.size[first];
		}
		if (l.bytes > 30 * MIB)
			look(&l);
	}
	while (first)
		l.p[--first] = NULL;
	while (l.n)
		mproc_free(l.p[--l.n]);
	end(&l, "ramp");
}

/* More and more is in use. */
static void
a_ramp_of_bytes(void **state)
{
	struct live l;

	(void)state;
	begin(&l, 60000, 16);
	for (unsigned i = 1; l.bytes < 60 * MIB; i++) {
		add(&l, even(&l));
		if (i % 3 == 0)
			drop_any(&l);
		if (l.bytes > 20 * MIB && i % 1024 == 0)
			look(&l);
	}
	end(&l, "ramp of bytes");
}

static void
a_sawtooth(void **state)
{
	struct live l;

	(void)state;
	begin(&l, 60000, 13);
	for (unsigned tooth = 0; tooth < 6; tooth++) {
		while (l.bytes < 40 * MIB)
			add(&l, even(&l));
		look(&l);
		/* All but the last ones of it. */
		while (l.n > 10)
			drop_any(&l);
	}
	end(&l, "sawtooth");
}

/* A tooth of one size after the other: memory must change its class. */
static void
a_sawtooth_of_sizes(void **state)
{
	static const size_t sizes[] = { 128, 3000, 256, 700, 20000, 512, 1500 };
	struct live l;

	(void)state;
	begin(&l, 400000, 14);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		while (l.bytes < 30 * MIB)
			add(&l, sizes[i] - (size_t)mpt_rand_below(
						   &l.r, sizes[i] / 8));
		look(&l);
		while (l.n)
			drop_any(&l);
	}
	end(&l, "sawtooth of sizes");
}

#define BATCH 8000

/* What one process allocates another one frees. In the scratch bytes. */
struct board {
	void **batch;
};

static int
consume(struct mpt *t, void *arg)
{
	struct board *board = mpt_scratch(t);

	for (unsigned i = 0; i < (unsigned)(uintptr_t)arg; i++) {
		mpt_reach(t, 2 * i + 1);
		for (int k = 0; k < BATCH; k++)
			mproc_free(board->batch[k * 7 % BATCH]);
		mpt_step(t, 2 * i + 1);
	}
	return 0;
}

static void
a_producer_and_a_consumer(void **state)
{
	struct mpt *t = *state;
	struct board *board = mpt_scratch(t);
	unsigned rounds = 14, last = 0;
	size_t bytes[3] = { 0 };
	void **kept[3];
	struct live l;

	/* What was produced last and the two times before is in use. */
	begin(&l, 1, 15);
	for (int i = 0; i < 3; i++)
		kept[i] = calloc(BATCH, sizeof(void *));
	board->batch = mproc_alloc(BATCH * sizeof(void *));
	mpt_spawn(t, "consumer", consume, (void *)(uintptr_t)(rounds - 2));
	for (unsigned i = 0; i < rounds; i++) {
		unsigned at = i % 3;

		if (i >= 3) {
			memcpy(board->batch, kept[at], BATCH * sizeof(void *));
			mpt_step(t, 2 * last);
			mpt_reach(t, 2 * ++last);
			l.bytes -= bytes[at];
		}
		bytes[at] = 0;
		for (int k = 0; k < BATCH; k++) {
			size_t size = even(&l);

			kept[at][k] = mproc_alloc(size);
			assert_non_null(kept[at][k]);
			bytes[at] += size;
		}
		l.bytes += bytes[at];
		if (i >= 2)
			look(&l);
	}
	/* One batch more, to end it. */
	memcpy(board->batch, kept[rounds % 3], BATCH * sizeof(void *));
	mpt_step(t, 2 * last);
	mpt_join_all(t);
	for (unsigned i = 0; i < 3; i++) {
		for (int k = 0; k < BATCH && i != rounds % 3; k++)
			mproc_free(kept[i][k]);
		free(kept[i]);
	}
	mproc_free(board->batch);
	end(&l, "producer and consumer");
}

/* How many pages of that are in memory, whoever has them mapped. */
static size_t
resident(void *p, size_t len)
{
	uintptr_t begin = ((uintptr_t)p + 4095) & ~(uintptr_t)4095;
	size_t pages = ((uintptr_t)p + len - begin) / 4096, n = 0;
	unsigned char *in = calloc(1, pages + 1);

	assert_int_equal(mincore((void *)begin, pages * 4096, in), 0);
	for (size_t i = 0; i < pages; i++)
		n += in[i] & 1;
	free(in);
	return n;
}

/* The words of a slab's blocks stay, 24 bytes for each, and of some a page more. */
static void
all_that_is_free_goes_back(void **state)
{
	static const size_t sizes[] = { 64, 200, 1000, 4096, 30000, 300000,
					1044480, 5 * MIB };

	(void)state;
	if (mpt_without("remove"))
		return;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		unsigned n = (unsigned)(20 * MIB / sizes[i]);
		void **p = calloc(n, sizeof(*p));
		uint64_t before, words;

		assert_true(mproc_arena_recover(NULL) >= 0);
		before = backed();
		for (unsigned k = 0; k < n; k++) {
			p[k] = mproc_alloc(sizes[i]);
			assert_non_null(p[k]);
			memset(p[k], 1, sizes[i]);
		}
		words = n * UINT64_C(24) + 25 * 2 * 4096;
		assert_true(backed() >= before + n * sizes[i]);
		for (unsigned k = 0; k < n; k++)
			mproc_free(p[k]);
		/* Of each class one slab is left for who comes next. */
		assert_true(backed() <= before + words + 2 * MIB);
		assert_true(mproc_arena_recover(NULL) >= 0);
		assert_true(backed() <= before + words);
		/* The kernel says the same. */
		if (sizes[i] >= 30000)
			for (unsigned k = 0; k < n; k++)
				assert_int_equal(resident(p[k], sizes[i]), 0);
		/* And what is there again is zero. */
		for (unsigned k = 0; k < n; k++) {
			unsigned char *q = p[k] = mproc_alloc(sizes[i]);

			assert_non_null(q);
			assert_true(q[0] == 0 && memcmp(q, q + 1, sizes[i] - 1)
						 == 0);
			q[sizes[i] - 1] = 1;
		}
		for (unsigned k = 0; k < n; k++)
			mproc_free(p[k]);
		free(p);
	}
}

/* Who only frees what is in a slab finds what others have there whole. */
static void
what_is_in_use_stays(void **state)
{
	unsigned n = 6000;
	unsigned char **p = calloc(n, sizeof(*p));

	(void)state;
	for (unsigned i = 0; i < n; i++) {
		p[i] = mproc_alloc(1000);
		assert_non_null(p[i]);
		memset(p[i], (int)i, 1000);
	}
	for (unsigned i = 0; i < n; i++)
		if (i % 700)
			mproc_free(p[i]);
	assert_true(mproc_arena_recover(NULL) >= 0);
	for (unsigned i = 0; i < n; i += 700) {
		for (unsigned k = 0; k < 1000; k++)
			assert_int_equal(p[i][k], (unsigned char)i);
		mproc_free(p[i]);
	}
	free(p);
}

/* Slabs are empty all the time. */
static int
come_and_go(struct mpt *t, void *arg)
{
	struct mpt_rand r;
	unsigned char *p[12];
	size_t size[12];

	mpt_rand_init(&r, (uintptr_t)arg);
	for (unsigned n = amount(200); n; n--) {
		for (unsigned i = 0; i < 12; i++) {
			size[i] = 1 + (size_t)mpt_rand_below(
					      &r, i < 6 ? 90000 : 700);
			p[i] = mproc_alloc(size[i]);
			mpt_check(t, p[i]);
			for (size_t k = 0; k < size[i]; k += 61)
				mpt_check_int(t, p[i][k], 0);
			memset(p[i], (int)(i + 1), size[i]);
		}
		if (n % 4 == 0)
			mpt_check(t, mproc_arena_recover(NULL) >= 0);
		for (unsigned i = 0; i < 12; i++) {
			for (size_t k = 0; k < size[i]; k += 61)
				mpt_check_int(t, p[i][k], (int)(i + 1));
			mproc_free(p[i]);
		}
	}
	return 0;
}

static void
nobody_loses_what_he_just_got(struct mpt *t)
{
	struct mproc_arena_stat before;

	assert_true(mproc_arena_recover(NULL) >= 0);
	before = stat_now();
	for (uintptr_t i = 0; i < 4; i++)
		mpt_spawn(t, "other", come_and_go, (void *)i);
	mpt_join_all(t);
	expect_stat(&before);
}
both(nobody_loses_what_he_just_got)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(sizes_and_lifetimes_at_random),
		mpt_test(a_ramp_of_sizes),
		mpt_test(a_ramp_of_bytes),
		mpt_test(a_sawtooth),
		mpt_test(a_sawtooth_of_sizes),
		mpt_test(a_producer_and_a_consumer),
		mpt_test(all_that_is_free_goes_back),
		mpt_test(what_is_in_use_stays),
		both_tests(nobody_loses_what_he_just_got),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
