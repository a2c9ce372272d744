/* SPDX-License-Identifier: MIT */
/*
 * A hostile peer writes anything in the words of a queue that keeps its messages:
 * its header, that of its dead letters, its groups and blocks. Calls return in
 * time, with an error or without; nothing crashes, and what is not written in
 * stays what it is. The words of lanes are in test_queue.c.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include <mproc/mproc.h>

#include "arena/heap.h"
#include "hostile.h"
#include "ipc/message_block.h"

#define BLOCKS 3
#define KEPT_WORDS (2 * 6 + 2 + BLOCKS * 8)
#define KEPT_VALUES (VALUES + 1)

/* In shared memory, for all roles. */
struct hostile {
	mproc_queue *q[KEPT_VALUES];
	mproc_queue *dlq[KEPT_VALUES];
	_Atomic uint32_t stop;
	_Atomic uint32_t calls; /* that ended */
	_Atomic uint32_t at;	/* what is being tried, counted from 1 */
	_Atomic uint32_t returns[256]; /* by error */
	mproc_queue *bystander;
};

/* The words of keeping, of a queue that nobody has written in. */
static bool
kept_words_of(struct words *w, mproc_queue *q)
{
	mproc_arena *a = mpr_arena_peek();
	mproc_queue *headers[] = { q, mpr_queue_partner(a, q) };
	struct mpr_message_group *group;
	struct mpr_block_ref ref;

	*w = (struct words){
		.lane = atomic_load(&q->blocks),
		.queue = mpr_arena_offset(a, q),
		.arena = a->shmem.size,
	};
	if (!headers[1] || !mpr_heap_find(a, w->lane, &ref) ||
	    ref.size < sizeof(*group))
		return false;
	for (unsigned i = 0; i < 2; i++) {
		ADD_WORD(w, "partner", i, headers[i]->partner);
		ADD_WORD(w, "returned", i, headers[i]->returned);
		ADD_WORD(w, "max_items", i, headers[i]->max_items);
		ADD_WORD(w, "max_redeliveries", i,
			 headers[i]->max_redeliveries);
		ADD_WORD(w, "flags", i, headers[i]->flags);
		ADD_WORD(w, "blocks", i, headers[i]->blocks);
	}
	group = mpr_arena_at(a, w->lane);
	ADD_WORD(w, "next group", 0, group->next);
	ADD_WORD(w, "watched", 0, group->watched);
	for (unsigned i = 0; i < BLOCKS; i++) {
		ADD_WORD(w, "block state", i, group->block[i].state);
		ADD_WORD(w, "block memory", i, group->block[i].memory);
		ADD_WORD(w, "block len", i, group->block[i].len);
		ADD_WORD(w, "block deaths", i, group->block[i].deaths);
		for (unsigned j = 0; j < MPR_KILLERS; j++)
			ADD_WORD(w, "block killer", 10 * i + j,
				 group->block[i].killer[j]);
	}
	return true;
}

/* One of KEPT_VALUES values for a word of @w. */
static uint64_t
value_of(const struct hostile *h, const struct words *w, uint64_t old,
	 unsigned n, struct mpt_rand *rand)
{
	/* What is not the queue's own. */
	if (n == VALUES)
		return atomic_load(&h->bystander->blocks);
	return hostile_value(w, old, n, rand);
}

static bool
may_return(int r)
{
	return get_may_return(r) || r == -EOWNERDEAD || r == -EDEADLK ||
	       r == -EPERM;
}

/* One call ended. */
static int
returned(struct mpt *t, struct hostile *h, const char *what, int r,
	 int64_t begin)
{
	if (!may_return(r))
		mpt_fail(t, __FILE__, __LINE__, "%s: %s", what,
			 mproc_strerror(r));
	if (mproc_now() - begin >= bound())
		mpt_fail(t, __FILE__, __LINE__, "%s took too long", what);
	atomic_fetch_add(&h->returns[-r & 255], 1);
	atomic_fetch_add(&h->calls, 1);
	return r;
}

#define CALL(t, h, call) \
	(began = mproc_now(), returned((t), (h), #call, (call), began))

static int64_t began;

static void
look_in_place(struct mpt *t, struct hostile *h, mproc_queue *q)
{
	volatile unsigned char sum = 0;
	const unsigned char *bytes;
	const void *p;
	size_t len;

	if (CALL(t, h, mproc_queue_peek(q, &p, &len, MPROC_NOWAIT)) < 0)
		return;
	bytes = p;
	mpt_check(t, len == 0 || (mproc_is_shared(bytes) &&
				  mproc_is_shared(bytes + len - 1)));
	for (size_t i = 0; i < len; i++)
		sum = (unsigned char)(sum + bytes[i]);
	CALL(t, h, mproc_queue_release(q, p));
}

static void
use(struct mpt *t, struct hostile *h, unsigned i, mproc_timeout timeout)
{
	unsigned char letter[sizeof(struct mproc_dead_letter) + LEN_MAX] = "";
	mproc_queue *q = h->q[i], *dlq;
	struct mproc_queue_stat st;
	size_t len;

	for (int n = 0; n < 3; n++) {
		CALL(t, h, mproc_queue_put(q, letter, 40, timeout));
		checked_get(t, q, LEN_MAX, timeout);
		CALL(t, h, mproc_queue_requeue(q));
		look_in_place(t, h, q);
		CALL(t, h, mproc_queue_task_done(q));
		CALL(t, h, mproc_queue_task_done(q));
		CALL(t, h, mproc_queue_join(q, timeout));
		CALL(t, h, mproc_queue_dead_letters(q, &dlq));
		CALL(t, h, mproc_queue_get(h->dlq[i], letter, sizeof(letter),
					   &len, timeout));
		CALL(t, h, mproc_queue_stat(q, &st));
		CALL(t, h, mproc_queue_stat(h->dlq[i], &st));
	}
}

static void
make(struct mpt *t, struct hostile *h, unsigned i)
{
	mpt_check_int(t, mproc_queue_create(&h->q[i], MPROC_OPTS(
		mproc_queue_opts, .capacity = CAPACITY, .ack = true,
		.max_redeliveries = 1, .max_items = 40)), 0);
	mpt_check_int(t, mproc_queue_dead_letters(h->q[i], &h->dlq[i]), 0);
	for (size_t len = 8; len < 100; len += 24)
		mpt_check_int(t, checked_put(t, h->q[i], len, MPROC_NOWAIT), 0);
}

static void
finish(struct mpt *t, struct hostile *h, unsigned i)
{
	mpt_check(t, may_return(mproc_queue_shutdown(h->q[i], MPROC_DRAIN)));
	checked_get(t, h->q[i], LEN_MAX, mproc_us(500));
	mproc_queue_destroy(h->q[i]);
	use(t, h, i, MPROC_NOWAIT);
	mpt_check(t, mproc_arena_recover(NULL) >= 0);
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
	mpt_check_int(t, mproc_queue_create(&h->bystander, MPROC_OPTS(
		mproc_queue_opts, .ack = true)), 0);
	mpt_check_int(t, mproc_queue_put(h->bystander, "quiet", 5,
					 MPROC_NOWAIT), 0);
	mpt_rebase(t); /* the arena */
	mpt_watchdog(t, 100);
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

/* A queue that nobody has written in stays what it is. */
static void
check_bystander(struct mpt *t, mproc_queue *q)
{
	char got[8];
	size_t len;

	mpt_check_int(t, mproc_queue_get(q, got, sizeof(got), &len,
					 MPROC_NOWAIT), 0);
	mpt_check(t, len == 5 && memcmp(got, "quiet", 5) == 0);
	mpt_check_int(t, mproc_queue_requeue(q), 0);
}

/* Dies with a message of each queue. */
static int
taker(struct mpt *t, void *arg)
{
	struct hostile *h = arg;
	char got[LEN_MAX];

	for (unsigned i = 0; i < KEPT_VALUES; i++)
		mpt_check_int(t, mproc_queue_get(h->q[i], got, sizeof(got),
						 NULL, MPROC_NOWAIT), 0);
	raise(SIGKILL);
	return 1;
}

/* Finds the queues as they are now. */
static int
newcomer(struct mpt *t, void *arg)
{
	struct hostile *h = arg;

	for (unsigned i = 0; i < KEPT_VALUES; i++) {
		atomic_store(&h->at, i + 1);
		use(t, h, i, mproc_us(300));
	}
	return 0;
}

/* One word of fresh queues is overwritten, with another value in each, while one
 * has a message, and another has died with one. */
static void
try_word(struct mpt *t, unsigned n)
{
	struct hostile *h = mpt_scratch(t);
	struct mpt_rand rand;
	struct words w;
	char name[40];

	for (unsigned i = 0; i < KEPT_VALUES; i++)
		make(t, h, i);
	mpt_expect_signal(t, mpt_spawn(t, "taker", taker, h), SIGKILL);
	mpt_rand_init(&rand, mpt_seed() + n);
	for (unsigned i = 0; i < KEPT_VALUES; i++) {
		checked_get(t, h->q[i], LEN_MAX, MPROC_NOWAIT);
		mpt_check(t, kept_words_of(&w, h->q[i]) && n < w.n);
		write_word(&w.word[n],
			   value_of(h, &w, read_word(&w.word[n]), i, &rand));
	}
	mpt_check(t, mproc_arena_recover(NULL) >= 0);
	snprintf(name, sizeof(name), "newcomer, %s", w.word[n].name);
	mpt_expect_exit(t, mpt_spawn(t, name, newcomer, h), 0);
	for (unsigned i = 0; i < KEPT_VALUES; i++) {
		atomic_store(&h->at, i + 1);
		use(t, h, i, mproc_us(300));
		finish(t, h, i);
		check_bystander(t, h->bystander);
	}
	atomic_store(&h->at, 0);
}

static void
each_word_under_those_who_hold_messages(void **state)
{
	unsigned step = rounds(4, 1, 1);

	for (unsigned n = 0; n < KEPT_WORDS; n += step)
		try_word(*state, n);
}

static int
work(struct mpt *t, void *arg)
{
	struct hostile *h = arg;

	while (!atomic_load(&h->stop))
		use(t, h, 0, mproc_ms(2));
	return 0;
}

/* Two work, while words are overwritten. */
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
	make(t, h, 0);
	calls = atomic_load(&h->calls);
	mpt_check(t, kept_words_of(&w, h->q[0]));
	for (int i = 0; i < 2; i++)
		ids[i] = mpt_spawn(t, "worker", work, h);
	mpt_until(t, atomic_load(&h->calls) - calls >= 4);
	for (unsigned i = 0; i < n; i++) {
		const struct word *word = &w.word[mpt_rand_below(rand, w.n)];

		old = read_word(word);
		calls = atomic_load(&h->calls);
		write_word(word,
			   value_of(h, &w, old,
				    (unsigned)mpt_rand_below(rand, KEPT_VALUES),
				    rand));
		/* Most are taken back, as in test_queue_hold.c. */
		if (mpt_rand_below(rand, 3))
			mpt_until(t, atomic_load(&h->calls) != calls);
		if (mpt_rand_below(rand, 4))
			write_word(word, old);
	}
	atomic_store(&h->stop, 1);
	finish(t, h, 0);
	for (int i = 0; i < 2; i++)
		mpt_expect_exit(t, ids[i], 0);
	check_bystander(t, h->bystander);
}

static void
words_are_overwritten_at_work(void **state)
{
	unsigned n = rounds(30, 100, 400);
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
		hostile_test(each_word_under_those_who_hold_messages),
		hostile_test(words_are_overwritten_at_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
