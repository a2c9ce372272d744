/* SPDX-License-Identifier: MIT */
/*
 * The lane's algorithm with one thread: order, padding, limits, what a former
 * owner left, and words that a hostile peer has written. Two threads on one
 * lane are in test_ring_stream.c.
 *
 * What holds for both ways to take a message is tested for both.
 */
#include <errno.h>
#include <stdio.h>

#include "base/owner.h"
#include "common.h"
#include "ring/access.h"
#include "ring/lane.h"

#define CAPACITY 4096
#define MAX (CAPACITY - MPR_FRAME_HEADER)

typedef int get_fn(struct mpr_consumer *c, void *buf, size_t size,
		   size_t *ret_len);

static struct mpr_lane *lane;
static struct mpr_producer p;
static struct mpr_consumer c;
static get_fn *get;
static unsigned char msg[CAPACITY], buf[CAPACITY];

static void
begin(void)
{
	assert_int_equal(mpr_producer_begin(&p, lane, CAPACITY), 0);
	mpr_consumer_begin(&c, lane, CAPACITY);
}

static int
fresh_lane(get_fn *with)
{
	lane = aligned_alloc(MPR_APART, mpr_lane_size(CAPACITY));
	if (!lane)
		return -1;
	/* A lane's memory comes zeroed; its bytes need not stay so. */
	memset(lane, 0xa5, mpr_lane_size(CAPACITY));
	mpr_lane_init(lane, mpr_owner(1, 0, MPR_LANE_ACTIVE));
	get = with;
	return 0;
}

static int
only_consumer(void **state)
{
	(void)state;
	return fresh_lane(mpr_consumer_get);
}

static int
shared_consumer(void **state)
{
	(void)state;
	return fresh_lane(mpr_consumer_get_shared);
}

static int
free_lane(void **state)
{
	(void)state;
	free(lane);
	return 0;
}

/* A message of @len bytes that no other message of that length equals. */
static const void *
message(size_t len, unsigned number)
{
	for (size_t i = 0; i < len; i++)
		msg[i] = (unsigned char)(number * 31 + i * 7 + len);
	return msg;
}

static void
expect_message(size_t len, unsigned number)
{
	size_t got = 99999;

	memset(buf, 0xee, sizeof(buf));
	assert_int_equal(get(&c, buf, sizeof(buf), &got), 0);
	assert_int_equal(got, len);
	assert_memory_equal(buf, message(len, number), len);
	if (len < sizeof(buf))
		assert_int_equal(buf[len], 0xee);
}

static int
put(size_t len, unsigned number)
{
	return mpr_producer_put(&p, message(len, number), len);
}

static int
get_any(void)
{
	size_t len;

	return get(&c, buf, sizeof(buf), &len);
}

static void
an_empty_lane_has_nothing(void **state)
{
	(void)state;
	begin();
	assert_int_equal(get_any(), -EAGAIN);
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 0);
	assert_true(mpr_lane_is_empty(lane));
}

static void
messages_come_out_in_order(void **state)
{
	(void)state;
	begin();
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(put(i * 3, i), 0);
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 20);
	for (unsigned i = 0; i < 20; i++)
		expect_message(i * 3, i);
	assert_int_equal(get_any(), -EAGAIN);
}

static void
messages_of_every_length_pass(void **state)
{
	(void)state;
	begin();
	for (size_t len = 0; len <= MAX; len++) {
		int r = put(len, 1);

		if (r == -EAGAIN) {
			/* It needed the room behind a pad. */
			assert_int_equal(get_any(), -EAGAIN);
			r = put(len, 1);
		}
		assert_int_equal(r, 0);
		expect_message(len, 1);
	}
}

static void
the_largest_message_passes_from_any_position(void **state)
{
	(void)state;
	begin();
	for (unsigned i = 0; i < CAPACITY / MPR_FRAME_ALIGN; i++) {
		int r = put(MAX, i);

		if (r == -EAGAIN) {
			assert_int_equal(get_any(), -EAGAIN);
			r = put(MAX, i);
		}
		assert_int_equal(r, 0);
		assert_int_equal(put(0, 0), -EAGAIN);
		expect_message(MAX, i);
		/* On to the next position. */
		assert_int_equal(put(3, i), 0);
		expect_message(3, i);
	}
}

static void
a_full_lane_takes_no_more_until_there_is_room(void **state)
{
	unsigned n = 0;

	(void)state;
	begin();
	while (put(24, n) == 0)
		n++;
	assert_int_equal(n, CAPACITY / 32);
	assert_int_equal(put(0, 0), -EAGAIN);
	assert_int_equal(mpr_lane_len(lane, CAPACITY), n);
	expect_message(24, 0);
	assert_int_equal(put(24, n), 0);
	assert_int_equal(put(24, 0), -EAGAIN);
	for (unsigned i = 1; i <= n; i++)
		expect_message(24, i);
	assert_int_equal(get_any(), -EAGAIN);
}

static void
a_message_that_does_not_fit_the_buffer_stays(void **state)
{
	size_t len = 0;

	(void)state;
	begin();
	assert_int_equal(put(100, 1), 0);
	assert_int_equal(put(10, 2), 0);
	for (size_t size = 0; size < 100; size++) {
		len = 0;
		assert_int_equal(get(&c, buf, size, &len), -EMSGSIZE);
		assert_int_equal(len, 100);
		assert_int_equal(mpr_lane_len(lane, CAPACITY), 2);
	}
	assert_int_equal(get(&c, NULL, 0, &len), -EMSGSIZE);
	expect_message(100, 1);
	expect_message(10, 2);
}

static void
random_lengths_pass_in_order_around_the_end(void **state)
{
	unsigned first = 0, next = 0, seed = 12345;
	static size_t lens[1 << 12];

	(void)state;
	begin();
	while (next < 4000) {
		seed = seed * 1103515245 + 12345;
		lens[next] = (seed >> 16) % 700;
		if (put(lens[next], next) == 0) {
			next++;
			continue;
		}
		/* Full: make room by taking a few. */
		for (int i = 0; i < 3 && first < next; i++, first++)
			expect_message(lens[first], first);
	}
	for (; first < next; first++)
		expect_message(lens[first], first);
	assert_int_equal(get_any(), -EAGAIN);
}

static void
padding_is_not_counted_as_a_message(void **state)
{
	(void)state;
	begin();
	assert_int_equal(put(3000, 1), 0);
	expect_message(3000, 1);
	/* 1088 bytes to the end: a pad, then the message behind it. */
	assert_int_equal(put(2000, 2), 0);
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 1);
	assert_false(mpr_lane_is_empty(lane));
	expect_message(2000, 2);
	assert_true(mpr_lane_is_empty(lane));
}

static void
a_pad_without_its_message_is_passed(void **state)
{
	(void)state;
	begin();
	assert_int_equal(put(3000, 1), 0);
	expect_message(3000, 1);
	assert_int_equal(put(MAX, 2), -EAGAIN);
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 0);
	assert_int_equal(get_any(), -EAGAIN);
	assert_true(mpr_lane_is_empty(lane));
	assert_int_equal(put(MAX, 2), 0);
	expect_message(MAX, 2);
}

static void
padding_never_covers_what_is_not_taken(void **state)
{
	(void)state;
	/* One untaken frame just before the end, some at the start, and then a
	 * message that does not fit before that frame. */
	for (size_t x = 16; x < CAPACITY - 16; x += 16) {
		free_lane(NULL);
		fresh_lane(get);
		begin();
		assert_int_equal(put(CAPACITY - 16 - 8, 1), 0);
		expect_message(CAPACITY - 16 - 8, 1);
		assert_int_equal(put(8, 2), 0);
		assert_int_equal(put(x - 8, 3), 0);
		assert_int_equal(put(CAPACITY - x, 4), -EAGAIN);
		assert_int_equal(mpr_lane_len(lane, CAPACITY), 2);
		expect_message(8, 2);
		expect_message(x - 8, 3);
	}
}

static void
a_full_producer_wants_the_head_that_makes_room(void **state)
{
	uint64_t want, far;
	unsigned n = 0;

	(void)state;
	begin();
	while (put(24, n) == 0)
		n++;
	want = mpr_producer_want(&p, 24, 0);
	far = mpr_producer_want(&p, 24, CAPACITY / 8);
	assert_int_equal(want, 32);
	assert_int_equal(far, CAPACITY / 8);
	assert_false(mpr_producer_may_go(&p, want));
	expect_message(24, 0);
	assert_true(mpr_producer_may_go(&p, want));
	assert_false(mpr_producer_may_go(&p, far));
	assert_int_equal(put(24, n), 0);
	for (unsigned i = 1; i < CAPACITY / 8 / 32; i++)
		expect_message(24, i);
	assert_true(mpr_producer_may_go(&p, far));
}

static void
a_wanted_head_is_announced_once(void **state)
{
	(void)state;
	begin();
	assert_int_equal(put(24, 0), 0);
	assert_int_equal(put(24, 1), 0);
	assert_false(mpr_lane_take_want(lane));
	lane->want = 64;
	assert_false(mpr_lane_take_want(lane));
	expect_message(24, 0);
	assert_false(mpr_lane_take_want(lane));
	expect_message(24, 1);
	assert_true(mpr_lane_take_want(lane));
	assert_false(mpr_lane_take_want(lane));
	assert_int_equal(lane->want, 0);
}

static void
the_next_owner_goes_on_where_the_last_one_died(void **state)
{
	(void)state;
	begin();
	assert_int_equal(put(10, 0), 0);
	assert_int_equal(put(20, 1), 0);
	expect_message(10, 0);
	/* It had counted a third one, begun to write it, and slept before. */
	lane->count = 3;
	lane->want = 4000;
	lane->busy = 1;
	lane->owes = 1;
	memset(lane->buffer + p.tail % CAPACITY, 0xff, 64);
	assert_int_equal(mpr_producer_begin(&p, lane, CAPACITY), 0);
	assert_int_equal(lane->want, 0);
	assert_int_equal(lane->busy, 0);
	assert_int_equal(lane->owes, 0);
	assert_int_equal(lane->count, 2);
	assert_int_equal(put(30, 2), 0);
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 2);
	expect_message(20, 1);
	expect_message(30, 2);
	assert_int_equal(get_any(), -EAGAIN);
}

static void
a_lane_without_owner_is_counted_by_its_frames(void **state)
{
	(void)state;
	begin();
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(put(10, i), 0);
	/* Counted, but not published. */
	lane->count = 6;
	lane->owner = mpr_owner(1, 0, MPR_LANE_FREE);
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 5);
}

static void
sequence_numbers_may_wrap_around(void **state)
{
	(void)state;
	lane->count = UINT32_MAX - 1;
	begin();
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(put(10, i), 0);
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 5);
	for (unsigned i = 0; i < 5; i++)
		expect_message(10, i);
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 0);
}

static void
positions_beyond_32_bits_are_nothing_special(void **state)
{
	(void)state;
	lane->head = (UINT64_C(1) << 32) - 64;
	lane->tail = lane->head;
	begin();
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(put(50, i), 0);
		expect_message(50, i);
	}
	assert_true(lane->head > UINT64_C(1) << 32);
}

/* Nonsense in head and tail, as (head, tail). */
static const uint64_t bad_bounds[][2] = {
	{ 16, 0 },			       /* head beyond tail */
	{ 0, CAPACITY + 16 },		       /* more than the lane holds */
	{ 0, 40 },			       /* tail not aligned */
	{ 8, 48 },			       /* head not aligned */
	{ 0, UINT64_MAX },		       /* both */
	{ UINT64_MAX - 15, UINT64_MAX - 31 },  /* head beyond tail, high up */
};

static void
bad_positions_are_reported(void **state)
{
	struct mpr_producer other;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad_bounds) / 16; i++) {
		mpr_lane_init(lane, mpr_owner(1, 0, MPR_LANE_ACTIVE));
		memset(lane->buffer, 0, CAPACITY);
		begin();
		lane->head = bad_bounds[i][0];
		lane->tail = bad_bounds[i][1];
		assert_int_equal(mpr_producer_begin(&other, lane, CAPACITY),
				 -EBADMSG);
		mpr_consumer_begin(&c, lane, CAPACITY);
		assert_int_equal(get_any(), -EBADMSG);
		/* Again: it does not get used to it. */
		assert_int_equal(get_any(), -EBADMSG);
		assert_int_equal(mpr_lane_len(lane, CAPACITY), 0);
	}
}

static void
a_bad_head_stops_the_producer(void **state)
{
	(void)state;
	begin();
	while (put(100, 0) == 0)
		;
	lane->head = p.tail + 16;
	assert_int_equal(put(100, 0), -EBADMSG);
	lane->head = 8;
	assert_int_equal(put(100, 0), -EBADMSG);
	lane->head = UINT64_MAX - 15;
	assert_int_equal(put(100, 0), -EBADMSG);
}

/* Headers that cannot lie at position 0 of 64 bytes. */
static const uint64_t bad_headers[] = {
	0,						 /* no kind */
	3,						 /* unknown kind */
	(uint64_t)57 << 2 | MPR_FRAME_MESSAGE,		 /* beyond tail */
	(uint64_t)MPR_FRAME_LEN_MAX << 2 | MPR_FRAME_MESSAGE,
	(uint64_t)0 << 2 | MPR_FRAME_PAD,		 /* no progress */
	(uint64_t)24 << 2 | MPR_FRAME_PAD,		 /* not aligned */
	(uint64_t)80 << 2 | MPR_FRAME_PAD,		 /* beyond tail */
	UINT64_MAX,
};

static void
bad_headers_are_reported(void **state)
{
	struct mpr_producer other;
	uint64_t head;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad_headers) / 8; i++) {
		mpr_lane_init(lane, mpr_owner(1, 0, MPR_LANE_ACTIVE));
		begin();
		assert_int_equal(put(56, 0), 0);
		assert_int_equal(lane->tail, 64);
		memcpy(lane->buffer, &bad_headers[i], 8);
		head = lane->head;
		assert_int_equal(get_any(), -EBADMSG);
		assert_int_equal(get_any(), -EBADMSG);
		assert_int_equal(lane->head, head);
		assert_int_equal(mpr_producer_begin(&other, lane, CAPACITY),
				 -EBADMSG);
	}
}

static void
a_frame_across_the_end_is_reported(void **state)
{
	uint64_t header = mpr_frame(MPR_FRAME_MESSAGE, 100, 0);

	(void)state;
	lane->head = CAPACITY - 64;
	lane->tail = CAPACITY + 64;
	memcpy(lane->buffer + CAPACITY - 64, &header, 8);
	mpr_consumer_begin(&c, lane, CAPACITY);
	assert_int_equal(get_any(), -EBADMSG);
	assert_int_equal(mpr_producer_begin(&p, lane, CAPACITY), -EBADMSG);
}

static void
a_hostile_count_gives_no_absurd_length(void **state)
{
	(void)state;
	begin();
	assert_int_equal(put(10, 0), 0);
	lane->count = 0x80000000;
	assert_true(mpr_lane_len(lane, CAPACITY) <= CAPACITY / MPR_FRAME_ALIGN);
	lane->owner = 0;
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 1);
}

static void
two_shared_consumers_see_each_message_once(void **state)
{
	struct mpr_consumer first, second;
	size_t len;

	(void)state;
	begin();
	mpr_consumer_begin(&first, lane, CAPACITY);
	mpr_consumer_begin(&second, lane, CAPACITY);
	for (unsigned round = 0; round < 200; round++) {
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(put(200, i), 0);
		c = first;
		expect_message(200, 0);
		first = c;
		c = second;
		expect_message(200, 1);
		second = c;
		c = first;
		expect_message(200, 2);
		first = c;
		assert_int_equal(mpr_consumer_get_shared(&second, buf,
							 sizeof(buf), &len),
				 -EAGAIN);
	}
}

#define one(f) { #f " (only consumer)", f, only_consumer, free_lane, NULL }
#define any(f) { #f " (shared)", f, shared_consumer, free_lane, NULL }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		one(an_empty_lane_has_nothing),
		any(an_empty_lane_has_nothing),
		one(messages_come_out_in_order),
		any(messages_come_out_in_order),
		one(messages_of_every_length_pass),
		any(messages_of_every_length_pass),
		one(the_largest_message_passes_from_any_position),
		any(the_largest_message_passes_from_any_position),
		one(a_full_lane_takes_no_more_until_there_is_room),
		any(a_full_lane_takes_no_more_until_there_is_room),
		one(a_message_that_does_not_fit_the_buffer_stays),
		any(a_message_that_does_not_fit_the_buffer_stays),
		one(random_lengths_pass_in_order_around_the_end),
		any(random_lengths_pass_in_order_around_the_end),
		one(padding_is_not_counted_as_a_message),
		any(padding_is_not_counted_as_a_message),
		one(a_pad_without_its_message_is_passed),
		any(a_pad_without_its_message_is_passed),
		one(padding_never_covers_what_is_not_taken),
		any(padding_never_covers_what_is_not_taken),
		one(a_full_producer_wants_the_head_that_makes_room),
		one(a_wanted_head_is_announced_once),
		any(a_wanted_head_is_announced_once),
		one(the_next_owner_goes_on_where_the_last_one_died),
		any(the_next_owner_goes_on_where_the_last_one_died),
		one(a_lane_without_owner_is_counted_by_its_frames),
		one(sequence_numbers_may_wrap_around),
		any(positions_beyond_32_bits_are_nothing_special),
		one(bad_positions_are_reported),
		any(bad_positions_are_reported),
		one(a_bad_head_stops_the_producer),
		one(bad_headers_are_reported),
		any(bad_headers_are_reported),
		one(a_frame_across_the_end_is_reported),
		any(a_frame_across_the_end_is_reported),
		one(a_hostile_count_gives_no_absurd_length),
		any(two_shared_consumers_see_each_message_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
