/* SPDX-License-Identifier: MIT */
/*
 * Queues with lanes of up to 1 GiB: they cost what is in them, and leave
 * nothing.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "common.h"
#include "mpt_refuse.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

static mproc_queue *
new_queue(size_t capacity)
{
	mproc_queue *q = NULL;

	assert_int_equal(mproc_queue_create(&q, MPROC_OPTS(mproc_queue_opts,
			.capacity = capacity, .single_consumer = true)), 0);
	return q;
}

/* Whether the arena takes a lane of that size; under a limit on address space
 * it may not. Then a put says so, and nothing is left of the attempt. */
static bool
has_address_space(size_t capacity)
{
	struct mproc_arena_stat before = stat_now();
	mproc_queue *q;

	if (before.capacity > capacity + capacity / 2)
		return true;
	q = new_queue(capacity);
	assert_int_equal(mproc_queue_put(q, "x", 1, MPROC_NOWAIT), -ENOMEM);
	assert_true(detail_has("arena of "));
	mproc_queue_destroy(q);
	expect_stat(&before);
	return false;
}

/* Bytes that the kernel gave the arena since @before; what it does not take
 * back does not count. */
static uint64_t
grown(uint64_t before)
{
	uint64_t now = stat_now().backed;

	return mpt_without("remove") || now < before ? 0 : now - before;
}

static void
fill(unsigned char *to, size_t len, unsigned number)
{
	for (size_t i = 0; i < len; i++)
		to[i] = (unsigned char)(number * 131 + i * 7 + i / 4096);
}

static bool
is_message(const unsigned char *at, size_t len, unsigned number)
{
	for (size_t i = 0; i < len; i++)
		if (at[i] != (unsigned char)(number * 131 + i * 7 + i / 4096))
			return false;
	return true;
}

static void
a_lane_of_a_gibibyte_costs_what_is_in_it(void **state)
{
	static unsigned char msg[MIB - 8], buf[MIB - 8];
	struct mproc_arena_stat before;
	uint64_t backed;
	mproc_queue *q;
	size_t len;

	(void)state;
	if (!has_address_space(GIB))
		return;
	before = stat_now();
	q = new_queue(GIB);
	backed = stat_now().backed;
	assert_int_equal(mproc_queue_put(q, msg, 1, MPROC_NOWAIT), 0);
	assert_in_range(grown(backed), 0, 256 * KIB);
	for (unsigned i = 1; i <= 40; i++) {
		fill(msg, sizeof(msg), i);
		assert_int_equal(mproc_queue_put(q, msg, sizeof(msg),
						 MPROC_NOWAIT), 0);
		if (i <= 8)
			assert_in_range(grown(backed), 0, 2 * i * MIB + MIB);
		assert_in_range(grown(backed), 0, i * MIB + 9 * MIB);
	}
	assert_int_equal(mproc_queue_get(q, buf, sizeof(buf), &len,
					 MPROC_NOWAIT), 0);
	for (unsigned i = 1; i <= 40; i++) {
		assert_int_equal(mproc_queue_get(q, buf, sizeof(buf), &len,
						 MPROC_NOWAIT), 0);
		assert_int_equal(len, sizeof(buf));
		assert_true(is_message(buf, len, i));
	}
	mproc_queue_destroy(q);
	expect_stat(&before);
	assert_in_range(grown(backed), 0, 64 * KIB);
}

/* As long a message as a quarter of the memory allows. */
static size_t
length_of_a_long_message(void)
{
	long pages = sysconf(_SC_AVPHYS_PAGES);
	uint64_t quarter = (uint64_t)(pages > 0 ? pages : 0) *
			   (uint64_t)sysconf(_SC_PAGESIZE) / 4;

	return quarter < 300 * MIB ? (size_t)quarter & ~(MIB - 1) : 300 * MIB;
}

static void
a_message_may_have_hundreds_of_mebibytes(void **state)
{
	size_t len = length_of_a_long_message(), found = 0;
	struct mproc_arena_stat before;
	const void *shown = NULL;
	unsigned char *p = NULL;
	void *room = NULL;
	uint64_t backed;
	mproc_queue *q;

	(void)state;
	if (!has_address_space(GIB) || len < MIB)
		return;
	before = stat_now();
	backed = before.backed;
	q = new_queue(GIB);
	/* Written and read in place, so that it is in memory once. */
	assert_int_equal(mproc_queue_reserve(q, len, &room, MPROC_NOWAIT), 0);
	p = room;
	for (size_t i = 0; i < len; i += 4096)
		fill(p + i, len - i < 64 ? len - i : 64, (unsigned)(i >> 12));
	assert_int_equal(mproc_queue_commit(q, room, len), 0);
	assert_int_equal(mproc_queue_put(q, "behind", 7, MPROC_NOWAIT), 0);
	assert_in_range(grown(backed), 0, len + 9 * MIB);

	assert_int_equal(mproc_queue_peek(q, &shown, &found, MPROC_NOWAIT), 0);
	assert_int_equal(found, len);
	for (size_t i = 0; i < len; i += 4096)
		assert_true(is_message((const unsigned char *)shown + i,
				       len - i < 64 ? len - i : 64,
				       (unsigned)(i >> 12)));
	assert_int_equal(mproc_queue_release(q, shown), 0);
	assert_int_equal(mproc_queue_len(q), 1);
	mproc_queue_destroy(q);
	expect_stat(&before);
	assert_in_range(grown(backed), 0, 64 * KIB);
}

/* Killed while its lane had much in it, and taken over by the next. */
static int
put_much(struct mpt *t, void *arg)
{
	static unsigned char msg[MIB];

	for (unsigned i = 0; i < 24; i++) {
		fill(msg, sizeof(msg), i);
		mpt_check_int(t, mproc_queue_put(arg, msg, sizeof(msg),
						 MPROC_NOWAIT), 0);
	}
	mpt_step(t, 0);
	mpt_reach(t, 2);
	return 0;
}

static void
the_lane_of_the_dead_is_read_and_then_given_back(void **state)
{
	static unsigned char buf[MIB];
	struct mproc_arena_stat before;
	struct mpt *t = *state;
	uint64_t backed;
	mproc_queue *q;
	size_t len;
	int id;

	if (!has_address_space(GIB))
		return;
	before = stat_now();
	q = new_queue(GIB);
	backed = stat_now().backed;
	id = mpt_spawn(t, "producer", put_much, q);
	mpt_reach(t, 1);
	mpt_kill(t, id);
	for (unsigned i = 0; i < 24; i++) {
		assert_int_equal(mproc_queue_get(q, buf, sizeof(buf), &len,
						 MPROC_NOWAIT), 0);
		assert_int_equal(len, sizeof(buf));
		assert_true(is_message(buf, len, i));
	}
	assert_int_equal(mproc_queue_get(q, buf, sizeof(buf), &len,
					 MPROC_NOWAIT), -EAGAIN);
	assert_true(mproc_arena_recover(NULL) >= 0);
	mproc_queue_destroy(q);
	expect_stat(&before);
	assert_in_range(grown(backed), 0, 64 * KIB);
}

static void
use_three(size_t capacity)
{
	mproc_queue *q[3];
	char buf[8];

	for (int i = 0; i < 3; i++) {
		q[i] = new_queue(capacity);
		assert_int_equal(mproc_queue_put(q[i], "a lane", 7,
						 MPROC_NOWAIT), 0);
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(mproc_queue_get(q[i], buf, sizeof(buf), NULL,
						 MPROC_NOWAIT), 0);
		assert_string_equal(buf, "a lane");
		mproc_queue_destroy(q[i]);
	}
}

/* Address space comes back, too: in turn it is far more than there is. */
static void
lanes_of_all_sizes_come_and_go(void **state)
{
	struct mproc_arena_stat before;
	uint64_t backed = 0;

	(void)state;
	/* Headers stay. */
	use_three(4 * KIB);
	before = stat_now();
	for (int round = 0; round < 30; round++) {
		for (size_t capacity = 4 * KIB;
		     capacity < before.capacity / 4 && capacity <= GIB;
		     capacity *= 4) {
			use_three(capacity);
			expect_stat(&before);
		}
		if (round == 0)
			backed = stat_now().backed;
	}
	assert_in_range(stat_now().backed, 0, backed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_lane_of_a_gibibyte_costs_what_is_in_it),
		mpt_test(a_message_may_have_hundreds_of_mebibytes),
		mpt_test(the_lane_of_the_dead_is_read_and_then_given_back),
		mpt_test(lanes_of_all_sizes_come_and_go),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
