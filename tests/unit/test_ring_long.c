/* SPDX-License-Identifier: MIT */
/*
 * What the only consumer of a lane writes to it: the lines of long messages, as they
 * were, and only as long as they are its.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "base/owner.h"
#include "common.h"
#include "ring/lane.h"
#include "ring/lane_fast.h"

#define CAPACITY 4096 /* a page: the buffer is one, and the header before it */
#define LONGEST (CAPACITY / 2 - MPR_FRAME_HEADER)

static unsigned char *pages;
static struct mpr_lane *lane;
static struct mpr_producer p;
static struct mpr_consumer c;
static unsigned char msg[CAPACITY], buf[CAPACITY];
static unsigned written;

static int
fresh_lane(void **state)
{
	(void)state;
	pages = mmap(NULL, (size_t)2 * CAPACITY, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED)
		return -1;
	lane = (struct mpr_lane *)(void *)(pages + CAPACITY - sizeof(*lane));
	mpr_lane_init(lane, mpr_owner(1, 0, MPR_LANE_ACTIVE));
	mpr_consumer_begin(&c, lane, CAPACITY);
	return mpr_producer_begin(&p, lane, CAPACITY);
}

static int
free_lane(void **state)
{
	(void)state;
	return munmap(pages, (size_t)2 * CAPACITY);
}

static void
put(unsigned number, size_t len)
{
	for (size_t i = 0; i < len; i++)
		msg[i] = (unsigned char)(number * 31 + i * 7 + i / 256);
	assert_int_equal(mpr_producer_put(&p, msg, len), 0);
}

static void
let_it_write(int signal)
{
	(void)signal;
	written++;
	mprotect(lane->buffer, CAPACITY, PROT_READ | PROT_WRITE);
}

static void
forbid(struct sigaction *ret_old)
{
	struct sigaction action = { .sa_handler = let_it_write };

	written = 0;
	assert_int_equal(mprotect(lane->buffer, CAPACITY, PROT_READ), 0);
	sigaction(SIGSEGV, &action, ret_old);
}

static void
allow(const struct sigaction *old)
{
	sigaction(SIGSEGV, old, NULL);
	mprotect(lane->buffer, CAPACITY, PROT_READ | PROT_WRITE);
}

/* Takes the one message of @len bytes. Returns whether the lane was written to. */
static bool
get(size_t len, bool by_batch)
{
	struct iovec got = { buf, 0 };
	struct sigaction old;
	int r;

	forbid(&old);
	r = by_batch ? mpr_consumer_get_many(&c, buf, sizeof(buf), &got, 1,
					     &(size_t){ 0 }) :
		       mpr_consumer_get(&c, buf, sizeof(buf), &got.iov_len);
	allow(&old);
	assert_int_equal(r, by_batch);
	assert_int_equal(got.iov_len, len);
	assert_memory_equal(buf, msg, len);
	return written;
}

/* Wherever they lie, also before the lane's end and behind it. */
static void
lines_of_long_messages_stay_as_they_were(void **state)
{
	unsigned char was[CAPACITY];

	(void)state;
	for (unsigned i = 0; i < 600; i++) {
		size_t len = 1000 + i * 37 % (LONGEST - 999);

		put(i, len);
		memcpy(was, lane->buffer, sizeof(was));
		(void)get(len, i % 2);
		assert_memory_equal(lane->buffer, was, sizeof(was));
	}
}

static void
long_ones_are_taken_at_once(void **state)
{
	(void)state;
	for (int by_batch = 0; by_batch < 2; by_batch++) {
		put(1, MPR_TAKE_ALL);
		assert_true(get(MPR_TAKE_ALL, by_batch));
		/* No line of another group lies before the tail. */
		put(2, 300);
		assert_false(get(300, by_batch));
	}
}

/* A copy of the consumer, whose original has gone on. */
static void
who_is_behind_head_writes_nothing(void **state)
{
	struct mpr_consumer copy = c;
	struct sigaction old;
	struct iovec got;
	uint64_t head;
	size_t len;

	(void)state;
	put(1, LONGEST);
	(void)get(LONGEST, false);
	head = lane->head;
	forbid(&old);
	assert_false(mpr_consumer_copy_long(&copy, buf,
					    lane->buffer + MPR_FRAME_HEADER,
					    LONGEST));
	assert_int_equal(mpr_consumer_get(&copy, buf, sizeof(buf), &len), -ESTALE);
	assert_int_equal(mpr_consumer_get_many(&copy, buf, sizeof(buf), &got, 1,
					       &len), -ESTALE);
	allow(&old);
	assert_int_equal(written, 0);
	assert_int_equal(lane->head, head);
}

#define in_lane(f) cmocka_unit_test_setup_teardown(f, fresh_lane, free_lane)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		in_lane(lines_of_long_messages_stay_as_they_were),
		in_lane(long_ones_are_taken_at_once),
		in_lane(who_is_behind_head_writes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
