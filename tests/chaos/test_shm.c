/* SPDX-License-Identifier: MIT */
/*
 * Eight processes make segments, open them, close them and take away their names, and
 * are killed and stopped at random. Who finds one has all of it, of the size that it
 * was made with; what was written to it is there, or nothing; and no other name is
 * ever seen, nor one that nobody can take away.
 */
#include <stdio.h>

#include "chaos.h"

#define KILLS 150
#define NAMES 3
#define STEP 64 /* bytes, between words that are written */

enum { CREATES = 1, OPENS, CLOSES, UNLINKS };

static const char *const deeds[] = {
	"create", "open", "close", "unlink", NULL,
};

/* Some of one page, some of many, so that allocating takes time. */
static const size_t sizes[NAMES] = { 100, 70000, 1000000 };

struct board {
	struct chaos chaos;
	char names[NAMES][64];
	_Atomic uint64_t made, met; /* and of those that were met, found written */
	_Atomic uint64_t whole;
};

static uint64_t
pattern(size_t at)
{
	return at * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

static _Atomic uint64_t *
word_at(mproc_shm *s, size_t at)
{
	return (_Atomic uint64_t *)(void *)((char *)mproc_shm_ptr(s) + at);
}

/* The first word last: it says that all others are there. */
static void
fill(mproc_shm *s)
{
	for (size_t at = STEP; at + 8 <= mproc_shm_size(s); at += STEP)
		atomic_store_explicit(word_at(s, at), pattern(at),
				      memory_order_relaxed);
	/* Release pairs with the acquire in look(). */
	atomic_store_explicit(word_at(s, 0), pattern(0), memory_order_release);
}

/* Returns whether it was written. */
static bool
look(struct mpt *t, unsigned which, mproc_shm *s)
{
	bool written = atomic_load_explicit(word_at(s, 0),
					    memory_order_acquire) == pattern(0);

	mpt_check_int(t, mproc_shm_size(s), sizes[which]);
	for (size_t at = 0; at + 8 <= sizes[which]; at += STEP) {
		uint64_t word = atomic_load_explicit(word_at(s, at),
						     memory_order_relaxed);

		mpt_check(t, word == pattern(at) || (!word && !written));
	}
	return written;
}

static void
leave(mproc_shm *s)
{
	chaos_does(CLOSES);
	mproc_shm_close(s);
	chaos_does(0);
}

static void
use(struct mpt *t, unsigned which, struct mpt_rand *rand)
{
	struct board *b = mpt_scratch(t);
	const char *name = b->names[which];
	mproc_shm *s;
	int r;

	chaos_does(CREATES);
	r = chaos_done(mproc_shm_create(&s, name, sizes[which], NULL));
	if (r == 0) {
		b->made++;
		mpt_check(t, !look(t, which, s));
		fill(s);
	} else {
		mpt_check_int(t, r, -EEXIST);
		chaos_does(OPENS);
		r = chaos_done(mproc_shm_open(&s, name));
		/* Its name was taken away in between. */
		mpt_check(t, r == 0 || r == -ENOENT);
		if (r < 0)
			return;
		b->met++;
		b->whole += look(t, which, s);
	}
	if (mpt_rand_below(rand, 2)) {
		chaos_does(UNLINKS);
		r = chaos_done(mproc_shm_unlink(name));
		mpt_check(t, r == 0 || r == -ENOENT);
		/* It is ours for as long as we have it. */
		look(t, which, s);
	}
	leave(s);
}

static int
work(struct mpt *t, void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct board *b = mpt_scratch(t);
	struct mpt_rand rand;

	chaos_begin(t, me);
	mpt_rand_init(&rand, (uint64_t)getpid());
	while (chaos_rest(t, me)) {
		use(t, (unsigned)mpt_rand_below(&rand, NAMES), &rand);
		b->chaos.finished[me]++;
	}
	return 0;
}

/* One that is in the middle of a call, if there is one. */
static pid_t
caller(struct mpt *t, struct mpt_rand *rand)
{
	const struct board *b = mpt_scratch(t);
	unsigned i = (unsigned)mpt_rand_below(rand, CHAOS_WORKERS);

	return b->chaos.deed[i] ? b->chaos.pid[i] : 0;
}

/* Everybody rests: what is there is whole, and goes. */
static void
verify(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	mproc_shm *s;
	int r;

	for (unsigned i = 0; i < NAMES; i++) {
		r = mproc_shm_open(&s, b->names[i]);
		assert_true(r == 0 || r == -ENOENT);
		if (r < 0)
			continue;
		look(t, i, s);
		assert_int_equal(mproc_shm_unlink(b->names[i]), 0);
		mproc_shm_close(s);
		assert_int_equal(mproc_shm_open(&s, b->names[i]), -ENOENT);
	}
}

static void
segments_survive_kills_and_stops(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	struct chaos_plan plan = {
		.work = work,
		.kills = KILLS,
		.deeds = deeds,
		.inside = caller,
		.verify = verify,
	};

	for (unsigned i = 0; i < NAMES; i++) {
		char what[16];

		snprintf(what, sizeof(what), "shm%u", i);
		mpt_name(t, b->names[i], what);
	}
	chaos_run(t, &plan);
	print_message("# made %llu times, met %llu times, %llu of them written\n",
		      (unsigned long long)b->made, (unsigned long long)b->met,
		      (unsigned long long)b->whole);
	assert_true(b->made && b->whole);
}

chaos_both(segments_survive_kills_and_stops)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		chaos_tests(segments_survive_kills_and_stops),
	};

	return cmocka_run_group_tests(tests, chaos_setup, NULL);
}
