/* SPDX-License-Identifier: MIT */
/*
 * A hostile peer writes anything in a queue's shared words, at any time. The
 * others may be told that the queue is corrupt, gone, shut down, full or
 * empty, and may get messages that nobody sent; they may not crash, hang,
 * write outside their buffers, or disturb another queue.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include <mproc/mproc.h>

#include "hostile.h"

/* In shared memory, for all roles. */
struct hostile {
	mproc_queue *q[VALUES];
	_Atomic uint32_t round;
	_Atomic uint32_t stop;
	_Atomic uint32_t calls; /* that ended */
	_Atomic uint32_t at;	/* what is being tried, counted from 1 */
	_Atomic uint32_t returns[256]; /* by error */
	mproc_queue *bystander;
};

static mproc_queue *
make_queue(struct mpt *t, bool single_consumer)
{
	mproc_queue *q = NULL;
	int r = mproc_queue_create(&q,
				   MPROC_OPTS(mproc_queue_opts,
					      .capacity = CAPACITY,
					      .single_consumer =
						      single_consumer));

	if (r < 0)
		mpt_fail(t, __FILE__, __LINE__, "create: %s, %s",
			 mproc_strerror(r), mproc_error_detail());
	return q;
}

/* A queue that nobody has written in stays what it is. */
static void
check_bystander(struct mpt *t, mproc_queue *q)
{
	char text[16];
	size_t len;

	mpt_check_int(t, mproc_queue_len(q), 1);
	mpt_check_int(t, mproc_queue_get(q, text, sizeof(text), &len,
					 MPROC_NOWAIT), 0);
	mpt_check(t, len == 5 && memcmp(text, "quiet", 5) == 0);
	mpt_check_int(t, mproc_queue_put(q, "quiet", 5, MPROC_NOWAIT), 0);
}

static int
setup(void **state)
{
	struct mpt *t;
	struct hostile *h;

	if (mpt_setup(state) < 0)
		return -1;
	t = *state;
	h = mpt_scratch(t);
	h->bystander = make_queue(t, false);
	mpt_check_int(t, mproc_queue_put(h->bystander, "quiet", 5,
					 MPROC_NOWAIT), 0);
	mpt_rebase(t); /* the arena */
	mpt_watchdog(t, 60);
	return 0;
}

static int
teardown(void **state)
{
	struct hostile *h = mpt_scratch(*state);

	if (atomic_load(&h->at))
		printf("# the last one tried was number %u\n",
		       atomic_load(&h->at) - 1);
	mproc_queue_destroy(h->bystander);
	return mpt_teardown(state);
}

#define hostile_test(f) { #f, f, setup, teardown, (void *)(uintptr_t)#f }

/* All that can be done with a queue, once. */
static void
use(struct mpt *t, mproc_queue *q)
{
	int64_t begin;

	checked_get(t, q, LEN_MAX, MPROC_NOWAIT);
	checked_put(t, q, 40, MPROC_NOWAIT);
	checked_get(t, q, 8, mproc_us(500));
	for (int i = 0; i < 3; i++) {
		checked_put(t, q, 100, mproc_us(500));
		checked_get(t, q, LEN_MAX, mproc_us(500));
	}
	checked_put_many(t, q, 30, false, MPROC_NOWAIT);
	checked_get_many(t, q, 20, mproc_us(500));
	checked_put_many(t, q, 30, true, mproc_us(500));
	checked_put_many(t, q, 150, false, mproc_us(500));
	for (int i = 0; i < 3; i++)
		checked_get_many(t, q, LEN_MAX, mproc_us(500));
	checked_stat(t, q);
	begin = mproc_now();
	(void)mproc_queue_len(q);
	mpt_check(t, mproc_now() - begin < bound());
}

static void
finish(struct mpt *t, mproc_queue *q)
{
	int64_t begin = mproc_now();
	int r = mproc_queue_shutdown(q, MPROC_DRAIN);

	mpt_check(t, put_may_return(r));
	checked_get(t, q, LEN_MAX, mproc_us(500));
	r = mproc_queue_shutdown(q, MPROC_IMMEDIATE);
	mpt_check(t, put_may_return(r));
	mproc_queue_destroy(q);
	checked_put(t, q, 8, MPROC_NOWAIT);
	checked_get(t, q, 8, MPROC_NOWAIT);
	mpt_check(t, mproc_arena_recover(NULL) >= 0);
	mpt_check(t, mproc_now() - begin < bound());
}

static void
put_some(struct mpt *t, mproc_queue *q)
{
	for (size_t len = 8; len < 100; len += 24)
		mpt_check_int(t, checked_put(t, q, len, MPROC_NOWAIT), 0);
}

/* From a process that then ends, so that each queue has a second lane, and one
 * that its owner has left. */
static int
second_lane(struct mpt *t, void *arg)
{
	struct hostile *h = arg;

	for (int i = 0; i < VALUES; i++)
		put_some(t, h->q[i]);
	return 0;
}

/* Also a descriptor, whose watcher looks at all queues until the end. */
static void
ask_for_descriptor(struct mpt *t, mproc_queue *q)
{
	int64_t begin = mproc_now();
	int r = mproc_queue_fd(q);

	mpt_check(t, r > 2 || put_may_return(r));
	mpt_check(t, mproc_now() - begin < bound());
}

/* Finds the queues as they are now. */
static int
newcomer(struct mpt *t, void *arg)
{
	struct hostile *h = arg;

	for (unsigned i = 0; i < VALUES; i++) {
		atomic_store(&h->at, i + 1);
		ask_for_descriptor(t, h->q[i]);
		use(t, h->q[i]);
		ask_for_descriptor(t, h->q[i]);
	}
	return 0;
}

/*
 * One word of fresh queues is overwritten, with another value in each. Then a
 * process uses them that has not seen them before, and one that has (this).
 */
static void
try_word(struct mpt *t, unsigned n, bool single_consumer)
{
	struct hostile *h = mpt_scratch(t);
	struct mpt_rand rand;
	struct words w;
	char name[40];

	for (int i = 0; i < VALUES; i++) {
		h->q[i] = make_queue(t, single_consumer);
		put_some(t, h->q[i]);
		if (!single_consumer)
			checked_get(t, h->q[i], LEN_MAX, MPROC_NOWAIT);
	}
	mpt_expect_exit(t, mpt_spawn(t, "second lane", second_lane, h), 0);
	mpt_rand_init(&rand, mpt_seed() + n);
	for (unsigned i = 0; i < VALUES; i++) {
		mpt_check(t, words_of(&w, h->q[i]) && n < w.n);
		write_word(&w.word[n],
			   hostile_value(&w, read_word(&w.word[n]), i, &rand));
	}
	snprintf(name, sizeof(name), "newcomer, %s", w.word[n].name);
	mpt_expect_exit(t, mpt_spawn(t, name, newcomer, h), 0);
	for (unsigned i = 0; i < VALUES; i++) {
		atomic_store(&h->at, i + 1);
		use(t, h->q[i]);
		finish(t, h->q[i]);
		check_bystander(t, h->bystander);
	}
	atomic_store(&h->at, 0);
}

static void
each_word_with_each_value(void **state)
{
	unsigned step = rounds(3, 1, 1);

	for (unsigned n = 0; n < WORDS; n += step)
		try_word(*state, n, false);
}

static void
each_word_with_a_single_consumer(void **state)
{
	unsigned step = rounds(3, 1, 1);

	for (unsigned n = step / 2; n < WORDS; n += step)
		try_word(*state, n, true);
}

/* Would take over a lane that its owner has left. */
static int
put_elsewhere(struct mpt *t, void *arg)
{
	mpt_check_int(t, checked_put(t, arg, 8, MPROC_NOWAIT), -EBADMSG);
	return 0;
}

static int
put_and_leave(struct mpt *t, void *arg)
{
	put_some(t, arg);
	return 0;
}

/* A lane of @of is linked into the list of @into, at its beginning or end. */
static void
link_a_strangers_lane(struct mpt *t, mproc_queue *of, mproc_queue *into,
		      bool first)
{
	mproc_arena *a = mpr_arena_peek();
	uint64_t lane = atomic_load(&of->lanes);
	unsigned n = 0;
	int r;

	put_some(t, into);
	if (first)
		atomic_store(&into->lanes, lane);
	else
		atomic_store(&((struct mpr_lane *)mpr_arena_at(
				     a, atomic_load(&into->lanes)))->next,
			     lane);
	mpt_expect_exit(t, mpt_spawn(t, "newcomer", put_elsewhere, into), 0);
	for (int i = 0; i < 20; i++) {
		r = checked_get(t, into, LEN_MAX, MPROC_NOWAIT);
		mpt_check(t, r == 0 || r == -EBADMSG);
		n += r == 0;
	}
	mpt_check_int(t, n, first ? 0 : 4);
	mpt_check_int(t, mproc_queue_len(of), 4);
	mproc_queue_destroy(into);
}

static void
a_lane_of_another_queue_is_neither_used_nor_freed(void **state)
{
	struct mpt *t = *state;

	for (int first = 0; first < 2; first++) {
		mproc_queue *q = make_queue(t, false), *next;
		uint64_t lane;

		mpt_expect_exit(t, mpt_spawn(t, "owner", put_and_leave, q), 0);
		mpt_check(t, mproc_arena_recover(NULL) >= 0);
		lane = atomic_load(&q->lanes);
		link_a_strangers_lane(t, q, make_queue(t, false), first);
		/* Who comes next would get what was freed. */
		next = make_queue(t, false);
		put_some(t, next);
		mpt_check(t, atomic_load(&next->lanes) != lane);
		for (int i = 0; i < 4; i++)
			mpt_check_int(t, checked_get(t, q, LEN_MAX,
						     MPROC_NOWAIT), 0);
		mproc_queue_destroy(next);
		mproc_queue_destroy(q);
	}
}

static void
count(struct hostile *h, int r)
{
	atomic_fetch_add(&h->returns[-r & 255], 1);
	atomic_fetch_add(&h->calls, 1);
}

static int
produce(struct mpt *t, void *arg)
{
	struct hostile *h = arg;
	struct mpt_rand rand;

	mpt_rand_init(&rand, mpt_seed() ^ atomic_load(&h->round));
	while (!atomic_load(&h->stop)) {
		size_t len = mpt_rand_below(&rand, LEN_MAX);
		uint64_t way = mpt_rand_below(&rand, 4);

		if (way < 2)
			count(h, checked_put(t, h->q[0], len, mproc_ms(5)));
		else
			count(h, checked_put_many(t, h->q[0], len, way == 2,
						  mproc_ms(5)));
	}
	return 0;
}

static int
consume(struct mpt *t, void *arg)
{
	struct hostile *h = arg;
	struct mpt_rand rand;

	mpt_rand_init(&rand, ~mpt_seed() ^ atomic_load(&h->round));
	while (!atomic_load(&h->stop)) {
		size_t size = mpt_rand_below(&rand, LEN_MAX);

		if (mpt_rand_below(&rand, 2))
			count(h, checked_get(t, h->q[0], size, mproc_ms(5)));
		else
			count(h, checked_get_many(t, h->q[0], size,
						  mproc_ms(5)));
		if (mpt_rand_below(&rand, 16) == 0)
			checked_stat(t, h->q[0]);
	}
	return 0;
}

/* One producer and one consumer work, while words are overwritten. */
static void
scribble_round(struct mpt *t, struct mpt_rand *rand)
{
	struct hostile *h = mpt_scratch(t);
	unsigned n = rounds(10, 30, 150);
	struct words w;
	uint64_t old;
	uint32_t calls;
	int ids[2];

	atomic_store(&h->stop, 0);
	atomic_fetch_add(&h->round, 1);
	h->q[0] = make_queue(t, mpt_rand_below(rand, 2));
	put_some(t, h->q[0]);
	calls = atomic_load(&h->calls);
	ids[0] = mpt_spawn(t, "producer", produce, h);
	ids[1] = mpt_spawn(t, "consumer", consume, h);
	mpt_until(t, atomic_load(&h->calls) - calls >= 4);
	mpt_check(t, words_of(&w, h->q[0]));
	for (unsigned i = 0; i < n; i++) {
		const struct word *word =
			&w.word[mpt_rand_below(rand, w.n)];

		old = read_word(word);
		calls = atomic_load(&h->calls);
		write_word(word,
			   hostile_value(&w, old,
					 (unsigned)mpt_rand_below(rand, VALUES),
					 rand));
		/* Some come singly, some together; most are taken back, or the
		 * first one would be all that the two ever see. */
		if (mpt_rand_below(rand, 3))
			mpt_until(t, atomic_load(&h->calls) != calls);
		if (mpt_rand_below(rand, 4))
			write_word(word, old);
	}
	atomic_store(&h->stop, 1);
	finish(t, h->q[0]);
	mpt_expect_exit(t, ids[0], 0);
	mpt_expect_exit(t, ids[1], 0);
	check_bystander(t, h->bystander);
}

static void
words_are_overwritten_at_work(void **state)
{
	unsigned n = rounds(50, 400, 500);
	struct hostile *h = mpt_scratch(*state);
	struct mpt_rand rand;

	mpt_rand_init(&rand, mpt_seed());
	for (unsigned i = 0; i < n; i++)
		scribble_round(*state, &rand);
	for (int i = 0; i < 256; i++)
		if (h->returns[i])
			printf("# %u calls: %s\n", h->returns[i],
			       mproc_strerror(-i));
	/* They have met both, sound memory and corrupt. */
	mpt_check(*state, h->returns[0] && h->returns[EBADMSG]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		hostile_test(each_word_with_each_value),
		hostile_test(each_word_with_a_single_consumer),
		hostile_test(a_lane_of_another_queue_is_neither_used_nor_freed),
		hostile_test(words_are_overwritten_at_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
