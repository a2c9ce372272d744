/* SPDX-License-Identifier: MIT */
/*
 * queue.h with as many producers as there can be: all of them are attached at
 * the same time, each message arrives, and nothing is left of them.
 */
#include <stdatomic.h>

#include "common.h"

#define PARTICIPANTS 1024
#define EACH 30 /* messages */
#define SEATS 31 /* in a block */
#define LEN_MAX 300

/* In the scratch bytes. */
struct board {
	mproc_queue *q;
	_Atomic unsigned attached;
};

struct message {
	uint32_t producer;
	uint32_t number;
	unsigned char bytes[LEN_MAX];
};

static size_t
length_of(uint32_t producer, uint32_t number)
{
	return offsetof(struct message, bytes) +
	       (producer * 7 + number * 31) % (LEN_MAX + 1);
}

static unsigned char
byte_of(uint32_t producer, uint32_t number)
{
	return (unsigned char)(producer * 59 + number * 7);
}

static int
produce(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct message m = { .producer = (uint32_t)(uintptr_t)arg };

	for (; m.number < EACH; m.number++) {
		memset(m.bytes, byte_of(m.producer, m.number), LEN_MAX);
		mpt_check_int(t, mproc_queue_put(b->q, &m,
						 length_of(m.producer,
							   m.number),
						 MPROC_FOREVER), 0);
		if (m.number == 0) {
			b->attached++;
			mpt_reach(t, 1);
		}
	}
	return 0;
}

/* Gets the next message, which must be the next one of its producer. */
static void
take_one(mproc_queue *q, unsigned n, uint32_t *next)
{
	struct message m;
	size_t len = 0;

	assert_int_equal(mproc_queue_get(q, &m, sizeof(m), &len, MPROC_FOREVER),
			 0);
	assert_true(len >= offsetof(struct message, bytes));
	assert_true(m.producer < n);
	assert_int_equal(m.number, next[m.producer]++);
	assert_int_equal(len, length_of(m.producer, m.number));
	for (size_t i = 0; i < len - offsetof(struct message, bytes); i++)
		assert_int_equal(m.bytes[i], byte_of(m.producer, m.number));
}

static void
expect_lanes(mproc_queue *q, uint64_t lanes, uint64_t producers)
{
	struct mproc_queue_stat st;

	assert_int_equal(mproc_queue_stat(q, &st), 0);
	assert_int_equal(st.lanes, lanes);
	assert_int_equal(st.producers, producers);
}

/* All lanes are. A queue's seats stay where they are for the next queue, in
 * blocks of SEATS. */
static void
expect_given_back(const struct mproc_arena_stat *before)
{
	struct mproc_arena_stat now;

	assert_true(mproc_arena_recover(NULL) >= 0);
	now = stat_now();
	assert_int_equal(now.queues, before->queues);
	assert_int_equal(now.participants, before->participants);
	assert_true(now.blocks <= before->blocks + PARTICIPANTS / SEATS + 1);
}

/* As many as there is room for beside @there; a quick run has fewer processes,
 * which take long to fork under a sanitizer. */
static unsigned
how_many(bool threads, uint64_t there)
{
	const char *level = getenv("MPT_LEVEL");

	if (!threads && level && strcmp(level, "quick") == 0)
		return PARTICIPANTS / 8;
	return PARTICIPANTS - (unsigned)there;
}

static void
run(struct mpt *t, bool threads)
{
	static uint32_t next[PARTICIPANTS];
	struct board *b = mpt_scratch(t);
	struct mproc_arena_stat before;
	unsigned n;

	mpt_watchdog(t, 120);
	assert_true(mproc_arena_recover(NULL) >= 0);
	before = stat_now();
	n = how_many(threads, before.participants);
	memset(next, 0, sizeof(next));
	/* Smaller than what each puts. */
	assert_int_equal(mproc_queue_create(
		&b->q, MPROC_OPTS(mproc_queue_opts, .capacity = 4096)), 0);
	mpt_use_threads(t, threads);
	for (uintptr_t i = 0; i < n; i++)
		mpt_spawn(t, "producer", produce, (void *)i);
	mpt_until(t, b->attached == n);
	expect_lanes(b->q, n, n);
	assert_int_equal(mproc_queue_len(b->q), n);
	mpt_step(t, 0);
	for (unsigned i = 0; i < n * EACH; i++)
		take_one(b->q, n, next);
	assert_int_equal(mproc_queue_get(b->q, NULL, 0, NULL, MPROC_NOWAIT),
			 -EAGAIN);
	mpt_join_all(t);
	assert_true(mproc_arena_recover(NULL) >= 0);
	expect_lanes(b->q, n, 0);
	mproc_queue_destroy(b->q);
	expect_given_back(&before);
}

static void
as_many_threads_as_can_take_part_put_at_once(void **state)
{
	run(*state, true);
}

static void
as_many_processes_as_can_take_part_put_at_once(void **state)
{
	run(*state, false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(as_many_threads_as_can_take_part_put_at_once),
		mpt_test(as_many_processes_as_can_take_part_put_at_once),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
