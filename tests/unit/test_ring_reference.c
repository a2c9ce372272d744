/* SPDX-License-Identifier: MIT */
/*
 * References in a lane: frames that stand for messages elsewhere. With one
 * thread, as test_ring_lane.c.
 */
#include <errno.h>

#include "base/owner.h"
#include "common.h"
#include "ring/lane.h"

#define CAPACITY 4096

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

/* Puts reference @n, which takes as much of the lane as @len bytes would. */
static int
put_reference(unsigned n, size_t len)
{
	struct mpr_reference ref = { .object = 64 * n, .use = 1000 + n };
	void *at;
	int r = mpr_producer_reserve(&p, len, &at);

	if (r == 0)
		mpr_producer_put_reference(&p, &ref);
	return r;
}

static int
get_by(bool shared, char *buf, size_t *ret_len)
{
	return shared ? mpr_consumer_get_shared(&c, buf, 16, ret_len) :
			mpr_consumer_get(&c, buf, 16, ret_len);
}

static void
pass_by(bool shared)
{
	if (shared)
		mpr_consumer_pass_shared(&c);
	else
		mpr_consumer_pass(&c);
}

static void
expect_reference(bool shared, unsigned n)
{
	struct mpr_reference ref;
	char buf[16];
	size_t len;

	assert_int_equal(get_by(shared, buf, &len), -EREMOTE);
	/* It stays until it is passed. */
	assert_int_equal(get_by(shared, buf, &len), -EREMOTE);
	assert_true(mpr_consumer_reference(&c, &ref));
	assert_int_equal(ref.object, 64 * n);
	assert_int_equal(ref.use, 1000 + n);
	pass_by(shared);
}

static void
references_and_messages_keep_their_order(void **state)
{
	char buf[16];
	size_t len;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		bool shared = i % 2;

		assert_int_equal(put_reference(i, 16 + i % 500), 0);
		assert_int_equal(mpr_producer_put(&p, &i, sizeof(i)), 0);
		assert_int_equal(mpr_lane_len(lane, CAPACITY), 2);
		expect_reference(shared, i);
		assert_int_equal(mpr_lane_len(lane, CAPACITY), 1);
		assert_int_equal(get_by(shared, buf, &len), 0);
		assert_int_equal(len, sizeof(i));
		assert_memory_equal(buf, &i, sizeof(i));
		assert_int_equal(get_by(shared, buf, &len), -EAGAIN);
	}
	assert_int_equal(lane->count, 4000);
}

static void
a_reference_takes_the_room_that_was_reserved(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(put_reference(i, CAPACITY / 4 - 8), 0);
	assert_int_equal(mpr_lane_bytes(lane, CAPACITY), CAPACITY);
	assert_int_equal(put_reference(4, 16), -EAGAIN);
	expect_reference(false, 0);
	assert_int_equal(put_reference(4, CAPACITY / 4 - 8), 0);
	for (unsigned i = 1; i < 5; i++)
		expect_reference(false, i);
}

static void
a_batch_ends_before_a_reference(void **state)
{
	struct iovec msgs[8];
	unsigned char buf[64];
	size_t len;

	(void)state;
	for (int shared = 0; shared < 2; shared++) {
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(mpr_producer_put(&p, &i, sizeof(i)),
					 0);
		assert_int_equal(put_reference(7, 100), 0);
		assert_int_equal(shared ? mpr_consumer_get_many_shared(
						  &c, buf, 64, msgs, 8, &len) :
					  mpr_consumer_get_many(
						  &c, buf, 64, msgs, 8, &len),
				 3);
		assert_int_equal(shared ? mpr_consumer_get_many_shared(
						  &c, buf, 64, msgs, 8, &len) :
					  mpr_consumer_get_many(
						  &c, buf, 64, msgs, 8, &len),
				 -EREMOTE);
		expect_reference(shared, 7);
	}
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 0);
}

static void
a_look_finds_a_reference(void **state)
{
	struct mpr_reference ref;
	const void *at;
	size_t len;

	(void)state;
	assert_int_equal(put_reference(3, 16), 0);
	assert_int_equal(mpr_consumer_peek(&c, &at, &len), -EREMOTE);
	assert_true(mpr_consumer_reference(&c, &ref));
	assert_int_equal(ref.use, 1003);
	mpr_consumer_pass(&c);
	assert_int_equal(mpr_consumer_peek(&c, &at, &len), -EAGAIN);
}

static void
who_comes_late_is_told(void **state)
{
	struct mpr_reference ref;
	struct mpr_consumer other;
	uint64_t head;
	char buf[16];
	size_t len;

	(void)state;
	assert_int_equal(put_reference(1, 16), 0);
	assert_int_equal(put_reference(2, 16), 0);
	mpr_consumer_begin(&other, lane, CAPACITY);
	assert_int_equal(get_by(true, buf, &len), -EREMOTE);
	assert_int_equal(mpr_consumer_get_shared(&other, buf, 16, &len),
			 -EREMOTE);
	mpr_consumer_pass_shared(&other);
	head = lane->head;
	assert_false(mpr_consumer_reference(&c, &ref));
	/* What has been passed is not passed twice. */
	mpr_consumer_pass_shared(&c);
	assert_int_equal(lane->head, head);
	expect_reference(true, 2);
}

static void
a_lane_knows_what_it_refers_to(void **state)
{
	struct mpr_reference ref = { .object = 64 * 5, .use = 1005 };

	(void)state;
	assert_false(mpr_lane_refers(lane, &ref));
	assert_int_equal(put_reference(4, 16), 0);
	assert_int_equal(mpr_producer_put(&p, "between", 7), 0);
	assert_int_equal(put_reference(5, 2000), 0);
	assert_true(mpr_lane_refers(lane, &ref));
	ref.use++;
	assert_false(mpr_lane_refers(lane, &ref));
	ref.use--;
	ref.object++;
	assert_false(mpr_lane_refers(lane, &ref));
	ref.object--;
	/* Whoever takes it in between says so elsewhere. */
	assert_int_equal(mpr_producer_put(&p, "behind", 6), 0);
	assert_true(mpr_lane_refers(lane, &ref));
	/* Noted, and not published. */
	lane->tail = lane->last_tail - 16;
	assert_false(mpr_lane_refers(lane, &ref));
	lane->tail = lane->last_tail;
	assert_true(mpr_lane_refers(lane, &ref));
	/* Half noted. */
	lane->last_object = 0;
	assert_false(mpr_lane_refers(lane, &ref));
}

/* The count goes on behind what a former owner left, whatever kind it is. */
static void
the_next_owner_counts_references(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(put_reference(i, 16), 0);
	lane->count = 9; /* as by one that died before it stored the tail */
	assert_int_equal(mpr_producer_begin(&p, lane, CAPACITY), 0);
	assert_int_equal(lane->count, 5);
	lane->owner = 0;
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 5);
}

/* Who writes where he should not can make any header. */
static void
a_reference_of_no_length_is_refused(void **state)
{
	static const size_t sizes[] = { 0, 8, 16, 40, CAPACITY + 16 };
	char buf[16];
	size_t len;

	(void)state;
	assert_int_equal(put_reference(1, 100), 0);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		*(uint64_t *)(void *)lane->buffer =
			mpr_frame(MPR_FRAME_REFERENCE, sizes[i], 0);
		for (int shared = 0; shared < 2; shared++)
			assert_int_equal(get_by(shared, buf, &len), -EBADMSG);
		assert_int_equal(lane->head, 0);
	}
}

#define lane_test(f) cmocka_unit_test_setup_teardown(f, fresh_lane, free_lane)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		lane_test(references_and_messages_keep_their_order),
		lane_test(a_reference_takes_the_room_that_was_reserved),
		lane_test(a_batch_ends_before_a_reference),
		lane_test(a_look_finds_a_reference),
		lane_test(who_comes_late_is_told),
		lane_test(a_lane_knows_what_it_refers_to),
		lane_test(the_next_owner_counts_references),
		lane_test(a_reference_of_no_length_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
