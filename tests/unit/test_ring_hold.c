/* SPDX-License-Identifier: MIT */
/*
 * Messages written and read where they lie in the lane: reserved and put, or
 * aborted; shown and released. With one thread, as test_ring_lane.c.
 */
#include <errno.h>

#include "base/owner.h"
#include "common.h"
#include "ring/access.h"
#include "ring/lane.h"
#include "ring/lane_fast.h"

#define CAPACITY 4096
#define MAX (CAPACITY - MPR_FRAME_HEADER)

static struct mpr_lane *lane;
static struct mpr_producer p;
static struct mpr_consumer c;

static int
fresh_lane(void **state)
{
	(void)state;
	lane = aligned_alloc(MPR_APART, mpr_lane_size(CAPACITY));
	if (!lane)
		return -1;
	memset(lane, 0xa5, mpr_lane_size(CAPACITY));
	mpr_lane_init(lane, mpr_owner(1, 0, MPR_LANE_ACTIVE));
	if (mpr_producer_begin(&p, lane, CAPACITY) < 0)
		return -1;
	mpr_consumer_begin(&c, lane, CAPACITY);
	return 0;
}

static int
free_lane(void **state)
{
	(void)state;
	free(lane);
	return 0;
}

static unsigned char
byte(size_t len, unsigned number, size_t i)
{
	return (unsigned char)(number * 31 + i * 7 + len);
}

static void
fill(unsigned char *to, size_t len, unsigned number)
{
	for (size_t i = 0; i < len; i++)
		to[i] = byte(len, number, i);
}

static bool
is_message(const unsigned char *at, size_t len, unsigned number)
{
	for (size_t i = 0; i < len; i++)
		if (at[i] != byte(len, number, i))
			return false;
	return true;
}

static int
put(size_t len, unsigned number)
{
	static unsigned char msg[CAPACITY];

	fill(msg, len, number);
	return mpr_producer_put(&p, msg, len);
}

static int
get(size_t *ret_len)
{
	static unsigned char buf[CAPACITY];

	return mpr_consumer_get(&c, buf, sizeof(buf), ret_len);
}

static int
reserve(size_t len, unsigned char **ret_to)
{
	void *to = NULL;
	int r = mpr_producer_reserve(&p, len, &to);

	if (r == 0) {
		assert_int_equal((uintptr_t)to % 8, 0);
		assert_true((unsigned char *)to >= lane->buffer + 8);
		assert_true((unsigned char *)to + len <=
			    lane->buffer + CAPACITY);
	}
	*ret_to = to;
	return r;
}

/* Reserves @most bytes, and puts a message of @len. */
static int
write_in_place(size_t most, size_t len, unsigned number)
{
	unsigned char *to;
	int r = reserve(most, &to);

	if (r < 0)
		return r;
	fill(to, len, number);
	mpr_producer_put_reserved(&p, len);
	return 0;
}

static void
expect_in_place(size_t len, unsigned number)
{
	const void *at = NULL;
	size_t got = 99999;

	assert_int_equal(mpr_consumer_peek(&c, &at, &got), 0);
	assert_int_equal(got, len);
	assert_int_equal((uintptr_t)at % 8, 0);
	assert_true(is_message(at, len, number));
	mpr_consumer_release(&c, got);
}

static void
nobody_sees_what_is_reserved(void **state)
{
	unsigned char *to;
	size_t len;

	(void)state;
	assert_int_equal(put(10, 0), 0);
	assert_int_equal(reserve(100, &to), 0);
	fill(to, 100, 1);
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 1);
	assert_int_equal(mpr_lane_bytes(lane, CAPACITY), 32);
	expect_in_place(10, 0);
	assert_int_equal(get(&len), -EAGAIN);
	mpr_producer_put_reserved(&p, 100);
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 1);
	assert_int_equal(put(10, 2), 0);
	expect_in_place(100, 1);
	expect_in_place(10, 2);
	assert_int_equal(get(&len), -EAGAIN);
}

static void
what_is_aborted_was_never_there(void **state)
{
	unsigned char *first, *second;
	size_t len;

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(reserve(MAX / 2 - 8, &first), 0);
		memset(first, 0xff, MAX / 2 - 8);
		mpr_producer_abort(&p);
		assert_int_equal(get(&len), -EAGAIN);
		assert_int_equal(reserve(5, &second), 0);
		assert_ptr_equal(first, second);
		mpr_producer_abort(&p);
		assert_int_equal(put(i % 50, i), 0);
		assert_int_equal(mpr_lane_len(lane, CAPACITY), 1);
		expect_in_place(i % 50, i);
	}
}

static void
nothing_else_is_put_meanwhile(void **state)
{
	char x = 'x';
	struct iovec part = { &x, 1 };
	unsigned char *to;
	void *other = NULL;
	uint64_t tail, end;
	size_t len;

	(void)state;
	/* Also where a pad would be needed. */
	for (int near_end = 0; near_end < 2; near_end++) {
		end = p.end;
		assert_int_equal(reserve(64, &to), 0);
		fill(to, 64, 1);
		tail = lane->tail;
		for (len = 0; len <= MAX; len += len < 200 ? 1 : 97) {
			assert_false(mpr_producer_has_room(&p, len));
			assert_int_equal(put(len, 0), -EBUSY);
			assert_int_equal(mpr_producer_reserve(&p, len, &other),
					 -EBUSY);
		}
		assert_null(other);
		assert_int_equal(mpr_producer_putv(&p, &part, 1, 1), -EBUSY);
		assert_int_equal(mpr_producer_put_many(&p, &part, 1), -EBUSY);
		assert_int_equal(lane->tail, tail);
		assert_ptr_equal(p.reserved, to);
		assert_int_equal(p.reserved_len, 64);
		mpr_producer_put_reserved(&p, 64);
		assert_true(p.end >= end);
		expect_in_place(64, 1);
		while (lane->tail % CAPACITY < CAPACITY - 100) {
			assert_int_equal(put(0, 0), 0);
			expect_in_place(0, 0);
		}
	}
}

static void
a_message_may_come_out_shorter(void **state)
{
	size_t len;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		size_t most = i * 13 % 1000, shorter = most * (i % 5) / 4;
		uint64_t tail = lane->tail;
		int r = write_in_place(most, shorter, i);

		assert_int_equal(r, 0);
		assert_true(lane->tail - tail == mpr_frame_size(shorter) ||
			    lane->tail - tail > mpr_frame_size(shorter));
		expect_in_place(shorter, i);
		/* The count is that of put. */
		assert_int_equal(put(3, i), 0);
		assert_int_equal(mpr_lane_len(lane, CAPACITY), 1);
		expect_in_place(3, i);
	}
	assert_int_equal(lane->count, 4000);
	assert_int_equal(get(&len), -EAGAIN);
}

static void
the_largest_message_fits_at_any_position(void **state)
{
	const void *at;
	size_t len;

	(void)state;
	for (unsigned i = 0; i < CAPACITY / MPR_FRAME_ALIGN; i++) {
		int r = write_in_place(MAX, MAX, i);

		if (r == -EAGAIN) {
			/* It needed the room behind a pad. */
			assert_null(p.reserved);
			assert_int_equal(mpr_consumer_peek(&c, &at, &len),
					 -EAGAIN);
			r = write_in_place(MAX, MAX, i);
		}
		assert_int_equal(r, 0);
		assert_int_equal(write_in_place(0, 0, i), -EAGAIN);
		expect_in_place(MAX, i);
		assert_int_equal(write_in_place(3, 3, i), 0);
		expect_in_place(3, i);
	}
}

static void
nothing_is_reserved_where_there_is_no_memory(void **state)
{
	unsigned char *to;

	(void)state;
	mpr_producer_restrict(&p);
	assert_int_equal(reserve(0, &to), -ENOBUFS);
	mpr_producer_extend(&p, 64);
	assert_int_equal(reserve(57, &to), -ENOBUFS);
	assert_int_equal(write_in_place(56, 56, 1), 0);
	/* No further, whatever has been put away meanwhile. */
	assert_int_equal(reserve(0, &to), -ENOBUFS);
	mpr_producer_extend(&p, 32);
	assert_int_equal(reserve(24, &to), 0);
	mpr_producer_extend(&p, 64);
	mpr_producer_put_reserved(&p, 0);
	assert_int_equal(write_in_place(64 + 8, 8, 2), 0);
	for (size_t i = 64 + 32 + 64; i < CAPACITY; i++)
		assert_int_equal(lane->buffer[i], 0xa5);
}

/* Its owner has died, or has left. */
static void
the_next_owner_knows_of_no_reservation(void **state)
{
	unsigned char *to;
	size_t len;

	(void)state;
	assert_int_equal(put(8, 0), 0);
	assert_int_equal(reserve(1000, &to), 0);
	memset(to - MPR_FRAME_HEADER, 0xff, 1008);
	assert_int_equal(mpr_producer_begin(&p, lane, CAPACITY), 0);
	assert_int_equal(put(8, 1), 0);
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 2);
	expect_in_place(8, 0);
	expect_in_place(8, 1);
	assert_int_equal(get(&len), -EAGAIN);
}

static void
what_is_shown_stays_until_it_is_released(void **state)
{
	const void *at, *again;
	struct mpr_consumer heir;
	unsigned char buf[64];
	size_t len;

	(void)state;
	assert_int_equal(put(40, 0), 0);
	assert_int_equal(put(24, 1), 0);
	assert_int_equal(mpr_consumer_peek(&c, &at, &len), 0);
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 2);
	assert_int_equal(mpr_consumer_peek(&c, &again, &len), 0);
	assert_ptr_equal(at, again);
	/* Who comes after a death sees it again. */
	mpr_consumer_begin(&heir, lane, CAPACITY);
	assert_int_equal(mpr_consumer_peek(&heir, &again, &len), 0);
	assert_ptr_equal(at, again);
	assert_int_equal(len, 40);
	assert_true(is_message(again, 40, 0));
	mpr_consumer_release(&heir, len);
	assert_int_equal(lane->head, 48);
	assert_int_equal(mpr_consumer_get(&heir, buf, sizeof(buf), &len), 0);
	assert_int_equal(len, 24);
	assert_true(is_message(buf, 24, 1));
}

static void
what_is_shown_is_not_overwritten(void **state)
{
	const void *at;
	size_t len;
	unsigned n = 0;

	(void)state;
	assert_int_equal(put(100, 7), 0);
	assert_int_equal(mpr_consumer_peek(&c, &at, &len), 0);
	while (put(100, n) == 0)
		n++;
	assert_int_equal(write_in_place(100, 100, n), -EAGAIN);
	assert_true(is_message(at, 100, 7));
	mpr_consumer_release(&c, len);
	assert_int_equal(write_in_place(100, 100, n), 0);
}

static void
a_release_announces_the_room_that_it_makes(void **state)
{
	const void *at;
	size_t len;

	(void)state;
	while (put(100, 0) == 0)
		;
	lane->want = mpr_producer_want(&p, 100, 0);
	assert_int_equal(mpr_consumer_peek(&c, &at, &len), 0);
	assert_false(mpr_lane_take_want(lane));
	mpr_consumer_release(&c, len);
	assert_true(mpr_lane_take_want(lane));
}

/* A peer that writes anywhere. */
static void
a_frame_that_changes_under_the_reader_moves_nothing(void **state)
{
	static const uint64_t headers[] = {
		0, UINT64_MAX, MPR_FRAME_MESSAGE, 1 << 20 | MPR_FRAME_MESSAGE,
		64 << 2 | MPR_FRAME_PAD,
	};
	const void *at;
	size_t len;

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		uint64_t head = lane->head;

		assert_int_equal(put(30, i), 0);
		assert_int_equal(put(20, i), 0);
		assert_int_equal(mpr_consumer_peek(&c, &at, &len), 0);
		memcpy(lane->buffer + head % CAPACITY, &headers[i], 8);
		mpr_store(&lane->head, UINT64_MAX, memory_order_relaxed);
		mpr_consumer_release(&c, len);
		assert_int_equal(lane->head, head + 48);
		expect_in_place(20, i);
	}
}

static void
nothing_that_leads_out_of_the_lane_is_shown(void **state)
{
	static const uint64_t headers[] = {
		0, UINT64_MAX, 3, 41 << 2 | MPR_FRAME_MESSAGE,
		(uint64_t)MAX << 2 | MPR_FRAME_MESSAGE, 24 << 2 | MPR_FRAME_PAD,
		64 << 2 | MPR_FRAME_PAD,
	};
	const void *at = NULL;
	size_t len = 0;

	(void)state;
	assert_int_equal(put(40, 0), 0);
	for (unsigned i = 0; i < 7; i++) {
		memcpy(lane->buffer, &headers[i], 8);
		assert_int_equal(mpr_consumer_peek(&c, &at, &len), -EBADMSG);
	}
	lane->tail = CAPACITY + 16;
	mpr_consumer_begin(&c, lane, CAPACITY);
	assert_int_equal(mpr_consumer_peek(&c, &at, &len), -EBADMSG);
	lane->tail = 8;
	assert_int_equal(mpr_consumer_peek(&c, &at, &len), -EBADMSG);
	assert_null(at);
	assert_int_equal(lane->head, 0);
}

#define hold_test(f) { #f, f, fresh_lane, free_lane, NULL }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		hold_test(nobody_sees_what_is_reserved),
		hold_test(what_is_aborted_was_never_there),
		hold_test(nothing_else_is_put_meanwhile),
		hold_test(a_message_may_come_out_shorter),
		hold_test(the_largest_message_fits_at_any_position),
		hold_test(nothing_is_reserved_where_there_is_no_memory),
		hold_test(the_next_owner_knows_of_no_reservation),
		hold_test(what_is_shown_stays_until_it_is_released),
		hold_test(what_is_shown_is_not_overwritten),
		hold_test(a_release_announces_the_room_that_it_makes),
		hold_test(a_frame_that_changes_under_the_reader_moves_nothing),
		hold_test(nothing_that_leads_out_of_the_lane_is_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
