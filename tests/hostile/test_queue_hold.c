/* SPDX-License-Identifier: MIT */
/*
 * A hostile peer writes anything in a queue's shared words while messages are
 * reserved and shown. Who holds them may read bytes that nobody sent, and be
 * told that the queue is corrupt, gone or shut down; lengths stay what they
 * were, addresses stay good, and nothing is written outside. The same for put
 * and get is in test_queue.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include <mproc/mproc.h>

#include "hostile.h"

#define RESERVED 64

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

	mpt_check_int(t, mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .capacity = CAPACITY,
			       .single_consumer = single_consumer)), 0);
	return q;
}

/* A queue that nobody has written in stays what it is. */
static void
check_bystander(struct mpt *t, mproc_queue *q)
{
	const void *shown;
	size_t len;
	void *p;

	mpt_check_int(t, mproc_queue_len(q), 1);
	mpt_check_int(t, mproc_queue_peek(q, &shown, &len, MPROC_NOWAIT), 0);
	mpt_check(t, len == 5 && memcmp(shown, "quiet", 5) == 0);
	mpt_check_int(t, mproc_queue_release(q, shown), 0);
	mpt_check_int(t, mproc_queue_reserve(q, 5, &p, MPROC_NOWAIT), 0);
	memcpy(p, "quiet", 5);
	mpt_check_int(t, mproc_queue_commit(q, p, 5), 0);
}

static int
setup(void **state)
{
	struct hostile *h;
	struct mpt *t;

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

/* What commit, abort and release may say of something that is held. */
static bool
is_let_go(int r)
{
	return r == 0 || r == -ESHUTDOWN || r == -ESTALE;
}

static void
end_reservation(struct mpt *t, mproc_queue *q, unsigned char *p, size_t len,
		bool commit)
{
	mpt_check(t, mproc_is_shared(p) && mproc_is_shared(p + len));
	memset(p, 0x5a, len);
	mpt_check(t, is_let_go(commit ? mproc_queue_commit(q, p, len) :
					mproc_queue_abort(q, p)));
}

static void
end_peek(struct mpt *t, mproc_queue *q, const unsigned char *p, size_t len)
{
	volatile unsigned char sum = 0;

	mpt_check(t, len <= CAPACITY - MPR_FRAME_HEADER);
	for (size_t i = 0; i < len; i++)
		sum = (unsigned char)(sum + p[i]);
	mpt_check(t, is_let_go(mproc_queue_release(q, p)));
}

static int
write_in_place(struct mpt *t, mproc_queue *q, size_t len, bool commit,
	       mproc_timeout timeout)
{
	int64_t begin = mproc_now();
	void *p;
	int r = mproc_queue_reserve(q, len, &p, timeout);

	if (!put_may_return(r))
		mpt_fail(t, __FILE__, __LINE__, "reserve: %s",
			 mproc_strerror(r));
	if (r == 0)
		end_reservation(t, q, p, len, commit);
	mpt_check(t, mproc_now() - begin < bound());
	return r;
}

static int
read_in_place(struct mpt *t, mproc_queue *q, mproc_timeout timeout)
{
	int64_t begin = mproc_now();
	const void *p;
	size_t len;
	int r = mproc_queue_peek(q, &p, &len, timeout);

	if (!get_may_return(r))
		mpt_fail(t, __FILE__, __LINE__, "peek: %s", mproc_strerror(r));
	if (r == 0)
		end_peek(t, q, p, len);
	mpt_check(t, mproc_now() - begin < bound());
	return r;
}

static void
use(struct mpt *t, mproc_queue *q)
{
	read_in_place(t, q, MPROC_NOWAIT);
	write_in_place(t, q, 40, true, MPROC_NOWAIT);
	for (int i = 0; i < 3; i++) {
		write_in_place(t, q, 100, i != 1, mproc_us(500));
		read_in_place(t, q, mproc_us(500));
		checked_put(t, q, 60, MPROC_NOWAIT);
		checked_get(t, q, LEN_MAX, MPROC_NOWAIT);
	}
}

static void
finish(struct mpt *t, mproc_queue *q)
{
	mpt_check(t, put_may_return(mproc_queue_shutdown(q, MPROC_DRAIN)));
	read_in_place(t, q, mproc_us(500));
	write_in_place(t, q, 8, true, mproc_us(500));
	mproc_queue_destroy(q);
	write_in_place(t, q, 8, true, MPROC_NOWAIT);
	read_in_place(t, q, MPROC_NOWAIT);
	mpt_check(t, mproc_arena_recover(NULL) >= 0);
}

static void
put_some(struct mpt *t, mproc_queue *q)
{
	for (size_t len = 8; len < 100; len += 24)
		mpt_check_int(t, write_in_place(t, q, len, true, MPROC_NOWAIT),
			      0);
}

/* From a process that then ends. */
static int
second_lane(struct mpt *t, void *arg)
{
	struct hostile *h = arg;

	for (int i = 0; i < VALUES; i++)
		put_some(t, h->q[i]);
	return 0;
}

/* Finds the queues as they are now. */
static int
newcomer(struct mpt *t, void *arg)
{
	struct hostile *h = arg;

	for (unsigned i = 0; i < VALUES; i++) {
		atomic_store(&h->at, i + 1);
		use(t, h->q[i]);
	}
	return 0;
}

struct held {
	void *p;
	const void *shown;
	size_t len;
};

/* The queue may be in disorder although it is fresh: a list of lanes that was
 * overwritten before can have left a lane to two of them. */
static void
hold(struct mpt *t, mproc_queue *q, struct held *held)
{
	*held = (struct held){ 0 };
	mpt_check(t, put_may_return(mproc_queue_reserve(
		q, RESERVED, &held->p, MPROC_NOWAIT)));
	mpt_check(t, get_may_return(mproc_queue_peek(
		q, &held->shown, &held->len, MPROC_NOWAIT)));
}

/*
 * One word of fresh queues is overwritten, with another value in each, while a
 * message is reserved and one is shown. Then a process uses them that has not
 * seen them before, and at last the holder (this) goes on.
 */
static void
try_word(struct mpt *t, unsigned n, bool single_consumer)
{
	struct hostile *h = mpt_scratch(t);
	struct held held[VALUES];
	struct mpt_rand rand;
	struct words w;
	char name[40];

	for (int i = 0; i < VALUES; i++) {
		h->q[i] = make_queue(t, single_consumer);
		put_some(t, h->q[i]);
	}
	mpt_expect_exit(t, mpt_spawn(t, "second lane", second_lane, h), 0);
	mpt_rand_init(&rand, mpt_seed() + n);
	for (unsigned i = 0; i < VALUES; i++) {
		hold(t, h->q[i], &held[i]);
		mpt_check(t, words_of(&w, h->q[i]) && n < w.n);
		write_word(&w.word[n],
			   hostile_value(&w, read_word(&w.word[n]), i, &rand));
	}
	snprintf(name, sizeof(name), "newcomer, %s", w.word[n].name);
	mpt_expect_exit(t, mpt_spawn(t, name, newcomer, h), 0);
	for (unsigned i = 0; i < VALUES; i++) {
		atomic_store(&h->at, i + 1);
		if (held[i].p)
			end_reservation(t, h->q[i], held[i].p, RESERVED, i % 2);
		if (held[i].shown)
			end_peek(t, h->q[i], held[i].shown, held[i].len);
		use(t, h->q[i]);
		finish(t, h->q[i]);
		check_bystander(t, h->bystander);
	}
	atomic_store(&h->at, 0);
}

static void
each_word_under_a_holder(void **state)
{
	unsigned step = rounds(3, 1, 1);

	for (unsigned n = 0; n < WORDS; n += step)
		try_word(*state, n, false);
}

static void
each_word_under_the_only_consumer(void **state)
{
	unsigned step = rounds(3, 1, 1);

	for (unsigned n = step / 2; n < WORDS; n += step)
		try_word(*state, n, true);
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
	while (!atomic_load(&h->stop))
		count(h, write_in_place(t, h->q[0],
					mpt_rand_below(&rand, LEN_MAX),
					mpt_rand_below(&rand, 4), mproc_ms(5)));
	return 0;
}

static int
consume(struct mpt *t, void *arg)
{
	struct hostile *h = arg;

	while (!atomic_load(&h->stop))
		count(h, read_in_place(t, h->q[0], mproc_ms(5)));
	return 0;
}

/* One producer and one consumer work, while words are overwritten. */
static void
scribble_round(struct mpt *t, struct mpt_rand *rand)
{
	struct hostile *h = mpt_scratch(t);
	unsigned n = rounds(10, 30, 150);
	struct words w;
	uint32_t calls;
	uint64_t old;
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
		const struct word *word = &w.word[mpt_rand_below(rand, w.n)];

		old = read_word(word);
		calls = atomic_load(&h->calls);
		write_word(word,
			   hostile_value(&w, old,
					 (unsigned)mpt_rand_below(rand, VALUES),
					 rand));
		/* Most are taken back, or the first one would be all that the
		 * two ever see. */
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
	unsigned n = rounds(50, 200, 500);
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
		hostile_test(each_word_under_a_holder),
		hostile_test(each_word_under_the_only_consumer),
		hostile_test(words_are_overwritten_at_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
