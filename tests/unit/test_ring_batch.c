/* SPDX-License-Identifier: MIT */
/*
 * Batches and messages in parts, with one thread: order, padding, limits, one
 * move of tail and head for each batch, and a lane whose memory is not all
 * there. Two threads on one lane are in test_ring_stream.c.
 *
 * What holds for both ways to take messages is tested for both.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/owner.h"
#include "common.h"
#include "mpt_rand.h"
#include "ring/access.h"
#include "ring/lane.h"
#include "ring/lane_fast.h"

#define CAPACITY 4096
#define MAX (CAPACITY - MPR_FRAME_HEADER)
#define MANY 300

typedef int get_many_fn(struct mpr_consumer *c, void *buf, size_t size,
			struct iovec *ret_msgs, int n, size_t *ret_len);

static struct mpr_lane *lane;
static struct mpr_producer p;
static struct mpr_consumer c;
static get_many_fn *get_many;
static unsigned char msg[2 * CAPACITY], buf[2 * CAPACITY];
static struct iovec in[MANY], out[MANY];

static void
begin(void)
{
	assert_int_equal(mpr_producer_begin(&p, lane, CAPACITY), 0);
	mpr_consumer_begin(&c, lane, CAPACITY);
}

static int
fresh_lane(get_many_fn *with)
{
	lane = aligned_alloc(MPR_APART, mpr_lane_size(CAPACITY));
	if (!lane)
		return -1;
	memset(lane, 0xa5, mpr_lane_size(CAPACITY));
	mpr_lane_init(lane, mpr_owner(1, 0, MPR_LANE_ACTIVE));
	get_many = with;
	return 0;
}

static int
only_consumer(void **state)
{
	(void)state;
	return fresh_lane(mpr_consumer_get_many);
}

static int
shared_consumer(void **state)
{
	(void)state;
	return fresh_lane(mpr_consumer_get_many_shared);
}

static int
free_lane(void **state)
{
	(void)state;
	free(lane);
	return 0;
}

static unsigned char
byte_of(unsigned number, size_t i)
{
	return (unsigned char)(number * 31 + i * 7 + (i >> 8));
}

/* Makes @n messages of @len bytes, numbered from @first, in in[]. */
static void
make(unsigned first, int n, size_t len)
{
	for (int k = 0; k < n; k++) {
		in[k].iov_base = msg + (size_t)k * len;
		in[k].iov_len = len;
		for (size_t i = 0; i < len; i++)
			msg[(size_t)k * len + i] =
				byte_of(first + (unsigned)k, i);
	}
}

static void
expect(const struct iovec *m, unsigned number, size_t len)
{
	const unsigned char *bytes = m->iov_base;

	assert_int_equal(m->iov_len, len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(bytes[i], byte_of(number, i));
}

static int
get(int n)
{
	size_t len;

	return get_many(&c, buf, sizeof(buf), out, n, &len);
}

static void
a_batch_comes_out_in_order_and_packed(void **state)
{
	(void)state;
	begin();
	make(0, 20, 13);
	assert_int_equal(mpr_producer_put_many(&p, in, 20), 20);
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 20);
	assert_int_equal(get(7), 7);
	for (unsigned i = 0; i < 7; i++) {
		assert_ptr_equal(out[i].iov_base, buf + 13 * i);
		expect(&out[i], i, 13);
	}
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 13);
	assert_int_equal(get(MANY), 13);
	for (unsigned i = 0; i < 13; i++)
		expect(&out[i], 7 + i, 13);
	assert_int_equal(get(MANY), -EAGAIN);
}

static void
empty_messages_are_counted(void **state)
{
	(void)state;
	begin();
	make(0, 5, 0);
	assert_int_equal(mpr_producer_put_many(&p, in, 5), 5);
	assert_int_equal(get_many(&c, NULL, 0, out, MANY, &(size_t){ 0 }), 5);
	for (int i = 0; i < 5; i++)
		assert_int_equal(out[i].iov_len, 0);
}

static void
what_finds_no_room_is_not_put(void **state)
{
	int n = CAPACITY / 32;

	(void)state;
	begin();
	make(0, n + 10, 24);
	assert_int_equal(mpr_producer_put_many(&p, in, n + 10), n);
	assert_int_equal(mpr_producer_put_many(&p, in + n, 10), -EAGAIN);
	assert_int_equal(get(3), 3);
	assert_int_equal(mpr_producer_put_many(&p, in + n, 10), 3);
	/* First what the consumer knows of already. */
	assert_int_equal(get(MANY), n - 3);
	for (int i = 0; i < n - 3; i++)
		expect(&out[i], (unsigned)i + 3, 24);
	assert_int_equal(get(MANY), 3);
	expect(&out[2], (unsigned)n + 2, 24);
}

static void
room_that_was_made_meanwhile_is_used(void **state)
{
	(void)state;
	begin();
	make(0, CAPACITY / 32, 24);
	assert_int_equal(mpr_producer_put_many(&p, in, CAPACITY / 32 - 2),
			 CAPACITY / 32 - 2);
	assert_int_equal(get(10), 10);
	/* Two of them without a look at head, the rest after it. */
	assert_int_equal(mpr_producer_put_many(&p, in, 10), 10);
}

static void
a_message_that_can_never_fit_ends_the_batch(void **state)
{
	(void)state;
	begin();
	make(0, 4, 10);
	in[2].iov_len = MAX + 1;
	assert_int_equal(mpr_producer_put_many(&p, in, 4), 2);
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 2);
	assert_int_equal(mpr_producer_put_many(&p, in + 2, 2), -EMSGSIZE);
	in[2].iov_len = SIZE_MAX;
	assert_int_equal(mpr_producer_put_many(&p, in + 2, 2), -EMSGSIZE);
	in[2] = (struct iovec){ .iov_len = 10 };
	assert_int_equal(mpr_producer_put_many(&p, in, 4), 2);
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 4);
}

static void
tail_and_head_move_once_for_each_batch(void **state)
{
	uint64_t tail, head;

	(void)state;
	lane->head = lane->tail = CAPACITY - 48;
	begin();
	/* One before the end, a pad of 16, and two at the beginning. */
	make(0, 3, 24);
	tail = lane->tail;
	assert_int_equal(mpr_producer_put_many(&p, in, 3), 3);
	assert_int_equal(lane->tail, tail + 32 + 16 + 64);
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 3);
	head = lane->head;
	assert_int_equal(get(2), 2);
	assert_int_equal(lane->head, head + 32 + 16 + 32);
	assert_int_equal(get(2), 1);
	assert_true(mpr_lane_is_empty(lane));
}

static void
padding_alone_is_passed(void **state)
{
	(void)state;
	begin();
	make(0, 1, 3000);
	assert_int_equal(mpr_producer_put_many(&p, in, 1), 1);
	assert_int_equal(get(1), 1);
	make(1, 1, MAX);
	assert_int_equal(mpr_producer_put_many(&p, in, 1), -EAGAIN);
	assert_false(mpr_lane_is_empty(lane));
	assert_int_equal(get(1), -EAGAIN);
	assert_true(mpr_lane_is_empty(lane));
	assert_int_equal(mpr_producer_put_many(&p, in, 1), 1);
	assert_int_equal(get(1), 1);
	expect(&out[0], 1, MAX);
}

static void
what_does_not_fit_the_buffer_stays(void **state)
{
	size_t len = 0;

	(void)state;
	begin();
	make(0, 4, 100);
	assert_int_equal(mpr_producer_put_many(&p, in, 4), 4);
	for (size_t size = 0; size < 100; size++) {
		assert_int_equal(get_many(&c, buf, size, out, 4, &len),
				 -EMSGSIZE);
		assert_int_equal(len, 100);
	}
	memset(buf, 0xee, sizeof(buf));
	assert_int_equal(get_many(&c, buf, 299, out, 4, &len), 2);
	assert_int_equal(buf[200], 0xee);
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 2);
	assert_int_equal(get(4), 2);
	expect(&out[0], 2, 100);
	expect(&out[1], 3, 100);
}

static void
random_batches_pass_in_order_around_the_end(void **state)
{
	unsigned put = 0, got = 0;
	struct mpt_rand rand;

	(void)state;
	mpt_rand_init(&rand, 7);
	begin();
	while (got < 20000) {
		int n = 1 + (int)mpt_rand_below(&rand, 20);
		size_t len = (size_t)mpt_rand_below(&rand, 90), at = 0;
		int r;

		/* The length is the batch's, told by the first byte. */
		make(put, n, len + 1);
		for (int i = 0; i < n; i++)
			msg[(size_t)i * (len + 1)] = (unsigned char)len;
		r = mpr_producer_put_many(&p, in, n);
		assert_true(r > 0 || r == -EAGAIN);
		put += r > 0 ? (unsigned)r : 0;
		r = get(1 + (int)mpt_rand_below(&rand, 20));
		assert_true(r > 0 || r == -EAGAIN);
		for (int i = 0; i < r; i++, got++) {
			const unsigned char *bytes = out[i].iov_base;

			assert_ptr_equal(bytes, buf + at);
			assert_int_equal(out[i].iov_len, bytes[0] + 1);
			for (size_t k = 1; k < out[i].iov_len; k++)
				assert_int_equal(bytes[k], byte_of(got, k));
			at += out[i].iov_len;
		}
	}
}

static void
a_message_in_parts_is_one_message(void **state)
{
	(void)state;
	for (size_t len = 0; len < 80; len++) {
		for (size_t cut = 0; cut <= len; cut++) {
			struct iovec parts[3];

			begin();
			make(1, 1, len);
			parts[0] = (struct iovec){ msg, cut / 2 };
			parts[1] = (struct iovec){ msg + cut / 2,
						   cut - cut / 2 };
			parts[2] = (struct iovec){ msg + cut, len - cut };
			assert_int_equal(mpr_producer_putv(&p, parts, 3, len),
					 0);
			assert_int_equal(get(1), 1);
			expect(&out[0], 1, len);
		}
	}
}

/* Someone may change the lengths after they were added up. */
static void
parts_that_grow_do_not_leave_the_frame(void **state)
{
	struct iovec parts[2];

	(void)state;
	begin();
	make(0, 1, CAPACITY);
	memset(lane->buffer, 0xee, CAPACITY);
	parts[0] = (struct iovec){ msg, 20 };
	parts[1] = (struct iovec){ msg + 20, 1000 };
	assert_int_equal(mpr_producer_putv(&p, parts, 2, 40), 0);
	assert_int_equal(lane->buffer[48], 0xee);
	assert_int_equal(get(1), 1);
	assert_int_equal(out[0].iov_len, 40);
}

static void
a_bad_frame_behind_good_ones_is_reported_after_them(void **state)
{
	(void)state;
	begin();
	make(0, 4, 24);
	assert_int_equal(mpr_producer_put_many(&p, in, 4), 4);
	memset(lane->buffer + 64, 0, 8);
	assert_int_equal(get(4), 2);
	expect(&out[1], 1, 24);
	assert_int_equal(get(4), -EBADMSG);
	assert_int_equal(get(4), -EBADMSG);
}

/* Somebody else's frames, from where the lane's end is 64 bytes away. */
static void
begin_before_end(void)
{
	lane->head = lane->tail = CAPACITY - 64;
	begin();
}

static void
scribble(uint64_t at, enum mpr_frame_kind kind, size_t len)
{
	*(uint64_t *)(void *)(lane->buffer + at % CAPACITY) =
		mpr_frame(kind, len, 0);
}

static void
expect_bad_after(int n)
{
	assert_int_equal(get(4), n);
	for (int i = 0; i < n; i++)
		assert_int_equal(out[i].iov_len, 40);
	assert_int_equal(get(4), -EBADMSG);
	assert_int_equal(get(4), -EBADMSG);
}

static void
one_like_the_last_does_not_cross_the_end(void **state)
{
	(void)state;
	begin_before_end();
	scribble(CAPACITY - 64, MPR_FRAME_MESSAGE, 40);
	scribble(CAPACITY - 16, MPR_FRAME_MESSAGE, 40);
	lane->tail += 96;
	expect_bad_after(1);
}

/* Two messages of 48 bytes with the end and padding between, and the header of a third
 * one for which the tail is not far enough. */
static void
scribble_around_the_end(void)
{
	begin_before_end();
	scribble(CAPACITY - 64, MPR_FRAME_MESSAGE, 40);
	scribble(CAPACITY - 16, MPR_FRAME_PAD, 16);
	scribble(CAPACITY, MPR_FRAME_MESSAGE, 40);
	scribble(CAPACITY + 48, MPR_FRAME_MESSAGE, 40);
	lane->tail = CAPACITY + 64;
}

static void
one_like_the_last_does_not_cross_the_tail(void **state)
{
	(void)state;
	scribble_around_the_end();
	expect_bad_after(2);
}

static int
get_short(size_t *ret_len)
{
	c.head = lane->head;
	return get_many == mpr_consumer_get_many ?
		       mpr_consumer_take(&c, buf, sizeof(buf), ret_len,
					 MPR_COPY_SHORT) :
		       mpr_consumer_claim(&c, lane, buf, sizeof(buf), ret_len,
					  MPR_COPY_SHORT);
}

static void
nor_when_the_batch_has_ended_before_it(void **state)
{
	size_t len;

	(void)state;
	scribble_around_the_end();
	assert_int_equal(get(2), 2);
	assert_int_equal(get_short(&len), -EAGAIN);
	assert_int_equal(lane->head, CAPACITY + 48);
}

static void
what_is_long_is_left_to_others(void **state)
{
	size_t len;

	(void)state;
	begin();
	make(0, 3, MPR_COPY_SHORT + 1);
	assert_int_equal(mpr_producer_put_many(&p, in, 3), 3);
	/* They are known, and the last one was like them. */
	assert_int_equal(get(1), 1);
	assert_int_equal(get_short(&len), -EAGAIN);
	assert_int_equal(get(4), 2);
	expect(&out[1], 2, MPR_COPY_SHORT + 1);
}

static void
one_longer_than_what_is_there_is_reported(void **state)
{
	(void)state;
	begin_before_end();
	scribble(CAPACITY - 64, MPR_FRAME_MESSAGE, 40);
	scribble(CAPACITY - 16, MPR_FRAME_PAD, 16);
	scribble(CAPACITY, MPR_FRAME_MESSAGE, 2000);
	lane->tail += 128;
	expect_bad_after(1);
}

/* No producer puts it there. */
static void
padding_may_lie_anywhere(void **state)
{
	(void)state;
	begin();
	scribble(0, MPR_FRAME_MESSAGE, 40);
	scribble(48, MPR_FRAME_PAD, 16);
	scribble(64, MPR_FRAME_MESSAGE, 40);
	lane->tail = 112;
	assert_int_equal(get(4), 2);
	assert_int_equal(lane->head, 112);
}

static void
nothing_is_taken_from_a_lane_that_makes_no_sense(void **state)
{
	static const uint64_t tails[] = { CAPACITY + 16, 40, UINT64_MAX - 15 };
	size_t len;

	(void)state;
	scribble(0, MPR_FRAME_MESSAGE, 8);
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		mpr_consumer_begin(&c, lane, CAPACITY);
		lane->tail = tails[i];
		for (int k = 0; k < 2; k++) {
			assert_int_equal(get(4), -EBADMSG);
			assert_int_equal(get_short(&len), -EAGAIN);
			assert_int_equal(get_many == mpr_consumer_get_many ?
					 mpr_consumer_get(&c, buf, sizeof(buf), &len) :
					 mpr_consumer_get_shared(&c, buf, sizeof(buf),
								 &len), -EBADMSG);
		}
		assert_true(get_many == mpr_consumer_get_many_shared ||
			    mpr_consumer_is_through(&c));
	}
	assert_int_equal(lane->head, 0);
}

static void
a_head_that_goes_back_stops_the_producer(void **state)
{
	(void)state;
	begin();
	make(0, 100, 24);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(mpr_producer_put_many(&p, in, 100), 100);
		assert_int_equal(get(100), 100);
	}
	lane->head = lane->tail - CAPACITY;
	assert_int_equal(mpr_producer_put_many(&p, in, 100), 28);
	assert_int_equal(mpr_producer_put_many(&p, in, 100), -EBADMSG);
}

static void
numbers_go_on_above_32_bits(void **state)
{
	uint64_t start = (UINT64_C(5) << 32) - 3;

	(void)state;
	lane->count = start;
	begin();
	make(0, 6, 24);
	assert_int_equal(mpr_producer_put_many(&p, in, 6), 6);
	assert_int_equal(lane->count, start + 6);
	/* Its owner dies with two more counted and not published. */
	lane->count = start + 8;
	assert_int_equal(mpr_producer_begin(&p, lane, CAPACITY), 0);
	assert_int_equal(lane->count, start + 6);
	assert_int_equal(mpr_lane_len(lane, CAPACITY), 6);
}

/* Memory comes page by page; nothing is written beyond it. */
static void
a_restricted_producer_writes_only_where_there_is_memory(void **state)
{
	size_t start = 1024, allowed = 0;
	unsigned put = 0, got = 0;

	(void)state;
	lane->head = lane->tail = start;
	begin();
	memset(lane->buffer, 0xee, CAPACITY);
	mpr_producer_restrict(&p);
	while (put < 1000) {
		int r;

		make(put, 5, 40);
		r = mpr_producer_put_many(&p, in, 5);
		for (size_t i = allowed; i < CAPACITY; i++)
			assert_int_equal(
				lane->buffer[(start + i) % CAPACITY], 0xee);
		if (r == -ENOBUFS) {
			assert_in_range(allowed, 0, CAPACITY - 1);
			mpr_producer_extend(&p, 512);
			allowed += 512;
			continue;
		}
		if (r == -EAGAIN) {
			r = get(3);
			assert_in_range(r, 1, 3);
			for (int i = 0; i < r; i++)
				expect(&out[i], got++, 40);
			continue;
		}
		assert_in_range(r, 1, 5);
		put += (unsigned)r;
	}
	/* All of it was needed. */
	assert_int_equal(allowed, CAPACITY);
}

/* Two pages, one of which is forbidden. Whoever comes to the second one loses a
 * race for a message; on the first one that trap is set again. */
static struct {
	unsigned char *page;
	size_t size;
	struct mpr_consumer other;
	int taken;
} trap;

static void
allow(bool first)
{
	mprotect(trap.page, trap.size, first ? PROT_READ | PROT_WRITE :
					       PROT_NONE);
	mprotect(trap.page + trap.size, trap.size,
		 first ? PROT_NONE : PROT_READ | PROT_WRITE);
}

static void
lose(int number, siginfo_t *info, void *context)
{
	bool first = (unsigned char *)info->si_addr < trap.page + trap.size;
	unsigned char other[64];
	size_t len;

	(void)number;
	(void)context;
	allow(first);
	if (!first && mpr_consumer_get_shared(&trap.other, other, sizeof(other),
					      &len) == 0)
		trap.taken++;
}

/* A consumer of single messages is always faster than the copy of a batch, all
 * of whose messages but 20 lie on the second page. None lies on both. */
static void
a_batch_that_loses_races_gets_smaller(void **state)
{
	struct sigaction old, action = {
		.sa_sigaction = lose,
		.sa_flags = SA_SIGINFO,
	};
	size_t len = 0;
	int r;

	(void)state;
	begin();
	mpr_consumer_begin(&trap.other, lane, CAPACITY);
	make(0, CAPACITY / 32, 24);
	assert_int_equal(mpr_producer_put_many(&p, in, CAPACITY / 32),
			 CAPACITY / 32);
	trap.size = (size_t)sysconf(_SC_PAGESIZE);
	trap.page = mmap(NULL, 2 * trap.size, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(trap.page, MAP_FAILED);
	trap.taken = 0;
	sigaction(SIGSEGV, &action, &old);
	r = mpr_consumer_get_many_shared(&c, trap.page + trap.size - 480,
					 480 + trap.size, out, MANY, &len);
	sigaction(SIGSEGV, &old, NULL);
	allow(true);
	assert_in_range(trap.taken, 1, 4);
	assert_in_range(r, 1, 480 / 24);
	for (int i = 0; i < r; i++)
		expect(&out[i], (unsigned)(trap.taken + i), 24);
	munmap(trap.page, 2 * trap.size);
}

#define one(f) { #f " (only consumer)", f, only_consumer, free_lane, NULL }
#define any(f) { #f " (shared)", f, shared_consumer, free_lane, NULL }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		one(a_batch_comes_out_in_order_and_packed),
		any(a_batch_comes_out_in_order_and_packed),
		one(empty_messages_are_counted),
		any(empty_messages_are_counted),
		one(what_finds_no_room_is_not_put),
		any(what_finds_no_room_is_not_put),
		one(room_that_was_made_meanwhile_is_used),
		one(a_message_that_can_never_fit_ends_the_batch),
		one(tail_and_head_move_once_for_each_batch),
		any(tail_and_head_move_once_for_each_batch),
		one(padding_alone_is_passed),
		any(padding_alone_is_passed),
		one(what_does_not_fit_the_buffer_stays),
		any(what_does_not_fit_the_buffer_stays),
		one(random_batches_pass_in_order_around_the_end),
		any(random_batches_pass_in_order_around_the_end),
		one(a_message_in_parts_is_one_message),
		any(a_message_in_parts_is_one_message),
		one(parts_that_grow_do_not_leave_the_frame),
		one(a_bad_frame_behind_good_ones_is_reported_after_them),
		any(a_bad_frame_behind_good_ones_is_reported_after_them),
		one(one_like_the_last_does_not_cross_the_end),
		any(one_like_the_last_does_not_cross_the_end),
		one(one_like_the_last_does_not_cross_the_tail),
		any(one_like_the_last_does_not_cross_the_tail),
		one(nor_when_the_batch_has_ended_before_it),
		any(nor_when_the_batch_has_ended_before_it),
		one(what_is_long_is_left_to_others),
		any(what_is_long_is_left_to_others),
		one(one_longer_than_what_is_there_is_reported),
		any(one_longer_than_what_is_there_is_reported),
		one(padding_may_lie_anywhere),
		any(padding_may_lie_anywhere),
		one(nothing_is_taken_from_a_lane_that_makes_no_sense),
		any(nothing_is_taken_from_a_lane_that_makes_no_sense),
		any(a_head_that_goes_back_stops_the_producer),
		one(numbers_go_on_above_32_bits),
		one(a_restricted_producer_writes_only_where_there_is_memory),
		any(a_restricted_producer_writes_only_where_there_is_memory),
		any(a_batch_that_loses_races_gets_smaller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
