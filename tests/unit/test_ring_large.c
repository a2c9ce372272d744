/* SPDX-License-Identifier: MIT */
/*
 * The largest lane, of 1 GiB, at its end and around it, and with messages that
 * fill it. Its memory is a mapping of which only touched pages exist, and the
 * long messages are not written: lengths and positions are what matters here.
 */
#include <errno.h>
#include <sys/mman.h>

#include "base/owner.h"
#include "common.h"
#include "ipc/queue_shm.h"
#include "ring/lane.h"
#include "ring/lane_priv.h"

#define CAPACITY ((size_t)MPR_QUEUE_CAPACITY_MAX)
#define MAX mpr_lane_message_max(CAPACITY)

static struct mpr_lane *lane;
static struct mpr_producer p;
static struct mpr_consumer c;

/* An empty lane, whose owner and consumer are at @position. */
static void
begin_at(uint64_t position)
{
	lane->tail = position;
	lane->head = position;
	assert_int_equal(mpr_producer_begin(&p, lane, CAPACITY), 0);
	mpr_consumer_begin(&c, lane, CAPACITY);
}

static int
map_lane(void **state)
{
	(void)state;
	lane = mmap(NULL, mpr_lane_size(CAPACITY), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (lane == MAP_FAILED)
		return -1;
	mpr_lane_init(lane, mpr_owner(1, 0, MPR_LANE_ACTIVE));
	return 0;
}

static int
unmap_lane(void **state)
{
	(void)state;
	return munmap(lane, mpr_lane_size(CAPACITY));
}

static const unsigned char *
peek(size_t len)
{
	const void *at = NULL;
	size_t found = 0;

	assert_int_equal(mpr_consumer_peek(&c, &at, &found), 0);
	assert_int_equal(found, len);
	return at;
}

static void
put_unwritten(size_t len)
{
	void *at = NULL;

	assert_int_equal(mpr_producer_reserve(&p, len, &at), 0);
	mpr_producer_put_reserved(&p, len);
}

static void
expect_empty(void)
{
	const void *at;
	size_t len;

	assert_int_equal(mpr_consumer_peek(&c, &at, &len), -EAGAIN);
	assert_true(mpr_lane_is_empty(lane));
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 0);
}

static void
a_message_may_fill_the_largest_lane(void **state)
{
	void *at;

	(void)state;
	begin_at(0);
	for (int round = 0; round < 3; round++) {
		put_unwritten(MAX);
		assert_int_equal(mpr_lane_bytes(lane, CAPACITY), CAPACITY);
		assert_int_equal(mpr_lane_len(lane, CAPACITY), 1);
		assert_int_equal(mpr_producer_reserve(&p, 0, &at), -EAGAIN);
		assert_ptr_equal(peek(MAX), lane->buffer + MPR_FRAME_HEADER);
		mpr_consumer_release(&c, MAX);
		expect_empty();
	}
	assert_int_equal(lane->head, 3 * CAPACITY);
}

/* A message that does not fit before the end, as it would by a little. */
static void
the_longest_padding_is_passed(void **state)
{
	void *at;

	(void)state;
	/* All of the lane but for the first frame's 16 bytes is a pad. */
	begin_at(16);
	assert_int_equal(mpr_producer_reserve(&p, MAX, &at), -EAGAIN);
	assert_int_equal(mpr_lane_bytes(lane, CAPACITY), CAPACITY - 16);
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 0);
	expect_empty();
	assert_int_equal(lane->head, CAPACITY);
	put_unwritten(MAX);
	assert_ptr_equal(peek(MAX), lane->buffer + MPR_FRAME_HEADER);
	mpr_consumer_release(&c, MAX);
	expect_empty();
}

/* All positions and lengths around the lane's end, written and compared; the
 * second round at positions that do not fit 32 bits. */
static void
messages_near_the_end_come_out_as_they_went_in(void **state)
{
	static const uint64_t laps[] = { 1, 4, UINT64_C(1) << 30 };
	unsigned char msg[256], buf[256];
	size_t len;

	(void)state;
	for (size_t lap = 0; lap < sizeof(laps) / sizeof(laps[0]); lap++) {
		for (uint64_t before = 16; before <= 160; before += 16) {
			for (size_t n = 0; n <= 200; n++) {
				begin_at(laps[lap] * CAPACITY - before);
				for (unsigned i = 0; i < 3; i++) {
					memset(msg, (int)(n + i + 1), n);
					assert_int_equal(mpr_producer_put(
						&p, msg, n), 0);
				}
				assert_int_equal(mpr_lane_len(lane, CAPACITY),
						 3);
				for (unsigned i = 0; i < 3; i++) {
					memset(msg, (int)(n + i + 1), n);
					assert_int_equal(mpr_consumer_get(
						&c, buf, sizeof(buf), &len), 0);
					assert_int_equal(len, n);
					assert_memory_equal(buf, msg, n);
				}
				expect_empty();
			}
		}
	}
}

/* One of several consumers, and batches. */
static void
shared_gets_and_batches_go_around_the_end(void **state)
{
	static const char text[] = "around the end";
	struct iovec msgs[4], got[4];
	char buf[200];
	size_t len;

	(void)state;
	for (int i = 0; i < 4; i++)
		msgs[i] = (struct iovec){ (char *)(uintptr_t)text,
					  sizeof(text) };
	for (uint64_t before = 16; before <= 128; before += 16) {
		begin_at(CAPACITY - before);
		assert_int_equal(mpr_producer_put_many(&p, msgs, 4), 4);
		assert_int_equal(mpr_consumer_get_shared(&c, buf, sizeof(buf),
							 &len), 0);
		assert_string_equal(buf, text);
		assert_int_equal(mpr_consumer_get_many_shared(
			&c, buf, sizeof(buf), got, 4, &len), 3);
		for (int i = 0; i < 3; i++)
			assert_string_equal(got[i].iov_base, text);
		assert_int_equal(mpr_consumer_get_shared(&c, buf, sizeof(buf),
							 &len), -EAGAIN);
	}
}

/* Several long ones, so that their sum comes near to the lane's size. */
static void
long_messages_follow_each_other(void **state)
{
	const size_t quarter = CAPACITY / 4 - MPR_FRAME_HEADER;
	void *at;

	(void)state;
	begin_at(0);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 4; i++)
			put_unwritten(quarter);
		assert_int_equal(mpr_producer_reserve(&p, quarter, &at),
				 -EAGAIN);
		assert_int_equal(mpr_lane_len(lane, CAPACITY), 4);
		for (int i = 0; i < 4; i++) {
			assert_ptr_equal(peek(quarter),
					 lane->buffer + MPR_FRAME_HEADER +
						 (size_t)i * CAPACITY / 4);
			mpr_consumer_release(&c, quarter);
		}
		expect_empty();
	}
}

/* What a peer may have written: lengths and positions behind the lane. */
static void
what_does_not_fit_the_largest_lane_is_refused(void **state)
{
	static const uint64_t headers[] = {
		MPR_FRAME_MESSAGE | (uint64_t)MPR_FRAME_LEN_MAX << 2,
		MPR_FRAME_PAD | (uint64_t)MPR_FRAME_LEN_MAX << 2,
		MPR_FRAME_PAD | (uint64_t)(CAPACITY - 16) << 2,
		MPR_FRAME_MESSAGE | (uint64_t)(CAPACITY - 8) << 2,
	};
	const void *at;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		begin_at(32);
		lane->tail = CAPACITY;
		*mpr_lane_header(lane, CAPACITY, 32) = headers[i];
		assert_int_equal(mpr_consumer_peek(&c, &at, &len), -EBADMSG);
		assert_int_equal(lane->head, 32);
		assert_int_equal(mpr_producer_begin(&p, lane, CAPACITY),
				 -EBADMSG);
	}
	lane->tail = 32 + CAPACITY + 16;
	assert_int_equal(mpr_producer_begin(&p, lane, CAPACITY), -EBADMSG);
	lane->tail = lane->head;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_may_fill_the_largest_lane),
		cmocka_unit_test(the_longest_padding_is_passed),
		cmocka_unit_test(
			messages_near_the_end_come_out_as_they_went_in),
		cmocka_unit_test(shared_gets_and_batches_go_around_the_end),
		cmocka_unit_test(long_messages_follow_each_other),
		cmocka_unit_test(what_does_not_fit_the_largest_lane_is_refused),
	};

	return cmocka_run_group_tests(tests, map_lane, unmap_lane);
}
